//! The house in small, on virtual time: the real core, the real manager session, the pocket PBX and
//! real SIP phones; models of the database, the network, the apps and their people; faults drawn from
//! a seed.
//!
//! ```text
//! people ─► apps ─SIP─► network ─► pocket PBX ─AMI─► session ─► observations ─► core
//!            └──── intents, links, heartbeats ────────────────────────────────► core ─► commits ─► database
//! ```
//!
//! `cargo xtask soak --seeds 100000` plays that many houses; `SOAK_SEED=7` plays the seventh again,
//! with its story.

mod app;
mod check;
mod database;
mod fault;
mod lines;
mod manager;
mod rest;
mod table;
mod truth;
mod turns;
mod world;

use std::collections::BTreeMap;
use std::env;
use std::panic::{AssertUnwindSafe, catch_unwind};

use world::World;

/// Houses in the test command.
const SEEDS: u64 = 2_000;
/// Tests that share them, so that several cores may play.
const SHARES: u64 = 4;
/// How often a long soak says how far it is.
const TELLS_EVERY: u64 = 1_000;

fn number(name: &str) -> Option<u64> {
    env::var(name).ok()?.parse().ok()
}

/// Plays one house to its end: what agreeing after its one fault took, if it was one.
fn play(seed: u64, tells: bool) -> Option<(u8, u64)> {
    let mut world = World::new(seed, tells);
    world.open();
    let took = world.live_through_faults();
    world.heal();
    took
}

/// Plays a share of all houses; one that is named is the first share's.
fn soak(share: u64) {
    if let Some(seed) = number("SOAK_SEED") {
        if share == 0 {
            play(seed, true);
        }
        return;
    }
    let seeds = number("SOAK_SEEDS").unwrap_or(SEEDS);
    let first = number("SOAK_FROM").unwrap_or(1);
    let mut times: BTreeMap<u8, Vec<u64>> = BTreeMap::new();
    for seed in (first..first + seeds).filter(|seed| seed % SHARES == share) {
        match catch_unwind(AssertUnwindSafe(|| play(seed, false))) {
            Ok(Some((situation, seconds))) => times.entry(situation).or_default().push(seconds),
            Ok(None) => {}
            Err(panic) => {
                eprintln!(
                    "seed {seed} fails; SOAK_SEED={seed} cargo test -p rollcall-server --test simulation plays it again"
                );
                std::panic::resume_unwind(panic);
            }
        }
        if seed % TELLS_EVERY < SHARES {
            eprintln!("seed {seed} passed");
        }
    }
    for (situation, mut seconds) in times {
        seconds.sort_unstable();
        let of = |percent: usize| seconds[(seconds.len() * percent).div_ceil(100).max(1) - 1];
        println!(
            "situation {situation}, alone in {} houses: agreed after {} s (p50), {} s (p99), {} s (max)",
            seconds.len(),
            of(50),
            of(99),
            of(100)
        );
    }
}

/// Whatever fails, nothing is said that is not so, and at rest every view agrees.
mod soak_whatever_fails_nothing_is_said_that_is_not_so_and_at_rest_every_view_agrees {
    #[test]
    fn in_the_first_quarter_of_houses() {
        super::soak(0);
    }

    #[test]
    fn in_the_second_quarter_of_houses() {
        super::soak(1);
    }

    #[test]
    fn in_the_third_quarter_of_houses() {
        super::soak(2);
    }

    #[test]
    fn in_the_last_quarter_of_houses() {
        super::soak(3);
    }
}

#[test]
fn a_seed_is_one_story() {
    let story = |seed| {
        let mut world = World::new(seed, false);
        world.open();
        world.live_through_faults();
        world.heal();
        world.story.join("\n")
    };
    assert_eq!(story(5), story(5));
    assert_ne!(story(5), story(6));
}
