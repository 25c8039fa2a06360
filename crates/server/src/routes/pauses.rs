//! Pauses that people ask for: an agent their own, a supervisor everybody's.

use std::{net::SocketAddr, sync::Arc};

use axum::{
    Json,
    body::Body,
    extract::{ConnectInfo, Path, State},
    http::HeaderMap,
    response::{IntoResponse as _, Response},
};
use rollcall_wire::{
    check,
    explain::{PAUSE, Pause, Paused, UNPAUSE, Unpause},
};
use tracing::info;

use super::{
    ApiError, Edge, agents, body, people, replay,
    signed::{self, Bearer},
    users,
};
use crate::core_link::Audience;

/// `POST /api/agents/{extension}/pause`.
pub(super) async fn pause(
    State(edge): State<Arc<Edge>>,
    ConnectInfo(peer): ConnectInfo<SocketAddr>,
    Path(extension): Path<String>,
    headers: HeaderMap,
    body: Body,
) -> Result<Response, ApiError> {
    let asked = Asked::read(&edge, peer, extension, headers, body).await?;
    let reason = |headers: &HeaderMap, bytes: &[u8]| {
        let request: Pause = body::parse(headers, bytes)?;
        check::pause_reason(&request.reason).map_err(|why| ApiError::invalid("reason", why))?;
        Ok(Some(request.reason))
    };
    answer(edge, asked, PAUSE, reason).await
}

/// `POST /api/agents/{extension}/unpause`.
pub(super) async fn unpause(
    State(edge): State<Arc<Edge>>,
    ConnectInfo(peer): ConnectInfo<SocketAddr>,
    Path(extension): Path<String>,
    headers: HeaderMap,
    body: Body,
) -> Result<Response, ApiError> {
    let asked = Asked::read(&edge, peer, extension, headers, body).await?;
    let nothing = |headers: &HeaderMap, bytes: &[u8]| {
        if !bytes.is_empty() {
            let Unpause {} = body::parse(headers, bytes)?;
        }
        Ok(None)
    };
    answer(edge, asked, UNPAUSE, nothing).await
}

/// A request as it came.
struct Asked {
    peer: SocketAddr,
    bearer: Bearer,
    key: Option<String>,
    extension: String,
    headers: HeaderMap,
    bytes: Vec<u8>,
}

impl Asked {
    async fn read(
        edge: &Edge,
        peer: SocketAddr,
        extension: String,
        headers: HeaderMap,
        body: Body,
    ) -> Result<Self, ApiError> {
        Ok(Self {
            peer,
            bearer: signed::bearer(&headers)?,
            key: replay::key(&headers)?,
            bytes: body::read(body, &edge.config.limits).await?,
            extension,
            headers,
        })
    }
}

async fn answer(
    edge: Arc<Edge>,
    asked: Asked,
    path: &'static str,
    reason: impl Fn(&HeaderMap, &[u8]) -> Result<Option<String>, ApiError> + Send + 'static,
) -> Result<Response, ApiError> {
    let (with, token, key) = (Arc::clone(&edge), asked.bearer.token, asked.key.clone());
    // The same key for another extension is another request.
    let mut content = asked.extension.clone().into_bytes();
    content.push(b'\n');
    content.extend_from_slice(&asked.bytes);
    let work = async move {
        let session = signed::session(&with, &asked.bearer).await?;
        let extension = agents::named(asked.extension)?;
        let is_own = session.extension.as_ref() == Some(&extension);
        if !is_own {
            signed::only_supervisors(&session)?;
        }
        let reason = reason(&asked.headers, &asked.bytes)?;
        let asks = Arc::clone(&session);
        let said = with
            .core
            .pause(asks, extension.clone(), reason.clone(), asked.key)
            .await;
        match &said {
            Ok(agent) => {
                info!(extension, by = session.extension, reason, status = ?agent.status, "pause answered")
            }
            Err(refusal) => info!(extension, code = refusal.code, "pause refused"),
        }
        let agent = said?;
        if !is_own {
            let by = people::actor(&with, asked.peer, &asked.headers, &session);
            let action = match &reason {
                Some(_) => "paused",
                None => "pause_ended",
            };
            with.office
                .note(action, Some(&extension), reason.unwrap_or_default(), &by)
                .await?;
        }
        Ok(Json(Paused {
            success: true,
            agent: Audience::of(&session).view(&agent),
        })
        .into_response())
    };
    users::answered(edge, token, path, key, content, work).await
}
