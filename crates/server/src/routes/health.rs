//! Whether the process answers, whether it can serve, and what can be asked of it.

use std::sync::Arc;

use axum::{
    Json,
    extract::State,
    http::header,
    response::{IntoResponse as _, Response},
};
use serde_json::json;

use super::{ApiError, Edge};
use crate::{
    core_link::{Audience, Refusal, RefusalKind},
    metrics::Metrics,
};

/// The process answers.
pub(super) async fn healthz() -> Response {
    Json(json!({"ok": true})).into_response()
}

/// It can serve: the database reads and writes, and a board is there. A lost AMI link does not make
/// it unready: it serves, and says `Unknown`.
pub(super) async fn readyz(State(edge): State<Arc<Edge>>) -> Result<Response, ApiError> {
    if !edge.database.healthy() || !edge.database.readable().await {
        return Err(Refusal::database_down().into());
    }
    if edge.core.snapshot(&Audience::Agent { own: None }).is_none() {
        return Err(Refusal {
            kind: RefusalKind::Unavailable,
            code: "starting",
            message: "The server is starting; the board is not there yet.".into(),
            field: None,
            next: Some("Try again in a moment."),
        }
        .into());
    }
    Ok(Json(json!({"ok": true})).into_response())
}

/// What can be asked here, in OpenAPI's words; a test holds it to the routes.
pub(super) async fn openapi() -> Response {
    const DOCUMENT: &str = include_str!("openapi.json");
    ([(header::CONTENT_TYPE, "application/json")], DOCUMENT).into_response()
}

/// The figures, as Prometheus reads them.
pub(super) async fn metrics(State(metrics): State<Metrics>) -> Result<Response, ApiError> {
    const KIND: &str = "application/openmetrics-text; version=1.0.0; charset=utf-8";
    let text = metrics.render().map_err(|_| ApiError::internal())?;
    Ok(([(header::CONTENT_TYPE, KIND)], text).into_response())
}
