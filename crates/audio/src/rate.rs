//! Conversion of sample rates: the one door to the `rubato` crate.

use rubato::audioadapter_buffers::direct::InterleavedSlice;
use rubato::{
    Adjustable, Async, FixedAsync, Resampler, SincInterpolationParameters, SincInterpolationType,
    WindowFunction,
};

use crate::AudioError;

/// Mono samples from one rate to another, in pieces of any length.
pub(crate) struct RateConverter {
    from: u32,
    to: u32,
    /// `None`: both rates are the same.
    resampler: Option<Async<f32>>,
    waiting: Vec<f32>,
    converted: Vec<f32>,
}

impl RateConverter {
    /// From `from` to `to` hertz. Delays the sound by about 2 ms, nothing when both are the same.
    pub(crate) fn new(from: u32, to: u32) -> Result<RateConverter, AudioError> {
        let resampler = if from == to {
            None
        } else {
            Some(resampler(from, to)?)
        };
        let converted = resampler.as_ref().map_or(0, Resampler::output_frames_max);
        Ok(RateConverter {
            from,
            to,
            resampler,
            waiting: Vec::new(),
            converted: vec![0.0; converted],
        })
    }

    /// Make `pace` times as many samples of what comes in, close to 1: two clocks do not agree. Equal rates are converted,
    /// too, from the first time on, and delayed by those 2 ms.
    pub(crate) fn set_pace(&mut self, pace: f64) {
        if self.resampler.is_none() {
            let Ok(resampler) = resampler(self.from, self.to) else {
                return;
            };
            self.converted.resize(resampler.output_frames_max(), 0.0);
            self.resampler = Some(resampler);
        }
        if let Some(resampler) = &mut self.resampler {
            // What is out of its range is not done; the clocks go on as before.
            let _ = resampler.set_resample_ratio_relative(pace, true);
        }
    }

    /// Convert `input`, and append what is complete to `output`.
    pub(crate) fn process(&mut self, input: &[f32], output: &mut Vec<f32>) {
        let Some(resampler) = &mut self.resampler else {
            output.extend_from_slice(input);
            return;
        };
        self.waiting.extend_from_slice(input);
        let mut used = 0;
        while let Some(chunk) = self.waiting.get(used..used + resampler.input_frames_next()) {
            match convert(resampler, chunk, &mut self.converted) {
                Some(made) => output.extend(self.converted.iter().take(made)),
                // Cannot be with buffers of the lengths it asked for; silence keeps the time.
                None => output.extend(std::iter::repeat_n(0.0, self.converted.len())),
            }
            used += chunk.len();
        }
        self.waiting.drain(..used);
    }
}

impl std::fmt::Debug for RateConverter {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("RateConverter")
            .field("converts", &self.resampler.is_some())
            .field("waiting", &self.waiting.len())
            .finish_non_exhaustive()
    }
}

fn resampler(from: u32, to: u32) -> Result<Async<f32>, AudioError> {
    let parameters = SincInterpolationParameters {
        sinc_len: 128,
        f_cutoff: None,
        oversampling_factor: 128,
        interpolation: SincInterpolationType::Quadratic,
        window: WindowFunction::BlackmanHarris2,
    };
    let ratio = f64::from(to) / f64::from(from);
    // 2.5 ms at a time: what is left over waits for the next call.
    let chunk = (from as usize / 400).max(1);
    Async::new_sinc(ratio, 1.1, &parameters, chunk, 1, FixedAsync::Input).map_err(|error| {
        AudioError::Rate {
            from,
            to,
            reason: error.to_string(),
        }
    })
}

/// How many samples were made.
fn convert(resampler: &mut Async<f32>, input: &[f32], output: &mut [f32]) -> Option<usize> {
    let frames = output.len();
    let input = InterleavedSlice::new(input, 1, input.len()).ok()?;
    let mut output = InterleavedSlice::new_mut(output, 1, frames).ok()?;
    let (_, made) = resampler
        .process_into_buffer(&input, &mut output, None)
        .ok()?;
    Some(made)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn tone(rate: u32, seconds: u32) -> Vec<f32> {
        (0..rate * seconds)
            .map(|i| 0.5 * (std::f32::consts::TAU * 1000.0 * i as f32 / rate as f32).sin())
            .collect()
    }

    /// Rising zero crossings a second, and the peak.
    fn measure(samples: &[f32], rate: u32) -> (f32, f32) {
        let rising = samples.windows(2).filter(|w| w[0] < 0.0 && w[1] >= 0.0);
        let peak = samples.iter().fold(0.0f32, |peak, s| peak.max(s.abs()));
        let seconds = samples.len() as f32 / rate as f32;
        (rising.count() as f32 / seconds, peak)
    }

    #[test]
    fn a_tone_keeps_pitch_level_and_length_from_every_rate_to_every_rate() {
        let rates = [8_000, 16_000, 22_050, 44_100, 96_000];
        for (from, to) in rates.iter().flat_map(|r| [(*r, 48_000), (48_000, *r)]) {
            let mut converter = RateConverter::new(from, to).unwrap();
            let mut output = Vec::new();
            for piece in tone(from, 2).chunks(from as usize / 50) {
                converter.process(piece, &mut output);
            }
            let missing = (to * 2) as usize - output.len().min((to * 2) as usize);
            assert!(missing < to as usize / 50, "{from} to {to}: {missing}");
            let (hertz, peak) = measure(&output[to as usize / 10..], to);
            assert!((hertz - 1000.0).abs() < 2.0, "{from} to {to}: {hertz} Hz");
            assert!((peak - 0.5).abs() < 0.02, "{from} to {to}: {peak}");
        }
    }

    #[test]
    fn another_pace_makes_more_or_fewer_samples_and_keeps_the_sound() {
        for (from, to) in [(48_000, 48_000), (44_100, 48_000)] {
            let mut converter = RateConverter::new(from, to).unwrap();
            converter.set_pace(1.001);
            let mut output = Vec::new();
            for piece in tone(from, 10).chunks(from as usize / 50) {
                converter.process(piece, &mut output);
            }
            let wanted = f64::from(to) * 10.01;
            assert!(
                (output.len() as f64 - wanted).abs() < 300.0,
                "{}",
                output.len()
            );
            let (hertz, peak) = measure(&output[4_800..], to);
            assert!((hertz - 999.0).abs() < 0.5, "{hertz} Hz");
            assert!((peak - 0.5).abs() < 0.02, "{peak}");
        }
    }

    #[test]
    fn the_same_rate_is_a_copy() {
        let mut converter = RateConverter::new(48_000, 48_000).unwrap();
        let mut output = Vec::new();
        converter.process(&[0.1, 0.2], &mut output);
        assert_eq!(output, [0.1, 0.2]);
    }
}
