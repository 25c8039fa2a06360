//! Queue members as events and lists tell them, what an Asterisk that restarted has forgotten of
//! them, and how its clock differs from ours.

use std::collections::BTreeMap;
use std::time::{Duration, Instant};

use super::Core;
use super::repair::repair_entry;
use crate::ledger::LedgerKind;
use crate::names::Extension;
use crate::output::{Ask, Output};
use crate::queue::Membership;
use crate::resync::Part;
use crate::source::{Source, SourceHealth};
use crate::time::Now;

impl Core {
    pub(super) fn member(&mut self, membership: Membership) {
        let step = self.step;
        let endpoint = membership.endpoint.clone();
        if self.slot(&endpoint).agent.queues.tell(membership, step) {
            self.dirty.insert(endpoint);
        }
    }

    pub(super) fn member_gone(&mut self, endpoint: Extension, queue: &str) {
        if self.slot(&endpoint).agent.queues.leave(queue) {
            self.dirty.insert(endpoint);
        }
    }

    pub(super) fn member_list(&mut self, now: Now, asked_at: Instant, members: Vec<Membership>) {
        let Some(asked) = self.resync.asked_in(asked_at) else {
            return;
        };
        let mut listed: BTreeMap<Extension, BTreeMap<String, Membership>> = BTreeMap::new();
        for member in members {
            self.slot(&member.endpoint);
            listed
                .entry(member.endpoint.clone())
                .or_default()
                .insert(member.queue.clone(), member);
        }
        let nowhere = BTreeMap::new();
        let mut asks = Vec::new();
        for (extension, slot) in &mut self.slots {
            let of_agent = listed.get(extension).unwrap_or(&nowhere);
            // A list that changes nothing may be the proof that a pause has ended.
            if slot.agent.queues.list(of_agent, asked) || slot.agent.pause.is_some() {
                self.dirty.insert(extension.clone());
            }
            let wish = slot.agent.pause.as_ref().map(|pause| &pause.wish);
            for forgotten in slot.agent.queues.forgotten(wish) {
                let detail = format!("queue {}: Asterisk forgot it", forgotten.queue);
                let what = if forgotten.paused {
                    "restore_pause"
                } else {
                    "restore_membership"
                };
                slot.book
                    .note(repair_entry(extension, &self.config, what, detail, now));
                asks.push(Ask::Restore(forgotten));
                self.dirty.insert(extension.clone());
            }
        }
        if !self.config.observe_only {
            self.outputs.extend(asks.into_iter().map(Output::Ask));
        }
        self.part_received(now, Part::Queues);
    }

    /// An Asterisk that began after it was last seen has forgotten what it kept in memory.
    pub(super) fn booted(&mut self, now: Now, up_for: Duration) {
        let SourceHealth::Syncing { since } = self.ami else {
            return;
        };
        let unseen = now.monotonic.saturating_duration_since(since.monotonic);
        if self.listed_at.is_none() || up_for > unseen {
            return;
        }
        for slot in self.slots.values_mut() {
            slot.agent.queues.restarted();
        }
        self.note_house(
            now,
            LedgerKind::Observation,
            "ami",
            "asterisk_restarted",
            format!("up for {} s", up_for.as_secs()),
        );
    }

    pub(super) fn clock_offset(&mut self, now: Now, source: Source, offset_ms: i64) {
        let before = self.offsets.insert(source, offset_ms).unwrap_or_default();
        let limit = i64::try_from(self.config.skew_limit.as_millis()).unwrap_or(i64::MAX);
        let skewed = |ms: i64| ms.abs() > limit;
        if skewed(before) != skewed(offset_ms) {
            let what = if skewed(offset_ms) {
                "clock_skewed"
            } else {
                "clock_agrees"
            };
            self.note_house(
                now,
                LedgerKind::Observation,
                source.as_str(),
                what,
                format!("{offset_ms} ms ahead of ours"),
            );
        }
        if source != Source::Ami {
            return;
        }
        // Contacts expire by Asterisk's clock. Less than the limit is as good as none: the
        // measurement itself takes its time.
        let skew = if skewed(offset_ms) {
            offset_ms / 1000
        } else {
            0
        };
        if skew == self.skew {
            return;
        }
        self.skew = skew;
        for (extension, slot) in &mut self.slots {
            for record in slot.agent.contacts.values_mut() {
                record.skew = skew;
                self.dirty.insert(extension.clone());
            }
        }
    }
}
