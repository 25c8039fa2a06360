//! Passwords: argon2id at OWASP's parameters, on threads of their own behind a bounded queue. The threads give way to all
//! others, so that who signs in keeps nobody's state from the board.

use std::{
    sync::{
        Arc,
        atomic::{AtomicU64, AtomicUsize, Ordering},
    },
    time::{Duration, Instant},
};

use argon2::{
    Algorithm, Argon2, Params, PasswordHash, PasswordHasher as _, PasswordVerifier as _, Version,
    password_hash::{SaltString, rand_core::OsRng},
};
use thiserror::Error;
use tokio::{
    runtime::{self, Runtime},
    sync::{OwnedSemaphorePermit, Semaphore},
};

use crate::config::Secret;

/// OWASP's first choice for argon2id with 19 MiB: two passes, one lane.
const MEMORY_KIB: u32 = 19 * 1024;
const PASSES: u32 = 2;
const LANES: u32 = 1;

/// So much nicer than the server's other threads (nice(2)), which gives a third of the share of one of them: hashes are
/// late beside much work, but come.
#[cfg(target_os = "linux")]
const NICER: i32 = 5;

/// Checks and makes password hashes, a few at a time.
#[derive(Clone, Debug)]
pub(crate) struct Passwords {
    threads: Arc<Threads>,
    /// As many as there are threads.
    turns: Arc<Semaphore>,
    waiting: Arc<AtomicUsize>,
    queue: usize,
    /// A hash of nobody's password: unknown names cost the same time as known ones.
    decoy: Arc<str>,
    /// How long the last check took, µs.
    last: Arc<AtomicU64>,
}

/// Why a password was not hashed or checked.
#[derive(Debug, Error)]
pub(crate) enum PasswordError {
    /// More sign-ins wait than the queue holds.
    #[error("too many sign-ins wait")]
    Busy,
    /// The hash in the table is none, or the system gave no randomness or memory.
    #[error("the password could not be hashed: {0}")]
    Broken(String),
}

impl Passwords {
    /// `threads` hashes at a time, `queue` more may wait.
    pub(crate) async fn new(threads: usize, queue: usize) -> Result<Self, PasswordError> {
        let hashing = Threads::start(threads)?;
        let decoy = hashing.run(|| hash_now("nobody has this password")).await?;
        Ok(Self {
            threads: Arc::new(hashing),
            turns: Arc::new(Semaphore::new(threads)),
            waiting: Arc::default(),
            queue: queue.saturating_add(threads),
            decoy: decoy.into(),
            last: Arc::default(),
        })
    }

    /// Whether `password` is the one behind `hash`; without a hash the answer is no, as late.
    pub(crate) async fn verify(
        &self,
        turn: Turn,
        hash: Option<String>,
        password: Secret,
    ) -> Result<bool, PasswordError> {
        let known = hash.is_some();
        let hash = hash.unwrap_or_else(|| self.decoy.to_string());
        let last = Arc::clone(&self.last);
        // A client that hangs up cannot stop a hash under way: place and permit go with the thread,
        // or hanging up again and again would start ever more of them.
        let verified = self.threads.run(move || {
            let _held = turn;
            let begun = Instant::now();
            let right = verify_now(&hash, password.expose())? && known;
            let took = u64::try_from(begun.elapsed().as_micros()).unwrap_or(u64::MAX);
            last.store(took, Ordering::Relaxed);
            Ok(right)
        });
        verified.await
    }

    /// Takes as long as [`Self::verify`] does, and hashes nothing: who is refused without being
    /// judged is not told by that from who was.
    pub(crate) async fn pretend(&self) -> Result<(), PasswordError> {
        drop(self.turn().await?);
        let took = Duration::from_micros(self.last.load(Ordering::Relaxed));
        tokio::time::sleep(took).await;
        Ok(())
    }

    /// Hashes a new password.
    pub(crate) async fn hash(&self, password: Secret) -> Result<String, PasswordError> {
        let held = self.turn().await?;
        let hashed = self.threads.run(move || {
            let _held = held;
            hash_now(password.expose())
        });
        hashed.await
    }

    /// Waits for a thread, in a queue that has an end.
    pub(crate) async fn turn(&self) -> Result<Turn, PasswordError> {
        let place = Place::take(&self.waiting, self.queue)?;
        let permit = Arc::clone(&self.turns)
            .acquire_owned()
            .await
            .map_err(|_| PasswordError::Busy)?;
        Ok(Turn {
            _place: place,
            _permit: permit,
        })
    }
}

/// A thread's time, for one hash.
pub(crate) struct Turn {
    _place: Place,
    _permit: OwnedSemaphorePermit,
}

/// One place among those who wait; given back however the wait ends.
struct Place(Arc<AtomicUsize>);

impl Place {
    fn take(waiting: &Arc<AtomicUsize>, queue: usize) -> Result<Self, PasswordError> {
        waiting
            .fetch_update(Ordering::AcqRel, Ordering::Acquire, |count| {
                (count < queue).then_some(count + 1)
            })
            .map(|_| Self(Arc::clone(waiting)))
            .map_err(|_| PasswordError::Busy)
    }
}

impl Drop for Place {
    fn drop(&mut self) {
        self.0.fetch_sub(1, Ordering::AcqRel);
    }
}

/// The threads that hash: a runtime of which only the blocking ones are used. They give way to all others.
#[derive(Debug)]
struct Threads(Option<Runtime>);

impl Threads {
    fn start(count: usize) -> Result<Self, PasswordError> {
        runtime::Builder::new_current_thread()
            .thread_name("password")
            .max_blocking_threads(count)
            .on_thread_start(give_way)
            .build()
            .map(|runtime| Self(Some(runtime)))
            .map_err(|error| PasswordError::Broken(error.to_string()))
    }

    async fn run<T: Send + 'static>(
        &self,
        work: impl FnOnce() -> Result<T, PasswordError> + Send + 'static,
    ) -> Result<T, PasswordError> {
        let Some(runtime) = &self.0 else {
            return Err(PasswordError::Broken("the server ends".into()));
        };
        let done = runtime.spawn_blocking(work).await;
        done.map_err(|error| PasswordError::Broken(error.to_string()))?
    }
}

impl Drop for Threads {
    fn drop(&mut self) {
        // A hash under way is of no use to anybody any more.
        if let Some(runtime) = self.0.take() {
            runtime.shutdown_background();
        }
    }
}

/// Linux alone counts a thread's niceness by itself; elsewhere it is the whole process's, and stays as it is.
fn give_way() {
    #[cfg(target_os = "linux")]
    if let Err(error) = rustix::process::nice(NICER) {
        tracing::debug!(%error, "hashing does not give way");
    }
}

fn argon2() -> Result<Argon2<'static>, PasswordError> {
    let params = Params::new(MEMORY_KIB, PASSES, LANES, None)
        .map_err(|error| PasswordError::Broken(error.to_string()))?;
    Ok(Argon2::new(Algorithm::Argon2id, Version::V0x13, params))
}

fn hash_now(password: &str) -> Result<String, PasswordError> {
    let salt = SaltString::generate(&mut OsRng);
    argon2()?
        .hash_password(password.as_bytes(), &salt)
        .map(|hash| hash.to_string())
        .map_err(|error| PasswordError::Broken(error.to_string()))
}

fn verify_now(hash: &str, password: &str) -> Result<bool, PasswordError> {
    let hash = PasswordHash::new(hash).map_err(|error| PasswordError::Broken(error.to_string()))?;
    match argon2()?.verify_password(password.as_bytes(), &hash) {
        Ok(()) => Ok(true),
        Err(argon2::password_hash::Error::Password) => Ok(false),
        Err(error) => Err(PasswordError::Broken(error.to_string())),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    async fn verify(
        passwords: &Passwords,
        hash: Option<String>,
        word: &str,
    ) -> Result<bool, PasswordError> {
        let turn = passwords.turn().await?;
        passwords.verify(turn, hash, Secret::new(word)).await
    }

    #[tokio::test]
    async fn a_password_is_checked_against_its_own_hash_only() {
        let passwords = Passwords::new(1, 1).await.unwrap();
        let stored = passwords.hash(Secret::new("right")).await.unwrap();
        assert!(stored.starts_with("$argon2id$v=19$m=19456,t=2,p=1$"));
        let judged = async |word: &str| verify(&passwords, Some(stored.clone()), word).await;
        assert!(judged("right").await.unwrap());
        assert!(!judged("wrong").await.unwrap());
    }

    #[tokio::test]
    async fn nobody_signs_in_with_the_decoys_password_and_it_costs_as_much_as_anybodys() {
        let passwords = Passwords::new(1, 1).await.unwrap();
        let cost = |hash: &str| {
            hash.split('$')
                .take(4)
                .map(str::to_owned)
                .collect::<Vec<_>>()
        };
        let somebodys = passwords.hash(Secret::new("x")).await.unwrap();
        assert_eq!(cost(&passwords.decoy), cost(&somebodys));
        let right = verify(&passwords, None, "nobody has this password").await;
        assert!(!right.unwrap());
    }

    #[test]
    fn hanging_up_does_not_make_room_before_the_hash_is_done() {
        let runtime = runtime::Builder::new_current_thread().build().unwrap();
        runtime.block_on(async {
            let passwords = Passwords::new(1, 8).await.unwrap();
            // The only thread is held, so that the hash is under way for as long as it is wanted.
            let (release, held) = std::sync::mpsc::channel::<()>();
            let threads = passwords.threads.0.as_ref().unwrap();
            let thread = threads.spawn_blocking(move || held.recv());
            let mut asked = Box::pin(verify(&passwords, None, "x"));
            std::future::poll_fn(|cx| {
                assert!(asked.as_mut().poll(cx).is_pending());
                std::task::Poll::Ready(())
            })
            .await;
            drop(asked);
            assert_eq!(passwords.turns.available_permits(), 0);
            assert_eq!(passwords.waiting.load(Ordering::Acquire), 1);
            release.send(()).unwrap();
            thread.await.unwrap().unwrap();
            assert!(!verify(&passwords, None, "x").await.unwrap());
            assert_eq!(passwords.waiting.load(Ordering::Acquire), 0);
        });
    }

    #[cfg(target_os = "linux")]
    #[tokio::test]
    async fn hashing_gives_way_and_nothing_else_does() {
        let niceness = || Ok(rustix::process::getpriority_process(None).unwrap());
        let own = niceness().unwrap();
        let passwords = Passwords::new(2, 1).await.unwrap();
        let of_hashing = passwords.threads.run(niceness).await.unwrap();
        assert_eq!(of_hashing, (own + NICER).min(19));
        let of_others = tokio::task::spawn_blocking(niceness).await.unwrap();
        assert_eq!(of_others.unwrap(), own);
    }

    #[tokio::test]
    async fn a_full_queue_refuses_at_once_and_takes_again_when_it_has_drained() {
        let passwords = Passwords::new(1, 1).await.unwrap();
        let held = passwords.turns.clone().acquire_owned().await.unwrap();
        let waits = |_| {
            let passwords = passwords.clone();
            tokio::spawn(async move { verify(&passwords, None, "x").await })
        };
        let tasks: Vec<_> = (0..2).map(waits).collect();
        while passwords.waiting.load(Ordering::Acquire) < 2 {
            tokio::task::yield_now().await;
        }
        let refused = verify(&passwords, None, "x").await;
        assert!(matches!(refused, Err(PasswordError::Busy)));
        drop(held);
        for task in tasks {
            assert!(!task.await.unwrap().unwrap());
        }
        assert!(!verify(&passwords, None, "x").await.unwrap());
    }
}
