//! A connection's life: admitted by its token, told of the core, heard.

use std::{
    fmt,
    sync::{
        Arc,
        atomic::{AtomicU64, Ordering},
    },
};

use axum::http::header;
use rollcall_wire::realtime::{DEVICE_HEARTBEAT, DeviceHeartbeat, RESYNC};
use serde::Deserialize;
use socketioxide::{
    extract::{SocketRef, State, TryData},
    socket::Sid,
};
use tokio::sync::mpsc;

use crate::{
    auth::{Session, tokens},
    clock,
    core_link::ConnectionId,
    routes::Edge,
};

/// What every connection shares.
#[derive(Clone)]
pub(super) struct Desk {
    edge: Arc<Edge>,
    joins: mpsc::Sender<Join>,
    next: Arc<AtomicU64>,
}

/// A connection that wants the board: a new one, or one that missed something.
#[derive(Debug)]
pub(super) struct Join {
    pub(super) socket: Sid,
    pub(super) session: Arc<Session>,
}

/// Why a connection is refused, as `connect_error`: the code, a colon, the words.
#[derive(Debug)]
pub(super) struct NotAdmitted(&'static str, &'static str);

impl fmt::Display for NotAdmitted {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}: {}", self.0, self.1)
    }
}

#[derive(Deserialize)]
pub(super) struct Auth {
    token: Option<String>,
}

impl Desk {
    pub(super) fn new(edge: Arc<Edge>, joins: mpsc::Sender<Join>) -> Self {
        Self {
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
    let named = auth.ok().and_then(|auth| auth.token);
    let in_header = || {
        let value = socket.req_parts().headers.get(header::AUTHORIZATION)?;
        value.to_str().ok().map(str::to_owned)
    };
    let Some(token) = named.or_else(in_header) else {
        return Err(NotAdmitted(
            "missing_token",
            "This needs a signed-in session.",
        ));
    };
    const INVALID: NotAdmitted =
        NotAdmitted("invalid_token", "The session has ended, or never was.");
    let hash = tokens::hash(tokens::in_header(&token)).ok_or(INVALID)?;
    match desk
        .edge
        .database
        .session_of_access(&hash, clock::now_ms())
        .await
    {
        Ok(Some(session)) => {
            socket.extensions.insert(Arc::new(session));
            Ok(())
        }
        Ok(None) => Err(INVALID),
        Err(error) => {
            tracing::error!(%error, "a token cannot be looked up");
            Err(NotAdmitted(
                "database_down",
                "The server's database cannot be read now.",
            ))
        }
    }
}

/// A connection that was admitted: heard, told of the core, and sent the board.
pub(super) async fn welcome(socket: SocketRef, State(desk): State<Desk>) {
    let Some(session) = socket.extensions.get::<Arc<Session>>() else {
        let _ = socket.disconnect();
        return;
    };
    let connection = desk.next.fetch_add(1, Ordering::Relaxed);
    listen(&socket, &desk, &session, connection);
    if session.extension.is_some() {
        desk.edge
            .core
            .connected(Arc::clone(&session), connection)
            .await;
    }
    let join = Join {
        socket: socket.id,
        session,
    };
    if desk.joins.try_send(join).is_err() {
        // Too many at once: the client comes back after its own pause.
        let _ = socket.disconnect();
    }
}

fn listen(socket: &SocketRef, desk: &Desk, session: &Arc<Session>, connection: ConnectionId) {
    let (core, owner) = (desk.edge.core.clone(), Arc::clone(session));
    socket.on(
        DEVICE_HEARTBEAT,
        async move |TryData(vitals): TryData<DeviceHeartbeat>| match vitals {
            Ok(vitals) if owner.extension.is_some() && vitals.device_id == owner.device_id => {
                core.heartbeat(Arc::clone(&owner), vitals);
            }
            Ok(_) => tracing::debug!("a heartbeat for another device was refused"),
            Err(error) => tracing::debug!(%error, "a malformed heartbeat was refused"),
        },
    );
    let (joins, owner) = (desk.joins.clone(), Arc::clone(session));
    socket.on(RESYNC, async move |socket: SocketRef| {
        let join = Join {
            socket: socket.id,
            session: Arc::clone(&owner),
        };
        // With the queue full the client asks again: it still sees the gap.
        let _ = joins.try_send(join);
    });
    let (core, owner) = (desk.edge.core.clone(), Arc::clone(session));
    socket.on_disconnect(async move || {
        if owner.extension.is_some() {
            core.disconnected(Arc::clone(&owner), connection).await;
        }
    });
}
