//! What the windows show, made of the agent's state and what only the desktop knows. Pure.

use rollcall_agent::{AgentState, Stage, board::SERVER};
use rollcall_wire::{
    board::{Agent, BoardStatus, Reason, SourceHealth},
    http::ErrorBody,
    ui::{
        CallState, Colleague, DashboardView, Demo, Direction, Notice, OwnState, PhoneScreen,
        PhoneView, Severity, SignInStep, SignedIn,
    },
};

/// What only the desktop knows.
#[derive(Clone, Debug, Default, PartialEq)]
pub struct Facts {
    /// The server's address to begin with.
    pub server: String,
    /// The user's name to begin with.
    pub username: String,
    /// How to sign in to the demo.
    pub demo: Option<Demo>,
    /// "Try it on this computer" is in this build.
    pub can_try_here: bool,
    /// The server of "Try it on this computer" is starting.
    pub starting: bool,
    /// Why it did not start.
    pub start_error: Option<ErrorBody>,
    /// The address of the server that runs in this program.
    pub own_server: Option<String>,
    /// The secrets live in memory only, and why.
    pub no_keychain: Option<String>,
    /// The program is ending.
    pub closing: bool,
}

/// The phone window.
pub fn phone_view(state: &AgentState, facts: &Facts) -> PhoneView {
    PhoneView {
        screen: screen(state, facts),
        version: env!("CARGO_PKG_VERSION").to_owned(),
        notices: notices(state, facts),
    }
}

/// The dashboard window.
pub fn dashboard_view(state: &AgentState) -> DashboardView {
    let role = match state.stage {
        Stage::SignedIn | Stage::SigningOut => state.user.as_ref().map(|user| user.role),
        _ => None,
    };
    DashboardView {
        signed_in: role.is_some(),
        role,
        synced: state.board.synced,
        mode: state.board.mode.clone(),
        sources: state.board.sources.clone(),
        agents: state.board.agents.clone(),
        was: state.board.was.clone(),
    }
}

/// A call rings here that did not ring before.
pub fn somebody_began_to_call(before: &AgentState, after: &AgentState) -> bool {
    let ringing = |state: &AgentState| -> Vec<u32> {
        let rings = state
            .calls
            .iter()
            .filter(|call| call.direction == Direction::In && call.state == CallState::Ringing);
        rings.map(|call| call.id).collect()
    };
    let rang = ringing(before);
    ringing(after).iter().any(|call| !rang.contains(call))
}

fn screen(state: &AgentState, facts: &Facts) -> PhoneScreen {
    match (&state.stage, &state.user) {
        (Stage::SignedIn | Stage::SigningOut, Some(user)) => signed_in(state, facts, user.clone()),
        (stage, _) => login(stage, facts),
    }
}

fn login(stage: &Stage, facts: &Facts) -> PhoneScreen {
    let (progress, error) = match stage {
        Stage::SigningIn { step } => (Some(*step), None),
        Stage::SignedOut { error } => (None, error.clone()),
        Stage::SignedIn | Stage::SigningOut => (None, None),
    };
    let starting = facts.starting.then_some(SignInStep::Starting);
    PhoneScreen::Login {
        server: facts.server.clone(),
        username: facts.username.clone(),
        demo: facts.demo.clone(),
        can_try_here: facts.can_try_here,
        progress: progress.or(starting),
        error: facts.start_error.clone().or(error),
    }
}

fn signed_in(state: &AgentState, facts: &Facts, user: SignedIn) -> PhoneScreen {
    PhoneScreen::Phone {
        user,
        own: Box::new(own(state)),
        calls: state.calls.clone(),
        colleagues: colleagues(state),
        muted: state.muted,
        speaking_muted: state.speaking_muted,
        levels: state.levels,
        signing_out: state.stage == Stage::SigningOut || facts.closing,
        in_use: state.claim.in_use().cloned(),
    }
}

/// Everybody on the board but oneself.
fn colleagues(state: &AgentState) -> Vec<Colleague> {
    let user = state.user.as_ref();
    let own = user.and_then(|user| user.extension.as_deref());
    let agents = state.board.agents.iter();
    let others = agents.filter(|agent| Some(agent.extension.as_str()) != own);
    let colleague = |agent: &Agent| Colleague {
        extension: agent.extension.clone(),
        status: agent.status,
    };
    others.map(colleague).collect()
}

fn own(state: &AgentState) -> OwnState {
    let server = state
        .board
        .sources
        .get(SERVER)
        .cloned()
        .unwrap_or(SourceHealth {
            ok: false,
            as_of: None,
        });
    let (status, reasons) = match &state.own {
        Some(agent) => (agent.status, agent.reasons.clone()),
        None => (BoardStatus::Unknown, not_heard(state)),
    };
    OwnState {
        status,
        since: state.since,
        reasons,
        pause: state.own.as_ref().and_then(|agent| agent.pause.clone()),
        phone: state.phone.clone(),
        server,
    }
}

/// Why nothing is known of the own state before the first snapshot.
fn not_heard(state: &AgentState) -> Vec<Reason> {
    vec![Reason {
        code: "connecting".to_owned(),
        message: Some("The server has not said anything yet.".to_owned()),
        since: state.since,
    }]
}

fn notices(state: &AgentState, facts: &Facts) -> Vec<Notice> {
    let mut notices = state.notices.clone();
    if let (Some(why), Stage::SignedIn) = (&facts.no_keychain, &state.stage) {
        notices.push(Notice {
            severity: Severity::Info,
            error: ErrorBody {
                code: "no_keychain".to_owned(),
                message: format!(
                    "This computer has no keychain that can be used ({why}), so your session is kept in memory only."
                ),
                field: None,
                next: Some("Sign in again after a restart.".to_owned()),
            },
        });
    }
    notices
}

#[cfg(test)]
mod tests {
    use std::sync::Arc;

    use rollcall_agent::{Claim, board::BoardView};
    use rollcall_wire::{
        http::Role,
        ui::{CallView, PhoneState},
    };

    use super::*;

    fn state(stage: Stage) -> AgentState {
        AgentState {
            stage,
            user: Some(SignedIn {
                username: "1001".to_owned(),
                extension: Some("1001".to_owned()),
                role: Role::Agent,
            }),
            phone: PhoneState::Registered,
            contact: Some("sip:1001-x@127.0.0.1:5070".to_owned()),
            claim: Claim::Told,
            own: None,
            since: 7,
            calls: vec![],
            muted: false,
            speaking_muted: false,
            levels: None,
            notices: vec![],
            board: Arc::new(BoardView::default()),
        }
    }

    fn ringing(id: u32, direction: Direction) -> CallView {
        CallView {
            id,
            direction,
            state: CallState::Ringing,
            peer: "1002".to_owned(),
            peer_name: None,
            answered_at: None,
            codec: None,
            ended: None,
            transfer: None,
        }
    }

    fn error(code: &str) -> ErrorBody {
        ErrorBody {
            code: code.to_owned(),
            message: String::new(),
            field: None,
            next: None,
        }
    }

    #[test]
    fn the_login_screen_shows_the_step_of_a_running_sign_in_and_the_error_of_a_failed_one() {
        let step = SignInStep::RegisteringPhone;
        let view = phone_view(&state(Stage::SigningIn { step }), &Facts::default());
        let PhoneScreen::Login {
            progress,
            error: why,
            ..
        } = view.screen
        else {
            panic!("{view:?}");
        };
        assert_eq!((progress, why), (Some(step), None));

        let stage = Stage::SignedOut {
            error: Some(error("wrong_password")),
        };
        let view = phone_view(&state(stage), &Facts::default());
        let PhoneScreen::Login {
            progress,
            error: why,
            ..
        } = view.screen
        else {
            panic!("{view:?}");
        };
        assert_eq!(
            (progress, why.unwrap().code.as_str()),
            (None, "wrong_password")
        );
    }

    #[test]
    fn before_the_first_snapshot_the_own_state_is_unknown_with_a_reason_and_never_green() {
        let view = phone_view(&state(Stage::SignedIn), &Facts::default());
        let PhoneScreen::Phone { own, .. } = view.screen else {
            panic!("{view:?}");
        };
        assert_eq!(own.status, BoardStatus::Unknown);
        assert_eq!(own.reasons[0].code, "connecting");
        assert!(!own.server.ok);
    }

    #[test]
    fn no_view_holds_a_sip_address() {
        let state = state(Stage::SignedIn);
        let phone = serde_json::to_string(&phone_view(&state, &Facts::default())).unwrap();
        let board = serde_json::to_string(&dashboard_view(&state)).unwrap();
        assert!(!phone.contains("sip:") && !board.contains("sip:"));
    }

    #[test]
    fn the_window_asks_for_a_takeover_only_while_another_device_stands_in_the_way() {
        let asks = |claim: Claim| {
            let state = AgentState {
                claim,
                ..state(Stage::SignedIn)
            };
            let PhoneScreen::Phone { in_use, .. } = phone_view(&state, &Facts::default()).screen
            else {
                panic!("nobody is signed in");
            };
            in_use.map(|error| error.code)
        };
        let failed = |code| Claim::Failed {
            error: error(code),
            retrying: false,
        };
        assert_eq!(asks(failed("in_use")).as_deref(), Some("in_use"));
        assert_eq!(asks(failed("bad_contact_uri")), None);
        assert_eq!(asks(Claim::Told), None);
    }

    #[test]
    fn a_missing_keychain_is_a_notice_while_somebody_is_signed_in() {
        let facts = Facts {
            no_keychain: Some("no Secret Service".to_owned()),
            ..Facts::default()
        };
        let view = phone_view(&state(Stage::SignedIn), &facts);
        assert_eq!(view.notices[0].error.code, "no_keychain");
        assert_eq!(view.notices[0].severity, Severity::Info);
        let out = state(Stage::SignedOut { error: None });
        assert!(phone_view(&out, &facts).notices.is_empty());
    }

    #[test]
    fn the_dashboard_says_when_nobody_is_signed_in() {
        let view = dashboard_view(&state(Stage::SignedOut { error: None }));
        assert!(!view.signed_in && view.role.is_none());
        let view = dashboard_view(&state(Stage::SignedIn));
        assert_eq!((view.signed_in, view.role), (true, Some(Role::Agent)));
    }

    #[test]
    fn only_a_new_incoming_call_brings_the_window_to_the_front() {
        let quiet = state(Stage::SignedIn);
        let mut called = quiet.clone();
        called.calls = vec![ringing(1, Direction::In)];
        assert!(somebody_began_to_call(&quiet, &called));
        assert!(!somebody_began_to_call(&called, &called));
        let mut calling = quiet.clone();
        calling.calls = vec![ringing(1, Direction::Out)];
        assert!(!somebody_began_to_call(&quiet, &calling));
    }
}
