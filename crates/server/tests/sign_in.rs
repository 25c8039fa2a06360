//! Signing in, staying in, and out: what the seed's clients read, and what a guesser learns.

mod common;

use std::time::Duration;

use common::{House, PASSWORD, SIP_PASSWORD, login};
use reqwest::StatusCode;
use rollcall_e2e::waiting::eventually;
use rollcall_server_client::ClientError;
use rollcall_wire::http::{AgentLogoutRequest, LoginRequest, Role};
use serde_json::{Value, json};
use tokio::{io::AsyncWriteExt as _, net::TcpStream};

fn refused(error: &ClientError) -> (u16, &str) {
    match error {
        ClientError::Refused { status, body } => (*status, body.code.as_str()),
        other => panic!("a refusal was awaited: {other:?}"),
    }
}

#[tokio::test]
async fn a_login_answers_the_tokens_and_the_sip_account() {
    let house = House::open().await;
    let answer = house.sign_in("agent1001").await;
    assert_eq!(answer.user.extension.as_deref(), Some("1001"));
    assert_eq!(answer.user.role, Role::Agent);
    let sip = answer.user.pjsip.unwrap();
    assert_eq!(sip.server, "127.0.0.1:5060");
    assert_eq!(
        (sip.transport.as_str(), sip.username.as_str()),
        ("udp", "1001")
    );
    assert_eq!(sip.password, SIP_PASSWORD);
    assert_ne!(answer.tokens.sip, answer.tokens.refresh);
    let supervisor = house.sign_in("supervisor").await;
    assert!(supervisor.user.extension.is_none() && supervisor.user.pjsip.is_none());
}

#[tokio::test]
async fn no_table_holds_a_password_or_a_token_in_the_clear() {
    let house = House::open().await;
    let answer = house.sign_in("agent1001").await;
    let data = house.dir.path().join("data");
    let everything: Vec<u8> = ["rollcall.db", "rollcall.db-wal"]
        .iter()
        .flat_map(|name| std::fs::read(data.join(name)).unwrap_or_default())
        .collect();
    assert!(everything.len() > 1_000);
    for secret in [
        PASSWORD,
        SIP_PASSWORD,
        &answer.tokens.sip,
        &answer.tokens.refresh,
    ] {
        let found = everything
            .windows(secret.len())
            .any(|part| part == secret.as_bytes());
        assert!(!found);
    }
}

#[tokio::test]
async fn a_wrong_password_and_an_unknown_name_are_told_apart_by_nothing() {
    let house = House::open().await;
    let mut answers = Vec::new();
    for username in ["agent1001", "nobody"] {
        let request = LoginRequest {
            password: "wrong".into(),
            ..login(username)
        };
        answers.push(house.client.login(&request).await.unwrap_err());
    }
    assert_eq!(refused(&answers[0]), (401, "wrong_credentials"));
    assert_eq!(answers[0], answers[1]);
}

#[tokio::test]
async fn guessing_is_answered_429_with_the_time_to_wait_and_hashes_nothing() {
    let house = House::open_with(|config| config.auth.failures_allowed = 2).await;
    let wrong = LoginRequest {
        password: "wrong".into(),
        ..login("agent1001")
    };
    for _ in 0..2 {
        assert_eq!(
            refused(&house.client.login(&wrong).await.unwrap_err()).0,
            401
        );
    }
    let response = reqwest::Client::new()
        .post(house.url("/api/users/login"))
        .json(&login("agent1001"))
        .send()
        .await
        .unwrap();
    assert_eq!(response.status(), StatusCode::TOO_MANY_REQUESTS);
    assert!(response.headers().contains_key("retry-after"));
    let body: Value = response.json().await.unwrap();
    assert_eq!(body["code"], "too_many_attempts");
    // Another account from the same place is not held back.
    house.sign_in("agent1002").await;
}

#[tokio::test]
async fn five_hundred_who_sign_in_at_once_from_one_address_are_not_taken_for_guessers() {
    let house = House::open().await;
    common::cheapen(house.dir.path()).await;
    common::copy_agents(house.dir.path(), 2_000..2_500).await;
    let without_phones =
        "UPDATE users SET extension = NULL, sip_secret = NULL WHERE extension >= '2000'";
    common::execute(house.dir.path(), without_phones).await;
    let asked: Vec<_> = (2_000..2_500)
        .map(|number| {
            let (client, request) = (house.client.clone(), login(&format!("agent{number}")));
            tokio::spawn(async move { client.login(&request).await.map(drop) })
        })
        .collect();
    for asked in asked {
        assert_eq!(asked.await.unwrap(), Ok(()));
    }
}

#[tokio::test]
async fn who_hangs_up_while_the_password_is_judged_has_guessed_nothing() {
    let house = House::open_with(|config| {
        config.auth.failures_allowed = 2;
        config.auth.hash_threads = 1;
    })
    .await;
    let body = serde_json::to_vec(&login("agent1001")).unwrap();
    let head = format!(
        "POST /api/users/login HTTP/1.1\r\nhost: x\r\ncontent-type: application/json\r\ncontent-length: {}\r\n\r\n",
        body.len()
    );
    for _ in 0..4 {
        let mut stream = TcpStream::connect(house.running.http_addr()).await.unwrap();
        let request = [head.as_bytes(), &body].concat();
        stream.write_all(&request).await.unwrap();
    }
    eventually("they are gone", common::PATIENCE, async || {
        let figures = house.running.metrics().render().unwrap();
        match figures.contains("rollcall_connections 0\n") {
            true => Ok(()),
            false => Err(figures),
        }
    })
    .await;
    house.sign_in("agent1001").await;
}

#[tokio::test]
async fn a_name_that_works_at_an_address_is_not_told_to_who_guesses_there() {
    let house = House::open_with(|config| {
        config.auth.failures_allowed = 3;
        config.auth.address_failures_allowed = 3;
        config.auth.lockout_ms = 600_000;
    })
    .await;
    house.sign_in("agent1001").await;
    let wrong = async |username: &str| {
        let request = LoginRequest {
            password: "wrong".into(),
            ..login(username)
        };
        let error = house.client.login(&request).await.unwrap_err();
        let (status, code) = refused(&error);
        (status, code.to_owned())
    };
    for number in 0..3 {
        let sprayed = wrong(&format!("nobody{number}")).await;
        assert_eq!(sprayed, (401, "wrong_credentials".to_owned()));
    }
    let held = (429, "too_many_attempts".to_owned());
    for _ in 0..2 {
        assert_eq!(wrong("nobody9").await, held);
        assert_eq!(wrong("agent1001").await, held);
    }
    house.sign_in("agent1001").await;
}

#[tokio::test]
async fn the_token_is_taken_with_bearer_and_bare() {
    let house = House::open().await;
    let token = house.sign_in("agent1001").await.tokens.sip;
    for authorization in [format!("Bearer {token}"), token.clone()] {
        let response = reqwest::Client::new()
            .post(house.url("/api/users/agent-online"))
            .header("authorization", authorization)
            .json(&json!({"extension": "1001", "contactUri": "sip:1001@127.0.0.1"}))
            .send()
            .await
            .unwrap();
        assert_eq!(response.status(), StatusCode::OK);
        let body: Value = response.json().await.unwrap();
        assert_eq!(body["success"], true);
        assert_eq!(body["agent"]["extension"], "1001");
    }
}

#[tokio::test]
async fn a_refresh_token_is_good_for_one_exchange_and_its_reuse_ends_the_session() {
    let house = House::open().await;
    let first = house.sign_in("agent1001").await;
    let second = house.client.refresh(&first.tokens.refresh).await.unwrap();
    assert_eq!(second.user.extension.as_deref(), Some("1001"));
    let online = |token: String| {
        let client = house.client.clone();
        async move { client.agent_online(&token, "1001", "sip:1001@h").await }
    };
    let old = online(first.tokens.sip.clone()).await.unwrap_err();
    assert_eq!(refused(&old), (401, "invalid_token"));
    online(second.tokens.sip.clone()).await.unwrap();
    let stolen = house
        .client
        .refresh(&first.tokens.refresh)
        .await
        .unwrap_err();
    assert_eq!(refused(&stolen), (401, "invalid_token"));
    let after = online(second.tokens.sip).await.unwrap_err();
    assert!(after.is_signed_out());
    assert!(house.client.refresh(&second.tokens.refresh).await.is_err());
}

#[tokio::test]
async fn a_refresh_whose_client_hung_up_is_answered_to_its_retry() {
    let house = House::open().await;
    let refresh = house.sign_in("agent1001").await.tokens.refresh;
    let send = |patience: Duration| {
        reqwest::Client::new()
            .post(house.url("/api/users/refresh"))
            .header("idempotency-key", "one-refresh")
            .timeout(patience)
            .json(&json!({ "refresh": refresh }))
            .send()
    };
    // While the database is held the answer cannot come, and the client gives up.
    let mut other = common::lock(house.dir.path()).await;
    assert!(
        send(Duration::from_millis(300))
            .await
            .unwrap_err()
            .is_timeout()
    );
    common::unlock(&mut other).await;
    let retry = send(common::PATIENCE).await.unwrap();
    assert_eq!(retry.status(), StatusCode::OK);
    let tokens: Value = retry.json().await.unwrap();
    let token = tokens["tokens"]["sip"].as_str().unwrap();
    house
        .client
        .agent_online(token, "1001", "sip:1001@h")
        .await
        .unwrap();
}

#[tokio::test]
async fn an_access_token_does_not_refresh_and_a_refresh_token_authorises_nothing() {
    let house = House::open().await;
    let tokens = house.sign_in("agent1001").await.tokens;
    assert!(
        house
            .client
            .refresh(&tokens.sip)
            .await
            .unwrap_err()
            .is_signed_out()
    );
    let online = house
        .client
        .agent_online(&tokens.refresh, "1001", "sip:1001@h")
        .await;
    assert!(online.unwrap_err().is_signed_out());
}

#[tokio::test]
async fn a_logout_ends_the_token_and_its_retry_hears_the_same_answer() {
    let house = House::open().await;
    let token = house.sign_in("agent1001").await.tokens.sip;
    house.online(&token).await;
    let logout = || {
        reqwest::Client::new()
            .post(house.url("/api/users/agent-logout"))
            .header("authorization", &token)
            .header("content-type", "application/json")
            .header("idempotency-key", "5f0c7a54-5a8e-4f0e-9d53-000000000001")
            .send()
    };
    let first = logout().await.unwrap();
    assert_eq!(first.status(), StatusCode::OK);
    let first: Value = first.json().await.unwrap();
    assert_eq!(first["success"], true);
    let again = logout().await.unwrap();
    assert_eq!(again.status(), StatusCode::OK);
    assert_eq!(again.json::<Value>().await.unwrap(), first);
    let without_key = house
        .client
        .agent_logout(&token, &AgentLogoutRequest::default())
        .await;
    assert!(without_key.unwrap_err().is_signed_out());
}

#[tokio::test]
async fn an_idempotency_key_used_for_another_request_is_a_conflict() {
    let house = House::open().await;
    let token = house.sign_in("agent1001").await.tokens.sip;
    let online = |contact: &str| {
        reqwest::Client::new()
            .post(house.url("/api/users/agent-online"))
            .bearer_auth(&token)
            .header("idempotency-key", "one-key")
            .json(&json!({"extension": "1001", "contactUri": contact}))
            .send()
    };
    assert_eq!(online("sip:a@h").await.unwrap().status(), StatusCode::OK);
    assert_eq!(online("sip:a@h").await.unwrap().status(), StatusCode::OK);
    let other = online("sip:b@h").await.unwrap();
    assert_eq!(other.status(), StatusCode::CONFLICT);
    assert_eq!(
        other.json::<Value>().await.unwrap()["code"],
        "idempotency_key_reused"
    );
}

#[tokio::test]
async fn a_name_or_an_extension_is_one_persons_only() {
    let house = House::open().await;
    for (username, extension) in [("AGENT1001", Some("1009")), ("other", Some("1001"))] {
        let person = common::person(username, extension, Role::Agent);
        let error = house.running.add_person(person).await.unwrap_err();
        assert!(error.to_string().contains("taken"), "{error}");
    }
}

#[tokio::test]
async fn of_an_accounts_sessions_the_one_used_longest_ago_gives_way_to_a_new_one() {
    let house = House::open_with(|config| config.auth.sessions_per_account = 2).await;
    let first = house.sign_in("supervisor").await;
    let second = house.sign_in("supervisor").await;
    let mut renewed = house.client.refresh(&first.tokens.refresh).await.unwrap();
    // Used later, as the server's clock has it.
    while renewed.expires_at <= second.expires_at {
        renewed = house.client.refresh(&renewed.tokens.refresh).await.unwrap();
    }
    let third = house.sign_in("supervisor").await;
    let leave = AgentLogoutRequest::default();
    let over = house.client.agent_logout(&second.tokens.sip, &leave).await;
    assert_eq!(refused(&over.unwrap_err()), (401, "invalid_token"));
    for living in [renewed, third] {
        house.sign_out(&living.tokens.sip).await;
    }
    // An agent's is the core's to end.
    let device = house.sign_in("agent1001").await.tokens.sip;
    let others = [
        house.sign_in("agent1001").await,
        house.sign_in("agent1001").await,
    ];
    eventually("the first session ends", common::PATIENCE, async || {
        // Not its extension: refused as such for as long as it lives.
        let asked = house.client.agent_online(&device, "1002", "sip:1002@h");
        let asked = asked.await.map(drop);
        match asked.map_err(|error| error.code().to_owned()) {
            Err(code) if code == "invalid_token" => Ok(()),
            other => Err(format!("{other:?}")),
        }
    })
    .await;
    house.online(&others[1].tokens.sip).await;
}

#[tokio::test]
async fn who_signs_in_without_end_is_told_to_wait() {
    let house = House::open_with(|config| config.auth.sign_ins_allowed = 1).await;
    house.sign_in("supervisor").await;
    let error = house.client.login(&login("supervisor")).await.unwrap_err();
    assert_eq!(refused(&error), (429, "too_many_sign_ins"));
    house.sign_in("agent1001").await;
}

#[tokio::test]
async fn who_names_a_device_that_is_not_theirs_is_not_signed_out_instead() {
    let house = House::open().await;
    for username in ["supervisor", "agent1001"] {
        let token = house.sign_in(username).await.tokens.sip;
        let other = AgentLogoutRequest {
            device_id: Some("device-of-nobody".into()),
            ..AgentLogoutRequest::default()
        };
        let error = house.client.agent_logout(&token, &other).await.unwrap_err();
        assert_eq!(refused(&error).0, 404, "{username}");
        house.sign_out(&token).await;
    }
}
