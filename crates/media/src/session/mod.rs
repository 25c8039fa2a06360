//! One call's audio: RTP in and out, the source lock, the jitter buffer, the codec, the counts.
//!
//! Owns everything between the datagrams of the RTP socket and the samples of the media tick.
//! Opens nothing and waits for nothing; whoever owns the socket calls in.

mod control;
mod counters;
mod event;
mod receive;
mod secure;
mod send;
#[cfg(test)]
mod tests;

use std::collections::VecDeque;
use std::net::SocketAddr;
use std::time::Instant;

use rand::Rng;

use crate::codec::CodecError;
use crate::dtmf::{Digit, EventReceiver};
use crate::jitter::JitterBuffer;
use crate::rtcp;
use crate::rtp::Received;
use crate::sdp::Negotiated;
use crate::source::SourceLock;
use control::Controlling;
use receive::{Receiving, adaptive_buffer};
use secure::{Retired, Secured};
use send::Sending;

pub use counters::Counters;
pub use event::SessionEvent;

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
    /// Draws the name and the times of our reports.
    pub control_seed: u64,
}

impl Config {
    /// Random SSRC, sequence number and timestamp, as RFC 3550 section 5.1 wants them.
    pub fn new(negotiated: Negotiated, random: &mut impl Rng) -> Config {
        Config {
            negotiated,
            ssrc: random.random(),
            first_sequence: random.random(),
            first_timestamp: random.random(),
            control_seed: random.random(),
        }
    }
}

/// Nobody presses so many keys between two looks at [`Session::poll_event`].
const MAX_EVENTS: usize = 64;

/// A packet to send.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Transmit<'a> {
    /// Where to.
    pub destination: SocketAddr,
    /// The RTP or RTCP packet.
    pub bytes: &'a [u8],
}

/// One call's audio.
///
/// Every 20 ms: [`Session::play_frame`] for the loudspeaker, [`Session::send_frame`] with what the
/// microphone gave, in this order where the shortest way from one to the other matters. Datagrams
/// go to [`Session::handle_packet`] as they come.
#[derive(Debug)]
pub struct Session {
    negotiated: Negotiated,
    source: SourceLock,
    sending: Sending,
    receiving: Receiving,
    keys: EventReceiver,
    control: Controlling,
    /// None while sound travels in the open.
    secured: Option<Secured>,
    /// At some moment of the session, sound could travel in the open.
    was_open: bool,
    retired: Retired,
    /// Told and not yet taken.
    events: VecDeque<SessionEvent>,
    counters: Counters,
}

impl Session {
    /// Start the call's audio with an [`AdaptiveJitterBuffer`](crate::jitter::AdaptiveJitterBuffer).
    pub fn new(config: Config) -> Result<Session, CodecError> {
        let jitter = adaptive_buffer(config.negotiated.codec);
        Session::with_jitter_buffer(config, jitter)
    }

    /// Start the call's audio with another jitter buffer, whose clock is the codec's
    /// [`clock_rate`](crate::codec::Codec::clock_rate). An [`update`](Session::update) that
    /// changes the codec puts an adaptive one in its place.
    pub fn with_jitter_buffer(
        config: Config,
        jitter: Box<dyn JitterBuffer>,
    ) -> Result<Session, CodecError> {
        Ok(Session {
            source: SourceLock::new(config.negotiated.remote),
            sending: Sending::new(&config)?,
            receiving: Receiving::new(config.negotiated.codec, jitter)?,
            keys: EventReceiver::default(),
            control: Controlling::new(&config),
            secured: Secured::follow(
                None,
                config.negotiated.srtp.as_ref(),
                &mut Retired::default(),
            ),
            was_open: config.negotiated.srtp.is_none(),
            retired: Retired::default(),
            events: VecDeque::new(),
            counters: Counters::default(),
            negotiated: config.negotiated,
        })
    }

    /// Take in a datagram from the call's RTP socket. Whatever it is, it is judged, counted, and
    /// harms nothing.
    pub fn handle_packet(&mut self, now: Instant, from: SocketAddr, bytes: &[u8]) {
        match rtcp::is_rtcp(bytes) {
            true => self.opened(bytes, |session, bytes| {
                session.hear_report(now, from, bytes)
            }),
            false => self.opened(bytes, |session, bytes| session.hear(now, from, bytes)),
        }
    }

    fn hear(&mut self, now: Instant, from: SocketAddr, bytes: &[u8]) {
        let Some(packet) = crate::rtp::read(bytes) else {
            self.counters.malformed += 1;
            return;
        };
        let before = self.source.heard();
        if !self.source.admits(now, from, packet.ssrc, packet.sequence) {
            self.counters.foreign += 1;
            return;
        }
        self.counters.source_changes += u64::from(before.is_some_and(|before| before != from));
        self.control.heard(now, packet.ssrc, packet.sequence);
        self.counters.received += 1;
        self.counters.received_octets += packet.payload.len() as u64;
        if self.negotiated.direction.receives() {
            if self.negotiated.is_telephone_event(packet.payload_type) {
                self.hear_key(now, &packet);
            }
            self.receiving
                .take(now, packet, &self.negotiated, &mut self.counters);
        }
    }

    /// Code one frame of captured sound, exactly [`FRAME`](crate::FRAME) samples; any other length
    /// is not sent. `None` when the direction does not let us send, nobody can be sent to, or the
    /// codec has nothing to say (silence with DTX).
    pub fn send_frame(&mut self, samples: &[f32]) -> Option<Transmit<'_>> {
        let destination = self.destination();
        if !self.negotiated.direction.sends() || destination.ip().is_unspecified() {
            self.sending.skip();
            return None;
        }
        let octets = self.sending.code(samples, &self.negotiated)?;
        if let Some(secured) = &mut self.secured {
            secured.protect(self.sending.packet_mut())?;
        }
        self.counters.sent += 1;
        self.counters.sent_octets += octets as u64;
        Some(Transmit {
            destination,
            bytes: self.sending.packet(),
        })
    }

    /// Press keys on the way out, one after the other, 260 ms each: as telephone events where they were agreed on,
    /// else as tones in the sound. The microphone is not sent meanwhile. While nothing is sent at all, keys are lost.
    pub fn press(&mut self, digits: &[Digit]) {
        self.sending.press(digits);
    }

    /// What happened on the wire and was not told yet, oldest first.
    pub fn poll_event(&mut self) -> Option<SessionEvent> {
        self.events.pop_front()
    }

    /// Fill `samples` (any length) with the sound that is due. Silence where there is none.
    pub fn play_frame(&mut self, now: Instant, samples: &mut [f32]) {
        if !self.negotiated.direction.receives() {
            samples.fill(0.0);
            return;
        }
        self.receiving.play(now, samples, &mut self.counters);
        self.control.use_codec(self.receiving.codec());
    }

    /// Send silence instead of what the microphone gives. The packets go on.
    pub fn set_muted(&mut self, muted: bool) {
        self.sending.muted = muted;
    }

    /// The other side reports that it loses this share of our packets, 0 to 100 percent.
    pub fn set_expected_loss(&mut self, percent: u8) -> Result<(), CodecError> {
        self.sending.set_expected_loss(percent)
    }

    /// Take over what a re-INVITE agreed on: hold, another address, another codec. SSRC and
    /// sequence numbers go on.
    pub fn update(&mut self, negotiated: Negotiated) -> Result<(), CodecError> {
        let before = &self.negotiated;
        let other_codec = before.codec != negotiated.codec;
        if other_codec || before.opus != negotiated.opus {
            self.sending
                .change_codec(negotiated.codec, &negotiated.opus)?;
            self.control.use_codec(negotiated.codec);
        }
        if other_codec {
            let jitter = adaptive_buffer(negotiated.codec);
            let before = std::mem::replace(
                &mut self.receiving,
                Receiving::new(negotiated.codec, jitter)?,
            );
            let counters = self.counters.with(before.losses(), None);
            self.counters = counters.stretched(before.stretched(), None);
        } else if before.direction.receives() != negotiated.direction.receives() {
            self.receiving.restart();
        }
        if before.srtp != negotiated.srtp {
            self.secured = Secured::follow(
                self.secured.take(),
                negotiated.srtp.as_ref(),
                &mut self.retired,
            );
            self.was_open |= negotiated.srtp.is_none();
        }
        if before.remote != negotiated.remote {
            self.source = SourceLock::new(negotiated.remote);
        }
        self.negotiated = negotiated;
        Ok(())
    }

    /// Our own socket is another one from now on: the network changed under us.
    pub fn rebound(&mut self) {
        self.counters.rebound += 1;
    }

    /// A telephone event: told at once, not when its turn to be played comes.
    fn hear_key(&mut self, now: Instant, packet: &Received<'_>) {
        let heard = self
            .keys
            .take(now, packet.ssrc, packet.timestamp, packet.payload);
        match heard {
            Ok(Some(digit)) if self.events.len() < MAX_EVENTS => {
                self.events.push_back(SessionEvent::Digit(digit));
            }
            Ok(_) => {}
            Err(_) => self.counters.malformed_events += 1,
        }
    }

    /// What is agreed on now.
    pub fn negotiated(&self) -> &Negotiated {
        &self.negotiated
    }

    /// Where our packets go: to the source we hear, else to the signalled address.
    pub fn destination(&self) -> SocketAddr {
        self.source.destination()
    }

    /// What happened so far.
    pub fn counters(&self) -> Counters {
        let jitter = self.receiving.interarrival_jitter();
        let counters = self.counters.with(self.receiving.losses(), jitter);
        counters.stretched(self.receiving.stretched(), self.receiving.target_delay())
    }
}
