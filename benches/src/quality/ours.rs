//! Speech through two of our sessions and the relay, on virtual time.

use std::collections::VecDeque;
use std::net::SocketAddr;
use std::time::{Duration, Instant};

use rand::rngs::StdRng;
use rand::{Rng, SeedableRng};
use rollcall_media::FRAME;
use rollcall_media::codec::Codec;
use rollcall_media::sdp::{self, Direction, Local};
use rollcall_media::session::{Config, Session};

use super::relay::Weather;
use super::speech::{Speech, resample};
use crate::Result;

const TICK: Duration = Duration::from_millis(20);
/// What the packets take.
const TRANSIT: Duration = Duration::from_millis(7);
/// Ticks between two reports of loss: about what RTCP makes of it.
const REPORT: usize = 250;

/// How punctual the two ends are: a phone's tick and what it sends come late when other programs run.
#[derive(Clone, Copy)]
pub(crate) struct Punctuality {
    /// Mean lateness of a tick, in seconds; it is spread exponentially.
    pub(crate) mean: f64,
    /// The latest.
    pub(crate) most: f64,
    /// How long after the speaker's ticks the listener's come.
    pub(crate) phase: Duration,
}

impl Punctuality {
    pub(crate) const PERFECT: Punctuality = Punctuality {
        mean: 0.0,
        most: 0.0,
        phase: Duration::from_millis(10),
    };

    fn lateness(self, random: &mut StdRng) -> Duration {
        let late = -self.mean * (1.0 - random.random::<f64>()).ln();
        Duration::from_secs_f64(late.min(self.most))
    }
}

/// What came out, and what it took.
pub(crate) struct Heard {
    /// At 16 kHz, with the pauses.
    pub(crate) sound: Vec<f32>,
    /// Share of the packets lost.
    pub(crate) lost: f64,
    /// Share of the lost that redundancy restored.
    pub(crate) restored: f64,
    /// Payload bits a second.
    pub(crate) kilobits: f64,
    pub(crate) delay_ms: f64,
    /// Sound left out and put in to change the delay, in milliseconds.
    pub(crate) stretched_ms: [f64; 2],
    /// Frames made up for want of a packet.
    pub(crate) starved: u64,
}

/// Lets one side speak and the other listen.
pub(crate) fn hear(
    codec: Codec,
    weather: Weather,
    punctuality: Punctuality,
    speech: &Speech,
    seed: u64,
) -> Result<Heard> {
    let [speaker, listener] = [6000, 6002].map(|port| SocketAddr::from(([127, 0, 0, 1], port)));
    let mut random = StdRng::seed_from_u64(seed);
    let (mut says, mut hears) = pair_of_sessions(codec, speaker, listener, &mut random)?;
    let start = Instant::now();
    let mut lost = weather.lost(seed);
    let mut wire: VecDeque<(Instant, Vec<u8>)> = VecDeque::new();
    let mut sound = Vec::new();
    let (mut sent, mut dropped, mut dropped_of_late) = (0u64, 0u64, 0u64);
    for (tick, frame) in speech.full().chunks_exact(FRAME).enumerate() {
        let due = start + TICK * tick as u32;
        if let Some(packet) = says.send_frame(frame) {
            sent += 1;
            let arrives = due + punctuality.lateness(&mut random) + TRANSIT;
            if lost.next() == Some(true) {
                dropped += 1;
                dropped_of_late += 1;
            } else {
                wire.push_back((arrives, packet.bytes.to_vec()));
            }
        }
        // As the phone does it: what is there when a late tick runs was there in time, and the sound is for the moment
        // at which the tick was due.
        let now = due + punctuality.phase;
        let late = now + punctuality.lateness(&mut random);
        while let Some((arrived, bytes)) = wire.pop_front_if(|(arrives, _)| *arrives <= late) {
            hears.handle_packet(arrived.min(now), speaker, &bytes);
        }
        let mut heard = [0.0; FRAME];
        hears.play_frame(now, &mut heard);
        sound.extend(heard);
        if tick % REPORT == REPORT - 1 {
            let percent = 100 * std::mem::take(&mut dropped_of_late) / REPORT as u64;
            let told = says.set_expected_loss(u8::try_from(percent).unwrap_or(100));
            told.map_err(|error| error.to_string())?;
        }
    }
    let counters = hears.counters();
    let octets = says.counters().sent_octets as f64;
    Ok(Heard {
        sound: resample(&sound, 1, 3),
        lost: dropped as f64 / sent as f64,
        restored: counters.recovered as f64 / dropped.max(1) as f64,
        kilobits: octets * 8.0 / 1000.0 / speech.seconds(),
        delay_ms: counters
            .target_delay
            .map_or(0.0, |it| it.as_secs_f64() * 1e3),
        stretched_ms: [counters.shortened, counters.lengthened]
            .map(|samples| samples as f64 / 48.0),
        starved: counters.starved,
    })
}

/// The two ends of a call in `codec`, in the open, as offer and answer would have it.
pub(crate) fn pair_of_sessions(
    codec: Codec,
    speaker: SocketAddr,
    listener: SocketAddr,
    random: &mut StdRng,
) -> Result<(Session, Session)> {
    let locals = [Local::new(speaker, 1), Local::new(listener, 2)];
    sessions_of(codec, &locals, random)
}

/// The two ends of a call in `codec`, as offer and answer of these caller and callee would have it.
pub(crate) fn sessions_of(
    codec: Codec,
    [caller, callee]: &[Local; 2],
    random: &mut StdRng,
) -> Result<(Session, Session)> {
    let words = |error: sdp::SdpError| error.to_string();
    let offer = sdp::offer(caller, &[codec], Direction::SendRecv);
    let answered = sdp::answer(&offer, callee, &[codec], Direction::SendRecv);
    let (answer, hears) = answered.map_err(words)?;
    let says = sdp::accept(&answer, caller, &[codec], Direction::SendRecv).map_err(words)?;
    let mut session = |negotiated| {
        Session::new(Config::new(negotiated, random)).map_err(|error| error.to_string())
    };
    Ok((session(says)?, session(hears)?))
}
