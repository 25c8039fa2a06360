//! Request bodies: bounded, JSON to the letter, and refused with the field's name.

use std::time::Duration;

use axum::{
    body::Body,
    http::{HeaderMap, StatusCode, header},
};
use futures_util::StreamExt as _;
use serde::de::{DeserializeOwned, IgnoredAny};

use super::ApiError;
use crate::config::LimitsConfig;

/// What is read and thrown away of a body that is too large: a client that is still sending would
/// otherwise see its connection reset and never read the answer.
const DRAINED: usize = 4 * 1024 * 1024;

/// Reads a body within the limits of size and time.
pub(super) async fn read(body: Body, limits: &LimitsConfig) -> Result<Vec<u8>, ApiError> {
    let patience = Duration::from_millis(limits.request_timeout_ms);
    tokio::time::timeout(patience, collect(body, limits.body_bytes))
        .await
        .unwrap_or_else(|_| Err(ApiError::too_slow()))
}

async fn collect(body: Body, limit: usize) -> Result<Vec<u8>, ApiError> {
    let mut kept = Vec::new();
    let mut seen = 0_usize;
    let mut chunks = body.into_data_stream();
    while let Some(chunk) = chunks.next().await {
        let chunk = chunk.map_err(|_| {
            ApiError::new(
                StatusCode::BAD_REQUEST,
                "body_cut",
                "The body ended before it was whole.",
            )
        })?;
        seen = seen.saturating_add(chunk.len());
        if seen <= limit {
            kept.extend_from_slice(&chunk);
        } else if seen > DRAINED {
            break;
        }
    }
    if seen > limit {
        return Err(too_large(limit));
    }
    Ok(kept)
}

/// Reads bytes as a `T`, written as an object, and nothing else.
pub(super) fn parse<T: DeserializeOwned>(headers: &HeaderMap, bytes: &[u8]) -> Result<T, ApiError> {
    require_json(headers)?;
    serde_json::from_slice::<IgnoredAny>(bytes).map_err(|error| refuse(".", &error))?;
    // serde would take an array as the fields in their order.
    if !bytes.trim_ascii_start().starts_with(b"{") {
        return Err(ApiError::new(
            StatusCode::BAD_REQUEST,
            "invalid_value",
            "The body must be a JSON object.",
        ));
    }
    let mut reader = serde_json::Deserializer::from_slice(bytes);
    serde_path_to_error::deserialize(&mut reader)
        .map_err(|error| refuse(&error.path().to_string(), error.inner()))
}

fn require_json(headers: &HeaderMap) -> Result<(), ApiError> {
    let Some(kind) = headers.get(header::CONTENT_TYPE) else {
        return Ok(());
    };
    let kind = kind.to_str().unwrap_or_default();
    let essence = kind.split(';').next().unwrap_or_default().trim();
    if essence.eq_ignore_ascii_case("application/json") {
        return Ok(());
    }
    Err(ApiError::new(
        StatusCode::UNSUPPORTED_MEDIA_TYPE,
        "not_json",
        "The body must be application/json.",
    ))
}

/// serde's words, less its line and column, with the field where one is known.
fn refuse(path: &str, error: &serde_json::Error) -> ApiError {
    let bad = |code, message: String| ApiError::new(StatusCode::BAD_REQUEST, code, message);
    let words = error.to_string();
    let words = words.split(" at line ").next().unwrap_or_default();
    if !error.is_data() {
        return bad("malformed_json", format!("The body is not JSON: {words}."));
    }
    let named = words.split('`').nth(1).unwrap_or_default();
    if words.starts_with("unknown field") {
        return bad(
            "unknown_field",
            format!("The field `{named}` is not known here."),
        )
        .field(named);
    }
    if words.starts_with("missing field") {
        return bad("missing_field", format!("The field `{named}` is missing.")).field(named);
    }
    let refused = bad("invalid_value", format!("The body is wrong: {words}."));
    match path {
        "." | "?" => refused,
        field => refused.field(field),
    }
}

fn too_large(limit: usize) -> ApiError {
    ApiError::new(
        StatusCode::PAYLOAD_TOO_LARGE,
        "body_too_large",
        format!("The body is larger than {limit} bytes."),
    )
}
