//! What people ask: recorded as their intent, never overwritten by what is seen (R2).

use super::{Core, Doubt, Slot};
use crate::agent::ContactRecord;
use crate::agent::SessionRecord;
use crate::board::LeaseView;
use crate::book::{Keyed, Recall, Wanted};
use crate::config::{DevicePolicy, Registrar};
use crate::contact::{Claim, Contact, ContactStatus, uri_user};
use crate::input::{EndReason, Intent, Session, SignIn};
use crate::ledger::{LedgerEntry, LedgerKind};
use crate::names::{ContactId, DeviceId, Extension, IdempotencyKey, RequestId, SessionId};
use crate::output::{Answer, Ask, Output, Refusal, SessionState};
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
                    take_over,
                    key,
                } => {
                    let claimed = (contact_uri.as_str(), take_over);
                    self.agent_online(now, request, &session, &extension, claimed, key)
                }
                Intent::AgentLogout {
                    session,
                    device,
                    key,
                } => self.agent_logout(now, request, &session, device, key),
                Intent::ForceLogout {
                    extension,
                    device,
                    end_calls,
                    by,
                } => self.force_logout(now, request, &extension, (device, end_calls), &by),
                Intent::Pause(pause) => self.pause(now, request, pause),
                Intent::Prove { extension } => self.prove(now, request, extension),
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
        if let Some(since) = slot.agent.handed_over {
            let patience = since + self.config.handover;
            let retired = slot.agent.contacts.values().any(ContactRecord::is_retired);
            if retired && now.monotonic < patience {
                return Err(Refusal::HandingOver);
            }
            slot.agent.handed_over = None;
        }
        slot.book.wait(request, Wanted::SignedIn, None);
        if slot.agent.session(&session).is_none() {
            // A restarted app takes its device's place; its old contact stays until the new one
            // is proved.
            for old in &mut slot.agent.sessions {
                if !old.is_ended() && old.session.device == device {
                    old.end(EndReason::Superseded, now);
                }
            }
            slot.agent.decided_before = None;
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
        (contact_uri, take_over): (&str, bool),
        key: Option<IdempotencyKey>,
    ) -> Result<(), Refusal> {
        let policy = match self.config.devices {
            DevicePolicy::Single if take_over => DevicePolicy::Takeover,
            policy => policy,
        };
        let claims = self.config.registrar == Registrar::Claims;
        let claim_lives = self.config.claim_lives.as_secs();
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
            make_room(slot, session, policy, ami_up, now)?;
            if claims {
                // No registrar takes the former one away.
                slot.agent.retire_contacts_of(session, now);
            }
            let device = record_online(slot, session, claim, now, registering);
            slot.note_intent(now, "agent", "agent_online", device);
        }
        if claims {
            slot.record_claim(contact_uri, now.unix_seconds() + claim_lives);
        }
        slot.book.wait(request, Wanted::Online, keyed);
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
        slot.leave(&target, EndReason::LoggedOut, call_may_be_seen, now);
        slot.book.hold(request, keyed, held_until);
        let extension = slot.agent.extension.clone();
        self.dirty.insert(extension);
        Ok(())
    }

    fn force_logout(
        &mut self,
        now: Now,
        request: RequestId,
        extension: &Extension,
        (device, end_calls): (Option<DeviceId>, bool),
        by: &SessionId,
    ) -> Result<(), Refusal> {
        let ami_up = self.ami.is_up();
        let held_until = now.monotonic + self.config.logout_patience;
        let maintenance = now.monotonic + self.config.evict_again;
        let slot = self
            .slots
            .get_mut(extension)
            .filter(|slot| slot.agent.known)
            .ok_or(Refusal::UnknownExtension)?;
        let live = || {
            slot.agent
                .sessions
                .iter()
                .filter(|record| !record.is_ended())
        };
        let sessions: Vec<SessionId> = live()
            .filter(|record| {
                device
                    .as_ref()
                    .is_none_or(|id| record.session.device == *id)
            })
            .map(|record| record.session.id.clone())
            .collect();
        if device.is_some() && sessions.is_empty() {
            return Err(Refusal::UnknownDevice);
        }
        let all_go = live().count() == sessions.len();
        let mut asks = Vec::new();
        if end_calls && ami_up {
            let channels = slot.agent.channels.keys().cloned();
            asks.extend(channels.map(|unique_id| Ask::HangUp { unique_id }));
        }
        for session in &sessions {
            slot.leave(session, EndReason::Forced, ami_up && !end_calls, now);
        }
        let registered = slot.agent.contacts.values().any(ContactRecord::is_retired);
        if all_go && ami_up && registered {
            slot.agent.maintenance = Some(maintenance);
            asks.push(Ask::Maintenance {
                endpoint: extension.clone(),
                on: true,
            });
        }
        let mut detail = format!("asked in session {by}");
        if end_calls {
            detail.push_str("; calls ended too");
        }
        slot.book.note(LedgerEntry {
            at_unix_ms: now.unix_ms,
            extension: Some(extension.clone()),
            device,
            kind: LedgerKind::Intent,
            source: "supervisor",
            rule: None,
            what: "forced_logout",
            detail,
        });
        slot.book.hold(request, None, held_until);
        self.outputs.extend(asks.into_iter().map(Output::Ask));
        self.dirty.insert(extension.clone());
        Ok(())
    }
}

/// What the idempotency key says: `Some` when nothing is left to do but to reply.
pub(super) type Recalled = Option<Vec<(RequestId, Answer)>>;

pub(super) fn recall(
    slot: &mut Slot,
    request: RequestId,
    keyed: Option<&Keyed>,
) -> Result<Recalled, Refusal> {
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
    ami_up: bool,
    now: Now,
) -> Result<(), Refusal> {
    let others: Vec<SessionId> = slot
        .agent
        .sessions
        .iter()
        .filter(|record| record.is_on_board() && record.session.id != *session)
        .filter(|record| {
            let gone = record.lease_view(now, Doubt::default()) == LeaseView::Ended
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
                // A call that is going on is finished there first (R6).
                slot.leave(other, EndReason::TakenOver, ami_up, now);
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

    /// Why a session ends: somebody asked for it, or its token is over, which nobody asked for.
    fn note_end(&mut self, now: Now, reason: EndReason, device: DeviceId) {
        if reason != EndReason::Expired {
            return self.note_intent(now, "agent", "agent_logout", Some(device));
        }
        self.book.note(LedgerEntry {
            at_unix_ms: now.unix_ms,
            extension: Some(self.agent.extension.clone()),
            device: Some(device),
            kind: LedgerKind::Observation,
            source: "server",
            rule: None,
            what: reason.as_str(),
            detail: String::new(),
        });
    }

    /// What an app claims where nobody can be asked: recorded as it is, and proved by nothing.
    fn record_claim(&mut self, contact_uri: &str, expires_unix: u64) {
        let extension = self.agent.extension.clone();
        let id = ContactId::of(&extension, contact_uri);
        debug_assert!(uri_user(contact_uri).is_some(), "a claim was parsed before");
        let record = self.agent.contacts.entry(id.clone()).or_insert_with(|| {
            ContactRecord::new(Contact {
                id,
                endpoint: extension,
                uri: contact_uri.to_owned(),
                user_agent: String::new(),
                expires_unix,
                status: ContactStatus::Unknown,
                qualify_frequency: 0,
                reg_server: String::new(),
            })
        });
        record.contact.expires_unix = expires_unix;
        record.evict = None;
    }

    /// Logout: at once, or after the call that is going on (R6: no call is ended for it).
    pub(super) fn leave(
        &mut self,
        session: &SessionId,
        reason: EndReason,
        call_may_be_seen: bool,
        now: Now,
    ) {
        let on_call = call_may_be_seen && self.agent.on_call();
        let Some(record) = self.agent.session_mut(session) else {
            return;
        };
        let device = record.session.device.clone();
        match record.state {
            SessionState::Ended(_) => return,
            SessionState::LoggingOut if on_call => return,
            SessionState::Online if on_call => {
                record.state = SessionState::LoggingOut;
                record.leaving = reason;
                self.note_end(now, reason, device);
                return;
            }
            SessionState::SignedIn | SessionState::Online | SessionState::LoggingOut => {}
        }
        self.note_end(now, reason, device);
        self.end_session(session, reason, now);
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
