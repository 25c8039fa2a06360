//! The one task that drives the alignment core.
//!
//! ```text
//! edge ──► CoreInbox::commands ──► core ──► Commit ──► Database ──► Committed / Failed ──► core
//!                                   └─────► replies and Publisher, only after the commit (R8)
//! ```

use std::sync::Arc;

use tokio_util::sync::CancellationToken;

use crate::{Config, core_link::CoreInbox, db::Database};

/// Runs until cancelled, or until the edge is gone.
pub(crate) async fn run(
    config: Arc<Config>,
    database: Database,
    mut inbox: CoreInbox,
    stop: CancellationToken,
) {
    let _ = (config, database);
    loop {
        tokio::select! {
            () = stop.cancelled() => return,
            command = inbox.commands.recv() => if command.is_none() { return },
        }
    }
}
