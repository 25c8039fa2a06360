//! What nobody should send, at the ports of a living phone: strangers' calls, garbage, pieces, giants, copies, replays.
//!
//! After each the phone must still be the phone it was: the call that is up goes on, the registrar finds it, a new call
//! comes through.

use std::f64::consts::TAU;
use std::time::Duration;

use rand::rngs::StdRng;
use rand::{Rng, RngCore, SeedableRng};
use rollcall_e2e::FarEnd;
use rollcall_e2e::far_end::{Registered, fresh, pcmu_packet};
use rollcall_e2e::phone::{Phone, Running};
use rollcall_e2e::sound::{Voice, folder};
use rollcall_e2e::waiting::PROMPTLY;

const SEED: u64 = 0x0526;
/// What a UDP datagram over IPv4 can carry.
const HUGE: usize = 65_507;
/// So many datagrams are sent between two looks whether the phone still answers, well below a socket's buffer.
const BATCH: usize = 20;

#[tokio::test]
async fn an_invite_from_another_address_is_a_404_and_rings_nothing() {
    let (registrar, phone, us) = stage().await;
    let stranger = FarEnd::listen();
    let invite = stranger.invite(&us, fresh());
    assert_eq!(stranger.answer_to(&invite, us.address), 404);
    let call = registrar.call(&us);
    assert_eq!(
        stranger.answer_to(&registrar.bye(&call), us.address),
        481,
        "nor does a stranger end a call"
    );
    assert_eq!(
        registrar.answer_to(&registrar.options(&us), us.address),
        200
    );
    assert_eq!(phone.count("ended"), 0);
    registrar.hang_up(&call);
    phone.event("ended").await;
    assert_eq!(
        phone.count("incoming"),
        1,
        "the registrar's call alone rang"
    );
}

#[tokio::test]
async fn nothing_at_the_sip_port_harms_the_call_that_is_up_or_rings() {
    let (registrar, phone, us) = stage().await;
    let stranger = FarEnd::listen();
    let call = registrar.call(&us);
    let mut random = StdRng::seed_from_u64(SEED);
    let invite = registrar.invite(&us, fresh());
    let mut datagrams = garbage(&mut random);
    datagrams.extend(pieces(&invite));
    datagrams.extend(giants(&invite));
    datagrams.extend(false_answers(&us.answer));
    for from in [&registrar, &stranger] {
        hurl(from, &datagrams, &registrar, &us);
    }
    // With a byte or two changed it may well be an INVITE, so only a stranger may send it.
    hurl(&stranger, &changed(&invite, &mut random), &registrar, &us);
    hurl(
        &registrar,
        &changed(&registrar.options(&us), &mut random),
        &registrar,
        &us,
    );
    assert_eq!(phone.count("incoming"), 1, "nothing rang");
    assert_eq!(phone.count("ended"), 0, "the call is up");
    registrar.rtp(Duration::ZERO);
    assert!(!registrar.rtp(PROMPTLY).is_empty(), "and sounds");
    registrar.hang_up(&call);
    lives_on(registrar, phone, &us).await;
}

#[tokio::test]
async fn copies_and_replays_of_signalling_are_one_call_and_one_registration() {
    let (registrar, phone, us) = stage().await;
    let number = fresh();
    let invite = registrar.invite(&us, number);
    let copies = |datagram: &str| vec![datagram.as_bytes().to_vec(); 5];
    hurl(&registrar, &copies(&us.answer), &registrar, &us);
    for datagram in copies(&invite) {
        registrar.send(us.address, &datagram);
    }
    let call = registrar.call_as(&us, number);
    hurl(&registrar, &copies(&invite), &registrar, &us);
    assert_eq!(phone.count("ended"), 0, "a copy ends nothing");
    registrar.hang_up(&call);
    phone.event("ended").await;
    hurl(&registrar, &copies(&registrar.bye(&call)), &registrar, &us);
    hurl(&registrar, &copies(&invite), &registrar, &us);
    for name in ["registered", "incoming", "answered", "ended"] {
        assert_eq!(phone.count(name), 1, "{name}");
    }
    lives_on(registrar, phone, &us).await;
}

#[tokio::test]
async fn nothing_at_the_rtp_port_is_heard_but_the_call() {
    let folder = folder();
    let voice = Voice::new(&folder, "phone", 440.0);
    let registrar = FarEnd::listen();
    let phone = Phone::at("1001", &registrar.address().to_string(), "secret");
    let phone = phone
        .speaking(&voice.spoken, &voice.heard)
        .answering()
        .start();
    let us = registrar.registered();
    phone.registered().await;
    let call = registrar.call(&us);
    let stranger = FarEnd::listen();
    let mut random = StdRng::seed_from_u64(SEED);
    let mut clock = tokio::time::interval(Duration::from_millis(20));
    let mut sent: Vec<Vec<u8>> = Vec::new();
    for n in 0..250_u16 {
        clock.tick().await;
        let packet = tone(n);
        registrar.send(call.rtp, &packet);
        registrar.send(call.rtp, &packet);
        if let Some(old) = sent.len().checked_sub(random.random_range(1..100_usize)) {
            registrar.send(call.rtp, &sent[old]);
        }
        for datagram in noise(n, &mut random) {
            registrar.send(call.rtp, &datagram);
            stranger.send(call.rtp, &datagram);
        }
        // The very stream, guessed by somebody else, at full level.
        stranger.send(
            call.rtp,
            &pcmu_packet(n + 2, u32::from(n + 2) * 160, SSRC, &[0.99; 160]),
        );
        sent.push(packet);
    }
    assert!(
        stranger.rtp(Duration::ZERO).is_empty(),
        "nor is a stranger spoken to"
    );
    registrar.hang_up(&call);
    phone.event("ended").await;
    lives_on(registrar, phone, &us).await;
    // More than a second without a break, with noise at every packet.
    voice.recorded().is_a_tone_of(1000.0, 0.05);
}

/// A phone that is registered and answers by itself, without sound devices.
async fn stage() -> (FarEnd, Running, Registered) {
    let registrar = FarEnd::listen();
    let phone = Phone::at("1001", &registrar.address().to_string(), "secret")
        .answering()
        .start();
    let us = registrar.registered();
    phone.registered().await;
    (registrar, phone, us)
}

/// Sends all of it, and sees now and then that the phone still answers its registrar.
fn hurl(from: &FarEnd, datagrams: &[Vec<u8>], registrar: &FarEnd, us: &Registered) {
    for batch in datagrams.chunks(BATCH) {
        for datagram in batch {
            from.send(us.address, datagram);
        }
        assert_eq!(registrar.answer_to(&registrar.options(us), us.address), 200);
    }
}

/// One more call, and an orderly end without a panic on any thread.
async fn lives_on(registrar: FarEnd, mut phone: Running, us: &Registered) {
    let call = registrar.call(us);
    assert!(!registrar.rtp(PROMPTLY).is_empty(), "a new call sounds");
    registrar.hang_up(&call);
    assert!(phone.program.terminate().await.success());
    let said = format!("{:?}", phone.program);
    assert!(!said.contains("panicked"), "{said}");
}

fn garbage(random: &mut StdRng) -> Vec<Vec<u8>> {
    (0..200).map(|n| bytes(random, n * 7)).collect()
}

/// A message that ends too early.
fn pieces(message: &str) -> Vec<Vec<u8>> {
    (1..message.len())
        .map(|end| message.as_bytes()[..end].to_vec())
        .collect()
}

fn giants(message: &str) -> Vec<Vec<u8>> {
    let (line, rest) = message.split_once("\r\n").unwrap_or_default();
    let stuffed = |stuffing: &str| {
        let room = HUGE - message.len() - 4;
        let stuffing = stuffing.repeat(room / stuffing.len());
        format!("{line}\r\n{stuffing}\r\n{rest}").into_bytes()
    };
    vec![
        vec![0; HUGE],
        vec![b'A'; HUGE],
        b"\r\n".repeat(HUGE / 2),
        // Its Content-Length is a lie by 60 KB, or it has no end at all.
        message
            .replace("Content-Length: ", "Content-Length: 60")
            .into_bytes(),
        message
            .replace("Content-Length: ", "Content-Length: 99999999999999999999")
            .into_bytes(),
        message
            .replace("Content-Length: ", "Content-Length: -")
            .into_bytes(),
        stuffed("Via: SIP/2.0/UDP 127.0.0.1:9;branch=z9hG4bKx\r\n"),
        stuffed("X"),
        stuffed("From: <sip:a@b>;tag=1,"),
    ]
}

/// Answers to questions that nobody asked.
fn false_answers(answer: &str) -> Vec<Vec<u8>> {
    let of_another = answer
        .replace("Call-ID: ", "Call-ID: x")
        .replace("branch=", "branch=x");
    [
        "200 OK",
        "401 Unauthorized",
        "503 Service Unavailable",
        "999 Nonsense",
        "0 Zero",
    ]
    .map(|status| of_another.replace("200 OK", status).into_bytes())
    .to_vec()
}

/// The message with a few bytes changed.
fn changed(message: &str, random: &mut StdRng) -> Vec<Vec<u8>> {
    let change = |_| {
        let mut changed = message.as_bytes().to_vec();
        for _ in 0..random.random_range(1..4) {
            let place = random.random_range(0..changed.len());
            changed[place] = random.random();
        }
        changed
    };
    (0..300).map(change).collect()
}

/// What is no packet of the call: not RTP, too short, of unknown type, of another stream, much too long.
fn noise(n: u16, random: &mut StdRng) -> Vec<Vec<u8>> {
    let short = random.random_range(0..12);
    let mut unknown = bytes(random, 172);
    (unknown[0], unknown[1]) = (0x80, 77);
    // Seldom: more would fill the socket's buffer and crowd out the call, as any flood does.
    let giant = if n.is_multiple_of(10) { 60_000 } else { 1_400 };
    let mut giant = bytes(random, giant);
    (giant[0], giant[1]) = (0x80, 77);
    let mut contributors = bytes(random, 20);
    contributors[0] = 0x8F; // claims fifteen of them
    let not_rtp = [&[0x40], &bytes(random, 200)[..]].concat();
    vec![bytes(random, short), not_rtp, unknown, giant, contributors]
}

fn bytes(random: &mut StdRng, length: usize) -> Vec<u8> {
    let mut bytes = vec![0; length];
    random.fill_bytes(&mut bytes);
    bytes
}

const SSRC: u32 = 0x0CA1_1ED0;

/// The `n`th packet of a tone of 1000 Hz.
fn tone(n: u16) -> Vec<u8> {
    let sample = |at: u32| 0.4 * (TAU * 1000.0 * f64::from(at) / 8000.0).sin();
    let begin = u32::from(n) * 160;
    let samples: Vec<f64> = (begin..begin + 160).map(sample).collect();
    pcmu_packet(n, begin, SSRC, &samples)
}
