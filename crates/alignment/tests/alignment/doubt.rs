//! What is not quite as it seems: clocks that differ, interfaces that flap, a whole site that falls
//! silent, claims that nobody can check, and questions at the click.

use std::time::Duration;

use rollcall_alignment::*;

use crate::house::*;

#[test]
fn s10_without_its_database_the_board_is_served_and_read_only_and_the_ledger_waits() {
    let mut house = House::of(&["1001"]);
    house.log_in("1001", "s1", "d1");
    let lines = house.ledger.len();
    house.failing = Some(Failure::Unavailable);
    house.call_begins("1001");
    assert_eq!(house.reasons("1001"), ["database_lost"]);
    let refused = house.sign_in("1001", "s2", "d2");
    assert_eq!(
        house.answer(refused),
        &Answer::Refused(Refusal::DatabaseUnavailable)
    );
    house.live(&["s1"], 10);
    house.call_ends("1001");
    assert_eq!(house.ledger.len(), lines);
    house.failing = None;
    house.pass_seconds(2);
    assert_eq!(house.status("1001"), BoardStatus::Available);
    let words: Vec<_> = house.ledger[lines..]
        .iter()
        .map(|entry| entry.what)
        .collect();
    assert!(
        words.contains(&"source_lost") && words.contains(&"source_found"),
        "{words:?}"
    );
}

#[test]
fn s10_a_database_that_is_silent_is_lost_though_nobody_writes_and_found_by_the_next_commit() {
    let mut house = House::of(&["1001"]);
    house.log_in("1001", "s1", "d1");
    house.failing = Some(Failure::Unavailable);
    house.see(Observation::DatabaseSilent);
    assert_eq!(house.reasons("1001"), ["database_lost"]);
    assert_eq!(house.status("1001"), BoardStatus::Unknown);
    house.live(&["s1"], 10);
    assert_eq!(house.status("1001"), BoardStatus::Unknown);
    house.failing = None;
    house.pass_seconds(2);
    assert_eq!(house.status("1001"), BoardStatus::Available);
}

#[test]
fn s32_what_we_lost_sight_of_ourselves_again_and_again_is_nobodys_flapping() {
    let mut house = House::of(&["1001"]);
    house.log_in("1001", "s1", "d1");
    for _ in 0..6 {
        house.ami_lost();
        assert_eq!(house.status("1001"), BoardStatus::Unknown);
        house.ami_up();
        house.live(&["s1"], 5);
        house.see(Observation::DatabaseSilent);
        assert_eq!(house.status("1001"), BoardStatus::Unknown);
        house.live(&["s1"], 5);
        assert_eq!(house.status("1001"), BoardStatus::Available);
    }
}

#[test]
fn s11_contacts_expire_by_asterisks_clock_and_a_skew_is_warned_of() {
    let mut house = House::of(&["1001"]);
    let id = house.log_in("1001", "s1", "d1");
    house.see(Observation::ClockOffset {
        source: Source::Ami,
        offset_ms: -600_000,
    });
    assert!(
        house
            .ledger
            .iter()
            .any(|entry| entry.what == "clock_skewed")
    );
    // By Asterisk's clock, ten minutes behind, it has a minute left; by ours it is long over.
    house.contacts.get_mut(&id).unwrap().expires_unix = house.now.unix_seconds() - 540;
    house.live(&["s1"], 55);
    assert_eq!(house.status("1001"), BoardStatus::Available);
    house.live(&["s1"], 70);
    assert_eq!(house.reasons("1001"), ["contact_expired"]);
}

#[test]
fn s11_an_offset_within_the_limit_changes_nothing() {
    let mut house = House::of(&["1001"]);
    let lines = house.ledger.len();
    house.see(Observation::ClockOffset {
        source: Source::Database,
        offset_ms: 1_900,
    });
    assert_eq!(house.ledger.len(), lines);
    assert_eq!(house.core.clock_offsets()[&Source::Database], 1_900);
}

#[test]
fn s21_the_app_of_an_expired_contact_is_asked_to_register_again() {
    let mut house = House::of(&["1001"]);
    let id = house.log_in("1001", "s1", "d1");
    house.contacts.get_mut(&id).unwrap().expires_unix = house.now.unix_seconds() + 70;
    house.live(&["s1"], 80);
    assert_eq!(house.reasons("1001"), ["contact_expired"]);
    assert!(house.asks.contains(&Ask::Reregister {
        session: session("s1")
    }));
    assert!(
        house.ledger.iter().any(|entry| entry.what == "re_register"),
        "audited"
    );
}

#[test]
fn s32_who_flaps_is_available_again_only_once_it_stays() {
    let mut house = House::of(&["1001"]);
    let id = house.log_in("1001", "s1", "d1");
    for flap in 1..=4 {
        house.qualified(&id, ContactStatus::Unreachable);
        house.pass_seconds(1);
        house.qualified(&id, ContactStatus::Reachable);
        let steady = house.status("1001") == BoardStatus::Available;
        assert_eq!(steady, flap < 4, "flap {flap}");
    }
    assert_eq!(house.reasons("1001"), ["flapping"]);
    house.live(&["s1"], 10);
    assert_eq!(house.status("1001"), BoardStatus::Available);
}

#[test]
fn s32_a_short_loss_of_the_registration_asks_for_nothing() {
    let mut house = House::of(&["1001"]);
    let id = house.log_in("1001", "s1", "d1");
    for _ in 0..3 {
        house.unregister(&id);
        house.pass(Duration::from_millis(400));
        house.register("1001", "1001-s1", Some("d1"));
        house.qualified(&id, ContactStatus::Reachable);
        house.pass(Duration::from_millis(400));
    }
    let nudge = |ask: &Ask| matches!(ask, Ask::Reregister { .. });
    assert!(!house.asks.iter().any(nudge));
}

/// Five hundred agents at work.
fn site() -> (House, Vec<(String, String, ContactId)>) {
    let agents: Vec<String> = (0..500).map(|place| (2000 + place).to_string()).collect();
    let names: Vec<&str> = agents.iter().map(String::as_str).collect();
    let mut house = House::of(&names);
    house.pass_seconds(20);
    let mut people = Vec::new();
    for agent in agents {
        house.queue(&agent, None);
        let (name, on) = (format!("s{agent}"), format!("d{agent}"));
        house.sign_in(&agent, &name, &on);
        house.link_opens(&name);
        house.heartbeat(&name);
        let id = house.register(&agent, &format!("{agent}-a"), Some(&on));
        house.online(&agent, &name, &format!("sip:{agent}-a@10.0.0.9"));
        house.qualified(&id, ContactStatus::Reachable);
        people.push((agent, name, id));
    }
    house.pass_seconds(1);
    let available =
        |(agent, ..): &&(String, String, ContactId)| house.status(agent) == BoardStatus::Available;
    assert_eq!(people.iter().filter(available).count(), 500);
    (house, people)
}

fn nobody_was_touched(house: &House) {
    let touches = |ask: &&Ask| matches!(ask, Ask::Evict { .. } | Ask::Queues { .. });
    assert_eq!(house.asks.iter().filter(touches).count(), 0);
}

#[test]
fn r9_an_outage_of_the_server_with_five_hundred_agents_evicts_and_pauses_nobody() {
    let (house, people) = site();
    let mut house = house.restarted(Config::default());
    house.pass_seconds(3);
    house.ami_up();
    house.pass_seconds(9);
    for (agent, name, _) in &people {
        assert_eq!(house.status(agent), BoardStatus::Unknown);
        house.link_opens(name);
        house.heartbeat(name);
    }
    house.pass_seconds(5);
    nobody_was_touched(&house);
    for (agent, ..) in &people {
        assert_eq!(house.status(agent), BoardStatus::Available);
    }
}

#[test]
fn r9_a_network_of_ours_that_fails_five_hundred_apps_evicts_and_pauses_nobody() {
    let (mut house, people) = site();
    for (_, name, id) in &people {
        house.link_closes(name);
        house.qualified(id, ContactStatus::Unreachable);
    }
    house.pass_seconds(16);
    assert_eq!(house.reasons("2499"), ["server_suspect"]);
    let alert = |entry: &&LedgerEntry| entry.rule == Some("R9");
    assert_eq!(
        house.ledger.iter().filter(alert).count(),
        1,
        "one alert, not five hundred"
    );
    for (_, name, id) in &people {
        house.link_opens(name);
        house.heartbeat(name);
        house.qualified(id, ContactStatus::Reachable);
    }
    house.pass_seconds(1);
    nobody_was_touched(&house);
    assert_eq!(house.status("2000"), BoardStatus::Available);
}

/// Everybody's app is gone, at most one heartbeat after the others; their phones answer Asterisk.
fn all_apps_go(house: &mut House, people: &[(String, String, ContactId)]) {
    for fifth in people.chunks(people.len() / 5) {
        for (_, name, _) in fifth {
            house.heartbeat(name);
        }
        house.pass_seconds(1);
    }
    for (_, name, _) in people {
        house.link_closes(name);
    }
}

/// Everybody's app is back, a part of them each second.
fn all_apps_come_within_five_seconds(house: &mut House, people: &[(String, String, ContactId)]) {
    for fifth in people.chunks(people.len() / 5) {
        house.pass_seconds(1);
        for (_, name, _) in fifth {
            house.link_opens(name);
            house.heartbeat(name);
        }
    }
}

fn beat_for(house: &mut House, people: &[(String, String, ContactId)], seconds: u64) {
    let names: Vec<&str> = people.iter().map(|(_, name, _)| name.as_str()).collect();
    house.live(&names, seconds);
}

fn all_are_available(house: &House, people: &[(String, String, ContactId)]) {
    for (agent, ..) in people {
        assert_eq!(house.status(agent), BoardStatus::Available);
    }
}

#[test]
fn r9_a_minute_without_asterisk_and_apps_pauses_nobody_when_both_are_back() {
    let (mut house, people) = site();
    all_apps_go(&mut house, &people);
    house.ami_lost();
    house.pass_seconds(60);
    house.ami_up();
    all_apps_come_within_five_seconds(&mut house, &people);
    beat_for(&mut house, &people, 30);
    nobody_was_touched(&house);
    all_are_available(&house, &people);
}

#[test]
fn r9_a_minute_without_apps_while_asterisk_is_heard_pauses_nobody() {
    let (mut house, people) = site();
    all_apps_go(&mut house, &people);
    house.pass_seconds(60);
    assert_eq!(house.reasons("2000"), ["server_suspect"]);
    all_apps_come_within_five_seconds(&mut house, &people);
    beat_for(&mut house, &people, 30);
    nobody_was_touched(&house);
    all_are_available(&house, &people);
    let over = |entry: &&LedgerEntry| entry.what == "suspicion_over";
    let over: Vec<_> = house.ledger.iter().filter(over).collect();
    assert_eq!(over.len(), 1);
    assert_eq!(over[0].detail, "most of them are back");
}

#[test]
fn r9_who_stays_away_when_the_others_are_back_is_drained_after_a_grace() {
    let (mut house, people) = site();
    all_apps_go(&mut house, &people);
    house.pass_seconds(60);
    let (gone, back) = people.split_at(10);
    all_apps_come_within_five_seconds(&mut house, back);
    beat_for(&mut house, back, 10);
    nobody_was_touched(&house);
    beat_for(&mut house, back, 10);
    all_are_available(&house, back);
    for (agent, ..) in gone {
        assert_eq!(house.queue_pause(agent), Some("rollcall: app_lost"));
    }
}

#[test]
fn r9_apps_that_all_stay_away_are_called_lost_once_the_longest_suspicion_is_over() {
    let (mut house, people) = site();
    let longest = Config::default().longest_suspicion;
    all_apps_go(&mut house, &people);
    house.pass(longest);
    nobody_was_touched(&house);
    assert_eq!(house.reasons("2000"), ["server_suspect"]);
    house.pass_seconds(40);
    for (agent, ..) in &people {
        assert_eq!(house.reasons(agent), ["app_lost"]);
        assert_eq!(house.queue_pause(agent), Some("rollcall: app_lost"));
    }
    let over = |entry: &&LedgerEntry| entry.what == "suspicion_over";
    let over: Vec<_> = house.ledger.iter().filter(over).collect();
    assert_eq!(over.len(), 1, "and it does not begin anew");
    assert_eq!(over[0].detail, "they stay away");
}

#[test]
fn r9_a_few_of_many_are_drained_as_usual() {
    for (agents, few) in [(500, 4), (100, 5)] {
        let (mut house, mut people) = site();
        for (_, name, _) in people.drain(agents..) {
            house.logout(&name);
        }
        let (gone, stay) = people.split_at(few);
        for (_, name, _) in gone {
            house.link_closes(name);
        }
        beat_for(&mut house, stay, 20);
        for (agent, ..) in gone {
            assert_eq!(house.reasons(agent), ["app_lost"]);
            assert_eq!(house.queue_pause(agent), Some("rollcall: app_lost"));
        }
        assert!(!house.ledger.iter().any(|entry| entry.rule == Some("R9")));
        all_are_available(&house, stay);
    }
}

#[test]
fn r9_a_source_that_returns_brings_a_grace_for_those_who_fell_silent_while_it_was_away() {
    let mut house = House::of(&["1001", "1002"]);
    house.pass_seconds(20);
    for (agent, name, on) in [("1001", "s1", "d1"), ("1002", "s2", "d2")] {
        house.queue(agent, None);
        house.log_in(agent, name, on);
    }
    // Lost long before, and by itself: it stays so.
    house.link_closes("s2");
    house.live(&["s1"], 40);
    assert_eq!(house.queue_pause("1002"), Some("rollcall: app_lost"));
    for database in [false, true] {
        house.link_closes("s1");
        if database {
            house.failing = Some(Failure::Unavailable);
            house.see(Observation::DatabaseSilent);
        } else {
            house.ami_lost();
        }
        house.pass_seconds(60);
        if database {
            house.failing = None;
        } else {
            house.ami_up();
        }
        house.pass_seconds(5);
        assert_eq!(house.reasons("1001"), ["server_suspect"]);
        assert_eq!(house.reasons("1002"), ["app_lost"]);
        assert_eq!(house.queue_pause("1001"), None);
        house.link_opens("s1");
        house.live(&["s1"], 20);
        assert_eq!(house.status("1001"), BoardStatus::Available);
    }
    house.ami_lost();
    house.link_closes("s1");
    house.pass_seconds(60);
    house.ami_up();
    house.pass_seconds(16);
    assert_eq!(
        house.queue_pause("1001"),
        Some("rollcall: app_lost"),
        "the grace is over"
    );
}

fn claims() -> House {
    let config = Config {
        registrar: Registrar::Claims,
        first_lists: Duration::ZERO,
        ..Config::default()
    };
    let mut house = House::without_ami(&["1001"], config);
    house.pass(Duration::from_millis(1));
    house
}

#[test]
fn where_nobody_is_asked_a_new_claim_takes_the_place_of_its_sessions_last_one() {
    let mut house = claims();
    house.sign_in("1001", "s1", "d1");
    house.link_opens("s1");
    for number in 0..100 {
        house.heartbeat("s1");
        house.online("1001", "s1", &format!("sip:1001-{number}@pbx.example"));
        house.pass_seconds(1);
        assert_eq!(house.status("1001"), BoardStatus::Unverified);
    }
    let rows: Vec<_> = (house.rows.values())
        .map(|row| (row.uri.as_str(), row.status))
        .collect();
    assert!(
        rows.len() <= 2,
        "the last one, and the one before it: {rows:?}"
    );
    let lives = rows
        .iter()
        .filter(|(_, status)| *status != ContactStatus::Expired);
    let lives: Vec<_> = lives.map(|(uri, _)| *uri).collect();
    assert_eq!(lives, ["sip:1001-99@pbx.example"]);
}

#[test]
fn claims_are_recorded_with_their_hour_and_are_never_plain_available() {
    let mut house = claims();
    assert_eq!(house.status("1001"), BoardStatus::Offline);
    house.sign_in("1001", "s1", "d1");
    house.link_opens("s1");
    house.heartbeat("s1");
    house.online("1001", "s1", "sip:1001@pbx.example");
    house.pass_seconds(1);
    assert_eq!(house.status("1001"), BoardStatus::Unverified);
    assert_eq!(house.reasons("1001"), ["claims_only"]);
    assert_eq!(house.user("1001"), (true, true));
    let row = house.rows.values().next().unwrap();
    assert_eq!(row.uri, "sip:1001@pbx.example");
    let left = row.expires_unix - house.now.unix_seconds();
    assert!((3590..=3600).contains(&left), "{left}");
    house.live(&["s1"], 2 * 3600);
    assert_eq!(
        house.status("1001"),
        BoardStatus::Unverified,
        "renewed while its app lives"
    );
    let request = house.logout("s1");
    assert!(matches!(house.answer(request), Answer::LoggedOut(_)));
    assert_eq!(house.status("1001"), BoardStatus::Offline);
    assert_eq!(house.row_statuses("1001"), ["Expired"]);
}

#[test]
fn a_claim_outlives_our_restart() {
    let mut house = claims();
    house.sign_in("1001", "s1", "d1");
    house.link_opens("s1");
    house.heartbeat("s1");
    house.online("1001", "s1", "sip:1001@pbx.example");
    house.pass_seconds(1);
    let config = Config {
        registrar: Registrar::Claims,
        ..Config::default()
    };
    // Nobody lists it, and an app of the seed's kind, which was told that it is online, does not say so again.
    let mut house = house.restarted(config);
    house.link_opens("s1");
    house.live(&["s1"], 30);
    assert_eq!(house.status("1001"), BoardStatus::Unverified);
    assert_eq!(house.reasons("1001"), ["claims_only"]);
}

#[test]
fn a_claim_whose_app_is_gone_ends_with_its_hour() {
    let mut house = claims();
    house.sign_in("1001", "s1", "d1");
    house.link_opens("s1");
    house.heartbeat("s1");
    house.online("1001", "s1", "sip:1001-a@10.0.0.9");
    house.link_closes("s1");
    house.pass_seconds(16);
    assert_eq!(house.reasons("1001"), ["app_lost"]);
    house.pass_seconds(3600);
    assert_eq!(house.row_statuses("1001"), ["Expired"]);
}

#[test]
fn a_proof_is_answered_by_lists_that_were_read_after_the_question() {
    let mut house = House::of(&["1001"]);
    let id = house.log_in("1001", "s1", "d1");
    house.pass_seconds(1);
    // Deleted by SQL: no event tells of it.
    house.contacts.remove(&id);
    assert_eq!(house.status("1001"), BoardStatus::Available);
    let request = house.ask(Intent::Prove {
        extension: ext("1001"),
    });
    let Answer::Proof(Some(view)) = house.answer(request) else {
        panic!("{:?}", house.replies.get(&request));
    };
    assert_eq!(view.status, BoardStatus::NotAvailable);
}

#[test]
fn a_proof_that_asterisk_does_not_answer_is_none() {
    let mut house = House::of(&["1001"]);
    house.log_in("1001", "s1", "d1");
    house.pass_seconds(1);
    house.answers_lists = false;
    let request = house.ask(Intent::Prove {
        extension: ext("1001"),
    });
    assert!(!house.replies.contains_key(&request));
    house.pass_seconds(2);
    assert_eq!(house.answer(request), &Answer::Proof(None));
    house.ami_lost();
    let request = house.ask(Intent::Prove {
        extension: ext("1001"),
    });
    assert_eq!(house.answer(request), &Answer::Proof(None));
}

#[test]
fn a_logout_is_answered_when_every_view_agrees() {
    let mut house = House::of(&["1001"]);
    let id = house.log_in("1001", "s1", "d1");
    let request = house.logout("s1");
    assert_eq!(
        house.status("1001"),
        BoardStatus::Offline,
        "the board says so at once"
    );
    house.pass(Duration::from_millis(100));
    assert!(!house.replies.contains_key(&request));
    house.unregister(&id);
    assert!(matches!(house.answer(request), Answer::LoggedOut(_)));
}

#[test]
fn a_logout_that_is_not_complete_after_two_seconds_names_what_is_pending_and_finishes_by_itself() {
    let mut house = House::of(&["1001"]);
    house.pass_seconds(20);
    let id = house.log_in("1001", "s1", "d1");
    let request = house.logout("s1");
    house.pass_seconds(2);
    let Answer::LoggingOut { pending, .. } = house.answer(request) else {
        panic!("{:?}", house.replies.get(&request));
    };
    assert_eq!(*pending, [Pending::Contact, Pending::Row]);
    assert_eq!(house.evictions(), [(id.clone(), EvictReason::LoggedOut)]);
    house.unregister(&id);
    assert_eq!(house.row_statuses("1001"), ["Expired"]);
    let again = house.logout("s1");
    assert!(matches!(house.answer(again), Answer::LoggedOut(_)));
}

#[test]
fn a_logout_while_asterisk_is_out_of_sight_claims_nothing_of_it() {
    let mut house = House::of(&["1001"]);
    house.log_in("1001", "s1", "d1");
    house.ami_lost();
    let request = house.logout("s1");
    house.pass_seconds(2);
    let Answer::LoggingOut { pending, .. } = house.answer(request) else {
        panic!("{:?}", house.replies.get(&request));
    };
    assert_eq!(*pending, [Pending::Contact, Pending::Row, Pending::Device]);
}

#[test]
fn an_explanation_names_every_term_and_what_would_have_to_change() {
    let mut house = House::of(&["1001"]);
    let id = house.log_in("1001", "s1", "d1");
    let verdicts = |house: &House| -> Vec<(&'static str, Verdict)> {
        let explained = house.core.explain(&ext("1001")).unwrap();
        explained
            .terms
            .iter()
            .map(|term| (term.name, term.verdict))
            .collect()
    };
    assert!(
        verdicts(&house)
            .iter()
            .all(|(_, verdict)| *verdict == Verdict::Holds)
    );
    house.qualified(&id, ContactStatus::Unreachable);
    let failing: Vec<_> = verdicts(&house)
        .into_iter()
        .filter(|(_, verdict)| *verdict == Verdict::Fails)
        .collect();
    assert_eq!(failing, [("reachable", Verdict::Fails)]);
    let explained = house.core.explain(&ext("1001")).unwrap();
    assert_eq!(explained.intents[0].wants, SessionState::Online);
    assert_eq!(
        ReasonCode::ContactUnreachable.needed(),
        "the phone has to answer Asterisk's OPTIONS"
    );
    assert!(house.core.explain(&ext("9999")).is_none());
}

#[test]
fn every_reason_belongs_to_a_term_of_r1() {
    for code in ReasonCode::ALL {
        assert!(Term::of(*code).is_some(), "{}", code.as_str());
        assert!(!code.needed().is_empty());
    }
}

#[test]
fn decisions_are_read_back_from_the_ledger_as_they_were_taken() {
    let mut house = House::of(&["1001"]);
    let id = house.log_in("1001", "s1", "d1");
    house.qualified(&id, ContactStatus::Unreachable);
    let decided = |entry: &&LedgerEntry| entry.what == "status_changed";
    let last = house.ledger.iter().rfind(decided).unwrap();
    let decision = Decision::read(&last.detail).unwrap();
    assert_eq!(decision.before, Some(BoardStatus::Available));
    assert_eq!(decision.status, BoardStatus::NotAvailable);
    assert_eq!(decision.reasons, [ReasonCode::ContactUnreachable]);
    assert_eq!(
        Decision::read("contact 7f3a: Reachable -> Unreachable"),
        None
    );
}
