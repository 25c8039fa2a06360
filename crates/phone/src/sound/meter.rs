//! How loud both directions of the calls are, for a person to look at.

use rollcall_media::measure::level_dbfs;

/// Frames of 20 ms that one reading covers: ten readings a second follow a voice, and cost nobody anything.
const FRAMES: u32 = 5;

/// Keeps the loudest frame of each direction since the last reading.
#[derive(Debug, Default)]
pub(super) struct Meter {
    frames: u32,
    levels: Levels,
}

/// The level of the loudest 20 ms, RMS in dB below full scale; none of digital silence.
#[derive(Debug, Clone, Copy, PartialEq, Default)]
pub(crate) struct Levels {
    pub(crate) microphone: Option<f64>,
    pub(crate) speaker: Option<f64>,
}

impl Meter {
    /// Takes in a frame of what was captured, before a mute, and of what is heard. Gives a reading when it is due.
    pub(super) fn hear(&mut self, captured: &[f32], played: &[f32]) -> Option<Levels> {
        let sounds = [
            (&mut self.levels.microphone, captured),
            (&mut self.levels.speaker, played),
        ];
        for (loudest, sound) in sounds {
            let level = level_dbfs(sound);
            // None is below every level.
            if level > *loudest {
                *loudest = level;
            }
        }
        self.frames += 1;
        if self.frames < FRAMES {
            return None;
        }
        Some(std::mem::take(self).levels)
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use rollcall_media::FRAME;

    #[test]
    fn a_reading_is_the_loudest_frame_of_each_direction_since_the_last() {
        let mut meter = Meter::default();
        let (silence, quiet, loud) = ([0.0; FRAME], [0.01; FRAME], [0.1; FRAME]);
        for captured in [&silence, &loud, &quiet, &silence] {
            assert_eq!(meter.hear(captured, &silence), None);
        }
        let read = meter.hear(&silence, &quiet).expect("a reading");
        assert!((read.microphone.expect("a level") + 20.0).abs() < 0.01);
        assert!((read.speaker.expect("a level") + 40.0).abs() < 0.01);
        for _ in 1..FRAMES {
            assert_eq!(meter.hear(&silence, &silence), None);
        }
        let read = meter.hear(&silence, &silence).expect("a reading");
        assert_eq!(read, Levels::default(), "nothing is left of what was");
    }
}
