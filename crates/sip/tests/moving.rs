//! The phone's address is another one while a call rings, here or there, or is up.

mod common;

use std::time::Duration;

use bytes::Bytes;
use common::{PBX, PHONE, World, address};
use rollcall_sip::message::{HeadersView, Message, Request};
use rollcall_sip::{CallId, EndReason, Event, Transport};

const SECOND: Duration = Duration::from_secs(1);

/// The phone is at another address, and nothing for the one before arrives any more.
fn move_phone(world: &mut World) {
    world.agents[PHONE].0 = address(5071);
    let (phone, now) = world.ua(PHONE);
    phone.relocate(now, Transport::Udp, address(5071), address(5060));
    world.drain();
}

fn requests(world: &World, agent: usize, method: &str) -> Vec<Request> {
    let sent = world.sent(agent).into_iter();
    sent.filter_map(|message| match message {
        Message::Request(request) if request.method.to_string() == method => Some(request),
        _ => None,
    })
    .collect()
}

fn contact(request: &Request) -> &str {
    request.headers.text("Contact").expect("a Contact")
}

fn ends(world: &World, agent: usize) -> Vec<(CallId, EndReason)> {
    let told = world.told.iter().filter(|(who, _, _)| *who == agent);
    told.filter_map(|(_, _, event)| match event {
        Event::Ended { call, reason } => Some((*call, reason.clone())),
        _ => None,
    })
    .collect()
}

/// The PBX's calls that came in, in their order.
fn incoming(world: &World) -> Vec<CallId> {
    let told = world.told.iter().filter(|(who, _, _)| *who == PBX);
    told.filter_map(|(_, _, event)| match event {
        Event::Incoming { call, .. } => Some(*call),
        _ => None,
    })
    .collect()
}

/// A call of the PBX's that rings at the phone: its name there and here.
fn rings_here(world: &mut World) -> (CallId, CallId) {
    let theirs = world.call(PBX, "v=0 offer");
    let (ours, _) = world.expect_incoming(PHONE);
    let (phone, now) = world.ua(PHONE);
    phone.ring(now, ours, None);
    world.run(SECOND);
    (theirs, ours)
}

/// A call of the phone's that rings at the PBX: its name here and there.
fn rings_there(world: &mut World, offer: &str) -> (CallId, CallId) {
    let ours = world.call(PHONE, offer);
    let (theirs, _) = world.expect_incoming(PBX);
    let (pbx, now) = world.ua(PBX);
    pbx.ring(now, theirs, None);
    world.run(SECOND);
    (ours, theirs)
}

#[test]
fn a_call_that_rings_elsewhere_is_made_anew_under_its_name_and_the_one_before_is_cancelled() {
    let mut world = World::perfect();
    let (call, first) = rings_there(&mut world, "v=0 from 5070");
    move_phone(&mut world);
    let (phone, now) = world.ua(PHONE);
    assert!(phone.call_again(now, call, Bytes::from_static(b"v=0 from 5071")));
    world.run(SECOND);
    assert_eq!(ends(&world, PBX), [(first, EndReason::Cancelled)]);
    let second = incoming(&world)[1];
    let (pbx, now) = world.ua(PBX);
    pbx.answer(now, second, Bytes::from_static(b"v=0 answer"));
    let answered = world.expect(PHONE, |event| match event {
        Event::Answered { call, .. } => Some(*call),
        _ => None,
    });
    assert_eq!(answered, call, "it keeps its name");
    world.run(60 * SECOND);
    assert_eq!(ends(&world, PHONE), [], "{}", world.log());
    let invites = requests(&world, PHONE, "INVITE");
    let [before, after] = &invites[..] else {
        panic!("{}", world.log());
    };
    assert_eq!(contact(after), "<sip:1001-aa-bb@127.0.0.1:5071>");
    assert_eq!(after.body, b"v=0 from 5071");
    assert_eq!(
        before.uri, after.uri,
        "nobody else is called than was called"
    );
    assert_ne!(
        before.headers.text("Call-ID"),
        after.headers.text("Call-ID")
    );
    assert_eq!(world.agents[PHONE].1.call_count(), 1);
}

#[test]
fn a_call_that_was_answered_while_the_phone_moved_is_ended_there_and_made_anew() {
    let mut world = World::perfect();
    let (call, first) = rings_there(&mut world, "v=0 offer");
    world.agents[PHONE].0 = address(5071);
    let (pbx, now) = world.ua(PBX);
    pbx.answer(now, first, Bytes::from_static(b"v=0 answer"));
    world.run(SECOND);
    move_phone(&mut world);
    let (phone, now) = world.ua(PHONE);
    assert!(phone.call_again(now, call, Bytes::from_static(b"v=0 offer")));
    world.run(40 * SECOND);
    assert_eq!(
        ends(&world, PBX),
        [(first, EndReason::Lost)],
        "its 200 finds nobody"
    );
    assert_eq!(incoming(&world).len(), 2);
    assert_eq!(ends(&world, PHONE), []);
}

#[test]
fn an_invite_that_nobody_heard_yet_is_given_up_once_it_is_heard() {
    let mut world = World::perfect();
    world.network.cut(address(5060));
    let call = world.call(PHONE, "v=0 offer");
    world.run(SECOND / 10);
    move_phone(&mut world);
    let (phone, now) = world.ua(PHONE);
    assert!(phone.call_again(now, call, Bytes::from_static(b"v=0 offer")));
    assert_eq!(
        requests(&world, PHONE, "CANCEL").len(),
        0,
        "RFC 3261 section 9.1"
    );
    world.run(SECOND / 10);
    world.network.heal(address(5060));
    world.run(5 * SECOND);
    let ended = ends(&world, PBX);
    assert_eq!(ended.len(), 1, "{}", world.log());
    assert_eq!(ended[0].1, EndReason::Cancelled);
    assert_eq!(incoming(&world).len(), 2);
    assert_eq!(ends(&world, PHONE), []);
    let (phone, now) = world.ua(PHONE);
    phone.hangup(now, call);
    world.run(70 * SECOND);
    assert!(world.agents[PHONE].1.is_quiet(), "nothing is left");
    assert!(world.agents[PBX].1.is_quiet());
}

#[test]
fn a_call_that_is_up_or_over_is_not_made_anew() {
    let mut world = World::perfect();
    let call = world.call(PHONE, "v=0 offer");
    let (theirs, _) = world.expect_incoming(PBX);
    let (pbx, now) = world.ua(PBX);
    pbx.answer(now, theirs, Bytes::from_static(b"v=0 answer"));
    world.run(SECOND);
    let (phone, now) = world.ua(PHONE);
    assert!(!phone.call_again(now, call, Bytes::from_static(b"v=0 offer")));
    phone.hangup(now, call);
    assert!(!phone.call_again(now, call, Bytes::from_static(b"v=0 offer")));
    world.run(SECOND);
    assert_eq!(requests(&world, PHONE, "INVITE").len(), 1);
}

#[test]
fn the_caller_of_a_call_that_rings_here_is_told_where_it_rings_now_and_can_be_answered() {
    let mut world = World::perfect();
    let (theirs, ours) = rings_here(&mut world);
    move_phone(&mut world);
    world.run(SECOND);
    let updates = requests(&world, PHONE, "UPDATE");
    assert_eq!(updates.len(), 1);
    assert_eq!(contact(&updates[0]), "<sip:1001-aa-bb@127.0.0.1:5071>");
    assert!(updates[0].body.is_empty(), "the session is not touched");
    let (phone, now) = world.ua(PHONE);
    phone.answer(now, ours, Bytes::from_static(b"v=0 answer from 5071"));
    let sdp = world.expect(PBX, |event| match event {
        Event::Answered { call, sdp } if *call == theirs => Some(sdp.clone()),
        _ => None,
    });
    assert_eq!(sdp, "v=0 answer from 5071");
    world.run(40 * SECOND);
    assert_eq!(ends(&world, PHONE), [], "its ACK came to the new address");
    let (pbx, now) = world.ua(PBX);
    pbx.hangup(now, theirs);
    world.run(SECOND);
    assert_eq!(ends(&world, PHONE), [(ours, EndReason::Remote)]);
}

#[test]
fn a_caller_who_gave_up_where_nobody_heard_it_does_not_ring_for_minutes() {
    let mut world = World::perfect();
    let (theirs, ours) = rings_here(&mut world);
    move_phone(&mut world);
    world.run(SECOND);
    let (pbx, now) = world.ua(PBX);
    pbx.hangup(now, theirs);
    world.run(60 * SECOND);
    let cancels = requests(&world, PBX, "CANCEL").len();
    assert!(cancels > 1, "sent again and again, to the old place");
    assert_eq!(ends(&world, PHONE), [(ours, EndReason::Cancelled)]);
}

#[test]
fn a_caller_without_update_is_asked_nothing() {
    let mut world = World::perfect();
    let call = "INVITE sip:1001-aa-bb@127.0.0.1:5070 SIP/2.0\nVia: SIP/2.0/UDP 127.0.0.1:5060;branch=z9hG4bK-old\n\
                From: <sip:900@pbx>;tag=1\nTo: <sip:1001@pbx>\nCall-ID: old\nCSeq: 1 INVITE\n\
                Contact: <sip:127.0.0.1:5060>\nAllow: INVITE, ACK, CANCEL, BYE\nContent-Length: 0\n\n";
    world.inject(address(5060), PHONE, call);
    let (ours, _) = world.expect_incoming(PHONE);
    let (phone, now) = world.ua(PHONE);
    phone.ring(now, ours, None);
    move_phone(&mut world);
    world.run(30 * SECOND);
    assert_eq!(requests(&world, PHONE, "UPDATE").len(), 0);
    assert_eq!(ends(&world, PHONE), [], "it rings on");
}

#[test]
fn a_call_that_is_up_goes_on_from_another_address_with_a_peer_that_follows() {
    let mut world = World::perfect();
    let call = world.call(PHONE, "v=0 offer");
    let (theirs, _) = world.expect_incoming(PBX);
    let (pbx, now) = world.ua(PBX);
    pbx.answer(now, theirs, Bytes::from_static(b"v=0 answer"));
    world.run(SECOND);
    move_phone(&mut world);
    let (phone, now) = world.ua(PHONE);
    assert!(phone.reoffer(now, call, Bytes::from_static(b"v=0 from 5071")));
    let sdp = world.expect(PBX, |event| match event {
        Event::Offer { sdp, .. } => Some(sdp.clone()),
        _ => None,
    });
    assert_eq!(sdp, "v=0 from 5071");
    let (pbx, now) = world.ua(PBX);
    pbx.answer_offer(now, theirs, Bytes::from_static(b"v=0 answer"));
    world.expect(PHONE, |event| {
        matches!(event, Event::OfferAnswered { .. }).then_some(())
    });
    let (pbx, now) = world.ua(PBX);
    pbx.hangup(now, theirs);
    world.run(SECOND);
    assert_eq!(ends(&world, PHONE), [(call, EndReason::Remote)]);
}
