//! R10: however much there is to mend at once, others are asked at a pace they can follow.

use std::time::Duration;

use rollcall_alignment::*;

use crate::house::*;

/// So many agents lose their contacts at once.
const AGENTS: usize = 500;
/// Asks in one second, at most.
const CEILING: u32 = 40;
/// Drains in one second, at most: fewer than apps that are lost.
const DRAINS: u32 = 5;
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
        drains_per_second: DRAINS,
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

/// Everybody of the crowd is at work in a queue.
fn crowd_at_work() -> (House, Vec<String>) {
    let (mut house, agents) = crowd();
    for agent in &agents {
        house.queue(agent, None);
        let id = house.register(agent, &format!("{agent}-a"), Some(&format!("d{agent}")));
        house.qualified(&id, ContactStatus::Reachable);
    }
    house.pass_seconds(1);
    (house, agents)
}

#[test]
fn r10_five_hundred_apps_lost_one_after_another_are_drained_at_a_bounded_pace_and_all_of_them() {
    let (mut house, agents) = crowd_at_work();
    let drain = |ask: &Ask| {
        let Ask::Queues { order, .. } = ask else {
            return false;
        };
        matches!(order, QueueOrder::Drain { .. })
    };
    let mut counts = Vec::new();
    // So few within a heartbeat are no fault of ours (R9).
    for few in agents.chunks(8) {
        for agent in few {
            house.link_closes(&format!("s{agent}"));
        }
        counts.extend(paced(&mut house, 1, drain));
    }
    counts.extend(paced(&mut house, 60, drain));
    assert_eq!(busiest_second(&counts), DRAINS as usize);
    assert_eq!(counts.iter().sum::<usize>(), AGENTS, "each of them once");
    for agent in &agents {
        assert_eq!(house.queue_pause(agent), Some("rollcall: app_lost"));
    }
}

#[test]
fn r10_lists_that_five_hundred_new_contacts_want_are_asked_for_at_a_bounded_pace() {
    let (mut house, agents) = crowd();
    let before = house.resyncs().len();
    for agent in &agents {
        house.register(agent, &format!("{agent}-a"), Some(&format!("d{agent}")));
        house.pass(STEP / 10);
    }
    house.pass_seconds(1);
    let asked = |ask: &Ask| match ask {
        Ask::Resync { asked_at, .. } => Some(*asked_at),
        _ => None,
    };
    let asked: Vec<_> = house.asks.iter().filter_map(asked).skip(before).collect();
    let spacing = Config::default().resync_spacing;
    assert!(asked.windows(2).all(|pair| pair[1] - pair[0] >= spacing));
    let most = 5_000 / spacing.as_millis() as usize + 1;
    assert!((10..=most).contains(&asked.len()), "{}", asked.len());
    assert_eq!(house.rows.len(), AGENTS, "and no contact is missed");
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
