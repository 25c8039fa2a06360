//! The words of the board: what an agent's state is called, and why.

use std::collections::BTreeMap;

use serde::{Deserialize, Serialize};
use ts_rs::TS;

/// The board state of an agent: the first of these, in this order, that holds.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, PartialOrd, Ord, Serialize, Deserialize, TS)]
pub enum BoardStatus {
    /// A source that the answer depends on is lost or has not been heard yet.
    Unknown,
    /// Nobody is signed in and nothing of theirs is registered.
    Offline,
    /// Signing out; waits for a call to end or for a view to agree.
    LoggingOut,
    /// On a call at any device of the extension.
    OnCall,
    /// Being rung.
    Ringing,
    /// Finishing the work after a call.
    WrapUp,
    /// On a break the agent asked for.
    Paused,
    /// Signed in, and not reachable for the reasons listed.
    NotAvailable,
    /// Claimed, and there is no source that could prove it.
    Unverified,
    /// Proved: lease, own unexpired reachable contact, idle.
    Available,
}

/// What is known of the contact behind an agent.
///
/// All but [`ContactStatus::Expired`] are Asterisk's words; `Expired` is Rollcall's alone.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, Serialize, Deserialize, TS)]
pub enum ContactStatus {
    /// Answers OPTIONS.
    Reachable,
    /// Does not answer OPTIONS.
    Unreachable,
    /// Registered; reachability is not tested.
    NonQualified,
    /// Gone from the registrar, or past its expiry.
    Expired,
    /// Asterisk said a word this version does not know, or nothing yet.
    Unknown,
}

/// One reason for a state, as a stable code with the age and the fact behind it.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize, TS)]
#[serde(rename_all = "camelCase")]
pub struct Reason {
    /// Stable `snake_case` word, e.g. `app_lost`, `registering`, `contact_unreachable`.
    pub code: String,
    /// One sentence for a person.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[ts(optional)]
    pub message: Option<String>,
    /// Since when, ms since the epoch.
    #[ts(type = "number")]
    pub since: u64,
}

/// What people want of an agent's pause.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize, TS)]
#[serde(rename_all = "camelCase")]
pub struct Pause {
    /// Why the agent is to be passed over; absent: the end of the pause was asked.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[ts(optional)]
    pub reason: Option<String>,
    /// Since when that is wanted, ms since the epoch.
    #[ts(type = "number")]
    pub since: u64,
    /// Asterisk's queues are seen to do so; in no queue there is nobody to be asked.
    pub confirmed: bool,
}

/// How well a source of truth is seen.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize, TS)]
#[serde(rename_all = "camelCase")]
pub struct SourceHealth {
    /// Whether the source is being heard now.
    pub ok: bool,
    /// When it was last known to be right, ms since the epoch; absent if never.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[ts(optional, type = "number")]
    pub as_of: Option<u64>,
}

/// A device of an agent, as far as the board shows it.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize, TS)]
#[serde(rename_all = "camelCase")]
pub struct Device {
    /// The device's id: a UUID for the app's, the contact's hash for a phone that nobody claimed.
    pub id: String,
    /// Whether its lease is live.
    pub lease: bool,
    /// What is known of its contact.
    pub contact_status: ContactStatus,
    /// When its contact ends, seconds since the epoch; for supervisors.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[ts(optional, type = "number")]
    pub contact_expires: Option<i64>,
    /// Its User-Agent; for supervisors.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[ts(optional)]
    pub user_agent: Option<String>,
}

/// An agent on the board.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize, TS)]
#[serde(rename_all = "camelCase")]
pub struct Agent {
    /// The extension, the key of the board.
    pub extension: String,
    /// The board state.
    pub status: BoardStatus,
    /// The best contact's status.
    pub contact_status: ContactStatus,
    /// Signed in (derived: a live session).
    pub online: bool,
    /// Owns an unexpired contact at the registrar (derived).
    pub sip_registered: bool,
    /// Why, most important first; empty when Available, and for agents on colleagues.
    pub reasons: Vec<Reason>,
    /// Since when `status` holds, ms since the epoch.
    #[ts(type = "number")]
    pub since: u64,
    /// What is wanted of its pause; absent for nothing, and for agents on colleagues.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[ts(optional)]
    pub pause: Option<Pause>,
    /// The sources this answer stands on, by name: `app` (not for agents on colleagues), `ami`,
    /// `database`.
    pub sources: BTreeMap<String, SourceHealth>,
    /// The devices, without addresses; empty for agents on colleagues.
    pub devices: Vec<Device>,
}
