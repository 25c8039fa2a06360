//! The engine's handle, its start and its two threads.

use tokio::sync::mpsc;

use crate::driver::Driver;
use crate::sound::Sound;
use crate::{EngineConfig, PhoneCommand, PhoneEvent};

/// Starts engines.
#[derive(Debug)]
pub struct Engine;

/// An engine that could not be started.
#[derive(Debug, thiserror::Error)]
pub enum StartError {
    /// The operating system gave no thread, or no timer for it.
    #[error("the phone engine could not start a thread: {0}")]
    Thread(#[from] std::io::Error),
}

impl Engine {
    /// Starts the engine's threads. It stops by [`PhoneCommand::Shutdown`] or when the last handle is dropped.
    pub fn start(
        config: EngineConfig,
    ) -> Result<(EngineHandle, mpsc::UnboundedReceiver<PhoneEvent>), StartError> {
        let (commands, asked) = mpsc::unbounded_channel();
        let (events, told) = mpsc::unbounded_channel();
        let (sound, reports) = Sound::start(config.audio.clone())?;
        let runtime = tokio::runtime::Builder::new_current_thread()
            .enable_all()
            .build()?;
        std::thread::Builder::new()
            .name("rollcall-sip".into())
            .spawn(move || {
                runtime.block_on(Driver::new(config, sound, events).run(asked, reports));
            })?;
        Ok((EngineHandle { commands }, told))
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
