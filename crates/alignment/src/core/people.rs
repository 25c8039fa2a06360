//! Who has which extension. One that changes hands takes nothing of the last owner along.

use std::collections::BTreeSet;

use super::Core;
use crate::input::{EndReason, Person};
use crate::ledger::{LedgerEntry, LedgerKind};
use crate::names::Extension;
use crate::output::Output;
use crate::time::Now;

impl Core {
    /// Everybody: who is missing has no extension any more.
    pub(super) fn people(&mut self, now: Now, people: Vec<Person>) {
        let named: BTreeSet<Extension> = people
            .iter()
            .map(|person| person.extension.clone())
            .collect();
        for person in people {
            self.person(now, person);
        }
        let gone: Vec<Extension> = self
            .slots
            .iter()
            .filter(|(extension, slot)| slot.agent.known && !named.contains(extension))
            .map(|(extension, _)| extension.clone())
            .collect();
        for extension in gone {
            self.end_ownership(now, &extension, "extension_withdrawn");
            self.leave_board(extension);
        }
    }

    /// Nobody's any more: what is still seen there is followed, and nobody is told of it.
    fn leave_board(&mut self, extension: Extension) {
        let slot = self.slot(&extension);
        slot.agent.known = false;
        slot.agent.person = None;
        slot.book.forget_user();
        slot.decided = None;
        slot.published = None;
        self.outputs.push_back(Output::Withdrawn(extension));
    }

    pub(super) fn person(&mut self, now: Now, person: Person) {
        let Person { extension, owner } = person;
        let slot = self.slot(&extension);
        let before = slot.agent.person.replace(owner);
        if !slot.agent.known {
            slot.agent.known = true;
            // What was concluded while it was nobody's is on no record.
            slot.decided = None;
            self.dirty.insert(extension.clone());
        }
        if before.is_some_and(|before| before != owner) {
            self.end_ownership(now, &extension, "extension_handed_over");
            let slot = self.slot(&extension);
            slot.agent.handed_over = Some(now.monotonic);
            slot.book.forget_user();
            // How long the last owner was in whatever state is no age of the new one's.
            slot.agent.last_end = Some(EndReason::Reassigned);
            slot.agent.decided_before = None;
            slot.decided = None;
            // Nor is anything of the last one said of the new, whose row in the table is another.
            if let Some(published) = &mut slot.published {
                (published.online, published.sip_registered) = (false, false);
                published.pause = None;
                published.devices.clear();
            }
            self.dirty.insert(extension);
        }
    }

    /// Sessions end and their contacts go, whatever call is going on: it is Asterisk's to finish.
    fn end_ownership(&mut self, now: Now, extension: &Extension, what: &'static str) {
        let slot = self.slot(extension);
        let live: Vec<_> = slot
            .agent
            .sessions
            .iter()
            .filter(|record| !record.is_ended())
            .map(|record| record.session.id.clone())
            .collect();
        if live.is_empty() {
            return;
        }
        for session in &live {
            slot.end_session(session, EndReason::Reassigned, now);
        }
        slot.book.note(LedgerEntry {
            at_unix_ms: now.unix_ms,
            extension: Some(extension.clone()),
            device: None,
            kind: LedgerKind::Intent,
            source: "admin",
            rule: None,
            what,
            detail: String::new(),
        });
        self.dirty.insert(extension.clone());
    }
}
