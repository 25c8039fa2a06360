//! `cargo xtask bench`: our programs, as users run them, beside their peers.
//!
//! What is measured is a release build; what measures (`rollcall-bench`) needs no speed of its own.

use std::path::{Path, PathBuf};
use std::process::{Command, Stdio};

use crate::{Result, compile, lab, packages, process, step, ui, workspace};

/// Builds and measures; `words` go to `rollcall-bench`.
pub(crate) fn bench(words: &[&str]) -> Result<()> {
    match words.first() {
        None | Some(&("delay" | "media")) => {}
        Some(option) if option.starts_with("--") => {}
        Some(&("quality" | "pauses" | "processing")) => return quality(words),
        Some(&"soak") => return soak(words),
        Some(&"paths") => return paths(words),
        Some(&"devices") => packages::ensure(&[packages::SOUND, packages::TEST])?,
        Some(&("server" | "attacks")) => return server(words),
        Some(&"agree") => return agree(&words[1..]),
        // Before anything is built for it.
        Some(other) => {
            return Err(format!(
                "there is no benchmark {other}; `cargo xtask help` lists them"
            ));
        }
    }
    packages::ensure(&[packages::BUILD, packages::PEERS, packages::COUNTING])?;
    run(words, &[("ROLLCALL_BIN_DIR", &phone_for_release()?)])
}

/// Where it is.
fn phone_for_release() -> Result<PathBuf> {
    let package = [
        "build",
        "--locked",
        "--release",
        "--package",
        "rollcall-phone",
    ];
    step::run(
        "build rollcall-phone for release",
        &mut compile::cargo(&package),
    )?;
    Ok(workspace::target().join("release"))
}

/// PESQ of calls through Asterisk, in real time.
fn paths(words: &[&str]) -> Result<()> {
    packages::ensure(&[packages::BUILD, packages::PEERS, packages::QUALITY])?;
    let lab = lab::fetch()?;
    let phone = phone_for_release()?;
    run(
        words,
        &[
            ("ROLLCALL_BIN_DIR", &phone),
            ("ROLLCALL_ASTERISK_ROOT", &lab.root),
            ("ROLLCALL_PESQ_PYTHON", &pesq()?),
        ],
    )
}

/// The server for release, beside the Node service with the packages of its lock file.
fn server(words: &[&str]) -> Result<()> {
    packages::ensure_node()?;
    packages::ensure(&[packages::BUILD])?;
    for (folder, name) in [
        ("benches/node-peer", "install the Node service's packages"),
        ("tests/socketio", "install the official Socket.IO client"),
    ] {
        ui::install_in(&workspace::root().join(folder), name)?;
    }
    step::run(
        "build rollcall-server for release",
        &mut compile::cargo(&[
            "build",
            "--locked",
            "--release",
            "--package",
            "rollcall-server",
        ]),
    )?;
    let release = workspace::target().join("release");
    run(words, &[("ROLLCALL_BIN_DIR", &release)])
}

/// PESQ of speech after losses: in one process, on virtual time.
fn quality(words: &[&str]) -> Result<()> {
    packages::ensure(&[packages::BUILD, packages::QUALITY])?;
    run(words, &[("ROLLCALL_PESQ_PYTHON", &pesq()?)])
}

/// A day of calls: their sound on virtual time, their signalling to a phone.
fn soak(words: &[&str]) -> Result<()> {
    packages::ensure(&[packages::BUILD])?;
    run(words, &[("ROLLCALL_BIN_DIR", &phone_for_release()?)])
}

/// Every fault for real, as often as it is told: what agreeing took, written to `docs/time-to-agree.md`.
pub(crate) fn agree(words: &[&str]) -> Result<()> {
    packages::ensure_all()?;
    let lab = lab::fetch()?;
    ui::install_in(
        &workspace::root().join("tests/socketio"),
        "install the official Socket.IO client",
    )?;
    compile::everything()?;
    let mut agree = Command::new(workspace::binaries().join("rollcall-agree"));
    agree
        .args(words)
        .env("ROLLCALL_ASTERISK_ROOT", &lab.root)
        .env("ROLLCALL_BIN_DIR", workspace::binaries());
    match process::in_foreground(&agree)?.success() {
        true => Ok(()),
        false => Err("the views did not agree; the words are above".to_owned()),
    }
}

/// The Python of an environment in the cache that has PESQ, made at the first use.
fn pesq() -> Result<PathBuf> {
    let home = workspace::cache()?.join("pesq");
    let python = home.join("bin/python");
    let has_pesq = Command::new(&python)
        .args(["-c", "import numpy, pesq"])
        .stderr(Stdio::null())
        .status()
        .is_ok_and(|status| status.success());
    if !has_pesq {
        step::run(
            "make a Python environment for PESQ",
            Command::new("python3").args(["-m", "venv"]).arg(&home),
        )?;
        step::run(
            "install PESQ into it",
            Command::new(&python).args(["-m", "pip", "install", "--quiet", "numpy", "pesq==0.0.4"]),
        )?;
    }
    Ok(python)
}

/// Builds `rollcall-bench`, which gets `words` and where things are, and runs it.
fn run(words: &[&str], places: &[(&str, &Path)]) -> Result<()> {
    step::run(
        "build the benchmark",
        &mut compile::cargo(&["build", "--locked", "--package", "rollcall-bench"]),
    )?;
    let mut bench = Command::new(workspace::binaries().join("rollcall-bench"));
    bench.args(words).envs(places.iter().copied());
    let status = process::in_foreground(&bench)?;
    if status.success() {
        Ok(())
    } else {
        Err(format!("the benchmark ended with {status}"))
    }
}
