//! The database: typed writes through one writer, typed reads beside it.
//!
//! Owns the schema (numbered migrations of our own tables, `ps_contacts` by code that reads the
//! catalogue first), the order of writes and their durability. Refuses SQL anywhere else in the
//! crate, and any write that is not a [`Write`].
//!
//! ```text
//! commit([..]) ─► queue ─► writer: BEGIN; SAVEPOINT each; COMMIT (fsync) ─► answers
//! reads ─────────► pool of read-only connections (WAL: never blocked by the writer)
//! ```

mod contacts;
mod migrate;
mod people;
mod read;
mod sqlite;
mod write;
mod writer;

use std::{path::Path, sync::Arc, time::Duration};

use sqlx::{
    SqlitePool,
    sqlite::{SqliteConnectOptions, SqlitePoolOptions},
};
use thiserror::Error;

pub use people::AuditEntry;
pub use read::Credentials;
pub(crate) use read::Traded;
pub use write::{
    KeptAnswer, KeyHash, NewSession, NewUser, PersonChange, Rotation, TokenHash, TokenPair, Write,
};
pub use writer::WriteError;

use crate::{
    config::{Config, Mode},
    metrics::{Commits, Metrics},
};

/// Connections that read.
const READERS: u32 = 4;
/// How long a read waits for a connection.
const ACQUIRE: Duration = Duration::from_secs(5);

/// A handle on the open database; clones share it.
#[derive(Clone, Debug)]
pub struct Database {
    inner: Arc<Inner>,
}

#[derive(Debug)]
struct Inner {
    mode: Mode,
    reads: SqlitePool,
    writer: writer::Writer,
}

/// Why the database cannot be used.
#[derive(Debug, Error)]
pub enum DbError {
    /// The folder or the file cannot be made or opened.
    #[error("the database file {path} cannot be opened: {source}")]
    File {
        /// The file.
        path: String,
        /// Why.
        source: std::io::Error,
    },
    /// SQLite refused.
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
        let path = file_of(config);
        make_private(&path, &config.data_dir).map_err(|source| DbError::File {
            path: path.display().to_string(),
            source,
        })?;
        let options = sqlite::options(&path, config.database.busy_timeout_ms);
        let mut connection = sqlite::connect(&options).await?;
        migrate::up(&mut connection).await?;
        contacts::ensure(&mut connection).await?;
        let reads = readers(options);
        Ok(Self {
            inner: Arc::new(Inner {
                mode: config.mode,
                reads,
                writer: writer::Writer::start(connection, config.mode, commits),
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

    fn reads(&self) -> &SqlitePool {
        &self.inner.reads
    }
}

fn readers(options: SqliteConnectOptions) -> SqlitePool {
    SqlitePoolOptions::new()
        .max_connections(READERS)
        .acquire_timeout(ACQUIRE)
        .connect_lazy_with(options.read_only(true).create_if_missing(false))
}

fn file_of(config: &Config) -> std::path::PathBuf {
    let name = config
        .database
        .url
        .strip_prefix("sqlite:")
        .unwrap_or(&config.database.url);
    let name = name.strip_prefix("//").unwrap_or(name);
    config.data_dir.join(name)
}

/// The data directory 0700 and the file 0600 before SQLite opens it: its `-wal` and `-shm` inherit
/// the file's mode.
fn make_private(path: &Path, data_dir: &Path) -> std::io::Result<()> {
    crate::auth::files::private_dir(data_dir)?;
    crate::auth::files::private_file(path)
}

#[cfg(test)]
mod tests;
