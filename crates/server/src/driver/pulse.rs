//! The database's pulse. While nobody writes, nothing else would tell that it is gone, and the board would stand on a
//! database that is not there.

use std::time::Duration;

use tokio::{
    sync::mpsc,
    time::{MissedTickBehavior, interval, timeout},
};
use tokio_util::sync::CancellationToken;

use crate::db::Database;

/// Asks the database every `period`; whenever it fails, or takes longer than `patience`, says so. One question at a
/// time, so that a database that hangs holds one connection.
pub(super) async fn watch(
    database: Database,
    period: Duration,
    patience: Duration,
    silent: mpsc::Sender<()>,
    stop: CancellationToken,
) {
    let mut ticks = interval(period);
    ticks.set_missed_tick_behavior(MissedTickBehavior::Delay);
    let asking = async {
        loop {
            ticks.tick().await;
            let mut answer = std::pin::pin!(database.answers());
            let result = match timeout(patience, &mut answer).await {
                Ok(result) => result,
                Err(_) => {
                    tracing::warn!("the database does not answer");
                    if silent.send(()).await.is_err() {
                        return;
                    }
                    answer.await
                }
            };
            if let Err(error) = result {
                tracing::warn!(%error, "the database cannot be asked");
                if silent.send(()).await.is_err() {
                    return;
                }
            }
        }
    };
    tokio::select! {
        () = stop.cancelled() => {}
        () = asking => {}
    }
}
