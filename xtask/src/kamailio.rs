//! A real Kamailio 5.6, unpacked from Debian's packages into the cache and run from there: its package would start a
//! service on the SIP port of whoever only wants to run tests.

use std::path::PathBuf;

use crate::Result;
use crate::unpack::{self, Unpacked};

/// The release that the tests' configuration is written for, and the Debian suite that carries it.
const KAMAILIO: Unpacked = Unpacked {
    name: "Kamailio",
    home: "kamailio-5.6",
    suite: "bookworm",
    // With the C library that it is run by.
    packages: "libc6,kamailio",
    program: "usr/sbin/kamailio",
};

/// Finds it in the cache or unpacks it there: the folder with its `usr`.
pub(crate) fn fetch() -> Result<PathBuf> {
    unpack::fetch(&KAMAILIO)
}
