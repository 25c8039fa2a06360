//! What was acknowledged outlives the process, and a retry after a restart hears what the first try
//! would have.
#![cfg(unix)]

mod common;

use common::House;
use reqwest::{Response, StatusCode};
use rollcall_wire::http::LoginResponse;
use serde_json::json;

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
