//! The tolerant parser.
//!
//! Accepted beyond the letter, because real senders do it: line feeds without carriage returns, blank lines in
//! front, blanks before the colon, folded lines, compact names, bytes that are not UTF-8, methods nobody knows.
//! Refused: what cannot be routed or answered, and control characters, which only an attack puts into a header.
//! One pass over the lines, bounded in bytes, header fields and addresses, so that time and memory are linear.

use std::borrow::Cow;

use rsip::{Header, Headers, Response, StatusCode, Version};

use super::names::{header, name_and_value};
use super::uri::parse_with_headers;
use super::{HeadersView, Message, Method, NameAddr, Refusal, Request, Via, octets, text, write};

/// Largest message that is accepted, in bytes: more than a UDP datagram holds.
pub const MAX_MESSAGE: usize = 65_535;
/// Most header fields a message may have.
const MAX_HEADERS: usize = 256;
/// Why a message that was cut short is refused.
const UNENDED: &str = "headers end without an empty line";
/// Headers whose values are split at commas into one field each (RFC 3261 section 7.3.1).
const LISTS: [&str; 6] = [
    "Via",
    "Route",
    "Record-Route",
    "Contact",
    "Service-Route",
    "Path",
];

/// Reads one message. The body ends where Content-Length says; without the header it is the rest of the datagram.
pub fn parse(bytes: &[u8]) -> Result<Message, Refusal> {
    if bytes.len() > MAX_MESSAGE {
        return Err(Refusal::new(513, "message longer than 65535 bytes"));
    }
    let bytes = skip_blank_lines(bytes);
    let (head, rest) = split_head(bytes)?;
    let head = octets::decode(head);
    let mut lines = Lines::of(&head);
    let start_line = lines.next().unwrap_or_default();
    let start_line = without_tabs(&start_line)?;
    let (headers, length) = parse_headers(lines)?;
    if rest.is_none() && length != Some(0) {
        return Err(Refusal::bad_request(UNENDED));
    }
    let body = body(length, rest.unwrap_or_default())?;
    let message = match is_response(&start_line) {
        true => Message::Response(parse_status_line(&start_line, headers, body)?),
        false => Message::Request(parse_request_line(&start_line, headers, body)?),
    };
    check_mandatory(&message)?;
    Ok(message)
}

/// The headers of a request that [`parse`] refused, if an answer can be made from them.
pub(crate) fn answerable(bytes: &[u8]) -> Option<Headers> {
    let (head, _) = split_head(skip_blank_lines(bytes)).ok()?;
    let head = octets::decode(head);
    let mut lines = Lines::of(&head);
    let start_line = lines.next()?;
    if is_response(&start_line) || start_line.starts_with("ACK ") {
        return None;
    }
    let (headers, _) = parse_headers(lines).ok()?;
    let complete = ["Call-ID", "CSeq", "From", "To"]
        .iter()
        .all(|name| headers.text(name).is_some());
    complete.then_some(headers)
}

fn is_response(start_line: &str) -> bool {
    let start = start_line.as_bytes().get(..4);
    start.is_some_and(|start| start.eq_ignore_ascii_case(b"SIP/"))
}

fn skip_blank_lines(bytes: &[u8]) -> &[u8] {
    let start = bytes
        .iter()
        .position(|b| !matches!(b, b'\r' | b'\n'))
        .unwrap_or(bytes.len());
    bytes.get(start..).unwrap_or_default()
}

/// Splits at the empty line. Without one (RFC 3261 section 7 wants it) there is a head alone if it ends with a whole line:
/// perhaps a message that was cut short, which is for what Content-Length says to tell.
fn split_head(bytes: &[u8]) -> Result<(&[u8], Option<&[u8]>), Refusal> {
    let mut line_start = 0;
    for (at, _) in bytes.iter().enumerate().filter(|(_, b)| **b == b'\n') {
        let line = &bytes[line_start..at];
        if line.is_empty() || line == b"\r" {
            return Ok((&bytes[..line_start], Some(&bytes[at + 1..])));
        }
        line_start = at + 1;
    }
    match bytes.ends_with(b"\n") {
        true => Ok((bytes, None)),
        false => Err(Refusal::bad_request(UNENDED)),
    }
}

/// The lines of a message's head, each with its continuations joined by one blank (RFC 3261 section 7.3.1).
pub(super) struct Lines<'a> {
    rest: &'a str,
}

impl<'a> Lines<'a> {
    pub(super) fn of(head: &'a str) -> Self {
        Self { rest: head }
    }

    fn physical(&mut self) -> Option<&'a str> {
        if self.rest.is_empty() {
            return None;
        }
        let (line, rest) = self.rest.split_once('\n').unwrap_or((self.rest, ""));
        self.rest = rest;
        Some(line.strip_suffix('\r').unwrap_or(line))
    }
}

impl<'a> Iterator for Lines<'a> {
    type Item = Cow<'a, str>;

    fn next(&mut self) -> Option<Cow<'a, str>> {
        let mut line = Cow::Borrowed(trim_end(self.physical()?));
        while self.rest.starts_with([' ', '\t']) {
            let continuation = self.physical()?;
            let joined = line.to_mut();
            joined.push(' ');
            joined.push_str(trim(continuation));
        }
        Some(line)
    }
}

/// All header fields but Content-Length, and what that says.
fn parse_headers<'a>(
    lines: impl Iterator<Item = Cow<'a, str>>,
) -> Result<(Headers, Option<usize>), Refusal> {
    let mut headers: Vec<Header> = Vec::with_capacity(16);
    let mut length = None;
    for line in lines {
        let (name, value) = line
            .split_once(':')
            .ok_or_else(|| Refusal::bad_request("header line without a colon"))?;
        let (name, value) = (trim_end(name), trim(value));
        if !text::is_token(name) {
            return Err(Refusal::bad_request("malformed header name"));
        }
        let value = without_tabs(value)?;
        let field = header(name, value.as_ref());
        match name_and_value(&field).0 {
            "Content-Length" => add_length(&mut length, &value)?,
            list if LISTS.contains(&list) => headers.extend(
                text::split_outside_quotes(&value, ',')
                    .into_iter()
                    .map(|one| header(list, one)),
            ),
            _ => headers.push(field),
        }
        if headers.len() > MAX_HEADERS {
            return Err(Refusal::new(513, "more than 256 header fields"));
        }
    }
    Ok((headers.into(), length))
}

/// A tab is as good as a blank (LWS, RFC 3261 section 25.1); any other control character is text only behind the
/// backslash of a quoted pair.
fn without_tabs(value: &str) -> Result<Cow<'_, str>, Refusal> {
    if !value.bytes().any(|b| b.is_ascii_control()) {
        return Ok(Cow::Borrowed(value));
    }
    let mut before = ' ';
    for c in value.chars() {
        if c.is_ascii_control() && c != '\t' && !octets::may_follow(before, c) {
            return Err(Refusal::bad_request("control character in a line"));
        }
        before = c;
    }
    Ok(Cow::Owned(value.replace('\t', " ")))
}

fn add_length(length: &mut Option<usize>, value: &str) -> Result<(), Refusal> {
    let this = content_length(value)?;
    match length.replace(this).is_some_and(|before| before != this) {
        true => Err(Refusal::bad_request("two different Content-Lengths")),
        false => Ok(()),
    }
}

/// What a Content-Length says: digits and nothing else, and no more than fits.
pub(super) fn content_length(value: &str) -> Result<usize, Refusal> {
    let digits_only = !value.is_empty() && value.bytes().all(|b| b.is_ascii_digit());
    let length = value.parse::<usize>().ok().filter(|_| digits_only);
    length.ok_or_else(|| Refusal::bad_request("malformed Content-Length"))
}

fn body(length: Option<usize>, rest: &[u8]) -> Result<Vec<u8>, Refusal> {
    let Some(length) = length else {
        return Ok(rest.to_vec());
    };
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
        return Err(match is_response(version) {
            true => Refusal::new(505, "not SIP/2.0"),
            false => malformed(),
        });
    }
    let method = Method::parse(name).ok_or_else(|| Refusal::new(501, "method is too long"))?;
    let (uri, uri_headers) = parse_with_headers(uri)?;
    if !uri_headers.is_empty() {
        // RFC 3261 section 19.1.1: a Request-URI has none.
        return Err(Refusal::bad_request("request line with URI headers"));
    }
    Ok(Request {
        method,
        uri,
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
    // A scheme we cannot dial is none of our business until we have to (RFC 4475 section 3.3.4).
    tolerate_scheme(headers.from_view())?;
    tolerate_scheme(headers.to_view())?;
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
        tolerate_scheme(NameAddr::parse(contact))?;
    }
    Ok(())
}

fn tolerate_scheme(address: Result<NameAddr, Refusal>) -> Result<(), Refusal> {
    match address {
        Err(refusal) if refusal.code != 416 => Err(refusal),
        _ => Ok(()),
    }
}

/// Blanks and tabs only: other white space of Unicode's is text here.
pub(super) fn trim(text: &str) -> &str {
    text.trim_matches([' ', '\t'])
}

pub(super) fn trim_end(text: &str) -> &str {
    text.trim_end_matches([' ', '\t'])
}
