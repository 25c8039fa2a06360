//! What a person dials, as a SIP URI.

use rollcall_sip::message::{Uri, parse_uri};

/// Longest number or name that is dialled.
const MAX_LENGTH: usize = 128;

/// What a person dials, judged. Whoever wants to say no before a call is begun asks here, so that there is one
/// judgement and its words are the same everywhere.
#[derive(Debug, Clone)]
pub struct Target {
    shown: String,
    uri: Option<Uri>,
}

/// Something that cannot be called.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error("{0:?} is not a number or address that can be called")]
pub struct BadTarget(String);

impl Target {
    /// A `sip:` or `sips:` URI as it is; anything else as a user part, without the blanks, brackets, dots and dashes
    /// that people write into numbers.
    pub fn parse(target: &str) -> Result<Self, BadTarget> {
        let target = target.trim();
        let refuse = || BadTarget(shorten(target));
        if target.is_empty() || target.len() > MAX_LENGTH || target.contains(char::is_control) {
            return Err(refuse());
        }
        if target.starts_with("sip:") || target.starts_with("sips:") {
            let uri = parse_uri(target).map_err(|_| refuse())?;
            return Ok(Self {
                shown: target.to_owned(),
                uri: Some(uri),
            });
        }
        let number = target.strip_prefix("tel:").unwrap_or(target);
        let is_number = number
            .chars()
            .all(|c| c.is_ascii_digit() || "+*# ().-/".contains(c));
        let user: String = match is_number {
            true => number
                .chars()
                .filter(|c| c.is_ascii_digit() || "+*#".contains(*c))
                .collect(),
            false => number.to_owned(),
        };
        let fits = |c: char| c.is_ascii_alphanumeric() || "+*#-_.".contains(c);
        if user.is_empty() || !user.chars().all(fits) {
            return Err(refuse());
        }
        Ok(Self {
            shown: user,
            uri: None,
        })
    }

    /// The number that is dialled, or the address as it was typed.
    pub fn shown(&self) -> &str {
        &self.shown
    }

    /// Where to, from a phone whose registrar is `host`.
    pub(crate) fn uri(self, host: &str) -> Result<Uri, BadTarget> {
        if let Some(uri) = self.uri {
            return Ok(uri);
        }
        let host = if host.contains(':') {
            format!("[{host}]")
        } else {
            host.to_owned()
        };
        // # ends a URI where it is not escaped (RFC 3261 section 25.1).
        let user = self.shown.replace('#', "%23");
        parse_uri(&format!("sip:{user}@{host}")).map_err(|_| BadTarget(self.shown))
    }
}

fn shorten(text: &str) -> String {
    text.chars().take(40).collect()
}

#[cfg(test)]
mod tests {
    use rollcall_sip::message::uri_text;

    use super::{BadTarget, Target};

    fn dialled(target: &str) -> Result<String, BadTarget> {
        let uri = Target::parse(target)?.uri("pbx.example")?;
        Ok(uri_text(&uri))
    }

    #[test]
    fn a_number_is_shown_as_it_is_dialled() {
        let shown = |target| Target::parse(target).map(|target| target.shown().to_owned());
        assert_eq!(shown(" +49 (30) 123-4/5 ").as_deref(), Ok("+493012345"));
        assert_eq!(shown("*97#").as_deref(), Ok("*97#"));
        assert_eq!(
            shown("sip:1002@pbx.example").as_deref(),
            Ok("sip:1002@pbx.example")
        );
    }

    #[test]
    fn numbers_as_people_write_them_are_dialled() {
        assert_eq!(dialled("600").as_deref(), Ok("sip:600@pbx.example"));
        assert_eq!(
            dialled("+49 (30) 123-45/67").as_deref(),
            Ok("sip:+49301234567@pbx.example")
        );
        assert_eq!(dialled("*72#").as_deref(), Ok("sip:*72%23@pbx.example"));
        assert_eq!(
            dialled("tel:+4930123").as_deref(),
            Ok("sip:+4930123@pbx.example")
        );
        assert_eq!(
            dialled("front.desk").as_deref(),
            Ok("sip:front.desk@pbx.example")
        );
        assert_eq!(
            dialled("sip:1002@other.example:5070").as_deref(),
            Ok("sip:1002@other.example:5070")
        );
    }

    #[test]
    fn what_could_not_be_called_or_would_inject_is_refused() {
        for wrong in [
            "",
            "  ",
            "()",
            "a b",
            "600@evil",
            "600;x=y",
            "600\r\nVia: x",
            "sip:",
            "<600>",
            "\"600\"",
        ] {
            assert!(dialled(wrong).is_err(), "{wrong:?}");
        }
    }
}
