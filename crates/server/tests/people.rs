//! People in an administrator's hands.

mod common;

use std::collections::BTreeSet;

use common::{House, PASSWORD, PATIENCE, SIP_PASSWORD, login, person, watch};
use reqwest::{Method, StatusCode};
use rollcall_server::config::Mode;
use rollcall_server_client::RealtimeEvent;
use rollcall_wire::{
    http::{LoginRequest, Role},
    people::{Act, Imported},
    realtime::AgentsSnapshot,
};
use serde_json::{Value, json};

/// A house with an administrator, and the administrator's token.
async fn administered() -> (House, String) {
    administered_in(Mode::Mirror).await
}

async fn administered_in(mode: Mode) -> (House, String) {
    let house = House::open_with(|config| config.mode = mode).await;
    let admin = person("admin", None, Role::Admin);
    house.running.add_person(admin).await.unwrap();
    let token = house.sign_in("admin").await.tokens.sip;
    (house, token)
}

async fn ask(
    house: &House,
    token: &str,
    method: Method,
    path: &str,
    body: Value,
) -> (StatusCode, Value) {
    let response = reqwest::Client::new()
        .request(method, house.url(path))
        .bearer_auth(token)
        .json(&body)
        .send()
        .await
        .unwrap();
    let status = response.status();
    (status, response.json().await.unwrap())
}

async fn change(house: &House, token: &str, who: &str, body: Value) -> (StatusCode, String) {
    let path = format!("/api/people/{who}");
    let (status, body) = ask(house, token, Method::PATCH, &path, body).await;
    (status, body["code"].as_str().unwrap_or_default().to_owned())
}

async fn people(house: &House, token: &str) -> Vec<(String, String, bool)> {
    let (status, body) = ask(house, token, Method::GET, "/api/people", json!({})).await;
    assert_eq!(status, 200);
    let text = |value: &Value| value.as_str().unwrap_or_default().to_owned();
    let people = body["people"].as_array().unwrap();
    people
        .iter()
        .map(|one| {
            (
                text(&one["username"]),
                text(&one["role"]),
                one["disabled"] == true,
            )
        })
        .collect()
}

async fn acts(house: &House, token: &str) -> Vec<Act> {
    let (status, body) = ask(house, token, Method::GET, "/api/audit", json!({})).await;
    assert_eq!(status, 200);
    serde_json::from_value(body["acts"].clone()).unwrap()
}

fn with(username: &str, password: &str) -> LoginRequest {
    LoginRequest {
        password: password.into(),
        ..login(username)
    }
}

/// Why a sign-in is refused.
async fn refused(house: &House, request: &LoginRequest) -> String {
    house
        .client
        .login(request)
        .await
        .unwrap_err()
        .code()
        .to_owned()
}

#[tokio::test]
async fn who_is_added_signs_in_and_every_act_is_in_the_audit_log_without_a_secret() {
    let (house, token) = administered().await;
    let body = json!({"username": "agent1003", "extension": "1003", "role": "agent",
        "password": PASSWORD, "sipPassword": SIP_PASSWORD});
    let (status, _) = ask(&house, &token, Method::POST, "/api/people", body.clone()).await;
    assert_eq!(status, 201);
    let (status, again) = ask(&house, &token, Method::POST, "/api/people", body).await;
    assert_eq!((status.as_u16(), &again["code"]), (409, &json!("taken")));
    let session = house.sign_in("agent1003").await;
    assert_eq!(session.user.pjsip.unwrap().password, SIP_PASSWORD);
    let (_, _, board) = watch(&house.client, &token).await;
    assert!(board.agents.iter().any(|agent| agent.extension == "1003"));

    assert_eq!(
        change(&house, &token, "agent1003", json!({"role": "supervisor"}))
            .await
            .0,
        200
    );
    assert_eq!(
        change(&house, &token, "agent1003", json!({"disabled": true}))
            .await
            .0,
        200
    );
    let (_watching, mut events, before) = watch(&house.client, &token).await;
    let has_1003 = |board: &AgentsSnapshot| board.agents.iter().any(|row| row.extension == "1003");
    assert!(has_1003(&before));
    let (status, _) = ask(
        &house,
        &token,
        Method::DELETE,
        "/api/people/agent1003",
        json!({}),
    )
    .await;
    assert_eq!(status, 200);
    // Every dashboard begins anew, without them.
    let after = loop {
        match common::next(&mut events).await {
            RealtimeEvent::Snapshot(after) => break after,
            RealtimeEvent::Status(_) => {}
            other => panic!("a snapshot was awaited, and {other:?} came"),
        }
    };
    assert!(!has_1003(&after));
    assert!(
        !people(&house, &token)
            .await
            .iter()
            .any(|(name, ..)| name == "agent1003")
    );

    let acts = acts(&house, &token).await;
    let by_admin: Vec<_> = acts
        .iter()
        .filter(|act| act.actor == "admin")
        .map(|act| {
            (
                act.action.as_str(),
                act.target.as_deref(),
                act.detail.as_str(),
            )
        })
        .collect();
    assert_eq!(
        by_admin,
        [
            ("person_removed", Some("agent1003"), ""),
            ("person_disabled", Some("agent1003"), ""),
            ("role_set", Some("agent1003"), "supervisor"),
            ("person_added", Some("agent1003"), "agent, extension 1003"),
        ]
    );
    assert_eq!(acts[0].address.as_deref(), Some("127.0.0.1"));
    let said = format!("{acts:?}");
    assert!(!said.contains(PASSWORD) && !said.contains(SIP_PASSWORD));
}

#[tokio::test]
async fn who_is_disabled_is_signed_out_everywhere_at_once_and_in_again_when_enabled() {
    let (house, token) = administered().await;
    let session = house.sign_in("agent1001").await;
    let (_link, mut events, _) = watch(&house.client, &session.tokens.sip).await;
    assert_eq!(
        change(&house, &token, "agent1001", json!({"disabled": true}))
            .await
            .0,
        200
    );
    let told = async {
        loop {
            match common::next(&mut events).await {
                RealtimeEvent::SessionEnded(_) => return,
                RealtimeEvent::Status(_) => {}
                other => panic!("the end of the session was awaited, and {other:?} came"),
            }
        }
    };
    tokio::time::timeout(PATIENCE, told).await.unwrap();
    let online = house
        .client
        .agent_online(&session.tokens.sip, "1001", "sip:1001@h")
        .await;
    assert_eq!(online.unwrap_err().code(), "invalid_token");
    let refresh = house.client.refresh(&session.tokens.refresh).await;
    assert_eq!(refresh.unwrap_err().code(), "invalid_token");
    // Only who knows the password learns that the account is there.
    assert_eq!(
        refused(&house, &login("agent1001")).await,
        "account_disabled"
    );
    assert_eq!(
        refused(&house, &with("agent1001", "wrong")).await,
        "wrong_credentials"
    );
    assert_eq!(
        change(&house, &token, "agent1001", json!({"disabled": false}))
            .await
            .0,
        200
    );
    house.sign_in("agent1001").await;
}

#[tokio::test]
async fn the_last_administrator_is_neither_disabled_nor_demoted_nor_removed() {
    let (house, token) = administered().await;
    let last = (StatusCode::CONFLICT, "last_admin".to_owned());
    assert_eq!(
        change(&house, &token, "admin", json!({"disabled": true})).await,
        last
    );
    assert_eq!(
        change(&house, &token, "Admin", json!({"role": "agent"})).await,
        last
    );
    let (status, body) = ask(
        &house,
        &token,
        Method::DELETE,
        "/api/people/admin",
        json!({}),
    )
    .await;
    assert_eq!(
        (status.as_u16(), &body["code"]),
        (409, &json!("still_active"))
    );
    assert_eq!(
        acts(&house, &token)
            .await
            .iter()
            .filter(|act| act.actor == "admin")
            .count(),
        0
    );
    // Of two, one may go, and the other is the last then.
    assert_eq!(
        change(&house, &token, "supervisor", json!({"role": "admin"}))
            .await
            .0,
        200
    );
    let other = house.sign_in("supervisor").await.tokens.sip;
    assert_eq!(
        change(&house, &other, "admin", json!({"disabled": true}))
            .await
            .0,
        200
    );
    assert_eq!(
        change(&house, &other, "supervisor", json!({"role": "agent"})).await,
        last
    );
    let (status, _) = ask(
        &house,
        &other,
        Method::DELETE,
        "/api/people/admin",
        json!({}),
    )
    .await;
    assert_eq!(status, 200);
}

#[tokio::test]
async fn a_password_that_is_changed_ends_the_other_sessions_and_one_that_is_reset_ends_all() {
    let (house, token) = administered().await;
    let here = house.sign_in("supervisor").await.tokens.sip;
    let there = LoginRequest {
        device_id: Some("another-device".into()),
        ..login("supervisor")
    };
    let there = house.client.login(&there).await.unwrap().tokens.sip;
    let own = "/api/users/password";
    let wrong = json!({"password": "wrong", "newPassword": "a better one"});
    let (status, body) = ask(&house, &here, Method::POST, own, wrong).await;
    assert_eq!(
        (status.as_u16(), &body["code"]),
        (401, &json!("wrong_credentials"))
    );
    let short = json!({"password": PASSWORD, "newPassword": "short"});
    assert_eq!(ask(&house, &here, Method::POST, own, short).await.0, 400);
    let right = json!({"password": PASSWORD, "newPassword": "a better one"});
    assert_eq!(ask(&house, &here, Method::POST, own, right).await.0, 200);
    assert_eq!(
        refused(&house, &login("supervisor")).await,
        "wrong_credentials"
    );
    watch(&house.client, &here).await;
    let logout = |token: String| {
        let client = house.client.clone();
        async move { client.agent_logout(&token, &Default::default()).await }
    };
    assert_eq!(logout(there).await.unwrap_err().code(), "invalid_token");

    let reset = json!({"password": "the best of all"});
    let path = "/api/people/supervisor/password";
    assert_eq!(ask(&house, &token, Method::POST, path, reset).await.0, 200);
    assert_eq!(logout(here).await.unwrap_err().code(), "invalid_token");
    house
        .client
        .login(&with("supervisor", "the best of all"))
        .await
        .unwrap();
}

#[tokio::test]
async fn an_import_adds_everybody_or_nobody_and_its_dry_run_says_which() {
    let (house, token) = administered().await;
    let import = async |csv: &str, dry_run: bool| -> Imported {
        let body = json!({"csv": csv, "dryRun": dry_run});
        let (status, body) = ask(&house, &token, Method::POST, "/api/people-import", body).await;
        assert_eq!(status, 200, "{body}");
        serde_json::from_value(body).unwrap()
    };
    let before = people(&house, &token).await;
    let bad = "username,password,extension,sip_password\n\
               new-one,long enough,2001,sip-secret\n\
               AGENT1001,long enough,2002,sip-secret\n\
               new-two,long enough,2001,sip-secret\n";
    for dry_run in [true, false] {
        let imported = import(bad, dry_run).await;
        let lines: Vec<_> = imported
            .errors
            .iter()
            .map(|error| (error.line, error.field.as_deref().unwrap_or_default()))
            .collect();
        assert_eq!(
            (imported.added, lines),
            (0, vec![(3, "username"), (4, "extension")])
        );
        assert_eq!(people(&house, &token).await, before);
    }
    let good =
        format!("username,password,role\nnew-one,{PASSWORD},supervisor\nnew-two,{PASSWORD},\n");
    let dry = import(&good, true).await;
    assert_eq!(
        (dry.good, dry.added, people(&house, &token).await),
        (2, 0, before)
    );
    assert_eq!(import(&good, false).await.added, 2);
    house.sign_in("new-one").await;
    house.sign_in("new-two").await;
}

#[tokio::test]
async fn somebody_who_is_not_there_is_said_so() {
    let (house, token) = administered().await;
    let gone = (StatusCode::NOT_FOUND, "unknown_person".to_owned());
    assert_eq!(
        change(&house, &token, "nobody", json!({"disabled": true})).await,
        gone
    );
    let nothing = change(&house, &token, "agent1001", json!({})).await;
    assert_eq!(
        nothing,
        (StatusCode::BAD_REQUEST, "missing_field".to_owned())
    );
}

/// Asks for what is refused, and sees that nothing came of it.
async fn refused_whole(house: &House, token: &str, asked: &[(Method, &str, Value, u16)]) {
    for (method, path, body, wanted) in asked {
        let before = (house.tables().await, auths(house).await);
        let (status, said) = ask(house, token, method.clone(), path, body.clone()).await;
        assert_eq!(status.as_u16(), *wanted, "{method} {path} {body}: {said}");
        let after = (house.tables().await, auths(house).await);
        assert_eq!(after, before, "{method} {path} {body}");
    }
}

async fn auths(house: &House) -> Vec<Vec<(String, String)>> {
    let there = "SELECT CAST(COUNT(*) AS TEXT) AS n FROM sqlite_master WHERE name = 'ps_auths'";
    match common::query(house.dir.path(), there).await[0][0]
        .1
        .as_str()
    {
        "0" => Vec::new(),
        _ => common::query(house.dir.path(), "SELECT id, password FROM ps_auths").await,
    }
}

#[tokio::test]
async fn what_is_refused_in_part_is_refused_whole() {
    let (house, token) = administered().await;
    house.sign_in("agent1001").await;
    let reset = "/api/people/agent1001/password";
    let bad_sip = json!({"password": "a better one", "sipPassword": "a\r\nb"});
    let short = json!({"password": "short", "sipPassword": "a good one"});
    let both = json!({"password": "a better one", "sipPassword": "a good one"});
    let last = json!({"role": "admin", "disabled": true});
    let nobody = "/api/people/nobody/password";
    refused_whole(
        &house,
        &token,
        &[
            (Method::POST, reset, bad_sip, 400),
            (Method::POST, reset, short, 400),
            (Method::POST, nobody, both.clone(), 404),
            (Method::PATCH, "/api/people/admin", last, 409),
            (Method::DELETE, "/api/people/agent1001", json!({}), 409),
            (Method::DELETE, "/api/people/nobody", json!({}), 404),
        ],
    )
    .await;
    // What is so already changes nothing, and is no act.
    let (same, enabled) = (json!({"role": "agent"}), json!({"disabled": false}));
    let who = "/api/people/agent1001";
    refused_whole(
        &house,
        &token,
        &[
            (Method::PATCH, who, same, 200),
            (Method::PATCH, who, enabled, 200),
        ],
    )
    .await;
    let (status, _) = ask(&house, &token, Method::POST, reset, both).await;
    assert_eq!(status, 200);
    let session = house.client.login(&with("agent1001", "a better one")).await;
    assert_eq!(session.unwrap().user.pjsip.unwrap().password, "a good one");
}

#[tokio::test]
async fn removing_who_is_active_changes_nothing_where_rows_are_kept_for_asterisk_either() {
    let house = House::open_with(|config| {
        config.mode = Mode::Shared;
        config.provision.realtime = true;
    })
    .await;
    let admin = person("admin", None, Role::Admin);
    house.running.add_person(admin).await.unwrap();
    let token = house.sign_in("admin").await.tokens.sip;
    house.sign_in("agent1001").await;
    let who = "/api/people/agent1001";
    refused_whole(&house, &token, &[(Method::DELETE, who, json!({}), 409)]).await;
    // Who is disabled, and was never signed in, goes; their endpoint stays, and is closed.
    let password = async || {
        let of = "SELECT password FROM ps_auths WHERE id = '1002'";
        common::query(house.dir.path(), of).await
    };
    let other = "/api/people/agent1002";
    let disabled = json!({"disabled": true});
    let (status, _) = ask(&house, &token, Method::PATCH, other, disabled).await;
    assert_eq!(status, 200);
    let closed = password().await;
    assert_ne!(closed[0][0].1, SIP_PASSWORD);
    let (status, _) = ask(&house, &token, Method::DELETE, other, json!({})).await;
    assert_eq!(status, 200);
    let after = password().await;
    assert!(after.len() == 1 && after != closed, "{after:?}");
    assert_ne!(after[0][0].1, SIP_PASSWORD);
}

#[tokio::test]
async fn a_forced_logout_is_in_the_audit_log_with_who_did_it_to_whom() {
    let (house, token) = administered().await;
    let agent = house.sign_in("agent1001").await.tokens.sip;
    house.online(&agent).await;
    let path = "/api/agents/1001/logout";
    let (status, _) = ask(&house, &token, Method::POST, path, json!({})).await;
    assert_eq!(status, 200);
    let forced = acts(&house, &token)
        .await
        .into_iter()
        .find(|act| act.action == "forced_logout")
        .expect("it is in the audit log");
    assert_eq!(
        (forced.actor.as_str(), forced.target.as_deref()),
        ("admin", Some("1001"))
    );
    assert_eq!(forced.address.as_deref(), Some("127.0.0.1"));
}

/// What an administrator or a supervisor may do and an agent may not, with the line of the audit log that it leaves.
#[tokio::test]
async fn every_privileged_act_is_in_the_audit_log() {
    let (house, token) = administered_in(Mode::Claims).await;
    let agent = house.sign_in("agent1001").await.tokens.sip;
    house.online(&agent).await;
    let person = json!({"username": "new-one", "role": "agent", "password": PASSWORD});
    let csv = format!("username,password\nnew-two,{PASSWORD}\n");
    let acts_of = [
        ("POST", "/api/people", person, "person_added"),
        (
            "POST",
            "/api/people-import",
            json!({"csv": csv}),
            "person_added",
        ),
        (
            "POST",
            "/api/people/{new-one}/password",
            json!({"password": "another one"}),
            "password_reset",
        ),
        (
            "PATCH",
            "/api/people/{new-one}",
            json!({"disabled": true}),
            "person_disabled",
        ),
        (
            "DELETE",
            "/api/people/{new-one}",
            json!(null),
            "person_removed",
        ),
        (
            "POST",
            "/api/agents/{1001}/pause",
            json!({"reason": "lunch"}),
            "paused",
        ),
        (
            "POST",
            "/api/agents/{1001}/unpause",
            json!({}),
            "pause_ended",
        ),
        (
            "POST",
            "/api/agents/{1001}/logout",
            json!({}),
            "forced_logout",
        ),
    ];
    let mut expected = Vec::new();
    for (method, path, body, act) in &acts_of {
        let path = path.replace(['{', '}'], "");
        let method = Method::from_bytes(method.as_bytes()).unwrap();
        let (status, said) = ask(&house, &token, method, &path, body.clone()).await;
        assert!(status.is_success(), "{path}: {status} {said}");
        expected.insert(0, (*act).to_owned());
        let noted = acts(&house, &token).await;
        let by_admin: Vec<_> = noted.iter().filter(|act| act.actor == "admin").collect();
        assert!(by_admin.iter().all(|act| act.address.is_some()));
        let actions: Vec<_> = by_admin.iter().map(|act| act.action.clone()).collect();
        assert_eq!(actions, expected, "{path}");
    }
    // These are all: whatever else changes something is everybody's own.
    let document = reqwest::get(house.url("/api/openapi.json")).await.unwrap();
    let document: Value = document.json().await.unwrap();
    let mut changing = BTreeSet::new();
    for (path, methods) in document["paths"].as_object().unwrap() {
        for method in methods.as_object().unwrap().keys() {
            if method != "get" && !path.starts_with("/api/users/") {
                let path = path
                    .replace("{username}", "{new-one}")
                    .replace("{extension}", "{1001}");
                changing.insert(format!("{} {path}", method.to_uppercase()));
            }
        }
    }
    let tried = acts_of.map(|(method, path, ..)| format!("{method} {path}"));
    assert_eq!(changing, BTreeSet::from(tried));
}

#[tokio::test]
async fn what_an_agent_does_of_their_own_is_no_privileged_act() {
    let (house, token) = administered_in(Mode::Claims).await;
    let agent = house.sign_in("agent1001").await.tokens.sip;
    house.online(&agent).await;
    for (path, body) in [
        ("/api/agents/1001/pause", json!({"reason": "lunch"})),
        ("/api/agents/1001/unpause", json!({})),
    ] {
        let (status, said) = ask(&house, &agent, Method::POST, path, body).await;
        assert!(status.is_success(), "{said}");
    }
    let noted = acts(&house, &token).await;
    assert!(noted.iter().all(|act| act.actor == "(command line)"));
}
