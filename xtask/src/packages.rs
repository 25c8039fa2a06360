//! System packages: what is missing, and its installation on Debian and its kin.
//!
//! Elsewhere nothing is touched: the error names what is missing and the exact command.

use std::env;
use std::io::IsTerminal;
use std::process::{Command, Stdio};

use crate::{Result, step};

/// What the build and the app need.
pub(crate) const BUILD: &[&str] = &[
    "gcc",
    "g++",
    "libc6-dev",
    "make",
    "cmake",
    "pkg-config",
    "libwebkit2gtk-4.1-dev",
    "libayatana-appindicator3-1",
    "libasound2-dev",
    "libdbus-1-dev",
];

/// What the app plays through and draws with at run time, beyond what the build brings.
pub(crate) const SOUND: &[&str] = &["libasound2-plugins"];

/// What the tests need on top.
pub(crate) const TEST: &[&str] = &[
    "mmdebstrap",
    "debian-archive-keyring",
    "xvfb",
    "webkit2gtk-driver",
    "pulseaudio",
    "pulseaudio-utils",
    "dbus",
    "sqlite3",
    "systemd",
    // Not mariadb-server, which would start a service.
    "postgresql",
    "mariadb-server-core",
    "mariadb-client-core",
    "baresip-core",
    "sip-tester",
    "libfaketime",
];

/// The phones of other people's making that tests and benchmarks run beside ours.
pub(crate) const PEERS: &[&str] = &["baresip-core", "sip-tester"];

/// What counts instructions: without it the benchmarks say that they did not.
pub(crate) const COUNTING: &[&str] = &["valgrind"];

/// What compiles C for Windows.
pub(crate) const WINDOWS: &[&str] = &["gcc-mingw-w64-x86-64-posix", "g++-mingw-w64-x86-64-posix"];

/// What the measurement of speech quality needs: prompts, and what builds PESQ.
pub(crate) const QUALITY: &[&str] = &[
    "asterisk-core-sounds-en-g722",
    "gcc",
    "python3-dev",
    "python3-venv",
];

/// The same for two other families, for the message only: nobody has tried them.
const FEDORA: &str = "sudo dnf install gcc gcc-c++ make cmake pkgconf webkit2gtk4.1-devel libayatana-appindicator-gtk3 alsa-lib-devel dbus-devel";
const ARCH: &str =
    "sudo pacman -S --needed base-devel cmake webkit2gtk-4.1 libayatana-appindicator alsa-lib dbus";

/// Sees to it that Node.js is there and all that is built, run or tested has its packages.
pub(crate) fn ensure_all() -> Result<()> {
    ensure_node()?;
    ensure(&[BUILD, SOUND, TEST, PEERS])
}

/// Sees to it that all of `wanted` is installed.
pub(crate) fn ensure(wanted: &[&[&'static str]]) -> Result<()> {
    let wanted = wanted.concat();
    if !has_dpkg() {
        return elsewhere(&wanted);
    }
    let missing = missing(&wanted)?;
    if missing.is_empty() {
        println!("==> system packages: all {} are there", wanted.len());
        return Ok(());
    }
    println!("==> system packages missing: {}", missing.join(" "));
    install(&missing)
}

/// Sees to it that Node.js, which nothing here installs, is there and new enough.
pub(crate) fn ensure_node() -> Result<()> {
    const OLDEST: (u32, u32) = (20, 19);
    let advice = format!(
        "install Node.js {}.{} or newer with npm (https://nodejs.org), then run this again",
        OLDEST.0, OLDEST.1
    );
    let output = Command::new("node")
        .arg("--version")
        .output()
        .map_err(|_| format!("Node.js is missing: {advice}"))?;
    let version = String::from_utf8_lossy(&output.stdout).trim().to_owned();
    let mut numbers = version
        .trim_start_matches('v')
        .split('.')
        .map(|number| number.parse::<u32>().unwrap_or(0));
    let found = (numbers.next().unwrap_or(0), numbers.next().unwrap_or(0));
    if found < OLDEST {
        return Err(format!("Node.js {version} is too old: {advice}"));
    }
    match Command::new("npm").arg("--version").output() {
        Ok(output) if output.status.success() => Ok(()),
        _ => Err(format!("npm is missing beside Node.js {version}: {advice}")),
    }
}

fn has_dpkg() -> bool {
    is_on_path("dpkg-query") && is_on_path("apt-get")
}

fn is_on_path(program: &str) -> bool {
    let path = env::var_os("PATH").unwrap_or_default();
    env::split_paths(&path).any(|folder| folder.join(program).is_file())
}

fn missing(wanted: &[&'static str]) -> Result<Vec<&'static str>> {
    let listing = Command::new("dpkg-query")
        .args([
            "--show",
            "--showformat",
            "${binary:Package} ${db:Status-Status}\n",
        ])
        .args(wanted)
        .stderr(Stdio::null())
        .output()
        .map_err(|error| format!("dpkg-query: {error}"))?;
    let listing = String::from_utf8_lossy(&listing.stdout);
    let installed: Vec<&str> = listing
        .lines()
        .filter_map(|line| line.strip_suffix(" installed"))
        .map(|name| name.split(':').next().unwrap_or(name))
        .collect();
    Ok(wanted
        .iter()
        .copied()
        .filter(|name| !installed.contains(name))
        .collect())
}

fn install(missing: &[&str]) -> Result<()> {
    let by_hand = format!(
        "sudo apt-get update && sudo apt-get install --yes --no-install-recommends {}",
        missing.join(" ")
    );
    let failed = |why: String| {
        format!("{why}\ninstall the packages yourself, then run this again:\n    {by_hand}")
    };
    let install = ["install", "--yes", "--no-install-recommends"];
    let first = step::attempt_quietly(
        "install system packages",
        apt(&install).map_err(failed)?.args(missing),
    )?;
    if first.passed {
        return Ok(());
    }
    // A fresh image has no package lists, an old one stale ones: both look like a failed installation.
    let _ = step::attempt(
        "refresh the package lists",
        &mut apt(&["update"]).map_err(failed)?,
    )?;
    step::run(
        "install system packages",
        apt(&install).map_err(failed)?.args(missing),
    )
    .map(drop)
    .map_err(failed)
}

/// `apt-get` with the rights it needs and no questions.
fn apt(arguments: &[&str]) -> Result<Command> {
    let mut command = if nix::unistd::geteuid().is_root() {
        Command::new("env")
    } else {
        if !is_on_path("sudo") {
            return Err("installing packages needs root, and there is no sudo".to_owned());
        }
        let mut sudo = Command::new("sudo");
        if !std::io::stdin().is_terminal() || env::var_os("CI").is_some() {
            sudo.arg("--non-interactive");
        }
        sudo.arg("env");
        sudo
    };
    command
        .args([
            "DEBIAN_FRONTEND=noninteractive",
            "apt-get",
            "-o",
            "DPkg::Lock::Timeout=300",
        ])
        .args(arguments);
    Ok(command)
}

/// A system without dpkg: nothing is installed, but what pkg-config already finds is not asked for again.
fn elsewhere(wanted: &[&str]) -> Result<()> {
    let tests_too = wanted.contains(&"mmdebstrap");
    let libraries = ["webkit2gtk-4.1", "alsa", "dbus-1"];
    let found = |library: &&str| {
        Command::new("pkg-config")
            .args(["--exists", library])
            .status()
            .is_ok_and(|status| status.success())
    };
    let missing: Vec<&str> = libraries
        .iter()
        .filter(|library| !found(library))
        .copied()
        .collect();
    if missing.is_empty() && !tests_too {
        println!(
            "==> not a Debian system, but pkg-config finds {}: going on",
            libraries.join(", ")
        );
        return Ok(());
    }
    if tests_too {
        return Err("the tests unpack Debian's Asterisk with mmdebstrap and install packages by apt-get: run them on Debian 12 or Ubuntu 24.04, or in a container of one".to_owned());
    }
    let os = std::fs::read_to_string("/etc/os-release").unwrap_or_default();
    let command = if os.contains("arch") { ARCH } else { FEDORA };
    Err(format!(
        "this is not a Debian system, so nothing is installed for you; missing: {}\n    {command}",
        missing.join(", ")
    ))
}
