//! How long packets take: a histogram of transit times that forgets.
//!
//! A packet's transit time is its arrival minus its timestamp, both in microseconds from wherever
//! each clock began; only differences mean anything. A clock that drifts by 100 parts in a million
//! moves them by a millisecond in the histogram's ten seconds, so drift needs no care of its own.

use std::collections::VecDeque;

/// A quantile of transit times over about the last ten seconds of sound.
#[derive(Debug, Default)]
pub(super) struct DelayEstimate {
    /// Weight of each millisecond, the first for [`DelayEstimate::floor`]. Empty before anything
    /// came.
    bins: VecDeque<f32>,
    /// The first bin's transit time, in milliseconds.
    floor: i64,
    /// Sum of all bins.
    total: f32,
    /// What the next packet weighs. It grows, so that all earlier ones fade without being touched.
    unit: f32,
    /// A transit time far from all others, which a second one like it would prove.
    stray: Option<i64>,
}

impl DelayEstimate {
    /// Take in a transit time in microseconds. True when the sender's clock has jumped, and all
    /// that was known is void.
    pub(super) fn note(&mut self, transit: i64) -> bool {
        // Rounded up: to be in time means to be there before.
        let transit = transit.saturating_add(999).div_euclid(1_000);
        if self.bins.is_empty() {
            self.begin(transit);
            return false;
        }
        let bin = transit.saturating_sub(self.floor);
        if !(-FARTHEST..BINS as i64 + FARTHEST).contains(&bin) {
            let proved = self
                .stray
                .replace(transit)
                .is_some_and(|stray| stray.abs_diff(transit) < BINS as u64);
            if proved {
                self.begin(transit);
            }
            return proved;
        }
        self.stray = None;
        self.weigh(transit);
        false
    }

    /// The transit time in microseconds within which all but [`LATE`] of the packets come.
    pub(super) fn slowest(&self) -> Option<i64> {
        // One outlier alone is no habit.
        let spared = (self.total * LATE).max(self.unit).min(self.total / 2.0);
        let mut beyond = 0.0;
        let bin = self.bins.iter().rposition(|weight| {
            beyond += weight;
            beyond > spared
        })?;
        Some((self.floor + bin as i64) * 1_000)
    }

    /// The shortest transit time in microseconds.
    pub(super) fn fastest(&self) -> Option<i64> {
        let bin = self.bins.iter().position(|weight| *weight > 0.0)?;
        Some((self.floor + bin as i64) * 1_000)
    }

    fn begin(&mut self, transit: i64) {
        self.bins.clear();
        self.bins.resize(BINS, 0.0);
        self.floor = transit.saturating_sub(ROOM_BELOW as i64);
        self.total = 0.0;
        self.unit = 1.0;
        self.stray = None;
        self.weigh(transit);
    }

    fn weigh(&mut self, transit: i64) {
        while transit < self.floor {
            self.floor -= 1;
            self.bins.push_front(0.0);
            let over = self.bins.pop_back().unwrap_or_default();
            if let Some(last) = self.bins.back_mut() {
                *last += over;
            }
        }
        let bin = usize::try_from(transit - self.floor).unwrap_or_default();
        if let Some(weight) = self.bins.get_mut(bin.min(BINS - 1)) {
            *weight += self.unit;
            self.total += self.unit;
        }
        self.unit /= FORGET;
        if self.unit > HEAVIEST {
            self.renew();
        }
    }

    /// Scale back to a unit of one, drop what has faded, and move up where the bottom is empty.
    fn renew(&mut self) {
        for weight in &mut self.bins {
            *weight /= self.unit;
            if *weight < FADED {
                *weight = 0.0;
            }
        }
        self.unit = 1.0;
        self.total = self.bins.iter().sum();
        let empty = self.bins.iter().take_while(|weight| **weight == 0.0);
        let surplus = empty.count().saturating_sub(ROOM_BELOW).min(BINS - 1);
        self.bins.rotate_left(surplus);
        self.floor += surplus as i64;
    }
}

/// The share of packets that may come too late.
const LATE: f32 = 0.005;

/// Milliseconds that are told apart.
const BINS: usize = 512;

/// Bins kept for packets that are faster than all before.
const ROOM_BELOW: usize = 64;

/// Milliseconds beyond the bins at which a packet says nothing of the path but of a clock.
const FARTHEST: i64 = 1_000;

/// Each packet makes the earlier ones lighter by this: 500 packets, ten seconds, are remembered.
const FORGET: f32 = 0.998;

/// Renewed once in some 350 packets.
const HEAVIEST: f32 = 2.0;

/// What is lighter was 30 seconds ago.
const FADED: f32 = 0.05;

#[cfg(test)]
mod tests {
    use super::*;

    const MS: i64 = 1_000;

    fn learned(transits: impl IntoIterator<Item = i64>) -> DelayEstimate {
        let mut estimate = DelayEstimate::default();
        for transit in transits {
            estimate.note(transit * MS);
        }
        estimate
    }

    #[test]
    fn a_steady_path_needs_no_more_than_its_own_time() {
        let estimate = learned([70; 100]);
        assert_eq!(estimate.slowest(), Some(70 * MS));
        assert_eq!(estimate.fastest(), Some(70 * MS));
    }

    #[test]
    fn nothing_is_known_before_the_first_packet() {
        assert_eq!(DelayEstimate::default().slowest(), None);
    }

    #[test]
    fn one_outlier_moves_nothing_and_a_habit_does() {
        let mut estimate = learned([10; 300]);
        estimate.note(90 * MS);
        assert_eq!(estimate.slowest(), Some(10 * MS));
        for _ in 0..10 {
            estimate.note(50 * MS);
        }
        assert_eq!(estimate.slowest(), Some(50 * MS));
    }

    #[test]
    fn what_was_long_ago_is_forgotten_and_a_slow_drift_is_followed() {
        let burst = (0..50).map(|_| 200);
        let estimate = learned(burst.chain([10; 3_000]));
        assert_eq!(estimate.slowest(), Some(10 * MS));
        // The sender's clock is slow by a thousandth, far worse than any real one.
        let estimate = learned((0..50_000).map(|n| n / 50));
        let slowest = estimate.slowest().unwrap();
        assert!((slowest - 999 * MS).abs() <= 5 * MS, "{slowest}");
    }

    #[test]
    fn faster_packets_than_ever_before_are_told_apart_too() {
        let estimate = learned((0..600).map(|n| -(n % 200)));
        assert_eq!(estimate.fastest(), Some(-199 * MS));
        assert!((-2 * MS..=0).contains(&estimate.slowest().unwrap()));
    }

    #[test]
    fn a_clock_jump_is_believed_the_second_time() {
        let mut estimate = learned([10; 100]);
        assert!(!estimate.note(9_000_000 * MS));
        assert!(!estimate.note(10 * MS));
        assert!(!estimate.note(9_000_000 * MS));
        assert!(estimate.note(9_000_001 * MS));
        assert_eq!(estimate.fastest(), Some(9_000_001 * MS));
    }

    #[test]
    fn any_transit_time_is_taken() {
        let mut estimate = learned([0]);
        for transit in [i64::MAX, i64::MIN, 0, i64::MAX - 1, i64::MAX, i64::MIN] {
            estimate.note(transit);
        }
        assert!(estimate.slowest().is_some());
    }
}
