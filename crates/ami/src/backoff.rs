//! When to try to reconnect.

use std::time::{Duration, Instant};

use rand::Rng;

const SHORTEST: Duration = Duration::from_millis(250);
const LONGEST_AT_FIRST: Duration = Duration::from_secs(2);
const LONGEST: Duration = Duration::from_secs(32);
/// For how long a lost link is tried eagerly.
const EAGER_FOR: Duration = Duration::from_secs(600);

/// Delays of 0.25 s to 2 s for ten minutes, then up to 32 s, each with jitter so that clients do not return as one.
#[derive(Debug)]
pub struct Backoff {
    lost_at: Instant,
    base: Duration,
}

impl Backoff {
    /// Begins when the link was lost, or when the first attempt was made.
    pub fn new(lost_at: Instant) -> Self {
        Self {
            lost_at,
            base: SHORTEST,
        }
    }

    /// The delay before the next attempt.
    pub fn next_delay(&mut self, now: Instant, rng: &mut impl Rng) -> Duration {
        let eager = now.saturating_duration_since(self.lost_at) < EAGER_FOR;
        let longest = if eager { LONGEST_AT_FIRST } else { LONGEST };
        let delay = self.base.min(longest);
        self.base = (delay * 2).min(LONGEST);
        delay.mul_f64(rng.random_range(0.75..=1.0)).max(SHORTEST)
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use rand::SeedableRng;
    use rand::rngs::StdRng;

    #[test]
    fn delays_stay_between_a_quarter_and_two_seconds_for_ten_minutes_then_grow_to_thirty_two() {
        let start = Instant::now();
        let (mut now, mut rng, mut backoff) =
            (start, StdRng::seed_from_u64(7), Backoff::new(start));
        let mut longest_eager = Duration::ZERO;
        while now - start < EAGER_FOR {
            let delay = backoff.next_delay(now, &mut rng);
            assert!((SHORTEST..=LONGEST_AT_FIRST).contains(&delay), "{delay:?}");
            longest_eager = longest_eager.max(delay);
            now += delay;
        }
        assert!(longest_eager > Duration::from_millis(1500));
        let late: Vec<_> = (0..10).map(|_| backoff.next_delay(now, &mut rng)).collect();
        assert!(late.iter().all(|delay| *delay <= LONGEST));
        assert!(
            late.last()
                .is_some_and(|delay| *delay >= LONGEST.mul_f64(0.75))
        );
    }

    #[test]
    fn two_clients_do_not_return_at_the_same_moment() {
        let now = Instant::now();
        let delays = |seed| {
            let (mut rng, mut backoff) = (StdRng::seed_from_u64(seed), Backoff::new(now));
            (0..5)
                .map(|_| backoff.next_delay(now, &mut rng))
                .collect::<Vec<_>>()
        };
        assert_ne!(delays(1), delays(2));
    }
}
