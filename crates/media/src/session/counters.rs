//! What a session counts.

use std::time::Duration;

use crate::jitter::Losses;
use crate::playout::Stretched;

/// What happened so far. Counts are of packets unless they say otherwise.
///
/// `received` = `played` + `late` + `duplicate` + `discarded` + `malformed_payload` +
/// `unknown_payload` + `comfort_noise` + `telephone_events` + `suspect` + what came while we did not listen + what waits
/// in the jitter buffer.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub struct Counters {
    /// Sent.
    pub sent: u64,
    /// Payload bytes sent.
    pub sent_octets: u64,
    /// Valid RTP received from the call's source.
    pub received: u64,
    /// Payload bytes received.
    pub received_octets: u64,
    /// Decoded and played.
    pub played: u64,
    /// Not there when their turn came, though later ones were. The late are among them.
    pub lost: u64,
    /// Of the lost: restored from the next packet's forward error correction.
    pub recovered: u64,
    /// Frames made up because nothing at all was there when something was due.
    pub starved: u64,
    /// Came after their turn.
    pub late: u64,
    /// Came twice.
    pub duplicate: u64,
    /// Came behind a higher number, in time to be played.
    pub reordered: u64,
    /// Dropped unplayed to keep the delay down.
    pub discarded: u64,
    /// Datagrams that are neither RTP nor RTCP.
    pub malformed: u64,
    /// RTP whose payload the codec refuses.
    pub malformed_payload: u64,
    /// RTCP compounds received from the call's source, the malformed not among them.
    pub reports: u64,
    /// RTP or RTCP from an address that is not the call's source.
    pub foreign: u64,
    /// SRTP or SRTCP whose tag is wrong: forged, damaged, in the open, or under another key.
    pub unauthentic: u64,
    /// SRTP or SRTCP that was here before, or is too old to tell.
    pub replayed: u64,
    /// With a payload type nobody agreed on.
    pub unknown_payload: u64,
    /// Comfort noise (RFC 3389): heard until the next sound.
    pub comfort_noise: u64,
    /// Packets of telephone events (RFC 4733).
    pub telephone_events: u64,
    /// Of these: too short to be one.
    pub malformed_events: u64,
    /// Numbered so far off that they were not believed.
    pub suspect: u64,
    /// How often the packets began to come from another address.
    pub source_changes: u64,
    /// How often our own socket became another one.
    pub rebound: u64,
    /// How often the stream began anew: another SSRC, or numbers that jumped.
    pub restarts: u64,
    /// Samples at 48 kHz left out so as to play sooner.
    pub shortened: u64,
    /// Samples at 48 kHz put in so as to play later.
    pub lengthened: u64,
    /// How long a packet should wait beyond the fastest one so as to be in time; `None` before
    /// anything is known.
    pub target_delay: Option<Duration>,
    /// Inter-arrival jitter (RFC 3550 section 6.4.1); `None` before two packets have come.
    pub jitter: Option<Duration>,
}

impl Counters {
    /// With what the jitter buffer and the arrival clock know.
    pub(super) fn with(mut self, losses: Losses, jitter: Option<Duration>) -> Counters {
        self.lost += losses.lost;
        self.discarded += losses.discarded;
        self.jitter = jitter;
        self
    }

    /// With what stretching did, and why.
    pub(super) fn stretched(mut self, by: Stretched, target_delay: Option<Duration>) -> Counters {
        self.shortened += by.removed;
        self.lengthened += by.added;
        self.target_delay = target_delay;
        self
    }
}
