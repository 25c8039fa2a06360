//! Whether what is not built here compiles: the programs for Windows, checked from Debian. Nothing is linked or run.

use std::process::Command;

use crate::{Result, compile, packages, step, ui};

/// The target of which Debian has the C compiler that SQLite, Opus and ring want.
const WINDOWS: &str = "x86_64-pc-windows-gnu";

/// All that people install. The end-to-end tests, benchmarks and chores are for Debian.
const PROGRAMS: [&str; 5] = [
    "rollcall",
    "rollcall-server",
    "rollcall-agent",
    "rollcall-phone",
    "rollcall-pocket-pbx",
];

/// Checks the programs, and with them all libraries, for Windows.
pub(crate) fn windows() -> Result<()> {
    packages::ensure_node()?;
    packages::ensure(&[packages::BUILD, packages::WINDOWS])?;
    ui::install()?;
    // The app carries the built page.
    ui::build()?;
    step::run(
        "add Rust's standard library for Windows",
        Command::new("rustup").args(["target", "add", WINDOWS]),
    )?;
    let mut check = compile::cargo(&["check", "--locked", "--target", WINDOWS]);
    for program in PROGRAMS {
        check.args(["--package", program]);
    }
    step::run("check the programs for Windows", &mut check).map(drop)
}
