//! Starting one person's day, and asking of it.

use std::{path::PathBuf, sync::Arc, time::Duration};

use rollcall_phone::{AudioChoice, Codec, Engine, EngineConfig, PhoneEvent};
use rollcall_wire::{
    check,
    explain::{Available, Explanation},
    http::ErrorBody,
    ui::PhoneState,
};
use tokio::sync::{mpsc, oneshot, watch};

use crate::{
    KeptSession,
    day::{Answer, Command, Day, Patience, When},
    ports::{MemoryOnly, Pause, Phone, Question, Secret, Server, SharedKeeper},
    problem,
    real_server::RealServer,
    safe::Safe,
    shell::{self, Request, Shell},
    state::{AgentState, SignedOut},
};

/// The fixed settings of an agent.
#[derive(Clone)]
pub struct AgentConfig {
    /// This device's lasting id: 8 to 64 characters of `0-9 A-Z a-z -`.
    pub device_id: String,
    /// Where sound comes from and goes to.
    pub audio: AudioChoice,
    /// Codecs to offer, best first.
    pub codecs: Vec<Codec>,
    /// Answer incoming calls at once.
    pub auto_answer: bool,
    /// The one authority whose certificates of telephone servers are trusted, a PEM file; the system's own by default.
    pub sip_ca: Option<PathBuf>,
    /// How often the engine's vitals go to the server. Two seconds by default; the server's lease is 15 s.
    pub vitals_every: Duration,
    /// How long things may take.
    pub patience: Patience,
    /// Where the session is kept beside memory.
    pub keeper: SharedKeeper,
}

impl AgentConfig {
    /// The usual settings for a device.
    pub fn new(device_id: impl Into<String>) -> Self {
        Self {
            device_id: device_id.into(),
            audio: AudioChoice::default(),
            codecs: Codec::DEFAULT.to_vec(),
            auto_answer: false,
            sip_ca: None,
            vitals_every: Duration::from_secs(2),
            patience: Patience::default(),
            keeper: Arc::new(MemoryOnly),
        }
    }
}

/// An agent that could not be started.
#[derive(Debug, thiserror::Error)]
pub enum StartError {
    /// The device id is none.
    #[error("the device id {0}")]
    DeviceId(check::Refused),
    /// The phone engine did not start.
    #[error(transparent)]
    Phone(#[from] rollcall_phone::StartError),
}

/// Starts agents.
#[derive(Debug)]
pub struct Agent;

impl Agent {
    /// Starts the engine and the day. Needs a tokio runtime around it; ends when the last handle is dropped.
    pub fn start(config: AgentConfig) -> Result<AgentHandle, StartError> {
        check::device_id(&config.device_id).map_err(StartError::DeviceId)?;
        let (engine, events) = Engine::start(EngineConfig {
            audio: config.audio.clone(),
            codecs: config.codecs.clone(),
            auto_answer: config.auto_answer,
            trusted_ca: config.sip_ca.clone(),
            vitals_every: config.vitals_every,
            max_calls: 1,
            levels: true,
            ..EngineConfig::default()
        })?;
        let server = RealServer::new(&config.device_id);
        Ok(start_with(config, server, engine, events))
    }
}

/// How long a computer that is about to sleep waits for the registrar: less than the five seconds that systemd-logind
/// gives.
const FALLS_ASLEEP: Duration = Duration::from_secs(3);

/// Requests that may wait for the day.
const REQUESTS: usize = 32;

/// The same with another server and another phone.
pub(crate) fn start_with<S: Server, P: Phone>(
    config: AgentConfig,
    server: S,
    phone: P,
    events: mpsc::Receiver<PhoneEvent>,
) -> AgentHandle {
    let day = Day::new(config.device_id.clone(), config.patience, shell::now());
    let (state, watched) = watch::channel(day.state());
    let (requests, asked) = mpsc::channel(REQUESTS);
    let safe = Safe::start(config.keeper);
    let device_id = config.device_id.as_str().into();
    let shell = Shell::new(day, config.device_id, server, phone, safe.clone(), state);
    tokio::spawn(shell.run(asked, events));
    AgentHandle {
        requests,
        state: watched,
        safe,
        device_id,
    }
}

/// Asks of the day; cheap to clone.
#[derive(Clone, Debug)]
pub struct AgentHandle {
    requests: mpsc::Sender<Request>,
    state: watch::Receiver<AgentState>,
    safe: Safe,
    device_id: Arc<str>,
}

impl AgentHandle {
    /// The state, now and whenever it changes.
    pub fn state(&self) -> watch::Receiver<AgentState> {
        self.state.clone()
    }

    /// Signs in. Answers when the person is signed in, which a phone that cannot register and a server that cannot
    /// be told do not prevent: the state says so, and they are tried again.
    pub async fn sign_in(
        &self,
        server: String,
        username: String,
        password: String,
    ) -> Result<(), ErrorBody> {
        let password = Secret::new(password);
        check::password(password.expose()).map_err(|refused| {
            problem::field(
                "password",
                format!("The password {refused}."),
                "Type the password again.",
            )
        })?;
        let server = server.trim().trim_end_matches('/').to_owned();
        let username = username.trim().to_owned();
        let command = Command::SignIn { server, username };
        self.ask(command, Some(password)).await.map(drop)
    }

    /// The session that the last run kept, if it did not get to sign out. One of another device is forgotten.
    pub async fn kept(&self) -> Option<KeptSession> {
        let kept = self.safe.recall().await?;
        if *kept.device_id != *self.device_id {
            self.forget_kept();
            return None;
        }
        Some(kept)
    }

    /// Goes on with a kept session. Like [`Self::sign_in`]; a session that the server does not renew is forgotten.
    pub async fn resume(&self, kept: KeptSession) -> Result<(), ErrorBody> {
        let command = Command::Resume {
            server: kept.server,
            username: kept.username,
        };
        self.ask(command, Some(kept.refresh)).await.map(drop)
    }

    /// Forgets a session that shall not be resumed.
    pub fn forget_kept(&self) {
        self.safe.forget();
    }

    /// Returns when what was to be kept or forgotten so far is: worth waiting for before the program ends.
    pub async fn kept_is_settled(&self) {
        self.safe.settle().await;
    }

    /// Ends the session of the device that stands in the way (`in_use`), and goes online here.
    pub async fn take_over(&self) -> Result<(), ErrorBody> {
        self.ask(Command::TakeOver, None).await.map(drop)
    }

    /// Asks the server why an agent's state is what it is, or was.
    pub async fn explain(&self, question: Question) -> Result<Explanation, ErrorBody> {
        let (answer, answered) = oneshot::channel();
        let request = Request::Explain { question, answer };
        if self.requests.send(request).await.is_err() {
            return Err(problem::stopping());
        }
        answered.await.unwrap_or_else(|_| Err(problem::stopping()))
    }

    /// Asks the server whether a call may be handed on to somebody now.
    pub async fn prove(&self, extension: String) -> Result<Available, ErrorBody> {
        let (answer, answered) = oneshot::channel();
        let request = Request::Prove { extension, answer };
        if self.requests.send(request).await.is_err() {
            return Err(problem::stopping());
        }
        answered.await.unwrap_or_else(|_| Err(problem::stopping()))
    }

    /// Asks for an agent's pause, or for its end. The board shows it once Asterisk's queues keep it.
    pub async fn pause(&self, pause: Pause) -> Result<(), ErrorBody> {
        let (answer, answered) = oneshot::channel();
        let request = Request::Pause { pause, answer };
        if self.requests.send(request).await.is_err() {
            return Err(problem::stopping());
        }
        answered.await.unwrap_or_else(|_| Err(problem::stopping()))
    }

    /// Gives up a sign-in that is under way.
    pub async fn cancel_sign_in(&self) -> Result<(), ErrorBody> {
        self.ask(Command::CancelSignIn, None).await.map(drop)
    }

    /// Signs out; what does not agree yet is in the answer.
    pub async fn sign_out(&self, when: When) -> Result<SignedOut, ErrorBody> {
        let answer = self.ask(Command::SignOut(when), None).await?;
        Ok(answer.unwrap_or_default())
    }

    /// The computer is about to sleep. Returns when the registrar has let the phone go, or has not answered in
    /// [`FALLS_ASLEEP`]; the lease then ends by itself.
    pub async fn sleep(&self) {
        if self.ask(Command::Sleep, None).await.is_err() {
            return;
        }
        let mut state = self.state.clone();
        let gone = state.wait_for(|state| !matches!(state.phone, PhoneState::Registered));
        let _ = tokio::time::timeout(FALLS_ASLEEP, gone).await;
    }

    /// It has woken: the phone registers again.
    pub async fn wake(&self) {
        // Who is stopping needs no phone.
        let _ = self.ask(Command::Wake, None).await;
    }

    /// Calls somebody: digits, an extension, or a `sip:` address.
    pub async fn dial(&self, target: String) -> Result<(), ErrorBody> {
        self.ask(Command::Dial { target }, None).await.map(drop)
    }

    /// Takes a call that rings here.
    pub async fn answer(&self, call: u32) -> Result<(), ErrorBody> {
        self.ask(Command::Answer(call), None).await.map(drop)
    }

    /// Refuses a call that rings here.
    pub async fn decline(&self, call: u32) -> Result<(), ErrorBody> {
        self.ask(Command::Decline(call), None).await.map(drop)
    }

    /// Ends a call.
    pub async fn hang_up(&self, call: u32) -> Result<(), ErrorBody> {
        self.ask(Command::HangUp(call), None).await.map(drop)
    }

    /// Hands a call that is talked on to somebody else: digits, an extension, or a `sip:` address.
    pub async fn transfer(&self, call: u32, target: String) -> Result<(), ErrorBody> {
        let command = Command::Transfer { call, target };
        self.ask(command, None).await.map(drop)
    }

    /// Mutes or unmutes the microphone for the present call.
    pub async fn set_muted(&self, muted: bool) -> Result<(), ErrorBody> {
        self.ask(Command::SetMuted(muted), None).await.map(drop)
    }

    async fn ask(&self, command: Command, secret: Option<Secret>) -> Answer {
        let (answer, answered) = oneshot::channel();
        let request = Request::Command {
            command,
            secret,
            answer,
        };
        if self.requests.send(request).await.is_err() {
            return Err(problem::stopping());
        }
        answered.await.unwrap_or_else(|_| Err(problem::stopping()))
    }
}
