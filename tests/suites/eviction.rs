//! Contacts whose phone does not un-REGISTER: after the logout Asterisk must forget them all the same, in either mode,
//! over ARI or without it.

use std::time::Duration;

use rollcall_e2e::asterisk::Settings;
use rollcall_e2e::phone::Phone;
use rollcall_e2e::server::Options;
use rollcall_e2e::waiting::PROMPTLY;
use rollcall_e2e::{Agent, Mode, Scene, Server};
use serde_json::json;

/// Over ARI nothing waits for Asterisk's next check of expired contacts.
const NEVER_BY_ITSELF: u32 = 3_600;
/// The server's own hold-off after its start, its patience with the phone, and Asterisk's check each second.
const EVICTED: Duration = Duration::from_secs(20);

#[tokio::test]
async fn a_logout_evicts_the_contact_of_a_phone_that_stays_registered() {
    let scene = Scene::start(Mode::Mirror).await;
    evicts_a_phone_that_stays(&scene).await;
}

#[tokio::test]
async fn a_logout_evicts_the_contact_of_a_phone_that_stays_registered_from_the_shared_table() {
    let scene = Scene::start(Mode::Shared).await;
    evicts_a_phone_that_stays(&scene).await;
}

#[tokio::test]
async fn over_ari_a_logout_evicts_at_once() {
    let scene = with_ari(Mode::Mirror).await;
    evicts_a_phone_that_stays(&scene).await;
}

#[tokio::test]
async fn over_ari_a_logout_evicts_at_once_from_the_shared_table() {
    let scene = with_ari(Mode::Shared).await;
    evicts_a_phone_that_stays(&scene).await;
}

#[tokio::test]
async fn where_ari_does_not_answer_the_slow_way_is_taken_and_said() {
    let settings = Settings {
        files: vec![(
            "http.conf".to_owned(),
            "[general]\nenabled = no\n".to_owned(),
        )],
        ..Settings::default()
    };
    let options = Options {
        ari: true,
        ..Options::default()
    };
    let scene = Scene::start_with(Mode::Shared, settings, options).await;
    evicts_a_phone_that_stays(&scene).await;
    let said = scene.server.complaints().join("\n");
    assert!(said.contains("evicting the slow way"), "{said}");
}

#[tokio::test]
async fn a_killed_apps_contact_goes_when_its_session_is_ended_elsewhere() {
    let scene = Scene::start(Mode::Mirror).await;
    evicts_a_killed_app(&scene).await;
}

#[tokio::test]
async fn a_killed_apps_contact_goes_from_the_shared_table_when_its_session_is_ended_elsewhere() {
    let scene = Scene::start(Mode::Shared).await;
    evicts_a_killed_app(&scene).await;
}

/// A client of the seed's kind: a phone of its own, three calls of HTTP, and no un-REGISTER.
async fn evicts_a_phone_that_stays(scene: &Scene) {
    let phone = Phone::of("1001", &scene.asterisk).start();
    let contact = phone.registered().await;
    let token = scene.server.token("1001").await;
    let body = json!({ "extension": "1001", "contactUri": contact });
    let online = scene
        .server
        .post("/api/users/agent-online", Some(&token), &body)
        .await;
    assert_eq!(online.status, 200, "{online:?}");
    scene
        .board
        .shows_where("1001", "Reachable", PROMPTLY, |agent| {
            agent["contactStatus"] == "Reachable"
        })
        .await;
    let logout = scene
        .server
        .post("/api/users/agent-logout", Some(&token), &json!({}))
        .await;
    assert_eq!(logout.status, 200, "{logout:?}");
    scene.board.shows("1001", "Offline", PROMPTLY).await;
    scene.all_say_offline_within("1001", EVICTED).await;
}

/// The app is gone without a word, its UDP contact lives on; the person signs in at another device and ends it.
async fn evicts_a_killed_app(scene: &Scene) {
    let person = Agent::new("1001");
    let mut app = person.start(&scene.server);
    scene.board.shows("1001", "Available", PROMPTLY).await;
    app.kill();
    assert_eq!(scene.asterisk.contacts("1001").await.len(), 1);
    let token = sign_in_elsewhere(&scene.server).await;
    let body = json!({ "deviceId": person.device_id() });
    let logout = scene
        .server
        .post("/api/users/agent-logout", Some(&token), &body)
        .await;
    assert_eq!(logout.status, 200, "{logout:?}");
    scene.all_say_offline_within("1001", EVICTED).await;
}

async fn sign_in_elsewhere(server: &Server) -> String {
    let body = json!({ "username": "1001", "password": Server::password("1001"), "deviceId": "at-another-desk" });
    let answer = server.post("/api/users/login", None, &body).await;
    assert_eq!(answer.status, 200, "{answer:?}");
    answer.body["tokens"]["sip"]
        .as_str()
        .unwrap_or_default()
        .to_owned()
}

async fn with_ari(mode: Mode) -> Scene {
    let settings = Settings {
        expiration_check: NEVER_BY_ITSELF,
        ..Settings::default()
    };
    let options = Options {
        ari: true,
        ..Options::default()
    };
    Scene::start_with(mode, settings, options).await
}
