//! Reads the file and the environment, and says what is wrong with them in words that help.

use std::{fs, path::Path};

use figment::{
    Figment,
    error::Kind,
    providers::{Env, Format, Toml},
};
use rustls::pki_types::{CertificateDer, pem::PemObject as _};
use thiserror::Error;

use super::{AmiConfig, AriConfig, Config, DatabaseConfig, LimitsConfig, Mode, Secret, SipConfig};
use crate::db;

/// The first part of every variable of ours is one of these.
const KEYS: [&str; 16] = [
    "listen",
    "data_dir",
    "mode",
    "trusted",
    "origins",
    "tls",
    "database",
    "ami",
    "ari",
    "sip",
    "provision",
    "alignment",
    "auth",
    "limits",
    "metrics",
    "log",
];

/// Why a configuration is not one.
#[derive(Debug, Error)]
pub enum ConfigError {
    /// The file is not there or not readable.
    #[error("the configuration {path} cannot be read: {error}")]
    Unreadable {
        /// The file.
        path: String,
        /// Why.
        error: std::io::Error,
    },
    /// A key nobody knows.
    #[error("the configuration has an unknown key `{key}`{}", nearest_words(.nearest.as_deref()))]
    UnknownKey {
        /// As written, with its section.
        key: String,
        /// The known key that is spelled most like it.
        nearest: Option<String>,
    },
    /// A value that cannot be.
    #[error("the configuration is wrong: {0}")]
    Invalid(String),
    /// A secret is not where the configuration says.
    #[error("the secret of [{section}] cannot be had: {words}")]
    Secret {
        /// The section that names it.
        section: &'static str,
        /// Why.
        words: String,
    },
}

impl Config {
    /// Reads `path`, then lets `ROLLCALL_*` variables override it.
    pub fn load(path: &Path) -> Result<Self, ConfigError> {
        let text = fs::read_to_string(path).map_err(|error| ConfigError::Unreadable {
            path: path.display().to_string(),
            error,
        })?;
        Self::extract(Figment::from(Toml::string(&text)).merge(overrides()))
    }

    /// Reads a configuration from text alone.
    pub fn from_toml(text: &str) -> Result<Self, ConfigError> {
        Self::extract(Figment::from(Toml::string(text)))
    }

    fn extract(figment: Figment) -> Result<Self, ConfigError> {
        let mut config: Self = figment.extract().map_err(explain)?;
        config.check()?;
        config.sip.read_authorities()?;
        Ok(config)
    }

    fn check(&self) -> Result<(), ConfigError> {
        let invalid = |words: &str| Err(ConfigError::Invalid(words.into()));
        self.database.check()?;
        if let Some(ari) = &self.ari
            && !(ari.url.starts_with("http://") || ari.url.starts_with("https://"))
        {
            return invalid("ari.url must be http://HOST:PORT or https://HOST:PORT");
        }
        if self.mode == Mode::Claims && self.ami.is_some() {
            return invalid(
                "mode = \"claims\" asks no Asterisk: remove [ami], or choose \"mirror\" or \"shared\"",
            );
        }
        let times = &self.alignment;
        if times.heartbeat_ms == 0 || times.resync_ms == 0 || times.login_timeout_ms == 0 {
            return invalid("times in [alignment] must be above 0 (grace_ms may be 0)");
        }
        let ceilings = [
            times.evictions_per_second,
            times.reregistrations_per_second,
            times.qualifies_per_second,
            times.drains_per_second,
        ];
        if ceilings.contains(&0) {
            return invalid("the ceilings in [alignment] (..._per_second) must be above 0");
        }
        if times.lease_ms < 2 * times.heartbeat_ms {
            return invalid(
                "alignment.lease_ms must be at least twice heartbeat_ms, or one lost heartbeat ends a lease",
            );
        }
        if self.auth.hash_queue == 0 {
            return invalid("auth.hash_queue must be above 0");
        }
        if self.auth.sessions_per_account == 0 {
            return invalid("auth.sessions_per_account must be above 0, or nobody can sign in");
        }
        let allowed = [
            self.auth.sign_ins_allowed,
            self.auth.failures_allowed,
            self.auth.account_failures_allowed,
            self.auth.address_failures_allowed,
        ];
        if allowed.contains(&0) || self.auth.lockout_ms == 0 {
            return invalid(
                "auth.lockout_ms and the sign-ins and failures allowed in [auth] must be above 0",
            );
        }
        check_provision(self)?;
        if let Some(odd) = self.origins.iter().find(|origin| !is_origin(origin)) {
            return Err(ConfigError::Invalid(format!(
                "origins: {odd:?} is none; write it as https://host or https://host:port"
            )));
        }
        check_limits(&self.limits)
    }
}

fn check_limits(limits: &LimitsConfig) -> Result<(), ConfigError> {
    let none = [
        ("connections", limits.connections == 0),
        (
            "connections_per_address",
            limits.connections_per_address == 0,
        ),
        ("sockets", limits.sockets == 0),
        ("sockets_per_address", limits.sockets_per_address == 0),
        ("requests_per_address", limits.requests_per_address == 0),
        ("requests_per_account", limits.requests_per_account == 0),
        ("body_bytes", limits.body_bytes == 0),
        ("request_timeout_ms", limits.request_timeout_ms == 0),
        ("headers_timeout_ms", limits.headers_timeout_ms == 0),
        ("unread_timeout_ms", limits.unread_timeout_ms == 0),
    ];
    match none.iter().find(|(_, is_none)| *is_none) {
        Some((key, _)) => Err(ConfigError::Invalid(format!(
            "limits.{key} must be above 0, or nobody is let in"
        ))),
        None => Ok(()),
    }
}

impl AmiConfig {
    /// The manager's secret, from wherever the configuration says it is.
    pub fn resolve_secret(&self) -> Result<Secret, ConfigError> {
        match &self.secret {
            Some(secret) => Ok(secret.clone()),
            None => secret(
                "ami",
                self.secret_file.as_deref(),
                self.secret_env.as_deref(),
            ),
        }
    }
}

impl DatabaseConfig {
    /// The password, from wherever the configuration says it is; none if it says nothing, for a
    /// server that trusts the connection itself.
    pub(crate) fn password(&self) -> Result<Option<Secret>, ConfigError> {
        let (file, variable) = (self.password_file.as_deref(), self.password_env.as_deref());
        if file.is_none() && variable.is_none() {
            return Ok(None);
        }
        secret("database", file, variable).map(Some)
    }

    fn check(&self) -> Result<(), ConfigError> {
        let invalid = |words: &str| Err(ConfigError::Invalid(format!("database.url: {words}")));
        if db::Kind::of(&self.url).is_none() {
            return invalid(db::Kind::EXPECTED);
        }
        let after = self.url.split_once("://").map_or("", |(_, after)| after);
        let authority = after.split(['/', '?']).next().unwrap_or_default();
        let user = authority.rsplit_once('@').map_or("", |(user, _)| user);
        if user.contains(':') || after.contains("password=") {
            return invalid(
                "a password does not belong there; name it in database.password_file or password_env",
            );
        }
        Ok(())
    }
}

impl AriConfig {
    /// The user's password, from wherever the configuration says it is.
    pub fn resolve_secret(&self) -> Result<Secret, ConfigError> {
        secret(
            "ari",
            self.secret_file.as_deref(),
            self.secret_env.as_deref(),
        )
    }
}

impl SipConfig {
    /// Takes in the certificates that phones are to be given.
    fn read_authorities(&mut self) -> Result<(), ConfigError> {
        let Some(file) = &self.ca_file else {
            return Ok(());
        };
        let invalid = |words: String| {
            ConfigError::Invalid(format!(
                "sip.ca_file {}: {words}; name a PEM file of the authority's certificates, or none for those that each computer trusts",
                file.display()
            ))
        };
        let pem = fs::read_to_string(file).map_err(|error| invalid(error.to_string()))?;
        let mut certificates = CertificateDer::pem_slice_iter(pem.as_bytes());
        // Phones are given all that is in it, so nothing else may be.
        let is_secret = pem.contains("PRIVATE KEY");
        if is_secret {
            return Err(invalid(
                "it holds a private key, and every agent would get it".into(),
            ));
        }
        match certificates.next() {
            Some(Ok(_)) if certificates.all(|certificate| certificate.is_ok()) => {}
            Some(_) => return Err(invalid("it cannot be read as certificates".into())),
            None => return Err(invalid("it holds no certificate".into())),
        }
        self.authorities = Some(pem);
        Ok(())
    }
}

/// What goes into Asterisk's tables and files as one value.
fn check_provision(config: &Config) -> Result<(), ConfigError> {
    let provision = &config.provision;
    let plain = |text: &str, more: &[u8]| {
        let allowed = |b: u8| b.is_ascii_alphanumeric() || more.contains(&b);
        !text.is_empty() && text.bytes().all(allowed)
    };
    let words = if provision.realtime && config.mode != Mode::Shared {
        "provision.realtime needs mode = \"shared\": only there are Asterisk's tables in this database"
    } else if !plain(&provision.context, b"_-") || provision.context.len() > 40 {
        "provision.context is the name of a context: letters, digits, '_' and '-'"
    } else if !plain(&provision.codecs, b"_,") {
        "provision.codecs are codecs in Asterisk's names, with commas between them"
    } else if provision.max_contacts == 0 || provision.qualify_frequency_s == 0 {
        "provision.max_contacts and qualify_frequency_s must be above 0, or nobody is ever reachable"
    } else if provision.expiry_s < 60 || provision.max_expiry_s < provision.expiry_s {
        "provision.expiry_s must be at least 60, and max_expiry_s not below it"
    } else {
        return Ok(());
    };
    Err(ConfigError::Invalid(words.into()))
}

/// Scheme, host and port as a browser names them: nothing after the host.
fn is_origin(text: &str) -> bool {
    let host = text
        .strip_prefix("https://")
        .or_else(|| text.strip_prefix("http://"));
    let allowed = |b: u8| b.is_ascii_alphanumeric() || b".-:[]".contains(&b);
    host.is_some_and(|host| !host.is_empty() && host.bytes().all(allowed))
}

fn secret(
    section: &'static str,
    file: Option<&Path>,
    variable: Option<&str>,
) -> Result<Secret, ConfigError> {
    let missing = |words: String| ConfigError::Secret { section, words };
    if let Some(path) = file {
        return fs::read_to_string(path)
            .map(|text| Secret::new(text.trim_end_matches(['\r', '\n'])))
            .map_err(|error| {
                missing(format!(
                    "{}: {error}; write it into that file, which the server alone may read",
                    path.display()
                ))
            });
    }
    let Some(name) = variable else {
        return Err(missing("it needs secret_file or secret_env".into()));
    };
    std::env::var(name)
        .map(Secret::new)
        .map_err(|_| missing(format!("the variable {name} is not set")))
}

fn overrides() -> Env {
    Env::prefixed("ROLLCALL_")
        .filter(|name| {
            let name = name.as_str().to_ascii_lowercase();
            let first = name.split("__").next().unwrap_or_default();
            KEYS.contains(&first)
        })
        .split("__")
}

fn explain(error: figment::Error) -> ConfigError {
    if let Kind::UnknownField(name, known) = &error.kind {
        let key = match error.path.last() {
            Some(last) if last == name => error.path.join("."),
            _ => error
                .path
                .iter()
                .map(String::as_str)
                .chain([name.as_str()])
                .collect::<Vec<_>>()
                .join("."),
        };
        return ConfigError::UnknownKey {
            nearest: nearest(name, known).map(str::to_owned),
            key,
        };
    }
    let key = error.path.join(".");
    let variables = error.metadata.as_ref();
    let variables = variables.filter(|from| from.name.contains("environment"));
    ConfigError::Invalid(match (key.is_empty(), variables) {
        (true, _) => error.to_string(),
        (false, None) => format!("`{key}`: {}", error.kind),
        (false, Some(from)) => format!("`{key}` ({}): {}", from.name, error.kind),
    })
}

fn nearest_words(nearest: Option<&str>) -> String {
    nearest.map_or_else(String::new, |key| format!("; did you mean `{key}`?"))
}

fn nearest<'a>(name: &str, known: &[&'a str]) -> Option<&'a str> {
    known
        .iter()
        .copied()
        .min_by_key(|candidate| distance(name, candidate))
}

/// Levenshtein's distance.
fn distance(a: &str, b: &str) -> usize {
    let b: Vec<char> = b.chars().collect();
    let mut row: Vec<usize> = (0..=b.len()).collect();
    for (i, x) in a.chars().enumerate() {
        let mut diagonal = i;
        let mut left = i + 1;
        for (cell, y) in row.iter_mut().skip(1).zip(&b) {
            let above = *cell;
            let here = (diagonal + usize::from(x != *y))
                .min(above + 1)
                .min(left + 1);
            diagonal = above;
            left = here;
            *cell = here;
        }
        if let Some(first) = row.first_mut() {
            *first = i + 1;
        }
    }
    row.last().copied().unwrap_or_default()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_documented_example_is_a_configuration_and_names_every_key() {
        let text = include_str!("../../../../packaging/server.toml");
        let config = Config::from_toml(text).unwrap();
        assert_eq!(config.mode, Mode::Mirror);
        assert!(config.ami.is_some());
        for key in KEYS {
            assert!(
                text.contains(&format!("[{key}]")) || text.contains(&format!("{key} = ")),
                "{key}"
            );
        }
    }

    #[test]
    fn a_limit_of_nothing_is_named() {
        for key in ["sockets", "requests_per_account", "headers_timeout_ms"] {
            let text = format!("[limits]\n{key} = 0\n");
            let error = Config::from_toml(&text).unwrap_err().to_string();
            assert!(error.contains(&format!("limits.{key}")), "{error}");
        }
    }

    /// What a section knows is what its error offers for a key that it does not know.
    #[test]
    fn the_documented_example_names_every_key_of_every_section() {
        let text = include_str!("../../../../packaging/server.toml");
        let (mut keys, mut missing) = (0, Vec::<String>::new());
        for section in KEYS {
            let asked = Toml::string(&format!("[{section}]\nno_such_key = 1"));
            let error = Figment::from(asked).extract::<Config>().unwrap_err();
            let Kind::UnknownField(_, known) = &error.kind else {
                continue;
            };
            let heading = format!("[{section}]");
            let documented: String = text
                .lines()
                .skip_while(|line| line.trim_start_matches(['#', ' ']) != heading)
                .skip(1)
                .take_while(|line| !line.trim_start_matches(['#', ' ']).starts_with('['))
                .map(|line| format!("{line}\n"))
                .collect();
            for key in *known {
                let named = documented.contains(&format!("{key} = "));
                keys += 1;
                if !named {
                    missing.push(format!("[{section}] {key}"));
                }
            }
        }
        assert!(missing.is_empty(), "{missing:?}");
        assert!(
            keys > KEYS.len(),
            "{keys} keys: the errors are read wrongly"
        );
    }

    #[test]
    fn the_documented_example_shows_the_defaults() {
        let text = include_str!("../../../../packaging/server.toml");
        let mut shown = Config::from_toml(text).unwrap();
        shown.ami = None;
        assert_eq!(format!("{shown:?}"), format!("{:?}", Config::default()));
    }

    #[test]
    fn an_unknown_key_is_named_with_the_nearest_one() {
        let error = Config::from_toml("[alignment]\nhearbeat_ms = 5").unwrap_err();
        let words = error.to_string();
        assert!(
            words.contains("alignment.hearbeat_ms") && words.contains("`heartbeat_ms`"),
            "{words}"
        );
        let words = Config::from_toml("lisen = 1").unwrap_err().to_string();
        assert!(
            words.contains("`lisen`") && words.contains("`listen`"),
            "{words}"
        );
    }

    #[test]
    fn a_value_of_the_wrong_kind_is_named() {
        let words = Config::from_toml("[ami]\nhost = \"h\"\nusername = \"u\"\nport = \"x\"")
            .unwrap_err()
            .to_string();
        assert!(words.contains("ami.port"), "{words}");
    }

    #[test]
    fn a_lease_shorter_than_two_heartbeats_is_refused() {
        let words = Config::from_toml("[alignment]\nheartbeat_ms = 5000\nlease_ms = 6000")
            .unwrap_err()
            .to_string();
        assert!(words.contains("lease_ms"), "{words}");
    }

    #[test]
    fn the_mode_and_the_address_of_ari_are_checked() {
        let config = Config::from_toml("mode = \"shared\"").unwrap();
        assert_eq!(config.mode, Mode::Shared);
        let words = Config::from_toml("mode = \"both\"")
            .unwrap_err()
            .to_string();
        assert!(
            words.contains("`mirror`") && words.contains("`shared`"),
            "{words}"
        );
        let words = Config::from_toml("[ari]\nurl = \"127.0.0.1:8088\"\nusername = \"u\"")
            .unwrap_err()
            .to_string();
        assert!(words.contains("ari.url"), "{words}");
    }

    #[test]
    fn a_database_is_named_by_its_url_which_holds_no_password() {
        let of = |url: &str| Config::from_toml(&format!("[database]\nurl = {url:?}"));
        for url in [
            "sqlite:a.db",
            "postgres://u@h:5432/d",
            "mariadb://u@h/d",
            "mysql://u@h/d?socket=/run/my:sqld.sock",
        ] {
            of(url).unwrap();
        }
        for (url, word) in [
            ("oracle://h/d", "sqlite:FILE"),
            ("postgres://u:hush@h/d", "password_file"),
            ("postgres://h/d?user=u&password=hush", "password_file"),
        ] {
            let words = of(url).unwrap_err().to_string();
            assert!(words.contains(word) && !words.contains("hush"), "{words}");
        }
    }

    #[test]
    fn every_transport_of_the_apps_may_be_named_and_no_other() {
        for transport in ["udp", "tcp", "tls", "ws", "wss"] {
            let config = Config::from_toml(&format!("[sip]\ntransport = \"{transport}\""));
            assert_eq!(config.unwrap().sip.transport.as_str(), transport);
        }
        let words = Config::from_toml("[sip]\ntransport = \"sctp\"")
            .unwrap_err()
            .to_string();
        assert!(words.contains("sctp") && words.contains("tls"), "{words}");
    }

    #[test]
    fn the_registrars_authorities_are_read_and_a_key_among_them_is_refused() {
        let folder = tempfile::tempdir().unwrap();
        let file = folder.path().join("ca.pem");
        let load = || Config::from_toml(&format!("[sip]\nca_file = {file:?}"));
        let missing = load().unwrap_err().to_string();
        assert!(missing.contains("sip.ca_file"), "{missing}");
        let made = rcgen::generate_simple_self_signed(vec!["pbx".into()]).unwrap();
        let pem = made.cert.pem();
        for (text, word) in [
            (String::new(), "no certificate"),
            (
                pem.replace("BEGIN CERTIFICATE-----\n", "BEGIN CERTIFICATE-----\n!"),
                "read",
            ),
            (
                format!("{pem}{}", made.signing_key.serialize_pem()),
                "private key",
            ),
        ] {
            fs::write(&file, text).unwrap();
            let words = load().unwrap_err().to_string();
            assert!(words.contains(word), "{word}: {words}");
        }
        fs::write(&file, &pem).unwrap();
        assert_eq!(load().unwrap().sip.authorities, Some(pem));
    }

    #[test]
    fn an_ami_secret_comes_from_a_file_without_its_line_end_and_never_prints() {
        let dir = tempfile::tempdir().unwrap();
        let path = dir.path().join("secret");
        fs::write(&path, "hush\n").unwrap();
        let config = Config::from_toml(&format!(
            "[ami]\nhost = \"h\"\nusername = \"u\"\nsecret_file = {path:?}"
        ))
        .unwrap();
        let secret = config.ami.as_ref().unwrap().resolve_secret().unwrap();
        assert_eq!(secret.expose(), "hush");
        assert!(!format!("{secret:?}").contains("hush"));
    }
}
