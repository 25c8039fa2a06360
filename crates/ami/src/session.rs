//! One manager connection, without its socket and without a clock.
//!
//! Owns the login, the wait for `FullyBooted`, the keep-alive, and the matching of responses and lists to what was
//! asked. It refuses to reconnect: a session that closed stays closed, and everything that was pending fails with it.

use std::collections::{BTreeMap, VecDeque};
use std::time::{Duration, Instant};

use crate::account;
use crate::action::Action;
use crate::event::Event;
use crate::frame::{Decoder, Frame, FrameError, Limits};
use crate::packet::{FieldError, Packet};
use crate::secret::Secret;

/// What a session needs to know.
#[derive(Debug, Clone)]
pub struct SessionConfig {
    /// The manager user.
    pub username: String,
    /// Its secret.
    pub secret: Secret,
    /// Event classes to receive, as in the Login action.
    pub events: String,
    /// From connecting to the accepted login.
    pub login_timeout: Duration,
    /// From the accepted login to `FullyBooted`: Asterisk accepts logins while it still loads.
    pub boot_timeout: Duration,
    /// After how much silence a Ping is sent.
    pub ping_after: Duration,
    /// How long after a Ping silence means that the link is dead.
    pub ping_timeout: Duration,
    /// For an action's response, and for the first packet of a list.
    pub action_timeout: Duration,
    /// For a whole list.
    pub list_timeout: Duration,
    /// Items that a list may have.
    pub list_items: usize,
    /// Limits of what Asterisk may send.
    pub limits: Limits,
}

impl SessionConfig {
    /// The usual values for a user.
    pub fn new(username: impl Into<String>, secret: impl Into<Secret>) -> Self {
        Self {
            username: username.into(),
            secret: secret.into(),
            events: account::READ.join(","),
            login_timeout: Duration::from_secs(5),
            boot_timeout: Duration::from_secs(60),
            ping_after: Duration::from_secs(3),
            ping_timeout: Duration::from_secs(3),
            action_timeout: Duration::from_secs(5),
            list_timeout: Duration::from_secs(10),
            list_items: 500_000,
            limits: Limits::default(),
        }
    }
}

/// Names a request of this session.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub struct RequestId(u64);

/// Asterisk's `Response: Success`.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Response {
    /// Its message; may be empty.
    pub message: String,
    /// All of it.
    pub packet: Packet,
}

/// A list that came to its end.
#[derive(Debug, Clone, PartialEq)]
pub enum Listing {
    /// What was listed; as many items as Asterisk says there are.
    Items(Vec<Event>),
    /// `Response: Error`, `Message: No Contacts found`. Asterisk says the same when its database is gone: this counts as
    /// an empty list only after an own look at the database.
    NoneFound {
        /// Asterisk's message.
        message: String,
    },
}

/// Why an action or a list has no answer.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum ActionError {
    /// There is no link to Asterisk now.
    #[error("not connected to Asterisk")]
    NotConnected,
    /// The link was lost before the answer came; whether the action took effect is unknown.
    #[error("the link to Asterisk was lost before it answered")]
    Lost,
    /// No answer within the time.
    #[error("Asterisk did not answer in time")]
    TimedOut,
    /// Asterisk said no.
    #[error("Asterisk refused: {message}")]
    Refused {
        /// Its message.
        message: String,
    },
    /// The list has not as many items as Asterisk says.
    #[error("the list is incomplete: {received} of {declared} items")]
    Incomplete {
        /// Items that Asterisk says it sent.
        declared: usize,
        /// Items that came.
        received: usize,
    },
    /// Asterisk cancelled the list, or it is larger than the limit, or no list was sent.
    #[error("Asterisk did not send a whole list")]
    NoList,
    /// A value that must not be sent.
    #[error(transparent)]
    Field(#[from] FieldError),
}

/// Why a session closed.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum CloseReason {
    /// The peer closed the connection.
    #[error("Asterisk closed the connection")]
    ByPeer,
    /// We logged off.
    #[error("logged off")]
    LoggedOff,
    /// The login was refused.
    #[error("Asterisk refused the login: {message}")]
    LoginRefused {
        /// Asterisk's message.
        message: String,
    },
    /// No greeting or no answer to the login in time.
    #[error("Asterisk did not accept the login in time")]
    LoginTimedOut,
    /// The login was accepted, but Asterisk did not finish booting in time, or the user may not read class `system`.
    #[error("Asterisk did not report that it is fully booted")]
    NotBooted,
    /// Not even a Ping was answered.
    #[error("Asterisk has been silent for {0:?}")]
    Silent(Duration),
    /// What came is no AMI.
    #[error(transparent)]
    Frame(#[from] FrameError),
    /// A user name or secret that cannot be sent.
    #[error("the configured login cannot be sent: {0}")]
    Credentials(FieldError),
}

/// What a session has to say.
#[derive(Debug, Clone, PartialEq)]
pub enum Output {
    /// Logged in and fully booted: from here on requests are taken.
    Ready,
    /// Asterisk reports something.
    Event(Box<Event>),
    /// An action's outcome.
    Answered(RequestId, Result<Response, ActionError>),
    /// A list's outcome.
    Listed(RequestId, Result<Listing, ActionError>),
    /// The session is over. Nothing follows but failures of what was pending, which came before.
    Closed(CloseReason),
}

/// A manager connection.
#[derive(Debug)]
pub struct Session {
    config: SessionConfig,
    /// Begins each ActionID, so that another client's UserEvent with a plain number is never taken for an answer.
    tag: u32,
    state: State,
    decoder: Decoder,
    pending: BTreeMap<RequestId, Pending>,
    last_id: u64,
    heard_at: Instant,
    ping_sent: Option<Instant>,
    transmits: VecDeque<Vec<u8>>,
    outputs: VecDeque<Output>,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum State {
    AwaitingGreeting { deadline: Instant },
    AwaitingLogin { deadline: Instant },
    AwaitingBoot { deadline: Instant },
    Ready,
    Closed,
}

#[derive(Debug)]
struct Pending {
    kind: PendingKind,
    deadline: Instant,
}

#[derive(Debug)]
enum PendingKind {
    Login,
    Ping,
    Action,
    List { started: bool, items: Vec<Event> },
}

impl Session {
    /// A session over a connection that has just been made. `tag` should be random.
    pub fn new(config: SessionConfig, tag: u32, now: Instant) -> Self {
        let deadline = now + config.login_timeout;
        Self {
            tag,
            state: State::AwaitingGreeting { deadline },
            decoder: Decoder::of_manager(config.limits),
            pending: BTreeMap::new(),
            last_id: 0,
            heard_at: now,
            ping_sent: None,
            transmits: VecDeque::new(),
            outputs: VecDeque::new(),
            config,
        }
    }

    /// Takes bytes off the wire.
    pub fn handle_bytes(&mut self, now: Instant, bytes: &[u8]) {
        if self.state == State::Closed {
            return;
        }
        self.heard_at = now;
        self.ping_sent = None;
        self.decoder.push(bytes);
        while self.state != State::Closed {
            match self.decoder.next_frame() {
                Ok(Some(Frame::Greeting(_))) => self.login(now),
                Ok(Some(Frame::Packet(packet))) => self.handle_packet(now, packet),
                Ok(None) => break,
                Err(error) => self.close(CloseReason::Frame(error)),
            }
        }
    }

    /// Told that the peer closed the connection, or that reading or writing failed.
    pub fn handle_disconnect(&mut self) {
        self.close(CloseReason::ByPeer);
    }

    /// Does what is due at `now`.
    pub fn handle_timeout(&mut self, now: Instant) {
        match self.state {
            State::AwaitingGreeting { deadline } | State::AwaitingLogin { deadline }
                if deadline <= now =>
            {
                return self.close(CloseReason::LoginTimedOut);
            }
            State::AwaitingBoot { deadline } if deadline <= now => {
                return self.close(CloseReason::NotBooted);
            }
            State::Closed => return,
            _ => {}
        }
        self.keep_alive(now);
        self.expire(now);
    }

    /// When [`Session::handle_timeout`] is next due.
    pub fn poll_timeout(&self) -> Option<Instant> {
        let phase = match self.state {
            State::AwaitingGreeting { deadline } | State::AwaitingLogin { deadline } => {
                Some(deadline)
            }
            State::AwaitingBoot { deadline } => Some(deadline.min(self.alive_until())),
            State::Ready => Some(self.alive_until()),
            State::Closed => return None,
        };
        self.pending
            .values()
            .map(|pending| pending.deadline)
            .chain(phase)
            .min()
    }

    /// The next bytes to send.
    pub fn poll_transmit(&mut self) -> Option<Vec<u8>> {
        self.transmits.pop_front()
    }

    /// The next thing to tell.
    pub fn poll_output(&mut self) -> Option<Output> {
        self.outputs.pop_front()
    }

    /// Asks for an action; its outcome comes as [`Output::Answered`], always.
    pub fn request(&mut self, now: Instant, action: Action) -> RequestId {
        self.ask(now, action, PendingKind::Action, self.config.action_timeout)
    }

    /// Asks for a list; its outcome comes as [`Output::Listed`], always.
    pub fn list(&mut self, now: Instant, action: Action) -> RequestId {
        self.ask(
            now,
            action,
            PendingKind::List {
                started: false,
                items: Vec::new(),
            },
            self.config.list_timeout,
        )
    }

    /// Says goodbye; the session is over once the bytes are sent.
    pub fn log_off(&mut self) {
        if self.state == State::Closed {
            return;
        }
        let mut wire = Vec::new();
        Action::logoff().packet().encode(&mut wire);
        self.transmits.push_back(wire);
        self.close(CloseReason::LoggedOff);
    }

    /// When something was last heard from Asterisk.
    pub fn heard_at(&self) -> Instant {
        self.heard_at
    }

    fn ask(
        &mut self,
        now: Instant,
        action: Action,
        kind: PendingKind,
        timeout: Duration,
    ) -> RequestId {
        if self.state != State::Ready {
            self.last_id += 1;
            let id = RequestId(self.last_id);
            self.fail(id, kind, ActionError::NotConnected);
            return id;
        }
        self.send(action, kind, now + timeout)
    }

    fn send(&mut self, action: Action, kind: PendingKind, deadline: Instant) -> RequestId {
        self.last_id += 1;
        let id = RequestId(self.last_id);
        let packet = action
            .into_packet()
            .with("ActionID", &format!("{:08x}-{}", self.tag, id.0));
        let mut wire = Vec::new();
        packet.encode(&mut wire);
        self.transmits.push_back(wire);
        self.pending.insert(id, Pending { kind, deadline });
        id
    }

    fn login(&mut self, now: Instant) {
        match Action::login(
            &self.config.username,
            self.config.secret.expose(),
            &self.config.events,
        ) {
            Ok(action) => {
                let deadline = now + self.config.login_timeout;
                self.state = State::AwaitingLogin { deadline };
                self.send(action, PendingKind::Login, deadline);
            }
            Err(error) => self.close(CloseReason::Credentials(error)),
        }
    }

    fn handle_packet(&mut self, now: Instant, packet: Packet) {
        let asked = packet.get("ActionID").and_then(|id| self.own_id(id));
        // Some events have a header `Response` of their own (ChallengeResponseFailed, OriginateResponse).
        if packet.get("Event").is_none() {
            // A response to nothing we still wait for came too late; its request has been told so.
            if let Some(id) = asked {
                self.handle_response(now, id, packet);
            }
        } else if let Some(id) = asked.filter(|id| self.is_started_list(*id)) {
            self.handle_list_packet(id, packet);
        } else {
            self.handle_event(packet);
        }
    }

    fn own_id(&self, action_id: &str) -> Option<RequestId> {
        let (tag, number) = action_id.split_once('-')?;
        let id = RequestId(number.parse().ok()?);
        let ours = u32::from_str_radix(tag, 16).ok()? == self.tag;
        (ours && self.pending.contains_key(&id)).then_some(id)
    }

    fn is_started_list(&self, id: RequestId) -> bool {
        matches!(
            self.pending.get(&id),
            Some(Pending {
                kind: PendingKind::List { started: true, .. },
                ..
            })
        )
    }

    fn handle_event(&mut self, packet: Packet) {
        let booted = packet.get("Event") == Some("FullyBooted");
        if booted && matches!(self.state, State::AwaitingBoot { .. }) {
            self.state = State::Ready;
            self.outputs.push_back(Output::Ready);
        }
        // Before Ready whatever happens is told by the first full list.
        if self.state == State::Ready {
            self.outputs
                .push_back(Output::Event(Box::new(Event::from_packet(packet))));
        }
    }

    fn handle_response(&mut self, now: Instant, id: RequestId, packet: Packet) {
        let message = packet.get("Message").unwrap_or_default().to_owned();
        let refused = packet.get("Response") == Some("Error");
        if let Some(Pending {
            kind: PendingKind::List { started, .. },
            ..
        }) = self.pending.get_mut(&id)
            && !refused
            && packet
                .get("EventList")
                .is_some_and(|word| word.eq_ignore_ascii_case("start"))
        {
            *started = true;
            return;
        }
        let Some(Pending { kind, .. }) = self.pending.remove(&id) else {
            return;
        };
        match kind {
            PendingKind::Login if refused => self.close(CloseReason::LoginRefused { message }),
            PendingKind::Login => {
                self.state = State::AwaitingBoot {
                    deadline: now + self.config.boot_timeout,
                }
            }
            PendingKind::Ping => {}
            PendingKind::Action if refused => {
                self.outputs
                    .push_back(Output::Answered(id, Err(ActionError::Refused { message })));
            }
            PendingKind::Action => {
                self.outputs
                    .push_back(Output::Answered(id, Ok(Response { message, packet })));
            }
            PendingKind::List { .. } => {
                let outcome = match refused {
                    true if is_none_found(&message) => Ok(Listing::NoneFound { message }),
                    true => Err(ActionError::Refused { message }),
                    false => Err(ActionError::NoList),
                };
                self.outputs.push_back(Output::Listed(id, outcome));
            }
        }
    }

    fn handle_list_packet(&mut self, id: RequestId, packet: Packet) {
        let Some(Pending {
            kind: PendingKind::List { items, .. },
            ..
        }) = self.pending.get_mut(&id)
        else {
            return;
        };
        let outcome = match packet.get("EventList") {
            Some(word) if word.eq_ignore_ascii_case("complete") => {
                whole(std::mem::take(items), &packet)
            }
            Some(_) => Err(ActionError::NoList),
            None if items.len() >= self.config.list_items => Err(ActionError::NoList),
            None => return items.push(Event::from_packet(packet)),
        };
        self.pending.remove(&id);
        self.outputs.push_back(Output::Listed(id, outcome));
    }

    fn alive_until(&self) -> Instant {
        match self.ping_sent {
            Some(sent) => sent + self.config.ping_timeout,
            None => self.heard_at + self.config.ping_after,
        }
    }

    fn keep_alive(&mut self, now: Instant) {
        if !matches!(self.state, State::AwaitingBoot { .. } | State::Ready)
            || now < self.alive_until()
        {
            return;
        }
        if self.ping_sent.is_some() {
            return self.close(CloseReason::Silent(
                now.saturating_duration_since(self.heard_at),
            ));
        }
        self.ping_sent = Some(now);
        self.send(
            Action::ping(),
            PendingKind::Ping,
            now + self.config.ping_timeout,
        );
    }

    fn expire(&mut self, now: Instant) {
        let due: Vec<RequestId> = self
            .pending
            .iter()
            .filter(|(_, pending)| pending.deadline <= now)
            .map(|(id, _)| *id)
            .collect();
        for id in due {
            if let Some(Pending { kind, .. }) = self.pending.remove(&id) {
                self.fail(id, kind, ActionError::TimedOut);
            }
        }
    }

    fn close(&mut self, reason: CloseReason) {
        if self.state == State::Closed {
            return;
        }
        self.state = State::Closed;
        for (id, pending) in std::mem::take(&mut self.pending) {
            self.fail(id, pending.kind, ActionError::Lost);
        }
        self.outputs.push_back(Output::Closed(reason));
    }

    fn fail(&mut self, id: RequestId, kind: PendingKind, error: ActionError) {
        match kind {
            PendingKind::Login | PendingKind::Ping => {}
            PendingKind::Action => self.outputs.push_back(Output::Answered(id, Err(error))),
            PendingKind::List { .. } => self.outputs.push_back(Output::Listed(id, Err(error))),
        }
    }
}

/// `No Contacts found`, `No Endpoints found`, ...
fn is_none_found(message: &str) -> bool {
    message.starts_with("No ")
        && message
            .trim_end_matches('.')
            .to_ascii_lowercase()
            .ends_with(" found")
}

fn whole(items: Vec<Event>, complete: &Packet) -> Result<Listing, ActionError> {
    let received = items.len();
    match complete
        .get("ListItems")
        .and_then(|count| count.parse().ok())
    {
        Some(declared) if declared != received => {
            Err(ActionError::Incomplete { declared, received })
        }
        _ => Ok(Listing::Items(items)),
    }
}
