//! Room for requests that come through proxies and for Socket.IO sessions, each client's by its address; and how often
//! one address may ask.
//!
//! A connection has its place from the listener, by its peer. Of a proxy's connections that says nothing: there
//! each request has one, by whom the proxy says it is for. And a session of Socket.IO that polls holds no
//! connection at all, so sessions are counted as such, however they are carried. What such a session says once it was
//! admitted is bounded by its own pace: it is no request that an address is refused for, as a flood from somebody else's
//! computer would then silence the heartbeats of a whole site. Who only names a session that is not there asks like
//! anybody.

use std::{
    net::{IpAddr, SocketAddr},
    sync::Arc,
    time::Instant,
};

use axum::{
    extract::{ConnectInfo, Request, State},
    http::{HeaderValue, Method, StatusCode, header},
    middleware::Next,
    response::{IntoResponse as _, Response},
};

use super::{ApiError, client};
use crate::{
    budget::Rates,
    config::Config,
    metrics::{Counted, Door, Metrics},
    realtime::Polls,
    shares::{NoPlace, Share, Shares, network},
};

/// What there is room for.
#[derive(Debug)]
pub(crate) struct Room {
    trusted: Vec<IpAddr>,
    forwarded: Shares,
    sockets: Shares,
    requests: Rates<IpAddr>,
    polls: Polls,
    metrics: Metrics,
}

/// The place of a Socket.IO session, which keeps the request that opened it for as long as it lives.
#[derive(Clone, Debug)]
struct Socket {
    _place: Arc<(Share, Counted)>,
}

impl Room {
    pub(crate) fn new(config: &Config, polls: Polls, metrics: Metrics) -> Self {
        let limits = &config.limits;
        Self {
            trusted: config.trusted.clone(),
            forwarded: Shares::new(limits.connections, limits.connections_per_address),
            sockets: Shares::new(limits.sockets, limits.sockets_per_address),
            requests: Rates::a_second(limits.requests_per_address),
            polls,
            metrics,
        }
    }

    /// Whether the address may ask now.
    fn may_ask(&self, of: &Client, request: &Request) -> Result<(), ApiError> {
        let Some(address) = of.address.filter(|_| !self.polls.has(request)) else {
            return Ok(());
        };
        let taken = self.requests.take(network(address), Instant::now());
        taken.map_err(|wait| {
            let error = ApiError::too_often("too_many_requests", "This address", wait);
            self.metrics.refused(Door::Http, error.code());
            error
        })
    }

    /// A place for the request itself, where it came through a proxy.
    fn for_request(&self, of: &Client) -> Result<Option<Share>, ApiError> {
        if !of.is_forwarded {
            return Ok(None);
        }
        let taken = self.forwarded.take(of.address);
        taken.map(Some).map_err(|why| {
            let error = crowded(why);
            self.metrics.refused(Door::Http, error.code());
            error
        })
    }

    /// A place for the session that the request opens, if it does.
    fn for_socket(&self, of: &Client, request: &Request) -> Result<Option<Socket>, ApiError> {
        if !opens_a_socket(request) {
            return Ok(None);
        }
        match self.sockets.take(of.address) {
            Ok(share) => Ok(Some(Socket {
                _place: Arc::new((share, self.metrics.socket())),
            })),
            Err(why) => {
                let error = match why {
                    NoPlace::Share => ApiError::too_many_here(
                        "too_many_sockets",
                        "This address has as many Socket.IO sessions as one may have.",
                    ),
                    NoPlace::Any => full(),
                };
                self.metrics.refused(Door::SocketIo, error.code());
                Err(error)
            }
        }
    }
}

/// Whose a request is.
struct Client {
    /// None where only proxies of ours are known of it.
    address: Option<IpAddr>,
    is_forwarded: bool,
}

impl Client {
    fn of(request: &Request, trusted: &[IpAddr]) -> Self {
        let peer = request.extensions().get::<ConnectInfo<SocketAddr>>();
        let Some(ConnectInfo(peer)) = peer else {
            return Self {
                address: None,
                is_forwarded: false,
            };
        };
        let address = client::address(*peer, request.headers(), trusted);
        Self {
            address: Some(address).filter(|address| !trusted.contains(address)),
            is_forwarded: trusted.contains(&peer.ip().to_canonical()),
        }
    }
}

/// Lets a request in that there is room for.
pub(crate) async fn make(
    State(room): State<Arc<Room>>,
    mut request: Request,
    next: Next,
) -> Response {
    let client = Client::of(&request, &room.trusted);
    if let Err(error) = room.may_ask(&client, &request) {
        return error.into_response();
    }
    let _held = match room.for_request(&client) {
        Ok(held) => held,
        Err(error) => return error.into_response(),
    };
    match room.for_socket(&client, &request) {
        Ok(Some(socket)) => drop(request.extensions_mut().insert(socket)),
        Ok(None) => {}
        Err(error) => return error.into_response(),
    }
    next.run(request).await
}

/// Answers all that a connection asks that has no place of its own: why, and that it is the last.
pub(crate) async fn refuse() -> Response {
    let mut answer = crowded(NoPlace::Share).into_response();
    let close = HeaderValue::from_static("close");
    answer.headers_mut().insert(header::CONNECTION, close);
    answer
}

/// As Engine.IO judges it: a request without an id opens a session, whatever it is carried by.
fn opens_a_socket(request: &Request) -> bool {
    request.method() == Method::GET && is_socketio(request) && !names_a_socket(request)
}

fn is_socketio(request: &Request) -> bool {
    request.uri().path().starts_with("/socket.io")
}

fn names_a_socket(request: &Request) -> bool {
    let named = |query: &str| query.split('&').any(|field| field.starts_with("sid="));
    request.uri().query().is_some_and(named)
}

fn crowded(why: NoPlace) -> ApiError {
    match why {
        NoPlace::Share => ApiError::too_many_here(
            "too_many_connections",
            "This address has as many connections as one may have.",
        ),
        NoPlace::Any => full(),
    }
}

fn full() -> ApiError {
    ApiError::new(
        StatusCode::SERVICE_UNAVAILABLE,
        "full",
        "The server has as many clients as it may have.",
    )
    .next("Try again in a moment.")
    .retry_after(5)
}

#[cfg(test)]
mod tests {
    use axum::body::Body;

    use super::*;

    #[test]
    fn only_a_request_without_an_id_opens_a_socket() {
        let of = |method: Method, address: &str| {
            let request = Request::builder().method(method).uri(address);
            opens_a_socket(&request.body(Body::empty()).unwrap())
        };
        let socket = "/socket.io/?EIO=4&transport=";
        for carried in ["websocket", "polling"] {
            assert!(of(Method::GET, &format!("{socket}{carried}")));
            assert!(!of(Method::GET, &format!("{socket}{carried}&sid=AA9")));
        }
        // What Engine.IO does not take for an id is none here either.
        assert!(of(
            Method::GET,
            &format!("{socket}polling&xsid=AA9&%73id=AA9")
        ));
        assert!(!of(Method::POST, &format!("{socket}polling")));
        assert!(!of(Method::GET, "/healthz"));
    }

    #[test]
    fn a_proxy_has_no_share_and_who_stands_behind_it_has() {
        let proxy: IpAddr = "192.0.2.1".parse().unwrap();
        let client = |peer: [u8; 4], forwarded: Option<&str>| {
            let mut request = Request::new(Body::empty());
            let peer = SocketAddr::from((peer, 1));
            request.extensions_mut().insert(ConnectInfo(peer));
            if let Some(forwarded) = forwarded {
                let value = forwarded.parse().unwrap();
                request.headers_mut().insert("x-forwarded-for", value);
            }
            let client = Client::of(&request, &[proxy]);
            (
                client.address.map(|address| address.to_string()),
                client.is_forwarded,
            )
        };
        let (through, direct) = ([192, 0, 2, 1], [198, 51, 100, 7]);
        let far = "203.0.113.9".to_owned();
        assert_eq!(client(through, Some(&far)), (Some(far.clone()), true));
        assert_eq!(client(through, None), (None, true));
        let own = Some("198.51.100.7".to_owned());
        assert_eq!(client(direct, Some(&far)), (own.clone(), false));
        assert_eq!(client(direct, None), (own, false));
    }
}
