//! People: added, changed, removed, imported; their passwords hashed, their SIP passwords sealed,
//! every act in the audit log.
//!
//! The command line and the API do the same through [`Office`]. Who is disabled, demoted or given a
//! new password loses their tokens in the same transaction; a server that runs notices within
//! seconds, ends their sessions, and with them their contacts.

mod import;

use std::net::IpAddr;

use rollcall_wire::{
    check,
    http::Role,
    people::{Act, Person},
};
use thiserror::Error;

use crate::{
    Config,
    auth::{
        SealError,
        passwords::{PasswordError, Passwords},
        seal::Seal,
    },
    clock,
    config::Secret,
    db::{AuditEntry, Database, DbError, NewUser, OwnPassword, PersonChange, Write, WriteError},
};

/// Somebody to add.
#[derive(Clone, Debug)]
pub struct NewPerson {
    /// The name to sign in with.
    pub username: String,
    /// The extension; none for people without a phone.
    pub extension: Option<String>,
    /// What they may do.
    pub role: Role,
    /// The password to sign in with.
    pub password: Secret,
    /// The password the phone registers with; wanted with an extension.
    pub sip_password: Option<Secret>,
}

/// What to reset of somebody.
#[derive(Clone, Debug, Default)]
pub struct NewPasswords {
    /// The password to sign in with.
    pub password: Option<Secret>,
    /// The password the phone registers with.
    pub sip: Option<Secret>,
}

/// Why people are not changed. Nothing of the change is there.
#[derive(Debug, Error)]
pub enum PersonError {
    /// A value that cannot be.
    #[error("{field} {why}")]
    Invalid {
        /// Which.
        field: &'static str,
        /// What is wrong with it.
        why: String,
    },
    /// The name or the extension is somebody's already.
    #[error("{0} is taken already")]
    Taken(String),
    /// There is nobody of that name.
    #[error("there is nobody called {0}")]
    Unknown(String),
    /// What allowed the change holds no more: the password is another by now, or the session over.
    #[error("the old password has been changed, or the session has ended, meanwhile")]
    Superseded,
    /// It would leave nobody who may administer.
    #[error("the last administrator stays one: make another first")]
    LastAdmin,
    /// Only who is disabled, and of whom no session lives, can be removed.
    #[error("only who is disabled and signed out everywhere can be removed")]
    StillActive,
    /// The database does not take it.
    #[error(transparent)]
    Database(#[from] DbError),
    /// The database cannot be written.
    #[error("{0}")]
    Write(String),
    /// The SIP password cannot be sealed.
    #[error(transparent)]
    Seal(#[from] SealError),
    /// The password cannot be hashed.
    #[error("{0}")]
    Hash(String),
    /// Too many wait for a password to be hashed.
    #[error("too many passwords wait to be hashed; try again")]
    Busy,
}

/// Who does something, for the audit log.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Actor {
    name: String,
    address: Option<IpAddr>,
}

impl Actor {
    /// Whoever may run the server's binary on its configuration.
    #[must_use]
    pub fn command_line() -> Self {
        Self {
            // No user's name: those have no brackets.
            name: "(command line)".into(),
            address: None,
        }
    }

    /// The server itself, at its start.
    pub(crate) fn server() -> Self {
        Self {
            name: "(server)".into(),
            address: None,
        }
    }

    /// Somebody who is signed in.
    pub(crate) fn user(name: &str, address: IpAddr) -> Self {
        Self {
            name: name.into(),
            address: Some(address),
        }
    }

    /// A line of the audit log.
    pub(crate) fn did(
        &self,
        action: &'static str,
        target: Option<&str>,
        detail: impl Into<String>,
    ) -> AuditEntry {
        AuditEntry {
            at: clock::now_ms(),
            actor: self.name.clone(),
            address: self.address.map(|address| address.to_string()),
            action,
            target: target.map(Into::into),
            detail: detail.into(),
        }
    }
}

/// Where people are kept.
#[derive(Clone, Debug)]
pub struct Office {
    database: Database,
    seal: Seal,
    passwords: Passwords,
}

impl Office {
    pub(crate) fn new(database: Database, seal: Seal, passwords: Passwords) -> Self {
        Self {
            database,
            seal,
            passwords,
        }
    }

    /// Opens (and makes, if need be) the database of a configuration.
    pub async fn open(config: &Config) -> Result<Self, PersonError> {
        let database = Database::open(config).await?;
        let passwords = Passwords::new(config.auth.hashers(), config.auth.hash_queue).await?;
        let seal = seal(config, &database).await?;
        Ok(Self::new(database, seal, passwords))
    }

    pub(crate) fn database(&self) -> &Database {
        &self.database
    }

    pub(crate) fn seal(&self) -> &Seal {
        &self.seal
    }

    /// Closes the database.
    pub async fn close(self) {
        self.database.close().await;
    }

    /// Everybody, by name.
    pub async fn list(&self) -> Result<Vec<Person>, PersonError> {
        Ok(self.database.everybody().await?)
    }

    /// The latest privileged acts, at most so many, the latest first.
    pub async fn acts(&self, most: u32) -> Result<Vec<Act>, PersonError> {
        Ok(self.database.acts(most).await?)
    }

    /// Adds somebody.
    pub async fn add(&self, person: NewPerson, by: &Actor) -> Result<(), PersonError> {
        check_person(&person)?;
        let user = self.prepare(person).await?;
        let note = by.did("person_added", Some(&user.username), described(&user));
        self.commit(vec![Write::AddUser(user), Write::Audit(note)])
            .await
    }

    /// Gives somebody another role; their sessions end.
    pub async fn set_role(
        &self,
        username: &str,
        role: Role,
        by: &Actor,
    ) -> Result<(), PersonError> {
        self.alter(username, Some(role), None, by).await
    }

    /// Lets somebody sign in no more, and ends their sessions.
    pub async fn disable(&self, username: &str, by: &Actor) -> Result<(), PersonError> {
        self.alter(username, None, Some(true), by).await
    }

    /// Lets somebody sign in again.
    pub async fn enable(&self, username: &str, by: &Actor) -> Result<(), PersonError> {
        self.alter(username, None, Some(false), by).await
    }

    /// Changes what is named of somebody, all of it or nothing. What is so already is no act.
    pub(crate) async fn alter(
        &self,
        username: &str,
        role: Option<Role>,
        disabled: Option<bool>,
        by: &Actor,
    ) -> Result<(), PersonError> {
        let role = role.map(|role| {
            let note = by.did("role_set", Some(username), role_word(role));
            changed(username, PersonChange::Role(role), note)
        });
        let disabled = disabled.map(|disabled| {
            let (change, action) = match disabled {
                true => (
                    PersonChange::Disable {
                        at: clock::now_ms(),
                    },
                    "person_disabled",
                ),
                false => (PersonChange::Enable, "person_enabled"),
            };
            changed(username, change, by.did(action, Some(username), ""))
        });
        self.commit(role.into_iter().chain(disabled).collect())
            .await
    }

    /// Removes somebody who is disabled and signed out everywhere; `with` is done in the same transaction.
    pub(crate) async fn remove(
        &self,
        username: &str,
        with: Option<Write>,
        by: &Actor,
    ) -> Result<(), PersonError> {
        let note = by.did("person_removed", Some(username), "");
        let remove = Write::RemovePerson {
            username: username.to_owned(),
        };
        let writes = [remove, Write::Audit(note)].into_iter().chain(with);
        self.commit(writes.collect()).await
    }

    /// Gives somebody new passwords, whatever the old ones were, all that are named or none; their
    /// sessions end, so that the apps hear of a new SIP password when they sign in again.
    pub async fn reset(
        &self,
        username: &str,
        passwords: NewPasswords,
        by: &Actor,
    ) -> Result<(), PersonError> {
        let NewPasswords { password, sip } = passwords;
        if let Some(password) = &password {
            valid("password", check::new_password(password.expose()))?;
        }
        if let Some(sip) = &sip {
            valid("sip password", check::password(sip.expose()))?;
        }
        // Sealed for the name as it is stored; and nobody's password is not worth hashing.
        let found = self.database.credentials(username).await?;
        let owner = found
            .ok_or_else(|| PersonError::Unknown(username.into()))?
            .username;
        let mut writes = Vec::new();
        if let Some(password) = password {
            let hash = self.passwords.hash(password).await?;
            let note = by.did("password_reset", Some(username), "");
            let change = PersonChange::Password { hash, own: None };
            writes.push(changed(username, change, note));
        }
        if let Some(sip) = sip {
            let note = by.did("sip_password_set", Some(username), "");
            let change = PersonChange::SipSecret(self.seal.seal(&owner, &sip)?);
            writes.push(changed(username, change, note));
        }
        self.commit(writes).await
    }

    /// Gives somebody a new password; their other sessions end. That they know the old one is for
    /// the caller to see to; that it is still theirs by then is seen to here.
    pub(crate) async fn change_own_password(
        &self,
        username: &str,
        password: Secret,
        own: OwnPassword,
        by: &Actor,
    ) -> Result<(), PersonError> {
        valid("password", check::new_password(password.expose()))?;
        let change = PersonChange::Password {
            hash: self.passwords.hash(password).await?,
            own: Some(own),
        };
        let note = by.did("password_changed", Some(username), "");
        self.commit(vec![changed(username, change, note)]).await
    }

    /// Notes a privileged act that changes no person's row; `target` is whom or what it is done to.
    pub async fn note(
        &self,
        action: &'static str,
        target: Option<&str>,
        detail: String,
        by: &Actor,
    ) -> Result<(), PersonError> {
        let note = by.did(action, target, detail);
        self.commit(vec![Write::Audit(note)]).await
    }

    /// Hashes and seals what is kept of somebody whose values are checked.
    async fn prepare(&self, person: NewPerson) -> Result<NewUser, PersonError> {
        let sip_secret = person
            .sip_password
            .as_ref()
            .map(|secret| self.seal.seal(&person.username, secret))
            .transpose()?;
        Ok(NewUser {
            username: person.username,
            extension: person.extension,
            role: person.role,
            password_hash: self.passwords.hash(person.password).await?,
            sip_secret,
            at: clock::now_ms(),
        })
    }

    pub(crate) async fn commit(&self, writes: Vec<Write>) -> Result<(), PersonError> {
        self.database
            .commit(writes)
            .await
            .map_err(|error| match error {
                WriteError::Conflict(what) => PersonError::Taken(what),
                WriteError::NotThere(name) => PersonError::Unknown(name),
                WriteError::Superseded => PersonError::Superseded,
                WriteError::LastAdmin => PersonError::LastAdmin,
                WriteError::StillActive => PersonError::StillActive,
                WriteError::Down(_) => PersonError::Write(error.to_string()),
            })
    }
}

impl From<PasswordError> for PersonError {
    fn from(error: PasswordError) -> Self {
        match error {
            PasswordError::Busy => Self::Busy,
            PasswordError::Broken(words) => Self::Hash(words),
        }
    }
}

/// What SIP passwords are sealed with: the key of those that are there, or a new one.
pub(crate) async fn seal(config: &Config, database: &Database) -> Result<Seal, PersonError> {
    let sealed = database.a_sealed_secret().await?;
    let seal = match sealed {
        Some((owner, sealed)) => Seal::reopen(&config.data_dir, &owner, &sealed),
        None => Seal::open(&config.data_dir),
    };
    Ok(seal?)
}

/// Opens (and makes, if need be) the database of a configuration, adds a person and closes it.
pub async fn add_person(config: &Config, person: NewPerson) -> Result<(), PersonError> {
    let office = Office::open(config).await?;
    let added = office.add(person, &Actor::command_line()).await;
    office.close().await;
    added
}

/// Brings the database of a configuration up to date without serving.
pub async fn prepare(config: &Config) -> Result<(), DbError> {
    Database::open(config).await?.close().await;
    Ok(())
}

/// Notes a privileged act on a whole database, beside a server that runs or not.
pub async fn note(
    config: &Config,
    action: &'static str,
    detail: String,
    by: &Actor,
) -> Result<(), PersonError> {
    let database = Database::open(config).await?;
    let note = by.did(action, None, detail);
    let noted = database.commit(vec![Write::Audit(note)]).await;
    database.close().await;
    noted.map_err(|error| PersonError::Write(error.to_string()))
}

fn changed(username: &str, change: PersonChange, note: AuditEntry) -> Write {
    Write::ChangePerson {
        username: username.to_owned(),
        change,
        note,
    }
}

fn described(user: &NewUser) -> String {
    let role = role_word(user.role);
    match &user.extension {
        Some(extension) => format!("{role}, extension {extension}"),
        None => role.to_owned(),
    }
}

fn role_word(role: Role) -> &'static str {
    match role {
        Role::Agent => "agent",
        Role::Supervisor => "supervisor",
        Role::Admin => "admin",
    }
}

fn check_person(person: &NewPerson) -> Result<(), PersonError> {
    valid("username", check::username(&person.username))?;
    valid("password", check::new_password(person.password.expose()))?;
    if let Some(extension) = &person.extension {
        valid("extension", check::extension(extension))?;
        if person.sip_password.is_none() {
            return Err(PersonError::Invalid {
                field: "sip password",
                why: "is wanted with an extension".into(),
            });
        }
    }
    if let Some(secret) = &person.sip_password {
        valid("sip password", check::password(secret.expose()))?;
    }
    Ok(())
}

fn valid(field: &'static str, judged: Result<(), check::Refused>) -> Result<(), PersonError> {
    judged.map_err(|why| PersonError::Invalid {
        field,
        why: why.to_string(),
    })
}
