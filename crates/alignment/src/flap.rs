//! Hysteresis: who comes and goes again and again counts as there only once it stays.

use std::collections::VecDeque;
use std::time::Instant;

use crate::board::{AgentView, BoardStatus, ReasonCode};
use crate::config::Config;

/// When an agent lately ceased to be Available for want of its phone or its app.
#[derive(Debug, Default)]
pub(crate) struct Flaps {
    dips: VecDeque<Instant>,
    steady_at: Option<Instant>,
}

impl Flaps {
    /// The decision is another than before. What we lost sight of ourselves (R9), and a pause that somebody asked for,
    /// is nobody's coming and going.
    pub(crate) fn decided(
        &mut self,
        before: BoardStatus,
        after: &AgentView,
        now: Instant,
        config: &Config,
    ) {
        let lost = matches!(
            after.status,
            BoardStatus::NotAvailable | BoardStatus::Unknown
        );
        let others = after.reasons.iter().any(|reason| !is_theirs(reason.code));
        if before != BoardStatus::Available || !lost || others {
            return;
        }
        self.dips.push_back(now);
        self.dips
            .retain(|at| now.saturating_duration_since(*at) <= config.flap_window);
        if self.dips.len() >= config.flaps {
            self.steady_at = Some(now + config.settle);
        }
    }

    /// From when it may be Available again, if that is not yet.
    pub(crate) fn steady_at(&self, now: Instant) -> Option<Instant> {
        self.steady_at.filter(|at| *at > now)
    }
}

/// Whether a reason speaks of the agent's phone or app, not of the server and its sources or of what people asked.
fn is_theirs(code: ReasonCode) -> bool {
    use ReasonCode::*;
    !matches!(
        code,
        AmiLost
            | AmiSyncing
            | DatabaseLost
            | NotSaved
            | ServerRestarted
            | ServerSuspect
            | PauseAsked
            | PauseEndAsked
    )
}
