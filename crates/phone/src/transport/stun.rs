//! Keeping a way through address translators open over UDP (RFC 5626 section 4.4): STUN where the registrar takes part in
//! that, bare line ends where it does not.
//!
//! No socket and no clock: a [`Pulse`] says what to send when it is time, and judges what came.

use std::net::{IpAddr, Ipv4Addr, Ipv6Addr, SocketAddr};

/// Of every STUN message since RFC 5389 (section 6).
const COOKIE: [u8; 4] = [0x21, 0x12, 0xa4, 0x42];
const BINDING_REQUEST: [u8; 2] = [0x00, 0x01];
const BINDING_SUCCESS: [u8; 2] = [0x01, 0x01];
const HEADER: usize = 20;
/// What SIP servers read over.
const LINE_ENDS: [u8; 4] = *b"\r\n\r\n";
/// Questions in a row without an answer after which a way is no longer believed in.
const MOST_UNANSWERED: u8 = 3;

type TransactionId = [u8; 12];

/// The signs of life of one way over UDP.
#[derive(Debug, Default)]
pub(super) struct Pulse {
    /// The registrar said that it answers.
    answers: bool,
    asked: Option<TransactionId>,
    unanswered: u8,
    /// Where the registrar sees us.
    mapped: Option<SocketAddr>,
}

/// What a datagram or a silence says of the way.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Way {
    /// As it was.
    Same,
    /// The translator has given us another address, or lets nothing through: whoever wants to reach us has to learn the
    /// new one.
    Other,
}

impl Pulse {
    /// Whether the registrar answers STUN at its SIP port, as it says in its 200.
    pub(super) fn set_answers(&mut self, answers: bool) {
        if !answers {
            *self = Self::default();
        }
        self.answers = answers;
    }

    /// What to send now, and what the silence until now says.
    pub(super) fn beat(&mut self, id: TransactionId) -> (Vec<u8>, Way) {
        if !self.answers {
            return (LINE_ENDS.to_vec(), Way::Same);
        }
        let mut way = Way::Same;
        if self.asked.replace(id).is_some() {
            self.unanswered += 1;
            if self.unanswered >= MOST_UNANSWERED {
                self.unanswered = 0;
                way = Way::Other;
            }
        }
        let request = [&BINDING_REQUEST[..], &[0, 0], &COOKIE, &id].concat();
        (request, way)
    }

    /// Takes a STUN message; one that answers nothing of ours says nothing.
    pub(super) fn hear(&mut self, message: &[u8]) -> Way {
        let Some(mapped) = self.asked.and_then(|id| mapped_address(message, &id)) else {
            return Way::Same;
        };
        self.asked = None;
        self.unanswered = 0;
        match self.mapped.replace(mapped) {
            Some(before) if before != mapped => Way::Other,
            _ => Way::Same,
        }
    }
}

/// Whether a datagram is STUN and no SIP, which never begins with a zero.
pub(super) fn is_stun(datagram: &[u8]) -> bool {
    datagram.len() >= HEADER && datagram[0] < 4 && datagram.get(4..8) == Some(&COOKIE)
}

/// The address in the success response to the request of this id (RFC 8489 sections 14.1 and 14.2).
fn mapped_address(message: &[u8], id: &TransactionId) -> Option<SocketAddr> {
    let is_ours = is_stun(message)
        && message.get(..2) == Some(&BINDING_SUCCESS)
        && message.get(8..HEADER) == Some(id);
    let length = usize::from(u16::from_be_bytes(message.get(2..4)?.try_into().ok()?));
    let mut rest = message.get(HEADER..HEADER + length).filter(|_| is_ours)?;
    let mut plain = None;
    while let Some((head, behind)) = rest.split_at_checked(4) {
        let kind = u16::from_be_bytes([head[0], head[1]]);
        let length = usize::from(u16::from_be_bytes([head[2], head[3]]));
        let value = behind.get(..length)?;
        match kind {
            0x0020 => return address(value, id, true),
            0x0001 => plain = address(value, id, false),
            _ => {}
        }
        rest = behind.get(length.next_multiple_of(4)..).unwrap_or_default();
    }
    plain
}

fn address(value: &[u8], id: &TransactionId, masked: bool) -> Option<SocketAddr> {
    let mask: Vec<u8> = match masked {
        true => [&COOKIE[..], id].concat(),
        false => vec![0; 16],
    };
    let unmask =
        |bytes: &[u8]| -> Vec<u8> { bytes.iter().zip(&mask).map(|(a, b)| a ^ b).collect() };
    let port = unmask(value.get(2..4)?);
    let port = u16::from_be_bytes(port.try_into().ok()?);
    let bytes = unmask(value.get(4..)?);
    let ip = match (value.get(1)?, bytes.len()) {
        (1, 4) => IpAddr::from(Ipv4Addr::from(<[u8; 4]>::try_from(bytes).ok()?)),
        (2, 16) => IpAddr::from(Ipv6Addr::from(<[u8; 16]>::try_from(bytes).ok()?)),
        _ => return None,
    };
    Some(SocketAddr::new(ip, port))
}

#[cfg(test)]
mod tests {
    use super::*;

    /// RFC 5769 sections 2.2 and 2.3.
    const ID: TransactionId = [
        0xb7, 0xe7, 0xa7, 0x01, 0xbc, 0x34, 0xd6, 0x86, 0xfa, 0x87, 0xdf, 0xae,
    ];
    const SOFTWARE: &[u8] = b"\x80\x22\x00\x0btest vector\x20";

    fn response(id: &TransactionId, attributes: &[&[u8]]) -> Vec<u8> {
        let body = attributes.concat();
        let length = (body.len() as u16).to_be_bytes();
        [&BINDING_SUCCESS[..], &length, &COOKIE, id, &body].concat()
    }

    #[test]
    fn the_responses_of_rfc_5769_are_read() {
        let ipv4 = [0, 0x20, 0, 8, 0, 1, 0xa1, 0x47, 0xe1, 0x12, 0xa6, 0x43];
        let read = mapped_address(&response(&ID, &[SOFTWARE, &ipv4]), &ID);
        assert_eq!(read, "192.0.2.1:32853".parse().ok());
        let ipv6 = [
            0, 0x20, 0, 0x14, 0, 2, 0xa1, 0x47, 0x01, 0x13, 0xa9, 0xfa, 0xa5, 0xd3, 0xf1, 0x79,
            0xbc, 0x25, 0xf4, 0xb5, 0xbe, 0xd2, 0xb9, 0xd9,
        ];
        let read = mapped_address(&response(&ID, &[SOFTWARE, &ipv6]), &ID);
        let expected = "[2001:db8:1234:5678:11:2233:4455:6677]:32853";
        assert_eq!(read, expected.parse().ok());
        let plain = [0, 1, 0, 8, 0, 1, 0x80, 0x55, 192, 0, 2, 1];
        let read = mapped_address(&response(&ID, &[&plain]), &ID);
        assert_eq!(read, "192.0.2.1:32853".parse().ok());
    }

    #[test]
    fn what_is_cut_short_or_somebody_elses_says_nothing() {
        let ipv4 = [0, 0x20, 0, 8, 0, 1, 0xa1, 0x47, 0xe1, 0x12, 0xa6, 0x43];
        let whole = response(&ID, &[SOFTWARE, &ipv4]);
        for end in 0..whole.len() {
            assert_eq!(mapped_address(&whole[..end], &ID), None, "{end}");
        }
        assert_eq!(mapped_address(&whole, &[0; 12]), None);
        let absurd = response(&ID, &[&[0, 0x20, 0xff, 0xff, 0, 1]]);
        assert_eq!(mapped_address(&absurd, &ID), None);
        assert!(!is_stun(b"OPTIONS sip:a SIP/2.0\r\n\r\n") && !is_stun(b""));
    }

    #[test]
    fn without_a_registrar_that_answers_line_ends_are_sent_and_silence_says_nothing() {
        let mut pulse = Pulse::default();
        for _ in 0..10 {
            assert_eq!(pulse.beat(ID), (LINE_ENDS.to_vec(), Way::Same));
        }
    }

    #[test]
    fn another_mapped_address_or_a_long_silence_is_another_way() {
        let mut pulse = Pulse::default();
        pulse.set_answers(true);
        let at = |host: u8| {
            let plain = [0, 1, 0, 8, 0, 1, 0x80, 0x55, 192, 0, 2, host];
            response(&ID, &[&plain])
        };
        let mut beat_and_hear = |host| {
            assert_eq!(pulse.beat(ID).1, Way::Same);
            pulse.hear(&at(host))
        };
        assert_eq!(beat_and_hear(1), Way::Same);
        assert_eq!(beat_and_hear(1), Way::Same);
        assert_eq!(beat_and_hear(2), Way::Other);
        assert_eq!(pulse.hear(&at(3)), Way::Same, "nobody asked");
        let ways: Vec<Way> = (0..4).map(|_| pulse.beat(ID).1).collect();
        assert_eq!(ways, [Way::Same, Way::Same, Way::Same, Way::Other]);
    }
}
