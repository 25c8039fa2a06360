use std::net::{SocketAddr, UdpSocket};
use std::time::Duration;

use hickory_resolver::proto::op::{Message, MessageType};
use hickory_resolver::proto::rr::rdata::{NAPTR, SRV};
use hickory_resolver::proto::rr::{Name, RData, Record};
use rollcall_sip::Transport;

use super::{Place, places, split};
use crate::link::reach;
use crate::{Account, AudioChoice, Credentials, Engine, EngineConfig, PhoneCommand, PhoneEvent};

#[test]
fn registrars_are_read_with_and_without_port_and_as_ipv6() {
    assert_eq!(split("pbx.example"), Ok(("pbx.example".into(), None)));
    assert_eq!(
        split("127.0.0.1:5160"),
        Ok(("127.0.0.1".into(), Some(5160)))
    );
    assert_eq!(split("[::1]:5070"), Ok(("::1".into(), Some(5070))));
    assert_eq!(split("[::1]"), Ok(("::1".into(), None)));
}

#[test]
fn what_is_no_registrar_is_refused() {
    for wrong in [
        "",
        ":5060",
        "host:port",
        "a b",
        "host:99999",
        "[::1",
        "a\r\nb",
    ] {
        assert!(split(wrong).is_err(), "{wrong:?}");
    }
}

#[tokio::test]
async fn an_address_needs_no_name_service_and_has_its_transports_port() {
    for (registrar, transport, expected) in [
        ("127.0.0.1", None, "127.0.0.1:5060"),
        ("127.0.0.1:5070", Some(Transport::Tcp), "127.0.0.1:5070"),
        ("127.0.0.1", Some(Transport::Tls), "127.0.0.1:5061"),
        ("[::1]", Some(Transport::Wss), "[::1]:443"),
    ] {
        let found = places(registrar, transport, None).await;
        let place = Place {
            transport: transport.unwrap_or(Transport::Udp),
            address: expected.parse().expect("an address"),
        };
        assert_eq!(found, Ok(vec![place]), "{registrar}");
    }
}

/// A name server of its own that knows these records and nothing else.
fn name_server(records: Vec<(&'static str, RData)>) -> SocketAddr {
    let socket = UdpSocket::bind("127.0.0.1:0").expect("a port");
    let address = socket.local_addr().expect("bound");
    std::thread::spawn(move || {
        let mut buffer = [0; 4096];
        while let Ok((length, from)) = socket.recv_from(&mut buffer) {
            let Ok(mut message) = Message::from_vec(&buffer[..length]) else {
                continue;
            };
            message.metadata.message_type = MessageType::Response;
            let Some(query) = message.queries.first().cloned() else {
                continue;
            };
            let asked = query.name().to_utf8().to_ascii_lowercase();
            for (name, data) in &records {
                if asked == *name && data.record_type() == query.query_type() {
                    let record = Record::from_rdata(query.name().clone(), 60, data.clone());
                    message.add_answer(record);
                }
            }
            let _ = socket.send_to(&message.to_vec().expect("encodes"), from);
        }
    });
    address
}

fn name(text: &str) -> Name {
    Name::from_ascii(text).expect("a name")
}

fn srv(priority: u16, weight: u16, port: u16) -> RData {
    RData::SRV(SRV::new(priority, weight, port, name("localhost.")))
}

fn naptr(order: u16, service: &str, replacement: &str) -> RData {
    RData::NAPTR(NAPTR::new(
        order,
        10,
        b"s".to_vec().into(),
        service.as_bytes().to_vec().into(),
        Vec::new().into(),
        name(replacement),
    ))
}

/// The places by transport and port; the name behind them has an IPv4 address, and maybe others.
async fn found(
    domain: &str,
    transport: Option<Transport>,
    dns: SocketAddr,
) -> Vec<(Transport, u16)> {
    let found = places(domain, transport, Some(dns)).await.expect("found");
    let v4 = found.iter().filter(|place| place.address.is_ipv4());
    v4.map(|place| (place.transport, place.address.port()))
        .collect()
}

#[tokio::test]
async fn the_domain_names_its_transports_in_order_and_each_its_servers_by_priority() {
    let dns = name_server(vec![
        ("pbx.test.", naptr(50, "SIP+D2T", "_sip._tcp.pbx.test.")),
        ("pbx.test.", naptr(10, "SIPS+D2T", "_sips._tcp.pbx.test.")),
        ("pbx.test.", naptr(1, "SIP+D2S", "_sip._sctp.pbx.test.")),
        ("_sips._tcp.pbx.test.", srv(20, 1, 5063)),
        ("_sips._tcp.pbx.test.", srv(10, 1, 5062)),
        ("_sip._tcp.pbx.test.", srv(1, 1, 5064)),
    ]);
    assert_eq!(
        found("pbx.test", None, dns).await,
        [
            (Transport::Tls, 5062),
            (Transport::Tls, 5063),
            (Transport::Tcp, 5064)
        ]
    );
}

#[tokio::test]
async fn without_naptr_every_transport_is_asked_for_and_with_one_only_that() {
    let dns = name_server(vec![
        ("_sip._udp.pbx.test.", srv(1, 1, 5071)),
        ("_sip._tcp.pbx.test.", srv(1, 1, 5072)),
    ]);
    let all = [(Transport::Udp, 5071), (Transport::Tcp, 5072)];
    assert_eq!(found("pbx.test", None, dns).await, all);
    let tcp = found("pbx.test", Some(Transport::Tcp), dns).await;
    assert_eq!(tcp, all[1..]);
}

#[tokio::test]
async fn heavier_servers_of_one_priority_come_first_more_often() {
    let dns = name_server(vec![
        ("_sip._udp.pbx.test.", srv(1, 90, 5071)),
        ("_sip._udp.pbx.test.", srv(1, 10, 5072)),
    ]);
    let mut first = 0;
    for _ in 0..100 {
        let found = found("pbx.test", Some(Transport::Udp), dns).await;
        assert_eq!(found.len(), 2);
        first += usize::from(found[0].1 == 5071);
    }
    assert!((70..100).contains(&first), "{first} of 100");
}

#[tokio::test]
async fn the_next_server_is_taken_where_the_first_refuses() {
    let (open, closed) = (
        std::net::TcpListener::bind("127.0.0.1:0").expect("a port"),
        std::net::TcpListener::bind("127.0.0.1:0").expect("a port"),
    );
    let port = |listener: &std::net::TcpListener| listener.local_addr().expect("bound").port();
    let ports = (port(&open), port(&closed));
    drop(closed);
    let dns = name_server(vec![
        ("_sip._tcp.pbx.test.", srv(1, 1, ports.1)),
        ("_sip._tcp.pbx.test.", srv(2, 1, ports.0)),
    ]);
    let config = EngineConfig {
        dns: Some(dns),
        ..EngineConfig::default()
    };
    let account = Account {
        transport: Some(Transport::Tcp),
        ..Account::new("1001", "pbx.test", Credentials::new("1001", "pw"), "d")
    };
    let reached = reach(&account, &config, None).await.expect("reached");
    assert_eq!(reached.place().address.port(), ports.0);
    assert_eq!(reached.place().transport, Transport::Tcp);
}

/// A registrar of few words: what it says to every request, or nothing at all.
fn registrar(says: Option<&'static str>) -> u16 {
    let socket = UdpSocket::bind("127.0.0.1:0").expect("a port");
    let port = socket.local_addr().expect("bound").port();
    std::thread::spawn(move || {
        let mut buffer = [0; 4096];
        while let Ok((length, from)) = socket.recv_from(&mut buffer) {
            let request = String::from_utf8_lossy(&buffer[..length]).into_owned();
            let copied = ["Via:", "From:", "To:", "Call-ID:", "CSeq:", "Contact:"];
            let copied = request
                .lines()
                .filter(|line| copied.iter().any(|name| line.starts_with(name)))
                .map(|line| format!("{line}\r\n"));
            let copied: String = copied.collect();
            if let Some(status) = says {
                let reply = format!("SIP/2.0 {status}\r\n{copied}Content-Length: 0\r\n\r\n");
                let _ = socket.send_to(reply.as_bytes(), from);
            }
        }
    });
    port
}

#[tokio::test]
async fn a_registrar_that_refuses_or_is_silent_is_left_for_the_next_of_its_domain() {
    for first in [Some("503 Service Unavailable"), None] {
        let second = registrar(Some("200 OK"));
        let dns = name_server(vec![
            ("_sip._udp.pbx.test.", srv(1, 1, registrar(first))),
            ("_sip._udp.pbx.test.", srv(2, 1, second)),
        ]);
        let config = EngineConfig {
            audio: AudioChoice::None,
            dns: Some(dns),
            sip_t1: Duration::from_millis(10),
            ..EngineConfig::default()
        };
        let (engine, mut events) = Engine::start(config).expect("threads");
        let account = Account::new("1001", "pbx.test", Credentials::new("1001", "pw"), "d");
        engine.send(PhoneCommand::Register(account));
        let registered = async {
            loop {
                match events.recv().await.expect("the engine runs") {
                    PhoneEvent::Registered { registrar, .. } => break registrar,
                    _ => continue,
                }
            }
        };
        let registrar = tokio::time::timeout(Duration::from_secs(30), registered).await;
        let registrar = registrar.unwrap_or_else(|_| panic!("not registered after {first:?}"));
        assert!(registrar.ends_with(&format!(":{second}")), "{registrar}");
    }
}
