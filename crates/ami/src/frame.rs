//! Bytes to packets, within limits.
//!
//! Owns where a packet begins and ends, and how large it may be. It refuses endless lines, headers and packets: such a
//! peer is not a manager, and the connection ends rather than memory.

use crate::packet::Packet;

/// What a peer may send at most.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Limits {
    /// Bytes in a line without its line break.
    pub line_bytes: usize,
    /// Headers in a packet.
    pub headers: usize,
    /// Bytes in a packet.
    pub packet_bytes: usize,
}

impl Default for Limits {
    /// Four times what the largest answers of Asterisk 22 need (`EndpointDetail` has 160 headers).
    fn default() -> Self {
        Self {
            line_bytes: 16 * 1024,
            headers: 4096,
            packet_bytes: 1024 * 1024,
        }
    }
}

impl Limits {
    /// What a server of actions should accept from clients that have not logged in.
    pub fn for_actions() -> Self {
        Self {
            line_bytes: 1025,
            headers: 128,
            packet_bytes: 16 * 1024,
        }
    }
}

/// Why the peer's bytes are no AMI; the connection is of no further use.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
pub enum FrameError {
    /// A line does not end within the limit.
    #[error("a line is longer than {0} bytes")]
    LineTooLong(usize),
    /// A packet has more headers than the limit.
    #[error("a packet has more than {0} headers")]
    TooManyHeaders(usize),
    /// A packet is larger than the limit.
    #[error("a packet is larger than {0} bytes")]
    PacketTooLarge(usize),
    /// The first line is not `Asterisk Call Manager/VERSION`.
    #[error("the peer does not greet as an Asterisk Call Manager")]
    NoGreeting,
}

/// What the decoder found.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Frame {
    /// The greeting's version, such as `11.0.0`.
    Greeting(String),
    /// A complete packet of at least one header.
    Packet(Packet),
}

/// Cuts a byte stream into frames. Push what came, then take frames until there is none.
#[derive(Debug)]
pub struct Decoder {
    limits: Limits,
    buffer: Vec<u8>,
    /// Where in `buffer` the next unread line begins.
    read: usize,
    /// Up to where in `buffer` no line break was found, so that a slow line is searched once.
    searched: usize,
    greeting_due: bool,
    packet: Packet,
    packet_bytes: usize,
}

impl Decoder {
    /// A decoder of what Asterisk sends: a greeting, then packets.
    pub fn of_manager(limits: Limits) -> Self {
        Self {
            greeting_due: true,
            ..Self::of_client(limits)
        }
    }

    /// A decoder of what a manager's client sends: packets only.
    pub fn of_client(limits: Limits) -> Self {
        Self {
            limits,
            buffer: Vec::new(),
            read: 0,
            searched: 0,
            greeting_due: false,
            packet: Packet::new(),
            packet_bytes: 0,
        }
    }

    /// Adds bytes off the wire.
    pub fn push(&mut self, bytes: &[u8]) {
        if self.read > 0 {
            self.buffer.drain(..self.read);
            self.searched -= self.read;
            self.read = 0;
        }
        self.buffer.extend_from_slice(bytes);
    }

    /// The next complete frame, `None` when more bytes are needed.
    pub fn next_frame(&mut self) -> Result<Option<Frame>, FrameError> {
        while let Some(line) = self.next_line()? {
            if self.greeting_due {
                self.greeting_due = false;
                let version = line
                    .strip_prefix("Asterisk Call Manager/")
                    .ok_or(FrameError::NoGreeting)?;
                return Ok(Some(Frame::Greeting(version.to_owned())));
            }
            if let Some(packet) = self.take_line(line)? {
                return Ok(Some(Frame::Packet(packet)));
            }
        }
        Ok(None)
    }

    fn next_line(&mut self) -> Result<Option<String>, FrameError> {
        let from = self.searched.max(self.read);
        let found = self
            .buffer
            .get(from..)
            .and_then(|rest| rest.iter().position(|byte| *byte == b'\n'));
        let end = found.map_or(self.buffer.len(), |at| from + at);
        if end - self.read > self.limits.line_bytes + 1 {
            return Err(FrameError::LineTooLong(self.limits.line_bytes));
        }
        self.searched = end;
        if found.is_none() {
            return Ok(None);
        }
        let line = self.buffer.get(self.read..end).unwrap_or_default();
        let line = String::from_utf8_lossy(line.strip_suffix(b"\r").unwrap_or(line)).into_owned();
        self.read = end + 1;
        self.searched = self.read;
        Ok(Some(line))
    }

    fn take_line(&mut self, line: String) -> Result<Option<Packet>, FrameError> {
        if line.is_empty() {
            self.packet_bytes = 0;
            let packet = std::mem::take(&mut self.packet);
            return Ok((!packet.is_empty()).then_some(packet));
        }
        self.packet_bytes += line.len();
        if self.packet_bytes > self.limits.packet_bytes {
            return Err(FrameError::PacketTooLarge(self.limits.packet_bytes));
        }
        if self.packet.len() == self.limits.headers {
            return Err(FrameError::TooManyHeaders(self.limits.headers));
        }
        // A line without a colon is the rest of a value that held a line break; nothing we read has one.
        if let Some((key, value)) = line.split_once(':') {
            self.packet
                .push_read(key.trim().to_owned(), value.trim().to_owned());
        }
        Ok(None)
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    const STREAM: &[u8] = b"Asterisk Call Manager/11.0.0\r\nResponse: Success\r\nActionID: x1\r\nMessage: Authentication accepted\r\n\r\n\
        Event: FullyBooted\r\nPrivilege: system,all\r\nStatus: Fully Booted\r\n\r\n";

    fn frames(decoder: &mut Decoder) -> Vec<Frame> {
        std::iter::from_fn(|| decoder.next_frame().unwrap()).collect()
    }

    #[test]
    fn frames_are_the_same_however_the_stream_is_cut() {
        let mut whole = Decoder::of_manager(Limits::default());
        whole.push(STREAM);
        let expected = frames(&mut whole);
        assert_eq!(expected.len(), 3);
        for cut in 0..STREAM.len() {
            let (head, tail) = STREAM.split_at(cut);
            let mut decoder = Decoder::of_manager(Limits::default());
            decoder.push(head);
            let mut got = frames(&mut decoder);
            decoder.push(tail);
            got.extend(frames(&mut decoder));
            assert_eq!(got, expected, "cut at {cut}");
        }
    }

    #[test]
    fn a_peer_that_does_not_greet_as_a_manager_is_refused() {
        let mut decoder = Decoder::of_manager(Limits::default());
        decoder.push(b"HTTP/1.1 400 Bad Request\r\n");
        assert_eq!(decoder.next_frame(), Err(FrameError::NoGreeting));
    }

    #[test]
    fn a_line_that_never_ends_is_refused_before_it_is_whole() {
        let limits = Limits {
            line_bytes: 64,
            ..Limits::default()
        };
        let mut decoder = Decoder::of_client(limits);
        decoder.push(&[b'x'; 66]);
        assert_eq!(decoder.next_frame(), Err(FrameError::LineTooLong(64)));
    }

    #[test]
    fn too_many_headers_and_too_large_packets_are_refused() {
        let mut decoder = Decoder::of_client(Limits {
            headers: 2,
            ..Limits::default()
        });
        decoder.push(b"A: 1\r\nB: 2\r\nC: 3\r\n");
        assert_eq!(decoder.next_frame(), Err(FrameError::TooManyHeaders(2)));

        let mut decoder = Decoder::of_client(Limits {
            packet_bytes: 10,
            ..Limits::default()
        });
        decoder.push(b"A: 12345\r\nB: 12345\r\n");
        assert_eq!(decoder.next_frame(), Err(FrameError::PacketTooLarge(10)));
    }

    #[test]
    fn bytes_that_are_not_utf_8_spoil_only_their_own_characters() {
        let mut decoder = Decoder::of_client(Limits::default());
        decoder.push(b"Event: X\r\nName: M\xfcller\r\n\r\n");
        let Ok(Some(Frame::Packet(packet))) = decoder.next_frame() else {
            panic!("no packet")
        };
        assert_eq!(packet.get("name"), Some("M\u{fffd}ller"));
    }

    proptest! {
        #[test]
        fn no_bytes_make_the_decoder_panic(chunks in prop::collection::vec(prop::collection::vec(any::<u8>(), 0..200), 0..20)) {
            let limits = Limits { line_bytes: 100, headers: 8, packet_bytes: 400 };
            let mut decoder = Decoder::of_client(limits);
            'stream: for chunk in chunks {
                decoder.push(&chunk);
                loop {
                    match decoder.next_frame() {
                        Ok(Some(Frame::Packet(packet))) => prop_assert!(packet.len() <= limits.headers),
                        Ok(Some(Frame::Greeting(_))) => prop_assert!(false, "no greeting was due"),
                        Ok(None) => break,
                        Err(_) => break 'stream,
                    }
                }
            }
        }
    }
}
