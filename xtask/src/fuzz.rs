//! The fuzz targets with AddressSanitizer, guided by coverage: the part of `cargo xtask soak` that looks for new input.
//!
//! They are built as cargo-fuzz builds them, by the stable toolchain, which brings the sanitizer's runtime; only its flag asks
//! for `RUSTC_BOOTSTRAP`. What is found is kept beside the build, not in the committed corpus.

use std::fs;
use std::path::PathBuf;
use std::process::Command;

use crate::{Result, compile, process, step, workspace};

/// Coverage for libFuzzer, and the sanitizer.
const FLAGS: [&str; 9] = [
    "-Cpasses=sancov-module",
    "-Cllvm-args=-sanitizer-coverage-level=4",
    "-Cllvm-args=-sanitizer-coverage-inline-8bit-counters",
    "-Cllvm-args=-sanitizer-coverage-pc-table",
    "-Cllvm-args=-sanitizer-coverage-trace-compares",
    "--cfg fuzzing",
    "-Zsanitizer=address",
    "-Cdebug-assertions",
    "-Ccodegen-units=1",
];

/// Builds every target and searches with each for so many seconds.
pub(crate) fn fuzz(seconds: &str) -> Result<()> {
    let host = host()?;
    let room = workspace::root().join("fuzz");
    let home = workspace::target().join("fuzz");
    let mut build = compile::cargo(&["build", "--locked", "--release", "--target", &host]);
    build
        .arg("--manifest-path")
        .arg(room.join("Cargo.toml"))
        .arg("--target-dir")
        .arg(&home)
        .env("RUSTC_BOOTSTRAP", "1")
        .env("RUSTFLAGS", FLAGS.join(" "));
    step::run("build the fuzz targets with a sanitizer", &mut build)?;
    for target in targets(&room)? {
        let found = home.join("found").join(&target);
        fs::create_dir_all(&found).map_err(|error| format!("{}: {error}", found.display()))?;
        let mut search = Command::new(home.join(&host).join("release").join(&target));
        search
            .arg(&found)
            .arg(room.join("corpus").join(&target))
            .arg(format!("-max_total_time={seconds}"))
            .arg(format!("-artifact_prefix={}/{target}-", home.display()))
            .args([
                "-seed=1",
                "-timeout=10",
                "-rss_limit_mb=2048",
                "-print_final_stats=1",
                // A line for each find would bury what matters.
                "-verbosity=0",
            ]);
        println!("fuzz {target}: {seconds} s");
        if !process::in_foreground(&search)?.success() {
            return Err(format!(
                "the fuzz target {target} failed; the input is named above"
            ));
        }
    }
    Ok(())
}

/// The targets by their names, in order.
fn targets(room: &std::path::Path) -> Result<Vec<String>> {
    let folder = room.join("fuzz_targets");
    let entries =
        fs::read_dir(&folder).map_err(|error| format!("{}: {error}", folder.display()))?;
    let files: Vec<PathBuf> = entries.flatten().map(|entry| entry.path()).collect();
    let names = files.iter().filter_map(|file| file.file_stem());
    let mut names: Vec<String> = names
        .map(|name| name.to_string_lossy().into_owned())
        .collect();
    names.sort();
    Ok(names)
}

/// The triple of this machine: a sanitizer wants its target named, so that build scripts are not built with it.
fn host() -> Result<String> {
    let said = Command::new("rustc")
        .arg("-vV")
        .output()
        .map_err(|error| format!("rustc: {error}"))?;
    let said = String::from_utf8_lossy(&said.stdout).into_owned();
    said.lines()
        .find_map(|line| line.strip_prefix("host: ").map(str::to_owned))
        .ok_or_else(|| format!("rustc does not say what it builds for: {said}"))
}
