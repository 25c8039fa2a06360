//! The one writer: many lists of changes in one durable transaction, each answered for itself.

use std::{
    sync::{
        Arc, Mutex, PoisonError,
        atomic::{AtomicBool, Ordering},
    },
    time::{Duration, Instant},
};

use sqlx::{Connection, Executor, SqliteConnection};
use thiserror::Error;
use tokio::{
    sync::{mpsc, oneshot},
    task::JoinHandle,
    time::timeout,
};

use super::{sqlite, write::Write};
use crate::{config::Mode, metrics::Commits};

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
    /// There is nobody of that name.
    #[error("there is nobody called {0}")]
    NotThere(String),
    /// It would leave nobody who may administer.
    #[error("the last administrator stays one: make another first")]
    LastAdmin,
    /// Only who is disabled, and of whom no session lives, can be removed.
    #[error("only who is disabled and signed out everywhere can be removed")]
    StillActive,
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
    Commit(List),
    Close,
}

/// Changes that are made together, and where the answer goes.
#[derive(Debug)]
struct List {
    writes: Vec<Write>,
    answer: Answer,
}

type Answer = oneshot::Sender<Result<(), WriteError>>;

impl Writer {
    pub(super) fn start(connection: SqliteConnection, mode: Mode, commits: Commits) -> Self {
        let (jobs, queue) = mpsc::channel(QUEUE);
        let healthy = Arc::new(AtomicBool::new(true));
        let task = tokio::spawn(run(connection, mode, queue, Arc::clone(&healthy), commits));
        Self {
            jobs,
            healthy,
            task: Mutex::new(Some(task)),
        }
    }

    /// The list has its place in the queue when this returns; the future is its answer.
    pub(super) fn commit(
        &self,
        writes: Vec<Write>,
    ) -> impl Future<Output = Result<(), WriteError>> + Send + 'static + use<> {
        let (answer, answered) = oneshot::channel();
        let queued = self.jobs.try_send(Job::Commit(List { writes, answer }));
        async move {
            queued.map_err(|_| WriteError::Down("too many writes wait, or it is closed".into()))?;
            answered
                .await
                .unwrap_or_else(|_| Err(WriteError::Down("it is closed".into())))
        }
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
    mode: Mode,
    mut queue: mpsc::Receiver<Job>,
    healthy: Arc<AtomicBool>,
    commits: Commits,
) {
    let mut jobs = Vec::with_capacity(BATCH);
    let mut open = true;
    while open && queue.recv_many(&mut jobs, BATCH).await > 0 {
        let mut lists = Vec::with_capacity(jobs.len());
        for job in jobs.drain(..) {
            match job {
                Job::Commit(list) if open => lists.push(list),
                Job::Commit(list) => {
                    let _ = list
                        .answer
                        .send(Err(WriteError::Down("it is closing".into())));
                }
                Job::Close => open = false,
            }
        }
        let (count, begun) = (lists.len(), Instant::now());
        let ok = commit_together(&mut connection, mode, lists).await;
        if ok && count > 0 {
            commits.made(count, begun.elapsed());
        }
        healthy.store(ok, Ordering::Relaxed);
    }
    let _ = connection.close().await;
}

/// One transaction for all lists; a list that fails is undone alone. The answers leave after the
/// commit, so that none speaks of what a crash could take back.
async fn commit_together(db: &mut SqliteConnection, mode: Mode, lists: Vec<List>) -> bool {
    let mut done: Vec<(Answer, Result<(), WriteError>)> = Vec::with_capacity(lists.len());
    let mut waiting = lists.into_iter();
    let made = timeout(PATIENCE, make_all(db, mode, &mut waiting, &mut done)).await;
    let failure = match made {
        // Waited for however long it takes: a commit that is given up may still be made.
        Ok(Ok(())) => db.execute("COMMIT").await.err().map(|e| e.to_string()),
        Ok(Err(error)) => Some(error.to_string()),
        Err(_) => Some("it took too long".into()),
    };
    if let Some(words) = &failure {
        tracing::error!(error = %words, "the database refused a batch of writes");
        let _ = timeout(PATIENCE, db.execute("ROLLBACK")).await;
    }
    let mut ok = failure.is_none();
    for (answer, result) in done {
        let result = match &failure {
            Some(words) => Err(WriteError::Down(words.clone())),
            None => result,
        };
        ok &= !matches!(result, Err(WriteError::Down(_)));
        let _ = answer.send(result);
    }
    for list in waiting {
        let words = failure
            .clone()
            .unwrap_or("the list before it failed".into());
        let _ = list.answer.send(Err(WriteError::Down(words)));
    }
    ok
}

async fn make_all(
    db: &mut SqliteConnection,
    mode: Mode,
    waiting: &mut impl Iterator<Item = List>,
    done: &mut Vec<(Answer, Result<(), WriteError>)>,
) -> Result<(), sqlx::Error> {
    db.execute("BEGIN IMMEDIATE").await?;
    for list in waiting {
        // Its place among the done is taken first: a list that is cut short is answered too.
        done.push((
            list.answer,
            Err(WriteError::Down("it was cut short".into())),
        ));
        let result = one_list(db, mode, &list.writes).await;
        let lost = matches!(result, Err(WriteError::Down(_)));
        if let Some((_, place)) = done.last_mut() {
            *place = result;
        }
        if lost {
            break;
        }
    }
    Ok(())
}

async fn one_list(
    db: &mut SqliteConnection,
    mode: Mode,
    writes: &[Write],
) -> Result<(), WriteError> {
    db.execute("SAVEPOINT one_list").await?;
    for write in writes {
        if let Err(error) = sqlite::execute(db, mode, write).await {
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
