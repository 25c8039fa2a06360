//! Each [`Write`] in SQL.

use rollcall_alignment::{
    self as alignment, Extension, LedgerEntry, PauseRow, PauseWish, SessionRow, SessionState,
    UserRow,
};
use rollcall_wire::http::Role;

use super::{
    contacts,
    dialect::{Connection, Upsert, query},
    instances, ledger, people, provision,
    write::{KeyHash, NewSession, NewUser, Rotation, TokenHash, TokenPair, Write},
    writer::{Fault, WriteError},
};
use crate::{auth::SessionId, config::Mode};

/// Carries out one change. Rows written are rows changed: what is so already is left alone.
pub(super) async fn execute(db: &mut Connection, mode: Mode, write: &Write) -> Result<(), Fault> {
    match write {
        Write::AddUser(user) => add_user(db, user).await,
        Write::ChangePerson {
            username,
            change,
            note,
        } => people::change(db, username, change, note).await,
        Write::RemovePerson { username } => people::remove(db, username).await,
        Write::Provision(endpoint) => provision::put(db, endpoint).await,
        Write::Audit(entry) => people::append_audit(db, entry).await,
        Write::StartSession(session) => start_session(db, session).await,
        Write::RotateTokens(rotation) => rotate(db, rotation).await,
        Write::NameLogout { token, key } => name_logout(db, token, key).await,
        Write::EndSession {
            session,
            at,
            reason,
        } => end_session(db, &session.to_string(), *at, reason).await,
        Write::ExpireContact(id) => contacts::expire(db, id).await,
        Write::ForgetLedger { before } => ledger::forget(db, *before).await,
        Write::Presence(presence) => instances::put(db, presence).await,
        Write::Core(write) => core(db, mode, write).await,
    }
}

async fn core(db: &mut Connection, mode: Mode, write: &alignment::Write) -> Result<(), Fault> {
    match write {
        alignment::Write::User(row) => set_presence(db, row).await,
        alignment::Write::Contact(row) => contacts::put(db, mode, row).await,
        alignment::Write::ContactGone(id) => contacts::forget(db, mode, id).await,
        alignment::Write::Session(row) => put_session(db, row).await,
        alignment::Write::Pause(row) => put_pause(db, &row.extension, Some(row)).await,
        alignment::Write::PauseGone(extension) => put_pause(db, extension, None).await,
        alignment::Write::Ledger(entry) => append(db, entry).await,
    }
}

async fn add_user(db: &mut Connection, user: &NewUser) -> Result<(), Fault> {
    query(
        "INSERT INTO users (username, extension, role, password_hash, sip_secret, created_at)
         VALUES (?1, ?2, ?3, ?4, ?5, ?6)",
    )
    .bind(&user.username)
    .bind(user.extension.as_deref())
    .bind(role_word(user.role))
    .bind(&user.password_hash)
    .bind(user.sip_secret.as_deref())
    .bind(ms(user.at))
    .execute(db)
    .await?;
    Ok(())
}

async fn start_session(db: &mut Connection, new: &NewSession) -> Result<(), Fault> {
    query("DELETE FROM tokens WHERE expires_at < ?1")
        .bind(ms(new.at))
        .execute(&mut *db)
        .await?;
    let started = query(
        "INSERT INTO sessions (id, user_id, device_id, bound, state, lease, started_at)
         SELECT ?1, id, ?2, ?3, 'signed_in', 'none', ?4 FROM users
         WHERE id = ?5 AND disabled_at IS NULL AND password_hash = ?6",
    )
    .bind(new.id.to_string())
    .bind(&new.device_id)
    .bind(new.bound)
    .bind(ms(new.at))
    .bind(new.user_id)
    .bind(new.judged.expose())
    .execute(&mut *db)
    .await?;
    if started == 0 {
        return Err(people::why_not(db, new.user_id).await?.into());
    }
    put_tokens(db, new.id, &new.tokens).await?;
    match &new.sip {
        Some(grant) => provision::grant(db, &new.id.to_string(), grant).await,
        None => Ok(()),
    }
}

async fn put_tokens(
    db: &mut Connection,
    session: SessionId,
    tokens: &TokenPair,
) -> Result<(), Fault> {
    let pair = [
        (&tokens.access, "access", tokens.access_expires),
        (&tokens.refresh, "refresh", tokens.refresh_expires),
    ];
    for (hash, kind, expires) in pair {
        query("INSERT INTO tokens (hash, session_id, kind, expires_at) VALUES (?1, ?2, ?3, ?4)")
            .bind(hash.as_slice())
            .bind(session.to_string())
            .bind(kind)
            .bind(ms(expires))
            .execute(&mut *db)
            .await?;
    }
    Ok(())
}

async fn rotate(db: &mut Connection, rotation: &Rotation) -> Result<(), Fault> {
    let session = rotation.session;
    let used = query(
        "UPDATE tokens SET used_at = ?1, trade_key = ?4, answer = ?5
         WHERE hash = ?2 AND session_id = ?3 AND kind = 'refresh' AND used_at IS NULL AND expires_at > ?1
           AND EXISTS (SELECT 1 FROM sessions WHERE id = ?3 AND ended_at IS NULL)",
    )
    .bind(ms(rotation.at))
    .bind(rotation.used.as_slice())
    .bind(session.to_string())
    .bind(rotation.answer.as_ref().map(|answer| answer.key.as_slice()))
    .bind(rotation.answer.as_ref().map(|answer| answer.sealed.as_slice()))
    .execute(&mut *db)
    .await?;
    if used == 0 {
        return Err(WriteError::Conflict("the refresh token".into()).into());
    }
    query("DELETE FROM tokens WHERE session_id = ?1 AND kind = 'access'")
        .bind(session.to_string())
        .execute(&mut *db)
        .await?;
    // The answers before this one speak of tokens that are over.
    query(
        "UPDATE tokens SET answer = NULL WHERE session_id = ?1 AND hash <> ?2 AND answer IS NOT NULL",
    )
    .bind(session.to_string())
    .bind(rotation.used.as_slice())
    .execute(&mut *db)
    .await?;
    put_tokens(db, session, &rotation.tokens).await
}

async fn name_logout(db: &mut Connection, token: &TokenHash, key: &KeyHash) -> Result<(), Fault> {
    query("UPDATE tokens SET trade_key = ?1 WHERE hash = ?2 AND kind = 'access'")
        .bind(key.as_slice())
        .bind(token.as_slice())
        .execute(db)
        .await?;
    Ok(())
}

async fn end_session(
    db: &mut Connection,
    session: &str,
    at: u64,
    reason: &str,
) -> Result<(), Fault> {
    query(
        "UPDATE sessions SET state = 'ended', ended_at = ?1, end_reason = ?2 WHERE id = ?3 AND ended_at IS NULL",
    )
    .bind(ms(at))
    .bind(reason)
    .bind(session)
    .execute(&mut *db)
    .await?;
    // The access token stays until its own end, good for nothing but to know the retry of a logout.
    query("DELETE FROM tokens WHERE session_id = ?1 AND kind <> 'access'")
        .bind(session)
        .execute(&mut *db)
        .await?;
    provision::retire(db, session).await
}

async fn set_presence(db: &mut Connection, row: &UserRow) -> Result<(), Fault> {
    query(
        "UPDATE users SET online = ?1, sipRegistered = ?2
         WHERE extension = ?3 AND (online <> ?1 OR sipRegistered <> ?2)",
    )
    .bind(row.online)
    .bind(row.sip_registered)
    .bind(row.extension.as_str())
    .execute(db)
    .await?;
    Ok(())
}

async fn put_pause(
    db: &mut Connection,
    extension: &Extension,
    row: Option<&PauseRow>,
) -> Result<(), Fault> {
    let (word, reason) = match row.map(|row| &row.wish) {
        None => (None, None),
        Some(PauseWish::Paused(reason)) => (Some("paused"), Some(reason.as_str())),
        Some(PauseWish::Ended(of)) => (Some("ended"), of.as_ref().map(|reason| reason.as_str())),
    };
    query("UPDATE users SET pause = ?1, pause_reason = ?2, pause_at = ?3 WHERE extension = ?4")
        .bind(word)
        .bind(reason)
        .bind(row.map(|row| ms(row.since_unix_ms)))
        .bind(extension.as_str())
        .execute(db)
        .await?;
    Ok(())
}

async fn put_session(db: &mut Connection, row: &SessionRow) -> Result<(), Fault> {
    let upsert = db.dialect().upsert(&Upsert {
        table: "sessions",
        columns: &[
            "id",
            "user_id",
            "device_id",
            "state",
            "claim",
            "lease",
            "started_at",
            "online_at",
        ],
        source: "SELECT ?1, id, ?3, ?4, ?5, ?6, ?7, ?8 FROM users WHERE extension = ?2",
        changed: &["state", "claim", "lease", "online_at"],
        only_if: Some("sessions.ended_at IS NULL"),
    });
    query(upsert)
        .bind(row.id.as_str())
        .bind(row.extension.as_str())
        .bind(row.device.as_str())
        .bind(row.state.as_str())
        .bind(row.claim.as_deref())
        .bind(row.lease.as_str())
        .bind(ms(row.started_unix_ms))
        .bind(row.online_unix_ms.map(ms))
        .execute(&mut *db)
        .await?;
    match row.state {
        SessionState::Ended(reason) => {
            end_session(
                db,
                row.id.as_str(),
                row.ended_unix_ms.unwrap_or_default(),
                reason.as_str(),
            )
            .await
        }
        _ => Ok(()),
    }
}

async fn append(db: &mut Connection, entry: &LedgerEntry) -> Result<(), Fault> {
    query(
        "INSERT INTO ledger (at, extension, device_id, kind, source, rule, what, detail)
         VALUES (?1, ?2, ?3, ?4, ?5, ?6, ?7, ?8)",
    )
    .bind(ms(entry.at_unix_ms))
    .bind(entry.extension.as_ref().map(|extension| extension.as_str()))
    .bind(entry.device.as_ref().map(|device| device.as_str()))
    .bind(entry.kind.as_str())
    .bind(entry.source)
    .bind(entry.rule)
    .bind(entry.what)
    .bind(&entry.detail)
    .execute(db)
    .await?;
    Ok(())
}

/// A database's integers are signed; a time beyond them is no time.
pub(super) fn ms(value: u64) -> i64 {
    i64::try_from(value).unwrap_or(i64::MAX)
}

pub(super) fn role_word(role: Role) -> &'static str {
    match role {
        Role::Agent => "agent",
        Role::Supervisor => "supervisor",
        Role::Admin => "admin",
    }
}

pub(super) fn role_from_word(word: &str) -> Role {
    match word {
        "admin" => Role::Admin,
        "supervisor" => Role::Supervisor,
        _ => Role::Agent,
    }
}
