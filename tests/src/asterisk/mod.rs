//! A private Asterisk 22: its own configuration, run folder and ports, started from the unpacked lab.
//!
//! It keeps contacts in its own astdb, as most Asterisks do (the server's mirror mode), or in a SQLite file through ODBC
//! (shared mode).

mod config;

use std::ffi::{OsStr, OsString};
use std::path::{Path, PathBuf};
use std::time::Duration;

use tempfile::TempDir;
use tokio::process::Command;

use crate::ports::Port;
use crate::program::Program;
use crate::surroundings;
use crate::unpacked::Unpacked;
use crate::waiting::eventually;

pub use config::{Contacts, Person, Settings};

/// A boot takes about a second; a busy machine may take longer.
const BOOT: Duration = Duration::from_secs(30);
/// Tells a program another time than the machine's (Debian's `libfaketime`).
const OTHER_TIME: &str = "/usr/$LIB/faketime/libfaketimeMT.so.1";
/// Room for `/run/asterisk.ctl` within the 107 bytes of a Unix socket's path.
const LONGEST_FOLDER: usize = 80;

/// A running Asterisk, or one that was stopped and can be started again on the same ports with what it remembers.
#[derive(Debug)]
pub struct Asterisk {
    folder: TempDir,
    unpacked: Unpacked,
    process: Option<Program>,
    sip: Port,
    ami: Port,
    http: Port,
    tls: Port,
    settings: Settings,
    /// Its clock is so many seconds ahead of the machine's.
    ahead: i32,
}

impl Asterisk {
    /// Starts one with `settings` and waits until it is fully booted.
    ///
    /// # Panics
    ///
    /// If it does not boot.
    pub async fn start(settings: Settings) -> Asterisk {
        let root = surroundings::asterisk_root();
        let folder = tempfile::Builder::new()
            .prefix("rc")
            .tempdir()
            .unwrap_or_else(|error| panic!("no run folder: {error}"));
        let length = folder.path().as_os_str().len();
        assert!(
            length <= LONGEST_FOLDER,
            "TMPDIR is too long for a Unix socket below it: {}",
            folder.path().display()
        );
        let unpacked = Unpacked::find(&root, "usr/sbin/asterisk", &["odbc"]);
        let [sip, ami, http, tls] = std::array::from_fn(|_| Port::reserve());
        let place = config::Place {
            folder: folder.path(),
            root: &root,
            modules: &unpacked.folder("asterisk/modules"),
            drivers: &unpacked.folder("odbc"),
            sip: sip.number(),
            ami: ami.number(),
            http: http.number(),
            tls: tls.number(),
        };
        config::write(&place, &settings)
            .unwrap_or_else(|error| panic!("Asterisk's configuration: {error}"));
        let mut asterisk = Asterisk {
            folder,
            unpacked,
            process: None,
            sip,
            ami,
            http,
            tls,
            settings,
            ahead: 0,
        };
        asterisk.boot().await;
        asterisk
    }

    /// Starts it again after [`Asterisk::stop`] or [`Asterisk::kill`].
    ///
    /// # Panics
    ///
    /// If it does not boot.
    pub async fn boot(&mut self) {
        let mut arguments = self.arguments();
        arguments.extend(["-f", "-n"].map(OsString::from));
        let etc = self.folder.path().join("etc");
        let sources = etc.join("odbc.ini");
        let shift = format!("{:+}s", self.ahead);
        let mut environment = vec![
            ("ODBCSYSINI", etc.as_os_str()),
            ("ODBCINI", sources.as_os_str()),
        ];
        if self.ahead != 0 {
            environment.extend([
                ("LD_PRELOAD", OsStr::new(OTHER_TIME)),
                ("FAKETIME", OsStr::new(&shift)),
                // Its timers are its own.
                ("FAKETIME_DONT_FAKE_MONOTONIC", OsStr::new("1")),
            ]);
        }
        let mut process = Program::start(&self.unpacked.loader, arguments, &environment);
        eventually("Asterisk is fully booted", BOOT, async || {
            assert!(
                process.is_running(),
                "Asterisk ended while booting:\n{process:?}\n{}",
                self.log()
            );
            let said = self.rx("core waitfullybooted").await;
            if said.contains("fully booted") {
                Ok(())
            } else {
                Err(said)
            }
        })
        .await;
        self.process = Some(process);
    }

    /// What the command-line interface answers to `command`.
    ///
    /// # Panics
    ///
    /// If the interface cannot be started at all.
    pub async fn rx(&self, command: &str) -> String {
        let output = Command::new(&self.unpacked.loader)
            .args(self.arguments())
            .args(["-r", "-x", command])
            .kill_on_drop(true)
            .output()
            .await
            .unwrap_or_else(|error| panic!("asterisk -rx: {error}"));
        String::from_utf8_lossy(&output.stdout).into_owned()
    }

    /// The contacts of `extension` as `pjsip show contacts` lists them.
    pub async fn contacts(&self, extension: &str) -> Vec<Contact> {
        parse_contacts(&self.rx("pjsip show contacts").await)
            .into_iter()
            .filter(|contact| contact.aor == extension)
            .collect()
    }

    /// Ends it as an admin would.
    ///
    /// # Panics
    ///
    /// If it does not end.
    pub async fn stop(&mut self) {
        self.rx("core stop now").await;
        if let Some(mut process) = self.process.take() {
            process.ended(BOOT).await;
        }
    }

    /// kill -9.
    pub fn kill(&mut self) {
        if let Some(mut process) = self.process.take() {
            process.kill();
        }
    }

    /// Its clock is so many seconds ahead of the machine's (behind it, if negative) from the next boot on.
    pub fn shift_clock(&mut self, seconds: i32) {
        self.ahead = seconds;
    }

    /// Stops it in its tracks: it hangs, its sockets stay open.
    pub fn freeze(&self) {
        if let Some(process) = &self.process {
            process.freeze();
        }
    }

    /// Lets it go on.
    pub fn thaw(&self) {
        if let Some(process) = &self.process {
            process.thaw();
        }
    }

    /// `127.0.0.1:PORT` of its SIP transports (UDP and TCP).
    pub fn sip(&self) -> String {
        format!("127.0.0.1:{}", self.sip.number())
    }

    /// The port of those transports.
    pub fn sip_port(&self) -> u16 {
        self.sip.number()
    }

    /// `127.0.0.1:PORT` of its SIP transport over TLS.
    pub fn sip_over_tls(&self) -> String {
        format!("127.0.0.1:{}", self.tls.number())
    }

    /// The certificate of that transport, which is its own authority.
    pub fn certificate(&self) -> PathBuf {
        self.folder.path().join("etc").join(config::CERTIFICATE)
    }

    /// The port of its manager interface, on 127.0.0.1.
    pub fn ami_port(&self) -> u16 {
        self.ami.number()
    }

    /// The port of its HTTP server (ARI, WebSocket), on 127.0.0.1.
    pub fn http_port(&self) -> u16 {
        self.http.number()
    }

    /// The digest password that is configured for `extension`.
    ///
    /// # Panics
    ///
    /// If nobody configured it.
    pub fn password_of(&self, extension: &str) -> &str {
        let person = self
            .settings
            .people
            .iter()
            .find(|person| person.extension == extension);
        &person
            .unwrap_or_else(|| panic!("nobody configured {extension}"))
            .password
    }

    /// What it was configured with.
    pub fn settings(&self) -> &Settings {
        &self.settings
    }

    /// Its run folder.
    pub fn folder(&self) -> &Path {
        self.folder.path()
    }

    /// The shell command that opens its console, for a person.
    pub fn console(&self) -> String {
        let arguments: Vec<String> = self
            .arguments()
            .iter()
            .map(|word| word.to_string_lossy().into_owned())
            .collect();
        format!(
            "{} {} -rvvv",
            self.unpacked.loader.display(),
            arguments.join(" ")
        )
    }

    /// The lines of its log that tell of a database that did not do what was asked.
    pub fn complaints_of_databases(&self) -> Vec<String> {
        let text = self.whole_log();
        let of_databases = [
            "SQL Exec",
            "locked",
            "ODBC",
            "PostgreSQL",
            "Postgres",
            "pgsql",
        ];
        text.lines()
            .filter(|line| line.contains("WARNING") || line.contains("ERROR"))
            .filter(|line| of_databases.iter().any(|word| line.contains(word)))
            .map(str::to_owned)
            .collect()
    }

    /// All of its log.
    pub fn whole_log(&self) -> String {
        std::fs::read_to_string(self.folder.path().join("log/full")).unwrap_or_default()
    }

    /// The tail of its log.
    pub fn log(&self) -> String {
        let text = self.whole_log();
        let lines: Vec<&str> = text.lines().collect();
        lines[lines.len().saturating_sub(80)..].join("\n")
    }

    fn arguments(&self) -> Vec<OsString> {
        let mut arguments = self.unpacked.arguments();
        arguments.push("-C".into());
        arguments.push(self.folder.path().join("etc/asterisk.conf").into());
        arguments
    }
}

impl Drop for Asterisk {
    fn drop(&mut self) {
        if std::thread::panicking() {
            eprintln!("--- Asterisk's log:\n{}", self.log());
        }
    }
}

/// A line of `pjsip show contacts`.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Contact {
    /// The address of record: here always the extension.
    pub aor: String,
    /// The Contact URI as stored, possibly cut short by the listing.
    pub uri: String,
    /// `Avail`, `Unavail`, `NonQual`, `Unknown`.
    pub status: String,
}

/// Reads lines such as `  Contact:  1001/sip:1001-ab@127.0.0.1:4061   3f2a9c11d0 Avail   0.412`.
fn parse_contacts(listing: &str) -> Vec<Contact> {
    listing
        .lines()
        .filter_map(|line| line.trim().strip_prefix("Contact:"))
        .filter_map(|line| {
            let mut words = line.split_whitespace();
            let (aor, uri) = words.next()?.split_once('/')?;
            let status = words.nth(1)?;
            // The heading has this shape too: `<Aor/ContactUri....> <Hash....> <Status>`.
            (!aor.starts_with('<')).then(|| Contact {
                aor: aor.to_owned(),
                uri: uri.to_owned(),
                status: status.to_owned(),
            })
        })
        .collect()
}

#[cfg(test)]
mod tests {
    use super::parse_contacts;

    #[test]
    fn the_listing_of_contacts_is_read_without_its_heading() {
        let listing = "\n  Contact:  <Aor/ContactUri..............................> <Hash....> <Status> <RTT(ms)..>\n\
            ==========================================================================================\n\n  \
            Contact:  1001/sip:1001-aa-bb@127.0.0.1:40611          3f2a9c11d0 Avail         0.412\n\nObjects found: 1\n";
        let contacts = parse_contacts(listing);
        assert_eq!(contacts.len(), 1);
        assert_eq!(
            (contacts[0].aor.as_str(), contacts[0].status.as_str()),
            ("1001", "Avail")
        );
        assert_eq!(contacts[0].uri, "sip:1001-aa-bb@127.0.0.1:40611");
    }
}
