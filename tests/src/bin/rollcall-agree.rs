//! `rollcall-agree`: plays every fault in rounds beside Asterisk 22, in both modes, and writes what agreeing took.
//!
//! `cargo xtask bench agree [--rounds N]` builds what it needs and runs it. The table is written after each round. A fault
//! that is not agreed about ends it with the words of what did not agree.

use rollcall_e2e::Mode;
use rollcall_e2e::faults::{Figure, House, Situation, table};
use rollcall_e2e::surroundings::repository;

/// Rounds unless told otherwise.
const ROUNDS: u64 = 3;

const HEAD: &str = "\
# Time to agree

Written by `cargo xtask bench agree`; not to be changed by hand. Every fault is played beside a private Asterisk 22, with
the server, a database server of its own (mirror mode: MariaDB; shared mode: PostgreSQL), two agents at work, a third who
signs in and out in the middle of it, and dashboards on our own client. Lease 3 s, heartbeat and qualify 1 s, full lists
every 2 s. In mirror mode an extension may have several devices, so that there is nothing to take over.

After each fault a checker demands: no acknowledged sign-in or sign-out is missing in the ledger; each event of the board
follows the one before; board, table and `pjsip show contacts` say the same of everybody; a call placed to each Available
agent rings.

*Not green after*: from the fault's beginning until the dashboard called nobody Available whom it concerns; `-` where
nobody ought to turn. *Board right after* and *all views agree after*: from the fault's end, where an end is a program that
accepts connections again, a link that is mended, or (for a change by SQL or by a person) the change itself. Percentiles
are nearest ranks: with fewer than a hundred rounds p99 is the longest that was seen. Both modes are played at the same time
on one machine, by debug builds.

";

#[tokio::main]
async fn main() {
    let place = repository().join("docs/time-to-agree.md");
    let mut figures = Vec::new();
    for round in 1..=rounds() {
        let (mirror, shared) = tokio::join!(play(Mode::Mirror, round), play(Mode::Shared, round));
        figures.extend(mirror.into_iter().chain(shared));
        let text = format!("{HEAD}{round} rounds.\n\n{}", table(&figures));
        std::fs::write(&place, &text)
            .unwrap_or_else(|error| panic!("{}: {error}", place.display()));
        println!("\n{text}\nwritten to {}", place.display());
    }
}

/// All that can befall a house of its own, so that nobody has come and gone too often in it already.
async fn play(mode: Mode, round: u64) -> Vec<Figure> {
    let mut house = House::open(mode, round).await;
    let mut figures = Vec::new();
    for situation in Situation::of(mode) {
        let figure = situation.play(&mut house).await;
        report(round, &figure);
        figures.push(figure);
    }
    figures
}

fn rounds() -> u64 {
    let words: Vec<String> = std::env::args().skip(1).collect();
    match words.iter().map(String::as_str).collect::<Vec<_>>()[..] {
        [] => ROUNDS,
        ["--rounds", number] => number
            .parse()
            .unwrap_or_else(|_| panic!("{number} is no number of rounds")),
        _ => panic!("usage: rollcall-agree [--rounds N]"),
    }
}

fn report(round: u64, figure: &Figure) {
    println!(
        "round {round} {:?} {}: board {:.2} s, all {:.2} s",
        figure.mode,
        figure.situation.words(),
        figure.board.as_secs_f64(),
        figure.agreed.as_secs_f64()
    );
}
