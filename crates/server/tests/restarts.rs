//! What was acknowledged outlives the process, and a retry after a restart hears what the first try
//! would have.
#![cfg(unix)]

mod common;

use std::{
    io::{BufRead as _, BufReader},
    path::Path,
    process::{Child, Command, Stdio},
    sync::{Arc, Mutex},
    time::Duration,
};

use common::{House, PATIENCE};
use reqwest::{Response, StatusCode};
use rollcall_server_client::{Client, Timing};
use rollcall_wire::http::{AgentLogoutRequest, LoginRequest, LoginResponse, Role};
use serde_json::json;
use uuid::Uuid;

const REFRESH: &str = "/api/users/refresh";
const LOGOUT: &str = "/api/users/agent-logout";

async fn refresh(house: &House, token: &str, key: &str) -> Response {
    let request = reqwest::Client::new().post(house.url(REFRESH));
    let request = request.header("idempotency-key", key);
    let request = request.json(&json!({ "refresh": token }));
    request.send().await.unwrap()
}

async fn logout(house: &House, token: &str, key: Option<&str>) -> Response {
    let mut request = reqwest::Client::new()
        .post(house.url(LOGOUT))
        .bearer_auth(token);
    if let Some(key) = key {
        request = request.header("idempotency-key", key);
    }
    request.send().await.unwrap()
}

#[tokio::test]
async fn a_refresh_whose_answer_was_lost_is_answered_the_same_after_a_restart() {
    let house = House::open().await;
    let refresh_token = house.sign_in("agent1001").await.tokens.refresh;
    let lost = refresh(&house, &refresh_token, "one").await;
    let lost: LoginResponse = lost.json().await.unwrap();
    let house = house.reopen().await;
    let retry = refresh(&house, &refresh_token, "one").await;
    assert_eq!(retry.status(), StatusCode::OK);
    let retry: LoginResponse = retry.json().await.unwrap();
    assert_eq!(json!(retry), json!(lost));
    let online = house
        .client
        .agent_online(&retry.tokens.sip, "1001", "sip:1001@h");
    online.await.unwrap();
    house.client.refresh(&retry.tokens.refresh).await.unwrap();
}

#[tokio::test]
async fn a_used_refresh_token_under_another_key_ends_the_session_before_and_after_a_restart() {
    let house = House::open().await;
    let first = house.sign_in("agent1001").await.tokens.refresh;
    let second: LoginResponse = refresh(&house, &first, "one").await.json().await.unwrap();
    let house = house.reopen().await;
    let stolen = refresh(&house, &first, "two").await;
    assert_eq!(stolen.status(), StatusCode::UNAUTHORIZED);
    let after = house.client.refresh(&second.tokens.refresh).await;
    assert!(after.unwrap_err().is_signed_out());
    let retry = refresh(&house, &first, "one").await;
    assert_eq!(retry.status(), StatusCode::UNAUTHORIZED);
}

#[tokio::test]
async fn a_kept_answer_shows_no_token_to_who_reads_the_database() {
    let house = House::open().await;
    let token = house.sign_in("agent1001").await.tokens.refresh;
    let answer: LoginResponse = refresh(&house, &token, "one").await.json().await.unwrap();
    let data = house.dir.path().join("data");
    let everything: Vec<u8> = ["rollcall.db", "rollcall.db-wal"]
        .iter()
        .flat_map(|name| std::fs::read(data.join(name)).unwrap_or_default())
        .collect();
    for secret in [
        &answer.tokens.sip,
        &answer.tokens.refresh,
        &token,
        &answer.user.pjsip.unwrap().password,
    ] {
        let secret = secret.as_bytes();
        assert!(!everything.windows(secret.len()).any(|part| part == secret));
    }
}

#[tokio::test]
async fn a_logout_whose_answer_was_lost_is_confirmed_after_a_restart() {
    let house = House::open().await;
    for username in ["agent1001", "supervisor"] {
        let token = house.sign_in(username).await.tokens.sip;
        assert_eq!(logout(&house, &token, Some("one")).await.status(), 200);
    }
    let ended = house.sign_in("agent1001").await.tokens.sip;
    assert_eq!(logout(&house, &ended, Some("two")).await.status(), 200);
    let house = house.reopen().await;
    let retry = logout(&house, &ended, Some("two")).await;
    assert_eq!(retry.status(), StatusCode::OK);
    let words: serde_json::Value = retry.json().await.unwrap();
    assert_eq!(words, json!({"success": true, "pending": []}));
    for no_retry in [None, Some("three")] {
        let answer = logout(&house, &ended, no_retry).await;
        assert_eq!(answer.status(), StatusCode::UNAUTHORIZED);
    }
    let online = house
        .client
        .agent_online(&ended, "1001", "sip:1001@h")
        .await;
    assert!(
        online.unwrap_err().is_signed_out(),
        "it confirms, and revives nothing"
    );
}

#[tokio::test]
async fn a_session_that_was_not_logged_out_is_never_confirmed_as_such() {
    let house = House::open().await;
    let first = house.sign_in("agent1001").await.tokens;
    refresh(&house, &first.refresh, "one").await;
    refresh(&house, &first.refresh, "two").await;
    let house = house.reopen().await;
    let retry = logout(&house, &first.sip, Some("three")).await;
    assert_eq!(retry.status(), StatusCode::UNAUTHORIZED);
}

/// kill -9 at moments of all kinds, under a stream of logins and logouts.
#[tokio::test]
async fn no_acknowledged_login_or_logout_is_lost_by_a_server_that_is_killed() {
    const ROUNDS: u64 = 8;
    let dir = tempfile::tempdir().unwrap();
    let config = common::config(dir.path());
    let person = common::person("agent1001", Some("1001"), Role::Agent);
    rollcall_server::add_person(&config, person).await.unwrap();
    let mut checked = (0, 0);
    for round in 0..ROUNDS {
        let (mut child, url) = serve(dir.path());
        let acknowledged = Arc::new(Mutex::new(Acknowledged::default()));
        let streams: Vec<_> = (0..3)
            .map(|stream| {
                let (url, acknowledged) = (url.clone(), Arc::clone(&acknowledged));
                tokio::spawn(stream_of_days(
                    url,
                    format!("device-{round}-{stream}"),
                    acknowledged,
                ))
            })
            .collect();
        // The moments are spread over what one login and one logout take.
        let enough = (round % 4) as usize + 1;
        let some = async {
            while acknowledged.lock().unwrap().logins.len() < enough {
                tokio::time::sleep(Duration::from_millis(3 + round)).await;
            }
        };
        tokio::time::timeout(PATIENCE, some).await.unwrap();
        child.kill().unwrap();
        child.wait().unwrap();
        for stream in streams {
            stream.await.unwrap();
        }
        let (mut child, url) = serve(dir.path());
        let acknowledged = std::mem::take(&mut *acknowledged.lock().unwrap());
        let client = Client::new(&url).unwrap();
        let request = AgentLogoutRequest::default();
        for token in &acknowledged.logouts {
            let again = client.agent_online(token, "1001", "sip:1001@h").await;
            assert!(again.unwrap_err().is_signed_out(), "a logout was forgotten");
        }
        // Acknowledged or not, made or not: the retry under the same key is told that it is done.
        for (token, key) in &acknowledged.tried {
            let retry = client.under(*key).agent_logout(token, &request).await;
            retry.expect("the retry of a logout");
        }
        let live = acknowledged
            .logins
            .iter()
            .filter(|token| !acknowledged.tried.iter().any(|(tried, _)| tried == *token));
        for token in live {
            client
                .agent_logout(token, &request)
                .await
                .expect("a login was forgotten");
            checked.0 += 1;
        }
        checked.1 += acknowledged.logouts.len();
        child.kill().unwrap();
        child.wait().unwrap();
    }
    assert!(checked.0 > 0 && checked.1 > 0, "{checked:?}");
}

/// Access tokens by what was acknowledged of them.
#[derive(Default)]
struct Acknowledged {
    logins: Vec<String>,
    /// Logouts that were sent; their answers may be lost.
    tried: Vec<(String, Uuid)>,
    logouts: Vec<String>,
}

/// Signs in and out until the server is gone; every second session stays.
async fn stream_of_days(url: String, device: String, acknowledged: Arc<Mutex<Acknowledged>>) {
    let timing = Timing {
        tries: 1,
        ..Timing::default()
    };
    let client = Client::with_timing(&url, timing).unwrap();
    for day in 0.. {
        let request = LoginRequest {
            device_id: Some(format!("{device}-{day}")),
            ..common::login("agent1001")
        };
        let Ok(answer) = client.login(&request).await else {
            return;
        };
        let token = answer.tokens.sip;
        acknowledged.lock().unwrap().logins.push(token.clone());
        if day % 2 == 0 {
            let key = Uuid::new_v4();
            let tried = (token.clone(), key);
            acknowledged.lock().unwrap().tried.push(tried);
            let request = AgentLogoutRequest::default();
            if client
                .under(key)
                .agent_logout(&token, &request)
                .await
                .is_err()
            {
                return;
            }
            acknowledged.lock().unwrap().logouts.push(token);
        }
    }
}

/// The binary, on the data of `dir`.
fn serve(dir: &Path) -> (Child, String) {
    let config = dir.join("server.toml");
    let data = dir.join("data");
    std::fs::write(
        &config,
        format!("listen = \"127.0.0.1:0\"\ndata_dir = {data:?}\n"),
    )
    .unwrap();
    let mut child = Command::new(env!("CARGO_BIN_EXE_rollcall-server"))
        .args(["serve", "--ready-json", "--config"])
        .arg(&config)
        .stdin(Stdio::null())
        .stdout(Stdio::piped())
        .stderr(Stdio::null())
        .spawn()
        .unwrap();
    let mut line = String::new();
    let mut said = BufReader::new(child.stdout.as_mut().unwrap());
    said.read_line(&mut line).unwrap();
    let ready: serde_json::Value = serde_json::from_str(&line).unwrap();
    (child, ready["http"].as_str().unwrap().to_owned())
}
