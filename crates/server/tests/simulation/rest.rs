//! At rest: every view says the same, within a time; nothing that was acknowledged is lost, and what anybody saw is on record.

use std::collections::BTreeMap;

use rollcall_alignment::*;
use rollcall_pocket_pbx::pbx::HeldContact;

use crate::app::Will;
use crate::fault::FORGED;
use crate::table::Mode;
use crate::world::{EXTENSIONS, SECOND, World};

/// Who differs from whom, in words.
type Agreed = Result<(), String>;

/// How long the views have to go on agreeing, in seconds: longer than a list, a lease and a qualify take.
const STAYS_FOR: u64 = 80;

macro_rules! holds {
    ($holds:expr, $($words:tt)+) => {
        if !$holds {
            return Err(format!($($words)+));
        }
    };
}

/// Lets time pass until the views agree, and longer: once they agree they go on.
pub(crate) fn is_come_to(world: &mut World, within: u64) -> u64 {
    let mut differed = (0, String::new());
    for second in 1..=within + STAYS_FOR {
        world.pass(SECOND);
        if let Err(words) = agrees(world) {
            differed = (second, words);
        }
    }
    let (last, words) = differed;
    assert!(last < within, "after {last} s: {words}");
    last
}

/// Phone, Asterisk, queues, table, ledger and board say the same.
pub(crate) fn agrees(world: &mut World) -> Agreed {
    world.read_table();
    let snapshot = world.core.as_ref().and_then(Core::snapshot);
    let snapshot = snapshot.ok_or("no snapshot")?;
    let views: BTreeMap<Extension, AgentView> = snapshot
        .agents
        .into_iter()
        .map(|view| (view.extension.clone(), view))
        .collect();
    for name in EXTENSIONS {
        let extension = Extension::new(name).unwrap();
        let view = views.get(&extension).ok_or("somebody is missing")?;
        let sent = world.board.get(&extension).unwrap_or(view);
        holds!(
            sent == view,
            "what was sent is not what is so: {sent:?}, {view:?}"
        );
        as_the_phones_are(world, view)?;
        as_the_queues_do(world, view)?;
        as_the_table_says(world, view)?;
        as_the_ledger_says(world, view)?;
    }
    Ok(())
}

fn as_the_phones_are(world: &World, view: &AgentView) -> Agreed {
    let mut apps = world
        .apps
        .iter()
        .filter(|app| app.extension == view.extension && !app.desk);
    let at_work = apps
        .clone()
        .any(|app| app.will == Will::In && app.online && app.registered);
    let on_the_way = apps.any(|app| app.will == Will::In && !(app.online && app.registered));
    holds!(!on_the_way, "still on the way in: {view:?}");
    let wish = world.db.pauses.get(&view.extension).map(|row| &row.wish);
    holds!(
        !matches!(wish, Some(PauseWish::Ended(_))),
        "the end of a pause is still wanted: {view:?}"
    );
    let expected = match (at_work, wish) {
        (false, _) => BoardStatus::Offline,
        (true, Some(_)) => BoardStatus::Paused,
        (true, None) if world.mode == Mode::Claims => BoardStatus::Unverified,
        (true, None) => BoardStatus::Available,
    };
    let left_paused =
        view.status == BoardStatus::Paused && world.may_be_left_paused(&view.extension);
    // Where no registrar tells that a phone is gone, a claim whose app is ends with its hour.
    let claimed =
        world.mode == Mode::Claims && !at_work && view.status == BoardStatus::NotAvailable;
    holds!(
        view.status == expected || left_paused || claimed,
        "not {expected:?}: {view:?}"
    );
    Ok(())
}

/// The queues keep the pauses that are wanted, of people none that is not, and nobody is green whom they pass over.
fn as_the_queues_do(world: &World, view: &AgentView) -> Agreed {
    if world.mode == Mode::Claims {
        return Ok(());
    }
    let wish = world.db.pauses.get(&view.extension).map(|row| &row.wish);
    let of_agent = |member: &&Membership| member.endpoint == view.extension;
    for member in world.members.iter().filter(of_agent) {
        match wish {
            Some(PauseWish::Paused(reason)) => holds!(
                member.paused && member.reason == reason.as_str(),
                "paused, and not in every queue: {member:?}"
            ),
            _ => holds!(
                !member.paused || member.is_drained() || world.may_be_left_paused(&view.extension),
                "paused, and nobody wants it: {member:?}"
            ),
        }
        if view.status == BoardStatus::Available {
            holds!(!member.paused, "Available, and passed over: {member:?}");
        }
    }
    Ok(())
}

fn as_the_table_says(world: &World, view: &AgentView) -> Agreed {
    let stored = world.db.user(&view.extension);
    let stored = stored.map(|row| (row.online, row.sip_registered));
    let shown = Some((view.online, view.sip_registered));
    holds!(stored == shown, "the table says {stored:?} of {view:?}");
    if world.mode == Mode::Claims {
        return Ok(());
    }
    let of_agent = |held: &&HeldContact| held.endpoint == view.extension.as_str() && held.in_table;
    let held = world.contacts();
    let registered: Vec<_> = held
        .iter()
        .filter(of_agent)
        .map(|held| {
            let id = ContactId::of(&view.extension, &held.uri);
            (id, ContactStatus::from_word(held.status.as_word()))
        })
        .collect();
    let rows: Vec<&ContactRow> = world
        .db
        .rows
        .values()
        .filter(|row| row.endpoint == view.extension)
        .collect();
    for (id, status) in &registered {
        let row = rows.iter().find(|row| row.id == *id);
        holds!(
            row.is_some_and(|row| row.status == *status),
            "Asterisk has {id:?} {status:?}, the table {row:?}"
        );
    }
    for row in rows {
        let listed = registered.iter().any(|(id, _)| row.id == *id);
        let forged = row.uri.contains(FORGED) && row.status != ContactStatus::Expired;
        holds!(
            !forged || world.forgery_may_pass,
            "nobody accounts for {row:?}"
        );
        holds!(
            listed || row.status == ContactStatus::Expired,
            "nobody has {row:?}"
        );
    }
    Ok(())
}

/// The last decision on the ledger is the one that is shown.
fn as_the_ledger_says(world: &World, view: &AgentView) -> Agreed {
    let last = decided(world, &view.extension).into_iter().next_back();
    holds!(
        last.is_none_or(|last| last == view.status),
        "the ledger says {last:?} of {view:?}"
    );
    Ok(())
}

/// All decisions about somebody, in their order.
fn decided(world: &World, extension: &Extension) -> Vec<BoardStatus> {
    let of_agent = |entry: &&LedgerEntry| {
        entry.extension.as_ref() == Some(extension) && entry.what == "status_changed"
    };
    let lines = world.db.ledger.iter().filter(of_agent);
    let decisions = lines.filter_map(|entry| Decision::read(&entry.detail));
    decisions.map(|decision| decision.status).collect()
}

/// No acknowledged act is lost, and each state that a dashboard was shown is on the ledger, in that order.
pub(crate) fn nothing_is_lost(world: &World) {
    for session in &world.acked_online {
        let row = world.db.sessions.get(session);
        let row = row.unwrap_or_else(|| panic!("an acknowledged login is lost: {session}"));
        assert!(
            row.state != SessionState::SignedIn,
            "an acknowledged login is lost: {row:?}"
        );
    }
    for session in &world.acked_out {
        let state = world.db.sessions.get(session).map(|row| row.state);
        assert!(
            session.as_str() == "supervisor" || matches!(state, Some(SessionState::Ended(_))),
            "an acknowledged logout is lost: {session}"
        );
    }
    for (extension, said) in &world.said {
        let decided = decided(world, extension);
        let mut lines = decided.iter();
        for status in said {
            assert!(
                lines.any(|line| line == status),
                "{extension} was shown as {status:?}, and the ledger does not say so: {said:?}, {decided:?}"
            );
        }
    }
}
