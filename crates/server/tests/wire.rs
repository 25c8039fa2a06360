//! The version before: what its clients were recorded to send is still answered in its shape.

mod common;

use std::collections::BTreeMap;

use common::{House, socket::Socket};
use reqwest::StatusCode;
use rollcall_server_client::Client;
use rollcall_wire::{
    WIRE_VERSION, WIRE_VERSION_HEADER,
    http::ErrorBody,
    realtime::{
        AGENT_STATUS, AGENTS_SNAPSHOT, AgentStatus, AgentsSnapshot, SESSION_ENDED, SessionEnded,
    },
};
use serde_json::{Value, json};
use tokio::{
    io::{AsyncReadExt as _, AsyncWriteExt as _},
    time::{Instant, timeout_at},
};

const RECORDED: &str = include_str!("wire/version-1.json");
/// What connections of Socket.IO said and heard, packet by packet, and what their owners asked meanwhile.
const REALTIME: &str = include_str!("wire/version-1-realtime.json");

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
async fn connections_of_the_version_before_hear_what_they_were_recorded_to_hear() {
    let house = House::open().await;
    let steps: Vec<Value> = serde_json::from_str(REALTIME).unwrap();
    let (mut sockets, mut tokens) = (BTreeMap::new(), BTreeMap::new());
    for step in &steps {
        let who = step["who"].as_str().unwrap();
        if !sockets.contains_key(who) {
            if who != "nobody" {
                tokens.insert(who, house.sign_in(who).await.tokens.sip);
            }
            sockets.insert(who, Socket::open(&house, None).await);
        }
        let socket = sockets.get_mut(who).unwrap();
        let token = tokens.get(who).map_or("", String::as_str);
        if let Some(path) = step["asks"].as_str() {
            let request = reqwest::Client::new().post(house.url(path));
            let request = request.header(WIRE_VERSION_HEADER, "1").bearer_auth(token);
            let response = request.json(&step["body"]).send().await.unwrap();
            assert_eq!(response.status(), StatusCode::OK, "{path}");
        }
        if let Some(kind) = step["says"][0].as_str() {
            let said = step["says"][1].to_string().replace("{token}", token);
            socket.say(format!("{kind}{said}")).await;
        }
        for recorded in step["hears"].as_array().into_iter().flatten() {
            hears(socket, recorded).await;
        }
    }
}

/// Waits for a packet that says what the recorded one did, and holds it to its shape.
async fn hears(socket: &mut Socket, recorded: &Value) {
    let kind = recorded[0].as_str().unwrap();
    let mut others = Vec::new();
    let deadline = Instant::now() + common::PATIENCE;
    loop {
        let heard = timeout_at(deadline, socket.hear()).await;
        let heard = heard.unwrap_or_else(|_| panic!("{recorded} was awaited: {others:#?}"));
        assert_ne!(heard, "closed", "{recorded} was awaited: {others:#?}");
        others.push(heard.clone());
        let Some(payload) = heard.strip_prefix(kind) else {
            continue;
        };
        let payload = match payload {
            "" => Value::Null,
            text => serde_json::from_str(text).unwrap(),
        };
        if told(&payload) == told(&recorded[1]) {
            // An event's name was compared.
            let body = |payload: &Value| payload.get(1).unwrap_or(payload).clone();
            return has_the_shape(&body(&payload), &body(&recorded[1]), kind);
        }
    }
}

/// What has to be the same, whatever else is told before: of an event its name and, of an agent, whose state and what.
fn told(payload: &Value) -> Value {
    let agent = &payload[1];
    let has_devices = agent["devices"]
        .as_array()
        .map(|devices| !devices.is_empty());
    json!([
        payload[0],
        payload["message"],
        agent["extension"],
        agent["status"],
        agent["online"],
        has_devices
    ])
}

#[test]
fn the_messages_of_a_server_of_the_version_before_are_read() {
    let steps: Vec<Value> = serde_json::from_str(REALTIME).unwrap();
    let heard = steps.iter().flat_map(|step| step["hears"].as_array());
    let mut read = BTreeMap::new();
    for packet in heard.flatten().filter(|packet| packet[0] == "42") {
        let (name, message) = (packet[1][0].as_str().unwrap(), packet[1][1].clone());
        match name {
            AGENTS_SNAPSHOT => drop(serde_json::from_value::<AgentsSnapshot>(message).unwrap()),
            AGENT_STATUS => drop(serde_json::from_value::<AgentStatus>(message).unwrap()),
            SESSION_ENDED => drop(serde_json::from_value::<SessionEnded>(message).unwrap()),
            other => panic!("{other} is no message of that version"),
        }
        *read.entry(name).or_insert(0) += 1;
    }
    assert_eq!(read.len(), 3, "{read:?}");
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
            for (place, value) in answer.iter().enumerate() {
                let recorded = recorded.get(place).or(recorded.first());
                has_the_shape(value, recorded.unwrap_or(value), at);
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
