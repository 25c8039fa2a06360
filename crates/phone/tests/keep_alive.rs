//! The way to the phone over UDP is kept open, and noticed when it is another one (RFC 5626 section 4.4.2).

mod common;

use std::net::{SocketAddr, UdpSocket};
use std::time::{Duration, Instant};

use common::{Phone, config};
use rollcall_phone::{AudioChoice, EngineConfig};

const PATIENCE: Duration = Duration::from_secs(20);

/// A registrar that says yes to everything, and where it was asked from last.
struct Registrar {
    socket: UdpSocket,
    more: &'static str,
}

impl Registrar {
    fn bind(more: &'static str) -> Self {
        let socket = UdpSocket::bind("127.0.0.1:0").expect("a socket");
        let wait = Some(Duration::from_millis(100));
        socket.set_read_timeout(wait).expect("a time-out");
        Self { socket, more }
    }

    /// The next datagram for which `wanted` holds; REGISTER is answered meanwhile.
    fn hears(&self, wanted: impl Fn(&[u8]) -> bool) -> (Vec<u8>, SocketAddr) {
        let end = Instant::now() + PATIENCE;
        let mut buffer = [0; 65_535];
        while Instant::now() < end {
            let Ok((length, from)) = self.socket.recv_from(&mut buffer) else {
                continue;
            };
            let datagram = &buffer[..length];
            if datagram.starts_with(b"REGISTER ") {
                self.accept(&String::from_utf8_lossy(datagram), from);
            }
            if wanted(datagram) {
                return (datagram.to_vec(), from);
            }
        }
        panic!("nothing of that kind came");
    }

    fn accept(&self, request: &str, from: SocketAddr) {
        let kept = [
            "Via: ",
            "From: ",
            "To: ",
            "Call-ID: ",
            "CSeq: ",
            "Contact: ",
        ];
        let lines = request
            .split("\r\n")
            .filter(|line| kept.iter().any(|name| line.starts_with(name)));
        let lines: Vec<&str> = lines.collect();
        let answer = format!(
            "SIP/2.0 200 OK\r\n{}\r\n{}Content-Length: 0\r\n\r\n",
            lines.join("\r\n"),
            self.more
        );
        self.socket.send_to(answer.as_bytes(), from).expect("sent");
    }

    /// Answers a STUN request as somebody who sees the phone at this port.
    fn answer_stun(&self, request: &[u8], from: SocketAddr, port: u16) {
        let attribute = [
            &[0, 1, 0, 8, 0, 1][..],
            &port.to_be_bytes(),
            &[192, 0, 2, 1],
        ]
        .concat();
        let answer = [&[1, 1, 0, 12][..], &request[4..20], &attribute].concat();
        self.socket.send_to(&answer, from).expect("sent");
    }
}

fn phone(registrar: &Registrar) -> Phone {
    let phone = Phone::start(EngineConfig {
        keep_alive: Duration::from_millis(100),
        ..config(AudioChoice::None)
    });
    let address = registrar.socket.local_addr().expect("bound");
    phone.register("1001", &address.to_string());
    phone
}

fn is_stun(datagram: &[u8]) -> bool {
    datagram.len() == 20 && datagram.starts_with(&[0, 1, 0, 0, 0x21, 0x12, 0xa4, 0x42])
}

#[tokio::test]
async fn line_ends_keep_the_way_open_where_the_registrar_promises_nothing() {
    let registrar = Registrar::bind("");
    let _phone = phone(&registrar);
    for _ in 0..3 {
        registrar.hears(|datagram| datagram == b"\r\n\r\n");
    }
}

#[tokio::test]
async fn a_way_that_stun_shows_to_be_another_one_is_registered_anew() {
    let registrar = Registrar::bind("Require: outbound\r\n");
    let _phone = phone(&registrar);
    for port in [40_000, 40_000, 50_000] {
        let (request, from) = registrar.hears(is_stun);
        registrar.answer_stun(&request, from, port);
    }
    // Long before its time.
    registrar.hears(|datagram| datagram.starts_with(b"REGISTER "));
}

#[tokio::test]
async fn a_way_on_which_stun_falls_silent_is_registered_anew() {
    let registrar = Registrar::bind("Flow-Timer: 30\r\n");
    let _phone = phone(&registrar);
    let (request, from) = registrar.hears(is_stun);
    registrar.answer_stun(&request, from, 40_000);
    for _ in 0..4 {
        registrar.hears(is_stun);
    }
    registrar.hears(|datagram| datagram.starts_with(b"REGISTER "));
}
