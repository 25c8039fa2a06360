//! What calls cost: CPU, memory, packets sent, for one call, for forty, and for as many as one core holds; ours and
//! baresip in turns, against the same far end.

use std::fs;
use std::path::Path;
use std::thread;
use std::time::{Duration, Instant};

use rand::SeedableRng;
use rand::rngs::StdRng;
use rollcall_e2e::FarEnd;
use rollcall_e2e::far_end::{Offer, Registered, fresh};
use rollcall_e2e::sound::write_tone;
use rollcall_media::FRAME;
use rollcall_media::codec::Codec;
use rollcall_media::sdp::Negotiated;
use rollcall_media::session::{Config, Session};

use crate::phones::{Phone, Work};
use crate::table::median;
use crate::{Result, packets};

const TICK: Duration = Duration::from_millis(20);
/// Calls come up, buffers fill.
const SETTLING: usize = 100;
/// Ticks that are measured: ten seconds.
const MEASURED: usize = 500;
/// Calls at once; the last ones for what one core holds.
const CALLS: [usize; 6] = [1, 40, 100, 200, 400, 800];
/// A phone that has not answered by then takes no more calls.
const ANSWERING: Duration = Duration::from_secs(5);
/// Of the packets that are due; with fewer, or at a whole core, no more calls are tried.
const ENOUGH: f64 = 0.98;

/// What a load took.
#[derive(Clone, Copy)]
struct Cost {
    /// Of a core, for all calls.
    cpu: f64,
    /// Resident, in megabytes.
    memory: f64,
    /// Of the packets that were due.
    sent: f64,
}

/// Measures and prints.
pub(crate) fn measure(phones: &[Phone], rounds: usize) -> Result<()> {
    let folder = tempfile::tempdir().map_err(|error| error.to_string())?;
    println!(
        "\n{:<7} {:>6}  {:<15} {:>12} {:>12} {:>10} {:>8}",
        "codec", "calls", "phone", "CPU %", "% a call", "MB", "sent %"
    );
    // baresip wants its file at the codec's rate.
    for (codec, rate) in [(Codec::Pcmu, 8_000), (Codec::Opus, 48_000)] {
        let voice = folder.path().join(format!("voice-{rate}.wav"));
        write_tone(&voice, rate, 440.0, 0.3, 30.0);
        let mut full = vec![false; phones.len()];
        for calls in CALLS {
            // What is much is measured once: a core that is full does not sway.
            let rounds = if calls > 40 { 1 } else { rounds };
            let mut costs = vec![Vec::new(); phones.len()];
            let mut refusals = vec![String::new(); phones.len()];
            for _ in 0..rounds {
                let turns = phones.iter().zip(&mut costs).zip(&mut refusals).zip(&full);
                for (((phone, costs), refused), _) in turns.filter(|(_, full)| !**full) {
                    match cost(phone, codec, calls, &voice) {
                        Ok(cost) => costs.push(cost),
                        Err(words) => *refused = words,
                    }
                }
            }
            let taken = costs.iter().zip(&refusals);
            for ((phone, (costs, refused)), full) in phones.iter().zip(taken).zip(&mut full) {
                if !*full {
                    *full = row(phone, codec, calls, costs, refused);
                }
            }
        }
    }
    packets::measure()
}

/// Prints the medians, or the last round's words where none came to an end. Whether no more calls are worth trying.
fn row(phone: &Phone, codec: Codec, calls: usize, costs: &[Cost], refused: &str) -> bool {
    let name = phone.name();
    if costs.is_empty() {
        println!("{codec:<7} {calls:>6}  {name:<15} did not take so many: {refused}");
        return true;
    }
    let of = |figure: fn(&Cost) -> f64| median(costs.iter().map(figure).collect());
    let (cpu, sent) = (of(|it| it.cpu), of(|it| it.sent));
    println!(
        "{:<7} {calls:>6}  {name:<15} {:>12.2} {:>12.3} {:>10.1} {:>8.1}",
        codec.to_string(),
        100.0 * cpu,
        100.0 * cpu / calls as f64,
        of(|it| it.memory),
        100.0 * sent
    );
    cpu > 0.95 || sent < ENOUGH
}

fn cost(phone: &Phone, codec: Codec, calls: usize, voice: &Path) -> Result<Cost> {
    let offer = match codec {
        Codec::Opus => Offer {
            number: 107,
            name: "opus/48000/2",
        },
        _ => Offer::default(),
    };
    let far_end = FarEnd::listen().offering(offer);
    let work = Work::Speak {
        voice,
        codec: &codec.to_string(),
        calls,
    };
    let prepared = phone.prepare(&far_end.address().to_string(), work)?;
    let running = prepared.start()?;
    let registered: Registered = far_end.registered();
    let call = |_| far_end.try_call(&registered, fresh(), ANSWERING);
    let taken: Option<Vec<_>> = (0..calls).map(call).collect();
    let taken = taken.ok_or("a call was not answered")?;
    let destinations: Vec<_> = taken.iter().map(|call| call.rtp).collect();
    let mut says = speaker(codec, offer.number, destinations[0])?;
    let frame: Vec<f32> = (0..FRAME)
        .map(|n| 0.3 * (n as f32 * std::f32::consts::TAU * 500.0 / 48_000.0).sin())
        .collect();
    let (mut due, mut came) = (Instant::now(), 0);
    let mut before = None;
    for tick in 0..SETTLING + MEASURED {
        if tick == SETTLING {
            far_end.rtp(Duration::ZERO);
            before = Some((Instant::now(), running_time(running.pid())?));
        }
        if let Some(packet) = says.send_frame(&frame) {
            for destination in &destinations {
                far_end.send(*destination, packet.bytes);
            }
        }
        let heard = far_end.rtp(Duration::ZERO).len();
        came += if tick >= SETTLING { heard } else { 0 };
        due += TICK;
        thread::sleep(due.saturating_duration_since(Instant::now()));
    }
    let (began, ran) = before.unwrap_or((due, Duration::ZERO));
    let passed = began.elapsed();
    let ran = running_time(running.pid())?.saturating_sub(ran);
    let wanted = passed.as_secs_f64() / TICK.as_secs_f64() * calls as f64;
    Ok(Cost {
        cpu: ran.as_secs_f64() / passed.as_secs_f64(),
        memory: memory(running.pid())?,
        sent: came as f64 / wanted,
    })
}

fn speaker(codec: Codec, number: u8, to: std::net::SocketAddr) -> Result<Session> {
    let config = Config::new(
        Negotiated::plain(codec, number, to),
        &mut StdRng::seed_from_u64(1),
    );
    Session::new(config).map_err(|error| error.to_string())
}

/// How long all threads of a process have run.
pub(crate) fn running_time(pid: u32) -> Result<Duration> {
    let tasks = fs::read_dir(format!("/proc/{pid}/task")).map_err(|error| error.to_string())?;
    let mut nanoseconds = 0;
    for task in tasks.flatten() {
        // A thread may end meanwhile.
        let said = fs::read_to_string(task.path().join("schedstat")).unwrap_or_default();
        let ran = said.split(' ').next().and_then(|ran| ran.parse().ok());
        nanoseconds += ran.unwrap_or(0u64);
    }
    Ok(Duration::from_nanos(nanoseconds))
}

/// Resident memory of a process in megabytes.
fn memory(pid: u32) -> Result<f64> {
    let status = fs::read_to_string(format!("/proc/{pid}/status")).map_err(|e| e.to_string())?;
    let line = status.lines().find_map(|line| line.strip_prefix("VmRSS:"));
    let kilobytes = line.and_then(|line| line.trim().split(' ').next()?.parse::<f64>().ok());
    kilobytes
        .map(|kilobytes| kilobytes / 1024.0)
        .ok_or_else(|| "no VmRSS".to_owned())
}
