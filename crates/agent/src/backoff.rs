//! How long to wait before trying again.

use std::time::Duration;

/// Doubling delays from `first` to `longest`, at most `attempts` of them.
#[derive(Clone, Debug)]
pub(crate) struct Backoff {
    first: Duration,
    longest: Duration,
    attempts: u32,
    used: u32,
}

impl Backoff {
    /// A fresh series.
    pub(crate) const fn new(first: Duration, longest: Duration, attempts: u32) -> Self {
        Self {
            first,
            longest,
            attempts,
            used: 0,
        }
    }

    /// The next delay; none once the series is used up.
    pub(crate) fn next_delay(&mut self) -> Option<Duration> {
        if self.used >= self.attempts {
            return None;
        }
        let factor = 2u32.saturating_pow(self.used);
        self.used += 1;
        Some(self.first.saturating_mul(factor).min(self.longest))
    }

    /// Starts over.
    pub(crate) fn reset(&mut self) {
        self.used = 0;
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn delays_double_to_a_bound_and_end() {
        let mut backoff = Backoff::new(Duration::from_secs(1), Duration::from_secs(3), 4);
        let delays: Vec<_> = std::iter::from_fn(|| backoff.next_delay())
            .map(|d| d.as_secs())
            .collect();
        assert_eq!(delays, [1, 2, 3, 3]);
        backoff.reset();
        assert_eq!(backoff.next_delay(), Some(Duration::from_secs(1)));
    }
}
