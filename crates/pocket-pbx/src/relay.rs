//! Where the RTP of one call goes: back (echo) or across (relay).
//!
//! A relay owns no socket. It decides, packet by packet, whether a packet may pass and what its header says on the
//! other side; the sound itself is never touched, since both ends speak the same codec.

use std::net::SocketAddr;

/// What one side of a call is to receive and send.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Aim {
    /// Where the person's phone says it receives.
    pub remote: SocketAddr,
    /// Payload type of what comes from it.
    pub receive_payload_type: u8,
    /// Payload type of what goes to it.
    pub send_payload_type: u8,
    /// Whether it wants to receive (it does not while it holds the call).
    pub sends: bool,
}

#[derive(Debug, Default)]
struct Side {
    aim: Option<Aim>,
    /// Where packets really come from (symmetric RTP); the first source that speaks has the side.
    source: Option<SocketAddr>,
}

/// The media of one call: one side echoes, two relay.
#[derive(Debug)]
pub struct Relay {
    sides: Vec<Side>,
    /// Changes the SSRC of echoed packets, so that a phone does not take them for its own (RFC 3550 section 8.2).
    ssrc_mask: u32,
    passed: u64,
}

/// RTP's fixed header (RFC 3550 section 5.1).
const HEADER_BYTES: usize = 12;

impl Relay {
    /// A relay of one or two sides.
    pub fn new(sides: usize, ssrc_mask: u32) -> Self {
        Self {
            sides: (0..sides).map(|_| Side::default()).collect(),
            ssrc_mask: ssrc_mask.max(1),
            passed: 0,
        }
    }

    /// Changes what a side is to do. Its source may change with it.
    pub fn aim(&mut self, side: usize, aim: Aim) {
        if let Some(own) = self.sides.get_mut(side) {
            if own.aim.is_none_or(|old| old.remote != aim.remote) {
                own.source = None;
            }
            own.aim = Some(aim);
        }
    }

    /// Takes a packet that came in at a side and changes it in place; tells at which side and where to it goes out.
    pub fn handle_packet(
        &mut self,
        side: usize,
        from: SocketAddr,
        packet: &mut [u8],
    ) -> Option<(usize, SocketAddr)> {
        let out = if self.sides.len() == 1 {
            side
        } else {
            1 - side.min(1)
        };
        let own = self.sides.get_mut(side)?;
        let received = own.aim?.receive_payload_type;
        let is_rtp =
            packet.len() >= HEADER_BYTES && packet.first().is_some_and(|byte| byte >> 6 == 2);
        let kind = packet
            .get_mut(1)
            .filter(|kind| is_rtp && **kind & 0x7f == received)?;
        if *own.source.get_or_insert(from) != from {
            return None;
        }
        let other = self.sides.get(out)?;
        let aim = other.aim.filter(|aim| aim.sends)?;
        *kind = (*kind & 0x80) | aim.send_payload_type;
        let to = other.source.unwrap_or(aim.remote);
        if self.sides.len() == 1 {
            self.change_ssrc(packet);
        }
        self.passed += 1;
        Some((out, to))
    }

    /// Packets that went through so far.
    pub fn passed(&self) -> u64 {
        self.passed
    }

    fn change_ssrc(&self, packet: &mut [u8]) {
        for (byte, mask) in packet.iter_mut().skip(8).zip(self.ssrc_mask.to_be_bytes()) {
            *byte ^= mask;
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn address(port: u16) -> SocketAddr {
        SocketAddr::from(([127, 0, 0, 1], port))
    }

    fn aim(port: u16, payload_type: u8) -> Aim {
        Aim {
            remote: address(port),
            receive_payload_type: payload_type,
            send_payload_type: payload_type,
            sends: true,
        }
    }

    fn packet(payload_type: u8) -> Vec<u8> {
        let mut packet = vec![0x80, payload_type, 0, 1, 0, 0, 0, 160, 1, 2, 3, 4];
        packet.extend_from_slice(b"sound");
        packet
    }

    #[test]
    fn an_echo_comes_back_with_another_ssrc_and_the_same_sound() {
        let mut relay = Relay::new(1, 0xffff_ffff);
        relay.aim(0, aim(4000, 0));
        let mut echoed = packet(0);
        assert_eq!(
            relay.handle_packet(0, address(4000), &mut echoed),
            Some((0, address(4000)))
        );
        assert_eq!(echoed[..8], packet(0)[..8]);
        assert_ne!(echoed[8..12], packet(0)[8..12]);
        assert_eq!(&echoed[12..], b"sound");
    }

    #[test]
    fn a_relayed_packet_carries_the_other_sides_payload_type() {
        let mut relay = Relay::new(2, 1);
        relay.aim(0, aim(4000, 96));
        relay.aim(1, aim(5000, 111));
        let mut across = packet(0x80 | 96);
        assert_eq!(
            relay.handle_packet(0, address(4000), &mut across),
            Some((1, address(5000)))
        );
        assert_eq!(across[1], 0x80 | 111);
        assert_eq!(across[8..12], [1, 2, 3, 4], "the SSRC passes");
        let mut back = packet(111);
        assert_eq!(
            relay.handle_packet(1, address(5000), &mut back),
            Some((0, address(4000)))
        );
        assert_eq!(back[1], 96);
    }

    #[test]
    fn sound_goes_where_the_person_speaks_from_and_a_stranger_is_not_let_in() {
        let mut relay = Relay::new(2, 1);
        relay.aim(0, aim(4000, 0));
        relay.aim(1, aim(5000, 0));
        // Side 1 announced port 5000 and speaks from 5555.
        relay.handle_packet(1, address(5555), &mut packet(0));
        assert_eq!(
            relay.handle_packet(0, address(4000), &mut packet(0)),
            Some((1, address(5555)))
        );
        assert_eq!(relay.handle_packet(1, address(6666), &mut packet(0)), None);
    }

    #[test]
    fn what_is_no_rtp_of_the_call_is_dropped() {
        let mut relay = Relay::new(1, 1);
        assert_eq!(
            relay.handle_packet(0, address(4000), &mut packet(0)),
            None,
            "not aimed yet"
        );
        relay.aim(0, aim(4000, 0));
        assert_eq!(
            relay.handle_packet(0, address(4000), &mut packet(8)),
            None,
            "another payload type"
        );
        assert_eq!(
            relay.handle_packet(0, address(4000), &mut [0x80, 0]),
            None,
            "too short"
        );
        assert_eq!(
            relay.handle_packet(0, address(4000), &mut [0; 20]),
            None,
            "another version"
        );
        assert_eq!(
            relay.handle_packet(7, address(4000), &mut packet(0)),
            None,
            "no such side"
        );
        assert_eq!(relay.passed(), 0);
    }

    #[test]
    fn a_side_that_holds_hears_nothing() {
        let mut relay = Relay::new(2, 1);
        relay.aim(0, aim(4000, 0));
        relay.aim(
            1,
            Aim {
                sends: false,
                ..aim(5000, 0)
            },
        );
        assert_eq!(relay.handle_packet(0, address(4000), &mut packet(0)), None);
    }
}
