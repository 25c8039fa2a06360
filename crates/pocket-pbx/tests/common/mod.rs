//! A pocket PBX, phones and a manager on virtual time.

#![allow(dead_code, reason = "each test file uses its own part")]

use std::collections::BTreeMap;
use std::net::SocketAddr;
use std::time::Duration;

use rollcall_ami::Packet;
use rollcall_ami::frame::{Decoder, Frame, Limits};
use rollcall_media::codec::Codec;
use rollcall_media::sdp::{self, Direction, Local};
use rollcall_pocket_pbx::pbx::{ManagerId, MediaId, Output};
use rollcall_pocket_pbx::relay::Aim;
use rollcall_pocket_pbx::{Config, Manager, Pbx, Person};
use rollcall_sip::message::parse_uri;
use rollcall_sip::{
    Account, CallId, Credentials, EndReason, Event, InviteRequest, NameAddr, RegistrationEvent,
    Trust, UserAgent,
};
use rollcall_testkit::{Clock, Conditions, Network};

const MANAGER: ManagerId = ManagerId(1);
/// 2026-11-22T15:00:00Z.
const EPOCH: Duration = Duration::from_secs(1_795_359_600);

pub(crate) fn address(port: u16) -> SocketAddr {
    SocketAddr::from(([127, 0, 0, 1], port))
}

/// People 1001, 1002 and 1003 with the lab's settings.
pub(crate) fn config() -> Config {
    let people = ["1001", "1002", "1003"].map(|name| Person::new(name, &format!("pw{name}")));
    let manager = Manager {
        username: "lab".into(),
        secret: "labpw".into(),
    };
    let mut config = Config::new(manager, people.into());
    config.aor.qualify_frequency = 5;
    config.aor.qualify_timeout = 2.0;
    config.seed = Some(11);
    config
}

pub(crate) struct Phone {
    pub(crate) address: SocketAddr,
    extension: String,
    ua: UserAgent,
    pub(crate) events: Vec<Event>,
}

pub(crate) struct Site {
    pub(crate) clock: Clock,
    pub(crate) network: Network,
    pub(crate) pbx: Pbx,
    pub(crate) phones: Vec<Phone>,
    decoder: Decoder,
    pub(crate) manager_closed: bool,
    /// Events of the manager interface in their order.
    pub(crate) told: Vec<Packet>,
    answers: Vec<Packet>,
    pub(crate) aims: BTreeMap<(MediaId, usize), Aim>,
    pub(crate) open_media: Vec<MediaId>,
    pub(crate) media_fails: bool,
    next_port: u16,
}

impl Site {
    pub(crate) fn new(config: Config) -> Self {
        let mut site = Self::without_login(config, Conditions::default());
        let answer = site.action("Action: Login\nUsername: lab\nSecret: labpw\nEvents: on\n");
        assert_eq!(answer[0].get("Message"), Some("Authentication accepted"));
        assert_eq!(site.told.remove(0).get("Event"), Some("FullyBooted"));
        site
    }

    pub(crate) fn without_login(config: Config, conditions: Conditions) -> Self {
        let clock = Clock::new();
        let mut pbx = Pbx::new(config, address(5060), clock.now(), EPOCH);
        pbx.manager_connected(MANAGER);
        Self {
            network: Network::new(5, conditions),
            pbx,
            phones: Vec::new(),
            decoder: Decoder::of_manager(Limits::default()),
            manager_closed: false,
            told: Vec::new(),
            answers: Vec::new(),
            aims: BTreeMap::new(),
            open_media: Vec::new(),
            media_fails: false,
            next_port: 20_000,
            clock,
        }
    }

    /// Adds a phone for an extension; each has its own address.
    pub(crate) fn phone(&mut self, extension: &str) -> usize {
        let index = self.phones.len();
        let own = address(25_100 + index as u16);
        let user = format!("{extension}-dev{index}");
        let agent = format!("Rollcall/test (device d{index})");
        let mut config = rollcall_sip::Config::phone(own, user, agent, 100 + index as u64);
        config.trust = Trust::Listed(vec![address(5060)]);
        let ua = UserAgent::new(config, self.clock.now());
        self.phones.push(Phone {
            address: own,
            extension: extension.into(),
            ua,
            events: Vec::new(),
        });
        index
    }

    /// Adds a phone and waits until it is registered and qualified.
    pub(crate) fn registered_phone(&mut self, extension: &str) -> usize {
        let phone = self.phone(extension);
        self.register(phone, &format!("pw{extension}"), 60);
        self.run(Duration::from_millis(200));
        let is_registered = |event: &Event| {
            matches!(
                event,
                Event::Registration(RegistrationEvent::Registered { .. })
            )
        };
        assert!(
            self.phones[phone].events.iter().any(is_registered),
            "{:?}",
            self.phones[phone].events
        );
        phone
    }

    pub(crate) fn register(&mut self, phone: usize, password: &str, expires: u64) {
        let now = self.clock.now();
        let own = &mut self.phones[phone];
        let account = Account {
            aor: NameAddr::parse(&format!("<sip:{}@127.0.0.1:5060>", own.extension)).unwrap(),
            registrar: parse_uri("sip:127.0.0.1:5060").unwrap(),
            destination: address(5060),
            credentials: Credentials::new(own.extension.clone(), password),
            expires: Duration::from_secs(expires),
        };
        own.ua.register(now, account);
    }

    pub(crate) fn ua(&mut self, phone: usize) -> (&mut UserAgent, std::time::Instant) {
        (&mut self.phones[phone].ua, self.clock.now())
    }

    pub(crate) fn dial(&mut self, phone: usize, target: &str, codecs: &[Codec]) -> CallId {
        let own = &self.phones[phone];
        let offer = sdp::offer(&local(phone), codecs, Direction::SendRecv);
        let invite = InviteRequest {
            target: parse_uri(&format!("sip:{target}@127.0.0.1:5060")).unwrap(),
            destination: address(5060),
            from: NameAddr::parse(&format!("<sip:{}@127.0.0.1:5060>", own.extension)).unwrap(),
            offer: offer.into(),
            credentials: Some(Credentials::new(
                own.extension.clone(),
                format!("pw{}", own.extension),
            )),
            headers: Vec::new(),
        };
        let (ua, now) = self.ua(phone);
        ua.invite(now, invite)
    }

    /// Answers the call that rings at a phone; with which codecs it can.
    pub(crate) fn answer(&mut self, phone: usize, codecs: &[Codec]) -> CallId {
        let (call, offer) = self.incoming(phone).expect("nothing rings");
        let (answer, _) = sdp::answer(&offer, &local(phone), codecs, Direction::SendRecv).unwrap();
        let (ua, now) = self.ua(phone);
        ua.answer(now, call, answer.into());
        call
    }

    /// The last call that came in at a phone, and its offer.
    pub(crate) fn incoming(&self, phone: usize) -> Option<(CallId, Vec<u8>)> {
        self.phones[phone]
            .events
            .iter()
            .rev()
            .find_map(|event| match event {
                Event::Incoming { call, request, .. } => Some((*call, request.body.clone())),
                _ => None,
            })
    }

    /// The codec a phone's call was answered with.
    pub(crate) fn answered_codec(&self, phone: usize, codecs: &[Codec]) -> Option<Codec> {
        self.phones[phone]
            .events
            .iter()
            .find_map(|event| match event {
                Event::Answered { sdp, .. } => {
                    sdp::accept(sdp, &local(phone), codecs, Direction::SendRecv)
                        .ok()
                        .map(|agreed| agreed.codec)
                }
                _ => None,
            })
    }

    pub(crate) fn end_reason(&self, phone: usize) -> Option<&EndReason> {
        self.phones[phone]
            .events
            .iter()
            .rev()
            .find_map(|event| match event {
                Event::Ended { reason, .. } => Some(reason),
                _ => None,
            })
    }

    /// The code that a phone's call was refused with.
    pub(crate) fn refusal(&self, phone: usize) -> Option<u16> {
        match self.end_reason(phone)? {
            EndReason::Refused { code, .. } => Some(*code),
            _ => None,
        }
    }

    /// Lets time pass; phones ring by themselves.
    pub(crate) fn run(&mut self, time: Duration) {
        let end = self.clock.now() + time;
        loop {
            self.drain();
            let due = self
                .phones
                .iter()
                .filter_map(|phone| phone.ua.poll_timeout());
            let due = due
                .chain(self.network.poll_timeout())
                .chain(self.pbx.poll_timeout())
                .min();
            let Some(due) = due.filter(|due| *due <= end) else {
                break;
            };
            let now = self.clock.advance_to(due);
            self.pbx.handle_timeout(now);
            self.phones
                .iter_mut()
                .for_each(|phone| phone.ua.handle_timeout(now));
            while let Some(datagram) = self.network.receive(now) {
                if datagram.to == address(5060) {
                    self.pbx.handle_sip(now, datagram.from, &datagram.bytes);
                } else if let Some(phone) = self
                    .phones
                    .iter_mut()
                    .find(|phone| phone.address == datagram.to)
                {
                    phone
                        .ua
                        .handle_datagram(now, datagram.from, &datagram.bytes);
                }
            }
        }
        self.clock.advance_to(end);
    }

    /// Sends an action and returns what came back for it: its response and, for a list, its items and end.
    pub(crate) fn action(&mut self, text: &str) -> Vec<Packet> {
        let wire = format!("{text}ActionID: x1\n\n").replace('\n', "\r\n");
        self.answers.clear();
        self.pbx
            .manager_bytes(self.clock.now(), MANAGER, wire.as_bytes());
        self.drain();
        std::mem::take(&mut self.answers)
    }

    /// What managers were told since last asked, a line each.
    pub(crate) fn story(&mut self) -> Vec<String> {
        std::mem::take(&mut self.told)
            .iter()
            .filter_map(line)
            .collect()
    }

    fn drain(&mut self) {
        let now = self.clock.now();
        while let Some(output) = self.pbx.poll_output() {
            match output {
                Output::Sip(transmit) => {
                    self.network.send(
                        now,
                        address(5060),
                        transmit.destination,
                        transmit.bytes.to_vec(),
                    );
                }
                Output::Manager(_, bytes) => self.decoder.push(&bytes),
                Output::CloseManager(_) => self.manager_closed = true,
                Output::OpenMedia { media, sides } => self.open(media, sides),
                Output::AimMedia { media, side, aim } => drop(self.aims.insert((media, side), aim)),
                Output::CloseMedia(media) => self.open_media.retain(|open| *open != media),
            }
        }
        while let Some(frame) = self.decoder.next_frame().unwrap() {
            match frame {
                Frame::Packet(packet) if packet.get("ActionID").is_some() => {
                    self.answers.push(packet)
                }
                Frame::Packet(packet) => self.told.push(packet),
                Frame::Greeting(version) => assert_eq!(version, "11.0.0"),
            }
        }
        for phone in &mut self.phones {
            while let Some(event) = phone.ua.poll_event() {
                if let Event::Incoming { call, .. } = &event {
                    phone.ua.ring(now, *call, None);
                }
                phone.events.push(event);
            }
            while let Some(transmit) = phone.ua.poll_transmit() {
                self.network.send(
                    now,
                    phone.address,
                    transmit.destination,
                    transmit.bytes.to_vec(),
                );
            }
        }
    }

    fn open(&mut self, media: MediaId, sides: usize) {
        let ports: Vec<_> = (0..sides)
            .map(|side| address(self.next_port + side as u16))
            .collect();
        self.next_port += 2;
        if self.media_fails {
            return self.pbx.media_opened(self.clock.now(), media, &[]);
        }
        self.open_media.push(media);
        self.pbx.media_opened(self.clock.now(), media, &ports);
    }
}

fn local(phone: usize) -> Local {
    Local::new(address(30_000 + phone as u16), phone as u64)
}

/// An event in one line, without what differs from run to run; none for what is not compared.
pub(crate) fn line(packet: &Packet) -> Option<String> {
    let get = |key| packet.get(key).unwrap_or_default();
    let device = |key| {
        get(key)
            .split('-')
            .next()
            .unwrap_or_default()
            .trim_start_matches("PJSIP/")
    };
    let name = get("Event");
    Some(match name {
        "ContactStatus" => format!("{name} {} {}", get("AOR"), get("ContactStatus")),
        "PeerStatus" => format!("{name} {} {}", device("Peer"), get("PeerStatus")),
        "DeviceStateChange" => format!("{name} {} {}", device("Device"), get("State")),
        "ExtensionStatus" => format!(
            "{name} {} {} {}",
            get("Exten"),
            get("Status"),
            get("StatusText")
        ),
        "Newchannel" | "Newstate" => {
            format!("{name} {} {}", device("Channel"), get("ChannelStateDesc"))
        }
        "DialBegin" => format!("{name} {} {}", device("Channel"), device("DestChannel")),
        "DialState" | "DialEnd" => {
            format!("{name} {} {}", device("DestChannel"), get("DialStatus"))
        }
        "BridgeCreate" | "BridgeDestroy" => format!("{name} {}", get("BridgeNumChannels")),
        "BridgeEnter" | "BridgeLeave" => {
            format!("{name} {} {}", device("Channel"), get("BridgeNumChannels"))
        }
        "HangupRequest" => format!("{name} {}", device("Channel")),
        "Hangup" => format!("{name} {} {}", device("Channel"), get("Cause")),
        _ => return None,
    })
}
