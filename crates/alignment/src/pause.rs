//! What people want of an agent's pause (R2: an intent, whatever the queues are seen to do).

use crate::names::{Extension, PauseReason};
use crate::queue::Memberships;

/// What people want of an extension's pause. Without one the queues are as others leave them.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum PauseWish {
    /// Every queue is to pass it over, for this reason.
    Paused(PauseReason),
    /// The pauses for this reason are to end; without one, all that people made. It is fulfilled, and
    /// no more, once a list shows that they have.
    Ended(Option<PauseReason>),
}

impl PauseWish {
    /// Whether a pause for this reason is to end.
    pub(crate) fn ends(&self, reason: &str) -> bool {
        match self {
            Self::Paused(_) => false,
            Self::Ended(of) => of.as_ref().is_none_or(|of| of.as_str() == reason),
        }
    }
}

/// A wish as it is stored.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct PauseRow {
    /// Whose.
    pub extension: Extension,
    /// What is wanted.
    pub wish: PauseWish,
    /// Since when, milliseconds since the Unix epoch.
    pub since_unix_ms: u64,
}

/// A wish as the board shows it.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct PauseView {
    /// Why, where it is a pause; `None`: its end was asked.
    pub reason: Option<PauseReason>,
    /// Since when that is wanted, milliseconds since the Unix epoch.
    pub since_unix_ms: u64,
    /// The queues are seen to do so.
    pub confirmed: bool,
}

/// What people want of one extension's pause, and since which step of the core.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct Pause {
    pub(crate) wish: PauseWish,
    pub(crate) since_unix_ms: u64,
    /// Lists that were asked for later tell whether the wish is fulfilled.
    pub(crate) step: u64,
}

impl Pause {
    /// Whether the queues do as is wanted. Who is in no queue is passed over by none.
    pub(crate) fn is_fulfilled(&self, queues: &Memberships) -> bool {
        match &self.wish {
            PauseWish::Paused(_) => !queues.is_open() && !queues.is_drained(),
            PauseWish::Ended(of) => queues.paused_for(of.as_ref()).is_empty(),
        }
    }

    /// As the board shows it; out of sight nothing is confirmed.
    pub(crate) fn view(&self, queues: &Memberships, in_sight: bool) -> PauseView {
        PauseView {
            reason: match &self.wish {
                PauseWish::Paused(reason) => Some(reason.clone()),
                PauseWish::Ended(_) => None,
            },
            since_unix_ms: self.since_unix_ms,
            confirmed: in_sight && self.is_fulfilled(queues),
        }
    }
}
