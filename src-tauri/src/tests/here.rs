//! With a server and a PBX in this process: a first run, and what is left of a session after a crash.

use std::{
    fs,
    path::Path,
    sync::{Arc, Mutex},
    time::Duration,
};

use rollcall_agent::{AgentState, Keeper, KeptSession, Secret, Stage};
use rollcall_wire::{
    board::BoardStatus,
    ui::{SignIn, commands},
};
use serde_json::{Value, json};

use super::{ask, bench};
use crate::{desk::Desk, make_desk_with, settings::Preset};

/// Longer than anything here takes; reaching it is a failure.
const PATIENCE: Duration = Duration::from_secs(30);

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

fn try_here_folders(data: &Path) -> usize {
    let entries = fs::read_dir(data).unwrap();
    let names = entries.map(|entry| entry.unwrap().file_name().into_string().unwrap());
    names.filter(|name| name.starts_with("try-here-")).count()
}

/// A keychain in memory.
#[derive(Clone, Default)]
struct FakeKeychain(Arc<Mutex<Option<KeptSession>>>);

impl FakeKeychain {
    fn desk(&self, folder: &Path) -> Arc<Desk> {
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

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_session_that_the_server_does_not_renew_leads_to_the_login_with_the_name_filled_in() {
    let (data, app) = (tempfile::tempdir().unwrap(), tempfile::tempdir().unwrap());
    let here = crate::embedded::start(data.path()).await.unwrap();
    let keychain = FakeKeychain::default();
    let desk = keychain.desk(app.path());
    let device = fs::read_to_string(app.path().join("device-id")).unwrap();
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
