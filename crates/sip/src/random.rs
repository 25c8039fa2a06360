//! Seeded randomness: tags, branches, Call-IDs, jitter.

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

    /// A duration between half of `longest` and all of it.
    pub(crate) fn jittered(&mut self, longest: Duration) -> Duration {
        longest.mul_f64(self.0.random_range(0.5..=1.0))
    }
}
