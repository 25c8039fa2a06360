//! Leases: how long a device's word that it is there is believed.

use std::collections::BTreeSet;
use std::time::Instant;

use crate::names::LinkId;
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

/// Closed connections of one device that are remembered, so that their openings, should they come
/// later, count for nothing.
const CLOSED_KEPT: usize = 32;

/// The Socket.IO connections of one device; a reconnect may overlap the old one.
///
/// Opening and closing of one connection are told by two tasks, in either order.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub(crate) struct Links {
    open: BTreeSet<LinkId>,
    closed: BTreeSet<LinkId>,
}

impl Links {
    /// False if the connection is closed already, or known.
    pub(crate) fn open(&mut self, link: LinkId) -> bool {
        !self.closed.contains(&link) && self.open.insert(link)
    }

    /// True if it was the last one open.
    pub(crate) fn close(&mut self, link: LinkId) -> bool {
        self.closed.insert(link);
        if self.closed.len() > CLOSED_KEPT {
            self.closed.pop_first();
        }
        self.open.remove(&link) && self.open.is_empty()
    }

    pub(crate) fn is_any(&self) -> bool {
        !self.open.is_empty()
    }
}

/// One device's lease.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub(crate) struct Lease {
    /// What renews it.
    pub(crate) kind: LeaseKind,
    /// Socket.IO connections of the device.
    pub(crate) links: Links,
    /// When the last connection closed, while none is open.
    pub(crate) link_closed: Option<Now>,
    /// When it was last renewed.
    pub(crate) renewed: Option<Now>,
    /// The end, if nothing renews it before. `None` while nothing ever began it, or while an open
    /// connection alone carries it.
    pub(crate) until: Option<Instant>,
    /// Restored after our own start and not renewed since.
    pub(crate) in_grace: bool,
    /// What the engine last said.
    pub(crate) vitals: Option<Vitals>,
}
