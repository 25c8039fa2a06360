//! Time that passes when a test says so.

use std::time::{Duration, Instant};

/// A clock that stands still until it is moved. Its `Instant`s go to sans-IO cores as `now`.
#[derive(Debug, Clone)]
pub struct Clock {
    start: Instant,
    now: Instant,
}

impl Default for Clock {
    fn default() -> Self {
        Self::new()
    }
}

impl Clock {
    /// Stands at an arbitrary instant; only differences mean anything.
    pub fn new() -> Self {
        let start = Instant::now();
        Self { start, now: start }
    }

    /// The present.
    pub fn now(&self) -> Instant {
        self.now
    }

    /// Since the clock was made.
    pub fn elapsed(&self) -> Duration {
        self.now - self.start
    }

    /// Moves on by `step` and returns the new present.
    pub fn advance(&mut self, step: Duration) -> Instant {
        self.now += step;
        self.now
    }

    /// Moves on to `instant`; a clock never goes back.
    pub fn advance_to(&mut self, instant: Instant) -> Instant {
        self.now = self.now.max(instant);
        self.now
    }
}
