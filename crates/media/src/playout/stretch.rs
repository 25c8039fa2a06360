//! Shorter and longer sound at the same pitch: a period of the voice is left out, or played twice.
//!
//! ```text
//! shorter:  [ a ][ period ][ rest        ]     longer:  [ period ][ rest        ]
//!             ╲╲╲╲╲╲╲╲╲╲╲╲╱                                        ╲╲╱╱
//!           [ a fades into what follows  ]              [ period ][ period again ][ rest ]
//! ```
//!
//! The overlap is short and both of its sides look alike (pitch-synchronous overlap-add), so that
//! nothing is heard of it. Sound that does not repeat itself is left as it is, unless it is a pause:
//! too low to matter, or far below the voice around it.

use super::likeness::{Likeness, cross_fade, energy};

/// Leaves out or repeats one period of a frame.
#[derive(Debug)]
pub(super) struct Stretcher {
    rate: u32,
    likeness: Likeness,
    /// Mean power of the voice of late, which fades.
    voice: f32,
    result: Vec<f32>,
}

/// A frame, by what may be done to it.
#[derive(Debug, Clone, Copy, PartialEq)]
enum Kind {
    /// Nobody hears it.
    Silence,
    /// Nobody speaks.
    Pause,
    Speech,
}

impl Stretcher {
    pub(super) fn new(rate: u32) -> Stretcher {
        Stretcher {
            rate,
            likeness: Likeness::new(rate),
            voice: 0.0,
            result: Vec::new(),
        }
    }

    /// Learn how loud the voice is.
    pub(super) fn hear(&mut self, samples: &[f32]) {
        self.voice = (self.voice * FADE).max(power(samples));
    }

    /// Leave out one period of no more than `most` samples, if that does no harm; of speech only `anywhere`. How many
    /// samples were.
    pub(super) fn shorten(&mut self, samples: &mut Vec<f32>, most: usize, anywhere: bool) -> usize {
        let Some(period) = self.period(samples, most, anywhere) else {
            return 0;
        };
        let overlap = self.overlap();
        let (Some(before), Some(behind), Some(rest)) = (
            samples.get(..overlap),
            samples.get(period..period + overlap),
            samples.get(period + overlap..),
        ) else {
            return 0;
        };
        self.result.clear();
        self.result.extend(cross_fade(before, behind));
        self.result.extend_from_slice(rest);
        std::mem::swap(samples, &mut self.result);
        period
    }

    /// Play one period twice, if that does no harm; of speech only `anywhere`. How many samples were put in.
    pub(super) fn lengthen(&mut self, samples: &mut Vec<f32>, anywhere: bool) -> usize {
        let Some(period) = self.period(samples, usize::MAX, anywhere) else {
            return 0;
        };
        let overlap = self.overlap();
        let (Some(first), Some(behind), Some(again), Some(rest)) = (
            samples.get(..period),
            samples.get(period..period + overlap),
            samples.get(..overlap),
            samples.get(overlap..),
        ) else {
            return 0;
        };
        self.result.clear();
        self.result.extend_from_slice(first);
        self.result.extend(cross_fade(behind, again));
        self.result.extend_from_slice(rest);
        std::mem::swap(samples, &mut self.result);
        period
    }

    /// The length, `most` at most, after which the sound repeats itself.
    fn period(&mut self, samples: &[f32], most: usize, anywhere: bool) -> Option<usize> {
        let pattern = samples.get(..self.micros(PATTERN))?;
        let longest = self.micros(LONGEST).min(most);
        let kind = self.kind(samples);
        if kind == Kind::Silence {
            // Nobody hears where it is cut.
            let longest = samples.len().checked_sub(self.overlap())?.min(longest);
            return (longest > 0).then_some(longest);
        }
        let alike = match kind {
            Kind::Pause => ALIKE_IN_A_PAUSE,
            _ if anywhere => ALIKE,
            _ => return None,
        };
        let shortest = self.micros(SHORTEST);
        if longest < shortest {
            return None;
        }
        let found = self.likeness.find(pattern, samples, shortest..=longest)?;
        (found.likeness >= alike).then_some(found.place)
    }

    fn kind(&self, samples: &[f32]) -> Kind {
        match power(samples) {
            power if power < LOW => Kind::Silence,
            power if power < self.voice * FAR_BELOW => Kind::Pause,
            _ => Kind::Speech,
        }
    }

    fn overlap(&self) -> usize {
        self.micros(OVERLAP)
    }

    fn micros(&self, micros: usize) -> usize {
        self.rate as usize * micros / 1_000_000
    }
}

/// Pitch periods from 400 Hz down to 71 Hz, in microseconds.
const SHORTEST: usize = 2_500;
const LONGEST: usize = 14_000;

/// How much sound must look alike, in microseconds.
const PATTERN: usize = 6_000;

/// How long one goes over into the other, in microseconds.
const OVERLAP: usize = 5_000;

/// How alike it must be.
const ALIKE: f32 = 0.85;

/// Noise far below the voice is not like itself anywhere, and no worse for it.
const ALIKE_IN_A_PAUSE: f32 = -1.0;

/// What is 25 dB below the voice is none.
const FAR_BELOW: f32 = 0.003;

/// A voice that fell silent is remembered for some three seconds: what each frame leaves of its power.
const FADE: f32 = 0.97;

/// Mean power below which nobody hears a seam: -50 dB of full scale.
const LOW: f32 = 0.000_01;

fn power(samples: &[f32]) -> f32 {
    energy(samples) / samples.len().max(1) as f32
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::measure;

    const RATES: [u32; 3] = [8_000, 16_000, 48_000];

    fn voice(rate: u32, from: usize, count: usize) -> Vec<f32> {
        let at = |i: usize| {
            let t = (from + i) as f32 / rate as f32;
            let harmonics = 1..8;
            0.1 * harmonics
                .map(|k| (std::f32::consts::TAU * 120.0 * k as f32 * t).sin() / k as f32)
                .sum::<f32>()
        };
        (0..count).map(at).collect()
    }

    fn steepest(samples: &[f32]) -> f32 {
        let steps = samples.windows(2).map(|w| (w[1] - w[0]).abs());
        steps.fold(0.0, f32::max)
    }

    /// A second of sound, each frame of it changed.
    fn stretched(rate: u32, change: impl Fn(&mut Stretcher, &mut Vec<f32>) -> usize) -> Vec<f32> {
        let mut stretcher = Stretcher::new(rate);
        let frame = rate as usize / 50;
        let mut all = Vec::new();
        for n in 0..50 {
            let mut samples = voice(rate, n * frame, frame);
            let changed = change(&mut stretcher, &mut samples);
            assert!(changed > 0, "{rate}, frame {n}");
            assert_eq!(samples.len().abs_diff(frame), changed);
            all.extend(samples);
        }
        all
    }

    #[test]
    fn a_voice_keeps_its_pitch_and_level_and_gets_no_clicks() {
        for rate in RATES {
            let whole = voice(rate, 0, rate as usize);
            let level = measure::level_dbfs(&whole).unwrap();
            for changed in [
                stretched(rate, |it, samples| it.shorten(samples, usize::MAX, true)),
                stretched(rate, |it, samples| it.lengthen(samples, true)),
            ] {
                let hertz = measure::strongest_hertz(&changed, rate, 80.0, 200.0).unwrap();
                assert!((hertz - 120.0).abs() < 2.0, "{rate}: {hertz} Hz");
                let now = measure::level_dbfs(&changed).unwrap();
                assert!((now - level).abs() < 1.0, "{rate}: {now} dB of {level}");
                assert!(steepest(&changed) < 1.3 * steepest(&whole), "{rate}");
            }
        }
    }

    #[test]
    fn noise_that_is_heard_is_left_alone_and_noise_that_is_not_may_be_cut() {
        let mut state = 1u32;
        let mut noise = |loudness: f32| -> Vec<f32> {
            let sample = |_| {
                state = state.wrapping_mul(1_664_525).wrapping_add(1_013_904_223);
                loudness * (state as f32 / u32::MAX as f32 - 0.5)
            };
            (0..960).map(sample).collect()
        };
        let mut stretcher = Stretcher::new(48_000);
        assert_eq!(stretcher.shorten(&mut noise(0.5), 960, true), 0);
        assert_eq!(stretcher.lengthen(&mut noise(0.5), true), 0);
        assert_eq!(stretcher.shorten(&mut noise(0.005), 960, false), 672);
        assert_eq!(stretcher.lengthen(&mut vec![0.0; 960], false), 672);
    }

    #[test]
    fn a_voice_is_left_alone_and_the_room_behind_it_may_be_cut() {
        let mut state = 1u32;
        let mut room = || -> Vec<f32> {
            let sample = |_| {
                state = state.wrapping_mul(1_664_525).wrapping_add(1_013_904_223);
                0.02 * (state as f32 / u32::MAX as f32 - 0.5)
            };
            (0..960).map(sample).collect()
        };
        let mut stretcher = Stretcher::new(48_000);
        let loud = |n: usize| -> Vec<f32> {
            let voice = voice(48_000, 960 * n, 960);
            voice.iter().map(|sample| 2.0 * sample).collect()
        };
        assert_eq!(stretcher.shorten(&mut room(), 960, false), 0, "no voice");
        for n in 0..10 {
            stretcher.hear(&loud(n));
            assert_eq!(stretcher.shorten(&mut loud(n), 960, false), 0);
            assert_eq!(stretcher.lengthen(&mut loud(n), false), 0);
        }
        let cut: Vec<usize> = (0..10)
            .map(|_| stretcher.shorten(&mut room(), 960, false))
            .collect();
        assert!(cut.iter().filter(|cut| **cut > 0).count() >= 5, "{cut:?}");
    }

    #[test]
    fn no_more_is_left_out_than_may_be() {
        let mut stretcher = Stretcher::new(48_000);
        let frame = || voice(48_000, 0, 960);
        // A period of 120 Hz is 400 samples.
        assert_eq!(stretcher.shorten(&mut frame(), 300, true), 0);
        assert_eq!(stretcher.shorten(&mut frame(), 400, true), 400);
        assert_eq!(stretcher.shorten(&mut vec![0.0; 960], 100, false), 100);
        assert_eq!(stretcher.shorten(&mut vec![0.0; 960], 0, false), 0);
    }

    #[test]
    fn what_is_too_short_stays_as_it_is() {
        for count in [0, 1, 40, 100, 250] {
            let mut stretcher = Stretcher::new(48_000);
            let mut samples = voice(48_000, 0, count);
            assert_eq!(stretcher.shorten(&mut samples, count, true), 0);
            assert_eq!(stretcher.lengthen(&mut samples, true), 0);
            assert_eq!(samples.len(), count);
        }
    }
}
