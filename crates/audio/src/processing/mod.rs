//! What is done to the microphone's sound before it is sent: echo of the loudspeaker, noise of the room and rumble are
//! taken out, and the voice is brought to an even level.
//!
//! Owns the choice ([`Processing`]) and the one trait behind which it is done ([`Processor`]). It knows neither devices nor
//! calls: it is told what is played, given what was captured, and told how much later the one comes back in the other.

mod webrtc;

#[cfg(test)]
mod tests;

use std::fmt;
use std::str::FromStr;
use std::time::Duration;

use thiserror::Error;

/// What is to be done; all of it by default.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Processing {
    /// Take out what the loudspeaker plays and the microphone hears again.
    pub echo: bool,
    /// Take out steady noise, by some 12 dB.
    pub noise: bool,
    /// Bring the voice to an even level, without going over full scale.
    pub gain: bool,
    /// Take out rumble and hum below the voice.
    pub high_pass: bool,
}

/// Where a part is chosen.
type Part = fn(&mut Processing) -> &mut bool;

/// Each part by its word.
const PARTS: [(&str, Part); 4] = [
    ("echo", |it| &mut it.echo),
    ("noise", |it| &mut it.noise),
    ("gain", |it| &mut it.gain),
    ("high-pass", |it| &mut it.high_pass),
];

impl Processing {
    /// Sound goes out as it was captured.
    pub const OFF: Processing = Processing {
        echo: false,
        noise: false,
        gain: false,
        high_pass: false,
    };

    /// Everything.
    pub const ALL: Processing = Processing {
        echo: true,
        noise: true,
        gain: true,
        high_pass: true,
    };

    /// Who does it, beginning without knowledge of the room; `None` when nothing is to be done.
    pub fn processor(self) -> Option<Box<dyn Processor>> {
        (self != Processing::OFF).then(|| Box::new(webrtc::WebRtc::new(self)) as Box<dyn Processor>)
    }
}

impl Default for Processing {
    fn default() -> Self {
        Processing::ALL
    }
}

impl fmt::Display for Processing {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let mut copy = *self;
        let chosen = PARTS.iter().filter(|(_, part)| *part(&mut copy));
        let words: Vec<&str> = chosen.map(|(word, _)| *word).collect();
        match words.len() {
            0 => f.write_str("off"),
            4 => f.write_str("all"),
            _ => f.write_str(&words.join(",")),
        }
    }
}

/// The words do not name what is to be done.
#[derive(Debug, Clone, PartialEq, Eq, Error)]
#[error("unknown processing {0:?}: use all, off, or some of echo,noise,gain,high-pass")]
pub struct UnknownProcessing(pub String);

impl FromStr for Processing {
    type Err = UnknownProcessing;

    /// `all`, `off`, or some of `echo,noise,gain,high-pass`.
    fn from_str(words: &str) -> Result<Self, Self::Err> {
        match words {
            "all" => return Ok(Processing::ALL),
            "off" => return Ok(Processing::OFF),
            _ => {}
        }
        let mut chosen = Processing::OFF;
        for word in words.split(',') {
            let part = PARTS.iter().find(|(known, _)| *known == word);
            let (_, part) = part.ok_or_else(|| UnknownProcessing(words.to_owned()))?;
            *part(&mut chosen) = true;
        }
        Ok(chosen)
    }
}

/// Does it, frame by frame: once a tick [`Processor::played`], then [`Processor::process`] with as many samples.
///
/// Frames are mono at [`SAMPLE_RATE`](crate::SAMPLE_RATE), in `-1.0..=1.0`, and a multiple of 10 ms long; what is left over
/// stays as it is.
pub trait Processor: fmt::Debug + Send {
    /// What was just handed to the loudspeaker.
    fn played(&mut self, samples: &[f32]);

    /// Works on what was just captured, in place. `delay`: how long after [`Processor::played`] a sample is heard by the
    /// microphone and comes in here, as far as the devices know; the air and what they do not know is found out.
    fn process(&mut self, samples: &mut [f32], delay: Duration);
}
