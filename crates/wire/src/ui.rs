//! What the windows read and ask: view models (Rust to page) and the arguments of commands.
//!
//! The page gets no token, no SIP password and no SIP address; it shows what is here and asks by
//! the commands named in [`commands`]. A command answers what stands behind its arrow, or else `null`,
//! or fails with [`crate::http::ErrorBody`].

use std::collections::BTreeMap;

use serde::{Deserialize, Serialize};
use ts_rs::TS;

use crate::{
    board::{Agent, BoardStatus, Pause, Reason, SourceHealth},
    http::{ErrorBody, Role},
};

/// Names of the Tauri events (Rust to page). Each carries the whole view: the page keeps no state
/// of its own that Rust has.
pub mod events {
    /// Payload [`super::PhoneView`], to the phone window.
    pub const PHONE_VIEW: &str = "phone-view";
    /// Payload [`super::DashboardView`], to the dashboard window.
    pub const DASHBOARD_VIEW: &str = "dashboard-view";
}

/// Names of the Tauri commands (page to Rust).
pub mod commands {
    /// () -> PhoneView: the present view, asked once when the window has loaded.
    pub const PHONE_VIEW: &str = "phone_view";
    /// () -> DashboardView.
    pub const DASHBOARD_VIEW: &str = "dashboard_view";
    /// { request: SignIn }
    pub const SIGN_IN: &str = "sign_in";
    /// () -> null: cancels a sign-in that is going on.
    pub const CANCEL_SIGN_IN: &str = "cancel_sign_in";
    /// ()
    pub const SIGN_OUT: &str = "sign_out";
    /// (): starts server and pocket PBX in this process.
    pub const TRY_HERE: &str = "try_here";
    /// { target: string }
    pub const DIAL: &str = "dial";
    /// { call: number }
    pub const ANSWER: &str = "answer";
    /// { call: number }
    pub const DECLINE: &str = "decline";
    /// { call: number }
    pub const HANG_UP: &str = "hang_up";
    /// { extension: string } -> [`crate::explain::Available`]: whether a call may be handed on to them, from a check that
    /// begins with the question.
    pub const PROVE: &str = "prove";
    /// { call: number, target: string }: hands a call on; how that goes is in its view.
    pub const TRANSFER: &str = "transfer";
    /// { muted: boolean }
    pub const SET_MUTED: &str = "set_muted";
    /// (): opens the dashboard window, or brings it to the front.
    pub const OPEN_DASHBOARD: &str = "open_dashboard";
    /// (): ends the session of the device that stands in the way, and goes online here.
    pub const TAKE_OVER: &str = "take_over";
    /// { extension: string, reason: string | null }: pauses an agent, or ends the pause; the phone's window for the own
    /// extension, the dashboard for everybody's that a supervisor sees.
    pub const PAUSE: &str = "pause";
    /// { extension: string, at: number | null } -> [`crate::explain::Explanation`]: why an agent's state is what it
    /// is, or was at `at` (ms since the epoch).
    pub const EXPLAIN: &str = "explain";
}

/// The argument of `sign_in`.
#[derive(Clone, Deserialize, TS)]
#[serde(rename_all = "camelCase")]
pub struct SignIn {
    /// The server's address, e.g. `https://rollcall.example` or `http://127.0.0.1:8080`.
    pub server: String,
    /// The user's name.
    pub username: String,
    /// The password; handed to the server once and kept nowhere.
    pub password: String,
}

/// The phone window.
#[derive(Clone, Debug, PartialEq, Serialize, TS)]
#[serde(rename_all = "camelCase")]
pub struct PhoneView {
    /// Which screen.
    pub screen: PhoneScreen,
    /// The app's version, for the footer.
    pub version: String,
    /// Things a person should know now, most urgent first.
    pub notices: Vec<Notice>,
}

/// The screens of the phone window.
#[derive(Clone, Debug, PartialEq, Serialize, TS)]
#[serde(
    tag = "kind",
    rename_all = "camelCase",
    rename_all_fields = "camelCase"
)]
pub enum PhoneScreen {
    /// Nobody is signed in.
    Login {
        /// The server's address to begin with.
        server: String,
        /// The user's name to begin with.
        username: String,
        /// How to sign in to the demo, where there is one.
        demo: Option<Demo>,
        /// Whether "Try it on this computer" is in this build.
        can_try_here: bool,
        /// The step a running sign-in is at.
        progress: Option<SignInStep>,
        /// Why the last sign-in failed.
        error: Option<ErrorBody>,
    },
    /// Somebody is.
    Phone {
        /// Who.
        user: SignedIn,
        /// The own state as the server's board has it.
        own: Box<OwnState>,
        /// The calls, oldest first.
        calls: Vec<CallView>,
        /// Everybody else on the board, by extension: to whom a call may be handed on.
        colleagues: Vec<Colleague>,
        /// Whether the microphone is muted.
        muted: bool,
        /// Somebody speaks into the muted microphone: nobody hears it.
        speaking_muted: bool,
        /// How loud a call is; none while nobody talks.
        levels: Option<Levels>,
        /// Signing out is under way.
        signing_out: bool,
        /// The extension is in use on another device: the window asks whether to take it over.
        in_use: Option<ErrorBody>,
    },
}

/// How loud a call is, in steps of 6 dB: from 0, below -54 dB of full scale, to [`Levels::MOST`], -12 dB and above. That
/// is where voices lie.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, TS)]
#[serde(rename_all = "camelCase")]
pub struct Levels {
    /// What the microphone gives, muted or not.
    pub microphone: u8,
    /// What is heard.
    pub speaker: u8,
}

impl Levels {
    /// The loudest step.
    pub const MOST: u8 = 8;

    /// The step of a level in dB below full scale; of silence, none.
    pub fn step(dbfs: Option<f64>) -> u8 {
        let steps = dbfs.map_or(0.0, |level| ((level + 60.0) / 6.0).floor());
        // Held to the range first, so nothing is cut off.
        steps.clamp(0.0, f64::from(Self::MOST)) as u8
    }
}

/// What the demo's login card says.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize, TS)]
#[serde(rename_all = "camelCase")]
pub struct Demo {
    /// One sentence on top.
    pub hint: String,
    /// The people one can sign in as.
    pub people: Vec<DemoPerson>,
}

/// A person of the demo. Its password opens nothing but the demo, and is shown on purpose.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize, TS)]
#[serde(rename_all = "camelCase")]
pub struct DemoPerson {
    /// e.g. "Agent 1001".
    pub label: String,
    /// The user's name.
    pub username: String,
    /// The demo password.
    pub password: String,
}

/// The steps of a sign-in, in order.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, TS)]
#[serde(rename_all = "camelCase")]
pub enum SignInStep {
    /// Starting the server and the pocket PBX in this process.
    Starting,
    /// The session of the last run, which did not sign out, is being renewed.
    Resuming,
    /// The server checks the password.
    CheckingPassword,
    /// The phone registers.
    RegisteringPhone,
    /// `agent-online` is on its way.
    TellingServer,
}

/// Who is signed in.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, TS)]
#[serde(rename_all = "camelCase")]
pub struct SignedIn {
    /// The user's name.
    pub username: String,
    /// The extension; absent for people without a phone.
    pub extension: Option<String>,
    /// The role.
    pub role: Role,
}

/// The own state, for the chip.
#[derive(Clone, Debug, PartialEq, Serialize, TS)]
#[serde(rename_all = "camelCase")]
pub struct OwnState {
    /// What the board says; `Unknown` while the server is out of sight.
    pub status: BoardStatus,
    /// Since when, ms since the epoch.
    #[ts(type = "number")]
    pub since: u64,
    /// Why.
    pub reasons: Vec<Reason>,
    /// What is wanted of the own pause, if anything.
    pub pause: Option<Pause>,
    /// The phone's own view of its registration.
    pub phone: PhoneState,
    /// Whether the server is being heard.
    pub server: SourceHealth,
}

/// The phone's registration.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, TS)]
#[serde(
    tag = "kind",
    rename_all = "camelCase",
    rename_all_fields = "camelCase"
)]
pub enum PhoneState {
    /// This person has no phone.
    None,
    /// A REGISTER is on its way.
    Registering,
    /// The registrar holds our own Contact.
    Registered,
    /// It does not; the phone keeps trying.
    Failed {
        /// What, why and what next.
        error: ErrorBody,
    },
}

/// A call.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, TS)]
#[serde(rename_all = "camelCase")]
pub struct CallView {
    /// Its number in this app.
    pub id: u32,
    /// Which way.
    pub direction: Direction,
    /// Where it stands.
    pub state: CallState,
    /// The other side's number.
    pub peer: String,
    /// The other side's name, where known.
    pub peer_name: Option<String>,
    /// When it was answered, ms since the epoch.
    #[ts(type = "number | null")]
    pub answered_at: Option<u64>,
    /// The codec, e.g. `Opus`.
    pub codec: Option<String>,
    /// Why it ended, in words; set once it has, for the few seconds the card stays.
    pub ended: Option<String>,
    /// That it is being handed on, or last was.
    pub transfer: Option<Transfer>,
}

/// A call that is handed on to somebody else (blind transfer, RFC 3515). Done, it ends.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, TS)]
#[serde(rename_all = "camelCase")]
pub struct Transfer {
    /// To whom, as it was asked for.
    pub to: String,
    /// Why it failed, in words: the call goes on here.
    pub failed: Option<String>,
}

/// Somebody a call may be handed on to, as the board last said.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, TS)]
#[serde(rename_all = "camelCase")]
pub struct Colleague {
    /// Who.
    pub extension: String,
    /// The state; `Unknown` while the server is out of sight.
    pub status: BoardStatus,
}

/// Which way a call was made.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, TS)]
#[serde(rename_all = "camelCase")]
pub enum Direction {
    /// They called.
    In,
    /// We called.
    Out,
}

/// Where a call stands.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, TS)]
#[serde(rename_all = "camelCase")]
pub enum CallState {
    /// Sent; nothing heard yet.
    Dialing,
    /// It rings (there or here, as `direction` says).
    Ringing,
    /// Talking.
    Active,
    /// The other side holds it.
    HeldByPeer,
    /// Over.
    Ended,
}

/// Something a person should know now.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, TS)]
#[serde(rename_all = "camelCase")]
pub struct Notice {
    /// How bad.
    pub severity: Severity,
    /// What, why and what next.
    pub error: ErrorBody,
}

/// How bad a notice is.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, TS)]
#[serde(rename_all = "camelCase")]
pub enum Severity {
    /// Good to know.
    Info,
    /// Something works less well.
    Warning,
    /// Calls cannot be taken.
    Error,
}

/// The dashboard window.
#[derive(Clone, Debug, PartialEq, Serialize, TS)]
#[serde(rename_all = "camelCase")]
pub struct DashboardView {
    /// Nobody is signed in: the window says so.
    pub signed_in: bool,
    /// The role of who is.
    pub role: Option<Role>,
    /// Whether a snapshot has been received since the last connect.
    pub synced: bool,
    /// Where Asterisk keeps contacts, as the server is set up (`mirror`, `shared`, `claims`); absent before the first
    /// snapshot.
    pub mode: Option<String>,
    /// Freshness by source: `server`, and what the server says of its own (`ami`, `database`).
    pub sources: BTreeMap<String, SourceHealth>,
    /// The agents by extension; all Unknown while the server is out of sight or the board is not whole.
    pub agents: Vec<Agent>,
    /// What was last said of those who are Unknown for that alone, by extension.
    pub was: BTreeMap<String, BoardStatus>,
}
