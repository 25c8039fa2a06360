//! Our phone alone against Asterisk 22: registration and calls, judged by Asterisk's own lists and by the sound.

use std::net::UdpSocket;
use std::process::Command;
use std::time::Duration;

use rollcall_e2e::asterisk::Settings;
use rollcall_e2e::phone::Phone;
use rollcall_e2e::ports::Port;
use rollcall_e2e::sound::{Heard, Voice, folder};
use rollcall_e2e::waiting::PROMPTLY;
use rollcall_e2e::{Asterisk, eventually, surroundings};

#[tokio::test]
async fn a_phone_registers_is_reachable_and_leaves_nothing_behind() {
    let asterisk = Asterisk::start(Settings::default()).await;
    let mut phone = Phone::of("1001", &asterisk).start();
    let contact = phone.registered().await;
    let user = contact
        .trim_start_matches("sip:")
        .split('@')
        .next()
        .unwrap_or_default()
        .to_owned();
    assert!(
        user.starts_with("1001-"),
        "the user part is unique to device and run: {contact}"
    );
    eventually(
        "Asterisk lists our contact as reachable",
        PROMPTLY,
        async || {
            let listed = asterisk.contacts("1001").await;
            let ours =
                listed.len() == 1 && listed[0].uri.contains(&user) && listed[0].status == "Avail";
            if ours {
                Ok(())
            } else {
                Err(format!("{listed:?}"))
            }
        },
    )
    .await;
    assert!(phone.program.terminate().await.success());
    assert_eq!(
        asterisk.contacts("1001").await,
        [],
        "un-REGISTERed before it ended"
    );
}

#[tokio::test]
async fn two_runs_of_a_phone_never_share_a_contact() {
    let asterisk = Asterisk::start(Settings::default()).await;
    let (one, two) = (
        Phone::of("1001", &asterisk).start(),
        Phone::of("1001", &asterisk).start(),
    );
    assert_ne!(one.registered().await, two.registered().await);
    eventually("both are listed", PROMPTLY, async || {
        match asterisk.contacts("1001").await {
            listed if listed.len() == 2 => Ok(()),
            listed => Err(format!("{listed:?}")),
        }
    })
    .await;
}

#[tokio::test]
async fn a_tone_comes_back_from_the_echo_in_pcmu() {
    let heard = echoed("pcmu", 440.0).await;
    heard.is_a_tone_of(440.0, 0.05);
}

#[tokio::test]
async fn a_tone_comes_back_from_the_echo_in_opus() {
    let heard = echoed("opus", 1000.0).await;
    heard.is_a_tone_of(1000.0, 0.15);
}

#[tokio::test]
async fn a_tone_comes_back_from_the_echo_in_pcma() {
    let heard = echoed("pcma", 440.0).await;
    heard.is_a_tone_of(440.0, 0.05);
}

#[tokio::test]
async fn a_tone_above_the_telephone_band_comes_back_from_the_echo_in_g722() {
    let heard = echoed("g722", 5000.0).await;
    heard.is_a_tone_of(5000.0, 0.15);
}

#[tokio::test]
async fn keys_are_read_and_said_by_asterisk_under_a_narrow_and_a_wide_clock_and_by_info() {
    for (codec, mode, theirs) in [
        ("pcmu", "rtp", "rfc4733"),
        ("opus", "rtp", "rfc4733"),
        ("pcmu", "info", "info"),
    ] {
        let asterisk = Asterisk::start(Settings {
            endpoint: format!("dtmf_mode = {theirs}"),
            ..Settings::default()
        })
        .await;
        let phone = Phone::of("1001", &asterisk)
            .codecs(codec)
            .pressing_by(mode)
            .dialling("602")
            .pressing("15*0")
            .start();
        let heard = || -> String {
            let events = phone.program.events();
            let keys = events.iter().filter(|event| event["event"] == "dtmf");
            keys.filter_map(|event| event["digit"].as_str().map(str::to_owned))
                .collect()
        };
        eventually(
            "Asterisk says the keys again",
            PROMPTLY,
            async || match heard().as_str() {
                "15*0" => Ok(()),
                other => Err(format!("{codec}, {mode}: {other:?}")),
            },
        )
        .await;
    }
}

#[tokio::test]
async fn a_call_leaves_a_record_of_what_was_measured_on_ports_of_its_own_and_on_shared_ones() {
    tokio::join!(leaves_a_record("no"), leaves_a_record("yes"));
}

async fn leaves_a_record(mux: &str) {
    // Reports in each second, so that several come after our first, however slow the machine.
    let reporting = "[general]\nrtpstart=10000\nrtpend=19998\nrtcpinterval=1000\n";
    let asterisk = Asterisk::start(Settings {
        endpoint: format!("rtcp_mux = {mux}"),
        files: vec![("rtp.conf".to_owned(), reporting.to_owned())],
        ..Settings::default()
    })
    .await;
    let mut phone = Phone::of("1001", &asterisk)
        .codecs("pcmu")
        .dialling("600")
        .lasting(Duration::from_secs(14))
        .start();
    let long = Duration::from_secs(30);
    let record = phone
        .program
        .event_within("tells the record", long, |event| {
            (event["event"] == "quality").then(|| event.clone())
        })
        .await;
    let number = |path: &str| record.pointer(path).and_then(serde_json::Value::as_f64);
    assert!(number("/received/packets") > Some(250.0), "{record}");
    assert_eq!(number("/received/loss"), Some(0.0), "{record}");
    assert_eq!(number("/sent/loss"), Some(0.0), "mux {mux}: {record}");
    assert!(number("/round_trip") < Some(0.5), "mux {mux}: {record}");
    assert!(number("/mos") > Some(4.0), "mux {mux}: {record}");
    assert!(phone.program.ended(PROMPTLY).await.success());
}

#[tokio::test]
async fn two_phones_talk_both_ways_and_a_hang_up_ends_both() {
    let asterisk = Asterisk::start(Settings::default()).await;
    let folder = folder();
    let callee = Voice::new(&folder, "callee", 660.0);
    let caller = Voice::new(&folder, "caller", 440.0);
    let mut second = Phone::of("1002", &asterisk)
        .speaking(&callee.spoken, &callee.heard)
        .answering()
        .start();
    second.registered().await;
    let mut first = Phone::of("1001", &asterisk)
        .speaking(&caller.spoken, &caller.heard)
        .dialling("1002")
        .start();
    let ringing = second.event("incoming").await;
    assert!(
        ringing.to_string().contains("1001"),
        "says who calls: {ringing}"
    );
    first.event("answered").await;
    second.event("answered").await;
    caller.grows_to(3.0).await;
    assert!(first.program.terminate().await.success());
    second.event("ended").await;
    assert!(second.program.terminate().await.success());
    caller.recorded().is_a_tone_of(660.0, 0.15);
    callee.recorded().is_a_tone_of(440.0, 0.15);
}

#[tokio::test]
async fn a_call_to_nobody_ends_with_a_word() {
    let asterisk = Asterisk::start(Settings::default()).await;
    let phone = Phone::of("1001", &asterisk).dialling("1003").start();
    let ended = phone.event("ended").await;
    assert!(
        ended["message"]
            .as_str()
            .is_some_and(|words| !words.is_empty()),
        "{ended}"
    );
}

#[tokio::test]
async fn a_wrong_password_is_named_and_leaves_no_contact() {
    let asterisk = Asterisk::start(Settings::default()).await;
    let phone = Phone::of("1001", &asterisk)
        .password("wrong-password")
        .start();
    let failed = phone.event("registration_failed").await;
    assert_eq!(failed["code"], "wrong_credentials", "{failed}");
    assert!(
        failed["next"].as_str().is_some_and(|next| !next.is_empty()),
        "{failed}"
    );
    assert_eq!(asterisk.contacts("1001").await, []);
    let said = format!("{:?}", phone.program);
    assert!(
        !said.contains("wrong-password"),
        "the password is never shown: {said}"
    );
}

#[tokio::test]
async fn a_phone_whose_registrar_was_away_registers_when_it_is_back() {
    let mut asterisk = Asterisk::start(Settings::default()).await;
    asterisk.kill();
    let phone = Phone::of("1001", &asterisk).start();
    let within = Duration::from_secs(40);
    let failed = |event: &serde_json::Value| {
        (event["event"] == "registration_failed").then(|| event.clone())
    };
    let failed = phone
        .program
        .event_within("says that nobody answers", within, failed)
        .await;
    assert!(
        failed["message"]
            .as_str()
            .is_some_and(|words| !words.is_empty()),
        "{failed}"
    );
    asterisk.boot().await;
    let registered = |event: &serde_json::Value| (event["event"] == "registered").then_some(());
    phone
        .program
        .event_within("registers again", Duration::from_secs(60), registered)
        .await;
    assert_eq!(asterisk.contacts("1001").await.len(), 1);
}

#[tokio::test]
async fn a_200_without_our_contact_is_not_a_registration() {
    let port = Port::reserve();
    let address = format!("127.0.0.1:{}", port.number());
    let socket = UdpSocket::bind(&address).unwrap_or_else(|error| panic!("{address}: {error}"));
    std::thread::spawn(move || {
        let mut buffer = [0; 4096];
        while let Ok((length, from)) = socket.recv_from(&mut buffer) {
            let request = String::from_utf8_lossy(&buffer[..length]).into_owned();
            let _ = socket.send_to(ok_without_contact(&request).as_bytes(), from);
        }
    });
    let phone = Phone::at("1001", &address, "secret").start();
    let failed = phone.event("registration_failed").await;
    assert_eq!(failed["code"], "contact_missing", "{failed}");
    assert!(
        phone
            .program
            .events()
            .iter()
            .all(|event| event["event"] != "registered")
    );
}

#[tokio::test]
async fn messages_in_files_are_judged_line_by_line() {
    let folder = folder();
    let write = |name: &str, text: &str| {
        let path = folder.path().join(name);
        std::fs::write(&path, text.replace('\n', "\r\n")).unwrap_or_else(|error| panic!("{error}"));
        path
    };
    let headers = "Via: SIP/2.0/UDP 192.0.2.1;branch=z9hG4bK1\nFrom: <sip:a@b>;tag=1\nTo: <sip:c@d>\nCall-ID: 1@b\nMax-Forwards: 70\n";
    let request = write(
        "request",
        &format!(
            "INVITE sip:c@d SIP/2.0\n{headers}CSeq: 1 INVITE\nContact: <sip:a@b>\nContent-Length: 0\n\n"
        ),
    );
    let response = write(
        "response",
        &format!("SIP/2.0 200 OK\n{headers}CSeq: 1 INVITE\nContent-Length: 0\n\n"),
    );
    let nonsense = write("nonsense", "this is no SIP at all\n\n");
    let output = Command::new(surroundings::binary("rollcall-phone"))
        .arg("parse")
        .args([&request, &response, &nonsense])
        .output()
        .unwrap_or_else(|error| panic!("{error}"));
    let said = String::from_utf8_lossy(&output.stdout).into_owned();
    let lines: Vec<&str> = said.lines().collect();
    assert_eq!(lines.len(), 3, "{said}");
    assert!(
        lines[0].ends_with("ok INVITE") && lines[1].ends_with("ok 200"),
        "{said}"
    );
    assert!(lines[2].contains("refused 400 "), "{said}");
}

#[tokio::test]
async fn encrypted_sound_comes_back_from_an_asterisk_that_requires_it() {
    for policy in ["required", "optional"] {
        let asterisk = Asterisk::start(encrypting()).await;
        let folder = folder();
        let sound = Voice::new(&folder, policy, 440.0);
        let mut phone = Phone::of("1001", &asterisk)
            .codecs("pcmu")
            .encrypting(policy)
            .speaking(&sound.spoken, &sound.heard)
            .dialling("600")
            .start();
        phone.event("answered").await;
        sound.grows_to(3.0).await;
        assert!(phone.program.terminate().await.success());
        let record = phone.event("quality").await;
        assert_eq!(record["encrypted"], true, "{record}");
        sound.recorded().is_a_tone_of(440.0, 0.05);
    }
}

/// Asterisk takes the first of our offer that it knows (Debian's knows no AES-GCM), and offers the other phone what it is
/// configured to.
#[tokio::test]
async fn two_phones_talk_encrypted_through_asterisk_with_a_long_tag_and_with_a_short_one() {
    let mut settings = encrypting();
    settings.endpoint += "\nsrtp_tag_32 = yes";
    let asterisk = Asterisk::start(settings).await;
    asterisk.rx("pjsip set logger on").await;
    let folder = folder();
    let callee = Voice::new(&folder, "callee", 660.0);
    let caller = Voice::new(&folder, "caller", 440.0);
    let mut second = Phone::of("1002", &asterisk)
        .speaking(&callee.spoken, &callee.heard)
        .encrypting("required")
        .answering()
        .start();
    second.registered().await;
    let mut first = Phone::of("1001", &asterisk)
        .speaking(&caller.spoken, &caller.heard)
        .encrypting("required")
        .dialling("1002")
        .start();
    second.event("answered").await;
    caller.grows_to(3.0).await;
    assert!(first.program.terminate().await.success());
    second.event("ended").await;
    assert!(second.program.terminate().await.success());
    caller.recorded().is_a_tone_of(660.0, 0.15);
    callee.recorded().is_a_tone_of(440.0, 0.15);
    let agreed = suites_of_answers(&asterisk.whole_log());
    assert_eq!(
        agreed,
        ["AES_CM_128_HMAC_SHA1_32", "AES_CM_128_HMAC_SHA1_80"]
    );
}

/// The ways of encryption in the answers to INVITEs, by name.
fn suites_of_answers(log: &str) -> Vec<String> {
    let messages = log.split("<--- ");
    let answers = messages.filter(|message| {
        message.contains("SIP/2.0 200 OK")
            && message
                .lines()
                .any(|line| line.starts_with("CSeq:") && line.trim_end().ends_with("INVITE"))
    });
    let lines = answers.flat_map(str::lines);
    let suites = lines.filter_map(|line| line.strip_prefix("a=crypto:")?.split(' ').nth(1));
    let mut suites: Vec<String> = suites.map(str::to_owned).collect();
    suites.sort();
    suites.dedup();
    suites
}

#[tokio::test]
async fn a_call_that_would_not_be_encrypted_is_none_when_it_must_be() {
    // Asterisk does not encrypt here: it refuses what we require, and what it offers us we refuse.
    let asterisk = Asterisk::start(Settings::default()).await;
    let callee = Phone::of("1002", &asterisk)
        .encrypting("required")
        .answering()
        .start();
    callee.registered().await;
    let caller = Phone::of("1001", &asterisk).dialling("1002").start();
    caller.event("ended").await;
    let requiring = Phone::of("1003", &asterisk)
        .encrypting("required")
        .dialling("600")
        .start();
    let ended = requiring.event("ended").await;
    assert_eq!(ended["reason"], "no_common_codec", "{ended}");
    for phone in [&callee, &caller, &requiring] {
        assert_eq!(phone.count("answered"), 0);
    }
}

/// An Asterisk that talks to nobody in the open.
fn encrypting() -> Settings {
    Settings {
        endpoint: "media_encryption = sdes\nmedia_encryption_optimistic = no".to_owned(),
        ..Settings::default()
    }
}

/// A 200 that answers any request, as Asterisk's when its database refused the write.
fn ok_without_contact(request: &str) -> String {
    let kept = ["via:", "from:", "to:", "call-id:", "cseq:"];
    let headers = request.lines().filter(|line| {
        kept.iter()
            .any(|name| line.to_ascii_lowercase().starts_with(name))
    });
    let headers: Vec<String> = headers
        .map(|line| {
            if line.to_ascii_lowercase().starts_with("to:") {
                format!("{line};tag=registrar")
            } else {
                line.to_owned()
            }
        })
        .collect();
    format!(
        "SIP/2.0 200 OK\r\n{}\r\nContent-Length: 0\r\n\r\n",
        headers.join("\r\n")
    )
}

/// Calls Asterisk's echo, speaks a tone, and returns what was heard.
async fn echoed(codec: &str, hertz: f64) -> Heard {
    let asterisk = Asterisk::start(Settings {
        codecs: "opus,g722,ulaw,alaw".to_owned(),
        ..Settings::default()
    })
    .await;
    let folder = folder();
    let sound = Voice::new(&folder, codec, hertz);
    let mut phone = Phone::of("1001", &asterisk)
        .codecs(codec)
        .speaking(&sound.spoken, &sound.heard)
        .dialling("600")
        .start();
    let answered = phone.event("answered").await;
    assert_eq!(answered["codec"], codec, "{answered}");
    sound.grows_to(3.0).await;
    assert!(phone.program.terminate().await.success());
    sound.recorded()
}
