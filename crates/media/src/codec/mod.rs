//! The codecs a call can speak, each behind the same pair of traits.
//!
//! [`Codec`] is the name a negotiation agrees on; [`Codec::encoder`] and [`Codec::decoder`] make
//! the machines. Samples here are mono `f32` in `-1.0..=1.0` at the codec's own
//! [`Codec::sample_rate`].

mod conceal;
mod g711;
mod g722;
mod opus;
mod opus_packet;
mod shape;

use std::fmt;
use std::str::FromStr;

use thiserror::Error;

use crate::sdp::OpusParameters;
use g711::{G711Decoder, G711Encoder, Law};

/// A codec we can speak.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub enum Codec {
    /// Opus, mono at 48 kHz (RFC 6716, RFC 7587).
    Opus,
    /// G.722 at 64 kbit/s, 16 kHz under an RTP clock of 8 kHz (RFC 3551 section 4.5.2).
    G722,
    /// G.711 µ-law at 8 kHz (RFC 3551 section 4.5.14).
    Pcmu,
    /// G.711 A-law at 8 kHz (RFC 3551 section 4.5.14).
    Pcma,
}

impl Codec {
    /// Our preference when nobody says otherwise.
    pub const DEFAULT: [Codec; 4] = [Codec::Opus, Codec::G722, Codec::Pcmu, Codec::Pcma];

    /// Samples a second of the decoded sound, in hertz.
    pub fn sample_rate(self) -> u32 {
        match self {
            Codec::Opus => 48_000,
            Codec::G722 => 16_000,
            Codec::Pcmu | Codec::Pcma => 8_000,
        }
    }

    /// Ticks a second of the codec's RTP clock, in hertz: the sample rate, but for G.722.
    pub fn clock_rate(self) -> u32 {
        match self {
            Codec::Opus => 48_000,
            Codec::G722 | Codec::Pcmu | Codec::Pcma => 8_000,
        }
    }

    /// The encoding name of `a=rtpmap`.
    pub fn encoding_name(self) -> &'static str {
        match self {
            Codec::Opus => "opus",
            Codec::G722 => "G722",
            Codec::Pcmu => "PCMU",
            Codec::Pcma => "PCMA",
        }
    }
}

impl Codec {
    /// A coder for what we send. `wanted` binds the Opus coder only.
    pub fn encoder(self, wanted: &OpusParameters) -> Result<Box<dyn Encoder>, CodecError> {
        Ok(match self {
            Codec::Opus => Box::new(opus::OpusEncoder::new(wanted)?),
            Codec::G722 => Box::new(g722::G722Encoder::new()),
            Codec::Pcmu => Box::new(G711Encoder::new(Law::Mu)),
            Codec::Pcma => Box::new(G711Encoder::new(Law::A)),
        })
    }

    /// A decoder for what we receive.
    pub fn decoder(self) -> Result<Box<dyn Decoder>, CodecError> {
        Ok(match self {
            Codec::Opus => Box::new(opus::OpusDecoder::new()?),
            Codec::G722 => Box::new(g722::G722Decoder::new()),
            Codec::Pcmu => Box::new(G711Decoder::new(Law::Mu)),
            Codec::Pcma => Box::new(G711Decoder::new(Law::A)),
        })
    }
}

/// Makes payloads of sound.
pub trait Encoder: fmt::Debug + Send {
    /// Code one 20 ms frame at the codec's rate into `payload`, whose content is replaced. An empty
    /// payload means that there is nothing to send.
    fn encode(&mut self, samples: &[f32], payload: &mut Vec<u8>) -> Result<(), CodecError>;

    /// The other side loses this share of our packets, 0 to 100 percent: codecs that can, spend
    /// redundancy on it.
    fn set_expected_loss(&mut self, percent: u8) -> Result<(), CodecError> {
        let _ = percent;
        Ok(())
    }
}

/// Makes sound of payloads. Durations are ticks of the codec's RTP clock ([`Codec::clock_rate`]).
pub trait Decoder: fmt::Debug + Send {
    /// Ticks of sound that [`Decoder::decode`] would make of this payload, 1 to 120 ms of them. An
    /// error: the payload is not this codec's.
    fn duration(&self, payload: &[u8]) -> Result<u32, CodecError>;

    /// Ticks of sound right before this payload's own that it can restore; 0 for most.
    fn redundancy(&self, payload: &[u8]) -> u32 {
        let _ = payload;
        0
    }

    /// Decode a payload; the content of `samples` is replaced.
    fn decode(&mut self, payload: &[u8], samples: &mut Vec<f32>) -> Result<(), CodecError>;

    /// Make up `duration` ticks (120 ms at most) for a lost packet; the content of `samples` is
    /// replaced. `following` is the packet right behind the lost one, if it is here.
    fn conceal(
        &mut self,
        following: Option<&[u8]>,
        duration: u32,
        samples: &mut Vec<f32>,
    ) -> Concealed;

    /// The sender has paused, as the codec's own payloads foretold: append some `count` samples of what its room sounds
    /// like. Nothing is appended where they told of no pause.
    fn comfort(&mut self, count: usize, samples: &mut Vec<f32>) {
        let _ = (count, samples);
    }

    /// Whether what was decoded last lets a pause of the sender be expected: nothing behind it is nothing lost.
    fn foretells_pause(&self) -> bool {
        false
    }
}

/// How a lost packet was made up for.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Concealed {
    /// From the redundancy in the packet behind it.
    Recovered,
    /// From what was heard before.
    Guessed,
}

impl fmt::Display for Codec {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Codec::Opus => "opus",
            Codec::G722 => "g722",
            Codec::Pcmu => "pcmu",
            Codec::Pcma => "pcma",
        })
    }
}

/// The word is not a codec we know.
#[derive(Debug, Clone, PartialEq, Eq, Error)]
#[error("unknown codec {0:?}: known are opus, g722, pcmu and pcma")]
pub struct UnknownCodec(pub String);

impl FromStr for Codec {
    type Err = UnknownCodec;

    fn from_str(word: &str) -> Result<Self, Self::Err> {
        match word.trim().to_ascii_lowercase().as_str() {
            "opus" => Ok(Codec::Opus),
            "g722" => Ok(Codec::G722),
            "pcmu" | "ulaw" | "g711u" => Ok(Codec::Pcmu),
            "pcma" | "alaw" | "g711a" => Ok(Codec::Pcma),
            _ => Err(UnknownCodec(word.to_owned())),
        }
    }
}

/// Why a codec could not do its work.
#[derive(Debug, Error)]
pub enum CodecError {
    /// The library behind the codec refused.
    #[error("{codec}: {reason}")]
    Library {
        /// Which codec.
        codec: Codec,
        /// The library's words.
        reason: String,
    },
    /// The payload is not one of this codec's.
    #[error("{codec}: a payload of {bytes} bytes cannot be decoded")]
    Payload {
        /// Which codec.
        codec: Codec,
        /// Its length.
        bytes: usize,
    },
}
