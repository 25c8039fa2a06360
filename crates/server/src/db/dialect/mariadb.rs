//! MariaDB, 10.6 and later, and MySQL, 8 and later, which speak the same wherever it matters here.

use sqlx::{
    ConnectOptions as _, MySqlConnection, MySqlPool,
    error::DatabaseError,
    mysql::{MySqlConnectOptions, MySqlDatabaseError, MySqlPoolOptions},
};

use super::{ACQUIRE, DbError, Dialect, READERS, Spelled, Texts, column_of_key};
use crate::config::DatabaseConfig;

/// What is wrong with a value is refused, never cut to fit; `READ COMMITTED` keeps our batches from
/// locking the gaps between rows that Asterisk is about to insert.
const SESSION: &str = "SET SESSION sql_mode = 'STRICT_ALL_TABLES,NO_ENGINE_SUBSTITUTION';
    SET SESSION TRANSACTION ISOLATION LEVEL READ COMMITTED";

pub(super) fn place(config: &DatabaseConfig) -> Result<MySqlConnectOptions, DbError> {
    let refused = |error: sqlx::Error| DbError::Url(error.to_string());
    let url = match config.url.strip_prefix("mariadb:") {
        Some(rest) => format!("mysql:{rest}"),
        None => config.url.clone(),
    };
    let mut options: MySqlConnectOptions = url.parse().map_err(refused)?;
    if let Some(password) = config.password()? {
        options = options.password(password.expose());
    }
    Ok(options.pipes_as_concat(false))
}

pub(super) async fn connect(
    options: &MySqlConnectOptions,
    busy_timeout_ms: u64,
) -> Result<MySqlConnection, sqlx::Error> {
    let mut db = options.connect().await?;
    let patience = busy_timeout_ms.div_ceil(1_000).max(1);
    let session = format!("{SESSION}; SET SESSION innodb_lock_wait_timeout = {patience}");
    sqlx::raw_sql(sqlx::AssertSqlSafe(session))
        .execute(&mut db)
        .await?;
    Ok(db)
}

pub(super) fn readers(options: &MySqlConnectOptions) -> MySqlPool {
    MySqlPoolOptions::new()
        .max_connections(READERS)
        .acquire_timeout(ACQUIRE)
        .after_connect(|db, _| {
            Box::pin(async move {
                sqlx::raw_sql(SESSION).execute(&mut *db).await?;
                let read_only = sqlx::raw_sql("SET SESSION TRANSACTION READ ONLY");
                read_only.execute(&mut *db).await.map(drop)
            })
        })
        .connect_lazy_with(options.clone())
}

/// What MariaDB and MySQL say in their own way.
#[derive(Debug)]
pub(super) struct MariaDb;

impl MariaDb {
    fn number(error: &dyn DatabaseError) -> u16 {
        let own = error.try_downcast_ref::<MySqlDatabaseError>();
        own.map_or(0, MySqlDatabaseError::number)
    }
}

impl Dialect for MariaDb {
    fn name(&self) -> &'static str {
        "MariaDB"
    }

    fn migration<'m>(&self, texts: &'m Texts) -> &'m str {
        texts.mariadb
    }

    fn durability(&self) -> Option<&'static str> {
        Some(
            "SELECT CASE WHEN @@innodb_flush_log_at_trx_commit = 1 THEN ''
                 ELSE 'innodb_flush_log_at_trx_commit is not 1' END",
        )
    }

    fn spell(&self, text: &str) -> Spelled {
        let mut values = Vec::new();
        let text = super::respell(text, |number| {
            values.push(number - 1);
            "?".to_owned()
        });
        Spelled { text, values }
    }

    fn begin_snapshot(&self) -> &'static str {
        "SET TRANSACTION ISOLATION LEVEL REPEATABLE READ;
         START TRANSACTION WITH CONSISTENT SNAPSHOT, READ ONLY"
    }

    fn differ(&self, one: &str, other: &str) -> String {
        format!("NOT ({one} <=> {other})")
    }

    /// A row whose values are so already is not written, without being told.
    fn upsert(&self, upsert: &super::Upsert<'_>) -> String {
        upsert.on_duplicate_key()
    }

    /// The catalogue's own texts are of a type that is read as bytes on some versions.
    fn columns(&self) -> &'static str {
        "SELECT CONVERT(column_name USING utf8mb4), CONVERT(column_type USING utf8mb4)
         FROM information_schema.columns
         WHERE table_schema = DATABASE() AND table_name = ?1 ORDER BY ordinal_position"
    }

    fn demanding_columns(&self) -> &'static str {
        "SELECT CONVERT(column_name USING utf8mb4) FROM information_schema.columns
         WHERE table_schema = DATABASE() AND table_name = ?1 AND is_nullable = 'NO' AND column_default IS NULL
           AND extra NOT LIKE '%auto_increment%' ORDER BY ordinal_position"
    }

    fn ddl_in_transactions(&self) -> bool {
        false
    }

    /// A table, column or key that is there; one to drop that is not.
    fn made_already(&self, error: &dyn DatabaseError) -> bool {
        matches!(Self::number(error), 1050 | 1060 | 1061 | 1091)
    }

    /// MySQL's names of locks end after 64 characters.
    fn migration_lock(&self) -> Option<(&'static str, &'static str)> {
        Some((
            "SELECT GET_LOCK(CONCAT('rollcall', SHA2(DATABASE(), 224)), 60)",
            "SELECT RELEASE_LOCK(CONCAT('rollcall', SHA2(DATABASE(), 224)))",
        ))
    }

    /// `ER_LOCK_DEADLOCK`.
    fn was_sacrificed(&self, error: &dyn DatabaseError) -> bool {
        Self::number(error) == 1213
    }

    /// "Duplicate entry 'what somebody typed' for key 'users_extension_key'".
    fn unique_column(&self, error: &dyn DatabaseError) -> String {
        let key = error.message().rsplit('\'').nth(1);
        column_of_key(key.unwrap_or("it"))
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
             authenticate_qualify ENUM('0', '1', 'off', 'on', 'false', 'true', 'no', 'yes'),
             via_addr VARCHAR(40),
             via_port INTEGER,
             call_id VARCHAR(255),
             endpoint VARCHAR(255),
             prune_on_boot ENUM('0', '1', 'off', 'on', 'false', 'true', 'no', 'yes'),
             qualify_2xx_only ENUM('0', '1', 'off', 'on', 'false', 'true', 'no', 'yes'),
             UNIQUE KEY id (id),
             UNIQUE KEY ps_contacts_uq (id, reg_server),
             KEY ps_contacts_qualifyfreq_exp (qualify_frequency, expiration_time),
             KEY ps_contacts_endpoint (endpoint)
         ) ENGINE = InnoDB DEFAULT CHARSET = utf8mb4"
    }
}
