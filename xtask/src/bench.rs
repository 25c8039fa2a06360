//! `cargo xtask bench`: our programs, as users run them, beside their peers.
//!
//! What is measured is a release build; what measures (`rollcall-bench`) needs no speed of its own.

use std::process::Command;

use crate::{Result, compile, packages, process, step, workspace};

/// Builds and measures; `words` go to `rollcall-bench`.
pub(crate) fn bench(words: &[&str]) -> Result<()> {
    packages::ensure(&[packages::BUILD, packages::PEERS])?;
    step::run(
        "build rollcall-phone for release",
        &mut compile::cargo(&[
            "build",
            "--locked",
            "--release",
            "--package",
            "rollcall-phone",
        ]),
    )?;
    step::run(
        "build the benchmark",
        &mut compile::cargo(&["build", "--locked", "--package", "rollcall-bench"]),
    )?;
    let mut bench = Command::new(workspace::binaries().join("rollcall-bench"));
    bench
        .args(words)
        .env("ROLLCALL_BIN_DIR", workspace::target().join("release"));
    let status = process::in_foreground(&bench)?;
    if status.success() {
        Ok(())
    } else {
        Err(format!("the benchmark ended with {status}"))
    }
}
