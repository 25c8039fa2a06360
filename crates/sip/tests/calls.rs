//! Calls between two user agents, on virtual time and a seeded network.

mod common;

use std::time::Duration;

use bytes::Bytes;
use common::{PBX, PHONE, World, address};
use rollcall_sip::{EndReason, Event};
use rollcall_testkit::Conditions;

const SECOND: Duration = Duration::from_secs(1);

fn is_end(event: &Event, wanted: &EndReason) -> bool {
    matches!(event, Event::Ended { reason, .. } if reason == wanted)
}

/// Sets a call up and returns both ends' ids.
fn established(world: &mut World) -> (rollcall_sip::CallId, rollcall_sip::CallId) {
    let ours = world.call(PHONE, "v=0 offer");
    let (theirs, request) = world.expect_incoming(PBX);
    assert_eq!(request.body, b"v=0 offer");
    let (pbx, now) = world.ua(PBX);
    pbx.ring(now, theirs, None);
    pbx.answer(now, theirs, Bytes::from_static(b"v=0 answer"));
    let sdp = world.expect(PHONE, |event| match event {
        Event::Answered { sdp, .. } => Some(sdp.clone()),
        _ => None,
    });
    assert_eq!(sdp, "v=0 answer");
    world.expect(PBX, |event| {
        matches!(event, Event::Confirmed { .. }).then_some(())
    });
    (ours, theirs)
}

#[test]
fn a_call_is_set_up_and_ended_by_the_caller() {
    let mut world = World::perfect();
    let (ours, _) = established(&mut world);
    assert_eq!(
        world.count(PHONE, |event| matches!(
            event,
            Event::Progress { code: 180, .. }
        )),
        1
    );
    let (phone, now) = world.ua(PHONE);
    phone.hangup(now, ours);
    world.expect(PBX, |event| is_end(event, &EndReason::Remote).then_some(()));
    assert_eq!(
        world.count(PHONE, |event| is_end(event, &EndReason::Local)),
        1
    );
}

#[test]
fn a_call_is_ended_by_the_callee() {
    let mut world = World::perfect();
    let (_, theirs) = established(&mut world);
    let (pbx, now) = world.ua(PBX);
    pbx.hangup(now, theirs);
    world.expect(PHONE, |event| {
        is_end(event, &EndReason::Remote).then_some(())
    });
    world.run(40 * SECOND);
    assert!(
        world.agents.iter().all(|(_, ua)| ua.is_quiet()),
        "nothing is left behind"
    );
}

#[test]
fn calls_survive_a_network_that_loses_doubles_and_reorders() {
    let bad = Conditions {
        delay: Duration::from_millis(5)..=Duration::from_millis(120),
        loss: 0.2,
        duplication: 0.1,
        reordering: 0.1,
    };
    let mut lost = 0;
    for seed in 0..150 {
        let mut world = World::new(seed, bad.clone());
        let (ours, _) = established(&mut world);
        let (phone, now) = world.ua(PHONE);
        phone.hangup(now, ours);
        world.expect(PBX, |event| {
            matches!(event, Event::Ended { .. }).then_some(())
        });
        world.run(140 * SECOND);
        for agent in [PHONE, PBX] {
            assert_eq!(
                world.count(agent, |event| matches!(event, Event::Ended { .. })),
                1,
                "seed {seed}"
            );
        }
        assert!(
            world.agents.iter().all(|(_, ua)| ua.is_quiet()),
            "seed {seed}: something is left behind"
        );
        lost += world.network.lost();
    }
    assert!(lost > 200, "the network was bad: {lost} lost");
}

#[test]
fn a_caller_who_gives_up_cancels_and_the_callee_stops_ringing() {
    let mut world = World::perfect();
    let ours = world.call(PHONE, "offer");
    let (theirs, _) = world.expect_incoming(PBX);
    let (pbx, now) = world.ua(PBX);
    pbx.ring(now, theirs, None);
    world.expect(PHONE, |event| {
        matches!(event, Event::Progress { .. }).then_some(())
    });
    let (phone, now) = world.ua(PHONE);
    phone.hangup(now, ours);
    world.expect(PBX, |event| {
        is_end(event, &EndReason::Cancelled).then_some(())
    });
    assert_eq!(
        world.count(PHONE, |event| is_end(event, &EndReason::Local)),
        1
    );
    let lines = world.start_lines(PBX);
    assert!(
        lines.contains(&"SIP/2.0 487 Request Terminated".to_owned()),
        "{lines:?}"
    );
}

#[test]
fn cancel_waits_for_a_provisional_answer() {
    let mut world = World::perfect();
    let ours = world.call(PHONE, "offer");
    let (phone, now) = world.ua(PHONE);
    phone.hangup(now, ours);
    world.drain();
    assert!(
        world
            .start_lines(PHONE)
            .iter()
            .all(|line| !line.starts_with("CANCEL"))
    );
    world.expect(PBX, |event| {
        is_end(event, &EndReason::Cancelled).then_some(())
    });
}

#[test]
fn an_answer_that_crosses_the_cancel_is_ended_by_bye() {
    let mut world = World::perfect();
    let ours = world.call(PHONE, "offer");
    let (theirs, _) = world.expect_incoming(PBX);
    let (pbx, now) = world.ua(PBX);
    pbx.answer(now, theirs, Bytes::from_static(b"answer"));
    let (phone, now) = world.ua(PHONE);
    phone.hangup(now, ours);
    world.expect(PBX, |event| is_end(event, &EndReason::Remote).then_some(()));
    assert_eq!(
        world.count(PHONE, |event| matches!(event, Event::Answered { .. })),
        0
    );
}

#[test]
fn a_refusal_carries_its_code_and_words() {
    let mut world = World::perfect();
    world.call(PHONE, "offer");
    let (theirs, _) = world.expect_incoming(PBX);
    let (pbx, now) = world.ua(PBX);
    pbx.reject(now, theirs, 486);
    let (code, reason) = world.expect(PHONE, |event| match event {
        Event::Ended {
            reason: EndReason::Refused { code, reason, .. },
            ..
        } => Some((*code, reason.clone())),
        _ => None,
    });
    assert_eq!((code, reason.as_str()), (486, "Busy Here"));
}

#[test]
fn an_invite_nobody_answers_times_out_after_64_t1() {
    let mut world = World::perfect();
    world.network.cut(address(5060));
    world.call(PHONE, "offer");
    world.expect(PHONE, |event| {
        is_end(event, &EndReason::TimedOut).then_some(())
    });
    assert_eq!(world.told.last().map(|(_, at, _)| *at), Some(32 * SECOND));
    let sent: Vec<_> = world.wire.iter().map(|(_, at, _)| at.as_millis()).collect();
    assert_eq!(
        sent,
        [0, 500, 1500, 3500, 7500, 15_500, 31_500],
        "Timer A doubles without a cap"
    );
}

#[test]
fn a_200_without_ack_is_sent_again_and_the_call_then_given_up() {
    let mut world = World::perfect();
    world.call(PHONE, "offer");
    let (theirs, _) = world.expect_incoming(PBX);
    world.network.cut(address(5070));
    let (pbx, now) = world.ua(PBX);
    pbx.answer(now, theirs, Bytes::from_static(b"answer"));
    world.expect(PBX, |event| is_end(event, &EndReason::Lost).then_some(()));
    let answers = world
        .start_lines(PBX)
        .iter()
        .filter(|line| line.starts_with("SIP/2.0 200"))
        .count();
    assert_eq!(answers, 11, "500 ms doubling to 4 s, for 32 s");
    assert!(
        world
            .start_lines(PBX)
            .iter()
            .any(|line| line.starts_with("BYE"))
    );
}

#[test]
fn an_invite_from_a_stranger_gets_404_and_nothing_rings() {
    let mut world = World::perfect();
    let invite = "INVITE sip:1001@127.0.0.1:5070 SIP/2.0
Via: SIP/2.0/UDP 127.0.0.1:6666;branch=z9hG4bKx;rport
From: <sip:mallory@127.0.0.1:6666>;tag=1
To: <sip:1001@127.0.0.1:5070>
Call-ID: stranger
CSeq: 1 INVITE
Contact: <sip:mallory@127.0.0.1:6666>
Content-Length: 0

";
    world.inject(address(6666), PHONE, invite);
    assert_eq!(world.start_lines(PHONE), ["SIP/2.0 404 Not Found"]);
    assert!(world.told.is_empty());
    assert!(
        world.agents[PHONE].1.is_quiet(),
        "a stranger costs no memory"
    );
}

#[test]
fn requests_inside_a_dialog_from_another_address_are_refused() {
    let mut world = World::perfect();
    established(&mut world);
    let invite = world
        .wire
        .iter()
        .find(|(who, _, _)| *who == PBX)
        .map(|(_, _, bytes)| bytes.clone());
    let text = String::from_utf8(invite.expect("an answer").to_vec()).expect("text");
    let field = |name: &str| {
        let line = text
            .lines()
            .find(|line| line.starts_with(name))
            .unwrap_or_default();
        line.split_once(": ")
            .map(|(_, value)| value.to_owned())
            .unwrap_or_default()
    };
    let answer = world
        .wire
        .iter()
        .filter(|(who, _, _)| *who == PBX)
        .map(|(_, _, bytes)| String::from_utf8_lossy(bytes));
    let to = answer
        .filter_map(|text| {
            text.lines()
                .find(|line| line.starts_with("To:"))
                .map(str::to_owned)
        })
        .next_back();
    let bye = format!(
        "BYE sip:1001@127.0.0.1:5070 SIP/2.0\nVia: SIP/2.0/UDP 127.0.0.1:6666;branch=z9hG4bKy;rport\nFrom:{}\nTo: {}\nCall-ID: {}\nCSeq: 99 BYE\nContent-Length: 0\n\n",
        to.unwrap_or_default().trim_start_matches("To:"),
        field("From"),
        field("Call-ID"),
    );
    world.inject(address(6666), PHONE, &bye);
    assert_eq!(
        world.start_lines(PHONE).last().map(String::as_str),
        Some("SIP/2.0 481 Call/Transaction Does Not Exist")
    );
    assert_eq!(
        world.count(PHONE, |event| matches!(event, Event::Ended { .. })),
        0,
        "the call goes on"
    );
    // The same from the dialog's peer ends it: the address is all that differs.
    world.inject(address(5060), PHONE, &bye);
    assert_eq!(
        world.count(PHONE, |event| is_end(event, &EndReason::Remote)),
        1
    );
}

#[test]
fn more_calls_than_allowed_are_answered_busy() {
    let mut world = World::perfect();
    for _ in 0..2 {
        world.call(PBX, "offer");
    }
    world.run(SECOND);
    assert_eq!(
        world.count(PHONE, |event| matches!(event, Event::Incoming { .. })),
        2
    );
    world.call(PBX, "offer");
    let code = world.expect(PBX, |event| match event {
        Event::Ended {
            reason: EndReason::Refused { code, .. },
            ..
        } => Some(*code),
        _ => None,
    });
    assert_eq!(code, 486);
    assert_eq!(
        world.count(PHONE, |event| matches!(event, Event::Incoming { .. })),
        2
    );
}

#[test]
fn the_other_side_may_hold_and_resume_without_a_break() {
    let mut world = World::perfect();
    let (ours, _) = established(&mut world);
    let offer = reinvite(&world, "v=0 a=sendonly", 2);
    world.inject(address(5060), PHONE, &offer);
    let sdp = world.expect(PHONE, |event| match event {
        Event::Offer { sdp, .. } => Some(sdp.clone()),
        _ => None,
    });
    assert_eq!(sdp, "v=0 a=sendonly");
    // A second change while the first waits is told to come back.
    let early = reinvite(&world, "v=0 again", 3);
    world.inject(address(5060), PHONE, &early);
    assert_eq!(
        world.start_lines(PHONE).last().map(String::as_str),
        Some("SIP/2.0 500 Server Internal Error")
    );
    let (phone, now) = world.ua(PHONE);
    phone.answer_offer(now, ours, Bytes::from_static(b"v=0 a=recvonly"));
    world.drain();
    assert_eq!(
        world.start_lines(PHONE).last().map(String::as_str),
        Some("SIP/2.0 200 OK")
    );
    assert_eq!(
        world.count(PHONE, |event| matches!(event, Event::Ended { .. })),
        0
    );
}

/// A re-INVITE as the PBX would send it inside the phone's dialog.
fn reinvite(world: &World, sdp: &str, number: u32) -> String {
    let answer = world
        .sent(PBX)
        .into_iter()
        .filter_map(|message| match message {
            rollcall_sip::Message::Response(response) if response.status_code.code() == 200 => {
                Some(response)
            }
            _ => None,
        });
    let answer = answer.into_iter().next().expect("the 200 to INVITE");
    use rollcall_sip::message::HeadersView as _;
    let field = |name| answer.headers.text(name).unwrap_or_default().to_owned();
    format!(
        "INVITE sip:1001-aa-bb@127.0.0.1:5070 SIP/2.0\nVia: SIP/2.0/UDP 127.0.0.1:5060;branch=z9hG4bKre{number};rport\n\
         From: {}\nTo: {}\nCall-ID: {}\nCSeq: {number} INVITE\nContact: <sip:pbx@127.0.0.1:5060>\n\
         Content-Type: application/sdp\nContent-Length: {}\n\n{sdp}",
        field("To"),
        field("From"),
        field("Call-ID"),
        sdp.len(),
    )
}

#[test]
fn a_change_that_we_ask_for_is_acknowledged_and_told_once_over_a_lossy_network() {
    let lossy = Conditions {
        loss: 0.2,
        duplication: 0.2,
        ..Conditions::default()
    };
    for seed in 0..50 {
        let mut world = World::new(seed, lossy.clone());
        let (ours, theirs) = established(&mut world);
        let (phone, now) = world.ua(PHONE);
        assert!(phone.reoffer(now, ours, Bytes::from_static(b"v=0 a=sendonly")));
        assert!(
            !phone.reoffer(now, ours, Bytes::new()),
            "one change at a time"
        );
        world.expect(PBX, |event| {
            matches!(event, Event::Offer { .. }).then_some(())
        });
        let (pbx, now) = world.ua(PBX);
        pbx.answer_offer(now, theirs, Bytes::from_static(b"v=0 a=recvonly"));
        let sdp = world.expect(PHONE, |event| match event {
            Event::OfferAnswered { sdp, .. } => Some(sdp.clone()),
            _ => None,
        });
        assert_eq!(sdp, "v=0 a=recvonly");
        world.run(40 * SECOND);
        for agent in [PHONE, PBX] {
            let ended = world.count(agent, |event| matches!(event, Event::Ended { .. }));
            assert_eq!(ended, 0, "seed {seed}: the call goes on");
        }
        let answered = |event: &Event| matches!(event, Event::OfferAnswered { .. });
        assert_eq!(world.count(PHONE, answered), 1, "seed {seed}");
    }
}

#[test]
fn a_change_that_nobody_answers_ends_the_call_as_lost() {
    let mut world = World::perfect();
    let (ours, _) = established(&mut world);
    world.network.cut(address(5060));
    let (phone, now) = world.ua(PHONE);
    phone.reoffer(now, ours, Bytes::from_static(b"offer"));
    world.expect(PHONE, |event| is_end(event, &EndReason::Lost).then_some(()));
    world.run(100 * SECOND);
    assert!(world.agents[PHONE].1.is_quiet());
}
