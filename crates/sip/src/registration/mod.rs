//! The client's registration (RFC 3261 section 10): register, refresh, unregister, and never give up.

mod client;

use std::net::SocketAddr;
use std::time::Duration;

pub(crate) use client::{Fate, Registration};

use crate::digest::Credentials;
use crate::message::{NameAddr, Uri};

/// What to register, and with whom.
#[derive(Debug, Clone)]
pub struct Account {
    /// The address of record, e.g. `sip:1001@pbx.example`.
    pub aor: NameAddr,
    /// The Request-URI of REGISTER: the registrar's domain, without a user.
    pub registrar: Uri,
    /// Where the registrar (or the outbound proxy) listens, already resolved.
    pub destination: SocketAddr,
    /// User name and password for its challenges.
    pub credentials: Credentials,
    /// The lifetime asked for. The registrar may shorten or lengthen it.
    pub expires: Duration,
}

/// What became of a REGISTER.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum RegistrationEvent {
    /// A REGISTER is on its way (the first, or one after a failure; refreshes are silent).
    Registering,
    /// The registrar holds our own Contact.
    Registered {
        /// The Contact URI as we sent it.
        contact: String,
        /// How long the registrar keeps it.
        expires: Duration,
        /// The address that answered.
        registrar: SocketAddr,
    },
    /// A REGISTER failed.
    Failed {
        /// Why.
        failure: Failure,
        /// When the next attempt is made; none after an unregister was asked for.
        retry_in: Option<Duration>,
    },
    /// Our contact is gone, because we asked for it.
    Unregistered,
}

/// Why a REGISTER failed.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum Failure {
    /// Nothing came back within 20 T1 (10 s by default).
    #[error("the registrar did not answer")]
    TimedOut,
    /// Nobody listens there, or no way leads there: the transport said so at once (RFC 3261 section 18.4).
    #[error("the registrar cannot be reached")]
    Unreachable,
    /// Our credentials were answered with another challenge.
    #[error("the registrar did not accept the user name or password")]
    WrongCredentials,
    /// The challenge cannot be answered (unknown algorithm, unreadable header).
    #[error("the registrar's challenge cannot be answered: {0}")]
    UnusableChallenge(String),
    /// Any other final answer.
    #[error("the registrar refused: {code} {reason}")]
    Refused {
        /// SIP response code.
        code: u16,
        /// Its reason phrase.
        reason: String,
    },
    /// A 200 whose Contact list lacks ours: the registrar stored nothing.
    #[error("the registrar said 200 but does not hold our contact")]
    ContactMissing,
}
