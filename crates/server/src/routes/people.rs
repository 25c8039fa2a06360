//! People, for administrators; and everybody's own password.

use std::{net::SocketAddr, sync::Arc, time::Instant};

use axum::{
    Json,
    body::Body,
    extract::{ConnectInfo, Path, State},
    http::{HeaderMap, StatusCode},
    response::{IntoResponse as _, Response},
};
use rollcall_wire::people::{
    AddPerson, Audit, ChangePassword, ChangePerson, Done, ImportPeople, People, ResetPassword,
};
use serde::de::DeserializeOwned;

use super::{ApiError, Edge, body, client, signed, users};
use crate::{
    auth::Session,
    config::Secret,
    db::OwnPassword,
    expiry,
    people::{Actor, NewPasswords, NewPerson, PersonError},
    provision::{self, ProvisionError},
};

/// Acts that are told at a time.
const ACTS: u32 = 500;

type Answer = Result<Response, ApiError>;
type Peer = ConnectInfo<SocketAddr>;

/// `GET /api/people`.
pub(super) async fn list(State(edge): State<Arc<Edge>>, headers: HeaderMap) -> Answer {
    signed::admin(&edge, &headers).await?;
    let people = edge.office.list().await?;
    Ok(Json(People { people }).into_response())
}

/// `GET /api/audit`.
pub(super) async fn audit(State(edge): State<Arc<Edge>>, headers: HeaderMap) -> Answer {
    signed::admin(&edge, &headers).await?;
    let acts = edge.office.acts(ACTS).await?;
    Ok(Json(Audit { acts }).into_response())
}

/// `POST /api/people`.
pub(super) async fn add(
    State(edge): State<Arc<Edge>>,
    ConnectInfo(peer): Peer,
    headers: HeaderMap,
    body: Body,
) -> Answer {
    let (by, request) = asked::<AddPerson>(&edge, peer, &headers, body).await?;
    let person = NewPerson {
        username: request.username,
        extension: request.extension,
        role: request.role,
        password: Secret::new(request.password),
        sip_password: request.sip_password.map(Secret::new),
    };
    users::whole(async move {
        edge.office.add(person, &by).await?;
        announce(&edge).await?;
        Ok((StatusCode::CREATED, Json(Done { success: true })).into_response())
    })
    .await
}

/// `PATCH /api/people/{username}`.
pub(super) async fn change(
    State(edge): State<Arc<Edge>>,
    ConnectInfo(peer): Peer,
    Path(username): Path<String>,
    headers: HeaderMap,
    body: Body,
) -> Answer {
    let (by, request) = asked::<ChangePerson>(&edge, peer, &headers, body).await?;
    if request == ChangePerson::default() {
        return Err(nothing_named("role or disabled"));
    }
    users::whole(async move {
        let office = &edge.office;
        office
            .alter(&username, request.role, request.disabled, &by)
            .await?;
        if request.disabled.is_some() {
            provision::follow(office, &edge.config, &by).await?;
        }
        ended(&edge).await
    })
    .await
}

/// `DELETE /api/people/{username}`.
pub(super) async fn remove(
    State(edge): State<Arc<Edge>>,
    ConnectInfo(peer): Peer,
    Path(username): Path<String>,
    headers: HeaderMap,
) -> Answer {
    let by = actor(
        &edge,
        peer,
        &headers,
        &*signed::admin(&edge, &headers).await?,
    );
    users::whole(async move {
        provision::remove(&edge.office, &edge.config, &username, &by).await?;
        announce(&edge).await?;
        Ok(done())
    })
    .await
}

/// `POST /api/people/{username}/password`.
pub(super) async fn reset_password(
    State(edge): State<Arc<Edge>>,
    ConnectInfo(peer): Peer,
    Path(username): Path<String>,
    headers: HeaderMap,
    body: Body,
) -> Answer {
    let (by, request) = asked::<ResetPassword>(&edge, peer, &headers, body).await?;
    let passwords = NewPasswords {
        password: request.password.map(Secret::new),
        sip: request.sip_password.map(Secret::new),
    };
    if passwords.password.is_none() && passwords.sip.is_none() {
        return Err(nothing_named("password or sipPassword"));
    }
    users::whole(async move {
        let of_phones = passwords.sip.is_some();
        edge.office.reset(&username, passwords, &by).await?;
        if of_phones {
            provision::follow(&edge.office, &edge.config, &by).await?;
        }
        ended(&edge).await
    })
    .await
}

/// `POST /api/people-import`.
pub(super) async fn import(
    State(edge): State<Arc<Edge>>,
    ConnectInfo(peer): Peer,
    headers: HeaderMap,
    body: Body,
) -> Answer {
    let (by, request) = asked::<ImportPeople>(&edge, peer, &headers, body).await?;
    users::whole(async move {
        let import = edge.office.import(&request.csv, request.dry_run, &by);
        let imported = import.await?;
        if imported.added > 0 {
            announce(&edge).await?;
        }
        Ok(Json(imported).into_response())
    })
    .await
}

/// `POST /api/users/password`: the old password is guessed no more often than at sign-in.
pub(super) async fn change_own(
    State(edge): State<Arc<Edge>>,
    ConnectInfo(peer): Peer,
    headers: HeaderMap,
    body: Body,
) -> Answer {
    let session = signed::in_session(&edge, &headers).await?;
    let bytes = body::read(body, &edge.config.limits).await?;
    let request: ChangePassword = body::parse(&headers, &bytes)?;
    let by = actor(&edge, peer, &headers, &session);
    let from = client::address(peer, &headers, &edge.config.trusted);
    let judged = users::judge(
        &edge,
        &session.username,
        request.password,
        from,
        Instant::now(),
    )
    .await?;
    users::whole(async move {
        let password = Secret::new(request.new_password);
        let own = OwnPassword {
            session: session.id,
            judged: Secret::new(judged.password_hash),
        };
        edge.office
            .change_own_password(&session.username, password, own, &by)
            .await?;
        ended(&edge).await
    })
    .await
}

/// The administrator who asks, and for what.
async fn asked<T: DeserializeOwned>(
    edge: &Edge,
    peer: SocketAddr,
    headers: &HeaderMap,
    body: Body,
) -> Result<(Actor, T), ApiError> {
    // Who may not ask is told so before a word of the body is looked at.
    let session = signed::admin(edge, headers).await?;
    let bytes = body::read(body, &edge.config.limits).await?;
    let request = body::parse(headers, &bytes)?;
    Ok((actor(edge, peer, headers, &session), request))
}

/// Who asks, for the audit log.
pub(super) fn actor(
    edge: &Edge,
    peer: SocketAddr,
    headers: &HeaderMap,
    session: &Session,
) -> Actor {
    let from = client::address(peer, headers, &edge.config.trusted);
    Actor::user(&session.username, from)
}

/// Tells the core who has an extension now.
async fn announce(edge: &Edge) -> Result<(), ApiError> {
    edge.core.tell_people(&edge.database).await?;
    Ok(())
}

/// Sessions whose tokens a change took away end now, not at the next look.
async fn ended(edge: &Edge) -> Answer {
    expiry::sweep(edge).await;
    Ok(done())
}

fn done() -> Response {
    Json(Done { success: true }).into_response()
}

fn nothing_named(what: &str) -> ApiError {
    ApiError::new(
        StatusCode::BAD_REQUEST,
        "missing_field",
        format!("The body names nothing to change: {what}."),
    )
}

impl From<ProvisionError> for ApiError {
    fn from(error: ProvisionError) -> Self {
        match error {
            ProvisionError::People(error) => error.into(),
            error => {
                tracing::error!(%error, "phones cannot be provisioned");
                Self::internal()
            }
        }
    }
}

impl From<PersonError> for ApiError {
    fn from(error: PersonError) -> Self {
        let conflict =
            |code, next| Self::new(StatusCode::CONFLICT, code, sentence(&error)).next(next);
        match &error {
            PersonError::Invalid { field, why } => {
                let field = if *field == "sip password" {
                    "sipPassword"
                } else {
                    field
                };
                Self::invalid(field, why)
            }
            PersonError::Taken(what) => conflict("taken", "Choose another.").field(what),
            PersonError::Unknown(_) => {
                Self::new(StatusCode::NOT_FOUND, "unknown_person", sentence(&error))
            }
            PersonError::Superseded => users::wrong_credentials(),
            PersonError::LastAdmin => {
                conflict("last_admin", "Make somebody else an administrator first.")
            }
            PersonError::StillActive => conflict(
                "still_active",
                "Disable them, and wait until their sessions have ended.",
            ),
            PersonError::Busy => crate::auth::passwords::PasswordError::Busy.into(),
            PersonError::Write(_) => crate::core_link::Refusal::database_down().into(),
            PersonError::Database(_) | PersonError::Seal(_) | PersonError::Hash(_) => {
                tracing::error!(%error, "people cannot be changed");
                Self::internal()
            }
        }
    }
}

fn sentence(error: &PersonError) -> String {
    let words = error.to_string();
    let mut letters = words.chars();
    letters
        .next()
        .map(|first| first.to_uppercase().chain(letters).chain(['.']).collect())
        .unwrap_or_default()
}
