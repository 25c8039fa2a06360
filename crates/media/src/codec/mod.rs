//! The codecs a call can speak, each behind the same pair of traits.
//!
//! [`Codec`] is the name a negotiation agrees on; [`Codec::encoder`] and [`Codec::decoder`] make
//! the machines. Samples here are mono `f32` in `-1.0..=1.0` at the codec's own
//! [`Codec::sample_rate`].

use std::fmt;
use std::str::FromStr;

use thiserror::Error;

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
}
