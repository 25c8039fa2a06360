//! The core's rows in the words of the wire, and the log lines of what changed.

use rollcall_alignment::{
    AgentView, BoardStatus, ContactStatus, DeviceView, LeaseView, Reason, SourceView,
};
use rollcall_wire::board;

/// A row of the board with everything in it; who sees what of it is the edge's to say.
pub(super) fn agent(view: &AgentView) -> board::Agent {
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
        sources: view
            .sources
            .iter()
            .map(|source| (source.source.as_str().to_owned(), health(source)))
            .collect(),
        devices: view.devices.iter().map(device).collect(),
    }
}

fn status(status: BoardStatus) -> board::BoardStatus {
    match status {
        BoardStatus::Unknown => board::BoardStatus::Unknown,
        BoardStatus::Offline => board::BoardStatus::Offline,
        BoardStatus::LoggingOut => board::BoardStatus::LoggingOut,
        BoardStatus::OnCall => board::BoardStatus::OnCall,
        BoardStatus::Ringing => board::BoardStatus::Ringing,
        BoardStatus::WrapUp => board::BoardStatus::WrapUp,
        BoardStatus::Paused => board::BoardStatus::Paused,
        BoardStatus::NotAvailable => board::BoardStatus::NotAvailable,
        BoardStatus::Unverified => board::BoardStatus::Unverified,
        BoardStatus::Available => board::BoardStatus::Available,
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

fn sentence(text: &str) -> String {
    let mut letters = text.chars();
    letters.next().map_or_else(String::new, |first| {
        first.to_uppercase().chain(letters).chain(['.']).collect()
    })
}

/// The log lines of a row's change: contact statuses, going online and offline, the state itself.
/// Extension, device and contact hash; no names, no addresses.
pub(super) fn log_change(before: Option<&AgentView>, view: &AgentView) {
    let extension = &view.extension;
    let old_devices = before.map_or(&[][..], |before| &before.devices);
    for device in &view.devices {
        let Some(contact) = &device.contact_hash else {
            continue;
        };
        let old = old_devices
            .iter()
            .find(|old| old.contact_hash.as_ref() == Some(contact));
        log_contact(
            view,
            device.device.as_ref(),
            contact,
            old.and_then(|old| old.contact_status),
            device.contact_status,
        );
    }
    for old in old_devices {
        let Some(contact) = &old.contact_hash else {
            continue;
        };
        if !view
            .devices
            .iter()
            .any(|device| device.contact_hash.as_ref() == Some(contact))
        {
            let expired = Some(ContactStatus::Expired);
            log_contact(
                view,
                old.device.as_ref(),
                contact,
                old.contact_status,
                expired,
            );
        }
    }
    if before.is_some_and(|before| before.online) != view.online {
        let word = if view.online {
            "agent online"
        } else {
            "agent offline"
        };
        tracing::info!(%extension, event = "agent:status", "{word}");
    }
    if before.is_none_or(|before| before.status != view.status) {
        let reasons: Vec<_> = view
            .reasons
            .iter()
            .map(|reason| reason.code.as_str())
            .collect();
        tracing::info!(
            %extension,
            event = "extension:availability_changed",
            status = view.status.as_str(),
            reasons = reasons.join(","),
            "availability changed"
        );
    }
}

fn log_contact(
    view: &AgentView,
    device: Option<&rollcall_alignment::DeviceId>,
    contact: &str,
    before: Option<ContactStatus>,
    after: Option<ContactStatus>,
) {
    if before == after {
        return;
    }
    tracing::info!(
        extension = %view.extension,
        device = device.map_or("none", |device| device.as_str()),
        contact,
        event = "extension:contactStatus",
        status = after.map_or("none", ContactStatus::as_str),
        "contact status changed"
    );
}
