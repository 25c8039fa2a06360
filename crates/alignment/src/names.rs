//! Identifiers, each its own type, checked where they come in.

use std::fmt;
use std::sync::Arc;

use md5::{Digest as _, Md5};
use thiserror::Error;

/// Why a string is not an identifier.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Error)]
pub enum NameError {
    /// Nothing in it.
    #[error("is empty")]
    Empty,
    /// Longer than any honest one.
    #[error("is longer than {max} characters")]
    TooLong {
        /// The longest that is accepted.
        max: usize,
    },
    /// A character that could mean something to SIP, SQL, AMI or a terminal.
    #[error("contains a character that is not allowed")]
    BadCharacter,
}

fn check(text: &str, max: usize, allowed: fn(u8) -> bool) -> Result<(), NameError> {
    if text.is_empty() {
        return Err(NameError::Empty);
    }
    if text.len() > max {
        return Err(NameError::TooLong { max });
    }
    if text.bytes().all(allowed) {
        Ok(())
    } else {
        Err(NameError::BadCharacter)
    }
}

fn plain(byte: u8) -> bool {
    byte.is_ascii_alphanumeric() || matches!(byte, b'.' | b'_' | b'-' | b'+')
}

macro_rules! name {
    ($(#[$doc:meta])* $name:ident, $max:literal, $allowed:expr) => {
        $(#[$doc])*
        #[derive(Clone, PartialEq, Eq, PartialOrd, Ord, Hash)]
        pub struct $name(Arc<str>);

        impl $name {
            /// Checks and takes the text.
            ///
            /// # Errors
            /// [`NameError`] says what is wrong with it.
            pub fn new(text: &str) -> Result<Self, NameError> {
                check(text, $max, $allowed)?;
                Ok(Self(text.into()))
            }

            /// The text.
            #[must_use]
            pub fn as_str(&self) -> &str {
                &self.0
            }
        }

        impl fmt::Display for $name {
            fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
                f.write_str(&self.0)
            }
        }

        impl fmt::Debug for $name {
            fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
                write!(f, "{:?}", &*self.0)
            }
        }
    };
}

name!(
    /// An agent's number. Also the name of its PJSIP endpoint and AOR.
    Extension, 40, plain
);
name!(
    /// One installation of the app; stays the same from run to run.
    DeviceId, 64, plain
);
name!(
    /// One sign-in of one device, from login to logout.
    SessionId, 64, plain
);
name!(
    /// Why somebody pauses, as a code: `lunch`, `training`. Asterisk's queues are told it as it is.
    PauseReason, 32, |byte| byte.is_ascii_lowercase() || byte.is_ascii_digit() || matches!(byte, b'_' | b'-')
);
name!(
    /// The client's own name for one request, the same on every retry.
    IdempotencyKey, 128, |byte| byte.is_ascii_graphic()
);

/// The registrar's name for a contact, `<aor>;@<md5 of the URI>`, decoded: drivers that store `;`
/// as `^3B` and those that do not name the same contact.
#[derive(Clone, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct ContactId(Arc<str>);

impl ContactId {
    /// Takes the id as stored or listed, and decodes it.
    #[must_use]
    pub fn new(stored: &str) -> Self {
        Self(crate::contact::decode_stored(stored).as_ref().into())
    }

    /// The id that the registrar gives to a contact of this address of record (F1); events name
    /// contacts by their URI alone.
    #[must_use]
    pub fn of(aor: &Extension, uri: &str) -> Self {
        Self(format!("{aor};@{:x}", Md5::digest(uri)).into())
    }

    /// The decoded id.
    #[must_use]
    pub fn as_str(&self) -> &str {
        &self.0
    }

    /// What logs may say of a contact: the first 8 characters of its hash.
    #[must_use]
    pub fn short_hash(&self) -> &str {
        let hash = self.0.rsplit('@').next().unwrap_or(&self.0);
        hash.get(..8).unwrap_or(hash)
    }
}

impl fmt::Display for ContactId {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.0)
    }
}

impl fmt::Debug for ContactId {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{:?}", &*self.0)
    }
}

/// One run of the server: a client that sees another epoch forgets what it knew.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct Epoch(pub u64);

/// The place of an event within its epoch, from 1. A snapshot names the last one it contains.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Default)]
pub struct Seq(pub u64);

/// The server's name for one waiting caller; the core only hands it back.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct RequestId(pub u64);

/// One Socket.IO connection of a device, unique in a run of the server.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct LinkId(pub u64);

/// The core's name for one commit it asked for.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct CommitId(pub u64);
