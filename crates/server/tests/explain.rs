//! Why an agent's state is what it is, on request and on record; who may ask, and a supervisor's logout.

mod common;

use common::{House, login, person};
use reqwest::{Method, StatusCode};
use rollcall_server::config::Mode;
use rollcall_wire::http::Role;
use serde_json::{Value, json};

async fn ask(
    house: &House,
    token: &str,
    method: Method,
    path: &str,
    body: Option<Value>,
) -> (StatusCode, Value) {
    let mut request = reqwest::Client::new()
        .request(method, house.url(path))
        .bearer_auth(token);
    if let Some(body) = body {
        request = request.json(&body);
    }
    let response = request.send().await.unwrap();
    let status = response.status();
    (status, response.json().await.unwrap_or_default())
}

async fn get(house: &House, token: &str, path: &str) -> (StatusCode, Value) {
    ask(house, token, Method::GET, path, None).await
}

/// A house without Asterisk, whose agent 1001 says it is online.
async fn claimed() -> (House, String, String) {
    let house = House::open_with(|config| config.mode = Mode::Claims).await;
    let agent = house.sign_in("agent1001").await.tokens.sip;
    let supervisor = house.sign_in("supervisor").await.tokens.sip;
    house.online(&agent).await;
    (house, agent, supervisor)
}

fn codes(explained: &Value) -> Vec<&str> {
    let reasons = explained["reasons"].as_array().unwrap();
    reasons
        .iter()
        .map(|reason| reason["code"].as_str().unwrap())
        .collect()
}

#[tokio::test]
async fn an_explanation_holds_intent_terms_needs_and_history_now_and_at_a_past_time() {
    let (house, agent, supervisor) = claimed().await;
    let path = "/api/agents/1001/explain";
    let (status, now) = get(&house, &supervisor, path).await;
    assert_eq!(status, StatusCode::OK);
    assert_eq!(now["status"], "Unverified");
    assert_eq!(codes(&now), ["claims_only"]);
    assert_eq!(now["intents"][0]["wants"], "online");
    assert_eq!(now["rule"], "R1");
    let terms = now["terms"].as_array().unwrap();
    assert_eq!(terms.len(), 9);
    let failing: Vec<_> = terms
        .iter()
        .filter(|term| term["verdict"] == "fails")
        .collect();
    assert_eq!(failing.len(), 1, "{failing:?}");
    assert!(
        now["needed"][0]
            .as_str()
            .unwrap()
            .contains("link to Asterisk")
    );
    let history = now["history"].as_array().unwrap();
    assert!(history.iter().any(|line| line["what"] == "agent_online"));
    let (_, own) = get(&house, &agent, path).await;
    assert_eq!(
        own["status"], "Unverified",
        "agents may ask about themselves"
    );

    let then = now["at"].as_u64().unwrap();
    house.sign_out(&agent).await;
    let (_, after) = get(&house, &supervisor, path).await;
    assert_eq!(after["status"], "Offline");
    let (status, past) = get(&house, &supervisor, &format!("{path}?at={then}")).await;
    assert_eq!(status, StatusCode::OK);
    assert_eq!(past["status"], "Unverified");
    assert_eq!(codes(&past), ["claims_only"]);
    assert_eq!(
        past["intents"], now["intents"],
        "who has signed out since wanted the same then"
    );
    assert_eq!(past["sources"], json!({"database": {"ok": true}}));
    let (status, never) = get(&house, &supervisor, &format!("{path}?at=5")).await;
    assert_eq!(
        (status, &never["code"]),
        (StatusCode::NOT_FOUND, &json!("not_on_record"))
    );
}

#[tokio::test]
async fn without_asterisks_answer_nobody_is_proved_available() {
    let (house, agent, _) = claimed().await;
    let (status, answer) = get(&house, &agent, "/api/agents/1001/available").await;
    assert_eq!(status, StatusCode::SERVICE_UNAVAILABLE);
    assert_eq!(answer["code"], "not_proved");
}

#[tokio::test]
async fn a_forced_logout_ends_the_sessions_and_their_tokens_and_is_on_record() {
    let (house, agent, supervisor) = claimed().await;
    let path = "/api/agents/1001/logout";
    let (status, answer) = ask(&house, &supervisor, Method::POST, path, None).await;
    assert_eq!((status, &answer["pending"]), (StatusCode::OK, &json!([])));
    let online = house
        .client
        .agent_online(&agent, "1001", "sip:1001@h")
        .await;
    assert!(online.is_err(), "its token is gone");
    let (_, ledger) = get(&house, &supervisor, "/api/ledger?extension=1001").await;
    let lines = ledger["lines"].as_array().unwrap();
    let forced = lines
        .iter()
        .find(|line| line["what"] == "forced_logout")
        .unwrap();
    assert_eq!(forced["source"], "supervisor");
    let seqs: Vec<_> = lines
        .iter()
        .map(|line| line["seq"].as_i64().unwrap())
        .collect();
    assert!(seqs.is_sorted());
}

#[tokio::test]
async fn an_agent_pauses_and_a_supervisor_ends_it_and_both_are_on_record_after_a_restart() {
    let (house, agent, supervisor) = claimed().await;
    let (pause, unpause) = ("/api/agents/1001/pause", "/api/agents/1001/unpause");
    let lunch = || Some(json!({"reason": "lunch"}));
    let (status, answer) = ask(&house, &agent, Method::POST, pause, lunch()).await;
    assert_eq!(status, StatusCode::OK, "{answer}");
    let paused = &answer["agent"];
    assert_eq!(
        (&paused["status"], &paused["pause"]["reason"]),
        (&json!("Paused"), &json!("lunch")),
        "in mode claims there is no queue to ask"
    );
    let (_, colleague) = ask(
        &house,
        &agent,
        Method::POST,
        "/api/agents/1002/pause",
        lunch(),
    )
    .await;
    assert_eq!(colleague["code"], "not_allowed");
    let house = house.reopen_with(|config| config.mode = Mode::Claims).await;
    let (_, explained) = get(&house, &supervisor, "/api/agents/1001/explain").await;
    let failing: Vec<_> = explained["terms"]
        .as_array()
        .unwrap()
        .iter()
        .filter(|term| term["name"] == "not_paused")
        .map(|term| term["verdict"].as_str().unwrap())
        .collect();
    assert_eq!(failing, ["fails"], "{explained}");
    let (status, answer) = ask(&house, &supervisor, Method::POST, unpause, None).await;
    assert_eq!(status, StatusCode::OK, "{answer}");
    assert_ne!(answer["agent"]["status"], "Paused");
    let (_, ledger) = get(&house, &supervisor, "/api/ledger?extension=1001").await;
    let asked: Vec<_> = ledger["lines"]
        .as_array()
        .unwrap()
        .iter()
        .filter(|line| line["what"].as_str().unwrap().starts_with("pause"))
        .map(|line| {
            (
                line["source"].as_str().unwrap(),
                line["what"].as_str().unwrap(),
            )
        })
        .collect();
    assert_eq!(
        asked,
        [("agent", "pause_asked"), ("supervisor", "pause_end_asked")]
    );
}

#[tokio::test]
async fn a_pause_with_a_reason_that_is_no_code_or_for_nobody_is_refused_and_changes_nothing() {
    let (house, agent, supervisor) = claimed().await;
    let path = "/api/agents/1001/pause";
    let long = "a".repeat(33);
    for reason in [
        "",
        "Lunch",
        "a b",
        "a\r\nQueue: x",
        "rollcall: x",
        long.as_str(),
    ] {
        let body = json!({ "reason": reason });
        let (status, answer) = ask(&house, &agent, Method::POST, path, Some(body)).await;
        assert_eq!(
            (status, &answer["field"]),
            (StatusCode::BAD_REQUEST, &json!("reason")),
            "{reason:?}"
        );
    }
    for body in [None, Some(json!({})), Some(json!({"reason": 1}))] {
        let (status, _) = ask(&house, &agent, Method::POST, path, body).await;
        assert_eq!(status, StatusCode::BAD_REQUEST);
    }
    let of_nobody = "/api/agents/1002/pause";
    let lunch = Some(json!({"reason": "lunch"}));
    let (status, answer) = ask(&house, &supervisor, Method::POST, of_nobody, lunch).await;
    assert_eq!(
        (status, &answer["code"]),
        (StatusCode::CONFLICT, &json!("not_signed_in"))
    );
    let (_, ledger) = get(&house, &supervisor, "/api/ledger").await;
    let lines = ledger["lines"].as_array().unwrap();
    assert!(lines.iter().all(|line| line["what"] != "pause_asked"));
}

#[tokio::test]
async fn sessions_and_ledger_are_exported_as_csv_and_add_up() {
    let (house, agent, supervisor) = claimed().await;
    house.sign_out(&agent).await;
    house.client.login(&login("agent1001")).await.unwrap();
    let (_, report) = get(&house, &supervisor, "/api/reports/sessions?extension=1001").await;
    let total = &report["totals"][0];
    assert_eq!(
        (&total["logins"], &total["logouts"]),
        (&json!(2), &json!(1))
    );
    for (path, head) in [
        (
            "/api/reports/sessions?format=csv",
            "extension,device,started,online,ended,end\n",
        ),
        (
            "/api/ledger?format=csv",
            "seq,at,extension,device,kind,source,rule,what,detail\n",
        ),
    ] {
        let response = reqwest::Client::new()
            .get(house.url(path))
            .bearer_auth(&supervisor)
            .send()
            .await
            .unwrap();
        assert_eq!(
            response.headers()["content-type"],
            "text/csv; charset=utf-8"
        );
        let text = response.text().await.unwrap();
        assert!(text.starts_with(head), "{text}");
        assert!(text.lines().count() > 2, "{text}");
    }
}

#[tokio::test]
async fn a_ledger_longer_than_one_page_is_exported_whole() {
    let (house, _, supervisor) = claimed().await;
    common::execute(
        house.dir.path(),
        "INSERT INTO ledger (at, extension, kind, source, what, detail)
         WITH RECURSIVE n(i) AS (SELECT 1 UNION ALL SELECT i + 1 FROM n WHERE i < 2001)
         SELECT 1000 + i, '1007', 'observation', 'ami', 'contact_status', 'line ' || i FROM n",
    )
    .await;
    for (to, count) in [(2_000, 999), (2_001, 1_000), (2_002, 1_001), (9_000, 2_001)] {
        let path = format!("/api/ledger?format=csv&extension=1007&from=1000&to={to}");
        let asked = reqwest::Client::new()
            .get(house.url(&path))
            .bearer_auth(&supervisor);
        let text = asked.send().await.unwrap().text().await.unwrap();
        assert_eq!(text.matches("seq,at,extension").count(), 1, "one head");
        let last: Vec<_> = (text.lines().skip(1))
            .filter_map(|line| line.rsplit(',').next())
            .collect();
        let all: Vec<_> = (1..=count).map(|place| format!("line {place}")).collect();
        assert_eq!(last, all);
    }
}

#[tokio::test]
async fn a_device_policy_of_one_offers_the_takeover_that_the_second_then_makes() {
    let house = House::open_with(|config| {
        config.mode = Mode::Claims;
        config.alignment.devices = rollcall_server::config::Devices::Single;
    })
    .await;
    house
        .running
        .add_person(person("agent1003", Some("1003"), Role::Agent))
        .await
        .unwrap();
    let first = house.sign_in("agent1003").await.tokens.sip;
    house
        .client
        .agent_online(&first, "1003", "sip:1003-a@h")
        .await
        .unwrap();
    let mut other = login("agent1003");
    other.device_id = Some("device-second".into());
    let second = house.client.login(&other).await.unwrap().tokens.sip;
    let claim = |take_over: bool| json!({ "extension": "1003", "contactUri": "sip:1003-b@h", "takeOver": take_over });
    let path = "/api/users/agent-online";
    let (status, answer) = ask(&house, &second, Method::POST, path, Some(claim(false))).await;
    assert_eq!(
        (status, &answer["code"]),
        (StatusCode::CONFLICT, &json!("in_use"))
    );
    let (status, _) = ask(&house, &second, Method::POST, path, Some(claim(true))).await;
    assert_eq!(status, StatusCode::OK);
    let ended = house
        .client
        .agent_online(&first, "1003", "sip:1003-a@h")
        .await;
    assert!(ended.is_err(), "the first device's session is over");
}
