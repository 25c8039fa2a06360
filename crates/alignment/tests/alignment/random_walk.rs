//! Whatever happens, in whatever order, the core never says what it may not say.

use std::time::Duration;

use proptest::prelude::*;
use proptest::test_runner::RngSeed;
use rollcall_alignment::*;

use crate::house::*;

/// One step of the world.
#[derive(Debug, Clone, Copy)]
enum Step {
    SignIn(u8),
    Online(u8),
    Logout(u8),
    LinkOpened(u8),
    LinkClosed(u8),
    Heartbeat(u8, bool),
    Register(u8),
    Qualify(u8, bool),
    Unregister(u8),
    Forget(u8),
    Repeat(u8),
    Device(u8, u8),
    Call(u8),
    HangUp(u8),
    Pause(u8, bool),
    Queue(u8, bool),
    AmiLost,
    AmiUp,
    Commit,
    Fail,
    Pass(u16),
}

fn step() -> impl Strategy<Value = Step> {
    let who = 0..3u8;
    prop_oneof![
        3 => who.clone().prop_map(Step::SignIn),
        4 => who.clone().prop_map(Step::Online),
        1 => who.clone().prop_map(Step::Logout),
        3 => who.clone().prop_map(Step::LinkOpened),
        1 => who.clone().prop_map(Step::LinkClosed),
        6 => (who.clone(), prop::bool::weighted(0.9)).prop_map(|(who, ok)| Step::Heartbeat(who, ok)),
        4 => who.clone().prop_map(Step::Register),
        5 => (who.clone(), prop::bool::weighted(0.8)).prop_map(|(who, ok)| Step::Qualify(who, ok)),
        1 => who.clone().prop_map(Step::Unregister),
        1 => who.clone().prop_map(Step::Forget),
        2 => who.clone().prop_map(Step::Repeat),
        2 => (who.clone(), 0..9u8).prop_map(|(who, state)| Step::Device(who, state)),
        1 => who.clone().prop_map(Step::Call),
        2 => who.clone().prop_map(Step::HangUp),
        2 => (who.clone(), any::<bool>()).prop_map(|(who, pause)| Step::Pause(who, pause)),
        1 => (who, any::<bool>()).prop_map(|(who, paused)| Step::Queue(who, paused)),
        1 => Just(Step::AmiLost),
        3 => Just(Step::AmiUp),
        12 => Just(Step::Commit),
        1 => Just(Step::Fail),
        6 => (0..8_000u16).prop_map(Step::Pass),
    ]
}

/// Two agents; the third "who" is a second device of the first.
fn names(who: u8) -> (&'static str, &'static str, &'static str) {
    match who {
        0 => ("1001", "s0", "d0"),
        1 => ("1002", "s1", "d1"),
        _ => ("1001", "s2", "d2"),
    }
}

fn contact_of(who: u8) -> ContactId {
    let (agent, name, _) = names(who);
    ContactId::of(&ext(agent), &format!("sip:{agent}-{name}@192.0.2.7:41234"))
}

fn take(house: &mut House, step: Step) {
    const STATES: [DeviceState; 9] = [
        DeviceState::NotInUse,
        DeviceState::InUse,
        DeviceState::Busy,
        DeviceState::Ringing,
        DeviceState::RingInUse,
        DeviceState::OnHold,
        DeviceState::Unavailable,
        DeviceState::Invalid,
        DeviceState::Unknown,
    ];
    match step {
        Step::SignIn(who) => {
            let (agent, name, on) = names(who);
            house.sign_in(agent, name, on);
        }
        Step::Online(who) => {
            let (agent, name, _) = names(who);
            house.online(agent, name, &format!("sip:{agent}-{name}@10.0.0.9"));
        }
        Step::Logout(who) => drop(house.logout(names(who).1)),
        Step::LinkOpened(who) => house.link_opens(names(who).1),
        Step::LinkClosed(who) => house.link_closes(names(who).1),
        Step::Heartbeat(who, ok) => {
            house.heartbeat_with(
                names(who).1,
                Vitals {
                    microphone_ok: ok,
                    ..good_vitals()
                },
            );
        }
        Step::Register(who) => {
            let (agent, name, on) = names(who);
            house.register(agent, &format!("{agent}-{name}"), Some(on));
        }
        Step::Qualify(who, ok) if house.contacts.contains_key(&contact_of(who)) => {
            let status = if ok {
                ContactStatus::Reachable
            } else {
                ContactStatus::Unreachable
            };
            house.qualified(&contact_of(who), status);
        }
        Step::Unregister(who) if house.contacts.contains_key(&contact_of(who)) => {
            house.unregister(&contact_of(who));
        }
        // Deleted by somebody else: no event.
        Step::Forget(who) => drop(house.contacts.remove(&contact_of(who))),
        // An event once more, late.
        Step::Repeat(who) => {
            let (agent, name, _) = names(who);
            let uri = format!("sip:{agent}-{name}@192.0.2.7:41234");
            house.contact_event(agent, &uri, ContactStatus::Reachable);
        }
        Step::Device(who, state) => house.set_device(names(who).0, STATES[usize::from(state)]),
        Step::Call(who) => house.channel(names(who).0, names(who).1, ChannelState::Up),
        Step::HangUp(who) => {
            house.channels.remove(names(who).1);
            house.see(Observation::Hangup {
                unique_id: names(who).1.to_owned(),
            });
        }
        Step::Pause(who, pause) => {
            let (agent, name, _) = names(who);
            house.pause(agent, pause.then_some("lunch"), name);
        }
        // Somebody pauses it in Asterisk, or ends that.
        Step::Queue(who, paused) => house.queue(names(who).0, paused.then_some("meeting")),
        Step::AmiLost => house.ami_lost(),
        Step::AmiUp if !house.ami => house.ami_up(),
        Step::Commit => house.commit_all(),
        Step::Fail => house.fail_all(Failure::Unavailable),
        Step::Pass(ms) => house.pass(Duration::from_millis(u64::from(ms))),
        Step::Qualify(..) | Step::Unregister(_) | Step::AmiUp => {}
    }
}

/// R1 as the outside can check it: what an Available row must be able to show.
fn available_is_proved(view: &AgentView, house: &House) -> Result<(), TestCaseError> {
    prop_assert!(house.ami, "Available without AMI");
    prop_assert!(view.reasons.is_empty());
    let paused = view
        .pause
        .as_ref()
        .is_some_and(|pause| pause.reason.is_some());
    prop_assert!(!paused, "Available, and a pause is wanted: {view:?}");
    let proved = view.devices.iter().any(|device| {
        device.lease == LeaseView::Live
            && device.contact_status == Some(ContactStatus::Reachable)
            && device
                .expires_unix
                .is_some_and(|expires| expires >= house.now.unix_seconds())
            && device.reasons.is_empty()
    });
    prop_assert!(proved, "Available without R1: {view:?}");
    Ok(())
}

proptest! {
    #![proptest_config(ProptestConfig {
        cases: 400,
        rng_seed: RngSeed::Fixed(6),
        failure_persistence: None,
        ..ProptestConfig::default()
    })]

    #[test]
    fn nothing_is_said_that_is_not_proved_and_committed(steps in prop::collection::vec(step(), 1..160)) {
        let mut house = House::of(&["1001", "1002"]);
        house.commits = false;
        let mut seen = 0;
        for step in steps {
            let answered = house.replies.len();
            take(&mut house, step);
            for broadcast in &house.broadcasts[seen..] {
                let view = &broadcast.agent;
                if view.status == BoardStatus::Available {
                    available_is_proved(view, &house)?;
                }
            }
            seen = house.broadcasts.len();
            if house.replies.len() > answered {
                let newest = house.replies.values().next_back();
                if let Some(Answer::Pause(view)) = newest {
                    let wanted = view.pause.as_ref().and_then(|pause| pause.reason.clone());
                    let stored = house.pauses.get(&view.extension).map(|row| &row.wish);
                    prop_assert!(
                        wanted.is_none() || stored == wanted.map(PauseWish::Paused).as_ref(),
                        "a pause was acknowledged that is not in the table"
                    );
                }
                if let Some(Answer::LoggedOut(view)) = newest {
                    prop_assert!(house.sessions.values().any(|row| {
                        row.extension == view.extension && matches!(row.state, SessionState::Ended(_))
                    }), "a logout was acknowledged that is not in the table");
                }
            }
        }
        at_rest(&mut house)?;
    }
}

/// When nothing more happens, board, table and Asterisk agree.
fn at_rest(house: &mut House) -> Result<(), TestCaseError> {
    house.commits = true;
    house.commit_all();
    if !house.ami {
        house.ami_up();
    }
    house.pass_seconds(150);
    house.commit_all();
    for agent in ["1001", "1002"] {
        let view = house.view(agent);
        prop_assert_ne!(view.status, BoardStatus::Unknown, "{:?}", view);
        prop_assert_eq!(house.user(agent), (view.online, view.sip_registered));
        let of_agent = |member: &&Membership| member.endpoint.as_str() == agent;
        let stored = house.pauses.get(&ext(agent)).map(|row| &row.wish);
        if let Some(PauseWish::Paused(reason)) = stored {
            let mut members = house.members.values().filter(of_agent);
            prop_assert!(
                members.all(|member| member.paused && member.reason == reason.as_str()),
                "a queue does not keep the pause: {:?}",
                view
            );
        } else {
            prop_assert_eq!(stored, None, "a pause's end is still wanted: {:?}", view);
        }
        let registered: Vec<_> = house
            .contacts
            .values()
            .filter(|contact| contact.endpoint.as_str() == agent)
            .collect();
        let rows: Vec<_> = house
            .rows
            .values()
            .filter(|row| row.endpoint.as_str() == agent)
            .collect();
        for contact in &registered {
            prop_assert!(
                rows.iter().any(|row| row.id == contact.id),
                "not in the table: {contact:?}"
            );
        }
        for row in rows {
            let listed = registered.iter().find(|contact| contact.id == row.id);
            let agrees = listed.map_or(ContactStatus::Expired, |contact| contact.status);
            prop_assert!(
                row.status == agrees || row.status == ContactStatus::Expired,
                "{row:?}"
            );
        }
    }
    Ok(())
}
