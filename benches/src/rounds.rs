//! One round: start a phone, let it register, call it, let clicks go round through it.

use std::fmt;
use std::thread;
use std::time::{Duration, Instant};

use rand::rngs::StdRng;
use rand::{Rng, SeedableRng};
use rollcall_e2e::FarEnd;
use rollcall_e2e::far_end::{Arrival, Call};

use crate::Result;
use crate::clicks::{Detector, FRAME, Source, time_of};
use crate::phones::{Phone, Work};
use crate::signalling::{self, Rate};

const TICK: Duration = Duration::from_millis(20);
/// Before the first click the loop may settle: buffers fill, clocks meet.
const SETTLING: u64 = 150;
/// Clicks a round.
const CLICKS: u64 = 8;
/// Starts a round.
const STARTS: usize = 5;
/// From one click's packet to the next's: longer than any loop takes.
const SPACING: u64 = 20;
/// The most that a packet takes beyond the fastest one where there is jitter.
const JITTER: Duration = Duration::from_millis(40);
/// How long we listen after the last packet.
const LISTENING: Duration = Duration::from_millis(500);
/// A phone that answers but sends nothing within this is not measured but named.
pub(crate) const SILENT: Duration = Duration::from_secs(3);

/// What a round measured.
pub(crate) struct Figures {
    /// From the call that starts the process to its REGISTER at our socket.
    pub(crate) start_to_register: Duration,
    /// From the 200 at our socket to the first RTP packet there; negative if that came first. In milliseconds.
    pub(crate) answer_to_rtp: f64,
    /// The median of the round's clicks.
    pub(crate) loop_delay: Duration,
    /// The same over a network that takes up to [`JITTER`] more for each packet, evenly drawn.
    pub(crate) jittered_delay: Duration,
    /// Calls that SIPp makes.
    pub(crate) calls: Rate,
    /// REGISTERs that SIPp takes.
    pub(crate) registers: Option<Rate>,
    /// How many clicks came back, of twice [`CLICKS`].
    pub(crate) clicks: usize,
}

impl fmt::Display for Figures {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(
            f,
            "REGISTER {:6.1} ms   first RTP {:6.2} ms   loop {:6.1} ms, with jitter {:6.1} ms ({} of {} clicks)   calls/s {:5.0}",
            milliseconds(self.start_to_register),
            self.answer_to_rtp,
            milliseconds(self.loop_delay),
            milliseconds(self.jittered_delay),
            self.clicks,
            2 * CLICKS,
            self.calls.a_second
        )?;
        match &self.registers {
            Some(registers) => write!(f, "   REGISTERs/s {:6.0}", registers.a_second),
            None => Ok(()),
        }
    }
}

pub(crate) fn milliseconds(time: Duration) -> f64 {
    time.as_secs_f64() * 1e3
}

/// What the phone takes from its start to REGISTER: the median of some starts. The first may find the program on the disk,
/// wherever memory that was not used for a while is taken back.
fn start_to_register(phone: &Phone) -> Result<Duration> {
    let mut times = Vec::new();
    for _ in 0..STARTS {
        let far_end = FarEnd::listen();
        let prepared = phone.prepare(&far_end.address().to_string(), Work::Echo)?;
        let started = Instant::now();
        let _running = prepared.start()?;
        times.push(far_end.registered().at.duration_since(started));
    }
    times.sort();
    Ok(times[times.len() / 2])
}

/// Measures `phone` once; `seed` decides the phase of our clock and where in their packets the clicks begin.
pub(crate) fn round(phone: &Phone, seed: u64) -> Result<Figures> {
    let far_end = FarEnd::listen();
    let prepared = phone.prepare(&far_end.address().to_string(), Work::Echo)?;
    let running = prepared.start()?;
    let registered = far_end.registered();
    let call = far_end.call(&registered);
    let first = far_end.rtp(SILENT);
    let first = first
        .first()
        .ok_or_else(|| format!("{} answered but sends no RTP", phone.name()))?;
    let mut source = Source::new();
    let steady = delays(&far_end, &call, &mut source, seed, Duration::ZERO);
    let jittered = delays(&far_end, &call, &mut source, seed, JITTER);
    far_end.hang_up(&call);
    drop(running);
    Ok(Figures {
        start_to_register: start_to_register(phone)?,
        answer_to_rtp: signed_milliseconds(call.answered, first.at),
        loop_delay: median(phone, &steady)?,
        jittered_delay: median(phone, &jittered)?,
        calls: signalling::calls(phone)?,
        registers: signalling::registers(phone)?,
        clicks: steady.len() + jittered.len(),
    })
}

/// Of what [`delays`] found.
pub(crate) fn median(phone: &Phone, delays: &[Duration]) -> Result<Duration> {
    let middle = delays.get(delays.len() / 2).copied();
    middle.ok_or_else(|| format!("no click came back from {}", phone.name()))
}

/// Sends sound with clicks, and says what each took to come back, the shortest first. Our clock's phase to the phone's
/// is chance, as it is between any two. A click's time is that of a packet that is not held up.
pub(crate) fn delays(
    far_end: &FarEnd,
    call: &Call,
    source: &mut Source,
    seed: u64,
    jitter: Duration,
) -> Vec<Duration> {
    let mut random = StdRng::seed_from_u64(seed);
    let mut sent = Vec::new();
    let mut packets = Vec::new();
    let begin = Instant::now() + random.random_range(Duration::ZERO..TICK);
    for n in 0..SETTLING + CLICKS * SPACING {
        let clicks = n >= SETTLING && (n - SETTLING).is_multiple_of(SPACING);
        let click = clicks.then(|| random.random_range(0..FRAME));
        let due = begin + TICK * u32::try_from(n).unwrap_or(u32::MAX);
        packets.push((
            due + random.random_range(Duration::ZERO..=jitter),
            source.packet(click),
        ));
        sent.extend(click.map(|place| time_of(due, place)));
    }
    packets.sort();
    for (at, packet) in packets {
        wait_until(at);
        far_end.send(call.rtp, &packet);
    }
    wait_until(Instant::now() + LISTENING);
    let mut delays = pair(&sent, &heard(&far_end.rtp(Duration::ZERO)));
    delays.sort();
    delays
}

/// When clicks began in what came back.
fn heard(arrivals: &[Arrival]) -> Vec<Instant> {
    let mut detector = Detector::new();
    arrivals
        .iter()
        .filter_map(|arrival| Some(time_of(arrival.at, detector.onset(&arrival.bytes)?)))
        .collect()
}

/// Each click that was heard belongs to the last one sent before it.
fn pair(sent: &[Instant], heard: &[Instant]) -> Vec<Duration> {
    let of = |heard: &Instant| Some(*heard - *sent.iter().rfind(|sent| *sent <= heard)?);
    heard.iter().filter_map(of).collect()
}

fn wait_until(when: Instant) {
    thread::sleep(when.saturating_duration_since(Instant::now()));
}

fn signed_milliseconds(from: Instant, to: Instant) -> f64 {
    milliseconds(to.saturating_duration_since(from))
        - milliseconds(from.saturating_duration_since(to))
}
