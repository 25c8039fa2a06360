//! Servers on one database: the row that each keeps fresh, and whose an Asterisk's manager is.
//!
//! Owns the compare-and-set that changes a manager's owner, and the fence: a transaction of a server
//! whose place was taken is not made. Refuses to know how long is long enough, which is
//! [`crate::instance`]'s, and compares no two machines' clocks.

use super::{
    Database, DbError,
    dialect::{Connection, query},
    execute::ms,
    writer::{Fault, WriteError},
};

/// Rows of servers that were not seen for so long are nobody's, ms.
const FORGOTTEN: u64 = 24 * 3_600_000;

/// One run of one server.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Instance {
    /// Of its data folder: the same after a restart.
    pub id: String,
    /// Of this process.
    pub run: String,
    /// What people call it.
    pub name: String,
}

/// A server's place on the manager of one Asterisk.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Tenure {
    /// The manager's address, as configured.
    pub manager: String,
    /// Who has the place, or wants it.
    pub instance: Instance,
}

/// Whose a manager is, and how often they have said so.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Holder {
    /// [`Instance::id`].
    pub instance: String,
    /// [`Instance::run`].
    pub run: String,
    /// Goes up while they live.
    pub beats: i64,
}

/// What a server writes of itself.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Presence {
    /// It is there: its row, with the time it says so, ms since the epoch.
    Here(Instance, u64),
    /// It takes the place of this holder, or the free one. Conflicts when that is not so any more.
    Take(Tenure, Option<Holder>),
    /// It still has its place. Conflicts when it has not.
    Hold(Tenure),
    /// It goes, and leaves its place free.
    Leave(Tenure),
}

pub(super) async fn put(db: &mut Connection, presence: &Presence) -> Result<(), Fault> {
    match presence {
        Presence::Here(instance, at) => here(db, instance, *at).await,
        Presence::Take(tenure, None) => insert(db, tenure).await,
        Presence::Take(tenure, Some(before)) => replace(db, tenure, before).await,
        Presence::Hold(tenure) => hold(db, tenure).await,
        Presence::Leave(tenure) => leave(db, tenure).await,
    }
}

async fn here(db: &mut Connection, instance: &Instance, at: u64) -> Result<(), Fault> {
    let seen = query("UPDATE instances SET seen_at = ?1 WHERE id = ?2 AND run = ?3")
        .bind(ms(at))
        .bind(&instance.id)
        .bind(&instance.run)
        .execute(&mut *db)
        .await?;
    if seen > 0 {
        return Ok(());
    }
    query("DELETE FROM instances WHERE id = ?1 OR seen_at < ?2")
        .bind(&instance.id)
        .bind(ms(at.saturating_sub(FORGOTTEN)))
        .execute(&mut *db)
        .await?;
    query("INSERT INTO instances (id, run, name, started_at, seen_at) VALUES (?1, ?2, ?3, ?4, ?4)")
        .bind(&instance.id)
        .bind(&instance.run)
        .bind(&instance.name)
        .bind(ms(at))
        .execute(db)
        .await?;
    Ok(())
}

async fn insert(db: &mut Connection, tenure: &Tenure) -> Result<(), Fault> {
    query("INSERT INTO managers (address, instance, run, beats) VALUES (?1, ?2, ?3, 0)")
        .bind(&tenure.manager)
        .bind(&tenure.instance.id)
        .bind(&tenure.instance.run)
        .execute(db)
        .await?;
    Ok(())
}

async fn replace(db: &mut Connection, tenure: &Tenure, before: &Holder) -> Result<(), Fault> {
    let taken = query(
        "UPDATE managers SET instance = ?1, run = ?2, beats = 0
         WHERE address = ?3 AND instance = ?4 AND run = ?5 AND beats = ?6",
    )
    .bind(&tenure.instance.id)
    .bind(&tenure.instance.run)
    .bind(&tenure.manager)
    .bind(&before.instance)
    .bind(&before.run)
    .bind(before.beats)
    .execute(db)
    .await?;
    or_taken(taken, tenure)
}

async fn hold(db: &mut Connection, tenure: &Tenure) -> Result<(), Fault> {
    let held = query(
        "UPDATE managers SET beats = beats + 1 WHERE address = ?1 AND instance = ?2 AND run = ?3",
    )
    .bind(&tenure.manager)
    .bind(&tenure.instance.id)
    .bind(&tenure.instance.run)
    .execute(db)
    .await?;
    or_taken(held, tenure)
}

async fn leave(db: &mut Connection, tenure: &Tenure) -> Result<(), Fault> {
    query("DELETE FROM managers WHERE address = ?1 AND instance = ?2 AND run = ?3")
        .bind(&tenure.manager)
        .bind(&tenure.instance.id)
        .bind(&tenure.instance.run)
        .execute(&mut *db)
        .await?;
    query("DELETE FROM instances WHERE id = ?1 AND run = ?2")
        .bind(&tenure.instance.id)
        .bind(&tenure.instance.run)
        .execute(db)
        .await?;
    Ok(())
}

fn or_taken(rows: u64, tenure: &Tenure) -> Result<(), Fault> {
    if rows > 0 {
        return Ok(());
    }
    let manager = &tenure.manager;
    Err(WriteError::Conflict(format!("the manager at {manager}")).into())
}

/// Whether the place is still theirs, within a transaction of theirs.
pub(super) async fn is_held(db: &mut Connection, tenure: &Tenure) -> Result<bool, sqlx::Error> {
    let row = query("SELECT 1 FROM managers WHERE address = ?1 AND instance = ?2 AND run = ?3")
        .bind(&tenure.manager)
        .bind(&tenure.instance.id)
        .bind(&tenure.instance.run)
        .fetch_optional(db)
        .await?;
    Ok(row.is_some())
}

impl Database {
    /// Whose the manager at this address is.
    pub(crate) async fn holder(&self, manager: &str) -> Result<Option<Holder>, DbError> {
        let row = query("SELECT instance, run, beats FROM managers WHERE address = ?1")
            .bind(manager)
            .fetch_optional(self.reads())
            .await?;
        row.map(|row| {
            Ok(Holder {
                instance: row.try_get(0)?,
                run: row.try_get(1)?,
                beats: row.try_get(2)?,
            })
        })
        .transpose()
    }

    /// What people call a server; nothing where it has left no row.
    pub(crate) async fn name_of(&self, instance: &str) -> Result<Option<String>, DbError> {
        let row = query("SELECT name FROM instances WHERE id = ?1")
            .bind(instance)
            .fetch_optional(self.reads())
            .await?;
        row.map(|row| Ok(row.try_get(0)?)).transpose()
    }

    /// From now on nothing is written unless the place is still this one's.
    pub(crate) fn fence(&self, tenure: Tenure) {
        let _ = self.inner.fence.set(tenure);
    }
}
