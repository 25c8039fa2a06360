//! What the day needs of the world: a phone and a server. The tests bring their own.

use std::{future::Future, sync::Arc};

use rollcall_phone::{EngineHandle, PhoneCommand};
use rollcall_wire::{
    explain::{Available, Explanation},
    http::{AgentOnlineRequest, LoginRequest, LoginResponse},
    realtime::DeviceHeartbeat,
};
use tokio::sync::{mpsc, watch};
use uuid::Uuid;
use zeroize::Zeroizing;

use crate::day::{Failure, LinkEvent};

/// A token or a password: overwritten when dropped, never printed.
#[derive(Clone, Default, PartialEq, Eq)]
pub struct Secret(Zeroizing<String>);

impl Secret {
    /// Takes the value over.
    pub fn new(value: String) -> Self {
        Self(Zeroizing::new(value))
    }

    /// The value, for the one place that needs it.
    pub fn expose(&self) -> &str {
        &self.0
    }
}

impl std::fmt::Debug for Secret {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.write_str("Secret(..)")
    }
}

/// The phone engine.
pub trait Phone: Send + 'static {
    /// Asks it; false when it has stopped.
    fn ask(&self, command: PhoneCommand) -> bool;
}

impl Phone for EngineHandle {
    fn ask(&self, command: PhoneCommand) -> bool {
        self.send(command)
    }
}

/// The server. Every call has a time-out and a bounded number of attempts of its own.
pub trait Server: Send + Sync + 'static {
    /// `POST login`.
    fn login(
        &self,
        server: String,
        request: LoginRequest,
    ) -> impl Future<Output = Result<LoginResponse, Failure>> + Send;

    /// `POST refresh`; one `key` for all attempts to trade one token.
    fn refresh(
        &self,
        server: String,
        refresh: Secret,
        key: Uuid,
    ) -> impl Future<Output = Result<LoginResponse, Failure>> + Send;

    /// `POST agent-online`; one `key` for all attempts at one claim.
    fn agent_online(
        &self,
        server: String,
        token: Secret,
        request: AgentOnlineRequest,
        key: Uuid,
    ) -> impl Future<Output = Result<(), Failure>> + Send;

    /// `POST agent-logout`; what is still pending. One `key` for all attempts to end one session.
    fn agent_logout(
        &self,
        server: String,
        token: Secret,
        key: Uuid,
    ) -> impl Future<Output = Result<Vec<String>, Failure>> + Send;

    /// `GET explain`, now or at a past time.
    fn explain(
        &self,
        server: String,
        token: Secret,
        question: Question,
    ) -> impl Future<Output = Result<Explanation, Failure>> + Send;

    /// `GET available`: whether a call may be handed on to them now.
    fn available(
        &self,
        server: String,
        token: Secret,
        extension: String,
    ) -> impl Future<Output = Result<Available, Failure>> + Send;

    /// `POST pause`, or `unpause`. One `key` for all attempts.
    fn pause(
        &self,
        server: String,
        token: Secret,
        pause: Pause,
        key: Uuid,
    ) -> impl Future<Output = Result<(), Failure>> + Send;

    /// Keeps a realtime link up with whatever token is current, until dropped. Board events come whole and in order;
    /// what `events` has no room for waits, and is a gap of the board if that lasts.
    fn link(
        &self,
        server: String,
        token: watch::Receiver<Secret>,
        heartbeats: mpsc::Receiver<DeviceHeartbeat>,
        events: mpsc::Sender<LinkEvent>,
    ) -> impl Future<Output = ()> + Send;
}

/// Why is this agent's state what it is, or was?
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Question {
    /// Whose.
    pub extension: String,
    /// Then, ms since the Unix epoch; now without it.
    pub at: Option<u64>,
}

/// A pause to begin, or to end.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Pause {
    /// Whose.
    pub extension: String,
    /// Why; `None` ends it.
    pub reason: Option<String>,
}

/// Keeps a session where the operating system protects it, so that a program that was ended before it could sign out
/// can go on with it.
///
/// Called in order on a thread that may block; what fails there is that place's matter to tell of.
pub trait Keeper: Send + Sync + 'static {
    /// Keeps this session instead of any other.
    fn keep(&self, session: &KeptSession);
    /// Forgets it.
    fn forget(&self);
    /// What is kept.
    fn recall(&self) -> Option<KeptSession>;
}

/// What a [`Keeper`] keeps. The SIP password is not in it: every renewal of the session brings it anew.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct KeptSession {
    /// The server's address.
    pub server: String,
    /// The user's name.
    pub username: String,
    /// The device the session is bound to.
    pub device_id: String,
    /// Trades for a new pair of tokens.
    pub refresh: Secret,
}

/// Keeps nothing: the session lives in memory only.
#[derive(Clone, Copy, Debug, Default)]
pub struct MemoryOnly;

impl Keeper for MemoryOnly {
    fn keep(&self, _session: &KeptSession) {}
    fn forget(&self) {}
    fn recall(&self) -> Option<KeptSession> {
        None
    }
}

/// A shared [`Keeper`].
pub type SharedKeeper = Arc<dyn Keeper>;
