//! Long steps, with progress: a line when one starts, a sign of life while it runs, a line when it ends.
//!
//! A step's output goes to a log file that is named when it starts; the tail is shown only if the step fails.

use std::fs::{self, File};
use std::path::{Path, PathBuf};
use std::process::{Command, Stdio};
use std::sync::atomic::{AtomicUsize, Ordering};
use std::thread;
use std::time::{Duration, Instant};

use crate::{Result, failures, workspace};

/// How often a running step says that it still runs.
const SIGN_OF_LIFE: Duration = Duration::from_secs(15);
/// How often a running child is looked at.
const LOOK: Duration = Duration::from_millis(50);
/// How much of a failed step's output is shown.
const TAIL: usize = 300;

static COUNT: AtomicUsize = AtomicUsize::new(0);

/// What a step that ran left behind.
pub(crate) struct Done {
    /// Everything it wrote.
    pub(crate) log: PathBuf,
    /// Whether it ended with status 0.
    pub(crate) passed: bool,
}

/// Runs `command` as the step `name` and fails with its output if it fails.
pub(crate) fn run(name: &str, command: &mut Command) -> Result<Done> {
    let done = attempt(name, command)?;
    if done.passed {
        Ok(done)
    } else {
        let errors = failures::errors(&text(&done.log)).join("\n\n");
        Err(format!(
            "{name} failed; everything it said is in {}\n\n{errors}",
            done.log.display()
        ))
    }
}

/// Runs `command` as the step `name`; a failure is shown and reported, not returned as an error.
pub(crate) fn attempt(name: &str, command: &mut Command) -> Result<Done> {
    let done = attempt_quietly(name, command)?;
    if !done.passed {
        println!("{}\n    {name} FAILED", tail(&done.log));
    }
    Ok(done)
}

/// As [`attempt`], for a step whose failure is expected now and then: its output stays in the log.
pub(crate) fn attempt_quietly(name: &str, command: &mut Command) -> Result<Done> {
    let log = log_file(name)?;
    let out = File::create(&log).map_err(|error| format!("{}: {error}", log.display()))?;
    let err = out.try_clone().map_err(|error| error.to_string())?;
    println!("==> {name}  (log: {})", shown(&log));
    let started = Instant::now();
    let mut child = command
        .stdin(Stdio::null())
        .stdout(out)
        .stderr(err)
        .spawn()
        .map_err(|error| {
            format!(
                "{name}: cannot start {}: {error}",
                command.get_program().display()
            )
        })?;
    let mut next = SIGN_OF_LIFE;
    let status = loop {
        if let Some(status) = child
            .try_wait()
            .map_err(|error| format!("{name}: {error}"))?
        {
            break status;
        }
        if started.elapsed() >= next {
            println!(
                "    {:>4} s  {}",
                started.elapsed().as_secs(),
                last_line(&log)
            );
            next += SIGN_OF_LIFE;
        }
        thread::sleep(LOOK);
    };
    let seconds = started.elapsed().as_secs_f64();
    match status.success() {
        true => println!("    done in {seconds:.1} s"),
        false => println!("    not done after {seconds:.1} s: {status}"),
    }
    Ok(Done {
        log,
        passed: status.success(),
    })
}

/// A path as a person reads it: relative to the repository where it lies inside.
pub(crate) fn shown(path: &Path) -> String {
    path.strip_prefix(workspace::root())
        .unwrap_or(path)
        .display()
        .to_string()
}

fn log_file(name: &str) -> Result<PathBuf> {
    let folder = workspace::target().join("xtask-log");
    fs::create_dir_all(&folder).map_err(|error| format!("{}: {error}", folder.display()))?;
    let slug: String = name
        .chars()
        .map(|c| {
            if c.is_ascii_alphanumeric() {
                c.to_ascii_lowercase()
            } else {
                '-'
            }
        })
        .collect();
    let number = COUNT.fetch_add(1, Ordering::Relaxed) + 1;
    Ok(folder.join(format!("{number:02}-{}.log", slug.trim_matches('-'))))
}

/// All of a step's log, as far as it can be read.
pub(crate) fn text(log: &Path) -> String {
    fs::read(log)
        .map(|bytes| String::from_utf8_lossy(&bytes).into_owned())
        .unwrap_or_default()
}

fn last_line(log: &Path) -> String {
    let text = text(log);
    let line = text
        .lines()
        .rev()
        .find(|line| !line.trim().is_empty())
        .unwrap_or("(nothing said yet)");
    line.trim().chars().take(100).collect()
}

fn tail(log: &Path) -> String {
    let text = text(log);
    let lines: Vec<&str> = text
        .lines()
        .filter(|line| !failures::is_progress(line))
        .collect();
    lines[lines.len().saturating_sub(TAIL)..].join("\n")
}
