//! The seam between the edge and the driver of the alignment core.
//!
//! The edge holds a [`CoreHandle`]: it sends [`Command`]s and reads the board. The driver holds the
//! matching [`CoreInbox`]: it takes the commands, feeds the pure core, carries out what the core
//! asks, and publishes what may be seen. Nothing is published, and no reply sent, before the
//! change it speaks of is committed (R8).

use std::{
    collections::BTreeMap,
    sync::{Arc, Mutex, PoisonError},
    time::Instant,
};

use rollcall_alignment::{EndReason, Explanation, Person};
use rollcall_wire::{
    board::Agent,
    http::Role,
    realtime::{AgentStatus, AgentsSnapshot, DeviceHeartbeat, SessionEnded},
};
use tokio::sync::{broadcast, mpsc, oneshot};

use crate::{
    auth::{Session, SessionId},
    db::{Database, DbError},
    events::{Bus, Event},
};

/// Commands that may wait for the driver; a full queue refuses with `busy` instead of growing.
const COMMANDS: usize = 8_192;
/// Published items a subscriber may be behind before it has to start again from a snapshot.
const PUBLISHED: usize = 8_192;

/// The number of one Socket.IO connection, unique in this process.
pub type ConnectionId = u64;

/// What the edge asks of the driver, or tells it.
#[derive(Debug)]
pub enum Command {
    /// A password was right, and a session is to be opened. The edge has stored it with its tokens;
    /// it ends it again when this is refused.
    SignIn {
        /// The new session; it has an extension.
        session: Arc<Session>,
        /// Answered after the commit.
        reply: oneshot::Sender<Result<(), Refusal>>,
    },
    /// `agent-online`: the agent wants calls at this contact.
    Online {
        /// Who asks.
        session: Arc<Session>,
        /// The extension in the body; the edge has refused any but the session's own.
        extension: String,
        /// The Contact as claimed: to be matched, never stored as a route.
        contact_uri: String,
        /// End the sessions of other devices that stand in the way.
        take_over: bool,
        /// The client's name for this request.
        key: Option<String>,
        /// Answered after the commit.
        reply: oneshot::Sender<Result<Online, Refusal>>,
    },
    /// A supervisor ends sessions of an extension.
    ForceLogout {
        /// Who asks.
        by: Arc<Session>,
        /// Whose sessions.
        extension: String,
        /// This device's alone.
        device_id: Option<String>,
        /// End the calls too.
        end_calls: bool,
        /// Answered when every view agrees, or with what is pending.
        reply: oneshot::Sender<Result<LoggedOut, Refusal>>,
    },
    /// Somebody pauses an agent, or ends the pause.
    Pause {
        /// Who asks; the edge has made sure that they may.
        by: Arc<Session>,
        /// Whose.
        extension: String,
        /// Why; `None` ends it.
        reason: Option<String>,
        /// The client's name for this request.
        key: Option<String>,
        /// Answered after the commit.
        reply: oneshot::Sender<Result<Agent, Refusal>>,
    },
    /// Is this agent available, by a fresh check?
    Prove {
        /// Who.
        extension: String,
        /// `None`: Asterisk did not answer in time.
        reply: oneshot::Sender<Result<Option<Agent>, Refusal>>,
    },
    /// Why is this agent's state what it is?
    Explain {
        /// Who.
        extension: String,
        /// `None`: nobody has this extension.
        reply: oneshot::Sender<Result<Option<Explanation>, Refusal>>,
    },
    /// `agent-logout`.
    Logout {
        /// Who asks.
        session: Arc<Session>,
        /// Another device of the same user; none for the session's own.
        device_id: Option<String>,
        /// Why, as the client says; checked text.
        reason: Option<String>,
        /// The client's name for this request.
        key: Option<String>,
        /// Answered after the commit.
        reply: oneshot::Sender<Result<LoggedOut, Refusal>>,
    },
    /// Everybody who has an extension, said again whenever that has changed.
    People(Vec<Person>),
    /// All tokens of a session have ended without a logout.
    Expired {
        /// Which.
        session: SessionId,
    },
    /// A device's vitals, as its engine measured them.
    Heartbeat {
        /// Whose.
        session: Arc<Session>,
        /// What was measured.
        vitals: DeviceHeartbeat,
    },
    /// A Socket.IO connection of the session is up.
    Connected {
        /// Whose.
        session: Arc<Session>,
        /// Which.
        connection: ConnectionId,
    },
    /// That connection is gone.
    Disconnected {
        /// Whose.
        session: Arc<Session>,
        /// Which.
        connection: ConnectionId,
    },
}

/// What going online came to.
#[derive(Clone, Debug, PartialEq)]
pub struct Online {
    /// The agent's state after the commit.
    pub agent: Agent,
    /// The hash of the device's contact at the registrar, for logs; `None` while it has none.
    pub contact: Option<String>,
}

/// What a logout came to.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct LoggedOut {
    /// What does not agree yet: `call`, `contact`, `row`, `device`. Empty when it is complete.
    pub pending: Vec<String>,
}

/// Why the core does not do what was asked. The edge turns it into the one error shape.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Refusal {
    /// Which HTTP status it becomes.
    pub kind: RefusalKind,
    /// Stable `snake_case` word.
    pub code: &'static str,
    /// What and why, for a person.
    pub message: String,
    /// The field it is about.
    pub field: Option<&'static str>,
    /// What to do next.
    pub next: Option<&'static str>,
}

/// The kinds of refusal.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum RefusalKind {
    /// 400: the value cannot be.
    Invalid,
    /// 403: not theirs to ask.
    Forbidden,
    /// 404: no such device or agent.
    NotFound,
    /// 409: the claim conflicts with what is known.
    Conflict,
    /// 503: the database, the driver or a source is away; try again.
    Unavailable,
}

impl Refusal {
    /// The driver is gone or overwhelmed.
    #[must_use]
    pub fn busy() -> Self {
        Self {
            kind: RefusalKind::Unavailable,
            code: "busy",
            message: "The server has more to do than it can take in now.".into(),
            field: None,
            next: Some("Try again in a moment."),
        }
    }

    /// The commit failed; nothing of the change is there.
    #[must_use]
    pub fn database_down() -> Self {
        Self {
            kind: RefusalKind::Unavailable,
            code: "database_down",
            message: "The server's database cannot be written now; nothing was changed.".into(),
            field: None,
            next: Some("Try again in a moment; tell an administrator if it stays."),
        }
    }
}

/// What one device is to be told.
#[derive(Clone, Debug, PartialEq)]
pub enum DeviceNotice {
    /// Its session is over; its connections are closed after this.
    SessionEnded(SessionEnded),
    /// Nobody can speak for its session any more, which goes on for its call alone: its connections
    /// see no more of the board.
    Revoked,
    /// Please REGISTER again.
    Reregister,
}

impl DeviceNotice {
    /// The end of a session, in the words of the wire.
    pub(crate) fn ended(reason: EndReason) -> Self {
        let (reason, message) = match reason {
            EndReason::LoggedOut => ("logout", "Signed out."),
            EndReason::Superseded | EndReason::TakenOver => (
                "takeover",
                "This agent signed in again, and this session ended.",
            ),
            EndReason::Forced => ("forced", "A supervisor signed this agent out."),
            EndReason::Expired => ("expired", "The session has ended; sign in again."),
            EndReason::Reassigned => ("expired", "This extension is no longer yours."),
        };
        Self::SessionEnded(SessionEnded {
            reason: reason.into(),
            message: message.into(),
        })
    }
}

/// What the driver publishes, in order.
#[derive(Clone, Debug)]
pub enum Published {
    /// The board begins (anew): everybody gets a snapshot.
    Board(Arc<AgentsSnapshot>),
    /// One agent changed.
    Status {
        /// Who, and how.
        status: Arc<AgentStatus>,
        /// When it became true on disk.
        committed: Instant,
    },
    /// One device is told something.
    Device(SessionId, DeviceNotice),
}

/// The edge's end.
#[derive(Clone, Debug)]
pub struct CoreHandle {
    commands: mpsc::Sender<Command>,
    feed: Arc<Feed>,
}

/// The driver's end.
#[derive(Debug)]
pub struct CoreInbox {
    /// What the edge asks; `None` once the edge is gone.
    pub commands: mpsc::Receiver<Command>,
    /// Where the driver publishes.
    pub publisher: Publisher,
}

/// Publishes to everybody who holds the matching [`CoreHandle`].
#[derive(Clone, Debug)]
pub struct Publisher {
    feed: Arc<Feed>,
}

/// Makes the two ends.
#[must_use]
pub fn channel() -> (CoreHandle, CoreInbox) {
    let (sender, receiver) = mpsc::channel(COMMANDS);
    let feed = Arc::new(Feed {
        board: Mutex::default(),
        people: tokio::sync::Mutex::default(),
        published: broadcast::channel(PUBLISHED).0,
        events: Bus::default(),
    });
    let handle = CoreHandle {
        commands: sender,
        feed: Arc::clone(&feed),
    };
    let inbox = CoreInbox {
        commands: receiver,
        publisher: Publisher { feed },
    };
    (handle, inbox)
}

impl CoreHandle {
    /// Opens a session.
    pub async fn sign_in(&self, session: Arc<Session>) -> Result<(), Refusal> {
        self.ask(|reply| Command::SignIn { session, reply }).await
    }

    /// Tells who has an extension now, as the database says: one telling at a time, so that none
    /// overtakes a newer one.
    pub(crate) async fn tell_people(&self, database: &Database) -> Result<(), DbError> {
        let _one_at_a_time = self.feed.people.lock().await;
        let people = database.people().await?;
        let _ = self.commands.send(Command::People(people)).await;
        Ok(())
    }

    /// Tells that a session's tokens have ended without a logout.
    pub async fn expired(&self, session: SessionId) {
        let _ = self.commands.send(Command::Expired { session }).await;
    }

    /// Claims a contact; answers the agent's state after the commit.
    pub async fn online(
        &self,
        session: Arc<Session>,
        extension: String,
        (contact_uri, take_over): (String, bool),
        key: Option<String>,
    ) -> Result<Online, Refusal> {
        self.ask(|reply| Command::Online {
            session,
            extension,
            contact_uri,
            take_over,
            key,
            reply,
        })
        .await
    }

    /// Ends a device's session; answers after the commit.
    pub async fn logout(
        &self,
        session: Arc<Session>,
        device_id: Option<String>,
        reason: Option<String>,
        key: Option<String>,
    ) -> Result<LoggedOut, Refusal> {
        self.ask(|reply| Command::Logout {
            session,
            device_id,
            reason,
            key,
            reply,
        })
        .await
    }

    /// Ends sessions of an extension on a supervisor's word.
    pub async fn force_logout(
        &self,
        by: Arc<Session>,
        extension: String,
        device_id: Option<String>,
        end_calls: bool,
    ) -> Result<LoggedOut, Refusal> {
        self.ask(|reply| Command::ForceLogout {
            by,
            extension,
            device_id,
            end_calls,
            reply,
        })
        .await
    }

    /// Pauses an agent for a reason, or without one ends the pause; answers the row after the commit.
    pub async fn pause(
        &self,
        by: Arc<Session>,
        extension: String,
        reason: Option<String>,
        key: Option<String>,
    ) -> Result<Agent, Refusal> {
        self.ask(|reply| Command::Pause {
            by,
            extension,
            reason,
            key,
            reply,
        })
        .await
    }

    /// An agent's row by lists that are read after this call; `None` if Asterisk does not answer.
    pub async fn prove(&self, extension: String) -> Result<Option<Agent>, Refusal> {
        self.ask(|reply| Command::Prove { extension, reply }).await
    }

    /// Why an agent's state is what it is; `None` if nobody has this extension.
    pub async fn explain(&self, extension: String) -> Result<Option<Explanation>, Refusal> {
        self.ask(|reply| Command::Explain { extension, reply })
            .await
    }

    /// Passes a device's vitals on. One that finds the queue full is dropped: the next is near.
    pub fn heartbeat(&self, session: Arc<Session>, vitals: DeviceHeartbeat) {
        let _ = self
            .commands
            .try_send(Command::Heartbeat { session, vitals });
    }

    /// Tells that a connection is up.
    pub async fn connected(&self, session: Arc<Session>, connection: ConnectionId) {
        let command = Command::Connected {
            session,
            connection,
        };
        let _ = self.commands.send(command).await;
    }

    /// Tells that a connection is gone.
    pub async fn disconnected(&self, session: Arc<Session>, connection: ConnectionId) {
        let command = Command::Disconnected {
            session,
            connection,
        };
        let _ = self.commands.send(command).await;
    }

    /// Tells one device something that is the edge's own to say: the end of a session that the core
    /// does not keep, because its user has no extension.
    pub fn tell(&self, session: SessionId, notice: DeviceNotice) {
        let published = Published::Device(session, notice);
        let _ = self.feed.published.send(published);
    }

    /// The board as it stands, for one audience; `None` before the driver has published one.
    #[must_use]
    pub fn snapshot(&self, audience: &Audience) -> Option<AgentsSnapshot> {
        self.feed.board().snapshot(audience)
    }

    /// The board as it stands and everything published after it: nothing missed, nothing twice.
    #[must_use]
    pub fn subscribe(&self) -> (Option<AgentsSnapshot>, broadcast::Receiver<Published>) {
        let board = self.feed.board();
        (
            board.snapshot(&Audience::Supervisor),
            self.feed.published.subscribe(),
        )
    }

    /// What happens to extensions from now on.
    #[must_use]
    pub fn events(&self) -> broadcast::Receiver<Event> {
        self.feed.events.subscribe()
    }

    async fn ask<T>(
        &self,
        command: impl FnOnce(oneshot::Sender<Result<T, Refusal>>) -> Command,
    ) -> Result<T, Refusal> {
        let (reply, answer) = oneshot::channel();
        self.commands
            .try_send(command(reply))
            .map_err(|_| Refusal::busy())?;
        answer.await.unwrap_or_else(|_| Err(Refusal::busy()))
    }
}

impl Publisher {
    /// Begins the board: a new epoch at start, or everything anew after a gap of our own.
    pub fn board(&self, snapshot: AgentsSnapshot) {
        let mut board = self.feed.board();
        *board = Board::from(&snapshot);
        // Sent under the lock, so that the order of the channel is the order of the board.
        let published = Published::Board(Arc::new(snapshot));
        let _ = self.feed.published.send(published);
    }

    /// One agent changed, on disk since `committed`; `seq` is one more than the last.
    pub fn status(&self, status: AgentStatus, committed: Instant) {
        let mut board = self.feed.board();
        board.apply(&status);
        let status = Arc::new(status);
        let published = Published::Status { status, committed };
        let _ = self.feed.published.send(published);
    }

    /// Something happened to an extension; the change is committed.
    pub(crate) fn event(&self, event: Event) {
        self.feed.events.publish(event);
    }

    /// One device is told something.
    pub fn device(&self, session: SessionId, notice: DeviceNotice) {
        let _ = self.feed.published.send(Published::Device(session, notice));
    }
}

/// Who looks at the board.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Audience {
    /// Sees everything.
    Supervisor,
    /// Sees colleagues' states, and of the own one the reasons and devices too.
    Agent {
        /// The own extension.
        own: Option<String>,
    },
}

impl Audience {
    /// As whom a session looks.
    #[must_use]
    pub fn of(session: &Session) -> Self {
        match session.role {
            Role::Supervisor | Role::Admin => Self::Supervisor,
            Role::Agent => Self::Agent {
                own: session.extension.clone(),
            },
        }
    }

    /// The agent as this audience may see it.
    #[must_use]
    pub fn view(&self, agent: &Agent) -> Agent {
        let mut agent = agent.clone();
        let Self::Agent { own } = self else {
            return agent;
        };
        if own.as_ref() == Some(&agent.extension) {
            for device in &mut agent.devices {
                device.contact_expires = None;
                device.user_agent = None;
            }
        } else {
            agent.reasons.clear();
            agent.pause = None;
            agent.devices.clear();
            // Whether a colleague's app is heard is theirs; what everybody rests on, everybody's.
            agent.sources.remove("app");
        }
        agent
    }
}

#[derive(Debug)]
struct Feed {
    board: Mutex<Board>,
    /// Held while it is told who has an extension.
    people: tokio::sync::Mutex<()>,
    published: broadcast::Sender<Published>,
    events: Bus,
}

impl Feed {
    fn board(&self) -> std::sync::MutexGuard<'_, Board> {
        self.board.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

/// The board as published so far.
#[derive(Debug, Default)]
pub(crate) struct Board {
    epoch: Option<String>,
    mode: String,
    seq: u64,
    agents: BTreeMap<String, Agent>,
}

impl From<&AgentsSnapshot> for Board {
    fn from(snapshot: &AgentsSnapshot) -> Self {
        let by_extension = |agent: &Agent| (agent.extension.clone(), agent.clone());
        Self {
            epoch: Some(snapshot.epoch.clone()),
            mode: snapshot.mode.clone(),
            seq: snapshot.seq,
            agents: snapshot.agents.iter().map(by_extension).collect(),
        }
    }
}

impl Board {
    pub(crate) fn apply(&mut self, status: &AgentStatus) {
        self.seq = status.seq;
        let agent = status.agent.clone();
        self.agents.insert(agent.extension.clone(), agent);
    }

    /// `None` before the board has begun.
    pub(crate) fn snapshot(&self, audience: &Audience) -> Option<AgentsSnapshot> {
        Some(AgentsSnapshot {
            epoch: self.epoch.clone()?,
            mode: self.mode.clone(),
            seq: self.seq,
            agents: self
                .agents
                .values()
                .map(|agent| audience.view(agent))
                .collect(),
        })
    }
}
