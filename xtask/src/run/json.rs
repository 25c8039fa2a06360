//! The little of JSON that reading a child's one-line events takes: a text field by its name.

/// The value of the first `"name":"value"` in a line, wherever it nests. Escapes are left as they are: addresses, URLs
/// and state words have none.
pub(crate) fn text<'a>(line: &'a str, name: &str) -> Option<&'a str> {
    let (_, rest) = line.split_once(&format!("\"{name}\":"))?;
    rest.trim_start().strip_prefix('"')?.split('"').next()
}

#[cfg(test)]
mod tests {
    use super::text;

    #[test]
    fn a_text_field_is_found_by_its_name() {
        let line = r#"{"event":"ready", "http": "127.0.0.1:80","n":3}"#;
        assert_eq!(text(line, "event"), Some("ready"));
        assert_eq!(text(line, "http"), Some("127.0.0.1:80"));
        assert_eq!((text(line, "n"), text(line, "none")), (None, None));
    }
}
