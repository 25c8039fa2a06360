//! Backups: all tables in one file, the same from each database, and back into any of them.
//!
//! The file is text, a JSON object a line: first `{"rollcall": "backup", "format": 1, "migration": N}`, then
//! `{"table": T, "row": {column: value}}` for each row, last `{"rows": N}`, so that a cut file is known
//! as one. Bytes are `{"base64": ...}`. It is read at one moment of the database, beside a server that
//! runs. In shared mode `ps_contacts` is Asterisk's and is left out: phones bring it back by registering.
//! The key that seals the phones' passwords is not in it.

use std::io::{BufRead, Write};

use base64::{Engine as _, engine::general_purpose::STANDARD};
use serde_json::{Map, Value as Json, json};
use thiserror::Error;

use super::{
    DbError, contacts,
    dialect::{Connection, Place, Row, Value, query},
    migrate::{self, MIGRATIONS},
};
use crate::config::{Config, Mode};

/// Ours, those that others point at first.
pub(super) const TABLES: &[&str] = &[
    "users",
    "sessions",
    "tokens",
    "ledger",
    "last_contacts",
    "audit",
];

/// The version of the file.
const FORMAT: u64 = 1;
/// Rows in memory at a time.
const PAGE: usize = 1_000;

/// Why a backup was not made, or not brought back. Nothing of it is in the database then.
#[derive(Debug, Error)]
pub enum BackupError {
    /// The database cannot be used.
    #[error(transparent)]
    Database(#[from] DbError),
    /// The file cannot be written or read.
    #[error("the backup cannot be written or read: {0}")]
    File(#[from] std::io::Error),
    /// The file is no backup of ours, or not a whole one.
    #[error(
        "line {line} of the backup: {words}. Nothing was brought back: name a whole file that `rollcall-server backup` wrote, of this version or an older one"
    )]
    Format {
        /// Which, from 1.
        line: usize,
        /// What is wrong with it.
        words: String,
    },
    /// The database holds people already.
    #[error(
        "the database holds people already, and was not changed: name an empty one (another data_dir or database.url)"
    )]
    NotEmpty,
}

impl From<sqlx::Error> for BackupError {
    fn from(error: sqlx::Error) -> Self {
        Self::Database(error.into())
    }
}

/// What a column holds.
#[derive(Clone, Copy, Debug)]
pub(super) enum Type {
    Int,
    Text,
    Bytes,
    Bool,
}

/// Writes all that the database of `config` holds; answers how many rows.
pub async fn backup(config: &Config, file: &mut impl Write) -> Result<usize, BackupError> {
    let mut db = Place::of(config)?.connect().await.map_err(DbError::from)?;
    migrate::up(&mut db).await?;
    let begin = db.dialect().begin_snapshot();
    db.run(begin).await?;
    let newest = MIGRATIONS.last().map_or(0, |newest| newest.number);
    put(
        file,
        &json!({ "rollcall": "backup", "format": FORMAT, "migration": newest }),
    )?;
    let mut rows = 0;
    for table in tables(config) {
        rows += write_table(&mut db, table, file).await?;
    }
    put(file, &json!({ "rows": rows }))?;
    file.flush()?;
    db.run("COMMIT").await?;
    db.close().await?;
    Ok(rows)
}

/// Brings a backup back into the empty database of `config`, made if need be; answers how many rows.
pub async fn restore(config: &Config, file: impl BufRead) -> Result<usize, BackupError> {
    let mut db = Place::of(config)?.connect().await.map_err(DbError::from)?;
    migrate::up(&mut db).await?;
    let begin = db.dialect().begin();
    db.run(begin).await?;
    let made = read_all(&mut db, tables(config), file).await;
    let end = if made.is_ok() { "COMMIT" } else { "ROLLBACK" };
    db.run(end).await?;
    db.close().await?;
    made
}

fn tables(config: &Config) -> impl Iterator<Item = &'static str> + Clone {
    let ours = (config.mode != Mode::Shared).then_some("ps_contacts");
    TABLES.iter().copied().chain(ours)
}

async fn write_table(
    db: &mut Connection,
    table: &'static str,
    file: &mut impl Write,
) -> Result<usize, BackupError> {
    let columns = columns(db, table).await?;
    let names: Vec<&str> = columns.iter().map(|(name, _)| name.as_str()).collect();
    let key = names.first().copied().unwrap_or("id");
    let select = format!("SELECT {} FROM {table}", names.join(", "));
    let order = format!("ORDER BY {key} LIMIT {PAGE}");
    let mut rows = query(format!("{select} {order}"))
        .fetch_all(&mut *db)
        .await?;
    let mut written = 0;
    loop {
        for row in &rows {
            let row = as_json(row, &columns)?;
            put(file, &json!({ "table": table, "row": row }))?;
        }
        written += rows.len();
        let (Some(last), Some((_, kind))) = (rows.last(), columns.first()) else {
            return Ok(written);
        };
        let last = cell(last, 0, *kind)?;
        let after = format!("{select} WHERE {key} > ?1 {order}");
        rows = query(after)
            .bind(owned(&last, *kind).unwrap_or(Value::Int(None)))
            .fetch_all(&mut *db)
            .await?;
    }
}

async fn read_all(
    db: &mut Connection,
    tables: impl Iterator<Item = &'static str> + Clone,
    file: impl BufRead,
) -> Result<usize, BackupError> {
    let people = query("SELECT id FROM users LIMIT 1").fetch_optional(&mut *db);
    if people.await?.is_some() {
        return Err(BackupError::NotEmpty);
    }
    let mut known = Vec::new();
    for table in tables.clone() {
        known.push((table, columns(db, table).await?));
    }
    let mut rows = 0;
    let mut whole = false;
    let mut count = 0;
    for (index, line) in file.lines().enumerate() {
        count = index + 1;
        let wrong = |words: String| BackupError::Format { line: count, words };
        let line: Json = serde_json::from_str(&line?).map_err(|error| wrong(error.to_string()))?;
        if index == 0 {
            check_header(&line).map_err(wrong)?;
        } else if let Some(table) = line["table"].as_str() {
            // Asterisk's own table, where the backup is of a mirror.
            if let Some((table, columns)) = known.iter().find(|(name, _)| *name == table) {
                insert(db, table, columns, &line["row"])
                    .await
                    .map_err(|error| wrong(error.to_string()))?;
            } else if table != "ps_contacts" {
                return Err(wrong(format!("this server has no table {table}")));
            }
            rows += 1;
        } else {
            whole = line["rows"] == rows;
        }
    }
    if !whole {
        let words = "the file is not whole".to_owned();
        return Err(BackupError::Format { line: count, words });
    }
    for table in ["users", "ledger", "audit"] {
        if let Some(statement) = db.dialect().renumber(table) {
            query(statement).fetch_all(&mut *db).await?;
        }
    }
    Ok(rows)
}

fn check_header(line: &Json) -> Result<(), String> {
    let newest = MIGRATIONS.last().map_or(0, |newest| newest.number);
    if line["rollcall"] != "backup" || line["format"] != FORMAT {
        return Err("it is no backup that this server reads".into());
    }
    match line["migration"].as_i64() {
        Some(migration) if migration <= newest => Ok(()),
        _ => Err("it was made by a newer server".into()),
    }
}

async fn insert(
    db: &mut Connection,
    table: &str,
    columns: &[(String, Type)],
    row: &Json,
) -> Result<(), sqlx::Error> {
    // A session's own SIP password is a row of Asterisk's, which is not in a backup: the phone gets the person's own.
    let elsewhere = |name: &str| table == "sessions" && ["sip_auth", "sip_secret"].contains(&name);
    let given: Vec<_> = (columns.iter())
        .filter(|(name, _)| !elsewhere(name))
        .filter_map(|(name, kind)| Some((name.as_str(), *kind, row.get(name)?)))
        .collect();
    let names: Vec<&str> = given.iter().map(|(name, ..)| *name).collect();
    let places: Vec<String> = (1..=given.len()).map(|n| format!("?{n}")).collect();
    let statement = format!(
        "INSERT INTO {table} ({}) VALUES ({})",
        names.join(", "),
        places.join(", ")
    );
    let mut insert = query(statement);
    for (name, kind, value) in given {
        let value = owned(value, kind)
            .ok_or_else(|| sqlx::Error::Protocol(format!("{table}.{name} cannot be {value}")))?;
        insert = insert.bind(value);
    }
    insert.execute(db).await.map(drop)
}

/// The columns of a table of ours, as the catalogue has them; of `ps_contacts`, those that we write.
pub(super) async fn columns(
    db: &mut Connection,
    table: &str,
) -> Result<Vec<(String, Type)>, sqlx::Error> {
    let catalogue = db.dialect().columns();
    let rows = query(catalogue).bind(table).fetch_all(&mut *db).await?;
    let mut columns = Vec::with_capacity(rows.len());
    for row in &rows {
        let (name, declared): (String, String) = (row.try_get(0)?, row.try_get(1)?);
        let declared = declared.to_ascii_lowercase();
        let has = |words: &[&str]| words.iter().any(|word| declared.contains(word));
        let kind = match () {
            () if has(&["bool", "tinyint(1)"]) => Type::Bool,
            () if has(&["int"]) => Type::Int,
            () if has(&["blob", "bytea", "binary"]) => Type::Bytes,
            () => Type::Text,
        };
        if table != "ps_contacts" || contacts::COLUMNS.contains(&name.as_str()) {
            columns.push((name, kind));
        }
    }
    Ok(columns)
}

pub(super) fn as_json(
    row: &Row,
    columns: &[(String, Type)],
) -> Result<Map<String, Json>, sqlx::Error> {
    let cells = columns.iter().enumerate();
    cells
        .map(|(column, (name, kind))| Ok((name.clone(), cell(row, column, *kind)?)))
        .collect()
}

fn cell(row: &Row, column: usize, kind: Type) -> Result<Json, sqlx::Error> {
    Ok(match kind {
        Type::Int => row.try_get_int(column)?.into(),
        Type::Bool => row.try_get::<Option<bool>>(column)?.into(),
        Type::Text => row.try_get::<Option<String>>(column)?.into(),
        Type::Bytes => match row.try_get::<Option<Vec<u8>>>(column)? {
            Some(bytes) => json!({ "base64": STANDARD.encode(bytes) }),
            None => Json::Null,
        },
    })
}

/// The value for a column of this type: a database without booleans wrote them as integers.
fn owned(value: &Json, kind: Type) -> Option<Value<'static>> {
    let number = value.as_i64().or(value.as_bool().map(i64::from));
    Some(match kind {
        Type::Int if value.is_null() => Value::Int(None),
        Type::Int => Value::Int(Some(number?)),
        Type::Bool if value.is_null() => Value::Bool(None),
        Type::Bool => Value::Bool(Some(number? != 0)),
        Type::Text if value.is_null() => Value::Text(None),
        Type::Text => value.as_str()?.to_owned().into(),
        Type::Bytes if value.is_null() => Value::Bytes(None),
        Type::Bytes => STANDARD.decode(value["base64"].as_str()?).ok()?.into(),
    })
}

fn put(file: &mut impl Write, line: &Json) -> std::io::Result<()> {
    writeln!(file, "{line}")
}
