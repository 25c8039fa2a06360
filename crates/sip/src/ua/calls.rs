//! All calls of a user agent, found by what a message names, and woken by one queue of deadlines.
//!
//! Whoever changes a call changes its deadline, too, and would forget to say so: every call that was lent for
//! changing is looked at again before the queue is asked.

use std::collections::{BTreeSet, HashMap};
use std::time::Instant;

use super::CallId;
use super::call::Call;
use crate::dialog::DialogKey;

#[derive(Debug, Default)]
pub(super) struct Calls {
    calls: HashMap<CallId, Entry>,
    /// By Call-ID: one call, as a rule; as many as a stranger likes to give the same.
    shared: HashMap<String, Vec<CallId>>,
    deadlines: BTreeSet<(Instant, CallId)>,
    /// Lent for changing since the last [`Self::settle`].
    touched: Vec<CallId>,
}

#[derive(Debug)]
struct Entry {
    call: Call,
    /// Where it stands in the queue.
    planned: Option<Instant>,
}

impl Calls {
    pub(super) fn insert(&mut self, id: CallId, call: Call) {
        let sharing = self.shared.entry(call.key.call_id.clone());
        sharing.or_default().push(id);
        self.calls.insert(
            id,
            Entry {
                call,
                planned: None,
            },
        );
        self.touched.push(id);
    }

    pub(super) fn remove(&mut self, id: CallId) -> Option<Call> {
        let Entry { call, planned } = self.calls.remove(&id)?;
        if let Some(sharing) = self.shared.get_mut(&call.key.call_id) {
            sharing.retain(|other| *other != id);
            if sharing.is_empty() {
                self.shared.remove(&call.key.call_id);
            }
        }
        if let Some(at) = planned {
            self.deadlines.remove(&(at, id));
        }
        Some(call)
    }

    pub(super) fn get(&self, id: CallId) -> Option<&Call> {
        self.calls.get(&id).map(|entry| &entry.call)
    }

    pub(super) fn get_mut(&mut self, id: CallId) -> Option<&mut Call> {
        let entry = self.calls.get_mut(&id)?;
        if self.touched.last() != Some(&id) {
            self.touched.push(id);
        }
        Some(&mut entry.call)
    }

    /// The same for a change that moves no deadline.
    pub(super) fn peek_mut(&mut self, id: CallId) -> Option<&mut Call> {
        self.calls.get_mut(&id).map(|entry| &mut entry.call)
    }

    /// The call whose dialog this is.
    pub(super) fn named(&self, key: &DialogKey) -> Option<CallId> {
        let sharing = self.shared.get(&key.call_id)?;
        let is_meant = |call: &Call| call.key.local_tag == key.local_tag;
        let mut sharing = sharing.iter().copied();
        sharing.find(|id| self.get(*id).is_some_and(is_meant))
    }

    /// Every call with this Call-ID.
    pub(super) fn sharing(&self, call_id: &str) -> impl Iterator<Item = &Call> {
        let sharing = self.shared.get(call_id).into_iter().flatten();
        sharing.filter_map(|id| self.get(*id))
    }

    pub(super) fn iter(&self) -> impl Iterator<Item = (CallId, &Call)> {
        self.calls.iter().map(|(id, entry)| (*id, &entry.call))
    }

    pub(super) fn len(&self) -> usize {
        self.calls.len()
    }

    pub(super) fn is_empty(&self) -> bool {
        self.calls.is_empty()
    }

    /// The next deadline, or an earlier one that was dropped since.
    pub(super) fn due(&self) -> Option<Instant> {
        let touched = self.touched.iter().filter_map(|id| self.get(*id)?.due());
        let queued = self.deadlines.first().map(|(at, _)| *at);
        touched.chain(queued).min()
    }

    /// Queues the deadlines of what was lent, and names those calls.
    pub(super) fn settle(&mut self) -> Vec<CallId> {
        let touched = std::mem::take(&mut self.touched);
        for id in &touched {
            let Some(entry) = self.calls.get_mut(id) else {
                continue;
            };
            let due = entry.call.due();
            if due != entry.planned {
                if let Some(at) = std::mem::replace(&mut entry.planned, due) {
                    self.deadlines.remove(&(at, *id));
                }
                self.deadlines.extend(due.map(|at| (at, *id)));
            }
        }
        touched
    }

    /// Calls whose deadline has come, of those that are settled.
    pub(super) fn expired(&self, now: Instant) -> Vec<CallId> {
        let expired = self.deadlines.iter().take_while(|(at, _)| *at <= now);
        expired.map(|(_, id)| *id).collect()
    }
}
