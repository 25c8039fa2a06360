//! `rollcall-pocket-pbx` as it is started by hand and by `cargo xtask run`.
#![cfg(unix)]

use std::io::{BufRead, BufReader, Write};
use std::os::unix::fs::PermissionsExt;
use std::path::{Path, PathBuf};
use std::process::{Command, Stdio};

const BINARY: &str = env!("CARGO_BIN_EXE_rollcall-pocket-pbx");

const CONFIG: &str = r#"
sip = "127.0.0.1:0"
ami = "127.0.0.1:0"

[manager]
username = "rollcall"
secret = "s3cret"

[aor]
qualify_frequency = 5

[[people]]
extension = "1001"
password = "pw1001"
display_name = "Ada"
"#;

fn write(folder: &Path, text: &str, mode: u32) -> PathBuf {
    let path = folder.join("pbx.toml");
    std::fs::File::create(&path)
        .unwrap()
        .write_all(text.as_bytes())
        .unwrap();
    std::fs::set_permissions(&path, std::fs::Permissions::from_mode(mode)).unwrap();
    path
}

#[test]
fn it_prints_its_addresses_as_one_json_line_and_ends_when_terminated() {
    let folder = tempfile::tempdir().unwrap();
    let path = write(folder.path(), CONFIG, 0o600);
    let mut child = Command::new(BINARY)
        .arg("--config")
        .arg(&path)
        .stdout(Stdio::piped())
        .stderr(Stdio::null())
        .spawn()
        .unwrap();
    let mut line = String::new();
    BufReader::new(child.stdout.take().unwrap())
        .read_line(&mut line)
        .unwrap();
    let ready: serde_json::Value = serde_json::from_str(&line).unwrap();
    assert_eq!(ready["event"], "ready");
    for name in ["sip", "ami"] {
        let address: std::net::SocketAddr = ready[name].as_str().unwrap().parse().unwrap();
        assert_ne!(address.port(), 0);
    }
    Command::new("kill")
        .arg(child.id().to_string())
        .status()
        .unwrap();
    assert!(child.wait().unwrap().success());
}

fn refusal(text: &str, mode: u32) -> String {
    let folder = tempfile::tempdir().unwrap();
    let path = write(folder.path(), text, mode);
    let output = Command::new(BINARY)
        .arg("--config")
        .arg(&path)
        .output()
        .unwrap();
    assert!(!output.status.success());
    assert!(output.stdout.is_empty());
    let error = String::from_utf8(output.stderr).unwrap();
    assert!(
        !error.contains("s3cret") && !error.contains("pw1001"),
        "{error}"
    );
    error
}

#[test]
fn a_file_that_others_may_read_is_refused_with_the_remedy() {
    assert!(refusal(CONFIG, 0o644).contains("chmod 600"));
}

#[test]
fn what_cannot_be_is_refused_and_named() {
    assert!(refusal(&CONFIG.replace("1001\"\n", "10 01\"\n"), 0o600).contains("10 01"));
    assert!(
        refusal(
            &CONFIG.replace("127.0.0.1:0\"\nami", "0.0.0.0:0\"\nami"),
            0o600
        )
        .contains("0.0.0.0")
    );
    assert!(refusal(&CONFIG.replace("[aor]", "[aor]\nqualify = 5"), 0o600).contains("qualify"));
    assert!(
        refusal(
            &CONFIG.replace("secret = \"s3cret\"", "secret = s3cret"),
            0o600
        )
        .contains("pbx.toml")
    );
}
