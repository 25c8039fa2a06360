//! The day on virtual time: what was asked, answered and heard goes in, what follows is looked at.

use rollcall_phone::{CallEnd, CallRef, Codec, EndKind, FailureCode};
use rollcall_wire::{
    board::{Agent, BoardStatus, ContactStatus},
    ui::{CallState, Direction},
};

use super::*;
use crate::state::Claim;

const SIGN_IN: CommandId = 1;
const CONTACT: &str = "sip:1001-aaaaaaaa-bbbbbbbb@127.0.0.1:40000";

struct Bench {
    day: Day,
    start: Instant,
    elapsed: Duration,
    seen: Vec<Effect>,
    commands: CommandId,
}

impl Bench {
    fn new() -> Self {
        let start = Instant::now();
        let now = Now { at: start, ms: 0 };
        let day = Day::new("device-0001".to_owned(), Patience::default(), now);
        Self {
            day,
            start,
            elapsed: Duration::ZERO,
            seen: Vec::new(),
            commands: SIGN_IN,
        }
    }

    fn now(&self) -> Now {
        Now {
            at: self.start + self.elapsed,
            ms: u64::try_from(self.elapsed.as_millis()).unwrap(),
        }
    }

    fn hear(&mut self, input: Input) -> &mut Self {
        self.day.handle(self.now(), input);
        self.collect()
    }

    fn collect(&mut self) -> &mut Self {
        self.seen
            .extend(std::iter::from_fn(|| self.day.poll_effect()));
        self
    }

    fn phone(&mut self, event: PhoneEvent) -> &mut Self {
        self.hear(Input::Phone(event))
    }

    fn link(&mut self, event: LinkEvent) -> &mut Self {
        self.hear(Input::Link { session: 1, event })
    }

    fn ask(&mut self, command: Command) -> CommandId {
        self.commands += 1;
        let id = self.commands;
        self.hear(Input::Command(id, command));
        id
    }

    /// Lets time pass, waking the day whenever it wants to be.
    fn pass(&mut self, time: Duration) -> &mut Self {
        let end = self.elapsed + time;
        while let Some(at) = self.day.poll_timeout().filter(|at| *at <= self.start + end) {
            self.elapsed = self.elapsed.max(at - self.start);
            self.day.handle_timeout(self.now());
            self.collect();
        }
        self.elapsed = end;
        self
    }

    /// What has been asked since the last look, in order, by name.
    fn effects(&mut self) -> Vec<String> {
        self.seen.drain(..).map(|effect| name(&effect)).collect()
    }

    fn answer_to(&mut self, id: CommandId) -> Option<Answer> {
        let at = self
            .seen
            .iter()
            .position(|e| matches!(e, Effect::Answer { command, .. } if *command == id))?;
        match self.seen.remove(at) {
            Effect::Answer { answer, .. } => Some(answer),
            _ => None,
        }
    }

    fn claim(&self) -> u64 {
        let number = |e: &Effect| match e {
            Effect::AgentOnline { claim, .. } => Some(*claim),
            _ => None,
        };
        self.seen
            .iter()
            .rev()
            .find_map(number)
            .expect("agent-online was asked")
    }

    fn begin(&mut self) -> &mut Self {
        self.hear(Input::Command(
            SIGN_IN,
            Command::SignIn {
                server: "http://127.0.0.1:1".to_owned(),
                username: "1001".to_owned(),
            },
        ))
    }

    fn password_right(&mut self) -> &mut Self {
        self.hear(Input::LoggedIn {
            session: 1,
            result: Ok(account(Some("1001"), Role::Agent)),
        })
    }

    fn signed_in() -> Self {
        let mut bench = Self::new();
        bench.begin().password_right().phone(registered(CONTACT));
        let claim = bench.claim();
        bench.hear(Input::Claimed {
            claim,
            result: Ok(()),
        });
        bench.link(LinkEvent::Connected);
        bench.link(LinkEvent::Snapshot(snapshot()));
        bench.seen.clear();
        bench
    }

    fn talking() -> (Self, CallRef) {
        let mut bench = Self::signed_in();
        bench.ask(Command::Dial {
            target: "600".to_owned(),
        });
        let call = bench
            .seen
            .iter()
            .find_map(|effect| match effect {
                Effect::Phone(PhoneCommand::Dial { call, .. }) => Some(*call),
                _ => None,
            })
            .unwrap();
        let codec = Codec::DEFAULT[0];
        bench.phone(PhoneEvent::Answered { call, codec });
        bench.seen.clear();
        (bench, call)
    }
}

fn name(effect: &Effect) -> String {
    match effect {
        Effect::Phone(command) => {
            let debug = format!("{command:?}");
            let end = debug.find([' ', '(', '{']).unwrap_or(debug.len());
            format!("Phone::{}", &debug[..end])
        }
        Effect::Answer { answer, .. } => match answer {
            Ok(_) => "Answer(ok)".to_owned(),
            Err(error) => format!("Answer({})", error.code),
        },
        other => {
            let debug = format!("{other:?}");
            let end = debug.find([' ', '(', '{']).unwrap_or(debug.len());
            debug[..end].to_owned()
        }
    }
}

fn account(extension: Option<&str>, role: Role) -> Account {
    Account {
        username: "1001".to_owned(),
        extension: extension.map(str::to_owned),
        role,
        has_phone: extension.is_some(),
        expires_at: 3_600_000,
    }
}

fn registered(contact: &str) -> PhoneEvent {
    PhoneEvent::Registered {
        contact: contact.to_owned(),
        expires: Duration::from_secs(300),
        registrar: "127.0.0.1:5060".to_owned(),
    }
}

fn registration_failed(code: FailureCode) -> PhoneEvent {
    PhoneEvent::RegistrationFailed {
        code,
        message: "what".to_owned(),
        next: "next".to_owned(),
        retry_in: Some(Duration::from_secs(1)),
    }
}

fn failure(kind: FailureKind, code: &str) -> Failure {
    Failure {
        error: problem::new(code, "why", "next"),
        kind,
    }
}

fn vitals(tick: u64) -> PhoneEvent {
    PhoneEvent::Vitals(Vitals {
        tick,
        sip_loop_ok: true,
        audio_loop_ok: true,
        microphone_ok: true,
        speaker_ok: true,
        registered: true,
        calls: 0,
    })
}

fn ended(call: CallRef) -> PhoneEvent {
    PhoneEvent::Ended {
        call,
        end: CallEnd {
            kind: EndKind::Remote,
            sip_code: None,
            message: "They hung up.".to_owned(),
        },
    }
}

fn snapshot() -> AgentsSnapshot {
    AgentsSnapshot {
        epoch: "e".to_owned(),
        seq: 1,
        agents: vec![Agent {
            extension: "1001".to_owned(),
            status: BoardStatus::Available,
            contact_status: ContactStatus::Reachable,
            online: true,
            sip_registered: true,
            reasons: vec![],
            since: 5,
            sources: Default::default(),
            devices: vec![],
        }],
    }
}

fn codes(bench: &Bench) -> Vec<String> {
    let notices = bench.day.state().notices;
    notices.into_iter().map(|n| n.error.code).collect()
}

// Signing in

#[test]
fn a_sign_in_checks_the_password_then_registers_then_tells_the_server_then_listens() {
    let mut bench = Bench::new();
    assert_eq!(bench.begin().effects(), ["Login"]);
    assert_eq!(
        bench.day.state().stage,
        Stage::SigningIn {
            step: SignInStep::CheckingPassword
        }
    );
    assert_eq!(bench.password_right().effects(), ["Register"]);
    assert_eq!(
        bench.day.state().stage,
        Stage::SigningIn {
            step: SignInStep::RegisteringPhone
        }
    );
    bench.phone(PhoneEvent::Registering);
    bench.phone(registered(CONTACT));
    assert_eq!(
        bench.day.state().stage,
        Stage::SigningIn {
            step: SignInStep::TellingServer
        }
    );
    let asked = bench.seen.pop();
    let Some(Effect::AgentOnline {
        claim,
        extension,
        contact_uri,
        ..
    }) = asked
    else {
        panic!("{asked:?}");
    };
    assert_eq!(
        (extension.as_str(), contact_uri.as_str()),
        ("1001", CONTACT)
    );
    bench.hear(Input::Claimed {
        claim,
        result: Ok(()),
    });
    assert_eq!(bench.effects(), ["Answer(ok)", "OpenLink"]);
    let state = bench.day.state();
    assert_eq!((state.stage, state.claim), (Stage::SignedIn, Claim::Told));
}

#[test]
fn a_wrong_password_ends_the_sign_in_with_the_servers_words() {
    let mut bench = Bench::new();
    bench.begin();
    let result = Err(failure(FailureKind::Refused, "wrong_password"));
    bench.hear(Input::LoggedIn { session: 1, result });
    assert_eq!(
        bench.effects(),
        ["Login", "Forget", "Answer(wrong_password)"]
    );
    let Stage::SignedOut { error: Some(error) } = bench.day.state().stage else {
        panic!("{:?}", bench.day.state().stage);
    };
    assert_eq!(error.code, "wrong_password");
}

#[test]
fn an_address_that_is_none_is_refused_before_anything_is_sent() {
    for server in ["", "127.0.0.1:8080", "ftp://x", "http://"] {
        let mut bench = Bench::new();
        let id = bench.ask(Command::SignIn {
            server: server.to_owned(),
            username: "1001".to_owned(),
        });
        let error = bench.answer_to(id).unwrap().unwrap_err();
        assert_eq!(error.field.as_deref(), Some("server"), "{server:?}");
        assert!(bench.effects().is_empty());
    }
}

#[test]
fn a_registrar_that_is_away_leaves_the_person_signed_in_with_the_reason_and_tells_the_server_nothing()
 {
    let mut bench = Bench::new();
    bench.begin().password_right();
    bench.phone(registration_failed(FailureCode::RegistrarUnreachable));
    assert_eq!(
        bench.effects(),
        ["Login", "Register", "Answer(ok)", "OpenLink"]
    );
    let state = bench.day.state();
    assert_eq!((state.stage, state.claim), (Stage::SignedIn, Claim::None));
    assert_eq!(codes(&bench), ["registrar_unreachable"]);
}

#[test]
fn a_registration_that_comes_late_is_claimed_then() {
    let mut bench = Bench::new();
    bench.begin().password_right();
    bench.pass(Duration::from_secs(8));
    assert_eq!(bench.day.state().stage, Stage::SignedIn);
    bench.effects();
    bench.phone(registered(CONTACT));
    assert_eq!(bench.effects(), ["AgentOnline"]);
    assert_eq!(bench.day.state().stage, Stage::SignedIn);
}

#[test]
fn people_without_an_extension_get_the_board_and_nothing_of_a_phone() {
    let mut bench = Bench::new();
    bench.begin();
    bench.hear(Input::LoggedIn {
        session: 1,
        result: Ok(account(None, Role::Supervisor)),
    });
    assert_eq!(bench.effects(), ["Login", "Answer(ok)", "OpenLink"]);
    bench.link(LinkEvent::Connected).phone(vitals(1));
    assert!(bench.effects().is_empty(), "no heartbeat without a phone");
    let id = bench.ask(Command::Dial {
        target: "600".to_owned(),
    });
    assert_eq!(
        bench.answer_to(id).unwrap().unwrap_err().code,
        "not_registered"
    );
    bench.ask(Command::SignOut(When::AfterCalls));
    assert_eq!(bench.effects(), ["AgentLogout"]);
}

#[test]
fn a_sign_in_that_was_cancelled_ends_the_session_the_server_may_have_opened() {
    let mut bench = Bench::new();
    bench.begin();
    bench.ask(Command::CancelSignIn);
    assert_eq!(
        bench.effects(),
        ["Login", "Answer(cancelled)", "Answer(ok)"]
    );
    bench.password_right();
    assert_eq!(bench.effects(), ["AgentLogout", "Forget"]);
    assert_eq!(bench.day.state().stage, Stage::SignedOut { error: None });
}

#[test]
fn a_sign_in_cancelled_while_the_phone_registers_leaves_registrar_and_server() {
    let mut bench = Bench::new();
    bench.begin().password_right();
    bench.seen.clear();
    bench.ask(Command::CancelSignIn);
    assert_eq!(
        bench.effects(),
        [
            "Answer(cancelled)",
            "Answer(ok)",
            "Phone::Unregister",
            "AgentLogout"
        ]
    );
}

#[test]
fn a_second_sign_in_is_refused() {
    let mut bench = Bench::signed_in();
    let id = bench.ask(Command::SignIn {
        server: "http://x".to_owned(),
        username: "1002".to_owned(),
    });
    assert_eq!(
        bench.answer_to(id).unwrap().unwrap_err().code,
        "already_signed_in"
    );
}

// The lease

#[test]
fn each_vitals_event_becomes_one_heartbeat_and_time_alone_becomes_none() {
    let mut bench = Bench::signed_in();
    bench.pass(Duration::from_secs(60));
    assert!(bench.effects().is_empty());
    bench.phone(vitals(7));
    let Some(Effect::Heartbeat(heartbeat)) = bench.seen.pop() else {
        panic!("no heartbeat");
    };
    assert_eq!(
        (heartbeat.device_id.as_str(), heartbeat.tick),
        ("device-0001", 7)
    );
    assert!(bench.effects().is_empty());
}

#[test]
fn a_loop_that_stands_still_is_told_as_such() {
    let stalled = Vitals {
        sip_loop_ok: true,
        audio_loop_ok: false,
        microphone_ok: false,
        speaker_ok: true,
        ..Vitals::default()
    };
    let told = heartbeat("device-0001".to_owned(), &stalled);
    assert_eq!(told.sip_loop_ms, 0);
    assert_eq!(told.audio_loop_ms, Some(STALLED_MS));
    assert!(!told.audio_ok);
}

#[test]
fn vitals_from_just_before_the_link_came_up_are_sent_once_and_old_ones_never() {
    let mut bench = Bench::signed_in();
    let lost = || LinkEvent::Lost {
        message: "reset".to_owned(),
    };
    bench.link(lost()).phone(vitals(7));
    assert!(bench.effects().is_empty());
    bench.link(LinkEvent::Connected);
    assert!(bench.effects().contains(&"Heartbeat".to_owned()));

    bench.link(lost()).phone(vitals(8));
    bench
        .pass(Duration::from_secs(6))
        .link(LinkEvent::Connected);
    assert!(!bench.effects().contains(&"Heartbeat".to_owned()));
}

// Degradations

#[test]
fn a_failed_agent_online_leaves_a_working_phone_and_is_retried() {
    let mut bench = Bench::new();
    bench.begin().password_right().phone(registered(CONTACT));
    let claim = bench.claim();
    bench.hear(Input::Claimed {
        claim,
        result: Err(failure(FailureKind::Retry, "server_unreachable")),
    });
    assert_eq!(bench.day.state().stage, Stage::SignedIn);
    assert_eq!(codes(&bench), ["server_unreachable"]);
    bench.effects();

    let id = bench.ask(Command::Dial {
        target: "600".to_owned(),
    });
    assert!(bench.answer_to(id).unwrap().is_ok());
    bench.effects();

    bench.pass(Duration::from_secs(1));
    assert_eq!(bench.claim(), claim);
    bench.hear(Input::Claimed {
        claim,
        result: Ok(()),
    });
    assert_eq!(bench.day.state().claim, Claim::Told);
    assert!(codes(&bench).is_empty());
}

#[test]
fn the_retries_of_agent_online_are_bounded_and_a_reconnect_starts_over() {
    let mut bench = Bench::new();
    bench.begin().password_right().phone(registered(CONTACT));
    let mut attempts = 0;
    for _ in 0..100 {
        if !bench
            .seen
            .iter()
            .any(|e| matches!(e, Effect::AgentOnline { .. }))
        {
            break;
        }
        attempts += 1;
        let claim = bench.claim();
        bench.seen.clear();
        bench.hear(Input::Claimed {
            claim,
            result: Err(failure(FailureKind::Retry, "server_unreachable")),
        });
        bench.pass(Duration::from_secs(40));
    }
    assert_eq!(attempts, 21);
    let Claim::Failed { retrying, .. } = bench.day.state().claim else {
        panic!("{:?}", bench.day.state().claim);
    };
    assert!(!retrying);
    bench.link(LinkEvent::Connected);
    assert_eq!(bench.effects(), ["AgentOnline"]);
}

#[test]
fn a_refused_agent_online_is_not_repeated() {
    let mut bench = Bench::new();
    bench.begin().password_right().phone(registered(CONTACT));
    let claim = bench.claim();
    bench.effects();
    bench.hear(Input::Claimed {
        claim,
        result: Err(failure(FailureKind::Refused, "forbidden")),
    });
    bench.pass(Duration::from_secs(600));
    assert_eq!(bench.effects(), ["Answer(ok)", "OpenLink"]);
    assert_eq!(codes(&bench), ["forbidden"]);
}

#[test]
fn a_lost_server_link_ends_no_call_and_makes_everybody_unknown() {
    let (mut bench, _) = Bench::talking();
    bench.link(LinkEvent::Lost {
        message: "reset".to_owned(),
    });
    assert!(bench.effects().is_empty());
    let state = bench.day.state();
    assert_eq!(state.calls[0].state, CallState::Active);
    assert_eq!(state.own.unwrap().status, BoardStatus::Unknown);
    assert_eq!(codes(&bench), ["server_lost"]);
}

#[test]
fn a_link_that_comes_back_claims_again() {
    let mut bench = Bench::new();
    bench.begin().password_right().phone(registered(CONTACT));
    let first = bench.claim();
    bench.hear(Input::Claimed {
        claim: first,
        result: Ok(()),
    });
    bench.link(LinkEvent::Connected);
    bench.effects();
    bench.link(LinkEvent::Lost {
        message: "reset".to_owned(),
    });
    bench.link(LinkEvent::Connected);
    assert_ne!(bench.claim(), first);
    assert_eq!(bench.effects(), ["AgentOnline"]);
}

#[test]
fn the_first_connect_claims_nothing_twice() {
    let mut bench = Bench::new();
    bench.begin().password_right().phone(registered(CONTACT));
    let claim = bench.claim();
    bench.hear(Input::Claimed {
        claim,
        result: Ok(()),
    });
    bench.effects();
    bench.link(LinkEvent::Connected);
    assert!(bench.effects().is_empty());
}

#[test]
fn a_lost_registration_is_said_and_the_next_one_with_another_contact_is_claimed() {
    let mut bench = Bench::signed_in();
    bench.phone(registration_failed(FailureCode::RegistrarUnreachable));
    assert_eq!(codes(&bench), ["registrar_unreachable"]);
    assert_eq!(bench.day.state().contact, None);
    bench.phone(registered("sip:1001-aaaaaaaa-bbbbbbbb@192.0.2.9:40000"));
    assert_eq!(bench.effects(), ["AgentOnline"]);
    assert!(codes(&bench).is_empty());
}

#[test]
fn a_refresh_of_the_registration_claims_nothing() {
    let mut bench = Bench::signed_in();
    bench.phone(registered(CONTACT));
    assert!(bench.effects().is_empty());
}

#[test]
fn a_server_that_asks_for_it_gets_a_new_registration() {
    let mut bench = Bench::signed_in();
    bench.link(LinkEvent::Reregister);
    assert_eq!(bench.effects(), ["Register"]);
}

#[test]
fn a_board_with_a_gap_says_that_it_is_not_whole() {
    let mut bench = Bench::signed_in();
    assert!(bench.day.state().board.synced);
    bench.link(LinkEvent::Status(Box::new(AgentStatus {
        epoch: "e".to_owned(),
        seq: 3,
        agent: snapshot().agents.remove(0),
    })));
    assert!(!bench.day.state().board.synced);
}

#[test]
fn a_missing_microphone_is_said_and_calls_still_work() {
    let mut bench = Bench::signed_in();
    bench.phone(PhoneEvent::AudioReady {
        microphone: false,
        speaker: true,
    });
    assert_eq!(codes(&bench), ["no_audio_device"]);
    let id = bench.ask(Command::Dial {
        target: "600".to_owned(),
    });
    assert!(bench.answer_to(id).unwrap().is_ok());
}

#[test]
fn an_engine_that_stopped_ends_its_calls_for_the_reader_and_says_so() {
    let (mut bench, _) = Bench::talking();
    bench.phone(PhoneEvent::Stopped);
    assert_eq!(bench.day.state().calls[0].state, CallState::Ended);
    assert_eq!(codes(&bench), ["phone_stopped"]);
}

// The token

#[test]
fn the_token_is_renewed_before_it_ends() {
    let mut bench = Bench::signed_in();
    bench.pass(Duration::from_secs(2_879));
    assert!(bench.effects().is_empty());
    bench.pass(Duration::from_secs(1));
    assert_eq!(bench.effects(), ["Refresh"]);
    bench.hear(Input::Refreshed {
        session: 1,
        result: Ok(7_200_000),
    });
    bench.pass(Duration::from_secs(3_000));
    assert!(bench.effects().is_empty());
}

#[test]
fn a_refresh_that_did_not_get_through_is_tried_again_and_said() {
    let mut bench = Bench::signed_in();
    bench.pass(Duration::from_secs(2_880));
    bench.effects();
    bench.hear(Input::Refreshed {
        session: 1,
        result: Err(failure(FailureKind::Retry, "server_unreachable")),
    });
    assert_eq!(codes(&bench), ["session_not_renewed"]);
    bench.pass(Duration::from_secs(2));
    assert_eq!(bench.effects(), ["Refresh"]);
}

#[test]
fn an_unauthorised_agent_online_gets_a_new_token_and_is_asked_again() {
    let mut bench = Bench::new();
    bench.begin().password_right().phone(registered(CONTACT));
    let claim = bench.claim();
    bench.effects();
    bench.hear(Input::Claimed {
        claim,
        result: Err(failure(FailureKind::Unauthorised, "unauthorised")),
    });
    assert!(bench.effects().contains(&"Refresh".to_owned()));
    bench.hear(Input::Refreshed {
        session: 1,
        result: Ok(7_200_000),
    });
    assert_eq!(bench.effects(), ["AgentOnline"]);
}

#[test]
fn a_token_that_ends_during_a_call_ends_the_day_after_the_call() {
    let (mut bench, call) = Bench::talking();
    bench.link(LinkEvent::Unauthorised);
    assert_eq!(bench.effects(), ["Refresh"]);
    bench.hear(Input::Refreshed {
        session: 1,
        result: Err(failure(FailureKind::Unauthorised, "unauthorised")),
    });
    assert!(bench.effects().is_empty(), "the call goes on");
    assert_eq!(codes(&bench), ["session_expired"]);
    bench.phone(ended(call));
    assert_eq!(bench.effects(), ["Phone::Unregister"]);
    bench.phone(PhoneEvent::Unregistered);
    assert_eq!(bench.effects(), ["Forget"]);
    let Stage::SignedOut { error: Some(error) } = bench.day.state().stage else {
        panic!("{:?}", bench.day.state().stage);
    };
    assert_eq!(error.code, "session_expired");
}

// Signing out

#[test]
fn a_sign_out_leaves_the_registrar_then_tells_the_server_then_forgets() {
    let mut bench = Bench::signed_in();
    let id = bench.ask(Command::SignOut(When::AfterCalls));
    assert_eq!(bench.effects(), ["Phone::Unregister"]);
    assert_eq!(bench.day.state().stage, Stage::SigningOut);
    bench.phone(PhoneEvent::Unregistered);
    assert_eq!(bench.effects(), ["AgentLogout"]);
    bench.hear(Input::LoggedOut {
        session: 1,
        result: Ok(vec!["contact".to_owned()]),
    });
    let answer = bench.answer_to(id).unwrap().unwrap().unwrap();
    assert_eq!(answer.pending, ["contact"]);
    assert_eq!(bench.effects(), ["Forget"]);
    let state = bench.day.state();
    assert_eq!(state.stage, Stage::SignedOut { error: None });
    assert!(state.board.agents.is_empty());
    assert_eq!(state.user, None);
}

#[test]
fn a_registrar_that_does_not_answer_keeps_the_server_from_nothing() {
    let mut bench = Bench::signed_in();
    let id = bench.ask(Command::SignOut(When::AfterCalls));
    bench.pass(Duration::from_secs(2));
    assert_eq!(bench.effects(), ["Phone::Unregister", "AgentLogout"]);
    bench.hear(Input::LoggedOut {
        session: 1,
        result: Ok(vec![]),
    });
    let answer = bench.answer_to(id).unwrap().unwrap().unwrap();
    assert_eq!(answer.pending, ["phone"]);
}

#[test]
fn a_phone_that_never_registered_is_stopped_and_not_waited_for() {
    let mut bench = Bench::new();
    bench.begin().password_right();
    bench.phone(registration_failed(FailureCode::RegistrarUnreachable));
    bench.effects();
    let id = bench.ask(Command::SignOut(When::AfterCalls));
    assert_eq!(bench.effects(), ["Phone::Unregister", "AgentLogout"]);
    bench.hear(Input::LoggedOut {
        session: 1,
        result: Ok(vec![]),
    });
    let answer = bench.answer_to(id).unwrap().unwrap().unwrap();
    assert!(answer.pending.is_empty());
}

#[test]
fn a_server_that_does_not_answer_keeps_nobody_signed_in() {
    let mut bench = Bench::signed_in();
    let id = bench.ask(Command::SignOut(When::Now));
    bench.phone(PhoneEvent::Unregistered);
    bench.pass(Duration::from_secs(3));
    let answer = bench.answer_to(id).unwrap().unwrap().unwrap();
    assert_eq!(answer.pending, ["server"]);
    let Stage::SignedOut { error: Some(error) } = bench.day.state().stage else {
        panic!("{:?}", bench.day.state().stage);
    };
    assert_eq!(error.code, "server_pending");
}

#[test]
fn a_sign_out_during_a_call_tells_the_server_at_once_and_keeps_the_phone_until_the_end() {
    let (mut bench, call) = Bench::talking();
    let id = bench.ask(Command::SignOut(When::AfterCalls));
    assert_eq!(bench.effects(), ["AgentLogout"]);
    bench.hear(Input::LoggedOut {
        session: 1,
        result: Ok(vec!["call".to_owned()]),
    });
    assert!(bench.effects().is_empty());
    assert_eq!(bench.day.state().stage, Stage::SigningOut);

    bench.phone(PhoneEvent::Incoming {
        call: CallRef::fresh(),
        from_display: String::new(),
        from_uri: "sip:1002@x".to_owned(),
    });
    assert_eq!(bench.effects(), ["Phone::Decline"]);

    bench.phone(ended(call));
    bench.phone(PhoneEvent::Unregistered);
    let answer = bench.answer_to(id).unwrap().unwrap().unwrap();
    assert_eq!(answer.pending, ["call"]);
    assert_eq!(bench.effects(), ["Phone::Unregister", "Forget"]);
}

#[test]
fn a_program_that_ends_hangs_up_first() {
    let (mut bench, call) = Bench::talking();
    bench.ask(Command::SignOut(When::Now));
    let effects = bench.effects();
    assert!(
        effects.starts_with(&["Phone::Hangup".to_owned()]),
        "{effects:?}"
    );
    bench.phone(ended(call)).phone(PhoneEvent::Unregistered);
    bench.hear(Input::LoggedOut {
        session: 1,
        result: Ok(vec![]),
    });
    assert!(matches!(
        bench.day.state().stage,
        Stage::SignedOut { error: None }
    ));
}

#[test]
fn a_session_that_the_server_ended_is_over_and_its_reason_is_shown() {
    let mut bench = Bench::signed_in();
    bench.link(LinkEvent::SessionEnded {
        reason: "takeover".to_owned(),
        message: "In use elsewhere.".to_owned(),
    });
    assert_eq!(bench.effects(), ["Phone::Unregister"]);
    bench.phone(PhoneEvent::Unregistered);
    assert_eq!(
        bench.effects(),
        ["Forget"],
        "no logout of a session that is over"
    );
    let Stage::SignedOut { error: Some(error) } = bench.day.state().stage else {
        panic!("{:?}", bench.day.state().stage);
    };
    assert_eq!(
        (error.code.as_str(), error.message.as_str()),
        ("session_takeover", "In use elsewhere.")
    );
}

#[test]
fn what_a_former_session_still_says_changes_nothing() {
    let mut bench = Bench::signed_in();
    bench.ask(Command::SignOut(When::AfterCalls));
    bench.phone(PhoneEvent::Unregistered);
    bench.hear(Input::LoggedOut {
        session: 1,
        result: Ok(vec![]),
    });
    bench.link(LinkEvent::Connected);
    bench.link(LinkEvent::Snapshot(snapshot()));
    bench.phone(registered(CONTACT));
    let state = bench.day.state();
    assert_eq!(state.stage, Stage::SignedOut { error: None });
    assert!(state.board.agents.is_empty());
    assert_eq!(state.contact, None);
}

// Calls

#[test]
fn a_call_out_is_seen_from_dialling_to_a_few_seconds_after_its_end() {
    let (mut bench, call) = Bench::talking();
    let view = bench.day.state().calls.remove(0);
    assert_eq!(
        (view.direction, view.state, view.peer.as_str()),
        (Direction::Out, CallState::Active, "600")
    );
    assert!(view.answered_at.is_some() && view.codec.is_some());
    bench.phone(ended(call));
    let view = bench.day.state().calls.remove(0);
    assert_eq!(
        (view.state, view.ended.as_deref()),
        (CallState::Ended, Some("They hung up."))
    );
    bench.pass(Duration::from_secs(4));
    assert!(bench.day.state().calls.is_empty());
}

#[test]
fn a_call_in_shows_who_calls_and_can_be_answered_or_declined_while_it_rings() {
    let mut bench = Bench::signed_in();
    let call = CallRef::fresh();
    bench.phone(PhoneEvent::Incoming {
        call,
        from_display: "Agent 1002".to_owned(),
        from_uri: "sip:1002@127.0.0.1".to_owned(),
    });
    let view = bench.day.state().calls.remove(0);
    assert_eq!(
        (view.peer.as_str(), view.peer_name.as_deref(), view.state),
        ("1002", Some("Agent 1002"), CallState::Ringing)
    );
    let id = bench.ask(Command::Answer(view.id));
    assert!(bench.answer_to(id).unwrap().is_ok());
    assert_eq!(bench.effects(), ["Phone::Answer"]);
    let codec = Codec::DEFAULT[0];
    bench.phone(PhoneEvent::Answered { call, codec });
    let id = bench.ask(Command::Decline(view.id));
    assert_eq!(
        bench.answer_to(id).unwrap().unwrap_err().code,
        "no_such_call"
    );
}

#[test]
fn a_second_call_is_not_mixed_into_the_first() {
    let (mut bench, _) = Bench::talking();
    let id = bench.ask(Command::Dial {
        target: "1002".to_owned(),
    });
    assert_eq!(
        bench.answer_to(id).unwrap().unwrap_err().code,
        "call_in_progress"
    );
    bench.phone(PhoneEvent::Incoming {
        call: CallRef::fresh(),
        from_display: String::new(),
        from_uri: "sip:1002@x".to_owned(),
    });
    assert_eq!(bench.effects(), ["Phone::Decline"]);
    assert_eq!(bench.day.state().calls.len(), 1);
}

#[test]
fn a_mute_ends_with_its_call() {
    let (mut bench, call) = Bench::talking();
    bench.ask(Command::SetMuted(true));
    assert!(bench.day.state().muted);
    bench.effects();
    bench.phone(ended(call));
    assert!(!bench.day.state().muted);
    assert_eq!(bench.effects(), ["Phone::SetMuted"]);
}

#[test]
fn a_number_that_is_none_is_not_dialled() {
    let mut bench = Bench::signed_in();
    let id = bench.ask(Command::Dial {
        target: "6\r\n00".to_owned(),
    });
    assert_eq!(
        bench.answer_to(id).unwrap().unwrap_err().field.as_deref(),
        Some("target")
    );
    assert!(bench.effects().is_empty());
}
