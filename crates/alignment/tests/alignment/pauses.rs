//! Pauses that people ask for: an intent, asked of the queues until they are seen to do so.

use rollcall_alignment::*;

use crate::house::*;

/// An agent at work in a queue, past the grace of our start.
fn at_work(house: &mut House) {
    house.pass_seconds(20);
    house.queue("1001", None);
    house.log_in("1001", "s1", "d1");
}

fn orders(house: &House) -> Vec<&QueueOrder> {
    let mut orders = Vec::new();
    for ask in &house.asks {
        if let Ask::Queues { order, .. } = ask {
            orders.push(order);
        }
    }
    orders
}

fn pause(reason: &str) -> QueueOrder {
    QueueOrder::Pause {
        reason: PauseReason::new(reason).unwrap(),
    }
}

fn said(house: &House, what: &str) -> usize {
    house
        .ledger
        .iter()
        .filter(|entry| entry.what == what)
        .count()
}

fn confirmed(house: &House) -> Option<(Option<String>, bool)> {
    let pause = house.view("1001").pause?;
    Some((
        pause.reason.map(|reason| reason.to_string()),
        pause.confirmed,
    ))
}

#[test]
fn a_pause_is_asked_of_the_queues_and_shown_once_they_keep_it() {
    let mut house = House::of(&["1001"]);
    at_work(&mut house);
    let asked = house.pause("1001", Some("lunch"), "s1");
    assert!(matches!(house.answer(asked), Answer::Pause(_)));
    assert_eq!(house.queue_pause("1001"), Some("lunch"));
    assert_eq!(house.status("1001"), BoardStatus::Paused);
    assert_eq!(house.reasons("1001"), ["paused"]);
    assert_eq!(confirmed(&house), Some((Some("lunch".to_owned()), true)));
    let ended = house.pause("1001", None, "s1");
    assert!(matches!(house.answer(ended), Answer::Pause(_)));
    assert_eq!(house.queue_pause("1001"), None);
    house.pass_seconds(1);
    assert_eq!(house.status("1001"), BoardStatus::Available);
    assert_eq!(house.view("1001").pause, None, "nothing is wanted any more");
    assert!(house.pauses.is_empty());
    let intents: Vec<_> = house
        .ledger
        .iter()
        .filter(|entry| entry.what.starts_with("pause"))
        .map(|entry| (entry.kind, entry.source, entry.what))
        .collect();
    assert_eq!(
        intents,
        [
            (LedgerKind::Intent, "agent", "pause_asked"),
            (LedgerKind::Intent, "agent", "pause_end_asked"),
        ]
    );
}

#[test]
fn a_pause_that_the_queues_do_not_keep_is_not_shown_as_one() {
    let mut house = House::of(&["1001"]);
    at_work(&mut house);
    house.obeys = false;
    house.pause("1001", Some("lunch"), "s1");
    assert_eq!(house.status("1001"), BoardStatus::NotAvailable);
    assert_eq!(house.reasons("1001"), ["pause_asked"]);
    assert_eq!(confirmed(&house), Some((Some("lunch".to_owned()), false)));
    house.live(&["s1"], 25);
    assert_eq!(orders(&house), vec![&pause("lunch"); 3], "at its pace");
    assert_eq!(said(&house, "pause_asked_again"), 2);
    house.queue("1001", Some("lunch"));
    assert_eq!(house.status("1001"), BoardStatus::Paused);
}

#[test]
fn the_end_of_a_pause_that_the_queues_do_not_keep_is_shown_as_asked() {
    let mut house = House::of(&["1001"]);
    at_work(&mut house);
    house.pause("1001", Some("lunch"), "s1");
    house.obeys = false;
    house.pause("1001", None, "s1");
    assert_eq!(house.status("1001"), BoardStatus::Paused);
    assert_eq!(house.reasons("1001"), ["paused", "pause_end_asked"]);
    house.queue("1001", None);
    house.live(&["s1"], 2);
    assert_eq!(house.status("1001"), BoardStatus::Available);
}

#[test]
fn who_is_in_no_queue_is_paused_by_their_own_word() {
    let mut house = House::of(&["1001"]);
    house.pass_seconds(20);
    house.log_in("1001", "s1", "d1");
    house.pause("1001", Some("break"), "s1");
    assert_eq!(house.status("1001"), BoardStatus::Paused);
    // Every queue that takes the agent in is told as well.
    house.queue("1001", None);
    assert_eq!(house.queue_pause("1001"), Some("break"));
    house.pause("1001", None, "s1");
    house.pass_seconds(1);
    assert_eq!(house.status("1001"), BoardStatus::Available);
}

#[test]
fn nothing_is_said_of_a_pause_before_it_is_saved() {
    let mut house = House::of(&["1001"]);
    at_work(&mut house);
    house.commits = false;
    let asked = house.pause("1001", Some("lunch"), "s1");
    assert!(!house.replies.contains_key(&asked));
    assert_eq!(house.view("1001").pause, None);
    house.commit_all();
    assert!(matches!(house.answer(asked), Answer::Pause(_)));
    assert!(house.pauses.contains_key(&ext("1001")));
    let ended = house.pause("1001", None, "s1");
    house.fail_all(Failure::Unavailable);
    assert_eq!(
        house.answer(ended),
        &Answer::Refused(Refusal::DatabaseUnavailable)
    );
}

#[test]
fn a_pause_and_the_end_of_one_outlive_a_restart_of_ours() {
    let mut house = House::of(&["1001"]);
    at_work(&mut house);
    house.obeys = false;
    house.pause("1001", Some("lunch"), "s1");
    let mut house = house.restarted(Config::default());
    house.ami_up();
    house.link_opens("s1");
    house.heartbeat("s1");
    assert_eq!(house.queue_pause("1001"), Some("lunch"), "asked again");
    assert_eq!(house.status("1001"), BoardStatus::Paused);
    house.obeys = false;
    house.pause("1001", None, "s1");
    let mut house = house.restarted(Config::default());
    house.ami_up();
    house.link_opens("s1");
    house.heartbeat("s1");
    assert_eq!(house.queue_pause("1001"), None);
    house.live(&["s1"], 2);
    assert_eq!(house.status("1001"), BoardStatus::Available);
    assert!(house.pauses.is_empty());
}

#[test]
fn an_older_order_that_arrives_late_does_not_outlive_the_end_of_the_pause() {
    let mut house = House::of(&["1001"]);
    at_work(&mut house);
    house.obeys = false;
    house.answers_lists = false;
    house.pause("1001", Some("lunch"), "s1");
    house.pause("1001", None, "s1");
    // Only now Asterisk does what was asked first.
    house.obeys = true;
    house.queue("1001", Some("lunch"));
    assert_eq!(house.queue_pause("1001"), None);
    let asked_at = house.last_resync();
    house.answer_lists(asked_at);
    house.pass_seconds(1);
    assert_eq!(house.status("1001"), BoardStatus::Available);
}

#[test]
fn s25_a_pause_that_somebody_ends_in_asterisk_is_asked_again_and_is_on_record() {
    let mut house = House::of(&["1001"]);
    at_work(&mut house);
    house.pause("1001", Some("lunch"), "s1");
    house.obeys = false;
    house.queue("1001", None);
    assert_eq!(house.status("1001"), BoardStatus::NotAvailable, "R2");
    assert_eq!(house.reasons("1001"), ["pause_asked"]);
    house.obeys = true;
    house.live(&["s1"], 11);
    assert_eq!(house.queue_pause("1001"), Some("lunch"));
    assert_eq!(orders(&house).len(), 3, "at the pace of drains");
}

#[test]
fn a_pause_of_ours_ends_with_the_last_session_and_one_of_others_does_not() {
    let mut house = House::of(&["1001"]);
    at_work(&mut house);
    let elsewhere = Membership {
        endpoint: ext("1001"),
        queue: "sales".to_owned(),
        paused: true,
        reason: "meeting".to_owned(),
    };
    house.pause("1001", Some("lunch"), "s1");
    house.member(elsewhere.clone());
    house.obeys = false;
    house.sign_in("1001", "s2", "d2");
    house.logout("s1");
    assert_eq!(house.queue_pause("1001"), Some("lunch"), "s2 is there yet");
    house.member(elsewhere);
    house.obeys = true;
    house.logout("s2");
    house.pass_seconds(2);
    assert_eq!(house.queue_pause("1001"), None);
    assert!(house.members[&("sales".to_owned(), ext("1001"))].paused);
    assert!(house.pauses.is_empty());
    assert_eq!(house.status("1001"), BoardStatus::Offline);
}

#[test]
fn a_restarted_app_finds_its_pause_again() {
    let mut house = House::of(&["1001"]);
    at_work(&mut house);
    house.pause("1001", Some("lunch"), "s1");
    house.sign_in("1001", "s2", "d1");
    house.link_opens("s2");
    let id = house.register("1001", "1001-s2", Some("d1"));
    house.online("1001", "s2", "sip:1001-s2@10.0.0.9");
    house.qualified(&id, ContactStatus::Reachable);
    assert_eq!(house.queue_pause("1001"), Some("lunch"));
    assert_eq!(house.status("1001"), BoardStatus::Paused);
}

#[test]
fn a_pause_outranks_a_drain_and_outlives_it() {
    let mut house = House::of(&["1001"]);
    at_work(&mut house);
    house.heartbeat_without_microphone("s1");
    assert_eq!(house.queue_pause("1001"), Some("rollcall: no_audio_device"));
    house.pause("1001", Some("lunch"), "s1");
    assert_eq!(house.queue_pause("1001"), Some("lunch"));
    house.heartbeat("s1");
    house.pass_seconds(1);
    assert_eq!(house.queue_pause("1001"), Some("lunch"));
    house.heartbeat_without_microphone("s1");
    house.pause("1001", None, "s1");
    house.pass_seconds(1);
    assert_eq!(house.queue_pause("1001"), Some("rollcall: no_audio_device"));
    house.heartbeat("s1");
    assert_eq!(house.queue_pause("1001"), None);
}

#[test]
fn a_supervisor_pauses_who_is_signed_in_and_nobody_else() {
    let mut house = House::of(&["1001", "1002", "9001"]);
    at_work(&mut house);
    house.sign_in("9001", "boss", "d9");
    let asked = house.pause("1001", Some("training"), "boss");
    assert!(matches!(house.answer(asked), Answer::Pause(_)));
    let entry = house
        .ledger
        .iter()
        .find(|entry| entry.what == "pause_asked");
    assert_eq!(entry.map(|entry| entry.source), Some("supervisor"));
    let asked = house.pause("1002", Some("training"), "boss");
    assert_eq!(house.answer(asked), &Answer::Refused(Refusal::NotSignedIn));
    let asked = house.pause("1009", Some("training"), "boss");
    let unknown = Answer::Refused(Refusal::UnknownExtension);
    assert_eq!(house.answer(asked), &unknown);
}

#[test]
fn a_pause_under_a_key_is_asked_once_and_answered_the_same() {
    let mut house = House::of(&["1001"]);
    at_work(&mut house);
    let keyed = |reason: &str| {
        Intent::Pause(PauseIntent {
            extension: ext("1001"),
            reason: Some(PauseReason::new(reason).unwrap()),
            by: session("s1"),
            key: Some(IdempotencyKey::new("k1").unwrap()),
        })
    };
    let first = house.ask(keyed("lunch"));
    let again = house.ask(keyed("lunch"));
    assert_eq!(house.answer(first), house.answer(again));
    assert_eq!(said(&house, "pause_asked"), 1);
    let misused = house.ask(keyed("break"));
    assert_eq!(house.answer(misused), &Answer::Refused(Refusal::KeyReused));
}

#[test]
fn r5_out_of_sight_a_pause_is_neither_shown_nor_confirmed_and_is_asked_on_return() {
    let mut house = House::of(&["1001"]);
    at_work(&mut house);
    house.ami_lost();
    house.pause("1001", Some("lunch"), "s1");
    assert_eq!(house.status("1001"), BoardStatus::Unknown);
    assert_eq!(confirmed(&house), Some((Some("lunch".to_owned()), false)));
    house.ami_up();
    assert_eq!(house.queue_pause("1001"), Some("lunch"));
    assert_eq!(house.status("1001"), BoardStatus::Paused);
    assert_eq!(confirmed(&house), Some((Some("lunch".to_owned()), true)));
}

#[test]
fn s08_a_pause_whose_end_was_asked_while_asterisk_was_away_is_not_restored() {
    let mut house = House::of(&["1001"]);
    at_work(&mut house);
    house.pause("1001", Some("lunch"), "s1");
    house.pass_seconds(1);
    house.ami_lost();
    house.pass_seconds(8);
    house.pause("1001", None, "s1");
    house.members.clear();
    house.queue("1001", None);
    house.answers_lists = false;
    house.ami_up_after(3);
    let asked_at = house.last_resync();
    house.answer_lists(asked_at);
    house.pass_seconds(1);
    assert_eq!(house.queue_pause("1001"), None);
}

#[test]
fn s08_after_asterisks_restart_a_pause_is_asked_of_it_again() {
    let mut house = House::of(&["1001"]);
    at_work(&mut house);
    house.pause("1001", Some("lunch"), "s1");
    house.ami_lost();
    house.pass_seconds(8);
    house.queue("1001", None);
    house.ami_up_after(3);
    house.pass_seconds(1);
    assert_eq!(house.queue_pause("1001"), Some("lunch"));
}

#[test]
fn s24_a_new_owner_of_an_extension_is_not_in_the_pause_of_the_last() {
    let mut house = House::of(&["1001"]);
    at_work(&mut house);
    house.pause("1001", Some("lunch"), "s1");
    house.see(Observation::People(vec![Person {
        extension: ext("1001"),
        owner: 2,
    }]));
    house.contacts.clear();
    house.pass_seconds(12);
    assert_eq!(house.queue_pause("1001"), None);
    house.log_in("1001", "s2", "d2");
    assert_eq!(house.status("1001"), BoardStatus::Available);
    assert!(house.pauses.is_empty());
}

#[test]
fn r10_who_only_observes_still_does_what_people_ask() {
    let config = Config {
        observe_only: true,
        ..Config::default()
    };
    let mut house = House::without_ami(&["1001"], config);
    house.ami_up();
    at_work(&mut house);
    house.pause("1001", Some("lunch"), "s1");
    assert_eq!(house.queue_pause("1001"), Some("lunch"));
}

#[test]
fn a_paused_agent_on_a_call_is_on_a_call_and_paused_after_it() {
    let mut house = House::of(&["1001"]);
    at_work(&mut house);
    house.call_begins("1001");
    house.pause("1001", Some("lunch"), "s1");
    assert_eq!(house.status("1001"), BoardStatus::OnCall);
    assert_eq!(confirmed(&house), Some((Some("lunch".to_owned()), true)));
    house.call_ends("1001");
    assert_eq!(house.status("1001"), BoardStatus::Paused);
}

#[test]
fn s32_who_pauses_often_does_not_flap() {
    let mut house = House::of(&["1001"]);
    at_work(&mut house);
    for _ in 0..6 {
        house.pause("1001", Some("break"), "s1");
        assert_eq!(house.status("1001"), BoardStatus::Paused);
        house.pause("1001", None, "s1");
        house.pass_seconds(1);
        assert_eq!(house.status("1001"), BoardStatus::Available);
    }
}
