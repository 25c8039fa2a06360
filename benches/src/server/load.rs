//! The load generator: blocking connections, each a thread, so that it costs as little as it can beside what it measures.

use std::fmt;
use std::fs;
use std::io::{Read as _, Write as _};
use std::net::{SocketAddr, TcpStream};
use std::thread;
use std::time::{Duration, Instant};

use super::programs::{Target, extension};
use crate::Result;

/// How long a round loads a server.
const ROUND: Duration = Duration::from_secs(3);
/// An answer that takes longer is none.
const PATIENCE: Duration = Duration::from_secs(30);
/// Of the kernel's counters, the same on every Linux that this runs on.
const TICKS_A_SECOND: f64 = 100.0;

/// A connection that is kept.
pub(crate) struct Line {
    stream: TcpStream,
    address: SocketAddr,
    buffer: Vec<u8>,
}

impl Line {
    pub(crate) fn open(address: SocketAddr) -> Result<Line> {
        let failed = |error: std::io::Error| format!("{address}: {error}");
        let stream = TcpStream::connect(address).map_err(failed)?;
        stream.set_nodelay(true).map_err(failed)?;
        stream.set_read_timeout(Some(PATIENCE)).map_err(failed)?;
        Ok(Line {
            stream,
            address,
            buffer: Vec::new(),
        })
    }

    /// A request and its whole answer: status and body.
    pub(crate) fn post(
        &mut self,
        path: &str,
        token: Option<&str>,
        body: &str,
    ) -> Result<(u16, Vec<u8>)> {
        let authorization = token.map_or_else(String::new, |token| {
            format!("authorization: Bearer {token}\r\n")
        });
        let answer = self.ask(path, &authorization, body)?;
        Ok((answer.status, answer.body))
    }

    /// The same with these header lines, and all that an answer says.
    pub(crate) fn ask(&mut self, path: &str, headers: &str, body: &str) -> Result<Answer> {
        self.send("POST", path, headers, Some(body))
    }

    /// The same by any method, with a body or without.
    pub(crate) fn send(
        &mut self,
        method: &str,
        path: &str,
        headers: &str,
        body: Option<&str>,
    ) -> Result<Answer> {
        let address = self.address;
        let body = body.map_or_else(String::new, |body| {
            let length = body.len();
            format!("content-type: application/json\r\ncontent-length: {length}\r\n\r\n{body}")
        });
        let end = if body.is_empty() { "\r\n" } else { "" };
        let request =
            format!("{method} {path} HTTP/1.1\r\nhost: {address}\r\n{headers}{body}{end}");
        let failed = |error: std::io::Error| format!("{address}{path}: {error}");
        self.stream.write_all(request.as_bytes()).map_err(failed)?;
        loop {
            if let Some((answer, used)) = Answer::read(&self.buffer) {
                self.buffer.drain(..used);
                return Ok(answer);
            }
            let mut part = [0; 8192];
            match self.stream.read(&mut part).map_err(failed)? {
                0 => return Err(format!("{address}{path}: the connection ended")),
                read => self.buffer.extend_from_slice(&part[..read]),
            }
        }
    }
}

/// What a server answers.
pub(crate) struct Answer {
    pub(crate) status: u16,
    /// How long to wait, s.
    pub(crate) retry_after: Option<u64>,
    pub(crate) body: Vec<u8>,
}

impl Answer {
    /// The first whole one in what was read, and the bytes used.
    fn read(bytes: &[u8]) -> Option<(Answer, usize)> {
        let end = bytes.windows(4).position(|four| four == b"\r\n\r\n")?;
        let head = String::from_utf8_lossy(&bytes[..end]).to_ascii_lowercase();
        let number = |name: &str| -> Option<u64> {
            let line = head.lines().find_map(|line| line.strip_prefix(name))?;
            line.trim().parse().ok()
        };
        let status = head.split(' ').nth(1)?.parse().ok()?;
        let length = usize::try_from(number("content-length:").unwrap_or(0)).ok()?;
        let body = bytes.get(end + 4..end + 4 + length)?.to_vec();
        let retry_after = number("retry-after:");
        let answer = Answer {
            status,
            retry_after,
            body,
        };
        Some((answer, end + 4 + length))
    }
}

/// What one round came to.
pub(crate) struct Figure {
    answered: usize,
    seconds: f64,
    cpu_seconds: f64,
    /// Of the answers' times, ms.
    pub(crate) p99_ms: f64,
}

impl Figure {
    pub(crate) fn rate(&self) -> f64 {
        count(self.answered) / self.seconds
    }

    pub(crate) fn cpu_each_us(&self) -> f64 {
        self.cpu_seconds * 1e6 / count(self.answered)
    }
}

impl fmt::Display for Figure {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(
            f,
            "{:>8.0} a second, {:>7.0} us of CPU each, p99 {:.1} ms",
            self.rate(),
            self.cpu_each_us(),
            self.p99_ms
        )
    }
}

/// Every agent claims one new contact after the other, each once the last is answered.
pub(crate) fn agent_online(target: &Target, tokens: &[String], round: usize) -> Result<Figure> {
    let (before, begun) = (cpu(target.pid)?, Instant::now());
    let agents: Vec<_> = tokens
        .iter()
        .enumerate()
        .map(|(place, token)| {
            let (address, token) = (target.address, token.clone());
            thread::spawn(move || one_agent(address, &token, place, round, begun + ROUND))
        })
        .collect();
    let mut times = Vec::new();
    for agent in agents {
        let done = agent
            .join()
            .map_err(|_| "an agent's thread ended".to_owned())?;
        times.extend(done?);
    }
    let (seconds, after) = (begun.elapsed().as_secs_f64(), cpu(target.pid)?);
    Ok(Figure {
        answered: times.len(),
        seconds,
        cpu_seconds: after - before,
        p99_ms: p99(times),
    })
}

fn one_agent(
    address: SocketAddr,
    token: &str,
    place: usize,
    round: usize,
    until: Instant,
) -> Result<Vec<Duration>> {
    let mut line = Line::open(address)?;
    let extension = extension(place);
    let mut times = Vec::new();
    while Instant::now() < until {
        let body = claim(&extension, &format!("{round}-{}", times.len()));
        let asked = Instant::now();
        let (status, body) = line.post("/api/users/agent-online", Some(token), &body)?;
        if status != 200 {
            let body = String::from_utf8_lossy(&body);
            return Err(format!("agent-online is answered {status}: {body}"));
        }
        times.push(asked.elapsed());
    }
    Ok(times)
}

/// The body of an `agent-online` with a contact of this name.
pub(crate) fn claim(extension: &str, name: &str) -> String {
    format!(r#"{{"extension":"{extension}","contactUri":"sip:{extension}-{name}@127.0.0.1:4000"}}"#)
}

/// The time below which 99 of a hundred are, ms.
pub(crate) fn p99(mut times: Vec<Duration>) -> f64 {
    times.sort_unstable();
    let place = (times.len() * 99).div_ceil(100).saturating_sub(1);
    times
        .get(place)
        .map_or(f64::NAN, |time| time.as_secs_f64() * 1e3)
}

/// What a process has taken of all processors, s.
fn cpu(pid: i32) -> Result<f64> {
    let path = format!("/proc/{pid}/stat");
    let text = fs::read_to_string(&path).map_err(|error| format!("{path}: {error}"))?;
    // The name may hold spaces; after its bracket come the fields from the third on.
    let fields = text.rsplit(") ").next().unwrap_or_default();
    let ticks = |place: usize| -> Option<f64> { fields.split(' ').nth(place)?.parse().ok() };
    match (ticks(11), ticks(12)) {
        (Some(user), Some(system)) => Ok((user + system) / TICKS_A_SECOND),
        _ => Err(format!("{path} says nothing of time")),
    }
}

// Counts of a benchmark: far from what f64 cannot hold.
#[allow(clippy::cast_precision_loss)]
fn count(number: usize) -> f64 {
    number as f64
}
