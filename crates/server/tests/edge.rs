//! Whatever is wrong is refused in one shape, and nothing is written.

mod common;

use common::House;
use reqwest::{RequestBuilder, StatusCode};
use rollcall_e2e::waiting::eventually;
use rollcall_wire::http::ErrorBody;
use serde_json::json;
use tokio::io::{AsyncReadExt as _, AsyncWriteExt as _};

/// Sends, and holds the answer to the one shape; answers the code and the field.
async fn refusal(request: RequestBuilder, status: StatusCode) -> (String, Option<String>) {
    let response = request.send().await.unwrap();
    let (got, kind) = (
        response.status(),
        response.headers()["content-type"]
            .to_str()
            .unwrap()
            .to_owned(),
    );
    let text = response.text().await.unwrap();
    assert_eq!(got, status, "{text}");
    assert!(kind.starts_with("application/json"), "{kind}");
    let body: ErrorBody = serde_json::from_str(&text).expect("the one shape");
    assert!(!body.message.is_empty());
    (body.code, body.field)
}

fn post(house: &House, path: &str, body: impl Into<reqwest::Body>) -> RequestBuilder {
    reqwest::Client::new()
        .post(house.url(path))
        .header("content-type", "application/json")
        .body(body)
}

const ONLINE: &str = "/api/users/agent-online";
const LOGIN: &str = "/api/users/login";

#[tokio::test]
async fn malformed_bodies_are_refused_with_what_is_wrong() {
    let house = House::open().await;
    let token = house.sign_in("agent1001").await.tokens.sip;
    let before = house.tables().await;
    let too_deep = "[".repeat(10_000);
    for (body, code, field) in [
        ("", "malformed_json", None),
        ("{", "malformed_json", None),
        (too_deep.as_str(), "malformed_json", None),
        (
            "{\"extension\": \"1001\", \"contactUri\": \"sip:a@h\"} x",
            "malformed_json",
            None,
        ),
        ("[]", "invalid_value", None),
        ("[\"1001\", \"sip:a@h\"]", "invalid_value", None),
        ("null", "invalid_value", None),
        (
            "{\"extension\": 1001, \"contactUri\": \"sip:a@h\"}",
            "invalid_value",
            Some("extension"),
        ),
        (
            "{\"extension\": \"1001\", \"contactUri\": null}",
            "invalid_value",
            Some("contactUri"),
        ),
        (
            "{\"extension\": \"1001\"}",
            "missing_field",
            Some("contactUri"),
        ),
        (
            "{\"extension\": \"1001\", \"contactUri\": \"sip:a@h\", \"admin\": true}",
            "unknown_field",
            Some("admin"),
        ),
        (
            "{\"extension\": \"1001\", \"extension\": \"1002\", \"contactUri\": \"sip:a@h\"}",
            "invalid_value",
            None,
        ),
    ] {
        let request = post(&house, ONLINE, body.to_owned()).bearer_auth(&token);
        let got = refusal(request, StatusCode::BAD_REQUEST).await;
        let shown = &body[..body.len().min(80)];
        assert_eq!(got.0, code, "{shown}");
        if field.is_some() {
            assert_eq!(got.1.as_deref(), field, "{shown}");
        }
    }
    assert_eq!(house.tables().await, before);
}

#[tokio::test]
async fn line_ends_quotes_and_sql_in_any_field_are_refused_with_the_fields_name() {
    let house = House::open().await;
    let token = house.sign_in("agent1001").await.tokens.sip;
    let before = house.tables().await;
    let nasty = [
        "1001\r\nAction: Logoff",
        "1001\n",
        "1001\"",
        "1001'",
        "1001'; DROP TABLE users; --",
        "1001 OR 1=1",
        "1001;transport=udp",
        "1001\0",
        "%s%n",
        "../../etc",
        "\u{202e}1001",
        "",
    ];
    for value in nasty {
        let body = json!({"extension": value, "contactUri": "sip:a@h"}).to_string();
        let got = refusal(
            post(&house, ONLINE, body).bearer_auth(&token),
            StatusCode::BAD_REQUEST,
        )
        .await;
        assert_eq!(
            got,
            ("invalid_value".into(), Some("extension".into())),
            "{value:?}"
        );
        let body = json!({"username": value, "password": "x"}).to_string();
        let got = refusal(post(&house, LOGIN, body), StatusCode::BAD_REQUEST).await;
        assert_eq!(got.1.as_deref(), Some("username"), "{value:?}");
    }
    for value in [
        "sip:1001@h\r\nContact: <sip:evil@h>",
        "sip:1001@h\"",
        "sip:1001@h'; DELETE FROM ps_contacts; --",
        "<sip:1001@h>",
        "sip:1001@h, sip:1002@h",
        "http://h",
        "1001",
        "",
    ] {
        let body = json!({"extension": "1001", "contactUri": value}).to_string();
        let got = refusal(
            post(&house, ONLINE, body).bearer_auth(&token),
            StatusCode::BAD_REQUEST,
        )
        .await;
        assert_eq!(got.1.as_deref(), Some("contactUri"), "{value:?}");
    }
    assert_eq!(house.tables().await, before);
}

#[tokio::test]
async fn another_agents_extension_is_refused_403_and_nothing_is_written() {
    let house = House::open().await;
    let token = house.sign_in("agent1001").await.tokens.sip;
    let before = house.tables().await;
    let body = json!({"extension": "1002", "contactUri": "sip:1002@h"}).to_string();
    let request = post(&house, ONLINE, body).bearer_auth(&token);
    let got = refusal(request, StatusCode::FORBIDDEN).await;
    assert_eq!(got, ("wrong_extension".into(), Some("extension".into())));
    let supervisor = house.sign_in("supervisor").await.tokens.sip;
    let body = json!({"extension": "1001", "contactUri": "sip:1001@h"}).to_string();
    let request = post(&house, ONLINE, body).bearer_auth(&supervisor);
    assert_eq!(
        refusal(request, StatusCode::FORBIDDEN).await.0,
        "wrong_extension"
    );
    let after = house.tables().await;
    assert_eq!(
        (&after["users"], &after["ps_contacts"]),
        (&before["users"], &before["ps_contacts"])
    );
}

#[tokio::test]
async fn without_a_token_that_lives_nothing_is_answered() {
    let house = House::open().await;
    let body = || json!({"extension": "1001", "contactUri": "sip:a@h"}).to_string();
    let none = refusal(post(&house, ONLINE, body()), StatusCode::UNAUTHORIZED).await;
    assert_eq!(none.0, "missing_token");
    for token in ["x", "' OR 1=1 --", &"A".repeat(43), &"A".repeat(4_000)] {
        let request = post(&house, ONLINE, body()).bearer_auth(token);
        assert_eq!(
            refusal(request, StatusCode::UNAUTHORIZED).await.0,
            "invalid_token"
        );
    }
    let logout = post(&house, "/api/users/agent-logout", "");
    assert_eq!(
        refusal(logout, StatusCode::UNAUTHORIZED).await.0,
        "missing_token"
    );
}

#[tokio::test]
async fn a_body_over_64_kib_is_refused_whether_it_says_so_or_not() {
    let house = House::open().await;
    let big = format!("{{\"username\": \"{}\"}}", "a".repeat(65_536));
    let said = refusal(
        post(&house, LOGIN, big.clone()),
        StatusCode::PAYLOAD_TOO_LARGE,
    )
    .await;
    assert_eq!(said.0, "body_too_large");
    let chunks = big
        .into_bytes()
        .chunks(8_000)
        .map(<[u8]>::to_vec)
        .collect::<Vec<_>>();
    let stream = futures_util::stream::iter(chunks.into_iter().map(Ok::<_, std::io::Error>));
    let unsaid = post(&house, LOGIN, reqwest::Body::wrap_stream(stream));
    assert_eq!(
        refusal(unsaid, StatusCode::PAYLOAD_TOO_LARGE).await.0,
        "body_too_large"
    );
    let huge = refusal(
        post(&house, LOGIN, vec![b'1'; 1 << 21]),
        StatusCode::PAYLOAD_TOO_LARGE,
    );
    assert_eq!(huge.await.0, "body_too_large");
    house.sign_in("agent1001").await;
}

#[tokio::test]
async fn an_array_is_no_logout() {
    let house = House::open().await;
    let token = house.sign_in("agent1001").await.tokens.sip;
    let logout =
        |body: &'static str| post(&house, "/api/users/agent-logout", body).bearer_auth(&token);
    for body in [
        "[]",
        "null",
        "{\"reason\": \"a\\r\\nb\"}",
        "{\"deviceId\": \"'; --\"}",
    ] {
        let got = refusal(logout(body), StatusCode::BAD_REQUEST).await;
        assert_eq!(got.0, "invalid_value", "{body}");
    }
    assert_eq!(logout("").send().await.unwrap().status(), StatusCode::OK);
}

#[tokio::test]
async fn an_unknown_address_a_wrong_method_and_a_wrong_kind_have_the_same_shape() {
    let house = House::open().await;
    let client = reqwest::Client::new();
    let nowhere = client.get(house.url("/nowhere"));
    assert_eq!(refusal(nowhere, StatusCode::NOT_FOUND).await.0, "not_found");
    let method = client.get(house.url(LOGIN));
    assert_eq!(
        refusal(method, StatusCode::METHOD_NOT_ALLOWED).await.0,
        "method_not_allowed"
    );
    let form = client
        .post(house.url(LOGIN))
        .header("content-type", "application/x-www-form-urlencoded")
        .body("username=a");
    assert_eq!(
        refusal(form, StatusCode::UNSUPPORTED_MEDIA_TYPE).await.0,
        "not_json"
    );
}

#[tokio::test]
async fn a_request_that_never_ends_is_answered_in_time() {
    let house = House::open_with(|config| config.limits.request_timeout_ms = 50).await;
    let never = futures_util::stream::pending::<Result<Vec<u8>, std::io::Error>>();
    let request = post(&house, LOGIN, reqwest::Body::wrap_stream(never));
    assert_eq!(
        refusal(request, StatusCode::SERVICE_UNAVAILABLE).await.0,
        "too_slow"
    );
}

#[tokio::test]
async fn health_and_readiness_are_told() {
    let house = House::open().await;
    house.client.healthz().await.unwrap();
    let ready = reqwest::get(house.url("/readyz")).await.unwrap();
    assert_eq!(ready.status(), StatusCode::OK);
}

#[tokio::test]
async fn a_database_that_cannot_be_written_is_said_so_and_nothing_is_down() {
    let house = House::open_with(|config| {
        config.database.busy_timeout_ms = 20;
        config.limits.request_timeout_ms = 60_000;
    })
    .await;
    let token = house.sign_in("supervisor").await.tokens.sip;
    let mut other = common::lock(house.dir.path()).await;
    let body = serde_json::to_string(&common::login("agent1001")).unwrap();
    let refused = refusal(post(&house, LOGIN, body), StatusCode::SERVICE_UNAVAILABLE).await;
    assert_eq!(refused.0, "database_down");
    // What is known is still served.
    common::watch(&house.client, &token).await;
    common::unlock(&mut other).await;
    house.sign_in("agent1001").await;
}

#[tokio::test]
async fn absurd_headers_are_refused_and_half_a_request_holds_nobody_up() {
    let house = House::open().await;
    let huge = reqwest::Client::new()
        .get(house.url("/healthz"))
        .header("x-long", "a".repeat(64 * 1024))
        .send()
        .await;
    assert!(huge.is_err() || huge.unwrap().status() == 431);
    let mut half = tokio::net::TcpStream::connect(house.running.http_addr())
        .await
        .unwrap();
    half.write_all(b"POST /api/users/login HTTP/1.1\r\nhost: x\r\n")
        .await
        .unwrap();
    house.client.healthz().await.unwrap();
}

#[tokio::test]
async fn who_finds_no_room_waits_until_there_is() {
    let house = House::open_with(|config| config.limits.connections = 1).await;
    let mut first = tokio::net::TcpStream::connect(house.running.http_addr())
        .await
        .unwrap();
    first
        .write_all(b"GET /healthz HTTP/1.1\r\nhost: x\r\n\r\n")
        .await
        .unwrap();
    let mut answer = [0_u8; 12];
    first.read_exact(&mut answer).await.unwrap();
    assert_eq!(&answer, b"HTTP/1.1 200");
    let client = house.client.clone();
    let second = tokio::spawn(async move { client.healthz().await });
    drop(first);
    second.await.unwrap().unwrap();
}

/// A client at one of this machine's own addresses, which are many.
#[cfg(target_os = "linux")]
fn at(address: &str) -> reqwest::Client {
    let address: std::net::IpAddr = address.parse().unwrap();
    let client = reqwest::Client::builder().local_address(address).no_proxy();
    client.build().unwrap()
}

/// Waits until a request is let in, which was not as long as another's place was not given back.
#[cfg(target_os = "linux")]
async fn let_in(what: &str, request: impl Fn() -> RequestBuilder) {
    eventually(what, common::PATIENCE, async || {
        let status = request().send().await.map(|answer| answer.status());
        match status {
            Ok(StatusCode::OK) => Ok(()),
            other => Err(format!("{other:?}")),
        }
    })
    .await;
}

#[cfg(target_os = "linux")]
fn figure(house: &House, door: &str, kind: &str) -> Option<String> {
    let figures = house.running.metrics().render().unwrap();
    let name = format!("rollcall_refusals_total{{door=\"{door}\",kind=\"{kind}\"}} ");
    let found = figures.lines().find_map(|line| line.strip_prefix(&name));
    found.map(str::to_owned)
}

#[cfg(target_os = "linux")]
#[tokio::test]
async fn one_address_has_its_share_of_the_connections_and_others_have_the_rest() {
    let house = House::open_with(|config| {
        config.limits.connections = 4;
        config.limits.connections_per_address = 2;
    })
    .await;
    let own = async || {
        let address = house.running.http_addr();
        tokio::net::TcpStream::connect(address).await.unwrap()
    };
    let held = [own().await, own().await];
    // It is served once its turn to be accepted has come, after those two.
    let health = || at("127.0.0.1").get(house.url("/healthz"));
    let refused = refusal(health(), StatusCode::TOO_MANY_REQUESTS).await;
    assert_eq!(refused.0, "too_many_connections");
    let answer = health().send().await.unwrap();
    assert_eq!(answer.headers()["connection"], "close");
    assert_eq!(answer.headers()["retry-after"], "5");
    assert_eq!(
        figure(&house, "connection", "too_many_connections").unwrap(),
        "2"
    );
    let elsewhere = at("127.0.0.2").get(house.url("/healthz")).send().await;
    assert_eq!(elsewhere.unwrap().status(), StatusCode::OK);
    drop(held);
    let_in("a place that was given back", health).await;
}

#[cfg(target_os = "linux")]
#[tokio::test]
async fn socketio_sessions_that_poll_are_counted_though_they_hold_no_connection() {
    let house = House::open_with(|config| {
        config.limits.sockets = 3;
        config.limits.sockets_per_address = 2;
    })
    .await;
    let polling = house.url("/socket.io/?EIO=4&transport=polling");
    // One connection carries all that one client asks.
    let (one, other) = (at("127.0.0.1"), at("127.0.0.2"));
    let first = one.get(&polling).send().await.unwrap();
    assert_eq!(first.status(), StatusCode::OK);
    let opened = first.text().await.unwrap();
    let opened: serde_json::Value = serde_json::from_str(&opened[1..]).unwrap();
    let sid = opened["sid"].as_str().unwrap();
    assert_eq!(
        one.get(&polling).send().await.unwrap().status(),
        StatusCode::OK
    );
    let refused = refusal(one.get(&polling), StatusCode::TOO_MANY_REQUESTS).await;
    assert_eq!(refused.0, "too_many_sockets");
    let upgrade = one.get(house.url("/socket.io/?EIO=4&transport=websocket"));
    let refused = refusal(upgrade, StatusCode::TOO_MANY_REQUESTS).await;
    assert_eq!(refused.0, "too_many_sockets");
    assert_eq!(
        other.get(&polling).send().await.unwrap().status(),
        StatusCode::OK
    );
    let refused = refusal(other.get(&polling), StatusCode::SERVICE_UNAVAILABLE).await;
    assert_eq!(refused.0, "full");
    assert_eq!(figure(&house, "socketio", "too_many_sockets").unwrap(), "2");
    assert_eq!(figure(&house, "socketio", "full").unwrap(), "1");
    let figures = house.running.metrics().render().unwrap();
    assert!(figures.contains("rollcall_sockets 3\n"), "{figures}");
    // Everything else is answered meanwhile, and a session that ends gives its place back.
    house.client.healthz().await.unwrap();
    let close = one.post(format!("{polling}&sid={sid}")).body("1");
    assert_eq!(close.send().await.unwrap().status(), StatusCode::OK);
    let_in("a session that ended made room", || other.get(&polling)).await;
}

/// The server at 127.0.0.1 trusts what a proxy at 127.0.0.3 says, and nobody else's word.
#[cfg(target_os = "linux")]
#[tokio::test]
async fn who_stands_behind_a_trusted_proxy_is_known_by_it_and_an_untrusted_ones_word_is_nothing() {
    let house = House::open_with(|config| {
        config.trusted = vec!["127.0.0.3".parse().unwrap()];
        config.limits.connections_per_address = 1;
        config.limits.sockets_per_address = 1;
        config.auth.failures_allowed = 2;
    })
    .await;
    let (proxy, stranger) = (at("127.0.0.3"), at("127.0.0.4"));
    let guess = |client: &reqwest::Client, of: &str| {
        let mut body = common::login("agent1001");
        body.password = "wrong".into();
        let request = client.post(house.url(LOGIN)).header("x-forwarded-for", of);
        request.json(&body).send()
    };
    let status =
        async |client: &reqwest::Client, of: &str| guess(client, of).await.unwrap().status();
    for _ in 0..2 {
        assert_eq!(
            status(&proxy, "203.0.113.1").await,
            StatusCode::UNAUTHORIZED
        );
    }
    assert_eq!(
        status(&proxy, "203.0.113.1").await,
        StatusCode::TOO_MANY_REQUESTS
    );
    // What stands before the proxy's own word is the client's.
    let lie = "203.0.113.7, 203.0.113.1";
    assert_eq!(status(&proxy, lie).await, StatusCode::TOO_MANY_REQUESTS);
    assert_eq!(
        status(&proxy, "203.0.113.2").await,
        StatusCode::UNAUTHORIZED
    );
    // Whoever else says so is themselves, whatever they say.
    for lie in ["203.0.113.3", "203.0.113.4"] {
        assert_eq!(status(&stranger, lie).await, StatusCode::UNAUTHORIZED);
    }
    assert_eq!(
        status(&stranger, "203.0.113.5").await,
        StatusCode::TOO_MANY_REQUESTS
    );
    // Shares are theirs too: the proxy itself has as many connections as it needs.
    let polling = |of: &str| {
        let request = at("127.0.0.3").get(house.url("/socket.io/?EIO=4&transport=polling"));
        request.header("x-forwarded-for", of)
    };
    for of in ["203.0.113.1", "203.0.113.2"] {
        assert_eq!(polling(of).send().await.unwrap().status(), StatusCode::OK);
        let refused = refusal(polling(of), StatusCode::TOO_MANY_REQUESTS).await;
        assert_eq!(refused.0, "too_many_sockets");
    }
}

/// Asks until it is refused for asking too often: a slow machine is refused later, and refused all the same.
async fn until_too_often(request: impl Fn() -> RequestBuilder) -> usize {
    for asked in 0..5_000 {
        let answer = request().send().await.unwrap();
        if answer.status() != StatusCode::TOO_MANY_REQUESTS {
            continue;
        }
        let wait = answer.headers()["retry-after"].to_str().unwrap().parse();
        assert!(wait.is_ok_and(|seconds: u64| (1..=20).contains(&seconds)));
        let body: ErrorBody = answer.json().await.unwrap();
        assert_eq!(body.code, "too_many_requests");
        assert!(body.next.is_some());
        return asked;
    }
    panic!("asking too often is never refused");
}

#[cfg(target_os = "linux")]
#[tokio::test]
async fn an_address_that_asks_without_end_is_told_to_wait_and_its_heartbeats_are_heard_meanwhile() {
    let house = House::open_with(|config| config.limits.requests_per_address = 2).await;
    let token = house.sign_in("agent1001").await.tokens.sip;
    house.online(&token).await;
    let polling = house.url("/socket.io/?EIO=4&transport=polling");
    let one = at("127.0.0.1");
    let opened = one
        .get(&polling)
        .send()
        .await
        .unwrap()
        .text()
        .await
        .unwrap();
    let opened: serde_json::Value = serde_json::from_str(&opened[1..]).unwrap();
    let own = format!("{polling}&sid={}", opened["sid"].as_str().unwrap());
    let say = async |words: String| {
        let said = one.post(&own).body(words).send().await.unwrap();
        assert_eq!(said.status(), StatusCode::OK);
    };
    say(format!("40{}", json!({ "token": token }))).await;
    let hear = async || {
        let heard = one.get(&own).send().await.unwrap();
        assert_eq!(heard.status(), StatusCode::OK);
        heard.text().await.unwrap()
    };
    // Perhaps after a ping.
    eventually("it is let in", common::PATIENCE, async || {
        let heard = hear().await;
        let is_in = heard
            .split('\u{1e}')
            .any(|packet| packet.starts_with("42[\"agents:snapshot\""));
        is_in.then_some(()).ok_or(heard)
    })
    .await;
    // Twenty seconds' worth, less what was asked above.
    let asked = until_too_often(|| one.get(house.url("/healthz"))).await;
    assert!(asked >= 30, "{asked}");
    // Who names a session that is not there asks like anybody.
    for sid in ["AAAAAAAAAAAAAAAA", "anything", ""] {
        let named = format!("{polling}&sid={sid}");
        until_too_often(|| one.get(&named)).await;
        until_too_often(|| one.post(&named).body("3")).await;
    }
    // The session that is goes on as if nothing were.
    let vitals = json!({ "deviceId": common::device_of("agent1001"), "tick": 1, "registered": true,
        "sipLoopMs": 1, "audioOk": true, "calls": 0 });
    say(format!("42{}", json!(["device:heartbeat", vitals]))).await;
    eventually("its heartbeat is heard", common::PATIENCE, async || {
        say("42[\"agents:resync\"]".to_owned()).await;
        let heard = hear().await;
        (heard.contains("\"lease\":true").then_some(())).ok_or(heard)
    })
    .await;
    until_too_often(|| one.get(house.url("/healthz"))).await;
    let elsewhere = at("127.0.0.2").get(house.url("/healthz")).send().await;
    assert_eq!(elsewhere.unwrap().status(), StatusCode::OK);
    let counted: u64 = (figure(&house, "http", "too_many_requests").unwrap())
        .parse()
        .unwrap();
    assert!(counted >= 2, "{counted}");
}

#[tokio::test]
async fn an_account_that_asks_without_end_is_told_to_wait_and_others_are_answered() {
    let house = House::open_with(|config| config.limits.requests_per_account = 2).await;
    let token = house.sign_in("agent1001").await.tokens.sip;
    let other = house.sign_in("agent1002").await.tokens.sip;
    let online = |token: &str, extension: &str| {
        let body = json!({ "extension": extension, "contactUri": format!("sip:{extension}@h") });
        post(&house, ONLINE, body.to_string()).bearer_auth(token)
    };
    let asked = until_too_often(|| online(&token, "1001")).await;
    assert!(asked >= 40, "{asked}");
    let answered = online(&other, "1002").send().await.unwrap();
    assert_eq!(answered.status(), StatusCode::OK);
    // Under a key of its own, too, and that is not what its retry hears once it may ask again.
    let keyed = || online(&token, "1001").header("idempotency-key", "one");
    eventually("it may ask again", common::PATIENCE, async || match keyed()
        .send()
        .await
        .map(|answer| answer.status())
    {
        Ok(StatusCode::OK) => Ok(()),
        other => Err(format!("{other:?}")),
    })
    .await;
}
