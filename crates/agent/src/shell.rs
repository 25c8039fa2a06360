//! Executes what the day asks for: the thin asynchronous shell around [`Day`].
//!
//! Owns the secrets, the tasks and the clock. Refuses decisions.

use std::{
    collections::HashMap,
    sync::Arc,
    time::{SystemTime, UNIX_EPOCH},
};

use rollcall_phone::{Account as SipAccount, Credentials, PhoneCommand, PhoneEvent, Transport};
use rollcall_wire::{
    explain::{Available, Explanation},
    http::{AgentOnlineRequest, ErrorBody, LoginRequest, LoginResponse},
    realtime::DeviceHeartbeat,
};
use tokio::{
    sync::{mpsc, oneshot, watch},
    task::{AbortHandle, JoinSet},
    time::Instant,
};
use tracing::{debug, info, warn};
use uuid::Uuid;

use crate::{
    day::{Account, Answer, Command, CommandId, Day, Effect, Failure, Input, Now},
    ports::{KeptSession, Pause, Phone, Question, Secret, Server},
    problem,
    safe::Safe,
    state::AgentState,
};

/// Answers of tasks, and words of the link, that may wait for the day. The link waits for room, so that a day which
/// falls behind is a gap of the board, which is told as such, and no pile in memory.
const ANSWERS: usize = 64;

/// What a handle asks.
pub(crate) enum Request {
    /// On its way to the day.
    Command {
        command: Command,
        /// The password, or the refresh token, that goes with it.
        secret: Option<Secret>,
        answer: oneshot::Sender<Answer>,
    },
    /// On its way to the server: the day has no say in it.
    Explain {
        question: Question,
        answer: oneshot::Sender<Result<Explanation, ErrorBody>>,
    },
    /// So is this.
    Prove {
        extension: String,
        answer: oneshot::Sender<Result<Available, ErrorBody>>,
    },
    /// And this.
    Pause {
        pause: Pause,
        answer: oneshot::Sender<Result<(), ErrorBody>>,
    },
}

/// The answer of a task, before its secrets are put away.
enum Done {
    LoggedIn(u32, Result<LoginResponse, Failure>),
    Refreshed(u32, Result<LoginResponse, Failure>),
    Plain(Input),
}

/// What one session must keep to itself.
struct Secrets {
    server: String,
    username: String,
    access: watch::Sender<Secret>,
    refresh: Secret,
    sip: Option<Sip>,
    keys: Keys,
}

/// The idempotency keys of a session: one for each intent, over all attempts at it.
struct Keys {
    /// To trade the present refresh token; another attempt under another key would look like theft.
    refresh: Uuid,
    /// The claim that was last told, by its number.
    online: (u64, Uuid),
    logout: Uuid,
}

impl Keys {
    fn new() -> Self {
        Self {
            refresh: Uuid::new_v4(),
            online: (0, Uuid::new_v4()),
            logout: Uuid::new_v4(),
        }
    }

    fn of_claim(&mut self, claim: u64) -> Uuid {
        if self.online.0 != claim {
            self.online = (claim, Uuid::new_v4());
        }
        self.online.1
    }
}

struct Sip {
    user: String,
    registrar: String,
    /// None where the server names one that the phone does not speak; the day then asks for no registration.
    transport: Option<Transport>,
    username: String,
    password: Secret,
    /// In PEM, in place of the computer's own.
    authorities: Option<String>,
}

struct Link {
    session: u32,
    heartbeats: mpsc::Sender<DeviceHeartbeat>,
    tasks: [AbortHandle; 2],
}

impl Drop for Link {
    fn drop(&mut self) {
        self.tasks.iter().for_each(AbortHandle::abort);
    }
}

/// The shell.
pub(crate) struct Shell<S, P> {
    day: Day,
    device_id: String,
    server: Arc<S>,
    phone: P,
    safe: Safe,
    state: watch::Sender<AgentState>,
    running: Running,
}

/// What is under way.
#[derive(Default)]
struct Running {
    secrets: HashMap<u32, Secrets>,
    /// What came with the commands that sign in.
    given: HashMap<CommandId, Secret>,
    login_server: HashMap<u32, String>,
    waiting: HashMap<CommandId, oneshot::Sender<Answer>>,
    commands_used: CommandId,
    signing_in: Option<CommandId>,
    link: Option<Link>,
}

impl<S: Server, P: Phone> Shell<S, P> {
    pub(crate) fn new(
        day: Day,
        device_id: String,
        server: S,
        phone: P,
        safe: Safe,
        state: watch::Sender<AgentState>,
    ) -> Self {
        Self {
            day,
            device_id,
            server: Arc::new(server),
            phone,
            safe,
            state,
            running: Running::default(),
        }
    }

    /// Runs until every handle is dropped.
    pub(crate) async fn run(
        mut self,
        mut requests: mpsc::Receiver<Request>,
        mut phone_events: mpsc::Receiver<PhoneEvent>,
    ) {
        let (done, mut answers) = mpsc::channel(ANSWERS);
        let mut tasks = JoinSet::new();
        let mut engine_runs = true;
        loop {
            // Before the answers go out, so that who hears one finds the state that it speaks of; and after, for what a
            // phone that has stopped changes.
            self.publish();
            self.execute_all(&mut tasks, &done);
            self.publish();
            let wake = self.day.poll_timeout().map(Instant::from_std);
            tokio::select! {
                request = requests.recv() => match request {
                    Some(Request::Command { command, secret, answer }) => {
                        self.accept(command, secret, answer);
                    }
                    Some(Request::Explain { question, answer }) => {
                        self.explain(question, answer, &mut tasks);
                    }
                    Some(Request::Prove { extension, answer }) => {
                        self.prove(extension, answer, &mut tasks);
                    }
                    Some(Request::Pause { pause, answer }) => {
                        self.pause(pause, answer, &mut tasks);
                    }
                    None => break,
                },
                Some(done) = answers.recv() => self.take_in(done),
                event = phone_events.recv(), if engine_runs => {
                    engine_runs = event.is_some();
                    let event = event.unwrap_or(PhoneEvent::Stopped);
                    engine_runs &= event != PhoneEvent::Stopped;
                    self.log_phone(&event);
                    self.day.handle(now(), Input::Phone(event));
                },
                () = sleep_until(wake) => self.day.handle_timeout(now()),
                Some(_) = tasks.join_next() => {}
            }
        }
        self.phone.ask(PhoneCommand::Shutdown);
    }

    fn accept(
        &mut self,
        command: Command,
        secret: Option<Secret>,
        answer: oneshot::Sender<Answer>,
    ) {
        let running = &mut self.running;
        running.commands_used += 1;
        let id = running.commands_used;
        running.waiting.insert(id, answer);
        if let Some(secret) = secret {
            running.given.insert(id, secret);
            running.signing_in = Some(id);
        }
        self.day.handle(now(), Input::Command(id, command));
    }

    /// The page that asks shows the answer, nobody keeps it.
    fn explain(
        &mut self,
        question: Question,
        answer: oneshot::Sender<Result<Explanation, ErrorBody>>,
        tasks: &mut JoinSet<()>,
    ) {
        self.ask_in_its_name(answer, tasks, |api, server, token| async move {
            api.explain(server, token, question).await
        });
    }

    /// Asked at the click: nobody keeps what was so a moment ago.
    fn prove(
        &mut self,
        extension: String,
        answer: oneshot::Sender<Result<Available, ErrorBody>>,
        tasks: &mut JoinSet<()>,
    ) {
        self.ask_in_its_name(answer, tasks, |api, server, token| async move {
            api.available(server, token, extension).await
        });
    }

    /// What comes of it is the board's to show.
    fn pause(
        &mut self,
        pause: Pause,
        answer: oneshot::Sender<Result<(), ErrorBody>>,
        tasks: &mut JoinSet<()>,
    ) {
        self.ask_in_its_name(answer, tasks, |api, server, token| async move {
            api.pause(server, token, pause, Uuid::new_v4()).await
        });
    }

    /// Asks the server something in the name of the session that is linked.
    fn ask_in_its_name<T, F>(
        &mut self,
        answer: oneshot::Sender<Result<T, ErrorBody>>,
        tasks: &mut JoinSet<()>,
        ask: impl FnOnce(Arc<S>, String, Secret) -> F,
    ) where
        T: Send + 'static,
        F: Future<Output = Result<T, Failure>> + Send + 'static,
    {
        let linked = self.running.link.as_ref().map(|link| link.session);
        let Some((server, token, _)) = linked.and_then(|session| self.access(session)) else {
            let _ = answer.send(Err(problem::not_signed_in()));
            return;
        };
        let asked = ask(Arc::clone(&self.server), server, token);
        tasks.spawn(async move {
            let answered = asked.await;
            let _ = answer.send(answered.map_err(|failure| failure.error));
        });
    }

    fn take_in(&mut self, done: Done) {
        let input = match done {
            Done::Plain(input) => input,
            Done::LoggedIn(session, result) => {
                let server = self.running.login_server.remove(&session);
                let result = result
                    .map(|response| self.keep_new(session, server.unwrap_or_default(), response));
                Input::LoggedIn { session, result }
            }
            Done::Refreshed(session, result) => {
                let result = result.map(|response| self.keep_renewed(session, response));
                Input::Refreshed { session, result }
            }
        };
        self.day.handle(now(), input);
    }

    /// Puts the secrets of a login away; what is left may be told.
    fn keep_new(&mut self, session: u32, server: String, response: LoginResponse) -> Account {
        let LoginResponse {
            tokens,
            expires_at,
            user,
        } = response;
        let account = Account {
            username: user.username,
            transport: user.pjsip.as_ref().map(|pjsip| pjsip.transport.clone()),
            extension: user.extension,
            role: user.role,
            expires_at,
        };
        let extension = account.extension.clone().unwrap_or_default();
        let sip = user.pjsip.map(|pjsip| Sip {
            user: extension,
            registrar: pjsip.server,
            transport: Transport::named(&pjsip.transport),
            username: pjsip.username,
            password: Secret::new(pjsip.password),
            authorities: pjsip.authorities,
        });
        let secrets = Secrets {
            server,
            username: account.username.clone(),
            access: watch::Sender::new(Secret::new(tokens.sip)),
            refresh: Secret::new(tokens.refresh),
            sip,
            keys: Keys::new(),
        };
        self.hand_to_keeper(&secrets);
        self.running.secrets.insert(session, secrets);
        account
    }

    fn keep_renewed(&mut self, session: u32, response: LoginResponse) -> u64 {
        if let Some(secrets) = self.running.secrets.get_mut(&session) {
            secrets
                .access
                .send_replace(Secret::new(response.tokens.sip));
            secrets.refresh = Secret::new(response.tokens.refresh);
            secrets.keys.refresh = Uuid::new_v4();
        }
        if let Some(secrets) = self.running.secrets.get(&session) {
            self.hand_to_keeper(secrets);
        }
        response.expires_at
    }

    fn hand_to_keeper(&self, secrets: &Secrets) {
        self.safe.keep(KeptSession {
            server: secrets.server.clone(),
            username: secrets.username.clone(),
            device_id: self.device_id.clone(),
            refresh: secrets.refresh.clone(),
        });
    }

    fn execute_all(&mut self, tasks: &mut JoinSet<()>, done: &mpsc::Sender<Done>) {
        while let Some(effect) = self.day.poll_effect() {
            self.execute(effect, tasks, done);
        }
    }

    fn execute(&mut self, effect: Effect, tasks: &mut JoinSet<()>, done: &mpsc::Sender<Done>) {
        let done = done.clone();
        let api = Arc::clone(&self.server);
        match effect {
            Effect::Login {
                session,
                server,
                username,
            } => {
                let request = self.login_request(username);
                self.running.login_server.insert(session, server.clone());
                tasks.spawn(async move {
                    let result = api.login(server, request).await;
                    let _ = done.send(Done::LoggedIn(session, result)).await;
                });
            }
            Effect::Resume { session, server } => {
                let refresh = self.given();
                self.running.login_server.insert(session, server.clone());
                tasks.spawn(async move {
                    let result = api.refresh(server, refresh, Uuid::new_v4()).await;
                    let _ = done.send(Done::LoggedIn(session, result)).await;
                });
            }
            Effect::ForgetKept => self.safe.forget(),
            Effect::Refresh { session } => {
                let Some(secrets) = self.running.secrets.get(&session) else {
                    return;
                };
                let (server, refresh) = (secrets.server.clone(), secrets.refresh.clone());
                let key = secrets.keys.refresh;
                tasks.spawn(async move {
                    let result = api.refresh(server, refresh, key).await;
                    let _ = done.send(Done::Refreshed(session, result)).await;
                });
            }
            Effect::AgentOnline {
                session,
                claim,
                extension,
                contact_uri,
                take_over,
            } => {
                let Some((server, token, keys)) = self.access(session) else {
                    return;
                };
                let key = keys.of_claim(claim);
                let request = AgentOnlineRequest {
                    extension,
                    contact_uri,
                    take_over,
                };
                tasks.spawn(async move {
                    let result = api.agent_online(server, token, request, key).await;
                    let _ = done
                        .send(Done::Plain(Input::Claimed { claim, result }))
                        .await;
                });
            }
            Effect::AgentLogout { session } => {
                let Some((server, token, keys)) = self.access(session) else {
                    return;
                };
                let key = keys.logout;
                tasks.spawn(async move {
                    let result = api.agent_logout(server, token, key).await;
                    let _ = done
                        .send(Done::Plain(Input::LoggedOut { session, result }))
                        .await;
                });
            }
            Effect::OpenLink { session } => self.open_link(session, tasks, done),
            Effect::Forget { session } => self.forget(session),
            Effect::Heartbeat(heartbeat) => self.send_heartbeat(heartbeat),
            Effect::Register { session } => self.register(session),
            Effect::Phone(command) => self.ask_phone(command),
            Effect::Answer { command, answer } => {
                self.running.given.remove(&command);
                if let Some(waiting) = self.running.waiting.remove(&command) {
                    let _ = waiting.send(answer);
                }
            }
        }
    }

    /// The secret that came with the command that signs in.
    fn given(&mut self) -> Secret {
        let running = &mut self.running;
        let id = running.signing_in.take();
        id.and_then(|id| running.given.remove(&id))
            .unwrap_or_default()
    }

    fn login_request(&mut self, username: String) -> LoginRequest {
        LoginRequest {
            username,
            password: self.given().expose().to_owned(),
            device_id: Some(self.device_id.clone()),
        }
    }

    /// What a request in the session's name needs.
    fn access(&mut self, session: u32) -> Option<(String, Secret, &mut Keys)> {
        let secrets = self.running.secrets.get_mut(&session)?;
        let token = secrets.access.borrow().clone();
        Some((secrets.server.clone(), token, &mut secrets.keys))
    }

    fn open_link(&mut self, session: u32, tasks: &mut JoinSet<()>, done: mpsc::Sender<Done>) {
        let Some(secrets) = self.running.secrets.get(&session) else {
            return;
        };
        let (heartbeats, beats) = mpsc::channel(4);
        let (to_day, mut events) = mpsc::channel(1);
        let (server, token) = (secrets.server.clone(), secrets.access.subscribe());
        let api = Arc::clone(&self.server);
        let link = tasks.spawn(async move { api.link(server, token, beats, to_day).await });
        let forward = tasks.spawn(async move {
            while let Some(event) = events.recv().await {
                let _ = done.send(Done::Plain(Input::Link { session, event })).await;
            }
        });
        self.running.link = Some(Link {
            session,
            heartbeats,
            tasks: [link, forward],
        });
    }

    fn forget(&mut self, session: u32) {
        if self
            .running
            .link
            .as_ref()
            .is_some_and(|l| l.session == session)
        {
            self.running.link = None;
        }
        if self.running.secrets.remove(&session).is_some() {
            self.safe.forget();
        }
    }

    fn send_heartbeat(&self, heartbeat: DeviceHeartbeat) {
        if let Some(link) = &self.running.link
            && link.heartbeats.try_send(heartbeat).is_err()
        {
            debug!("the realtime link takes nothing now; a heartbeat is dropped");
        }
    }

    fn register(&mut self, session: u32) {
        let sip = self
            .running
            .secrets
            .get(&session)
            .and_then(|s| s.sip.as_ref());
        let Some((sip, transport)) = sip.and_then(|sip| Some((sip, sip.transport?))) else {
            return;
        };
        let credentials = Credentials {
            username: sip.username.clone(),
            password: sip.password.expose().to_owned(),
        };
        let account = SipAccount::new(
            sip.user.clone(),
            sip.registrar.clone(),
            credentials,
            self.device_id.clone(),
        );
        let account = SipAccount {
            // As the account names it; whatever the name service prefers, the server knows better.
            transport: Some(transport),
            authorities: sip.authorities.clone(),
            ..account
        };
        self.ask_phone(PhoneCommand::Register(account));
    }

    fn ask_phone(&mut self, command: PhoneCommand) {
        if !self.phone.ask(command) {
            warn!("the phone engine has stopped");
            self.day.handle(now(), Input::Phone(PhoneEvent::Stopped));
        }
    }

    fn publish(&self) {
        let next = self.day.state();
        self.state.send_if_modified(|state| {
            let changed = *state != next;
            if changed {
                *state = next;
            }
            changed
        });
    }

    fn log_phone(&self, event: &PhoneEvent) {
        match event {
            PhoneEvent::Vitals(_) => {}
            PhoneEvent::Registered { .. } => debug!("registered"),
            PhoneEvent::RegistrationFailed { code, .. } => {
                warn!(code = code.as_str(), "registration failed");
            }
            PhoneEvent::Stopped => info!("the phone engine has stopped"),
            other => debug!(event = ?std::mem::discriminant(other), "phone"),
        }
    }
}

/// Both clocks; the monotonic one is tokio's, so that tests can pause it.
pub(crate) fn now() -> Now {
    let ms = SystemTime::now()
        .duration_since(UNIX_EPOCH)
        .map_or(0, |d| d.as_millis());
    Now {
        at: Instant::now().into_std(),
        ms: u64::try_from(ms).unwrap_or(u64::MAX),
    }
}

async fn sleep_until(at: Option<Instant>) {
    match at {
        Some(at) => tokio::time::sleep_until(at).await,
        None => std::future::pending().await,
    }
}
