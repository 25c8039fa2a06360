//! What must hold: at every word that is said, and when nothing happens any more.

use std::collections::BTreeMap;
use std::time::Duration;

use rollcall_alignment::*;

use crate::app::Will;
use crate::world::{EXTENSIONS, World};

/// R1, R4 and R8 for one word to the dashboards.
pub(crate) fn broadcast(world: &mut World, broadcast: &Broadcast) {
    assert_eq!(broadcast.seq.0, world.seq + 1, "seq is strictly one more");
    world.seq = broadcast.seq.0;
    let view = &broadcast.agent;
    let stored = world.db.user(&view.extension);
    let stored = stored.map(|row| (row.online, row.sip_registered));
    assert_eq!(
        stored,
        Some((view.online, view.sip_registered)),
        "said before saved: {view:?}"
    );
    if view.status != BoardStatus::Available {
        return;
    }
    assert!(
        world.link.as_ref().is_some_and(|link| link.ready),
        "Available without sight of Asterisk"
    );
    let proved = view.devices.iter().any(|device| {
        device.lease == LeaseView::Live
            && device.contact_status == Some(ContactStatus::Reachable)
            && device.reasons.is_empty()
    });
    assert!(
        proved && view.reasons.is_empty(),
        "Available without R1: {view:?}"
    );
    let wants_pause = view
        .pause
        .as_ref()
        .is_some_and(|pause| pause.reason.is_some());
    assert!(!wants_pause, "Available, and a pause is wanted: {view:?}");
}

/// R8 for one answer.
pub(crate) fn reply(world: &World, session: &SessionId, answer: &Answer) {
    let state = world.db.sessions.get(session).map(|row| row.state);
    match answer {
        Answer::SignedIn => assert!(
            state.is_some(),
            "a sign-in was acknowledged that is not saved"
        ),
        Answer::Online(_) => assert!(
            matches!(
                state,
                Some(SessionState::Online | SessionState::LoggingOut | SessionState::Ended(_))
            ),
            "an agent-online was acknowledged that is not saved: {state:?}"
        ),
        Answer::LoggedOut(_) if session.as_str() != "supervisor" => assert!(
            matches!(state, Some(SessionState::Ended(_))),
            "a logout was acknowledged that is not saved: {state:?}"
        ),
        Answer::Pause(view) => {
            let wanted = view.pause.as_ref().and_then(|pause| pause.reason.clone());
            let stored = world.db.pauses.get(&view.extension).map(|row| &row.wish);
            // Who is removed while their pause is on its way to the disk has nothing left that could keep it.
            let removed = !world.db.people.contains_key(&view.extension);
            assert!(
                removed || wanted.is_none() || stored == wanted.map(PauseWish::Paused).as_ref(),
                "a pause was acknowledged that is not saved: {stored:?}"
            );
        }
        _ => {}
    }
}

/// Nobody is green for longer than a lease after the last of their apps was heard.
pub(crate) fn no_stale_green(world: &World) {
    if world.core.is_none() {
        return;
    }
    let longest = world.config.lease + world.config.heartbeat + Duration::from_secs(2);
    for (extension, view) in &world.board {
        if view.status != BoardStatus::Available {
            continue;
        }
        let heard = world.apps.iter().zip(&world.silent).any(|(app, silent)| {
            app.extension == *extension
                && !app.desk
                && silent.is_none_or(|since| world.now.monotonic < since + longest)
        });
        assert!(
            heard,
            "{extension} is green, and none of its apps was heard for {longest:?}"
        );
    }
}

/// Phone, Asterisk, table and board say the same, and what is on record accounts for it.
pub(crate) fn at_rest(world: &mut World) {
    let snapshot = world
        .core
        .as_ref()
        .and_then(Core::snapshot)
        .expect("a snapshot");
    let views: BTreeMap<Extension, AgentView> = snapshot
        .agents
        .into_iter()
        .map(|view| (view.extension.clone(), view))
        .collect();
    for name in EXTENSIONS {
        let extension = Extension::new(name).unwrap();
        let view = &views[&extension];
        assert_eq!(
            world.board.get(&extension).unwrap_or(view),
            view,
            "what was sent is what is so"
        );
        as_the_phones_are(world, view);
        as_the_queues_do(world, view);
        as_the_table_says(world, view);
        as_the_ledger_says(world, view);
    }
    for session in &world.acked_online {
        assert!(
            world.db.sessions.contains_key(session),
            "an acknowledged login is lost: {session}"
        );
    }
    for session in world
        .acked_out
        .iter()
        .filter(|session| session.as_str() != "supervisor")
    {
        let state = world.db.sessions.get(session).map(|row| row.state);
        assert!(
            matches!(state, Some(SessionState::Ended(_))),
            "an acknowledged logout is lost: {session}"
        );
    }
}

fn as_the_phones_are(world: &World, view: &AgentView) {
    let mut apps = world
        .apps
        .iter()
        .filter(|app| app.extension == view.extension && !app.desk);
    let at_work = apps
        .clone()
        .any(|app| app.will == Will::In && app.online && app.registered);
    let on_the_way = apps.any(|app| app.will == Will::In);
    let wish = world.db.pauses.get(&view.extension).map(|row| &row.wish);
    assert!(
        !matches!(wish, Some(PauseWish::Ended(_))),
        "the end of a pause is still wanted: {view:?}"
    );
    if at_work {
        let paused = wish.is_some();
        let expected = if paused {
            BoardStatus::Paused
        } else {
            BoardStatus::Available
        };
        let left_paused =
            view.status == BoardStatus::Paused && world.may_be_left_paused(&view.extension);
        assert!(view.status == expected || left_paused, "{view:?}");
    } else if !on_the_way {
        assert_eq!(view.status, BoardStatus::Offline, "{view:?}");
    } else {
        assert_ne!(view.status, BoardStatus::Unknown, "{view:?}");
    }
}

/// The queues keep the pauses that are wanted, of people none that is not, and nobody is green whom they pass over.
fn as_the_queues_do(world: &World, view: &AgentView) {
    let wish = world.db.pauses.get(&view.extension).map(|row| &row.wish);
    let of_agent = |member: &&Membership| member.endpoint == view.extension;
    for member in world.members.iter().filter(of_agent) {
        match wish {
            Some(PauseWish::Paused(reason)) => assert!(
                member.paused && member.reason == reason.as_str(),
                "paused, and not in every queue: {member:?}"
            ),
            _ => assert!(
                !member.paused || member.is_drained() || world.may_be_left_paused(&view.extension),
                "paused, and nobody wants it: {member:?}"
            ),
        }
        if view.status == BoardStatus::Available {
            assert!(!member.paused, "Available, and passed over: {member:?}");
        }
    }
}

fn as_the_table_says(world: &World, view: &AgentView) {
    let stored = world.db.user(&view.extension);
    let stored = stored.map(|row| (row.online, row.sip_registered));
    assert_eq!(stored, Some((view.online, view.sip_registered)));
    let of_agent = |contact: &&Contact| contact.endpoint == view.extension;
    let registered: Vec<&Contact> = world.listed.iter().filter(of_agent).collect();
    let rows: Vec<&ContactRow> = world
        .db
        .rows
        .values()
        .filter(|row| row.endpoint == view.extension)
        .collect();
    for contact in &registered {
        let row = rows.iter().find(|row| row.id == contact.id);
        let row = row.unwrap_or_else(|| panic!("not in the table: {contact:?}, {rows:?}"));
        let agrees = row.status == contact.status || row.status == ContactStatus::Expired;
        assert!(agrees, "{row:?} is not {contact:?}");
    }
    for row in rows {
        let listed = registered.iter().any(|contact| contact.id == row.id);
        assert!(
            listed || row.status == ContactStatus::Expired,
            "nobody has {row:?}"
        );
    }
}

/// Every difference that anybody saw is on the ledger: the last decision is the one that is shown.
fn as_the_ledger_says(world: &World, view: &AgentView) {
    let decisions = world
        .db
        .ledger
        .iter()
        .filter(|entry| entry.extension.as_ref() == Some(&view.extension));
    let last = decisions
        .filter(|entry| entry.what == "status_changed")
        .filter_map(|entry| Decision::read(&entry.detail))
        .next_back();
    if let Some(last) = last {
        assert_eq!(last.status, view.status, "the ledger says otherwise");
    }
}
