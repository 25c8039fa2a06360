//! Contact ids and their statuses.

use std::borrow::Cow;
use std::fmt;

/// Undoes the escaping that Asterisk's realtime drivers apply to stored strings: `^3B` is `;` (and any other
/// `^XX` its ASCII character). The native drivers store the plain form, so compare decoded values only.
pub fn decode_stored(value: &str) -> Cow<'_, str> {
    if !value.contains('^') {
        return Cow::Borrowed(value);
    }
    let mut decoded = String::with_capacity(value.len());
    let mut rest = value;
    while let Some((plain, escaped)) = rest.split_once('^') {
        decoded.push_str(plain);
        match escaped
            .get(..2)
            .and_then(|hex| u8::from_str_radix(hex, 16).ok())
            .filter(u8::is_ascii_graphic)
        {
            Some(byte) => {
                decoded.push(char::from(byte));
                rest = escaped.get(2..).unwrap_or_default();
            }
            None => {
                decoded.push('^');
                rest = escaped;
            }
        }
    }
    decoded.push_str(rest);
    Cow::Owned(decoded)
}

/// A contact's id, `<aor>;@<md5 of the stored URI>`, always in decoded form: the `;` and `^3B` forms are equal.
#[derive(Clone, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub struct ContactId(String);

impl ContactId {
    /// Takes either form.
    pub fn new(id: &str) -> Self {
        Self(decode_stored(id).into_owned())
    }

    /// The id with a plain `;`, as AMI and ARI want it.
    pub fn as_str(&self) -> &str {
        &self.0
    }

    /// The address of record before `;@`, or the whole id where it has no such mark (contacts from a file).
    pub fn aor(&self) -> &str {
        self.0
            .split_once(";@")
            .map_or(self.0.as_str(), |(aor, _)| aor)
    }

    /// The hash behind `;@`: names the contact in a log without its address.
    pub fn hash(&self) -> &str {
        self.0.split_once(";@").map_or("", |(_, hash)| hash)
    }
}

impl fmt::Debug for ContactId {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "ContactId({})", self.0)
    }
}

impl fmt::Display for ContactId {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.0)
    }
}

/// What Asterisk's qualify says of a contact.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum ContactStatus {
    /// The contact answers OPTIONS.
    Reachable,
    /// It did not answer the last OPTIONS.
    Unreachable,
    /// It is registered and not (yet) qualified. `Unqualified` in some versions.
    NonQualified,
    /// It is gone: unregistered, expired or evicted.
    Removed,
    /// Asterisk says that it does not know.
    Unknown,
    /// A word of a version that we do not know: to be tolerated, never taken for Reachable.
    Other(String),
}

impl ContactStatus {
    /// Reads Asterisk's word.
    pub fn from_word(word: &str) -> Self {
        match word {
            "Reachable" => Self::Reachable,
            "Unreachable" => Self::Unreachable,
            "NonQualified" | "Unqualified" => Self::NonQualified,
            "Removed" => Self::Removed,
            "Unknown" => Self::Unknown,
            other => Self::Other(other.to_owned()),
        }
    }

    /// Asterisk's word for it.
    pub fn as_word(&self) -> &str {
        match self {
            Self::Reachable => "Reachable",
            Self::Unreachable => "Unreachable",
            Self::NonQualified => "NonQualified",
            Self::Removed => "Removed",
            Self::Unknown => "Unknown",
            Self::Other(word) => word,
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn both_stored_forms_of_an_id_are_one_contact() {
        let native = ContactId::new("1001;@fdcb0da3e00471fbd053abeab6f8ec13");
        let encoded = ContactId::new("1001^3B@fdcb0da3e00471fbd053abeab6f8ec13");
        assert_eq!(native, encoded);
        assert_eq!(encoded.aor(), "1001");
        assert_eq!(encoded.hash(), "fdcb0da3e00471fbd053abeab6f8ec13");
    }

    #[test]
    fn a_caret_that_escapes_nothing_stays() {
        assert_eq!(decode_stored("a^b^3b^"), "a^b;^");
        assert_eq!(decode_stored("a^zz"), "a^zz");
        assert_eq!(
            decode_stored("^0A"),
            "^0A",
            "an escaped line break is never made real"
        );
        assert_eq!(decode_stored("^é"), "^é");
    }

    #[test]
    fn an_unknown_status_is_kept_and_is_not_reachable() {
        let status = ContactStatus::from_word("Updated");
        assert_eq!(status, ContactStatus::Other("Updated".into()));
        assert_eq!(status.as_word(), "Updated");
        assert_eq!(
            ContactStatus::from_word("Unqualified"),
            ContactStatus::NonQualified
        );
    }
}
