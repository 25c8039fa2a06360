//! Sockets and timers around the model, on the caller's tokio runtime.
//!
//! One task owns the model and the SIP socket. Each manager connection and each call's media has a task of its own; they
//! end with it.

mod managers;
mod media;

use std::collections::HashMap;
use std::net::SocketAddr;
use std::time::{Duration, Instant, SystemTime};

use rand::Rng;
use tokio::net::{TcpListener, UdpSocket};
use tokio::sync::oneshot;
use tokio::task::{JoinHandle, JoinSet};

use crate::config::{Config, ConfigError};
use crate::pbx::{MediaId, Output, Pbx};
use crate::relay::Relay;
use managers::{Connections, FromManager};
use media::MediaHandle;

/// The longest datagram that is read.
const DATAGRAM_BYTES: usize = 65_535;

/// A small Asterisk.
#[derive(Debug)]
pub struct PocketPbx;

/// Why a PBX did not start.
#[derive(Debug, thiserror::Error)]
pub enum StartError {
    /// The configuration was refused.
    #[error(transparent)]
    Config(#[from] ConfigError),
    /// An address cannot be used.
    #[error("cannot listen on {address}: {error}")]
    Listen {
        /// The address.
        address: SocketAddr,
        /// What the system said.
        error: std::io::Error,
    },
}

/// A PBX at work. Dropping it ends it at once, without goodbyes.
#[derive(Debug)]
pub struct Running {
    sip_addr: SocketAddr,
    ami_addr: SocketAddr,
    stop: Option<oneshot::Sender<()>>,
    task: JoinHandle<()>,
}

impl PocketPbx {
    /// Binds and starts on the current tokio runtime.
    pub async fn start(config: Config) -> Result<Running, StartError> {
        config.check()?;
        let listen = |address| move |error| StartError::Listen { address, error };
        let sip = UdpSocket::bind(config.sip)
            .await
            .map_err(listen(config.sip))?;
        let ami = TcpListener::bind(config.ami)
            .await
            .map_err(listen(config.ami))?;
        let sip_addr = sip.local_addr().map_err(listen(config.sip))?;
        let ami_addr = ami.local_addr().map_err(listen(config.ami))?;
        let epoch = SystemTime::now()
            .duration_since(SystemTime::UNIX_EPOCH)
            .unwrap_or_default();
        let core = Core {
            rtp: SocketAddr::new(config.rtp, 0),
            pbx: Pbx::new(config, sip_addr, Instant::now(), epoch),
            sip,
            connections: Connections::default(),
            media: HashMap::new(),
            media_tasks: JoinSet::new(),
        };
        let (stop, stopped) = oneshot::channel();
        let task = tokio::spawn(core.run(ami, stopped));
        Ok(Running {
            sip_addr,
            ami_addr,
            stop: Some(stop),
            task,
        })
    }
}

impl Running {
    /// Where SIP is spoken.
    pub fn sip_addr(&self) -> SocketAddr {
        self.sip_addr
    }

    /// Where the manager interface listens.
    pub fn ami_addr(&self) -> SocketAddr {
        self.ami_addr
    }

    /// Ends calls, says goodbye to managers, and waits until everything is released.
    pub async fn shutdown(mut self) {
        if let Some(stop) = self.stop.take() {
            // The task may have ended by itself: then there is nobody to tell.
            let _ = stop.send(());
        }
        let _ = (&mut self.task).await;
    }
}

impl Drop for Running {
    fn drop(&mut self) {
        self.task.abort();
    }
}

/// The task that owns the model.
struct Core {
    pbx: Pbx,
    sip: UdpSocket,
    rtp: SocketAddr,
    connections: Connections,
    media: HashMap<MediaId, MediaHandle>,
    media_tasks: JoinSet<()>,
}

impl Core {
    async fn run(mut self, ami: TcpListener, mut stop: oneshot::Receiver<()>) {
        let mut datagram = vec![0; DATAGRAM_BYTES];
        loop {
            self.drain().await;
            let due = self
                .pbx
                .poll_timeout()
                .unwrap_or_else(|| Instant::now() + Duration::from_secs(3600));
            tokio::select! {
                received = self.sip.recv_from(&mut datagram) => {
                    // An error is the echo of an earlier datagram that nobody took (ICMP).
                    if let Ok((length, from)) = received {
                        self.pbx.handle_sip(Instant::now(), from, datagram.get(..length).unwrap_or_default());
                    }
                }
                accepted = ami.accept() => match accepted {
                    Ok((stream, _)) => self.pbx.manager_connected(self.connections.add(stream)),
                    // Out of file descriptors: let some time pass instead of spinning.
                    Err(_) => tokio::time::sleep(Duration::from_millis(50)).await,
                },
                Some(message) = self.connections.recv() => match message {
                    FromManager::Bytes(id, bytes) => self.pbx.manager_bytes(Instant::now(), id, &bytes),
                    FromManager::Gone(id) => {
                        self.connections.remove(id);
                        self.pbx.manager_disconnected(id);
                    }
                },
                Some(_) = self.media_tasks.join_next() => {}
                () = tokio::time::sleep_until(due.into()) => self.pbx.handle_timeout(Instant::now()),
                _ = &mut stop => break,
            }
        }
        self.pbx.shut_down(Instant::now());
        self.drain().await;
        self.connections.finish().await;
    }

    /// Does everything the model asks for.
    async fn drain(&mut self) {
        while let Some(output) = self.pbx.poll_output() {
            match output {
                // A destination that cannot be reached is found out by its silence.
                Output::Sip(transmit) => drop(
                    self.sip
                        .send_to(&transmit.bytes, transmit.destination)
                        .await,
                ),
                Output::Manager(id, bytes) => {
                    if !self.connections.send(id, bytes) {
                        self.connections.remove(id);
                        self.pbx.manager_disconnected(id);
                    }
                }
                Output::CloseManager(id) => self.connections.remove(id),
                Output::OpenMedia { media, sides } => self.open_media(media, sides).await,
                Output::AimMedia { media, side, aim } => {
                    if let Some(handle) = self.media.get(&media) {
                        handle.aim(side, aim);
                    }
                }
                Output::CloseMedia(media) => drop(self.media.remove(&media)),
            }
        }
    }

    async fn open_media(&mut self, media: MediaId, sides: usize) {
        let mut sockets = Vec::new();
        let mut addresses = Vec::new();
        for _ in 0..sides {
            match UdpSocket::bind(self.rtp)
                .await
                .and_then(|socket| Ok((socket.local_addr()?, socket)))
            {
                Ok((address, socket)) => {
                    addresses.push(address);
                    sockets.push(socket);
                }
                Err(error) => tracing::warn!(%error, "no RTP socket for a call"),
            }
        }
        if sockets.len() == sides {
            let relay = Relay::new(sides, rand::rng().random());
            let handle = media::spawn(&mut self.media_tasks, relay, sockets);
            self.media.insert(media, handle);
        } else {
            addresses.clear();
        }
        self.pbx.media_opened(Instant::now(), media, &addresses);
    }
}
