//! RTCP (RFC 3550 section 6): what we tell of the call, and what the other side says.
//!
//! Owns when a report is due, what stands in it, and the round trip. Believes only reports of the stream that we send,
//! from where the call's packets come. A BYE here ends no call: that is SIP's to say.
//!
//! ```text
//! RTP that came ─► reception ─┐
//! what was sent ──────────────┼─► SR | RR, SDES, XR ─► every 2.5 to 7.5 s, at random
//!                             │
//! SR, RR, XR that came ───────┴─► round trip, their loss and jitter
//! ```

mod packet;
mod reception;
#[cfg(test)]
mod tests;

use std::time::{Duration, Instant};

use rand::rngs::StdRng;
use rand::{Rng, SeedableRng};

pub(crate) use packet::{SenderInfo, UNKNOWN, VoipMetrics, is_rtcp};
pub(crate) use reception::{Bursts, Reception, Totals};

use packet::{Malformed, Packet, ReportBlock, Writer};

/// One side of the control of one stream.
#[derive(Debug)]
pub(crate) struct Control {
    ssrc: u32,
    cname: String,
    random: StdRng,
    /// All times on the wire count from here: they need no clock on the wall (RFC 3550 section 6.4.1).
    epoch: Option<Instant>,
    due: Option<Instant>,
    is_first: bool,
    /// Packets sent when the last report was made.
    sent_before: u32,
    last_sender_report: Option<SenderReport>,
    remote: Remote,
}

/// The other side's last sender report: the middle of its time, and when it came.
#[derive(Debug, Clone, Copy)]
struct SenderReport {
    ssrc: u32,
    middle: u32,
    came: Instant,
}

/// What the other side says of our stream.
#[derive(Debug, Clone, Copy, PartialEq, Default)]
pub(crate) struct Remote {
    /// Reports that spoke of us.
    pub(crate) reports: u64,
    /// Share of our packets lost since its report before, 0 to 1.
    pub(crate) loss: Option<f64>,
    /// Of all our packets.
    pub(crate) lost: u64,
    /// In ticks of our stream's clock.
    pub(crate) jitter: u32,
    /// There and back, without the time the other side took.
    pub(crate) round_trip: Option<Duration>,
    pub(crate) metrics: Option<VoipMetrics>,
}

/// What is known of the way in when a report is made.
#[derive(Debug, Clone, Copy)]
pub(crate) struct Arrived {
    /// Inter-arrival jitter in ticks of the stream's clock.
    pub(crate) jitter: u32,
    /// Sent along where the other side asked for it.
    pub(crate) metrics: Option<VoipMetrics>,
}

/// The shortest time between reports (RFC 3550 section 6.2); the first comes after half of it.
const INTERVAL: Duration = Duration::from_secs(5);

/// Makes up for drawing at random (RFC 3550 section 6.3.1: e - 3/2).
const COMPENSATION: f64 = 1.218_28;

/// The other side may count its wait by a clock that is set or slewed meanwhile, and in whole milliseconds: a trip that seems
/// to end so long before it began was a short one. As far the other way, nobody can tell.
const MAX_SKEW: i64 = ticks(Duration::from_millis(20)) as i64;

/// A longer round trip is a clock that jumped or a report that lies.
const MAX_ROUND_TRIP: Duration = Duration::from_secs(30);

impl Control {
    /// `seed` draws the name and the times between reports.
    pub(crate) fn new(ssrc: u32, seed: u64) -> Control {
        let mut random = StdRng::seed_from_u64(seed);
        let name: [u64; 2] = random.random();
        Control {
            ssrc,
            // 96 bits and more of chance, new for every call (RFC 7022 section 4.2).
            cname: format!("{:016x}{:016x}", name[0], name[1]),
            random,
            epoch: None,
            due: None,
            is_first: true,
            sent_before: 0,
            last_sender_report: None,
            remote: Remote::default(),
        }
    }

    /// What the other side said so far.
    pub(crate) fn remote(&self) -> &Remote {
        &self.remote
    }

    /// True when a report is due; the first look starts the clock.
    pub(crate) fn is_due(&mut self, now: Instant) -> bool {
        let due = match self.due {
            Some(due) => due,
            None => self.schedule(now),
        };
        due <= now
    }

    /// A datagram from the call's source. True when it spoke of our stream.
    pub(crate) fn handle(&mut self, now: Instant, bytes: &[u8]) -> Result<bool, Malformed> {
        let mut spoke_of_us = false;
        for packet in packet::read(bytes)? {
            let (sender, blocks) = match packet {
                Packet::Sender(ssrc, info, blocks) => {
                    self.last_sender_report = Some(SenderReport {
                        ssrc,
                        middle: (info.ntp >> 16) as u32,
                        came: now,
                    });
                    (ssrc, blocks)
                }
                Packet::Receiver(ssrc, blocks) => (ssrc, blocks),
                Packet::VoipMetrics(_, metrics) if metrics.ssrc == self.ssrc => {
                    self.remote.metrics = Some(metrics);
                    continue;
                }
                Packet::VoipMetrics(..) | Packet::Bye(_) | Packet::Other => continue,
            };
            // Our own packets, looped back, are no report of the other side.
            if sender == self.ssrc {
                continue;
            }
            for block in blocks {
                if block.ssrc == self.ssrc {
                    self.take(now, &block);
                    spoke_of_us = true;
                }
            }
        }
        Ok(spoke_of_us)
    }

    /// Write the report that is due, and say when the next one is.
    pub(crate) fn report(
        &mut self,
        now: Instant,
        sent: SenderInfo,
        reception: &mut Reception,
        arrived: Arrived,
        bytes: &mut Vec<u8>,
    ) {
        self.schedule(now);
        let mut writer = Writer::new(bytes);
        self.write_report(now, sent, reception, arrived, &mut writer);
        if let Some(metrics) = arrived.metrics {
            writer.voip_metrics(self.ssrc, &metrics);
        }
    }

    /// Write the last packet of a stream: a report, and BYE.
    pub(crate) fn goodbye(
        &mut self,
        now: Instant,
        sent: SenderInfo,
        reception: &mut Reception,
        arrived: Arrived,
        bytes: &mut Vec<u8>,
    ) {
        let mut writer = Writer::new(bytes);
        self.write_report(now, sent, reception, arrived, &mut writer);
        writer.bye(self.ssrc);
    }

    fn write_report(
        &mut self,
        now: Instant,
        sent: SenderInfo,
        reception: &mut Reception,
        arrived: Arrived,
        writer: &mut Writer<'_>,
    ) {
        let is_sender = sent.packets != self.sent_before;
        self.sent_before = sent.packets;
        let info = SenderInfo {
            ntp: self.ntp(now),
            ..sent
        };
        let block = self.block(now, reception, arrived.jitter);
        writer
            .report(self.ssrc, is_sender.then_some(info), block)
            .description(self.ssrc, &self.cname);
    }

    fn block(
        &mut self,
        now: Instant,
        reception: &mut Reception,
        jitter: u32,
    ) -> Option<ReportBlock> {
        let ssrc = reception.ssrc()?;
        let interval = reception.interval();
        let last = self.last_sender_report.filter(|last| last.ssrc == ssrc);
        let since = |last: SenderReport| now.saturating_duration_since(last.came);
        Some(ReportBlock {
            ssrc,
            fraction_lost: in_256ths(interval.loss().unwrap_or_default()),
            cumulative_lost: i32::try_from(reception.totals().lost()).unwrap_or(i32::MAX),
            highest_sequence: reception.highest_sequence(),
            jitter,
            last_report: last.map_or(0, |last| last.middle),
            delay: last.map_or(0, |last| ticks(since(last)) as u32),
        })
    }

    fn take(&mut self, now: Instant, block: &ReportBlock) {
        self.remote.reports += 1;
        self.remote.loss = Some(f64::from(block.fraction_lost) / 256.0);
        self.remote.lost = u64::try_from(block.cumulative_lost).unwrap_or(0);
        self.remote.jitter = block.jitter;
        self.remote.round_trip = self.round_trip(now, block).or(self.remote.round_trip);
    }

    /// RFC 3550 section 6.4.1. `None` before our first report has come there, and where the clocks make no sense.
    fn round_trip(&mut self, now: Instant, block: &ReportBlock) -> Option<Duration> {
        if block.last_report == 0 {
            return None;
        }
        let middle = (self.ntp(now) >> 16) as u32;
        // The middle of the time wraps after 18 hours. A wait that began later than it ended is none of that length.
        let since = middle.wrapping_sub(block.last_report);
        let trip = i64::from(since) - i64::from(block.delay);
        if trip < -MAX_SKEW {
            return None;
        }
        let trip = Duration::from_secs_f64(trip.max(0) as f64 / 65_536.0);
        (trip <= MAX_ROUND_TRIP).then_some(trip)
    }

    /// Draws when the next report is due (RFC 3550 section 6.3.1).
    fn schedule(&mut self, now: Instant) -> Instant {
        let mean = match std::mem::take(&mut self.is_first) {
            true => INTERVAL / 2,
            false => INTERVAL,
        };
        let drawn = mean.mul_f64(self.random.random_range(0.5..1.5) / COMPENSATION);
        let due = now + drawn;
        self.due = Some(due);
        due
    }

    /// Seconds and fractions since the first look, and one more: nought means "never".
    fn ntp(&mut self, now: Instant) -> u64 {
        let epoch = *self.epoch.get_or_insert(now);
        let since = now.saturating_duration_since(epoch) + Duration::from_secs(1);
        ticks(since) << 16
    }
}

/// 65,536ths of a second.
const fn ticks(time: Duration) -> u64 {
    (time.as_nanos() * 65_536 / 1_000_000_000) as u64
}

/// A share as RTCP counts it.
pub(crate) fn in_256ths(share: f64) -> u8 {
    (share * 256.0).clamp(0.0, 255.0) as u8
}
