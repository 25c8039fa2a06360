//! Sessions that nobody can speak for any more: all their tokens have ended.

use std::{sync::Arc, time::Duration};

use tokio_util::sync::CancellationToken;

use crate::{
    clock,
    routes::{Edge, end_own},
};

/// How often it is looked.
const PERIOD: Duration = Duration::from_secs(15);

/// Runs until stopped.
pub(crate) async fn run(edge: Arc<Edge>, stop: CancellationToken) {
    let mut ticks = tokio::time::interval(PERIOD);
    ticks.set_missed_tick_behavior(tokio::time::MissedTickBehavior::Delay);
    loop {
        tokio::select! {
            () = stop.cancelled() => return,
            _ = ticks.tick() => sweep(&edge).await,
        }
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
        if session.extension.is_some() {
            edge.core.expired(session.id).await;
            continue;
        }
        let words = "The session has ended; sign in again.";
        // A failure is logged by the writer, and the next sweep finds the session again.
        let _ = end_own(edge, &session, "session_expired", "expired", words).await;
    }
}
