//! Adding people: their passwords hashed, their SIP passwords sealed.

use rollcall_wire::{check, http::Role};
use thiserror::Error;

use crate::{
    Config,
    auth::{SealError, passwords, seal::Seal},
    clock,
    config::Secret,
    db::{Database, DbError, NewUser, Write, WriteError},
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

/// Why somebody cannot be added.
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
}

/// Opens (and makes, if need be) the database of a configuration, adds a person and closes it.
pub async fn add_person(config: &Config, person: NewPerson) -> Result<(), PersonError> {
    let database = Database::open(config).await?;
    let added = add(&database, &Seal::open(&config.data_dir)?, person).await;
    database.close().await;
    added
}

/// Brings the database of a configuration up to date without serving.
pub async fn prepare(config: &Config) -> Result<(), DbError> {
    Database::open(config).await?.close().await;
    Ok(())
}

pub(crate) async fn add(
    database: &Database,
    seal: &Seal,
    person: NewPerson,
) -> Result<(), PersonError> {
    check_person(&person)?;
    let sip_secret = person
        .sip_password
        .as_ref()
        .map(|secret| seal.seal(&person.username, secret))
        .transpose()?;
    let password_hash = passwords::hash(person.password)
        .await
        .map_err(|error| PersonError::Hash(error.to_string()))?;
    let user = NewUser {
        username: person.username,
        extension: person.extension,
        role: person.role,
        password_hash,
        sip_secret,
        at: clock::now_ms(),
    };
    match database.commit(vec![Write::AddUser(user)]).await {
        Ok(()) => Ok(()),
        Err(WriteError::Conflict(what)) => Err(PersonError::Taken(what)),
        Err(error @ WriteError::Down(_)) => Err(PersonError::Write(error.to_string())),
    }
}

fn check_person(person: &NewPerson) -> Result<(), PersonError> {
    let invalid = |field| {
        move |why: check::Refused| PersonError::Invalid {
            field,
            why: why.to_string(),
        }
    };
    check::username(&person.username).map_err(invalid("username"))?;
    check::password(person.password.expose()).map_err(invalid("password"))?;
    if let Some(extension) = &person.extension {
        check::extension(extension).map_err(invalid("extension"))?;
        if person.sip_password.is_none() {
            return Err(PersonError::Invalid {
                field: "sip password",
                why: "is wanted with an extension".into(),
            });
        }
    }
    if let Some(secret) = &person.sip_password {
        check::password(secret.expose()).map_err(invalid("sip password"))?;
    }
    Ok(())
}
