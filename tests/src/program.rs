//! A program under test: started, read line by line, ended; it never outlives the test.

use std::ffi::OsStr;
use std::fmt;
use std::io::{BufRead, BufReader, Read, Write as _};
use std::os::unix::process::CommandExt;
use std::path::Path;
use std::process::{Child, Command, ExitStatus, Stdio};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::thread::{self, JoinHandle};
use std::time::{Duration, Instant};

use nix::sys::signal::{Signal, kill, killpg};
use nix::unistd::Pid;
use serde_json::Value;
use tempfile::TempDir;

use crate::waiting::{PROMPTLY, eventually};

/// A child process in its own process group, killed by the kernel when the test's thread ends.
pub struct Program {
    name: String,
    child: Child,
    out: Lines,
    err: Lines,
    /// They end when nobody can write to the pipes any more.
    readers: [Option<JoinHandle<()>>; 2],
    /// Goes only after the program has gone.
    _folder: Option<Arc<TempDir>>,
}

/// How long the last words of a program that has ended may take to be read; a child that outlives it may hold its pipes.
const LAST_WORDS: Duration = Duration::from_secs(2);

/// What a process holds, as the kernel counts it.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Resources {
    /// Open file descriptors.
    pub files: usize,
    /// Threads.
    pub threads: usize,
    /// Resident memory, in bytes.
    pub memory: usize,
}

type Lines = Arc<Mutex<Vec<String>>>;

impl Program {
    /// Starts `path` with `arguments` and extra environment variables.
    ///
    /// # Panics
    ///
    /// If it cannot be started.
    pub fn start<A: AsRef<OsStr>>(
        path: &Path,
        arguments: impl IntoIterator<Item = A>,
        environment: &[(&str, &OsStr)],
    ) -> Program {
        Program::spawn(path, arguments, environment, Stdio::null())
    }

    /// The same for a program that takes commands from its standard input: [`Program::tell`].
    ///
    /// # Panics
    ///
    /// If it cannot be started.
    pub fn commanded<A: AsRef<OsStr>>(
        path: &Path,
        arguments: impl IntoIterator<Item = A>,
        environment: &[(&str, &OsStr)],
    ) -> Program {
        Program::spawn(path, arguments, environment, Stdio::piped())
    }

    /// Writes a line to its standard input.
    ///
    /// # Panics
    ///
    /// If it takes none.
    pub fn tell(&mut self, line: &str) {
        let input = self.child.stdin.as_mut();
        let input = input.unwrap_or_else(|| panic!("{} takes no commands", self.name));
        writeln!(input, "{line}").unwrap_or_else(|error| panic!("{}: {error}", self.name));
    }

    fn spawn<A: AsRef<OsStr>>(
        path: &Path,
        arguments: impl IntoIterator<Item = A>,
        environment: &[(&str, &OsStr)],
        input: Stdio,
    ) -> Program {
        let name = path.file_name().map_or_else(
            || path.display().to_string(),
            |name| name.to_string_lossy().into_owned(),
        );
        // setpriv (util-linux) sets the death signal between fork and exec, which safe Rust cannot.
        let mut child = Command::new("setpriv")
            .args(["--pdeathsig", "KILL", "--"])
            .arg(path)
            .args(arguments)
            .envs(environment.iter().copied())
            .process_group(0)
            .stdin(input)
            .stdout(Stdio::piped())
            .stderr(Stdio::piped())
            .spawn()
            .unwrap_or_else(|error| panic!("{name} does not start: {error}"));
        let (out, err) = (Lines::default(), Lines::default());
        let readers = [
            child.stdout.take().map(|pipe| collect(pipe, &out)),
            child.stderr.take().map(|pipe| collect(pipe, &err)),
        ];
        Program {
            name,
            child,
            out,
            err,
            readers,
            _folder: None,
        }
    }

    /// Keeps what it reads and writes for as long as it may run, whoever started it.
    #[must_use]
    pub fn keeping(mut self, folder: Arc<TempDir>) -> Program {
        self._folder = Some(folder);
        self
    }

    /// What it wrote to standard output so far.
    pub fn lines(&self) -> Vec<String> {
        locked(&self.out).clone()
    }

    /// The lines after the first `seen`: for who looks so often that a copy of all would cost what is measured.
    pub fn lines_after(&self, seen: usize) -> Vec<String> {
        locked(&self.out).get(seen..).unwrap_or_default().to_vec()
    }

    /// How many lines it wrote to standard output so far.
    pub fn written(&self) -> usize {
        locked(&self.out).len()
    }

    /// What it wrote to standard error so far.
    pub fn complaints(&self) -> Vec<String> {
        locked(&self.err).clone()
    }

    /// The JSON events it wrote so far, one a line; other lines are left out.
    pub fn events(&self) -> Vec<Value> {
        locked(&self.out)
            .iter()
            .filter_map(|line| serde_json::from_str(line).ok())
            .collect()
    }

    /// Waits for an event that `wanted` takes.
    ///
    /// # Panics
    ///
    /// If there is none within [`PROMPTLY`].
    pub async fn event<T>(&self, what: &str, wanted: impl Fn(&Value) -> Option<T>) -> T {
        self.event_within(what, PROMPTLY, wanted).await
    }

    /// As [`Program::event`], with a deadline of its own.
    ///
    /// # Panics
    ///
    /// If there is none in time.
    pub async fn event_within<T>(
        &self,
        what: &str,
        within: Duration,
        wanted: impl Fn(&Value) -> Option<T>,
    ) -> T {
        let what = format!("{}: {what}", self.name);
        eventually(&what, within, async || {
            let events = self.events();
            events
                .iter()
                .find_map(&wanted)
                .ok_or_else(|| format!("{} events, the last {:?}", events.len(), events.last()))
        })
        .await
    }

    /// When it first wrote the event called `name`, ms since the epoch.
    ///
    /// # Panics
    ///
    /// If it does not within [`PROMPTLY`].
    pub async fn time_of(&self, name: &str) -> u64 {
        let time = |event: &Value| event["t"].as_u64().filter(|_| event["event"] == name);
        self.event(name, time).await
    }

    /// Waits until it ends by itself, and until its last words are read.
    ///
    /// # Panics
    ///
    /// If it does not in time.
    pub async fn ended(&mut self, within: Duration) -> ExitStatus {
        let what = format!("{} ends", self.name);
        let status = eventually(&what, within, async || match self.child.try_wait() {
            Ok(Some(status)) => Ok(status),
            Ok(None) => Err("it still runs".to_owned()),
            Err(error) => Err(error.to_string()),
        })
        .await;
        let deadline = Instant::now() + LAST_WORDS;
        let unread = |reader: &JoinHandle<()>| !reader.is_finished();
        while self.readers.iter().flatten().any(unread) && Instant::now() < deadline {
            tokio::time::sleep(Duration::from_millis(1)).await;
        }
        status
    }

    /// Asks it to end (TERM) and waits until it has.
    ///
    /// # Panics
    ///
    /// If it does not within [`PROMPTLY`].
    pub async fn terminate(&mut self) -> ExitStatus {
        let _ = kill(self.pid(), Signal::SIGTERM);
        self.ended(PROMPTLY).await
    }

    /// kill -9, as a crash or the kernel would end it, and all its children.
    pub fn kill(&mut self) {
        let _ = killpg(self.pid(), Signal::SIGKILL);
        let _ = self.child.wait();
    }

    /// Stops it in its tracks (STOP): it hangs, its sockets stay open.
    pub fn freeze(&self) {
        let _ = killpg(self.pid(), Signal::SIGSTOP);
    }

    /// Lets a frozen one go on.
    pub fn thaw(&self) {
        let _ = killpg(self.pid(), Signal::SIGCONT);
    }

    /// Sends a signal to its children, which may have left its process group.
    pub fn signal_children(&self, signal: Signal) {
        let pid = self.pid();
        let children = format!("/proc/{pid}/task/{pid}/children");
        let children = std::fs::read_to_string(children).unwrap_or_default();
        for child in children.split_whitespace().filter_map(|id| id.parse().ok()) {
            let _ = kill(Pid::from_raw(child), signal);
        }
    }

    /// What it holds at the moment.
    ///
    /// # Panics
    ///
    /// If it has ended.
    pub fn resources(&self) -> Resources {
        let place = format!("/proc/{}", self.pid());
        let status = std::fs::read_to_string(format!("{place}/status")).unwrap_or_default();
        let figure = |name: &str| -> usize {
            let line = status.lines().find_map(|line| line.strip_prefix(name));
            let word = line.and_then(|line| line.trim_start_matches(':').split_whitespace().next());
            word.and_then(|word| word.parse().ok())
                .unwrap_or_else(|| panic!("{} has ended", self.name))
        };
        Resources {
            files: std::fs::read_dir(format!("{place}/fd")).map_or(0, Iterator::count),
            threads: figure("Threads"),
            memory: figure("VmRSS") * 1024,
        }
    }

    /// Its process id.
    pub fn pid(&self) -> Pid {
        Pid::from_raw(i32::try_from(self.child.id()).unwrap_or(i32::MAX))
    }

    /// Whether it still runs.
    pub fn is_running(&mut self) -> bool {
        matches!(self.child.try_wait(), Ok(None))
    }
}

impl Drop for Program {
    fn drop(&mut self) {
        let _ = killpg(self.pid(), Signal::SIGTERM);
        let deadline = Instant::now() + Duration::from_secs(3);
        while self.is_running() && Instant::now() < deadline {
            thread::sleep(Duration::from_millis(10));
        }
        self.kill();
        if thread::panicking() {
            eprintln!("{self:?}");
        }
    }
}

impl fmt::Debug for Program {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let tail = |lines: &Lines| {
            let lines = locked(lines);
            lines[lines.len().saturating_sub(60)..].join("\n    ")
        };
        writeln!(f, "--- {} said:\n    {}", self.name, tail(&self.out))?;
        write!(f, "--- {} complained:\n    {}", self.name, tail(&self.err))
    }
}

fn collect(source: impl Read + Send + 'static, lines: &Lines) -> JoinHandle<()> {
    let sink = Arc::clone(lines);
    thread::spawn(move || {
        for line in BufReader::new(source).lines().map_while(Result::ok) {
            locked(&sink).push(line);
        }
    })
}

fn locked(lines: &Lines) -> MutexGuard<'_, Vec<String>> {
    lines.lock().unwrap_or_else(PoisonError::into_inner)
}
