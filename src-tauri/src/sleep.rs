//! The computer's sleep, as systemd-logind tells of it (`org.freedesktop.login1`): before it the phone leaves the
//! registrar, so that nobody is called into the dark, and after it registers again (situation 3).
//!
//! Where there is no logind the app sleeps unannounced: its lease ends, and it is lost until it wakes (situation 1).

use std::future::Future;

use futures_util::StreamExt;
use rollcall_agent::AgentHandle;
use zbus::{Connection, zvariant::OwnedFd};

/// What is to be done before and after.
pub(crate) trait Sleeper: Send + Sync {
    /// The computer is about to sleep; it waits for this, for a few seconds.
    fn sleep(&self) -> impl Future<Output = ()> + Send;
    /// It has woken.
    fn wake(&self) -> impl Future<Output = ()> + Send;
}

impl Sleeper for AgentHandle {
    async fn sleep(&self) {
        tracing::info!("the computer is about to sleep");
        AgentHandle::sleep(self).await;
    }

    async fn wake(&self) {
        tracing::info!("the computer has woken");
        AgentHandle::wake(self).await;
    }
}

#[zbus::proxy(
    interface = "org.freedesktop.login1.Manager",
    default_service = "org.freedesktop.login1",
    default_path = "/org/freedesktop/login1"
)]
trait Manager {
    /// Takes a lock that lasts until it is closed.
    fn inhibit(&self, what: &str, who: &str, why: &str, mode: &str) -> zbus::Result<OwnedFd>;

    /// Sent with `true` before the computer sleeps, with `false` after.
    #[zbus(signal)]
    fn prepare_for_sleep(&self, start: bool) -> zbus::Result<()>;
}

/// Follows the computer's sleep for as long as the system's bus lives.
pub(crate) async fn follow(sleeper: impl Sleeper) {
    let followed = match Connection::system().await {
        Ok(bus) => follow_on(&bus, &sleeper).await,
        Err(error) => Err(error),
    };
    if let Err(error) = followed {
        tracing::info!(%error, "the computer's sleep is not announced; a phone that slept is lost until it wakes");
    }
}

async fn follow_on(bus: &Connection, sleeper: &impl Sleeper) -> zbus::Result<()> {
    let manager = ManagerProxy::new(bus).await?;
    let mut announced = manager.receive_prepare_for_sleep().await?;
    // Held, it makes the computer wait; dropped, it lets it sleep.
    let mut lock = Some(hold_up(&manager).await?);
    while let Some(signal) = announced.next().await {
        if signal.args()?.start {
            sleeper.sleep().await;
            drop(lock.take());
        } else {
            sleeper.wake().await;
            lock = Some(hold_up(&manager).await?);
        }
    }
    // Nobody will tell of the end of a sleep any more.
    sleeper.wake().await;
    Ok(())
}

async fn hold_up(manager: &ManagerProxy<'_>) -> zbus::Result<OwnedFd> {
    let why = "The phone leaves the call centre before the computer sleeps";
    manager.inhibit("sleep", "Rollcall", why, "delay").await
}

#[cfg(test)]
mod tests {
    use std::{
        io::{BufRead, BufReader, Read},
        os::fd::OwnedFd as StdFd,
        process::{Child, Command, Stdio},
        time::Duration,
    };

    use tokio::{sync::mpsc, time::timeout};
    use zbus::{connection::Builder, object_server::SignalEmitter};

    use super::*;

    const SOON: Duration = Duration::from_secs(20);

    /// Ends with the test.
    struct Bus(Child);

    impl Drop for Bus {
        fn drop(&mut self) {
            let _ = self.0.kill();
            let _ = self.0.wait();
        }
    }

    /// A bus of its own, and its address.
    fn bus() -> (Bus, String) {
        let mut daemon = Command::new("dbus-daemon")
            .args(["--session", "--nofork", "--print-address"])
            .stdout(Stdio::piped())
            .spawn()
            .expect("dbus-daemon: `cargo xtask setup` installs it");
        let mut address = String::new();
        let said = daemon.stdout.take().unwrap();
        BufReader::new(said).read_line(&mut address).unwrap();
        (Bus(daemon), address.trim().to_owned())
    }

    /// Gives out locks, and tells of each the end that shows when it is closed.
    struct Login(mpsc::UnboundedSender<StdFd>);

    #[zbus::interface(name = "org.freedesktop.login1.Manager")]
    impl Login {
        fn inhibit(&self, what: &str, _who: &str, _why: &str, mode: &str) -> OwnedFd {
            assert_eq!((what, mode), ("sleep", "delay"));
            let (ours, theirs) = std::io::pipe().unwrap();
            self.0.send(ours.into()).unwrap();
            StdFd::from(theirs).into()
        }

        #[zbus(signal)]
        async fn prepare_for_sleep(emitter: &SignalEmitter<'_>, start: bool) -> zbus::Result<()>;
    }

    struct Noted(mpsc::UnboundedSender<&'static str>);

    impl Sleeper for Noted {
        async fn sleep(&self) {
            self.0.send("sleeps").unwrap();
        }

        async fn wake(&self) {
            self.0.send("wakes").unwrap();
        }
    }

    /// Blocks until the other end is closed.
    async fn let_go(lock: StdFd) {
        let read = tokio::task::spawn_blocking(move || {
            let mut pipe = std::io::PipeReader::from(lock);
            pipe.read(&mut [0])
        });
        assert_eq!(timeout(SOON, read).await.unwrap().unwrap().unwrap(), 0);
    }

    #[tokio::test]
    async fn the_computer_sleeps_once_the_phone_has_gone_and_it_comes_back_after() {
        let (_bus, address) = bus();
        let (locks, mut taken) = mpsc::unbounded_channel();
        let path = "/org/freedesktop/login1";
        let login = Builder::address(address.as_str())
            .unwrap()
            .name("org.freedesktop.login1")
            .unwrap()
            .serve_at(path, Login(locks))
            .unwrap()
            .build()
            .await
            .unwrap();
        let app = Builder::address(address.as_str())
            .unwrap()
            .build()
            .await
            .unwrap();
        let (notes, mut noted) = mpsc::unbounded_channel();
        let following = tokio::spawn(async move { follow_on(&app, &Noted(notes)).await });

        let emitter = SignalEmitter::new(&login, path).unwrap();
        for _ in 0..2 {
            let lock = timeout(SOON, taken.recv()).await.unwrap().unwrap();
            Login::prepare_for_sleep(&emitter, true).await.unwrap();
            assert_eq!(timeout(SOON, noted.recv()).await.unwrap(), Some("sleeps"));
            let_go(lock).await;
            Login::prepare_for_sleep(&emitter, false).await.unwrap();
            assert_eq!(timeout(SOON, noted.recv()).await.unwrap(), Some("wakes"));
        }
        following.abort();
    }
}
