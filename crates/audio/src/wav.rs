//! WAV files as microphone and loudspeaker, paced by the caller's tick: the one door to `hound`.
//!
//! The input (any rate, any number of channels, integer or float) is converted when it is opened
//! and plays over and over. The output is 48 kHz mono, 16 bit; its header is brought up to date every
//! second, so that a killed process leaves a file that is valid up to then.

use std::fs::File;
use std::io::BufWriter;
use std::path::Path;

use hound::{SampleFormat, WavReader, WavSpec, WavWriter};

use crate::convert::DeviceSample;
use crate::rate::RateConverter;
use crate::{AudioError, AudioStream, Counters, SAMPLE_RATE};

/// The longest input, in seconds: it is held in memory.
const LONGEST_INPUT: u32 = 600;

/// WAV in, WAV out.
pub(crate) struct WavStream {
    input: Vec<i16>,
    position: usize,
    output: Option<Recording>,
    problem: Option<AudioError>,
    /// The recording has ended before its time.
    failed: bool,
}

impl WavStream {
    pub(crate) fn open(
        input: Option<&Path>,
        output: Option<&Path>,
    ) -> Result<WavStream, AudioError> {
        Ok(WavStream {
            input: input.map(read).transpose()?.unwrap_or_default(),
            position: 0,
            output: output.map(Recording::create).transpose()?,
            problem: None,
            failed: false,
        })
    }
}

impl AudioStream for WavStream {
    fn play(&mut self, samples: &[f32]) {
        let Some(output) = &mut self.output else {
            return;
        };
        if let Err(error) = output.write(samples) {
            self.problem = Some(error);
            self.output = None;
            self.failed = true;
        }
    }

    fn capture(&mut self, samples: &mut [f32]) {
        for sample in samples {
            *sample = self
                .input
                .get(self.position)
                .map_or(0.0, |recorded| recorded.to_f32());
            self.position = (self.position + 1) % self.input.len().max(1);
        }
    }

    fn poll_problem(&mut self) -> Option<AudioError> {
        self.problem.take()
    }

    fn microphone_ok(&self) -> bool {
        true
    }

    /// False once the recording failed, a full disk for instance.
    fn speaker_ok(&self) -> bool {
        !self.failed
    }

    fn counters(&self) -> Counters {
        Counters::default()
    }
}

impl std::fmt::Debug for WavStream {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("WavStream")
            .field("input_samples", &self.input.len())
            .field("position", &self.position)
            .field("records", &self.output.is_some())
            .finish_non_exhaustive()
    }
}

/// The output file; `hound` completes it when it is dropped.
struct Recording {
    path: String,
    writer: WavWriter<BufWriter<File>>,
    since_flush: usize,
}

impl Recording {
    fn create(path: &Path) -> Result<Recording, AudioError> {
        let spec = WavSpec {
            channels: 1,
            sample_rate: SAMPLE_RATE,
            bits_per_sample: 16,
            sample_format: SampleFormat::Int,
        };
        let mut writer = WavWriter::create(path, spec).map_err(|error| refused(path, error))?;
        // A header at once: even an empty recording is a WAV file.
        writer.flush().map_err(|error| refused(path, error))?;
        Ok(Recording {
            path: path.display().to_string(),
            writer,
            since_flush: 0,
        })
    }

    fn write(&mut self, samples: &[f32]) -> Result<(), AudioError> {
        self.try_write(samples).map_err(|error| AudioError::File {
            path: self.path.clone(),
            reason: error.to_string(),
        })
    }

    fn try_write(&mut self, samples: &[f32]) -> hound::Result<()> {
        for sample in samples {
            self.writer.write_sample(i16::from_f32(*sample))?;
        }
        self.since_flush += samples.len();
        if self.since_flush >= SAMPLE_RATE as usize {
            self.since_flush = 0;
            self.writer.flush()?;
        }
        Ok(())
    }
}

/// The whole file, mono at 48 kHz.
fn read(path: &Path) -> Result<Vec<i16>, AudioError> {
    let reader = WavReader::open(path).map_err(|error| refused(path, error))?;
    let spec = reader.spec();
    if spec.channels == 0 || spec.sample_rate == 0 {
        return Err(refused(path, "it has no channels or no sample rate"));
    }
    if reader.duration() > LONGEST_INPUT.saturating_mul(spec.sample_rate) {
        return Err(refused(
            path,
            format!("longer than {LONGEST_INPUT} seconds"),
        ));
    }
    let samples = samples(reader).map_err(|error| refused(path, error))?;
    let channels = usize::from(spec.channels);
    let mono: Vec<f32> = samples
        .chunks_exact(channels)
        .map(|frame| frame.iter().sum::<f32>() / channels as f32)
        .collect();
    let mut converted = Vec::new();
    RateConverter::new(spec.sample_rate, SAMPLE_RATE)?.process(&mono, &mut converted);
    Ok(converted.into_iter().map(i16::from_f32).collect())
}

fn samples(reader: WavReader<std::io::BufReader<File>>) -> hound::Result<Vec<f32>> {
    let spec = reader.spec();
    match spec.sample_format {
        SampleFormat::Float => reader.into_samples::<f32>().collect(),
        SampleFormat::Int => {
            let full_scale = (1u64 << (spec.bits_per_sample.clamp(1, 32) - 1)) as f32;
            reader
                .into_samples::<i32>()
                .map(|sample| Ok(sample? as f32 / full_scale))
                .collect()
        }
    }
}

fn refused(path: &Path, reason: impl ToString) -> AudioError {
    AudioError::File {
        path: path.display().to_string(),
        reason: reason.to_string(),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const FRAME: usize = 960;

    fn write(path: &Path, spec: WavSpec, samples: impl Iterator<Item = i16>) {
        let mut writer = WavWriter::create(path, spec).unwrap();
        for sample in samples {
            writer.write_sample(sample).unwrap();
        }
        writer.finalize().unwrap();
    }

    fn spec(channels: u16, sample_rate: u32) -> WavSpec {
        WavSpec {
            channels,
            sample_rate,
            bits_per_sample: 16,
            sample_format: SampleFormat::Int,
        }
    }

    fn capture(stream: &mut WavStream, frames: usize) -> Vec<f32> {
        let mut samples = vec![0.0; frames * FRAME];
        stream.capture(&mut samples);
        samples
    }

    #[test]
    fn an_8_khz_stereo_file_is_heard_as_48_khz_mono() {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("in.wav");
        let tone = |i: i32| {
            let turn = std::f32::consts::TAU * 500.0 * i as f32 / 8_000.0;
            (16_384.0 * turn.sin()) as i16
        };
        write(
            &path,
            spec(2, 8_000),
            (0..8_000).flat_map(|i| [tone(i), tone(i)]),
        );
        let mut stream = WavStream::open(Some(&path), None).unwrap();
        let heard = capture(&mut stream, 45);
        let steady = &heard[4_800..43_200];
        let rising = steady
            .windows(2)
            .filter(|w| w[0] < 0.0 && w[1] >= 0.0)
            .count();
        assert!((399..=401).contains(&rising), "{rising} in 0.8 s");
        let peak = steady.iter().fold(0.0f32, |peak, s| peak.max(s.abs()));
        assert!((peak - 0.5).abs() < 0.02, "{peak}");
    }

    #[test]
    fn the_input_begins_again_at_its_end() {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("in.wav");
        write(&path, spec(1, 48_000), 0..1_000);
        let mut stream = WavStream::open(Some(&path), None).unwrap();
        let heard = capture(&mut stream, 3);
        assert_eq!(i16::from_f32(heard[999]), 999);
        assert_eq!(i16::from_f32(heard[1_000]), 0);
        assert_eq!(i16::from_f32(heard[2_001]), 1);
    }

    #[test]
    fn without_input_there_is_silence() {
        let mut stream = WavStream::open(None, None).unwrap();
        assert!(capture(&mut stream, 2).iter().all(|sample| *sample == 0.0));
        stream.play(&[0.5; FRAME]);
        assert_eq!(stream.poll_problem(), None);
    }

    #[test]
    fn what_is_played_is_in_the_file_when_the_stream_is_dropped() {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("out.wav");
        let mut stream = WavStream::open(None, Some(&path)).unwrap();
        for _ in 0..3 {
            stream.play(&[0.25; FRAME]);
        }
        drop(stream);
        let reader = WavReader::open(&path).unwrap();
        assert_eq!(reader.spec(), spec(1, 48_000));
        let samples: Vec<i16> = reader.into_samples().map(Result::unwrap).collect();
        assert_eq!(samples, vec![8_192; 3 * FRAME]);
    }

    #[test]
    fn a_recording_that_is_cut_off_is_valid_up_to_its_last_second() {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("out.wav");
        let mut stream = WavStream::open(None, Some(&path)).unwrap();
        assert_eq!(WavReader::open(&path).unwrap().duration(), 0);
        for _ in 0..75 {
            stream.play(&[0.25; FRAME]);
        }
        // As a killed process would leave it: nothing is completed any more.
        std::mem::forget(stream);
        let duration = WavReader::open(&path).unwrap().duration();
        assert!(duration >= SAMPLE_RATE, "{duration}");
    }

    #[test]
    fn a_file_that_cannot_be_used_is_named_with_its_reason() {
        let folder = tempfile::tempdir().unwrap();
        let missing = folder.path().join("missing.wav");
        let error = WavStream::open(Some(&missing), None).unwrap_err();
        assert_eq!(error.code(), "audio_file");
        assert!(error.to_string().contains("missing.wav"), "{error}");
        let text = folder.path().join("text.wav");
        std::fs::write(&text, "not sound").unwrap();
        assert!(WavStream::open(Some(&text), None).is_err());
        let nowhere = folder.path().join("no/such/folder.wav");
        assert!(WavStream::open(None, Some(&nowhere)).is_err());
    }
}
