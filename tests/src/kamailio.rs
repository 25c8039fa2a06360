//! Two Kamailios, a proxy at the edge and a registrar behind it, as an operator's network has them: the phone sees only
//! the edge, everything takes the way that Path and Record-Route say.

use std::ffi::{OsStr, OsString};
use std::fs;
use std::net::UdpSocket;
use std::path::Path;
use std::time::Duration;

use tempfile::TempDir;

use crate::ports::Port;
use crate::program::Program;
use crate::surroundings::{kamailio_root, repository};
use crate::unpacked::Unpacked;
use crate::waiting::{PROMPTLY, eventually};

/// The password of everybody who registers.
pub const PASSWORD: &str = "secret-at-the-registrar";

/// Both of them, running.
#[derive(Debug)]
pub struct Kamailio {
    edge: Port,
    core: Port,
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
        let unpacked = Unpacked::find(&kamailio_root(), "usr/sbin/kamailio", &["kamailio"]);
        let folder = tempfile::tempdir().unwrap_or_else(|error| panic!("{error}"));
        let (edge, core) = (Port::reserve(), Port::reserve());
        let start = |name: &str| {
            let text = fs::read_to_string(repository().join(format!("tests/kamailio/{name}.cfg")));
            let text = text.unwrap_or_else(|error| panic!("{name}.cfg: {error}"));
            let modules = unpacked.folder("kamailio/modules");
            let text = text
                .replace("@EDGE@", &edge.number().to_string())
                .replace("@CORE@", &core.number().to_string())
                .replace("@MODULES@", &modules.to_string_lossy())
                .replace("@PASSWORD@", PASSWORD);
            let file = folder.path().join(format!("{name}.cfg"));
            fs::write(&file, text).unwrap_or_else(|error| panic!("{name}.cfg: {error}"));
            let run = folder.path().join(name);
            fs::create_dir(&run).unwrap_or_else(|error| panic!("{error}"));
            run_one(&unpacked, &file, &run)
        };
        let programs = [start("core"), start("edge")];
        for port in [&core, &edge] {
            answers(port.number(), &programs).await;
        }
        Kamailio {
            edge,
            core,
            programs,
            _folder: folder,
        }
    }

    /// `127.0.0.1:PORT` of the edge.
    pub fn sip(&self) -> String {
        format!("127.0.0.1:{}", self.edge.number())
    }

    /// `127.0.0.1:PORT` of the registrar itself, for phones that know nothing of Path.
    pub fn registrar(&self) -> String {
        format!("127.0.0.1:{}", self.core.number())
    }

    /// What both have complained about.
    pub fn complaints(&self) -> Vec<String> {
        let all = self.programs.iter().flat_map(Program::complaints);
        all.filter(|line| line.contains("ERROR") || line.contains("CRITICAL"))
            .collect()
    }
}

fn run_one(unpacked: &Unpacked, configuration: &Path, run: &Path) -> Program {
    let mut arguments = unpacked.arguments();
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
    Program::start(&unpacked.loader, arguments, &[])
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
