//! What may be asked of the database.

use rollcall_alignment::{
    ContactRow, Decided, DeviceId, EndReason, Extension, LeaseKind, PauseReason, PauseRow,
    PauseWish, Person, Restored, SessionRow, SessionState, UserRow,
};
use rollcall_wire::http::Role;

use super::{
    Database, DbError, contacts,
    dialect::{Row, query},
    execute::role_from_word,
    write::{KeptAnswer, KeyHash, TokenHash},
};
use crate::auth::{Session, SessionId};

/// What a sign-in needs of a user.
#[derive(Clone)]
pub struct Credentials {
    /// The user's row.
    pub user_id: i64,
    /// The name as stored.
    pub username: String,
    /// The extension.
    pub extension: Option<String>,
    /// What they may do.
    pub role: Role,
    /// PHC string.
    pub password_hash: String,
    /// Whether they may not sign in.
    pub disabled: bool,
    /// The sealed SIP password.
    pub sip_secret: Option<Vec<u8>>,
}

/// What came of a refresh token that was used.
pub(crate) struct Traded {
    /// When, ms since the epoch.
    pub(crate) at: u64,
    /// The answer, where the request named an idempotency key.
    pub(crate) answer: Option<KeptAnswer>,
}

impl Database {
    /// Whether it answers at all.
    pub(crate) async fn answers(&self) -> Result<(), DbError> {
        query("SELECT 1").fetch_all(self.reads()).await?;
        Ok(())
    }

    /// Everything a starting server needs to know: people, live sessions, contacts as left.
    pub async fn restore(&self) -> Result<Restored, DbError> {
        let rows = query(
            "SELECT extension, online, sipRegistered FROM users WHERE extension IS NOT NULL ORDER BY extension",
        )
        .fetch_all(self.reads())
        .await?;
        let users = rows.iter().map(user).collect::<Result<Vec<_>, _>>()?;
        Ok(Restored {
            people: self.people().await?,
            users,
            sessions: self.live_sessions().await?,
            contacts: self.contacts().await?,
            last_ends: self.last_ends().await?,
            pauses: self.pauses().await?,
            decided: self.decided().await?,
        })
    }

    /// What people want of pauses.
    async fn pauses(&self) -> Result<Vec<PauseRow>, DbError> {
        let rows = query(
            "SELECT extension, pause, pause_reason, pause_at FROM users
             WHERE pause IS NOT NULL AND extension IS NOT NULL ORDER BY extension",
        )
        .fetch_all(self.reads())
        .await?;
        rows.iter().map(pause).collect()
    }

    /// The last decision about each extension that knew something. What was decided before its owner
    /// came is of somebody else.
    async fn decided(&self) -> Result<Vec<Decided>, DbError> {
        let rows = query(
            "SELECT l.extension, l.at, l.detail FROM users u JOIN ledger l ON l.id = (
                 SELECT k.id FROM ledger k
                 WHERE k.extension = u.extension AND k.what = 'status_changed'
                     AND k.detail NOT LIKE '%-> Unknown%' AND k.at >= u.created_at
                 ORDER BY k.at DESC, k.id DESC LIMIT 1)",
        )
        .fetch_all(self.reads())
        .await?;
        let mut all = Vec::with_capacity(rows.len());
        for row in &rows {
            let of = extension(row.try_get(0)?)?;
            let at = unsigned(row.try_get(1)?);
            all.extend(Decided::read(of, at, row.try_get(2)?));
        }
        Ok(all)
    }

    /// Why each extension's last session ended; a sign-in that was refused was none.
    async fn last_ends(&self) -> Result<Vec<(Extension, EndReason)>, DbError> {
        let rows = query(
            "SELECT extension, end_reason FROM (
                 SELECT u.extension, s.end_reason,
                     ROW_NUMBER() OVER (PARTITION BY u.id ORDER BY s.ended_at DESC, s.id) AS place
                 FROM sessions s JOIN users u ON u.id = s.user_id
                 WHERE s.ended_at IS NOT NULL AND s.end_reason <> 'refused' AND u.extension IS NOT NULL
             ) ends WHERE place = 1",
        )
        .fetch_all(self.reads())
        .await?;
        let mut ends = Vec::with_capacity(rows.len());
        for row in &rows {
            if let Some(reason) = EndReason::from_word(row.try_get(1)?) {
                ends.push((extension(row.try_get(0)?)?, reason));
            }
        }
        Ok(ends)
    }

    /// Of these sessions, those that have ended, and why.
    pub(crate) async fn ended_of(
        &self,
        sessions: &[SessionId],
    ) -> Result<Vec<(SessionId, EndReason)>, DbError> {
        let mut ended = Vec::new();
        for session in sessions {
            let row =
                query("SELECT end_reason FROM sessions WHERE id = ?1 AND ended_at IS NOT NULL")
                    .bind(session.to_string())
                    .fetch_optional(self.reads())
                    .await?;
            if let Some(row) = row {
                let word: Option<&str> = row.try_get(0)?;
                let reason = word.and_then(EndReason::from_word);
                ended.push((*session, reason.unwrap_or(EndReason::Expired)));
            }
        }
        Ok(ended)
    }

    /// Everybody with an extension, in its order.
    pub async fn people(&self) -> Result<Vec<Person>, DbError> {
        let rows =
            query("SELECT extension, id FROM users WHERE extension IS NOT NULL ORDER BY extension")
                .fetch_all(self.reads())
                .await?;
        rows.iter()
            .map(|row| {
                Ok(Person {
                    extension: extension(row.try_get(0)?)?,
                    owner: row.try_get(1)?,
                })
            })
            .collect()
    }

    /// What the product knows of contacts. In shared mode, that this succeeds is what makes an empty
    /// list of Asterisk's believable (F15).
    pub async fn contacts(&self) -> Result<Vec<ContactRow>, DbError> {
        contacts::read(self.reads(), self.mode()).await
    }

    async fn live_sessions(&self) -> Result<Vec<SessionRow>, DbError> {
        let rows = query(
            "SELECT s.id, u.extension, s.device_id, s.state, s.claim, s.lease, s.started_at, s.online_at
             FROM sessions s JOIN users u ON u.id = s.user_id
             WHERE s.ended_at IS NULL AND u.extension IS NOT NULL ORDER BY s.started_at, s.id",
        )
        .fetch_all(self.reads())
        .await?;
        rows.iter().map(live_session).collect()
    }

    /// Sessions all of whose tokens have ended by `now` (ms since the epoch): nobody can speak for
    /// them any more.
    pub(crate) async fn lapsed_sessions(&self, now: u64) -> Result<Vec<Session>, DbError> {
        let rows = query(
            "SELECT s.id, u.id, u.username, u.extension, u.role, s.device_id, s.bound
             FROM sessions s JOIN users u ON u.id = s.user_id
             WHERE s.ended_at IS NULL AND NOT EXISTS (
                 SELECT 1 FROM tokens t
                 WHERE t.session_id = s.id AND t.expires_at > ?1 AND t.used_at IS NULL)",
        )
        .bind(i64::try_from(now).unwrap_or(i64::MAX))
        .fetch_all(self.reads())
        .await?;
        rows.iter().map(session).collect()
    }

    /// A person's living sessions beyond the `kept` whose tokens end last: those that were used longest ago.
    pub(crate) async fn surplus_sessions(
        &self,
        user_id: i64,
        kept: usize,
    ) -> Result<Vec<Session>, DbError> {
        let rows = query(
            "SELECT s.id, u.id, u.username, u.extension, u.role, s.device_id, s.bound
             FROM sessions s JOIN users u ON u.id = s.user_id
             WHERE s.user_id = ?1 AND s.ended_at IS NULL
             ORDER BY COALESCE((SELECT MAX(t.expires_at) FROM tokens t WHERE t.session_id = s.id), 0) DESC,
                 s.started_at DESC, s.id",
        )
        .bind(user_id)
        .fetch_all(self.reads())
        .await?;
        rows.iter().skip(kept).map(session).collect()
    }

    /// The session an access token speaks for, if it lives at `now` (ms since the epoch).
    pub(crate) async fn session_of_access(
        &self,
        token: &TokenHash,
        now: u64,
    ) -> Result<Option<Session>, DbError> {
        let row = query(
            "SELECT s.id, u.id, u.username, u.extension, u.role, s.device_id, s.bound
             FROM tokens t JOIN sessions s ON s.id = t.session_id JOIN users u ON u.id = s.user_id
             WHERE t.hash = ?1 AND t.kind = 'access' AND t.expires_at > ?2 AND s.ended_at IS NULL",
        )
        .bind(token.as_slice())
        .bind(i64::try_from(now).unwrap_or(i64::MAX))
        .fetch_optional(self.reads())
        .await?;
        row.as_ref().map(session).transpose()
    }

    /// The session a refresh token belongs to, and what came of the token if it was used before.
    pub(crate) async fn session_of_refresh(
        &self,
        token: &TokenHash,
        now: u64,
    ) -> Result<Option<(Session, Option<Traded>)>, DbError> {
        let row = query(
            "SELECT s.id, u.id, u.username, u.extension, u.role, s.device_id, s.bound, t.used_at, t.trade_key, t.answer
             FROM tokens t JOIN sessions s ON s.id = t.session_id JOIN users u ON u.id = s.user_id
             WHERE t.hash = ?1 AND t.kind = 'refresh' AND t.expires_at > ?2 AND s.ended_at IS NULL",
        )
        .bind(token.as_slice())
        .bind(i64::try_from(now).unwrap_or(i64::MAX))
        .fetch_optional(self.reads())
        .await?;
        row.map(|row| Ok((session(&row)?, traded(&row)?)))
            .transpose()
    }

    /// Whether an access token's session was logged out after `since` (ms since the epoch) by that
    /// token under that key.
    pub(crate) async fn logged_out(
        &self,
        token: &TokenHash,
        key: &KeyHash,
        since: u64,
    ) -> Result<bool, DbError> {
        let row = query(
            "SELECT 1 FROM tokens t JOIN sessions s ON s.id = t.session_id
             WHERE t.hash = ?1 AND t.kind = 'access' AND s.end_reason = ?2 AND s.ended_at > ?3
               AND t.trade_key = ?4",
        )
        .bind(token.as_slice())
        .bind(EndReason::LoggedOut.as_str())
        .bind(i64::try_from(since).unwrap_or(i64::MAX))
        .bind(key.as_slice())
        .fetch_optional(self.reads())
        .await?;
        Ok(row.is_some())
    }

    /// What a sign-in under this name needs.
    pub(crate) async fn credentials(&self, username: &str) -> Result<Option<Credentials>, DbError> {
        let same_name = self.reads().dialect().same_name("username", "?1");
        let row = query(format!(
            "SELECT id, username, extension, role, password_hash, sip_secret, disabled_at FROM users WHERE {same_name}"
        ))
        .bind(username)
        .fetch_optional(self.reads())
        .await?;
        row.map(|row| {
            let role: String = row.try_get(3)?;
            Ok(Credentials {
                user_id: row.try_get(0)?,
                username: row.try_get(1)?,
                extension: row.try_get(2)?,
                role: role_from_word(&role),
                password_hash: row.try_get(4)?,
                disabled: row.try_get::<Option<i64>>(6)?.is_some(),
                sip_secret: row.try_get(5)?,
            })
        })
        .transpose()
    }

    /// Whether the database answers a read.
    pub(crate) async fn readable(&self) -> bool {
        query("SELECT 1 FROM users LIMIT 1")
            .fetch_optional(self.reads())
            .await
            .is_ok()
    }
}

fn session(row: &Row) -> Result<Session, DbError> {
    let role: String = row.try_get(4)?;
    Ok(Session {
        id: session_id(row.try_get(0)?)?,
        user_id: row.try_get(1)?,
        username: row.try_get(2)?,
        extension: row.try_get(3)?,
        role: role_from_word(&role),
        device_id: row.try_get(5)?,
        bound: row.try_get(6)?,
    })
}

fn traded(row: &Row) -> Result<Option<Traded>, DbError> {
    let Some(at) = row.try_get::<Option<i64>>(7)? else {
        return Ok(None);
    };
    let key: Option<Vec<u8>> = row.try_get(8)?;
    let sealed: Option<Vec<u8>> = row.try_get(9)?;
    let answer = key
        .and_then(|key| key.try_into().ok())
        .zip(sealed)
        .map(|(key, sealed)| KeptAnswer { key, sealed });
    Ok(Some(Traded {
        at: unsigned(at),
        answer,
    }))
}

fn session_id(text: &str) -> Result<SessionId, DbError> {
    SessionId::parse_str(text).map_err(|error| DbError::Schema(format!("sessions.id: {error}")))
}

fn extension(text: &str) -> Result<Extension, DbError> {
    Extension::new(text).map_err(|error| DbError::Schema(format!("extension {text:?} {error}")))
}

fn user(row: &Row) -> Result<UserRow, DbError> {
    Ok(UserRow {
        extension: extension(row.try_get(0)?)?,
        online: row.try_get(1)?,
        sip_registered: row.try_get(2)?,
    })
}

fn pause(row: &Row) -> Result<PauseRow, DbError> {
    let bad = |error| DbError::Schema(format!("users.pause_reason {error}"));
    let reason = row
        .try_get::<Option<&str>>(2)?
        .map(|word| PauseReason::new(word).map_err(bad))
        .transpose()?;
    Ok(PauseRow {
        extension: extension(row.try_get(0)?)?,
        wish: match (row.try_get::<&str>(1)?, reason) {
            ("paused", Some(reason)) => PauseWish::Paused(reason),
            (_, reason) => PauseWish::Ended(reason),
        },
        since_unix_ms: row.try_get::<Option<i64>>(3)?.map_or(0, unsigned),
    })
}

fn live_session(row: &Row) -> Result<SessionRow, DbError> {
    let bad = |error: rollcall_alignment::NameError| DbError::Schema(format!("sessions: {error}"));
    Ok(SessionRow {
        id: rollcall_alignment::SessionId::new(row.try_get(0)?).map_err(bad)?,
        extension: extension(row.try_get(1)?)?,
        device: DeviceId::new(row.try_get(2)?).map_err(bad)?,
        state: match row.try_get(3)? {
            "online" => SessionState::Online,
            "logging_out" => SessionState::LoggingOut,
            _ => SessionState::SignedIn,
        },
        claim: row.try_get(4)?,
        lease: LeaseKind::from_word(row.try_get(5)?),
        started_unix_ms: unsigned(row.try_get(6)?),
        online_unix_ms: row.try_get::<Option<i64>>(7)?.map(unsigned),
        ended_unix_ms: None,
    })
}

pub(super) fn unsigned(value: i64) -> u64 {
    u64::try_from(value).unwrap_or_default()
}
