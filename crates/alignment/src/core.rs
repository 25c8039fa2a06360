//! The state machine.

use std::time::Instant;

use crate::board::Snapshot;
use crate::config::Config;
use crate::input::Input;
use crate::names::{Epoch, Seq};
use crate::output::Output;
use crate::time::Now;

/// The state machine. `&mut self`, no IO, no clock.
#[derive(Debug)]
pub struct Core {
    config: Config,
    epoch: Epoch,
    seq: Seq,
}

impl Core {
    /// A core that knows nothing yet. The first input must be `Observation::Restored`.
    #[must_use]
    pub fn new(config: Config, epoch: Epoch, _now: Now) -> Self {
        Core {
            config,
            epoch,
            seq: Seq(0),
        }
    }

    /// Takes one input.
    pub fn handle(&mut self, _now: Now, _input: Input) {}

    /// Does what is due. Call it at [`Core::poll_timeout`], or a little later.
    pub fn handle_timeout(&mut self, _now: Now) {}

    /// When [`Core::handle_timeout`] is wanted next.
    #[must_use]
    pub fn poll_timeout(&self) -> Option<Instant> {
        None
    }

    /// The next thing to do. Drain it after every input and time-out.
    pub fn poll_output(&mut self) -> Option<Output> {
        None
    }

    /// The board as published; `None` until the state is known (before `Restored` is committed).
    #[must_use]
    pub fn snapshot(&self) -> Option<Snapshot> {
        Some(Snapshot {
            epoch: self.epoch,
            seq: self.seq,
            agents: Vec::new(),
        })
    }

    /// The periods and policies it runs by.
    #[must_use]
    pub fn config(&self) -> &Config {
        &self.config
    }
}
