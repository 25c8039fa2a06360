//! The one task that drives the alignment core.
//!
//! ```text
//! edge ──► CoreInbox::commands ──► core ──► Commit ──► Database ──► Committed / Failed ──► core
//! AMI ───► observations ─────────►  │  └──► replies and Publisher, only after the commit (R8)
//!                                   └─────► asks: Asterisk's lists, qualify, evict; re-register
//! ```
//!
//! It owns the core and its clock and carries out every output in order. It refuses to decide
//! anything: what is said, written and asked is the core's to say.

mod commands;
mod commits;
mod pulse;
mod views;
pub(crate) mod words;

use std::{
    collections::HashMap,
    sync::Arc,
    time::{Duration, Instant},
};

use rollcall_alignment::{
    Ask, Broadcast, CommitId, Core, DevicePolicy, EndReason, Epoch, Failure, Input,
    NonQualifiedPolicy, Now, Observation, Output, Registrar, Reply, RequestId, Restored,
    SessionState,
};
use rollcall_ami::Figures;
use rollcall_wire::realtime::{AgentStatus, AgentsSnapshot};
use tokio::sync::mpsc;
use tokio_util::sync::CancellationToken;

use crate::{
    Config,
    asterisk::Asterisk,
    auth::SessionId,
    clock,
    config::{Devices, Mode, Repairs, Unmanaged},
    core_link::{Command, CoreInbox, DeviceNotice, Publisher},
    db::{Database, Write, WriteError},
};
use commands::Waiter;
use commits::{Commits, Done};
pub(crate) use views::agent as row;

/// How long until the database is asked again for what a start needs.
const RESTORE_RETRY: Duration = Duration::from_secs(1);
/// How long the manager is given to take our leave.
const FAREWELL: Duration = Duration::from_secs(1);

/// Runs until cancelled, or until the edge is gone.
pub(crate) async fn run(
    config: Arc<Config>,
    database: Database,
    mut inbox: CoreInbox,
    figures: Arc<Figures>,
    stop: CancellationToken,
) {
    let Some(restored) = restore(&database, &stop).await else {
        return;
    };
    let mut asterisk = Asterisk::connect(&config, &database, figures).unwrap_or_else(|error| {
        tracing::error!(%error, "Asterisk cannot be asked; every agent is Unknown");
        Asterisk::none()
    });
    let mut driver = Driver::new(&config, database.clone(), inbox.publisher.clone());
    let mut silent = watched(database, driver.core.config(), &stop);
    driver.take(
        Input::Observation(Observation::Restored(restored)),
        &asterisk,
    );
    loop {
        // Before anything else, and whatever else there is: leases end on time under any flood.
        if driver
            .core
            .poll_timeout()
            .is_some_and(|due| due <= Instant::now())
        {
            driver.wake(&asterisk);
        }
        let wake = driver.core.poll_timeout();
        tokio::select! {
            biased;
            () = stop.cancelled() => break,
            Some(done) = driver.commits.next() => driver.commit_answered(done, &asterisk),
            () = until(wake) => driver.wake(&asterisk),
            Some(()) = silent.recv() => {
                driver.take(Input::Observation(Observation::DatabaseSilent), &asterisk);
            }
            // In no order: a flood from Asterisk keeps nobody from signing in, nor the reverse.
            heard = async { tokio::select! {
                observation = asterisk.observation() => Heard::Asterisk(observation),
                command = inbox.commands.recv() => Heard::Edge(command),
            }} => match heard {
                Heard::Asterisk(observation) => {
                    driver.take(Input::Observation(observation), &asterisk);
                }
                Heard::Edge(Some(command)) => driver.command(command, &asterisk),
                Heard::Edge(None) => break,
            },
        }
    }
    let _ = tokio::time::timeout(FAREWELL, asterisk.shutdown()).await;
}

/// Has the database watched; hears of each time that it was silent.
fn watched(
    database: Database,
    config: &rollcall_alignment::Config,
    stop: &CancellationToken,
) -> mpsc::Receiver<()> {
    let (says, silent) = mpsc::channel(1);
    let (period, patience) = (config.heartbeat, config.commit_timeout);
    tokio::spawn(pulse::watch(database, period, patience, says, stop.clone()));
    silent
}

async fn restore(database: &Database, stop: &CancellationToken) -> Option<Restored> {
    loop {
        match database.restore().await {
            Ok(restored) => return Some(restored),
            Err(error) => tracing::error!(%error, "the database cannot be read; trying again"),
        }
        tokio::select! {
            () = stop.cancelled() => return None,
            () = tokio::time::sleep(RESTORE_RETRY) => {}
        }
    }
}

async fn until(at: Option<Instant>) {
    match at {
        Some(at) => tokio::time::sleep_until(at.into()).await,
        None => std::future::pending().await,
    }
}

fn now() -> Now {
    Now {
        monotonic: Instant::now(),
        unix_ms: clock::now_ms(),
    }
}

/// What comes to the driver from outside.
enum Heard {
    Asterisk(Observation),
    Edge(Option<Command>),
}

struct Driver {
    core: Core,
    database: Database,
    publisher: Publisher,
    mode: &'static str,
    /// The board was published for the first time.
    published: bool,
    next_request: u64,
    waiters: HashMap<RequestId, Waiter>,
    commits: Commits,
    /// When what is being said became true on disk.
    committed: Instant,
    /// Sessions that a commit under way ends: their devices are told once it is made.
    ending: HashMap<CommitId, Vec<(SessionId, EndReason)>>,
}

impl Driver {
    fn new(config: &Config, database: Database, publisher: Publisher) -> Self {
        let now = now();
        Self {
            core: Core::new(core_config(config), Epoch(now.unix_ms), now),
            database,
            publisher,
            mode: config.mode.as_str(),
            published: false,
            next_request: 0,
            waiters: HashMap::new(),
            commits: Commits::default(),
            committed: now.monotonic,
            ending: HashMap::new(),
        }
    }

    fn commit_answered(&mut self, done: Done, asterisk: &Asterisk) {
        self.committed = done.at;
        self.take(done.input, asterisk);
    }

    fn take(&mut self, input: Input, asterisk: &Asterisk) {
        match &input {
            Input::Committed(id) => self.core_committed(*id),
            Input::Failed(id, _) => {
                self.ending.remove(id);
            }
            Input::Intent { .. } | Input::Observation(_) => {}
        }
        self.core.handle(now(), input);
        self.carry_out(asterisk);
    }

    fn wake(&mut self, asterisk: &Asterisk) {
        self.core.handle_timeout(now());
        self.carry_out(asterisk);
    }

    fn carry_out(&mut self, asterisk: &Asterisk) {
        while let Some(output) = self.core.poll_output() {
            match output {
                Output::Commit(commit) => self.commit(commit),
                Output::Reply(reply) => self.reply(reply),
                Output::Broadcast(broadcast) => self.broadcast(&broadcast),
                // Rare, and no client of any version has a word for it: everybody begins anew.
                Output::Withdrawn(_) => self.publish_board(),
                Output::Ask(Ask::Reregister { session }) => {
                    if let Some(session) = commands::edge_id(&session) {
                        self.publisher.device(session, DeviceNotice::Reregister);
                    }
                }
                Output::Ask(ask) => asterisk.carry_out(ask),
            }
        }
        if !self.published {
            self.publish_board();
        }
    }

    fn publish_board(&mut self) {
        if let Some(snapshot) = self.core.snapshot() {
            self.published = true;
            self.publisher.board(AgentsSnapshot {
                epoch: snapshot.epoch.0.to_string(),
                mode: self.mode.to_owned(),
                seq: snapshot.seq.0,
                agents: snapshot.agents.iter().map(views::agent).collect(),
            });
        }
    }

    fn commit(&mut self, commit: rollcall_alignment::Commit) {
        let id = commit.id;
        let ended: Vec<_> = commit.writes.iter().filter_map(ended_session).collect();
        if !ended.is_empty() {
            self.ending.insert(id, ended);
        }
        let writes = commit.writes.into_iter().map(Write::Core).collect();
        // Queued here, so that the database keeps the core's order whatever the tasks' is.
        let answer = self.database.commit(writes);
        self.commits.spawn(id, async move {
            match answer.await {
                Ok(()) => Input::Committed(id),
                Err(error) => {
                    tracing::error!(%error, "a change could not be saved");
                    Input::Failed(
                        id,
                        match error {
                            WriteError::Down(_) => Failure::Unavailable,
                            _ => Failure::Refused,
                        },
                    )
                }
            }
        });
    }

    /// Devices hear that their session is over, now that it is.
    fn core_committed(&mut self, id: CommitId) {
        for (session, reason) in self.ending.remove(&id).unwrap_or_default() {
            self.publisher.device(session, DeviceNotice::ended(reason));
        }
    }

    fn reply(&mut self, reply: Reply) {
        if let Some(waiter) = self.waiters.remove(&reply.request) {
            waiter.answer(reply.answer);
        }
    }

    fn broadcast(&mut self, broadcast: &Broadcast) {
        let (before, agent) = (broadcast.before.as_deref(), &broadcast.agent);
        views::log_presence(before, agent);
        for event in views::events(before, agent) {
            self.publisher.event(event);
        }
        // Before the first snapshot there is nobody to tell; it will contain this.
        if self.published {
            let status = AgentStatus {
                epoch: broadcast.epoch.0.to_string(),
                seq: broadcast.seq.0,
                agent: views::agent(&broadcast.agent),
            };
            self.publisher.status(status, self.committed);
        }
    }
}

fn ended_session(write: &rollcall_alignment::Write) -> Option<(SessionId, EndReason)> {
    let rollcall_alignment::Write::Session(row) = write else {
        return None;
    };
    let SessionState::Ended(reason) = row.state else {
        return None;
    };
    Some((commands::edge_id(&row.id)?, reason))
}

fn core_config(config: &Config) -> rollcall_alignment::Config {
    let settings = &config.alignment;
    let defaults = rollcall_alignment::Config::default();
    rollcall_alignment::Config {
        heartbeat: Duration::from_millis(settings.heartbeat_ms),
        lease: settings.lease(),
        grace: settings.grace(),
        resync: settings.resync(),
        registering: settings.login_timeout(),
        evictions_per_second: settings.evictions_per_second,
        reregistrations_per_second: settings.reregistrations_per_second,
        qualifies_per_second: settings.qualifies_per_second,
        devices: match settings.devices {
            Devices::Single => DevicePolicy::Single,
            Devices::Multi => DevicePolicy::Multi,
            Devices::Takeover => DevicePolicy::Takeover,
        },
        drains_per_second: settings.drains_per_second,
        observe_only: settings.repairs == Repairs::Observe,
        evict_unmanaged: settings.unmanaged == Unmanaged::Evict,
        registrar: match (config.mode, &config.ami) {
            (Mode::Claims, _) => Registrar::Claims,
            (_, Some(_)) => Registrar::Linked,
            (_, None) => Registrar::Absent,
        },
        shared_table: config.mode == Mode::Shared,
        non_qualified: if settings.accept_non_qualified {
            NonQualifiedPolicy::Accept
        } else {
            NonQualifiedPolicy::Refuse
        },
        // Without Asterisk there are no lists to wait for.
        first_lists: if config.ami.is_some() {
            defaults.first_lists
        } else {
            Duration::ZERO
        },
        ..defaults
    }
}
