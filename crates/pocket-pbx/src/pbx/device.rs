//! Device states: one an endpoint, whatever the number of its devices (F17).

use rollcall_ami::{ContactStatus, DeviceState};

use super::channel::{Channel, ChannelState};
use super::registrar::StoredContact;

/// What Asterisk says of an endpoint with these contacts and channels.
///
/// A contact that is not (yet) qualified counts as available (F14); channels count before contacts.
pub(crate) fn device_state<'a>(
    contacts: &[StoredContact],
    channels: impl Iterator<Item = &'a Channel>,
) -> DeviceState {
    let (mut ringing, mut in_use) = (false, false);
    for channel in channels {
        match channel.state {
            ChannelState::Ringing => ringing = true,
            ChannelState::Ring | ChannelState::Up => in_use = true,
            ChannelState::Down => {}
        }
    }
    match (ringing, in_use) {
        (true, true) => DeviceState::RingInUse,
        (true, false) => DeviceState::Ringing,
        (false, true) => DeviceState::InUse,
        (false, false) if is_available(contacts) => DeviceState::NotInUse,
        (false, false) => DeviceState::Unavailable,
    }
}

/// Whether an endpoint with these contacts can be called.
pub(crate) fn is_available(contacts: &[StoredContact]) -> bool {
    contacts
        .iter()
        .any(|contact| contact.in_memory && contact.status != ContactStatus::Unreachable)
}

/// `ExtensionStatus`: its number and word for a device state.
pub(crate) fn extension_status(state: &DeviceState) -> (&'static str, &'static str) {
    match state {
        DeviceState::NotInUse => ("0", "Idle"),
        DeviceState::InUse => ("1", "InUse"),
        DeviceState::Busy => ("2", "Busy"),
        DeviceState::Ringing => ("8", "Ringing"),
        DeviceState::RingInUse => ("9", "InUse&Ringing"),
        DeviceState::OnHold => ("16", "Hold"),
        _ => ("4", "Unavailable"),
    }
}

/// The prose of `EndpointList`.
pub(crate) fn prose(state: &DeviceState) -> &'static str {
    match state {
        DeviceState::NotInUse => "Not in use",
        DeviceState::InUse => "In use",
        DeviceState::Busy => "Busy",
        DeviceState::Ringing => "Ringing",
        DeviceState::RingInUse => "Ring+Inuse",
        DeviceState::OnHold => "On Hold",
        _ => "Unavailable",
    }
}
