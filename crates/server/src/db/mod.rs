//! The database: typed writes through one writer, typed reads beside it; SQLite, PostgreSQL, MariaDB
//! and MySQL behind one seam ([`dialect`]).
//!
//! Owns the schema (numbered migrations of our own tables, `ps_contacts` by code that reads the
//! catalogue first), the order of writes and their durability. Refuses SQL anywhere else in the
//! crate, and any write that is not a [`Write`].
//!
//! ```text
//! commit([..]) ─► queue ─► writer: BEGIN; SAVEPOINT each; COMMIT (fsync) ─► answers
//! reads ─────────► pool of read-only connections (never blocked by the writer)
//! ```

mod backup;
mod contacts;
mod dialect;
mod execute;
mod instances;
mod ledger;
mod migrate;
mod people;
mod provision;
mod read;
mod write;
mod writer;

use std::sync::{Arc, OnceLock};

use thiserror::Error;

use dialect::{Connection, Place, Pool, query};

pub use backup::{BackupError, backup, restore};
pub(crate) use contacts::{Doubts, doubts};
pub(crate) use dialect::Kind;
pub use instances::{Holder, Instance, Presence, Tenure};
pub(crate) use ledger::Lines;
pub use people::AuditEntry;
pub(crate) use provision::PhoneOwner;
pub use provision::SipGrant;
pub use read::Credentials;
pub(crate) use read::Traded;
pub use write::{
    KeptAnswer, KeyHash, NewSession, NewUser, OwnPassword, PersonChange, Rotation, TokenHash,
    TokenPair, Write,
};
pub use writer::WriteError;

use crate::{
    config::{Config, ConfigError, Mode},
    metrics::{Commits, Metrics},
};

/// A handle on the open database; clones share it.
#[derive(Clone, Debug)]
pub struct Database {
    inner: Arc<Inner>,
}

#[derive(Debug)]
struct Inner {
    mode: Mode,
    reads: Pool,
    writer: writer::Writer,
    /// The place that whoever writes must still have.
    fence: Arc<OnceLock<Tenure>>,
}

/// Why the database cannot be used.
#[derive(Debug, Error)]
pub enum DbError {
    /// The folder or the file cannot be made or opened.
    #[error("the database file {path} cannot be opened: {error}")]
    File {
        /// The file.
        path: String,
        /// Why.
        error: std::io::Error,
    },
    /// The URL names no database that can be used.
    #[error("database.url: {0}")]
    Url(String),
    /// The password cannot be had.
    #[error(transparent)]
    Password(#[from] ConfigError),
    /// The database refused, or cannot be reached.
    #[error("the database refused: {0}")]
    Sql(#[from] sqlx::Error),
    /// The tables are of a newer version, or changed by hand.
    #[error("the database's tables are not ours to use: {0}")]
    Schema(String),
}

impl Database {
    /// Opens the database of this configuration, making it and bringing its tables up to date.
    pub async fn open(config: &Config) -> Result<Self, DbError> {
        Self::open_counted(config, Metrics::default().commits()).await
    }

    /// The same, counting its commits.
    pub(crate) async fn open_counted(config: &Config, commits: Commits) -> Result<Self, DbError> {
        let place = Place::of(config)?;
        let mut connection = place.connect().await?;
        migrate::up(&mut connection).await?;
        if crate::provision::is_realtime(config) {
            provision::ensure(&mut connection).await?;
        }
        warn_of_loss(&mut connection).await?;
        let fence = Arc::new(OnceLock::new());
        let desk = writer::Desk::new(place.clone(), connection, config.mode, Arc::clone(&fence));
        Ok(Self {
            inner: Arc::new(Inner {
                mode: config.mode,
                reads: place.readers(),
                writer: writer::Writer::start(desk, commits),
                fence,
            }),
        })
    }

    /// Carries out a list of changes in one transaction. Answers once it is on disk, or was not
    /// done at all. The place in the order is taken by the call, not by the first await: lists are
    /// carried out in the order of the calls.
    pub fn commit(
        &self,
        writes: Vec<Write>,
    ) -> impl Future<Output = Result<(), WriteError>> + Send + 'static + use<> {
        self.inner.writer.commit(writes)
    }

    /// Whether the last write could be made.
    #[must_use]
    pub fn healthy(&self) -> bool {
        self.inner.writer.healthy()
    }

    /// Finishes the writes that wait, and closes.
    pub async fn close(&self) {
        // The writer last: only it can fold the write-ahead log into the file.
        self.inner.reads.close().await;
        self.inner.writer.close().await;
    }

    fn mode(&self) -> Mode {
        self.inner.mode
    }

    fn reads(&self) -> &Pool {
        &self.inner.reads
    }
}

/// An answer says that a change is on disk; a server that was told not to care makes that untrue.
async fn warn_of_loss(db: &mut Connection) -> Result<(), DbError> {
    let Some(ask) = db.dialect().durability() else {
        return Ok(());
    };
    let row = query(ask).fetch_optional(&mut *db).await?;
    let words = match &row {
        Some(row) => row.try_get::<String>(0)?,
        None => String::new(),
    };
    if !words.is_empty() {
        let database = db.dialect().name();
        tracing::warn!(
            database,
            "{words}: what was answered may be lost with the machine"
        );
    }
    Ok(())
}

#[cfg(test)]
mod tests;
