//! Instructions, counted by callgrind where valgrind is installed: the same each time, whatever else the machine does.

use std::ffi::OsString;
use std::path::Path;
use std::process::Command;

use crate::Result;

/// Turns under callgrind, which is some fifty times slower.
const COUNTED: u32 = 200;

/// Instructions that each turn costs a program that is given how many to make: the difference of two runs, so that its start
/// and end do not count. `None` where there is no valgrind.
pub(crate) fn each(
    program: &Path,
    arguments: impl Fn(&str) -> Vec<OsString>,
) -> Result<Option<u64>> {
    let count = |turns: u32| run(program, &arguments(&turns.to_string()));
    Ok(match (count(COUNTED)?, count(2 * COUNTED)?) {
        (Some(once), Some(twice)) => Some(twice.saturating_sub(once) / u64::from(COUNTED)),
        _ => None,
    })
}

/// The figure of [`each`] as it stands in a table.
pub(crate) fn words(figure: Option<u64>) -> String {
    figure.map_or_else(
        || "not counted, valgrind is not installed".to_owned(),
        |figure| figure.to_string(),
    )
}

fn run(program: &Path, arguments: &[OsString]) -> Result<Option<u64>> {
    let output = Command::new("valgrind")
        .args(["--tool=callgrind", "--callgrind-out-file=/dev/null"])
        .arg(program)
        .args(arguments)
        .output();
    let Ok(output) = output else {
        return Ok(None);
    };
    let said = String::from_utf8_lossy(&output.stderr);
    let line = said.lines().find(|line| line.contains("Collected :"));
    let figure = line.and_then(|line| line.rsplit(' ').next()?.parse().ok());
    match figure {
        Some(figure) if output.status.success() => Ok(Some(figure)),
        _ => Err(format!("callgrind of {}: {said}", program.display())),
    }
}
