//! Calls.

use rollcall_wire::{board::Reason, ui::Transfer};

use super::*;

#[test]
fn a_call_out_is_seen_from_dialling_to_a_few_seconds_after_its_end() {
    let (mut bench, call) = Bench::talking();
    let view = bench.day.state().calls.remove(0);
    assert_eq!(
        (view.direction, view.state, view.peer.as_str()),
        (Direction::Out, CallState::Active, "600")
    );
    assert!(view.answered_at.is_some() && view.codec.is_some());
    bench.phone(ended(call));
    let view = bench.day.state().calls.remove(0);
    assert_eq!(
        (view.state, view.ended.as_deref()),
        (CallState::Ended, Some("They hung up."))
    );
    bench.pass(Duration::from_secs(4));
    assert!(bench.day.state().calls.is_empty());
}

#[test]
fn a_call_in_shows_who_calls_and_can_be_answered_or_declined_while_it_rings() {
    let mut bench = Bench::signed_in();
    let call = CallRef::fresh();
    bench.phone(PhoneEvent::Incoming {
        call,
        from_display: "Agent 1002".to_owned(),
        from_uri: "sip:1002@127.0.0.1".to_owned(),
    });
    let view = bench.day.state().calls.remove(0);
    assert_eq!(
        (view.peer.as_str(), view.peer_name.as_deref(), view.state),
        ("1002", Some("Agent 1002"), CallState::Ringing)
    );
    let id = bench.ask(Command::Answer(view.id));
    assert!(bench.answer_to(id).unwrap().is_ok());
    assert_eq!(bench.effects(), ["Phone::Answer"]);
    let codec = Codec::DEFAULT[0];
    bench.phone(PhoneEvent::Answered { call, codec });
    let id = bench.ask(Command::Decline(view.id));
    assert_eq!(
        bench.answer_to(id).unwrap().unwrap_err().code,
        "no_such_call"
    );
}

#[test]
fn a_second_call_is_not_mixed_into_the_first() {
    let (mut bench, _) = Bench::talking();
    let id = bench.ask(Command::Dial {
        target: "1002".to_owned(),
    });
    assert_eq!(
        bench.answer_to(id).unwrap().unwrap_err().code,
        "call_in_progress"
    );
    bench.phone(PhoneEvent::Incoming {
        call: CallRef::fresh(),
        from_display: String::new(),
        from_uri: "sip:1002@x".to_owned(),
    });
    assert_eq!(bench.effects(), ["Phone::Decline"]);
    assert_eq!(bench.day.state().calls.len(), 1);
}

#[test]
fn a_mute_ends_with_its_call() {
    let (mut bench, call) = Bench::talking();
    bench.ask(Command::SetMuted(true));
    assert!(bench.day.state().muted);
    bench.effects();
    bench.phone(ended(call));
    assert!(!bench.day.state().muted);
    assert_eq!(bench.effects(), ["Phone::SetMuted"]);
}

#[test]
fn who_speaks_while_muted_is_told_for_a_while_and_no_longer_than_the_mute() {
    let (mut bench, call) = Bench::talking();
    bench.phone(PhoneEvent::SpeakingMuted);
    assert!(!bench.day.state().speaking_muted, "said before a change");
    bench.ask(Command::SetMuted(true));
    bench.phone(PhoneEvent::SpeakingMuted);
    assert!(bench.day.state().speaking_muted);
    bench.pass(Duration::from_secs(7));
    assert!(!bench.day.state().speaking_muted, "for a while");
    assert!(bench.day.state().muted);
    bench.phone(PhoneEvent::SpeakingMuted);
    bench.ask(Command::SetMuted(false));
    assert!(!bench.day.state().speaking_muted);
    bench.ask(Command::SetMuted(true));
    bench.phone(PhoneEvent::SpeakingMuted);
    bench.phone(ended(call));
    assert!(!bench.day.state().speaking_muted);
}

#[test]
fn the_levels_of_a_call_are_shown_in_steps_while_it_is_talked_on() {
    let (mut bench, call) = Bench::talking();
    let loud = |microphone, speaker| PhoneEvent::Levels {
        microphone,
        speaker,
    };
    for (dbfs, step) in [
        (None, 0),
        (Some(-90.0), 0),
        (Some(-54.0), 1),
        (Some(-30.1), 4),
        (Some(-12.0), 8),
        (Some(0.0), 8),
    ] {
        bench.phone(loud(dbfs, None));
        let levels = bench.day.state().levels.unwrap();
        assert_eq!((levels.microphone, levels.speaker), (step, 0), "{dbfs:?}");
        bench.phone(loud(None, dbfs));
        let levels = bench.day.state().levels.unwrap();
        assert_eq!((levels.microphone, levels.speaker), (0, step), "{dbfs:?}");
    }
    bench.phone(ended(call));
    assert_eq!(bench.day.state().levels, None);
}

#[test]
fn a_number_that_is_none_is_not_dialled() {
    let mut bench = Bench::signed_in();
    let id = bench.ask(Command::Dial {
        target: "6\r\n00".to_owned(),
    });
    let error = bench.answer_to(id).unwrap().unwrap_err();
    assert_eq!(error.field.as_deref(), Some("target"));
    let why = rollcall_phone::Target::parse("6\r\n00").unwrap_err();
    assert_eq!(
        error.message,
        format!("{why}."),
        "the phone's words, and nobody else's"
    );
    assert!(bench.effects().is_empty());
}

#[test]
fn a_call_that_is_handed_on_ends_with_whom_it_went_to() {
    let (mut bench, call) = Bench::talking();
    let view = bench.day.state().calls.remove(0);
    let id = bench.ask(Command::Transfer {
        call: view.id,
        target: "1002".to_owned(),
    });
    assert!(bench.answer_to(id).unwrap().is_ok());
    assert_eq!(bench.effects(), ["Phone::Transfer"]);
    let transfer = |bench: &Bench| bench.day.state().calls.remove(0).transfer;
    let under_way = Transfer {
        to: "1002".to_owned(),
        failed: None,
    };
    assert_eq!(transfer(&bench), Some(under_way.clone()));

    // While it is on its way it is not sent on once more.
    let id = bench.ask(Command::Transfer {
        call: view.id,
        target: "1003".to_owned(),
    });
    let refused = bench.answer_to(id).unwrap().unwrap_err();
    assert_eq!(refused.code, "being_transferred");

    bench.phone(transferred(call, 202, false));
    assert_eq!(transfer(&bench), Some(under_way));
    bench.phone(transferred(call, 200, true));
    bench.phone(ended(call));
    let view = bench.day.state().calls.remove(0);
    assert_eq!(
        (view.state, view.ended.as_deref()),
        (CallState::Ended, Some("Transferred to 1002."))
    );
}

#[test]
fn a_call_whose_transfer_fails_goes_on_and_says_why() {
    let (mut bench, call) = Bench::talking();
    let view = bench.day.state().calls.remove(0);
    for (code, why) in [
        (486, "The other side is busy."),
        (500, "The call was refused (SIP 500)."),
    ] {
        bench.ask(Command::Transfer {
            call: view.id,
            target: "1002".to_owned(),
        });
        bench.phone(transferred(call, code, true));
        let view = bench.day.state().calls.remove(0);
        let failed = view.transfer.and_then(|transfer| transfer.failed);
        assert_eq!(
            (view.state, failed.as_deref()),
            (CallState::Active, Some(why))
        );
    }
    bench.phone(ended(call));
    let view = bench.day.state().calls.remove(0);
    assert_eq!(view.ended.as_deref(), Some("They hung up."));
}

#[test]
fn only_a_call_that_is_talked_on_is_handed_on_and_only_to_a_number() {
    let (mut bench, call) = Bench::talking();
    let view = bench.day.state().calls.remove(0);
    let refused = |bench: &mut Bench, call: u32, target: &str| {
        let id = bench.ask(Command::Transfer {
            call,
            target: target.to_owned(),
        });
        bench.answer_to(id).unwrap().unwrap_err()
    };
    assert_eq!(refused(&mut bench, 99, "1002").code, "no_such_call");
    let nonsense = refused(&mut bench, view.id, "sip:");
    assert_eq!(nonsense.field.as_deref(), Some("target"));
    bench.phone(ended(call));
    assert_eq!(refused(&mut bench, view.id, "1002").code, "no_such_call");
    assert!(bench.effects().is_empty());
}

fn transferred(call: CallRef, code: u16, is_final: bool) -> PhoneEvent {
    PhoneEvent::Transfer {
        call,
        code,
        is_final,
    }
}

#[test]
fn r10_who_is_drained_turns_calls_away_until_the_server_takes_them_back() {
    let mut bench = Bench::signed_in();
    let mut rings = |reasons: &[&str]| {
        let mut board = snapshot();
        board.agents[0].reasons = reasons
            .iter()
            .map(|code| Reason {
                code: (*code).to_owned(),
                message: None,
                since: 0,
            })
            .collect();
        bench.link(LinkEvent::Connected);
        bench.link(LinkEvent::Snapshot(board));
        bench.seen.clear();
        let call = CallRef::fresh();
        bench.phone(PhoneEvent::Incoming {
            call,
            from_display: String::new(),
            from_uri: "sip:1002@x".to_owned(),
        });
        let turned_away = bench.effects() == ["Phone::TurnAway"];
        let shown = bench.day.state().calls.len();
        bench.phone(ended(call));
        bench.pass(Duration::from_secs(60));
        (turned_away, shown)
    };
    assert_eq!(rings(&["draining"]), (true, 0));
    assert_eq!(rings(&["no_audio_device"]), (true, 0));
    // What else keeps an agent from the queues does not keep colleagues from calling them.
    assert_eq!(rings(&["pause_asked"]), (false, 1));
    assert_eq!(rings(&[]), (false, 1));
}

#[test]
fn s03_a_computer_that_sleeps_has_no_phone_and_registers_when_it_wakes() {
    let mut bench = Bench::signed_in();
    bench.seen.clear();
    bench.ask(Command::Sleep);
    assert_eq!(bench.effects(), ["Phone::Unregister", "Answer(ok)"]);
    bench.phone(PhoneEvent::Unregistered);
    // Nobody is called into the dark, and what the server still asks for waits.
    bench.phone(PhoneEvent::Incoming {
        call: CallRef::fresh(),
        from_display: String::new(),
        from_uri: "sip:1002@x".to_owned(),
    });
    bench.link(LinkEvent::Reregister);
    assert_eq!(bench.effects(), ["Phone::TurnAway"]);

    bench.ask(Command::Wake);
    assert_eq!(bench.effects(), ["Register", "Answer(ok)"]);
    // Told once more, or without having slept, it does nothing.
    bench.ask(Command::Wake);
    assert_eq!(bench.effects(), ["Answer(ok)"]);
}
