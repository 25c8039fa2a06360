//! Conversion between 8 kHz telephone sound and the 48 kHz of this crate's interface.
//!
//! One windowed-sinc low-pass at 4 kHz (flat to 3.4 kHz, -60 dB from 4.6 kHz) in polyphase form.
//! Each direction delays the sound by 1.5 ms.

use std::f64::consts::PI;

/// 48 kHz over 8 kHz.
const FACTOR: usize = 6;

/// Taps of each of the six phases.
const PHASE_TAPS: usize = 24;

const TAPS: usize = FACTOR * PHASE_TAPS;

/// 8 kHz to 48 kHz.
#[derive(Debug, Clone)]
pub(crate) struct Upsampler {
    /// Phase by phase, newest sample's tap last.
    phases: [[f32; PHASE_TAPS]; FACTOR],
    history: Vec<f32>,
}

impl Upsampler {
    pub(crate) fn new() -> Upsampler {
        let taps = low_pass();
        let mut phases = [[0.0; PHASE_TAPS]; FACTOR];
        for (p, phase) in phases.iter_mut().enumerate() {
            for (k, tap) in phase.iter_mut().rev().enumerate() {
                *tap = taps[p + FACTOR * k] * FACTOR as f32;
            }
        }
        Upsampler {
            phases,
            history: vec![0.0; PHASE_TAPS - 1],
        }
    }

    /// Append six samples to `output` for each of `input`.
    pub(crate) fn process(&mut self, input: &[f32], output: &mut Vec<f32>) {
        self.history.extend_from_slice(input);
        for window in self.history.windows(PHASE_TAPS) {
            output.extend(self.phases.iter().map(|phase| dot(phase, window)));
        }
        let used = self.history.len() - (PHASE_TAPS - 1);
        self.history.drain(..used);
    }
}

/// 48 kHz to 8 kHz.
#[derive(Debug, Clone)]
pub(crate) struct Downsampler {
    taps: [f32; TAPS],
    history: Vec<f32>,
}

impl Downsampler {
    pub(crate) fn new() -> Downsampler {
        Downsampler {
            taps: low_pass(),
            history: vec![0.0; TAPS - FACTOR],
        }
    }

    /// Append one sample to `output` for every six of `input`, whose length is a multiple of six.
    pub(crate) fn process(&mut self, input: &[f32], output: &mut Vec<f32>) {
        self.history.extend_from_slice(input);
        let windows = self.history.windows(TAPS).step_by(FACTOR);
        output.extend(windows.map(|window| dot(&self.taps, window)));
        let used = input.len() / FACTOR * FACTOR;
        self.history.drain(..used);
    }
}

/// Symmetric, so it needs no reversal; unity gain at 0 Hz.
fn low_pass() -> [f32; TAPS] {
    let centre = (TAPS - 1) as f64 / 2.0;
    let raw: [f64; TAPS] = std::array::from_fn(|i| {
        let x = i as f64 - centre;
        // Cut-off at 4 kHz of 48 kHz.
        let sinc = (PI * x / FACTOR as f64).sin() / (PI * x);
        sinc * kaiser(x / (centre + 0.5))
    });
    let sum: f64 = raw.iter().sum();
    raw.map(|tap| (tap / sum) as f32)
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
        let mut downsampler = Downsampler::new();
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
            Upsampler::new().process(&low, &mut high);
            assert_eq!(high.len(), 48_000);
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
        Upsampler::new().process(&tone(1000.0, 8_000, 8_000), &mut high);
        for image in [7_000.0, 9_000.0, 15_000.0] {
            let level = measure::tone_dbfs(&high[4800..], 48_000, image).unwrap();
            assert!(level < -65.0, "{image} Hz: {level}");
        }
    }

    #[test]
    fn frames_join_as_if_converted_in_one_piece() {
        let samples = tone(440.0, 48_000, 4_800);
        let mut whole = Vec::new();
        Downsampler::new().process(&samples, &mut whole);
        assert_eq!(down(&samples), whole);
    }
}
