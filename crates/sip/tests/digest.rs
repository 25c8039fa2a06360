//! Digest against the examples of RFC 2617, RFC 7616 and RFC 8760, and the two sides against each other.

use std::time::Duration;

use rollcall_sip::Credentials;
use rollcall_sip::digest::{
    Algorithm, Authenticator, Challenge, ClientDigest, Protection, Verdict,
};
use rollcall_sip::message::{Headers, HeadersView, Method, Request, Version, parse_uri};
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

fn request(method: Method, body: &str) -> Request {
    Request {
        method,
        uri: parse_uri("sip:pbx").expect("a URI"),
        version: Version::V2,
        headers: Headers::default(),
        body: body.into(),
    }
}

/// The request with the client's answers.
fn answered(digest: &mut ClientDigest, mut request: Request, password: &str) -> Request {
    digest.authorise(&mut request, &mufasa(password));
    request
}

fn field(value: &str, name: &str) -> String {
    let marker = format!(" {name}=");
    let (_, rest) = value.split_once(&marker).expect(name);
    let field = rest.split(',').next().unwrap_or_default();
    field.trim_matches('"').to_owned()
}

fn example(challenge: &str, cnonce: &str, password: &str) -> String {
    let headers = challenged(&[challenge.to_owned()]);
    let mut digest = ClientDigest::from_response(&headers, cnonce.to_owned()).expect("usable");
    let mut answers = digest.answers(&mufasa(password), "GET", "/dir/index.html", b"");
    let (name, value) = answers.pop().expect("one answer");
    assert_eq!(name, "Authorization");
    value
}

#[test]
fn the_md5_example_of_rfc_2617_comes_out() {
    let challenge = r#"Digest realm="testrealm@host.com", qop="auth,auth-int", nonce="dcd98b7102dd2f0e8b11d0f600bfb0c093", opaque="5ccc069c403ebaf9f0171e9517f40e41""#;
    let answer = example(challenge, "0a4f113b", "Circle Of Life");
    assert_eq!(
        field(&answer, "response"),
        "6629fae49393a05397450978507c4ef1"
    );
    assert_eq!(field(&answer, "nc"), "00000001");
    assert_eq!(field(&answer, "qop"), "auth");
    assert_eq!(field(&answer, "opaque"), "5ccc069c403ebaf9f0171e9517f40e41");
}

#[test]
fn the_examples_of_rfc_7616_come_out() {
    for (algorithm, expected) in [
        (
            "SHA-256",
            "753927fa0e85d155564e2e272a28d1802ca10daf4496794697cf8db5856cb6c1",
        ),
        ("MD5", "8ca523f5e9506fed4657c9700eebdbec"),
    ] {
        let challenge = format!(
            r#"Digest realm="http-auth@example.org", qop="auth, auth-int", algorithm={algorithm}, nonce="7ypf/xlj9XXwfDPEoM4URrv/xwf94BcCAzFZH4GiTo0v", opaque="FQhe/qaU925kfnzjCev0ciny7QMkPqMAFRtzCUYo5tdS""#
        );
        let answer = example(
            &challenge,
            "f2/wE4q74E6zIJEtWaHKaf5wv/H5QzzpXusqGemxURZJ",
            "Circle of Life",
        );
        assert_eq!(field(&answer, "response"), expected, "{algorithm}");
    }
}

#[test]
fn a_challenge_that_cannot_be_answered_says_why() {
    for (challenge, word) in [
        (r#"Basic realm="x""#.to_owned(), "Digest"),
        (
            r#"Digest realm="x", nonce="y", algorithm=SHA3-256"#.to_owned(),
            "algorithm",
        ),
        (
            r#"Digest realm="x", nonce="y", qop="auth-conf""#.to_owned(),
            "qop",
        ),
        (r#"Digest realm="x""#.to_owned(), "nonce"),
    ] {
        let unusable = ClientDigest::from_response(
            &challenged(std::slice::from_ref(&challenge)),
            String::new(),
        );
        let words = unusable.expect_err("unusable").to_string();
        assert!(words.contains(word), "{challenge}: {words}");
    }
}

#[test]
fn a_digest_of_absurd_length_is_not_answered() {
    for name in ["realm", "nonce", "opaque"] {
        let long = "a".repeat(2000);
        let challenge = format!(r#"Digest {name}="{long}", realm="x", nonce="y""#);
        let unusable = ClientDigest::from_response(&challenged(&[challenge]), String::new());
        assert!(unusable.is_err(), "{name}");
    }
    let many: Vec<String> = (0..200)
        .map(|n| format!(r#"Digest realm="{n}", nonce="y""#))
        .collect();
    let mut digest = ClientDigest::from_response(&challenged(&many), "c".into()).expect("usable");
    let answered = answered(&mut digest, request(Method::Register, ""), "pw");
    assert_eq!(answered.headers.texts("Authorization").count(), 8);
}

#[test]
fn the_strongest_challenge_of_a_realm_is_taken_and_the_first_of_equals() {
    let values: Vec<String> = ["MD5", "SHA-512-256", "SHA-256", "SHA-512-256"]
        .iter()
        .enumerate()
        .map(|(n, algorithm)| format!(r#"Digest realm="x", nonce="{n}", algorithm={algorithm}"#))
        .collect();
    let mut digest = ClientDigest::from_response(&challenged(&values), "c".into()).expect("usable");
    let answered = answered(&mut digest, request(Method::Register, ""), "pw");
    let answers: Vec<&str> = answered.headers.texts("Authorization").collect();
    assert_eq!(answers.len(), 1);
    assert_eq!(field(answers[0], "algorithm"), "SHA-512-256");
    assert_eq!(field(answers[0], "nonce"), "1");
}

#[test]
fn the_server_and_every_proxy_get_their_own_answer_in_one_request() {
    let mut headers = challenged(&[r#"Digest realm="server", nonce="s", qop="auth""#.to_owned()]);
    headers.add(
        "Proxy-Authenticate",
        r#"Digest realm="one", nonce="p1", qop="auth""#,
    );
    headers.add(
        "Proxy-Authenticate",
        r#"Digest realm="two", nonce="p2", qop="auth""#,
    );
    let mut digest = ClientDigest::from_response(&headers, "c".into()).expect("usable");
    let first = answered(&mut digest, request(Method::Invite, ""), "pw");
    assert_eq!(first.headers.texts("Authorization").count(), 1);
    let proxies: Vec<String> = first
        .headers
        .texts("Proxy-Authorization")
        .map(|value| field(value, "realm").replace('"', ""))
        .collect();
    assert_eq!(proxies, ["one", "two"]);
    // One of them wants a new nonce; the others' go on counting.
    let mut again = Headers::default();
    again.add(
        "Proxy-Authenticate",
        r#"Digest realm="two", nonce="p3", qop="auth", stale=true"#,
    );
    assert!(!ClientDigest::is_refused(&first, &again));
    digest.challenged(&again, "c").expect("usable");
    let second = answered(&mut digest, first, "pw");
    let answers = second.headers.texts("Proxy-Authorization");
    let answers: Vec<(String, String)> = answers
        .chain(second.headers.texts("Authorization"))
        .map(|value| (field(value, "nonce"), field(value, "nc")))
        .collect();
    let expected = [("p1", "00000002"), ("p3", "00000001"), ("s", "00000002")];
    assert_eq!(answers, expected.map(|(n, c)| (n.to_owned(), c.to_owned())));
    let mut refused = Headers::default();
    refused.add("Proxy-Authenticate", r#"Digest realm="one", nonce="p9""#);
    assert!(ClientDigest::is_refused(&second, &refused));
}

#[test]
fn the_next_nonce_of_a_success_is_used_and_counted_from_one() {
    let headers = challenged(&[r#"Digest realm="x", nonce="a", qop="auth""#.to_owned()]);
    let mut digest = ClientDigest::from_response(&headers, "c".into()).expect("usable");
    let _ = answered(&mut digest, request(Method::Register, ""), "pw");
    let mut success = Headers::default();
    success.add(
        "Authentication-Info",
        r#"nextnonce="b", qop=auth, nc=00000001"#,
    );
    digest.accepted(&success);
    let next = answered(&mut digest, request(Method::Register, ""), "pw");
    let value = next.headers.text("Authorization").expect("answered");
    assert_eq!(
        (field(value, "nonce"), field(value, "nc")),
        ("b".into(), "00000001".into())
    );
}

fn both_sides(algorithm: Algorithm, qop: Vec<Protection>) {
    let start = Clock::new().now();
    let counts = !qop.is_empty();
    let mut server = Authenticator::new("pbx", [1; 32], LIFETIME, start)
        .with_algorithms(vec![algorithm])
        .with_qop(qop.clone());
    let headers = challenged(&server.challenges(start, false));
    let mut client = ClientDigest::from_response(&headers, "cn".into()).expect("usable");
    let mut verify = |now, request: &Request| {
        server.verify(now, request, |user| (user == "Mufasa").then(|| "pw".into()))
    };
    let accepted = Verdict::Accepted {
        username: "Mufasa".into(),
    };
    let ask = || request(Method::Register, "body");
    let first = answered(&mut client, ask(), "pw");
    assert_eq!(verify(start, &first), accepted, "{algorithm:?} {qop:?}");
    if counts {
        assert_eq!(
            verify(start, &first),
            Verdict::Stale,
            "a replay is not accepted"
        );
    }
    let second = answered(&mut client, ask(), "pw");
    assert_eq!(verify(start, &second), accepted);
    let wrong = answered(&mut client, ask(), "other");
    assert_eq!(verify(start, &wrong), Verdict::Refused);
    let mut other_method = answered(&mut client, ask(), "pw");
    other_method.method = Method::Invite;
    assert_eq!(verify(start, &other_method), Verdict::Refused);
    let mut other_body = answered(&mut client, ask(), "pw");
    other_body.body = b"changed".to_vec();
    let protected = qop == [Protection::AuthInt];
    let verdict = verify(start, &other_body);
    assert_eq!(
        verdict == Verdict::Refused,
        protected,
        "{qop:?}: {verdict:?}"
    );
    let late = answered(&mut client, ask(), "pw");
    assert_eq!(verify(start + LIFETIME * 2, &late), Verdict::Stale);
}

#[test]
fn both_sides_agree_and_old_or_replayed_nonces_are_stale() {
    for algorithm in Algorithm::ALL {
        both_sides(algorithm, vec![Protection::Auth]);
        both_sides(algorithm, vec![Protection::AuthInt]);
        both_sides(algorithm, vec![Protection::AuthInt, Protection::Auth]);
        both_sides(algorithm, Vec::new());
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
        qop: vec![Protection::Auth],
        stale: false,
    };
    let headers = challenged(&[forged.header_value()]);
    let mut client = ClientDigest::from_response(&headers, "cn".into()).expect("usable");
    let forged = answered(&mut client, request(Method::Register, ""), "pw");
    let mut verify = |request: &Request| server.verify(start, request, |_| Some("pw".into()));
    assert_eq!(verify(&forged), Verdict::Stale);
    let bare = request(Method::Register, "");
    assert_eq!(verify(&bare), Verdict::Missing);
    let mut bearer = bare;
    bearer.headers.add("Authorization", "Bearer x");
    assert_eq!(verify(&bearer), Verdict::Missing);
}

#[test]
fn an_answer_for_another_uri_or_without_the_protection_that_was_offered_is_refused() {
    let start = Clock::new().now();
    let mut server = Authenticator::new("pbx", [1; 32], LIFETIME, start);
    let headers = challenged(&server.challenges(start, false));
    let mut client = ClientDigest::from_response(&headers, "cn".into()).expect("usable");
    let mut moved = answered(&mut client, request(Method::Register, ""), "pw");
    moved.uri = parse_uri("sip:elsewhere.example").expect("a URI");
    let mut verify = |request: &Request| server.verify(start, request, |_| Some("pw".into()));
    assert_eq!(verify(&moved), Verdict::Refused);

    let nonce = field(headers.text("WWW-Authenticate").expect("one"), "nonce");
    let plain = format!("Digest realm=\"pbx\", nonce=\"{nonce}\"");
    let mut old = ClientDigest::from_response(&challenged(&[plain]), "cn".into()).expect("usable");
    let old = answered(&mut old, request(Method::Register, ""), "pw");
    let mut verify = |request: &Request| server.verify(start, request, |_| Some("pw".into()));
    assert_eq!(verify(&old), Verdict::Refused, "it could be played again");
}

#[test]
fn of_several_answers_the_one_for_our_realm_counts() {
    let start = Clock::new().now();
    let mut server = Authenticator::new("pbx", [1; 32], LIFETIME, start);
    let mut values = server.challenges(start, false);
    values.insert(0, r#"Digest realm="other", nonce="n""#.to_owned());
    let mut client =
        ClientDigest::from_response(&challenged(&values), "cn".into()).expect("usable");
    let answered = answered(&mut client, request(Method::Register, ""), "pw");
    let verdict = server.verify(start, &answered, |_| Some("pw".into()));
    assert!(matches!(verdict, Verdict::Accepted { .. }), "{verdict:?}");
}

#[test]
fn passwords_do_not_show() {
    let shown = format!("{:?}", mufasa("Circle Of Life"));
    assert!(
        shown.contains("Mufasa") && !shown.contains("Circle"),
        "{shown}"
    );
}
