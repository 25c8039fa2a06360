use rand::SeedableRng;
use rand::rngs::StdRng;

use super::*;
use crate::srtp::Suite;

fn side(port: u16, policy: Policy) -> Local {
    let mut random = StdRng::seed_from_u64(u64::from(port));
    Local::new(SocketAddr::from(([127, 0, 0, 1], port)), 42)
        .secured(Security::new(policy, &mut random))
}

fn text(bytes: &[u8]) -> String {
    String::from_utf8_lossy(bytes).into_owned()
}

/// Offer and answer between two policies: what the caller and the callee agreed on.
fn agree(caller: Policy, callee: Policy) -> Result<(Negotiated, Negotiated), SdpError> {
    let (ann, bob) = (side(4000, caller), side(5000, callee));
    let codecs = Codec::DEFAULT;
    let offered = offer(&ann, &codecs, Direction::SendRecv);
    let (answered, callee) = answer(&offered, &bob, &codecs, Direction::SendRecv)?;
    let caller = accept(&answered, &ann, &codecs, Direction::SendRecv)?;
    Ok((caller, callee))
}

fn answer_to(policy: Policy, media: &str) -> Result<(String, Negotiated), SdpError> {
    let offered =
        format!("v=0\r\no=- 1 1 IN IP4 192.0.2.7\r\ns=-\r\nc=IN IP4 192.0.2.7\r\nt=0 0\r\n{media}");
    let local = side(5000, policy);
    answer(
        offered.as_bytes(),
        &local,
        &Codec::DEFAULT,
        Direction::SendRecv,
    )
    .map(|(bytes, negotiated)| (text(&bytes), negotiated))
}

/// Thirty bytes of key and salt.
const KEY: &str = "WVNfX19zZW1jdGwgKCkgewkyMjA7fQp9CnVubGVz";

fn line(rest: &str) -> String {
    format!("m=audio 7000 RTP/SAVP 0\r\na=crypto:1 AES_CM_128_HMAC_SHA1_80 {rest}\r\n")
}

#[test]
fn two_sides_that_can_encrypt_do_with_the_same_keys_crosswise() {
    for (caller, callee) in [
        (Policy::Required, Policy::Required),
        (Policy::Required, Policy::Optional),
        (Policy::Optional, Policy::Required),
        (Policy::Optional, Policy::Optional),
    ] {
        let (ann, bob) = agree(caller, callee).unwrap();
        let (ann, bob) = (ann.srtp.unwrap(), bob.srtp.unwrap());
        assert_eq!((&ann.send, &ann.receive), (&bob.receive, &bob.send));
        assert_eq!(ann.send.suite(), Suite::AeadAes256Gcm);
        assert_ne!(ann.send, ann.receive);
    }
}

#[test]
fn where_one_side_cannot_the_other_goes_on_in_the_open_only_if_it_may() {
    assert_eq!(agree(Policy::Optional, Policy::Off).unwrap().0.srtp, None);
    assert_eq!(agree(Policy::Off, Policy::Optional).unwrap().1.srtp, None);
    let refused = agree(Policy::Off, Policy::Required).unwrap_err();
    assert_eq!((&refused, refused.status()), (&SdpError::NotEncrypted, 488));
    let refused = agree(Policy::Required, Policy::Off).unwrap_err();
    assert_eq!(refused, SdpError::UnsupportedTransport("RTP/SAVP".into()));
}

#[test]
fn an_answer_that_drops_the_encryption_is_refused_when_it_is_required() {
    let ann = side(4000, Policy::Required);
    let offered = text(&offer(&ann, &Codec::DEFAULT, Direction::SendRecv));
    assert!(offered.contains("RTP/SAVP") && offered.matches("a=crypto:").count() == 4);
    let head = "v=0\r\no=- 1 1 IN IP4 192.0.2.7\r\ns=-\r\nc=IN IP4 192.0.2.7\r\nt=0 0\r\n";
    for (media, expected) in [
        (
            "m=audio 7000 RTP/AVP 0\r\n".to_owned(),
            SdpError::NotEncrypted,
        ),
        (
            "m=audio 7000 RTP/SAVP 0\r\n".to_owned(),
            SdpError::NoCommonCrypto,
        ),
        // A tag we gave to another suite, one we never gave, and a choice that was none.
        (line(&format!("inline:{KEY}")), SdpError::NoCommonCrypto),
        (
            line(&format!("inline:{KEY}")).replace(":1 ", ":9 "),
            SdpError::NoCommonCrypto,
        ),
        (
            line(&format!("inline:{KEY}")).replace(":1 ", ":3 ")
                + &format!("a=crypto:4 AES_CM_128_HMAC_SHA1_32 inline:{KEY}\r\n"),
            SdpError::NoCommonCrypto,
        ),
    ] {
        let answered = format!("{head}{media}");
        let refused = accept(
            answered.as_bytes(),
            &ann,
            &Codec::DEFAULT,
            Direction::SendRecv,
        );
        assert_eq!(refused.unwrap_err(), expected, "{media}");
    }
    let answered = head.to_owned() + &line(&format!("inline:{KEY}")).replace(":1 ", ":3 ");
    let agreed = accept(
        answered.as_bytes(),
        &ann,
        &Codec::DEFAULT,
        Direction::SendRecv,
    )
    .unwrap();
    assert_eq!(
        agreed.srtp.unwrap().send.suite(),
        Suite::AesCm128HmacSha1_80
    );
}

#[test]
fn the_first_line_that_we_can_use_is_answered_under_its_own_tag() {
    let media = format!(
        "m=audio 7000 RTP/SAVP 0\r\na=crypto:7 F8_128_HMAC_SHA1_80 inline:{KEY}\r\n\
         a=crypto:8 AES_CM_128_HMAC_SHA1_80 inline:{KEY} UNENCRYPTED_SRTP\r\n\
         a=crypto:9 AES_CM_128_HMAC_SHA1_32 inline:{KEY}|2^31 WSH=128\r\n"
    );
    let (answered, agreed) = answer_to(Policy::Optional, &media).unwrap();
    assert_eq!(answered.matches("a=crypto:").count(), 1);
    assert!(
        answered.contains("a=crypto:9 AES_CM_128_HMAC_SHA1_32 inline:"),
        "{answered}"
    );
    assert!(answered.contains("RTP/SAVP"), "{answered}");
    assert_eq!(
        agreed.srtp.unwrap().receive.suite(),
        Suite::AesCm128HmacSha1_32
    );
}

#[test]
fn a_line_that_asks_for_what_we_do_not_do_is_passed_over() {
    for rest in [
        format!("inline:{KEY}|1:4"),
        format!("inline:{KEY}|2^20|1:4"),
        format!("inline:{KEY} KDR=1"),
        format!("inline:{KEY} UNAUTHENTICATED_SRTP"),
        format!("inline:{KEY};inline:{KEY}"),
        format!("outline:{KEY}"),
        format!("inline:{}", &KEY[..36]),
        "inline:%%%%".to_owned(),
        "inline:".to_owned(),
        String::new(),
    ] {
        let refused = answer_to(Policy::Optional, &line(&rest)).unwrap_err();
        assert_eq!(
            (refused.clone(), refused.status()),
            (SdpError::NoCommonCrypto, 488),
            "{rest}"
        );
    }
    assert!(answer_to(Policy::Optional, &line(&format!("inline:{KEY}"))).is_ok());
}

#[test]
fn our_keys_stay_for_the_call_and_are_in_no_debug_output() {
    let local = side(4000, Policy::Required);
    let once = offer(&local, &Codec::DEFAULT, Direction::SendRecv);
    let again = offer(&local, &Codec::DEFAULT, Direction::SendOnly);
    let keys = |bytes: &[u8]| {
        let all = text(bytes);
        let lines = all.lines().filter(|line| line.starts_with("a=crypto:"));
        lines.map(str::to_owned).collect::<Vec<_>>()
    };
    assert_eq!(keys(&once), keys(&again));
    let shown = format!("{local:?}");
    for line in keys(&once) {
        let key = line.split("inline:").nth(1).unwrap();
        assert!(!shown.contains(key), "{shown}");
    }
    assert_ne!(
        keys(&once),
        keys(&offer(
            &side(4002, Policy::Required),
            &Codec::DEFAULT,
            Direction::SendRecv
        ))
    );
}
