//! A day of calls, one after another, on virtual time: what grows?
//!
//! Each call is two sessions over a network with loss, jitter and duplicates of its own, three minutes long, with a
//! change of stream in the middle. What a phone keeps for ever would show as memory of this process.

use std::net::SocketAddr;
use std::time::{Duration, Instant};

use rand::rngs::StdRng;
use rand::{Rng, SeedableRng};
use rollcall_media::FRAME;
use rollcall_media::codec::Codec;
use rollcall_media::session::{Counters, Session};

use crate::Result;
use crate::quality::pair_of_sessions;

const TICK: Duration = Duration::from_millis(20);
/// Ticks of a call: three minutes.
const CALL: u32 = 9_000;
const CALLS_AN_HOUR: u32 = 20;

/// Prints a line an hour.
pub(crate) fn measure(seed: u64, hours: usize) -> Result<()> {
    println!("{hours} hours of calls of three minutes, seed {seed}");
    println!(
        "{:>5} {:>12} {:>10} {:>8} {:>8} {:>10} {:>12}",
        "hour", "packets", "played", "late", "lost", "discarded", "resident KB"
    );
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
        println!(
            "{hour:>5} {:>12} {:>10} {:>8} {:>8} {:>10} {:>12}",
            sum.received,
            sum.played,
            sum.late,
            sum.lost,
            sum.discarded,
            resident().unwrap_or_default()
        );
    }
    Ok(())
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
