//! SDP offer and answer (RFC 3264, RFC 8866) for one audio stream.
//!
//! Owns the agreement: codec, payload types, addresses, direction. Refuses, with a reason and a SIP
//! status, what it cannot honour. Video and everything else offered beside the audio is declined in
//! place. Hold is a [`Direction`]: we hold by offering [`Direction::SendOnly`], we are held when
//! the negotiated direction does not send.

mod crypto;
#[cfg(test)]
mod crypto_tests;
mod direction;
mod format;
#[cfg(test)]
mod tests;

use std::net::{IpAddr, SocketAddr};

use sdp_types::{Attribute, Connection, Media, Origin, Session, Time};
use thiserror::Error;

use crate::codec::Codec;
use crate::dtmf::TelephoneEvents;
use crate::srtp::{Keys, Policy};
use crypto::CryptoLine;
use format::{EventFormat, Format};

pub use crypto::Security;
pub use direction::{Direction, NotADirection};

/// Our end of the session description.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Local {
    /// Where we receive RTP.
    pub rtp: SocketAddr,
    /// `o=` session id: one number for the whole call.
    pub session_id: u64,
    /// `o=` version: one more with every changed description of the same call (RFC 3264 section 8).
    pub session_version: u64,
    /// What we say about encryption.
    pub security: Security,
}

impl Local {
    /// The first description of a call, in the open.
    pub fn new(rtp: SocketAddr, session_id: u64) -> Local {
        Local {
            rtp,
            session_id,
            session_version: 1,
            security: Security::default(),
        }
    }

    /// The same with encryption.
    #[must_use]
    pub fn secured(self, security: Security) -> Local {
        Local { security, ..self }
    }
}

/// What the other side's `a=fmtp` asks of our Opus encoder (RFC 7587 section 6.1).
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub struct OpusParameters {
    /// It says in so many words that it has no use for in-band forward error correction. Who says nothing of it takes it as
    /// well, for every receiver must; and Asterisk says nothing, whatever the phone behind it can do.
    pub refuses_fec: bool,
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
    /// Under which further payload types sound may come, and in which codec: the formats of an answer that lists several, to
    /// any of which the other side may change without a word (RFC 3264 section 7).
    pub alternatives: Vec<(u8, Codec)>,
    /// Where the other side says it receives RTP. Unspecified (0.0.0.0) when it is on hold the old
    /// way; [`Negotiated::direction`] then says that we do not send.
    pub remote: SocketAddr,
    /// What we do: send, receive, both or neither.
    pub direction: Direction,
    /// What the other side asks of our Opus encoder.
    pub opus: OpusParameters,
    /// How digits are told, where both sides know telephone events (RFC 4733).
    pub telephone_events: Option<TelephoneEvents>,
    /// How reports travel.
    pub rtcp: RtcpParameters,
    /// The keys of RTP and RTCP; none when they travel in the open.
    pub srtp: Option<Keys>,
}

/// What both sides agreed on about RTCP.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub struct RtcpParameters {
    /// Reports travel between the RTP ports (RFC 5761).
    pub mux: bool,
    /// Where the other side wants reports (RFC 3605); none: at the port above its RTP.
    pub remote: Option<SocketAddr>,
    /// It wants to be told VoIP metrics (RFC 3611 section 5).
    pub voip_metrics: bool,
}

impl Negotiated {
    /// The least that two sides can agree on: one codec under one number, both ways.
    pub fn plain(codec: Codec, payload_type: u8, remote: SocketAddr) -> Negotiated {
        Negotiated {
            codec,
            send_payload_type: payload_type,
            receive_payload_type: payload_type,
            alternatives: Vec::new(),
            remote,
            direction: Direction::SendRecv,
            opus: OpusParameters::default(),
            telephone_events: None,
            rtcp: RtcpParameters::default(),
            srtp: None,
        }
    }

    /// The codec of sound that comes under this payload type; none when it is not one that was agreed on.
    pub fn codec_of(&self, payload_type: u8) -> Option<Codec> {
        // Ours by RFC 3264 section 5.1, theirs from those who use one number both ways.
        if [self.receive_payload_type, self.send_payload_type].contains(&payload_type) {
            return Some(self.codec);
        }
        let is_meant = |(number, _): &&(u8, Codec)| *number == payload_type;
        let meant = self.alternatives.iter().find(is_meant);
        meant.map(|(_, codec)| *codec)
    }

    /// True when packets of this payload type tell of keys.
    pub fn is_telephone_event(&self, payload_type: u8) -> bool {
        let events = self.telephone_events.as_ref();
        events.is_some_and(|events| events.receive_payload_types.contains(&payload_type))
    }
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
    /// The audio's transport is none of RTP's, or one that the policy does not take.
    #[error("the audio wants {0}, which is not spoken here")]
    UnsupportedTransport(String),
    /// The audio would travel in the open though the policy says that it must not.
    #[error("the audio would not be encrypted, and it must be")]
    NotEncrypted,
    /// The audio is to be encrypted in a way that we do not know.
    #[error("no way of encryption in common")]
    NoCommonCrypto,
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
    let formats: Vec<Format> = codecs.iter().copied().map(Format::offered).collect();
    let events = EventFormat::offered(codecs);
    let audio = Audio {
        proto: local.security.transport(),
        formats: &formats,
        events: &events,
        crypto: &local.security.offered(),
        direction,
        rtcp_mux: true,
    };
    write(local, vec![audio.describe(local)])
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
    let theirs = parse(offer)?;
    let (index, remote) = find_audio(&theirs, local.security.policy())?;
    let (crypto, keys) = local.security.answered(&remote.crypto).unzip();
    remote.check_keys(&keys, local.security.policy())?;
    let format = remote
        .formats
        .iter()
        .find(|format| codecs.contains(&format.codec))
        .ok_or_else(|| remote.no_common_codec())?;
    let events = EventFormat::fitting(&remote.events, format.codec);
    let direction = remote.direction.reversed().and(direction);

    let medias = theirs.medias.iter().enumerate().map(|(i, media)| {
        if i == index {
            let audio = Audio {
                proto: &media.proto,
                formats: &[format.answered()],
                events: events.as_slice(),
                crypto: crypto.as_slice(),
                direction,
                rtcp_mux: remote.rtcp.mux,
            };
            audio.describe(local)
        } else {
            declined(media)
        }
    });
    let bytes = write(local, medias.collect());
    let negotiated = Negotiated {
        codec: format.codec,
        send_payload_type: format.payload_type,
        receive_payload_type: format.payload_type,
        // Our answer lists this one alone.
        alternatives: Vec::new(),
        remote: remote.address,
        direction,
        opus: format.opus,
        telephone_events: events.map(|events| TelephoneEvents {
            send_payload_type: events.payload_type,
            clock_rate: events.clock_rate,
            receive_payload_types: vec![events.payload_type],
        }),
        rtcp: remote.rtcp,
        srtp: keys,
    };
    Ok((bytes, negotiated))
}

/// Read the answer to our `offer(local, codecs, direction)`.
pub fn accept(
    answer: &[u8],
    local: &Local,
    codecs: &[Codec],
    direction: Direction,
) -> Result<Negotiated, SdpError> {
    let theirs = parse(answer)?;
    if theirs.medias.len() != 1 {
        let count = theirs.medias.len();
        return Err(SdpError::NotOurOffer(format!(
            "one media line was offered, {count} came back"
        )));
    }
    let policy = local.security.policy();
    let (_, remote) = find_audio(&theirs, policy)?;
    let keys = local.security.settled(&remote.crypto);
    // What stands in an answer was chosen: a line that fits none of ours is no line to pass over.
    if keys.is_none() && remote.has_keys && policy != Policy::Off {
        return Err(SdpError::NoCommonCrypto);
    }
    remote.check_keys(&keys, policy)?;
    let format = remote
        .formats
        .iter()
        .find(|format| codecs.contains(&format.codec))
        .ok_or_else(|| remote.no_common_codec())?;
    Ok(Negotiated {
        codec: format.codec,
        send_payload_type: format.payload_type,
        receive_payload_type: Format::offered(format.codec).payload_type,
        alternatives: remote.alternatives(format.codec, codecs),
        remote: remote.address,
        direction: remote.direction.reversed().and(direction),
        opus: format.opus,
        telephone_events: remote.telephone_events(format.codec, codecs),
        rtcp: remote.rtcp,
        srtp: keys,
    })
}

/// The other side's audio stream, read and checked.
struct RemoteAudio {
    address: SocketAddr,
    direction: Direction,
    formats: Vec<Format>,
    events: Vec<EventFormat>,
    rtcp: RtcpParameters,
    /// Its transport says that it is encrypted.
    is_secured: bool,
    /// It says something about keys.
    has_keys: bool,
    /// What we can use of that.
    crypto: Vec<CryptoLine>,
    offered: String,
}

impl RemoteAudio {
    fn read(session: &Session, media: &Media) -> Result<RemoteAudio, SdpError> {
        let address = address(session, media)?;
        let mut direction = direction_of(session, media);
        if address.ip().is_unspecified() {
            // Hold as RFC 2543 wrote it: nowhere to send to.
            direction = Direction::of(direction.sends(), false);
        }
        Ok(RemoteAudio {
            address,
            direction,
            formats: format::read(media),
            events: format::read_events(media),
            rtcp: rtcp(media, address),
            is_secured: media.proto.contains("SAVP"),
            has_keys: crypto::is_offered(media),
            crypto: crypto::read(media),
            offered: format::names(media),
        })
    }

    /// Encryption that was promised and cannot be, or that must be and was not promised, is no call.
    fn check_keys(&self, keys: &Option<Keys>, policy: Policy) -> Result<(), SdpError> {
        match (keys, policy) {
            (Some(_), _) => Ok(()),
            (None, _) if self.is_secured => Err(SdpError::NoCommonCrypto),
            (None, Policy::Required) => Err(SdpError::NotEncrypted),
            (None, Policy::Off | Policy::Optional) => Ok(()),
        }
    }

    /// What their answer to our offer of `codecs` says about keys: ours may come under the numbers we offered, and
    /// under theirs from those who use one number both ways.
    fn telephone_events(&self, codec: Codec, codecs: &[Codec]) -> Option<TelephoneEvents> {
        let chosen = EventFormat::fitting(&self.events, codec)?;
        let ours = EventFormat::offered(codecs);
        let numbers = ours.iter().chain(&self.events);
        Some(TelephoneEvents {
            send_payload_type: chosen.payload_type,
            clock_rate: chosen.clock_rate,
            receive_payload_types: numbers.map(|format| format.payload_type).collect(),
        })
    }

    /// Under which numbers others of `codecs` than the chosen one may come by their answer to our offer: our own numbers, and
    /// theirs from those who use one number both ways.
    fn alternatives(&self, chosen: Codec, codecs: &[Codec]) -> Vec<(u8, Codec)> {
        let is_common = |format: &&Format| format.codec != chosen && codecs.contains(&format.codec);
        let common = || self.formats.iter().filter(is_common).copied();
        let ours = common().map(|format| Format::offered(format.codec));
        let mut numbers: Vec<(u8, Codec)> = Vec::new();
        for format in ours.chain(common()) {
            if numbers
                .iter()
                .all(|(number, _)| *number != format.payload_type)
            {
                numbers.push((format.payload_type, format.codec));
            }
        }
        numbers
    }

    fn no_common_codec(&self) -> SdpError {
        SdpError::NoCommonCodec(self.offered.clone())
    }
}

fn parse(bytes: &[u8]) -> Result<Session, SdpError> {
    if bytes.len() > MAX_BYTES {
        return Err(SdpError::TooLarge(bytes.len()));
    }
    let session = Session::parse(bytes).map_err(|error| SdpError::Malformed(error.to_string()))?;
    match session.medias.len() {
        0..=MAX_MEDIA => Ok(session),
        count => Err(SdpError::TooManyMedia(count)),
    }
}

/// The first audio stream that we can take, and where it stands. When there is none, the reason
/// that belongs to the first audio line.
fn find_audio(session: &Session, policy: Policy) -> Result<(usize, RemoteAudio), SdpError> {
    let mut refusal = None;
    let live = |media: &&Media| media.media == "audio" && media.port != 0;
    for (index, media) in session.medias.iter().enumerate() {
        if !live(&media) {
            continue;
        }
        let read = match media.proto.as_str() {
            "RTP/AVP" | "RTP/AVPF" => RemoteAudio::read(session, media),
            "RTP/SAVP" | "RTP/SAVPF" if policy != Policy::Off => RemoteAudio::read(session, media),
            other => Err(SdpError::UnsupportedTransport(other.to_owned())),
        };
        match read {
            Ok(audio) => return Ok((index, audio)),
            Err(error) => refusal = refusal.or(Some(error)),
        }
    }
    Err(refusal.unwrap_or(SdpError::NoAudio))
}

fn address(session: &Session, media: &Media) -> Result<SocketAddr, SdpError> {
    let connection = media
        .connections
        .first()
        .or(session.connection.as_ref())
        .ok_or_else(|| SdpError::NoAddress("there is no c= line".to_owned()))?;
    let ip: IpAddr = connection
        .connection_address
        .parse()
        .map_err(|_| SdpError::NoAddress(connection.connection_address.clone()))?;
    if ip.is_multicast() {
        return Err(SdpError::NoAddress(format!("{ip} is a multicast address")));
    }
    Ok(SocketAddr::new(ip, media.port))
}

/// The stream's own direction, else the session's, else both ways (RFC 8866 section 6.7).
fn direction_of(session: &Session, media: &Media) -> Direction {
    [&media.attributes, &session.attributes]
        .into_iter()
        .flatten()
        .find_map(|attribute| attribute.attribute.parse().ok())
        .unwrap_or_default()
}

/// `a=rtcp-mux`, `a=rtcp:PORT [IN IP4 ADDRESS]` and `a=rtcp-xr:...` of a stream. Another host than RTP's own is not
/// taken: nobody else asked for our reports.
fn rtcp(media: &Media, rtp: SocketAddr) -> RtcpParameters {
    let value = |name: &str| {
        let named = |attribute: &&Attribute| attribute.attribute == name;
        media.attributes.iter().find(named)?.value.as_deref()
    };
    let remote = value("rtcp").and_then(|text| {
        let mut words = text.split_ascii_whitespace();
        let port = words.next()?.parse().ok().filter(|port| *port != 0)?;
        let ip = match words.nth(2) {
            Some(address) => address.parse().ok()?,
            None => rtp.ip(),
        };
        (ip == rtp.ip()).then(|| SocketAddr::new(ip, port))
    });
    let mut names = media.attributes.iter();
    RtcpParameters {
        mux: names.any(|attribute| attribute.attribute == "rtcp-mux"),
        remote,
        voip_metrics: value("rtcp-xr").is_some_and(|blocks| blocks.contains(VOIP_METRICS)),
    }
}

fn write(local: &Local, medias: Vec<Media>) -> Vec<u8> {
    let ip = local.rtp.ip();
    let mut origin = Origin::with_ip_addr(local.session_id, local.session_version, ip);
    origin.set_username("-");
    let mut session = Session::new(origin, "-");
    session.set_connection(Connection::from_ip_addr(ip));
    session.add_time(Time::new(0, 0));
    session.add_medias(medias);
    let mut bytes = Vec::with_capacity(512);
    // Writing to a Vec has no way to fail; an empty body would only be refused by the other side.
    let _ = session.write(&mut bytes);
    bytes
}

/// Our own audio line.
struct Audio<'a> {
    proto: &'a str,
    formats: &'a [Format],
    events: &'a [EventFormat],
    crypto: &'a [CryptoLine],
    direction: Direction,
    rtcp_mux: bool,
}

impl Audio<'_> {
    fn describe(&self, local: &Local) -> Media {
        let sound = self.formats.iter().map(|format| format.payload_type);
        let numbers: Vec<String> = sound
            .chain(self.events.iter().map(|format| format.payload_type))
            .map(|number| number.to_string())
            .collect();
        let mut media = empty("audio", local.rtp.port(), self.proto, &numbers.join(" "));
        for format in self.formats {
            format.write(&mut media);
        }
        for format in self.events {
            format.write(&mut media);
        }
        for line in self.crypto {
            line.write(&mut media);
        }
        media.add_attribute_with_value("ptime", PTIME_MS);
        media.add_attribute_from_str(self.direction);
        if self.rtcp_mux {
            media.add_attribute_from_str("rtcp-mux");
        }
        media.add_attribute_with_value("rtcp-xr", VOIP_METRICS);
        media
    }
}

/// The same line with port 0: not taken.
fn declined(media: &Media) -> Media {
    empty(&media.media, 0, &media.proto, &media.fmt)
}

fn empty(media: &str, port: u16, proto: &str, fmt: &str) -> Media {
    Media {
        media: media.to_owned(),
        port,
        num_ports: None,
        proto: proto.to_owned(),
        fmt: fmt.to_owned(),
        media_title: None,
        connections: Vec::new(),
        bandwidths: Vec::new(),
        key: None,
        attributes: Vec::new(),
    }
}

/// The extended report that we understand.
const VOIP_METRICS: &str = "voip-metrics";

/// Sound in each packet we send, in milliseconds.
const PTIME_MS: u32 = 20;
