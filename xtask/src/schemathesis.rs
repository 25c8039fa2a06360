//! Schemathesis, which asks a server what its OpenAPI document promises.

use std::path::PathBuf;

use crate::{Result, python};

/// The version that the tests are written to.
const VERSION: &str = "4.32.5";

/// Finds it in the cache or installs it there.
pub(crate) fn fetch() -> Result<PathBuf> {
    python::fetch("schemathesis", VERSION, "bin/schemathesis")
}
