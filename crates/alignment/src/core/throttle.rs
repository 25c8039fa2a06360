//! The ceiling of repairs (R10): however many contacts are lost at once, Asterisk and the apps are
//! asked at a pace that they can follow. Who has to wait is served in the order of asking.

use std::collections::{BTreeSet, VecDeque};
use std::time::{Duration, Instant};

use crate::config::Config;
use crate::names::Extension;

/// How long after it was spent a token is back.
const WINDOW: Duration = Duration::from_secs(1);

/// A bucket of tokens, each back a second after it was spent: in no second are there more asks than
/// tokens.
#[derive(Debug)]
pub(super) struct Throttle {
    tokens: usize,
    spent: VecDeque<Instant>,
    waiting: VecDeque<Extension>,
    waits: BTreeSet<Extension>,
    /// When somebody was last told to wait.
    refused_at: Option<Instant>,
}

impl Throttle {
    pub(super) fn new(per_second: u32) -> Self {
        Throttle {
            tokens: usize::try_from(per_second).unwrap_or(usize::MAX).max(1),
            spent: VecDeque::new(),
            waiting: VecDeque::new(),
            waits: BTreeSet::new(),
            refused_at: None,
        }
    }

    /// Whether one more may be asked now; else the extension is called when there is a token.
    pub(super) fn take(&mut self, extension: &Extension, now: Instant) -> bool {
        self.refill(now);
        if self.spent.len() < self.tokens {
            self.spent.push_back(now);
            return true;
        }
        self.refused_at = Some(now);
        if self.waits.insert(extension.clone()) {
            self.waiting.push_back(extension.clone());
        }
        false
    }

    /// When somebody who waits is to be called.
    fn next(&self) -> Option<Instant> {
        if self.waiting.is_empty() {
            None
        } else if self.spent.len() < self.tokens {
            self.refused_at
        } else {
            self.spent.front().map(|spent| *spent + WINDOW)
        }
    }

    /// Those who may ask again: one a token.
    fn called(&mut self, now: Instant) -> Vec<Extension> {
        self.refill(now);
        let free = self.tokens - self.spent.len();
        let called: Vec<_> = self.waiting.drain(..free.min(self.waiting.len())).collect();
        for extension in &called {
            self.waits.remove(extension);
        }
        called
    }

    fn refill(&mut self, now: Instant) {
        while let Some(first) = self.spent.front()
            && *first + WINDOW <= now
        {
            self.spent.pop_front();
        }
    }
}

/// A bucket for each verb that asks something of others.
#[derive(Debug)]
pub(super) struct Throttles {
    pub(super) evict: Throttle,
    pub(super) reregister: Throttle,
    pub(super) qualify: Throttle,
    pub(super) drain: Throttle,
}

impl Throttles {
    pub(super) fn new(config: &Config) -> Self {
        Throttles {
            evict: Throttle::new(config.evictions_per_second),
            reregister: Throttle::new(config.reregistrations_per_second),
            qualify: Throttle::new(config.qualifies_per_second),
            drain: Throttle::new(config.drains_per_second),
        }
    }

    pub(super) fn next(&self) -> Option<Instant> {
        [&self.evict, &self.reregister, &self.qualify, &self.drain]
            .into_iter()
            .filter_map(Throttle::next)
            .min()
    }

    pub(super) fn called(&mut self, now: Instant) -> Vec<Extension> {
        [
            &mut self.evict,
            &mut self.reregister,
            &mut self.qualify,
            &mut self.drain,
        ]
        .into_iter()
        .flat_map(|throttle| throttle.called(now))
        .collect()
    }
}
