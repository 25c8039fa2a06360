//! What the house holds, for whoever compares views of it; what an operator at its console does, and what somebody does
//! to the table of its contacts behind its back (F5, F6, F15).

use std::net::{IpAddr, Ipv4Addr, SocketAddr};
use std::time::{Duration, Instant};

use md5::{Digest as _, Md5};
use rollcall_ami::{ContactId, ContactStatus};
use rollcall_sip::message::{parse_uri, uri_text};

use super::Pbx;
use super::channel::ChannelState;
use super::registrar::StoredContact;

/// Where a row leads that no phone made (RFC 5737).
const NOWHERE: SocketAddr = SocketAddr::new(IpAddr::V4(Ipv4Addr::new(192, 0, 2, 9)), 5060);

/// A contact as the registrar holds it.
#[derive(Debug, Clone)]
pub struct HeldContact {
    /// Whose.
    pub endpoint: String,
    /// Its URI; the MD5 of it is in its id (F1).
    pub uri: String,
    /// What its phone calls itself.
    pub user_agent: String,
    /// When it expires; it may stay in storage until the next sweep.
    pub expires_at: Instant,
    /// The same as the table has it, seconds since 1970 by the clock of this house.
    pub expires_unix: u64,
    /// What the last OPTIONS came to.
    pub status: ContactStatus,
    /// Its row is in the table.
    pub in_table: bool,
    /// What stands in the column that somebody added to the table.
    pub column: Option<String>,
    source: SocketAddr,
    call_id: String,
}

impl Pbx {
    /// All contacts, by endpoint, those without a row among them.
    pub fn contacts(&self) -> impl Iterator<Item = HeldContact> {
        let held = |(endpoint, contact): (&str, &StoredContact)| HeldContact {
            endpoint: endpoint.to_owned(),
            uri: contact.uri_text.clone(),
            user_agent: contact.user_agent.clone(),
            expires_at: contact.expires_at,
            expires_unix: self.expiration_time(contact),
            status: contact.status.clone(),
            in_table: contact.in_table,
            column: contact.column.clone(),
            source: contact.source,
            call_id: contact.call_id.clone(),
        };
        self.registrar.all().map(held)
    }

    /// What was in storage when another house like this one stopped: UDP contacts outlive a restart (F9).
    pub fn restore(&mut self, now: Instant, contacts: impl IntoIterator<Item = HeldContact>) {
        for contact in contacts.into_iter().filter(|contact| contact.in_table) {
            self.store(now, contact, true);
        }
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

    /// ARI's `DELETE` of a contact: gone at once, with all events (F6).
    pub fn delete_contact(&mut self, now: Instant, id: &ContactId) {
        let Some(contacts) = self.registrar.contacts_mut(id.aor()) else {
            return;
        };
        let place = contacts
            .iter()
            .position(|contact| contact.id == *id && contact.in_table);
        if let Some(place) = place {
            let contact = contacts.remove(place);
            if contact.in_memory {
                self.tell_removed(now, id.aor(), &contact);
            }
        }
    }

    /// `DELETE FROM ps_contacts WHERE endpoint = ...`: what is in memory stays there (F5).
    pub fn delete_rows(&mut self, endpoint: &str) {
        for contact in self.registrar.contacts_mut(endpoint).into_iter().flatten() {
            contact.in_table = false;
        }
        if let Some(contacts) = self.registrar.contacts_mut(endpoint) {
            contacts.retain(|contact| contact.in_memory);
        }
    }

    /// `INSERT INTO ps_contacts`: listed as NonQualified, dialled, and otherwise unknown (F15).
    ///
    /// An `uri` that is none is not inserted, nor is a row whose key is there.
    pub fn insert_row(&mut self, now: Instant, endpoint: &str, uri: &str, lasts: Duration) {
        let row = HeldContact {
            endpoint: endpoint.to_owned(),
            uri: uri.to_owned(),
            user_agent: String::new(),
            expires_at: now + lasts,
            expires_unix: 0,
            status: ContactStatus::NonQualified,
            in_table: true,
            column: None,
            source: NOWHERE,
            call_id: String::new(),
        };
        self.store(now, row, false);
    }

    /// `UPDATE ps_contacts SET expiration_time = 1`, of one contact.
    pub fn expire_row(&mut self, id: &ContactId) {
        let long_past = self.instant(Duration::from_secs(1));
        if let Some(contact) = self.registrar.find_mut(id) {
            contact.expires_at = long_past;
        }
    }

    /// Writes the column that somebody added, where there is such a row.
    pub fn write_column(&mut self, id: &ContactId, text: &str) {
        let contact = self.registrar.find_mut(id);
        if let Some(contact) = contact.filter(|contact| contact.in_table) {
            contact.column = Some(text.to_owned());
        }
    }

    /// Somebody sets the clock: what expires at a time of day expires sooner, or later.
    pub fn step_clock(&mut self, seconds: i64) {
        let step = Duration::from_secs(seconds.unsigned_abs());
        let ahead = seconds > 0;
        self.started_epoch = match ahead {
            true => self.started_epoch + step,
            false => self.started_epoch.saturating_sub(step),
        };
        for contact in self.registrar.all_mut() {
            let moved = match ahead {
                true => contact.expires_at.checked_sub(step),
                false => contact.expires_at.checked_add(step),
            };
            contact.expires_at = moved.unwrap_or(contact.expires_at);
        }
    }

    fn store(&mut self, now: Instant, contact: HeldContact, in_memory: bool) {
        let Ok(uri) = parse_uri(&contact.uri) else {
            return;
        };
        let uri_text = uri_text(&uri);
        let frequency = self.config.aor.qualify_frequency;
        let Some(contacts) = self.registrar.contacts_mut(&contact.endpoint) else {
            return;
        };
        let id = format!("{};@{:x}", contact.endpoint, Md5::digest(&uri_text));
        let id = ContactId::new(&id);
        if contacts.iter().any(|there| there.id == id) {
            return;
        }
        contacts.push(StoredContact {
            id,
            uri,
            uri_text,
            source: contact.source,
            expires_at: contact.expires_at,
            user_agent: contact.user_agent,
            call_id: contact.call_id,
            status: ContactStatus::NonQualified,
            round_trip: None,
            qualify_at: (in_memory && frequency > 0).then_some(now),
            in_table: true,
            in_memory,
            column: contact.column,
            registered_at: now,
        });
        if in_memory {
            self.told.insert(
                contact.endpoint.clone(),
                self.device_state(&contact.endpoint),
            );
        }
    }
}
