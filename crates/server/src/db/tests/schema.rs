//! Migrations: idempotent, complete, and whole whatever cuts them.

use std::collections::BTreeSet;

use serde_json::Value as Json;

use super::*;
use crate::db::{
    backup::{TABLES, Type, as_json, columns},
    migrate::{self, MIGRATIONS},
};

/// Asterisk's in shared mode; the record that a restored database makes for itself; and which servers
/// are there, which is true of the moment only.
const OTHERS: &[&str] = &[
    "ps_contacts",
    "rollcall_migrations",
    "instances",
    "managers",
];

/// All tables with their columns and types.
async fn schema(scene: &Scene) -> Vec<String> {
    let mut db = scene.raw().await;
    let catalogue = db.dialect().columns();
    let mut all = Vec::new();
    for table in TABLES.iter().chain(OTHERS) {
        let rows = query(catalogue).bind(*table).fetch_all(&mut db).await;
        let rows = rows.unwrap();
        assert!(!rows.is_empty(), "{table} is there");
        for row in rows {
            let (name, kind): (String, String) = (row.try_get(0).unwrap(), row.try_get(1).unwrap());
            all.push(format!("{table}.{name} {kind}"));
        }
    }
    all
}

#[test]
fn migrations_name_none_of_asterisks_tables_and_each_file_is_one_of_them() {
    let folder = concat!(env!("CARGO_MANIFEST_DIR"), "/../../migrations");
    let numbered =
        |migration: &migrate::Migration| format!("{:04}_{}.sql", migration.number, migration.name);
    let known: BTreeSet<String> = MIGRATIONS.iter().map(numbered).collect();
    for dialect in ["sqlite", "postgres", "mariadb"] {
        let mut found = BTreeSet::new();
        for file in std::fs::read_dir(format!("{folder}/{dialect}")).unwrap() {
            let file = file.unwrap();
            let text = std::fs::read_to_string(file.path()).unwrap();
            let code = text.lines().map(|line| line.split("--").next().unwrap());
            let code = code.collect::<Vec<_>>().join("\n").to_lowercase();
            assert!(!code.contains("ps_"), "{}: {code}", file.path().display());
            found.insert(file.file_name().into_string().unwrap());
        }
        assert_eq!(found, known, "{dialect}");
    }
}

pub(super) async fn opening_twice_changes_nothing(scene: Scene) {
    let before = schema(&scene).await;
    let scene = scene.reopened(|_| {}).await;
    assert_eq!(schema(&scene).await, before);
    assert_eq!(
        scene
            .count("SELECT COUNT(*) FROM rollcall_migrations")
            .await,
        MIGRATIONS.len() as i64
    );
}

pub(super) async fn servers_that_start_together_migrate_once(scene: Scene) {
    scene.database.close().await;
    empty(&mut scene.raw().await).await;
    let opened = (0..4).map(|_| Database::open(&scene.config));
    for database in futures_util::future::join_all(opened).await {
        database.unwrap().close().await;
    }
    schema(&scene).await;
}

/// As before the first start.
async fn empty(db: &mut Connection) {
    for table in TABLES.iter().rev().chain(OTHERS) {
        db.run(&format!("DROP TABLE {table}")).await.unwrap();
    }
}

/// A session of ann's, online on her device.
const SESSION: &str = "00000000-0000-0000-0000-000000000001";

/// A row of each table, with the migration that makes the table; `?1` is bytes.
const ROWS: &[(usize, &str, &str)] = &[
    (
        1,
        "users",
        "INSERT INTO users (username, extension, role, online, sipRegistered, password_hash, sip_secret, created_at)
         VALUES ('ann', '1001', 'agent', TRUE, TRUE, 'hash', ?1, 5)",
    ),
    (
        1,
        "sessions",
        "INSERT INTO sessions (id, user_id, device_id, state, claim, lease, started_at, online_at)
         SELECT '00000000-0000-0000-0000-000000000001', id, 'device-1', 'online', '1001-abc', 'heartbeat', 6, 7 FROM users",
    ),
    (
        1,
        "tokens",
        "INSERT INTO tokens (hash, session_id, kind, expires_at)
         VALUES (?1, '00000000-0000-0000-0000-000000000001', 'access', 1000)",
    ),
    (
        2,
        "ledger",
        "INSERT INTO ledger (at, extension, device_id, kind, source, rule, what, detail)
         VALUES (8, '1001', 'device-1', 'intent', 'app', 'R1', 'online', 'é')",
    ),
    (
        3,
        "last_contacts",
        "INSERT INTO last_contacts (id, endpoint, uri, user_agent, expiration_time, qualify_frequency, reg_server, status)
         VALUES ('1001;@abc', '1001', 'sip:1001@192.0.2.1', 'Rollcall', 9, 10, '', 'Expired')",
    ),
    (
        5,
        "audit",
        "INSERT INTO audit (at, actor, address, action, target, detail)
         VALUES (9, 'root', '192.0.2.1', 'added', 'ann', 'agent')",
    ),
    (
        7,
        "instances",
        "INSERT INTO instances (id, run, name, started_at, seen_at) VALUES ('a', 'b', 'c', 1, 2)",
    ),
    (
        7,
        "managers",
        "INSERT INTO managers (address, instance, run, beats) VALUES ('192.0.2.1:5038', 'a', 'b', 3)",
    ),
];

/// Puts a row into each table that `migration` and those before it made; answers them as they stand there.
async fn fill(db: &mut Connection, migration: usize) -> Vec<Filled> {
    let mut filled = Vec::new();
    for (_, table, insert) in ROWS.iter().filter(|(made, ..)| *made <= migration) {
        let mut filling = query(*insert);
        if insert.contains("?1") {
            filling = filling.bind(&[3; 32][..]);
        }
        filling.execute(&mut *db).await.unwrap();
        let columns = columns(db, table).await.unwrap();
        let row = only_row(db, table, &columns).await;
        filled.push((*table, columns, row));
    }
    filled
}

/// A table's columns, and what the one row of it holds in them.
type Filled = (&'static str, Vec<(String, Type)>, Json);

async fn only_row(db: &mut Connection, table: &str, columns: &[(String, Type)]) -> Json {
    let names: Vec<&str> = columns.iter().map(|(name, _)| name.as_str()).collect();
    let select = format!("SELECT {} FROM {table}", names.join(", "));
    let rows = query(select).fetch_all(db).await.unwrap();
    assert_eq!(rows.len(), 1, "{table}");
    Json::Object(as_json(&rows[0], columns).unwrap())
}

/// From each migration on, with a row in every table that there was then.
pub(super) async fn nothing_is_lost_from_any_migration_to_the_newest(scene: Scene) {
    every_table_has_a_row_above();
    let whole = schema(&scene).await;
    scene.database.close().await;
    let mut db = scene.raw().await;
    // Where statements wait for a server's disk, from the first one only.
    let last = if db.dialect().is_remote() {
        1
    } else {
        MIGRATIONS.len()
    };
    for made in 1..=last {
        empty(&mut db).await;
        migrate::up_to(&mut db, &MIGRATIONS[..made]).await.unwrap();
        let filled = fill(&mut db, made).await;
        db.close().await.unwrap();
        let scene = Scene::open(scene.config.clone()).await;
        assert_eq!(schema(&scene).await, whole, "from {made}");
        db = scene.raw().await;
        for (table, columns, row) in filled {
            let kept = only_row(&mut db, table, &columns).await;
            assert_eq!(kept, row, "{table} from {made}");
        }
        let restored = scene.database.restore().await.unwrap();
        assert_eq!(restored.sessions[0].claim.as_deref(), Some("1001-abc"));
        let ann = scene.database.credentials("ann").await.unwrap().unwrap();
        assert_eq!(ann.password_hash, "hash");
        let of_token = scene.database.session_of_access(&[3; 32], 8).await.unwrap();
        assert_eq!(of_token.unwrap().id.to_string(), SESSION);
        scene
            .commit(vec![user("bob", "1002"), presence(true)])
            .await;
        scene.database.close().await;
    }
}

fn every_table_has_a_row_above() {
    let rows: BTreeSet<&str> = ROWS.iter().map(|(_, table, _)| *table).collect();
    let others = OTHERS.iter().filter(|table| {
        // Made by code that reads the catalogue; the migrations' own.
        !["ps_contacts", "rollcall_migrations"].contains(table)
    });
    let tables: BTreeSet<&str> = TABLES.iter().chain(others).copied().collect();
    assert_eq!(rows, tables);
}

/// Each of them cut in its midst, as far as the database can be cut there, with rows in all tables before it.
pub(super) async fn a_migration_that_was_cut_is_run_again(scene: Scene) {
    let whole = schema(&scene).await;
    scene.database.close().await;
    let mut db = scene.raw().await;
    for (before, migration) in MIGRATIONS.iter().enumerate() {
        empty(&mut db).await;
        migrate::up_to(&mut db, &MIGRATIONS[..before])
            .await
            .unwrap();
        let filled = fill(&mut db, before).await;
        migrate::cut(&mut db, migration).await;
        // The server that was cut is gone, and its locks with it.
        db.close().await.unwrap();
        let again = Scene::open(scene.config.clone()).await;
        assert_eq!(schema(&again).await, whole, "{} was cut", migration.name);
        db = scene.raw().await;
        for (table, columns, row) in filled {
            let kept = only_row(&mut db, table, &columns).await;
            assert_eq!(kept, row, "{table}, {} was cut", migration.name);
        }
        again.database.close().await;
    }
}

/// A backup holds the tables of its list and no others.
pub(super) async fn every_table_is_in_the_list_that_backups_are_made_of(scene: Scene) {
    let mut db = scene.raw().await;
    let catalogue = match &db {
        Connection::Sqlite(_) => {
            "SELECT name FROM sqlite_master WHERE type = 'table' AND name NOT LIKE 'sqlite_%'"
        }
        Connection::Postgres(_) => {
            "SELECT table_name::text FROM information_schema.tables
             WHERE table_schema = current_schema()"
        }
        Connection::MariaDb(_) => {
            "SELECT CONVERT(table_name USING utf8mb4) FROM information_schema.tables
             WHERE table_schema = DATABASE()"
        }
    };
    let rows = query(catalogue).fetch_all(&mut db).await.unwrap();
    let there: BTreeSet<String> = rows.iter().map(|row| row.try_get(0).unwrap()).collect();
    // Asterisk's in shared mode; the record that a restored database makes for itself; and which
    // servers are there, which is true of the moment only.
    let others = [
        "ps_contacts",
        "rollcall_migrations",
        "instances",
        "managers",
    ];
    let listed = TABLES.iter().copied().chain(others);
    assert_eq!(there, listed.map(str::to_owned).collect());
}

pub(super) async fn tables_of_a_newer_server_are_refused(scene: Scene) {
    scene.database.close().await;
    let newer = "INSERT INTO rollcall_migrations VALUES (999, 'of_tomorrow', 1)";
    scene.raw().await.run(newer).await.unwrap();
    let refused = Database::open(&scene.config).await.unwrap_err();
    assert!(refused.to_string().contains("newer"), "{refused}");
}

/// Filled on this database; brought back on this one and on SQLite, and from there.
pub(super) async fn a_backup_brought_back_elsewhere_holds_the_same(scene: Scene) {
    scene
        .commit(vec![user("ann", "1001"), user("bob", "1002")])
        .await;
    let bob = scene.database.credentials("bob").await.unwrap().unwrap();
    let session = NewSession {
        id: crate::auth::SessionId::from_u128(7),
        user_id: bob.user_id,
        judged: crate::config::Secret::new(bob.password_hash),
        device_id: "device-1".into(),
        bound: false,
        at: 5,
        tokens: TokenPair {
            access: [1; 32],
            access_expires: 100,
            refresh: [200; 32],
            refresh_expires: 100,
        },
        sip: None,
    };
    let contact = contact("1001;@abc", ContactStatus::Reachable);
    scene
        .commit(vec![Write::StartSession(session), presence(true), contact])
        .await;
    let mut file = Vec::new();
    let rows = backup(&scene.config, &mut file).await.unwrap();
    let dir = tempfile::tempdir().unwrap();
    let elsewhere = Config {
        data_dir: dir.path().join("elsewhere"),
        ..Config::default()
    };
    assert_eq!(restore(&elsewhere, &file[..]).await.unwrap(), rows);
    let mut again = Vec::new();
    backup(&elsewhere, &mut again).await.unwrap();
    scene.database.close().await;
    empty(&mut scene.raw().await).await;
    assert_eq!(restore(&scene.config, &again[..]).await.unwrap(), rows);
    let scene = Scene::open(scene.config).await;
    let restored = scene.database.restore().await.unwrap();
    assert!(restored.users[0].online && restored.sessions.len() == 1);
    assert_eq!(
        restored.contacts,
        [row("1001;@abc", ContactStatus::Reachable)]
    );
    let of_token = scene.database.session_of_access(&[1; 32], 8).await.unwrap();
    assert_eq!(of_token.unwrap().username, "bob");
    scene.commit(vec![user("cid", "1003")]).await;
    let full = restore(&scene.config, &again[..]).await;
    assert!(matches!(full, Err(BackupError::NotEmpty)));
    let cut = &again[..again.len() - 12];
    empty_again(&scene).await;
    let refused = restore(&scene.config, cut).await;
    assert!(matches!(refused, Err(BackupError::Format { .. })));
    assert_eq!(scene.count("SELECT COUNT(*) FROM users").await, 0);
}

async fn empty_again(scene: &Scene) {
    let mut db = scene.raw().await;
    db.run("DELETE FROM users").await.unwrap();
}
