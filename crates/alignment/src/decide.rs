//! The decision: rule R1 and the order of the board's states, as a pure function of the records.

use std::collections::{BTreeMap, BTreeSet};

use crate::agent::{Agent, ContactRecord, Held, SessionRecord};
use crate::board::{AgentView, BoardStatus, DeviceView, LeaseView, Reason, ReasonCode, SourceView};
use crate::config::{Config, NonQualifiedPolicy, Registrar};
use crate::contact::ContactStatus;
use crate::core::Doubt;
use crate::input::{DeviceState, EndReason};
use crate::output::SessionState;
use crate::pause::PauseWish;
use crate::source::{Source, SourceHealth};
use crate::time::Now;

/// What the decision rests on besides the agent's own records.
#[derive(Debug, Clone, Copy)]
pub(crate) struct Sight<'a> {
    pub(crate) now: Now,
    pub(crate) config: &'a Config,
    pub(crate) ami: SourceHealth,
    pub(crate) database: SourceHealth,
    /// Full lists were read since our start.
    pub(crate) listed: bool,
    /// What the table says of `sipRegistered`; before the first list nothing is known against it.
    pub(crate) registered_before: bool,
    /// Which leases we doubt the end of, because we suspect ourselves (R9).
    pub(crate) doubt: Doubt,
    /// This agent's last change was refused by the database.
    pub(crate) unsaved: bool,
}

/// One device's part of the decision.
struct DevicePart<'a> {
    session: &'a SessionRecord,
    contact: Option<&'a ContactRecord>,
    lease: LeaseView,
    /// False terms, without those of sight.
    reasons: BTreeSet<ReasonCode>,
    /// Terms that cannot be told.
    doubts: BTreeSet<ReasonCode>,
    /// Somebody can be asked whether the claim is true.
    proved: bool,
}

impl DevicePart<'_> {
    /// The session is over in all but name: its app is gone and nothing of it is registered.
    fn is_absent(&self) -> bool {
        self.lease == LeaseView::Ended && self.contact.is_none()
    }

    fn status(&self) -> BoardStatus {
        if !self.doubts.is_empty() {
            BoardStatus::Unknown
        } else if self.is_absent() {
            BoardStatus::Offline
        } else if self.session.state == SessionState::LoggingOut {
            BoardStatus::LoggingOut
        } else if !self.reasons.is_empty() {
            BoardStatus::NotAvailable
        } else if self.lease == LeaseView::None || !self.proved {
            BoardStatus::Unverified
        } else {
            BoardStatus::Available
        }
    }
}

/// Concludes an agent's row. `before` is the row last concluded; what did not change keeps its age.
pub(crate) fn decide(agent: &Agent, sight: &Sight<'_>, before: Option<&AgentView>) -> AgentView {
    let parts: Vec<DevicePart<'_>> = agent
        .sessions
        .iter()
        .filter(|session| session.is_on_board())
        .map(|session| device_part(agent, session, sight))
        .collect();
    let unclaimed = unclaimed_session(agent, sight.now).is_some();
    let blind = blindness(sight);
    let (status, reasons) = if blind.is_empty() {
        conclude(agent, &parts, unclaimed, sight)
    } else {
        (BoardStatus::Unknown, blind)
    };
    let present = |part: &&DevicePart<'_>| !sight.listed || !part.is_absent();
    let online = parts.iter().any(|part| present(&part));
    let registered = parts.iter().any(|part| {
        part.contact
            .is_some_and(|contact| !contact.is_expired(sight.now))
    });
    AgentView {
        extension: agent.extension.clone(),
        status,
        contact_status: contact_status(agent, &parts, sight),
        online,
        sip_registered: if sight.listed {
            registered
        } else {
            sight.registered_before && online
        },
        since_unix_ms: match before {
            Some(before) if before.status == status => before.since_unix_ms,
            _ => status_age(status, sight),
        },
        reasons: with_ages(
            &reasons,
            before.map_or(&[], |before| &before.reasons),
            sight,
        ),
        pause: agent
            .pause
            .as_ref()
            .map(|pause| pause.view(&agent.queues, blindness(sight).is_empty())),
        sources: sources(&parts, sight),
        devices: devices(agent, &parts, sight, before),
    }
}

/// R1, term by term, for one device. A false term is a reason; one that cannot be told, a doubt.
fn device_part<'a>(
    agent: &'a Agent,
    session: &'a SessionRecord,
    sight: &Sight<'_>,
) -> DevicePart<'a> {
    let lease = session.lease_view(sight.now, sight.doubt);
    let held = agent.held(session, sight.now);
    let mut reasons = BTreeSet::new();
    let mut doubts = BTreeSet::new();
    match lease {
        LeaseView::Live | LeaseView::None => {}
        LeaseView::Ended => {
            reasons.insert(ReasonCode::AppLost);
        }
        LeaseView::InDoubt => {
            doubts.insert(if session.lease_ran_out(sight.now) {
                ReasonCode::ServerSuspect
            } else if session.lease.in_grace {
                ReasonCode::ServerRestarted
            } else {
                ReasonCode::AppLinkLost
            });
        }
    }
    if session.state == SessionState::LoggingOut {
        reasons.insert(ReasonCode::LogoutPending);
    }
    vitals_terms(session, &mut reasons);
    contact_terms(session, held, sight, &mut reasons);
    let proved = sight.config.registrar != Registrar::Claims;
    if held.one().is_some() && proved {
        device_state_term(agent, &mut reasons);
    }
    DevicePart {
        proved,
        session,
        contact: held.one(),
        lease,
        reasons,
        doubts,
    }
}

fn vitals_terms(session: &SessionRecord, reasons: &mut BTreeSet<ReasonCode>) {
    let Some(vitals) = &session.lease.vitals else {
        return;
    };
    if !vitals.sip_loop_ok {
        reasons.insert(ReasonCode::SipLoopStalled);
    }
    if !vitals.audio_loop_ok {
        reasons.insert(ReasonCode::AudioLoopStalled);
    }
    if !vitals.microphone_ok {
        reasons.insert(ReasonCode::NoAudioDevice);
    }
    let said_since_online = match (session.lease.renewed, session.online_at) {
        (Some(renewed), Some(online)) => renewed.monotonic > online,
        _ => true,
    };
    if vitals.registered == Some(false) && session.had_contact && said_since_online {
        reasons.insert(ReasonCode::SipDown);
    }
}

fn contact_terms(
    session: &SessionRecord,
    held: Held<'_>,
    sight: &Sight<'_>,
    reasons: &mut BTreeSet<ReasonCode>,
) {
    let record = match held {
        Held::One(record) => record,
        Held::Ambiguous => {
            reasons.insert(ReasonCode::AmbiguousContact);
            return;
        }
        Held::None => {
            let awaited = session
                .registering_until
                .is_some_and(|until| sight.now.monotonic < until);
            reasons.insert(if session.had_contact {
                ReasonCode::SipDown
            } else if awaited {
                ReasonCode::Registering
            } else {
                ReasonCode::LoginIncomplete
            });
            return;
        }
    };
    // An expired row that still answers OPTIONS: expiry wins.
    if record.is_expired(sight.now) {
        reasons.insert(ReasonCode::ContactExpired);
        return;
    }
    match record.contact.status {
        ContactStatus::Reachable => {}
        ContactStatus::Unknown if sight.config.registrar == Registrar::Claims => {}
        ContactStatus::NonQualified if sight.config.non_qualified == NonQualifiedPolicy::Accept => {
        }
        ContactStatus::NonQualified | ContactStatus::Unknown => {
            reasons.insert(ReasonCode::NotQualified);
        }
        ContactStatus::Unreachable | ContactStatus::Expired => {
            reasons.insert(ReasonCode::ContactUnreachable);
        }
    }
}

fn device_state_term(agent: &Agent, reasons: &mut BTreeSet<ReasonCode>) {
    match agent.device_state {
        Some(DeviceState::Unavailable) => {
            reasons.insert(ReasonCode::DeviceUnavailable);
        }
        None | Some(DeviceState::Invalid | DeviceState::Unknown) => {
            reasons.insert(ReasonCode::DeviceStateUnknown);
        }
        // Calls have board states of their own, which outrank R1.
        Some(_) => {}
    }
}

/// The sources of everybody's that are out of sight (R5).
fn blindness(sight: &Sight<'_>) -> BTreeSet<ReasonCode> {
    let mut blind = BTreeSet::new();
    match sight.ami {
        SourceHealth::Up { .. } => {}
        _ if sight.config.registrar == Registrar::Claims => {}
        SourceHealth::Syncing { .. } => {
            blind.insert(ReasonCode::AmiSyncing);
        }
        SourceHealth::Never { .. } | SourceHealth::Lost { .. } => {
            blind.insert(ReasonCode::AmiLost);
        }
    }
    if !sight.database.is_up() {
        blind.insert(ReasonCode::DatabaseLost);
    }
    if sight.unsaved {
        blind.insert(ReasonCode::NotSaved);
    }
    blind
}

/// A signed-in session whose phone is registered, but that never went online.
fn unclaimed_session(agent: &Agent, now: Now) -> Option<&SessionRecord> {
    agent.sessions.iter().find(|session| {
        session.state == SessionState::SignedIn && agent.held(session, now).one().is_some()
    })
}

/// The first board state that holds, in the order of `BoardStatus`.
fn conclude(
    agent: &Agent,
    parts: &[DevicePart<'_>],
    unclaimed: bool,
    sight: &Sight<'_>,
) -> (BoardStatus, BTreeSet<ReasonCode>) {
    let certain = || {
        parts
            .iter()
            .filter(|part| part.doubts.is_empty() && !part.is_absent())
    };
    if certain().next().is_none() && parts.iter().any(|part| !part.doubts.is_empty()) {
        let doubts = parts
            .iter()
            .flat_map(|part| &part.doubts)
            .copied()
            .collect();
        return (BoardStatus::Unknown, doubts);
    }
    if certain().next().is_none() {
        return without_session(agent, parts, unclaimed);
    }
    let mut reasons: BTreeSet<ReasonCode> = BTreeSet::new();
    let status = if certain().all(|part| part.session.state == SessionState::LoggingOut) {
        reasons.insert(ReasonCode::LogoutPending);
        BoardStatus::LoggingOut
    } else if agent.on_call() {
        reasons.insert(ReasonCode::OnCall);
        BoardStatus::OnCall
    } else if agent.is_ringing() {
        reasons.insert(ReasonCode::Ringing);
        BoardStatus::Ringing
    } else if let Some(why) = paused(agent) {
        reasons.extend(why);
        BoardStatus::Paused
    } else {
        let best = certain().map(DevicePart::status).max();
        held_back(
            agent,
            best.unwrap_or(BoardStatus::NotAvailable),
            sight,
            &mut reasons,
        )
    };
    match status {
        BoardStatus::Available => {}
        BoardStatus::Unverified if sight.config.registrar == Registrar::Claims => {
            reasons.insert(ReasonCode::ClaimsOnly);
        }
        BoardStatus::Unverified => {
            reasons.insert(ReasonCode::NoLease);
        }
        _ => {
            for part in parts {
                reasons.extend(part.reasons.iter().chain(&part.doubts));
            }
        }
    }
    (status, reasons)
}

/// Paused, and why: where a person wants it, only once every queue is seen to do so; else as the
/// queues are seen, whoever told them.
fn paused(agent: &Agent) -> Option<Vec<ReasonCode>> {
    match &agent.pause {
        Some(pause) if matches!(pause.wish, PauseWish::Paused(_)) => pause
            .is_fulfilled(&agent.queues)
            .then(|| vec![ReasonCode::Paused]),
        _ if !agent.queues.is_paused() => None,
        Some(_) => Some(vec![ReasonCode::Paused, ReasonCode::PauseEndAsked]),
        None => Some(vec![ReasonCode::Paused]),
    }
}

/// What keeps an agent from being Available whose phone and app are there.
fn held_back(
    agent: &Agent,
    status: BoardStatus,
    sight: &Sight<'_>,
    reasons: &mut BTreeSet<ReasonCode>,
) -> BoardStatus {
    if status < BoardStatus::NotAvailable {
        return status;
    }
    // A pause that the queues are seen to keep has a state of its own.
    if let Some(pause) = &agent.pause {
        match pause.wish {
            PauseWish::Paused(_) => drop(reasons.insert(ReasonCode::PauseAsked)),
            PauseWish::Ended(_) if !pause.is_fulfilled(&agent.queues) => {
                reasons.insert(ReasonCode::PauseEndAsked);
            }
            PauseWish::Ended(_) => {}
        }
    }
    if status < BoardStatus::Unverified {
        return status;
    }
    if agent.queues.is_drained() {
        reasons.insert(ReasonCode::Draining);
    }
    if agent.flaps.steady_at(sight.now.monotonic).is_some() {
        reasons.insert(ReasonCode::Flapping);
    }
    if reasons.is_empty() {
        status
    } else {
        BoardStatus::NotAvailable
    }
}

/// Nobody is online: Offline, or a phone that is registered before its agent went online.
fn without_session(
    agent: &Agent,
    parts: &[DevicePart<'_>],
    unclaimed: bool,
) -> (BoardStatus, BTreeSet<ReasonCode>) {
    let mut reasons = BTreeSet::new();
    if unclaimed {
        reasons.insert(ReasonCode::Unclaimed);
        return (BoardStatus::NotAvailable, reasons);
    }
    if parts.iter().any(DevicePart::is_absent) {
        reasons.insert(ReasonCode::AppLost);
    } else if let Some(end) = agent.last_end {
        reasons.insert(match end {
            EndReason::LoggedOut | EndReason::Superseded => ReasonCode::LoggedOut,
            EndReason::TakenOver => ReasonCode::TakenOver,
            EndReason::Forced => ReasonCode::ForcedOut,
            EndReason::Expired => ReasonCode::SessionExpired,
            EndReason::Reassigned => ReasonCode::Reassigned,
        });
    } else {
        reasons.insert(ReasonCode::NeverLoggedIn);
    }
    for record in agent
        .contacts
        .values()
        .filter(|record| !record.is_retired())
    {
        // One of our apps that nobody signed in with, or a phone we know nothing of.
        reasons.insert(match record.contact.device() {
            _ if record.forged => ReasonCode::Forged,
            Some(_) => ReasonCode::Unclaimed,
            None => ReasonCode::Unmanaged,
        });
    }
    (BoardStatus::Offline, reasons)
}

/// The best contact's status: of the sessions' own, else of any that is registered.
fn contact_status(
    agent: &Agent,
    parts: &[DevicePart<'_>],
    sight: &Sight<'_>,
) -> Option<ContactStatus> {
    let order = |status: &ContactStatus| match status {
        ContactStatus::Reachable => 4,
        ContactStatus::NonQualified => 3,
        ContactStatus::Unknown => 2,
        ContactStatus::Unreachable => 1,
        ContactStatus::Expired => 0,
    };
    let own = parts
        .iter()
        .filter_map(|part| part.contact)
        .map(|record| record.status(sight.now));
    let any = agent
        .contacts
        .values()
        .map(|record| record.status(sight.now));
    own.max_by_key(order)
        .or_else(|| any.max_by_key(order))
        .or_else(|| agent.last_gone.as_ref().map(|_| ContactStatus::Expired))
}

fn devices(
    agent: &Agent,
    parts: &[DevicePart<'_>],
    sight: &Sight<'_>,
    before: Option<&AgentView>,
) -> Vec<DeviceView> {
    let blind = !blindness(sight).is_empty();
    let mut views: Vec<DeviceView> = parts
        .iter()
        .map(|part| {
            let device = Some(part.session.session.device.clone());
            let old = before
                .and_then(|view| view.devices.iter().find(|old| old.device == device))
                .map_or(&[][..], |old| &old.reasons);
            let reasons = part.reasons.union(&part.doubts).copied().collect();
            DeviceView {
                status: if blind {
                    BoardStatus::Unknown
                } else {
                    part.status()
                },
                lease: part.lease,
                session_since_unix_ms: Some(part.session.session.started_unix_ms),
                reasons: with_ages(&reasons, old, sight),
                ..contact_view(device, part.contact, sight)
            }
        })
        .collect();
    let counted: BTreeSet<_> = parts
        .iter()
        .filter_map(|part| part.contact)
        .map(|record| record.contact.id.clone())
        .collect();
    for record in agent.contacts.values() {
        if !record.is_retired() && !counted.contains(&record.contact.id) {
            views.push(contact_view(record.contact.device(), Some(record), sight));
        }
    }
    views
}

fn contact_view(
    device: Option<crate::names::DeviceId>,
    record: Option<&ContactRecord>,
    sight: &Sight<'_>,
) -> DeviceView {
    DeviceView {
        device,
        status: BoardStatus::Offline,
        lease: LeaseView::None,
        contact_status: record.map(|record| record.status(sight.now)),
        contact_hash: record.map(|record| record.contact.id.short_hash().to_owned()),
        contact_uri: record.map(|record| record.contact.uri.clone()),
        user_agent: record.map(|record| record.contact.user_agent.clone()),
        expires_unix: record.map(|record| record.contact.expires_unix),
        session_since_unix_ms: None,
        reasons: Vec::new(),
    }
}

fn sources(parts: &[DevicePart<'_>], sight: &Sight<'_>) -> Vec<SourceView> {
    let view = |source, health: SourceHealth| SourceView {
        source,
        health: health.as_str(),
        since_unix_ms: health.since().unix_ms,
    };
    let mut sources = vec![
        view(Source::Ami, sight.ami),
        view(Source::Database, sight.database),
    ];
    // The app as a source: seen if any device's word is fresh.
    let best = parts
        .iter()
        .map(|part| (part.lease, part.session))
        .min_by_key(|(lease, _)| match lease {
            LeaseView::Live => 0,
            LeaseView::InDoubt => 1,
            LeaseView::Ended => 2,
            LeaseView::None => 3,
        });
    if let Some((lease, session)) = best {
        let online = session
            .online_unix_ms
            .unwrap_or(session.session.started_unix_ms);
        let (health, since_unix_ms) = match lease {
            LeaseView::Live => ("up", online),
            LeaseView::None => ("never", online),
            LeaseView::InDoubt | LeaseView::Ended => {
                let last = session.lease.link_closed.or(session.lease.renewed);
                ("lost", last.map_or(online, |last| last.unix_ms))
            }
        };
        sources.push(SourceView {
            source: Source::App,
            health,
            since_unix_ms,
        });
    }
    sources
}

/// The age of a state that begins now: of blindness, since when the source is out of sight.
fn status_age(status: BoardStatus, sight: &Sight<'_>) -> u64 {
    if status != BoardStatus::Unknown {
        return sight.now.unix_ms;
    }
    [sight.ami, sight.database]
        .iter()
        .filter(|health| !health.is_up())
        .map(|health| health.since().unix_ms)
        .min()
        .unwrap_or(sight.now.unix_ms)
}

/// Reasons keep the age they had.
fn with_ages(codes: &BTreeSet<ReasonCode>, before: &[Reason], sight: &Sight<'_>) -> Vec<Reason> {
    let known: BTreeMap<ReasonCode, u64> = before
        .iter()
        .map(|reason| (reason.code, reason.since_unix_ms))
        .collect();
    codes
        .iter()
        .map(|code| {
            let begins = match code {
                ReasonCode::AmiLost | ReasonCode::AmiSyncing => sight.ami.since().unix_ms,
                ReasonCode::DatabaseLost => sight.database.since().unix_ms,
                _ => sight.now.unix_ms,
            };
            Reason {
                code: *code,
                since_unix_ms: known.get(code).copied().unwrap_or(begins),
            }
        })
        .collect()
}
