//! DTMF digits as telephone events in RTP (RFC 4733), and as tones where the other side knows no events.
//!
//! Owns the digits, the packets that tell of them and their repetition. A digit is never guessed from sound: what was
//! not sent as an event is no digit, so that no voice can press a key.

mod receive;
mod send;
#[cfg(test)]
mod tests;

use std::fmt;

use thiserror::Error;

use crate::tone::Tone;

pub(crate) use receive::EventReceiver;
pub(crate) use send::{Began, Dialler, Step};

/// One key of a telephone: `0` to `9`, `*`, `#`, and `A` to `D`.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub struct Digit(u8);

/// The keys in the order of their event codes (RFC 4733 table 3).
const KEYS: [char; 16] = [
    '0', '1', '2', '3', '4', '5', '6', '7', '8', '9', '*', '#', 'A', 'B', 'C', 'D',
];

/// Frequencies of the keypad's rows and columns in hertz (ITU-T Q.23).
const ROWS: [f32; 4] = [697.0, 770.0, 852.0, 941.0];
const COLUMNS: [f32; 4] = [1209.0, 1336.0, 1477.0, 1633.0];

/// Of each of the two frequencies, in dB below full scale.
const TONE_LEVEL: f32 = -13.0;

impl Digit {
    /// From its event code, 0 to 15; `None` for every other event (RFC 4733 section 3.2).
    pub fn from_event(code: u8) -> Option<Digit> {
        (code < 16).then_some(Digit(code))
    }

    /// Its event code, 0 to 15.
    pub fn event(self) -> u8 {
        self.0
    }

    /// What a keypad sounds like.
    pub fn tone(self) -> Tone {
        let (row, column) = match self.0 {
            0 => (3, 1),
            key @ 1..=9 => ((key - 1) / 3, (key - 1) % 3),
            10 => (3, 0),
            11 => (3, 2),
            letter => (letter - 12, 3),
        };
        let pick = |of: [f32; 4], at: u8| of.get(usize::from(at)).copied().unwrap_or_default();
        Tone::pair(pick(ROWS, row), pick(COLUMNS, column), TONE_LEVEL)
    }
}

impl TryFrom<char> for Digit {
    type Error = NotADigit;

    fn try_from(key: char) -> Result<Self, Self::Error> {
        let wanted = key.to_ascii_uppercase();
        let code = KEYS.iter().position(|known| *known == wanted);
        code.map(|code| Digit(code as u8)).ok_or(NotADigit(key))
    }
}

impl fmt::Display for Digit {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let key = KEYS.get(usize::from(self.0)).copied().unwrap_or('?');
        write!(f, "{key}")
    }
}

/// The digits of a text; anything but a key is refused, and then nothing is sent.
pub fn digits(text: &str) -> Result<Vec<Digit>, NotADigit> {
    text.chars().map(Digit::try_from).collect()
}

/// No key of a telephone.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Error)]
#[error("{0:?} is no key of a telephone: known are 0 to 9, *, # and A to D")]
pub struct NotADigit(pub char);

/// What offer and answer agreed on about telephone events.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct TelephoneEvents {
    /// Payload type to put on ours.
    pub send_payload_type: u8,
    /// Ticks a second of the durations that we write, in hertz.
    pub clock_rate: u32,
    /// Payload types under which theirs may come.
    pub receive_payload_types: Vec<u8>,
}

/// An event's payload (RFC 4733 section 2.3).
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) struct Report {
    pub(crate) event: u8,
    /// The key is up again.
    pub(crate) end: bool,
    /// Attenuation, 0 to 63: the tone's power is minus so many dBm0.
    pub(crate) volume: u8,
    /// How long the key has been down, in ticks.
    pub(crate) duration: u16,
}

impl Report {
    pub(crate) const BYTES: usize = 4;

    /// `None` when it is too short to be one. What follows the first report is nobody's.
    pub(crate) fn read(payload: &[u8]) -> Option<Report> {
        let [event, flags, high, low, ..] = *payload else {
            return None;
        };
        Some(Report {
            event,
            end: flags & 0x80 != 0,
            volume: flags & 0x3f,
            duration: u16::from_be_bytes([high, low]),
        })
    }

    pub(crate) fn write(self) -> [u8; Report::BYTES] {
        let flags = u8::from(self.end) << 7 | self.volume & 0x3f;
        let [high, low] = self.duration.to_be_bytes();
        [self.event, flags, high, low]
    }
}
