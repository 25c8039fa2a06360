//! Entries of the append-only ledger (R7).

use crate::board::{AgentView, BoardStatus, ReasonCode};
use crate::names::{DeviceId, Extension};

/// What stands before a decision's age.
const SINCE: &str = "; since ";

/// Which of the three records an entry belongs to, or a repair.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub enum LedgerKind {
    /// What somebody asked.
    Intent,
    /// What was seen.
    Observation,
    /// What was concluded.
    Decision,
    /// What was done to mend a difference.
    Repair,
}

impl LedgerKind {
    /// The stable word.
    #[must_use]
    pub fn as_str(self) -> &'static str {
        match self {
            LedgerKind::Intent => "intent",
            LedgerKind::Observation => "observation",
            LedgerKind::Decision => "decision",
            LedgerKind::Repair => "repair",
        }
    }
}

/// One line of the ledger.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct LedgerEntry {
    /// When, milliseconds since the Unix epoch.
    pub at_unix_ms: u64,
    /// Whose; `None` for what concerns everybody (a source lost).
    pub extension: Option<Extension>,
    /// Which device, where one is meant.
    pub device: Option<DeviceId>,
    /// Which record.
    pub kind: LedgerKind,
    /// Who said so: `agent`, `ami`, `app`, `database`, `server`.
    pub source: &'static str,
    /// The rule that was applied (`R1`), where one was.
    pub rule: Option<&'static str>,
    /// A stable word for what happened: `agent_online`, `contact_status`, `status_changed`...
    pub what: &'static str,
    /// The rest, in words a person reads. Never a name, an address or a secret.
    pub detail: String,
}

/// A decision as a line of the ledger tells it: `NotAvailable -> Available because: ...; lease ...`.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Decision {
    /// The state before; `None` for the first one.
    pub before: Option<BoardStatus>,
    /// The state from then on.
    pub status: BoardStatus,
    /// Its reasons, the weightiest first; none this version does not know.
    pub reasons: Vec<ReasonCode>,
    /// Since when the state is this one, milliseconds since the Unix epoch, where it was before this line.
    pub since_unix_ms: Option<u64>,
}

impl Decision {
    /// The beginning of a decision's detail, which [`Decision::read`] reads back.
    pub(crate) fn write(&self) -> String {
        let mut detail = format!(
            "{} -> {}",
            self.before.map_or("none", BoardStatus::as_str),
            self.status.as_str()
        );
        for (place, reason) in self.reasons.iter().enumerate() {
            detail.push_str(if place == 0 { " because: " } else { ", " });
            detail.push_str(reason.as_str());
        }
        if let Some(since) = self.since_unix_ms {
            detail.push_str(SINCE);
            detail.push_str(&since.to_string());
        }
        detail
    }

    /// Reads the detail of a `status_changed` line; `None` where it is none.
    #[must_use]
    pub fn read(detail: &str) -> Option<Self> {
        let (decided, rest) = detail.split_at(detail.find(';').unwrap_or(detail.len()));
        let (states, reasons) = decided.split_once(" because: ").unwrap_or((decided, ""));
        let (before, status) = states.split_once(" -> ")?;
        Some(Decision {
            before: BoardStatus::from_word(before),
            status: BoardStatus::from_word(status)?,
            reasons: reasons
                .split(", ")
                .filter_map(ReasonCode::from_word)
                .collect(),
            since_unix_ms: rest.strip_prefix(SINCE).and_then(|rest| {
                let digits = rest.split(';').next().unwrap_or_default();
                digits.parse().ok()
            }),
        })
    }
}

/// The last state of an extension that the ledger knows, other than Unknown: what a server that starts goes by, so that
/// its restart makes no state younger.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Decided {
    /// Whose.
    pub extension: Extension,
    /// When the line was written, milliseconds since the Unix epoch: its reasons are of then.
    pub at_unix_ms: u64,
    /// What it says.
    pub decision: Decision,
}

impl Decided {
    /// Reads a line; `None` where it is no decision, or one that knows nothing.
    #[must_use]
    pub fn read(extension: Extension, at_unix_ms: u64, detail: &str) -> Option<Self> {
        let decision = Decision::read(detail)?;
        (decision.status != BoardStatus::Unknown).then_some(Decided {
            extension,
            at_unix_ms,
            decision,
        })
    }

    /// Gives a row that is in this state again the age it had. A state that a call makes ends and comes again unseen
    /// while we are away; it begins anew.
    pub(crate) fn age(&self, view: &mut AgentView) {
        let of_a_call = matches!(
            view.status,
            BoardStatus::LoggingOut
                | BoardStatus::OnCall
                | BoardStatus::Ringing
                | BoardStatus::WrapUp
        );
        if of_a_call || view.status != self.decision.status {
            return;
        }
        let since = self.decision.since_unix_ms.unwrap_or(self.at_unix_ms);
        view.since_unix_ms = since.min(view.since_unix_ms);
        for reason in &mut view.reasons {
            if self.decision.reasons.contains(&reason.code) {
                reason.since_unix_ms = self.at_unix_ms.min(reason.since_unix_ms);
            }
        }
    }
}
