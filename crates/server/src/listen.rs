//! Accepting connections: bounded in number, and closed when they do not speak.

use std::{net::SocketAddr, sync::Arc, time::Duration};

use axum::{Router, body::Body, extract::ConnectInfo};
use hyper::{Request, body::Incoming, server::conn::http1};
use hyper_util::{
    rt::{TokioIo, TokioTimer},
    service::TowerToHyperService,
};
use tokio::{
    net::{TcpListener, TcpStream},
    sync::{OwnedSemaphorePermit, Semaphore},
};
use tokio_util::{sync::CancellationToken, task::TaskTracker};
use tower::ServiceExt as _;

/// How long a connection may take to say a request's headers, the wait for it included.
const HEADERS: Duration = Duration::from_secs(30);
/// The most a request's headers may hold, bytes.
const HEADER_BYTES: usize = 16 * 1024;
/// The most headers a request may have.
const HEADER_COUNT: usize = 64;
/// How long requests under way may take when the server ends.
const FAREWELL: Duration = Duration::from_secs(5);
/// The pause after the system had no descriptor to give.
const BREATH: Duration = Duration::from_millis(100);

/// Serves `app` until stopped, with at most `connections` at a time; then lets requests under way
/// finish. Connections that became WebSockets are not waited for.
pub(crate) async fn serve(
    listener: TcpListener,
    app: Router,
    connections: usize,
    stop: CancellationToken,
) {
    let room = Arc::new(Semaphore::new(connections));
    let under_way = TaskTracker::new();
    loop {
        let accepted = tokio::select! {
            () = stop.cancelled() => break,
            accepted = accept(&listener, &room) => accepted,
        };
        match accepted {
            Ok((stream, peer, place)) => {
                under_way.spawn(converse(stream, peer, place, app.clone(), stop.clone()));
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

/// A connection's place in the room. Each request carries it, and a Socket.IO connection keeps the
/// request it was made of: so the place is taken for as long as either lives.
#[derive(Clone, Debug)]
struct Place(#[expect(dead_code, reason = "held, not read")] Arc<OwnedSemaphorePermit>);

async fn converse(
    stream: TcpStream,
    peer: SocketAddr,
    place: OwnedSemaphorePermit,
    app: Router,
    stop: CancellationToken,
) {
    let place = Place(Arc::new(place));
    let service = app.map_request(move |request: Request<Incoming>| {
        let mut request = request.map(Body::new);
        request.extensions_mut().insert(ConnectInfo(peer));
        request.extensions_mut().insert(place.clone());
        request
    });
    let connection = http1::Builder::new()
        .timer(TokioTimer::new())
        .header_read_timeout(HEADERS)
        .max_buf_size(HEADER_BYTES)
        .max_headers(HEADER_COUNT)
        .serve_connection(TokioIo::new(stream), TowerToHyperService::new(service))
        .with_upgrades();
    tokio::pin!(connection);
    let ended = tokio::select! {
        ended = connection.as_mut() => ended,
        () = stop.cancelled() => {
            connection.as_mut().graceful_shutdown();
            connection.await
        }
    };
    if let Err(error) = ended {
        tracing::debug!(%error, "a connection ended badly");
    }
}
