//! Keys inside INFO: read in both forms that PBXs send (`application/dtmf-relay` and `application/dtmf`), written in the first.

use rollcall_media::dtmf::{Digit, digits};

/// The Content-Type of [`relay`].
pub(crate) const RELAY: &str = "application/dtmf-relay";

/// A key that is pressed for 160 ms.
pub(crate) fn relay(digit: Digit) -> String {
    format!("Signal={digit}\r\nDuration=160\r\n")
}

/// The key that a body names, if it is of such a type and names one.
pub(crate) fn digit_of(content_type: &str, body: &[u8]) -> Option<Digit> {
    let body = std::str::from_utf8(body).ok()?;
    let media_type = content_type.split(';').next().unwrap_or_default().trim();
    let key = match media_type.to_ascii_lowercase().as_str() {
        RELAY => body.lines().find_map(|line| {
            let (name, value) = line.split_once('=')?;
            name.trim().eq_ignore_ascii_case("signal").then_some(value)
        })?,
        "application/dtmf" => body,
        _ => return None,
    };
    let key = match key.trim() {
        // RFC 4733's own numbers for the two keys that are no digits.
        "10" => "*",
        "11" => "#",
        key => key,
    };
    match digits(key).ok()?.as_slice() {
        [digit] => Some(*digit),
        _ => None,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_key_is_read_as_it_is_written() {
        for digit in digits("0123456789*#ABCD").expect("keys") {
            assert_eq!(digit_of(RELAY, relay(digit).as_bytes()), Some(digit));
        }
    }

    #[test]
    fn a_key_is_read_in_both_forms_and_nothing_else_is_one() {
        let read = |content_type: &str, body: &str| {
            digit_of(content_type, body.as_bytes()).map(|digit| digit.to_string())
        };
        assert_eq!(
            read(RELAY, "Signal=5\r\nDuration=160\r\n").as_deref(),
            Some("5")
        );
        assert_eq!(read(RELAY, "Signal= #\r\n").as_deref(), Some("#"));
        assert_eq!(read(RELAY, "signal=10\n").as_deref(), Some("*"));
        assert_eq!(read("Application/DTMF; x=y", "9").as_deref(), Some("9"));
        for (content_type, body) in [
            (RELAY, "Duration=160"),
            (RELAY, "Signal=55"),
            (RELAY, "Signal="),
            (RELAY, ""),
            ("application/dtmf", "x"),
            ("text/plain", "5"),
        ] {
            assert_eq!(read(content_type, body), None, "{content_type} {body:?}");
        }
    }
}
