//! `rollcall-agent` under test: a signed-in person without a window.

use std::ffi::{OsStr, OsString};
use std::path::PathBuf;

use tempfile::TempDir;

use crate::program::Program;
use crate::server::Server;
use crate::surroundings;

const PASSWORD: &str = "ROLLCALL_E2E_AGENT_PASSWORD";

/// A person at a device; the device keeps its id however often the program is started.
#[derive(Debug)]
pub struct Agent {
    username: String,
    device: PathBuf,
    _folder: TempDir,
    arguments: Vec<OsString>,
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
            _folder: folder,
            arguments: vec!["--audio".into(), "loopback".into()],
        }
    }

    /// With these words on the command line.
    #[must_use]
    pub fn with<A: Into<OsString>>(mut self, words: impl IntoIterator<Item = A>) -> Agent {
        self.arguments.extend(words.into_iter().map(Into::into));
        self
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
        let password = Server::password(&self.username);
        Program::start(
            &surroundings::binary("rollcall-agent"),
            arguments,
            &[(PASSWORD, OsStr::new(&password))],
        )
    }
}
