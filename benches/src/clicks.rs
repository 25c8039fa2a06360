//! Clicks in a stream of PCMU: put in, found again, timed to the sample.
//!
//! A sample's time is its packet's plus its place in it, on both ways; so the loop's delay is what a sample takes from
//! the far end's socket through the phone and back, and 20 ms of packet count once, not twice.

use std::time::{Duration, Instant};

/// 20 ms.
pub(crate) const FRAME: usize = 160;
const SAMPLE: Duration = Duration::from_micros(125);
/// mu-law of 0.
const SILENCE: u8 = 0xFF;
/// mu-law of the largest positive and negative samples.
const LOUD: [u8; 2] = [0x80, 0x00];
/// How long a click is: 8 ms of 1 kHz at full level, so that filters on its way leave enough of it.
const CLICK: usize = 64;
/// An onset is where a sample is larger than this, of 32,124, after [`QUIET`] samples that were not.
const THRESHOLD: i32 = 8_000;
/// 100 ms.
const QUIET: usize = 800;

/// Packets to send, with clicks in some of them.
pub(crate) struct Source {
    sequence: u16,
    /// Samples of the click still to send.
    left: usize,
}

impl Source {
    pub(crate) fn new() -> Source {
        Source {
            sequence: 0,
            left: 0,
        }
    }

    /// The next RTP packet; a click begins at this sample of it, if any.
    pub(crate) fn packet(&mut self, click: Option<usize>) -> Vec<u8> {
        let timestamp = u32::from(self.sequence) * FRAME as u32;
        let mut packet = vec![0x80, 0];
        packet.extend(self.sequence.to_be_bytes());
        packet.extend(timestamp.to_be_bytes());
        packet.extend(0x5EED_u32.to_be_bytes());
        self.sequence = self.sequence.wrapping_add(1);
        for n in 0..FRAME {
            if click == Some(n) {
                self.left = CLICK;
            }
            packet.push(self.sample());
        }
        packet
    }

    fn sample(&mut self) -> u8 {
        if self.left == 0 {
            return SILENCE;
        }
        self.left -= 1;
        // A square wave of 8 samples is 1 kHz.
        LOUD[(CLICK - 1 - self.left) / 4 % 2]
    }
}

/// When the sample at `place` of a packet sent or received at `packet` is due.
pub(crate) fn time_of(packet: Instant, place: usize) -> Instant {
    packet + SAMPLE * u32::try_from(place).unwrap_or(u32::MAX)
}

/// Finds the beginnings of clicks.
pub(crate) struct Detector {
    quiet: usize,
}

impl Detector {
    pub(crate) fn new() -> Detector {
        Detector { quiet: 0 }
    }

    /// Where in the payload of this RTP packet a click begins.
    pub(crate) fn onset(&mut self, packet: &[u8]) -> Option<usize> {
        let mut found = None;
        for (place, code) in packet.get(12..)?.iter().enumerate() {
            if linear(*code).abs() > THRESHOLD {
                if self.quiet >= QUIET {
                    found = Some(place);
                }
                self.quiet = 0;
            } else {
                self.quiet += 1;
            }
        }
        found
    }
}

/// G.711 mu-law, decoded.
fn linear(code: u8) -> i32 {
    let code = !code;
    let exponent = code >> 4 & 7;
    let magnitude = (((i32::from(code & 15) << 3) + 132) << exponent) - 132;
    if code & 0x80 == 0 {
        magnitude
    } else {
        -magnitude
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_click_is_found_where_it_was_put_also_across_packets() {
        let mut source = Source::new();
        let mut detector = Detector::new();
        let mut found = Vec::new();
        for n in 0..30 {
            let click = (n % 10 == 9).then_some(40 + n * 4);
            if let Some(place) = detector.onset(&source.packet(click)) {
                found.push((n, place));
            }
        }
        assert_eq!(found, [(9, 76), (19, 116), (29, 156)]);
    }

    #[test]
    fn loud_is_loud_and_silence_is_silent() {
        assert_eq!(LOUD.map(linear), [32_124, -32_124]);
        assert_eq!(linear(SILENCE), 0);
    }
}
