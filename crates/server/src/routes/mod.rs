//! The HTTP edge: what is asked, who asks, and the one shape of every error.
//!
//! Owns limits, strict parsing, authentication and the mapping of refusals to statuses. Refuses to
//! decide anything about an agent: it asks the core and answers what the core says.

mod agents;
mod body;
mod client;
mod error;
mod health;
mod pauses;
mod people;
mod refresh;
mod replay;
mod reports;
pub(crate) mod room;
mod signed;
mod users;
mod version;

use std::{any::Any, sync::Arc, time::Duration};

use axum::{
    Router,
    extract::{Request, State},
    http::{HeaderName, HeaderValue, Method, header},
    middleware::{self, Next},
    response::{IntoResponse as _, Response},
    routing::{get, patch, post},
};
use rollcall_wire::{
    DEVICE_HEADER, IDEMPOTENCY_KEY_HEADER, WIRE_VERSION_HEADER, explain, http, people as wire,
};
use tower_http::{
    catch_panic::CatchPanicLayer, cors::CorsLayer, set_header::SetResponseHeaderLayer,
};

pub(crate) use error::ApiError;

use crate::{
    Config,
    auth::{guesses::Guesses, passwords::Passwords, seal::Seal},
    budget::Rates,
    core_link::CoreHandle,
    db::Database,
    metrics::{Door, Metrics},
    people::Office,
};

/// How long a sign-in may wait for its turn to have its password hashed, beyond a request's time.
const PASSWORDS: Duration = Duration::from_secs(45);

/// What the routes work with.
#[derive(Debug)]
pub(crate) struct Edge {
    pub(crate) config: Arc<Config>,
    pub(crate) database: Database,
    pub(crate) core: CoreHandle,
    pub(crate) passwords: Passwords,
    pub(crate) guesses: Guesses,
    /// Requests of each account, by its row.
    pub(crate) requests: Rates<i64>,
    pub(crate) office: Office,
    pub(crate) seal: Seal,
    pub(crate) replays: replay::Replays,
    pub(crate) metrics: Metrics,
}

pub(crate) use replay::Replays;
pub(crate) use signed::{Bearer, admit};
pub(crate) use users::end_own;
pub(crate) use version::is_too_old;

/// All routes. Whatever goes wrong below is answered in the shape of [`http::ErrorBody`].
pub(crate) fn router(edge: Arc<Edge>) -> Router {
    let metrics = edge.metrics.clone();
    let limit = Duration::from_millis(edge.config.limits.request_timeout_ms);
    let in_queue = middleware::from_fn_with_state(limit + PASSWORDS, within);
    let in_time = middleware::from_fn_with_state(limit, within);
    let routes = Router::new()
        .route(http::REFRESH, post(refresh::refresh))
        .route(http::AGENT_ONLINE, post(users::agent_online))
        .route(http::AGENT_LOGOUT, post(users::agent_logout))
        .route(explain::EXPLAIN, get(agents::explain))
        .route(explain::AVAILABLE, get(agents::available))
        .route(explain::FORCE_LOGOUT, post(agents::force_logout))
        .route(explain::PAUSE, post(pauses::pause))
        .route(explain::UNPAUSE, post(pauses::unpause))
        .route(explain::LEDGER, get(reports::ledger))
        .route(explain::SESSIONS, get(reports::sessions))
        .route(explain::DRIFT, get(reports::drift))
        .route(wire::AUDIT, get(people::audit))
        .route(wire::PERSON, patch(people::change).delete(people::remove))
        .route(http::OPENAPI, get(health::openapi))
        .route(http::HEALTHZ, get(health::healthz))
        .route(http::READYZ, get(health::readyz))
        .layer(in_time)
        .merge(
            Router::new()
                .route(http::LOGIN, post(users::login))
                .route(wire::PEOPLE, get(people::list).post(people::add))
                .route(wire::PERSON_PASSWORD, post(people::reset_password))
                .route(wire::PEOPLE_IMPORT, post(people::import))
                .route(wire::OWN_PASSWORD, post(people::change_own))
                .layer(in_queue),
        )
        .fallback(async || ApiError::not_found())
        .method_not_allowed_fallback(async || ApiError::method_not_allowed())
        .with_state(edge);
    guarded(routes.layer(middleware::from_fn(version::spoken)))
        .layer(middleware::from_fn_with_state(metrics, counted))
}

/// Lets pages of these origins, and no others, call the app from a browser.
pub(crate) fn for_origins(app: Router, origins: &[String]) -> Router {
    let origins: Vec<_> = origins
        .iter()
        .filter_map(|origin| HeaderValue::from_str(origin).ok())
        .collect();
    if origins.is_empty() {
        return app;
    }
    let header = HeaderName::from_static;
    let allowed = [
        header::AUTHORIZATION,
        header::CONTENT_TYPE,
        header(IDEMPOTENCY_KEY_HEADER),
        header(WIRE_VERSION_HEADER),
        header(DEVICE_HEADER),
    ];
    app.layer(
        CorsLayer::new()
            .allow_origin(origins)
            .allow_methods([Method::GET, Method::POST, Method::PATCH, Method::DELETE])
            .allow_headers(allowed),
    )
}

/// `/metrics`, for a listener of its own.
pub(crate) fn figures(metrics: Metrics) -> Router {
    let routes = Router::new()
        .route("/metrics", get(health::metrics))
        .fallback(async || ApiError::not_found())
        .with_state(metrics);
    guarded(routes)
}

async fn counted(State(metrics): State<Metrics>, request: Request, next: Next) -> Response {
    let response = next.run(request).await;
    if let Some(error::Refused(kind)) = response.extensions().get() {
        metrics.refused(Door::Http, kind);
    }
    response
}

/// Answered whatever panics, and never from a cache.
fn guarded(routes: Router) -> Router {
    routes
        .layer(CatchPanicLayer::custom(panicked))
        .layer(never_cached())
}

/// Answers hold tokens and states of a moment.
fn never_cached() -> SetResponseHeaderLayer<HeaderValue> {
    let (name, value): (HeaderName, _) =
        (header::CACHE_CONTROL, HeaderValue::from_static("no-store"));
    SetResponseHeaderLayer::overriding(name, value)
}

async fn within(State(limit): State<Duration>, request: Request, next: Next) -> Response {
    match tokio::time::timeout(limit, next.run(request)).await {
        Ok(response) => response,
        Err(_) => ApiError::too_slow().into_response(),
    }
}

fn panicked(_: Box<dyn Any + Send + 'static>) -> Response {
    tracing::error!("a request handler panicked; the request was answered 500");
    ApiError::internal().into_response()
}

#[cfg(test)]
mod tests {
    use axum::{body::Body, body::to_bytes};
    use tower::ServiceExt as _;

    use super::*;

    #[tokio::test]
    async fn a_panic_is_answered_500_in_the_one_shape() {
        async fn broken() -> Response {
            panic!("a mistake of ours")
        }
        let routes = Router::new().route("/broken", get(broken));
        let request = Request::get("/broken").body(Body::empty()).unwrap();
        let response = guarded(routes).oneshot(request).await.unwrap();
        assert_eq!(response.status(), 500);
        let bytes = to_bytes(response.into_body(), 10_000).await.unwrap();
        let body: http::ErrorBody = serde_json::from_slice(&bytes).unwrap();
        assert_eq!(body.code, "internal");
        assert!(!body.message.contains("mistake of ours"));
    }
}
