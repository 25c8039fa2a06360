//! What the program prints: the differences between two states, one event a line.

use std::{collections::HashMap, io::Write};

use rollcall_agent::{AgentState, Claim, SignedOut, Stage};
use rollcall_wire::{
    board::{Agent, BoardStatus, Reason},
    explain::Available,
    http::{ErrorBody, Role},
    ui::{CallView, Notice, PhoneState, SignInStep},
};
use serde::Serialize;

/// A line. `t` (ms since the epoch) is added when it is printed.
#[derive(Debug, PartialEq, Serialize)]
#[serde(
    tag = "event",
    rename_all = "snake_case",
    rename_all_fields = "camelCase"
)]
pub(crate) enum Event {
    /// A sign-in is at this step.
    SigningIn { step: SignInStep },
    /// Somebody is signed in.
    SignedIn {
        username: String,
        extension: Option<String>,
        role: Role,
    },
    /// A REGISTER is on its way.
    Registering,
    /// The registrar holds our Contact.
    Registered { contact: String },
    /// It does not; `code`, `message`, `next`.
    RegistrationFailed(ErrorBody),
    /// The server took the claim of our Contact.
    Online,
    /// It did not; it is tried again where `retrying`.
    OnlineFailed {
        #[serde(flatten)]
        error: ErrorBody,
        retrying: bool,
    },
    /// The realtime link came up or went.
    Server { ok: bool },
    /// Our own line of the board.
    Own {
        status: BoardStatus,
        since: u64,
        reasons: Vec<Reason>,
    },
    /// A line of the board (with `--board`).
    Board(Agent),
    /// A call changed.
    Call(CallView),
    /// Whether the call may be handed on to whom `--transfer` names.
    Proof(Available),
    /// Something a person should know.
    Notice(Notice),
    /// A sign-out is under way.
    SigningOut,
    /// It is over.
    SignedOut(SignedOut),
    /// A command failed, or the session ended; `code`, `message`, `next`.
    Error(ErrorBody),
}

/// What became different.
pub(crate) fn between(before: &AgentState, after: &AgentState) -> Vec<Event> {
    let mut events = Vec::new();
    stage(before, after, &mut events);
    registration(before, after, &mut events);
    claim(before, after, &mut events);
    server(before, after, &mut events);
    for call in &after.calls {
        if !before.calls.contains(call) {
            events.push(Event::Call(call.clone()));
        }
    }
    for notice in &after.notices {
        if !before.notices.contains(notice) && !is_told_already(after, notice) {
            events.push(Event::Notice(notice.clone()));
        }
    }
    for agent in &after.board.agents {
        if !before.board.agents.contains(agent) {
            events.push(Event::Board(agent.clone()));
        }
    }
    events
}

/// The registration and the claim have lines of their own.
fn is_told_already(state: &AgentState, notice: &Notice) -> bool {
    let phone = matches!(&state.phone, PhoneState::Failed { error } if *error == notice.error);
    let claim = matches!(&state.claim, Claim::Failed { error, .. } if *error == notice.error);
    phone || claim
}

fn stage(before: &AgentState, after: &AgentState, events: &mut Vec<Event>) {
    if before.stage == after.stage {
        return;
    }
    match &after.stage {
        Stage::SigningIn { step } => events.push(Event::SigningIn { step: *step }),
        Stage::SignedIn => events.extend(after.user.clone().map(|user| Event::SignedIn {
            username: user.username,
            extension: user.extension,
            role: user.role,
        })),
        Stage::SigningOut => events.push(Event::SigningOut),
        Stage::SignedOut { .. } => {}
    }
}

fn registration(before: &AgentState, after: &AgentState, events: &mut Vec<Event>) {
    if before.phone == after.phone && before.contact == after.contact {
        return;
    }
    match &after.phone {
        PhoneState::None => {}
        PhoneState::Registering => events.push(Event::Registering),
        PhoneState::Registered => events.extend(
            after
                .contact
                .clone()
                .map(|contact| Event::Registered { contact }),
        ),
        PhoneState::Failed { error } => events.push(Event::RegistrationFailed(error.clone())),
    }
}

fn claim(before: &AgentState, after: &AgentState, events: &mut Vec<Event>) {
    if before.claim == after.claim {
        return;
    }
    match &after.claim {
        Claim::None | Claim::Telling => {}
        Claim::Told => events.push(Event::Online),
        Claim::Failed { error, retrying } => events.push(Event::OnlineFailed {
            error: error.clone(),
            retrying: *retrying,
        }),
    }
}

fn server(before: &AgentState, after: &AgentState, events: &mut Vec<Event>) {
    let ok = |state: &AgentState| state.board.sources.get("server").is_some_and(|s| s.ok);
    if ok(before) != ok(after) {
        events.push(Event::Server { ok: ok(after) });
    }
    let line = |agent: &Agent| (agent.status, agent.since, agent.reasons.clone());
    if before.own.as_ref().map(line) != after.own.as_ref().map(line)
        && let Some(own) = &after.own
    {
        events.push(Event::Own {
            status: own.status,
            since: own.since,
            reasons: own.reasons.clone(),
        });
    }
}

/// Prints events to standard output.
pub(crate) struct Printer {
    json: bool,
    board: bool,
    /// The last words about each extension: details that words leave out make no new line.
    said: HashMap<String, String>,
}

impl Printer {
    pub(crate) fn new(json: bool, board: bool) -> Self {
        Self {
            json,
            board,
            said: HashMap::new(),
        }
    }

    /// A reader that went away ends nothing here: the day goes on until it is told to stop.
    pub(crate) fn print(&mut self, event: &Event) {
        if matches!(event, Event::Board(_)) && !self.board {
            return;
        }
        let line = if self.json { json(event) } else { words(event) };
        if self.is_repetition(event, &line) {
            return;
        }
        let mut out = std::io::stdout().lock();
        let _ = writeln!(out, "{line}").and_then(|()| out.flush());
    }
}

impl Printer {
    fn is_repetition(&mut self, event: &Event, line: &str) -> bool {
        let Event::Board(agent) = event else {
            return false;
        };
        let before = self.said.insert(agent.extension.clone(), line.to_owned());
        !self.json && before.as_deref() == Some(line)
    }
}

#[derive(Serialize)]
struct Stamped<'a> {
    t: u64,
    #[serde(flatten)]
    event: &'a Event,
}

fn json(event: &Event) -> String {
    let t = crate::epoch_ms();
    serde_json::to_string(&Stamped { t, event })
        .unwrap_or_else(|error| format!(r#"{{"event":"unprintable","message":"{error}"}}"#))
}

fn words(event: &Event) -> String {
    match event {
        Event::SigningIn { step } => match step {
            SignInStep::Starting => "starting the server here ...".to_owned(),
            SignInStep::Resuming => "renewing the session ...".to_owned(),
            SignInStep::CheckingPassword => "checking the password ...".to_owned(),
            SignInStep::RegisteringPhone => "registering the phone ...".to_owned(),
            SignInStep::TellingServer => "telling the server ...".to_owned(),
        },
        Event::SignedIn {
            username,
            extension,
            ..
        } => match extension {
            Some(extension) => format!("signed in as {username}, extension {extension}"),
            None => format!("signed in as {username}, without a phone"),
        },
        Event::Registering => "phone: registering".to_owned(),
        Event::Registered { contact } => format!("phone: registered as {contact}"),
        Event::RegistrationFailed(error) => format!("phone: {}", sentence(error)),
        Event::Online => "server: told where the phone is".to_owned(),
        Event::OnlineFailed { error, .. } => format!("server: {}", sentence(error)),
        Event::Server { ok: true } => "server: connected".to_owned(),
        Event::Server { ok: false } => "server: out of sight".to_owned(),
        Event::Own {
            status, reasons, ..
        } => format!("I am {}", state(*status, reasons)),
        Event::Board(agent) => format!(
            "board: {:<8} {}",
            agent.extension,
            state(agent.status, &agent.reasons)
        ),
        Event::Call(call) => in_words(call),
        Event::Proof(Available { agent, .. }) => format!(
            "{} is {}",
            agent.extension,
            state(agent.status, &agent.reasons)
        ),
        Event::Notice(notice) => format!("note: {}", sentence(&notice.error)),
        Event::SigningOut => "signing out ...".to_owned(),
        Event::SignedOut(out) if out.pending.is_empty() => "signed out".to_owned(),
        Event::SignedOut(out) => format!("signed out; still pending: {}", out.pending.join(", ")),
        Event::Error(error) => format!("error: {}", sentence(error)),
    }
}

fn state(status: BoardStatus, reasons: &[Reason]) -> String {
    let reasons: Vec<&str> = reasons
        .iter()
        .map(|r| r.message.as_deref().unwrap_or(&r.code))
        .collect();
    if reasons.is_empty() {
        format!("{status:?}")
    } else {
        format!("{status:?} ({})", reasons.join(" "))
    }
}

fn in_words(call: &CallView) -> String {
    let way = match call.direction {
        rollcall_wire::ui::Direction::In => "from",
        rollcall_wire::ui::Direction::Out => "to",
    };
    let state = match (&call.ended, &call.codec) {
        (Some(why), _) => format!("ended: {why}"),
        (None, Some(codec)) => format!("{:?} ({codec})", call.state),
        (None, None) => format!("{:?}", call.state),
    };
    format!("call {way} {}: {state}", call.peer)
}

fn sentence(error: &ErrorBody) -> String {
    match &error.next {
        Some(next) => format!("{} {next} [{}]", error.message, error.code),
        None => format!("{} [{}]", error.message, error.code),
    }
}

#[cfg(test)]
mod tests {
    use std::sync::Arc;

    use rollcall_agent::board::BoardView;
    use rollcall_wire::ui::{CallState, Direction, SignedIn};

    use super::*;

    fn state() -> AgentState {
        AgentState {
            stage: Stage::SignedOut { error: None },
            user: None,
            phone: PhoneState::None,
            contact: None,
            claim: Claim::None,
            own: None,
            since: 0,
            calls: vec![],
            muted: false,
            speaking_muted: false,
            levels: None,
            notices: vec![],
            board: Arc::new(BoardView::default()),
        }
    }

    fn as_json(event: &Event) -> serde_json::Value {
        serde_json::from_str(&json(event)).unwrap()
    }

    #[test]
    fn a_sign_in_reads_step_by_step() {
        let before = state();
        let mut after = state();
        after.stage = Stage::SignedIn;
        after.user = Some(SignedIn {
            username: "a".to_owned(),
            extension: Some("1001".to_owned()),
            role: Role::Agent,
        });
        after.phone = PhoneState::Registered;
        after.contact = Some("sip:x@y".to_owned());
        after.claim = Claim::Told;
        let names: Vec<_> = between(&before, &after)
            .iter()
            .map(|e| as_json(e)["event"].as_str().unwrap().to_owned())
            .collect();
        assert_eq!(names, ["signed_in", "registered", "online"]);
        assert!(between(&after, &after).is_empty());
    }

    #[test]
    fn a_failure_carries_its_code_its_words_and_the_next_step() {
        let error = ErrorBody {
            code: "registrar_unreachable".to_owned(),
            message: "Nobody answers.".to_owned(),
            field: None,
            next: Some("Check it.".to_owned()),
        };
        let mut after = state();
        after.phone = PhoneState::Failed {
            error: error.clone(),
        };
        let events = between(&state(), &after);
        let line = as_json(&events[0]);
        assert_eq!(line["event"], "registration_failed");
        assert_eq!(line["code"], "registrar_unreachable");
        assert_eq!(line["next"], "Check it.");
        assert!(line["t"].as_u64().unwrap() > 0);
        assert_eq!(
            words(&events[0]),
            "phone: Nobody answers. Check it. [registrar_unreachable]"
        );
    }

    #[test]
    fn a_call_is_told_whenever_it_changes() {
        let mut ringing = state();
        ringing.calls.push(CallView {
            id: 1,
            direction: Direction::In,
            state: CallState::Ringing,
            peer: "1002".to_owned(),
            peer_name: None,
            answered_at: None,
            codec: None,
            ended: None,
            transfer: None,
        });
        let mut active = ringing.clone();
        active.calls[0].state = CallState::Active;
        active.calls[0].codec = Some("Opus".to_owned());
        let events = between(&ringing, &active);
        assert_eq!(as_json(&events[0])["state"], "active");
        assert_eq!(words(&events[0]), "call from 1002: Active (Opus)");
        assert_eq!(between(&ringing, &ringing), []);
    }
}
