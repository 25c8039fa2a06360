//! What a pocket PBX is told before it starts.

use std::net::{IpAddr, Ipv4Addr, SocketAddr};
use std::path::Path;
use std::time::Duration;

use rollcall_ami::Secret;
use serde::Deserialize;

/// Everything a pocket PBX needs to know.
#[derive(Debug, Clone)]
pub struct Config {
    /// Where SIP over UDP is spoken; port 0 takes a free one.
    pub sip: SocketAddr,
    /// Where the manager interface listens; port 0 takes a free one.
    pub ami: SocketAddr,
    /// The address for RTP; each call takes free ports on it.
    pub rtp: IpAddr,
    /// The manager user.
    pub manager: Manager,
    /// Who may register and be called.
    pub people: Vec<Person>,
    /// Queues whose members can be paused; none by default.
    pub queues: Vec<Queue>,
    /// `systemname`: appears in events and unique ids.
    pub system_name: String,
    /// The policy of every address of record.
    pub aor: AorPolicy,
    /// How often contacts past their time are swept.
    pub contact_expiration_check_interval: Duration,
    /// For how long a called person rings.
    pub ring_timeout: Duration,
    /// Seeds tags, branches and nonces; none draws one.
    pub seed: Option<u64>,
}

/// A manager user.
#[derive(Debug, Clone)]
pub struct Manager {
    /// User name.
    pub username: String,
    /// Its secret.
    pub secret: Secret,
}

/// A person: endpoint, address of record and login in one.
#[derive(Debug, Clone)]
pub struct Person {
    /// Extension, endpoint name and SIP user name.
    pub extension: String,
    /// SIP password.
    pub password: Secret,
    /// Name shown to whom they call.
    pub display_name: String,
}

/// A queue, for its members' pauses: nobody can call it.
#[derive(Debug, Clone, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Queue {
    /// Its name, of letters, digits, `-` and `_`.
    pub name: String,
    /// The extensions that are in it from the start.
    #[serde(default)]
    pub members: Vec<String>,
}

impl Person {
    /// A person called `Agent <extension>`.
    pub fn new(extension: &str, password: &str) -> Self {
        Self {
            extension: extension.to_owned(),
            password: Secret::from(password),
            display_name: format!("Agent {extension}"),
        }
    }
}

/// The settings of an address of record, under Asterisk's names.
#[derive(Debug, Clone, Deserialize)]
#[serde(default, deny_unknown_fields)]
pub struct AorPolicy {
    /// Contacts it may have at a time.
    pub max_contacts: usize,
    /// Whether a REGISTER that would exceed `max_contacts` removes the oldest instead of being refused.
    pub remove_existing: bool,
    /// Seconds that a shorter expiry is raised to.
    pub minimum_expiration: u32,
    /// Seconds that a longer expiry is cut to.
    pub maximum_expiration: u32,
    /// Seconds when the REGISTER names none.
    pub default_expiration: u32,
    /// Seconds between OPTIONS to each contact, 0 for never.
    pub qualify_frequency: u32,
    /// Seconds until a silent contact is Unreachable.
    pub qualify_timeout: f64,
    /// Whether only a 2xx answer to OPTIONS counts as Reachable (F10).
    pub qualify_2xx_only: bool,
}

impl Default for AorPolicy {
    /// Asterisk's usual settings, but a phone that crashed a few times is never locked out by its own past contacts.
    fn default() -> Self {
        Self {
            max_contacts: 5,
            remove_existing: true,
            minimum_expiration: 10,
            maximum_expiration: 7200,
            default_expiration: 120,
            qualify_frequency: 10,
            qualify_timeout: 3.0,
            qualify_2xx_only: false,
        }
    }
}

/// Why a configuration was refused.
#[derive(Debug, thiserror::Error)]
pub enum ConfigError {
    /// The file cannot be read.
    #[error("cannot read {path}: {error}")]
    Unreadable {
        /// The file.
        path: String,
        /// What the system said.
        error: std::io::Error,
    },
    /// Others than its owner may read the file, which holds passwords.
    #[error("{path} holds passwords and others may read it: chmod 600 {path}")]
    Exposed {
        /// The file.
        path: String,
    },
    /// The file is no such configuration. The place is told, the text is not: it may hold a password.
    #[error("{path} is no pocket PBX configuration: {message}")]
    Malformed {
        /// The file.
        path: String,
        /// What is wrong.
        message: String,
    },
    /// A value that cannot be.
    #[error("{0}")]
    Invalid(String),
}

impl Config {
    /// A PBX on free ports of 127.0.0.1 with the usual settings.
    pub fn new(manager: Manager, people: Vec<Person>) -> Self {
        let local = IpAddr::V4(Ipv4Addr::LOCALHOST);
        Self {
            sip: SocketAddr::new(local, 0),
            ami: SocketAddr::new(local, 0),
            rtp: local,
            manager,
            people,
            queues: Vec::new(),
            system_name: "pocket".to_owned(),
            aor: AorPolicy::default(),
            contact_expiration_check_interval: Duration::from_secs(10),
            ring_timeout: Duration::from_secs(30),
            seed: None,
        }
    }

    /// Reads a TOML file that only its owner may read.
    pub fn from_file(path: &Path) -> Result<Self, ConfigError> {
        let shown = path.display().to_string();
        let unreadable = |error| ConfigError::Unreadable {
            path: shown.clone(),
            error,
        };
        let metadata = std::fs::metadata(path).map_err(unreadable)?;
        if is_exposed(&metadata) {
            return Err(ConfigError::Exposed { path: shown });
        }
        let text = std::fs::read_to_string(path).map_err(unreadable)?;
        let file: ConfigFile = toml::from_str(&text).map_err(|error| ConfigError::Malformed {
            path: shown.clone(),
            message: error.message().to_owned(),
        })?;
        file.into_config()
    }

    /// Refuses what could not work or could not be told apart on the wire.
    pub fn check(&self) -> Result<(), ConfigError> {
        self.check_people()
            .and_then(|()| self.check_queues())
            .and_then(|()| self.check_settings())
            .map_err(ConfigError::Invalid)
    }

    fn check_people(&self) -> Result<(), String> {
        for (index, person) in self.people.iter().enumerate() {
            let extension = &person.extension;
            if extension.is_empty() || !extension.bytes().all(|byte| byte.is_ascii_alphanumeric()) {
                return Err(format!(
                    "the extension {extension:?} is not made of letters and digits"
                ));
            }
            let mut later = self.people.iter().skip(index + 1);
            if later.any(|other| other.extension == *extension) {
                return Err(format!("the extension {extension} appears twice"));
            }
            let is_unquotable = |c: char| c.is_control() || c == '"' || c == '\\';
            if person.display_name.contains(is_unquotable) {
                return Err(format!(
                    "the display name of {extension} holds a quote or a control character"
                ));
            }
        }
        Ok(())
    }

    fn check_queues(&self) -> Result<(), String> {
        let is_known = |member: &String| {
            let mut people = self.people.iter();
            people.any(|person| person.extension == *member)
        };
        for (index, Queue { name, members }) in self.queues.iter().enumerate() {
            let fits = |byte: u8| byte.is_ascii_alphanumeric() || matches!(byte, b'-' | b'_');
            if name.is_empty() || !name.bytes().all(fits) {
                return Err(format!(
                    "the queue {name:?} is not named with letters, digits, - and _"
                ));
            }
            let mut later = self.queues.iter().skip(index + 1);
            if later.any(|other| other.name == *name) {
                return Err(format!("the queue {name} appears twice"));
            }
            if let Some(member) = members.iter().find(|member| !is_known(member)) {
                return Err(format!(
                    "the queue {name} has the member {member}, and no such person is there"
                ));
            }
        }
        Ok(())
    }

    fn check_settings(&self) -> Result<(), String> {
        let wrong = |what: &str| Err(what.to_owned());
        if self.sip.ip().is_unspecified() || self.rtp.is_unspecified() {
            return wrong("sip and rtp need the address that phones are to send to, not 0.0.0.0");
        }
        if self.aor.max_contacts == 0 || self.aor.minimum_expiration > self.aor.maximum_expiration {
            return wrong("max_contacts is 0, or minimum_expiration is above maximum_expiration");
        }
        if !(0.1..=60.0).contains(&self.aor.qualify_timeout) {
            return wrong("qualify_timeout is not between 0.1 and 60 seconds");
        }
        Ok(())
    }
}

/// The file's form.
#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct ConfigFile {
    sip: SocketAddr,
    ami: SocketAddr,
    rtp: Option<IpAddr>,
    system_name: Option<String>,
    contact_expiration_check_interval: Option<u64>,
    ring_timeout: Option<u64>,
    manager: ManagerFile,
    #[serde(default)]
    aor: AorPolicy,
    people: Vec<PersonFile>,
    #[serde(default)]
    queues: Vec<Queue>,
}

#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct ManagerFile {
    username: String,
    secret: String,
}

#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct PersonFile {
    extension: String,
    password: String,
    display_name: Option<String>,
}

impl ConfigFile {
    fn into_config(self) -> Result<Config, ConfigError> {
        let manager = Manager {
            username: self.manager.username,
            secret: self.manager.secret.into(),
        };
        let people = self
            .people
            .into_iter()
            .map(PersonFile::into_person)
            .collect();
        let mut config = Config::new(manager, people);
        config.rtp = self.rtp.unwrap_or(self.sip.ip());
        config.sip = self.sip;
        config.ami = self.ami;
        config.aor = self.aor;
        config.queues = self.queues;
        if let Some(name) = self.system_name {
            config.system_name = name;
        }
        if let Some(seconds) = self.contact_expiration_check_interval {
            config.contact_expiration_check_interval = Duration::from_secs(seconds.max(1));
        }
        if let Some(seconds) = self.ring_timeout {
            config.ring_timeout = Duration::from_secs(seconds.max(1));
        }
        config.check()?;
        Ok(config)
    }
}

impl PersonFile {
    fn into_person(self) -> Person {
        let mut person = Person::new(&self.extension, &self.password);
        if let Some(name) = self.display_name {
            person.display_name = name;
        }
        person
    }
}

#[cfg(unix)]
fn is_exposed(metadata: &std::fs::Metadata) -> bool {
    use std::os::unix::fs::MetadataExt;
    metadata.mode() & 0o077 != 0
}

#[cfg(not(unix))]
fn is_exposed(_: &std::fs::Metadata) -> bool {
    false
}
