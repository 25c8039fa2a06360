//! Two user agents and a network between them, on virtual time.

#![allow(dead_code, reason = "each test file uses its own part")]

use std::net::{IpAddr, Ipv4Addr, SocketAddr};
use std::time::{Duration, Instant};

use bytes::Bytes;
use rollcall_sip::digest::{Algorithm, Authenticator, Verdict};
use rollcall_sip::message::{HeadersView, Message, Method, Request, parse_uri};
use rollcall_sip::{
    Account, CallId, Config, Credentials, Event, InviteRequest, NameAddr, RegistrationEvent, Reply,
    UserAgent,
};
use rollcall_testkit::{Clock, Conditions, Network};

pub(crate) const PHONE: usize = 0;
pub(crate) const PBX: usize = 1;

pub(crate) fn address(port: u16) -> SocketAddr {
    SocketAddr::from(([127, 0, 0, 1], port))
}

pub(crate) fn name_addr(text: &str) -> NameAddr {
    NameAddr::parse(text).expect("a readable address")
}

/// A network with a phone at port 5070 and a PBX at port 5060, and everything that was told and sent.
pub(crate) struct World {
    pub(crate) clock: Clock,
    pub(crate) network: Network,
    pub(crate) agents: Vec<(SocketAddr, UserAgent)>,
    /// Events in their order, with who told them and when.
    pub(crate) told: Vec<(usize, Duration, Event)>,
    /// Messages in their order, with who sent them and when.
    pub(crate) wire: Vec<(usize, Duration, Bytes)>,
}

impl World {
    pub(crate) fn new(seed: u64, conditions: Conditions) -> Self {
        Self::at(Ipv4Addr::LOCALHOST.into(), seed, conditions)
    }

    /// The same at another address.
    pub(crate) fn at(ip: IpAddr, seed: u64, conditions: Conditions) -> Self {
        let address = |port| SocketAddr::from((ip, port));
        let clock = Clock::new();
        let phone = Config::phone(
            address(5070),
            "1001-aa-bb",
            "Rollcall/test (device d-1)",
            seed,
        );
        let phone = Config {
            trust: rollcall_sip::Trust::Listed(vec![address(5060)]),
            // Tests say what else is refused of requests that name somebody else.
            only_for_contact: false,
            ..phone
        };
        let pbx = Config::pbx(address(5060), "pbx/test", seed ^ 0xff);
        let agents = [phone, pbx].map(|config| (config.local, UserAgent::new(config, clock.now())));
        Self {
            network: Network::new(seed, conditions),
            agents: agents.into(),
            told: Vec::new(),
            wire: Vec::new(),
            clock,
        }
    }

    pub(crate) fn perfect() -> Self {
        Self::new(1, Conditions::default())
    }

    pub(crate) fn ua(&mut self, agent: usize) -> (&mut UserAgent, Instant) {
        (&mut self.agents[agent].1, self.clock.now())
    }

    /// Sends raw bytes from anywhere to an agent.
    pub(crate) fn inject(&mut self, from: SocketAddr, to: usize, text: &str) {
        let now = self.clock.now();
        let bytes = text.replace('\n', "\r\n").into_bytes();
        self.agents[to].1.handle_datagram(now, from, &bytes);
        self.drain();
    }

    pub(crate) fn call(&mut self, from: usize, offer: &str) -> CallId {
        let (own, destination) = (self.agents[from].0, self.agents[1 - from].0);
        let (ua, now) = self.ua(from);
        let call = ua.invite(
            now,
            InviteRequest {
                target: parse_uri(&format!("sip:600@{destination}")).expect("a URI"),
                destination,
                from: name_addr(&format!("<sip:1001@{own}>")),
                offer: Bytes::from(offer.to_owned()),
                credentials: Some(Credentials::new("1001", "secret")),
                headers: Vec::new(),
            },
        );
        self.drain();
        call
    }

    /// Lets time pass, until `until` holds or `limit` has passed; true when it held.
    pub(crate) fn run_until(
        &mut self,
        limit: Duration,
        mut until: impl FnMut(&mut Self) -> bool,
    ) -> bool {
        let end = self.clock.now() + limit;
        loop {
            self.drain();
            if until(self) {
                return true;
            }
            let timers = self.agents.iter().filter_map(|(_, ua)| ua.poll_timeout());
            let Some(next) = timers
                .chain(self.network.poll_timeout())
                .min()
                .filter(|next| *next <= end)
            else {
                self.clock.advance_to(end);
                return until(self);
            };
            let now = self.clock.advance_to(next);
            for index in 0..self.agents.len() {
                self.agents[index].1.handle_timeout(now);
            }
            while let Some(datagram) = self.network.receive(now) {
                if let Some((_, ua)) = self.agents.iter_mut().find(|(at, _)| *at == datagram.to) {
                    ua.handle_datagram(now, datagram.from, &datagram.bytes);
                }
            }
        }
    }

    pub(crate) fn run(&mut self, limit: Duration) {
        self.run_until(limit, |_| false);
    }

    /// The first event of an agent that `pick` accepts, waiting for it.
    pub(crate) fn expect<T>(
        &mut self,
        agent: usize,
        mut pick: impl FnMut(&Event) -> Option<T>,
    ) -> T {
        let mut found = None;
        self.run_until(Duration::from_secs(70), |world| {
            let mut own = world.told.iter().filter(|(who, _, _)| *who == agent);
            found = own.find_map(|(_, _, event)| pick(event));
            found.is_some()
        });
        found.unwrap_or_else(|| {
            panic!(
                "agent {agent} did not tell it; told: {:?}; sent: {}",
                self.told,
                self.log()
            )
        })
    }

    pub(crate) fn expect_incoming(&mut self, agent: usize) -> (CallId, Request) {
        self.expect(agent, |event| match event {
            Event::Incoming { call, request, .. } => Some((*call, (**request).clone())),
            _ => None,
        })
    }

    /// What was sent, a line each, for a failure's message.
    pub(crate) fn log(&self) -> String {
        let line = |(who, at, bytes): &(usize, Duration, Bytes)| {
            let text = String::from_utf8_lossy(bytes);
            let field = |name| {
                text.lines()
                    .find(|line| line.starts_with(name))
                    .unwrap_or_default()
                    .to_owned()
            };
            format!(
                "\n{at:?} {who}: {} | {}",
                text.lines().next().unwrap_or_default(),
                field("CSeq")
            )
        };
        self.wire.iter().map(line).collect()
    }

    pub(crate) fn count(&self, agent: usize, pick: impl Fn(&Event) -> bool) -> usize {
        self.told
            .iter()
            .filter(|(who, _, event)| *who == agent && pick(event))
            .count()
    }

    /// First lines of what an agent sent.
    pub(crate) fn start_lines(&self, agent: usize) -> Vec<String> {
        let own = self.wire.iter().filter(|(who, _, _)| *who == agent);
        own.map(|(_, _, bytes)| {
            String::from_utf8_lossy(bytes)
                .lines()
                .next()
                .unwrap_or_default()
                .to_owned()
        })
        .collect()
    }

    /// The messages an agent sent, read again.
    pub(crate) fn sent(&self, agent: usize) -> Vec<Message> {
        let own = self.wire.iter().filter(|(who, _, _)| *who == agent);
        own.map(|(_, _, bytes)| rollcall_sip::parse(bytes).expect("what leaves is readable"))
            .collect()
    }

    /// The first ACK that it sent, which has what requests inside the dialog must say.
    pub(crate) fn ack(&self, agent: usize) -> Request {
        let acks = self
            .sent(agent)
            .into_iter()
            .find_map(|message| match message {
                Message::Request(request) if request.method == Method::Ack => Some(request),
                _ => None,
            });
        acks.expect("an ACK")
    }

    pub(crate) fn drain(&mut self) {
        let now = self.clock.now();
        for (index, (own, ua)) in self.agents.iter_mut().enumerate() {
            while let Some(transmit) = ua.poll_transmit() {
                self.network
                    .send(now, *own, transmit.destination, transmit.bytes.to_vec());
                self.wire
                    .push((index, self.clock.elapsed(), transmit.bytes));
            }
            while let Some(event) = ua.poll_event() {
                self.told.push((index, self.clock.elapsed(), event));
            }
        }
    }
}

/// A registrar played by the PBX's user agent: digest, one contact, and what a test wants it to do wrong.
pub(crate) struct Registrar {
    pub(crate) authenticator: Authenticator,
    pub(crate) password: String,
    pub(crate) expires: u32,
    pub(crate) min_expires: u32,
    pub(crate) omit_contact: bool,
    /// Writes one address into every Contact, and so forgets a new one with the one before.
    pub(crate) rewrites_all: bool,
    pub(crate) contact: Option<String>,
    pub(crate) service_route: Vec<String>,
    /// Put into the Contact of the 200.
    pub(crate) padding: String,
    seen: usize,
}

impl Registrar {
    pub(crate) fn new(world: &World) -> Self {
        let authenticator =
            Authenticator::new("pbx", [7; 32], Duration::from_secs(32), world.clock.now());
        Self {
            authenticator: authenticator.with_algorithms(vec![Algorithm::Sha256, Algorithm::Md5]),
            password: "secret".into(),
            expires: 300,
            min_expires: 0,
            omit_contact: false,
            rewrites_all: false,
            contact: None,
            service_route: Vec::new(),
            padding: String::new(),
            seen: 0,
        }
    }

    /// Answers every REGISTER that waits.
    pub(crate) fn serve(&mut self, world: &mut World) {
        while let Some((_, _, event)) = world.told.get(self.seen).cloned() {
            self.seen += 1;
            if let Event::Request { id, request, .. } = event
                && request.method == Method::Register
            {
                let now = world.clock.now();
                let reply = self.reply(now, &request);
                world.agents[PBX].1.respond(now, id, reply);
            }
        }
        world.drain();
    }

    fn reply(&mut self, now: Instant, request: &Request) -> Reply {
        let password = self.password.clone();
        let verdict = self.authenticator.verify(now, request, |_| Some(password));
        if !matches!(verdict, Verdict::Accepted { .. }) {
            let stale = verdict == Verdict::Stale;
            let challenges = self.authenticator.challenges(now, stale);
            return challenges.into_iter().fold(Reply::new(401), |reply, one| {
                reply.with("WWW-Authenticate", one)
            });
        }
        let asked = request
            .headers
            .seconds("Expires")
            .unwrap_or_default()
            .as_secs() as u32;
        if asked == 0 {
            self.contact = None;
            return Reply::new(200);
        }
        if asked < self.min_expires {
            return Reply::new(423).with("Min-Expires", self.min_expires.to_string());
        }
        let contact = request.headers.contacts();
        let lasting = |contact: &NameAddr| contact.params.get("expires").as_deref() != Some("0");
        let contact = contact.into_iter().find(lasting).expect("a Contact");
        self.contact = Some(contact.user().to_owned());
        let forgets = self.rewrites_all && request.headers.contacts().len() > 1;
        match self.omit_contact || forgets {
            true => Reply::new(200),
            false => {
                // Host and port rewritten, as Asterisk does behind NAT: only the user part is ours.
                let uri = format!(
                    "<sip:{}{}@198.51.100.7:9>;expires={}",
                    contact.user(),
                    self.padding,
                    self.expires.min(asked)
                );
                let reply =
                    Reply::new(200).with("Contact", format!("<sip:desk@198.51.100.9>, {uri}"));
                let routes = self.service_route.iter();
                routes.fold(reply, |reply, route| reply.with("Service-Route", route))
            }
        }
    }
}

pub(crate) fn account(password: &str) -> Account {
    Account {
        aor: name_addr("<sip:1001@127.0.0.1>"),
        registrar: parse_uri("sip:127.0.0.1:5060").expect("a URI"),
        destination: address(5060),
        credentials: Credentials::new("1001", password),
        expires: Duration::from_secs(300),
    }
}

pub(crate) fn registration(event: &Event) -> Option<RegistrationEvent> {
    match event {
        Event::Registration(event) => Some(event.clone()),
        _ => None,
    }
}

/// How many seeds a test plays: `usual` in the test command, more where `SOAK_SEEDS` asks for it (`cargo xtask soak`).
pub(crate) fn seeds(usual: u64) -> u64 {
    let asked = std::env::var("SOAK_SEEDS").ok();
    asked
        .and_then(|asked| asked.parse().ok())
        .unwrap_or(usual)
        .max(usual)
}
