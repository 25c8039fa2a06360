//! Two Kamailios, a proxy at the edge and a registrar behind it, as an operator's network has them: the phone sees only
//! the edge, everything takes the way that Path and Record-Route say.

use std::ffi::{OsStr, OsString};
use std::fs;
use std::net::UdpSocket;
use std::path::{Path, PathBuf};
use std::time::Duration;

use tempfile::TempDir;

use crate::ports::Port;
use crate::program::Program;
use crate::surroundings::{kamailio_root, repository};
use crate::waiting::{PROMPTLY, eventually};

/// The password of everybody who registers.
pub const PASSWORD: &str = "secret-at-the-registrar";

/// Both of them, running.
#[derive(Debug)]
pub struct Kamailio {
    edge: Port,
    programs: [Program; 2],
    _folder: TempDir,
}

impl Kamailio {
    /// Starts both and waits until they answer.
    ///
    /// # Panics
    ///
    /// If they do not.
    pub async fn start() -> Kamailio {
        let root = kamailio_root();
        let libraries = libraries(&root);
        let folder = tempfile::tempdir().unwrap_or_else(|error| panic!("{error}"));
        let (edge, core) = (Port::reserve(), Port::reserve());
        let start = |name: &str| {
            let text = fs::read_to_string(repository().join(format!("tests/kamailio/{name}.cfg")));
            let text = text.unwrap_or_else(|error| panic!("{name}.cfg: {error}"));
            let modules = libraries.join("kamailio/modules");
            let text = text
                .replace("@EDGE@", &edge.number().to_string())
                .replace("@CORE@", &core.number().to_string())
                .replace("@MODULES@", &modules.to_string_lossy())
                .replace("@PASSWORD@", PASSWORD);
            let file = folder.path().join(format!("{name}.cfg"));
            fs::write(&file, text).unwrap_or_else(|error| panic!("{name}.cfg: {error}"));
            let run = folder.path().join(name);
            fs::create_dir(&run).unwrap_or_else(|error| panic!("{error}"));
            run_one(&root, &libraries, &file, &run)
        };
        let programs = [start("core"), start("edge")];
        for port in [&core, &edge] {
            answers(port.number(), &programs).await;
        }
        Kamailio {
            edge,
            programs,
            _folder: folder,
        }
    }

    /// `127.0.0.1:PORT` of the edge.
    pub fn sip(&self) -> String {
        format!("127.0.0.1:{}", self.edge.number())
    }

    /// What both have complained about.
    pub fn complaints(&self) -> Vec<String> {
        let all = self.programs.iter().flat_map(Program::complaints);
        all.filter(|line| line.contains("ERROR") || line.contains("CRITICAL"))
            .collect()
    }
}

/// Through the unpacked folder's own `ld.so`.
fn run_one(root: &Path, libraries: &Path, configuration: &Path, run: &Path) -> Program {
    let loader = find(libraries, |name| name.starts_with("ld-linux"))
        .or_else(|| find(&root.join("lib64"), |name| name.starts_with("ld-linux")))
        .unwrap_or_else(|| panic!("{} holds no ld.so", root.display()));
    let mut path = OsString::new();
    for part in ["usr/lib", "lib"] {
        let beneath = root
            .join(part)
            .join(libraries.file_name().unwrap_or_default());
        for folder in [beneath.join("kamailio"), beneath] {
            path.push(folder);
            path.push(":");
        }
    }
    let mut arguments: Vec<OsString> = vec!["--library-path".into(), path];
    arguments.push(root.join("usr/sbin/kamailio").into());
    // In the foreground, with little memory, and nothing outside its own folder.
    for (flag, value) in [
        ("-f", configuration.as_os_str()),
        ("-Y", run.as_os_str()),
        ("-w", run.as_os_str()),
        ("-m", OsStr::new("32")),
    ] {
        arguments.extend([flag.into(), value.to_owned()]);
    }
    arguments.extend(["-DD", "-E"].map(OsString::from));
    Program::start(&loader, arguments, &[])
}

/// Waits until somebody answers at this port, whatever it is: the registrar has no use for OPTIONS.
async fn answers(port: u16, programs: &[Program; 2]) {
    let socket = UdpSocket::bind("127.0.0.1:0").unwrap_or_else(|error| panic!("{error}"));
    let own = socket
        .local_addr()
        .unwrap_or_else(|error| panic!("{error}"));
    socket
        .set_read_timeout(Some(Duration::from_millis(100)))
        .unwrap_or_else(|error| panic!("{error}"));
    let mut tries = 0;
    eventually(&format!("Kamailio answers at {port}"), PROMPTLY, async || {
        tries += 1;
        let ask = format!(
            "INFO sip:nobody@127.0.0.1:{port} SIP/2.0\r\nVia: SIP/2.0/UDP {own};branch=z9hG4bK-{tries};rport\r\n\
             From: <sip:probe@{own}>;tag=1\r\nTo: <sip:nobody@127.0.0.1>;tag=unknown\r\nCall-ID: probe-{tries}\r\n\
             CSeq: 1 INFO\r\nMax-Forwards: 5\r\nContent-Length: 0\r\n\r\n"
        );
        let _ = socket.send_to(ask.as_bytes(), ("127.0.0.1", port));
        let mut answer = [0; 2048];
        match socket.recv_from(&mut answer) {
            Ok(_) => Ok(()),
            Err(error) => Err(format!("{error}; {programs:?}")),
        }
    })
    .await;
}

/// The multi-arch library folder, whatever the machine's architecture.
fn libraries(root: &Path) -> PathBuf {
    let lib = root.join("usr/lib");
    let mut folders = fs::read_dir(&lib)
        .into_iter()
        .flatten()
        .flatten()
        .map(|entry| entry.path());
    folders
        .find(|path| path.join("kamailio/modules").is_dir())
        .unwrap_or_else(|| panic!("{} holds no Kamailio modules", lib.display()))
}

fn find(folder: &Path, fits: impl Fn(&str) -> bool) -> Option<PathBuf> {
    let mut entries = fs::read_dir(folder)
        .ok()?
        .flatten()
        .map(|entry| entry.path());
    entries.find(|path| {
        let name = path.file_name().unwrap_or_default();
        fits(&name.to_string_lossy())
    })
}
