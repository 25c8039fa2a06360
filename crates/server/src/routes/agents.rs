//! One agent: why the state is what it is, whether it is so right now, and a supervisor's logout.

use std::{
    collections::{BTreeMap, BTreeSet},
    net::SocketAddr,
    sync::Arc,
};

use axum::{
    Json,
    body::Body,
    extract::{ConnectInfo, Path, Query, State},
    http::{HeaderMap, StatusCode},
    response::{IntoResponse as _, Response},
};
use rollcall_alignment::{self as alignment, Decision, ReasonCode, SessionState};
use rollcall_wire::{
    board::{BoardStatus, Reason, SourceHealth},
    check,
    explain::{Available, Explanation, ForceLogout, Intent, LedgerLine, Term, Verdict},
    http::AgentLogoutResponse,
};
use serde::Deserialize;
use tracing::info;

use super::{ApiError, Edge, body, people, signed, users};
use crate::{
    auth::Session,
    clock,
    core_link::Audience,
    driver::{row, words},
};

/// Lines of history that an explanation carries.
const HISTORY: i64 = 40;

/// `?at=`.
#[derive(Debug, Default, Deserialize)]
#[serde(deny_unknown_fields)]
pub(super) struct At {
    at: Option<u64>,
}

/// `GET /api/agents/{extension}/explain`.
pub(super) async fn explain(
    State(edge): State<Arc<Edge>>,
    Path(extension): Path<String>,
    query: Result<Query<At>, axum::extract::rejection::QueryRejection>,
    headers: HeaderMap,
) -> Result<Response, ApiError> {
    let session = signed::in_session(&edge, &headers).await?;
    let extension = named(extension)?;
    if session.extension.as_ref() != Some(&extension) {
        signed::only_supervisors(&session)?;
    }
    let Query(At { at }) = query.map_err(|_| ApiError::invalid("at", "is no time in ms"))?;
    let now = clock::now_ms();
    let explained = match at.filter(|at| *at < now) {
        None => explain_now(&edge, &extension, now).await?,
        Some(at) => explain_past(&edge, &extension, at).await?,
    };
    Ok(Json(explained).into_response())
}

/// `GET /api/agents/{extension}/available`.
pub(super) async fn available(
    State(edge): State<Arc<Edge>>,
    Path(extension): Path<String>,
    headers: HeaderMap,
) -> Result<Response, ApiError> {
    let session = signed::in_session(&edge, &headers).await?;
    let extension = named(extension)?;
    let agent = edge.core.prove(extension.clone()).await?.ok_or_else(|| {
        ApiError::new(
            StatusCode::SERVICE_UNAVAILABLE,
            "not_proved",
            "Asterisk did not answer in time, so nothing is known of this agent.",
        )
        .field("extension")
        .next("Try again, or choose somebody else.")
    })?;
    let available = agent.status == BoardStatus::Available;
    info!(
        by = session.extension,
        extension, available, "availability proved"
    );
    let proof = Available {
        available,
        checked_at: clock::now_ms(),
        agent: Audience::of(&session).view(&agent),
    };
    Ok(Json(proof).into_response())
}

/// `POST /api/agents/{extension}/logout`.
pub(super) async fn force_logout(
    State(edge): State<Arc<Edge>>,
    ConnectInfo(peer): ConnectInfo<SocketAddr>,
    Path(extension): Path<String>,
    headers: HeaderMap,
    body: Body,
) -> Result<Response, ApiError> {
    let session = signed::in_session(&edge, &headers).await?;
    signed::only_supervisors(&session)?;
    let extension = named(extension)?;
    let bytes = body::read(body, &edge.config.limits).await?;
    let request: ForceLogout = if bytes.is_empty() {
        ForceLogout::default()
    } else {
        body::parse(&headers, &bytes)?
    };
    if let Some(device) = &request.device_id {
        check::device_id(device).map_err(|why| ApiError::invalid("deviceId", why))?;
    }
    let actor = people::actor(&edge, peer, &headers, &session);
    users::whole(async move {
        let by: Arc<Session> = session;
        let device = request.device_id.clone().unwrap_or_default();
        let ended = edge
            .core
            .force_logout(
                by,
                extension.clone(),
                request.device_id,
                request.end_calls,
            )
            .await?;
        edge.office
            .note("forced_logout", Some(&extension), device, &actor)
            .await?;
        info!(extension, pending = ?ended.pending, end_calls = request.end_calls, "forced logout answered");
        Ok(Json(AgentLogoutResponse {
            success: true,
            pending: ended.pending,
        })
        .into_response())
    })
    .await
}

pub(super) fn named(extension: String) -> Result<String, ApiError> {
    check::extension(&extension).map_err(|why| ApiError::invalid("extension", why))?;
    Ok(extension)
}

fn nobody() -> ApiError {
    ApiError::new(
        StatusCode::NOT_FOUND,
        "unknown_extension",
        "Nobody has this extension.",
    )
    .field("extension")
}

async fn explain_now(edge: &Edge, extension: &str, now: u64) -> Result<Explanation, ApiError> {
    let explained = edge.core.explain(extension.to_owned()).await?;
    let explained = explained.ok_or_else(nobody)?;
    let history = edge.database.ledger_until(extension, now, HISTORY).await?;
    let agent = row(&explained.view);
    let codes = explained
        .terms
        .iter()
        .flat_map(|term| term.because.iter().copied());
    let needed = needed(agent.status, codes.collect());
    Ok(Explanation {
        extension: agent.extension,
        at: now,
        status: agent.status,
        since: agent.since,
        rule: rule_of(agent.status).to_owned(),
        reasons: agent.reasons,
        intents: explained
            .intents
            .iter()
            .map(|intent| Intent {
                device: intent.device.to_string(),
                wants: intent.wants.as_str().to_owned(),
                since: intent.since_unix_ms,
            })
            .collect(),
        terms: explained.terms.iter().map(term).collect(),
        sources: agent.sources,
        needed,
        history,
    })
}

/// What the ledger says of a past moment.
async fn explain_past(edge: &Edge, extension: &str, at: u64) -> Result<Explanation, ApiError> {
    let found = edge.database.decision_at(extension, at).await?;
    let decided = found.as_ref().and_then(|line| Decision::read(&line.detail));
    let (Some(line), Some(decision)) = (found, decided) else {
        return Err(ApiError::new(
            StatusCode::NOT_FOUND,
            "not_on_record",
            "The ledger knows nothing of this extension at that time.",
        )
        .field("at")
        .next("Ask for a later time."));
    };
    let history: Vec<LedgerLine> = edge.database.ledger_until(extension, at, HISTORY).await?;
    let status = words::status(decision.status);
    Ok(Explanation {
        extension: extension.to_owned(),
        at,
        status,
        since: decision.since_unix_ms.unwrap_or(line.at),
        rule: line.rule.unwrap_or_default(),
        reasons: decision
            .reasons
            .iter()
            .map(|code| Reason {
                code: code.as_str().to_owned(),
                message: Some(words::sentence(code.text())),
                since: line.at,
            })
            .collect(),
        intents: intents_at(edge, extension, at, &history).await?,
        terms: alignment::Term::failing(&decision.reasons)
            .iter()
            .map(term)
            .collect(),
        sources: sources_at(edge, at).await?,
        needed: needed(status, decision.reasons.iter().copied().collect()),
        history,
    })
}

/// What the sessions that lived then had asked for.
async fn intents_at(
    edge: &Edge,
    extension: &str,
    at: u64,
    history: &[LedgerLine],
) -> Result<Vec<Intent>, ApiError> {
    let sessions = edge.database.sessions_at(extension, at).await?;
    let intents = sessions.into_iter().map(|session| {
        let online = session.online.filter(|online| *online <= at);
        // A logout that was asked for, and waited for a call.
        let leaving = history.iter().find(|line| {
            line.what == "agent_logout"
                && line.device.as_deref() == Some(session.device.as_str())
                && line.at >= session.started
        });
        let (wants, since) = match (leaving, online) {
            (Some(line), _) => (SessionState::LoggingOut, line.at),
            (None, Some(online)) => (SessionState::Online, online),
            (None, None) => (SessionState::SignedIn, session.started),
        };
        Intent {
            device: session.device,
            wants: wants.as_str().to_owned(),
            since,
        }
    });
    Ok(intents.collect())
}

/// How Asterisk and the database were seen then, where the ledger knows. Of the database only a loss is on it: who is
/// asked here was written there.
async fn sources_at(edge: &Edge, at: u64) -> Result<BTreeMap<String, SourceHealth>, ApiError> {
    let mut sources = BTreeMap::new();
    for source in ["ami", "database"] {
        let last = edge.database.sight_at(source, at).await?;
        let ok = match &last {
            Some(line) => line.what == "source_found",
            None if source == "database" => true,
            None => continue,
        };
        let as_of = last.filter(|_| !ok).map(|line| line.at);
        sources.insert(source.to_owned(), SourceHealth { ok, as_of });
    }
    Ok(sources)
}

fn rule_of(status: BoardStatus) -> &'static str {
    if status == BoardStatus::Unknown {
        "R5"
    } else {
        "R1"
    }
}

fn needed(status: BoardStatus, codes: BTreeSet<ReasonCode>) -> Vec<String> {
    if status == BoardStatus::Available {
        return Vec::new();
    }
    let mut sentences: Vec<String> = Vec::new();
    for code in codes {
        let sentence = words::sentence(code.needed());
        if !sentences.contains(&sentence) {
            sentences.push(sentence);
        }
    }
    sentences
}

fn term(term: &alignment::Term) -> Term {
    Term {
        name: term.name.to_owned(),
        verdict: match term.verdict {
            alignment::Verdict::Holds => Verdict::Holds,
            alignment::Verdict::Fails => Verdict::Fails,
            alignment::Verdict::Unknown => Verdict::Unknown,
        },
        source: term.source.to_owned(),
        because: term
            .because
            .iter()
            .map(|code| code.as_str().to_owned())
            .collect(),
    }
}
