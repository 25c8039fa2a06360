//! Channels: one leg of a call each, as the manager interface knows them.

use std::collections::BTreeMap;
use std::time::Instant;

use rollcall_ami::Packet;

/// A channel's place in [`Channels`].
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub(crate) struct ChannelId(u32);

/// Asterisk's channel states, those that occur here.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum ChannelState {
    Down,
    /// The person calls.
    Ring,
    /// The person is called and their phone rings.
    Ringing,
    Up,
}

impl ChannelState {
    fn number(self) -> &'static str {
        match self {
            Self::Down => "0",
            Self::Ring => "4",
            Self::Ringing => "5",
            Self::Up => "6",
        }
    }

    fn description(self) -> &'static str {
        match self {
            Self::Down => "Down",
            Self::Ring => "Ring",
            Self::Ringing => "Ringing",
            Self::Up => "Up",
        }
    }
}

/// A number and a name.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct Party {
    pub(crate) number: String,
    pub(crate) name: String,
}

#[derive(Debug, Clone)]
pub(crate) struct Channel {
    pub(crate) endpoint: String,
    pub(crate) name: String,
    pub(crate) unique_id: String,
    pub(crate) linked_id: String,
    pub(crate) state: ChannelState,
    pub(crate) caller: Party,
    pub(crate) connected: Option<Party>,
    pub(crate) exten: String,
    pub(crate) application: &'static str,
    pub(crate) bridge: Option<String>,
    pub(crate) began_at: Instant,
}

impl Channel {
    /// Adds the headers that every channel event has. `prefix` is `Dest` for the dialled channel.
    pub(crate) fn describe(&self, prefix: &str, mut packet: Packet) -> Packet {
        let connected = |pick: fn(&Party) -> &String| {
            self.connected
                .as_ref()
                .map_or("<unknown>", |party| pick(party).as_str())
        };
        for (key, value) in [
            ("Channel", self.name.as_str()),
            ("ChannelState", self.state.number()),
            ("ChannelStateDesc", self.state.description()),
            ("CallerIDNum", &self.caller.number),
            ("CallerIDName", &self.caller.name),
            ("ConnectedLineNum", connected(|party| &party.number)),
            ("ConnectedLineName", connected(|party| &party.name)),
            ("Language", "en"),
            ("AccountCode", ""),
            ("Context", super::CONTEXT),
            ("Exten", &self.exten),
            ("Priority", "1"),
            ("Uniqueid", &self.unique_id),
            ("Linkedid", &self.linked_id),
        ] {
            packet = packet.with(&format!("{prefix}{key}"), value);
        }
        packet
    }
}

/// What a new channel is for.
pub(crate) struct NewChannel<'a> {
    pub(crate) person: Party,
    pub(crate) state: ChannelState,
    pub(crate) exten: &'a str,
    /// The caller's unique id; none for a caller.
    pub(crate) linked_id: Option<String>,
    pub(crate) application: &'static str,
}

/// All live channels.
#[derive(Debug, Default)]
pub(crate) struct Channels {
    live: BTreeMap<ChannelId, Channel>,
    made: u32,
}

impl Channels {
    /// `epoch_seconds` becomes part of the unique id, as in Asterisk.
    pub(crate) fn create(
        &mut self,
        now: Instant,
        system: &str,
        epoch_seconds: u64,
        new: NewChannel<'_>,
    ) -> ChannelId {
        let id = ChannelId(self.made);
        self.made = self.made.wrapping_add(1);
        let unique_id = format!("{system}-{epoch_seconds}.{}", id.0);
        self.live.insert(
            id,
            Channel {
                endpoint: new.person.number.clone(),
                name: format!("PJSIP/{}-{:08x}", new.person.number, id.0),
                linked_id: new.linked_id.unwrap_or_else(|| unique_id.clone()),
                unique_id,
                state: new.state,
                caller: new.person,
                connected: None,
                exten: new.exten.to_owned(),
                application: new.application,
                bridge: None,
                began_at: now,
            },
        );
        id
    }

    pub(crate) fn get(&self, id: ChannelId) -> Option<&Channel> {
        self.live.get(&id)
    }

    pub(crate) fn get_mut(&mut self, id: ChannelId) -> Option<&mut Channel> {
        self.live.get_mut(&id)
    }

    pub(crate) fn remove(&mut self, id: ChannelId) -> Option<Channel> {
        self.live.remove(&id)
    }

    pub(crate) fn iter(&self) -> impl DoubleEndedIterator<Item = &Channel> {
        self.live.values()
    }

    pub(crate) fn of_endpoint<'a>(
        &'a self,
        endpoint: &'a str,
    ) -> impl Iterator<Item = &'a Channel> {
        self.live
            .values()
            .filter(move |channel| channel.endpoint == endpoint)
    }
}
