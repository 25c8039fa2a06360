//! The OpenAPI document against the server that serves it.

use std::process::Command;

use rollcall_e2e::server::SUPERVISOR;
use rollcall_e2e::surroundings::schemathesis;
use rollcall_e2e::{Asterisk, Server, asterisk::Settings};

/// What is judged of each answer: its status, kind and shape, and that what breaks the document is refused.
const CHECKS: &str = "not_a_server_error,status_code_conformance,content_type_conformance,response_schema_conformance,\
                      negative_data_rejection";

#[tokio::test]
async fn what_the_document_promises_the_server_keeps() {
    let asterisk = Asterisk::start(Settings::default()).await;
    let server = Server::start(&asterisk).await;
    server.admin(&["user", "role", "--username", SUPERVISOR, "admin"]);
    let token = server.token(SUPERVISOR).await;
    let run = Command::new(schemathesis())
        .args(["run", &format!("{}/api/openapi.json", server.url())])
        .args(["--header", &format!("Authorization: Bearer {token}")])
        .args(["--checks", CHECKS, "--phases", "examples,coverage,fuzzing"])
        .args(["--max-examples", "10", "--seed", "1", "--no-color"])
        // These two end the session that asks.
        .args(["--exclude-path", "/api/users/agent-logout"])
        .args(["--exclude-path", "/api/users/password"])
        .current_dir(asterisk.folder())
        .output()
        .unwrap_or_else(|error| panic!("schemathesis: {error}"));
    let said = String::from_utf8_lossy(&run.stdout);
    assert!(run.status.success(), "{said}");
    // All that are not excluded.
    assert!(said.contains("Tested: 18"), "{said}");
}
