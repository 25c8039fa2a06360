//! SDP offer and answer (RFC 3264, RFC 8866) for one audio stream.

use std::net::SocketAddr;

use thiserror::Error;

use crate::codec::Codec;

/// Who may send in one stream, seen from the side that says it (RFC 8866 section 6.7).
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, Default)]
pub enum Direction {
    /// Both ways.
    #[default]
    SendRecv,
    /// We send and play nothing: the other side is on hold.
    SendOnly,
    /// We play and send nothing.
    RecvOnly,
    /// Neither.
    Inactive,
}

impl Direction {
    /// True when this side sends.
    pub fn sends(self) -> bool {
        matches!(self, Direction::SendRecv | Direction::SendOnly)
    }

    /// True when this side receives.
    pub fn receives(self) -> bool {
        matches!(self, Direction::SendRecv | Direction::RecvOnly)
    }

    /// The same stream seen from the other side.
    pub fn reversed(self) -> Direction {
        Direction::of(self.receives(), self.sends())
    }

    /// What both allow.
    pub fn and(self, other: Direction) -> Direction {
        Direction::of(
            self.sends() && other.sends(),
            self.receives() && other.receives(),
        )
    }

    fn of(sends: bool, receives: bool) -> Direction {
        match (sends, receives) {
            (true, true) => Direction::SendRecv,
            (true, false) => Direction::SendOnly,
            (false, true) => Direction::RecvOnly,
            (false, false) => Direction::Inactive,
        }
    }
}

/// Our end of the session description.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Local {
    /// Where we receive RTP.
    pub rtp: SocketAddr,
    /// `o=` session id: one number for the whole call.
    pub session_id: u64,
    /// `o=` version: one more with every changed description of the same call (RFC 3264 section 8).
    pub session_version: u64,
}

impl Local {
    /// The first description of a call.
    pub fn new(rtp: SocketAddr, session_id: u64) -> Local {
        Local {
            rtp,
            session_id,
            session_version: 1,
        }
    }
}

/// What the other side's `a=fmtp` asks of our Opus encoder (RFC 7587 section 6.1).
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub struct OpusParameters {
    /// It can use in-band forward error correction.
    pub inband_fec: bool,
    /// It prefers that we stop sending in silence.
    pub dtx: bool,
    /// The highest bit rate it wants, in bits a second.
    pub max_average_bitrate: Option<u32>,
    /// The highest rate it can render, in hertz: sending more is waste.
    pub max_playback_rate: Option<u32>,
}

/// What both sides agreed on.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Negotiated {
    /// The codec of both directions.
    pub codec: Codec,
    /// Payload type to put on what we send.
    pub send_payload_type: u8,
    /// Payload type of what we receive.
    pub receive_payload_type: u8,
    /// Where the other side says it receives RTP. Unspecified (0.0.0.0) when it is on hold the old
    /// way; [`Negotiated::direction`] then says that we do not send.
    pub remote: SocketAddr,
    /// What we do: send, receive, both or neither.
    pub direction: Direction,
    /// What the other side asks of our Opus encoder.
    pub opus: OpusParameters,
}

/// Why a description cannot be used.
#[derive(Debug, Clone, PartialEq, Eq, Error)]
#[non_exhaustive]
pub enum SdpError {
    /// Longer than we read.
    #[error("the session description has {0} bytes, more than {MAX_BYTES}")]
    TooLarge(usize),
    /// Not SDP.
    #[error("the session description is malformed: {0}")]
    Malformed(String),
    /// More streams than we look at.
    #[error("the session description has {0} media lines, more than {MAX_MEDIA}")]
    TooManyMedia(usize),
    /// No `m=audio` line, or it is switched off with port 0.
    #[error("the session description offers no audio")]
    NoAudio,
    /// The audio is not plain RTP.
    #[error("the audio wants {0}, only RTP/AVP is spoken here")]
    UnsupportedTransport(String),
    /// No codec in common.
    #[error("no codec in common: the other side offers {0}")]
    NoCommonCodec(String),
    /// No usable address for the audio.
    #[error("the audio has no usable address: {0}")]
    NoAddress(String),
    /// The answer does not fit our offer.
    #[error("the answer does not fit the offer: {0}")]
    NotOurOffer(String),
}

impl SdpError {
    /// The SIP response code that says this: 400 for what is not SDP, else 488 Not Acceptable Here.
    pub fn status(&self) -> u16 {
        match self {
            SdpError::Malformed(_) | SdpError::TooLarge(_) => 400,
            _ => 488,
        }
    }
}

/// The longest description we read, in bytes.
pub const MAX_BYTES: usize = 16 * 1024;

/// The most `m=` lines we read.
pub const MAX_MEDIA: usize = 16;

/// Describe the stream we propose: `codecs` in order of preference, ptime 20.
pub fn offer(local: &Local, codecs: &[Codec], direction: Direction) -> Vec<u8> {
    let _ = (local, codecs, direction);
    Vec::new()
}

/// Answer an offer: the first codec of theirs that is also in `codecs`, `direction` at most.
///
/// Streams we do not take are refused with port 0, in place (RFC 3264 section 6).
pub fn answer(
    offer: &[u8],
    local: &Local,
    codecs: &[Codec],
    direction: Direction,
) -> Result<(Vec<u8>, Negotiated), SdpError> {
    let _ = (offer, local, codecs, direction);
    Err(SdpError::NoAudio)
}

/// Read the answer to our `offer(_, codecs, direction)`.
pub fn accept(
    answer: &[u8],
    codecs: &[Codec],
    direction: Direction,
) -> Result<Negotiated, SdpError> {
    let _ = (answer, codecs, direction);
    Err(SdpError::NoAudio)
}
