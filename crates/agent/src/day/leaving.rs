//! Signing out: the phone leaves the registrar, the server is told, the secrets are forgotten.
//!
//! Both halves are attempted whatever becomes of the other, each within its time. With a call going
//! on the server is told first, so that nobody is sent here any more, and the phone stays until the
//! call is over.

use std::time::Instant;

use rollcall_phone::PhoneCommand;
use rollcall_wire::{http::ErrorBody, ui::PhoneState};

use super::{At, CommandId, Day, Effect, Failure, FailureKind, Now, Patience, When};
use crate::{problem, state::SignedOut};

/// A sign-out that is under way.
#[derive(Debug)]
pub(super) struct Leaving {
    asked_by: Vec<CommandId>,
    when: When,
    error: Option<ErrorBody>,
    phone: Half,
    server: Half,
    /// The end of the time for the server half, over all attempts; set with the first.
    server_until: Option<Instant>,
    tried_new_token: bool,
    result: SignedOut,
}

/// One of the two halves.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Half {
    Waiting,
    Asked { until: Instant },
    Done,
}

impl Half {
    /// Waits no longer than until `latest`.
    fn hurry(&mut self, latest: Instant) {
        if let Self::Asked { until } = self {
            *until = (*until).min(latest);
        }
    }
}

impl Leaving {
    fn hurry(&mut self, now: Instant, patience: &Patience) {
        self.when = When::Now;
        self.phone.hurry(now + patience.unregister_at_exit);
        let latest = now + patience.logout_at_exit;
        self.server.hurry(latest);
        self.server_until = self.server_until.map(|until| until.min(latest));
    }

    pub(super) fn deadline(&self) -> Option<Instant> {
        [self.phone, self.server]
            .into_iter()
            .filter_map(|half| match half {
                Half::Asked { until } => Some(until),
                _ => None,
            })
            .min()
    }
}

impl Day {
    pub(super) fn sign_out(&mut self, now: Now, command: CommandId, when: When) {
        match &mut self.stage {
            At::SignedOut => self.tell(command, Ok(Some(SignedOut::default()))),
            At::SigningIn { command: asked, .. } => {
                let asked = *asked;
                self.tell(asked, Err(problem::cancelled()));
                if !self.session.as_ref().is_some_and(|s| s.is_known()) {
                    self.session = None;
                    self.stage = At::SignedOut;
                    return self.tell(command, Ok(Some(SignedOut::default())));
                }
                self.begin_leaving(now, when, None, true, Some(command));
            }
            At::SignedIn => self.begin_leaving(now, when, None, true, Some(command)),
            At::SigningOut(leaving) => {
                if when == When::Now {
                    leaving.hurry(now.at, &self.patience);
                }
                leaving.asked_by.push(command);
                if when == When::Now {
                    self.hang_up_all();
                }
                self.leave(now);
            }
        }
    }

    /// The server ended the session, or it cannot be renewed. A call that is going on goes on.
    pub(super) fn session_was_ended(&mut self, now: Now, error: ErrorBody) {
        match &mut self.stage {
            At::SignedIn | At::SigningIn { .. } => {
                if let At::SigningIn { command, .. } = self.stage {
                    self.tell(command, Err(error.clone()));
                }
                if let Some(session) = &mut self.session {
                    session.over = Some(error.clone());
                }
                self.begin_leaving(now, When::AfterCalls, Some(error), false, None);
            }
            // Our own logout ends the session too; its answer says more than this word.
            At::SigningOut(_) | At::SignedOut => {}
        }
    }

    /// Turns to signing out and goes as far as can be gone now; `tell_server` unless the session is over for it anyway.
    pub(super) fn begin_leaving(
        &mut self,
        now: Now,
        when: When,
        error: Option<ErrorBody>,
        tell_server: bool,
        asked_by: Option<CommandId>,
    ) {
        self.stage = At::SigningOut(Box::new(Leaving {
            asked_by: asked_by.into_iter().collect(),
            when,
            error,
            phone: Half::Waiting,
            server: if tell_server {
                Half::Waiting
            } else {
                Half::Done
            },
            server_until: None,
            tried_new_token: false,
            result: SignedOut::default(),
        }));
        self.since = now.ms;
        // Whatever is still to be tried would put the person online again.
        self.claiming.clear();
        self.turn_away_ringing();
        if when == When::Now {
            self.hang_up_all();
        }
        self.leave(now);
    }

    /// Goes as far as can be gone now.
    pub(super) fn leave(&mut self, now: Now) {
        if !matches!(self.stage, At::SigningOut(_)) {
            return;
        }
        self.leave_registrar(now);
        self.leave_server(now);
        self.finish_leaving(now);
    }

    fn leave_registrar(&mut self, now: Now) {
        let (has_phone, was_registered) = self
            .session
            .as_ref()
            .map_or((false, false), |s| (s.has_phone(), s.was_registered));
        let talking = self.calls.any_live();
        let At::SigningOut(leaving) = &mut self.stage else {
            return;
        };
        if leaving.phone != Half::Waiting || (talking && leaving.when == When::AfterCalls) {
            return;
        }
        let patience = match leaving.when {
            When::AfterCalls => self.patience.unregister,
            When::Now => self.patience.unregister_at_exit,
        };
        leaving.phone = if was_registered {
            Half::Asked {
                until: now.at + patience,
            }
        } else {
            Half::Done
        };
        // Also stops a phone that is still trying; there is nothing at the registrar to wait for then.
        if has_phone {
            self.push(Effect::Phone(PhoneCommand::Unregister));
        }
    }

    fn leave_server(&mut self, now: Now) {
        let talking = self.calls.any_live();
        let Some(session) = self.session.as_ref().map(|s| s.number) else {
            return;
        };
        let At::SigningOut(leaving) = &mut self.stage else {
            return;
        };
        let phone_first = leaving.phone != Half::Done && !talking;
        if leaving.server != Half::Waiting || phone_first {
            return;
        }
        let patience = match leaving.when {
            When::AfterCalls => self.patience.logout,
            When::Now => self.patience.logout_at_exit,
        };
        // One bound over all attempts: a renewed token begins no new time.
        let until = *leaving.server_until.get_or_insert(now.at + patience);
        leaving.server = Half::Asked { until };
        self.push(Effect::AgentLogout { session });
    }

    /// The phone half is over: confirmed, or given up with `problem`.
    pub(super) fn phone_is_gone(&mut self, now: Now, problem: Option<ErrorBody>) {
        let At::SigningOut(leaving) = &mut self.stage else {
            return;
        };
        leaving.phone = Half::Done;
        if let Some(problem) = problem {
            leaving.result.pending.push("phone".to_owned());
            leaving.result.problems.push(problem);
        }
        self.leave(now);
    }

    pub(super) fn on_logged_out(
        &mut self,
        now: Now,
        session: u32,
        result: Result<Vec<String>, Failure>,
    ) {
        if !self.is_current(session) {
            return;
        }
        let At::SigningOut(leaving) = &mut self.stage else {
            return;
        };
        if !matches!(leaving.server, Half::Asked { .. }) {
            return;
        }
        match result {
            Ok(pending) => leaving.result.pending.extend(pending),
            Err(failure)
                if failure.kind == FailureKind::Unauthorised && !leaving.tried_new_token =>
            {
                leaving.tried_new_token = true;
                return self.refresh_token(now);
            }
            // Without a token there is no session left that could be ended.
            Err(failure) if failure.kind == FailureKind::Unauthorised => {}
            Err(failure) => {
                leaving.result.pending.push("server".to_owned());
                leaving
                    .result
                    .problems
                    .push(problem::server_pending(Some(&failure.error)));
            }
        }
        leaving.server = Half::Done;
        self.leave(now);
    }

    /// The token was renewed for the logout's sake, or could not be.
    pub(super) fn leave_after_refresh(&mut self, now: Now, renewed: bool) {
        let At::SigningOut(leaving) = &mut self.stage else {
            return;
        };
        if leaving.tried_new_token && matches!(leaving.server, Half::Asked { .. }) {
            leaving.server = if renewed { Half::Waiting } else { Half::Done };
            self.leave(now);
        }
    }

    pub(super) fn leaving_timeout(&mut self, now: Now) {
        let due = |half: Half| matches!(half, Half::Asked { until } if until <= now.at);
        let At::SigningOut(leaving) = &mut self.stage else {
            return;
        };
        if due(leaving.server) {
            leaving.server = Half::Done;
            leaving.result.pending.push("server".to_owned());
            leaving.result.problems.push(problem::server_pending(None));
        }
        let phone_due = due(leaving.phone);
        if phone_due {
            self.phone_is_gone(now, Some(problem::phone_pending()));
        } else {
            self.leave(now);
        }
    }

    fn finish_leaving(&mut self, now: Now) {
        let At::SigningOut(leaving) = &self.stage else {
            return;
        };
        if leaving.phone != Half::Done || leaving.server != Half::Done {
            return;
        }
        let At::SigningOut(leaving) = std::mem::replace(&mut self.stage, At::SignedOut) else {
            return;
        };
        self.last_error = leaving
            .error
            .or_else(|| leaving.result.problems.first().cloned());
        // First, so that who hears of the end can wait for the forgetting.
        if let Some(session) = self.session.take() {
            self.push(Effect::Forget {
                session: session.number,
            });
        }
        for command in leaving.asked_by {
            self.tell(command, Ok(Some(leaving.result.clone())));
        }
        self.phone = PhoneState::None;
        self.contact = None;
        self.claiming.clear();
        self.board.clear();
        self.link_trouble = None;
        self.audio_trouble = None;
        self.unsent_vitals = None;
        self.since = now.ms;
    }
}
