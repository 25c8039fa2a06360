//! What most suites play in: Asterisk, the server, and the supervisor's board, in either mode.

use std::time::Duration;

use crate::agent::Agent;
use crate::asterisk::{Asterisk, Contacts, Settings};
use crate::board::Board;
use crate::database::{Database, Kind};
use crate::program::Program;
use crate::server::{Options, SUPERVISOR, Server, SharedDatabase};
use crate::waiting::{PROMPTLY, eventually, unix_seconds};

/// The server's `mode`: where Asterisk keeps contacts.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Mode {
    /// In its astdb.
    Mirror,
    /// In the server's own database.
    Shared,
}

/// Asterisk, the server, and the supervisor's board.
#[derive(Debug)]
pub struct Scene {
    /// What a supervisor sees.
    pub board: Board,
    /// The server.
    pub server: Server,
    /// The Asterisk beside it.
    pub asterisk: Asterisk,
    mode: Mode,
    /// Kept for as long as both use it.
    shared: Option<SharedDatabase>,
    /// As well, where the database is a server's.
    databases: Option<Database>,
}

impl Scene {
    /// Starts everything.
    pub async fn start(mode: Mode) -> Scene {
        Scene::start_with(mode, Settings::default(), Options::default()).await
    }

    /// Starts everything, with an Asterisk and a server of these settings.
    pub async fn start_with(mode: Mode, settings: Settings, options: Options) -> Scene {
        let shared = (mode == Mode::Shared).then(SharedDatabase::migrated);
        let contacts = shared
            .as_ref()
            .map_or(Contacts::Astdb, |shared| Contacts::Table(shared.file()));
        let settings = Settings {
            contacts,
            ..settings
        };
        let mut scene = Scene::beside(Asterisk::start(settings).await, options).await;
        scene.shared = shared;
        scene
    }

    /// Starts everything in shared mode on a database server of its own.
    pub async fn shared_on(kind: Kind, settings: Settings, options: Options) -> Scene {
        let databases = Database::start(kind).await;
        databases.make("rollcall").await;
        let named = databases.named("rollcall");
        SharedDatabase::migrate_remote(&named);
        let settings = Settings {
            contacts: Contacts::Remote(named),
            ..settings
        };
        let asterisk = Asterisk::start(settings).await;
        let mut scene = Scene::beside(asterisk, options).await;
        scene.databases = Some(databases);
        scene
    }

    /// Starts the server beside an Asterisk that runs.
    pub async fn beside(asterisk: Asterisk, options: Options) -> Scene {
        let server = Server::start_with(&asterisk, options).await;
        let board = server.board(SUPERVISOR).await;
        let mode = match asterisk.settings().contacts {
            Contacts::Astdb => Mode::Mirror,
            Contacts::Table(_) | Contacts::Remote(_) => Mode::Shared,
        };
        Scene {
            board,
            server,
            asterisk,
            mode,
            shared: None,
            databases: None,
        }
    }

    /// An agent who has signed in and is Available.
    pub async fn signed_in(&self, extension: &str) -> Program {
        let agent = Agent::new(extension).start(&self.server);
        self.board.shows(extension, "Available", PROMPTLY).await;
        agent
    }

    /// Asterisk lists one reachable contact, the tables say so, and so does the board.
    pub async fn all_say_available(&self, extension: &str) {
        self.all_say_available_within(extension, PROMPTLY).await;
    }

    /// As [`Scene::all_say_available`], with a deadline of its own.
    pub async fn all_say_available_within(&self, extension: &str, within: Duration) {
        eventually("all views say Available", within, async || {
            let listed = self.asterisk.contacts(extension).await;
            let rows = self.server.rows(extension).await;
            let board = self.board.agent(extension).unwrap_or_default();
            let reachable = rows
                .contacts
                .iter()
                .filter(|(endpoint, status)| endpoint == extension && status == "Reachable")
                .count();
            let agree = listed.len() == 1
                && listed[0].status == "Avail"
                && reachable == 1
                && rows.expires.is_some_and(|at| at > unix_seconds())
                && rows.user == (true, true)
                && board["status"] == "Available"
                && board["contactStatus"] == "Reachable"
                && board["online"] == true
                && board["sipRegistered"] == true;
            if agree {
                Ok(())
            } else {
                Err(format!(
                    "Asterisk {listed:?}, tables {rows:?}, board {board}"
                ))
            }
        })
        .await;
    }

    /// Asterisk lists one reachable contact, and so does the table, whatever the person does with it.
    pub async fn a_contact_is_reachable(&self, extension: &str) {
        eventually(
            "Asterisk and the table say Reachable",
            PROMPTLY,
            async || {
                let listed = self.asterisk.contacts(extension).await;
                let rows = self.server.rows(extension).await;
                let reachable = rows
                    .contacts
                    .iter()
                    .filter(|(_, status)| status == "Reachable");
                if listed.len() == 1 && listed[0].status == "Avail" && reachable.count() == 1 {
                    Ok(())
                } else {
                    Err(format!("Asterisk {listed:?}, tables {rows:?}"))
                }
            },
        )
        .await;
    }

    /// Asterisk lists nobody, the row says Expired (or, where the table is Asterisk's, is gone), and the board says
    /// Offline.
    pub async fn all_say_offline(&self, extension: &str) {
        self.all_say_offline_within(extension, PROMPTLY).await;
    }

    /// As [`Scene::all_say_offline`], with a deadline of its own.
    pub async fn all_say_offline_within(&self, extension: &str, within: Duration) {
        eventually("all views say Offline", within, async || {
            let listed = self.asterisk.contacts(extension).await;
            let rows = self.server.rows(extension).await;
            let board = self.board.agent(extension).unwrap_or_default();
            let expired = match self.mode {
                Mode::Mirror => {
                    !rows.contacts.is_empty()
                        && rows.contacts.iter().all(|(_, status)| status == "Expired")
                }
                Mode::Shared => rows.contacts.is_empty(),
            };
            let agree = listed.is_empty()
                && expired
                && rows.user == (false, false)
                && board["status"] == "Offline"
                && board["contactStatus"] == "Expired"
                && board["online"] == false
                && board["sipRegistered"] == false;
            if agree {
                Ok(())
            } else {
                Err(format!(
                    "Asterisk {listed:?}, tables {rows:?}, board {board}"
                ))
            }
        })
        .await;
    }
}
