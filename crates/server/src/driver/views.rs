//! The core's rows in the words of the wire, and what their changes mean to others.

use rollcall_alignment::{AgentView, ContactStatus, DeviceView, LeaseView, Reason, SourceView};
use rollcall_wire::board;

use super::words::{sentence, status};
use crate::events::{AvailabilityChanged, ContactStatusChanged, Event};

/// A row of the board with everything in it; who sees what of it is the edge's to say.
pub(crate) fn agent(view: &AgentView) -> board::Agent {
    board::Agent {
        extension: view.extension.to_string(),
        status: status(view.status),
        contact_status: view
            .contact_status
            .map_or(board::ContactStatus::Unknown, contact_status),
        online: view.online,
        sip_registered: view.sip_registered,
        reasons: view.reasons.iter().map(reason).collect(),
        since: view.since_unix_ms,
        pause: view.pause.as_ref().map(|pause| board::Pause {
            reason: pause.reason.as_ref().map(ToString::to_string),
            since: pause.since_unix_ms,
            confirmed: pause.confirmed,
        }),
        sources: view
            .sources
            .iter()
            .map(|source| (source.source.as_str().to_owned(), health(source)))
            .collect(),
        devices: view.devices.iter().map(device).collect(),
    }
}

fn contact_status(status: ContactStatus) -> board::ContactStatus {
    match status {
        ContactStatus::Reachable => board::ContactStatus::Reachable,
        ContactStatus::Unreachable => board::ContactStatus::Unreachable,
        ContactStatus::NonQualified => board::ContactStatus::NonQualified,
        ContactStatus::Expired => board::ContactStatus::Expired,
        ContactStatus::Unknown => board::ContactStatus::Unknown,
    }
}

fn reason(reason: &Reason) -> board::Reason {
    board::Reason {
        code: reason.code.as_str().to_owned(),
        message: Some(sentence(reason.code.text())),
        since: reason.since_unix_ms,
    }
}

fn health(source: &SourceView) -> board::SourceHealth {
    board::SourceHealth {
        ok: source.health == "up",
        as_of: (source.health != "never").then_some(source.since_unix_ms),
    }
}

fn device(device: &DeviceView) -> board::Device {
    board::Device {
        id: match (&device.device, &device.contact_hash) {
            (Some(id), _) => id.to_string(),
            (None, hash) => hash.clone().unwrap_or_default(),
        },
        lease: device.lease == LeaseView::Live,
        contact_status: device
            .contact_status
            .map_or(board::ContactStatus::Unknown, contact_status),
        contact_expires: device
            .expires_unix
            .and_then(|expires| i64::try_from(expires).ok()),
        user_agent: device.user_agent.clone(),
    }
}

/// Going online and offline, on the log. Extensions only; no names, no addresses.
pub(super) fn log_presence(before: Option<&AgentView>, view: &AgentView) {
    if before.is_some_and(|before| before.online) == view.online {
        return;
    }
    let word = if view.online {
        "agent online"
    } else {
        "agent offline"
    };
    tracing::info!(extension = %view.extension, event = "agent:status", "{word}");
}

/// What a row's change means to the extension: its contacts' statuses, the state itself.
pub(super) fn events(before: Option<&AgentView>, view: &AgentView) -> Vec<Event> {
    let old_devices = before.map_or(&[][..], |before| &before.devices);
    let mut events = Vec::new();
    for device in &view.devices {
        let old = with_contact(old_devices, device.contact_hash.as_deref());
        let old = old.and_then(|old| old.contact_status);
        events.extend(contact_event(view, device, old, device.contact_status));
    }
    for old in old_devices {
        if with_contact(&view.devices, old.contact_hash.as_deref()).is_none() {
            let expired = Some(ContactStatus::Expired);
            events.extend(contact_event(view, old, old.contact_status, expired));
        }
    }
    if before.is_none_or(|before| before.status != view.status) {
        events.push(Event::AvailabilityChanged(AvailabilityChanged {
            extension: view.extension.to_string(),
            before: before.map(|before| status(before.status)),
            status: status(view.status),
            reasons: view
                .reasons
                .iter()
                .map(|reason| reason.code.as_str())
                .collect(),
            since: view.since_unix_ms,
        }));
    }
    events
}

fn with_contact<'a>(devices: &'a [DeviceView], hash: Option<&str>) -> Option<&'a DeviceView> {
    let hash = hash?;
    devices
        .iter()
        .find(|device| device.contact_hash.as_deref() == Some(hash))
}

fn contact_event(
    view: &AgentView,
    device: &DeviceView,
    before: Option<ContactStatus>,
    after: Option<ContactStatus>,
) -> Option<Event> {
    let contact = device.contact_hash.clone()?;
    (before != after).then(|| {
        Event::ContactStatus(ContactStatusChanged {
            extension: view.extension.to_string(),
            device: device.device.as_ref().map(ToString::to_string),
            contact,
            before: before.map(contact_status),
            status: after.map_or(board::ContactStatus::Unknown, contact_status),
        })
    })
}

/// The hash of the contact that a device has at the registrar, if it has one.
pub(super) fn contact_of(view: &AgentView, device: &str) -> Option<String> {
    view.devices
        .iter()
        .find(|view| view.device.as_ref().is_some_and(|id| id.as_str() == device))
        .and_then(|view| view.contact_hash.clone())
}

#[cfg(test)]
mod tests {
    use rollcall_alignment::{BoardStatus, DeviceId, Extension, ReasonCode};

    use super::*;
    use crate::events::{AVAILABILITY_CHANGED, CONTACT_STATUS};

    fn row(status: BoardStatus, contact: Option<ContactStatus>) -> AgentView {
        let device = |contact_status| DeviceView {
            device: DeviceId::new("device-1").ok(),
            status,
            lease: LeaseView::Live,
            contact_status: Some(contact_status),
            contact_hash: Some("7f3a1b2c".to_owned()),
            contact_uri: Some("sip:1001-a@192.0.2.7".to_owned()),
            user_agent: None,
            expires_unix: None,
            session_since_unix_ms: None,
            reasons: Vec::new(),
        };
        AgentView {
            extension: Extension::new("1001").unwrap(),
            status,
            contact_status: contact,
            online: true,
            sip_registered: contact.is_some(),
            reasons: vec![Reason {
                code: ReasonCode::NotQualified,
                since_unix_ms: 5,
            }],
            since_unix_ms: 5,
            pause: None,
            sources: Vec::new(),
            devices: contact.map(device).into_iter().collect(),
        }
    }

    #[test]
    fn extension_contact_status_and_extension_availability_changed_say_what_changed() {
        let before = row(BoardStatus::NotAvailable, Some(ContactStatus::NonQualified));
        let after = row(BoardStatus::Available, Some(ContactStatus::Reachable));
        let changes = events(Some(&before), &after);
        let names: Vec<_> = changes.iter().map(Event::name).collect();
        assert_eq!(names, [CONTACT_STATUS, AVAILABILITY_CHANGED]);
        assert_eq!(
            names,
            ["extension:contactStatus", "extension:availability_changed"]
        );
        assert_eq!(
            changes[0],
            Event::ContactStatus(ContactStatusChanged {
                extension: "1001".into(),
                device: Some("device-1".into()),
                contact: "7f3a1b2c".into(),
                before: Some(board::ContactStatus::NonQualified),
                status: board::ContactStatus::Reachable,
            })
        );
        assert_eq!(
            changes[1],
            Event::AvailabilityChanged(AvailabilityChanged {
                extension: "1001".into(),
                before: Some(board::BoardStatus::NotAvailable),
                status: board::BoardStatus::Available,
                reasons: vec!["not_qualified"],
                since: 5,
            })
        );
        assert!(events(Some(&after), &after).is_empty());
        let gone = events(Some(&after), &row(BoardStatus::Available, None));
        let [Event::ContactStatus(change)] = &gone[..] else {
            panic!("{gone:?}");
        };
        assert_eq!(change.status, board::ContactStatus::Expired);
    }
}
