//! The one Socket.IO connection of a process: events out, heartbeats in, repaired by itself.

mod link;
mod packet;
mod sequence;

use std::time::SystemTime;

use rollcall_wire::{
    http::ErrorBody,
    realtime::{AgentStatus, AgentsSnapshot, DeviceHeartbeat, SessionEnded},
};
use tokio::{
    sync::{mpsc, watch},
    task::JoinHandle,
};

use crate::Client;

/// Events that may wait for their reader; beyond that changes of the board are
/// dropped and a snapshot asked for, and the rest waits.
const EVENTS: usize = 1_024;
/// Heartbeats that may wait for the connection; one that finds no room is dropped, not kept.
const HEARTBEATS: usize = 4;

/// What the connection has to say.
#[derive(Clone, Debug, PartialEq)]
pub enum RealtimeEvent {
    /// The server took the token; a snapshot follows.
    Connected,
    /// The whole board.
    Snapshot(AgentsSnapshot),
    /// The next change of it.
    Status(AgentStatus),
    /// Changes were missed: nothing of the board is known until the next snapshot, which is asked for until it comes.
    Gap,
    /// The server is out of sight; it is looked for until it is found. Said once for each loss.
    Lost {
        /// Since when.
        since: SystemTime,
        /// Why, in words.
        why: String,
    },
    /// The server ended this session. Nothing more comes until a new token is set.
    SessionEnded(SessionEnded),
    /// The server asks the phone to REGISTER again.
    Reregister,
    /// The server does not take the token. Nothing more comes until a new one is set.
    Rejected(ErrorBody),
}

/// The connection's handle; dropping it ends the connection.
#[derive(Debug)]
pub struct Realtime {
    token: watch::Sender<String>,
    heartbeats: mpsc::Sender<DeviceHeartbeat>,
    task: JoinHandle<()>,
}

/// Where the connection's events come out.
#[derive(Debug)]
pub struct RealtimeEvents(mpsc::Receiver<RealtimeEvent>);

impl Realtime {
    /// Connects with an access token, and stays connected.
    #[must_use]
    pub fn connect(client: &Client, token: String) -> (Self, RealtimeEvents) {
        let (token, tokens) = watch::channel(token);
        let (heartbeats, beats) = mpsc::channel(HEARTBEATS);
        let (events, out) = mpsc::channel(EVENTS);
        let link = link::Link::new(client, tokens, beats, events);
        let realtime = Self {
            token,
            heartbeats,
            task: tokio::spawn(link.run()),
        };
        (realtime, RealtimeEvents(out))
    }

    /// Passes the engine's vitals on; dropped while the server is out of sight.
    pub fn heartbeat(&self, vitals: DeviceHeartbeat) {
        let _ = self.heartbeats.try_send(vitals);
    }

    /// The token to connect with from now on. A connection that stands keeps standing.
    pub fn set_token(&self, token: String) {
        self.token.send_replace(token);
    }

    /// Says goodbye and ends.
    pub async fn close(self) {
        let Self {
            token,
            heartbeats,
            task,
        } = self;
        drop((token, heartbeats));
        let _ = task.await;
    }
}

impl RealtimeEvents {
    /// The next event; `None` once the connection was closed.
    pub async fn next(&mut self) -> Option<RealtimeEvent> {
        self.0.recv().await
    }
}
