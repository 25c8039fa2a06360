//! What a reader may know of one person's day: no token, no password.

use std::sync::Arc;

use rollcall_wire::{
    board::Agent,
    http::ErrorBody,
    ui::{CallView, Levels, Notice, PhoneState, SignInStep, SignedIn},
};
use serde::Serialize;

use crate::{board::BoardView, problem::IN_USE};

/// One person's day, as it stands now. Times in ms since the Unix epoch.
#[derive(Clone, Debug, PartialEq)]
pub struct AgentState {
    /// Where the day stands.
    pub stage: Stage,
    /// Who it is, from the moment the server has checked the password.
    pub user: Option<SignedIn>,
    /// The registration, in the phone's own words.
    pub phone: PhoneState,
    /// The Contact that the registrar confirmed.
    pub contact: Option<String>,
    /// Whether the server has been told of it.
    pub claim: Claim,
    /// The own line of the board; `Unknown` while the server is out of sight, absent before the first snapshot.
    pub own: Option<Agent>,
    /// Since when `own` says what it says, or the present stage holds.
    pub since: u64,
    /// The calls, oldest first; an ended one stays a few seconds.
    pub calls: Vec<CallView>,
    /// Whether the microphone is muted.
    pub muted: bool,
    /// Somebody speaks into the muted microphone.
    pub speaking_muted: bool,
    /// How loud a call is, while one is talked on.
    pub levels: Option<Levels>,
    /// What a person should know now, most urgent first.
    pub notices: Vec<Notice>,
    /// The board.
    pub board: Arc<BoardView>,
}

/// Where the day stands.
#[derive(Clone, Debug, PartialEq)]
pub enum Stage {
    /// Nobody is signed in.
    SignedOut {
        /// Why the last sign-in failed, or why the last session ended against the person's wish.
        error: Option<ErrorBody>,
    },
    /// A sign-in is under way.
    SigningIn {
        /// Its step.
        step: SignInStep,
    },
    /// Somebody is signed in; `phone`, `claim` and `board` say how well.
    SignedIn,
    /// A sign-out is under way: it waits for a call, the registrar or the server.
    SigningOut,
}

/// Whether the server knows which Contact is ours (`agent-online`).
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Claim {
    /// There is nothing to claim: no phone, or not registered yet.
    None,
    /// On its way.
    Telling,
    /// The server has it.
    Told,
    /// It does not.
    Failed {
        /// Why.
        error: ErrorBody,
        /// It is tried again by itself.
        retrying: bool,
    },
}

impl Claim {
    /// Why, where another device stands in the way and a person has to say which it is to be.
    pub fn in_use(&self) -> Option<&ErrorBody> {
        match self {
            Self::Failed { error, .. } if error.code == IN_USE => Some(error),
            _ => None,
        }
    }
}

/// How a sign-out went. Both halves are attempted, whatever becomes of the other.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize)]
pub struct SignedOut {
    /// What does not agree yet: the server's words (`call`, `contact`), and `phone` or `server` for a half that failed.
    pub pending: Vec<String>,
    /// Why a half failed.
    pub problems: Vec<ErrorBody>,
}
