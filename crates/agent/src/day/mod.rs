//! One person's day as a state machine: commands, answers and events in; effects out.
//!
//! ```text
//!   SignedOut ──sign_in──> SigningIn { CheckingPassword ──> RegisteringPhone ──> TellingServer }
//!       ^                       │ cancel                                             │
//!       │                       v                                                    v
//!       └────────────────── SigningOut <──────────sign_out, session ended──────── SignedIn
//! ```
//!
//! Owns every decision: the order of a sign-in and a sign-out, what is tried again and when, what a
//! person is told. Refuses IO, clocks and secrets: tokens and passwords stay with who executes the
//! effects, who names a session by its number only.

mod calls;
mod claim;
mod leaving;
mod session;
#[cfg(test)]
mod tests;

use std::{
    collections::VecDeque,
    time::{Duration, Instant},
};

use rollcall_phone::{PhoneCommand, PhoneEvent, Vitals};
use rollcall_wire::{
    http::{ErrorBody, Role},
    realtime::{AgentStatus, AgentsSnapshot, DeviceHeartbeat},
    ui::{Notice, PhoneState, Severity, SignInStep},
};

use self::{calls::Calls, claim::Claiming, leaving::Leaving, session::Session};
use crate::{
    board::{Applied, Board},
    problem,
    state::{AgentState, Stage},
};

/// The present, on both clocks.
#[derive(Clone, Copy, Debug)]
pub struct Now {
    /// For durations.
    pub at: Instant,
    /// For people: ms since the Unix epoch.
    pub ms: u64,
}

/// What a person asks.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Command {
    /// Sign in; the password stays with who sent this.
    SignIn {
        /// The server's address.
        server: String,
        /// The user's name.
        username: String,
    },
    /// Go on with a session that was kept; its refresh token stays with who sent this.
    Resume {
        /// The server's address.
        server: String,
        /// The user's name.
        username: String,
    },
    /// Give up the sign-in that is under way.
    CancelSignIn,
    /// Sign out.
    SignOut(When),
    /// Call somebody.
    Dial {
        /// A number, or a SIP address.
        target: String,
    },
    /// Take a call that rings.
    Answer(u32),
    /// Refuse a call that rings.
    Decline(u32),
    /// End a call.
    HangUp(u32),
    /// Hand a call on to somebody else (blind transfer).
    Transfer {
        /// The call.
        call: u32,
        /// A number, or a SIP address.
        target: String,
    },
    /// Mute or unmute the microphone.
    SetMuted(bool),
    /// The computer is about to sleep: leave the registrar, and take no call until [`Command::Wake`].
    Sleep,
    /// It has woken: register again.
    Wake,
    /// End the session of the device that stands in the way, and go online here.
    TakeOver,
}

/// When a sign-out ends the phone.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum When {
    /// New calls are declined at once; the call that is going on may end by itself.
    AfterCalls,
    /// Calls are hung up: the program is about to end.
    Now,
}

/// Names a command, so that its answer finds who asked.
pub type CommandId = u64;

/// What a command comes to.
pub type Answer = Result<Option<crate::state::SignedOut>, ErrorBody>;

/// Something that happened.
#[derive(Debug)]
pub enum Input {
    /// A person asked.
    Command(CommandId, Command),
    /// The server answered a login, or the renewal of a kept session.
    LoggedIn {
        /// Which.
        session: u32,
        /// Who it is, or why not.
        result: Result<Account, Failure>,
    },
    /// The server answered a refresh: when the new token ends.
    Refreshed {
        /// Whose token.
        session: u32,
        /// Ms since the Unix epoch.
        result: Result<u64, Failure>,
    },
    /// The server answered `agent-online`.
    Claimed {
        /// Which claim.
        claim: u64,
        /// Whether it took the claim.
        result: Result<(), Failure>,
    },
    /// The server answered `agent-logout`: what is still pending.
    LoggedOut {
        /// Whose.
        session: u32,
        /// The server's words.
        result: Result<Vec<String>, Failure>,
    },
    /// The realtime link spoke.
    Link {
        /// Whose link.
        session: u32,
        /// What it said.
        event: LinkEvent,
    },
    /// The phone spoke.
    Phone(PhoneEvent),
}

/// Who signed in, without a secret.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Account {
    /// The user's name.
    pub username: String,
    /// The extension.
    pub extension: Option<String>,
    /// The role.
    pub role: Role,
    /// The transport of the SIP account to register, as the server names it; none without such an account.
    pub transport: Option<String>,
    /// When the token ends, ms since the Unix epoch.
    pub expires_at: u64,
}

/// Why the server did not do what was asked.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Failure {
    /// For a person.
    pub error: ErrorBody,
    /// For the next step.
    pub kind: FailureKind,
}

/// What can be done about a [`Failure`].
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum FailureKind {
    /// The server was not reached, or is not able now: the same again later may work.
    Retry,
    /// The token is not good (any more).
    Unauthorised,
    /// It said no; the same again gets the same answer.
    Refused,
}

/// What the realtime link says.
#[derive(Clone, Debug, PartialEq)]
pub enum LinkEvent {
    /// It is up.
    Connected,
    /// It is gone, or an attempt failed; it goes on trying by itself.
    Lost {
        /// Why, for a person.
        message: String,
    },
    /// The server refused the token.
    Unauthorised,
    /// `agents:snapshot`.
    Snapshot(AgentsSnapshot),
    /// `agent:status`.
    Status(Box<AgentStatus>),
    /// Changes of the board were missed; a snapshot is asked for until it comes.
    Gap,
    /// `session:ended`.
    SessionEnded {
        /// The reason's code.
        reason: String,
        /// The reason in words.
        message: String,
    },
    /// `device:reregister`.
    Reregister,
}

/// Something to do. Everything that concerns the server names the session it is done for.
#[derive(Debug)]
pub enum Effect {
    /// `POST login`, with the password of the command that asked; answered by [`Input::LoggedIn`].
    Login {
        /// The new session.
        session: u32,
        /// The server's address.
        server: String,
        /// The user's name.
        username: String,
    },
    /// `POST refresh` with the token of the command that asked; answered by [`Input::LoggedIn`].
    Resume {
        /// The new session.
        session: u32,
        /// The server's address.
        server: String,
    },
    /// Forgets the session that is kept beside memory: the server has refused it.
    ForgetKept,
    /// `POST refresh`; answered by [`Input::Refreshed`].
    Refresh {
        /// Whose token.
        session: u32,
    },
    /// `POST agent-online`; answered by [`Input::Claimed`].
    AgentOnline {
        /// Whose.
        session: u32,
        /// Which claim; a claim that is repeated keeps its number.
        claim: u64,
        /// The own extension.
        extension: String,
        /// The Contact of the 200 OK.
        contact_uri: String,
        /// Whether the device that stands in the way gives way.
        take_over: bool,
    },
    /// `POST agent-logout`; answered by [`Input::LoggedOut`].
    AgentLogout {
        /// Whose.
        session: u32,
    },
    /// Opens the realtime link and keeps it up.
    OpenLink {
        /// Whose.
        session: u32,
    },
    /// Closes the link and forgets the session's secrets.
    Forget {
        /// Whose.
        session: u32,
    },
    /// Sends the engine's vitals to the server.
    Heartbeat(DeviceHeartbeat),
    /// Hands the session's SIP account to the phone.
    Register {
        /// Whose.
        session: u32,
    },
    /// Anything else the phone shall do.
    Phone(PhoneCommand),
    /// Answers a command.
    Answer {
        /// Which.
        command: CommandId,
        /// With what.
        answer: Answer,
    },
}

/// How long things may take. All configurable for tests and for slow sites.
#[derive(Clone, Debug)]
pub struct Patience {
    /// The first registration; after it the person is signed in with a phone that keeps trying.
    pub registration: Duration,
    /// The first `agent-online`; likewise.
    pub claim: Duration,
    /// How long the first `agent-online` waits for the board, which the server sends once it has noted the lease.
    pub link: Duration,
    /// The un-REGISTER of a sign-out.
    pub unregister: Duration,
    /// The same when the program is about to end.
    pub unregister_at_exit: Duration,
    /// The `agent-logout` of a sign-out, its retries included.
    pub logout: Duration,
    /// The same when the program is about to end. Who ends programs gives them five seconds, for both together.
    pub logout_at_exit: Duration,
    /// How long an ended call stays to be seen.
    pub ended_call: Duration,
}

impl Default for Patience {
    fn default() -> Self {
        Self {
            registration: Duration::from_secs(8),
            claim: Duration::from_secs(8),
            link: Duration::from_secs(1),
            unregister: Duration::from_secs(2),
            unregister_at_exit: Duration::from_millis(1_500),
            logout: Duration::from_secs(10),
            logout_at_exit: Duration::from_millis(2_500),
            ended_call: Duration::from_secs(4),
        }
    }
}

/// The state machine.
#[derive(Debug)]
pub struct Day {
    device_id: String,
    patience: Patience,
    effects: VecDeque<Effect>,
    stage: At,
    session: Option<Session>,
    sessions_used: u32,
    phone: PhoneState,
    contact: Option<String>,
    claiming: Claiming,
    board: Board,
    link_trouble: Option<ErrorBody>,
    calls: Calls,
    audio_trouble: Option<ErrorBody>,
    /// The computer sleeps, or is about to.
    asleep: bool,
    unsent_vitals: Option<(Instant, Vitals)>,
    last_error: Option<ErrorBody>,
    since: u64,
}

/// The stage, with what only it needs.
#[derive(Debug)]
enum At {
    SignedOut,
    SigningIn {
        command: CommandId,
        step: SignInStep,
        give_up: Option<Instant>,
    },
    SignedIn,
    SigningOut(Box<Leaving>),
}

/// Vitals older than this are not sent when the link comes up: they would speak of the past.
const VITALS_ARE_FRESH: Duration = Duration::from_secs(5);

/// The engine's vitals in the server's words: what its loops measured, and nothing else.
fn heartbeat(device_id: String, vitals: &Vitals) -> DeviceHeartbeat {
    let ms = |time: Duration| u64::try_from(time.as_millis()).unwrap_or(u64::MAX);
    DeviceHeartbeat {
        device_id,
        tick: vitals.tick,
        registered: vitals.registered,
        sip_loop_ms: ms(vitals.sip_loop_late),
        audio_loop_ms: Some(ms(vitals.audio_loop_age)),
        audio_ok: vitals.microphone_ok && vitals.speaker_ok,
        calls: u32::try_from(vitals.calls).unwrap_or(u32::MAX),
    }
}

impl Day {
    /// A day on which nobody has signed in yet.
    pub fn new(device_id: String, patience: Patience, now: Now) -> Self {
        Self {
            device_id,
            patience,
            effects: VecDeque::new(),
            stage: At::SignedOut,
            session: None,
            sessions_used: 0,
            phone: PhoneState::None,
            contact: None,
            claiming: Claiming::default(),
            board: Board::default(),
            link_trouble: None,
            calls: Calls::default(),
            audio_trouble: None,
            asleep: false,
            unsent_vitals: None,
            last_error: None,
            since: now.ms,
        }
    }

    /// Takes in what happened; what follows from it is in [`Day::poll_effect`].
    pub fn handle(&mut self, now: Now, input: Input) {
        match input {
            Input::Command(id, command) => self.on_command(now, id, command),
            Input::LoggedIn { session, result } => self.on_logged_in(now, session, result),
            Input::Refreshed { session, result } => self.on_refreshed(now, session, result),
            Input::Claimed { claim, result } => self.on_claimed(now, claim, result),
            Input::LoggedOut { session, result } => self.on_logged_out(now, session, result),
            Input::Link { session, event } => {
                if self.is_current(session) {
                    self.on_link(now, event);
                }
            }
            Input::Phone(event) => self.on_phone(now, event),
        }
    }

    /// To be called when [`Day::poll_timeout`] has come.
    pub fn handle_timeout(&mut self, now: Now) {
        self.sign_in_timeout(now);
        self.session_timeout(now);
        self.claim_timeout(now);
        self.calls.forget_what_is_over(now.at);
        self.leaving_timeout(now);
    }

    /// When to call [`Day::handle_timeout`] next.
    pub fn poll_timeout(&self) -> Option<Instant> {
        let sign_in = match &self.stage {
            At::SigningIn { give_up, .. } => *give_up,
            At::SigningOut(leaving) => leaving.deadline(),
            _ => None,
        };
        let session = self.session.as_ref().and_then(Session::deadline);
        [
            sign_in,
            session,
            self.claiming.deadline(),
            self.calls.deadline(),
        ]
        .into_iter()
        .flatten()
        .min()
    }

    /// The next thing to do.
    pub fn poll_effect(&mut self) -> Option<Effect> {
        self.effects.pop_front()
    }

    /// What a reader may know.
    pub fn state(&self) -> AgentState {
        let own = self.own_line();
        let since = own.as_ref().map_or(self.since, |agent| agent.since);
        AgentState {
            stage: match &self.stage {
                At::SignedOut => Stage::SignedOut {
                    error: self.last_error.clone(),
                },
                At::SigningIn { step, .. } => Stage::SigningIn { step: *step },
                At::SignedIn => Stage::SignedIn,
                At::SigningOut(_) => Stage::SigningOut,
            },
            user: self.session.as_ref().and_then(|s| s.user()),
            phone: self.phone.clone(),
            contact: self.contact.clone(),
            claim: self.claiming.view(),
            own,
            since,
            calls: self.calls.views(),
            muted: self.calls.muted(),
            speaking_muted: self.calls.speaking_muted(),
            levels: self.calls.levels(),
            notices: self.notices(),
            board: self.board.view(),
        }
    }

    fn own_line(&self) -> Option<rollcall_wire::board::Agent> {
        let user = self.session.as_ref()?.user()?;
        self.board.agent(user.extension.as_deref()?)
    }

    fn notices(&self) -> Vec<Notice> {
        let notice = |severity, error: &ErrorBody| Notice {
            severity,
            error: error.clone(),
        };
        let mut notices = Vec::new();
        if let PhoneState::Failed { error } = &self.phone {
            notices.push(notice(Severity::Error, error));
        }
        if let Some(error) = &self.audio_trouble {
            notices.push(notice(Severity::Error, error));
        }
        if let Some(error) = self.session.as_ref().and_then(Session::trouble) {
            notices.push(notice(Severity::Warning, error));
        }
        // A sign-in has words of its own for a server that is away.
        if let Some(error) = &self.link_trouble
            && !matches!(self.stage, At::SigningIn { .. })
        {
            notices.push(notice(Severity::Warning, error));
        }
        if let crate::state::Claim::Failed { error, .. } = self.claiming.view() {
            notices.push(notice(Severity::Warning, &error));
        }
        notices
    }

    fn on_command(&mut self, now: Now, id: CommandId, command: Command) {
        match command {
            Command::SignIn { server, username } => self.sign_in(now, id, server, username),
            Command::Resume { server, username } => self.resume(now, id, server, username),
            Command::CancelSignIn => self.cancel_sign_in(now, id),
            Command::SignOut(when) => self.sign_out(now, id, when),
            Command::Dial { target } => self.dial(id, &target),
            Command::Answer(call) => self.answer_call(id, call),
            Command::Decline(call) => self.decline(id, call),
            Command::HangUp(call) => self.hang_up(id, call),
            Command::Transfer { call, target } => self.transfer(id, call, target),
            Command::SetMuted(muted) => self.set_muted(id, muted),
            Command::Sleep => self.sleep(id),
            Command::Wake => self.wake(id),
            Command::TakeOver => self.take_over(now, id),
        }
    }

    /// Situation 3: nobody calls a computer that sleeps. The session and the claim stay as they are.
    fn sleep(&mut self, command: CommandId) {
        self.asleep = true;
        let has_phone = self.session.as_ref().is_some_and(Session::has_phone);
        if has_phone && matches!(self.stage, At::SignedIn) {
            self.turn_away_ringing();
            self.push(Effect::Phone(PhoneCommand::Unregister));
        }
        self.tell(command, Ok(None));
    }

    /// Available again once the registrar, the link and the microphone say so, and not before.
    fn wake(&mut self, command: CommandId) {
        let phone = self.session.as_ref().filter(|session| session.has_phone());
        let phone = phone.map(|session| session.number);
        if std::mem::take(&mut self.asleep)
            && let (Some(session), At::SignedIn) = (phone, &self.stage)
        {
            self.push(Effect::Register { session });
        }
        self.tell(command, Ok(None));
    }

    fn on_link(&mut self, now: Now, event: LinkEvent) {
        match event {
            LinkEvent::Connected => self.link_is_up(now),
            LinkEvent::Lost { message } => self.link_is_lost(now, message),
            LinkEvent::Unauthorised => {
                self.refresh_token(now);
                self.link_is_settled();
            }
            LinkEvent::Snapshot(snapshot) => {
                self.board.snapshot(snapshot);
                self.link_is_settled();
            }
            LinkEvent::Status(status) => {
                if self.board.status(now.ms, *status) == Applied::Gap {
                    tracing::debug!("a change does not follow; the link asks for a snapshot");
                }
            }
            LinkEvent::Gap => self.board.gap(now.ms),
            LinkEvent::SessionEnded { message, reason } => {
                self.session_was_ended(now, problem::session_ended(&reason, &message));
            }
            LinkEvent::Reregister => {
                let has_phone = self.session.as_ref().is_some_and(Session::has_phone);
                if has_phone && matches!(self.stage, At::SignedIn) && !self.asleep {
                    self.push(Effect::Phone(PhoneCommand::Refresh));
                }
            }
        }
    }

    fn link_is_up(&mut self, now: Now) {
        self.board.link_up(now.ms);
        self.link_trouble = None;
        if let Some((at, vitals)) = self.unsent_vitals.take()
            && now.at.duration_since(at) <= VITALS_ARE_FRESH
        {
            self.forward_vitals(now, vitals);
        }
        self.renew_claim(now);
    }

    fn link_is_lost(&mut self, now: Now, message: String) {
        self.board.link_lost(now.ms);
        self.claiming.mark_stale();
        self.link_trouble = Some(problem::server_lost(&message));
        self.link_is_settled();
    }

    fn link_is_settled(&mut self) {
        if let Some(session) = &mut self.session {
            session.link_settled = true;
            self.claim_after_link();
        }
    }

    fn on_phone(&mut self, now: Now, event: PhoneEvent) {
        match event {
            PhoneEvent::Registering => {
                if !matches!(self.phone, PhoneState::Registered) {
                    self.phone = PhoneState::Registering;
                }
            }
            PhoneEvent::Registered { contact, .. } => self.registered(now, contact),
            PhoneEvent::RegistrationFailed {
                code,
                message,
                next,
                ..
            } => self.registration_failed(now, problem::new(code.as_str(), message, &next)),
            PhoneEvent::Unregistered => self.unregistered(now),
            PhoneEvent::Vitals(vitals) => self.forward_vitals(now, vitals),
            PhoneEvent::AudioReady {
                microphone,
                speaker,
            } => self.audio_trouble = problem::missing_sound(microphone, speaker),
            PhoneEvent::AudioProblem { code, message } => {
                self.audio_trouble = Some(problem::sound(code, message));
            }
            PhoneEvent::Stopped => self.phone_stopped(now),
            other => self.on_call_event(now, other),
        }
    }

    fn registered(&mut self, now: Now, contact: String) {
        let Some(session) = &mut self.session else {
            return;
        };
        session.was_registered = true;
        self.phone = PhoneState::Registered;
        self.contact = Some(contact);
        self.claim_contact(now);
    }

    fn registration_failed(&mut self, now: Now, error: ErrorBody) {
        if self.session.is_none() {
            return;
        }
        self.phone = PhoneState::Failed { error };
        self.contact = None;
        self.sign_in_without_phone(now);
    }

    fn unregistered(&mut self, now: Now) {
        self.contact = None;
        if let At::SigningOut(_) = self.stage {
            self.phone = PhoneState::None;
            self.phone_is_gone(now, None);
        } else if self.session.is_some() {
            self.phone = PhoneState::Registering;
        }
    }

    fn phone_stopped(&mut self, now: Now) {
        self.calls_are_gone(now);
        self.registration_failed(now, problem::phone_stopped());
        self.phone_is_gone(now, None);
    }

    /// Each of the engine's vitals becomes one heartbeat, and nothing else does.
    fn forward_vitals(&mut self, now: Now, vitals: Vitals) {
        let leased = self.session.as_ref().is_some_and(Session::has_phone);
        if !leased {
            return;
        }
        if !self.board.is_linked() {
            self.unsent_vitals = Some((now.at, vitals));
            return;
        }
        let heartbeat = heartbeat(self.device_id.clone(), &vitals);
        self.push(Effect::Heartbeat(heartbeat));
    }

    fn is_current(&self, session: u32) -> bool {
        self.session.as_ref().is_some_and(|s| s.number == session)
    }

    fn push(&mut self, effect: Effect) {
        self.effects.push_back(effect);
    }

    fn tell(&mut self, command: CommandId, answer: Answer) {
        self.push(Effect::Answer { command, answer });
    }
}
