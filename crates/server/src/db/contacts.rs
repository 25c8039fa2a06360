//! `ps_contacts`, which is ours or Asterisk's: what the configuration's `mode` means for the table.
//!
//! | | mirror | shared |
//! |---|---|---|
//! | whose rows | ours: copies of what the registrar reports | Asterisk's: it inserts, updates, deletes |
//! | what we write | whole rows | `status`; to evict, `expiration_time` |
//! | the last contact of an extension, once it went | stays, `Expired` | is kept in `last_contacts` |
//!
//! No migration makes the table: Asterisk's own schema may be there already, so the catalogue is
//! read first. Its columns are never altered; ours are added where they are missing, with defaults, so
//! that Asterisk can insert without them. Asterisk writes the same rows meanwhile: each statement of
//! ours changes one row by its id and only the columns named above.

use std::collections::{BTreeMap, BTreeSet};

use rollcall_alignment::{
    ContactId, ContactRow, ContactStatus, Extension, decode_stored, encode_stored,
};

use super::{
    DbError,
    dialect::{Connection, Place, Pool, Row, Upsert, query},
    writer::Fault,
};
use crate::config::{Config, Mode};

/// Our columns: name, and the statement that adds it. The default lets Asterisk insert without it.
const OURS: &[(&str, &str)] = &[(
    "status",
    "ALTER TABLE ps_contacts ADD COLUMN status VARCHAR(20) NOT NULL DEFAULT 'Unknown'",
)];

/// What we read of a contact, and write of one of our own.
pub(super) const COLUMNS: [&str; 8] = [
    "id",
    "endpoint",
    "uri",
    "user_agent",
    "expiration_time",
    "qualify_frequency",
    "reg_server",
    "status",
];

/// An expiry that is past by anybody's clock, seconds since the epoch.
const LONG_PAST: i64 = 1;

/// Makes the table, or adds what it lacks. Doing it twice changes nothing.
pub(super) async fn ensure(db: &mut Connection) -> Result<(), DbError> {
    if columns(db).await?.is_empty() {
        let make = db.dialect().contacts_table();
        db.run(make).await?;
    }
    let present = columns(db).await?;
    for (name, statement) in OURS {
        if !present.contains(*name) {
            db.run(statement).await?;
        }
    }
    Ok(())
}

/// What a table of contacts has to have, and what else an INSERT of Asterisk's would have to name and does not know of.
#[derive(Debug, Default, PartialEq, Eq)]
pub(crate) struct Doubts {
    /// There is no such table.
    pub(crate) no_table: bool,
    /// Columns of ours and of Asterisk's that are missing.
    pub(crate) missing: Vec<String>,
    /// Columns of somebody else's that are neither NULL nor have a default: every REGISTER fails.
    pub(crate) in_the_way: Vec<String>,
}

/// Columns that Asterisk 22 names whenever it inserts a contact.
const ASTERISKS: [&str; 16] = [
    "id",
    "uri",
    "expiration_time",
    "qualify_frequency",
    "outbound_proxy",
    "path",
    "user_agent",
    "qualify_timeout",
    "reg_server",
    "authenticate_qualify",
    "via_addr",
    "via_port",
    "call_id",
    "endpoint",
    "prune_on_boot",
    "qualify_2xx_only",
];

/// Reads the catalogue; changes nothing.
pub(crate) async fn doubts(config: &Config) -> Result<Doubts, DbError> {
    let mut db = Place::of(config)?.connect().await?;
    let present = columns(&mut db).await?;
    if present.is_empty() {
        return Ok(Doubts {
            no_table: true,
            ..Doubts::default()
        });
    }
    let needed = ASTERISKS
        .iter()
        .copied()
        .chain(OURS.iter().map(|(name, _)| *name));
    let missing = needed
        .filter(|name| !present.contains(*name))
        .map(str::to_owned);
    let demanding = db.dialect().demanding_columns();
    let rows = query(demanding)
        .bind("ps_contacts")
        .fetch_all(&mut db)
        .await?;
    let mut in_the_way: Vec<String> = Vec::new();
    for row in &rows {
        let name: String = row.try_get(0)?;
        if !ASTERISKS.contains(&name.as_str()) {
            in_the_way.push(name);
        }
    }
    let doubts = Doubts {
        no_table: false,
        missing: missing.collect(),
        in_the_way,
    };
    db.close().await?;
    Ok(doubts)
}

async fn columns(db: &mut Connection) -> Result<BTreeSet<String>, DbError> {
    let catalogue = db.dialect().columns();
    let rows = query(catalogue).bind("ps_contacts").fetch_all(db).await?;
    rows.iter().map(|row| Ok(row.try_get(0)?)).collect()
}

/// What the product knows of contacts: the table's rows and, in shared mode, the last ones of those
/// who have none there.
pub(super) async fn read(db: &Pool, mode: Mode) -> Result<Vec<ContactRow>, DbError> {
    let mut found = BTreeMap::new();
    if mode == Mode::Shared {
        collect(db, "last_contacts", &mut found).await?;
    }
    collect(db, "ps_contacts", &mut found).await?;
    Ok(found.into_values().collect())
}

async fn collect(
    db: &Pool,
    table: &str,
    found: &mut BTreeMap<ContactId, ContactRow>,
) -> Result<(), DbError> {
    let columns = COLUMNS.join(", ");
    let select = format!("SELECT {columns} FROM {table}");
    let rows = query(select).fetch_all(db).await?;
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
fn contact(row: &Row) -> Result<ContactRow, DbError> {
    let text = |column: usize| -> Result<String, DbError> {
        Ok(row.try_get::<Option<String>>(column)?.unwrap_or_default())
    };
    let number = |column: usize| -> Result<i64, DbError> {
        Ok(row.try_get_int(column)?.unwrap_or_default())
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
pub(super) async fn put(db: &mut Connection, mode: Mode, row: &ContactRow) -> Result<(), Fault> {
    match mode {
        Mode::Mirror | Mode::Claims => {
            forget_misspelt(db, &row.id).await?;
            put_row(db, "ps_contacts", row).await
        }
        Mode::Shared => {
            set_status(db, &row.id, row.status).await?;
            if row.status == ContactStatus::Expired {
                put_row(db, "last_contacts", row).await?;
            }
            Ok(())
        }
    }
}

/// Where the table is ours alone, ids stand in it decoded. In the spelling of Asterisk's drivers it is a row of
/// somebody else's making, or of a time when the table was shared.
async fn forget_misspelt(db: &mut Connection, id: &ContactId) -> Result<(), Fault> {
    let stored = encode_stored(id.as_str());
    if stored != id.as_str() {
        let delete = "DELETE FROM ps_contacts WHERE id = ?1";
        query(delete).bind(stored).execute(db).await?;
    }
    Ok(())
}

/// A contact is not even the last one any more: a newer one took its place.
pub(super) async fn forget(db: &mut Connection, mode: Mode, id: &ContactId) -> Result<(), Fault> {
    let statement = match mode {
        Mode::Mirror | Mode::Claims => {
            forget_misspelt(db, id).await?;
            "DELETE FROM ps_contacts WHERE id = ?1"
        }
        // The row itself is Asterisk's to delete.
        Mode::Shared => "DELETE FROM last_contacts WHERE id = ?1",
    };
    query(statement).bind(id.as_str()).execute(db).await?;
    Ok(())
}

/// Evicts through the table (F6): Asterisk does not dial an expired row, and its next check deletes
/// it with all its events.
pub(super) async fn expire(db: &mut Connection, id: &ContactId) -> Result<(), Fault> {
    query(
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
    db: &mut Connection,
    id: &ContactId,
    status: ContactStatus,
) -> Result<(), Fault> {
    let differs = db.dialect().differ("status", "?1");
    let statement =
        format!("UPDATE ps_contacts SET status = ?1 WHERE id IN (?2, ?3) AND {differs}");
    query(statement)
        .bind(status.as_str())
        .bind(id.as_str())
        .bind(encode_stored(id.as_str()))
        .execute(db)
        .await?;
    Ok(())
}

async fn put_row(db: &mut Connection, table: &'static str, row: &ContactRow) -> Result<(), Fault> {
    let upsert = db.dialect().upsert(&Upsert {
        table,
        columns: &COLUMNS,
        source: "VALUES (?1, ?2, ?3, ?4, ?5, ?6, ?7, ?8)",
        changed: COLUMNS.get(1..).unwrap_or_default(),
        only_if: None,
    });
    query(upsert)
        .bind(row.id.as_str())
        .bind(row.endpoint.as_str())
        .bind(clip(&row.uri, 511))
        .bind(clip(&row.user_agent, 255))
        .bind(i64::try_from(row.expires_unix).unwrap_or(i64::MAX))
        .bind(row.qualify_frequency)
        .bind(clip(&row.reg_server, 255))
        .bind(row.status.as_str())
        .execute(db)
        .await?;
    Ok(())
}

/// What a phone says of itself may be longer than Asterisk's column, which is no reason to lose the
/// rest of the batch.
fn clip(text: &str, characters: usize) -> &str {
    match text.char_indices().nth(characters) {
        Some((end, _)) => text.get(..end).unwrap_or(text),
        None => text,
    }
}
