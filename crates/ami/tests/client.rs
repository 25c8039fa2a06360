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

/// Nonsense in every shape that a port may get: each ends its connection under a name of its own, and the next is made.
#[tokio::test]
async fn whatever_comes_instead_of_ami_is_named_counted_and_outlived() {
    let (listener, client, mut events, figures) = counted().await;
    let endless = vec![b'x'; 64 * 1024];
    let headers = b"A: 1\r\n".repeat(5_000);
    let large = [b"A: ".as_slice(), &vec![b'x'; 16_000], b"\r\n"]
        .concat()
        .repeat(70);
    for (nonsense, code) in [
        (endless, "line_too_long"),
        (headers, "too_many_headers"),
        (large, "packet_too_large"),
    ] {
        let mut asterisk = Asterisk::accept_and_log_in(&listener).await;
        assert_eq!(next(&mut events).await, ClientEvent::Connected);
        assert!(figures.is_up());
        // The client hangs up in the midst of it.
        let _ = asterisk.stream.write_all(&nonsense).await;
        assert_eq!(lost(&mut events).await, code);
        assert_eq!(figures.losses().get(code), Some(&1));
        assert!(!figures.is_up());
    }
    let (mut stranger, _) = listener.accept().await.unwrap();
    stranger
        .write_all(b"HTTP/1.1 400 Bad Request\r\n\r\n")
        .await
        .unwrap();
    assert_eq!(lost(&mut events).await, "no_greeting");
    let _asterisk = Asterisk::accept_and_log_in(&listener).await;
    assert_eq!(next(&mut events).await, ClientEvent::Connected);
    drop(client);
}

#[tokio::test]
async fn a_link_that_stops_in_mid_line_is_silent_and_lost_within_its_ping() {
    let (listener, _client, mut events, figures) = counted().await;
    let mut asterisk = Asterisk::accept_and_log_in(&listener).await;
    assert_eq!(next(&mut events).await, ClientEvent::Connected);
    asterisk
        .stream
        .write_all(b"Event: DeviceStateChange\r\nDevi")
        .await
        .unwrap();
    assert_eq!(lost(&mut events).await, "silent");
    assert!(figures.silent_for(std::time::Instant::now()).is_some());
}

/// The code of the next loss; whole events may come before it, half ones may not.
async fn lost(events: &mut mpsc::Receiver<ClientEvent>) -> &'static str {
    loop {
        match next(events).await {
            ClientEvent::Lost { reason, .. } => return reason.code(),
            ClientEvent::Event(event) => {
                assert!(matches!(event.kind, EventKind::FullyBooted(_)), "{event:?}");
            }
            ClientEvent::Connected => panic!("a loss was awaited"),
        }
    }
}

#[tokio::test]
async fn a_flood_waits_outside_while_nobody_reads_and_a_reader_that_never_does_loses_the_link() {
    let (listener, client, mut events, figures) = counted().await;
    let mut asterisk = Asterisk::accept_and_log_in(&listener).await;
    assert_eq!(next(&mut events).await, ClientEvent::Connected);
    let flood = b"Event: Newexten\r\nChannel: x\r\n\r\n".repeat(1_000);
    let speak = async { while asterisk.stream.write_all(&flood).await.is_ok() {} };
    let mut most = 0;
    let listen = async {
        while figures.losses().is_empty() {
            most = most.max(events.len());
            tokio::task::yield_now().await;
        }
    };
    let flooded = async {
        tokio::select! { () = speak => {} () = listen => {} }
    };
    tokio::time::timeout(Duration::from_secs(20), flooded)
        .await
        .unwrap();
    assert!((4_096..=8_192).contains(&most), "{most} events in memory");
    drop(asterisk);
    let mut read = 0;
    let reason = loop {
        match next(&mut events).await {
            ClientEvent::Event(_) => read += 1,
            ClientEvent::Lost { reason, .. } => break reason,
            ClientEvent::Connected => panic!("no second connection was accepted"),
        }
    };
    assert!(read > 0);
    assert_eq!(reason.code(), "events_not_read");
    drop(client);
}

async fn counted() -> (
    TcpListener,
    Client,
    mpsc::Receiver<ClientEvent>,
    std::sync::Arc<rollcall_ami::Figures>,
) {
    let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
    let mut session = SessionConfig::new("lab", "pw");
    session.ping_after = Duration::from_millis(100);
    session.ping_timeout = Duration::from_secs(2);
    let config = ClientConfig::new(listener.local_addr().unwrap().to_string(), session);
    let figures = config.figures.clone();
    let (client, events) = Client::start(config);
    (listener, client, events, figures)
}
