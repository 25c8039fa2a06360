//! People as an administrator changes them, and the audit log, in plain SQL.

use rollcall_wire::{
    http::Role,
    people::{Act, Person},
};

use super::{
    Database, DbError,
    dialect::{Connection, query},
    execute::{ms, role_from_word, role_word},
    read::unsigned,
    write::{OwnPassword, PersonChange},
    writer::{Fault, WriteError},
};
use crate::auth::SessionId;

/// An entry of the audit log.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct AuditEntry {
    /// When, ms since the epoch.
    pub at: u64,
    /// Who.
    pub actor: String,
    /// From which address.
    pub address: Option<String>,
    /// What was done.
    pub action: &'static str,
    /// To whom.
    pub target: Option<String>,
    /// What else there is to know; nothing secret.
    pub detail: String,
}

/// Carries out a change of somebody. Who may not do any more what they could, or whose password is
/// another, is signed out: their tokens end here, their sessions when that is noticed.
pub(super) async fn change(
    db: &mut Connection,
    username: &str,
    change: &PersonChange,
    note: &AuditEntry,
) -> Result<(), Fault> {
    let before = found(db, username).await?;
    match change {
        PersonChange::Role(role) if *role == before.role => return Ok(()),
        PersonChange::Role(role) => set_role(db, before.id, *role).await?,
        PersonChange::Disable { .. } if before.disabled => return Ok(()),
        PersonChange::Disable { at } => set_disabled(db, before.id, Some(*at)).await?,
        PersonChange::Enable if !before.disabled => return Ok(()),
        PersonChange::Enable => set_disabled(db, before.id, None).await?,
        PersonChange::Password { hash, own } => {
            if let Some(own) = own {
                still_holds(db, before.id, own).await?;
            }
            query("UPDATE users SET password_hash = ?1 WHERE id = ?2")
                .bind(hash)
                .bind(before.id)
                .execute(&mut *db)
                .await?;
        }
        PersonChange::SipSecret(sealed) => {
            query("UPDATE users SET sip_secret = ?1 WHERE id = ?2")
                .bind(sealed.as_slice())
                .bind(before.id)
                .execute(&mut *db)
                .await?;
        }
    }
    if before.is_active_admin() && !has_an_admin(db).await? {
        return Err(WriteError::LastAdmin.into());
    }
    let kept = match change {
        PersonChange::Password { own, .. } => own.as_ref().map(|own| own.session),
        _ => None,
    };
    // Who may sign in again has no tokens that could end.
    end_tokens(db, before.id, kept).await?;
    append_audit(db, note).await
}

/// Why somebody whose password was right a moment ago may not sign in any more.
pub(super) async fn why_not(db: &mut Connection, id: i64) -> Result<WriteError, Fault> {
    let active = query("SELECT id FROM users WHERE id = ?1 AND disabled_at IS NULL")
        .bind(id)
        .fetch_optional(db)
        .await?;
    Ok(match active {
        Some(_) => WriteError::Superseded,
        None => WriteError::NotThere("the account".into()),
    })
}

/// That the old password is still the one that was judged, and the session one that can still be
/// spoken for: an administrator's reset, disabling or demotion meanwhile is not undone by its owner.
async fn still_holds(db: &mut Connection, id: i64, own: &OwnPassword) -> Result<(), Fault> {
    let held = query(
        "SELECT users.id FROM users JOIN sessions ON sessions.user_id = users.id
         WHERE users.id = ?1 AND users.password_hash = ?2 AND users.disabled_at IS NULL
           AND sessions.id = ?3 AND sessions.ended_at IS NULL
           AND EXISTS (SELECT 1 FROM tokens
                       WHERE session_id = ?3 AND kind = 'refresh' AND used_at IS NULL)",
    )
    .bind(id)
    .bind(own.judged.expose())
    .bind(own.session.to_string())
    .fetch_optional(db)
    .await?;
    match held {
        Some(_) => Ok(()),
        None => Err(WriteError::Superseded.into()),
    }
}

/// Takes somebody out who is disabled and of whom no session lives.
pub(super) async fn remove(db: &mut Connection, username: &str) -> Result<(), Fault> {
    let before = found(db, username).await?;
    let live = query("SELECT id FROM sessions WHERE user_id = ?1 AND ended_at IS NULL LIMIT 1")
        .bind(before.id)
        .fetch_optional(&mut *db)
        .await?;
    if !before.disabled || live.is_some() {
        return Err(WriteError::StillActive.into());
    }
    // Their sessions and tokens go with them, as the tables' keys say.
    query("DELETE FROM users WHERE id = ?1")
        .bind(before.id)
        .execute(db)
        .await?;
    Ok(())
}

pub(super) async fn append_audit(db: &mut Connection, entry: &AuditEntry) -> Result<(), Fault> {
    query(
        "INSERT INTO audit (at, actor, address, action, target, detail)
         VALUES (?1, ?2, ?3, ?4, ?5, ?6)",
    )
    .bind(ms(entry.at))
    .bind(&entry.actor)
    .bind(entry.address.as_deref())
    .bind(entry.action)
    .bind(entry.target.as_deref())
    .bind(&entry.detail)
    .execute(db)
    .await?;
    Ok(())
}

struct Before {
    id: i64,
    role: Role,
    disabled: bool,
}

impl Before {
    fn is_active_admin(&self) -> bool {
        self.role == Role::Admin && !self.disabled
    }
}

async fn found(db: &mut Connection, username: &str) -> Result<Before, Fault> {
    let same_name = db.dialect().same_name("username", "?1");
    let statement = format!("SELECT id, role, disabled_at FROM users WHERE {same_name}");
    let row = query(statement)
        .bind(username)
        .fetch_optional(db)
        .await?
        .ok_or_else(|| WriteError::NotThere(username.to_owned()))?;
    let role: String = row.try_get(1)?;
    let disabled_at: Option<i64> = row.try_get(2)?;
    Ok(Before {
        id: row.try_get(0)?,
        role: role_from_word(&role),
        disabled: disabled_at.is_some(),
    })
}

async fn has_an_admin(db: &mut Connection) -> Result<bool, Fault> {
    let one = query("SELECT id FROM users WHERE role = 'admin' AND disabled_at IS NULL LIMIT 1");
    Ok(one.fetch_optional(db).await?.is_some())
}

async fn set_role(db: &mut Connection, id: i64, role: Role) -> Result<(), Fault> {
    query("UPDATE users SET role = ?1 WHERE id = ?2")
        .bind(role_word(role))
        .bind(id)
        .execute(db)
        .await?;
    Ok(())
}

async fn set_disabled(db: &mut Connection, id: i64, at: Option<u64>) -> Result<(), Fault> {
    query("UPDATE users SET disabled_at = ?1 WHERE id = ?2")
        .bind(at.map(ms))
        .bind(id)
        .execute(db)
        .await?;
    Ok(())
}

async fn end_tokens(db: &mut Connection, user: i64, kept: Option<SessionId>) -> Result<(), Fault> {
    // No session is called by the empty word.
    let kept = kept.map(|session| session.to_string()).unwrap_or_default();
    query(
        "DELETE FROM tokens WHERE session_id IN (
             SELECT id FROM sessions WHERE user_id = ?1 AND ended_at IS NULL AND id <> ?2)",
    )
    .bind(user)
    .bind(kept)
    .execute(db)
    .await?;
    Ok(())
}

impl Database {
    /// Everybody, by name.
    pub(crate) async fn everybody(&self) -> Result<Vec<Person>, DbError> {
        let rows = query(
            "SELECT username, extension, role, disabled_at, created_at FROM users ORDER BY username",
        )
        .fetch_all(self.reads())
        .await?;
        rows.iter()
            .map(|row| {
                let role: String = row.try_get(2)?;
                let disabled_at: Option<i64> = row.try_get(3)?;
                Ok(Person {
                    username: row.try_get(0)?,
                    extension: row.try_get(1)?,
                    role: role_from_word(&role),
                    disabled: disabled_at.is_some(),
                    created_at: unsigned(row.try_get(4)?),
                })
            })
            .collect()
    }

    /// Somebody, and their SIP password as it is sealed; none if nothing is sealed yet.
    pub(crate) async fn a_sealed_secret(&self) -> Result<Option<(String, Vec<u8>)>, DbError> {
        let row = query(
            "SELECT username, sip_secret FROM users WHERE sip_secret IS NOT NULL ORDER BY id LIMIT 1",
        )
        .fetch_optional(self.reads())
        .await?;
        row.map(|row| Ok((row.try_get(0)?, row.try_get(1)?)))
            .transpose()
    }

    /// The latest acts of the audit log, the latest first.
    pub(crate) async fn acts(&self, most: u32) -> Result<Vec<Act>, DbError> {
        let rows = query(
            "SELECT at, actor, address, action, target, detail FROM audit ORDER BY id DESC LIMIT ?1",
        )
        .bind(i64::from(most))
        .fetch_all(self.reads())
        .await?;
        rows.iter()
            .map(|row| {
                Ok(Act {
                    at: unsigned(row.try_get(0)?),
                    actor: row.try_get(1)?,
                    address: row.try_get(2)?,
                    action: row.try_get(3)?,
                    target: row.try_get(4)?,
                    detail: row.try_get(5)?,
                })
            })
            .collect()
    }
}
