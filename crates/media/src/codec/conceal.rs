//! Concealment for codecs that have none of their own: the last pitch period goes on, fading.
//!
//! After ITU-T G.711 appendix I, without its look-ahead: the joins are smoothed on this side only,
//! so that concealment adds no delay.
//!
//! ```text
//! heard:   ... ──────────────[ period ]      lost          heard again
//! played:  ... ──────────────[ period ][ period ][ peri╲╱────────────
//!                                       full   fading   cross-fade
//! ```

use std::collections::VecDeque;

/// Repeats the last pitch period of what was heard.
#[derive(Debug)]
pub(super) struct PitchRepeater {
    sample_rate: u32,
    history: VecDeque<f32>,
    /// What is being repeated; empty while nothing is lost.
    period: Vec<f32>,
    position: usize,
    /// Samples made up since the loss began.
    concealed: usize,
}

impl PitchRepeater {
    pub(super) fn new(sample_rate: u32) -> PitchRepeater {
        let mut repeater = PitchRepeater {
            sample_rate,
            history: VecDeque::new(),
            period: Vec::new(),
            position: 0,
            concealed: 0,
        };
        repeater.history.resize(repeater.history_length(), 0.0);
        repeater
    }

    /// Decoded samples are about to be played. After a loss their beginning is blended with what
    /// concealment would have gone on with.
    pub(super) fn heard(&mut self, samples: &mut [f32]) {
        if !self.period.is_empty() {
            let blend = self.milliseconds(BLEND_MS).min(samples.len());
            for (i, sample) in samples.iter_mut().take(blend).enumerate() {
                let weight = (i + 1) as f32 / (blend + 1) as f32;
                *sample = *sample * weight + self.next() * (1.0 - weight);
            }
            self.period.clear();
        }
        self.remember(samples);
    }

    /// Make up `samples` for what was lost.
    pub(super) fn conceal(&mut self, samples: &mut [f32]) {
        if self.period.is_empty() {
            self.begin();
        }
        for sample in samples {
            *sample = self.next();
        }
    }

    fn begin(&mut self) {
        let lag = self.pitch();
        let heard = self.history.make_contiguous();
        let (before, period) = heard.split_at(heard.len() - lag);
        self.period.clear();
        self.period.extend_from_slice(period);
        // The end of the period flows into its own beginning, or every repetition would click.
        let joint = lag / 4;
        let lead_in = &before[before.len() - joint..];
        for (i, (sample, lead)) in self.period[lag - joint..]
            .iter_mut()
            .zip(lead_in)
            .enumerate()
        {
            let weight = (i + 1) as f32 / (joint + 1) as f32;
            *sample = *sample * (1.0 - weight) + lead * weight;
        }
        self.position = 0;
        self.concealed = 0;
    }

    fn next(&mut self) -> f32 {
        let gain = self.gain();
        self.concealed += 1;
        let sample = self.period.get(self.position).copied().unwrap_or(0.0);
        self.position = (self.position + 1) % self.period.len().max(1);
        sample * gain
    }

    /// Full for 10 ms, then down to silence at 60 ms.
    fn gain(&self) -> f32 {
        let ms = self.concealed as f32 * 1000.0 / self.sample_rate as f32;
        1.0 - ((ms - HOLD_MS) / (SILENT_MS - HOLD_MS)).clamp(0.0, 1.0)
    }

    /// The lag between 5 and 15 ms at which the last 20 ms look most like what was before them.
    fn pitch(&mut self) -> usize {
        let (shortest, longest) = (self.milliseconds(5), self.milliseconds(15));
        let window = self.milliseconds(20);
        let heard = self.history.make_contiguous();
        let end = heard.len();
        let recent = &heard[end - window..];
        let likeness = |lag: usize| {
            let earlier = &heard[end - window - lag..end - lag];
            let energy: f32 = earlier.iter().map(|s| s * s).sum();
            let product: f32 = recent.iter().zip(earlier).map(|(a, b)| a * b).sum();
            product / (energy + f32::EPSILON).sqrt()
        };
        (shortest..=longest)
            .map(|lag| (lag, likeness(lag)))
            .max_by(|a, b| a.1.total_cmp(&b.1))
            .map_or(longest, |(lag, _)| lag)
    }

    fn remember(&mut self, samples: &[f32]) {
        let keep = self.history_length();
        self.history.extend(samples);
        let surplus = self.history.len().saturating_sub(keep);
        self.history.drain(..surplus);
    }

    fn history_length(&self) -> usize {
        self.milliseconds(20 + 15)
    }

    fn milliseconds(&self, ms: u32) -> usize {
        (self.sample_rate * ms / 1000) as usize
    }
}

const HOLD_MS: f32 = 10.0;
const SILENT_MS: f32 = 60.0;
const BLEND_MS: u32 = 4;

#[cfg(test)]
mod tests {
    use super::*;
    use crate::measure;

    fn tone(hertz: f32, from: usize, count: usize) -> Vec<f32> {
        (from..from + count)
            .map(|i| 0.5 * (std::f32::consts::TAU * hertz * i as f32 / 8000.0).sin())
            .collect()
    }

    #[test]
    fn a_lost_frame_of_a_voiced_sound_goes_on_in_its_pitch() {
        let mut repeater = PitchRepeater::new(8000);
        repeater.heard(&mut tone(150.0, 0, 800));
        let mut lost = vec![0.0; 80];
        repeater.conceal(&mut lost);
        let truth = tone(150.0, 800, 80);
        let error: Vec<f32> = lost.iter().zip(&truth).map(|(a, b)| a - b).collect();
        let signal = measure::level_dbfs(&truth).unwrap();
        let noise = measure::level_dbfs(&error).unwrap();
        assert!(signal - noise > 15.0, "{} dB", signal - noise);
    }

    #[test]
    fn a_long_loss_fades_to_silence() {
        let mut repeater = PitchRepeater::new(8000);
        repeater.heard(&mut tone(200.0, 0, 800));
        let mut lost = vec![1.0; 800];
        repeater.conceal(&mut lost);
        assert!(lost[..80].iter().any(|s| s.abs() > 0.4));
        assert!(lost[480..].iter().all(|s| *s == 0.0));
    }

    #[test]
    fn neither_join_clicks() {
        let mut repeater = PitchRepeater::new(8000);
        let mut before = tone(170.0, 0, 800);
        repeater.heard(&mut before);
        let mut lost = vec![0.0; 160];
        repeater.conceal(&mut lost);
        let mut after = tone(170.0, 960, 160);
        repeater.heard(&mut after);
        let all = [before, lost, after].concat();
        let steepest = all
            .windows(2)
            .map(|w| (w[1] - w[0]).abs())
            .fold(0.0, f32::max);
        // The tone itself moves by 0.067 a sample.
        assert!(steepest < 0.16, "{steepest}");
    }

    #[test]
    fn silence_stays_silence() {
        let mut repeater = PitchRepeater::new(8000);
        let mut lost = vec![1.0; 160];
        repeater.conceal(&mut lost);
        assert!(lost.iter().all(|s| *s == 0.0));
    }
}
