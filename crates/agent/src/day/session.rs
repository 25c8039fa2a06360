//! Signing in, and keeping the token good.

use std::time::{Duration, Instant};

use rollcall_phone::Transport;
use rollcall_wire::{
    check,
    http::ErrorBody,
    ui::{PhoneState, SignInStep, SignedIn},
};

use super::{Account, At, CommandId, Day, Effect, Failure, FailureKind, Now};
use crate::{backoff::Backoff, problem};

/// A session with the server, by its number; its secrets are elsewhere.
#[derive(Debug)]
pub(super) struct Session {
    pub(super) number: u32,
    account: Option<Account>,
    refresh_at: Option<Instant>,
    refreshing: bool,
    backoff: Backoff,
    trouble: Option<ErrorBody>,
    /// Over for the server; the app lets a call end, then signs out.
    pub(super) over: Option<ErrorBody>,
    /// The link has shown the board, or has failed: there is nothing more to expect of its beginning.
    pub(super) link_settled: bool,
    /// The registrar has held our Contact in this session.
    pub(super) was_registered: bool,
}

impl Session {
    fn new(number: u32) -> Self {
        Self {
            number,
            account: None,
            refresh_at: None,
            refreshing: false,
            backoff: Backoff::new(Duration::from_secs(2), Duration::from_secs(30), u32::MAX),
            trouble: None,
            over: None,
            link_settled: false,
            was_registered: false,
        }
    }

    pub(super) fn user(&self) -> Option<SignedIn> {
        self.account.as_ref().map(|account| SignedIn {
            username: account.username.clone(),
            extension: account.extension.clone(),
            role: account.role,
        })
    }

    pub(super) fn extension(&self) -> Option<&str> {
        self.account.as_ref()?.extension.as_deref()
    }

    /// There is a SIP account that this phone can register.
    pub(super) fn has_phone(&self) -> bool {
        self.account.as_ref().is_some_and(Account::fits_the_phone)
    }

    pub(super) fn is_known(&self) -> bool {
        self.account.is_some()
    }

    pub(super) fn trouble(&self) -> Option<&ErrorBody> {
        self.over.as_ref().or(self.trouble.as_ref())
    }

    pub(super) fn deadline(&self) -> Option<Instant> {
        self.refresh_at
    }

    /// Renews the token when four fifths of its life are over.
    fn schedule_refresh(&mut self, now: Now, expires_at: u64) {
        let life = Duration::from_millis(expires_at.saturating_sub(now.ms));
        self.refresh_at = Some(now.at + (life / 5 * 4).max(Duration::from_secs(1)));
    }
}

impl Account {
    fn fits_the_phone(&self) -> bool {
        let transport = self.transport.as_deref().unwrap_or_default();
        self.extension.is_some() && Transport::named(transport).is_some()
    }
}

impl Day {
    pub(super) fn sign_in(
        &mut self,
        now: Now,
        command: CommandId,
        server: String,
        username: String,
    ) {
        if !matches!(self.stage, At::SignedOut) {
            return self.tell(command, Err(problem::already_signed_in()));
        }
        if let Err(error) = usable(&server, &username) {
            self.last_error = Some(error.clone());
            return self.tell(command, Err(error));
        }
        let session = self.begin_sign_in(now, command, SignInStep::CheckingPassword);
        self.push(Effect::Login {
            session,
            server,
            username,
        });
    }

    /// Goes on with a session that was kept: its renewal brings everything that a login does.
    pub(super) fn resume(
        &mut self,
        now: Now,
        command: CommandId,
        server: String,
        username: String,
    ) {
        if !matches!(self.stage, At::SignedOut) {
            return self.tell(command, Err(problem::already_signed_in()));
        }
        if let Err(error) = usable(&server, &username) {
            self.push(Effect::ForgetKept);
            return self.tell(command, Err(error));
        }
        let session = self.begin_sign_in(now, command, SignInStep::Resuming);
        self.push(Effect::Resume { session, server });
    }

    fn begin_sign_in(&mut self, now: Now, command: CommandId, step: SignInStep) -> u32 {
        self.sessions_used += 1;
        self.session = Some(Session::new(self.sessions_used));
        self.last_error = None;
        self.since = now.ms;
        self.stage = At::SigningIn {
            command,
            step,
            give_up: None,
        };
        self.sessions_used
    }

    pub(super) fn cancel_sign_in(&mut self, now: Now, command: CommandId) {
        let At::SigningIn {
            command: asked,
            step,
            ..
        } = self.stage
        else {
            return self.tell(command, Ok(None));
        };
        self.tell(asked, Err(problem::cancelled()));
        self.tell(command, Ok(None));
        if matches!(step, SignInStep::CheckingPassword | SignInStep::Resuming) {
            // The answer to the login may still come; `on_logged_in` then ends that session.
            self.session = None;
            self.stage = At::SignedOut;
        } else {
            self.begin_leaving(now, super::When::Now, None, true, None);
        }
    }

    pub(super) fn on_logged_in(
        &mut self,
        now: Now,
        session: u32,
        result: Result<Account, Failure>,
    ) {
        if !self.is_current(session) {
            if result.is_ok() {
                self.push(Effect::AgentLogout { session });
            }
            return self.push(Effect::Forget { session });
        }
        match result {
            Ok(account) => self.password_was_right(now, account),
            Err(failure) => {
                self.push(Effect::Forget { session });
                self.session = None;
                let error = self.why_not_signed_in(failure);
                self.fail_sign_in(now, error);
            }
        }
    }

    /// A kept session that the server does not take is of no use any more; one that could not be asked about is.
    fn why_not_signed_in(&mut self, failure: Failure) -> ErrorBody {
        let resuming = matches!(
            self.stage,
            At::SigningIn {
                step: SignInStep::Resuming,
                ..
            }
        );
        if !resuming || failure.kind == FailureKind::Retry {
            return failure.error;
        }
        self.push(Effect::ForgetKept);
        problem::session_expired()
    }

    fn password_was_right(&mut self, now: Now, account: Account) {
        let Some(session) = &mut self.session else {
            return;
        };
        let number = session.number;
        session.schedule_refresh(now, account.expires_at);
        let registers = account.fits_the_phone();
        let unfit = account.transport.clone().filter(|_| !registers);
        session.account = Some(account);
        // Before the phone: so the lease lives when the server is told of the Contact.
        self.push(Effect::OpenLink { session: number });
        if registers {
            self.phone = PhoneState::Registering;
            self.step(
                SignInStep::RegisteringPhone,
                now.at + self.patience.registration,
            );
            self.push(Effect::Register { session: number });
        } else {
            self.phone = match unfit {
                // Never by another transport than the one that was asked for: that would be clear text unawares.
                Some(transport) => PhoneState::Failed {
                    error: problem::unsupported_transport(&transport),
                },
                None => PhoneState::None,
            };
            self.signed_in(now);
        }
    }

    /// The sign-in goes to its next step, and waits for it until `give_up`.
    pub(super) fn step(&mut self, next: SignInStep, until: Instant) {
        if let At::SigningIn { step, give_up, .. } = &mut self.stage {
            *step = next;
            *give_up = Some(until);
        }
    }

    /// The sign-in is over, for better or worse; what is missing goes on being tried.
    pub(super) fn signed_in(&mut self, now: Now) {
        let At::SigningIn { command, .. } = self.stage else {
            return;
        };
        self.stage = At::SignedIn;
        self.since = now.ms;
        self.tell(command, Ok(None));
    }

    /// The phone could not register in time. The person is signed in and sees why it has no phone.
    pub(super) fn sign_in_without_phone(&mut self, now: Now) {
        if let At::SigningIn {
            step: SignInStep::RegisteringPhone,
            ..
        } = self.stage
        {
            self.signed_in(now);
        }
    }

    pub(super) fn sign_in_timeout(&mut self, now: Now) {
        if let At::SigningIn {
            give_up: Some(at), ..
        } = self.stage
            && at <= now.at
        {
            self.signed_in(now);
        }
    }

    fn fail_sign_in(&mut self, now: Now, error: ErrorBody) {
        if let At::SigningIn { command, .. } = self.stage {
            self.tell(command, Err(error.clone()));
        }
        self.last_error = Some(error);
        self.stage = At::SignedOut;
        self.since = now.ms;
    }

    /// Asks for a new token, unless that is under way.
    pub(super) fn refresh_token(&mut self, _now: Now) {
        if let Some(session) = &mut self.session
            && !session.refreshing
            && session.over.is_none()
        {
            session.refreshing = true;
            session.refresh_at = None;
            let session = session.number;
            self.push(Effect::Refresh { session });
        }
    }

    pub(super) fn on_refreshed(&mut self, now: Now, session: u32, result: Result<u64, Failure>) {
        if !self.is_current(session) {
            return;
        }
        let Some(session) = &mut self.session else {
            return;
        };
        session.refreshing = false;
        match result {
            Ok(expires_at) => {
                session.backoff.reset();
                session.trouble = None;
                session.schedule_refresh(now, expires_at);
                self.claim_after_refresh(now);
                self.leave_after_refresh(now, true);
            }
            Err(failure) if failure.kind == FailureKind::Retry => {
                session.trouble = Some(problem::not_renewed(&failure.error));
                session.refresh_at = session.backoff.next_delay().map(|delay| now.at + delay);
            }
            Err(_) => {
                self.leave_after_refresh(now, false);
                self.session_was_ended(now, problem::session_expired());
            }
        }
    }

    pub(super) fn session_timeout(&mut self, now: Now) {
        let due = |s: &Session| s.refresh_at.is_some_and(|at| at <= now.at);
        if self.session.as_ref().is_some_and(due) {
            self.refresh_token(now);
        }
    }
}

/// What the form must hold. The password is checked by who keeps it.
fn usable(server: &str, username: &str) -> Result<(), ErrorBody> {
    let address = server
        .strip_prefix("http://")
        .or(server.strip_prefix("https://"));
    if address.is_none_or(|rest| rest.is_empty() || rest.starts_with('/')) {
        return Err(problem::field(
            "server",
            "The server's address is not one: it begins with http:// or https://.",
            "Ask your administrator for the address.",
        ));
    }
    check::username(username).map_err(|refused| {
        problem::field(
            "username",
            format!("The user name {refused}."),
            "Correct the user name.",
        )
    })
}
