//! The one writer: many lists of changes in one durable transaction, each answered for itself.

use std::{
    sync::{
        Arc, Mutex, OnceLock, PoisonError,
        atomic::{AtomicBool, Ordering},
    },
    time::{Duration, Instant},
};

use thiserror::Error;
use tokio::{
    sync::{mpsc, oneshot},
    task::JoinHandle,
    time::timeout,
};

use super::{
    dialect::{Connection, Dialect, Place},
    execute,
    instances::{self, Tenure},
    write::Write,
};
use crate::{config::Mode, metrics::Commits};

/// Lists that may wait; more are refused as `Down` rather than kept.
const QUEUE: usize = 16_384;
/// Lists in one transaction.
const BATCH: usize = 256;
/// How long the database may take before the writer gives a batch up.
const PATIENCE: Duration = Duration::from_secs(10);
/// How often a batch is tried that the database undid for another's sake.
const TRIES: usize = 5;

/// Why a list of changes was not made. Nothing of it is there.
#[derive(Debug, Error)]
pub enum WriteError {
    /// Something of that name is there already, or was used already.
    #[error("{0} is taken or used already")]
    Conflict(String),
    /// There is nobody of that name.
    #[error("there is nobody called {0}")]
    NotThere(String),
    /// The password that was judged has been replaced, or the session that asked has ended.
    #[error("the password has been changed, or the session has ended, since it was judged")]
    Superseded,
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

/// Why one change cannot be made, before the dialect has said what it means.
#[derive(Debug)]
pub(super) enum Fault {
    /// It must not be.
    Refused(WriteError),
    /// The database refused.
    Sql(sqlx::Error),
}

impl From<WriteError> for Fault {
    fn from(error: WriteError) -> Self {
        Self::Refused(error)
    }
}

impl From<sqlx::Error> for Fault {
    fn from(error: sqlx::Error) -> Self {
        Self::Sql(error)
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
    answer: oneshot::Sender<Result<(), WriteError>>,
}

impl Writer {
    /// Starts it.
    pub(super) fn start(desk: Desk, commits: Commits) -> Self {
        let (jobs, queue) = mpsc::channel(QUEUE);
        let healthy = Arc::new(AtomicBool::new(true));
        let task = tokio::spawn(run(desk, queue, Arc::clone(&healthy), commits));
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
    mut desk: Desk,
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
        if count == 0 {
            continue;
        }
        let ok = desk.commit_together(lists).await;
        if ok {
            commits.made(count, begun.elapsed());
        }
        healthy.store(ok, Ordering::Relaxed);
    }
    if let Some(db) = desk.db {
        let _ = db.close().await;
    }
}

/// Where the writes are made.
pub(super) struct Desk {
    place: Place,
    /// None after it was lost, until the next batch needs it.
    db: Option<Connection>,
    mode: Mode,
    /// Once set: nothing is written by who has lost this.
    fence: Arc<OnceLock<Tenure>>,
}

/// What came of each list; those behind one that the database refused have none.
type Outcomes = Vec<Result<(), WriteError>>;

/// A transaction that was not made.
struct Undone {
    words: String,
    /// For another's sake: it may simply be tried again.
    sacrificed: bool,
}

impl Desk {
    /// At an open connection; `place` is where a lost one is made anew.
    pub(super) fn new(
        place: Place,
        db: Connection,
        mode: Mode,
        fence: Arc<OnceLock<Tenure>>,
    ) -> Self {
        Self {
            place,
            db: Some(db),
            mode,
            fence,
        }
    }

    /// One transaction for all lists; a list that fails is undone alone. The answers leave after the
    /// commit, so that none speaks of what a crash could take back.
    async fn commit_together(&mut self, lists: Vec<List>) -> bool {
        let mut outcome = self.attempt(&lists).await;
        for _ in 1..TRIES {
            if !matches!(&outcome, Err(undone) if undone.sacrificed) {
                break;
            }
            outcome = self.attempt(&lists).await;
        }
        let (outcomes, words) = match outcome {
            Ok(outcomes) => (outcomes, "the list before it failed".to_owned()),
            Err(undone) => {
                tracing::error!(error = %undone.words, "the database refused a batch of writes");
                (Vec::new(), undone.words)
            }
        };
        let mut ok = true;
        let mut outcomes = outcomes.into_iter();
        for list in lists {
            let outcome = outcomes.next();
            let outcome = outcome.unwrap_or_else(|| Err(WriteError::Down(words.clone())));
            ok &= !matches!(outcome, Err(WriteError::Down(_)));
            let _ = list.answer.send(outcome);
        }
        ok
    }

    async fn attempt(&mut self, lists: &[List]) -> Result<Outcomes, Undone> {
        let mode = self.mode;
        let fence = Arc::clone(&self.fence);
        let db = self.connected().await?;
        let dialect = db.dialect();
        let made = make_all(db, mode, fence.get(), lists);
        let failure = match timeout(PATIENCE, made).await {
            Ok(Ok(outcomes)) => match commit(db).await {
                Ok(()) => return Ok(outcomes),
                Err(failure) => failure,
            },
            Ok(Err(failure)) => failure,
            Err(_) => too_long(),
        };
        let rolled_back = timeout(PATIENCE, db.run("ROLLBACK")).await;
        if dialect.is_remote() && !matches!(rolled_back, Ok(Ok(()))) {
            self.db = None;
        }
        Err(undone(dialect, failure))
    }

    async fn connected(&mut self) -> Result<&mut Connection, Undone> {
        let db = match self.db.take() {
            Some(db) => db,
            None => {
                let made = timeout(PATIENCE, self.place.connect()).await;
                made.unwrap_or_else(|_| Err(too_long()))
                    .map_err(|error| Undone {
                        words: error.to_string(),
                        sacrificed: false,
                    })?
            }
        };
        Ok(self.db.insert(db))
    }
}

/// A file is waited for however long it takes, since a commit that is given up may still be made; a
/// server at the other end of a broken line would be waited for until the line's own end.
async fn commit(db: &mut Connection) -> Result<(), sqlx::Error> {
    if db.dialect().is_remote() {
        let made = timeout(PATIENCE, db.run("COMMIT")).await;
        made.unwrap_or_else(|_| Err(too_long()))
    } else {
        db.run("COMMIT").await
    }
}

/// Makes the lists one after the other, up to the first that the database refuses.
async fn make_all(
    db: &mut Connection,
    mode: Mode,
    fence: Option<&Tenure>,
    lists: &[List],
) -> Result<Outcomes, sqlx::Error> {
    let dialect = db.dialect();
    let mut outcomes = Vec::with_capacity(lists.len());
    let begin = format!("{}; SAVEPOINT one_list", dialect.begin());
    for list in lists {
        let start = match outcomes.is_empty() {
            true => begin.as_str(),
            false => "RELEASE SAVEPOINT one_list; SAVEPOINT one_list",
        };
        db.run(start).await?;
        if outcomes.is_empty()
            && let Some(tenure) = fence
            && !instances::is_held(db, tenure).await?
        {
            let words = "another server has taken this one's place";
            return Err(sqlx::Error::Protocol(words.into()));
        }
        let outcome = match one_list(db, mode, &list.writes).await {
            Ok(()) => Ok(()),
            Err(Fault::Sql(error)) if is_sacrifice(dialect, &error) => return Err(error),
            Err(fault) => {
                db.run("ROLLBACK TO SAVEPOINT one_list").await?;
                Err(explain(dialect, fault))
            }
        };
        let refused = matches!(outcome, Err(WriteError::Down(_)));
        outcomes.push(outcome);
        if refused {
            break;
        }
    }
    Ok(outcomes)
}

async fn one_list(db: &mut Connection, mode: Mode, writes: &[Write]) -> Result<(), Fault> {
    for write in writes {
        execute::execute(db, mode, write).await?;
    }
    Ok(())
}

fn explain(dialect: &dyn Dialect, fault: Fault) -> WriteError {
    match fault {
        Fault::Refused(error) => error,
        Fault::Sql(sqlx::Error::Database(error)) if error.is_unique_violation() => {
            WriteError::Conflict(dialect.unique_column(&*error))
        }
        Fault::Sql(error) => WriteError::Down(error.to_string()),
    }
}

fn undone(dialect: &dyn Dialect, error: sqlx::Error) -> Undone {
    Undone {
        sacrificed: is_sacrifice(dialect, &error),
        words: error.to_string(),
    }
}

fn is_sacrifice(dialect: &dyn Dialect, error: &sqlx::Error) -> bool {
    (error.as_database_error()).is_some_and(|error| dialect.was_sacrificed(error))
}

fn too_long() -> sqlx::Error {
    sqlx::Error::Io(std::io::Error::new(
        std::io::ErrorKind::TimedOut,
        "it took too long",
    ))
}
