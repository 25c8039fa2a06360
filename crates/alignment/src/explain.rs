//! The explanation of a row: intent, observations, decision and rule, and what would have to change.

use crate::agent::Agent;
use crate::board::{AgentView, BoardStatus, LeaseView, ReasonCode};
use crate::names::DeviceId;
use crate::output::SessionState;
use crate::source::Source;

/// Why an agent's state is what it is.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Explanation {
    /// The row as published.
    pub view: AgentView,
    /// What the person asked, a session each.
    pub intents: Vec<IntentView>,
    /// R1, term by term, for the device that comes nearest to it.
    pub terms: Vec<Term>,
}

/// What was asked at one device.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct IntentView {
    /// The installation.
    pub device: DeviceId,
    /// What is wanted there.
    pub wants: SessionState,
    /// Since when, milliseconds since the Unix epoch.
    pub since_unix_ms: u64,
}

/// Whether a term of R1 holds.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Verdict {
    /// It does.
    Holds,
    /// It does not.
    Fails,
    /// That cannot be told now.
    Unknown,
}

/// One term of R1.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Term {
    /// A stable word: `sources`, `session`, `lease`, `contact`, `reachable`, `sound`,
    /// `not_paused`, `not_draining`, `idle`.
    pub name: &'static str,
    /// Whether it holds.
    pub verdict: Verdict,
    /// Who says so.
    pub source: &'static str,
    /// The reasons it does not hold.
    pub because: Vec<ReasonCode>,
}

/// The terms of R1 with the reasons that make each false, and who observed them.
const TERMS: [(&str, &str, &[ReasonCode]); 9] = {
    use ReasonCode::*;
    [
        (
            "sources",
            "server",
            &[AmiLost, AmiSyncing, DatabaseLost, NotSaved, ClaimsOnly],
        ),
        (
            "session",
            "agent",
            &[
                NeverLoggedIn,
                LoggedOut,
                TakenOver,
                ForcedOut,
                SessionExpired,
                Reassigned,
                LogoutPending,
                Unclaimed,
                Unmanaged,
                Forged,
            ],
        ),
        (
            "lease",
            "app",
            &[
                ServerRestarted,
                ServerSuspect,
                AppLinkLost,
                AppLost,
                NoLease,
                SipLoopStalled,
            ],
        ),
        (
            "contact",
            "ami",
            &[
                Registering,
                LoginIncomplete,
                SipDown,
                ContactExpired,
                AmbiguousContact,
            ],
        ),
        (
            "reachable",
            "ami",
            &[ContactUnreachable, NotQualified, Flapping],
        ),
        ("sound", "app", &[AudioLoopStalled, NoAudioDevice]),
        ("not_paused", "ami", &[Paused, PauseAsked, PauseEndAsked]),
        ("not_draining", "server", &[Draining]),
        (
            "idle",
            "ami",
            &[DeviceUnavailable, DeviceStateUnknown, OnCall, Ringing],
        ),
    ]
};

impl Term {
    /// The name of the term that a reason makes false.
    #[must_use]
    pub fn of(code: ReasonCode) -> Option<&'static str> {
        let term = TERMS.iter().find(|(.., reasons)| reasons.contains(&code));
        term.map(|(name, ..)| *name)
    }

    /// The terms that these reasons make false, as far as a ledger remembers them.
    #[must_use]
    pub fn failing(codes: &[ReasonCode]) -> Vec<Term> {
        TERMS
            .iter()
            .map(|(name, source, reasons)| Term {
                name,
                verdict: Verdict::Fails,
                source,
                because: codes
                    .iter()
                    .filter(|code| reasons.contains(code))
                    .copied()
                    .collect(),
            })
            .filter(|term| !term.because.is_empty())
            .collect()
    }
}

pub(crate) fn explain(agent: &Agent, view: &AgentView) -> Explanation {
    let intents = agent
        .sessions
        .iter()
        .filter(|record| !record.is_ended())
        .map(|record| IntentView {
            device: record.session.device.clone(),
            wants: record.state,
            since_unix_ms: record
                .online_unix_ms
                .unwrap_or(record.session.started_unix_ms),
        })
        .collect();
    Explanation {
        terms: terms(view),
        intents,
        view: view.clone(),
    }
}

fn terms(view: &AgentView) -> Vec<Term> {
    let nearest = view
        .devices
        .iter()
        .filter(|device| device.session_since_unix_ms.is_some())
        .min_by_key(|device| device.reasons.len());
    let mut codes: Vec<ReasonCode> = view.reasons.iter().map(|reason| reason.code).collect();
    if let Some(device) = nearest {
        codes.extend(device.reasons.iter().map(|reason| reason.code));
    }
    let blind: Vec<Source> = view
        .sources
        .iter()
        .filter(|source| source.health != "up")
        .map(|source| source.source)
        .collect();
    TERMS
        .iter()
        .map(|(name, source, reasons)| {
            let mut because: Vec<ReasonCode> = reasons
                .iter()
                .filter(|code| codes.contains(code))
                .copied()
                .collect();
            because.dedup();
            let unseen = match *source {
                "ami" => blind.contains(&Source::Ami),
                "app" => nearest.is_none_or(|device| device.lease != LeaseView::Live),
                _ => false,
            };
            // Of an agent without a session nothing of a phone of theirs is known.
            let without = nearest.is_none()
                && matches!(*name, "lease" | "contact" | "reachable" | "sound" | "idle");
            let verdict = if !because.is_empty() {
                Verdict::Fails
            } else if view.status != BoardStatus::Available && (unseen || without) {
                Verdict::Unknown
            } else {
                Verdict::Holds
            };
            Term {
                name,
                verdict,
                source,
                because,
            }
        })
        .collect()
}

impl ReasonCode {
    /// What would have to change for the reason to go, as one sentence.
    #[must_use]
    pub fn needed(self) -> &'static str {
        use ReasonCode::*;
        match self {
            AmiLost => "the server's link to Asterisk has to come back",
            AmiSyncing => "Asterisk has to answer the server's lists",
            DatabaseLost | NotSaved => "the server's database has to take changes again",
            ServerRestarted => "the app has to report to the restarted server",
            ServerSuspect => "apps have to be heard again, or the server's doubt has to pass",
            AppLinkLost | AppLost => "the app has to run and reach the server",
            NoLease => "the client has to send signs of life; Rollcall's own app does",
            SipLoopStalled | AudioLoopStalled => "the app has to be started anew",
            NoAudioDevice => "a microphone and a speaker have to be connected",
            Registering => "the phone's registration has to arrive at Asterisk",
            LoginIncomplete | SipDown | ContactExpired => {
                "the phone has to register with Asterisk again"
            }
            ContactUnreachable => "the phone has to answer Asterisk's OPTIONS",
            NotQualified => "Asterisk has to test the phone: set qualify_frequency on its AOR",
            AmbiguousContact => "the app has to name the contact that it registered",
            Unclaimed => "the agent has to go online with the phone",
            Unmanaged => "the agent has to sign in with the app",
            Draining => "the queues have to take the agent back, which the server has asked for",
            Flapping => "the phone has to stay reachable for a while",
            ClaimsOnly => "the server has to be given a link to Asterisk",
            Forged => "the row has to go, which the server has asked for",
            DeviceUnavailable | DeviceStateUnknown => "Asterisk has to call the device idle",
            OnCall | Ringing => "the call has to end",
            Paused | PauseAsked => "the pause has to end",
            PauseEndAsked => "the queues have to end the pause, which the server has asked for",
            LogoutPending | LoggedOut | TakenOver | ForcedOut | SessionExpired | Reassigned
            | NeverLoggedIn => "the agent has to sign in",
        }
    }
}
