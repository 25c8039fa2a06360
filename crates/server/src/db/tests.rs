//! Behaviour of the writer, the migrations and ps_contacts in both modes.

use rollcall_alignment::{
    self as alignment, ContactId, ContactRow, ContactStatus, Extension, UserRow,
};
use rollcall_wire::http::Role;
use sqlx::{Executor as _, Row as _, SqliteConnection};
use tempfile::TempDir;

use super::*;

struct Scene {
    config: Config,
    database: Database,
    _dir: TempDir,
}

async fn scene() -> Scene {
    let dir = tempfile::tempdir().unwrap();
    let config = Config {
        data_dir: dir.path().join("data"),
        ..Config::default()
    };
    let database = Database::open(&config).await.unwrap();
    Scene {
        config,
        database,
        _dir: dir,
    }
}

async fn sqlite_of(config: &Config) -> SqliteConnection {
    match Place::of(config).unwrap().connect().await.unwrap() {
        Connection::Sqlite(db) => db,
        other => panic!("{other:?}"),
    }
}

impl Scene {
    async fn raw(&self) -> SqliteConnection {
        sqlite_of(&self.config).await
    }

    async fn count(&self, sql: &'static str) -> i64 {
        let row = self.raw().await.fetch_one(sql).await.unwrap();
        row.try_get(0).unwrap()
    }
}

fn user(username: &str, extension: &str) -> Write {
    Write::AddUser(NewUser {
        username: username.into(),
        extension: Some(extension.into()),
        role: Role::Agent,
        password_hash: "x".into(),
        sip_secret: None,
        at: 1,
    })
}

fn contact(id: &str, status: ContactStatus) -> Write {
    Write::Core(alignment::Write::Contact(ContactRow {
        id: ContactId::new(id),
        endpoint: Extension::new("1001").unwrap(),
        uri: "sip:1001@192.0.2.1".into(),
        user_agent: "Rollcall".into(),
        expires_unix: 5_000,
        qualify_frequency: 10,
        reg_server: String::new(),
        status,
    }))
}

fn presence(online: bool) -> Write {
    Write::Core(alignment::Write::User(UserRow {
        extension: Extension::new("1001").unwrap(),
        online,
        sip_registered: online,
    }))
}

#[tokio::test]
async fn a_list_is_all_there_or_not_at_all_and_its_neighbours_stay() {
    let scene = scene().await;
    let lists = [
        vec![user("ann", "1001")],
        vec![user("bob", "1002"), user("ann", "1003")],
        vec![user("cid", "1004")],
    ];
    let answers =
        futures_util::future::join_all(lists.into_iter().map(|list| scene.database.commit(list)))
            .await;
    assert!(answers[0].is_ok() && answers[2].is_ok());
    assert!(matches!(&answers[1], Err(WriteError::Conflict(what)) if what == "username"));
    assert_eq!(scene.count("SELECT COUNT(*) FROM users").await, 2);
    assert!(scene.database.healthy());
}

#[tokio::test]
async fn an_answered_write_is_seen_by_every_other_connection() {
    let scene = scene().await;
    for n in 0..20 {
        let list = vec![user(&format!("u{n}"), &format!("{n}"))];
        scene.database.commit(list).await.unwrap();
        assert_eq!(scene.count("SELECT COUNT(*) FROM users").await, n + 1);
    }
}

#[tokio::test]
async fn many_writers_share_transactions() {
    let scene = scene().await;
    let commits = (0..200).map(|n| {
        let list = vec![user(&format!("u{n}"), &format!("{n}"))];
        scene.database.commit(list)
    });
    for answer in futures_util::future::join_all(commits).await {
        answer.unwrap();
    }
    assert_eq!(scene.count("SELECT COUNT(*) FROM users").await, 200);
}

#[tokio::test]
async fn a_locked_database_fails_the_write_and_heals_with_the_next() {
    let mut scene = scene().await;
    scene.config.database.busy_timeout_ms = 20;
    scene.database.close().await;
    scene.database = Database::open(&scene.config).await.unwrap();
    let mut other = scene.raw().await;
    other.execute("BEGIN IMMEDIATE").await.unwrap();
    let refused = scene.database.commit(vec![user("ann", "1001")]).await;
    assert!(matches!(refused, Err(WriteError::Down(_))), "{refused:?}");
    assert!(!scene.database.healthy());
    other.execute("ROLLBACK").await.unwrap();
    scene
        .database
        .commit(vec![user("ann", "1001")])
        .await
        .unwrap();
    assert!(scene.database.healthy());
    assert_eq!(scene.count("SELECT COUNT(*) FROM users").await, 1);
}

#[tokio::test]
async fn writes_that_wait_are_made_before_it_closes_and_later_ones_are_refused() {
    let scene = scene().await;
    let waiting = scene.database.commit(vec![user("ann", "1001")]);
    let (written, ()) = tokio::join!(waiting, scene.database.close());
    written.unwrap();
    assert_eq!(scene.count("SELECT COUNT(*) FROM users").await, 1);
    let late = scene.database.commit(vec![user("bob", "1002")]).await;
    assert!(matches!(late, Err(WriteError::Down(_))));
}

#[tokio::test]
async fn what_is_so_already_is_not_written_again() {
    let scene = scene().await;
    scene
        .database
        .commit(vec![user("ann", "1001")])
        .await
        .unwrap();
    let list = || {
        vec![
            presence(true),
            contact("1001;@abc", ContactStatus::Reachable),
        ]
    };
    scene.database.commit(list()).await.unwrap();
    let place = Place::of(&scene.config).unwrap();
    let mut db = place.connect().await.unwrap();
    for write in list() {
        execute::execute(&mut db, Mode::Mirror, &write)
            .await
            .unwrap();
    }
    let changes = query("SELECT total_changes()");
    let row = changes.fetch_optional(&mut db).await.unwrap().unwrap();
    assert_eq!(row.try_get::<i64>(0).unwrap(), 0);
}

#[tokio::test]
async fn the_mirror_is_read_back_as_it_was_written() {
    let scene = scene().await;
    scene
        .database
        .commit(vec![user("ann", "1001")])
        .await
        .unwrap();
    let writes = vec![
        presence(true),
        contact("1001;@abc", ContactStatus::Expired),
        contact("1001;@def", ContactStatus::Reachable),
    ];
    scene.database.commit(writes).await.unwrap();
    let restored = scene.database.restore().await.unwrap();
    assert_eq!(restored.people.len(), 1);
    assert!(restored.users[0].online && restored.users[0].sip_registered);
    let statuses: Vec<_> = restored.contacts.iter().map(|row| row.status).collect();
    assert_eq!(statuses, [ContactStatus::Expired, ContactStatus::Reachable]);
    assert_eq!(restored.contacts[0].expires_unix, 5_000);
}

#[tokio::test]
async fn opening_twice_changes_nothing() {
    let scene = scene().await;
    let schema = "SELECT group_concat(sql, char(10)) FROM sqlite_schema";
    let read = async || -> String {
        let row = scene.raw().await.fetch_one(schema).await.unwrap();
        row.try_get(0).unwrap()
    };
    let before = read().await;
    Database::open(&scene.config).await.unwrap().close().await;
    assert_eq!(read().await, before);
    assert!(before.contains("ps_contacts"));
}

#[tokio::test]
async fn a_table_of_asterisks_own_keeps_its_columns_and_rows_and_gains_ours() {
    let dir = tempfile::tempdir().unwrap();
    let config = Config {
        data_dir: dir.path().join("data"),
        ..Config::default()
    };
    crate::auth::files::private_dir(&config.data_dir).unwrap();
    let mut db = sqlite_of(&config).await;
    db.execute("CREATE TABLE ps_contacts (id VARCHAR(255) NOT NULL, uri VARCHAR(511), expiration_time BIGINT, qualify_frequency INTEGER, user_agent VARCHAR(255), endpoint VARCHAR(255), reg_server VARCHAR(255), odd TEXT, UNIQUE (id))")
        .await
        .unwrap();
    db.execute(
        "INSERT INTO ps_contacts (id, endpoint, odd) VALUES ('1001^3B@abc', '1001', 'kept')",
    )
    .await
    .unwrap();
    db.execute("INSERT INTO ps_contacts (id) VALUES ('of nobody')")
        .await
        .unwrap();
    let database = Database::open(&config).await.unwrap();
    let rows = database.contacts().await.unwrap();
    assert_eq!(rows.len(), 1, "a row without an endpoint is nobody's");
    assert_eq!(rows[0].id.as_str(), "1001;@abc");
    assert_eq!(rows[0].status, ContactStatus::Unknown);
    let row = db
        .fetch_one("SELECT odd, status FROM ps_contacts")
        .await
        .unwrap();
    assert_eq!(row.try_get::<String, _>(0).unwrap(), "kept");
}

/// A server in shared mode on a table as Asterisk's ODBC driver fills it.
async fn shared_scene() -> Scene {
    let dir = tempfile::tempdir().unwrap();
    let config = Config {
        data_dir: dir.path().join("data"),
        mode: Mode::Shared,
        ..Config::default()
    };
    let database = Database::open(&config).await.unwrap();
    let scene = Scene {
        config,
        database,
        _dir: dir,
    };
    scene
        .raw()
        .await
        .execute(
            "INSERT INTO ps_contacts (id, uri, endpoint, expiration_time, user_agent, qualify_frequency, reg_server)
             VALUES ('1001^3B@abc', 'sip:1001@192.0.2.7:5060^3Btransport=tcp', '1001', 9000000000, 'Desk^3B 1', 10, 'pbx')",
        )
        .await
        .unwrap();
    scene
}

/// All of the shared table but our column, and that.
async fn asterisks_columns(scene: &Scene) -> (String, String) {
    let row = scene
        .raw()
        .await
        .fetch_one(
            "SELECT group_concat(id || uri || endpoint || user_agent || qualify_frequency || reg_server
                 || ifnull(path, 'null') || ifnull(call_id, 'null') || expiration_time, char(10)),
                 group_concat(status) FROM ps_contacts",
        )
        .await
        .unwrap();
    (row.try_get(0).unwrap(), row.try_get(1).unwrap())
}

#[tokio::test]
async fn in_shared_mode_the_status_is_all_that_is_written_of_a_contact() {
    let scene = shared_scene().await;
    let (before, status) = asterisks_columns(&scene).await;
    assert_eq!(
        status, "Unknown",
        "nothing is proved of a row just inserted"
    );
    let writes = vec![
        contact("1001;@abc", ContactStatus::Reachable),
        contact("1001;@of-no-row", ContactStatus::Reachable),
    ];
    scene.database.commit(writes).await.unwrap();
    let (after, status) = asterisks_columns(&scene).await;
    assert_eq!((after, status.as_str()), (before, "Reachable"));
    let rows = scene.database.contacts().await.unwrap();
    assert_eq!(rows.len(), 1, "{rows:?}");
    assert_eq!(rows[0].uri, "sip:1001@192.0.2.7:5060;transport=tcp");
    assert_eq!(rows[0].user_agent, "Desk; 1");
}

#[tokio::test]
async fn in_shared_mode_an_eviction_sets_the_expiry_into_the_past_and_nothing_else() {
    let scene = shared_scene().await;
    let (before, _) = asterisks_columns(&scene).await;
    let id = ContactId::new("1001;@abc");
    scene
        .database
        .commit(vec![Write::ExpireContact(id)])
        .await
        .unwrap();
    let (after, _) = asterisks_columns(&scene).await;
    assert_eq!(after, before.replace("9000000000", "1"));
}

#[tokio::test]
async fn in_shared_mode_the_last_contact_outlives_its_row() {
    let scene = shared_scene().await;
    let expired = contact("1001;@abc", ContactStatus::Expired);
    scene.database.commit(vec![expired]).await.unwrap();
    scene
        .raw()
        .await
        .execute("DELETE FROM ps_contacts")
        .await
        .unwrap();
    let rows = scene.database.restore().await.unwrap().contacts;
    assert_eq!(rows.len(), 1);
    assert_eq!(rows[0].status, ContactStatus::Expired);
    assert_eq!(rows[0].uri, "sip:1001@192.0.2.1");
    let gone = alignment::Write::ContactGone(ContactId::new("1001;@abc"));
    scene
        .database
        .commit(vec![Write::Core(gone)])
        .await
        .unwrap();
    assert!(scene.database.contacts().await.unwrap().is_empty());
}

#[tokio::test]
async fn tables_of_a_newer_server_are_refused() {
    let scene = scene().await;
    scene.database.close().await;
    scene
        .raw()
        .await
        .execute("INSERT INTO rollcall_migrations VALUES (999, 'of_tomorrow', 0)")
        .await
        .unwrap();
    let refused = Database::open(&scene.config).await.unwrap_err();
    assert!(refused.to_string().contains("newer"), "{refused}");
}
