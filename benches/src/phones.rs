//! The two phones: how each is started, as it comes, with nothing to sound through but a loop.

use std::ffi::OsString;
use std::fs;
use std::path::{Path, PathBuf};
use std::process::{Child, ChildStdin, ChildStdout, Command, Stdio};

use rollcall_e2e::ports::Port;
use tempfile::TempDir;

use crate::Result;

/// Where Debian's package `baresip-core` installs it.
const BARESIP: &str = "/usr/bin/baresip";
/// Longer than a round; a phone whose bench was killed ends by itself then.
const LONGEST: &str = "60";
/// Among its files: ALSA's configuration, where it has devices.
const ALSA: &str = "asound.conf";
const PASSWORD: &str = "ROLLCALL_BENCH_PASSWORD";

/// A program that registers, answers a call by itself, and speaks what it hears.
pub(crate) enum Phone {
    /// Ours, of the release build.
    Rollcall { program: PathBuf, version: String },
    /// The peer.
    Baresip { version: String },
}

/// What a phone has to do.
#[derive(Clone, Copy)]
pub(crate) enum Work<'a> {
    /// Speak in one call in PCMU what it hears there.
    Echo,
    /// Speak in one call in PCMU, through the devices of a sound server that these variables lead to.
    Through {
        environment: &'a [(String, OsString)],
    },
    /// Register whenever it is told to on its standard input, and say so.
    Register,
    /// Speak a file in so many calls at once.
    Speak {
        /// WAV, mono, at the codec's rate.
        voice: &'a Path,
        /// By its name in SDP, in lower case.
        codec: &'a str,
        calls: usize,
    },
}

/// A phone that was started, and what must outlive it.
pub(crate) struct Running {
    child: Child,
    _folder: TempDir,
    _ports: [Port; 2],
}

pub(crate) fn ours() -> Result<Phone> {
    let folder = std::env::var_os("ROLLCALL_BIN_DIR")
        .ok_or("ROLLCALL_BIN_DIR does not say where rollcall-phone is: run `cargo xtask bench`")?;
    let program = PathBuf::from(folder).join("rollcall-phone");
    let version = first_line(Command::new(&program).arg("--version"))?;
    Ok(Phone::Rollcall { program, version })
}

pub(crate) fn baresip() -> Result<Phone> {
    // `-h` prints the version first.
    let line = first_line(Command::new(BARESIP).arg("-h"))?;
    let version = line.split(" Copyright").next().unwrap_or_default();
    Ok(Phone::Baresip {
        version: version.to_owned(),
    })
}

impl Phone {
    /// For the table.
    pub(crate) fn name(&self) -> &'static str {
        match self {
            Phone::Rollcall { .. } => "rollcall-phone",
            Phone::Baresip { .. } => "baresip",
        }
    }

    /// What it calls itself.
    pub(crate) fn version(&self) -> &str {
        match self {
            Phone::Rollcall { version, .. } | Phone::Baresip { version } => version,
        }
    }

    /// How it is started.
    pub(crate) fn description(&self) -> &'static str {
        match self {
            Phone::Rollcall { .. } => {
                "run --auto-answer --audio loopback --codecs pcmu, the rest as it comes"
            }
            Phone::Baresip { .. } => {
                "modules account, menu, g711, aubridge; source and player are one aubridge device; answermode=auto; the rest as it comes"
            }
        }
    }

    /// Makes ready all that is not part of its start.
    pub(crate) fn prepare(&self, registrar: &str, work: Work<'_>) -> Result<Prepared> {
        let folder = tempfile::tempdir().map_err(|error| error.to_string())?;
        let ports = Port::reserve_two();
        let command = match self {
            Phone::Rollcall { program, .. } => rollcall(program, registrar, work),
            Phone::Baresip { .. } => {
                write_baresip(folder.path(), ports[0].number(), registrar, work)
                    .map_err(|error| format!("baresip's configuration: {error}"))?;
                let mut command = Command::new(BARESIP);
                command.arg("-f").arg(folder.path()).args(["-t", LONGEST]);
                if let Work::Through { environment } = work {
                    command.envs(environment.iter().cloned());
                    command.env("ALSA_CONFIG_PATH", folder.path().join(ALSA));
                }
                command
            }
        };
        Ok(Prepared {
            command,
            folder,
            ports,
        })
    }
}

/// A phone about to be started.
pub(crate) struct Prepared {
    command: Command,
    folder: TempDir,
    ports: [Port; 2],
}

impl Prepared {
    pub(crate) fn start(self) -> Result<Running> {
        self.start_with(Stdio::null(), Stdio::null())
    }

    /// The same, with its standard input and output in our hands.
    pub(crate) fn start_commanded(self) -> Result<Running> {
        self.start_with(Stdio::piped(), Stdio::piped())
    }

    fn start_with(mut self, input: Stdio, output: Stdio) -> Result<Running> {
        let child = self
            .command
            .stdin(input)
            .stdout(output)
            .stderr(Stdio::null())
            .spawn()
            .map_err(|error| format!("{}: {error}", self.command.get_program().display()))?;
        Ok(Running {
            child,
            _folder: self.folder,
            _ports: self.ports,
        })
    }
}

impl Running {
    pub(crate) fn pid(&self) -> u32 {
        self.child.id()
    }

    /// Its standard input and output, where they are in our hands.
    pub(crate) fn commands(&mut self) -> Option<(ChildStdin, ChildStdout)> {
        Some((self.child.stdin.take()?, self.child.stdout.take()?))
    }
}

impl Drop for Running {
    fn drop(&mut self) {
        let _ = self.child.kill();
        let _ = self.child.wait();
    }
}

fn rollcall(program: &Path, registrar: &str, work: Work<'_>) -> Command {
    let mut command = Command::new(program);
    let (audio, codec, calls) = match work {
        Work::Echo => ("loopback".to_owned(), "pcmu", 1),
        Work::Register => ("none".to_owned(), "pcmu", 1),
        // Clicks are noise to what cleans a voice; baresip cleans nothing.
        Work::Through { environment } => {
            command.envs(environment.iter().cloned());
            ("devices:processing=off".to_owned(), "pcmu", 1)
        }
        Work::Speak {
            voice,
            codec,
            calls,
        } => (format!("file:{},", voice.display()), codec, calls),
    };
    command
        .args(["run", "--account", &format!("sip:1001@{registrar}")])
        .args(["--password-env", PASSWORD, "--auto-answer", "--json"])
        .args(["--audio", &audio, "--codecs", codec, "--for", LONGEST])
        .args(["--max-calls", &calls.to_string()])
        .env(PASSWORD, "not asked for");
    if matches!(work, Work::Register) {
        command.arg("--control");
    }
    command
}

fn write_baresip(folder: &Path, sip: u16, registrar: &str, work: Work<'_>) -> std::io::Result<()> {
    let loops = "aubridge,loop";
    let (source, player, modules, calls) = match work {
        Work::Echo | Work::Register => (loops.to_owned(), loops, "module g711.so".to_owned(), 1),
        Work::Through { .. } => {
            let modules = "module g711.so\nmodule alsa.so".to_owned();
            ("alsa,mic".to_owned(), "alsa,spk", modules, 1)
        }
        Work::Speak {
            voice,
            codec,
            calls,
        } => {
            let codec = if codec == "opus" { "opus" } else { "g711" };
            let modules = format!(
                "ausrc_channels 1\nauplay_channels 1\nopus_stereo no\nmodule {codec}.so\nmodule aufile.so"
            );
            (format!("aufile,{}", voice.display()), loops, modules, calls)
        }
    };
    let config = format!(
        "poll_method epoll
sip_listen 127.0.0.1:{sip}
net_interface 127.0.0.1
audio_source {source}
audio_player {player}
audio_alert aubridge,alert
module_path /usr/lib/baresip/modules
call_max_calls {calls}
{modules}
module aubridge.so
module_tmp account.so
module_app menu.so
"
    );
    let account = format!("<sip:1001@{registrar};transport=udp>;regint=300;answermode=auto\n");
    fs::write(folder.join("config"), config)?;
    fs::write(folder.join("accounts"), account)?;
    fs::write(
        folder.join(ALSA),
        "pcm.spk { type pulse device spk }\npcm.mic { type pulse device mic }\n",
    )?;
    // It writes examples of these two if they are missing.
    fs::write(folder.join("contacts"), "")?;
    fs::write(folder.join("current_contact"), "")
}

fn first_line(command: &mut Command) -> Result<String> {
    let output = command
        .output()
        .map_err(|error| format!("{}: {error}", command.get_program().display()))?;
    let said = [output.stdout, output.stderr].concat();
    let said = String::from_utf8_lossy(&said);
    let line = said.lines().find(|line| !line.trim().is_empty());
    Ok(line.unwrap_or_default().trim().to_owned())
}
