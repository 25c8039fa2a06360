//! The board as this device has heard it: a snapshot, then deltas in order.
//!
//! Owns the order of events (`epoch`, `seq`) and what may be said while the server is out of sight.
//! Refuses to guess: a delta that does not follow is not applied, it asks for a new snapshot.

use std::{cell::OnceCell, collections::BTreeMap, sync::Arc};

use rollcall_wire::{
    board::{Agent, BoardStatus, ContactStatus, Pause, Reason, SourceHealth},
    realtime::{AgentStatus, AgentsSnapshot},
};

/// The reason code of everything that is not known because the server is out of sight.
pub const SERVER_LOST: &str = "server_lost";

/// The reason code of everything that is not known because the board is being asked for.
pub const BOARD_SYNCING: &str = "board_syncing";

/// The source, as the readers name it, that stands for the link to the server.
pub const SERVER: &str = "server";

/// What became of a delta.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Applied {
    /// It changed the board.
    Changed,
    /// It was older than what is known; nothing changed.
    Stale,
    /// It does not follow what is known: a snapshot is needed.
    Gap,
}

/// Everything a reader may be shown.
#[derive(Clone, Debug, Default, PartialEq)]
pub struct BoardView {
    /// A snapshot has been received since the link came up.
    pub synced: bool,
    /// Where Asterisk keeps contacts, in the server's word; none before the first snapshot.
    pub mode: Option<String>,
    /// Freshness by source: [`SERVER`], and what the server says of its own.
    pub sources: BTreeMap<String, SourceHealth>,
    /// The agents by extension; all Unknown while not synced.
    pub agents: Vec<Agent>,
    /// What was last said of those who are Unknown for that alone, by extension.
    pub was: BTreeMap<String, BoardStatus>,
}

/// The board and how well it is seen.
#[derive(Debug, Default)]
pub struct Board {
    position: Option<(String, u64)>,
    mode: Option<String>,
    agents: BTreeMap<String, Agent>,
    synced: bool,
    /// Since when `agents` may not be what is, ms since the Unix epoch; none while it is.
    blind_since: Option<u64>,
    link: Link,
    /// What readers were shown last; emptied by every change.
    shown: OnceCell<Arc<BoardView>>,
}

/// The link to the server; times in ms since the Unix epoch.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
enum Link {
    /// Never heard.
    #[default]
    Never,
    Up {
        since: u64,
    },
    Lost {
        since: u64,
    },
}

impl Board {
    /// Forgets everything: nobody is signed in.
    pub fn clear(&mut self) {
        *self = Self::default();
    }

    /// The link came up; nothing is believed before its snapshot.
    pub fn link_up(&mut self, now_ms: u64) {
        self.link = Link::Up { since: now_ms };
        self.not_whole(now_ms);
    }

    /// The link is gone. The agents stay, to be shown as unknown with their age.
    pub fn link_lost(&mut self, now_ms: u64) {
        if let Link::Up { .. } = self.link {
            self.link = Link::Lost { since: now_ms };
        }
        self.not_whole(now_ms);
    }

    /// Changes were missed: nothing is believed before the next snapshot.
    pub fn gap(&mut self, now_ms: u64) {
        self.not_whole(now_ms);
    }

    fn not_whole(&mut self, now_ms: u64) {
        self.shown.take();
        self.synced = false;
        self.blind_since.get_or_insert(now_ms);
    }

    /// Whether the link is up.
    pub fn is_linked(&self) -> bool {
        matches!(self.link, Link::Up { .. })
    }

    /// Replaces the board.
    pub fn snapshot(&mut self, snapshot: AgentsSnapshot) {
        self.shown.take();
        self.position = Some((snapshot.epoch, snapshot.seq));
        self.mode = Some(snapshot.mode).filter(|mode| !mode.is_empty());
        self.agents = snapshot
            .agents
            .into_iter()
            .map(|agent| (agent.extension.clone(), agent))
            .collect();
        self.synced = true;
        self.blind_since = None;
    }

    /// Applies one delta, if it is the next one.
    pub fn status(&mut self, now_ms: u64, status: AgentStatus) -> Applied {
        let next = match &self.position {
            Some((epoch, seq)) if *epoch == status.epoch && status.seq <= *seq => {
                return Applied::Stale;
            }
            Some((epoch, seq)) => *epoch == status.epoch && status.seq == *seq + 1,
            None => false,
        };
        if !next {
            self.gap(now_ms);
            return Applied::Gap;
        }
        self.shown.take();
        self.position = Some((status.epoch, status.seq));
        self.agents
            .insert(status.agent.extension.clone(), status.agent);
        Applied::Changed
    }

    /// What the server said of `extension` last, seen through the state of the link.
    pub fn agent(&self, extension: &str) -> Option<Agent> {
        self.agents.get(extension).map(|agent| self.through(agent))
    }

    /// The whole board, seen through the state of the link.
    pub fn view(&self) -> Arc<BoardView> {
        Arc::clone(self.shown.get_or_init(|| Arc::new(self.look())))
    }

    fn look(&self) -> BoardView {
        let mut sources: BTreeMap<String, SourceHealth> = BTreeMap::new();
        for agent in self.agents.values() {
            for (name, health) in &agent.sources {
                merge(sources.entry(name.clone()), health);
            }
        }
        for health in sources.values_mut() {
            health.ok &= self.synced;
        }
        // An app's link is the agent's own matter; only the server's sources speak of the whole board.
        sources.remove("app");
        sources.insert(SERVER.to_owned(), self.server_health());
        BoardView {
            synced: self.synced,
            mode: self.mode.clone(),
            sources,
            agents: self.agents.values().map(|a| self.through(a)).collect(),
            was: if self.synced {
                BTreeMap::new()
            } else {
                self.last_said()
            },
        }
    }

    fn last_said(&self) -> BTreeMap<String, BoardStatus> {
        let known = self
            .agents
            .values()
            .filter(|agent| agent.status != BoardStatus::Unknown);
        known
            .map(|agent| (agent.extension.clone(), agent.status))
            .collect()
    }

    /// How well the server is heard.
    pub fn server_health(&self) -> SourceHealth {
        match self.link {
            Link::Never => SourceHealth {
                ok: false,
                as_of: None,
            },
            Link::Up { since } => SourceHealth {
                ok: true,
                as_of: Some(since),
            },
            Link::Lost { since } => SourceHealth {
                ok: false,
                as_of: Some(since),
            },
        }
    }

    /// Never a stale green: without the link, or before its snapshot, nothing of an agent is known but its age.
    fn through(&self, agent: &Agent) -> Agent {
        if self.synced {
            return agent.clone();
        }
        let since = self.blind_since.unwrap_or(agent.since);
        let reason = match self.link {
            Link::Up { .. } => board_syncing(since),
            Link::Lost { .. } | Link::Never => server_lost(since),
        };
        Agent {
            extension: agent.extension.clone(),
            status: BoardStatus::Unknown,
            contact_status: ContactStatus::Unknown,
            online: agent.online,
            sip_registered: agent.sip_registered,
            reasons: vec![reason],
            since,
            pause: agent.pause.clone().map(|pause| Pause {
                confirmed: false,
                ..pause
            }),
            sources: agent
                .sources
                .iter()
                .map(|(name, health)| {
                    let as_of = health.as_of;
                    (name.clone(), SourceHealth { ok: false, as_of })
                })
                .collect(),
            devices: agent.devices.clone(),
        }
    }
}

/// The reason shown for everything while the server is out of sight.
pub fn server_lost(since: u64) -> Reason {
    Reason {
        code: SERVER_LOST.to_owned(),
        message: Some("The server is out of sight, so this is not known.".to_owned()),
        since,
    }
}

/// The reason shown for everything between the link's return, or a missed change, and the next snapshot.
pub fn board_syncing(since: u64) -> Reason {
    Reason {
        code: BOARD_SYNCING.to_owned(),
        message: Some("The board is being asked for anew, so this is not known yet.".to_owned()),
        since,
    }
}

/// A source is as well as the worst word about it, and has that word's age: who does not depend on it still tells of
/// before. Of words that say the same the oldest counts.
fn merge(
    entry: std::collections::btree_map::Entry<'_, String, SourceHealth>,
    health: &SourceHealth,
) {
    let seen = entry.or_insert_with(|| health.clone());
    match (seen.ok, health.ok) {
        (true, false) => *seen = health.clone(),
        (false, true) => {}
        _ => {
            seen.as_of = match (seen.as_of, health.as_of) {
                (Some(a), Some(b)) => Some(a.min(b)),
                (a, b) => a.or(b),
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn agent(extension: &str, status: BoardStatus) -> Agent {
        Agent {
            extension: extension.to_owned(),
            status,
            contact_status: ContactStatus::Reachable,
            online: true,
            sip_registered: true,
            reasons: vec![],
            since: 1_000,
            pause: None,
            sources: [(
                "ami".to_owned(),
                SourceHealth {
                    ok: true,
                    as_of: Some(900),
                },
            )]
            .into(),
            devices: vec![],
        }
    }

    fn delta(epoch: &str, seq: u64, status: BoardStatus) -> AgentStatus {
        AgentStatus {
            epoch: epoch.to_owned(),
            seq,
            agent: agent("1001", status),
        }
    }

    fn synced() -> Board {
        let mut board = Board::default();
        board.link_up(5_000);
        board.snapshot(whole());
        board
    }

    fn whole() -> AgentsSnapshot {
        AgentsSnapshot {
            mode: "mirror".into(),
            epoch: "e1".to_owned(),
            seq: 7,
            agents: vec![
                agent("1001", BoardStatus::Available),
                agent("1002", BoardStatus::Offline),
            ],
        }
    }

    #[test]
    fn the_next_delta_changes_its_agent_and_an_older_one_nothing() {
        let mut board = synced();
        assert_eq!(
            board.status(6_000, delta("e1", 8, BoardStatus::OnCall)),
            Applied::Changed
        );
        assert_eq!(
            board.status(6_000, delta("e1", 8, BoardStatus::Offline)),
            Applied::Stale
        );
        assert_eq!(board.agent("1001").unwrap().status, BoardStatus::OnCall);
        assert_eq!(board.agent("1002").unwrap().status, BoardStatus::Offline);
    }

    fn all_unknown(board: &Board, code: &str, since: u64) {
        let view = board.view();
        assert!(!view.synced);
        assert_eq!(view.agents.len(), 2);
        for agent in &view.agents {
            assert_eq!(agent.status, BoardStatus::Unknown, "{}", agent.extension);
            assert_eq!(agent.contact_status, ContactStatus::Unknown);
            assert_eq!((agent.reasons[0].code.as_str(), agent.since), (code, since));
        }
        assert!(!view.sources["ami"].ok);
    }

    #[test]
    fn a_gap_or_another_epoch_leaves_nothing_known_until_the_next_snapshot() {
        for strange in [
            delta("e1", 9, BoardStatus::OnCall),
            delta("e2", 8, BoardStatus::OnCall),
        ] {
            let mut board = synced();
            assert_eq!(board.status(6_000, strange), Applied::Gap);
            all_unknown(&board, BOARD_SYNCING, 6_000);
            board.gap(7_000);
            all_unknown(&board, BOARD_SYNCING, 6_000);
            board.snapshot(whole());
            assert_eq!(board.agent("1001").unwrap().status, BoardStatus::Available);
        }
    }

    #[test]
    fn a_link_that_is_back_shows_nothing_of_before_until_its_snapshot() {
        let mut board = synced();
        board.link_lost(9_000);
        board.link_up(12_000);
        all_unknown(&board, BOARD_SYNCING, 9_000);
        assert!(board.server_health().ok, "the server itself is heard");
        board.snapshot(whole());
        assert_eq!(board.agent("1001").unwrap().status, BoardStatus::Available);
        assert!(board.view().sources["ami"].ok);
    }

    #[test]
    fn a_delta_before_any_snapshot_asks_for_one() {
        let mut board = Board::default();
        board.link_up(1_000);
        assert_eq!(
            board.status(6_000, delta("e1", 1, BoardStatus::OnCall)),
            Applied::Gap
        );
    }

    #[test]
    fn a_lost_source_is_as_old_as_those_say_who_depend_on_it() {
        let lost = SourceHealth {
            ok: false,
            as_of: Some(7_000),
        };
        for extension in ["1001", "1002"] {
            let mut said = delta("e1", 8, BoardStatus::Unknown);
            said.agent.extension = extension.to_owned();
            said.agent.sources.insert("ami".to_owned(), lost.clone());
            let mut board = synced();
            assert_eq!(board.status(7_100, said), Applied::Changed);
            assert_eq!(board.view().sources["ami"], lost, "{extension}");
        }
    }

    #[test]
    fn without_the_link_everybody_is_unknown_since_it_was_lost() {
        let mut board = synced();
        board.link_lost(9_000);
        let view = board.view();
        assert!(!view.synced);
        assert_eq!(
            view.sources[SERVER],
            SourceHealth {
                ok: false,
                as_of: Some(9_000)
            }
        );
        assert_eq!(
            view.sources["ami"],
            SourceHealth {
                ok: false,
                as_of: Some(900)
            }
        );
        for agent in &view.agents {
            assert_eq!(agent.status, BoardStatus::Unknown, "{}", agent.extension);
            assert_eq!(agent.since, 9_000);
            assert_eq!(agent.reasons[0].code, SERVER_LOST);
        }
        let was = BTreeMap::from([
            ("1001".to_owned(), BoardStatus::Available),
            ("1002".to_owned(), BoardStatus::Offline),
        ]);
        assert_eq!(view.was, was, "what was last said stays, apart");
        board.link_up(12_000);
        board.snapshot(whole());
        assert!(board.view().was.is_empty());
    }

    #[test]
    fn the_age_of_a_lost_link_does_not_start_anew_with_each_failed_attempt() {
        let mut board = synced();
        board.link_lost(9_000);
        board.link_lost(12_000);
        assert_eq!(board.server_health().as_of, Some(9_000));
    }

    #[test]
    fn the_worst_word_about_a_source_is_the_one_shown() {
        let mut board = synced();
        let mut bad = delta("e1", 8, BoardStatus::Unknown);
        bad.agent.sources.insert(
            "ami".to_owned(),
            SourceHealth {
                ok: false,
                as_of: Some(700),
            },
        );
        board.status(6_000, bad);
        assert_eq!(
            board.view().sources["ami"],
            SourceHealth {
                ok: false,
                as_of: Some(700)
            }
        );
    }
}
