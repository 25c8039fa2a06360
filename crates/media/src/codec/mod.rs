//! The codecs a call can speak, each behind the same pair of traits.
//!
//! [`Codec`] is the name a negotiation agrees on; [`Codec::encoder`] and [`Codec::decoder`] make
//! the machines. Samples here are mono `f32` in `-1.0..=1.0` at the codec's own
//! [`Codec::sample_rate`].

mod conceal;
mod opus;
mod pcmu;

use std::fmt;
use std::str::FromStr;

use thiserror::Error;

use crate::sdp::OpusParameters;

/// A codec we can speak.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub enum Codec {
    /// Opus, mono at 48 kHz (RFC 6716, RFC 7587).
    Opus,
    /// G.711 µ-law at 8 kHz (RFC 3551 section 4.5.14).
    Pcmu,
}

impl Codec {
    /// Our preference when nobody says otherwise.
    pub const DEFAULT: [Codec; 2] = [Codec::Opus, Codec::Pcmu];

    /// Samples a second of the decoded sound, in hertz. Both codecs' RTP clock runs at this rate.
    pub fn sample_rate(self) -> u32 {
        match self {
            Codec::Opus => 48_000,
            Codec::Pcmu => 8_000,
        }
    }

    /// The encoding name of `a=rtpmap`.
    pub fn encoding_name(self) -> &'static str {
        match self {
            Codec::Opus => "opus",
            Codec::Pcmu => "PCMU",
        }
    }
}

impl Codec {
    /// A coder for what we send. `wanted` binds the Opus coder only.
    pub fn encoder(self, wanted: &OpusParameters) -> Result<Box<dyn Encoder>, CodecError> {
        Ok(match self {
            Codec::Opus => Box::new(opus::OpusEncoder::new(wanted)?),
            Codec::Pcmu => Box::new(pcmu::PcmuEncoder),
        })
    }

    /// A decoder for what we receive.
    pub fn decoder(self) -> Result<Box<dyn Decoder>, CodecError> {
        Ok(match self {
            Codec::Opus => Box::new(opus::OpusDecoder::new()?),
            Codec::Pcmu => Box::new(pcmu::PcmuDecoder::new()),
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

/// Makes sound of payloads.
pub trait Decoder: fmt::Debug + Send {
    /// Samples that [`Decoder::decode`] would make of this payload, at the codec's rate, 1 to
    /// 120 ms of them. An error: the payload is not this codec's.
    fn duration(&self, payload: &[u8]) -> Result<u32, CodecError>;

    /// Decode a payload; the content of `samples` is replaced.
    fn decode(&mut self, payload: &[u8], samples: &mut Vec<f32>) -> Result<(), CodecError>;

    /// Make up `duration` samples (120 ms at most) for a lost packet; the content of `samples` is
    /// replaced. `following` is the packet right behind the lost one, if it is here.
    fn conceal(
        &mut self,
        following: Option<&[u8]>,
        duration: u32,
        samples: &mut Vec<f32>,
    ) -> Concealed;
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
            Codec::Pcmu => "pcmu",
        })
    }
}

/// The word is not a codec we know.
#[derive(Debug, Clone, PartialEq, Eq, Error)]
#[error("unknown codec {0:?}: known are opus and pcmu")]
pub struct UnknownCodec(pub String);

impl FromStr for Codec {
    type Err = UnknownCodec;

    fn from_str(word: &str) -> Result<Self, Self::Err> {
        match word.trim().to_ascii_lowercase().as_str() {
            "opus" => Ok(Codec::Opus),
            "pcmu" | "ulaw" | "g711u" => Ok(Codec::Pcmu),
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
