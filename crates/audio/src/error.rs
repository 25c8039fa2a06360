//! What keeps sound from flowing, in words for a person and codes for a program.

use std::fmt;

use thiserror::Error;

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
    /// The computer has no device of the chosen name.
    #[error("the {side} {name:?} is not connected to this computer")]
    NotFound {
        /// Which device.
        side: Side,
        /// The name that was chosen.
        name: String,
    },
    /// The device went away while it was in use.
    #[error("the {0} was unplugged or switched off")]
    Vanished(Side),
    /// The system uses another device by default now.
    #[error("the system has changed to another {0}")]
    Replaced(Side),
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
    /// No conversion between two sample rates.
    #[error("sound cannot be converted from {from} Hz to {to} Hz: {reason}")]
    Rate {
        /// In hertz.
        from: u32,
        /// In hertz.
        to: u32,
        /// Why not.
        reason: String,
    },
    /// A WAV file could not be read or written.
    #[error("the sound file {path} cannot be used: {reason}")]
    File {
        /// Which file.
        path: String,
        /// Why not.
        reason: String,
    },
}

impl AudioError {
    /// Stable code for clients: `no_audio_device`, `device_vanished`, `device_replaced`,
    /// `device_busy`, `unsupported_format`, `device_denied`, `device_failed` or `audio_file`.
    pub fn code(&self) -> &'static str {
        match self {
            AudioError::NoDevice { .. } | AudioError::NotFound { .. } => "no_audio_device",
            AudioError::Vanished(_) => "device_vanished",
            AudioError::Replaced(_) => "device_replaced",
            AudioError::Busy(_) => "device_busy",
            AudioError::UnsupportedFormat { .. } | AudioError::Rate { .. } => "unsupported_format",
            AudioError::Denied(_) => "device_denied",
            AudioError::Device { .. } => "device_failed",
            AudioError::File { .. } => "audio_file",
        }
    }

    /// What to say when neither side works: of two troubles the one that a person can mend, for a
    /// device that is there but fails is nearer to work than one that is missing.
    pub fn of_both(microphone: AudioError, speaker: AudioError) -> AudioError {
        match (&microphone, &speaker) {
            (AudioError::NoDevice { .. }, AudioError::NoDevice { .. }) => AudioError::NoDevice {
                microphone: true,
                speaker: true,
            },
            (AudioError::NoDevice { .. }, _) => speaker,
            _ => microphone,
        }
    }
}

impl fmt::Display for Side {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
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

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_missing_device_is_named() {
        let words = |microphone, speaker| {
            AudioError::NoDevice {
                microphone,
                speaker,
            }
            .to_string()
        };
        assert!(words(true, false).contains("no microphone"));
        assert!(!words(true, false).contains("no loudspeaker"));
        assert!(words(false, true).contains("no loudspeaker"));
        assert!(words(true, true).contains("no microphone and no loudspeaker"));
    }

    #[test]
    fn of_two_troubles_the_one_that_can_be_mended_is_said() {
        let missing = |side| AudioError::NoDevice {
            microphone: side == Side::Microphone,
            speaker: side == Side::Speaker,
        };
        let busy = AudioError::Busy(Side::Speaker);
        let both = AudioError::of_both(missing(Side::Microphone), busy.clone());
        assert_eq!(both, busy);
        let neither = AudioError::of_both(missing(Side::Microphone), missing(Side::Speaker));
        assert!(neither.to_string().contains("no microphone and no"));
    }
}
