//! The demo's people, secrets and files, and how each child is started.
//!
//! Everything lies in one folder that only its owner can read. SIP and manager secrets are drawn anew for each run and
//! never shown; the short passwords to sign in with are no secret: the login screen tells them.

use std::fs::{self, OpenOptions};
use std::io::{Read, Write};
use std::os::unix::fs::{DirBuilderExt, OpenOptionsExt};
use std::path::{Path, PathBuf};
use std::process::Command;

use super::{CALLEE, PBX, READY, SERVER, json};
use crate::process::Household;
use crate::{Result, step, workspace};

/// How to use the demo, for the login screen and the terminal.
pub(crate) const HINT: &str =
    "Sign in as one of these people. Dial 600 to hear yourself, 1002 for an agent who answers.";

/// Somebody of the demo.
struct Person {
    label: &'static str,
    username: &'static str,
    role: &'static str,
    extension: Option<&'static str>,
}

const PEOPLE: [Person; 3] = [
    Person {
        label: "Agent 1001",
        username: "1001",
        role: "agent",
        extension: Some("1001"),
    },
    Person {
        label: "Agent 1002, who answers already",
        username: "1002",
        role: "agent",
        extension: Some("1002"),
    },
    Person {
        label: "Supervisor",
        username: "super",
        role: "supervisor",
        extension: None,
    },
];

/// A run folder with everything the children read.
pub(crate) struct Demo {
    folder: PathBuf,
    sip_secrets: Vec<(&'static str, String)>,
}

/// Where a started pocket PBX listens.
pub(crate) struct Pbx {
    /// `ip:port` for SIP over UDP.
    pub(crate) sip: String,
    /// `ip:port` of the manager interface.
    pub(crate) ami: String,
}

impl Demo {
    /// Makes the folder and draws the secrets.
    pub(crate) fn prepare() -> Result<Demo> {
        let folder = std::env::temp_dir().join(format!(
            "rollcall-demo-{}-{}",
            std::process::id(),
            &random()?[..8]
        ));
        let made = fs::DirBuilder::new().mode(0o700).create(&folder);
        made.map_err(|error| format!("{}: {error}", folder.display()))?;
        for name in ["log", "server", "app", "data", "cache"] {
            let inner = folder.join(name);
            let made = fs::DirBuilder::new().mode(0o700).create(&inner);
            made.map_err(|error| format!("{}: {error}", inner.display()))?;
        }
        let extensions = PEOPLE.iter().filter_map(|person| person.extension);
        let sip_secrets = extensions
            .map(|extension| Ok((extension, random()?)))
            .collect::<Result<_>>()?;
        let demo = Demo {
            folder,
            sip_secrets,
        };
        demo.save("manager-secret", &random()?)?;
        Ok(demo)
    }

    /// The run folder.
    pub(crate) fn folder(&self) -> &Path {
        &self.folder
    }

    /// The folder of the children's logs.
    pub(crate) fn logs(&self) -> PathBuf {
        self.folder.join("log")
    }

    /// The log of one child.
    pub(crate) fn log(&self, child: &str) -> PathBuf {
        self.logs().join(format!("{}.log", child.replace(' ', "-")))
    }

    /// Removes the folder, once all has gone well.
    pub(crate) fn forget(self) -> Result<()> {
        fs::remove_dir_all(&self.folder)
            .map_err(|error| format!("{}: {error}", self.folder.display()))
    }

    /// Where the app's web view keeps what it keeps during the demo, apart from a real one's.
    pub(crate) fn app_folders(&self) -> [(&'static str, PathBuf); 2] {
        [("XDG_DATA_HOME", "data"), ("XDG_CACHE_HOME", "cache")]
            .map(|(name, folder)| (name, self.folder.join(folder)))
    }

    /// Starts the pocket PBX on free ports.
    pub(crate) fn start_pbx(&self, household: &mut Household) -> Result<Pbx> {
        let secret = self.read("manager-secret")?;
        let people: String = self
            .sip_secrets
            .iter()
            .map(|(extension, secret)| {
                format!("\n[[people]]\nextension = \"{extension}\"\npassword = \"{secret}\"\n")
            })
            .collect();
        let text = format!(
            "sip = \"127.0.0.1:0\"\nami = \"127.0.0.1:0\"\n\n[manager]\nusername = \"rollcall\"\nsecret = \"{secret}\"\n\n\
             [aor]\nqualify_frequency = 5\nqualify_timeout = 2.0\nqualify_2xx_only = true\n{people}"
        );
        let config = self.save("pbx.toml", &text)?;
        household.start(
            PBX,
            Command::new(workspace::binaries().join("rollcall-pocket-pbx"))
                .arg("--config")
                .arg(config),
            &self.log(PBX),
        )?;
        household.line(PBX, READY, |line| {
            Some(Pbx {
                sip: json::text(line, "sip")?.to_owned(),
                ami: json::text(line, "ami")?.to_owned(),
            })
        })
    }

    /// Adds the people, starts the server on a free port and returns its URL.
    pub(crate) fn start_server(&self, household: &mut Household, pbx: &Pbx) -> Result<String> {
        let (ami_host, ami_port) = pbx
            .ami
            .rsplit_once(':')
            .ok_or_else(|| format!("no manager address: {}", pbx.ami))?;
        let text = format!(
            "listen = \"127.0.0.1:0\"\ndata_dir = \"{data}\"\n\n[ami]\nhost = \"{ami_host}\"\nport = {ami_port}\nusername = \"rollcall\"\n\
             secret_file = \"{secret}\"\n\n[sip]\nserver = \"{sip}\"\ntransport = \"udp\"\n",
            data = self.folder.join("server").display(),
            secret = self.folder.join("manager-secret").display(),
            sip = pbx.sip,
        );
        let config = self.save("server.toml", &text)?;
        for person in &PEOPLE {
            self.add(person, &config)?;
        }
        household.start(
            SERVER,
            Command::new(workspace::binaries().join("rollcall-server"))
                .args(["serve", "--ready-json", "--config"])
                .arg(config),
            &self.log(SERVER),
        )?;
        household.line(SERVER, READY, |line| {
            json::text(line, "http").map(str::to_owned)
        })
    }

    /// Starts agent 1002, who answers and gives back what is said, and waits until 1002 is Available.
    pub(crate) fn start_callee(&self, household: &mut Household, url: &str) -> Result<()> {
        self.launch_callee(household, url)?;
        household.line(CALLEE, READY, is_available)
    }

    /// Starts agent 1002 without waiting.
    pub(crate) fn launch_callee(&self, household: &mut Household, url: &str) -> Result<()> {
        let mut agent = self.agent(CALLEE, "1002", url)?;
        agent.args(["--audio", "loopback", "--auto-answer"]);
        household.start(CALLEE, &agent, &self.log(CALLEE))
    }

    /// Who can sign in, for the terminal.
    pub(crate) fn people() -> impl Iterator<Item = String> {
        PEOPLE.iter().map(|person| {
            format!(
                "{} / {}  {}",
                person.username,
                password(person.username),
                person.label
            )
        })
    }

    /// A headless agent for `username`, signed in by the demo's password.
    pub(crate) fn agent(&self, child: &str, username: &str, url: &str) -> Result<Command> {
        const PASSWORD: &str = "ROLLCALL_DEMO_PASSWORD";
        let device = self
            .folder
            .join(format!("{}.device", child.replace(' ', "-")));
        let mut agent = Command::new(workspace::binaries().join("rollcall-agent"));
        agent
            .args([
                "--server",
                url,
                "--username",
                username,
                "--password-env",
                PASSWORD,
                "--json",
                "--device-id-file",
            ])
            .arg(device);
        agent.env(PASSWORD, password(username));
        Ok(agent)
    }

    /// What the app is told: where the server is, and how to sign in.
    pub(crate) fn write_preset(&self, url: &str) -> Result<PathBuf> {
        let people: String = PEOPLE
            .iter()
            .map(|person| {
                format!(
                    "\n[[demo.people]]\nlabel = \"{}\"\nusername = \"{}\"\npassword = \"{}\"\n",
                    person.label,
                    person.username,
                    password(person.username)
                )
            })
            .collect();
        let text = format!(
            "server = \"{url}\"\nmultiple = true\nno_keychain = true\ndata_dir = \"{data}\"\n\n[demo]\nhint = \"{HINT}\"\n{people}",
            data = self.folder.join("app").display(),
        );
        self.save("desktop.toml", &text)
    }

    fn add(&self, person: &Person, config: &Path) -> Result<()> {
        let mut command = Command::new(workspace::binaries().join("rollcall-server"));
        command.args(["user", "add", "--config"]).arg(config).args([
            "--username",
            person.username,
            "--role",
            person.role,
        ]);
        command
            .args(["--password-env", "ROLLCALL_DEMO_PASSWORD"])
            .env("ROLLCALL_DEMO_PASSWORD", password(person.username));
        if let Some(extension) = person.extension {
            let secret = self
                .sip_secrets
                .iter()
                .find(|(of, _)| *of == extension)
                .map(|(_, secret)| secret.as_str());
            command
                .args([
                    "--extension",
                    extension,
                    "--sip-password-env",
                    "ROLLCALL_DEMO_SIP",
                ])
                .env("ROLLCALL_DEMO_SIP", secret.unwrap_or_default());
        }
        step::run(
            &format!("add the {} {}", person.role, person.username),
            &mut command,
        )
        .map(drop)
    }

    fn save(&self, name: &str, text: &str) -> Result<PathBuf> {
        let path = self.folder.join(name);
        let written = OpenOptions::new()
            .create_new(true)
            .write(true)
            .mode(0o600)
            .open(&path)
            .and_then(|mut file| file.write_all(text.as_bytes()));
        written
            .map(|()| path.clone())
            .map_err(|error| format!("{}: {error}", path.display()))
    }

    fn read(&self, name: &str) -> Result<String> {
        let path = self.folder.join(name);
        fs::read_to_string(&path).map_err(|error| format!("{}: {error}", path.display()))
    }
}

/// The password a demo person signs in with.
fn password(username: &str) -> String {
    format!("demo-{username}")
}

fn is_available(line: &str) -> Option<()> {
    (json::text(line, "status") == Some("Available")).then_some(())
}

/// 128 random bits in hexadecimal.
fn random() -> Result<String> {
    let mut bytes = [0; 16];
    let mut source =
        fs::File::open("/dev/urandom").map_err(|error| format!("/dev/urandom: {error}"))?;
    source
        .read_exact(&mut bytes)
        .map_err(|error| format!("/dev/urandom: {error}"))?;
    Ok(bytes.iter().map(|byte| format!("{byte:02x}")).collect())
}
