//! The server tells Asterisk of the agents' phones: rows in realtime, or a file. And it comes as a package.

use std::fs;
use std::path::Path;
use std::process::Command;

use rollcall_e2e::asterisk::Settings;
use rollcall_e2e::database::Kind;
use rollcall_e2e::phone::Phone;
use rollcall_e2e::server::Options;
use rollcall_e2e::surroundings::{binary, repository};
use rollcall_e2e::waiting::PROMPTLY;
use rollcall_e2e::{Mode, Scene, Server, eventually};
use serde_json::json;

/// Everything of a phone comes from the database.
const REALTIME: [(&str, &str); 3] = [
    (
        "pjsip.conf",
        "[global]\ntype = global\nendpoint_identifier_order = username\ncontact_expiration_check_interval = 1\n\
         [udp]\ntype = transport\nprotocol = udp\nbind = 127.0.0.1:{sip}\n",
    ),
    (
        "sorcery.conf",
        "[res_pjsip]\nendpoint = realtime,ps_endpoints\naor = realtime,ps_aors\nauth = realtime,ps_auths\n\
         contact = realtime,ps_contacts\n",
    ),
    (
        "extconfig.conf",
        "[settings]\nps_endpoints => {driver},ps_endpoints\nps_aors => {driver},ps_aors\n\
         ps_auths => {driver},ps_auths\nps_contacts => {driver},ps_contacts\n",
    ),
];

fn with(files: &[(&str, impl ToString)]) -> Settings {
    let own = |(name, text): &(&str, _)| ((*name).to_owned(), ToString::to_string(text));
    Settings {
        files: files.iter().map(own).collect(),
        ..Settings::default()
    }
}

#[tokio::test]
async fn each_device_registers_with_a_password_of_its_own_until_it_is_logged_out() {
    passwords_of_devices_on(Kind::Sqlite).await;
}

#[tokio::test]
async fn each_device_has_a_password_of_its_own_on_postgresql() {
    passwords_of_devices_on(Kind::Postgres).await;
}

#[tokio::test]
async fn each_device_has_a_password_of_its_own_on_mariadb() {
    passwords_of_devices_on(Kind::MariaDb).await;
}

async fn passwords_of_devices_on(kind: Kind) {
    let options = Options {
        more: "[provision]\nrealtime = true\nqualify_frequency_s = 1\n".to_owned(),
        ..Options::default()
    };
    let driver = match kind {
        Kind::Postgres => "pgsql,public",
        _ => "odbc,contacts",
    };
    let files = REALTIME.map(|(name, text)| (name, text.replace("{driver}", driver)));
    let settings = with(&files);
    let scene = match kind {
        Kind::Sqlite => Scene::start_with(Mode::Shared, settings, options).await,
        kind => Scene::shared_on(kind, settings, options).await,
    };
    let _agent = scene.signed_in("1001").await;
    let (token, password) = second_device(&scene.server).await;
    let phone = |password: &str| Phone::at("1001", &scene.asterisk.sip(), password).start();
    let desk = phone(&password);
    desk.registered().await;
    drop(desk);
    let left = scene
        .server
        .post("/api/users/agent-logout", Some(&token), &json!({}))
        .await;
    assert_eq!(left.status, 200, "{left:?}");
    let refused = phone(&password).event("registration_failed").await;
    assert_eq!(refused["code"], "wrong_credentials", "{refused}");
    // The first device is not touched, and can register anew.
    scene.board.shows("1001", "Available", PROMPTLY).await;
    let auths = scene.asterisk.rx("pjsip show auths").await;
    assert_eq!(
        auths.matches("Auth:  1001").count(),
        2,
        "its own and the first device's: {auths}"
    );
}

/// Signs in as 1001 from elsewhere; answers the token and the SIP password.
async fn second_device(server: &Server) -> (String, String) {
    let login = json!({ "username": "1001", "password": Server::password("1001"), "deviceId": "second-device" });
    let answer = server.post("/api/users/login", None, &login).await;
    assert_eq!(answer.status, 200, "{answer:?}");
    let text = |value: &serde_json::Value| value.as_str().unwrap_or_default().to_owned();
    (
        text(&answer.body["tokens"]["sip"]),
        text(&answer.body["user"]["pjsip"]["password"]),
    )
}

#[tokio::test]
async fn the_file_that_provision_writes_is_all_that_pjsip_conf_lacks() {
    let files = [(
        "pjsip.conf",
        "[global]\ntype = global\nendpoint_identifier_order = username\ncontact_expiration_check_interval = 1\n\
         [udp]\ntype = transport\nprotocol = udp\nbind = 127.0.0.1:{sip}\n#tryinclude \"agents.conf\"\n",
    )];
    let options = Options {
        more: "[provision]\nqualify_frequency_s = 1\n".to_owned(),
        ..Options::default()
    };
    let scene = Scene::start_with(Mode::Mirror, with(&files), options).await;
    let out = scene.asterisk.folder().join("etc/agents.conf");
    let said = scene
        .server
        .admin(&["provision", "--out", &out.to_string_lossy(), "--reload"]);
    assert!(said.contains("3 endpoints"), "{said}");
    eventually("Asterisk has the endpoints", PROMPTLY, async || {
        let shown = scene.asterisk.rx("pjsip show endpoint 1001").await;
        if shown.contains("aors") {
            Ok(())
        } else {
            Err(shown)
        }
    })
    .await;
    let _agent = scene.signed_in("1001").await;
    scene.all_say_available("1001").await;
}

#[test]
fn the_package_is_built_installed_and_removed_and_leaves_the_configuration() {
    let folder = tempfile::tempdir().unwrap_or_else(|error| panic!("{error}"));
    let out = folder.path().join("out");
    let built = Command::new(repository().join("packaging/build-deb"))
        .arg(binary("rollcall-server"))
        .arg(&out)
        .env("ROLLCALL_DEB_COMPRESSION", "none")
        .output();
    succeeded("build-deb", built);
    let package = fs::read_dir(&out)
        .ok()
        .and_then(|mut files| files.next()?.ok());
    let package = package
        .unwrap_or_else(|| panic!("no package in {}", out.display()))
        .path();
    let root = folder.path().join("root");
    for made in ["var/lib/dpkg/info", "var/lib/dpkg/updates", "etc"] {
        fs::create_dir_all(root.join(made)).unwrap_or_else(|error| panic!("{error}"));
    }
    for (file, text) in [
        ("var/lib/dpkg/status", ""),
        ("etc/passwd", "root:x:0:0::/:/bin/sh\n"),
        ("etc/group", "root:x:0:\n"),
    ] {
        fs::write(root.join(file), text).unwrap_or_else(|error| panic!("{error}"));
    }
    let dpkg = |word: &str, what: &Path| {
        let root = root.display();
        let mut command = Command::new("dpkg");
        command
            .arg(format!("--root={root}"))
            .arg(format!("--log={root}/dpkg.log"))
            .args([
                "--force-script-chrootless",
                "--force-not-root",
                "--force-depends",
                word,
            ])
            .arg(what);
        command.output()
    };
    succeeded("dpkg --install", dpkg("--install", &package));
    let installed = root.join("usr/bin/rollcall-server");
    let version = Command::new(&installed).arg("--version").output();
    assert!(succeeded("--version", version).starts_with("rollcall-server "));
    let config = root.join("etc/rollcall/server.toml");
    let secret = root.join("etc/rollcall/ami.secret");
    fs::write(&secret, "hush").unwrap_or_else(|error| panic!("{error}"));
    let check = Command::new(&installed)
        .args(["check", "--config"])
        .arg(&config)
        .env("ROLLCALL_AMI__SECRET_FILE", &secret)
        .output();
    succeeded("check", check);
    let passwd = fs::read_to_string(root.join("etc/passwd")).unwrap_or_default();
    assert!(passwd.contains("\nrollcall:"), "{passwd}");
    assert!(
        root.join("usr/lib/systemd/system/rollcall-server.service")
            .exists()
    );
    succeeded(
        "dpkg --remove",
        dpkg("--remove", Path::new("rollcall-server")),
    );
    assert!(!installed.exists() && config.exists());
}

#[test]
fn the_unit_gives_the_server_no_more_than_it_needs() {
    let unit = repository().join("packaging/rollcall-server.service");
    let judged = Command::new("systemd-analyze")
        .args(["security", "--offline=true", "--no-pager"])
        .arg(unit)
        .output();
    let said = succeeded("systemd-analyze", judged);
    let level = said.rsplit("rollcall-server.service: ").next();
    let exposure: Option<f64> = level.and_then(|rest| rest.split(' ').next()?.parse().ok());
    assert!(exposure.is_some_and(|exposure| exposure <= 1.5), "{said}");
}

/// It is built where images can be fetched; here, that its lines say what is so.
#[test]
fn the_container_file_copies_what_is_there_and_runs_as_nobody_special() {
    let read = |name: &str| {
        let path = repository().join(name);
        fs::read_to_string(&path).unwrap_or_else(|error| panic!("{}: {error}", path.display()))
    };
    let file = read("packaging/Containerfile");
    let lines: Vec<&str> = (file.lines().map(str::trim))
        .filter(|line| !line.is_empty() && !line.starts_with('#'))
        .collect();
    let after = |word: &str| -> Vec<&str> {
        lines
            .iter()
            .filter_map(|line| line.strip_prefix(word)?.strip_prefix(' '))
            .collect()
    };
    let toolchain = read("rust-toolchain.toml");
    let version = toolchain.split('"').nth(1).unwrap_or_default();
    let minor = version.rsplit_once('.').map_or(version, |(minor, _)| minor);
    let stages = after("FROM");
    assert_eq!(stages.len(), 2);
    assert!(stages[0].contains(&format!("/rust:{minor}-")), "{stages:?}");
    // What was linked with one Debian's libc runs on that Debian.
    let debian = stages[1]
        .rsplit(':')
        .next()
        .and_then(|tag| tag.split('-').next());
    assert!(
        debian.is_some_and(|debian| stages[0].contains(debian)),
        "{stages:?}"
    );
    let mut installed = Vec::new();
    for copy in after("COPY") {
        let words: Vec<&str> = copy.split(' ').collect();
        let [.., from, to] = words[..] else {
            panic!("COPY {copy}");
        };
        installed.push(to);
        match from.strip_prefix("/source/") {
            Some(built) => assert_eq!(built, "target/release/rollcall-server"),
            None => assert!(repository().join(from).exists(), "{from}"),
        }
    }
    let build = "cargo build --locked --release --package rollcall-server";
    assert_eq!(after("RUN")[0], build);
    assert_eq!(
        after("USER"),
        ["rollcall"],
        "the last stage's, after all that needs root"
    );
    let last = |word: &str| lines.iter().rposition(|line| line.starts_with(word));
    assert!(last("USER") > last("RUN") && last("USER") > last("COPY"));
    let entry = after("ENTRYPOINT")[0].trim_matches(['[', ']', '"']);
    let config = after("CMD")[0].trim_matches(['[', ']']);
    let config = config
        .rsplit(' ')
        .next()
        .unwrap_or_default()
        .trim_matches('"');
    assert!(
        installed.contains(&entry) && installed.contains(&config),
        "{installed:?}"
    );
    let unit = read("packaging/rollcall-server.service");
    assert!(unit.contains(&format!("ExecStart={entry} serve --config {config}")));
    let ignored = read(".dockerignore");
    assert!(ignored.lines().any(|line| line == "target"), "{ignored}");
}

fn succeeded(what: &str, output: std::io::Result<std::process::Output>) -> String {
    let output = output.unwrap_or_else(|error| panic!("{what}: {error}"));
    let said = [output.stdout, output.stderr].concat();
    let said = String::from_utf8_lossy(&said).into_owned();
    assert!(output.status.success(), "{what}: {said}");
    said
}
