//! The tones a phone makes by itself: ringing, call waiting, ring-back, busy, congestion.

use std::f64::consts::TAU;

use crate::SAMPLE_RATE;

/// Whose ring-back and busy tones to play: the one place where this is chosen.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub enum Region {
    /// 425 Hz (ETSI TR 101 041).
    #[default]
    Europe,
    /// 440 + 480 Hz and friends (precise tone plan).
    UnitedStates,
}

/// One tone: frequencies sounding together, and when they are on.
#[derive(Debug, Clone, Copy, PartialEq)]
pub struct Tone {
    /// Up to two frequencies in hertz; 0 for none.
    pub frequencies: [f32; 2],
    /// Level of each frequency, in dB below full scale (a negative number).
    pub level_dbfs: f32,
    /// On and off times in milliseconds, repeated; empty: always on.
    pub cadence_ms: &'static [(u32, u32)],
}

impl Tone {
    /// What the caller hears while the other phone rings.
    pub fn ring_back(region: Region) -> Tone {
        match region {
            Region::Europe => Tone::of([425.0, 0.0], -16.0, &[(1000, 4000)]),
            Region::UnitedStates => Tone::of([440.0, 480.0], -19.0, &[(2000, 4000)]),
        }
    }

    /// What the caller hears when the other side is busy or refuses.
    pub fn busy(region: Region) -> Tone {
        match region {
            Region::Europe => Tone::of([425.0, 0.0], -16.0, &[(500, 500)]),
            Region::UnitedStates => Tone::of([480.0, 620.0], -24.0, &[(500, 500)]),
        }
    }

    /// What the caller hears when the network or the other side cannot take the call: busy, twice as fast.
    pub fn congestion(region: Region) -> Tone {
        match region {
            Region::Europe => Tone::of([425.0, 0.0], -16.0, &[(250, 250)]),
            Region::UnitedStates => Tone::of([480.0, 620.0], -24.0, &[(250, 250)]),
        }
    }

    /// What the called person hears: a warble of two tones, twice in a row.
    pub fn ringing() -> Tone {
        Tone::of([440.0, 554.37], -18.0, &[(400, 200), (400, 2000)])
    }

    /// What somebody hears who talks, while another call comes in: soft, so that the talk goes on.
    pub fn call_waiting(region: Region) -> Tone {
        match region {
            Region::Europe => Tone::of([425.0, 0.0], -24.0, &[(200, 600), (200, 3000)]),
            Region::UnitedStates => Tone::of([440.0, 0.0], -24.0, &[(300, 9700)]),
        }
    }

    /// A steady single tone, for tests and line checks.
    pub fn steady(hertz: f32, level_dbfs: f32) -> Tone {
        Tone::of([hertz, 0.0], level_dbfs, &[])
    }

    /// Two tones at once without a pause, as a key makes them.
    pub fn pair(low: f32, high: f32, level_dbfs: f32) -> Tone {
        Tone::of([low, high], level_dbfs, &[])
    }

    const fn of(frequencies: [f32; 2], level_dbfs: f32, cadence_ms: &'static [(u32, u32)]) -> Tone {
        Tone {
            frequencies,
            level_dbfs,
            cadence_ms,
        }
    }
}

/// Plays a [`Tone`], frame after frame, without a click at the joins of frames or cadence.
#[derive(Debug, Clone)]
pub struct ToneGenerator {
    tone: Tone,
    /// Samples since the tone began.
    position: u64,
    /// Of each frequency, in turns, 0 to 1.
    phases: [f64; 2],
    /// Samples after which it is silent for good.
    end: Option<u64>,
}

impl ToneGenerator {
    /// Start at the beginning of the cadence.
    pub fn new(tone: Tone) -> ToneGenerator {
        ToneGenerator {
            tone,
            position: 0,
            phases: [0.0; 2],
            end: None,
        }
    }

    /// The same for so many milliseconds, then silence.
    #[must_use]
    pub fn lasting(self, milliseconds: u32) -> ToneGenerator {
        let end = u64::from(milliseconds) * u64::from(SAMPLE_RATE) / 1000;
        ToneGenerator {
            end: Some(end),
            ..self
        }
    }

    /// Fill `samples` (at [`SAMPLE_RATE`]) with what comes next.
    pub fn fill(&mut self, samples: &mut [f32]) {
        let amplitude = 10f32.powf(self.tone.level_dbfs / 20.0);
        for sample in samples {
            *sample = amplitude * self.envelope() * self.wave();
            self.position += 1;
        }
    }

    fn wave(&mut self) -> f32 {
        let mut sum = 0.0;
        for (phase, hertz) in self.phases.iter_mut().zip(self.tone.frequencies) {
            sum += (TAU * *phase).sin();
            *phase = (*phase + f64::from(hertz) / f64::from(SAMPLE_RATE)).fract();
        }
        sum as f32
    }

    /// 1 while on, 0 while off, with ramps of [`RAMP`] samples inside the on time.
    fn envelope(&self) -> f32 {
        let left = self.end.map(|end| end.saturating_sub(self.position));
        self.cadence().min(left.map_or(1.0, ramp))
    }

    fn cadence(&self) -> f32 {
        if self.tone.cadence_ms.is_empty() {
            return ramp(self.position);
        }
        let of = |ms: u32| u64::from(ms) * u64::from(SAMPLE_RATE) / 1000;
        let whole: u64 = self
            .tone
            .cadence_ms
            .iter()
            .map(|(on, off)| of(on + off))
            .sum();
        let mut within = self.position % whole.max(1);
        for (on, off) in self.tone.cadence_ms {
            let (on, off) = (of(*on), of(*off));
            if within < on {
                return ramp(within).min(ramp(on - within));
            }
            if within < on + off {
                return 0.0;
            }
            within -= on + off;
        }
        0.0
    }
}

/// 5 ms: short enough for a cadence, long enough not to click.
const RAMP: u64 = SAMPLE_RATE as u64 / 200;

fn ramp(distance: u64) -> f32 {
    distance.min(RAMP) as f32 / RAMP as f32
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::measure;

    fn play(tone: Tone, milliseconds: usize) -> Vec<f32> {
        let mut generator = ToneGenerator::new(tone);
        let mut samples = vec![0.0; milliseconds * 48];
        for frame in samples.chunks_mut(960) {
            generator.fill(frame);
        }
        samples
    }

    #[test]
    fn ring_back_has_its_regions_frequencies_and_levels() {
        let europe = play(Tone::ring_back(Region::Europe), 900);
        let level = measure::tone_dbfs(&europe[4800..], 48_000, 425.0).unwrap();
        assert!((level + 16.0).abs() < 0.1, "{level}");
        let states = play(Tone::ring_back(Region::UnitedStates), 900);
        for hertz in [440.0, 480.0] {
            let level = measure::tone_dbfs(&states[4800..], 48_000, hertz).unwrap();
            assert!((level + 19.0).abs() < 0.3, "{level}");
        }
    }

    #[test]
    fn the_cadence_is_kept_over_many_rounds() {
        let sound = play(Tone::busy(Region::Europe), 3_600_000 / 60);
        for (second, samples) in sound.chunks(48_000).enumerate() {
            assert!(
                measure::level_dbfs(&samples[..24_000]).is_some(),
                "{second}"
            );
            assert_eq!(measure::level_dbfs(&samples[24_000..]), None, "{second}");
        }
    }

    #[test]
    fn a_tone_that_lasts_for_a_while_ends_without_a_click_and_stays_silent() {
        let mut generator = ToneGenerator::new(Tone::congestion(Region::Europe)).lasting(700);
        let mut sound = vec![0.0; 48_000];
        generator.fill(&mut sound);
        assert!(measure::level_dbfs(&sound[..12_000]).is_some());
        assert_eq!(measure::level_dbfs(&sound[12_000..24_000]), None);
        assert!(measure::level_dbfs(&sound[24_000..33_000]).is_some());
        assert_eq!(measure::level_dbfs(&sound[33_600..]), None);
        let steepest = sound.windows(2).map(|w| (w[1] - w[0]).abs());
        assert!(steepest.fold(0.0, f32::max) < 0.03);
    }

    #[test]
    fn nothing_clicks_and_nothing_clips() {
        let tones = [
            Tone::ringing(),
            Tone::busy(Region::UnitedStates),
            Tone::ring_back(Region::Europe),
        ];
        for tone in tones {
            let sound = play(tone, 5_000);
            let steepest = sound
                .windows(2)
                .map(|w| (w[1] - w[0]).abs())
                .fold(0.0, f32::max);
            let loudest = sound.iter().fold(0.0f32, |most, s| most.max(s.abs()));
            assert!(steepest < 0.03, "{steepest}");
            assert!(loudest <= 0.5, "{loudest}");
        }
    }
}
