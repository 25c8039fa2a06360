//! A real Kamailio 5.6, unpacked from Debian's packages into the cache and run from there: its package would start a
//! service on the SIP port of whoever only wants to run tests.

use std::fs;
use std::path::PathBuf;

use crate::{Result, lab, packages, step, workspace};

/// The release that the tests' configuration is written for, and the Debian suite that carries it.
const RELEASE: &str = "5.6";
const SUITE: &str = "bookworm";
/// With the C library that it is run by.
const PACKAGES: &str = "libc6,kamailio";

/// Finds it in the cache or unpacks it there: the folder with its `usr`.
pub(crate) fn fetch() -> Result<PathBuf> {
    let cache = workspace::cache()?;
    let home = cache.join(format!("kamailio-{RELEASE}"));
    if home.join("usr/sbin/kamailio").is_file() {
        return Ok(home);
    }
    packages::ensure(&[&["mmdebstrap", "debian-archive-keyring"]])?;
    fs::create_dir_all(&cache).map_err(|error| format!("{}: {error}", cache.display()))?;
    let folder = cache.join(format!(".unpacking-{}-kamailio", std::process::id()));
    step::run(
        &format!("unpack Kamailio from Debian {SUITE}"),
        &mut lab::mmdebstrap(SUITE, PACKAGES, &folder, &lab::mirror()?),
    )?;
    // Whoever comes second uses the first one's.
    if fs::rename(&folder, &home).is_err() {
        let _ = fs::remove_dir_all(&folder);
    }
    match home.join("usr/sbin/kamailio").is_file() {
        true => Ok(home),
        false => Err(format!(
            "{} holds no Kamailio; delete that folder to unpack again",
            home.display()
        )),
    }
}
