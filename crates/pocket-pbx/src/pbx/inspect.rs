//! What the house holds, for whoever compares views of it; and what an operator at its console does.

use std::time::Instant;

use rollcall_ami::ContactStatus;

use super::Pbx;
use super::channel::ChannelState;
use super::registrar::StoredContact;

/// A contact as the registrar holds it.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct HeldContact {
    /// Whose.
    pub endpoint: String,
    /// Its URI; the MD5 of it is in its id (F1).
    pub uri: String,
    /// When it expires; it may stay in storage until the next sweep.
    pub expires_at: Instant,
    /// What the last OPTIONS came to.
    pub status: ContactStatus,
}

impl Pbx {
    /// All contacts, by endpoint.
    pub fn contacts(&self) -> impl Iterator<Item = HeldContact> {
        let held = |(endpoint, contact): (&str, &StoredContact)| HeldContact {
            endpoint: endpoint.to_owned(),
            uri: contact.uri_text.clone(),
            expires_at: contact.expires_at,
            status: contact.status.clone(),
        };
        self.registrar.all().map(held)
    }

    /// Whether an endpoint has a channel that rings or is up; one whose phone has not said anything yet is no call.
    pub fn is_on_call(&self, endpoint: &str) -> bool {
        let mut channels = self.channels.of_endpoint(endpoint);
        channels.any(|channel| channel.state != ChannelState::Down)
    }

    /// `channel request hangup all`.
    pub fn hang_up_all(&mut self, now: Instant) {
        self.end_all(now);
        self.drain_ua(now);
    }
}
