//! The OpenAPI document against the server that serves it.

use std::process::{Command, Output};

use rollcall_e2e::server::SUPERVISOR;
use rollcall_e2e::surroundings::{repository, schemathesis};
use rollcall_e2e::{Asterisk, Server, asterisk::Settings};
use serde_json::Value;

/// What is judged of each answer: its status, kind and shape, and that what breaks the document is refused.
const CHECKS: &str = "not_a_server_error,status_code_conformance,content_type_conformance,response_schema_conformance,\
                      negative_data_rejection";

/// They end the session that asks, so that each request of theirs needs one of its own.
const ENDING: [&str; 2] = ["/api/users/agent-logout", "/api/users/password"];

#[tokio::test]
async fn what_the_document_promises_the_server_keeps() {
    let asterisk = Asterisk::start(Settings::default()).await;
    let server = Server::start(&asterisk).await;
    server.admin(&["user", "role", "--username", SUPERVISOR, "admin"]);
    let token = server.token(SUPERVISOR).await;
    let mut run = asking(&asterisk, &server);
    run.args(["--header", &format!("Authorization: Bearer {token}")]);
    for path in ENDING {
        run.args(["--exclude-path", path]);
    }
    let run = run.output();
    let all = operations(&server).await;
    assert!(all > 10, "{all}");
    succeeded(run, all - ENDING.len());
}

#[tokio::test]
async fn what_the_document_promises_of_operations_that_end_a_session_is_kept_too() {
    let asterisk = Asterisk::start(Settings::default()).await;
    let server = Server::start(&asterisk).await;
    let mut run = asking(&asterisk, &server);
    run.env(
        "SCHEMATHESIS_HOOKS",
        repository().join("tests/schemathesis/sessions.py"),
    )
    .env("ROLLCALL_URL", server.url())
    .env("ROLLCALL_USERNAME", "1001")
    .env("ROLLCALL_PASSWORD", Server::password("1001"));
    for path in ENDING {
        run.args(["--include-path", path]);
    }
    succeeded(run.output(), ENDING.len());
}

fn asking(asterisk: &Asterisk, server: &Server) -> Command {
    let mut run = Command::new(schemathesis());
    run.args(["run", &format!("{}/api/openapi.json", server.url())])
        .args(["--checks", CHECKS, "--phases", "examples,coverage,fuzzing"])
        .args(["--max-examples", "10", "--seed", "1", "--no-color"])
        .current_dir(asterisk.folder());
    run
}

/// How many operations the document has.
async fn operations(server: &Server) -> usize {
    let document = reqwest::get(format!("{}/api/openapi.json", server.url())).await;
    let document: Value = match document {
        Ok(answer) => answer.json().await.unwrap_or_default(),
        Err(error) => panic!("the document: {error}"),
    };
    let paths = document["paths"].as_object();
    let methods = ["get", "post", "patch", "put", "delete"];
    let of_path = |path: &Value| {
        (methods.iter())
            .filter(|method| path.get(method).is_some())
            .count()
    };
    paths.map_or(0, |paths| paths.values().map(of_path).sum())
}

fn succeeded(run: std::io::Result<Output>, tested: usize) {
    let run = run.unwrap_or_else(|error| panic!("schemathesis: {error}"));
    let said = String::from_utf8_lossy(&run.stdout);
    assert!(run.status.success(), "{said}");
    assert!(said.contains(&format!("Tested: {tested}")), "{said}");
}
