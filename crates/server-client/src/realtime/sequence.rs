//! Whether the changes that arrive are all that happened.

use std::time::{Duration, Instant};

use rollcall_wire::realtime::{AgentStatus, AgentsSnapshot};

/// How long an asked-for snapshot may take before it is asked for again.
const PATIENCE: Duration = Duration::from_secs(2);

/// The place in the board's sequence that this client stands at.
#[derive(Debug, Default)]
pub(super) struct Sequence {
    at: Option<(String, u64)>,
    /// When a snapshot was last asked for and has not come since.
    asked: Option<Instant>,
}

/// What to do with a change.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Verdict {
    /// It is the next: hand it on.
    Next,
    /// It is known already, or its snapshot is on the way.
    Skip,
    /// Something is missing: ask for a snapshot.
    Ask,
}

impl Sequence {
    /// A snapshot came: the new place to stand at.
    pub(super) fn snapshot(&mut self, snapshot: &AgentsSnapshot) {
        self.at = Some((snapshot.epoch.clone(), snapshot.seq));
        self.asked = None;
    }

    /// A change came.
    pub(super) fn status(&mut self, status: &AgentStatus, now: Instant) -> Verdict {
        match &mut self.at {
            Some((epoch, seq)) if *epoch == status.epoch && status.seq <= *seq => Verdict::Skip,
            Some((epoch, seq)) if *epoch == status.epoch && status.seq == *seq + 1 => {
                *seq = status.seq;
                Verdict::Next
            }
            _ => {
                self.at = None;
                self.ask(now)
            }
        }
    }

    /// What was handed on got lost on our own side: nothing that follows can be trusted.
    pub(super) fn lost(&mut self) {
        self.at = None;
    }

    fn ask(&mut self, now: Instant) -> Verdict {
        let waiting = self
            .asked
            .is_some_and(|asked| now.duration_since(asked) < PATIENCE);
        if waiting {
            return Verdict::Skip;
        }
        self.asked = Some(now);
        Verdict::Ask
    }
}

#[cfg(test)]
mod tests {
    use std::collections::BTreeMap;

    use rollcall_wire::board::{Agent, BoardStatus, ContactStatus};

    use super::*;

    fn snapshot(epoch: &str, seq: u64) -> AgentsSnapshot {
        AgentsSnapshot {
            epoch: epoch.into(),
            seq,
            agents: vec![],
        }
    }

    fn status(epoch: &str, seq: u64) -> AgentStatus {
        AgentStatus {
            epoch: epoch.into(),
            seq,
            agent: Agent {
                extension: "1001".into(),
                status: BoardStatus::Offline,
                contact_status: ContactStatus::Expired,
                online: false,
                sip_registered: false,
                reasons: vec![],
                since: 0,
                sources: BTreeMap::new(),
                devices: vec![],
            },
        }
    }

    #[test]
    fn changes_in_order_are_handed_on_and_known_ones_are_not() {
        let (mut sequence, now) = (Sequence::default(), Instant::now());
        sequence.snapshot(&snapshot("e", 4));
        assert_eq!(sequence.status(&status("e", 4), now), Verdict::Skip);
        assert_eq!(sequence.status(&status("e", 5), now), Verdict::Next);
        assert_eq!(sequence.status(&status("e", 5), now), Verdict::Skip);
        assert_eq!(sequence.status(&status("e", 6), now), Verdict::Next);
    }

    #[test]
    fn a_gap_or_another_epoch_asks_once_and_trusts_nothing_until_the_snapshot() {
        for strange in [status("e", 6), status("f", 5)] {
            let (mut sequence, now) = (Sequence::default(), Instant::now());
            sequence.snapshot(&snapshot("e", 4));
            assert_eq!(sequence.status(&strange, now), Verdict::Ask);
            assert_eq!(sequence.status(&status("e", 5), now), Verdict::Skip);
            let later = now + PATIENCE;
            assert_eq!(sequence.status(&status("e", 7), later), Verdict::Ask);
            sequence.snapshot(&snapshot("e", 7));
            assert_eq!(sequence.status(&status("e", 8), later), Verdict::Next);
        }
    }

    #[test]
    fn a_change_that_was_lost_on_our_side_is_a_gap() {
        let (mut sequence, now) = (Sequence::default(), Instant::now());
        sequence.snapshot(&snapshot("e", 4));
        sequence.lost();
        assert_eq!(sequence.status(&status("e", 5), now), Verdict::Ask);
    }
}
