//! The strict serialiser: what leaves here is well-formed whatever the values hold.

use std::io::Write as _;

use bytes::Bytes;
use rsip::{Headers, Response, StatusCode};

use super::names::name_and_value;
use super::uri::uri_text;
use super::{Request, octets};

/// A request on the wire. Content-Length is computed; one among the headers is ignored.
pub fn request(request: &Request) -> Bytes {
    let mut out = Vec::with_capacity(768 + request.body.len());
    out.extend_from_slice(request.method.as_str().as_bytes());
    out.push(b' ');
    octets::encode(&uri_text(&request.uri), &mut out);
    out.extend_from_slice(b" SIP/2.0\r\n");
    finish(out, &request.headers, &request.body)
}

/// A response on the wire, with the reason phrase of its own or the standard one.
pub fn response(response: &Response) -> Bytes {
    let mut out = Vec::with_capacity(768 + response.body.len());
    out.extend_from_slice(b"SIP/2.0 ");
    push_number(response.status_code.code().into(), &mut out);
    out.push(b' ');
    octets::encode(reason(&response.status_code), &mut out);
    out.extend_from_slice(b"\r\n");
    finish(out, &response.headers, &response.body)
}

/// The reason phrase of a status: its own, or the standard one (RFC 3261 section 21).
pub fn reason(status: &StatusCode) -> &str {
    match status {
        StatusCode::Other(code, reason) if reason.is_empty() || reason == "Other" => {
            standard_reason(*code)
        }
        StatusCode::Other(_, reason) => reason,
        known => standard_reason(known.code()),
    }
}

/// The standard reason phrase of a response code.
pub fn standard_reason(code: u16) -> &'static str {
    match code {
        100 => "Trying",
        180 => "Ringing",
        181 => "Call Is Being Forwarded",
        182 => "Queued",
        183 => "Session Progress",
        199 => "Early Dialog Terminated",
        200 => "OK",
        202 => "Accepted",
        204 => "No Notification",
        300 => "Multiple Choices",
        301 => "Moved Permanently",
        302 => "Moved Temporarily",
        305 => "Use Proxy",
        400 => "Bad Request",
        401 => "Unauthorized",
        403 => "Forbidden",
        404 => "Not Found",
        405 => "Method Not Allowed",
        406 => "Not Acceptable",
        407 => "Proxy Authentication Required",
        408 => "Request Timeout",
        410 => "Gone",
        413 => "Request Entity Too Large",
        414 => "Request-URI Too Long",
        415 => "Unsupported Media Type",
        416 => "Unsupported URI Scheme",
        420 => "Bad Extension",
        421 => "Extension Required",
        422 => "Session Interval Too Small",
        423 => "Interval Too Brief",
        480 => "Temporarily Unavailable",
        481 => "Call/Transaction Does Not Exist",
        482 => "Loop Detected",
        483 => "Too Many Hops",
        484 => "Address Incomplete",
        485 => "Ambiguous",
        486 => "Busy Here",
        487 => "Request Terminated",
        488 => "Not Acceptable Here",
        489 => "Bad Event",
        491 => "Request Pending",
        493 => "Undecipherable",
        500 => "Server Internal Error",
        501 => "Not Implemented",
        502 => "Bad Gateway",
        503 => "Service Unavailable",
        504 => "Server Time-out",
        505 => "Version Not Supported",
        513 => "Message Too Large",
        600 => "Busy Everywhere",
        603 => "Decline",
        604 => "Does Not Exist Anywhere",
        606 => "Not Acceptable",
        _ => match code / 100 {
            1 => "Progress",
            2 => "Success",
            3 => "Redirection",
            4 => "Request Failure",
            5 => "Server Failure",
            _ => "Global Failure",
        },
    }
}

fn finish(mut out: Vec<u8>, headers: &Headers, body: &[u8]) -> Bytes {
    for header in headers.iter() {
        let (name, value) = name_and_value(header);
        if name.eq_ignore_ascii_case("Content-Length") {
            continue;
        }
        octets::encode(name, &mut out);
        out.extend_from_slice(b": ");
        octets::encode(value, &mut out);
        out.extend_from_slice(b"\r\n");
    }
    out.extend_from_slice(b"Content-Length: ");
    push_number(body.len(), &mut out);
    out.extend_from_slice(b"\r\n\r\n");
    out.extend_from_slice(body);
    out.into()
}

fn push_number(number: usize, out: &mut Vec<u8>) {
    // Writing into memory cannot fail.
    let _ = write!(out, "{number}");
}
