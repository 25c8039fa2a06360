//! The UI: its packages, its build, its checks. Nothing is done again that is still fresh.

use std::fs;
use std::path::{Path, PathBuf};
use std::process::Command;
use std::time::SystemTime;

use crate::{Result, step, workspace};

/// `npm ci`, unless the lock file has not changed since the last one.
pub(crate) fn install() -> Result<()> {
    install_in(&folder(), "install the UI's packages")
}

/// `npm ci` in a folder that has a lock file of its own.
pub(crate) fn install_in(folder: &Path, name: &str) -> Result<()> {
    let lock = folder.join("package-lock.json");
    let installed = folder.join("node_modules/.package-lock.json");
    if modified(&lock)
        .is_some_and(|lock| modified(&installed).is_some_and(|installed| installed >= lock))
    {
        return Ok(());
    }
    step::run(
        name,
        Command::new("npm")
            .current_dir(folder)
            .args(["ci", "--no-fund", "--no-audit"]),
    )
    .map(drop)
}

/// `npm run build`, unless nothing is newer than the last one.
pub(crate) fn build() -> Result<()> {
    // Not by index.html: the app's build script writes a placeholder of that name.
    let built = newest(&folder().join("dist/assets"), &[]);
    if newest_source() <= built {
        println!("==> the UI is built already");
        return Ok(());
    }
    step::run("build the UI", &mut npm("build")).map(drop)
}

/// A script of the UI's package.json.
pub(crate) fn npm(script: &str) -> Command {
    let mut command = Command::new("npm");
    command
        .current_dir(folder())
        .args(["run", "--silent", script])
        .env("CI", "true")
        .env("NO_COLOR", "1");
    command
}

fn folder() -> PathBuf {
    workspace::root().join("ui")
}

/// When the UI's sources last changed: all that lies in its folder but what tools put there.
fn newest_source() -> SystemTime {
    newest(&folder(), &["node_modules", "dist", "coverage"])
}

fn newest(folder: &Path, except: &[&str]) -> SystemTime {
    let entries = fs::read_dir(folder).into_iter().flatten().flatten();
    entries
        .filter(|entry| !except.contains(&entry.file_name().to_string_lossy().as_ref()))
        .map(|entry| {
            if entry.path().is_dir() {
                newest(&entry.path(), &[])
            } else {
                modified(&entry.path()).unwrap_or(SystemTime::UNIX_EPOCH)
            }
        })
        .max()
        .unwrap_or(SystemTime::UNIX_EPOCH)
}

fn modified(path: &Path) -> Option<SystemTime> {
    fs::metadata(path)
        .and_then(|metadata| metadata.modified())
        .ok()
}
