//! What a server asks (WWW-Authenticate, Proxy-Authenticate) and the arithmetic both sides share.

use md5::{Digest as _, Md5};
use sha2::{Sha256, Sha512_256};

use crate::message::Refusal;
use crate::message::text::{quote, split_outside_quotes, unquote};

/// A digest algorithm (RFC 8760 section 2), the stronger the greater.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub enum Algorithm {
    /// MD5, the default when a challenge names none.
    Md5,
    /// MD5 over a session key.
    Md5Sess,
    /// SHA-256.
    Sha256,
    /// SHA-256 over a session key.
    Sha256Sess,
    /// SHA-512/256.
    Sha512_256,
    /// SHA-512/256 over a session key.
    Sha512_256Sess,
}

impl Algorithm {
    /// Every one, the weakest first.
    pub const ALL: [Self; 6] = [
        Self::Md5,
        Self::Md5Sess,
        Self::Sha256,
        Self::Sha256Sess,
        Self::Sha512_256,
        Self::Sha512_256Sess,
    ];

    /// The token on the wire.
    pub fn token(self) -> &'static str {
        match self {
            Self::Md5 => "MD5",
            Self::Md5Sess => "MD5-sess",
            Self::Sha256 => "SHA-256",
            Self::Sha256Sess => "SHA-256-sess",
            Self::Sha512_256 => "SHA-512-256",
            Self::Sha512_256Sess => "SHA-512-256-sess",
        }
    }

    pub(super) fn from_token(token: &str) -> Option<Self> {
        Self::ALL
            .into_iter()
            .find(|known| known.token().eq_ignore_ascii_case(token))
    }

    fn hash(self, data: &[u8]) -> String {
        match self {
            Self::Md5 | Self::Md5Sess => hex(&Md5::digest(data)),
            Self::Sha256 | Self::Sha256Sess => hex(&Sha256::digest(data)),
            Self::Sha512_256 | Self::Sha512_256Sess => hex(&Sha512_256::digest(data)),
        }
    }

    pub(super) fn is_session(self) -> bool {
        matches!(
            self,
            Self::Md5Sess | Self::Sha256Sess | Self::Sha512_256Sess
        )
    }
}

/// What the answer protects besides the password (RFC 7616 section 3.4).
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Protection {
    /// Method and Request-URI.
    Auth,
    /// The body too.
    AuthInt,
}

impl Protection {
    /// The token on the wire.
    pub fn token(self) -> &'static str {
        match self {
            Self::Auth => "auth",
            Self::AuthInt => "auth-int",
        }
    }

    pub(super) fn from_token(token: &str) -> Option<Self> {
        [Self::Auth, Self::AuthInt]
            .into_iter()
            .find(|known| known.token().eq_ignore_ascii_case(token.trim()))
    }
}

/// A challenge.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Challenge {
    /// Shown to the user as the place the password is for.
    pub realm: String,
    /// The server's nonce.
    pub nonce: String,
    /// To be sent back unchanged.
    pub opaque: Option<String>,
    /// The algorithm.
    pub algorithm: Algorithm,
    /// What is offered as `qop`, best first; empty for the old form without it (RFC 2069).
    pub qop: Vec<Protection>,
    /// The credentials were right, only the nonce was old.
    pub stale: bool,
}

impl Challenge {
    /// Reads a header value. Refused when it is not Digest, lacks a realm or nonce, or asks for what is not known.
    pub fn parse(value: &str) -> Result<Self, Refusal> {
        let fields = Fields::parse(value)?;
        let algorithm = match fields.get("algorithm") {
            None => Algorithm::Md5,
            Some(token) => Algorithm::from_token(&token).ok_or_else(|| {
                Refusal::bad_request("the algorithm is not MD5, SHA-256 or SHA-512-256")
            })?,
        };
        let offered = fields.get("qop").unwrap_or_default();
        let qop: Vec<Protection> = offered
            .split(',')
            .filter_map(Protection::from_token)
            .collect();
        if qop.is_empty() && !offered.trim().is_empty() {
            return Err(Refusal::bad_request("qop offers neither auth nor auth-int"));
        }
        Ok(Self {
            realm: fields
                .get("realm")
                .ok_or_else(|| Refusal::bad_request("no realm"))?,
            nonce: fields
                .get("nonce")
                .ok_or_else(|| Refusal::bad_request("no nonce"))?,
            opaque: fields.get("opaque"),
            algorithm,
            qop,
            stale: fields
                .get("stale")
                .is_some_and(|stale| stale.eq_ignore_ascii_case("true")),
        })
    }

    /// The header value.
    pub fn header_value(&self) -> String {
        let mut value = format!(
            "Digest realm={}, nonce={}, algorithm={}",
            quote(&self.realm),
            quote(&self.nonce),
            self.algorithm.token()
        );
        if let Some(opaque) = &self.opaque {
            value.push_str(&format!(", opaque={}", quote(opaque)));
        }
        if !self.qop.is_empty() {
            let qop: Vec<&str> = self.qop.iter().map(|one| one.token()).collect();
            value.push_str(&format!(", qop=\"{}\"", qop.join(",")));
        }
        if self.stale {
            value.push_str(", stale=true");
        }
        value
    }
}

/// What goes into a response besides the password.
pub(super) struct Inputs<'a> {
    pub(super) algorithm: Algorithm,
    pub(super) username: &'a str,
    pub(super) realm: &'a str,
    pub(super) nonce: &'a str,
    pub(super) method: &'a str,
    pub(super) uri: &'a str,
    pub(super) body: &'a [u8],
    /// The protection and nc (eight hex digits) where there is a qop.
    pub(super) qop: Option<(Protection, &'a str)>,
    pub(super) cnonce: &'a str,
    /// The nonce that a `-sess` key was made with; it outlives the nonce.
    pub(super) session_nonce: &'a str,
}

impl Inputs<'_> {
    /// The response value (RFC 7616 section 3.4.1).
    pub(super) fn response(&self, password: &str) -> String {
        let hash = |text: String| self.algorithm.hash(text.as_bytes());
        let mut a1 = hash(format!("{}:{}:{password}", self.username, self.realm));
        if self.algorithm.is_session() {
            a1 = hash(format!("{a1}:{}:{}", self.session_nonce, self.cnonce));
        }
        let mut a2 = format!("{}:{}", self.method, self.uri);
        if let Some((Protection::AuthInt, _)) = self.qop {
            a2.push(':');
            a2.push_str(&self.algorithm.hash(self.body));
        }
        let a2 = hash(a2);
        match self.qop {
            Some((protection, nc)) => hash(format!(
                "{a1}:{}:{nc}:{}:{}:{a2}",
                self.nonce,
                self.cnonce,
                protection.token()
            )),
            None => hash(format!("{a1}:{}:{a2}", self.nonce)),
        }
    }
}

/// The `name=value` list of an authentication header.
pub(super) struct Fields(Vec<(String, String)>);

impl Fields {
    pub(super) fn parse(value: &str) -> Result<Self, Refusal> {
        let (scheme, rest) = value
            .trim()
            .split_once(' ')
            .ok_or_else(|| Refusal::bad_request("malformed challenge"))?;
        if !scheme.eq_ignore_ascii_case("Digest") {
            return Err(Refusal::bad_request("the scheme is not Digest"));
        }
        Ok(Self::list(rest))
    }

    /// The same where no scheme stands in front (Authentication-Info).
    pub(super) fn list(value: &str) -> Self {
        let fields = split_outside_quotes(value, ',')
            .into_iter()
            .filter_map(|part| part.split_once('='));
        Self(
            fields
                .map(|(name, value)| (name.trim().to_owned(), unquote(value.trim())))
                .collect(),
        )
    }

    pub(super) fn get(&self, name: &str) -> Option<String> {
        self.0
            .iter()
            .find(|(own, _)| own.eq_ignore_ascii_case(name))
            .map(|(_, value)| value.clone())
    }
}

pub(super) fn hex(bytes: &[u8]) -> String {
    bytes.iter().map(|byte| format!("{byte:02x}")).collect()
}
