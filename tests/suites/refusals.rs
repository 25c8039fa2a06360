//! What the server refuses: a code for the program, words for the person, nothing written, nothing down.

use rollcall_e2e::asterisk::Settings;
use rollcall_e2e::server::{Answer, SUPERVISOR};
use rollcall_e2e::waiting::PROMPTLY;
use rollcall_e2e::{Agent, Asterisk, Board, Server};
use serde_json::{Value, json};

const LOGIN: &str = "/api/users/login";
const ONLINE: &str = "/api/users/agent-online";
const LOGOUT: &str = "/api/users/agent-logout";

/// Values that SIP, SQL, AMI or a dialplan would read as syntax.
const HOSTILE: [&str; 7] = [
    "1001\r\nAction: Originate\r\nChannel: PJSIP/1002",
    "1001' OR '1'='1",
    "1001\"; DROP TABLE users; --",
    "1001;tag=x",
    "1001\0",
    "<sip:1001@evil>",
    "",
];

/// The same for a Contact: each is wrong for a reason of its own, and right but for it.
const HOSTILE_CONTACTS: [&str; 13] = [
    "sip:1001@127.0.0.1\r\nAction: Originate\r\nChannel: PJSIP/1002",
    "sip:1001@127.0.0.1\nVia: SIP/2.0/UDP evil",
    "sip:1001@127.0.0.1\r",
    "sip:1001@127.0.0.1:5060\0",
    "sip:1001' OR '1'='1@127.0.0.1",
    "sip:1001@127.0.0.1'; DELETE FROM ps_contacts; --",
    "sip:1001\"@127.0.0.1",
    "sip:1001@127.0.0.1\"; DROP TABLE users; --",
    "sip:1001@127.0.0.1> , <sip:1002@127.0.0.1",
    "sip:1001@",
    "http://127.0.0.1/1001",
    "1001",
    "",
];

#[tokio::test]
async fn a_wrong_password_and_an_unknown_name_are_refused_in_the_same_words() {
    let (_asterisk, server) = stage().await;
    let before = server.everything_written().await;
    let wrong = server
        .post(
            LOGIN,
            None,
            &json!({ "username": "1001", "password": "wrong" }),
        )
        .await;
    let unknown = server
        .post(
            LOGIN,
            None,
            &json!({ "username": "nobody", "password": "wrong" }),
        )
        .await;
    refused(&wrong, 401, "wrong_credentials");
    assert_eq!(wrong.body, unknown.body, "who exists is not told");
    assert_eq!(
        server.everything_written().await,
        before,
        "nothing was written"
    );
}

#[tokio::test]
async fn malformed_and_oversized_bodies_are_refused_and_nothing_goes_down() {
    let (_asterisk, server) = stage().await;
    let token = server.token("1001").await;
    let before = server.everything_written().await;
    let huge = format!("{{\"extension\":\"{}\"}}", "1".repeat(1 << 20)).into_bytes();
    let deep = [b"[".repeat(60_000), b"]".repeat(0)].concat();
    for path in [LOGIN, ONLINE, LOGOUT] {
        for body in [
            &b"{"[..],
            b"not json",
            b"\xff\xfe",
            b"[]",
            b"{\"extension\": 1001}",
            b"null",
            &deep,
        ] {
            let answer = server.post_raw(path, Some(&token), body.to_vec()).await;
            assert_eq!(
                answer.status,
                400,
                "{path} {:?}: {answer:?}",
                String::from_utf8_lossy(&body[..body.len().min(40)])
            );
            explained(&answer);
        }
        let answer = server.post_raw(path, Some(&token), huge.clone()).await;
        refused(&answer, 413, "body_too_large");
    }
    assert_eq!(
        server.everything_written().await,
        before,
        "nothing was written"
    );
    assert_eq!(server.get("/healthz").await.status, 200);
}

#[tokio::test]
async fn hostile_extensions_and_contacts_are_refused_and_nothing_is_written() {
    let (asterisk, server) = stage().await;
    let board = server.board(SUPERVISOR).await;
    let token = server.token("1001").await;
    let before = server.everything_written().await;
    for hostile in HOSTILE {
        let answer = server
            .post(
                ONLINE,
                Some(&token),
                &json!({ "extension": hostile, "contactUri": "sip:1001@127.0.0.1" }),
            )
            .await;
        refused(&answer, 400, "invalid_value");
        assert_eq!(answer.body["field"], "extension");
    }
    for hostile in HOSTILE_CONTACTS {
        let answer = server
            .post(
                ONLINE,
                Some(&token),
                &json!({ "extension": "1001", "contactUri": hostile }),
            )
            .await;
        refused(&answer, 400, "invalid_value");
        assert_eq!(answer.body["field"], "contactUri", "{hostile:?}");
    }
    assert_eq!(
        server.everything_written().await,
        before,
        "nothing was written"
    );
    assert!(
        !asterisk.log().contains("Originate"),
        "nothing reached Asterisk"
    );
    assert_eq!(board.first_said("1001", "Available", 0), None);
}

#[tokio::test]
async fn another_agents_extension_is_forbidden() {
    let (_asterisk, server) = stage().await;
    let token = server.token("1001").await;
    let before = server.everything_written().await;
    let answer = server
        .post(
            ONLINE,
            Some(&token),
            &json!({ "extension": "1002", "contactUri": "sip:1002@127.0.0.1" }),
        )
        .await;
    refused(&answer, 403, "wrong_extension");
    assert_eq!(
        server.everything_written().await,
        before,
        "nothing was written"
    );
}

#[tokio::test]
async fn nobody_gets_in_without_a_token_that_is_good() {
    let (_asterisk, server) = stage().await;
    let body = json!({ "extension": "1001", "contactUri": "sip:1001@127.0.0.1" });
    refused(
        &server.post(ONLINE, None, &body).await,
        401,
        "missing_token",
    );
    refused(
        &server.post(ONLINE, Some("made-up"), &body).await,
        401,
        "invalid_token",
    );
    refused(
        &server.post(LOGOUT, Some("made-up"), &json!({})).await,
        401,
        "invalid_token",
    );
    let board = Board::connect(&server.url(), "made-up", "websocket");
    let refusal = board
        .program()
        .event("is refused", |event| {
            (event["event"] == "connect_error").then(|| event.clone())
        })
        .await;
    assert!(
        refusal["data"]["message"]
            .as_str()
            .is_some_and(|words| !words.is_empty()),
        "{refusal}"
    );
    assert!(
        board
            .program()
            .events()
            .iter()
            .all(|event| event["event"] != "agents:snapshot")
    );
}

#[tokio::test]
async fn a_logout_ends_the_token() {
    let (_asterisk, server) = stage().await;
    let token = server.token("1001").await;
    assert_eq!(
        server
            .post_raw(LOGOUT, Some(&token), Vec::new())
            .await
            .status,
        200
    );
    let again = server
        .post(
            ONLINE,
            Some(&token),
            &json!({ "extension": "1001", "contactUri": "sip:1001@127.0.0.1" }),
        )
        .await;
    assert_eq!(again.status, 401, "{again:?}");
}

#[tokio::test]
async fn an_agent_whose_server_is_away_or_who_mistypes_says_what_to_do() {
    let (_asterisk, server) = stage().await;
    let mut nobody = Agent::new("nobody").start(&server);
    said_why(&mut nobody, "wrong_credentials").await;
    let mut away = Agent::new("1001").start_at("http://127.0.0.1:9");
    said_why(&mut away, "server_away").await;
}

#[tokio::test]
async fn an_agent_sees_colleagues_states_and_not_their_addresses_devices_or_reasons() {
    let (_asterisk, server) = stage().await;
    let _colleague = Agent::new("1002").start(&server);
    let board = server.board("1001").await;
    let seen = board.shows("1002", "Available", PROMPTLY).await;
    let text = seen.to_string();
    assert!(
        !text.contains("127.0.0.1") && !text.contains("userAgent") && !text.contains("\"message\""),
        "{text}"
    );
    for hidden in ["reasons", "devices"] {
        assert_eq!(seen[hidden], serde_json::json!([]), "{text}");
    }
    assert_eq!(seen["sources"].get("app"), None, "{text}");
}

async fn said_why(agent: &mut rollcall_e2e::Program, code: &str) {
    let error = agent
        .event_within("says why", std::time::Duration::from_secs(40), |event| {
            (event["event"] == "error").then(|| event.clone())
        })
        .await;
    assert_eq!(error["code"], code, "{error}");
    assert!(
        error["message"]
            .as_str()
            .is_some_and(|words| !words.is_empty()),
        "{error}"
    );
    assert!(
        error["next"]
            .as_str()
            .is_some_and(|words| !words.is_empty()),
        "{error}"
    );
    assert!(!agent.ended(PROMPTLY).await.success());
}

fn refused(answer: &Answer, status: u16, code: &str) {
    assert_eq!(answer.status, status, "{answer:?}");
    assert_eq!(answer.body["code"], code, "{answer:?}");
    explained(answer);
}

/// Every refusal says what is wrong, for a person.
fn explained(answer: &Answer) {
    let words = |value: &Value| value.as_str().is_some_and(|text| !text.is_empty());
    assert!(
        words(&answer.body["code"]) && words(&answer.body["message"]),
        "{answer:?}"
    );
}

async fn stage() -> (Asterisk, Server) {
    let asterisk = Asterisk::start(Settings::default()).await;
    let server = Server::start(&asterisk).await;
    (asterisk, server)
}
