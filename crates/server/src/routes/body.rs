//! Request bodies: bounded, JSON to the letter, and refused with the field's name.

use axum::{
    body::{Body, to_bytes},
    http::{HeaderMap, StatusCode, header},
};
use serde::de::DeserializeOwned;

use super::ApiError;

/// Reads a body of at most `limit` bytes.
pub(super) async fn read(
    headers: &HeaderMap,
    body: Body,
    limit: usize,
) -> Result<Vec<u8>, ApiError> {
    if declared(headers).is_some_and(|length| length > limit as u64) {
        return Err(too_large(limit));
    }
    match to_bytes(body, limit).await {
        Ok(bytes) => Ok(bytes.into()),
        Err(error) if is_over_limit(&error) => Err(too_large(limit)),
        Err(_) => Err(ApiError::new(
            StatusCode::BAD_REQUEST,
            "body_cut",
            "The body ended before it was whole.",
        )),
    }
}

/// Reads bytes as a `T` and nothing else.
pub(super) fn parse<T: DeserializeOwned>(headers: &HeaderMap, bytes: &[u8]) -> Result<T, ApiError> {
    require_json(headers)?;
    let mut reader = serde_json::Deserializer::from_slice(bytes);
    let value = serde_path_to_error::deserialize(&mut reader).map_err(|error| {
        let path = error.path().to_string();
        refuse(&path, error.inner())
    })?;
    reader.end().map_err(|error| refuse(".", &error))?;
    Ok(value)
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

fn declared(headers: &HeaderMap) -> Option<u64> {
    headers
        .get(header::CONTENT_LENGTH)?
        .to_str()
        .ok()?
        .parse()
        .ok()
}

fn is_over_limit(error: &axum::Error) -> bool {
    std::error::Error::source(error)
        .is_some_and(|source| source.to_string().contains("length limit"))
}

fn too_large(limit: usize) -> ApiError {
    ApiError::new(
        StatusCode::PAYLOAD_TOO_LARGE,
        "body_too_large",
        format!("The body is larger than {limit} bytes."),
    )
}
