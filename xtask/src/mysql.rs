//! A real MySQL, unpacked from Debian's packages into the cache: no stable Debian carries one.

use std::path::PathBuf;

use crate::Result;
use crate::unpack::{self, Unpacked};

/// Only the unstable suite carries it, and only its newest: the tests hold for whichever it was on the day.
const MYSQL: Unpacked = Unpacked {
    name: "MySQL",
    home: "mysql",
    suite: "sid",
    packages: "libc6,mysql-server-core",
    program: "usr/sbin/mysqld",
};

/// Finds it in the cache or unpacks it there: the folder with its `usr`.
pub(crate) fn fetch() -> Result<PathBuf> {
    unpack::fetch(&MYSQL)
}

/// The folder in the cache, if it was unpacked.
pub(crate) fn find() -> Option<PathBuf> {
    unpack::find(&MYSQL)
}
