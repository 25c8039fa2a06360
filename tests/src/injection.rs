//! What strangers ask of the server: each operation of its OpenAPI document once, and other languages' syntax in every place
//! of each where a client may write, which are the fields of its body, the parameters of its address and its headers.
//!
//! A field that stands in the document and is not known here is a panic: a new one is attacked as well.

use std::fmt::Write as _;

use serde_json::{Map, Value, json};

/// SQL, AMI, the dialplan, shells, URLs, paths, pages, spreadsheets, Asterisk's own escapes, and what is no text at all.
pub const STRINGS: [&str; 12] = [
    "' OR '1'='1' --",
    "x'; DROP TABLE users; --",
    "\"; DELETE FROM audit; --",
    "1001\r\nAction: Command\r\nCommand: core stop now",
    "${SHELL(touch /tmp/x)}",
    "$(reboot) `reboot` | reboot",
    "%00%0d%0a%27%3b",
    "../../../../etc/passwd",
    "<script>alert(document.cookie)</script>",
    "=cmd|' /C calc'!A0,b",
    "1001^3B@x;transport=udp\u{202e}",
    "zero\u{0}zero",
];

/// Headers of every operation, beside those that the document names.
const HEADERS: [&str; 4] = [
    "authorization",
    "rollcall-device",
    "rollcall-wire",
    "x-forwarded-for",
];

/// Who is not there, for whatever would change somebody.
const NOBODY: &str = "nobody-here";

/// A request that asks for nothing that changes anything.
#[derive(Clone, Debug)]
pub struct Asked {
    /// Its method, in capitals.
    pub method: String,
    /// Its address, escaped.
    pub path: String,
    /// Its headers but the session's own; one that stands here takes the place of the session's.
    pub headers: Vec<(String, String)>,
    /// Its body.
    pub body: Option<Value>,
    /// Its operation, and where in it a string of [`STRINGS`] stands: `POST /api/people username`.
    pub place: String,
}

/// Each operation of the document, asked rightly.
///
/// # Panics
///
/// If the document has a field of a body that is not known here.
#[must_use]
pub fn plain(document: &Value) -> Vec<Asked> {
    operations(document).iter().map(Operation::plain).collect()
}

/// Every string of [`STRINGS`] in every place that the document names, everything else being right.
///
/// # Panics
///
/// As [`plain`] does.
#[must_use]
pub fn injected(document: &Value) -> Vec<Asked> {
    let mut all = Vec::new();
    for operation in operations(document) {
        for text in STRINGS {
            operation.inject(text, &mut all);
        }
    }
    all
}

fn operations(document: &Value) -> Vec<Operation<'_>> {
    let mut operations = Vec::new();
    let paths = document["paths"].as_object().into_iter().flatten();
    for (path, methods) in paths {
        for (method, operation) in methods.as_object().into_iter().flatten() {
            operations.push(Operation {
                document,
                method: method.to_uppercase(),
                path,
                operation,
            });
        }
    }
    operations
}

struct Operation<'a> {
    document: &'a Value,
    method: String,
    path: &'a str,
    operation: &'a Value,
}

impl Operation<'_> {
    fn plain(&self) -> Asked {
        Asked {
            method: self.method.clone(),
            path: self.address("", ""),
            headers: Vec::new(),
            body: self.body().map(Value::Object),
            place: format!("{} {}", self.method, self.path),
        }
    }

    fn inject(&self, text: &str, all: &mut Vec<Asked>) {
        let at = |place: &str| Asked {
            place: format!("{} {} {place}", self.method, self.path),
            ..self.plain()
        };
        let body = self.body().unwrap_or_default();
        for field in body.keys() {
            let mut fields = body.clone();
            fields.insert(field.clone(), text.into());
            all.push(Asked {
                body: Some(Value::Object(fields)),
                ..at(field)
            });
        }
        // The same lines of code read these for every operation: a few strings will do.
        let mut headers = match STRINGS.iter().take(3).any(|few| *few == text) {
            true => HEADERS.map(str::to_owned).to_vec(),
            false => Vec::new(),
        };
        let parameters = self.operation["parameters"].as_array();
        for parameter in parameters.into_iter().flatten() {
            let parameter = self.resolved(parameter);
            let name = parameter["name"].as_str().unwrap_or_default();
            if parameter["in"] == "header" {
                headers.push(name.to_ascii_lowercase());
            } else {
                all.push(Asked {
                    path: self.address(name, text),
                    ..at(name)
                });
            }
        }
        // A line's end ends a header: what comes after it is another, and none of ours.
        if !text.chars().all(|c| c == ' ' || c.is_ascii_graphic()) {
            return;
        }
        for name in headers {
            all.push(Asked {
                headers: vec![(name.clone(), text.to_owned())],
                ..at(&name)
            });
        }
    }

    /// The address with this text for this parameter, which may be one of the query.
    fn address(&self, parameter: &str, text: &str) -> String {
        let mut path = self.path.to_owned();
        for (name, plain) in [("username", NOBODY), ("extension", "1002")] {
            let value = if name == parameter { text } else { plain };
            path = path.replace(&format!("{{{name}}}"), &escaped(value));
        }
        if !parameter.is_empty() && !self.path.contains(&format!("{{{parameter}}}")) {
            let _ = write!(path, "?{parameter}={}", escaped(text));
        }
        path
    }

    /// Every field that the body may have, with a value that is right.
    fn body(&self) -> Option<Map<String, Value>> {
        let schema = &self.operation["requestBody"]["content"]["application/json"]["schema"];
        let properties = self.resolved(schema)["properties"].as_object()?;
        let known = properties
            .keys()
            .map(|field| (field.clone(), self.right(field)));
        Some(known.collect())
    }

    fn right(&self, field: &str) -> Value {
        match field {
            // Who is there already is not added, and whoever signs in here is nobody.
            "username" if self.path == "/api/people" => json!("agent1001"),
            "username" => json!(NOBODY),
            "password" | "newPassword" => json!("a password of nobody's"),
            "sipPassword" => json!("a phone's"),
            "extension" => json!("1001"),
            "contactUri" => json!("sip:1001@127.0.0.1"),
            "deviceId" => json!("device-of-nobody"),
            "refresh" => json!("A".repeat(43)),
            "role" => json!("agent"),
            "reason" => json!("lunch"),
            "csv" => json!("username,password\n"),
            "dryRun" => json!(true),
            "disabled" | "endCalls" | "takeOver" => json!(false),
            other => panic!(
                "{} {}: the field {other} is not known here",
                self.method, self.path
            ),
        }
    }

    fn resolved<'v>(&'v self, value: &'v Value) -> &'v Value {
        let pointer = value["$ref"]
            .as_str()
            .and_then(|name| name.strip_prefix('#'));
        pointer
            .and_then(|pointer| self.document.pointer(pointer))
            .unwrap_or(value)
    }
}

/// RFC 3986 section 2.1: everything but the unreserved.
fn escaped(text: &str) -> String {
    text.bytes().fold(String::new(), |mut escaped, byte| {
        if byte.is_ascii_alphanumeric() || b"-_~".contains(&byte) {
            escaped.push(char::from(byte));
        } else {
            let _ = write!(escaped, "%{byte:02X}");
        }
        escaped
    })
}
