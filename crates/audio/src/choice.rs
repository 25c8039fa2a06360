//! Which sound the person, or the command line, chose.

use std::path::PathBuf;
use std::str::FromStr;

use thiserror::Error;

use crate::Processing;

/// Where sound comes from and goes to.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum AudioChoice {
    /// The computer's devices.
    Devices(DeviceChoice),
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
        AudioChoice::Devices(DeviceChoice::default())
    }
}

/// Which of the computer's devices, by the ids or the names that [`crate::devices`] lists; `None` is the system's default.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub struct DeviceChoice {
    /// Microphone.
    pub microphone: Option<String>,
    /// Loudspeaker.
    pub speaker: Option<String>,
    /// Where a call that comes in rings; `None` is where everything else is heard. A headset that lies on the desk is not
    /// heard across the room.
    pub ringer: Option<String>,
    /// What is done to the microphone's sound.
    pub processing: Processing,
}

impl DeviceChoice {
    /// Reads `KEY=VALUE`, parted by semicolons.
    fn read(words: &str) -> Option<DeviceChoice> {
        let mut choice = DeviceChoice::default();
        for pair in words.split(';') {
            let (key, value) = pair
                .split_once('=')
                .filter(|(_, value)| !value.is_empty())?;
            let name = || Some(value.to_owned());
            match key {
                "microphone" => choice.microphone = name(),
                "speaker" => choice.speaker = name(),
                "ringer" => choice.ringer = name(),
                "processing" => choice.processing = value.parse().ok()?,
                _ => return None,
            }
        }
        Some(choice)
    }
}

/// The words do not name a choice.
#[derive(Debug, Clone, PartialEq, Eq, Error)]
#[error(
    "unknown audio {0:?}: use devices, loopback, none or file:IN.wav,OUT.wav; of the devices some can be named, as in \
     devices:microphone=NAME;speaker=NAME;ringer=NAME;processing=off (all, off, or some of echo,noise,gain,high-pass)"
)]
pub struct UnknownAudio(pub String);

impl FromStr for AudioChoice {
    type Err = UnknownAudio;

    /// `devices`, `devices:KEY=VALUE;...` with the keys `microphone`, `speaker`, `ringer` and `processing`, `loopback`,
    /// `none` or `file:IN.wav,OUT.wav`; either file may be left empty.
    fn from_str(words: &str) -> Result<Self, Self::Err> {
        let unknown = || UnknownAudio(words.to_owned());
        match words.split_once(':') {
            None if words == "devices" => Ok(AudioChoice::default()),
            None if words == "loopback" => Ok(AudioChoice::Loopback),
            None if words == "none" => Ok(AudioChoice::None),
            Some(("devices", chosen)) => DeviceChoice::read(chosen)
                .map(AudioChoice::Devices)
                .ok_or_else(unknown),
            Some(("file", files)) => read_files(files).ok_or_else(unknown),
            _ => Err(unknown()),
        }
    }
}

fn read_files(files: &str) -> Option<AudioChoice> {
    let (input, output) = files.split_once(',').unwrap_or((files, ""));
    let path = |word: &str| (!word.is_empty()).then(|| PathBuf::from(word));
    (!input.is_empty() || !output.is_empty()).then(|| AudioChoice::File {
        input: path(input),
        output: path(output),
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_words_of_the_command_line_are_understood() {
        let file = |input: Option<&str>, output: Option<&str>| AudioChoice::File {
            input: input.map(PathBuf::from),
            output: output.map(PathBuf::from),
        };
        let words = [
            ("devices", AudioChoice::default()),
            ("loopback", AudioChoice::Loopback),
            ("none", AudioChoice::None),
            ("file:a.wav,b.wav", file(Some("a.wav"), Some("b.wav"))),
            ("file:a.wav", file(Some("a.wav"), None)),
            ("file:,b.wav", file(None, Some("b.wav"))),
        ];
        for (word, choice) in words {
            assert_eq!(word.parse(), Ok(choice), "{word}");
        }
    }

    #[test]
    fn devices_are_named_one_by_one_whatever_stands_in_their_names() {
        let words = "devices:microphone=hw:CARD=PCH,DEV=0;ringer=Desk Speaker;processing=echo,gain";
        let chosen = DeviceChoice {
            microphone: Some("hw:CARD=PCH,DEV=0".to_owned()),
            speaker: None,
            ringer: Some("Desk Speaker".to_owned()),
            processing: Processing {
                echo: true,
                gain: true,
                ..Processing::OFF
            },
        };
        assert_eq!(words.parse(), Ok(AudioChoice::Devices(chosen)));
    }

    #[test]
    fn other_words_are_refused_with_what_can_be_said() {
        for word in [
            "",
            "speaker",
            "file:",
            "file:,",
            "Devices",
            "devices:",
            "devices:mic=a",
            "devices:speaker=",
            "devices:processing=loud",
        ] {
            let error = word.parse::<AudioChoice>().unwrap_err();
            assert!(error.to_string().contains("loopback"), "{word}");
        }
    }
}
