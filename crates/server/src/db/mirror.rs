//! `ps_contacts` in mirror mode: Asterisk's own columns plus ours.
//!
//! No migration: Asterisk's own schema may be there already, so the catalogue is read first. Its
//! columns are never altered; ours are added where they are missing.

use std::collections::BTreeSet;

use sqlx::{Row, SqliteConnection};

use super::DbError;

const TABLE: &str = "CREATE TABLE ps_contacts (
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
)";

const INDEXES: &str = "
    CREATE INDEX IF NOT EXISTS ps_contacts_qualifyfreq_exp ON ps_contacts (qualify_frequency, expiration_time);
    CREATE INDEX IF NOT EXISTS ps_contacts_endpoint ON ps_contacts (endpoint);";

/// Our columns: name, and the statement that adds it.
const OURS: &[(&str, &str)] = &[(
    "status",
    "ALTER TABLE ps_contacts ADD COLUMN status VARCHAR(20) NOT NULL DEFAULT 'Unknown'",
)];

/// Makes the table, or adds what it lacks. Doing it twice changes nothing.
pub(super) async fn ensure(db: &mut SqliteConnection) -> Result<(), DbError> {
    if columns(db).await?.is_empty() {
        sqlx::raw_sql(TABLE).execute(&mut *db).await?;
    }
    let present = columns(db).await?;
    for (name, statement) in OURS {
        if !present.contains(*name) {
            sqlx::raw_sql(*statement).execute(&mut *db).await?;
        }
    }
    sqlx::raw_sql(INDEXES).execute(db).await?;
    Ok(())
}

async fn columns(db: &mut SqliteConnection) -> Result<BTreeSet<String>, DbError> {
    let rows = sqlx::query("SELECT name FROM pragma_table_info('ps_contacts')")
        .fetch_all(db)
        .await?;
    rows.iter().map(|row| Ok(row.try_get(0)?)).collect()
}
