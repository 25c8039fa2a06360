//! A day of calls, one after another: what grows?
//!
//! Their sound is on virtual time: each call is two sessions over a network with loss, jitter and duplicates of its own,
//! three minutes long, with a change of stream in the middle. What a session keeps for ever would show as memory of this
//! process. Their signalling, their sockets and their tasks are real: each hour, as many calls are made to a running
//! `rollcall-phone`, which holds them for a moment each.

use std::net::SocketAddr;
use std::thread;
use std::time::{Duration, Instant};

use rand::rngs::StdRng;
use rand::{Rng, SeedableRng};
use rollcall_e2e::FarEnd;
use rollcall_e2e::far_end::Registered;
use rollcall_e2e::phone::{Phone, Running};
use rollcall_e2e::program::Resources;
use rollcall_media::FRAME;
use rollcall_media::codec::Codec;
use rollcall_media::session::{Counters, Session};

use crate::Result;
use crate::quality::pair_of_sessions;

const TICK: Duration = Duration::from_millis(20);
/// Ticks of a call: three minutes.
const CALL: u32 = 9_000;
const CALLS_AN_HOUR: u32 = 20;
/// A few packets of a call.
const SOON: Duration = Duration::from_millis(100);
/// Vitals come once a second.
const AT_REST: Duration = Duration::from_secs(20);

/// Prints a line an hour.
pub(crate) fn measure(seed: u64, hours: usize) -> Result<()> {
    println!("{hours} hours of calls of three minutes, seed {seed}");
    println!(
        "{:>5} {:>9} {:>9} {:>8} {:>8} {:>10} {:>12} | {:>10} {:>6} {:>8} {:>6}",
        "hour",
        "packets",
        "played",
        "late",
        "lost",
        "discarded",
        "resident KB",
        "phone's KB",
        "files",
        "threads",
        "tasks"
    );
    let engine = Engine::start();
    let mut random = StdRng::seed_from_u64(seed);
    let mut now = Instant::now();
    for hour in 1..=hours {
        let mut sum = Counters::default();
        for _ in 0..CALLS_AN_HOUR {
            let counters = call(&mut random, &mut now)?;
            sum.received += counters.received;
            sum.played += counters.played;
            sum.late += counters.late;
            sum.lost += counters.lost;
            sum.discarded += counters.discarded;
        }
        let (held, tasks) = engine.hour()?;
        println!(
            "{hour:>5} {:>9} {:>9} {:>8} {:>8} {:>10} {:>12} | {:>10} {:>6} {:>8} {tasks:>6}",
            sum.received,
            sum.played,
            sum.late,
            sum.lost,
            sum.discarded,
            resident().unwrap_or_default(),
            held.memory / 1024,
            held.files,
            held.threads
        );
    }
    println!(
        "\nresident: of this process, where the sessions are. On the right: what the phone holds when the calls of the hour are over,\n\
         its tasks as its vitals tell them."
    );
    Ok(())
}

/// A phone that answers every call.
struct Engine {
    far_end: FarEnd,
    registered: Registered,
    phone: Running,
}

impl Engine {
    fn start() -> Engine {
        let far_end = FarEnd::listen();
        let phone = Phone::at("1001", &far_end.address().to_string(), "not asked for")
            .codecs("pcmu")
            .answering()
            .start();
        Engine {
            registered: far_end.registered(),
            far_end,
            phone,
        }
    }

    /// Makes an hour's calls, one after another; what the phone holds afterwards, and how many tasks live in it.
    fn hour(&self) -> Result<(Resources, u64)> {
        for _ in 0..CALLS_AN_HOUR {
            let call = self.far_end.call(&self.registered);
            self.far_end.rtp(SOON);
            self.far_end.hang_up(&call);
        }
        let told = self.vitals().len();
        let deadline = Instant::now() + AT_REST;
        while Instant::now() < deadline {
            // One that was made before the last call had ended may be on its way.
            if let Some(tasks) = self.vitals().into_iter().nth(told + 1) {
                return Ok((self.phone.program.resources(), tasks));
            }
            thread::sleep(SOON);
        }
        Err("the phone tells no vitals".to_owned())
    }

    /// The tasks of all vitals so far.
    fn vitals(&self) -> Vec<u64> {
        let events = self.phone.program.events();
        let vitals = events.iter().filter(|event| event["event"] == "vitals");
        vitals.filter_map(|event| event["tasks"].as_u64()).collect()
    }
}

/// One call, PCMU five times out of six, else Opus.
fn call(random: &mut StdRng, now: &mut Instant) -> Result<Counters> {
    let codec = if random.random_bool(5.0 / 6.0) {
        Codec::Pcmu
    } else {
        Codec::Opus
    };
    let [speaker, listener] = [6000, 6002].map(|port| SocketAddr::from(([127, 0, 0, 1], port)));
    let (mut says, mut hears) = pair_of_sessions(codec, speaker, listener, random)?;
    let loss = random.random_range(0.0..0.05);
    let jitter = random.random_range(0..60);
    let mut wire: Vec<(Instant, Vec<u8>)> = Vec::new();
    let mut frame = [0.0; FRAME];
    for tick in 0..CALL {
        if tick == CALL / 2 {
            // A transfer: another stream from the same place.
            says = pair_of_sessions(codec, speaker, listener, random)?.0;
        }
        frame.fill_with(|| random.random_range(-0.1..0.1));
        if let Some(packet) = says
            .send_frame(&frame)
            .filter(|_| !random.random_bool(loss))
        {
            let delay = Duration::from_millis(random.random_range(0..=jitter));
            wire.push((*now + delay, packet.bytes.to_vec()));
        }
        deliver(&mut wire, *now, speaker, &mut hears);
        hears.play_frame(*now, &mut frame);
        *now += TICK;
    }
    Ok(hears.counters())
}

fn deliver(wire: &mut Vec<(Instant, Vec<u8>)>, now: Instant, from: SocketAddr, to: &mut Session) {
    wire.sort();
    let arrived = wire.partition_point(|(at, _)| *at <= now);
    for (at, bytes) in wire.drain(..arrived) {
        to.handle_packet(at, from, &bytes);
    }
}

/// Resident memory of this process in kilobytes.
fn resident() -> Option<u64> {
    let status = std::fs::read_to_string("/proc/self/status").ok()?;
    let line = status
        .lines()
        .find_map(|line| line.strip_prefix("VmRSS:"))?;
    line.trim().split(' ').next()?.parse().ok()
}
