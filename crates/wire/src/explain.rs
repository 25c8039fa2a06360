//! Why an agent's state is what it is, whether it is so right now, and what was on record.

use std::collections::BTreeMap;

use serde::{Deserialize, Serialize};
use ts_rs::TS;

use crate::board::{Agent, BoardStatus, Reason, SourceHealth};

/// `GET`: an [`Explanation`] of now, or of a past time with `?at=` (ms since the epoch). Agents ask
/// about themselves, supervisors about everybody.
pub const EXPLAIN: &str = "/api/agents/{extension}/explain";
/// `GET`: [`Available`], from a check that begins with the question. Everybody who is signed in.
pub const AVAILABLE: &str = "/api/agents/{extension}/available";
/// `POST`: ends sessions of an agent ([`ForceLogout`]); answered as a logout is. Supervisors.
pub const FORCE_LOGOUT: &str = "/api/agents/{extension}/logout";
/// `POST`: pauses an agent ([`Pause`]); answered with [`Paused`]. Agents themselves, supervisors everybody.
pub const PAUSE: &str = "/api/agents/{extension}/pause";
/// `POST` ([`Unpause`], or no body): ends what people paused of an agent; answered with [`Paused`]. As [`PAUSE`].
pub const UNPAUSE: &str = "/api/agents/{extension}/unpause";
/// `GET`: [`Ledger`], or CSV with `?format=csv`. Supervisors.
pub const LEDGER: &str = "/api/ledger";
/// `GET`: [`Sessions`], or CSV with `?format=csv`. Supervisors.
pub const SESSIONS: &str = "/api/reports/sessions";
/// `GET`: [`Drift`], or CSV with `?format=csv`. Supervisors.
pub const DRIFT: &str = "/api/reports/drift";

/// Intent, observations, decision, rule and ages of one agent's state.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize, TS)]
#[serde(rename_all = "camelCase")]
pub struct Explanation {
    /// Who.
    pub extension: String,
    /// The moment it speaks of, ms since the epoch.
    #[ts(type = "number")]
    pub at: u64,
    /// The state then.
    pub status: BoardStatus,
    /// Since when, ms since the epoch.
    #[ts(type = "number")]
    pub since: u64,
    /// The rule that decided (`R1`, `R5`).
    pub rule: String,
    /// Why, most important first.
    pub reasons: Vec<Reason>,
    /// What was asked, a session each.
    pub intents: Vec<Intent>,
    /// The terms of rule R1.
    pub terms: Vec<Term>,
    /// How the sources were seen, by name. Of a past time those of which the ledger knows: one that was seen has no age.
    pub sources: BTreeMap<String, SourceHealth>,
    /// What would have to change for Available, a sentence each.
    pub needed: Vec<String>,
    /// What led to it, the newest first.
    pub history: Vec<LedgerLine>,
}

/// What an agent asked at one device.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize, TS)]
#[serde(rename_all = "camelCase")]
pub struct Intent {
    /// The device's id.
    pub device: String,
    /// `signed_in`, `online`, `logging_out`.
    pub wants: String,
    /// Since when, ms since the epoch.
    #[ts(type = "number")]
    pub since: u64,
}

/// One term of rule R1.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize, TS)]
#[serde(rename_all = "camelCase")]
pub struct Term {
    /// `sources`, `session`, `lease`, `contact`, `reachable`, `sound`, `not_paused`, `not_draining`, `idle`.
    pub name: String,
    /// Whether it holds.
    pub verdict: Verdict,
    /// Who says so: `server`, `agent`, `app`, `ami`.
    pub source: String,
    /// The codes of the reasons that make it false.
    pub because: Vec<String>,
}

/// Whether a term holds.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize, TS)]
#[serde(rename_all = "lowercase")]
pub enum Verdict {
    /// It does.
    Holds,
    /// It does not.
    Fails,
    /// It cannot be told.
    Unknown,
}

/// One line of the ledger.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize, TS)]
#[serde(rename_all = "camelCase")]
pub struct LedgerLine {
    /// Its place; the ledger only grows.
    #[ts(type = "number")]
    pub seq: i64,
    /// When, ms since the epoch.
    #[ts(type = "number")]
    pub at: u64,
    /// Whose; absent for what concerns everybody.
    pub extension: Option<String>,
    /// Which device, where one is meant.
    pub device: Option<String>,
    /// `intent`, `observation`, `decision`, `repair`.
    pub kind: String,
    /// Who said so.
    pub source: String,
    /// The rule, where one was applied.
    pub rule: Option<String>,
    /// A stable word for what happened.
    pub what: String,
    /// The rest, in words.
    pub detail: String,
}

/// The answer to [`AVAILABLE`].
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize, TS)]
#[serde(rename_all = "camelCase")]
pub struct Available {
    /// Whether a call may be transferred there.
    pub available: bool,
    /// When that was found out, ms since the epoch.
    #[ts(type = "number")]
    pub checked_at: u64,
    /// The agent, as the asker may see it.
    pub agent: Agent,
}

/// The body of [`FORCE_LOGOUT`].
#[derive(Clone, Debug, Default, Serialize, Deserialize)]
#[serde(rename_all = "camelCase", deny_unknown_fields)]
pub struct ForceLogout {
    /// This device's session alone; all of them without it.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub device_id: Option<String>,
    /// End the calls too; otherwise they go on, and the logout completes after them.
    #[serde(default)]
    pub end_calls: bool,
}

/// The body of [`PAUSE`].
#[derive(Clone, Debug, Serialize, Deserialize)]
#[serde(rename_all = "camelCase", deny_unknown_fields)]
pub struct Pause {
    /// Why, as a code (see [`crate::check::pause_reason`]); Asterisk's queues are told it.
    pub reason: String,
}

/// The optional body of [`UNPAUSE`]: nothing is told by it.
#[derive(Clone, Debug, Default, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Unpause {}

/// The answer to [`PAUSE`] and [`UNPAUSE`]: what is wanted is on record, and the queues follow.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub struct Paused {
    /// Always true; failures are errors.
    pub success: bool,
    /// The agent's state after the commit; its `pause` tells whether the queues have followed.
    pub agent: Agent,
}

/// The answer to [`LEDGER`].
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub struct Ledger {
    /// In the order of `seq`.
    pub lines: Vec<LedgerLine>,
    /// What to send as `after` for the lines after these; absent at the end.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub next: Option<i64>,
}

/// The answer to [`SESSIONS`].
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub struct Sessions {
    /// By their beginning.
    pub sessions: Vec<SessionLine>,
    /// What they come to, by extension.
    pub totals: Vec<SessionTotal>,
}

/// One session, from sign-in to its end.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub struct SessionLine {
    /// Whose.
    pub extension: String,
    /// At which device.
    pub device: String,
    /// When it began, ms since the epoch.
    pub started: u64,
    /// When it went online, if it did.
    pub online: Option<u64>,
    /// When it ended, if it has.
    pub ended: Option<u64>,
    /// Why it ended.
    pub end: Option<String>,
}

/// An agent's sessions in one line.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub struct SessionTotal {
    /// Whose.
    pub extension: String,
    /// Sign-ins.
    pub logins: u32,
    /// Logouts the agent asked for.
    pub logouts: u32,
    /// Ends nobody asked for: forced, taken over, expired.
    pub other_ends: u32,
    /// Time online within the period, ms.
    pub online_ms: u64,
}

/// The answer to [`DRIFT`]: how long the views disagreed with what the agent had asked.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub struct Drift {
    /// By extension and cause.
    pub lines: Vec<DriftLine>,
}

/// Disagreement of one agent for one cause.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub struct DriftLine {
    /// Whose.
    pub extension: String,
    /// The weightiest reason of the time.
    pub cause: String,
    /// How long in the period, ms.
    pub total_ms: u64,
    /// The same in seconds an agent-day: 86,400 s the agent wanted to be online.
    pub seconds_per_agent_day: f64,
}
