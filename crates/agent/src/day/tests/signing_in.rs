//! Signing in: the order, what goes wrong, giving up.

use super::*;

#[test]
fn a_sign_in_checks_the_password_then_listens_then_registers_then_tells_the_server() {
    let mut bench = Bench::new();
    assert_eq!(bench.begin().effects(), ["Login"]);
    assert_eq!(
        bench.day.state().stage,
        Stage::SigningIn {
            step: SignInStep::CheckingPassword
        }
    );
    assert_eq!(bench.password_right().effects(), ["OpenLink", "Register"]);
    bench.linked();
    assert_eq!(
        bench.day.state().stage,
        Stage::SigningIn {
            step: SignInStep::RegisteringPhone
        }
    );
    bench.phone(PhoneEvent::Registering);
    bench.phone(registered(CONTACT));
    assert_eq!(
        bench.day.state().stage,
        Stage::SigningIn {
            step: SignInStep::TellingServer
        }
    );
    let asked = bench.seen.pop();
    let Some(Effect::AgentOnline {
        claim,
        extension,
        contact_uri,
        ..
    }) = asked
    else {
        panic!("{asked:?}");
    };
    assert_eq!(
        (extension.as_str(), contact_uri.as_str()),
        ("1001", CONTACT)
    );
    bench.hear(Input::Claimed {
        claim,
        result: Ok(()),
    });
    assert_eq!(bench.effects(), ["Answer(ok)"]);
    let state = bench.day.state();
    assert_eq!((state.stage, state.claim), (Stage::SignedIn, Claim::Told));
}

#[test]
fn the_server_is_told_once_the_board_has_come_and_so_the_lease_lives() {
    let mut bench = Bench::new();
    bench.begin().password_right().link(LinkEvent::Connected);
    bench.phone(registered(CONTACT)).seen.clear();
    assert_eq!(bench.day.state().claim, Claim::Telling);
    // A refresh of the registration meanwhile is no reason to begin anew.
    bench.phone(registered(CONTACT));
    assert!(bench.effects().is_empty());
    bench.link(LinkEvent::Snapshot(snapshot()));
    assert_eq!(bench.effects(), ["AgentOnline"]);
}

#[test]
fn heartbeats_flow_while_the_phone_still_registers() {
    let mut bench = Bench::new();
    bench.begin().password_right().linked();
    bench.effects();
    bench.phone(vitals(1));
    assert_eq!(bench.effects(), ["Heartbeat"]);
    assert!(matches!(bench.day.state().stage, Stage::SigningIn { .. }));
}

#[test]
fn a_link_that_fails_or_stays_silent_at_sign_in_keeps_the_server_from_being_told_no_longer() {
    let fails = |bench: &mut Bench| {
        let message = "refused".to_owned();
        bench.link(LinkEvent::Lost { message });
    };
    let is_silent = |bench: &mut Bench| {
        bench.pass(Patience::default().link);
    };
    for trouble in [&fails as &dyn Fn(&mut Bench), &is_silent] {
        let mut bench = Bench::new();
        bench.begin().password_right().phone(registered(CONTACT));
        assert_eq!(bench.effects(), ["Login", "OpenLink", "Register"]);
        trouble(&mut bench);
        let claim = bench.claim();
        assert_eq!(bench.effects(), ["AgentOnline"]);
        assert!(codes(&bench).is_empty(), "said once somebody is signed in");
        bench.hear(Input::Claimed {
            claim,
            result: Ok(()),
        });
        assert_eq!(bench.day.state().stage, Stage::SignedIn);
    }
}

#[test]
fn a_link_that_had_failed_before_the_registration_is_not_waited_for() {
    let mut bench = Bench::new();
    bench.begin().password_right();
    bench.link(LinkEvent::Unauthorised);
    bench.effects();
    bench.phone(registered(CONTACT));
    assert_eq!(bench.effects(), ["AgentOnline"]);
}

#[test]
fn a_wrong_password_ends_the_sign_in_with_the_servers_words() {
    let mut bench = Bench::new();
    bench.begin();
    let result = Err(failure(FailureKind::Refused, "wrong_password"));
    bench.hear(Input::LoggedIn { session: 1, result });
    assert_eq!(
        bench.effects(),
        ["Login", "Forget", "Answer(wrong_password)"]
    );
    let Stage::SignedOut { error: Some(error) } = bench.day.state().stage else {
        panic!("{:?}", bench.day.state().stage);
    };
    assert_eq!(error.code, "wrong_password");
}

#[test]
fn an_address_that_is_none_is_refused_before_anything_is_sent() {
    for server in ["", "127.0.0.1:8080", "ftp://x", "http://"] {
        let mut bench = Bench::new();
        let id = bench.ask(Command::SignIn {
            server: server.to_owned(),
            username: "1001".to_owned(),
        });
        let error = bench.answer_to(id).unwrap().unwrap_err();
        assert_eq!(error.field.as_deref(), Some("server"), "{server:?}");
        assert!(bench.effects().is_empty());
    }
}

#[test]
fn a_registrar_that_is_away_leaves_the_person_signed_in_with_the_reason_and_tells_the_server_nothing()
 {
    let mut bench = Bench::new();
    bench.begin().password_right();
    bench.phone(registration_failed(FailureCode::RegistrarUnreachable));
    assert_eq!(
        bench.effects(),
        ["Login", "OpenLink", "Register", "Answer(ok)"]
    );
    let state = bench.day.state();
    assert_eq!((state.stage, state.claim), (Stage::SignedIn, Claim::None));
    assert_eq!(codes(&bench), ["registrar_unreachable"]);
}

#[test]
fn a_registration_that_comes_late_is_claimed_then() {
    let mut bench = Bench::new();
    bench.begin().password_right().linked();
    bench.pass(Duration::from_secs(8));
    assert_eq!(bench.day.state().stage, Stage::SignedIn);
    bench.effects();
    bench.phone(registered(CONTACT));
    assert_eq!(bench.effects(), ["AgentOnline"]);
    assert_eq!(bench.day.state().stage, Stage::SignedIn);
}

#[test]
fn people_without_an_extension_get_the_board_and_nothing_of_a_phone() {
    let mut bench = Bench::new();
    bench.begin();
    bench.hear(Input::LoggedIn {
        session: 1,
        result: Ok(account(None, Role::Supervisor)),
    });
    assert_eq!(bench.effects(), ["Login", "OpenLink", "Answer(ok)"]);
    bench.link(LinkEvent::Connected).phone(vitals(1));
    assert!(bench.effects().is_empty(), "no heartbeat without a phone");
    let id = bench.ask(Command::Dial {
        target: "600".to_owned(),
    });
    assert_eq!(
        bench.answer_to(id).unwrap().unwrap_err().code,
        "not_registered"
    );
    bench.ask(Command::SignOut(When::AfterCalls));
    assert_eq!(bench.effects(), ["AgentLogout"]);
}

#[test]
fn a_sign_in_that_was_cancelled_ends_the_session_the_server_may_have_opened() {
    let mut bench = Bench::new();
    bench.begin();
    bench.ask(Command::CancelSignIn);
    assert_eq!(
        bench.effects(),
        ["Login", "Answer(cancelled)", "Answer(ok)"]
    );
    bench.password_right();
    assert_eq!(bench.effects(), ["AgentLogout", "Forget"]);
    assert_eq!(bench.day.state().stage, Stage::SignedOut { error: None });
}

#[test]
fn a_sign_in_cancelled_while_the_phone_registers_leaves_registrar_and_server() {
    let mut bench = Bench::new();
    bench.begin().password_right();
    bench.seen.clear();
    bench.ask(Command::CancelSignIn);
    assert_eq!(
        bench.effects(),
        [
            "Answer(cancelled)",
            "Answer(ok)",
            "Phone::Unregister",
            "AgentLogout"
        ]
    );
}

#[test]
fn a_second_sign_in_is_refused() {
    let mut bench = Bench::signed_in();
    let id = bench.ask(Command::SignIn {
        server: "http://x".to_owned(),
        username: "1002".to_owned(),
    });
    assert_eq!(
        bench.answer_to(id).unwrap().unwrap_err().code,
        "already_signed_in"
    );
}

#[test]
fn an_account_for_a_transport_that_the_phone_does_not_speak_is_refused_with_a_next_step_and_never_registered()
 {
    for transport in ["sctp", "dtls", ""] {
        let mut bench = told_of(transport);
        assert_eq!(bench.effects(), ["Login", "OpenLink", "Answer(ok)"]);
        let PhoneState::Failed { error } = bench.day.state().phone else {
            panic!("{:?}", bench.day.state().phone);
        };
        assert_eq!(error.code, "unsupported_transport");
        assert!(error.message.contains(transport) && error.next.is_some());
        assert_eq!(codes(&bench), ["unsupported_transport"]);
        bench.link(LinkEvent::Reregister);
        assert!(bench.effects().is_empty());
    }
}

#[test]
fn an_account_for_any_transport_that_the_phone_speaks_is_registered() {
    for transport in ["udp", "tcp", "TLS", "ws", "wss"] {
        let mut bench = told_of(transport);
        assert_eq!(
            bench.effects(),
            ["Login", "OpenLink", "Register"],
            "{transport}"
        );
    }
}

/// A sign-in whose account names a SIP transport.
fn told_of(transport: &str) -> Bench {
    let mut bench = Bench::new();
    bench.begin();
    let account = Account {
        transport: Some(transport.to_owned()),
        ..account(Some("1001"), Role::Agent)
    };
    bench.hear(Input::LoggedIn {
        session: 1,
        result: Ok(account),
    });
    bench
}

fn resuming() -> (Bench, CommandId) {
    let mut bench = Bench::new();
    let id = bench.ask(Command::Resume {
        server: "http://127.0.0.1:1".to_owned(),
        username: "1001".to_owned(),
    });
    assert_eq!(bench.effects(), ["Resume"]);
    let step = SignInStep::Resuming;
    assert_eq!(bench.day.state().stage, Stage::SigningIn { step });
    (bench, id)
}

#[test]
fn a_kept_session_that_is_renewed_goes_on_as_a_login_does() {
    let (mut bench, id) = resuming();
    assert_eq!(bench.password_right().effects(), ["OpenLink", "Register"]);
    bench.linked().phone(registered(CONTACT));
    let claim = bench.claim();
    bench.hear(Input::Claimed {
        claim,
        result: Ok(()),
    });
    assert!(bench.answer_to(id).unwrap().is_ok());
    assert_eq!(bench.day.state().stage, Stage::SignedIn);
}

#[test]
fn a_kept_session_that_is_refused_is_forgotten_and_one_that_could_not_be_asked_about_is_not() {
    for (kind, effects, code) in [
        (
            FailureKind::Unauthorised,
            &["Forget", "ForgetKept", "Answer(session_expired)"][..],
            "session_expired",
        ),
        (
            FailureKind::Retry,
            &["Forget", "Answer(server_away)"],
            "server_away",
        ),
    ] {
        let (mut bench, _) = resuming();
        let result = Err(failure(kind, "server_away"));
        bench.hear(Input::LoggedIn { session: 1, result });
        assert_eq!(bench.effects(), effects);
        let Stage::SignedOut { error: Some(error) } = bench.day.state().stage else {
            panic!("{:?}", bench.day.state().stage);
        };
        assert_eq!(error.code, code);
    }
}

#[test]
fn a_resumption_can_be_cancelled() {
    let (mut bench, _) = resuming();
    bench.ask(Command::CancelSignIn);
    assert_eq!(bench.day.state().stage, Stage::SignedOut { error: None });
    bench.effects();
    bench.password_right();
    assert_eq!(bench.effects(), ["AgentLogout", "Forget"]);
}
