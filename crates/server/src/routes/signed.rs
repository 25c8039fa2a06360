//! Who asks: the token of a request, the device it comes from, and the session behind them.

use std::{sync::Arc, time::Instant};

use axum::http::{HeaderMap, StatusCode, header};
use rollcall_wire::{DEVICE_HEADER, http::Role};

use super::{ApiError, Edge};
use crate::{
    auth::{Session, tokens},
    clock,
    db::TokenHash,
};

/// What a request or a connection shows to speak for a session.
#[derive(Clone, Debug)]
pub(crate) struct Bearer {
    /// The hash of its token.
    pub(crate) token: TokenHash,
    /// The device that it names.
    pub(crate) device: Option<String>,
}

/// The request's token and device; refuses a request without a token.
pub(super) fn bearer(headers: &HeaderMap) -> Result<Bearer, ApiError> {
    let value = headers
        .get(header::AUTHORIZATION)
        .ok_or_else(missing)?
        .to_str()
        .map_err(|_| invalid())?;
    let token = tokens::in_header(value);
    if token.is_empty() {
        return Err(missing());
    }
    Ok(Bearer {
        token: tokens::hash(token).ok_or_else(invalid)?,
        device: device(headers).map(Into::into),
    })
}

/// The device that the request names.
pub(super) fn device(headers: &HeaderMap) -> Option<&str> {
    headers.get(DEVICE_HEADER)?.to_str().ok()
}

/// The session that the bearer speaks for, if its account may ask now.
pub(super) async fn session(edge: &Edge, bearer: &Bearer) -> Result<Arc<Session>, ApiError> {
    let session = admit(edge, bearer).await?.ok_or_else(invalid)?;
    let taken = edge.requests.take(session.user_id, Instant::now());
    taken.map_err(|wait| ApiError::too_often("too_many_requests", "This account", wait))?;
    Ok(Arc::new(session))
}

/// The same for whoever has words of their own for a bearer who speaks for nobody.
pub(crate) async fn admit(edge: &Edge, bearer: &Bearer) -> Result<Option<Session>, ApiError> {
    let now = clock::now_ms();
    let found = edge.database.session_of_access(&bearer.token, now).await?;
    if let Some(session) = &found {
        on_its_device(session, bearer.device.as_deref())?;
    }
    Ok(found)
}

/// A token that was copied to another device is no good there.
pub(super) fn on_its_device(session: &Session, device: Option<&str>) -> Result<(), ApiError> {
    if !session.bound || device == Some(session.device_id.as_str()) {
        return Ok(());
    }
    tracing::warn!(session = %session.id, "a token came from another device than its own");
    Err(ApiError::unauthorized(
        "wrong_device",
        "This session belongs to another device.",
    ))
}

/// The session of a request.
pub(super) async fn in_session(edge: &Edge, headers: &HeaderMap) -> Result<Arc<Session>, ApiError> {
    session(edge, &bearer(headers)?).await
}

/// Refuses agents: what concerns others is for supervisors and administrators.
pub(super) fn only_supervisors(session: &Session) -> Result<(), ApiError> {
    if matches!(session.role, Role::Supervisor | Role::Admin) {
        return Ok(());
    }
    tracing::info!(session = %session.id, "a request that only supervisors may make was refused");
    Err(ApiError::new(
        StatusCode::FORBIDDEN,
        "not_allowed",
        "This is for supervisors.",
    )
    .next("Ask a supervisor."))
}

/// The session of a request that only an administrator may make.
pub(super) async fn admin(edge: &Edge, headers: &HeaderMap) -> Result<Arc<Session>, ApiError> {
    let session = in_session(edge, headers).await?;
    if session.role == Role::Admin {
        return Ok(session);
    }
    tracing::info!(session = %session.id, "a request that only administrators may make was refused");
    Err(ApiError::new(
        StatusCode::FORBIDDEN,
        "not_allowed",
        "This is for administrators.",
    )
    .next("Ask an administrator."))
}

fn missing() -> ApiError {
    ApiError::unauthorized("missing_token", "This needs a signed-in session.")
}

fn invalid() -> ApiError {
    ApiError::unauthorized("invalid_token", "The session has ended, or never was.")
}
