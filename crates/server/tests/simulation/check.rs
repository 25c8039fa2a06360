//! What must hold: at every word that is said, and when nothing happens any more.

use std::time::Duration;

use rollcall_alignment::*;

use crate::table::Mode;
use crate::world::World;

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
    assert_ne!(
        world.mode,
        Mode::Claims,
        "Available, and nobody can be asked"
    );
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
