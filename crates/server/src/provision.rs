//! What Asterisk has to know of the agents' phones, said by the server instead of by hand.
//!
//! In shared mode with `provision.realtime`: rows of `ps_endpoints`, `ps_aors` and `ps_auths`, and for
//! each device session an auth of its own, from sign-in to logout. In mirror mode: a file to
//! `#include` in `pjsip.conf`, and the reload that makes Asterisk read it.

use std::{io, path::Path, sync::Arc};

use thiserror::Error;
use uuid::Uuid;

use crate::{
    Actor, Config, Office,
    asterisk::{ReloadError, reload},
    auth::{files, seal::Seal, tokens},
    config::{Mode, ProvisionConfig, Secret},
    db::{PhoneOwner, SipGrant, Write},
    people::PersonError,
};

/// Endpoints whose rows are put in order in one transaction.
const PORTION: usize = 200;

/// An agent's phone, as Asterisk sees it: endpoint, aor and auth of one name.
#[derive(Clone, PartialEq, Eq)]
pub struct Endpoint {
    /// The extension, and the name of all three.
    pub extension: String,
    /// The digest password.
    pub password: String,
    /// The rest.
    pub settings: Arc<ProvisionConfig>,
}

impl std::fmt::Debug for Endpoint {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("Endpoint")
            .field("extension", &self.extension)
            .finish_non_exhaustive()
    }
}

/// Why nothing was provisioned.
#[derive(Debug, Error)]
pub enum ProvisionError {
    /// People cannot be read, or their rows not be written.
    #[error(transparent)]
    People(#[from] PersonError),
    /// A password that the file cannot hold.
    #[error(
        "the SIP password of extension {0} begins or ends with a space, which pjsip.conf cannot hold: set another"
    )]
    Password(String),
    /// The file cannot be written.
    #[error("{path}: {error}")]
    File {
        /// The file.
        path: String,
        /// Why.
        error: io::Error,
    },
    /// Asterisk did not reload.
    #[error("the file is written, but Asterisk did not reload: {0}")]
    Reload(#[from] ReloadError),
}

/// Whether rows and sessions' own auths are kept.
pub fn is_realtime(config: &Config) -> bool {
    config.mode == Mode::Shared && config.provision.realtime
}

/// After a change of somebody's password, or of whether they may use one: rows follow, where rows are kept.
pub async fn follow(office: &Office, config: &Config, by: &Actor) -> Result<(), ProvisionError> {
    if is_realtime(config) {
        realtime(office, config, by).await?;
    }
    Ok(())
}

/// Removes somebody who is disabled and signed out everywhere. Where rows are kept, their endpoint
/// stays, closed by a password that nobody knows.
pub async fn remove(
    office: &Office,
    config: &Config,
    username: &str,
    by: &Actor,
) -> Result<(), ProvisionError> {
    let closed = match is_realtime(config) {
        true => closed(office, config, username).await?,
        false => None,
    };
    Ok(office.remove(username, closed, by).await?)
}

async fn closed(
    office: &Office,
    config: &Config,
    username: &str,
) -> Result<Option<Write>, PersonError> {
    let found = office.database().credentials(username).await?;
    let Some((username, extension)) =
        found.and_then(|found| Some((found.username, found.extension?)))
    else {
        return Ok(None);
    };
    let owner = PhoneOwner {
        username,
        extension,
        sealed: None,
        disabled: true,
    };
    let settings = Arc::new(config.phones());
    let endpoint = endpoint(office.seal(), &owner, &settings)?;
    Ok(Some(Write::Provision(endpoint)))
}

/// Puts everybody's rows in order, where rows are kept: in portions, so that whoever signs in
/// meanwhile waits for one of them at most. Answers how many. Cut, it is done again at the next start.
pub async fn realtime(
    office: &Office,
    config: &Config,
    by: &Actor,
) -> Result<usize, ProvisionError> {
    let endpoints = endpoints(office, config).await?;
    for portion in endpoints.chunks(PORTION) {
        let writes = portion.iter().cloned().map(Write::Provision);
        office.commit(writes.collect()).await?;
    }
    let count = endpoints.len();
    let detail = format!("{count} endpoints in ps_endpoints");
    office.note("provisioned", None, detail, by).await?;
    Ok(count)
}

/// Writes everybody into a file for `#include`, readable by its owner and group. Answers how many.
pub async fn file(
    office: &Office,
    config: &Config,
    path: &Path,
    by: &Actor,
) -> Result<usize, ProvisionError> {
    let endpoints = endpoints(office, config).await?;
    let mut text = String::from(HEAD);
    for endpoint in &endpoints {
        text += &stanzas(endpoint)?;
    }
    files::replace(path, text.as_bytes(), 0o640).map_err(|error| ProvisionError::File {
        path: path.display().to_string(),
        error,
    })?;
    let detail = format!("{} endpoints in {}", endpoints.len(), path.display());
    office.note("provisioned", None, detail, by).await?;
    Ok(endpoints.len())
}

/// Makes Asterisk read its PJSIP files again.
pub async fn reload_pjsip(config: &Config) -> Result<(), ProvisionError> {
    Ok(reload(config, "res_pjsip.so").await?)
}

/// A session's own auth, and its password sealed for the person.
pub(crate) fn grant(
    config: &Config,
    seal: &Seal,
    owner: &PhoneOwner,
) -> Result<SipGrant, PersonError> {
    let password = tokens::secret().map_err(|error| PersonError::Write(error.to_string()))?;
    let id = Uuid::new_v4().simple().to_string();
    let short = id.get(..8).unwrap_or(&id);
    Ok(SipGrant {
        auth: format!("{}-{short}", owner.extension),
        sealed: seal.seal(&owner.username, &Secret::new(password.clone()))?,
        endpoint: endpoint(seal, owner, &Arc::new(config.phones()))?,
        password,
    })
}

async fn endpoints(office: &Office, config: &Config) -> Result<Vec<Endpoint>, PersonError> {
    let settings = Arc::new(config.phones());
    let owners = office.database().phone_owners().await?;
    owners
        .iter()
        .map(|owner| endpoint(office.seal(), owner, &settings))
        .collect()
}

fn endpoint(
    seal: &Seal,
    owner: &PhoneOwner,
    settings: &Arc<ProvisionConfig>,
) -> Result<Endpoint, PersonError> {
    let password = match &owner.sealed {
        Some(sealed) if !owner.disabled => {
            seal.unseal(&owner.username, sealed)?.expose().to_owned()
        }
        // Nobody's: the endpoint stays closed.
        _ => tokens::secret().map_err(|error| PersonError::Write(error.to_string()))?,
    };
    Ok(Endpoint {
        extension: owner.extension.clone(),
        password,
        settings: Arc::clone(settings),
    })
}

const HEAD: &str = "; Written by rollcall-server provision; changes are overwritten.\n";

fn stanzas(endpoint: &Endpoint) -> Result<String, ProvisionError> {
    let Endpoint {
        extension,
        password,
        settings,
    } = endpoint;
    if password.trim() != password {
        return Err(ProvisionError::Password(extension.clone()));
    }
    // A semicolon begins a comment; nothing else is special, not even a backslash.
    let password = password.replace(';', "\\;");
    let ProvisionConfig {
        context,
        codecs,
        max_contacts,
        expiry_s,
        max_expiry_s,
        qualify_frequency_s,
        ..
    } = &**settings;
    Ok(format!(
        "
[{extension}]
type = endpoint
context = {context}
disallow = all
allow = {codecs}
auth = {extension}
aors = {extension}
rewrite_contact = yes
rtp_symmetric = yes
force_rport = yes
direct_media = no

[{extension}]
type = auth
auth_type = userpass
username = {extension}
password = {password}

[{extension}]
type = aor
max_contacts = {max_contacts}
remove_existing = no
remove_unavailable = yes
minimum_expiration = 60
default_expiration = {expiry_s}
maximum_expiration = {max_expiry_s}
qualify_frequency = {qualify_frequency_s}
qualify_timeout = 3.0
qualify_2xx_only = yes
"
    ))
}

#[cfg(test)]
mod tests {
    use rollcall_wire::http::Role;

    use super::*;
    use crate::{
        auth::passwords::Passwords,
        config::Devices,
        db::{Database, NewUser},
        metrics::Metrics,
    };

    fn of(password: &str) -> Endpoint {
        Endpoint {
            extension: "1001".into(),
            password: password.into(),
            settings: Arc::default(),
        }
    }

    #[test]
    fn a_password_is_one_value_of_the_file_whatever_it_holds() {
        let text = stanzas(&of("a;b\\ [c] = d")).unwrap();
        assert!(text.contains("\npassword = a\\;b\\ [c] = d\n"), "{text}");
        assert!(matches!(
            stanzas(&of("x ")),
            Err(ProvisionError::Password(_))
        ));
        assert!(!format!("{:?}", of("hush")).contains("hush"));
    }

    #[tokio::test]
    async fn thousands_are_provisioned_in_portions() {
        let dir = tempfile::tempdir().unwrap();
        let config = Config {
            mode: Mode::Shared,
            data_dir: dir.path().join("data"),
            provision: ProvisionConfig {
                realtime: true,
                ..ProvisionConfig::default()
            },
            ..Config::default()
        };
        let metrics = Metrics::default();
        let database = Database::open_counted(&config, metrics.commits()).await;
        let database = database.unwrap();
        let people = (0..2 * PORTION + 1).map(|number| {
            Write::AddUser(NewUser {
                username: format!("agent{number}"),
                extension: Some(number.to_string()),
                role: Role::Agent,
                password_hash: String::new(),
                sip_secret: None,
                at: 1,
            })
        });
        database.commit(people.collect()).await.unwrap();
        let passwords = Passwords::new(1, 1).await.unwrap();
        let seal = Seal::open(&config.data_dir).unwrap();
        let office = Office::new(database, seal, passwords);
        let by = Actor::command_line();
        let count = realtime(&office, &config, &by).await.unwrap();
        assert_eq!(count, 2 * PORTION + 1);
        // The people, three portions, and the note.
        let text = metrics.render().unwrap();
        assert!(text.contains("rollcall_commit_batch_count 5\n"), "{text}");
        office.close().await;
    }

    #[test]
    fn the_file_has_room_for_as_many_contacts_as_the_policy_for_devices() {
        for (devices, max_contacts) in [
            (Devices::Single, 2),
            (Devices::Takeover, 2),
            (Devices::Multi, 7),
        ] {
            let mut config = Config::default();
            config.alignment.devices = devices;
            config.provision.max_contacts = 7;
            let endpoint = Endpoint {
                settings: Arc::new(config.phones()),
                ..of("x")
            };
            let text = stanzas(&endpoint).unwrap();
            let line = format!("\nmax_contacts = {max_contacts}\n");
            assert!(text.contains(&line), "{devices:?}: {text}");
        }
    }

    #[test]
    fn the_file_has_what_the_documentation_asks_for() {
        let document = include_str!("../../../docs/operations.md");
        let text = stanzas(&of("the-phone-password-of-1001")).unwrap();
        for line in text.lines().filter(|line| !line.is_empty()) {
            assert!(document.contains(line), "{line}");
        }
    }
}
