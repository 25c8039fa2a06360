//! Shared mode: Asterisk keeps its contacts in the server's database, through ODBC, and both write it.

use std::path::Path;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, AtomicU32, Ordering};
use std::time::Duration;

use rollcall_e2e::asterisk::{Contacts, Person, Settings};
use rollcall_e2e::database::Kind;
use rollcall_e2e::phone::Phone;
use rollcall_e2e::server::{Options, SUPERVISOR, SharedDatabase};
use rollcall_e2e::waiting::PROMPTLY;
use rollcall_e2e::{Asterisk, Mode, Scene, Server, eventually};
use serde_json::json;
use sqlx::sqlite::SqliteConnectOptions;
use sqlx::{ConnectOptions, Executor, Row, SqliteConnection};
use tokio::net::UdpSocket;
use tokio::task::JoinSet;

/// A periodic list, and what the phone takes to register again when it is asked to.
const AFTER_A_RESYNC: Duration = Duration::from_secs(20);
/// A boot, back-off, grace, and the phone's retries; and a busy machine.
const AFTER_A_RESTART: Duration = Duration::from_secs(40);

/// `ps_contacts` as Asterisk 22's own migrations make it.
const STOCK: &str = "CREATE TABLE ps_contacts (id VARCHAR(255) NOT NULL, uri VARCHAR(511), expiration_time BIGINT,
    qualify_frequency INTEGER, outbound_proxy VARCHAR(255), path TEXT, user_agent VARCHAR(255), qualify_timeout FLOAT,
    reg_server VARCHAR(255), authenticate_qualify VARCHAR(5), via_addr VARCHAR(40), via_port INTEGER,
    call_id VARCHAR(255), endpoint VARCHAR(255), prune_on_boot VARCHAR(5), qualify_2xx_only VARCHAR(5), UNIQUE (id),
    CONSTRAINT ps_contacts_uq UNIQUE (id, reg_server));
    CREATE INDEX ps_contacts_qualifyfreq_exp ON ps_contacts (qualify_frequency, expiration_time);";

#[tokio::test]
async fn a_row_is_asterisks_own_but_for_its_status() {
    let scene = Scene::start(Mode::Shared).await;
    let mut agent = scene.signed_in("1001").await;
    let mut database = scene.server.database().await;
    let row = database
        .fetch_one("SELECT id, user_agent, reg_server, call_id, via_addr, qualify_2xx_only, status FROM ps_contacts")
        .await
        .unwrap_or_else(|error| panic!("{error}"));
    let text = |column: &str| row.get::<Option<String>, _>(column).unwrap_or_default();
    assert!(
        text("id").starts_with("1001^3B@"),
        "as ODBC encodes it: {}",
        text("id")
    );
    assert_eq!(text("reg_server"), "lab", "Asterisk's systemname");
    assert_eq!(
        (text("via_addr").as_str(), text("qualify_2xx_only").as_str()),
        ("127.0.0.1", "true")
    );
    assert!(!text("call_id").is_empty() && text("user_agent").contains("(device "));
    assert_eq!(text("status"), "Reachable");
    assert!(agent.terminate().await.success());
    scene.all_say_offline("1001").await;
    let kept = database
        .fetch_one("SELECT endpoint, status FROM last_contacts")
        .await
        .unwrap_or_else(|error| panic!("the last contact is remembered: {error}"));
    assert_eq!(
        (kept.get("endpoint"), kept.get("status")),
        ("1001", "Expired")
    );
}

#[tokio::test]
async fn a_shared_day_on_sqlite() {
    a_day_on(Kind::Sqlite).await;
}

#[tokio::test]
async fn a_shared_day_on_postgresql() {
    a_day_on(Kind::Postgres).await;
}

#[tokio::test]
async fn a_shared_day_on_mariadb() {
    a_day_on(Kind::MariaDb).await;
}

/// Register, refresh, expire, log out, evict, restart of either side.
async fn a_day_on(kind: Kind) {
    let extensions = ["1001", "1002", "1003"];
    let settings = Settings {
        files: vec![("pjsip.conf".to_owned(), open_registrar(&extensions))],
        ..Settings::default()
    };
    let options = Options::default();
    let mut scene = match kind {
        Kind::Sqlite => Scene::start_with(Mode::Shared, settings, options).await,
        kind => Scene::shared_on(kind, settings, options).await,
    };
    let mut agent = scene.signed_in("1001").await;
    scene.all_say_available("1001").await;
    a_desk_phone_comes_refreshes_and_expires(&scene).await;

    scene.server.kill();
    scene.server.serve().await;
    scene
        .board
        .shows("1001", "Available", AFTER_A_RESTART)
        .await;
    scene.all_say_available("1001").await;
    scene.asterisk.kill();
    scene.asterisk.boot().await;
    scene
        .board
        .shows("1001", "Available", AFTER_A_RESTART)
        .await;
    scene.all_say_available("1001").await;

    assert!(agent.terminate().await.success());
    scene.all_say_offline("1001").await;
    evicted_by_its_logout(&scene, "1003").await;
    let complaints = scene.asterisk.complaints_of_databases();
    assert!(complaints.is_empty(), "Asterisk: {complaints:#?}");
}

/// The row is Asterisk's: it makes it, moves its expiry on and takes it away; our column stays with it meanwhile.
async fn a_desk_phone_comes_refreshes_and_expires(scene: &Scene) {
    let socket = UdpSocket::bind("127.0.0.1:0").await;
    let socket = socket.unwrap_or_else(|error| panic!("{error}"));
    let to = scene.asterisk.sip();
    let connected = socket.connect(&to).await;
    connected.unwrap_or_else(|error| panic!("{error}"));
    register(&socket, &to, "1002-desk", 1, 60).await;
    scene
        .board
        .shows_where("1002", "its desk phone", PROMPTLY, |agent| {
            agent["contactStatus"] == "Unreachable"
        })
        .await;
    let rows = scene.server.rows("1002").await;
    let first = rows.expires.unwrap_or_default();
    assert_eq!(
        rows.contacts,
        [("1002".to_owned(), "Unreachable".to_owned())]
    );
    register(&socket, &to, "1002-desk", 2, 600).await;
    let rows = scene.server.rows("1002").await;
    assert!(rows.expires > Some(first + 300), "{first}, then {rows:?}");
    assert_eq!(
        rows.contacts,
        [("1002".to_owned(), "Unreachable".to_owned())]
    );
    register(&socket, &to, "1002-desk", 3, 2).await;
    scene.all_say_offline_within("1002", AFTER_A_RESYNC).await;
}

/// The phone stays registered; its row goes all the same.
async fn evicted_by_its_logout(scene: &Scene, extension: &str) {
    let phone = Phone::of(extension, &scene.asterisk).start();
    let contact = phone.registered().await;
    let token = scene.server.token(extension).await;
    let body = json!({ "extension": extension, "contactUri": contact });
    let online = (scene.server)
        .post("/api/users/agent-online", Some(&token), &body)
        .await;
    assert_eq!(online.status, 200, "{online:?}");
    scene.a_contact_is_reachable(extension).await;
    let left = (scene.server)
        .post("/api/users/agent-logout", Some(&token), &json!({}))
        .await;
    assert_eq!(left.status, 200, "{left:?}");
    scene
        .all_say_offline_within(extension, AFTER_A_RESYNC)
        .await;
}

#[tokio::test]
async fn a_table_in_use_gains_our_column_and_loses_nothing() {
    let folder = tempfile::tempdir().unwrap_or_else(|error| panic!("{error}"));
    let file = folder.path().join("asterisk.db");
    let mut database = open(&file).await;
    let made = sqlx::raw_sql(STOCK).execute(&mut database).await;
    made.unwrap_or_else(|error| panic!("{error}"));
    let before = columns(&mut database).await;
    let asterisk = Asterisk::start(Settings {
        contacts: Contacts::Table(file),
        ..Settings::default()
    })
    .await;
    let phone = Phone::of("1002", &asterisk).start();
    phone.registered().await;
    let server = Server::start(&asterisk).await;
    let board = server.board(SUPERVISOR).await;
    let mut after = columns(&mut database).await;
    assert_eq!(after.pop().as_deref(), Some("status"));
    assert_eq!(after, before);
    board
        .shows_where("1002", "its desk phone", PROMPTLY, |agent| {
            agent["contactStatus"] == "Reachable"
        })
        .await;
    let rows = server.rows("1002").await;
    assert_eq!(rows.contacts, [("1002".to_owned(), "Reachable".to_owned())]);
}

#[tokio::test]
async fn a_row_that_somebody_deletes_is_never_green_and_comes_back_whole() {
    let scene = Scene::start(Mode::Shared).await;
    let _agent = scene.signed_in("1001").await;
    let Contacts::Table(file) = &scene.asterisk.settings().contacts else {
        panic!("a table of contacts");
    };
    let mut by_hand = open(file).await;
    by_hand
        .execute("DELETE FROM ps_contacts")
        .await
        .unwrap_or_else(|error| panic!("{error}"));
    scene
        .board
        .shows_where("1001", "not Available", AFTER_A_RESYNC, |agent| {
            agent["status"] != "Available"
        })
        .await;
    scene.board.shows("1001", "Available", AFTER_A_RESYNC).await;
    scene.all_say_available("1001").await;
}

#[tokio::test]
async fn a_status_that_somebody_changes_is_put_right() {
    let scene = Scene::start(Mode::Shared).await;
    let _agent = scene.signed_in("1001").await;
    let Contacts::Table(file) = &scene.asterisk.settings().contacts else {
        panic!("a table of contacts");
    };
    open(file)
        .await
        .execute("UPDATE ps_contacts SET status = 'Unknown'")
        .await
        .unwrap_or_else(|error| panic!("{error}"));
    eventually(
        "the status is Reachable again",
        AFTER_A_RESYNC,
        async || {
            let rows = scene.server.rows("1001").await;
            match rows.contacts.first() {
                Some((_, status)) if status == "Reachable" => Ok(()),
                _ => Err(format!("{rows:?}")),
            }
        },
    )
    .await;
}

#[tokio::test]
async fn what_asterisk_lists_from_another_table_is_named_in_the_log() {
    let elsewhere = SharedDatabase::migrated();
    let asterisk = Asterisk::start(Settings {
        contacts: Contacts::Table(elsewhere.file()),
        files: vec![(
            "sorcery.conf".to_owned(),
            "; nothing is mapped\n".to_owned(),
        )],
        ..Settings::default()
    })
    .await;
    let server = Server::start(&asterisk).await;
    let phone = Phone::of("1001", &asterisk).start();
    phone.registered().await;
    eventually(
        "the server says what is wrong",
        AFTER_A_RESYNC,
        async || {
            let said = server.complaints().join("\n");
            if said.contains("sorcery.conf") {
                Ok(())
            } else {
                Err(said)
            }
        },
    )
    .await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn no_write_of_either_side_fails_while_both_write() {
    let extensions = ["1001", "1002", "1003", "1004"];
    let settings = Settings {
        files: vec![("pjsip.conf".to_owned(), open_registrar(&extensions))],
        people: extensions
            .map(|extension| Person {
                extension: extension.to_owned(),
                password: "unused".to_owned(),
            })
            .to_vec(),
        ..Settings::default()
    };
    let scene = Arc::new(Scene::start_with(Mode::Shared, settings, Options::default()).await);
    let Contacts::Table(file) = scene.asterisk.settings().contacts.clone() else {
        panic!("a table of contacts");
    };
    let over = Arc::new(AtomicBool::new(false));
    let mut servers = JoinSet::new();
    for extension in extensions {
        let (scene, over) = (Arc::clone(&scene), Arc::clone(&over));
        servers.spawn(async move {
            let mut days = 0;
            while !over.load(Ordering::Relaxed) {
                a_short_day(&scene.server, extension).await;
                days += 1;
            }
            days
        });
    }
    let mut registrars = JoinSet::new();
    let locks = Arc::new(AtomicU32::new(0));
    for extension in extensions {
        let (to, locks) = (scene.asterisk.sip(), Arc::clone(&locks));
        registrars.spawn(async move { register_many(&to, extension, 30, &locks).await });
    }
    let locked = locks_now_and_then(&file, &over, &locks);
    let asterisk = async {
        let registered: u32 = registrars.join_all().await.iter().sum();
        over.store(true, Ordering::Relaxed);
        registered
    };
    let (registered, ()) = tokio::join!(asterisk, locked);
    let locks = locks.load(Ordering::Relaxed);
    let days: u32 = servers.join_all().await.iter().sum();
    assert!(
        registered >= 240 && days >= 4 && locks >= LOCKS,
        "{registered} REGISTERs, {days} days, {locks} locks"
    );
    let failed = scene.asterisk.complaints_of_databases();
    assert!(failed.is_empty(), "Asterisk: {failed:#?}");
    let refused: Vec<String> = scene
        .server
        .complaints()
        .into_iter()
        .filter(|line| line.contains("database") || line.contains("could not be"))
        .collect();
    assert!(refused.is_empty(), "the server: {refused:#?}");
}

/// Signs in, goes online, leaves; each is a write that is answered once it is on disk.
async fn a_short_day(server: &Server, extension: &str) {
    let token = server.token(extension).await;
    let user = format!("sip:{extension}-0@127.0.0.1:4000");
    let body = json!({ "extension": extension, "contactUri": user });
    let online = server
        .post("/api/users/agent-online", Some(&token), &body)
        .await;
    assert_eq!(online.status, 200, "{online:?}");
    let left = server
        .post("/api/users/agent-logout", Some(&token), &json!({}))
        .await;
    assert_eq!(left.status, 200, "{left:?}");
}

/// How often the file is held, at least, while both sides write.
const LOCKS: u32 = 2;

/// Somebody else (a backup, an admin) holds the file for half a second at a time.
async fn locks_now_and_then(file: &Path, over: &AtomicBool, locks: &AtomicU32) {
    let mut database = open(file).await;
    while !over.load(Ordering::Relaxed) {
        for statement in ["BEGIN IMMEDIATE", "UPDATE users SET role = role"] {
            let done = database.execute(statement).await;
            done.unwrap_or_else(|error| panic!("{statement}: {error}"));
        }
        // Held on purpose: this is what the others have to bear.
        tokio::time::sleep(Duration::from_millis(500)).await;
        let done = database.execute("COMMIT").await;
        done.unwrap_or_else(|error| panic!("{error}"));
        locks.fetch_add(1, Ordering::Relaxed);
        tokio::time::sleep(Duration::from_millis(500)).await;
    }
}

/// Registers, refreshes and (every other one) un-registers so many contacts, and more that all go, until the file was held
/// often enough; a 200 without the contact is a write that failed.
async fn register_many(to: &str, extension: &str, contacts: u32, locks: &AtomicU32) -> u32 {
    let socket = UdpSocket::bind("127.0.0.1:0")
        .await
        .unwrap_or_else(|error| panic!("{error}"));
    socket
        .connect(to)
        .await
        .unwrap_or_else(|error| panic!("{error}"));
    let mut sent = 0;
    for contact in 0.. {
        if contact >= contacts && locks.load(Ordering::Relaxed) >= LOCKS {
            break;
        }
        let user = format!("{extension}-{contact}");
        let goes = contact % 2 == 0 || contact >= contacts;
        let last = if goes { 0 } else { 60 };
        for expires in [60, 60, last] {
            sent += 1;
            register(&socket, to, &user, sent, expires).await;
        }
    }
    sent
}

/// One REGISTER of `EXTENSION-anything`, its 200, and in it the contact if it is to stay.
async fn register(socket: &UdpSocket, to: &str, user: &str, sequence: u32, expires: u32) {
    let extension = user.split('-').next().unwrap_or(user);
    let port = socket.local_addr().map_or(0, |address| address.port());
    let request = format!(
        "REGISTER sip:{to} SIP/2.0\r\nVia: SIP/2.0/UDP 127.0.0.1:{port};branch=z9hG4bK{user}-{sequence}\r\n\
         Max-Forwards: 70\r\nFrom: <sip:{extension}@{to}>;tag={sequence}\r\nTo: <sip:{extension}@{to}>\r\n\
         Call-ID: {user}\r\nCSeq: {sequence} REGISTER\r\nContact: <sip:{user}@127.0.0.1:{port}>\r\n\
         Expires: {expires}\r\nContent-Length: 0\r\n\r\n"
    );
    let sending = socket.send(request.as_bytes()).await;
    sending.unwrap_or_else(|error| panic!("{error}"));
    let answer = answer_to(socket, &format!("CSeq: {sequence} REGISTER")).await;
    assert!(answer.starts_with("SIP/2.0 200"), "{answer}");
    let listed = answer.contains(&format!("sip:{user}@"));
    assert_eq!(listed, expires > 0, "{answer}");
}

/// The final answer to one request; OPTIONS that come meanwhile stay unanswered.
async fn answer_to(socket: &UdpSocket, cseq: &str) -> String {
    let mut buffer = [0; 8192];
    loop {
        let read = tokio::time::timeout(PROMPTLY, socket.recv(&mut buffer)).await;
        let length = match read {
            Ok(Ok(length)) => length,
            other => panic!("no answer: {other:?}"),
        };
        let text = String::from_utf8_lossy(&buffer[..length]).into_owned();
        if text.starts_with("SIP/2.0 ") && text.contains(cseq) {
            return text;
        }
    }
}

/// A `pjsip.conf` whose endpoints need no password.
fn open_registrar(extensions: &[&str]) -> String {
    let transport = "[global]\ntype = global\nendpoint_identifier_order = username\n\
                     contact_expiration_check_interval = 1\n\
                     [udp]\ntype = transport\nprotocol = udp\nbind = 127.0.0.1:{sip}\n";
    extensions.iter().fold(transport.to_owned(), |text, extension| {
        text + &format!(
            "[{extension}]\ntype = endpoint\ncontext = agents\naors = {extension}\n\
             [{extension}]\ntype = aor\nmax_contacts = 100\nminimum_expiration = 1\nqualify_frequency = 1\nqualify_timeout = 0.5\n"
        )
    })
}

async fn columns(database: &mut SqliteConnection) -> Vec<String> {
    database
        .fetch_all("SELECT name || ' ' || type || ' ' || \"notnull\" FROM pragma_table_info('ps_contacts') WHERE name <> 'status'
                    UNION ALL SELECT name FROM pragma_table_info('ps_contacts') WHERE name = 'status'")
        .await
        .unwrap_or_else(|error| panic!("{error}"))
        .iter()
        .map(|row| row.get(0))
        .collect()
}

async fn open(file: &Path) -> SqliteConnection {
    SqliteConnectOptions::new()
        .filename(file)
        .create_if_missing(true)
        .busy_timeout(Duration::from_secs(5))
        .connect()
        .await
        .unwrap_or_else(|error| panic!("{}: {error}", file.display()))
}
