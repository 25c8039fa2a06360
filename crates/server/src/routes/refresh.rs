//! `POST /api/users/refresh`: a refresh token is good for one exchange, and its retry for the same
//! answer, also when the server was restarted in between.

use std::sync::Arc;

use axum::{
    Json,
    body::Body,
    extract::State,
    http::HeaderMap,
    response::{IntoResponse as _, Response},
};
use rollcall_wire::http::{LoginResponse, REFRESH, RefreshRequest};
use tracing::info;

use super::{ApiError, Edge, body, replay, signed, users};
use crate::{
    auth::{Session, seal, tokens},
    clock,
    core_link::DeviceNotice,
    db::{KeptAnswer, KeyHash, Rotation, TokenHash, Traded, Write},
};

pub(super) async fn refresh(
    State(edge): State<Arc<Edge>>,
    headers: HeaderMap,
    body: Body,
) -> Result<Response, ApiError> {
    let bytes = body::read(body, &edge.config.limits).await?;
    let key = replay::key(&headers)?;
    let request: RefreshRequest = body::parse(&headers, &bytes)?;
    let used = tokens::hash(&request.refresh).ok_or_else(ended)?;
    let asked = Asked {
        device: signed::device(&headers).map(Into::into),
        token: request.refresh,
        used,
        key: key.as_deref().map(replay::hash),
    };
    let with = Arc::clone(&edge);
    let work = async move { Box::pin(trade(&with, asked)).await };
    users::answered(edge, used, REFRESH, key, bytes, work).await
}

/// A token, and the name of the request that trades it.
struct Asked {
    device: Option<String>,
    token: String,
    used: TokenHash,
    key: Option<KeyHash>,
}

impl Asked {
    fn seal(&self, answer: &LoginResponse) -> Result<Option<KeptAnswer>, ApiError> {
        let Some(key) = self.key else { return Ok(None) };
        let text = serde_json::to_string(answer).map_err(|_| ApiError::internal())?;
        let sealed =
            seal::seal_with_token(&self.token, &key, &text).map_err(|_| ApiError::internal())?;
        Ok(Some(KeptAnswer { key, sealed }))
    }

    /// What this very request was answered before.
    fn heard_before(&self, traded: &Traded, now: u64) -> Option<LoginResponse> {
        let answer = traded.answer.as_ref()?;
        let lately = now.saturating_sub(traded.at) < replay::KEPT_MS;
        if !lately || self.key != Some(answer.key) {
            return None;
        }
        let text = seal::unseal_with_token(&self.token, &answer.key, &answer.sealed).ok()?;
        serde_json::from_str(&text).ok()
    }
}

async fn trade(edge: &Edge, asked: Asked) -> Result<Response, ApiError> {
    let now = clock::now_ms();
    let found = edge.database.session_of_refresh(&asked.used, now).await?;
    let (session, traded) = found.ok_or_else(ended)?;
    signed::on_its_device(&session, asked.device.as_deref())?;
    if let Some(traded) = traded {
        if let Some(answer) = asked.heard_before(&traded, now) {
            info!(device = %session.device_id, "a refresh was answered again to its retry");
            return Ok(Json(answer).into_response());
        }
        // Somebody holds a copy. Which of the two is the thief cannot be told: both stop.
        info!(device = %session.device_id, "a refresh token came twice; its session is ended");
        revoke(edge, &session).await?;
        return Err(ended());
    }
    let (fresh, pair) = tokens::issue(&edge.config.auth, now).map_err(|_| ApiError::internal())?;
    let credentials = edge.database.credentials(&session.username).await?;
    let mut credentials = credentials.ok_or_else(ended)?;
    if let Some(own) = edge.database.sip_secret_of(session.id).await? {
        credentials.sip_secret = Some(own);
    }
    let answer = users::answer(edge, &credentials, fresh, pair.access_expires)?;
    // In the same transaction: whoever finds the token used finds the answer too.
    let rotation = Rotation {
        session: session.id,
        used: asked.used,
        tokens: pair,
        answer: asked.seal(&answer)?,
        at: now,
    };
    edge.database
        .commit(vec![Write::RotateTokens(rotation)])
        .await?;
    Ok(Json(answer).into_response())
}

/// Ends a session whose tokens can no longer be trusted: the core's part is the core's to end.
async fn revoke(edge: &Edge, session: &Session) -> Result<(), ApiError> {
    const WORDS: &str = "The session's token was used twice; sign in again.";
    if session.extension.is_none() {
        return users::end_own(edge, session, "forced_out", "forced", WORDS).await;
    }
    edge.core.tell(session.id, DeviceNotice::Revoked);
    edge.core.expired(session.id).await;
    users::end_row(edge, session, "forced_out").await
}

fn ended() -> ApiError {
    ApiError::unauthorized("invalid_token", "The session has ended, or never was.")
}
