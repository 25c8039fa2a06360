//! The version before: what its clients were recorded to send is still answered in its shape.

mod common;

use common::House;
use reqwest::StatusCode;
use rollcall_server_client::Client;
use rollcall_wire::{WIRE_VERSION, WIRE_VERSION_HEADER, http::ErrorBody};
use serde_json::Value;
use tokio::io::{AsyncReadExt as _, AsyncWriteExt as _};

const RECORDED: &str = include_str!("wire/version-1.json");

#[tokio::test]
async fn a_client_of_the_version_before_lives_its_recorded_day() {
    let house = House::open().await;
    let recorded: Vec<Value> = serde_json::from_str(RECORDED).unwrap();
    assert_eq!(WIRE_VERSION, 2, "record the version before, and play that");
    let mut tokens = Value::Null;
    for exchange in recorded {
        let (asked, expected) = (&exchange["asked"], &exchange["answered"]);
        let path = asked["path"].as_str().unwrap();
        let text = filled(&asked["body"].to_string(), &tokens);
        let mut request = reqwest::Client::new().post(house.url(path)).body(text);
        for (name, value) in asked["headers"].as_object().unwrap() {
            request = request.header(name, filled(value.as_str().unwrap(), &tokens));
        }
        let response = request.send().await.unwrap();
        assert_eq!(response.status().as_u16(), expected["status"], "{path}");
        assert_eq!(response.headers()[WIRE_VERSION_HEADER], "2");
        let answer: Value = response.json().await.unwrap();
        has_the_shape(&answer, &expected["body"], path);
        if answer["tokens"].is_object() {
            tokens = answer["tokens"].clone();
        }
    }
}

#[tokio::test]
async fn a_client_that_is_too_old_is_told_so_in_words() {
    let house = House::open().await;
    let ask = |version: &'static str| {
        let request = reqwest::Client::new().post(house.url("/api/users/login"));
        request.header(WIRE_VERSION_HEADER, version).send()
    };
    let response = ask("0").await.unwrap();
    assert_eq!(response.status(), StatusCode::UPGRADE_REQUIRED);
    let body: ErrorBody = response.json().await.unwrap();
    assert_eq!(body.code, "app_too_old");
    assert_eq!(body.next.as_deref(), Some("Update the app."));
    assert_eq!(ask("new").await.unwrap().status(), StatusCode::BAD_REQUEST);
    // A newer one is let in: it hears which version this is, and judges.
    let response = ask("3").await.unwrap();
    assert_ne!(response.status(), StatusCode::UPGRADE_REQUIRED);
    assert_eq!(response.headers()[WIRE_VERSION_HEADER], "2");
}

#[tokio::test]
async fn an_answer_of_the_version_before_is_read_and_an_older_servers_is_refused() {
    let recorded: Vec<Value> = serde_json::from_str(RECORDED).unwrap();
    let body = recorded[0]["answered"]["body"].to_string();
    // The servers of that version named none.
    let client = answered_with("", &body).await;
    let answer = client.login(&common::login("agent1001")).await.unwrap();
    assert_eq!(answer.user.extension.as_deref(), Some("1001"));
    let client = answered_with("rollcall-wire: 0\r\n", &body).await;
    let refused = client.login(&common::login("agent1001")).await.unwrap_err();
    assert_eq!(refused.code(), "server_too_old");
}

fn filled(text: &str, tokens: &Value) -> String {
    let token = |name: &str| tokens[name].as_str().unwrap_or_default().to_owned();
    text.replace("{sip}", &token("sip"))
        .replace("{refresh}", &token("refresh"))
}

/// Everything that was there is there, and of its kind.
fn has_the_shape(answer: &Value, recorded: &Value, at: &str) {
    match (answer, recorded) {
        (Value::Object(answer), Value::Object(recorded)) => {
            for (name, value) in recorded {
                let at = format!("{at}.{name}");
                has_the_shape(answer.get(name).unwrap_or(&Value::Null), value, &at);
            }
        }
        (Value::Array(answer), Value::Array(recorded)) => {
            for value in answer {
                has_the_shape(value, recorded.first().unwrap_or(value), at);
            }
        }
        _ => assert_eq!(
            std::mem::discriminant(answer),
            std::mem::discriminant(recorded),
            "{at}: {answer}, recorded {recorded}"
        ),
    }
}

/// A client of something that answers its one request with this.
async fn answered_with(header: &str, body: &str) -> Client {
    let listener = tokio::net::TcpListener::bind("127.0.0.1:0").await.unwrap();
    let client = Client::new(&format!("http://{}", listener.local_addr().unwrap())).unwrap();
    let answer = format!(
        "HTTP/1.1 200 OK\r\ncontent-type: application/json\r\n{header}content-length: {}\r\n\r\n{body}",
        body.len()
    );
    tokio::spawn(async move {
        let (mut stream, _) = listener.accept().await.unwrap();
        let _ = stream.read(&mut [0; 4096]).await;
        stream.write_all(answer.as_bytes()).await.unwrap();
    });
    client
}
