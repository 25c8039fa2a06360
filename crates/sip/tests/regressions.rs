//! Classes of faults that SIP stacks have had, each held by a test that names it. Those of the parser, of the registration
//! and of SDP stand with their own; [`CLASSES`] says where.

mod common;

use std::time::Duration;

use bytes::Bytes;
use common::{PBX, PHONE, World, address};
use rollcall_sip::message::{HeadersView, Method};
use rollcall_sip::{CallId, Event, OutgoingOutcome, OutgoingRequest};

const SECOND: Duration = Duration::from_secs(1);

/// Every class of fault, the file of its test beside this crate, and the test.
const CLASSES: [(&str, &str, &str); 12] = [
    (
        "Content-Length overflow",
        "tests/messages.rs",
        "content_length_bounds_the_body",
    ),
    (
        "digest of absurd length",
        "tests/digest.rs",
        "a_digest_of_absurd_length_is_not_answered",
    ),
    (
        "Contact of absurd length",
        "tests/registration.rs",
        "a_contact_of_absurd_length_in_the_200_is_no_registration_and_no_panic",
    ),
    (
        "header-whitespace tricks",
        "tests/messages.rs",
        "control_characters_and_lone_carriage_returns_in_a_header_are_refused",
    ),
    (
        "refresh-timer underflow",
        "tests/registration.rs",
        "no_lifetime_makes_the_refresh_timer_underflow_or_overflow",
    ),
    (
        "use of a transaction after its end",
        "tests/regressions.rs",
        "a_transaction_is_not_used_after_its_end",
    ),
    (
        "an answer to a transaction that has ended",
        "tests/regressions.rs",
        "an_answer_to_a_transaction_that_has_ended_is_counted_and_nothing_else",
    ),
    (
        "too many media lines",
        "../media/src/sdp/tests.rs",
        "too_many_media_lines_are_refused",
    ),
    (
        "REGISTER answered for another Contact",
        "tests/registration.rs",
        "a_200_without_our_contact_is_not_a_registration",
    ),
    (
        "in-dialog request from another source",
        "tests/regressions.rs",
        "a_request_inside_a_dialog_from_another_source_is_answered_481_and_changes_nothing",
    ),
    (
        "CANCEL after the final answer",
        "tests/dialogs.rs",
        "a_cancel_after_the_final_answer_changes_nothing",
    ),
    (
        "a flood of requests that keeps a call from being ended",
        "tests/regressions.rs",
        "a_call_can_be_ended_when_there_is_no_room_for_other_requests",
    ),
];

#[test]
fn every_class_of_fault_has_its_test() {
    for (class, file, test) in CLASSES {
        let path = std::path::Path::new(env!("CARGO_MANIFEST_DIR")).join(file);
        let text = std::fs::read_to_string(&path);
        let text = text.unwrap_or_else(|error| panic!("{class}: {}: {error}", path.display()));
        let is_test = text.contains(&format!("#[test]\nfn {test}() {{"));
        assert!(is_test, "{class}: {file} has no test {test}");
    }
}

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

/// The phone called the PBX, which answered; and the PBX's name for the call.
fn in_a_call() -> (World, CallId) {
    let mut world = World::perfect();
    world.call(PHONE, "offer");
    let (theirs, _) = world.expect_incoming(PBX);
    let (pbx, now) = world.ua(PBX);
    pbx.answer(now, theirs, Bytes::from_static(b"answer"));
    world.expect(PBX, |event| {
        matches!(event, Event::Confirmed { .. }).then_some(())
    });
    (world, theirs)
}

#[test]
fn a_request_inside_a_dialog_from_another_source_is_answered_481_and_changes_nothing() {
    let (mut world, _) = in_a_call();
    let ack = world.ack(PHONE);
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
    let (mut world, theirs) = in_a_call();
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
