//! The shell on a paused clock, between a phone and a server of the test's own.

use std::{
    collections::VecDeque,
    sync::{Arc, Mutex},
    time::Duration,
};

use rollcall_phone::{FailureCode, PhoneCommand, PhoneEvent, Vitals};
use rollcall_wire::{
    explain::{Available, Explanation},
    http::{AgentOnlineRequest, LoginRequest, LoginResponse, Pjsip, Role, Tokens, User},
    realtime::{AgentsSnapshot, DeviceHeartbeat},
    ui::PhoneState,
};
use tokio::{
    sync::{mpsc, watch},
    time::{Instant, sleep},
};

use uuid::Uuid;

use crate::{
    AgentConfig, AgentHandle, AgentState, Claim, Keeper, KeptSession, Stage, When,
    agent::start_with,
    day::{Failure, FailureKind, LinkEvent},
    ports::{Pause, Phone, Question, Secret, Server},
    problem,
};

const CONTACT: &str = "sip:1001-aaaaaaaa-bbbbbbbb@127.0.0.1:40000";
const PASSWORD: &str = "the-login-password";
const SIP_PASSWORD: &str = "the-sip-password";
const ACCESS: &str = "the-access-token";
const REFRESH: &str = "the-refresh-token";

/// What the fakes saw, in order.
#[derive(Clone, Default)]
struct Log(Arc<Mutex<Vec<String>>>);

impl Log {
    fn note(&self, what: impl Into<String>) {
        self.0.lock().unwrap().push(what.into());
    }

    fn take(&self) -> Vec<String> {
        std::mem::take(&mut *self.0.lock().unwrap())
    }
}

/// Registers whatever it is told to, unless told to fail.
struct FakePhone {
    log: Log,
    events: mpsc::Sender<PhoneEvent>,
    registers: bool,
}

impl Phone for FakePhone {
    fn ask(&self, command: PhoneCommand) -> bool {
        let event = match command {
            PhoneCommand::Register(account) => {
                assert_eq!(account.credentials.password, SIP_PASSWORD);
                self.log.note(format!("register {}", account.user));
                Some(if self.registers {
                    registered()
                } else {
                    refused()
                })
            }
            PhoneCommand::Unregister => {
                self.log.note("unregister");
                Some(PhoneEvent::Unregistered)
            }
            PhoneCommand::Shutdown => {
                self.log.note("shutdown");
                None
            }
            _ => None,
        };
        if let Some(event) = event {
            let _ = self.events.try_send(event);
        }
        true
    }
}

type Keys = Arc<Mutex<Vec<(&'static str, Uuid)>>>;

/// Answers what it is given, then yes.
#[derive(Default)]
struct FakeServer {
    log: Log,
    /// The path and the idempotency key of each request.
    keys: Keys,
    online: Mutex<VecDeque<Failure>>,
    refresh: Mutex<VecDeque<Failure>>,
    logout: Mutex<VecDeque<Failure>>,
    login_takes: Duration,
    logout_takes: Duration,
    links: Mutex<Option<mpsc::UnboundedSender<mpsc::Sender<LinkEvent>>>>,
}

impl Server for FakeServer {
    async fn login(&self, _: String, request: LoginRequest) -> Result<LoginResponse, Failure> {
        sleep(self.login_takes).await;
        assert_eq!(request.device_id.as_deref(), Some("device-0001"));
        self.log.note(format!("login {}", request.username));
        if request.password == PASSWORD {
            Ok(tokens(1))
        } else {
            Err(failure(FailureKind::Unauthorised, "wrong_password"))
        }
    }

    async fn refresh(
        &self,
        _: String,
        refresh: Secret,
        key: Uuid,
    ) -> Result<LoginResponse, Failure> {
        let generation = refresh.expose().strip_prefix(REFRESH).unwrap();
        let generation: u32 = generation.strip_prefix('-').unwrap().parse().unwrap();
        self.log.note("refresh");
        self.keys.lock().unwrap().push(("refresh", key));
        match self.refresh.lock().unwrap().pop_front() {
            Some(failure) => Err(failure),
            None => Ok(tokens(generation + 1)),
        }
    }

    async fn agent_online(
        &self,
        _: String,
        token: Secret,
        request: AgentOnlineRequest,
        key: Uuid,
    ) -> Result<(), Failure> {
        self.keys.lock().unwrap().push(("online", key));
        self.log.note(format!(
            "agent-online {} {}",
            token.expose(),
            request.contact_uri == CONTACT
        ));
        match self.online.lock().unwrap().pop_front() {
            Some(failure) => Err(failure),
            None => Ok(()),
        }
    }

    async fn agent_logout(&self, _: String, _: Secret, key: Uuid) -> Result<Vec<String>, Failure> {
        sleep(self.logout_takes).await;
        self.log.note("agent-logout");
        self.keys.lock().unwrap().push(("logout", key));
        match self.logout.lock().unwrap().pop_front() {
            Some(failure) => Err(failure),
            None => Ok(vec![]),
        }
    }

    async fn available(
        &self,
        _: String,
        token: Secret,
        extension: String,
    ) -> Result<Available, Failure> {
        self.log
            .note(format!("available {} {extension}", token.expose()));
        Err(failure(FailureKind::Retry, "not_proved"))
    }

    async fn explain(
        &self,
        _: String,
        token: Secret,
        question: Question,
    ) -> Result<Explanation, Failure> {
        self.log.note(format!(
            "explain {} {} {:?}",
            token.expose(),
            question.extension,
            question.at
        ));
        Err(failure(FailureKind::Refused, "not_allowed"))
    }

    async fn pause(&self, _: String, token: Secret, pause: Pause, _: Uuid) -> Result<(), Failure> {
        let reason = pause.reason.as_deref().unwrap_or("nothing");
        self.log.note(format!(
            "pause {} {} for {reason}",
            token.expose(),
            pause.extension
        ));
        Ok(())
    }

    async fn link(
        &self,
        _: String,
        _token: watch::Receiver<Secret>,
        mut heartbeats: mpsc::Receiver<DeviceHeartbeat>,
        events: mpsc::Sender<LinkEvent>,
    ) {
        self.log.note("link");
        let _ = events.send(LinkEvent::Connected).await;
        let snapshot = LinkEvent::Snapshot(AgentsSnapshot {
            mode: "mirror".into(),
            epoch: "e".to_owned(),
            seq: 1,
            agents: vec![],
        });
        let _ = events.send(snapshot).await;
        if let Some(links) = &*self.links.lock().unwrap() {
            let _ = links.send(events.clone());
        }
        while let Some(heartbeat) = heartbeats.recv().await {
            self.log.note(format!("heartbeat {}", heartbeat.tick));
        }
    }
}

#[derive(Clone, Default)]
struct FakeKeeper(Log, Arc<Mutex<Option<KeptSession>>>);

impl Keeper for FakeKeeper {
    fn keep(&self, session: &KeptSession) {
        *self.1.lock().unwrap() = Some(session.clone());
        self.0.note(format!("keep {}", session.refresh.expose()));
    }

    fn forget(&self) {
        *self.1.lock().unwrap() = None;
        self.0.note("forget");
    }

    fn recall(&self) -> Option<KeptSession> {
        self.1.lock().unwrap().clone()
    }
}

fn tokens(generation: u32) -> LoginResponse {
    let hour_from_now = crate::shell::now().ms + 3_600_000;
    LoginResponse {
        tokens: Tokens {
            sip: format!("{ACCESS}-{generation}"),
            refresh: format!("{REFRESH}-{generation}"),
        },
        expires_at: hour_from_now,
        user: User {
            username: "1001".to_owned(),
            extension: Some("1001".to_owned()),
            role: Role::Agent,
            pjsip: Some(Pjsip {
                server: "127.0.0.1:5060".to_owned(),
                transport: "udp".to_owned(),
                username: "1001".to_owned(),
                password: SIP_PASSWORD.to_owned(),
                authorities: None,
            }),
        },
    }
}

fn registered() -> PhoneEvent {
    PhoneEvent::Registered {
        contact: CONTACT.to_owned(),
        expires: Duration::from_secs(300),
        registrar: "127.0.0.1:5060".to_owned(),
    }
}

fn refused() -> PhoneEvent {
    PhoneEvent::RegistrationFailed {
        code: FailureCode::ContactMissing,
        message: "It says 200 and keeps nothing.".to_owned(),
        next: "Ask.".to_owned(),
        retry_in: Some(Duration::from_secs(5)),
    }
}

fn failure(kind: FailureKind, code: &str) -> Failure {
    Failure {
        error: problem::new(code, "why", "next"),
        kind,
    }
}

struct Bench {
    agent: AgentHandle,
    log: Log,
    kept: Log,
    phone: mpsc::Sender<PhoneEvent>,
}

fn bench(server: FakeServer, phone_registers: bool) -> Bench {
    bench_with(server, phone_registers, FakeKeeper::default())
}

fn bench_with(server: FakeServer, phone_registers: bool, keeper: FakeKeeper) -> Bench {
    let log = server.log.clone();
    let (phone, events) = mpsc::channel(64);
    let fake = FakePhone {
        log: log.clone(),
        events: phone.clone(),
        registers: phone_registers,
    };
    let kept = keeper.0.clone();
    let mut config = AgentConfig::new("device-0001");
    config.keeper = Arc::new(keeper);
    let agent = start_with(config, server, fake, events);
    Bench {
        agent,
        log,
        kept,
        phone,
    }
}

impl Bench {
    async fn sign_in(&self) {
        let (server, name) = ("http://127.0.0.1:1".to_owned(), "1001".to_owned());
        let result = self.agent.sign_in(server, name, PASSWORD.to_owned()).await;
        result.unwrap();
    }

    async fn until(&self, fits: impl Fn(&AgentState) -> bool) -> AgentState {
        let mut state = self.agent.state();
        let reached = state.wait_for(|state| fits(state)).await.unwrap();
        reached.clone()
    }

    /// Lets everything that can happen now happen.
    async fn settle(&self) {
        sleep(Duration::from_millis(1)).await;
    }
}

#[tokio::test(start_paused = true)]
async fn a_question_about_a_state_is_asked_in_the_sessions_name_and_by_nobody_else() {
    let bench = bench(FakeServer::default(), true);
    let question = Question {
        extension: "1002".to_owned(),
        at: Some(7),
    };
    let error = bench.agent.explain(question.clone()).await.unwrap_err();
    assert_eq!(error.code, "not_signed_in");
    bench.sign_in().await;
    bench.settle().await;
    bench.log.take();
    let error = bench.agent.prove("1002".to_owned()).await.unwrap_err();
    assert_eq!(
        error.code, "not_proved",
        "nothing is said of an agent that nobody proved"
    );
    assert_eq!(bench.log.take(), ["available the-access-token-1 1002"]);
    let error = bench.agent.explain(question).await.unwrap_err();
    assert_eq!(error.code, "not_allowed", "the server's own word");
    let asked = ["explain the-access-token-1 1002 Some(7)"];
    assert_eq!(bench.log.take(), asked);
}

#[tokio::test(start_paused = true)]
async fn a_pause_is_asked_in_the_sessions_name_and_by_nobody_else() {
    let bench = bench(FakeServer::default(), true);
    let pause = Pause {
        extension: "1001".to_owned(),
        reason: Some("lunch".to_owned()),
    };
    let error = bench.agent.pause(pause.clone()).await.unwrap_err();
    assert_eq!(error.code, "not_signed_in");
    bench.sign_in().await;
    bench.settle().await;
    bench.log.take();
    bench.agent.pause(pause).await.unwrap();
    let asked = ["pause the-access-token-1 1001 for lunch"];
    assert_eq!(bench.log.take(), asked);
}

#[tokio::test(start_paused = true)]
async fn a_day_in_order_from_sign_in_to_sign_out() {
    let bench = bench(FakeServer::default(), true);
    bench.sign_in().await;
    bench.settle().await;
    assert_eq!(
        bench.log.take(),
        [
            "login 1001",
            "register 1001",
            "link",
            "agent-online the-access-token-1 true"
        ]
    );
    let vitals = Vitals {
        tick: 9,
        ..Vitals::default()
    };
    bench.phone.try_send(PhoneEvent::Vitals(vitals)).unwrap();
    bench.settle().await;
    assert_eq!(bench.log.take(), ["heartbeat 9"]);

    let out = bench.agent.sign_out(When::AfterCalls).await.unwrap();
    assert!(out.pending.is_empty());
    assert_eq!(bench.log.take(), ["unregister", "agent-logout"]);
}

#[tokio::test(start_paused = true)]
async fn a_wrong_password_reaches_the_person_and_nothing_else_happens() {
    let bench = bench(FakeServer::default(), true);
    let (server, name) = ("http://127.0.0.1:1".to_owned(), "1001".to_owned());
    let result = bench.agent.sign_in(server, name, "no".to_owned()).await;
    assert_eq!(result.unwrap_err().code, "wrong_password");
    bench.settle().await;
    assert_eq!(bench.log.take(), ["login 1001"]);
    assert_eq!(bench.kept.take(), Vec::<String>::new());
}

#[tokio::test(start_paused = true)]
async fn a_registrar_without_our_contact_is_said_and_never_told_to_the_server_as_online() {
    let bench = bench(FakeServer::default(), false);
    bench.sign_in().await;
    let state = bench.agent.state().borrow().clone();
    let PhoneState::Failed { error } = state.phone else {
        panic!("{:?}", state.phone);
    };
    assert_eq!(error.code, "contact_missing");
    bench.settle().await;
    assert_eq!(bench.log.take(), ["login 1001", "register 1001", "link"]);
}

#[tokio::test(start_paused = true)]
async fn a_server_that_comes_back_is_told_by_itself() {
    let server = FakeServer::default();
    let away = || failure(FailureKind::Retry, "server_away");
    server.online.lock().unwrap().extend([away(), away()]);
    let bench = bench(server, true);
    let begun = Instant::now();
    bench.sign_in().await;
    let state = bench.until(|state| state.claim == Claim::Told).await;
    assert_eq!(state.stage, Stage::SignedIn);
    // After one second, and then two.
    assert!(begun.elapsed() <= Duration::from_millis(3_100));
}

#[tokio::test(start_paused = true)]
async fn an_expired_token_is_renewed_and_the_renewed_one_used_and_kept() {
    let server = FakeServer::default();
    let no = failure(FailureKind::Unauthorised, "invalid_token");
    server.online.lock().unwrap().push_back(no);
    let bench = bench(server, true);
    bench.sign_in().await;
    bench.until(|state| state.claim == Claim::Told).await;
    let seen = bench.log.take();
    assert!(seen.contains(&"refresh".to_owned()), "{seen:?}");
    assert_eq!(
        seen.last().map(String::as_str),
        Some("agent-online the-access-token-2 true")
    );
}

/// The keys that requests to `path` carried, in order.
fn keys_of(keys: &Keys, path: &str) -> Vec<Uuid> {
    let keys = keys.lock().unwrap();
    let of_path = keys.iter().filter(|(of, _)| *of == path);
    of_path.map(|(_, key)| *key).collect()
}

#[tokio::test(start_paused = true)]
async fn the_attempts_at_one_claim_carry_one_key_and_the_next_claim_another() {
    let server = FakeServer::default();
    let keys = server.keys.clone();
    let away = || failure(FailureKind::Retry, "server_away");
    let stale = failure(FailureKind::Unauthorised, "invalid_token");
    server
        .online
        .lock()
        .unwrap()
        .extend([away(), away(), stale]);
    let bench = bench(server, true);
    bench.sign_in().await;
    bench.until(|state| state.claim == Claim::Told).await;
    let attempts = keys_of(&keys, "online");
    assert_eq!(attempts, [attempts[0]; 4]);

    let moved = PhoneEvent::Registered {
        contact: format!("{CONTACT}1"),
        expires: Duration::from_secs(300),
        registrar: "127.0.0.1:5060".to_owned(),
    };
    bench.phone.try_send(moved).unwrap();
    bench.settle().await;
    let attempts = keys_of(&keys, "online");
    assert_eq!(attempts.len(), 5);
    assert_ne!(attempts[4], attempts[0]);
}

#[tokio::test(start_paused = true)]
async fn a_refresh_whose_answer_was_lost_is_asked_again_under_its_key_and_the_next_is_not() {
    let server = FakeServer::default();
    let keys = server.keys.clone();
    let away = failure(FailureKind::Retry, "server_away");
    server.refresh.lock().unwrap().push_back(away);
    let bench = bench(server, true);
    bench.sign_in().await;
    // The tokens live for an hour each.
    sleep(Duration::from_secs(2 * 3_600)).await;
    let refreshes = keys_of(&keys, "refresh");
    assert_eq!(refreshes.len(), 3);
    assert_eq!(refreshes[0], refreshes[1]);
    assert_ne!(refreshes[1], refreshes[2]);
}

#[tokio::test(start_paused = true)]
async fn a_logout_that_needs_a_new_token_is_one_intent_under_one_key() {
    let server = FakeServer::default();
    let keys = server.keys.clone();
    let stale = failure(FailureKind::Unauthorised, "invalid_token");
    server.logout.lock().unwrap().push_back(stale);
    let bench = bench(server, true);
    bench.sign_in().await;
    let out = bench.agent.sign_out(When::AfterCalls).await.unwrap();
    assert!(out.pending.is_empty());
    let logouts = keys_of(&keys, "logout");
    assert_eq!(logouts, [logouts[0]; 2]);
    assert!(!keys_of(&keys, "online").contains(&logouts[0]));
}

#[tokio::test(start_paused = true)]
async fn a_login_that_is_cancelled_while_it_is_checked_leaves_no_session_behind() {
    let server = FakeServer {
        login_takes: Duration::from_secs(5),
        ..FakeServer::default()
    };
    let bench = bench(server, true);
    let cancel = async {
        sleep(Duration::from_secs(1)).await;
        bench.agent.cancel_sign_in().await.unwrap();
    };
    let (server, name) = ("http://127.0.0.1:1".to_owned(), "1001".to_owned());
    let (result, ()) = tokio::join!(
        bench.agent.sign_in(server, name, PASSWORD.to_owned()),
        cancel
    );
    assert_eq!(result.unwrap_err().code, "cancelled");
    sleep(Duration::from_secs(10)).await;
    assert_eq!(bench.log.take(), ["login 1001", "agent-logout"]);
}

#[tokio::test(start_paused = true)]
async fn a_server_that_hangs_keeps_the_end_of_the_program_for_two_and_a_half_seconds_at_most() {
    let server = FakeServer {
        logout_takes: Duration::from_secs(3_600),
        ..FakeServer::default()
    };
    let bench = bench(server, true);
    bench.sign_in().await;
    let begun = Instant::now();
    let out = bench.agent.sign_out(When::Now).await.unwrap();
    assert_eq!(out.pending, ["server"]);
    assert!(begun.elapsed() <= Duration::from_millis(2_510));
}

#[tokio::test(start_paused = true)]
async fn a_session_that_the_server_ends_signs_the_person_out_with_its_reason() {
    let server = FakeServer::default();
    let (links, mut opened) = mpsc::unbounded_channel();
    *server.links.lock().unwrap() = Some(links);
    let bench = bench(server, true);
    bench.sign_in().await;
    let link = opened.recv().await.unwrap();
    let ended = LinkEvent::SessionEnded {
        reason: "forced".to_owned(),
        message: "A supervisor signed you out.".to_owned(),
    };
    link.send(ended).await.unwrap();
    let state = bench
        .until(|state| matches!(state.stage, Stage::SignedOut { error: Some(_) }))
        .await;
    let Stage::SignedOut { error: Some(error) } = state.stage else {
        panic!("{:?}", state.stage);
    };
    assert_eq!(error.message, "A supervisor signed you out.");
    assert!(bench.log.take().contains(&"unregister".to_owned()));
}

#[tokio::test(start_paused = true)]
async fn no_state_shows_a_secret() {
    let bench = bench(FakeServer::default(), true);
    bench.sign_in().await;
    let shown = format!("{:?} {:?}", *bench.agent.state().borrow(), bench.agent);
    for secret in [PASSWORD, SIP_PASSWORD, ACCESS, REFRESH] {
        assert!(!shown.contains(secret), "{secret}");
    }
    assert_eq!(
        format!("{:?}", Secret::new(ACCESS.to_owned())),
        "Secret(..)"
    );
}

fn kept_on(device: &str) -> FakeKeeper {
    let keeper = FakeKeeper::default();
    *keeper.1.lock().unwrap() = Some(KeptSession {
        server: "http://127.0.0.1:1".to_owned(),
        username: "1001".to_owned(),
        device_id: device.to_owned(),
        refresh: Secret::new(format!("{REFRESH}-6")),
    });
    keeper
}

/// On the real clock: the keeper's thread answers when it does.
#[tokio::test]
async fn a_kept_session_is_resumed_without_a_password_and_kept_anew() {
    let keeper = kept_on("device-0001");
    let bench = bench_with(FakeServer::default(), true, keeper.clone());
    let kept = bench.agent.kept().await.unwrap();
    assert_eq!(kept.username, "1001");
    bench.agent.resume(kept).await.unwrap();
    let state = bench.until(|state| state.claim == Claim::Told).await;
    assert_eq!(state.stage, Stage::SignedIn);
    let seen = bench.log.take();
    assert_eq!(
        seen,
        [
            "refresh",
            "register 1001",
            "link",
            "agent-online the-access-token-7 true"
        ]
    );
    bench.agent.kept_is_settled().await;
    let refresh = keeper.recall().unwrap().refresh;
    assert_eq!(refresh.expose(), format!("{REFRESH}-7"));

    bench.agent.sign_out(When::Now).await.unwrap();
    bench.agent.kept_is_settled().await;
    assert_eq!(keeper.recall(), None, "signed out is signed out");
}

#[tokio::test]
async fn a_kept_session_that_is_refused_is_removed_and_the_login_says_why() {
    let keeper = kept_on("device-0001");
    let server = FakeServer::default();
    let no = failure(FailureKind::Unauthorised, "invalid_token");
    server.refresh.lock().unwrap().push_back(no);
    let bench = bench_with(server, true, keeper.clone());
    let kept = bench.agent.kept().await.unwrap();
    let error = bench.agent.resume(kept).await.unwrap_err();
    assert_eq!(error.code, "session_expired");
    bench.agent.kept_is_settled().await;
    assert_eq!(keeper.recall(), None);
    assert_eq!(bench.log.take(), ["refresh"]);
}

#[tokio::test]
async fn a_kept_session_of_another_device_is_none_of_ours() {
    let keeper = kept_on("device-0002");
    let bench = bench_with(FakeServer::default(), true, keeper.clone());
    assert_eq!(bench.agent.kept().await, None);
    bench.agent.kept_is_settled().await;
    assert_eq!(keeper.recall(), None);
}

#[tokio::test(start_paused = true)]
async fn a_day_that_is_behind_lets_the_link_wait_instead_of_piling_up() {
    let server = FakeServer::default();
    let (links, mut opened) = mpsc::unbounded_channel();
    *server.links.lock().unwrap() = Some(links);
    let bench = bench(server, true);
    bench.sign_in().await;
    let link = opened.recv().await.unwrap();
    // Without a turn of its own the day takes nothing in; what fits nowhere is refused.
    let taken = (0..10_000)
        .take_while(|_| link.try_send(LinkEvent::Gap).is_ok())
        .count();
    assert!(taken < 10, "{taken}");
}

#[test]
fn the_keeper_gets_the_session_and_is_told_to_forget_them_in_that_order() {
    let runtime = tokio::runtime::Builder::new_current_thread()
        .enable_time()
        .start_paused(true)
        .build()
        .unwrap();
    let kept = runtime.block_on(async {
        let bench = bench(FakeServer::default(), true);
        bench.sign_in().await;
        bench.agent.sign_out(When::AfterCalls).await.unwrap();
        bench.kept.clone()
    });
    // The day is over with its runtime; the keeper's thread ends when it has heard the last word.
    drop(runtime);
    let mut heard = Vec::new();
    while heard.len() < 2 {
        heard.extend(kept.take());
        std::thread::yield_now();
    }
    assert_eq!(heard, ["keep the-refresh-token-1", "forget"]);
}
