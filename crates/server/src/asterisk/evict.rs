//! Eviction over AMI (F6, the slow one): the contact's own entry in Asterisk's astdb gets an expiry
//! in the past. It is not dialled from then on, and Asterisk's next check deletes it with all its
//! events.

use rollcall_alignment::{ContactRow, EvictReason};
use rollcall_ami::{Action, ActionError, Client, EventKind, Listing};
use serde_json::Value;

/// Where the registrar keeps contacts.
const FAMILY: &str = "registrar/contact";

/// Makes Asterisk forget a contact.
pub(super) async fn evict(client: Client, contact: ContactRow, reason: EvictReason) {
    let hash = contact.id.short_hash().to_owned();
    let extension = &contact.endpoint;
    match expire(&client, &contact).await {
        Ok(true) => {
            tracing::info!(%extension, contact = hash, reason = reason.as_str(), "contact evicted");
        }
        Ok(false) => tracing::info!(%extension, contact = hash, "contact had gone by itself"),
        Err(error) => {
            tracing::warn!(%extension, contact = hash, %error, "the contact could not be evicted");
        }
    }
}

/// False when there is no such entry any more.
async fn expire(client: &Client, contact: &ContactRow) -> Result<bool, ActionError> {
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
    let Some(entry) = entry else { return Ok(false) };
    client.action(Action::db_put(FAMILY, key, &entry)?).await?;
    Ok(true)
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
