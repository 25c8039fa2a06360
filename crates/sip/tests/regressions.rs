//! Classes of faults that SIP stacks have had, each held by a test that names it. Those of the parser and of the
//! registration stand with their own: Content-Length overflow, white space in header names, absurd lengths, timers that
//! underflow, a REGISTER answered for another Contact, a CANCEL after the final answer.

mod common;

use std::time::Duration;

use bytes::Bytes;
use common::{PBX, PHONE, World, address};
use rollcall_sip::message::{HeadersView, Message, Method};
use rollcall_sip::{Event, OutgoingOutcome, OutgoingRequest};

const SECOND: Duration = Duration::from_secs(1);

/// The phone's OPTIONS to the PBX, and the id by which the PBX may answer it.
fn asked(world: &mut World) -> rollcall_sip::RequestId {
    let now = world.clock.now();
    world.agents[PHONE].1.request(
        now,
        OutgoingRequest {
            method: Method::Options,
            target: rollcall_sip::message::parse_uri("sip:127.0.0.1:5060").expect("a URI"),
            destination: address(5060),
            from: common::name_addr("<sip:1001@127.0.0.1>"),
            headers: Vec::new(),
            body: Bytes::new(),
        },
    );
    world.drain();
    world.expect(PBX, |event| match event {
        Event::Request { id, .. } => Some(*id),
        _ => None,
    })
}

#[test]
fn a_transaction_is_not_used_after_its_end() {
    let mut world = World::perfect();
    let id = asked(&mut world);
    world.run(200 * SECOND);
    let timed_out = world.count(PHONE, |event| {
        matches!(
            event,
            Event::Outgoing {
                outcome: OutgoingOutcome::TimedOut,
                ..
            }
        )
    });
    assert_eq!(timed_out, 1);
    let sent = world.wire.len();
    for _twice in 0..2 {
        let (pbx, now) = world.ua(PBX);
        pbx.respond(now, id, 200);
        world.drain();
    }
    assert_eq!(world.wire.len(), sent, "the time for an answer is over");
    assert!(world.agents.iter().all(|(_, ua)| ua.is_quiet()));
}

#[test]
fn an_answer_to_a_transaction_that_has_ended_is_counted_and_nothing_else() {
    let mut world = World::perfect();
    let id = asked(&mut world);
    let (pbx, now) = world.ua(PBX);
    pbx.respond(now, id, 200);
    world.run(60 * SECOND);
    let (_, _, answer) = world.wire.last().cloned().expect("the answer");
    let told = world.told.len();
    let stray = |world: &World| {
        let refusals = world.agents[PHONE].1.refusals();
        refusals.get(rollcall_sip::RefusalKind::StrayResponse)
    };
    let before = stray(&world);
    let now = world.clock.now();
    world.agents[PHONE]
        .1
        .handle_datagram(now, address(5060), &answer);
    world.drain();
    assert_eq!(stray(&world), before + 1);
    assert_eq!(world.told.len(), told);
}

#[test]
fn a_request_inside_a_dialog_from_another_source_is_answered_481_and_changes_nothing() {
    let mut world = World::perfect();
    world.call(PHONE, "offer");
    let (theirs, _) = world.expect_incoming(PBX);
    let (pbx, now) = world.ua(PBX);
    pbx.answer(now, theirs, Bytes::from_static(b"answer"));
    world.expect(PBX, |event| {
        matches!(event, Event::Confirmed { .. }).then_some(())
    });
    let ack = world
        .sent(PHONE)
        .into_iter()
        .find_map(|message| match message {
            Message::Request(request) if request.method == Method::Ack => Some(request),
            _ => None,
        });
    let ack = ack.expect("an ACK");
    let field = |name| ack.headers.text(name).unwrap_or_default().to_owned();
    // As the PBX would say it: what is right about it is all but the address it comes from.
    let request = |method: &str| {
        format!(
            "{method} sip:1001-aa-bb@127.0.0.1:5070 SIP/2.0\nVia: SIP/2.0/UDP 127.0.0.1:6666;branch=z9hG4bK{method}\n\
             From: {}\nTo: {}\nCall-ID: {}\nCSeq: 9 {method}\nContact: <sip:evil@127.0.0.1:6666>\n\n",
            field("To"),
            field("From"),
            field("Call-ID"),
        )
    };
    for method in ["BYE", "INVITE", "INFO", "UPDATE"] {
        world.wire.clear();
        world.inject(address(6666), PHONE, &request(method));
        let said = world.start_lines(PHONE);
        assert_eq!(
            said,
            ["SIP/2.0 481 Call/Transaction Does Not Exist"],
            "{method}"
        );
    }
    assert_eq!(world.agents[PHONE].1.call_count(), 1, "the call goes on");
    let (_, _, last) = world.wire.last().cloned().expect("an answer");
    assert!(rollcall_sip::parse(&last).is_ok());
}

#[test]
fn a_call_can_be_ended_when_there_is_no_room_for_other_requests() {
    let mut world = World::perfect();
    world.call(PHONE, "offer");
    let (theirs, _) = world.expect_incoming(PBX);
    let (pbx, now) = world.ua(PBX);
    pbx.answer(now, theirs, Bytes::from_static(b"answer"));
    world.expect(PBX, |event| {
        matches!(event, Event::Confirmed { .. }).then_some(())
    });
    let flood = |number: usize| {
        format!(
            "OPTIONS sip:1001-aa-bb@127.0.0.1:5070 SIP/2.0\nVia: SIP/2.0/UDP 127.0.0.1:5060;branch=z9hG4bK-{number}\n\
             From: <sip:a@b>;tag=1\nTo: <sip:1001@b>\nCall-ID: flood-{number}\nCSeq: 1 OPTIONS\n\n"
        )
    };
    for number in 0..1_100 {
        world.inject(address(5060), PHONE, &flood(number));
    }
    let said = world.start_lines(PHONE);
    assert_eq!(
        said.last().map(String::as_str),
        Some("SIP/2.0 503 Service Unavailable")
    );
    let (pbx, now) = world.ua(PBX);
    pbx.hangup(now, theirs);
    world.expect(PHONE, |event| {
        let is_end = matches!(event, Event::Ended { reason, .. } if *reason == rollcall_sip::EndReason::Remote);
        is_end.then_some(())
    });
}
