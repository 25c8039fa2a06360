//! Opus, mono at 48 kHz: the one door to the `opus` crate (libopus).

use opus::{Application, Bandwidth, Bitrate, Channels, Signal};

use super::{Codec, CodecError, Concealed, Decoder, Encoder};
use crate::sdp::OpusParameters;

const RATE: u32 = 48_000;

/// The longest packet there is, in samples: 120 ms (RFC 6716 section 3.2.5).
const MAX_SAMPLES: usize = 5_760;

/// The shortest step the decoder can conceal, in samples: 2.5 ms.
const STEP: usize = 120;

/// Bits a second when the other side sets no lower limit.
const BITRATE: i32 = 32_000;

/// No 20 ms packet at our rates comes near; the encoder is held to it.
const MAX_PAYLOAD: usize = 1_275;

/// At five the quality is that of the default for speech, at half the work.
const COMPLEXITY: i32 = 5;

/// Wraps libopus' encoder.
#[derive(Debug)]
pub(super) struct OpusEncoder {
    encoder: opus::Encoder,
}

impl OpusEncoder {
    pub(super) fn new(wanted: &OpusParameters) -> Result<OpusEncoder, CodecError> {
        let mut encoder = opus::Encoder::new(RATE, Channels::Mono, Application::Voip)?;
        encoder.set_complexity(COMPLEXITY)?;
        encoder.set_bitrate(Bitrate::Bits(bitrate(wanted)))?;
        encoder.set_max_bandwidth(bandwidth(wanted))?;
        // Redundancy exists in the speech mode only: keep the encoder from leaving it.
        encoder.set_signal(Signal::Voice)?;
        encoder.set_dtx(wanted.dtx)?;
        // Allowed by the other side; spent only once loss is reported.
        encoder.set_inband_fec(wanted.inband_fec)?;
        encoder.set_packet_loss_perc(0)?;
        Ok(OpusEncoder { encoder })
    }
}

impl Encoder for OpusEncoder {
    fn encode(&mut self, samples: &[f32], payload: &mut Vec<u8>) -> Result<(), CodecError> {
        payload.resize(MAX_PAYLOAD, 0);
        let written = self.encoder.encode_float(samples, payload);
        payload.truncate(*written.as_ref().unwrap_or(&0));
        written?;
        // One or two bytes say "nothing to hear" and need not be sent (RFC 7587 section 3.1.3).
        if payload.len() <= 2 {
            payload.clear();
        }
        Ok(())
    }

    fn set_expected_loss(&mut self, percent: u8) -> Result<(), CodecError> {
        let percent = i32::from(percent.min(100));
        Ok(self.encoder.set_packet_loss_perc(percent)?)
    }
}

/// Wraps libopus' decoder.
#[derive(Debug)]
pub(super) struct OpusDecoder {
    decoder: opus::Decoder,
}

impl OpusDecoder {
    pub(super) fn new() -> Result<OpusDecoder, CodecError> {
        let decoder = opus::Decoder::new(RATE, Channels::Mono)?;
        Ok(OpusDecoder { decoder })
    }
}

impl Decoder for OpusDecoder {
    fn duration(&self, payload: &[u8]) -> Result<u32, CodecError> {
        let refused = || CodecError::Payload {
            codec: Codec::Opus,
            bytes: payload.len(),
        };
        // An empty slice would ask libopus to conceal.
        if payload.is_empty() {
            return Err(refused());
        }
        match opus::packet::get_nb_samples(payload, RATE) {
            Ok(samples @ 1..=MAX_SAMPLES) => Ok(samples as u32),
            _ => Err(refused()),
        }
    }

    fn redundancy(&self, payload: &[u8]) -> u32 {
        match carries_redundancy(payload) {
            true => self.duration(payload).unwrap_or_default(),
            false => 0,
        }
    }

    fn decode(&mut self, payload: &[u8], samples: &mut Vec<f32>) -> Result<(), CodecError> {
        self.duration(payload)?;
        samples.clear();
        samples.resize(MAX_SAMPLES, 0.0);
        let decoded = self.decoder.decode_float(payload, samples, false);
        samples.truncate(*decoded.as_ref().unwrap_or(&0));
        decoded?;
        Ok(())
    }

    fn conceal(
        &mut self,
        following: Option<&[u8]>,
        duration: u32,
        samples: &mut Vec<f32>,
    ) -> Concealed {
        let wanted = (duration as usize).min(MAX_SAMPLES);
        samples.clear();
        samples.resize(wanted.next_multiple_of(STEP), 0.0);
        let redundant = following.filter(|payload| carries_redundancy(payload));
        let made = match redundant {
            Some(payload) => self.decoder.decode_float(payload, samples, true),
            None => self.decoder.decode_float(&[], samples, false),
        };
        if made.is_err() {
            samples.fill(0.0);
        }
        samples.truncate(wanted);
        match (made, redundant) {
            (Ok(_), Some(_)) => Concealed::Recovered,
            _ => Concealed::Guessed,
        }
    }
}

/// True when the packet carries a second, coarser copy of the sound before it (LBRR, RFC 6716
/// section 4.2.4): one flag behind the voice-activity flags of the first SILK frame.
fn carries_redundancy(payload: &[u8]) -> bool {
    let Ok(packet) = opus::packet::parse(payload) else {
        return false;
    };
    let Ok(frame_samples) = opus::packet::get_samples_per_frame(payload, RATE) else {
        return false;
    };
    let celt_only = packet.toc & 0x80 != 0;
    let stereo = packet.toc & 0x04 != 0;
    let Some(first) = packet.frames.first().and_then(|frame| frame.first()) else {
        return false;
    };
    let silk_frames = (frame_samples / 960).max(1);
    let mid = first >> (7 - silk_frames.min(3)) & 1 == 1;
    !celt_only && (mid || (stereo && silk_frames == 1 && first >> 4 & 1 == 1))
}

fn bitrate(wanted: &OpusParameters) -> i32 {
    wanted
        .max_average_bitrate
        .map_or(BITRATE, |limit| limit.clamp(6_000, BITRATE as u32) as i32)
}

/// What the other side can render, and no more (RFC 7587 section 3.1.1).
fn bandwidth(wanted: &OpusParameters) -> Bandwidth {
    match wanted.max_playback_rate {
        Some(..=8_000) => Bandwidth::Narrowband,
        Some(8_001..=12_000) => Bandwidth::Mediumband,
        Some(12_001..=16_000) => Bandwidth::Wideband,
        Some(16_001..=24_000) => Bandwidth::Superwideband,
        Some(24_001..) | None => Bandwidth::Fullband,
    }
}

impl From<opus::Error> for CodecError {
    fn from(error: opus::Error) -> CodecError {
        CodecError::Library {
            codec: Codec::Opus,
            reason: error.to_string(),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::measure;

    const FRAME: usize = 960;

    fn tone(frame: usize) -> Vec<f32> {
        (frame * FRAME..(frame + 1) * FRAME)
            .map(|i| 0.3 * (std::f32::consts::TAU * 440.0 * i as f32 / 48_000.0).sin())
            .collect()
    }

    fn encode(encoder: &mut OpusEncoder, frames: usize) -> Vec<Vec<u8>> {
        let mut payloads = Vec::new();
        for frame in 0..frames {
            let mut payload = Vec::new();
            encoder.encode(&tone(frame), &mut payload).unwrap();
            payloads.push(payload);
        }
        payloads
    }

    fn with_fec() -> OpusParameters {
        OpusParameters {
            inband_fec: true,
            ..OpusParameters::default()
        }
    }

    #[test]
    fn a_tone_survives_the_codec() {
        let mut encoder = OpusEncoder::new(&OpusParameters::default()).unwrap();
        let mut decoder = OpusDecoder::new().unwrap();
        let mut heard = Vec::new();
        for payload in encode(&mut encoder, 20) {
            let mut samples = Vec::new();
            assert_eq!(decoder.duration(&payload).unwrap(), 960);
            decoder.decode(&payload, &mut samples).unwrap();
            heard.extend(samples);
        }
        let steady = &heard[4800..];
        let level = measure::tone_dbfs(steady, RATE, 440.0).unwrap();
        assert!((level - -10.46).abs() < 1.0, "{level}");
    }

    #[test]
    fn redundancy_is_spent_only_once_loss_is_reported() {
        let mut encoder = OpusEncoder::new(&with_fec()).unwrap();
        let before = encode(&mut encoder, 20);
        assert!(!before.iter().any(|payload| carries_redundancy(payload)));
        encoder.set_expected_loss(20).unwrap();
        let after = encode(&mut encoder, 20);
        assert!(after.iter().any(|payload| carries_redundancy(payload)));
    }

    #[test]
    fn a_lost_packet_is_recovered_from_the_next_ones_redundancy() {
        let mut encoder = OpusEncoder::new(&with_fec()).unwrap();
        encoder.set_expected_loss(30).unwrap();
        let payloads = encode(&mut encoder, 30);
        let mut decoder = OpusDecoder::new().unwrap();
        let mut samples = Vec::new();
        for payload in &payloads[..20] {
            decoder.decode(payload, &mut samples).unwrap();
        }
        let made = decoder.conceal(Some(&payloads[21]), 960, &mut samples);
        assert_eq!(made, Concealed::Recovered);
        assert_eq!(samples.len(), 960);
        assert!(measure::tone_dbfs(&samples, RATE, 440.0).unwrap() > -16.0);
    }

    #[test]
    fn concealment_without_help_has_the_length_that_was_asked_for() {
        let mut decoder = OpusDecoder::new().unwrap();
        let mut samples = Vec::new();
        for duration in [1, 120, 960, 961, 5_760, 9_999] {
            assert_eq!(
                decoder.conceal(None, duration, &mut samples),
                Concealed::Guessed
            );
            assert_eq!(samples.len(), (duration as usize).min(MAX_SAMPLES));
        }
    }

    #[test]
    fn a_limit_of_the_other_side_is_kept() {
        let limited = OpusParameters {
            max_average_bitrate: Some(12_000),
            max_playback_rate: Some(16_000),
            ..OpusParameters::default()
        };
        let bits = |wanted: &OpusParameters| -> usize {
            let mut encoder = OpusEncoder::new(wanted).unwrap();
            encode(&mut encoder, 200)
                .iter()
                .map(Vec::len)
                .sum::<usize>()
                * 8
                / 4
        };
        let (limited, free) = (bits(&limited), bits(&OpusParameters::default()));
        assert!(limited < 13_000, "{limited} bit/s");
        assert!(free > 24_000, "{free} bit/s");
    }

    #[test]
    fn nonsense_is_refused_before_it_reaches_the_decoder() {
        let mut decoder = OpusDecoder::new().unwrap();
        let mut samples = Vec::new();
        for payload in [&[][..], &[0xff], &[0xff, 0xff, 0xff]] {
            assert!(
                decoder.decode(payload, &mut samples).is_err(),
                "{payload:?}"
            );
        }
    }
}
