//! The server beside a Node service of the seed's design, under one load generator; and five hundred sign-ins at once.

pub(crate) mod attacks;
mod boards;
mod doors;
mod floods;
mod idlers;
mod load;
mod programs;
mod sign_ins;

use load::Figure;
use programs::Target;

use crate::Result;
use crate::table::Spread;

/// A row: what it is called, and where its figure is found.
type Row = (&'static str, fn(&Figure) -> f64);

/// Agents that go online at a time, a connection each.
const AGENTS: usize = 64;
/// Who comes in at eight o'clock.
const COMING: usize = 500;
/// All agents of the load have one address.
const UNLIMITED: &str =
    "[limits]\nrequests_per_address = 1000000\nrequests_per_account = 1000000\n";

/// `agent-online` on SQLite, ours and the peer's in turns; then the sign-ins.
pub(crate) fn measure(rounds: usize) -> Result<()> {
    println!("agent-online, {AGENTS} connections, in turns, {rounds} rounds");
    let ours = programs::ours(AGENTS + COMING, UNLIMITED)?;
    let node = programs::node(AGENTS)?;
    let targets: [&Target; 2] = [&ours, &node];
    let tokens = [ours.sign_in(AGENTS)?, node.tokens(AGENTS)];
    let mut figures = [const { Vec::new() }; 2];
    for round in 1..=rounds {
        for ((target, tokens), figures) in targets.iter().zip(&tokens).zip(&mut figures) {
            let figure = load::agent_online(target, tokens, round)?;
            println!("  round {round}: {:<24} {figure}", target.name);
            figures.push(figure);
        }
    }
    print(targets, &figures);
    drop(node);
    sign_ins::measure(&ours, AGENTS, AGENTS + COMING)
}

fn print(targets: [&Target; 2], figures: &[Vec<Figure>; 2]) {
    const ROWS: [Row; 3] = [
        ("answered, each on disk, a second", Figure::rate),
        ("CPU of the server each, us", Figure::cpu_each_us),
        ("answered after, p99, ms", |figure| figure.p99_ms),
    ];
    println!(
        "\n{:<34} {:>26} {:>26} {:>8}",
        "median (range)", targets[0].name, targets[1].name, "ratio"
    );
    for (name, figure) in ROWS {
        let [ours, peer] = figures.each_ref().map(|rounds| Spread::of(rounds, figure));
        println!(
            "{name:<34} {:>26} {:>26} {:>8.2}",
            ours.to_string(),
            peer.to_string(),
            ours.median / peer.median
        );
    }
    println!(
        "ratio: the first median by the second. Ours also writes the session and the ledger; neither has a dashboard.\n"
    );
}
