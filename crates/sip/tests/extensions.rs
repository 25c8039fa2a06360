//! Reliable provisional answers (RFC 3262), UPDATE before the answer (RFC 3311), session timers (RFC 4028).

mod common;

use std::time::Duration;

use bytes::Bytes;
use common::{PBX, PHONE, World, address, name_addr};
use rollcall_sip::message::{HeadersView, Message, header, parse_uri};
use rollcall_sip::{CallId, Config, EndReason, Event, InviteRequest, Trust, UserAgent};
use rollcall_testkit::Conditions;

const SECOND: Duration = Duration::from_secs(1);

fn sdp(text: &'static str) -> Bytes {
    Bytes::from_static(text.as_bytes())
}

fn sent(world: &World, agent: usize, start: &str) -> usize {
    let lines = world.start_lines(agent);
    lines.iter().filter(|line| line.starts_with(start)).count()
}

/// Calls from the PBX with further headers.
fn call_with(world: &mut World, headers: &[(&str, &str)]) -> CallId {
    let (pbx, now) = world.ua(PBX);
    let call = pbx.invite(
        now,
        InviteRequest {
            target: parse_uri("sip:1001-aa-bb@127.0.0.1:5070").expect("a URI"),
            destination: address(5070),
            from: name_addr("<sip:600@127.0.0.1:5060>"),
            offer: sdp("v=0 offer"),
            credentials: None,
            headers: headers
                .iter()
                .map(|(name, value)| header(name, *value))
                .collect(),
        },
    );
    world.drain();
    call
}

/// The phone again, with another interval, at a PBX that speaks of session timers too.
fn timed(phone: Option<u64>, pbx: Option<u64>) -> World {
    let mut world = World::perfect();
    let now = world.clock.now();
    let config = |config: Config, expires: Option<u64>| Config {
        session_expires: expires.map(Duration::from_secs),
        ..config
    };
    let own = Config {
        trust: Trust::Listed(vec![address(5060)]),
        ..Config::phone(address(5070), "1001-aa-bb", "phone", 1)
    };
    world.agents[PHONE].1 = UserAgent::new(config(own, phone), now);
    let own = Config::pbx(address(5060), "pbx", 2);
    world.agents[PBX].1 = UserAgent::new(config(own, pbx), now);
    world
}

fn connect(world: &mut World) -> (CallId, CallId) {
    let ours = world.call(PHONE, "v=0 offer");
    let (theirs, _) = world.expect_incoming(PBX);
    let (pbx, now) = world.ua(PBX);
    pbx.answer(now, theirs, sdp("v=0 answer"));
    world.expect(PBX, |event| {
        matches!(event, Event::Confirmed { .. }).then_some(())
    });
    (ours, theirs)
}

fn ended(world: &World, agent: usize) -> usize {
    world.count(agent, |event| matches!(event, Event::Ended { .. }))
}

#[test]
fn early_media_is_acknowledged_and_arrives_over_a_network_that_loses() {
    let bad = Conditions {
        delay: Duration::from_millis(5)..=Duration::from_millis(120),
        loss: 0.2,
        duplication: 0.1,
        reordering: 0.1,
    };
    for seed in 0..60 {
        let mut world = World::new(seed, bad.clone());
        world.call(PHONE, "v=0 offer");
        let (theirs, _) = world.expect_incoming(PBX);
        let (pbx, now) = world.ua(PBX);
        pbx.ring(now, theirs, Some(sdp("v=0 early")));
        // It may not overtake the description that nobody has acknowledged yet.
        pbx.answer(now, theirs, sdp("v=0 early"));
        world.drain();
        assert_eq!(sent(&world, PBX, "SIP/2.0 200"), 0, "seed {seed}");
        world.expect(PHONE, |event| {
            matches!(event, Event::Answered { .. }).then_some(())
        });
        let early = |event: &Event| matches!(event, Event::Progress { code: 183, .. });
        assert_eq!(world.count(PHONE, early), 1, "seed {seed}: told once");
        world.expect(PBX, |event| {
            matches!(event, Event::Confirmed { .. }).then_some(())
        });
        world.run(40 * SECOND);
        assert_eq!(ended(&world, PHONE) + ended(&world, PBX), 0, "seed {seed}");
    }
}

#[test]
fn a_provisional_answer_nobody_acknowledges_ends_the_call_after_64_t1() {
    let mut world = World::perfect();
    world.call(PHONE, "v=0 offer");
    let (theirs, _) = world.expect_incoming(PBX);
    world.network.cut(address(5070));
    let (pbx, now) = world.ua(PBX);
    pbx.ring(now, theirs, Some(sdp("v=0 early")));
    let began = world.clock.elapsed();
    world.expect(PBX, |event| match event {
        Event::Ended { reason, .. } => (*reason == EndReason::Lost).then_some(()),
        _ => None,
    });
    assert_eq!(world.clock.elapsed() - began, 32 * SECOND);
    assert_eq!(sent(&world, PBX, "SIP/2.0 183"), 7, "500 ms, doubling");
    assert_eq!(sent(&world, PBX, "SIP/2.0 504"), 1);
}

#[test]
fn a_caller_that_requires_100rel_is_rung_reliably_and_one_that_requires_more_is_refused() {
    let mut world = World::perfect();
    call_with(&mut world, &[("Require", "100rel")]);
    let (theirs, _) = world.expect_incoming(PHONE);
    let (phone, now) = world.ua(PHONE);
    phone.ring(now, theirs, None);
    world.run(SECOND);
    assert_eq!(sent(&world, PBX, "PRACK"), 1);
    assert_eq!(
        sent(&world, PHONE, "SIP/2.0 180"),
        1,
        "acknowledged at once"
    );
    let (phone, now) = world.ua(PHONE);
    phone.answer(now, theirs, sdp("v=0 answer"));
    world.expect(PHONE, |event| {
        matches!(event, Event::Confirmed { .. }).then_some(())
    });

    call_with(&mut world, &[("Require", "100rel, teleport")]);
    world.run(SECOND);
    let refused = world
        .sent(PHONE)
        .into_iter()
        .find_map(|message| match message {
            Message::Response(response) if response.status_code.code() == 420 => Some(response),
            _ => None,
        });
    let refused = refused.expect("a 420");
    assert_eq!(refused.headers.text("Unsupported"), Some("teleport"));
}

#[test]
fn a_prack_that_acknowledges_nothing_is_refused() {
    let mut world = World::perfect();
    call_with(&mut world, &[]);
    let (theirs, invite) = world.expect_incoming(PHONE);
    let (phone, now) = world.ua(PHONE);
    phone.ring(now, theirs, Some(sdp("v=0 early")));
    world.network.cut(address(5060));
    world.drain();
    let ringing = world
        .sent(PHONE)
        .into_iter()
        .find_map(|message| match message {
            Message::Response(response) if response.status_code.code() == 183 => Some(response),
            _ => None,
        });
    let ringing = ringing.expect("a 183");
    let field = |name| ringing.headers.text(name).unwrap_or_default().to_owned();
    let rseq: u32 = field("RSeq").parse().expect("a number");
    let prack = |number: u32, rack: String| {
        format!(
            "PRACK sip:x@127.0.0.1:5070 SIP/2.0\nVia: SIP/2.0/UDP 127.0.0.1:5060;rport;branch=z9hG4bKp{number}\n\
             From: {}\nTo: {}\nCall-ID: {}\nCSeq: {number} PRACK\nRAck: {rack}\nContent-Length: 0\n\n",
            invite.headers.text("From").unwrap_or_default(),
            field("To"),
            field("Call-ID"),
        )
    };
    for (number, rack, answer) in [
        (2, format!("{} 1 INVITE", rseq + 1), "SIP/2.0 481"),
        (3, format!("{rseq} 2 INVITE"), "SIP/2.0 481"),
        (4, format!("{rseq} 1 UPDATE"), "SIP/2.0 481"),
        (5, "nonsense".to_owned(), "SIP/2.0 481"),
        (6, format!("{rseq} 1 INVITE"), "SIP/2.0 200"),
    ] {
        world.inject(address(5060), PHONE, &prack(number, rack));
        let lines = world.start_lines(PHONE);
        let last = lines.last().map(String::as_str).unwrap_or_default();
        assert!(last.starts_with(answer), "{number}: {last}");
    }
}

#[test]
fn an_update_changes_the_session_before_the_answer_and_not_before_the_first_agreement() {
    let mut world = World::perfect();
    let ours = world.call(PHONE, "v=0 offer");
    let (theirs, _) = world.expect_incoming(PBX);
    let (phone, now) = world.ua(PHONE);
    assert!(
        !phone.reoffer(now, ours, sdp("v=0 other")),
        "not answered yet"
    );
    let (pbx, now) = world.ua(PBX);
    pbx.ring(now, theirs, Some(sdp("v=0 early")));
    world.expect(PHONE, |event| {
        matches!(event, Event::Progress { .. }).then_some(())
    });
    world.run(SECOND);
    let (phone, now) = world.ua(PHONE);
    assert!(phone.reoffer(now, ours, sdp("v=0 other")));
    world.expect(PBX, |event| match event {
        Event::Offer { sdp, .. } => (sdp == "v=0 other").then_some(()),
        _ => None,
    });
    let (pbx, now) = world.ua(PBX);
    pbx.answer_offer(now, theirs, sdp("v=0 yes"));
    let answer = world.expect(PHONE, |event| match event {
        Event::OfferAnswered { sdp, .. } => Some(sdp.clone()),
        _ => None,
    });
    assert_eq!(answer, "v=0 yes");
    assert_eq!(sent(&world, PHONE, "UPDATE"), 1);
    let (pbx, now) = world.ua(PBX);
    pbx.answer(now, theirs, sdp("v=0 yes"));
    world.expect(PHONE, |event| {
        matches!(event, Event::Answered { .. }).then_some(())
    });
}

#[test]
fn a_refreshed_session_lives_and_one_that_is_not_refreshed_ends() {
    for (phone, pbx) in [
        (Some(300), Some(300)),
        (Some(300), Some(90)),
        (Some(90), Some(600)),
    ] {
        let mut world = timed(phone, pbx);
        let (ours, _) = connect(&mut world);
        world.run(2_000 * SECOND);
        assert_eq!(ended(&world, PHONE) + ended(&world, PBX), 0);
        let refreshes = sent(&world, PHONE, "UPDATE") + sent(&world, PBX, "UPDATE");
        assert!(refreshes >= 2_000 / 300, "{refreshes} refreshes");
        assert_eq!(
            world.count(PHONE, |event| matches!(event, Event::OfferAnswered { .. })),
            0,
            "a refresh is no change"
        );
        // The other side vanishes without a word: both ends notice by themselves.
        world.network.cut(address(5060));
        world.run(600 * SECOND);
        for agent in [PHONE, PBX] {
            assert_eq!(
                world.count(agent, |event| matches!(
                    event,
                    Event::Ended {
                        reason: EndReason::Lost,
                        ..
                    }
                )),
                1,
                "agent {agent}"
            );
        }
        let _ = ours;
    }
}

#[test]
fn without_the_other_sides_consent_there_is_no_session_timer() {
    let mut world = timed(Some(90), None);
    connect(&mut world);
    world.run(2_000 * SECOND);
    assert_eq!(sent(&world, PHONE, "UPDATE"), 0);
    assert_eq!(ended(&world, PHONE), 0);
}

#[test]
fn an_interval_below_90_s_is_refused_with_the_least_and_a_422_raises_ours() {
    let mut world = World::perfect();
    call_with(
        &mut world,
        &[("Session-Expires", "30"), ("Supported", "timer")],
    );
    world.run(SECOND);
    let refused = world
        .sent(PHONE)
        .into_iter()
        .find_map(|message| match message {
            Message::Response(response) if response.status_code.code() == 422 => Some(response),
            _ => None,
        });
    assert_eq!(refused.expect("a 422").headers.text("Min-SE"), Some("90"));

    let mut world = World::perfect();
    world.call(PHONE, "v=0 offer");
    let (theirs, _) = world.expect_incoming(PBX);
    let (pbx, now) = world.ua(PBX);
    let reply = rollcall_sip::Reply::new(422).with("Min-SE", "3600");
    pbx.reject(now, theirs, reply);
    world.run(SECOND);
    let again = world
        .told
        .iter()
        .filter_map(|(who, _, event)| match event {
            Event::Incoming { request, .. } if *who == PBX => Some(request.clone()),
            _ => None,
        })
        .nth(1)
        .expect("a second INVITE");
    assert_eq!(again.headers.text("Session-Expires"), Some("3600"));
    assert_eq!(again.headers.text("Min-SE"), Some("3600"));
    assert_eq!(ended(&world, PHONE), 0);
}

/// The keys that the PBX was told of by INFO, in their order.
fn keys(world: &World) -> Vec<Bytes> {
    let told = world.told.iter().filter(|(who, _, _)| *who == PBX);
    told.filter_map(|(_, _, event)| match event {
        Event::InDialog {
            content_type, body, ..
        } if content_type == "application/dtmf-relay" => Some(body.clone()),
        _ => None,
    })
    .collect()
}

#[test]
fn what_is_said_by_info_arrives_once_and_in_order_over_a_network_that_loses_and_reorders() {
    let bad = Conditions {
        delay: Duration::from_millis(5)..=Duration::from_millis(120),
        loss: 0.15,
        duplication: 0.1,
        reordering: 0.1,
    };
    let spoken: Vec<Bytes> = (0..20).map(|key| format!("Signal={key}").into()).collect();
    for seed in 0..20 {
        let mut world = World::new(seed, bad.clone());
        let (ours, _) = connect(&mut world);
        for body in &spoken {
            let (phone, now) = world.ua(PHONE);
            assert!(phone.info(now, ours, "application/dtmf-relay", body.clone()));
        }
        world.run(300 * SECOND);
        assert_eq!(keys(&world), spoken, "seed {seed}");
        assert_eq!(ended(&world, PHONE), 0, "seed {seed}");
    }
}

#[test]
fn an_info_that_is_refused_is_told_and_what_was_to_follow_is_dropped() {
    let mut world = World::perfect();
    let ours = world.call(PHONE, "v=0 offer");
    let (phone, now) = world.ua(PHONE);
    assert!(
        !phone.info(now, ours, "application/dtmf-relay", sdp("Signal=1")),
        "nobody has answered"
    );
    let (theirs, _) = world.expect_incoming(PBX);
    let (pbx, now) = world.ua(PBX);
    pbx.answer(now, theirs, sdp("v=0 answer"));
    world.expect(PBX, |event| {
        matches!(event, Event::Confirmed { .. }).then_some(())
    });
    // It has forgotten the call.
    world.agents[PBX].1 = UserAgent::new(Config::pbx(address(5060), "pbx", 2), now);
    for key in 1..=3 {
        let (phone, now) = world.ua(PHONE);
        let body = Bytes::from(format!("Signal={key}"));
        assert!(phone.info(now, ours, "application/dtmf-relay", body));
    }
    world.run(10 * SECOND);
    let refused = world.count(
        PHONE,
        |event| matches!(event, Event::InfoRefused { call, code: 481 } if *call == ours),
    );
    assert_eq!((refused, sent(&world, PHONE, "INFO")), (1, 1));
}
