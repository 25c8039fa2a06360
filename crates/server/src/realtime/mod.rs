//! The Socket.IO edge: who may connect, what a connection hears, what it may say.
//!
//! One task sends everything that concerns the board, so that a connection's snapshot and the
//! deltas after it leave in one order: it applies each change to its own copy of the board, and a
//! new connection gets that copy before it joins the rooms the deltas go to.

mod board;
mod connect;
mod polls;

use std::{sync::Arc, time::Duration};

use socketioxide::{ParserConfig, SocketIo, handler::ConnectHandler as _, layer::SocketIoLayer};
use tokio::sync::mpsc;
use tokio_util::sync::CancellationToken;

pub(crate) use polls::{Polls, note};

use crate::routes::Edge;

/// Connections that may wait for their snapshot.
const JOINING: usize = 16_384;
/// How long a connection may stay silent before it has named its token.
const CONNECT: Duration = Duration::from_secs(10);
/// Engine.IO's heartbeat: a peer is gone at most this plus [`PONG`] after its last word.
const PING: Duration = Duration::from_secs(3);
const PONG: Duration = Duration::from_secs(2);
/// The largest message a client may send, bytes.
const PAYLOAD: usize = 16 * 1024;
/// Packets that may wait for a slow client; then it misses some, sees the gap and resyncs. One that
/// takes nothing at all is cut off by its line (`unread_timeout_ms`).
const BUFFER: usize = 1_024;

/// Makes the Socket.IO layer and the task that serves the board.
pub(crate) fn edge(
    edge: Arc<Edge>,
    stop: CancellationToken,
) -> (
    SocketIo,
    SocketIoLayer,
    Polls,
    impl Future<Output = ()> + Send,
) {
    let polls = Polls::default();
    let (joins, joining) = mpsc::channel(JOINING);
    let desk = connect::Desk::new(Arc::clone(&edge), joins, polls.clone());
    let (layer, io) = SocketIo::builder()
        .connect_timeout(CONNECT)
        .ping_interval(PING)
        .ping_timeout(PONG)
        .max_payload(PAYLOAD as u64)
        .ws_max_message_size(PAYLOAD)
        .ws_max_frame_size(PAYLOAD)
        .max_buffer_size(BUFFER)
        // No message of ours has a binary part. Those of one message would be kept up to 10 MB, and
        // that before a token is judged: one that announces any ends its connection.
        .with_parser(
            ParserConfig::common()
                .max_incoming_binaries(0)
                .max_incoming_binary_buf_size(0),
        )
        .with_state(desk)
        .build_layer();
    io.ns("/", connect::welcome.with(connect::admit));
    let board = board::run(
        io.clone(),
        edge.core.clone(),
        edge.database.clone(),
        edge.metrics.clone(),
        (joining, polls.clone()),
        stop,
    );
    (io, layer, polls, board)
}
