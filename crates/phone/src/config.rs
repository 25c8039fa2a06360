//! An engine's fixed settings.

use std::net::{IpAddr, SocketAddr};
use std::path::PathBuf;
use std::str::FromStr;
use std::time::Duration;

use rollcall_audio::AudioChoice;
use rollcall_media::codec::Codec;
use rollcall_media::srtp::Policy;

use crate::Route;

/// How keys that are pressed reach the other side.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub enum DtmfMode {
    /// Within the sound: as telephone events (RFC 4733) where the other side knows them, else as tones.
    #[default]
    Rtp,
    /// By INFO (`application/dtmf-relay`), for a PBX that listens to nothing else.
    Info,
}

impl FromStr for DtmfMode {
    type Err = &'static str;

    fn from_str(word: &str) -> Result<Self, Self::Err> {
        match word {
            "rtp" => Ok(Self::Rtp),
            "info" => Ok(Self::Info),
            _ => Err("keys are sent by rtp or info"),
        }
    }
}

/// An engine's fixed settings.
#[derive(Debug, Clone)]
pub struct EngineConfig {
    /// Where sound comes from and goes to.
    pub audio: AudioChoice,
    /// Codecs to offer, best first.
    pub codecs: Vec<Codec>,
    /// Whether sound is encrypted with keys in SDP. Off by default: such keys are as safe as SIP's transport, and not
    /// every PBX takes them.
    pub srtp: Policy,
    /// How keys reach the other side.
    pub dtmf: DtmfMode,
    /// The local address of SIP and RTP, whatever changes. By default the one that `route` names.
    pub bind: Option<IpAddr>,
    /// Which local address leads to the registrar; the system's routing table by default.
    pub route: Route,
    /// Program and version in the User-Agent header; the device id follows in brackets.
    pub product: String,
    /// How often [`crate::PhoneEvent::Vitals`] comes. One second by default.
    pub vitals_every: Duration,
    /// Whether [`crate::PhoneEvent::Levels`] comes during calls. Not by default.
    pub levels: bool,
    /// Calls at once; further incoming ones are answered 486. Two by default.
    pub max_calls: usize,
    /// Answer incoming calls at once.
    pub auto_answer: bool,
    /// SIP's base round-trip estimate T1 (RFC 3261 section 17.1.1.2): 500 ms, shorter in tests. A request without
    /// an answer fails after 64 of it.
    pub sip_t1: Duration,
    /// The one authority whose certificates are trusted, as a PEM file; the system's own by default.
    pub trusted_ca: Option<PathBuf>,
    /// The path of a telephone server's WebSocket. Asterisk's `/ws` by default.
    pub websocket_path: String,
    /// How often a connection is asked for a sign of life. 30 s by default; over UDP one is sent after four fifths of it.
    pub keep_alive: Duration,
    /// Who is asked for the servers of a domain (NAPTR, SRV); the system's name server by default.
    pub dns: Option<SocketAddr>,
}

impl Default for EngineConfig {
    fn default() -> Self {
        Self {
            audio: AudioChoice::default(),
            codecs: Codec::DEFAULT.to_vec(),
            srtp: Policy::Off,
            dtmf: DtmfMode::default(),
            bind: None,
            route: Route::of_system(),
            product: format!("Rollcall/{}", env!("CARGO_PKG_VERSION")),
            vitals_every: Duration::from_secs(1),
            levels: false,
            max_calls: 2,
            auto_answer: false,
            sip_t1: Duration::from_millis(500),
            trusted_ca: None,
            websocket_path: "/ws".to_owned(),
            keep_alive: Duration::from_secs(30),
            dns: None,
        }
    }
}
