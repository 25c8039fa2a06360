//! What of an agent is stored, what is on its way there, and what may therefore be said (R8).

use std::collections::{BTreeMap, BTreeSet, VecDeque};
use std::time::Instant;

use crate::agent::Agent;
use crate::board::AgentView;
use crate::contact::ContactStatus;
use crate::ledger::LedgerEntry;
use crate::names::{CommitId, ContactId, IdempotencyKey, RequestId, SessionId};
use crate::output::{Answer, ContactRow, Pending, Refusal, SessionRow, UserRow, Write};
use crate::pause::PauseRow;
use crate::time::Now;

/// Ledger lines that wait while the database is away; beyond them the oldest are given up.
const LEDGER_KEPT: usize = 256;
/// Answers remembered for retries of the same request.
const ANSWERS_KEPT: usize = 32;

/// What an intent will be answered once its change is durable.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) enum Wanted {
    SignedIn,
    Online,
    Pause,
    /// With what does not agree yet; empty when the logout is complete.
    LoggedOut(Vec<Pending>),
}

impl Wanted {
    fn answer(self, view: &AgentView) -> Answer {
        match self {
            Wanted::SignedIn => Answer::SignedIn,
            Wanted::Online => Answer::Online(Box::new(view.clone())),
            Wanted::Pause => Answer::Pause(Box::new(view.clone())),
            Wanted::LoggedOut(pending) if pending.is_empty() => {
                Answer::LoggedOut(Box::new(view.clone()))
            }
            Wanted::LoggedOut(pending) => Answer::LoggingOut {
                agent: Box::new(view.clone()),
                pending,
            },
        }
    }
}

/// A request under an idempotency key.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct Keyed {
    pub(crate) key: IdempotencyKey,
    /// What was asked, to tell a retry from another request.
    pub(crate) content: String,
}

#[derive(Debug)]
struct Waiting {
    request: RequestId,
    pending: Wanted,
    keyed: Option<Keyed>,
}

#[derive(Debug)]
struct Answered {
    keyed: Keyed,
    answer: Answer,
}

/// What a key says of a request.
pub(crate) enum Recall {
    /// Never seen.
    New,
    /// Its first attempt waits for its commit; this one waits with it.
    Joined,
    /// Answered before.
    Again(Answer),
    /// Seen with another content.
    Misused,
}

#[derive(Debug)]
struct InFlight {
    id: CommitId,
    since: Instant,
    view: AgentView,
    user: Option<UserRow>,
    contacts: BTreeMap<ContactId, ContactRow>,
    sessions: BTreeMap<SessionId, SessionRow>,
    pause: Option<PauseRow>,
    ledger: VecDeque<LedgerEntry>,
    waiting: Vec<Waiting>,
}

/// The rows of one agent as the database holds them, and what waits for it.
#[derive(Debug, Default)]
pub(crate) struct Book {
    user: Option<UserRow>,
    contacts: BTreeMap<ContactId, ContactRow>,
    sessions: BTreeMap<SessionId, SessionRow>,
    pause: Option<PauseRow>,
    ledger: VecDeque<LedgerEntry>,
    waiting: Vec<Waiting>,
    /// Logouts whose answer waits for the views to agree, and until when.
    held: Vec<(Waiting, Instant)>,
    answered: VecDeque<Answered>,
    in_flight: Option<InFlight>,
}

/// What a commit's end lets go.
pub(crate) struct Settled {
    /// The row that may be shown now; none if who had the extension then has it no more.
    pub(crate) view: Option<AgentView>,
    pub(crate) replies: Vec<(RequestId, Answer)>,
}

impl Book {
    pub(crate) fn restore_user(&mut self, row: UserRow) {
        self.user = Some(row);
    }

    /// The row in `users` is nobody's, or another one: what the last owner's said, or is about to say, is no more.
    pub(crate) fn forget_user(&mut self) {
        (self.user, self.pause) = (None, None);
        if let Some(flight) = &mut self.in_flight {
            (flight.user, flight.pause) = (None, None);
        }
    }

    pub(crate) fn restore_pause(&mut self, row: PauseRow) {
        self.pause = Some(row);
    }

    pub(crate) fn restore_contact(&mut self, row: ContactRow) {
        self.contacts.insert(row.id.clone(), row);
    }

    /// The contacts of the table that are not over, and not among these.
    pub(crate) fn unlisted(
        &self,
        listed: &BTreeSet<ContactId>,
    ) -> impl Iterator<Item = &ContactId> {
        let lives = |row: &&ContactRow| row.status != ContactStatus::Expired;
        let rows = self.contacts.values().filter(lives);
        rows.map(|row| &row.id).filter(|id| !listed.contains(*id))
    }

    pub(crate) fn restore_session(&mut self, row: SessionRow) {
        self.sessions.insert(row.id.clone(), row);
    }

    /// What the table was found to hold, where others write it too: a row that is gone, or whose
    /// status is not the one we wrote, counts as not written; where the table is `ours` alone, so does
    /// one of another expiry. One that nobody knows is to go. Says which those are. Rows that are on
    /// their way are not judged.
    pub(crate) fn compare(
        &mut self,
        found: &BTreeMap<ContactId, (ContactStatus, u64)>,
        ours: bool,
        unknown: impl IntoIterator<Item = ContactRow>,
    ) -> Vec<ContactId> {
        if self.in_flight.is_some() {
            return Vec::new();
        }
        let mut differ = Vec::new();
        self.contacts.retain(|id, row| {
            let left = (row.status, row.expires_unix);
            if let Some((status, expires)) = found.get(id) {
                row.status = *status;
                if ours && on_disk(row.expires_unix) != on_disk(*expires) {
                    row.expires_unix = *expires;
                }
            }
            let there = found.contains_key(id);
            if !there || left != (row.status, row.expires_unix) {
                differ.push(id.clone());
            }
            there
        });
        for row in unknown {
            differ.push(row.id.clone());
            self.contacts.insert(row.id.clone(), row);
        }
        differ
    }

    pub(crate) fn knows_row(&self, id: &ContactId) -> bool {
        self.contacts.contains_key(id)
            || self
                .in_flight
                .as_ref()
                .is_some_and(|flight| flight.contacts.contains_key(id))
    }

    /// `users.online` as the table has it.
    pub(crate) fn online(&self) -> bool {
        self.user.as_ref().is_some_and(|user| user.online)
    }

    /// `users.sipRegistered` as the table has it.
    pub(crate) fn sip_registered(&self) -> bool {
        self.user.as_ref().is_some_and(|user| user.sip_registered)
    }

    /// Something for the ledger; it leaves with the agent's next commit.
    pub(crate) fn note(&mut self, entry: LedgerEntry) {
        if self.ledger.len() >= LEDGER_KEPT {
            self.ledger.pop_front();
        }
        self.ledger.push_back(entry);
    }

    pub(crate) fn recall(&mut self, request: RequestId, keyed: &Keyed) -> Recall {
        if let Some(old) = self.answered.iter().find(|old| old.keyed.key == keyed.key) {
            return if old.keyed == *keyed {
                Recall::Again(old.answer.clone())
            } else {
                Recall::Misused
            };
        }
        for waiting in [
            self.in_flight.as_mut().map(|flight| &mut flight.waiting),
            Some(&mut self.waiting),
        ]
        .into_iter()
        .flatten()
        {
            let Some(first) = waiting.iter().find(|waiting| {
                waiting
                    .keyed
                    .as_ref()
                    .is_some_and(|old| old.key == keyed.key)
            }) else {
                continue;
            };
            if first.keyed.as_ref() != Some(keyed) {
                return Recall::Misused;
            }
            let pending = first.pending.clone();
            waiting.push(Waiting {
                request,
                pending,
                keyed: Some(keyed.clone()),
            });
            return Recall::Joined;
        }
        self.recall_held(request, keyed)
    }

    fn recall_held(&mut self, request: RequestId, keyed: &Keyed) -> Recall {
        let of_key = |(held, _): &&(Waiting, Instant)| {
            held.keyed.as_ref().is_some_and(|old| old.key == keyed.key)
        };
        match self.held.iter().find(of_key) {
            None => Recall::New,
            Some((first, _)) if first.keyed.as_ref() != Some(keyed) => Recall::Misused,
            Some((_, until)) => {
                let until = *until;
                self.hold(request, Some(keyed.clone()), until);
                Recall::Joined
            }
        }
    }

    pub(crate) fn wait(&mut self, request: RequestId, pending: Wanted, keyed: Option<Keyed>) {
        self.waiting.push(Waiting {
            request,
            pending,
            keyed,
        });
    }

    /// The answer to a logout: held back until every view agrees, or for so long.
    pub(crate) fn hold(&mut self, request: RequestId, keyed: Option<Keyed>, until: Instant) {
        let pending = Wanted::LoggedOut(Vec::new());
        self.held.push((
            Waiting {
                request,
                pending,
                keyed,
            },
            until,
        ));
    }

    /// Lets held answers go with the next commit: all when nothing is pending any more, else those
    /// that have waited long enough.
    pub(crate) fn release(&mut self, pending: &[Pending], now: Instant) {
        for (mut waiting, until) in std::mem::take(&mut self.held) {
            if pending.is_empty() || until <= now {
                waiting.pending = Wanted::LoggedOut(pending.to_vec());
                self.waiting.push(waiting);
            } else {
                self.held.push((waiting, until));
            }
        }
    }

    /// When a held answer is to go at the latest.
    pub(crate) fn release_at(&self) -> Option<Instant> {
        self.held.iter().map(|(_, until)| *until).min()
    }

    pub(crate) fn is_in_flight(&self) -> bool {
        self.in_flight.is_some()
    }

    /// The writes that bring the database to the records, if any; they are then on their way.
    /// `rows_known`: Asterisk's list was read, so a contact that is not there is gone.
    pub(crate) fn begin(
        &mut self,
        agent: &Agent,
        view: &AgentView,
        rows_known: bool,
        id: CommitId,
        now: Now,
    ) -> Option<Vec<Write>> {
        let mut writes = Vec::new();
        let user = agent.known.then(|| UserRow {
            extension: agent.extension.clone(),
            online: view.online,
            sip_registered: view.sip_registered,
        });
        if user != self.user
            && let Some(user) = &user
        {
            writes.push(Write::User(user.clone()));
        }
        let contacts = if rows_known {
            agent.contact_rows(now)
        } else {
            self.contacts.clone()
        };
        for row in contacts
            .values()
            .filter(|row| self.contacts.get(&row.id) != Some(row))
        {
            writes.push(Write::Contact(row.clone()));
        }
        for gone in self.contacts.keys().filter(|id| !contacts.contains_key(id)) {
            writes.push(Write::ContactGone(gone.clone()));
        }
        let sessions: BTreeMap<SessionId, SessionRow> = agent
            .sessions
            .iter()
            .map(|record| (record.session.id.clone(), record.row()))
            .collect();
        for row in sessions
            .values()
            .filter(|row| self.sessions.get(&row.id) != Some(row))
        {
            writes.push(Write::Session(row.clone()));
        }
        let pause = agent.known.then(|| agent.pause_row()).flatten();
        if pause != self.pause {
            writes.push(match &pause {
                Some(row) => Write::Pause(row.clone()),
                None => Write::PauseGone(agent.extension.clone()),
            });
        }
        writes.extend(self.ledger.iter().cloned().map(Write::Ledger));
        if writes.is_empty() {
            return None;
        }
        self.in_flight = Some(InFlight {
            id,
            since: now.monotonic,
            view: view.clone(),
            user,
            contacts,
            sessions,
            pause,
            ledger: std::mem::take(&mut self.ledger),
            waiting: std::mem::take(&mut self.waiting),
        });
        Some(writes)
    }

    /// Replies that need no commit, because what they speak of is stored already.
    pub(crate) fn nothing_to_write(&mut self, view: &AgentView) -> Vec<(RequestId, Answer)> {
        let waiting = std::mem::take(&mut self.waiting);
        self.answer(waiting, view)
    }

    pub(crate) fn committed(&mut self, id: CommitId) -> Option<Settled> {
        let flight = self.in_flight.take_if(|flight| flight.id == id)?;
        let is_theirs = flight.user.is_some();
        if is_theirs {
            self.user = flight.user;
        }
        self.contacts = flight.contacts;
        self.sessions = flight.sessions;
        self.pause = flight.pause;
        let replies = self.answer(flight.waiting, &flight.view);
        Some(Settled {
            view: is_theirs.then_some(flight.view),
            replies,
        })
    }

    /// Nothing of it happened: the ledger's lines wait again, everybody who waits is refused.
    pub(crate) fn failed(&mut self, id: CommitId) -> Option<Vec<(RequestId, Answer)>> {
        let flight = self.in_flight.take_if(|flight| flight.id == id)?;
        let later = std::mem::take(&mut self.ledger);
        self.ledger = flight.ledger;
        for entry in later {
            self.note(entry);
        }
        let refused = Answer::Refused(Refusal::DatabaseUnavailable);
        let waiting = flight
            .waiting
            .into_iter()
            .chain(std::mem::take(&mut self.waiting))
            .chain(
                std::mem::take(&mut self.held)
                    .into_iter()
                    .map(|(held, _)| held),
            );
        Some(
            waiting
                .map(|waiting| (waiting.request, refused.clone()))
                .collect(),
        )
    }

    fn answer(&mut self, waiting: Vec<Waiting>, view: &AgentView) -> Vec<(RequestId, Answer)> {
        let mut replies = Vec::with_capacity(waiting.len());
        for Waiting {
            request,
            pending,
            keyed,
        } in waiting
        {
            let answer = pending.answer(view);
            if let Some(keyed) = keyed
                && !self.answered.iter().any(|old| old.keyed == keyed)
            {
                if self.answered.len() >= ANSWERS_KEPT {
                    self.answered.pop_front();
                }
                self.answered.push_back(Answered {
                    keyed,
                    answer: answer.clone(),
                });
            }
            replies.push((request, answer));
        }
        replies
    }

    /// When the commit on its way began.
    pub(crate) fn in_flight_since(&self) -> Option<Instant> {
        self.in_flight.as_ref().map(|flight| flight.since)
    }
}

/// An expiry as a signed column can hold it.
fn on_disk(expires_unix: u64) -> u64 {
    expires_unix.min(i64::MAX.unsigned_abs())
}
