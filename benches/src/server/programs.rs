//! The two servers, started on empty SQLite files.

use std::fmt::Write as _;
use std::fs;
use std::net::SocketAddr;
use std::path::Path;
use std::process::Command;
use std::time::{Duration, Instant};

use rollcall_e2e::program::Program;
use rollcall_e2e::surroundings::{binary, repository};
use serde_json::Value;
use tempfile::TempDir;

use super::load::Line;
use crate::Result;

/// A start, and a busy machine.
const START: Duration = Duration::from_secs(60);
/// Everybody's.
pub(crate) const PASSWORD: &str = "correct horse battery";

/// A server under load.
pub(crate) struct Target {
    pub(crate) name: &'static str,
    pub(crate) address: SocketAddr,
    pub(crate) pid: i32,
    _program: Program,
    _folder: TempDir,
}

/// The extension of the agent at this place, from 0.
pub(crate) fn extension(place: usize) -> String {
    (1001 + place).to_string()
}

/// `rollcall-server` as it comes, with `people` agents, a supervisor and an administrator, without Asterisk: a claim is taken down as the seed
/// does it. `more` comes into its configuration, outside all tables.
pub(crate) fn ours(people: usize, more: &str) -> Result<Target> {
    let folder = folder()?;
    let config = folder.path().join("server.toml");
    let text = format!(
        "mode = \"claims\"\nlisten = \"127.0.0.1:0\"\ndata_dir = {:?}\n{more}[log]\nfilter = \"warn\"\n",
        folder.path().join("data")
    );
    fs::write(&config, text).map_err(|error| format!("{}: {error}", config.display()))?;
    let list = folder.path().join("people.csv");
    let mut rows = String::from("username,password,extension,role,sip_password\n");
    for place in 0..people {
        let extension = extension(place);
        let _ = writeln!(
            rows,
            "agent{extension},{PASSWORD},{extension},agent,unused-{extension}"
        );
    }
    for role in ["supervisor", "admin"] {
        let _ = writeln!(rows, "{role},{PASSWORD},,{role},");
    }
    fs::write(&list, rows).map_err(|error| format!("{}: {error}", list.display()))?;
    println!("  (hashing {} passwords)", people + 2);
    let imported = Command::new(binary("rollcall-server"))
        .args(["user", "import"])
        .arg(&list)
        .arg("--config")
        .arg(&config)
        .output()
        .map_err(|error| format!("rollcall-server user import: {error}"))?;
    if !imported.status.success() {
        let said = String::from_utf8_lossy(&imported.stderr);
        return Err(format!("rollcall-server user import: {said}"));
    }
    let arguments = ["serve", "--ready-json", "--config"].map(Into::into);
    let arguments = arguments.into_iter().chain([config.into_os_string()]);
    let program = Program::start(&binary("rollcall-server"), arguments, &[]);
    started("rollcall-server", program, folder)
}

/// The peer of `benches/node-peer`, whose packages are installed.
pub(crate) fn node(agents: usize) -> Result<Target> {
    let folder = folder()?;
    let script = repository().join("benches/node-peer/server.mjs");
    let arguments = [
        script.into_os_string(),
        folder.path().join("peer.db").into_os_string(),
        agents.to_string().into(),
    ];
    let program = Program::start(Path::new("node"), arguments, &[]);
    started("express, better-sqlite3", program, folder)
}

fn folder() -> Result<TempDir> {
    tempfile::tempdir().map_err(|error| format!("no folder: {error}"))
}

fn started(name: &'static str, mut program: Program, folder: TempDir) -> Result<Target> {
    let begun = Instant::now();
    let address = loop {
        let ready = |event: &Value| {
            let url = event["http"].as_str()?;
            url.strip_prefix("http://")?.parse().ok()
        };
        if let Some(address) = program.events().iter().find_map(ready) {
            break address;
        }
        if !program.is_running() || begun.elapsed() > START {
            return Err(format!("{name} does not start: {:?}", program.complaints()));
        }
        std::thread::sleep(Duration::from_millis(20));
    };
    Ok(Target {
        name,
        address,
        pid: program.pid().as_raw(),
        _program: program,
        _folder: folder,
    })
}

impl Target {
    /// Access tokens of the first `agents`, by signing in.
    pub(crate) fn sign_in(&self, agents: usize) -> Result<Vec<String>> {
        let mut line = Line::open(self.address)?;
        (0..agents)
            .map(|place| self.token(&mut line, &format!("agent{}", extension(place))))
            .collect()
    }

    /// The access token of somebody who signs in now.
    pub(crate) fn token(&self, line: &mut Line, username: &str) -> Result<String> {
        let body = serde_json::json!({ "username": username, "password": PASSWORD, "deviceId": format!("device-{username}") });
        let (status, body) = line.post("/api/users/login", None, &body.to_string())?;
        let answer: Value = serde_json::from_slice(&body).map_err(|error| error.to_string())?;
        match answer["tokens"]["sip"].as_str() {
            Some(token) if status == 200 => Ok(token.to_owned()),
            _ => Err(format!("{}: signing in is answered {status}", self.name)),
        }
    }

    /// Those that the peer has given its agents.
    pub(crate) fn tokens(&self, agents: usize) -> Vec<String> {
        (0..agents)
            .map(|place| format!("token-of-{}", extension(place)))
            .collect()
    }
}
