//! Everything known of one extension: what its person asked, what was seen of it, whose each
//! contact is.

use std::collections::{BTreeMap, BTreeSet};
use std::time::{Duration, Instant};

use crate::board::{AgentView, BoardStatus, LeaseView};
use crate::config::Config;
use crate::contact::{Claim, Contact, ContactStatus};
use crate::core::Doubt;
use crate::flap::Flaps;
use crate::input::{Channel, ChannelState, DeviceState, EndReason, Session};
use crate::lease::{Lease, LeaseKind, Vitals};
use crate::ledger::Decided;
use crate::names::{ContactId, Extension, LinkId, SessionId};
use crate::output::{ContactRow, EvictReason, SessionRow, SessionState};
use crate::pause::{Pause, PauseRow, PauseWish};
use crate::queue::Memberships;
use crate::time::Now;

/// Ended sessions that are remembered, so that a repeated logout is answered as the first was.
const ENDED_KEPT: usize = 8;

/// Contacts that are over and would be known again.
const LEFT_BEHIND_KEPT: usize = 32;
/// Contacts of one extension that wait for the list that names them.
const GLIMPSED_KEPT: usize = 64;

/// Contacts of one extension that are remembered as removed until a full list says so too.
const REMOVED_KEPT: usize = 64;

/// One session: the intent of a person at a device, and the lease of that device.
#[derive(Debug, Clone)]
pub(crate) struct SessionRecord {
    pub(crate) session: Session,
    pub(crate) state: SessionState,
    pub(crate) claim: Option<Claim>,
    pub(crate) lease: Lease,
    pub(crate) online_unix_ms: Option<u64>,
    pub(crate) ended_unix_ms: Option<u64>,
    /// When it went online; what the engine said before that says nothing of its registration.
    pub(crate) online_at: Option<Instant>,
    /// Until when a missing contact is awaited rather than missed.
    pub(crate) registering_until: Option<Instant>,
    /// It owned a contact since it went online.
    pub(crate) had_contact: bool,
    /// The contact an AOR claim adopted; a second phone does not change which one was meant.
    pub(crate) adopted: Option<ContactId>,
    /// Since when its contact is missed, to nudge the app, and when it was last nudged.
    pub(crate) missed_since: Option<Instant>,
    pub(crate) nudged: Option<Instant>,
    /// Why it is leaving, while a call keeps it.
    pub(crate) leaving: EndReason,
    /// The end of its lease was counted (R9).
    pub(crate) loss_counted: bool,
}

impl SessionRecord {
    pub(crate) fn new(session: Session) -> Self {
        SessionRecord {
            session,
            state: SessionState::SignedIn,
            claim: None,
            lease: Lease::default(),
            online_unix_ms: None,
            online_at: None,
            ended_unix_ms: None,
            registering_until: None,
            had_contact: false,
            adopted: None,
            missed_since: None,
            nudged: None,
            leaving: EndReason::LoggedOut,
            loss_counted: false,
        }
    }

    /// A session of before our start: its lease is believed in for the grace.
    pub(crate) fn restored(row: SessionRow, now: Now, config: &Config) -> Self {
        let mut record = SessionRecord::new(Session {
            id: row.id,
            extension: row.extension,
            device: row.device,
            started_unix_ms: row.started_unix_ms,
        });
        record.state = row.state;
        record.claim = row.claim.map(|user| {
            if user.is_empty() {
                Claim::Aor
            } else {
                Claim::User(user)
            }
        });
        record.online_unix_ms = row.online_unix_ms;
        record.ended_unix_ms = row.ended_unix_ms;
        record.had_contact = record.claim.is_some();
        record.lease.kind = row.lease;
        if row.lease != LeaseKind::None {
            record.lease.in_grace = true;
            record.lease.until = Some(now.monotonic + config.grace);
        }
        record
    }

    pub(crate) fn row(&self) -> SessionRow {
        SessionRow {
            id: self.session.id.clone(),
            extension: self.session.extension.clone(),
            device: self.session.device.clone(),
            state: self.state,
            claim: self.claim.as_ref().map(|claim| match claim {
                Claim::Aor => String::new(),
                Claim::User(user) => user.clone(),
            }),
            lease: self.lease.kind,
            started_unix_ms: self.session.started_unix_ms,
            online_unix_ms: self.online_unix_ms,
            ended_unix_ms: self.ended_unix_ms,
        }
    }

    pub(crate) fn is_ended(&self) -> bool {
        matches!(self.state, SessionState::Ended(_))
    }

    /// Whether the person wants to be on the board with it, or is still leaving it.
    pub(crate) fn is_on_board(&self) -> bool {
        matches!(self.state, SessionState::Online | SessionState::LoggingOut)
    }

    pub(crate) fn end(&mut self, reason: EndReason, now: Now) {
        self.state = SessionState::Ended(reason);
        self.ended_unix_ms = Some(now.unix_ms);
    }

    pub(crate) fn link_opened(&mut self, link: LinkId, now: Now) {
        if !self.lease.links.open(link) {
            return;
        }
        self.lease.link_closed = None;
        if self.lease.kind != LeaseKind::Heartbeat {
            self.lease.kind = LeaseKind::Connection;
            self.lease.until = None;
            self.lease.renewed = Some(now);
            self.lease.in_grace = false;
            self.loss_counted = false;
        }
        // The engine may have been started anew: its ticks may begin again.
        if let Some(vitals) = &mut self.lease.vitals {
            vitals.tick = 0;
        }
    }

    pub(crate) fn link_closed(&mut self, link: LinkId, now: Now, config: &Config) {
        if !self.lease.links.close(link) {
            return;
        }
        self.lease.link_closed = Some(now);
        if self.lease.kind == LeaseKind::Connection {
            self.lease.until = Some(now.monotonic + config.lease);
        }
    }

    /// A heartbeat renews the lease, if the engine counted on since the last one.
    pub(crate) fn heartbeat(&mut self, vitals: Vitals, now: Now, config: &Config) {
        if self
            .lease
            .vitals
            .is_some_and(|last| vitals.tick <= last.tick)
        {
            return;
        }
        self.lease.kind = LeaseKind::Heartbeat;
        self.lease.until = Some(now.monotonic + config.lease);
        self.lease.renewed = Some(now);
        self.lease.in_grace = false;
        self.lease.vitals = Some(vitals);
        self.loss_counted = false;
    }

    /// Whether the lease has run out on the clock, whatever is concluded from it.
    pub(crate) fn lease_ran_out(&self, now: Now) -> bool {
        self.lease.kind != LeaseKind::None
            && self.lease.until.is_some_and(|until| now.monotonic >= until)
    }

    /// Its engine speaks SIP, and does not say that it is not registered.
    pub(crate) fn says_registered(&self) -> bool {
        self.lease
            .vitals
            .is_none_or(|vitals| vitals.sip_loop_ok && vitals.registered != Some(false))
    }

    /// Its lease has run out, and that was not counted yet (R9).
    pub(crate) fn is_newly_lost(&self, now: Now) -> bool {
        self.is_on_board() && !self.loss_counted && self.lease_ran_out(now)
    }

    /// Its lease ended within the window, or will within another if it stays as silent as it is.
    pub(crate) fn fell_silent(&self, now: Now, window: Duration) -> bool {
        let lately = |until: Instant| !self.loss_counted || until + window > now.monotonic;
        self.is_on_board()
            && self.lease.kind != LeaseKind::None
            && (self.lease.until)
                .is_some_and(|until| until <= now.monotonic + window && lately(until))
    }

    pub(crate) fn lease_view(&self, now: Now, doubt: Doubt) -> LeaseView {
        if self.lease.kind == LeaseKind::None {
            return LeaseView::None;
        }
        if self.lease_ran_out(now) {
            return if self.lease.until.is_some_and(|ended| doubt.covers(ended)) {
                LeaseView::InDoubt
            } else {
                LeaseView::Ended
            };
        }
        if self.lease.in_grace || !self.lease.links.is_any() {
            return LeaseView::InDoubt;
        }
        LeaseView::Live
    }
}

/// One contact that Asterisk has.
#[derive(Debug, Clone)]
pub(crate) struct ContactRecord {
    pub(crate) contact: Contact,
    /// The step in which an event last spoke of it.
    pub(crate) touched: Option<u64>,
    /// It should go, since when, and why.
    pub(crate) evict: Option<(Instant, EvictReason)>,
    /// When its eviction was last asked for.
    pub(crate) evict_asked: Option<Instant>,
    /// The expiry that it had when its eviction was asked for: while it has that one it is over, though a slow eviction
    /// (F6) leaves it in every list until the next check, and raises no event when its owner registers it again.
    pub(crate) evicted: Option<u64>,
    /// An event, an app or a session accounts for it; else it is asked about once more.
    pub(crate) accounted: bool,
    /// The step of the list that named it first.
    pub(crate) listed_in: Option<u64>,
    /// Nothing does: it is to be removed.
    pub(crate) forged: bool,
    /// Asterisk's clock minus ours, s: its expiry is told by that clock.
    pub(crate) skew: i64,
    /// The expiry that was checked for a refresh shortly before, and once it had passed.
    pub(crate) checked_before: Option<u64>,
    pub(crate) checked_after: Option<u64>,
}

impl ContactRecord {
    pub(crate) fn new(contact: Contact) -> Self {
        ContactRecord {
            contact,
            touched: None,
            evict: None,
            evict_asked: None,
            evicted: None,
            accounted: true,
            listed_in: None,
            forged: false,
            skew: 0,
            checked_before: None,
            checked_after: None,
        }
    }

    /// Its session logged out: it is over for us, whatever Asterisk still has.
    pub(crate) fn is_retired(&self) -> bool {
        matches!(self.evict, Some((_, EvictReason::LoggedOut)))
    }

    /// When it is to be evicted, if it is. For an app that fell silent a heartbeat later, so that
    /// it shows whether many did (R9).
    pub(crate) fn evict_due(&self, config: &Config) -> Option<(Instant, EvictReason)> {
        let (since, reason) = self.evict?;
        let patience = match reason {
            EvictReason::AppLost => config.evict_after + config.heartbeat,
            EvictReason::LoggedOut
            | EvictReason::Superseded
            | EvictReason::Forged
            | EvictReason::Unmanaged => config.evict_after,
        };
        let due = self
            .evict_asked
            .map_or(since + patience, |last| last + config.evict_again);
        Some((due, reason))
    }

    pub(crate) fn is_expired(&self, now: Now) -> bool {
        self.evicted == Some(self.contact.expires_unix) || now.unix_seconds() > self.expires_here()
    }

    /// Its expiry by our clock, epoch seconds.
    pub(crate) fn expires_here(&self) -> u64 {
        self.contact.expires_unix.saturating_add_signed(-self.skew)
    }

    /// The status for table and board: Asterisk's, unless it is over for us.
    pub(crate) fn status(&self, now: Now) -> ContactStatus {
        if self.is_retired() || self.is_expired(now) {
            ContactStatus::Expired
        } else {
            self.contact.status
        }
    }

    pub(crate) fn row(&self, now: Now) -> ContactRow {
        ContactRow {
            id: self.contact.id.clone(),
            endpoint: self.contact.endpoint.clone(),
            uri: self.contact.uri.clone(),
            user_agent: self.contact.user_agent.clone(),
            expires_unix: self.contact.expires_unix,
            qualify_frequency: self.contact.qualify_frequency,
            reg_server: self.contact.reg_server.clone(),
            status: self.status(now),
        }
    }

    fn rank(&self, now: Now) -> (bool, u8, u64) {
        let answered = match self.contact.status {
            ContactStatus::Reachable => 3,
            ContactStatus::NonQualified => 2,
            ContactStatus::Unknown => 1,
            ContactStatus::Unreachable | ContactStatus::Expired => 0,
        };
        (!self.is_expired(now), answered, self.contact.expires_unix)
    }
}

/// A contact that no list has named yet.
#[derive(Debug, Clone)]
pub(crate) struct Glimpse {
    /// What stands in the table of it when it is gone.
    row: ContactRow,
    /// The step in which an event last spoke of it.
    pub(crate) step: u64,
    /// No event told of its coming, only of what a test came to, which may have been asked for by us.
    pub(crate) only_tested: bool,
}

/// What a session holds of contacts.
#[derive(Debug, Clone, Copy)]
pub(crate) enum Held<'a> {
    /// None of its own.
    None,
    /// Several that could be meant.
    Ambiguous,
    /// This one.
    One(&'a ContactRecord),
}

impl<'a> Held<'a> {
    pub(crate) fn one(self) -> Option<&'a ContactRecord> {
        match self {
            Held::One(record) => Some(record),
            Held::None | Held::Ambiguous => None,
        }
    }
}

/// Everything known of one extension.
#[derive(Debug)]
pub(crate) struct Agent {
    pub(crate) extension: Extension,
    /// Somebody has this extension; else it is only an endpoint with contacts.
    pub(crate) known: bool,
    pub(crate) sessions: Vec<SessionRecord>,
    /// The contacts that Asterisk has.
    pub(crate) contacts: BTreeMap<ContactId, ContactRecord>,
    /// Contacts that only events have spoken of. They wait for the list that names them, and are gone if it does not.
    pub(crate) glimpsed: BTreeMap<ContactId, Glimpse>,
    /// Contacts that left the lists without an event: their owner's next REGISTER brings them back,
    /// again without one (F5).
    pub(crate) vanished: BTreeSet<ContactId>,
    /// Contacts an event removed, and in which step: an older list does not bring them back.
    pub(crate) removed: BTreeMap<ContactId, u64>,
    /// Contacts that were over for us when we started, and their expiry then: if Asterisk still has
    /// one, its eviction was cut short.
    pub(crate) left_behind: BTreeMap<ContactId, u64>,
    /// The last contact that went; its row stays while there is no other.
    pub(crate) last_gone: Option<ContactRow>,
    pub(crate) device_state: Option<DeviceState>,
    pub(crate) device_touched: Option<u64>,
    pub(crate) channels: BTreeMap<String, (Channel, u64)>,
    pub(crate) queues: Memberships,
    /// What people want of its pause.
    pub(crate) pause: Option<Pause>,
    pub(crate) flaps: Flaps,
    /// Who has this extension.
    pub(crate) person: Option<i64>,
    /// It has another owner since, whose start waits for the contacts of the last one to go.
    pub(crate) handed_over: Option<Instant>,
    /// The endpoint is in maintenance until then, or until its contacts are gone.
    pub(crate) maintenance: Option<Instant>,
    pub(crate) last_end: Option<EndReason>,
    /// What was known of it before we restarted, until something is known again.
    pub(crate) decided_before: Option<Decided>,
    /// Since when calls and channels disagree, and whether that was asked about.
    pub(crate) disagree_since: Option<Instant>,
    pub(crate) disagree_asked: bool,
    pub(crate) qualify_asked: Option<Instant>,
}

impl Agent {
    pub(crate) fn new(extension: Extension) -> Self {
        Agent {
            extension,
            known: false,
            sessions: Vec::new(),
            contacts: BTreeMap::new(),
            glimpsed: BTreeMap::new(),
            vanished: BTreeSet::new(),
            removed: BTreeMap::new(),
            left_behind: BTreeMap::new(),
            last_gone: None,
            device_state: None,
            device_touched: None,
            channels: BTreeMap::new(),
            queues: Memberships::default(),
            pause: None,
            flaps: Flaps::default(),
            person: None,
            handed_over: None,
            maintenance: None,
            last_end: None,
            decided_before: None,
            disagree_since: None,
            disagree_asked: false,
            qualify_asked: None,
        }
    }

    /// Gives the first row that says something after our restart the age it had before.
    pub(crate) fn keep_age(&mut self, view: &mut AgentView) {
        if view.status != BoardStatus::Unknown
            && let Some(before) = self.decided_before.take()
        {
            before.age(view);
        }
    }

    pub(crate) fn session(&self, id: &SessionId) -> Option<&SessionRecord> {
        self.sessions.iter().find(|record| record.session.id == *id)
    }

    pub(crate) fn session_mut(&mut self, id: &SessionId) -> Option<&mut SessionRecord> {
        self.sessions
            .iter_mut()
            .find(|record| record.session.id == *id)
    }

    /// A call is going on at any device (F17).
    pub(crate) fn on_call(&self) -> bool {
        self.device_state.is_some_and(DeviceState::is_call)
            || self.channels.values().any(|(channel, _)| {
                matches!(channel.state, ChannelState::Up | ChannelState::Calling)
            })
    }

    pub(crate) fn is_ringing(&self) -> bool {
        self.device_state == Some(DeviceState::Ringing)
            || self
                .channels
                .values()
                .any(|(channel, _)| channel.state == ChannelState::Ringing)
    }

    /// The wish for its pause as it is stored.
    pub(crate) fn pause_row(&self) -> Option<PauseRow> {
        self.pause.as_ref().map(|pause| PauseRow {
            extension: self.extension.clone(),
            wish: pause.wish.clone(),
            since_unix_ms: pause.since_unix_ms,
        })
    }

    /// What a person wants of its queues comes before what a repair does.
    pub(crate) fn wants_queues(&self) -> bool {
        self.pause.as_ref().is_some_and(|pause| {
            matches!(pause.wish, PauseWish::Paused(_)) || !pause.is_fulfilled(&self.queues)
        })
    }

    /// Channels and device state say different things about a call.
    pub(crate) fn calls_disagree(&self) -> bool {
        let channels = self
            .channels
            .values()
            .any(|(channel, _)| matches!(channel.state, ChannelState::Up | ChannelState::Calling));
        channels != self.device_state.is_some_and(DeviceState::is_call)
    }

    /// The session that a contact's device id or user part names (F16: never host or port).
    pub(crate) fn named_owner(&self, record: &ContactRecord) -> Option<&SessionRecord> {
        let device = record.contact.device();
        let user = record.contact.user();
        let live = || self.sessions.iter().filter(|session| !session.is_ended());
        live()
            .find(|session| device.as_ref() == Some(&session.session.device))
            .or_else(|| {
                live().find(|session| match &session.claim {
                    Some(Claim::User(claimed)) => user == Some(claimed),
                    _ => false,
                })
            })
    }

    /// The session a contact belongs to, by name or by adoption.
    pub(crate) fn owner(&self, record: &ContactRecord) -> Option<&SessionRecord> {
        self.named_owner(record).or_else(|| {
            self.sessions.iter().find(|session| {
                !session.is_ended() && session.adopted.as_ref() == Some(&record.contact.id)
            })
        })
    }

    /// Contacts nobody owns, which an AOR claim may mean.
    pub(crate) fn unowned(&self) -> impl Iterator<Item = &ContactRecord> {
        self.contacts
            .values()
            .filter(|record| !record.is_retired() && self.owner(record).is_none())
    }

    /// The contact of a session, the one that counts for R1.
    pub(crate) fn held(&self, session: &SessionRecord, now: Now) -> Held<'_> {
        let own = self.contacts.values().filter(|record| {
            !record.is_retired()
                && self
                    .owner(record)
                    .is_some_and(|owner| owner.session.id == session.session.id)
                && match &session.claim {
                    Some(Claim::User(user)) => record.contact.user() == Some(user),
                    Some(Claim::Aor) | None => true,
                }
        });
        if let Some(best) = own.max_by_key(|record| record.rank(now)) {
            return Held::One(best);
        }
        if session.claim == Some(Claim::Aor) && self.unowned().nth(1).is_some() {
            return Held::Ambiguous;
        }
        Held::None
    }

    /// Lets sessions with an AOR claim adopt the one contact that is nobody's.
    pub(crate) fn adopt(&mut self) {
        let wanting: Vec<SessionId> = self
            .sessions
            .iter()
            .filter(|session| {
                !session.is_ended()
                    && session.claim == Some(Claim::Aor)
                    && !session
                        .adopted
                        .as_ref()
                        .is_some_and(|id| self.contacts.contains_key(id))
            })
            .map(|session| session.session.id.clone())
            .collect();
        for id in wanting {
            let mut unowned = self.unowned();
            let (Some(only), None) = (unowned.next(), unowned.next()) else {
                return;
            };
            let contact = only.contact.id.clone();
            drop(unowned);
            if let Some(session) = self.session_mut(&id) {
                session.adopted = Some(contact);
            }
        }
    }

    /// The contacts of a session: all of them should go now.
    pub(crate) fn retire_contacts_of(&mut self, id: &SessionId, now: Now) {
        let own: Vec<ContactId> = self
            .contacts
            .values()
            .filter(|record| {
                self.owner(record)
                    .is_some_and(|owner| owner.session.id == *id)
            })
            .map(|record| record.contact.id.clone())
            .collect();
        for id in own {
            if let Some(record) = self.contacts.get_mut(&id) {
                record.evict = Some((now.monotonic, EvictReason::LoggedOut));
            }
        }
    }

    /// A contact that Asterisk still has, or has again, though it was over: nobody speaks for it, and
    /// it is an app's, which registers a new one at every run, or was not refreshed since.
    pub(crate) fn was_left_behind(&mut self, record: &ContactRecord) -> bool {
        let Some(expires) = self.left_behind.remove(&record.contact.id) else {
            return false;
        };
        self.owner(record).is_none()
            && (record.contact.device().is_some() || record.contact.expires_unix == expires)
    }

    /// A session that goes online takes back what an earlier one of its kind had left behind.
    pub(crate) fn reclaim_contacts_of(&mut self, id: &SessionId) {
        let own: Vec<ContactId> = self
            .contacts
            .values()
            .filter(|record| record.is_retired())
            .filter(|record| {
                let claim = self.session(id).and_then(|session| session.claim.as_ref());
                match claim {
                    Some(Claim::User(user)) => record.contact.user() == Some(user),
                    Some(Claim::Aor) => self.contacts.len() == 1,
                    None => false,
                }
            })
            .map(|record| record.contact.id.clone())
            .collect();
        for id in own {
            if let Some(record) = self.contacts.get_mut(&id) {
                record.evict = None;
                record.evict_asked = None;
            }
        }
    }

    /// A contact is gone from Asterisk.
    pub(crate) fn drop_contact(&mut self, id: &ContactId, now: Now) {
        if let Some(record) = self.contacts.remove(id) {
            let mut row = record.row(now);
            row.status = ContactStatus::Expired;
            // An Asterisk that crashes may forget that it removed it; an app registers another one at every run.
            if record.contact.device().is_some() {
                self.left_behind.insert(id.clone(), row.expires_unix);
            }
            if self.left_behind.len() > LEFT_BEHIND_KEPT {
                self.left_behind.pop_first();
            }
            self.last_gone = Some(row);
        }
    }

    /// An event spoke of a contact that no list has named yet.
    pub(crate) fn glimpse(
        &mut self,
        id: &ContactId,
        uri: String,
        status: ContactStatus,
        (step, now): (u64, Now),
    ) {
        let only_tested = status.is_of_a_test()
            && self
                .glimpsed
                .get(id)
                .is_none_or(|before| before.only_tested);
        let row = ContactRow {
            id: id.clone(),
            endpoint: self.extension.clone(),
            uri,
            user_agent: String::new(),
            expires_unix: now.unix_seconds(),
            qualify_frequency: 0,
            reg_server: String::new(),
            status: ContactStatus::Expired,
        };
        let glimpse = Glimpse {
            row,
            step,
            only_tested,
        };
        self.glimpsed.insert(id.clone(), glimpse);
        if self.glimpsed.len() > GLIMPSED_KEPT
            && let Some(oldest) = self.glimpsed.iter().min_by_key(|(_, glimpse)| glimpse.step)
        {
            let oldest = oldest.0.clone();
            self.glimpsed.remove(&oldest);
        }
    }

    /// A contact came and went between two lists: its row is the last one, as of any that went.
    /// False if that is how it stands already.
    pub(crate) fn drop_glimpsed(&mut self, id: &ContactId) -> bool {
        let Some(Glimpse { row, .. }) = self.glimpsed.remove(id) else {
            return false;
        };
        if self.last_gone.as_ref().is_some_and(|last| last.id == *id) {
            return false;
        }
        self.last_gone = Some(row);
        true
    }

    /// The rows our `ps_contacts` should hold.
    pub(crate) fn contact_rows(&self, now: Now) -> BTreeMap<ContactId, ContactRow> {
        let mut rows: BTreeMap<ContactId, ContactRow> = self
            .contacts
            .iter()
            .map(|(id, record)| (id.clone(), record.row(now)))
            .collect();
        if rows.is_empty()
            && let Some(last) = &self.last_gone
        {
            rows.insert(last.id.clone(), last.clone());
        }
        rows
    }

    /// Remembers that an event removed a contact.
    pub(crate) fn note_removed(&mut self, id: ContactId, step: u64) {
        self.removed.insert(id, step);
        if self.removed.len() > REMOVED_KEPT
            && let Some(oldest) = self.removed.iter().min_by_key(|(_, at)| **at)
        {
            let oldest = oldest.0.clone();
            self.removed.remove(&oldest);
        }
    }

    /// Forgets the oldest ended sessions beyond those that are kept; says which.
    pub(crate) fn forget_ended(&mut self) -> Vec<SessionId> {
        let mut beyond = self
            .sessions
            .iter()
            .filter(|session| session.is_ended())
            .count()
            .saturating_sub(ENDED_KEPT);
        let mut forgotten = Vec::new();
        self.sessions.retain(|session| {
            let forget = beyond > 0 && session.is_ended();
            if forget {
                beyond -= 1;
                forgotten.push(session.session.id.clone());
            }
            !forget
        });
        forgotten
    }
}
