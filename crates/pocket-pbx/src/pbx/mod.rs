//! The model: everything the pocket PBX knows and decides, without a socket and without a clock.
//!
//! ```text
//! datagram ─► rollcall-sip's UserAgent ─► registration, qualify, calls ─► channels, device states ─► manager events
//! action   ─► manager ─► actions ─► lists, qualify, hang-up, queues
//! ```
//!
//! The present comes in with every call; what is to be done comes out of [`Pbx::poll_output`], in order. RTP does not
//! pass through here: the model says which sockets to open and where they lead (see [`crate::relay`]).

mod actions;
mod calls;
mod cause;
mod channel;
mod device;
mod inspect;
mod legs;
mod manager;
mod queues;
mod registrar;
mod registration;

use std::collections::{BTreeMap, HashMap, VecDeque};
use std::net::SocketAddr;
use std::time::{Duration, Instant};

use rand::rngs::StdRng;
use rand::{Rng, SeedableRng};
use rollcall_ami::{DeviceState, Packet};
use rollcall_sip::digest::{Authenticator, Verdict};
use rollcall_sip::message::{HeadersView, Request};
use rollcall_sip::{CallId, Event, OutgoingId, Reply, Transmit, UserAgent};

use crate::config::{Config, Person};
use crate::relay::Aim;
use calls::Call;
use channel::{Channel, Channels};
use manager::{Class, ManagerOutput, Managers};
use queues::Queues;
use registrar::Registrar;
use registration::Probe;

pub use inspect::HeldContact;
pub use manager::ManagerId;

/// The dialplan context that everybody is in.
const CONTEXT: &str = "internal";
/// The digest realm, Asterisk's default.
const REALM: &str = "asterisk";
/// How long a nonce may be used: Asterisk's `nonce_lifetime`.
const NONCE_LIFETIME: Duration = Duration::from_secs(32);

/// The media of one call.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub struct MediaId(pub u64);

/// Something to be done.
#[derive(Debug, Clone, PartialEq)]
pub enum Output {
    /// Send a SIP message.
    Sip(Transmit),
    /// Send bytes to a manager.
    Manager(ManagerId, Vec<u8>),
    /// Close a manager's connection once everything before this is sent.
    CloseManager(ManagerId),
    /// Open this many RTP sockets (1 to echo, 2 to relay) and tell [`Pbx::media_opened`].
    OpenMedia {
        /// The call's media.
        media: MediaId,
        /// How many.
        sides: usize,
    },
    /// Say what one side of a call's media is to do from here on.
    AimMedia {
        /// The call's media.
        media: MediaId,
        /// 0 or 1.
        side: usize,
        /// Where it leads.
        aim: Aim,
    },
    /// Close a call's sockets.
    CloseMedia(MediaId),
}

/// A small Asterisk.
#[derive(Debug)]
pub struct Pbx {
    config: Config,
    people: BTreeMap<String, Person>,
    sip_addr: SocketAddr,
    started_at: Instant,
    started_epoch: Duration,
    ua: UserAgent,
    authenticator: Authenticator,
    registrar: Registrar,
    probes: HashMap<OutgoingId, Probe>,
    sweep_at: Instant,
    channels: Channels,
    calls: BTreeMap<MediaId, Call>,
    legs: HashMap<CallId, MediaId>,
    calls_made: u64,
    /// Device states as last told.
    told: BTreeMap<String, DeviceState>,
    managers: Managers,
    queues: Queues,
    rng: StdRng,
    outputs: VecDeque<Output>,
}

impl Pbx {
    /// A PBX whose SIP socket is bound to `sip_addr`. `epoch` is the time since 1970 at `now`.
    pub fn new(config: Config, sip_addr: SocketAddr, now: Instant, epoch: Duration) -> Self {
        let mut rng = config
            .seed
            .map_or_else(StdRng::from_os_rng, StdRng::seed_from_u64);
        let agent = concat!("Rollcall pocket PBX ", env!("CARGO_PKG_VERSION"));
        let ua = UserAgent::new(
            rollcall_sip::Config::pbx(sip_addr, agent, rng.random()),
            now,
        );
        let people: BTreeMap<_, _> = config
            .people
            .iter()
            .map(|person| (person.extension.clone(), person.clone()))
            .collect();
        Self {
            sip_addr,
            started_at: now,
            started_epoch: epoch,
            ua,
            authenticator: Authenticator::new(REALM, rng.random(), NONCE_LIFETIME, now),
            registrar: Registrar::new(config.aor.clone(), people.keys().cloned()),
            probes: HashMap::new(),
            sweep_at: now + config.contact_expiration_check_interval,
            channels: Channels::default(),
            calls: BTreeMap::new(),
            legs: HashMap::new(),
            calls_made: 0,
            told: people
                .keys()
                .map(|extension| (extension.clone(), DeviceState::Unavailable))
                .collect(),
            managers: Managers::new(config.manager.clone()),
            queues: Queues::new(&config.queues, epoch.as_secs()),
            rng,
            outputs: VecDeque::new(),
            people,
            config,
        }
    }

    /// Takes a datagram of the SIP socket.
    pub fn handle_sip(&mut self, now: Instant, from: SocketAddr, bytes: &[u8]) {
        self.ua.handle_datagram(now, from, bytes);
        self.drain_ua(now);
    }

    /// A manager connected.
    pub fn manager_connected(&mut self, id: ManagerId) {
        self.managers.connected(id);
    }

    /// A manager's bytes.
    pub fn manager_bytes(&mut self, now: Instant, id: ManagerId, bytes: &[u8]) {
        let booted = self.fully_booted(now);
        for request in self.managers.bytes(id, bytes, &booted) {
            self.handle_action(now, id, &request);
        }
        self.drain_ua(now);
    }

    /// A manager's connection ended.
    pub fn manager_disconnected(&mut self, id: ManagerId) {
        self.managers.disconnected(id);
    }

    /// The sockets asked for by [`Output::OpenMedia`] are bound to these addresses; none when that failed.
    pub fn media_opened(&mut self, now: Instant, media: MediaId, sides: &[SocketAddr]) {
        self.handle_media_opened(now, media, sides);
        self.drain_ua(now);
    }

    /// Does what is due at `now`.
    pub fn handle_timeout(&mut self, now: Instant) {
        self.ua.handle_timeout(now);
        self.drain_ua(now);
        self.sweep_contacts(now);
        self.qualify_contacts(now);
        self.give_up_ringing(now);
        self.drain_ua(now);
    }

    /// Ends all calls and tells the managers that Asterisk goes down.
    pub fn shut_down(&mut self, now: Instant) {
        self.end_all(now);
        let event = self.event(now, Class::System, "Shutdown");
        self.tell(
            Class::System,
            event.with("Shutdown", "Cleanly").with("Restart", "False"),
        );
    }

    /// When [`Pbx::handle_timeout`] is next due.
    pub fn poll_timeout(&self) -> Option<Instant> {
        [
            self.ua.poll_timeout(),
            Some(self.sweep_at),
            self.next_qualify(),
            self.next_ring_timeout(),
        ]
        .into_iter()
        .flatten()
        .min()
    }

    /// The next thing to do.
    pub fn poll_output(&mut self) -> Option<Output> {
        while let Some(transmit) = self.ua.poll_transmit() {
            self.outputs.push_back(Output::Sip(transmit));
        }
        self.outputs.extend(
            self.managers
                .take_outputs()
                .into_iter()
                .map(|output| match output {
                    ManagerOutput::Send(id, bytes) => Output::Manager(id, bytes),
                    ManagerOutput::Close(id) => Output::CloseManager(id),
                }),
        );
        self.outputs.pop_front()
    }

    fn drain_ua(&mut self, now: Instant) {
        while let Some(event) = self.ua.poll_event() {
            match event {
                Event::Request {
                    id,
                    request,
                    source,
                } => self.handle_request(now, id, &request, source),
                Event::Outgoing { id, outcome } => self.handle_probe_outcome(now, id, outcome),
                call_event => self.handle_call_event(now, call_event),
            }
        }
    }

    /// Who sent a request, by the user of its From and that user's password; else the answer that challenges or refuses.
    fn authenticate(&mut self, now: Instant, request: &Request) -> Result<String, Reply> {
        let from = request.headers.from_view().map_err(|_| Reply::new(400))?;
        // An unknown user is challenged like a known one, so that names cannot be tried out.
        let person = self.people.get(from.user());
        let password = |username: &str| {
            person
                .filter(|person| person.extension == username)
                .map(|person| person.password.expose().to_owned())
        };
        let verdict = self.authenticator.verify(now, request, password);
        let stale = match verdict {
            Verdict::Accepted { username } => return Ok(username),
            Verdict::Stale => true,
            Verdict::Missing | Verdict::Refused => false,
        };
        let challenges = self.authenticator.challenges(now, stale);
        Err(challenges
            .into_iter()
            .fold(Reply::new(401), |reply, value| {
                reply.with("WWW-Authenticate", value)
            }))
    }

    /// Tells managers of an endpoint's device state if it is another than last told.
    fn tell_device_state(&mut self, now: Instant, endpoint: &str) {
        let state = self.device_state(endpoint);
        if self.told.get(endpoint) == Some(&state) {
            return;
        }
        let device = format!("PJSIP/{endpoint}");
        let change = self
            .event(now, Class::Call, "DeviceStateChange")
            .with("Device", &device);
        self.tell(Class::Call, change.with("State", state.as_word()));
        let event = self.event(now, Class::Call, "ExtensionStatus");
        let status = extension_status_fields(event, endpoint, &state);
        self.tell(Class::Call, status);
        self.told.insert(endpoint.to_owned(), state);
        self.tell_members_state(now, endpoint);
    }

    fn device_state(&self, endpoint: &str) -> DeviceState {
        device::device_state(
            self.registrar.contacts(endpoint),
            self.channels.of_endpoint(endpoint),
        )
    }

    /// The first headers of an event.
    fn event(&self, now: Instant, class: Class, name: &str) -> Packet {
        let timestamp = self.epoch(now);
        Packet::event(name)
            .with("Privilege", class.privilege())
            .with(
                "Timestamp",
                &format!("{}.{:06}", timestamp.as_secs(), timestamp.subsec_micros()),
            )
            .with("SystemName", &self.config.system_name)
    }

    fn channel_event(&self, now: Instant, name: &str, channel: &Channel) -> Packet {
        channel.describe("", self.event(now, Class::Call, name))
    }

    fn tell(&mut self, class: Class, packet: Packet) {
        self.managers.tell(class, &packet);
    }

    fn fully_booted(&self, now: Instant) -> Packet {
        let up = now
            .saturating_duration_since(self.started_at)
            .as_secs()
            .to_string();
        Packet::event("FullyBooted")
            .with("Privilege", "system,all")
            .with("Uptime", &up)
            .with("LastReload", &up)
            .with("Status", "Fully Booted")
    }

    /// The time since 1970.
    fn epoch(&self, now: Instant) -> Duration {
        self.started_epoch + now.saturating_duration_since(self.started_at)
    }
}

/// The headers of `ExtensionStatus`, as an event and as a list's item.
fn extension_status_fields(packet: Packet, extension: &str, state: &DeviceState) -> Packet {
    let (number, word) = device::extension_status(state);
    packet
        .with("Exten", extension)
        .with("Context", CONTEXT)
        .with("Hint", &format!("PJSIP/{extension}"))
        .with("Status", number)
        .with("StatusText", word)
}
