//! The network changes under a phone: from one moment on the registrar is reached from another of this computer's addresses.

mod common;

use std::net::{IpAddr, Ipv4Addr, UdpSocket};
use std::sync::{Arc, Mutex};
use std::time::{Duration, Instant};

use common::{Exchange, Order, Phone, config};
use rollcall_phone::{AudioChoice, EndKind, EngineConfig, PhoneCommand, PhoneEvent, Route};

const BEFORE: Ipv4Addr = Ipv4Addr::new(127, 0, 0, 1);
const AFTER: Ipv4Addr = Ipv4Addr::new(127, 0, 0, 2);
const PATIENCE: Duration = Duration::from_secs(20);

/// A network that a test changes.
#[derive(Clone)]
struct Place(Arc<Mutex<Ipv4Addr>>);

impl Place {
    fn new() -> Self {
        Self(Arc::new(Mutex::new(BEFORE)))
    }

    fn route(&self) -> Route {
        let here = self.clone();
        Route::chosen(move |_| Ok(IpAddr::V4(*here.0.lock().expect("no panic"))))
    }

    /// The phone is somewhere else; returns when the registrar has its new address.
    async fn change(&self, phone: &mut Phone) {
        *self.0.lock().expect("no panic") = AFTER;
        let contact = phone.contact().await;
        assert!(contact.contains("@127.0.0.2:"), "{contact}");
    }

    async fn registered(&self, extension: &str, exchange: &Exchange) -> Phone {
        let config = EngineConfig {
            route: self.route(),
            ..config(AudioChoice::None)
        };
        Phone::registered(extension, exchange, config).await
    }
}

/// Where a caller without a phone hears, and its offer.
fn far_end() -> (UdpSocket, String) {
    let socket = UdpSocket::bind("127.0.0.1:0").expect("a socket");
    let wait = Some(Duration::from_millis(100));
    socket.set_read_timeout(wait).expect("a time-out");
    let port = socket.local_addr().expect("an address").port();
    let offer = format!(
        "v=0\r\no=- 1 1 IN IP4 127.0.0.1\r\ns=-\r\nc=IN IP4 127.0.0.1\r\nt=0 0\r\nm=audio {port} RTP/AVP 0\r\n"
    );
    (socket, offer)
}

/// Waits for sound from there.
fn hears_from(socket: &UdpSocket, address: Ipv4Addr) {
    let end = Instant::now() + PATIENCE;
    let mut packet = [0; 500];
    while Instant::now() < end {
        if let Ok((_, from)) = socket.recv_from(&mut packet)
            && from.ip() == IpAddr::V4(address)
        {
            return;
        }
    }
    panic!("no sound from {address}");
}

fn call_to(extension: &str, offer: String) -> Order {
    Order::Call {
        extension: extension.into(),
        offer,
    }
}

fn has_ended(phone: &Phone) -> bool {
    let mut told = phone.told.iter();
    told.any(|event| matches!(event, PhoneEvent::Ended { .. }))
}

#[tokio::test]
async fn a_call_that_is_up_follows_the_phone_to_another_address_and_is_heard_from_there() {
    let (exchange, place) = (Exchange::start(), Place::new());
    let mut phone = place.registered("1001", &exchange).await;
    let (sound, offer) = far_end();
    exchange.order(call_to("1001", offer));
    let call = phone.incoming().await;
    phone.engine.send(PhoneCommand::Answer(call));
    assert!(exchange.answered_with().contains("c=IN IP4 127.0.0.1"));
    phone.answered().await;
    hears_from(&sound, BEFORE);
    place.change(&mut phone).await;
    let offered = exchange.answered_with();
    assert!(offered.contains("c=IN IP4 127.0.0.2"), "{offered}");
    hears_from(&sound, AFTER);
    assert!(!has_ended(&phone), "{:#?}", phone.told);
    phone.engine.send(PhoneCommand::Hangup(call));
    assert_eq!(phone.ended().await.kind, EndKind::Local);
    let changes = |event: &PhoneEvent| match event {
        PhoneEvent::Quality { quality, .. } => Some(quality.network_changes),
        _ => None,
    };
    assert_eq!(phone.expect(changes).await, 1, "it is in the call's record");
}

#[tokio::test]
async fn a_call_that_rings_while_the_phone_moves_is_answered_from_where_it_is_then() {
    let (exchange, place) = (Exchange::start(), Place::new());
    let mut phone = place.registered("1001", &exchange).await;
    let (sound, offer) = far_end();
    exchange.order(call_to("1001", offer));
    let call = phone.incoming().await;
    place.change(&mut phone).await;
    phone.engine.send(PhoneCommand::Answer(call));
    let answer = exchange.answered_with();
    assert!(answer.contains("c=IN IP4 127.0.0.2"), "{answer}");
    phone.answered().await;
    hears_from(&sound, AFTER);
    assert!(!has_ended(&phone), "{:#?}", phone.told);
}

#[tokio::test]
async fn a_call_that_is_made_while_the_phone_moves_reaches_who_was_called() {
    let (exchange, place) = (Exchange::start(), Place::new());
    let mut caller = place.registered("1001", &exchange).await;
    let mut callee = Phone::registered("1002", &exchange, config(AudioChoice::None)).await;
    let call = caller.dial("1002");
    let first = callee.incoming().await;
    caller
        .expect(|event| (*event == PhoneEvent::Ringing { call }).then_some(()))
        .await;
    place.change(&mut caller).await;
    let is_second = |event: &PhoneEvent| match event {
        PhoneEvent::Incoming { call, .. } if *call != first => Some(*call),
        _ => None,
    };
    let second = callee.expect(is_second).await;
    callee.engine.send(PhoneCommand::Answer(second));
    let answered = |event: &PhoneEvent| match event {
        PhoneEvent::Answered { call, .. } => Some(*call),
        _ => None,
    };
    assert_eq!(caller.expect(answered).await, call, "the same to a person");
    assert!(!has_ended(&caller), "{:#?}", caller.told);
    callee.engine.send(PhoneCommand::Hangup(second));
    assert_eq!(caller.ended().await.kind, EndKind::Remote);
}

#[tokio::test]
async fn an_address_that_is_seen_once_moves_nobody() {
    let exchange = Exchange::start();
    let asked = Arc::new(Mutex::new(0));
    let flapping = {
        let asked = asked.clone();
        // Asked when the socket is bound, and from then on for another one every second time.
        Route::chosen(move |_| {
            let mut asked = asked.lock().expect("no panic");
            *asked += 1;
            let flaps = *asked > 1 && *asked % 2 == 0;
            Ok(IpAddr::V4(if flaps { AFTER } else { BEFORE }))
        })
    };
    let config = EngineConfig {
        route: flapping,
        ..config(AudioChoice::None)
    };
    let mut phone = Phone::registered("1001", &exchange, config).await;
    phone
        .expect(|event| {
            let often = *asked.lock().expect("no panic") > 10;
            (often && matches!(event, PhoneEvent::Vitals(_))).then_some(())
        })
        .await;
    let registered = |event: &&PhoneEvent| matches!(event, PhoneEvent::Registered { .. });
    assert_eq!(phone.told.iter().filter(registered).count(), 1);
}

#[tokio::test]
async fn a_phone_that_is_told_where_to_be_registers_from_there() {
    let exchange = Exchange::start();
    let mut phone = Phone::registered("1001", &exchange, config(AudioChoice::None)).await;
    phone.engine.send(PhoneCommand::MoveTo(AFTER.into()));
    let contact = phone.contact().await;
    assert!(contact.contains("@127.0.0.2:"), "{contact}");
}
