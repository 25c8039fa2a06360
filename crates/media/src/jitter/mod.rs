//! The jitter buffer: packets in as they come, sound out at the pace of the sound card.
//!
//! Owns the order and the moment of playing. Knows nothing of codecs: a packet's length in ticks
//! comes with it, and what to do about a hole, or about sound that should be shorter or longer, is
//! said ([`Next`]), not done.
//!
//! ```text
//!             insert                              next(now, ahead), whenever sound is needed
//!  network ──────────► [ 7 ][ 8 ]   [ 10 ][ 11 ] ──────────────► Frame(7)
//!     late ◄── refused      kept by sequence                      Frame(8)
//!   double ◄── refused      number                                Lost { following: 10 }
//!     │                                                           Frame(10), shorter ...
//!     └─► transit times ─► how long to wait             empty     Starved, then Silence
//! ```
//!
//! The stages, each in its file: [`delay`] learns how long packets take, [`buffer`] keeps them in
//! order, [`decide`] compares what waits with what is needed, [`adaptive`] plays accordingly. What
//! is done to the sound itself (stretching, merging) is in `crate::playout`, and concealment with
//! the codecs, which know best how their sound goes on.
//!
//! Two clocks meet here. The *timeline* counts ticks of the sender's RTP clock and moves by what is
//! played; it decides what is missing. Wall time decides how early each stretch of sound is
//! played, and so how long the next packet may take.

mod adaptive;
mod buffer;
mod decide;
mod delay;
mod repair;
mod seen;
#[cfg(test)]
mod tests;

use std::fmt;
use std::time::{Duration, Instant};

use crate::codec::Codec;
pub use adaptive::AdaptiveJitterBuffer;

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
    /// Ticks of sound right before this packet's own that its payload can restore.
    pub redundancy: u32,
    /// What it is coded with: carried along, and not looked at.
    pub codec: Codec,
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
    Frame {
        /// What to decode.
        packet: Packet,
        /// How its sound is to be played.
        pace: Pace,
        /// Sound was made up before it that the sender never sent: the join needs care.
        joins: bool,
    },
    /// Packets are missing though a later one is here: conceal `duration` ticks.
    Lost {
        /// Ticks to conceal, never 0.
        duration: u32,
        /// The payload right behind those ticks, for its redundancy; `None` when that one is
        /// missing too, or has none that reaches so far.
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

/// How the sound of a packet is to be played.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Pace {
    /// As it is.
    Even,
    /// Shorter, where that does no harm: too much waits.
    Shorter {
        /// Ticks that may go at most: with more, what comes next would be needed before it is here.
        most: u32,
        /// Also while somebody speaks.
        anywhere: bool,
    },
    /// Longer, where that does no harm: packets come close to being late.
    Longer {
        /// Also while somebody speaks.
        anywhere: bool,
    },
}

/// What the buffer itself had to give up, and how deep it is.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub struct Losses {
    /// Packets not there when their turn came, whether or not they came later.
    pub lost: u64,
    /// Packets dropped unplayed, because so much was waiting that the delay would have grown.
    pub discarded: u64,
}

/// A playout buffer. One call of [`JitterBuffer::next`] yields one stretch of sound.
pub trait JitterBuffer: fmt::Debug + Send {
    /// Take a packet in.
    fn insert(&mut self, packet: Packet) -> Inserted;

    /// What to play next; called only when what is decoded does not last for what must be played
    /// now. `ahead` ticks of decoded sound wait to be played before it. Moves the timeline on,
    /// except for [`Next::Starved`] and [`Next::Silence`].
    fn next(&mut self, now: Instant, ahead: u32) -> Next<'_>;

    /// Forget the stream, keep the counts: what comes next is numbered anew.
    fn reset(&mut self);

    /// What was given up so far.
    fn losses(&self) -> Losses;

    /// How long a packet should wait, beyond the fastest one, to be here in time; `None` before
    /// anything is known.
    fn target_delay(&self) -> Option<Duration>;
}
