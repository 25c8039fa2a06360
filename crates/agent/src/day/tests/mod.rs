//! The day on virtual time: what was asked, answered and heard goes in, what follows is looked at.

mod calls;
mod degrading;
mod lease_and_token;
mod leaving;
mod signing_in;
mod sound;

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

    /// The realtime link stands and has shown the board.
    fn linked(&mut self) -> &mut Self {
        self.link(LinkEvent::Connected);
        self.link(LinkEvent::Snapshot(snapshot()))
    }

    fn signed_in() -> Self {
        let mut bench = Self::new();
        bench
            .begin()
            .password_right()
            .linked()
            .phone(registered(CONTACT));
        let claim = bench.claim();
        bench.hear(Input::Claimed {
            claim,
            result: Ok(()),
        });
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
        transport: extension.map(|_| "udp".to_owned()),
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
        sip_loop_late: Duration::from_millis(1),
        audio_loop_age: Duration::from_millis(9),
        microphone_ok: true,
        speaker_ok: true,
        registered: true,
        calls: 0,
        tasks: 1,
        refused: rollcall_phone::Refused::default(),
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
        mode: "mirror".into(),
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
            pause: None,
            sources: Default::default(),
            devices: vec![],
        }],
    }
}

fn codes(bench: &Bench) -> Vec<String> {
    let notices = bench.day.state().notices;
    notices.into_iter().map(|n| n.error.code).collect()
}
