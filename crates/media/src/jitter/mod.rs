//! The jitter buffer: packets in as they come, sound out at the pace of the sound card.
//!
//! Owns the order and the moment of playing. Knows nothing of codecs: a packet's length in ticks
//! comes with it, and what to do about a hole is said ([`Next`]), not done.
//!
//! ```text
//!             insert                              next(now), every 20 ms
//!  network ──────────► [ 7 ][ 8 ]   [ 10 ][ 11 ] ──────────────► Frame(7)
//!     late ◄── refused      kept by sequence                      Frame(8)
//!   double ◄── refused      number                                Lost { following: 10 }
//!                                                                 Frame(10) ...
//!                           empty                                 Starved, then Silence
//! ```
//!
//! Two clocks meet here. The *timeline* counts ticks of the sender's RTP clock and moves by what is
//! played; it decides what is missing. Wall time decides only when a stretch of sound begins: each
//! beginning (first packet, end of a silence) waits until the packet has been here for the delay.

mod fixed;
mod seen;
#[cfg(test)]
mod tests;

use std::fmt;
use std::time::Instant;

pub use fixed::FixedJitterBuffer;

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
    /// Kept, though a higher number came before it.
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
    /// A packet is missing though later ones are here: conceal `duration` ticks.
    Lost {
        /// Ticks to conceal, never 0.
        duration: u32,
        /// The payload right behind the missing one, for its redundancy; `None` when that one is
        /// missing too.
        following: Option<&'a [u8]>,
    },
    /// Nothing is here though something was due: late, lost, or the sender fell silent. Conceal
    /// `duration` ticks.
    Starved {
        /// Ticks to conceal, never 0.
        duration: u32,
    },
    /// Nothing is due.
    Silence,
}

/// What the buffer itself had to give up. Counts of packets.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub struct Losses {
    /// Not there when their turn came, whether or not they came later.
    pub lost: u64,
    /// Dropped unplayed, because so much was waiting that the delay would have grown.
    pub discarded: u64,
}

/// A playout buffer. One call of [`JitterBuffer::next`] yields one stretch of sound.
pub trait JitterBuffer: fmt::Debug + Send {
    /// Take a packet in.
    fn insert(&mut self, packet: Packet) -> Inserted;

    /// What to play next. Moves the timeline on, except for [`Next::Silence`].
    fn next(&mut self, now: Instant) -> Next<'_>;

    /// Forget the stream, keep the counts: what comes next is numbered anew.
    fn reset(&mut self);

    /// What was given up so far.
    fn losses(&self) -> Losses;
}
