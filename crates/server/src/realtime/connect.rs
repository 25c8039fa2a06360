//! A connection's life: admitted by its token, told of the core, heard.

use std::{
    fmt,
    sync::{
        Arc, Mutex, PoisonError,
        atomic::{AtomicBool, AtomicU64, Ordering},
    },
    time::{Duration, Instant},
};

use axum::http::header;
use rollcall_wire::{
    DEVICE_HEADER,
    realtime::{DEVICE_HEARTBEAT, DeviceHeartbeat, RESYNC},
};
use serde::Deserialize;
use socketioxide::{
    SocketIo,
    extract::{SocketRef, State, TryData},
    socket::{DisconnectReason, Sid},
};
use tokio::sync::mpsc;

use super::{Polls, board::device_room};
use crate::{
    auth::{Session, tokens},
    core_link::ConnectionId,
    metrics::{Door, Metrics},
    routes::{Bearer, Edge, admit as admit_bearer, is_too_old},
};

/// What every connection shares.
#[derive(Clone)]
pub(super) struct Desk {
    edge: Arc<Edge>,
    joins: mpsc::Sender<Join>,
    next: Arc<AtomicU64>,
    polls: Polls,
}

/// A connection that wants the board: a new one, or one that missed something.
#[derive(Clone, Debug)]
pub(super) struct Join {
    pub(super) socket: Sid,
    pub(super) session: Arc<Session>,
    /// Set while it waits: a client that asks a hundred times is served once.
    waits: Arc<AtomicBool>,
}

impl Join {
    pub(super) fn new(socket: Sid, session: Arc<Session>) -> Self {
        Self {
            socket,
            session,
            waits: Arc::new(AtomicBool::new(true)),
        }
    }

    /// It is being served: what is asked from now on is asked anew.
    pub(super) fn served(&self) {
        self.waits.store(false, Ordering::Release);
    }
}

/// Why a connection is refused, as `connect_error`: the code, a colon, the words.
#[derive(Debug)]
pub(super) struct NotAdmitted(&'static str, &'static str);

impl fmt::Display for NotAdmitted {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}: {}", self.0, self.1)
    }
}

#[derive(Default, Deserialize)]
pub(super) struct Auth {
    token: Option<String>,
    /// The device, for a session that is bound to one.
    device: Option<String>,
    /// The version of the wire that the client speaks.
    wire: Option<u32>,
}

impl Desk {
    pub(super) fn new(edge: Arc<Edge>, joins: mpsc::Sender<Join>, polls: Polls) -> Self {
        Self {
            polls,
            edge,
            joins,
            next: Arc::default(),
        }
    }
}

/// Judges the token: `auth.token`, else the Authorization header.
pub(super) async fn admit(
    socket: SocketRef,
    State(desk): State<Desk>,
    TryData(auth): TryData<Auth>,
) -> Result<(), NotAdmitted> {
    let judged = judge(&socket, &desk, auth.ok()).await;
    if let Err(NotAdmitted(code, _)) = &judged {
        desk.edge.metrics.refused(Door::SocketIo, code);
    }
    judged
}

async fn judge(socket: &SocketRef, desk: &Desk, auth: Option<Auth>) -> Result<(), NotAdmitted> {
    let in_header = |name: &str| {
        let value = socket.req_parts().headers.get(name)?;
        value.to_str().ok().map(str::to_owned)
    };
    let Auth {
        token,
        device,
        wire,
    } = auth.unwrap_or_default();
    if wire.is_some_and(is_too_old) {
        return Err(NotAdmitted(
            "app_too_old",
            "The app is too old for this server; update it.",
        ));
    }
    let token = token.or_else(|| in_header(header::AUTHORIZATION.as_str()));
    let Some(token) = token else {
        return Err(NotAdmitted(
            "missing_token",
            "This needs a signed-in session.",
        ));
    };
    const INVALID: NotAdmitted =
        NotAdmitted("invalid_token", "The session has ended, or never was.");
    let bearer = Bearer {
        token: tokens::hash(tokens::in_header(&token)).ok_or(INVALID)?,
        device: device.or_else(|| in_header(DEVICE_HEADER)),
    };
    match admit_bearer(&desk.edge, &bearer).await {
        Ok(Some(session)) => {
            socket.extensions.insert(Arc::new(session));
            socket.extensions.insert(Admitted(bearer));
            Ok(())
        }
        Ok(None) => Err(INVALID),
        Err(refused) if !refused.is_ours() => Err(NotAdmitted(
            refused.code(),
            "This session belongs to another device.",
        )),
        Err(_) => Err(NotAdmitted(
            "database_down",
            "The server's database cannot be read now.",
        )),
    }
}

/// A connection that was admitted: heard, told of the core, and sent the board.
pub(super) async fn welcome(socket: SocketRef, io: SocketIo, State(desk): State<Desk>) {
    let Some(session) = socket.extensions.get::<Arc<Session>>() else {
        let _ = socket.disconnect();
        return;
    };
    // Whatever ends the session from here on finds this connection; what ended it before is seen.
    socket.join(device_room(session.id));
    if !is_still_admitted(&socket, &desk).await {
        let _ = socket.disconnect();
        return;
    }
    let connection = desk.next.fetch_add(1, Ordering::Relaxed);
    if session.extension.is_some() {
        desk.edge
            .core
            .connected(Arc::clone(&session), connection)
            .await;
        // A connection that ended before its handlers were set may still call itself connected.
        if !socket.connected() || io.get_socket(socket.id).is_none() {
            // It went before or while it was told of; its end may have found nobody to tell.
            let session = Arc::clone(&session);
            desk.edge.core.disconnected(session, connection).await;
            return;
        }
    }
    let join = Join::new(socket.id, session);
    desk.polls.begin(socket.id);
    listen(&socket, &desk, &join, connection);
    if desk.joins.try_send(join).is_err() {
        // Too many at once: the client comes back after its own pause.
        let _ = socket.disconnect();
    }
}

/// What a connection was admitted by.
#[derive(Clone)]
struct Admitted(Bearer);

async fn is_still_admitted(socket: &SocketRef, desk: &Desk) -> bool {
    let Some(Admitted(bearer)) = socket.extensions.get::<Admitted>() else {
        return false;
    };
    matches!(admit_bearer(&desk.edge, &bearer).await, Ok(Some(_)))
}

fn listen(socket: &SocketRef, desk: &Desk, join: &Join, connection: ConnectionId) {
    let (session, metrics) = (&join.session, &desk.edge.metrics);
    let present = Arc::new(metrics.client(session.role));
    hear_heartbeats(socket, desk, session);
    let (joins, again, counting) = (desk.joins.clone(), join.clone(), metrics.clone());
    socket.on(RESYNC, async move || {
        if again.waits.swap(true, Ordering::AcqRel) {
            counting.refused(Door::SocketIo, "resync_too_soon");
        } else if joins.try_send(again.clone()).is_err() {
            // With the queue full the client asks again: it still sees the gap.
            again.served();
        }
    });
    let (core, owner) = (desk.edge.core.clone(), Arc::clone(session));
    let (counting, polls, id) = (metrics.clone(), desk.polls.clone(), socket.id);
    socket.on_disconnect(async move |reason: DisconnectReason| {
        drop(present);
        polls.end(id);
        if let Some(kind) = fault(reason) {
            counting.refused(Door::SocketIo, kind);
        }
        if owner.extension.is_some() {
            core.disconnected(Arc::clone(&owner), connection).await;
        }
    });
}

fn hear_heartbeats(socket: &SocketRef, desk: &Desk, session: &Arc<Session>) {
    let (core, owner) = (desk.edge.core.clone(), Arc::clone(session));
    let metrics = desk.edge.metrics.clone();
    let interval = Duration::from_millis(desk.edge.config.alignment.heartbeat_ms / 8);
    let pace = Arc::new(Pace::of(interval));
    socket.on(
        DEVICE_HEARTBEAT,
        async move |TryData(vitals): TryData<DeviceHeartbeat>| {
            let kind = match vitals {
                Ok(vitals) if owner.extension.is_some() && vitals.device_id == owner.device_id => {
                    if pace.admits(Instant::now()) {
                        return core.heartbeat(Arc::clone(&owner), vitals);
                    }
                    "heartbeat_too_soon"
                }
                Ok(_) => "foreign_heartbeat",
                Err(_) => "malformed_heartbeat",
            };
            refuse(&metrics, kind);
        },
    );
}

fn refuse(metrics: &Metrics, kind: &'static str) {
    tracing::debug!(kind, "a message was refused");
    metrics.refused(Door::SocketIo, kind);
}

/// What was wrong with a connection that ended; none if it ended as connections do.
fn fault(reason: DisconnectReason) -> Option<&'static str> {
    match reason {
        DisconnectReason::PacketParsingError => Some("malformed_packet"),
        DisconnectReason::MultipleHttpPollingError => Some("polled_twice"),
        DisconnectReason::HeartbeatTimeout => Some("no_pong"),
        _ => None,
    }
}

/// Lets a burst through and then one per interval: one device cannot fill everybody's queue.
struct Pace {
    interval: Duration,
    /// When the next one is due, were they all on time.
    due: Mutex<Option<Instant>>,
}

/// Heartbeats that may come together, as after a stall of the network.
const BURST: u32 = 16;

impl Pace {
    fn of(interval: Duration) -> Self {
        Self {
            interval,
            due: Mutex::default(),
        }
    }

    fn admits(&self, now: Instant) -> bool {
        let mut due = self.due.lock().unwrap_or_else(PoisonError::into_inner);
        let next = due.map_or(now, |due| due.max(now));
        let admitted = next.duration_since(now) <= self.interval * BURST;
        if admitted {
            *due = Some(next + self.interval);
        }
        admitted
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_burst_of_heartbeats_is_taken_and_a_flood_is_not() {
        let begin = Instant::now();
        let pace = Pace::of(Duration::from_secs(1));
        let taken = (0..10_000).filter(|_| pace.admits(begin)).count();
        assert!(
            (BURST as usize..=BURST as usize + 1).contains(&taken),
            "{taken}"
        );
        assert!(!pace.admits(begin + Duration::from_millis(500)));
        let steady = (1..100).all(|second| pace.admits(begin + Duration::from_secs(2 * second)));
        assert!(steady, "who keeps the pace is always heard");
    }
}
