//! Faults for real, each once, beside Asterisk 22 in both modes: nothing acknowledged is lost, every view agrees again,
//! and a call to each Available agent rings.
//!
//! `cargo xtask bench agree` plays them again and again, and writes what that took.

use rollcall_e2e::Mode;
use rollcall_e2e::faults::{House, Situation};

/// What is lost on the way is drawn from this.
const SEED: u64 = 1;

#[tokio::test]
async fn whatever_program_ends_or_hangs_every_view_agrees_again_in_mirror_mode() {
    play(Mode::Mirror, Situation::is_of_a_program).await;
}

#[tokio::test]
async fn whatever_program_ends_or_hangs_every_view_agrees_again_in_shared_mode() {
    play(Mode::Shared, Situation::is_of_a_program).await;
}

#[tokio::test]
async fn whatever_links_tables_and_people_do_every_view_agrees_again_in_mirror_mode() {
    play(Mode::Mirror, |situation| !situation.is_of_a_program()).await;
}

#[tokio::test]
async fn whatever_links_tables_and_people_do_every_view_agrees_again_in_shared_mode() {
    play(Mode::Shared, |situation| !situation.is_of_a_program()).await;
}

/// Plays those that `which` names.
async fn play(mode: Mode, which: fn(Situation) -> bool) {
    let mut house = House::open(mode, SEED).await;
    for situation in Situation::of(mode).filter(|situation| which(*situation)) {
        let figure = situation.play(&mut house).await;
        println!("{figure:?}");
    }
}
