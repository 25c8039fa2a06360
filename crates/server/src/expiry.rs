//! What comes to its end by itself: sessions that nobody can speak for any more, since all their
//! tokens have ended, lines of the ledger that are older than it is kept, and the places on the board of
//! people who were removed beside the server.

use std::{
    sync::Arc,
    time::{Duration, Instant},
};

use tokio_util::sync::CancellationToken;

use crate::{
    auth::Session,
    clock,
    core_link::DeviceNotice,
    routes::{Edge, end_own},
};

/// How often it is looked.
const PERIOD: Duration = Duration::from_secs(15);

/// How often old lines of the ledger are taken away.
const FORGET: Duration = Duration::from_secs(3600);
/// A day, ms.
const DAY_MS: u64 = 86_400_000;

/// When something was last done.
#[derive(Default)]
struct Every(Option<Instant>);

impl Every {
    /// True at first, and then once a period.
    fn elapsed_by(&mut self, period: Duration) -> bool {
        let due = self.0.is_none_or(|last| last.elapsed() >= period);
        if due {
            self.0 = Some(Instant::now());
        }
        due
    }
}

/// Runs until stopped.
pub(crate) async fn run(edge: Arc<Edge>, stop: CancellationToken) {
    let mut forgets = Every::default();
    let mut ticks = tokio::time::interval(PERIOD);
    ticks.set_missed_tick_behavior(tokio::time::MissedTickBehavior::Delay);
    loop {
        tokio::select! {
            () = stop.cancelled() => return,
            _ = ticks.tick() => {
                sweep(&edge).await;
                tell_who_there_is(&edge).await;
                if forgets.elapsed_by(FORGET) {
                    tokio::select! {
                        () = stop.cancelled() => return,
                        () = forget(&edge) => {}
                    }
                }
            }
        }
    }
}

/// Somebody may have been added or removed beside the server, by its own command or another instance.
async fn tell_who_there_is(edge: &Edge) {
    if let Err(error) = edge.core.tell_people(&edge.database).await {
        tracing::error!(%error, "people cannot be read");
    }
}

/// Takes lines of the ledger away that are older than it is kept.
async fn forget(edge: &Edge) {
    let days = u64::from(edge.config.alignment.ledger_days);
    if days == 0 {
        return;
    }
    let before = clock::now_ms().saturating_sub(days * DAY_MS);
    if let Err(error) = edge.database.forget_ledger(before).await {
        tracing::warn!(%error, "old lines of the ledger could not be taken away");
    }
}

/// Ends sessions that nobody can speak for. An agent's session is the core's to end: a call may be going on. Others end here.
pub(crate) async fn sweep(edge: &Edge) {
    let now = clock::now_ms();
    let lapsed = match edge.database.lapsed_sessions(now).await {
        Ok(lapsed) => lapsed,
        Err(error) => {
            tracing::error!(%error, "the sessions cannot be read");
            return;
        }
    };
    for session in lapsed {
        end(edge, &session).await;
    }
}

/// Ends what a person has of sessions beyond what one may have, those used longest ago.
pub(crate) async fn end_surplus(edge: &Edge, user_id: i64) {
    let kept = edge.config.auth.sessions_per_account;
    match edge.database.surplus_sessions(user_id, kept).await {
        Ok(surplus) => {
            for session in surplus {
                tracing::info!(session = %session.id, "a session gave way to newer ones of its account");
                end(edge, &session).await;
            }
        }
        // The next sign-in finds them again.
        Err(error) => tracing::error!(%error, "the sessions cannot be read"),
    }
}

async fn end(edge: &Edge, session: &Session) {
    if session.extension.is_some() {
        // A call keeps the session from its end, and nobody's look at the board.
        edge.core.tell(session.id, DeviceNotice::Revoked);
        edge.core.expired(session.id).await;
        return;
    }
    let words = "The session has ended; sign in again.";
    // A failure is logged by the writer, and the next sweep finds the session again.
    let _ = end_own(edge, session, "session_expired", "expired", words).await;
}
