//! SQLite: a file in the data directory, WAL, every commit on disk before it is answered.

use std::{
    path::{Path, PathBuf},
    time::Duration,
};

use sqlx::{
    ConnectOptions as _, SqliteConnection, SqlitePool,
    error::DatabaseError,
    sqlite::{SqliteConnectOptions, SqliteJournalMode, SqlitePoolOptions, SqliteSynchronous},
};

use super::{ACQUIRE, DbError, Dialect, READERS, Spelled, Texts};
use crate::config::Config;

/// The file, made if need be: the data directory 0700 and the file 0600 before SQLite opens it, for
/// its `-wal` and `-shm` inherit the file's mode.
pub(super) fn place(config: &Config) -> Result<SqliteConnectOptions, DbError> {
    let path = file_of(config);
    make_private(&path, &config.data_dir).map_err(|error| DbError::File {
        path: path.display().to_string(),
        error,
    })?;
    Ok(SqliteConnectOptions::new()
        .filename(path)
        .create_if_missing(true)
        .journal_mode(SqliteJournalMode::Wal)
        .synchronous(SqliteSynchronous::Full)
        .busy_timeout(Duration::from_millis(config.database.busy_timeout_ms))
        .foreign_keys(true))
}

pub(super) async fn connect(
    options: &SqliteConnectOptions,
) -> Result<SqliteConnection, sqlx::Error> {
    options.connect().await
}

/// WAL: readers are never blocked by the writer.
pub(super) fn readers(options: &SqliteConnectOptions) -> SqlitePool {
    SqlitePoolOptions::new()
        .max_connections(READERS)
        .acquire_timeout(ACQUIRE)
        .connect_lazy_with(options.clone().read_only(true).create_if_missing(false))
}

fn file_of(config: &Config) -> PathBuf {
    let url = &config.database.url;
    let name = url.strip_prefix("sqlite:").unwrap_or(url);
    let name = name.strip_prefix("//").unwrap_or(name);
    config.data_dir.join(name)
}

fn make_private(path: &Path, data_dir: &Path) -> std::io::Result<()> {
    crate::auth::files::private_dir(data_dir)?;
    crate::auth::files::private_file(path)
}

/// What SQLite says in its own way; our numbered values are its own.
#[derive(Debug)]
pub(super) struct Sqlite;

impl Dialect for Sqlite {
    fn name(&self) -> &'static str {
        "SQLite"
    }

    fn migration<'m>(&self, texts: &'m Texts) -> &'m str {
        texts.sqlite
    }

    fn is_remote(&self) -> bool {
        false
    }

    fn durability(&self) -> Option<&'static str> {
        Some(
            "SELECT CASE WHEN synchronous >= 2 THEN '' ELSE 'synchronous is not FULL' END
             FROM pragma_synchronous",
        )
    }

    fn spell(&self, text: &str) -> Spelled {
        let mut highest = 0;
        let text = super::respell(text, |number| {
            highest = highest.max(number);
            format!("?{number}")
        });
        Spelled {
            text,
            values: (0..highest).collect(),
        }
    }

    /// At once, so that no other writer comes between a read and the write that follows from it.
    fn begin(&self) -> &'static str {
        "BEGIN IMMEDIATE"
    }

    fn begin_snapshot(&self) -> &'static str {
        "BEGIN"
    }

    fn columns(&self) -> &'static str {
        "SELECT name, type FROM pragma_table_info(?1) ORDER BY cid"
    }

    fn demanding_columns(&self) -> &'static str {
        "SELECT name FROM pragma_table_info(?1) WHERE \"notnull\" = 1 AND dflt_value IS NULL AND pk = 0 ORDER BY cid"
    }

    /// "UNIQUE constraint failed: users.extension".
    fn unique_column(&self, error: &dyn DatabaseError) -> String {
        let words = error.message().rsplit(['.', ' ']).next();
        words.unwrap_or("it").to_owned()
    }

    fn contacts_table(&self) -> &'static str {
        "CREATE TABLE ps_contacts (
             id VARCHAR(255) NOT NULL,
             uri VARCHAR(511),
             expiration_time BIGINT,
             qualify_frequency INTEGER,
             outbound_proxy VARCHAR(255),
             path TEXT,
             user_agent VARCHAR(255),
             qualify_timeout FLOAT,
             reg_server VARCHAR(255),
             authenticate_qualify VARCHAR(5),
             via_addr VARCHAR(40),
             via_port INTEGER,
             call_id VARCHAR(255),
             endpoint VARCHAR(255),
             prune_on_boot VARCHAR(5),
             qualify_2xx_only VARCHAR(5),
             UNIQUE (id),
             CONSTRAINT ps_contacts_uq UNIQUE (id, reg_server)
         );
         CREATE INDEX ps_contacts_qualifyfreq_exp ON ps_contacts (qualify_frequency, expiration_time);
         CREATE INDEX ps_contacts_endpoint ON ps_contacts (endpoint);"
    }
}
