//! The five verbs of self-healing, as far as they are asked of Asterisk and of the apps (R10): each
//! rate-limited, each on the ledger.

use std::collections::BTreeMap;
use std::time::Duration;

use super::conclude::{CALLS_MAY_DISAGREE, EXPIRY_LEAD};
use super::throttle::Throttle;
use super::{Doubt, Slot};
use crate::agent::{ContactRecord, Held};
use crate::board::{AgentView, BoardStatus, LeaseView, ReasonCode};
use crate::config::Config;
use crate::contact::{Claim, ContactStatus};
use crate::ledger::{LedgerEntry, LedgerKind};
use crate::names::{ContactId, Extension};
use crate::output::{Ask, EvictReason, QueueOrder, SessionState};
use crate::time::Now;

/// Reasons for which queues should not even try.
const DRAINS: [ReasonCode; 5] = [
    ReasonCode::AppLost,
    ReasonCode::SipLoopStalled,
    ReasonCode::AudioLoopStalled,
    ReasonCode::NoAudioDevice,
    ReasonCode::LogoutPending,
];

impl Slot {
    /// Marks for eviction, as long as that holds: the older contacts of a device whose claimed one
    /// answers, and the contact of an app that is gone and does not answer either.
    pub(super) fn mark_evictions(&mut self, now: Now, doubt: Doubt, config: &Config) {
        let mut marks: BTreeMap<ContactId, EvictReason> = BTreeMap::new();
        for session in self
            .agent
            .sessions
            .iter()
            .filter(|session| session.is_on_board())
        {
            let Held::One(best) = self.agent.held(session, now) else {
                continue;
            };
            let lost = session.lease_view(now, doubt) == LeaseView::Ended;
            if lost && best.contact.status == ContactStatus::Unreachable {
                marks.insert(best.contact.id.clone(), EvictReason::AppLost);
            }
            if best.contact.status != ContactStatus::Reachable || session.claim == Some(Claim::Aor)
            {
                continue;
            }
            for record in self.agent.contacts.values() {
                let owner = self.agent.named_owner(record);
                if owner.is_some_and(|owner| owner.session.id == session.session.id)
                    && record.contact.id != best.contact.id
                {
                    marks.insert(record.contact.id.clone(), EvictReason::Superseded);
                }
            }
        }
        let nobody = self.agent.known && self.agent.sessions.iter().all(|s| s.is_ended());
        for record in self.agent.contacts.values() {
            if record.forged {
                marks.insert(record.contact.id.clone(), EvictReason::Forged);
            } else if self.is_orphan(record) {
                marks.insert(record.contact.id.clone(), EvictReason::AppLost);
            } else if config.evict_unmanaged && nobody && record.contact.device().is_none() {
                marks.insert(record.contact.id.clone(), EvictReason::Unmanaged);
            }
        }
        for (id, record) in &mut self.agent.contacts {
            if record.is_retired() {
                continue;
            }
            let since = record.evict.map_or(now.monotonic, |(since, _)| since);
            record.evict = marks.get(id).map(|why| (since, *why));
        }
    }

    /// The contact of an app that nobody is signed in with, and that does not answer: an Asterisk that crashed has it
    /// again, and what we knew of it went with its row. An app signs in before it registers, so none is waited for.
    fn is_orphan(&self, record: &ContactRecord) -> bool {
        self.agent.known
            && record.contact.device().is_some()
            && record.contact.status == ContactStatus::Unreachable
            && self.agent.owner(record).is_none()
    }

    pub(super) fn ask_qualify(
        &mut self,
        now: Now,
        config: &Config,
        throttle: &mut Throttle,
    ) -> Option<Ask> {
        let Some(why) = self.wants_qualify(now) else {
            self.agent.qualify_asked = None;
            return None;
        };
        let asked = self.agent.qualify_asked;
        if asked.is_some_and(|last| now.monotonic < last + config.qualify)
            || !throttle.take(&self.agent.extension, now.monotonic)
        {
            return None;
        }
        if asked.is_none() {
            self.book.note(repair_entry(
                &self.agent.extension,
                config,
                "qualify",
                why.to_owned(),
                now,
            ));
        }
        self.agent.qualify_asked = Some(now.monotonic);
        Some(Ask::Qualify {
            endpoint: self.agent.extension.clone(),
        })
    }

    /// Somebody counts on a contact that Asterisk does not test by itself, or has not yet; or that did
    /// not answer, while the app it belongs to is heard: one lost OPTIONS is to cost seconds, and not
    /// until Asterisk asks by itself again.
    fn wants_qualify(&self, now: Now) -> Option<&'static str> {
        let sessions = self.agent.sessions.iter();
        sessions
            .filter(|session| session.state == SessionState::Online)
            .filter_map(|session| Some((session, self.agent.held(session, now).one()?)))
            .filter(|(_, record)| !record.is_expired(now))
            .find_map(|(session, record)| {
                let untested = record.contact.qualify_frequency == 0
                    || record.contact.status == ContactStatus::NonQualified;
                let unanswered = record.contact.status == ContactStatus::Unreachable
                    && session.lease_view(now, Doubt::default()) == LeaseView::Live
                    && session.says_registered();
                if untested {
                    Some("the contact was not tested")
                } else {
                    unanswered.then_some("the contact did not answer, and its app is heard")
                }
            })
    }

    pub(super) fn ask_reregister(
        &mut self,
        now: Now,
        config: &Config,
        throttle: &mut Throttle,
        asks: &mut Vec<Ask>,
    ) {
        let after = config.nudge_after;
        let mut notes = Vec::new();
        for session in &mut self.agent.sessions {
            if session.state != SessionState::Online || !session.lease.links.is_any() {
                continue;
            }
            let missed = session
                .missed_since
                .is_some_and(|since| since + after <= now.monotonic);
            let again = session
                .nudged
                .is_none_or(|last| last + after * 10 <= now.monotonic);
            if missed && again && throttle.take(&self.agent.extension, now.monotonic) {
                session.nudged = Some(now.monotonic);
                let detail = format!("device {}: its contact is missing", session.session.device);
                notes.push(repair_entry(
                    &self.agent.extension,
                    config,
                    "re_register",
                    detail,
                    now,
                ));
                asks.push(Ask::Reregister {
                    session: session.session.id.clone(),
                });
            }
        }
        for note in notes {
            self.book.note(note);
        }
    }

    /// Queues pass no calls to an agent whose phone or app is not proved, or who is leaving; and do
    /// so again once it is. Where a person wants a pause, that is asked of them instead.
    pub(super) fn ask_drain(
        &mut self,
        now: Now,
        config: &Config,
        throttle: &mut Throttle,
        asks: &mut Vec<Ask>,
    ) {
        let Some(view) = self
            .decided
            .as_ref()
            .filter(|view| view.status != BoardStatus::Unknown)
        else {
            return;
        };
        if self.agent.wants_queues() {
            return;
        }
        let queues = &self.agent.queues;
        let (due, order) = match drain_reason(view) {
            Some(reason) => (queues.is_open(), QueueOrder::Drain { reason }),
            None => {
                let queues = queues.drained();
                (!queues.is_empty(), QueueOrder::Unpause { queues })
            }
        };
        if !due {
            self.agent.queues.asked = None;
            return;
        }
        let detail = match &order {
            QueueOrder::Drain { reason } => ("drain", reason.as_str()),
            _ => ("undrain", "proved again, or gone"),
        };
        if let Some(ask) = self.order_queues(now, config, throttle, order) {
            let (what, detail) = (detail.0, detail.1.to_owned());
            let entry = repair_entry(&self.agent.extension, config, what, detail, now);
            self.book.note(entry);
            asks.push(ask);
        }
    }

    /// Asks the queues for something, unless that was asked just now, or others have to come first.
    pub(super) fn order_queues(
        &mut self,
        now: Now,
        config: &Config,
        throttle: &mut Throttle,
        order: QueueOrder,
    ) -> Option<Ask> {
        let queues = &mut self.agent.queues;
        let just_now = queues.asked.as_ref().is_some_and(|(at, what)| {
            what.is_as(&order) && now.monotonic < *at + config.drain_again
        });
        if just_now || !throttle.take(&self.agent.extension, now.monotonic) {
            return None;
        }
        queues.asked = Some((now.monotonic, order.clone()));
        Some(Ask::Queues {
            endpoint: self.agent.extension.clone(),
            order,
        })
    }

    /// Maintenance after a forced logout lasts until the contacts are gone.
    pub(super) fn end_maintenance(&mut self, now: Now, asks: &mut Vec<Ask>) {
        let Some(until) = self.agent.maintenance else {
            return;
        };
        let retired = self
            .agent
            .contacts
            .values()
            .any(|record| record.is_retired());
        if retired && now.monotonic < until {
            return;
        }
        self.agent.maintenance = None;
        asks.push(Ask::Maintenance {
            endpoint: self.agent.extension.clone(),
            on: false,
        });
    }

    pub(super) fn ask_evict(
        &mut self,
        now: Now,
        config: &Config,
        throttle: &mut Throttle,
        asks: &mut Vec<Ask>,
    ) {
        let mut notes = Vec::new();
        let newest_session = self
            .agent
            .sessions
            .iter()
            .filter(|session| !session.is_ended())
            .map(|session| session.session.started_unix_ms)
            .max();
        for record in self.agent.contacts.values_mut() {
            let Some((due, reason)) = record.evict_due(config) else {
                continue;
            };
            if now.monotonic < due {
                continue;
            }
            // A phone without a device id that registered again just before its agent comes back
            // looks like one that never left.
            let since = record.evict.map_or(now.monotonic, |(since, _)| since);
            let ago = millis(now.monotonic.saturating_duration_since(since));
            let retired_unix_ms = now.unix_ms.saturating_sub(ago);
            if reason == EvictReason::LoggedOut
                && record.contact.device().is_none()
                && newest_session.is_some_and(|started| started >= retired_unix_ms)
            {
                continue;
            }
            if !throttle.take(&self.agent.extension, now.monotonic) {
                break;
            }
            record.evict_asked = Some(now.monotonic);
            if !config.observe_only {
                record.evicted = Some(record.contact.expires_unix);
            }
            let detail = format!(
                "contact {}: {}",
                record.contact.id.short_hash(),
                reason.as_str()
            );
            notes.push(repair_entry(
                &self.agent.extension,
                config,
                "evict",
                detail,
                now,
            ));
            asks.push(Ask::Evict {
                contact: record.row(now),
                reason,
            });
        }
        for note in notes {
            self.book.note(note);
        }
    }

    /// By what is known a contact is about to expire, or just did; a refresh would raise no event.
    pub(super) fn nears_expiry(&mut self, now: Now) -> bool {
        let mut nears = false;
        for record in self.agent.contacts.values_mut() {
            let expires = record.expires_here();
            if record.is_expired(now) {
                nears |= record.checked_after.replace(expires) != Some(expires);
            } else if now.at_unix_seconds(expires) <= now.monotonic + EXPIRY_LEAD {
                nears |= record.checked_before.replace(expires) != Some(expires);
            }
        }
        nears
    }

    /// Channels and device state have disagreed for a while; asked about once.
    pub(super) fn calls_contradict(&mut self, now: Now) -> bool {
        if !self.agent.calls_disagree() {
            self.agent.disagree_since = None;
            self.agent.disagree_asked = false;
            return false;
        }
        let since = *self.agent.disagree_since.get_or_insert(now.monotonic);
        if self.agent.disagree_asked || now.monotonic < since + CALLS_MAY_DISAGREE {
            return false;
        }
        self.agent.disagree_asked = true;
        true
    }
}

/// Why an agent's queues are to pass it over: every device of it has such a reason.
fn drain_reason(view: &AgentView) -> Option<ReasonCode> {
    let mut sessions = view
        .devices
        .iter()
        .filter(|device| device.session_since_unix_ms.is_some())
        .map(|device| {
            device
                .reasons
                .iter()
                .map(|reason| reason.code)
                .find(|code| DRAINS.contains(code))
        });
    let first = sessions.next()??;
    sessions.all(|reason| reason.is_some()).then_some(first)
}

pub(super) fn repair_entry(
    extension: &Extension,
    config: &Config,
    what: &'static str,
    detail: String,
    now: Now,
) -> LedgerEntry {
    LedgerEntry {
        at_unix_ms: now.unix_ms,
        extension: Some(extension.clone()),
        device: None,
        kind: LedgerKind::Repair,
        source: "server",
        rule: Some("R10"),
        what,
        detail: if config.observe_only {
            format!("observed only: {detail}")
        } else {
            detail
        },
    }
}

fn millis(duration: Duration) -> u64 {
    u64::try_from(duration.as_millis()).unwrap_or(u64::MAX)
}
