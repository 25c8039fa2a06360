//! What is lost, what goes on, what is said.

use super::*;

#[test]
fn a_failed_agent_online_leaves_a_working_phone_and_is_retried() {
    let mut bench = Bench::new();
    bench
        .begin()
        .password_right()
        .linked()
        .phone(registered(CONTACT));
    let claim = bench.claim();
    bench.hear(Input::Claimed {
        claim,
        result: Err(failure(FailureKind::Retry, "server_unreachable")),
    });
    assert_eq!(bench.day.state().stage, Stage::SignedIn);
    assert_eq!(codes(&bench), ["server_unreachable"]);
    bench.effects();

    let id = bench.ask(Command::Dial {
        target: "600".to_owned(),
    });
    assert!(bench.answer_to(id).unwrap().is_ok());
    bench.effects();

    bench.pass(Duration::from_secs(1));
    assert_eq!(bench.claim(), claim);
    bench.hear(Input::Claimed {
        claim,
        result: Ok(()),
    });
    assert_eq!(bench.day.state().claim, Claim::Told);
    assert!(codes(&bench).is_empty());
}

#[test]
fn the_retries_of_agent_online_are_bounded_and_a_reconnect_starts_over() {
    let mut bench = Bench::new();
    bench
        .begin()
        .password_right()
        .linked()
        .phone(registered(CONTACT));
    let mut attempts = 0;
    for _ in 0..100 {
        if !bench
            .seen
            .iter()
            .any(|e| matches!(e, Effect::AgentOnline { .. }))
        {
            break;
        }
        attempts += 1;
        let claim = bench.claim();
        bench.seen.clear();
        bench.hear(Input::Claimed {
            claim,
            result: Err(failure(FailureKind::Retry, "server_unreachable")),
        });
        bench.pass(Duration::from_secs(40));
    }
    assert_eq!(attempts, 21);
    let Claim::Failed { retrying, .. } = bench.day.state().claim else {
        panic!("{:?}", bench.day.state().claim);
    };
    assert!(!retrying);
    bench.link(LinkEvent::Connected);
    assert_eq!(bench.effects(), ["AgentOnline"]);
}

#[test]
fn a_refused_agent_online_is_not_repeated() {
    let mut bench = Bench::new();
    bench
        .begin()
        .password_right()
        .linked()
        .phone(registered(CONTACT));
    let claim = bench.claim();
    bench.effects();
    bench.hear(Input::Claimed {
        claim,
        result: Err(failure(FailureKind::Refused, "forbidden")),
    });
    bench.pass(Duration::from_secs(600));
    assert_eq!(bench.effects(), ["Answer(ok)"]);
    assert_eq!(codes(&bench), ["forbidden"]);
}

#[test]
fn another_device_in_the_way_is_asked_about_and_gives_way_only_when_a_person_says_so() {
    let mut bench = Bench::signed_in();
    let early = bench.ask(Command::TakeOver);
    let answer = bench.answer_to(early).unwrap();
    assert_eq!(answer.unwrap_err().code, "nothing_to_take_over");

    bench.phone(registered("sip:1001-aaaaaaaa-cccccccc@127.0.0.1:40000"));
    assert!(!takes_over(&bench));
    let claim = bench.claim();
    bench.hear(Input::Claimed {
        claim,
        result: Err(failure(FailureKind::Refused, "in_use")),
    });
    assert!(matches!(bench.day.state().claim, Claim::Failed { .. }));
    bench.pass(Duration::from_secs(600));
    assert_eq!(bench.claim(), claim, "nobody is put out unasked");

    let id = bench.ask(Command::TakeOver);
    assert_eq!(bench.answer_to(id), Some(Ok(None)));
    assert!(takes_over(&bench));
    let claim = bench.claim();
    bench.hear(Input::Claimed {
        claim,
        result: Ok(()),
    });
    assert_eq!(bench.day.state().claim, Claim::Told);
    bench.phone(registered("sip:1001-aaaaaaaa-dddddddd@127.0.0.1:40000"));
    assert!(!takes_over(&bench), "the consent was for once");
}

/// Whether the last `agent-online` puts another device out.
fn takes_over(bench: &Bench) -> bool {
    let last = bench.seen.iter().rev().find_map(|effect| match effect {
        Effect::AgentOnline { take_over, .. } => Some(*take_over),
        _ => None,
    });
    last.expect("agent-online was asked")
}

#[test]
fn a_lost_server_link_ends_no_call_and_makes_everybody_unknown() {
    let (mut bench, _) = Bench::talking();
    bench.link(LinkEvent::Lost {
        message: "reset".to_owned(),
    });
    assert!(bench.effects().is_empty());
    let state = bench.day.state();
    assert_eq!(state.calls[0].state, CallState::Active);
    assert_eq!(state.own.unwrap().status, BoardStatus::Unknown);
    assert_eq!(codes(&bench), ["server_lost"]);
}

#[test]
fn a_link_that_comes_back_claims_again() {
    let mut bench = Bench::new();
    bench
        .begin()
        .password_right()
        .linked()
        .phone(registered(CONTACT));
    let first = bench.claim();
    bench.hear(Input::Claimed {
        claim: first,
        result: Ok(()),
    });
    bench.effects();
    bench.link(LinkEvent::Lost {
        message: "reset".to_owned(),
    });
    bench.link(LinkEvent::Connected);
    assert_ne!(bench.claim(), first);
    assert_eq!(bench.effects(), ["AgentOnline"]);
}

#[test]
fn a_claim_that_was_never_answered_stays_the_same_when_the_link_comes_and_a_refused_one_does_not() {
    for (kind, same) in [
        (FailureKind::Retry, true),
        (FailureKind::Unauthorised, true),
        (FailureKind::Refused, false),
    ] {
        let mut bench = Bench::new();
        bench
            .begin()
            .password_right()
            .linked()
            .phone(registered(CONTACT));
        let claim = bench.claim();
        bench.hear(Input::Claimed {
            claim,
            result: Err(failure(kind, "why")),
        });
        bench.seen.clear();
        bench.link(LinkEvent::Connected);
        assert_eq!(bench.claim() == claim, same, "{kind:?}");
    }
}

#[test]
fn a_link_that_comes_only_after_the_claim_claims_nothing_twice() {
    let mut bench = Bench::new();
    bench.begin().password_right().phone(registered(CONTACT));
    bench.pass(Duration::from_secs(1));
    let claim = bench.claim();
    bench.hear(Input::Claimed {
        claim,
        result: Ok(()),
    });
    bench.effects();
    bench.linked();
    assert!(bench.effects().is_empty());
}

#[test]
fn a_lost_registration_is_said_and_the_next_one_with_another_contact_is_claimed() {
    let mut bench = Bench::signed_in();
    bench.phone(registration_failed(FailureCode::RegistrarUnreachable));
    assert_eq!(codes(&bench), ["registrar_unreachable"]);
    assert_eq!(bench.day.state().contact, None);
    bench.phone(registered("sip:1001-aaaaaaaa-bbbbbbbb@192.0.2.9:40000"));
    assert_eq!(bench.effects(), ["AgentOnline"]);
    assert!(codes(&bench).is_empty());
}

#[test]
fn a_refresh_of_the_registration_claims_nothing() {
    let mut bench = Bench::signed_in();
    bench.phone(registered(CONTACT));
    assert!(bench.effects().is_empty());
}

#[test]
fn a_server_that_asks_for_it_gets_a_new_registration_and_the_call_goes_on() {
    let (mut bench, _) = Bench::talking();
    bench.link(LinkEvent::Reregister);
    assert_eq!(bench.effects(), ["Phone::Refresh"]);
    bench.phone(registered(CONTACT));
    assert!(bench.effects().is_empty());
    assert_eq!(bench.day.state().calls[0].state, CallState::Active);
}

#[test]
fn a_board_with_a_gap_is_unknown_until_the_next_snapshot() {
    let jump = LinkEvent::Status(Box::new(AgentStatus {
        epoch: "e".to_owned(),
        seq: 3,
        agent: snapshot().agents.remove(0),
    }));
    for gap in [LinkEvent::Gap, jump] {
        let mut bench = Bench::signed_in();
        assert_eq!(own_status(&bench), BoardStatus::Available);
        bench.link(gap);
        assert_eq!(own_status(&bench), BoardStatus::Unknown);
        assert!(!bench.day.state().board.synced);
        bench.link(LinkEvent::Snapshot(snapshot()));
        assert_eq!(own_status(&bench), BoardStatus::Available);
    }
}

#[test]
fn a_link_that_is_back_shows_no_green_before_its_snapshot() {
    let mut bench = Bench::signed_in();
    bench.link(LinkEvent::Lost {
        message: "reset".to_owned(),
    });
    bench.link(LinkEvent::Connected);
    let own = bench.day.state().own.unwrap();
    assert_eq!(own.status, BoardStatus::Unknown);
    assert_eq!(own.reasons[0].code, crate::board::BOARD_SYNCING);
}

fn own_status(bench: &Bench) -> BoardStatus {
    bench.day.state().own.unwrap().status
}

#[test]
fn a_missing_microphone_is_said_and_calls_still_work() {
    let mut bench = Bench::signed_in();
    bench.phone(PhoneEvent::AudioReady {
        microphone: false,
        speaker: true,
    });
    assert_eq!(codes(&bench), ["no_audio_device"]);
    let id = bench.ask(Command::Dial {
        target: "600".to_owned(),
    });
    assert!(bench.answer_to(id).unwrap().is_ok());
}

#[test]
fn an_engine_that_stopped_ends_its_calls_for_the_reader_and_says_so() {
    let (mut bench, _) = Bench::talking();
    bench.phone(PhoneEvent::Stopped);
    assert_eq!(bench.day.state().calls[0].state, CallState::Ended);
    assert_eq!(codes(&bench), ["phone_stopped"]);
}
