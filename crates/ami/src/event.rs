//! Typed views of what Asterisk reports.
//!
//! Every packet that is not a response becomes an [`Event`]; what has no type of its own here is kept raw, so that a
//! new event of a new version is never an error. A typed event whose key field is missing is kept raw as well.

use std::time::Duration;

use crate::contact::{ContactId, ContactStatus, decode_stored};
use crate::packet::Packet;

/// One event, or one item of a list.
#[derive(Debug, Clone, PartialEq)]
pub struct Event {
    /// What happened.
    pub kind: EventKind,
    /// Asterisk's clock at the event, since the Unix epoch (with `timestampevents = yes`).
    pub timestamp: Option<Duration>,
    /// Asterisk's `systemname`, where it has one.
    pub system_name: Option<String>,
}

/// What happened.
#[derive(Debug, Clone, PartialEq)]
#[non_exhaustive]
pub enum EventKind {
    /// Asterisk is ready; sent after every login.
    FullyBooted(FullyBooted),
    /// Asterisk is going down.
    Shutdown,
    /// A contact's reachability changed.
    ContactStatus(ContactStatusChange),
    /// A stored contact: an item of `PJSIPShowContacts` or `PJSIPShowRegistrationInboundContactStatuses`.
    Contact(Contact),
    /// A device's state: a change, or an item of `DeviceStateList`.
    DeviceStateChange(DeviceStateChange),
    /// An endpoint gained its first or lost its last reachable contact.
    PeerStatus(PeerStatus),
    /// A hint's state.
    ExtensionStatus(ExtensionStatus),
    /// An endpoint: an item of `PJSIPShowEndpoints`.
    Endpoint(Endpoint),
    /// A channel came to be.
    Newchannel(Channel),
    /// A channel's state changed.
    Newstate(Channel),
    /// A channel ended.
    Hangup(Hangup),
    /// A channel, or Asterisk itself, began to dial another.
    DialBegin(Box<Dial>),
    /// A dialled channel made progress.
    DialState(Box<Dial>),
    /// Dialling ended, by an answer or otherwise.
    DialEnd(Box<Dial>),
    /// A bridge came to be.
    BridgeCreate(Bridge),
    /// A bridge ended.
    BridgeDestroy(Bridge),
    /// A channel entered a bridge.
    BridgeEnter(Bridge, Channel),
    /// A channel left a bridge.
    BridgeLeave(Bridge, Channel),
    /// A live channel: an item of `CoreShowChannels`.
    CoreShowChannel(ShownChannel),
    /// A queue: an item of `QueueStatus`.
    QueueParams(QueueParams),
    /// A queue's member: an item of `QueueStatus`, or a change of one.
    QueueMember(QueueMember),
    /// Anything else, as it came.
    Other(Packet),
}

/// `FullyBooted`.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct FullyBooted {
    /// How long Asterisk has been up: a smaller one than last time means a restart.
    pub uptime: Option<Duration>,
    /// How long ago it was last reloaded.
    pub last_reload: Option<Duration>,
}

/// `ContactStatus`. It names the contact by URI, not by id: the id is the MD5 of that URI (see [`crate::ContactId`]).
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct ContactStatusChange {
    /// The contact's URI as Asterisk stores it.
    pub uri: String,
    /// Its address of record.
    pub aor: String,
    /// Its endpoint; empty in some versions when the contact is removed.
    pub endpoint: String,
    /// The new status.
    pub status: ContactStatus,
    /// The last OPTIONS round trip, where there was one.
    pub round_trip: Option<Duration>,
}

/// A stored contact.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Contact {
    /// Row id, decoded.
    pub id: ContactId,
    /// Address of record.
    pub aor: String,
    /// Endpoint.
    pub endpoint: String,
    /// Contact URI as stored, decoded.
    pub uri: String,
    /// User-Agent of the REGISTER, decoded.
    pub user_agent: String,
    /// Call-ID of the first REGISTER.
    pub call_id: String,
    /// When it ends, in seconds since the Unix epoch.
    pub expires_at: Option<u64>,
    /// Its reachability.
    pub status: ContactStatus,
    /// The last OPTIONS round trip.
    pub round_trip: Option<Duration>,
    /// `systemname` of the Asterisk that registered it, where the list tells it (`PJSIPShowContacts` only).
    pub reg_server: Option<String>,
    /// Seconds between OPTIONS, 0 for never.
    pub qualify_frequency: u32,
}

/// A device's state.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum DeviceState {
    /// `UNKNOWN`.
    Unknown,
    /// `NOT_INUSE`: idle and reachable.
    NotInUse,
    /// `INUSE`: in a call.
    InUse,
    /// `BUSY`.
    Busy,
    /// `INVALID`: Asterisk has no such device.
    Invalid,
    /// `UNAVAILABLE`: no contact that could be called.
    Unavailable,
    /// `RINGING`.
    Ringing,
    /// `RINGINUSE`: in a call and ringing.
    RingInUse,
    /// `ONHOLD`.
    OnHold,
    /// A word that we do not know.
    Other(String),
}

impl DeviceState {
    /// Reads Asterisk's word, as in `DeviceStateChange`.
    pub fn from_word(word: &str) -> Self {
        match word {
            "UNKNOWN" => Self::Unknown,
            "NOT_INUSE" => Self::NotInUse,
            "INUSE" => Self::InUse,
            "BUSY" => Self::Busy,
            "INVALID" => Self::Invalid,
            "UNAVAILABLE" => Self::Unavailable,
            "RINGING" => Self::Ringing,
            "RINGINUSE" => Self::RingInUse,
            "ONHOLD" => Self::OnHold,
            other => Self::Other(other.to_owned()),
        }
    }

    /// Asterisk's word for it.
    pub fn as_word(&self) -> &str {
        match self {
            Self::Unknown => "UNKNOWN",
            Self::NotInUse => "NOT_INUSE",
            Self::InUse => "INUSE",
            Self::Busy => "BUSY",
            Self::Invalid => "INVALID",
            Self::Unavailable => "UNAVAILABLE",
            Self::Ringing => "RINGING",
            Self::RingInUse => "RINGINUSE",
            Self::OnHold => "ONHOLD",
            Self::Other(word) => word,
        }
    }
}

/// A device and its state.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct DeviceStateChange {
    /// The device, such as `PJSIP/1001` or `Queue:support_avail`.
    pub device: String,
    /// Its state.
    pub state: DeviceState,
}

impl DeviceStateChange {
    /// The PJSIP endpoint it speaks of, if it is one.
    pub fn endpoint(&self) -> Option<&str> {
        self.device.strip_prefix("PJSIP/")
    }
}

/// `PeerStatus`.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct PeerStatus {
    /// The peer, such as `PJSIP/1001`.
    pub peer: String,
    /// `Reachable`, `Unreachable`, ...
    pub status: String,
}

/// `ExtensionStatus`.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct ExtensionStatus {
    /// The extension.
    pub exten: String,
    /// Its dialplan context.
    pub context: String,
    /// The devices behind it.
    pub hint: String,
    /// Asterisk's number for the state: 0 idle, 1 in use, 2 busy, 4 unavailable, 8 ringing, 16 on hold, -1 gone.
    pub status: i32,
    /// The state in a word.
    pub status_text: String,
}

/// `EndpointList`.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Endpoint {
    /// Its name.
    pub name: String,
    /// Its device state in Asterisk's prose, such as `Not in use`.
    pub device_state: String,
    /// `aor/uri` of each contact.
    pub contacts: Vec<String>,
    /// Live channels.
    pub active_channels: u32,
}

/// A number and a name; empty where Asterisk says `<unknown>`.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub struct Party {
    /// The number.
    pub number: String,
    /// The display name.
    pub name: String,
}

/// A channel as its events describe it.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Channel {
    /// The name, such as `PJSIP/1001-00000019`.
    pub name: String,
    /// Unique id.
    pub unique_id: String,
    /// The unique id of the channel that began the call.
    pub linked_id: String,
    /// 0 down, 4 ring (calling), 5 ringing (being called), 6 up, 7 busy.
    pub state: u8,
    /// Who is at this channel.
    pub caller: Party,
    /// Who is at the other end.
    pub connected: Party,
    /// The extension that was dialled.
    pub exten: String,
}

impl Channel {
    /// The device behind the name (`PJSIP/1001`).
    pub fn device(&self) -> &str {
        self.name
            .rsplit_once('-')
            .map_or(self.name.as_str(), |(device, _)| device)
    }

    /// The PJSIP endpoint behind the name, if it is one.
    pub fn endpoint(&self) -> Option<&str> {
        self.device().strip_prefix("PJSIP/")
    }
}

/// `Hangup`.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Hangup {
    /// The channel that ended.
    pub channel: Channel,
    /// Q.850 cause: 16 normal clearing, 17 busy, 19 no answer, 21 rejected.
    pub cause: u16,
    /// The cause in words.
    pub cause_text: String,
}

/// `DialBegin`, `DialState` and `DialEnd`.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Dial {
    /// The dialling channel; none when Asterisk itself dials (Originate).
    pub from: Option<Channel>,
    /// The dialled channel.
    pub to: Channel,
    /// `RINGING`, `ANSWER`, `BUSY`, `CANCEL`, `NOANSWER`, ...; none in `DialBegin`.
    pub status: Option<String>,
}

/// A bridge.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Bridge {
    /// Unique id.
    pub unique_id: String,
    /// Channels in it after the event.
    pub channels: u32,
}

/// `CoreShowChannel`.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct ShownChannel {
    /// The channel.
    pub channel: Channel,
    /// The dialplan application it is in.
    pub application: String,
    /// The bridge it is in.
    pub bridge: Option<String>,
}

/// `QueueParams`.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct QueueParams {
    /// The queue's name.
    pub queue: String,
    /// Callers who wait.
    pub calls: u32,
}

/// What a queue member's event reports.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum QueueMemberChange {
    /// An item of `QueueStatus`.
    Listed,
    /// `QueueMemberAdded`.
    Added,
    /// `QueueMemberRemoved`.
    Removed,
    /// `QueueMemberPause`.
    Pause,
    /// `QueueMemberStatus` and the rest.
    Status,
}

/// A queue's member.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct QueueMember {
    /// What is reported of it.
    pub change: QueueMemberChange,
    /// The queue's name.
    pub queue: String,
    /// The interface, such as `PJSIP/1001`.
    pub interface: String,
    /// Whether it is paused.
    pub paused: bool,
    /// Why it is paused; may be empty.
    pub paused_reason: String,
    /// Asterisk's number for the device state: 1 not in use, 2 in use, 3 busy, 5 unavailable, 6 ringing.
    pub status: u8,
}

impl Event {
    /// Reads an event packet. Never fails: what cannot be typed is [`EventKind::Other`].
    pub fn from_packet(packet: Packet) -> Self {
        let timestamp = packet.get("Timestamp").and_then(seconds);
        let system_name = packet.get("SystemName").map(str::to_owned);
        Self {
            kind: typed(&packet).unwrap_or(EventKind::Other(packet)),
            timestamp,
            system_name,
        }
    }
}

fn typed(packet: &Packet) -> Option<EventKind> {
    Some(match packet.get("Event")? {
        "FullyBooted" => EventKind::FullyBooted(FullyBooted {
            uptime: packet.get("Uptime").and_then(seconds),
            last_reload: packet.get("LastReload").and_then(seconds),
        }),
        "Shutdown" => EventKind::Shutdown,
        "ContactStatus" => EventKind::ContactStatus(contact_status(packet)?),
        "ContactList" => EventKind::Contact(listed_contact(packet)?),
        "ContactStatusDetail" => EventKind::Contact(detailed_contact(packet)?),
        "DeviceStateChange" => EventKind::DeviceStateChange(DeviceStateChange {
            device: owned(packet, "Device")?,
            state: DeviceState::from_word(packet.get("State")?),
        }),
        "PeerStatus" => EventKind::PeerStatus(PeerStatus {
            peer: owned(packet, "Peer")?,
            status: owned(packet, "PeerStatus")?,
        }),
        "ExtensionStatus" => EventKind::ExtensionStatus(extension_status(packet)?),
        "EndpointList" => EventKind::Endpoint(endpoint(packet)?),
        "Newchannel" => EventKind::Newchannel(channel(packet, "")?),
        "Newstate" => EventKind::Newstate(channel(packet, "")?),
        "Hangup" => EventKind::Hangup(Hangup {
            channel: channel(packet, "")?,
            cause: number(packet, "Cause"),
            cause_text: text(packet, "Cause-txt"),
        }),
        "DialBegin" => EventKind::DialBegin(dial(packet)?),
        "DialState" => EventKind::DialState(dial(packet)?),
        "DialEnd" => EventKind::DialEnd(dial(packet)?),
        "BridgeCreate" => EventKind::BridgeCreate(bridge(packet)?),
        "BridgeDestroy" => EventKind::BridgeDestroy(bridge(packet)?),
        "BridgeEnter" => EventKind::BridgeEnter(bridge(packet)?, channel(packet, "")?),
        "BridgeLeave" => EventKind::BridgeLeave(bridge(packet)?, channel(packet, "")?),
        "CoreShowChannel" => EventKind::CoreShowChannel(ShownChannel {
            channel: channel(packet, "")?,
            application: text(packet, "Application"),
            bridge: owned(packet, "BridgeId").filter(|id| !id.is_empty()),
        }),
        "QueueParams" => EventKind::QueueParams(QueueParams {
            queue: owned(packet, "Queue")?,
            calls: number(packet, "Calls"),
        }),
        "QueueMember" => EventKind::QueueMember(queue_member(packet, QueueMemberChange::Listed)?),
        "QueueMemberAdded" => {
            EventKind::QueueMember(queue_member(packet, QueueMemberChange::Added)?)
        }
        "QueueMemberRemoved" => {
            EventKind::QueueMember(queue_member(packet, QueueMemberChange::Removed)?)
        }
        "QueueMemberPause" => {
            EventKind::QueueMember(queue_member(packet, QueueMemberChange::Pause)?)
        }
        "QueueMemberStatus" => {
            EventKind::QueueMember(queue_member(packet, QueueMemberChange::Status)?)
        }
        _ => return None,
    })
}

fn contact_status(packet: &Packet) -> Option<ContactStatusChange> {
    Some(ContactStatusChange {
        uri: decoded(packet, "URI")?,
        aor: owned(packet, "AOR")?,
        endpoint: text(packet, "EndpointName"),
        status: ContactStatus::from_word(packet.get("ContactStatus")?),
        round_trip: round_trip(packet),
    })
}

fn listed_contact(packet: &Packet) -> Option<Contact> {
    let id = ContactId::new(packet.get("ObjectName")?);
    Some(Contact {
        aor: id.aor().to_owned(),
        id,
        endpoint: text(packet, "Endpoint"),
        uri: decoded(packet, "Uri")?,
        user_agent: decoded(packet, "UserAgent").unwrap_or_default(),
        call_id: text(packet, "CallId"),
        expires_at: packet
            .get("ExpirationTime")
            .and_then(|value| value.parse().ok()),
        status: ContactStatus::from_word(packet.get("Status")?),
        round_trip: round_trip(packet),
        reg_server: owned(packet, "RegServer").filter(|name| !name.is_empty()),
        qualify_frequency: number(packet, "QualifyFrequency"),
    })
}

fn detailed_contact(packet: &Packet) -> Option<Contact> {
    Some(Contact {
        id: ContactId::new(packet.get("ID")?),
        aor: owned(packet, "AOR")?,
        endpoint: text(packet, "EndpointName"),
        uri: decoded(packet, "URI")?,
        user_agent: decoded(packet, "UserAgent").unwrap_or_default(),
        call_id: text(packet, "CallID"),
        expires_at: packet.get("RegExpire").and_then(|value| value.parse().ok()),
        status: ContactStatus::from_word(packet.get("Status")?),
        round_trip: round_trip(packet),
        reg_server: None,
        qualify_frequency: number(packet, "QualifyFrequency"),
    })
}

fn extension_status(packet: &Packet) -> Option<ExtensionStatus> {
    Some(ExtensionStatus {
        exten: owned(packet, "Exten")?,
        context: text(packet, "Context"),
        hint: text(packet, "Hint"),
        status: packet.get("Status")?.parse().ok()?,
        status_text: text(packet, "StatusText"),
    })
}

fn endpoint(packet: &Packet) -> Option<Endpoint> {
    let contacts = text(packet, "Contacts");
    Some(Endpoint {
        name: owned(packet, "ObjectName")?,
        device_state: text(packet, "DeviceState"),
        contacts: contacts
            .split(',')
            .filter(|contact| !contact.is_empty())
            .map(str::to_owned)
            .collect(),
        active_channels: number(packet, "ActiveChannels"),
    })
}

/// Reads the channel whose keys begin with `prefix` (`Dest` for the dialled one).
fn channel(packet: &Packet, prefix: &str) -> Option<Channel> {
    let get = |key: &str| {
        packet
            .get(&format!("{prefix}{key}"))
            .unwrap_or_default()
            .to_owned()
    };
    let known = |key: &str| {
        Some(get(key))
            .filter(|value| value != "<unknown>")
            .unwrap_or_default()
    };
    Some(Channel {
        name: packet.get(&format!("{prefix}Channel"))?.to_owned(),
        unique_id: get("Uniqueid"),
        linked_id: get("Linkedid"),
        state: get("ChannelState").parse().ok()?,
        caller: Party {
            number: known("CallerIDNum"),
            name: known("CallerIDName"),
        },
        connected: Party {
            number: known("ConnectedLineNum"),
            name: known("ConnectedLineName"),
        },
        exten: get("Exten"),
    })
}

fn dial(packet: &Packet) -> Option<Box<Dial>> {
    Some(Box::new(Dial {
        from: channel(packet, ""),
        to: channel(packet, "Dest")?,
        status: owned(packet, "DialStatus"),
    }))
}

fn bridge(packet: &Packet) -> Option<Bridge> {
    Some(Bridge {
        unique_id: owned(packet, "BridgeUniqueid")?,
        channels: number(packet, "BridgeNumChannels"),
    })
}

fn queue_member(packet: &Packet, change: QueueMemberChange) -> Option<QueueMember> {
    Some(QueueMember {
        change,
        queue: owned(packet, "Queue")?,
        interface: owned(packet, "Interface").or_else(|| owned(packet, "Location"))?,
        paused: packet.get("Paused") == Some("1"),
        paused_reason: text(packet, "PausedReason"),
        status: number(packet, "Status"),
    })
}

fn owned(packet: &Packet, key: &str) -> Option<String> {
    packet.get(key).map(str::to_owned)
}

fn text(packet: &Packet, key: &str) -> String {
    packet.get(key).unwrap_or_default().to_owned()
}

fn decoded(packet: &Packet, key: &str) -> Option<String> {
    packet
        .get(key)
        .map(|value| decode_stored(value).into_owned())
}

/// A count, 0 where it is missing or unreadable.
fn number<N: std::str::FromStr + Default>(packet: &Packet, key: &str) -> N {
    packet
        .get(key)
        .and_then(|value| value.parse().ok())
        .unwrap_or_default()
}

fn seconds(value: &str) -> Option<Duration> {
    Duration::try_from_secs_f64(value.parse().ok()?).ok()
}

/// `RoundtripUsec`: `N/A` and 0 both mean that none was measured.
fn round_trip(packet: &Packet) -> Option<Duration> {
    let micros = packet
        .get("RoundtripUsec")?
        .parse()
        .ok()
        .filter(|micros| *micros > 0)?;
    Some(Duration::from_micros(micros))
}
