//! Why a request came to nothing.

use rollcall_wire::http::ErrorBody;
use thiserror::Error;

/// Why a request came to nothing.
#[derive(Clone, Debug, PartialEq, Eq, Error)]
pub enum ClientError {
    /// The address is none that HTTP can be spoken with.
    #[error("{0} is not an http:// or https:// address")]
    BadAddress(String),
    /// Nothing answers: no connection, or no answer in time.
    #[error("the server does not answer: {0}")]
    ServerAway(String),
    /// The server answers no, and says why.
    #[error("{}", .body.message)]
    Refused {
        /// The HTTP status.
        status: u16,
        /// What, why and what next.
        body: ErrorBody,
    },
    /// The server speaks a version of the wire that this app no longer does.
    #[error("the server is too old for this app: it speaks version {0} of Rollcall's wire")]
    ServerTooOld(u32),
    /// Something else answers at this address.
    #[error("what answers at this address is no Rollcall server: {0}")]
    NotRollcall(String),
}

impl ClientError {
    /// The stable word: the server's own where it gave one.
    #[must_use]
    pub fn code(&self) -> &str {
        match self {
            Self::BadAddress(_) => "bad_address",
            Self::ServerAway(_) => "server_away",
            Self::Refused { body, .. } => &body.code,
            Self::ServerTooOld(_) => "server_too_old",
            Self::NotRollcall(_) => "not_rollcall",
        }
    }

    /// The error in the one shape, for a window or a log.
    #[must_use]
    pub fn to_body(&self) -> ErrorBody {
        let next = match self {
            Self::Refused { body, .. } => return body.clone(),
            Self::BadAddress(_) => "Write it as https://host or http://host:port.",
            Self::ServerAway(_) => "Check the network and the server's address, then try again.",
            Self::ServerTooOld(_) => "Ask an administrator to update the server.",
            Self::NotRollcall(_) => "Check the server's address and port.",
        };
        ErrorBody {
            code: self.code().into(),
            message: self.to_string(),
            field: None,
            next: Some(next.into()),
        }
    }

    /// Whether the same request may do better in a moment.
    #[must_use]
    pub fn is_passing(&self) -> bool {
        match self {
            Self::ServerAway(_) => true,
            Self::Refused { status, .. } => *status == 503,
            Self::BadAddress(_) | Self::ServerTooOld(_) | Self::NotRollcall(_) => false,
        }
    }

    /// Whether the session is over: the token is not, or no longer, good for anything.
    #[must_use]
    pub fn is_signed_out(&self) -> bool {
        matches!(self, Self::Refused { status: 401, .. })
    }
}
