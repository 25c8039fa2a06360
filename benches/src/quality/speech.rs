//! The prompts: Debian's G.722 recordings, as one speech with pauses.

use std::fs;
use std::path::Path;

use rollcall_media::codec::Codec;

use crate::Result;

/// Where Debian's package `asterisk-core-sounds-en-g722` puts them.
const FOLDER: &str = "/usr/share/asterisk/sounds/en_US_f_Allison";

/// Sentences of five to eight seconds.
const PROMPTS: [&str; 12] = [
    "agent-alreadyon",
    "confbridge-lock-extended",
    "demo-enterkeywords",
    "dir-instr",
    "dir-usingkeypad",
    "queue-periodic-announce",
    "vm-forwardoptions",
    "vm-instructions",
    "vm-newuser",
    "vm-opts",
    "vm-record-prepend",
    "vm-review",
];

/// Samples a second of a prompt.
pub(crate) const RATE: usize = 16_000;

/// Silence around each prompt.
const PAUSE: usize = RATE / 2;

/// Prompts one after another.
pub(crate) struct Speech {
    samples: Vec<f32>,
    /// The same at 48 kHz.
    full: Vec<f32>,
    /// Of each, its first sample and the one behind its last.
    places: Vec<(usize, usize)>,
}

impl Speech {
    /// The first one twice: once for what has to be learned first.
    pub(crate) fn read() -> Result<Speech> {
        let mut speech = Speech {
            samples: vec![0.0; PAUSE],
            full: Vec::new(),
            places: Vec::new(),
        };
        for (n, name) in PROMPTS[..1].iter().chain(&PROMPTS).enumerate() {
            let path = Path::new(FOLDER).join(format!("{name}.g722"));
            let from = speech.samples.len();
            speech.samples.extend(decoded(&path)?);
            if n > 0 {
                speech.places.push((from, speech.samples.len()));
            }
            speech.samples.extend([0.0; PAUSE]);
        }
        speech.full = resample(&speech.samples, 3, 1);
        Ok(speech)
    }

    /// All of it, at 48 kHz.
    pub(crate) fn full(&self) -> &[f32] {
        &self.full
    }

    /// All of it, at [`RATE`].
    pub(crate) fn all(&self) -> &[f32] {
        &self.samples
    }

    /// The first sample of [`Speech::full`] that is scored.
    pub(crate) fn begin_of_scored(&self) -> usize {
        self.places.first().map_or(0, |(from, _)| from * 3)
    }

    /// The prompts that are scored.
    pub(crate) fn prompts(&self) -> Vec<&[f32]> {
        self.cut(&self.samples)
    }

    /// The same places of what was heard of it, with some of what is around, for it comes later.
    pub(crate) fn heard<'a>(&self, samples: &'a [f32]) -> Vec<&'a [f32]> {
        let around = PAUSE / 2;
        let places = self.places.iter().map(|(from, to)| {
            let to = (to + around).min(samples.len());
            samples.get(*from..to).unwrap_or_default()
        });
        places.collect()
    }

    pub(crate) fn seconds(&self) -> f64 {
        self.samples.len() as f64 / RATE as f64
    }

    fn cut<'a>(&self, samples: &'a [f32]) -> Vec<&'a [f32]> {
        let places = self.places.iter();
        places
            .map(|(from, to)| samples.get(*from..*to).unwrap_or_default())
            .collect()
    }
}

fn decoded(path: &Path) -> Result<Vec<f32>> {
    let words = |error: &dyn std::fmt::Display| format!("{}: {error}", path.display());
    let bytes = fs::read(path).map_err(|error| words(&error))?;
    let mut decoder = Codec::G722.decoder().map_err(|error| words(&error))?;
    let mut samples = Vec::new();
    let mut frame = Vec::new();
    for payload in bytes.chunks(160) {
        let decoded = decoder.decode(payload, &mut frame);
        decoded.map_err(|error| words(&error))?;
        samples.extend_from_slice(&frame);
    }
    Ok(samples)
}

/// Another rate, by a windowed sinc: `up` samples for every `down`.
pub(crate) fn resample(samples: &[f32], up: usize, down: usize) -> Vec<f32> {
    let cutoff = 1.0 / up.max(down) as f64;
    let reach = (24.0 / cutoff) as isize;
    let tap = |at: isize| {
        let x = at as f64;
        let sinc = if at == 0 {
            cutoff
        } else {
            (std::f64::consts::PI * x * cutoff).sin() / (std::f64::consts::PI * x)
        };
        let window = 0.5 + 0.5 * (std::f64::consts::PI * x / reach as f64).cos();
        (sinc * window * up as f64) as f32
    };
    let taps: Vec<f32> = (-reach..=reach).map(tap).collect();
    (0..samples.len() * up / down)
        .map(|n| {
            // In a stream of zeros between the samples, only every `up`th counts.
            let centre = (n * down) as isize;
            let first = (centre - reach).div_euclid(up as isize) + 1;
            let last = (centre + reach).div_euclid(up as isize);
            (first.max(0)..=last)
                .filter_map(|at| {
                    let sample = samples.get(at as usize)?;
                    let tap = taps.get((centre - at * up as isize + reach) as usize)?;
                    Some(sample * tap)
                })
                .sum()
        })
        .collect()
}

#[cfg(test)]
mod tests {
    use rollcall_media::measure;

    use super::*;

    #[test]
    fn a_tone_keeps_its_level_at_every_rate() {
        let tone: Vec<f32> = (0..RATE)
            .map(|i| 0.5 * (std::f32::consts::TAU * 1000.0 * i as f32 / RATE as f32).sin())
            .collect();
        for (up, down) in [(3, 1), (1, 2), (1, 1)] {
            let other = resample(&tone, up, down);
            assert_eq!(other.len(), RATE * up / down);
            let rate = (RATE * up / down) as u32;
            let level = measure::tone_dbfs(&other[1_000..], rate, 1000.0).unwrap();
            assert!((level + 6.02).abs() < 0.1, "{up}/{down}: {level}");
        }
    }
}
