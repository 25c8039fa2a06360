//! Children that cannot outlive us: each in its own process group, with a death signal, ended in a stated order.

use std::fs::OpenOptions;
use std::io::{BufRead, BufReader, Write};
use std::os::unix::process::CommandExt;
use std::path::{Path, PathBuf};
use std::process::{Child, Command, ExitStatus, Stdio};
use std::sync::mpsc::{Receiver, Sender, channel};
use std::thread;
use std::time::{Duration, Instant};

use nix::sys::signal::{Signal, killpg};
use nix::unistd::Pid;
use signal_hook::consts::{SIGHUP, SIGINT, SIGTERM};
use signal_hook::iterator::Signals;

use crate::Result;

/// How long a child may take over its own ending before it is killed.
const GRACE: Duration = Duration::from_secs(5);
/// How often a child that is being waited for is looked at.
const LOOK: Duration = Duration::from_millis(20);

/// A person's wish to end, or the end of a child, or a line that a child wrote.
pub(crate) enum News {
    /// Ctrl-C, or TERM from outside.
    Interrupted,
    /// A child wrote a line to its standard output.
    Line { child: &'static str, text: String },
    /// A child closed its standard output, which it does when it ends.
    Silent { child: &'static str },
}

/// Everything that is running, newest last, and the one channel on which it reports.
pub(crate) struct Household {
    members: Vec<Member>,
    sender: Sender<News>,
    news: Receiver<News>,
}

struct Member {
    name: &'static str,
    child: Child,
    log: PathBuf,
}

impl Household {
    /// An empty household that already listens for Ctrl-C, so that ending is ours to order. Handlers, unlike a blocked
    /// signal mask, do not pass to children.
    pub(crate) fn new() -> Result<Household> {
        let (sender, news) = channel();
        let mut signals = interrupts()?;
        let wish = sender.clone();
        thread::spawn(move || {
            for _ in signals.forever() {
                let _ = wish.send(News::Interrupted);
            }
        });
        Ok(Household {
            members: Vec::new(),
            sender,
            news,
        })
    }

    /// Starts `command` as `name`. All that it says goes to `log`; its standard output comes as [`News::Line`] too.
    pub(crate) fn start(
        &mut self,
        name: &'static str,
        command: &Command,
        log: &Path,
    ) -> Result<()> {
        let broken = |error: std::io::Error| format!("{}: {error}", log.display());
        let err = OpenOptions::new()
            .create(true)
            .append(true)
            .open(log)
            .map_err(broken)?;
        let mut copy = err.try_clone().map_err(broken)?;
        let mut child = bound_to_us(command)
            .process_group(0)
            .stdin(Stdio::null())
            .stdout(Stdio::piped())
            .stderr(err)
            .spawn()
            .map_err(|error| format!("cannot start {name}: {error}"))?;
        if let Some(out) = child.stdout.take() {
            let sender = self.sender.clone();
            thread::spawn(move || {
                for text in BufReader::new(out)
                    .lines()
                    .map_while(std::result::Result::ok)
                {
                    let _ = writeln!(copy, "{text}");
                    let _ = sender.send(News::Line { child: name, text });
                }
                let _ = sender.send(News::Silent { child: name });
            });
        }
        self.members.push(Member {
            name,
            child,
            log: log.to_owned(),
        });
        Ok(())
    }

    /// The next news, or `None` when `within` has passed.
    pub(crate) fn next(&self, within: Duration) -> Option<News> {
        self.news.recv_timeout(within).ok()
    }

    /// Waits until `child` writes a line that `wanted` takes; an early end or an interrupt is an error.
    pub(crate) fn line<T>(
        &self,
        child: &'static str,
        within: Duration,
        mut wanted: impl FnMut(&str) -> Option<T>,
    ) -> Result<T> {
        let deadline = Instant::now() + within;
        while let Some(left) = deadline.checked_duration_since(Instant::now()) {
            match self.next(left) {
                Some(News::Line { child: who, text }) if who == child => {
                    if let Some(value) = wanted(&text) {
                        return Ok(value);
                    }
                }
                Some(News::Silent { child: who }) if who == child => {
                    return Err(format!(
                        "{child} ended before it was ready\n{}",
                        self.last_words(child)
                    ));
                }
                Some(News::Interrupted) => return Err("interrupted".to_owned()),
                Some(News::Line { .. } | News::Silent { .. }) => {}
                None => break,
            }
        }
        Err(format!(
            "{child} was not ready within {} s\n{}",
            within.as_secs(),
            self.last_words(child)
        ))
    }

    /// Whether `name` was started and still runs.
    pub(crate) fn is_running(&mut self, name: &str) -> bool {
        self.members
            .iter_mut()
            .any(|member| member.name == name && matches!(member.child.try_wait(), Ok(None)))
    }

    /// Ends the named ones in the given order, each TERM first, then KILL, then whatever else is left.
    pub(crate) fn end(&mut self, order: &[&str]) {
        let rank = |name: &str| {
            order
                .iter()
                .position(|other| *other == name)
                .unwrap_or(order.len())
        };
        self.members.sort_by_key(|member| rank(member.name));
        for mut member in self.members.drain(..) {
            member.end();
        }
    }

    /// Ends one child now, TERM first, then KILL.
    pub(crate) fn end_one(&mut self, name: &str) {
        while let Some(at) = self.members.iter().position(|member| member.name == name) {
            self.members.remove(at).end();
        }
    }

    fn last_words(&self, name: &str) -> String {
        let Some(member) = self.members.iter().find(|member| member.name == name) else {
            return String::new();
        };
        let text = std::fs::read_to_string(&member.log).unwrap_or_default();
        let lines: Vec<&str> = text.lines().collect();
        format!(
            "it said, in {}:\n{}",
            member.log.display(),
            lines[lines.len().saturating_sub(20)..].join("\n")
        )
    }
}

impl Drop for Household {
    fn drop(&mut self) {
        self.end(&[]);
    }
}

impl Member {
    fn end(&mut self) {
        if matches!(self.child.try_wait(), Ok(Some(_))) {
            return;
        }
        self.signal(Signal::SIGTERM);
        let deadline = Instant::now() + GRACE;
        while Instant::now() < deadline {
            if matches!(self.child.try_wait(), Ok(Some(_))) {
                println!("    {} ended", self.name);
                return;
            }
            thread::sleep(LOOK);
        }
        self.signal(Signal::SIGKILL);
        let _ = self.child.wait();
        println!(
            "    {} did not end within {} s and was killed",
            self.name,
            GRACE.as_secs()
        );
    }

    fn signal(&self, signal: Signal) {
        if let Ok(pid) = i32::try_from(self.child.id()) {
            let _ = killpg(Pid::from_raw(pid), signal);
        }
    }
}

/// Runs `command` on our terminal; Ctrl-C is the child's to act on, and we wait for its end.
pub(crate) fn in_foreground(command: &Command) -> Result<ExitStatus> {
    let _held_back = interrupts()?;
    bound_to_us(command)
        .status()
        .map_err(|error| format!("cannot start {}: {error}", command.get_program().display()))
}

fn interrupts() -> Result<Signals> {
    Signals::new([SIGINT, SIGTERM, SIGHUP])
        .map_err(|error| format!("cannot hold back Ctrl-C: {error}"))
}

/// The same command, killed by the kernel when the thread that starts it ends. `setpriv` (util-linux) sets this
/// between fork and exec, where this program, which allows no unsafe code, cannot.
fn bound_to_us(command: &Command) -> Command {
    let mut bound = Command::new("setpriv");
    bound
        .args(["--pdeathsig", "KILL", "--"])
        .arg(command.get_program())
        .args(command.get_args());
    for (name, value) in command.get_envs() {
        match value {
            Some(value) => bound.env(name, value),
            None => bound.env_remove(name),
        };
    }
    if let Some(folder) = command.get_current_dir() {
        bound.current_dir(folder);
    }
    bound
}
