//! Wrong passwords, counted by account and address together, so that guessing from one place does
//! not lock the account's owner out of another.

use std::{
    collections::HashMap,
    net::IpAddr,
    sync::{Mutex, PoisonError},
    time::{Duration, Instant},
};

/// Pairs kept; beyond that the oldest lapse first.
const PAIRS: usize = 65_536;

/// Remembers failures for a while.
#[derive(Debug)]
pub(crate) struct Guesses {
    allowed: u32,
    lockout: Duration,
    failures: Mutex<HashMap<(String, IpAddr), Failures>>,
}

#[derive(Clone, Copy, Debug)]
struct Failures {
    count: u32,
    last: Instant,
}

impl Guesses {
    pub(crate) fn new(allowed: u32, lockout: Duration) -> Self {
        Self {
            allowed,
            lockout,
            failures: Mutex::default(),
        }
    }

    /// Counts an attempt before it is judged, so that many at once do not slip through; refuses
    /// with the time to wait.
    pub(crate) fn attempt(
        &self,
        account: &str,
        from: IpAddr,
        now: Instant,
    ) -> Result<(), Duration> {
        let mut failures = self.failures.lock().unwrap_or_else(PoisonError::into_inner);
        if failures.len() >= PAIRS {
            failures.retain(|_, entry| now.duration_since(entry.last) < self.lockout);
        }
        let entry = failures
            .entry((account.to_ascii_lowercase(), from))
            .or_insert(Failures {
                count: 0,
                last: now,
            });
        let age = now.duration_since(entry.last);
        if age >= self.lockout {
            entry.count = 0;
        }
        if entry.count >= self.allowed {
            return Err(self.lockout.saturating_sub(age));
        }
        entry.count += 1;
        entry.last = now;
        Ok(())
    }

    /// The attempt was not judged after all.
    pub(crate) fn take_back(&self, account: &str, from: IpAddr) {
        let mut failures = self.failures.lock().unwrap_or_else(PoisonError::into_inner);
        if let Some(entry) = failures.get_mut(&(account.to_ascii_lowercase(), from)) {
            entry.count = entry.count.saturating_sub(1);
        }
    }

    /// The password was right: nothing is held against the pair.
    pub(crate) fn forget(&self, account: &str, from: IpAddr) {
        self.failures
            .lock()
            .unwrap_or_else(PoisonError::into_inner)
            .remove(&(account.to_ascii_lowercase(), from));
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const HERE: IpAddr = IpAddr::V4(std::net::Ipv4Addr::LOCALHOST);
    const THERE: IpAddr = IpAddr::V4(std::net::Ipv4Addr::new(192, 0, 2, 1));

    #[test]
    fn guessing_locks_the_guessers_address_out_and_nobody_else() {
        let (guesses, now) = (Guesses::new(3, Duration::from_secs(60)), Instant::now());
        for _ in 0..3 {
            assert_eq!(guesses.attempt("ann", HERE, now), Ok(()));
        }
        let later = now + Duration::from_secs(20);
        assert_eq!(
            guesses.attempt("ANN", HERE, later),
            Err(Duration::from_secs(40))
        );
        assert_eq!(guesses.attempt("ann", THERE, later), Ok(()));
        assert_eq!(guesses.attempt("bob", HERE, later), Ok(()));
        let after = now + Duration::from_secs(60);
        assert_eq!(guesses.attempt("ann", HERE, after), Ok(()));
    }

    #[test]
    fn an_attempt_that_was_not_judged_is_no_guess() {
        let (guesses, now) = (Guesses::new(1, Duration::from_secs(60)), Instant::now());
        for _ in 0..5 {
            assert_eq!(guesses.attempt("ann", HERE, now), Ok(()));
            guesses.take_back("Ann", HERE);
        }
    }

    #[test]
    fn a_right_password_clears_the_count() {
        let (guesses, now) = (Guesses::new(2, Duration::from_secs(60)), Instant::now());
        for _ in 0..5 {
            assert_eq!(guesses.attempt("ann", HERE, now), Ok(()));
            guesses.forget("ann", HERE);
        }
    }
}
