//! What `cargo xtask test` hands over by environment, and the cross-process things a test borrows.

use std::env;
use std::path::{Path, PathBuf};

/// The unpacked Asterisk.
///
/// # Panics
///
/// If nobody named it: says how to.
pub fn asterisk_root() -> PathBuf {
    named("ROLLCALL_ASTERISK_ROOT")
}

/// The unpacked Kamailio.
///
/// # Panics
///
/// If nobody named it: says how to.
pub fn kamailio_root() -> PathBuf {
    named("ROLLCALL_KAMAILIO_ROOT")
}

/// The unpacked MySQL.
///
/// # Panics
///
/// If nobody named it: says how to.
pub fn mysql_root() -> PathBuf {
    named("ROLLCALL_MYSQL_ROOT")
}

/// The tool that asks a server what its OpenAPI document promises.
///
/// # Panics
///
/// If nobody named it: says how to.
pub fn schemathesis() -> PathBuf {
    named("ROLLCALL_SCHEMATHESIS")
}

/// A product binary.
///
/// # Panics
///
/// If nobody built it: says how to.
pub fn binary(name: &str) -> PathBuf {
    let path = named("ROLLCALL_BIN_DIR").join(name);
    assert!(
        path.is_file(),
        "{} is not built: run `cargo build --workspace --all-targets`",
        path.display()
    );
    path
}

/// Where pictures and recordings that a person may want to see are kept.
///
/// # Panics
///
/// If the folder cannot be made.
pub fn artifacts() -> PathBuf {
    let folder = env::var_os("ROLLCALL_ARTIFACTS")
        .map_or_else(|| repository().join("artifacts"), PathBuf::from);
    std::fs::create_dir_all(&folder)
        .unwrap_or_else(|error| panic!("{}: {error}", folder.display()));
    folder
}

/// The repository's top.
pub fn repository() -> &'static Path {
    let here = Path::new(env!("CARGO_MANIFEST_DIR"));
    here.parent().unwrap_or(here)
}

fn named(variable: &str) -> PathBuf {
    env::var_os(variable).map(PathBuf::from).unwrap_or_else(|| {
        panic!("{variable} is not set: run `cargo xtask test e2e`, or `eval \"$(cargo xtask lab env)\"` first")
    })
}
