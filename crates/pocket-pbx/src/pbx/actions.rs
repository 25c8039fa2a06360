//! What manager actions mean here.

use std::time::{Duration, Instant};

use rollcall_ami::answer::Request;
use rollcall_ami::{ContactId, Packet};

use super::device::prose;
use super::manager::ManagerId;
use super::registrar::StoredContact;
use super::{Pbx, extension_status_fields};

/// Where Asterisk's registrar keeps contacts in astdb.
const CONTACT_FAMILY: &str = "registrar/contact";

impl Pbx {
    pub(super) fn handle_action(&mut self, now: Instant, id: ManagerId, request: &Request) {
        let answer = match request.name().to_ascii_lowercase().as_str() {
            "login" => vec![request.success("Authentication accepted")],
            "logoff" => {
                self.managers.answer(id, &[request.goodbye()]);
                return self.managers.close(id);
            }
            "ping" => vec![
                request
                    .respond("Success")
                    .with("Ping", "Pong")
                    .with("Timestamp", &self.timestamp(now)),
            ],
            "events" => self.set_events(id, request),
            "pjsipshowcontacts" => self.show_contacts(request),
            "pjsipshowregistrationinboundcontactstatuses" => self.show_contact_statuses(request),
            "pjsipshowendpoints" => self.show_endpoints(request),
            "devicestatelist" => self.show_device_states(request),
            "extensionstatelist" => self.show_extension_states(request),
            "coreshowchannels" => self.show_channels(now, request),
            "queuestatus" => self.show_queues(request),
            "coresettings" => vec![self.core_settings(request)],
            "pjsipqualify" => vec![self.qualify_endpoint(now, request)],
            "dbget" => self.get(request),
            "dbput" => vec![self.put(request)],
            "hangup" => vec![self.hang_up_channel(now, request)],
            "queuepause" => vec![self.pause_member(now, request)],
            "queueadd" => vec![self.add_member(now, request)],
            "queueremove" => vec![self.remove_member(now, request)],
            _ => vec![request.error("Invalid/unknown command")],
        };
        self.managers.answer(id, &answer);
    }

    fn set_events(&mut self, id: ManagerId, request: &Request) -> Vec<Packet> {
        self.managers
            .set_mask(id, request.get("EventMask").unwrap_or("on"));
        vec![request.respond("Success").with("Events", "On")]
    }

    /// Reads storage as Asterisk does: an empty list is an error (F15).
    fn show_contacts(&self, request: &Request) -> Vec<Packet> {
        let items: Vec<_> = self
            .registrar
            .rows()
            .map(|(aor, contact)| self.listed_contact(aor, contact))
            .collect();
        if items.is_empty() {
            return vec![request.error("No Contacts found")];
        }
        let message = "A listing of Contacts follows, presented as ContactList events";
        request.list(message, items, "ContactListComplete")
    }

    fn listed_contact(&self, aor: &str, contact: &StoredContact) -> Packet {
        let policy = &self.config.aor;
        Packet::event("ContactList")
            .with("ObjectType", "contact")
            .with("ObjectName", contact.id.as_str())
            .with("ViaAddr", &contact.source.ip().to_string())
            .with("QualifyTimeout", &format!("{:.6}", policy.qualify_timeout))
            .with(
                "Qualify2xxOnly",
                if policy.qualify_2xx_only {
                    "true"
                } else {
                    "false"
                },
            )
            .with("CallId", &contact.call_id)
            .with("RegServer", &self.config.system_name)
            .with("PruneOnBoot", "no")
            .with("Path", "")
            .with("Endpoint", aor)
            .with("ViaPort", &contact.source.port().to_string())
            .with("AuthenticateQualify", "no")
            .with("Uri", &contact.uri_text)
            .with("QualifyFrequency", &policy.qualify_frequency.to_string())
            .with("UserAgent", &contact.user_agent)
            .with("ExpirationTime", &self.expiration_time(contact).to_string())
            .with("OutboundProxy", "")
            .with("Status", contact.status.as_word())
            .with("RoundtripUsec", &round_trip(contact))
    }

    fn show_contact_statuses(&self, request: &Request) -> Vec<Packet> {
        let items = self
            .registrar
            .rows()
            .map(|(aor, contact)| self.contact_status_detail(aor, contact))
            .collect();
        let message = "Following are ContactStatusEvents for each Inbound registration";
        request.list(message, items, "ContactStatusDetailComplete")
    }

    fn contact_status_detail(&self, aor: &str, contact: &StoredContact) -> Packet {
        let policy = &self.config.aor;
        Packet::event("ContactStatusDetail")
            .with("AOR", aor)
            .with("URI", &contact.uri_text)
            .with("UserAgent", &contact.user_agent)
            .with("RegExpire", &self.expiration_time(contact).to_string())
            .with("ViaAddress", &contact.source.to_string())
            .with("CallID", &contact.call_id)
            .with("Status", contact.status.as_word())
            .with("RoundtripUsec", &round_trip(contact))
            .with("EndpointName", aor)
            .with("ID", contact.id.as_str())
            .with("AuthenticateQualify", "0")
            .with("OutboundProxy", "")
            .with("Path", "")
            .with("QualifyFrequency", &policy.qualify_frequency.to_string())
            .with("QualifyTimeout", &format!("{:.3}", policy.qualify_timeout))
            .with(
                "Qualify2xxOnly",
                if policy.qualify_2xx_only { "1" } else { "0" },
            )
    }

    fn show_endpoints(&self, request: &Request) -> Vec<Packet> {
        let items = self.people.keys().map(|name| {
            let contacts = self.registrar.contacts(name).iter();
            let contacts: String = contacts
                .map(|contact| format!("{name}/{},", contact.uri_text))
                .collect();
            Packet::event("EndpointList")
                .with("ObjectType", "endpoint")
                .with("ObjectName", name)
                .with("Transport", "")
                .with("Aor", name)
                .with("Auths", name)
                .with("OutboundAuths", "")
                .with("Contacts", &contacts)
                .with("DeviceState", prose(&self.device_state(name)))
                .with(
                    "ActiveChannels",
                    &self.channels.of_endpoint(name).count().to_string(),
                )
        });
        let message = "A listing of Endpoints follows, presented as EndpointList events";
        request.list(message, items.collect(), "EndpointListComplete")
    }

    /// States as last told, as Asterisk lists its cache.
    fn show_device_states(&self, request: &Request) -> Vec<Packet> {
        let items = self.told.iter().map(|(name, state)| {
            Packet::event("DeviceStateChange")
                .with("Device", &format!("PJSIP/{name}"))
                .with("State", state.as_word())
        });
        request.list(
            "Device State Changes will follow",
            items.collect(),
            "DeviceStateListComplete",
        )
    }

    fn show_extension_states(&self, request: &Request) -> Vec<Packet> {
        let items = self.people.keys().map(|name| {
            extension_status_fields(
                Packet::event("ExtensionStatus"),
                name,
                &self.device_state(name),
            )
        });
        request.list(
            "Extension Statuses will follow",
            items.collect(),
            "ExtensionStateListComplete",
        )
    }

    fn show_channels(&self, now: Instant, request: &Request) -> Vec<Packet> {
        let items = self.channels.iter().rev().map(|channel| {
            let age = now.saturating_duration_since(channel.began_at).as_secs();
            let age = format!("{:02}:{:02}:{:02}", age / 3600, age / 60 % 60, age % 60);
            channel
                .describe("", Packet::event("CoreShowChannel"))
                .with("Application", channel.application)
                .with("ApplicationData", "")
                .with("Duration", &age)
                .with("BridgeId", channel.bridge.as_deref().unwrap_or_default())
        });
        request.list(
            "Channels will follow",
            items.collect(),
            "CoreShowChannelsComplete",
        )
    }

    fn core_settings(&self, request: &Request) -> Packet {
        request
            .respond("Success")
            .with("AMIversion", "11.0.0")
            .with(
                "AsteriskVersion",
                concat!("22 (pocket ", env!("CARGO_PKG_VERSION"), ")"),
            )
            .with("SystemName", &self.config.system_name)
    }

    fn qualify_endpoint(&mut self, now: Instant, request: &Request) -> Packet {
        let name = request.get("Endpoint").unwrap_or_default();
        if !self.people.contains_key(name) {
            return request.error("Unable to retrieve endpoint");
        }
        let contacts: Vec<ContactId> = self
            .registrar
            .contacts(name)
            .iter()
            .map(|contact| contact.id.clone())
            .collect();
        for contact in contacts {
            self.qualify(now, &contact);
        }
        request.success("Endpoint found, will qualify")
    }

    /// `DBGet` of a contact from the registrar's family, in the form that sorcery stores: every value a text.
    fn get(&self, request: &Request) -> Vec<Packet> {
        let key = request
            .get("Key")
            .filter(|_| request.get("Family") == Some(CONTACT_FAMILY));
        let id = ContactId::new(key.unwrap_or_default());
        let Some((aor, contact)) = self.registrar.rows().find(|(_, contact)| contact.id == id)
        else {
            return vec![request.error("Database entry not found")];
        };
        let value = serde_json::json!({
            "uri": contact.uri_text,
            "expiration_time": self.expiration_time(contact).to_string(),
            "qualify_frequency": self.config.aor.qualify_frequency.to_string(),
            "user_agent": contact.user_agent,
            "endpoint": aor,
            "reg_server": self.config.system_name,
            "via_addr": contact.source.ip().to_string(),
            "via_port": contact.source.port().to_string(),
            "call_id": contact.call_id,
            "prune_on_boot": "no",
        });
        let item = Packet::event("DBGetResponse")
            .with("Family", CONTACT_FAMILY)
            .with("Key", id.as_str())
            .with("Val", &value.to_string());
        request.list("Result will follow", vec![item], "DBGetComplete")
    }

    /// `DBPut` into the registrar's family with a past `expiration_time` is the slow eviction (F6): not called from
    /// now on, gone with all events at the next check. Nothing else is stored.
    fn put(&mut self, request: &Request) -> Packet {
        let expiration = request
            .get("Val")
            .filter(|_| request.get("Family") == Some(CONTACT_FAMILY))
            .and_then(|value| serde_json::from_str::<serde_json::Value>(value).ok())
            .and_then(|value| expiration_of(&value));
        let (Some(expiration), Some(key)) = (expiration, request.get("Key")) else {
            return request.error("Failed to update entry");
        };
        let expires_at = self.instant(expiration);
        let Some(contact) = self.registrar.find_mut(&ContactId::new(key)) else {
            return request.error("Failed to update entry");
        };
        contact.expires_at = expires_at;
        request.success("Updated database successfully")
    }

    fn hang_up_channel(&mut self, now: Instant, request: &Request) -> Packet {
        match self.hang_up_named(now, request.get("Channel").unwrap_or_default()) {
            true => request.success("Channel Hungup"),
            false => request.error("No such channel"),
        }
    }

    /// Seconds since 1970, whole as in Asterisk's table; long past for what was evicted.
    pub(super) fn expiration_time(&self, contact: &StoredContact) -> u64 {
        let since_start = contact.expires_at.checked_duration_since(self.started_at);
        let before_start = self
            .started_at
            .saturating_duration_since(contact.expires_at);
        let epoch = match since_start {
            Some(since) => self.started_epoch + since,
            None => self.started_epoch.saturating_sub(before_start),
        };
        epoch.as_secs()
    }

    /// When it is this long since 1970, by the clock of this house.
    pub(super) fn instant(&self, epoch: Duration) -> Instant {
        match epoch.checked_sub(self.started_epoch) {
            Some(since_start) => self.started_at + since_start,
            None => {
                let before_start = self.started_epoch.saturating_sub(epoch);
                let instant = self.started_at.checked_sub(before_start);
                // Where the clock cannot tell of a time so long past, it is past all the same.
                instant.unwrap_or(self.started_at)
            }
        }
    }

    fn timestamp(&self, now: Instant) -> String {
        let epoch = self.epoch(now);
        format!("{}.{:06}", epoch.as_secs(), epoch.subsec_micros())
    }
}

fn round_trip(contact: &StoredContact) -> String {
    contact
        .round_trip
        .map_or_else(|| "N/A".to_owned(), |time| time.as_micros().to_string())
}

/// Asterisk writes the number as a text.
fn expiration_of(contact: &serde_json::Value) -> Option<Duration> {
    let field = contact.get("expiration_time")?;
    let seconds = field.as_u64().or_else(|| field.as_str()?.parse().ok())?;
    Some(Duration::from_secs(seconds))
}
