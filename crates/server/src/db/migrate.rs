//! Numbered migrations of our own tables.
//!
//! Where DDL is part of a transaction, each migration is one, with its own record. Where it is not
//! (MariaDB, MySQL), the record is made first and completed last, and a migration that was cut
//! between its statements takes what it had made already for granted when it runs again.

use std::collections::BTreeMap;

use super::{
    DbError, contacts,
    dialect::{Connection, Texts, query},
};
use crate::clock;

#[derive(Debug)]
pub(super) struct Migration {
    /// Rises by one without gaps.
    pub(super) number: i64,
    pub(super) name: &'static str,
    texts: Texts,
}

/// A committed file never changes.
macro_rules! migration {
    ($number:literal, $file:literal, $name:literal) => {
        Migration {
            number: $number,
            name: $name,
            texts: Texts {
                sqlite: include_str!(concat!(
                    "../../../../migrations/sqlite/",
                    $file,
                    "_",
                    $name,
                    ".sql"
                )),
                postgres: include_str!(concat!(
                    "../../../../migrations/postgres/",
                    $file,
                    "_",
                    $name,
                    ".sql"
                )),
                mariadb: include_str!(concat!(
                    "../../../../migrations/mariadb/",
                    $file,
                    "_",
                    $name,
                    ".sql"
                )),
            },
        }
    };
}

pub(super) const MIGRATIONS: &[Migration] = &[
    migration!(1, "0001", "create_people_and_sessions"),
    migration!(2, "0002", "create_ledger"),
    migration!(3, "0003", "create_last_contacts"),
    migration!(4, "0004", "add_answer_to_tokens"),
    migration!(5, "0005", "add_people_admin"),
    migration!(6, "0006", "index_ledger_by_time"),
    migration!(7, "0007", "create_instances"),
    migration!(8, "0008", "add_pause_to_users"),
];

/// A migration that was begun and may have been cut.
const BEGUN: i64 = 0;

/// Brings all tables up to date: our own, then `ps_contacts`. Several servers that start together
/// take turns.
pub(super) async fn up(db: &mut Connection) -> Result<(), DbError> {
    up_to(db, MIGRATIONS).await?;
    if db.dialect().ddl_in_transactions() {
        let begin = db.dialect().begin();
        db.run(begin).await?;
        let made = contacts::ensure(db).await;
        let end = if made.is_ok() { "COMMIT" } else { "ROLLBACK" };
        db.run(end).await?;
        made?;
    } else {
        contacts::ensure(db).await?;
    }
    release(db).await
}

/// Carries out those of `migrations` that are missing, and keeps the lock.
pub(super) async fn up_to(db: &mut Connection, migrations: &[Migration]) -> Result<(), DbError> {
    lock(db).await?;
    db.run(
        "CREATE TABLE IF NOT EXISTS rollcall_migrations (
             number BIGINT PRIMARY KEY, name VARCHAR(255) NOT NULL, applied_at BIGINT NOT NULL)",
    )
    .await?;
    let done = done(db).await?;
    refuse_a_newer(&done)?;
    for migration in migrations {
        match done.get(&migration.number) {
            Some((name, _)) if name != migration.name => {
                return Err(DbError::Schema(format!(
                    "migration {} is `{name}` there and `{}` here",
                    migration.number, migration.name
                )));
            }
            Some((_, at)) if *at != BEGUN => {}
            before if db.dialect().ddl_in_transactions() => {
                debug_assert!(before.is_none(), "a transaction leaves no half of itself");
                in_a_transaction(db, migration).await?;
            }
            before => by_statements(db, migration, before.is_some()).await?,
        }
    }
    Ok(())
}

async fn in_a_transaction(db: &mut Connection, migration: &Migration) -> Result<(), DbError> {
    let begin = db.dialect().begin();
    db.run(begin).await?;
    let made = async {
        // Another process may have been faster while this one waited for SQLite's lock.
        let taken = query("SELECT name FROM rollcall_migrations WHERE number = ?1")
            .bind(migration.number)
            .fetch_optional(&mut *db)
            .await?;
        if taken.is_none() {
            let text = db.dialect().migration(&migration.texts);
            db.run(text).await?;
            record(db, migration, now()).await?;
        }
        db.run("COMMIT").await
    };
    let made = made.await;
    if made.is_err() {
        let _ = db.run("ROLLBACK").await;
    }
    Ok(made?)
}

async fn by_statements(
    db: &mut Connection,
    migration: &Migration,
    again: bool,
) -> Result<(), DbError> {
    if !again {
        record(db, migration, BEGUN).await?;
    }
    let dialect = db.dialect();
    for statement in statements(dialect.migration(&migration.texts)) {
        match db.run(statement).await {
            Err(sqlx::Error::Database(error)) if again && dialect.made_already(&*error) => {}
            other => other?,
        }
    }
    query("UPDATE rollcall_migrations SET applied_at = ?1 WHERE number = ?2")
        .bind(now())
        .bind(migration.number)
        .execute(db)
        .await?;
    Ok(())
}

/// Our files end each statement with the line; nothing of theirs holds a `;` elsewhere at a line's end.
fn statements(text: &str) -> impl Iterator<Item = &str> {
    text.split(";\n")
        .map(str::trim)
        .filter(|statement| !statement.is_empty())
}

async fn record(db: &mut Connection, migration: &Migration, at: i64) -> Result<(), sqlx::Error> {
    query("INSERT INTO rollcall_migrations (number, name, applied_at) VALUES (?1, ?2, ?3)")
        .bind(migration.number)
        .bind(migration.name)
        .bind(at)
        .execute(db)
        .await
        .map(drop)
}

async fn done(db: &mut Connection) -> Result<BTreeMap<i64, (String, i64)>, DbError> {
    let rows = query("SELECT number, name, applied_at FROM rollcall_migrations")
        .fetch_all(db)
        .await?;
    rows.iter()
        .map(|row| Ok((row.try_get(0)?, (row.try_get(1)?, row.try_get(2)?))))
        .collect()
}

fn refuse_a_newer(done: &BTreeMap<i64, (String, i64)>) -> Result<(), DbError> {
    let newest_here = MIGRATIONS.last().map_or(0, |newest| newest.number);
    match done.last_key_value() {
        Some((newest, (name, _))) if *newest > newest_here => Err(DbError::Schema(format!(
            "they were made by a newer server (migration {newest}, {name}); this one knows {newest_here}"
        ))),
        _ => Ok(()),
    }
}

async fn lock(db: &mut Connection) -> Result<(), DbError> {
    let Some((take, _)) = db.dialect().migration_lock() else {
        return Ok(());
    };
    match query(take).fetch_optional(&mut *db).await? {
        Some(row) if row.try_get_int(0)? == Some(1) => Ok(()),
        _ => Err(DbError::Schema(
            "another server has been bringing them up to date for a minute".into(),
        )),
    }
}

async fn release(db: &mut Connection) -> Result<(), DbError> {
    if let Some((_, give_back)) = db.dialect().migration_lock() {
        query(give_back).fetch_all(db).await?;
    }
    Ok(())
}

fn now() -> i64 {
    i64::try_from(clock::now_ms()).unwrap_or(i64::MAX)
}

/// Begins a migration and is cut after half of its statements, the odd one made.
#[cfg(test)]
pub(super) async fn cut(db: &mut Connection, migration: &Migration) {
    let dialect = db.dialect();
    if dialect.ddl_in_transactions() {
        db.run(dialect.begin()).await.unwrap();
    } else {
        record(db, migration, BEGUN).await.unwrap();
    }
    let text = dialect.migration(&migration.texts);
    let made = statements(text).count().div_ceil(2);
    for statement in statements(text).take(made) {
        db.run(statement).await.unwrap();
    }
}
