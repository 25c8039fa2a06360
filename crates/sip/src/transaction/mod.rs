//! Transactions (RFC 3261 section 17, RFC 6026): retransmission, matching and time-outs, on a clock that is given.

mod client;
mod layer;
mod server;

use std::net::SocketAddr;
use std::time::Duration;

use bytes::Bytes;

pub(crate) use layer::{
    ClientId, MAGIC_COOKIE, RequestFate, ResponseFate, ServerId, TransactionLayer, received_via,
    reply_address,
};

/// How a message travels.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub enum Transport {
    /// Datagrams.
    Udp,
    /// A TCP connection.
    Tcp,
    /// TLS over TCP.
    Tls,
    /// WebSocket (RFC 7118).
    Ws,
    /// Secure WebSocket (RFC 7118).
    Wss,
}

impl Transport {
    /// Every transport.
    pub const ALL: [Self; 5] = [Self::Udp, Self::Tcp, Self::Tls, Self::Ws, Self::Wss];

    /// The transport of this name (`udp`, `tcp`, `tls`, `ws`, `wss`), in any case.
    pub fn named(name: &str) -> Option<Self> {
        Self::ALL
            .into_iter()
            .find(|known| known.via_token().eq_ignore_ascii_case(name))
    }

    /// Whether the transport itself delivers or fails, so that requests are sent once.
    pub fn is_reliable(self) -> bool {
        self != Self::Udp
    }

    /// The port where none is given (RFC 3261 section 19.1.2, RFC 7118 section 8).
    pub fn default_port(self) -> u16 {
        match self {
            Self::Udp | Self::Tcp => 5060,
            Self::Tls => 5061,
            Self::Ws => 80,
            Self::Wss => 443,
        }
    }

    /// The value of a URI's `transport` parameter; UDP goes without.
    pub fn uri_token(self) -> Option<&'static str> {
        match self {
            Self::Udp => None,
            Self::Tcp => Some("tcp"),
            Self::Tls => Some("tls"),
            Self::Ws | Self::Wss => Some("ws"),
        }
    }

    /// The token used in Via (RFC 3261 section 20.42).
    pub fn via_token(self) -> &'static str {
        match self {
            Self::Udp => "UDP",
            Self::Tcp => "TCP",
            Self::Tls => "TLS",
            Self::Ws => "WS",
            Self::Wss => "WSS",
        }
    }
}

/// One message to put on the wire.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Transmit {
    /// The transport to use.
    pub transport: Transport,
    /// Where to.
    pub destination: SocketAddr,
    /// The whole message.
    pub bytes: Bytes,
}

/// The base timers of RFC 3261 table 4; all others are multiples of these.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Timers {
    /// Round-trip estimate, first retransmission. 500 ms by default.
    pub t1: Duration,
    /// Longest interval between retransmissions. 4 s by default.
    pub t2: Duration,
    /// Longest time a message stays in the network. 5 s by default.
    pub t4: Duration,
}

impl Default for Timers {
    fn default() -> Self {
        Self {
            t1: Duration::from_millis(500),
            t2: Duration::from_secs(4),
            t4: Duration::from_secs(5),
        }
    }
}

impl Timers {
    /// 64 T1: how long a transaction waits for an answer (Timers B, F, H, J, L, M).
    pub(crate) fn patience(&self) -> Duration {
        self.t1 * 64
    }
}
