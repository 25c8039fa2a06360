//! Digest access authentication (RFC 7616, RFC 8760, RFC 3261 section 22): both sides of it.
//!
//! MD5, SHA-256 and SHA-512/256, with and without `-sess`; `auth`, `auth-int` or the old form without qop. It refuses
//! to prove anything in the clear (Basic), and to verify what the server says of itself (`rspauth`).

mod answer;
mod challenge;
mod verify;

use std::fmt;

pub use answer::{ClientDigest, UnusableChallenge};
pub use challenge::{Algorithm, Challenge, Protection};
pub use verify::{Authenticator, Verdict};

/// A user name and its password. The password never shows in Debug output.
#[derive(Clone, PartialEq, Eq)]
pub struct Credentials {
    /// User name for the digest.
    pub username: String,
    /// Password.
    pub password: String,
}

impl Credentials {
    /// A pair.
    pub fn new(username: impl Into<String>, password: impl Into<String>) -> Self {
        Self {
            username: username.into(),
            password: password.into(),
        }
    }
}

impl fmt::Debug for Credentials {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Credentials")
            .field("username", &self.username)
            .finish_non_exhaustive()
    }
}
