//! The legs of calls as channels, and what managers hear of them.

use std::time::Instant;

use rollcall_ami::Packet;
use rollcall_sip::CallId;

use super::Pbx;
use super::cause::cause_text;
use super::channel::{ChannelId, ChannelState, NewChannel, Party};
use super::manager::Class;

/// A dialog and its channel.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) struct Leg {
    pub(super) ua: CallId,
    pub(super) channel: ChannelId,
}

impl Pbx {
    pub(super) fn party(&self, extension: &str) -> Party {
        let name = self
            .people
            .get(extension)
            .map(|person| person.display_name.clone())
            .unwrap_or_default();
        Party {
            number: extension.to_owned(),
            name,
        }
    }

    pub(super) fn create_channel(&mut self, now: Instant, new: NewChannel<'_>) -> ChannelId {
        let epoch = self.epoch(now).as_secs();
        let id = self
            .channels
            .create(now, &self.config.system_name, epoch, new);
        self.tell_channel(now, "Newchannel", id, |event| event);
        id
    }

    pub(super) fn create_branch_channel(
        &mut self,
        now: Instant,
        caller: Leg,
        exten: &str,
    ) -> ChannelId {
        let callee = self.party(exten);
        let calling = self.channels.get(caller.channel).cloned();
        let new = NewChannel {
            person: callee.clone(),
            state: ChannelState::Down,
            exten: "s",
            linked_id: calling.as_ref().map(|channel| channel.linked_id.clone()),
            application: "AppDial",
        };
        let id = self.create_channel(now, new);
        if let (Some(channel), Some(calling)) = (self.channels.get_mut(id), calling) {
            channel.connected = Some(calling.caller);
            channel.exten = exten.to_owned();
        }
        if let Some(channel) = self.channels.get_mut(caller.channel) {
            channel.connected = Some(callee);
        }
        self.tell_channel(now, "NewConnectedLine", id, |event| event);
        id
    }

    pub(super) fn set_channel_state(&mut self, now: Instant, id: ChannelId, state: ChannelState) {
        if let Some(channel) = self.channels.get_mut(id) {
            channel.state = state;
        }
        self.tell_channel(now, "Newstate", id, |event| event);
    }

    pub(super) fn hang_up_channel_leg(&mut self, now: Instant, leg: Leg, why: u16) {
        let Some(channel) = self.channels.remove(leg.channel) else {
            return;
        };
        let event = self.channel_event(now, "Hangup", &channel);
        self.tell(
            Class::Call,
            event
                .with("Cause", &why.to_string())
                .with("Cause-txt", cause_text(why)),
        );
        self.tell_device_state(now, &channel.endpoint);
    }

    pub(super) fn tell_leg_device(&mut self, now: Instant, leg: Leg) {
        if let Some(endpoint) = self
            .channels
            .get(leg.channel)
            .map(|channel| channel.endpoint.clone())
        {
            self.tell_device_state(now, &endpoint);
        }
    }

    pub(super) fn tell_channel(
        &mut self,
        now: Instant,
        name: &str,
        id: ChannelId,
        more: impl FnOnce(Packet) -> Packet,
    ) {
        let Some(channel) = self.channels.get(id) else {
            return;
        };
        let event = more(self.channel_event(now, name, channel));
        self.tell(Class::Call, event);
    }

    pub(super) fn tell_hangup_request(&mut self, now: Instant, leg: Leg, why: u16) {
        let why = why.to_string();
        self.tell_channel(now, "HangupRequest", leg.channel, |event| {
            event.with("Cause", &why)
        });
    }

    pub(super) fn tell_dial(
        &mut self,
        now: Instant,
        name: &str,
        caller: Leg,
        dialled: ChannelId,
        more: impl FnOnce(Packet) -> Packet,
    ) {
        let Some(channel) = self.channels.get(dialled).cloned() else {
            return;
        };
        self.tell_channel(now, name, caller.channel, |event| {
            more(channel.describe("Dest", event))
        });
    }

    pub(super) fn tell_bridge(
        &mut self,
        now: Instant,
        name: &str,
        bridge: &str,
        members: u8,
        channel: Option<ChannelId>,
    ) {
        let event = self
            .event(now, Class::Call, name)
            .with("BridgeUniqueid", bridge)
            .with("BridgeType", "basic")
            .with("BridgeTechnology", "simple_bridge")
            .with("BridgeCreator", "<unknown>")
            .with("BridgeName", "<unknown>")
            .with("BridgeNumChannels", &members.to_string())
            .with("BridgeVideoSourceMode", "none");
        let event = match channel.and_then(|id| self.channels.get(id)) {
            Some(channel) => channel.describe("", event),
            None => event,
        };
        self.tell(Class::Call, event);
    }

    /// The callee answered: both channels are up and in a bridge.
    pub(super) fn tell_answered(&mut self, now: Instant, caller: Leg, callee: Leg, bridge: &str) {
        self.set_channel_state(now, callee.channel, ChannelState::Up);
        self.tell_dial(now, "DialEnd", caller, callee.channel, |event| {
            event.with("DialStatus", "ANSWER")
        });
        self.set_channel_state(now, caller.channel, ChannelState::Up);
        self.tell_leg_device(now, callee);
        self.tell_leg_device(now, caller);
        self.tell_bridge(now, "BridgeCreate", bridge, 0, None);
        for (leg, members) in [(callee, 1), (caller, 2)] {
            if let Some(channel) = self.channels.get_mut(leg.channel) {
                channel.bridge = Some(bridge.to_owned());
            }
            self.tell_bridge(now, "BridgeEnter", bridge, members, Some(leg.channel));
        }
    }
}
