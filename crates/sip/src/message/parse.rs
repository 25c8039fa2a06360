//! The tolerant parser.
//!
//! Accepted beyond the letter, because real senders do it: line feeds without carriage returns, blank lines in
//! front, blanks before the colon, folded lines, compact names, bytes that are not UTF-8. Refused: what cannot
//! be routed or answered.

use rsip::{Header, Headers, Method, Request, Response, StatusCode, Version};

use super::names::{header, name_and_value};
use super::uri::parse_uri;
use super::{HeadersView, Message, NameAddr, Refusal, Via, text, write};

/// Largest message that is accepted, in bytes: more than a UDP datagram holds.
pub const MAX_MESSAGE: usize = 65_535;
/// Most header fields a message may have.
const MAX_HEADERS: usize = 256;
/// Headers whose values are split at commas into one field each (RFC 3261 section 7.3.1).
const LISTS: [&str; 4] = ["Via", "Route", "Record-Route", "Contact"];

/// Reads one message. The body ends where Content-Length says; without the header it is the rest of the datagram.
pub fn parse(bytes: &[u8]) -> Result<Message, Refusal> {
    if bytes.len() > MAX_MESSAGE {
        return Err(Refusal::new(513, "message longer than 65535 bytes"));
    }
    let bytes = skip_blank_lines(bytes);
    let (head, rest) = split_head(bytes)?;
    let head = String::from_utf8_lossy(head);
    let mut lines = unfold(&head).into_iter();
    let start_line = lines.next().unwrap_or_default();
    let headers = parse_headers(lines)?;
    let body = body(&headers, rest)?;
    let message = match start_line
        .get(..4)
        .is_some_and(|start| start.eq_ignore_ascii_case("SIP/"))
    {
        true => Message::Response(parse_status_line(&start_line, headers, body)?),
        false => Message::Request(parse_request_line(&start_line, headers, body)?),
    };
    check_mandatory(&message)?;
    Ok(message)
}

/// The headers of a request that [`parse`] refused, if an answer can be made from them.
pub(crate) fn answerable(bytes: &[u8]) -> Option<Headers> {
    let (head, _) = split_head(skip_blank_lines(bytes)).ok()?;
    let head = String::from_utf8_lossy(head);
    let mut lines = unfold(&head).into_iter();
    let start_line = lines.next()?;
    if start_line.starts_with("SIP/") || start_line.starts_with("ACK ") {
        return None;
    }
    let headers = parse_headers(lines).ok()?;
    let complete = ["Call-ID", "CSeq", "From", "To"]
        .iter()
        .all(|name| headers.text(name).is_some());
    complete.then_some(headers)
}

/// The method of this exact name (methods are case-sensitive).
pub(crate) fn method(name: &str) -> Option<Method> {
    Method::all()
        .into_iter()
        .find(|known| write::method(*known) == name)
}

fn skip_blank_lines(bytes: &[u8]) -> &[u8] {
    let start = bytes
        .iter()
        .position(|b| !matches!(b, b'\r' | b'\n'))
        .unwrap_or(bytes.len());
    &bytes[start..]
}

/// Splits at the empty line; a message that ends with its last header line is complete too.
fn split_head(bytes: &[u8]) -> Result<(&[u8], &[u8]), Refusal> {
    let mut line_start = 0;
    for (at, _) in bytes.iter().enumerate().filter(|(_, b)| **b == b'\n') {
        let line = &bytes[line_start..at];
        if line.is_empty() || line == b"\r" {
            return Ok((&bytes[..line_start], &bytes[at + 1..]));
        }
        line_start = at + 1;
    }
    match bytes.ends_with(b"\n") {
        true => Ok((bytes, &[])),
        false => Err(Refusal::bad_request("headers end without an empty line")),
    }
}

/// Lines with their continuations joined by one blank (RFC 3261 section 7.3.1).
fn unfold(head: &str) -> Vec<String> {
    let mut lines: Vec<String> = Vec::new();
    for line in head.lines() {
        match lines.last_mut() {
            Some(last) if line.starts_with([' ', '\t']) && !last.is_empty() => {
                last.push(' ');
                last.push_str(line.trim());
            }
            _ => lines.push(line.trim_end().to_owned()),
        }
    }
    lines
}

fn parse_headers(lines: impl Iterator<Item = String>) -> Result<Headers, Refusal> {
    let mut headers: Vec<Header> = Vec::new();
    for line in lines {
        let (name, value) = line
            .split_once(':')
            .ok_or_else(|| Refusal::bad_request("header line without a colon"))?;
        let (name, value) = (name.trim(), value.trim());
        if !text::is_token(name) {
            return Err(Refusal::bad_request("malformed header name"));
        }
        let field = header(name, value);
        if LISTS.contains(&name_and_value(&field).0) {
            headers.extend(
                text::split_outside_quotes(value, ',')
                    .into_iter()
                    .map(|one| header(name, one)),
            );
        } else {
            headers.push(field);
        }
        if headers.len() > MAX_HEADERS {
            return Err(Refusal::new(513, "more than 256 header fields"));
        }
    }
    Ok(headers.into())
}

fn body(headers: &Headers, rest: &[u8]) -> Result<Vec<u8>, Refusal> {
    let mut lengths = headers.texts("Content-Length");
    let Some(length) = lengths.next() else {
        return Ok(rest.to_vec());
    };
    if lengths.any(|other| other != length) {
        return Err(Refusal::bad_request("two different Content-Lengths"));
    }
    let digits_only = !length.is_empty() && length.bytes().all(|b| b.is_ascii_digit());
    let length = length.parse::<usize>().ok().filter(|_| digits_only);
    let length = length.ok_or_else(|| Refusal::bad_request("malformed Content-Length"))?;
    // RFC 3261 section 18.3: bytes beyond are discarded, missing ones make the message bad.
    let body = rest
        .get(..length)
        .ok_or_else(|| Refusal::bad_request("body shorter than Content-Length"))?;
    Ok(body.to_vec())
}

fn parse_request_line(line: &str, headers: Headers, body: Vec<u8>) -> Result<Request, Refusal> {
    let malformed = || Refusal::bad_request("malformed request line");
    let mut words = line.split(' ');
    let name = words
        .next()
        .filter(|name| text::is_token(name))
        .ok_or_else(malformed)?;
    let uri = words.next().ok_or_else(malformed)?;
    let version = words.next().ok_or_else(malformed)?;
    if words.next().is_some() {
        return Err(malformed());
    }
    if !version.eq_ignore_ascii_case("SIP/2.0") {
        return Err(
            match version
                .get(..4)
                .is_some_and(|start| start.eq_ignore_ascii_case("SIP/"))
            {
                true => Refusal::new(505, "not SIP/2.0"),
                false => malformed(),
            },
        );
    }
    let method = method(name).ok_or_else(|| Refusal::new(501, "method is not known"))?;
    Ok(Request {
        method,
        uri: parse_uri(uri)?,
        version: Version::V2,
        headers,
        body,
    })
}

fn parse_status_line(line: &str, headers: Headers, body: Vec<u8>) -> Result<Response, Refusal> {
    let malformed = || Refusal::bad_request("malformed status line");
    let (version, rest) = line.split_once(' ').ok_or_else(malformed)?;
    if !version.eq_ignore_ascii_case("SIP/2.0") {
        return Err(Refusal::new(505, "not SIP/2.0"));
    }
    let (code, reason) = rest
        .trim_start()
        .split_once(' ')
        .unwrap_or((rest.trim(), ""));
    let code: u16 = code
        .parse()
        .ok()
        .filter(|code| (100..700).contains(code))
        .ok_or_else(malformed)?;
    Ok(Response {
        status_code: status(code, reason.trim()),
        version: Version::V2,
        headers,
        body,
    })
}

/// The known variant where the words are the standard ones, so that a registrar's own words are not lost.
pub(crate) fn status(code: u16, reason: &str) -> StatusCode {
    match reason.is_empty() || reason.eq_ignore_ascii_case(write::standard_reason(code)) {
        true => StatusCode::from(code),
        false => StatusCode::Other(code, reason.to_owned()),
    }
}

/// RFC 3261 section 8.1.1: without these nothing can be matched or answered.
fn check_mandatory(message: &Message) -> Result<(), Refusal> {
    let headers = match message {
        Message::Request(request) => &request.headers,
        Message::Response(response) => &response.headers,
    };
    for name in ["Call-ID", "CSeq", "From", "To"] {
        let mut values = headers.texts(name);
        match values.next() {
            None | Some("") => return Err(Refusal::bad_request(format!("no {name} header"))),
            Some(_) if values.next().is_some() => {
                return Err(Refusal::bad_request(format!("two {name} headers")));
            }
            Some(_) => {}
        }
    }
    headers.via_view()?;
    headers.from_view()?;
    headers.to_view()?;
    let cseq = headers.cseq_view()?;
    match message {
        Message::Request(request) if request.method != cseq.method => {
            Err(Refusal::bad_request("CSeq names another method"))
        }
        Message::Request(request) => check_addresses(&request.headers),
        Message::Response(_) => Ok(()),
    }
}

/// Every Via and Contact of a request can be read. Answers are taken as they are: their sender cannot be told.
fn check_addresses(headers: &Headers) -> Result<(), Refusal> {
    for via in headers.texts("Via") {
        Via::parse(via)?;
    }
    for contact in headers.texts("Contact").filter(|contact| *contact != "*") {
        match NameAddr::parse(contact) {
            // A scheme we cannot dial is none of our business until we have to (RFC 4475 section 3.3.4).
            Err(refusal) if refusal.code != 416 => return Err(refusal),
            _ => {}
        }
    }
    Ok(())
}
