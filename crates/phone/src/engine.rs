//! The engine's handle, its start and its two threads.

use tokio::sync::mpsc;

use crate::driver::Driver;
use crate::sound::Sound;
use crate::{EngineConfig, PhoneCommand, PhoneEvent};

/// Events that may wait for their reader.
const EVENTS: usize = 1_024;

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
    /// Starts the engine's threads. It stops by [`PhoneCommand::Shutdown`], when the last handle is dropped, or when
    /// nobody has read its events for so long that one found no room.
    pub fn start(
        config: EngineConfig,
    ) -> Result<(EngineHandle, mpsc::Receiver<PhoneEvent>), StartError> {
        let (commands, asked) = mpsc::unbounded_channel();
        let (events, told) = mpsc::channel(EVENTS);
        let (sound, reports) = Sound::start(config.audio.clone(), config.levels)?;
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

#[cfg(test)]
mod tests {
    use super::*;
    use crate::{AudioChoice, CallRef};

    #[tokio::test]
    async fn an_engine_that_nobody_listens_to_ends_instead_of_filling_the_memory() {
        let config = EngineConfig {
            audio: AudioChoice::None,
            ..EngineConfig::default()
        };
        let (engine, mut events) = Engine::start(config).expect("threads");
        for _ in 0..2 * EVENTS {
            engine.send(PhoneCommand::Dial {
                call: CallRef::fresh(),
                target: "600".into(),
            });
        }
        engine.commands.closed().await;
        let mut heard = 0;
        while events.recv().await.is_some() {
            heard += 1;
        }
        assert_eq!(heard, EVENTS);
    }
}
