//! Comfort noise (RFC 3389): what a pause of the other side sounds like, by the few bytes it sends about it.
//!
//! A line that goes dead between sentences sounds broken. A payload tells the level of the other side's room and, if it
//! wants to, how its noise is coloured; the noise itself is made here.

/// Noise of one level and colour.
#[derive(Debug)]
pub(crate) struct ComfortNoise {
    /// RMS of what is made, full scale 1.0.
    level: f32,
    /// Reflection coefficients, the first nearest to the sound.
    reflections: Vec<f32>,
    /// What the lattice remembers of each stage.
    memory: Vec<f32>,
    /// RMS of what goes into the lattice, so that `level` comes out.
    drive: f32,
    chance: u32,
}

/// More stages than this nobody sends.
const MAX_ORDER: usize = 12;

impl ComfortNoise {
    /// From a payload (section 3): the level in -dBov, then any number of reflection coefficients. An empty one is as
    /// quiet as can be.
    pub(crate) fn new(payload: &[u8]) -> ComfortNoise {
        let (level, colour) = payload.split_first().unwrap_or((&QUIETEST, &[]));
        let level = f32::from(*level & 0x7f);
        // Of 0 to 254, 127 is nought (section 3.2); 1.0 would ring for ever.
        let reflection = |byte: &u8| ((f32::from(*byte) - 127.0) / 128.0).clamp(-0.95, 0.95);
        let reflections: Vec<f32> = colour.iter().take(MAX_ORDER).map(reflection).collect();
        // What the filter adds to the power of its input.
        let passed: f32 = reflections.iter().map(|k| 1.0 - k * k).product();
        let level = 10f32.powf(-level / 20.0);
        ComfortNoise {
            level,
            memory: vec![0.0; reflections.len()],
            reflections,
            drive: level * passed.sqrt(),
            chance: 1,
        }
    }

    /// Another payload: level and colour change, the noise goes on.
    pub(crate) fn update(&mut self, payload: &[u8]) {
        let next = ComfortNoise::new(payload);
        *self = ComfortNoise {
            chance: self.chance,
            ..next
        };
    }

    /// Fills `samples`.
    pub(crate) fn fill(&mut self, samples: &mut [f32]) {
        for sample in samples {
            *sample = self.next().clamp(-4.0 * self.level, 4.0 * self.level);
        }
    }

    /// An all-pole lattice driven by white noise.
    fn next(&mut self) -> f32 {
        let mut forward = self.drive * self.white();
        for stage in (0..self.reflections.len()).rev() {
            let (Some(k), Some(backward)) = (self.reflections.get(stage), self.memory.get(stage))
            else {
                break;
            };
            forward -= k * backward;
            let up = backward + k * forward;
            if let Some(next) = self.memory.get_mut(stage + 1) {
                *next = up;
            }
        }
        if let Some(first) = self.memory.first_mut() {
            *first = forward;
        }
        forward
    }

    /// White noise of RMS 1: even between plus and minus the root of three.
    fn white(&mut self) -> f32 {
        self.chance = self
            .chance
            .wrapping_mul(1_664_525)
            .wrapping_add(1_013_904_223);
        let even = (self.chance >> 8) as f32 / (1 << 23) as f32 - 1.0;
        even * 3f32.sqrt()
    }
}

/// In -dBov.
const QUIETEST: u8 = 127;

#[cfg(test)]
mod tests {
    use super::*;
    use crate::measure;

    fn level(payload: &[u8]) -> f64 {
        let mut noise = ComfortNoise::new(payload);
        let mut samples = vec![0.0; 16_000];
        noise.fill(&mut samples);
        measure::level_dbfs(&samples[1_600..]).unwrap_or(f64::NEG_INFINITY)
    }

    #[test]
    fn noise_has_the_level_that_was_sent_whatever_its_colour() {
        let white = level(&[40]);
        assert!((level(&[60]) - white + 20.0).abs() < 1.0, "{white}");
        for colour in [&[40, 200][..], &[40, 60, 180], &[40, 127, 127, 150]] {
            assert!((level(colour) - white).abs() < 2.0, "{colour:?}");
        }
    }

    #[test]
    fn a_reflection_colours_the_noise() {
        let steps = |payload: &[u8]| {
            let mut samples = vec![0.0; 8_000];
            ComfortNoise::new(payload).fill(&mut samples);
            let power: f32 = samples.iter().map(|sample| sample * sample).sum();
            let change: f32 = samples
                .windows(2)
                .map(|pair| (pair[1] - pair[0]).powi(2))
                .sum();
            change / power
        };
        // A negative one makes it dull, a positive one bright.
        assert!(steps(&[40, 60]) < 1.2 && steps(&[40, 200]) > 2.8);
        assert!((steps(&[40]) - 2.0).abs() < 0.2);
    }

    #[test]
    fn any_bytes_make_a_noise_that_stays_within_bounds() {
        for fill in 0..=255u8 {
            let mut noise = ComfortNoise::new(&[fill; 40]);
            let mut samples = vec![0.0; 2_000];
            noise.fill(&mut samples);
            assert!(samples.iter().all(|sample| sample.abs() <= 4.0), "{fill}");
            noise.update(&[]);
            noise.fill(&mut samples);
            assert!(samples.iter().all(|sample| sample.abs() < 0.001));
        }
    }
}
