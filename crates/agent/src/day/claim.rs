//! Telling the server which Contact is ours, until it has it.

use std::time::{Duration, Instant};

use rollcall_wire::{
    http::ErrorBody,
    ui::{PhoneState, SignInStep},
};

use super::{At, CommandId, Day, Effect, Failure, FailureKind, Now};
use crate::{backoff::Backoff, problem, state::Claim};

/// About eight minutes of attempts; a reconnect or a new registration starts over.
const BACKOFF: Backoff = Backoff::new(Duration::from_secs(1), Duration::from_secs(30), 20);

/// The claim of the present Contact.
#[derive(Debug)]
pub(super) struct Claiming {
    contact: Option<String>,
    number: u64,
    phase: Phase,
    /// The device that stands in the way gives way to this claim.
    take_over: bool,
    /// The link was lost since the server took the claim.
    stale: bool,
    backoff: Backoff,
}

#[derive(Debug)]
enum Phase {
    Idle,
    /// Waits for the lease that the link brings, so that nobody is shown as without one meanwhile.
    AwaitsLink {
        until: Instant,
    },
    Asked,
    Told,
    /// Waits, for a time or for a new token.
    Failed {
        error: ErrorBody,
        retry_at: Option<Instant>,
        kind: FailureKind,
    },
}

impl Default for Claiming {
    fn default() -> Self {
        Self {
            contact: None,
            number: 0,
            phase: Phase::Idle,
            take_over: false,
            stale: false,
            backoff: BACKOFF,
        }
    }
}

impl Claiming {
    pub(super) fn view(&self) -> Claim {
        match &self.phase {
            Phase::Idle => Claim::None,
            Phase::AwaitsLink { .. } | Phase::Asked => Claim::Telling,
            Phase::Told => Claim::Told,
            Phase::Failed {
                error,
                retry_at,
                kind,
            } => Claim::Failed {
                error: error.clone(),
                retrying: retry_at.is_some() || *kind == FailureKind::Unauthorised,
            },
        }
    }

    pub(super) fn deadline(&self) -> Option<Instant> {
        match self.phase {
            Phase::AwaitsLink { until } => Some(until),
            Phase::Failed { retry_at, .. } => retry_at,
            _ => None,
        }
    }

    pub(super) fn mark_stale(&mut self) {
        self.stale = true;
    }

    /// Nothing to claim any more; an answer that still comes finds no claim of its number.
    pub(super) fn clear(&mut self) {
        *self = Self {
            number: self.number + 1,
            ..Self::default()
        };
    }
}

impl Day {
    /// The registrar confirmed our Contact: tell the server, unless it knows this one.
    pub(super) fn claim_contact(&mut self, now: Now) {
        if matches!(self.stage, At::SigningOut(_) | At::SignedOut) {
            return;
        }
        let known = self.claiming.contact == self.contact
            && matches!(
                self.claiming.phase,
                Phase::AwaitsLink { .. } | Phase::Asked | Phase::Told
            );
        if !known {
            self.step(SignInStep::TellingServer, now.at + self.patience.claim);
            self.claim_anew(now, false);
        }
    }

    /// The link is back: a server that restarted may have forgotten the claim, and one that was away can be told.
    pub(super) fn renew_claim(&mut self, now: Now) {
        let registered = matches!(self.phone, PhoneState::Registered);
        if !registered || !matches!(self.stage, At::SignedIn) {
            return;
        }
        match self.claiming.phase {
            // No answer has been heard: it is still the same claim.
            Phase::Failed {
                kind: FailureKind::Retry | FailureKind::Unauthorised,
                ..
            } => {
                self.claiming.backoff.reset();
                self.ask_for_claim();
            }
            Phase::Failed { .. } => self.claim_anew(now, false),
            _ if self.claiming.stale => self.claim_anew(now, false),
            _ => {}
        }
    }

    /// The person has said that the other device is to give way. Only an answer: nobody is put out unasked.
    pub(super) fn take_over(&mut self, now: Now, id: CommandId) {
        let offered = match &self.claiming.phase {
            Phase::Failed { error, .. } => error.code == problem::IN_USE,
            _ => false,
        };
        if !offered || !matches!(self.stage, At::SignedIn) {
            return self.tell(id, Err(problem::nothing_to_take_over()));
        }
        self.claim_anew(now, true);
        self.tell(id, Ok(None));
    }

    /// A new claim: a number of its own, a fresh series of attempts.
    fn claim_anew(&mut self, now: Now, take_over: bool) {
        self.claiming = Claiming {
            contact: self.contact.clone(),
            number: self.claiming.number + 1,
            take_over,
            ..Claiming::default()
        };
        if self.session.as_ref().is_some_and(|s| s.link_settled) {
            self.ask_for_claim();
        } else {
            let until = now.at + self.patience.link;
            self.claiming.phase = Phase::AwaitsLink { until };
        }
    }

    /// The link stands, or has failed, in which case a claim without a lease is better than none.
    pub(super) fn claim_after_link(&mut self) {
        if matches!(self.claiming.phase, Phase::AwaitsLink { .. }) {
            self.ask_for_claim();
        }
    }

    fn ask_for_claim(&mut self) {
        let (Some(session), Some(contact_uri)) = (&self.session, self.claiming.contact.clone())
        else {
            return;
        };
        let claim = self.claiming.number;
        let Some(extension) = session.extension().map(str::to_owned) else {
            return;
        };
        let session = session.number;
        self.claiming.phase = Phase::Asked;
        self.claiming.stale = false;
        self.push(Effect::AgentOnline {
            session,
            claim,
            extension,
            contact_uri,
            take_over: self.claiming.take_over,
        });
    }

    pub(super) fn on_claimed(&mut self, now: Now, claim: u64, result: Result<(), Failure>) {
        if self.claiming.number != claim || !matches!(self.claiming.phase, Phase::Asked) {
            return;
        }
        match result {
            Ok(()) => {
                self.claiming.phase = Phase::Told;
                self.claiming.backoff.reset();
            }
            Err(failure) => self.claim_failed(now, failure),
        }
        // Told or not, the person is signed in: the phone works, and the state says what is missing.
        self.signed_in(now);
    }

    fn claim_failed(&mut self, now: Now, failure: Failure) {
        let retry_at = match failure.kind {
            FailureKind::Retry => self.claiming.backoff.next_delay().map(|d| now.at + d),
            FailureKind::Unauthorised | FailureKind::Refused => None,
        };
        self.claiming.phase = Phase::Failed {
            error: failure.error,
            retry_at,
            kind: failure.kind,
        };
        if failure.kind == FailureKind::Unauthorised {
            self.refresh_token(now);
        }
    }

    pub(super) fn claim_after_refresh(&mut self, _now: Now) {
        if let Phase::Failed {
            kind: FailureKind::Unauthorised,
            ..
        } = self.claiming.phase
        {
            self.ask_for_claim();
        }
    }

    pub(super) fn claim_timeout(&mut self, now: Now) {
        if self.claiming.deadline().is_some_and(|at| at <= now.at) {
            self.ask_for_claim();
        }
    }
}
