//! What the core asks the server to do.

use std::time::Instant;

use thiserror::Error;

use crate::board::{AgentView, ReasonCode};
use crate::contact::{ClaimError, Contact, ContactStatus};
use crate::input::EndReason;
use crate::lease::LeaseKind;
use crate::ledger::LedgerEntry;
use crate::names::{
    CommitId, ContactId, DeviceId, Epoch, Extension, PauseReason, RequestId, Seq, SessionId,
};
use crate::pause::PauseRow;
use crate::queue::Membership;

/// One output. The time to wake is [`crate::Core::poll_timeout`].
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Output {
    /// Make these writes durable, all or none, and say `Committed` or `Failed`.
    Commit(Commit),
    /// Answer a caller.
    Reply(Reply),
    /// Tell every dashboard.
    Broadcast(Broadcast),
    /// Nobody has this extension any more: it is no row of the board, and the next snapshot is
    /// without it. That it was taken away is committed already.
    Withdrawn(Extension),
    /// Ask something of Asterisk or of an app.
    Ask(Ask),
}

/// Writes that belong together. Commits may be grouped, never reordered.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Commit {
    /// Its name.
    pub id: CommitId,
    /// What to write; only what changed.
    pub writes: Vec<Write>,
}

/// One write.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Write {
    /// Set the derived columns of `users`.
    User(UserRow),
    /// Insert or update our row in `ps_contacts`.
    Contact(ContactRow),
    /// Delete our row in `ps_contacts`: a newer one of the same endpoint took its place.
    ContactGone(ContactId),
    /// Insert or update a session.
    Session(SessionRow),
    /// Set what people want of an extension's pause.
    Pause(PauseRow),
    /// They want nothing of it any more.
    PauseGone(Extension),
    /// Append to the ledger.
    Ledger(LedgerEntry),
}

/// The derived columns of `users`.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct UserRow {
    /// Whose.
    pub extension: Extension,
    /// `online`.
    pub online: bool,
    /// `sipRegistered`.
    pub sip_registered: bool,
}

/// Our copy of a contact.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct ContactRow {
    /// `id`, decoded.
    pub id: ContactId,
    /// `endpoint`.
    pub endpoint: Extension,
    /// `uri`, decoded.
    pub uri: String,
    /// `user_agent`, decoded.
    pub user_agent: String,
    /// `expiration_time`, epoch seconds.
    pub expires_unix: u64,
    /// `qualify_frequency`, seconds.
    pub qualify_frequency: u32,
    /// `reg_server`.
    pub reg_server: String,
    /// `status`: the last proved one.
    pub status: ContactStatus,
}

impl From<&ContactRow> for Contact {
    fn from(row: &ContactRow) -> Self {
        Contact {
            id: row.id.clone(),
            endpoint: row.endpoint.clone(),
            uri: row.uri.clone(),
            user_agent: row.user_agent.clone(),
            expires_unix: row.expires_unix,
            status: row.status,
            qualify_frequency: row.qualify_frequency,
            reg_server: row.reg_server.clone(),
        }
    }
}

/// Where a session stands: the intent of the person.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub enum SessionState {
    /// Signed in; has not said it is online.
    SignedIn,
    /// Wants to be on the board.
    Online,
    /// Wants to leave; a call is going on.
    LoggingOut,
    /// Over.
    Ended(EndReason),
}

impl SessionState {
    /// The stable word.
    #[must_use]
    pub fn as_str(self) -> &'static str {
        match self {
            SessionState::SignedIn => "signed_in",
            SessionState::Online => "online",
            SessionState::LoggingOut => "logging_out",
            SessionState::Ended(_) => "ended",
        }
    }
}

/// A session's row.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct SessionRow {
    /// Its id.
    pub id: SessionId,
    /// Its extension.
    pub extension: Extension,
    /// Its installation.
    pub device: DeviceId,
    /// Where it stands.
    pub state: SessionState,
    /// The claimed contact: `None` before agent-online, an empty text for the AOR's one contact,
    /// else the user part.
    pub claim: Option<String>,
    /// What renews its lease.
    pub lease: LeaseKind,
    /// When it was opened, milliseconds since the Unix epoch.
    pub started_unix_ms: u64,
    /// When it went online, if it did.
    pub online_unix_ms: Option<u64>,
    /// When it ended, if it did.
    pub ended_unix_ms: Option<u64>,
}

/// An answer to a caller.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Reply {
    /// To whom.
    pub request: RequestId,
    /// What.
    pub answer: Answer,
}

/// What a caller is told.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Answer {
    /// The session is open.
    SignedIn,
    /// The intent is recorded; this is the row it made.
    Online(Box<AgentView>),
    /// Logged out, and every view agrees.
    LoggedOut(Box<AgentView>),
    /// Recorded; it completes by itself once nothing is pending any more.
    LoggingOut {
        /// The row.
        agent: Box<AgentView>,
        /// What does not agree yet.
        pending: Vec<Pending>,
    },
    /// What is wanted of the pause is recorded; this is the row it made. The queues follow.
    Pause(Box<AgentView>),
    /// What lists say that were read after the question; `None`: they were not answered in time.
    Proof(Option<Box<AgentView>>),
    /// No, and nothing was written.
    Refused(Refusal),
}

/// What a logout still waits for.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub enum Pending {
    /// A call is going on.
    Call,
    /// The registrar still has the contact.
    Contact,
    /// The contact's row is not over yet where Asterisk keeps it.
    Row,
    /// Asterisk still calls the device available.
    Device,
}

impl Pending {
    /// The stable word.
    #[must_use]
    pub fn as_str(self) -> &'static str {
        match self {
            Pending::Call => "call",
            Pending::Contact => "contact",
            Pending::Row => "row",
            Pending::Device => "device",
        }
    }
}

/// Why an intent was refused.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Error)]
pub enum Refusal {
    /// The server has not read its database yet.
    #[error("the server is starting and does not know its agents yet")]
    NotReady,
    /// Nobody has this extension.
    #[error("nobody has this extension")]
    UnknownExtension,
    /// The session is not known.
    #[error("this session does not exist")]
    UnknownSession,
    /// The session has ended.
    #[error("this session has ended; sign in again")]
    SessionEnded,
    /// The extension is somebody else's.
    #[error("this extension belongs to somebody else")]
    WrongExtension,
    /// The device is not one of this person's.
    #[error("no session of yours is on that device")]
    UnknownDevice,
    /// The `contactUri` cannot be a claim.
    #[error("{0}")]
    BadContact(ClaimError),
    /// `sip:ext@server` names several contacts.
    #[error("several phones are registered for this extension; name the one that is meant")]
    AmbiguousContact,
    /// Policy allows one device, and it is another.
    #[error("this extension is in use on another device")]
    InUse,
    /// The extension was somebody else's, whose phone is not gone yet.
    #[error("the phone of this extension's last owner is still being taken away")]
    HandingOver,
    /// The same key came with another request before.
    #[error("this idempotency key was used for another request")]
    KeyReused,
    /// Nobody is signed in whom it would concern.
    #[error("nobody is signed in with this extension")]
    NotSignedIn,
    /// The change could not be saved.
    #[error("the database is not answering; nothing was changed")]
    DatabaseUnavailable,
}

impl Refusal {
    /// The stable word.
    #[must_use]
    pub fn as_str(self) -> &'static str {
        match self {
            Refusal::NotReady => "not_ready",
            Refusal::UnknownExtension => "unknown_extension",
            Refusal::UnknownSession => "unknown_session",
            Refusal::SessionEnded => "session_ended",
            Refusal::WrongExtension => "wrong_extension",
            Refusal::UnknownDevice => "unknown_device",
            Refusal::BadContact(_) => "bad_contact_uri",
            Refusal::AmbiguousContact => "ambiguous_contact",
            Refusal::InUse => "in_use",
            Refusal::HandingOver => "handing_over",
            Refusal::KeyReused => "idempotency_key_reused",
            Refusal::NotSignedIn => "not_signed_in",
            Refusal::DatabaseUnavailable => "database_unavailable",
        }
    }
}

/// One row of the board as it now is: `agent:status`.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Broadcast {
    /// This run of the server.
    pub epoch: Epoch,
    /// Its place; every broadcast has the next number.
    pub seq: Seq,
    /// The row.
    pub agent: AgentView,
    /// The row before, if there was one.
    pub before: Option<Box<AgentView>>,
}

/// Something to ask of Asterisk or of an app. Answers come back as observations.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Ask {
    /// Read all full lists: contacts, device states, channels.
    Resync {
        /// The time to put into `asked_at`.
        asked_at: Instant,
        /// Why.
        reason: ResyncReason,
    },
    /// Send OPTIONS to the endpoint's contacts.
    Qualify {
        /// Which.
        endpoint: Extension,
    },
    /// Make Asterisk forget a contact (F6).
    Evict {
        /// All that is known of it.
        contact: ContactRow,
        /// Why.
        reason: EvictReason,
    },
    /// Ask the app to REGISTER again.
    Reregister {
        /// Whose connection to say it on.
        session: SessionId,
    },
    /// Ask the endpoint's queues for something. Orders to one endpoint are to arrive in their order.
    Queues {
        /// Which.
        endpoint: Extension,
        /// What.
        order: QueueOrder,
    },
    /// Asterisk forgot a queue membership, or its pause, when it restarted: make it again.
    Restore(Membership),
    /// Let the endpoint's new calls and REGISTERs be answered 503, or no longer (F12).
    Maintenance {
        /// Which.
        endpoint: Extension,
        /// From now on, or no longer.
        on: bool,
    },
    /// End a channel.
    HangUp {
        /// Its unique id.
        unique_id: String,
    },
}

/// What queues are told of an endpoint.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum QueueOrder {
    /// Every one is to pass it over until it is proved again (R10).
    Drain {
        /// Why; the pause is to say so, after [`crate::DRAIN_REASON`].
        reason: ReasonCode,
    },
    /// Every one is to pass it over, because somebody asked for it.
    Pause {
        /// Why; the pause is to say so as it is.
        reason: PauseReason,
    },
    /// These are to pass calls again.
    Unpause {
        /// Which.
        queues: Vec<String>,
    },
}

impl QueueOrder {
    /// Whether `later` is the same again, whatever a drain is for: an end that names a queue which this one does not is
    /// another, because queues are seen to pause one after the other.
    pub(crate) fn is_as(&self, later: &QueueOrder) -> bool {
        match (self, later) {
            (QueueOrder::Pause { reason }, QueueOrder::Pause { reason: later }) => reason == later,
            (QueueOrder::Drain { .. }, QueueOrder::Drain { .. }) => true,
            (QueueOrder::Unpause { queues }, QueueOrder::Unpause { queues: later }) => {
                later.iter().all(|queue| queues.contains(queue))
            }
            _ => false,
        }
    }
}

/// Why full lists are asked for.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub enum ResyncReason {
    /// The link came up.
    LinkUp,
    /// The period is over.
    Periodic,
    /// An event named a contact no list has named yet.
    NewContact,
    /// Two sources contradict each other.
    Contradiction,
    /// A contact reached its expiry; a refresh raises no event (F8).
    Expiry,
    /// The last one was not answered.
    Unanswered,
    /// Somebody wants to know it now.
    Proof,
    /// A contact is listed that nothing accounts for.
    Unaccounted,
    /// Pauses are to have ended.
    Pause,
}

impl ResyncReason {
    /// The stable word.
    #[must_use]
    pub fn as_str(self) -> &'static str {
        match self {
            ResyncReason::LinkUp => "link_up",
            ResyncReason::Periodic => "periodic",
            ResyncReason::NewContact => "new_contact",
            ResyncReason::Contradiction => "contradiction",
            ResyncReason::Expiry => "expiry",
            ResyncReason::Unanswered => "unanswered",
            ResyncReason::Proof => "proof",
            ResyncReason::Unaccounted => "unaccounted",
            ResyncReason::Pause => "pause",
        }
    }
}

/// Why a contact is evicted.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub enum EvictReason {
    /// Its session logged out, and it did not go by itself.
    LoggedOut,
    /// The same device registered a newer one.
    Superseded,
    /// Its app is gone, and it does not answer either.
    AppLost,
    /// Nothing accounts for it: no REGISTER, no app, no session.
    Forged,
    /// Nobody is logged in with it, and policy wants no such phone.
    Unmanaged,
}

impl EvictReason {
    /// The stable word.
    #[must_use]
    pub fn as_str(self) -> &'static str {
        match self {
            EvictReason::LoggedOut => "logged_out",
            EvictReason::Superseded => "superseded",
            EvictReason::AppLost => "app_lost",
            EvictReason::Forged => "forged",
            EvictReason::Unmanaged => "unmanaged",
        }
    }
}

#[cfg(test)]
mod tests {
    use super::QueueOrder;

    #[test]
    fn the_end_of_a_pause_in_another_queue_is_another_order() {
        let end = |queues: &[&str]| QueueOrder::Unpause {
            queues: queues.iter().map(|&queue| queue.to_owned()).collect(),
        };
        let asked = end(&["sales", "support"]);
        assert!(asked.is_as(&end(&["support"])));
        assert!(!end(&["sales"]).is_as(&asked));
        assert!(!end(&["sales"]).is_as(&end(&["support"])));
    }
}
