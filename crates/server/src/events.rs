//! What happens to extensions, for consumers inside the server: the internal events
//! `extension:contactStatus` and `extension:availability_changed`.
//!
//! The driver publishes one when the committed change it speaks of leaves, in the order of the
//! board. The bus is bounded: a consumer that is too far behind is told how many it missed
//! (`RecvError::Lagged`) and starts again from the board. Nothing in an event is an address or a
//! name.

use rollcall_wire::board::{BoardStatus, ContactStatus};
use tokio::sync::broadcast;

/// The name of [`Event::ContactStatus`].
pub const CONTACT_STATUS: &str = "extension:contactStatus";
/// The name of [`Event::AvailabilityChanged`].
pub const AVAILABILITY_CHANGED: &str = "extension:availability_changed";

/// Events a consumer may be behind.
const KEPT: usize = 4_096;

/// One event.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Event {
    /// `extension:contactStatus`: the status of one contact is another than it was.
    ContactStatus(ContactStatusChanged),
    /// `extension:availability_changed`: an agent's state on the board is another than it was.
    AvailabilityChanged(AvailabilityChanged),
}

/// The payload of `extension:contactStatus`.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct ContactStatusChanged {
    /// Whose.
    pub extension: String,
    /// The installation it belongs to; `None` for a phone that is not ours.
    pub device: Option<String>,
    /// The contact hash: the first 8 characters of the registrar's hash of the contact.
    pub contact: String,
    /// The status before; `None` for a contact that was not known.
    pub before: Option<ContactStatus>,
    /// The status now; `Expired` for one that is gone.
    pub status: ContactStatus,
}

/// The payload of `extension:availability_changed`.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct AvailabilityChanged {
    /// Whose.
    pub extension: String,
    /// The state before; `None` for an agent that was not on the board.
    pub before: Option<BoardStatus>,
    /// The state now.
    pub status: BoardStatus,
    /// The codes of its reasons, the weightiest first.
    pub reasons: Vec<&'static str>,
    /// Since when, milliseconds since the Unix epoch.
    pub since: u64,
}

impl Event {
    /// The name by which the design knows it.
    #[must_use]
    pub fn name(&self) -> &'static str {
        match self {
            Self::ContactStatus(_) => CONTACT_STATUS,
            Self::AvailabilityChanged(_) => AVAILABILITY_CHANGED,
        }
    }

    /// The extension it is about.
    #[must_use]
    pub fn extension(&self) -> &str {
        match self {
            Self::ContactStatus(change) => &change.extension,
            Self::AvailabilityChanged(change) => &change.extension,
        }
    }

    fn log(&self) {
        match self {
            Self::ContactStatus(change) => tracing::info!(
                extension = change.extension,
                device = change.device.as_deref().unwrap_or("none"),
                contact = change.contact,
                event = CONTACT_STATUS,
                status = ?change.status,
                "contact status changed"
            ),
            Self::AvailabilityChanged(change) => tracing::info!(
                extension = change.extension,
                event = AVAILABILITY_CHANGED,
                status = ?change.status,
                reasons = change.reasons.join(","),
                "availability changed"
            ),
        }
    }
}

/// Where events are published.
#[derive(Clone, Debug)]
pub(crate) struct Bus(broadcast::Sender<Event>);

impl Default for Bus {
    fn default() -> Self {
        Self(broadcast::channel(KEPT).0)
    }
}

impl Bus {
    /// Logs an event and hands it to everybody who listens.
    pub(crate) fn publish(&self, event: Event) {
        event.log();
        let _ = self.0.send(event);
    }

    pub(crate) fn subscribe(&self) -> broadcast::Receiver<Event> {
        self.0.subscribe()
    }
}
