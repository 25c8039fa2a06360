//! A private sound server without a sound card: PulseAudio with null sinks, in a run folder of its own.
//!
//! What is played into its microphone ([`Pulse::speak`]) is captured by the program under test; what that program
//! plays is heard at the loudspeaker ([`Pulse::listen`]).

use std::ffi::{OsStr, OsString};
use std::fs;
use std::os::unix::fs::PermissionsExt;
use std::path::{Path, PathBuf};

use tempfile::TempDir;
use tokio::process::Command;

use crate::program::Program;
use crate::sound::RATE;
use crate::waiting::{PROMPTLY, eventually};

/// How long the sound server may take to start on a busy machine.
const BOOT: std::time::Duration = std::time::Duration::from_secs(20);

/// The formats of the two devices, in the words of PulseAudio's `module-null-sink`.
#[derive(Clone, Copy, Debug)]
pub struct Formats {
    /// The loudspeaker's.
    pub speaker: &'static str,
    /// The microphone's.
    pub microphone: &'static str,
}

impl Default for Formats {
    /// As a usual sound card has them.
    fn default() -> Self {
        Formats {
            speaker: "rate=48000 channels=2",
            microphone: "rate=48000 channels=1",
        }
    }
}

/// A running sound server, or one that was killed and can be started again.
#[derive(Debug)]
pub struct Pulse {
    folder: TempDir,
    formats: Formats,
    process: Option<Program>,
    /// Null sinks keep seconds of sound unless somebody wants it sooner: these two do.
    hurry: Vec<Program>,
}

impl Pulse {
    /// Starts one with a usual microphone and a usual loudspeaker.
    pub async fn start() -> Pulse {
        Pulse::with(Formats::default()).await
    }

    /// Starts one whose devices have these formats.
    ///
    /// # Panics
    ///
    /// If it does not start.
    pub async fn with(formats: Formats) -> Pulse {
        let folder = tempfile::Builder::new()
            .prefix("rcp")
            .tempdir()
            .unwrap_or_else(|error| panic!("no run folder: {error}"));
        let private = fs::Permissions::from_mode(0o700);
        let made = fs::set_permissions(folder.path(), private)
            .and_then(|()| fs::write(folder.path().join("cookie"), [7; 256]));
        made.unwrap_or_else(|error| panic!("the run folder: {error}"));
        let mut pulse = Pulse {
            folder,
            formats,
            process: None,
            hurry: Vec::new(),
        };
        pulse.boot().await;
        pulse
    }

    /// Starts it, again if it was killed: at the same place, with the same devices.
    ///
    /// # Panics
    ///
    /// If it does not start.
    pub async fn boot(&mut self) {
        let _ = fs::remove_file(self.socket());
        let script = self.folder.path().join("start.pa");
        let native = format!(
            "load-module module-native-protocol-unix socket={} auth-cookie={}\n",
            self.socket().display(),
            self.cookie().display(),
        );
        let text = format!(
            "{native}load-module {}\nload-module {}\nload-module {}\nset-default-sink spk\nset-default-source mic\n",
            self.speaker_module(),
            self.feed_module(),
            Self::MICROPHONE,
        );
        fs::write(&script, text).unwrap_or_else(|error| panic!("{error}"));
        let words = [
            "-n",
            // Granted to root and where the system allows it; elsewhere a busy machine costs the tests more time.
            "--high-priority=yes",
            "--realtime=yes",
            "--daemonize=no",
            "--exit-idle-time=-1",
            "--use-pid-file=no",
            "-F",
        ];
        let mut arguments: Vec<OsString> = words.map(OsString::from).to_vec();
        arguments.push(script.into());
        let process = self.program("pulseaudio", arguments);
        eventually("PulseAudio answers", BOOT, async || {
            let said = self.control(&["info"]).await;
            match said.contains("Default Source: mic") {
                true => Ok(()),
                false => Err(format!("{said}\n{process:?}")),
            }
        })
        .await;
        self.process = Some(process);
        self.hurry(["spk.monitor", "mic"]);
    }

    fn hurry<const N: usize>(&mut self, sources: [&str; N]) {
        for source in sources {
            let words = ["--raw", "--latency-msec=10", "-d", source, "/dev/null"];
            self.hurry.push(self.program("parec", words));
        }
    }

    /// kill -9.
    pub fn kill(&mut self) {
        self.hurry.clear();
        if let Some(mut process) = self.process.take() {
            process.kill();
        }
    }

    /// The sound server hangs: its socket stays open, and nothing moves.
    pub fn freeze(&self) {
        if let Some(process) = &self.process {
            process.freeze();
        }
    }

    /// It goes on.
    pub fn thaw(&self) {
        if let Some(process) = &self.process {
            process.thaw();
        }
    }

    /// Pulls the microphone out. The sound server then offers the loudspeaker's monitor in its place, as it does on
    /// a person's computer.
    pub async fn unplug_microphone(&self) {
        self.control(&["unload-module", "module-remap-source"])
            .await;
    }

    /// Puts the microphone back and makes it the default again.
    pub async fn plug_microphone_in(&self) {
        self.load(Self::MICROPHONE).await;
        self.control(&["set-default-source", "mic"]).await;
    }

    /// Lets the microphone hear what the loudspeaker plays, as one beside the other does: a source by the name of `mic`,
    /// which no program takes for a monitor.
    pub async fn let_the_microphone_hear_the_speaker(&mut self) {
        self.unplug_microphone().await;
        self.load(&Self::MICROPHONE.replace("micfeed", "spk")).await;
        self.control(&["set-default-source", "mic"]).await;
        self.hurry(["mic"]);
    }

    /// Pulls the loudspeaker out.
    pub async fn unplug_speaker(&self) {
        self.unload("sink_name=spk ").await;
    }

    /// Puts the loudspeaker back and makes it the default again.
    pub async fn plug_speaker_in(&mut self) {
        let module = self.speaker_module();
        self.load(&module).await;
        self.control(&["set-default-sink", "spk"]).await;
        self.hurry(["spk.monitor"]);
    }

    /// Pulls everything out: the sound server runs on, and has no device at all, nor a default.
    pub async fn unplug_everything(&self) {
        for word in ["source_name=mic ", "sink_name=micfeed ", "sink_name=spk "] {
            self.unload(word).await;
        }
    }

    /// Puts everything back, and makes it the default again.
    pub async fn plug_everything_in(&mut self) {
        let feed = self.feed_module();
        self.load(&feed).await;
        self.plug_microphone_in().await;
        self.plug_speaker_in().await;
        self.hurry(["mic"]);
    }

    /// Plugs in a headset beside what there is: loudspeaker `headset`, microphone `headmic`. The default stays.
    pub async fn plug_headset_in(&mut self) {
        for module in Self::HEADSET {
            self.load(module).await;
        }
        self.hurry(["headset.monitor", "headmic"]);
    }

    /// Pulls the headset out.
    pub async fn unplug_headset(&self) {
        for word in [
            "source_name=headmic ",
            "sink_name=headfeed ",
            "sink_name=headset ",
        ] {
            self.unload(word).await;
        }
    }

    /// Makes the headset, or what was there before it, the system's default.
    pub async fn prefer_headset(&self, prefer: bool) {
        let (sink, source) = if prefer {
            ("headset", "headmic")
        } else {
            ("spk", "mic")
        };
        self.control(&["set-default-sink", sink]).await;
        self.control(&["set-default-source", source]).await;
    }

    async fn load(&self, module: &str) {
        let words: Vec<&str> = module.split(' ').collect();
        self.control(&[&["load-module"], words.as_slice()].concat())
            .await;
    }

    /// Unloads the modules whose arguments hold `word`.
    async fn unload(&self, word: &str) {
        let listed = self.control(&["list", "short", "modules"]).await;
        for line in listed
            .lines()
            .filter(|line| format!("{line} ").contains(word))
        {
            let index = line.split('\t').next().unwrap_or_default();
            self.control(&["unload-module", index]).await;
        }
    }

    /// Plays a WAV file into the microphone, until the program is dropped or the file ends.
    pub fn speak(&self, file: &Path) -> Program {
        self.speak_into("micfeed", file)
    }

    /// The same into the headset's microphone.
    pub fn speak_into_headset(&self, file: &Path) -> Program {
        self.speak_into("headfeed", file)
    }

    fn speak_into(&self, sink: &str, file: &Path) -> Program {
        let words = [
            "--latency-msec=20".into(),
            format!("--device={sink}").into(),
        ];
        self.program("paplay", words.into_iter().chain([OsString::from(file)]))
    }

    /// Records `seconds` of what the loudspeaker plays from now on into a WAV file.
    ///
    /// # Panics
    ///
    /// If nothing is recorded.
    pub async fn listen(&self, file: &Path, seconds: f64) {
        let rate = format!("--rate={RATE}");
        let words = ["--file-format=wav", "--format=s16le", "--channels=1", &rate];
        let more = ["--latency-msec=20", "--device=spk.monitor"];
        let arguments = words.iter().chain(&more).map(OsString::from);
        let mut recorder = self.program("parec", arguments.chain([file.into()]));
        let wanted = (seconds * f64::from(RATE) * 2.0) as u64;
        let within = PROMPTLY + std::time::Duration::from_secs_f64(seconds);
        eventually(
            "the loudspeaker is recorded",
            within,
            async || match fs::metadata(file).map_or(0, |found| found.len()) {
                enough if enough >= wanted => Ok(()),
                bytes => Err(format!("{bytes} bytes of {wanted}; {recorder:?}")),
            },
        )
        .await;
        recorder.terminate().await;
    }

    /// What a program needs to know to find this sound server and no other device of the machine.
    pub fn environment(&self) -> Vec<(String, OsString)> {
        let mut server = OsString::from("unix:");
        server.push(self.socket());
        vec![
            ("PULSE_SERVER".to_owned(), server),
            ("PULSE_COOKIE".to_owned(), self.cookie().into_os_string()),
            ("ALSA_CONFIG_PATH".to_owned(), "/dev/null".into()),
        ]
    }

    /// The environment of a machine that has no sound at all.
    pub fn nowhere() -> Vec<(String, OsString)> {
        vec![
            ("PULSE_SERVER".to_owned(), "unix:/dev/null/none".into()),
            ("XDG_RUNTIME_DIR".to_owned(), "/dev/null".into()),
            ("ALSA_CONFIG_PATH".to_owned(), "/dev/null".into()),
        ]
    }

    const MICROPHONE: &'static str = "module-remap-source source_name=mic source_properties=device.description=mic master=micfeed.monitor";

    const HEADSET: [&str; 3] = [
        "module-null-sink sink_name=headset sink_properties=device.description=headset rate=48000 channels=2",
        "module-null-sink sink_name=headfeed rate=48000 channels=1",
        "module-remap-source source_name=headmic source_properties=device.description=headmic master=headfeed.monitor",
    ];

    fn speaker_module(&self) -> String {
        format!(
            "module-null-sink sink_name=spk sink_properties=device.description=spk {}",
            self.formats.speaker
        )
    }

    fn feed_module(&self) -> String {
        format!(
            "module-null-sink sink_name=micfeed {}",
            self.formats.microphone
        )
    }

    async fn control(&self, words: &[&str]) -> String {
        let output = Command::new("pactl")
            .args(words)
            .envs(self.surroundings())
            .kill_on_drop(true)
            .output()
            .await
            .unwrap_or_else(|error| panic!("pactl: {error}"));
        String::from_utf8_lossy(&output.stdout).into_owned()
            + &String::from_utf8_lossy(&output.stderr)
    }

    fn program<A: AsRef<OsStr>>(
        &self,
        name: &str,
        arguments: impl IntoIterator<Item = A>,
    ) -> Program {
        let variables = self.surroundings();
        let environment: Vec<(&str, &OsStr)> = variables
            .iter()
            .map(|(name, value)| (name.as_str(), value.as_os_str()))
            .collect();
        Program::start(Path::new(name), arguments, &environment)
    }

    /// The sound server's own programs live in the run folder altogether.
    fn surroundings(&self) -> Vec<(String, OsString)> {
        let mut variables = self.environment();
        for name in ["HOME", "XDG_RUNTIME_DIR", "XDG_CONFIG_HOME"] {
            variables.push((name.to_owned(), self.folder.path().into()));
        }
        variables
    }

    fn socket(&self) -> PathBuf {
        self.folder.path().join("native")
    }

    fn cookie(&self) -> PathBuf {
        self.folder.path().join("cookie")
    }
}
