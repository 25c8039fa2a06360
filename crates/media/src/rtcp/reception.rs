//! How a stream arrives: what was lost, how much at once, and how unevenly the rest came.
//!
//! The network's losses, not the jitter buffer's: a packet that came too late to be played is no loss here
//! (RFC 3550 appendix A.3).

use crate::rtp::{Numbered, SequenceExtender};

/// So many packets in a row arrive between two bursts of losses (RFC 3611 section 4.7.2).
pub(crate) const GMIN: u64 = 16;

/// A packet that is missing is lost for good when so many later ones are here.
const SETTLED: u64 = 64;

/// One stream's arrivals; another SSRC goes on counting in the same place.
#[derive(Debug, Default)]
pub(crate) struct Reception {
    sequences: SequenceExtender,
    stream: Option<Stream>,
    /// Of streams that are over.
    before: Totals,
    bursts: Bursts,
    /// Totals of the last report.
    reported: Totals,
}

/// Counts of packets.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub(crate) struct Totals {
    /// Sent, as far as the numbers tell.
    pub(crate) expected: u64,
    /// Arrived, doubles included.
    pub(crate) received: u64,
}

#[derive(Debug, Clone, Copy)]
struct Stream {
    ssrc: u32,
    first: u64,
    highest: u64,
    received: u64,
    /// Of the last [`SETTLED`] numbers, the highest in bit 0: which are here.
    here: u64,
}

impl Reception {
    /// A packet of the call has come.
    pub(crate) fn note(&mut self, ssrc: u32, sequence: u16) {
        if self.stream.is_some_and(|stream| stream.ssrc != ssrc) {
            self.end_stream();
        }
        let number = match self.sequences.extend(sequence) {
            Numbered::Expected(number) => number,
            Numbered::Restarted(number) => {
                self.end_stream();
                // The packet that proves a restart is its second one.
                self.sequences = SequenceExtender::default();
                self.sequences.extend(sequence);
                number
            }
            Numbered::Suspect => return,
        };
        let stream = self.stream.get_or_insert(Stream {
            ssrc,
            first: number,
            highest: number,
            received: 0,
            here: 0,
        });
        stream.received += 1;
        stream.first = stream.first.min(number);
        while stream.highest < number {
            let is_old = stream.highest - stream.first + 1 >= SETTLED;
            if is_old {
                self.bursts.packet(stream.here >> (SETTLED - 1) & 1 == 0);
            }
            stream.here <<= 1;
            stream.highest += 1;
        }
        if let Some(bit) = 1u64.checked_shl((stream.highest - number) as u32) {
            stream.here |= bit;
        }
    }

    fn end_stream(&mut self) {
        self.before = self.totals();
        self.stream = None;
        self.sequences = SequenceExtender::default();
    }

    pub(crate) fn ssrc(&self) -> Option<u32> {
        self.stream.map(|stream| stream.ssrc)
    }

    pub(crate) fn totals(&self) -> Totals {
        let now = self.stream.map_or(Totals::default(), |stream| Totals {
            expected: stream.highest - stream.first + 1,
            received: stream.received,
        });
        Totals {
            expected: self.before.expected + now.expected,
            received: self.before.received + now.received,
        }
    }

    /// The low 32 bits of the highest number.
    pub(crate) fn highest_sequence(&self) -> u32 {
        self.stream.map_or(0, |stream| stream.highest as u32)
    }

    /// What came since the last call of this.
    pub(crate) fn interval(&mut self) -> Totals {
        let (now, then) = (self.totals(), self.reported);
        self.reported = now;
        Totals {
            expected: now.expected.saturating_sub(then.expected),
            received: now.received.saturating_sub(then.received),
        }
    }

    pub(crate) fn bursts(&self) -> &Bursts {
        &self.bursts
    }
}

impl Totals {
    /// 0 when doubles outweigh the losses.
    pub(crate) fn lost(self) -> u64 {
        self.expected.saturating_sub(self.received)
    }

    /// Share of the expected that was lost, 0 to 1; `None` when nothing was expected.
    pub(crate) fn loss(self) -> Option<f64> {
        (self.expected > 0).then(|| self.lost() as f64 / self.expected as f64)
    }
}

/// The gap and burst model of RFC 3611 appendix A.2: four counts of transitions between packets that came and packets
/// that did not.
#[derive(Debug, Clone, Copy, Default)]
pub(crate) struct Bursts {
    /// Arrived in a row, since the last loss.
    run: u64,
    /// Lost in the present burst.
    lost: u64,
    c11: u64,
    c13: u64,
    c14: u64,
    c22: u64,
    c23: u64,
    c33: u64,
    /// Losses, and stretches of nothing but losses.
    losses: u64,
    stretches: u64,
    settled: u64,
}

impl Bursts {
    /// The next packet in the order of sending: lost or here, for good.
    pub(crate) fn packet(&mut self, lost: bool) {
        self.settled += 1;
        if !lost {
            self.run += 1;
            return;
        }
        self.losses += 1;
        self.stretches += u64::from(self.run > 0 || self.losses == 1);
        if self.run >= GMIN {
            match self.lost {
                1 => self.c14 += 1,
                _ => self.c13 += 1,
            }
            self.lost = 1;
            self.c11 += self.run;
        } else {
            self.lost += 1;
            match self.run {
                0 => self.c33 += 1,
                run => {
                    self.c23 += 1;
                    self.c22 += run - 1;
                }
            }
        }
        self.run = 0;
    }

    /// Share of packets lost within bursts, and within the gaps between them, 0 to 1.
    pub(crate) fn densities(&self) -> (f64, f64) {
        let share = |part: u64, whole: u64| match whole {
            0 => 0.0,
            whole => part as f64 / whole as f64,
        };
        let (c31, c32) = (self.c13, self.c23);
        let p32 = share(c32, c31 + c32 + self.c33);
        let p23 = match self.c22 + self.c23 {
            0 => 1.0,
            whole => 1.0 - share(self.c22, whole),
        };
        let in_bursts = self.c33 + c32 > 0;
        let burst = if in_bursts && p23 + p32 > 0.0 {
            p23 / (p23 + p32)
        } else {
            0.0
        };
        (burst, share(self.c14, self.c11 + self.run + self.c14))
    }

    /// Mean length of a burst in packets; `None` before the first.
    pub(crate) fn burst_length(&self) -> Option<f64> {
        self.lengths().map(|(burst, _)| burst)
    }

    /// Mean length of the gaps between bursts in packets. Before the first burst, all that was settled is one gap.
    pub(crate) fn gap_length(&self) -> f64 {
        let gap = self.lengths().map(|(_, gap)| gap);
        gap.unwrap_or(self.settled as f64)
    }

    /// Mean length of a burst and of the gap before the next, in packets; `None` before the first burst.
    fn lengths(&self) -> Option<(f64, f64)> {
        let bursts = self.c13 as f64;
        let gaps = (self.c11 + self.c14 + self.c13) as f64;
        let inside = (self.c22 + 2 * self.c23 + self.c13 + self.c33) as f64;
        (self.c13 > 0).then(|| (inside / bursts, gaps / bursts))
    }

    /// How much longer the losses in a row are than chance would make them (ITU-T G.107 clause 3.5): 1 for random loss.
    pub(crate) fn ratio(&self) -> f64 {
        if self.stretches == 0 {
            return 1.0;
        }
        let mean = self.losses as f64 / self.stretches as f64;
        let loss = self.losses as f64 / self.settled as f64;
        (mean * (1.0 - loss)).max(1.0)
    }
}
