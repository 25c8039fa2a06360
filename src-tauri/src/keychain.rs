//! The operating system's keychain: the one place outside memory where a session's secrets are kept.

use keyring::Entry;
use rollcall_agent::{Keeper, KeptSecrets};
use tokio::sync::watch;

use crate::controller::Facts;

const SERVICE: &str = "org.rollcall.desktop";

/// Keeps the refresh token and the SIP password of this device's session.
#[derive(Debug)]
pub struct Keychain {
    device_id: String,
    facts: watch::Sender<Facts>,
}

impl Keychain {
    /// The keychain, for this device; where there is none, `facts` is told why.
    pub fn new(device_id: String, facts: watch::Sender<Facts>) -> Self {
        Self { device_id, facts }
    }

    fn entry(&self, what: &str) -> keyring::Result<Entry> {
        if let Err(error) = Entry::store_status() {
            tracing::debug!(%error, "no keychain");
        }
        Entry::new(SERVICE, &format!("{what}:{}", self.device_id))
    }

    fn store(&self, secrets: &KeptSecrets) -> keyring::Result<()> {
        self.entry("refresh")?
            .set_password(secrets.refresh.expose())?;
        if let Some(password) = &secrets.sip_password {
            self.entry("sip")?.set_password(password.expose())?;
        }
        Ok(())
    }
}

impl Keeper for Keychain {
    fn keep(&self, secrets: &KeptSecrets) {
        let why = self.store(secrets).err().map(|error| reason(&error));
        self.facts.send_if_modified(|facts| {
            let changed = facts.no_keychain != why;
            facts.no_keychain = why;
            changed
        });
    }

    fn forget(&self) {
        for what in ["refresh", "sip"] {
            match self.entry(what).and_then(|entry| entry.delete_credential()) {
                Ok(()) | Err(keyring::Error::NoEntry | keyring::Error::NoDefaultStore) => {}
                Err(error) => tracing::warn!(%error, what, "the keychain did not forget"),
            }
        }
    }
}

/// Keeps nothing outside memory, because it was told so.
#[derive(Debug)]
pub struct NoKeychain {
    /// Where that is said.
    pub facts: watch::Sender<Facts>,
}

impl Keeper for NoKeychain {
    fn keep(&self, _secrets: &KeptSecrets) {
        self.facts.send_modify(|facts| {
            facts.no_keychain = Some("it is switched off in the preset".to_owned());
        });
    }

    fn forget(&self) {}
}

fn reason(error: &keyring::Error) -> String {
    match error {
        keyring::Error::NoDefaultStore => "no Secret Service is running".to_owned(),
        other => other.to_string(),
    }
}
