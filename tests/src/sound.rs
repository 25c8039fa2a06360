//! WAV files to speak and to listen to, and what is in them: level and frequency.
//!
//! Written apart from the product's own measurements, so that a fault there cannot hide itself here.

use std::f64::consts::TAU;
use std::path::{Path, PathBuf};
use std::time::Duration;

use tempfile::TempDir;

use crate::waiting::eventually;

/// The rate of every file here, which is the engine's own.
pub const RATE: u32 = 48_000;

/// The peak of the tones spoken here, of full scale 1.0: the level of a lively voice, far from clipping.
const PEAK: f64 = 0.4;
/// Louder than anything but a tone: comfort noise and codec noise lie far below.
const SILENCE: f64 = 0.02;

/// A folder for one test's files.
///
/// # Panics
///
/// If it cannot be made.
pub fn folder() -> TempDir {
    tempfile::tempdir().unwrap_or_else(|error| panic!("{error}"))
}

/// A phone's two files: a long tone to speak, and a place for what is heard.
#[derive(Debug)]
pub struct Voice {
    /// What it speaks.
    pub spoken: PathBuf,
    /// What it hears.
    pub heard: PathBuf,
}

impl Voice {
    /// A voice of `hertz`, for half a minute.
    pub fn new(folder: &TempDir, name: &str, hertz: f64) -> Voice {
        Voice::sampled(folder, name, hertz, RATE)
    }

    /// The same at another rate than [`RATE`].
    pub fn sampled(folder: &TempDir, name: &str, hertz: f64, rate: u32) -> Voice {
        let spoken = folder.path().join(format!("{name}-spoken.wav"));
        write_tone(&spoken, rate, hertz, PEAK, 30.0);
        Voice {
            spoken,
            heard: folder.path().join(format!("{name}-heard.wav")),
        }
    }

    /// Waits until our phone has heard this much: the media clock's own measure of a call.
    ///
    /// # Panics
    ///
    /// If it takes too long.
    pub async fn grows_to(&self, seconds: f64) {
        let bytes = (seconds * f64::from(RATE) * 2.0) as u64;
        eventually(
            "the recording grows",
            Duration::from_secs(30),
            async || match self.bytes() {
                length if length >= bytes => Ok(()),
                length => Err(format!("{length} of {bytes} bytes")),
            },
        )
        .await;
    }

    /// How much our phone has heard so far.
    pub fn seconds(&self) -> f64 {
        self.bytes() as f64 / 2.0 / f64::from(RATE)
    }

    /// What was heard.
    pub fn recorded(&self) -> Heard {
        Heard::in_file(&self.heard)
    }

    fn bytes(&self) -> u64 {
        std::fs::metadata(&self.heard).map_or(0, |metadata| metadata.len())
    }
}

/// The parts of a recording in which something was heard.
#[derive(Debug)]
pub struct Heard {
    parts: Vec<Recording>,
}

impl Heard {
    /// Reads a recording, of whatever rate.
    pub fn in_file(path: &Path) -> Heard {
        Heard {
            parts: Recording::read(path).loud_parts(SILENCE),
        }
    }

    /// It is the tone that a [`Voice`] spoke, by purity and level (`tolerance` is a share of the level).
    ///
    /// Both are those of most tenths of a second: on a busy machine a packet may come too late now and then, and what
    /// follows it has another phase. A tenth of which nine parts in ten of the power lie at `hertz` is less than 2 Hz off.
    ///
    /// # Panics
    ///
    /// If it is not: says what was heard, tenth by tenth.
    pub fn is_a_tone_of(&self, hertz: f64, tolerance: f64) {
        let spoken = PEAK / 2f64.sqrt();
        let seconds: f64 = self.parts.iter().map(Recording::seconds).sum();
        let levels = self.tenths(Recording::level);
        let shares = self.tenths(|tenth| tenth.share_of(hertz));
        let (level, share) = (median(&levels), median(&shares));
        let is_it = seconds > 1.0 && (level / spoken - 1.0).abs() <= tolerance && share > 0.9;
        assert!(
            is_it,
            "not {hertz} Hz at {spoken:.3} for more than 1 s: {seconds:.2} s in {} parts, usually {share:.3} of the power there, \
             at {level:.3}, the strongest at {:?} Hz; shares {shares:.3?}; levels {levels:.3?}",
            self.parts.len(),
            self.parts.first().map(Recording::frequency),
        );
    }

    /// A figure of each tenth of a second.
    fn tenths(&self, figure: impl Fn(&Recording) -> f64) -> Vec<f64> {
        let tenths = self.parts.iter().flat_map(|part| {
            let samples = part.samples.chunks_exact((part.rate / 10.0) as usize);
            samples.map(|samples| Recording {
                samples: samples.to_vec(),
                rate: part.rate,
            })
        });
        tenths.map(|tenth| figure(&tenth)).collect()
    }
}

fn median(figures: &[f64]) -> f64 {
    let mut figures = figures.to_vec();
    figures.sort_by(f64::total_cmp);
    figures.get(figures.len() / 2).copied().unwrap_or(0.0)
}

/// Writes `seconds` of a sine of `hertz` at `level` (peak, of full scale 1.0) as 16-bit mono.
///
/// # Panics
///
/// If the file cannot be written.
pub fn write_tone(path: &Path, rate: u32, hertz: f64, level: f64, seconds: f64) {
    let count = (seconds * f64::from(rate)) as u32;
    let turn = TAU * hertz / f64::from(rate);
    write_wav(
        path,
        rate,
        (0..count).map(|n| level * (turn * f64::from(n)).sin()),
    );
}

/// Writes samples of full scale 1.0 as 16-bit mono.
///
/// # Panics
///
/// If the file cannot be written.
pub fn write_wav(path: &Path, rate: u32, samples: impl Iterator<Item = f64>) {
    let spec = hound::WavSpec {
        channels: 1,
        sample_rate: rate,
        bits_per_sample: 16,
        sample_format: hound::SampleFormat::Int,
    };
    let mut writer = hound::WavWriter::create(path, spec)
        .unwrap_or_else(|error| panic!("{}: {error}", path.display()));
    for sample in samples {
        writer
            .write_sample((sample * f64::from(i16::MAX)) as i16)
            .unwrap_or_else(|error| panic!("{error}"));
    }
    writer.finalize().unwrap_or_else(|error| panic!("{error}"));
}

/// A recording, as samples of full scale 1.0.
#[derive(Debug)]
pub struct Recording {
    samples: Vec<f64>,
    rate: f64,
}

impl Recording {
    /// Reads a 16-bit WAV file; of several channels the first counts.
    ///
    /// # Panics
    ///
    /// If it is none.
    pub fn read(path: &Path) -> Recording {
        let mut reader = hound::WavReader::open(path)
            .unwrap_or_else(|error| panic!("{}: {error}", path.display()));
        let spec = reader.spec();
        let samples = reader.samples::<i16>().step_by(usize::from(spec.channels));
        let samples = samples
            .map(|sample| {
                f64::from(sample.unwrap_or_else(|error| panic!("{error}"))) / f64::from(i16::MAX)
            })
            .collect();
        Recording {
            samples,
            rate: f64::from(spec.sample_rate),
        }
    }

    /// Of full scale 1.0.
    pub fn samples(&self) -> impl Iterator<Item = f64> {
        self.samples.iter().copied()
    }

    /// What comes after so many seconds.
    #[must_use]
    pub fn after(mut self, seconds: f64) -> Recording {
        let before = (seconds * self.rate) as usize;
        self.samples.drain(..before.min(self.samples.len()));
        self
    }

    /// Samples a second.
    pub fn rate(&self) -> f64 {
        self.rate
    }

    /// How long it is, in seconds.
    pub fn seconds(&self) -> f64 {
        self.samples.len() as f64 / self.rate
    }

    /// The stretches that are louder than `level` (RMS of 20 ms), each without its first and last 100 ms: the sound
    /// itself, without the silence around it and the edges of concealment.
    ///
    /// # Panics
    ///
    /// If there is none of more than 300 ms.
    pub fn loud_parts(&self, level: f64) -> Vec<Recording> {
        let frame = (self.rate / 50.0) as usize;
        let edge = 5 * frame;
        let frames: Vec<&[f64]> = self.samples.chunks(frame).collect();
        let stretches = frames.chunk_by(|a, b| (rms(a) > level) == (rms(b) > level));
        let loud = stretches.filter(|stretch| stretch.first().is_some_and(|f| rms(f) > level));
        let parts: Vec<Recording> = loud
            .map(|stretch| stretch.concat())
            .filter(|samples| samples.len() > 3 * edge)
            .map(|samples| Recording {
                samples: samples[edge..samples.len() - edge].to_vec(),
                rate: self.rate,
            })
            .collect();
        assert!(
            !parts.is_empty(),
            "nothing louder than {level} in {:.1} s",
            self.seconds()
        );
        parts
    }

    /// How well it holds a tone of `hertz` where sound passes in real time, and a busy machine may drop some of it:
    /// judged 5 ms by 5 ms, so that a gap spoils no more than its edges.
    pub fn tone(&self, hertz: f64) -> Tone {
        let frame = (self.rate / 200.0) as usize;
        let frames = self.samples.chunks_exact(frame);
        let loud: Vec<&[f64]> = frames.filter(|frame| rms(frame) > SILENCE).collect();
        let clean = loud
            .iter()
            .filter(|frame| share(frame, self.rate, hertz) > 0.8);
        let mut levels: Vec<f64> = clean.map(|frame| rms(frame)).collect();
        levels.sort_by(f64::total_cmp);
        Tone {
            loud: loud.len() as f64 / 200.0,
            clean: levels.len() as f64 / 200.0,
            level: levels.get(levels.len() / 2).copied().unwrap_or(0.0),
        }
    }

    /// Its level: the RMS of all of it.
    pub fn level(&self) -> f64 {
        rms(&self.samples)
    }

    /// The strongest frequency of its first fifth of a second in Hz, within 100 to 7000, to the nearest half.
    pub fn frequency(&self) -> f64 {
        let fifth = &self.samples[..self.samples.len().min((self.rate / 5.0) as usize)];
        let strongest = |candidates: &mut dyn Iterator<Item = f64>| {
            let power = |hertz: &f64| power_at(fifth, self.rate, *hertz);
            candidates
                .max_by(|a, b| power(a).total_cmp(&power(b)))
                .unwrap_or(0.0)
        };
        // A fifth of a second tells 5 Hz apart; of one tone it then tells the half around what was found.
        let near = strongest(&mut (20..=1400).map(|n| f64::from(n) * 5.0));
        strongest(&mut (-10..=10).map(|n| near + f64::from(n) * 0.5))
    }

    /// How much of its power lies at `hertz`, 0.0 to 1.0.
    pub fn share_of(&self, hertz: f64) -> f64 {
        share(&self.samples, self.rate, hertz)
    }
}

/// A tone that came through in pieces.
#[derive(Clone, Copy, Debug)]
pub struct Tone {
    /// Seconds in which anything was heard.
    pub loud: f64,
    /// Seconds of them in which nothing but the tone was heard.
    pub clean: f64,
    /// The median level (RMS) of the clean ones.
    pub level: f64,
}

impl Tone {
    /// Whether most of what was heard is the tone that a [`Voice`] spoke, at its level, and that for at least
    /// `seconds`.
    pub fn came_through(&self, seconds: f64, tolerance: f64) -> bool {
        let spoken = PEAK / 2f64.sqrt();
        let level_is_right = (self.level / spoken - 1.0).abs() <= tolerance;
        self.clean >= seconds && self.clean >= 0.65 * self.loud && level_is_right
    }
}

/// Goertzel's algorithm: the squared magnitude of one bin.
fn power_at(samples: &[f64], rate: f64, hertz: f64) -> f64 {
    let coefficient = 2.0 * (TAU * hertz / rate).cos();
    let (mut one, mut two) = (0.0, 0.0);
    for sample in samples {
        (one, two) = (sample + coefficient * one - two, one);
    }
    one * one + two * two - coefficient * one * two
}

/// How much of the power lies at `hertz`, 0.0 to 1.0.
fn share(samples: &[f64], rate: f64, hertz: f64) -> f64 {
    let total: f64 = samples.iter().map(|sample| sample * sample).sum();
    2.0 * power_at(samples, rate, hertz) / (samples.len() as f64 * total)
}

fn rms(samples: &[f64]) -> f64 {
    (samples.iter().map(|sample| sample * sample).sum::<f64>() / samples.len().max(1) as f64).sqrt()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_written_tone_is_found_again_by_frequency_and_level() {
        let folder = tempfile::tempdir().unwrap_or_else(|error| panic!("{error}"));
        let path = folder.path().join("tone.wav");
        write_tone(&path, RATE, 440.0, 0.5, 1.0);
        let parts = Recording::read(&path).loud_parts(0.1);
        let [tone] = &parts[..] else {
            panic!("{} parts", parts.len())
        };
        assert!(
            (tone.frequency() - 440.0).abs() <= 1.0,
            "{}",
            tone.frequency()
        );
        assert!(
            (tone.level() - 0.5 / 2f64.sqrt()).abs() < 0.01,
            "{}",
            tone.level()
        );
        assert!(tone.share_of(440.0) > 0.99 && tone.share_of(880.0) < 0.01);
    }

    #[test]
    fn a_tone_that_was_cut_twice_is_known_by_its_parts() {
        let turn = 0.7 * f64::from(RATE);
        let spoken = |n: usize| {
            let jumped = (n as f64 / turn).floor() * TAU / 3.0;
            let phase = TAU * 440.0 * n as f64 / f64::from(RATE) + jumped;
            let silent = n as f64 % turn > 0.95 * turn;
            if silent { 0.0 } else { PEAK * phase.sin() }
        };
        let heard = Recording {
            samples: (0..2 * RATE as usize).map(spoken).collect(),
            rate: f64::from(RATE),
        };
        let heard = Heard {
            parts: heard.loud_parts(SILENCE),
        };
        heard.is_a_tone_of(440.0, 0.01);
        for other in [437.0, 443.0, 660.0] {
            assert!(std::panic::catch_unwind(|| heard.is_a_tone_of(other, 0.01)).is_err());
        }
    }

    #[test]
    fn a_tone_in_pieces_is_known_and_another_one_is_not_taken_for_it() {
        let spoken = |n: usize| PEAK * (TAU * 440.0 * n as f64 / f64::from(RATE)).sin();
        let gap = |n: usize| n % 1440 >= 960;
        let pieces = (0..4 * RATE as usize).map(|n| if gap(n) { 0.0 } else { spoken(n) });
        let heard = Recording {
            samples: pieces.collect(),
            rate: f64::from(RATE),
        };
        assert!(heard.tone(440.0).came_through(1.5, 0.1));
        for other in [220.0, 660.0, 880.0] {
            assert!(!heard.tone(other).came_through(0.2, 0.1), "{other}");
        }
    }
}
