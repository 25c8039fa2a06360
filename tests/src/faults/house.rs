//! The house that faults befall, and what must be so when it is at rest.

use std::collections::BTreeMap;
use std::time::Duration;

use serde_json::{Value, json};
use sqlx::Executor;

use super::history;
use crate::asterisk::{Asterisk, Contacts, Settings};
use crate::database::{self, Database, Kind};
use crate::lossy::Lossy;
use crate::server::{Answer, Options, SUPERVISOR, SharedDatabase};
use crate::waiting::{eventually, unix_ms};
use crate::{Agent, Mode, Program, Scene, Server};

/// The longest that anything may take to be seen, or to be agreed about again, on a busy machine.
pub(super) const IN_THE_END: Duration = Duration::from_secs(45);
/// Who is at work all day.
pub(super) const AT_WORK: [&str; 2] = ["1001", "1002"];
/// Who signs in and out in the middle of each fault.
pub(super) const COMES_AND_GOES: &str = "1003";

/// What a device's lease lasts here, so that it ends within a fault.
const LEASE: Duration = Duration::from_secs(3);

/// Asterisk, the server beside it and its database, agents at work, and dashboards.
#[derive(Debug)]
pub struct House {
    /// Who is at work: the person at the device, and the program.
    pub(super) apps: BTreeMap<&'static str, (Agent, Program)>,
    /// Our own client, as a supervisor's dashboard has it.
    pub(super) dashboard: Program,
    pub(super) scene: Scene,
    pub(super) database: Database,
    pub(super) network: Lossy,
    pub(super) mode: Mode,
    url: String,
}

impl House {
    /// Opens one in either mode: in mirror mode on MariaDB, with several devices an extension; in shared mode on
    /// PostgreSQL, with one device an extension, which may be taken over. What the network loses is drawn from `seed`.
    ///
    /// # Panics
    ///
    /// If anything does not start.
    pub async fn open(mode: Mode, seed: u64) -> House {
        let (kind, devices) = match mode {
            Mode::Mirror => (Kind::MariaDb, "multi"),
            Mode::Shared => (Kind::Postgres, "single"),
        };
        let database = Database::start(kind).await;
        database.make("rollcall").await;
        let named = database.named("rollcall");
        let url = named.url.clone();
        let mut settings = Settings::default();
        if mode == Mode::Shared {
            SharedDatabase::migrate_remote(&named);
            settings.contacts = Contacts::Remote(named.clone());
        }
        let asterisk = Asterisk::start(settings).await;
        let network = Lossy::to(&asterisk.sip(), seed);
        let options = Options {
            ari: true,
            registrar: Some((network.address(), "udp")),
            devices: Some(devices),
            lease: Some(LEASE),
            database: Some(named),
            ..Options::default()
        };
        let scene = Scene::beside(asterisk, options).await;
        let dashboard = Agent::new(SUPERVISOR)
            .with(["--board"])
            .start(&scene.server);
        let mut house = House {
            apps: BTreeMap::new(),
            dashboard,
            scene,
            database,
            network,
            mode,
            url,
        };
        for extension in AT_WORK {
            let person = person(extension);
            let app = person.start(&house.scene.server);
            house.apps.insert(extension, (person, app));
        }
        house.agrees().await;
        house
    }

    /// The seed's three views, the dashboards and the phones say the same of everybody, and a call to each Available
    /// agent rings there.
    ///
    /// # Panics
    ///
    /// If they do not in the end.
    pub async fn is_at_rest(&self) {
        self.agrees().await;
        for extension in AT_WORK {
            self.a_call_rings(extension).await;
        }
        for extension in AT_WORK {
            self.says(extension, "Available").await;
        }
        history::is_sound(&self.scene.board);
    }

    /// Board, table and `pjsip show contacts` agree about everybody.
    pub(super) async fn agrees(&self) {
        for extension in AT_WORK {
            self.says(extension, "Available").await;
            let all = self.scene.all_say_available_within(extension, IN_THE_END);
            all.await;
        }
    }

    /// Waits until our own dashboard says `status` of `extension`; returns since when it does, ms since the epoch.
    pub(super) async fn says(&self, extension: &str, status: &str) -> u64 {
        self.says_where(extension, status, |line| line["status"] == status)
            .await
    }

    /// The same for whatever `right` holds of.
    pub(super) async fn says_where(
        &self,
        extension: &str,
        what: &str,
        right: impl Fn(&Value) -> bool,
    ) -> u64 {
        let what = format!("the dashboard says {extension}: {what}");
        eventually(&what, IN_THE_END, async || {
            let events = self.dashboard.events();
            let mut latest_first = events.iter().rev().filter(|line| is_about(line, extension));
            match latest_first.next() {
                Some(line) if right(line) => Ok(line["t"].as_u64().unwrap_or_default()),
                other => Err(other.map_or_else(String::new, Value::to_string)),
            }
        })
        .await
    }

    /// Asterisk calls the extension as anybody would, and its app rings.
    async fn a_call_rings(&self, extension: &str) {
        let Some((_, app)) = self.apps.get(extension) else {
            panic!("{extension} is not at work");
        };
        let rung = |app: &Program| {
            let events = app.events();
            let rings = events.iter().filter(|line| {
                line["event"] == "call" && line["direction"] == "in" && line["state"] == "ringing"
            });
            rings.count()
        };
        let before = rung(app);
        let call = format!("channel originate Local/{extension}@agents application Wait 1");
        self.scene.asterisk.rx(&call).await;
        let what = format!("a call to {extension}, who is Available, rings");
        eventually(&what, IN_THE_END, async || {
            if rung(app) > before {
                Ok(())
            } else {
                Err(format!("{app:?}"))
            }
        })
        .await;
        self.scene.asterisk.rx("channel request hangup all").await;
        self.says(extension, "Available").await;
    }

    /// Runs SQL as an administrator with a client of their own would.
    pub(super) async fn sql(&self, statement: &str) {
        let connection = database::connect(&self.url).await;
        let mut connection = connection.unwrap_or_else(|error| panic!("{error}"));
        let done = connection
            .execute(sqlx::AssertSqlSafe(statement.to_owned()))
            .await;
        done.unwrap_or_else(|error| panic!("{statement}: {error}"));
    }

    /// Asks the server as the supervisor.
    pub(super) async fn supervise(&self, path: &str, body: &Value) -> Answer {
        let token = self.scene.server.token(SUPERVISOR).await;
        self.scene.server.post(path, Some(&token), body).await
    }

    /// Somebody signs in whatever happens, is there in the end, signs out, and none of what was acknowledged is lost.
    pub(super) async fn comes_and_goes(&self, (person, mut app): (Agent, Program)) {
        let mut runs = Vec::new();
        eventually("somebody comes in", IN_THE_END, async || {
            if !app.is_running() {
                // The server was away when they signed in: they try again.
                runs.push(app.events());
                app = person.start(&self.scene.server);
            }
            match self.scene.board.agent(COMES_AND_GOES) {
                Some(agent) if agent["status"] == "Available" => Ok(()),
                other => Err(format!("{other:?}")),
            }
        })
        .await;
        self.scene
            .all_say_available_within(COMES_AND_GOES, IN_THE_END)
            .await;
        assert!(app.terminate().await.success(), "{app:?}");
        self.scene
            .all_say_offline_within(COMES_AND_GOES, IN_THE_END)
            .await;
        let token = self.scene.server.token(SUPERVISOR).await;
        let an_hour_ago = unix_ms().saturating_sub(3_600_000);
        let path = format!("/api/ledger?extension={COMES_AND_GOES}&from={an_hour_ago}");
        let ledger = self.scene.server.get_as(&path, &token).await;
        assert_eq!(ledger.status, 200, "{ledger:?}");
        runs.push(app.events());
        history::nothing_acknowledged_is_lost(&runs, &person.device_id(), &ledger.body);
    }

    /// Who signs in in the middle of it.
    pub(super) fn somebody_comes(&self) -> (Agent, Program) {
        let person = person(COMES_AND_GOES);
        let app = person.start(&self.scene.server);
        (person, app)
    }

    /// Starts the app of somebody who was at work again, as they would.
    pub(super) fn starts_again(&mut self, extension: &'static str) {
        let server: &Server = &self.scene.server;
        if let Some((person, app)) = self.apps.get_mut(extension) {
            *app = person.start(server);
        }
    }

    /// The app of somebody who is at work.
    pub(super) fn app(&mut self, extension: &str) -> &mut Program {
        match self.apps.get_mut(extension) {
            Some((_, app)) => app,
            None => panic!("{extension} is not at work"),
        }
    }

    /// A supervisor signs somebody out at all devices.
    pub(super) async fn forces_out(&self, extension: &str) {
        let path = format!("/api/agents/{extension}/logout");
        let answer = self.supervise(&path, &json!({})).await;
        assert_eq!(answer.status, 200, "{answer:?}");
    }
}

/// A person at a device of their own, whose app gives the signs of life that a lease of three seconds wants.
pub(super) fn person(extension: &str) -> Agent {
    Agent::new(extension).with(["--heartbeat", "1"])
}

fn is_about(line: &Value, extension: &str) -> bool {
    line["event"] == "board" && line["extension"] == extension
}
