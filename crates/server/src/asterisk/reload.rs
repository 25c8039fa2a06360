//! One reload, over a link of its own.

use std::{sync::Arc, time::Duration};

use rollcall_ami::{Action, ActionError, Client, ClientConfig, ClientEvent};
use thiserror::Error;
use tokio::time::timeout;

use super::client_config;
use crate::config::{Config, ConfigError};

/// How long Asterisk may take to be reached and to answer.
const PATIENCE: Duration = Duration::from_secs(10);

/// Why Asterisk did not reload.
#[derive(Debug, Error)]
pub enum ReloadError {
    /// The secret of `[ami]` cannot be had.
    #[error("{0}")]
    Config(#[from] ConfigError),
    /// There is no `[ami]`.
    #[error("the configuration has no [ami]")]
    NoAmi,
    /// It cannot be reached, or does not take the user.
    #[error("Asterisk's manager interface cannot be reached: {0}")]
    Away(String),
    /// It refused; the user needs `write = system`.
    #[error("Asterisk refused: {0}")]
    Refused(#[from] ActionError),
}

/// Makes Asterisk reload a module.
pub(crate) async fn reload(config: &Config, module: &str) -> Result<(), ReloadError> {
    let ami = config.ami.as_ref().ok_or(ReloadError::NoAmi)?;
    let (client, mut events) = Client::start(ClientConfig {
        figures: Arc::default(),
        ..client_config(ami)?
    });
    let up = async {
        while let Some(event) = events.recv().await {
            match event {
                ClientEvent::Connected => return Ok(()),
                ClientEvent::Lost { reason, .. } => {
                    return Err(ReloadError::Away(reason.to_string()));
                }
                ClientEvent::Event(_) => {}
            }
        }
        Err(ReloadError::Away("it went".into()))
    };
    let away = |_| ReloadError::Away("no answer in time".into());
    timeout(PATIENCE, up).await.map_err(away)??;
    let action = Action::new("Reload")
        .and_then(|action| action.with("Module", module))
        .map_err(|error| ReloadError::Away(error.to_string()))?;
    let answer = timeout(PATIENCE, client.action(action))
        .await
        .map_err(away)?;
    client.shutdown().await;
    answer?;
    Ok(())
}
