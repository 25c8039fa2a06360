//! `cargo xtask soak`: what is too long for the test command.
//!
//! Plays every test whose name holds `soak`, with many more seeds than the test command does, then every fault for real
//! beside Asterisk 22, and then every fuzz target searches on with a sanitizer. A soak test reads the number of seeds from
//! `SOAK_SEEDS` and has a small one of its own for the test command; one that has no short form is `#[ignore]`d there.

use crate::{Result, bench, compile, fuzz, process};

/// Houses of the simulation, which is what the most can go wrong in, unless told otherwise.
const HOUSES: &str = "100000";
/// Seeds each other test is played with unless told otherwise.
const SEEDS: &str = "10000";
/// How often each fault is played for real unless told otherwise.
const ROUNDS: &str = "10";
/// How long each fuzz target searches unless told otherwise.
const SECONDS: &str = "60";

/// Plays the soak tests with so many `--seeds`, the faults in so many `--rounds`, and fuzzes for so many `--seconds` a
/// target; `fuzz` does that alone.
pub(crate) fn soak(words: &[&str]) -> Result<()> {
    let is_number = |word: &str| word.parse::<u64>().is_ok();
    let (mut seeds, mut rounds, mut seconds) = (None, ROUNDS, SECONDS);
    let (alone, options) = match words {
        ["fuzz", options @ ..] => (true, options),
        options => (false, options),
    };
    for option in options.chunks(2) {
        match option {
            ["--seeds", number] if is_number(number) && !alone => seeds = Some(*number),
            ["--rounds", number] if is_number(number) && !alone => rounds = number,
            ["--seconds", number] if is_number(number) => seconds = number,
            _ => {
                return Err(
                    "usage: cargo xtask soak [fuzz] [--seeds N] [--rounds N] [--seconds N]"
                        .to_owned(),
                );
            }
        }
    }
    if !alone {
        simulation(seeds.unwrap_or(HOUSES))?;
        tests(seeds.unwrap_or(SEEDS))?;
        bench::agree(&["--rounds", rounds])?;
    }
    fuzz::fuzz(seconds)
}

/// Simulated houses, with the optimisations of a release: what links them whole would take longer than it saves.
fn simulation(houses: &str) -> Result<()> {
    let mut tests = compile::cargo(&[
        "test",
        "--locked",
        "--release",
        "--package",
        "rollcall-server",
        "--test",
        "simulation",
        "soak",
        "--",
        "--nocapture",
    ]);
    tests
        .env("SOAK_SEEDS", houses)
        .env("CARGO_PROFILE_RELEASE_LTO", "off")
        .env("CARGO_PROFILE_RELEASE_CODEGEN_UNITS", "16");
    match process::in_foreground(&tests)?.success() {
        true => Ok(()),
        false => Err("a simulated house failed; its seed is named above".to_owned()),
    }
}

/// All the others.
fn tests(seeds: &str) -> Result<()> {
    let mut tests = compile::cargo(&[
        "test",
        "--locked",
        "--workspace",
        "--exclude",
        "rollcall-e2e",
        "--exclude",
        "rollcall",
        "--tests",
        "soak",
        "--",
        "--include-ignored",
        "--skip",
        "whatever_fails_nothing_is_said",
    ]);
    tests.env("SOAK_SEEDS", seeds);
    match process::in_foreground(&tests)?.success() {
        true => Ok(()),
        false => Err("a soak test failed; it names its seed".to_owned()),
    }
}
