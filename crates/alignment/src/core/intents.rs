//! What people ask: recorded as their intent, never overwritten by what is seen (R2).

use std::time::Instant;

use super::{Core, Slot};
use crate::agent::SessionRecord;
use crate::board::LeaseView;
use crate::book::{Keyed, Pending, Recall};
use crate::config::DevicePolicy;
use crate::contact::Claim;
use crate::input::{EndReason, Intent, Session, SignIn};
use crate::ledger::{LedgerEntry, LedgerKind};
use crate::names::{DeviceId, Extension, IdempotencyKey, RequestId, SessionId};
use crate::output::{Answer, Refusal, SessionState};
use crate::time::Now;

impl Core {
    pub(super) fn intent(&mut self, now: Now, request: RequestId, intent: Intent) {
        let outcome = if !self.restored {
            Err(Refusal::NotReady)
        } else if !self.database.is_up() {
            Err(Refusal::DatabaseUnavailable)
        } else {
            match intent {
                Intent::SignIn(sign_in) => self.sign_in(now, request, sign_in),
                Intent::AgentOnline {
                    session,
                    extension,
                    contact_uri,
                    key,
                } => self.agent_online(now, request, &session, &extension, &contact_uri, key),
                Intent::AgentLogout {
                    session,
                    device,
                    key,
                } => self.agent_logout(now, request, &session, device, key),
                Intent::ForceLogout { extension, by } => {
                    self.force_logout(now, request, &extension, &by)
                }
            }
        };
        if let Err(refusal) = outcome {
            self.reply_all(vec![(request, Answer::Refused(refusal))]);
        }
    }

    fn sign_in(&mut self, now: Now, request: RequestId, sign_in: SignIn) -> Result<(), Refusal> {
        let SignIn {
            session,
            extension,
            device,
        } = sign_in;
        let slot = self
            .slots
            .get_mut(&extension)
            .ok_or(Refusal::UnknownExtension)?;
        if !slot.agent.known {
            return Err(Refusal::UnknownExtension);
        }
        slot.book.wait(request, Pending::SignedIn, None);
        if slot.agent.session(&session).is_none() {
            // A restarted app takes its device's place; its old contact stays until the new one
            // is proved.
            for old in &mut slot.agent.sessions {
                if !old.is_ended() && old.session.device == device {
                    old.end(EndReason::Superseded, now);
                }
            }
            slot.note_intent(now, "agent", "signed_in", Some(device.clone()));
            slot.agent.sessions.push(SessionRecord::new(Session {
                id: session.clone(),
                extension: extension.clone(),
                device,
                started_unix_ms: now.unix_ms,
            }));
            for forgotten in slot.agent.forget_ended() {
                self.session_index.remove(&forgotten);
            }
            self.session_index.insert(session, extension.clone());
        }
        self.dirty.insert(extension);
        Ok(())
    }

    fn agent_online(
        &mut self,
        now: Now,
        request: RequestId,
        session: &SessionId,
        extension: &Extension,
        contact_uri: &str,
        key: Option<IdempotencyKey>,
    ) -> Result<(), Refusal> {
        let policy = self.config.devices;
        let registering = self.config.registering;
        let ami_up = self.ami.is_up();
        let slot = self
            .slot_of_session(session)
            .ok_or(Refusal::UnknownSession)?;
        let agent = &mut slot.agent;
        let record = agent.session(session).ok_or(Refusal::UnknownSession)?;
        if record.session.extension != *extension {
            return Err(Refusal::WrongExtension);
        }
        let claim = Claim::parse(contact_uri, extension).map_err(Refusal::BadContact)?;
        let keyed = key.map(|key| Keyed {
            key,
            content: format!("online {session} {contact_uri}"),
        });
        if let Some(answered) = recall(slot, request, keyed.as_ref())? {
            self.reply_all(answered);
            return Ok(());
        }
        let record = slot.agent.session(session).ok_or(Refusal::UnknownSession)?;
        if record.is_ended() {
            return Err(Refusal::SessionEnded);
        }
        let changed = record.state != SessionState::Online || record.claim.as_ref() != Some(&claim);
        if changed {
            if claim == Claim::Aor && ami_up {
                let named = slot.agent.contacts.values().any(|contact| {
                    slot.agent
                        .owner(contact)
                        .is_some_and(|owner| owner.session.id == *session)
                });
                if !named && slot.agent.unowned().nth(1).is_some() {
                    return Err(Refusal::AmbiguousContact);
                }
            }
            make_room(slot, session, policy, now)?;
            let device = record_online(slot, session, claim, now, registering);
            slot.note_intent(now, "agent", "agent_online", device);
        }
        slot.book.wait(request, Pending::Online, keyed);
        self.dirty.insert(extension.clone());
        Ok(())
    }

    fn agent_logout(
        &mut self,
        now: Now,
        request: RequestId,
        session: &SessionId,
        device: Option<DeviceId>,
        key: Option<IdempotencyKey>,
    ) -> Result<(), Refusal> {
        let call_may_be_seen = self.ami.is_up();
        let held_until = now.monotonic + self.config.logout_patience;
        let slot = self
            .slot_of_session(session)
            .ok_or(Refusal::UnknownSession)?;
        let target = match &device {
            None => slot.agent.session(session),
            // The newest of that device, so that an ended one answers only where none is left.
            Some(device) => slot
                .agent
                .sessions
                .iter()
                .rev()
                .filter(|record| record.session.device == *device)
                .min_by_key(|record| record.is_ended()),
        };
        let target = target.ok_or(Refusal::UnknownDevice)?.session.id.clone();
        let keyed = key.map(|key| Keyed {
            key,
            content: format!("logout {target}"),
        });
        if let Some(answered) = recall(slot, request, keyed.as_ref())? {
            self.reply_all(answered);
            return Ok(());
        }
        let pending = slot.leave(&target, EndReason::LoggedOut, call_may_be_seen, now);
        slot.await_logout(request, pending, keyed, held_until);
        let extension = slot.agent.extension.clone();
        self.dirty.insert(extension);
        Ok(())
    }

    fn force_logout(
        &mut self,
        now: Now,
        request: RequestId,
        extension: &Extension,
        by: &SessionId,
    ) -> Result<(), Refusal> {
        let call_may_be_seen = self.ami.is_up();
        let held_until = now.monotonic + self.config.logout_patience;
        let slot = self
            .slots
            .get_mut(extension)
            .ok_or(Refusal::UnknownExtension)?;
        let sessions: Vec<SessionId> = slot
            .agent
            .sessions
            .iter()
            .filter(|record| !record.is_ended())
            .map(|record| record.session.id.clone())
            .collect();
        let mut answer = Pending::LoggedOut;
        for session in &sessions {
            if slot.leave(session, EndReason::Forced, call_may_be_seen, now) == Pending::LoggingOut
            {
                answer = Pending::LoggingOut;
            }
        }
        slot.book.note(LedgerEntry {
            at_unix_ms: now.unix_ms,
            extension: Some(extension.clone()),
            device: None,
            kind: LedgerKind::Intent,
            source: "supervisor",
            rule: None,
            what: "forced_logout",
            detail: format!("asked in session {by}"),
        });
        slot.await_logout(request, answer, None, held_until);
        self.dirty.insert(extension.clone());
        Ok(())
    }
}

/// What the idempotency key says: `Some` when nothing is left to do but to reply.
type Recalled = Option<Vec<(RequestId, Answer)>>;

fn recall(slot: &mut Slot, request: RequestId, keyed: Option<&Keyed>) -> Result<Recalled, Refusal> {
    let Some(keyed) = keyed else { return Ok(None) };
    match slot.book.recall(request, keyed) {
        Recall::New => Ok(None),
        Recall::Joined => Ok(Some(Vec::new())),
        Recall::Again(answer) => Ok(Some(vec![(request, answer)])),
        Recall::Misused => Err(Refusal::KeyReused),
    }
}

/// The policy on several devices: refuses, or ends the others.
fn make_room(
    slot: &mut Slot,
    session: &SessionId,
    policy: DevicePolicy,
    now: Now,
) -> Result<(), Refusal> {
    let others: Vec<SessionId> = slot
        .agent
        .sessions
        .iter()
        .filter(|record| record.is_on_board() && record.session.id != *session)
        .filter(|record| {
            let gone = record.lease_view(now, false) == LeaseView::Ended
                && slot.agent.held(record, now).one().is_none();
            !gone
        })
        .map(|record| record.session.id.clone())
        .collect();
    match policy {
        DevicePolicy::Multi => {}
        DevicePolicy::Single if others.is_empty() => {}
        DevicePolicy::Single => return Err(Refusal::InUse),
        DevicePolicy::Takeover => {
            for other in &others {
                slot.end_session(other, EndReason::TakenOver, now);
            }
        }
    }
    Ok(())
}

fn record_online(
    slot: &mut Slot,
    session: &SessionId,
    claim: Claim,
    now: Now,
    registering: std::time::Duration,
) -> Option<DeviceId> {
    let record = slot.agent.session_mut(session)?;
    record.state = SessionState::Online;
    record.claim = Some(claim);
    record.adopted = None;
    record.had_contact = false;
    record.online_unix_ms.get_or_insert(now.unix_ms);
    record.online_at = Some(now.monotonic);
    record.registering_until = Some(now.monotonic + registering);
    let device = record.session.device.clone();
    slot.agent.reclaim_contacts_of(session);
    Some(device)
}

impl Slot {
    fn note_intent(
        &mut self,
        now: Now,
        source: &'static str,
        what: &'static str,
        device: Option<DeviceId>,
    ) {
        self.book.note(LedgerEntry {
            at_unix_ms: now.unix_ms,
            extension: Some(self.agent.extension.clone()),
            device,
            kind: LedgerKind::Intent,
            source,
            rule: None,
            what,
            detail: String::new(),
        });
    }

    /// Logout: at once, or after the call that is going on (R6: no call is ended for it).
    pub(super) fn leave(
        &mut self,
        session: &SessionId,
        reason: EndReason,
        call_may_be_seen: bool,
        now: Now,
    ) -> Pending {
        let on_call = call_may_be_seen && self.agent.on_call();
        let Some(record) = self.agent.session_mut(session) else {
            return Pending::LoggedOut;
        };
        let device = record.session.device.clone();
        match record.state {
            SessionState::Ended(_) => return Pending::LoggedOut,
            SessionState::LoggingOut if on_call => return Pending::LoggingOut,
            SessionState::Online if on_call => {
                record.state = SessionState::LoggingOut;
                record.leaving = reason;
                self.note_intent(now, "agent", "agent_logout", Some(device));
                return Pending::LoggingOut;
            }
            SessionState::SignedIn | SessionState::Online | SessionState::LoggingOut => {}
        }
        self.note_intent(now, "agent", "agent_logout", Some(device));
        self.end_session(session, reason, now);
        Pending::LoggedOut
    }

    fn await_logout(
        &mut self,
        request: RequestId,
        pending: Pending,
        keyed: Option<Keyed>,
        held_until: Instant,
    ) {
        match pending {
            Pending::LoggingOut => self.book.hold(request, keyed, held_until),
            _ => self.book.wait(request, pending, keyed),
        }
    }

    /// Ends a session: its contacts should go, and are `Expired` from now on.
    pub(super) fn end_session(&mut self, session: &SessionId, reason: EndReason, now: Now) {
        self.agent.retire_contacts_of(session, now);
        if let Some(record) = self.agent.session_mut(session) {
            record.end(reason, now);
        }
        self.agent.last_end = Some(reason);
    }
}
