//! Contacts as the registrar knows them, and the claims that name one.

use std::borrow::Cow;

use thiserror::Error;

use crate::names::{ContactId, DeviceId, Extension};

/// Text as most realtime drivers store it: `;` as `^3B`, `^` itself as `^5E`.
#[must_use]
pub fn encode_stored(text: &str) -> Cow<'_, str> {
    if !text.contains(['^', ';']) {
        return Cow::Borrowed(text);
    }
    Cow::Owned(text.replace('^', "^5E").replace(';', "^3B"))
}

/// Undoes [`encode_stored`]; text that was stored as it is stays as it is.
#[must_use]
pub fn decode_stored(stored: &str) -> Cow<'_, str> {
    if !stored.contains('^') {
        return Cow::Borrowed(stored);
    }
    Cow::Owned(
        stored
            .replace("^3B", ";")
            .replace("^3b", ";")
            .replace("^5E", "^")
            .replace("^5e", "^"),
    )
}

/// What is known of a contact's reachability.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub enum ContactStatus {
    /// It answered the last OPTIONS.
    Reachable,
    /// It did not.
    Unreachable,
    /// Nobody asked it.
    NonQualified,
    /// Asterisk has it, and says nothing we understand about it.
    Unknown,
    /// It is over: removed, past its expiry, or logged out. The product's word, not Asterisk's.
    Expired,
}

impl ContactStatus {
    /// The word in `ps_contacts.status` and on the wire.
    #[must_use]
    pub fn as_str(self) -> &'static str {
        match self {
            ContactStatus::Reachable => "Reachable",
            ContactStatus::Unreachable => "Unreachable",
            ContactStatus::NonQualified => "NonQualified",
            ContactStatus::Unknown => "Unknown",
            ContactStatus::Expired => "Expired",
        }
    }

    /// Whether it is what OPTIONS came to.
    pub(crate) fn is_of_a_test(self) -> bool {
        matches!(self, ContactStatus::Reachable | ContactStatus::Unreachable)
    }

    /// The status a word of Asterisk's or of the table names. Words nobody knows are `Unknown`.
    #[must_use]
    pub fn from_word(word: &str) -> Self {
        match word {
            "Reachable" | "Avail" => ContactStatus::Reachable,
            "Unreachable" | "Unavail" => ContactStatus::Unreachable,
            "NonQualified" | "Unqualified" | "NonQual" => ContactStatus::NonQualified,
            "Removed" | "Expired" => ContactStatus::Expired,
            _ => ContactStatus::Unknown,
        }
    }
}

/// One contact of one AOR, as a full list names it. Text is decoded.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Contact {
    /// The registrar's id.
    pub id: ContactId,
    /// The AOR, which is also the endpoint and the extension.
    pub endpoint: Extension,
    /// The URI as stored; its host and port may be rewritten (F16).
    pub uri: String,
    /// REGISTER's User-Agent.
    pub user_agent: String,
    /// `expiration_time`, epoch seconds.
    pub expires_unix: u64,
    /// What Asterisk said of it.
    pub status: ContactStatus,
    /// Asterisk's own qualify period in seconds; 0: it never asks.
    pub qualify_frequency: u32,
    /// `systemname` of the Asterisk it registered at; may be empty.
    pub reg_server: String,
}

impl Contact {
    /// The user part of its URI.
    #[must_use]
    pub fn user(&self) -> Option<&str> {
        uri_user(&self.uri)
    }

    /// The installation that registered it, if it is one of ours.
    #[must_use]
    pub fn device(&self) -> Option<DeviceId> {
        device_in_user_agent(&self.user_agent)
    }
}

/// The user part of a `sip:` or `sips:` URI; the scheme in any case (RFC 3261 section 19.1.4).
#[must_use]
pub fn uri_user(uri: &str) -> Option<&str> {
    let (scheme, rest) = uri.split_once(':')?;
    if !scheme.eq_ignore_ascii_case("sip") && !scheme.eq_ignore_ascii_case("sips") {
        return None;
    }
    let (user, _) = rest.split_once('@')?;
    let user = user.split(':').next().unwrap_or(user);
    (!user.is_empty()).then_some(user)
}

/// The device id in a User-Agent of the form `Rollcall/0.1.0 (device <id>)`.
#[must_use]
pub fn device_in_user_agent(user_agent: &str) -> Option<DeviceId> {
    let decoded = decode_stored(user_agent);
    let (_, rest) = decoded.split_once("(device ")?;
    let (id, _) = rest.split_once(')')?;
    DeviceId::new(id.trim()).ok()
}

/// What `agent-online` says the phone's contact is. Matched, never stored as a route.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Claim {
    /// A user part unique to device and run.
    User(String),
    /// The seed's `sip:ext@server`: only the AOR is named, and its one contact is meant.
    Aor,
}

/// Why a `contactUri` is no claim.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Error)]
pub enum ClaimError {
    /// Longer than [`Claim::MAX`].
    #[error("contactUri is longer than 511 bytes")]
    TooLong,
    /// Not `sip:user@host` or `sips:user@host`.
    #[error("contactUri is not of the form sip:user@host")]
    NotSip,
    /// Holds a control character, quote, space or another that has no place in it.
    #[error("contactUri contains a character that is not allowed")]
    BadCharacter,
}

impl Claim {
    /// The longest `contactUri`, bytes: what `ps_contacts.uri` holds.
    pub const MAX: usize = 511;

    /// Reads a `contactUri` as a claim on a contact of `extension`.
    ///
    /// # Errors
    /// [`ClaimError`] says why it is none; nothing of it is kept.
    pub fn parse(contact_uri: &str, extension: &Extension) -> Result<Self, ClaimError> {
        if contact_uri.len() > Self::MAX {
            return Err(ClaimError::TooLong);
        }
        let allowed = |byte: u8| {
            byte.is_ascii_alphanumeric()
                || matches!(
                    byte,
                    b'.' | b'_'
                        | b'-'
                        | b'+'
                        | b'@'
                        | b':'
                        | b';'
                        | b'='
                        | b'['
                        | b']'
                        | b'~'
                        | b'%'
                )
        };
        if !contact_uri.bytes().all(allowed) {
            return Err(ClaimError::BadCharacter);
        }
        let user = uri_user(contact_uri).ok_or(ClaimError::NotSip)?;
        let host = contact_uri.split_once('@').map_or("", |(_, host)| host);
        if host.is_empty() || host.contains('@') {
            return Err(ClaimError::NotSip);
        }
        if user.contains([';', '=', '[', ']']) {
            return Err(ClaimError::BadCharacter);
        }
        Ok(if user == extension.as_str() {
            Claim::Aor
        } else {
            Claim::User(user.to_owned())
        })
    }
}
