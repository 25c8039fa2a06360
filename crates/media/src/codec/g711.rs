//! G.711 in both laws by tables, its noise shaped by the voice, with concealment by pitch repetition.

use super::conceal::PitchRepeater;
use super::shape::NoiseShaper;
use super::{Codec, CodecError, Concealed, Decoder, Encoder};

/// The longest packet taken, in samples: 120 ms.
const MAX_SAMPLES: usize = 960;

/// Which of the two laws of ITU-T G.711.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Law {
    /// µ-law, PCMU: North America and Japan.
    Mu,
    /// A-law, PCMA: everywhere else.
    A,
}

impl Law {
    fn codec(self) -> Codec {
        match self {
            Law::Mu => Codec::Pcmu,
            Law::A => Codec::Pcma,
        }
    }

    fn compress(self, sample: i16) -> u8 {
        match self {
            Law::Mu => compress_mu(sample),
            Law::A => compress_a(sample),
        }
    }

    fn expand(self, byte: u8) -> i16 {
        let table = match self {
            Law::Mu => &EXPAND_MU,
            Law::A => &EXPAND_A,
        };
        table[usize::from(byte)]
    }
}

/// One byte a sample.
#[derive(Debug)]
pub(super) struct G711Encoder {
    law: Law,
    shaper: NoiseShaper,
    wide: Vec<f64>,
}

impl G711Encoder {
    pub(super) fn new(law: Law) -> G711Encoder {
        G711Encoder {
            law,
            shaper: NoiseShaper::new(),
            wide: Vec::new(),
        }
    }
}

impl Encoder for G711Encoder {
    fn encode(&mut self, samples: &[f32], payload: &mut Vec<u8>) -> Result<(), CodecError> {
        payload.clear();
        let law = self.law;
        self.wide.clear();
        let wide = samples.iter().map(|sample| f64::from(to_i16(*sample)));
        self.wide.extend(wide);
        self.shaper.hear(&self.wide);
        payload.extend(self.wide.iter().map(|sample| {
            self.shaper.coded(*sample, |wanted| {
                let byte = law.compress(wanted);
                (byte, law.expand(byte))
            })
        }));
        Ok(())
    }
}

/// The decoder's only state is what concealment remembers.
#[derive(Debug)]
pub(super) struct G711Decoder {
    law: Law,
    repeater: PitchRepeater,
}

impl G711Decoder {
    pub(super) fn new(law: Law) -> G711Decoder {
        G711Decoder {
            law,
            repeater: PitchRepeater::new(law.codec().sample_rate()),
        }
    }
}

impl Decoder for G711Decoder {
    fn duration(&self, payload: &[u8]) -> Result<u32, CodecError> {
        match payload.len() {
            samples @ 1..=MAX_SAMPLES => Ok(samples as u32),
            bytes => Err(CodecError::Payload {
                codec: self.law.codec(),
                bytes,
            }),
        }
    }

    fn decode(&mut self, payload: &[u8], samples: &mut Vec<f32>) -> Result<(), CodecError> {
        self.duration(payload)?;
        let law = self.law;
        samples.clear();
        samples.extend(payload.iter().map(|byte| from_i16(law.expand(*byte))));
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

/// Sixteen bits of a sample, for the codecs that are defined on them.
pub(super) fn to_i16(sample: f32) -> i16 {
    // The cast saturates, and makes 0 of NaN.
    (sample * 32_768.0).round() as i16
}

pub(super) fn from_i16(sample: i16) -> f32 {
    f32::from(sample) / 32_768.0
}

/// Added before the segment is looked for, so that every magnitude has a leading one.
const BIAS: i16 = 0x84;

/// The largest magnitude that still fits after the bias.
const CLIP: u16 = 32_635;

/// µ-law byte of a 16-bit sample (ITU-T G.711 table 2a, bits inverted as sent).
fn compress_mu(sample: i16) -> u8 {
    let sign = if sample < 0 { 0x80 } else { 0 };
    let magnitude = sample.unsigned_abs().min(CLIP) + BIAS as u16;
    let segment = 8 - magnitude.leading_zeros() as u8;
    let step = (magnitude >> (segment + 3)) as u8 & 0x0f;
    !(sign | segment << 4 | step)
}

/// Every other bit is inverted on the wire (ITU-T G.711 table 1a).
const A_LAW_INVERTED: u8 = 0x55;

/// A-law byte of a 16-bit sample: 13 bits of it count.
fn compress_a(sample: i16) -> u8 {
    // The lower half of the scale mirrors the upper one: -1 stands beside 0.
    let (sign, magnitude) = match sample {
        0.. => (0x80, sample as u16 >> 3),
        _ => (0, !sample as u16 >> 3),
    };
    // Below 32 the scale is linear; from there each segment is twice as coarse as the one before.
    let segment = 11u8.saturating_sub(magnitude.leading_zeros() as u8);
    let step = (magnitude >> segment.max(1)) as u8 & 0x0f;
    (sign | segment << 4 | step) ^ A_LAW_INVERTED
}

/// 16-bit sample of every µ-law byte.
static EXPAND_MU: [i16; 256] = expand_mu();

/// 16-bit sample of every A-law byte.
static EXPAND_A: [i16; 256] = expand_a();

const fn expand_mu() -> [i16; 256] {
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

const fn expand_a() -> [i16; 256] {
    let mut table = [0i16; 256];
    let mut byte = 0usize;
    while byte < 256 {
        let code = byte as u8 ^ A_LAW_INVERTED;
        let step = ((code & 0x0f) as i16) << 4;
        let magnitude = match (code >> 4) & 7 {
            0 => step + 8,
            segment => (step + 0x108) << (segment - 1),
        };
        table[byte] = if code & 0x80 == 0 {
            -magnitude
        } else {
            magnitude
        };
        byte += 1;
    }
    table
}

#[cfg(test)]
mod tests {
    use super::*;

    const LAWS: [Law; 2] = [Law::Mu, Law::A];

    #[test]
    fn known_bytes_stand_for_known_samples() {
        let mu = [
            (0xff, 0),
            (0x7f, 0),
            (0x80, 32_124),
            (0x00, -32_124),
            (0xf0, 120),
        ];
        let a = [
            (0xd5, 8),
            (0x55, -8),
            (0xaa, 32_256),
            (0x2a, -32_256),
            (0xc5, 264),
        ];
        for (law, table) in [(Law::Mu, mu), (Law::A, a)] {
            for (byte, sample) in table {
                assert_eq!(law.expand(byte), sample, "{law:?} {byte:#x}");
            }
        }
        assert_eq!(Law::Mu.compress(0), 0xff);
        assert_eq!(Law::A.compress(0), 0xd5);
        assert_eq!(Law::Mu.compress(i16::MAX), 0x80);
        assert_eq!(Law::A.compress(i16::MAX), 0xaa);
        assert_eq!(Law::Mu.compress(i16::MIN), 0x00);
        assert_eq!(Law::A.compress(i16::MIN), 0x2a);
    }

    #[test]
    fn every_byte_survives_a_round_trip() {
        for law in LAWS {
            for byte in 0..=255u8 {
                let again = law.compress(law.expand(byte));
                // µ-law's 0x7f is minus zero: it comes back as plus zero.
                let is_minus_zero = law == Law::Mu && byte == 0x7f;
                let expected = if is_minus_zero { 0xff } else { byte };
                assert_eq!(again, expected, "{law:?} {byte:#x}");
            }
        }
    }

    #[test]
    fn every_sample_gets_its_nearest_step() {
        for (law, bias, finest, top) in [(Law::Mu, 132, 4, 32_124), (Law::A, 0, 8, 32_256)] {
            for sample in i16::MIN..=i16::MAX {
                let decoded = i32::from(law.expand(law.compress(sample)));
                let error = (decoded - i32::from(sample)).abs();
                // Half a step of the segment; the clipped tops are further off.
                let half_step = ((i32::from(sample).abs() + bias) / 32 + 1).max(finest);
                assert!(
                    error <= half_step.max(i32::from(sample).abs() - top),
                    "{law:?} {sample}"
                );
            }
        }
    }

    /// Frames of something like a vowel: harmonics of 125 Hz, the low ones far louder.
    fn vowel(frame: usize) -> Vec<f32> {
        let at = |n: usize| {
            let turn = std::f32::consts::TAU * 125.0 * (frame * 160 + n) as f32 / 8_000.0;
            (1..28)
                .map(|k| 0.5 / (k * k) as f32 * (turn * k as f32).sin())
                .sum()
        };
        (0..160).map(at).collect()
    }

    /// What comes back of vowels, less what went in, shaped or as the law has it.
    fn errors(law: Law, shaped: bool) -> Vec<f32> {
        let mut encoder = G711Encoder::new(law);
        let mut errors = Vec::new();
        let mut payload = Vec::new();
        for frame in 0..50 {
            let said = vowel(frame);
            match shaped {
                true => encoder.encode(&said, &mut payload).unwrap(),
                false => payload = said.iter().map(|it| law.compress(to_i16(*it))).collect(),
            }
            let heard = payload.iter().map(|byte| from_i16(law.expand(*byte)));
            errors.extend(heard.zip(&said).map(|(heard, said)| heard - said));
        }
        errors
    }

    #[test]
    fn the_noise_goes_where_the_voice_is() {
        // Differences of neighbours are what lies high: of white noise twice its power.
        let power = |errors: &[f32]| errors.iter().map(|it| it * it).sum::<f32>();
        let high = |errors: &[f32]| {
            let steps: Vec<f32> = errors.windows(2).map(|pair| pair[1] - pair[0]).collect();
            power(&steps) / power(errors)
        };
        for law in LAWS {
            let (shaped, plain) = (errors(law, true), errors(law, false));
            let (high, more) = (high(&shaped) / high(&plain), power(&shaped) / power(&plain));
            assert!(high < 0.3 && more < 12.0, "{law:?}: {high:.2}, {more:.2}");
        }
    }

    #[test]
    fn silence_stays_silent_behind_a_voice_that_clipped() {
        for (law, silent) in [(Law::Mu, 0xff), (Law::A, 0xd5)] {
            let mut encoder = G711Encoder::new(law);
            let mut payload = Vec::new();
            for frame in 0..20 {
                let loud: Vec<f32> = vowel(frame).iter().map(|it| it * 9.0).collect();
                encoder.encode(&loud, &mut payload).unwrap();
            }
            for _ in 0..2 {
                encoder.encode(&[0.0; 160], &mut payload).unwrap();
            }
            assert_eq!(payload, [silent; 160], "{law:?}");
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
        let mut decoder = G711Decoder::new(Law::A);
        let mut samples = Vec::new();
        assert!(decoder.decode(&[], &mut samples).is_err());
        assert!(decoder.decode(&[0; MAX_SAMPLES + 1], &mut samples).is_err());
        assert!(decoder.decode(&[0xd5; 240], &mut samples).is_ok());
        assert_eq!(samples.len(), 240);
    }
}
