//! What a person dials, as a SIP URI.

use rollcall_sip::message::{Uri, parse_uri};

/// Longest number or name that is dialled.
const MAX_LENGTH: usize = 128;

/// A `sip:` or `sips:` URI as it is; anything else as the user part at `host`, without the blanks, brackets, dots and
/// dashes that people write into numbers.
pub(crate) fn target_uri(target: &str, host: &str) -> Result<Uri, String> {
    let target = target.trim();
    let refuse = || {
        format!(
            "{:?} is not a number or address that can be called",
            shorten(target)
        )
    };
    if target.is_empty() || target.len() > MAX_LENGTH || target.contains(char::is_control) {
        return Err(refuse());
    }
    if target.starts_with("sip:") || target.starts_with("sips:") {
        return parse_uri(target).map_err(|_| refuse());
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
    if user.is_empty()
        || !user
            .chars()
            .all(|c| c.is_ascii_alphanumeric() || "+*#-_.".contains(c))
    {
        return Err(refuse());
    }
    let host = if host.contains(':') {
        format!("[{host}]")
    } else {
        host.to_owned()
    };
    // # ends a URI where it is not escaped (RFC 3261 section 25.1).
    parse_uri(&format!("sip:{}@{host}", user.replace('#', "%23"))).map_err(|_| refuse())
}

fn shorten(text: &str) -> String {
    text.chars().take(40).collect()
}

#[cfg(test)]
mod tests {
    use rollcall_sip::message::uri_text;

    use super::target_uri;

    fn dialled(target: &str) -> Result<String, String> {
        target_uri(target, "pbx.example").map(|uri| uri_text(&uri))
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
