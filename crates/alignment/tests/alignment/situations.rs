//! The situations in which the views can disagree, each a test that reads like its row.

use std::time::Duration;

use rollcall_alignment::*;

use crate::house::*;

#[test]
fn s01_a_killed_app_is_unknown_at_once_and_app_lost_within_its_lease() {
    let mut house = House::of(&["1001"]);
    house.log_in("1001", "s1", "d1");
    house.link_closes("s1");
    assert_eq!(house.status("1001"), BoardStatus::Unknown);
    assert_eq!(house.reasons("1001"), ["app_link_lost"]);
    house.pass_seconds(15);
    assert_eq!(house.status("1001"), BoardStatus::NotAvailable);
    assert_eq!(house.reasons("1001"), ["app_lost"]);
}

#[test]
fn s01_its_contact_is_evicted_only_when_it_stops_answering_too() {
    let mut house = House::of(&["1001"]);
    let id = house.log_in("1001", "s1", "d1");
    house.link_closes("s1");
    house.pass_seconds(30);
    assert!(house.evictions().is_empty());
    house.qualified(&id, ContactStatus::Unreachable);
    house.pass_seconds(8);
    assert_eq!(house.evictions(), [(id.clone(), EvictReason::AppLost)]);
    assert_eq!(
        house.row_statuses("1001"),
        ["Expired"],
        "over for us, whatever lists still name"
    );
    house.unregister(&id);
    assert_eq!(house.status("1001"), BoardStatus::Offline);
    assert_eq!(house.reasons("1001"), ["app_lost"]);
    assert_eq!(house.user("1001"), (false, false));
}

#[test]
fn s01_an_app_that_comes_back_to_an_evicted_contact_is_green_only_once_it_registered_anew() {
    let mut house = House::of(&["1001"]);
    let id = house.log_in("1001", "s1", "d1");
    house.link_closes("s1");
    house.qualified(&id, ContactStatus::Unreachable);
    house.pass_seconds(30);
    assert_eq!(house.evictions().len(), 1);
    // A slow eviction (F6) is not seen before the next check, and until then the phone answers OPTIONS.
    house.link_opens("s1");
    house.heartbeat("s1");
    house.qualified(&id, ContactStatus::Reachable);
    assert_eq!(house.status("1001"), BoardStatus::NotAvailable);
    assert_eq!(house.reasons("1001"), ["contact_expired"]);
    house.live(&["s1"], 5);
    let nudged = |ask: &Ask| matches!(ask, Ask::Reregister { .. });
    assert!(house.asks.iter().any(nudged), "{:?}", house.asks);
    // A refresh raises no event (F8): the next list shows it.
    house.contacts.get_mut(&id).unwrap().expires_unix += 60;
    house.live(&["s1"], 60);
    assert_eq!(house.status("1001"), BoardStatus::Available);
}

#[test]
fn s01_a_restarted_app_takes_its_devices_place_and_its_old_contact_goes() {
    let mut house = House::of(&["1001"]);
    let old = house.log_in("1001", "s1", "d1");
    house.link_closes("s1");
    house.pass_seconds(20);
    house.qualified(&old, ContactStatus::Unreachable);
    house.log_in("1001", "s2", "d1");
    assert_eq!(
        house.sessions[&session("s1")].state,
        SessionState::Ended(EndReason::Superseded)
    );
    house.pass_seconds(3);
    assert!(
        house
            .evictions()
            .contains(&(old.clone(), EvictReason::Superseded))
    );
    house.unregister(&old);
    house.set_device("1001", DeviceState::NotInUse);
    assert_eq!(house.row_statuses("1001"), ["Reachable"]);
}

#[test]
fn s02_a_hung_app_loses_its_lease_though_its_connection_stands() {
    let mut house = House::of(&["1001"]);
    house.log_in("1001", "s1", "d1");
    house.pass(Duration::from_millis(14_900));
    assert_eq!(house.status("1001"), BoardStatus::Available);
    house.pass(Duration::from_millis(200));
    assert_eq!(house.status("1001"), BoardStatus::NotAvailable);
    assert_eq!(house.reasons("1001"), ["app_lost"]);
}

#[test]
fn s02_the_same_tick_again_is_no_sign_of_life() {
    let mut house = House::of(&["1001"]);
    house.log_in("1001", "s1", "d1");
    let frozen = Vitals {
        tick: 2,
        ..good_vitals()
    };
    for _ in 0..4 {
        house.see(Observation::Heartbeat {
            session: session("s1"),
            vitals: frozen,
        });
        house.pass_seconds(5);
    }
    assert_eq!(house.reasons("1001"), ["app_lost"]);
}

#[test]
fn s02_a_stalled_loop_is_named() {
    let mut house = House::of(&["1001"]);
    house.log_in("1001", "s1", "d1");
    house.heartbeat_with(
        "s1",
        Vitals {
            sip_loop_ok: false,
            ..good_vitals()
        },
    );
    assert_eq!(house.reasons("1001"), ["sip_loop_stalled"]);
    house.heartbeat_with(
        "s1",
        Vitals {
            audio_loop_ok: false,
            ..good_vitals()
        },
    );
    assert_eq!(house.reasons("1001"), ["audio_loop_stalled"]);
    house.heartbeat("s1");
    assert_eq!(house.status("1001"), BoardStatus::Available);
}

#[test]
fn s03_a_laptop_that_wakes_within_its_session_is_available_again_only_with_everything() {
    let mut house = House::of(&["1001"]);
    let id = house.log_in("1001", "s1", "d1");
    house.link_closes("s1");
    house.qualified(&id, ContactStatus::Unreachable);
    house.pass_seconds(600);
    house.unregister(&id);
    house.link_opens("s1");
    house.heartbeat("s1");
    assert_eq!(house.reasons("1001"), ["sip_down"]);
    let id = house.register("1001", "1001-s1", Some("d1"));
    house.pass_seconds(1);
    assert_eq!(house.reasons("1001"), ["not_qualified"]);
    house.qualified(&id, ContactStatus::Reachable);
    assert_eq!(house.status("1001"), BoardStatus::Available);
}

#[test]
fn s04_a_network_that_comes_back_within_the_lease_keeps_it() {
    let mut house = House::of(&["1001"]);
    house.log_in("1001", "s1", "d1");
    house.link_closes("s1");
    house.pass_seconds(8);
    assert_eq!(house.status("1001"), BoardStatus::Unknown);
    house.link_opens("s1");
    house.heartbeat("s1");
    assert_eq!(house.status("1001"), BoardStatus::Available);
}

#[test]
fn s04_the_end_of_a_connection_that_is_told_before_its_beginning_ends_it_all_the_same() {
    let told = |closed_first: bool| {
        let mut house = House::of(&["1001"]);
        house.log_in("1001", "s1", "d1");
        house.link_closes("s1");
        let (session, link) = (session("s1"), LinkId(77));
        let mut words = [
            Observation::LinkOpened {
                session: session.clone(),
                link,
            },
            Observation::LinkClosed { session, link },
        ];
        if closed_first {
            words.reverse();
        }
        for word in words {
            house.see(word);
        }
        assert_eq!(house.reasons("1001"), ["app_link_lost"]);
        house.pass_seconds(16);
        house.reasons("1001")
    };
    assert_eq!(told(false), ["app_lost"]);
    assert_eq!(told(true), ["app_lost"]);
}

#[test]
fn s04_a_new_connection_outlives_the_old_one_whose_end_comes_later_and_twice() {
    let mut house = House::of(&["1001"]);
    house.sign_in("1001", "s1", "d1");
    let (session, old, new) = (session("s1"), LinkId(70), LinkId(71));
    for link in [old, new] {
        let session = session.clone();
        house.see(Observation::LinkOpened { session, link });
    }
    for _ in 0..2 {
        let session = session.clone();
        house.see(Observation::LinkClosed { session, link: old });
    }
    let id = house.register("1001", "1001-s1", Some("d1"));
    house.qualified(&id, ContactStatus::Reachable);
    house.online("1001", "s1", "sip:1001-s1@10.0.0.9");
    house.pass_seconds(40);
    assert_eq!(house.status("1001"), BoardStatus::Available);
}

#[test]
fn s05_without_its_server_link_an_app_on_a_call_is_never_available_and_never_evicted() {
    let mut house = House::of(&["1001"]);
    house.log_in("1001", "s1", "d1");
    house.call_begins("1001");
    house.link_closes("s1");
    house.pass_seconds(60);
    assert_eq!(house.status("1001"), BoardStatus::OnCall);
    assert_eq!(house.reasons("1001"), ["app_lost", "on_call"]);
    house.call_ends("1001");
    assert_eq!(house.status("1001"), BoardStatus::NotAvailable);
    assert!(house.evictions().is_empty());
}

#[test]
fn s06_sip_down_with_the_server_link_up_is_never_green_and_the_app_is_nudged() {
    let mut house = House::of(&["1001"]);
    let id = house.log_in("1001", "s1", "d1");
    house.unregister(&id);
    assert_eq!(house.status("1001"), BoardStatus::NotAvailable);
    assert_eq!(house.reasons("1001"), ["sip_down"]);
    house.live(&["s1"], 5);
    assert!(house.asks.contains(&Ask::Reregister {
        session: session("s1")
    }));
}

#[test]
fn s06_an_app_that_says_it_is_not_registered_is_believed() {
    let mut house = House::of(&["1001"]);
    house.log_in("1001", "s1", "d1");
    house.pass_seconds(1);
    house.heartbeat_with(
        "s1",
        Vitals {
            registered: Some(false),
            ..good_vitals()
        },
    );
    assert_eq!(house.reasons("1001"), ["sip_down"]);
}

#[test]
fn s12_two_devices_have_a_lease_each_and_a_call_at_one_is_a_call() {
    let mut house = House::of(&["1001"]);
    house.log_in("1001", "s1", "d1");
    house.log_in("1001", "s2", "d2");
    assert_eq!(house.view("1001").devices.len(), 2);
    house.link_closes("s1");
    house.live(&["s2"], 20);
    assert_eq!(
        house.status("1001"),
        BoardStatus::Available,
        "by the second device"
    );
    house.call_begins("1001");
    assert_eq!(house.status("1001"), BoardStatus::OnCall);
    house.call_ends("1001");
    house.logout("s2");
    assert_eq!(house.status("1001"), BoardStatus::NotAvailable);
    assert_eq!(house.reasons("1001"), ["app_lost"]);
}

#[test]
fn s12_the_policies_single_and_takeover() {
    let with = |devices| {
        let config = Config {
            devices,
            ..Config::default()
        };
        let mut house = House::without_ami(&["1001"], config);
        house.ami_up();
        house.log_in("1001", "s1", "d1");
        house.sign_in("1001", "s2", "d2");
        let request = house.online("1001", "s2", "sip:1001-s2@10.0.0.9");
        let answer = house.answer(request).clone();
        (house, answer)
    };
    let (house, answer) = with(DevicePolicy::Single);
    assert_eq!(answer, Answer::Refused(Refusal::InUse));
    assert_eq!(house.status("1001"), BoardStatus::Available);
    let (house, answer) = with(DevicePolicy::Takeover);
    assert!(matches!(answer, Answer::Online(_)));
    assert_eq!(
        house.sessions[&session("s1")].state,
        SessionState::Ended(EndReason::TakenOver)
    );
}

#[test]
fn s14_a_token_that_ends_during_a_call_ends_the_session_after_it() {
    let mut house = House::of(&["1001"]);
    house.log_in("1001", "s1", "d1");
    house.call_begins("1001");
    house.see(Observation::SessionExpired(session("s1")));
    assert_eq!(house.status("1001"), BoardStatus::LoggingOut);
    house.call_ends("1001");
    assert_eq!(house.status("1001"), BoardStatus::Offline);
    assert_eq!(house.reasons("1001"), ["session_expired"]);
}

#[test]
fn s15_online_before_register_waits_for_its_own_contact_and_no_other() {
    let mut house = House::of(&["1001"]);
    house.sign_in("1001", "s1", "d1");
    house.link_opens("s1");
    house.online("1001", "s1", "sip:1001-d1-r1@10.0.0.9");
    house.heartbeat("s1");
    assert_eq!(house.reasons("1001"), ["registering"]);
    let desk = house.register("1001", "1001", None);
    house.qualified(&desk, ContactStatus::Reachable);
    house.pass_seconds(1);
    assert_eq!(
        house.reasons("1001"),
        ["registering"],
        "a desk phone's contact is not its own"
    );
    let own = house.register("1001", "1001-d1-r1", Some("d1"));
    house.qualified(&own, ContactStatus::Reachable);
    house.pass_seconds(1);
    assert_eq!(house.status("1001"), BoardStatus::Available);
}

#[test]
fn s15_a_contact_that_never_comes_is_login_incomplete() {
    let mut house = House::of(&["1001"]);
    house.sign_in("1001", "s1", "d1");
    house.link_opens("s1");
    house.online("1001", "s1", "sip:1001-d1-r1@10.0.0.9");
    house.live(&["s1"], 15);
    assert_eq!(house.reasons("1001"), ["registering"]);
    house.live(&["s1"], 10);
    assert_eq!(house.reasons("1001"), ["login_incomplete"]);
}

#[test]
fn s16_a_lease_that_begins_before_the_login_is_complete_shows_nobody_as_available_or_unverified() {
    let mut house = House::of(&["1001"]);
    house.sign_in("1001", "s1", "d1");
    house.link_opens("s1");
    house.heartbeat("s1");
    house.pass_seconds(1);
    assert_eq!(house.status("1001"), BoardStatus::Offline);
    assert_eq!(house.user("1001"), (false, false));
    let id = house.register("1001", "1001-s1", Some("d1"));
    house.qualified(&id, ContactStatus::Reachable);
    house.pass_seconds(1);
    assert_eq!(house.status("1001"), BoardStatus::NotAvailable);
    assert_eq!(house.reasons("1001"), ["unclaimed"]);
    house.online("1001", "s1", "sip:1001-s1@10.0.0.9:5060");
    assert_eq!(house.status("1001"), BoardStatus::Available);
}

#[test]
fn s16_register_before_online_is_unclaimed_and_adopted_by_its_device() {
    let mut house = House::of(&["1001"]);
    let id = house.register("1001", "1001-d1-r1", Some("d1"));
    house.qualified(&id, ContactStatus::Reachable);
    house.pass_seconds(1);
    assert_eq!(house.status("1001"), BoardStatus::Offline);
    assert_eq!(house.reasons("1001"), ["unclaimed", "never_logged_in"]);
    house.sign_in("1001", "s1", "d1");
    house.link_opens("s1");
    assert_eq!(house.status("1001"), BoardStatus::NotAvailable);
    assert_eq!(house.reasons("1001"), ["unclaimed"]);
    house.online("1001", "s1", "sip:1001-d1-r1@10.0.0.9");
    assert_eq!(house.status("1001"), BoardStatus::Available);
}

#[test]
fn s17_a_desk_phone_nobody_logged_in_with_is_unmanaged_and_left_alone() {
    let mut house = House::of(&["1001"]);
    let id = house.register("1001", "1001", None);
    house.qualified(&id, ContactStatus::Reachable);
    house.pass_seconds(60);
    let view = house.view("1001");
    assert_eq!(view.status, BoardStatus::Offline);
    assert!(
        view.reasons
            .iter()
            .any(|reason| reason.code == ReasonCode::Unmanaged)
    );
    assert_eq!(view.devices.len(), 1, "shown apart");
    assert_eq!(
        house.row_statuses("1001"),
        ["Reachable"],
        "the table agrees with the registrar"
    );
    assert_eq!(house.user("1001"), (false, false));
    assert!(house.evictions().is_empty());
}

#[test]
fn s18_a_logout_during_a_call_completes_after_it() {
    let mut house = House::of(&["1001"]);
    house.log_in("1001", "s1", "d1");
    house.call_begins("1001");
    let request = house.logout("s1");
    assert_eq!(house.status("1001"), BoardStatus::LoggingOut);
    house.pass_seconds(2);
    assert!(matches!(house.answer(request), Answer::LoggingOut { .. }));
    assert!(house.evictions().is_empty());
    house.call_ends("1001");
    assert_eq!(house.status("1001"), BoardStatus::Offline);
    assert_eq!(house.row_statuses("1001"), ["Expired"]);
    assert_eq!(house.user("1001"), (false, false));
}

#[test]
fn s18_a_call_that_ends_with_the_logout_leaves_nothing_pending() {
    let mut house = House::of(&["1001"]);
    let id = house.log_in("1001", "s1", "d1");
    house.call_begins("1001");
    let request = house.logout("s1");
    assert!(!house.replies.contains_key(&request));
    house.pass(Duration::from_millis(5));
    house.call_ends("1001");
    house.unregister(&id);
    assert!(matches!(house.answer(request), Answer::LoggedOut(_)));
}

#[test]
fn s19_a_lost_logout_ends_by_unregister_and_lease_and_its_retry_is_answered() {
    let mut house = House::of(&["1001"]);
    let id = house.log_in("1001", "s1", "d1");
    house.unregister(&id);
    house.link_closes("s1");
    house.pass_seconds(15);
    assert_eq!(house.status("1001"), BoardStatus::Offline);
    let first = house.logout("s1");
    let retry = house.logout("s1");
    assert!(matches!(house.answer(first), Answer::LoggedOut(_)));
    assert!(matches!(house.answer(retry), Answer::LoggedOut(_)));
}

#[test]
fn s21_expiry_wins_over_an_answer_to_options_and_a_refresh_is_looked_for_before() {
    let mut house = House::of(&["1001"]);
    let id = house.log_in("1001", "s1", "d1");
    let soon = house.now.unix_seconds() + 100;
    house.contacts.get_mut(&id).unwrap().expires_unix = soon;
    house.live(&["s1"], 70);
    house.contacts.get_mut(&id).unwrap().expires_unix = soon + 100;
    house.live(&["s1"], 60);
    assert_eq!(
        house.status("1001"),
        BoardStatus::Available,
        "refreshed without an event"
    );
    house.live(&["s1"], 80);
    assert_eq!(house.reasons("1001"), ["contact_expired"]);
    assert_eq!(house.row_statuses("1001"), ["Expired"]);
}

#[test]
fn s22_a_row_that_left_the_registrar_without_an_event_asks_for_a_new_registration() {
    let mut house = House::of(&["1001"]);
    let id = house.log_in("1001", "s1", "d1");
    house.contacts.remove(&id);
    house.live(&["s1"], 65);
    assert_eq!(house.reasons("1001"), ["sip_down"]);
    assert!(house.asks.contains(&Ask::Reregister {
        session: session("s1")
    }));
}

#[test]
fn s27_a_rebound_contact_of_the_same_device_replaces_the_older() {
    let mut house = House::of(&["1001"]);
    house.pass_seconds(20);
    let old = house.log_in("1001", "s1", "d1");
    let mut rebound = house.contacts[&old].clone();
    rebound.uri = "sip:1001-s1@192.0.2.7:55555".to_owned();
    rebound.id = ContactId::of(&ext("1001"), &rebound.uri);
    rebound.expires_unix += 60;
    house.contacts.insert(rebound.id.clone(), rebound.clone());
    house.contact_event("1001", &rebound.uri, ContactStatus::Reachable);
    house.live(&["s1"], 5);
    assert_eq!(house.status("1001"), BoardStatus::Available);
    assert_eq!(house.evictions(), [(old, EvictReason::Superseded)]);
}

#[test]
fn s28_doubled_events_change_nothing_twice() {
    let mut house = House::of(&["1001"]);
    let id = house.log_in("1001", "s1", "d1");
    let broadcasts = house.broadcasts.len();
    let entries = house.ledger.len();
    house.qualified(&id, ContactStatus::Reachable);
    house.set_device("1001", DeviceState::NotInUse);
    house.see(Observation::Hangup {
        unique_id: "never seen".to_owned(),
    });
    assert_eq!(house.broadcasts.len(), broadcasts);
    assert_eq!(house.ledger.len(), entries);
}

#[test]
fn s28_a_contradiction_is_settled_by_asking() {
    let mut house = House::of(&["1001"]);
    let id = house.log_in("1001", "s1", "d1");
    let uri = house.contacts[&id].uri.clone();
    // The first event of the registration comes once more, after the later one.
    house.contact_event("1001", &uri, ContactStatus::NonQualified);
    house.pass(Duration::from_millis(300));
    assert_eq!(house.status("1001"), BoardStatus::Available);
    // A removal that is overtaken by a new registration of the same URI.
    house.contact_event("1001", &uri, ContactStatus::Expired);
    assert_eq!(house.reasons("1001"), ["sip_down"]);
    house.contact_event("1001", &uri, ContactStatus::Reachable);
    house.pass(Duration::from_millis(600));
    assert_eq!(house.status("1001"), BoardStatus::Available);
}

#[test]
fn s28_an_older_list_does_not_undo_a_newer_event() {
    let mut house = House::of(&["1001"]);
    let id = house.log_in("1001", "s1", "d1");
    house.answers_lists = false;
    house.live(&["s1"], 60);
    let asked_at = house.asks.iter().rev().find_map(|ask| match ask {
        Ask::Resync { asked_at, .. } => Some(*asked_at),
        _ => None,
    });
    let as_it_was = house.contacts.clone();
    house.heartbeat("s1");
    house.unregister(&id);
    house.contacts = as_it_was;
    house.answer_lists(asked_at.unwrap());
    assert_eq!(
        house.reasons("1001"),
        ["sip_down"],
        "the list was read before the removal"
    );
}

#[test]
fn s28_a_channel_event_after_its_hangup_brings_no_call_back() {
    let mut house = House::of(&["1001"]);
    house.log_in("1001", "s1", "d1");
    house.call_begins("1001");
    house.call_ends("1001");
    house.channel("1001", "call", ChannelState::Up);
    assert_eq!(house.status("1001"), BoardStatus::Available);
}

#[test]
fn s30_non_qualified_is_not_available_unless_the_policy_says_so() {
    let login = |non_qualified| {
        let config = Config {
            non_qualified,
            ..Config::default()
        };
        let mut house = House::without_ami(&["1001"], config);
        house.ami_up();
        house.sign_in("1001", "s1", "d1");
        house.link_opens("s1");
        house.register("1001", "1001-s1", Some("d1"));
        house.pass_seconds(1);
        house.online("1001", "s1", "sip:1001-s1@10.0.0.9");
        house
    };
    let house = login(NonQualifiedPolicy::Refuse);
    assert_eq!(house.reasons("1001"), ["not_qualified"]);
    assert!(
        house.asks.contains(&Ask::Qualify {
            endpoint: ext("1001")
        }),
        "so it is asked for"
    );
    let house = login(NonQualifiedPolicy::Accept);
    assert_eq!(house.status("1001"), BoardStatus::Available);
}

#[test]
fn s31_without_a_microphone_nobody_is_available() {
    let mut house = House::of(&["1001"]);
    house.log_in("1001", "s1", "d1");
    house.heartbeat_with(
        "s1",
        Vitals {
            microphone_ok: false,
            ..good_vitals()
        },
    );
    assert_eq!(house.status("1001"), BoardStatus::NotAvailable);
    assert_eq!(house.reasons("1001"), ["no_audio_device"]);
}

#[test]
fn r1_device_state_must_be_idle() {
    let mut house = House::of(&["1001"]);
    house.log_in("1001", "s1", "d1");
    let cases = [
        (DeviceState::Unavailable, BoardStatus::NotAvailable),
        (DeviceState::Invalid, BoardStatus::NotAvailable),
        (DeviceState::Ringing, BoardStatus::Ringing),
        (DeviceState::RingInUse, BoardStatus::OnCall),
        (DeviceState::OnHold, BoardStatus::OnCall),
        (DeviceState::Busy, BoardStatus::OnCall),
        (DeviceState::NotInUse, BoardStatus::Available),
    ];
    for (state, status) in cases {
        house.set_device("1001", state);
        assert_eq!(house.status("1001"), status, "{state:?}");
    }
    house.queue("1001", Some("lunch"));
    assert_eq!(house.status("1001"), BoardStatus::Paused);
}

#[test]
fn r1_an_unreachable_contact_is_a_reason() {
    let mut house = House::of(&["1001"]);
    let id = house.log_in("1001", "s1", "d1");
    house.qualified(&id, ContactStatus::Unreachable);
    assert_eq!(house.reasons("1001"), ["contact_unreachable"]);
}

#[test]
fn r2_an_observation_never_overwrites_an_intent() {
    let mut house = House::of(&["1001"]);
    let id = house.log_in("1001", "s1", "d1");
    house.unregister(&id);
    house.ami_lost();
    house.link_closes("s1");
    house.pass_seconds(300);
    assert_eq!(house.sessions[&session("s1")].state, SessionState::Online);
}

#[test]
fn r4_a_snapshot_stands_at_the_last_event() {
    let mut house = House::of(&["1001"]);
    house.log_in("1001", "s1", "d1");
    let snapshot = house.core.snapshot().unwrap();
    let last = house.broadcasts.last().unwrap();
    assert_eq!((snapshot.epoch, snapshot.seq), (last.epoch, last.seq));
    assert_eq!(snapshot.agents, vec![last.agent.clone()]);
}
