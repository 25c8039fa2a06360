//! What can be asked of Asterisk.

use crate::packet::{FieldError, Packet};

/// One action. The session adds the ActionID. Every value is checked for line breaks as it is added.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Action {
    packet: Packet,
}

impl Action {
    /// An action by its name, for what has no constructor here.
    pub fn new(name: &str) -> Result<Self, FieldError> {
        Self {
            packet: Packet::new(),
        }
        .with("Action", name)
    }

    /// Adds a header.
    pub fn with(mut self, key: &str, value: &str) -> Result<Self, FieldError> {
        self.packet.push(key, value)?;
        Ok(self)
    }

    /// The action's name.
    pub fn name(&self) -> &str {
        self.packet.get("Action").unwrap_or_default()
    }

    /// The headers, without an ActionID.
    pub fn packet(&self) -> &Packet {
        &self.packet
    }

    pub(crate) fn into_packet(self) -> Packet {
        self.packet
    }

    /// A name of ours, known to be well formed.
    fn named(name: &'static str) -> Self {
        let mut packet = Packet::new();
        packet.push_read("Action".to_owned(), name.to_owned());
        Self { packet }
    }

    /// `Ping`: answered at once.
    pub fn ping() -> Self {
        Self::named("Ping")
    }

    /// `Logoff`: Asterisk says Goodbye and closes.
    pub fn logoff() -> Self {
        Self::named("Logoff")
    }

    /// `Login`; `events` is `on`, `off` or a comma-separated list of classes such as `system,call,agent`.
    pub fn login(username: &str, secret: &str, events: &str) -> Result<Self, FieldError> {
        Self::named("Login")
            .with("Username", username)?
            .with("Secret", secret)?
            .with("Events", events)
    }

    /// `CoreSettings`: version and system name.
    pub fn core_settings() -> Self {
        Self::named("CoreSettings")
    }

    /// `CoreStatus`: start-up and last reload times.
    pub fn core_status() -> Self {
        Self::named("CoreStatus")
    }

    /// `PJSIPShowContacts`: a list of every stored contact, or `Error: No Contacts found`.
    pub fn show_contacts() -> Self {
        Self::named("PJSIPShowContacts")
    }

    /// `PJSIPShowRegistrationInboundContactStatuses`: the fullest list of contacts.
    pub fn show_inbound_contact_statuses() -> Self {
        Self::named("PJSIPShowRegistrationInboundContactStatuses")
    }

    /// `PJSIPShowEndpoints`: a list of endpoints with their device states.
    pub fn show_endpoints() -> Self {
        Self::named("PJSIPShowEndpoints")
    }

    /// `PJSIPQualify`: sends OPTIONS to every contact of the endpoint now.
    pub fn qualify(endpoint: &str) -> Result<Self, FieldError> {
        Self::named("PJSIPQualify").with("Endpoint", endpoint)
    }

    /// `DeviceStateList`: a list of every device's state.
    pub fn device_state_list() -> Self {
        Self::named("DeviceStateList")
    }

    /// `CoreShowChannels`: a list of live channels.
    pub fn show_channels() -> Self {
        Self::named("CoreShowChannels")
    }

    /// `QueueStatus`: a list of queues, their members and callers.
    pub fn queue_status() -> Self {
        Self::named("QueueStatus")
    }

    /// `QueuePause`: pauses or unpauses an interface (`PJSIP/1001`) in one queue, or in all of them.
    pub fn queue_pause(
        interface: &str,
        paused: bool,
        queue: Option<&str>,
        reason: Option<&str>,
    ) -> Result<Self, FieldError> {
        let paused = if paused { "true" } else { "false" };
        let mut action = Self::named("QueuePause")
            .with("Interface", interface)?
            .with("Paused", paused)?;
        if let Some(queue) = queue {
            action = action.with("Queue", queue)?;
        }
        if let Some(reason) = reason {
            action = action.with("Reason", reason)?;
        }
        Ok(action)
    }

    /// `QueueAdd`: makes an interface a member of a queue.
    pub fn queue_add(queue: &str, interface: &str) -> Result<Self, FieldError> {
        Self::named("QueueAdd")
            .with("Queue", queue)?
            .with("Interface", interface)
    }

    /// `QueueRemove`: ends a membership.
    pub fn queue_remove(queue: &str, interface: &str) -> Result<Self, FieldError> {
        Self::named("QueueRemove")
            .with("Queue", queue)?
            .with("Interface", interface)
    }

    /// `DBPut`: writes one value of Asterisk's own database.
    pub fn db_put(family: &str, key: &str, value: &str) -> Result<Self, FieldError> {
        Self::named("DBPut")
            .with("Family", family)?
            .with("Key", key)?
            .with("Val", value)
    }

    /// `PJSIPSetMaintenance` (22.10 and later): while on, the endpoint's REGISTERs and new calls get 503.
    pub fn set_maintenance(endpoint: &str, on: bool) -> Result<Self, FieldError> {
        Self::named("PJSIPSetMaintenance")
            .with("Endpoint", endpoint)?
            .with("State", if on { "on" } else { "off" })
    }

    /// `Hangup`: ends a channel.
    pub fn hangup(channel: &str) -> Result<Self, FieldError> {
        Self::named("Hangup").with("Channel", channel)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_second_action_cannot_be_smuggled_in() {
        assert!(Action::qualify("1001\r\n\r\nAction: Originate").is_err());
        assert!(Action::login("lab", "pw\r\nEvents: on", "off").is_err());
        assert!(
            Action::queue_pause("PJSIP/1001", true, None, Some("lunch\r\nQueue: other")).is_err()
        );
        assert!(Action::new("Ping\r\nAction: Logoff").is_err());
    }

    #[test]
    fn a_pause_without_a_queue_names_none() {
        let action = Action::queue_pause("PJSIP/1001", true, None, Some("lunch")).unwrap();
        let mut wire = Vec::new();
        action.packet().encode(&mut wire);
        assert_eq!(
            String::from_utf8(wire).unwrap(),
            "Action: QueuePause\r\nInterface: PJSIP/1001\r\nPaused: true\r\nReason: lunch\r\n\r\n"
        );
    }

    #[test]
    fn a_login_hides_its_secret_in_debug() {
        let shown = format!("{:?}", Action::login("lab", "hunter2", "on").unwrap());
        assert!(!shown.contains("hunter2"));
    }
}
