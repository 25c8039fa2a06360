//! HTTP requests and answers.

use serde::{Deserialize, Serialize};
use ts_rs::TS;

/// `POST /api/users/login`.
pub const LOGIN: &str = "/api/users/login";
/// `POST /api/users/refresh`: a new pair of tokens for a refresh token.
pub const REFRESH: &str = "/api/users/refresh";
/// `POST /api/users/agent-online`.
pub const AGENT_ONLINE: &str = "/api/users/agent-online";
/// `POST /api/users/agent-logout`.
pub const AGENT_LOGOUT: &str = "/api/users/agent-logout";
/// `GET /api/openapi.json`: all of this, for programs.
pub const OPENAPI: &str = "/api/openapi.json";
/// `GET /healthz`: the process answers.
pub const HEALTHZ: &str = "/healthz";
/// `GET /readyz`: it can serve; 503 with the reason otherwise.
pub const READYZ: &str = "/readyz";

/// What a person may do.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, Serialize, Deserialize, TS)]
#[serde(rename_all = "lowercase")]
pub enum Role {
    /// Takes calls; sees colleagues' states.
    Agent,
    /// Sees the board with reasons and devices.
    Supervisor,
    /// Manages people and the server.
    Admin,
}

/// The body of [`LOGIN`].
#[derive(Clone, Serialize, Deserialize)]
#[serde(rename_all = "camelCase", deny_unknown_fields)]
pub struct LoginRequest {
    /// The user's name.
    pub username: String,
    /// The password.
    pub password: String,
    /// The device's id (a UUID), stable across restarts; the session is bound to it.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub device_id: Option<String>,
}

/// The answer to [`LOGIN`] and [`REFRESH`].
#[derive(Clone, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub struct LoginResponse {
    /// The tokens.
    pub tokens: Tokens,
    /// When `tokens.sip` ends, ms since the epoch.
    pub expires_at: u64,
    /// Who signed in.
    pub user: User,
}

/// Opaque tokens. `sip` keeps the name the seed's clients read; it authorises HTTP and Socket.IO
/// and is no SIP credential.
#[derive(Clone, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub struct Tokens {
    /// The access token.
    pub sip: String,
    /// Trades once for a new pair at [`REFRESH`].
    pub refresh: String,
}

/// The person behind a session.
#[derive(Clone, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub struct User {
    /// The user's name.
    pub username: String,
    /// The extension; absent for people without a phone.
    pub extension: Option<String>,
    /// The role.
    pub role: Role,
    /// SIP account; absent for people without an extension.
    pub pjsip: Option<Pjsip>,
}

/// The SIP account of a device session.
#[derive(Clone, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub struct Pjsip {
    /// `host` or `host:port` of the registrar.
    pub server: String,
    /// `udp`, `tcp`, `tls`, `ws` or `wss`.
    pub transport: String,
    /// The digest user name.
    pub username: String,
    /// The digest password.
    pub password: String,
    /// The authorities, in PEM, whose certificates count over `tls` and `wss` in place of the computer's own; absent where
    /// those do.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub authorities: Option<String>,
}

/// The body of [`REFRESH`].
#[derive(Clone, Serialize, Deserialize)]
#[serde(rename_all = "camelCase", deny_unknown_fields)]
pub struct RefreshRequest {
    /// The refresh token.
    pub refresh: String,
}

/// The body of [`AGENT_ONLINE`].
#[derive(Clone, Debug, Serialize, Deserialize)]
#[serde(rename_all = "camelCase", deny_unknown_fields)]
pub struct AgentOnlineRequest {
    /// The token's own extension; another one is refused with 403.
    pub extension: String,
    /// The Contact the phone registered: a claim to match, never a route to store.
    pub contact_uri: String,
    /// End the session of the device that stands in the way (`in_use`).
    #[serde(default, skip_serializing_if = "std::ops::Not::not")]
    pub take_over: bool,
}

/// The answer to [`AGENT_ONLINE`].
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub struct AgentOnlineResponse {
    /// Always true; failures are errors.
    pub success: bool,
    /// The agent's state after the commit.
    pub agent: crate::board::Agent,
}

/// The optional body of [`AGENT_LOGOUT`]; none ends the token's own session.
#[derive(Clone, Debug, Default, Serialize, Deserialize)]
#[serde(rename_all = "camelCase", deny_unknown_fields)]
pub struct AgentLogoutRequest {
    /// Another device of the same user.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub device_id: Option<String>,
    /// Why, for the ledger.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub reason: Option<String>,
}

/// The answer to [`AGENT_LOGOUT`].
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub struct AgentLogoutResponse {
    /// Always true; failures are errors.
    pub success: bool,
    /// What does not agree yet after two seconds: `call`, `contact`, `row`, `device`; the logout goes
    /// on and finishes by itself. Empty when phone, Asterisk and board agree.
    pub pending: Vec<String>,
}

/// The one shape of an error.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize, TS)]
#[serde(rename_all = "camelCase")]
pub struct ErrorBody {
    /// Stable `snake_case` word for programs.
    pub code: String,
    /// What is wrong and why, for a person.
    pub message: String,
    /// The field it is about.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[ts(optional)]
    pub field: Option<String>,
    /// What to do next.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[ts(optional)]
    pub next: Option<String>,
}

/// `Debug` for what carries a secret: the fields that are named, and no other.
macro_rules! redacted {
    ($($t:ident { $($shown:ident),* }),* $(,)?) => {$(
        impl std::fmt::Debug for $t {
            fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
                f.debug_struct(stringify!($t))$(.field(stringify!($shown), &self.$shown))*.finish_non_exhaustive()
            }
        }
    )*};
}
pub(crate) use redacted;

// What carries a secret prints the rest of itself only.
redacted!(
    LoginRequest {
        username,
        device_id
    },
    LoginResponse { expires_at, user },
    Tokens {},
    User {
        username,
        extension,
        role,
        pjsip
    },
    Pjsip {
        server,
        transport,
        username
    },
    RefreshRequest {},
);
