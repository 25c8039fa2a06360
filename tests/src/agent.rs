//! `rollcall-agent` under test: a signed-in person without a window.

use std::ffi::{OsStr, OsString};
use std::path::PathBuf;
use std::sync::Arc;

use tempfile::TempDir;

use crate::program::Program;
use crate::pulse::Pulse;
use crate::server::Server;
use crate::surroundings;

const PASSWORD: &str = "ROLLCALL_E2E_AGENT_PASSWORD";

/// A person at a device; the device keeps its id however often the program is started.
#[derive(Debug)]
pub struct Agent {
    username: String,
    device: PathBuf,
    folder: Arc<TempDir>,
    arguments: Vec<OsString>,
    audio: &'static str,
    sound: Vec<(String, OsString)>,
}

impl Agent {
    /// A person without sound, who answers nothing.
    ///
    /// # Panics
    ///
    /// If there is no room for the device's id.
    pub fn new(username: &str) -> Agent {
        let folder = tempfile::tempdir().unwrap_or_else(|error| panic!("{error}"));
        let device = folder.path().join("device-id");
        Agent {
            username: username.to_owned(),
            device,
            folder: Arc::new(folder),
            arguments: Vec::new(),
            audio: "loopback",
            sound: Vec::new(),
        }
    }

    /// With these words on the command line.
    #[must_use]
    pub fn with<A: Into<OsString>>(mut self, words: impl IntoIterator<Item = A>) -> Agent {
        self.arguments.extend(words.into_iter().map(Into::into));
        self
    }

    /// At a machine that has no sound devices at all, whatever this one has.
    #[must_use]
    pub fn without_sound_devices(mut self) -> Agent {
        self.audio = "devices";
        self
    }

    /// With the microphone and the loudspeaker of a sound server, and the sound as it is.
    #[must_use]
    pub fn through(mut self, pulse: &Pulse) -> Agent {
        self.audio = "devices:processing=off";
        self.sound = pulse.environment();
        self
    }

    /// The device's id, once the program has run.
    ///
    /// # Panics
    ///
    /// If it never ran.
    pub fn device_id(&self) -> String {
        let text = std::fs::read_to_string(&self.device)
            .unwrap_or_else(|error| panic!("{}: {error}", self.device.display()));
        text.trim().to_owned()
    }

    /// Starts the program: it signs in.
    pub fn start(&self, server: &Server) -> Program {
        self.start_at(&server.url())
    }

    /// Starts the program against any URL.
    pub fn start_at(&self, url: &str) -> Program {
        let mut arguments: Vec<OsString> = [
            "--server",
            url,
            "--username",
            &self.username,
            "--password-env",
            PASSWORD,
            "--json",
            "--device-id-file",
        ]
        .map(OsString::from)
        .to_vec();
        arguments.push(self.device.clone().into());
        arguments.extend(self.arguments.iter().cloned());
        arguments.extend(["--audio", self.audio].map(OsString::from));
        let password = Server::password(&self.username);
        let nowhere = OsStr::new("/nonexistent");
        let mut environment = vec![
            (PASSWORD, OsStr::new(&password)),
            // Neither ALSA nor a sound server: only what --audio names makes a sound.
            ("ALSA_CONFIG_PATH", nowhere),
            ("PULSE_SERVER", OsStr::new("unix:/nonexistent")),
            ("XDG_RUNTIME_DIR", nowhere),
        ];
        let sound = self.sound.iter();
        environment.extend(sound.map(|(name, value)| (name.as_str(), value.as_os_str())));
        Program::start(
            &surroundings::binary("rollcall-agent"),
            arguments,
            &environment,
        )
        .keeping(Arc::clone(&self.folder))
    }
}
