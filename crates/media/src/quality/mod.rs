//! How good a call is, by what was measured and by nothing else.
//!
//! Owns the record that is kept of a call: [`Quality`]. A figure that nobody measured is `None`; the score of a call is
//! told only once loss and round trip are known.

mod emodel;

use std::time::{Duration, Instant};

use crate::codec::Codec;
use crate::rtcp::{Bursts, Remote, Totals, UNKNOWN, VoipMetrics, in_256ths};
use emodel::Path;

/// One call's record, so far or for good.
#[derive(Debug, Clone, PartialEq, Default)]
pub struct Quality {
    /// The codecs in the order of their use, the present one last; of many changes, the latest.
    pub codecs: Vec<Codec>,
    /// How long packets have been sent or heard.
    pub duration: Duration,
    /// What came in.
    pub received: Received,
    /// What the other side says of what we sent.
    pub sent: Sent,
    /// There and back (RFC 3550 section 6.4.1).
    pub round_trip: Option<Spread>,
    /// The score of the call as we hear it: the present one, and the worst there was. 1 to 4.5.
    pub mos: Option<Score>,
    /// The score over time, oldest first: when, counted from the first packet, and what. Of long calls the older
    /// half grows coarser.
    pub scores: Vec<(Duration, f64)>,
    /// How often the other side's packets began to come from another address: its network changed.
    pub source_changes: u64,
    /// How often our own address became another one while there was sound: our network changed.
    pub network_changes: u64,
    /// How often its stream began anew (SSRC, or numbers that jumped).
    pub restarts: u64,
    /// Whether the sound was encrypted (SRTP) from the first moment to the last: a call that was in the open for a while,
    /// before its answer or after a re-INVITE, is not.
    pub encrypted: bool,
}

/// What came in.
#[derive(Debug, Clone, Copy, PartialEq, Default)]
pub struct Received {
    /// Packets.
    pub packets: u64,
    /// Of what was sent: lost on the way, 0 to 1.
    pub loss: Option<f64>,
    /// Of what was sent: not played in time, lost or late, 0 to 1.
    pub unplayed: Option<f64>,
    /// Inter-arrival jitter: the present one and the worst.
    pub jitter: Option<Spread>,
    /// Share of packets lost inside the bursts of loss, 0 to 1 (RFC 3611 section 4.7.2).
    pub burst_density: f64,
    /// Mean length of such a burst; `None` when there was none.
    pub burst: Option<Duration>,
    /// Sound that was left out so as to play sooner.
    pub left_out: Duration,
    /// Sound that was put in so as to play later.
    pub put_in: Duration,
    /// Frames of 20 ms that were made up because nothing had come when something was due.
    pub starved: u64,
}

/// What the other side says of what we sent.
#[derive(Debug, Clone, Copy, PartialEq, Default)]
pub struct Sent {
    /// Packets.
    pub packets: u64,
    /// Lost on the way, 0 to 1, over the whole call; `None` before its first report.
    pub loss: Option<f64>,
    /// Its inter-arrival jitter.
    pub jitter: Option<Duration>,
    /// Its own score of the call, where it told one (RFC 3611).
    pub mos: Option<f64>,
}

/// A time that was measured again and again.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Spread {
    /// The last value.
    pub last: Duration,
    /// The highest.
    pub most: Duration,
}

/// A score that was made again and again.
#[derive(Debug, Clone, Copy, PartialEq)]
pub struct Score {
    /// The last value.
    pub last: f64,
    /// The lowest.
    pub least: f64,
}

/// Changes of codec that are kept: there is no end to them where the other side sends now this, now that.
const MAX_CODECS: usize = 16;

/// Samples of the score that are kept; then every other one goes.
const MAX_SCORES: usize = 256;

/// So many packets have to be due before a loss means anything.
const ENOUGH: u64 = 50;

/// What a codec and a packet of 20 ms add to the delay of the network and of the jitter buffer.
const END_SYSTEMS: Duration = Duration::from_millis(25);

/// Sound in a packet, as far as anything is said of stretches of them.
const PACKET: Duration = Duration::from_millis(20);

/// Follows a call.
#[derive(Debug)]
pub(crate) struct Monitor {
    began: Option<Instant>,
    codecs: Vec<Codec>,
    jitter: Option<Spread>,
    round_trip: Option<Spread>,
    score: Option<Score>,
    scores: Vec<(Duration, f64)>,
    /// What was due and played when the last score was made.
    scored: Totals,
    rating: Option<f64>,
}

/// What the session knows at one moment.
#[derive(Debug, Clone, Copy)]
pub(crate) struct Snapshot<'a> {
    /// Of what we hear, and of what we send.
    pub(crate) codec: Codec,
    pub(crate) sends: Codec,
    pub(crate) totals: Totals,
    /// Came too late, or were thrown away to catch up.
    pub(crate) unplayed: u64,
    pub(crate) jitter: Option<Duration>,
    /// How long a packet waits to be played.
    pub(crate) playout_delay: Duration,
    pub(crate) bursts: Bursts,
    pub(crate) remote: &'a Remote,
}

impl Monitor {
    pub(crate) fn new(codec: Codec) -> Monitor {
        Monitor {
            began: None,
            codecs: vec![codec],
            jitter: None,
            round_trip: None,
            score: None,
            scores: Vec::new(),
            scored: Totals::default(),
            rating: None,
        }
    }

    pub(crate) fn begin(&mut self, now: Instant) {
        self.began.get_or_insert(now);
    }

    pub(crate) fn use_codec(&mut self, codec: Codec) {
        if self.codecs.last() != Some(&codec) {
            if self.codecs.len() == MAX_CODECS {
                self.codecs.remove(0);
            }
            self.codecs.push(codec);
        }
    }

    pub(crate) fn duration(&self, now: Instant) -> Duration {
        let since = |began| now.saturating_duration_since(began);
        self.began.map(since).unwrap_or_default()
    }

    /// The other side has reported.
    pub(crate) fn heard(&mut self, remote: &Remote) {
        spread(&mut self.round_trip, remote.round_trip);
    }

    /// Once in an interval of reports, and when the call ends: what was measured since the last time.
    pub(crate) fn sample(&mut self, now: Instant, snapshot: &Snapshot<'_>) {
        spread(&mut self.jitter, snapshot.jitter);
        let played = Totals {
            expected: snapshot.totals.expected,
            received: snapshot.totals.received.saturating_sub(snapshot.unplayed),
        };
        let interval = Totals {
            expected: played.expected.saturating_sub(self.scored.expected),
            received: played.received.saturating_sub(self.scored.received),
        };
        let (Some(loss), Some(trip)) = (interval.loss(), snapshot.remote.round_trip) else {
            return;
        };
        if interval.expected < ENOUGH {
            return;
        }
        self.scored = played;
        let rating = emodel::rating(
            snapshot.codec,
            Path {
                loss,
                burst_ratio: snapshot.bursts.ratio(),
                delay: trip / 2 + snapshot.playout_delay + END_SYSTEMS,
            },
        );
        self.rating = Some(rating);
        self.note(self.duration(now), emodel::mos(rating));
    }

    fn note(&mut self, at: Duration, mos: f64) {
        let least = self.score.map_or(mos, |score| score.least.min(mos));
        self.score = Some(Score { last: mos, least });
        if self.scores.len() == MAX_SCORES {
            let mut keep = false;
            self.scores.retain(|_| {
                keep = !keep;
                keep
            });
        }
        self.scores.push((at, mos));
    }

    /// What an extended report tells the other side (RFC 3611 section 4.7).
    pub(crate) fn metrics(&self, ssrc: u32, snapshot: &Snapshot<'_>) -> VoipMetrics {
        let ms = |time: Duration| u16::try_from(time.as_millis()).unwrap_or(u16::MAX);
        let share = |of: u64| match snapshot.totals.expected {
            0 => 0,
            expected => in_256ths(of as f64 / expected as f64),
        };
        let score = self.score.map(|score| (10.0 * score.last).round() as u8);
        let (burst_density, gap_density) = snapshot.bursts.densities();
        let burst = snapshot.bursts.burst_length().map(packets);
        VoipMetrics {
            ssrc,
            loss_rate: share(snapshot.totals.lost()),
            discard_rate: share(snapshot.unplayed),
            burst_density: in_256ths(burst_density),
            gap_density: in_256ths(gap_density),
            burst_duration: ms(burst.unwrap_or_default()),
            gap_duration: ms(packets(snapshot.bursts.gap_length())),
            round_trip: ms(snapshot.remote.round_trip.unwrap_or_default()),
            end_system_delay: ms(snapshot.playout_delay + END_SYSTEMS),
            r_factor: self.rating.map_or(UNKNOWN, |rating| rating as u8),
            mos_lq: score.unwrap_or(UNKNOWN),
            mos_cq: score.unwrap_or(UNKNOWN),
            playout_delay: ms(snapshot.playout_delay),
        }
    }

    /// The record, as far as this module knows it.
    pub(crate) fn record(&self, now: Instant, snapshot: &Snapshot<'_>) -> Quality {
        let unplayed = |totals: Totals| {
            let missing = totals.lost() + snapshot.unplayed;
            let share = missing as f64 / totals.expected as f64;
            (totals.expected > 0).then(|| share.min(1.0))
        };
        let clock = f64::from(snapshot.sends.clock_rate());
        let remote = snapshot.remote;
        let told = remote.metrics.map(|metrics| metrics.mos_cq);
        Quality {
            codecs: self.codecs.clone(),
            duration: self.duration(now),
            received: Received {
                loss: snapshot.totals.loss(),
                unplayed: unplayed(snapshot.totals),
                jitter: self.jitter,
                burst_density: snapshot.bursts.densities().0,
                burst: snapshot.bursts.burst_length().map(packets),
                ..Received::default()
            },
            sent: Sent {
                jitter: (remote.reports > 0)
                    .then(|| Duration::from_secs_f64(f64::from(remote.jitter) / clock)),
                // Tenths; anything beyond the scale says that it is unknown.
                mos: told
                    .filter(|mos| (10..=50).contains(mos))
                    .map(|mos| f64::from(mos) / 10.0),
                ..Sent::default()
            },
            round_trip: self.round_trip,
            mos: self.score,
            scores: self.scores.clone(),
            ..Quality::default()
        }
    }
}

fn packets(count: f64) -> Duration {
    PACKET.mul_f64(count)
}

fn spread(kept: &mut Option<Spread>, measured: Option<Duration>) {
    if let Some(last) = measured {
        let most = kept.map_or(last, |spread| spread.most.max(last));
        *kept = Some(Spread { last, most });
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn snapshot(remote: &Remote, expected: u64, received: u64) -> Snapshot<'_> {
        Snapshot {
            codec: Codec::Pcmu,
            sends: Codec::Pcmu,
            totals: Totals { expected, received },
            unplayed: 0,
            jitter: Some(Duration::from_millis(3)),
            playout_delay: Duration::from_millis(40),
            bursts: Bursts::default(),
            remote,
        }
    }

    fn answered(round_trip: u64) -> Remote {
        Remote {
            round_trip: Some(Duration::from_millis(round_trip)),
            ..Remote::default()
        }
    }

    #[test]
    fn no_score_is_told_before_loss_and_round_trip_were_measured() {
        let now = rollcall_testkit::Clock::new().now();
        let mut monitor = Monitor::new(Codec::Pcmu);
        let silent = Remote::default();
        monitor.sample(now, &snapshot(&silent, 1_000, 1_000));
        assert_eq!(
            monitor.record(now, &snapshot(&silent, 1_000, 1_000)).mos,
            None
        );
        let remote = answered(40);
        monitor.sample(now, &snapshot(&remote, 49, 49));
        assert_eq!(monitor.record(now, &snapshot(&remote, 49, 49)).mos, None);
        monitor.sample(now, &snapshot(&remote, 1_000, 1_000));
        let mos = monitor.record(now, &snapshot(&remote, 1_000, 1_000)).mos;
        assert!(mos.is_some_and(|score| score.last > 4.3), "{mos:?}");
    }

    #[test]
    fn each_score_is_that_of_its_own_stretch_and_the_worst_is_kept() {
        let now = rollcall_testkit::Clock::new().now();
        let mut monitor = Monitor::new(Codec::Pcmu);
        let remote = answered(40);
        for (expected, received) in [(1_000, 1_000), (2_000, 1_900), (3_000, 2_900)] {
            monitor.sample(now, &snapshot(&remote, expected, received));
        }
        let record = monitor.record(now, &snapshot(&remote, 3_000, 2_900));
        let scores: Vec<f64> = record.scores.iter().map(|(_, mos)| *mos).collect();
        assert!(
            scores[1] < scores[0] - 0.5 && scores[2] == scores[0],
            "{scores:?}"
        );
        assert_eq!(record.mos.unwrap().least, scores[1]);
        assert_eq!(record.mos.unwrap().last, scores[2]);
        assert!((record.received.loss.unwrap() - 1.0 / 30.0).abs() < 1e-9);
    }

    #[test]
    fn a_day_of_scores_takes_no_more_room_than_an_hour() {
        let mut now = rollcall_testkit::Clock::new().now();
        let mut monitor = Monitor::new(Codec::Opus);
        monitor.begin(now);
        let remote = answered(40);
        for n in 1..17_280 {
            now += Duration::from_secs(5);
            monitor.sample(now, &snapshot(&remote, 250 * n, 250 * n));
        }
        let record = monitor.record(now, &snapshot(&remote, 1, 1));
        assert!((MAX_SCORES / 2..=MAX_SCORES).contains(&record.scores.len()));
        assert!(record.scores.windows(2).all(|two| two[0].0 < two[1].0));
        assert_eq!(record.scores.last().unwrap().0, record.duration);
    }
}
