//! Which version of the wire a client speaks, and whether that is still spoken here.

use axum::{
    extract::Request,
    http::{HeaderMap, HeaderValue, StatusCode},
    middleware::Next,
    response::{IntoResponse as _, Response},
};
use rollcall_wire::{OLDEST_WIRE_VERSION, WIRE_VERSION, WIRE_VERSION_HEADER};

use super::ApiError;

/// Refuses clients that are too old, and names the server's own version in every answer.
pub(super) async fn spoken(request: Request, next: Next) -> Response {
    let mut response = match check(request.headers()) {
        Ok(()) => next.run(request).await,
        Err(refused) => refused.into_response(),
    };
    let own = HeaderValue::from(WIRE_VERSION);
    response.headers_mut().insert(WIRE_VERSION_HEADER, own);
    response
}

/// A newer one is the client's to judge: it knows what changed, and hears which this is.
fn check(headers: &HeaderMap) -> Result<(), ApiError> {
    let Some(named) = headers.get(WIRE_VERSION_HEADER) else {
        return Ok(());
    };
    let version: u32 = named
        .to_str()
        .ok()
        .and_then(|text| text.parse().ok())
        .ok_or_else(|| ApiError::invalid(WIRE_VERSION_HEADER, "is a number"))?;
    if is_too_old(version) {
        return Err(too_old(version));
    }
    Ok(())
}

pub(crate) fn is_too_old(version: u32) -> bool {
    version < OLDEST_WIRE_VERSION
}

fn too_old(version: u32) -> ApiError {
    ApiError::new(
        StatusCode::UPGRADE_REQUIRED,
        "app_too_old",
        format!(
            "This app speaks version {version} of Rollcall's wire; the server speaks {OLDEST_WIRE_VERSION} to {WIRE_VERSION}."
        ),
    )
    .next("Update the app.")
}
