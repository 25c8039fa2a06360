//! The one writer: many lists of changes in one durable transaction, each answered for itself.

use std::{
    sync::{
        Arc, Mutex, PoisonError,
        atomic::{AtomicBool, Ordering},
    },
    time::Duration,
};

use sqlx::{Connection, Executor, SqliteConnection};
use thiserror::Error;
use tokio::{
    sync::{mpsc, oneshot},
    task::JoinHandle,
};

use super::{sqlite, write::Write};

/// Lists that may wait; more are refused as `Down` rather than kept.
const QUEUE: usize = 16_384;
/// Lists in one transaction.
const BATCH: usize = 256;
/// How long the database may take before the writer gives a batch up.
const PATIENCE: Duration = Duration::from_secs(10);

/// Why a list of changes was not made. Nothing of it is there.
#[derive(Debug, Error)]
pub enum WriteError {
    /// Something of that name is there already, or was used already.
    #[error("{0} is taken or used already")]
    Conflict(String),
    /// The database cannot be written now.
    #[error("the database cannot be written: {0}")]
    Down(String),
}

impl From<sqlx::Error> for WriteError {
    fn from(error: sqlx::Error) -> Self {
        match &error {
            sqlx::Error::Database(inner) if inner.is_unique_violation() => {
                Self::Conflict(unique_column(inner.message()))
            }
            _ => Self::Down(error.to_string()),
        }
    }
}

#[derive(Debug)]
pub(super) struct Writer {
    jobs: mpsc::Sender<Job>,
    healthy: Arc<AtomicBool>,
    task: Mutex<Option<JoinHandle<()>>>,
}

#[derive(Debug)]
enum Job {
    Commit {
        writes: Vec<Write>,
        answer: oneshot::Sender<Result<(), WriteError>>,
    },
    Close,
}

type Pending = (
    oneshot::Sender<Result<(), WriteError>>,
    Result<(), WriteError>,
);

impl Writer {
    pub(super) fn start(connection: SqliteConnection) -> Self {
        let (jobs, queue) = mpsc::channel(QUEUE);
        let healthy = Arc::new(AtomicBool::new(true));
        let task = tokio::spawn(run(connection, queue, Arc::clone(&healthy)));
        Self {
            jobs,
            healthy,
            task: Mutex::new(Some(task)),
        }
    }

    pub(super) async fn commit(&self, writes: Vec<Write>) -> Result<(), WriteError> {
        let (answer, answered) = oneshot::channel();
        self.jobs
            .try_send(Job::Commit { writes, answer })
            .map_err(|_| WriteError::Down("too many writes wait, or it is closed".into()))?;
        answered
            .await
            .unwrap_or_else(|_| Err(WriteError::Down("it is closed".into())))
    }

    pub(super) fn healthy(&self) -> bool {
        self.healthy.load(Ordering::Relaxed)
    }

    pub(super) async fn close(&self) {
        let _ = self.jobs.send(Job::Close).await;
        let task = self
            .task
            .lock()
            .unwrap_or_else(PoisonError::into_inner)
            .take();
        if let Some(task) = task {
            let _ = task.await;
        }
    }
}

async fn run(
    mut connection: SqliteConnection,
    mut queue: mpsc::Receiver<Job>,
    healthy: Arc<AtomicBool>,
) {
    let mut jobs = Vec::with_capacity(BATCH);
    let mut open = true;
    while open && queue.recv_many(&mut jobs, BATCH).await > 0 {
        let mut lists = Vec::with_capacity(jobs.len());
        for job in jobs.drain(..) {
            match job {
                Job::Commit { writes, answer } if open => lists.push((writes, answer)),
                Job::Commit { answer, .. } => {
                    let _ = answer.send(Err(WriteError::Down("it is closing".into())));
                }
                Job::Close => open = false,
            }
        }
        let ok = commit_together(&mut connection, lists).await;
        healthy.store(ok, Ordering::Relaxed);
    }
    let _ = connection.close().await;
}

/// One transaction for all lists; a list that fails is undone alone. The answers leave after the
/// commit, so that none speaks of what a crash could take back.
async fn commit_together(
    db: &mut SqliteConnection,
    lists: Vec<(Vec<Write>, oneshot::Sender<Result<(), WriteError>>)>,
) -> bool {
    let mut pending: Vec<Pending> = Vec::with_capacity(lists.len());
    let mut waiting = lists.into_iter();
    let outcome = tokio::time::timeout(PATIENCE, async {
        db.execute("BEGIN IMMEDIATE").await?;
        for (writes, answer) in waiting.by_ref() {
            let result = one_list(db, &writes).await;
            let lost = matches!(result, Err(WriteError::Down(_)));
            pending.push((answer, result));
            if lost {
                break;
            }
        }
        db.execute("COMMIT").await?;
        Ok::<(), sqlx::Error>(())
    })
    .await;
    let failure = match outcome {
        Ok(Ok(())) => None,
        Ok(Err(error)) => Some(error.to_string()),
        Err(_) => Some("it took too long".into()),
    };
    if let Some(words) = &failure {
        tracing::error!(error = %words, "the database refused a batch of writes");
        let _ = tokio::time::timeout(PATIENCE, db.execute("ROLLBACK")).await;
    }
    let mut ok = failure.is_none();
    for (answer, result) in pending {
        let result = match &failure {
            Some(words) => Err(WriteError::Down(words.clone())),
            None => result,
        };
        ok &= !matches!(result, Err(WriteError::Down(_)));
        let _ = answer.send(result);
    }
    for (_, answer) in waiting {
        let _ = answer.send(Err(WriteError::Down("the batch before it failed".into())));
    }
    ok
}

async fn one_list(db: &mut SqliteConnection, writes: &[Write]) -> Result<(), WriteError> {
    db.execute("SAVEPOINT one_list").await?;
    for write in writes {
        if let Err(error) = sqlite::execute(db, write).await {
            db.execute("ROLLBACK TO one_list").await?;
            db.execute("RELEASE one_list").await?;
            return Err(error);
        }
    }
    db.execute("RELEASE one_list").await?;
    Ok(())
}

/// The column in SQLite's "UNIQUE constraint failed: users.extension".
fn unique_column(message: &str) -> String {
    message.rsplit(['.', ' ']).next().unwrap_or("it").to_owned()
}
