//! The operating system's keychain: the one place outside memory where a session is kept.

use keyring::{Entry, Error, Result};
use rollcall_agent::{Keeper, KeptSession, Secret};
use serde::{Deserialize, Serialize};
use tokio::sync::watch;

use crate::controller::Facts;

const SERVICE: &str = "org.rollcall.desktop";

/// Where an entry of this name is.
type Open = fn(name: &str) -> Result<Entry>;

/// Keeps this device's session: one entry with the refresh token and what belongs to it.
#[derive(Debug)]
pub struct Keychain {
    device_id: String,
    facts: watch::Sender<Facts>,
    open: Open,
}

/// The entry's form.
#[derive(Serialize, Deserialize)]
struct Stored {
    server: String,
    username: String,
    device: String,
    refresh: String,
}

impl Keychain {
    /// The keychain, for this device; where there is none, `facts` is told why.
    pub fn new(device_id: String, facts: watch::Sender<Facts>) -> Self {
        Self::opened_by(open, device_id, facts)
    }

    fn opened_by(open: Open, device_id: String, facts: watch::Sender<Facts>) -> Self {
        Self {
            device_id,
            facts,
            open,
        }
    }

    fn entry(&self) -> Result<Entry> {
        (self.open)(&format!("session:{}", self.device_id))
    }

    fn store(&self, session: &KeptSession) -> Result<()> {
        let stored = Stored {
            server: session.server.clone(),
            username: session.username.clone(),
            device: session.device_id.clone(),
            refresh: session.refresh.expose().to_owned(),
        };
        let words = serde_json::to_string(&stored)
            .map_err(|error| Error::Invalid("session".to_owned(), error.to_string()))?;
        self.entry()?.set_password(Secret::new(words).expose())
    }
}

impl Keeper for Keychain {
    fn keep(&self, session: &KeptSession) {
        // A server that runs in this program ends with it, and whoever has its port next must not get the token.
        if self.facts.borrow().own_server.as_ref() == Some(&session.server) {
            return;
        }
        let why = self.store(session).err().map(|error| reason(&error));
        self.facts.send_if_modified(|facts| {
            let changed = facts.no_keychain != why;
            facts.no_keychain = why;
            changed
        });
    }

    fn forget(&self) {
        match self.entry().and_then(|entry| entry.delete_credential()) {
            Ok(()) | Err(Error::NoEntry | Error::NoDefaultStore) => {}
            Err(error) => tracing::warn!(%error, "the keychain did not forget"),
        }
    }

    fn recall(&self) -> Option<KeptSession> {
        let words = match self.entry().and_then(|entry| entry.get_password()) {
            Ok(words) => Secret::new(words),
            Err(Error::NoEntry | Error::NoDefaultStore) => return None,
            Err(error) => {
                tracing::warn!(%error, "the keychain does not answer");
                return None;
            }
        };
        let Ok(stored) = serde_json::from_str::<Stored>(words.expose()) else {
            self.forget();
            return None;
        };
        Some(KeptSession {
            server: stored.server,
            username: stored.username,
            device_id: stored.device,
            refresh: Secret::new(stored.refresh),
        })
    }
}

fn open(name: &str) -> Result<Entry> {
    if let Err(error) = Entry::store_status() {
        tracing::debug!(%error, "no keychain");
    }
    Entry::new(SERVICE, name)
}

/// Keeps nothing outside memory, because it was told so.
#[derive(Debug)]
pub struct NoKeychain {
    /// Where that is said.
    pub facts: watch::Sender<Facts>,
}

impl Keeper for NoKeychain {
    fn keep(&self, _session: &KeptSession) {
        self.facts.send_modify(|facts| {
            facts.no_keychain = Some("it is switched off in the preset".to_owned());
        });
    }

    fn forget(&self) {}

    fn recall(&self) -> Option<KeptSession> {
        None
    }
}

fn reason(error: &Error) -> String {
    match error {
        Error::NoDefaultStore => "no Secret Service is running".to_owned(),
        other => other.to_string(),
    }
}

#[cfg(test)]
mod tests {
    use std::sync::{Arc, LazyLock};

    use keyring_core::{api::CredentialStoreApi, mock};

    use super::*;

    /// A store in memory, for all keychains of this test's process.
    fn in_memory(name: &str) -> Result<Entry> {
        static STORE: LazyLock<Arc<mock::Store>> = LazyLock::new(|| mock::Store::new().unwrap());
        let inner = STORE.build(SERVICE, name, None)?;
        Ok(Entry { inner })
    }

    fn keychain(device: &str) -> Keychain {
        let facts = watch::Sender::new(Facts::default());
        Keychain::opened_by(in_memory, device.to_owned(), facts)
    }

    fn session(device: &str, refresh: &str) -> KeptSession {
        KeptSession {
            server: "https://rollcall.example".to_owned(),
            username: "1001".to_owned(),
            device_id: device.to_owned(),
            refresh: Secret::new(refresh.to_owned()),
        }
    }

    #[test]
    fn the_next_start_gets_the_session_that_was_kept_last_until_it_is_forgotten() {
        let first = keychain("device-0001");
        assert_eq!(first.recall(), None);
        first.keep(&session("device-0001", "one"));
        first.keep(&session("device-0001", "two"));
        assert_eq!(first.facts.borrow().no_keychain, None);

        let next = keychain("device-0001");
        assert_eq!(next.recall(), Some(session("device-0001", "two")));
        assert_eq!(keychain("device-0002").recall(), None);
        next.forget();
        assert_eq!(next.recall(), None);
        next.forget();
    }

    #[test]
    fn an_entry_that_cannot_be_read_is_removed() {
        let keychain = keychain("device-0003");
        keychain.entry().unwrap().set_password("{}").unwrap();
        assert_eq!(keychain.recall(), None);
        let left = keychain.entry().unwrap().get_password();
        assert!(matches!(left, Err(Error::NoEntry)));
    }

    #[test]
    fn the_session_of_a_server_in_this_program_is_not_kept() {
        let keychain = keychain("device-0004");
        let session = session("device-0004", "one");
        keychain
            .facts
            .send_modify(|facts| facts.own_server = Some(session.server.clone()));
        keychain.keep(&session);
        assert_eq!(keychain.recall(), None);
    }

    #[test]
    fn a_system_without_a_keychain_is_said_and_nothing_is_kept() {
        let facts = watch::Sender::new(Facts::default());
        let none = |_: &str| Err(Error::NoDefaultStore);
        let keychain = Keychain::opened_by(none, "device-0005".to_owned(), facts);
        keychain.keep(&session("device-0005", "one"));
        assert!(keychain.facts.borrow().no_keychain.is_some());
        assert_eq!(keychain.recall(), None);
    }
}
