//! The way to the [`Keeper`]: a thread of its own, since keychains block and the order of words matters.

use std::sync::mpsc;

use tokio::sync::oneshot;

use crate::ports::{Keeper, KeptSession, SharedKeeper};

/// Asks the keeper; cheap to clone. The thread ends with the last of them.
#[derive(Clone, Debug)]
pub(crate) struct Safe(mpsc::Sender<Word>);

enum Word {
    Keep(KeptSession),
    Forget,
    Recall(oneshot::Sender<Option<KeptSession>>),
    Settle(oneshot::Sender<()>),
}

impl Safe {
    pub(crate) fn start(keeper: SharedKeeper) -> Self {
        let (words, heard) = mpsc::channel();
        let thread = std::thread::Builder::new().name("keeper".to_owned());
        let started = thread.spawn(move || obey(&*keeper, &heard));
        if let Err(error) = started {
            tracing::warn!(%error, "the session is kept in memory only");
        }
        Self(words)
    }

    pub(crate) fn keep(&self, session: KeptSession) {
        let _ = self.0.send(Word::Keep(session));
    }

    pub(crate) fn forget(&self) {
        let _ = self.0.send(Word::Forget);
    }

    pub(crate) async fn recall(&self) -> Option<KeptSession> {
        let (answer, answered) = oneshot::channel();
        self.0.send(Word::Recall(answer)).ok()?;
        answered.await.ok().flatten()
    }

    /// Returns when everything that was asked before is done.
    pub(crate) async fn settle(&self) {
        let (done, settled) = oneshot::channel();
        if self.0.send(Word::Settle(done)).is_ok() {
            let _ = settled.await;
        }
    }
}

fn obey(keeper: &dyn Keeper, words: &mpsc::Receiver<Word>) {
    for word in words {
        match word {
            Word::Keep(session) => keeper.keep(&session),
            Word::Forget => keeper.forget(),
            Word::Recall(answer) => {
                let _ = answer.send(keeper.recall());
            }
            Word::Settle(done) => {
                let _ = done.send(());
            }
        }
    }
}
