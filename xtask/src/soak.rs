//! `cargo xtask soak`: what is too long for the test command.
//!
//! Plays every test whose name holds `soak`, with many more seeds than the test command gives it. Such a test reads the
//! number of seeds from `SOAK_SEEDS` and has a small one of its own for the test command; one that has no short form is
//! `#[ignore]`d there.

use crate::{Result, compile, process};

/// Seeds each test is played with unless told otherwise.
const SEEDS: &str = "10000";

/// Builds and plays the soak tests; `--seeds N` changes how many.
pub(crate) fn soak(words: &[&str]) -> Result<()> {
    let seeds = match words {
        [] => SEEDS,
        ["--seeds", seeds] if seeds.parse::<u64>().is_ok() => seeds,
        _ => return Err("usage: cargo xtask soak [--seeds N]".to_owned()),
    };
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
