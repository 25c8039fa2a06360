//! The jitter buffer: packets in as they come, frames out at the pace of the sound card.

use std::time::Instant;

/// One received packet, numbered without wrap.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Packet {
    /// Extended sequence number (RFC 3550 appendix A.1).
    pub sequence: u64,
    /// Extended timestamp, in ticks of the codec's RTP clock.
    pub timestamp: u64,
    /// Ticks of sound in the payload. 0: it carries none (DTMF event, comfort noise) and only
    /// proves that its sequence number was not lost.
    pub duration: u32,
    /// The first packet after silence (RFC 3551 section 4.1).
    pub marker: bool,
    /// When it arrived.
    pub arrived: Instant,
    /// The coded sound.
    pub payload: Vec<u8>,
}

/// What became of an inserted packet.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Inserted {
    /// Kept for its turn.
    Kept,
    /// Kept, and others with a higher number were here before.
    Reordered,
    /// Dropped: its turn has passed.
    Late,
    /// Dropped: this number was here already.
    Duplicate,
}

/// What the next stretch of sound is made of.
#[derive(Debug, PartialEq, Eq)]
pub enum Next<'a> {
    /// Decode this packet.
    Frame(Packet),
    /// A packet is missing: conceal `duration` ticks, from `following`'s redundancy if the codec
    /// carries any.
    Lost {
        /// Ticks to conceal.
        duration: u32,
        /// The packet right behind the hole, when it is here already.
        following: Option<&'a Packet>,
    },
    /// Nothing is due: the sender is silent or has not begun, or we are filling up again.
    Silence,
}

/// A playout buffer. One call of [`JitterBuffer::next`] yields one stretch of sound.
pub trait JitterBuffer: Send {
    /// Take a packet in.
    fn insert(&mut self, packet: Packet) -> Inserted;

    /// What to play next.
    fn next(&mut self, now: Instant) -> Next<'_>;

    /// Forget everything: the stream begins anew.
    fn reset(&mut self);
}
