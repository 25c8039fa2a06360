//! The model of an app and its person: a real SIP phone, a link, heartbeats, and a will.

use std::net::SocketAddr;
use std::time::{Duration, Instant};

use bytes::Bytes;
use rollcall_alignment::*;
use rollcall_sip::message::parse_uri;
use rollcall_sip::{
    Account, CallId, Credentials, Event, InviteRequest, NameAddr, RegistrationEvent, Trust,
    UserAgent,
};

/// How long a person lets it ring, and talks at most when called.
const ANSWERS_AFTER: Duration = Duration::from_secs(2);
const TALKS_FOR: Duration = Duration::from_secs(60);

pub(crate) const PBX: &str = "10.0.0.1:5060";

pub(crate) fn pbx_address() -> SocketAddr {
    PBX.parse().unwrap()
}

/// Where a person stands with an app.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Will {
    /// Signed out, or wants to be.
    Out,
    /// Wants to be at work.
    In,
}

/// One installation of the app.
pub(crate) struct App {
    pub(crate) extension: Extension,
    pub(crate) device: DeviceId,
    /// No app of ours: a desk phone, without a device id and without a server.
    pub(crate) desk: bool,
    pub(crate) will: Will,
    pub(crate) running: bool,
    pub(crate) frozen: bool,
    /// Its network, to everybody; to the server alone; to the PBX alone.
    pub(crate) network: bool,
    pub(crate) to_server: bool,
    pub(crate) to_pbx: bool,
    pub(crate) microphone: bool,
    /// It says that it is online before its phone is registered.
    pub(crate) hasty: bool,
    /// Its person takes over what is in use elsewhere.
    pub(crate) takes_over: bool,
    pub(crate) run: u32,
    pub(crate) address: SocketAddr,
    pub(crate) ua: UserAgent,
    pub(crate) registered: bool,
    pub(crate) session: Option<SessionId>,
    /// The server said that it is signed in; that it is online.
    pub(crate) signed_in: bool,
    pub(crate) online: bool,
    /// A logout under way, and its key.
    pub(crate) leaving: Option<IdempotencyKey>,
    pub(crate) link: Option<LinkId>,
    pub(crate) tick: u64,
    /// When it next does something by itself.
    pub(crate) turn: Instant,
    /// The call that rings here, or is going on, and what its person does about it next, and when.
    pub(crate) call: Option<Talk>,
}

/// A call at one phone.
#[derive(Debug, Clone, Copy)]
pub(crate) struct Talk {
    pub(crate) id: CallId,
    /// It rings, and is answered then; else it is going on, and ended then.
    pub(crate) rings: bool,
    pub(crate) until: Instant,
}

impl App {
    pub(crate) fn new(place: usize, extension: &str, desk: bool, now: Instant) -> Self {
        let device = DeviceId::new(&format!("d{place}")).unwrap();
        let extension = Extension::new(extension).unwrap();
        let address = address(place, 0);
        let ua = phone(&extension, &device, desk, address, 0, now);
        App {
            extension,
            device,
            desk,
            will: Will::Out,
            running: true,
            frozen: false,
            network: true,
            to_server: true,
            to_pbx: true,
            microphone: true,
            hasty: false,
            takes_over: false,
            run: 0,
            address,
            ua,
            registered: false,
            session: None,
            signed_in: false,
            online: false,
            leaving: None,
            link: None,
            tick: 0,
            turn: now,
            call: None,
        }
    }

    /// Started anew: what was in memory is gone, the device's id is not.
    pub(crate) fn restart(&mut self, place: usize, now: Instant) {
        self.run += 1;
        self.address = address(place, self.run);
        let (extension, device) = (&self.extension, &self.device);
        self.ua = phone(extension, device, self.desk, self.address, self.run, now);
        self.running = true;
        self.frozen = false;
        self.registered = false;
        (self.signed_in, self.online) = (false, false);
        self.session = None;
        self.link = None;
        self.leaving = None;
        self.tick = 0;
        self.turn = now;
        self.call = None;
    }

    /// The NAT in front of it forgets it: the same phone from another port.
    pub(crate) fn rebind(&mut self, place: usize) {
        self.run += 1;
        self.address = address(place, self.run);
    }

    pub(crate) fn hears_server(&self) -> bool {
        self.running && self.network && self.to_server && !self.desk
    }

    pub(crate) fn acts(&self) -> bool {
        self.running && !self.frozen
    }

    pub(crate) fn register(&mut self, now: Instant) {
        let extension = self.extension.as_str();
        let account = Account {
            aor: NameAddr::parse(&format!("<sip:{extension}@{PBX}>")).unwrap(),
            registrar: parse_uri(&format!("sip:{PBX}")).unwrap(),
            destination: pbx_address(),
            credentials: Credentials::new(extension, format!("pw{extension}")),
            expires: Duration::from_secs(60),
        };
        self.ua.register(now, account);
    }

    /// What the phone says of itself since. A call that comes in is answered after a moment.
    pub(crate) fn hear_phone(&mut self, now: Instant) {
        while let Some(event) = self.ua.poll_event() {
            match event {
                Event::Registration(RegistrationEvent::Registered { .. }) => self.registered = true,
                Event::Registration(RegistrationEvent::Registering) => {}
                Event::Registration(_) => self.registered = false,
                Event::Incoming { call, .. } if self.call.is_some() || self.will == Will::Out => {
                    self.ua.reject(now, call, 486);
                }
                Event::Incoming { call, .. } => {
                    self.ua.ring(now, call, None);
                    self.call = Some(Talk {
                        id: call,
                        rings: true,
                        until: now + ANSWERS_AFTER,
                    });
                }
                Event::Ended { call, .. } if self.call.is_some_and(|talk| talk.id == call) => {
                    self.call = None
                }
                _ => {}
            }
        }
    }
}

impl App {
    /// Calls a number of the house.
    pub(crate) fn dial(&mut self, now: Instant, number: &str, lasts: Duration) {
        let extension = self.extension.as_str();
        let invite = InviteRequest {
            target: parse_uri(&format!("sip:{number}@{PBX}")).unwrap(),
            destination: pbx_address(),
            from: NameAddr::parse(&format!("<sip:{extension}@{PBX}>")).unwrap(),
            offer: self.description(),
            credentials: Some(Credentials::new(extension, format!("pw{extension}"))),
            headers: Vec::new(),
        };
        let id = self.ua.invite(now, invite);
        self.call = Some(Talk {
            id,
            rings: false,
            until: now + lasts,
        });
    }

    /// What its person does about the call that it has, if it is time.
    pub(crate) fn talk(&mut self, now: Instant) {
        let Some(talk) = self.call.filter(|talk| talk.until <= now) else {
            return;
        };
        if talk.rings {
            let answer = self.description();
            self.ua.answer(now, talk.id, answer);
            self.call = Some(Talk {
                rings: false,
                until: now + TALKS_FOR,
                ..talk
            });
        } else {
            self.hang_up(now);
        }
    }

    pub(crate) fn hang_up(&mut self, now: Instant) {
        if let Some(talk) = self.call.take() {
            match talk.rings {
                true => self.ua.reject(now, talk.id, 486),
                false => self.ua.hangup(now, talk.id),
            }
        }
    }

    /// Offer and answer in one: nobody hears anything here.
    fn description(&self) -> Bytes {
        let ip = self.address.ip();
        Bytes::from(format!(
            "v=0\r\no=- 1 1 IN IP4 {ip}\r\ns=-\r\nc=IN IP4 {ip}\r\nt=0 0\r\nm=audio 4000 RTP/AVP 0\r\na=rtpmap:0 PCMU/8000\r\n"
        ))
    }
}

fn address(place: usize, run: u32) -> SocketAddr {
    let host = u8::try_from(place + 10).unwrap();
    let port = u16::try_from(20_000 + run).unwrap();
    SocketAddr::from(([10, 0, 1, host], port))
}

fn phone(
    extension: &Extension,
    device: &DeviceId,
    desk: bool,
    address: SocketAddr,
    run: u32,
    now: Instant,
) -> UserAgent {
    let (user, agent) = if desk {
        (extension.to_string(), "desk phone".to_owned())
    } else {
        let agent = format!("Rollcall/0.1.0 (device {device})");
        (format!("{extension}-{device}-{run}"), agent)
    };
    let seed = u64::from(address.port()) + u64::from(run);
    let mut config = rollcall_sip::Config::phone(address, user, agent, seed);
    config.trust = Trust::Listed(vec![pbx_address()]);
    UserAgent::new(config, now)
}
