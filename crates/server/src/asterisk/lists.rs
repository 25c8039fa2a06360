//! Asterisk's full lists, and what of them counts (F15).
//!
//! The registrar reads its lists from storage and says "no contacts" both when nobody is registered
//! and when its database is gone. In its own astdb the latter cannot be. Where the table is shared,
//! an empty list counts only if our own read of the table succeeded and found nobody either.

use std::time::{Duration, Instant};

use rollcall_alignment::{Contact, ContactRow, ContactStatus, Observation, Source};
use rollcall_ami::{Action, ActionError, Client, Event, Listing};
use tokio::sync::mpsc;

use super::observe;
use crate::{clock, config::Mode, db::Database};

/// Somebody may register between the registrar's read of the table and ours: both are made again.
const TRIES: u32 = 3;
const BETWEEN_TRIES: Duration = Duration::from_millis(100);

/// Reads the full lists and hands them to the driver.
#[derive(Clone)]
pub(super) struct Lists {
    pub(super) client: Client,
    pub(super) database: Database,
    pub(super) mode: Mode,
    pub(super) driver: mpsc::Sender<Observation>,
}

impl Lists {
    /// Reads them all. One that fails is not handed on: the core asks again.
    pub(super) async fn read(self, asked_at: Instant) {
        let ((stored, contacts), devices, channels, members, offset) = tokio::join!(
            self.contacts(asked_at),
            self.client.list(Action::device_state_list()),
            self.client.list(Action::show_channels()),
            self.client.list(Action::queue_status()),
            self.clock_offset(),
        );
        // An Asterisk without app_queue has no members, and does not know the question.
        let members = match members {
            Err(ActionError::Refused { .. }) => Ok(Listing::Items(Vec::new())),
            members => members,
        };
        let observations = [
            offset,
            stored,
            contacts,
            whole("device states", devices).map(|items| Observation::Devices {
                asked_at,
                states: items.iter().filter_map(observe::listed_device).collect(),
            }),
            whole("channels", channels).map(|items| Observation::Channels {
                asked_at,
                channels: items.iter().filter_map(observe::listed_channel).collect(),
            }),
            whole("queue members", members).map(|items| Observation::Members {
                asked_at,
                members: items.iter().filter_map(observe::listed_member).collect(),
            }),
        ];
        for observation in observations.into_iter().flatten() {
            if self.driver.send(observation).await.is_err() {
                return;
            }
        }
    }

    /// Asterisk's clock beside ours, by a Ping: it answered somewhere between the two readings.
    async fn clock_offset(&self) -> Option<Observation> {
        let before = clock::now_ms();
        let pong = self.client.action(Action::ping()).await.ok()?;
        let after = clock::now_ms();
        let theirs: f64 = pong.packet.get("Timestamp")?.parse().ok()?;
        Some(Observation::ClockOffset {
            source: Source::Ami,
            offset_ms: offset(theirs, before, after),
        })
    }

    /// What our database holds of contacts, and what the registrar lists.
    async fn contacts(&self, asked_at: Instant) -> (Option<Observation>, Option<Observation>) {
        let mut tries = 1;
        loop {
            let listing = self.client.list(Action::show_contacts()).await;
            let listed: Option<Vec<Contact>> = whole("contacts", listing)
                .map(|items| items.iter().filter_map(observe::listed_contact).collect());
            let stored = match self.database.contacts().await {
                Ok(rows) => Some(rows),
                Err(error) => {
                    tracing::warn!(%error, "ps_contacts could not be read");
                    None
                }
            };
            let proved = self.mode != Mode::Shared
                || matches!((&listed, &stored), (Some(listed), Some(stored))
                    if is_of_one_table(listed, stored, clock::now_ms() / 1_000));
            if !proved && listed.is_some() && tries < TRIES {
                tries += 1;
                tokio::time::sleep(BETWEEN_TRIES).await;
                continue;
            }
            if !proved && listed.is_some() && stored.is_some() {
                tracing::warn!(
                    "Asterisk's contacts are not those of ps_contacts: mode = \"shared\" needs sorcery.conf and \
                     extconfig.conf to map them to this database, and Asterisk's link to it"
                );
            }
            return (
                stored.map(|rows| Observation::Stored { asked_at, rows }),
                listed.map(|contacts| Observation::Contacts {
                    asked_at,
                    empty_is_proved: proved,
                    // Without its database Asterisk still lists what its configuration names.
                    contacts: if proved || contacts.iter().any(is_registered) {
                        contacts
                    } else {
                        Vec::new()
                    },
                }),
            );
        }
    }
}

/// Theirs, seconds since the epoch, minus the middle of ours, ms; nothing where it lies between them.
pub(crate) fn offset(theirs: f64, before_ms: u64, after_ms: u64) -> i64 {
    let signed = |ms: u64| i64::try_from(ms).unwrap_or(i64::MAX);
    let (before, after) = (signed(before_ms), signed(after_ms));
    // Truncation of a fraction of a millisecond.
    #[allow(clippy::cast_possible_truncation)]
    let theirs = (theirs * 1000.0) as i64;
    if (before..=after).contains(&theirs) {
        0
    } else {
        theirs.saturating_sub(before / 2 + after / 2)
    }
}

/// Whether the registrar's list can have been read from the rows we read.
fn is_of_one_table(listed: &[Contact], stored: &[ContactRow], now_unix: u64) -> bool {
    let mut registered = listed
        .iter()
        .filter(|contact| is_registered(contact))
        .peekable();
    if registered.peek().is_none() {
        let lives =
            |row: &ContactRow| row.status != ContactStatus::Expired && row.expires_unix > now_unix;
        return !stored.iter().any(lives);
    }
    registered.any(|contact| stored.iter().any(|row| row.id == contact.id))
}

/// By a REGISTER; a contact of the configuration has no end and no row.
fn is_registered(contact: &Contact) -> bool {
    contact.expires_unix != u64::MAX
}

fn whole(what: &str, listing: Result<Listing, ActionError>) -> Option<Vec<Event>> {
    match listing {
        Ok(Listing::Items(items)) => Some(items),
        Ok(Listing::NoneFound { .. }) => Some(Vec::new()),
        Err(error) => {
            tracing::warn!(what, %error, "a list of Asterisk's could not be read");
            None
        }
    }
}

#[cfg(test)]
mod tests {
    use rollcall_alignment::{ContactId, Extension};

    use super::*;

    const NOW: u64 = 1_795_359_000;

    fn contact(user: &str, expires_unix: u64) -> Contact {
        Contact {
            id: ContactId::new(&format!("1001;@{user}")),
            endpoint: Extension::new("1001").unwrap(),
            uri: format!("sip:{user}@192.0.2.1"),
            user_agent: String::new(),
            expires_unix,
            status: ContactStatus::Reachable,
            qualify_frequency: 10,
            reg_server: String::new(),
        }
    }

    fn row(user: &str, expires_unix: u64, status: ContactStatus) -> ContactRow {
        ContactRow {
            id: ContactId::new(&format!("1001^3B@{user}")),
            endpoint: Extension::new("1001").unwrap(),
            uri: String::new(),
            user_agent: String::new(),
            expires_unix,
            qualify_frequency: 10,
            reg_server: String::new(),
            status,
        }
    }

    #[test]
    fn a_clock_is_off_only_by_what_the_pings_time_cannot_explain() {
        assert_eq!(offset(1_000.5, 1_000_400, 1_000_600), 0);
        assert_eq!(offset(990.0, 1_000_400, 1_000_600), -10_500);
        assert_eq!(offset(1_010.0, 1_000_000, 1_000_002), 9_999);
    }

    #[test]
    fn nobody_listed_is_proved_only_by_a_table_of_nobody() {
        let there = row("a", NOW + 60, ContactStatus::Reachable);
        let over = row("a", NOW - 1, ContactStatus::Reachable);
        let logged_out = row("a", NOW + 60, ContactStatus::Expired);
        assert!(is_of_one_table(&[], &[], NOW));
        assert!(!is_of_one_table(&[], std::slice::from_ref(&there), NOW));
        assert!(is_of_one_table(&[], &[over, logged_out], NOW));
        let configured = contact("static", u64::MAX);
        assert!(!is_of_one_table(&[configured], &[there], NOW));
    }

    #[test]
    fn a_list_of_others_than_the_table_has_is_of_another_table() {
        let listed = [contact("a", NOW + 60)];
        assert!(is_of_one_table(
            &listed,
            &[row("a", NOW + 60, ContactStatus::Unknown)],
            NOW
        ));
        assert!(!is_of_one_table(
            &listed,
            &[row("b", NOW + 60, ContactStatus::Unknown)],
            NOW
        ));
        assert!(!is_of_one_table(&listed, &[], NOW));
    }
}
