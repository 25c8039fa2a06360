//! Several servers on one database: one of them serves, the others stand by and say so.

mod common;

use std::time::Duration;

use rollcall_e2e::{
    database::{self, Database, Kind},
    waiting::eventually,
};
use rollcall_server::{Config, Running, StartError, start};
use rollcall_server_client::Client;
use tempfile::TempDir;
use tokio::task::JoinHandle;

use common::{PATIENCE, base_url, login, person};

/// One database, and a data folder for each server.
struct Site {
    databases: Database,
    url: String,
    dir: TempDir,
}

impl Site {
    async fn of(kind: Kind) -> Self {
        let databases = Database::start(kind).await;
        let url = databases.make("rollcall").await;
        let dir = tempfile::tempdir().unwrap();
        std::fs::write(dir.path().join("password"), database::PASSWORD).unwrap();
        Self {
            databases,
            url,
            dir,
        }
    }

    fn config(&self, folder: &str, takeover: Duration) -> Config {
        let mut config = common::config(&self.dir.path().join(folder));
        config.database.url = self.url.clone();
        config.database.password_file = Some(self.dir.path().join("password"));
        config.database.takeover_ms = takeover.as_millis().try_into().unwrap();
        config
    }

    /// As an administrator gives a second server what the first seals with.
    fn copy_the_key(&self, config: &Config) {
        std::fs::create_dir_all(&config.data_dir).unwrap();
        let own = config.data_dir.join("sealing.key");
        for folder in std::fs::read_dir(self.dir.path()).unwrap() {
            let key = folder.unwrap().path().join("data/sealing.key");
            if key.exists() && key != own {
                std::fs::copy(key, &own).unwrap();
                return;
            }
        }
    }

    /// A server that has to stand by, once it does.
    async fn waiting(&self, config: Config) -> JoinHandle<Result<Running, StartError>> {
        self.copy_the_key(&config);
        let waiting = tokio::spawn(start(config));
        eventually("it is known to stand by", PATIENCE, async || {
            let mut db = self.databases.connect("rollcall").await;
            let count: i64 = sqlx::query_scalar("SELECT COUNT(*) FROM instances")
                .fetch_one(&mut db)
                .await
                .unwrap();
            if count == 2 {
                Ok(())
            } else {
                Err(format!("{count} servers"))
            }
        })
        .await;
        assert!(!waiting.is_finished(), "it serves beside the other");
        waiting
    }
}

async fn served(waiting: JoinHandle<Result<Running, StartError>>) -> Running {
    let running = tokio::time::timeout(PATIENCE, waiting).await;
    running.expect("it takes over").unwrap().unwrap()
}

/// Longer than a test takes.
const NEVER: Duration = Duration::from_secs(600);
/// What a test can wait for, and a busy machine does not mistake for silence.
const SOON: Duration = Duration::from_secs(3);

async fn one_serves_and_the_other_stands_by(kind: Kind) {
    let site = Site::of(kind).await;
    let first = start(site.config("a", NEVER)).await.unwrap();
    let somebody = person("agent1001", Some("1001"), rollcall_wire::http::Role::Agent);
    first.add_person(somebody).await.unwrap();
    let client = Client::new(&base_url(&first)).unwrap();
    let token = client.login(&login("agent1001")).await.unwrap().tokens.sip;
    // Its period is a third of its patience: it looks again soon after the other has left.
    let second = site.waiting(site.config("b", SOON)).await;
    first.shutdown().await;
    let second = served(second).await;
    let client = Client::new(&base_url(&second)).unwrap();
    let online = client.agent_online(&token, "1001", "sip:1001@h").await;
    online.expect("the session goes on at the other server");

    // It ends without a word: its own restart waits for nobody, another waits for its silence.
    drop(second);
    let again = start(site.config("b", NEVER)).await.unwrap();
    drop(again);
    let third = served(site.waiting(site.config("c", SOON)).await).await;
    third.shutdown().await;
}

#[tokio::test]
async fn one_of_two_servers_on_a_sqlite_file_serves_and_the_other_stands_by() {
    one_serves_and_the_other_stands_by(Kind::Sqlite).await;
}

#[tokio::test]
async fn one_of_two_servers_on_a_postgresql_serves_and_the_other_stands_by() {
    one_serves_and_the_other_stands_by(Kind::Postgres).await;
}

#[tokio::test]
async fn one_of_two_servers_on_a_mariadb_serves_and_the_other_stands_by() {
    one_serves_and_the_other_stands_by(Kind::MariaDb).await;
}

#[tokio::test]
async fn a_server_whose_place_was_taken_ends_and_writes_nothing_more() {
    let site = Site::of(Kind::Sqlite).await;
    let running = start(site.config("a", SOON)).await;
    let running = running.unwrap();
    let mut db = site.databases.connect("rollcall").await;
    sqlx::raw_sql("UPDATE managers SET instance = 'b', run = 'b'")
        .execute(&mut db)
        .await
        .unwrap();
    let somebody = person("agent1001", Some("1001"), rollcall_wire::http::Role::Agent);
    assert!(running.add_person(somebody).await.is_err());
    let succeeded = tokio::time::timeout(PATIENCE, running.succeeded()).await;
    succeeded.expect("it ends by itself");
    running.shutdown().await;
    let owner: String = sqlx::query_scalar("SELECT instance FROM managers")
        .fetch_one(&mut db)
        .await
        .unwrap();
    assert_eq!(owner, "b");
}

#[tokio::test]
async fn a_data_folder_is_one_servers() {
    let site = Site::of(Kind::Sqlite).await;
    let running = start(site.config("a", NEVER)).await.unwrap();
    let refused = start(site.config("a", NEVER)).await.unwrap_err();
    assert!(matches!(refused, StartError::Instance(_)), "{refused}");
    running.shutdown().await;
}
