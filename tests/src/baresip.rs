//! baresip as a peer: another phone of other people's making, driven over its control socket.
//!
//! It needs no sound card: it speaks a WAV file, plays into nothing, and records what it heard as `*-dec.wav`.

use std::fs;
use std::io::{Read, Write};
use std::net::{Ipv4Addr, TcpStream};
use std::path::{Path, PathBuf};
use std::sync::{Arc, Mutex, PoisonError};
use std::thread;

use serde_json::{Value, json};
use tempfile::TempDir;

use crate::asterisk::Asterisk;
use crate::ports::Port;
use crate::program::Program;
use crate::waiting::{PROMPTLY, eventually};

/// What Debian's package `baresip-core` installs.
const PROGRAM: &str = "/usr/bin/baresip";

/// What a baresip is started with.
#[derive(Clone, Debug)]
pub struct Baresip {
    extension: String,
    registrar: String,
    password: String,
    codec: Codec,
    spoken: PathBuf,
    answers: bool,
    encrypts: bool,
    /// More lines of its configuration.
    more: &'static str,
}

/// One of its two codecs here; a module brings it, and without the module it knows no other.
#[derive(Clone, Copy, Debug)]
pub enum Codec {
    /// G.711 mu-law.
    Pcmu,
    /// Opus, 48 kHz.
    Opus,
}

impl Codec {
    /// The rate of the sound it takes: baresip's own conversion would take a tenth off a tone's level.
    pub fn rate(self) -> u32 {
        match self {
            Codec::Pcmu => 8_000,
            Codec::Opus => 48_000,
        }
    }

    fn module(self) -> &'static str {
        match self {
            Codec::Pcmu => "g711.so",
            Codec::Opus => "opus.so",
        }
    }
}

impl Baresip {
    /// A baresip for `extension` at `asterisk` that speaks the sound of a file, which has the codec's rate.
    ///
    /// # Panics
    ///
    /// If Asterisk knows no such extension.
    pub fn of(extension: &str, asterisk: &Asterisk, codec: Codec, spoken: &Path) -> Baresip {
        let password = asterisk.password_of(extension);
        Baresip::at(extension, &asterisk.sip(), password, codec, spoken)
    }

    /// The same at any registrar, by its address.
    pub fn at(
        extension: &str,
        registrar: &str,
        password: &str,
        codec: Codec,
        spoken: &Path,
    ) -> Baresip {
        Baresip {
            extension: extension.to_owned(),
            registrar: registrar.to_owned(),
            password: password.to_owned(),
            codec,
            spoken: spoken.to_owned(),
            answers: false,
            encrypts: false,
            more: "",
        }
    }

    /// Registers and calls by way of this address.
    #[must_use]
    pub fn through(mut self, address: &str) -> Baresip {
        address.clone_into(&mut self.registrar);
        self
    }

    /// Sends Opus in mono with in-band error correction, as for a network that loses every tenth packet.
    #[must_use]
    pub fn correcting_errors(mut self) -> Baresip {
        self.more =
            "opus_stereo no\nopus_sprop_stereo no\nopus_inbandfec yes\nopus_packet_loss 10\n";
        self
    }

    /// Answers calls by itself.
    #[must_use]
    pub fn answering(mut self) -> Baresip {
        self.answers = true;
        self
    }

    /// Encrypts sound with keys in SDP, and takes no other calls.
    #[must_use]
    pub fn encrypting(mut self) -> Baresip {
        self.encrypts = true;
        self
    }

    /// Starts it and waits until it is registered.
    ///
    /// # Panics
    ///
    /// If it is not installed, or the registrar does not take it.
    pub async fn start(self) -> Running {
        assert!(
            Path::new(PROGRAM).exists(),
            "baresip is not installed: run `cargo xtask test e2e`, or `apt-get install baresip-core`"
        );
        let folder = tempfile::tempdir().unwrap_or_else(|error| panic!("{error}"));
        // SIP over UDP and TCP at the first, over TLS at the second without being asked; then its control socket.
        let ports = (Port::reserve_two(), Port::reserve());
        self.write(folder.path(), ports.0[0].number(), ports.1.number())
            .unwrap_or_else(|error| panic!("baresip's configuration: {error}"));
        let program = Program::start(
            Path::new(PROGRAM),
            ["-f".as_ref(), folder.path().as_os_str(), "-v".as_ref()],
            &[],
        );
        let mut running = Running {
            control: Control::connect(ports.1.number(), &program).await,
            program,
            folder,
            _ports: ports,
        };
        running.is_registered().await;
        running
    }

    fn write(&self, folder: &Path, sip: u16, control: u16) -> std::io::Result<()> {
        let Baresip {
            extension,
            registrar,
            password,
            spoken,
            more,
            ..
        } = self;
        let (place, spoken) = (folder.display(), spoken.display());
        let codec = self.codec.module();
        // Given an address for an interface it stays on the loopback; its own search would pass that over.
        let config = format!(
            "poll_method epoll
sip_listen 127.0.0.1:{sip}
net_interface 127.0.0.1
audio_player aubridge,heard
audio_source aufile,{spoken}
audio_alert aubridge,alert
ausrc_channels 1
module_path /usr/lib/baresip/modules
module {codec}
module srtp.so
module aufile.so
module aubridge.so
module sndfile.so
module_tmp account.so
module_app menu.so
module_app ctrl_tcp.so
ctrl_tcp_listen 127.0.0.1:{control}
snd_path {place}
{more}"
        );
        let answers = if self.answers { "auto" } else { "manual" };
        let encryption = if self.encrypts {
            ";mediaenc=srtp-mand"
        } else {
            ""
        };
        let account = format!(
            "<sip:{extension}@{registrar};transport=udp>;auth_user={extension};auth_pass={password};regint=60;answermode={answers}{encryption}\n"
        );
        fs::write(folder.join("config"), config)?;
        fs::write(folder.join("accounts"), account)?;
        // It writes examples of these two if they are missing.
        fs::write(folder.join("contacts"), "")?;
        fs::write(folder.join("current_contact"), "")
    }
}

/// A baresip that was started.
#[derive(Debug)]
pub struct Running {
    /// The process and its lines.
    pub program: Program,
    control: Control,
    folder: TempDir,
    _ports: ([Port; 2], Port),
}

impl Running {
    /// Has it do something: `dial 600`, `hangup`, `hold`, `resume`.
    ///
    /// # Panics
    ///
    /// If it does not obey within [`PROMPTLY`].
    pub async fn command(&mut self, command: &str, parameters: &str) {
        self.control.command(command, parameters).await;
    }

    /// Waits for an event of this type, such as `CALL_ESTABLISHED`.
    ///
    /// # Panics
    ///
    /// If there is none within [`PROMPTLY`].
    pub async fn event(&self, kind: &str) -> Value {
        let what = format!("baresip says {kind}");
        eventually(&what, PROMPTLY, async || {
            let heard = self.control.messages();
            let found = heard.iter().find(|message| message["type"] == kind);
            found.cloned().ok_or_else(|| format!("{heard:?}"))
        })
        .await
    }

    /// What it heard in its one call, once the call is over and all of it is written; the longest part of it, if the
    /// call was held meanwhile.
    ///
    /// # Panics
    ///
    /// If there is no such recording.
    pub async fn heard(&self) -> PathBuf {
        self.event("CALL_CLOSED").await;
        let length = |path: &Path| hound::WavReader::open(path).map_or(0, |wav| wav.duration());
        eventually("baresip's recording is whole", PROMPTLY, async || {
            let entries = fs::read_dir(self.folder.path()).map_err(|error| error.to_string())?;
            entries
                .flatten()
                .map(|entry| entry.path())
                .filter(|path| path.to_string_lossy().ends_with("-dec.wav"))
                .max_by_key(|path| length(path))
                // The length is written last.
                .filter(|path| length(path) > 0)
                .ok_or_else(|| "there is none, or it has no length yet".to_owned())
        })
        .await
    }

    async fn is_registered(&mut self) {
        eventually("baresip registers", PROMPTLY, async || {
            let said = self.program.lines().concat() + &self.program.complaints().concat();
            if said.contains("200 OK") {
                Ok(())
            } else {
                Err(said)
            }
        })
        .await;
    }
}

/// The control socket: netstrings of JSON, answers and events mixed.
#[derive(Debug)]
struct Control {
    stream: TcpStream,
    messages: Arc<Mutex<Vec<Value>>>,
    commands: u32,
}

impl Control {
    async fn connect(port: u16, program: &Program) -> Control {
        let stream = eventually("baresip's control socket opens", PROMPTLY, async || {
            TcpStream::connect((Ipv4Addr::LOCALHOST, port))
                .map_err(|error| format!("{error}\n{program:?}"))
        })
        .await;
        let messages = Arc::<Mutex<Vec<Value>>>::default();
        let sink = Arc::clone(&messages);
        let mut source = stream.try_clone().unwrap_or_else(|error| panic!("{error}"));
        thread::spawn(move || {
            while let Some(message) = read_netstring(&mut source) {
                let message = serde_json::from_slice(&message).unwrap_or_default();
                sink.lock()
                    .unwrap_or_else(PoisonError::into_inner)
                    .push(message);
            }
        });
        Control {
            stream,
            messages,
            commands: 0,
        }
    }

    async fn command(&mut self, command: &str, parameters: &str) {
        self.commands += 1;
        let token = self.commands.to_string();
        let order = json!({ "command": command, "params": parameters, "token": token }).to_string();
        write!(self.stream, "{}:{order},", order.len())
            .unwrap_or_else(|error| panic!("baresip's control socket: {error}"));
        eventually(&format!("baresip obeys {command}"), PROMPTLY, async || {
            let heard = self.messages();
            let answer = heard.iter().find(|message| message["token"] == *token);
            match answer {
                Some(answer) if answer["ok"] == true => Ok(()),
                answer => Err(format!("{answer:?}")),
            }
        })
        .await;
    }

    fn messages(&self) -> Vec<Value> {
        self.messages
            .lock()
            .unwrap_or_else(PoisonError::into_inner)
            .clone()
    }
}

/// `LENGTH:BYTES,`; nothing when the stream ends or is none of these.
fn read_netstring(source: &mut impl Read) -> Option<Vec<u8>> {
    let mut length = 0_usize;
    loop {
        let mut byte = [0];
        source.read_exact(&mut byte).ok()?;
        match byte[0] {
            b':' => break,
            digit @ b'0'..=b'9' => length = length.checked_mul(10)? + usize::from(digit - b'0'),
            _ => return None,
        }
    }
    let mut content = vec![0; length.checked_add(1)?];
    source.read_exact(&mut content).ok()?;
    (content.pop() == Some(b',')).then_some(content)
}

#[cfg(test)]
mod tests {
    use super::read_netstring;

    #[test]
    fn netstrings_are_read_one_by_one() {
        let mut source = &b"5:{\"a\":,2:{},x"[..];
        assert_eq!(
            read_netstring(&mut source).as_deref(),
            Some(&b"{\"a\":"[..])
        );
        assert_eq!(read_netstring(&mut source).as_deref(), Some(&b"{}"[..]));
        assert_eq!(read_netstring(&mut source), None);
    }
}
