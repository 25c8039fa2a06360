//! kill -9 at random moments, under a stream of logins and logouts: every acknowledged update is there.
//!
//! Two hundred times on SQLite, in four programs' worth of fifty; a few on each other database.
#![cfg(unix)]

mod common;

use std::{
    io::{BufRead as _, BufReader},
    path::Path,
    process::{Child, Command, Stdio},
    sync::{Arc, Mutex},
    time::Duration,
};

use argon2::{Algorithm, Argon2, Params, PasswordHasher as _, Version};
use rand::{Rng as _, SeedableRng as _, rngs::StdRng};
use rollcall_e2e::database::{self, Database, Kind};
use rollcall_e2e::{ports::Port, waiting::eventually};
use rollcall_server_client::{Client, Timing};
use rollcall_wire::http::{AgentLogoutRequest, LoginRequest};
use uuid::Uuid;

use common::PATIENCE;

/// Who signs in and out at a time.
const STREAMS: usize = 3;

#[tokio::test]
async fn no_acknowledged_update_is_lost_by_fifty_kills_on_sqlite() {
    survives(Kind::Sqlite, 50, 1).await;
}

#[tokio::test]
async fn no_acknowledged_update_is_lost_by_fifty_more_kills_on_sqlite() {
    survives(Kind::Sqlite, 50, 2).await;
}

#[tokio::test]
async fn no_acknowledged_update_is_lost_by_a_third_fifty_kills_on_sqlite() {
    survives(Kind::Sqlite, 50, 3).await;
}

#[tokio::test]
async fn no_acknowledged_update_is_lost_by_a_fourth_fifty_kills_on_sqlite() {
    survives(Kind::Sqlite, 50, 4).await;
}

#[tokio::test]
async fn no_acknowledged_update_is_lost_by_kills_on_postgresql() {
    survives(Kind::Postgres, 12, 5).await;
}

#[tokio::test]
async fn no_acknowledged_update_is_lost_by_kills_on_mariadb() {
    survives(Kind::MariaDb, 12, 6).await;
}

#[tokio::test]
async fn no_acknowledged_update_is_lost_by_kills_on_mysql() {
    survives(Kind::MySql, 12, 7).await;
}

async fn survives(kind: Kind, kills: usize, seed: u64) {
    let databases = Database::start(kind).await;
    let dir = tempfile::tempdir().unwrap();
    let port = Port::reserve();
    configure(dir.path(), &databases.make("rollcall").await, port.number());
    let mut db = databases.connect("rollcall").await;
    cheapen_passwords(&mut db).await;
    let timing = Timing {
        tries: 1,
        ..Timing::default()
    };
    let url = format!("http://127.0.0.1:{}", port.number());
    let client = Client::with_timing(&url, timing).unwrap();
    let mut moments = StdRng::seed_from_u64(seed);
    let mut acknowledged = Acknowledged::default();
    let (mut logins, mut logouts) = (0, 0);
    for kill in 0..=kills {
        let mut child = serve(dir.path());
        logouts += acknowledged.logouts.len();
        logins += acknowledged.are_there(&client).await;
        let during = Arc::new(Mutex::new(Acknowledged::default()));
        let streams: Vec<_> = (0..STREAMS)
            .map(|stream| {
                let device = format!("device-{kill}-{stream}");
                tokio::spawn(days(client.clone(), device, stream, Arc::clone(&during)))
            })
            .collect();
        // Now and then before anybody was let in, else at any moment after somebody was in, or out again.
        eventually("somebody is in, or out", PATIENCE, async || {
            let so_far = during.lock().unwrap();
            let is_so = match kill % 8 {
                0 => true,
                1 | 3 | 5 => !so_far.logouts.is_empty(),
                _ => !so_far.logins.is_empty(),
            };
            is_so.then_some(()).ok_or_else(|| "neither".to_owned())
        })
        .await;
        // Not for something to happen, but for a moment that has nothing to do with what happens.
        tokio::time::sleep(Duration::from_micros(moments.random_range(0..40_000))).await;
        child.kill().unwrap();
        child.wait().unwrap();
        for stream in streams {
            tokio::time::timeout(PATIENCE, stream)
                .await
                .unwrap()
                .unwrap();
        }
        acknowledged = std::mem::take(&mut *during.lock().unwrap());
    }
    assert!(
        logins > kills / 4 && logouts > kills / 4,
        "seed {seed}: {logins} logins, {logouts} logouts"
    );
}

/// Access tokens by what was acknowledged of them.
#[derive(Default)]
struct Acknowledged {
    logins: Vec<String>,
    /// Logouts that were sent; their answers may be lost.
    tried: Vec<(String, Uuid)>,
    logouts: Vec<String>,
}

impl Acknowledged {
    /// That the server, started after the kill, knows all of them; how many logins were live.
    async fn are_there(&self, client: &Client) -> usize {
        for token in &self.logouts {
            let again = client.agent_online(token, "1001", "sip:1001@h").await;
            assert!(again.unwrap_err().is_signed_out(), "a logout was forgotten");
        }
        let request = AgentLogoutRequest::default();
        // Acknowledged or not, made or not: the retry under the same key is told that it is done.
        for (token, key) in &self.tried {
            let retry = client.under(*key).agent_logout(token, &request).await;
            retry.expect("the retry of a logout");
        }
        let tried = |token: &&String| self.tried.iter().any(|(tried, _)| tried == *token);
        let live: Vec<_> = (self.logins.iter()).filter(|token| !tried(token)).collect();
        for token in &live {
            let out = client.agent_logout(token, &request).await;
            out.expect("a login was forgotten");
        }
        live.len()
    }
}

/// Signs in and out until the server is gone; every second session stays.
async fn days(
    client: Client,
    device: String,
    first: usize,
    acknowledged: Arc<Mutex<Acknowledged>>,
) {
    let leave = AgentLogoutRequest::default();
    for day in first.. {
        let request = LoginRequest {
            device_id: Some(format!("{device}-{day}")),
            ..common::login("agent1001")
        };
        let Ok(answer) = client.login(&request).await else {
            return;
        };
        let token = answer.tokens.sip;
        acknowledged.lock().unwrap().logins.push(token.clone());
        if day % 2 == 0 {
            let key = Uuid::new_v4();
            let tried = (token.clone(), key);
            acknowledged.lock().unwrap().tried.push(tried);
            let left = client.under(key).agent_logout(&token, &leave).await;
            if left.is_err() {
                return;
            }
            acknowledged.lock().unwrap().logouts.push(token);
        }
    }
}

fn configure(dir: &Path, url: &str, port: u16) {
    let (data, password) = (dir.join("data"), dir.join("database.secret"));
    std::fs::write(&password, database::PASSWORD).unwrap();
    let text = format!(
        "listen = \"127.0.0.1:{port}\"\ndata_dir = {data:?}\n[database]\nurl = {url:?}\npassword_file = {password:?}\n"
    );
    std::fs::write(dir.join("server.toml"), text).unwrap();
    let added = Command::new(env!("CARGO_BIN_EXE_rollcall-server"))
        .args([
            "user",
            "add",
            "--username",
            "agent1001",
            "--extension",
            "1001",
            "--role",
        ])
        .args([
            "agent",
            "--password-env",
            "PASSWORD",
            "--sip-password-env",
            "PASSWORD",
            "--config",
        ])
        .arg(dir.join("server.toml"))
        .env("PASSWORD", common::PASSWORD)
        .output()
        .unwrap();
    assert!(
        added.status.success(),
        "{}",
        String::from_utf8_lossy(&added.stderr)
    );
}

/// What a password's hash costs is not what is killed here.
async fn cheapen_passwords(db: &mut sqlx::AnyConnection) {
    let params = Params::new(8, 1, 1, None).unwrap();
    let argon2 = Argon2::new(Algorithm::Argon2id, Version::V0x13, params);
    let salt = argon2::password_hash::SaltString::encode_b64(b"salt of a test").unwrap();
    let hash = argon2
        .hash_password(common::PASSWORD.as_bytes(), &salt)
        .unwrap();
    let statement = format!("UPDATE users SET password_hash = '{hash}'");
    sqlx::raw_sql(sqlx::AssertSqlSafe(statement))
        .execute(db)
        .await
        .unwrap();
}

/// The binary, on the configuration in `dir`, once it is ready.
fn serve(dir: &Path) -> Child {
    let mut child = Command::new(env!("CARGO_BIN_EXE_rollcall-server"))
        .args(["serve", "--ready-json", "--config"])
        .arg(dir.join("server.toml"))
        .stdin(Stdio::null())
        .stdout(Stdio::piped())
        .stderr(Stdio::null())
        .spawn()
        .unwrap();
    let mut line = String::new();
    let mut said = BufReader::new(child.stdout.as_mut().unwrap());
    said.read_line(&mut line).unwrap();
    assert!(line.contains("ready"), "{line:?}");
    child
}
