//! The user agent: registration, calls and single requests over the transaction layer.

mod config;
mod event;

use std::collections::VecDeque;
use std::net::SocketAddr;
use std::time::Instant;

use bytes::Bytes;

pub use config::{Config, Trust};
pub use event::{
    CallId, EndReason, Event, InviteRequest, OutgoingId, OutgoingOutcome, OutgoingRequest, Reply,
    RequestId,
};

use crate::registration::Account;
use crate::transaction::Transmit;

/// A SIP user agent (RFC 3261 sections 8 to 15) without I/O.
#[derive(Debug)]
pub struct UserAgent {
    config: Config,
    transmits: VecDeque<Transmit>,
    events: VecDeque<Event>,
}

impl UserAgent {
    /// A user agent with nothing registered and no calls.
    pub fn new(config: Config, _now: Instant) -> Self {
        Self {
            config,
            transmits: VecDeque::new(),
            events: VecDeque::new(),
        }
    }

    /// Takes one datagram (or one message of a stream).
    pub fn handle_datagram(&mut self, _now: Instant, _from: SocketAddr, _bytes: &[u8]) {}

    /// Does what is due. Call it at [`Self::poll_timeout`]; calling early does nothing.
    pub fn handle_timeout(&mut self, _now: Instant) {}

    /// When [`Self::handle_timeout`] is next needed.
    pub fn poll_timeout(&self) -> Option<Instant> {
        None
    }

    /// The next message to put on the wire.
    pub fn poll_transmit(&mut self) -> Option<Transmit> {
        self.transmits.pop_front()
    }

    /// The next thing to know.
    pub fn poll_event(&mut self) -> Option<Event> {
        self.events.pop_front()
    }

    /// Registers and keeps registered until [`Self::unregister`]: refreshes, answers challenges, retries with back-off.
    pub fn register(&mut self, _now: Instant, _account: Account) {}

    /// Removes our contact at the registrar.
    pub fn unregister(&mut self, _now: Instant) {}

    /// False: OPTIONS is answered 480 and new calls too, because nobody could hear or speak.
    pub fn set_available(&mut self, _available: bool) {}

    /// Calls somebody.
    pub fn invite(&mut self, _now: Instant, _invite: InviteRequest) -> CallId {
        CallId(0)
    }

    /// Ends a call in any state: CANCEL, BYE, or 603 to one that was not answered.
    pub fn hangup(&mut self, _now: Instant, _call: CallId) {}

    /// 180 Ringing to an incoming call; with `sdp`, 183 Session Progress and early media.
    pub fn ring(&mut self, _now: Instant, _call: CallId, _sdp: Option<Bytes>) {}

    /// 200 OK with our SDP to an incoming call.
    pub fn answer(&mut self, _now: Instant, _call: CallId, _sdp: Bytes) {}

    /// A final refusal (300..=699) to an incoming call; a challenge is one too.
    pub fn reject(&mut self, _now: Instant, _call: CallId, _reply: impl Into<Reply>) {}

    /// 200 OK with our SDP to [`Event::Offer`].
    pub fn answer_offer(&mut self, _now: Instant, _call: CallId, _sdp: Bytes) {}

    /// Refuses [`Event::Offer`] (488 as a rule); the session stays as it was.
    pub fn refuse_offer(&mut self, _now: Instant, _call: CallId, _code: u16) {}

    /// Sends a single out-of-dialog request.
    pub fn request(&mut self, _now: Instant, _request: OutgoingRequest) -> OutgoingId {
        OutgoingId(0)
    }

    /// Answers [`Event::Request`].
    pub fn respond(&mut self, _now: Instant, _id: RequestId, _reply: impl Into<Reply>) {}

    /// Our Contact URI, as it stands in our requests.
    pub fn contact_uri(&self) -> String {
        format!("sip:{}@{}", self.config.contact_user, self.config.local)
    }
}
