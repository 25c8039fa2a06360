//! Two clocks that do not agree: how much faster or slower sound has to pass so that what waits stays as it was.
//!
//! A device's clock and the media tick's differ by some ten parts in a million, a bad one's by hundreds. Left alone, what
//! waits grows until samples are dropped, or runs dry every few minutes.

use std::ops::RangeInclusive;

/// Ticks before what waits is believed to be usual: four seconds of 20 ms.
const SETTLING: u32 = 200;

/// Each tick's share of the mean: two seconds count.
const SHARE: f64 = 0.01;

/// A mean that is this many samples off (2 ms at 48 kHz) is no chance.
const TOLERATED: f64 = 96.0;

/// What is off is to be made up for within so many samples: four seconds, twice what the mean lags behind, or it would
/// swing.
const WITHIN: f64 = 192_000.0;

/// Nobody hears a pitch that is off by so much; no clock is off by more.
const MOST: f64 = 0.002;

/// Follows what waits in one device's buffer, in samples of 48 kHz.
#[derive(Debug)]
pub(crate) struct Drift {
    ticks: u32,
    mean: f64,
    usual: f64,
    /// With less a device that is late leaves a gap, and more is delay that nobody needs.
    needed: RangeInclusive<usize>,
    corrects: bool,
}

impl Drift {
    /// For a buffer in which so many samples need to wait.
    pub(crate) fn new(needed: RangeInclusive<usize>) -> Drift {
        Drift {
            ticks: 0,
            mean: 0.0,
            usual: 0.0,
            needed,
            corrects: false,
        }
    }

    /// So much waits after this tick. What to multiply the number of samples by that come into the buffer; `None` while
    /// there is no reason to touch them.
    pub(crate) fn note(&mut self, waiting: usize) -> Option<f64> {
        let waiting = waiting as f64;
        self.ticks = self.ticks.saturating_add(1);
        if self.ticks <= SETTLING {
            self.mean += (waiting - self.mean) / f64::from(self.ticks);
            let (least, most) = (*self.needed.start() as f64, *self.needed.end() as f64);
            self.usual = self.mean.clamp(least, most);
            return None;
        }
        self.mean += (waiting - self.mean) * SHARE;
        let off = self.mean - self.usual;
        self.corrects |= off.abs() > TOLERATED;
        self.corrects
            .then(|| 1.0 - (off / WITHIN).clamp(-MOST, MOST))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    /// What waits in a buffer that gains `gain` samples a tick of 960, tick by tick.
    fn run(gain: f64, ticks: usize) -> (Vec<f64>, bool) {
        let mut drift = Drift::new(100..=2_000);
        let (mut waiting, mut levels, mut touched) = (500.0, Vec::new(), false);
        let mut pace = 1.0;
        for _ in 0..ticks {
            waiting += (960.0 + gain) * pace - 960.0;
            levels.push(waiting);
            if let Some(next) = drift.note(waiting.max(0.0) as usize) {
                pace = next;
                touched = true;
            }
        }
        (levels, touched)
    }

    #[test]
    fn a_clock_that_agrees_is_left_alone() {
        assert!(!run(0.0, 50_000).1);
    }

    #[test]
    fn what_waits_stays_as_it_was_whatever_the_clock_does() {
        for millionths in [-1_000.0, -100.0, 100.0, 1_000.0] {
            let (levels, touched) = run(960.0 * millionths / 1e6, 100_000);
            assert!(touched, "{millionths}");
            let worst = levels.iter().map(|level| (level - 500.0).abs());
            let worst = worst.fold(0.0, f64::max);
            assert!(worst < 1_000.0, "{millionths}: {worst} samples off");
            let last = levels[levels.len() - 1];
            assert!((last - levels[levels.len() - 5_000]).abs() < 10.0);
        }
    }

    #[test]
    fn delay_that_nobody_needs_is_worked_off() {
        let mut drift = Drift::new(100..=480);
        let (mut waiting, mut pace) = (1_900.0, 1.0);
        for _ in 0..10_000 {
            waiting += 960.0 * pace - 960.0;
            pace = drift.note(waiting as usize).unwrap_or(pace);
        }
        assert!((400.0..620.0).contains(&waiting), "{waiting}");
    }
}
