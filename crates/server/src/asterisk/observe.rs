//! AMI events and list items as observations. What names no endpoint is nobody's business here.

use rollcall_alignment::{
    Channel, ChannelState, Contact, ContactEvent, ContactId, ContactStatus, DeviceState, Extension,
    Membership, Observation,
};
use rollcall_ami::{ClientEvent, ContactStatus as AmiStatus, Event, EventKind, event};

/// What an event means to the core, if anything.
pub(super) fn event(event: ClientEvent) -> Option<Observation> {
    match event {
        ClientEvent::Connected => {
            tracing::info!("linked to Asterisk's manager interface");
            Some(Observation::AmiUp)
        }
        // Said again for every new reason; the client has logged it.
        ClientEvent::Lost { .. } => Some(Observation::AmiLost),
        ClientEvent::Event(event) => reported(*event),
    }
}

/// What Asterisk reports.
#[must_use]
pub fn reported(event: Event) -> Option<Observation> {
    match event.kind {
        EventKind::ContactStatus(change) => contact_event(&change),
        EventKind::DeviceStateChange(change) => {
            let (endpoint, state) = device(&change)?;
            Some(Observation::Device { endpoint, state })
        }
        EventKind::Newchannel(changed) | EventKind::Newstate(changed) => {
            channel(&changed).map(Observation::Channel)
        }
        EventKind::Hangup(hangup) => Some(Observation::Hangup {
            unique_id: hangup.channel.unique_id,
        }),
        EventKind::FullyBooted(booted) => Some(Observation::Booted {
            up_for: booted.uptime?,
        }),
        EventKind::QueueMember(member) => queue_member(member),
        _ => None,
    }
}

fn queue_member(member: event::QueueMember) -> Option<Observation> {
    let gone = member.change == event::QueueMemberChange::Removed;
    let membership = membership(&member)?;
    Some(if gone {
        Observation::MemberGone {
            endpoint: membership.endpoint,
            queue: membership.queue,
        }
    } else {
        Observation::Member(membership)
    })
}

/// A queue's member that is an endpoint: an interface such as `PJSIP/1001`.
fn membership(member: &event::QueueMember) -> Option<Membership> {
    Some(Membership {
        endpoint: Extension::new(member.interface.strip_prefix("PJSIP/")?).ok()?,
        queue: member.queue.clone(),
        paused: member.paused,
        reason: member.paused_reason.clone(),
    })
}

/// An item of `QueueStatus`.
#[must_use]
pub fn listed_member(item: &Event) -> Option<Membership> {
    match &item.kind {
        EventKind::QueueMember(member) => membership(member),
        _ => None,
    }
}

/// An item of `PJSIPShowContacts`.
#[must_use]
pub fn listed_contact(item: &Event) -> Option<Contact> {
    let EventKind::Contact(listed) = &item.kind else {
        return None;
    };
    Some(Contact {
        id: ContactId::new(listed.id.as_str()),
        endpoint: endpoint(&listed.endpoint, &listed.aor)?,
        uri: listed.uri.clone(),
        user_agent: listed.user_agent.clone(),
        // A contact of the configuration never ends.
        expires_unix: listed.expires_at.unwrap_or(u64::MAX),
        status: status(&listed.status),
        qualify_frequency: listed.qualify_frequency,
        reg_server: listed.reg_server.clone().unwrap_or_default(),
    })
}

/// An item of `DeviceStateList`.
#[must_use]
pub fn listed_device(item: &Event) -> Option<(Extension, DeviceState)> {
    match &item.kind {
        EventKind::DeviceStateChange(listed) => device(listed),
        _ => None,
    }
}

/// An item of `CoreShowChannels`.
#[must_use]
pub fn listed_channel(item: &Event) -> Option<Channel> {
    match &item.kind {
        EventKind::CoreShowChannel(listed) => channel(&listed.channel),
        _ => None,
    }
}

fn contact_event(change: &event::ContactStatusChange) -> Option<Observation> {
    Some(Observation::ContactEvent(ContactEvent {
        endpoint: endpoint(&change.endpoint, &change.aor)?,
        uri: change.uri.clone(),
        status: status(&change.status),
    }))
}

/// The endpoint is named like the AOR; some versions leave it empty when a contact goes.
fn endpoint(endpoint: &str, aor: &str) -> Option<Extension> {
    Extension::new(if endpoint.is_empty() { aor } else { endpoint }).ok()
}

fn device(change: &event::DeviceStateChange) -> Option<(Extension, DeviceState)> {
    let endpoint = Extension::new(change.endpoint()?).ok()?;
    Some((endpoint, DeviceState::from_word(change.state.as_word())))
}

fn channel(channel: &event::Channel) -> Option<Channel> {
    Some(Channel {
        unique_id: channel.unique_id.clone(),
        endpoint: Extension::new(channel.endpoint()?).ok()?,
        state: ChannelState::from_number(u32::from(channel.state)),
    })
}

fn status(status: &AmiStatus) -> ContactStatus {
    match status {
        AmiStatus::Reachable => ContactStatus::Reachable,
        AmiStatus::Unreachable => ContactStatus::Unreachable,
        AmiStatus::NonQualified => ContactStatus::NonQualified,
        AmiStatus::Removed => ContactStatus::Expired,
        AmiStatus::Unknown | AmiStatus::Other(_) => ContactStatus::Unknown,
    }
}
