//! The way out: a queue of digits, told packet by packet on the 20 ms tick.
//!
//! ```text
//! tick      1    2    3    4    5    6    7    8    9    10 ... 13
//! sent      M    ·    ·    ·    ·    ·    E    E    E    (pause)   next digit
//! duration  20   40   60   80   100  120  120  120  120
//! ```
//!
//! Every packet tells the whole event so far, so one that arrives is enough. With nine of them a network that loses a
//! fifth swallows one digit in two million.

use std::collections::VecDeque;

use super::{Digit, Report};

/// How long a key is held down, in ticks of 20 ms.
const HELD: u16 = 6;

/// The end is told so often (RFC 4733 section 2.5.1.4).
const ENDS: u16 = 3;

/// Silence between two digits, in ticks of 20 ms: with the repeated ends, 140 ms from key to key.
const PAUSE: u16 = 4;

/// More waiting digits than anybody types; what goes beyond is dropped.
const MAX_WAITING: usize = 64;

/// -10 dBm0, what a telephone set sends.
const VOLUME: u8 = 10;

/// Presses keys one after the other.
#[derive(Debug, Default)]
pub(crate) struct Dialler {
    waiting: VecDeque<Digit>,
    current: Option<Pressed>,
}

#[derive(Debug, Clone, Copy)]
struct Pressed {
    digit: Digit,
    /// Ticks of 20 ms since the key went down, this one included.
    ticks: u16,
}

/// What one tick of 20 ms is used for.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Step {
    /// The key is down; its tone sounds, for those who hear only tones.
    Down(Digit, Report, Began),
    /// The key is up; the report repeats that.
    Up(Report),
    /// Nothing is said before the next key.
    Pause,
}

/// The first report of an event carries the marker.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Began {
    Now,
    Before,
}

impl Dialler {
    pub(crate) fn press(&mut self, digits: &[Digit]) {
        let room = MAX_WAITING.saturating_sub(self.waiting.len());
        self.waiting.extend(digits.iter().take(room));
    }

    /// Forget what was not sent.
    pub(crate) fn clear(&mut self) {
        *self = Dialler::default();
    }

    /// The next 20 ms; `None` while no key is pressed. `frame` is 20 ms in ticks of the events' clock.
    pub(crate) fn step(&mut self, frame: u16) -> Option<Step> {
        let mut pressed = match self.current {
            Some(pressed) => pressed,
            None => Pressed {
                digit: self.waiting.pop_front()?,
                ticks: 0,
            },
        };
        pressed.ticks += 1;
        self.current = Some(pressed).filter(|pressed| pressed.ticks < HELD + ENDS + PAUSE);
        let report = Report {
            event: pressed.digit.event(),
            end: pressed.ticks > HELD,
            volume: VOLUME,
            duration: frame.saturating_mul(pressed.ticks.min(HELD)),
        };
        Some(match pressed.ticks {
            1 => Step::Down(pressed.digit, report, Began::Now),
            ..=HELD => Step::Down(pressed.digit, report, Began::Before),
            ticks if ticks <= HELD + ENDS => Step::Up(report),
            _ => Step::Pause,
        })
    }
}
