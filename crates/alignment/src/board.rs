//! The board: the words it uses and what a row of it carries.

use crate::contact::ContactStatus;
use crate::names::{DeviceId, Epoch, Extension, Seq};
use crate::pause::PauseView;
use crate::source::Source;

/// An agent's state on the board. Declared in the order of precedence: the first that holds.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub enum BoardStatus {
    /// A source it rests on cannot be seen (R5).
    Unknown,
    /// Nobody is logged in.
    Offline,
    /// Asked to leave; a call is still going on.
    LoggingOut,
    /// On a call at any device.
    OnCall,
    /// Being called.
    Ringing,
    /// Finishing the work after a call.
    WrapUp,
    /// Paused in the queues.
    Paused,
    /// Logged in, and a term of R1 is false.
    NotAvailable,
    /// Everything but the lease is proved, and the client is of a kind that has none.
    Unverified,
    /// R1 holds.
    Available,
}

impl BoardStatus {
    /// The state a word names.
    #[must_use]
    pub fn from_word(word: &str) -> Option<Self> {
        [
            BoardStatus::Unknown,
            BoardStatus::Offline,
            BoardStatus::LoggingOut,
            BoardStatus::OnCall,
            BoardStatus::Ringing,
            BoardStatus::WrapUp,
            BoardStatus::Paused,
            BoardStatus::NotAvailable,
            BoardStatus::Unverified,
            BoardStatus::Available,
        ]
        .into_iter()
        .find(|status| status.as_str() == word)
    }

    /// The word on the wire.
    #[must_use]
    pub fn as_str(self) -> &'static str {
        match self {
            BoardStatus::Unknown => "Unknown",
            BoardStatus::Offline => "Offline",
            BoardStatus::LoggingOut => "LoggingOut",
            BoardStatus::OnCall => "OnCall",
            BoardStatus::Ringing => "Ringing",
            BoardStatus::WrapUp => "WrapUp",
            BoardStatus::Paused => "Paused",
            BoardStatus::NotAvailable => "NotAvailable",
            BoardStatus::Unverified => "Unverified",
            BoardStatus::Available => "Available",
        }
    }
}

macro_rules! reason_codes {
    ($($(#[$doc:meta])* $name:ident => $word:literal, $text:literal;)*) => {
        /// Why an agent's state is what it is, as a stable word.
        #[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
        pub enum ReasonCode { $($(#[$doc])* $name,)* }

        impl ReasonCode {
            /// Every code.
            pub const ALL: &'static [ReasonCode] = &[$(ReasonCode::$name,)*];

            /// The code that a stable word names.
            #[must_use]
            pub fn from_word(word: &str) -> Option<Self> {
                Self::ALL.iter().copied().find(|code| code.as_str() == word)
            }

            /// The stable word, in snake_case.
            #[must_use]
            pub fn as_str(self) -> &'static str {
                match self { $(ReasonCode::$name => $word,)* }
            }

            /// One sentence that a person can read.
            #[must_use]
            pub fn text(self) -> &'static str {
                match self { $(ReasonCode::$name => $text,)* }
            }
        }
    };
}

reason_codes! {
    /// The AMI link is down.
    AmiLost => "ami_lost", "the link to Asterisk is down";
    /// The AMI link is up and its full lists are not read yet.
    AmiSyncing => "ami_syncing", "Asterisk's full lists are being read";
    /// The database cannot be written.
    DatabaseLost => "database_lost", "the database is not answering";
    /// The database refused this agent's own change.
    NotSaved => "not_saved", "the last change could not be saved";
    /// We restarted, and the device has not spoken since.
    ServerRestarted => "server_restarted", "the server restarted and has not heard from the app yet";
    /// Too many leases ended together, or this one while a source was away: we suspect ourselves (R9).
    ServerSuspect => "server_suspect", "the app fell silent together with many, or while the server was cut off, so the server suspects itself";
    /// The app's connection closed; its lease runs on.
    AppLinkLost => "app_link_lost", "the connection to the app closed";
    /// The lease ended.
    AppLost => "app_lost", "the app has not been heard from";
    /// Nothing ever proved that the app is there.
    NoLease => "no_lease", "the client sends no sign of life";
    /// The engine's SIP loop does not answer.
    SipLoopStalled => "sip_loop_stalled", "the phone's signalling has stopped";
    /// The engine's audio loop does not answer.
    AudioLoopStalled => "audio_loop_stalled", "the phone's sound has stopped";
    /// No microphone or speaker.
    NoAudioDevice => "no_audio_device", "there is no microphone or speaker to talk with";
    /// Online was asked; the contact is awaited.
    Registering => "registering", "the phone has not registered yet";
    /// It never came.
    LoginIncomplete => "login_incomplete", "the phone did not register in time";
    /// The contact it had is gone, or the app says it is not registered.
    SipDown => "sip_down", "the phone has lost its registration";
    /// The contact is past its expiry.
    ContactExpired => "contact_expired", "the registration has expired";
    /// The contact does not answer OPTIONS.
    ContactUnreachable => "contact_unreachable", "the phone does not answer Asterisk";
    /// Registered, reachability not tested.
    NotQualified => "not_qualified", "registered, but Asterisk has not tested whether the phone answers";
    /// Several contacts, and the claim names none of them.
    AmbiguousContact => "ambiguous_contact", "several phones are registered and none was named";
    /// A contact of a signed-in device that has not said it is online.
    Unclaimed => "unclaimed", "the phone is registered, but nobody has gone online with it";
    /// A contact nobody is logged in for.
    Unmanaged => "unmanaged", "a phone is registered that nobody is logged in with";
    /// Asterisk calls the device unavailable.
    DeviceUnavailable => "device_unavailable", "Asterisk calls the device unavailable";
    /// Asterisk says nothing certain about the device.
    DeviceStateUnknown => "device_state_unknown", "Asterisk's state of the device is not known";
    /// On a call.
    OnCall => "on_call", "on a call";
    /// Being called.
    Ringing => "ringing", "being called";
    /// Paused.
    Paused => "paused", "paused";
    /// A pause was asked for, and a queue may still pass calls.
    PauseAsked => "pause_asked", "a pause was asked for, and Asterisk has not confirmed it";
    /// The end of a pause was asked for, and a queue still passes the agent over.
    PauseEndAsked => "pause_end_asked", "the end of the pause was asked for, and Asterisk has not confirmed it";
    /// Passed over by the queues until that is taken back.
    Draining => "draining", "the queues pass this agent over until the phone is proved again";
    /// It came and went too often.
    Flapping => "flapping", "the phone came and went several times; it counts again once it stays";
    /// Nobody is asked: mode `claims`.
    ClaimsOnly => "claims_only", "the app says so, and no Asterisk is asked here";
    /// A contact that nothing accounts for.
    Forged => "forged", "a registration is there that no phone, app or session accounts for";
    /// Logout asked during a call.
    LogoutPending => "logout_pending", "logged out as soon as the call ends";
    /// The agent logged out.
    LoggedOut => "logged_out", "logged out";
    /// Another device of the same person took over.
    TakenOver => "taken_over", "another device took over";
    /// Somebody with the right to do so ended the session.
    ForcedOut => "forced_out", "logged out by a supervisor";
    /// The session's token ended.
    SessionExpired => "session_expired", "the session has ended";
    /// The extension went to somebody else.
    Reassigned => "reassigned", "the extension was given to somebody else";
    /// Never logged in since this row exists.
    NeverLoggedIn => "never_logged_in", "has not logged in";
}

/// One reason with its age.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Reason {
    /// What.
    pub code: ReasonCode,
    /// Since when, milliseconds since the Unix epoch.
    pub since_unix_ms: u64,
}

/// One source the row rests on.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct SourceView {
    /// Which.
    pub source: Source,
    /// Its health: `up`, `syncing`, `lost`, `never`.
    pub health: &'static str,
    /// Since when.
    pub since_unix_ms: u64,
}

/// A device's lease in one word.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum LeaseView {
    /// Live.
    Live,
    /// The connection closed, or we restarted; not over yet.
    InDoubt,
    /// Over.
    Ended,
    /// There never was one.
    None,
}

impl LeaseView {
    /// The stable word.
    #[must_use]
    pub fn as_str(self) -> &'static str {
        match self {
            LeaseView::Live => "live",
            LeaseView::InDoubt => "in_doubt",
            LeaseView::Ended => "ended",
            LeaseView::None => "none",
        }
    }
}

/// One device on an agent's row: a session with its contact, or a contact without a session.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct DeviceView {
    /// The installation; `None` for a phone that is not ours.
    pub device: Option<DeviceId>,
    /// What this device alone would show.
    pub status: BoardStatus,
    /// Its lease.
    pub lease: LeaseView,
    /// Its contact's status, if it has one.
    pub contact_status: Option<ContactStatus>,
    /// The first 8 characters of its contact's hash.
    pub contact_hash: Option<String>,
    /// The contact's URI. For supervisors only.
    pub contact_uri: Option<String>,
    /// The contact's User-Agent. For supervisors only.
    pub user_agent: Option<String>,
    /// The contact's expiry, epoch seconds.
    pub expires_unix: Option<u64>,
    /// When the session began, milliseconds since the Unix epoch.
    pub session_since_unix_ms: Option<u64>,
    /// Its own false terms.
    pub reasons: Vec<Reason>,
}

/// One agent's row.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct AgentView {
    /// Whose.
    pub extension: Extension,
    /// The state.
    pub status: BoardStatus,
    /// The best contact's status; `Expired` once there was one and none is left; `None` before.
    pub contact_status: Option<ContactStatus>,
    /// `users.online`.
    pub online: bool,
    /// `users.sipRegistered`.
    pub sip_registered: bool,
    /// Every reason that holds, the weightiest first; empty when Available.
    pub reasons: Vec<Reason>,
    /// Since when the state is what it is, milliseconds since the Unix epoch.
    pub since_unix_ms: u64,
    /// What people want of its pause, if anything.
    pub pause: Option<PauseView>,
    /// The sources it rests on.
    pub sources: Vec<SourceView>,
    /// Its devices.
    pub devices: Vec<DeviceView>,
}

/// The whole board as it was last published.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Snapshot {
    /// This run of the server.
    pub epoch: Epoch,
    /// The last event it contains.
    pub seq: Seq,
    /// A row for every known agent, by extension.
    pub agents: Vec<AgentView>,
}
