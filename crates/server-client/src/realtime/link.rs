//! The task behind a [`super::Realtime`]: connects, reads, answers, and comes back.

use std::{
    ops::ControlFlow,
    time::{Duration, Instant, SystemTime},
};

use futures_util::{SinkExt as _, StreamExt as _};
use rollcall_wire::{
    http::ErrorBody,
    realtime::{
        AGENT_STATUS, AGENTS_SNAPSHOT, AgentStatus, AgentsSnapshot, DEVICE_HEARTBEAT,
        DEVICE_REREGISTER, DeviceHeartbeat, RESYNC, SESSION_ENDED,
    },
};
use serde_json::Value;
use tokio::{
    net::TcpStream,
    sync::{mpsc, watch},
    time::{sleep, timeout},
};
use tokio_tungstenite::{
    MaybeTlsStream, WebSocketStream, connect_async_with_config,
    tungstenite::{Message, protocol::WebSocketConfig},
};
use url::Url;

use super::{
    RealtimeEvent,
    packet::{self, Packet},
    sequence::{Sequence, Verdict},
};
use crate::{Client, backoff::Backoff};

/// The largest message taken, bytes: a board of some ten thousand agents with their reasons.
const LARGEST: usize = 16 * 1024 * 1024;
/// How long a message may take to leave.
const SEND: Duration = Duration::from_secs(5);
/// How long the server may take from the connection to its answer about the token.
const WELCOME: Duration = Duration::from_secs(10);

type Socket = WebSocketStream<MaybeTlsStream<TcpStream>>;

pub(super) struct Link {
    url: Url,
    device: Option<String>,
    connect: Duration,
    tokens: watch::Receiver<String>,
    heartbeats: mpsc::Receiver<DeviceHeartbeat>,
    events: mpsc::Sender<RealtimeEvent>,
    sequence: Sequence,
    /// [`RealtimeEvent::Gap`] found no room yet.
    owes_gap: bool,
    lost: bool,
}

/// How a connection came to its end.
enum End {
    /// The handle is gone.
    Closed,
    /// It broke; `stood` if it had been welcomed.
    Lost { stood: bool, why: String },
    /// There is no use in coming back with this token.
    Over(RealtimeEvent),
}

impl Link {
    pub(super) fn new(
        client: &Client,
        tokens: watch::Receiver<String>,
        heartbeats: mpsc::Receiver<DeviceHeartbeat>,
        events: mpsc::Sender<RealtimeEvent>,
    ) -> Self {
        Self {
            url: client.socket_url(),
            device: client.device().map(Into::into),
            connect: client.timing().connect,
            tokens,
            heartbeats,
            events,
            sequence: Sequence::new(Instant::now()),
            owes_gap: false,
            lost: false,
        }
    }

    pub(super) async fn run(mut self) {
        let mut backoff = Backoff::default();
        loop {
            match self.once().await {
                End::Closed => return,
                End::Over(event) => {
                    if self.say_surely(event).await.is_break() {
                        return;
                    }
                    if self.tokens.changed().await.is_err() {
                        return;
                    }
                    backoff.reset();
                }
                End::Lost { stood, why } => {
                    if stood {
                        backoff.reset();
                    }
                    if self.say_lost(why).await.is_break()
                        || self.pause(backoff.next()).await.is_break()
                    {
                        return;
                    }
                }
            }
        }
    }

    /// One connection from its beginning to its end.
    async fn once(&mut self) -> End {
        let lost = |why: String| End::Lost { stood: false, why };
        let mut socket = tokio::select! {
            opened = open(&self.url, self.connect) => match opened {
                Ok(socket) => socket,
                Err(why) => return lost(why),
            },
            () = closed(&mut self.tokens) => return End::Closed,
        };
        let token = self.tokens.borrow_and_update().clone();
        let silence = tokio::select! {
            welcomed = timeout(WELCOME, welcome(&mut socket, &token, self.device.as_deref())) => match welcomed {
                Ok(Ok(silence)) => silence,
                Ok(Err(end)) => return end,
                Err(_) => return lost("the server did not answer in time".into()),
            },
            () = closed(&mut self.tokens) => return End::Closed,
        };
        self.lost = false;
        self.sequence = Sequence::new(Instant::now());
        self.owes_gap = false;
        // What was measured while nobody listened is old.
        while self.heartbeats.try_recv().is_ok() {}
        if self.say_surely(RealtimeEvent::Connected).await.is_break() {
            return End::Closed;
        }
        let end = self.stand(&mut socket, silence).await;
        if matches!(end, End::Closed) {
            let _ = send(&mut socket, packet::DISCONNECT.into()).await;
        }
        let _ = timeout(SEND, socket.close(None)).await;
        end
    }

    /// Reads and sends while the connection stands. `silence` is the longest the server is quiet.
    async fn stand(&mut self, socket: &mut Socket, silence: Duration) -> End {
        let lost = |why: String| End::Lost { stood: true, why };
        let mut deadline = Instant::now() + silence;
        loop {
            let step = tokio::select! {
                message = socket.next() => match message {
                    Some(Ok(message)) => {
                        deadline = Instant::now() + silence;
                        self.hear(socket, message).await
                    }
                    Some(Err(error)) => Err(lost(error.to_string())),
                    None => Err(lost("the server closed the connection".into())),
                },
                beat = self.heartbeats.recv() => match beat {
                    Some(beat) => heartbeat(socket, &beat).await.map_err(lost),
                    None => Err(End::Closed),
                },
                () = sleep_until(self.sequence.ask_at()) => Ok(()),
                () = sleep_until(Some(deadline)) => {
                    Err(lost("the server has fallen silent".into()))
                }
            };
            if let Err(end) = step {
                return end;
            }
            if let Err(why) = self.mend(socket).await {
                return lost(why);
            }
        }
    }

    async fn hear(&mut self, socket: &mut Socket, message: Message) -> Result<(), End> {
        let lost = |why: String| End::Lost { stood: true, why };
        let text = match message {
            Message::Text(text) => text,
            Message::Close(_) => return Err(lost("the server closed the connection".into())),
            _ => return Ok(()),
        };
        match packet::parse(&text) {
            Some(Packet::Ping) => send(socket, packet::PONG.into()).await.map_err(lost),
            Some(Packet::Close | Packet::Disconnected | Packet::ConnectError(_)) => {
                Err(lost("the server ended the connection".into()))
            }
            Some(Packet::Event(name, value)) => self.event(&name, value).await,
            Some(_) => Ok(()),
            None => {
                tracing::debug!("a packet that is none was skipped");
                Ok(())
            }
        }
    }

    async fn event(&mut self, name: &str, value: Value) -> Result<(), End> {
        match name {
            AGENTS_SNAPSHOT => match serde_json::from_value::<AgentsSnapshot>(value) {
                Ok(snapshot) => self.snapshot(snapshot),
                Err(error) => {
                    tracing::warn!(%error, "a snapshot cannot be read");
                    self.gap();
                }
            },
            AGENT_STATUS => match serde_json::from_value::<AgentStatus>(value) {
                Ok(status) => self.status(status),
                Err(error) => {
                    tracing::warn!(%error, "a change cannot be read");
                    self.gap();
                }
            },
            SESSION_ENDED => match serde_json::from_value(value) {
                Ok(ended) => return Err(End::Over(RealtimeEvent::SessionEnded(ended))),
                Err(error) => tracing::warn!(%error, "the end of a session cannot be read"),
            },
            DEVICE_REREGISTER => {
                let told = self.say_surely(RealtimeEvent::Reregister).await;
                if told.is_break() {
                    return Err(End::Closed);
                }
            }
            _ => {}
        }
        Ok(())
    }

    fn snapshot(&mut self, snapshot: AgentsSnapshot) {
        self.sequence.snapshot(&snapshot);
        self.owes_gap = false;
        if !self.say(RealtimeEvent::Snapshot(snapshot)) {
            self.gap();
        }
    }

    fn status(&mut self, status: AgentStatus) {
        match self.sequence.status(&status, Instant::now()) {
            Verdict::Next => {
                if !self.say(RealtimeEvent::Status(status)) {
                    self.gap();
                }
            }
            Verdict::Skip => {}
            Verdict::Gap => self.owes_gap = true,
        }
    }

    /// Something of the board is missing that the numbers alone do not tell.
    fn gap(&mut self) {
        self.owes_gap |= self.sequence.lost(Instant::now());
    }

    /// Tells of a gap, and asks for the snapshot that closes it once that is due.
    async fn mend(&mut self, socket: &mut Socket) -> Result<(), String> {
        if self.owes_gap {
            self.owes_gap = !self.say(RealtimeEvent::Gap);
        }
        if self.sequence.asks(Instant::now()) {
            send(socket, packet::emit_bare(RESYNC)).await?;
        }
        Ok(())
    }

    /// Hands an event on; false if its reader has no room for it.
    fn say(&self, event: RealtimeEvent) -> bool {
        self.events.try_send(event).is_ok()
    }

    /// Hands on what must not get lost, when its reader has room.
    async fn say_surely(&mut self, event: RealtimeEvent) -> ControlFlow<()> {
        // A copy: a new token that comes meanwhile stays news for who waits for it.
        let mut tokens = self.tokens.clone();
        tokio::select! {
            _ = self.events.send(event) => ControlFlow::Continue(()),
            () = closed(&mut tokens) => ControlFlow::Break(()),
        }
    }

    async fn say_lost(&mut self, why: String) -> ControlFlow<()> {
        if std::mem::replace(&mut self.lost, true) {
            return ControlFlow::Continue(());
        }
        let since = SystemTime::now();
        self.say_surely(RealtimeEvent::Lost { since, why }).await
    }

    /// Waits, and drops what is measured meanwhile.
    async fn pause(&mut self, wait: Duration) -> ControlFlow<()> {
        tokio::select! {
            () = sleep(wait) => ControlFlow::Continue(()),
            () = closed(&mut self.tokens) => ControlFlow::Break(()),
        }
    }
}

async fn sleep_until(at: Option<Instant>) {
    match at {
        Some(at) => sleep(at.saturating_duration_since(Instant::now())).await,
        None => std::future::pending().await,
    }
}

/// Ends once the handle is gone; a new token does not end it.
async fn closed(tokens: &mut watch::Receiver<String>) {
    while tokens.changed().await.is_ok() {}
}

async fn open(url: &Url, limit: Duration) -> Result<Socket, String> {
    let config = WebSocketConfig::default()
        .max_message_size(Some(LARGEST))
        .max_frame_size(Some(LARGEST));
    match timeout(
        limit,
        connect_async_with_config(url.as_str(), Some(config), true),
    )
    .await
    {
        Ok(Ok((socket, _))) => Ok(socket),
        Ok(Err(error)) => Err(error.to_string()),
        Err(_) => Err("no connection in time".into()),
    }
}

/// Opens the namespace; answers how long the server may be silent from now on.
async fn welcome(socket: &mut Socket, token: &str, device: Option<&str>) -> Result<Duration, End> {
    let lost = |why: &str| End::Lost {
        stood: false,
        why: why.to_owned(),
    };
    let mut silence = None;
    while let Some(message) = socket.next().await {
        let message = message.map_err(|error| lost(&error.to_string()))?;
        let Message::Text(text) = message else {
            continue;
        };
        match (packet::parse(&text), silence) {
            (Some(Packet::Open { ping }), None) => {
                silence = Some(ping);
                send(socket, packet::connect(token, device))
                    .await
                    .map_err(|why| lost(&why))?;
            }
            (Some(Packet::Connected), Some(silence)) => return Ok(silence),
            (Some(Packet::ConnectError(words)), _) => return Err(refused(&words)),
            (Some(Packet::Ping), _) => send(socket, packet::PONG.into())
                .await
                .map_err(|why| lost(&why))?,
            (Some(Packet::Close | Packet::Disconnected), _) => break,
            _ => {}
        }
    }
    Err(lost("the server closed the connection"))
}

/// A `connect_error` carries `code: words`. Only a bad token is the end of trying.
fn refused(words: &str) -> End {
    let (code, message) = words.split_once(": ").unwrap_or(("refused", words));
    if !matches!(code, "missing_token" | "invalid_token" | "wrong_device") {
        return End::Lost {
            stood: false,
            why: message.to_owned(),
        };
    }
    End::Over(RealtimeEvent::Rejected(ErrorBody {
        code: code.into(),
        message: message.into(),
        field: None,
        next: Some("Sign in again.".into()),
    }))
}

async fn heartbeat(socket: &mut Socket, beat: &DeviceHeartbeat) -> Result<(), String> {
    let value = serde_json::to_value(beat).map_err(|error| error.to_string())?;
    send(socket, packet::emit(DEVICE_HEARTBEAT, &value)).await
}

async fn send(socket: &mut Socket, text: String) -> Result<(), String> {
    match timeout(SEND, socket.send(Message::text(text))).await {
        Ok(Ok(())) => Ok(()),
        Ok(Err(error)) => Err(error.to_string()),
        Err(_) => Err("the network takes nothing".into()),
    }
}
