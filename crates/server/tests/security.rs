//! Who may what, from where, with which token; and what an attacker gets.
#![cfg(unix)]

mod common;

use std::{
    collections::BTreeSet,
    path::{Path, PathBuf},
    time::Duration,
};

use common::{House, PASSWORD, PATIENCE, device_of, login, person, watch};
use nix::sys::resource::{Resource, getrlimit, setrlimit};
use rcgen::{CertifiedKey, generate_simple_self_signed};
use reqwest::{Certificate, Method, RequestBuilder, StatusCode, header::HeaderMap};
use rollcall_e2e::injection::{self, Asked};
use rollcall_server::config::TlsConfig;
use rollcall_server_client::{Client, Realtime, RealtimeEvent};
use rollcall_wire::{
    explain,
    http::{self, ErrorBody, Role},
    people,
};
use serde_json::{Value, json};
use tokio::{io::AsyncReadExt as _, net::TcpStream};

/// What each endpoint answers nobody, an agent, a supervisor and an administrator.
///
/// The bodies ask for nothing that changes who may what: a refusal behind the door (400, 404, 409)
/// is as good as a 200.
fn doors() -> Vec<(Method, &'static str, Value, [u16; 4])> {
    let everybody = [200; 4];
    let signed = |agent, others| [401, agent, others, others];
    let admin = |status| [401, 403, 403, status];
    let supervisors = [401, 403, 200, 200];
    let online = json!({"extension": "1001", "contactUri": "sip:1001@127.0.0.1"});
    let own = json!({"password": PASSWORD, "newPassword": "short"});
    let csv = json!({"csv": "username,password\n", "dryRun": true});
    vec![
        (Method::GET, "/healthz", json!(null), everybody),
        (Method::GET, "/readyz", json!(null), everybody),
        (Method::POST, "/api/users/login", json!({}), [400; 4]),
        (
            Method::POST,
            "/api/users/refresh",
            json!({"refresh": "x"}),
            [401; 4],
        ),
        (
            Method::POST,
            "/api/users/agent-online",
            online,
            signed(200, 403),
        ),
        (Method::POST, "/api/users/password", own, signed(400, 400)),
        (Method::GET, "/api/people", json!(null), admin(200)),
        (Method::POST, "/api/people", json!({}), admin(400)),
        (
            Method::PATCH,
            "/api/people/nobody",
            json!({"disabled": true}),
            admin(404),
        ),
        (
            Method::DELETE,
            "/api/people/nobody",
            json!(null),
            admin(404),
        ),
        (
            Method::POST,
            "/api/people/nobody/password",
            json!({}),
            admin(400),
        ),
        (Method::POST, "/api/people-import", csv, admin(200)),
        (Method::GET, "/api/audit", json!(null), admin(200)),
        (
            Method::GET,
            "/api/agents/1002/explain",
            json!(null),
            supervisors,
        ),
        // There is no Asterisk here that could prove it.
        (
            Method::GET,
            "/api/agents/1002/available",
            json!(null),
            signed(503, 503),
        ),
        (
            Method::POST,
            "/api/agents/1002/logout",
            json!({}),
            supervisors,
        ),
        // Nobody is signed in with it.
        (
            Method::POST,
            "/api/agents/1002/pause",
            json!({"reason": "lunch"}),
            [401, 403, 409, 409],
        ),
        (
            Method::POST,
            "/api/agents/1002/unpause",
            json!(null),
            [401, 403, 409, 409],
        ),
        (Method::GET, "/api/ledger", json!(null), supervisors),
        (
            Method::GET,
            "/api/reports/sessions",
            json!(null),
            supervisors,
        ),
        (Method::GET, "/api/reports/drift", json!(null), supervisors),
        // Last: it ends the session.
        (
            Method::POST,
            "/api/users/agent-logout",
            json!({}),
            signed(200, 200),
        ),
    ]
}

#[tokio::test]
async fn every_endpoint_opens_to_the_roles_it_is_for_and_to_no_other() {
    let house = House::open().await;
    let admin = person("admin", None, Role::Admin);
    house.running.add_person(admin).await.unwrap();
    let mut tokens = vec![None];
    for name in ["agent1001", "supervisor", "admin"] {
        tokens.push(Some(house.sign_in(name).await.tokens.sip));
    }
    let client = reqwest::Client::new();
    let mut wrong = Vec::new();
    for (method, path, body, expected) in doors() {
        for (token, expected) in tokens.iter().zip(expected) {
            let mut request = client.request(method.clone(), house.url(path));
            if !body.is_null() {
                request = request.json(&body);
            }
            if let Some(token) = token {
                request = request.bearer_auth(token);
            }
            let response = request.send().await.unwrap();
            let status = response.status().as_u16();
            let text = response.text().await.unwrap();
            let in_shape = status < 400 || serde_json::from_str::<ErrorBody>(&text).is_ok();
            if status != expected || !in_shape {
                let who = token.as_ref().map(|_| "somebody");
                wrong.push(format!(
                    "{method} {path} {who:?}: {status}, not {expected}: {text}"
                ));
            }
        }
    }
    assert!(wrong.is_empty(), "{wrong:#?}");
}

#[tokio::test]
async fn the_openapi_document_names_every_endpoint_and_no_other() {
    let house = House::open().await;
    let document = reqwest::get(house.url("/api/openapi.json")).await.unwrap();
    let document: Value = document.json().await.unwrap();
    let mut named = Vec::new();
    for (path, methods) in document["paths"].as_object().unwrap() {
        for method in methods.as_object().unwrap().keys() {
            named.push(format!(
                "{} {}",
                method.to_uppercase(),
                path.replace("{username}", "nobody")
                    .replace("{extension}", "1002")
            ));
        }
    }
    let mut tried: Vec<String> = doors()
        .iter()
        .map(|(method, path, ..)| format!("{method} {path}"))
        .collect();
    named.sort();
    tried.sort();
    assert_eq!(named, tried);
}

/// A body refuses a field that it does not know, and says which ones it does.
#[test]
fn the_openapi_document_names_every_field_of_every_body() {
    fn fields<T: serde::de::DeserializeOwned>() -> BTreeSet<String> {
        let unknown = serde_json::from_str::<T>(r#"{"noSuchField": 1}"#).err();
        let words = unknown.expect("it is refused").to_string();
        let expected = words.split("expected").nth(1).unwrap_or_default();
        let quoted = expected.split('`').skip(1).step_by(2);
        quoted.map(str::to_owned).collect()
    }
    let document: Value = serde_json::from_str(include_str!("../src/routes/openapi.json")).unwrap();
    let of_path = |path: &str| {
        document["paths"][path]["post"]["requestBody"]["content"]["application/json"]["schema"]
            .clone()
    };
    let named = |name: &str| document["components"]["schemas"][name].clone();
    for (name, known) in [
        ("Login", fields::<http::LoginRequest>()),
        ("Refresh", fields::<http::RefreshRequest>()),
        ("Online", fields::<http::AgentOnlineRequest>()),
        ("Logout", fields::<http::AgentLogoutRequest>()),
        ("AddPerson", fields::<people::AddPerson>()),
        ("ChangePerson", fields::<people::ChangePerson>()),
        ("ResetPassword", fields::<people::ResetPassword>()),
        ("ChangePassword", fields::<people::ChangePassword>()),
        ("Import", fields::<people::ImportPeople>()),
        (explain::FORCE_LOGOUT, fields::<explain::ForceLogout>()),
        (explain::PAUSE, fields::<explain::Pause>()),
    ] {
        let schema = match name.starts_with('/') {
            true => of_path(name),
            false => named(name),
        };
        let fields = schema["properties"].as_object().unwrap();
        let documented: BTreeSet<String> = fields.keys().cloned().collect();
        assert!(!known.is_empty(), "{name}");
        assert_eq!(documented, known, "{name}");
    }
}

#[tokio::test]
async fn a_token_that_was_copied_to_another_device_opens_nothing_there() {
    let house = House::open().await;
    let own = house.client.clone().of_device(device_of("agent1001"));
    let session = own.login(&login("agent1001")).await.unwrap();
    let (token, refresh) = (session.tokens.sip, session.tokens.refresh);
    let none = house.client.clone();
    let other = house.client.clone().of_device("another-device-01");
    for thief in [&none, &other] {
        let online = thief.agent_online(&token, "1001", "sip:1001@h").await;
        assert_eq!(online.unwrap_err().code(), "wrong_device");
        let logout = thief.agent_logout(&token, &Default::default()).await;
        assert_eq!(logout.unwrap_err().code(), "wrong_device");
        assert_eq!(
            thief.refresh(&refresh).await.unwrap_err().code(),
            "wrong_device"
        );
        let (_link, mut events) = Realtime::connect(thief, token.clone());
        let RealtimeEvent::Rejected(words) = common::next(&mut events).await else {
            panic!("a copied token opened the board");
        };
        assert_eq!(words.code, "wrong_device");
    }
    // Whom it belongs to goes on.
    watch(&own, &token).await;
    let renewed = own.refresh(&refresh).await.unwrap().tokens.sip;
    own.agent_logout(&renewed, &Default::default())
        .await
        .unwrap();
    for over in [&token, &renewed] {
        let replay = own.agent_online(over, "1001", "sip:1001@h").await;
        assert_eq!(replay.unwrap_err().code(), "invalid_token");
    }
    let mismatch = other.login(&login("agent1001")).await.unwrap_err();
    assert_eq!(mismatch.code(), "invalid_value");
}

#[tokio::test]
async fn a_browser_is_told_to_keep_other_sites_pages_out_unless_they_are_named() {
    let preflight = async |house: &House, origin: &str| -> HeaderMap {
        let request = reqwest::Client::new()
            .request(Method::OPTIONS, house.url("/api/users/login"))
            .header("origin", origin)
            .header("access-control-request-method", "POST")
            .header("access-control-request-headers", "content-type");
        request.send().await.unwrap().headers().clone()
    };
    let allowed = |headers: &HeaderMap| headers.get("access-control-allow-origin").cloned();
    let closed = House::open().await;
    assert_eq!(
        allowed(&preflight(&closed, "https://evil.example").await),
        None
    );
    let site = "https://board.example.com";
    let open = House::open_with(|config| config.origins = vec![site.into()]).await;
    let headers = preflight(&open, site).await;
    assert_eq!(allowed(&headers).unwrap(), site);
    assert!(headers.get("access-control-allow-credentials").is_none());
    assert_eq!(
        allowed(&preflight(&open, "https://evil.example").await),
        None
    );
}

#[tokio::test]
async fn a_thousand_connections_that_never_speak_keep_nobody_out_and_are_closed() {
    let (soft, hard) = getrlimit(Resource::RLIMIT_NOFILE).unwrap();
    setrlimit(Resource::RLIMIT_NOFILE, hard.min(soft.max(4_096)), hard).unwrap();
    let house = House::open_with(|config| config.limits.headers_timeout_ms = 3_000).await;
    let mut silent = Vec::new();
    for _ in 0..1_000 {
        silent.push(TcpStream::connect(house.running.http_addr()).await.unwrap());
    }
    house.sign_in("agent1001").await;
    let closed = async {
        for stream in &mut silent {
            assert_eq!(stream.read(&mut [0]).await.unwrap_or(0), 0);
        }
    };
    tokio::time::timeout(PATIENCE, closed).await.unwrap();
    let figures = house.running.metrics().render().unwrap();
    let line = "rollcall_refusals_total{door=\"connection\",kind=\"silent\"} 1000";
    assert!(figures.contains(line), "{figures}");
}

/// Asks as an administrator, where nothing else is said; `agent-online` as the agent whose extension it is.
fn to_send(
    (client, house): (&reqwest::Client, &House),
    asked: &Asked,
    agent: &str,
    admin: &str,
) -> RequestBuilder {
    let method = Method::from_bytes(asked.method.as_bytes()).unwrap();
    let mut request = client.request(method, house.url(&asked.path));
    if asked
        .headers
        .iter()
        .all(|(name, _)| name != "authorization")
    {
        let is_agents = asked.path == http::AGENT_ONLINE;
        request = request.bearer_auth(if is_agents { agent } else { admin });
    }
    for (name, value) in &asked.headers {
        request = request.header(name, value);
    }
    match &asked.body {
        Some(body) => request.json(body),
        None => request,
    }
}

#[tokio::test]
async fn whatever_is_typed_into_any_field_is_data_and_nothing_else() {
    let house = House::open_with(|config| {
        // Each wrong password is to be looked at, and each request be answered.
        let auth = &mut config.auth;
        for allowed in [
            &mut auth.failures_allowed,
            &mut auth.account_failures_allowed,
            &mut auth.address_failures_allowed,
            &mut config.limits.requests_per_account,
        ] {
            *allowed = 1_000_000;
        }
    })
    .await;
    let admin = person("admin", None, Role::Admin);
    house.running.add_person(admin).await.unwrap();
    let admin = house.sign_in("admin").await.tokens.sip;
    let agent = house.sign_in("agent1001").await.tokens.sip;
    let tables = async || {
        let people = "SELECT id, username, extension, role, password_hash, hex(sip_secret), disabled_at FROM users";
        let schema = "SELECT type, name, sql FROM sqlite_master";
        let acts = "SELECT id, actor, action, target, detail FROM audit";
        let mut all = Vec::new();
        for sql in [people, schema, acts] {
            all.push(common::query(house.dir.path(), sql).await);
        }
        all
    };
    let before = tables().await;
    let document = reqwest::get(house.url(http::OPENAPI)).await.unwrap();
    let document: Value = document.json().await.unwrap();
    let client = reqwest::Client::new();
    let (mut wrong, mut places) = (Vec::new(), BTreeSet::new());
    for asked in injection::injected(&document) {
        let response = to_send((&client, &house), &asked, &agent, &admin);
        let response = response.send().await.unwrap();
        let (status, said) = (response.status(), response.text().await.unwrap());
        // There is no Asterisk here that could prove it.
        let is_refused = serde_json::from_str::<ErrorBody>(&said)
            .is_ok_and(|body| status.is_client_error() || body.code == "not_proved");
        if !is_refused && !status.is_success() {
            wrong.push(format!("{asked:?}: {status} {said}"));
        }
        places.insert(asked.place);
    }
    assert!(wrong.is_empty(), "{wrong:#?}");
    assert!(places.len() > 100, "{places:#?}");
    assert_eq!(tables().await, before);
    // What may be any text is that text, and comes back as it was.
    house.sign_out(&agent).await;
    let mut kept = 0;
    for text in injection::STRINGS {
        let body = json!({"password": text, "sipPassword": text});
        let path = house.url("/api/people/agent1002/password");
        let request = client.post(path).bearer_auth(&admin);
        let response = request.json(&body).send().await.unwrap();
        let (status, said) = (response.status(), response.text().await.unwrap());
        let is_text = !text.contains(char::is_control);
        assert_eq!(status.is_success(), is_text, "{text:?}: {said}");
        if status.is_success() {
            kept += 1;
            let request = http::LoginRequest {
                password: text.into(),
                ..login("agent1002")
            };
            let session = house.client.login(&request).await.unwrap();
            assert_eq!(session.user.pjsip.unwrap().password, text);
        }
    }
    assert!(kept > 6, "{kept}");
}

/// Puts a new certificate for 127.0.0.1 into a folder, and answers it.
fn certify(folder: &Path) -> (TlsConfig, Certificate) {
    let CertifiedKey { cert, signing_key } =
        generate_simple_self_signed(["127.0.0.1".to_owned()]).unwrap();
    let files = TlsConfig {
        certificate: folder.join("chain.pem"),
        key: folder.join("key.pem"),
    };
    let put = |path: &PathBuf, text: String| std::fs::write(path, text).unwrap();
    put(&files.key, signing_key.serialize_pem());
    put(&files.certificate, cert.pem());
    (files, Certificate::from_pem(cert.pem().as_bytes()).unwrap())
}

async fn health(url: &str, trusted: &Certificate) -> Result<StatusCode, reqwest::Error> {
    let client = reqwest::Client::builder()
        .tls_certs_only([trusted.clone()])
        .build()?;
    Ok(client.get(url).send().await?.status())
}

#[tokio::test]
async fn tls_is_spoken_and_a_renewed_certificate_is_taken_up_without_a_restart() {
    // One provider a process; the client has the same.
    let _ = Client::new("https://127.0.0.1").unwrap();
    let folder = tempfile::tempdir().unwrap();
    let (files, first) = certify(folder.path());
    let house = House::open_with(|config| config.tls = Some(files)).await;
    let url = format!("https://{}/healthz", house.running.http_addr());
    assert_eq!(health(&url, &first).await.unwrap(), StatusCode::OK);
    let clear = reqwest::get(house.url("/healthz")).await;
    assert!(clear.is_err(), "it speaks TLS only");
    // A broken file changes nothing; a whole one does.
    std::fs::write(folder.path().join("chain.pem"), "nonsense").unwrap();
    let (_, second) = certify(folder.path());
    let renewed = async {
        while health(&url, &second).await.is_err() {
            tokio::time::sleep(Duration::from_millis(100)).await;
        }
    };
    tokio::time::timeout(PATIENCE, renewed).await.unwrap();
    assert!(health(&url, &first).await.is_err());
}

#[tokio::test]
async fn a_key_that_does_not_fit_its_certificate_is_said_at_start() {
    let folder = tempfile::tempdir().unwrap();
    let (files, _) = certify(folder.path());
    let other = tempfile::tempdir().unwrap();
    let (theirs, _) = certify(other.path());
    let mut config = common::config(folder.path());
    config.tls = Some(TlsConfig {
        key: theirs.key,
        ..files
    });
    let words = rollcall_server::start(config)
        .await
        .unwrap_err()
        .to_string();
    assert!(words.contains("TLS"), "{words}");
}
