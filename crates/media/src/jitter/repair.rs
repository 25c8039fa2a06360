//! How far ahead of the loudspeaker packets should be, for the redundancy in them to help.
//!
//! What restores a lost packet comes in a later one: to use it, the later one must be here when the
//! lost one's turn comes. That costs delay, and is spent only while packets are lost, and only as
//! much as the usual run of losses needs.

/// Counts losses by the length of their runs, and forgets.
#[derive(Debug, Default)]
pub(super) struct Repair {
    /// Weight of all packets of late.
    packets: f32,
    /// Weight of the lost ones among them, by the length of the run they were lost in; the last
    /// for all longer ones.
    runs: [f32; LONGEST_RUN],
    /// The most ticks that a packet of late could restore: in pauses they carry nothing.
    reach: u32,
    /// Packets since one could restore so much.
    since: u32,
    /// Packets that should be ahead, which falls only after a while: to sway would be heard.
    ahead: u32,
    /// Packets since so many were needed.
    eased: u32,
}

impl Repair {
    /// A packet was played, after `lost` others that were not there.
    pub(super) fn note(&mut self, lost: u64, redundancy: u32) {
        let passed = lost.min(FORGETS_ALL) as u32 + 1;
        self.since += passed;
        if redundancy >= self.reach || self.since > REMEMBERED {
            self.reach = redundancy;
            self.since = 0;
        }
        let fade = FORGET.powi(passed as i32);
        self.packets = self.packets * fade + passed as f32;
        for run in &mut self.runs {
            *run *= fade;
        }
        let length = (lost as usize).min(LONGEST_RUN);
        if let Some(run) = length.checked_sub(1).and_then(|at| self.runs.get_mut(at)) {
            *run += (passed - 1) as f32;
        }
        let needed = self.needed();
        self.eased += passed;
        if needed >= self.ahead || self.eased > 2 * REMEMBERED {
            self.ahead = needed;
            self.eased = 0;
        }
    }

    /// Packets that should wait behind the one that is played.
    pub(super) fn packets_ahead(&self) -> u32 {
        self.ahead
    }

    fn needed(&self) -> u32 {
        let lost: f32 = self.runs.iter().sum();
        if self.reach == 0 || lost < self.packets.max(WARM) * WORTH_IT {
            return 0;
        }
        let mut covered = 0.0;
        let enough = self.runs.iter().position(|run| {
            covered += run;
            covered >= lost * MOST
        });
        enough.map_or(LONGEST_RUN, |at| at + 1) as u32
    }

    /// Ticks that the packets of late can restore.
    pub(super) fn reach(&self) -> u32 {
        self.reach
    }
}

/// Runs of more are not waited for.
const LONGEST_RUN: usize = 4;

/// Each packet makes the earlier ones lighter by this: as many as [`REMEMBERED`] are remembered.
const FORGET: f32 = 0.996;

/// Packets; five seconds.
const REMEMBERED: u32 = 250;

/// After so many lost packets nothing of the time before matters.
const FORGETS_ALL: u64 = 2_000;

/// Below this share of losses, redundancy is not worth its delay.
const WORTH_IT: f32 = 0.01;

/// Packets before which a single loss is no share.
const WARM: f32 = 50.0;

/// Share of the losses that is to be restored.
const MOST: f32 = 0.85;

#[cfg(test)]
mod tests {
    use rand::rngs::StdRng;
    use rand::{Rng, SeedableRng};

    use super::*;

    fn after_loss(loss: f64, redundancy: u32) -> Repair {
        let mut random = StdRng::seed_from_u64(3);
        let mut repair = Repair::default();
        let mut lost = 0;
        for _ in 0..2_000 {
            if random.random_bool(loss) {
                lost += 1;
            } else {
                repair.note(std::mem::take(&mut lost), redundancy);
            }
        }
        repair
    }

    #[test]
    fn without_loss_or_without_redundancy_nothing_is_waited_for() {
        assert_eq!(after_loss(0.0, 960).packets_ahead(), 0);
        assert_eq!(after_loss(0.003, 960).packets_ahead(), 0);
        assert_eq!(after_loss(0.2, 0).packets_ahead(), 0);
    }

    #[test]
    fn the_more_is_lost_in_a_row_the_further_ahead() {
        assert_eq!(after_loss(0.03, 960).packets_ahead(), 1);
        assert_eq!(after_loss(0.2, 4_800).packets_ahead(), 2);
        assert!(after_loss(0.4, 4_800).packets_ahead() > 2);
    }

    #[test]
    fn a_pause_without_redundancy_does_not_make_it_forgotten() {
        let mut repair = after_loss(0.1, 960);
        let before = repair.packets_ahead();
        for _ in 0..20 {
            repair.note(0, 0);
        }
        assert_eq!((repair.packets_ahead(), repair.reach()), (before, 960));
        for _ in 0..300 {
            repair.note(0, 0);
        }
        assert_eq!(repair.reach(), 0);
    }

    #[test]
    fn loss_that_ends_is_forgotten() {
        let mut repair = after_loss(0.2, 960);
        for _ in 0..2_000 {
            repair.note(0, 960);
        }
        assert_eq!(repair.packets_ahead(), 0);
    }

    #[test]
    fn an_endless_hole_is_one_long_run() {
        let mut repair = Repair::default();
        repair.note(u64::MAX, 960);
        assert_eq!(repair.packets_ahead(), LONGEST_RUN as u32);
    }
}
