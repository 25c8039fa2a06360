//! What a user agent is told at its start.

use std::net::SocketAddr;
use std::time::Duration;

use crate::dialog::Dialog;
use crate::message::{Method, Request};
use crate::transaction::{Timers, Transport};

/// A user agent's fixed settings.
#[derive(Debug, Clone)]
pub struct Config {
    /// The address written into Via and Contact; the socket must be bound to it.
    pub local: SocketAddr,
    /// The transport of that socket.
    pub transport: Transport,
    /// The User-Agent (and Server) header.
    pub user_agent: String,
    /// The user part of our Contact; for a phone, unique to device and run.
    pub contact_user: String,
    /// Seed of tags, branches, Call-IDs and back-off jitter. Take it from the operating system's random source,
    /// except in tests.
    pub seed: u64,
    /// Base timers.
    pub timers: Timers,
    /// Whose out-of-dialog requests are heard.
    pub trust: Trust,
    /// Whether out-of-dialog requests must be for our Contact's user part, which is unique to device and run; others
    /// are answered 404, and nothing rings.
    pub only_for_contact: bool,
    /// Over UDP: requests longer than this many bytes go over TCP, and over UDP after all where that fails (RFC 3261
    /// section 18.1.1). None keeps to UDP.
    pub stream_above: Option<usize>,
    /// The device's lasting URN, `urn:uuid:...`, for `+sip.instance` and `reg-id` (RFC 5626 section 4.1).
    pub instance: Option<String>,
    /// Incoming calls beyond this many are answered 486 Busy Here.
    pub max_calls: usize,
    /// Requests of others that are kept in memory at once; more are answered 503 and forgotten.
    pub max_transactions: usize,
    /// How often a call is refreshed so that it does not outlive its other side (RFC 4028): the interval to ask for, 90 s
    /// at least. Without it session timers are not spoken of.
    pub session_expires: Option<Duration>,
    /// Whether the other side of a call is known by its tags alone and may come from another address than before, as the
    /// phones of a PBX do whose network changes. What follows goes there.
    pub follows_peers: bool,
    /// Whether a new call may take the place of one that is going on (Replaces, RFC 3891). Whoever is heard may do that
    /// to any call whose tags they know.
    pub takes_replaces: bool,
    /// Out-of-dialog methods handed up as [`super::Event::Request`] and answered by
    /// [`super::UserAgent::respond`]. OPTIONS is answered here unless listed; other methods get 405.
    pub handed_up: Vec<Method>,
}

impl Config {
    /// A phone's settings: UDP, hears its registrar only, answers OPTIONS itself, two calls at once.
    pub fn phone(
        local: SocketAddr,
        contact_user: impl Into<String>,
        user_agent: impl Into<String>,
        seed: u64,
    ) -> Self {
        Self {
            local,
            transport: Transport::Udp,
            user_agent: user_agent.into(),
            contact_user: contact_user.into(),
            seed,
            timers: Timers::default(),
            trust: Trust::Listed(Vec::new()),
            only_for_contact: true,
            stream_above: Some(1_300),
            instance: None,
            max_calls: 2,
            max_transactions: 1_024,
            session_expires: Some(Duration::from_secs(1_800)),
            takes_replaces: true,
            follows_peers: false,
            handed_up: Vec::new(),
        }
    }

    /// A PBX's settings: UDP, hears anybody (and must challenge them), is handed REGISTER, OPTIONS, SUBSCRIBE
    /// and MESSAGE.
    pub fn pbx(local: SocketAddr, user_agent: impl Into<String>, seed: u64) -> Self {
        Self {
            trust: Trust::Anyone,
            only_for_contact: false,
            stream_above: None,
            max_calls: usize::MAX,
            max_transactions: 65_536,
            session_expires: None,
            takes_replaces: false,
            follows_peers: true,
            handed_up: vec![
                Method::Register,
                Method::Options,
                Method::Subscribe,
                Method::Message,
            ],
            ..Self::phone(local, "pbx", user_agent, seed)
        }
    }
}

impl Config {
    pub(super) fn is_from_peer(
        &self,
        dialog: &Dialog,
        request: &Request,
        source: SocketAddr,
    ) -> bool {
        match self.follows_peers {
            true => dialog.is_of_peer(request),
            false => dialog.is_from_peer(request, source),
        }
    }
}

/// Whose out-of-dialog requests are heard.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Trust {
    /// Everybody's; the user of the stack challenges them.
    Anyone,
    /// These addresses', and the registrar's once there is an account. Others get 404 to INVITE and nothing rings.
    Listed(Vec<SocketAddr>),
}
