//! Dialogs beyond the plain call: forks, offers in every legal place, both sides asking at once, redirection.

mod common;

use std::time::Duration;

use bytes::Bytes;
use common::{PBX, PHONE, World, address};
use rollcall_sip::message::{HeadersView, Message, Request};
use rollcall_sip::{CallId, EndReason, Event};
use rollcall_testkit::Conditions;

const SECOND: Duration = Duration::from_secs(1);

fn sdp(text: &'static str) -> Bytes {
    Bytes::from_static(text.as_bytes())
}

fn established(world: &mut World) -> (CallId, CallId) {
    let ours = world.call(PHONE, "v=0 offer");
    let (theirs, _) = world.expect_incoming(PBX);
    let (pbx, now) = world.ua(PBX);
    pbx.answer(now, theirs, sdp("v=0 answer"));
    world.expect(PBX, |event| {
        matches!(event, Event::Confirmed { .. }).then_some(())
    });
    (ours, theirs)
}

/// The last request of this method that an agent sent.
fn last_request(world: &World, agent: usize, method: &str) -> Request {
    let mut requests = world
        .sent(agent)
        .into_iter()
        .filter_map(|message| match message {
            Message::Request(request) if request.method.to_string() == method => Some(request),
            _ => None,
        });
    requests.next_back().expect("it was sent")
}

fn sent(world: &World, agent: usize, start: &str) -> usize {
    let lines = world.start_lines(agent);
    lines.iter().filter(|line| line.starts_with(start)).count()
}

/// An answer to the phone's INVITE as a branch of a fork would give it.
fn branch_answer(invite: &Request, tag: &str, status: &str, extra: &str, body: &str) -> String {
    let field = |name| invite.headers.text(name).unwrap_or_default().to_owned();
    let (via, to) = (field("Via"), field("To"));
    format!(
        "SIP/2.0 {status}\nVia: {via}\nFrom: {}\nTo: {to};tag={tag}\nCall-ID: {}\nCSeq: {}\n\
         Contact: <sip:{tag}@127.0.0.1:5060>\n{extra}Content-Type: application/sdp\nContent-Length: {}\n\n{body}",
        field("From"),
        field("Call-ID"),
        field("CSeq"),
        body.len(),
    )
}

/// A phone that has just called, and its INVITE; the far end is played by hand.
fn dialled() -> (World, CallId, Request) {
    let mut world = World::perfect();
    world.network.cut(address(5060));
    let call = world.call(PHONE, "v=0 offer");
    let invite = last_request(&world, PHONE, "INVITE");
    (world, call, invite)
}

#[test]
fn the_first_branch_of_a_fork_that_answers_wins_and_each_other_is_ended_once() {
    let (mut world, call, invite) = dialled();
    for tag in ["one", "two", "three"] {
        let ringing = branch_answer(&invite, tag, "180 Ringing", "", "");
        world.inject(address(5060), PHONE, &ringing);
    }
    let answers =
        ["two", "one", "three"].map(|tag| branch_answer(&invite, tag, "200 OK", "", "v=0 answer"));
    for _ in 0..3 {
        for answer in &answers {
            world.inject(address(5060), PHONE, answer);
        }
    }
    assert_eq!(
        world.count(PHONE, |event| matches!(event, Event::Answered { .. })),
        1
    );
    assert_eq!(sent(&world, PHONE, "ACK sip:two@"), 3, "one a copy");
    assert_eq!(sent(&world, PHONE, "ACK sip:one@"), 3);
    assert_eq!(sent(&world, PHONE, "BYE sip:one@"), 1);
    assert_eq!(sent(&world, PHONE, "BYE sip:three@"), 1);
    assert_eq!(sent(&world, PHONE, "BYE sip:two@"), 0, "the call goes on");
    assert_eq!(
        world.count(PHONE, |event| matches!(event, Event::Ended { .. })),
        0
    );
    let (phone, now) = world.ua(PHONE);
    phone.hangup(now, call);
    world.drain();
    assert_eq!(sent(&world, PHONE, "BYE sip:two@"), 1);
    world.run(70 * SECOND);
    assert!(world.agents[PHONE].1.is_quiet());
}

#[test]
fn a_branch_that_answers_after_the_call_was_given_up_is_ended() {
    let (mut world, call, invite) = dialled();
    let ringing = branch_answer(&invite, "one", "180 Ringing", "", "");
    world.inject(address(5060), PHONE, &ringing);
    let (phone, now) = world.ua(PHONE);
    phone.hangup(now, call);
    for tag in ["one", "two"] {
        let answer = branch_answer(&invite, tag, "200 OK", "", "v=0 answer");
        world.inject(address(5060), PHONE, &answer);
        assert_eq!(sent(&world, PHONE, &format!("ACK sip:{tag}@")), 1);
        assert_eq!(sent(&world, PHONE, &format!("BYE sip:{tag}@")), 1);
    }
}

#[test]
fn a_cancel_after_the_final_answer_changes_nothing() {
    let mut world = World::perfect();
    world.call(PBX, "v=0 offer");
    let (theirs, _) = world.expect_incoming(PHONE);
    let (phone, now) = world.ua(PHONE);
    phone.answer(now, theirs, sdp("v=0 answer"));
    world.expect(PHONE, |event| {
        matches!(event, Event::Confirmed { .. }).then_some(())
    });
    let invite = last_request(&world, PBX, "INVITE");
    let field = |name| invite.headers.text(name).unwrap_or_default().to_owned();
    let cancel = format!(
        "CANCEL sip:x@127.0.0.1 SIP/2.0\nVia: {}\nFrom: {}\nTo: {}\nCall-ID: {}\nCSeq: 1 CANCEL\nContent-Length: 0\n\n",
        field("Via"),
        field("From"),
        field("To"),
        field("Call-ID"),
    );
    world.inject(address(5060), PHONE, &cancel);
    let lines = world.start_lines(PHONE);
    assert_eq!(lines.last().map(String::as_str), Some("SIP/2.0 200 OK"));
    assert!(lines.iter().all(|line| !line.contains("487")));
    assert_eq!(
        world.count(PHONE, |event| matches!(event, Event::Ended { .. })),
        0
    );
}

#[test]
fn an_ack_that_comes_late_stops_the_answer_and_confirms_the_call() {
    let mut world = World::perfect();
    world.call(PHONE, "v=0 offer");
    let (theirs, _) = world.expect_incoming(PBX);
    world.network.cut(address(5070));
    let (pbx, now) = world.ua(PBX);
    pbx.answer(now, theirs, sdp("v=0 answer"));
    world.run(20 * SECOND);
    assert_eq!(
        world.count(PBX, |event| matches!(event, Event::Confirmed { .. })),
        0
    );
    world.network.heal(address(5070));
    world.expect(PBX, |event| {
        matches!(event, Event::Confirmed { .. }).then_some(())
    });
    let answers = sent(&world, PBX, "SIP/2.0 200");
    world.run(60 * SECOND);
    assert_eq!(sent(&world, PBX, "SIP/2.0 200"), answers);
    assert_eq!(
        world.count(PBX, |event| matches!(event, Event::Ended { .. })),
        0
    );
}

#[test]
fn an_offer_in_the_200_is_answered_in_the_ack() {
    let mut world = World::perfect();
    let ours = world.call(PHONE, "");
    let (theirs, invite) = world.expect_incoming(PBX);
    assert!(invite.body.is_empty());
    let (pbx, now) = world.ua(PBX);
    pbx.answer(now, theirs, sdp("v=0 their offer"));
    let offer = world.expect(PHONE, |event| match event {
        Event::Answered { sdp, .. } => Some(sdp.clone()),
        _ => None,
    });
    assert_eq!(offer, "v=0 their offer");
    world.run(3 * SECOND);
    assert_eq!(sent(&world, PHONE, "ACK"), 0, "the answer is still missing");
    let (phone, now) = world.ua(PHONE);
    phone.answer_offer(now, ours, sdp("v=0 our answer"));
    let answer = world.expect(PBX, |event| match event {
        Event::Confirmed { sdp, .. } => Some(sdp.clone()),
        _ => None,
    });
    assert_eq!(answer, "v=0 our answer");
}

#[test]
fn a_reinvite_without_an_offer_is_offered_to_and_answered_in_the_ack() {
    let mut world = World::perfect();
    let (ours, theirs) = established(&mut world);
    let (phone, now) = world.ua(PHONE);
    assert!(phone.reoffer(now, ours, Bytes::new()));
    world.expect(PBX, |event| match event {
        Event::Offer { sdp, .. } => sdp.is_empty().then_some(()),
        _ => None,
    });
    let (pbx, now) = world.ua(PBX);
    pbx.answer_offer(now, theirs, sdp("v=0 their offer"));
    let offer = world.expect(PHONE, |event| match event {
        Event::Offer { sdp, .. } => Some(sdp.clone()),
        _ => None,
    });
    assert_eq!(offer, "v=0 their offer");
    let (phone, now) = world.ua(PHONE);
    phone.answer_offer(now, ours, sdp("v=0 our answer"));
    let answer = world.expect(PBX, |event| match event {
        Event::Confirmed { sdp, .. } if !sdp.is_empty() => Some(sdp.clone()),
        _ => None,
    });
    assert_eq!(answer, "v=0 our answer");
    let (phone, now) = world.ua(PHONE);
    assert!(phone.reoffer(now, ours, sdp("v=0 next")), "free again");
}

#[test]
fn both_asking_at_once_is_refused_and_each_asks_again_in_its_own_time() {
    for seed in 0..20 {
        let mut world = World::new(seed, Conditions::default());
        let (ours, theirs) = established(&mut world);
        let (phone, now) = world.ua(PHONE);
        assert!(phone.reoffer(now, ours, sdp("one")));
        let (pbx, now) = world.ua(PBX);
        assert!(pbx.reoffer(now, theirs, sdp("two")));
        let began = world.clock.elapsed();
        let mut waits = Vec::new();
        for (agent, other, call, others_call) in
            [(PBX, PHONE, theirs, ours), (PHONE, PBX, ours, theirs)]
        {
            let due =
                |world: &World| world.count(agent, |event| matches!(event, Event::OfferDue { .. }));
            assert!(world.run_until(5 * SECOND, |world| due(world) == 1));
            waits.push(world.clock.elapsed() - began);
            let (ua, now) = world.ua(agent);
            assert!(ua.reoffer(now, call, sdp("again")), "seed {seed}");
            world.expect(other, |event| {
                matches!(event, Event::Offer { .. }).then_some(())
            });
            let (ua, now) = world.ua(other);
            ua.answer_offer(now, others_call, sdp("yes"));
            world.expect(agent, |event| {
                matches!(event, Event::OfferAnswered { .. }).then_some(())
            });
        }
        assert_eq!(sent(&world, PHONE, "SIP/2.0 491"), 1);
        assert_eq!(sent(&world, PBX, "SIP/2.0 491"), 1);
        let [callee, caller] = waits[..] else {
            panic!("two waits");
        };
        assert!(callee <= Duration::from_millis(2_010), "{callee:?}");
        let range = Duration::from_millis(2_100)..=Duration::from_millis(4_010);
        assert!(range.contains(&caller), "{caller:?}");
    }
}

#[test]
fn a_refused_change_leaves_the_call_as_it_was() {
    let mut world = World::perfect();
    let (ours, theirs) = established(&mut world);
    let (phone, now) = world.ua(PHONE);
    assert!(phone.reoffer(now, ours, sdp("one")));
    assert!(!phone.reoffer(now, ours, sdp("two")), "one at a time");
    world.expect(PBX, |event| {
        matches!(event, Event::Offer { .. }).then_some(())
    });
    let (pbx, now) = world.ua(PBX);
    pbx.refuse_offer(now, theirs, 488);
    let code = world.expect(PHONE, |event| match event {
        Event::OfferRefused { code, .. } => Some(*code),
        _ => None,
    });
    assert_eq!(code, 488);
    world.expect(PHONE, |event| {
        matches!(event, Event::OfferDue { .. }).then_some(())
    });
    let (phone, now) = world.ua(PHONE);
    assert!(phone.reoffer(now, ours, sdp("three")), "free again");
}

#[test]
fn a_redirected_call_goes_where_it_is_sent_and_not_in_circles() {
    let (mut world, _, mut invite) = dialled();
    let first = invite.clone();
    for hop in 1..=5 {
        let contact =
            format!("Contact: <sip:hop{hop}@127.0.0.1>;q=0.7, <sip:600@127.0.0.1:5060>;q=0.9\n");
        let moved = branch_answer(&invite, "moved", "302 Moved Temporarily", &contact, "");
        // Only the Contact that is meant: the helper's own comes first.
        let moved = moved.replace("Contact: <sip:moved@127.0.0.1:5060>\n", "");
        world.inject(address(5060), PHONE, &moved);
        let next = last_request(&world, PHONE, "INVITE");
        let target = rollcall_sip::message::uri_text(&next.uri);
        assert_eq!(
            target,
            format!("sip:hop{hop}@127.0.0.1"),
            "not back to where it was"
        );
        let same = |name| assert_eq!(next.headers.text(name), first.headers.text(name));
        same("Call-ID");
        same("From");
        same("To");
        assert_eq!(
            next.headers.text("CSeq"),
            Some(format!("{} INVITE", hop + 1).as_str())
        );
        assert_eq!(next.body, first.body);
        invite = next;
    }
    assert_eq!(
        world.count(PHONE, |event| matches!(event, Event::Redirected { .. })),
        5
    );
    let moved = branch_answer(&invite, "moved", "302 Moved Temporarily", "", "");
    world.inject(address(5060), PHONE, &moved);
    assert_eq!(
        world.count(PHONE, |event| matches!(
            event,
            Event::Ended {
                reason: EndReason::Refused { code: 302, .. },
                ..
            }
        )),
        1
    );
    world.run(70 * SECOND);
    assert!(world.agents[PHONE].1.is_quiet());
}
