//! What is shown when a source goes out of sight: our own restart, Asterisk's, a link that is lost,
//! lists that are not answered, and what looks like it but is our own fault (R5, R9).

use std::time::Duration;

use rollcall_alignment::*;

use crate::house::*;

#[test]
fn s07_our_restart_gives_leases_their_grace_and_evicts_nobody() {
    let mut house = House::of(&["1001", "1002"]);
    house.log_in("1001", "s1", "d1");
    house.log_in("1002", "s2", "d2");
    let old_epoch = house.core.snapshot().unwrap().epoch;
    let mut house = house.restarted(Config::default());
    assert_eq!(
        house.core.snapshot(),
        None,
        "no snapshot before the state is known"
    );
    house.ami_up();
    assert_ne!(house.core.snapshot().unwrap().epoch, old_epoch);
    assert_eq!(house.status("1001"), BoardStatus::Unknown);
    assert_eq!(house.reasons("1001"), ["server_restarted"]);
    assert_eq!(house.user("1001"), (true, true));
    house.pass_seconds(3);
    house.link_opens("s1");
    house.heartbeat("s1");
    assert_eq!(house.status("1001"), BoardStatus::Available);
    house.live(&["s1"], 15);
    assert_eq!(house.status("1001"), BoardStatus::Available);
    assert_eq!(house.reasons("1002"), ["app_lost"]);
    assert!(house.evictions().is_empty());
}

#[test]
fn s07_without_asterisk_the_first_snapshot_comes_late_and_says_unknown() {
    let mut house = House::without_ami(&["1001"], Config::default());
    assert_eq!(house.core.snapshot(), None);
    house.pass_seconds(3);
    assert_eq!(house.status("1001"), BoardStatus::Unknown);
    assert_eq!(house.reasons("1001"), ["ami_lost"]);
}

#[test]
fn s07_rows_of_agents_whose_sessions_are_gone_are_put_right_at_start() {
    let mut house = House::of(&["1001"]);
    house.log_in("1001", "s1", "d1");
    house.sessions.clear();
    house.contacts.clear();
    let mut house = house.restarted(Config::default());
    house.ami_up();
    assert_eq!(house.status("1001"), BoardStatus::Offline);
    assert_eq!(house.user("1001"), (false, false));
    assert_eq!(house.row_statuses("1001"), ["Expired"]);
}

#[test]
fn s07_after_our_restart_who_is_offline_still_reads_why() {
    let mut house = House::of(&["1001", "1002", "1003"]);
    house.log_in("1001", "s1", "d1");
    house.logout("s1");
    house.log_in("1002", "s2", "d2");
    house.see(Observation::SessionExpired(session("s2")));
    house.contacts.clear();
    let mut house = house.restarted(Config::default());
    house.ami_up();
    assert_eq!(house.reasons("1001"), ["logged_out"]);
    assert_eq!(house.reasons("1002"), ["session_expired"]);
    assert_eq!(house.reasons("1003"), ["never_logged_in"]);
}

#[test]
fn s07_what_ended_while_we_were_away_is_on_the_ledger_and_asked_of_nobody() {
    let mut house = House::of(&["1001", "1002"]);
    let gone = house.log_in("1001", "s1", "d1");
    house.log_in("1002", "s2", "d2");
    house.contacts.remove(&gone);
    let mut house = house.restarted(Config::default());
    house.ledger.clear();
    house.see(Observation::SessionExpired(session("s2")));
    house.ami_up();
    house.live(&["s1"], 20);
    let lines = |name: &str, what: &str| {
        let of_agent =
            |entry: &&LedgerEntry| entry.extension == Some(ext(name)) && entry.what == what;
        house.ledger.iter().filter(of_agent).count()
    };
    assert_eq!(lines("1001", "contact_gone_meanwhile"), 1);
    assert_eq!(lines("1002", "contact_gone_meanwhile"), 0);
    assert_eq!(lines("1002", "session_expired"), 1);
    assert_eq!(lines("1002", "agent_logout"), 0, "nobody asked for it");
    assert_eq!(house.row_statuses("1001"), ["Expired"]);
}

#[test]
fn s07_a_state_keeps_its_age_over_our_restart_and_a_second_one() {
    let mut house = House::of(&["1001", "1002", "1003"]);
    house.log_in("1001", "s1", "d1");
    house.log_in("1002", "s2", "d2");
    house.logout("s2");
    house.live(&["s1"], 5);
    let since = |house: &House, name: &str| house.board[&ext(name)].since_unix_ms;
    let before = ["1001", "1002", "1003"].map(|name| since(&house, name));
    for _ in 0..2 {
        house = house.restarted(Config::default());
        house.ami_up();
        assert_eq!(house.status("1001"), BoardStatus::Unknown);
        house.link_opens("s1");
        house.live(&["s1"], 20);
        assert_eq!(house.status("1001"), BoardStatus::Available);
        assert_eq!(
            ["1001", "1002", "1003"].map(|name| since(&house, name)),
            before
        );
    }
    // Another session is another state, and so is another call.
    house.log_in("1003", "s3", "d3");
    house.set_device("1003", DeviceState::Ringing);
    let rang = since(&house, "1003");
    let mut house = house.restarted(Config::default());
    house.ami_up();
    house.log_in("1001", "s4", "d1");
    assert!(since(&house, "1001") > before[0]);
    assert!(since(&house, "1003") > rang);
}

#[test]
fn s07_until_our_first_commit_the_board_says_what_the_rows_say() {
    let mut house = House::of(&["1001"]);
    let id = house.log_in("1001", "s1", "d1");
    house.link_closes("s1");
    house.unregister(&id);
    house.pass_seconds(60);
    assert_eq!(house.user("1001"), (false, false));
    let mut house = house.restarted(Config::default());
    house.commits = false;
    house.answers_lists = false;
    house.ami_up();
    house.pass_seconds(30);
    let said = house.view("1001");
    assert_eq!((said.online, said.sip_registered), house.user("1001"));
}

#[test]
fn s08_after_asterisks_restart_all_is_unknown_until_the_full_lists() {
    let mut house = House::of(&["1001"]);
    let id = house.log_in("1001", "s1", "d1");
    house.ami_lost();
    assert_eq!(house.status("1001"), BoardStatus::Unknown);
    house.contacts.remove(&id);
    house.devices.insert(ext("1001"), DeviceState::Unavailable);
    house.answers_lists = false;
    house.ami_up();
    assert_eq!(house.reasons("1001"), ["ami_syncing"]);
    let asked_at = house.asks.iter().rev().find_map(|ask| match ask {
        Ask::Resync { asked_at, .. } => Some(*asked_at),
        _ => None,
    });
    house.answer_lists(asked_at.unwrap());
    assert_eq!(house.reasons("1001"), ["sip_down"]);
    house.answers_lists = true;
    house.live(&["s1"], 5);
    assert!(house.asks.contains(&Ask::Reregister {
        session: session("s1")
    }));
}

#[test]
fn s09_a_lost_ami_makes_everybody_unknown_at_once_with_its_age() {
    let mut house = House::of(&["1001", "1002"]);
    house.log_in("1001", "s1", "d1");
    house.live(&["s1"], 10);
    let lost_ms = house.now.unix_ms;
    house.ami_lost();
    house.live(&["s1"], 30);
    for agent in ["1001", "1002"] {
        let view = house.view(agent);
        assert_eq!(view.status, BoardStatus::Unknown);
        assert_eq!(view.since_unix_ms, lost_ms);
        assert_eq!(view.reasons[0].code, ReasonCode::AmiLost);
        assert_eq!(view.reasons[0].since_unix_ms, lost_ms);
    }
    let resyncs = house.resyncs().len();
    house.ami_up();
    assert_eq!(
        house.resyncs()[resyncs..],
        [ResyncReason::LinkUp],
        "never the deltas alone"
    );
    assert_eq!(house.status("1001"), BoardStatus::Available);
    assert_eq!(house.status("1002"), BoardStatus::Offline);
}

#[test]
fn s09_full_lists_are_read_every_minute_and_asked_again_when_unanswered() {
    let mut house = House::of(&["1001"]);
    house.log_in("1001", "s1", "d1");
    let before = house.resyncs().len();
    house.live(&["s1"], 60);
    house.answers_lists = false;
    house.live(&["s1"], 65);
    let expected = [ResyncReason::Periodic, ResyncReason::Periodic];
    assert_eq!(house.resyncs()[before..], expected);
    assert_eq!(
        house.status("1001"),
        BoardStatus::Available,
        "it may still be answered"
    );
    house.live(&["s1"], 10);
    assert_eq!(house.resyncs().last(), Some(&ResyncReason::Unanswered));
    assert_eq!(
        house.status("1001"),
        BoardStatus::Unknown,
        "no green from memory"
    );
    house.answers_lists = true;
    house.live(&["s1"], 10);
    assert_eq!(house.status("1001"), BoardStatus::Available);
}

#[test]
fn s09_lists_that_stop_being_answered_are_shown_with_the_age_of_the_last() {
    let mut house = House::of(&["1001"]);
    house.log_in("1001", "s1", "d1");
    let asked = house.resyncs().len();
    while house.resyncs().len() == asked {
        house.live(&["s1"], 5);
    }
    house.answers_lists = false;
    let wait = house.core.config().resync + house.core.config().resync_timeout;
    let answered = house.asks.iter().rev().find_map(|ask| match ask {
        Ask::Resync { asked_at, .. } => Some(*asked_at),
        _ => None,
    });
    let age = house.now.monotonic - answered.unwrap();
    let last_ms = house.now.unix_ms - u64::try_from(age.as_millis()).unwrap();
    house.live(&["s1"], wait.as_secs() + 5);
    let view = house.view("1001");
    assert_eq!(view.status, BoardStatus::Unknown);
    assert_eq!(view.since_unix_ms, last_ms);
    assert_eq!(view.reasons[0].code, ReasonCode::AmiSyncing);
    assert_eq!(view.reasons[0].since_unix_ms, last_ms);
    house.ami_lost();
    assert_eq!(house.view("1001").reasons[0].code, ReasonCode::AmiLost);
    assert_eq!(house.view("1001").since_unix_ms, last_ms, "the age runs on");
}

#[test]
fn s09_an_empty_list_that_is_not_proved_is_no_answer() {
    let mut house = House::of(&["1001"]);
    house.log_in("1001", "s1", "d1");
    house.empty_is_proved = false;
    house.contacts.clear();
    house.live(&["s1"], 80);
    assert_eq!(house.status("1001"), BoardStatus::Unknown);
    assert_eq!(house.reasons("1001"), ["ami_syncing"]);
    assert_eq!(
        house.row_statuses("1001"),
        ["Reachable"],
        "nobody is taken for gone"
    );
}

#[test]
fn r9_leases_that_end_together_are_our_own_fault_until_the_contrary_is_shown() {
    let agents = ["1001", "1002", "1003", "1004", "1005", "1006"];
    let mut house = House::of(&agents);
    house.pass_seconds(20);
    let mut contacts = Vec::new();
    for (place, agent) in agents.iter().enumerate() {
        contacts.push(house.log_in(agent, &format!("s{place}"), &format!("d{place}")));
    }
    for id in &contacts {
        house.qualified(id, ContactStatus::Unreachable);
    }
    house.pass_seconds(16);
    assert_eq!(house.status("1006"), BoardStatus::Unknown);
    assert_eq!(house.reasons("1006"), ["server_suspect"]);
    assert!(house.evictions().is_empty());
    house.pass_seconds(20);
    assert_eq!(house.reasons("1006"), ["server_suspect"]);
    house.pass(Config::default().longest_suspicion);
    assert_eq!(house.status("1006"), BoardStatus::NotAvailable);
    assert_eq!(house.evictions().len(), agents.len());
}

#[test]
fn r9_a_server_that_slept_suspects_itself() {
    let mut house = House::of(&["1001"]);
    house.log_in("1001", "s1", "d1");
    house.now = house.now.plus(Duration::from_secs(120));
    house.core.handle_timeout(house.now);
    house.pass(Duration::ZERO);
    house.heartbeat("s1");
    assert_eq!(house.status("1001"), BoardStatus::Available);
    assert!(!house.broadcasts.iter().any(|event| {
        event
            .agent
            .reasons
            .iter()
            .any(|reason| reason.code == ReasonCode::AppLost)
    }));
}
