//! Asterisk as the alignment core sees it: AMI in, observations out; asks in, actions out.
//!
//! Owns which lists are read and what of them counts, and how a contact is evicted: both depend on
//! where Asterisk keeps contacts, the configuration's `mode`. Refuses to judge: what an event or a
//! list means is the core's to say. Nothing here touches the core; everything is handed to the
//! driver.

mod ari;
mod evict;
pub(crate) mod lists;
pub mod observe;
mod reload;
pub mod repairs;

use std::{sync::Arc, time::Duration};

use rollcall_alignment::{Ask, ContactId, Observation};
use rollcall_ami::{Client, ClientConfig, ClientEvent, Figures, session::SessionConfig};
use tokio::sync::mpsc;

use crate::{
    Config,
    config::{AmiConfig, ConfigError, Mode},
    db::Database,
    doctor::{Finding, Level},
};
pub(crate) use reload::{ReloadError, reload};

use ari::Ari;
use evict::{Evictor, Store};
use lists::Lists;

/// Full lists that may wait for the driver.
const LISTS: usize = 16;
/// How long an idle link stays unquestioned, and how long a Ping may then take: a link that died
/// without a word is seen within their sum.
const PING_AFTER: Duration = Duration::from_secs(2);
const PING_TIMEOUT: Duration = Duration::from_secs(2);

/// The link to one Asterisk.
pub(crate) struct Asterisk {
    link: Option<Link>,
    events: mpsc::Receiver<ClientEvent>,
    lists: mpsc::Receiver<Observation>,
}

/// What asks are carried out with.
struct Link {
    client: Client,
    evictor: Evictor,
    lists: Lists,
}

impl Asterisk {
    /// Begins to connect, and goes on trying. Without a configuration there is no Asterisk.
    pub(crate) fn connect(
        config: &Config,
        database: &Database,
        figures: Arc<Figures>,
    ) -> Result<Self, ConfigError> {
        let Some(ami) = &config.ami else {
            return Ok(Self::none());
        };
        let ari = config.ari.as_ref().map(Ari::new).transpose()?;
        let (client, events) = Client::start(ClientConfig {
            figures,
            ..client_config(ami)?
        });
        let store = match config.mode {
            Mode::Mirror | Mode::Claims => Store::Astdb(client.clone()),
            Mode::Shared => Store::Table(database.clone()),
        };
        let (driver, lists) = mpsc::channel(LISTS);
        Ok(Self {
            link: Some(Link {
                evictor: Evictor { ari, store },
                lists: Lists {
                    client: client.clone(),
                    database: database.clone(),
                    mode: config.mode,
                    driver,
                },
                client,
            }),
            events,
            lists,
        })
    }

    /// No Asterisk: nothing is ever observed.
    pub(crate) fn none() -> Self {
        Self {
            link: None,
            events: mpsc::channel(1).1,
            lists: mpsc::channel(1).1,
        }
    }

    /// The next thing seen. Events come before lists that were complete after them.
    pub(crate) async fn observation(&mut self) -> Observation {
        loop {
            let seen = tokio::select! {
                biased;
                Some(event) = self.events.recv() => observe::event(event),
                Some(list) = self.lists.recv() => Some(list),
                else => std::future::pending().await,
            };
            if let Some(observation) = seen {
                return observation;
            }
        }
    }

    /// Carries out what the core asks of Asterisk. The answers come back as observations.
    pub(crate) fn carry_out(&self, ask: Ask) {
        let Some(link) = &self.link else {
            return;
        };
        match ask {
            Ask::Resync { asked_at, reason } => {
                tracing::debug!(reason = reason.as_str(), "reading Asterisk's full lists");
                tokio::spawn(link.lists.clone().read(asked_at));
            }

            Ask::Evict { contact, reason } => {
                tokio::spawn(link.evictor.clone().evict(contact, reason));
            }
            // The driver's: it is said to the app.
            Ask::Reregister { .. } => {}
            order @ Ask::Queues { .. } => repairs::carry_out_in_order(&link.client, &order),
            repair => {
                tokio::spawn(repairs::carry_out(link.client.clone(), repair));
            }
        }
    }

    /// Logs off.
    pub(crate) async fn shutdown(self) {
        if let Some(link) = self.link {
            drop(self.events);
            link.client.shutdown().await;
        }
    }
}

pub(crate) fn client_config(config: &AmiConfig) -> Result<ClientConfig, ConfigError> {
    let secret = rollcall_ami::Secret::new(config.resolve_secret()?.expose());
    let mut session = SessionConfig::new(config.username.as_str(), secret);
    session.ping_after = PING_AFTER;
    session.ping_timeout = PING_TIMEOUT;
    let address = if config.host.contains(':') {
        format!("[{}]:{}", config.host, config.port)
    } else {
        format!("{}:{}", config.host, config.port)
    };
    Ok(ClientConfig::new(address, session))
}

/// That we are let in, and may delete: asked with a contact that nobody can have, which changes nothing.
async fn may_evict(ari: &Ari) -> Result<(), ari::AriError> {
    ari.info().await?;
    ari.delete_contact(&ContactId::new("rollcall-doctor;@0"))
        .await
        .map(drop)
}

/// What the doctor finds of ARI: a question that changes nothing, under the user that evicts.
pub(crate) async fn ari_finding(config: &crate::config::AriConfig) -> Finding {
    let fix = "check [ari] against http.conf (enabled, bindport) and ari.conf (user, password, read_only=no)";
    let found = match Ari::new(config) {
        Ok(ari) => may_evict(&ari).await.map_err(|error| error.to_string()),
        Err(error) => Err(error.to_string()),
    };
    match found {
        Ok(()) => Finding {
            check: "ari",
            level: Level::Good,
            found: "ARI lets us in, and lets us evict".to_owned(),
            fix: None,
        },
        Err(found) => Finding {
            check: "ari",
            level: Level::Problem,
            found,
            fix: Some(fix.to_owned()),
        },
    }
}
