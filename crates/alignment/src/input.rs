//! What the core is told.

use std::time::{Duration, Instant};

use crate::contact::{Contact, ContactStatus};
use crate::lease::Vitals;
use crate::ledger::Decided;
use crate::names::{
    CommitId, DeviceId, Extension, IdempotencyKey, LinkId, PauseReason, RequestId, SessionId,
};
use crate::output::{ContactRow, SessionRow, UserRow};
use crate::pause::PauseRow;
use crate::queue::Membership;
use crate::source::Source;

/// One input.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Input {
    /// Somebody asks for something. Answered by a `Reply` with the same request id.
    Intent {
        /// Whom to answer.
        request: RequestId,
        /// What is asked.
        intent: Intent,
    },
    /// Something was seen.
    Observation(Observation),
    /// A commit is durable.
    Committed(CommitId),
    /// A commit is not, and will not be: none of its writes happened.
    Failed(CommitId, Failure),
}

/// Why a commit failed.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Failure {
    /// The database cannot be reached or written.
    Unavailable,
    /// The database is there and refuses this very change.
    Refused,
}

/// What somebody asks. The server has authenticated the session; the core checks the rest.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Intent {
    /// A password was right: open a session for this device.
    SignIn(SignIn),
    /// `POST agent-online`.
    AgentOnline {
        /// The session the token belongs to.
        session: SessionId,
        /// The extension in the body; must be the session's own.
        extension: Extension,
        /// The `contactUri` in the body: a claim.
        contact_uri: String,
        /// End the sessions of other devices that stand in the way.
        take_over: bool,
        /// The client's name for this request.
        key: Option<IdempotencyKey>,
    },
    /// `POST agent-logout`.
    AgentLogout {
        /// The session the token belongs to.
        session: SessionId,
        /// Another device of the same person; without it the token's own session.
        device: Option<DeviceId>,
        /// The client's name for this request.
        key: Option<IdempotencyKey>,
    },
    /// A supervisor ends the sessions of an extension. A call goes on unless its end is asked too.
    ForceLogout {
        /// Whose.
        extension: Extension,
        /// This device's alone.
        device: Option<DeviceId>,
        /// End the calls of the extension as well (the one exception to R6, by a person's word).
        end_calls: bool,
        /// The supervisor's own session, for the ledger.
        by: SessionId,
    },
    /// Somebody pauses an agent, or ends the pause: the agent, or a supervisor.
    Pause(PauseIntent),
    /// Is this agent available, by lists that are read from now on?
    Prove {
        /// Who.
        extension: Extension,
    },
}

/// A pause to begin, or to end. The server has made sure that whoever asks may.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct PauseIntent {
    /// Whose.
    pub extension: Extension,
    /// Why it is paused; `None` ends every pause that people made.
    pub reason: Option<PauseReason>,
    /// The session of who asks, for the ledger.
    pub by: SessionId,
    /// The client's name for this request.
    pub key: Option<IdempotencyKey>,
}

/// A session to open.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct SignIn {
    /// The new session's id, made by the server.
    pub session: SessionId,
    /// The person's extension.
    pub extension: Extension,
    /// The installation; one the server makes up when the client names none.
    pub device: DeviceId,
}

/// One person that has an extension.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Person {
    /// The extension.
    pub extension: Extension,
    /// Who has it: the key of the person's row.
    pub owner: i64,
}

/// A session as the core keeps it.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Session {
    /// Its id.
    pub id: SessionId,
    /// Its extension.
    pub extension: Extension,
    /// Its installation.
    pub device: DeviceId,
    /// When it was opened, milliseconds since the Unix epoch.
    pub started_unix_ms: u64,
}

/// Why a session ended.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub enum EndReason {
    /// The agent logged out.
    LoggedOut,
    /// The same device signed in anew.
    Superseded,
    /// Another device took over.
    TakenOver,
    /// A supervisor ended it.
    Forced,
    /// Its token ended.
    Expired,
    /// The extension is no longer this person's.
    Reassigned,
}

impl EndReason {
    /// The stable word.
    #[must_use]
    pub fn as_str(self) -> &'static str {
        match self {
            EndReason::LoggedOut => "logged_out",
            EndReason::Superseded => "superseded",
            EndReason::TakenOver => "taken_over",
            EndReason::Forced => "forced_out",
            EndReason::Expired => "session_expired",
            EndReason::Reassigned => "reassigned",
        }
    }

    /// The reason a stored word names; `None` for words that are no end of a sign-in that counted.
    #[must_use]
    pub fn from_word(word: &str) -> Option<Self> {
        [
            EndReason::LoggedOut,
            EndReason::Superseded,
            EndReason::TakenOver,
            EndReason::Forced,
            EndReason::Expired,
            EndReason::Reassigned,
        ]
        .into_iter()
        .find(|reason| reason.as_str() == word)
    }
}

/// What was seen.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Observation {
    /// What the database held at our start. Nothing is published before it.
    Restored(Restored),
    /// Everybody who has an extension; sent again whenever that may have changed. Who is missing has
    /// none any more.
    People(Vec<Person>),
    /// One of them, about to sign in.
    Person(Person),
    /// A session's token ended without a logout.
    SessionExpired(SessionId),
    /// A session's device opened a Socket.IO connection.
    LinkOpened {
        /// Whose.
        session: SessionId,
        /// Which.
        link: LinkId,
    },
    /// One of its connections closed.
    LinkClosed {
        /// Whose.
        session: SessionId,
        /// Which. It may come before its opening; that opening then counts for nothing.
        link: LinkId,
    },
    /// A heartbeat.
    Heartbeat {
        /// Whose.
        session: SessionId,
        /// What the engine says.
        vitals: Vitals,
    },
    /// AMI is logged in and Asterisk fully booted. Lists are asked for next.
    AmiUp,
    /// AMI is gone.
    AmiLost,
    /// A `ContactStatus` event.
    ContactEvent(ContactEvent),
    /// A full list of contacts.
    Contacts {
        /// When it was asked for; what was seen later outweighs it.
        asked_at: Instant,
        /// The list.
        contacts: Vec<Contact>,
        /// Whether an empty list is proved to mean that nobody is registered (F15).
        empty_is_proved: bool,
    },
    /// What the database holds of contacts, read for a full list. Others may write it too.
    Stored {
        /// When the list was asked for; what was committed later outweighs it.
        asked_at: Instant,
        /// The rows.
        rows: Vec<ContactRow>,
    },
    /// A `DeviceStateChange` event.
    Device {
        /// The endpoint.
        endpoint: Extension,
        /// Its state.
        state: DeviceState,
    },
    /// A full list of device states.
    Devices {
        /// When it was asked for.
        asked_at: Instant,
        /// The list.
        states: Vec<(Extension, DeviceState)>,
    },
    /// A channel appeared or changed.
    Channel(Channel),
    /// A channel is gone.
    Hangup {
        /// Its unique id.
        unique_id: String,
    },
    /// A full list of channels.
    Channels {
        /// When it was asked for.
        asked_at: Instant,
        /// The list.
        channels: Vec<Channel>,
    },
    /// Said with the link: how long Asterisk has been up.
    Booted {
        /// Since its start.
        up_for: Duration,
    },
    /// A queue has a member, in this state.
    Member(Membership),
    /// A queue lost a member.
    MemberGone {
        /// The endpoint.
        endpoint: Extension,
        /// The queue.
        queue: String,
    },
    /// A full list of queue members.
    Members {
        /// When it was asked for.
        asked_at: Instant,
        /// The list.
        members: Vec<Membership>,
    },
    /// The database was asked whether it is there, and was not, or not in time. A commit finds it again.
    DatabaseSilent,
    /// Another clock was compared with ours.
    ClockOffset {
        /// Whose.
        source: Source,
        /// Theirs minus ours, ms.
        offset_ms: i64,
    },
}

/// What the database held at our start.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub struct Restored {
    /// Everybody who has an extension.
    pub people: Vec<Person>,
    /// Their rows in `users`.
    pub users: Vec<UserRow>,
    /// Sessions that had not ended.
    pub sessions: Vec<SessionRow>,
    /// Our rows in `ps_contacts`.
    pub contacts: Vec<ContactRow>,
    /// Why each one's last session ended, of those who had one.
    pub last_ends: Vec<(Extension, EndReason)>,
    /// What people want of pauses.
    pub pauses: Vec<PauseRow>,
    /// The last state of each that the ledger knows.
    pub decided: Vec<Decided>,
}

/// A `ContactStatus` event: a hint, without id, expiry or user agent.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct ContactEvent {
    /// `EndpointName`, else `AOR`.
    pub endpoint: Extension,
    /// `URI`, decoded or not.
    pub uri: String,
    /// `ContactStatus`; `Removed` is [`ContactStatus::Expired`].
    pub status: ContactStatus,
}

/// Asterisk's device state, an endpoint's (F17).
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub enum DeviceState {
    /// Idle.
    NotInUse,
    /// On a call.
    InUse,
    /// On a call and full.
    Busy,
    /// Being called.
    Ringing,
    /// On a call and being called.
    RingInUse,
    /// On a call, held.
    OnHold,
    /// No contact, or none reachable.
    Unavailable,
    /// No such device.
    Invalid,
    /// Anything else.
    Unknown,
}

impl DeviceState {
    /// The state Asterisk's word names.
    #[must_use]
    pub fn from_word(word: &str) -> Self {
        match word {
            "NOT_INUSE" => DeviceState::NotInUse,
            "INUSE" => DeviceState::InUse,
            "BUSY" => DeviceState::Busy,
            "RINGING" => DeviceState::Ringing,
            "RINGINUSE" => DeviceState::RingInUse,
            "ONHOLD" => DeviceState::OnHold,
            "UNAVAILABLE" => DeviceState::Unavailable,
            "INVALID" => DeviceState::Invalid,
            _ => DeviceState::Unknown,
        }
    }

    /// Whether it means a call.
    #[must_use]
    pub fn is_call(self) -> bool {
        matches!(
            self,
            DeviceState::InUse | DeviceState::Busy | DeviceState::RingInUse | DeviceState::OnHold
        )
    }
}

/// A channel's state, as far as the board cares.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub enum ChannelState {
    /// Made, not yet ringing or up.
    Down,
    /// It calls the endpoint (`Ringing`), and nobody answered yet.
    Ringing,
    /// The endpoint calls out (`Ring`, `Dialing`...).
    Calling,
    /// Talking.
    Up,
}

impl ChannelState {
    /// The state `ChannelState` (a number) names.
    #[must_use]
    pub fn from_number(number: u32) -> Self {
        match number {
            2..=4 => ChannelState::Calling,
            5 => ChannelState::Ringing,
            6 => ChannelState::Up,
            _ => ChannelState::Down,
        }
    }
}

/// One channel of an endpoint.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Channel {
    /// `Uniqueid`.
    pub unique_id: String,
    /// The endpoint in its name (`PJSIP/1001-00000003`).
    pub endpoint: Extension,
    /// Its state.
    pub state: ChannelState,
}
