use super::*;
use proptest::prelude::*;

fn local(port: u16) -> Local {
    Local::new(SocketAddr::from(([127, 0, 0, 1], port)), 42)
}

fn offer_of(lines: &str) -> Vec<u8> {
    format!("v=0\r\no=- 1 1 IN IP4 192.0.2.7\r\ns=-\r\nc=IN IP4 192.0.2.7\r\nt=0 0\r\n{lines}")
        .into_bytes()
}

fn answer_to(lines: &str) -> Result<(String, Negotiated), SdpError> {
    answer(
        &offer_of(lines),
        &local(4000),
        &Codec::DEFAULT,
        Direction::SendRecv,
    )
    .map(|(bytes, negotiated)| (String::from_utf8(bytes).unwrap(), negotiated))
}

#[test]
fn an_offer_names_codecs_ptime_and_direction() {
    let bytes = offer(&local(4000), &Codec::DEFAULT, Direction::SendOnly);
    assert_eq!(
        String::from_utf8(bytes).unwrap(),
        "v=0\r\no=- 42 1 IN IP4 127.0.0.1\r\ns=-\r\nc=IN IP4 127.0.0.1\r\nt=0 0\r\n\
         m=audio 4000 RTP/AVP 111 9 0 8 101 102\r\n\
         a=rtpmap:111 opus/48000/2\r\na=fmtp:111 useinbandfec=1\r\n\
         a=rtpmap:9 G722/8000\r\na=rtpmap:0 PCMU/8000\r\na=rtpmap:8 PCMA/8000\r\n\
         a=rtpmap:101 telephone-event/8000\r\na=fmtp:101 0-15\r\n\
         a=rtpmap:102 telephone-event/48000\r\na=fmtp:102 0-15\r\n\
         a=ptime:20\r\na=sendonly\r\na=rtcp-mux\r\na=rtcp-xr:voip-metrics\r\n"
    );
}

#[test]
fn our_answer_to_our_offer_agrees_on_both_sides() {
    let codecs = Codec::DEFAULT;
    let offered = offer(&local(4000), &codecs, Direction::SendRecv);
    let (answered, callee) = answer(&offered, &local(5000), &codecs, Direction::SendRecv).unwrap();
    let caller = accept(&answered, &local(4000), &codecs, Direction::SendRecv).unwrap();
    assert_eq!(caller.codec, Codec::Opus);
    assert_eq!(caller.remote, local(5000).rtp);
    assert_eq!(callee.remote, local(4000).rtp);
    assert!(!caller.opus.refuses_fec && !callee.opus.refuses_fec);
    assert_eq!(
        (caller.codec, caller.send_payload_type, caller.direction),
        (callee.codec, callee.receive_payload_type, callee.direction)
    );
}

#[test]
fn the_offerers_order_of_codecs_wins() {
    let (_, negotiated) =
        answer_to("m=audio 9 RTP/AVP 0 96\r\na=rtpmap:96 opus/48000/2\r\n").unwrap();
    assert_eq!(negotiated.codec, Codec::Pcmu);
}

#[test]
fn keys_are_told_at_the_clock_of_the_codec_that_was_agreed_on() {
    let events = "a=rtpmap:96 opus/48000/2\r\na=rtpmap:97 telephone-event/8000\r\n\
                  a=rtpmap:98 telephone-event/48000\r\n";
    let of = |lines: &str| {
        let (text, negotiated) = answer_to(lines).unwrap();
        let events = negotiated.telephone_events?;
        let number = events.send_payload_type;
        assert!(text.contains(&format!(
            "rtpmap:{number} telephone-event/{}",
            events.clock_rate
        )));
        assert_eq!(events.receive_payload_types, [number]);
        Some((number, events.clock_rate))
    };
    for (lines, expected) in [
        (
            format!("m=audio 7000 RTP/AVP 96 97 98\r\n{events}"),
            Some((98, 48_000)),
        ),
        (
            format!("m=audio 7000 RTP/AVP 0 98 97\r\n{events}"),
            Some((97, 8_000)),
        ),
        (
            format!("m=audio 7000 RTP/AVP 96 97\r\n{events}"),
            Some((97, 8_000)),
        ),
        ("m=audio 7000 RTP/AVP 0\r\n".to_owned(), None),
        (
            "m=audio 7000 RTP/AVP 0 97\r\na=rtpmap:97 telephone-event/0\r\n".to_owned(),
            None,
        ),
    ] {
        assert_eq!(of(&lines), expected, "{lines}");
    }
}

#[test]
fn keys_may_come_under_our_numbers_and_under_theirs() {
    let answered = offer_of(
        "m=audio 7000 RTP/AVP 0 96\r\na=rtpmap:96 telephone-event/8000\r\na=fmtp:96 0-16\r\n",
    );
    let negotiated = accept(
        &answered,
        &local(4000),
        &Codec::DEFAULT,
        Direction::SendRecv,
    )
    .unwrap();
    assert_eq!(
        negotiated
            .telephone_events
            .as_ref()
            .unwrap()
            .send_payload_type,
        96
    );
    for number in [96, 101, 102] {
        assert!(negotiated.is_telephone_event(number), "{number}");
    }
    assert!(!negotiated.is_telephone_event(0));
}

#[test]
fn reports_share_the_port_only_where_both_sides_say_so() {
    let (text, negotiated) = answer_to("m=audio 7000 RTP/AVP 0\r\n").unwrap();
    assert!(!text.contains("rtcp-mux"), "{text}");
    assert_eq!(negotiated.rtcp, RtcpParameters::default());
    let (text, negotiated) = answer_to(
        "m=audio 7000 RTP/AVP 0\r\na=rtcp-mux\r\na=rtcp-xr:rcvr-rtt=all voip-metrics\r\n",
    )
    .unwrap();
    assert!(text.contains("a=rtcp-mux\r\n"), "{text}");
    assert!(negotiated.rtcp.mux && negotiated.rtcp.voip_metrics);
}

#[test]
fn reports_go_to_the_port_that_the_other_side_wants_and_to_no_other_host() {
    for (line, expected) in [
        ("a=rtcp:7005\r\n", Some("192.0.2.7:7005")),
        ("a=rtcp:7005 IN IP4 192.0.2.7\r\n", Some("192.0.2.7:7005")),
        ("a=rtcp:7005 IN IP4 192.0.2.9\r\n", None),
        ("a=rtcp:0\r\n", None),
        ("a=rtcp:7005 IN IP4 nowhere\r\n", None),
        ("a=rtcp\r\n", None),
    ] {
        let (_, negotiated) = answer_to(&format!("m=audio 7000 RTP/AVP 0\r\n{line}")).unwrap();
        let expected = expected.map(|address| address.parse().unwrap());
        assert_eq!(negotiated.rtcp.remote, expected, "{line}");
    }
}

#[test]
fn static_payload_numbers_need_no_rtpmap() {
    for (number, codec) in [(0, Codec::Pcmu), (8, Codec::Pcma), (9, Codec::G722)] {
        let (_, negotiated) = answer_to(&format!("m=audio 7000 RTP/AVP {number}\r\n")).unwrap();
        assert_eq!(negotiated.codec, codec);
        assert_eq!(negotiated.send_payload_type, number);
    }
}

#[test]
fn an_answer_keeps_the_offerers_payload_number() {
    let (text, negotiated) = answer_to(
        "m=audio 7000 RTP/AVP 107 0\r\na=rtpmap:107 OPUS/48000/2\r\n\
         a=fmtp:107 maxplaybackrate=16000; maxaveragebitrate=24000;usedtx=1\r\n",
    )
    .unwrap();
    assert!(text.contains("m=audio 4000 RTP/AVP 107\r\n"), "{text}");
    assert_eq!(negotiated.send_payload_type, 107);
    assert_eq!(negotiated.opus.max_playback_rate, Some(16000));
    assert_eq!(negotiated.opus.max_average_bitrate, Some(24000));
    assert!(negotiated.opus.dtx && !negotiated.opus.refuses_fec);
}

#[test]
fn only_who_says_so_refuses_error_correction() {
    for (said, refuses) in [
        ("", false),
        ("a=fmtp:107 useinbandfec=1\r\n", false),
        ("a=fmtp:107 usedtx=1;useinbandfec=0\r\n", true),
    ] {
        let media = "m=audio 7000 RTP/AVP 107\r\na=rtpmap:107 opus/48000/2\r\n";
        let (_, negotiated) = answer_to(&format!("{media}{said}")).unwrap();
        assert_eq!(negotiated.opus.refuses_fec, refuses, "{said:?}");
    }
}

#[test]
fn an_answer_may_number_a_codec_differently_from_our_offer() {
    let answered = offer_of("m=audio 7000 RTP/AVP 96\r\na=rtpmap:96 opus/48000/2\r\n");
    let negotiated = accept(
        &answered,
        &local(4000),
        &Codec::DEFAULT,
        Direction::SendRecv,
    )
    .unwrap();
    assert_eq!(negotiated.send_payload_type, 96);
    assert_eq!(negotiated.receive_payload_type, 111);
}

#[test]
fn an_answer_that_lists_several_codecs_lets_each_of_them_come() {
    let several = "m=audio 7000 RTP/AVP 8 96 0 9 101\r\na=rtpmap:96 opus/48000/2\r\na=rtpmap:101 telephone-event/8000\r\n";
    let ours = [Codec::Opus, Codec::Pcmu, Codec::Pcma];
    let agreed = accept(&offer_of(several), &local(4000), &ours, Direction::SendRecv).unwrap();
    assert_eq!((agreed.codec, agreed.send_payload_type), (Codec::Pcma, 8));
    let known = [8, 0, 111, 96, 9, 101, 13].map(|number| agreed.codec_of(number));
    let (pcma, pcmu, opus) = (Some(Codec::Pcma), Some(Codec::Pcmu), Some(Codec::Opus));
    // Opus under our number and under theirs; what we did not offer, and what carries no sound, under none.
    assert_eq!(known, [pcma, pcmu, opus, opus, None, None, None]);
    let (_, agreed) = answer_to(several).unwrap();
    assert_eq!(agreed.alternatives, [], "we chose one");
}

#[test]
fn other_streams_are_declined_in_their_place() {
    let (text, negotiated) = answer_to(
        "m=video 8000 RTP/AVP 99\r\na=rtpmap:99 H264/90000\r\nm=audio 7000 RTP/AVP 0\r\n\
         m=application 9 UDP/DTLS/SCTP webrtc-datachannel\r\n",
    )
    .unwrap();
    let lines: Vec<&str> = text.lines().filter(|line| line.starts_with("m=")).collect();
    assert_eq!(
        lines,
        [
            "m=video 0 RTP/AVP 99",
            "m=audio 4000 RTP/AVP 0",
            "m=application 0 UDP/DTLS/SCTP webrtc-datachannel"
        ]
    );
    assert_eq!(negotiated.remote.port(), 7000);
}

#[test]
fn a_held_call_receives_or_is_silent_but_never_sends() {
    let cases = [
        ("a=sendonly\r\n", Direction::RecvOnly),
        ("a=inactive\r\n", Direction::Inactive),
        ("a=recvonly\r\n", Direction::SendOnly),
        ("a=sendrecv\r\n", Direction::SendRecv),
        ("", Direction::SendRecv),
        ("c=IN IP4 0.0.0.0\r\n", Direction::RecvOnly),
    ];
    for (line, expected) in cases {
        let (text, negotiated) = answer_to(&format!("m=audio 7000 RTP/AVP 0\r\n{line}")).unwrap();
        assert_eq!(negotiated.direction, expected, "{line:?}");
        assert!(text.contains(&format!("a={expected}\r\n")), "{text}");
    }
}

#[test]
fn a_direction_of_the_session_counts_where_the_stream_has_none() {
    let session = "a=sendonly\r\nm=audio 7000 RTP/AVP 0\r\n";
    assert_eq!(answer_to(session).unwrap().1.direction, Direction::RecvOnly);
}

#[test]
fn while_we_hold_an_answer_cannot_make_us_listen() {
    let answered = offer_of("m=audio 7000 RTP/AVP 0\r\na=sendrecv\r\n");
    let negotiated = accept(
        &answered,
        &local(4000),
        &Codec::DEFAULT,
        Direction::SendOnly,
    )
    .unwrap();
    assert_eq!(negotiated.direction, Direction::SendOnly);
}

#[test]
fn what_cannot_be_honoured_is_refused_with_its_reason() {
    let refusals = [
        ("m=video 8000 RTP/AVP 99\r\n", SdpError::NoAudio),
        ("m=audio 0 RTP/AVP 0\r\n", SdpError::NoAudio),
        (
            "m=audio 7000 RTP/SAVP 0\r\n",
            SdpError::UnsupportedTransport("RTP/SAVP".into()),
        ),
        (
            "m=audio 7000 RTP/AVP 3 18\r\na=rtpmap:3 GSM/8000\r\n",
            SdpError::NoCommonCodec("GSM/8000, 18".into()),
        ),
        (
            "m=audio 7000 RTP/AVP 0\r\nc=IN IP4 pbx.example.com\r\n",
            SdpError::NoAddress("pbx.example.com".into()),
        ),
        (
            "m=audio 7000 RTP/AVP 0\r\nc=IN IP4 224.2.1.1\r\n",
            SdpError::NoAddress("224.2.1.1 is a multicast address".into()),
        ),
    ];
    for (lines, expected) in refusals {
        let error = answer_to(lines).unwrap_err();
        assert_eq!(error, expected);
        assert_eq!(error.status(), 488);
    }
}

#[test]
fn a_plain_line_behind_a_secured_one_is_taken() {
    let (text, _) = answer_to("m=audio 7000 RTP/SAVP 0\r\nm=audio 7002 RTP/AVP 0\r\n").unwrap();
    assert!(text.contains("m=audio 0 RTP/SAVP 0\r\nm=audio 4000 RTP/AVP 0\r\n"));
}

#[test]
fn what_is_not_sdp_is_a_bad_request() {
    for bytes in [
        &b""[..],
        b"hello",
        b"v=1\r\n",
        b"v=0\r\nm=audio x RTP/AVP 0\r\n",
    ] {
        let error = accept(bytes, &local(4000), &Codec::DEFAULT, Direction::SendRecv).unwrap_err();
        assert!(matches!(error, SdpError::Malformed(_)), "{error}");
        assert_eq!(error.status(), 400);
    }
    let huge = vec![b'a'; MAX_BYTES + 1];
    let error = accept(&huge, &local(4000), &Codec::DEFAULT, Direction::SendRecv).unwrap_err();
    assert_eq!(error, SdpError::TooLarge(MAX_BYTES + 1));
}

#[test]
fn too_many_media_lines_are_refused() {
    let lines = "m=audio 7000 RTP/AVP 0\r\n".repeat(MAX_MEDIA + 1);
    let error = answer_to(&lines).unwrap_err();
    assert_eq!(error, SdpError::TooManyMedia(MAX_MEDIA + 1));
}

#[test]
fn an_answer_with_another_number_of_streams_is_not_ours() {
    let answered = offer_of("m=audio 7000 RTP/AVP 0\r\nm=audio 7002 RTP/AVP 0\r\n");
    let error = accept(
        &answered,
        &local(4000),
        &Codec::DEFAULT,
        Direction::SendRecv,
    )
    .unwrap_err();
    assert!(matches!(error, SdpError::NotOurOffer(_)));
}

#[test]
fn an_ipv6_offer_is_answered() {
    let offered =
        b"v=0\r\no=- 1 1 IN IP6 ::1\r\ns=-\r\nc=IN IP6 ::1\r\nt=0 0\r\nm=audio 7000 RTP/AVP 0\r\n";
    let here = Local::new("[::1]:4000".parse().unwrap(), 1);
    let (bytes, negotiated) = answer(offered, &here, &Codec::DEFAULT, Direction::SendRecv).unwrap();
    assert_eq!(negotiated.remote, "[::1]:7000".parse().unwrap());
    assert!(
        String::from_utf8(bytes)
            .unwrap()
            .contains("c=IN IP6 ::1\r\n")
    );
}

proptest! {
    #![proptest_config(crate::repeatable(500))]

    #[test]
    fn any_bytes_are_read_without_a_panic(bytes in proptest::collection::vec(any::<u8>(), 0..600)) {
        let _ = answer(&bytes, &local(1), &Codec::DEFAULT, Direction::SendRecv);
    }

    #[test]
    fn any_lines_are_read_without_a_panic(
        lines in proptest::collection::vec("[vosctma]=[ -~]{0,40}", 0..20)
    ) {
        let text = format!("v=0\r\n{}", lines.join("\r\n"));
        if let Ok((bytes, _)) = answer(text.as_bytes(), &local(1), &Codec::DEFAULT, Direction::SendRecv) {
            prop_assert!(parse(&bytes).is_ok());
        }
    }
}
