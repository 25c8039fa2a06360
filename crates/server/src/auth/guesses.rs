//! Wrong passwords, counted three ways, so that guessing is slow from wherever it comes and locks
//! nobody out but the guesser.
//!
//! - By account and address together: a few, then that address waits for that account.
//! - By account, over all addresses: many places that guess one password share one small budget.
//! - By address, over all accounts: one place that tries one password on everybody does, too. One
//!   account alone cannot use that budget up, as its pair is locked long before.
//!
//! The last two budgets do not bind a pair that has signed in before: where somebody really works,
//! they are asked for their own mistakes only.

use std::{
    collections::{HashMap, VecDeque},
    hash::Hash,
    net::{IpAddr, Ipv6Addr},
    sync::{Mutex, PoisonError},
    time::{Duration, Instant},
};

use crate::config::AuthConfig;

/// Entries of a kind that are kept; beyond that those that have lapsed go, or else all.
const KEPT: usize = 65_536;
/// Addresses that are remembered of one account.
const PLACES: usize = 8;

/// Remembers failures for a while.
#[derive(Debug)]
pub(crate) struct Guesses {
    allowed: u32,
    lockout: Duration,
    by_account: Budget,
    by_address: Budget,
    state: Mutex<State>,
}

#[derive(Debug, Default)]
struct State {
    pairs: HashMap<(String, IpAddr), Failures>,
    accounts: HashMap<String, Level>,
    addresses: HashMap<IpAddr, Level>,
    /// Where each account signed in from, the latest last.
    known: HashMap<String, VecDeque<IpAddr>>,
}

#[derive(Clone, Copy, Debug)]
struct Failures {
    count: u32,
    last: Instant,
}

/// So many at once, and as many again in a lock-out's time.
#[derive(Clone, Copy, Debug)]
struct Budget {
    allowed: f64,
    lockout: Duration,
}

/// What of a budget is used up, as it stood at `at`.
#[derive(Clone, Copy, Debug)]
struct Level {
    used: f64,
    at: Instant,
}

impl Guesses {
    pub(crate) fn new(config: &AuthConfig) -> Self {
        let lockout = Duration::from_millis(config.lockout_ms);
        let budget = |allowed: u32| Budget {
            allowed: f64::from(allowed),
            lockout,
        };
        Self {
            allowed: config.failures_allowed,
            lockout,
            // Never below what one pair may: or who guesses one account would lock its site out.
            by_account: budget(config.account_failures_allowed.max(config.failures_allowed)),
            by_address: budget(config.address_failures_allowed.max(config.failures_allowed)),
            state: Mutex::default(),
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
        let (account, from) = (account.to_ascii_lowercase(), place_of(from));
        let mut state = self.lock();
        self.make_room(&mut state, now);
        let pair = (account.clone(), from);
        if let Some(failures) = state.pairs.get_mut(&pair) {
            let age = now.duration_since(failures.last);
            if age >= self.lockout {
                failures.count = 0;
            }
            if failures.count >= self.allowed {
                return Err(self.lockout.saturating_sub(age));
            }
        }
        if !state.knows(&account, from) {
            let accounts = self.by_account.wait(state.accounts.get(&account), now);
            let addresses = self.by_address.wait(state.addresses.get(&from), now);
            if let Some(wait) = accounts.max(addresses) {
                return Err(wait);
            }
            self.by_account.add(&mut state.accounts, account, 1.0, now);
            self.by_address.add(&mut state.addresses, from, 1.0, now);
        }
        let failures = state.pairs.entry(pair).or_insert(Failures {
            count: 0,
            last: now,
        });
        failures.count += 1;
        failures.last = now;
        Ok(())
    }

    /// The attempt was not judged after all.
    pub(crate) fn take_back(&self, account: &str, from: IpAddr, now: Instant) {
        let (account, from) = (account.to_ascii_lowercase(), place_of(from));
        let mut state = self.lock();
        if let Some(failures) = state.pairs.get_mut(&(account.clone(), from)) {
            failures.count = failures.count.saturating_sub(1);
        }
        self.give_back(&mut state, account, from, now);
    }

    /// The password was right: nothing is held against the pair, now or later.
    pub(crate) fn forget(&self, account: &str, from: IpAddr, now: Instant) {
        let (account, from) = (account.to_ascii_lowercase(), place_of(from));
        let mut state = self.lock();
        state.pairs.remove(&(account.clone(), from));
        self.give_back(&mut state, account.clone(), from, now);
        let places = state.known.entry(account).or_default();
        places.retain(|place| *place != from);
        places.push_back(from);
        if places.len() > PLACES {
            places.pop_front();
        }
    }

    fn give_back(&self, state: &mut State, account: String, from: IpAddr, now: Instant) {
        if !state.knows(&account, from) {
            self.by_account.add(&mut state.accounts, account, -1.0, now);
            self.by_address.add(&mut state.addresses, from, -1.0, now);
        }
    }

    fn make_room(&self, state: &mut State, now: Instant) {
        if state.pairs.len() >= KEPT {
            let lockout = self.lockout;
            state
                .pairs
                .retain(|_, failures| now.duration_since(failures.last) < lockout);
            if state.pairs.len() >= KEPT {
                state.pairs.clear();
            }
        }
        self.by_account.make_room(&mut state.accounts, now);
        self.by_address.make_room(&mut state.addresses, now);
        // Only who signed in is here, so this is as many as there are people.
        if state.known.len() >= KEPT {
            state.known.clear();
        }
    }

    fn lock(&self) -> std::sync::MutexGuard<'_, State> {
        self.state.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

/// What one guesser has of addresses: of IPv6 a whole network of 64 bits, which any host may roam.
fn place_of(address: IpAddr) -> IpAddr {
    match address.to_canonical() {
        IpAddr::V6(address) => {
            let network = address.to_bits() >> 64 << 64;
            IpAddr::V6(Ipv6Addr::from_bits(network))
        }
        v4 => v4,
    }
}

impl State {
    fn knows(&self, account: &str, from: IpAddr) -> bool {
        self.known
            .get(account)
            .is_some_and(|places| places.contains(&from))
    }
}

impl Budget {
    /// How long until one more fits; none if it does now.
    fn wait(&self, level: Option<&Level>, now: Instant) -> Option<Duration> {
        let over = level.map_or(0.0, |level| self.used(level, now)) + 1.0 - self.allowed;
        (over > 0.0).then(|| self.lockout.mul_f64(over / self.allowed))
    }

    fn add<K: Eq + Hash>(&self, levels: &mut HashMap<K, Level>, of: K, more: f64, now: Instant) {
        let level = levels.entry(of).or_insert(Level { used: 0.0, at: now });
        *level = Level {
            used: (self.used(level, now) + more).max(0.0),
            at: now,
        };
    }

    fn used(&self, level: &Level, now: Instant) -> f64 {
        let age = now.duration_since(level.at).as_secs_f64();
        let lockout = self.lockout.as_secs_f64().max(f64::MIN_POSITIVE);
        (level.used - age / lockout * self.allowed).max(0.0)
    }

    fn make_room<K: Eq + Hash>(&self, levels: &mut HashMap<K, Level>, now: Instant) {
        if levels.len() >= KEPT {
            levels.retain(|_, level| self.used(level, now) > 0.0);
            if levels.len() >= KEPT {
                levels.clear();
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use std::net::Ipv4Addr;

    use super::*;

    const HERE: IpAddr = IpAddr::V4(Ipv4Addr::LOCALHOST);

    #[test]
    fn a_whole_network_of_ipv6_is_one_place() {
        let (guesses, now) = guesses(2, 50, 50);
        let of = |host: u128| IpAddr::V6(Ipv6Addr::from_bits((0x2001_0db8 << 96) | host));
        for host in 1..=2 {
            guesses.attempt("1001", of(host), now).unwrap();
        }
        assert!(guesses.attempt("1001", of(3), now).is_err());
        let elsewhere = of(1 << 64);
        assert!(guesses.attempt("1001", elsewhere, now).is_ok());
    }

    fn place(number: u32) -> IpAddr {
        IpAddr::V4(Ipv4Addr::from(0x0a00_0000 + number))
    }

    /// A pair may fail `pair` times, an account `account` times, an address `address` times, within
    /// a minute.
    fn guesses(pair: u32, account: u32, address: u32) -> (Guesses, Instant) {
        let config = AuthConfig {
            failures_allowed: pair,
            account_failures_allowed: account,
            address_failures_allowed: address,
            lockout_ms: 60_000,
            ..AuthConfig::default()
        };
        (Guesses::new(&config), Instant::now())
    }

    #[test]
    fn guessing_locks_the_guessers_address_out_and_nobody_else() {
        let (guesses, now) = guesses(3, 100, 100);
        for _ in 0..3 {
            assert_eq!(guesses.attempt("ann", HERE, now), Ok(()));
        }
        let later = now + Duration::from_secs(20);
        assert_eq!(
            guesses.attempt("ANN", HERE, later),
            Err(Duration::from_secs(40))
        );
        assert_eq!(guesses.attempt("ann", place(1), later), Ok(()));
        assert_eq!(guesses.attempt("bob", HERE, later), Ok(()));
        let after = now + Duration::from_secs(60);
        assert_eq!(guesses.attempt("ann", HERE, after), Ok(()));
    }

    #[test]
    fn one_account_guessed_without_end_does_not_lock_its_site() {
        let (guesses, mut now) = guesses(10, 100, 50);
        let mut tried = 0;
        for _ in 0..10_000 {
            tried += u32::from(guesses.attempt("ann", HERE, now).is_ok());
            now += Duration::from_millis(60);
            let colleague = guesses.attempt("bob", HERE, now);
            assert_eq!(colleague, Ok(()), "after {tried} tries");
            guesses.forget("bob", HERE, now);
        }
        // Ten minutes: ten tries in each.
        assert_eq!(tried, 100);
    }

    #[test]
    fn many_places_that_guess_one_password_share_one_budget_and_its_owner_signs_in() {
        let (guesses, mut now) = guesses(10, 20, 1_000);
        assert_eq!(guesses.attempt("ann", HERE, now), Ok(()));
        guesses.forget("ann", HERE, now);
        let mut tried = 0;
        for number in 0..6_000 {
            tried += u32::from(guesses.attempt("ann", place(number), now).is_ok());
            now += Duration::from_millis(10);
            if number % 500 == 0 {
                assert_eq!(guesses.attempt("ann", HERE, now), Ok(()));
                guesses.forget("ann", HERE, now);
            }
        }
        // A minute: the budget, and what comes back of it meanwhile.
        assert!((20..=41).contains(&tried), "{tried}");
    }

    #[test]
    fn one_place_that_tries_everybody_has_one_budget_and_who_works_there_signs_in() {
        let (guesses, mut now) = guesses(10, 100, 30);
        assert_eq!(guesses.attempt("ann", HERE, now), Ok(()));
        guesses.forget("ann", HERE, now);
        let mut tried = 0;
        for number in 0..6_000 {
            let account = format!("user{number}");
            tried += u32::from(guesses.attempt(&account, HERE, now).is_ok());
            now += Duration::from_millis(10);
        }
        assert!((30..=61).contains(&tried), "{tried}");
        assert_eq!(guesses.attempt("ann", HERE, now), Ok(()));
    }

    #[test]
    fn an_attempt_that_was_not_judged_is_no_guess() {
        let (guesses, now) = guesses(1, 1, 1);
        for _ in 0..5 {
            assert_eq!(guesses.attempt("ann", HERE, now), Ok(()));
            guesses.take_back("Ann", HERE, now);
        }
    }

    #[test]
    fn a_right_password_clears_the_count() {
        let (guesses, now) = guesses(2, 2, 2);
        for _ in 0..5 {
            assert_eq!(guesses.attempt("ann", HERE, now), Ok(()));
            guesses.forget("ann", HERE, now);
        }
    }
}
