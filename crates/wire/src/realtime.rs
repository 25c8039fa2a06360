//! Socket.IO: namespace `/`, the token in `auth.token` or the Authorization header.

use serde::{Deserialize, Serialize};

use crate::board::Agent;

/// Sent at once on connect, and again on [`RESYNC`].
pub const AGENTS_SNAPSHOT: &str = "agents:snapshot";
/// One agent changed.
pub const AGENT_STATUS: &str = "agent:status";
/// From the app: its engine's vitals; renews the device's lease.
pub const DEVICE_HEARTBEAT: &str = "device:heartbeat";
/// From a client that saw a gap in `seq`: asks for a new snapshot.
pub const RESYNC: &str = "agents:resync";
/// To one device: its session was ended, with the reason.
pub const SESSION_ENDED: &str = "session:ended";
/// To one device: please REGISTER again.
pub const DEVICE_REREGISTER: &str = "device:reregister";

/// The whole board.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub struct AgentsSnapshot {
    /// Changes with each start of the server; numbers of different epochs do not compare.
    pub epoch: String,
    /// The change this snapshot stands at; the next delta carries `seq + 1`.
    pub seq: u64,
    /// What Asterisk maps, and so what the board stands on: `mirror`, `shared` or `claims`.
    #[serde(default)]
    pub mode: String,
    /// Everybody, by extension.
    pub agents: Vec<Agent>,
}

/// One change of the board.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub struct AgentStatus {
    /// As in the snapshot.
    pub epoch: String,
    /// One more than the last; a gap asks for [`RESYNC`].
    pub seq: u64,
    /// The agent after the change.
    #[serde(flatten)]
    pub agent: Agent,
}

/// The vitals of a device's engine, as measured by the loops they speak of; none is ever made up.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase", deny_unknown_fields)]
pub struct DeviceHeartbeat {
    /// The device's id; the session's own.
    pub device_id: String,
    /// Turns of the engine's media loop so far; one that does not advance renews nothing.
    pub tick: u64,
    /// The phone believes itself registered.
    pub registered: bool,
    /// How late the SIP loop turned, at worst since the last heartbeat, ms. The loop measures itself,
    /// so that a heartbeat never finds it without a turn just taken.
    pub sip_loop_ms: u64,
    /// Age of the audio loop's last turn when the vitals were taken, ms; absent where no audio runs.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub audio_loop_ms: Option<u64>,
    /// It can hear and speak.
    pub audio_ok: bool,
    /// Calls the phone knows of.
    pub calls: u32,
}

/// Why a session ended ([`SESSION_ENDED`]).
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub struct SessionEnded {
    /// `logout`, `takeover`, `forced`, `expired`.
    pub reason: String,
    /// One sentence for a person.
    pub message: String,
}
