//! Seeded randomness: tags, branches, Call-IDs, jitter.

use std::ops::RangeInclusive;
use std::time::Duration;

use rand::rngs::StdRng;
use rand::{Rng, SeedableRng};

use crate::transaction::MAGIC_COOKIE;

/// The one source of randomness of a user agent, so that a seed replays a run.
#[derive(Debug)]
pub(crate) struct Random(StdRng);

impl Random {
    pub(crate) fn new(seed: u64) -> Self {
        Self(StdRng::seed_from_u64(seed))
    }

    /// 64 bits in hex: a tag, a cnonce, a Call-ID's unique part.
    pub(crate) fn token(&mut self) -> String {
        format!("{:016x}", self.0.random::<u64>())
    }

    pub(crate) fn branch(&mut self) -> String {
        format!("{MAGIC_COOKIE}{}", self.token())
    }

    /// A first number for what counts upwards and must fit into 31 bits.
    pub(crate) fn sequence(&mut self) -> u32 {
        self.0.random_range(1..1 << 30)
    }

    /// A number of seconds.
    pub(crate) fn seconds(&mut self, range: RangeInclusive<u64>) -> u64 {
        self.0.random_range(range)
    }

    /// How long to wait after both sides asked at once: whoever owns the Call-ID longer than the other, so that they do
    /// not meet again (RFC 3261 section 14.1).
    pub(crate) fn glare_pause(&mut self, owns_call_id: bool) -> Duration {
        let tens = match owns_call_id {
            true => self.0.random_range(210..=400),
            false => self.0.random_range(0..=200),
        };
        Duration::from_millis(tens * 10)
    }

    /// A duration between half of `longest` and all of it.
    pub(crate) fn jittered(&mut self, longest: Duration) -> Duration {
        longest.mul_f64(self.0.random_range(0.5..=1.0))
    }
}
