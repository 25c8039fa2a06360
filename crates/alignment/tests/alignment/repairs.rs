//! R10: however much there is to mend at once, others are asked at a pace they can follow.

use std::time::Duration;

use rollcall_alignment::*;

use crate::house::*;

/// So many agents lose their contacts at once.
const AGENTS: usize = 500;
/// Asks in one second, at most.
const CEILING: u32 = 40;
const STEP: Duration = Duration::from_millis(100);

/// Lets time pass and counts the asks of one kind in each tenth of a second.
fn paced(house: &mut House, seconds: usize, kind: fn(&Ask) -> bool) -> Vec<usize> {
    let mut counts = Vec::new();
    for _ in 0..seconds * 10 {
        let before = house.asks.iter().filter(|ask| kind(ask)).count();
        house.pass(STEP);
        counts.push(house.asks.iter().filter(|ask| kind(ask)).count() - before);
    }
    counts
}

fn busiest_second(counts: &[usize]) -> usize {
    let seconds = counts.windows(10).map(|second| second.iter().sum());
    seconds.max().unwrap_or_default()
}

fn crowd() -> (House, Vec<String>) {
    let agents: Vec<String> = (0..AGENTS)
        .map(|place| format!("{}", 1000 + place))
        .collect();
    let names: Vec<&str> = agents.iter().map(String::as_str).collect();
    let config = Config {
        evictions_per_second: CEILING,
        reregistrations_per_second: CEILING,
        qualifies_per_second: CEILING,
        ..Config::default()
    };
    let mut house = House::without_ami(&names, config);
    house.ami_up();
    house.pass_seconds(20);
    for agent in &agents {
        house.sign_in(agent, &format!("s{agent}"), &format!("d{agent}"));
        house.link_opens(&format!("s{agent}"));
        house.online(
            agent,
            &format!("s{agent}"),
            &format!("sip:{agent}-a@10.0.0.9"),
        );
    }
    (house, agents)
}

#[test]
fn r10_five_hundred_lost_contacts_are_evicted_at_a_bounded_pace_and_all_of_them() {
    let (mut house, agents) = crowd();
    for agent in &agents {
        let id = house.register(agent, &format!("{agent}-a"), Some(&format!("d{agent}")));
        house.qualified(&id, ContactStatus::Reachable);
    }
    house.pass_seconds(1);
    for agent in &agents {
        house.logout(&format!("s{agent}"));
    }
    let counts = paced(&mut house, 20, |ask| matches!(ask, Ask::Evict { .. }));
    assert_eq!(busiest_second(&counts), CEILING as usize);
    assert_eq!(counts.iter().sum::<usize>(), AGENTS);
    let mut evicted = house.evictions();
    evicted.dedup();
    assert_eq!(evicted.len(), AGENTS, "each of them once");
}

#[test]
fn r10_apps_are_nudged_and_contacts_qualified_at_a_bounded_pace() {
    let (mut house, agents) = crowd();
    // Nobody's phone registers: every app is asked to.
    let nudges = paced(&mut house, 10, |ask| matches!(ask, Ask::Reregister { .. }));
    assert_eq!(busiest_second(&nudges), CEILING as usize);
    for agent in &agents {
        house.register(agent, &format!("{agent}-a"), Some(&format!("d{agent}")));
    }
    let qualifies = paced(&mut house, 10, |ask| matches!(ask, Ask::Qualify { .. }));
    assert_eq!(busiest_second(&qualifies), CEILING as usize);
}

fn qualifies(house: &House) -> usize {
    let kind = |ask: &&Ask| matches!(ask, Ask::Qualify { .. });
    house.asks.iter().filter(kind).count()
}

#[test]
fn a_phone_that_missed_one_options_while_its_app_is_heard_is_asked_again_at_once() {
    let mut house = House::of(&["1001"]);
    house.pass_seconds(20);
    let id = house.log_in("1001", "s1", "d1");
    house.pass_seconds(1);
    let before = qualifies(&house);
    house.qualified(&id, ContactStatus::Unreachable);
    assert_eq!(qualifies(&house), before + 1, "at once");
    house.live(&["s1"], 25);
    assert_eq!(
        qualifies(&house),
        before + 3,
        "then at the pace of qualifies"
    );
    house.qualified(&id, ContactStatus::Reachable);
    house.live(&["s1"], 25);
    assert_eq!(qualifies(&house), before + 3, "and no more once it answers");
    let noted =
        |entry: &&LedgerEntry| entry.what == "qualify" && entry.detail.contains("did not answer");
    assert_eq!(house.ledger.iter().filter(noted).count(), 1);
}

#[test]
fn a_phone_whose_app_is_not_heard_or_says_it_is_not_registered_is_not_asked_again() {
    let mut house = House::of(&["1001"]);
    house.pass_seconds(20);
    let id = house.log_in("1001", "s1", "d1");
    house.pass_seconds(1);
    let before = qualifies(&house);
    house.link_closes("s1");
    house.qualified(&id, ContactStatus::Unreachable);
    house.pass_seconds(8);
    house.heartbeat_with(
        "s1",
        Vitals {
            registered: Some(false),
            ..good_vitals()
        },
    );
    house.link_opens("s1");
    house.pass_seconds(1);
    assert_eq!(qualifies(&house), before);
}
