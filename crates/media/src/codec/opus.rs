//! Opus, mono at 48 kHz: the one door to the `opusic-c` crate (libopus 1.6).
//!
//! Redundancy is spent only while the other side reports loss. Two kinds ride in each packet then:
//! a coarse copy of the packet before (in-band FEC), which any Opus decoder understands, and some
//! 160 ms of the past at a few kilobits (deep redundancy, DRED), which decoders that do not know it
//! skip as padding. What neither restores, libopus' neural concealment guesses.

use opusic_c::dred::Dred;
use opusic_c::{
    Application, Bandwidth, Bitrate, Channels, Encoder as Libopus, ErrorCode, InbandFec,
    SampleRate, Signal, utils,
};

use super::opus_packet::{self, Redundancy};
use super::{Codec, CodecError, Concealed, Decoder, Encoder};
use crate::sdp::OpusParameters;

const RATE: SampleRate = SampleRate::Hz48000;

/// The longest packet there is, in samples: 120 ms (RFC 6716 section 3.2.5).
const MAX_SAMPLES: usize = 5_760;

/// The shortest step the decoder can conceal, in samples: 2.5 ms.
const STEP: usize = 120;

/// Bits a second when nothing is lost and the other side sets no lower limit.
const BITRATE: u32 = 32_000;

/// Bits a second, redundancy included, while packets are lost.
const BITRATE_UNDER_LOSS: u32 = 40_000;

/// No 20 ms packet at our rates comes near; the encoder is held to it.
const MAX_PAYLOAD: usize = 1_275;

/// From seven on the encoder looks how wide the sound really is, and spends no bits on what is not there.
const ENCODER_COMPLEXITY: u8 = 9;

/// From five on, what is lost is concealed by the neural vocoder. It works only when something is.
const DECODER_COMPLEXITY: u8 = 5;

/// Tens of milliseconds of the past in each packet while packets are lost: more than any jitter
/// buffer waits for.
const DRED_FRAMES: u8 = 12;

/// From this percentage of loss on, several packets in a row go missing so often that what restores more than one of them is
/// worth more of the bits; libopus gives deep redundancy its share by the loss that it is told, so it is told some more.
const IN_A_ROW: u8 = 15;
const TOLD_MORE: u8 = 10;

/// Below this percentage of loss, redundancy costs more than it brings.
const WORTH_IT: u8 = 1;

/// A sender that pauses says so again every 400 ms (RFC 6716 section 2.1.9); after so many samples, three of that, it is
/// gone.
const LONGEST_PAUSE: usize = 57_600;

/// An encoder goes silent behind ten packets of 20 ms without a voice, never sooner; half of them may have been lost.
const BEFORE_PAUSE: u32 = 5;

/// Samples before a packet that its deep redundancy is trusted to restore: 100 ms.
const DRED_REACH: u32 = 4_800;

/// Wraps libopus' encoder.
pub(super) struct OpusEncoder {
    encoder: Libopus,
    wanted: OpusParameters,
}

impl OpusEncoder {
    pub(super) fn new(wanted: &OpusParameters) -> Result<OpusEncoder, CodecError> {
        let mut encoder = Libopus::new(Channels::Mono, RATE, Application::Voip)?;
        encoder.set_complexity(ENCODER_COMPLEXITY)?;
        // Redundancy exists in the speech mode only: keep the encoder from leaving it.
        encoder.set_signal(Signal::Voice)?;
        encoder.set_dtx(wanted.dtx)?;
        let mut encoder = OpusEncoder {
            encoder,
            wanted: *wanted,
        };
        encoder.set_expected_loss(0)?;
        Ok(encoder)
    }

    fn limit(&self, bitrate: u32) -> u32 {
        let limit = self.wanted.max_average_bitrate;
        limit.map_or(bitrate, |limit| limit.clamp(6_000, bitrate))
    }
}

impl std::fmt::Debug for OpusEncoder {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("OpusEncoder")
            .field("wanted", &self.wanted)
            .finish_non_exhaustive()
    }
}

impl Encoder for OpusEncoder {
    fn encode(&mut self, samples: &[f32], payload: &mut Vec<u8>) -> Result<(), CodecError> {
        payload.resize(MAX_PAYLOAD, 0);
        let written = self.encoder.encode_float_to_slice(samples, payload);
        payload.truncate(*written.as_ref().unwrap_or(&0));
        written?;
        // One or two bytes say "nothing to hear" and need not be sent (RFC 7587 section 3.1.3).
        if payload.len() <= 2 {
            payload.clear();
        }
        Ok(())
    }

    fn set_expected_loss(&mut self, percent: u8) -> Result<(), CodecError> {
        // Who cannot use the one kind says nothing of the other, which is padding to most.
        let repairs = percent >= WORTH_IT && !self.wanted.refuses_fec;
        let (bitrate, fec, frames) = match repairs {
            true => (BITRATE_UNDER_LOSS, InbandFec::Mode1, DRED_FRAMES),
            false => (BITRATE, InbandFec::Off, 0),
        };
        // What redundancy costs is taken from what is above 8 kHz, not from the voice.
        let wanted = match bandwidth(&self.wanted) {
            Bandwidth::Superwide | Bandwidth::Full if repairs => Bandwidth::Wide,
            wanted => wanted,
        };
        self.encoder.set_max_bandwidth(wanted)?;
        self.encoder
            .set_bitrate(Bitrate::Value(self.limit(bitrate)))?;
        self.encoder.set_inband_fec(fec)?;
        self.encoder.set_dred_duration(frames)?;
        let told = match percent {
            IN_A_ROW.. => percent.saturating_add(TOLD_MORE),
            percent => percent,
        };
        Ok(self.encoder.set_packet_loss(told.min(100))?)
    }
}

/// Wraps libopus' decoder and the one for deep redundancy.
pub(super) struct OpusDecoder {
    decoder: Dred,
    /// Packets without a voice in a row, up to what was decoded last.
    voiceless: u32,
    /// Samples of comfort noise made since.
    comforted: usize,
}

impl OpusDecoder {
    pub(super) fn new() -> Result<OpusDecoder, CodecError> {
        let mut decoder = opusic_c::Decoder::new(Channels::Mono, RATE)?;
        decoder.set_complexity(DECODER_COMPLEXITY)?;
        Ok(OpusDecoder {
            decoder: Dred::new(decoder)?,
            voiceless: 0,
            comforted: 0,
        })
    }

    /// Conceal `samples`, with what the packet behind them brings.
    fn make_up(&mut self, following: Option<&[u8]>, samples: &mut [f32]) -> Made {
        let Some(payload) = following else {
            return (self.guess(samples), Concealed::Guessed);
        };
        let redundancy = opus_packet::redundancy(payload);
        let frame = self.duration(payload).unwrap_or_default() as usize;
        let (made, how) = match redundancy {
            // Better than the vocoder, but only for the frame right before.
            Redundancy { inband: true, .. } if samples.len() == frame => {
                let decoder = self.decoder.decoder_mut();
                let made = decoder.decode_float_to_slice(payload, samples, true);
                (made, Concealed::Recovered)
            }
            Redundancy { deep: true, .. } => {
                let made = self.decoder.decode_float_to_slice(payload, samples);
                (made, Concealed::Recovered)
            }
            _ => (self.guess(samples), Concealed::Guessed),
        };
        (made, how)
    }

    fn guess(&mut self, samples: &mut [f32]) -> Result<usize, ErrorCode> {
        let decoder = self.decoder.decoder_mut();
        decoder.decode_float_to_slice(&[], samples, false)
    }
}

type Made = (Result<usize, ErrorCode>, Concealed);

impl std::fmt::Debug for OpusDecoder {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.write_str("OpusDecoder")
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
        match utils::get_nb_samples(payload, RATE) {
            Ok(samples @ 1..=MAX_SAMPLES) => Ok(samples as u32),
            _ => Err(refused()),
        }
    }

    fn redundancy(&self, payload: &[u8]) -> u32 {
        match opus_packet::redundancy(payload) {
            Redundancy { deep: true, .. } => DRED_REACH,
            Redundancy { inband: true, .. } => self.duration(payload).unwrap_or_default(),
            _ => 0,
        }
    }

    fn decode(&mut self, payload: &[u8], samples: &mut Vec<f32>) -> Result<(), CodecError> {
        let duration = self.duration(payload)?;
        samples.clear();
        samples.resize(duration as usize, 0.0);
        let decoder = self.decoder.decoder_mut();
        let decoded = decoder.decode_float_to_slice(payload, samples, false);
        samples.truncate(*decoded.as_ref().unwrap_or(&0));
        decoded?;
        self.voiceless = match opus_packet::is_voiced(payload) {
            Some(false) => self.voiceless.saturating_add(1),
            Some(true) | None => 0,
        };
        self.comforted = 0;
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
        let (made, how) = self.make_up(following, samples);
        samples.truncate(wanted);
        match made {
            Ok(_) => how,
            Err(_) => {
                samples.fill(0.0);
                Concealed::Guessed
            }
        }
    }

    /// libopus goes on with the noise of the room where nothing comes; the vocoder is not asked for that.
    fn comfort(&mut self, count: usize, samples: &mut Vec<f32>) {
        if self.voiceless == 0 || self.comforted >= LONGEST_PAUSE {
            return;
        }
        let from = samples.len();
        let count = count.next_multiple_of(STEP).min(MAX_SAMPLES);
        samples.resize(from + count, 0.0);
        self.comforted += count;
        let decoder = self.decoder.decoder_mut();
        let plain = decoder.set_complexity(0).is_ok();
        if let Some(room) = samples.get_mut(from..)
            && decoder.decode_float_to_slice(&[], room, false).is_err()
        {
            room.fill(0.0);
        }
        if plain {
            // What was possible at the beginning is so now.
            let _ = decoder.set_complexity(DECODER_COMPLEXITY);
        }
    }

    fn foretells_pause(&self) -> bool {
        self.voiceless >= BEFORE_PAUSE
    }
}

/// What the other side can render, and no more (RFC 7587 section 3.1.1).
fn bandwidth(wanted: &OpusParameters) -> Bandwidth {
    match wanted.max_playback_rate {
        Some(..=8_000) => Bandwidth::Narrow,
        Some(8_001..=12_000) => Bandwidth::Medium,
        Some(12_001..=16_000) => Bandwidth::Wide,
        Some(16_001..=24_000) => Bandwidth::Superwide,
        Some(24_001..) | None => Bandwidth::Full,
    }
}

impl From<ErrorCode> for CodecError {
    fn from(error: ErrorCode) -> CodecError {
        CodecError::Library {
            codec: Codec::Opus,
            reason: error.message().to_owned(),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::measure;
    use crate::speech::{room, sentence};

    const FRAME: usize = 960;

    fn tone(frame: usize) -> Vec<f32> {
        (frame * FRAME..(frame + 1) * FRAME)
            .map(|i| 0.3 * (std::f32::consts::TAU * 440.0 * i as f32 / 48_000.0).sin())
            .collect()
    }

    /// Something like a voice: a steady tone is background to the encoder, and not worth restoring.
    fn voice(frame: usize) -> Vec<f32> {
        let at = |i: usize| {
            let t = i as f32 / 48_000.0;
            let syllable = 0.6 + 0.4 * (std::f32::consts::TAU * 4.0 * t).sin();
            let harmonics = (1..20).map(|k| (std::f32::consts::TAU * 140.0 * k as f32 * t).sin());
            0.05 * syllable * harmonics.sum::<f32>()
        };
        (frame * FRAME..(frame + 1) * FRAME).map(at).collect()
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
        let level = measure::tone_dbfs(steady, 48_000, 440.0).unwrap();
        assert!((level - -10.46).abs() < 1.0, "{level}");
    }

    #[test]
    fn redundancy_is_spent_only_once_loss_is_reported() {
        let mut encoder = OpusEncoder::new(&OpusParameters::default()).unwrap();
        let kinds = |payloads: &[Vec<u8>]| {
            let found = payloads.iter().map(|it| opus_packet::redundancy(it));
            let found: Vec<Redundancy> = found.collect();
            let any = |kind: fn(&Redundancy) -> bool| found.iter().any(kind);
            (any(|it| it.inband), any(|it| it.deep))
        };
        let before = encode(&mut encoder, 20);
        assert_eq!(kinds(&before), (false, false));
        encoder.set_expected_loss(20).unwrap();
        let after = encode(&mut encoder, 50);
        assert_eq!(kinds(&after), (true, true));
        encoder.set_expected_loss(0).unwrap();
        let healed = encode(&mut encoder, 50);
        assert_eq!(kinds(&healed[10..]), (false, false));
        let refusing = OpusParameters {
            refuses_fec: true,
            ..OpusParameters::default()
        };
        let mut encoder = OpusEncoder::new(&refusing).unwrap();
        encoder.set_expected_loss(20).unwrap();
        assert_eq!(kinds(&encode(&mut encoder, 50)), (false, false));
    }

    #[test]
    fn a_lost_packet_is_recovered_from_the_next_ones_redundancy() {
        let mut encoder = OpusEncoder::new(&OpusParameters::default()).unwrap();
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
        assert!(measure::tone_dbfs(&samples, 48_000, 440.0).unwrap() > -16.0);
    }

    #[test]
    fn a_decoder_that_knows_no_deep_redundancy_hears_the_sound_all_the_same() {
        let mut encoder = OpusEncoder::new(&OpusParameters::default()).unwrap();
        encoder.set_expected_loss(20).unwrap();
        let mut plain = ::opus::Decoder::new(48_000, ::opus::Channels::Mono).unwrap();
        let mut heard = Vec::new();
        for payload in encode(&mut encoder, 50) {
            let mut samples = [0.0; FRAME];
            let count = plain.decode_float(&payload, &mut samples, false);
            assert_eq!(count.unwrap(), FRAME);
            heard.extend(samples);
        }
        let level = measure::tone_dbfs(&heard[9_600..], 48_000, 440.0).unwrap();
        assert!((level - -10.46).abs() < 1.0, "{level}");
    }

    #[test]
    fn three_packets_lost_in_a_row_are_restored_from_the_one_behind_them() {
        let mut encoder = OpusEncoder::new(&OpusParameters::default()).unwrap();
        encoder.set_expected_loss(30).unwrap();
        let mut payloads = Vec::new();
        for frame in 0..40 {
            let mut payload = Vec::new();
            encoder.encode(&voice(frame), &mut payload).unwrap();
            payloads.push(payload);
        }
        let mut decoder = OpusDecoder::new().unwrap();
        let mut samples = Vec::new();
        for payload in &payloads[..30] {
            decoder.decode(payload, &mut samples).unwrap();
        }
        assert!(decoder.redundancy(&payloads[33]) >= 3 * 960);
        let made = decoder.conceal(Some(&payloads[33]), 3 * 960, &mut samples);
        assert_eq!(made, Concealed::Recovered);
        assert_eq!(samples.len(), 3 * 960);
        let level = measure::level_dbfs(&samples[1_920..]).unwrap();
        let sent = measure::level_dbfs(&voice(32)).unwrap();
        assert!((level - sent).abs() < 6.0, "{level} dB of {sent}");
    }

    /// A second of speech and three of a quiet room: how many frames were not sent, and the levels heard in the last part.
    fn pause(loss: u8) -> (usize, Vec<f64>) {
        let wanted = OpusParameters {
            dtx: true,
            ..OpusParameters::default()
        };
        let mut encoder = OpusEncoder::new(&wanted).unwrap();
        encoder.set_expected_loss(loss).unwrap();
        let mut decoder = OpusDecoder::new().unwrap();
        let (mut quiet, mut silences) = (Vec::new(), 0);
        let (mut payload, mut samples) = (Vec::new(), Vec::new());
        for frame in 0..200 {
            let sound = match frame {
                ..50 => sentence(frame),
                _ => room(frame),
            };
            encoder.encode(&sound, &mut payload).unwrap();
            samples.clear();
            if payload.is_empty() {
                silences += 1;
                decoder.comfort(FRAME, &mut samples);
                assert_eq!(samples.len(), FRAME, "frame {frame}");
            } else {
                decoder.decode(&payload, &mut samples).unwrap();
            }
            if frame >= 120 {
                quiet.push(measure::level_dbfs(&samples).unwrap_or(-120.0));
            }
        }
        (silences, quiet)
    }

    #[test]
    fn while_the_other_side_is_silent_its_room_is_heard() {
        for loss in [0, 5] {
            let (silences, quiet) = pause(loss);
            assert!(silences > 90, "{silences} frames were not sent");
            let sent = measure::level_dbfs(&room(1)).unwrap();
            let least = quiet.iter().copied().fold(0.0, f64::min);
            let most = quiet.iter().copied().fold(-120.0, f64::max);
            assert!(
                least > sent - 15.0 && most < sent + 6.0,
                "{least} to {most} of {sent} dB"
            );
        }
    }

    #[test]
    fn behind_a_voice_there_is_no_comfort_and_behind_a_pause_not_for_ever() {
        let mut encoder = OpusEncoder::new(&OpusParameters::default()).unwrap();
        let mut decoder = OpusDecoder::new().unwrap();
        let (mut payload, mut samples) = (Vec::new(), Vec::new());
        let mut hear = |decoder: &mut OpusDecoder, sound: &[f32]| {
            encoder.encode(sound, &mut payload).unwrap();
            decoder.decode(&payload, &mut samples).unwrap();
            let mut made = 0;
            for _ in 0..500 {
                samples.clear();
                decoder.comfort(FRAME, &mut samples);
                made += samples.len();
            }
            made
        };
        for frame in 0..20 {
            hear(&mut decoder, &voice(frame));
        }
        assert_eq!(hear(&mut decoder, &voice(20)), 0);
        for frame in 0..50 {
            hear(&mut decoder, &room(frame));
        }
        assert_eq!(hear(&mut decoder, &room(50)), LONGEST_PAUSE);
    }

    /// 60 ms made up behind a voice, by a decoder of this complexity, and what was really said there.
    fn concealed(complexity: u8, from: usize, say: fn(usize) -> Vec<f32>) -> (Vec<f32>, Vec<f32>) {
        let mut encoder = OpusEncoder::new(&OpusParameters::default()).unwrap();
        let mut decoder = OpusDecoder::new().unwrap();
        let libopus = decoder.decoder.decoder_mut();
        assert_eq!(libopus.get_complexity().unwrap(), DECODER_COMPLEXITY);
        libopus.set_complexity(complexity).unwrap();
        let (mut payload, mut samples) = (Vec::new(), Vec::new());
        for frame in 0..from {
            encoder.encode(&say(frame), &mut payload).unwrap();
            decoder.decode(&payload, &mut samples).unwrap();
        }
        let mut made = Vec::new();
        for _ in 0..3 {
            assert_eq!(decoder.conceal(None, 960, &mut samples), Concealed::Guessed);
            made.extend(&samples);
        }
        (made, (from..from + 3).flat_map(say).collect())
    }

    /// A vowel whose pitch moves: harmonics under two formants.
    fn vowel(frame: usize) -> Vec<f32> {
        use std::f32::consts::TAU;
        let bell =
            |hertz: f32, middle: f32, width: f32| (-((hertz - middle) / width).powi(2)).exp();
        let level =
            |hertz: f32| bell(hertz, 600.0, 300.0) + 0.5 * bell(hertz, 1_600.0, 400.0) + 0.02;
        let at = |i: usize| {
            let t = i as f32 / 48_000.0;
            let turns = 150.0 * t - 8.0 * (TAU * 0.7 * t).cos();
            let harmonics = (1..25).map(|k| k as f32);
            harmonics
                .map(|k| 0.15 * level(150.0 * k) * (TAU * turns * k).sin())
                .sum()
        };
        (frame * FRAME..(frame + 1) * FRAME).map(at).collect()
    }

    /// How alike 20 ms from the middle of `said` are to those of `made` that are most like them, up to 1.
    fn likeness(made: &[f32], said: &[f32]) -> f32 {
        let dot = |a: &[f32], b: &[f32]| a.iter().zip(b).map(|(a, b)| a * b).sum::<f32>();
        let said = &said[FRAME..2 * FRAME];
        let alike = |made: &[f32]| dot(made, said) / (dot(made, made) * dot(said, said)).sqrt();
        made.windows(FRAME).map(alike).fold(-1.0, f32::max)
    }

    #[test]
    fn what_is_lost_without_help_is_more_of_the_voice_than_plain_concealment_would_leave() {
        let end = |samples: &[f32]| measure::level_dbfs(&samples[2 * FRAME..]).unwrap_or(-120.0);
        for from in [25, 33, 41] {
            let (deep, said) = concealed(DECODER_COMPLEXITY, from, vowel);
            let (plain, _) = concealed(0, from, vowel);
            let (deep, plain, said) = (end(&deep), end(&plain), end(&said));
            assert!(
                deep > plain + 6.0 && deep > said - 16.0,
                "after 40 ms: {deep} and {plain} of {said} dB"
            );
            let (deep, said) = concealed(DECODER_COMPLEXITY, from + 4, voice);
            let (plain, _) = concealed(0, from + 4, voice);
            let (deep, plain) = (likeness(&deep, &said), likeness(&plain, &said));
            assert!(deep > plain + 0.05 && deep > 0.6, "{deep} and {plain}");
        }
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
