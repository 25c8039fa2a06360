//! Level and frequency of a stretch of sound: how a test or a person proves that a tone came back.
//!
//! Every figure is `None` where nothing was measured: no samples, or digital silence.

use std::f64::consts::TAU;

/// Root-mean-square level in dB below full scale; a full-scale sine has -3.01.
pub fn level_dbfs(samples: &[f32]) -> Option<f64> {
    decibels(2.0 * mean_power(samples)?).map(|db| db - 3.010_299_956_639_812)
}

/// Level of one frequency in dB below a full-scale sine of that frequency (Goertzel, Hann window).
///
/// The window makes it deaf to other frequencies more than `4 * sample_rate / samples.len()` hertz
/// away. `hertz` must lie below half the sample rate.
pub fn tone_dbfs(samples: &[f32], sample_rate: u32, hertz: f64) -> Option<f64> {
    if samples.is_empty() || hertz <= 0.0 || hertz >= f64::from(sample_rate) / 2.0 {
        return None;
    }
    decibels(amplitude(samples, sample_rate, hertz).powi(2))
}

/// The strongest frequency between `from` and `to` hertz: looked for in the loudest
/// [`GLANCE`] samples, then measured on all of them to about a tenth of
/// `sample_rate / samples.len()`.
pub fn strongest_hertz(samples: &[f32], sample_rate: u32, from: f64, to: f64) -> Option<f64> {
    level_dbfs(samples)?;
    let to = to.min(f64::from(sample_rate) / 2.0);
    let glance = samples
        .chunks(GLANCE)
        .max_by(|a, b| energy(a).total_cmp(&energy(b)))?;
    // Half the width of the window's main lobe: no peak falls between two steps.
    let resolution = |length: usize| f64::from(sample_rate) / length as f64;
    let mut around = resolution(glance.len());
    let mut best = strongest_of(glance, sample_rate, from, to, around)?;
    let finest = resolution(samples.len());
    for step in [finest, finest / 5.0, finest / 25.0] {
        let (low, high) = ((best - around).max(from), (best + around).min(to));
        best = strongest_of(samples, sample_rate, low, high, step)?;
        around = step;
    }
    Some(best)
}

/// Samples looked at for a first idea of the frequency: to look through hours would take hours.
pub const GLANCE: usize = 9_600;

fn strongest_of(samples: &[f32], rate: u32, from: f64, to: f64, step: f64) -> Option<f64> {
    let steps = ((to - from) / step).ceil().max(0.0) as usize;
    (0..=steps)
        .map(|i| (from + i as f64 * step).min(to))
        .map(|hertz| (hertz, amplitude(samples, rate, hertz)))
        .max_by(|a, b| a.1.total_cmp(&b.1))
        .map(|(hertz, _)| hertz)
}

/// Amplitude of one frequency, 1.0 for a full-scale sine.
fn amplitude(samples: &[f32], sample_rate: u32, hertz: f64) -> f64 {
    let omega = TAU * hertz / f64::from(sample_rate);
    let turn = TAU / samples.len() as f64;
    let coefficient = 2.0 * omega.cos();
    let (mut last, mut before) = (0.0, 0.0);
    for (i, sample) in samples.iter().enumerate() {
        let hann = 1.0 - (turn * i as f64).cos();
        let next = f64::from(*sample) * hann + coefficient * last - before;
        before = last;
        last = next;
    }
    let power = last * last + before * before - coefficient * last * before;
    2.0 * power.max(0.0).sqrt() / samples.len() as f64
}

fn mean_power(samples: &[f32]) -> Option<f64> {
    (!samples.is_empty()).then(|| energy(samples) / samples.len() as f64)
}

fn energy(samples: &[f32]) -> f64 {
    samples.iter().map(|s| f64::from(*s) * f64::from(*s)).sum()
}

fn decibels(power: f64) -> Option<f64> {
    (power > 0.0).then(|| 10.0 * power.log10())
}

#[cfg(test)]
mod tests {
    use super::*;

    fn sine(hertz: f64, amplitude: f64, count: usize) -> Vec<f32> {
        (0..count)
            .map(|i| (amplitude * (TAU * hertz * i as f64 / 48_000.0).sin()) as f32)
            .collect()
    }

    #[test]
    fn a_full_scale_sine_has_three_decibels_below_full_scale() {
        let level = level_dbfs(&sine(1000.0, 1.0, 48_000)).unwrap();
        assert!((level - -3.01).abs() < 0.01, "{level}");
    }

    #[test]
    fn a_tone_is_measured_at_its_frequency_and_not_beside_it() {
        let samples = sine(1004.0, 0.1, 9_600);
        let here = tone_dbfs(&samples, 48_000, 1004.0).unwrap();
        assert!((here - -20.0).abs() < 0.1, "{here}");
        assert!(tone_dbfs(&samples, 48_000, 1200.0).unwrap() < -70.0);
    }

    #[test]
    fn the_strongest_of_two_tones_is_found() {
        let samples: Vec<f32> = sine(437.3, 0.3, 9_600)
            .iter()
            .zip(sine(1000.0, 0.2, 9_600))
            .map(|(a, b)| a + b)
            .collect();
        let found = strongest_hertz(&samples, 48_000, 100.0, 4000.0).unwrap();
        assert!((found - 437.3).abs() < 0.5, "{found}");
    }

    #[test]
    fn a_tone_is_found_in_a_long_recording_that_is_mostly_silent() {
        let mut samples = vec![0.0; 96_000];
        samples.extend(sine(440.0, 0.3, 24_000));
        samples.extend(vec![0.0; 96_000]);
        let found = strongest_hertz(&samples, 48_000, 100.0, 4000.0).unwrap();
        assert!((found - 440.0).abs() < 1.0, "{found}");
    }

    #[test]
    fn silence_and_nothing_measure_nothing() {
        for samples in [&[][..], &[0.0; 960]] {
            assert_eq!(level_dbfs(samples), None);
            assert_eq!(tone_dbfs(samples, 48_000, 440.0), None);
            assert_eq!(strongest_hertz(samples, 48_000, 100.0, 4000.0), None);
        }
    }
}
