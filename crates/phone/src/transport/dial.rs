//! Making a connection to a server: TCP, TLS over it, WebSocket over either (RFC 7118).

use std::io;
use std::net::{IpAddr, SocketAddr};
use std::path::PathBuf;
use std::sync::Arc;
use std::time::Duration;

use rollcall_sip::Transport;
use rustls::pki_types::pem::PemObject as _;
use rustls::pki_types::{CertificateDer, ServerName};
use rustls::{ClientConfig, RootCertStore};
use rustls_platform_verifier::BuilderVerifierExt as _;
use tokio::net::{TcpSocket, TcpStream};
use tokio_rustls::TlsConnector;
use tokio_rustls::client::TlsStream;
use tokio_tungstenite::WebSocketStream;
use tokio_tungstenite::tungstenite::client::IntoClientRequest as _;
use tokio_tungstenite::tungstenite::http::HeaderValue;
use tokio_tungstenite::tungstenite::protocol::WebSocketConfig;

use crate::Route;
use crate::resolve::Place;

/// How long connection, handshakes included, may take.
const PATIENCE: Duration = Duration::from_secs(5);
/// Largest SIP message over WebSocket.
const MAX_MESSAGE: usize = rollcall_sip::message::MAX_MESSAGE;

/// A connection that stands.
#[derive(Debug)]
pub(crate) struct Established {
    pub(crate) place: Place,
    pub(crate) local: SocketAddr,
    pub(super) wire: Wire,
}

/// What carries the messages.
#[derive(Debug)]
pub(super) enum Wire {
    Tcp(TcpStream),
    Tls(Box<TlsStream<TcpStream>>),
    Ws(Box<WebSocketStream<TcpStream>>),
    Wss(Box<WebSocketStream<TlsStream<TcpStream>>>),
}

/// What a connection needs to know besides the place.
#[derive(Debug, Clone)]
pub(crate) struct Terms {
    /// The server's name as the account has it: the certificate must be for it.
    pub(crate) name: String,
    /// The local address to leave from.
    pub(crate) bind: Option<IpAddr>,
    /// Which one that is where none is said.
    pub(crate) route: Route,
    /// The path of the WebSocket.
    pub(crate) path: String,
    /// The certificates that are trusted, where the connection is a secure one.
    pub(crate) trust: Option<Arc<ClientConfig>>,
}

/// Connects, or says in words why not.
pub(crate) async fn dial(place: Place, terms: &Terms) -> Result<Established, String> {
    match tokio::time::timeout(PATIENCE, connect(place, terms)).await {
        Ok(connected) => connected,
        Err(_) => Err(format!("no connection to {} in time", place.address)),
    }
}

/// Whom a secure connection trusts.
#[derive(Debug)]
pub(crate) enum Trusted {
    /// The authorities of this computer.
    System,
    /// Those in this file, and no others.
    File(PathBuf),
    /// Those in this text, and no others.
    Pem(String),
}

/// How a secure connection is made that trusts these; in words why not.
pub(crate) fn trust(trusted: &Trusted) -> Result<ClientConfig, String> {
    let provider = Arc::new(rustls::crypto::ring::default_provider());
    let builder = ClientConfig::builder_with_provider(provider)
        .with_safe_default_protocol_versions()
        .map_err(|error| error.to_string())?;
    let (pem, place) = match trusted {
        Trusted::System => {
            let builder = builder.with_platform_verifier();
            let builder = builder.map_err(|error| error.to_string())?;
            return Ok(builder.with_no_client_auth());
        }
        Trusted::File(file) => {
            let place = file.display().to_string();
            let read = std::fs::read(file);
            (read.map_err(|error| format!("{place}: {error}"))?, place)
        }
        Trusted::Pem(pem) => (
            pem.clone().into_bytes(),
            "the authorities that the server names".to_owned(),
        ),
    };
    let words = |error: &dyn std::fmt::Display| format!("{place}: {error}");
    let mut roots = RootCertStore::empty();
    for certificate in CertificateDer::pem_slice_iter(&pem) {
        let certificate = certificate.map_err(|error| words(&error))?;
        roots.add(certificate).map_err(|error| words(&error))?;
    }
    if roots.is_empty() {
        return Err(words(&"no certificate"));
    }
    Ok(builder.with_root_certificates(roots).with_no_client_auth())
}

async fn connect(place: Place, terms: &Terms) -> Result<Established, String> {
    let words = |error: io::Error| format!("{}: {error}", place.address);
    let bind = match terms.bind {
        Some(bind) => Some(bind),
        None => terms.route.binding(place.address).map_err(words)?,
    };
    let tcp = tcp(place.address, bind).await.map_err(words)?;
    let local = tcp.local_addr().map_err(words)?;
    let wire = match place.transport {
        Transport::Udp => return Err("UDP has no connections".to_owned()),
        Transport::Tcp => Wire::Tcp(tcp),
        Transport::Tls => Wire::Tls(Box::new(secure(tcp, terms).await?)),
        Transport::Ws => Wire::Ws(Box::new(websocket(tcp, "ws", place, terms).await?)),
        Transport::Wss => {
            let tls = secure(tcp, terms).await?;
            Wire::Wss(Box::new(websocket(tls, "wss", place, terms).await?))
        }
    };
    Ok(Established { place, local, wire })
}

async fn tcp(address: SocketAddr, bind: Option<IpAddr>) -> io::Result<TcpStream> {
    let socket = match address {
        SocketAddr::V4(_) => TcpSocket::new_v4()?,
        SocketAddr::V6(_) => TcpSocket::new_v6()?,
    };
    if let Some(bind) = bind {
        socket.bind(SocketAddr::new(bind, 0))?;
    }
    // A message is small and waits for nothing.
    socket.set_nodelay(true)?;
    socket.connect(address).await
}

async fn secure(tcp: TcpStream, terms: &Terms) -> Result<TlsStream<TcpStream>, String> {
    let trust = terms.trust.clone().ok_or("no certificates to trust")?;
    let name = ServerName::try_from(terms.name.clone());
    let name = name.map_err(|_| format!("{:?} is no name for a certificate", terms.name))?;
    TlsConnector::from(trust)
        .connect(name, tcp)
        .await
        .map_err(|error| format!("the secure connection failed: {error}"))
}

async fn websocket<S>(
    stream: S,
    scheme: &str,
    place: Place,
    terms: &Terms,
) -> Result<WebSocketStream<S>, String>
where
    S: tokio::io::AsyncRead + tokio::io::AsyncWrite + Unpin,
{
    let host = match terms.name.contains(':') {
        true => format!("[{}]", terms.name),
        false => terms.name.clone(),
    };
    let uri = format!("{scheme}://{host}:{}{}", place.address.port(), terms.path);
    let words = |error: &dyn std::fmt::Display| format!("no WebSocket at {uri}: {error}");
    let mut request = uri
        .as_str()
        .into_client_request()
        .map_err(|error| words(&error))?;
    let protocol = HeaderValue::from_static("sip");
    request
        .headers_mut()
        .insert("Sec-WebSocket-Protocol", protocol);
    let limits = WebSocketConfig::default()
        .max_message_size(Some(MAX_MESSAGE))
        .max_frame_size(Some(MAX_MESSAGE));
    let opened = tokio_tungstenite::client_async_with_config(request, stream, Some(limits)).await;
    opened
        .map(|(socket, _)| socket)
        .map_err(|error| words(&error))
}
