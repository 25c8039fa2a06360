//! Entries of the append-only ledger (R7).

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
