//! The binary as an admin runs it.
#![cfg(unix)]

mod common;

use std::{
    collections::BTreeSet,
    io::{BufRead as _, BufReader, Write as _},
    os::unix::fs::PermissionsExt as _,
    path::{Path, PathBuf},
    process::{Child, Command, Output, Stdio},
};

use common::{PASSWORD, PATIENCE, SIP_PASSWORD, login, watch};
use rollcall_e2e::eventually;
use rollcall_server_client::Client;
use serde_json::Value;
use tempfile::TempDir;
use tokio::{
    io::{AsyncReadExt as _, AsyncWriteExt as _},
    net::TcpStream,
};

struct Admin {
    dir: TempDir,
    config: PathBuf,
}

impl Admin {
    fn new(more: &str) -> Self {
        let dir = tempfile::tempdir().unwrap();
        let config = dir.path().join("server.toml");
        let data = dir.path().join("data");
        let text = format!("listen = \"127.0.0.1:0\"\ndata_dir = {data:?}\n{more}");
        std::fs::write(&config, text).unwrap();
        Self { dir, config }
    }

    fn command(&self, words: &[&str]) -> Command {
        let mut command = Command::new(env!("CARGO_BIN_EXE_rollcall-server"));
        command.args(words).arg("--config").arg(&self.config);
        command.stdin(Stdio::null());
        command
    }

    fn add_agent(&self) -> Output {
        self.command(&[
            "user",
            "add",
            "--username",
            "agent1001",
            "--extension",
            "1001",
        ])
        .args(["--password-env", "ONE", "--sip-password-env", "TWO"])
        .env("ONE", PASSWORD)
        .env("TWO", SIP_PASSWORD)
        .output()
        .unwrap()
    }
}

fn words(output: &Output) -> String {
    String::from_utf8_lossy(&[output.stdout.as_slice(), &output.stderr].concat()).into_owned()
}

/// The first line of a server's standard output, as JSON.
fn ready(child: &mut Child) -> Value {
    let mut line = String::new();
    BufReader::new(child.stdout.as_mut().unwrap())
        .read_line(&mut line)
        .unwrap();
    serde_json::from_str(&line).unwrap_or_else(|_| panic!("{line:?}"))
}

fn terminate(child: &Child) {
    let kill = Command::new("kill").arg(child.id().to_string()).status();
    assert!(kill.unwrap().success());
}

fn end(mut child: Child) -> Output {
    terminate(&child);
    drop(child.stdin.take());
    child.wait_with_output().unwrap()
}

#[tokio::test]
async fn an_agent_that_was_added_signs_in_and_term_ends_the_server_well() {
    for filter in ["debug", "trace"] {
        let admin = Admin::new(&format!(
            "[log]\nformat = \"json\"\nfilter = \"{filter}\"\n"
        ));
        let added = admin.add_agent();
        assert!(added.status.success(), "{}", words(&added));
        let log = admin.dir.path().join("log");
        let mut child = admin
            .command(&["serve", "--ready-json"])
            .stdout(Stdio::piped())
            // No pipe: what is told of everything is more than one holds.
            .stderr(std::fs::File::create(&log).unwrap())
            .spawn()
            .unwrap();
        let url = ready(&mut child)["http"].as_str().unwrap().to_owned();
        let client = Client::new(&url).unwrap();
        let answer = client.login(&login("agent1001")).await.unwrap();
        assert_eq!(answer.user.pjsip.unwrap().password, SIP_PASSWORD);
        // The board is watched with the token, too.
        drop(watch(&client, &answer.tokens.sip).await);
        let output = end(child);
        assert!(output.status.success(), "{}", words(&output));
        let said = std::fs::read_to_string(&log).unwrap();
        assert!(said.contains("signed in"), "{said}");
        for secret in [
            PASSWORD,
            SIP_PASSWORD,
            &answer.tokens.sip,
            &answer.tokens.refresh,
        ] {
            let line = said.lines().find(|line| line.contains(secret));
            assert_eq!(line, None, "{filter}: a secret is in the log");
        }
        assert!(!said.contains("agent1001"), "a name is in the log: {said}");
        let kinds = said.lines().map(is_a_log_line).collect::<BTreeSet<_>>();
        assert!(
            kinds.contains("INFO") && kinds.contains("DEBUG"),
            "{kinds:?}"
        );
    }
}

#[tokio::test]
async fn plain_logs_are_a_line_each_with_when_how_grave_where_and_what() {
    for format in ["", "format = \"plain\"\n"] {
        let admin = Admin::new(&format!("[log]\n{format}filter = \"info\"\n"));
        assert!(admin.add_agent().status.success());
        let mut serve = admin.command(&["serve", "--ready-json"]);
        let piped = serve.stdout(Stdio::piped()).stderr(Stdio::piped());
        let mut child = piped.spawn().unwrap();
        let url = ready(&mut child)["http"].as_str().unwrap().to_owned();
        let client = Client::new(&url).unwrap();
        client.login(&login("agent1001")).await.unwrap();
        let output = end(child);
        let said = String::from_utf8(output.stderr).unwrap();
        assert!(said.contains("signed in extension=\"1001\""), "{said}");
        for line in said.lines() {
            let mut words = line.split_whitespace();
            let at = words.next().unwrap();
            assert!(at.starts_with("20") && at.ends_with('Z'), "{line:?}");
            let level = words.next().unwrap();
            assert!(["INFO", "WARN", "ERROR"].contains(&level), "{line:?}");
            let target = words.next().unwrap();
            assert!(
                target.starts_with("rollcall") && target.ends_with(':'),
                "{line:?}"
            );
            // No colours where no terminal is.
            assert!(!line.contains('\u{1b}'), "{line:?}");
        }
    }
}

#[tokio::test]
async fn a_request_under_way_at_term_is_answered_and_kept_and_new_ones_are_refused() {
    let admin = Admin::new(CLAIMS);
    assert!(admin.add_agent().status.success());
    let mut child = serve(&admin);
    let url = ready(&mut child)["http"].as_str().unwrap().to_owned();
    let client = Client::new(&url).unwrap();
    let token = client.login(&login("agent1001")).await.unwrap().tokens.sip;
    let address = url.strip_prefix("http://").unwrap();
    let connect = || TcpStream::connect(address);
    // One that has asked and may ask again, and one whose claim is half said: it is under way, as the server asks for
    // the other half.
    let mut kept = connect().await.unwrap();
    kept.write_all(b"GET /healthz HTTP/1.1\r\nhost: x\r\n\r\n")
        .await
        .unwrap();
    assert!(
        heard(&mut kept, "\r\n\r\n")
            .await
            .starts_with("HTTP/1.1 200")
    );
    let mut claim = connect().await.unwrap();
    let body = r#"{"extension":"1001","contactUri":"sip:1001-ab@127.0.0.1:5070"}"#;
    let head = format!(
        "POST /api/users/agent-online HTTP/1.1\r\nhost: x\r\nauthorization: Bearer {token}\r\n\
         content-type: application/json\r\ncontent-length: {}\r\nexpect: 100-continue\r\n\r\n",
        body.len()
    );
    claim.write_all(head.as_bytes()).await.unwrap();
    assert_eq!(
        heard(&mut claim, "\r\n\r\n").await,
        "HTTP/1.1 100 Continue\r\n\r\n"
    );
    terminate(&child);
    eventually("nobody new is let in", PATIENCE, async || {
        match connect().await {
            Err(_) => Ok(()),
            Ok(_) => Err("a connection is taken".to_owned()),
        }
    })
    .await;
    eventually(
        "who only kept a connection has none",
        PATIENCE,
        async || {
            let asked = kept
                .write_all(b"GET /healthz HTTP/1.1\r\nhost: x\r\n\r\n")
                .await;
            let answered = asked.is_ok() && kept.read_u8().await.is_ok();
            (!answered)
                .then_some(())
                .ok_or_else(|| "it is answered".to_owned())
        },
    )
    .await;
    claim.write_all(body.as_bytes()).await.unwrap();
    let answer = heard(&mut claim, "}").await;
    assert!(answer.starts_with("HTTP/1.1 200"), "{answer}");
    assert!(child.wait().unwrap().success());
    // What was answered is there after the next start.
    let mut child = serve(&admin);
    let url = ready(&mut child)["http"].as_str().unwrap().to_owned();
    let (_link, _events, board) = watch(&Client::new(&url).unwrap(), &token).await;
    assert!(board.agents[0].online, "{:?}", board.agents);
    assert!(end(child).status.success());
}

/// What comes until these words have.
async fn heard(stream: &mut TcpStream, words: &str) -> String {
    let mut heard = Vec::new();
    let until = async {
        while !heard.ends_with(words.as_bytes()) {
            heard.push(stream.read_u8().await.unwrap());
        }
    };
    tokio::time::timeout(PATIENCE, until).await.unwrap();
    String::from_utf8(heard).unwrap()
}

/// One JSON object, with when, how grave, where and what. Answers how grave.
fn is_a_log_line(line: &str) -> String {
    let parsed: Value = serde_json::from_str(line).unwrap_or_else(|_| panic!("{line:?}"));
    let text = |value: &Value| value.as_str().unwrap_or_default().to_owned();
    let at = text(&parsed["timestamp"]);
    assert!(at.starts_with("20") && at.ends_with('Z'), "{line}");
    assert!(!text(&parsed["target"]).is_empty(), "{line}");
    assert!(parsed["fields"].is_object(), "{line}");
    text(&parsed["level"])
}

#[test]
fn a_person_is_added_once_and_what_is_wrong_is_said_in_words() {
    let admin = Admin::new("");
    assert!(admin.add_agent().status.success());
    let again = admin.add_agent();
    assert!(!again.status.success());
    assert!(words(&again).contains("taken"), "{}", words(&again));
    let bad = admin
        .command(&["user", "add", "--username", "a b", "--password-env", "ONE"])
        .env("ONE", "x")
        .output()
        .unwrap();
    assert!(!bad.status.success());
    assert!(words(&bad).contains("username"), "{}", words(&bad));
    let unset = admin
        .command(&[
            "user",
            "add",
            "--username",
            "ab",
            "--password-env",
            "NOT_SET_ANYWHERE",
        ])
        .output()
        .unwrap();
    assert!(!unset.status.success());
    assert!(
        words(&unset).contains("NOT_SET_ANYWHERE"),
        "{}",
        words(&unset)
    );
}

#[test]
fn passwords_come_by_standard_input_too() {
    let admin = Admin::new("");
    let mut child = admin
        .command(&["user", "add", "--username", "boss", "--role", "supervisor"])
        .stdin(Stdio::piped())
        .stdout(Stdio::piped())
        .spawn()
        .unwrap();
    let mut stdin = child.stdin.take().unwrap();
    stdin.write_all(b"a password\n").unwrap();
    drop(stdin);
    assert!(child.wait_with_output().unwrap().status.success());
}

#[test]
fn an_unknown_key_ends_it_with_the_key_and_the_nearest() {
    let admin = Admin::new("[alignment]\nleese_ms = 1\n");
    let output = admin.command(&["serve"]).output().unwrap();
    assert!(!output.status.success());
    let said = words(&output);
    assert!(
        said.contains("alignment.leese_ms") && said.contains("`lease_ms`"),
        "{said}"
    );
    assert!(!Path::new(&admin.dir.path().join("data")).exists());
}

#[test]
fn migrate_can_be_run_again_and_a_variable_overrides_the_file() {
    let admin = Admin::new("");
    let elsewhere = admin.dir.path().join("elsewhere");
    for _ in 0..2 {
        let output = admin
            .command(&["migrate"])
            .env("ROLLCALL_DATA_DIR", &elsewhere)
            .env("ROLLCALL_NOT_OURS", "x")
            .output()
            .unwrap();
        assert!(output.status.success(), "{}", words(&output));
    }
    assert!(elsewhere.join("rollcall.db").exists());
    assert!(!admin.dir.path().join("data").exists());
}

#[test]
fn a_port_that_is_taken_is_said_in_words() {
    let taken = std::net::TcpListener::bind("127.0.0.1:0").unwrap();
    let admin = Admin::new("");
    let address = taken.local_addr().unwrap().to_string();
    let output = admin
        .command(&["serve"])
        .env("ROLLCALL_LISTEN", &address)
        .output()
        .unwrap();
    assert!(!output.status.success());
    assert!(words(&output).contains(&address), "{}", words(&output));
}

#[tokio::test]
async fn people_are_kept_from_the_shell_and_a_server_that_runs_obeys() {
    let admin = Admin::new("");
    assert!(admin.add_agent().status.success());
    let mut child = admin
        .command(&["serve", "--ready-json"])
        .stdout(Stdio::piped())
        .stderr(Stdio::null())
        .spawn()
        .unwrap();
    let url = ready(&mut child)["http"].as_str().unwrap().to_owned();
    let client = Client::new(&url).unwrap();
    let session = client.login(&login("agent1001")).await.unwrap();
    let user = |words: &[&str]| {
        let words: Vec<_> = ["user"].iter().chain(words).copied().collect();
        admin
            .command(&words)
            .env("ONE", "another one")
            .output()
            .unwrap()
    };
    let csv = admin.dir.path().join("people.csv");
    std::fs::write(
        &csv,
        "username,password,role\nboss,long enough,admin\nbad name,x,\n",
    )
    .unwrap();
    let path = csv.to_str().unwrap();
    let refused = user(&["import", path]);
    assert!(!refused.status.success());
    assert!(
        words(&refused).contains("line 3, username"),
        "{}",
        words(&refused)
    );
    std::fs::write(&csv, "username,password,role\nboss,long enough,admin\n").unwrap();
    assert!(words(&user(&["import", path, "--dry-run"])).contains("would be added"));
    assert!(user(&["import", path]).status.success());

    let named = ["--username", "agent1001"];
    assert!(user(&[&["disable"][..], &named].concat()).status.success());
    let online = client.agent_online(&session.tokens.sip, "1001", "sip:1001@h");
    assert_eq!(online.await.unwrap_err().code(), "invalid_token");
    let listed = words(&user(&["list"]));
    assert!(
        listed
            .lines()
            .any(|line| line.starts_with("agent1001") && line.ends_with("disabled")),
        "{listed}"
    );
    assert!(user(&[&["enable"][..], &named].concat()).status.success());
    let password = [&["password", "--password-env", "ONE"][..], &named].concat();
    assert!(user(&password).status.success());
    assert!(client.login(&login("agent1001")).await.is_err());
    let last = user(&["role", "--username", "boss", "agent"]);
    assert!(
        words(&last).contains("last administrator"),
        "{}",
        words(&last)
    );
    let log = words(&user(&["audit"]));
    assert!(
        log.contains("password_reset") && log.contains("(command line)"),
        "{log}"
    );
    assert!(end(child).status.success());
}

#[test]
fn every_act_from_the_shell_is_in_the_audit_log() {
    let admin = Admin::new("");
    let csv = admin.dir.path().join("people.csv");
    let text = format!("username,password,role\nboss,{PASSWORD},admin\n");
    std::fs::write(&csv, text).unwrap();
    let file = admin.dir.path().join("all.backup");
    let agents = admin.dir.path().join("agents.conf");
    let [csv, file, agents] = [&csv, &file, &agents].map(|path| path.to_str().unwrap());
    let (named, secret) = (["--username", "agent1001"], ["--password-env", "ONE"]);
    let of = |words: &[&'static str]| [&["user"], words, &named[..]].concat();
    let done = |admin: &Admin, words: &[&str]| {
        let output = admin.command(words).env("ONE", PASSWORD).output().unwrap();
        assert!(
            output.status.success(),
            "{words:?}: {}",
            self::words(&output)
        );
        self::words(&output)
    };
    assert!(admin.add_agent().status.success());
    for words in [
        [&of(&["password"])[..], &secret].concat(),
        [&of(&["password", "--sip"])[..], &secret].concat(),
        [&of(&["role"])[..], &["supervisor"]].concat(),
        of(&["disable"]),
        of(&["enable"]),
        of(&["disable"]),
        vec!["provision", "--out", agents],
        of(&["remove"]),
        vec!["user", "import", csv],
        vec!["backup", file],
    ] {
        done(&admin, &words);
    }
    let expected = [
        "person_added",
        "password_reset",
        "sip_password_set",
        "role_set",
        "person_disabled",
        "person_enabled",
        "person_disabled",
        "provisioned",
        "person_removed",
        "person_added",
        "backup_made",
    ];
    // The latest first.
    let noted = |admin: &Admin| -> Vec<String> {
        let said = done(admin, &["user", "audit"]);
        let acts = said.lines().rev().map(|line| {
            let act: Value = serde_json::from_str(line).unwrap();
            assert_eq!(act["actor"], "(command line)");
            act["action"].as_str().unwrap().to_owned()
        });
        acts.collect()
    };
    assert_eq!(noted(&admin), expected);
    let elsewhere = Admin::new("");
    done(&elsewhere, &["restore", file]);
    // A backup ends before its own line.
    let mut brought_back = expected;
    brought_back[10] = "backup_restored";
    assert_eq!(noted(&elsewhere), brought_back);
}

/// Every user of a machine reads every program's arguments: none of ours takes a secret, or anything that is not named here.
#[test]
fn no_command_takes_a_secret_as_an_argument() {
    let help = |words: &[String]| {
        let mut command = Command::new(env!("CARGO_BIN_EXE_rollcall-server"));
        let output = command.args(words).arg("--help").output().unwrap();
        assert!(output.status.success(), "{words:?}");
        self::words(&output)
    };
    let listed = |text: &str, heading: &str| -> Vec<String> {
        let lines = text.lines().skip_while(|line| *line != heading).skip(1);
        let lines = lines.take_while(|line| line.is_empty() || line.starts_with(' '));
        lines.map(|line| line.trim().to_owned()).collect()
    };
    let (mut open, mut values, mut commands) = (vec![Vec::new()], BTreeSet::new(), 0);
    while let Some(words) = open.pop() {
        let text = help(&words);
        let below = listed(&text, "Commands:");
        commands += usize::from(below.is_empty());
        for line in below {
            let name = line.split_whitespace().next().unwrap_or_default();
            if !name.is_empty() && name != "help" {
                open.push([words.as_slice(), &[name.to_owned()]].concat());
            }
        }
        for heading in ["Options:", "Arguments:"] {
            for line in listed(&text, heading) {
                let name = line.split("  ").next().unwrap_or_default();
                let is_an_argument = name.starts_with('-') || heading == "Arguments:";
                if is_an_argument && name.contains('<') {
                    values.insert(name.to_owned());
                }
            }
        }
    }
    assert!(commands >= 16, "{commands}");
    let known = [
        "--config <FILE>",
        "--extension <EXTENSION>",
        "--most <MOST>",
        "--out <FILE>",
        // The name of a variable.
        "--password-env <VAR>",
        "--role <ROLE>",
        "--sip-password-env <VAR>",
        "--username <USERNAME>",
        "<FILE>",
        "<ROLE>",
    ];
    let taken: BTreeSet<&str> = values.iter().map(String::as_str).collect();
    assert_eq!(taken, BTreeSet::from(known));
}

#[test]
fn check_names_what_is_wrong_and_touches_nothing() {
    let admin =
        Admin::new("[ami]\nhost = \"127.0.0.1\"\nusername = \"rollcall\"\nsecret_env = \"AMI\"\n");
    let missing = admin.command(&["check"]).output().unwrap();
    assert!(!missing.status.success());
    assert!(words(&missing).contains("AMI"), "{}", words(&missing));
    let good = admin
        .command(&["check"])
        .env("AMI", "hush")
        .output()
        .unwrap();
    assert!(good.status.success(), "{}", words(&good));
    assert!(!words(&good).contains("hush"));
    assert!(!admin.dir.path().join("data").exists());
}

#[test]
fn check_refuses_what_a_start_would_refuse() {
    let dir = tempfile::tempdir().unwrap();
    let made = rcgen::generate_simple_self_signed(["localhost".to_owned()]).unwrap();
    let other = rcgen::KeyPair::generate().unwrap();
    let file = |name: &str, text: &str| {
        let path = dir.path().join(name);
        std::fs::write(&path, text).unwrap();
        path
    };
    let certificate = file("certificate.pem", &made.cert.pem());
    let key = file("key.pem", &made.signing_key.serialize_pem());
    let foreign = file("foreign.pem", &other.serialize_pem());
    let nowhere = dir.path().join("nowhere.pem");
    let tls = |key: &Path| format!("[tls]\ncertificate = {certificate:?}\nkey = {key:?}\n");
    let database = "[database]\nurl = \"postgres://rollcall@127.0.0.1/rollcall\"\n";
    for (text, named) in [
        (tls(&nowhere), "nowhere.pem"),
        (tls(&certificate), "holds no"),
        (tls(&foreign), "certificate and its key"),
        (
            format!("{database}password_file = {nowhere:?}\n"),
            "nowhere.pem",
        ),
        (format!("{database}password_env = \"NOT_SET\"\n"), "NOT_SET"),
    ] {
        let refused = Admin::new(&text).command(&["check"]).output().unwrap();
        assert!(!refused.status.success(), "{text}");
        assert!(words(&refused).contains(named), "{}", words(&refused));
    }
    let good = Admin::new(&tls(&key)).command(&["check"]).output().unwrap();
    assert!(good.status.success(), "{}", words(&good));
}

#[test]
fn a_lost_key_is_not_replaced_while_secrets_are_sealed_with_it() {
    let admin = Admin::new("");
    assert!(admin.add_agent().status.success());
    let key = admin.dir.path().join("data/sealing.key");
    let kept = std::fs::read(&key).unwrap();
    for lost in [None, Some(vec![7; 32])] {
        std::fs::remove_file(&key).unwrap();
        if let Some(other) = &lost {
            std::fs::write(&key, other).unwrap();
        }
        for words_of in [&["serve"][..], &["user", "list"]] {
            let refused = admin.command(words_of).output().unwrap();
            let said = words(&refused);
            assert!(!refused.status.success(), "{said}");
            assert!(
                said.contains("sealing.key") && said.contains("backup"),
                "{said}"
            );
        }
        assert_eq!(std::fs::read(&key).ok(), lost);
        std::fs::write(&key, &kept).unwrap();
    }
    let listed = admin.command(&["user", "list"]).output().unwrap();
    assert!(listed.status.success(), "{}", words(&listed));
}

/// The board as it is shown after a start, without what is of that start alone.
async fn board(admin: &Admin, token: &str) -> Value {
    let mut child = serve(admin);
    let url = ready(&mut child)["http"].as_str().unwrap().to_owned();
    let client = Client::new(&url).unwrap();
    let (link, _, snapshot) = watch(&client, token).await;
    drop(link);
    assert!(end(child).status.success());
    let mut agents = serde_json::to_value(snapshot.agents).unwrap();
    for agent in agents.as_array_mut().unwrap() {
        let agent = agent.as_object_mut().unwrap();
        agent.remove("since").unwrap();
        agent.remove("sources").unwrap();
        for reason in agent["reasons"].as_array_mut().unwrap() {
            reason.as_object_mut().unwrap().remove("since").unwrap();
        }
    }
    agents
}

fn serve(admin: &Admin) -> Child {
    let mut serve = admin.command(&["serve", "--ready-json"]);
    let piped = serve.stdout(Stdio::piped()).stderr(Stdio::null());
    piped.spawn().unwrap()
}

/// Nobody's word is waited for: what is shown after a start depends on the database alone.
const CLAIMS: &str =
    "mode = \"claims\"\n[alignment]\ngrace_ms = 0\nlease_ms = 600000\nlogin_timeout_ms = 600000\n";

#[tokio::test]
async fn a_backup_taken_while_the_server_runs_gives_the_same_board_elsewhere() {
    let admin = Admin::new(CLAIMS);
    assert!(admin.add_agent().status.success());
    for more in [
        &[
            "--username",
            "agent1002",
            "--extension",
            "1002",
            "--sip-password-env",
            "TWO",
        ][..],
        &["--username", "boss", "--role", "supervisor"],
    ] {
        let mut add = admin.command(&["user", "add", "--password-env", "ONE"]);
        let add = add.args(more).env("ONE", PASSWORD);
        let added = add.env("TWO", SIP_PASSWORD).output().unwrap();
        assert!(added.status.success(), "{}", words(&added));
    }
    let mut child = serve(&admin);
    let url = ready(&mut child)["http"].as_str().unwrap().to_owned();
    let client = Client::new(&url).unwrap();
    let token = client.login(&login("boss")).await.unwrap().tokens.sip;
    let agent = client.login(&login("agent1001")).await.unwrap().tokens.sip;
    let online = client.agent_online(&agent, "1001", "sip:1001@h").await;
    online.unwrap();
    let file = admin.dir.path().join("board.backup");
    let backup = || {
        let mut backup = admin.command(&["backup"]);
        backup.arg(&file).output().unwrap()
    };
    let made = backup();
    assert!(made.status.success(), "{}", words(&made));
    let written = std::fs::read(&file).unwrap();
    let mode = std::fs::metadata(&file).unwrap().permissions().mode();
    assert_eq!(mode & 0o777, 0o600);
    let again = backup();
    assert!(!again.status.success());
    assert!(
        words(&again).contains("name another file"),
        "{}",
        words(&again)
    );
    assert_eq!(std::fs::read(&file).unwrap(), written);
    assert!(end(child).status.success());

    let elsewhere = Admin::new(CLAIMS);
    let data = elsewhere.dir.path().join("data");
    std::fs::create_dir(&data).unwrap();
    let key = "data/sealing.key";
    std::fs::copy(admin.dir.path().join(key), elsewhere.dir.path().join(key)).unwrap();
    let restore = || elsewhere.command(&["restore"]).arg(&file).output().unwrap();
    let restored = restore();
    assert!(restored.status.success(), "{}", words(&restored));
    let here = board(&admin, &token).await;
    let online = here
        .as_array()
        .unwrap()
        .iter()
        .map(|agent| &agent["online"]);
    assert_eq!(
        online.collect::<Vec<_>>(),
        [&Value::Bool(true), &Value::Bool(false)]
    );
    assert_eq!(board(&elsewhere, &token).await, here);
    // What is there already stays as it is.
    let refused = restore();
    assert!(!refused.status.success());
    assert!(
        words(&refused).contains("name an empty one"),
        "{}",
        words(&refused)
    );
    assert_eq!(board(&elsewhere, &token).await, here);
}

#[test]
fn what_is_no_backup_is_refused_in_words_and_nothing_of_it_is_there() {
    let admin = Admin::new("");
    assert!(admin.add_agent().status.success());
    let folder = admin.dir.path();
    let whole = folder.join("whole");
    let made = admin.command(&["backup"]).arg(&whole).output().unwrap();
    assert!(made.status.success(), "{}", words(&made));
    let whole = std::fs::read_to_string(whole).unwrap();
    let (head, rest) = whole.split_once('\n').unwrap();
    let newer = head.replace("\"migration\":", "\"migration\":9");
    let cut = whole.trim_end().rsplit_once('\n').unwrap().0;
    let elsewhere = Admin::new("");
    for (name, text, line) in [
        ("nothing", String::new(), "line 0"),
        ("a-letter", "Dear colleague,\n".to_owned(), "line 1"),
        (
            "another-format",
            format!("{{\"rollcall\":\"notes\"}}\n{rest}"),
            "line 1",
        ),
        ("of-tomorrow", format!("{newer}\n{rest}"), "newer server"),
        ("cut", cut.to_owned(), "not whole"),
        (
            "damaged",
            whole.replacen("\"users\"", "\"usres\"", 1),
            "no table usres",
        ),
    ] {
        let file = folder.join(name);
        std::fs::write(&file, text).unwrap();
        let refused = elsewhere.command(&["restore"]).arg(&file).output().unwrap();
        let said = words(&refused);
        assert!(!refused.status.success(), "{name}: {said}");
        assert!(said.contains(line), "{name}: {said}");
        assert!(said.contains("Nothing was brought back"), "{name}: {said}");
        let listed = elsewhere.command(&["user", "list"]).output().unwrap();
        assert!(!words(&listed).contains("agent1001"), "{name}");
    }
    let missing = folder.join("nowhere");
    let refused = elsewhere.command(&["restore"]).arg(&missing).output();
    let said = words(&refused.unwrap());
    assert!(said.contains("nowhere cannot be read"), "{said}");
}
