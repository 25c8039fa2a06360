//! The engine over TCP, TLS, WebSocket and secure WebSocket, against a registrar that does what a test wants.

mod common;

use std::net::SocketAddr;
use std::path::PathBuf;
use std::sync::Arc;
use std::time::Duration;

use common::{Phone, config};
use futures_util::{SinkExt as _, StreamExt as _};
use rollcall_phone::{
    Account, AudioChoice, Credentials, EngineConfig, FailureCode, PhoneCommand, PhoneEvent,
    Transport,
};
use rollcall_sip::message::{
    Frame, Framing, HeadersView, Message, Method, Request, Response, StatusCode, Version, write,
};
use tokio::io::{AsyncRead, AsyncReadExt as _, AsyncWrite, AsyncWriteExt as _};
use tokio::net::{TcpListener, TcpStream};
use tokio::sync::mpsc;
use tokio_rustls::TlsAcceptor;
use tokio_rustls::rustls::ServerConfig;
use tokio_rustls::rustls::pki_types::PrivateKeyDer;
use tokio_tungstenite::tungstenite;

/// A registrar at one port, for one connection after the other.
struct Registrar {
    address: SocketAddr,
    /// Every REGISTER, with the port it came from.
    registers: mpsc::UnboundedReceiver<(u16, Request)>,
    /// Closes the connection that stands.
    close: mpsc::UnboundedSender<()>,
    ca: PathBuf,
    _folder: tempfile::TempDir,
}

/// How it answers pings on a stream.
#[derive(Clone, Copy, PartialEq)]
enum Pongs {
    Always,
    /// One, then none.
    Once,
    Never,
}

impl Registrar {
    async fn start(transport: Transport, pongs: Pongs) -> Self {
        let folder = tempfile::tempdir().expect("a folder");
        let ca = folder.path().join("ca.pem");
        let made = rcgen::generate_simple_self_signed(vec!["127.0.0.1".to_owned()]);
        let made = made.expect("a certificate");
        std::fs::write(&ca, made.cert.pem()).expect("written");
        let key = PrivateKeyDer::Pkcs8(made.signing_key.serialize_der().into());
        let provider = Arc::new(tokio_rustls::rustls::crypto::ring::default_provider());
        let tls = ServerConfig::builder_with_provider(provider)
            .with_safe_default_protocol_versions()
            .expect("versions")
            .with_no_client_auth()
            .with_single_cert(vec![made.cert.der().clone()], key)
            .expect("a configuration");
        let listener = TcpListener::bind("127.0.0.1:0").await.expect("a port");
        let address = listener.local_addr().expect("bound");
        let (seen, registers) = mpsc::unbounded_channel();
        let (close, mut closing) = mpsc::unbounded_channel();
        let acceptor = TlsAcceptor::from(Arc::new(tls));
        tokio::spawn(async move {
            while let Ok((tcp, from)) = listener.accept().await {
                let answer = |bytes: &[u8]| answer(bytes, from.port(), &seen);
                let served = serve(transport, tcp, &acceptor, pongs, answer);
                tokio::select! {
                    () = served => {}
                    Some(()) = closing.recv() => {}
                }
            }
        });
        Self {
            address,
            registers,
            close,
            ca,
            _folder: folder,
        }
    }

    fn phone(&self, transport: Transport, config: EngineConfig) -> Phone {
        let config = EngineConfig {
            trusted_ca: Some(self.ca.clone()),
            ..config
        };
        let phone = Phone::start(config);
        let credentials = Credentials::new("1001", "secret");
        let account = Account::new("1001", self.address.to_string(), credentials, "device-1");
        phone.engine.send(PhoneCommand::Register(Account {
            transport: Some(transport),
            ..account
        }));
        phone
    }

    async fn register(&mut self) -> (u16, Request) {
        let next = tokio::time::timeout(Duration::from_secs(20), self.registers.recv());
        next.await.expect("in time").expect("the registrar runs")
    }
}

async fn serve(
    transport: Transport,
    tcp: TcpStream,
    acceptor: &TlsAcceptor,
    pongs: Pongs,
    answer: impl FnMut(&[u8]) -> Vec<u8>,
) {
    match transport {
        Transport::Udp => {}
        Transport::Tcp => serve_stream(tcp, pongs, answer).await,
        Transport::Ws => serve_websocket(tcp, answer).await,
        Transport::Tls | Transport::Wss => {
            // A phone that does not trust us breaks off here.
            let Ok(tls) = acceptor.accept(tcp).await else {
                return;
            };
            match transport {
                Transport::Tls => serve_stream(tls, pongs, answer).await,
                _ => serve_websocket(tls, answer).await,
            }
        }
    }
}

async fn serve_stream(
    mut stream: impl AsyncRead + AsyncWrite + Unpin,
    pongs: Pongs,
    mut answer: impl FnMut(&[u8]) -> Vec<u8>,
) {
    let mut framing = Framing::default();
    let mut piece = [0; 1000];
    let mut answered = 0;
    while let Ok(length @ 1..) = stream.read(&mut piece).await {
        framing.push(&piece[..length]);
        while let Some(frame) = framing.next_frame().expect("a phone that frames") {
            let out = match frame {
                Frame::Message(bytes) => answer(&bytes),
                Frame::Ping if pongs == Pongs::Always || pongs == Pongs::Once && answered == 0 => {
                    answered += 1;
                    b"\r\n".to_vec()
                }
                Frame::Ping | Frame::Pong => continue,
            };
            // In two pieces, as a network may.
            let (one, two) = out.split_at(out.len() / 2);
            for part in [one, two] {
                if stream.write_all(part).await.is_err() || stream.flush().await.is_err() {
                    return;
                }
            }
        }
    }
}

async fn serve_websocket(
    stream: impl AsyncRead + AsyncWrite + Unpin,
    mut answer: impl FnMut(&[u8]) -> Vec<u8>,
) {
    #[expect(clippy::result_large_err, reason = "the library's own type")]
    let sip = |request: &tungstenite::handshake::server::Request,
               mut response: tungstenite::handshake::server::Response| {
        assert_eq!(request.uri().path(), "/ws");
        let protocol = request.headers()["sec-websocket-protocol"].clone();
        assert_eq!(protocol, "sip");
        response
            .headers_mut()
            .insert("Sec-WebSocket-Protocol", protocol);
        Ok(response)
    };
    let socket = tokio_tungstenite::accept_hdr_async(stream, sip).await;
    let mut socket = socket.expect("a WebSocket");
    while let Some(Ok(message)) = socket.next().await {
        if let tungstenite::Message::Text(text) = message {
            let out = String::from_utf8(answer(text.as_bytes())).expect("text");
            if socket.send(tungstenite::Message::text(out)).await.is_err() {
                return;
            }
        }
    }
}

/// 200 to everything, with the Contacts that are to stay.
fn answer(bytes: &[u8], port: u16, seen: &mpsc::UnboundedSender<(u16, Request)>) -> Vec<u8> {
    let Ok(Message::Request(request)) = rollcall_sip::parse(bytes) else {
        return Vec::new();
    };
    let mut response = Response {
        status_code: StatusCode::OK,
        version: Version::V2,
        headers: Default::default(),
        body: Vec::new(),
    };
    for name in ["Via", "From", "To", "Call-ID", "CSeq", "Contact"] {
        for value in request.headers.texts(name) {
            if !value.contains("expires=0") {
                response.headers.add(name, value);
            }
        }
    }
    if request.method == Method::Register {
        let _ = seen.send((port, request));
    }
    write::response(&response).to_vec()
}

async fn registers_over(transport: Transport, parameter: &str) {
    let mut registrar = Registrar::start(transport, Pongs::Always).await;
    let mut phone = registrar.phone(transport, config(AudioChoice::None));
    let contact = phone.contact().await;
    let (port, request) = registrar.register().await;
    assert!(
        contact.ends_with(&format!("@127.0.0.1:{port};transport={parameter}")),
        "{contact} names the connection from port {port}"
    );
    let via = request.headers.via_view().expect("Via");
    assert_eq!(via.transport, transport.via_token());
    phone.engine.send(PhoneCommand::Shutdown);
    phone
        .expect(|event| (*event == PhoneEvent::Stopped).then_some(()))
        .await;
    let (_, last) = registrar.register().await;
    assert_eq!(
        last.headers.text("Expires"),
        Some("0"),
        "it takes its contact away"
    );
}

#[tokio::test]
async fn a_phone_registers_over_tcp() {
    registers_over(Transport::Tcp, "tcp").await;
}

#[tokio::test]
async fn a_phone_registers_over_tls_with_an_authority_of_its_own() {
    registers_over(Transport::Tls, "tls").await;
}

#[tokio::test]
async fn an_account_may_bring_its_own_authority_and_no_other_counts_then() {
    let registrar = Registrar::start(Transport::Tls, Pongs::Always).await;
    let stranger = Registrar::start(Transport::Tls, Pongs::Always).await;
    let own = std::fs::read_to_string(&registrar.ca).expect("a certificate");
    for (address, is_believed) in [(registrar.address, true), (stranger.address, false)] {
        let mut phone = Phone::start(config(AudioChoice::None));
        let credentials = Credentials::new("1001", "secret");
        let account = Account::new("1001", address.to_string(), credentials, "device-1");
        phone.engine.send(PhoneCommand::Register(Account {
            transport: Some(Transport::Tls),
            authorities: Some(own.clone()),
            ..account
        }));
        match is_believed {
            true => assert!(phone.contact().await.ends_with(";transport=tls")),
            false => {
                let words = unreachable_words(&mut phone).await;
                assert!(words.contains("secure connection failed"), "{words}");
            }
        }
    }
}

#[tokio::test]
async fn a_phone_registers_over_a_websocket() {
    registers_over(Transport::Ws, "ws").await;
}

#[tokio::test]
async fn a_phone_registers_over_a_secure_websocket() {
    registers_over(Transport::Wss, "ws").await;
}

async fn unreachable_words(phone: &mut Phone) -> String {
    phone
        .expect(|event| match event {
            PhoneEvent::RegistrationFailed {
                code: FailureCode::RegistrarUnreachable,
                message,
                retry_in: Some(_),
                ..
            } => Some(message.clone()),
            _ => None,
        })
        .await
}

#[tokio::test]
async fn a_certificate_of_an_unknown_authority_is_refused_and_said() {
    let registrar = Registrar::start(Transport::Tls, Pongs::Always).await;
    let other = Registrar::start(Transport::Tls, Pongs::Always).await;
    let mut stranger = registrar;
    stranger.ca = other.ca.clone();
    let mut phone = stranger.phone(Transport::Tls, config(AudioChoice::None));
    let words = unreachable_words(&mut phone).await;
    assert!(words.contains("secure connection failed"), "{words}");
    assert!(
        stranger.registers.try_recv().is_err(),
        "nothing was sent in the clear"
    );
}

#[tokio::test]
async fn a_connection_that_breaks_is_made_again_and_the_contact_moves_with_it() {
    let mut registrar = Registrar::start(Transport::Tcp, Pongs::Always).await;
    let mut phone = registrar.phone(Transport::Tcp, config(AudioChoice::None));
    let before = phone.contact().await;
    registrar.register().await;
    registrar.close.send(()).expect("it runs");
    let words = unreachable_words(&mut phone).await;
    assert!(words.contains("lost"), "{words}");
    let after = phone.contact().await;
    assert_ne!(before, after, "another connection, another port");
    let user = |contact: &str| contact.split('@').next().map(str::to_owned);
    assert_eq!(user(&before), user(&after), "the same phone");
    let (_, again) = registrar.register().await;
    let contacts: Vec<&str> = again.headers.texts("Contact").collect();
    assert!(contacts[0].starts_with(&format!("<{after}>")));
    assert_eq!(
        contacts[1],
        format!("<{before}>;expires=0"),
        "the old one goes"
    );
}

#[tokio::test]
async fn a_registrar_that_no_longer_answers_pings_is_connected_to_anew() {
    let mut registrar = Registrar::start(Transport::Tcp, Pongs::Once).await;
    let config = EngineConfig {
        keep_alive: Duration::from_millis(100),
        ..config(AudioChoice::None)
    };
    let mut phone = registrar.phone(Transport::Tcp, config);
    let first = registrar.register().await.0;
    let words = unreachable_words(&mut phone).await;
    assert!(words.contains("no sign of life"), "{words}");
    assert_ne!(registrar.register().await.0, first);
}

#[tokio::test]
async fn a_registrar_that_never_answers_pings_is_not_held_to_it() {
    let mut registrar = Registrar::start(Transport::Tcp, Pongs::Never).await;
    let config = EngineConfig {
        keep_alive: Duration::from_millis(20),
        ..config(AudioChoice::None)
    };
    let mut phone = registrar.phone(Transport::Tcp, config);
    phone.contact().await;
    registrar.register().await;
    phone.ticks(15).await;
    assert!(registrar.registers.try_recv().is_err(), "one registration");
}

#[tokio::test]
async fn a_registrar_that_refuses_connections_is_named_and_tried_again() {
    let listener = std::net::TcpListener::bind("127.0.0.1:0").expect("a port");
    let address = listener.local_addr().expect("bound");
    drop(listener);
    let phone = Phone::start(config(AudioChoice::None));
    let mut phone = phone;
    let credentials = Credentials::new("1001", "secret");
    let account = Account::new("1001", address.to_string(), credentials, "device-1");
    phone.engine.send(PhoneCommand::Register(Account {
        transport: Some(Transport::Tcp),
        ..account
    }));
    let words = unreachable_words(&mut phone).await;
    assert!(words.contains(&address.to_string()), "{words}");
    unreachable_words(&mut phone).await;
}
