//! HTTP against servers that are away, slow, busy, or something else.

use std::{
    sync::{
        Arc,
        atomic::{AtomicU32, Ordering},
    },
    time::Duration,
};

use axum::{
    Json, Router,
    http::{HeaderMap, StatusCode},
    response::{IntoResponse as _, Response},
    routing::post,
};
use rollcall_server_client::{Client, ClientError, Timing};
use rollcall_wire::http::{AgentLogoutRequest, LoginRequest};
use serde_json::json;
use tokio::{io::AsyncWriteExt as _, net::TcpListener};
use uuid::Uuid;

fn quick() -> Timing {
    Timing {
        connect: Duration::from_millis(500),
        request: Duration::from_millis(500),
        login: Duration::from_millis(500),
        tries: 3,
    }
}

/// Answers agent-logout by `answer`, which is told how often it was asked and with which key.
async fn server(
    answer: impl Fn(u32, String) -> Response + Clone + Send + Sync + 'static,
) -> Client {
    let asked = Arc::new(AtomicU32::new(0));
    let handler = move |headers: HeaderMap| {
        let (answer, asked) = (answer.clone(), Arc::clone(&asked));
        async move {
            let key = headers["idempotency-key"].to_str().unwrap().to_owned();
            answer(asked.fetch_add(1, Ordering::SeqCst), key)
        }
    };
    let app = Router::new().route("/api/users/agent-logout", post(handler));
    let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
    let url = format!("http://{}", listener.local_addr().unwrap());
    tokio::spawn(async move { axum::serve(listener, app).await });
    Client::with_timing(&url, quick()).unwrap()
}

async fn logout(client: &Client) -> Result<Vec<String>, ClientError> {
    let request = AgentLogoutRequest::default();
    client
        .agent_logout("t", &request)
        .await
        .map(|answer| answer.pending)
}

#[tokio::test]
async fn a_server_that_is_busy_is_asked_again_under_the_same_key() {
    let keys = Arc::new(std::sync::Mutex::new(Vec::new()));
    let seen = Arc::clone(&keys);
    let client = server(move |asked, key| {
        seen.lock().unwrap().push(key);
        if asked < 2 {
            let body = json!({"code": "database_down", "message": "Later."});
            return (StatusCode::SERVICE_UNAVAILABLE, Json(body)).into_response();
        }
        Json(json!({"success": true, "pending": ["call"]})).into_response()
    })
    .await;
    assert_eq!(logout(&client).await.unwrap(), ["call"]);
    let keys = keys.lock().unwrap();
    assert_eq!(keys.len(), 3);
    assert!(keys.iter().all(|key| *key == keys[0]));
}

#[tokio::test]
async fn a_later_attempt_under_the_callers_key_carries_it_and_another_intent_does_not() {
    let keys = Arc::new(std::sync::Mutex::new(Vec::new()));
    let seen = Arc::clone(&keys);
    let client = server(move |_, key| {
        seen.lock().unwrap().push(key);
        Json(json!({"success": true, "pending": []})).into_response()
    })
    .await;
    let (request, key) = (AgentLogoutRequest::default(), Uuid::from_u128(7));
    for _ in 0..2 {
        let answer = client.under(key).agent_logout("t", &request).await;
        assert!(answer.unwrap().success);
    }
    logout(&client).await.unwrap();
    let keys = keys.lock().unwrap();
    assert_eq!(keys[..2], [key.to_string(), key.to_string()]);
    assert_ne!(keys[2], keys[0]);
}

#[tokio::test]
async fn a_refusal_is_told_at_once_with_the_servers_words() {
    let client = server(|asked, _| {
        assert_eq!(asked, 0, "a refusal is not asked again");
        let body =
            json!({"code": "wrong_extension", "message": "Not yours.", "field": "extension"});
        (StatusCode::FORBIDDEN, Json(body)).into_response()
    })
    .await;
    let ClientError::Refused { status, body } = logout(&client).await.unwrap_err() else {
        panic!("a refusal was awaited");
    };
    assert_eq!((status, body.code.as_str()), (403, "wrong_extension"));
    assert_eq!(body.field.as_deref(), Some("extension"));
}

#[tokio::test]
async fn something_else_at_the_address_is_named_so() {
    let client = server(|_, _| "<html>hello</html>".into_response()).await;
    let error = logout(&client).await.unwrap_err();
    assert!(matches!(error, ClientError::NotRollcall(_)), "{error:?}");
    assert_eq!(error.to_body().code, "not_rollcall");
    let page = server(|_, _| (StatusCode::NOT_FOUND, "<html>").into_response()).await;
    assert!(matches!(
        logout(&page).await,
        Err(ClientError::NotRollcall(_))
    ));
}

#[tokio::test]
async fn nothing_at_the_address_is_a_server_away() {
    let free = TcpListener::bind("127.0.0.1:0").await.unwrap();
    let url = format!("http://{}", free.local_addr().unwrap());
    drop(free);
    let client = Client::with_timing(&url, quick()).unwrap();
    let request = LoginRequest {
        username: "a".into(),
        password: "b".into(),
        device_id: None,
    };
    let error = client.login(&request).await.unwrap_err();
    assert!(matches!(error, ClientError::ServerAway(_)), "{error:?}");
    assert!(error.to_body().next.is_some());
}

#[tokio::test]
async fn a_server_that_never_answers_is_given_up_in_time() {
    let silent = TcpListener::bind("127.0.0.1:0").await.unwrap();
    let url = format!("http://{}", silent.local_addr().unwrap());
    let timing = Timing {
        tries: 1,
        request: Duration::from_millis(50),
        ..quick()
    };
    let client = Client::with_timing(&url, timing).unwrap();
    let error = tokio::time::timeout(Duration::from_secs(10), logout(&client))
        .await
        .expect("a bounded wait")
        .unwrap_err();
    assert!(matches!(error, ClientError::ServerAway(_)), "{error:?}");
}

/// Says `head`, then a byte at a time for ever; answers the client and how often it was asked.
async fn dripping(head: &'static [u8]) -> (Client, Arc<AtomicU32>) {
    let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
    let url = format!("http://{}", listener.local_addr().unwrap());
    let asked = Arc::new(AtomicU32::new(0));
    let counting = Arc::clone(&asked);
    tokio::spawn(async move {
        while let Ok((mut stream, _)) = listener.accept().await {
            counting.fetch_add(1, Ordering::SeqCst);
            tokio::spawn(async move {
                let mut said = stream.write_all(head).await;
                while said.is_ok() {
                    tokio::time::sleep(Duration::from_millis(10)).await;
                    said = stream.write_all(b" ").await;
                }
            });
        }
    });
    let timing = Timing {
        tries: 2,
        request: Duration::from_millis(100),
        ..quick()
    };
    (Client::with_timing(&url, timing).unwrap(), asked)
}

#[tokio::test]
async fn an_answer_that_trickles_in_is_given_up_after_its_tries() {
    let half_a_head: &[u8] = b"HTTP/1.1 200 OK\r\ncontent-type:";
    let half_a_body: &[u8] =
        b"HTTP/1.1 200 OK\r\ncontent-type: application/json\r\ncontent-length: 100000\r\n\r\n{";
    for head in [half_a_head, half_a_body] {
        let (client, asked) = dripping(head).await;
        let error = tokio::time::timeout(Duration::from_secs(10), logout(&client))
            .await
            .expect("a bounded wait")
            .unwrap_err();
        assert!(matches!(error, ClientError::ServerAway(_)), "{error:?}");
        assert_eq!(asked.load(Ordering::SeqCst), 2);
    }
}
