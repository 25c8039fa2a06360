//! Somebody who speaks though nobody can hear it.

use std::collections::VecDeque;
use std::time::{Duration, Instant};

use crate::measure;

/// Quieter than this, in dB below full scale, is no voice at a headset.
const FAINTEST: f64 = -45.0;

/// A voice stands so far above the room, in dB.
const ABOVE_ROOM: f64 = 9.0;

/// Of so many frames of 20 ms ...
const WINDOW: usize = 40;

/// ... so many have to be a voice: a cough and a keystroke are shorter.
const ENOUGH: usize = 15;

/// How long it stays quiet once it was told.
const PATIENCE: Duration = Duration::from_secs(10);

/// The room is believed to grow louder by so many dB with each frame, and quieter at once.
const ROOM_RISE: f64 = 0.05;

/// Notices speech into a muted microphone.
#[derive(Debug, Default)]
pub struct MutedSpeech {
    voiced: VecDeque<bool>,
    /// The level of the room without a voice, in dB below full scale.
    room: Option<f64>,
    told: Option<Instant>,
}

impl MutedSpeech {
    /// Takes in what a muted microphone gave in 20 ms. True when the speaker should be told: at most every ten seconds.
    pub fn hear(&mut self, now: Instant, samples: &[f32]) -> bool {
        let level = measure::level_dbfs(samples).unwrap_or(f64::NEG_INFINITY);
        let room = self.room.get_or_insert(level.max(-90.0));
        *room = level.max(-90.0).min(*room + ROOM_RISE);
        let is_voice = level > FAINTEST && level > *room + ABOVE_ROOM;
        self.voiced.push_back(is_voice);
        if self.voiced.len() > WINDOW {
            self.voiced.pop_front();
        }
        let speaks = self.voiced.iter().filter(|voice| **voice).count() >= ENOUGH;
        let is_told = self
            .told
            .is_some_and(|told| now.saturating_duration_since(told) < PATIENCE);
        if !speaks || is_told {
            return false;
        }
        self.told = Some(now);
        true
    }

    /// The microphone is open again, or nobody is on the line.
    pub fn reset(&mut self) {
        *self = MutedSpeech::default();
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::{FRAME, SAMPLE_RATE};

    struct Microphone {
        now: Instant,
        muted: MutedSpeech,
        at: usize,
    }

    impl Microphone {
        fn new() -> Microphone {
            Microphone {
                now: rollcall_testkit::Clock::new().now(),
                muted: MutedSpeech::default(),
                at: 0,
            }
        }

        /// How often somebody was told in so many frames of a tone of this amplitude.
        fn hear(&mut self, frames: usize, amplitude: f32) -> usize {
            (0..frames)
                .filter(|_| {
                    let frame: Vec<f32> = (0..FRAME)
                        .map(|i| {
                            let t = (self.at + i) as f32 / SAMPLE_RATE as f32;
                            amplitude * (std::f32::consts::TAU * 200.0 * t).sin()
                        })
                        .collect();
                    self.at += FRAME;
                    self.now += Duration::from_millis(20);
                    self.muted.hear(self.now, &frame)
                })
                .count()
        }
    }

    #[test]
    fn who_speaks_into_a_muted_microphone_is_told_soon_and_seldom() {
        let mut microphone = Microphone::new();
        assert_eq!(microphone.hear(100, 0.001), 0, "the room");
        assert_eq!(microphone.hear(30, 0.2), 1, "within 600 ms");
        let mut told = 0;
        for _ in 0..50 {
            told += microphone.hear(20, 0.2) + microphone.hear(10, 0.001);
        }
        assert!((2..=3).contains(&told), "{told} times in 30 s");
    }

    #[test]
    fn a_cough_a_hum_and_a_quiet_room_are_no_speech() {
        let mut microphone = Microphone::new();
        assert_eq!(microphone.hear(100, 0.001), 0);
        assert_eq!(microphone.hear(10, 0.5), 0, "a cough");
        assert_eq!(microphone.hear(200, 0.002), 0);
        let mut beside_a_fan = Microphone::new();
        assert_eq!(
            beside_a_fan.hear(1_000, 0.05),
            0,
            "a steady hum is the room"
        );
        let mut off = Microphone::new();
        assert_eq!(off.hear(500, 0.0), 0, "a microphone that gives nothing");
    }
}
