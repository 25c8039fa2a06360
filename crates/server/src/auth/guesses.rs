//! Wrong passwords, counted three ways, so that guessing is slow from wherever it comes and locks
//! nobody out but the guesser.
//!
//! - By account and address together: a few, then that address waits for that account.
//! - By account, over all addresses: many places that guess one password share one small budget.
//! - By address, over all accounts: one place that tries one password on everybody does, too. One
//!   account alone cannot use that budget up, as its pair is locked long before.
//!
//! Right passwords are counted too, by account and address: each costs a hash.
//!
//! The budgets of account and address do not bind a pair that has signed in before: where somebody really works,
//! they are asked for their own mistakes only. While one of them is used up, though, a wrong password
//! of such a pair is answered as if it did: or the answers would tell a guesser who works there.
//!
//! An attempt counts in a pair from its beginning, and in a budget from when it is judged: who waits
//! for that with a right password, beside however many, takes nobody's room. What is not judged after
//! all, since the client hung up or the server could not, was no guess.

use std::{
    collections::{HashMap, VecDeque},
    net::IpAddr,
    sync::{Mutex, PoisonError},
    time::{Duration, Instant},
};

use crate::{
    budget::{Budget, KEPT, Level},
    config::AuthConfig,
    shares::network,
};

/// Addresses that are remembered of one account.
const PLACES: usize = 8;

/// Remembers failures for a while.
#[derive(Debug)]
pub(crate) struct Guesses {
    allowed: u32,
    lockout: Duration,
    by_account: Budget,
    by_address: Budget,
    sign_ins: Budget,
    state: Mutex<State>,
}

#[derive(Debug, Default)]
struct State {
    pairs: HashMap<(String, IpAddr), Failures>,
    accounts: HashMap<String, Level>,
    addresses: HashMap<IpAddr, Level>,
    /// Right passwords by account and address.
    sign_ins: HashMap<(String, IpAddr), Level>,
    /// Where each account signed in from, the latest last.
    known: HashMap<String, VecDeque<IpAddr>>,
}

#[derive(Clone, Copy, Debug)]
struct Failures {
    count: u32,
    last: Instant,
}

/// Who has to wait, and is not judged.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct Held {
    /// How long.
    pub(crate) wait: Duration,
    /// What for.
    pub(crate) why: Why,
}

/// What somebody has to wait for.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Why {
    /// Wrong passwords of their own.
    Own,
    /// Others' attempts, too: whether the name is known here must not be told, not even by how
    /// soon the answer comes.
    Others,
    /// Right ones, which are work as well. Told to those only who gave them there.
    SignIns,
}

/// One attempt, until it is judged. Dropped before, it was no guess.
#[derive(Debug)]
#[must_use]
pub(crate) struct Attempt<'a> {
    guesses: &'a Guesses,
    account: String,
    from: IpAddr,
    /// The pair has signed in before.
    known: bool,
    /// It counts in the budgets.
    charged: bool,
    /// What others were told to wait meanwhile.
    told: Option<Duration>,
    judged: bool,
}

impl Attempt<'_> {
    /// It is judged now: so many as are at a time, and no more, slip through a budget's end.
    pub(crate) fn begin(&mut self, now: Instant) -> Result<(), Held> {
        let mut state = self.guesses.lock();
        let spent = self.guesses.spent(&state, &self.account, self.from, now);
        self.told = self.told.or(spent);
        if self.known {
            return Ok(());
        }
        if let Some(wait) = spent {
            return Err(Held {
                wait,
                why: Why::Others,
            });
        }
        self.guesses
            .charge(&mut state, (&self.account, self.from), 1.0, now);
        self.charged = true;
        Ok(())
    }

    /// The password was right: nothing is held against the pair, now or later.
    pub(crate) fn right(mut self, now: Instant) {
        let mut state = self.guesses.lock();
        self.give_back(&mut state, now);
        let pair = (self.account.clone(), self.from);
        state.pairs.remove(&pair);
        let sign_ins = &self.guesses.sign_ins;
        sign_ins.add(&mut state.sign_ins, pair, 1.0, now);
        let from = self.from;
        let places = state.known.entry(self.account.clone()).or_default();
        places.retain(|place| *place != from);
        places.push_back(from);
        if places.len() > PLACES {
            places.pop_front();
        }
        drop(state);
        self.judged = true;
    }

    /// It was wrong. Answers how long to wait where those were told to whom the place is new.
    pub(crate) fn wrong(mut self) -> Option<Duration> {
        self.judged = true;
        self.told
    }

    fn give_back(&mut self, state: &mut State, now: Instant) {
        if std::mem::take(&mut self.charged) {
            self.guesses
                .charge(state, (&self.account, self.from), -1.0, now);
        }
    }
}

impl Drop for Attempt<'_> {
    fn drop(&mut self) {
        if self.judged {
            return;
        }
        let mut state = self.guesses.lock();
        let pair = (self.account.clone(), self.from);
        if let Some(failures) = state.pairs.get_mut(&pair) {
            failures.count = failures.count.saturating_sub(1);
        }
        self.give_back(&mut state, Instant::now());
    }
}

impl Guesses {
    pub(crate) fn new(config: &AuthConfig) -> Self {
        let lockout = Duration::from_millis(config.lockout_ms);
        // So many at once, and as many again in a lock-out's time.
        let budget = |allowed: u32| Budget::new(f64::from(allowed), lockout);
        Self {
            allowed: config.failures_allowed,
            lockout,
            // Never below what one pair may: or who guesses one account would lock its site out.
            by_account: budget(config.account_failures_allowed.max(config.failures_allowed)),
            by_address: budget(config.address_failures_allowed.max(config.failures_allowed)),
            sign_ins: budget(config.sign_ins_allowed),
            state: Mutex::default(),
        }
    }

    /// Begins an attempt; refuses with the time to wait.
    pub(crate) fn attempt(
        &self,
        account: &str,
        from: IpAddr,
        now: Instant,
    ) -> Result<Attempt<'_>, Held> {
        let (account, from) = (account.to_ascii_lowercase(), network(from));
        let mut state = self.lock();
        self.make_room(&mut state, now);
        let spent = self.spent(&state, &account, from, now);
        let known = state.knows(&account, from);
        if let Some(wait) = spent
            && !known
        {
            return Err(Held {
                wait,
                why: Why::Others,
            });
        }
        let pair = (account.clone(), from);
        if let Some(wait) = self.sign_ins.wait(state.sign_ins.get(&pair), now) {
            return Err(Held {
                wait,
                why: Why::SignIns,
            });
        }
        let failures = state.pairs.entry(pair).or_insert(Failures {
            count: 0,
            last: now,
        });
        let age = now.duration_since(failures.last);
        if age >= self.lockout {
            failures.count = 0;
        }
        if failures.count >= self.allowed {
            return Err(Held {
                wait: spent.unwrap_or_else(|| self.lockout.saturating_sub(age)),
                why: spent.map_or(Why::Own, |_| Why::Others),
            });
        }
        failures.count += 1;
        failures.last = now;
        drop(state);
        Ok(Attempt {
            guesses: self,
            account,
            from,
            known,
            charged: false,
            told: spent,
            judged: false,
        })
    }

    /// How long until the account's and the address's budgets have room; none if they do.
    fn spent(&self, state: &State, account: &str, from: IpAddr, now: Instant) -> Option<Duration> {
        let accounts = self.by_account.wait(state.accounts.get(account), now);
        let addresses = self.by_address.wait(state.addresses.get(&from), now);
        accounts.max(addresses)
    }

    fn charge(&self, state: &mut State, of: (&str, IpAddr), more: f64, now: Instant) {
        let (account, from) = of;
        self.by_account
            .add(&mut state.accounts, account.to_owned(), more, now);
        self.by_address.add(&mut state.addresses, from, more, now);
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
        self.sign_ins.make_room(&mut state.sign_ins, now);
        // Only who signed in is here, so this is as many as there are people.
        if state.known.len() >= KEPT {
            state.known.clear();
        }
    }

    fn lock(&self) -> std::sync::MutexGuard<'_, State> {
        self.state.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl State {
    fn knows(&self, account: &str, from: IpAddr) -> bool {
        self.known
            .get(account)
            .is_some_and(|places| places.contains(&from))
    }
}

#[cfg(test)]
mod tests {
    use std::net::{Ipv4Addr, Ipv6Addr};

    use super::*;

    const HERE: IpAddr = IpAddr::V4(Ipv4Addr::LOCALHOST);

    #[test]
    fn a_whole_network_of_ipv6_is_one_place() {
        let (guesses, now) = guesses(2, 50, 50);
        let of = |host: u128| IpAddr::V6(Ipv6Addr::from_bits((0x2001_0db8 << 96) | host));
        for host in 1..=2 {
            assert!(guess(&guesses, "1001", of(host), now).is_ok());
        }
        assert!(guess(&guesses, "1001", of(3), now).is_err());
        let elsewhere = of(1 << 64);
        assert!(guess(&guesses, "1001", elsewhere, now).is_ok());
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
            sign_ins_allowed: u32::MAX,
            lockout_ms: 60_000,
            ..AuthConfig::default()
        };
        (Guesses::new(&config), Instant::now())
    }

    /// A wrong password, judged: what it is told to wait besides, or why it was not judged.
    fn guess(
        guesses: &Guesses,
        account: &str,
        from: IpAddr,
        now: Instant,
    ) -> Result<Option<Duration>, Duration> {
        let mut attempt = guesses
            .attempt(account, from, now)
            .map_err(|held| held.wait)?;
        attempt.begin(now).map_err(|held| held.wait)?;
        Ok(attempt.wrong())
    }

    /// A right password.
    fn sign_in(guesses: &Guesses, account: &str, from: IpAddr, now: Instant) -> bool {
        let Ok(mut attempt) = guesses.attempt(account, from, now) else {
            return false;
        };
        let begun = attempt.begin(now).is_ok();
        if begun {
            attempt.right(now);
        }
        begun
    }

    #[test]
    fn guessing_locks_the_guessers_address_out_and_nobody_else() {
        let (guesses, now) = guesses(3, 100, 100);
        for _ in 0..3 {
            assert_eq!(guess(&guesses, "ann", HERE, now), Ok(None));
        }
        let later = now + Duration::from_secs(20);
        assert_eq!(
            guess(&guesses, "ANN", HERE, later),
            Err(Duration::from_secs(40))
        );
        assert_eq!(guess(&guesses, "ann", place(1), later), Ok(None));
        assert_eq!(guess(&guesses, "bob", HERE, later), Ok(None));
        let after = now + Duration::from_secs(60);
        assert_eq!(guess(&guesses, "ann", HERE, after), Ok(None));
    }

    #[test]
    fn one_account_guessed_without_end_does_not_lock_its_site() {
        let (guesses, mut now) = guesses(10, 100, 50);
        let mut tried = 0;
        for _ in 0..10_000 {
            tried += u32::from(guess(&guesses, "ann", HERE, now).is_ok());
            now += Duration::from_millis(60);
            assert!(sign_in(&guesses, "bob", HERE, now), "after {tried} tries");
        }
        // Ten minutes: ten tries in each.
        assert_eq!(tried, 100);
    }

    #[test]
    fn many_places_that_guess_one_password_share_one_budget_and_its_owner_signs_in() {
        let (guesses, mut now) = guesses(10, 20, 1_000);
        assert!(sign_in(&guesses, "ann", HERE, now));
        let mut tried = 0;
        for number in 0..6_000 {
            tried += u32::from(guess(&guesses, "ann", place(number), now).is_ok());
            now += Duration::from_millis(10);
            if number % 500 == 0 {
                assert!(sign_in(&guesses, "ann", HERE, now));
            }
        }
        // A minute: the budget, and what comes back of it meanwhile.
        assert!((20..=41).contains(&tried), "{tried}");
    }

    #[test]
    fn one_place_that_tries_everybody_has_one_budget_and_who_works_there_signs_in() {
        let (guesses, mut now) = guesses(10, 100, 30);
        assert!(sign_in(&guesses, "ann", HERE, now));
        let mut tried = 0;
        for number in 0..6_000 {
            let account = format!("user{number}");
            tried += u32::from(guess(&guesses, &account, HERE, now).is_ok());
            now += Duration::from_millis(10);
        }
        assert!((30..=61).contains(&tried), "{tried}");
        assert!(sign_in(&guesses, "ann", HERE, now));
    }

    #[test]
    fn any_number_of_right_passwords_at_once_is_taken_and_as_many_wrong_ones_are_not() {
        let (guesses, now) = guesses(10, 100, 100);
        let names: Vec<_> = (0..500).map(|number| format!("agent{number}")).collect();
        let mut waiting: Vec<_> = names
            .iter()
            .map(|name| guesses.attempt(name, HERE, now).unwrap())
            .collect();
        // Two are judged at a time.
        while let (Some(mut one), Some(mut two)) = (waiting.pop(), waiting.pop()) {
            assert!(one.begin(now).is_ok() && two.begin(now).is_ok());
            one.right(now);
            two.right(now);
        }
        let invented: Vec<_> = (0..500).map(|number| format!("nobody{number}")).collect();
        let mut waiting: Vec<_> = invented
            .iter()
            .map(|name| guesses.attempt(name, HERE, now).unwrap())
            .collect();
        let begun = waiting.iter_mut().filter_map(|one| one.begin(now).ok());
        assert_eq!(begun.count(), 100);
    }

    #[test]
    fn where_a_budget_is_used_up_a_known_name_is_answered_as_any_other_is() {
        let (guesses, mut now) = guesses(3, 100, 20);
        assert!(sign_in(&guesses, "ann", HERE, now));
        for number in 0..20 {
            let told = guess(&guesses, &format!("user{number}"), HERE, now);
            assert_eq!(told, Ok(None));
        }
        for number in 0..10 {
            let unknown = guess(&guesses, &format!("nobody{number}"), HERE, now);
            let known = match guess(&guesses, "ann", HERE, now) {
                Ok(told) => told.expect("it is told to wait"),
                Err(wait) => wait,
            };
            assert_eq!(unknown, Err(known), "after {number}");
            now += Duration::from_millis(1);
        }
        // Right ones go in, as everywhere where there were none too many wrong ones for the pair.
        now += Duration::from_secs(60);
        assert!(sign_in(&guesses, "ann", HERE, now));
    }

    #[test]
    fn an_attempt_that_was_not_judged_is_no_guess() {
        let (guesses, now) = guesses(1, 1, 1);
        for round in 0..6 {
            let mut attempt = guesses.attempt("ann", HERE, now).unwrap();
            if round % 2 == 0 {
                attempt.begin(now).unwrap();
            }
        }
        // Nor where its pair got known meanwhile.
        let mut attempt = guesses.attempt("bob", HERE, now).unwrap();
        attempt.begin(now).unwrap();
        attempt.right(now);
        assert_eq!(guess(&guesses, "ann", HERE, now), Ok(None));
        assert!(guess(&guesses, "ann", HERE, now).is_err());
    }

    #[test]
    fn who_signs_in_without_end_waits_and_holds_up_nobody_else() {
        let config = AuthConfig {
            sign_ins_allowed: 3,
            lockout_ms: 60_000,
            ..AuthConfig::default()
        };
        let (guesses, now) = (Guesses::new(&config), Instant::now());
        for _ in 0..3 {
            assert!(sign_in(&guesses, "ann", HERE, now));
        }
        let held = guesses.attempt("ANN", HERE, now).unwrap_err();
        assert_eq!(held.why, Why::SignIns);
        assert!(sign_in(&guesses, "ann", place(1), now));
        assert!(sign_in(&guesses, "bob", HERE, now));
        assert!(sign_in(&guesses, "ann", HERE, now + held.wait));
    }

    #[test]
    fn a_right_password_clears_the_count() {
        let (guesses, now) = guesses(2, 2, 2);
        for _ in 0..5 {
            assert!(guess(&guesses, "bob", HERE, now).is_ok());
            assert!(sign_in(&guesses, "bob", HERE, now));
        }
    }
}
