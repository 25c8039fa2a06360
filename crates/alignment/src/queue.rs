//! Queue memberships as Asterisk tells them, and which of the pauses among them are ours.

use std::collections::BTreeMap;
use std::time::Instant;

use crate::names::{Extension, PauseReason};
use crate::output::QueueOrder;
use crate::pause::PauseWish;

/// How the reason of a pause begins that this product made itself (R10, drain).
pub const DRAIN_REASON: &str = "rollcall: ";

/// One endpoint's place in one queue.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Membership {
    /// Whose, from the interface `PJSIP/1001`.
    pub endpoint: Extension,
    /// The queue.
    pub queue: String,
    /// Whether the queue passes it over.
    pub paused: bool,
    /// Why, as whoever paused it said; may be empty.
    pub reason: String,
}

impl Membership {
    /// A pause of ours, not a person's.
    #[must_use]
    pub fn is_drained(&self) -> bool {
        self.paused && self.reason.starts_with(DRAIN_REASON)
    }

    fn is_paused_by_others(&self) -> bool {
        self.paused && !self.is_drained()
    }
}

/// All places of one endpoint.
#[derive(Debug, Default)]
pub(crate) struct Memberships {
    members: BTreeMap<String, (Membership, u64)>,
    /// Places as they were before Asterisk restarted, until its first list was compared with them.
    before_restart: Option<Vec<Membership>>,
    /// What was last asked of the queues, and when.
    pub(crate) asked: Option<(Instant, QueueOrder)>,
    /// The step in which the last full list was asked for.
    listed: u64,
}

impl Memberships {
    /// An event told of one place; true if that is new.
    pub(crate) fn tell(&mut self, membership: Membership, step: u64) -> bool {
        let queue = membership.queue.clone();
        let before = self
            .members
            .insert(queue, (membership.clone(), step))
            .map(|(before, _)| before);
        before != Some(membership)
    }

    /// The endpoint left a queue.
    pub(crate) fn leave(&mut self, queue: &str) -> bool {
        self.members.remove(queue).is_some()
    }

    /// A full list that was asked for in `asked`; what was told since outweighs it. True if it
    /// changed something.
    pub(crate) fn list(&mut self, listed: &BTreeMap<String, Membership>, asked: u64) -> bool {
        let mut changed = false;
        self.listed = asked;
        self.members.retain(|queue, (_, told)| {
            let keep = *told > asked || listed.contains_key(queue);
            changed |= !keep;
            keep
        });
        for (queue, membership) in listed {
            let newer = self
                .members
                .get(queue)
                .is_some_and(|(_, told)| *told > asked);
            if !newer {
                changed |= self.tell(membership.clone(), asked);
            }
        }
        changed
    }

    /// Somebody else paused it in a queue.
    pub(crate) fn is_paused(&self) -> bool {
        self.all().any(Membership::is_paused_by_others)
    }

    /// We paused it in a queue.
    pub(crate) fn is_drained(&self) -> bool {
        self.all().any(Membership::is_drained)
    }

    /// A list that was asked for after this step was read.
    pub(crate) fn is_listed_since(&self, step: u64) -> bool {
        self.listed > step
    }

    /// The queues that we paused it in.
    pub(crate) fn drained(&self) -> Vec<String> {
        self.queues(Membership::is_drained)
    }

    /// The queues that people paused it in, for this reason if one is named.
    pub(crate) fn paused_for(&self, reason: Option<&PauseReason>) -> Vec<String> {
        self.queues(|membership| {
            membership.is_paused_by_others()
                && reason.is_none_or(|reason| membership.reason == reason.as_str())
        })
    }

    /// Every queue passes it over for this very reason.
    pub(crate) fn is_paused_throughout(&self, reason: &PauseReason) -> bool {
        self.all()
            .all(|membership| membership.paused && membership.reason == reason.as_str())
    }

    fn queues(&self, which: impl Fn(&Membership) -> bool) -> Vec<String> {
        self.all()
            .filter(|membership| which(membership))
            .map(|membership| membership.queue.clone())
            .collect()
    }

    /// A queue may still pass calls to it.
    pub(crate) fn is_open(&self) -> bool {
        self.all().any(|membership| !membership.paused)
    }

    /// Asterisk started anew: what it held before is remembered.
    pub(crate) fn restarted(&mut self) {
        let before: Vec<Membership> = self
            .all()
            .filter(|membership| !membership.is_drained())
            .cloned()
            .collect();
        self.before_restart = (!before.is_empty()).then_some(before);
    }

    /// After a restart: the places, and the pauses of people, that Asterisk did not keep. A pause whose end was asked
    /// meanwhile is none of them: it has ended as was wanted.
    pub(crate) fn forgotten(&mut self, wish: Option<&PauseWish>) -> Vec<Membership> {
        let before = self.before_restart.take().unwrap_or_default();
        before
            .into_iter()
            .map(|was| Membership {
                paused: was.paused && !wish.is_some_and(|wish| wish.ends(&was.reason)),
                ..was
            })
            .filter(|was| {
                self.members
                    .get(&was.queue)
                    .is_none_or(|(is, _)| was.paused && !is.paused)
            })
            .collect()
    }

    fn all(&self) -> impl Iterator<Item = &Membership> {
        self.members.values().map(|(membership, _)| membership)
    }
}
