//! Messages cut out of a stream (RFC 3261 section 18.3) and the keep-alives between them (RFC 5626 section 3.5.1).

use bytes::{Buf as _, Bytes, BytesMut};

use super::parse::{Lines, MAX_MESSAGE, content_length, trim, trim_end};
use super::{Refusal, octets};

/// One thing that came over a stream.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Frame {
    /// A whole message, for [`super::parse()`].
    Message(Bytes),
    /// Two line ends: the other side asks for a sign of life; [`PONG`] is the answer.
    Ping,
    /// One line end: the answer to our [`PING`].
    Pong,
}

/// Asks for a sign of life on a stream.
pub const PING: &[u8] = b"\r\n\r\n";
/// Gives one.
pub const PONG: &[u8] = b"\r\n";

/// Cuts a stream into messages. Holds at most one message of [`MAX_MESSAGE`] bytes and what came behind it, and looks
/// at each byte a constant number of times however small the pieces are that it comes in.
///
/// An error means that nobody can tell where the next message begins: close the connection.
#[derive(Debug, Default)]
pub struct Framing {
    buffer: BytesMut,
    /// Up to here there is no empty line.
    scanned: usize,
    /// The length of the message whose head is complete.
    whole: Option<usize>,
}

impl Framing {
    /// Takes what the stream brought.
    pub fn push(&mut self, bytes: &[u8]) {
        self.buffer.extend_from_slice(bytes);
    }

    /// The next whole frame; none until more has come.
    pub fn next_frame(&mut self) -> Result<Option<Frame>, Refusal> {
        if self.whole.is_none() && self.scanned == 0 {
            match self.buffer.as_ref() {
                // What these begin is told by what comes next.
                [] | [b'\r'] | [b'\r', b'\n', b'\r'] => return Ok(None),
                _ => {}
            }
            if let Some(frame) = self.keep_alive() {
                return Ok(Some(frame));
            }
        }
        let Some(whole) = self.message_length()? else {
            return Ok(None);
        };
        if self.buffer.len() < whole {
            return Ok(None);
        }
        (self.scanned, self.whole) = (0, None);
        let message = self.buffer.split_to(whole).freeze();
        Ok(Some(Frame::Message(message)))
    }

    /// A line end between messages. Half of a ping that comes alone passes for a pong; its sender asks again.
    fn keep_alive(&mut self) -> Option<Frame> {
        let (frame, length) = match self.buffer.as_ref() {
            [b'\r', b'\n', b'\r', b'\n', ..] => (Frame::Ping, 4),
            [b'\r', b'\n', ..] => (Frame::Pong, 2),
            [b'\n', ..] => (Frame::Pong, 1),
            _ => return None,
        };
        self.buffer.advance(length);
        Some(frame)
    }

    fn message_length(&mut self) -> Result<Option<usize>, Refusal> {
        if self.whole.is_none() {
            self.whole = match self.head_length() {
                Some(head) => {
                    let bytes = self.buffer.get(..head).unwrap_or_default();
                    let body = body_length(bytes)?;
                    Some(head.saturating_add(body))
                }
                None => None,
            };
        }
        match self.whole.unwrap_or(self.buffer.len()) > MAX_MESSAGE {
            true => Err(Refusal::new(513, "message longer than 65535 bytes")),
            false => Ok(self.whole),
        }
    }

    /// Looks for the empty line, from where it stopped looking.
    fn head_length(&mut self) -> Option<usize> {
        let from = self.scanned;
        let fresh = self.buffer.get(from..).unwrap_or_default();
        for (at, _) in fresh.iter().enumerate().filter(|(_, b)| **b == b'\n') {
            let after = fresh.get(at + 1..).unwrap_or_default();
            match after {
                [b'\n', ..] => return Some(from + at + 2),
                [b'\r', b'\n', ..] => return Some(from + at + 3),
                [] | [b'\r'] => {
                    self.scanned = from + at;
                    return None;
                }
                _ => {}
            }
        }
        self.scanned = self.buffer.len();
        None
    }
}

/// What Content-Length says; a stream needs one (RFC 3261 section 20.14).
fn body_length(head: &[u8]) -> Result<usize, Refusal> {
    let head = octets::decode(head);
    let mut length = None;
    for line in Lines::of(&head) {
        let Some((name, value)) = line.split_once(':') else {
            continue;
        };
        let name = trim_end(name);
        if name.eq_ignore_ascii_case("Content-Length") || name.eq_ignore_ascii_case("l") {
            let this = content_length(trim(value))?;
            if length.replace(this).is_some_and(|before| before != this) {
                return Err(Refusal::bad_request("two different Content-Lengths"));
            }
        }
    }
    length.ok_or_else(|| Refusal::bad_request("no Content-Length in a stream"))
}
