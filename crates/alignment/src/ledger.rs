//! Entries of the append-only ledger (R7).

use crate::board::{BoardStatus, ReasonCode};
use crate::names::{DeviceId, Extension};

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
        detail
    }

    /// Reads the detail of a `status_changed` line; `None` where it is none.
    #[must_use]
    pub fn read(detail: &str) -> Option<Self> {
        let (decided, _) = detail.split_once(';').unwrap_or((detail, ""));
        let (states, reasons) = decided.split_once(" because: ").unwrap_or((decided, ""));
        let (before, status) = states.split_once(" -> ")?;
        Some(Decision {
            before: BoardStatus::from_word(before),
            status: BoardStatus::from_word(status)?,
            reasons: reasons
                .split(", ")
                .filter_map(ReasonCode::from_word)
                .collect(),
        })
    }
}
