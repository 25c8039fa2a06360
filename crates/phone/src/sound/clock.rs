//! The media clock: when each 20 ms are due, however late the computer lets us run.
//!
//! A busy computer runs the media thread late now and then. What is played then is still the sound for the moment at which
//! it was due, and a packet that was there when the thread ran at last was there in time: by any other measure the jitter
//! buffer would take the computer's unrest for the network's, and stretch speech because of it.

use std::cell::Cell;
use std::rc::Rc;
use std::time::{Duration, Instant};

const TICK: Duration = Duration::from_millis(20);
/// Later than this, missed ticks are skipped rather than caught up with.
const MAX_LAG: Duration = Duration::from_millis(200);

/// Shared by the tick and by those who read its sockets, on one thread.
#[derive(Debug, Clone)]
pub(super) struct MediaClock(Rc<Cell<Instant>>);

impl MediaClock {
    /// The first tick is due now.
    pub(super) fn new(now: Instant) -> MediaClock {
        MediaClock(Rc::new(Cell::new(now)))
    }

    /// When the next tick is due.
    pub(super) fn due(&self) -> Instant {
        self.0.get()
    }

    /// The next tick is due now.
    pub(super) fn begin(&self, now: Instant) {
        self.0.set(now);
    }

    /// A tick runs: the moment its sound is for. The next is due 20 ms later.
    pub(super) fn turn(&self, now: Instant) -> Instant {
        let due = match self.due() {
            due if now.saturating_duration_since(due) > TICK + MAX_LAG => now,
            due => due,
        };
        self.0.set(due + TICK);
        due
    }

    /// When a packet came that is read now: before the tick that is due, if that has yet to run.
    pub(super) fn arrival(&self, now: Instant) -> Instant {
        now.min(self.due())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn ms(ms: u64) -> Duration {
        Duration::from_millis(ms)
    }

    #[test]
    fn late_ticks_are_for_the_moments_at_which_they_were_due() {
        let start = Instant::now();
        let clock = MediaClock::new(start);
        for (runs, due) in [(0, 0), (27, 20), (90, 40), (90, 60), (90, 80), (101, 100)] {
            assert_eq!(clock.turn(start + ms(runs)), start + ms(due));
        }
    }

    #[test]
    fn after_a_long_standstill_the_clock_begins_anew() {
        let start = Instant::now();
        let clock = MediaClock::new(start);
        assert_eq!(clock.turn(start + ms(220)), start, "it catches up");
        assert_eq!(clock.turn(start + ms(241)), start + ms(241));
        assert_eq!(clock.due(), start + ms(261));
    }

    #[test]
    fn what_is_there_when_a_late_tick_runs_came_in_time_for_it() {
        let start = Instant::now();
        let clock = MediaClock::new(start);
        clock.turn(start);
        assert_eq!(clock.arrival(start + ms(7)), start + ms(7));
        assert_eq!(clock.arrival(start + ms(33)), start + ms(20));
        assert_eq!(clock.turn(start + ms(33)), start + ms(20));
        assert_eq!(clock.arrival(start + ms(34)), start + ms(34));
    }
}
