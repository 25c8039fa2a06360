//! The other end of a phone's wire: a registrar that takes everybody, and a caller of few words.
//!
//! SIP and RTP come to one UDP socket and are stamped with one clock, so that times between them are true. It writes
//! its messages by hand and shares no code with the product; it knows no more of SIP than a call in PCMU takes.

use std::io;
use std::net::{Ipv4Addr, SocketAddr, UdpSocket};
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, AtomicU64, Ordering};
use std::sync::mpsc::{Receiver, Sender, channel};
use std::thread::{self, JoinHandle};
use std::time::{Duration, Instant};

use crate::waiting::PROMPTLY;

/// How often the socket's thread looks whether it should end.
const LOOK: Duration = Duration::from_millis(20);
/// Timer A's first value (RFC 3261 section 17.1.1.2).
const RETRANSMIT: Duration = Duration::from_millis(500);

static COUNT: AtomicU64 = AtomicU64::new(1);

/// A socket that answers REGISTER, BYE and OPTIONS with 200, acknowledges every answered call at once, and keeps all
/// that it hears.
#[derive(Debug)]
pub struct FarEnd {
    socket: Arc<UdpSocket>,
    address: SocketAddr,
    offers: Offer,
    sip: Receiver<Arrival>,
    rtp: Receiver<Arrival>,
    ends: Arc<AtomicBool>,
    thread: Option<JoinHandle<()>>,
}

/// The one format that calls are offered in.
#[derive(Clone, Copy, Debug)]
pub struct Offer {
    /// Its payload type.
    pub number: u8,
    /// What `a=rtpmap` says of it, `opus/48000/2`.
    pub name: &'static str,
}

impl Default for Offer {
    fn default() -> Self {
        Offer {
            number: 0,
            name: "PCMU/8000",
        }
    }
}

/// A datagram and when it came.
#[derive(Debug)]
pub struct Arrival {
    /// Read right after the socket gave it.
    pub at: Instant,
    /// Whose it is.
    pub from: SocketAddr,
    /// All of it.
    pub bytes: Vec<u8>,
}

/// A phone that registered.
#[derive(Clone, Debug)]
pub struct Registered {
    /// When its REGISTER came.
    pub at: Instant,
    /// Its Contact URI, without brackets.
    pub contact: String,
    /// Where it sends from.
    pub address: SocketAddr,
    /// What we answered.
    pub answer: String,
}

/// A call that the phone answered.
#[derive(Debug)]
pub struct Call {
    /// When its 200 came.
    pub answered: Instant,
    /// Where the phone hears RTP.
    pub rtp: SocketAddr,
    id: String,
    peer: SocketAddr,
    contact: String,
    to: String,
}

impl FarEnd {
    /// Listens on a free port of 127.0.0.1.
    ///
    /// # Panics
    ///
    /// If there is none.
    pub fn listen() -> FarEnd {
        let listen = || -> io::Result<_> {
            let socket = UdpSocket::bind((Ipv4Addr::LOCALHOST, 0))?;
            socket.set_read_timeout(Some(LOOK))?;
            let address = socket.local_addr()?;
            Ok((Arc::new(socket), address))
        };
        let (socket, address) = listen().unwrap_or_else(|error| panic!("far end: {error}"));
        let (sip, heard_sip) = channel();
        let (rtp, heard_rtp) = channel();
        let ends = Arc::new(AtomicBool::new(false));
        let thread = thread::spawn({
            let (socket, ends) = (Arc::clone(&socket), Arc::clone(&ends));
            move || listen_until(&ends, &socket, &sip, &rtp)
        });
        FarEnd {
            socket,
            address,
            offers: Offer::default(),
            sip: heard_sip,
            rtp: heard_rtp,
            ends,
            thread: Some(thread),
        }
    }

    /// The same, offering another format.
    #[must_use]
    pub fn offering(mut self, offer: Offer) -> FarEnd {
        self.offers = offer;
        self
    }

    /// Where it listens, for SIP and RTP.
    pub fn address(&self) -> SocketAddr {
        self.address
    }

    /// Sends anything at all.
    pub fn send(&self, to: SocketAddr, bytes: &[u8]) {
        // What the kernel refuses (a port that closed) is lost, as on any network.
        let _ = self.socket.send_to(bytes, to);
    }

    /// Waits for the next phone that registers.
    ///
    /// # Panics
    ///
    /// If none does within [`PROMPTLY`].
    pub fn registered(&self) -> Registered {
        self.hears("a REGISTER", |arrival| {
            let text = arrival.text();
            let contact = header(&text, "Contact").filter(|_| text.starts_with("REGISTER "))?;
            Some(Registered {
                at: arrival.at,
                contact: uri(contact).to_owned(),
                address: arrival.from,
                answer: ok(&text),
            })
        })
    }

    /// Waits for a SIP message that `wanted` takes; those before it are dropped.
    ///
    /// # Panics
    ///
    /// If none comes within [`PROMPTLY`].
    pub fn hears<T>(&self, what: &str, wanted: impl Fn(&Arrival) -> Option<T>) -> T {
        next(&self.sip, PROMPTLY, wanted)
            .unwrap_or_else(|| panic!("{what} did not come within {PROMPTLY:?}"))
    }

    /// The RTP that has come and was not asked for yet, waiting up to `within` for the first packet.
    pub fn rtp(&self, within: Duration) -> Vec<Arrival> {
        let first = self.rtp.recv_timeout(within).ok();
        first.into_iter().chain(self.rtp.try_iter()).collect()
    }

    /// An INVITE to a phone at our own port; the same phone and number make the same message.
    pub fn invite(&self, phone: &Registered, call: u64) -> String {
        let Offer { number, name } = self.offers;
        let sdp = format!(
            "v=0\r\no=- 1 1 IN IP4 127.0.0.1\r\ns=-\r\nc=IN IP4 127.0.0.1\r\nt=0 0\r\n\
             m=audio {} RTP/AVP {number}\r\na=rtpmap:{number} {name}\r\na=ptime:20\r\na=sendrecv\r\n",
            self.address.port()
        );
        let to = format!("<{}>", phone.contact);
        let head = self.request("INVITE", &phone.contact, &to, &call_id(call), 1);
        format!(
            "{head}Content-Type: application/sdp\r\nContent-Length: {}\r\n\r\n{sdp}",
            sdp.len()
        )
    }

    /// Calls a phone that answers by itself.
    ///
    /// # Panics
    ///
    /// If it does not answer within [`PROMPTLY`].
    pub fn call(&self, phone: &Registered) -> Call {
        self.call_as(phone, fresh())
    }

    /// As [`FarEnd::call`], with the INVITE of this number.
    ///
    /// # Panics
    ///
    /// If it is not answered within [`PROMPTLY`].
    pub fn call_as(&self, phone: &Registered, number: u64) -> Call {
        self.try_call(phone, number, PROMPTLY)
            .unwrap_or_else(|| panic!("no answer to\n{}", self.invite(phone, number)))
    }

    /// As [`FarEnd::call_as`]; `None` if it is not answered with a 200 `within` a time.
    ///
    /// # Panics
    ///
    /// If the answer describes no sound.
    pub fn try_call(&self, phone: &Registered, number: u64, within: Duration) -> Option<Call> {
        let invite = self.invite(phone, number);
        let id = call_id(number);
        let deadline = Instant::now() + within;
        // Nothing of an earlier call's sound belongs to this one.
        self.rtp.try_iter().for_each(drop);
        let (answered, answer) = loop {
            self.send(phone.address, invite.as_bytes());
            let answer = next(&self.sip, RETRANSMIT, |arrival| {
                let text = arrival.text();
                (text.contains(&id) && text.starts_with("SIP/2.0 200"))
                    .then_some((arrival.at, text))
            });
            match answer {
                Some(answer) => break answer,
                None if Instant::now() < deadline => {}
                None => return None,
            }
        };
        let port = answer
            .lines()
            .find_map(|line| {
                line.strip_prefix("m=audio ")?
                    .split(' ')
                    .next()?
                    .parse()
                    .ok()
            })
            .unwrap_or_else(|| panic!("no m=audio in\n{answer}"));
        Some(Call {
            answered,
            rtp: (Ipv4Addr::LOCALHOST, port).into(),
            id,
            peer: phone.address,
            contact: phone.contact.clone(),
            to: header(&answer, "To").unwrap_or_default().to_owned(),
        })
    }

    /// The BYE of a call.
    pub fn bye(&self, call: &Call) -> String {
        let head = self.request("BYE", &call.contact, &call.to, &call.id, 2);
        format!("{head}Content-Length: 0\r\n\r\n")
    }

    /// Ends a call and waits until the phone has agreed.
    ///
    /// # Panics
    ///
    /// If it does not within [`PROMPTLY`].
    pub fn hang_up(&self, call: &Call) {
        self.send(call.peer, self.bye(call).as_bytes());
        self.hears("the answer to BYE", |arrival| {
            let text = arrival.text();
            let ours = text.contains(&call.id) && text.starts_with("SIP/2.0 200");
            (ours && header(&text, "CSeq")?.ends_with("BYE")).then_some(())
        });
    }

    /// The code of the phone's answer to a request of ours.
    ///
    /// # Panics
    ///
    /// If there is none within [`PROMPTLY`].
    pub fn answer_to(&self, request: &str, phone: SocketAddr) -> u16 {
        let id = header(request, "Call-ID").unwrap_or_default();
        let method = request.split(' ').next().unwrap_or_default();
        self.send(phone, request.as_bytes());
        self.hears("an answer", |arrival| {
            let text = arrival.text();
            let ours = text.contains(id) && header(&text, "CSeq")?.ends_with(method);
            let code: u16 = text.strip_prefix("SIP/2.0 ")?.get(..3)?.parse().ok()?;
            (ours && code >= 200).then_some(code)
        })
    }

    /// An OPTIONS, as a registrar sends it to see whether a phone is there.
    pub fn options(&self, phone: &Registered) -> String {
        let to = format!("<{}>", phone.contact);
        let id = call_id(fresh());
        let head = self.request("OPTIONS", &phone.contact, &to, &id, 1);
        format!("{head}Content-Length: 0\r\n\r\n")
    }

    /// A request's first lines, up to where its body is described.
    fn request(&self, method: &str, target: &str, to: &str, id: &str, cseq: u32) -> String {
        let here = self.address;
        let branch = format!("z9hG4bK-{id}-{cseq}");
        format!(
            "{method} {target} SIP/2.0\r\nVia: SIP/2.0/UDP {here};rport;branch={branch}\r\nMax-Forwards: 70\r\n\
             From: \"Far End\" <sip:2000@{here}>;tag=far\r\nTo: {to}\r\nCall-ID: {id}\r\nCSeq: {cseq} {method}\r\n\
             Contact: <sip:2000@{here}>\r\n"
        )
    }
}

impl Drop for FarEnd {
    fn drop(&mut self) {
        self.ends.store(true, Ordering::Relaxed);
        if let Some(thread) = self.thread.take() {
            let _ = thread.join();
        }
    }
}

impl Arrival {
    /// It as text.
    pub fn text(&self) -> String {
        String::from_utf8_lossy(&self.bytes).into_owned()
    }
}

/// A number that no call of this process has had.
pub fn fresh() -> u64 {
    COUNT.fetch_add(1, Ordering::Relaxed)
}

/// A packet of PCMU: `samples` of full scale 1.0.
pub fn pcmu_packet(sequence: u16, timestamp: u32, ssrc: u32, samples: &[f64]) -> Vec<u8> {
    let mut packet = vec![0x80, 0];
    packet.extend(sequence.to_be_bytes());
    packet.extend(timestamp.to_be_bytes());
    packet.extend(ssrc.to_be_bytes());
    packet.extend(samples.iter().map(|sample| mu_law(*sample)));
    packet
}

/// G.711 mu-law: a sign, three bits of exponent, four of mantissa, all inverted.
fn mu_law(sample: f64) -> u8 {
    let biased = (sample.abs() * 32_767.0).min(32_635.0) as u32 + 132;
    let exponent = biased.ilog2() - 7;
    let mantissa = (biased >> (exponent + 3)) & 15;
    let sign = if sample < 0.0 { 0x80 } else { 0 };
    !(sign | (exponent << 4 | mantissa) as u8)
}

/// How loud a packet of PCMU is: RMS, of full scale 1.0.
pub fn loudness(packet: &[u8]) -> f64 {
    let samples = packet.get(12..).unwrap_or_default();
    let power = |byte: &u8| {
        let (exponent, mantissa) = ((!byte >> 4) & 7, !byte & 15);
        let magnitude = (((u32::from(mantissa) << 3) + 132) << exponent) - 132;
        (f64::from(magnitude) / 32_768.0).powi(2)
    };
    (samples.iter().map(power).sum::<f64>() / samples.len().max(1) as f64).sqrt()
}

/// The first value of a header, by its long name.
pub fn header<'a>(message: &'a str, name: &str) -> Option<&'a str> {
    let head = message.split("\r\n\r\n").next()?;
    head.lines().skip(1).find_map(|line| {
        let (found, value) = line.split_once(':')?;
        found
            .trim()
            .eq_ignore_ascii_case(name)
            .then(|| value.trim())
    })
}

fn call_id(number: u64) -> String {
    format!("far-{}-{number}-end", std::process::id())
}

/// What stands between `<` and `>`.
fn uri(value: &str) -> &str {
    let inner = value.split_once('<').map_or(value, |(_, rest)| rest);
    inner.split('>').next().unwrap_or(inner)
}

fn next<T>(
    arrivals: &Receiver<Arrival>,
    within: Duration,
    wanted: impl Fn(&Arrival) -> Option<T>,
) -> Option<T> {
    let deadline = Instant::now() + within;
    loop {
        let left = deadline.saturating_duration_since(Instant::now());
        let arrival = arrivals.recv_timeout(left).ok()?;
        if let Some(found) = wanted(&arrival) {
            return Some(found);
        }
    }
}

fn listen_until(
    ends: &AtomicBool,
    socket: &UdpSocket,
    sip: &Sender<Arrival>,
    rtp: &Sender<Arrival>,
) {
    let here = socket
        .local_addr()
        .map_or_else(|_| String::new(), |here| here.to_string());
    let mut buffer = vec![0; 65_535];
    while !ends.load(Ordering::Relaxed) {
        // A time-out, or the ICMP error of an earlier datagram: neither ends anything.
        let Ok((length, from)) = socket.recv_from(&mut buffer) else {
            continue;
        };
        let arrival = Arrival {
            at: Instant::now(),
            from,
            bytes: buffer[..length].to_vec(),
        };
        // RTP's version is 2 (RFC 3550 section 5.1); no SIP message begins with such a byte.
        if arrival.bytes.first().is_some_and(|byte| byte >> 6 == 2) {
            let _ = rtp.send(arrival);
            continue;
        }
        if let Some(reply) = reply(&arrival.text(), &here) {
            let _ = socket.send_to(reply.as_bytes(), from);
        }
        let _ = sip.send(arrival);
    }
}

/// What a message is answered with at once: 200 to most requests, ACK to the answer of an INVITE.
fn reply(message: &str, here: &str) -> Option<String> {
    if !message.starts_with("SIP/2.0 ") {
        let asks = ["REGISTER ", "BYE ", "OPTIONS "];
        return asks
            .iter()
            .any(|ask| message.starts_with(ask))
            .then(|| ok(message));
    }
    let cseq = header(message, "CSeq")?;
    let (number, method) = cseq.split_once(' ')?;
    if !message.starts_with("SIP/2.0 200") || method.trim() != "INVITE" {
        return None;
    }
    let copied = |name| Some(format!("{name}: {}\r\n", header(message, name)?));
    Some(format!(
        "ACK {} SIP/2.0\r\nVia: SIP/2.0/UDP {here};rport;branch=z9hG4bK-{}-ack\r\nMax-Forwards: 70\r\n\
         {}{}{}CSeq: {number} ACK\r\nContent-Length: 0\r\n\r\n",
        uri(header(message, "Contact")?),
        header(message, "Call-ID")?,
        copied("From")?,
        copied("To")?,
        copied("Call-ID")?,
    ))
}

fn ok(request: &str) -> String {
    let lines = request.split("\r\n\r\n").next().unwrap_or_default().lines();
    let kept = ["via", "from", "call-id", "cseq", "contact", "expires"];
    let mut reply = "SIP/2.0 200 OK\r\n".to_owned();
    for line in lines.skip(1) {
        let name = line
            .split(':')
            .next()
            .unwrap_or_default()
            .to_ascii_lowercase();
        if kept.contains(&name.as_str()) {
            reply += &format!("{line}\r\n");
        } else if name == "to" {
            let tag = if line.contains(";tag=") {
                ""
            } else {
                ";tag=far"
            };
            reply += &format!("{line}{tag}\r\n");
        }
    }
    reply + "Content-Length: 0\r\n\r\n"
}
