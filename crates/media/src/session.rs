//! One call's audio: RTP in and out, the jitter buffer, the codec, the source lock and the counts.

use std::net::SocketAddr;
use std::time::{Duration, Instant};

use rand::Rng;

use crate::codec::CodecError;
use crate::sdp::Negotiated;

/// What a session starts from.
#[derive(Debug, Clone)]
pub struct Config {
    /// What offer and answer agreed on.
    pub negotiated: Negotiated,
    /// Our synchronisation source.
    pub ssrc: u32,
    /// First sequence number we send.
    pub first_sequence: u16,
    /// First timestamp we send.
    pub first_timestamp: u32,
    /// How long a packet waits before its sound is played. 40 ms by default.
    pub jitter_delay: Duration,
}

impl Config {
    /// Random SSRC, sequence and timestamp, as RFC 3550 section 5.1 wants them.
    pub fn new(negotiated: Negotiated, random: &mut impl Rng) -> Config {
        Config {
            negotiated,
            ssrc: random.random(),
            first_sequence: random.random(),
            first_timestamp: random.random(),
            jitter_delay: DEFAULT_JITTER_DELAY,
        }
    }
}

/// How long a packet waits before its sound is played, unless [`Config::jitter_delay`] says otherwise.
pub const DEFAULT_JITTER_DELAY: Duration = Duration::from_millis(40);

/// One call's audio.
#[derive(Debug)]
pub struct Session {
    config: Config,
    counters: Counters,
}

/// A packet to send.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Transmit<'a> {
    /// Where to.
    pub destination: SocketAddr,
    /// The RTP packet.
    pub bytes: &'a [u8],
}

/// What happened so far. All counts are of packets unless they say otherwise.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub struct Counters {
    /// Sent.
    pub sent: u64,
    /// Payload bytes sent.
    pub sent_octets: u64,
    /// Valid RTP received from the locked source.
    pub received: u64,
    /// Payload bytes received.
    pub received_octets: u64,
    /// Decoded and played.
    pub played: u64,
    /// Missing when their turn came.
    pub lost: u64,
    /// Of the lost: restored from the next packet's forward error correction.
    pub recovered: u64,
    /// Came after their turn.
    pub late: u64,
    /// Came twice.
    pub duplicate: u64,
    /// Came behind a higher number, in time to be played.
    pub reordered: u64,
    /// Not RTP, or a payload its codec refuses.
    pub malformed: u64,
    /// From an address that is not the locked source.
    pub foreign: u64,
    /// With a payload type nobody agreed on.
    pub unknown_payload: u64,
    /// Inter-arrival jitter (RFC 3550 section 6.4.1); `None` before two packets have come.
    pub jitter: Option<Duration>,
}

impl Session {
    /// Start the call's audio.
    pub fn new(config: Config) -> Result<Session, CodecError> {
        Ok(Session {
            config,
            counters: Counters::default(),
        })
    }

    /// Take in a datagram from the call's RTP socket. Whatever it is, it is judged, counted, and
    /// harms nothing.
    pub fn handle_packet(&mut self, now: Instant, from: SocketAddr, bytes: &[u8]) {
        let _ = (now, from, bytes);
    }

    /// Code one frame of captured sound ([`crate::FRAME`] samples). `None` when the direction does
    /// not let us send, or the codec has nothing to say.
    pub fn send_frame(&mut self, now: Instant, samples: &[f32]) -> Option<Transmit<'_>> {
        let _ = (now, samples);
        None
    }

    /// Fill `samples` (any length) with the sound that is due. Silence where there is none.
    pub fn play_frame(&mut self, now: Instant, samples: &mut [f32]) {
        let _ = now;
        samples.fill(0.0);
    }

    /// Send silence instead of what the microphone gives. The packets go on.
    pub fn set_muted(&mut self, muted: bool) {
        let _ = muted;
    }

    /// Take over what a re-INVITE agreed on: hold, another address, another codec.
    pub fn update(&mut self, negotiated: Negotiated) -> Result<(), CodecError> {
        self.config.negotiated = negotiated;
        Ok(())
    }

    /// What is agreed on now.
    pub fn negotiated(&self) -> &Negotiated {
        &self.config.negotiated
    }

    /// Where our packets go: the source we hear, else the signalled address.
    pub fn destination(&self) -> SocketAddr {
        self.config.negotiated.remote
    }

    /// What happened so far.
    pub fn counters(&self) -> Counters {
        self.counters
    }
}
