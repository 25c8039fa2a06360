//! Queues: drained while a phone or app is not proved (R10), restored after Asterisk's restart.

use rollcall_alignment::*;

use crate::house::*;

/// An agent at work in a queue, past the grace of our start.
fn at_work(house: &mut House) -> ContactId {
    house.pass_seconds(20);
    house.queue("1001", None);
    house.log_in("1001", "s1", "d1")
}

fn drains(house: &House) -> usize {
    let drain = |ask: &&Ask| {
        matches!(
            ask,
            Ask::Queues {
                order: QueueOrder::Drain { .. },
                ..
            }
        )
    };
    house.asks.iter().filter(drain).count()
}

#[test]
fn s01_a_lost_app_is_drained_and_taken_back_when_it_returns() {
    let mut house = House::of(&["1001"]);
    at_work(&mut house);
    house.link_closes("s1");
    assert_eq!(house.queue_pause("1001"), None, "its lease may yet be kept");
    house.pass_seconds(16);
    assert_eq!(house.queue_pause("1001"), Some("rollcall: app_lost"));
    assert_eq!(house.status("1001"), BoardStatus::NotAvailable);
    house.link_opens("s1");
    house.heartbeat("s1");
    assert_eq!(house.queue_pause("1001"), None);
    house.pass_seconds(1);
    assert_eq!(house.status("1001"), BoardStatus::Available);
    let repairs: Vec<_> = house
        .ledger
        .iter()
        .filter(|entry| entry.kind == LedgerKind::Repair && entry.what != "qualify")
        .map(|entry| entry.what)
        .collect();
    assert_eq!(repairs, ["drain", "undrain"], "both are audited");
}

#[test]
fn s03_a_laptop_that_says_goodbye_on_suspend_is_drained_at_its_leases_end_and_its_contact_is_gone()
{
    let mut house = House::of(&["1001"]);
    let id = at_work(&mut house);
    house.unregister(&id);
    house.link_closes("s1");
    house.pass_seconds(16);
    assert_eq!(house.status("1001"), BoardStatus::Offline);
    assert_eq!(house.reasons("1001"), ["app_lost"]);
    house.link_opens("s1");
    house.heartbeat("s1");
    let id = house.register("1001", "1001-s1", Some("d1"));
    house.qualified(&id, ContactStatus::Reachable);
    house.heartbeat_without_microphone("s1");
    house.pass_seconds(1);
    assert_eq!(
        house.reasons("1001"),
        ["no_audio_device"],
        "the microphone is checked"
    );
    house.heartbeat("s1");
    house.pass_seconds(1);
    assert_eq!(house.status("1001"), BoardStatus::Available);
}

#[test]
fn s08_pauses_and_memberships_that_asterisk_forgot_in_its_restart_are_restored() {
    let mut house = House::of(&["1001", "1002"]);
    at_work(&mut house);
    house.queue("1002", Some("lunch"));
    house.ami_lost();
    house.pass_seconds(8);
    house.members.clear();
    house.answers_lists = false;
    house.ami_up_after(3);
    let asked_at = house.last_resync();
    house.answer_lists(asked_at);
    assert_eq!(house.queue_pause("1001"), None, "a member again");
    assert_eq!(
        house.queue_pause("1002"),
        Some("lunch"),
        "and the pause with it"
    );
    assert!(
        house
            .ledger
            .iter()
            .any(|entry| entry.what == "restore_pause")
    );
}

#[test]
fn s08_an_asterisk_that_did_not_restart_is_not_told_what_an_admin_took_away() {
    let mut house = House::of(&["1001"]);
    at_work(&mut house);
    house.ami_lost();
    house.pass_seconds(8);
    house.members.clear();
    house.answers_lists = false;
    house.ami_up_after(3600);
    let asked_at = house.last_resync();
    house.answer_lists(asked_at);
    assert!(house.members.is_empty());
}

#[test]
fn s18_who_leaves_after_a_call_is_passed_over_meanwhile() {
    let mut house = House::of(&["1001"]);
    at_work(&mut house);
    house.call_begins("1001");
    house.logout("s1");
    assert_eq!(house.queue_pause("1001"), Some("rollcall: logout_pending"));
    house.call_ends("1001");
    assert_eq!(
        house.queue_pause("1001"),
        None,
        "the pause that the session made ends with it"
    );
}

#[test]
fn s31_without_a_microphone_an_agent_is_drained() {
    let mut house = House::of(&["1001"]);
    at_work(&mut house);
    house.heartbeat_without_microphone("s1");
    assert_eq!(house.queue_pause("1001"), Some("rollcall: no_audio_device"));
    house.heartbeat("s1");
    assert_eq!(house.queue_pause("1001"), None);
}

#[test]
fn a_pause_of_a_persons_is_never_ended_by_a_repair() {
    let mut house = House::of(&["1001"]);
    at_work(&mut house);
    house.queue("1001", Some("lunch"));
    assert_eq!(house.status("1001"), BoardStatus::Paused);
    house.link_closes("s1");
    house.pass_seconds(20);
    house.link_opens("s1");
    house.heartbeat("s1");
    assert_eq!(house.queue_pause("1001"), Some("lunch"));
    assert_eq!(drains(&house), 0);
}

#[test]
fn a_drain_that_is_not_seen_is_asked_again_at_its_pace() {
    let mut house = House::of(&["1001"]);
    at_work(&mut house);
    house.obeys = false;
    house.link_closes("s1");
    house.pass_seconds(45);
    let seconds = 45 - 15;
    assert!(
        (2..=seconds / 10 + 1).contains(&drains(&house)),
        "{}",
        drains(&house)
    );
}

#[test]
fn an_agent_who_is_there_with_one_device_is_not_drained_for_the_other() {
    let mut house = House::of(&["1001"]);
    at_work(&mut house);
    house.log_in("1001", "s2", "d2");
    house.link_closes("s1");
    house.live(&["s2"], 30);
    assert_eq!(house.status("1001"), BoardStatus::Available);
    assert_eq!(drains(&house), 0);
}

#[test]
fn r10_to_observe_only_is_to_note_and_to_leave_everything_as_it_is() {
    let config = Config {
        observe_only: true,
        ..Config::default()
    };
    let mut house = House::without_ami(&["1001"], config);
    house.ami_up();
    let id = at_work(&mut house);
    house.link_closes("s1");
    house.qualified(&id, ContactStatus::Unreachable);
    house.pass_seconds(60);
    let only_reads = |ask: &Ask| matches!(ask, Ask::Resync { .. });
    assert!(house.asks.iter().all(only_reads), "{:?}", house.asks);
    for what in ["drain", "evict"] {
        let noted = house.ledger.iter().find(|entry| entry.what == what);
        assert!(
            noted.is_some_and(|entry| entry.detail.starts_with("observed only")),
            "{what}"
        );
    }
}
