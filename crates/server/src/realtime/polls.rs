//! Connections that are there and, of clients that poll, whether they have fetched what waits for them.
//!
//! A line that nobody reads is seen by its socket; what waits for a client that polls waits in memory,
//! and its words come in whether it fetches or not. So it is noted here when it does.

use std::{
    collections::HashMap,
    sync::{Arc, Mutex, MutexGuard, PoisonError},
    time::Instant,
};

use axum::{
    extract::{Request, State},
    http::Method,
    middleware::Next,
    response::Response,
};
use socketioxide::socket::Sid;

/// When each connection last fetched. Only those that are there are kept.
#[derive(Clone, Debug, Default)]
pub(crate) struct Polls {
    fetched: Arc<Mutex<HashMap<Sid, Instant>>>,
}

impl Polls {
    pub(super) fn begin(&self, socket: Sid) {
        self.all().insert(socket, Instant::now());
    }

    pub(super) fn end(&self, socket: Sid) {
        self.all().remove(&socket);
    }

    /// Whether a request is one of a connection that is there.
    pub(crate) fn has(&self, request: &Request) -> bool {
        named(request).is_some_and(|socket| self.all().contains_key(&socket))
    }

    /// Whether it has fetched since then.
    pub(super) fn fetched_since(&self, socket: Sid, then: Instant) -> bool {
        self.all().get(&socket).is_some_and(|at| *at > then)
    }

    fn fetched(&self, socket: Sid) {
        if let Some(at) = self.all().get_mut(&socket) {
            *at = Instant::now();
        }
    }

    fn all(&self) -> MutexGuard<'_, HashMap<Sid, Instant>> {
        self.fetched.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

/// Notes a fetch once its answer is ready.
pub(crate) async fn note(State(polls): State<Polls>, request: Request, next: Next) -> Response {
    let socket = fetching(&request);
    let response = next.run(request).await;
    if let Some(socket) = socket
        && response.status().is_success()
    {
        polls.fetched(socket);
    }
    response
}

/// The connection that a request fetches for.
fn fetching(request: &Request) -> Option<Sid> {
    named(request).filter(|_| request.method() == Method::GET)
}

/// The connection that a request names, whether or not it is there.
fn named(request: &Request) -> Option<Sid> {
    if !request.uri().path().starts_with("/socket.io") {
        return None;
    }
    let query = request.uri().query()?;
    let mut fields = query.split('&').filter_map(|field| field.split_once('='));
    let (_, sid) = fields.find(|(name, _)| *name == "sid")?;
    sid.parse().ok()
}
