//! What can befall the house: how it begins, what the dashboard must show, how it ends.

use std::time::Duration;

use serde_json::Value;
use tokio::time::sleep;

use super::Figure;
use super::house::{AT_WORK, COMES_AND_GOES, House, IN_THE_END, person};
use crate::Mode;
use crate::waiting::{eventually, unix_ms};

/// The agent that a fault at one app befalls.
const VICTIM: &str = AT_WORK[0];
/// The other one, so that nobody comes and goes so often that hysteresis holds the board back.
const OTHER: &str = AT_WORK[1];
/// How long what nobody has to notice lasts: a resync and a qualify.
const A_WHILE: Duration = Duration::from_secs(3);
/// Of a thousand datagrams.
const LOST: u32 = 300;
/// Seconds that Asterisk's clock is ahead of everybody's.
const AHEAD: i32 = 90;

/// A fault.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Situation {
    /// kill -9 of the server; it is started again.
    ServerKilled,
    /// The server hangs (STOP) for longer than a lease, and goes on.
    ServerFrozen,
    /// kill -9 of an app; its person starts it again.
    AppKilled,
    /// An app hangs for longer than its lease, and goes on.
    AppFrozen,
    /// kill -9 of Asterisk; it is started again.
    AsteriskKilled,
    /// Asterisk hangs, and goes on.
    AsteriskFrozen,
    /// kill -9 of the database server; it is started again.
    DatabaseKilled,
    /// The database server hangs, and goes on.
    DatabaseFrozen,
    /// The manager link is cut by who stands in between, and mended.
    AmiCut,
    /// Three of ten SIP datagrams are lost for a while, each way.
    SipLossy,
    /// Asterisk's clock is ninety seconds ahead, and right again.
    ClockOff,
    /// Somebody deletes the rows of an agent by SQL.
    RowsDeleted,
    /// Somebody inserts a row that no phone accounts for.
    RowInserted,
    /// Somebody changes the status in a row.
    RowChanged,
    /// Somebody sets a row's expiry into the past.
    RowExpired,
    /// A second device of the same extension comes and goes: a lease of its own, or refused, as the policy says.
    SecondDevice,
    /// Another device takes the extension over, and the first takes it back.
    TakenOver,
    /// A supervisor signs the agent out, who signs in again.
    ForcedOut,
}

use Situation::*;

impl Situation {
    /// All, in the order of the table.
    pub(super) const ALL: [Situation; 18] = [
        ServerKilled,
        ServerFrozen,
        AppKilled,
        AppFrozen,
        AsteriskKilled,
        AsteriskFrozen,
        DatabaseKilled,
        DatabaseFrozen,
        AmiCut,
        SipLossy,
        ClockOff,
        RowsDeleted,
        RowInserted,
        RowChanged,
        RowExpired,
        SecondDevice,
        TakenOver,
        ForcedOut,
    ];

    /// Those that befall a house of this mode, in the order of the table: with several devices an extension there is
    /// nothing to take over.
    pub fn of(mode: Mode) -> impl Iterator<Item = Situation> {
        let plays = move |situation: &Situation| *situation != TakenOver || mode == Mode::Shared;
        Self::ALL.into_iter().filter(plays)
    }

    /// Whether it ends or stops a program.
    #[must_use]
    pub fn is_of_a_program(self) -> bool {
        matches!(
            self,
            ServerKilled
                | ServerFrozen
                | AppKilled
                | AppFrozen
                | AsteriskKilled
                | AsteriskFrozen
                | DatabaseKilled
                | DatabaseFrozen
        )
    }

    /// For people.
    #[must_use]
    pub fn words(self) -> &'static str {
        match self {
            ServerKilled => "server killed, started again",
            ServerFrozen => "server stopped for longer than a lease, continued",
            AppKilled => "app killed, started again",
            AppFrozen => "app stopped for longer than its lease, continued",
            AsteriskKilled => "Asterisk killed, started again",
            AsteriskFrozen => "Asterisk stopped, continued",
            DatabaseKilled => "database killed, started again",
            DatabaseFrozen => "database stopped, continued",
            AmiCut => "manager link cut, mended",
            SipLossy => "30 % of SIP's datagrams lost for 3 s",
            ClockOff => "Asterisk's clock 90 s ahead, right again",
            RowsDeleted => "an agent's rows deleted by SQL",
            RowInserted => "a row inserted by SQL",
            RowChanged => "a row's status changed by SQL",
            RowExpired => "a row's expiry set into the past by SQL",
            SecondDevice => "a second device comes and goes",
            TakenOver => "taken over by another device, and taken back",
            ForcedOut => "signed out by a supervisor, signed in again",
        }
    }

    /// How soon after its end the dashboard is to be right, where that is promised.
    #[must_use]
    pub fn promise(self) -> Option<Duration> {
        let seconds = match self {
            ServerKilled | DatabaseKilled | DatabaseFrozen => 2,
            AmiCut => 3,
            AsteriskKilled => 5,
            _ => return None,
        };
        Some(Duration::from_secs(seconds))
    }

    /// Plays it: the house is at rest before and afterwards, and somebody signs in and out in the middle of it.
    ///
    /// # Panics
    ///
    /// If it is not seen, not agreed about in the end, or something that was acknowledged is lost.
    pub async fn play(self, house: &mut House) -> Figure {
        let comes = house.somebody_comes();
        let began = unix_ms();
        let seen = self.begin_and_be_seen(house).await;
        let ended = self.end(house).await;
        let board = house.all_green().await;
        house.agrees().await;
        let agreed = unix_ms();
        house.comes_and_goes(comes).await;
        house.is_at_rest().await;
        let since = |from: u64, to: u64| Duration::from_millis(to.saturating_sub(from));
        Figure {
            situation: self,
            mode: house.mode,
            seen: seen.map(|seen| since(began, seen)),
            board: since(ended, board),
            agreed: since(ended, agreed),
        }
    }

    /// Lets it begin, and waits until the dashboard shows nobody green whom it concerns: when it did.
    async fn begin_and_be_seen(self, house: &mut House) -> Option<u64> {
        match self {
            ServerKilled => house.scene.server.kill(),
            ServerFrozen => house.scene.server.freeze(),
            AppKilled => house.app(VICTIM).kill(),
            AppFrozen => house.app(OTHER).freeze(),
            AsteriskKilled => house.scene.asterisk.kill(),
            AsteriskFrozen => house.scene.asterisk.freeze(),
            DatabaseKilled => house.database.kill(),
            DatabaseFrozen => house.database.freeze(),
            AmiCut => house.scene.server.ami().cut(),
            SipLossy => {
                house.network.lose(LOST);
                sleep(A_WHILE).await;
                return None;
            }
            ClockOff => {
                house.restart_asterisk_ahead(AHEAD).await;
                house.agrees().await;
                return None;
            }
            RowsDeleted => {
                let statement = format!("DELETE FROM ps_contacts WHERE endpoint = '{VICTIM}'");
                house.sql(&statement).await;
                return house.is_seen_in_shared_mode(VICTIM).await;
            }
            RowInserted => {
                house.sql(&forged_row()).await;
                return None;
            }
            RowChanged => {
                let statement = format!(
                    "UPDATE ps_contacts SET status = 'Unknown' WHERE endpoint = '{VICTIM}'"
                );
                house.sql(&statement).await;
                return None;
            }
            RowExpired => {
                let statement = format!(
                    "UPDATE ps_contacts SET expiration_time = 1 WHERE endpoint = '{OTHER}'"
                );
                house.sql(&statement).await;
                return house.is_seen_in_shared_mode(OTHER).await;
            }
            SecondDevice => {
                house.a_second_device_comes_and_goes().await;
                return None;
            }
            TakenOver => {
                house.is_taken_over_and_back().await;
                return None;
            }
            ForcedOut => house.forces_out(VICTIM).await,
        }
        let concerned = match self {
            AppKilled | ForcedOut => &[VICTIM][..],
            AppFrozen => &[OTHER][..],
            _ => &AT_WORK[..],
        };
        let mut seen = 0;
        for extension in concerned {
            let not_green = |line: &Value| line["status"] != "Available";
            seen = seen.max(
                house
                    .says_where(extension, "not Available", not_green)
                    .await,
            );
        }
        Some(seen)
    }

    /// Ends it: when that was.
    async fn end(self, house: &mut House) -> u64 {
        match self {
            ServerKilled => house.scene.server.serve().await,
            ServerFrozen => house.scene.server.thaw(),
            AppKilled | ForcedOut => house.starts_again(VICTIM),
            AppFrozen => house.app(OTHER).thaw(),
            AsteriskKilled => house.scene.asterisk.boot().await,
            AsteriskFrozen => house.scene.asterisk.thaw(),
            DatabaseKilled => house.database.serve().await,
            DatabaseFrozen => house.database.thaw(),
            AmiCut => house.scene.server.ami().mend(),
            SipLossy => house.network.lose(0),
            ClockOff => house.restart_asterisk_ahead(0).await,
            _ => {}
        }
        let ended = unix_ms();
        if self == RowInserted {
            house.the_forged_row_goes().await;
        }
        ended
    }
}

impl House {
    /// Since when the dashboard says Available of everybody at work.
    async fn all_green(&self) -> u64 {
        let mut since = 0;
        for extension in AT_WORK {
            since = since.max(self.says(extension, "Available").await);
        }
        since
    }

    async fn restart_asterisk_ahead(&mut self, seconds: i32) {
        self.scene.asterisk.kill();
        self.scene.asterisk.shift_clock(seconds);
        self.scene.asterisk.boot().await;
    }

    /// In mirror mode the table is our copy, and the registrar itself has lost nothing.
    async fn is_seen_in_shared_mode(&self, extension: &str) -> Option<u64> {
        if self.mode == Mode::Mirror {
            return None;
        }
        let not_green = |line: &Value| line["status"] != "Available";
        Some(self.says_where(extension, "not Available", not_green).await)
    }

    async fn the_forged_row_goes(&self) {
        eventually(
            "the forged row is Reachable no more",
            IN_THE_END,
            async || {
                let rows = self.scene.server.rows(COMES_AND_GOES).await;
                let reachable = |(_, status): &&(String, String)| status == "Reachable";
                match rows.contacts.iter().filter(reachable).count() {
                    0 | 1 => Ok(()),
                    _ => Err(format!("{rows:?}")),
                }
            },
        )
        .await;
    }

    async fn a_second_device_comes_and_goes(&mut self) {
        let second = person(VICTIM);
        let mut app = second.start(&self.scene.server);
        match self.mode {
            Mode::Mirror => {
                let two =
                    |line: &Value| line["devices"].as_array().is_some_and(|all| all.len() == 2);
                self.says_where(VICTIM, "two devices", two).await;
            }
            Mode::Shared => {
                let refused = |line: &Value| {
                    (line["event"] == "online_failed" && line["code"] == "in_use").then_some(())
                };
                app.event_within("is refused: in use", IN_THE_END, refused)
                    .await;
            }
        }
        self.says(VICTIM, "Available").await;
        app.terminate().await;
    }

    async fn is_taken_over_and_back(&mut self) {
        let taker = person(VICTIM).with(["--take-over"]);
        let app = taker.start(&self.scene.server);
        let over = |line: &Value| (line["code"] == "session_takeover").then_some(());
        let first = self.app(VICTIM);
        first
            .event_within("hears that it was taken over", IN_THE_END, over)
            .await;
        first.ended(IN_THE_END).await;
        app.event_within("is online", IN_THE_END, |line| {
            (line["event"] == "online").then_some(())
        })
        .await;
        self.apps.insert(VICTIM, (taker, app));
        self.agrees().await;
    }
}

/// A row that Asterisk would dial, of a phone that there is not.
fn forged_row() -> String {
    let id = format!("{COMES_AND_GOES}^3B@0123456789abcdef0123456789abcdef");
    let uri = format!("sip:{COMES_AND_GOES}@127.0.0.1:9");
    format!(
        "INSERT INTO ps_contacts (id, uri, endpoint, expiration_time, status, user_agent, reg_server) \
         VALUES ('{id}', '{uri}', '{COMES_AND_GOES}', 4000000000, 'Reachable', 'forged', 'lab')"
    )
}
