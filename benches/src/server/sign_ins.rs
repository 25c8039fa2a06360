//! Eight o'clock: everybody signs in at once, while somebody watches the board.

use std::fmt;
use std::sync::mpsc;
use std::thread;
use std::time::{Duration, Instant, SystemTime, UNIX_EPOCH};

use rollcall_e2e::{Board, waiting::PROMPTLY};
use serde_json::Value;

use super::load::{self, Line};
use super::programs::{Target, extension};
use crate::Result;

/// How long changes are watched before their p99 is one figure. A p99 differs from one such time to the next, in quiet as
/// well: what it differs by then is no movement.
const WINDOW: Duration = Duration::from_secs(5);
/// How many of these the quiet before is measured.
const QUIET: usize = 5;
/// How long one change may take to be seen before the board counts as stuck.
const STUCK: Duration = PROMPTLY.saturating_mul(3);
/// How often it is looked whether it was; the dashboard's own stamp counts, in whole milliseconds.
const LOOK: Duration = Duration::from_millis(2);
/// How far apart changes are made: some hundred of them while all sign in, so that their p99 is not their worst.
const EVERY: Duration = Duration::from_millis(10);

/// Prints how long it takes until all are in, and what a change takes to the dashboard before and meanwhile. The first
/// `signed_in` are in already; the very first is whose changes are watched.
pub(crate) fn measure(target: &Target, signed_in: usize, people: usize) -> Result<()> {
    let mut line = Line::open(target.address)?;
    let supervisor = target.token(&mut line, "supervisor")?;
    let watched = target.token(&mut line, &format!("agent{}", extension(0)))?;
    let url = format!("http://{}", target.address);
    let board = Board::connect(&url, &supervisor, "websocket");
    wait_for_the_snapshot(&board)?;
    let mut probe = Probe {
        line,
        token: watched,
        board,
        made: 0,
    };
    let mut before = Windows::default();
    while before.whole < QUIET {
        before.add(probe.change()?);
    }
    let coming: Vec<String> = (signed_in..people)
        .map(|place| format!("agent{}", extension(place)))
        .collect();
    let count = coming.len();
    let (done, all_in) = mpsc::channel();
    let address = target.address;
    let begun = Instant::now();
    for username in coming {
        let done = done.clone();
        thread::spawn(move || {
            let _ = done.send(one(address, &username, begun));
        });
    }
    drop(done);
    let (mut meanwhile, mut times, mut refused) = (Windows::default(), Vec::new(), [0; 2]);
    while times.len() < count {
        meanwhile.add(probe.change()?);
        for time in all_in.try_iter() {
            let (time, [guessers, busy]) = time?;
            times.push(time);
            refused = [refused[0] + guessers, refused[1] + busy];
        }
    }
    let last = times.iter().max().map_or(0.0, Duration::as_secs_f64);
    println!("{count} sign-ins at once, each with its password: the last was in after {last:.1} s");
    println!(
        "told to come back meanwhile: {} times as a guesser (429), {} times as too many (503)",
        refused[0], refused[1]
    );
    println!(
        "a change, from its request to the dashboard, p99 of each {} s:\n  before    {before}\n  meanwhile {meanwhile}",
        WINDOW.as_secs()
    );
    Ok(())
}

/// What changes took, window by window.
#[derive(Default)]
struct Windows {
    all: Vec<Vec<Duration>>,
    /// When the last began.
    begun: Option<Instant>,
    /// How many are over.
    whole: usize,
}

impl Windows {
    fn add(&mut self, took: Duration) {
        let now = Instant::now();
        if self.begun.is_none_or(|begun| now - begun >= WINDOW) {
            self.whole = self.all.len();
            self.begun = Some(now);
            self.all.push(Vec::new());
        }
        if let Some(last) = self.all.last_mut() {
            last.push(took);
        }
    }
}

impl fmt::Display for Windows {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        // What is left of a window has too few changes for a figure of its own.
        let whole = self.all.get(..self.whole.max(1)).unwrap_or_default();
        let windows = whole.iter().map(|window| load::p99(window.clone()));
        let windows: Vec<String> = windows.map(|p99| format!("{p99:.0}")).collect();
        let all = self.all.concat();
        write!(
            f,
            "{} ms; {:.1} ms of all {} changes",
            windows.join(", "),
            load::p99(all.clone()),
            all.len()
        )
    }
}

/// What changes before it is in it, and no change to be seen.
fn wait_for_the_snapshot(board: &Board) -> Result<()> {
    let begun = Instant::now();
    let is_there = |line: &String| line.contains("agents:snapshot");
    while !board.program().lines().iter().any(is_there) {
        if begun.elapsed() > STUCK {
            return Err("the dashboard gets no snapshot".to_owned());
        }
        thread::sleep(LOOK);
    }
    Ok(())
}

/// When somebody was in, and how often they were answered 429 and 503 before; who is told to come back later does.
fn one(
    address: std::net::SocketAddr,
    username: &str,
    begun: Instant,
) -> Result<(Duration, [usize; 2])> {
    let body = serde_json::json!({
        "username": username, "password": super::programs::PASSWORD, "deviceId": format!("device-{username}"),
    });
    let mut refused = [0; 2];
    loop {
        let mut line = Line::open(address)?;
        match line.post("/api/users/login", None, &body.to_string())? {
            (200, _) => return Ok((begun.elapsed(), refused)),
            (status @ (429 | 503), _) => {
                refused[usize::from(status == 503)] += 1;
                thread::sleep(Duration::from_millis(500));
            }
            (status, _) => return Err(format!("{username}: signing in is answered {status}")),
        }
    }
}

/// Makes a change, and sees it on the board.
struct Probe {
    line: Line,
    token: String,
    board: Board,
    made: usize,
}

impl Probe {
    fn change(&mut self) -> Result<Duration> {
        self.made += 1;
        let extension = extension(0);
        let body = load::claim(&extension, &format!("probe-{}", self.made));
        let seen = self.board.program().written();
        let (asked, asked_ms) = (Instant::now(), clock_ms());
        let (status, _) = self
            .line
            .post("/api/users/agent-online", Some(&self.token), &body)?;
        if status != 200 {
            return Err(format!("agent-online is answered {status}"));
        }
        let heard_ms = loop {
            if let Some(heard) = self.heard_after(seen) {
                break heard;
            }
            if asked.elapsed() > STUCK {
                return Err("a change was not seen on the board".to_owned());
            }
            thread::sleep(LOOK);
        };
        thread::sleep(EVERY.saturating_sub(asked.elapsed()));
        Ok(Duration::from_millis(heard_ms.saturating_sub(asked_ms)))
    }

    /// When the dashboard heard of the watched agent, ms since the epoch, in the lines after these.
    fn heard_after(&self, seen: usize) -> Option<u64> {
        let lines = self.board.program().lines_after(seen);
        lines.iter().find_map(|line| {
            let event: Value = serde_json::from_str(line).ok()?;
            let is_it =
                event["event"] == "agent:status" && event["data"]["extension"] == extension(0);
            is_it.then(|| event["t"].as_u64())?
        })
    }
}

fn clock_ms() -> u64 {
    let since = SystemTime::now().duration_since(UNIX_EPOCH);
    since.map_or(0, |since| since.as_millis().try_into().unwrap_or(u64::MAX))
}
