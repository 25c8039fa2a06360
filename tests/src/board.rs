//! The board as the official npm `socket.io-client` shows it: a snapshot, then changes, kept in step here.

use std::ffi::OsStr;
use std::path::Path;
use std::time::Duration;

use serde_json::Value;

use crate::program::Program;
use crate::surroundings::repository;
use crate::waiting::eventually;

/// A watching client in a process of its own.
#[derive(Debug)]
pub struct Board {
    program: Program,
}

impl Board {
    /// Connects with `token` and waits for the snapshot.
    ///
    /// # Panics
    ///
    /// If none comes.
    pub async fn watch(url: &str, token: &str) -> Board {
        let board = Board::connect(url, token, "websocket");
        board
            .program
            .event("gets agents:snapshot", |event| {
                (event["event"] == "agents:snapshot").then_some(())
            })
            .await;
        board
    }

    /// Connects by the given transports (`websocket`, `polling`, or both with a comma), waiting for nothing.
    ///
    /// # Panics
    ///
    /// If the client's packages are not installed, or Node.js is missing.
    pub fn connect(url: &str, token: &str, transports: &str) -> Board {
        let folder = repository().join("tests/socketio");
        assert!(
            folder.join("node_modules/socket.io-client").is_dir(),
            "run `npm ci` in {}",
            folder.display()
        );
        let environment = [
            ("ROLLCALL_TOKEN", OsStr::new(token)),
            ("SOCKETIO_TRANSPORTS", OsStr::new(transports)),
        ];
        let script = folder.join("board.mjs");
        Board {
            program: Program::start(
                Path::new("node"),
                [script.as_os_str(), OsStr::new(url)],
                &environment,
            ),
        }
    }

    /// The client's process and what it saw, event by event.
    pub fn program(&self) -> &Program {
        &self.program
    }

    /// The server's epoch as the last snapshot has it: another one after each start.
    pub fn epoch(&self) -> Option<String> {
        let events = self.program.events();
        let mut latest_first = events.iter().rev();
        let snapshot = latest_first.find(|event| event["event"] == "agents:snapshot")?;
        snapshot["data"]["epoch"].as_str().map(str::to_owned)
    }

    /// When the board first said `status` of `extension` after `since`, ms since the epoch.
    pub fn first_said(&self, extension: &str, status: &str, since: u64) -> Option<u64> {
        let events = self.program.events();
        let mut said = events.iter().filter(|event| {
            event["data"]["extension"] == extension && event["data"]["status"] == status
        });
        said.find_map(|event| event["t"].as_u64().filter(|t| *t >= since))
    }

    /// The agent as the last snapshot and all changes since have it.
    pub fn agent(&self, extension: &str) -> Option<Value> {
        let mut found = None;
        for event in self.program.events() {
            match event["event"].as_str() {
                Some("agents:snapshot") => {
                    let agents = event["data"]["agents"].as_array();
                    found = agents
                        .and_then(|agents| {
                            agents.iter().find(|agent| agent["extension"] == extension)
                        })
                        .cloned();
                }
                Some("agent:status") if event["data"]["extension"] == extension => {
                    found = Some(event["data"].clone())
                }
                _ => {}
            }
        }
        found
    }

    /// Waits until the agent's state is `status`, and returns the agent.
    ///
    /// # Panics
    ///
    /// If it is not in time.
    pub async fn shows(&self, extension: &str, status: &str, within: Duration) -> Value {
        self.shows_where(extension, status, within, |agent| agent["status"] == status)
            .await
    }

    /// Waits until `right` holds of the agent; `what` says it in words.
    ///
    /// # Panics
    ///
    /// If it does not in time.
    pub async fn shows_where(
        &self,
        extension: &str,
        what: &str,
        within: Duration,
        right: impl Fn(&Value) -> bool,
    ) -> Value {
        eventually(
            &format!("the board shows {extension}: {what}"),
            within,
            async || match self.agent(extension) {
                Some(agent) if right(&agent) => Ok(agent),
                other => Err(other.map_or_else(
                    || "nobody of that extension".to_owned(),
                    |agent| agent.to_string(),
                )),
            },
        )
        .await
    }
}

/// The codes of an agent's reasons, most important first.
pub fn reasons(agent: &Value) -> Vec<&str> {
    agent["reasons"]
        .as_array()
        .into_iter()
        .flatten()
        .filter_map(|reason| reason["code"].as_str())
        .collect()
}
