//! Whatever comes in, the PBX goes on.

mod common;

use std::time::Duration;

use common::{Site, address, config};
use proptest::prelude::*;
use rollcall_media::codec::Codec;

const REGISTER: &str = "REGISTER sip:127.0.0.1:5060 SIP/2.0\r\nVia: SIP/2.0/UDP 127.0.0.1:25199;branch=z9hG4bKa;rport\r\n\
    Max-Forwards: 70\r\nFrom: <sip:1001@127.0.0.1>;tag=t\r\nTo: <sip:1001@127.0.0.1>\r\nCall-ID: c@h\r\nCSeq: 1 REGISTER\r\n\
    Contact: <sip:1001-x@127.0.0.1:25199>;expires=60\r\nAuthorization: Digest username=\"1001\", realm=\"asterisk\", \
    nonce=\"0-0\", uri=\"sip:127.0.0.1:5060\", response=\"00000000000000000000000000000000\"\r\nContent-Length: 0\r\n\r\n";

/// A phone that was there before can still call the echo number and be heard.
fn still_works(site: &mut Site, phone: usize) {
    site.phones[phone].events.clear();
    let call = site.dial(phone, "600", &Codec::DEFAULT);
    site.run(Duration::from_secs(1));
    assert!(site.answered_codec(phone, &Codec::DEFAULT).is_some());
    let (ua, now) = site.ua(phone);
    ua.hangup(now, call);
    site.run(Duration::from_secs(1));
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(64))]

    #[test]
    fn datagrams_of_any_kind_do_no_harm(
        noise in prop::collection::vec(any::<u8>(), 0..300),
        edits in prop::collection::vec((0..REGISTER.len(), any::<u8>()), 1..12),
    ) {
        let mut site = Site::new(config());
        let phone = site.registered_phone("1001");
        let mut mutated = REGISTER.as_bytes().to_vec();
        for (at, byte) in edits {
            mutated[at] = byte;
        }
        let now = site.clock.now();
        site.pbx.handle_sip(now, address(25_199), &noise);
        site.pbx.handle_sip(now, address(25_199), &mutated);
        still_works(&mut site, phone);
        let listed = site.action("Action: PJSIPShowContacts\n");
        prop_assert_eq!(listed.last().unwrap().get("ListItems"), Some("1"), "nobody registered without a password");
    }

    #[test]
    fn actions_of_any_kind_do_no_harm(name in "[A-Za-z]{0,20}", key in "[A-Za-z-]{1,12}", value in "[ -~]{0,80}") {
        prop_assume!(!name.eq_ignore_ascii_case("Logoff"));
        let mut site = Site::new(config());
        let answer = site.action(&format!("Action: {name}\n{key}: {value}\n"));
        prop_assert!(answer.first().is_some_and(|packet| packet.get("Response").is_some()));
        let pong = site.action("Action: Ping\n");
        prop_assert_eq!(pong[0].get("Ping"), Some("Pong"));
    }
}

#[test]
fn a_register_with_a_forged_nonce_registers_nobody() {
    let mut site = Site::new(config());
    let now = site.clock.now();
    site.pbx
        .handle_sip(now, address(25_199), REGISTER.as_bytes());
    let listed = site.action("Action: PJSIPShowContacts\n");
    assert_eq!(listed[0].get("Message"), Some("No Contacts found"));
}

#[test]
fn a_manager_that_sends_no_end_of_line_is_shown_out() {
    let mut site = Site::without_login(config(), Default::default());
    let answer = site.action(&format!("Action: {}\n", "x".repeat(4000)));
    assert!(answer.is_empty());
    assert!(site.manager_closed);
}
