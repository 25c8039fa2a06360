//! Whether sound should be played earlier or later than it is.
//!
//! ```text
//! sent          slowest usual arrival     needed
//!  │◄──── transit ────►│◄─ look-ahead ─►│◄─ slack ─►│
//!  ▼                                                 ▼ now, when this sound is played
//! ```
//!
//! Slack below nought: packets come close to being late, or their redundancy comes too late to
//! help. Slack of a whole packet or more: the same sound could have been played a packet earlier.
//! Between the two lies all that cannot be gained, because the sound card asks for sound when it
//! wants to, and the network brings it in packets.

use std::time::{Duration, Instant};

use super::Pace;

/// What is to be decided on, in microseconds.
#[derive(Debug, Clone, Copy)]
pub(super) struct Situation {
    /// Since the sound that comes next was sent, in the unit of `needed`.
    pub(super) age: i64,
    /// The age at which all but very few packets are here, and what their redundancy takes.
    pub(super) needed: i64,
    /// Sound in the packet.
    pub(super) packet: i64,
    /// Decoded sound that waits before it.
    pub(super) ahead: i64,
    /// The packet behind it is here.
    pub(super) followed: bool,
}

/// Decides, and remembers what it decided on, so as not to sway to and fro.
#[derive(Debug, Default)]
pub(super) struct Decider {
    /// The highest need of late, which falls slowly.
    held: Option<(Instant, i64)>,
    stretched: Option<Instant>,
}

impl Decider {
    pub(super) fn pace(&mut self, now: Instant, it: Situation) -> Pace {
        let held = self.hold(now, it.needed);
        let surplus = it.age.saturating_sub(held);
        let pace = if it.age < it.needed {
            Pace::Longer
        } else if (surplus >= it.packet && it.followed) || (surplus >= 0 && it.ahead >= WORTHWHILE)
        {
            Pace::Shorter
        } else {
            Pace::Even
        };
        let urgent = surplus.abs() >= URGENT;
        if pace == Pace::Even || (self.has_just_stretched(now) && !urgent) {
            return Pace::Even;
        }
        self.stretched = Some(now);
        pace
    }

    /// The need rises at once and falls by a two-hundredth of the time that passes.
    fn hold(&mut self, now: Instant, needed: i64) -> i64 {
        let held = self.held.map_or(needed, |(then, held)| {
            let passed = now.saturating_duration_since(then).as_micros() as i64;
            // Far off: the clock jumped.
            match held.saturating_sub(passed / 200) {
                fallen if fallen.abs_diff(needed) < FAR => fallen.max(needed),
                _ => needed,
            }
        });
        self.held = Some((now, held));
        held
    }

    fn has_just_stretched(&self, now: Instant) -> bool {
        self.stretched
            .is_some_and(|then| now.saturating_duration_since(then) < PAUSE)
    }
}

/// A surplus of decoded sound that is worth being cut, in microseconds: no pitch period is shorter.
const WORTHWHILE: i64 = 2_500;

/// Off by so many microseconds, every packet is stretched.
const URGENT: i64 = 30_000;

/// A need that differs by so many microseconds belongs to another clock.
const FAR: u64 = 1_000_000;

/// Else one in three is, which nobody hears.
const PAUSE: Duration = Duration::from_millis(50);

#[cfg(test)]
mod tests {
    use super::*;

    const NEEDED: i64 = 30_000;

    fn situation(age: i64, ahead: i64) -> Situation {
        Situation {
            age,
            needed: NEEDED,
            packet: 20_000,
            ahead,
            followed: true,
        }
    }

    fn first_pace(age: i64, ahead: i64) -> Pace {
        let now = rollcall_testkit::Clock::new().now();
        Decider::default().pace(now, situation(age, ahead))
    }

    #[test]
    fn sound_is_kept_a_packet_or_less_above_what_is_needed() {
        assert_eq!(first_pace(NEEDED - 1, 0), Pace::Longer);
        assert_eq!(first_pace(NEEDED, 0), Pace::Even);
        assert_eq!(first_pace(NEEDED + 19_999, 0), Pace::Even);
        assert_eq!(first_pace(NEEDED + 20_000, 0), Pace::Shorter);
    }

    #[test]
    fn sound_is_not_cut_where_nothing_follows_to_fill_the_gap() {
        let now = rollcall_testkit::Clock::new().now();
        let alone = Situation {
            followed: false,
            ..situation(NEEDED + 25_000, 0)
        };
        assert_eq!(Decider::default().pace(now, alone), Pace::Even);
    }

    #[test]
    fn decoded_sound_that_waits_for_nothing_is_cut() {
        assert_eq!(first_pace(NEEDED, WORTHWHILE), Pace::Shorter);
        assert_eq!(first_pace(NEEDED - 1, WORTHWHILE), Pace::Longer);
    }

    #[test]
    fn a_need_that_falls_is_believed_slowly_and_one_that_rises_at_once() {
        let mut now = rollcall_testkit::Clock::new().now();
        let mut decider = Decider::default();
        decider.pace(now, situation(NEEDED, 0));
        let eased = Situation {
            needed: NEEDED - 10_000,
            ..situation(NEEDED + 10_000, 0)
        };
        now += Duration::from_secs(1);
        assert_eq!(decider.pace(now, eased), Pace::Even);
        now += Duration::from_secs(2);
        assert_eq!(decider.pace(now, eased), Pace::Shorter);
        now += Duration::from_secs(1);
        let risen = Situation {
            needed: NEEDED + 20_000,
            ..eased
        };
        assert_eq!(decider.pace(now, risen), Pace::Longer);
    }

    #[test]
    fn only_what_is_far_off_is_stretched_without_a_pause() {
        let mut now = rollcall_testkit::Clock::new().now();
        let mut decider = Decider::default();
        let mut paces = |age: i64| {
            let mut paces = Vec::new();
            for _ in 0..4 {
                now += Duration::from_millis(20);
                paces.push(decider.pace(now, situation(age, 0)));
            }
            now += Duration::from_secs(1);
            paces
        };
        use Pace::{Even, Shorter};
        assert_eq!(paces(NEEDED + 25_000), [Shorter, Even, Even, Shorter]);
        assert_eq!(paces(NEEDED + 90_000), [Shorter; 4]);
    }
}
