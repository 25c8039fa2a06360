//! A client's TCP connection, cut when nobody reads at its other end.
//!
//! What waits to be sent is memory, and a peer that takes nothing would hold it for as long as it
//! likes: HTTP has no time-out for it, and Engine.IO's pings are fooled by a client that says "pong"
//! without having read a thing.

use std::{
    io,
    pin::Pin,
    sync::{
        Arc,
        atomic::{AtomicBool, Ordering},
    },
    task::{Context, Poll, ready},
    time::Duration,
};

use tokio::{
    io::{AsyncRead, AsyncWrite, ReadBuf},
    net::TcpStream,
    time::{Instant, Sleep},
};
use tokio_util::sync::{CancellationToken, WaitForCancellationFutureOwned};

use crate::metrics::{Door, Metrics};

/// The stream, watched.
pub(crate) struct Line {
    stream: TcpStream,
    patience: Duration,
    /// Runs while the peer takes nothing.
    stalled: Option<Pin<Box<Sleep>>>,
    cut: Pin<Box<WaitForCancellationFutureOwned>>,
    state: Arc<State>,
    metrics: Metrics,
}

/// What others may know of a line.
#[derive(Debug, Default)]
pub(crate) struct State {
    blocked: AtomicBool,
    /// Something was heard since something was last said.
    asked: AtomicBool,
    heard: AtomicBool,
    cut: CancellationToken,
}

impl State {
    /// The peer has not taken all that it was sent.
    pub(crate) fn is_blocked(&self) -> bool {
        self.blocked.load(Ordering::Relaxed)
    }

    /// How a connection that asked for nothing in time is called; none for one that was merely kept.
    pub(crate) fn silence(&self) -> Option<&'static str> {
        if !self.heard.load(Ordering::Relaxed) {
            Some("silent")
        } else if self.asked.load(Ordering::Relaxed) {
            Some("slow_headers")
        } else {
            None
        }
    }
}

impl Line {
    /// Watches `stream`: who takes nothing of what waits for `patience` is cut off.
    pub(crate) fn new(stream: TcpStream, patience: Duration, metrics: Metrics) -> Self {
        let state = Arc::<State>::default();
        Self {
            stream,
            patience,
            stalled: None,
            cut: Box::pin(state.cut.clone().cancelled_owned()),
            state,
            metrics,
        }
    }

    pub(crate) fn state(&self) -> Arc<State> {
        Arc::clone(&self.state)
    }

    pub(crate) fn metrics(&self) -> Metrics {
        self.metrics.clone()
    }

    fn write(
        &mut self,
        cx: &mut Context<'_>,
        write: impl FnOnce(Pin<&mut TcpStream>, &mut Context<'_>) -> Poll<io::Result<usize>>,
    ) -> Poll<io::Result<usize>> {
        if self.state.cut.is_cancelled() {
            return Poll::Ready(Err(unread()));
        }
        if let Poll::Ready(written) = write(Pin::new(&mut self.stream), cx) {
            self.stalled = None;
            self.state.blocked.store(false, Ordering::Relaxed);
            self.state.asked.store(false, Ordering::Relaxed);
            return Poll::Ready(written);
        }
        self.state.blocked.store(true, Ordering::Relaxed);
        let patience = self.patience;
        let stalled = self
            .stalled
            .get_or_insert_with(|| Box::pin(tokio::time::sleep_until(Instant::now() + patience)));
        ready!(stalled.as_mut().poll(cx));
        tracing::warn!("a client takes nothing of what it is sent; its connection is cut");
        self.metrics.refused(Door::Connection, "unread");
        // Whoever reads from this line must hear of it too, or the session would go on without it.
        self.state.cut.cancel();
        Poll::Ready(Err(unread()))
    }
}

impl AsyncRead for Line {
    fn poll_read(
        mut self: Pin<&mut Self>,
        cx: &mut Context<'_>,
        buffer: &mut ReadBuf<'_>,
    ) -> Poll<io::Result<()>> {
        if self.cut.as_mut().poll(cx).is_ready() {
            return Poll::Ready(Err(unread()));
        }
        let before = buffer.filled().len();
        ready!(Pin::new(&mut self.stream).poll_read(cx, buffer))?;
        if buffer.filled().len() > before {
            self.state.heard.store(true, Ordering::Relaxed);
            self.state.asked.store(true, Ordering::Relaxed);
        }
        Poll::Ready(Ok(()))
    }
}

impl AsyncWrite for Line {
    fn poll_write(
        self: Pin<&mut Self>,
        cx: &mut Context<'_>,
        bytes: &[u8],
    ) -> Poll<io::Result<usize>> {
        self.get_mut()
            .write(cx, |stream, cx| stream.poll_write(cx, bytes))
    }

    fn poll_write_vectored(
        self: Pin<&mut Self>,
        cx: &mut Context<'_>,
        slices: &[io::IoSlice<'_>],
    ) -> Poll<io::Result<usize>> {
        self.get_mut()
            .write(cx, |stream, cx| stream.poll_write_vectored(cx, slices))
    }

    fn is_write_vectored(&self) -> bool {
        self.stream.is_write_vectored()
    }

    fn poll_flush(mut self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<io::Result<()>> {
        Pin::new(&mut self.stream).poll_flush(cx)
    }

    fn poll_shutdown(mut self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<io::Result<()>> {
        Pin::new(&mut self.stream).poll_shutdown(cx)
    }
}

fn unread() -> io::Error {
    io::Error::new(io::ErrorKind::TimedOut, "the peer takes nothing")
}
