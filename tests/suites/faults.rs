//! Faults for real, each once, beside Asterisk 22 in both modes: nothing acknowledged is lost, every view agrees again,
//! and a call to each Available agent rings.
//!
//! `cargo xtask bench agree` plays them many times, and writes what that took.

use rollcall_e2e::Mode;
use rollcall_e2e::faults::{House, Situation};

/// What is lost on the way is drawn from this.
const SEED: u64 = 1;

#[tokio::test]
async fn whatever_program_ends_or_hangs_every_view_agrees_again_in_mirror_mode() {
    play(Mode::Mirror, Situation::OF_PROGRAMS.to_vec()).await;
}

#[tokio::test]
async fn whatever_program_ends_or_hangs_every_view_agrees_again_in_shared_mode() {
    play(Mode::Shared, Situation::OF_PROGRAMS.to_vec()).await;
}

#[tokio::test]
async fn whatever_links_tables_and_people_do_every_view_agrees_again_in_mirror_mode() {
    play(Mode::Mirror, the_others(Mode::Mirror)).await;
}

#[tokio::test]
async fn whatever_links_tables_and_people_do_every_view_agrees_again_in_shared_mode() {
    play(Mode::Shared, the_others(Mode::Shared)).await;
}

async fn play(mode: Mode, situations: Vec<Situation>) {
    let mut house = House::open(mode, SEED).await;
    for situation in situations {
        let figure = situation.play(&mut house).await;
        println!("{figure:?}");
    }
}

fn the_others(mode: Mode) -> Vec<Situation> {
    let of_programs = |situation: &Situation| Situation::OF_PROGRAMS.contains(situation);
    let all = Situation::of(mode);
    all.filter(|situation| !of_programs(situation)).collect()
}
