//! The state machine: routes inputs to the records, concludes, commits, and only then speaks.

mod conclude;
mod intents;
mod observations;
mod pauses;
mod people;
mod proof;
mod queues;
mod repair;
mod suspicion;
mod throttle;

use std::collections::{BTreeMap, BTreeSet, VecDeque};
use std::time::Instant;

use crate::agent::Agent;
use crate::board::{AgentView, BoardStatus, Snapshot};
use crate::book::Book;
use crate::config::Config;
use crate::decide::Sight;
use crate::explain::Explanation;
use crate::input::{Failure, Input};
use crate::ledger::{LedgerEntry, LedgerKind};
use crate::names::{CommitId, Epoch, Extension, RequestId, Seq, SessionId};
use crate::output::{Answer, Ask, Broadcast, Commit, Output, Reply, ResyncReason, Write};
use crate::resync::Resync;
use crate::source::{Source, SourceHealth};
use crate::time::Now;
pub(crate) use suspicion::Doubt;
use suspicion::Suspicion;
use throttle::Throttles;

/// Ledger lines of everybody's that wait while the database is away.
const HOUSE_LEDGER_KEPT: usize = 1024;

/// Channels that are remembered as gone until a full list says so too.
const HUNG_UP_KEPT: usize = 4096;

/// One extension: its records, its book, and what was last concluded and published of it.
#[derive(Debug)]
struct Slot {
    agent: Agent,
    book: Book,
    decided: Option<AgentView>,
    published: Option<AgentView>,
    /// The step in which its last commit was made.
    saved: Option<u64>,
    /// The database refused its last change; tried again then.
    unsaved_until: Option<Instant>,
    wake: Option<Instant>,
}

impl Slot {
    fn new(extension: Extension) -> Self {
        Slot {
            agent: Agent::new(extension),
            book: Book::default(),
            decided: None,
            published: None,
            saved: None,
            unsaved_until: None,
            wake: None,
        }
    }
}

/// Whose commit it is.
#[derive(Debug, Clone, PartialEq, Eq)]
enum Owner {
    Agent(Extension),
    /// Ledger lines that concern everybody.
    House,
}

/// The ledger of what concerns everybody. While the database is lost it is what tries it.
#[derive(Debug, Default)]
struct House {
    ledger: VecDeque<LedgerEntry>,
    in_flight: Option<(CommitId, Instant, VecDeque<LedgerEntry>)>,
    /// While the database is lost: when it is tried next.
    retry_at: Option<Instant>,
}

impl House {
    /// When the database is to be tried next, unless an attempt is under way.
    fn retry(&self) -> Option<Instant> {
        self.retry_at
            .filter(|_| self.in_flight.is_none() && !self.ledger.is_empty())
    }
}

/// Channels that are gone, and the step in which they went. While lists are not answered the oldest
/// are forgotten first.
#[derive(Debug, Default)]
struct HungUp {
    at: BTreeMap<String, u64>,
    by_age: BTreeMap<u64, String>,
}

impl HungUp {
    fn insert(&mut self, unique_id: &str, step: u64) {
        if let Some(old) = self.at.insert(unique_id.to_owned(), step) {
            self.by_age.remove(&old);
        }
        self.by_age.insert(step, unique_id.to_owned());
        if self.by_age.len() > HUNG_UP_KEPT
            && let Some((_, oldest)) = self.by_age.pop_first()
        {
            self.at.remove(&oldest);
        }
    }

    fn contains(&self, unique_id: &str) -> bool {
        self.at.contains_key(unique_id)
    }

    fn forget_until(&mut self, step: u64) {
        self.by_age = self.by_age.split_off(&(step + 1));
        self.at.retain(|_, at| *at > step);
    }
}

/// The state machine. `&mut self`, no IO, no clock.
#[derive(Debug)]
pub struct Core {
    config: Config,
    epoch: Epoch,
    seq: Seq,
    started: Now,
    restored: bool,
    listed: bool,
    /// Asterisk's contacts were read: the rows we should have are known.
    contacts_listed: bool,
    ready: bool,
    ami: SourceHealth,
    /// When Asterisk's full lists were last complete over this link.
    listed_at: Option<Now>,
    database: SourceHealth,
    resync: Resync,
    throttles: Throttles,
    slots: BTreeMap<Extension, Slot>,
    session_index: BTreeMap<SessionId, Extension>,
    channel_index: BTreeMap<String, Extension>,
    hung_up: HungUp,
    /// Counts inputs: what came before and after a list was asked for, even at one instant.
    step: u64,
    dirty: BTreeSet<Extension>,
    timers: BTreeSet<(Instant, Extension)>,
    commits: BTreeMap<CommitId, Owner>,
    next_commit: u64,
    house: House,
    /// Whether the fault may be ours (R9).
    suspicion: Suspicion,
    /// Who waits for a proof, and the step of the newest lists that are complete.
    questions: VecDeque<proof::Question>,
    proved_until: u64,
    /// Other clocks minus ours, ms; and of Asterisk's what counts, s.
    offsets: BTreeMap<Source, i64>,
    skew: i64,
    outputs: VecDeque<Output>,
}

impl Core {
    /// A core that knows nothing yet. The first input must be `Observation::Restored`.
    #[must_use]
    pub fn new(config: Config, epoch: Epoch, now: Now) -> Self {
        Core {
            config,
            epoch,
            seq: Seq(0),
            started: now,
            restored: false,
            listed: false,
            contacts_listed: false,
            ready: false,
            ami: SourceHealth::Never { since: now },
            listed_at: None,
            database: SourceHealth::Up { since: now },
            resync: Resync::default(),
            throttles: Throttles::new(&config),
            slots: BTreeMap::new(),
            session_index: BTreeMap::new(),
            channel_index: BTreeMap::new(),
            hung_up: HungUp::default(),
            step: 0,
            dirty: BTreeSet::new(),
            timers: BTreeSet::new(),
            commits: BTreeMap::new(),
            next_commit: 0,
            house: House::default(),
            suspicion: Suspicion::default(),
            questions: VecDeque::new(),
            proved_until: 0,
            offsets: BTreeMap::new(),
            skew: 0,
            outputs: VecDeque::new(),
        }
    }

    /// Takes one input.
    pub fn handle(&mut self, now: Now, input: Input) {
        self.step += 1;
        match input {
            Input::Intent { request, intent } => self.intent(now, request, intent),
            Input::Observation(observation) => self.observe(now, observation),
            Input::Committed(id) => self.committed(now, id),
            Input::Failed(id, failure) => self.failed(now, id, failure),
        }
        self.settle(now);
    }

    /// Does what is due. Call it at [`Core::poll_timeout`], or a little later.
    pub fn handle_timeout(&mut self, now: Now) {
        self.step += 1;
        if let Some(due) = self.poll_timeout()
            && now.monotonic.saturating_duration_since(due) > self.config.heartbeat
        {
            self.suspect_sleep(now);
        }
        if self.restored && now.monotonic >= self.started.monotonic + self.config.first_lists {
            self.ready = true;
        }
        self.age_suspicion(now);
        if self
            .oldest_commit()
            .is_some_and(|since| since + self.config.commit_timeout <= now.monotonic)
        {
            self.database_lost(now);
        }
        self.dirty.extend(self.throttles.called(now.monotonic));
        let mut due = Vec::new();
        while let Some((at, _)) = self.timers.first()
            && *at <= now.monotonic
        {
            due.extend(self.timers.pop_first().map(|(_, extension)| extension));
        }
        for extension in due {
            if let Some(slot) = self.slots.get_mut(&extension) {
                slot.wake = None;
            }
            self.count_losses(now, &extension);
            self.dirty.insert(extension);
        }
        self.settle(now);
    }

    /// When [`Core::handle_timeout`] is wanted next.
    #[must_use]
    pub fn poll_timeout(&self) -> Option<Instant> {
        let waits_for_lists = self.restored && !self.ready;
        [
            self.timers.first().map(|(at, _)| *at),
            waits_for_lists.then(|| self.started.monotonic + self.config.first_lists),
            self.resync.next(&self.config),
            self.throttles.next(),
            self.suspicion.next(&self.config),
            self.next_question(),
            self.house.retry(),
            self.database
                .is_up()
                .then(|| {
                    self.oldest_commit()
                        .map(|since| since + self.config.commit_timeout)
                })
                .flatten(),
        ]
        .into_iter()
        .flatten()
        .min()
    }

    /// The next thing to do. Drain it after every input and time-out.
    pub fn poll_output(&mut self) -> Option<Output> {
        self.outputs.pop_front()
    }

    /// The board as published; `None` at our start until the database was read, and Asterisk's
    /// lists were, or did not come in time (`Config::first_lists`).
    #[must_use]
    pub fn snapshot(&self) -> Option<Snapshot> {
        self.ready.then(|| Snapshot {
            epoch: self.epoch,
            seq: self.seq,
            agents: self
                .slots
                .values()
                .filter_map(|slot| slot.published.clone())
                .collect(),
        })
    }

    /// Why an agent's state is what it is; `None` for an extension nobody has.
    #[must_use]
    pub fn explain(&self, extension: &Extension) -> Option<Explanation> {
        let slot = self.slots.get(extension).filter(|slot| slot.agent.known)?;
        let view = slot.published.as_ref()?;
        Some(crate::explain::explain(&slot.agent, view))
    }

    /// How other clocks differ from ours, as last measured: theirs minus ours, ms.
    #[must_use]
    pub fn clock_offsets(&self) -> &BTreeMap<Source, i64> {
        &self.offsets
    }

    /// The periods and policies it runs by.
    #[must_use]
    pub fn config(&self) -> &Config {
        &self.config
    }

    /// The health of Asterisk's link and of the database.
    #[must_use]
    pub fn sources(&self) -> [(Source, SourceHealth); 2] {
        [(Source::Ami, self.ami), (Source::Database, self.database)]
    }

    fn sight<'a>(&self, now: Now, config: &'a Config, slot: &Slot) -> Sight<'a> {
        Sight {
            now,
            config,
            ami: self.ami,
            database: self.database,
            listed: self.listed,
            registered_before: slot.book.sip_registered(),
            doubt: self.suspicion.doubt(),
            unsaved: slot.unsaved_until.is_some(),
        }
    }

    /// Concludes for everybody something happened to, and asks for what is due.
    fn settle(&mut self, now: Now) {
        self.conclude_all(now);
        self.answer_questions(now);
        if let Some(reason) = self.resync.due(now.monotonic, self.step, &self.config) {
            self.outputs.push_back(Output::Ask(Ask::Resync {
                asked_at: now.monotonic,
                reason,
            }));
            if reason == ResyncReason::Unanswered {
                self.lists_unanswered(now);
                self.conclude_all(now);
            }
        }
    }

    fn conclude_all(&mut self, now: Now) {
        if !self.restored {
            return;
        }
        while let Some(extension) = self.dirty.pop_first() {
            self.conclude(now, &extension);
        }
        self.flush_house(now);
    }

    fn all_dirty(&mut self) {
        self.dirty.extend(self.slots.keys().cloned());
    }

    fn slot(&mut self, extension: &Extension) -> &mut Slot {
        self.slots
            .entry(extension.clone())
            .or_insert_with(|| Slot::new(extension.clone()))
    }

    fn slot_of_session(&mut self, session: &SessionId) -> Option<&mut Slot> {
        let extension = self.session_index.get(session)?;
        self.slots.get_mut(extension)
    }

    fn commit_id(&mut self, owner: Owner) -> CommitId {
        self.next_commit += 1;
        let id = CommitId(self.next_commit);
        self.commits.insert(id, owner);
        id
    }

    fn oldest_commit(&self) -> Option<Instant> {
        match self.commits.values().next()? {
            Owner::House => self.house.in_flight.as_ref().map(|(_, since, _)| *since),
            Owner::Agent(extension) => self
                .slots
                .get(extension)
                .and_then(|slot| slot.book.in_flight_since()),
        }
    }

    fn reply_all(&mut self, replies: Vec<(RequestId, Answer)>) {
        for (request, answer) in replies {
            self.outputs
                .push_back(Output::Reply(Reply { request, answer }));
        }
    }

    /// Publishes a row. Callers have made sure that what it speaks of is committed.
    fn publish(&mut self, extension: &Extension, view: AgentView) {
        let Some(slot) = self.slots.get_mut(extension) else {
            return;
        };
        if !slot.agent.known || slot.published.as_ref() == Some(&view) {
            return;
        }
        let before = slot.published.replace(view.clone());
        self.seq = Seq(self.seq.0 + 1);
        self.outputs.push_back(Output::Broadcast(Broadcast {
            epoch: self.epoch,
            seq: self.seq,
            agent: view,
            before: before.map(Box::new),
        }));
    }

    fn committed(&mut self, now: Now, id: CommitId) {
        match self.commits.remove(&id) {
            None => return,
            Some(Owner::House) => self.house.in_flight = None,
            Some(Owner::Agent(extension)) => {
                let Some(slot) = self.slots.get_mut(&extension) else {
                    return;
                };
                let Some(settled) = slot.book.committed(id) else {
                    return;
                };
                slot.unsaved_until = None;
                slot.saved = Some(self.step);
                self.decide(now, &extension);
                let said = settled.view;
                if let Some(view) = said.and_then(|view| self.still_true(&extension, view)) {
                    self.publish(&extension, view);
                }
                self.reply_all(settled.replies);
                self.dirty.insert(extension);
            }
        }
        if !self.database.is_up() {
            self.database = SourceHealth::Up { since: now };
            self.house.retry_at = None;
            self.note_house(
                now,
                LedgerKind::Observation,
                "database",
                "source_found",
                String::new(),
            );
            self.source_found(now);
            self.all_dirty();
        }
    }

    fn failed(&mut self, now: Now, id: CommitId, failure: Failure) {
        match self.commits.remove(&id) {
            None => return,
            Some(Owner::House) => {
                if let Some((_, _, mut ledger)) = self.house.in_flight.take() {
                    ledger.append(&mut self.house.ledger);
                    self.house.ledger = ledger;
                }
            }
            Some(Owner::Agent(extension)) => {
                let Some(slot) = self.slots.get_mut(&extension) else {
                    return;
                };
                let Some(refused) = slot.book.failed(id) else {
                    return;
                };
                if failure == Failure::Refused {
                    slot.unsaved_until = Some(now.monotonic + self.config.heartbeat);
                }
                self.reply_all(refused);
                self.dirty.insert(extension);
            }
        }
        if failure == Failure::Unavailable {
            self.database_lost(now);
        }
    }

    pub(crate) fn database_lost(&mut self, now: Now) {
        if self.database.is_up() {
            self.database = SourceHealth::Lost { since: now };
            self.suspicion.source_lost(now.monotonic, &self.config);
            self.note_house(
                now,
                LedgerKind::Observation,
                "database",
                "source_lost",
                String::new(),
            );
            self.all_dirty();
        }
        self.house.retry_at = Some(now.monotonic + self.config.commit_retry);
    }

    /// What may still be said of a row whose commit took its time. If a source went out of sight
    /// meanwhile, it darkens the row; a row that is not Available any more is not called so.
    fn still_true(&self, extension: &Extension, view: AgentView) -> Option<AgentView> {
        let decided = self.slots.get(extension)?.decided.as_ref()?;
        if self.ami_or_database_dark() {
            return Some(darkened(&view, decided));
        }
        let taken_back =
            view.status == BoardStatus::Available && decided.status != BoardStatus::Available;
        (!taken_back).then_some(view)
    }

    fn ami_or_database_dark(&self) -> bool {
        !self.ami.is_up() || !self.database.is_up()
    }

    /// Commits the house's ledger. While the database is lost, one such commit at a time tries it.
    fn flush_house(&mut self, now: Now) {
        if self.house.in_flight.is_some() || self.house.ledger.is_empty() {
            return;
        }
        if !self.database.is_up() && self.house.retry_at.is_some_and(|at| now.monotonic < at) {
            return;
        }
        self.house.retry_at =
            (!self.database.is_up()).then(|| now.monotonic + self.config.commit_retry);
        let id = self.commit_id(Owner::House);
        let ledger = std::mem::take(&mut self.house.ledger);
        let writes = ledger.iter().cloned().map(Write::Ledger).collect();
        self.house.in_flight = Some((id, now.monotonic, ledger));
        self.outputs
            .push_back(Output::Commit(Commit { id, writes }));
    }

    fn note_house(
        &mut self,
        now: Now,
        kind: LedgerKind,
        source: &'static str,
        what: &'static str,
        detail: String,
    ) {
        if self.house.ledger.len() >= HOUSE_LEDGER_KEPT {
            self.house.ledger.pop_front();
        }
        self.house.ledger.push_back(LedgerEntry {
            at_unix_ms: now.unix_ms,
            extension: None,
            device: None,
            kind,
            source,
            rule: (kind == LedgerKind::Decision).then_some("R9"),
            what,
            detail,
        });
    }
}

/// A row in the light of a source that is out of sight: what it says of sessions and contacts is
/// what was committed; only what is not known any more is said anew.
fn darkened(committed: &AgentView, decided: &AgentView) -> AgentView {
    let mut view = committed.clone();
    view.status = decided.status;
    view.reasons.clone_from(&decided.reasons);
    view.sources.clone_from(&decided.sources);
    view.since_unix_ms = decided.since_unix_ms;
    if let Some(pause) = &mut view.pause {
        pause.confirmed = false;
    }
    for device in &mut view.devices {
        device.status = decided.status;
    }
    view
}

#[cfg(test)]
mod tests {
    use super::{HUNG_UP_KEPT, HungUp};

    #[test]
    fn while_lists_are_unanswered_the_oldest_hangups_are_forgotten() {
        let mut hung_up = HungUp::default();
        hung_up.insert("first", 1);
        for step in 2..=HUNG_UP_KEPT as u64 + 1 {
            hung_up.insert(&format!("call {step}"), step);
        }
        assert!(!hung_up.contains("first"));
        assert!(hung_up.contains("call 2"));
        assert_eq!(hung_up.at.len(), HUNG_UP_KEPT);
        hung_up.forget_until(2);
        assert!(!hung_up.contains("call 2") && hung_up.contains("call 3"));
        assert_eq!(hung_up.at.len(), hung_up.by_age.len());
    }
}
