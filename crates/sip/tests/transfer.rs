//! Transfers among three user agents (RFC 3515, 3891, 5589), on virtual time.

mod common;

use std::time::Duration;

use bytes::Bytes;
use common::{World, address, name_addr};
use rollcall_sip::message::{Uri, header, parse_uri};
use rollcall_sip::{CallId, Config, EndReason, Event, InviteRequest, Trust, UserAgent};
use rollcall_testkit::Conditions;

const SECOND: Duration = Duration::from_secs(1);
/// Ann transfers Bob to Carl.
const ANN: usize = 0;
const BOB: usize = 1;
const CARL: usize = 2;

fn port(agent: usize) -> u16 {
    5060 + agent as u16 * 10
}

fn uri_of(agent: usize) -> Uri {
    parse_uri(&format!("sip:p{agent}@127.0.0.1:{}", port(agent))).expect("a URI")
}

fn trio(seed: u64, conditions: Conditions) -> World {
    let mut world = World::new(seed, conditions);
    world.agents = (0..3)
        .map(|agent| {
            let own = address(port(agent));
            let config = Config::phone(own, format!("p{agent}"), "phone", seed * 3 + agent as u64);
            let config = Config {
                trust: Trust::Anyone,
                ..config
            };
            (own, UserAgent::new(config, world.clock.now()))
        })
        .collect();
    world
}

fn invite(from: usize, target: Uri, to: usize) -> InviteRequest {
    InviteRequest {
        target,
        destination: address(port(to)),
        from: name_addr(&format!("<sip:p{from}@127.0.0.1:{}>", port(from))),
        offer: Bytes::from_static(b"v=0 offer"),
        credentials: None,
        headers: Vec::new(),
    }
}

fn nth_incoming(world: &mut World, agent: usize, nth: usize) -> (CallId, Option<CallId>) {
    let mut found = None;
    world.run_until(70 * SECOND, |world| {
        let own = world.told.iter().filter(|(who, _, _)| *who == agent);
        let mut incoming = own.filter_map(|(_, _, event)| match event {
            Event::Incoming { call, replaces, .. } => Some((*call, *replaces)),
            _ => None,
        });
        found = incoming.nth(nth);
        found.is_some()
    });
    found.unwrap_or_else(|| panic!("agent {agent} was not called: {}", world.log()))
}

/// A call from one to another, answered; `nth` counts the calls that come to the second.
fn connect(world: &mut World, from: usize, to: usize, nth: usize) -> (CallId, CallId) {
    let (ua, now) = world.ua(from);
    let ours = ua.invite(now, invite(from, uri_of(to), to));
    let (theirs, _) = nth_incoming(world, to, nth);
    let (ua, now) = world.ua(to);
    ua.answer(now, theirs, Bytes::from_static(b"v=0 answer"));
    let is_up = |world: &mut World| {
        world.told.iter().any(|(who, _, event)| {
            *who == to && matches!(event, Event::Confirmed { call, .. } if *call == theirs)
        })
    };
    assert!(world.run_until(70 * SECOND, is_up), "{}", world.log());
    (ours, theirs)
}

/// What Bob is asked for by Ann, followed.
fn follow(world: &mut World, call: CallId) -> CallId {
    let (target, replaces) = world.expect(BOB, |event| match event {
        Event::Referred {
            call: own,
            target,
            replaces,
            referred_by,
        } if *own == call => {
            assert_eq!(referred_by.as_deref(), Some("<sip:p0@127.0.0.1:5060>"));
            Some((target.clone(), replaces.clone()))
        }
        _ => None,
    });
    let (bob, now) = world.ua(BOB);
    bob.accept_referral(now, call, replaces, invite(BOB, target, CARL))
        .expect("it is followed")
}

fn news(world: &World) -> Vec<(u16, bool)> {
    let own = world.told.iter().filter(|(who, _, _)| *who == ANN);
    own.filter_map(|(_, _, event)| match event {
        Event::Transfer { code, is_final, .. } => Some((*code, *is_final)),
        _ => None,
    })
    .collect()
}

fn expect_final(world: &mut World) -> u16 {
    world.expect(ANN, |event| match event {
        Event::Transfer {
            code,
            is_final: true,
            ..
        } => Some(*code),
        _ => None,
    })
}

fn bad() -> Conditions {
    Conditions {
        delay: Duration::from_millis(5)..=Duration::from_millis(120),
        loss: 0.15,
        duplication: 0.1,
        reordering: 0.1,
    }
}

#[test]
fn a_blind_transfer_is_followed_told_and_left() {
    for (seed, conditions) in [(1, Conditions::default())]
        .into_iter()
        .chain((2..30).map(|seed| (seed, bad())))
    {
        let mut world = trio(seed, conditions);
        let (ours, bobs) = connect(&mut world, ANN, BOB, 0);
        let (ann, now) = world.ua(ANN);
        assert!(ann.transfer(
            now,
            ours,
            &name_addr(&format!("<sip:p2@127.0.0.1:{}>", port(CARL)))
        ));
        assert!(
            !ann.transfer(now, ours, &name_addr("<sip:x@y>")),
            "one at a time"
        );
        let new = follow(&mut world, bobs);
        let (carls, replaces) = nth_incoming(&mut world, CARL, 0);
        assert_eq!(replaces, None);
        let (carl, now) = world.ua(CARL);
        carl.ring(now, carls, None);
        carl.answer(now, carls, Bytes::from_static(b"v=0 answer"));
        assert_eq!(expect_final(&mut world), 200, "seed {seed}");
        let (ann, now) = world.ua(ANN);
        ann.hangup(now, ours);
        world.run(100 * SECOND);
        let told = news(&world);
        // On a bad network the last news may overtake the answer to REFER.
        assert!(seed > 1 || told.first() == Some(&(202, false)), "{told:?}");
        assert!(
            told.iter().filter(|(_, last)| *last).count() == 1,
            "{told:?}"
        );
        let ended = |call, world: &World| {
            world.count(
                BOB,
                |event| matches!(event, Event::Ended { call: own, .. } if *own == call),
            )
        };
        assert_eq!((ended(bobs, &world), ended(new, &world)), (1, 0));
        let (bob, now) = world.ua(BOB);
        bob.hangup(now, new);
        world.run(100 * SECOND);
        assert!(
            world.agents.iter().all(|(_, ua)| ua.is_quiet()),
            "seed {seed}"
        );
    }
}

#[test]
fn a_transfer_to_somebody_busy_fails_and_the_call_goes_on() {
    let mut world = trio(1, Conditions::default());
    let (ours, bobs) = connect(&mut world, ANN, BOB, 0);
    let (ann, now) = world.ua(ANN);
    ann.transfer(
        now,
        ours,
        &name_addr(&format!("<sip:p2@127.0.0.1:{}>", port(CARL))),
    );
    follow(&mut world, bobs);
    let (carls, _) = nth_incoming(&mut world, CARL, 0);
    let (carl, now) = world.ua(CARL);
    carl.reject(now, carls, 486);
    assert_eq!(expect_final(&mut world), 486);
    assert_eq!(
        world.count(ANN, |event| matches!(event, Event::Ended { .. })),
        0
    );
    let (ann, now) = world.ua(ANN);
    assert!(
        ann.transfer(now, ours, &name_addr("<sip:p9@127.0.0.1>")),
        "another may be tried"
    );
}

#[test]
fn a_refused_transfer_is_told_with_its_code() {
    let mut world = trio(1, Conditions::default());
    let (ours, bobs) = connect(&mut world, ANN, BOB, 0);
    let (ann, now) = world.ua(ANN);
    ann.transfer(now, ours, &name_addr("<sip:p9@127.0.0.1>"));
    world.expect(BOB, |event| {
        matches!(event, Event::Referred { .. }).then_some(())
    });
    let (bob, now) = world.ua(BOB);
    bob.refuse_referral(now, bobs, 603);
    assert_eq!(expect_final(&mut world), 603);
}

#[test]
fn an_attended_transfer_puts_one_in_the_place_of_the_transferor() {
    for (seed, conditions) in [(1, Conditions::default())]
        .into_iter()
        .chain((2..30).map(|seed| (seed, bad())))
    {
        let mut world = trio(seed, conditions);
        let (with_bob, bobs) = connect(&mut world, ANN, BOB, 0);
        let (with_carl, carls) = connect(&mut world, ANN, CARL, 0);
        let (ann, now) = world.ua(ANN);
        assert!(ann.transfer_to_call(now, with_bob, with_carl));
        let new = follow(&mut world, bobs);
        let (taken_over, replaces) = nth_incoming(&mut world, CARL, 1);
        assert_eq!(replaces, Some(carls), "seed {seed}");
        let (carl, now) = world.ua(CARL);
        carl.answer(now, taken_over, Bytes::from_static(b"v=0 answer"));
        assert_eq!(expect_final(&mut world), 200, "seed {seed}");
        let (ann, now) = world.ua(ANN);
        ann.hangup(now, with_bob);
        world.run(100 * SECOND);
        let ends = |agent, call, world: &World| -> Vec<EndReason> {
            let own = world.told.iter().filter(|(who, _, _)| *who == agent);
            own.filter_map(|(_, _, event)| match event {
                Event::Ended { call: own, reason } if *own == call => Some(reason.clone()),
                _ => None,
            })
            .collect()
        };
        assert_eq!(ends(CARL, carls, &world), [EndReason::Replaced]);
        assert_eq!(ends(ANN, with_carl, &world), [EndReason::Remote]);
        assert_eq!(ends(CARL, taken_over, &world), []);
        assert_eq!(ends(BOB, new, &world), []);
        let (bob, now) = world.ua(BOB);
        bob.hangup(now, new);
        world.run(100 * SECOND);
        assert!(
            world.agents.iter().all(|(_, ua)| ua.is_quiet()),
            "seed {seed}"
        );
    }
}

#[test]
fn a_call_is_taken_over_only_by_whoever_knows_its_tags() {
    let mut world = trio(1, Conditions::default());
    connect(&mut world, ANN, CARL, 0);
    for (replaces, code) in [
        ("nonsense", 400),
        ("unknown@x;to-tag=1;from-tag=2", 481),
        ("a;to-tag=1", 400),
    ] {
        let asked = InviteRequest {
            headers: vec![header("Replaces", replaces)],
            ..invite(BOB, uri_of(CARL), CARL)
        };
        let (bob, now) = world.ua(BOB);
        let call = bob.invite(now, asked);
        let refused = world.expect(BOB, |event| match event {
            Event::Ended {
                call: own,
                reason: EndReason::Refused { code, .. },
            } if *own == call => Some(*code),
            _ => None,
        });
        assert_eq!(refused, code, "{replaces}");
    }
    assert_eq!(
        world.count(CARL, |event| matches!(event, Event::Ended { .. })),
        0
    );
}
