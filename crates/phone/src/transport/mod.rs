//! What carries one account's SIP: a UDP socket, or one connection that is used for everything (RFC 5923), and beside
//! UDP a TCP connection for requests that are too long for a datagram.
//!
//! It owns sockets and says when a connection is gone; it refuses to decide what follows from that.

mod connection;
mod dial;
mod stun;
mod unreachable;

use std::io;
use std::net::SocketAddr;
use std::time::{Duration, Instant};

use bytes::Bytes;
use rollcall_sip::{Transmit, Transport};
use tokio::net::UdpSocket;
use tokio::sync::mpsc;
use tokio::time::Interval;

pub(crate) use connection::Arrival;
use connection::Connection;
pub(crate) use dial::{Established, Terms, Trusted, dial, trust};

use crate::resolve::Place;

/// Messages that came and that the SIP loop has not taken yet, over all connections.
const ARRIVALS: usize = 64;
/// How long a server that refused TCP is believed.
const REFUSED: Duration = Duration::from_secs(600);
/// Messages that wait for the TCP connection beside UDP.
const WAITING: usize = 16;

/// The way to the registrar.
#[derive(Debug)]
pub(crate) struct Transports {
    main: Main,
    beside: Beside,
    arrivals: (mpsc::Sender<Arrival>, mpsc::Receiver<Arrival>),
    terms: Terms,
    keep_alive: Duration,
}

#[derive(Debug)]
enum Main {
    Udp(Datagrams),
    Stream(Connection),
    /// The connection is gone.
    Down,
}

/// A socket for datagrams, and the way through it to the registrar.
#[derive(Debug)]
struct Datagrams {
    socket: UdpSocket,
    registrar: SocketAddr,
    pulse: stun::Pulse,
    beats: Interval,
}

/// The TCP connection beside UDP.
#[derive(Debug)]
enum Beside {
    None,
    Opening(Place, Vec<Bytes>),
    Open(Connection),
    RefusedAt(Instant),
}

/// What the SIP loop is told.
#[derive(Debug)]
pub(crate) enum Received {
    /// One message.
    Message {
        transport: Transport,
        from: SocketAddr,
        length: Length,
    },
    /// What was sent there over this transport failed.
    Failed {
        transport: Transport,
        destination: SocketAddr,
    },
    /// The way to us over UDP is another one, or none: the registrar has to be told anew.
    Rerouted,
    /// The connection to the registrar is gone.
    Down { place: Place, words: String },
    /// Nothing that concerns anybody.
    Nothing,
}

/// Where a message lies: in the caller's buffer, or by itself.
#[derive(Debug)]
pub(crate) enum Length {
    InBuffer(usize),
    Own(Bytes),
}

impl Transports {
    /// Over UDP, from this socket to this registrar.
    pub(crate) fn udp(
        socket: UdpSocket,
        registrar: SocketAddr,
        terms: Terms,
        keep_alive: Duration,
    ) -> Self {
        unreachable::ask_for(&socket);
        let datagrams = Datagrams {
            socket,
            registrar,
            pulse: stun::Pulse::default(),
            // Translators forget UDP sooner than connections (RFC 5626 section 4.4.2).
            beats: connection::ticks(keep_alive * 4 / 5),
        };
        Self::new(
            Main::Udp(datagrams),
            mpsc::channel(ARRIVALS),
            terms,
            keep_alive,
        )
    }

    /// Whether the registrar answers STUN where it speaks SIP; over connections that makes no difference.
    pub(crate) fn set_answers_stun(&mut self, answers: bool) {
        if let Main::Udp(datagrams) = &mut self.main {
            datagrams.pulse.set_answers(answers);
        }
    }

    /// Over a connection that stands.
    pub(crate) fn stream(established: Established, terms: Terms, keep_alive: Duration) -> Self {
        let arrivals = mpsc::channel(ARRIVALS);
        let connection = Connection::start(established, arrivals.0.clone(), keep_alive);
        Self::new(Main::Stream(connection), arrivals, terms, keep_alive)
    }

    fn new(
        main: Main,
        arrivals: (mpsc::Sender<Arrival>, mpsc::Receiver<Arrival>),
        terms: Terms,
        keep_alive: Duration,
    ) -> Self {
        Self {
            main,
            beside: Beside::None,
            arrivals,
            terms,
            keep_alive,
        }
    }

    /// Whether there is a way to the registrar at all.
    pub(crate) fn is_up(&self) -> bool {
        !matches!(self.main, Main::Down)
    }

    /// The next thing from the network; datagrams are put into `buffer`. May be dropped at any moment without loss.
    pub(crate) async fn receive(&mut self, buffer: &mut [u8]) -> io::Result<Received> {
        let arrival = match &mut self.main {
            Main::Udp(datagrams) => tokio::select! {
                received = datagrams.receive(buffer) => return received,
                arrival = self.arrivals.1.recv() => arrival,
            },
            Main::Stream(_) | Main::Down => self.arrivals.1.recv().await,
        };
        Ok(arrival.map_or(Received::Nothing, |arrival| self.arrived(arrival)))
    }

    /// Sends one message. False when there is no connection for it, and none is being made, or no way for datagrams.
    pub(crate) async fn send(&mut self, transmit: Transmit) -> bool {
        match &self.main {
            Main::Udp(_) if transmit.transport == Transport::Tcp => self.send_beside(transmit),
            Main::Udp(datagrams) => datagrams.send(&transmit).await,
            // Everything goes by the one connection, to the registrar (RFC 5626).
            Main::Stream(connection) => connection.send(transmit.bytes),
            Main::Down => false,
        }
    }

    /// The same without waiting: what cannot be taken at once is lost.
    pub(crate) fn send_now(&self, transmit: &Transmit) {
        match &self.main {
            Main::Udp(datagrams) => {
                let _ = datagrams
                    .socket
                    .try_send_to(&transmit.bytes, transmit.destination);
            }
            Main::Stream(connection) => {
                let _ = connection.send(transmit.bytes.clone());
            }
            Main::Down => {}
        }
    }

    fn arrived(&mut self, arrival: Arrival) -> Received {
        match arrival {
            Arrival::Message { place, bytes } => Received::Message {
                transport: place.transport,
                from: place.address,
                length: Length::Own(bytes),
            },
            Arrival::Lost {
                place,
                local,
                words,
            } => self.lost(place, local, words),
            Arrival::Opened(established) => {
                self.opened(*established);
                Received::Nothing
            }
            Arrival::Unopened { place, words } => {
                tracing::debug!(%words, "no TCP connection for a long request");
                self.beside = Beside::RefusedAt(Instant::now());
                let Place {
                    transport,
                    address: destination,
                } = place;
                Received::Failed {
                    transport,
                    destination,
                }
            }
        }
    }

    fn lost(&mut self, place: Place, local: SocketAddr, words: String) -> Received {
        let is = |connection: &Connection| (connection.place, connection.local) == (place, local);
        if matches!(&self.main, Main::Stream(connection) if is(connection)) {
            self.main = Main::Down;
            return Received::Down { place, words };
        }
        if matches!(&self.beside, Beside::Open(connection) if is(connection)) {
            self.beside = Beside::None;
        }
        let Place {
            transport,
            address: destination,
        } = place;
        Received::Failed {
            transport,
            destination,
        }
    }

    fn opened(&mut self, established: Established) {
        let opening = std::mem::replace(&mut self.beside, Beside::None);
        let Beside::Opening(_, waiting) = opening else {
            return;
        };
        let arrivals = self.arrivals.0.clone();
        let connection = Connection::start(established, arrivals, self.keep_alive);
        for bytes in waiting {
            connection.send(bytes);
        }
        self.beside = Beside::Open(connection);
    }

    fn send_beside(&mut self, transmit: Transmit) -> bool {
        let place = Place {
            transport: Transport::Tcp,
            address: transmit.destination,
        };
        match &mut self.beside {
            Beside::Open(connection) if connection.place == place => {
                return connection.send(transmit.bytes);
            }
            Beside::Opening(opening, waiting) if *opening == place && waiting.len() < WAITING => {
                waiting.push(transmit.bytes);
                return true;
            }
            Beside::Opening(..) => return false,
            Beside::RefusedAt(at) if at.elapsed() < REFUSED => return false,
            Beside::Open(_) | Beside::RefusedAt(_) | Beside::None => {}
        }
        self.beside = Beside::Opening(place, vec![transmit.bytes]);
        let (terms, arrivals) = (self.terms.clone(), self.arrivals.0.clone());
        tokio::spawn(async move {
            let arrival = match dial(place, &terms).await {
                Ok(established) => Arrival::Opened(Box::new(established)),
                Err(words) => Arrival::Unopened { place, words },
            };
            let _ = arrivals.send(arrival).await;
        });
        true
    }
}

impl Datagrams {
    /// Sends a datagram; false when the system says at once that it cannot.
    async fn send(&self, transmit: &Transmit) -> bool {
        // A socket tells what became of an earlier datagram in place of sending the next one.
        for _ in 0..2 {
            let sent = self.socket.send_to(&transmit.bytes, transmit.destination);
            match sent.await {
                Ok(_) => return true,
                Err(error) => {
                    tracing::debug!(%error, destination = %transmit.destination, "SIP socket");
                }
            }
        }
        false
    }

    /// The next datagram, or news of the way. May be dropped at any moment without loss.
    async fn receive(&mut self, buffer: &mut [u8]) -> io::Result<Received> {
        tokio::select! {
            ready = self.socket.ready(unreachable::INTEREST) => {
                match ready?.is_error().then(|| unreachable::next(&self.socket)).flatten() {
                    Some(destination) => Ok(failed(destination)),
                    None => self.take(buffer),
                }
            }
            _ = self.beats.tick() => {
                let (sign, way) = self.pulse.beat(rand::random());
                // A lost one is one of several.
                let _ = self.socket.try_send_to(&sign, self.registrar);
                Ok(news(way))
            }
        }
    }

    /// A datagram that has come, if any.
    fn take(&mut self, buffer: &mut [u8]) -> io::Result<Received> {
        let (length, from) = match self.socket.try_recv_from(buffer) {
            Ok(received) => received,
            // Windows tells of ICMP this way, and not what it is about: nearly all we send goes to the registrar.
            Err(error) if error.kind() == io::ErrorKind::ConnectionReset => {
                return Ok(failed(self.registrar));
            }
            Err(error) if error.kind() == io::ErrorKind::WouldBlock => {
                return Ok(Received::Nothing);
            }
            Err(error) => return Err(error),
        };
        let datagram = buffer.get(..length).unwrap_or_default();
        if !stun::is_stun(datagram) {
            return Ok(Received::Message {
                transport: Transport::Udp,
                from,
                length: Length::InBuffer(length),
            });
        }
        Ok(match from == self.registrar {
            true => news(self.pulse.hear(datagram)),
            false => Received::Nothing,
        })
    }
}

fn failed(destination: SocketAddr) -> Received {
    Received::Failed {
        transport: Transport::Udp,
        destination,
    }
}

fn news(way: stun::Way) -> Received {
    match way {
        stun::Way::Same => Received::Nothing,
        stun::Way::Other => Received::Rerouted,
    }
}
