//! Asterisk as the alignment core sees it: AMI in, observations out; asks in, actions out.
//!
//! Owns which lists are read and what of them counts. Refuses to judge: what an event or a list
//! means is the core's to say. Nothing here touches the core; everything is handed to the driver.

mod evict;
mod observe;

use std::time::{Duration, Instant};

use rollcall_alignment::{Ask, Observation};
use rollcall_ami::{
    Action, ActionError, Client, ClientConfig, ClientEvent, Listing, session::SessionConfig,
};
use tokio::sync::mpsc;

use crate::config::{AmiConfig, ConfigError};

/// Full lists that may wait for the driver.
const LISTS: usize = 16;
/// How long an idle link stays unquestioned, and how long a Ping may then take: a link that died
/// without a word is seen within their sum.
const PING_AFTER: Duration = Duration::from_secs(2);
const PING_TIMEOUT: Duration = Duration::from_secs(2);

/// The link to one Asterisk.
pub(crate) struct Asterisk {
    client: Option<Client>,
    events: mpsc::Receiver<ClientEvent>,
    lists: mpsc::Receiver<Observation>,
    lists_to_driver: mpsc::Sender<Observation>,
}

impl Asterisk {
    /// Begins to connect, and goes on trying. Without a configuration there is no Asterisk.
    pub(crate) fn connect(config: Option<&AmiConfig>) -> Result<Self, ConfigError> {
        let Some(config) = config else {
            return Ok(Self::none());
        };
        let secret = rollcall_ami::Secret::new(config.resolve_secret()?.expose());
        let mut session = SessionConfig::new(config.username.as_str(), secret);
        session.ping_after = PING_AFTER;
        session.ping_timeout = PING_TIMEOUT;
        let address = if config.host.contains(':') {
            format!("[{}]:{}", config.host, config.port)
        } else {
            format!("{}:{}", config.host, config.port)
        };
        let (client, events) = Client::start(ClientConfig::new(address, session));
        let (lists_to_driver, lists) = mpsc::channel(LISTS);
        Ok(Self {
            client: Some(client),
            events,
            lists,
            lists_to_driver,
        })
    }

    /// No Asterisk: nothing is ever observed.
    pub(crate) fn none() -> Self {
        let (lists_to_driver, lists) = mpsc::channel(LISTS);
        Self {
            client: None,
            events: mpsc::channel(1).1,
            lists,
            lists_to_driver,
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
        let Some(client) = self.client.clone() else {
            return;
        };
        match ask {
            Ask::Resync { asked_at, reason } => {
                tracing::debug!(reason = reason.as_str(), "reading Asterisk's full lists");
                tokio::spawn(read_lists(client, asked_at, self.lists_to_driver.clone()));
            }
            Ask::Qualify { endpoint } => {
                tokio::spawn(async move {
                    let asked = match Action::qualify(endpoint.as_str()) {
                        Ok(action) => client.action(action).await.map(drop),
                        Err(error) => Err(error.into()),
                    };
                    if let Err(error) = asked {
                        tracing::warn!(%endpoint, %error, "Asterisk did not take the qualify");
                    }
                });
            }
            Ask::Evict { contact, reason } => {
                tokio::spawn(evict::evict(client, contact, reason));
            }
            // The driver's: it is said to the app.
            Ask::Reregister { .. } => {}
        }
    }

    /// Logs off.
    pub(crate) async fn shutdown(self) {
        if let Some(client) = self.client {
            drop(self.events);
            client.shutdown().await;
        }
    }
}

/// Reads the full lists. One that fails is not handed on: the core asks again.
async fn read_lists(client: Client, asked_at: Instant, driver: mpsc::Sender<Observation>) {
    let (contacts, devices, channels) = tokio::join!(
        client.list(Action::show_contacts()),
        client.list(Action::device_state_list()),
        client.list(Action::show_channels()),
    );
    let observations = [
        whole("contacts", contacts).map(|items| Observation::Contacts {
            asked_at,
            contacts: items.iter().filter_map(observe::listed_contact).collect(),
            // Mirror mode: contacts lie in Asterisk's own astdb, which is there when Asterisk is.
            empty_is_proved: true,
        }),
        whole("device states", devices).map(|items| Observation::Devices {
            asked_at,
            states: items.iter().filter_map(observe::listed_device).collect(),
        }),
        whole("channels", channels).map(|items| Observation::Channels {
            asked_at,
            channels: items.iter().filter_map(observe::listed_channel).collect(),
        }),
    ];
    for observation in observations.into_iter().flatten() {
        if driver.send(observation).await.is_err() {
            return;
        }
    }
}

fn whole(what: &str, listing: Result<Listing, ActionError>) -> Option<Vec<rollcall_ami::Event>> {
    match listing {
        Ok(Listing::Items(items)) => Some(items),
        Ok(Listing::NoneFound { .. }) => Some(Vec::new()),
        Err(error) => {
            tracing::warn!(what, %error, "a list of Asterisk's could not be read");
            None
        }
    }
}
