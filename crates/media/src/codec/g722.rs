//! G.722 at 64 kbit/s: the one door to the `audio-codec` crate.
//!
//! Sixteen thousand samples a second, though its RTP clock has always said eight (RFC 3551 section 4.5.2): a byte is
//! two samples and one tick.

use audio_codec::Encoder as _;
use audio_codec::g722::{G722Decoder as Synthesis, G722Encoder as Analysis};

use super::conceal::PitchRepeater;
use super::g711::{from_i16, to_i16};
use super::{Codec, CodecError, Concealed, Decoder, Encoder};

/// The longest packet taken, in bytes: 120 ms.
const MAX_BYTES: usize = 960;

/// Samples in a byte.
const PER_BYTE: usize = 2;

pub(super) struct G722Encoder {
    analysis: Analysis,
    // Kept between frames for its capacity.
    samples: Vec<i16>,
}

impl G722Encoder {
    pub(super) fn new() -> G722Encoder {
        G722Encoder {
            analysis: Analysis::new(),
            samples: Vec::new(),
        }
    }
}

impl std::fmt::Debug for G722Encoder {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.write_str("G722Encoder")
    }
}

impl Encoder for G722Encoder {
    fn encode(&mut self, samples: &[f32], payload: &mut Vec<u8>) -> Result<(), CodecError> {
        self.samples.clear();
        self.samples.extend(samples.iter().copied().map(to_i16));
        payload.resize(self.analysis.max_encode_bytes(samples.len()), 0);
        let written = self.analysis.encode_into(&self.samples, payload);
        payload.truncate(*written.as_ref().unwrap_or(&0));
        written.map_err(refused)?;
        Ok(())
    }
}

pub(super) struct G722Decoder {
    synthesis: Synthesis,
    repeater: PitchRepeater,
    // Kept between packets for its capacity.
    decoded: Vec<i16>,
}

impl G722Decoder {
    pub(super) fn new() -> G722Decoder {
        G722Decoder {
            synthesis: Synthesis::new(),
            repeater: PitchRepeater::new(Codec::G722.sample_rate()),
            decoded: Vec::new(),
        }
    }
}

impl std::fmt::Debug for G722Decoder {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.write_str("G722Decoder")
    }
}

impl Decoder for G722Decoder {
    fn duration(&self, payload: &[u8]) -> Result<u32, CodecError> {
        match payload.len() {
            bytes @ 1..=MAX_BYTES => Ok(bytes as u32),
            bytes => Err(CodecError::Payload {
                codec: Codec::G722,
                bytes,
            }),
        }
    }

    fn decode(&mut self, payload: &[u8], samples: &mut Vec<f32>) -> Result<(), CodecError> {
        self.duration(payload)?;
        self.decoded.resize(payload.len() * PER_BYTE, 0);
        let written = self
            .synthesis
            .decode_frame_into(payload, &mut self.decoded)
            .map_err(refused)?;
        samples.clear();
        samples.extend(self.decoded.iter().take(written).copied().map(from_i16));
        self.repeater.heard(samples);
        Ok(())
    }

    fn conceal(&mut self, _: Option<&[u8]>, duration: u32, samples: &mut Vec<f32>) -> Concealed {
        samples.clear();
        samples.resize((duration as usize).min(MAX_BYTES) * PER_BYTE, 0.0);
        self.repeater.conceal(samples);
        Concealed::Guessed
    }
}

fn refused(error: audio_codec::CodecError) -> CodecError {
    CodecError::Library {
        codec: Codec::G722,
        reason: format!("{error:?}"),
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::measure;

    fn tone(hertz: f64, samples: usize) -> Vec<f32> {
        let step = std::f64::consts::TAU * hertz / 16_000.0;
        (0..samples)
            .map(|n| 0.4 * (step * n as f64).sin() as f32)
            .collect()
    }

    fn through(sound: &[f32]) -> Vec<f32> {
        let (mut encoder, mut decoder) = (G722Encoder::new(), G722Decoder::new());
        let (mut payload, mut samples, mut heard) = (Vec::new(), Vec::new(), Vec::new());
        for frame in sound.chunks(320) {
            encoder.encode(frame, &mut payload).unwrap();
            assert_eq!(payload.len(), 160, "64 kbit/s");
            decoder.decode(&payload, &mut samples).unwrap();
            heard.extend_from_slice(&samples);
        }
        heard
    }

    #[test]
    fn tones_of_both_bands_come_through_at_their_level() {
        for hertz in [300.0, 1_000.0, 3_000.0, 5_000.0, 6_500.0] {
            let heard = through(&tone(hertz, 16_000));
            let level = measure::tone_dbfs(&heard[1_600..], 16_000, hertz).unwrap();
            assert!((level - -7.96).abs() < 1.0, "{hertz} Hz: {level}");
        }
    }

    #[test]
    fn a_byte_is_two_samples_and_one_tick() {
        let mut decoder = G722Decoder::new();
        let mut samples = Vec::new();
        assert_eq!(decoder.duration(&[0; 160]).unwrap(), 160);
        decoder.decode(&[0; 160], &mut samples).unwrap();
        assert_eq!(samples.len(), 320);
        decoder.conceal(None, 160, &mut samples);
        assert_eq!(samples.len(), 320);
    }

    #[test]
    fn empty_and_oversized_payloads_are_refused() {
        let mut decoder = G722Decoder::new();
        let mut samples = Vec::new();
        assert!(decoder.decode(&[], &mut samples).is_err());
        assert!(decoder.decode(&[0; MAX_BYTES + 1], &mut samples).is_err());
    }
}
