//! HTTP: sign-in, agent-online, agent-logout.

use std::time::Duration;

use reqwest::{
    RequestBuilder, Response, StatusCode,
    header::{CONTENT_TYPE, RETRY_AFTER},
};
use rollcall_wire::{
    DEVICE_HEADER, IDEMPOTENCY_KEY_HEADER, OLDEST_WIRE_VERSION, WIRE_VERSION, WIRE_VERSION_HEADER,
    check,
    explain::{AVAILABLE, Available, EXPLAIN, Explanation, PAUSE, Pause, Paused, UNPAUSE},
    http::{
        AGENT_LOGOUT, AGENT_ONLINE, AgentLogoutRequest, AgentLogoutResponse, AgentOnlineRequest,
        AgentOnlineResponse, ErrorBody, HEALTHZ, LOGIN, LoginRequest, LoginResponse, REFRESH,
        RefreshRequest,
    },
};
use serde::{Serialize, de::DeserializeOwned};
use url::Url;
use uuid::Uuid;

use crate::{ClientError, backoff::Backoff};

/// The largest answer that is read, bytes.
const LARGEST: usize = 4 * 1024 * 1024;
/// How long an unused connection is kept: less than the 30 s after which a server closes it, so that
/// no request goes out on one that is just ending.
const KEPT: Duration = Duration::from_secs(20);
/// The longest a server's Retry-After is obeyed within one call.
const OBEYED: Duration = Duration::from_secs(2);

/// How long things may take.
#[derive(Clone, Debug)]
pub struct Timing {
    /// Until a connection stands.
    pub connect: Duration,
    /// Until a request is answered.
    pub request: Duration,
    /// Until a sign-in is answered: passwords wait their turn at the server.
    pub login: Duration,
    /// Tries of one call, the first included.
    pub tries: u32,
}

impl Default for Timing {
    fn default() -> Self {
        Self {
            connect: Duration::from_secs(3),
            request: Duration::from_secs(5),
            login: Duration::from_secs(30),
            tries: 3,
        }
    }
}

/// Speaks HTTP with one server; clones share its connections.
#[derive(Clone, Debug)]
pub struct Client {
    http: reqwest::Client,
    base: Url,
    timing: Timing,
    device: Option<String>,
}

impl Client {
    /// A client of the server at `base_url` (`https://host`, `http://host:port`, with a path where
    /// a proxy serves it under one).
    pub fn new(base_url: &str) -> Result<Self, ClientError> {
        Self::with_timing(base_url, Timing::default())
    }

    /// The same, with other times.
    pub fn with_timing(base_url: &str, timing: Timing) -> Result<Self, ClientError> {
        let base = address(base_url)?;
        // One provider a process; whoever was first has chosen the same.
        let _ = rustls::crypto::ring::default_provider().install_default();
        let http = reqwest::Client::builder()
            .connect_timeout(timing.connect)
            .pool_idle_timeout(KEPT)
            .redirect(reqwest::redirect::Policy::none())
            .no_proxy()
            .user_agent(concat!("rollcall/", env!("CARGO_PKG_VERSION")))
            .build()
            .map_err(|error| ClientError::ServerAway(words(&error)))?;
        Ok(Self {
            http,
            base,
            timing,
            device: None,
        })
    }

    /// The same, speaking for one device: sessions it opens are bound to that device, and their
    /// tokens good through such a client only.
    #[must_use]
    pub fn of_device(self, device_id: impl Into<String>) -> Self {
        Self {
            device: Some(device_id.into()),
            ..self
        }
    }

    /// Signs in.
    pub async fn login(&self, request: &LoginRequest) -> Result<LoginResponse, ClientError> {
        let call = || self.post(LOGIN, None, request).timeout(self.timing.login);
        self.patiently(call).await
    }

    /// The requests of one intent, which all carry `key`. Who tries again later, because no answer
    /// came, does so under the key of the first attempt; a new intent takes a new one.
    #[must_use]
    pub fn under(&self, key: Uuid) -> Keyed<'_> {
        Keyed {
            client: self,
            key: key.to_string(),
        }
    }

    /// [`Keyed::refresh`] under a key of its own.
    pub async fn refresh(&self, refresh: &str) -> Result<LoginResponse, ClientError> {
        self.under(Uuid::new_v4()).refresh(refresh).await
    }

    /// [`Keyed::agent_online`] under a key of its own.
    pub async fn agent_online(
        &self,
        token: &str,
        extension: &str,
        contact_uri: &str,
    ) -> Result<AgentOnlineResponse, ClientError> {
        let keyed = self.under(Uuid::new_v4());
        let request = AgentOnlineRequest {
            extension: extension.into(),
            contact_uri: contact_uri.into(),
            take_over: false,
        };
        keyed.agent_online(token, &request).await
    }

    /// [`Keyed::agent_logout`] under a key of its own.
    pub async fn agent_logout(
        &self,
        token: &str,
        request: &AgentLogoutRequest,
    ) -> Result<AgentLogoutResponse, ClientError> {
        let keyed = self.under(Uuid::new_v4());
        keyed.agent_logout(token, request).await
    }

    /// Why an agent's state is what it is, or was at `at` (ms since the epoch).
    pub async fn explain(
        &self,
        token: &str,
        extension: &str,
        at: Option<u64>,
    ) -> Result<Explanation, ClientError> {
        check::extension(extension).map_err(|why| bad_extension(&why))?;
        let mut url = self.url(&EXPLAIN.replace("{extension}", extension));
        if let Some(at) = at {
            url.set_query(Some(&format!("at={at}")));
        }
        let call = || self.marked(self.http.get(url.clone()), Some(token));
        self.patiently(call).await
    }

    /// Whether a call may be handed on to an agent, from a check that begins with the question.
    pub async fn available(&self, token: &str, extension: &str) -> Result<Available, ClientError> {
        check::extension(extension).map_err(|why| bad_extension(&why))?;
        let url = self.url(&AVAILABLE.replace("{extension}", extension));
        let call = || self.marked(self.http.get(url.clone()), Some(token));
        self.patiently(call).await
    }

    /// Whether a server answers at all.
    pub async fn healthz(&self) -> Result<(), ClientError> {
        let url = self.url(HEALTHZ);
        let request = self.http.get(url).timeout(self.timing.request);
        let _: serde_json::Value = once(request).await.map_err(|failed| failed.error)?;
        Ok(())
    }

    pub(crate) fn socket_url(&self) -> Url {
        let mut url = self.url("/socket.io/");
        let scheme = if url.scheme() == "https" { "wss" } else { "ws" };
        // From http to ws is a change between special schemes, which cannot fail.
        let _ = url.set_scheme(scheme);
        url.set_query(Some("EIO=4&transport=websocket"));
        url
    }

    pub(crate) fn device(&self) -> Option<&str> {
        self.device.as_deref()
    }

    pub(crate) fn timing(&self) -> &Timing {
        &self.timing
    }

    fn post(&self, path: &str, token: Option<&str>, body: &impl Serialize) -> RequestBuilder {
        self.marked(self.http.post(self.url(path)).json(body), token)
    }

    /// With what every request carries: its time, the version spoken, the device, and who asks.
    fn marked(&self, request: RequestBuilder, token: Option<&str>) -> RequestBuilder {
        let mut request = request
            .timeout(self.timing.request)
            .header(WIRE_VERSION_HEADER, WIRE_VERSION);
        if let Some(device) = &self.device {
            request = request.header(DEVICE_HEADER, device);
        }
        if let Some(token) = token {
            request = request.bearer_auth(token);
        }
        request
    }

    fn url(&self, path: &str) -> Url {
        let mut url = self.base.clone();
        let prefix = self.base.path().trim_end_matches('/');
        url.set_path(&format!("{prefix}{path}"));
        url
    }

    /// Tries a few times while the failure may pass.
    async fn patiently<T: DeserializeOwned>(
        &self,
        call: impl Fn() -> RequestBuilder,
    ) -> Result<T, ClientError> {
        let mut backoff = Backoff::default();
        let mut tries = 1;
        loop {
            match once(call()).await {
                Ok(answer) => return Ok(answer),
                Err(failed) if failed.error.is_passing() && tries < self.timing.tries => {
                    let wait = backoff.next().max(failed.retry_after.min(OBEYED));
                    tracing::debug!(error = %failed.error, tries, ?wait, "a request is tried again");
                    tokio::time::sleep(wait).await;
                    tries += 1;
                }
                Err(failed) => return Err(failed.error),
            }
        }
    }
}

/// The requests of one intent: however often they are sent, the server does them once and answers
/// them the same ([`Client::under`]).
#[derive(Clone, Debug)]
pub struct Keyed<'a> {
    client: &'a Client,
    key: String,
}

impl Keyed<'_> {
    /// Trades a refresh token for a new pair. The token is used up, whatever becomes of the answer:
    /// under another key the server takes a second attempt for theft.
    pub async fn refresh(&self, refresh: &str) -> Result<LoginResponse, ClientError> {
        let request = RefreshRequest {
            refresh: refresh.into(),
        };
        self.send(REFRESH, None, &request).await
    }

    /// Says that the agent wants calls at this contact, here instead of elsewhere if it takes over.
    pub async fn agent_online(
        &self,
        token: &str,
        request: &AgentOnlineRequest,
    ) -> Result<AgentOnlineResponse, ClientError> {
        self.send(AGENT_ONLINE, Some(token), request).await
    }

    /// Ends the token's session, or another device's of the same user.
    pub async fn agent_logout(
        &self,
        token: &str,
        request: &AgentLogoutRequest,
    ) -> Result<AgentLogoutResponse, ClientError> {
        self.send(AGENT_LOGOUT, Some(token), request).await
    }

    /// Pauses an agent for this reason; without one ends the pause.
    pub async fn pause(
        &self,
        token: &str,
        extension: &str,
        reason: Option<&str>,
    ) -> Result<Paused, ClientError> {
        check::extension(extension).map_err(|why| bad_extension(&why))?;
        let of = |path: &str| path.replace("{extension}", extension);
        match reason {
            Some(reason) => {
                let request = Pause {
                    reason: reason.into(),
                };
                self.send(&of(PAUSE), Some(token), &request).await
            }
            None => {
                let url = self.client.url(&of(UNPAUSE));
                let call = || {
                    let request = self.client.http.post(url.clone());
                    let request = self.client.marked(request, Some(token));
                    request.header(IDEMPOTENCY_KEY_HEADER, &self.key)
                };
                self.client.patiently(call).await
            }
        }
    }

    async fn send<T: DeserializeOwned>(
        &self,
        path: &str,
        token: Option<&str>,
        body: &impl Serialize,
    ) -> Result<T, ClientError> {
        let call = || {
            self.client
                .post(path, token, body)
                .header(IDEMPOTENCY_KEY_HEADER, &self.key)
        };
        self.client.patiently(call).await
    }
}

struct Failed {
    error: ClientError,
    retry_after: Duration,
}

impl From<ClientError> for Failed {
    fn from(error: ClientError) -> Self {
        Self {
            error,
            retry_after: Duration::ZERO,
        }
    }
}

async fn once<T: DeserializeOwned>(request: RequestBuilder) -> Result<T, Failed> {
    let response = request
        .send()
        .await
        .map_err(|error| ClientError::ServerAway(words(&error)))?;
    let status = response.status();
    let retry_after = response
        .headers()
        .get(RETRY_AFTER)
        .and_then(|value| value.to_str().ok()?.parse().ok())
        .map_or(Duration::ZERO, Duration::from_secs);
    if let Some(version) = version_of(&response)
        && version < OLDEST_WIRE_VERSION
    {
        return Err(ClientError::ServerTooOld(version).into());
    }
    let kind = response
        .headers()
        .get(CONTENT_TYPE)
        .and_then(|value| value.to_str().ok())
        .unwrap_or("nothing")
        .to_owned();
    let bytes = read(response).await?;
    let strange = |what: &str| {
        Failed::from(ClientError::NotRollcall(format!(
            "{what} (status {}, {kind})",
            status.as_u16()
        )))
    };
    if status.is_success() {
        return serde_json::from_slice(&bytes)
            .map_err(|_| strange("an answer of another kind came back"));
    }
    match serde_json::from_slice::<ErrorBody>(&bytes) {
        Ok(body) => Err(Failed {
            error: ClientError::Refused {
                status: status.as_u16(),
                body,
            },
            retry_after,
        }),
        // A proxy in front says so in its own words.
        Err(_) if is_gateway(status) => Err(Failed {
            error: ClientError::ServerAway(format!("a proxy answers {status}")),
            retry_after,
        }),
        Err(_) => Err(strange("an error of another kind came back")),
    }
}

/// The version that the server names; the first servers named none.
fn version_of(response: &Response) -> Option<u32> {
    let named = response.headers().get(WIRE_VERSION_HEADER)?;
    named.to_str().ok()?.parse().ok()
}

async fn read(mut response: Response) -> Result<Vec<u8>, ClientError> {
    let mut bytes = Vec::new();
    loop {
        match response.chunk().await {
            Ok(Some(chunk)) if bytes.len() + chunk.len() <= LARGEST => {
                bytes.extend_from_slice(&chunk);
            }
            Ok(Some(_)) => {
                return Err(ClientError::NotRollcall("its answer never ends".into()));
            }
            Ok(None) => return Ok(bytes),
            Err(error) => return Err(ClientError::ServerAway(words(&error))),
        }
    }
}

fn is_gateway(status: StatusCode) -> bool {
    matches!(
        status,
        StatusCode::BAD_GATEWAY | StatusCode::SERVICE_UNAVAILABLE | StatusCode::GATEWAY_TIMEOUT
    )
}

fn address(text: &str) -> Result<Url, ClientError> {
    let bad = || ClientError::BadAddress(text.to_owned());
    let mut url = Url::parse(text.trim()).map_err(|_| bad())?;
    let plain = url.username().is_empty() && url.password().is_none();
    if !matches!(url.scheme(), "http" | "https") || url.host().is_none() || !plain {
        return Err(bad());
    }
    url.set_query(None);
    url.set_fragment(None);
    Ok(url)
}

/// As the server would say it, without asking: the extension is part of a path.
fn bad_extension(why: &check::Refused) -> ClientError {
    ClientError::Refused {
        status: StatusCode::BAD_REQUEST.as_u16(),
        body: ErrorBody {
            code: "invalid".into(),
            message: format!("The extension {why}."),
            field: Some("extension".into()),
            next: Some("Ask for an extension as the board shows it.".into()),
        },
    }
}

/// reqwest's words with their cause, without the address.
fn words(error: &reqwest::Error) -> String {
    if error.is_timeout() {
        return "no answer in time".into();
    }
    let mut deepest: &dyn std::error::Error = error;
    while let Some(source) = deepest.source() {
        deepest = source;
    }
    deepest.to_string()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn an_address_is_http_with_a_host_and_without_a_password() {
        for good in ["http://127.0.0.1:8080", "https://h/rollcall/", " http://h "] {
            assert!(Client::new(good).is_ok(), "{good}");
        }
        for bad in ["", "h:8080", "ftp://h", "http://", "http://u:p@h", "/x"] {
            assert!(
                matches!(Client::new(bad), Err(ClientError::BadAddress(_))),
                "{bad}"
            );
        }
    }

    #[test]
    fn a_path_in_front_is_kept_for_http_and_for_the_socket() {
        let client = Client::new("https://h/rollcall/").unwrap();
        assert_eq!(
            client.url(LOGIN).as_str(),
            "https://h/rollcall/api/users/login"
        );
        assert_eq!(
            client.socket_url().as_str(),
            "wss://h/rollcall/socket.io/?EIO=4&transport=websocket"
        );
    }
}
