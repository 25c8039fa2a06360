//! What a server under test stands beside: an Asterisk, or the pocket PBX in its place.

use std::ffi::OsString;
use std::fs;
use std::os::unix::fs::PermissionsExt;

use serde_json::Value;
use tempfile::TempDir;

use crate::asterisk::{Asterisk, Settings};
use crate::ports::Port;
use crate::program::Program;
use crate::surroundings;

/// A PBX that runs.
pub trait Pbx {
    /// What it was configured with.
    fn settings(&self) -> &Settings;
    /// `127.0.0.1:PORT` of its registrar.
    fn sip(&self) -> String;
    /// The port of its manager interface, on 127.0.0.1.
    fn ami_port(&self) -> u16;
    /// The port of its HTTP server, on 127.0.0.1; none if it has no such thing.
    fn http_port(&self) -> Option<u16>;
}

impl Pbx for Asterisk {
    fn settings(&self) -> &Settings {
        Asterisk::settings(self)
    }

    fn sip(&self) -> String {
        Asterisk::sip(self)
    }

    fn ami_port(&self) -> u16 {
        Asterisk::ami_port(self)
    }

    fn http_port(&self) -> Option<u16> {
        Some(Asterisk::http_port(self))
    }
}

/// `rollcall-pocket-pbx`, running or ended; it forgets its contacts when it ends.
#[derive(Debug)]
pub struct PocketPbx {
    folder: TempDir,
    program: Option<Program>,
    sip: Port,
    ami: Port,
    settings: Settings,
}

impl PocketPbx {
    /// Starts one with the people and the manager of `settings`.
    ///
    /// # Panics
    ///
    /// If it does not start.
    pub async fn start(settings: Settings) -> PocketPbx {
        let folder = tempfile::tempdir().unwrap_or_else(|error| panic!("{error}"));
        let mut pbx = PocketPbx {
            folder,
            program: None,
            sip: Port::reserve(),
            ami: Port::reserve(),
            settings,
        };
        pbx.boot().await;
        pbx
    }

    /// Starts it again, on the same ports.
    ///
    /// # Panics
    ///
    /// If it does not say that it is ready.
    pub async fn boot(&mut self) {
        let path = self.folder.path().join("pbx.toml");
        let failed = |error| panic!("{}: {error}", path.display());
        fs::write(&path, self.config()).unwrap_or_else(failed);
        fs::set_permissions(&path, fs::Permissions::from_mode(0o600)).unwrap_or_else(failed);
        let arguments = [OsString::from("--config"), path.clone().into()];
        let program = surroundings::binary("rollcall-pocket-pbx");
        let program = Program::start(&program, arguments, &[]);
        program
            .event("is ready", |event: &Value| {
                (event["event"] == "ready").then_some(())
            })
            .await;
        self.program = Some(program);
    }

    /// Asks it to end, and waits.
    pub async fn stop(&mut self) {
        if let Some(mut program) = self.program.take() {
            program.terminate().await;
        }
    }

    /// kill -9.
    pub fn kill(&mut self) {
        if let Some(mut program) = self.program.take() {
            program.kill();
        }
    }

    fn config(&self) -> String {
        let (username, secret) = &self.settings.manager;
        let people = self.settings.people.iter().map(|person| {
            format!(
                "[[people]]\nextension = {:?}\npassword = {:?}\n",
                person.extension, person.password
            )
        });
        format!(
            "sip = {:?}\nami = \"127.0.0.1:{}\"\n[manager]\nusername = {username:?}\nsecret = {secret:?}\n[aor]\nqualify_frequency = {}\n{}",
            self.sip(),
            self.ami.number(),
            self.settings.qualify_frequency,
            people.collect::<String>()
        )
    }
}

impl Pbx for PocketPbx {
    fn settings(&self) -> &Settings {
        &self.settings
    }

    fn sip(&self) -> String {
        format!("127.0.0.1:{}", self.sip.number())
    }

    fn ami_port(&self) -> u16 {
        self.ami.number()
    }

    fn http_port(&self) -> Option<u16> {
        None
    }
}
