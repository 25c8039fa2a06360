//! The proof of availability at the click: answered from lists that were asked for after the
//! question.

use std::time::Instant;

use super::Core;
use crate::names::{Extension, RequestId};
use crate::output::{Answer, Refusal, ResyncReason};
use crate::time::Now;

/// Questions that may wait for the next lists.
const WAITING: usize = 1024;

/// One that asks.
#[derive(Debug)]
pub(super) struct Question {
    request: RequestId,
    extension: Extension,
    /// Lists asked for in this step or later answer it.
    step: u64,
    until: Instant,
}

impl Core {
    pub(super) fn prove(
        &mut self,
        now: Now,
        request: RequestId,
        extension: Extension,
    ) -> Result<(), Refusal> {
        let known = self
            .slots
            .get(&extension)
            .is_some_and(|slot| slot.agent.known);
        if !known {
            return Err(Refusal::UnknownExtension);
        }
        if !self.resync.is_linked() || self.questions.len() >= WAITING {
            self.reply_all(vec![(request, Answer::Proof(None))]);
            return Ok(());
        }
        self.resync.want(ResyncReason::Proof);
        self.questions.push_back(Question {
            request,
            extension,
            step: self.step,
            until: now.monotonic + self.config.proof_patience,
        });
        Ok(())
    }

    /// Full lists are there that were asked for in `asked`.
    pub(super) fn lists_answer(&mut self, asked: u64) {
        self.proved_until = self.proved_until.max(asked);
    }

    /// Answers whom the lists answer, with what is published, and gives up on those that waited
    /// too long.
    pub(super) fn answer_questions(&mut self, now: Now) {
        let mut replies = Vec::new();
        let proved = self.proved_until;
        let slots = &self.slots;
        self.questions.retain(|question| {
            let slot = slots.get(&question.extension);
            // What was found out since has to be committed before it is said (R8).
            let said = slot.is_none_or(|slot| !slot.book.is_in_flight());
            let answered = question.step <= proved && said;
            if !answered && now.monotonic < question.until {
                return true;
            }
            let view = slot
                .filter(|_| answered)
                .and_then(|slot| slot.published.clone());
            replies.push((question.request, Answer::Proof(view.map(Box::new))));
            false
        });
        self.reply_all(replies);
    }

    pub(super) fn next_question(&self) -> Option<Instant> {
        self.questions.iter().map(|question| question.until).min()
    }
}
