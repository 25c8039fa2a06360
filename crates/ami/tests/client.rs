//! The client over real TCP on 127.0.0.1. Nothing here waits for a time: each step waits for what it needs.

use std::time::Duration;

use rollcall_ami::answer::{GREETING, Request};
use rollcall_ami::frame::{Decoder, Frame, Limits};
use rollcall_ami::session::{CloseReason, SessionConfig};
use rollcall_ami::{
    Action, ActionError, Client, ClientConfig, ClientEvent, EventKind, Listing, LostReason, Packet,
};
use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::{TcpListener, TcpStream};
use tokio::sync::mpsc;

/// One manager connection, seen from Asterisk.
struct Asterisk {
    stream: TcpStream,
    decoder: Decoder,
}

impl Asterisk {
    async fn accept(listener: &TcpListener) -> Self {
        let (mut stream, _) = listener.accept().await.unwrap();
        stream.write_all(GREETING).await.unwrap();
        Self {
            stream,
            decoder: Decoder::of_client(Limits::for_actions()),
        }
    }

    async fn accept_and_log_in(listener: &TcpListener) -> Self {
        let mut asterisk = Self::accept(listener).await;
        let login = asterisk.next_request().await.unwrap();
        assert_eq!((login.name(), login.get("Secret")), ("Login", Some("pw")));
        asterisk
            .send(login.success("Authentication accepted"))
            .await;
        asterisk
            .send(Packet::event("FullyBooted").with("Uptime", "1"))
            .await;
        asterisk
    }

    async fn next_request(&mut self) -> Option<Request> {
        let mut buffer = [0; 4096];
        loop {
            if let Some(Frame::Packet(packet)) = self.decoder.next_frame().unwrap() {
                return Request::from_packet(packet);
            }
            match self.stream.read(&mut buffer).await {
                Ok(length) if length > 0 => self.decoder.push(&buffer[..length]),
                _ => return None,
            }
        }
    }

    async fn send(&mut self, packet: Packet) {
        let mut wire = Vec::new();
        packet.encode(&mut wire);
        self.stream.write_all(&wire).await.unwrap();
    }
}

async fn start() -> (TcpListener, Client, mpsc::Receiver<ClientEvent>) {
    let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
    let address = listener.local_addr().unwrap().to_string();
    let (client, events) =
        Client::start(ClientConfig::new(address, SessionConfig::new("lab", "pw")));
    (listener, client, events)
}

async fn next(events: &mut mpsc::Receiver<ClientEvent>) -> ClientEvent {
    tokio::time::timeout(Duration::from_secs(20), events.recv())
        .await
        .unwrap()
        .unwrap()
}

#[tokio::test]
async fn events_and_lists_come_through_a_link_that_is_ready() {
    let (listener, client, mut events) = start().await;
    let mut asterisk = Asterisk::accept_and_log_in(&listener).await;
    assert_eq!(next(&mut events).await, ClientEvent::Connected);
    assert!(
        matches!(next(&mut events).await, ClientEvent::Event(event) if matches!(event.kind, EventKind::FullyBooted(_)))
    );

    let answering = tokio::spawn(async move {
        let request = asterisk.next_request().await.unwrap();
        let item = Packet::event("DeviceStateChange")
            .with("Device", "PJSIP/1001")
            .with("State", "NOT_INUSE");
        for packet in request.list(
            "Device State Changes will follow",
            vec![item],
            "DeviceStateListComplete",
        ) {
            asterisk.send(packet).await;
        }
        asterisk.send(Packet::event("Shutdown")).await;
        asterisk
    });
    let listing = client.list(Action::device_state_list()).await;
    assert!(matches!(listing, Ok(Listing::Items(items)) if items.len() == 1));
    assert!(
        matches!(next(&mut events).await, ClientEvent::Event(event) if event.kind == EventKind::Shutdown)
    );
    drop(answering.await.unwrap());
}

#[tokio::test]
async fn a_cut_link_is_told_at_once_and_comes_back() {
    let (listener, client, mut events) = start().await;
    let asterisk = Asterisk::accept_and_log_in(&listener).await;
    assert_eq!(next(&mut events).await, ClientEvent::Connected);
    next(&mut events).await;
    drop(asterisk);
    let ClientEvent::Lost {
        reason,
        silent_for,
        retry_in,
    } = next(&mut events).await
    else {
        panic!("not lost")
    };
    assert_eq!(reason, LostReason::Closed(CloseReason::ByPeer));
    assert!(silent_for.is_some());
    assert!(retry_in <= Duration::from_secs(2));
    assert_eq!(
        client.action(Action::ping()).await,
        Err(ActionError::NotConnected)
    );

    let _asterisk = Asterisk::accept_and_log_in(&listener).await;
    assert_eq!(next(&mut events).await, ClientEvent::Connected);
}

#[tokio::test]
async fn a_refused_login_is_told_once_and_tried_again() {
    let (listener, _client, mut events) = start().await;
    for _ in 0..2 {
        let mut asterisk = Asterisk::accept(&listener).await;
        let login = asterisk.next_request().await.unwrap();
        asterisk.send(login.error("Authentication failed")).await;
    }
    let message = "Authentication failed".to_owned();
    let expected = LostReason::Closed(CloseReason::LoginRefused { message });
    assert!(
        matches!(next(&mut events).await, ClientEvent::Lost { reason, silent_for: None, .. } if reason == expected)
    );
    let _asterisk = Asterisk::accept_and_log_in(&listener).await;
    assert_eq!(next(&mut events).await, ClientEvent::Connected);
}

#[tokio::test]
async fn an_asterisk_that_is_not_there_is_told() {
    let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
    let address = listener.local_addr().unwrap().to_string();
    drop(listener);
    let (client, mut events) =
        Client::start(ClientConfig::new(address, SessionConfig::new("lab", "pw")));
    assert!(matches!(
        next(&mut events).await,
        ClientEvent::Lost {
            reason: LostReason::Unreachable(_),
            ..
        }
    ));
    assert_eq!(
        client.list(Action::show_contacts()).await,
        Err(ActionError::NotConnected)
    );
}

#[tokio::test]
async fn a_client_that_nobody_holds_logs_off() {
    let (listener, client, mut events) = start().await;
    let mut asterisk = Asterisk::accept_and_log_in(&listener).await;
    assert_eq!(next(&mut events).await, ClientEvent::Connected);
    drop(client);
    assert_eq!(asterisk.next_request().await.unwrap().name(), "Logoff");
    assert!(asterisk.next_request().await.is_none());
}

#[tokio::test]
async fn shutdown_returns_once_the_goodbye_is_sent() {
    let (listener, client, mut events) = start().await;
    let mut asterisk = Asterisk::accept_and_log_in(&listener).await;
    assert_eq!(next(&mut events).await, ClientEvent::Connected);
    client.shutdown().await;
    assert_eq!(asterisk.next_request().await.unwrap().name(), "Logoff");
    assert_eq!(
        client.action(Action::ping()).await,
        Err(ActionError::NotConnected)
    );
}
