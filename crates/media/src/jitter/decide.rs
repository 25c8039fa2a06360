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
//!
//! So what is begun is brought to its end, a whole packet further: less would change nothing but the
//! sound. And nothing is begun for a slack that sways around a limit. Pauses of speech are waited
//! for, where the need is not pressing: nobody hears what is done there.

use std::time::{Duration, Instant};

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

/// What should be done to the sound that comes next.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Wish {
    /// Nothing.
    Even,
    /// Leave out at most so many microseconds; `anywhere`: also of speech.
    Shorter { most: i64, anywhere: bool },
    /// Put some in; `anywhere`: also into speech.
    Longer { anywhere: bool },
}

/// Decides, and remembers what it decided on, so as not to sway to and fro.
#[derive(Debug, Default)]
pub(super) struct Decider {
    /// The highest need of late, which falls slowly.
    held: Option<(Instant, i64)>,
    /// The age of sound when it began to be too low.
    growing: Option<i64>,
    /// Since when it should be another, and whether that is longer.
    wished: Option<(Instant, bool)>,
    /// When speech was stretched last.
    stretched: Option<Instant>,
}

impl Decider {
    pub(super) fn pace(&mut self, now: Instant, it: Situation) -> Wish {
        let held = self.hold(now, it.needed);
        let surplus = it.age.saturating_sub(held);
        if self.has_to_grow(it) {
            let pressing = it.needed.saturating_sub(it.age) >= URGENT;
            let anywhere = self.may_touch_speech(now, true, pressing);
            return Wish::Longer { anywhere };
        }
        let most = match surplus {
            surplus if surplus >= it.packet + it.packet / MARGIN && it.followed => it.packet,
            0.. if it.ahead >= WORTHWHILE => it.ahead,
            _ => {
                self.wished = None;
                return Wish::Even;
            }
        };
        let pressing = surplus >= it.packet + URGENT;
        let anywhere = self.may_touch_speech(now, false, pressing);
        Wish::Shorter { most, anywhere }
    }

    /// Sound is younger than it has to be, or was and is not yet a packet older.
    fn has_to_grow(&mut self, it: Situation) -> bool {
        let grown = |from: i64| it.age >= from.saturating_add(it.packet / 2);
        self.growing = self.growing.filter(|from| !grown(*from));
        if it.age < it.needed {
            self.growing.get_or_insert(it.age);
        }
        self.growing.is_some()
    }

    /// Pauses were waited for in vain, or there is no time for that; and what was changed last is some way off.
    fn may_touch_speech(&mut self, now: Instant, longer: bool, pressing: bool) -> bool {
        let since = match self.wished {
            Some((since, kind)) if kind == longer => since,
            _ => now,
        };
        self.wished = Some((since, longer));
        let patience = if longer {
            LATE_AT_WORST
        } else {
            EARLY_AT_WORST
        };
        let waited = now.saturating_duration_since(since) >= patience;
        let touch = pressing || (waited && !self.has_just_stretched(now));
        if touch {
            self.stretched = Some(now);
        }
        touch
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

/// This part of a packet above a packet of surplus, or the next late packet would have it put in again.
const MARGIN: i64 = 4;

/// Off by so many microseconds, the next pause is too far away.
const URGENT: i64 = 30_000;

/// How long a pause is waited for while packets may be late.
const LATE_AT_WORST: Duration = Duration::from_secs(1);

/// How long while all that is lost is time.
const EARLY_AT_WORST: Duration = Duration::from_secs(10);

/// A need that differs by so many microseconds belongs to another clock.
const FAR: u64 = 1_000_000;

/// Of speech that is not pressed for time, one packet in three is stretched, which nobody hears.
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

    const LONGER: Wish = Wish::Longer { anywhere: false };

    fn shorter(most: i64) -> Wish {
        Wish::Shorter {
            most,
            anywhere: false,
        }
    }

    fn first_pace(age: i64, ahead: i64) -> Wish {
        let now = rollcall_testkit::Clock::new().now();
        Decider::default().pace(now, situation(age, ahead))
    }

    #[test]
    fn sound_is_kept_a_packet_or_little_more_above_what_is_needed() {
        assert_eq!(first_pace(NEEDED - 1, 0), LONGER);
        assert_eq!(first_pace(NEEDED, 0), Wish::Even);
        assert_eq!(first_pace(NEEDED + 24_999, 0), Wish::Even);
        assert_eq!(first_pace(NEEDED + 25_000, 0), shorter(20_000));
    }

    #[test]
    fn sound_is_not_cut_where_nothing_follows_to_fill_the_gap() {
        let now = rollcall_testkit::Clock::new().now();
        let alone = Situation {
            followed: false,
            ..situation(NEEDED + 30_000, 0)
        };
        assert_eq!(Decider::default().pace(now, alone), Wish::Even);
    }

    #[test]
    fn decoded_sound_that_waits_for_nothing_is_cut_and_no_more_than_that() {
        assert_eq!(first_pace(NEEDED, WORTHWHILE), shorter(WORTHWHILE));
        assert_eq!(first_pace(NEEDED, 9_000), shorter(9_000));
        assert_eq!(first_pace(NEEDED - 1, WORTHWHILE), LONGER);
    }

    #[test]
    fn what_was_begun_goes_on_until_sound_is_a_packet_older() {
        let mut now = rollcall_testkit::Clock::new().now();
        let mut decider = Decider::default();
        let mut pace = |age: i64, ahead: i64| {
            now += Duration::from_millis(20);
            decider.pace(now, situation(age, ahead))
        };
        assert_eq!(pace(NEEDED - 1, 0), LONGER);
        // The need sways by less than a packet; what was put in has not made a difference yet.
        assert_eq!(pace(NEEDED + 1_000, 7_000), LONGER);
        assert_eq!(pace(NEEDED + 1_000, 14_000), LONGER);
        assert_eq!(pace(NEEDED + 19_999, 1_000), Wish::Even);
        assert_eq!(pace(NEEDED + 19_999, 0), Wish::Even);
    }

    #[test]
    fn a_need_that_falls_is_believed_slowly_and_one_that_rises_at_once() {
        let mut now = rollcall_testkit::Clock::new().now();
        let mut decider = Decider::default();
        decider.pace(now, situation(NEEDED, 0));
        let eased = Situation {
            needed: NEEDED - 15_000,
            ..situation(NEEDED + 10_000, 0)
        };
        now += Duration::from_secs(2);
        assert_eq!(decider.pace(now, eased), Wish::Even);
        now += Duration::from_secs(1);
        assert_eq!(decider.pace(now, eased), shorter(20_000));
        now += Duration::from_secs(1);
        let risen = Situation {
            needed: NEEDED + 20_000,
            ..eased
        };
        assert_eq!(decider.pace(now, risen), LONGER);
    }

    #[test]
    fn pauses_are_waited_for_and_speech_is_stretched_now_and_then_if_none_comes() {
        let mut now = rollcall_testkit::Clock::new().now();
        let mut touches = |age: i64, ticks: usize| -> Vec<bool> {
            let mut decider = Decider::default();
            let touches = (0..ticks).map(|_| {
                now += Duration::from_millis(20);
                match decider.pace(now, situation(age, 0)) {
                    Wish::Even => panic!("there is something to be done"),
                    Wish::Shorter { anywhere, .. } | Wish::Longer { anywhere } => anywhere,
                }
            });
            touches.collect()
        };
        // A second, and ten.
        for (age, patience) in [(NEEDED - 1, 50), (NEEDED + 25_000, 500)] {
            let touches = touches(age, patience + 4);
            assert!(touches[..patience].iter().all(|touched| !touched));
            assert_eq!(touches[patience..], [true, false, false, true]);
        }
        assert_eq!(touches(NEEDED - 30_000, 4), [true; 4], "it presses");
        assert_eq!(touches(NEEDED + 50_000, 4), [true; 4], "it presses");
    }
}
