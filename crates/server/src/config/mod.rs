//! The configuration: one typed TOML file, read once at start.
//!
//! Every key is documented in `packaging/server.toml`. A key this module does not know is an error
//! that names it and the nearest one it does. `ROLLCALL_LISTEN`, `ROLLCALL_AMI__HOST` and their
//! like override the file; a variable whose first part is no key of ours is somebody else's.

mod examine;
mod load;
mod secret;

use std::{
    net::{IpAddr, Ipv4Addr, SocketAddr},
    path::PathBuf,
    time::Duration,
};

use serde::Deserialize;

pub use load::ConfigError;
pub use secret::Secret;

/// Everything an admin can choose.
#[derive(Clone, Debug, Deserialize)]
#[serde(default, deny_unknown_fields)]
pub struct Config {
    /// Where HTTP and Socket.IO are served; port 0 takes a free one.
    pub listen: SocketAddr,
    /// Where the database and the key file live; made with mode 0700.
    pub data_dir: PathBuf,
    /// What Asterisk maps, and so what `ps_contacts` is.
    pub mode: Mode,
    /// Proxies whose `X-Forwarded-For` names the client.
    pub trusted: Vec<IpAddr>,
    /// The database.
    pub database: DatabaseConfig,
    /// Asterisk's Manager Interface; without it every agent is `Unknown`.
    pub ami: Option<AmiConfig>,
    /// Asterisk's REST interface, for evictions at once; without it they wait for Asterisk's next
    /// check of expired contacts.
    pub ari: Option<AriConfig>,
    /// Pages of these origins may call the server from a browser; none unless named.
    pub origins: Vec<String>,
    /// TLS of the server's own; without it a proxy in front has to speak it.
    pub tls: Option<TlsConfig>,
    /// What login answers tell phones.
    pub sip: SipConfig,
    /// What is told to Asterisk of the agents' phones.
    pub provision: ProvisionConfig,
    /// Times and policies of the alignment core.
    pub alignment: AlignmentConfig,
    /// Passwords, tokens, guessing.
    pub auth: AuthConfig,
    /// What one request may take.
    pub limits: LimitsConfig,
    /// Figures for Prometheus.
    pub metrics: MetricsConfig,
    /// Logs; read by the binary only.
    pub log: LogConfig,
}

/// Where Asterisk keeps contacts.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum Mode {
    /// In its astdb; our `ps_contacts` mirrors what the registrar reports.
    #[default]
    Mirror,
    /// In `ps_contacts` itself, over ODBC: the table is Asterisk's, we keep its `status`.
    Shared,
    /// Nobody asks: no AMI. What the apps claim is recorded, and everybody who claims is Unverified.
    Claims,
}

/// The database.
#[derive(Clone, Debug, Deserialize)]
#[serde(default, deny_unknown_fields)]
pub struct DatabaseConfig {
    /// `sqlite:FILE` (a relative file lies in the data directory),
    /// `postgres://USER@HOST:PORT/DATABASE` or `mariadb://USER@HOST:PORT/DATABASE`; never with the
    /// password in it.
    pub url: String,
    /// A file that holds the password of PostgreSQL's or MariaDB's user.
    pub password_file: Option<PathBuf>,
    /// The environment variable that holds it.
    pub password_env: Option<String>,
    /// How long a write waits for another process's lock, ms; MariaDB counts in whole seconds.
    pub busy_timeout_ms: u64,
    /// How long the server that has this database and this Asterisk may be silent before another one
    /// takes its place, ms.
    pub takeover_ms: u64,
}

/// Asterisk's Manager Interface.
#[derive(Clone, Debug, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct AmiConfig {
    /// Host name or address.
    pub host: String,
    /// TCP port.
    #[serde(default = "ami_port")]
    pub port: u16,
    /// The manager user.
    pub username: String,
    /// A file that holds the manager's secret.
    #[serde(default)]
    pub secret_file: Option<PathBuf>,
    /// The environment variable that holds it.
    #[serde(default)]
    pub secret_env: Option<String>,
    /// The secret itself, for a server embedded in a program; no key of the file.
    #[serde(skip)]
    pub secret: Option<Secret>,
}

/// Asterisk's REST interface.
#[derive(Clone, Debug, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct AriConfig {
    /// `http://host:port`, with the `prefix` of `http.conf` if there is one.
    pub url: String,
    /// The user of `ari.conf`; not a read-only one.
    pub username: String,
    /// A file that holds the user's password.
    #[serde(default)]
    pub secret_file: Option<PathBuf>,
    /// The environment variable that holds it.
    #[serde(default)]
    pub secret_env: Option<String>,
}

/// TLS of the server's own.
#[derive(Clone, Debug, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct TlsConfig {
    /// The certificate and what it rests on, PEM.
    pub certificate: PathBuf,
    /// Its private key, PEM.
    pub key: PathBuf,
}

/// What login answers tell phones about the registrar.
#[derive(Clone, Debug, Deserialize)]
#[serde(default, deny_unknown_fields)]
pub struct SipConfig {
    /// `host` or `host:port`, as the phones reach it.
    pub server: String,
    /// How phones speak with it: `udp`, `tcp`, `tls`, `ws` or `wss`. An app that speaks UDP only refuses any other with a
    /// next step, and does not register.
    pub transport: Transport,
    /// Over `tls` and `wss`: the authorities, a PEM file, that alone vouch for the registrar's certificate; without it those
    /// of each agent's computer do. Phones are given it when they sign in.
    pub ca_file: Option<PathBuf>,
    /// What is in it.
    #[serde(skip)]
    pub authorities: Option<String>,
}

/// What is told to Asterisk of the agents' phones.
#[derive(Clone, Debug, PartialEq, Eq, Deserialize)]
#[serde(default, deny_unknown_fields)]
pub struct ProvisionConfig {
    /// Shared mode: whether the server keeps `ps_endpoints`, `ps_aors` and `ps_auths`, with an auth of
    /// its own for each device session.
    pub realtime: bool,
    /// The dialplan's context for calls from agents.
    pub context: String,
    /// Codecs in Asterisk's names, the preferred one first.
    pub codecs: String,
    /// Contacts of one extension at a time, where `alignment.devices` is `multi`; else there are two.
    pub max_contacts: u32,
    /// How long a registration lives that asks for nothing, s.
    pub expiry_s: u32,
    /// How long it lives at the most, s.
    pub max_expiry_s: u32,
    /// How often Asterisk asks a contact whether it is there, s.
    pub qualify_frequency_s: u32,
}

/// A SIP transport.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum Transport {
    /// UDP.
    #[default]
    Udp,
    /// TCP.
    Tcp,
    /// TLS over TCP.
    Tls,
    /// WebSocket (RFC 7118).
    Ws,
    /// WebSocket over TLS.
    Wss,
}

/// Times and policies of the alignment core (alignment rules R1, R4, R9).
#[derive(Clone, Debug, Deserialize)]
#[serde(default, deny_unknown_fields)]
pub struct AlignmentConfig {
    /// How often a device says that it is alive, ms.
    pub heartbeat_ms: u64,
    /// How long a device's lease lives without a heartbeat, ms.
    pub lease_ms: u64,
    /// How long leases may take to come back after a start of the server, ms.
    pub grace_ms: u64,
    /// How often everything is asked of Asterisk anew, ms.
    pub resync_ms: u64,
    /// How long a claimed contact may take to be seen before the login is called incomplete, ms.
    pub login_timeout_ms: u64,
    /// Whether a contact that Asterisk does not qualify counts as reachable.
    pub accept_non_qualified: bool,
    /// What a second device of the same extension means.
    pub devices: Devices,
    /// Whether repairs are made, or only concluded and put on the ledger.
    pub repairs: Repairs,
    /// What becomes of a phone that nobody is logged in with.
    pub unmanaged: Unmanaged,
    /// Contacts evicted at most in one second.
    pub evictions_per_second: u32,
    /// Apps asked to register again at most in one second.
    pub reregistrations_per_second: u32,
    /// Endpoints that Asterisk is asked to qualify at most in one second.
    pub qualifies_per_second: u32,
    /// Endpoints paused in the queues, or let back, at most in one second.
    pub drains_per_second: u32,
    /// How long the ledger is kept, days; 0 keeps it for ever.
    pub ledger_days: u32,
}

/// What a second device of the same extension means.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum Devices {
    /// Refused while the first one is there, unless its agent takes over.
    Single,
    /// A lease each.
    #[default]
    Multi,
    /// The newest ends the others.
    Takeover,
}

/// Whether repairs are made.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum Repairs {
    /// They are.
    #[default]
    Act,
    /// They are put on the ledger, and everything is left as it is.
    Observe,
}

/// What becomes of a phone that nobody is logged in with.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum Unmanaged {
    /// It is shown, and left alone.
    #[default]
    Leave,
    /// It is evicted.
    Evict,
}

/// Passwords, tokens, guessing.
#[derive(Clone, Debug, Deserialize)]
#[serde(default, deny_unknown_fields)]
pub struct AuthConfig {
    /// How long an access token lives, ms.
    pub access_ttl_ms: u64,
    /// How long a refresh token lives, ms; each one is good for one exchange.
    pub refresh_ttl_ms: u64,
    /// Passwords hashed at a time; each takes 19 MiB and a core. 0 for [`Self::hashers`]' own choice.
    pub hash_threads: usize,
    /// Sign-ins that may wait for a hash; more are answered 503 with Retry-After.
    pub hash_queue: usize,
    /// Living sessions of one account; another one ends that which was used longest ago.
    pub sessions_per_account: usize,
    /// Sign-ins to one account from one address within a lock-out's time; more are answered 429.
    pub sign_ins_allowed: u32,
    /// Wrong passwords for one account from one address before it has to wait.
    pub failures_allowed: u32,
    /// Wrong passwords for one account from all addresses it never signed in from, within a lock-out's
    /// time.
    pub account_failures_allowed: u32,
    /// Wrong passwords from one address for all accounts that never signed in from there, within a
    /// lock-out's time.
    pub address_failures_allowed: u32,
    /// How long who failed too often waits, ms.
    pub lockout_ms: u64,
}

/// What one request may take.
#[derive(Clone, Debug, Deserialize)]
#[serde(default, deny_unknown_fields)]
pub struct LimitsConfig {
    /// Connections at a time; more wait until one ends.
    pub connections: usize,
    /// Connections of one address at a time, of IPv6 a network of 64 bits; more are answered 429. Of a trusted
    /// proxy's, requests under way count instead, by the address that it forwards.
    pub connections_per_address: usize,
    /// Socket.IO sessions at a time, whether a connection carries them or they poll; more are answered 503.
    pub sockets: usize,
    /// The same of one address; more are answered 429.
    pub sockets_per_address: usize,
    /// Requests of one address a second, judged over 20 s; more are answered 429. Those of an admitted
    /// Socket.IO session are not counted, so that nobody's heartbeats are lost by what others at that address do.
    pub requests_per_address: u32,
    /// The same of one account that is signed in, from wherever.
    pub requests_per_account: u32,
    /// The largest body, bytes.
    pub body_bytes: usize,
    /// How long a request may take until it is answered 503, ms.
    pub request_timeout_ms: u64,
    /// How long a connection may take to say a request's headers, the wait for it included, ms.
    pub headers_timeout_ms: u64,
    /// How long a client may take nothing of what it is sent until it is cut off, ms.
    pub unread_timeout_ms: u64,
}

/// Figures for Prometheus.
#[derive(Clone, Debug, Default, Deserialize)]
#[serde(default, deny_unknown_fields)]
pub struct MetricsConfig {
    /// Where `/metrics` is served, on a port of its own: whoever reaches it reads it without a
    /// token. Without this it is served nowhere.
    pub listen: Option<SocketAddr>,
}

/// Logs.
#[derive(Clone, Debug, Deserialize)]
#[serde(default, deny_unknown_fields)]
pub struct LogConfig {
    /// `plain` or `json`.
    pub format: LogFormat,
    /// Which lines: a level, or directives such as `info,rollcall_server=debug`.
    pub filter: String,
}

/// The form of a log line.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum LogFormat {
    /// For a person.
    #[default]
    Plain,
    /// One JSON object a line.
    Json,
}

impl Config {
    /// The path an installed server reads.
    pub const DEFAULT_PATH: &str = "/etc/rollcall/server.toml";
}

impl Config {
    /// What is told to Asterisk of each phone, its contacts as many as the policy for devices has them. Of a policy of
    /// one that is two: whoever takes another's place, or comes back after a crash, registers before the other is gone.
    #[must_use]
    pub fn phones(&self) -> ProvisionConfig {
        let max_contacts = match self.alignment.devices {
            Devices::Multi => self.provision.max_contacts,
            Devices::Single | Devices::Takeover => 2,
        };
        ProvisionConfig {
            max_contacts,
            ..self.provision.clone()
        }
    }
}

impl AmiConfig {
    /// Settings with the secret at hand, for a server embedded in a program.
    #[must_use]
    pub fn new(address: SocketAddr, username: impl Into<String>, secret: Secret) -> Self {
        Self {
            host: address.ip().to_string(),
            port: address.port(),
            username: username.into(),
            secret_file: None,
            secret_env: None,
            secret: Some(secret),
        }
    }
}

impl Mode {
    /// The word of the configuration, and on the board.
    #[must_use]
    pub fn as_str(self) -> &'static str {
        match self {
            Self::Mirror => "mirror",
            Self::Shared => "shared",
            Self::Claims => "claims",
        }
    }
}

impl Transport {
    /// The word on the wire.
    #[must_use]
    pub fn as_str(self) -> &'static str {
        match self {
            Self::Udp => "udp",
            Self::Tcp => "tcp",
            Self::Tls => "tls",
            Self::Ws => "ws",
            Self::Wss => "wss",
        }
    }
}

impl AuthConfig {
    /// Passwords hashed at a time: as many as are named, else half as many as there are processors, and one at least. So
    /// whatever is not a hash finds a processor at once that has none to do.
    #[must_use]
    pub fn hashers(&self) -> usize {
        match self.hash_threads {
            0 => std::thread::available_parallelism().map_or(1, |all| all.get().div_ceil(2)),
            named => named,
        }
    }
}

impl AlignmentConfig {
    /// How long a device's lease lives without a heartbeat.
    #[must_use]
    pub fn lease(&self) -> Duration {
        Duration::from_millis(self.lease_ms)
    }

    /// How long leases may take to come back after a start.
    #[must_use]
    pub fn grace(&self) -> Duration {
        Duration::from_millis(self.grace_ms)
    }

    /// How often everything is asked of Asterisk anew.
    #[must_use]
    pub fn resync(&self) -> Duration {
        Duration::from_millis(self.resync_ms)
    }

    /// How long a claimed contact may take to be seen.
    #[must_use]
    pub fn login_timeout(&self) -> Duration {
        Duration::from_millis(self.login_timeout_ms)
    }
}

impl Default for Config {
    fn default() -> Self {
        Self {
            listen: SocketAddr::from((Ipv4Addr::LOCALHOST, 8080)),
            data_dir: "/var/lib/rollcall".into(),
            mode: Mode::default(),
            trusted: Vec::new(),
            origins: Vec::new(),
            tls: None,
            database: DatabaseConfig::default(),
            ami: None,
            ari: None,
            sip: SipConfig::default(),
            provision: ProvisionConfig::default(),
            alignment: AlignmentConfig::default(),
            auth: AuthConfig::default(),
            limits: LimitsConfig::default(),
            metrics: MetricsConfig::default(),
            log: LogConfig::default(),
        }
    }
}

impl Default for DatabaseConfig {
    fn default() -> Self {
        Self {
            url: "sqlite:rollcall.db".into(),
            password_file: None,
            password_env: None,
            busy_timeout_ms: 5_000,
            takeover_ms: 15_000,
        }
    }
}

impl Default for SipConfig {
    fn default() -> Self {
        Self {
            server: "127.0.0.1:5060".into(),
            transport: Transport::default(),
            ca_file: None,
            authorities: None,
        }
    }
}

impl Default for ProvisionConfig {
    fn default() -> Self {
        Self {
            realtime: false,
            context: "agents".into(),
            codecs: "opus,ulaw".into(),
            max_contacts: 4,
            expiry_s: 300,
            max_expiry_s: 600,
            qualify_frequency_s: 10,
        }
    }
}

impl Default for AlignmentConfig {
    fn default() -> Self {
        Self {
            heartbeat_ms: 5_000,
            lease_ms: 15_000,
            grace_ms: 15_000,
            resync_ms: 60_000,
            login_timeout_ms: 20_000,
            accept_non_qualified: false,
            evictions_per_second: 20,
            reregistrations_per_second: 50,
            qualifies_per_second: 100,
            drains_per_second: 50,
            ledger_days: 400,
            devices: Devices::default(),
            repairs: Repairs::default(),
            unmanaged: Unmanaged::default(),
        }
    }
}

impl Default for AuthConfig {
    fn default() -> Self {
        Self {
            access_ttl_ms: 60 * 60 * 1_000,
            refresh_ttl_ms: 12 * 60 * 60 * 1_000,
            hash_threads: 0,
            hash_queue: 1_024,
            sessions_per_account: 64,
            sign_ins_allowed: 600,
            failures_allowed: 10,
            account_failures_allowed: 50,
            address_failures_allowed: 100,
            lockout_ms: 60_000,
        }
    }
}

impl Default for LimitsConfig {
    fn default() -> Self {
        Self {
            connections: 16_384,
            connections_per_address: 4_096,
            sockets: 16_384,
            sockets_per_address: 4_096,
            requests_per_address: 1_000,
            requests_per_account: 200,
            body_bytes: 64 * 1024,
            request_timeout_ms: 15_000,
            headers_timeout_ms: 30_000,
            unread_timeout_ms: 10_000,
        }
    }
}

impl Default for LogConfig {
    fn default() -> Self {
        Self {
            format: LogFormat::default(),
            filter: "info".into(),
        }
    }
}

fn ami_port() -> u16 {
    5038
}
