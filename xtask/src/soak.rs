//! `cargo xtask soak`: what is too long for the test command.
//!
//! Plays every test whose name holds `soak`, with many more seeds than the test command gives it. Such a test reads the
//! number of seeds from `SOAK_SEEDS` and has a small one of its own for the test command; one that has no short form is
//! `#[ignore]`d there. Then every fuzz target searches on with a sanitizer.

use crate::{Result, compile, fuzz, process};

/// Seeds each test is played with unless told otherwise.
const SEEDS: &str = "10000";

/// How long each fuzz target searches unless told otherwise.
const SECONDS: &str = "60";

/// Builds and plays the soak tests with so many `--seeds`, and fuzzes for so many `--seconds` a target; `fuzz` does that alone.
pub(crate) fn soak(words: &[&str]) -> Result<()> {
    let is_number = |word: &str| word.parse::<u64>().is_ok();
    let (mut seeds, mut seconds) = (SEEDS, SECONDS);
    let (alone, options) = match words {
        ["fuzz", options @ ..] => (true, options),
        options => (false, options),
    };
    for option in options.chunks(2) {
        match option {
            ["--seeds", number] if is_number(number) && !alone => seeds = number,
            ["--seconds", number] if is_number(number) => seconds = number,
            _ => {
                return Err("usage: cargo xtask soak [fuzz] [--seeds N] [--seconds N]".to_owned());
            }
        }
    }
    if !alone {
        tests(seeds)?;
    }
    fuzz::fuzz(seconds)
}

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
    ]);
    tests.env("SOAK_SEEDS", seeds);
    match process::in_foreground(&tests)?.success() {
        true => Ok(()),
        false => Err("a soak test failed; it names its seed".to_owned()),
    }
}
