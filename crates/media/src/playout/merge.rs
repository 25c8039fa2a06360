//! The join between sound that was made up and sound that came after all.
//!
//! Concealment that covers for a late packet ends where it likes; the packet's sound begins where
//! the sender's did. What was made up goes on for a few milliseconds more, until it looks most like
//! the beginning of what came, and there it fades over.
//!
//! ```text
//! played:     ... made up ─┬─ goes on ╲╲╱╱ what came ──────
//!                          └─ as long as fits best, 10 ms at most
//! ```

use std::collections::VecDeque;

use super::likeness::{Likeness, cross_fade};

/// Remembers what was played last, and lets it go on into what comes.
#[derive(Debug)]
pub(super) struct Merger {
    rate: u32,
    likeness: Likeness,
    history: VecDeque<f32>,
    result: Vec<f32>,
}

impl Merger {
    pub(super) fn new(rate: u32) -> Merger {
        Merger {
            rate,
            likeness: Likeness::new(rate),
            history: VecDeque::new(),
            result: Vec::new(),
        }
    }

    /// These samples go to the loudspeaker.
    pub(super) fn played(&mut self, samples: &[f32]) {
        let keep = self.milliseconds(HISTORY);
        self.history.extend(samples);
        let surplus = self.history.len().saturating_sub(keep);
        self.history.drain(..surplus);
    }

    /// Let what was played flow into `samples`, which become longer by at most 10 ms.
    pub(super) fn merge(&mut self, samples: &mut Vec<f32>) {
        let overlap = self.milliseconds(OVERLAP);
        let reach = self.milliseconds(LATEST) + overlap;
        let Some(onward) = self.onward(reach) else {
            return;
        };
        let Some(beginning) = samples.get(..overlap) else {
            return;
        };
        let places = 0..=self.milliseconds(LATEST);
        let found = self.likeness.find(beginning, &onward, places);
        let place = found.map_or(0, |found| found.place);
        let (Some(before), Some(fading), Some(rest)) = (
            onward.get(..place),
            onward.get(place..place + overlap),
            samples.get(overlap..),
        ) else {
            return;
        };
        self.result.clear();
        self.result.extend_from_slice(before);
        self.result.extend(cross_fade(fading, beginning));
        self.result.extend_from_slice(rest);
        std::mem::swap(samples, &mut self.result);
    }

    /// How what was played would go on, by its own pitch. `None` when too little was played.
    fn onward(&mut self, count: usize) -> Option<Vec<f32>> {
        let pattern = self.milliseconds(PATTERN);
        let longest = self.milliseconds(LONGEST);
        let played = self.history.make_contiguous();
        let end = played.len();
        let recent = played.get(end.checked_sub(pattern)?..)?;
        let earlier = played.get(end.checked_sub(pattern + longest)?..)?;
        // Not so near that the pattern finds itself.
        let places = 0..=longest - pattern / 2;
        let found = self.likeness.find(recent, earlier, places)?;
        let period = played.get(end - (longest - found.place)..)?;
        Some(period.iter().copied().cycle().take(count).collect())
    }

    fn milliseconds(&self, milliseconds: usize) -> usize {
        self.rate as usize * milliseconds / 1000
    }
}

const HISTORY: usize = 25;
const PATTERN: usize = 5;
const LONGEST: usize = 15;
const OVERLAP: usize = 5;
const LATEST: usize = 10;

#[cfg(test)]
mod tests {
    use super::*;

    fn tone(rate: u32, from: usize, count: usize) -> Vec<f32> {
        (from..from + count)
            .map(|i| 0.5 * (std::f32::consts::TAU * 150.0 * i as f32 / rate as f32).sin())
            .collect()
    }

    fn steepest(samples: &[f32]) -> f32 {
        let steps = samples.windows(2).map(|w| (w[1] - w[0]).abs());
        steps.fold(0.0, f32::max)
    }

    #[test]
    fn sound_that_begins_in_another_phase_joins_without_a_click() {
        for rate in [8_000, 48_000] {
            let frame = rate as usize / 50;
            let before = tone(rate, 0, 2 * frame);
            for phase in [0, frame / 7, frame / 3, frame / 2] {
                let mut merger = Merger::new(rate);
                merger.played(&before);
                let mut samples = tone(rate, 2 * frame + phase, frame);
                merger.merge(&mut samples);
                assert!((frame..=frame * 3 / 2).contains(&samples.len()));
                let joined = [&before[..], &samples].concat();
                let whole = steepest(&before);
                assert!(steepest(&joined) < 1.2 * whole, "{rate}, {phase}");
            }
        }
    }

    #[test]
    fn nothing_to_join_to_leaves_the_sound_as_it_is() {
        let mut merger = Merger::new(8_000);
        let mut samples = tone(8_000, 0, 160);
        merger.merge(&mut samples);
        assert_eq!(samples, tone(8_000, 0, 160));
        merger.played(&[0.0; 800]);
        merger.merge(&mut samples);
        assert_eq!(samples, tone(8_000, 0, 160));
    }
}
