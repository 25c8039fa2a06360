//! People, their sessions and their tokens.

use rollcall_alignment::{
    BoardStatus, DeviceId, EndReason, LeaseKind, LedgerEntry, LedgerKind, PauseReason, PauseRow,
    PauseWish, SessionRow, SessionState,
};

use super::*;
use crate::{auth::SessionId, config::Secret};

const LATER: u64 = 1_000_000;

fn tokens(of: u8) -> TokenPair {
    TokenPair {
        access: [of; 32],
        access_expires: LATER,
        refresh: [of + 100; 32],
        refresh_expires: LATER,
    }
}

async fn sign_in(scene: &Scene, of: u8) -> SessionId {
    let person = scene.database.credentials("ann").await.unwrap().unwrap();
    scene.commit(vec![start(&person, of)]).await;
    SessionId::from_u128(of.into())
}

/// A session of somebody whose password was right.
fn start(person: &Credentials, of: u8) -> Write {
    Write::StartSession(NewSession {
        id: SessionId::from_u128(of.into()),
        user_id: person.user_id,
        judged: Secret::new(person.password_hash.as_str()),
        device_id: "device-1".into(),
        bound: false,
        sip: None,
        at: u64::from(of),
        tokens: tokens(of),
    })
}

fn change(username: &str, change: PersonChange) -> Write {
    Write::ChangePerson {
        username: username.into(),
        change,
        note: AuditEntry {
            at: 8,
            actor: "boss".into(),
            address: None,
            action: "changed",
            target: Some(username.into()),
            detail: String::new(),
        },
    }
}

fn password(hash: &str, own: Option<OwnPassword>) -> Write {
    let hash = hash.into();
    change("ann", PersonChange::Password { hash, own })
}

fn session_row(id: SessionId, state: SessionState) -> Write {
    Write::Core(alignment::Write::Session(SessionRow {
        id: alignment::SessionId::new(&id.to_string()).unwrap(),
        extension: Extension::new("1001").unwrap(),
        device: DeviceId::new("device-1").unwrap(),
        state,
        claim: Some("1001-abc".into()),
        lease: LeaseKind::Heartbeat,
        started_unix_ms: 1,
        online_unix_ms: Some(2),
        ended_unix_ms: matches!(state, SessionState::Ended(_)).then_some(3),
    }))
}

pub(super) async fn a_name_is_one_persons_whatever_its_case(scene: Scene) {
    scene.commit(vec![user("Ann", "1001")]).await;
    let found = scene.database.credentials("aNN").await.unwrap().unwrap();
    assert_eq!(found.username, "Ann");
    assert_eq!(found.sip_secret, Some(vec![0, 255, 39]));
    let again = scene.database.commit(vec![user("ANN", "1002")]).await;
    assert!(matches!(&again, Err(WriteError::Conflict(what)) if what == "username"));
    assert!(scene.database.credentials("an").await.unwrap().is_none());
}

pub(super) async fn the_last_administrator_stays_one(scene: Scene) {
    scene
        .commit(vec![user("ann", "1001"), user("bob", "1002")])
        .await;
    scene
        .commit(vec![change("ANN", PersonChange::Role(Role::Admin))])
        .await;
    let last = change("ann", PersonChange::Disable { at: 7 });
    let refused = scene.database.commit(vec![last.clone()]).await;
    assert!(matches!(refused, Err(WriteError::LastAdmin)), "{refused:?}");
    let admin = change("bob", PersonChange::Role(Role::Admin));
    scene.commit(vec![admin.clone(), last.clone()]).await;
    let people = scene.database.everybody().await.unwrap();
    assert_eq!(people.iter().filter(|person| person.disabled).count(), 1);
    assert_eq!(scene.database.acts(10).await.unwrap().len(), 3);
    // What is so already is no act.
    scene.commit(vec![admin, last]).await;
    scene
        .commit(vec![change("bob", PersonChange::Enable)])
        .await;
    assert_eq!(scene.database.acts(10).await.unwrap().len(), 3);
    let gone = Write::RemovePerson {
        username: "ann".into(),
    };
    scene.commit(vec![gone]).await;
    assert_eq!(scene.database.everybody().await.unwrap().len(), 1);
}

pub(super) async fn a_sign_in_that_was_judged_before_a_reset_opens_no_session(scene: Scene) {
    scene.commit(vec![user("ann", "1001")]).await;
    let before = scene.database.credentials("ann").await.unwrap().unwrap();
    scene.commit(vec![password("another", None)]).await;
    let late = scene.database.commit(vec![start(&before, 1)]).await;
    assert!(matches!(late, Err(WriteError::Superseded)), "{late:?}");
    assert_eq!(scene.count("SELECT COUNT(*) FROM sessions").await, 0);
    assert_eq!(scene.count("SELECT COUNT(*) FROM tokens").await, 0);
    sign_in(&scene, 2).await;
    let gone = change("ann", PersonChange::Disable { at: 3 });
    let after = scene.database.credentials("ann").await.unwrap().unwrap();
    scene.commit(vec![gone]).await;
    let disabled = scene.database.commit(vec![start(&after, 3)]).await;
    assert!(
        matches!(disabled, Err(WriteError::NotThere(_))),
        "{disabled:?}"
    );
}

pub(super) async fn a_change_of_ones_own_password_does_not_undo_what_was_done_meanwhile(
    scene: Scene,
) {
    scene.commit(vec![user("ann", "1001")]).await;
    let session = sign_in(&scene, 1).await;
    let own = |judged: &str| {
        Some(OwnPassword {
            session,
            judged: Secret::new(judged),
        })
    };
    let refused = async |write: Write| {
        let outcome = scene.database.commit(vec![write]).await;
        assert!(
            matches!(outcome, Err(WriteError::Superseded)),
            "{outcome:?}"
        );
    };
    let hash = async || {
        let ann = scene.database.credentials("ann").await.unwrap().unwrap();
        ann.password_hash
    };
    // By its owner, who stays signed in where that was asked and nowhere else.
    sign_in(&scene, 2).await;
    scene.commit(vec![password("own", own("x"))]).await;
    assert_eq!(hash().await, "own");
    let lives = scene.database.session_of_access(&[1; 32], 5).await;
    assert_eq!(lives.unwrap().map(|found| found.id), Some(session));
    let other = scene.database.session_of_access(&[2; 32], 5).await;
    assert!(other.unwrap().is_none());
    // Judged by a password that is another by now.
    refused(password("late", own("x"))).await;
    // The session was taken away meanwhile, with the password left as it was.
    scene.commit(vec![password("reset", None)]).await;
    refused(password("late", own("reset"))).await;
    assert_eq!(hash().await, "reset");
}

pub(super) async fn a_session_lives_from_login_to_logout(scene: Scene) {
    scene.commit(vec![user("ann", "1001")]).await;
    let id = sign_in(&scene, 1).await;
    let of_access = async |now| {
        let session = scene.database.session_of_access(&[1; 32], now).await;
        session.unwrap().map(|session| session.id)
    };
    assert_eq!(of_access(5).await, Some(id));
    assert_eq!(of_access(LATER).await, None, "its token has ended");
    assert!(scene.database.lapsed_sessions(5).await.unwrap().is_empty());
    assert_eq!(
        scene.database.lapsed_sessions(LATER).await.unwrap()[0].id,
        id
    );
    scene
        .commit(vec![presence(true), session_row(id, SessionState::Online)])
        .await;
    let restored = scene.database.restore().await.unwrap();
    assert_eq!(restored.sessions.len(), 1);
    assert_eq!(restored.sessions[0].state, SessionState::Online);
    assert_eq!(restored.sessions[0].claim.as_deref(), Some("1001-abc"));
    assert_eq!(restored.sessions[0].online_unix_ms, Some(2));
    let key = [9; 32];
    let named = Write::NameLogout {
        token: [1; 32],
        key,
    };
    let ended = session_row(id, SessionState::Ended(EndReason::LoggedOut));
    scene.commit(vec![named, ended]).await;
    assert_eq!(of_access(5).await, None);
    assert!(scene.database.logged_out(&[1; 32], &key, 2).await.unwrap());
    assert!(
        !scene
            .database
            .logged_out(&[1; 32], &[8; 32], 2)
            .await
            .unwrap()
    );
    assert!(!scene.database.logged_out(&[1; 32], &key, 3).await.unwrap());
    let ends = scene.database.ended_of(&[id]).await.unwrap();
    assert_eq!(ends, [(id, EndReason::LoggedOut)]);
    // Said again, late: what is over stays as it was.
    scene
        .commit(vec![session_row(id, SessionState::Online)])
        .await;
    assert!(scene.database.restore().await.unwrap().sessions.is_empty());
}

pub(super) async fn a_refresh_token_is_traded_once(scene: Scene) {
    scene.commit(vec![user("ann", "1001")]).await;
    let session = sign_in(&scene, 1).await;
    let rotation = |of| {
        Write::RotateTokens(Rotation {
            session,
            used: [101; 32],
            tokens: tokens(of),
            answer: Some(KeptAnswer {
                key: [7; 32],
                sealed: vec![0, 1, 255],
            }),
            at: 6,
        })
    };
    scene.commit(vec![rotation(2)]).await;
    let again = scene.database.commit(vec![rotation(3)]).await;
    assert!(matches!(again, Err(WriteError::Conflict(_))), "{again:?}");
    let (_, traded) = scene
        .database
        .session_of_refresh(&[101; 32], 7)
        .await
        .unwrap()
        .unwrap();
    let traded = traded.unwrap();
    assert_eq!(
        (traded.at, traded.answer.unwrap().sealed),
        (6, vec![0, 1, 255])
    );
    let (found, unused) = scene
        .database
        .session_of_refresh(&[102; 32], 7)
        .await
        .unwrap()
        .unwrap();
    assert!(found.id == session && unused.is_none());
    let old = scene.database.session_of_access(&[1; 32], 7).await.unwrap();
    assert!(old.is_none());
}

pub(super) async fn the_newest_end_of_an_extension_is_the_one_that_counts(scene: Scene) {
    scene.commit(vec![user("ann", "1001")]).await;
    let newest = EndReason::Forced;
    for (of, at, reason) in [
        (1, 30, "expired"),
        (2, 50, newest.as_str()),
        (3, 40, "logout"),
        (4, 60, "refused"),
    ] {
        let session = sign_in(&scene, of).await;
        let reason = reason.into();
        scene
            .commit(vec![Write::EndSession {
                session,
                at,
                reason,
            }])
            .await;
    }
    let ends = scene.database.restore().await.unwrap().last_ends;
    assert_eq!(ends, [(Extension::new("1001").unwrap(), newest)]);
}

pub(super) async fn the_last_state_that_was_known_is_read_back_with_its_age(scene: Scene) {
    scene
        .commit(vec![user("ann", "1001"), user("bob", "1002")])
        .await;
    let line = |extension: &str, at_unix_ms, what, detail: &str| {
        Write::Core(alignment::Write::Ledger(LedgerEntry {
            at_unix_ms,
            extension: Some(Extension::new(extension).unwrap()),
            device: None,
            kind: LedgerKind::Decision,
            source: "server",
            rule: None,
            what,
            detail: detail.into(),
        }))
    };
    let decided = "status_changed";
    scene
        .commit(vec![
            line("1001", 5, decided, "none -> Offline because: logged_out"),
            line(
                "1001",
                9,
                decided,
                "Unknown -> Available; since 7; lease live",
            ),
            line("1001", 9, decided, "Available -> Unknown because: ami_lost"),
            line("1001", 10, "agent_online", "Unknown -> Paused"),
            line("1002", 4, decided, "none -> Unknown because: ami_lost"),
            line("1003", 4, decided, "none -> Offline"),
            // Of whoever had the extension before its owner came.
            line("1002", 0, decided, "none -> Offline because: logged_out"),
        ])
        .await;
    let read = scene.database.restore().await.unwrap().decided;
    let [only] = &read[..] else {
        panic!("{read:?}");
    };
    assert_eq!((only.extension.as_str(), only.at_unix_ms), ("1001", 9));
    assert_eq!(only.decision.status, BoardStatus::Available);
    assert_eq!(only.decision.since_unix_ms, Some(7));
}

pub(super) async fn what_is_wanted_of_a_pause_is_read_back_until_nothing_is(scene: Scene) {
    scene
        .commit(vec![user("ann", "1001"), user("bob", "1002")])
        .await;
    let lunch = || PauseReason::new("lunch").unwrap();
    let row = |extension: &str, wish| PauseRow {
        extension: Extension::new(extension).unwrap(),
        wish,
        since_unix_ms: 7,
    };
    let put = |row: &PauseRow| Write::Core(alignment::Write::Pause(row.clone()));
    for wish in [
        PauseWish::Paused(lunch()),
        PauseWish::Ended(None),
        PauseWish::Ended(Some(lunch())),
    ] {
        let row = row("1001", wish);
        scene.commit(vec![put(&row)]).await;
        assert_eq!(scene.database.restore().await.unwrap().pauses, [row]);
    }
    let gone = alignment::Write::PauseGone(Extension::new("1001").unwrap());
    let other = row("1002", PauseWish::Paused(lunch()));
    let nobodys = row("1009", PauseWish::Paused(lunch()));
    scene
        .commit(vec![Write::Core(gone), put(&other), put(&nobodys)])
        .await;
    assert_eq!(scene.database.restore().await.unwrap().pauses, [other]);
}
