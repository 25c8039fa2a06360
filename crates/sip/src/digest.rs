//! Digest access authentication (RFC 7616, RFC 8760, RFC 3261 section 22): both sides of it.
//!
//! MD5 and SHA-256, with and without `-sess`, `qop=auth` or none. `auth-int` alone is refused, since no peer
//! here uses it.

mod answer;
mod challenge;
mod verify;

use std::fmt;

pub use answer::{ClientDigest, UnusableChallenge};
pub use challenge::{Algorithm, Challenge};
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
