//! Small lexical steps of RFC 3261 section 25 that respect quoted strings and angle brackets.

/// Splits at `separator` outside quotes and angle brackets, trims, drops empty parts.
pub(crate) fn split_outside_quotes(text: &str, separator: char) -> Vec<&str> {
    let mut parts = Vec::new();
    let mut start = 0;
    let mut scan = Scan::default();
    for (at, c) in text.char_indices() {
        if scan.is_plain(c) && c == separator {
            parts.push(&text[start..at]);
            start = at + c.len_utf8();
        }
    }
    parts.push(&text[start..]);
    parts
        .into_iter()
        .map(str::trim)
        .filter(|part| !part.is_empty())
        .collect()
}

/// The position of the first `wanted` outside quotes (angle brackets count as plain text here).
pub(crate) fn find_outside_quotes(text: &str, wanted: char) -> Option<usize> {
    let mut scan = Scan {
        ignore_brackets: true,
        ..Scan::default()
    };
    text.char_indices()
        .find(|&(_, c)| scan.is_plain(c) && c == wanted)
        .map(|(at, _)| at)
}

/// Removes one pair of quotes and the backslashes inside.
pub(crate) fn unquote(text: &str) -> String {
    let Some(inner) = text
        .strip_prefix('"')
        .and_then(|rest| rest.strip_suffix('"'))
    else {
        return text.to_owned();
    };
    let mut plain = String::with_capacity(inner.len());
    let mut escaped = false;
    for c in inner.chars() {
        if c == '\\' && !escaped {
            escaped = true;
        } else {
            plain.push(c);
            escaped = false;
        }
    }
    plain
}

/// A quoted string of `text`; control characters, which quoting does not allow, are dropped.
pub(crate) fn quote(text: &str) -> String {
    let mut quoted = String::with_capacity(text.len() + 2);
    quoted.push('"');
    for c in text.chars().filter(|c| !c.is_control()) {
        if c == '"' || c == '\\' {
            quoted.push('\\');
        }
        quoted.push(c);
    }
    quoted.push('"');
    quoted
}

/// Whether `text` is a token (RFC 3261 section 25.1).
pub(crate) fn is_token(text: &str) -> bool {
    !text.is_empty()
        && text
            .bytes()
            .all(|b| b.is_ascii_alphanumeric() || b"-.!%*_+`'~".contains(&b))
}

/// Follows quotes, escapes and brackets through a text.
#[derive(Default)]
struct Scan {
    quoted: bool,
    escaped: bool,
    bracketed: bool,
    ignore_brackets: bool,
}

impl Scan {
    /// Takes the next character; true when it stands outside quotes and brackets.
    fn is_plain(&mut self, c: char) -> bool {
        if self.escaped {
            self.escaped = false;
            return false;
        }
        match c {
            '\\' if self.quoted => {
                self.escaped = true;
                false
            }
            '"' => {
                self.quoted = !self.quoted;
                false
            }
            _ if self.quoted => false,
            '<' if !self.ignore_brackets => {
                self.bracketed = true;
                false
            }
            '>' if !self.ignore_brackets => {
                self.bracketed = false;
                false
            }
            _ => !self.bracketed,
        }
    }
}
