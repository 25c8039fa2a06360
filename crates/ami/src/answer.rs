//! The answering side of the wire, for a program that plays Asterisk.
//!
//! Values that came from elsewhere (a SIP peer's User-Agent) are cleaned of line breaks as they are written, because an
//! event has nobody to refuse to.

use crate::packet::Packet;

/// The first line that Asterisk 22 sends.
pub const GREETING: &[u8] = b"Asterisk Call Manager/11.0.0\r\n";

/// An action as received.
#[derive(Debug, Clone)]
pub struct Request {
    packet: Packet,
}

impl Request {
    /// Reads a packet; `None` when it names no action.
    pub fn from_packet(packet: Packet) -> Option<Self> {
        packet.get("Action")?;
        Some(Self { packet })
    }

    /// The action's name as sent; compare without regard to case.
    pub fn name(&self) -> &str {
        self.packet.get("Action").unwrap_or_default()
    }

    /// A header's value.
    pub fn get(&self, key: &str) -> Option<&str> {
        self.packet.get(key)
    }

    /// `Response: Success` with a message.
    pub fn success(&self, message: &str) -> Packet {
        self.respond("Success").with("Message", message)
    }

    /// `Response: Error` with a message.
    pub fn error(&self, message: &str) -> Packet {
        self.respond("Error").with("Message", message)
    }

    /// `Response: Goodbye`, the answer to Logoff.
    pub fn goodbye(&self) -> Packet {
        self.respond("Goodbye")
            .with("Message", "Thanks for all the fish.")
    }

    /// A bare response, to add headers to.
    pub fn respond(&self, word: &str) -> Packet {
        self.identified(Packet::new().with("Response", word))
    }

    /// A whole list: its start, its items with the ActionID after the event's name, its end.
    pub fn list(&self, message: &str, items: Vec<Packet>, complete_event: &str) -> Vec<Packet> {
        let count = items.len().to_string();
        let mut packets = Vec::with_capacity(items.len() + 2);
        packets.push(
            self.respond("Success")
                .with("EventList", "start")
                .with("Message", message),
        );
        packets.extend(items.into_iter().map(|item| self.identify_item(&item)));
        let complete = self.identified(Packet::new().with("Event", complete_event));
        packets.push(
            complete
                .with("EventList", "Complete")
                .with("ListItems", &count),
        );
        packets
    }

    fn identify_item(&self, item: &Packet) -> Packet {
        let mut identified = Packet::new();
        for (index, (key, value)) in item.fields().enumerate() {
            identified = identified.with(key, value);
            if index == 0 {
                identified = self.identified(identified);
            }
        }
        identified
    }

    fn identified(&self, packet: Packet) -> Packet {
        match self.packet.get("ActionID") {
            Some(id) => packet.with("ActionID", id),
            None => packet,
        }
    }
}

impl Packet {
    /// An event's first line.
    pub fn event(name: &str) -> Self {
        Self::new().with("Event", name)
    }

    /// Adds a header for the answering side: control characters in the value become spaces.
    #[must_use]
    pub fn with(mut self, key: &str, value: &str) -> Self {
        let clean = if value.contains(char::is_control) {
            value.replace(char::is_control, " ")
        } else {
            value.to_owned()
        };
        self.push_read(key.to_owned(), clean);
        self
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn request(fields: &[(&str, &str)]) -> Request {
        Request::from_packet(fields.iter().fold(Packet::new(), |packet, (key, value)| {
            packet.with(key, value)
        }))
        .unwrap()
    }

    #[test]
    fn a_list_carries_the_action_id_on_every_packet_and_counts_its_items() {
        let request = request(&[("Action", "DeviceStateList"), ("ActionID", "x1")]);
        let item = Packet::event("DeviceStateChange")
            .with("Device", "PJSIP/1001")
            .with("State", "NOT_INUSE");
        let packets = request.list(
            "Device State Changes will follow",
            vec![item],
            "DeviceStateListComplete",
        );
        let mut wire = Vec::new();
        packets.iter().for_each(|packet| packet.encode(&mut wire));
        assert_eq!(
            String::from_utf8(wire).unwrap(),
            "Response: Success\r\nActionID: x1\r\nEventList: start\r\nMessage: Device State Changes will follow\r\n\r\n\
             Event: DeviceStateChange\r\nActionID: x1\r\nDevice: PJSIP/1001\r\nState: NOT_INUSE\r\n\r\n\
             Event: DeviceStateListComplete\r\nActionID: x1\r\nEventList: Complete\r\nListItems: 1\r\n\r\n"
        );
    }

    #[test]
    fn a_peers_line_break_does_not_become_a_header() {
        let event = Packet::event("ContactList").with("UserAgent", "evil\r\nStatus: Reachable");
        let mut wire = Vec::new();
        event.encode(&mut wire);
        assert_eq!(
            String::from_utf8(wire).unwrap(),
            "Event: ContactList\r\nUserAgent: evil  Status: Reachable\r\n\r\n"
        );
    }

    #[test]
    fn a_packet_without_an_action_is_no_request() {
        assert!(Request::from_packet(Packet::new().with("Username", "lab")).is_none());
    }
}
