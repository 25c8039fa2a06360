//! G.711 µ-law by tables, with concealment by pitch repetition.

use super::conceal::PitchRepeater;
use super::{Codec, CodecError, Concealed, Decoder, Encoder};

/// The longest packet taken, in samples: 120 ms.
const MAX_SAMPLES: usize = 960;

/// G.711 µ-law, one byte a sample.
#[derive(Debug, Default)]
pub(super) struct PcmuEncoder;

impl Encoder for PcmuEncoder {
    fn encode(&mut self, samples: &[f32], payload: &mut Vec<u8>) -> Result<(), CodecError> {
        payload.clear();
        payload.extend(samples.iter().map(|sample| compress(to_i16(*sample))));
        Ok(())
    }
}

/// The decoder's only state is what concealment remembers.
#[derive(Debug)]
pub(super) struct PcmuDecoder {
    repeater: PitchRepeater,
}

impl PcmuDecoder {
    pub(super) fn new() -> PcmuDecoder {
        PcmuDecoder {
            repeater: PitchRepeater::new(Codec::Pcmu.sample_rate()),
        }
    }
}

impl Decoder for PcmuDecoder {
    fn duration(&self, payload: &[u8]) -> Result<u32, CodecError> {
        match payload.len() {
            samples @ 1..=MAX_SAMPLES => Ok(samples as u32),
            bytes => Err(CodecError::Payload {
                codec: Codec::Pcmu,
                bytes,
            }),
        }
    }

    fn decode(&mut self, payload: &[u8], samples: &mut Vec<f32>) -> Result<(), CodecError> {
        self.duration(payload)?;
        samples.clear();
        samples.extend(payload.iter().map(|byte| expand(*byte)));
        self.repeater.heard(samples);
        Ok(())
    }

    fn conceal(&mut self, _: Option<&[u8]>, duration: u32, samples: &mut Vec<f32>) -> Concealed {
        samples.clear();
        samples.resize((duration as usize).min(MAX_SAMPLES), 0.0);
        self.repeater.conceal(samples);
        Concealed::Guessed
    }
}

fn to_i16(sample: f32) -> i16 {
    // The cast saturates, and makes 0 of NaN.
    (sample * 32_768.0).round() as i16
}

fn expand(byte: u8) -> f32 {
    f32::from(EXPAND[usize::from(byte)]) / 32_768.0
}

/// Added before the segment is looked for, so that every magnitude has a leading one.
const BIAS: i16 = 0x84;

/// The largest magnitude that still fits after the bias.
const CLIP: u16 = 32_635;

/// µ-law byte of a 16-bit sample (ITU-T G.711 table 2a, bits inverted as sent).
fn compress(sample: i16) -> u8 {
    let sign = if sample < 0 { 0x80 } else { 0 };
    let magnitude = sample.unsigned_abs().min(CLIP) + BIAS as u16;
    let segment = 8 - magnitude.leading_zeros() as u8;
    let step = (magnitude >> (segment + 3)) as u8 & 0x0f;
    !(sign | segment << 4 | step)
}

/// 16-bit sample of every µ-law byte.
static EXPAND: [i16; 256] = expand_table();

const fn expand_table() -> [i16; 256] {
    let mut table = [0i16; 256];
    let mut byte = 0usize;
    while byte < 256 {
        let code = !(byte as u8);
        let step = ((code & 0x0f) as i16) << 3;
        let magnitude = ((step + BIAS) << ((code >> 4) & 7)) - BIAS;
        table[byte] = if code & 0x80 == 0 {
            magnitude
        } else {
            -magnitude
        };
        byte += 1;
    }
    table
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn known_bytes_stand_for_known_samples() {
        let table = [
            (0xff, 0),
            (0x7f, 0),
            (0x80, 32_124),
            (0x00, -32_124),
            (0xf0, 120),
        ];
        for (byte, sample) in table {
            assert_eq!(EXPAND[byte], sample, "{byte:#x}");
        }
        assert_eq!(compress(0), 0xff);
        assert_eq!(compress(i16::MAX), 0x80);
        assert_eq!(compress(i16::MIN), 0x00);
    }

    #[test]
    fn every_byte_survives_a_round_trip() {
        for byte in 0..=255u8 {
            let again = compress(EXPAND[usize::from(byte)]);
            // 0x7f is minus zero: it comes back as plus zero.
            let expected = if byte == 0x7f { 0xff } else { byte };
            assert_eq!(again, expected, "{byte:#x}");
        }
    }

    #[test]
    fn every_sample_gets_its_nearest_step() {
        for sample in i16::MIN..=i16::MAX {
            let decoded = i32::from(EXPAND[usize::from(compress(sample))]);
            let error = (decoded - i32::from(sample)).abs();
            // Half a step of the segment; the clipped tops are further off.
            let half_step = ((i32::from(sample).abs() + 132) / 32).max(4);
            assert!(
                error <= half_step.max(i32::from(sample).abs() - 32_124),
                "{sample}"
            );
        }
    }

    #[test]
    fn samples_out_of_range_are_clipped_not_wrapped() {
        assert_eq!(to_i16(2.0), i16::MAX);
        assert_eq!(to_i16(-2.0), i16::MIN);
        assert_eq!(to_i16(f32::NAN), 0);
    }

    #[test]
    fn empty_and_oversized_payloads_are_refused() {
        let mut decoder = PcmuDecoder::new();
        let mut samples = Vec::new();
        assert!(decoder.decode(&[], &mut samples).is_err());
        assert!(decoder.decode(&[0; MAX_SAMPLES + 1], &mut samples).is_err());
        assert!(decoder.decode(&[0xff; 240], &mut samples).is_ok());
        assert_eq!(samples.len(), 240);
    }
}
