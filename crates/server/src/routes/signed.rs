//! Who asks: the token of a request, and the session behind it.

use std::sync::Arc;

use axum::http::{HeaderMap, header};

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

fn missing() -> ApiError {
    ApiError::unauthorized("missing_token", "This needs a signed-in session.")
}

fn invalid() -> ApiError {
    ApiError::unauthorized("invalid_token", "The session has ended, or never was.")
}
