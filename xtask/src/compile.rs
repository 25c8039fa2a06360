//! How cargo is called, so that every chore compiles the same features of the same packages only once.
//!
//! Builds, lints and tests all say `--workspace --all-targets`: cargo unifies features over what it is asked to build,
//! and a narrower selection would compile half of the dependencies a second time.

use std::env;
use std::fs;
use std::process::{Command, Stdio};

use nix::sys::statvfs::statvfs;

use crate::{Result, step, workspace};

/// What every call selects.
pub(crate) const EVERYTHING: [&str; 2] = ["--workspace", "--all-targets"];

/// What a first build of everything and its lints take of the disk, with some to spare, in GB.
const ROOM: u64 = 12;

/// A cargo call at the repository's top.
pub(crate) fn cargo(arguments: &[&str]) -> Command {
    let mut command = Command::new(env::var_os("CARGO").unwrap_or_else(|| "cargo".into()));
    command.current_dir(workspace::root()).args(arguments);
    command
        .env("CARGO_TERM_COLOR", "never")
        .env("CARGO_TERM_PROGRESS_WHEN", "never");
    command
}

/// Whether cargo has this subcommand here.
pub(crate) fn has_cargo(subcommand: &str) -> bool {
    let mut command = cargo(&[subcommand, "--version"]);
    command
        .stdin(Stdio::null())
        .stdout(Stdio::null())
        .stderr(Stdio::null());
    command.status().is_ok_and(|status| status.success())
}

/// Builds the binaries that users start.
pub(crate) fn binaries() -> Result<()> {
    let packages = [
        "rollcall",
        "rollcall-server",
        "rollcall-pocket-pbx",
        "rollcall-agent",
    ];
    let mut command = cargo(&["build", "--locked"]);
    for package in packages {
        command.args(["--package", package]);
    }
    step::run(
        "build the app, the server, the pocket PBX and the agent",
        &mut command,
    )
    .map(drop)
}

/// Builds everything there is, tests included.
pub(crate) fn everything() -> Result<()> {
    say_if_the_disk_is_small()?;
    step::run(
        "build everything",
        cargo(&["build", "--locked"]).args(EVERYTHING),
    )
    .map(drop)
}

/// A disk that fills ends a build after ten minutes with an error that names anything but the disk.
#[allow(clippy::useless_conversion, reason = "macOS counts blocks in 32 bits")]
fn say_if_the_disk_is_small() -> Result<()> {
    let target = workspace::target();
    if target.join("debug").exists() {
        return Ok(());
    }
    let words = |error| format!("{}: {error}", target.display());
    fs::create_dir_all(&target).map_err(|error| words(error.to_string()))?;
    let there = statvfs(&target).map_err(|error| words(error.to_string()))?;
    let free = u64::from(there.blocks_available()) * there.fragment_size() / 1_000_000_000;
    if free < ROOM {
        println!(
            "    {free} GB are free in {}, and a first build takes up to {ROOM}: should it fail, make room there \
             or let CARGO_TARGET_DIR name a folder on a larger disk",
            target.display()
        );
    }
    Ok(())
}
