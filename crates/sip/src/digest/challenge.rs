//! What a server asks (WWW-Authenticate, Proxy-Authenticate) and the arithmetic both sides share.

use md5::{Digest as _, Md5};
use sha2::Sha256;

use crate::message::Refusal;
use crate::message::text::{quote, split_outside_quotes, unquote};

/// A digest algorithm (RFC 8760 section 2).
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
}

impl Algorithm {
    const ALL: [Self; 4] = [Self::Md5, Self::Md5Sess, Self::Sha256, Self::Sha256Sess];

    /// The token on the wire.
    pub fn token(self) -> &'static str {
        match self {
            Self::Md5 => "MD5",
            Self::Md5Sess => "MD5-sess",
            Self::Sha256 => "SHA-256",
            Self::Sha256Sess => "SHA-256-sess",
        }
    }

    pub(super) fn from_token(token: &str) -> Option<Self> {
        Self::ALL
            .into_iter()
            .find(|known| known.token().eq_ignore_ascii_case(token))
    }

    fn hash(self, text: &str) -> String {
        match self {
            Self::Md5 | Self::Md5Sess => hex(&Md5::digest(text)),
            Self::Sha256 | Self::Sha256Sess => hex(&Sha256::digest(text)),
        }
    }

    fn is_session(self) -> bool {
        matches!(self, Self::Md5Sess | Self::Sha256Sess)
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
    /// Whether `qop=auth` is offered.
    pub qop_auth: bool,
    /// The credentials were right, only the nonce was old.
    pub stale: bool,
}

impl Challenge {
    /// Reads a header value. Refused when it is not Digest, lacks a realm or nonce, or asks for what is not known.
    pub fn parse(value: &str) -> Result<Self, Refusal> {
        let fields = Fields::parse(value)?;
        let algorithm = match fields.get("algorithm") {
            None => Algorithm::Md5,
            Some(token) => Algorithm::from_token(&token)
                .ok_or_else(|| Refusal::bad_request("the algorithm is not MD5 or SHA-256"))?,
        };
        let qop = fields.get("qop");
        let qop_auth = qop.as_deref().is_some_and(|qop| {
            qop.split(',')
                .any(|one| one.trim().eq_ignore_ascii_case("auth"))
        });
        if qop.is_some_and(|qop| !qop.trim().is_empty()) && !qop_auth {
            return Err(Refusal::bad_request("qop does not offer auth"));
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
            qop_auth,
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
        if self.qop_auth {
            value.push_str(", qop=\"auth\"");
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
    /// cnonce and nc (eight hex digits) when qop is auth.
    pub(super) qop: Option<(&'a str, &'a str)>,
    /// cnonce for `-sess` without qop.
    pub(super) cnonce: &'a str,
}

impl Inputs<'_> {
    /// The response value (RFC 7616 section 3.4.1).
    pub(super) fn response(&self, password: &str) -> String {
        let hash = |text: String| self.algorithm.hash(&text);
        let mut a1 = hash(format!("{}:{}:{password}", self.username, self.realm));
        if self.algorithm.is_session() {
            a1 = hash(format!("{a1}:{}:{}", self.nonce, self.cnonce));
        }
        let a2 = hash(format!("{}:{}", self.method, self.uri));
        match self.qop {
            Some((cnonce, nc)) => hash(format!("{a1}:{}:{nc}:{cnonce}:auth:{a2}", self.nonce)),
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
        let fields = split_outside_quotes(rest, ',')
            .into_iter()
            .filter_map(|part| part.split_once('='));
        Ok(Self(
            fields
                .map(|(name, value)| (name.trim().to_owned(), unquote(value.trim())))
                .collect(),
        ))
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
