//! Every endpoint of the alignment, with every role and every wrong input: the right code, the one shape, and nothing
//! written.

mod common;

use std::collections::BTreeMap;

use common::{House, login, person};
use reqwest::{Client, Method, StatusCode};
use rollcall_wire::http::{AgentLogoutRequest, ErrorBody, Role};
use serde_json::{Value, json};

/// Who asks.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
enum Who {
    Nobody,
    /// With a token that never was one.
    Stranger,
    /// With a refresh token in an access token's place.
    Refreshing,
    /// With a token whose time is over.
    Expired,
    /// With a token that was signed out.
    SignedOut,
    /// Extension 1001.
    Agent,
    Supervisor,
    Admin,
}

use Who::*;

const WITHOUT_SESSION: [Who; 5] = [Nobody, Stranger, Refreshing, Expired, SignedOut];

/// An endpoint, asked rightly; `{}` is the extension.
struct Door {
    method: Method,
    path: &'static str,
    body: Value,
    /// Whom it refuses for their role, asked about an extension that is not theirs.
    closed_to: &'static [Who],
}

fn doors() -> Vec<Door> {
    let door = |method, path, body, closed_to| Door {
        method,
        path,
        body,
        closed_to,
    };
    let online = json!({ "extension": "1002", "contactUri": "sip:1002@192.0.2.7" });
    vec![
        door(
            Method::POST,
            "/api/users/agent-online",
            online,
            &[Agent, Supervisor, Admin],
        ),
        door(Method::POST, "/api/users/agent-logout", json!({}), &[]),
        door(Method::GET, "/api/agents/{}/explain", Value::Null, &[Agent]),
        door(Method::GET, "/api/agents/{}/available", Value::Null, &[]),
        door(Method::POST, "/api/agents/{}/logout", json!({}), &[Agent]),
        door(
            Method::POST,
            "/api/agents/{}/pause",
            json!({ "reason": "lunch" }),
            &[Agent],
        ),
        door(
            Method::POST,
            "/api/agents/{}/unpause",
            Value::Null,
            &[Agent],
        ),
        door(Method::GET, "/api/ledger", Value::Null, &[Agent]),
        door(Method::GET, "/api/ledger?format=csv", Value::Null, &[Agent]),
        door(Method::GET, "/api/reports/sessions", Value::Null, &[Agent]),
        door(
            Method::GET,
            "/api/reports/sessions?format=csv",
            Value::Null,
            &[Agent],
        ),
        door(Method::GET, "/api/reports/drift", Value::Null, &[Agent]),
        door(
            Method::GET,
            "/api/reports/drift?format=csv",
            Value::Null,
            &[Agent],
        ),
    ]
}

/// What no extension may be, as it stands in a URL.
const NO_EXTENSION: [&str; 9] = [
    "10%0D%0AAction:%20Logoff",
    "1001%22",
    "1001%27%20OR%201=1--",
    "1001%3B",
    "1001%5E3B",
    "1001%00",
    "..%2F1001",
    "%E2%80%AE1001",
    "123456789012345678901234567890123",
];

/// A server, a token of each kind, and what it had written before anybody asked wrongly.
struct Asked {
    house: House,
    client: Client,
    tokens: BTreeMap<Who, String>,
    before: Written,
    wrong: Vec<String>,
}

/// Every row that an answer may change, and how many intents are on the ledger.
type Written = (BTreeMap<String, Vec<String>>, Vec<Vec<(String, String)>>);

async fn written(house: &House) -> Written {
    let intents = "SELECT CAST(COUNT(*) AS TEXT) FROM ledger WHERE kind = 'intent'";
    let intents = common::query(house.dir.path(), intents).await;
    (house.tables().await, intents)
}

impl Asked {
    async fn open() -> Self {
        let house = House::open().await;
        let admin = person("admin", None, Role::Admin);
        house.running.add_person(admin).await.unwrap();
        let mut tokens = BTreeMap::from([(Stranger, "x".repeat(43))]);
        let agent = house.sign_in("agent1001").await;
        tokens.insert(Agent, agent.tokens.sip);
        tokens.insert(Refreshing, agent.tokens.refresh);
        tokens.insert(Supervisor, house.sign_in("supervisor").await.tokens.sip);
        tokens.insert(Admin, house.sign_in("admin").await.tokens.sip);
        let gone = house.sign_in("agent1002").await.tokens.sip;
        let everything = AgentLogoutRequest::default();
        house.client.agent_logout(&gone, &everything).await.unwrap();
        tokens.insert(SignedOut, gone);
        tokens.insert(Expired, house.sign_in("agent1002").await.tokens.sip);
        common::execute(
            house.dir.path(),
            "UPDATE tokens SET expires_at = 1 WHERE kind = 'access' AND session_id IN
                 (SELECT s.id FROM sessions s JOIN users u ON u.id = s.user_id
                  WHERE u.username = 'agent1002')",
        )
        .await;
        let before = written(&house).await;
        Self {
            house,
            client: Client::new(),
            tokens,
            before,
            wrong: Vec::new(),
        }
    }

    /// Asks, and notes whatever is not a refusal with this status and, where one is named, this code.
    async fn refused(&mut self, who: Who, request: Request<'_>, status: u16, code: &str) {
        let (method, path) = (request.method.clone(), request.path.clone());
        let url = self.house.url(&request.path);
        let mut sent = self.client.request(request.method, url);
        if let Some(token) = self.tokens.get(&who) {
            sent = sent.bearer_auth(token);
        }
        if let Some(key) = request.key {
            sent = sent.header("idempotency-key", key);
        }
        if let Some(body) = request.body {
            sent = sent.header("content-type", request.kind).body(body);
        }
        let response = sent.send().await.unwrap();
        let got = response.status().as_u16();
        let text = response.text().await.unwrap();
        let said = serde_json::from_str::<ErrorBody>(&text);
        let fits = said.is_ok_and(|body| code.is_empty() || body.code == code);
        if got != status || !fits {
            let wanted = format!("{status} {code}");
            let path: String = path.chars().take(80).collect();
            self.wrong.push(format!(
                "{who:?} {method} {path}: {got} {text}, not {wanted}"
            ));
        }
    }

    /// Nothing was answered wrongly, and nothing written.
    async fn nothing_came_of_it(self) {
        assert!(self.wrong.is_empty(), "{:#?}", self.wrong);
        assert_eq!(written(&self.house).await, self.before);
    }
}

struct Request<'a> {
    method: Method,
    path: String,
    body: Option<Vec<u8>>,
    kind: &'a str,
    key: Option<&'a str>,
}

impl Door {
    fn of(&self, extension: &str) -> Request<'static> {
        Request {
            method: self.method.clone(),
            path: self.path.replace("{}", extension),
            body: (!self.body.is_null()).then(|| self.body.to_string().into_bytes()),
            kind: "application/json",
            key: None,
        }
    }

    fn with(&self, body: impl Into<Vec<u8>>) -> Request<'static> {
        Request {
            body: Some(body.into()),
            ..self.of("1001")
        }
    }
}

#[tokio::test]
async fn who_has_no_session_or_not_the_role_is_refused_and_nothing_is_written() {
    let mut asked = Asked::open().await;
    for door in doors() {
        for who in WITHOUT_SESSION {
            let code = match who {
                Nobody => "missing_token",
                _ => "invalid_token",
            };
            asked.refused(who, door.of("1002"), 401, code).await;
        }
        for who in door.closed_to {
            let code = match door.path {
                "/api/users/agent-online" => "wrong_extension",
                _ => "not_allowed",
            };
            asked.refused(*who, door.of("1002"), 403, code).await;
        }
    }
    // Whose an extension is matters, not whether it is anybody's.
    let own = doors()
        .into_iter()
        .find(|door| door.path.ends_with("/logout"));
    asked
        .refused(Agent, own.unwrap().of("1001"), 403, "not_allowed")
        .await;
    asked.nothing_came_of_it().await;
}

#[tokio::test]
async fn an_extension_that_is_none_or_nobodys_is_refused_and_nothing_is_written() {
    let mut asked = Asked::open().await;
    let huge = "1".repeat(6_000);
    for door in doors() {
        if door.path.contains("{}") {
            for extension in NO_EXTENSION.into_iter().chain([huge.as_str()]) {
                let request = door.of(extension);
                asked
                    .refused(Supervisor, request, 400, "invalid_value")
                    .await;
            }
            let request = door.of("9999");
            asked
                .refused(Supervisor, request, 404, "unknown_extension")
                .await;
        } else if door.method == Method::GET {
            for extension in NO_EXTENSION.into_iter().chain([huge.as_str()]) {
                let join = if door.path.contains('?') { '&' } else { '?' };
                let mut request = door.of("");
                request.path = format!("{}{join}extension={extension}", door.path);
                asked
                    .refused(Supervisor, request, 400, "invalid_value")
                    .await;
            }
        }
    }
    asked.nothing_came_of_it().await;
}

#[tokio::test]
async fn a_body_that_is_none_is_refused_and_nothing_is_written() {
    let mut asked = Asked::open().await;
    for door in doors().iter().filter(|door| door.method == Method::POST) {
        let who = match door.closed_to {
            [Agent] => Supervisor,
            _ => Agent,
        };
        for (body, code) in [
            ("{", "malformed_json"),
            ("{} x", "malformed_json"),
            ("\u{0}", "malformed_json"),
            ("[]", "invalid_value"),
            ("null", "invalid_value"),
            ("\"1001\"", "invalid_value"),
            ("{\"admin\": true}", "unknown_field"),
        ] {
            asked.refused(who, door.with(body), 400, code).await;
        }
        let large = format!("{{\"reason\": \"{}\"}}", "a".repeat(70_000));
        asked
            .refused(who, door.with(large), 413, "body_too_large")
            .await;
        let form = Request {
            kind: "application/x-www-form-urlencoded",
            ..door.with("extension=1001")
        };
        asked.refused(who, form, 415, "not_json").await;
        let mut wrong_method = door.of("1001");
        wrong_method.method = Method::PUT;
        asked
            .refused(who, wrong_method, 405, "method_not_allowed")
            .await;
    }
    asked.nothing_came_of_it().await;
}

#[tokio::test]
async fn a_field_of_the_wrong_kind_or_with_anothers_syntax_is_refused_and_nothing_is_written() {
    let mut asked = Asked::open().await;
    let [online, logout, _, _, force, ..] = &doors()[..] else {
        unreachable!()
    };
    let whole = json!({ "extension": "1001", "contactUri": "sip:1001@192.0.2.7" });
    let of = |whole: &Value, field: &str, value: &Value| {
        let mut body = whole.clone();
        body[field] = value.clone();
        body.to_string()
    };
    let syntax = ["a\r\nAction: Logoff", "\"1001\"", "1';--", "1001\u{0}", ""];
    let kinds = [json!(7), json!(true), json!([]), json!({}), Value::Null];
    for value in syntax.map(Value::from).iter().chain(&kinds) {
        for field in ["extension", "contactUri"] {
            let request = online.with(of(&whole, field, value));
            asked.refused(Agent, request, 400, "invalid_value").await;
        }
    }
    for device in [
        json!("a\r\nb-device"),
        json!("short"),
        json!("'; DROP TABLE"),
        json!(1),
    ] {
        for (who, door) in [(Agent, logout), (Supervisor, force)] {
            let request = door.with(of(&json!({}), "deviceId", &device));
            asked.refused(who, request, 400, "invalid_value").await;
        }
    }
    for flag in [json!("yes"), json!(1), Value::Null] {
        let request = force.with(of(&json!({}), "endCalls", &flag));
        asked
            .refused(Supervisor, request, 400, "invalid_value")
            .await;
        let request = online.with(of(&whole, "takeOver", &flag));
        asked.refused(Agent, request, 400, "invalid_value").await;
    }
    for reason in [json!("a\r\nb"), json!("a".repeat(201)), json!(7)] {
        let request = logout.with(of(&json!({}), "reason", &reason));
        asked.refused(Agent, request, 400, "invalid_value").await;
    }
    for (who, door) in [(Agent, logout), (Supervisor, force)] {
        let nobodys = json!({ "deviceId": "device-of-nobody" });
        asked
            .refused(who, door.with(nobodys.to_string()), 404, "")
            .await;
    }
    asked.nothing_came_of_it().await;
}

#[tokio::test]
async fn a_question_about_no_time_or_in_no_form_is_refused_and_nothing_is_written() {
    let mut asked = Asked::open().await;
    let explain = |query: &str| format!("/api/agents/1001/explain?{query}");
    let mut paths: Vec<String> = ["at=yesterday", "at=-1", "at=1%0d%0a", "at=1&at=2", "when=1"]
        .map(explain)
        .to_vec();
    for report in ["/api/ledger", "/api/reports/sessions", "/api/reports/drift"] {
        for query in [
            "from=9&to=3",
            "from=x",
            "to=-1",
            "after=-1",
            "after=x",
            "format=xml",
            "format=csv%0d%0a",
            "since=1",
        ] {
            paths.push(format!("{report}?{query}"));
        }
    }
    for path in paths {
        let request = Request {
            method: Method::GET,
            path,
            body: None,
            kind: "",
            key: None,
        };
        asked
            .refused(Supervisor, request, 400, "invalid_value")
            .await;
    }
    asked.nothing_came_of_it().await;
}

#[tokio::test]
async fn a_key_that_is_none_is_refused_and_one_that_is_replayed_writes_nothing_more() {
    let mut asked = Asked::open().await;
    let [online, logout, ..] = &doors()[..] else {
        unreachable!()
    };
    let claim = |contact: &str| json!({ "extension": "1001", "contactUri": contact }).to_string();
    let long = "k".repeat(129);
    for key in ["", "two words", long.as_str()] {
        for request in [online.with(claim("sip:1001@h")), logout.with("{}")] {
            let request = Request {
                key: Some(key),
                ..request
            };
            asked.refused(Agent, request, 400, "invalid_value").await;
        }
    }
    assert_eq!(written(&asked.house).await, asked.before);

    let token = asked.tokens[&Agent].clone();
    let house = &asked.house;
    let send = async |key: &str, path: &str, body: String| {
        let request = asked.client.post(house.url(path)).bearer_auth(&token);
        let request = request.header("idempotency-key", key);
        let request = request.header("content-type", "application/json");
        let response = request.body(body).send().await.unwrap();
        (response.status(), response.text().await.unwrap())
    };
    let first = send("of-online", online.path, claim("sip:1001@h")).await;
    assert_eq!(first.0, StatusCode::OK);
    let after = written(house).await;
    assert_ne!(after, asked.before);
    assert_eq!(
        send("of-online", online.path, claim("sip:1001@h")).await,
        first
    );
    let other = send("of-online", online.path, claim("sip:1001-b@h")).await;
    assert_eq!(other.0, StatusCode::CONFLICT);
    assert_eq!(written(house).await, after);

    let of_another = send("of-online", logout.path, "{}".to_owned()).await;
    assert_eq!(of_another.0, StatusCode::CONFLICT);
    assert_eq!(written(house).await, after);
    let first = send("of-logout", logout.path, "{}".to_owned()).await;
    assert_eq!(first.0, StatusCode::OK);
    let after = written(house).await;
    assert_eq!(send("of-logout", logout.path, "{}".to_owned()).await, first);
    let other = json!({ "reason": "another" }).to_string();
    assert_eq!(
        send("of-logout", logout.path, other).await.0,
        StatusCode::CONFLICT
    );
    // A key is its token's: who signs in anew asks anew.
    let again = house.client.login(&login("agent1001")).await.unwrap();
    let claimed = house
        .client
        .agent_online(&again.tokens.sip, "1001", "sip:1001@h")
        .await;
    assert!(claimed.unwrap().agent.online);
    assert_ne!(written(house).await, after);
}
