//! Pauses that people ask for: recorded as what they want, asked of the queues until those are seen
//! to do so, and shown as what is not confirmed meanwhile (R2).

use super::intents::recall;
use super::throttle::Throttle;
use super::{Core, Slot};
use crate::book::{Keyed, Wanted};
use crate::config::{Config, Registrar};
use crate::input::PauseIntent;
use crate::ledger::{LedgerEntry, LedgerKind};
use crate::names::RequestId;
use crate::output::{Ask, QueueOrder, Refusal};
use crate::pause::{Pause, PauseWish};
use crate::time::Now;

impl Core {
    pub(super) fn pause(
        &mut self,
        now: Now,
        request: RequestId,
        intent: PauseIntent,
    ) -> Result<(), Refusal> {
        let PauseIntent {
            extension,
            reason,
            by,
            key,
        } = intent;
        let step = self.step;
        let slot = self
            .slots
            .get_mut(&extension)
            .filter(|slot| slot.agent.known)
            .ok_or(Refusal::UnknownExtension)?;
        let word = reason.as_ref().map_or("", |reason| reason.as_str());
        let keyed = key.map(|key| Keyed {
            key,
            content: format!("pause {by} {word}"),
        });
        if let Some(answered) = recall(slot, request, keyed.as_ref())? {
            self.reply_all(answered);
            return Ok(());
        }
        if slot.agent.sessions.iter().all(|session| session.is_ended()) {
            return Err(Refusal::NotSignedIn);
        }
        let wish = match reason {
            Some(reason) => PauseWish::Paused(reason),
            None => PauseWish::Ended(None),
        };
        let own = slot.agent.session(&by).is_some();
        let said = match &wish {
            PauseWish::Paused(reason) => {
                ("pause_asked", format!("{reason}; asked in session {by}"))
            }
            PauseWish::Ended(_) => ("pause_end_asked", format!("asked in session {by}")),
        };
        slot.book.note(LedgerEntry {
            at_unix_ms: now.unix_ms,
            extension: Some(extension.clone()),
            device: None,
            kind: LedgerKind::Intent,
            source: if own { "agent" } else { "supervisor" },
            rule: None,
            what: said.0,
            detail: said.1,
        });
        slot.want_pause(wish, now, step);
        slot.book.wait(request, Wanted::Pause, keyed);
        self.dirty.insert(extension);
        Ok(())
    }
}

impl Slot {
    /// Says the same again: it is wanted since it was said first.
    fn want_pause(&mut self, wish: PauseWish, now: Now, step: u64) {
        if self.agent.pause.as_ref().map(|pause| &pause.wish) == Some(&wish) {
            return;
        }
        self.agent.pause = Some(Pause {
            wish,
            since_unix_ms: now.unix_ms,
            step,
        });
    }

    /// Nobody is signed in any more: the pause that was asked for goes with the last session.
    pub(super) fn end_pause_of_session(&mut self, now: Now, step: u64) {
        if self
            .agent
            .sessions
            .iter()
            .any(|session| !session.is_ended())
        {
            return;
        }
        if let Some(PauseWish::Paused(reason)) = self.agent.pause.as_ref().map(|pause| &pause.wish)
        {
            let reason = reason.clone();
            self.want_pause(PauseWish::Ended(Some(reason)), now, step);
        }
    }

    /// What the queues are to be told, if they do not do as is wanted.
    pub(super) fn order_pause(
        &mut self,
        now: Now,
        config: &Config,
        throttle: &mut Throttle,
    ) -> Option<Ask> {
        let queues = &self.agent.queues;
        let order = match &self.agent.pause.as_ref()?.wish {
            PauseWish::Paused(reason) if queues.is_paused_throughout(reason) => {
                self.agent.queues.asked = None;
                return None;
            }
            PauseWish::Paused(reason) => QueueOrder::Pause {
                reason: reason.clone(),
            },
            PauseWish::Ended(of) => QueueOrder::Unpause {
                queues: queues.paused_for(of.as_ref()),
            },
        };
        if matches!(&order, QueueOrder::Unpause { queues } if queues.is_empty()) {
            return None;
        }
        let again = queues
            .asked
            .as_ref()
            .is_some_and(|(_, last)| last.is_as(&order));
        let ask = self.order_queues(now, config, throttle, order)?;
        if again {
            // The first time it is in the intent's own line.
            let entry = LedgerEntry {
                at_unix_ms: now.unix_ms,
                extension: Some(self.agent.extension.clone()),
                device: None,
                kind: LedgerKind::Repair,
                source: "server",
                rule: Some("R2"),
                what: "pause_asked_again",
                detail: "the queues are not as was asked".to_owned(),
            };
            self.book.note(entry);
        }
        Some(ask)
    }

    /// Forgets an end that is fulfilled; true while a list is needed that tells whether it is. An event
    /// does not: an older order to pause may still be on its way.
    pub(super) fn awaits_pause_end(&mut self, config: &Config) -> bool {
        let Some(pause) = &self.agent.pause else {
            return false;
        };
        if matches!(pause.wish, PauseWish::Paused(_)) || !pause.is_fulfilled(&self.agent.queues) {
            return false;
        }
        let told =
            config.registrar != Registrar::Linked || self.agent.queues.is_listed_since(pause.step);
        if told {
            self.agent.pause = None;
        }
        !told
    }
}
