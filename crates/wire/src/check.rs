//! The rules a value from outside must meet. The server's edge and the app's forms use the same.

/// Why a value is refused: which rule, in words for a person.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Refused(pub &'static str);

impl std::fmt::Display for Refused {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.write_str(self.0)
    }
}

impl std::error::Error for Refused {}

/// An extension: 1 to 32 characters of `0-9 A-Z a-z _ . -`, not starting with a dot or a dash.
///
/// It becomes an endpoint's name in Asterisk, so that nothing SIP, SQL, AMI or a dialplan reads as
/// syntax may be in it.
pub fn extension(value: &str) -> Result<(), Refused> {
    let allowed = |b: u8| b.is_ascii_alphanumeric() || matches!(b, b'_' | b'.' | b'-');
    if value.is_empty() {
        return Err(Refused("is empty"));
    }
    if value.len() > 32 {
        return Err(Refused("is longer than 32 characters"));
    }
    if !value.bytes().all(allowed) || value.starts_with(['.', '-']) {
        return Err(Refused(
            "may hold letters, digits, '_', '.' and '-' only, and starts with a letter, a digit or '_'",
        ));
    }
    Ok(())
}

/// A user name: 1 to 64 characters of `0-9 A-Z a-z _ . @ -`.
pub fn username(value: &str) -> Result<(), Refused> {
    let allowed = |b: u8| b.is_ascii_alphanumeric() || matches!(b, b'_' | b'.' | b'-' | b'@');
    if value.is_empty() {
        return Err(Refused("is empty"));
    }
    if value.len() > 64 {
        return Err(Refused("is longer than 64 characters"));
    }
    if !value.bytes().all(allowed) {
        return Err(Refused(
            "may hold letters, digits, '_', '.', '-' and '@' only",
        ));
    }
    Ok(())
}

/// A password: 1 to 256 bytes, no control characters.
pub fn password(value: &str) -> Result<(), Refused> {
    if value.is_empty() {
        return Err(Refused("is empty"));
    }
    if value.len() > 256 {
        return Err(Refused("is longer than 256 bytes"));
    }
    if value.chars().any(char::is_control) {
        return Err(Refused("holds a control character"));
    }
    Ok(())
}

/// A password that somebody chooses to sign in with: a [`password`] of at least 8 characters.
pub fn new_password(value: &str) -> Result<(), Refused> {
    if value.chars().count() < 8 {
        return Err(Refused("is shorter than 8 characters"));
    }
    password(value)
}

/// A device id: 8 to 64 characters of `0-9 A-Z a-z -`.
pub fn device_id(value: &str) -> Result<(), Refused> {
    if !(8..=64).contains(&value.len()) {
        return Err(Refused("has 8 to 64 characters"));
    }
    if !value
        .bytes()
        .all(|b| b.is_ascii_alphanumeric() || b == b'-')
    {
        return Err(Refused("may hold letters, digits and '-' only"));
    }
    Ok(())
}

/// A Contact as `agent-online` claims it: `sip:` or `sips:` in any case, at most 511 bytes (what
/// Asterisk stores), `user@host` with parameters, of `0-9 A-Z a-z . _ - + @ : ; = [ ] ~ %`.
///
/// The server's core reads a claim by the same rule; a test of the server holds them together.
pub fn contact_uri(value: &str) -> Result<(), Refused> {
    let lower = value.get(..5).unwrap_or(value).to_ascii_lowercase();
    if !(lower.starts_with("sip:") || lower.starts_with("sips:")) {
        return Err(Refused("is not a sip: or sips: address"));
    }
    if value.len() > 511 {
        return Err(Refused("is longer than 511 bytes"));
    }
    let allowed = |b: u8| b.is_ascii_alphanumeric() || b"._-+@:;=[]~%".contains(&b);
    if !value.bytes().all(allowed) {
        return Err(Refused("holds a character that an address cannot have"));
    }
    let rest = value.split_once(':').map_or("", |(_, rest)| rest);
    let (user, host) = rest.split_once('@').unwrap_or_default();
    let user = user.split(':').next().unwrap_or_default();
    if user.is_empty() || host.is_empty() || host.contains('@') {
        return Err(Refused("needs a user and a host, as in sip:1001@192.0.2.1"));
    }
    if user.contains([';', '=', '[', ']']) {
        return Err(Refused("holds a character that a user part cannot have"));
    }
    Ok(())
}

/// Why somebody pauses: 1 to 32 characters of `0-9 a-z _ -`.
pub fn pause_reason(value: &str) -> Result<(), Refused> {
    let allowed = |b: u8| b.is_ascii_lowercase() || b.is_ascii_digit() || matches!(b, b'_' | b'-');
    if value.is_empty() {
        return Err(Refused("is empty"));
    }
    if value.len() > 32 {
        return Err(Refused("is longer than 32 characters"));
    }
    if !value.bytes().all(allowed) {
        return Err(Refused("may hold small letters, digits, '_' and '-' only"));
    }
    Ok(())
}

/// Free text of at most `max` characters: no control characters.
pub fn text(value: &str, max: usize) -> Result<(), Refused> {
    if value.chars().count() > max {
        return Err(Refused("is too long"));
    }
    if value.chars().any(char::is_control) {
        return Err(Refused("holds a control character"));
    }
    Ok(())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn an_extension_holds_nothing_that_sip_sql_or_ami_reads_as_syntax() {
        for good in ["1001", "a.b-c_d", "_x"] {
            assert_eq!(extension(good), Ok(()), "{good}");
        }
        for bad in [
            "",
            "10 01",
            "1001\r\nAction: Logoff",
            "1001'--",
            "10;01",
            "10@01",
            "-1",
            ".1",
            "é",
        ] {
            assert!(extension(bad).is_err(), "{bad:?}");
        }
        assert!(extension(&"1".repeat(33)).is_err());
    }

    #[test]
    fn a_contact_claim_is_one_plain_sip_address() {
        for good in [
            "sip:1001@127.0.0.1:5060",
            "sip:1001-ab-cd@[::1]:5060;transport=udp;ob",
            "SIPS:x@y",
        ] {
            assert_eq!(contact_uri(good), Ok(()), "{good}");
        }
        for bad in [
            "",
            "1001",
            "tel:1001",
            "sip:",
            "sip:@h",
            "sip:u@",
            "sip:u@h\r\nX: y",
            "sip:u@h'",
            "sip:u@h\"",
            "<sip:u@h>",
            "sip:a@b,sip:c@d",
            "sip:ü@h",
            "sip::secret@h",
            "sip:u@h@i",
            "sip:u;x@h",
            "sip:u@h?Replaces=x",
            "si",
        ] {
            assert!(contact_uri(bad).is_err(), "{bad:?}");
        }
        assert!(contact_uri(&format!("sip:{}@h", "1".repeat(511))).is_err());
    }

    #[test]
    fn a_name_a_password_and_a_device_have_bounds() {
        assert!(username("agent.one@site").is_ok());
        assert!(
            username("a b").is_err() && username("").is_err() && username(&"a".repeat(65)).is_err()
        );
        assert!(password("correct horse ü").is_ok());
        assert!(
            password("").is_err()
                && password("a\nb").is_err()
                && password(&"a".repeat(257)).is_err()
        );
        assert!(new_password("1234567").is_err() && new_password("12345678").is_ok());
        assert!(device_id("2f9c1a44-0000-4000-8000-000000000001").is_ok());
        assert!(device_id("short").is_err() && device_id("with space 123").is_err());
        assert!(pause_reason("lunch").is_ok() && pause_reason(&"a".repeat(33)).is_err());
        for bad in ["", "Lunch", "rollcall: x", "a\r\nQueue: b", "ü", "a b"] {
            assert!(pause_reason(bad).is_err(), "{bad:?}");
        }
        assert!(text("fine", 4).is_ok() && text("longer", 4).is_err() && text("\u{7}", 4).is_err());
    }
}
