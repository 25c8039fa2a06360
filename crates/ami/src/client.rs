//! A manager connection that comes back.
//!
//! One task owns the socket. It keeps a [`Session`] on it, reconnects with [`Backoff`], and tells of every connection
//! and every loss at once. Events go to one receiver; requests come from any number of handles.

use std::collections::HashMap;
use std::sync::Arc;
use std::time::{Duration, Instant};

use rand::rngs::StdRng;
use rand::{Rng, SeedableRng};
use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::TcpStream;
use tokio::sync::{mpsc, oneshot};

use crate::action::Action;
use crate::backoff::Backoff;
use crate::event::Event;
use crate::figures::Figures;
use crate::session::{
    ActionError, CloseReason, Listing, Output, RequestId, Response, Session, SessionConfig,
};

/// Events that may wait for their reader.
const EVENT_BACKLOG: usize = 8_192;
/// More events than one read can hold. While there is less room than this, nothing is read: a flood waits in Asterisk's
/// own buffers, not in our memory. A reader that makes no room until the link's time-outs have passed has lost the
/// thread: the connection is dropped, so that it begins anew with full lists instead of acting on the past.
const EVENT_ROOM: usize = 4_096;
const READ_BYTES: usize = 16 * 1024;

/// Where Asterisk is, and who we are to it.
#[derive(Debug, Clone)]
pub struct ClientConfig {
    /// `host:port` of the manager interface.
    pub address: String,
    /// Login and time-outs.
    pub session: SessionConfig,
    /// For the TCP connection.
    pub connect_timeout: Duration,
    /// Where the client counts; share it to read it.
    pub figures: Arc<Figures>,
}

impl ClientConfig {
    /// The usual time-outs.
    pub fn new(address: impl Into<String>, session: SessionConfig) -> Self {
        Self {
            address: address.into(),
            session,
            connect_timeout: Duration::from_secs(2),
            figures: Arc::default(),
        }
    }
}

/// What the client tells.
#[derive(Debug, Clone, PartialEq)]
pub enum ClientEvent {
    /// Logged in and fully booted. What is known from before is void until the lists have been read anew.
    Connected,
    /// Asterisk reports something. Comes only between `Connected` and `Lost`.
    Event(Box<Event>),
    /// There is no link. Told at once when one is lost, and again only when an attempt to get it back fails for another
    /// reason.
    Lost {
        /// Why.
        reason: LostReason,
        /// How long ago Asterisk was last heard; none if it never was.
        silent_for: Option<Duration>,
        /// When the next attempt is made.
        retry_in: Duration,
    },
}

/// Why there is no link.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum LostReason {
    /// No TCP connection.
    #[error("cannot connect to Asterisk's manager interface: {0}")]
    Unreachable(String),
    /// The connection was made and ended.
    #[error(transparent)]
    Closed(#[from] CloseReason),
    /// The reader of the events is too far behind.
    #[error("events were not read in time")]
    Overrun,
}

/// A handle on the connection. Clones share it; when the last one is dropped, the client logs off.
#[derive(Debug, Clone)]
pub struct Client {
    commands: mpsc::Sender<Command>,
}

/// Requests that may wait for the link's task.
const COMMANDS: usize = 1_024;

#[derive(Debug)]
enum Command {
    Action(Action, oneshot::Sender<Result<Response, ActionError>>),
    List(Action, oneshot::Sender<Result<Listing, ActionError>>),
    Shutdown(oneshot::Sender<()>),
}

impl Client {
    /// Starts the client's task on the current tokio runtime.
    pub fn start(config: ClientConfig) -> (Self, mpsc::Receiver<ClientEvent>) {
        let (commands, command_queue) = mpsc::channel(COMMANDS);
        let (events, event_queue) = mpsc::channel(EVENT_BACKLOG);
        let link = Link {
            config,
            commands: command_queue,
            events,
            rng: StdRng::from_os_rng(),
        };
        tokio::spawn(link.run());
        (Self { commands }, event_queue)
    }

    /// Sends an action and waits for its response, no longer than the session's time-out.
    pub async fn action(&self, action: Action) -> Result<Response, ActionError> {
        let (reply, answer) = oneshot::channel();
        self.commands
            .send(Command::Action(action, reply))
            .await
            .map_err(|_| ActionError::NotConnected)?;
        answer.await.unwrap_or(Err(ActionError::Lost))
    }

    /// Sends actions in this order, ahead of whatever is sent after this call returns, and waits for
    /// their responses. `None` where so many wait that they cannot be sent now.
    pub fn in_order(
        &self,
        actions: Vec<Action>,
    ) -> Option<impl Future<Output = Vec<Result<Response, ActionError>>> + Send + use<>> {
        let places = self.commands.try_reserve_many(actions.len()).ok()?;
        let answers: Vec<_> = places
            .zip(actions)
            .map(|(place, action)| {
                let (reply, answer) = oneshot::channel();
                place.send(Command::Action(action, reply));
                answer
            })
            .collect();
        Some(async move {
            let mut responses = Vec::with_capacity(answers.len());
            for answer in answers {
                responses.push(answer.await.unwrap_or(Err(ActionError::Lost)));
            }
            responses
        })
    }

    /// Sends an action that answers with a list and waits for all of it.
    pub async fn list(&self, action: Action) -> Result<Listing, ActionError> {
        let (reply, answer) = oneshot::channel();
        self.commands
            .send(Command::List(action, reply))
            .await
            .map_err(|_| ActionError::NotConnected)?;
        answer.await.unwrap_or(Err(ActionError::Lost))
    }

    /// Logs off and ends the client for all handles.
    pub async fn shutdown(&self) {
        let (reply, done) = oneshot::channel();
        if self.commands.send(Command::Shutdown(reply)).await.is_ok() {
            // An error means that the task has ended already.
            let _ = done.await;
        }
    }
}

/// The task behind the handles.
struct Link {
    config: ClientConfig,
    commands: mpsc::Receiver<Command>,
    events: mpsc::Sender<ClientEvent>,
    rng: StdRng,
}

/// Why a connection, or a wait for one, is over.
enum Ended {
    /// Try again.
    Lost(LostReason),
    /// Nobody needs us any more.
    Shutdown(Option<oneshot::Sender<()>>),
}

/// Who waits for which request.
#[derive(Default)]
struct Waiting {
    actions: HashMap<RequestId, oneshot::Sender<Result<Response, ActionError>>>,
    lists: HashMap<RequestId, oneshot::Sender<Result<Listing, ActionError>>>,
}

impl Link {
    async fn run(mut self) {
        let mut backoff = Backoff::new(Instant::now());
        let mut announced: Option<LostReason> = None;
        let mut heard_at: Option<Instant> = None;
        loop {
            let (ended, was_ready) = match self.connect().await {
                Ok(stream) => self.converse(stream, &mut heard_at).await,
                Err(ended) => (ended, false),
            };
            let reason = match ended {
                Ended::Lost(reason) => reason,
                Ended::Shutdown(done) => return finish(done),
            };
            self.config.figures.lost(&reason);
            let now = Instant::now();
            if was_ready {
                backoff = Backoff::new(now);
                announced = None;
            }
            let retry_in = backoff.next_delay(now, &mut self.rng);
            if announced.as_ref() != Some(&reason) {
                tracing::warn!(%reason, ?retry_in, "no link to Asterisk's manager interface");
                announced = Some(reason.clone());
                let silent_for = heard_at.map(|at| now.saturating_duration_since(at));
                // Requests are refused meanwhile: the reader may be waiting for one before it reads on.
                let events = self.events.clone();
                let told = self
                    .wait(events.send(ClientEvent::Lost {
                        reason,
                        silent_for,
                        retry_in,
                    }))
                    .await;
                if let Err(Ended::Shutdown(done)) = told {
                    return finish(done);
                }
            }
            if let Err(Ended::Shutdown(done)) = self.wait(tokio::time::sleep(retry_in)).await {
                return finish(done);
            }
        }
    }

    async fn connect(&mut self) -> Result<TcpStream, Ended> {
        let address = self.config.address.clone();
        let attempt =
            tokio::time::timeout(self.config.connect_timeout, TcpStream::connect(address));
        let reason = match self.wait(attempt).await? {
            Ok(Ok(stream)) => {
                // Actions are small and each waits for its answer.
                let _ = stream.set_nodelay(true);
                return Ok(stream);
            }
            Ok(Err(error)) => error.to_string(),
            Err(_) => "no answer in time".to_owned(),
        };
        Err(Ended::Lost(LostReason::Unreachable(reason)))
    }

    /// Awaits `future` while there is no link, refusing requests.
    async fn wait<F: Future>(&mut self, future: F) -> Result<F::Output, Ended> {
        tokio::pin!(future);
        loop {
            tokio::select! {
                output = &mut future => return Ok(output),
                command = self.commands.recv() => match command {
                    Some(Command::Action(_, reply)) => drop(reply.send(Err(ActionError::NotConnected))),
                    Some(Command::List(_, reply)) => drop(reply.send(Err(ActionError::NotConnected))),
                    Some(Command::Shutdown(done)) => return Err(Ended::Shutdown(Some(done))),
                    None => return Err(Ended::Shutdown(None)),
                },
                () = self.events.closed() => return Err(Ended::Shutdown(None)),
            }
        }
    }

    /// Runs a session until it is over; tells also whether it was ever ready.
    async fn converse(
        &mut self,
        mut stream: TcpStream,
        heard_at: &mut Option<Instant>,
    ) -> (Ended, bool) {
        let mut session = Session::new(
            self.config.session.clone(),
            self.rng.random(),
            Instant::now(),
        );
        let mut waiting = Waiting::default();
        let mut ready = false;
        let mut buffer = vec![0; READ_BYTES];
        let events = self.events.clone();
        let mut shutdown = None;
        loop {
            let written = self.transmit(&mut session, &mut stream).await;
            if !written {
                session.handle_disconnect();
            }
            while let Some(output) = session.poll_output() {
                if output == Output::Ready {
                    ready = true;
                    self.config.figures.heard(session.heard_at());
                }
                if let Some(reason) = self.deliver(output, &mut waiting) {
                    *heard_at = if ready {
                        Some(session.heard_at())
                    } else {
                        *heard_at
                    };
                    return match shutdown.take() {
                        Some(done) => (Ended::Shutdown(done), ready),
                        None => (Ended::Lost(reason), ready),
                    };
                }
            }
            let due =
                tokio::time::Instant::from_std(session.poll_timeout().unwrap_or_else(Instant::now));
            tokio::select! {
                read = read_with_room(&events, &mut stream, &mut buffer) => match read {
                    Ok(length) if length > 0 => {
                        let now = Instant::now();
                        session.handle_bytes(now, buffer.get(..length).unwrap_or_default());
                        if ready {
                            self.config.figures.heard(now);
                        }
                    }
                    _ => session.handle_disconnect(),
                },
                command = self.commands.recv() => match command {
                    Some(Command::Action(action, reply)) => {
                        waiting.actions.insert(session.request(Instant::now(), action), reply);
                    }
                    Some(Command::List(action, reply)) => {
                        waiting.lists.insert(session.list(Instant::now(), action), reply);
                    }
                    Some(Command::Shutdown(done)) => { shutdown = Some(Some(done)); session.log_off(); }
                    None => { shutdown = Some(None); session.log_off(); }
                },
                () = self.events.closed() => { shutdown = Some(None); session.log_off(); }
                () = tokio::time::sleep_until(due) => session.handle_timeout(Instant::now()),
            }
        }
    }

    /// Writes what the session has to send; `false` when that fails or takes too long.
    async fn transmit(&self, session: &mut Session, stream: &mut TcpStream) -> bool {
        while let Some(bytes) = session.poll_transmit() {
            let write =
                tokio::time::timeout(self.config.session.ping_timeout, stream.write_all(&bytes));
            if !matches!(write.await, Ok(Ok(()))) {
                return false;
            }
        }
        true
    }

    /// Passes an output on; the reason when the connection is over.
    fn deliver(&self, output: Output, waiting: &mut Waiting) -> Option<LostReason> {
        // Whoever asked may have gone: then nobody misses the answer.
        match output {
            Output::Ready => self.tell(ClientEvent::Connected),
            Output::Event(event) => self.tell(ClientEvent::Event(event)),
            Output::Answered(id, outcome) => {
                waiting.actions.remove(&id).map(|reply| reply.send(outcome));
                None
            }
            Output::Listed(id, outcome) => {
                waiting.lists.remove(&id).map(|reply| reply.send(outcome));
                None
            }
            // It was not Asterisk who was silent: nobody listened.
            Output::Closed(CloseReason::Silent(_)) if self.events.capacity() < EVENT_ROOM => {
                Some(LostReason::Overrun)
            }
            Output::Closed(reason) => Some(LostReason::Closed(reason)),
        }
    }

    fn tell(&self, event: ClientEvent) -> Option<LostReason> {
        match self.events.try_send(event) {
            Err(mpsc::error::TrySendError::Full(_)) => Some(LostReason::Overrun),
            // A closed receiver ends the task at its next select.
            _ => None,
        }
    }
}

/// Reads once there is room for what one read can bring.
async fn read_with_room(
    events: &mpsc::Sender<ClientEvent>,
    stream: &mut TcpStream,
    buffer: &mut [u8],
) -> std::io::Result<usize> {
    // An error means that nobody reads any more: whoever waits for this sees that too.
    drop(events.reserve_many(EVENT_ROOM).await);
    stream.read(buffer).await
}

fn finish(done: Option<oneshot::Sender<()>>) {
    if let Some(done) = done {
        // Whoever asked for the end may not wait for it.
        let _ = done.send(());
    }
}
