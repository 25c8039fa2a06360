//! Idempotency keys: the same request under the same key is answered the same, and done once.
//!
//! The key is looked up before the token is judged: a logout ends its own token, and the retry of
//! one whose answer was lost must hear that answer, not a 401. The answers are kept in memory, for
//! as long as a client retries. What a restart in between may not forget lies in the database, in
//! the transaction that did the thing: the answer to a refresh with the token that was traded, a
//! logout in its session's end. An agent-online is done again, and answered with what is so by then.

use std::{
    collections::HashMap,
    sync::{Arc, Mutex, PoisonError},
    time::{Duration, Instant},
};

use axum::{
    body::{Body, Bytes, to_bytes},
    http::{HeaderMap, HeaderValue, StatusCode, header},
    response::Response,
};
use rollcall_wire::IDEMPOTENCY_KEY_HEADER;
use sha2::{Digest as _, Sha256};
use tokio::sync::OnceCell;

use super::{ApiError, Edge};
use crate::{
    clock,
    db::{KeyHash, TokenHash},
};

/// How long an answer is kept.
const KEPT: Duration = Duration::from_millis(KEPT_MS);
/// The same in ms, for what the database keeps.
pub(super) const KEPT_MS: u64 = 600_000;
/// Answers kept; beyond that the oldest go.
const ANSWERS: usize = 16_384;
/// The longest key that is taken.
const LONGEST: usize = 128;
/// The longest answer that is kept.
const LARGEST: usize = 256 * 1024;

/// The answers given under keys.
#[derive(Debug, Default)]
pub(crate) struct Replays {
    answers: Mutex<HashMap<Name, Entry>>,
}

/// Whose key, for what.
#[derive(Clone, Debug, PartialEq, Eq, Hash)]
pub(super) struct Name {
    pub(super) token: TokenHash,
    pub(super) path: &'static str,
    pub(super) key: String,
}

#[derive(Clone, Debug)]
struct Entry {
    body: [u8; 32],
    made: Instant,
    answer: Arc<OnceCell<Answer>>,
}

#[derive(Clone, Debug)]
struct Answer {
    status: StatusCode,
    content_type: Option<HeaderValue>,
    bytes: Bytes,
}

/// The request's key, if it names one.
pub(super) fn key(headers: &HeaderMap) -> Result<Option<String>, ApiError> {
    let Some(value) = headers.get(IDEMPOTENCY_KEY_HEADER) else {
        return Ok(None);
    };
    value
        .to_str()
        .ok()
        .filter(|key| !key.is_empty() && key.len() <= LONGEST)
        .filter(|key| key.bytes().all(|byte| byte.is_ascii_graphic()))
        .map(|key| Some(key.to_owned()))
        .ok_or_else(|| ApiError::invalid(IDEMPOTENCY_KEY_HEADER, "has 1 to 128 visible characters"))
}

/// What the database keeps of a key.
pub(super) fn hash(key: &str) -> KeyHash {
    Sha256::digest(key).into()
}

/// Whether this is the retry of a logout that was done.
pub(super) async fn was_logged_out(
    edge: &Edge,
    token: &TokenHash,
    key: Option<&str>,
) -> Result<bool, ApiError> {
    let Some(key) = key else { return Ok(false) };
    let since = clock::now_ms().saturating_sub(KEPT_MS);
    Ok(edge.database.logged_out(token, &hash(key), since).await?)
}

impl Replays {
    /// Answers as before, or does `work` and keeps its answer unless the server failed. A second
    /// request that comes while the first is at work waits for its answer.
    pub(super) async fn once(
        &self,
        name: Name,
        body: &[u8],
        work: impl Future<Output = Response>,
    ) -> Result<Response, ApiError> {
        let body = Sha256::digest(body).into();
        let entry = self.entry(name.clone(), body);
        if entry.body != body {
            return Err(ApiError::new(
                StatusCode::CONFLICT,
                "idempotency_key_reused",
                "This idempotency key was used for another request.",
            )
            .next("Use a new key for a new request."));
        }
        let kept = entry
            .answer
            .get_or_try_init(|| async { keep(work.await).await })
            .await;
        match kept {
            Ok(answer) => Ok(answer.to_response()),
            Err(failed) => {
                self.lock().remove(&name);
                Ok(*failed)
            }
        }
    }

    fn entry(&self, name: Name, body: [u8; 32]) -> Entry {
        let now = Instant::now();
        let mut answers = self.lock();
        if answers.len() >= ANSWERS {
            answers.retain(|_, entry| now.duration_since(entry.made) < KEPT);
        }
        if answers.len() >= ANSWERS {
            let oldest = answers
                .iter()
                .min_by_key(|(_, entry)| entry.made)
                .map(|(name, _)| name.clone());
            oldest.map(|name| answers.remove(&name));
        }
        let fresh = || Entry {
            body,
            made: now,
            answer: Arc::default(),
        };
        let entry = answers.entry(name).or_insert_with(fresh);
        if now.duration_since(entry.made) >= KEPT {
            *entry = fresh();
        }
        entry.clone()
    }

    fn lock(&self) -> std::sync::MutexGuard<'_, HashMap<Name, Entry>> {
        self.answers.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

/// What is to be said again; a failure of the server's own, a missing token, or that it is too soon, is not.
async fn keep(response: Response) -> Result<Answer, Box<Response>> {
    let status = response.status();
    let of_the_moment = [StatusCode::UNAUTHORIZED, StatusCode::TOO_MANY_REQUESTS];
    if status.is_server_error() || of_the_moment.contains(&status) {
        return Err(Box::new(response));
    }
    let (parts, body) = response.into_parts();
    match to_bytes(body, LARGEST).await {
        Ok(bytes) => Ok(Answer {
            status,
            content_type: parts.headers.get(header::CONTENT_TYPE).cloned(),
            bytes,
        }),
        Err(_) => Err(Box::new(axum::response::IntoResponse::into_response(
            ApiError::internal(),
        ))),
    }
}

impl Answer {
    fn to_response(&self) -> Response {
        let mut response = Response::new(Body::from(self.bytes.clone()));
        *response.status_mut() = self.status;
        if let Some(kind) = &self.content_type {
            response
                .headers_mut()
                .insert(header::CONTENT_TYPE, kind.clone());
        }
        response
    }
}
