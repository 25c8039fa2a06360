//! The whole PBX on real sockets of 127.0.0.1, seen by a phone and by the manager client. Nothing waits for a time.

use std::net::SocketAddr;
use std::time::{Duration, Instant};

use rollcall_ami::session::SessionConfig;
use rollcall_ami::{
    Action, Client, ClientConfig, ClientEvent, ContactStatus, EventKind, Listing, LostReason,
};
use rollcall_media::codec::Codec;
use rollcall_media::sdp::{self, Direction, Local};
use rollcall_pocket_pbx::{Config, Manager, Person, PocketPbx, Running};
use rollcall_sip::message::parse_uri;
use rollcall_sip::{
    Account, Credentials, Event, InviteRequest, NameAddr, RegistrationEvent, Trust, UserAgent,
};
use tokio::net::UdpSocket;
use tokio::sync::mpsc;

const PATIENCE: Duration = Duration::from_secs(20);

async fn start() -> (Running, Client, mpsc::Receiver<ClientEvent>) {
    let manager = Manager {
        username: "rollcall".into(),
        secret: "s3cret".into(),
    };
    let people = vec![Person::new("1001", "pw1001"), Person::new("1002", "pw1002")];
    let running = PocketPbx::start(Config::new(manager, people))
        .await
        .unwrap();
    let session = SessionConfig::new("rollcall", "s3cret");
    let (client, mut events) =
        Client::start(ClientConfig::new(running.ami_addr().to_string(), session));
    assert_eq!(next(&mut events).await, ClientEvent::Connected);
    (running, client, events)
}

async fn next(events: &mut mpsc::Receiver<ClientEvent>) -> ClientEvent {
    tokio::time::timeout(PATIENCE, events.recv())
        .await
        .unwrap()
        .unwrap()
}

/// Reads events until one fits.
async fn until(events: &mut mpsc::Receiver<ClientEvent>, fits: impl Fn(&EventKind) -> bool) {
    loop {
        match next(events).await {
            ClientEvent::Event(event) if fits(&event.kind) => return,
            ClientEvent::Event(_) => {}
            other => panic!("{other:?}"),
        }
    }
}

/// A phone with its own socket.
struct Phone {
    ua: UserAgent,
    socket: UdpSocket,
    pbx: SocketAddr,
}

impl Phone {
    async fn new(pbx: SocketAddr) -> Self {
        let socket = UdpSocket::bind("127.0.0.1:0").await.unwrap();
        let mut config = rollcall_sip::Config::phone(
            socket.local_addr().unwrap(),
            "1001-d1-r1",
            "Rollcall/test (device d1)",
            3,
        );
        config.trust = Trust::Listed(vec![pbx]);
        Self {
            ua: UserAgent::new(config, Instant::now()),
            socket,
            pbx,
        }
    }

    fn register(&mut self) {
        let account = Account {
            aor: NameAddr::parse(&format!("<sip:1001@{}>", self.pbx)).unwrap(),
            registrar: parse_uri(&format!("sip:{}", self.pbx)).unwrap(),
            destination: self.pbx,
            credentials: Credentials::new("1001", "pw1001"),
            expires: Duration::from_secs(60),
        };
        self.ua.register(Instant::now(), account);
    }

    fn dial(&mut self, target: &str, offer: Vec<u8>) {
        let invite = InviteRequest {
            target: parse_uri(&format!("sip:{target}@{}", self.pbx)).unwrap(),
            destination: self.pbx,
            from: NameAddr::parse(&format!("<sip:1001@{}>", self.pbx)).unwrap(),
            offer: offer.into(),
            credentials: Some(Credentials::new("1001", "pw1001")),
            headers: Vec::new(),
        };
        self.ua.invite(Instant::now(), invite);
    }

    /// Works until an event fits, and for as long as OPTIONS have to be answered.
    async fn until<T>(&mut self, pick: impl Fn(Event) -> Option<T>) -> T {
        let deadline = tokio::time::Instant::now() + PATIENCE;
        let mut buffer = vec![0; 65_535];
        loop {
            while let Some(transmit) = self.ua.poll_transmit() {
                self.socket
                    .send_to(&transmit.bytes, transmit.destination)
                    .await
                    .unwrap();
            }
            while let Some(event) = self.ua.poll_event() {
                if let Some(found) = pick(event) {
                    return found;
                }
            }
            let due = self
                .ua
                .poll_timeout()
                .unwrap_or_else(|| Instant::now() + PATIENCE);
            tokio::select! {
                received = self.socket.recv_from(&mut buffer) => {
                    let (length, from) = received.unwrap();
                    self.ua.handle_datagram(Instant::now(), from, &buffer[..length]);
                }
                () = tokio::time::sleep_until(due.into()) => self.ua.handle_timeout(Instant::now()),
                () = tokio::time::sleep_until(deadline) => panic!("the phone waited in vain"),
            }
        }
    }
}

#[tokio::test]
async fn a_phone_registers_hears_itself_and_the_manager_sees_it() {
    let (running, client, mut events) = start().await;
    assert!(matches!(
        client.list(Action::show_contacts()).await,
        Ok(Listing::NoneFound { .. })
    ));

    let mut phone = Phone::new(running.sip_addr()).await;
    phone.register();
    phone
        .until(|event| {
            matches!(
                event,
                Event::Registration(RegistrationEvent::Registered { .. })
            )
            .then_some(())
        })
        .await;
    let reachable = |kind: &EventKind| matches!(kind, EventKind::ContactStatus(change) if change.status == ContactStatus::Reachable);
    tokio::select! {
        () = until(&mut events, reachable) => {}
        // Answers the OPTIONS.
        () = phone.until(|_| None) => {}
    }
    let Ok(Listing::Items(contacts)) = client.list(Action::show_inbound_contact_statuses()).await
    else {
        panic!("no list")
    };
    assert!(
        matches!(&contacts[0].kind, EventKind::Contact(contact) if contact.uri.starts_with("sip:1001-d1-r1@"))
    );

    let rtp = UdpSocket::bind("127.0.0.1:0").await.unwrap();
    let local = Local::new(rtp.local_addr().unwrap(), 1);
    phone.dial(
        "600",
        sdp::offer(&local, &[Codec::Pcmu], Direction::SendRecv),
    );
    let answer = phone.until(|event| match event {
        Event::Answered { sdp, .. } => Some(sdp),
        _ => None,
    });
    let agreed = sdp::accept(&answer.await, &local, &[Codec::Pcmu], Direction::SendRecv).unwrap();
    let mut packet = vec![0x80, 0, 0, 1, 0, 0, 0, 160, 1, 2, 3, 4];
    packet.extend_from_slice(&[0x55; 160]);
    let mut back = [0; 2048];
    // The answer may overtake the opening of the sound path: a phone sends a packet every 20 ms.
    let length = loop {
        rtp.send_to(&packet, agreed.remote).await.unwrap();
        if let Ok(received) =
            tokio::time::timeout(Duration::from_millis(20), rtp.recv(&mut back)).await
        {
            break received.unwrap();
        }
    };
    assert_eq!(back[..8], packet[..8]);
    assert_ne!(back[8..12], packet[8..12]);
    assert_eq!(back[12..length], packet[12..]);

    running.shutdown().await;
    until(&mut events, |kind| matches!(kind, EventKind::Hangup(_))).await;
    until(&mut events, |kind| *kind == EventKind::Shutdown).await;
    assert!(matches!(
        next(&mut events).await,
        ClientEvent::Lost {
            reason: LostReason::Closed(_),
            ..
        }
    ));
}

#[tokio::test]
async fn two_pbxs_in_one_process_know_nothing_of_each_other() {
    let (one, first, _first_events) = start().await;
    let (two, second, _second_events) = start().await;
    assert_ne!(one.sip_addr(), two.sip_addr());
    let mut phone = Phone::new(one.sip_addr()).await;
    phone.register();
    phone
        .until(|event| {
            matches!(
                event,
                Event::Registration(RegistrationEvent::Registered { .. })
            )
            .then_some(())
        })
        .await;
    assert!(
        matches!(first.list(Action::show_contacts()).await, Ok(Listing::Items(items)) if items.len() == 1)
    );
    assert!(matches!(
        second.list(Action::show_contacts()).await,
        Ok(Listing::NoneFound { .. })
    ));
    two.shutdown().await;
    assert!(first.action(Action::ping()).await.is_ok());
}

#[tokio::test]
async fn a_port_in_use_is_named() {
    let taken = UdpSocket::bind("127.0.0.1:0").await.unwrap();
    let manager = Manager {
        username: "rollcall".into(),
        secret: "s3cret".into(),
    };
    let mut config = Config::new(manager, Vec::new());
    config.sip = taken.local_addr().unwrap();
    let error = PocketPbx::start(config).await.unwrap_err().to_string();
    assert!(
        error.contains(&taken.local_addr().unwrap().to_string()),
        "{error}"
    );
}
