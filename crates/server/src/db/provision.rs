//! `ps_endpoints`, `ps_aors` and `ps_auths`: what Asterisk reads of phones in realtime.
//!
//! Asterisk's own tables may be there already; where they are not, these make the columns that are
//! used. A row that is there keeps what an administrator changed in it: only the passwords, the list of
//! an endpoint's auths and how many contacts it may have are kept in step. Every endpoint has one auth
//! that never goes, its own: an endpoint without any would be open to everybody.

use super::{
    Database, DbError,
    dialect::{Connection, query},
    writer::Fault,
};
use crate::{config::ProvisionConfig, provision::Endpoint};

/// Auths of one endpoint besides its own, the newest sessions', as far as Asterisk's column holds
/// them.
const SESSIONS: usize = 12;
/// Characters of `ps_endpoints.auth` in Asterisk's own schema.
const AUTH_COLUMN: usize = 255;

const TABLES: [(&str, &str); 3] = [
    (
        "ps_auths",
        "CREATE TABLE ps_auths (id VARCHAR(255) NOT NULL PRIMARY KEY, auth_type VARCHAR(40),
             username VARCHAR(255), password VARCHAR(512))",
    ),
    (
        "ps_aors",
        "CREATE TABLE ps_aors (id VARCHAR(255) NOT NULL PRIMARY KEY, max_contacts INTEGER,
             remove_existing VARCHAR(5), remove_unavailable VARCHAR(5), minimum_expiration INTEGER,
             default_expiration INTEGER, maximum_expiration INTEGER, qualify_frequency INTEGER,
             qualify_timeout FLOAT, qualify_2xx_only VARCHAR(5))",
    ),
    (
        "ps_endpoints",
        "CREATE TABLE ps_endpoints (id VARCHAR(255) NOT NULL PRIMARY KEY, aors VARCHAR(2048),
             auth VARCHAR(255), context VARCHAR(40), disallow VARCHAR(200), allow VARCHAR(200),
             direct_media VARCHAR(5), rtp_symmetric VARCHAR(5), force_rport VARCHAR(5),
             rewrite_contact VARCHAR(5))",
    ),
];

/// A device session's own way to register.
#[derive(Clone, PartialEq, Eq)]
pub struct SipGrant {
    /// The id of its row in `ps_auths`.
    pub auth: String,
    /// The password, as Asterisk needs it.
    pub password: String,
    /// The same, sealed for its person.
    pub sealed: Vec<u8>,
    /// The endpoint it is for.
    pub endpoint: Endpoint,
}

impl std::fmt::Debug for SipGrant {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("SipGrant")
            .field("auth", &self.auth)
            .finish_non_exhaustive()
    }
}

/// Makes the tables that are not there.
pub(super) async fn ensure(db: &mut Connection) -> Result<(), DbError> {
    for (name, make) in TABLES {
        let catalogue = db.dialect().columns();
        let columns = query(catalogue).bind(name).fetch_all(&mut *db).await?;
        if columns.is_empty() {
            db.run(make).await?;
        }
    }
    Ok(())
}

/// Sees to it that an endpoint has its rows, and its own auth the password it should have.
pub(super) async fn put(db: &mut Connection, endpoint: &Endpoint) -> Result<(), Fault> {
    let id = endpoint.extension.as_str();
    put_auth(db, id, id, &endpoint.password).await?;
    let settings = &endpoint.settings;
    if has(db, "ps_aors", id).await? {
        let max_contacts = settings.max_contacts;
        query(format!(
            "UPDATE ps_aors SET max_contacts = {max_contacts}
             WHERE id = ?1 AND (max_contacts IS NULL OR max_contacts <> {max_contacts})"
        ))
        .bind(id)
        .execute(&mut *db)
        .await?;
    } else {
        insert_aor(db, id, settings).await?;
    }
    if !has(db, "ps_endpoints", id).await? {
        insert_endpoint(db, id, settings).await?;
    }
    Ok(())
}

/// Lets a session's phone register.
pub(super) async fn grant(
    db: &mut Connection,
    session: &str,
    grant: &SipGrant,
) -> Result<(), Fault> {
    put(db, &grant.endpoint).await?;
    let extension = grant.endpoint.extension.as_str();
    put_auth(db, &grant.auth, extension, &grant.password).await?;
    query("UPDATE sessions SET sip_auth = ?1, sip_secret = ?2 WHERE id = ?3")
        .bind(&grant.auth)
        .bind(grant.sealed.as_slice())
        .bind(session)
        .execute(&mut *db)
        .await?;
    list_auths(db, extension).await
}

/// Lets the phone of a session that has ended register no more; the others are not touched.
pub(super) async fn retire(db: &mut Connection, session: &str) -> Result<(), Fault> {
    let row = query(
        "SELECT s.sip_auth, u.extension FROM sessions s JOIN users u ON u.id = s.user_id
         WHERE s.id = ?1 AND s.sip_auth IS NOT NULL AND s.ended_at IS NOT NULL",
    )
    .bind(session)
    .fetch_optional(&mut *db)
    .await?;
    let Some(row) = row else { return Ok(()) };
    let auth: String = row.try_get(0)?;
    let extension: Option<String> = row.try_get(1)?;
    if let Some(extension) = extension {
        // Out of the list first: Asterisk may look between the two.
        list_auths(db, &extension).await?;
    }
    query("DELETE FROM ps_auths WHERE id = ?1")
        .bind(auth)
        .execute(&mut *db)
        .await?;
    query("UPDATE sessions SET sip_auth = NULL, sip_secret = NULL WHERE id = ?1")
        .bind(session)
        .execute(db)
        .await?;
    Ok(())
}

/// Names to Asterisk the auths of an endpoint: its own, and those of the sessions that live.
async fn list_auths(db: &mut Connection, extension: &str) -> Result<(), Fault> {
    let rows = query(
        "SELECT s.sip_auth FROM sessions s JOIN users u ON u.id = s.user_id
         WHERE u.extension = ?1 AND s.ended_at IS NULL AND s.sip_auth IS NOT NULL
         ORDER BY s.started_at DESC, s.id",
    )
    .bind(extension)
    .fetch_all(&mut *db)
    .await?;
    let mut auths = extension.to_owned();
    for row in rows.iter().take(SESSIONS) {
        let auth: String = row.try_get(0)?;
        if auths.len() + 1 + auth.len() > AUTH_COLUMN {
            break;
        }
        auths = format!("{auths},{auth}");
    }
    query("UPDATE ps_endpoints SET auth = ?1 WHERE id = ?2")
        .bind(auths)
        .bind(extension)
        .execute(db)
        .await?;
    Ok(())
}

async fn put_auth(
    db: &mut Connection,
    id: &str,
    username: &str,
    password: &str,
) -> Result<(), Fault> {
    if has(db, "ps_auths", id).await? {
        query("UPDATE ps_auths SET password = ?1 WHERE id = ?2 AND password <> ?1")
            .bind(password)
            .bind(id)
            .execute(db)
            .await?;
        return Ok(());
    }
    query(
        "INSERT INTO ps_auths (id, auth_type, username, password)
         VALUES (?1, 'userpass', ?2, ?3)",
    )
    .bind(id)
    .bind(username)
    .bind(password)
    .execute(db)
    .await?;
    Ok(())
}

/// Numbers and words of our own stand in the text: in Asterisk's schema some of these columns are of
/// types that no value of a driver's fits.
async fn insert_aor(
    db: &mut Connection,
    id: &str,
    settings: &ProvisionConfig,
) -> Result<(), Fault> {
    let ProvisionConfig {
        max_contacts,
        expiry_s,
        max_expiry_s,
        qualify_frequency_s,
        ..
    } = settings;
    query(format!(
        "INSERT INTO ps_aors (id, max_contacts, remove_existing, remove_unavailable,
             minimum_expiration, default_expiration, maximum_expiration, qualify_frequency,
             qualify_timeout, qualify_2xx_only)
         VALUES (?1, {max_contacts}, 'no', 'yes', 60, {expiry_s}, {max_expiry_s},
             {qualify_frequency_s}, 3.0, 'yes')"
    ))
    .bind(id)
    .execute(db)
    .await?;
    Ok(())
}

async fn insert_endpoint(
    db: &mut Connection,
    id: &str,
    settings: &ProvisionConfig,
) -> Result<(), Fault> {
    query(
        "INSERT INTO ps_endpoints (id, aors, auth, context, disallow, allow, direct_media,
             rtp_symmetric, force_rport, rewrite_contact)
         VALUES (?1, ?1, ?1, ?2, 'all', ?3, 'no', 'yes', 'yes', 'yes')",
    )
    .bind(id)
    .bind(&settings.context)
    .bind(&settings.codecs)
    .execute(db)
    .await?;
    Ok(())
}

/// `table` is one of ours above.
async fn has(db: &mut Connection, table: &'static str, id: &str) -> Result<bool, Fault> {
    let row = query(format!("SELECT 1 FROM {table} WHERE id = ?1"))
        .bind(id)
        .fetch_optional(db)
        .await?;
    Ok(row.is_some())
}

/// Whose phone is to be provisioned.
pub(crate) struct PhoneOwner {
    pub(crate) username: String,
    pub(crate) extension: String,
    pub(crate) sealed: Option<Vec<u8>>,
    pub(crate) disabled: bool,
}

impl Database {
    /// Everybody with an extension.
    pub(crate) async fn phone_owners(&self) -> Result<Vec<PhoneOwner>, DbError> {
        let rows = query(
            "SELECT username, extension, sip_secret, disabled_at FROM users
             WHERE extension IS NOT NULL ORDER BY extension",
        )
        .fetch_all(self.reads())
        .await?;
        rows.iter()
            .map(|row| {
                let disabled_at: Option<i64> = row.try_get(3)?;
                Ok(PhoneOwner {
                    username: row.try_get(0)?,
                    extension: row.try_get(1)?,
                    sealed: row.try_get(2)?,
                    disabled: disabled_at.is_some(),
                })
            })
            .collect()
    }

    /// The sealed SIP password of a session that has one of its own.
    pub(crate) async fn sip_secret_of(
        &self,
        session: crate::auth::SessionId,
    ) -> Result<Option<Vec<u8>>, DbError> {
        let row = query("SELECT sip_secret FROM sessions WHERE id = ?1")
            .bind(session.to_string())
            .fetch_optional(self.reads())
            .await?;
        match row {
            Some(row) => Ok(row.try_get(0)?),
            None => Ok(None),
        }
    }
}
