//! Thousands of malformed messages against a living phone, field by field as PROTOS did it; afterwards it registers and
//! takes a call as if nothing had happened.
//!
//! The test is the phone's registrar: from anywhere else nothing would be heard. Every combination of a message, a field
//! and an anomaly is sent once, in a fixed order; after each handful an OPTIONS asks whether the phone still answers.

use std::collections::HashSet;
use std::net::{SocketAddr, UdpSocket};
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::time::{Duration, Instant};

use rollcall_e2e::eventually;
use rollcall_e2e::phone::Phone;

/// Messages and bytes between two signs of life: less than the phone's socket holds, so that none is lost unread.
const HANDFUL: (usize, usize) = (20, 64 * 1024);
/// Short, so that what the phone keeps of each message (64 T1) is soon forgotten.
const T1: Duration = Duration::from_millis(10);
/// Longer than any answer takes that is waited for.
const PATIENCE: Duration = Duration::from_secs(60);

#[tokio::test]
async fn a_phone_outlives_ten_thousand_anomalous_messages_and_takes_a_call_afterwards() {
    let mut registrar = Registrar::bind();
    let address = registrar.address().to_string();
    let mut phone = Phone::at("1001", &address, "secret")
        .answering()
        .timed_by(T1)
        .start();
    let (sent, mut registrar) = apart(move || {
        registrar.wait("the phone registers", |registrar| registrar.phone.is_some());
        (registrar.attack(), registrar)
    })
    .await;
    assert!(sent >= 10_000, "{sent} messages");
    assert!(phone.program.is_running());

    // Calls that an anomaly began end by themselves, since nobody acknowledges them.
    let is_quiet = Arc::new(AtomicBool::new(false));
    let seen = Arc::clone(&is_quiet);
    let attending = tokio::spawn(apart(move || {
        registrar.wait("the phone is quiet again", |_| seen.load(Ordering::Relaxed));
        registrar
    }));
    eventually("no call is left", PATIENCE, async || {
        let events = phone.program.events();
        let vitals = events.iter().rfind(|event| event["event"] == "vitals");
        match vitals.map(|vitals| vitals["calls"].as_u64()) {
            Some(Some(0)) => Ok(()),
            other => Err(format!("{other:?}")),
        }
    })
    .await;
    is_quiet.store(true, Ordering::Relaxed);
    let mut registrar = attending.await.expect("the registrar runs");

    let (answer, mut registrar) = apart(move || (registrar.calls(), registrar)).await;
    assert!(answer.starts_with("SIP/2.0 200"), "{answer}");
    registrar.registrations.clear();
    let done = tokio::spawn(apart(move || {
        registrar.wait("the phone takes its contact away", |registrar| {
            registrar
                .registrations
                .iter()
                .any(|text| text.contains("\r\nExpires: 0\r\n"))
        });
    }));
    assert!(phone.program.terminate().await.success());
    done.await.expect("it registers to the end");
}

/// The registrar's socket blocks: its work has a thread of its own.
async fn apart<T: Send + 'static>(work: impl FnOnce() -> T + Send + 'static) -> T {
    let done = tokio::task::spawn_blocking(work).await;
    done.expect("the registrar runs")
}

/// One SIP message, as parts that can be spoilt one by one.
struct Template {
    start: [Vec<u8>; 3],
    headers: Vec<(&'static str, Vec<u8>)>,
    body: &'static str,
}

/// The phone's registrar and its only caller.
struct Registrar {
    socket: UdpSocket,
    /// The phone's Contact URI, and where it is.
    phone: Option<(String, SocketAddr)>,
    registrations: Vec<String>,
    answers: HashSet<String>,
    number: usize,
    /// Requests inside dialogs so far: each is a transaction of its own and needs its own branch.
    inside: usize,
}

impl Registrar {
    fn bind() -> Self {
        let socket = UdpSocket::bind("127.0.0.1:0").expect("a port");
        let wait = Some(Duration::from_millis(20));
        socket.set_read_timeout(wait).expect("a time-out");
        Self {
            socket,
            phone: None,
            registrations: Vec::new(),
            answers: HashSet::new(),
            number: 0,
            inside: 0,
        }
    }

    fn address(&self) -> SocketAddr {
        self.socket.local_addr().expect("bound")
    }

    /// Sends every anomaly in every field of every message.
    fn attack(&mut self) -> usize {
        let mut sent = 0;
        let (mut messages, mut bytes) = (0, 0);
        let anomalies = anomalies();
        for kind in 0..KINDS.len() {
            for anomaly in &anomalies {
                for field in 0..self.template(kind).fields() {
                    self.number += 1;
                    let mut template = self.template(kind);
                    template.spoil(field, anomaly);
                    let to = self.phone.as_ref().expect("registered").1;
                    // What no datagram holds is not sent.
                    if let Ok(length) = self.socket.send_to(&template.bytes(), to) {
                        sent += 1;
                        (messages, bytes) = (messages + 1, bytes + length);
                    }
                    if messages >= HANDFUL.0 || bytes >= HANDFUL.1 {
                        (messages, bytes) = (0, 0);
                        self.is_alive();
                    }
                }
            }
        }
        sent
    }

    /// Asks until the phone answers, and has room for more: what is refused for want of room tries nothing.
    fn is_alive(&mut self) {
        let end = Instant::now() + PATIENCE;
        loop {
            self.number += 1;
            let id = format!("alive-{}", self.number);
            let options = self.request("OPTIONS", &id).bytes();
            let answer = self.ask(&options, &id);
            if !answer.starts_with("SIP/2.0 503") {
                return;
            }
            assert!(Instant::now() < end, "{answer}");
        }
    }

    /// Calls the phone, and returns its final answer.
    fn calls(&mut self) -> String {
        self.number += 1;
        let id = format!("call-{}", self.number);
        let invite = self.request("INVITE", &id).bytes();
        self.ask(&invite, &id)
    }

    /// Sends a request until its final answer comes.
    fn ask(&mut self, request: &[u8], id: &str) -> String {
        let end = Instant::now() + PATIENCE;
        let marker = format!("\r\nCall-ID: {id}\r\n");
        while Instant::now() < end {
            let to = self.phone.as_ref().expect("registered").1;
            self.socket.send_to(request, to).expect("sent");
            let again = Instant::now() + Duration::from_millis(500);
            while Instant::now() < again {
                self.receive();
                let is_final =
                    |answer: &&String| answer.contains(&marker) && !answer.starts_with("SIP/2.0 1");
                if let Some(answer) = self.answers.iter().find(is_final).cloned() {
                    self.answers.clear();
                    return answer;
                }
            }
        }
        panic!("no answer to {}", String::from_utf8_lossy(request));
    }

    fn wait(&mut self, what: &str, until: impl Fn(&Self) -> bool) {
        let end = Instant::now() + PATIENCE;
        while !until(self) {
            assert!(Instant::now() < end, "{what}");
            self.receive();
        }
    }

    /// Takes one datagram: registers, and ends every call that is answered.
    fn receive(&mut self) {
        let mut buffer = [0; 65_535];
        let Ok((length, from)) = self.socket.recv_from(&mut buffer) else {
            return;
        };
        let text = String::from_utf8_lossy(&buffer[..length]).into_owned();
        if text.starts_with("REGISTER ") {
            self.register(&text, from);
        } else if text.starts_with("SIP/2.0 2") && is_about_invite(&text) {
            for method in ["ACK", "BYE"] {
                let request = self.in_dialog(method, &text);
                let _ = self.socket.send_to(request.as_bytes(), from);
            }
            self.answers.insert(text);
        } else if text.starts_with("SIP/2.0 ") {
            self.answers.insert(text);
        } else if !text.starts_with("ACK ") {
            let _ = self.socket.send_to(ok_to(&text, "").as_bytes(), from);
        }
    }

    fn register(&mut self, request: &str, from: SocketAddr) {
        let contact = value(request, "Contact").unwrap_or_default().to_owned();
        let uri = contact.trim_start_matches('<').split('>').next();
        self.phone = Some((uri.unwrap_or_default().to_owned(), from));
        self.registrations.push(request.to_owned());
        let own = format!("Contact: {contact}\r\n");
        let _ = self.socket.send_to(ok_to(request, &own).as_bytes(), from);
    }

    /// ACK or BYE to the answer of an INVITE, with the answer's own From, To and Call-ID.
    fn in_dialog(&mut self, method: &str, answer: &str) -> String {
        self.inside += 1;
        let contact = value(answer, "Contact").unwrap_or_default();
        let uri = contact
            .trim_start_matches('<')
            .split('>')
            .next()
            .unwrap_or_default();
        let field = |name| value(answer, name).unwrap_or_default();
        let number = field("CSeq").split(' ').next().unwrap_or_default();
        let number = number.parse::<u64>().unwrap_or(1) + u64::from(method == "BYE");
        format!(
            "{method} {uri} SIP/2.0\r\nVia: SIP/2.0/UDP {};branch=z9hG4bK-{method}-{}\r\nFrom: {}\r\nTo: {}\r\n\
             Call-ID: {}\r\nCSeq: {number} {method}\r\nMax-Forwards: 70\r\nContent-Length: 0\r\n\r\n",
            self.address(),
            self.inside,
            field("From"),
            field("To"),
            field("Call-ID"),
        )
    }

    fn template(&self, kind: usize) -> Template {
        let id = format!("anomaly-{}", self.number);
        let mut template = self.request(KINDS[kind], &id);
        if let Some(code) = KINDS[kind].strip_prefix("SIP/2.0 ") {
            template.start = ["SIP/2.0", code, "Whatever"].map(Vec::from);
        }
        template
    }

    fn request(&self, method: &str, id: &str) -> Template {
        let (uri, _) = self.phone.clone().expect("registered");
        let own = self.address();
        let name = if method.starts_with("SIP/") {
            "OPTIONS"
        } else {
            method
        };
        let headers = [
            ("Via", format!("SIP/2.0/UDP {own};branch=z9hG4bK{id};rport")),
            ("From", format!("\"Caller\" <sip:900@{own}>;tag=t{id}")),
            ("To", format!("<{uri}>")),
            ("Call-ID", id.to_owned()),
            ("CSeq", format!("1 {name}")),
            ("Max-Forwards", "70".to_owned()),
            ("Contact", format!("<sip:900@{own}>;expires=60")),
            ("Route", "<sip:proxy.example;lr>".to_owned()),
            ("Expires", "60".to_owned()),
            ("Supported", "replaces, 100rel".to_owned()),
            (
                "WWW-Authenticate",
                "Digest realm=\"r\", nonce=\"n\", qop=\"auth\"".to_owned(),
            ),
            ("X-Unknown", "a;b=\"c\"".to_owned()),
        ];
        let is_plain = id.starts_with("alive") || id.starts_with("call");
        let kept = |name: &str| !is_plain || !matches!(name, "Route" | "WWW-Authenticate");
        let mut headers: Vec<(&'static str, Vec<u8>)> = headers
            .into_iter()
            .filter(|(name, _)| kept(name))
            .map(|(name, value)| (name, value.into_bytes()))
            .collect();
        let body = if name == "INVITE" { OFFER } else { "" };
        if !body.is_empty() {
            headers.push(("Content-Type", "application/sdp".into()));
        }
        headers.push(("Content-Length", body.len().to_string().into()));
        Template {
            start: [name.into(), uri.into(), "SIP/2.0".into()],
            headers,
            body,
        }
    }
}

/// Requests by method, responses by code.
const KINDS: [&str; 12] = [
    "INVITE",
    "OPTIONS",
    "REGISTER",
    "BYE",
    "CANCEL",
    "ACK",
    "NOTIFY",
    "INFO",
    "X-WHATEVER",
    "SIP/2.0 200",
    "SIP/2.0 183",
    "SIP/2.0 401",
];

const OFFER: &str = "v=0\r\no=- 1 1 IN IP4 127.0.0.1\r\ns=-\r\nc=IN IP4 127.0.0.1\r\nt=0 0\r\nm=audio 40000 RTP/AVP 0\r\n";

/// What takes a field's place, or is put in front of it or behind it.
fn anomalies() -> Vec<Vec<u8>> {
    let mut anomalies: Vec<Vec<u8>> = Vec::new();
    for unit in [
        "a", "%s%n", ":", ";", ",", "<", ">", "\"", "\\", "@", "[", "=", " ", "\t", "\r\n ",
        "\u{e9}", ".",
    ] {
        for times in [1, 64, 1_024, 20_000] {
            anomalies.push(unit.repeat(times).into_bytes());
        }
    }
    let texts = [
        "",
        "-1",
        "0",
        "2147483648",
        "4294967296",
        "18446744073709551616",
        "1e100",
        "0x10",
        "+1",
        "1 1",
        "*",
        "sip:",
        "sip:@",
        "sip:a@",
        "sip:a@b:0",
        "sip:a@b:99999",
        "sip:a@[",
        "sip:a@[::1",
        "sip:a@[:::::]",
        "sip:[::ffff:1.2.3.4]",
        "sips:a@b",
        "tel:+",
        "http://x",
        "SIP/9.9",
        "SIP/2.0/",
        "SIP/2.0/UDP",
        "SIP/2.0/UDP h;branch=",
        "<sip:a@b",
        "\"a <b>",
        "<>",
        "<<sip:a@b>>",
        "a\r\nb",
        "a\r\n\r\nb",
        "\r",
        "\n",
        "\r\n",
        "Digest",
        "Digest realm=",
        "Basic x",
        "application/sdp",
        "multipart/mixed",
        "z9hG4bK",
        ";tag",
        ";tag=",
        "%00",
        "%",
        "%zz",
    ];
    anomalies.extend(texts.map(|text| text.as_bytes().to_vec()));
    anomalies.extend([
        vec![0],
        vec![0; 300],
        vec![0xff; 300],
        vec![0xc3],
        vec![0x7f],
        vec![0xf4, 0x8f, 0xbf, 0xbf],
    ]);
    anomalies
}

impl Template {
    /// Places that can be spoilt: the three words of the first line, each header's value, the body.
    fn fields(&self) -> usize {
        self.start.len() + self.headers.len() + 1
    }

    fn spoil(&mut self, field: usize, anomaly: &[u8]) {
        if let Some(word) = self.start.get_mut(field) {
            *word = anomaly.to_vec();
        } else if let Some((_, value)) = self.headers.get_mut(field - self.start.len()) {
            *value = match anomaly.len() % 3 {
                0 => anomaly.to_vec(),
                1 => [value, anomaly].concat(),
                _ => [anomaly, value].concat(),
            };
        } else {
            self.headers.push(("X-Last", anomaly.to_vec()));
        }
    }

    fn bytes(&self) -> Vec<u8> {
        let mut bytes = self.start.join(&b' ');
        bytes.extend(b"\r\n");
        for (name, value) in &self.headers {
            bytes.extend([name.as_bytes(), b": ", value, b"\r\n"].concat());
        }
        bytes.extend(b"\r\n");
        bytes.extend(self.body.as_bytes());
        bytes
    }
}

fn value<'a>(message: &'a str, name: &str) -> Option<&'a str> {
    let mut lines = message.split("\r\n");
    lines.find_map(|line| line.strip_prefix(name)?.strip_prefix(": "))
}

fn is_about_invite(answer: &str) -> bool {
    value(answer, "CSeq").is_some_and(|value| value.trim_end().ends_with("INVITE"))
}

fn ok_to(request: &str, more: &str) -> String {
    let kept = ["Via: ", "From: ", "To: ", "Call-ID: ", "CSeq: "];
    let lines = request.split("\r\n");
    let kept: Vec<&str> = lines
        .filter(|line| kept.iter().any(|name| line.starts_with(name)))
        .collect();
    format!(
        "SIP/2.0 200 OK\r\n{}\r\n{more}Content-Length: 0\r\n\r\n",
        kept.join("\r\n")
    )
}
