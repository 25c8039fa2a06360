//! The two clocks the rules need, always given from outside.

use std::time::{Duration, Instant};

/// One moment on both clocks.
///
/// Leases, graces and time-outs run on `monotonic`; contact expiries, ages shown to people and the
/// ledger on `unix_ms`, which may jump.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Now {
    /// Monotonic time.
    pub monotonic: Instant,
    /// Wall clock, milliseconds since the Unix epoch.
    pub unix_ms: u64,
}

impl Now {
    /// The wall clock in whole seconds, the unit of `expiration_time`.
    #[must_use]
    pub fn unix_seconds(&self) -> u64 {
        self.unix_ms / 1000
    }

    /// Both clocks moved on by `step`.
    #[must_use]
    pub fn plus(self, step: Duration) -> Now {
        let ms = u64::try_from(step.as_millis()).unwrap_or(u64::MAX);
        Now {
            monotonic: self.monotonic + step,
            unix_ms: self.unix_ms.saturating_add(ms),
        }
    }

    /// The monotonic moment at which the wall clock will read `unix_seconds`, if it keeps pace.
    #[must_use]
    pub fn at_unix_seconds(&self, unix_seconds: u64) -> Instant {
        let ahead = unix_seconds
            .saturating_mul(1000)
            .saturating_sub(self.unix_ms);
        // An expiry centuries away is a broken row, not a timer.
        self.monotonic + Duration::from_millis(ahead.min(366 * 24 * 3600 * 1000))
    }
}
