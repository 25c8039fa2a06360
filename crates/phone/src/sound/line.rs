//! One call's sound: its session, its sockets, and the tasks that read them.

use std::cell::{RefCell, RefMut};
use std::net::SocketAddr;
use std::rc::Rc;
use std::sync::Arc;
use std::time::{Duration, Instant};

use rollcall_media::FRAME;
use rollcall_media::quality::Quality;
use rollcall_media::sdp::Negotiated;
use rollcall_media::session::{Config, Session, Transmit};
use tokio::net::UdpSocket;
use tokio::task::JoinHandle;

use super::clock::MediaClock;
use super::{CallDevices, Pulse};
use crate::ports::MediaSockets;

/// Larger than any RTP packet we expect on Ethernet.
const MAX_PACKET: usize = 2048;

/// How long a socket that fails is left alone.
const RECOVERY: Duration = Duration::from_millis(20);

pub(super) struct Line {
    session: Rc<RefCell<Session>>,
    sockets: Sockets,
    clock: MediaClock,
    pulse: Arc<Pulse>,
    /// What came from the other side in this turn.
    pub(super) heard: Vec<f32>,
    pub(super) devices: CallDevices,
}

/// A call's sockets and the tasks that read them.
struct Sockets {
    rtp: Rc<UdpSocket>,
    rtcp: Option<Rc<UdpSocket>>,
    readers: Vec<JoinHandle<()>>,
}

impl Sockets {
    /// Belongs to a `LocalSet`.
    fn open(
        sockets: MediaSockets,
        session: &Rc<RefCell<Session>>,
        clock: &MediaClock,
        pulse: &Arc<Pulse>,
    ) -> Result<Sockets, String> {
        let socket = |socket| UdpSocket::from_std(socket).map(Rc::new);
        let rtp = socket(sockets.rtp).map_err(|error| error.to_string())?;
        // Without reports a call is still a call.
        let rtcp = sockets.rtcp.and_then(|rtcp| socket(rtcp).ok());
        let read = |socket: &Rc<UdpSocket>, take: Take| {
            let (socket, session) = (Rc::clone(socket), Rc::clone(session));
            let (clock, alive) = (clock.clone(), pulse.enter());
            tokio::task::spawn_local(async move {
                let _alive = alive;
                read(socket, session, clock, take).await;
            })
        };
        let mut readers = vec![read(&rtp, Session::handle_packet)];
        readers.extend(
            rtcp.as_ref()
                .map(|rtcp| read(rtcp, Session::handle_control)),
        );
        Ok(Sockets { rtp, rtcp, readers })
    }
}

impl Drop for Sockets {
    fn drop(&mut self) {
        for reader in &self.readers {
            reader.abort();
        }
    }
}

impl Line {
    /// Let a call's sound flow. Belongs to a `LocalSet`.
    pub(super) fn open(
        sockets: MediaSockets,
        negotiated: Negotiated,
        clock: MediaClock,
        pulse: Arc<Pulse>,
    ) -> Result<Line, String> {
        let config = Config::new(negotiated, &mut rand::rng());
        let session = Session::new(config).map_err(|error| error.to_string())?;
        let session = Rc::new(RefCell::new(session));
        let sockets = Sockets::open(sockets, &session, &clock, &pulse)?;
        Ok(Line {
            session,
            sockets,
            clock,
            pulse,
            heard: vec![0.0; FRAME],
            devices: CallDevices::default(),
        })
    }

    /// Goes on with other sockets; what was on its way to the old ones is lost.
    pub(super) fn rebind(&mut self, sockets: MediaSockets) -> Result<(), String> {
        self.sockets = Sockets::open(sockets, &self.session, &self.clock, &self.pulse)?;
        self.session().rebound();
        Ok(())
    }

    pub(super) fn session(&self) -> RefMut<'_, Session> {
        self.session.borrow_mut()
    }

    /// Takes what is due to be heard into [`Line::heard`].
    pub(super) fn play(&mut self, due: Instant) {
        self.session.borrow_mut().play_frame(due, &mut self.heard);
    }

    /// Sends 20 ms of what was spoken, and the report that is due.
    pub(super) fn send(&self, now: Instant, spoken: &[f32]) {
        let mut session = self.session.borrow_mut();
        if let Some(transmit) = session.send_frame(spoken) {
            put(&self.sockets.rtp, transmit);
        }
        let socket = self.control_socket(&session);
        if let (Some(transmit), Some(socket)) = (session.poll_control(now), socket) {
            put(socket, transmit);
        }
    }

    /// Says good-bye to the other side; the record of the call.
    pub(super) fn close(&self, now: Instant) -> Quality {
        let mut session = self.session.borrow_mut();
        let socket = self.control_socket(&session);
        if let (Some(transmit), Some(socket)) = (session.goodbye(now), socket) {
            put(socket, transmit);
        }
        session.quality(now)
    }

    fn control_socket(&self, session: &Session) -> Option<&UdpSocket> {
        match session.negotiated().rtcp.mux {
            true => Some(&self.sockets.rtp),
            false => self.sockets.rtcp.as_deref(),
        }
    }
}

/// A full socket buffer loses a packet, as the network would.
fn put(socket: &UdpSocket, transmit: Transmit<'_>) {
    let _ = socket.try_send_to(transmit.bytes, transmit.destination);
}

type Take = fn(&mut Session, Instant, SocketAddr, &[u8]);

/// Feeds a session with what a socket receives.
async fn read(socket: Rc<UdpSocket>, session: Rc<RefCell<Session>>, clock: MediaClock, take: Take) {
    let mut packet = vec![0; MAX_PACKET];
    loop {
        match socket.recv_from(&mut packet).await {
            Ok((length, from)) => {
                let bytes = packet.get(..length).unwrap_or_default();
                let arrived = clock.arrival(Instant::now());
                take(&mut session.borrow_mut(), arrived, from, bytes);
            }
            // ICMP errors surface here; the next packet may be fine.
            Err(error) => {
                tracing::debug!(%error, "RTP or RTCP socket");
                tokio::time::sleep(RECOVERY).await;
            }
        }
    }
}
