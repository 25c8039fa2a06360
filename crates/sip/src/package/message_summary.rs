//! `application/simple-message-summary` (RFC 3842 section 5).

use super::{MAX_BODY, Unreadable};

/// What a mailbox holds.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub struct MessageSummary {
    /// Whether the lamp is to be lit.
    pub waiting: bool,
    /// The mailbox's own address, to be called to hear it.
    pub account: Option<String>,
    /// How many voice messages; none where the PBX does not count them.
    pub voice: Option<Count>,
}

/// How many messages of one kind there are.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub struct Count {
    /// Not heard yet.
    pub new: u32,
    /// Heard and kept.
    pub old: u32,
    /// Those of `new` that are urgent.
    pub urgent_new: u32,
    /// Those of `old` that are urgent.
    pub urgent_old: u32,
}

impl MessageSummary {
    /// The media type that [`Self::parse`] reads.
    pub const CONTENT_TYPE: &str = "application/simple-message-summary";

    /// Reads a body. Other kinds of messages and headers of single messages are passed over.
    pub fn parse(body: &[u8]) -> Result<Self, Unreadable> {
        if body.len() > MAX_BODY {
            return Err(Unreadable::TooLong);
        }
        let text = String::from_utf8_lossy(body);
        let mut waiting = None;
        let mut summary = Self::default();
        // Behind an empty line come the headers of single messages, if any.
        let lines = text.lines().skip_while(|line| line.trim().is_empty());
        for line in lines.take_while(|line| !line.trim().is_empty()) {
            let Some((name, value)) = line.split_once(':') else {
                continue;
            };
            let (name, value) = (name.trim(), value.trim());
            match name.to_ascii_lowercase().as_str() {
                "messages-waiting" => waiting = Some(value.eq_ignore_ascii_case("yes")),
                "message-account" if !value.is_empty() => summary.account = Some(value.to_owned()),
                "voice-message" => summary.voice = Count::parse(value),
                _ => {}
            }
        }
        summary.waiting = waiting.ok_or(Unreadable::Malformed("message summary"))?;
        Ok(summary)
    }
}

impl Count {
    /// Reads `new/old`, with `(urgent/urgent)` behind it or not.
    fn parse(value: &str) -> Option<Self> {
        let (all, urgent) = match value.split_once('(') {
            Some((all, urgent)) => (all, urgent.trim().strip_suffix(')')?),
            None => (value, "0/0"),
        };
        let pair = |text: &str| {
            let (new, old) = text.split_once('/')?;
            Some((new.trim().parse().ok()?, old.trim().parse().ok()?))
        };
        let ((new, old), (urgent_new, urgent_old)) = (pair(all)?, pair(urgent)?);
        Some(Self {
            new,
            old,
            urgent_new,
            urgent_old,
        })
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_example_of_rfc_3842_is_read() {
        let body = b"Messages-Waiting: yes\r\nMessage-Account: sip:alice@vmail.example.com\r\n\
            Voice-Message: 2/8 (0/2)\r\n\r\nTo: <alice@atlanta.example.com>\r\nVoice-Message: 9/9\r\n";
        let summary = MessageSummary::parse(body).expect("readable");
        assert!(summary.waiting);
        assert_eq!(
            summary.account.as_deref(),
            Some("sip:alice@vmail.example.com")
        );
        let count = Count {
            new: 2,
            old: 8,
            urgent_new: 0,
            urgent_old: 2,
        };
        assert_eq!(summary.voice, Some(count));
    }

    #[test]
    fn a_lamp_without_counts_is_a_lamp_and_a_body_without_one_is_refused() {
        let summary = MessageSummary::parse(b"messages-waiting:NO\nVoice-Message: many\n");
        assert_eq!(summary, Ok(MessageSummary::default()));
        let refused = Err(Unreadable::Malformed("message summary"));
        assert_eq!(MessageSummary::parse(b""), refused);
        assert_eq!(MessageSummary::parse(b"Voice-Message: 1/0\r\n"), refused);
        let long = vec![b'x'; MAX_BODY + 1];
        assert_eq!(MessageSummary::parse(&long), Err(Unreadable::TooLong));
    }
}
