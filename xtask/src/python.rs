//! Tools from PyPI, each in a Python environment of its own in the cache.

use std::path::PathBuf;
use std::process::Command;

use crate::{Result, packages, step, workspace};

/// The path of `file` in the environment that holds `package` of this version, made at the first use.
pub(crate) fn fetch(package: &str, version: &str, file: &str) -> Result<PathBuf> {
    let home = workspace::cache()?.join(format!("{package}-{version}"));
    let tool = home.join(file);
    if tool.is_file() {
        return Ok(tool);
    }
    packages::ensure(&[&["python3-venv"]])?;
    step::run(
        "make a Python environment",
        Command::new("python3").args(["-m", "venv"]).arg(&home),
    )?;
    step::run(
        &format!("install {package}"),
        Command::new(home.join("bin/pip"))
            .args(["install", "--quiet", "--disable-pip-version-check"])
            .arg(format!("{package}=={version}")),
    )?;
    if tool.is_file() {
        Ok(tool)
    } else {
        Err(format!(
            "{package} {version} brought no {}; remove {} and try again",
            tool.display(),
            home.display()
        ))
    }
}
