//! `rollcall-phone parse` says of the torture messages what the parser says.

use std::path::PathBuf;
use std::process::Command;

use rollcall_sip::{Message, parse};

#[test]
fn the_program_agrees_with_the_parser_on_every_torture_message() {
    let folder = PathBuf::from(env!("CARGO_MANIFEST_DIR")).join("../sip/tests/torture");
    let mut files: Vec<PathBuf> = ["rfc4475", "rfc5118"]
        .iter()
        .flat_map(|rfc| std::fs::read_dir(folder.join(rfc)).expect("the torture messages"))
        .map(|entry| entry.expect("a file").path())
        .collect();
    files.sort();
    assert_eq!(files.len(), 62);
    let output = Command::new(env!("CARGO_BIN_EXE_rollcall-phone"))
        .arg("parse")
        .args(&files)
        .output()
        .expect("the program runs");
    assert!(output.status.success());
    let said = String::from_utf8(output.stdout).expect("text");
    let said: Vec<&str> = said.lines().collect();
    assert_eq!(said.len(), files.len());
    for (file, said) in files.iter().zip(said) {
        let expected = match parse(&std::fs::read(file).expect("readable")) {
            Ok(Message::Request(request)) => format!("ok {}", request.method),
            Ok(Message::Response(response)) => format!("ok {}", response.status_code.code()),
            Err(refusal) => format!("refused {} {}", refusal.code, refusal.reason),
        };
        assert_eq!(said, expected, "{}", file.display());
    }
}
