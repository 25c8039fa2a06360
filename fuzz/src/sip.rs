//! What must hold of any SIP, for the fuzzer and for the tests of `rollcall-sip`, which include this file.

use std::net::SocketAddr;
use std::time::{Duration, Instant};

use rollcall_sip::digest::{Authenticator, Challenge, ClientDigest};
use rollcall_sip::message::{
    Frame, Framing, Headers, HeadersView, Message, Method, Request, Version, parse_uri, write,
};
use rollcall_sip::{Config, Credentials, Trust, UserAgent, parse};

/// A datagram: it is read or refused; what was read is the same after being written; a user agent takes it.
pub fn sip(now: Instant, data: &[u8]) {
    match parse(data) {
        Err(refusal) => assert!((400..700).contains(&refusal.code)),
        Ok(message) => {
            let written = match &message {
                Message::Request(request) => write::request(request),
                Message::Response(response) => write::response(response),
            };
            assert_eq!(parse(&written), Ok(message));
        }
    }
    let address = |port| SocketAddr::from(([127, 0, 0, 1], port));
    let config = Config {
        trust: Trust::Anyone,
        only_for_contact: false,
        ..Config::phone(address(5070), "1001", "fuzz", 1)
    };
    let mut ua = UserAgent::new(config, now);
    for _copy in 0..2 {
        ua.handle_datagram(now, address(5060), data);
    }
    ua.handle_timeout(now + Duration::from_secs(1));
    let sent = std::iter::from_fn(|| ua.poll_transmit()).count();
    assert!(sent <= 8, "{sent} messages for one");
    while ua.poll_event().is_some() {}
}

/// A challenge, and an answer to one.
pub fn digest(now: Instant, data: &[u8]) {
    let text = String::from_utf8_lossy(data).into_owned();
    if let Ok(challenge) = Challenge::parse(&text)
        && !text.contains(char::is_control)
    {
        assert_eq!(Challenge::parse(&challenge.header_value()), Ok(challenge));
    }
    let mut headers = Headers::default();
    headers.add("WWW-Authenticate", text.clone());
    headers.add("Proxy-Authenticate", text.clone());
    let mut request = Request {
        method: Method::Register,
        uri: parse_uri("sip:pbx").expect("a URI"),
        version: Version::V2,
        headers: Headers::default(),
        body: data.to_vec(),
    };
    let credentials = Credentials::new("1001", "secret");
    if let Ok(mut digest) = ClientDigest::from_response(&headers, "c".to_owned()) {
        digest.authorise(&mut request, &credentials);
        digest.accepted(&headers);
        assert!(request.headers.iter().count() <= 2);
        assert!(request.headers.text("Authorization").is_some());
    }
    request.headers.add("Authorization", text);
    let mut server = Authenticator::new("pbx", [1; 32], Duration::from_secs(60), now);
    server.verify(now, &request, |_| Some("secret".to_owned()));
}

/// A stream: the pieces that it comes in make no difference.
pub fn framing(_now: Instant, data: &[u8]) {
    let Some((first, stream)) = data.split_first() else {
        return;
    };
    let pieces = cut(stream, usize::from(*first).max(1));
    assert_eq!(pieces, cut(stream, stream.len().max(1)));
}

/// The messages of a stream and the code of the error that ended it. Keep-alives are left out: half a ping passes for a
/// pong.
fn cut(stream: &[u8], piece: usize) -> (Vec<Frame>, Option<u16>) {
    let mut framing = Framing::default();
    let mut messages = Vec::new();
    for part in stream.chunks(piece) {
        framing.push(part);
        loop {
            match framing.next_frame() {
                Ok(None) => break,
                Ok(Some(frame @ Frame::Message(_))) => messages.push(frame),
                Ok(Some(_)) => {}
                Err(refusal) => return (messages, Some(refusal.code)),
            }
        }
    }
    (messages, None)
}
