//! Commits under way. Whatever becomes of the task that waits for one, the core hears of it: an
//! agent whose commit were never answered would be stuck for ever.

use std::{collections::HashMap, time::Instant};

use rollcall_alignment::{CommitId, Failure, Input};
use tokio::task::{Id, JoinSet};

/// A commit's answer, and when it was given.
pub(super) struct Done {
    pub(super) input: Input,
    pub(super) at: Instant,
}

/// The tasks that wait for commits.
#[derive(Default)]
pub(super) struct Commits {
    tasks: JoinSet<Done>,
    ids: HashMap<Id, CommitId>,
}

impl Commits {
    pub(super) fn spawn(
        &mut self,
        id: CommitId,
        answer: impl Future<Output = Input> + Send + 'static,
    ) {
        let task = self.tasks.spawn(async {
            let input = answer.await;
            let at = Instant::now();
            Done { input, at }
        });
        self.ids.insert(task.id(), id);
    }

    /// The next one that is over; `None` while none is under way. Safe to cancel.
    pub(super) async fn next(&mut self) -> Option<Done> {
        loop {
            match self.tasks.join_next_with_id().await? {
                Ok((task, done)) => {
                    self.ids.remove(&task);
                    return Some(done);
                }
                Err(error) => {
                    tracing::error!(%error, "a commit was abandoned");
                    if let Some(id) = self.ids.remove(&error.id()) {
                        let input = Input::Failed(id, Failure::Unavailable);
                        let at = Instant::now();
                        return Some(Done { input, at });
                    }
                }
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[tokio::test]
    async fn a_commit_whose_task_dies_counts_as_failed() {
        let mut commits = Commits::default();
        commits.spawn(CommitId(7), async {
            panic!("the task of this commit dies")
        });
        let done = commits.next().await.unwrap();
        assert_eq!(done.input, Input::Failed(CommitId(7), Failure::Unavailable));
        commits.spawn(CommitId(8), async { Input::Committed(CommitId(8)) });
        let done = commits.next().await.unwrap();
        assert_eq!(done.input, Input::Committed(CommitId(8)));
        assert!(commits.next().await.is_none());
        assert!(commits.ids.is_empty());
    }
}
