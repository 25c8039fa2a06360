//! One connection at work: a task that reads, writes and keeps it alive, and the handle to it.

use std::net::SocketAddr;
use std::time::Duration;

use bytes::Bytes;
use futures_util::{SinkExt as _, StreamExt as _};
use rollcall_sip::message::{Frame, Framing, PING, PONG};
use tokio::io::{AsyncRead, AsyncReadExt as _, AsyncWrite, AsyncWriteExt as _};
use tokio::sync::mpsc;
use tokio::time::{Instant, MissedTickBehavior, interval_at, timeout};
use tokio_tungstenite::WebSocketStream;
use tokio_tungstenite::tungstenite::Message;

use super::dial::{Established, Wire};
use crate::resolve::Place;

/// Messages that may wait for a connection that does not take them.
const QUEUE: usize = 64;
/// How long the other side may take to accept one message.
const WRITE_PATIENCE: Duration = Duration::from_secs(10);
/// Bytes read at once.
const PIECE: usize = 16 * 1024;

/// Something that came from a connection.
#[derive(Debug)]
pub(crate) enum Arrival {
    /// One whole message.
    Message { place: Place, bytes: Bytes },
    /// The connection is gone, and why.
    Lost {
        place: Place,
        local: SocketAddr,
        words: String,
    },
    /// A connection beside the main one stands.
    Opened(Box<Established>),
    /// It does not.
    Unopened { place: Place, words: String },
}

/// A connection that somebody else works on. Dropping it sends what is queued and closes.
#[derive(Debug)]
pub(super) struct Connection {
    pub(super) place: Place,
    pub(super) local: SocketAddr,
    queue: mpsc::Sender<Bytes>,
}

impl Connection {
    /// Sets a connection to work; what comes goes to `arrivals`.
    pub(super) fn start(
        established: Established,
        arrivals: mpsc::Sender<Arrival>,
        keep_alive: Duration,
    ) -> Self {
        let Established { place, local, wire } = established;
        let (queue, outgoing) = mpsc::channel(QUEUE);
        let work = Work {
            place,
            outgoing,
            arrivals,
            keep_alive,
        };
        tokio::spawn(async move {
            let arrivals = work.arrivals.clone();
            let ended = match wire {
                Wire::Tcp(stream) => work.on_stream(stream).await,
                Wire::Tls(stream) => work.on_stream(*stream).await,
                Wire::Ws(socket) => work.on_websocket(*socket).await,
                Wire::Wss(socket) => work.on_websocket(*socket).await,
            };
            if let Err(words) = ended {
                let _ = arrivals
                    .send(Arrival::Lost {
                        place,
                        local,
                        words,
                    })
                    .await;
            }
        });
        Self {
            place,
            local,
            queue,
        }
    }

    /// Queues one message; false when the connection is gone, or so slow that it may as well be.
    pub(super) fn send(&self, bytes: Bytes) -> bool {
        self.queue.try_send(bytes).is_ok()
    }
}

struct Work {
    place: Place,
    outgoing: mpsc::Receiver<Bytes>,
    arrivals: mpsc::Sender<Arrival>,
    keep_alive: Duration,
}

impl Work {
    /// Until nobody wants it any more (`Ok`), or it breaks.
    async fn on_stream<S: AsyncRead + AsyncWrite>(mut self, stream: S) -> Result<(), String> {
        let (mut reader, mut writer) = tokio::io::split(stream);
        let mut framing = Framing::default();
        let mut piece = vec![0; PIECE];
        let mut pulse = Pulse::new(self.keep_alive);
        let mut ticks = ticks(self.keep_alive);
        loop {
            tokio::select! {
                read = reader.read(&mut piece) => {
                    let length = read.map_err(|error| error.to_string())?;
                    if length == 0 {
                        return Err("the telephone server closed the connection".to_owned());
                    }
                    framing.push(piece.get(..length).unwrap_or_default());
                    while let Some(frame) = framing.next_frame().map_err(|refusal| refusal.reason)? {
                        match frame {
                            Frame::Message(bytes) => self.tell(bytes).await,
                            Frame::Ping => write(&mut writer, PONG).await?,
                            Frame::Pong => pulse.answered(),
                        }
                    }
                }
                message = self.outgoing.recv() => match message {
                    Some(bytes) => write(&mut writer, &bytes).await?,
                    None => {
                        let _ = timeout(WRITE_PATIENCE, writer.shutdown()).await;
                        return Ok(());
                    }
                },
                _ = ticks.tick() => {
                    pulse.ask()?;
                    write(&mut writer, PING).await?;
                }
            }
        }
    }

    /// One SIP message a WebSocket message (RFC 7118 section 5).
    async fn on_websocket<S>(mut self, socket: WebSocketStream<S>) -> Result<(), String>
    where
        S: AsyncRead + AsyncWrite + Unpin,
    {
        let (mut sink, mut source) = socket.split();
        let mut pulse = Pulse::new(self.keep_alive);
        // RFC 6455 section 5.5.2: a pong is owed for every ping.
        pulse.answered();
        let mut ticks = ticks(self.keep_alive);
        loop {
            let message = tokio::select! {
                read = source.next() => {
                    match read.ok_or("the telephone server closed the connection")? {
                        Ok(Message::Text(text)) => self.tell(text.into()).await,
                        Ok(Message::Binary(bytes)) => self.tell(bytes).await,
                        Ok(Message::Pong(_)) => pulse.answered(),
                        Ok(_) => {}
                        Err(error) => return Err(error.to_string()),
                    }
                    continue;
                }
                message = self.outgoing.recv() => match message {
                    Some(bytes) => as_websocket(bytes),
                    None => {
                        let _ = timeout(WRITE_PATIENCE, sink.close()).await;
                        return Ok(());
                    }
                },
                _ = ticks.tick() => {
                    pulse.ask()?;
                    Message::Ping(Bytes::new())
                }
            };
            match timeout(WRITE_PATIENCE, sink.send(message)).await {
                Ok(sent) => sent.map_err(|error| error.to_string())?,
                Err(_) => return Err("the telephone server does not read".to_owned()),
            }
        }
    }

    async fn tell(&self, bytes: Bytes) {
        let place = self.place;
        // Waits where the SIP loop is behind: a stream can be held up, and nothing is lost.
        let _ = self.arrivals.send(Arrival::Message { place, bytes }).await;
    }
}

/// Whether the other side still answers. Some never do (few SIP servers answer CRLF), and are not held to it.
struct Pulse {
    answers: bool,
    waits: bool,
    every: Duration,
}

impl Pulse {
    fn new(every: Duration) -> Self {
        Self {
            answers: false,
            waits: false,
            every,
        }
    }

    fn answered(&mut self) {
        self.answers = true;
        self.waits = false;
    }

    /// Time to ask; an error when the last question was not answered by one who used to.
    fn ask(&mut self) -> Result<(), String> {
        match std::mem::replace(&mut self.waits, true) && self.answers {
            true => Err(format!("no sign of life in {} s", self.every.as_secs())),
            false => Ok(()),
        }
    }
}

pub(super) fn ticks(every: Duration) -> tokio::time::Interval {
    let every = every.max(Duration::from_millis(10));
    let mut ticks = interval_at(Instant::now() + every, every);
    ticks.set_missed_tick_behavior(MissedTickBehavior::Delay);
    ticks
}

async fn write(writer: &mut (impl AsyncWrite + Unpin), bytes: &[u8]) -> Result<(), String> {
    let written = timeout(WRITE_PATIENCE, async {
        writer.write_all(bytes).await?;
        writer.flush().await
    });
    match written.await {
        Ok(written) => written.map_err(|error| error.to_string()),
        Err(_) => Err("the telephone server does not read".to_owned()),
    }
}

/// Text where it is text: some servers take no binary frames.
fn as_websocket(bytes: Bytes) -> Message {
    match std::str::from_utf8(&bytes) {
        Ok(text) => Message::text(text),
        Err(_) => Message::Binary(bytes),
    }
}
