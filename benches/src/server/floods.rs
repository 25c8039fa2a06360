//! One address that asks as fast as it can, and one that opens session after session of Socket.IO, while somebody elsewhere
//! signs in.

use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::thread;
use std::time::{Duration, Instant};

use super::attacks::{Row, agent, sign_in};
use super::boards;
use super::load::Line;
use super::programs::{PASSWORD, Target};
use crate::Result;
use crate::table::median;

/// How long it asks.
const FLOOD: Duration = Duration::from_secs(30);
/// Its connections.
const LINES: usize = 4;
/// Sessions of Socket.IO that it wants.
const SESSIONS: usize = 6_000;
/// Between two sign-ins of somebody elsewhere.
const BREATH: Duration = Duration::from_millis(100);

pub(super) fn attack(target: &Target, rows: &mut Vec<Row>) -> Result<()> {
    requests(target, rows)?;
    sessions(target, rows)
}

fn requests(target: &Target, rows: &mut Vec<Row>) -> Result<()> {
    let begun = Instant::now();
    let address = target.address;
    let asking: Vec<_> = (0..LINES)
        .map(|_| thread::spawn(move || ask_until(address, begun + FLOOD)))
        .collect();
    let meanwhile = sign_ins_while(target, || begun.elapsed() < FLOOD)?;
    let mut answered = [0; 2];
    for thread in asking {
        let counts = thread.join().map_err(|_| "a flood's thread ended")??;
        answered = [answered[0] + counts[0], answered[1] + counts[1]];
    }
    rows.push((
        "one address asks as fast as it can",
        format!(
            "in {} s {} requests are answered and {} are answered 429; {meanwhile}",
            FLOOD.as_secs(),
            answered[0],
            answered[1]
        ),
    ));
    Ok(())
}

/// How many requests were answered 200, and how many 429.
fn ask_until(address: std::net::SocketAddr, until: Instant) -> Result<[usize; 2]> {
    let mut line = Line::open(address)?;
    let mut answered = [0; 2];
    while Instant::now() < until {
        let from = "x-forwarded-for: 10.204.0.1\r\n";
        match line.send("GET", "/healthz", from, None)?.status {
            200 => answered[0] += 1,
            429 => answered[1] += 1,
            status => return Err(format!("a flood is answered {status}")),
        }
    }
    Ok(answered)
}

fn sessions(target: &Target, rows: &mut Vec<Row>) -> Result<()> {
    let done = Arc::new(AtomicBool::new(false));
    let (address, over) = (target.address, Arc::clone(&done));
    let opening = thread::spawn(move || {
        let opened = open_many(address);
        over.store(true, Ordering::Release);
        opened
    });
    let meanwhile = sign_ins_while(target, || !done.load(Ordering::Acquire))?;
    let (opened, refused, took) = opening.join().map_err(|_| "a flood's thread ended")??;
    rows.push((
        "one address opens sessions of Socket.IO without end, and says nothing in them",
        format!(
            "of {SESSIONS} in {:.1} s, {opened} are opened and {refused} answered 429; {meanwhile}",
            took.as_secs_f64()
        ),
    ));
    Ok(())
}

fn open_many(address: std::net::SocketAddr) -> Result<(usize, usize, Duration)> {
    let begun = Instant::now();
    let mut line = Line::open(address)?;
    let (mut opened, mut refused) = (0, 0);
    for _ in 0..SESSIONS {
        match boards::open(&mut line, "10.205.0.1")? {
            Ok(_) => opened += 1,
            Err(429) => refused += 1,
            Err(status) => return Err(format!("a session is answered {status}")),
        }
    }
    Ok((opened, refused, begun.elapsed()))
}

/// What sign-ins from elsewhere took for as long as something goes on.
fn sign_ins_while(target: &Target, goes_on: impl Fn() -> bool) -> Result<String> {
    let mut times = Vec::new();
    while goes_on() {
        let asked = Instant::now();
        let mut line = Line::open(target.address)?;
        let answer = sign_in(&mut line, "10.206.0.1", &agent(9), PASSWORD)?;
        if answer.status != 200 {
            return Err(format!(
                "beside a flood a sign-in is answered {}",
                answer.status
            ));
        }
        times.push(asked.elapsed().as_secs_f64() * 1e3);
        thread::sleep(BREATH);
    }
    let slowest = times.iter().copied().fold(0.0, f64::max);
    let count = times.len();
    Ok(format!(
        "{count} sign-ins elsewhere meanwhile took {:.0} ms (median), {slowest:.0} ms (the slowest)",
        median(times)
    ))
}
