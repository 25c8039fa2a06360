//! SIPp as a caller: it comes to the address where the phone's registrar was, and calls as often as it is told.

use std::net::SocketAddr;
use std::path::Path;
use std::time::Duration;

use tempfile::TempDir;

use crate::ports::Port;
use crate::program::Program;
use crate::surroundings::repository;
use crate::waiting::{PROMPTLY, eventually};

/// What Debian's package `sip-tester` installs.
const PROGRAM: &str = "/usr/bin/sipp";

/// One call: INVITE, 200, ACK, sound in PCMU that is echoed for a moment, BYE, 200.
const SCENARIO: &str = r#"<?xml version="1.0" encoding="UTF-8"?>
<scenario name="a short call">
  <send retrans="500"><![CDATA[
INVITE CONTACT SIP/2.0
Via: SIP/2.0/[transport] [local_ip]:[local_port];rport;branch=[branch]
Max-Forwards: 70
From: "SIPp" <sip:2000@[local_ip]:[local_port]>;tag=[pid]-[call_number]
To: <CONTACT>
Call-ID: [call_id]
CSeq: 1 INVITE
Contact: <sip:2000@[local_ip]:[local_port]>
Content-Type: application/sdp
Content-Length: [len]

v=0
o=- 1 1 IN IP4 [local_ip]
s=-
c=IN IP4 [media_ip]
t=0 0
m=audio [media_port] RTP/AVP 0
a=rtpmap:0 PCMU/8000
a=ptime:20
  ]]></send>
  <recv response="100" optional="true"/>
  <recv response="180" optional="true"/>
  <recv response="200" rrs="true"/>
  <send><![CDATA[
ACK CONTACT SIP/2.0
Via: SIP/2.0/[transport] [local_ip]:[local_port];rport;branch=[branch]
Max-Forwards: 70
From: "SIPp" <sip:2000@[local_ip]:[local_port]>;tag=[pid]-[call_number]
To: <CONTACT>[peer_tag_param]
Call-ID: [call_id]
CSeq: 1 ACK
Content-Length: 0
  ]]></send>
  <pause milliseconds="100"/>
  <send retrans="500"><![CDATA[
BYE CONTACT SIP/2.0
Via: SIP/2.0/[transport] [local_ip]:[local_port];rport;branch=[branch]
Max-Forwards: 70
From: "SIPp" <sip:2000@[local_ip]:[local_port]>;tag=[pid]-[call_number]
To: <CONTACT>[peer_tag_param]
Call-ID: [call_id]
CSeq: 2 BYE
Content-Length: 0
  ]]></send>
  <recv response="200"/>
</scenario>
"#;

/// A caller at one address, for one phone.
#[derive(Debug)]
pub struct Sipp {
    at: SocketAddr,
    phone: SocketAddr,
    contact: String,
    /// It takes the next ones for reports and video without being asked.
    media: [Port; 3],
    folder: TempDir,
}

impl Sipp {
    /// A caller at the address `at`, which must be free when it calls, for the phone at `phone` with this Contact.
    ///
    /// # Panics
    ///
    /// If it is not installed.
    pub fn new(at: SocketAddr, phone: SocketAddr, contact: &str) -> Sipp {
        assert!(
            Path::new(PROGRAM).exists(),
            "SIPp is not installed: run `cargo xtask test e2e`, or `apt-get install sip-tester`"
        );
        let folder = tempfile::tempdir().unwrap_or_else(|error| panic!("{error}"));
        let scenario = SCENARIO.replace("CONTACT", contact);
        std::fs::write(folder.path().join("call.xml"), scenario)
            .unwrap_or_else(|error| panic!("{error}"));
        Sipp {
            at,
            phone,
            contact: contact.to_owned(),
            media: Port::reserve_three(),
            folder,
        }
    }

    /// Begins to play a scenario of `tests/sipp`, as caller or as who is called, with more `options` of SIPp's. Who is
    /// called listens when this returns: at a port that is still closed a call would end at once.
    ///
    /// # Panics
    ///
    /// If there is none of this name.
    pub async fn play(&self, scenario: &str, options: &[&str]) -> Program {
        let text = std::fs::read_to_string(repository().join(format!("tests/sipp/{scenario}.xml")));
        let text = text.unwrap_or_else(|error| panic!("{scenario}: {error}"));
        let file = self.folder.path().join(format!("{scenario}.xml"));
        std::fs::write(&file, text.replace("CONTACT", &self.contact))
            .unwrap_or_else(|error| panic!("{error}"));
        let calls = text.find("recv request=\"INVITE\"").is_none_or(|at| {
            // Who waits for an INVITE first is called.
            text.find("<send").is_some_and(|send| send < at)
        });
        let mut more: Vec<&str> = options.to_vec();
        let phone = self.phone.to_string();
        more.extend(calls.then_some(phone.as_str()));
        let program = self.start(&file.to_string_lossy(), 1, &more);
        if !calls {
            eventually("SIPp listens", PROMPTLY, async || {
                match is_bound(self.at.port()) {
                    true => Ok(()),
                    false => Err(format!("{program:?}")),
                }
            })
            .await;
        }
        program
    }

    /// Makes `calls` calls one after the other and waits until the last is over.
    ///
    /// # Panics
    ///
    /// If one of them fails.
    pub async fn call(&self, calls: u32) {
        let file = self.folder.path().join("call.xml");
        let phone = self.phone.to_string();
        let mut program = self.start(
            &file.to_string_lossy(),
            calls,
            &["-rtp_echo", "-r", "50", &phone],
        );
        let status = program.ended(Duration::from_secs(60)).await;
        assert!(
            status.success(),
            "SIPp's calls did not all succeed: {status}\n{program:?}"
        );
    }

    fn start(&self, file: &str, calls: u32, more: &[&str]) -> Program {
        let mut arguments: Vec<String> = [
            "-sf",
            file,
            "-i",
            "127.0.0.1",
            "-mi",
            "127.0.0.1",
            "-nostdin",
            "-l",
            "1",
            // A call that hangs is a failed call.
            "-recv_timeout",
            "10000",
        ]
        .map(str::to_owned)
        .to_vec();
        let numbers = [
            ("-p", self.at.port().into()),
            ("-mp", self.media[0].number().into()),
            ("-m", calls),
        ];
        for (name, value) in numbers {
            arguments.extend([name.to_owned(), value.to_string()]);
        }
        arguments.extend(more.iter().map(|word| (*word).to_owned()));
        Program::start(Path::new(PROGRAM), arguments, &[])
    }
}

/// Whether somebody has this UDP port of 127.0.0.1, without trying to take it.
fn is_bound(port: u16) -> bool {
    let sockets = std::fs::read_to_string("/proc/net/udp").unwrap_or_default();
    // The second column: the address as the processor reads it, and the port.
    let local = format!("{:08X}:{port:04X}", u32::from_ne_bytes([127, 0, 0, 1]));
    let mut sockets = sockets.lines();
    sockets.any(|line| line.split_whitespace().nth(1) == Some(&local))
}
