//! A small telephone exchange on real sockets: it registers phones, and connects one to another by their extensions.

#![allow(dead_code, reason = "each test file uses its own part")]

use std::collections::HashMap;
use std::net::{SocketAddr, UdpSocket};
use std::sync::mpsc;
use std::time::{Duration, Instant};

use bytes::Bytes;
use rollcall_phone::{
    Account, AudioChoice, CallRef, Credentials, Engine, EngineConfig, EngineHandle, PhoneCommand,
    PhoneEvent,
};
use rollcall_sip::digest::{Authenticator, Verdict};
use rollcall_sip::message::{HeadersView, Method, NameAddr, Request, Uri};
use rollcall_sip::{CallId, Config, EndReason, Event, InviteRequest, Reply, UserAgent};
use tokio::sync::mpsc::Receiver;

/// Longer than anything takes that a test waits for; only a failing test waits so long.
const PATIENCE: Duration = Duration::from_secs(20);

/// What an exchange can be told to do, while it runs.
pub(crate) enum Order {
    /// Answer REGISTER with 200 but without a Contact.
    OmitContacts,
    /// Refuse REGISTER with this code.
    Refuse(u16),
    /// Say nothing at all.
    FallSilent,
    /// Change the session of the call that [`Order::Call`] made and the phone answered.
    Change { offer: String },
    /// Send this SDP in an INVITE to the extension, as a caller without a phone.
    Call { extension: String, offer: String },
}

/// A running exchange.
pub(crate) struct Exchange {
    pub(crate) address: SocketAddr,
    orders: mpsc::SyncSender<Order>,
    refusals: mpsc::Receiver<(u16, String)>,
    answers: mpsc::Receiver<String>,
}

impl Exchange {
    pub(crate) fn start() -> Self {
        let socket = UdpSocket::bind("127.0.0.1:0").expect("a socket");
        socket
            .set_read_timeout(Some(Duration::from_millis(5)))
            .expect("a time-out");
        let address = socket.local_addr().expect("an address");
        let (orders, asked) = mpsc::sync_channel(0);
        let (refused, refusals) = mpsc::channel();
        let (answered, answers) = mpsc::channel();
        std::thread::spawn(move || Switch::new(socket, refused, answered).run(&asked));
        Self {
            address,
            orders,
            refusals,
            answers,
        }
    }

    /// Returns when its port is closed.
    pub(crate) fn close(self) {
        let Self {
            orders, answers, ..
        } = self;
        drop(orders);
        // Its other end goes with the thread, after the socket.
        while answers.recv_timeout(PATIENCE).is_ok() {}
    }

    /// Returns when the exchange has taken the order.
    pub(crate) fn order(&self, order: Order) {
        self.orders.send(order).expect("the exchange runs");
    }

    /// The phone's SDP to [`Order::Call`] or [`Order::Change`], or what it asks that call to be changed to.
    pub(crate) fn answered_with(&self) -> String {
        self.answers.recv_timeout(PATIENCE).expect("an answer")
    }

    /// The code and the reason phrase with which the next call made by [`Order::Call`] was refused; of an
    /// [`Order::Change`] the code alone.
    pub(crate) fn refused_with(&self) -> (u16, String) {
        self.refusals.recv_timeout(PATIENCE).expect("a refusal")
    }
}

struct Switch {
    socket: UdpSocket,
    ua: UserAgent,
    authenticator: Authenticator,
    contacts: HashMap<String, (Uri, SocketAddr)>,
    /// The other leg of a call.
    legs: HashMap<CallId, CallId>,
    refused: mpsc::Sender<(u16, String)>,
    answered: mpsc::Sender<String>,
    /// The call that has no other leg.
    lone: Option<CallId>,
    lone_offer: Bytes,
    omit_contacts: bool,
    refuse: Option<u16>,
    silent: bool,
}

impl Switch {
    fn new(
        socket: UdpSocket,
        refused: mpsc::Sender<(u16, String)>,
        answered: mpsc::Sender<String>,
    ) -> Self {
        let now = Instant::now();
        let address = socket.local_addr().expect("an address");
        Self {
            socket,
            ua: UserAgent::new(Config::pbx(address, "exchange", 3), now),
            authenticator: Authenticator::new("exchange", [3; 32], Duration::from_secs(60), now),
            contacts: HashMap::new(),
            legs: HashMap::new(),
            refused,
            answered,
            lone: None,
            lone_offer: Bytes::new(),
            omit_contacts: false,
            refuse: None,
            silent: false,
        }
    }

    /// Until the test has dropped its end.
    fn run(mut self, orders: &mpsc::Receiver<Order>) {
        let mut datagram = vec![0; 65_535];
        loop {
            match orders.try_recv() {
                Ok(order) => self.obey(order),
                Err(mpsc::TryRecvError::Empty) => {}
                Err(mpsc::TryRecvError::Disconnected) => return,
            }
            if let Ok((length, from)) = self.socket.recv_from(&mut datagram)
                && !self.silent
            {
                self.ua
                    .handle_datagram(Instant::now(), from, &datagram[..length]);
            }
            self.ua.handle_timeout(Instant::now());
            while let Some(event) = self.ua.poll_event() {
                self.handle(event);
            }
            while let Some(transmit) = self.ua.poll_transmit() {
                self.socket
                    .send_to(&transmit.bytes, transmit.destination)
                    .expect("sent");
            }
        }
    }

    fn obey(&mut self, order: Order) {
        match order {
            Order::OmitContacts => self.omit_contacts = true,
            Order::Refuse(code) => self.refuse = Some(code),
            Order::FallSilent => self.silent = true,
            Order::Call { extension, offer } => {
                let from = NameAddr::parse("\"Front Desk\" <sip:900@exchange>").expect("readable");
                self.lone_offer = offer.into();
                self.lone = self.invite(&extension, from, self.lone_offer.clone());
            }
            Order::Change { offer } => {
                let lone = self.lone.expect("a call");
                assert!(
                    self.ua.reoffer(Instant::now(), lone, offer.into()),
                    "the call is up"
                );
            }
        }
    }

    fn handle(&mut self, event: Event) {
        let now = Instant::now();
        match event {
            Event::Request {
                id,
                request,
                source,
            } => {
                let reply = match request.method {
                    Method::Register => self.register(&request, source),
                    _ => Reply::new(200),
                };
                self.ua.respond(now, id, reply);
            }
            Event::Incoming { call, request, .. } => self.connect(call, &request),
            Event::Progress {
                call, code: 180, ..
            } => self.on_other_leg(call, |ua, other| ua.ring(now, other, None)),
            Event::Answered { call, sdp } | Event::OfferAnswered { call, sdp }
                if self.lone == Some(call) =>
            {
                let _ = self
                    .answered
                    .send(String::from_utf8_lossy(&sdp).into_owned());
            }
            Event::Answered { call, sdp } => {
                self.on_other_leg(call, |ua, other| ua.answer(now, other, sdp))
            }
            Event::Offer { call, sdp } if self.lone == Some(call) => {
                let _ = self
                    .answered
                    .send(String::from_utf8_lossy(&sdp).into_owned());
                self.ua.answer_offer(now, call, self.lone_offer.clone());
            }
            Event::Offer { call, sdp } => {
                self.on_other_leg(call, |ua, other| {
                    if !ua.reoffer(now, other, sdp) {
                        ua.refuse_offer(now, call, 491);
                    }
                });
            }
            Event::OfferAnswered { call, sdp } => {
                self.on_other_leg(call, |ua, other| ua.answer_offer(now, other, sdp))
            }
            Event::OfferRefused { call, code } if self.lone == Some(call) => {
                let _ = self.refused.send((code, String::new()));
            }
            Event::OfferRefused { call, code } => {
                self.on_other_leg(call, |ua, other| ua.refuse_offer(now, other, code))
            }
            Event::Ended { call, reason } => {
                if let Some(other) = self.legs.remove(&call) {
                    self.legs.remove(&other);
                    match reason {
                        EndReason::Refused { code, .. } => self.ua.reject(now, other, code),
                        _ => self.ua.hangup(now, other),
                    }
                } else if let EndReason::Refused { code, reason, .. } = reason {
                    let _ = self.refused.send((code, reason));
                }
            }
            _ => {}
        }
    }

    fn register(&mut self, request: &Request, source: SocketAddr) -> Reply {
        let now = Instant::now();
        if let Some(code) = self.refuse {
            return Reply::new(code);
        }
        let known = |user: &str| Some(password_of(user));
        let Verdict::Accepted { username } = self.authenticator.verify(now, request, known) else {
            let challenges = self.authenticator.challenges(now, false);
            return challenges.into_iter().fold(Reply::new(401), |reply, one| {
                reply.with("WWW-Authenticate", one)
            });
        };
        if request.headers.text("Expires") == Some("0") {
            self.contacts.remove(&username);
            return Reply::new(200);
        }
        // The one before it goes, where the phone has moved.
        let contact = request.headers.contacts().into_iter().next();
        let contact = contact.expect("a Contact");
        self.contacts
            .insert(username, (contact.uri.clone(), source));
        match self.omit_contacts {
            true => Reply::new(200),
            false => Reply::new(200).with("Contact", format!("{contact};expires=60")),
        }
    }

    fn connect(&mut self, call: CallId, request: &Request) {
        let extension = request.uri.user().unwrap_or_default().to_owned();
        let from = request.headers.from_view().expect("From");
        let from = NameAddr {
            params: Default::default(),
            ..from
        };
        match self.invite(&extension, from, request.body.clone().into()) {
            Some(other) => {
                self.legs.insert(call, other);
                self.legs.insert(other, call);
            }
            None => self.ua.reject(Instant::now(), call, 404),
        }
    }

    fn invite(&mut self, extension: &str, from: NameAddr, offer: Bytes) -> Option<CallId> {
        let (target, destination) = self.contacts.get(extension)?.clone();
        let invite = InviteRequest {
            target,
            destination,
            from,
            offer,
            credentials: None,
            headers: Vec::new(),
        };
        Some(self.ua.invite(Instant::now(), invite))
    }

    fn on_other_leg(&mut self, call: CallId, act: impl FnOnce(&mut UserAgent, CallId)) {
        if let Some(other) = self.legs.get(&call) {
            act(&mut self.ua, *other);
        }
    }
}

pub(crate) fn password_of(extension: &str) -> String {
    format!("secret-of-{extension}")
}

/// An engine under test and everything it told.
pub(crate) struct Phone {
    pub(crate) engine: EngineHandle,
    events: Receiver<PhoneEvent>,
    pub(crate) told: Vec<PhoneEvent>,
}

/// Quick timers, no sound devices.
pub(crate) fn config(audio: AudioChoice) -> EngineConfig {
    EngineConfig {
        audio,
        vitals_every: Duration::from_millis(100),
        sip_t1: Duration::from_millis(50),
        ..EngineConfig::default()
    }
}

impl Phone {
    pub(crate) fn start(config: EngineConfig) -> Self {
        let (engine, events) = Engine::start(config).expect("threads");
        Self {
            engine,
            events,
            told: Vec::new(),
        }
    }

    pub(crate) fn register(&self, extension: &str, registrar: &str) {
        self.register_with(extension, registrar, &password_of(extension));
    }

    pub(crate) fn register_with(&self, extension: &str, registrar: &str, password: &str) {
        let account = Account::new(
            extension,
            registrar,
            Credentials::new(extension, password),
            "device-1",
        );
        self.engine.send(PhoneCommand::Register(account));
    }

    /// A phone that is registered at the exchange.
    pub(crate) async fn registered(
        extension: &str,
        exchange: &Exchange,
        config: EngineConfig,
    ) -> Self {
        let mut phone = Self::start(config);
        phone.register(extension, &exchange.address.to_string());
        phone
            .expect(|event| matches!(event, PhoneEvent::Registered { .. }).then_some(()))
            .await;
        phone
    }

    /// The next event that `pick` accepts.
    pub(crate) async fn expect<T>(&mut self, mut pick: impl FnMut(&PhoneEvent) -> Option<T>) -> T {
        let deadline = tokio::time::Instant::now() + PATIENCE;
        loop {
            match tokio::time::timeout_at(deadline, self.events.recv()).await {
                Ok(Some(event)) => {
                    self.told.push(event.clone());
                    if let Some(found) = pick(&event) {
                        return found;
                    }
                }
                Ok(None) => panic!("the engine has stopped: {:#?}", self.heard()),
                Err(_) => panic!("it was not told: {:#?}", self.heard()),
            }
        }
    }

    /// The Contact of the next registration, or refresh, that the registrar confirms.
    pub(crate) async fn contact(&mut self) -> String {
        self.expect(|event| match event {
            PhoneEvent::Registered { contact, .. } => Some(contact.clone()),
            _ => None,
        })
        .await
    }

    pub(crate) async fn incoming(&mut self) -> CallRef {
        self.expect(|event| match event {
            PhoneEvent::Incoming { call, .. } => Some(*call),
            _ => None,
        })
        .await
    }

    pub(crate) async fn ended(&mut self) -> rollcall_phone::CallEnd {
        self.expect(|event| match event {
            PhoneEvent::Ended { end, .. } => Some(end.clone()),
            _ => None,
        })
        .await
    }

    pub(crate) async fn answered(&mut self) -> rollcall_phone::Codec {
        self.expect(|event| match event {
            PhoneEvent::Answered { codec, .. } => Some(*codec),
            _ => None,
        })
        .await
    }

    pub(crate) fn dial(&self, target: &str) -> CallRef {
        let call = CallRef::fresh();
        self.engine.send(PhoneCommand::Dial {
            call,
            target: target.to_owned(),
        });
        call
    }

    /// Waits so many turns of the media tick: the engine's own measure of time.
    pub(crate) async fn ticks(&mut self, turns: u64) {
        let mut first = None;
        self.expect(|event| match event {
            PhoneEvent::Vitals(vitals) => {
                let first = *first.get_or_insert(vitals.tick);
                (vitals.tick >= first + turns).then_some(())
            }
            _ => None,
        })
        .await;
    }

    fn heard(&self) -> Vec<&PhoneEvent> {
        self.told
            .iter()
            .filter(|event| !matches!(event, PhoneEvent::Vitals(_)))
            .collect()
    }
}
