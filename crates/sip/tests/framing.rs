//! Messages in a stream, whatever pieces it comes in.

use bytes::Bytes;
use proptest::prelude::*;
use rollcall_sip::message::{Frame, Framing, MAX_MESSAGE, PING, PONG, Refusal};

fn message(body: &str) -> Vec<u8> {
    format!(
        "OPTIONS sip:a@b SIP/2.0\r\nVia: SIP/2.0/TCP h;branch=z9hG4bK1\r\nl: {}\r\n\r\n{body}",
        body.len()
    )
    .into_bytes()
}

fn frames(stream: &[u8], piece: usize) -> Result<Vec<Frame>, Refusal> {
    let mut framing = Framing::default();
    let mut frames = Vec::new();
    for part in stream.chunks(piece) {
        framing.push(part);
        while let Some(frame) = framing.next_frame()? {
            frames.push(frame);
        }
    }
    Ok(frames)
}

fn whole(body: &str) -> Frame {
    Frame::Message(Bytes::from(message(body)))
}

#[test]
fn messages_are_cut_by_content_length_in_pieces_of_any_size() {
    let stream = [message(""), message("abc\r\n\r\nINVITE"), message("x")].concat();
    for piece in [1, 2, 3, 7, 64, stream.len()] {
        let cut = frames(&stream, piece);
        let expected = [whole(""), whole("abc\r\n\r\nINVITE"), whole("x")];
        assert_eq!(cut.as_deref(), Ok(expected.as_slice()), "pieces of {piece}");
    }
}

#[test]
fn line_ends_between_messages_are_keep_alives() {
    let stream = [PING, &message("a"), PONG, &message("b"), PING].concat();
    let expected = [
        Frame::Ping,
        whole("a"),
        Frame::Pong,
        whole("b"),
        Frame::Ping,
    ];
    assert_eq!(
        frames(&stream, stream.len()).as_deref(),
        Ok(expected.as_slice())
    );
}

#[test]
fn a_folded_content_length_counts_and_bare_line_feeds_end_lines() {
    let folded = b"OPTIONS sip:a@b SIP/2.0\r\nContent-Length :\r\n 2\r\n\r\nok";
    assert_eq!(
        frames(folded, 5),
        Ok(vec![Frame::Message(Bytes::from_static(folded))])
    );
    let bare = b"OPTIONS sip:a@b SIP/2.0\nl:1\n\nx";
    assert_eq!(
        frames(bare, 1),
        Ok(vec![Frame::Message(Bytes::from_static(bare))])
    );
}

#[test]
fn a_stream_that_cannot_be_cut_is_an_error() {
    for (header, code) in [
        ("X: 1", 400),
        ("Content-Length: -1", 400),
        ("Content-Length: 1\r\nl: 2", 400),
        ("Content-Length: 18446744073709551616", 400),
        ("Content-Length: 18446744073709551615", 513),
        ("Content-Length: 65535", 513),
    ] {
        let stream = format!("OPTIONS sip:a@b SIP/2.0\r\n{header}\r\n\r\n");
        let refusal = frames(stream.as_bytes(), 9).expect_err(header);
        assert_eq!(refusal.code, code, "{header}");
    }
}

#[test]
fn a_head_without_end_is_given_up_before_it_fills_the_memory() {
    let mut framing = Framing::default();
    let mut pushed = 0;
    let refusal = loop {
        framing.push(b"X: y\r\n");
        pushed += 6;
        match framing.next_frame() {
            Ok(None) => assert!(pushed <= MAX_MESSAGE),
            Ok(Some(frame)) => panic!("{frame:?}"),
            Err(refusal) => break refusal,
        }
    };
    assert_eq!(refusal.code, 513);
}

proptest! {
    #[test]
    fn any_bytes_in_any_pieces_end_in_frames_or_an_error(
        bytes in proptest::collection::vec(any::<u8>(), 0..400), piece in 1usize..50,
    ) {
        let _ = frames(&bytes, piece);
    }

    #[test]
    fn the_pieces_make_no_difference(
        bodies in proptest::collection::vec("[a-z\r\n]{0,30}", 1..6), piece in 1usize..90,
    ) {
        let stream: Vec<u8> = bodies.iter().flat_map(|body| message(body)).collect();
        let expected: Vec<Frame> = bodies.iter().map(|body| whole(body)).collect();
        prop_assert_eq!(frames(&stream, piece), Ok(expected));
    }
}
