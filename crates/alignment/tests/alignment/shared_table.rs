//! A table that Asterisk, or somebody by hand, writes too (shared mode), and evictions that a
//! restart of ours cut short.

use std::time::Duration;

use rollcall_alignment::*;

use crate::house::*;

#[test]
fn a_row_that_asterisk_inserted_anew_gets_its_status_back() {
    let mut house = House::of(&["1001"]);
    let id = house.log_in("1001", "s1", "d1");
    house.rows.get_mut(&id).unwrap().status = ContactStatus::Unknown;
    house.live(&["s1"], 65);
    assert_eq!(house.row_statuses("1001"), ["Reachable"]);
}

#[test]
fn a_row_that_somebody_deleted_is_written_again() {
    let mut house = House::of(&["1001"]);
    let id = house.log_in("1001", "s1", "d1");
    house.rows.remove(&id);
    house.live(&["s1"], 65);
    assert_eq!(house.row_statuses("1001"), ["Reachable"]);
}

#[test]
fn an_expiry_that_somebody_changed_in_the_mirror_is_put_right() {
    let mut house = House::of(&["1001"]);
    let id = house.log_in("1001", "s1", "d1");
    let proved = house.rows.get(&id).unwrap().expires_unix;
    house.rows.get_mut(&id).unwrap().expires_unix = 1;
    house.live(&["s1"], 65);
    assert_eq!(house.rows.get(&id).unwrap().expires_unix, proved);
}

#[test]
fn a_table_that_is_as_we_left_it_is_not_written() {
    let mut house = House::of(&["1001"]);
    house.log_in("1001", "s1", "d1");
    house.live(&["s1"], 30);
    let written = house.ledger.len();
    house.commits = false;
    house.live(&["s1"], 65);
    assert!(house.pending.is_empty(), "{:?}", house.pending);
    assert_eq!(house.ledger.len(), written);
}

#[test]
fn a_table_read_before_our_commit_does_not_undo_it() {
    let mut house = House::of(&["1001"]);
    let id = house.log_in("1001", "s1", "d1");
    house.answers_lists = false;
    house.live(&["s1"], 65);
    let asked = house.asks.iter().rev().find_map(|ask| match ask {
        Ask::Resync { asked_at, .. } => Some(*asked_at),
        _ => None,
    });
    let asked_at = asked.unwrap();
    let before = house.rows.values().cloned().collect();
    house.qualified(&id, ContactStatus::Unreachable);
    assert_eq!(house.row_statuses("1001"), ["Unreachable"]);
    house.commits = false;
    house.see(Observation::Stored {
        asked_at,
        rows: before,
    });
    assert!(house.pending.is_empty(), "{:?}", house.pending);
}

#[test]
fn an_eviction_that_a_restart_cut_short_is_made_up_for() {
    for device in [Some("d1"), None] {
        let mut house = House::of(&["1001"]);
        let id = logged_out_before_eviction(&mut house, device);
        assert!(house.evictions().is_empty());
        let mut house = house.restarted(Config::default());
        house.ami_up();
        house.pass_seconds(30);
        assert_eq!(house.evictions(), [(id, EvictReason::LoggedOut)]);
        assert_eq!(house.row_statuses("1001"), ["Expired"]);
    }
}

#[test]
fn a_desk_phone_that_registered_again_while_we_were_away_is_not_evicted() {
    let mut house = House::of(&["1001"]);
    let id = logged_out_before_eviction(&mut house, None);
    house.contacts.get_mut(&id).unwrap().expires_unix += 60;
    let mut house = house.restarted(Config::default());
    house.ami_up();
    house.pass_seconds(30);
    assert!(house.evictions().is_empty());
}

#[test]
fn an_app_that_came_back_while_we_were_away_keeps_its_contact() {
    let mut house = House::of(&["1001"]);
    let id = house.log_in("1001", "s1", "d1");
    house.rows.get_mut(&id).unwrap().status = ContactStatus::Expired;
    let mut house = house.restarted(Config::default());
    house.ami_up();
    house.link_opens("s1");
    house.live(&["s1"], 30);
    assert!(house.evictions().is_empty());
    assert_eq!(house.status("1001"), BoardStatus::Available);
}

/// A logout whose phone does not un-REGISTER, looked at before the eviction is due.
fn logged_out_before_eviction(house: &mut House, device: Option<&str>) -> ContactId {
    house.pass_seconds(20);
    house.sign_in("1001", "s1", "d1");
    let user = if device.is_some() { "1001-a" } else { "1001" };
    let id = house.register("1001", user, device);
    house.qualified(&id, ContactStatus::Reachable);
    house.online("1001", "s1", &format!("sip:{user}@192.0.2.7"));
    house.logout("s1");
    house.pass(Duration::from_millis(500));
    id
}
