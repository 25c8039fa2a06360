//! The parser and the serialiser, by the classes of RFC 3261 and RFC 4475.

use rollcall_sip::message::{
    CSeq, HeadersView, Message, Method, NameAddr, Refusal, Request, Response, Via, parse_uri,
    uri_text, write,
};
use rollcall_sip::parse;

const HEADERS: &str = "Via: SIP/2.0/UDP 192.0.2.1;branch=z9hG4bK1\nFrom: <sip:a@b>;tag=1\nTo: <sip:c@d>\nCall-ID: 1@b\n";

fn read(text: &str) -> Result<Message, Refusal> {
    parse(text.replace('\n', "\r\n").as_bytes())
}

fn request(text: &str) -> Request {
    match read(text) {
        Ok(Message::Request(request)) => request,
        other => panic!("{other:?}"),
    }
}

fn response(text: &str) -> Response {
    match read(text) {
        Ok(Message::Response(response)) => response,
        other => panic!("{other:?}"),
    }
}

fn refusal(text: &str) -> u16 {
    read(text).expect_err("refused").code
}

fn options(extra: &str) -> String {
    format!("OPTIONS sip:c@d SIP/2.0\n{HEADERS}CSeq: 1 OPTIONS\n{extra}\n")
}

#[test]
fn a_message_cut_between_its_headers_is_refused_unless_it_says_that_it_has_no_body() {
    let whole = options("Content-Length: 0\n").replace('\n', "\r\n");
    let lines = whole.match_indices("\r\n").map(|(at, end)| at + end.len());
    let ends: Vec<usize> = lines.collect();
    let [cut @ .., all_headers, end] = ends.as_slice() else {
        panic!("header lines and an empty one");
    };
    assert_eq!(*end, whole.len());
    for at in cut {
        let refused = parse(&whole.as_bytes()[..*at]).expect_err("cut short");
        assert_eq!(refused.code, 400, "{:?}", &whole[..*at]);
    }
    let only_the_empty_line_is_missing = parse(&whole.as_bytes()[..*all_headers]);
    assert!(only_the_empty_line_is_missing.is_ok());
}

#[test]
fn compact_names_stand_for_the_long_ones() {
    let request = request(
        "INVITE sip:c@d SIP/2.0\nv: SIP/2.0/UDP h;branch=z9hG4bK2\nf: <sip:a@b>;tag=9\nt: <sip:c@d>\ni: id\n\
         CSeq: 2 INVITE\nm: <sip:a@h>\nc: application/sdp\nk: timer\ns: hello\nl: 3\n\nabc",
    );
    assert_eq!(request.headers.text("Call-ID"), Some("id"));
    assert_eq!(
        request.headers.text("Content-Type"),
        Some("application/sdp")
    );
    assert_eq!(request.headers.text("Supported"), Some("timer"));
    assert_eq!(
        request.headers.from_view().expect("From").tag().as_deref(),
        Some("9")
    );
    assert_eq!(request.headers.contacts().len(), 1);
    assert_eq!(request.body, b"abc");
}

#[test]
fn folded_lines_blanks_before_the_colon_and_any_case_are_read() {
    let request = request(&options(
        "SuBjEcT :  one\n\ttwo\n   three\nX-Own:\n value\n",
    ));
    assert_eq!(request.headers.text("Subject"), Some("one two three"));
    assert_eq!(request.headers.text("x-own"), Some("value"));
}

#[test]
fn ipv6_hosts_are_read_and_written_in_brackets() {
    let request = request(
        "OPTIONS sip:user@[2001:db8::10]:5070;transport=tcp SIP/2.0\nVia: SIP/2.0/UDP [2001:db8::9:1]:5061;branch=z9hG4bK3;rport\n\
         From: <sip:a@[::1]>;tag=1\nTo: <sip:c@d>\nCall-ID: 6\nCSeq: 1 OPTIONS\nContact: <sip:caller@[2001:db8::1]>\n\n",
    );
    assert_eq!(
        uri_text(&request.uri),
        "sip:user@[2001:db8::10]:5070;transport=tcp"
    );
    let via = request.headers.via_view().expect("Via");
    assert_eq!(
        via.to_string(),
        "SIP/2.0/UDP [2001:db8::9:1]:5061;branch=z9hG4bK3;rport"
    );
    assert_eq!(
        request.headers.contacts()[0].to_string(),
        "<sip:caller@[2001:db8::1]>"
    );
}

#[test]
fn quoted_texts_keep_what_would_part_them() {
    let text = r#""A \"B\", <c>; d" <sip:joe@h;lr>;+sip.instance="<urn:uuid:1;2,3>";q=0.5"#;
    let contact = NameAddr::parse(text).expect("readable");
    assert_eq!(contact.display.as_deref(), Some(r#"A "B", <c>; d"#));
    assert_eq!(
        contact.params.get("+sip.instance").as_deref(),
        Some("<urn:uuid:1;2,3>")
    );
    assert_eq!(contact.params.get("Q").as_deref(), Some("0.5"));
    assert_eq!(
        NameAddr::parse(&contact.to_string()),
        Ok(contact),
        "it survives being written"
    );
}

#[test]
fn parameters_outside_brackets_belong_to_the_header() {
    let from = NameAddr::parse("sip:a@b;tag=7").expect("readable");
    assert_eq!(
        (uri_text(&from.uri).as_str(), from.tag().as_deref()),
        ("sip:a@b", Some("7"))
    );
    let inside = NameAddr::parse("<sip:a@b;tag=7>").expect("readable");
    assert_eq!(inside.tag(), None);
}

#[test]
fn several_values_in_one_header_become_several_fields() {
    let request = request(
        "OPTIONS sip:c@d SIP/2.0\nVia: SIP/2.0/UDP one;branch=z9hG4bKa, SIP/2.0/TCP two;branch=z9hG4bKb\n\
         From: <sip:a@b>;tag=1\nTo: <sip:c@d>\nCall-ID: 1\nCSeq: 1 OPTIONS\n\
         Contact: \"x, y\" <sip:1@h>, <sip:2@h>\nRoute: <sip:p1;lr>,<sip:p2;lr>\nRoute: <sip:p3;lr>\n\n",
    );
    assert_eq!(request.headers.texts("Via").count(), 2);
    assert_eq!(
        request
            .headers
            .contacts()
            .iter()
            .map(NameAddr::user)
            .collect::<Vec<_>>(),
        ["1", "2"]
    );
    assert_eq!(
        request.headers.texts("Route").collect::<Vec<_>>(),
        ["<sip:p1;lr>", "<sip:p2;lr>", "<sip:p3;lr>"]
    );
}

#[test]
fn a_byte_that_is_not_utf8_spoils_its_header_only() {
    let mut bytes = options("Subject: caf\n").replace('\n', "\r\n").into_bytes();
    let at = bytes
        .windows(3)
        .position(|part| part == b"caf")
        .expect("there");
    bytes.insert(at + 3, 0xe9);
    let Ok(Message::Request(request)) = parse(&bytes) else {
        panic!("refused")
    };
    assert!(
        request
            .headers
            .text("Subject")
            .is_some_and(|subject| subject.starts_with("caf"))
    );
    let written = write::request(&request);
    assert!(
        written
            .windows(15)
            .any(|part| part == b"Subject: caf\xe9\r\n"),
        "it leaves as it came"
    );
    let caller = NameAddr::parse("\"caf\u{10ffe9}\" <sip:a@b>").expect("readable");
    assert_eq!(caller.display.as_deref(), Some("café"), "and can be read");
}

#[test]
fn unknown_methods_and_headers_are_kept_as_they_came() {
    let request =
        request(&options("P-Own-Header: \"a, b\";c=d\n").replace("OPTIONS", "Frobnicate-2"));
    assert_eq!(request.method.as_str(), "Frobnicate-2");
    assert!(matches!(request.method, Method::Other(_)));
    let cseq = request.headers.cseq_view().expect("CSeq");
    assert_eq!(cseq.method, request.method);
    let written = write::request(&request);
    assert!(written.starts_with(b"Frobnicate-2 sip:c@d SIP/2.0\r\n"));
    let written = String::from_utf8_lossy(&written).into_owned();
    assert!(
        written.contains("\r\nP-Own-Header: \"a, b\";c=d\r\n"),
        "{written}"
    );
}

#[test]
fn methods_that_are_no_token_or_too_long_are_refused() {
    assert_eq!(refusal(&options("").replace("OPTIONS", "FROB{")), 400);
    assert_eq!(
        refusal(&options("").replace("OPTIONS", &"F".repeat(48))),
        501
    );
    assert_eq!(
        refusal(&options("").replace("OPTIONS sip", "options sip")),
        400,
        "methods are case-sensitive, so CSeq names another one"
    );
}

#[test]
fn unknown_schemes_and_versions_are_refused_with_their_own_codes() {
    assert_eq!(
        refusal(&options("").replace("sip:c@d SIP", "http:c@d SIP")),
        416
    );
    assert_eq!(
        refusal(&options("").replace("sip:c@d SIP", "sip:@d SIP")),
        400
    );
    assert_eq!(
        refusal(&options("").replace("sip:c@d SIP", "sip:c@d?Route=x SIP")),
        400
    );
    assert_eq!(refusal(&options("").replacen("SIP/2.0", "SIP/7.0", 1)), 505);
}

#[test]
fn headers_of_a_uri_stay_with_its_address() {
    let text = "<sip:dave@h?Replaces=abc%40h%3Bto-tag%3D1&Require=replaces>;x=y";
    let refer_to = NameAddr::parse(text).expect("readable");
    assert_eq!(
        refer_to.uri_headers,
        "Replaces=abc%40h%3Bto-tag%3D1&Require=replaces"
    );
    assert_eq!(uri_text(&refer_to.uri), "sip:dave@h");
    assert_eq!(refer_to.to_string(), text);
}

#[test]
fn control_characters_and_lone_carriage_returns_in_a_header_are_refused() {
    for trick in [
        "Subject: a\rEvil: b\n",
        "Subject: a\0b\n",
        "Subject: a\u{b}b\n",
        "Sub ject: a\n",
        "Subject\u{b}: a\n",
        ": a\n",
        "Content-Length: 0\u{b}\n",
    ] {
        assert_eq!(refusal(&options(trick)), 400, "{trick:?}");
    }
    let tab = request(&options("Subject\t:\ta\tb\n"));
    assert_eq!(tab.headers.text("Subject"), Some("a b"), "a tab is a blank");
    let hidden = request(&options("Content-Length : 0\n"));
    assert!(
        hidden.body.is_empty(),
        "a blank before the colon hides nothing"
    );
}

#[test]
fn content_length_bounds_the_body() {
    let with = |length: &str, body: &str| {
        read(&format!(
            "{}{body}",
            options(&format!("Content-Length: {length}\n"))
        ))
    };
    let body = |message: Result<Message, Refusal>| match message {
        Ok(Message::Request(request)) => Ok(request.body),
        Err(refusal) => Err(refusal.code),
        Ok(Message::Response(_)) => Err(0),
    };
    assert_eq!(
        body(with("3", "abcdef")),
        Ok(b"abc".to_vec()),
        "what is beyond is dropped"
    );
    assert_eq!(body(with("7", "abcdef")), Err(400));
    for wrong in ["-1", "+3", "3 3", "99999999999999999999", "0x3", ""] {
        assert_eq!(body(with(wrong, "abc")), Err(400), "{wrong:?}");
    }
    assert_eq!(
        refusal(&options("Content-Length: 0\nContent-Length: 1\n")),
        400
    );
    assert_eq!(
        request(&format!("{}abc", options(""))).body,
        b"abc",
        "a datagram ends by itself"
    );
}

#[test]
fn binary_bodies_pass_unchanged() {
    let mut bytes = options("Content-Length: 4\n")
        .replace('\n', "\r\n")
        .into_bytes();
    bytes.extend([0, 0xff, b'\r', b'\n']);
    let Ok(Message::Request(request)) = parse(&bytes) else {
        panic!("refused")
    };
    assert_eq!(request.body, [0, 0xff, b'\r', b'\n']);
    assert!(write::request(&request).ends_with(&[0, 0xff, b'\r', b'\n']));
}

#[test]
fn mandatory_headers_are_missed_and_doubles_refused() {
    for name in ["Via", "From", "To", "Call-ID", "CSeq"] {
        let text = options("");
        let without: String = text
            .lines()
            .filter(|line| !line.starts_with(name))
            .map(|line| format!("{line}\n"))
            .collect();
        assert_eq!(refusal(&without), 400, "{name} is missing");
    }
    for double in ["From: <sip:x@y>;tag=2", "Call-ID: 2", "CSeq: 2 OPTIONS"] {
        assert_eq!(refusal(&options(&format!("{double}\n"))), 400, "{double}");
    }
}

#[test]
fn cseq_must_fit_its_method_and_its_range() {
    assert_eq!(refusal(&options("").replace("1 OPTIONS", "1 INVITE")), 400);
    assert_eq!(
        refusal(&options("").replace("1 OPTIONS", "4294967295 OPTIONS")),
        400
    );
    assert_eq!(refusal(&options("").replace("1 OPTIONS", "OPTIONS")), 400);
    let read = request(&options("").replace("1 OPTIONS", "0009  OPTIONS"));
    assert_eq!(
        read.headers.cseq_view(),
        Ok(CSeq {
            number: 9,
            method: Method::Options
        })
    );
}

#[test]
fn separators_without_values_and_ambiguous_contacts_are_refused() {
    assert_eq!(
        refusal(&options("").replace("branch=z9hG4bK1", ";,;,,")),
        400,
        "RFC 4475 section 3.1.2.1"
    );
    assert_eq!(
        refusal(&options("Contact: sip:a@b?Route=x\n")),
        400,
        "RFC 4475 section 3.1.2.13"
    );
    assert_eq!(
        refusal(&options("").replace("<sip:a@b>", "\"a <sip:a@b>")),
        400,
        "RFC 4475 section 3.1.2.6"
    );
    assert!(
        read(&options("Contact: <name:John_Smith>\n")).is_ok(),
        "an unknown scheme in Contact is no fault"
    );
}

#[test]
fn blank_lines_in_front_and_bare_line_feeds_are_tolerated() {
    assert!(parse(format!("\r\n\r\n{}", options("")).as_bytes()).is_ok());
    assert!(parse(options("").as_bytes()).is_ok());
}

#[test]
fn a_status_keeps_the_senders_words_and_knows_the_standard_ones() {
    let answer = |line: &str| response(&format!("{line}\n{HEADERS}CSeq: 1 OPTIONS\n\n"));
    let busy = answer("SIP/2.0 486 Busy Here");
    assert_eq!(write::reason(&busy.status_code), "Busy Here");
    assert!(write::response(&busy).starts_with(b"SIP/2.0 486 Busy Here\r\n"));
    assert_eq!(
        write::reason(&answer("SIP/2.0 403 Wrong branch").status_code),
        "Wrong branch"
    );
    assert_eq!(write::reason(&answer("SIP/2.0 299").status_code), "Success");
    assert_eq!(
        refusal(&format!(
            "SIP/2.0 4294967301 better not\n{HEADERS}CSeq: 1 OPTIONS\n\n"
        )),
        400
    );
}

#[test]
fn uris_keep_dots_escapes_passwords_and_telephone_numbers() {
    for text in [
        "sip:john.doe@h",
        "sip:user;par=u%40h:pw@h.example:5070;lr;maddr=192.0.2.1",
        "sips:1212@gateway.example",
        "tel:+49-30-123;phone-context=example.com",
        "sip:h.example",
        "sip:a@h;transport=udp",
    ] {
        assert_eq!(
            parse_uri(text).map(|uri| uri_text(&uri)).as_deref(),
            Ok(text)
        );
    }
    for (text, code) in [
        ("sip:a b@h", 400),
        ("sip:a@h:0", 400),
        ("sip:", 400),
        ("mailto:a@b", 416),
        ("a@b", 400),
    ] {
        assert_eq!(
            parse_uri(text).map_err(|refusal| refusal.code),
            Err(code),
            "{text}"
        );
    }
    assert_eq!(
        parse_uri(&format!("sip:{}@h", "a".repeat(2000))).map_err(|refusal| refusal.code),
        Err(414)
    );
}

#[test]
fn a_line_break_in_a_value_cannot_start_a_header() {
    let mut request = request(&options(""));
    request.headers.set("Subject", "a\r\nEvil: yes\r\n\r\nbody");
    let written = write::request(&request);
    let Ok(Message::Request(again)) = parse(&written) else {
        panic!("refused")
    };
    assert_eq!(again.headers.text("Evil"), None);
    assert!(again.body.is_empty());
}

#[test]
fn vias_with_blanks_around_their_slashes_are_read() {
    let via = Via::parse("SIP  / 2.0  / TCP     spindle.example.com   ;  branch  =   z9hG4bK9ikj8")
        .expect("readable");
    assert_eq!(
        (via.transport.as_str(), via.branch().as_deref()),
        ("TCP", Some("z9hG4bK9ikj8"))
    );
}

#[test]
fn too_much_is_refused_before_it_costs_anything() {
    assert_eq!(
        parse(&vec![b'a'; 70_000]).map_err(|refusal| refusal.code),
        Err(513)
    );
    assert_eq!(refusal(&options(&"X: 1\n".repeat(300))), 513);
}

mod properties {
    use proptest::prelude::*;
    use rollcall_sip::message::{Message, write};
    use rollcall_sip::parse;

    /// Bytes that are nearly a message: a whole one with some of its bytes replaced, doubled or cut away.
    fn nearly_a_message() -> impl Strategy<Value = Vec<u8>> {
        let text = format!(
            "INVITE sip:c@[::1]:5;lr;transport=tcp SIP/2.0\r\n{}CSeq: 1 INVITE\r\nContact: \"x\\\"\" <sip:a@b;lr?h=v>;q=\"1\", \
             <tel:+1-2>\r\nm: *\r\nX-Caf\u{e9}: y\r\nl: 4\r\nRoute: <sip:p;lr>,\r\n <sip:q>\r\n\r\nbody",
            super::HEADERS.replace('\n', "\r\n")
        );
        let edits =
            proptest::collection::vec((any::<prop::sample::Index>(), any::<u8>(), 0..3u8), 0..6);
        (edits, any::<prop::sample::Index>(), any::<bool>()).prop_map(move |(edits, cut, cuts)| {
            let mut bytes = text.clone().into_bytes();
            for (at, byte, kind) in edits {
                let at = at.index(bytes.len());
                match kind {
                    0 => bytes[at] = byte,
                    1 => bytes.insert(at, byte),
                    _ => drop(bytes.remove(at)),
                }
            }
            if cuts {
                bytes.truncate(cut.index(bytes.len()));
            }
            bytes
        })
    }

    fn written(message: &Message) -> bytes::Bytes {
        match message {
            Message::Request(request) => write::request(request),
            Message::Response(response) => write::response(response),
        }
    }

    proptest! {
        #![proptest_config(ProptestConfig::with_cases(1024))]

        #[test]
        fn any_bytes_are_read_or_refused(bytes in proptest::collection::vec(any::<u8>(), 0..600)) {
            if let Err(refusal) = parse(&bytes) {
                prop_assert!((400..700).contains(&refusal.code));
            }
        }

        #[test]
        fn what_was_read_is_read_the_same_after_being_written(bytes in nearly_a_message()) {
            if let Ok(message) = parse(&bytes) {
                let again = written(&message);
                prop_assert_eq!(parse(&again), Ok(message), "{}", String::from_utf8_lossy(&again));
            }
        }

        #[test]
        fn any_headers_and_body_come_back(
            method in "[!-+A-Za-z0-9.-]{1,12}", display in "\\PC{0,20}", name in "X-[A-Za-z0-9-]{1,20}",
            value in "[ -~\u{a0}-\u{17f}]{0,60}", body in proptest::collection::vec(any::<u8>(), 0..80),
        ) {
            let Some(method) = super::Method::parse(&method) else { return Ok(()) };
            let mut request = super::request(&super::options(""));
            request.method = method;
            super::HeadersView::set(&mut request.headers, "CSeq", format!("1 {method}"));
            let mut from = super::HeadersView::from_view(&request.headers).expect("From");
            from.display = Some(display.replace(char::is_control, "")).filter(|text| !text.is_empty());
            super::HeadersView::set(&mut request.headers, "From", from.to_string());
            super::HeadersView::add(&mut request.headers, &name, value.trim_matches(' '));
            request.body = body;
            let again = parse(&write::request(&request));
            prop_assert_eq!(&again, &Ok(Message::Request(request)));
            let Ok(Message::Request(again)) = again else { unreachable!() };
            prop_assert_eq!(super::HeadersView::from_view(&again.headers), Ok(from));
        }
    }

    #[test]
    fn the_longest_message_costs_no_more_than_its_length() {
        let patterns = [
            ",", ";", "<", ">", "\"", "\\", "@", "?", " ", "\r\n ", "a:b\r\n", "<a:b>,", ";a=",
            "::",
        ];
        for pattern in patterns {
            for name in ["Contact", "Via", "Route", "X-Any", "To"] {
                let filler = pattern.repeat(60_000 / pattern.len());
                let text = format!("OPTIONS sip:a@b SIP/2.0\r\n{name}: {filler}\r\n\r\n");
                // Minutes where it were quadratic; the test runner ends it then.
                let _ = parse(text.as_bytes());
            }
        }
    }
}
