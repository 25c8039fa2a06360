//! What may be written: the typed changes, each of them whole.

use rollcall_wire::http::Role;

use super::{instances::Presence, people::AuditEntry, provision::SipGrant};
use crate::{auth::SessionId, config::Secret, provision::Endpoint};

/// One change. A list of them given to [`super::Database::commit`] is one transaction.
///
/// All times are ms since the Unix epoch unless a field says otherwise.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Write {
    /// A person comes in. Conflicts when the name or the extension is taken.
    AddUser(NewUser),
    /// Somebody is changed. Refused where it would leave no administrator.
    ChangePerson {
        /// Who.
        username: String,
        /// How.
        change: PersonChange,
        /// What the audit log says of it, unless nothing is changed by it.
        note: AuditEntry,
    },
    /// Somebody who is disabled goes for good.
    RemovePerson {
        /// Who.
        username: String,
    },
    /// Asterisk is told of somebody's phone, where it reads that from this database.
    Provision(Endpoint),
    /// A privileged act is noted, in the transaction that does it.
    Audit(AuditEntry),
    /// A device session begins, with its first tokens. Superseded when the password is another now.
    StartSession(NewSession),
    /// A refresh token is traded. Conflicts when it was used before.
    RotateTokens(Rotation),
    /// An access token is about to log its session out, under this idempotency key. Queued ahead of
    /// the logout's own change, it is on disk no later than that.
    NameLogout {
        /// The token that asks.
        token: TokenHash,
        /// SHA-256 of the key.
        key: KeyHash,
    },
    /// A session is over: its tokens end with it.
    EndSession {
        /// Which.
        session: SessionId,
        /// When.
        at: u64,
        /// `logout`, `takeover`, `forced`, `expired`.
        reason: String,
    },
    /// A contact in Asterisk's own table is evicted: its expiry is set into the past.
    ExpireContact(rollcall_alignment::ContactId),
    /// Old lines of the ledger go: a portion of them, see [`super::Database::forget_ledger`].
    ForgetLedger {
        /// Those from before, ms since the epoch.
        before: u64,
    },
    /// What a server says of itself to others on this database.
    Presence(Presence),
    /// A change that the alignment core asked for.
    Core(rollcall_alignment::Write),
}

/// A person to add.
#[derive(Clone, PartialEq, Eq)]
pub struct NewUser {
    /// The user's name.
    pub username: String,
    /// The extension; none for people without a phone.
    pub extension: Option<String>,
    /// What they may do.
    pub role: Role,
    /// PHC string of the password.
    pub password_hash: String,
    /// The SIP password, sealed.
    pub sip_secret: Option<Vec<u8>>,
    /// When.
    pub at: u64,
}

/// How somebody is changed.
#[derive(Clone, PartialEq, Eq)]
pub enum PersonChange {
    /// They may do this from now on.
    Role(Role),
    /// They may not sign in.
    Disable {
        /// When.
        at: u64,
    },
    /// They may sign in again.
    Enable,
    /// They have another password.
    Password {
        /// Its PHC string.
        hash: String,
        /// Set where it is their own doing.
        own: Option<OwnPassword>,
    },
    /// Their phones register with another password; sealed.
    SipSecret(Vec<u8>),
}

/// On what grounds somebody changes their own password. Superseded, should they hold no more.
#[derive(Clone, PartialEq, Eq)]
pub struct OwnPassword {
    /// The session that asks; it goes on when their others end.
    pub session: SessionId,
    /// The PHC string that the old password was found right by.
    pub judged: Secret,
}

impl std::fmt::Debug for PersonChange {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        match self {
            Self::Role(role) => write!(f, "Role({role:?})"),
            Self::Disable { at } => write!(f, "Disable({at})"),
            Self::Enable => f.write_str("Enable"),
            Self::Password { .. } => f.write_str("Password"),
            Self::SipSecret(_) => f.write_str("SipSecret"),
        }
    }
}

/// A session to start.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct NewSession {
    /// Its id.
    pub id: SessionId,
    /// Whose.
    pub user_id: i64,
    /// The PHC string that the password was found right by: the session starts only while that is
    /// the account's.
    pub judged: Secret,
    /// On which device.
    pub device_id: String,
    /// Whether its tokens are good together with the device's name only.
    pub bound: bool,
    /// When.
    pub at: u64,
    /// The tokens.
    pub tokens: TokenPair,
    /// Its own way to register, where it has one.
    pub sip: Option<SipGrant>,
}

/// The hashes of a pair of tokens and their ends.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct TokenPair {
    /// SHA-256 of the access token.
    pub access: TokenHash,
    /// When it ends.
    pub access_expires: u64,
    /// SHA-256 of the refresh token.
    pub refresh: TokenHash,
    /// When it ends.
    pub refresh_expires: u64,
}

/// SHA-256 of a token.
pub type TokenHash = [u8; 32];

/// SHA-256 of an idempotency key.
pub type KeyHash = [u8; 32];

/// A refresh.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Rotation {
    /// The session it belongs to.
    pub session: SessionId,
    /// The refresh token that is used up.
    pub used: TokenHash,
    /// What replaces the session's tokens.
    pub tokens: TokenPair,
    /// The answer, where the request named an idempotency key.
    pub answer: Option<KeptAnswer>,
    /// When.
    pub at: u64,
}

/// An answer that a retry may hear again.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct KeptAnswer {
    /// The idempotency key it was given under.
    pub key: KeyHash,
    /// The answer, sealed with the token that asked.
    pub sealed: Vec<u8>,
}

impl std::fmt::Debug for NewUser {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("NewUser")
            .field("username", &self.username)
            .field("extension", &self.extension)
            .field("role", &self.role)
            .finish_non_exhaustive()
    }
}
