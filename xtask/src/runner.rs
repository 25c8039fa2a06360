//! The test runner: cargo-nextest where it is installed, else `cargo test`, which is always there.
//!
//! Both run the same tests. What `.config/nextest.toml` says of tests that want the machine to themselves is said again
//! here for `cargo test`, which does not read it.

use std::fs;
use std::process::Command;

use crate::{Result, compile, workspace};

/// The rooms' own tests, in nextest's filter language.
pub(crate) const UNIT: &str = "not package(rollcall-e2e)";
/// The same without those that want a MySQL, which their names end with.
pub(crate) const UNIT_WITHOUT_MYSQL: &str = "not package(rollcall-e2e) and not test(_on_mysql)";
/// The end-to-end tests, likewise.
pub(crate) const END_TO_END: &str = "package(rollcall-e2e)";

/// Suites that measure sound by the clock: see `.config/nextest.toml`.
const ALONE: [&str; 4] = ["devices", "peers", "phone", "sound"];

/// What may run at the same time as a suite's tests.
#[derive(Clone, Copy, PartialEq, Eq)]
pub(crate) enum Beside {
    /// Other tests of the suite.
    Others,
    /// Nothing: one test at a time.
    Nobody,
}

/// A call of a test runner.
pub(crate) struct Runner {
    /// The call, but for the caller's filter, which goes last.
    pub(crate) command: Command,
    /// What the runner's lines that count tests hold.
    pub(crate) closing_line: &'static str,
}

/// Whether cargo-nextest is installed; says what it means if not.
pub(crate) fn has_nextest() -> bool {
    let here = compile::has_cargo("nextest");
    if !here {
        println!(
            "    cargo-nextest is not installed: cargo test runs the same tests, one program after the other"
        );
    }
    here
}

/// nextest on the tests that `filter` takes.
pub(crate) fn nextest(filter: &str) -> Runner {
    let mut command = compile::cargo(&["nextest", "run", "--locked", "--workspace"]);
    command.args(["--no-fail-fast", "--color", "never", "--filterset", filter]);
    Runner {
        command,
        closing_line: "Summary [",
    }
}

/// `cargo test` on the rooms' own tests, with or without those that want a MySQL.
pub(crate) fn cargo_test_of_rooms(with_mysql: bool) -> Runner {
    let mut runner = cargo_test(
        &[
            "--workspace",
            "--exclude",
            "rollcall-e2e",
            "--lib",
            "--bins",
            "--tests",
        ],
        Beside::Others,
    );
    if !with_mysql {
        runner.command.args(["--skip", "_on_mysql"]);
    }
    runner
}

/// `cargo test` on the end-to-end suites that may run like this.
pub(crate) fn cargo_test_of_suites(beside: Beside) -> Result<Runner> {
    let mut selection = vec!["--package".to_owned(), "rollcall-e2e".to_owned()];
    for suite in suites()? {
        if ALONE.contains(&suite.as_str()) == (beside == Beside::Nobody) {
            selection.extend(["--test".to_owned(), suite]);
        }
    }
    let selection: Vec<&str> = selection.iter().map(String::as_str).collect();
    Ok(cargo_test(&selection, beside))
}

fn cargo_test(selection: &[&str], beside: Beside) -> Runner {
    let mut command = compile::cargo(&["test", "--locked", "--no-fail-fast"]);
    command.args(selection).arg("--");
    if beside == Beside::Nobody {
        command.arg("--test-threads=1");
    }
    Runner {
        command,
        closing_line: "test result:",
    }
}

/// The end-to-end suites, by their files.
fn suites() -> Result<Vec<String>> {
    let folder = workspace::root().join("tests/suites");
    let broken = |error: std::io::Error| format!("{}: {error}", folder.display());
    let mut names = Vec::new();
    for entry in fs::read_dir(&folder).map_err(broken)? {
        let path = entry.map_err(broken)?.path();
        if path.extension().is_some_and(|kind| kind == "rs") {
            names.extend(
                path.file_stem()
                    .map(|stem| stem.to_string_lossy().into_owned()),
            );
        }
    }
    names.sort();
    Ok(names)
}

#[cfg(test)]
mod tests {
    use std::fs;

    use super::{ALONE, suites};
    use crate::workspace;

    #[test]
    fn tests_that_want_the_machine_alone_are_the_same_for_both_runners() {
        let config = workspace::root().join(".config/nextest.toml");
        let config = fs::read_to_string(config).unwrap();
        let mut overrides = config.split("[[profile.default.overrides]]");
        let those = overrides.find(|block| block.contains("threads-required"));
        let those = those.unwrap();
        let suites = suites().unwrap();
        for name in &suites {
            let alone = those.contains(&format!("binary({name})"));
            assert_eq!(alone, ALONE.contains(&name.as_str()), "{name}");
        }
        assert!(
            ALONE
                .iter()
                .all(|name| suites.contains(&(*name).to_owned()))
        );
    }
}
