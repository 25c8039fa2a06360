//! Whether the changes that arrive are all that happened.

use std::time::{Duration, Instant};

use rollcall_wire::realtime::{AgentStatus, AgentsSnapshot};

/// How long a snapshot that was asked for may take before it is asked for again, at first and at last.
const PATIENCE: (Duration, Duration) = (Duration::from_secs(2), Duration::from_secs(32));

/// The place in the board's sequence that this client stands at.
#[derive(Debug)]
pub(super) struct Sequence {
    at: Option<(String, u64)>,
    /// When to ask for a snapshot; none while the sequence is whole.
    ask_at: Option<Instant>,
    patience: Duration,
}

/// What to do with a change.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Verdict {
    /// It is the next: hand it on.
    Next,
    /// It is known already, or a snapshot is awaited.
    Skip,
    /// Something before it is missing.
    Gap,
}

impl Sequence {
    /// A connection begins: the server sends a snapshot of its own accord.
    pub(super) fn new(now: Instant) -> Self {
        Self {
            at: None,
            ask_at: Some(now + PATIENCE.0),
            patience: PATIENCE.0,
        }
    }

    /// A snapshot came: the new place to stand at.
    pub(super) fn snapshot(&mut self, snapshot: &AgentsSnapshot) {
        self.at = Some((snapshot.epoch.clone(), snapshot.seq));
        self.ask_at = None;
        self.patience = PATIENCE.0;
    }

    /// A change came. A gap is to be asked about at once.
    pub(super) fn status(&mut self, status: &AgentStatus, now: Instant) -> Verdict {
        match &mut self.at {
            Some((epoch, seq)) if *epoch == status.epoch && status.seq <= *seq => Verdict::Skip,
            Some((epoch, seq)) if *epoch == status.epoch && status.seq == *seq + 1 => {
                *seq = status.seq;
                Verdict::Next
            }
            Some(_) => {
                self.at = None;
                self.ask_at = Some(now);
                Verdict::Gap
            }
            None => Verdict::Skip,
        }
    }

    /// What came could not be read, or got lost on our own side: nothing that follows can be trusted. It is asked for
    /// again, not at once, since the next answer may be as unreadable as this one. True if it was trusted until now.
    pub(super) fn lost(&mut self, now: Instant) -> bool {
        self.ask_at.get_or_insert(now + self.patience);
        self.at.take().is_some()
    }

    /// When [`Self::asks`] becomes true by itself.
    pub(super) fn ask_at(&self) -> Option<Instant> {
        self.ask_at
    }

    /// Whether to ask for a snapshot now. What is asked for may take longer each time.
    pub(super) fn asks(&mut self, now: Instant) -> bool {
        let due = self.ask_at.is_some_and(|at| at <= now);
        if due {
            self.ask_at = Some(now + self.patience);
            self.patience = (self.patience * 2).min(PATIENCE.1);
        }
        due
    }
}

#[cfg(test)]
mod tests {
    use std::collections::BTreeMap;

    use rollcall_wire::board::{Agent, BoardStatus, ContactStatus};

    use super::*;

    fn snapshot(epoch: &str, seq: u64) -> AgentsSnapshot {
        AgentsSnapshot {
            mode: "mirror".into(),
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
                pause: None,
                sources: BTreeMap::new(),
                devices: vec![],
            },
        }
    }

    fn standing(now: Instant) -> Sequence {
        let mut sequence = Sequence::new(now);
        sequence.snapshot(&snapshot("e", 4));
        sequence
    }

    #[test]
    fn changes_in_order_are_handed_on_and_known_ones_are_not() {
        let now = Instant::now();
        let mut sequence = standing(now);
        assert_eq!(sequence.status(&status("e", 4), now), Verdict::Skip);
        assert_eq!(sequence.status(&status("e", 5), now), Verdict::Next);
        assert_eq!(sequence.status(&status("e", 5), now), Verdict::Skip);
        assert_eq!(sequence.status(&status("e", 6), now), Verdict::Next);
        assert_eq!(sequence.ask_at(), None);
    }

    #[test]
    fn a_gap_or_another_epoch_asks_at_once_and_trusts_nothing_until_the_snapshot() {
        for strange in [status("e", 6), status("f", 5)] {
            let now = Instant::now();
            let mut sequence = standing(now);
            assert_eq!(sequence.status(&strange, now), Verdict::Gap);
            assert!(sequence.asks(now));
            assert_eq!(sequence.status(&status("e", 5), now), Verdict::Skip);
            assert!(!sequence.asks(now), "once is enough for now");
            sequence.snapshot(&snapshot("e", 7));
            assert_eq!(sequence.status(&status("e", 8), now), Verdict::Next);
        }
    }

    #[test]
    fn a_snapshot_that_does_not_come_is_asked_for_again_without_any_change_ever_less_often() {
        let mut now = Instant::now();
        let mut sequence = Sequence::new(now);
        assert!(!sequence.asks(now), "the server sends the first by itself");
        let mut waits = Vec::new();
        for _ in 0..7 {
            let at = sequence.ask_at().unwrap();
            waits.push((at - now).as_secs());
            now = at;
            assert!(sequence.asks(now));
        }
        assert_eq!(waits, [2, 2, 4, 8, 16, 32, 32]);
    }

    #[test]
    fn what_was_lost_on_our_side_is_asked_for_even_if_nothing_follows() {
        let now = Instant::now();
        let mut sequence = standing(now);
        assert!(sequence.lost(now));
        assert!(!sequence.lost(now), "it was lost before");
        assert_eq!(sequence.status(&status("e", 5), now), Verdict::Skip);
        assert!(!sequence.asks(now), "not in a circle with the server");
        assert_eq!(sequence.ask_at(), Some(now + PATIENCE.0));
        assert!(sequence.asks(now + PATIENCE.0));
    }
}
