//! Retransmission, absorption and time-outs of transactions, seen from outside.

mod common;

use std::time::Duration;

use common::{PBX, PHONE, World, address, name_addr};
use rollcall_sip::message::{Method, parse_uri};
use rollcall_sip::{EndReason, Event, OutgoingId, OutgoingOutcome, OutgoingRequest};

const SECOND: Duration = Duration::from_secs(1);

fn qualify(world: &mut World) -> OutgoingId {
    let (pbx, now) = world.ua(PBX);
    let request = OutgoingRequest {
        method: Method::Options,
        target: parse_uri("sip:1001-aa-bb@127.0.0.1:5070").expect("a URI"),
        destination: address(5070),
        from: name_addr("<sip:pbx@127.0.0.1>"),
        headers: Vec::new(),
        body: bytes::Bytes::new(),
    };
    let id = pbx.request(now, request);
    world.drain();
    id
}

#[test]
fn a_request_without_an_answer_is_repeated_as_timer_e_says_and_fails_after_timer_f() {
    let mut world = World::perfect();
    world.network.cut(address(5070));
    let id = qualify(&mut world);
    world.run(60 * SECOND);
    let sent: Vec<_> = world.wire.iter().map(|(_, at, _)| at.as_millis()).collect();
    assert_eq!(
        sent,
        [
            0, 500, 1500, 3500, 7500, 11_500, 15_500, 19_500, 23_500, 27_500, 31_500
        ]
    );
    let (_, at, event) = world.told.last().expect("a time-out");
    assert_eq!(
        *event,
        Event::Outgoing {
            id,
            outcome: OutgoingOutcome::TimedOut
        }
    );
    assert_eq!(*at, 32 * SECOND);
    assert!(world.agents[PBX].1.is_quiet());
}

#[test]
fn a_repeated_request_gets_the_same_answer_and_is_told_once() {
    let mut world = World::perfect();
    let message = "MESSAGE sip:pbx@127.0.0.1:5060 SIP/2.0
Via: SIP/2.0/UDP 127.0.0.1:5070;branch=z9hG4bKsame;rport
From: <sip:1001@127.0.0.1>;tag=1
To: <sip:pbx@127.0.0.1>
Call-ID: repeated
CSeq: 1 MESSAGE
Content-Length: 2

hi";
    world.inject(address(5070), PBX, message);
    let id = world.expect(PBX, |event| match event {
        Event::Request { id, .. } => Some(*id),
        _ => None,
    });
    world.inject(address(5070), PBX, message);
    assert!(world.wire.is_empty(), "nothing is said before the answer");
    let (pbx, now) = world.ua(PBX);
    pbx.respond(now, id, 200);
    world.drain();
    world.inject(address(5070), PBX, message);
    let answers = world
        .wire
        .iter()
        .map(|(_, _, bytes)| bytes.clone())
        .collect::<Vec<_>>();
    assert_eq!(answers.len(), 2);
    assert_eq!(answers[0], answers[1], "tag and all");
    assert_eq!(
        world.count(PBX, |event| matches!(event, Event::Request { .. })),
        1
    );
}

#[test]
fn a_refused_invite_is_refused_again_until_its_ack_comes() {
    let mut world = World::perfect();
    world.call(PHONE, "offer");
    let (theirs, _) = world.expect_incoming(PBX);
    world.run(SECOND / 100); // 100 Trying arrives, the INVITE is not repeated
    world.network.cut(address(5070));
    let (pbx, now) = world.ua(PBX);
    pbx.reject(now, theirs, 486);
    world.run(5 * SECOND);
    world.network.heal(address(5070));
    world.run(60 * SECOND);
    let refusals = world
        .start_lines(PBX)
        .iter()
        .filter(|line| line.starts_with("SIP/2.0 486"))
        .count();
    assert_eq!(
        refusals, 5,
        "at 0, 0.5, 1.5, 3.5 s and, heard at last, 7.5 s"
    );
    assert_eq!(
        world
            .start_lines(PHONE)
            .iter()
            .filter(|line| line.starts_with("ACK"))
            .count(),
        1
    );
    assert!(world.agents.iter().all(|(_, ua)| ua.is_quiet()));
}

#[test]
fn an_answer_goes_to_the_port_it_came_from_when_rport_asks_for_it() {
    let mut world = World::perfect();
    let options = |via: &str| {
        format!(
            "OPTIONS sip:1001@127.0.0.1 SIP/2.0\nVia: SIP/2.0/UDP {via}\nFrom: <sip:a@b>;tag=1\n\
             To: <sip:c@d>\nCall-ID: {via}\nCSeq: 1 OPTIONS\n\n"
        )
    };
    let now = world.clock.now();
    for (via, port) in [
        ("10.9.9.9:7777;branch=z9hG4bKa;rport", 5060),
        ("10.9.9.9:7777;branch=z9hG4bKb", 7777),
    ] {
        let bytes = options(via).replace('\n', "\r\n");
        world.agents[PHONE]
            .1
            .handle_datagram(now, address(5060), bytes.as_bytes());
        let transmit = world.agents[PHONE].1.poll_transmit().expect("an answer");
        assert_eq!(transmit.destination, address(port), "{via}");
        let text = String::from_utf8_lossy(&transmit.bytes).into_owned();
        assert!(text.contains("received=127.0.0.1"), "{text}");
    }
}

#[test]
fn what_cannot_be_read_is_answered_with_its_own_code() {
    let mut world = World::perfect();
    let request = |line: &str| {
        format!(
            "{line}\nVia: SIP/2.0/UDP 127.0.0.1:5060;branch=z9hG4bKz;rport\nFrom: <sip:a@b>;tag=1\n\
             To: <sip:c@d>\nCall-ID: z\nCSeq: 1 {}\n\n",
            line.split(' ').next().unwrap_or_default()
        )
    };
    for (line, answer) in [
        ("FROBNICATE sip:c@d SIP/2.0", "SIP/2.0 501 Not Implemented"),
        (
            "OPTIONS http://c SIP/2.0",
            "SIP/2.0 416 URI scheme is not sip, sips or tel",
        ),
        ("OPTIONS sip:c@d SIP/3.0", "SIP/2.0 505 not SIP/2.0"),
    ] {
        world.wire.clear();
        world.inject(address(5060), PHONE, &request(line));
        let said = world.start_lines(PHONE);
        assert_eq!(said, [answer], "{line}");
    }
    world.wire.clear();
    world.inject(address(6666), PHONE, &request("OPTIONS sip:c@d SIP/3.0"));
    assert!(world.wire.is_empty(), "strangers are not answered");
}

#[test]
fn required_extensions_and_foreign_bodies_are_refused_by_name() {
    let mut world = World::perfect();
    let invite = |extra: &str, body: &str| {
        format!(
            "INVITE sip:1001@127.0.0.1 SIP/2.0\nVia: SIP/2.0/UDP 127.0.0.1:5060;branch=z9hG4bK{};rport\n\
             From: <sip:a@b>;tag=1\nTo: <sip:c@d>\nCall-ID: {0}\nCSeq: 1 INVITE\nContact: <sip:a@b>\n{extra}\n\n{body}",
            extra.len()
        )
    };
    world.inject(address(5060), PHONE, &invite("Require: nothing-known", ""));
    assert!(world.start_lines(PHONE)[0].starts_with("SIP/2.0 420"));
    assert!(String::from_utf8_lossy(&world.wire[0].2).contains("Unsupported: nothing-known"));
    world.inject(
        address(5060),
        PHONE,
        &invite("Content-Type: text/plain", "hello"),
    );
    assert!(world.start_lines(PHONE)[1].starts_with("SIP/2.0 415"));
    assert_eq!(
        world.count(PHONE, |event| matches!(event, Event::Incoming { .. })),
        0
    );
}

#[test]
fn a_call_that_nobody_takes_is_refused_in_the_end() {
    let mut world = World::perfect();
    world.call(PHONE, "offer");
    let (theirs, _) = world.expect_incoming(PBX);
    let (pbx, now) = world.ua(PBX);
    pbx.ring(now, theirs, None);
    world.run(200 * SECOND);
    let ended = |event: &Event| {
        matches!(
            event,
            Event::Ended {
                reason: EndReason::Cancelled,
                ..
            }
        )
    };
    assert_eq!(world.count(PBX, ended), 1);
    assert!(world.agents.iter().all(|(_, ua)| ua.call_count() == 0));
}

#[test]
fn a_long_request_takes_tcp_and_comes_back_to_udp_where_tcp_fails() {
    let mut world = World::perfect();
    world.agents[PHONE].1.invite(
        world.clock.now(),
        rollcall_sip::InviteRequest {
            target: rollcall_sip::message::parse_uri("sip:600@127.0.0.1:5060").expect("a URI"),
            destination: address(5060),
            from: common::name_addr("<sip:1001@127.0.0.1>"),
            offer: "a".repeat(1_300).into(),
            credentials: None,
            headers: Vec::new(),
        },
    );
    let transmit = world.agents[PHONE].1.poll_transmit().expect("the INVITE");
    assert_eq!(transmit.transport, rollcall_sip::Transport::Tcp);
    let via = |bytes: &[u8]| {
        String::from_utf8_lossy(bytes)
            .lines()
            .nth(1)
            .map(str::to_owned)
    };
    let over_tcp = via(&transmit.bytes).expect("Via");
    assert!(over_tcp.starts_with("Via: SIP/2.0/TCP "), "{over_tcp}");
    let now = world.clock.now();
    let ua = &mut world.agents[PHONE].1;
    ua.handle_transport_error(now, transmit.transport, transmit.destination);
    let again = ua.poll_transmit().expect("the INVITE again");
    assert_eq!(again.transport, rollcall_sip::Transport::Udp);
    assert_eq!(via(&again.bytes), Some(over_tcp.replace("TCP", "UDP")));
    assert!(ua.poll_transmit().is_none() && ua.poll_event().is_none());
    assert_eq!(ua.call_count(), 1, "nobody above noticed");
}

#[test]
fn what_waits_for_an_answer_over_a_broken_connection_has_failed_at_once() {
    let world = World::perfect();
    let config = rollcall_sip::Config {
        transport: rollcall_sip::Transport::Tls,
        ..rollcall_sip::Config::phone(address(5070), "1001-aa-bb", "t", 1)
    };
    let now = world.clock.now();
    let mut ua = rollcall_sip::UserAgent::new(config, now);
    ua.register(now, common::account("secret"));
    let transmit = ua.poll_transmit().expect("REGISTER");
    let text = String::from_utf8_lossy(&transmit.bytes).into_owned();
    assert!(text.contains("\r\nVia: SIP/2.0/TLS "), "{text}");
    assert!(text.contains("@127.0.0.1:5070;transport=tls>"), "{text}");
    ua.handle_transport_error(now, transmit.transport, transmit.destination);
    let told: Vec<Event> = std::iter::from_fn(|| ua.poll_event()).collect();
    assert!(
        matches!(
            told.last(),
            Some(Event::Registration(
                rollcall_sip::RegistrationEvent::Failed {
                    retry_in: Some(_),
                    ..
                }
            ))
        ),
        "{told:?}"
    );
}

/// The network says of everything that an agent has sent and that waits for an answer: it was not delivered.
fn nothing_arrives(world: &mut World, agent: usize) {
    let (own, other) = (world.agents[agent].0, world.agents[1 - agent].0);
    assert_ne!(own, other);
    world.drain();
    let (ua, now) = world.ua(agent);
    ua.handle_transport_error(now, rollcall_sip::Transport::Udp, other);
    world.drain();
}

#[test]
fn a_closed_port_is_told_at_once_and_asked_again_every_few_seconds() {
    let mut world = World::perfect();
    world.network.cut(address(5060));
    let (phone, now) = world.ua(PHONE);
    phone.register(now, common::account("secret"));
    let mut waits = Vec::new();
    for attempt in 1..=8 {
        nothing_arrives(&mut world, PHONE);
        let (_, at, event) = world.told.last().cloned().expect("told");
        assert_eq!(at, world.clock.elapsed(), "at once");
        let told = common::registration(&event);
        let Some(rollcall_sip::RegistrationEvent::Failed { failure, retry_in }) = told else {
            panic!("{event:?}");
        };
        assert_eq!(failure, rollcall_sip::Failure::Unreachable);
        waits.extend(retry_in);
        assert_eq!(waits.len(), attempt);
        world.run(retry_in.expect("again"));
    }
    assert!(waits.iter().all(|wait| *wait <= 4 * SECOND), "{waits:?}");
    assert!(
        waits[3..].iter().all(|wait| *wait >= 2 * SECOND),
        "{waits:?}"
    );
}

#[test]
fn a_call_to_a_closed_port_ends_at_once_and_leaves_nothing() {
    let mut world = World::perfect();
    world.network.cut(address(5060));
    let ours = world.call(PHONE, "offer");
    nothing_arrives(&mut world, PHONE);
    let ended = Event::Ended {
        call: ours,
        reason: EndReason::Unreachable,
    };
    assert_eq!(
        world.told.last(),
        Some(&(PHONE, world.clock.elapsed(), ended))
    );
    world.run(70 * SECOND);
    assert!(world.agents[PHONE].1.is_quiet());
    let invites = world.start_lines(PHONE);
    assert_eq!(invites.len(), 1, "nor is it sent again: {invites:?}");
}

#[test]
fn a_change_that_cannot_be_delivered_is_asked_for_again_and_the_call_goes_on() {
    let mut world = World::perfect();
    let ours = world.call(PHONE, "v=0 offer");
    let (theirs, _) = world.expect_incoming(PBX);
    let (pbx, now) = world.ua(PBX);
    pbx.answer(now, theirs, "v=0 answer".into());
    world.run(SECOND);
    world.network.cut(address(5060));
    let (phone, now) = world.ua(PHONE);
    assert!(phone.reoffer(now, ours, "v=0 held".into()));
    nothing_arrives(&mut world, PHONE);
    let is_due = |event: &Event| matches!(event, Event::OfferDue { call } if *call == ours);
    assert_eq!(world.count(PHONE, is_due), 0, "not in the same moment");
    world.network.heal(address(5060));
    world.run(3 * SECOND);
    assert_eq!(world.count(PHONE, is_due), 1);
    let (phone, now) = world.ua(PHONE);
    assert!(phone.reoffer(now, ours, "v=0 held".into()));
    world.run(SECOND);
    let offered = |event: &Event| matches!(event, Event::Offer { .. });
    assert_eq!(world.count(PBX, offered), 1);
    assert!(world.agents.iter().all(|(_, ua)| ua.call_count() == 1));
}
