//! What `rollcall-phone` takes to read one SIP message and write it again: time, and instructions where valgrind is
//! installed. baresip offers no such measurement of itself, so these stand alone.

use std::ffi::OsString;
use std::fs;
use std::path::{Path, PathBuf};
use std::process::Command;

use rollcall_e2e::surroundings::binary;

use crate::{Result, callgrind};

/// Of each message as many a round as these bytes hold.
const BYTES: usize = 64_000_000;

const INVITE: &str = "INVITE sip:1001-3f2504e0-1a2b3c4d@192.0.2.7:5070 SIP/2.0
Via: SIP/2.0/UDP 192.0.2.1:5060;rport;branch=z9hG4bKPj8f2c3f0e-6f0c-4d0e-9a63-2f1d0b7c4e5a
From: \"Agent 1002\" <sip:1002@192.0.2.1>;tag=5c1d7f0e-2b7a-4a57-9f3e-8e2b6f0d1c3a
To: <sip:1001-3f2504e0-1a2b3c4d@192.0.2.7;ob>
Contact: <sip:asterisk@192.0.2.1:5060>
Call-ID: 0b6e1c9f-4a5d-4f7e-8c2b-1d3f5a7b9c0e
CSeq: 19472 INVITE
Allow: OPTIONS, REGISTER, SUBSCRIBE, NOTIFY, PUBLISH, INVITE, ACK, BYE, CANCEL, UPDATE, PRACK, INFO, MESSAGE, REFER
Supported: 100rel, timer, replaces, norefersub, histinfo
Session-Expires: 1800
Min-SE: 90
Max-Forwards: 70
User-Agent: Asterisk PBX 22
Content-Type: application/sdp
";

const OFFER: &str = "v=0
o=- 1734412345 1734412345 IN IP4 192.0.2.1
s=Asterisk
c=IN IP4 192.0.2.1
t=0 0
m=audio 14372 RTP/AVP 107 0 8 101
a=rtpmap:107 opus/48000/2
a=rtpmap:0 PCMU/8000
a=rtpmap:8 PCMA/8000
a=rtpmap:101 telephone-event/8000
a=fmtp:101 0-16
a=ptime:20
a=sendrecv
";

const REGISTER: &str = "REGISTER sip:pbx.example SIP/2.0
Via: SIP/2.0/TLS 192.0.2.7:40112;rport;branch=z9hG4bK5f0e3b2a1c4d6e7f
Max-Forwards: 70
From: <sip:1001@pbx.example>;tag=8a1b2c3d4e5f6071
To: <sip:1001@pbx.example>
Call-ID: 9f8e7d6c5b4a3021
CSeq: 2 REGISTER
Expires: 300
Contact: <sip:1001-3f2504e0-1a2b3c4d@192.0.2.7:40112;transport=tls>;+sip.instance=\"<urn:uuid:3f2504e0-4f89-41d3-9a0c-0305e82c3301>\";reg-id=1;expires=300
Supported: path, outbound
Authorization: Digest username=\"1001\", realm=\"asterisk\", nonce=\"1734412345/0123456789abcdef\", uri=\"sip:pbx.example\", response=\"0123456789abcdef0123456789abcdef\", algorithm=MD5, qop=auth, nc=00000001, cnonce=\"0123456789abcdef\", opaque=\"0123456789abcdef\"
User-Agent: Rollcall/0.1.0 (device 3f2504e0-4f89-41d3-9a0c-0305e82c3301)
";

/// How long the headers are that show what a byte costs: eight times the bytes are to be eight times the work.
const LONG: [usize; 2] = [4_000, 32_000];

/// What a message took.
pub(crate) struct Cost {
    /// Which one, and how long.
    pub(crate) message: String,
    /// To read and write it once, of every round.
    pub(crate) nanoseconds: Vec<f64>,
    /// To read and write it once; none where valgrind is not installed.
    pub(crate) instructions: Option<u64>,
}

/// Measures each message.
pub(crate) fn measure(rounds: usize) -> Result<Vec<Cost>> {
    let folder = tempfile::tempdir().map_err(|error| format!("no folder: {error}"))?;
    let cost = |(name, head, body): (&str, String, &str)| {
        let file = folder.path().join(format!("{name}-{}", head.len()));
        let body = body.replace('\n', "\r\n");
        let head = head.replace('\n', "\r\n");
        let text = format!("{head}Content-Length: {}\r\n\r\n{body}", body.len());
        fs::write(&file, &text).map_err(|error| format!("{}: {error}", file.display()))?;
        let times = (0..rounds).map(|_| nanoseconds(&file, BYTES / text.len()));
        Ok(Cost {
            message: format!("{name}, {} bytes", text.len()),
            nanoseconds: times.collect::<Result<_>>()?,
            instructions: instructions(&file)?,
        })
    };
    let mut messages = vec![
        ("INVITE", INVITE.to_owned(), OFFER),
        ("REGISTER", REGISTER.to_owned(), ""),
    ];
    messages.extend(LONG.map(|length| {
        let header = format!(
            "Subject: {}\n",
            "\"quoted\", <bracketed>;a=b ".repeat(length / 25)
        );
        (
            "INVITE with a long header",
            INVITE.to_owned() + &header,
            OFFER,
        )
    }));
    messages.into_iter().map(cost).collect()
}

fn nanoseconds(file: &Path, times: usize) -> Result<f64> {
    let said = parse(times, file)?;
    let figure = said
        .trim()
        .strip_suffix(" ns")
        .and_then(|said| said.rsplit(' ').next());
    figure
        .and_then(|figure| figure.parse().ok())
        .ok_or_else(|| format!("rollcall-phone parse said {said:?}"))
}

fn instructions(file: &Path) -> Result<Option<u64>> {
    callgrind::each(&phone(), |times| {
        let words = ["parse", "--times", times].map(OsString::from);
        words.into_iter().chain([file.into()]).collect()
    })
}

/// What `parse` said.
fn parse(times: usize, file: &Path) -> Result<String> {
    let output = Command::new(phone())
        .args(["parse", "--times", &times.to_string()])
        .arg(file)
        .output()
        .map_err(|error| format!("rollcall-phone parse: {error}"))?;
    let text = |bytes: &[u8]| String::from_utf8_lossy(bytes).into_owned();
    match output.status.success() {
        true => Ok(text(&output.stdout)),
        false => Err(format!("rollcall-phone parse: {}", text(&output.stderr))),
    }
}

fn phone() -> PathBuf {
    binary("rollcall-phone")
}
