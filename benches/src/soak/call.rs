//! A call on virtual time that has all that a long day brings: two whole sessions over a network with loss, jitter and
//! duplicates of its own, reports both ways, keys, a hold, a transfer, encryption.

use std::net::SocketAddr;
use std::ops::AddAssign;
use std::time::{Duration, Instant};

use rand::Rng;
use rand::rngs::StdRng;
use rollcall_media::FRAME;
use rollcall_media::codec::Codec;
use rollcall_media::dtmf::{self, Digit};
use rollcall_media::sdp::{Direction, Local, Negotiated, OpusParameters, Security};
use rollcall_media::session::{Counters, Session, SessionEvent};
use rollcall_media::srtp::Policy;

use crate::Result;
use crate::quality::sessions_of;

const TICK: Duration = Duration::from_millis(20);
/// Who speaks does so for five seconds, then the other one.
const TURN: u32 = 250;
/// How long a call is held: ten seconds.
const HELD: u32 = 500;
/// Every key of a telephone; four seconds and a half.
const KEYS: &str = "0123456789*#ABCD";
/// Of the packets, those that come twice.
const TWICE: f64 = 0.01;
/// Spoken frames that differ; making up more of them would take longer than all the rest of a call.
const VOICES: usize = 64;

/// What a call came to: both ends together.
#[derive(Clone, Copy, Default)]
pub(super) struct Account {
    pub(super) received: u64,
    pub(super) played: u64,
    pub(super) late: u64,
    pub(super) lost: u64,
    pub(super) discarded: u64,
    /// RTCP compounds that came.
    pub(super) reports: u64,
    /// RTP and RTCP of the calls that were encrypted.
    pub(super) encrypted: u64,
    /// Frames that Opus did not send, for there was nothing to hear.
    pub(super) unsent: u64,
    pub(super) pressed: u64,
    /// Keys told at the other end.
    pub(super) keys: u64,
    /// What no such network does to a call: packets refused as forged, as foreign, as no RTP.
    pub(super) refused: u64,
}

impl AddAssign for Account {
    fn add_assign(&mut self, other: Account) {
        self.received += other.received;
        self.played += other.played;
        self.late += other.late;
        self.lost += other.lost;
        self.discarded += other.discarded;
        self.reports += other.reports;
        self.encrypted += other.encrypted;
        self.unsent += other.unsent;
        self.pressed += other.pressed;
        self.keys += other.keys;
        self.refused += other.refused;
    }
}

impl Account {
    fn count(&mut self, counters: &Counters, encrypted: bool) {
        self.received += counters.received;
        self.played += counters.played;
        self.late += counters.late;
        self.lost += counters.lost;
        self.discarded += counters.discarded;
        self.reports += counters.reports;
        if encrypted {
            self.encrypted += counters.received + counters.reports;
        }
        self.refused += counters.unauthentic
            + counters.foreign
            + counters.malformed
            + counters.malformed_payload
            + counters.malformed_events
            + counters.unknown_payload;
    }
}

/// What is under way to one end.
type Wire = Vec<(Instant, Vec<u8>)>;

/// A call that goes on.
pub(super) struct Call {
    codec: Codec,
    encrypted: bool,
    /// The caller and the callee.
    ends: [Session; 2],
    wires: [Wire; 2],
    /// The share of the packets that are lost.
    loss: f64,
    /// The most that a packet takes, in milliseconds.
    jitter: u64,
    account: Account,
}

/// Where caller and callee are.
fn places() -> [SocketAddr; 2] {
    [6000, 6002].map(|port| SocketAddr::from(([127, 0, 0, 1], port)))
}

impl Call {
    /// PCMU eleven times of twelve, else Opus, which takes a hundred times as long; half of the calls encrypted.
    pub(super) fn new(random: &mut StdRng) -> Result<Call> {
        let codec = match random.random_bool(11.0 / 12.0) {
            true => Codec::Pcmu,
            false => Codec::Opus,
        };
        Call::between(codec, random.random(), random)
    }

    pub(super) fn between(codec: Codec, encrypted: bool, random: &mut StdRng) -> Result<Call> {
        Ok(Call {
            codec,
            encrypted,
            ends: ends(codec, encrypted, random)?,
            wires: Default::default(),
            loss: random.random_range(0.0..0.05),
            jitter: random.random_range(0..60),
            account: Account::default(),
        })
    }

    /// So many ticks: keys, then the hold, then the transfer, unless it is encrypted: who takes over brings other keys,
    /// which a re-INVITE would tell.
    pub(super) fn run(
        &mut self,
        ticks: u32,
        random: &mut StdRng,
        now: &mut Instant,
    ) -> Result<Account> {
        let voices = voices(random);
        for tick in 0..ticks {
            if tick == ticks / 6 {
                self.press()?;
            }
            if tick == ticks / 3 {
                self.turn([Direction::SendOnly, Direction::RecvOnly])?;
            }
            if tick == ticks / 3 + HELD {
                self.turn([Direction::SendRecv; 2])?;
            }
            if tick == ticks * 2 / 3 && !self.encrypted {
                self.transfer(random)?;
            }
            let voice = &voices[random.random_range(0..VOICES)];
            self.tick(tick, voice, random, *now);
            *now += TICK;
        }
        // What the ends count, they count from the call's beginning.
        let mut account = self.account;
        for end in &self.ends {
            account.count(&end.counters(), self.encrypted);
        }
        Ok(account)
    }

    fn tick(&mut self, tick: u32, voice: &[f32; FRAME], random: &mut StdRng, now: Instant) {
        let speaks = usize::from(tick / TURN % 2 == 1);
        for (end, from) in places().into_iter().enumerate() {
            let frame = if end == speaks { voice } else { &[0.0; FRAME] };
            let sent = self.ends[end].send_frame(frame);
            let sent = sent.map(|packet| packet.bytes.to_vec());
            self.account.unsent += u64::from(sent.is_none() && self.codec == Codec::Opus);
            let report = self.ends[end].poll_control(now);
            let report = report.map(|packet| packet.bytes.to_vec());
            for packet in sent.into_iter().chain(report) {
                self.carry(1 - end, packet, random, now);
            }
            deliver(&mut self.wires[1 - end], now, from, &mut self.ends[1 - end]);
        }
        for end in &mut self.ends {
            end.play_frame(now, &mut [0.0; FRAME]);
            while let Some(SessionEvent::Digit(_)) = end.poll_event() {
                self.account.keys += 1;
            }
        }
    }

    /// Once, twice or never.
    fn carry(&mut self, to: usize, packet: Vec<u8>, random: &mut StdRng, now: Instant) {
        let copies = match random.random::<f64>() {
            chance if chance < self.loss => 0,
            chance if chance < self.loss + TWICE => 2,
            _ => 1,
        };
        for _ in 0..copies {
            let delay = Duration::from_millis(random.random_range(0..=self.jitter));
            self.wires[to].push((now + delay, packet.clone()));
        }
    }

    fn press(&mut self) -> Result<()> {
        let keys: Vec<Digit> = dtmf::digits(KEYS).map_err(|error| error.to_string())?;
        for end in &mut self.ends {
            end.press(&keys);
            self.account.pressed += keys.len() as u64;
        }
        Ok(())
    }

    /// A re-INVITE of the caller's.
    fn turn(&mut self, directions: [Direction; 2]) -> Result<()> {
        for (end, direction) in self.ends.iter_mut().zip(directions) {
            let agreed = Negotiated {
                direction,
                ..end.negotiated().clone()
            };
            end.update(agreed).map_err(|error| error.to_string())?;
        }
        Ok(())
    }

    /// Another stream from the same place.
    fn transfer(&mut self, random: &mut StdRng) -> Result<()> {
        let [caller, _] = ends(self.codec, self.encrypted, random)?;
        let before = std::mem::replace(&mut self.ends[0], caller);
        self.account.count(&before.counters(), self.encrypted);
        Ok(())
    }
}

fn ends(codec: Codec, encrypted: bool, random: &mut StdRng) -> Result<[Session; 2]> {
    let policy = match encrypted {
        true => Policy::Required,
        false => Policy::Off,
    };
    let mut id = 0;
    let locals = places().map(|place| {
        id += 1;
        Local::new(place, id).secured(Security::new(policy, random))
    });
    let mut ends: [Session; 2] = sessions_of(codec, &locals, random)?.into();
    for end in &mut ends {
        // As an other side would have it that says `usedtx=1`.
        let agreed = Negotiated {
            opus: OpusParameters {
                dtx: true,
                ..OpusParameters::default()
            },
            ..end.negotiated().clone()
        };
        end.update(agreed).map_err(|error| error.to_string())?;
    }
    Ok(ends)
}

fn voices(random: &mut StdRng) -> Vec<[f32; FRAME]> {
    let mut voice = || std::array::from_fn(|_| random.random_range(-0.1..0.1));
    (0..VOICES).map(|_| voice()).collect()
}

fn deliver(wire: &mut Wire, now: Instant, from: SocketAddr, to: &mut Session) {
    wire.sort_by_key(|(at, _)| *at);
    let arrived = wire.partition_point(|(at, _)| *at <= now);
    for (at, bytes) in wire.drain(..arrived) {
        to.handle_packet(at, from, &bytes);
    }
}
