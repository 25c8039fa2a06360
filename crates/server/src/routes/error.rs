//! The one error of the edge, and how everything below becomes it.

use std::time::Duration;

use axum::{
    Json,
    http::{HeaderValue, StatusCode, header},
    response::{IntoResponse, Response},
};
use rollcall_wire::http::ErrorBody;

use crate::{
    auth::passwords::PasswordError,
    core_link::{Refusal, RefusalKind},
    db::{DbError, WriteError},
};

/// A status and the words that go with it.
#[derive(Clone, Debug)]
pub(crate) struct ApiError {
    status: StatusCode,
    code: &'static str,
    message: String,
    field: Option<String>,
    next: Option<&'static str>,
    /// Seconds.
    retry_after: Option<u64>,
}

/// Marks the answer to a request that was refused, by its code.
#[derive(Clone, Copy, Debug)]
pub(super) struct Refused(pub(super) &'static str);

const LATER: &str = "Try again in a moment.";

impl ApiError {
    pub(crate) fn new(status: StatusCode, code: &'static str, message: impl Into<String>) -> Self {
        Self {
            status,
            code,
            message: message.into(),
            field: None,
            next: None,
            retry_after: None,
        }
    }

    pub(crate) fn field(mut self, field: impl Into<String>) -> Self {
        self.field = Some(field.into());
        self
    }

    pub(crate) fn next(mut self, next: &'static str) -> Self {
        self.next = Some(next);
        self
    }

    pub(crate) fn retry_after(mut self, seconds: u64) -> Self {
        self.retry_after = Some(seconds);
        self
    }

    pub(crate) fn code(&self) -> &'static str {
        self.code
    }

    /// The server's own failure, not the request's.
    pub(crate) fn is_ours(&self) -> bool {
        self.status.is_server_error()
    }

    /// 400, about one field.
    pub(crate) fn invalid(field: &str, why: impl std::fmt::Display) -> Self {
        Self::new(
            StatusCode::BAD_REQUEST,
            "invalid_value",
            format!("{field} {why}."),
        )
        .field(field)
    }

    pub(crate) fn unauthorized(code: &'static str, message: &str) -> Self {
        Self::new(StatusCode::UNAUTHORIZED, code, message).next("Sign in again.")
    }

    pub(crate) fn not_found() -> Self {
        Self::new(
            StatusCode::NOT_FOUND,
            "not_found",
            "There is nothing at this address.",
        )
        .next("Check the server's address and the app's version.")
    }

    pub(crate) fn method_not_allowed() -> Self {
        Self::new(
            StatusCode::METHOD_NOT_ALLOWED,
            "method_not_allowed",
            "This address does not take that method.",
        )
    }

    pub(crate) fn too_slow() -> Self {
        Self::new(
            StatusCode::SERVICE_UNAVAILABLE,
            "too_slow",
            "The request could not be answered in time.",
        )
        .next(LATER)
        .retry_after(1)
    }

    /// 429: one address has all that one may have.
    pub(crate) fn too_many_here(code: &'static str, message: &str) -> Self {
        Self::new(StatusCode::TOO_MANY_REQUESTS, code, message)
            .next("Close some; where many share one address, an administrator can allow more.")
            .retry_after(5)
    }

    /// 429: asked more often than one may.
    pub(crate) fn too_often(code: &'static str, who: &str, wait: Duration) -> Self {
        let words = format!("{who} asks more often than one may.");
        let seconds = wait.as_secs() + 1;
        Self::new(StatusCode::TOO_MANY_REQUESTS, code, words)
            .next("Ask again later and less often; an administrator can allow more.")
            .retry_after(seconds)
    }

    pub(crate) fn internal() -> Self {
        Self::new(
            StatusCode::INTERNAL_SERVER_ERROR,
            "internal",
            "The server made a mistake; it is in its log.",
        )
        .next(LATER)
    }
}

impl IntoResponse for ApiError {
    fn into_response(self) -> Response {
        let body = ErrorBody {
            code: self.code.into(),
            message: self.message,
            field: self.field,
            next: self.next.map(Into::into),
        };
        let mut response = (self.status, Json(body)).into_response();
        response.extensions_mut().insert(Refused(self.code));
        if let Some(seconds) = self.retry_after {
            response
                .headers_mut()
                .insert(header::RETRY_AFTER, HeaderValue::from(seconds));
        }
        if self.status == StatusCode::UNAUTHORIZED {
            response
                .headers_mut()
                .insert(header::WWW_AUTHENTICATE, HeaderValue::from_static("Bearer"));
        }
        response
    }
}

impl From<Refusal> for ApiError {
    fn from(refusal: Refusal) -> Self {
        let status = match refusal.kind {
            RefusalKind::Invalid => StatusCode::BAD_REQUEST,
            RefusalKind::Forbidden => StatusCode::FORBIDDEN,
            RefusalKind::NotFound => StatusCode::NOT_FOUND,
            RefusalKind::Conflict => StatusCode::CONFLICT,
            RefusalKind::Unavailable => StatusCode::SERVICE_UNAVAILABLE,
        };
        Self {
            status,
            code: refusal.code,
            message: refusal.message,
            field: refusal.field.map(Into::into),
            next: refusal.next,
            retry_after: (status == StatusCode::SERVICE_UNAVAILABLE).then_some(1),
        }
    }
}

impl From<DbError> for ApiError {
    fn from(error: DbError) -> Self {
        tracing::error!(%error, "the database cannot be read");
        Refusal::database_down().into()
    }
}

impl From<WriteError> for ApiError {
    fn from(error: WriteError) -> Self {
        match error {
            WriteError::Conflict(what) => {
                let words = format!("{what} is taken or used already.");
                Self::new(StatusCode::CONFLICT, "conflict", words)
            }
            WriteError::NotThere(_) => {
                Self::unauthorized("invalid_token", "The session has ended, or never was.")
            }
            WriteError::Superseded => super::users::wrong_credentials(),
            // Asked by `Office` alone, which has words of its own for them.
            WriteError::LastAdmin | WriteError::StillActive => {
                Self::new(StatusCode::CONFLICT, "conflict", error.to_string())
            }
            WriteError::Down(_) => Refusal::database_down().into(),
        }
    }
}

impl From<PasswordError> for ApiError {
    fn from(error: PasswordError) -> Self {
        match error {
            PasswordError::Busy => Self::new(
                StatusCode::SERVICE_UNAVAILABLE,
                "busy",
                "Too many people are signing in at once.",
            )
            .next(LATER)
            .retry_after(2),
            PasswordError::Broken(words) => {
                tracing::error!(error = %words, "a password could not be checked");
                Self::internal()
            }
        }
    }
}
