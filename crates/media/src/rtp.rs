//! RTP packets (RFC 3550) and numbers that do not wrap: the one door to the `rtp-rs` crate.
//!
//! `rtp_rs::Seq` compares in a circle, which no ordered container survives; everything behind this
//! module counts in `u64`.

use rtp_rs::{RtpPacketBuilder, RtpReader, Seq};

/// The header fields that matter, and the payload.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) struct Received<'a> {
    pub(crate) sequence: u16,
    pub(crate) timestamp: u32,
    pub(crate) ssrc: u32,
    pub(crate) payload_type: u8,
    pub(crate) marker: bool,
    pub(crate) payload: &'a [u8],
}

/// Read a datagram; `None` when it is not RTP version 2.
pub(crate) fn read(bytes: &[u8]) -> Option<Received<'_>> {
    let packet = RtpReader::new(bytes).ok()?;
    Some(Received {
        sequence: packet.sequence_number().into(),
        timestamp: packet.timestamp(),
        ssrc: packet.ssrc(),
        payload_type: packet.payload_type(),
        marker: packet.mark(),
        payload: packet.payload(),
    })
}

/// Numbers what we send.
#[derive(Debug)]
pub(crate) struct Sender {
    ssrc: u32,
    sequence: u16,
    timestamp: u32,
    /// The next packet begins a stretch of sound.
    begins: bool,
}

impl Sender {
    pub(crate) fn new(ssrc: u32, sequence: u16, timestamp: u32) -> Sender {
        Sender {
            ssrc,
            sequence,
            timestamp,
            begins: true,
        }
    }

    /// Write a packet into `bytes`, replacing its content. False when the payload type cannot be.
    pub(crate) fn write(&mut self, payload_type: u8, payload: &[u8], bytes: &mut Vec<u8>) -> bool {
        let (begins, timestamp) = (self.begins, self.timestamp);
        let written = self.write_at(timestamp, begins, payload_type, payload, bytes);
        self.begins &= !written;
        written
    }

    /// The same with a timestamp and a marker of its own: a telephone event tells of a moment that may have passed.
    pub(crate) fn write_at(
        &mut self,
        timestamp: u32,
        marker: bool,
        payload_type: u8,
        payload: &[u8],
        bytes: &mut Vec<u8>,
    ) -> bool {
        let packet = RtpPacketBuilder::new()
            .payload_type(payload_type)
            .marked(marker)
            .ssrc(self.ssrc)
            .sequence(Seq::from(self.sequence))
            .timestamp(timestamp)
            .payload(payload);
        bytes.resize(packet.target_length(), 0);
        if packet.build_into(bytes).is_err() {
            return false;
        }
        self.sequence = self.sequence.wrapping_add(1);
        true
    }

    /// The media clock's present value.
    pub(crate) fn timestamp(&self) -> u32 {
        self.timestamp
    }

    /// The media clock goes on, whether a packet was sent or not.
    pub(crate) fn advance(&mut self, ticks: u32) {
        self.timestamp = self.timestamp.wrapping_add(ticks);
    }

    /// Nothing was sent for this stretch: what comes next begins anew (RFC 3551 section 4.1).
    pub(crate) fn pause(&mut self) {
        self.begins = true;
    }
}

/// What a sequence number says about the stream.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Numbered {
    /// It belongs here.
    Expected(u64),
    /// The sender began anew; earlier numbers mean nothing any more.
    Restarted(u64),
    /// Far off and alone: wait for a second one before believing it.
    Suspect,
}

/// Extends 16-bit sequence numbers (RFC 3550 appendix A.1).
#[derive(Debug, Default)]
pub(crate) struct SequenceExtender {
    highest: Option<u64>,
    /// The number that would prove a restart.
    suspect: Option<u16>,
}

impl SequenceExtender {
    pub(crate) fn extend(&mut self, sequence: u16) -> Numbered {
        let Some(highest) = self.highest else {
            return Numbered::Expected(self.begin(sequence));
        };
        let step = i64::from(sequence.wrapping_sub(highest as u16) as i16);
        if (-MAX_MISORDER..=MAX_DROPOUT).contains(&step) {
            let extended = highest.saturating_add_signed(step);
            self.highest = Some(highest.max(extended));
            self.suspect = None;
            return Numbered::Expected(extended);
        }
        if self.suspect == Some(sequence) {
            return Numbered::Restarted(self.begin(sequence));
        }
        self.suspect = Some(sequence.wrapping_add(1));
        Numbered::Suspect
    }

    fn begin(&mut self, sequence: u16) -> u64 {
        // One turn of headroom: packets from before the first one have numbers too.
        let extended = (1 << 16) + u64::from(sequence);
        *self = SequenceExtender {
            highest: Some(extended),
            suspect: None,
        };
        extended
    }
}

/// A jump of more is a restart: a minute at 20 ms a packet.
const MAX_DROPOUT: i64 = 3_000;

/// An older packet than this is a restart: two seconds at 20 ms a packet.
const MAX_MISORDER: i64 = 100;

/// Extends 32-bit timestamps, each to the value nearest to the last.
#[derive(Debug, Default)]
pub(crate) struct TimestampExtender {
    last: Option<u64>,
}

impl TimestampExtender {
    pub(crate) fn extend(&mut self, timestamp: u32) -> u64 {
        let extended = match self.last {
            Some(last) => {
                let step = i64::from(timestamp.wrapping_sub(last as u32) as i32);
                last.saturating_add_signed(step)
            }
            None => (1 << 32) + u64::from(timestamp),
        };
        self.last = Some(extended);
        extended
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    #[test]
    fn sequence_numbers_go_on_where_sixteen_bits_wrap() {
        let mut extender = SequenceExtender::default();
        let start = match extender.extend(65_534) {
            Numbered::Expected(start) => start,
            other => panic!("{other:?}"),
        };
        for (wire, step) in [(65_535, 1), (1, 3), (0, 2), (2, 4), (65_535, 1)] {
            assert_eq!(extender.extend(wire), Numbered::Expected(start + step));
        }
    }

    #[test]
    fn one_stray_number_moves_nothing_and_two_in_a_row_are_a_restart() {
        let mut extender = SequenceExtender::default();
        extender.extend(100);
        assert_eq!(extender.extend(30_000), Numbered::Suspect);
        assert!(matches!(extender.extend(101), Numbered::Expected(_)));
        assert_eq!(extender.extend(30_000), Numbered::Suspect);
        assert!(matches!(extender.extend(30_001), Numbered::Restarted(_)));
        assert!(matches!(extender.extend(30_002), Numbered::Expected(_)));
    }

    #[test]
    fn timestamps_go_on_where_thirty_two_bits_wrap_and_may_step_back() {
        let mut extender = TimestampExtender::default();
        let start = extender.extend(u32::MAX - 159);
        assert_eq!(extender.extend(0), start + 160);
        assert_eq!(extender.extend(u32::MAX - 159), start);
        assert_eq!(extender.extend(160), start + 320);
    }

    #[test]
    fn the_marker_stands_on_the_first_packet_of_each_stretch_of_sound() {
        let mut sender = Sender::new(1, 65_535, 0);
        let mut bytes = Vec::new();
        let mut heads = Vec::new();
        for sends in [true, true, false, true] {
            if sends {
                assert!(sender.write(0, &[1, 2], &mut bytes));
                let packet = read(&bytes).unwrap();
                heads.push((packet.sequence, packet.timestamp, packet.marker));
            } else {
                sender.pause();
            }
            sender.advance(160);
        }
        assert_eq!(heads, [(65_535, 0, true), (0, 160, false), (1, 480, true)]);
    }

    proptest! {
        #![proptest_config(crate::repeatable(500))]

        #[test]
        fn any_bytes_are_read_without_a_panic(bytes in proptest::collection::vec(any::<u8>(), 0..120)) {
            let _ = read(&bytes);
        }

        #[test]
        fn any_header_is_read_without_a_panic(
            first in 0x80u8..0xc0, bytes in proptest::collection::vec(any::<u8>(), 0..80)
        ) {
            let mut packet = vec![first];
            packet.extend(bytes);
            if let Some(received) = read(&packet) {
                prop_assert!(received.payload.len() <= packet.len());
            }
        }
    }
}
