//! PostgreSQL, 13 and later.

use sqlx::{
    ConnectOptions as _, PgConnection, PgPool,
    error::DatabaseError,
    postgres::{PgConnectOptions, PgPoolOptions},
};

use super::{ACQUIRE, DbError, Dialect, READERS, Spelled, Texts, column_of_key};
use crate::config::DatabaseConfig;

/// Every commit on disk before it is answered, whatever the server's own default.
pub(super) fn place(config: &DatabaseConfig) -> Result<PgConnectOptions, DbError> {
    let refused = |error: sqlx::Error| DbError::Url(error.to_string());
    let mut options: PgConnectOptions = config.url.parse().map_err(refused)?;
    if let Some(password) = config.password()? {
        options = options.password(password.expose());
    }
    let lock_timeout = format!("{}ms", config.busy_timeout_ms);
    Ok(options
        .application_name("rollcall-server")
        .options([("synchronous_commit", "on")])
        .options([("lock_timeout", lock_timeout)]))
}

pub(super) async fn connect(options: &PgConnectOptions) -> Result<PgConnection, sqlx::Error> {
    options.connect().await
}

pub(super) fn readers(options: &PgConnectOptions) -> PgPool {
    let read_only = [("default_transaction_read_only", "on")];
    PgPoolOptions::new()
        .max_connections(READERS)
        .acquire_timeout(ACQUIRE)
        .connect_lazy_with(options.clone().options(read_only))
}

/// What PostgreSQL says in its own way.
#[derive(Debug)]
pub(super) struct Postgres;

impl Dialect for Postgres {
    fn name(&self) -> &'static str {
        "PostgreSQL"
    }

    fn migration<'m>(&self, texts: &'m Texts) -> &'m str {
        texts.postgres
    }

    fn durability(&self) -> Option<&'static str> {
        Some(
            "SELECT CASE WHEN current_setting('fsync') = 'on' THEN '' ELSE 'fsync is off' END::text",
        )
    }

    fn spell(&self, text: &str) -> Spelled {
        let mut highest = 0;
        let text = super::respell(text, |number| {
            highest = highest.max(number);
            format!("${number}")
        });
        Spelled {
            text,
            values: (0..highest).collect(),
        }
    }

    fn begin_snapshot(&self) -> &'static str {
        "BEGIN ISOLATION LEVEL REPEATABLE READ READ ONLY"
    }

    fn renumber(&self, table: &str) -> Option<String> {
        Some(format!(
            "SELECT setval(pg_get_serial_sequence('{table}', 'id'),
                 (SELECT COALESCE(MAX(id), 0) + 1 FROM {table}), false)"
        ))
    }

    /// Over an index on `lower(column)`.
    fn same_name(&self, column: &str, value: &str) -> String {
        format!("lower({column}) = lower({value})")
    }

    /// Of the table that the search path finds, as every other statement does.
    fn columns(&self) -> &'static str {
        "SELECT attname::text, format_type(atttypid, NULL) FROM pg_attribute
         WHERE attrelid = to_regclass(?1) AND attnum > 0 AND NOT attisdropped ORDER BY attnum"
    }

    fn demanding_columns(&self) -> &'static str {
        "SELECT attname::text FROM pg_attribute
         WHERE attrelid = to_regclass(?1) AND attnum > 0 AND NOT attisdropped AND attnotnull AND NOT atthasdef
           AND attidentity = '' ORDER BY attnum"
    }

    fn migration_lock(&self) -> Option<(&'static str, &'static str)> {
        Some((
            "SELECT 1 FROM pg_advisory_lock(hashtext('rollcall_migrations'))",
            "SELECT 1 FROM pg_advisory_unlock(hashtext('rollcall_migrations'))",
        ))
    }

    /// `serialization_failure`, `deadlock_detected`.
    fn was_sacrificed(&self, error: &dyn DatabaseError) -> bool {
        matches!(error.code().as_deref(), Some("40001" | "40P01"))
    }

    fn unique_column(&self, error: &dyn DatabaseError) -> String {
        column_of_key(error.constraint().unwrap_or("it"))
    }

    fn contacts_table(&self) -> &'static str {
        "DO $$ BEGIN
             IF to_regtype('ast_bool_values') IS NULL THEN
                 CREATE TYPE ast_bool_values AS ENUM ('0', '1', 'off', 'on', 'false', 'true', 'no', 'yes');
             END IF;
         END $$;
         CREATE TABLE ps_contacts (
             id VARCHAR(255) NOT NULL,
             uri VARCHAR(511),
             expiration_time BIGINT,
             qualify_frequency INTEGER,
             outbound_proxy VARCHAR(255),
             path TEXT,
             user_agent VARCHAR(255),
             qualify_timeout DOUBLE PRECISION,
             reg_server VARCHAR(255),
             authenticate_qualify ast_bool_values,
             via_addr VARCHAR(40),
             via_port INTEGER,
             call_id VARCHAR(255),
             endpoint VARCHAR(255),
             prune_on_boot ast_bool_values,
             qualify_2xx_only ast_bool_values,
             CONSTRAINT ps_contacts_id_key UNIQUE (id),
             CONSTRAINT ps_contacts_uq UNIQUE (id, reg_server)
         );
         CREATE INDEX ps_contacts_qualifyfreq_exp ON ps_contacts (qualify_frequency, expiration_time);
         CREATE INDEX ps_contacts_endpoint ON ps_contacts (endpoint);"
    }
}
