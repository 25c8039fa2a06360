//! Signing out.

use super::*;

#[test]
fn a_sign_out_leaves_the_registrar_then_tells_the_server_then_forgets() {
    let mut bench = Bench::signed_in();
    let id = bench.ask(Command::SignOut(When::AfterCalls));
    assert_eq!(bench.effects(), ["Phone::Unregister"]);
    assert_eq!(bench.day.state().stage, Stage::SigningOut);
    bench.phone(PhoneEvent::Unregistered);
    assert_eq!(bench.effects(), ["AgentLogout"]);
    bench.hear(Input::LoggedOut {
        session: 1,
        result: Ok(vec!["contact".to_owned()]),
    });
    let answer = bench.answer_to(id).unwrap().unwrap().unwrap();
    assert_eq!(answer.pending, ["contact"]);
    assert_eq!(bench.effects(), ["Forget"]);
    let state = bench.day.state();
    assert_eq!(state.stage, Stage::SignedOut { error: None });
    assert!(state.board.agents.is_empty());
    assert_eq!(state.user, None);
}

#[test]
fn a_registrar_that_does_not_answer_keeps_the_server_from_nothing() {
    let mut bench = Bench::signed_in();
    let id = bench.ask(Command::SignOut(When::AfterCalls));
    bench.pass(Duration::from_secs(2));
    assert_eq!(bench.effects(), ["Phone::Unregister", "AgentLogout"]);
    bench.hear(Input::LoggedOut {
        session: 1,
        result: Ok(vec![]),
    });
    let answer = bench.answer_to(id).unwrap().unwrap().unwrap();
    assert_eq!(answer.pending, ["phone"]);
}

#[test]
fn a_phone_that_never_registered_is_stopped_and_not_waited_for() {
    let mut bench = Bench::new();
    bench.begin().password_right();
    bench.phone(registration_failed(FailureCode::RegistrarUnreachable));
    bench.effects();
    let id = bench.ask(Command::SignOut(When::AfterCalls));
    assert_eq!(bench.effects(), ["Phone::Unregister", "AgentLogout"]);
    bench.hear(Input::LoggedOut {
        session: 1,
        result: Ok(vec![]),
    });
    let answer = bench.answer_to(id).unwrap().unwrap().unwrap();
    assert!(answer.pending.is_empty());
}

#[test]
fn a_sign_out_ends_the_attempts_to_go_online() {
    let (mut bench, _) = Bench::talking();
    bench.phone(registered("sip:1001-aaaaaaaa-bbbbbbbb@192.0.2.9:40000"));
    let claim = bench.claim();
    bench.hear(Input::Claimed {
        claim,
        result: Err(failure(FailureKind::Retry, "server_away")),
    });
    bench.ask(Command::SignOut(When::AfterCalls));
    bench.effects();
    bench.pass(Duration::from_secs(5)).linked();
    assert!(!bench.effects().contains(&"AgentOnline".to_owned()));
}

#[test]
fn a_sign_out_before_the_board_has_come_goes_online_no_more() {
    let mut bench = Bench::new();
    bench.begin().password_right().phone(registered(CONTACT));
    bench.ask(Command::CancelSignIn);
    bench.effects();
    bench.linked().pass(Duration::from_secs(1));
    assert!(!bench.effects().contains(&"AgentOnline".to_owned()));
}

#[test]
fn a_server_that_does_not_answer_keeps_nobody_signed_in() {
    let mut bench = Bench::signed_in();
    let id = bench.ask(Command::SignOut(When::Now));
    bench.phone(PhoneEvent::Unregistered);
    bench.pass(Duration::from_millis(2_500));
    let answer = bench.answer_to(id).unwrap().unwrap().unwrap();
    assert_eq!(answer.pending, ["server"]);
    let Stage::SignedOut { error: Some(error) } = bench.day.state().stage else {
        panic!("{:?}", bench.day.state().stage);
    };
    assert_eq!(error.code, "server_pending");
}

#[test]
fn a_sign_out_during_a_call_tells_the_server_at_once_and_keeps_the_phone_until_the_end() {
    let (mut bench, call) = Bench::talking();
    let id = bench.ask(Command::SignOut(When::AfterCalls));
    assert_eq!(bench.effects(), ["AgentLogout"]);
    bench.hear(Input::LoggedOut {
        session: 1,
        result: Ok(vec!["call".to_owned()]),
    });
    assert!(bench.effects().is_empty());
    assert_eq!(bench.day.state().stage, Stage::SigningOut);

    bench.phone(PhoneEvent::Incoming {
        call: CallRef::fresh(),
        from_display: String::new(),
        from_uri: "sip:1002@x".to_owned(),
    });
    assert_eq!(bench.effects(), ["Phone::TurnAway"]);

    bench.phone(ended(call));
    bench.phone(PhoneEvent::Unregistered);
    let answer = bench.answer_to(id).unwrap().unwrap().unwrap();
    assert_eq!(answer.pending, ["call"]);
    assert_eq!(bench.effects(), ["Phone::Unregister", "Forget"]);
}

#[test]
fn a_program_that_ends_hangs_up_first() {
    let (mut bench, call) = Bench::talking();
    bench.ask(Command::SignOut(When::Now));
    let effects = bench.effects();
    assert!(
        effects.starts_with(&["Phone::Hangup".to_owned()]),
        "{effects:?}"
    );
    bench.phone(ended(call)).phone(PhoneEvent::Unregistered);
    bench.hear(Input::LoggedOut {
        session: 1,
        result: Ok(vec![]),
    });
    assert!(matches!(
        bench.day.state().stage,
        Stage::SignedOut { error: None }
    ));
}

#[test]
fn a_session_that_the_server_ended_is_over_and_its_reason_is_shown() {
    let mut bench = Bench::signed_in();
    bench.link(LinkEvent::SessionEnded {
        reason: "takeover".to_owned(),
        message: "In use elsewhere.".to_owned(),
    });
    assert_eq!(bench.effects(), ["Phone::Unregister"]);
    bench.phone(PhoneEvent::Unregistered);
    assert_eq!(
        bench.effects(),
        ["Forget"],
        "no logout of a session that is over"
    );
    let Stage::SignedOut { error: Some(error) } = bench.day.state().stage else {
        panic!("{:?}", bench.day.state().stage);
    };
    assert_eq!(
        (error.code.as_str(), error.message.as_str()),
        ("session_takeover", "In use elsewhere.")
    );
}

#[test]
fn what_a_former_session_still_says_changes_nothing() {
    let mut bench = Bench::signed_in();
    bench.ask(Command::SignOut(When::AfterCalls));
    bench.phone(PhoneEvent::Unregistered);
    bench.hear(Input::LoggedOut {
        session: 1,
        result: Ok(vec![]),
    });
    bench.link(LinkEvent::Connected);
    bench.link(LinkEvent::Snapshot(snapshot()));
    bench.phone(registered(CONTACT));
    let state = bench.day.state();
    assert_eq!(state.stage, Stage::SignedOut { error: None });
    assert!(state.board.agents.is_empty());
    assert_eq!(state.contact, None);
}

#[test]
fn a_program_that_ends_is_done_within_four_seconds_whatever_does_not_answer() {
    let unauthorised = |bench: &mut Bench| {
        bench.hear(Input::LoggedOut {
            session: 1,
            result: Err(failure(FailureKind::Unauthorised, "invalid_token")),
        });
        bench.pass(Duration::from_secs(1)).hear(Input::Refreshed {
            session: 1,
            result: Ok(u64::MAX),
        });
    };
    let silent = |_: &mut Bench| {};
    for server in [&unauthorised as &dyn Fn(&mut Bench), &silent] {
        let mut bench = Bench::signed_in();
        let id = bench.ask(Command::SignOut(When::Now));
        bench.pass(Duration::from_millis(1_500));
        let begun = bench.elapsed;
        server(&mut bench);
        bench.pass(Duration::from_millis(2_500) - (bench.elapsed - begun));
        let answer = bench.answer_to(id).unwrap().unwrap().unwrap();
        assert_eq!(answer.pending, ["phone", "server"]);
    }
}

#[test]
fn a_program_that_ends_hurries_a_sign_out_that_is_under_way() {
    let mut bench = Bench::signed_in();
    bench.ask(Command::SignOut(When::AfterCalls));
    bench.phone(PhoneEvent::Unregistered);
    let id = bench.ask(Command::SignOut(When::Now));
    bench.pass(Duration::from_millis(2_500));
    let answer = bench.answer_to(id).unwrap().unwrap().unwrap();
    assert_eq!(answer.pending, ["server"]);
}

#[test]
fn a_program_that_ends_hangs_up_each_call_once() {
    let (mut bench, _) = Bench::talking();
    bench.ask(Command::SignOut(When::AfterCalls));
    bench.ask(Command::SignOut(When::Now));
    bench.phone(PhoneEvent::Unregistered);
    bench.pass(Duration::from_millis(2_500));
    let hang_ups = bench.effects();
    let hang_ups = hang_ups.iter().filter(|e| *e == "Phone::Hangup");
    assert_eq!(hang_ups.count(), 1);
}
