//! Heartbeats and tokens.

use super::*;

#[test]
fn each_vitals_event_becomes_one_heartbeat_and_time_alone_becomes_none() {
    let mut bench = Bench::signed_in();
    bench.pass(Duration::from_secs(60));
    assert!(bench.effects().is_empty());
    bench.phone(vitals(7));
    let Some(Effect::Heartbeat(heartbeat)) = bench.seen.pop() else {
        panic!("no heartbeat");
    };
    assert_eq!(
        (heartbeat.device_id.as_str(), heartbeat.tick),
        ("device-0001", 7)
    );
    assert!(bench.effects().is_empty());
}

#[test]
fn what_the_loops_measured_is_what_the_server_is_told() {
    let stalled = Vitals {
        sip_loop_late: Duration::from_millis(1_204),
        audio_loop_age: Duration::from_millis(7_016),
        microphone_ok: false,
        speaker_ok: true,
        ..Vitals::default()
    };
    let told = heartbeat("device-0001".to_owned(), &stalled);
    assert_eq!(told.sip_loop_ms, 1_204);
    assert_eq!(told.audio_loop_ms, Some(7_016));
    assert!(!told.audio_ok);
}

#[test]
fn vitals_from_just_before_the_link_came_up_are_sent_once_and_old_ones_never() {
    let mut bench = Bench::signed_in();
    let lost = || LinkEvent::Lost {
        message: "reset".to_owned(),
    };
    bench.link(lost()).phone(vitals(7));
    assert!(bench.effects().is_empty());
    bench.link(LinkEvent::Connected);
    assert!(bench.effects().contains(&"Heartbeat".to_owned()));

    bench.link(lost()).phone(vitals(8));
    bench
        .pass(Duration::from_secs(6))
        .link(LinkEvent::Connected);
    assert!(!bench.effects().contains(&"Heartbeat".to_owned()));
}

#[test]
fn the_token_is_renewed_before_it_ends() {
    let mut bench = Bench::signed_in();
    bench.pass(Duration::from_secs(2_879));
    assert!(bench.effects().is_empty());
    bench.pass(Duration::from_secs(1));
    assert_eq!(bench.effects(), ["Refresh"]);
    bench.hear(Input::Refreshed {
        session: 1,
        result: Ok(7_200_000),
    });
    bench.pass(Duration::from_secs(3_000));
    assert!(bench.effects().is_empty());
}

#[test]
fn a_refresh_that_did_not_get_through_is_tried_again_and_said() {
    let mut bench = Bench::signed_in();
    bench.pass(Duration::from_secs(2_880));
    bench.effects();
    bench.hear(Input::Refreshed {
        session: 1,
        result: Err(failure(FailureKind::Retry, "server_unreachable")),
    });
    assert_eq!(codes(&bench), ["session_not_renewed"]);
    bench.pass(Duration::from_secs(2));
    assert_eq!(bench.effects(), ["Refresh"]);
}

#[test]
fn an_unauthorised_agent_online_gets_a_new_token_and_is_asked_again() {
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
        result: Err(failure(FailureKind::Unauthorised, "unauthorised")),
    });
    assert!(bench.effects().contains(&"Refresh".to_owned()));
    bench.hear(Input::Refreshed {
        session: 1,
        result: Ok(7_200_000),
    });
    assert_eq!(bench.effects(), ["AgentOnline"]);
}

#[test]
fn a_token_that_ends_during_a_call_ends_the_day_after_the_call() {
    let (mut bench, call) = Bench::talking();
    bench.link(LinkEvent::Unauthorised);
    assert_eq!(bench.effects(), ["Refresh"]);
    bench.hear(Input::Refreshed {
        session: 1,
        result: Err(failure(FailureKind::Unauthorised, "unauthorised")),
    });
    assert!(bench.effects().is_empty(), "the call goes on");
    assert_eq!(codes(&bench), ["session_expired"]);
    bench.phone(ended(call));
    assert_eq!(bench.effects(), ["Phone::Unregister"]);
    bench.phone(PhoneEvent::Unregistered);
    assert_eq!(bench.effects(), ["Forget"]);
    let Stage::SignedOut { error: Some(error) } = bench.day.state().stage else {
        panic!("{:?}", bench.day.state().stage);
    };
    assert_eq!(error.code, "session_expired");
}
