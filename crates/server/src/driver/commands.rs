//! The edge's commands as the core's intents and observations, and its answers back.

use rollcall_alignment::{
    Answer, DeviceId, Extension, IdempotencyKey, Input, Intent, LinkId, NameError, Observation,
    PauseIntent, PauseReason, Person, Refusal as No, RequestId, SignIn, Vitals,
};
use rollcall_wire::{board::Agent, realtime::DeviceHeartbeat};
use tokio::sync::oneshot;

use super::{Driver, views};
use crate::{
    asterisk::Asterisk,
    auth::{Session, SessionId},
    core_link::{Command, LoggedOut, Online, Refusal, RefusalKind},
};

/// Who waits for the answer to an intent.
pub(super) enum Waiter {
    SignIn(oneshot::Sender<Result<(), Refusal>>),
    Online {
        /// The device that goes online.
        device: String,
        reply: oneshot::Sender<Result<Online, Refusal>>,
    },
    Logout(oneshot::Sender<Result<LoggedOut, Refusal>>),
    Pause(oneshot::Sender<Result<Agent, Refusal>>),
    Proof(oneshot::Sender<Result<Option<Agent>, Refusal>>),
}

impl Waiter {
    /// Hands the answer over; a caller that has left meanwhile is no loss.
    pub(super) fn answer(self, answer: Answer) {
        match (self, answer) {
            (Waiter::SignIn(reply), Answer::Refused(no)) => drop(reply.send(Err(refusal(no)))),
            (Waiter::Online { reply, .. }, Answer::Refused(no)) => {
                drop(reply.send(Err(refusal(no))))
            }
            (Waiter::Logout(reply), Answer::Refused(no)) => drop(reply.send(Err(refusal(no)))),
            (Waiter::SignIn(reply), _) => drop(reply.send(Ok(()))),
            (
                Waiter::Online { device, reply },
                Answer::Online(view)
                | Answer::LoggedOut(view)
                | Answer::LoggingOut { agent: view, .. },
            ) => {
                let online = Online {
                    agent: views::agent(&view),
                    contact: views::contact_of(&view, &device),
                };
                drop(reply.send(Ok(online)));
            }
            (Waiter::Logout(reply), answer) => {
                let pending = match answer {
                    Answer::LoggingOut { pending, .. } => pending
                        .iter()
                        .map(|view| view.as_str().to_owned())
                        .collect(),
                    _ => Vec::new(),
                };
                drop(reply.send(Ok(LoggedOut { pending })));
            }
            (Waiter::Pause(reply), Answer::Refused(no)) => drop(reply.send(Err(refusal(no)))),
            (Waiter::Pause(reply), Answer::Pause(view)) => {
                drop(reply.send(Ok(views::agent(&view))));
            }
            (Waiter::Proof(reply), Answer::Refused(no)) => drop(reply.send(Err(refusal(no)))),
            (Waiter::Proof(reply), Answer::Proof(view)) => {
                drop(reply.send(Ok(view.map(|view| views::agent(&view)))));
            }
            // The core gives each intent its own kind of answer.
            (Waiter::Online { .. }, Answer::SignedIn | Answer::Proof(_) | Answer::Pause(_))
            | (Waiter::Proof(_) | Waiter::Pause(_), _) => {}
        }
    }
}

impl Driver {
    pub(super) fn command(&mut self, command: Command, asterisk: &Asterisk) {
        match command {
            Command::SignIn { session, reply } => {
                if let Some(extension) = session_extension(&session) {
                    // Somebody added since our start is heard of here first.
                    let owner = session.user_id;
                    let person = Observation::Person(Person { extension, owner });
                    self.take(Input::Observation(person), asterisk);
                }
                self.intend(sign_in(&session), Waiter::SignIn(reply), asterisk);
            }
            Command::Online {
                session,
                extension,
                contact_uri,
                take_over,
                key,
                reply,
            } => {
                let claim = (contact_uri, take_over);
                let intent = online(&session, &extension, claim, key.as_deref());
                let device = session.device_id.clone();
                self.intend(intent, Waiter::Online { device, reply }, asterisk);
            }
            Command::Logout {
                session,
                device_id,
                reason,
                key,
                reply,
            } => {
                if let Some(reason) = reason {
                    tracing::debug!(session = %session.id, reason, "logout asked");
                }
                let intent = logout(&session, device_id.as_deref(), key.as_deref());
                self.intend(intent, Waiter::Logout(reply), asterisk);
            }
            Command::ForceLogout {
                by,
                extension,
                device_id,
                end_calls,
                reply,
            } => {
                let intent = force_logout(&by, &extension, device_id.as_deref(), end_calls);
                self.intend(intent, Waiter::Logout(reply), asterisk);
            }
            Command::Pause {
                by,
                extension,
                reason,
                key,
                reply,
            } => {
                let intent = pause(&by, &extension, reason.as_deref(), key.as_deref());
                self.intend(intent, Waiter::Pause(reply), asterisk);
            }
            Command::Prove { extension, reply } => {
                let intent =
                    Extension::new(&extension).map(|extension| Intent::Prove { extension });
                self.intend(intent, Waiter::Proof(reply), asterisk);
            }
            Command::Explain { extension, reply } => {
                let extension = Extension::new(&extension).ok();
                let explained = extension.and_then(|extension| self.core.explain(&extension));
                drop(reply.send(Ok(explained)));
            }
            Command::People(people) => {
                self.take(Input::Observation(Observation::People(people)), asterisk);
            }
            Command::Expired { session } => {
                self.seen(session, Observation::SessionExpired, asterisk);
            }
            Command::Connected {
                session,
                connection,
            } => {
                let link = LinkId(connection);
                let opened = |session| Observation::LinkOpened { session, link };
                self.seen(session.id, opened, asterisk);
            }
            Command::Disconnected {
                session,
                connection,
            } => {
                let link = LinkId(connection);
                let closed = |session| Observation::LinkClosed { session, link };
                self.seen(session.id, closed, asterisk);
            }
            Command::Heartbeat { session, vitals } => {
                if vitals.device_id == session.device_id {
                    let vitals = self.vitals(&vitals);
                    let heartbeat = |session| Observation::Heartbeat { session, vitals };
                    self.seen(session.id, heartbeat, asterisk);
                }
            }
        }
    }

    fn intend(&mut self, intent: Result<Intent, NameError>, waiter: Waiter, asterisk: &Asterisk) {
        let Ok(intent) = intent else {
            // The edge has checked these names; what still gets here is nobody's.
            waiter.answer(Answer::Refused(No::UnknownSession));
            return;
        };
        self.next_request += 1;
        let request = RequestId(self.next_request);
        self.waiters.insert(request, waiter);
        self.take(Input::Intent { request, intent }, asterisk);
    }

    fn seen(
        &mut self,
        session: SessionId,
        observation: impl FnOnce(rollcall_alignment::SessionId) -> Observation,
        asterisk: &Asterisk,
    ) {
        if let Ok(session) = core_id(session) {
            self.take(Input::Observation(observation(session)), asterisk);
        }
    }

    /// A loop that has not turned for a heartbeat's time has stopped.
    fn vitals(&self, measured: &DeviceHeartbeat) -> Vitals {
        let limit = self.core.config().heartbeat.as_millis();
        let turns = |age_ms: u64| u128::from(age_ms) <= limit;
        Vitals {
            tick: measured.tick,
            sip_loop_ok: turns(measured.sip_loop_ms),
            audio_loop_ok: measured.audio_loop_ms.is_none_or(turns),
            microphone_ok: measured.audio_ok,
            registered: Some(measured.registered),
        }
    }
}

fn sign_in(session: &Session) -> Result<Intent, NameError> {
    Ok(Intent::SignIn(SignIn {
        session: core_id(session.id)?,
        extension: Extension::new(session.extension.as_deref().unwrap_or_default())?,
        device: DeviceId::new(&session.device_id)?,
    }))
}

fn online(
    session: &Session,
    extension: &str,
    (contact_uri, take_over): (String, bool),
    key: Option<&str>,
) -> Result<Intent, NameError> {
    Ok(Intent::AgentOnline {
        session: core_id(session.id)?,
        extension: Extension::new(extension)?,
        contact_uri,
        take_over,
        key: key.map(IdempotencyKey::new).transpose()?,
    })
}

fn logout(session: &Session, device: Option<&str>, key: Option<&str>) -> Result<Intent, NameError> {
    Ok(Intent::AgentLogout {
        session: core_id(session.id)?,
        device: device.map(DeviceId::new).transpose()?,
        key: key.map(IdempotencyKey::new).transpose()?,
    })
}

fn force_logout(
    by: &Session,
    extension: &str,
    device: Option<&str>,
    end_calls: bool,
) -> Result<Intent, NameError> {
    Ok(Intent::ForceLogout {
        extension: Extension::new(extension)?,
        device: device.map(DeviceId::new).transpose()?,
        end_calls,
        by: core_id(by.id)?,
    })
}

fn pause(
    by: &Session,
    extension: &str,
    reason: Option<&str>,
    key: Option<&str>,
) -> Result<Intent, NameError> {
    Ok(Intent::Pause(PauseIntent {
        extension: Extension::new(extension)?,
        reason: reason.map(PauseReason::new).transpose()?,
        by: core_id(by.id)?,
        key: key.map(IdempotencyKey::new).transpose()?,
    }))
}

fn session_extension(session: &Session) -> Option<Extension> {
    Extension::new(session.extension.as_deref()?).ok()
}

fn core_id(session: SessionId) -> Result<rollcall_alignment::SessionId, NameError> {
    rollcall_alignment::SessionId::new(&session.to_string())
}

/// A session's id as the edge knows it.
pub(super) fn edge_id(session: &rollcall_alignment::SessionId) -> Option<SessionId> {
    SessionId::parse_str(session.as_str()).ok()
}

/// The core's refusals in the edge's shape.
fn refusal(no: No) -> Refusal {
    let (kind, field, next) = match no {
        No::NotReady => (
            RefusalKind::Unavailable,
            None,
            Some("Try again in a moment."),
        ),
        No::DatabaseUnavailable => return Refusal::database_down(),
        No::UnknownExtension => (RefusalKind::NotFound, Some("extension"), None),
        No::UnknownSession | No::SessionEnded => {
            (RefusalKind::Forbidden, None, Some("Sign in again."))
        }
        No::WrongExtension => (
            RefusalKind::Forbidden,
            Some("extension"),
            Some("Send your own extension."),
        ),
        No::UnknownDevice => (RefusalKind::NotFound, Some("deviceId"), None),
        No::BadContact(_) => (
            RefusalKind::Invalid,
            Some("contactUri"),
            Some("Send the Contact as sip:user@host."),
        ),
        No::AmbiguousContact => (
            RefusalKind::Conflict,
            Some("contactUri"),
            Some("Send the Contact that this phone registered."),
        ),
        No::InUse => (
            RefusalKind::Conflict,
            None,
            Some("Sign out on the other device first, or take over with \"takeOver\": true."),
        ),
        No::HandingOver => (
            RefusalKind::Unavailable,
            None,
            Some("Try again in a few seconds."),
        ),
        No::NotSignedIn => (
            RefusalKind::Conflict,
            Some("extension"),
            Some("Wait until somebody signs in with it."),
        ),
        No::KeyReused => (
            RefusalKind::Conflict,
            None,
            Some("Use a new idempotency key for a new request."),
        ),
    };
    let message = no.to_string();
    let mut letters = message.chars();
    let message = letters
        .next()
        .map(|first| first.to_uppercase().chain(letters).chain(['.']).collect())
        .unwrap_or_default();
    Refusal {
        kind,
        code: no.as_str(),
        message,
        field,
        next,
    }
}

#[cfg(test)]
mod tests {
    use rollcall_alignment::Claim;
    use rollcall_wire::check;

    use super::*;

    #[test]
    fn the_edge_and_the_core_take_the_same_contacts() {
        let extension = Extension::new("1001").unwrap();
        let users = [
            "1001",
            "1001-ab~c",
            "u:secret",
            ":secret",
            "",
            "u;x",
            "u=1",
            "u%20",
            "ü",
            "u'--",
            "a@b",
            "[u]",
        ];
        let hosts = [
            "h",
            "h:5060;transport=udp;ob",
            "[::1]:5060",
            "",
            "h?Subject=x",
            "h\r\nX: y",
            "h,sip:x@y",
            "<h>",
        ];
        let mut taken = 0;
        for scheme in ["sip:", "sips:", "SIP:", "SipS:", "tel:", "si:", "", "sipx:"] {
            for uri in users
                .iter()
                .flat_map(|user| hosts.map(|host| format!("{scheme}{user}@{host}")))
            {
                let (edge, core) = (check::contact_uri(&uri), Claim::parse(&uri, &extension));
                assert_eq!(edge.is_ok(), core.is_ok(), "{uri:?}: {edge:?}, {core:?}");
                taken += usize::from(core.is_ok());
            }
        }
        assert_eq!(taken, 4 * 4 * 3);
        for length in [Claim::MAX, Claim::MAX + 1] {
            let uri = format!("sip:u@{}", "h".repeat(length - "sip:u@".len()));
            assert_eq!(check::contact_uri(&uri).is_ok(), length == Claim::MAX);
            assert_eq!(Claim::parse(&uri, &extension).is_ok(), length == Claim::MAX);
        }
    }
}
