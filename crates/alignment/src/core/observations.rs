//! What was seen: of the apps, of Asterisk, of the database.

use std::collections::{BTreeMap, BTreeSet};
use std::time::Instant;

use super::conclude::decision_entry;
use super::{Core, Slot};
use crate::agent::{ContactRecord, SessionRecord};
use crate::board::BoardStatus;
use crate::config::Registrar;
use crate::contact::{Contact, ContactStatus, decode_stored};
use crate::input::{Channel, ContactEvent, DeviceState, EndReason, Observation, Restored};
use crate::ledger::{LedgerEntry, LedgerKind};
use crate::names::{ContactId, Extension, SessionId};
use crate::output::{ContactRow, EvictReason, ResyncReason};
use crate::pause::Pause;
use crate::resync::Part;
use crate::source::SourceHealth;
use crate::time::Now;

/// Contacts of one extension that are remembered to have left the lists without an event.
const VANISHED_KEPT: usize = 64;

impl Core {
    pub(super) fn observe(&mut self, now: Now, observation: Observation) {
        match observation {
            Observation::Restored(restored) => self.restore(now, restored),
            Observation::People(people) => self.people(now, people),
            Observation::Person(person) => self.person(now, person),
            Observation::SessionExpired(session) => self.session_expired(now, &session),
            Observation::LinkOpened { session, link } => {
                self.with_session(&session, |record| record.link_opened(link, now));
            }
            Observation::LinkClosed { session, link } => {
                let config = self.config;
                self.with_session(&session, |record| record.link_closed(link, now, &config));
            }
            Observation::Heartbeat { session, vitals } => {
                let config = self.config;
                self.with_session(&session, |record| record.heartbeat(vitals, now, &config));
            }
            Observation::AmiUp => self.ami_up(now),
            Observation::AmiLost => self.ami_lost(now),
            Observation::DatabaseSilent => self.database_lost(now),
            Observation::ContactEvent(event) => self.contact_event(now, event),
            Observation::Contacts {
                asked_at,
                contacts,
                empty_is_proved,
            } => {
                self.contact_list(now, asked_at, contacts, empty_is_proved);
            }
            Observation::Stored { asked_at, rows } => self.stored(now, asked_at, rows),
            Observation::Device { endpoint, state } => self.device_event(endpoint, state),
            Observation::Devices { asked_at, states } => self.device_list(now, asked_at, states),
            Observation::Channel(channel) => self.channel_event(channel),
            Observation::Hangup { unique_id } => self.hangup(&unique_id),
            Observation::Channels { asked_at, channels } => {
                self.channel_list(now, asked_at, channels);
            }
            Observation::Booted { up_for } => self.booted(now, up_for),
            Observation::Member(membership) => self.member(membership),
            Observation::MemberGone { endpoint, queue } => self.member_gone(endpoint, &queue),
            Observation::Members { asked_at, members } => self.member_list(now, asked_at, members),
            Observation::ClockOffset { source, offset_ms } => {
                self.clock_offset(now, source, offset_ms);
            }
        }
    }

    /// Takes up what the database held. Published as it is concluded: no change is spoken of yet.
    fn restore(&mut self, now: Now, restored: Restored) {
        if self.restored {
            return;
        }
        let Restored {
            people,
            users,
            sessions,
            contacts,
            last_ends,
            pauses,
            decided,
        } = restored;
        for person in people {
            let agent = &mut self.slot(&person.extension).agent;
            agent.known = true;
            agent.person = Some(person.owner);
        }
        for user in users {
            self.slot(&user.extension.clone()).book.restore_user(user);
        }
        for row in sessions {
            self.session_index
                .insert(row.id.clone(), row.extension.clone());
            let record = SessionRecord::restored(row.clone(), now, &self.config);
            let slot = self.slot(&row.extension);
            slot.agent.sessions.push(record);
            slot.book.restore_session(row);
        }
        for (extension, reason) in last_ends {
            self.slot(&extension).agent.last_end = Some(reason);
        }
        let step = self.step;
        for row in pauses {
            let slot = self.slot(&row.extension);
            slot.agent.pause = Some(Pause {
                wish: row.wish.clone(),
                since_unix_ms: row.since_unix_ms,
                step,
            });
            slot.book.restore_pause(row);
        }
        for before in decided {
            let slot = self.slot(&before.extension);
            slot.agent.decided_before = Some(before);
        }
        let claims = self.config.registrar == Registrar::Claims;
        for row in contacts {
            let slot = self.slot(&row.endpoint.clone());
            let newest = slot
                .agent
                .last_gone
                .as_ref()
                .map_or(0, |last| last.expires_unix);
            if row.expires_unix >= newest {
                let mut gone = row.clone();
                gone.status = ContactStatus::Expired;
                slot.agent.last_gone = Some(gone);
            }
            if row.status == ContactStatus::Expired && row.expires_unix > now.unix_seconds() {
                slot.agent
                    .left_behind
                    .insert(row.id.clone(), row.expires_unix);
            }
            if claims && row.status != ContactStatus::Expired {
                // Nobody lists what was claimed: it counts until its expiry, or its session's end.
                let record = ContactRecord::new(Contact::from(&row));
                slot.agent.contacts.insert(row.id.clone(), record);
            }
            slot.book.restore_contact(row);
        }
        self.restored = true;
        if claims {
            // There are no lists to wait for: what is claimed is all there is.
            (self.listed, self.contacts_listed, self.ready) = (true, true, true);
        }
        let config = self.config;
        let extensions: Vec<Extension> = self.slots.keys().cloned().collect();
        for extension in extensions {
            let Some(slot) = self.slots.get(&extension) else {
                continue;
            };
            if slot.agent.known {
                let sight = self.sight(now, &config, slot);
                let mut view = crate::decide::decide(&slot.agent, &sight, None);
                let slot = self.slot(&extension);
                let before = slot.agent.decided_before.as_ref();
                let changed = before.is_some_and(|before| before.decision.status != view.status);
                slot.agent.keep_age(&mut view);
                if changed || view.status == BoardStatus::Unknown {
                    // Whoever looks now is shown it.
                    let entry = decision_entry(None, &view, now);
                    slot.book.note(entry);
                }
                slot.decided = Some(view.clone());
                // What is concluded of the rows is not saved yet: the board says what they say (R8).
                view.online = slot.book.online();
                view.sip_registered = slot.book.sip_registered();
                slot.published = Some(view);
            }
            self.dirty.insert(extension);
        }
    }

    fn session_expired(&mut self, now: Now, session: &SessionId) {
        let call_may_be_seen = self.ami.is_up();
        let Some(slot) = self.slot_of_session(session) else {
            return;
        };
        slot.leave(session, EndReason::Expired, call_may_be_seen, now);
        let extension = slot.agent.extension.clone();
        self.dirty.insert(extension);
    }

    fn with_session(&mut self, session: &SessionId, change: impl FnOnce(&mut SessionRecord)) {
        let Some(slot) = self.slot_of_session(session) else {
            return;
        };
        let extension = slot.agent.extension.clone();
        if let Some(record) = slot.agent.session_mut(session) {
            change(record);
            self.dirty.insert(extension);
        }
    }

    fn ami_up(&mut self, now: Now) {
        self.ami = SourceHealth::Syncing {
            since: self.last_sight_of_ami(),
        };
        self.resync.link_up(now.monotonic);
        self.all_dirty();
    }

    /// The link stands, and what makes its hints true does not come (R4, F15): what is known is as
    /// old as the last complete list, and nothing is green from it (R5).
    pub(super) fn lists_unanswered(&mut self, now: Now) {
        if !self.ami.is_up() {
            return;
        }
        self.ami = SourceHealth::Syncing {
            since: self.last_sight_of_ami(),
        };
        self.suspicion.source_lost(now.monotonic, &self.config);
        self.note_house(
            now,
            LedgerKind::Observation,
            "ami",
            "lists_unanswered",
            String::new(),
        );
        self.all_dirty();
    }

    /// While its lists are answered: when the last one was. Out of sight: since when.
    fn last_sight_of_ami(&self) -> Now {
        self.listed_at
            .filter(|_| self.ami.is_up())
            .unwrap_or_else(|| self.ami.since())
    }

    fn ami_lost(&mut self, now: Now) {
        self.resync.link_lost();
        if matches!(
            self.ami,
            SourceHealth::Never { .. } | SourceHealth::Lost { .. }
        ) {
            return;
        }
        // While it was syncing nothing was known either: the age runs on.
        let since = if self.ami.is_up() {
            now
        } else {
            self.ami.since()
        };
        self.ami = SourceHealth::Lost { since };
        self.suspicion.source_lost(now.monotonic, &self.config);
        self.forget_what_was_asked();
        self.note_house(
            now,
            LedgerKind::Observation,
            "ami",
            "source_lost",
            String::new(),
        );
        self.all_dirty();
    }

    /// What was asked of an Asterisk that is out of sight since may not have reached it, or (its astdb is written once a
    /// second) have died with it: it is asked again when it is back, and not only when its turn to be repeated comes.
    fn forget_what_was_asked(&mut self) {
        for slot in self.slots.values_mut() {
            slot.agent.qualify_asked = None;
            slot.agent.queues.asked = None;
            for record in slot.agent.contacts.values_mut() {
                record.evict_asked = None;
            }
        }
    }

    fn contact_event(&mut self, now: Now, event: ContactEvent) {
        let uri = decode_stored(&event.uri).into_owned();
        let id = ContactId::of(&event.endpoint, &uri);
        let step = self.step;
        let slot = self.slot(&event.endpoint);
        let Some(record) = slot.agent.contacts.get_mut(&id) else {
            return self.unlisted_contact(now, event, id, uri);
        };
        record.touched = Some(step);
        // What a test came to accounts for nothing: our own ask reaches rows that no phone made too.
        if !event.status.is_of_a_test() {
            record.accounted = true;
            record.forged = false;
        }
        let before = record.contact.status;
        if event.status == ContactStatus::Expired {
            slot.note_contact(now, &id, "contact_removed", String::new());
            slot.agent.drop_contact(&id, now);
            slot.agent.note_removed(id, step);
        } else if before != event.status {
            record.contact.status = event.status;
            let detail = format!("{} -> {}", before.as_str(), event.status.as_str());
            slot.note_contact(now, &id, "contact_status", detail);
            if event.status == ContactStatus::NonQualified {
                // A tested contact does not become untested: events out of order, or a new
                // registration of the same URI.
                self.resync.want(ResyncReason::Contradiction);
            }
        }
        self.dirty.insert(event.endpoint);
    }

    /// An event tells neither expiry nor user agent: the contact counts once a list names it. One
    /// that has gone by then was there all the same.
    fn unlisted_contact(&mut self, now: Now, event: ContactEvent, id: ContactId, uri: String) {
        let step = self.step;
        let slot = self.slot(&event.endpoint);
        if event.status != ContactStatus::Expired {
            slot.agent.glimpse(&id, uri, event.status, (step, now));
            self.resync.want(ResyncReason::NewContact);
            return;
        }
        if slot.agent.removed.contains_key(&id) && !slot.agent.glimpsed.contains_key(&id) {
            return;
        }
        slot.agent.glimpse(&id, uri, event.status, (step, now));
        slot.agent.note_removed(id.clone(), step);
        if slot.agent.drop_glimpsed(&id) {
            slot.note_contact(now, &id, "contact_removed", String::new());
            self.dirty.insert(event.endpoint);
        }
    }

    fn contact_list(
        &mut self,
        now: Now,
        asked_at: Instant,
        contacts: Vec<Contact>,
        empty_is_proved: bool,
    ) {
        let Some(asked) = self.resync.asked_in(asked_at) else {
            return;
        };
        if contacts.is_empty() && !empty_is_proved {
            return;
        }
        self.judge_unaccounted(now, asked);
        let listed: BTreeSet<ContactId> =
            contacts.iter().map(|contact| contact.id.clone()).collect();
        for contact in contacts {
            self.listed_contact(now, asked, contact);
        }
        let mut gone = Vec::new();
        for (extension, slot) in &mut self.slots {
            for record in slot.agent.contacts.values() {
                let newer = record.touched.is_some_and(|touched| touched > asked);
                if !newer && !listed.contains(&record.contact.id) {
                    gone.push((extension.clone(), record.contact.id.clone()));
                }
            }
            slot.agent.removed.retain(|_, at| *at > asked);
            if slot.drop_unlisted(now, asked, &listed) {
                self.dirty.insert(extension.clone());
            }
        }
        for (extension, id) in gone {
            let slot = self.slot(&extension);
            slot.note_contact(now, &id, "contact_not_listed", String::new());
            let record = slot.agent.contacts.get(&id);
            // A row that was forged once has no owner whose REGISTER could bring it back.
            let owned = record.is_some_and(|record| record.accounted && !record.forged);
            slot.agent.drop_contact(&id, now);
            if owned && slot.agent.vanished.len() < VANISHED_KEPT {
                slot.agent.vanished.insert(id);
            }
            self.dirty.insert(extension);
        }
        if !self.contacts_listed {
            for slot in self.slots.values_mut() {
                slot.note_gone_meanwhile(now, &listed);
            }
        }
        self.contacts_listed = true;
        self.part_received(now, Part::Contacts);
    }

    /// A contact that an earlier list named, and that still nothing accounts for: no event, no app,
    /// no session. Somebody wrote it into the table by hand.
    fn judge_unaccounted(&mut self, now: Now, asked: u64) {
        for (extension, slot) in &mut self.slots {
            let mut forged = Vec::new();
            for record in slot
                .agent
                .contacts
                .values()
                .filter(|record| !record.accounted)
            {
                if slot.agent.owner(record).is_none() && !record.forged {
                    forged.push(record.contact.id.clone());
                }
            }
            for id in forged {
                if let Some(record) = slot.agent.contacts.get_mut(&id)
                    && record.listed_in.is_some_and(|step| step < asked)
                {
                    record.forged = true;
                    slot.note_contact(now, &id, "contact_forged", String::new());
                    self.dirty.insert(extension.clone());
                }
            }
        }
    }

    /// Somebody else writes the table too. What is not there as we left it is written anew; what we
    /// changed since the table was read is left alone. Once a list at most: an admin who changes it
    /// by hand is not fought in a loop.
    fn stored(&mut self, now: Now, asked_at: Instant, rows: Vec<ContactRow>) {
        let Some(asked) = self.resync.asked_in(asked_at) else {
            return;
        };
        let shared = self.config.shared_table;
        let mut unknown: BTreeMap<Extension, Vec<ContactRow>> = BTreeMap::new();
        if !shared && self.contacts_listed {
            for row in &rows {
                if !self.slot(&row.endpoint.clone()).book.knows_row(&row.id) {
                    let of_endpoint = unknown.entry(row.endpoint.clone()).or_default();
                    of_endpoint.push(row.clone());
                }
            }
        }
        let rows = rows
            .into_iter()
            .map(|row| (row.id, (row.status, row.expires_unix)))
            .collect();
        for (extension, slot) in &mut self.slots {
            if slot.saved.is_some_and(|saved| saved > asked) {
                continue;
            }
            let unknown = unknown.remove(extension).unwrap_or_default();
            for id in slot.book.compare(&rows, !shared, unknown) {
                // Where the table is Asterisk's own, it takes our column along with its row.
                if !shared {
                    slot.note_table(now, &id);
                }
                self.dirty.insert(extension.clone());
            }
        }
    }

    fn listed_contact(&mut self, now: Now, asked: u64, mut contact: Contact) {
        contact.uri = decode_stored(&contact.uri).into_owned();
        contact.user_agent = decode_stored(&contact.user_agent).into_owned();
        let endpoint = contact.endpoint.clone();
        let id = contact.id.clone();
        let skew = self.skew;
        // What was there when the link came up was not seen to come.
        let trusted = !self.ami.is_up();
        let step = self.step;
        let slot = self.slot(&endpoint);
        if slot.agent.removed.get(&id).is_some_and(|at| *at > asked) {
            // The list may have been read before the removal, or after a new registration.
            self.resync.want(ResyncReason::Contradiction);
            return;
        }
        if let Some(record) = slot.agent.contacts.get_mut(&id) {
            if record.touched.is_some_and(|touched| touched > asked) {
                contact.status = record.contact.status;
            }
            if record.contact == contact {
                return;
            }
            if record.contact.status != contact.status {
                let detail = format!(
                    "{} -> {}",
                    record.contact.status.as_str(),
                    contact.status.as_str()
                );
                record.contact = contact;
                slot.note_contact(now, &id, "contact_status", detail);
            } else {
                record.contact = contact;
            }
        } else {
            let detail = format!("{} until {}", contact.status.as_str(), contact.expires_unix);
            slot.note_contact(now, &id, "contact_listed", detail);
            let mut record = ContactRecord::new(contact);
            record.skew = skew;
            record.listed_in = Some(step);
            record.accounted = trusted
                || record.contact.expires_unix == u64::MAX
                || slot.agent.vanished.remove(&id)
                || slot
                    .agent
                    .glimpsed
                    .get(&id)
                    .is_some_and(|glimpse| !glimpse.only_tested);
            if slot.agent.was_left_behind(&record) {
                record.evict = Some((now.monotonic, EvictReason::LoggedOut));
            }
            let accounted = record.accounted || slot.agent.owner(&record).is_some();
            record.accounted = accounted;
            slot.agent.contacts.insert(id, record);
            if !accounted {
                self.resync.want(ResyncReason::Unaccounted);
            }
        }
        self.dirty.insert(endpoint);
    }

    fn device_event(&mut self, endpoint: Extension, state: DeviceState) {
        let step = self.step;
        let slot = self.slot(&endpoint);
        slot.agent.device_touched = Some(step);
        if slot.agent.device_state != Some(state) {
            slot.agent.device_state = Some(state);
            self.dirty.insert(endpoint);
        }
    }

    fn device_list(&mut self, now: Now, asked_at: Instant, states: Vec<(Extension, DeviceState)>) {
        let Some(asked) = self.resync.asked_in(asked_at) else {
            return;
        };
        let mut listed = BTreeMap::new();
        for (endpoint, state) in states {
            self.slot(&endpoint);
            listed.insert(endpoint, state);
        }
        for (extension, slot) in &mut self.slots {
            let newer = slot
                .agent
                .device_touched
                .is_some_and(|touched| touched > asked);
            let state = listed.get(extension).copied();
            if !newer && slot.agent.device_state != state {
                slot.agent.device_state = state;
                self.dirty.insert(extension.clone());
            }
        }
        self.part_received(now, Part::Devices);
    }

    fn channel_event(&mut self, channel: Channel) {
        if self.hung_up.contains(&channel.unique_id) {
            return;
        }
        let endpoint = channel.endpoint.clone();
        self.channel_index
            .insert(channel.unique_id.clone(), endpoint.clone());
        let step = self.step;
        let channels = &mut self.slot(&endpoint).agent.channels;
        channels.insert(channel.unique_id.clone(), (channel, step));
        self.dirty.insert(endpoint);
    }

    fn hangup(&mut self, unique_id: &str) {
        // Kept until the next full list: an event that comes late must not bring it back.
        self.hung_up.insert(unique_id, self.step);
        let Some(endpoint) = self.channel_index.remove(unique_id) else {
            return;
        };
        self.slot(&endpoint).agent.channels.remove(unique_id);
        self.dirty.insert(endpoint);
    }

    fn channel_list(&mut self, now: Now, asked_at: Instant, channels: Vec<Channel>) {
        let Some(asked) = self.resync.asked_in(asked_at) else {
            return;
        };
        let listed: BTreeSet<String> = channels
            .iter()
            .map(|channel| channel.unique_id.clone())
            .collect();
        let mut gone = Vec::new();
        for (unique_id, endpoint) in &self.channel_index {
            let Some(slot) = self.slots.get_mut(endpoint) else {
                continue;
            };
            let newer = slot
                .agent
                .channels
                .get(unique_id)
                .is_some_and(|(_, touched)| *touched > asked);
            if !newer && !listed.contains(unique_id) {
                slot.agent.channels.remove(unique_id);
                gone.push(unique_id.clone());
                self.dirty.insert(endpoint.clone());
            }
        }
        for unique_id in gone {
            self.channel_index.remove(&unique_id);
        }
        self.hung_up.forget_until(asked);
        for channel in channels {
            let newer = self
                .channel_index
                .get(&channel.unique_id)
                .and_then(|endpoint| self.slots.get(endpoint))
                .and_then(|slot| slot.agent.channels.get(&channel.unique_id))
                .is_some_and(|(_, touched)| *touched > asked);
            if !newer {
                self.channel_event(channel);
            }
        }
        self.part_received(now, Part::Channels);
    }

    pub(super) fn part_received(&mut self, now: Now, part: Part) {
        let config = self.config;
        let asked = self.resync.asked();
        if !self.resync.received(part, now.monotonic, &config) {
            return;
        }
        self.lists_answer(asked.unwrap_or_default());
        self.listed_at = Some(now);
        if !self.listed || !self.ami.is_up() {
            if matches!(self.ami, SourceHealth::Syncing { .. }) {
                self.ami = SourceHealth::Up { since: now };
                self.note_house(
                    now,
                    LedgerKind::Observation,
                    "ami",
                    "source_found",
                    String::new(),
                );
                self.source_found(now);
            }
            self.listed = true;
            self.ready = self.restored;
            self.all_dirty();
        }
    }
}

impl Slot {
    /// What only events spoke of before the list was asked for, and the list does not name, went
    /// without a word that reached us.
    fn drop_unlisted(&mut self, now: Now, asked: u64, listed: &BTreeSet<ContactId>) -> bool {
        let mut gone: Vec<ContactId> = Vec::new();
        self.agent.glimpsed.retain(|id, glimpse| {
            let named = listed.contains(id);
            if !named && glimpse.step <= asked {
                gone.push(id.clone());
            }
            !named
        });
        let mut dropped = false;
        for id in gone {
            if self.agent.drop_glimpsed(&id) {
                self.note_contact(now, &id, "contact_not_listed", String::new());
                dropped = true;
            }
        }
        dropped
    }

    /// Recovery at start: what the table still has, and Asterisk does not, went while nobody looked.
    fn note_gone_meanwhile(&mut self, now: Now, listed: &BTreeSet<ContactId>) {
        let gone: Vec<ContactId> = self.book.unlisted(listed).cloned().collect();
        for id in gone {
            self.note_contact(now, &id, "contact_gone_meanwhile", String::new());
        }
    }

    /// Our table was changed by somebody else (alignment: an external change is shown).
    fn note_table(&mut self, now: Now, id: &ContactId) {
        self.book.note(LedgerEntry {
            at_unix_ms: now.unix_ms,
            extension: Some(self.agent.extension.clone()),
            device: None,
            kind: LedgerKind::Repair,
            source: "database",
            rule: Some("R10"),
            what: "external_change",
            detail: format!("contact {}: the row was not as written", id.short_hash()),
        });
    }

    fn note_contact(&mut self, now: Now, id: &ContactId, what: &'static str, detail: String) {
        let device = self
            .agent
            .contacts
            .get(id)
            .and_then(|record| record.contact.device());
        let detail = if detail.is_empty() {
            format!("contact {}", id.short_hash())
        } else {
            format!("contact {}: {detail}", id.short_hash())
        };
        self.book.note(LedgerEntry {
            at_unix_ms: now.unix_ms,
            extension: Some(self.agent.extension.clone()),
            device,
            kind: LedgerKind::Observation,
            source: "ami",
            rule: None,
            what,
            detail,
        });
    }
}
