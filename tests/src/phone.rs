//! `rollcall-phone` under test: started with an account, read by its JSON events.

use std::ffi::{OsStr, OsString};
use std::path::Path;
use std::time::Duration;

use serde_json::Value;

use crate::asterisk::Asterisk;
use crate::program::Program;
use crate::pulse::Pulse;
use crate::surroundings;

/// The variable that carries the SIP password to the phone.
const PASSWORD: &str = "ROLLCALL_E2E_PHONE_PASSWORD";

/// What a phone is started with; the defaults register and make no sound.
#[derive(Clone, Debug)]
pub struct Phone {
    account: String,
    password: String,
    arguments: Vec<OsString>,
    sound: Vec<(String, OsString)>,
}

impl Phone {
    /// A phone for `extension` at `asterisk`, with the password that is configured there.
    ///
    /// # Panics
    ///
    /// If Asterisk knows no such extension.
    pub fn of(extension: &str, asterisk: &Asterisk) -> Phone {
        Phone::at(extension, &asterisk.sip(), asterisk.password_of(extension))
    }

    /// A phone for `extension` at the registrar `address`.
    pub fn at(extension: &str, address: &str, password: &str) -> Phone {
        Phone {
            account: format!("sip:{extension}@{address}"),
            password: password.to_owned(),
            arguments: Vec::new(),
            sound: Vec::new(),
        }
    }

    /// With another password than the configured one.
    #[must_use]
    pub fn password(mut self, password: &str) -> Phone {
        password.clone_into(&mut self.password);
        self
    }

    /// Speaks the sound of one file and records what it hears in another.
    #[must_use]
    pub fn speaking(self, input: &Path, output: &Path) -> Phone {
        let mut files = OsString::from("file:");
        files.push(input);
        files.push(",");
        files.push(output);
        self.with(["--audio".into(), files])
    }

    /// With the microphone and the loudspeaker of a sound server, and the sound as it is: a tone that tests speak is
    /// noise, or an echo, to what cleans a voice.
    #[must_use]
    pub fn through(self, pulse: &Pulse) -> Phone {
        self.through_devices(pulse, "devices:processing=off")
    }

    /// With devices of a sound server, chosen in the words of `--audio`.
    #[must_use]
    pub fn through_devices(mut self, pulse: &Pulse, devices: &str) -> Phone {
        self.sound = pulse.environment();
        self.with(["--audio", devices])
    }

    /// On a machine that has no sound devices, whatever this one has.
    #[must_use]
    pub fn without_sound_devices(mut self) -> Phone {
        self.sound = Pulse::nowhere();
        self.with(["--audio", "devices"])
    }

    /// Speaks SIP over this transport: `udp`, `tcp`, `tls`, `ws` or `wss`.
    #[must_use]
    pub fn over(self, transport: &str) -> Phone {
        self.with(["--transport", transport])
    }

    /// Trusts the certificates of this authority and no other.
    #[must_use]
    pub fn trusting(self, certificate: &Path) -> Phone {
        let words = ["--tls-ca".into(), certificate.as_os_str().to_owned()];
        self.with(words)
    }

    /// Offers and takes these codecs only.
    #[must_use]
    pub fn codecs(self, codecs: &str) -> Phone {
        self.with(["--codecs", codecs])
    }

    /// Answers calls by itself.
    #[must_use]
    pub fn answering(self) -> Phone {
        self.with(["--auto-answer"])
    }

    /// Dials as soon as it is registered.
    #[must_use]
    pub fn dialling(self, target: &str) -> Phone {
        self.with(["--dial", target])
    }

    /// Encrypts sound: `optional` or `required`.
    #[must_use]
    pub fn encrypting(self, policy: &str) -> Phone {
        self.with(["--srtp", policy])
    }

    /// Presses these keys as soon as a call is answered.
    #[must_use]
    pub fn pressing(self, keys: &str) -> Phone {
        self.with(["--dtmf", keys])
    }

    /// Sends keys by `rtp` or `info`.
    #[must_use]
    pub fn pressing_by(self, mode: &str) -> Phone {
        self.with(["--dtmf-mode", mode])
    }

    /// Takes commands: [`Running::tell`].
    #[must_use]
    pub fn commanded(self) -> Phone {
        self.with(["--control"])
    }

    /// Measures SIP's timers by this round-trip estimate (T1) instead of half a second.
    #[must_use]
    pub fn timed_by(self, t1: Duration) -> Phone {
        self.with(["--sip-t1", &t1.as_millis().to_string()])
    }

    /// Ends by itself after a while.
    #[must_use]
    pub fn lasting(self, time: Duration) -> Phone {
        self.with(["--for", &time.as_secs().to_string()])
    }

    /// Starts it.
    pub fn start(self) -> Running {
        let mut arguments: Vec<OsString> = [
            "run",
            "--account",
            &self.account,
            "--password-env",
            PASSWORD,
            "--json",
        ]
        .map(OsString::from)
        .to_vec();
        if !self.arguments.iter().any(|word| word == "--audio") {
            arguments.extend(["--audio", "none"].map(OsString::from));
        }
        arguments.extend(self.arguments);
        let mut environment = vec![(PASSWORD, OsStr::new(&self.password))];
        let sound = self.sound.iter();
        environment.extend(sound.map(|(name, value)| (name.as_str(), value.as_os_str())));
        let program = Program::commanded(
            &surroundings::binary("rollcall-phone"),
            arguments,
            &environment,
        );
        Running { program }
    }

    fn with<A: Into<OsString>>(mut self, words: impl IntoIterator<Item = A>) -> Phone {
        self.arguments.extend(words.into_iter().map(Into::into));
        self
    }
}

/// A phone that was started.
#[derive(Debug)]
pub struct Running {
    /// The process and its lines.
    pub program: Program,
}

impl Running {
    /// Waits for the event of this name and returns it whole.
    pub async fn event(&self, name: &str) -> Value {
        self.program
            .event(name, |event| {
                (event["event"] == name).then(|| event.clone())
            })
            .await
    }

    /// Gives a command to a phone that takes them.
    pub fn tell(&mut self, command: &str) {
        self.program.tell(command);
    }

    /// Waits for the event of this name that `holds`, and returns it.
    pub async fn event_where(&self, name: &str, holds: impl Fn(&Value) -> bool) -> Value {
        let wanted =
            |event: &Value| (event["event"] == name && holds(event)).then(|| event.clone());
        self.program.event(name, wanted).await
    }

    /// How often it has told an event of this name.
    pub fn count(&self, name: &str) -> usize {
        let events = self.program.events();
        events.iter().filter(|event| event["event"] == name).count()
    }

    /// Waits for the registration and returns the Contact that the phone sent.
    ///
    /// # Panics
    ///
    /// If the event names none.
    pub async fn registered(&self) -> String {
        let event = self.event("registered").await;
        event["contact"]
            .as_str()
            .unwrap_or_else(|| panic!("no contact in {event}"))
            .to_owned()
    }
}
