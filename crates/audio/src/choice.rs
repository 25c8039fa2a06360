//! Which sound the person, or the command line, chose.

use std::path::PathBuf;
use std::str::FromStr;

use thiserror::Error;

/// Where sound comes from and goes to.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum AudioChoice {
    /// The computer's devices; `None` is the system's default.
    Devices {
        /// Microphone, by the id or the name that [`crate::devices`] lists.
        input: Option<String>,
        /// Loudspeaker, by the id or the name that [`crate::devices`] lists.
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
                if input.is_empty() && output.is_empty() {
                    return Err(UnknownAudio(words.to_owned()));
                }
                let path = |word: &str| (!word.is_empty()).then(|| PathBuf::from(word));
                Ok(AudioChoice::File {
                    input: path(input),
                    output: path(output),
                })
            }
        }
    }
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
    fn other_words_are_refused_with_what_can_be_said() {
        for word in ["", "speaker", "file:", "file:,", "Devices"] {
            let error = word.parse::<AudioChoice>().unwrap_err();
            assert!(error.to_string().contains("loopback"), "{word}");
        }
    }
}
