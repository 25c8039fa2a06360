//! The Socket.IO connection against a peer that is scripted word by word.

use std::time::Duration;

use futures_util::{SinkExt as _, StreamExt as _};
use rollcall_server_client::{Client, Realtime, RealtimeEvent, RealtimeEvents};
use rollcall_wire::realtime::DeviceHeartbeat;
use serde_json::{Value, json};
use tokio::net::{TcpListener, TcpStream};
use tokio_tungstenite::{WebSocketStream, accept_async, tungstenite::Message};

/// Longer than anything here takes; reaching it is a failure.
const PATIENCE: Duration = Duration::from_secs(20);
const OPEN: &str =
    r#"0{"sid":"s","upgrades":[],"pingInterval":600,"pingTimeout":400,"maxPayload":1000000}"#;

/// The same of a server that may be silent for a minute.
const CALM: &str =
    r#"0{"sid":"s","upgrades":[],"pingInterval":60000,"pingTimeout":400,"maxPayload":1000000}"#;

struct Peer {
    listener: TcpListener,
    open: &'static str,
}

struct Connection(WebSocketStream<TcpStream>);

impl Peer {
    async fn new() -> (Self, Client) {
        let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
        let url = format!("http://{}", listener.local_addr().unwrap());
        let open = OPEN;
        (Self { listener, open }, Client::new(&url).unwrap())
    }

    async fn calm() -> (Self, Client) {
        let (peer, client) = Self::new().await;
        (Self { open: CALM, ..peer }, client)
    }

    /// Takes a connection as far as the token; answers the token.
    async fn take(&self) -> (Connection, String) {
        let (stream, _) = within(self.listener.accept()).await.unwrap();
        let mut connection = Connection(accept_async(stream).await.unwrap());
        connection.say(self.open).await;
        let hello = connection.hear().await;
        let auth: Value = serde_json::from_str(hello.strip_prefix("40").unwrap()).unwrap();
        (connection, auth["token"].as_str().unwrap().to_owned())
    }

    /// Takes a connection and welcomes it.
    async fn welcome(&self) -> Connection {
        let (mut connection, _) = self.take().await;
        connection.say(r#"40{"sid":"n"}"#).await;
        connection
    }
}

impl Connection {
    async fn say(&mut self, text: &str) {
        self.0.send(Message::text(text.to_owned())).await.unwrap();
    }

    async fn event(&mut self, name: &str, value: Value) {
        self.say(&format!("42{}", json!([name, value]))).await;
    }

    async fn snapshot(&mut self, epoch: &str, seq: u64) {
        let value = json!({"epoch": epoch, "seq": seq, "agents": []});
        self.event("agents:snapshot", value).await;
    }

    async fn status(&mut self, epoch: &str, seq: u64) {
        let value = json!({
            "epoch": epoch, "seq": seq, "extension": "1001", "status": "Available",
            "contactStatus": "Reachable", "online": true, "sipRegistered": true, "reasons": [],
            "since": 1, "sources": {}, "devices": [], "ofTheFuture": 1,
        });
        self.event("agent:status", value).await;
    }

    async fn hear(&mut self) -> String {
        loop {
            match within(self.0.next()).await.unwrap().unwrap() {
                Message::Text(text) => return text.to_string(),
                Message::Close(_) => return "closed".into(),
                _ => {}
            }
        }
    }
}

async fn within<T>(work: impl Future<Output = T>) -> T {
    tokio::time::timeout(PATIENCE, work).await.expect("in time")
}

async fn next(events: &mut RealtimeEvents) -> RealtimeEvent {
    within(events.next()).await.expect("an event")
}

fn seq(event: &RealtimeEvent) -> u64 {
    match event {
        RealtimeEvent::Snapshot(snapshot) => snapshot.seq,
        RealtimeEvent::Status(status) => status.seq,
        other => panic!("{other:?}"),
    }
}

#[tokio::test]
async fn the_board_arrives_in_order_and_a_gap_asks_for_a_snapshot() {
    let (peer, client) = Peer::new().await;
    let (_link, mut events) = Realtime::connect(&client, "t".into());
    let mut server = peer.welcome().await;
    assert_eq!(next(&mut events).await, RealtimeEvent::Connected);
    server.snapshot("e", 7).await;
    server.status("e", 7).await;
    server.status("e", 8).await;
    assert_eq!(seq(&next(&mut events).await), 7);
    assert_eq!(
        seq(&next(&mut events).await),
        8,
        "what is known already is not told again"
    );
    server.status("e", 10).await;
    assert_eq!(next(&mut events).await, RealtimeEvent::Gap);
    assert_eq!(server.hear().await, r#"42["agents:resync"]"#);
    server.status("e", 11).await;
    server.snapshot("e", 11).await;
    server.status("e", 12).await;
    assert_eq!(seq(&next(&mut events).await), 11);
    assert_eq!(seq(&next(&mut events).await), 12);
}

#[tokio::test]
async fn a_snapshot_that_cannot_be_read_is_a_gap_and_asked_for_again_without_any_change() {
    let (peer, client) = Peer::calm().await;
    let (_link, mut events) = Realtime::connect(&client, "t".into());
    let mut server = peer.welcome().await;
    assert_eq!(next(&mut events).await, RealtimeEvent::Connected);
    server.snapshot("e", 7).await;
    assert_eq!(seq(&next(&mut events).await), 7);
    server.event("agents:snapshot", json!({"epoch": 1})).await;
    assert_eq!(next(&mut events).await, RealtimeEvent::Gap);
    assert_eq!(server.hear().await, r#"42["agents:resync"]"#);
    server.snapshot("e", 9).await;
    assert_eq!(seq(&next(&mut events).await), 9);
}

#[tokio::test]
async fn a_reader_that_falls_behind_is_told_of_the_gap_and_given_a_new_snapshot() {
    let (peer, client) = Peer::calm().await;
    let (_link, mut events) = Realtime::connect(&client, "t".into());
    let mut server = peer.welcome().await;
    server.snapshot("e", 0).await;
    // More than may wait, while nobody reads; then the question that shows that all of it was taken in.
    for seq in 1..=1_500 {
        server.status("e", seq).await;
    }
    server.say("2").await;
    assert_eq!(server.hear().await, "3");
    let mut last = None;
    loop {
        match next(&mut events).await {
            RealtimeEvent::Gap => break,
            RealtimeEvent::Connected => {}
            event => last = Some(seq(&event)),
        }
    }
    assert!(last.is_some_and(|seq| seq < 1_500), "{last:?}");
    assert_eq!(server.hear().await, r#"42["agents:resync"]"#);
    server.snapshot("e", 1_500).await;
    assert_eq!(seq(&next(&mut events).await), 1_500);
}

#[tokio::test]
async fn pings_are_answered_and_a_silent_server_is_lost() {
    let (peer, client) = Peer::new().await;
    let (_link, mut events) = Realtime::connect(&client, "t".into());
    let mut server = peer.welcome().await;
    assert_eq!(next(&mut events).await, RealtimeEvent::Connected);
    server.say("2").await;
    assert_eq!(server.hear().await, "3");
    // The interval and the time-out it named pass without a word.
    let RealtimeEvent::Lost { why, .. } = next(&mut events).await else {
        panic!("silence was not noticed");
    };
    assert!(why.contains("silent"), "{why}");
}

#[tokio::test]
async fn a_connection_that_breaks_is_lost_once_and_made_again() {
    let (peer, client) = Peer::new().await;
    let (_link, mut events) = Realtime::connect(&client, "t".into());
    drop(peer.welcome().await);
    assert_eq!(next(&mut events).await, RealtimeEvent::Connected);
    assert!(matches!(
        next(&mut events).await,
        RealtimeEvent::Lost { .. }
    ));
    // Refused at the door once more: the loss is not told twice.
    let (half, _) = peer.take().await;
    drop(half);
    let mut server = peer.welcome().await;
    assert_eq!(next(&mut events).await, RealtimeEvent::Connected);
    server.snapshot("f", 1).await;
    assert_eq!(seq(&next(&mut events).await), 1);
}

#[tokio::test]
async fn a_bad_token_is_told_and_a_new_one_is_tried_at_once() {
    let (peer, client) = Peer::new().await;
    let (link, mut events) = Realtime::connect(&client, "old".into());
    let (mut server, token) = peer.take().await;
    assert_eq!(token, "old");
    server
        .say(r#"44{"message":"invalid_token: The session has ended."}"#)
        .await;
    let RealtimeEvent::Rejected(body) = next(&mut events).await else {
        panic!("the refusal was not told");
    };
    assert_eq!(
        (body.code.as_str(), body.message.as_str()),
        ("invalid_token", "The session has ended.")
    );
    link.set_token("new".into());
    let (_server, token) = peer.take().await;
    assert_eq!(token, "new");
}

#[tokio::test]
async fn a_refusal_that_may_pass_is_a_loss_and_tried_again() {
    let (peer, client) = Peer::new().await;
    let (_link, mut events) = Realtime::connect(&client, "t".into());
    let (mut server, _) = peer.take().await;
    server
        .say(r#"44{"message":"database_down: It cannot be read now."}"#)
        .await;
    assert!(matches!(
        next(&mut events).await,
        RealtimeEvent::Lost { .. }
    ));
    let _server = peer.welcome().await;
    assert_eq!(next(&mut events).await, RealtimeEvent::Connected);
}

#[tokio::test]
async fn whatever_a_peer_sends_is_skipped_and_the_next_good_word_is_heard() {
    let (peer, client) = Peer::new().await;
    let (_link, mut events) = Realtime::connect(&client, "t".into());
    let mut server = peer.welcome().await;
    assert_eq!(next(&mut events).await, RealtimeEvent::Connected);
    for odd in [
        "",
        "é",
        "4",
        "42",
        "42{}",
        "42[7]",
        "42[\"x\"",
        "9",
        "451-[\"a\"]",
        "42/other,[\"a\",1]",
    ] {
        server.say(odd).await;
    }
    server
        .0
        .send(Message::binary(vec![0_u8; 64]))
        .await
        .unwrap();
    server.event("agents:snapshot", json!({"epoch": 1})).await;
    server.event("agent:status", json!([1, 2])).await;
    server.event("session:ended", json!(null)).await;
    server.event("something:new", json!({"a": 1})).await;
    server.snapshot("e", 3).await;
    assert_eq!(seq(&next(&mut events).await), 3);
}

#[tokio::test]
async fn heartbeats_go_out_while_connected_and_none_is_kept_from_before() {
    let (peer, client) = Peer::new().await;
    let (link, mut events) = Realtime::connect(&client, "t".into());
    let beat = |tick| DeviceHeartbeat {
        device_id: "device-0001".into(),
        tick,
        registered: true,
        sip_loop_ms: 1,
        audio_loop_ms: None,
        audio_ok: true,
        calls: 0,
    };
    link.heartbeat(beat(1));
    let mut server = peer.welcome().await;
    assert_eq!(next(&mut events).await, RealtimeEvent::Connected);
    link.heartbeat(beat(2));
    let text = server.hear().await;
    let said: Value = serde_json::from_str(text.strip_prefix("42").unwrap()).unwrap();
    assert_eq!(said[0], "device:heartbeat");
    assert_eq!(said[1]["tick"], 2);
}

#[tokio::test]
async fn the_end_of_the_session_and_the_wish_to_register_are_told() {
    let (peer, client) = Peer::new().await;
    let (_link, mut events) = Realtime::connect(&client, "t".into());
    let mut server = peer.welcome().await;
    assert_eq!(next(&mut events).await, RealtimeEvent::Connected);
    server.event("device:reregister", json!({})).await;
    assert_eq!(next(&mut events).await, RealtimeEvent::Reregister);
    let ended = json!({"reason": "takeover", "message": "Signed in elsewhere."});
    server.event("session:ended", ended).await;
    let RealtimeEvent::SessionEnded(ended) = next(&mut events).await else {
        panic!("the end was not told");
    };
    assert_eq!(ended.reason, "takeover");
}

#[tokio::test]
async fn closing_says_goodbye() {
    let (peer, client) = Peer::new().await;
    let (link, mut events) = Realtime::connect(&client, "t".into());
    let mut server = peer.welcome().await;
    assert_eq!(next(&mut events).await, RealtimeEvent::Connected);
    let (said, ()) = tokio::join!(server.hear(), within(link.close()));
    assert_eq!(said, "41");
    assert_eq!(within(events.next()).await, None);
}
