//! The commands on Tauri's mock runtime: real capabilities, real agent, no display.

#[cfg(feature = "embedded")]
mod here;

use std::{sync::Arc, time::Duration};

use rollcall_wire::ui::commands;
use serde_json::{Value, json};
use tauri::{
    WebviewWindow, WebviewWindowBuilder,
    ipc::{CallbackFn, InvokeBody},
    test::{INVOKE_KEY, MockRuntime, get_ipc_response, mock_builder},
    webview::InvokeRequest,
};

use crate::{
    desk::Desk,
    make_desk,
    settings::Preset,
    windows::{DASHBOARD, PHONE},
    with_commands,
};

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

const OF_THE_PHONE: [&str; 12] = [
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
    commands::TAKE_OVER,
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
    let question = json!({ "extension": "1001", "at": null });
    assert!(ask(&bench.phone, commands::EXPLAIN, question.clone()).is_err());
    let error = ask(&bench.dashboard, commands::EXPLAIN, question).unwrap_err();
    assert_eq!(error["code"], "not_signed_in");
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
    let error = ask(&bench.phone, commands::TAKE_OVER, json!({})).unwrap_err();
    assert_eq!(error["code"], "nothing_to_take_over");
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

#[test]
fn the_farewell_ends_before_who_sent_term_sends_kill() {
    let patience = rollcall_agent::Patience::default();
    let sign_out = patience.unregister_at_exit + patience.logout_at_exit;
    assert!(sign_out < crate::desk::FAREWELL);
    assert!(crate::desk::FAREWELL < Duration::from_secs(5));
}
