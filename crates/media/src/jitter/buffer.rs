//! The packets that wait, by sequence number.

use std::collections::BTreeMap;

use super::Packet;
use super::seen::Seen;

/// Packets in the order of their sequence numbers, each once.
#[derive(Debug, Default)]
pub(super) struct PacketBuffer {
    packets: BTreeMap<u64, Packet>,
    seen: Seen,
}

/// What a sequence number is to the ones before it.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Order {
    /// Higher than all before.
    Ahead,
    /// A higher one came first.
    Behind,
    /// It was here before.
    Again,
}

impl PacketBuffer {
    /// Note that a packet of this number has come, whether or not it will be kept.
    pub(super) fn note(&mut self, sequence: u64) -> Order {
        let behind = self.seen.is_behind(sequence);
        match (self.seen.note(sequence), behind) {
            (true, _) => Order::Again,
            (false, true) => Order::Behind,
            (false, false) => Order::Ahead,
        }
    }

    pub(super) fn keep(&mut self, packet: Packet) {
        self.packets.insert(packet.sequence, packet);
    }

    /// The packet of the lowest number.
    pub(super) fn first(&self) -> Option<&Packet> {
        self.packets.first_key_value().map(|(_, packet)| packet)
    }

    pub(super) fn take_first(&mut self) -> Option<Packet> {
        self.packets.pop_first().map(|(_, packet)| packet)
    }

    /// How many wait.
    pub(super) fn len(&self) -> usize {
        self.packets.len()
    }
}
