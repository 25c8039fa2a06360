//! `cargo xtask run`: the demo, from a bare machine to an open window.
//!
//! Starts the pocket PBX, the server on SQLite and an agent 1002 who answers, then the app; ends all of them, and
//! nothing else, on Ctrl-C or when the app is closed. Without a display the same day is played by headless agents.

mod day;
mod demo;
mod json;
mod lock;

use std::env;
use std::fs::File;
use std::process::Command;
use std::time::Duration;

use nix::fcntl::Flock;

use crate::process::{Household, News};
use crate::{Result, compile, packages, ui, workspace};

use demo::Demo;

/// Names of the children, as a person reads them and in the order in which they end.
const APP: &str = "the app";
const CALLER: &str = "agent 1001";
const CALLEE: &str = "agent 1002";
const BOARD: &str = "the board";
const SERVER: &str = "the server";
const PBX: &str = "the pocket PBX";
const ENDING: [&str; 6] = [APP, CALLER, CALLEE, BOARD, SERVER, PBX];

/// What the demo starts.
const BINARIES: [&str; 4] = [
    "rollcall",
    "rollcall-agent",
    "rollcall-server",
    "rollcall-pocket-pbx",
];

/// How long a child may take until it serves; a debug build's first start on a busy machine is slow.
const READY: Duration = Duration::from_secs(30);

/// Sets up, builds, starts, waits, ends.
pub(crate) fn run() -> Result<()> {
    let lock = lock::take()?;
    packages::ensure_node()?;
    packages::ensure(&[packages::BUILD, packages::SOUND])?;
    ui::install()?;
    ui::build()?;
    compile::binaries()?;
    demo(lock)
}

/// As [`run`], with the binaries that were built before, as they are.
pub(crate) fn run_built() -> Result<()> {
    let lock = lock::take()?;
    let missing = BINARIES
        .iter()
        .find(|name| !workspace::binaries().join(name).is_file());
    if let Some(name) = missing {
        return Err(format!(
            "{name} has not been built yet: `cargo xtask run` builds it, and starts it"
        ));
    }
    demo(lock)
}

/// Starts, waits, ends.
fn demo(lock: Flock<File>) -> Result<()> {
    let mut household = Household::new()?;
    let demo = Demo::prepare()?;
    let outcome = start_and_wait(&mut household, &demo);
    println!("==> ending");
    household.end(&ENDING);
    drop(lock);
    match outcome {
        Ok(()) => demo.forget(),
        Err(words) => Err(format!(
            "{words}\nlogs are kept in {}",
            demo.logs().display()
        )),
    }
}

fn start_and_wait(household: &mut Household, demo: &Demo) -> Result<()> {
    println!(
        "==> the demo's folder: {} (only you can read it)",
        demo.folder().display()
    );
    let pbx = demo.start_pbx(household)?;
    println!("    {PBX}: SIP {}, manager {}", pbx.sip, pbx.ami);
    let url = demo.start_server(household, &pbx)?;
    println!("    {SERVER}: {url}");
    if has_display() {
        demo.start_callee(household, &url)?;
        println!("    {CALLEE} is signed in and answers calls");
        with_window(household, demo, &url)
    } else {
        println!(
            "==> there is no display here (DISPLAY and WAYLAND_DISPLAY are unset): headless agents play the day instead"
        );
        day::play(household, demo, &url)
    }
}

fn with_window(household: &mut Household, demo: &Demo, url: &str) -> Result<()> {
    let mut app = Command::new(workspace::binaries().join("rollcall"));
    app.env("ROLLCALL_DESKTOP_PRESET", demo.write_preset(url)?);
    app.envs(demo.app_folders());
    household.start(APP, &app, &demo.log(APP))?;
    println!("==> the app is open. {}", demo::HINT);
    for person in Demo::people() {
        println!("    {person}");
    }
    println!("    Close the window or press Ctrl-C to end everything.");
    loop {
        match household.next(Duration::from_secs(1)) {
            Some(News::Interrupted) => return Ok(()),
            Some(News::Silent { child: APP }) => return Ok(()),
            Some(News::Silent { child }) if !household.is_running(child) => {
                return Err(format!(
                    "{child} ended by itself; see {}",
                    demo.log(child).display()
                ));
            }
            Some(News::Line { .. } | News::Silent { .. }) => {}
            None if household.is_running(APP) => {}
            None => return Ok(()),
        }
    }
}

fn has_display() -> bool {
    ["DISPLAY", "WAYLAND_DISPLAY"]
        .iter()
        .any(|name| env::var_os(name).is_some_and(|value| !value.is_empty()))
}
