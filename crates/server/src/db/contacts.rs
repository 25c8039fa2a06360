//! `ps_contacts`, which is ours or Asterisk's: what the configuration's `mode` means for the table.
//!
//! | | mirror | shared |
//! |---|---|---|
//! | whose rows | ours: copies of what the registrar reports | Asterisk's: it inserts, updates, deletes |
//! | what we write | whole rows | `status`; to evict, `expiration_time` |
//! | the last contact of an extension, once it went | stays, `Expired` | is kept in `last_contacts` |
//!
//! No migration makes the table: Asterisk's own schema may be there already, so the catalogue is
//! read first. Its columns are never altered; ours are added where they are missing.

use std::collections::{BTreeMap, BTreeSet};

use rollcall_alignment::{
    ContactId, ContactRow, ContactStatus, Extension, decode_stored, encode_stored,
};
use sqlx::{Row, SqliteConnection, SqlitePool, sqlite::SqliteRow};

use super::{DbError, writer::WriteError};
use crate::config::Mode;

/// As Asterisk 22's own migrations make it, but for the primary key those lack as well.
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
);
CREATE INDEX ps_contacts_qualifyfreq_exp ON ps_contacts (qualify_frequency, expiration_time);
CREATE INDEX ps_contacts_endpoint ON ps_contacts (endpoint);";

/// Our columns: name, and the statement that adds it. The default lets Asterisk insert without it.
const OURS: &[(&str, &str)] = &[(
    "status",
    "ALTER TABLE ps_contacts ADD COLUMN status VARCHAR(20) NOT NULL DEFAULT 'Unknown'",
)];

const COLUMNS: &str =
    "id, endpoint, uri, user_agent, expiration_time, qualify_frequency, reg_server, status";

/// An expiry that is past by anybody's clock, seconds since the epoch.
const LONG_PAST: i64 = 1;

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
    Ok(())
}

async fn columns(db: &mut SqliteConnection) -> Result<BTreeSet<String>, DbError> {
    let rows = sqlx::query("SELECT name FROM pragma_table_info('ps_contacts')")
        .fetch_all(db)
        .await?;
    rows.iter().map(|row| Ok(row.try_get(0)?)).collect()
}

/// What the product knows of contacts: the table's rows and, in shared mode, the last ones of those
/// who have none there.
pub(super) async fn read(db: &SqlitePool, mode: Mode) -> Result<Vec<ContactRow>, DbError> {
    let mut found = BTreeMap::new();
    if mode == Mode::Shared {
        let kept = format!("SELECT {COLUMNS} FROM last_contacts");
        collect(db, kept, &mut found).await?;
    }
    let table = format!("SELECT {COLUMNS} FROM ps_contacts");
    collect(db, table, &mut found).await?;
    Ok(found.into_values().collect())
}

async fn collect(
    db: &SqlitePool,
    query: String,
    found: &mut BTreeMap<ContactId, ContactRow>,
) -> Result<(), DbError> {
    let rows = sqlx::query(sqlx::AssertSqlSafe(query))
        .fetch_all(db)
        .await?;
    for row in &rows {
        match contact(row) {
            Ok(contact) => drop(found.insert(contact.id.clone(), contact)),
            // Somebody else's table may hold anything; one odd row hides no other.
            Err(DbError::Schema(error)) => {
                tracing::warn!(%error, "a row of ps_contacts is skipped");
            }
            Err(error) => return Err(error),
        }
    }
    Ok(())
}

/// Any column may be NULL where the table is Asterisk's own.
fn contact(row: &SqliteRow) -> Result<ContactRow, DbError> {
    let text = |column: usize| -> Result<String, DbError> {
        Ok(row
            .try_get::<Option<String>, _>(column)?
            .unwrap_or_default())
    };
    let number = |column: usize| -> Result<i64, DbError> {
        Ok(row.try_get::<Option<i64>, _>(column)?.unwrap_or_default())
    };
    let endpoint = text(1)?;
    Ok(ContactRow {
        id: ContactId::new(row.try_get(0)?),
        endpoint: Extension::new(&endpoint)
            .map_err(|error| DbError::Schema(format!("endpoint {endpoint:?} {error}")))?,
        uri: decode_stored(&text(2)?).into_owned(),
        user_agent: decode_stored(&text(3)?).into_owned(),
        expires_unix: u64::try_from(number(4)?).unwrap_or_default(),
        qualify_frequency: u32::try_from(number(5)?).unwrap_or_default(),
        reg_server: text(6)?,
        status: ContactStatus::from_word(&text(7)?),
    })
}

/// Writes what was proved of a contact.
pub(super) async fn put(
    db: &mut SqliteConnection,
    mode: Mode,
    row: &ContactRow,
) -> Result<(), WriteError> {
    match mode {
        Mode::Mirror => put_row(db, "ps_contacts", row).await,
        Mode::Shared => {
            set_status(db, &row.id, row.status).await?;
            if row.status == ContactStatus::Expired {
                put_row(db, "last_contacts", row).await?;
            }
            Ok(())
        }
    }
}

/// A contact is not even the last one any more: a newer one took its place.
pub(super) async fn forget(
    db: &mut SqliteConnection,
    mode: Mode,
    id: &ContactId,
) -> Result<(), WriteError> {
    let statement = match mode {
        Mode::Mirror => "DELETE FROM ps_contacts WHERE id = ?1",
        // The row itself is Asterisk's to delete.
        Mode::Shared => "DELETE FROM last_contacts WHERE id = ?1",
    };
    sqlx::query(statement).bind(id.as_str()).execute(db).await?;
    Ok(())
}

/// Evicts through the table (F6): Asterisk does not dial an expired row, and its next check deletes
/// it with all its events.
pub(super) async fn expire(db: &mut SqliteConnection, id: &ContactId) -> Result<(), WriteError> {
    sqlx::query(
        "UPDATE ps_contacts SET expiration_time = ?1 WHERE id IN (?2, ?3) AND expiration_time > ?1",
    )
    .bind(LONG_PAST)
    .bind(id.as_str())
    .bind(encode_stored(id.as_str()))
    .execute(db)
    .await?;
    Ok(())
}

async fn set_status(
    db: &mut SqliteConnection,
    id: &ContactId,
    status: ContactStatus,
) -> Result<(), WriteError> {
    sqlx::query("UPDATE ps_contacts SET status = ?1 WHERE id IN (?2, ?3) AND status IS NOT ?1")
        .bind(status.as_str())
        .bind(id.as_str())
        .bind(encode_stored(id.as_str()))
        .execute(db)
        .await?;
    Ok(())
}

async fn put_row(
    db: &mut SqliteConnection,
    table: &str,
    row: &ContactRow,
) -> Result<(), WriteError> {
    let statement = format!(
        "INSERT INTO {table} ({COLUMNS}) VALUES (?1, ?2, ?3, ?4, ?5, ?6, ?7, ?8)
         ON CONFLICT (id) DO UPDATE SET
             endpoint = excluded.endpoint, uri = excluded.uri, user_agent = excluded.user_agent,
             expiration_time = excluded.expiration_time,
             qualify_frequency = excluded.qualify_frequency,
             reg_server = excluded.reg_server, status = excluded.status
         WHERE endpoint IS NOT excluded.endpoint OR uri IS NOT excluded.uri
            OR user_agent IS NOT excluded.user_agent
            OR expiration_time IS NOT excluded.expiration_time
            OR qualify_frequency IS NOT excluded.qualify_frequency
            OR reg_server IS NOT excluded.reg_server OR status IS NOT excluded.status"
    );
    sqlx::query(sqlx::AssertSqlSafe(statement))
        .bind(row.id.as_str())
        .bind(row.endpoint.as_str())
        .bind(&row.uri)
        .bind(&row.user_agent)
        .bind(i64::try_from(row.expires_unix).unwrap_or(i64::MAX))
        .bind(row.qualify_frequency)
        .bind(&row.reg_server)
        .bind(row.status.as_str())
        .execute(db)
        .await?;
    Ok(())
}
