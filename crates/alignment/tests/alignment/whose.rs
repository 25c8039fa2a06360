//! Whose an extension, a device and a contact are: takeovers, forced logouts, new owners, contacts
//! that nobody accounts for.

use std::time::Duration;

use rollcall_alignment::*;

use crate::house::*;

fn with(config: Config) -> House {
    let mut house = House::without_ami(&["1001"], config);
    house.ami_up();
    house.pass_seconds(20);
    house
}

fn ends(house: &House, name: &str) -> Option<EndReason> {
    match house.sessions.get(&session(name))?.state {
        SessionState::Ended(reason) => Some(reason),
        _ => None,
    }
}

fn force(house: &mut House, device: Option<DeviceId>, end_calls: bool) -> RequestId {
    house.ask(Intent::ForceLogout {
        extension: ext("1001"),
        device,
        end_calls,
        by: session("supervisor"),
    })
}

#[test]
fn s13_in_use_elsewhere_is_taken_over_by_consent() {
    let mut house = with(Config {
        devices: DevicePolicy::Single,
        ..Config::default()
    });
    house.log_in("1001", "s1", "d1");
    house.sign_in("1001", "s2", "d2");
    let refused = house.online("1001", "s2", "sip:1001-s2@10.0.0.9");
    assert_eq!(house.answer(refused), &Answer::Refused(Refusal::InUse));
    assert_eq!(ends(&house, "s1"), None);
    let taken = house.take_over("1001", "s2", "sip:1001-s2@10.0.0.9");
    assert!(matches!(house.answer(taken), Answer::Online(_)));
    assert_eq!(
        ends(&house, "s1"),
        Some(EndReason::TakenOver),
        "and it is told why"
    );
}

#[test]
fn s13_a_takeover_lets_the_other_device_finish_its_call_and_drains_it() {
    let mut house = with(Config {
        devices: DevicePolicy::Takeover,
        ..Config::default()
    });
    house.queue("1001", None);
    house.log_in("1001", "s1", "d1");
    house.call_begins("1001");
    house.sign_in("1001", "s2", "d2");
    house.online("1001", "s2", "sip:1001-s2@10.0.0.9");
    assert_eq!(ends(&house, "s1"), None, "no call is ended for it");
    assert_eq!(
        house.sessions[&session("s1")].state,
        SessionState::LoggingOut
    );
    house.call_ends("1001");
    assert_eq!(ends(&house, "s1"), Some(EndReason::TakenOver));
}

#[test]
fn s20_a_forced_logout_revokes_all_devices_and_puts_the_endpoint_into_maintenance() {
    let mut house = with(Config::default());
    let first = house.log_in("1001", "s1", "d1");
    let second = house.log_in("1001", "s2", "d2");
    let request = force(&mut house, None, false);
    for name in ["s1", "s2"] {
        assert_eq!(ends(&house, name), Some(EndReason::Forced));
    }
    let maintenance = |on| Ask::Maintenance {
        endpoint: ext("1001"),
        on,
    };
    assert!(house.asks.contains(&maintenance(true)));
    house.pass(Duration::from_millis(1500));
    let evicted: Vec<_> = house.evictions().into_iter().map(|(id, _)| id).collect();
    assert!(evicted.contains(&first) && evicted.contains(&second));
    house.unregister(&first);
    assert!(
        !house.asks.contains(&maintenance(false)),
        "one is still there"
    );
    house.unregister(&second);
    assert!(house.asks.contains(&maintenance(false)));
    assert!(matches!(house.answer(request), Answer::LoggedOut(_)));
    let audited = house
        .ledger
        .iter()
        .find(|entry| entry.what == "forced_logout");
    assert_eq!(audited.map(|entry| entry.source), Some("supervisor"));
}

#[test]
fn s20_a_forced_logout_of_one_device_leaves_the_other_alone() {
    let mut house = with(Config::default());
    house.log_in("1001", "s1", "d1");
    house.log_in("1001", "s2", "d2");
    force(&mut house, Some(device("d1")), false);
    assert_eq!(ends(&house, "s1"), Some(EndReason::Forced));
    house.heartbeat("s2");
    assert_eq!(house.status("1001"), BoardStatus::Available);
    let maintenance = |ask: &Ask| matches!(ask, Ask::Maintenance { .. });
    assert!(!house.asks.iter().any(maintenance));
    let unknown = force(&mut house, Some(device("d9")), false);
    assert_eq!(
        house.answer(unknown),
        &Answer::Refused(Refusal::UnknownDevice)
    );
}

#[test]
fn r6_whatever_happens_to_its_agent_a_call_is_ended_by_a_persons_word_alone() {
    let mut house = with(Config::default());
    let id = house.log_in("1001", "s1", "d1");
    house.call_begins("1001");
    let hangups = |house: &House| {
        let hangup = |ask: &&Ask| matches!(ask, Ask::HangUp { .. });
        house.asks.iter().filter(hangup).count()
    };
    house.ami_lost();
    house.ami_up();
    house.link_closes("s1");
    house.qualified(&id, ContactStatus::Unreachable);
    house.pass_seconds(120);
    house.see(Observation::SessionExpired(session("s1")));
    house.unregister(&id);
    force(&mut house, None, false);
    house.see(Observation::People(Vec::new()));
    house.pass_seconds(120);
    assert_eq!(hangups(&house), 0);
    house.see(Observation::People(vec![Person {
        extension: ext("1001"),
        owner: 1,
    }]));
    force(&mut house, None, true);
    assert_eq!(hangups(&house), 1);
}

#[test]
fn s20_the_call_ends_only_if_that_was_asked() {
    for end_calls in [false, true] {
        let mut house = with(Config::default());
        house.log_in("1001", "s1", "d1");
        house.call_begins("1001");
        force(&mut house, None, end_calls);
        let hangs_up = house.asks.contains(&Ask::HangUp {
            unique_id: "call".to_owned(),
        });
        assert_eq!(hangs_up, end_calls);
        let expected = end_calls.then_some(EndReason::Forced);
        assert_eq!(
            ends(&house, "s1"),
            expected,
            "the session outlives the call no more"
        );
    }
}

#[test]
fn s24_a_new_owner_starts_only_when_the_contacts_of_the_last_one_are_gone() {
    let mut house = with(Config::default());
    let old = house.log_in("1001", "s1", "d1");
    house.see(Observation::People(vec![Person {
        extension: ext("1001"),
        owner: 2,
    }]));
    assert_eq!(ends(&house, "s1"), Some(EndReason::Reassigned));
    assert_eq!(house.reasons("1001"), ["reassigned"]);
    let early = house.sign_in("1001", "s2", "d2");
    assert_eq!(house.answer(early), &Answer::Refused(Refusal::HandingOver));
    house.pass_seconds(2);
    assert_eq!(house.evictions(), [(old.clone(), EvictReason::LoggedOut)]);
    house.unregister(&old);
    house.log_in("1001", "s2", "d2");
}

#[test]
fn s24_a_phone_that_does_not_go_keeps_its_new_owner_waiting_for_a_bounded_time() {
    let mut house = with(Config::default());
    house.log_in("1001", "s1", "d1");
    house.see(Observation::Person(Person {
        extension: ext("1001"),
        owner: 2,
    }));
    house.pass_seconds(11);
    let request = house.sign_in("1001", "s2", "d2");
    assert_eq!(house.answer(request), &Answer::SignedIn);
}

#[test]
fn s24_how_long_the_last_owner_was_away_is_no_age_of_the_new_ones() {
    let mut house = with(Config::default());
    let id = house.log_in("1001", "s1", "d1");
    house.logout("s1");
    house.unregister(&id);
    house.pass_seconds(3600);
    let away = house.view("1001").since_unix_ms;
    house.see(Observation::People(vec![Person {
        extension: ext("1001"),
        owner: 2,
    }]));
    house.pass_seconds(60);
    let view = house.view("1001");
    assert_eq!(view.status, BoardStatus::Offline);
    assert_eq!(house.reasons("1001"), ["reassigned"]);
    let begun = house.now.unix_ms - 60_000;
    assert_eq!(
        (view.since_unix_ms, view.reasons[0].since_unix_ms),
        (begun, begun)
    );
    assert!(away < begun);
    let mut house = house.restarted(Config::default());
    house.ami_up();
    assert_eq!(
        house.view("1001").since_unix_ms,
        begun,
        "after our restart too"
    );
}

#[test]
fn s26_an_extension_that_is_withdrawn_has_its_contacts_evicted() {
    let mut house = with(Config::default());
    let id = house.log_in("1001", "s1", "d1");
    house.see(Observation::People(Vec::new()));
    assert_eq!(ends(&house, "s1"), Some(EndReason::Reassigned));
    house.pass_seconds(2);
    assert_eq!(house.evictions(), [(id, EvictReason::LoggedOut)]);
}

#[test]
fn an_extension_that_is_withdrawn_leaves_the_board_and_comes_back_with_its_next_owner() {
    let mut house = with(Config::default());
    let id = house.log_in("1001", "s1", "d1");
    house.see(Observation::People(Vec::new()));
    let broadcasts = house.broadcasts.len();
    house.unregister(&id);
    house.pass_seconds(120);
    assert!(!house.board.contains_key(&ext("1001")));
    assert_eq!(house.broadcasts.len(), broadcasts, "nobody is told of it");
    assert_eq!(house.core.snapshot().unwrap().agents, []);
    assert!(house.core.explain(&ext("1001")).is_none());
    house.see(Observation::People(vec![Person {
        extension: ext("1001"),
        owner: 2,
    }]));
    house.log_in("1001", "s2", "d2");
    assert_eq!(house.status("1001"), BoardStatus::Available);
}

#[test]
fn s26_the_row_of_the_next_owner_is_written_whatever_the_one_of_the_last_said() {
    let mut house = with(Config::default());
    let id = house.log_in("1001", "s1", "d1");
    assert_eq!(house.user("1001"), (true, true));
    house.see(Observation::People(Vec::new()));
    house.users.remove(&ext("1001"));
    // What comes next waits for the database all at once.
    house.commits = false;
    house.unregister(&id);
    house.see(Observation::People(vec![Person {
        extension: ext("1001"),
        owner: 2,
    }]));
    house.sign_in("1001", "s2", "d2");
    house.link_opens("s2");
    let id = house.register("1001", "1001-s2", Some("d2"));
    house.qualified(&id, ContactStatus::Reachable);
    house.pass(Duration::from_millis(300));
    house.online("1001", "s2", "sip:1001-s2@10.0.0.9:5060");
    house.commit_all();
    assert_eq!(house.user("1001"), (true, true));
}

#[test]
fn s17_a_desk_phone_is_evicted_only_by_policy() {
    let mut house = with(Config {
        evict_unmanaged: true,
        ..Config::default()
    });
    let id = house.register("1001", "1001", None);
    house.qualified(&id, ContactStatus::Reachable);
    house.pass_seconds(3);
    assert_eq!(house.evictions(), [(id, EvictReason::Unmanaged)]);
}

#[test]
fn s23_a_row_that_nothing_accounts_for_is_forged_after_one_resync() {
    let mut house = with(Config::default());
    let forged = contact(
        "1001",
        "1001-forged",
        None,
        house.now,
        ContactStatus::NonQualified,
    );
    let id = forged.id.clone();
    house.contacts.insert(id.clone(), forged);
    house.pass_seconds(61);
    assert_eq!(
        house.status("1001"),
        BoardStatus::Offline,
        "never available for it"
    );
    assert!(
        house.reasons("1001").contains(&"forged"),
        "{:?}",
        house.reasons("1001")
    );
    house.pass_seconds(2);
    assert_eq!(house.evictions(), [(id, EvictReason::Forged)]);
    assert!(
        house
            .ledger
            .iter()
            .any(|entry| entry.what == "contact_forged")
    );
}

#[test]
fn s23_a_test_that_we_asked_for_accounts_for_no_row_and_an_eviction_for_no_second_one() {
    for listed_before in [true, false] {
        let mut house = with(Config::default());
        let nobodys = contact(
            "1001",
            "1001-forged",
            None,
            house.now,
            ContactStatus::NonQualified,
        );
        let id = nobodys.id.clone();
        for _ in 0..2 {
            let before = house.evictions().len();
            house.contacts.insert(id.clone(), nobodys.clone());
            if listed_before {
                house.pass_seconds(60);
            }
            house.qualified(&id, ContactStatus::Unreachable);
            house.pass_seconds(65);
            let forged = (id.clone(), EvictReason::Forged);
            let evicted = house.evictions();
            assert!(evicted.len() > before, "{evicted:?}");
            assert!(evicted.iter().all(|evicted| *evicted == forged));
            // Of a row that was never more than a row no event tells that it went.
            house.contacts.remove(&id);
            house.pass_seconds(61);
        }
    }
}

#[test]
fn s23_a_phone_whose_event_comes_after_the_list_that_names_it_is_no_forgery() {
    let mut house = with(Config::default());
    let late = contact("1001", "1001", None, house.now, ContactStatus::NonQualified);
    let uri = late.uri.clone();
    house.contacts.insert(late.id.clone(), late);
    house.ask(Intent::Prove {
        extension: ext("1001"),
    });
    house.contact_event("1001", &uri, ContactStatus::NonQualified);
    house.pass_seconds(130);
    assert!(house.evictions().is_empty());
}

#[test]
fn s23_a_desk_phone_whose_row_was_deleted_and_that_registers_again_is_no_forgery() {
    let mut house = with(Config::default());
    let id = house.register("1001", "1001", None);
    house.pass_seconds(1);
    let desk = house.contacts.remove(&id).unwrap();
    house.pass_seconds(61);
    house.contacts.insert(id, desk);
    house.pass_seconds(130);
    assert!(
        house.evictions().is_empty(),
        "its next REGISTER raised no event (F5)"
    );
}

#[test]
fn s08_a_contact_of_an_ended_session_that_a_crashed_asterisk_has_again_is_evicted() {
    let mut house = with(Config::default());
    let id = house.log_in("1001", "s1", "d1");
    let kept = house.contacts.get(&id).cloned().unwrap();
    house.logout("s1");
    house.unregister(&id);
    house.pass_seconds(5);
    assert_eq!(house.status("1001"), BoardStatus::Offline);
    house.ami_lost();
    // Its astdb was written a second before the crash.
    house.contacts.insert(id.clone(), kept);
    house.ami_up();
    house.pass_seconds(5);
    assert_eq!(house.evictions(), [(id, EvictReason::LoggedOut)]);
}

#[test]
fn s08_a_contact_that_a_crashed_asterisk_has_again_is_evicted_by_a_server_that_was_restarted_too() {
    // What the old server still heard of Asterisk's return.
    for heard in ["nothing", "an event", "the lists"] {
        let mut house = with(Config::default());
        let id = house.log_in("1001", "s1", "d1");
        let kept = house.contacts.get(&id).cloned().unwrap();
        house.unregister(&id);
        house.logout("s1");
        house.pass_seconds(1);
        house.ami_lost();
        house.contacts.insert(id.clone(), kept.clone());
        match heard {
            "an event" => house.contact_event("1001", &kept.uri, ContactStatus::NonQualified),
            "the lists" => house.ami_up(),
            _ => {}
        }
        house.pass(Duration::from_millis(100));
        assert_eq!(house.row_statuses("1001"), ["Expired"], "heard {heard}");
        let mut house = house.restarted(Config::default());
        house.ami_up();
        house.pass_seconds(30);
        assert_eq!(
            house.evictions(),
            [(id, EvictReason::LoggedOut)],
            "heard {heard}"
        );
    }
}

#[test]
fn s08_an_apps_contact_that_nobody_remembers_is_evicted_once_it_does_not_answer() {
    let mut house = with(Config::default());
    let first = house.log_in("1001", "s1", "d1");
    let kept = house.contacts.get(&first).cloned().unwrap();
    house.unregister(&first);
    house.logout("s1");
    // Another device's contact takes the place of its row.
    let second = house.log_in("1001", "s2", "d2");
    house.unregister(&second);
    house.logout("s2");
    house.pass_seconds(1);
    let mut house = house.restarted(Config::default());
    house.contacts.insert(first.clone(), kept);
    house.ami_up();
    house.pass_seconds(60);
    assert!(
        house.evictions().is_empty(),
        "it may be somebody's who answers"
    );
    house.qualified(&first, ContactStatus::Unreachable);
    house.pass_seconds(10);
    assert_eq!(house.evictions(), [(first, EvictReason::AppLost)]);
}

#[test]
fn s08_an_eviction_that_died_with_asterisk_is_asked_for_again_at_its_return() {
    let mut house = with(Config::default());
    let id = house.log_in("1001", "s1", "d1");
    house.logout("s1");
    house.pass_seconds(3);
    let asked = [(id, EvictReason::LoggedOut)];
    assert_eq!(house.evictions(), asked);
    house.ami_lost();
    // Asterisk still lists the contact: the entry that was to end it was not on disk yet.
    house.ami_up();
    house.pass_seconds(3);
    assert_eq!(house.evictions(), [asked.clone(), asked].concat());
}

#[test]
fn s08_a_contact_that_a_crashed_asterisk_has_again_is_its_sessions_own() {
    let mut house = with(Config::default());
    let id = house.log_in("1001", "s1", "d1");
    let kept = house.contacts.get(&id).cloned().unwrap();
    house.unregister(&id);
    house.live(&["s1"], 5);
    house.contacts.insert(id, kept);
    house.ami_lost();
    house.ami_up();
    house.live(&["s1"], 10);
    assert!(house.evictions().is_empty());
}

#[test]
fn s23_what_was_there_when_the_link_came_up_is_believed() {
    let mut house = House::without_ami(&["1001"], Config::default());
    let desk = contact("1001", "1001", None, house.now, ContactStatus::Reachable);
    house.contacts.insert(desk.id.clone(), desk);
    house.ami_up();
    house.pass_seconds(130);
    assert_eq!(house.reasons("1001"), ["unmanaged", "never_logged_in"]);
    assert!(house.evictions().is_empty());
}

#[test]
fn s25_rows_changed_by_hand_are_shown_and_rewritten_no_more_than_once_a_resync() {
    let mut house = with(Config::default());
    let id = house.log_in("1001", "s1", "d1");
    let mut rewritten = 0;
    for _ in 0..60 {
        let row = house.rows.get_mut(&id).unwrap();
        rewritten += usize::from(row.status == ContactStatus::Reachable);
        row.status = ContactStatus::Expired;
        house.live(&["s1"], 5);
    }
    assert!(
        (2..=6).contains(&rewritten),
        "{rewritten} times in five minutes"
    );
    let noted = |entry: &&LedgerEntry| entry.what == "external_change";
    assert_eq!(house.ledger.iter().filter(noted).count(), rewritten.max(5));
}

#[test]
fn s25_a_row_that_somebody_put_into_our_own_table_is_taken_out() {
    let mut house = with(Config::default());
    let stray = contact("1001", "1001-x", None, house.now, ContactStatus::Reachable);
    house.rows.insert(
        stray.id.clone(),
        ContactRow {
            id: stray.id.clone(),
            endpoint: stray.endpoint,
            uri: stray.uri,
            user_agent: String::new(),
            expires_unix: stray.expires_unix,
            qualify_frequency: 0,
            reg_server: String::new(),
            status: ContactStatus::Reachable,
        },
    );
    house.pass_seconds(65);
    assert!(!house.rows.contains_key(&stray.id));
    assert_eq!(house.status("1001"), BoardStatus::Offline);
}

#[test]
fn s29_a_contact_that_another_asterisk_removed_is_missed_by_the_next_list() {
    let mut house = with(Config::default());
    let id = house.log_in("1001", "s1", "d1");
    house.contacts.get_mut(&id).unwrap().reg_server = "pbx2".to_owned();
    house.live(&["s1"], 60);
    assert_eq!(house.rows[&id].reg_server, "pbx2");
    house.contacts.remove(&id);
    house.live(&["s1"], 65);
    assert_eq!(
        house.reasons("1001"),
        ["sip_down"],
        "no Removed came, and none was needed"
    );
}
