//! Eviction (F6): Asterisk forgets a contact with all its events.
//!
//! At once over ARI where that is configured. Otherwise, and when ARI fails, the contact gets an
//! expiry in the past, where Asterisk keeps it: in its astdb over AMI, or in the shared table. It is
//! not dialled from then on, and Asterisk's next check of expired contacts deletes it.

use rollcall_alignment::{ContactRow, EvictReason};
use rollcall_ami::{Action, ActionError, Client, EventKind, Listing};
use serde_json::Value;
use thiserror::Error;

use super::ari::Ari;
use crate::db::{Database, Write, WriteError};

/// Where the registrar keeps contacts in its astdb.
const FAMILY: &str = "registrar/contact";

/// The ways to evict a contact.
#[derive(Clone)]
pub(super) struct Evictor {
    pub(super) ari: Option<Ari>,
    pub(super) store: Store,
}

/// Where Asterisk keeps contacts.
#[derive(Clone)]
pub(super) enum Store {
    /// In its astdb, which AMI reaches.
    Astdb(Client),
    /// In `ps_contacts` of our database.
    Table(Database),
}

#[derive(Debug, Error)]
enum EvictError {
    #[error(transparent)]
    Ami(#[from] ActionError),
    #[error(transparent)]
    Table(#[from] WriteError),
}

impl Evictor {
    /// Makes Asterisk forget a contact.
    pub(super) async fn evict(self, contact: ContactRow, reason: EvictReason) {
        let extension = &contact.endpoint;
        let hash = contact.id.short_hash();
        let reason = reason.as_str();
        if let Some(ari) = &self.ari {
            match ari.delete_contact(&contact.id).await {
                Ok(true) => {
                    tracing::info!(%extension, contact = hash, reason, "contact evicted");
                    return;
                }
                Ok(false) => {
                    tracing::info!(%extension, contact = hash, "contact had gone by itself");
                    return;
                }
                Err(error) => {
                    tracing::warn!(%extension, contact = hash, %error, "evicting the slow way");
                }
            }
        }
        match self.store.expire(&contact).await {
            Ok(()) => {
                tracing::info!(%extension, contact = hash, reason, "contact evicted at Asterisk's next check");
            }
            Err(error) => {
                tracing::warn!(%extension, contact = hash, %error, "the contact could not be evicted");
            }
        }
    }
}

impl Store {
    async fn expire(&self, contact: &ContactRow) -> Result<(), EvictError> {
        match self {
            Self::Astdb(client) => Ok(expire_in_astdb(client, contact).await?),
            Self::Table(database) => {
                let expire = Write::ExpireContact(contact.id.clone());
                Ok(database.commit(vec![expire]).await?)
            }
        }
    }
}

/// Nothing is written when there is no such entry any more.
async fn expire_in_astdb(client: &Client, contact: &ContactRow) -> Result<(), ActionError> {
    let key = contact.id.as_str();
    let ask = Action::new("DBGet")?
        .with("Family", FAMILY)?
        .with("Key", key)?;
    let entry = match client.list(ask).await {
        Ok(Listing::Items(items)) => items.iter().find_map(|item| match &item.kind {
            EventKind::Other(packet) => packet.get("Val").and_then(expired_entry),
            _ => None,
        }),
        Ok(Listing::NoneFound { .. }) => None,
        Err(ActionError::Refused { message }) if message.contains("not found") => None,
        // The manager user may not read the database, but may write it.
        Err(ActionError::Refused { .. }) => Some(composed_entry(contact)),
        Err(error) => return Err(error),
    };
    if let Some(entry) = entry {
        client.action(Action::db_put(FAMILY, key, &entry)?).await?;
    }
    Ok(())
}

/// What the registrar needs to find the contact and see that it is over.
fn composed_entry(contact: &ContactRow) -> String {
    serde_json::json!({
        "uri": contact.uri,
        "endpoint": contact.endpoint.as_str(),
        "user_agent": contact.user_agent,
        "reg_server": contact.reg_server,
        "qualify_frequency": contact.qualify_frequency.to_string(),
        "expiration_time": "1",
    })
    .to_string()
}

/// The same JSON with an expiry in the past. Sorcery writes every value as a string.
fn expired_entry(stored: &str) -> Option<String> {
    let mut entry: Value = serde_json::from_str(stored).ok()?;
    let fields = entry.as_object_mut()?;
    fields.insert("expiration_time".to_owned(), Value::String("1".to_owned()));
    serde_json::to_string(&entry).ok()
}

#[cfg(test)]
mod tests {
    use super::expired_entry;

    #[test]
    fn an_evicted_entry_differs_in_its_expiry_alone() {
        let stored = r#"{"expiration_time":"1795359199","uri":"sip:1001-a@127.0.0.1:25101","endpoint":"1001"}"#;
        let entry: serde_json::Value =
            serde_json::from_str(&expired_entry(stored).unwrap()).unwrap();
        assert_eq!(entry["expiration_time"], "1");
        assert_eq!(entry["uri"], "sip:1001-a@127.0.0.1:25101");
        assert_eq!(entry["endpoint"], "1001");
    }

    #[test]
    fn what_is_no_entry_is_left_alone() {
        assert_eq!(expired_entry("1795359199"), None);
        assert_eq!(expired_entry("not json"), None);
    }
}
