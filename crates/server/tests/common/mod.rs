//! A real server on a free port, and the real client.
#![allow(dead_code, reason = "each test program uses a part of it")]

pub(crate) mod socket;

use std::{collections::BTreeMap, path::Path, time::Duration};

use argon2::{Algorithm, Argon2, Params, PasswordHasher as _, Version, password_hash::SaltString};
use rollcall_server::{Config, NewPerson, Running, config::Secret};
use rollcall_server_client::{Client, Realtime, RealtimeEvent, RealtimeEvents};
use rollcall_wire::{
    http::{AgentOnlineResponse, LoginRequest, LoginResponse, Role},
    realtime::{AgentStatus, AgentsSnapshot},
};
use sqlx::{
    Column as _, Connection as _, Row as _, SqliteConnection, sqlite::SqliteConnectOptions,
};
use tempfile::TempDir;

pub(crate) const PASSWORD: &str = "correct horse";
pub(crate) const SIP_PASSWORD: &str = "sip-battery-staple";
/// Longer than anything here takes; reaching it is a failure.
pub(crate) const PATIENCE: Duration = Duration::from_secs(20);

/// A server with agents 1001 and 1002 and a supervisor.
pub(crate) struct House {
    pub(crate) running: Running,
    pub(crate) client: Client,
    pub(crate) dir: TempDir,
}

impl House {
    pub(crate) async fn open() -> Self {
        Self::open_with(|_| {}).await
    }

    pub(crate) async fn open_with(change: impl FnOnce(&mut Config)) -> Self {
        let dir = tempfile::tempdir().unwrap();
        let mut config = config(dir.path());
        change(&mut config);
        let running = rollcall_server::start(config).await.unwrap();
        for (username, extension, role) in [
            ("agent1001", Some("1001"), Role::Agent),
            ("agent1002", Some("1002"), Role::Agent),
            ("supervisor", None, Role::Supervisor),
        ] {
            running
                .add_person(person(username, extension, role))
                .await
                .unwrap();
        }
        let client = Client::new(&base_url(&running)).unwrap();
        Self {
            running,
            client,
            dir,
        }
    }

    /// A server on data that is there already; `dir` has to outlive it.
    pub(crate) async fn open_on(dir: &TempDir, change: impl FnOnce(&mut Config)) -> Self {
        let mut config = config(dir.path());
        change(&mut config);
        let running = rollcall_server::start(config).await.unwrap();
        let client = Client::new(&base_url(&running)).unwrap();
        Self {
            running,
            client,
            dir: tempfile::tempdir().unwrap(),
        }
    }

    /// Ends the server and starts another on the same data.
    pub(crate) async fn reopen(self) -> Self {
        self.reopen_with(|_| {}).await
    }

    /// The same with another configuration.
    pub(crate) async fn reopen_with(self, change: impl FnOnce(&mut Config)) -> Self {
        let Self { running, dir, .. } = self;
        running.shutdown().await;
        let mut config = config(dir.path());
        change(&mut config);
        let running = rollcall_server::start(config).await.unwrap();
        let client = Client::new(&base_url(&running)).unwrap();
        Self {
            running,
            client,
            dir,
        }
    }

    pub(crate) async fn sign_in(&self, username: &str) -> LoginResponse {
        self.client.login(&login(username)).await.unwrap()
    }

    /// Agent 1001 goes online.
    pub(crate) async fn online(&self, token: &str) -> AgentOnlineResponse {
        let online = self.client.agent_online(token, "1001", "sip:1001@h").await;
        online.unwrap()
    }

    pub(crate) async fn sign_out(&self, token: &str) {
        let out = self.client.agent_logout(token, &Default::default()).await;
        out.unwrap();
    }

    pub(crate) fn url(&self, path: &str) -> String {
        format!("{}{path}", base_url(&self.running))
    }

    /// Every row of every table but the ledger's and the counters', as text.
    pub(crate) async fn tables(&self) -> BTreeMap<String, Vec<String>> {
        tables(self.dir.path()).await
    }
}

pub(crate) fn config(dir: &Path) -> Config {
    Config {
        listen: "127.0.0.1:0".parse().unwrap(),
        data_dir: dir.join("data"),
        ..Config::default()
    }
}

pub(crate) fn base_url(running: &Running) -> String {
    format!("http://{}", running.http_addr())
}

pub(crate) fn person(username: &str, extension: Option<&str>, role: Role) -> NewPerson {
    NewPerson {
        username: username.into(),
        extension: extension.map(Into::into),
        role,
        password: Secret::new(PASSWORD),
        sip_password: extension.map(|_| Secret::new(SIP_PASSWORD)),
    }
}

pub(crate) fn login(username: &str) -> LoginRequest {
    LoginRequest {
        username: username.into(),
        password: PASSWORD.into(),
        device_id: Some(device_of(username)),
    }
}

pub(crate) fn device_of(username: &str) -> String {
    // No name in it: logs may name devices, and never people.
    let digits: String = username.chars().filter(char::is_ascii_digit).collect();
    format!("device-{digits:0>8}")
}

pub(crate) async fn query(dir: &Path, sql: &'static str) -> Vec<Vec<(String, String)>> {
    let options = SqliteConnectOptions::new()
        .filename(dir.join("data/rollcall.db"))
        .read_only(true);
    let mut db = SqliteConnection::connect_with(&options).await.unwrap();
    let rows = sqlx::query(sql).fetch_all(&mut db).await.unwrap();
    rows.iter()
        .map(|row| {
            row.columns()
                .iter()
                .map(|column| {
                    let value = row.try_get_unchecked::<Option<String>, _>(column.ordinal());
                    (
                        column.name().to_owned(),
                        value.unwrap().unwrap_or_else(|| "NULL".into()),
                    )
                })
                .collect()
        })
        .collect()
}

/// Changes the database behind the server's back.
pub(crate) async fn execute(dir: &Path, sql: &'static str) {
    let options = SqliteConnectOptions::new().filename(dir.join("data/rollcall.db"));
    let mut db = SqliteConnection::connect_with(&options).await.unwrap();
    sqlx::raw_sql(sql).execute(&mut db).await.unwrap();
}

/// Holds the database as another process would that writes and does not end.
pub(crate) async fn lock(dir: &Path) -> SqliteConnection {
    let options = SqliteConnectOptions::new().filename(dir.join("data/rollcall.db"));
    let mut db = SqliteConnection::connect_with(&options).await.unwrap();
    sqlx::raw_sql("BEGIN IMMEDIATE")
        .execute(&mut db)
        .await
        .unwrap();
    db
}

/// Adds agents of these extensions as copies of agent 1001, sparing their passwords' hashing.
/// Gives agent 1001 a hash that costs next to nothing, of the same password.
pub(crate) async fn cheapen(dir: &Path) {
    let params = Params::new(8, 1, 1, None).unwrap();
    let salt = SaltString::from_b64("c2FsdHNhbHQ").unwrap();
    let hash = Argon2::new(Algorithm::Argon2id, Version::V0x13, params)
        .hash_password(PASSWORD.as_bytes(), &salt)
        .unwrap()
        .to_string();
    let options = SqliteConnectOptions::new().filename(dir.join("data/rollcall.db"));
    let mut db = SqliteConnection::connect_with(&options).await.unwrap();
    sqlx::query("UPDATE users SET password_hash = ?1 WHERE extension = '1001'")
        .bind(hash)
        .execute(&mut db)
        .await
        .unwrap();
}

pub(crate) async fn copy_agents(dir: &Path, extensions: std::ops::Range<u32>) {
    let options = SqliteConnectOptions::new().filename(dir.join("data/rollcall.db"));
    let mut db = SqliteConnection::connect_with(&options).await.unwrap();
    let mut all = db.begin().await.unwrap();
    for extension in extensions {
        sqlx::query(
            "INSERT INTO users (username, extension, role, password_hash, sip_secret, created_at)
             SELECT 'agent' || ?1, ?1, role, password_hash, sip_secret, created_at
             FROM users WHERE extension = '1001'",
        )
        .bind(extension.to_string())
        .execute(&mut *all)
        .await
        .unwrap();
    }
    all.commit().await.unwrap();
}

pub(crate) async fn unlock(db: &mut SqliteConnection) {
    sqlx::raw_sql("ROLLBACK").execute(db).await.unwrap();
}

async fn tables(dir: &Path) -> BTreeMap<String, Vec<String>> {
    let mut all = BTreeMap::new();
    let tables = [
        (
            "users",
            "SELECT id, username, extension, role, online, sipRegistered, password_hash, hex(sip_secret), disabled_at
             FROM users",
        ),
        (
            "sessions",
            "SELECT id, user_id, device_id, state, claim, ended_at FROM sessions",
        ),
        (
            "tokens",
            "SELECT hex(hash), session_id, kind, expires_at, used_at FROM tokens",
        ),
        ("audit", "SELECT id, actor, action, target, detail FROM audit"),
        ("ps_contacts", "SELECT id, uri, status FROM ps_contacts"),
    ];
    for (name, sql) in tables {
        let rows = query(dir, sql).await;
        all.insert(
            name.to_owned(),
            rows.iter().map(|row| format!("{row:?}")).collect(),
        );
    }
    all
}

/// A connection to the board, past its first snapshot.
pub(crate) async fn watch(
    client: &Client,
    token: &str,
) -> (Realtime, RealtimeEvents, AgentsSnapshot) {
    let (realtime, mut events) = Realtime::connect(client, token.to_owned());
    assert_eq!(next(&mut events).await, RealtimeEvent::Connected);
    let RealtimeEvent::Snapshot(snapshot) = next(&mut events).await else {
        panic!("the first thing a connection hears is the snapshot");
    };
    (realtime, events, snapshot)
}

pub(crate) async fn next(events: &mut RealtimeEvents) -> RealtimeEvent {
    tokio::time::timeout(PATIENCE, events.next())
        .await
        .expect("an event in time")
        .expect("an open connection")
}

/// The next change that `fits`, every one before it being the next in sequence.
pub(crate) async fn until(
    events: &mut RealtimeEvents,
    fits: impl Fn(&AgentStatus) -> bool,
) -> AgentStatus {
    loop {
        match next(events).await {
            RealtimeEvent::Status(status) if fits(&status) => return status,
            RealtimeEvent::Status(_) => {}
            other => panic!("a change was awaited, and {other:?} came"),
        }
    }
}
