//! Who asks: the token of a request, and the session behind it.

use std::sync::Arc;

use axum::http::{HeaderMap, StatusCode, header};

use rollcall_wire::http::Role;

use super::{ApiError, Edge};
use crate::{
    auth::{Session, tokens},
    clock,
    db::TokenHash,
};

/// The hash of the request's token; refuses a request without one.
pub(super) fn token(headers: &HeaderMap) -> Result<TokenHash, ApiError> {
    let value = headers
        .get(header::AUTHORIZATION)
        .ok_or_else(missing)?
        .to_str()
        .map_err(|_| invalid())?;
    let token = tokens::in_header(value);
    if token.is_empty() {
        return Err(missing());
    }
    tokens::hash(token).ok_or_else(invalid)
}

/// The session the token speaks for.
pub(super) async fn session(edge: &Edge, token: &TokenHash) -> Result<Arc<Session>, ApiError> {
    edge.database
        .session_of_access(token, clock::now_ms())
        .await?
        .map(Arc::new)
        .ok_or_else(invalid)
}

/// The session of a request.
pub(super) async fn in_session(edge: &Edge, headers: &HeaderMap) -> Result<Arc<Session>, ApiError> {
    session(edge, &token(headers)?).await
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
