//! One block of `Key: value` lines.

use std::fmt;

/// The longest value that may be written, in bytes. Asterisk reads actions line by line into 1025-byte buffers.
pub const MAX_VALUE_BYTES: usize = 1000;

/// Keys whose values never show in `Debug`, compared without regard to case.
const SECRET_KEYS: [&str; 7] = [
    "secret",
    "password",
    "key",
    "md5cred",
    "passworddigest",
    "oauthsecret",
    "refreshtoken",
];

/// Why a field was refused before anything was written.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum FieldError {
    /// The key is empty or holds something other than letters, digits, `-`, `_`, `(` and `)`.
    #[error("{0:?} is no AMI key")]
    Key(String),
    /// The value holds a line break or a NUL and could smuggle a second header or action in.
    #[error("the value of {key} holds a control character")]
    ControlCharacter {
        /// The key whose value it is.
        key: String,
    },
    /// The value is longer than Asterisk reads.
    #[error("the value of {key} is {bytes} bytes long, at most {MAX_VALUE_BYTES} are allowed")]
    TooLong {
        /// The key whose value it is.
        key: String,
        /// Its length in bytes.
        bytes: usize,
    },
}

/// A block of headers in order, as AMI's actions, responses and events all are. Keys compare without regard to case.
#[derive(Clone, Default, PartialEq, Eq)]
pub struct Packet {
    fields: Vec<(String, String)>,
}

impl Packet {
    /// An empty packet.
    pub fn new() -> Self {
        Self::default()
    }

    /// Adds one header; line breaks are refused in key and value.
    pub fn push(&mut self, key: &str, value: &str) -> Result<(), FieldError> {
        check_key(key)?;
        check_value(key, value)?;
        self.fields.push((key.to_owned(), value.to_owned()));
        Ok(())
    }

    /// Adds a header that came off the wire, where a line cannot hold a line break.
    pub(crate) fn push_read(&mut self, key: String, value: String) {
        self.fields.push((key, value));
    }

    /// The first value under `key`.
    pub fn get(&self, key: &str) -> Option<&str> {
        self.fields
            .iter()
            .find(|(name, _)| name.eq_ignore_ascii_case(key))
            .map(|(_, value)| value.as_str())
    }

    /// Every value under `key` (`Output` and `Variable` repeat).
    pub fn get_all<'a>(&'a self, key: &'a str) -> impl Iterator<Item = &'a str> {
        self.fields
            .iter()
            .filter(move |(name, _)| name.eq_ignore_ascii_case(key))
            .map(|(_, value)| value.as_str())
    }

    /// All headers in order.
    pub fn fields(&self) -> impl Iterator<Item = (&str, &str)> {
        self.fields
            .iter()
            .map(|(key, value)| (key.as_str(), value.as_str()))
    }

    /// How many headers there are.
    pub fn len(&self) -> usize {
        self.fields.len()
    }

    /// Whether there is no header.
    pub fn is_empty(&self) -> bool {
        self.fields.is_empty()
    }

    /// Appends the wire form, the closing empty line included.
    pub fn encode(&self, out: &mut Vec<u8>) {
        for (key, value) in &self.fields {
            out.extend_from_slice(key.as_bytes());
            out.extend_from_slice(b": ");
            out.extend_from_slice(value.as_bytes());
            out.extend_from_slice(b"\r\n");
        }
        out.extend_from_slice(b"\r\n");
    }
}

impl fmt::Debug for Packet {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let shown = self.fields.iter().map(|(key, value)| {
            let secret = SECRET_KEYS
                .iter()
                .any(|name| key.eq_ignore_ascii_case(name));
            (key, if secret { ".." } else { value.as_str() })
        });
        f.debug_map().entries(shown).finish()
    }
}

fn check_key(key: &str) -> Result<(), FieldError> {
    let fits = |byte: u8| byte.is_ascii_alphanumeric() || matches!(byte, b'-' | b'_' | b'(' | b')');
    if key.is_empty() || !key.bytes().all(fits) {
        return Err(FieldError::Key(key.chars().take(40).collect()));
    }
    Ok(())
}

fn check_value(key: &str, value: &str) -> Result<(), FieldError> {
    if value.bytes().any(|byte| matches!(byte, b'\r' | b'\n' | 0)) {
        return Err(FieldError::ControlCharacter {
            key: key.to_owned(),
        });
    }
    if value.len() > MAX_VALUE_BYTES {
        return Err(FieldError::TooLong {
            key: key.to_owned(),
            bytes: value.len(),
        });
    }
    Ok(())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_line_break_in_a_value_is_refused_and_nothing_is_added() {
        for value in ["1001\r\nAction: Originate", "a\nb", "a\rb", "a\0b"] {
            let mut packet = Packet::new();
            assert!(
                matches!(
                    packet.push("Endpoint", value),
                    Err(FieldError::ControlCharacter { .. })
                ),
                "{value:?}"
            );
            assert!(packet.is_empty());
        }
    }

    #[test]
    fn a_key_that_could_be_read_as_something_else_is_refused() {
        for key in ["", "Action: x", "A\r\nB", "Ä", "a b"] {
            assert!(
                matches!(Packet::new().push(key, "v"), Err(FieldError::Key(_))),
                "{key:?}"
            );
        }
    }

    #[test]
    fn an_overlong_value_is_refused_with_its_length() {
        let refusal = Packet::new()
            .push("Data", &"x".repeat(MAX_VALUE_BYTES + 1))
            .unwrap_err();
        assert_eq!(
            refusal,
            FieldError::TooLong {
                key: "Data".into(),
                bytes: MAX_VALUE_BYTES + 1
            }
        );
    }

    #[test]
    fn debug_shows_no_secret() {
        let mut packet = Packet::new();
        packet.push("Username", "lab").unwrap();
        packet.push("Secret", "hunter2").unwrap();
        packet.push("password", "hunter2").unwrap();
        let shown = format!("{packet:?}");
        assert!(shown.contains("lab"));
        assert!(!shown.contains("hunter2"), "{shown}");
    }
}
