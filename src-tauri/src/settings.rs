//! What the app is told before it starts: the admin's preset, and what it remembers of the last time.
//!
//! Read once at start. A preset that cannot be read ends the start with its reason: an app that
//! guesses its server would send a password somewhere.

use std::{
    fs,
    path::{Path, PathBuf},
};

use anyhow::Context;
use rollcall_agent::AudioChoice;
use rollcall_wire::ui::Demo;
use serde::{Deserialize, Serialize};

/// Names a preset file; used by tests and the demo.
pub const PRESET_VARIABLE: &str = "ROLLCALL_DESKTOP_PRESET";
const ADMIN_PRESET: &str = "/etc/rollcall/desktop.toml";
const REMEMBERED: &str = "remembered.toml";

/// What an admin, the demo or a test presets. Every key may be left out.
#[derive(Clone, Debug, Default, PartialEq, Deserialize)]
#[serde(default, deny_unknown_fields)]
pub struct Preset {
    /// The server's address.
    pub server: Option<String>,
    /// The user's name to begin with.
    pub username: Option<String>,
    /// How to sign in to the demo, for the login screen.
    pub demo: Option<Demo>,
    /// `devices`, `devices:microphone=NAME;speaker=NAME;ringer=NAME;processing=all`, `loopback`, `none` or
    /// `file:IN.wav,OUT.wav`.
    pub audio: Option<String>,
    /// Where the log goes instead of standard error.
    pub log_file: Option<PathBuf>,
    /// Several instances may run at once on this machine.
    pub multiple: bool,
    /// Keep this run's device id, remembered names and embedded server here, not in the user's folders.
    pub data_dir: Option<PathBuf>,
    /// Never touch the system's keychain.
    pub no_keychain: bool,
}

impl Preset {
    /// The preset that the environment names, else the admin's, else none.
    pub fn read() -> anyhow::Result<Self> {
        match std::env::var_os(PRESET_VARIABLE) {
            Some(path) => Self::from_file(Path::new(&path)),
            None if Path::new(ADMIN_PRESET).exists() => Self::from_file(Path::new(ADMIN_PRESET)),
            None => Ok(Self::default()),
        }
    }

    fn from_file(path: &Path) -> anyhow::Result<Self> {
        let text = fs::read_to_string(path)
            .with_context(|| format!("the preset {} cannot be read", path.display()))?;
        let preset: Self = toml::from_str(&text)
            .with_context(|| format!("the preset {} is not right", path.display()))?;
        preset
            .audio()
            .with_context(|| format!("the preset {} is not right", path.display()))?;
        Ok(preset)
    }

    /// Where sound comes from and goes to.
    pub fn audio(&self) -> anyhow::Result<AudioChoice> {
        match &self.audio {
            Some(words) => Ok(words.parse()?),
            None => Ok(AudioChoice::default()),
        }
    }
}

/// What the login screen begins with, as of the last sign-in that worked.
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize)]
#[serde(default)]
pub struct Remembered {
    /// The server's address.
    pub server: String,
    /// The user's name.
    pub username: String,
}

impl Remembered {
    /// What `folder` remembers; nothing if it cannot be read, since it is a convenience only.
    pub fn read(folder: &Path) -> Self {
        let path = folder.join(REMEMBERED);
        let text = match fs::read_to_string(&path) {
            Ok(text) => text,
            Err(_) => return Self::default(),
        };
        toml::from_str(&text).unwrap_or_else(|error| {
            tracing::warn!(path = %path.display(), %error, "what was remembered is not readable");
            Self::default()
        })
    }

    /// Keeps it for the next start.
    pub fn write(&self, folder: &Path) -> anyhow::Result<()> {
        fs::create_dir_all(folder)?;
        let fresh = folder.join(format!("{REMEMBERED}.new"));
        fs::write(&fresh, toml::to_string(self)?)?;
        fs::rename(&fresh, folder.join(REMEMBERED))?;
        Ok(())
    }

    /// A preset's server stands above what was remembered, and a name belongs to its server.
    pub fn under(self, preset: &Preset) -> Self {
        let server = preset.server.clone().unwrap_or_else(|| self.server.clone());
        let same = server == self.server;
        let username = match &preset.username {
            Some(name) => name.clone(),
            None if same => self.username,
            None => String::new(),
        };
        Self { server, username }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn preset(text: &str) -> anyhow::Result<Preset> {
        let folder = tempfile::tempdir()?;
        let path = folder.path().join("preset.toml");
        fs::write(&path, text)?;
        Preset::from_file(&path)
    }

    #[test]
    fn a_preset_names_server_demo_and_sound() {
        let read = preset(
            r#"
            server = "http://127.0.0.1:8080"
            audio = "loopback"
            multiple = true
            [demo]
            hint = "Pick somebody."
            [[demo.people]]
            label = "Agent 1001"
            username = "1001"
            password = "demo"
            "#,
        )
        .unwrap();
        assert_eq!(read.server.as_deref(), Some("http://127.0.0.1:8080"));
        assert_eq!(read.audio().unwrap(), AudioChoice::Loopback);
        assert_eq!(read.demo.unwrap().people[0].label, "Agent 1001");
        assert!(read.multiple);
    }

    #[test]
    fn a_preset_with_a_key_or_a_sound_that_does_not_exist_is_refused_with_its_name() {
        let error = format!("{:#}", preset("sever = \"x\"").unwrap_err());
        assert!(error.contains("sever"), "{error}");
        let error = format!("{:#}", preset("audio = \"radio\"").unwrap_err());
        assert!(error.contains("radio"), "{error}");
    }

    #[test]
    fn what_was_remembered_comes_back_and_yields_to_the_preset() {
        let folder = tempfile::tempdir().unwrap();
        let inner = folder.path().join("new");
        assert_eq!(Remembered::read(&inner), Remembered::default());
        let kept = Remembered {
            server: "http://a".to_owned(),
            username: "1001".to_owned(),
        };
        kept.write(&inner).unwrap();
        assert_eq!(Remembered::read(&inner), kept);

        assert_eq!(kept.clone().under(&Preset::default()), kept);
        let preset = Preset {
            server: Some("http://b".to_owned()),
            ..Preset::default()
        };
        let expected = Remembered {
            server: "http://b".to_owned(),
            username: String::new(),
        };
        assert_eq!(kept.under(&preset), expected);
    }
}
