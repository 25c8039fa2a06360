//! Bad requests get the RFC's code, a line in the log at DEBUG that says what was wrong, and change nothing else.

mod common;

use std::io::{self, Write};
use std::sync::{Arc, Mutex, PoisonError};

use bytes::Bytes;
use common::{PBX, PHONE, World, address};
use rollcall_sip::message::HeadersView;
use rollcall_sip::{Event, Reply};

#[derive(Clone, Default)]
struct Log(Arc<Mutex<Vec<u8>>>);

impl Log {
    /// What was said since it was asked last.
    fn said(&self) -> String {
        let bytes = std::mem::take(&mut *self.0.lock().unwrap_or_else(PoisonError::into_inner));
        String::from_utf8_lossy(&bytes).into_owned()
    }
}

impl Write for Log {
    fn write(&mut self, bytes: &[u8]) -> io::Result<usize> {
        let mut log = self.0.lock().unwrap_or_else(PoisonError::into_inner);
        log.extend_from_slice(bytes);
        Ok(bytes.len())
    }

    fn flush(&mut self) -> io::Result<()> {
        Ok(())
    }
}

/// A call that the phone made and the PBX took; From, To and Call-ID of requests of the PBX's inside it.
fn in_a_call(world: &mut World) -> [String; 3] {
    world.call(PHONE, "v=0 offer");
    let (theirs, _) = world.expect_incoming(PBX);
    let (pbx, now) = world.ua(PBX);
    pbx.answer(now, theirs, Bytes::from_static(b"v=0 answer"));
    world.expect(PBX, |event| {
        matches!(event, Event::Confirmed { .. }).then_some(())
    });
    let ack = world.ack(PHONE);
    ["To", "From", "Call-ID"].map(|name| ack.headers.text(name).unwrap_or_default().to_owned())
}

#[test]
fn a_bad_request_gets_its_code_a_line_that_says_what_was_wrong_and_changes_nothing() {
    let log = Log::default();
    let writer = log.clone();
    let logged = tracing_subscriber::fmt()
        .with_ansi(false)
        .with_max_level(tracing::Level::DEBUG)
        .with_writer(move || writer.clone())
        .finish();
    let _logged = tracing::subscriber::set_default(logged);
    let mut world = World::perfect();
    let inside = in_a_call(&mut world);
    let [from, to, call_id] = &inside;
    let outside = ["<sip:a@b>;tag=1", "<sip:1001@b>", "another"];
    let told = world.told.len();
    for (number, (dialog, method, headers, code, words)) in [
        (outside, "OPTIONS", "Require: teleport", 420, "teleport"),
        (outside, "TELEPORT", "", 501, "TELEPORT"),
        (outside, "OPTIONS", "Call-ID: second", 400, "Call-ID"),
        (outside, "BYE", "", 481, "method=BYE"),
        (
            outside,
            "INVITE",
            "Replaces: x\nContact: <sip:a@127.0.0.1:5060>",
            400,
            "Replaces without a call and both tags",
        ),
        (
            outside,
            "INVITE",
            "Replaces: x;to-tag=y;from-tag=z\nContact: <sip:a@127.0.0.1:5060>",
            481,
            "Replaces names no call",
        ),
        ([from, to, call_id], "REFER", "", 400, "not one Refer-To"),
        (
            [from, to, call_id],
            "REFER",
            "Refer-To: <mailto:a@b>",
            416,
            "scheme",
        ),
    ]
    .into_iter()
    .enumerate()
    {
        let [from, to, call_id] = dialog;
        log.said();
        world.wire.clear();
        world.inject(
            address(5060),
            PHONE,
            &format!(
                "{method} sip:1001-aa-bb@127.0.0.1:5070 SIP/2.0\nVia: SIP/2.0/UDP 127.0.0.1:5060;branch=z9hG4bK-{number}\n\
                 From: {from}\nTo: {to}\nCall-ID: {call_id}\nCSeq: {} {method}\n{headers}{}Content-Length: 0\n\n",
                90_000 + number,
                if headers.is_empty() { "" } else { "\n" },
            ),
        );
        let answers = world.start_lines(PHONE);
        let last = answers.last().map(String::as_str).unwrap_or_default();
        assert!(
            last.starts_with(&format!("SIP/2.0 {code} ")),
            "{method} {headers}: {answers:?}"
        );
        let said = log.said();
        let line = said.lines().find(|line| line.contains(words));
        let line =
            line.unwrap_or_else(|| panic!("{method} {headers}: {words:?} is not in {said:?}"));
        assert!(line.contains("DEBUG"), "{line}");
        assert_eq!(world.told.len(), told, "{method} {headers}: nobody is told");
        assert_eq!(world.agents[PHONE].1.call_count(), 1, "{method} {headers}");
    }
}

#[test]
fn a_reason_phrase_of_ours_is_one_line_of_bounded_length_whatever_it_quotes() {
    let quoted = "no codec in common: x\r\nEvil: 1\u{7f}\0 ".repeat(20);
    let reason = Reply::because(488, quoted).reason.expect("a reason");
    assert!(reason.starts_with("no codec in common: xEvil: 1 no codec"));
    assert!(!reason.contains(char::is_control), "{reason:?}");
    assert_eq!(reason.chars().count(), 200);
}
