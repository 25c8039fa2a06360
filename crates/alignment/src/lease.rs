//! Leases: how long a device's word that it is there is believed.

use std::time::Instant;

use crate::time::Now;

/// What the app's engine says of itself in a heartbeat. Produced by the loops they speak of.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Vitals {
    /// Counts up with every heartbeat of one engine; the same number again is no new life.
    pub tick: u64,
    /// The thread that speaks SIP answered within its period.
    pub sip_loop_ok: bool,
    /// The thread that moves sound answered within its period.
    pub audio_loop_ok: bool,
    /// There is a microphone and a speaker to talk with.
    pub microphone_ok: bool,
    /// The engine holds a registration whose 200 OK named its own Contact; `None`: it does not say.
    pub registered: Option<bool>,
}

/// What renews a lease.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub enum LeaseKind {
    /// Nothing ever did: an HTTP client without a realtime connection.
    #[default]
    None,
    /// Its Socket.IO connection, as clients of the seed's kind have it.
    Connection,
    /// Heartbeats.
    Heartbeat,
}

impl LeaseKind {
    /// The stable word.
    #[must_use]
    pub fn as_str(self) -> &'static str {
        match self {
            LeaseKind::None => "none",
            LeaseKind::Connection => "connection",
            LeaseKind::Heartbeat => "heartbeat",
        }
    }

    /// The kind a stored word names; unknown words are [`LeaseKind::None`].
    #[must_use]
    pub fn from_word(word: &str) -> Self {
        match word {
            "connection" => LeaseKind::Connection,
            "heartbeat" => LeaseKind::Heartbeat,
            _ => LeaseKind::None,
        }
    }
}

/// One device's lease.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Lease {
    /// What renews it.
    pub kind: LeaseKind,
    /// Open Socket.IO connections of the device (a reconnect may overlap the old one).
    pub links: u32,
    /// When the last connection closed, while none is open.
    pub link_closed: Option<Now>,
    /// When it was last renewed.
    pub renewed: Option<Now>,
    /// The end, if nothing renews it before. `None` while nothing ever began it, or while an open
    /// connection alone carries it.
    pub until: Option<Instant>,
    /// Restored after our own start and not renewed since.
    pub in_grace: bool,
    /// What the engine last said.
    pub vitals: Option<Vitals>,
}
