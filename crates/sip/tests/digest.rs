//! Digest against the examples of RFC 2617 and RFC 7616, and the two sides against each other.

use std::time::Duration;

use rollcall_sip::Credentials;
use rollcall_sip::digest::{Algorithm, Authenticator, Challenge, ClientDigest, Verdict};
use rollcall_sip::message::{Headers, HeadersView};
use rollcall_testkit::Clock;

const LIFETIME: Duration = Duration::from_secs(30);

fn mufasa(password: &str) -> Credentials {
    Credentials::new("Mufasa", password)
}

fn challenged(values: &[String]) -> Headers {
    let mut headers = Headers::default();
    for value in values {
        headers.add("WWW-Authenticate", value.clone());
    }
    headers
}

fn answer(challenge: &str, cnonce: &str, password: &str) -> String {
    let headers = challenged(&[challenge.to_owned()]);
    let mut digest = ClientDigest::from_response(&headers, cnonce.to_owned()).expect("usable");
    digest.answer(&mufasa(password), "GET", "/dir/index.html")
}

#[test]
fn the_md5_example_of_rfc_2617_comes_out() {
    let challenge = r#"Digest realm="testrealm@host.com", qop="auth,auth-int", nonce="dcd98b7102dd2f0e8b11d0f600bfb0c093", opaque="5ccc069c403ebaf9f0171e9517f40e41""#;
    let answer = answer(challenge, "0a4f113b", "Circle Of Life");
    assert!(
        answer.contains(r#"response="6629fae49393a05397450978507c4ef1""#),
        "{answer}"
    );
    assert!(
        answer.contains("nc=00000001") && answer.contains("qop=auth,"),
        "{answer}"
    );
    assert!(
        answer.contains(r#"opaque="5ccc069c403ebaf9f0171e9517f40e41""#),
        "{answer}"
    );
}

#[test]
fn the_sha_256_example_of_rfc_7616_comes_out() {
    let challenge = r#"Digest realm="http-auth@example.org", qop="auth, auth-int", algorithm=SHA-256, nonce="7ypf/xlj9XXwfDPEoM4URrv/xwf94BcCAzFZH4GiTo0v", opaque="FQhe/qaU925kfnzjCev0ciny7QMkPqMAFRtzCUYo5tdS""#;
    let answer = answer(
        challenge,
        "f2/wE4q74E6zIJEtWaHKaf5wv/H5QzzpXusqGemxURZJ",
        "Circle of Life",
    );
    let expected = "753927fa0e85d155564e2e272a28d1802ca10daf4496794697cf8db5856cb6c1";
    assert!(answer.contains(expected), "{answer}");
}

#[test]
fn a_challenge_that_cannot_be_answered_says_why() {
    for (challenge, word) in [
        (r#"Basic realm="x""#, "Digest"),
        (
            r#"Digest realm="x", nonce="y", algorithm=SHA-512-256"#,
            "algorithm",
        ),
        (r#"Digest realm="x", nonce="y", qop="auth-int""#, "qop"),
        (r#"Digest realm="x""#, "nonce"),
    ] {
        let unusable =
            ClientDigest::from_response(&challenged(&[challenge.to_owned()]), String::new());
        let words = unusable.expect_err("unusable").to_string();
        assert!(words.contains(word), "{challenge}: {words}");
    }
}

fn both_sides(algorithm: Algorithm) {
    let start = Clock::new().now();
    let mut server =
        Authenticator::new("pbx", [1; 32], LIFETIME, start).with_algorithms(vec![algorithm]);
    let headers = challenged(&server.challenges(start, false));
    let mut client = ClientDigest::from_response(&headers, "cn".into()).expect("usable");
    let mut verify = |now, value: &str| {
        server.verify(now, Some(value), "REGISTER", |user| {
            (user == "Mufasa").then(|| "pw".into())
        })
    };
    let accepted = Verdict::Accepted {
        username: "Mufasa".into(),
    };
    let first = client.answer(&mufasa("pw"), "REGISTER", "sip:pbx");
    assert_eq!(verify(start, &first), accepted);
    assert_eq!(
        verify(start, &first),
        Verdict::Stale,
        "a replay is not accepted"
    );
    let second = client.answer(&mufasa("pw"), "REGISTER", "sip:pbx");
    assert!(second.contains("nc=00000002"));
    assert_eq!(verify(start, &second), accepted);
    let wrong = client.answer(&mufasa("other"), "REGISTER", "sip:pbx");
    assert_eq!(verify(start, &wrong), Verdict::Refused);
    let other_method = client.answer(&mufasa("pw"), "INVITE", "sip:pbx");
    assert_eq!(verify(start, &other_method), Verdict::Refused);
    let late = client.answer(&mufasa("pw"), "REGISTER", "sip:pbx");
    assert_eq!(verify(start + LIFETIME * 2, &late), Verdict::Stale);
}

#[test]
fn both_sides_agree_and_old_or_replayed_nonces_are_stale() {
    for algorithm in [
        Algorithm::Md5,
        Algorithm::Md5Sess,
        Algorithm::Sha256,
        Algorithm::Sha256Sess,
    ] {
        both_sides(algorithm);
    }
}

#[test]
fn a_nonce_nobody_made_is_not_fresh() {
    let start = Clock::new().now();
    let mut server = Authenticator::new("pbx", [1; 32], LIFETIME, start);
    let forged = Challenge {
        realm: "pbx".into(),
        nonce: "0-0123456789abcdef0123456789abcdef".into(),
        opaque: None,
        algorithm: Algorithm::Md5,
        qop_auth: true,
        stale: false,
    };
    let headers = challenged(&[forged.header_value()]);
    let mut client = ClientDigest::from_response(&headers, "cn".into()).expect("usable");
    let value = client.answer(&mufasa("pw"), "REGISTER", "sip:pbx");
    assert_eq!(
        server.verify(start, Some(&value), "REGISTER", |_| Some("pw".into())),
        Verdict::Stale
    );
    assert_eq!(
        server.verify(start, None, "REGISTER", |_| None),
        Verdict::Missing
    );
    assert_eq!(
        server.verify(start, Some("Bearer x"), "REGISTER", |_| None),
        Verdict::Missing
    );
}

#[test]
fn passwords_do_not_show() {
    let shown = format!("{:?}", mufasa("Circle Of Life"));
    assert!(
        shown.contains("Mufasa") && !shown.contains("Circle"),
        "{shown}"
    );
}
