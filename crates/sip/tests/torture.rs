//! The torture messages of RFC 4475 and RFC 5118, each with the verdict that the RFC gives.
//!
//! The files are those of the archives in the RFCs' appendices, to the byte. RFC 5118's were archived with bare line
//! feeds and without regard to Content-Length: they are put on the wire as the RFC's text shows them.

mod common;

use common::{PHONE, World, address};
use rollcall_sip::message::{HeadersView, Message, Method, NameAddr, uri_text};
use rollcall_sip::{Event, parse};

/// What the parser says.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Read {
    Accepted,
    Refused(u16),
}

/// What a phone does with it, when its registrar sends it.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Does {
    /// Answers with this final code; nothing else changes.
    Answers(u16),
    /// Takes it for a call.
    Rings,
    /// Sends nothing: a response, or a request that lacks what an answer is made of.
    Nothing,
}

use Does::{Answers, Nothing, Rings};
use Read::{Accepted, Refused};

/// Name, section, the parser's verdict, the phone's. A phone is no registrar: 405 to what it can read of REGISTER.
const RFC_4475: &[(&str, &str, Read, Does)] = &[
    // To has a tag, and there is no such dialog.
    ("wsinv", "3.1.1.1", Accepted, Answers(481)),
    ("intmeth", "3.1.1.2", Accepted, Answers(501)),
    ("esc01", "3.1.1.3", Accepted, Rings),
    ("escnull", "3.1.1.4", Accepted, Answers(405)),
    ("esc02", "3.1.1.5", Accepted, Answers(501)),
    ("lwsdisp", "3.1.1.6", Accepted, Answers(200)),
    ("longreq", "3.1.1.7", Accepted, Rings),
    ("dblreq", "3.1.1.8", Accepted, Answers(405)),
    ("semiuri", "3.1.1.9", Accepted, Answers(200)),
    ("transports", "3.1.1.10", Accepted, Answers(200)),
    ("mpart01", "3.1.1.11", Accepted, Answers(405)),
    ("unreason", "3.1.1.12", Accepted, Nothing),
    ("noreason", "3.1.1.13", Accepted, Nothing),
    ("badinv01", "3.1.2.1", Refused(400), Answers(400)),
    ("clerr", "3.1.2.2", Refused(400), Answers(400)),
    ("ncl", "3.1.2.3", Refused(400), Nothing),
    ("scalar02", "3.1.2.4", Refused(400), Answers(400)),
    ("scalarlg", "3.1.2.5", Refused(400), Nothing),
    ("quotbal", "3.1.2.6", Refused(400), Answers(400)),
    ("ltgtruri", "3.1.2.7", Refused(400), Answers(400)),
    ("lwsruri", "3.1.2.8", Refused(400), Answers(400)),
    ("lwsstart", "3.1.2.9", Refused(400), Answers(400)),
    // May be read, since nothing follows the version.
    ("trws", "3.1.2.10", Accepted, Answers(200)),
    ("escruri", "3.1.2.11", Refused(400), Answers(400)),
    // The RFC leaves it open whether a Date nobody acts upon is worth a refusal.
    ("baddate", "3.1.2.12", Accepted, Rings),
    ("regbadct", "3.1.2.13", Refused(400), Answers(400)),
    // Both may be read where the meaning is plain.
    ("badaspec", "3.1.2.14", Accepted, Answers(200)),
    ("baddn", "3.1.2.15", Accepted, Answers(200)),
    ("badvers", "3.1.2.16", Refused(505), Answers(505)),
    ("mismatch01", "3.1.2.17", Refused(400), Answers(400)),
    ("mismatch02", "3.1.2.18", Refused(400), Answers(400)),
    ("bigcode", "3.1.2.19", Refused(400), Nothing),
    ("badbranch", "3.2.1", Accepted, Answers(200)),
    ("insuf", "3.3.1", Refused(400), Nothing),
    ("unkscm", "3.3.2", Refused(416), Answers(416)),
    ("novelsc", "3.3.3", Refused(416), Answers(416)),
    ("unksm2", "3.3.4", Accepted, Answers(405)),
    ("bext01", "3.3.5", Accepted, Answers(420)),
    ("invut", "3.3.6", Accepted, Answers(415)),
    ("regaut01", "3.3.7", Accepted, Answers(405)),
    ("multi01", "3.3.8", Refused(400), Answers(400)),
    ("mcl01", "3.3.9", Refused(400), Nothing),
    ("bcast", "3.3.10", Accepted, Nothing),
    ("zeromf", "3.3.11", Accepted, Answers(200)),
    ("cparam01", "3.3.12", Accepted, Answers(405)),
    ("cparam02", "3.3.13", Accepted, Answers(405)),
    ("regescrt", "3.3.14", Accepted, Answers(405)),
    ("sdp01", "3.3.15", Accepted, Answers(406)),
    ("inv2543", "3.4.1", Accepted, Rings),
];

const RFC_5118: &[(&str, &str, Read, Does)] = &[
    ("ipv6-good", "4.1", Accepted, Answers(405)),
    ("ipv6-bad", "4.2", Refused(400), Answers(400)),
    ("port-ambiguous", "4.3", Accepted, Answers(405)),
    ("port-unambiguous", "4.4", Accepted, Answers(405)),
    (
        "via-received-param-with-delim",
        "4.5",
        Accepted,
        Answers(481),
    ),
    ("via-received-param-no-delim", "4.5", Accepted, Answers(200)),
    ("ipv6-in-sdp", "4.6", Accepted, Rings),
    ("mult-ip-in-header", "4.7", Accepted, Answers(481)),
    ("mult-ip-in-sdp", "4.8", Accepted, Rings),
    ("ipv4-mapped-ipv6", "4.9", Accepted, Rings),
    ("ipv6-bug-abnf-3-colons", "4.10", Accepted, Answers(200)),
    ("ipv6-correct-abnf-2-colons", "4.10", Accepted, Answers(200)),
];

fn file(rfc: &str, name: &str) -> Vec<u8> {
    let path = format!(
        "{}/tests/torture/{rfc}/{name}.dat",
        env!("CARGO_MANIFEST_DIR")
    );
    std::fs::read(&path).unwrap_or_else(|error| panic!("{path}: {error}"))
}

/// Line ends, the empty line, and a Content-Length that is true.
fn on_the_wire(archived: &[u8]) -> Vec<u8> {
    let text = String::from_utf8_lossy(archived).replace('\n', "\r\n");
    let (head, body) = text.split_once("\r\n\r\n").unwrap_or((text.trim_end(), ""));
    let without = head
        .split("\r\n")
        .filter(|line| !line.starts_with("Content-Length"));
    let head: Vec<&str> = without.collect();
    let length = body.len();
    format!(
        "{}\r\nContent-Length: {length}\r\n\r\n{body}",
        head.join("\r\n")
    )
    .into_bytes()
}

fn messages() -> impl Iterator<Item = (String, Vec<u8>, Read, Does)> {
    let named = |rfc: &'static str| {
        move |(name, section, read, does): &(&str, &str, Read, Does)| {
            let bytes = match rfc {
                "rfc5118" => on_the_wire(&file(rfc, name)),
                _ => file(rfc, name),
            };
            (format!("{name} ({rfc} {section})"), bytes, *read, *does)
        }
    };
    let first = RFC_4475.iter().map(named("rfc4475"));
    first.chain(RFC_5118.iter().map(named("rfc5118")))
}

#[test]
fn the_parser_gives_each_message_the_verdict_of_its_rfc() {
    assert_eq!((RFC_4475.len(), RFC_5118.len()), (49, 12));
    for (name, bytes, expected, _) in messages() {
        let read = match parse(&bytes) {
            Ok(_) => Accepted,
            Err(refusal) => Refused(refusal.code),
        };
        assert_eq!(read, expected, "{name}: {:?}", parse(&bytes));
    }
}

#[test]
fn a_phone_answers_each_message_as_its_rfc_says_and_nothing_else_changes() {
    for (name, bytes, _, expected) in messages() {
        let mut world = World::perfect();
        let now = world.clock.now();
        world.agents[PHONE]
            .1
            .handle_datagram(now, address(5060), &bytes);
        world.drain();
        let rings = world.count(PHONE, |event| matches!(event, Event::Incoming { .. }));
        // An answer copies what it could not read, so it is known by its first line.
        let answers: Vec<u16> = world
            .start_lines(PHONE)
            .iter()
            .filter_map(|line| line.strip_prefix("SIP/2.0 ")?.get(..3)?.parse().ok())
            .filter(|code| *code >= 200)
            .collect();
        let does = match (rings, answers.as_slice()) {
            (1, []) => Rings,
            (0, [code]) => Answers(*code),
            (0, []) => Nothing,
            other => panic!("{name}: {other:?}"),
        };
        assert_eq!(does, expected, "{name}");
        assert_eq!(world.agents[PHONE].1.call_count(), rings, "{name}");
    }
}

#[test]
fn what_is_accepted_survives_being_written_and_read_again() {
    for (name, bytes, _, _) in messages() {
        let Ok(message) = parse(&bytes) else { continue };
        let written = match &message {
            Message::Request(request) => rollcall_sip::message::write::request(request),
            Message::Response(response) => rollcall_sip::message::write::response(response),
        };
        assert_eq!(parse(&written), Ok(message), "{name}");
    }
}

fn read(rfc: &str, name: &str) -> rollcall_sip::message::Request {
    let bytes = file(rfc, name);
    let bytes = if rfc == "rfc5118" {
        on_the_wire(&bytes)
    } else {
        bytes
    };
    match parse(&bytes) {
        Ok(Message::Request(request)) => request,
        other => panic!("{name}: {other:?}"),
    }
}

#[test]
fn the_tortuous_invite_is_read_right() {
    let request = read("rfc4475", "wsinv");
    assert_eq!(request.method, Method::Invite);
    assert_eq!(
        uri_text(&request.uri),
        "sip:vivekg@chair-dnrc.example.com;unknownparam"
    );
    assert_eq!(request.headers.text("Max-Forwards"), Some("0068"));
    let from = request.headers.from_view().expect("From");
    assert_eq!(from.display.as_deref(), Some(r#"J Rosenberg \""#));
    assert_eq!(from.tag().as_deref(), Some("98asjd8"));
    assert_eq!(request.headers.cseq_view().map(|cseq| cseq.number), Ok(9));
    let vias: Vec<&str> = request.headers.texts("Via").collect();
    assert_eq!(vias.len(), 3, "{vias:?}");
    assert_eq!(request.headers.texts("Route").count(), 1);
    assert_eq!(request.headers.contacts().len(), 1);
    assert_eq!(request.body.len(), 150);
}

#[test]
fn escapes_stay_escapes_and_a_percent_sign_is_a_character() {
    let user = |request: &rollcall_sip::message::Request| request.uri.user().map(str::to_owned);
    let escaped = read("rfc4475", "esc01");
    assert_eq!(user(&escaped).as_deref(), Some("sips%3Auser%40example.com"));
    let parameters_in_user = read("rfc4475", "semiuri");
    assert_eq!(
        user(&parameters_in_user).as_deref(),
        Some("user;par=u%40example.net")
    );
    let odd = read("rfc4475", "esc02");
    assert_eq!(odd.method.as_str(), "RE%47IST%45R");
    assert_eq!(
        odd.headers.contacts().len(),
        2,
        "C%6Fntact is another header"
    );
    let display = odd.headers.from_view().expect("From").display;
    assert_eq!(display.as_deref(), Some("%Z%45"));
}

#[test]
fn whose_a_parameter_is_depends_on_the_brackets() {
    let contact = |name| read("rfc4475", name).headers.contacts().remove(0);
    let of_header = contact("cparam01");
    assert_eq!(of_header.params.get("unknownparam").as_deref(), Some(""));
    assert!(of_header.uri.params.is_empty());
    let of_uri: NameAddr = contact("cparam02");
    assert_eq!(of_uri.params.get("unknownparam"), None);
    assert_eq!(of_uri.uri.params.len(), 1);
    let with_headers = contact("regescrt");
    assert_eq!(with_headers.uri_headers, "Route=%3Csip:sip.example.com%3E");
}

#[test]
fn ports_and_ipv6_addresses_are_told_apart() {
    let port = |name| {
        let request = read("rfc5118", name);
        request.uri.host_with_port.port.map(u16::from)
    };
    assert_eq!(port("port-ambiguous"), None);
    assert_eq!(port("port-unambiguous"), Some(5070));
    let three_colons = read("rfc5118", "ipv6-bug-abnf-3-colons");
    assert_eq!(uri_text(&three_colons.uri), "sip:user@[2001:db8::c000:201]");
}
