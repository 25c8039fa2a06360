//! Numbered migrations of our own tables, each in a transaction with its own record.

use std::collections::BTreeMap;

use sqlx::{Connection, Row, SqliteConnection};

use super::DbError;

/// Number, name, text. Numbers rise without gaps; a committed file never changes.
const MIGRATIONS: &[(i64, &str, &str)] = &[
    (
        1,
        "create_people_and_sessions",
        include_str!("../../../../migrations/sqlite/0001_create_people_and_sessions.sql"),
    ),
    (
        2,
        "create_ledger",
        include_str!("../../../../migrations/sqlite/0002_create_ledger.sql"),
    ),
    (
        3,
        "create_last_contacts",
        include_str!("../../../../migrations/sqlite/0003_create_last_contacts.sql"),
    ),
    (
        4,
        "add_answer_to_tokens",
        include_str!("../../../../migrations/sqlite/0004_add_answer_to_tokens.sql"),
    ),
    (
        5,
        "add_people_admin",
        include_str!("../../../../migrations/sqlite/0005_add_people_admin.sql"),
    ),
];

/// Brings the tables up to date. One that was cut in the middle left nothing and runs again.
pub(super) async fn up(db: &mut SqliteConnection) -> Result<(), DbError> {
    sqlx::raw_sql(
        "CREATE TABLE IF NOT EXISTS rollcall_migrations (
             number INTEGER PRIMARY KEY, name TEXT NOT NULL, applied_at INTEGER NOT NULL)",
    )
    .execute(&mut *db)
    .await?;
    let done = done(db).await?;
    refuse_a_newer(&done)?;
    for (number, name, text) in MIGRATIONS {
        if let Some(known) = done.get(number) {
            if known != name {
                return Err(DbError::Schema(format!(
                    "migration {number} is `{known}` there and `{name}` here"
                )));
            }
            continue;
        }
        let mut transaction = db.begin_with("BEGIN IMMEDIATE").await?;
        // Another process may have been faster while this one waited for the lock.
        let taken: i64 =
            sqlx::query_scalar("SELECT COUNT(*) FROM rollcall_migrations WHERE number = ?1")
                .bind(number)
                .fetch_one(&mut *transaction)
                .await?;
        if taken == 0 {
            sqlx::raw_sql(*text).execute(&mut *transaction).await?;
            sqlx::query("INSERT INTO rollcall_migrations VALUES (?1, ?2, unixepoch() * 1000)")
                .bind(number)
                .bind(name)
                .execute(&mut *transaction)
                .await?;
        }
        transaction.commit().await?;
    }
    Ok(())
}

async fn done(db: &mut SqliteConnection) -> Result<BTreeMap<i64, String>, DbError> {
    let rows = sqlx::query("SELECT number, name FROM rollcall_migrations")
        .fetch_all(db)
        .await?;
    rows.iter()
        .map(|row| Ok((row.try_get(0)?, row.try_get(1)?)))
        .collect()
}

fn refuse_a_newer(done: &BTreeMap<i64, String>) -> Result<(), DbError> {
    let newest_here = MIGRATIONS.last().map_or(0, |(number, ..)| *number);
    match done.last_key_value() {
        Some((newest, name)) if *newest > newest_here => Err(DbError::Schema(format!(
            "they were made by a newer server (migration {newest}, {name}); this one knows {newest_here}"
        ))),
        _ => Ok(()),
    }
}
