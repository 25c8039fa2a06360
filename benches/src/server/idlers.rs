//! Connections that cost their maker nothing: silent, half a request, a byte now and then, a body that never comes. All of
//! them at once, while somebody signs in again and again.

use std::io::{ErrorKind, Read as _, Write as _};
use std::net::TcpStream;
use std::thread;
use std::time::{Duration, Instant};

use super::attacks::{Row, agent, sign_in};
use super::load::Line;
use super::programs::{PASSWORD, Target};
use crate::Result;
use crate::table::median;

/// Whoever is there after that was not cut off.
const LONGEST: Duration = Duration::from_secs(90);
/// How often the connections are looked at; slow ones say a byte each time.
const LOOK: Duration = Duration::from_millis(250);

/// Connections of one kind.
struct Kind {
    words: &'static str,
    count: usize,
    /// What each says at once.
    begins: &'static str,
    /// What each says, a byte a time, afterwards.
    goes_on: &'static [u8],
}

const KINDS: [Kind; 4] = [
    Kind {
        words: "that never speak",
        count: 1_000,
        begins: "",
        goes_on: b"",
    },
    Kind {
        words: "with half a request",
        count: 200,
        begins: "POST /api/users/login HTTP/1.1\r\nhost: x\r\n",
        goes_on: b"",
    },
    Kind {
        words: "that say a byte four times a second",
        count: 200,
        begins: "POST /api/users/login HTTP/1.1\r\nx: ",
        goes_on: b"slow",
    },
    Kind {
        words: "whose body never comes",
        count: 200,
        begins: "POST /api/users/login HTTP/1.1\r\nhost: x\r\ncontent-type: application/json\r\n\
                 content-length: 100\r\n\r\n",
        goes_on: b"",
    },
];

struct Idler {
    stream: TcpStream,
    /// When it was cut off, or its request was answered.
    ended: Option<Duration>,
}

pub(super) fn attack(target: &Target, rows: &mut Vec<Row>) -> Result<()> {
    let failed = |error: std::io::Error| format!("a connection: {error}");
    let begun = Instant::now();
    let mut crowds = Vec::new();
    for kind in KINDS {
        let mut crowd = Vec::new();
        for _ in 0..kind.count {
            let mut stream = TcpStream::connect(target.address).map_err(failed)?;
            stream.write_all(kind.begins.as_bytes()).map_err(failed)?;
            stream.set_nonblocking(true).map_err(failed)?;
            crowd.push(Idler {
                stream,
                ended: None,
            });
        }
        crowds.push((kind, crowd));
    }
    let (mut sign_ins, mut round) = (Vec::new(), 0);
    while begun.elapsed() < LONGEST && crowds.iter().any(|(_, crowd)| goes_on(crowd)) {
        for (kind, crowd) in &mut crowds {
            for idler in crowd.iter_mut().filter(|idler| idler.ended.is_none()) {
                idler.look(kind, round, begun);
            }
        }
        round += 1;
        let asked = Instant::now();
        let mut line = Line::open(target.address)?;
        let answer = sign_in(&mut line, "10.200.0.1", &agent(7), PASSWORD)?;
        if answer.status != 200 {
            return Err(format!(
                "among idlers a sign-in is answered {}",
                answer.status
            ));
        }
        sign_ins.push(asked.elapsed().as_secs_f64() * 1e3);
        thread::sleep(LOOK);
    }
    let crowds = crowds.iter().map(|(kind, crowd)| told(kind, crowd));
    let crowds: Vec<String> = crowds.collect();
    let slowest = sign_ins.iter().copied().fold(0.0, f64::max);
    let count = sign_ins.len();
    rows.push((
        "connections are held open, all of these at once",
        format!(
            "{}; {count} sign-ins meanwhile took {:.0} ms (median), {slowest:.0} ms (the slowest)",
            crowds.join("; "),
            median(sign_ins)
        ),
    ));
    Ok(())
}

fn goes_on(crowd: &[Idler]) -> bool {
    crowd.iter().any(|idler| idler.ended.is_none())
}

fn told(kind: &Kind, crowd: &[Idler]) -> String {
    let ended: Vec<f64> = crowd
        .iter()
        .filter_map(|idler| Some(idler.ended?.as_secs_f64()))
        .collect();
    let last = ended.iter().copied().fold(0.0, f64::max);
    format!(
        "of {} {}, {} are ended, the last after {last:.0} s",
        kind.count,
        kind.words,
        ended.len()
    )
}

impl Idler {
    /// Says its next byte, and sees whether it was answered or cut off.
    fn look(&mut self, kind: &Kind, round: usize, begun: Instant) {
        let next = kind.goes_on.get(round % kind.goes_on.len().max(1));
        let said = next.is_none_or(|byte| self.stream.write_all(&[*byte]).is_ok());
        let silent = matches!(self.stream.read(&mut [0; 512]), Err(error) if error.kind() == ErrorKind::WouldBlock);
        if !said || !silent {
            self.ended = Some(begun.elapsed());
        }
    }
}
