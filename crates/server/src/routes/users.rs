//! Signing in and out: the seed's endpoints.

use std::{
    net::{IpAddr, SocketAddr},
    sync::Arc,
    time::{Duration, Instant},
};

use axum::{
    Json,
    body::Body,
    extract::{ConnectInfo, State},
    http::{HeaderMap, StatusCode},
    response::{IntoResponse, Response},
};
use rollcall_wire::{
    DEVICE_HEADER, check,
    http::{
        AGENT_LOGOUT, AGENT_ONLINE, AgentLogoutRequest, AgentLogoutResponse, AgentOnlineRequest,
        AgentOnlineResponse, LoginRequest, LoginResponse, Pjsip, Tokens, User,
    },
    realtime::SessionEnded,
};
use tracing::info;
use uuid::Uuid;

use super::{ApiError, Edge, body, client, replay, signed};
use crate::{
    auth::{
        Session, SessionId,
        guesses::{Attempt, Held, Why},
        tokens,
    },
    clock,
    config::Secret,
    core_link::DeviceNotice,
    db::{Credentials, NewSession, PhoneOwner, SipGrant, TokenHash, Write, WriteError},
    expiry, provision,
};

/// `POST /api/users/login`.
pub(super) async fn login(
    State(edge): State<Arc<Edge>>,
    ConnectInfo(peer): ConnectInfo<SocketAddr>,
    headers: HeaderMap,
    body: Body,
) -> Result<Response, ApiError> {
    let bytes = body::read(body, &edge.config.limits).await?;
    let request: LoginRequest = body::parse(&headers, &bytes)?;
    check::username(&request.username).map_err(|why| ApiError::invalid("username", why))?;
    check::password(&request.password).map_err(|why| ApiError::invalid("password", why))?;
    if let Some(device) = &request.device_id {
        check::device_id(device).map_err(|why| ApiError::invalid("deviceId", why))?;
    }
    let from = client::address(peer, &headers, &edge.config.trusted);
    let now = Instant::now();
    let credentials = judge(&edge, &request.username, request.password, from, now).await?;
    if credentials.disabled {
        return Err(disabled());
    }
    let device = Device::of(request.device_id, &headers)?;
    let answer = whole(async move { open_session(&edge, credentials, device).await }).await?;
    Ok(Json(answer).into_response())
}

/// `POST /api/users/agent-online`.
pub(super) async fn agent_online(
    State(edge): State<Arc<Edge>>,
    headers: HeaderMap,
    body: Body,
) -> Result<Response, ApiError> {
    let bearer = signed::bearer(&headers)?;
    let token = bearer.token;
    let key = replay::key(&headers)?;
    let bytes = body::read(body, &edge.config.limits).await?;
    let (with, text, own_key) = (Arc::clone(&edge), bytes.clone(), key.clone());
    let work = async move {
        let session = signed::session(&with, &bearer).await?;
        let request: AgentOnlineRequest = body::parse(&headers, &text)?;
        check::extension(&request.extension).map_err(|why| ApiError::invalid("extension", why))?;
        check::contact_uri(&request.contact_uri)
            .map_err(|why| ApiError::invalid("contactUri", why))?;
        online(&with, session, request, own_key).await
    };
    answered(edge, token, AGENT_ONLINE, key, bytes, work).await
}

/// `POST /api/users/agent-logout`.
pub(super) async fn agent_logout(
    State(edge): State<Arc<Edge>>,
    headers: HeaderMap,
    body: Body,
) -> Result<Response, ApiError> {
    let bearer = signed::bearer(&headers)?;
    let token = bearer.token;
    let key = replay::key(&headers)?;
    let bytes = body::read(body, &edge.config.limits).await?;
    let (with, text, own_key) = (Arc::clone(&edge), bytes.clone(), key.clone());
    let work = async move {
        let session = match signed::session(&with, &bearer).await {
            // What the first try was answered may be forgotten; what it did is not.
            Err(_) if replay::was_logged_out(&with, &bearer.token, own_key.as_deref()).await? => {
                return Ok(logged_out(Vec::new()));
            }
            session => session?,
        };
        let request = logout_request(&headers, &text)?;
        if let Some(key) = own_key.as_deref().map(replay::hash) {
            // Not waited for: the writer keeps the order, and this is ahead of what it names.
            drop(with.database.commit(vec![Write::NameLogout {
                token: bearer.token,
                key,
            }]));
        }
        logout(&with, session, request, own_key).await
    };
    answered(edge, token, AGENT_LOGOUT, key, bytes, work).await
}

pub(super) async fn answered(
    edge: Arc<Edge>,
    token: TokenHash,
    path: &'static str,
    key: Option<String>,
    bytes: Vec<u8>,
    work: impl Future<Output = Result<Response, ApiError>> + Send + 'static,
) -> Result<Response, ApiError> {
    whole(async move {
        let Some(key) = key else { return work.await };
        let name = replay::Name { token, path, key };
        let work = async { work.await.into_response() };
        edge.replays.once(name, &bytes, work).await
    })
    .await
}

/// Does `work` to its end even if the client hangs up meanwhile: a session half made, or a refresh
/// token used up with no answer kept for the retry, would lock an honest client out.
pub(super) async fn whole<T: Send + 'static>(
    work: impl Future<Output = Result<T, ApiError>> + Send + 'static,
) -> Result<T, ApiError> {
    tokio::spawn(work).await.unwrap_or_else(|error| {
        tracing::error!(%error, "a request could not be finished");
        Err(ApiError::internal())
    })
}

/// Whether the password is right, as often as `from` may ask that.
pub(super) async fn judge(
    edge: &Edge,
    username: &str,
    password: String,
    from: IpAddr,
    now: Instant,
) -> Result<Credentials, ApiError> {
    let attempt = match edge.guesses.attempt(username, from, now) {
        Ok(attempt) => attempt,
        Err(held) => return Err(hold(edge, held).await),
    };
    // Dropped with the request, should the client hang up.
    verify(edge, attempt, username, password).await
}

async fn verify(
    edge: &Edge,
    mut attempt: Attempt<'_>,
    username: &str,
    password: String,
) -> Result<Credentials, ApiError> {
    let turn = edge.passwords.turn().await?;
    if let Err(held) = attempt.begin(Instant::now()) {
        drop((turn, attempt));
        return Err(hold(edge, held).await);
    }
    let found = edge.database.credentials(username).await?;
    let hash = found.as_ref().map(|found| found.password_hash.clone());
    let password = Secret::new(password);
    let right = edge.passwords.verify(turn, hash, password).await?;
    match found.filter(|_| right) {
        Some(credentials) => {
            attempt.right(Instant::now());
            Ok(credentials)
        }
        None => Err(attempt.wrong().map_or_else(wrong_credentials, wait)),
    }
}

/// Whoever is refused for what others tried there is refused as late as who is judged.
async fn hold(edge: &Edge, held: Held) -> ApiError {
    if held.why == Why::Others
        && let Err(busy) = edge.passwords.pretend().await
    {
        return busy.into();
    }
    match held.why {
        Why::SignIns => sign_ins(held.wait),
        Why::Own | Why::Others => wait(held.wait),
    }
}

pub(super) fn wrong_credentials() -> ApiError {
    ApiError::new(
        StatusCode::UNAUTHORIZED,
        "wrong_credentials",
        "The user name or the password is not right.",
    )
    .next("Check both and try again; an administrator can set a new password.")
}

/// Where somebody signs in.
struct Device {
    id: String,
    bound: bool,
}

impl Device {
    /// As the body names it, or made up. A client that names it in its headers too will do so from
    /// now on, and the session is bound to that.
    fn of(in_body: Option<String>, headers: &HeaderMap) -> Result<Self, ApiError> {
        let in_header = signed::device(headers);
        if in_header.is_some() && in_header != in_body.as_deref() {
            return Err(ApiError::invalid(
                "deviceId",
                format!("is not the device that the header {DEVICE_HEADER} names"),
            ));
        }
        Ok(Self {
            bound: in_header.is_some(),
            id: in_body.unwrap_or_else(|| Uuid::new_v4().to_string()),
        })
    }
}

async fn open_session(
    edge: &Edge,
    mut credentials: Credentials,
    device: Device,
) -> Result<LoginResponse, ApiError> {
    let now = clock::now_ms();
    let sip = sip_grant(edge, &credentials)?;
    if let Some(grant) = &sip {
        credentials.sip_secret = Some(grant.sealed.clone());
    }
    let (fresh, pair) = tokens::issue(&edge.config.auth, now).map_err(|_| ApiError::internal())?;
    let expires_at = pair.access_expires;
    // Made before anything is written: a SIP password that does not open is no sign-in.
    let answer = answer(edge, &credentials, fresh, expires_at)?;
    let session = Session {
        id: SessionId::new_v4(),
        user_id: credentials.user_id,
        username: credentials.username,
        extension: credentials.extension,
        role: credentials.role,
        bound: device.bound,
        device_id: device.id,
    };
    let start = NewSession {
        id: session.id,
        user_id: session.user_id,
        judged: Secret::new(credentials.password_hash),
        device_id: session.device_id.clone(),
        bound: session.bound,
        at: now,
        tokens: pair,
        sip,
    };
    edge.database
        .commit(vec![Write::StartSession(start)])
        .await
        .map_err(|error| match error {
            // Disabled, removed or given another password since this one was judged.
            WriteError::NotThere(_) => disabled(),
            WriteError::Superseded => wrong_credentials(),
            error => error.into(),
        })?;
    let session = Arc::new(session);
    if session.extension.is_some()
        && let Err(refusal) = edge.core.sign_in(Arc::clone(&session)).await
    {
        info!(extension = session.extension, device = %session.device_id, code = refusal.code, "sign-in refused");
        end_row(edge, &session, "refused").await?;
        return Err(refusal.into());
    }
    info!(extension = session.extension, device = %session.device_id, "signed in");
    expiry::end_surplus(edge, session.user_id).await;
    Ok(answer)
}

/// A session's own way to register, where Asterisk reads that from our database.
fn sip_grant(edge: &Edge, credentials: &Credentials) -> Result<Option<SipGrant>, ApiError> {
    let Some(extension) = &credentials.extension else {
        return Ok(None);
    };
    if !provision::is_realtime(&edge.config) {
        return Ok(None);
    }
    let owner = PhoneOwner {
        username: credentials.username.clone(),
        extension: extension.clone(),
        sealed: credentials.sip_secret.clone(),
        disabled: false,
    };
    Ok(Some(provision::grant(&edge.config, &edge.seal, &owner)?))
}

pub(super) fn answer(
    edge: &Edge,
    credentials: &Credentials,
    tokens: Tokens,
    expires_at: u64,
) -> Result<LoginResponse, ApiError> {
    let account = |extension: &String, sealed: &Vec<u8>| {
        let secret = edge
            .seal
            .unseal(&credentials.username, sealed)
            .map_err(|error| {
                tracing::error!(%extension, %error, "a SIP password cannot be opened");
                ApiError::internal()
            })?;
        Ok::<_, ApiError>(Pjsip {
            server: edge.config.sip.server.clone(),
            transport: edge.config.sip.transport.as_str().into(),
            username: extension.clone(),
            password: secret.expose().into(),
            authorities: edge.config.sip.authorities.clone(),
        })
    };
    let pjsip = credentials
        .extension
        .as_ref()
        .zip(credentials.sip_secret.as_ref())
        .map(|(extension, sealed)| account(extension, sealed))
        .transpose()?;
    Ok(LoginResponse {
        tokens,
        expires_at,
        user: User {
            username: credentials.username.clone(),
            extension: credentials.extension.clone(),
            role: credentials.role,
            pjsip,
        },
    })
}

async fn online(
    edge: &Edge,
    session: Arc<Session>,
    request: AgentOnlineRequest,
    key: Option<String>,
) -> Result<Response, ApiError> {
    if session.extension.as_ref() != Some(&request.extension) {
        info!(extension = session.extension, device = %session.device_id, "agent-online for another extension refused");
        return Err(ApiError::new(
            StatusCode::FORBIDDEN,
            "wrong_extension",
            "This extension is not yours.",
        )
        .field("extension"));
    }
    let device = session.device_id.clone();
    let result = edge
        .core
        .online(
            session,
            request.extension.clone(),
            (request.contact_uri, request.take_over),
            key,
        )
        .await;
    match &result {
        Ok(online) => {
            let contact = online.contact.as_deref().unwrap_or("none");
            info!(extension = %request.extension, %device, contact, status = ?online.agent.status, "agent-online answered");
        }
        Err(refusal) => {
            info!(extension = %request.extension, %device, code = refusal.code, "agent-online refused");
        }
    }
    let agent = result?.agent;
    Ok(Json(AgentOnlineResponse {
        success: true,
        agent,
    })
    .into_response())
}

fn logout_request(headers: &HeaderMap, bytes: &[u8]) -> Result<AgentLogoutRequest, ApiError> {
    // The seed sends a content type and no body.
    if bytes.is_empty() {
        return Ok(AgentLogoutRequest::default());
    }
    let request: AgentLogoutRequest = body::parse(headers, bytes)?;
    if let Some(device) = &request.device_id {
        check::device_id(device).map_err(|why| ApiError::invalid("deviceId", why))?;
    }
    if let Some(reason) = &request.reason {
        check::text(reason, 200).map_err(|why| ApiError::invalid("reason", why))?;
    }
    Ok(request)
}

async fn logout(
    edge: &Edge,
    session: Arc<Session>,
    request: AgentLogoutRequest,
    key: Option<String>,
) -> Result<Response, ApiError> {
    let pending = if session.extension.is_none() {
        // Of those without a phone no devices are kept but the one that asks.
        let named = request.device_id.as_ref();
        if named.is_some_and(|device| *device != session.device_id) {
            return Err(unknown_device());
        }
        end_own(edge, &session, "logged_out", "logout", "Signed out.").await?;
        Vec::new()
    } else {
        let asked = Arc::clone(&session);
        edge.core
            .logout(asked, request.device_id, request.reason, key)
            .await
            .inspect_err(|refusal| {
                info!(extension = session.extension, device = %session.device_id, code = refusal.code, "agent-logout refused");
            })?
            .pending
    };
    info!(extension = session.extension, device = %session.device_id, ?pending, "agent-logout answered");
    Ok(logged_out(pending))
}

fn unknown_device() -> ApiError {
    ApiError::new(
        StatusCode::NOT_FOUND,
        "unknown_device",
        "Nobody is signed in on this device.",
    )
    .field("deviceId")
}

fn logged_out(pending: Vec<String>) -> Response {
    Json(AgentLogoutResponse {
        success: true,
        pending,
    })
    .into_response()
}

/// Ends a session that the core does not keep, and tells its device.
pub(crate) async fn end_own(
    edge: &Edge,
    session: &Session,
    reason: &str,
    told: &str,
    message: &str,
) -> Result<(), ApiError> {
    end_row(edge, session, reason).await?;
    let ended = SessionEnded {
        reason: told.into(),
        message: message.into(),
    };
    edge.core
        .tell(session.id, DeviceNotice::SessionEnded(ended));
    Ok(())
}

pub(super) async fn end_row(edge: &Edge, session: &Session, reason: &str) -> Result<(), ApiError> {
    let end = Write::EndSession {
        session: session.id,
        at: clock::now_ms(),
        reason: reason.into(),
    };
    Ok(edge.database.commit(vec![end]).await?)
}

/// Told to who knows the password only.
fn disabled() -> ApiError {
    ApiError::new(
        StatusCode::FORBIDDEN,
        "account_disabled",
        "This account is disabled.",
    )
    .next("Ask an administrator to enable it.")
}

/// In whole seconds, after which it is over: who waits as told is not refused again.
fn wait(time: Duration) -> ApiError {
    let seconds = whole_seconds(time);
    ApiError::new(
        StatusCode::TOO_MANY_REQUESTS,
        "too_many_attempts",
        format!("Too many wrong passwords. Wait {seconds} s."),
    )
    .next("Wait, then try again; an administrator can set a new password.")
    .retry_after(seconds)
}

fn sign_ins(time: Duration) -> ApiError {
    let seconds = whole_seconds(time);
    ApiError::new(
        StatusCode::TOO_MANY_REQUESTS,
        "too_many_sign_ins",
        format!("This account has signed in here too often. Wait {seconds} s."),
    )
    .next("Wait, then try again; keep a session instead of signing in anew.")
    .retry_after(seconds)
}

fn whole_seconds(time: Duration) -> u64 {
    let seconds = time.as_nanos().div_ceil(1_000_000_000).max(1);
    u64::try_from(seconds).unwrap_or(u64::MAX)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn who_waits_as_long_as_told_is_not_refused_again() {
        let told = |time: Duration| {
            let answer = wait(time).into_response();
            let seconds = answer.headers()[axum::http::header::RETRY_AFTER].to_str();
            Duration::from_secs(seconds.unwrap().parse().unwrap())
        };
        for time in [1, 999_999, 1_000_000, 59_000_001].map(Duration::from_micros) {
            let seconds = told(time);
            assert!(
                seconds >= time && seconds < time + Duration::from_secs(1),
                "{time:?}"
            );
        }
    }
}
