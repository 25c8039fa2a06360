//! Queues as managers see and change them: members and their pauses. Nobody can call one here.
//!
//! Members of the configuration come back with every start, unpaused, as static members of Asterisk do; members that a
//! manager added are gone with it, as with `persistentmembers = no`.

use std::collections::BTreeMap;
use std::time::Instant;

use rollcall_ami::answer::Request;
use rollcall_ami::{DeviceState, Packet};

use super::Pbx;
use super::manager::Class;
use crate::config;

/// One place of an interface in one queue.
#[derive(Debug, Clone)]
struct Member {
    /// Added by a manager, not by the configuration.
    is_dynamic: bool,
    paused: bool,
    reason: String,
    /// Seconds since 1970, 0 for never.
    paused_at: u64,
    /// Seconds since 1970.
    came_at: u64,
}

/// All queues, with their members by interface (`PJSIP/1001`).
#[derive(Debug, Default)]
pub(crate) struct Queues(BTreeMap<String, BTreeMap<String, Member>>);

impl Queues {
    /// The queues of the configuration at `epoch`, in seconds since 1970.
    pub(crate) fn new(queues: &[config::Queue], epoch: u64) -> Self {
        let member = |extension: &String| (interface(extension), Member::new(false, epoch));
        let queue = |queue: &config::Queue| {
            let members = queue.members.iter().map(member).collect();
            (queue.name.clone(), members)
        };
        Self(queues.iter().map(queue).collect())
    }

    /// The names of the queues that have this interface as a member.
    fn of(&self, interface: &str) -> Vec<String> {
        let has = |(name, members): (&String, &BTreeMap<String, Member>)| {
            members.contains_key(interface).then(|| name.clone())
        };
        self.0.iter().filter_map(has).collect()
    }
}

impl Member {
    fn new(is_dynamic: bool, came_at: u64) -> Self {
        Self {
            is_dynamic,
            paused: false,
            reason: String::new(),
            paused_at: 0,
            came_at,
        }
    }
}

impl Pbx {
    pub(super) fn show_queues(&self, request: &Request) -> Vec<Packet> {
        let wanted = |key, name: &str| {
            let asked = request.get(key).filter(|asked| !asked.is_empty());
            asked.is_none_or(|asked| asked == name)
        };
        let mut items = Vec::new();
        for (queue, members) in self
            .queues
            .0
            .iter()
            .filter(|(name, _)| wanted("Queue", name))
        {
            items.push(parameters(queue));
            for (interface, member) in members.iter().filter(|(name, _)| wanted("Member", name)) {
                let item = Packet::event("QueueMember")
                    .with("Queue", queue)
                    .with("Name", interface)
                    .with("Location", interface);
                items.push(self.describe_member(item, interface, member));
            }
        }
        request.list("Queue status will follow", items, "QueueStatusComplete")
    }

    /// Pauses an interface in the queue that is named, or in all of its queues; told of each, changed or not.
    pub(super) fn pause_member(&mut self, now: Instant, request: &Request) -> Packet {
        let (Some(interface), Some(paused)) = (request.get("Interface"), request.get("Paused"))
        else {
            return request.error("Need 'Interface' and 'Paused' parameters.");
        };
        let paused = is_true(paused);
        let mut found = self.queues.of(interface);
        found.retain(|name| request.get("Queue").is_none_or(|queue| queue == name));
        if found.is_empty() {
            return request.error("Interface not found");
        }
        for queue in found {
            let epoch = self.epoch(now).as_secs();
            let members = self.queues.0.get_mut(&queue);
            if let Some(member) = members.and_then(|members| members.get_mut(interface)) {
                let reason = request.get("Reason").filter(|_| paused);
                member.reason = reason.unwrap_or_default().to_owned();
                member.paused = paused;
                member.paused_at = if paused { epoch } else { member.paused_at };
            }
            self.tell_member(now, "QueueMemberPause", &queue, interface);
        }
        request.success(match paused {
            true => "Interface paused successfully",
            false => "Interface unpaused successfully",
        })
    }

    pub(super) fn add_member(&mut self, now: Instant, request: &Request) -> Packet {
        let (Some(queue), Some(interface)) = (request.get("Queue"), request.get("Interface"))
        else {
            return request.error("'Queue' and 'Interface' not specified.");
        };
        let epoch = self.epoch(now).as_secs();
        let Some(members) = self.queues.0.get_mut(queue) else {
            return request.error("Unable to add interface to queue: No such queue");
        };
        if members.contains_key(interface) {
            return request.error("Unable to add interface: Already there");
        }
        members.insert(interface.to_owned(), Member::new(true, epoch));
        self.tell_member(now, "QueueMemberAdded", queue, interface);
        request.success("Added interface to queue")
    }

    pub(super) fn remove_member(&mut self, now: Instant, request: &Request) -> Packet {
        let (Some(queue), Some(interface)) = (request.get("Queue"), request.get("Interface"))
        else {
            return request.error("Need 'Queue' and 'Interface' parameters.");
        };
        let Some(members) = self.queues.0.get(queue) else {
            return request.error("Unable to remove interface from queue: No such queue");
        };
        match members.get(interface) {
            None => return request.error("Unable to remove interface: Not there"),
            Some(member) if !member.is_dynamic => return request.error("Member not dynamic"),
            Some(_) => {}
        }
        self.tell_member(now, "QueueMemberRemoved", queue, interface);
        if let Some(members) = self.queues.0.get_mut(queue) {
            members.remove(interface);
        }
        request.success("Removed interface from queue")
    }

    /// An endpoint's device state is another one: its queues tell of it too.
    pub(super) fn tell_members_state(&mut self, now: Instant, endpoint: &str) {
        let interface = interface(endpoint);
        for queue in self.queues.of(&interface) {
            self.tell_member(now, "QueueMemberStatus", &queue, &interface);
        }
    }

    fn tell_member(&mut self, now: Instant, event: &str, queue: &str, interface: &str) {
        let Some(member) = self
            .queues
            .0
            .get(queue)
            .and_then(|members| members.get(interface))
        else {
            return;
        };
        let event = self
            .event(now, Class::Agent, event)
            .with("Queue", queue)
            .with("MemberName", interface)
            .with("Interface", interface);
        let event = self.describe_member(event, interface, member);
        self.tell(Class::Agent, event);
    }

    /// What lists and events say of a member alike.
    fn describe_member(&self, packet: Packet, interface: &str, member: &Member) -> Packet {
        let endpoint = interface.strip_prefix("PJSIP/").unwrap_or_default();
        let number = match self.people.contains_key(endpoint) {
            true => device_number(&self.device_state(endpoint)),
            false => device_number(&DeviceState::Invalid),
        };
        packet
            .with("StateInterface", interface)
            .with(
                "Membership",
                if member.is_dynamic {
                    "dynamic"
                } else {
                    "static"
                },
            )
            .with("Penalty", "0")
            .with("CallsTaken", "0")
            .with("LastCall", "0")
            .with("LastPause", &member.paused_at.to_string())
            .with("LoginTime", &member.came_at.to_string())
            .with("InCall", "0")
            .with("Status", number)
            .with("Paused", if member.paused { "1" } else { "0" })
            .with("PausedReason", &member.reason)
            .with("Wrapuptime", "0")
    }
}

/// The item of a queue: nobody has called it.
fn parameters(queue: &str) -> Packet {
    let zeros = ["Calls", "Holdtime", "TalkTime", "Completed", "Abandoned"];
    let item = Packet::event("QueueParams")
        .with("Queue", queue)
        .with("Max", "0")
        .with("Strategy", "ringall");
    zeros.iter().fold(item, |item, key| item.with(key, "0"))
}

fn interface(extension: &str) -> String {
    format!("PJSIP/{extension}")
}

/// Asterisk's `ast_true`.
fn is_true(word: &str) -> bool {
    ["yes", "true", "y", "t", "1", "on"]
        .iter()
        .any(|yes| word.eq_ignore_ascii_case(yes))
}

/// Asterisk's `enum ast_device_state`.
fn device_number(state: &DeviceState) -> &'static str {
    match state {
        DeviceState::NotInUse => "1",
        DeviceState::InUse => "2",
        DeviceState::Busy => "3",
        DeviceState::Invalid => "4",
        DeviceState::Unavailable => "5",
        DeviceState::Ringing => "6",
        DeviceState::RingInUse => "7",
        DeviceState::OnHold => "8",
        _ => "0",
    }
}
