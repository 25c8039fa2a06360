//! Conversion between telephone sound at 8 or 16 kHz and the 48 kHz of this crate's interface.
//!
//! One windowed-sinc low-pass at half the lower rate (flat to 0.85 of that, -60 dB from 1.15 of it) in polyphase form.
//! Each direction delays the sound by twelve samples of the lower rate: 1.5 ms at 8 kHz, 0.75 ms at 16 kHz.

use std::f64::consts::PI;

use crate::SAMPLE_RATE;

/// Taps of each phase.
const PHASE_TAPS: usize = 24;

/// From a rate that divides 48 kHz to 48 kHz.
#[derive(Debug, Clone)]
pub(crate) struct Upsampler {
    /// Phase by phase, newest sample's tap last.
    phases: Vec<[f32; PHASE_TAPS]>,
    history: Vec<f32>,
}

impl Upsampler {
    /// `rate` in hertz.
    pub(crate) fn from(rate: u32) -> Upsampler {
        let factor = factor(rate);
        let taps = low_pass(factor);
        let phase = |p: usize| {
            let mut phase = [0.0; PHASE_TAPS];
            let every = taps.iter().skip(p).step_by(factor);
            for (slot, tap) in phase.iter_mut().rev().zip(every) {
                *slot = tap * factor as f32;
            }
            phase
        };
        Upsampler {
            phases: (0..factor).map(phase).collect(),
            history: vec![0.0; PHASE_TAPS - 1],
        }
    }

    /// Append to `output` what `input` is at 48 kHz.
    pub(crate) fn process(&mut self, input: &[f32], output: &mut Vec<f32>) {
        self.history.extend_from_slice(input);
        for window in self.history.windows(PHASE_TAPS) {
            output.extend(self.phases.iter().map(|phase| dot(phase, window)));
        }
        let used = self.history.len() - (PHASE_TAPS - 1);
        self.history.drain(..used);
    }
}

/// From 48 kHz to a rate that divides it.
#[derive(Debug, Clone)]
pub(crate) struct Downsampler {
    factor: usize,
    taps: Vec<f32>,
    history: Vec<f32>,
}

impl Downsampler {
    /// `rate` in hertz.
    pub(crate) fn to(rate: u32) -> Downsampler {
        let factor = factor(rate);
        let taps = low_pass(factor);
        Downsampler {
            factor,
            history: vec![0.0; taps.len() - factor],
            taps,
        }
    }

    /// Append to `output` what `input` is at the lower rate; its length is a whole number of samples there.
    pub(crate) fn process(&mut self, input: &[f32], output: &mut Vec<f32>) {
        self.history.extend_from_slice(input);
        let windows = self.history.windows(self.taps.len()).step_by(self.factor);
        output.extend(windows.map(|window| dot(&self.taps, window)));
        let used = input.len() / self.factor * self.factor;
        self.history.drain(..used);
    }
}

/// How many samples of 48 kHz one of `rate` lasts.
fn factor(rate: u32) -> usize {
    (SAMPLE_RATE / rate.clamp(1, SAMPLE_RATE)) as usize
}

/// Symmetric, so it needs no reversal; unity gain at 0 Hz.
fn low_pass(factor: usize) -> Vec<f32> {
    let count = factor * PHASE_TAPS;
    let centre = (count - 1) as f64 / 2.0;
    let tap = |i: usize| {
        let x = i as f64 - centre;
        // Cut-off at half the lower rate. The count is even: no tap stands at the centre.
        let sinc = (PI * x / factor as f64).sin() / (PI * x);
        sinc * kaiser(x / (centre + 0.5))
    };
    let raw: Vec<f64> = (0..count).map(tap).collect();
    let sum: f64 = raw.iter().sum();
    raw.iter().map(|tap| (tap / sum) as f32).collect()
}

/// Kaiser window with beta 5.65 (-60 dB), `x` in -1..1.
fn kaiser(x: f64) -> f64 {
    const BETA: f64 = 5.65;
    bessel_i0(BETA * (1.0 - x * x).max(0.0).sqrt()) / bessel_i0(BETA)
}

fn bessel_i0(x: f64) -> f64 {
    let (mut sum, mut term) = (1.0, 1.0);
    for k in 1..32 {
        term *= (x / (2.0 * f64::from(k))).powi(2);
        sum += term;
    }
    sum
}

/// Eight running sums, so that the compiler may use wide registers.
fn dot(taps: &[f32], window: &[f32]) -> f32 {
    let mut sums = [0.0f32; 8];
    for (taps, window) in taps.chunks_exact(8).zip(window.chunks_exact(8)) {
        for (sum, (tap, sample)) in sums.iter_mut().zip(taps.iter().zip(window)) {
            *sum += tap * sample;
        }
    }
    sums.iter().sum()
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::measure;

    fn tone(hertz: f64, rate: u32, count: usize) -> Vec<f32> {
        (0..count)
            .map(|i| (0.5 * (2.0 * PI * hertz * i as f64 / f64::from(rate)).sin()) as f32)
            .collect()
    }

    fn down(samples: &[f32]) -> Vec<f32> {
        let mut output = Vec::new();
        let mut downsampler = Downsampler::to(8_000);
        for frame in samples.chunks(960) {
            downsampler.process(frame, &mut output);
        }
        output
    }

    #[test]
    fn telephone_tones_pass_both_ways_at_their_level() {
        for hertz in [300.0, 1004.0, 3300.0] {
            let low = down(&tone(hertz, 48_000, 48_000));
            assert_eq!(low.len(), 8_000);
            let mut high = Vec::new();
            Upsampler::from(8_000).process(&low, &mut high);
            assert_eq!(high.len(), 48_000);
            let level = measure::tone_dbfs(&high[4800..], 48_000, hertz).unwrap();
            assert!((level - -6.02).abs() < 0.1, "{hertz} Hz: {level}");
        }
    }

    #[test]
    fn wide_band_tones_pass_both_ways_at_their_level() {
        for hertz in [300.0, 3_800.0, 6_800.0] {
            let (mut low, mut high) = (Vec::new(), Vec::new());
            Downsampler::to(16_000).process(&tone(hertz, 48_000, 48_000), &mut low);
            Upsampler::from(16_000).process(&low, &mut high);
            assert_eq!((low.len(), high.len()), (16_000, 48_000));
            let level = measure::tone_dbfs(&high[4800..], 48_000, hertz).unwrap();
            assert!((level - -6.02).abs() < 0.1, "{hertz} Hz: {level}");
        }
    }

    #[test]
    fn what_eight_kilohertz_cannot_carry_does_not_fold_back() {
        for hertz in [4_700.0, 7_000.0, 15_000.0] {
            let low = down(&tone(hertz, 48_000, 48_000));
            let level = measure::level_dbfs(&low[800..]).unwrap();
            assert!(level < -60.0, "{hertz} Hz: {level}");
        }
    }

    #[test]
    fn upsampling_leaves_no_images() {
        let mut high = Vec::new();
        Upsampler::from(8_000).process(&tone(1000.0, 8_000, 8_000), &mut high);
        for image in [7_000.0, 9_000.0, 15_000.0] {
            let level = measure::tone_dbfs(&high[4800..], 48_000, image).unwrap();
            assert!(level < -65.0, "{image} Hz: {level}");
        }
    }

    #[test]
    fn frames_join_as_if_converted_in_one_piece() {
        let samples = tone(440.0, 48_000, 4_800);
        let mut whole = Vec::new();
        Downsampler::to(8_000).process(&samples, &mut whole);
        assert_eq!(down(&samples), whole);
    }
}
