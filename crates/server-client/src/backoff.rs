//! How long to wait before trying again.

use std::time::Duration;

use rand::Rng as _;

/// The first wait.
pub(crate) const FIRST: Duration = Duration::from_millis(200);
/// The longest.
pub(crate) const LONGEST: Duration = Duration::from_secs(2);

/// Doubles from [`FIRST`] to [`LONGEST`]; each wait is drawn from its upper half, so that many
/// clients of one server that went away do not come back as one.
#[derive(Clone, Debug, Default)]
pub(crate) struct Backoff {
    tries: u32,
}

impl Backoff {
    pub(crate) fn next(&mut self) -> Duration {
        let whole = FIRST.saturating_mul(1 << self.tries.min(8)).min(LONGEST);
        self.tries = self.tries.saturating_add(1);
        whole.mul_f64(rand::rng().random_range(0.5..=1.0))
    }

    pub(crate) fn reset(&mut self) {
        self.tries = 0;
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn waits_grow_to_two_seconds_and_start_small_again_after_a_success() {
        let mut backoff = Backoff::default();
        let waits: Vec<_> = (0..12).map(|_| backoff.next()).collect();
        assert!(waits[0] >= FIRST / 2 && waits[0] <= FIRST);
        assert!(waits[11] >= LONGEST / 2 && waits[11] <= LONGEST);
        backoff.reset();
        assert!(backoff.next() <= FIRST);
    }
}
