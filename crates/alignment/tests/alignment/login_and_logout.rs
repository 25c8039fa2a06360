//! The seed's three scenarios, and what surrounds them.

use std::time::Duration;

use crate::house::*;
use rollcall_alignment::*;

#[test]
fn a_login_goes_from_registering_over_not_qualified_to_available() {
    let mut house = House::of(&["1001"]);
    assert_eq!(house.status("1001"), BoardStatus::Offline);
    assert_eq!(house.reasons("1001"), ["never_logged_in"]);
    house.sign_in("1001", "s1", "d1");
    house.link_opens("s1");
    house.heartbeat("s1");
    let id = house.register("1001", "1001-d1-r1", Some("d1"));
    house.pass(Duration::from_millis(300));
    assert_eq!(house.reasons("1001"), ["unclaimed"]);
    let request = house.online("1001", "s1", "sip:1001-d1-r1@10.0.0.9:5060");
    assert_eq!(house.status("1001"), BoardStatus::NotAvailable);
    assert_eq!(house.reasons("1001"), ["not_qualified"]);
    assert!(matches!(house.answer(request), Answer::Online(view) if view.online));
    house.qualified(&id, ContactStatus::Reachable);
    let view = house.view("1001");
    assert_eq!(view.status, BoardStatus::Available);
    assert!(view.reasons.is_empty());
    assert_eq!(view.contact_status, Some(ContactStatus::Reachable));
    assert_eq!(house.user("1001"), (true, true));
    assert_eq!(house.row_statuses("1001"), ["Reachable"]);
}

#[test]
fn a_logout_leaves_an_expired_row_and_an_agent_who_is_offline() {
    let mut house = House::of(&["1001"]);
    let id = house.log_in("1001", "s1", "d1");
    house.unregister(&id);
    let request = house.logout("s1");
    assert!(matches!(house.answer(request), Answer::LoggedOut(view) if !view.online));
    assert_eq!(house.status("1001"), BoardStatus::Offline);
    assert_eq!(house.reasons("1001"), ["logged_out"]);
    assert_eq!(house.user("1001"), (false, false));
    assert_eq!(house.row_statuses("1001"), ["Expired"]);
    assert!(house.evictions().is_empty(), "it went by itself");
}

#[test]
fn logout_writes_intent_user_and_contact_in_one_commit() {
    let mut house = House::of(&["1001"]);
    house.log_in("1001", "s1", "d1");
    house.commits = false;
    house.logout("s1");
    assert_eq!(house.pending.len(), 1);
    let writes = &house.pending[0].writes;
    assert!(
        writes
            .iter()
            .any(|write| matches!(write, Write::User(row) if !row.online && !row.sip_registered))
    );
    assert!(
        writes.iter().any(
            |write| matches!(write, Write::Contact(row) if row.status == ContactStatus::Expired)
        )
    );
    assert!(
        writes
            .iter()
            .any(|write| matches!(write, Write::Session(row)
        if row.state == SessionState::Ended(EndReason::LoggedOut)))
    );
    assert!(
        writes
            .iter()
            .any(|write| matches!(write, Write::Ledger(entry) if entry.what == "agent_logout"))
    );
}

#[test]
fn neither_reply_nor_broadcast_leaves_before_its_commit() {
    let mut house = House::of(&["1001"]);
    let id = house.log_in("1001", "s1", "d1");
    house.commits = false;
    let broadcasts = house.broadcasts.len();
    let request = house.logout("s1");
    assert!(!house.replies.contains_key(&request));
    assert_eq!(house.broadcasts.len(), broadcasts);
    house.commit_all();
    house.unregister(&id);
    assert!(
        !house.replies.contains_key(&request),
        "the row's end is not committed"
    );
    house.commit_all();
    assert!(matches!(house.answer(request), Answer::LoggedOut(_)));
    assert_eq!(
        house.broadcasts.last().unwrap().agent.status,
        BoardStatus::Offline
    );
}

#[test]
fn a_commit_that_fails_refuses_the_caller_and_shows_everybody_unknown() {
    let mut house = House::of(&["1001", "1002"]);
    house.log_in("1001", "s1", "d1");
    house.commits = false;
    let request = house.logout("s1");
    house.fail_all(Failure::Unavailable);
    assert_eq!(
        house.answer(request),
        &Answer::Refused(Refusal::DatabaseUnavailable)
    );
    assert_eq!(house.reasons("1001"), ["database_lost"]);
    assert_eq!(house.status("1002"), BoardStatus::Unknown);
    let refused = house.sign_in("1002", "s2", "d2");
    assert_eq!(
        house.answer(refused),
        &Answer::Refused(Refusal::DatabaseUnavailable)
    );
    house.commits = true;
    house.pass_seconds(2);
    assert_eq!(
        house.status("1001"),
        BoardStatus::Offline,
        "the logout was not forgotten"
    );
    assert_eq!(house.user("1001"), (false, false));
    assert_eq!(house.status("1002"), BoardStatus::Offline);
}

#[test]
fn a_database_that_does_not_answer_is_lost_and_found_again() {
    let mut house = House::of(&["1001"]);
    house.log_in("1001", "s1", "d1");
    house.commits = false;
    house.call_begins("1001");
    house.pass_seconds(3);
    assert_eq!(house.reasons("1001"), ["database_lost"]);
    house.commits = true;
    house.commit_all();
    house.pass_seconds(1);
    assert_eq!(house.status("1001"), BoardStatus::OnCall);
}

#[test]
fn a_change_the_database_refuses_shows_that_agent_alone_as_unknown() {
    let mut house = House::of(&["1001", "1002"]);
    house.log_in("1001", "s1", "d1");
    house.failing = Some(Failure::Refused);
    house.call_begins("1001");
    assert_eq!(house.reasons("1001"), ["not_saved"]);
    assert_eq!(house.status("1002"), BoardStatus::Offline);
    house.failing = None;
    house.live(&["s1"], 10);
    assert_eq!(house.status("1001"), BoardStatus::OnCall);
}

#[test]
fn only_what_changed_is_written() {
    let mut house = House::of(&["1001"]);
    house.log_in("1001", "s1", "d1");
    house.commits = false;
    house.call_begins("1001");
    house.commit_all();
    house.heartbeat("s1");
    house.online("1001", "s1", "sip:1001-s1@10.0.0.9:5060");
    house.contact_event(
        "1001",
        "sip:1001-s1@192.0.2.7:41234",
        ContactStatus::Reachable,
    );
    assert!(house.pending.is_empty(), "{:?}", house.pending);
}

#[test]
fn a_repeated_key_hears_the_same_answer_and_another_request_under_it_is_refused() {
    let mut house = House::of(&["1001"]);
    let id = house.log_in("1001", "s1", "d1");
    house.unregister(&id);
    house.commits = false;
    let logout = || Intent::AgentLogout {
        session: session("s1"),
        device: None,
        key: Some(IdempotencyKey::new("k1").unwrap()),
    };
    let first = house.ask(logout());
    let joined = house.ask(logout());
    house.commit_all();
    house.commits = true;
    let later = house.ask(logout());
    assert_eq!(house.answer(first), house.answer(joined));
    assert_eq!(house.answer(first), house.answer(later));
    let misused = house.ask(Intent::AgentOnline {
        session: session("s1"),
        extension: ext("1001"),
        contact_uri: "sip:1001-s1@10.0.0.9".to_owned(),
        take_over: false,
        key: Some(IdempotencyKey::new("k1").unwrap()),
    });
    assert_eq!(house.answer(misused), &Answer::Refused(Refusal::KeyReused));
}

#[test]
fn what_is_refused_writes_nothing() {
    let mut house = House::of(&["1001", "1002"]);
    house.sign_in("1001", "s1", "d1");
    house.commits = false;
    let cases = [
        (
            house.online("1002", "s1", "sip:1001-a@h"),
            Refusal::WrongExtension,
        ),
        (
            house.online("1001", "s9", "sip:1001-a@h"),
            Refusal::UnknownSession,
        ),
        (
            house.online("1001", "s1", "sip:1001-a@h\r\nX: y"),
            Refusal::BadContact(ClaimError::BadCharacter),
        ),
        (
            house.online("1001", "s1", "1001"),
            Refusal::BadContact(ClaimError::NotSip),
        ),
        (house.sign_in("1003", "s3", "d3"), Refusal::UnknownExtension),
    ];
    for (request, refusal) in cases {
        assert_eq!(house.answer(request), &Answer::Refused(refusal));
    }
    let elsewhere = house.ask(Intent::AgentLogout {
        session: session("s1"),
        device: Some(device("d9")),
        key: None,
    });
    assert_eq!(
        house.answer(elsewhere),
        &Answer::Refused(Refusal::UnknownDevice)
    );
    assert!(house.pending.is_empty());
}

#[test]
fn the_seeds_contact_adopts_the_one_contact_of_the_aor() {
    let mut house = House::of(&["1001"]);
    house.sign_in("1001", "s1", "made-up");
    house.link_opens("s1");
    let id = house.register("1001", "1001", None);
    house.qualified(&id, ContactStatus::Reachable);
    house.pass_seconds(1);
    house.online("1001", "s1", "sip:1001@pbx.example");
    assert_eq!(
        house.status("1001"),
        BoardStatus::Available,
        "{:?}",
        house.reasons("1001")
    );
}

#[test]
fn the_seeds_contact_is_a_conflict_where_several_could_be_meant() {
    let mut house = House::of(&["1001"]);
    house.sign_in("1001", "s1", "made-up");
    house.register("1001", "1001", None);
    house.register("1001", "1001-0x55", None);
    house.pass_seconds(1);
    let request = house.online("1001", "s1", "sip:1001@pbx.example");
    assert_eq!(
        house.answer(request),
        &Answer::Refused(Refusal::AmbiguousContact)
    );
}

#[test]
fn a_client_without_any_sign_of_life_is_unverified() {
    let mut house = House::of(&["1001"]);
    house.sign_in("1001", "s1", "made-up");
    let id = house.register("1001", "1001", None);
    house.qualified(&id, ContactStatus::Reachable);
    house.pass_seconds(1);
    house.online("1001", "s1", "sip:1001@pbx.example");
    assert_eq!(house.status("1001"), BoardStatus::Unverified);
    assert_eq!(house.reasons("1001"), ["no_lease"]);
}

#[test]
fn a_contact_that_outlives_its_logout_is_evicted() {
    let mut house = House::of(&["1001"]);
    house.pass_seconds(20);
    let id = house.log_in("1001", "s1", "d1");
    house.logout("s1");
    assert_eq!(house.status("1001"), BoardStatus::Offline);
    assert_eq!(house.row_statuses("1001"), ["Expired"]);
    house.pass_seconds(3);
    assert_eq!(house.evictions(), [(id, EvictReason::LoggedOut)]);
    house.pass_seconds(20);
    assert_eq!(house.evictions().len(), 1, "rate-limited");
}

#[test]
fn a_new_login_replaces_the_expired_row_of_the_last() {
    let mut house = House::of(&["1001"]);
    let id = house.log_in("1001", "s1", "d1");
    house.unregister(&id);
    house.logout("s1");
    house.log_in("1001", "s2", "d1");
    assert_eq!(house.row_statuses("1001"), ["Reachable"]);
}

#[test]
fn ids_with_a_semicolon_and_its_encoding_are_one_contact() {
    assert_eq!(
        ContactId::new("1001^3B@fdcb0da3"),
        ContactId::new("1001;@fdcb0da3")
    );
    let named = device_in_user_agent("Rollcall/0.1.0 (device 7f3a-11)");
    assert_eq!(named, Some(device("7f3a-11")));
}

#[test]
fn the_ledger_says_why_with_rule_lease_and_contact() {
    let mut house = House::of(&["1001"]);
    house.log_in("1001", "s1", "d1");
    let decision = house
        .ledger
        .iter()
        .rev()
        .find(|entry| entry.kind == LedgerKind::Decision);
    let decision = decision.expect("a decision on the ledger");
    assert_eq!(decision.rule, Some("R1"));
    assert!(
        decision
            .detail
            .starts_with("NotAvailable -> Available; lease live, contact ")
    );
    assert!(
        house
            .ledger
            .iter()
            .all(|entry| !entry.detail.contains("192.0.2.7"))
    );
}

#[test]
fn sessions_that_ended_long_ago_are_forgotten_altogether() {
    let mut house = House::of(&["1001"]);
    for place in 0..20 {
        house.sign_in("1001", &format!("s{place}"), "d1");
    }
    let recent = house.logout("s18");
    assert!(matches!(house.answer(recent), Answer::LoggedOut(_)));
    let forgotten = house.logout("s0");
    assert_eq!(
        house.answer(forgotten),
        &Answer::Refused(Refusal::UnknownSession)
    );
}

#[test]
fn f01_a_contact_is_named_by_the_md5_of_its_uri() {
    let id = ContactId::of(&ext("1001"), "sip:1001-0x55a48b3842f0@127.0.0.1:25101");
    assert_eq!(id.as_str(), "1001;@fdcb0da3e00471fbd053abeab6f8ec13");
}

/// A sign-in and a logout within one second, while Asterisk's lists take their time.
fn short_session(house: &mut House) -> ContactId {
    house.answers_lists = false;
    house.sign_in("1001", "s1", "d1");
    house.link_opens("s1");
    house.online("1001", "s1", "sip:1001-s1@10.0.0.9");
    let id = house.register("1001", "1001-s1", Some("d1"));
    house.pass(Duration::from_millis(500));
    id
}

#[test]
fn a_session_that_comes_and_goes_between_two_lists_leaves_its_expired_row() {
    let mut house = House::of(&["1001"]);
    let id = short_session(&mut house);
    house.unregister(&id);
    let request = house.logout("s1");
    assert!(matches!(house.answer(request), Answer::LoggedOut(_)));
    house.answers_lists = true;
    house.pass_seconds(15);
    assert_eq!(house.row_statuses("1001"), ["Expired"]);
    assert!(house.rows.contains_key(&id));
    let (rows, entries) = (house.rows.clone(), house.ledger.len());
    house.contact_event(
        "1001",
        "sip:1001-s1@192.0.2.7:41234",
        ContactStatus::Expired,
    );
    assert_eq!(
        (house.rows, house.ledger.len()),
        (rows, entries),
        "said twice"
    );
}

#[test]
fn a_contact_whose_removal_nobody_heard_leaves_its_expired_row_too() {
    let mut house = House::of(&["1001"]);
    let id = short_session(&mut house);
    house.contacts.remove(&id);
    house.answers_lists = true;
    house.pass_seconds(15);
    assert_eq!(house.row_statuses("1001"), ["Expired"]);
}
