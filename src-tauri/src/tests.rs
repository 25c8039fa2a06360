//! The commands on Tauri's mock runtime: real capabilities, real agent, no display.

use std::{
    sync::{Arc, Mutex},
    time::Duration,
};

use rollcall_agent::{AgentState, Keeper, KeptSession, Secret, Stage};
use rollcall_wire::{
    board::BoardStatus,
    ui::{SignIn, commands},
};
use serde_json::{Value, json};
use tauri::{
    WebviewWindow, WebviewWindowBuilder,
    ipc::{CallbackFn, InvokeBody},
    test::{INVOKE_KEY, MockRuntime, get_ipc_response, mock_builder},
    webview::InvokeRequest,
};

use crate::{
    desk::Desk,
    make_desk, make_desk_with,
    settings::Preset,
    windows::{DASHBOARD, PHONE},
    with_commands,
};

/// Longer than anything here takes; reaching it is a failure.
const PATIENCE: Duration = Duration::from_secs(30);

struct Bench {
    phone: WebviewWindow<MockRuntime>,
    dashboard: WebviewWindow<MockRuntime>,
    desk: Arc<Desk>,
    _app: tauri::App<MockRuntime>,
    _folder: tempfile::TempDir,
}

fn bench(preset: &str) -> Bench {
    let folder = tempfile::tempdir().unwrap();
    let preset: Preset =
        toml::from_str(&format!("audio = \"none\"\nno_keychain = true\n{preset}")).unwrap();
    let path = folder.path().to_owned();
    let desk = tauri::async_runtime::block_on(async { make_desk(&preset, path) }).unwrap();
    let app = with_commands(mock_builder())
        .manage(Arc::clone(&desk))
        .build(tauri::generate_context!(test = true))
        .unwrap();
    let window = |label| {
        WebviewWindowBuilder::new(&app, label, Default::default())
            .build()
            .unwrap()
    };
    Bench {
        phone: window(PHONE),
        dashboard: window(DASHBOARD),
        desk,
        _app: app,
        _folder: folder,
    }
}

fn ask(window: &WebviewWindow<MockRuntime>, command: &str, body: Value) -> Result<Value, Value> {
    let request = InvokeRequest {
        cmd: command.to_owned(),
        callback: CallbackFn(0),
        error: CallbackFn(1),
        url: "tauri://localhost".parse().unwrap(),
        body: InvokeBody::Json(body),
        headers: Default::default(),
        invoke_key: INVOKE_KEY.to_owned(),
    };
    get_ipc_response(window, request).map(|answer| answer.deserialize().unwrap())
}

const OF_THE_PHONE: [&str; 11] = [
    commands::PHONE_VIEW,
    commands::SIGN_IN,
    commands::CANCEL_SIGN_IN,
    commands::SIGN_OUT,
    commands::TRY_HERE,
    commands::DIAL,
    commands::ANSWER,
    commands::DECLINE,
    commands::HANG_UP,
    commands::SET_MUTED,
    commands::OPEN_DASHBOARD,
];

#[test]
fn the_phone_window_begins_with_the_presets_server_and_demo() {
    let bench =
        bench("server = \"http://127.0.0.1:9\"\n[demo]\nhint = \"Pick one.\"\npeople = []\n");
    let view = ask(&bench.phone, commands::PHONE_VIEW, json!({})).unwrap();
    assert_eq!(view["screen"]["kind"], "login");
    assert_eq!(view["screen"]["server"], "http://127.0.0.1:9");
    assert_eq!(view["screen"]["demo"]["hint"], "Pick one.");
    assert_eq!(view["version"], env!("CARGO_PKG_VERSION"));
}

#[test]
fn the_dashboard_window_may_look_at_the_board_and_ask_nothing_of_the_phone() {
    let bench = bench("");
    let view = ask(&bench.dashboard, commands::DASHBOARD_VIEW, json!({})).unwrap();
    assert_eq!(view["signedIn"], false);
    for command in OF_THE_PHONE {
        let refused = ask(&bench.dashboard, command, json!({})).unwrap_err();
        let words = refused.to_string();
        assert!(words.contains("not allowed"), "{command}: {words}");
    }
    assert!(ask(&bench.phone, commands::DASHBOARD_VIEW, json!({})).is_err());
}

#[test]
fn a_refused_command_answers_with_code_words_and_field() {
    let bench = bench("");
    let request =
        json!({ "request": { "server": "nowhere", "username": "1001", "password": "x" } });
    let error = ask(&bench.phone, commands::SIGN_IN, request).unwrap_err();
    assert_eq!(error["field"], "server");
    assert!(!error["message"].as_str().unwrap().is_empty());
    let error = ask(&bench.phone, commands::DIAL, json!({ "target": "600" })).unwrap_err();
    assert_eq!(error["code"], "not_signed_in");
    let error = ask(&bench.phone, commands::ANSWER, json!({ "call": 1 })).unwrap_err();
    assert_eq!(error["code"], "no_such_call");
}

#[test]
fn a_failed_sign_in_keeps_what_was_typed_but_the_password() {
    let bench = bench("");
    let request = json!({ "request": { "server": "http://", "username": "1001", "password": "secret-word" } });
    ask(&bench.phone, commands::SIGN_IN, request).unwrap_err();
    let view = ask(&bench.phone, commands::PHONE_VIEW, json!({})).unwrap();
    assert_eq!(view["screen"]["username"], "1001");
    assert!(!view.to_string().contains("secret-word"));
}

#[test]
fn leaving_happens_once() {
    let bench = bench("");
    let desk = Arc::clone(&bench.desk);
    let (first, second) =
        tauri::async_runtime::block_on(async { (desk.leave().await, desk.leave().await) });
    assert!(first && !second);
}

async fn until(desk: &Desk, fits: impl Fn(&AgentState) -> bool) {
    let mut state = desk.agent().state();
    let reached = tokio::time::timeout(PATIENCE, state.wait_for(|state| fits(state)));
    reached.await.expect("in time").expect("the agent runs");
}

fn is_available(state: &AgentState) -> bool {
    state
        .own
        .as_ref()
        .is_some_and(|own| own.status == BoardStatus::Available)
}

#[cfg(feature = "embedded")]
#[test]
fn who_tries_it_on_this_computer_is_available_within_one_sign_in_and_nothing_stays_behind() {
    let bench = bench("");
    ask(&bench.phone, commands::TRY_HERE, json!({})).unwrap();
    let view = ask(&bench.phone, commands::PHONE_VIEW, json!({})).unwrap();
    let screen = &view["screen"];
    let person = &screen["demo"]["people"][0];
    assert_eq!(person["username"], "1001");
    let data = bench._folder.path();
    assert_eq!(try_here_folders(data), 1);

    let request = json!({ "request": {
        "server": screen["server"], "username": "1001", "password": person["password"],
    } });
    ask(&bench.phone, commands::SIGN_IN, request).unwrap();
    let desk = &bench.desk;
    tauri::async_runtime::block_on(until(desk, is_available));
    let view = ask(&bench.phone, commands::PHONE_VIEW, json!({})).unwrap();
    assert_eq!(view["screen"]["own"]["status"], "Available");
    let board = ask(&bench.dashboard, commands::DASHBOARD_VIEW, json!({})).unwrap();
    assert_eq!(board["synced"], true);

    ask(&bench.phone, commands::SIGN_OUT, json!({})).unwrap();
    let view = ask(&bench.phone, commands::PHONE_VIEW, json!({})).unwrap();
    assert_eq!(view["screen"]["kind"], "login");
    assert!(tauri::async_runtime::block_on(desk.leave()));
    assert_eq!(try_here_folders(data), 0);
}

#[cfg(feature = "embedded")]
fn try_here_folders(data: &std::path::Path) -> usize {
    let entries = std::fs::read_dir(data).unwrap();
    let names = entries.map(|entry| entry.unwrap().file_name().into_string().unwrap());
    names.filter(|name| name.starts_with("try-here-")).count()
}

/// A keychain in memory.
#[derive(Clone, Default)]
struct FakeKeychain(Arc<Mutex<Option<KeptSession>>>);

impl FakeKeychain {
    fn desk(&self, folder: &std::path::Path) -> Arc<Desk> {
        let preset: Preset = toml::from_str("audio = \"none\"").unwrap();
        let keeper: Arc<dyn Keeper> = Arc::new(self.clone());
        make_desk_with(&preset, folder.to_owned(), |_, _, _| keeper).unwrap()
    }
}

impl Keeper for FakeKeychain {
    fn keep(&self, session: &KeptSession) {
        *self.0.lock().unwrap() = Some(session.clone());
    }

    fn forget(&self) {
        *self.0.lock().unwrap() = None;
    }

    fn recall(&self) -> Option<KeptSession> {
        self.0.lock().unwrap().clone()
    }
}

#[cfg(feature = "embedded")]
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn after_a_crash_the_app_goes_on_with_its_session_and_after_a_sign_out_it_does_not() {
    let (data, app) = (tempfile::tempdir().unwrap(), tempfile::tempdir().unwrap());
    let here = crate::embedded::start(data.path()).await.unwrap();
    let person = &here.demo().people[0];
    let keychain = FakeKeychain::default();

    let desk = keychain.desk(app.path());
    desk.resume().await;
    assert_eq!(
        desk.agent().state().borrow().stage,
        Stage::SignedOut { error: None },
        "nothing was kept yet"
    );
    let request = SignIn {
        server: here.server(),
        username: person.username.clone(),
        password: person.password.clone(),
    };
    desk.sign_in(request).await.unwrap();
    until(&desk, is_available).await;
    // The process is gone without a word of farewell.
    drop(desk);

    let desk = keychain.desk(app.path());
    desk.resume().await;
    until(&desk, is_available).await;
    assert!(desk.leave().await);
    assert_eq!(keychain.recall(), None);

    let desk = keychain.desk(app.path());
    desk.resume().await;
    assert_eq!(
        desk.agent().state().borrow().stage,
        Stage::SignedOut { error: None }
    );
    here.shutdown().await;
}

#[cfg(feature = "embedded")]
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_session_that_the_server_does_not_renew_leads_to_the_login_with_the_name_filled_in() {
    let (data, app) = (tempfile::tempdir().unwrap(), tempfile::tempdir().unwrap());
    let here = crate::embedded::start(data.path()).await.unwrap();
    let keychain = FakeKeychain::default();
    let desk = keychain.desk(app.path());
    let device = std::fs::read_to_string(app.path().join("device-id")).unwrap();
    keychain.keep(&KeptSession {
        server: here.server(),
        username: "1001".to_owned(),
        device_id: device.trim().to_owned(),
        refresh: Secret::new("a-token-that-nobody-gave".to_owned()),
    });
    desk.resume().await;
    let view = serde_json::to_value(desk.phone_view()).unwrap();
    let screen = &view["screen"];
    assert_eq!(
        (&screen["kind"], &screen["username"], &screen["server"]),
        (&json!("login"), &json!("1001"), &json!(here.server()))
    );
    assert_eq!(screen["error"]["code"], "session_expired");
    assert_eq!(screen["progress"], Value::Null);
    desk.agent().kept_is_settled().await;
    assert_eq!(keychain.recall(), None);
    here.shutdown().await;
}

#[test]
fn the_farewell_ends_before_who_sent_term_sends_kill() {
    let patience = rollcall_agent::Patience::default();
    let sign_out = patience.unregister_at_exit + patience.logout_at_exit;
    assert!(sign_out < crate::desk::FAREWELL);
    assert!(crate::desk::FAREWELL < Duration::from_secs(5));
}
