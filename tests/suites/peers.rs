//! Phones of other people's making: baresip through Asterisk 22, SIPp directly.

use std::time::Duration;

use rollcall_e2e::asterisk::Settings;
use rollcall_e2e::baresip::Codec;
use rollcall_e2e::phone::{Phone, Running};
use rollcall_e2e::program::Resources;
use rollcall_e2e::sipp::Sipp;
use rollcall_e2e::sound::{Heard, Voice, folder};
use rollcall_e2e::waiting::PROMPTLY;
use rollcall_e2e::{Asterisk, Baresip, FarEnd, eventually};
use serde_json::Value;

/// A codec by both of its names, and how far the level may be off: Opus is no waveform codec.
const PCMU: (&str, Codec, f64) = ("pcmu", Codec::Pcmu, 0.05);
const OPUS: (&str, Codec, f64) = ("opus", Codec::Opus, 0.15);

#[tokio::test]
async fn baresip_calls_us_in_pcmu_and_both_hear_each_other() {
    baresip_calls_us(PCMU).await;
}

#[tokio::test]
async fn baresip_calls_us_in_opus_and_both_hear_each_other() {
    baresip_calls_us(OPUS).await;
}

#[tokio::test]
async fn we_call_baresip_in_pcmu_and_both_hear_each_other() {
    we_call_baresip(PCMU).await;
}

#[tokio::test]
async fn we_call_baresip_in_opus_and_both_hear_each_other() {
    we_call_baresip(OPUS).await;
}

#[tokio::test]
async fn baresip_and_we_talk_encrypted_whoever_calls() {
    let encrypting = || Settings {
        endpoint: "media_encryption = sdes".to_owned(),
        ..Settings::default()
    };
    for we_call in [true, false] {
        let (name, codec, tolerance) = PCMU;
        let asterisk = Asterisk::start(encrypting()).await;
        let folder = folder();
        let (ours, theirs) = (
            Voice::new(&folder, "ours", 440.0),
            Voice::sampled(&folder, "theirs", 660.0, codec.rate()),
        );
        let phone = Phone::of("1001", &asterisk)
            .codecs(name)
            .encrypting("required")
            .speaking(&ours.spoken, &ours.heard);
        let baresip = Baresip::of("1003", &asterisk, codec, &theirs.spoken).encrypting();
        let (mut phone, mut baresip) = if we_call {
            let baresip = baresip.answering().start().await;
            (phone.dialling("1003").start(), baresip)
        } else {
            let phone = phone.answering().start();
            phone.registered().await;
            let mut baresip = baresip.start().await;
            baresip.command("dial", "1001").await;
            (phone, baresip)
        };
        phone.event("answered").await;
        ours.grows_to(3.0).await;
        baresip.command("hangup", "").await;
        phone.event("ended").await;
        let record = phone.event("quality").await;
        assert_eq!(record["encrypted"], true, "{record}");
        assert!(phone.program.terminate().await.success());
        ours.recorded().is_a_tone_of(660.0, tolerance);
        Heard::in_file(&baresip.heard().await).is_a_tone_of(440.0, tolerance);
    }
}

#[tokio::test]
async fn baresip_may_hold_us_and_come_back() {
    let pass_hold = Settings {
        pass_hold: true,
        ..Settings::default()
    };
    let (_, codec, tolerance) = OPUS;
    let asterisk = Asterisk::start(pass_hold).await;
    let folder = folder();
    let (ours, theirs) = (
        Voice::new(&folder, "ours", 440.0),
        Voice::sampled(&folder, "theirs", 660.0, codec.rate()),
    );
    let mut phone = Phone::of("1001", &asterisk)
        .speaking(&ours.spoken, &ours.heard)
        .answering()
        .start();
    phone.registered().await;
    let mut baresip = Baresip::of("1003", &asterisk, codec, &theirs.spoken)
        .start()
        .await;
    baresip.command("dial", "1001").await;
    baresip.event("CALL_ESTABLISHED").await;
    ours.grows_to(2.5).await;
    for held in [true, false] {
        let command = if held { "hold" } else { "resume" };
        baresip.command(command, "").await;
        let told = |event: &Value| {
            (event["event"] == "held_by_other" && event["held"] == held).then_some(())
        };
        phone.program.event(command, told).await;
        ours.grows_to(if held { 3.5 } else { 4.0 }).await;
    }
    let before = packets_from("1001", &asterisk).await;
    let heard_again = "Asterisk hears two more seconds from us";
    eventually(heard_again, PROMPTLY, async || {
        match packets_from("1001", &asterisk).await - before {
            100.. => Ok(()),
            few => Err(format!("{few} packets")),
        }
    })
    .await;
    ours.grows_to(7.0).await;
    assert_eq!(phone.count("ended"), 0, "the call outlived the hold");
    baresip.command("hangup", "").await;
    phone.event("ended").await;
    assert!(phone.program.terminate().await.success());
    // The longest stretch of sound: after the hold.
    ours.recorded().is_a_tone_of(660.0, tolerance);
    // baresip 1.0.0 records nothing after a hold, whoever is at the other end: this is from before.
    Heard::in_file(&baresip.heard().await).is_a_tone_of(440.0, tolerance);
}

#[tokio::test]
async fn a_hundred_calls_from_sipp_all_succeed_and_leave_nothing_behind() {
    const WARM_UP: u32 = 20;
    const CALLS: u32 = 100;
    // Nothing is registered in the time a hundred calls take, so the registrar's address is free for SIPp.
    let registrar = FarEnd::listen();
    let address = registrar.address();
    let mut phone = Phone::at("1001", &address.to_string(), "secret")
        .answering()
        .start();
    let us = registrar.registered();
    phone.registered().await;
    drop(registrar);
    let caller = Sipp::new(address, us.address, &us.contact);
    // What is made once (buffers, the allocator's arenas) is made now.
    caller.call(WARM_UP).await;
    let before = at_rest(&phone, WARM_UP).await;
    caller.call(CALLS).await;
    let after = at_rest(&phone, WARM_UP + CALLS).await;
    assert_eq!(
        (after.files, after.threads),
        (before.files, before.threads),
        "file descriptors and threads"
    );
    let growth = after.memory.saturating_sub(before.memory);
    assert!(
        growth <= 512 * 1024,
        "{growth} bytes more than the {} before {CALLS} calls",
        before.memory
    );
    for name in ["incoming", "answered", "ended"] {
        assert_eq!(phone.count(name), (WARM_UP + CALLS) as usize, "{name}");
    }
    let ends = phone.program.events();
    let ends = ends.iter().filter(|event| event["event"] == "ended");
    assert!(ends.into_iter().all(|event| event["reason"] == "remote"));
    assert!(phone.program.is_running());
}

/// How many RTP packets Asterisk has received from the one channel of `extension`.
async fn packets_from(extension: &str, asterisk: &Asterisk) -> i64 {
    let listing = asterisk.rx("pjsip show channelstats").await;
    let channel = format!("{extension}-");
    let line = listing.lines().find(|line| line.contains(&channel));
    // Bridge, channel, uptime, codec, received, ...
    let count = line.and_then(|line| line.split_whitespace().nth(4)?.parse().ok());
    count.unwrap_or_else(|| panic!("no channel of {extension} in\n{listing}"))
}

/// What the phone holds once `calls` calls are over and their timers have run out (RFC 6026: 64 T1 after a 200).
async fn at_rest(phone: &Running, calls: u32) -> Resources {
    eventually(
        "all calls are over",
        Duration::from_secs(30),
        async || match phone.count("ended") {
            ended if ended == calls as usize => Ok(()),
            ended => Err(format!("{ended} of {calls}")),
        },
    )
    .await;
    let mut last = phone.program.resources();
    eventually("the phone's descriptors are closed", PROMPTLY, async || {
        let now = phone.program.resources();
        let same = now.files == last.files && now.threads == last.threads;
        last = now;
        if same {
            Ok(now)
        } else {
            Err(format!("{now:?}"))
        }
    })
    .await
}

async fn baresip_calls_us((name, codec, tolerance): (&str, Codec, f64)) {
    let asterisk = Asterisk::start(Settings::default()).await;
    let folder = folder();
    let (ours, theirs) = (
        Voice::new(&folder, "ours", 440.0),
        Voice::sampled(&folder, "theirs", 660.0, codec.rate()),
    );
    let mut phone = Phone::of("1001", &asterisk)
        .codecs(name)
        .speaking(&ours.spoken, &ours.heard)
        .answering()
        .start();
    phone.registered().await;
    let mut baresip = Baresip::of("1003", &asterisk, codec, &theirs.spoken)
        .start()
        .await;
    baresip.command("dial", "1001").await;
    let answered = phone.event("answered").await;
    assert_eq!(answered["codec"], name, "{answered}");
    ours.grows_to(3.0).await;
    baresip.command("hangup", "").await;
    let ended = phone.event("ended").await;
    assert_eq!(ended["reason"], "remote", "{ended}");
    assert!(phone.program.terminate().await.success());
    ours.recorded().is_a_tone_of(660.0, tolerance);
    Heard::in_file(&baresip.heard().await).is_a_tone_of(440.0, tolerance);
}

async fn we_call_baresip((name, codec, tolerance): (&str, Codec, f64)) {
    let asterisk = Asterisk::start(Settings::default()).await;
    let folder = folder();
    let (ours, theirs) = (
        Voice::new(&folder, "ours", 440.0),
        Voice::sampled(&folder, "theirs", 660.0, codec.rate()),
    );
    let baresip = Baresip::of("1003", &asterisk, codec, &theirs.spoken)
        .answering()
        .start()
        .await;
    let mut phone = Phone::of("1001", &asterisk)
        .codecs(name)
        .speaking(&ours.spoken, &ours.heard)
        .dialling("1003")
        .start();
    let answered = phone.event("answered").await;
    assert_eq!(answered["codec"], name, "{answered}");
    ours.grows_to(3.0).await;
    assert!(phone.program.terminate().await.success());
    ours.recorded().is_a_tone_of(660.0, tolerance);
    Heard::in_file(&baresip.heard().await).is_a_tone_of(440.0, tolerance);
}
