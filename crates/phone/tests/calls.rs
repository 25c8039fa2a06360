//! Engines that call each other through an exchange, with sound.

mod common;

use std::net::UdpSocket;
use std::path::Path;
use std::time::Duration;

use common::{Exchange, Order, Phone, config};
use rollcall_media::measure::{strongest_hertz, tone_dbfs};
use rollcall_phone::{
    AudioChoice, Codec, EndKind, EngineConfig, PhoneCommand, PhoneEvent, RefusalKind,
    SrtpPolicy as Policy,
};

const RATE: u32 = 48_000;

fn silent() -> EngineConfig {
    config(AudioChoice::None)
}

fn speaking(folder: &Path, name: &str, hertz: f32) -> EngineConfig {
    let input = folder.join(format!("{name}-in.wav"));
    let samples = (0..RATE).map(|index| 8000.0 * sine(hertz, index));
    write(&input, samples);
    config(AudioChoice::File {
        input: Some(input),
        output: Some(folder.join(format!("{name}-out.wav"))),
    })
}

fn sine(hertz: f32, index: u32) -> f32 {
    (std::f32::consts::TAU * hertz * index as f32 / RATE as f32).sin()
}

fn write(file: &Path, samples: impl Iterator<Item = f32>) {
    let spec = hound::WavSpec {
        channels: 1,
        sample_rate: RATE,
        bits_per_sample: 16,
        sample_format: hound::SampleFormat::Int,
    };
    let mut writer = hound::WavWriter::create(file, spec).expect("a file");
    for sample in samples {
        writer.write_sample(sample as i16).expect("written");
    }
    writer.finalize().expect("written");
}

fn heard(folder: &Path, name: &str) -> Vec<f32> {
    let reader =
        hound::WavReader::open(folder.join(format!("{name}-out.wav"))).expect("a recording");
    reader
        .into_samples::<i16>()
        .map(|sample| f32::from(sample.expect("a sample")) / 32_768.0)
        .collect()
}

async fn talk(codec: Codec) {
    let folder = tempfile::tempdir().expect("a folder");
    let exchange = Exchange::start();
    let callee = EngineConfig {
        auto_answer: true,
        ..speaking(folder.path(), "callee", 660.0)
    };
    let caller = EngineConfig {
        codecs: vec![codec],
        ..speaking(folder.path(), "caller", 440.0)
    };
    let mut callee = Phone::registered("1002", &exchange, callee).await;
    let mut caller = Phone::registered("1001", &exchange, caller).await;
    caller.dial("1002");
    assert_eq!(caller.answered().await, codec);
    assert_eq!(callee.answered().await, codec);
    caller.ticks(60).await;
    caller.engine.send(PhoneCommand::Shutdown);
    assert_eq!(callee.ended().await.kind, EndKind::Remote);
    callee.engine.send(PhoneCommand::Shutdown);
    for phone in [&mut caller, &mut callee] {
        phone
            .expect(|event| (*event == PhoneEvent::Stopped).then_some(()))
            .await;
    }
    for (name, hertz) in [("caller", 660.0), ("callee", 440.0)] {
        let samples = heard(folder.path(), name);
        // A busy machine loses some of it; a tenth of a second that came through whole has its full level.
        let mut tenths: Vec<&[f32]> = samples.chunks_exact(RATE as usize / 10).collect();
        let level = |tenth: &[f32]| tone_dbfs(tenth, RATE, hertz).unwrap_or(f64::NEG_INFINITY);
        tenths.sort_by(|a, b| level(a).total_cmp(&level(b)));
        let whole = tenths[tenths.len() * 3 / 4];
        let strongest = strongest_hertz(whole, RATE, 200.0, 3000.0).expect("sound");
        assert!(
            (strongest - hertz).abs() < 5.0,
            "{name} heard {strongest} Hz"
        );
        assert!(
            (level(whole) - 20.0 * (8000.0f64 / 32_768.0).log10()).abs() < 1.5,
            "{name} heard {:.1?} dB",
            tenths.iter().map(|tenth| level(tenth)).collect::<Vec<_>>()
        );
    }
}

#[tokio::test]
async fn two_phones_hear_each_other_in_pcmu() {
    talk(Codec::Pcmu).await;
}

#[tokio::test]
async fn two_phones_hear_each_other_in_opus() {
    talk(Codec::Opus).await;
}

#[tokio::test]
async fn joined_calls_hear_each_other_and_us_but_not_themselves() {
    let folder = tempfile::tempdir().expect("a folder");
    let exchange = Exchange::start();
    let voices = [("1002", "first", 660.0), ("1003", "second", 880.0)];
    let mut others = Vec::new();
    for (extension, name, hertz) in voices {
        let config = EngineConfig {
            auto_answer: true,
            ..speaking(folder.path(), name, hertz)
        };
        others.push(Phone::registered(extension, &exchange, config).await);
    }
    let host = EngineConfig {
        codecs: vec![Codec::Pcmu],
        ..speaking(folder.path(), "host", 440.0)
    };
    let mut host = Phone::registered("1001", &exchange, host).await;
    for extension in ["1002", "1003"] {
        host.dial(extension);
        host.answered().await;
    }
    host.engine.send(PhoneCommand::SetJoined(true));
    host.ticks(75).await;
    host.engine.send(PhoneCommand::Shutdown);
    for other in &mut others {
        other.ended().await;
        other.engine.send(PhoneCommand::Shutdown);
        other
            .expect(|event| (*event == PhoneEvent::Stopped).then_some(()))
            .await;
    }
    for (name, own, other) in [("first", 660.0, 880.0), ("second", 880.0, 660.0)] {
        let samples = heard(folder.path(), name);
        let quarter = RATE as usize / 4;
        let late = &samples[samples.len() - 3 * quarter..][..quarter];
        let level = |hertz| tone_dbfs(late, RATE, hertz).unwrap_or(f64::NEG_INFINITY);
        // A busy machine loses some of it; what must not be heard is not there at all.
        for voice in [440.0, other] {
            assert!(
                level(voice) > -26.0,
                "{name} hears {voice}: {}",
                level(voice)
            );
            assert!(
                level(own) < level(voice) - 15.0,
                "{name} hears itself: {}",
                level(own)
            );
        }
    }
}

#[tokio::test]
async fn a_call_rings_on_both_ends_and_is_answered_by_hand() {
    let exchange = Exchange::start();
    let mut callee = Phone::registered("1002", &exchange, silent()).await;
    let mut caller = Phone::registered("1001", &exchange, silent()).await;
    let call = caller.dial("1002");
    let theirs = callee.incoming().await;
    caller
        .expect(|event| (*event == PhoneEvent::Ringing { call }).then_some(()))
        .await;
    callee.engine.send(PhoneCommand::Answer(theirs));
    caller.answered().await;
    callee.engine.send(PhoneCommand::Hangup(theirs));
    assert_eq!(caller.ended().await.kind, EndKind::Remote);
    assert_eq!(callee.ended().await.kind, EndKind::Local);
}

#[tokio::test]
async fn declined_missed_and_unknown_calls_end_with_their_own_words() {
    let exchange = Exchange::start();
    let mut callee = Phone::registered("1002", &exchange, silent()).await;
    let mut caller = Phone::registered("1001", &exchange, silent()).await;
    caller.dial("1002");
    let theirs = callee.incoming().await;
    callee.engine.send(PhoneCommand::Decline(theirs));
    let end = caller.ended().await;
    assert_eq!((end.kind, end.sip_code), (EndKind::Busy, Some(486)));
    assert_eq!(callee.ended().await.kind, EndKind::Local);

    caller.dial("1002");
    let theirs = callee.incoming().await;
    callee.engine.send(PhoneCommand::TurnAway(theirs));
    let end = caller.ended().await;
    assert_eq!((end.kind, end.sip_code), (EndKind::Unavailable, Some(480)));
    assert_eq!(callee.ended().await.kind, EndKind::Local);

    let ours = caller.dial("1002");
    callee.incoming().await;
    caller.engine.send(PhoneCommand::Hangup(ours));
    assert_eq!(caller.ended().await.kind, EndKind::Local);
    assert_eq!(callee.ended().await.kind, EndKind::Missed);

    caller.dial("4711");
    assert_eq!(caller.ended().await.kind, EndKind::NotFound);
    caller.dial("not a number!");
    let end = caller.ended().await;
    assert_eq!(end.kind, EndKind::Failed);
    assert!(end.message.contains("not a number"), "{}", end.message);
}

#[tokio::test]
async fn registering_anew_keeps_the_contact_and_the_call_that_is_going_on() {
    let exchange = Exchange::start();
    let callee = EngineConfig {
        auto_answer: true,
        ..silent()
    };
    let mut callee = Phone::registered("1002", &exchange, callee).await;
    let mut caller = Phone::start(silent());
    caller.register("1001", &exchange.address.to_string());
    let contact = caller.contact().await;
    let call = caller.dial("1002");
    caller.answered().await;
    callee.answered().await;

    caller.engine.send(PhoneCommand::Refresh);
    assert_eq!(caller.contact().await, contact);
    caller.register("1001", &exchange.address.to_string());
    assert_eq!(caller.contact().await, contact);
    caller.ticks(5).await;
    for phone in [&caller, &callee] {
        let ended = |event: &PhoneEvent| matches!(event, PhoneEvent::Ended { .. });
        assert!(!phone.told.iter().any(ended), "{:?}", phone.told);
    }
    caller.engine.send(PhoneCommand::Hangup(call));
    assert_eq!(callee.ended().await.kind, EndKind::Remote, "it was up");
}

#[tokio::test]
async fn dialling_before_registration_says_so() {
    let mut phone = Phone::start(silent());
    phone.dial("600");
    let end = phone.ended().await;
    assert_eq!(end.kind, EndKind::Failed);
    assert!(end.message.contains("not registered"), "{}", end.message);
}

#[tokio::test]
async fn offers_nobody_could_talk_over_are_refused_without_ringing() {
    let exchange = Exchange::start();
    let mut phone = Phone::registered("1001", &exchange, silent()).await;
    let offer = |media: &str| {
        format!("v=0\r\no=- 1 1 IN IP4 127.0.0.1\r\ns=-\r\nc=IN IP4 127.0.0.1\r\nt=0 0\r\n{media}")
    };
    for (offer, code, words) in [
        (
            offer("m=audio 4000 RTP/AVP 18\r\n"),
            488,
            "no codec in common",
        ),
        (
            offer("m=audio 0 RTP/AVP 0\r\n"),
            488,
            "the session description offers no audio",
        ),
        (
            offer("m=video 4000 RTP/AVP 97\r\na=rtpmap:97 VP8/90000\r\n"),
            488,
            "the session description offers no audio",
        ),
        (
            "this is no session description".to_owned(),
            400,
            "the session description is malformed",
        ),
    ] {
        exchange.order(Order::Call {
            extension: "1001".into(),
            offer: offer.clone(),
        });
        let (refused, reason) = exchange.refused_with();
        assert_eq!(refused, code, "{offer}");
        assert!(reason.starts_with(words), "{reason}");
    }
    phone.ticks(10).await;
    assert!(
        !phone
            .told
            .iter()
            .any(|event| matches!(event, PhoneEvent::Incoming { .. }))
    );
}

#[tokio::test]
async fn a_caller_is_shown_by_name_and_address_and_a_third_call_is_busy() {
    let exchange = Exchange::start();
    let mut phone = Phone::registered("1001", &exchange, silent()).await;
    let offer = "v=0\r\no=- 1 1 IN IP4 127.0.0.1\r\ns=-\r\nc=IN IP4 127.0.0.1\r\nt=0 0\r\nm=audio 4000 RTP/AVP 0\r\n";
    let call = || {
        exchange.order(Order::Call {
            extension: "1001".into(),
            offer: offer.into(),
        })
    };
    call();
    let (display, uri) = phone
        .expect(|event| match event {
            PhoneEvent::Incoming {
                from_display,
                from_uri,
                ..
            } => Some((from_display.clone(), from_uri.clone())),
            _ => None,
        })
        .await;
    assert_eq!(
        (display.as_str(), uri.as_str()),
        ("Front Desk", "sip:900@exchange")
    );
    call();
    phone.incoming().await;
    call();
    assert_eq!(exchange.refused_with().0, 486);
}

#[tokio::test]
async fn an_invite_from_elsewhere_than_the_registrar_gets_404_and_nothing_rings() {
    let exchange = Exchange::start();
    let mut phone = Phone::start(silent());
    phone.register("1001", &exchange.address.to_string());
    let contact = phone
        .expect(|event| match event {
            PhoneEvent::Registered { contact, .. } => Some(contact.clone()),
            _ => None,
        })
        .await;
    let address = contact.split('@').nth(1).expect("a host").to_owned();
    let stranger = UdpSocket::bind("127.0.0.1:0").expect("a socket");
    stranger
        .set_read_timeout(Some(Duration::from_secs(10)))
        .expect("a time-out");
    let own = stranger.local_addr().expect("an address");
    let invite = format!(
        "INVITE {contact} SIP/2.0\r\nVia: SIP/2.0/UDP {own};branch=z9hG4bKx;rport\r\nFrom: <sip:x@{own}>;tag=1\r\n\
         To: <{contact}>\r\nCall-ID: x\r\nCSeq: 1 INVITE\r\nContact: <sip:x@{own}>\r\nContent-Length: 0\r\n\r\n"
    );
    stranger.send_to(invite.as_bytes(), &address).expect("sent");
    let mut answer = vec![0; 2000];
    let (length, _) = stranger.recv_from(&mut answer).expect("an answer");
    assert!(
        answer[..length].starts_with(b"SIP/2.0 404 "),
        "{}",
        String::from_utf8_lossy(&answer[..length])
    );
    phone.ticks(5).await;
    assert!(
        !phone
            .told
            .iter()
            .any(|event| matches!(event, PhoneEvent::Incoming { .. }))
    );
}

#[tokio::test]
async fn the_other_side_may_hold_and_resume_and_the_sound_follows() {
    let exchange = Exchange::start();
    let (far_end, port) = far_end();
    let offer = |direction: &str| audio_at(port, "RTP/AVP 0") + &format!("a={direction}\r\n");
    let mut packet = [0; 500];
    let config = EngineConfig {
        auto_answer: true,
        ..silent()
    };
    let mut phone = Phone::registered("1001", &exchange, config).await;
    exchange.order(Order::Call {
        extension: "1001".into(),
        offer: offer("sendrecv"),
    });
    assert!(exchange.answered_with().contains("a=sendrecv"));
    let call = phone
        .expect(|event| match event {
            PhoneEvent::Answered { call, .. } => Some(*call),
            _ => None,
        })
        .await;
    far_end
        .recv_from(&mut packet)
        .expect("sound before the hold");

    exchange.order(Order::Change {
        offer: offer("sendonly"),
    });
    assert!(
        exchange.answered_with().contains("a=recvonly"),
        "the matching direction"
    );
    phone
        .expect(|event| (*event == PhoneEvent::HeldByOther { call, held: true }).then_some(()))
        .await;
    phone.ticks(5).await; // the media thread has taken the change by now
    far_end.set_nonblocking(true).expect("set");
    while far_end.recv_from(&mut packet).is_ok() {}
    phone.ticks(10).await;
    assert!(
        far_end.recv_from(&mut packet).is_err(),
        "nothing is sent while held"
    );

    far_end.set_nonblocking(false).expect("set");
    exchange.order(Order::Change {
        offer: offer("sendrecv"),
    });
    assert!(exchange.answered_with().contains("a=sendrecv"));
    phone
        .expect(|event| (*event == PhoneEvent::HeldByOther { call, held: false }).then_some(()))
        .await;
    far_end
        .recv_from(&mut packet)
        .expect("sound after the hold");
    assert!(
        !phone
            .told
            .iter()
            .any(|event| matches!(event, PhoneEvent::Ended { .. })),
        "no break"
    );
}

#[tokio::test]
async fn what_is_refused_is_counted_by_kind_in_the_vitals() {
    let exchange = Exchange::start();
    let far_end = UdpSocket::bind("127.0.0.1:0").expect("a socket");
    let port = far_end.local_addr().expect("an address").port();
    let config = EngineConfig {
        auto_answer: true,
        ..silent()
    };
    let mut phone = Phone::start(config);
    phone.register("1001", &exchange.address.to_string());
    let contact = phone.contact().await;
    let sip = contact.split('@').nth(1).expect("a host").to_owned();
    far_end
        .send_to(b"no SIP at all\r\n\r\n", &sip)
        .expect("sent");
    exchange.order(Order::Call {
        extension: "1001".into(),
        offer: format!(
            "v=0\r\no=- 1 1 IN IP4 127.0.0.1\r\ns=-\r\nc=IN IP4 127.0.0.1\r\nt=0 0\r\nm=audio {port} RTP/AVP 0\r\n"
        ),
    });
    let answer = exchange.answered_with();
    let media = answer.lines().find_map(|line| {
        let rest = line.strip_prefix("m=audio ")?;
        rest.split(' ').next()?.parse::<u16>().ok()
    });
    let media = ("127.0.0.1", media.expect("an audio line"));
    phone.answered().await;
    for _ in 0..3 {
        far_end.send_to(b"no RTP at all", media).expect("sent");
    }
    let refused = phone
        .expect(|event| match event {
            PhoneEvent::Vitals(vitals) if vitals.refused.rtp.malformed == 3 => Some(vitals.refused),
            _ => None,
        })
        .await;
    assert_eq!(refused.sip.get(RefusalKind::Unreadable), 1);
    assert_eq!(refused.sip.total(), 1, "{:?}", refused.sip);
    phone.engine.send(PhoneCommand::Shutdown);
}

#[tokio::test]
async fn a_call_is_held_and_resumed_from_our_side_and_the_room_is_not_heard_meanwhile() {
    let exchange = Exchange::start();
    let folder = tempfile::tempdir().expect("a folder");
    let config = EngineConfig {
        auto_answer: true,
        ..silent()
    };
    let mut callee = Phone::registered("1002", &exchange, config).await;
    let mut caller =
        Phone::registered("1001", &exchange, speaking(folder.path(), "caller", 440.0)).await;
    let call = caller.dial("1002");
    caller.answered().await;
    let theirs = callee.incoming().await;

    caller.engine.send(PhoneCommand::Hold(call));
    let held = |wanted: bool| {
        move |event: &PhoneEvent| (*event == PhoneEvent::Held { call, held: wanted }).then_some(())
    };
    let held_by = |wanted: bool| {
        move |event: &PhoneEvent| {
            let told = PhoneEvent::HeldByOther {
                call: theirs,
                held: wanted,
            };
            (*event == told).then_some(())
        }
    };
    caller.expect(held(true)).await;
    callee.expect(held_by(true)).await;
    caller.engine.send(PhoneCommand::Resume(call));
    caller.expect(held(false)).await;
    callee.expect(held_by(false)).await;

    // Changed her mind before the answer came: what was wanted last is what comes about.
    for command in [
        PhoneCommand::Hold(call),
        PhoneCommand::Resume(call),
        PhoneCommand::Hold(call),
    ] {
        caller.engine.send(command);
    }
    caller.expect(held(true)).await;
    caller.engine.send(PhoneCommand::Hangup(call));
    caller.ended().await;
    callee.ended().await;

    caller.engine.send(PhoneCommand::Hold(call));
    let refused = caller
        .expect(|event| match event {
            PhoneEvent::Refused { message, .. } => Some(message.clone()),
            _ => None,
        })
        .await;
    assert_eq!(refused, "The call is not answered.");
}

/// Where sound is sent to in the place of a phone, and its port.
fn far_end() -> (UdpSocket, u16) {
    let socket = UdpSocket::bind("127.0.0.1:0").expect("a socket");
    socket
        .set_read_timeout(Some(Duration::from_secs(10)))
        .expect("a time-out");
    let port = socket.local_addr().expect("an address").port();
    (socket, port)
}

/// What a far end offers that listens at this port: one audio line, as `transport` has it.
fn audio_at(port: u16, transport: &str) -> String {
    format!(
        "v=0\r\no=- 1 1 IN IP4 127.0.0.1\r\ns=-\r\nc=IN IP4 127.0.0.1\r\nt=0 0\r\nm=audio {port} {transport}\r\n"
    )
}

/// What was received there last is old by now; what comes next is sent now.
fn sound_goes_on(far_end: &UdpSocket) {
    let mut packet = [0; 500];
    far_end.set_nonblocking(true).expect("set");
    while far_end.recv_from(&mut packet).is_ok() {}
    far_end.set_nonblocking(false).expect("set");
    far_end.recv_from(&mut packet).expect("sound");
}

#[tokio::test]
async fn a_change_that_cannot_be_is_refused_and_the_call_goes_on() {
    let exchange = Exchange::start();
    let (far_end, port) = far_end();
    let key =
        "a=crypto:1 AES_CM_128_HMAC_SHA1_80 inline:d0RmdmcmVCspeEc3QGZiNWpVLFJhQX1cfHAwJSoj\r\n";
    for (srtp, agreed, unusable) in [
        (
            Policy::Off,
            audio_at(port, "RTP/AVP 0"),
            [
                ("garbage".to_owned(), 400),
                (audio_at(port, "RTP/AVP 18"), 488),
            ],
        ),
        (
            Policy::Required,
            audio_at(port, "RTP/SAVP 0") + key,
            [
                (audio_at(port, "RTP/AVP 0"), 488),
                (audio_at(port, "RTP/SAVP 0"), 488),
            ],
        ),
    ] {
        let config = EngineConfig {
            auto_answer: true,
            srtp,
            ..silent()
        };
        let mut phone = Phone::registered("1001", &exchange, config).await;
        exchange.order(Order::Call {
            extension: "1001".into(),
            offer: agreed,
        });
        exchange.answered_with();
        phone.answered().await;
        for (offer, code) in unusable {
            sound_goes_on(&far_end);
            exchange.order(Order::Change {
                offer: offer.clone(),
            });
            assert_eq!(exchange.refused_with().0, code, "{offer}");
        }
        sound_goes_on(&far_end);
        let ended = |event: &PhoneEvent| matches!(event, PhoneEvent::Ended { .. });
        assert!(!phone.told.iter().any(ended), "{:?}", phone.told);
        phone.engine.send(PhoneCommand::Shutdown);
        phone
            .expect(|event| (*event == PhoneEvent::Stopped).then_some(()))
            .await;
    }
}

#[tokio::test]
async fn a_call_tells_how_loud_it_is_and_that_somebody_speaks_while_muted() {
    let folder = tempfile::tempdir().expect("a folder");
    let exchange = Exchange::start();
    let (_far_end, port) = far_end();
    let input = folder.path().join("words.wav");
    write(&input, (0..4 * RATE).map(words));
    let config = EngineConfig {
        auto_answer: true,
        levels: true,
        ..config(AudioChoice::File {
            input: Some(input),
            output: None,
        })
    };
    let mut phone = Phone::registered("1001", &exchange, config).await;
    exchange.order(Order::Call {
        extension: "1001".into(),
        offer: audio_at(port, "RTP/AVP 0"),
    });
    phone.answered().await;
    phone.engine.send(PhoneCommand::SetMuted(true));
    phone
        .expect(|event| (*event == PhoneEvent::SpeakingMuted).then_some(()))
        .await;
    let loudest = phone.told.iter().filter_map(|event| match event {
        PhoneEvent::Levels {
            microphone,
            speaker,
        } => Some((microphone.unwrap_or(f64::NEG_INFINITY), *speaker)),
        _ => None,
    });
    let (microphone, speaker) = loudest.max_by(|a, b| a.0.total_cmp(&b.0)).expect("levels");
    let level = 20.0 * (8000.0f64 / 32_768.0).log10() - 3.01;
    assert!((microphone - level).abs() < 1.0, "{microphone} dB");
    assert_eq!(speaker, None, "nobody speaks at the other side");
}

/// Half seconds of a voice's pitch with pauses of a quiet room between.
fn words(index: u32) -> f32 {
    let loud = (index / (RATE / 2)) % 2 == 1;
    sine(200.0, index) * if loud { 8000.0 } else { 20.0 }
}
