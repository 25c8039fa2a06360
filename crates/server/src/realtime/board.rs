//! The one task that sends snapshots and deltas, in the order of the board.

use std::{
    collections::{HashMap, HashSet},
    sync::Arc,
    time::{Duration, Instant},
};

use rollcall_wire::realtime::{
    AGENT_STATUS, AGENTS_SNAPSHOT, AgentStatus, AgentsSnapshot, DEVICE_REREGISTER, SESSION_ENDED,
};
use socketioxide::{SocketIo, TransportType, extract::SocketRef, socket::Sid};
use tokio::sync::{broadcast::error::RecvError, mpsc};
use tokio_util::sync::CancellationToken;

use super::{Polls, connect::Join};
use crate::{
    auth::{Session, SessionId},
    core_link::{Audience, Board, CoreHandle, DeviceNotice, Published},
    db::Database,
    listen::Connection,
    metrics::Metrics,
};

/// The least time between two snapshots of one connection that asks for them.
const BETWEEN_SNAPSHOTS: Duration = Duration::from_millis(500);
/// How often it is looked whether who was not served can be.
const LOOK: Duration = Duration::from_millis(100);

/// Everybody who sees everything.
const SUPERVISORS: &str = "supervisors";
/// Everybody who sees states.
const AGENTS: &str = "agents";

/// Runs until stopped.
pub(super) async fn run(
    io: SocketIo,
    core: CoreHandle,
    database: Database,
    metrics: Metrics,
    (mut joining, polls): (mpsc::Receiver<Join>, Polls),
    stop: CancellationToken,
) {
    let (snapshot, mut published) = core.subscribe();
    let mut desk = Sender::new(io, metrics, polls, snapshot.as_ref());
    let mut looks = tokio::time::interval(LOOK);
    looks.set_missed_tick_behavior(tokio::time::MissedTickBehavior::Delay);
    loop {
        tokio::select! {
            biased;
            () = stop.cancelled() => return,
            item = published.recv() => match item {
                Ok(item) => desk.publish(item).await,
                Err(RecvError::Closed) => return,
                Err(RecvError::Lagged(missed)) => {
                    tracing::warn!(missed, "the board moved faster than it could be sent; everybody gets a snapshot");
                    let (snapshot, anew) = core.subscribe();
                    published = anew;
                    desk.begin(snapshot.as_ref()).await;
                    desk.end_missed(&database).await;
                }
            },
            Some(join) = joining.recv() => desk.join(join),
            _ = looks.tick(), if !desk.owed.is_empty() || desk.ends_missed => {
                desk.serve_the_owed();
                if desk.ends_missed {
                    desk.end_missed(&database).await;
                }
            }
        }
    }
}

struct Sender {
    io: SocketIo,
    metrics: Metrics,
    polls: Polls,
    board: Board,
    /// Connections that are to have a snapshot: there is no board yet, or they had one a moment
    /// ago, or they have not taken what was sent to them.
    owed: HashMap<Sid, Join>,
    /// The ends of sessions may be among what was missed, and could not be looked up yet.
    ends_missed: bool,
}

/// The session's tokens are gone, though its end waits for a call's.
#[derive(Clone, Copy, Debug)]
struct Revoked;

/// When a connection was last sent a snapshot.
#[derive(Clone, Copy, Debug)]
struct Served(Instant);

impl Sender {
    fn new(
        io: SocketIo,
        metrics: Metrics,
        polls: Polls,
        snapshot: Option<&AgentsSnapshot>,
    ) -> Self {
        Self {
            io,
            metrics,
            polls,
            board: snapshot.map(Board::from).unwrap_or_default(),
            owed: HashMap::new(),
            ends_missed: false,
        }
    }

    async fn publish(&mut self, item: Published) {
        match item {
            Published::Board(snapshot) => self.begin(Some(&snapshot)).await,
            Published::Status { status, committed } => {
                self.board.apply(&status);
                self.delta(&status).await;
                self.metrics.propagated(committed);
            }
            Published::Device(session, notice) => self.tell(session, notice).await,
        }
    }

    /// A board anew: everybody gets it.
    async fn begin(&mut self, snapshot: Option<&AgentsSnapshot>) {
        let Some(snapshot) = snapshot else { return };
        self.board = Board::from(snapshot);
        self.serve_the_owed();
        for socket in self.io.sockets() {
            let Some(session) = socket.extensions.get::<Arc<Session>>() else {
                continue;
            };
            if socket.extensions.get::<Revoked>().is_some() {
                continue;
            }
            if self.may_have_a_snapshot(&socket) {
                self.send_snapshot(&socket, &session);
            } else {
                let join = Join::new(socket.id, session);
                self.owed.entry(socket.id).or_insert(join);
            }
        }
    }

    fn serve_the_owed(&mut self) {
        for (_, join) in std::mem::take(&mut self.owed) {
            self.join(join);
        }
    }

    fn join(&mut self, join: Join) {
        let Some(socket) = self.io.get_socket(join.socket) else {
            return;
        };
        if socket.extensions.get::<Revoked>().is_some() {
            return;
        }
        if !self.may_have_a_snapshot(&socket) || !self.send_snapshot(&socket, &join.session) {
            self.owed.insert(join.socket, join);
            return;
        }
        join.served();
        match Audience::of(&join.session) {
            Audience::Supervisor => socket.join(SUPERVISORS),
            Audience::Agent { own: None } => socket.join(AGENTS),
            Audience::Agent { own: Some(own) } => {
                socket.join(AGENTS);
                socket.join(own_room(&own));
            }
        }
    }

    /// Whether there was a board to send.
    fn send_snapshot(&self, socket: &SocketRef, session: &Session) -> bool {
        let Some(snapshot) = self.board.snapshot(&Audience::of(session)) else {
            return false;
        };
        socket.extensions.insert(Served(Instant::now()));
        if let Err(error) = socket.emit(AGENTS_SNAPSHOT, &snapshot) {
            tracing::debug!(%error, "a snapshot could not be sent");
        }
        true
    }

    /// A snapshot is large, and what a client has not taken yet is memory of ours: who asks and asks
    /// without reading gets no second one.
    fn may_have_a_snapshot(&self, socket: &SocketRef) -> bool {
        let served = socket.extensions.get::<Served>().map(|Served(at)| at);
        let lately = served.is_some_and(|at| at.elapsed() < BETWEEN_SNAPSHOTS);
        let unread = match socket.transport_type() {
            TransportType::Polling => {
                served.is_some_and(|at| !self.polls.fetched_since(socket.id, at))
            }
            TransportType::Websocket => {
                let line = socket.req_parts().extensions.get::<Connection>();
                line.is_some_and(Connection::is_blocked)
            }
        };
        !lately && !unread
    }

    /// Supervisors see everything, the agent its own reasons, colleagues the state.
    async fn delta(&self, status: &AgentStatus) {
        let seen_by = |audience: Audience| AgentStatus {
            agent: audience.view(&status.agent),
            ..status.clone()
        };
        let extension = &status.agent.extension;
        let own = Audience::Agent {
            own: Some(extension.clone()),
        };
        let sent = [
            self.io.to(SUPERVISORS).emit(AGENT_STATUS, status).await,
            self.io
                .to(own_room(extension))
                .emit(AGENT_STATUS, &seen_by(own))
                .await,
            self.io
                .to(AGENTS)
                .except(own_room(extension))
                .emit(AGENT_STATUS, &seen_by(Audience::Agent { own: None }))
                .await,
        ];
        // Who could not take it sees the gap and asks for a snapshot.
        for error in sent.into_iter().filter_map(Result::err) {
            tracing::debug!(%error, "a delta did not reach everybody");
        }
    }

    /// After a lag: whoever's session ended meanwhile may not have been told, and hears no more.
    async fn end_missed(&mut self, database: &Database) {
        let sessions: HashSet<SessionId> = self
            .io
            .sockets()
            .iter()
            .filter_map(|socket| socket.extensions.get::<Arc<Session>>())
            .map(|session| session.id)
            .collect();
        let sessions: Vec<_> = sessions.into_iter().collect();
        match database.ended_of(&sessions).await {
            Ok(ended) => {
                self.ends_missed = false;
                for (session, reason) in ended {
                    self.tell(session, DeviceNotice::ended(reason)).await;
                }
            }
            Err(error) => {
                if !self.ends_missed {
                    tracing::error!(%error, "who is still signed in cannot be looked up; trying again");
                }
                self.ends_missed = true;
            }
        }
    }

    async fn tell(&self, session: SessionId, notice: DeviceNotice) {
        let room = self.io.to(device_room(session));
        let result = match &notice {
            DeviceNotice::Revoked => {
                for socket in room.sockets() {
                    socket.extensions.insert(Revoked);
                    socket.leave_all();
                    socket.join(device_room(session));
                }
                return;
            }
            DeviceNotice::Reregister => room.emit(DEVICE_REREGISTER, &serde_json::json!({})).await,
            DeviceNotice::SessionEnded(ended) => room.emit(SESSION_ENDED, ended).await,
        };
        if let Err(error) = result {
            tracing::debug!(%error, "a device could not be told");
        }
        if matches!(notice, DeviceNotice::SessionEnded(_)) {
            let _ = self.io.to(device_room(session)).disconnect().await;
        }
    }
}

/// Where a session's connections are told what concerns it.
pub(super) fn device_room(session: SessionId) -> String {
    format!("device:{session}")
}

fn own_room(extension: &str) -> String {
    format!("own:{extension}")
}
