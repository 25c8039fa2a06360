//! The one task that drives the alignment core.
//!
//! ```text
//! edge ──► CoreInbox::commands ──► core ──► Commit ──► Database ──► Committed / Failed ──► core
//!                                   └─────► replies and Publisher, only after the commit (R8)
//! ```

use std::{collections::BTreeMap, sync::Arc};

use rollcall_alignment::{self as alignment, UserRow};
use rollcall_wire::{
    board::{Agent, BoardStatus, ContactStatus, Reason},
    realtime::{AgentStatus, AgentsSnapshot, SessionEnded},
};
use tokio_util::sync::CancellationToken;
use uuid::Uuid;

use crate::{
    Config, clock,
    core_link::{Command, CoreInbox, DeviceNotice, LoggedOut, Publisher, Refusal},
    db::{Database, Write},
};

/// Runs until cancelled, or until the edge is gone.
pub(crate) async fn run(
    _config: Arc<Config>,
    database: Database,
    mut inbox: CoreInbox,
    stop: CancellationToken,
) {
    let people = database.people().await.unwrap_or_default();
    let agents = people
        .iter()
        .map(|person| {
            (
                person.extension.to_string(),
                offline(person.extension.as_str()),
            )
        })
        .collect();
    let mut board = Board {
        epoch: Uuid::new_v4().to_string(),
        seq: 0,
        agents,
        publisher: inbox.publisher.clone(),
    };
    board.begin();
    loop {
        tokio::select! {
            () = stop.cancelled() => return,
            command = inbox.commands.recv() => match command {
                None => return,
                Some(command) => carry_out(&database, &mut board, command).await,
            },
        }
    }
}

struct Board {
    epoch: String,
    seq: u64,
    agents: BTreeMap<String, Agent>,
    publisher: Publisher,
}

impl Board {
    fn begin(&self) {
        self.publisher.board(AgentsSnapshot {
            epoch: self.epoch.clone(),
            seq: self.seq,
            agents: self.agents.values().cloned().collect(),
        });
    }

    fn put(&mut self, agent: Agent) {
        self.seq += 1;
        self.agents.insert(agent.extension.clone(), agent.clone());
        self.publisher.status(AgentStatus {
            epoch: self.epoch.clone(),
            seq: self.seq,
            agent,
        });
    }
}

async fn carry_out(database: &Database, board: &mut Board, command: Command) {
    match command {
        Command::SignIn { session, reply } => {
            if let Some(extension) = &session.extension
                && !board.agents.contains_key(extension)
            {
                board.put(offline(extension));
            }
            let _ = reply.send(Ok(()));
        }
        Command::Online {
            extension, reply, ..
        } => {
            let written = database.commit(vec![presence(&extension, true)]).await;
            let answer = match written {
                Ok(()) => {
                    let mut agent = offline(&extension);
                    agent.online = true;
                    agent.status = BoardStatus::NotAvailable;
                    agent.reasons = vec![Reason {
                        code: "registering".into(),
                        message: Some("The phone has not registered yet.".into()),
                        since: clock::now_ms(),
                    }];
                    board.put(agent.clone());
                    Ok(agent)
                }
                Err(_) => Err(Refusal::database_down()),
            };
            let _ = reply.send(answer);
        }
        Command::Logout { session, reply, .. } => {
            let extension = session.extension.clone().unwrap_or_default();
            let end = Write::EndSession {
                session: session.id,
                at: clock::now_ms(),
                reason: "logged_out".into(),
            };
            let written = database
                .commit(vec![presence(&extension, false), end])
                .await;
            if written.is_ok() {
                board.put(offline(&extension));
                let ended = SessionEnded {
                    reason: "logout".into(),
                    message: "Signed out.".into(),
                };
                board
                    .publisher
                    .device(session.id, DeviceNotice::SessionEnded(ended));
            }
            let _ = reply.send(
                written
                    .map(|()| LoggedOut { pending: vec![] })
                    .map_err(|_| Refusal::database_down()),
            );
        }
        Command::Expired { .. }
        | Command::Heartbeat { .. }
        | Command::Connected { .. }
        | Command::Disconnected { .. } => {}
    }
}

fn presence(extension: &str, online: bool) -> Write {
    let extension = alignment::Extension::new(extension)
        .unwrap_or_else(|_| unreachable!("the edge has checked it"));
    Write::Core(alignment::Write::User(UserRow {
        extension,
        online,
        sip_registered: false,
    }))
}

fn offline(extension: &str) -> Agent {
    Agent {
        extension: extension.into(),
        status: BoardStatus::Offline,
        contact_status: ContactStatus::Expired,
        online: false,
        sip_registered: false,
        reasons: vec![],
        since: clock::now_ms(),
        sources: BTreeMap::new(),
        devices: vec![],
    }
}
