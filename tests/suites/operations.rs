//! `docs/operations.md`, line by line: Asterisk and the server are started with the document's own blocks, a day is
//! lived with them, and every line of Asterisk's files is looked up in the running Asterisk.

use std::collections::{BTreeMap, BTreeSet};
use std::time::Duration;

use rollcall_ami::session::SessionConfig;
use rollcall_ami::{Action, Client, ClientConfig, account};
use rollcall_e2e::asterisk::{Contacts, Person, Settings};
use rollcall_e2e::database::{Database, Kind, Named, PASSWORD};
use rollcall_e2e::phone::Phone;
use rollcall_e2e::server::{Options, SharedDatabase, migrate};
use rollcall_e2e::surroundings::repository;
use rollcall_e2e::waiting::{PROMPTLY, eventually};
use rollcall_e2e::{Asterisk, Scene};
use serde_json::{Value, json};
use tokio::io::{AsyncBufReadExt as _, AsyncWriteExt as _, BufReader};
use tokio::net::TcpStream;

/// The document leaves heartbeats, lists and the grace at their defaults: the server evicts nobody in its first 15 s, and
/// Asterisk checks every 5 s.
const EVICTED: Duration = Duration::from_secs(40);

const BOTH: &str = "Asterisk, in both modes";
const MIRROR: &str = "Mirror mode";
const SHARED: &str = "Shared mode";
const POSTGRES: &str = "Shared mode on PostgreSQL";
const MARIADB: &str = "Shared mode on MariaDB";
const ROLES: &str = "PostgreSQL and MariaDB";
const AT_ONCE: &str = "Evictions at once";

#[tokio::test]
async fn the_lines_for_mirror_mode_make_an_agents_day() {
    let document = Document::read();
    let scene = document.scene(&[BOTH, MIRROR], &Site::Mirror).await;
    a_day(&scene, "next check").await;
    document.prove(&[BOTH], &scene.asterisk).await;
}

#[tokio::test]
async fn the_lines_for_shared_mode_make_an_agents_day() {
    let document = Document::read();
    let database = SharedDatabase::migrated();
    let scene = document
        .scene(&[BOTH, SHARED], &Site::File(&database))
        .await;
    a_day(&scene, "next check").await;
    document.prove(&[BOTH, SHARED], &scene.asterisk).await;
    let mut shared = scene.server.database().await;
    let journal: String = sqlx::query_scalar("PRAGMA journal_mode")
        .fetch_one(&mut shared)
        .await
        .unwrap_or_else(|error| panic!("{error}"));
    assert_eq!(journal, "wal");
}

#[tokio::test]
async fn the_lines_for_shared_mode_on_postgresql_make_an_agents_day() {
    a_day_on(Kind::Postgres, POSTGRES).await;
}

#[tokio::test]
async fn the_lines_for_shared_mode_on_mariadb_make_an_agents_day() {
    a_day_on(Kind::MariaDb, MARIADB).await;
}

/// With the role that the document makes, which owns nothing but its database.
async fn a_day_on(kind: Kind, chapter: &str) {
    let document = Document::read();
    let databases = Database::start(kind).await;
    document.make_role(&databases, kind).await;
    let remote = databases.named(SITE);
    let site = Site::Remote(&remote);
    let chapters = [BOTH, chapter];
    document.migrate(&chapters, &site);
    let scene = document.scene(&chapters, &site).await;
    a_day(&scene, "next check").await;
    document.prove(&chapters, &scene.asterisk).await;
    drop(scene);
}

#[tokio::test]
async fn the_manager_account_may_do_all_that_the_server_asks_and_no_more() {
    let document = Document::read();
    let scene = document.scene(&[BOTH, MIRROR], &Site::Mirror).await;
    let findings = scene.server.findings();
    let of_permissions: Vec<&Value> = findings
        .iter()
        .filter(|finding| finding["check"] == "permissions")
        .collect();
    assert!(
        !of_permissions.is_empty()
            && (of_permissions.iter()).all(|finding| finding["level"] == "good"),
        "{findings:#?}"
    );
    let manager = (scene.asterisk.rx("manager show user rollcall")).await;
    for class in ["command", "originate", "config", "log", "user"] {
        let words: Vec<&str> = manager.split([' ', ',', '\n']).collect();
        assert!(!words.contains(&class), "{class} in {manager}");
    }
    let allowed = allowed(&scene.asterisk).await;
    for (action, class) in account::ACTIONS {
        assert!(allowed[action].contains(class), "{action}: {allowed:#?}");
    }
    each_class_opens_what_no_other_does(&allowed, &account::WRITE);
    each_class_opens_what_no_other_does(&told(&scene.asterisk).await, &account::READ);
}

#[test]
fn the_documents_manager_account_is_the_one_that_the_server_needs() {
    let document = Document::read();
    for (key, classes) in [("read", account::READ), ("write", account::WRITE)] {
        let documented = document.value("manager.conf", "rollcall", key);
        assert_eq!(documented, classes.join(","), "{key}");
    }
}

/// The classes of which any one will do, by what it opens.
type Opened = BTreeMap<String, BTreeSet<String>>;

/// All of them are enough, and without any one of them something would be shut.
fn each_class_opens_what_no_other_does(opened: &Opened, granted: &[&str]) {
    let by = |classes: &BTreeSet<String>| -> Vec<&str> {
        let by = granted.iter().filter(|class| classes.contains(**class));
        by.copied().collect()
    };
    let by: BTreeMap<&String, Vec<&str>> = (opened.iter())
        .map(|(what, classes)| (what, by(classes)))
        .collect();
    assert!(by.values().all(|by| !by.is_empty()), "{opened:#?}");
    for class in granted {
        assert!(
            by.values().any(|by| by == &[*class]),
            "{class} opens nothing that the others do not: {opened:#?}"
        );
    }
}

/// What the server asks and needs a class for, doctor's questions included, with the classes that Asterisk names.
async fn allowed(asterisk: &Asterisk) -> Opened {
    let (username, secret) = &asterisk.settings().manager;
    let session = SessionConfig::new(username.as_str(), secret.as_str());
    let address = format!("127.0.0.1:{}", asterisk.ami_port());
    let (client, _events) = Client::start(ClientConfig::new(address, session));
    let ask = async || {
        let action = Action::new("ListCommands").map_err(|error| error.to_string())?;
        let answer = client.action(action).await;
        answer.map_err(|error| error.to_string())
    };
    let answer = eventually("the commands are listed", PROMPTLY, ask).await;
    let classes = |name: &str| {
        let line = answer.packet.get(name);
        let line = line.unwrap_or_else(|| panic!("{name} is not allowed"));
        let (_, classes) = line.split_once("(Priv: ").unwrap_or_default();
        let classes = classes.trim_end_matches(')').split(',');
        classes.map(str::to_owned).collect()
    };
    account::ACTIONS
        .iter()
        .map(|(name, _)| ((*name).to_owned(), classes(name)))
        .collect()
}

/// What the server listens to, with the classes that Asterisk names: of a phone that comes, and of a member's pause.
async fn told(asterisk: &Asterisk) -> Opened {
    let (username, secret) = &asterisk.settings().manager;
    let address = ("127.0.0.1", asterisk.ami_port());
    let stream = TcpStream::connect(address).await;
    let stream = stream.unwrap_or_else(|error| panic!("{error}"));
    let (read, mut write) = stream.into_split();
    let member = "Queue: support\r\nInterface: PJSIP/1001\r\n";
    let asked = format!(
        "Action: Login\r\nUsername: {username}\r\nSecret: {secret}\r\n\r\n\
         Action: QueueAdd\r\n{member}\r\n\
         Action: QueuePause\r\n{member}Paused: true\r\n\r\n"
    );
    let written = write.write_all(asked.as_bytes()).await;
    written.unwrap_or_else(|error| panic!("{error}"));
    let phone = Phone::of("1001", asterisk).start();
    phone.registered().await;
    let mut lines = BufReader::new(read).lines();
    let (mut opened, mut event) = (Opened::new(), String::new());
    let listened = ["ContactStatus", "DeviceStateChange", "QueueMemberPause"];
    while opened.len() < listened.len() {
        let line = tokio::time::timeout(PROMPTLY, lines.next_line()).await;
        let Ok(Ok(Some(line))) = line else {
            panic!("nothing more is told than {opened:#?}");
        };
        match line.split_once(": ") {
            Some(("Event", name)) => name.clone_into(&mut event),
            Some(("Privilege", classes)) if listened.contains(&event.as_str()) => {
                let classes = classes.split(',').map(str::to_owned).collect();
                opened.insert(event.clone(), classes);
            }
            _ => {}
        }
    }
    opened
}

#[tokio::test]
async fn the_lines_for_ari_evict_at_once() {
    let document = Document::read();
    let scene = document
        .scene(&[BOTH, MIRROR, AT_ONCE], &Site::Mirror)
        .await;
    a_day(&scene, "contact evicted extension").await;
    document.prove(&[AT_ONCE], &scene.asterisk).await;
}

#[test]
fn the_readmes_lines_are_those_of_the_document() {
    let document = Document::read();
    let path = repository().join("README.md");
    let readme = std::fs::read_to_string(&path).unwrap_or_else(|error| panic!("{error}"));
    let known: Vec<&str> = document
        .blocks
        .iter()
        .flat_map(|block| block.text.lines())
        .collect();
    let lines: Vec<&str> = readme
        .split('`')
        .filter(|span| span.contains(" = ") && !span.contains('\n'))
        .collect();
    assert!(!lines.is_empty(), "README.md names no line of Asterisk's");
    for line in lines {
        assert!(
            known.contains(&line),
            "README.md has `{line}`, docs/operations.md does not"
        );
    }
}

/// Signs in, becomes Available, signs out; then a phone that does not un-register is evicted the way that the server's
/// log says. Nothing of it makes the server warn.
async fn a_day(scene: &Scene, evicted: &str) {
    let mut agent = scene.signed_in("1001").await;
    scene.all_say_available("1001").await;
    assert!(agent.terminate().await.success());
    scene.all_say_offline("1001").await;
    let phone = Phone::of("1001", &scene.asterisk).start();
    let contact = phone.registered().await;
    let token = scene.server.token("1001").await;
    let body = json!({ "extension": "1001", "contactUri": contact });
    let online = scene
        .server
        .post("/api/users/agent-online", Some(&token), &body)
        .await;
    assert_eq!(online.status, 200, "{online:?}");
    scene
        .board
        .shows_where("1001", "Reachable", PROMPTLY, |agent| {
            agent["contactStatus"] == "Reachable"
        })
        .await;
    let logout = scene
        .server
        .post("/api/users/agent-logout", Some(&token), &json!({}))
        .await;
    assert_eq!(logout.status, 200, "{logout:?}");
    scene.all_say_offline_within("1001", EVICTED).await;
    let said = scene.server.complaints();
    assert!(said.iter().any(|line| line.contains(evicted)), "{said:#?}");
    let warned: Vec<&String> = said
        .iter()
        .filter(|line| line.contains(" WARN ") || line.contains("ERROR"))
        // Of a slow disk; nothing that a line of the document could mend.
        .filter(|line| !line.contains("slow statement"))
        // Of these tests' own PostgreSQL, whose machine is not cut off.
        .filter(|line| !line.contains("fsync is off"))
        .collect();
    assert!(warned.is_empty(), "{warned:#?}");
}

/// The name of role and database in these tests, where the document has `rollcall`.
const SITE: &str = "site";

/// Where a site keeps what Asterisk shares.
enum Site<'a> {
    Mirror,
    File(&'a SharedDatabase),
    Remote(&'a Named),
}

impl Site<'_> {
    fn contacts(&self) -> Contacts {
        match self {
            Site::Mirror => Contacts::Astdb,
            Site::File(database) => Contacts::Table(database.file()),
            Site::Remote(named) => Contacts::Remote((*named).clone()),
        }
    }

    /// Puts the site's database in the place of the document's.
    fn place(&self, file: &str, text: &mut String) {
        match (self, file) {
            (Site::File(database), "odbc.ini") => {
                let file = database.file().display().to_string();
                put(text, "/var/lib/rollcall/rollcall.db", &file);
            }
            (Site::Remote(named), "odbc.ini") => {
                put(text, "Port = 3306", &format!("Port = {}", named.port));
                put(text, "Database = rollcall", &format!("Database = {SITE}"));
            }
            (Site::Remote(_), "res_odbc.conf") => {
                put(text, "username => rollcall", &format!("username => {SITE}"));
                put(text, "the-password-of-the-user", PASSWORD);
            }
            (Site::Remote(named), "res_pgsql.conf") => {
                put(text, "dbport = 5432", &format!("dbport = {}", named.port));
                put(text, "dbname = rollcall", &format!("dbname = {SITE}"));
                put(text, "dbuser = rollcall", &format!("dbuser = {SITE}"));
                put(text, "the-password-of-the-role", PASSWORD);
            }
            (Site::File(_), "server.toml") => {
                put(text, "/var/lib/rollcall/rollcall.db", "{database}");
            }
            (Site::Remote(named), "server.toml") => {
                let (documented, port) = match named.kind {
                    Kind::MariaDb => ("rollcall@127.0.0.1:3306/rollcall", named.port),
                    _ => ("rollcall@127.0.0.1:5432/rollcall", named.port),
                };
                put(text, documented, &format!("{SITE}@127.0.0.1:{port}/{SITE}"));
                put(
                    text,
                    "/etc/rollcall/database.secret",
                    "{folder}/database.secret",
                );
            }
            _ => {}
        }
    }
}

/// The document's fenced blocks that name a file.
struct Document {
    blocks: Vec<Block>,
}

struct Block {
    chapter: String,
    file: String,
    text: String,
}

impl Document {
    fn read() -> Document {
        let path = repository().join("docs/operations.md");
        let text = std::fs::read_to_string(&path)
            .unwrap_or_else(|error| panic!("{}: {error}", path.display()));
        let mut chapter = String::new();
        let mut blocks = Vec::new();
        let mut open: Option<Block> = None;
        for line in text.lines() {
            match (&mut open, line.strip_prefix("```")) {
                (None, Some(info)) => {
                    open = Some(Block {
                        chapter: chapter.clone(),
                        file: info.split(' ').nth(1).unwrap_or_default().to_owned(),
                        text: String::new(),
                    });
                }
                (Some(_), Some(_)) => blocks.extend(open.take()),
                (Some(block), None) => block.text += &format!("{line}\n"),
                (None, None) => {
                    if let Some(heading) = line.strip_prefix("## ") {
                        heading.clone_into(&mut chapter);
                    }
                }
            }
        }
        blocks.retain(|block| !block.file.is_empty());
        Document { blocks }
    }

    /// The text of a file over these chapters.
    fn file(&self, name: &str, chapters: &[&str]) -> String {
        self.blocks
            .iter()
            .filter(|block| block.file == name && chapters.contains(&block.chapter.as_str()))
            .map(|block| block.text.as_str())
            .collect()
    }

    fn files(&self, chapters: &[&str]) -> Vec<(String, String)> {
        let mut names: Vec<&str> = self
            .blocks
            .iter()
            .filter(|block| chapters.contains(&block.chapter.as_str()))
            .map(|block| block.file.as_str())
            .filter(|name| *name != "server.toml")
            .collect();
        names.sort_unstable();
        names.dedup();
        names
            .iter()
            .map(|name| ((*name).to_owned(), self.file(name, chapters)))
            .collect()
    }

    /// Starts everything with these chapters' blocks. What is a site's own is put in its place: ports, the file of the
    /// database, and the transport that an existing `pjsip.conf` has.
    async fn scene(&self, chapters: &[&str], site: &Site<'_>) -> Scene {
        let mut files = self.files(chapters);
        for (name, text) in &mut files {
            site.place(name, text);
            match name.as_str() {
                "manager.conf" => put(text, "port = 5038", "port = {ami}"),
                "http.conf" => put(text, "bindport = 8088", "bindport = {http}"),
                "pjsip.conf" => text
                    .push_str("[udp]\ntype = transport\nprotocol = udp\nbind = 127.0.0.1:{sip}\n"),
                _ => {}
            }
        }
        let config = self.config(chapters, site);
        let manager = self.value("manager.conf", "rollcall", "secret");
        let ari = self.value("ari.conf", "rollcall", "password");
        let settings = Settings {
            people: vec![Person {
                extension: "1001".to_owned(),
                password: self.value("pjsip.conf", "1001", "password"),
            }],
            manager: ("rollcall".to_owned(), manager),
            ari: ("rollcall".to_owned(), ari),
            contacts: site.contacts(),
            files,
            ..Settings::default()
        };
        let options = Options {
            config: Some(config),
            ..Options::default()
        };
        Scene::beside(Asterisk::start(settings).await, options).await
    }

    fn config(&self, chapters: &[&str], site: &Site<'_>) -> String {
        let mut config = self.file("server.toml", chapters);
        put(&mut config, "127.0.0.1:8080", "{listen}");
        put(&mut config, "\"/var/lib/rollcall\"", "\"{folder}/data\"");
        put(&mut config, "port = 5038", "port = {ami}");
        put(&mut config, "\"pbx.example.com\"", "\"{sip}\"");
        put(
            &mut config,
            "/etc/rollcall/ami.secret",
            "{folder}/ami.secret",
        );
        site.place("server.toml", &mut config);
        if chapters.contains(&AT_ONCE) {
            put(&mut config, ":8088", ":{http}");
            put(
                &mut config,
                "/etc/rollcall/ari.secret",
                "{folder}/ari.secret",
            );
        }
        config
    }

    /// Carries out the statements that the document has for this database, under the tests' own name and password.
    async fn make_role(&self, databases: &Database, kind: Kind) {
        let file = match kind {
            Kind::MariaDb => "mariadb",
            _ => "postgresql",
        };
        let text = self.file(file, &[ROLES]).replace("rollcall", SITE);
        let text = text
            .replace("the-password-of-the-role", PASSWORD)
            .replace("the-password-of-the-user", PASSWORD);
        let mut administrator = databases.connect_first().await;
        let statements = text.split(';').map(str::trim);
        for statement in statements.filter(|statement| !statement.is_empty()) {
            let made = sqlx::raw_sql(sqlx::AssertSqlSafe(statement))
                .execute(&mut administrator)
                .await;
            made.unwrap_or_else(|error| panic!("{statement}: {error}"));
        }
    }

    /// `rollcall-server migrate` with these chapters' configuration: before Asterisk looks for the tables.
    fn migrate(&self, chapters: &[&str], site: &Site<'_>) {
        let folder = tempfile::tempdir().unwrap_or_else(|error| panic!("{error}"));
        let mut config = self.config(chapters, site);
        for (name, value) in [
            ("{listen}", "127.0.0.1:0"),
            ("{folder}", &folder.path().display().to_string()),
            ("{ami}", "5038"),
            ("{sip}", "127.0.0.1:5060"),
        ] {
            config = config.replace(name, value);
        }
        for (name, text) in [("database.secret", PASSWORD), ("server.toml", &config)] {
            let written = std::fs::write(folder.path().join(name), text);
            written.unwrap_or_else(|error| panic!("{name}: {error}"));
        }
        migrate(&folder.path().join("server.toml"));
    }

    fn value(&self, file: &str, section: &str, key: &str) -> String {
        let found = self.lines().into_iter().find(|line| {
            (line.file.as_str(), line.section.as_str(), line.key.as_str()) == (file, section, key)
        });
        found
            .unwrap_or_else(|| panic!("{file} has no {key} in [{section}]"))
            .value
    }

    fn lines(&self) -> Vec<Line> {
        self.blocks.iter().flat_map(Block::lines).collect()
    }

    /// Looks every line of these chapters up in a running Asterisk.
    async fn prove(&self, chapters: &[&str], asterisk: &Asterisk) {
        let blocks = self.blocks.iter().filter(|block| {
            chapters.contains(&block.chapter.as_str()) && block.file != "server.toml"
        });
        let mut said: BTreeMap<String, String> = BTreeMap::new();
        for line in blocks.flat_map(Block::lines) {
            let (command, shows) = line.proof();
            if !said.contains_key(&command) {
                said.insert(command.clone(), asterisk.rx(&command).await);
            }
            let answer = &said[&command];
            let squeezed: String = answer.split_whitespace().collect::<Vec<_>>().join(" ");
            assert!(
                shows.iter().any(|shows| squeezed.contains(shows.as_str())),
                "{line:?}: `{command}` does not say one of {shows:?}:\n{answer}"
            );
        }
    }
}

/// `key = value` in a section of a file; a PJSIP section has its type.
#[derive(Debug)]
struct Line {
    file: String,
    section: String,
    kind: String,
    key: String,
    value: String,
}

impl Block {
    fn lines(&self) -> Vec<Line> {
        let (mut section, mut kind) = (String::new(), String::new());
        let mut lines = Vec::new();
        for text in self.text.lines().map(str::trim) {
            if let Some(name) = text.strip_prefix('[') {
                name.trim_end_matches(']').clone_into(&mut section);
            } else if let Some((key, value)) = text.split_once('=') {
                let value = value.trim_start_matches('>').trim().to_owned();
                let key = key.trim().to_owned();
                if key == "type" {
                    kind.clone_from(&value);
                }
                lines.push(Line {
                    file: self.file.clone(),
                    section: section.clone(),
                    kind: kind.clone(),
                    key,
                    value,
                });
            }
        }
        lines
    }
}

impl Line {
    /// The command that shows this line's effect, and what it says (one of these) when the line is in force. White space
    /// counts as one space.
    fn proof(&self) -> (String, Vec<String>) {
        let Line {
            file,
            section,
            kind,
            key,
            value,
        } = self;
        let on = if value == "yes" { "Yes" } else { "No" };
        match (file.as_str(), section.as_str(), key.as_str()) {
            ("manager.conf", "general", "enabled") => {
                say("manager show settings", format!("Manager (AMI): {on}"))
            }
            // It answers where it is told to: the server signed in there.
            ("manager.conf", "general", "bindaddr" | "port") => {
                say("manager show connected", "rollcall 127.0.0.1".to_owned())
            }
            // The server signed in with it, from the permitted address alone.
            ("manager.conf", name, "secret") => {
                say("manager show connected", format!("{name} 127.0.0.1"))
            }
            ("manager.conf", name, "deny" | "permit") => {
                say(&format!("manager show user {name}"), "ACL: yes".to_owned())
            }
            ("manager.conf", name, "read") => say(
                &format!("manager show user {name}"),
                format!("read perm: {value}"),
            ),
            ("manager.conf", name, "write") => {
                let mut classes: Vec<&str> = value.split(',').collect();
                classes.sort_unstable_by_key(|class| *class != "system");
                say(
                    &format!("manager show user {name}"),
                    format!("write perm: {}", classes.join(",")),
                )
            }
            ("pjsip.conf", ..) => pjsip(section, kind, key, value),
            ("http.conf", _, "enabled") => {
                say("http show status", "Server Enabled and Bound".to_owned())
            }
            ("http.conf", ..) => say("http show status", "Bound to 127.0.0.1:".to_owned()),
            ("ari.conf", "general", "enabled") => say("ari show status", format!("Enabled: {on}")),
            // The eviction went through with this user and this password.
            ("ari.conf", name, "type" | "password" | "password_format") => {
                say("ari show users", format!("No No {name}"))
            }
            ("ari.conf", name, "read_only") => say(
                &format!("ari show user {name}"),
                format!("Read only?: {on}"),
            ),
            // That sorcery uses the mapping is the row which the day found: the server inserts none in this mode.
            ("sorcery.conf" | "extconfig.conf", ..) => (
                "core show config mappings".to_owned(),
                vec![
                    "odbc ===> ps_contacts (db=rollcall, table=ps_contacts)".to_owned(),
                    "pgsql ===> ps_contacts (db=public, table=ps_contacts)".to_owned(),
                ],
            ),
            ("res_pgsql.conf", _, "requirements") => {
                say("module show like pgsql", "res_config_pgsql.so".to_owned())
            }
            // With this role, in this database: the day's contacts were there.
            ("res_pgsql.conf", ..) => say(
                "realtime show pgsql status",
                format!("Connected to {SITE}@127.0.0.1"),
            ),
            ("odbc.ini" | "res_odbc.conf", ..) => {
                say("odbc show all", "Name: rollcall DSN: rollcall".to_owned())
            }
            _ => panic!("nothing proves {self:?}"),
        }
    }
}

/// `pjsip show TYPE NAME` lists every option with its value.
fn pjsip(section: &str, kind: &str, key: &str, value: &str) -> (String, Vec<String>) {
    let command = match kind {
        "global" => "pjsip show settings".to_owned(),
        kind => format!("pjsip show {kind} {section}"),
    };
    match key {
        "type" => (
            command,
            vec![format!("{section}"), "Global Settings:".to_owned()],
        ),
        // What is left once nothing else was allowed.
        "disallow" => (command, vec!["allow : (opus|ulaw)".to_owned()]),
        _ => {
            let mut forms = vec![value.to_owned()];
            match value {
                "yes" => forms.push("true".to_owned()),
                "no" => forms.push("false".to_owned()),
                "opus,ulaw" => forms.push("(opus|ulaw)".to_owned()),
                "3.0" => forms.push("3.000000".to_owned()),
                _ => {}
            }
            let shown = forms.iter().map(|form| format!("{key} : {form}"));
            (command, shown.collect())
        }
    }
}

fn say(command: &str, shows: String) -> (String, Vec<String>) {
    (command.to_owned(), vec![shows])
}

/// Puts a site's own value into a text that must have the document's.
fn put(text: &mut String, documented: &str, own: &str) {
    assert!(text.contains(documented), "{documented} is not in:\n{text}");
    *text = text.replace(documented, own);
}
