//! Accepting connections: bounded in number, of one address as of all, and closed when they do not speak or do not
//! listen.

use std::{
    convert::Infallible,
    net::{IpAddr, SocketAddr},
    sync::Arc,
    time::Duration,
};

use axum::{Router, body::Body, extract::ConnectInfo, response::Response};
use hyper::{Request, body::Incoming, server::conn::http1};
use hyper_util::{
    rt::{TokioIo, TokioTimer},
    service::TowerToHyperService,
};
use tokio::{
    io::{AsyncRead, AsyncWrite},
    net::{TcpListener, TcpStream},
    sync::{OwnedSemaphorePermit, Semaphore},
    time::timeout,
};
use tokio_rustls::TlsAcceptor;
use tokio_util::{sync::CancellationToken, task::TaskTracker};
use tower::{ServiceExt as _, util::BoxCloneService};

use crate::{
    config::Config,
    line::{self, Line},
    metrics::{Counted, Door, Metrics},
    routes::room,
    shares::{Share, Shares},
};

/// The most a request's headers may hold, bytes.
const HEADER_BYTES: usize = 16 * 1024;
/// The most headers a request may have.
const HEADER_COUNT: usize = 64;
/// How long requests under way may take when the server ends.
const FAREWELL: Duration = Duration::from_secs(5);
/// Connections beyond their address's share that are told so at a time; more are closed without a word.
const TOLD: usize = 64;
/// How long one of them may take to ask.
const BRIEFLY: Duration = Duration::from_secs(2);
/// The pause after the system had no descriptor to give.
const BREATH: Duration = Duration::from_millis(100);

/// What answers the requests of one connection.
type App = BoxCloneService<Request<Incoming>, Response, Infallible>;

/// What holds for every connection of a listener.
#[derive(Clone)]
pub(crate) struct Limits {
    tls: Option<TlsAcceptor>,
    connections: usize,
    per_address: usize,
    /// Proxies: their connections are many people's.
    trusted: Arc<[IpAddr]>,
    /// How long a connection may take to say a request's headers, the wait for it included.
    headers: Duration,
    /// How long it may take nothing of what it is sent.
    unread: Duration,
}

impl From<&Config> for Limits {
    fn from(config: &Config) -> Self {
        let limits = &config.limits;
        Self {
            tls: None,
            connections: limits.connections,
            per_address: limits.connections_per_address,
            trusted: config.trusted.as_slice().into(),
            headers: Duration::from_millis(limits.headers_timeout_ms),
            unread: Duration::from_millis(limits.unread_timeout_ms),
        }
    }
}

impl Limits {
    /// The same over TLS, if there is an acceptor.
    pub(crate) fn over(self, tls: Option<TlsAcceptor>) -> Self {
        Self { tls, ..self }
    }

    /// For a connection that is only to be told that there is no place.
    fn brief(self) -> Self {
        Self {
            headers: self.headers.min(BRIEFLY),
            ..self
        }
    }
}

/// Serves `app` until stopped, with at most so many connections at a time; then lets requests under
/// way finish. Connections that became WebSockets are not waited for.
pub(crate) async fn serve(
    listener: TcpListener,
    app: Router,
    limits: Limits,
    metrics: Metrics,
    stop: CancellationToken,
) {
    let room = Arc::new(Semaphore::new(limits.connections));
    let shares = Shares::new(limits.connections, limits.per_address);
    let told = Arc::new(Semaphore::new(TOLD));
    let refusing = Router::new().fallback(room::refuse);
    let under_way = TaskTracker::new();
    loop {
        let accepted = tokio::select! {
            () = stop.cancelled() => break,
            accepted = accept(&listener, &room) => accepted,
        };
        match accepted {
            Ok((stream, peer, place)) => {
                let (app, place, limits) = match share(&shares, peer, &limits) {
                    Ok(share) => (&app, (place, share), limits.clone()),
                    Err(NoShare) => {
                        metrics.refused(Door::Connection, "too_many_connections");
                        let Ok(place) = Arc::clone(&told).try_acquire_owned() else {
                            continue;
                        };
                        (&refusing, (place, None), limits.clone().brief())
                    }
                };
                let line = Line::new(stream, limits.unread, metrics.clone());
                let connection = Connection::new(&line, place, metrics.connection());
                let service = named(app.clone(), peer, connection);
                under_way.spawn(converse(line, service, limits, stop.clone()));
            }
            Err(error) => {
                tracing::warn!(%error, "a connection could not be accepted");
                tokio::time::sleep(BREATH).await;
            }
        }
    }
    drop(listener);
    under_way.close();
    let _ = tokio::time::timeout(FAREWELL, under_way.wait()).await;
}

/// Takes room first: who finds none waits in the system's queue, unaccepted.
async fn accept(
    listener: &TcpListener,
    room: &Arc<Semaphore>,
) -> std::io::Result<(TcpStream, SocketAddr, OwnedSemaphorePermit)> {
    let permit = Arc::clone(room)
        .acquire_owned()
        .await
        .map_err(std::io::Error::other)?;
    let (stream, peer) = listener.accept().await?;
    // A delta is small and wanted now.
    stream.set_nodelay(true)?;
    Ok((stream, peer, permit))
}

/// Its address has as many connections as one may have.
struct NoShare;

/// The peer's place among its address's; none is needed of a proxy.
fn share(shares: &Shares, peer: SocketAddr, limits: &Limits) -> Result<Option<Share>, NoShare> {
    let address = peer.ip().to_canonical();
    if limits.trusted.contains(&address) {
        return Ok(None);
    }
    let share = shares.take(Some(address)).map_err(|_| NoShare)?;
    Ok(Some(share))
}

/// A place in the room, and in its address's share.
type Place = (OwnedSemaphorePermit, Option<Share>);

/// A connection, as its requests carry it. A Socket.IO connection keeps the request it was made of:
/// so the place in the room is taken for as long as either lives.
#[derive(Clone, Debug)]
pub(crate) struct Connection {
    line: Arc<line::State>,
    _held: Arc<(Place, Counted)>,
}

impl Connection {
    fn new(line: &Line, place: Place, counted: Counted) -> Self {
        Self {
            line: line.state(),
            _held: Arc::new((place, counted)),
        }
    }

    /// Its peer has not taken all that it was sent.
    pub(crate) fn is_blocked(&self) -> bool {
        self.line.is_blocked()
    }
}

/// The app, told with each request who asks.
fn named(app: Router, peer: SocketAddr, connection: Connection) -> App {
    BoxCloneService::new(app.map_request(move |request: Request<Incoming>| {
        let mut request = request.map(Body::new);
        request.extensions_mut().insert(ConnectInfo(peer));
        request.extensions_mut().insert(connection.clone());
        request
    }))
}

async fn converse(line: Line, app: App, limits: Limits, stop: CancellationToken) {
    let Some(tls) = &limits.tls else {
        let (state, metrics) = (line.state(), line.metrics());
        return speak(line, app, (&state, &metrics), limits.headers, stop).await;
    };
    let (state, metrics) = (line.state(), line.metrics());
    let shaken = tokio::select! {
        shaken = timeout(limits.headers, tls.accept(line)) => shaken,
        () = stop.cancelled() => return,
    };
    match shaken {
        Ok(Ok(stream)) => speak(stream, app, (&state, &metrics), limits.headers, stop).await,
        Ok(Err(error)) => {
            tracing::debug!(%error, "a connection spoke no TLS");
            metrics.refused(Door::Connection, "not_tls");
        }
        Err(_) => metrics.refused(Door::Connection, "silent"),
    }
}

async fn speak(
    stream: impl AsyncRead + AsyncWrite + Unpin + Send + 'static,
    app: App,
    (state, metrics): (&line::State, &Metrics),
    headers: Duration,
    stop: CancellationToken,
) {
    let served = http1::Builder::new()
        .timer(TokioTimer::new())
        .header_read_timeout(headers)
        .max_buf_size(HEADER_BYTES)
        .max_headers(HEADER_COUNT)
        .serve_connection(TokioIo::new(stream), TowerToHyperService::new(app))
        .with_upgrades();
    tokio::pin!(served);
    let ended = tokio::select! {
        ended = served.as_mut() => ended,
        () = stop.cancelled() => {
            served.as_mut().graceful_shutdown();
            served.await
        }
    };
    if let Err(error) = ended
        && let Some(kind) = refusal(&error, state)
    {
        tracing::debug!(%error, kind, "a connection ended badly");
        metrics.refused(Door::Connection, kind);
    }
}

/// What was wrong with a connection; none where nothing was, or where it was named already.
fn refusal(error: &hyper::Error, line: &line::State) -> Option<&'static str> {
    if error.is_timeout() {
        line.silence()
    } else if error.is_parse_too_large() {
        Some("headers_too_large")
    } else if error.is_parse() {
        Some("not_http")
    } else if error.is_incomplete_message() {
        Some("cut_short")
    } else {
        None
    }
}
