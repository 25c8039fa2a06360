//! What follows from the records of one agent: repairs, the decision, the commit, the word.

use std::time::{Duration, Instant};

use super::{Core, Doubt, Owner, Slot, darkened};
use crate::agent::{ContactRecord, SessionRecord};
use crate::board::{AgentView, BoardStatus, LeaseView};
use crate::config::{Config, Registrar};
use crate::decide::decide;
use crate::input::DeviceState;
use crate::ledger::{Decision, LedgerEntry, LedgerKind};
use crate::names::{Extension, SessionId};
use crate::output::{Commit, Output, Pending, ResyncReason, SessionState};
use crate::source::SourceHealth;
use crate::time::Now;

/// How long before a contact's expiry its list entry is read again: a refresh raises no event (F8).
pub(super) const EXPIRY_LEAD: Duration = Duration::from_secs(2);

/// Device state and channel events of one call come apart by milliseconds; longer is a difference.
pub(super) const CALLS_MAY_DISAGREE: Duration = Duration::from_secs(2);

impl Core {
    pub(super) fn conclude(&mut self, now: Now, extension: &Extension) {
        self.count_losses(now, extension);
        let ami_up = self.ami.is_up();
        // Nobody is evicted while we may be the ones who are wrong (R9).
        let may_evict = ami_up
            && self.database.is_up()
            && !self.suspicion.holds()
            && now.monotonic >= self.started.monotonic + self.config.grace;
        let doubt = self.suspicion.doubt();
        let config = self.config;
        let Some(slot) = self.slots.get_mut(extension) else {
            return;
        };
        if slot
            .unsaved_until
            .is_some_and(|until| until <= now.monotonic)
        {
            slot.unsaved_until = None;
        }
        slot.agent.adopt();
        slot.complete_logouts(now, ami_up);
        slot.end_pause_of_session(now, self.step);
        if slot.awaits_pause_end(&config) {
            self.resync.want(ResyncReason::Pause);
        }
        slot.release_answers(now, self.ami, &config);
        slot.follow_contacts(now);
        if config.registrar == Registrar::Claims {
            slot.follow_claims(now, &config);
        }
        let mut asks = Vec::new();
        let throttles = &mut self.throttles;
        if ami_up {
            slot.end_maintenance(now, &mut asks);
            slot.mark_evictions(now, doubt, &config);
            asks.extend(slot.ask_qualify(now, &config, &mut throttles.qualify));
            slot.ask_reregister(now, &config, &mut throttles.reregister, &mut asks);
        }
        if may_evict {
            slot.ask_evict(now, &config, &mut throttles.evict, &mut asks);
        }
        if slot.nears_expiry(now) {
            self.resync.want(ResyncReason::Expiry);
        }
        if slot.calls_contradict(now) {
            self.resync.want(ResyncReason::Contradiction);
        }
        self.decide(now, extension);
        let throttle = &mut self.throttles.drain;
        if ami_up && let Some(slot) = self.slots.get_mut(extension) {
            let asked = slot.order_pause(now, &config, throttle);
            // What people ask is no repair: it is done whoever only observes.
            self.outputs.extend(asked.map(Output::Ask));
            if may_evict {
                slot.ask_drain(now, &config, throttle, &mut asks);
            }
        }
        // To observe only is to conclude, and to note, and to leave everything as it is (R10).
        if !config.observe_only {
            self.outputs.extend(asks.into_iter().map(Output::Ask));
        }
        self.schedule(now, extension);
        self.flush(now, extension);
    }

    pub(super) fn decide(&mut self, now: Now, extension: &Extension) {
        let config = self.config;
        let Some(slot) = self.slots.get(extension) else {
            return;
        };
        let mut view = decide(
            &slot.agent,
            &self.sight(now, &config, slot),
            slot.decided.as_ref(),
        );
        let Some(slot) = self.slots.get_mut(extension) else {
            return;
        };
        slot.agent.keep_age(&mut view);
        if let Some(before) = slot.decided.as_ref().map(|view| view.status) {
            let flaps = &mut slot.agent.flaps;
            flaps.decided(before, &view, now.monotonic, &config);
        }
        if slot.agent.known && decision_changed(slot.decided.as_ref(), &view) {
            slot.book
                .note(decision_entry(slot.decided.as_ref(), &view, now));
        }
        slot.decided = Some(view);
    }

    /// Commits what changed; says at once only what speaks of no change in the database.
    fn flush(&mut self, now: Now, extension: &Extension) {
        let dark = self.ami_or_database_dark();
        let database_up = self.database.is_up();
        let Some(slot) = self.slots.get(extension) else {
            return;
        };
        let Some(view) = slot.decided.clone() else {
            return;
        };
        let known = slot.agent.known;
        if known
            && view.status == BoardStatus::Unknown
            && (dark || slot.unsaved_until.is_some())
            && let Some(published) = &slot.published
        {
            // That a source is out of sight is no change of ours: it need not wait.
            let darkened = darkened(published, &view);
            self.publish(extension, darkened);
        }
        let Some(slot) = self.slots.get(extension) else {
            return;
        };
        if !database_up || slot.unsaved_until.is_some() || slot.book.is_in_flight() {
            return;
        }
        let on_board = slot
            .agent
            .sessions
            .iter()
            .any(|session| session.is_on_board());
        let rows_known = self.contacts_listed || !on_board;
        let id = self.commit_id(Owner::Agent(extension.clone()));
        let Some(slot) = self.slots.get_mut(extension) else {
            return;
        };
        if let Some(writes) = slot.book.begin(&slot.agent, &view, rows_known, id, now) {
            self.outputs
                .push_back(Output::Commit(Commit { id, writes }));
            return;
        }
        let replies = slot.book.nothing_to_write(&view);
        self.commits.remove(&id);
        if known {
            self.publish(extension, view);
        }
        self.reply_all(replies);
    }

    /// Sets the agent's next wake.
    fn schedule(&mut self, now: Now, extension: &Extension) {
        let config = self.config;
        let Some(slot) = self.slots.get_mut(extension) else {
            return;
        };
        let evict_from = self.started.monotonic + config.grace;
        let wake = slot.next_wake(now, &config, evict_from);
        if wake == slot.wake {
            return;
        }
        if let Some(old) = std::mem::replace(&mut slot.wake, wake) {
            self.timers.remove(&(old, extension.clone()));
        }
        if let Some(wake) = wake {
            self.timers.insert((wake, extension.clone()));
        }
    }
}

fn decision_changed(before: Option<&AgentView>, view: &AgentView) -> bool {
    let codes = |view: &AgentView| {
        view.reasons
            .iter()
            .map(|reason| reason.code)
            .collect::<Vec<_>>()
    };
    before.is_none_or(|before| before.status != view.status || codes(before) != codes(view))
}

/// "NotAvailable -> Available; lease live, contact 7f3a1b2c Reachable until 1795359199".
pub(super) fn decision_entry(
    before: Option<&AgentView>,
    view: &AgentView,
    now: Now,
) -> LedgerEntry {
    let decision = Decision {
        before: before.map(|before| before.status),
        status: view.status,
        reasons: view.reasons.iter().map(|reason| reason.code).collect(),
        since_unix_ms: (view.since_unix_ms < now.unix_ms).then_some(view.since_unix_ms),
    };
    let mut detail = decision.write();
    for device in &view.devices {
        detail.push_str("; lease ");
        detail.push_str(device.lease.as_str());
        if let (Some(hash), Some(status)) = (&device.contact_hash, device.contact_status) {
            let expires = device.expires_unix.unwrap_or_default();
            detail.push_str(&format!(
                ", contact {hash} {} until {expires}",
                status.as_str()
            ));
        }
    }
    LedgerEntry {
        at_unix_ms: now.unix_ms,
        extension: Some(view.extension.clone()),
        device: None,
        kind: LedgerKind::Decision,
        source: "server",
        rule: Some(if view.status == BoardStatus::Unknown {
            "R5"
        } else {
            "R1"
        }),
        what: "status_changed",
        detail,
    }
}

impl Slot {
    /// A logout that waited for a call, and no longer does.
    fn complete_logouts(&mut self, now: Now, ami_up: bool) {
        if ami_up && self.agent.on_call() {
            return;
        }
        let done: Vec<(SessionId, crate::input::EndReason)> = self
            .agent
            .sessions
            .iter()
            .filter(|session| session.state == SessionState::LoggingOut)
            .map(|session| (session.session.id.clone(), session.leaving))
            .collect();
        for (session, reason) in done {
            self.end_session(&session, reason, now);
        }
    }

    /// Logouts are answered once phone, Asterisk and board agree, or with what does not yet.
    fn release_answers(&mut self, now: Now, ami: SourceHealth, config: &Config) {
        if self.book.release_at().is_some() {
            let pending = self.logout_waits_for(ami, config);
            self.book.release(&pending, now.monotonic);
        }
    }

    fn logout_waits_for(&self, ami: SourceHealth, config: &Config) -> Vec<Pending> {
        let leaving = |session: &SessionRecord| session.state == SessionState::LoggingOut;
        if self.agent.sessions.iter().any(leaving) {
            return vec![Pending::Call];
        }
        if config.registrar != Registrar::Linked {
            return Vec::new();
        }
        let mut contacts = self.agent.contacts.values().peekable();
        let device_gone = contacts.peek().is_some()
            || !matches!(
                self.agent.device_state,
                Some(state) if state != DeviceState::Unavailable && state != DeviceState::Invalid
            );
        let mut pending = Vec::new();
        // Out of sight nothing is proved to be gone.
        if !ami.is_up() || contacts.any(ContactRecord::is_retired) {
            pending.extend([Pending::Contact, Pending::Row]);
        }
        if !ami.is_up() || !device_gone {
            pending.push(Pending::Device);
        }
        pending
    }

    /// Where nobody can be asked a claim counts while its app lives, and ends with its session.
    fn follow_claims(&mut self, now: Now, config: &Config) {
        let over: Vec<_> = self
            .agent
            .contacts
            .iter()
            .filter(|(_, record)| record.is_retired())
            .map(|(id, _)| id.clone())
            .collect();
        for id in over {
            self.agent.drop_contact(&id, now);
        }
        let until = now.unix_seconds() + config.claim_lives.as_secs();
        let half = config.claim_lives.as_secs() / 2;
        let alive: Vec<_> = self
            .agent
            .sessions
            .iter()
            .filter(|session| session.is_on_board())
            .filter(|session| session.lease_view(now, Doubt::default()) == LeaseView::Live)
            .filter_map(|session| self.agent.held(session, now).one())
            .filter(|record| record.contact.expires_unix < until.saturating_sub(half))
            .map(|record| record.contact.id.clone())
            .collect();
        for id in alive {
            if let Some(record) = self.agent.contacts.get_mut(&id) {
                record.contact.expires_unix = until;
            }
        }
    }

    /// Remembers which sessions have, and which miss, their contact.
    fn follow_contacts(&mut self, now: Now) {
        let holds: Vec<(SessionId, bool)> = self
            .agent
            .sessions
            .iter()
            .filter(|session| session.state == SessionState::Online)
            .map(|session| {
                let held = self.agent.held(session, now);
                let good = held.one().is_some_and(|record| !record.is_expired(now));
                (session.session.id.clone(), good)
            })
            .collect();
        for (id, good) in holds {
            if let Some(session) = self.agent.session_mut(&id) {
                if good {
                    session.had_contact = true;
                    session.missed_since = None;
                    session.nudged = None;
                } else {
                    session.missed_since.get_or_insert(now.monotonic);
                }
            }
        }
    }

    fn next_wake(&self, now: Now, config: &crate::Config, evict_from: Instant) -> Option<Instant> {
        let mut wakes: Vec<Instant> = Vec::new();
        wakes.extend(self.unsaved_until);
        wakes.extend(self.book.release_at());
        for session in self
            .agent
            .sessions
            .iter()
            .filter(|session| session.is_on_board())
        {
            wakes.extend(session.lease.until);
            wakes.extend(session.registering_until);
            if let Some(missed) = session.missed_since
                && session.lease.links.is_any()
            {
                wakes.push(session.nudged.map_or(missed + config.nudge_after, |last| {
                    last + config.nudge_after * 10
                }));
            }
        }
        wakes.extend(self.agent.flaps.steady_at(now.monotonic));
        wakes.extend(self.agent.maintenance);
        wakes.extend(self.agent.handed_over.map(|at| at + config.handover));
        if let Some((asked, _)) = &self.agent.queues.asked {
            wakes.push(*asked + config.drain_again);
        }
        for record in self.agent.contacts.values() {
            let expires = record.expires_here();
            wakes.extend(now.at_unix_seconds(expires).checked_sub(EXPIRY_LEAD));
            wakes.push(now.at_unix_seconds(expires.saturating_add(1)));
            if let Some((due, _)) = record.evict_due(config) {
                wakes.push(due.max(evict_from));
            }
        }
        if !self.agent.disagree_asked {
            wakes.extend(
                self.agent
                    .disagree_since
                    .map(|since| since + CALLS_MAY_DISAGREE),
            );
        }
        if let Some(last) = self.agent.qualify_asked {
            wakes.push(last + config.qualify);
        }
        wakes.into_iter().filter(|at| *at > now.monotonic).min()
    }
}
