//! Whether what is not built here compiles: the programs for Windows and macOS, checked from Debian. Nothing is linked
//! or run.
//!
//! Rust's own part needs no more than its standard library; SQLite, Opus and ring want a C compiler for the target. That
//! is Debian's MinGW for Windows, and zig for macOS, which comes with the system's headers from PyPI.

use std::fs;
use std::os::unix::fs::PermissionsExt;
use std::path::{Path, PathBuf};
use std::process::Command;

use crate::{Result, compile, packages, python, step, ui};

const WINDOWS: &str = "x86_64-pc-windows-gnu";
const MACOS: &str = "aarch64-apple-darwin";
const ZIG: &str = "0.17.1";

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
    packages::ensure(&[packages::BUILD, packages::WINDOWS])?;
    check(WINDOWS, &[])
}

/// The same for macOS.
pub(crate) fn macos() -> Result<()> {
    packages::ensure(&[packages::BUILD])?;
    let python = python::fetch("ziglang", ZIG, "bin/python")?;
    let folder = python.parent().unwrap_or(&python);
    let tools = [
        ("CC", zig(&python, &folder.join("macos-cc"), "cc")?),
        ("CXX", zig(&python, &folder.join("macos-c++"), "c++")?),
        ("AR", zig(&python, &folder.join("macos-ar"), "ar")?),
    ];
    let environment =
        tools.map(|(name, tool)| (format!("{name}_{}", MACOS.replace('-', "_")), tool));
    check(MACOS, &environment)
}

fn check(target: &str, environment: &[(String, PathBuf)]) -> Result<()> {
    packages::ensure_node()?;
    ui::install()?;
    // The app carries the built page.
    ui::build()?;
    step::run(
        "add Rust's standard library for the target",
        Command::new("rustup").args(["target", "add", target]),
    )?;
    let mut check = compile::cargo(&["check", "--locked", "--target", target]);
    for program in PROGRAMS {
        check.args(["--package", program]);
    }
    check.envs(environment.iter().map(|(name, tool)| (name, tool)));
    step::run("check the programs", &mut check).map(drop)
}

/// A compiler as the `cc` crate calls one for macOS: zig knows its target by its own name, and brings its own SDK.
fn zig(python: &Path, script: &Path, tool: &str) -> Result<PathBuf> {
    let target = match tool {
        "ar" => "",
        _ => "-target aarch64-macos",
    };
    let text = format!(
        r#"#!/bin/sh
left=$#
while [ $left -gt 0 ]; do
    word=$1; shift; left=$((left - 1))
    case $word in
        --target=* | -mmacosx-version-min=*) ;;
        -arch | -isysroot) shift; left=$((left - 1)) ;;
        *) set -- "$@" "$word" ;;
    esac
done
exec '{}' -m ziglang {tool} {target} "$@"
"#,
        python.display()
    );
    let broken = |error: std::io::Error| format!("{}: {error}", script.display());
    fs::write(script, text).map_err(broken)?;
    fs::set_permissions(script, fs::Permissions::from_mode(0o755)).map_err(broken)?;
    Ok(script.to_owned())
}
