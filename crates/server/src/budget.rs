//! How often somebody may do something: so many at once, and as many again in a time.

use std::{
    collections::HashMap,
    hash::Hash,
    sync::{Mutex, PoisonError},
    time::{Duration, Instant},
};

/// Entries of a kind that are kept; beyond that those that have lapsed go, or else all.
pub(crate) const KEPT: usize = 65_536;
/// The time over which a rate is judged: who asked nothing for so long may ask at once what fits into it.
const OVER: Duration = Duration::from_secs(20);

/// So many at once, and as many again within a time.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Budget {
    allowed: f64,
    within: Duration,
}

/// What of a budget is used up, as it stood at `at`.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Level {
    used: f64,
    at: Instant,
}

impl Budget {
    pub(crate) fn new(allowed: f64, within: Duration) -> Self {
        Self { allowed, within }
    }

    /// How long until one more fits; none if it does now.
    pub(crate) fn wait(&self, level: Option<&Level>, now: Instant) -> Option<Duration> {
        let over = level.map_or(0.0, |level| self.used(level, now)) + 1.0 - self.allowed;
        (over > 0.0).then(|| self.within.mul_f64(over / self.allowed))
    }

    pub(crate) fn add<K: Eq + Hash>(
        &self,
        levels: &mut HashMap<K, Level>,
        of: K,
        more: f64,
        now: Instant,
    ) {
        let level = levels.entry(of).or_insert(Level { used: 0.0, at: now });
        *level = Level {
            used: (self.used(level, now) + more).max(0.0),
            at: now,
        };
    }

    pub(crate) fn make_room<K: Eq + Hash>(&self, levels: &mut HashMap<K, Level>, now: Instant) {
        if levels.len() >= KEPT {
            levels.retain(|_, level| self.used(level, now) > 0.0);
            if levels.len() >= KEPT {
                levels.clear();
            }
        }
    }

    fn used(&self, level: &Level, now: Instant) -> f64 {
        let age = now.duration_since(level.at).as_secs_f64();
        let within = self.within.as_secs_f64().max(f64::MIN_POSITIVE);
        (level.used - age / within * self.allowed).max(0.0)
    }
}

/// A budget of its own for each of many: requests of an address, or of an account.
#[derive(Debug)]
pub(crate) struct Rates<K> {
    budget: Budget,
    levels: Mutex<HashMap<K, Level>>,
}

impl<K: Eq + Hash> Rates<K> {
    /// So many a second, judged over 20 s.
    pub(crate) fn a_second(requests: u32) -> Self {
        let allowed = f64::from(requests) * OVER.as_secs_f64();
        Self {
            budget: Budget::new(allowed, OVER),
            levels: Mutex::default(),
        }
    }

    /// Counts one; or answers how long until one more fits, and counts nothing.
    pub(crate) fn take(&self, of: K, now: Instant) -> Result<(), Duration> {
        let mut levels = self.levels.lock().unwrap_or_else(PoisonError::into_inner);
        match self.budget.wait(levels.get(&of), now) {
            Some(wait) => Err(wait),
            None => {
                self.budget.make_room(&mut levels, now);
                self.budget.add(&mut levels, of, 1.0, now);
                Ok(())
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_burst_is_taken_and_then_so_many_a_second_and_others_have_their_own() {
        let (rates, begin) = (Rates::a_second(50), Instant::now());
        let at = |ms: u64| begin + Duration::from_millis(ms);
        let taken = |who, now| {
            let tries = (0..2_000).filter(|_| rates.take(who, now).is_ok());
            tries.count()
        };
        assert_eq!(taken("a", begin), 1_000, "twenty seconds' worth");
        assert_eq!(rates.take("a", begin), Err(Duration::from_millis(20)));
        assert_eq!(taken("b", begin), 1_000);
        assert_eq!(taken("a", at(19)), 0, "being refused costs nothing");
        assert_eq!(taken("a", at(20)), 1);
        assert_eq!(taken("a", at(1_020)), 50);
        let steady = (1..500).all(|turn| rates.take("a", at(1_020 + 20 * turn)).is_ok());
        assert!(steady, "who keeps the rate is never refused");
    }

    #[test]
    fn those_who_ask_no_more_are_forgotten() {
        let (rates, begin) = (Rates::a_second(1), Instant::now());
        for who in 0..KEPT {
            rates.take(who, begin).unwrap();
        }
        rates.take(KEPT, begin + OVER).unwrap();
        assert_eq!(rates.levels.lock().unwrap().len(), 1);
    }
}
