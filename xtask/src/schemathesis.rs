//! Schemathesis, which asks a server what its OpenAPI document promises: in a Python environment of its own in the cache.

use std::path::PathBuf;
use std::process::Command;

use crate::{Result, packages, step, workspace};

/// The version that the tests are written to.
const VERSION: &str = "4.32.5";

/// Finds it in the cache or installs it there.
pub(crate) fn fetch() -> Result<PathBuf> {
    let home = workspace::cache()?.join(format!("schemathesis-{VERSION}"));
    let tool = home.join("bin/schemathesis");
    if tool.is_file() {
        return Ok(tool);
    }
    packages::ensure(&[&["python3-venv"]])?;
    step::run(
        "make a Python environment",
        Command::new("python3").args(["-m", "venv"]).arg(&home),
    )?;
    step::run(
        "install schemathesis",
        Command::new(home.join("bin/pip"))
            .args(["install", "--quiet", "--disable-pip-version-check"])
            .arg(format!("schemathesis=={VERSION}")),
    )?;
    Ok(tool)
}
