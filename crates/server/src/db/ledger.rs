//! What the ledger and the sessions tell afterwards. The ledger only grows, but for its end of life.

use rollcall_wire::explain::{LedgerLine, SessionLine};

use super::{
    Database, DbError,
    dialect::{Connection, Row, query},
    write::Write,
    writer::{Fault, WriteError},
};

/// Lines that are taken away in one transaction, give or take those of one millisecond.
pub(super) const PORTION: i64 = 2_000;

const COLUMNS: &str = "id, at, extension, device_id, kind, source, rule, what, detail";

const SESSIONS: &str =
    "SELECT u.extension, s.device_id, s.started_at, s.online_at, s.ended_at, s.end_reason
             FROM sessions s JOIN users u ON u.id = s.user_id";

/// Which lines are wanted.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub(crate) struct Lines {
    /// After this one.
    pub(crate) after: i64,
    /// Of this extension alone.
    pub(crate) extension: Option<String>,
    /// Not before, ms since the epoch.
    pub(crate) from: u64,
    /// Before, ms since the epoch.
    pub(crate) to: u64,
    /// So many at most.
    pub(crate) limit: i64,
}

impl Database {
    /// Lines of the ledger in its order.
    pub(crate) async fn ledger(&self, wanted: &Lines) -> Result<Vec<LedgerLine>, DbError> {
        self.lines(wanted, "").await
    }

    /// Of them, what was decided of the agents.
    pub(crate) async fn decisions(&self, wanted: &Lines) -> Result<Vec<LedgerLine>, DbError> {
        self.lines(wanted, "what = 'status_changed' AND").await
    }

    async fn lines(&self, wanted: &Lines, only: &str) -> Result<Vec<LedgerLine>, DbError> {
        let of_one = if wanted.extension.is_some() {
            "extension = ?5 AND"
        } else {
            "?5 = '' AND"
        };
        let rows = query(format!(
            "SELECT {COLUMNS} FROM ledger WHERE {of_one} {only} id > ?1 AND at >= ?2 AND at < ?3 ORDER BY id LIMIT ?4"
        ))
        .bind(wanted.after)
        .bind(signed(wanted.from))
        .bind(signed(wanted.to))
        .bind(wanted.limit)
        .bind(wanted.extension.as_deref().unwrap_or_default())
        .fetch_all(self.reads())
        .await?;
        rows.iter().map(line).collect()
    }

    /// The last lines about an extension, or about everybody, up to `at`; the newest first.
    pub(crate) async fn ledger_until(
        &self,
        extension: &str,
        at: u64,
        limit: i64,
    ) -> Result<Vec<LedgerLine>, DbError> {
        let rows = query(format!(
            "SELECT {COLUMNS} FROM ledger WHERE extension = ?1 AND at <= ?2 ORDER BY at DESC, id DESC LIMIT ?3"
        ))
        .bind(extension)
        .bind(signed(at))
        .bind(limit)
        .fetch_all(self.reads())
        .await?;
        rows.iter().map(line).collect()
    }

    /// The decision about an extension that held at `at`.
    pub(crate) async fn decision_at(
        &self,
        extension: &str,
        at: u64,
    ) -> Result<Option<LedgerLine>, DbError> {
        let row = query(format!(
            "SELECT {COLUMNS} FROM ledger WHERE extension = ?1 AND at <= ?2 AND what = 'status_changed'
             ORDER BY at DESC, id DESC LIMIT 1"
        ))
        .bind(extension)
        .bind(signed(at))
        .fetch_optional(self.reads())
        .await?;
        row.as_ref().map(line).transpose()
    }

    /// The last line before `at` that says whether this source is in sight.
    pub(crate) async fn sight_at(
        &self,
        source: &str,
        at: u64,
    ) -> Result<Option<LedgerLine>, DbError> {
        let row = query(format!(
            "SELECT {COLUMNS} FROM ledger WHERE extension IS NULL AND at <= ?1 AND source = ?2
             AND what IN ('source_found', 'source_lost', 'lists_unanswered') ORDER BY at DESC, id DESC LIMIT 1"
        ))
        .bind(signed(at))
        .bind(source)
        .fetch_optional(self.reads())
        .await?;
        row.as_ref().map(line).transpose()
    }

    /// The sessions of an extension that lived at `at`, the oldest first.
    pub(crate) async fn sessions_at(
        &self,
        extension: &str,
        at: u64,
    ) -> Result<Vec<SessionLine>, DbError> {
        let rows = query(format!(
            "{SESSIONS} WHERE u.extension = ?1 AND s.started_at <= ?2 AND (s.ended_at IS NULL OR s.ended_at > ?2)
             ORDER BY s.started_at, s.id"
        ))
        .bind(extension)
        .bind(signed(at))
        .fetch_all(self.reads())
        .await?;
        rows.iter().map(session).collect()
    }

    /// Takes away the lines from before `before`, ms since the epoch: in portions, each a commit of
    /// its own, so that whoever signs in meanwhile waits for one of them at most.
    pub(crate) async fn forget_ledger(&self, before: u64) -> Result<(), WriteError> {
        loop {
            let end = self.end_of_portion(before).await;
            let end = end.map_err(|error| WriteError::Down(error.to_string()))?;
            let portion = Write::ForgetLedger {
                before: end.unwrap_or(before),
            };
            self.commit(vec![portion]).await?;
            if end.is_none() {
                return Ok(());
            }
        }
    }

    /// Before when a portion of the oldest lines was written; none where fewer are left.
    async fn end_of_portion(&self, before: u64) -> Result<Option<u64>, DbError> {
        let last = query("SELECT at FROM ledger WHERE at < ?1 ORDER BY at LIMIT 1 OFFSET ?2")
            .bind(signed(before))
            .bind(PORTION - 1)
            .fetch_optional(self.reads())
            .await?;
        last.map(|row| Ok(unsigned(row.try_get(0)?) + 1))
            .transpose()
    }

    /// Sessions that lived in the period, by their beginning.
    pub(crate) async fn sessions_between(
        &self,
        from: u64,
        to: u64,
        limit: i64,
    ) -> Result<Vec<SessionLine>, DbError> {
        let rows = query(format!(
            "{SESSIONS} WHERE u.extension IS NOT NULL AND s.started_at < ?2 AND (s.ended_at IS NULL OR s.ended_at >= ?1)
             ORDER BY s.started_at, s.id LIMIT ?3"
        ))
        .bind(signed(from))
        .bind(signed(to))
        .bind(limit)
        .fetch_all(self.reads())
        .await?;
        rows.iter().map(session).collect()
    }
}

fn session(row: &Row) -> Result<SessionLine, DbError> {
    Ok(SessionLine {
        extension: row.try_get(0)?,
        device: row.try_get(1)?,
        started: unsigned(row.try_get(2)?),
        online: row.try_get::<Option<i64>>(3)?.map(unsigned),
        ended: row.try_get::<Option<i64>>(4)?.map(unsigned),
        end: row.try_get(5)?,
    })
}

/// Takes away what is older than the ledger is kept.
pub(super) async fn forget(db: &mut Connection, before: u64) -> Result<(), Fault> {
    query("DELETE FROM ledger WHERE at < ?1")
        .bind(signed(before))
        .execute(db)
        .await?;
    Ok(())
}

fn line(row: &Row) -> Result<LedgerLine, DbError> {
    Ok(LedgerLine {
        seq: row.try_get(0)?,
        at: unsigned(row.try_get(1)?),
        extension: row.try_get(2)?,
        device: row.try_get(3)?,
        kind: row.try_get(4)?,
        source: row.try_get(5)?,
        rule: row.try_get(6)?,
        what: row.try_get(7)?,
        detail: row.try_get(8)?,
    })
}

fn signed(ms: u64) -> i64 {
    i64::try_from(ms).unwrap_or(i64::MAX)
}

fn unsigned(ms: i64) -> u64 {
    u64::try_from(ms).unwrap_or_default()
}
