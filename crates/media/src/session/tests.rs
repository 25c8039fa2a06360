mod changes;
mod reports;

use std::time::Duration;

use proptest::prelude::*;
use rand::rngs::StdRng;
use rand::{Rng, SeedableRng};

use super::*;
use crate::codec::Codec;
use crate::measure;
use crate::sdp::Direction;
use crate::srtp::{Keys, MasterKey, Suite};
use crate::tone::{Tone, ToneGenerator};
use crate::{FRAME, SAMPLE_RATE};

fn address(port: u16) -> SocketAddr {
    SocketAddr::from(([192, 0, 2, 1], port))
}

fn negotiated(codec: Codec, remote: u16) -> Negotiated {
    let payload_type = match codec {
        Codec::Opus => 111,
        Codec::G722 => 9,
        Codec::Pcmu => 0,
        Codec::Pcma => 8,
    };
    Negotiated::plain(codec, payload_type, address(remote))
}

fn session(codec: Codec, remote: u16, seed: u64) -> Session {
    session_of(negotiated(codec, remote), seed)
}

fn session_of(negotiated: Negotiated, seed: u64) -> Session {
    let mut random = StdRng::seed_from_u64(seed);
    Session::new(Config::new(negotiated, &mut random)).unwrap()
}

/// Two sessions on a virtual wire: `ann` at port 1000 speaks a tone, `bob` at 2000 listens.
struct Call {
    now: Instant,
    ann: Session,
    bob: Session,
    tone: ToneGenerator,
}

impl Call {
    fn new(codec: Codec) -> Call {
        Call {
            now: rollcall_testkit::Clock::new().now(),
            ann: session(codec, 2000, 1),
            bob: session(codec, 1000, 2),
            tone: ToneGenerator::new(Tone::steady(440.0, -12.0)),
        }
    }

    fn speak(&mut self) -> Option<Vec<u8>> {
        let mut frame = [0.0; FRAME];
        self.tone.fill(&mut frame);
        self.ann.send_frame(&frame).map(|sent| sent.bytes.to_vec())
    }

    /// Twenty milliseconds; `wire` says which packets reach bob.
    fn tick(&mut self, wire: bool) -> Vec<f32> {
        let packet = self.speak();
        if let Some(packet) = packet.filter(|_| wire) {
            self.bob.handle_packet(self.now, address(1000), &packet);
        }
        let mut heard = vec![0.0; FRAME];
        self.bob.play_frame(self.now, &mut heard);
        self.now += Duration::from_millis(20);
        heard
    }

    fn run(&mut self, frames: u32, mut wire: impl FnMut(u32) -> bool) -> Vec<f32> {
        (0..frames).flat_map(|n| self.tick(wire(n))).collect()
    }
}

/// Something like a voice, four syllables a second: a steady tone counts as background noise, on
/// which Opus spends no redundancy.
fn vowel(frame: usize) -> Vec<f32> {
    let at = |i: usize| {
        let t = (frame * FRAME + i) as f32 / SAMPLE_RATE as f32;
        let syllable = (std::f32::consts::TAU * 4.0 * t).sin().max(0.2);
        let harmonics = (1..20).map(|k| (std::f32::consts::TAU * 140.0 * k as f32 * t).sin());
        0.1 * syllable * harmonics.sum::<f32>()
    };
    (0..FRAME).map(at).collect()
}

fn tone_level(samples: &[f32]) -> f64 {
    measure::tone_dbfs(samples, SAMPLE_RATE, 440.0).unwrap_or(f64::NEG_INFINITY)
}

#[test]
fn a_tone_arrives_by_frequency_and_level_in_every_codec() {
    for codec in Codec::DEFAULT {
        let mut call = Call::new(codec);
        let heard = call.run(100, |_| true);
        let steady = &heard[20 * FRAME..];
        assert!((tone_level(steady) + 12.0).abs() < 1.0, "{codec}");
        let hertz = measure::strongest_hertz(steady, SAMPLE_RATE, 100.0, 3000.0).unwrap();
        assert!((hertz - 440.0).abs() < 1.0, "{codec}: {hertz}");
        let counters = call.bob.counters();
        assert_eq!((counters.received, counters.lost), (100, 0), "{codec}");
        assert_eq!(counters.jitter, Some(Duration::ZERO));
    }
}

#[test]
fn a_lost_packet_leaves_no_hole_in_the_sound() {
    for codec in Codec::DEFAULT {
        let mut call = Call::new(codec);
        let heard = call.run(100, |n| n % 10 != 9);
        for (n, frame) in heard.chunks(FRAME).enumerate().skip(10).take(80) {
            let level = measure::level_dbfs(frame).unwrap_or(f64::NEG_INFINITY);
            assert!(level > -35.0, "{codec}: {level} dB in frame {n}");
        }
        assert_eq!(call.bob.counters().lost, 9, "{codec}");
    }
}

#[test]
fn opus_recovers_single_losses_of_speech_once_loss_is_reported() {
    let mut call = Call::new(Codec::Opus);
    call.ann.set_expected_loss(20).unwrap();
    for n in 0..200 {
        let packet = call.ann.send_frame(&vowel(n)).unwrap().bytes.to_vec();
        if n % 5 != 4 {
            call.bob.handle_packet(call.now, address(1000), &packet);
        }
        call.bob.play_frame(call.now, &mut [0.0; FRAME]);
        call.now += Duration::from_millis(20);
    }
    let counters = call.bob.counters();
    assert!(
        // All but those between the syllables.
        counters.recovered * 3 > counters.lost,
        "{} of {}",
        counters.recovered,
        counters.lost
    );
}

#[test]
fn muted_speech_goes_out_as_silence() {
    let mut call = Call::new(Codec::Pcmu);
    call.ann.set_muted(true);
    let heard = call.run(50, |_| true);
    assert_eq!(call.bob.counters().played, 50);
    assert!(measure::level_dbfs(&heard).is_none_or(|level| level < -70.0));
}

#[test]
fn nothing_is_sent_or_played_beyond_the_direction() {
    let mut call = Call::new(Codec::Pcmu);
    call.run(20, |_| true);
    for (direction, sends, hears) in [
        (Direction::SendOnly, true, false),
        (Direction::Inactive, false, false),
        (Direction::RecvOnly, false, true),
        (Direction::SendRecv, true, true),
    ] {
        let agreed = Negotiated {
            direction,
            ..negotiated(Codec::Pcmu, 1000)
        };
        call.bob.update(agreed).unwrap();
        assert_eq!(call.bob.send_frame(&[0.1; FRAME]).is_some(), sends);
        let heard = call.run(20, |_| true);
        assert_eq!(
            tone_level(&heard[10 * FRAME..]) > -20.0,
            hears,
            "{direction}"
        );
    }
}

#[test]
fn the_first_packet_after_a_hold_carries_the_marker_and_the_clock_went_on() {
    let mut call = Call::new(Codec::Pcmu);
    let head = |packet: &[u8]| {
        let read = crate::rtp::read(packet).unwrap();
        (read.sequence, read.timestamp, read.marker)
    };
    let (first, begun, marker) = head(&call.speak().unwrap());
    assert!(marker);
    assert!(!head(&call.speak().unwrap()).2);
    let mut agreed = negotiated(Codec::Pcmu, 2000);
    agreed.direction = Direction::RecvOnly;
    call.ann.update(agreed.clone()).unwrap();
    assert!(call.speak().is_none());
    agreed.direction = Direction::SendRecv;
    call.ann.update(agreed).unwrap();
    assert_eq!(
        head(&call.speak().unwrap()),
        (first.wrapping_add(2), begun.wrapping_add(480), true)
    );
}

#[test]
fn packets_from_elsewhere_are_counted_and_not_heard() {
    let mut call = Call::new(Codec::Pcmu);
    call.run(10, |_| true);
    let mut stranger = session(Codec::Pcmu, 2000, 9);
    for _ in 0..50 {
        let packet = stranger.send_frame(&[0.9; FRAME]).unwrap().bytes.to_vec();
        call.bob.handle_packet(call.now, address(6666), &packet);
    }
    let heard = call.run(20, |_| true);
    assert_eq!(call.bob.counters().foreign, 50);
    assert!(heard.iter().all(|sample| sample.abs() < 0.4));
    assert_eq!(call.bob.destination(), address(1000));
}

#[test]
fn a_stream_with_another_ssrc_takes_over_at_once() {
    let mut call = Call::new(Codec::Pcmu);
    call.run(20, |_| true);
    call.ann = session(Codec::Pcmu, 2000, 77);
    let heard = call.run(20, |_| true);
    assert!(tone_level(&heard[5 * FRAME..]) > -14.0);
    assert_eq!(call.bob.counters().restarts, 1);
}

#[test]
fn what_carries_no_sound_of_ours_ends_no_stream() {
    let mut call = Call::new(Codec::Pcmu);
    let mut stray = Vec::new();
    let mut heard = Vec::new();
    for ssrc in 1..=50 {
        crate::rtp::Sender::new(ssrc, 7 * ssrc as u16, 0).write(97, &[0x55; 160], &mut stray);
        call.bob.handle_packet(call.now, address(1000), &stray);
        heard.extend(call.tick(true));
    }
    assert!(tone_level(&heard[5 * FRAME..]) > -14.0);
    let counters = call.bob.counters();
    assert_eq!((counters.restarts, counters.unknown_payload), (0, 50));
}

#[test]
fn a_codec_may_change_in_mid_call() {
    let mut call = Call::new(Codec::Pcmu);
    call.run(20, |n| n != 10);
    call.ann.update(negotiated(Codec::Opus, 2000)).unwrap();
    call.bob.update(negotiated(Codec::Opus, 1000)).unwrap();
    let heard = call.run(50, |_| true);
    assert!(tone_level(&heard[20 * FRAME..]) > -14.0);
    assert_eq!(call.bob.counters().lost, 1, "counts survive the change");
}

#[test]
fn comfort_noise_and_unknown_payloads_are_no_loss() {
    let mut call = Call::new(Codec::Pcmu);
    let mut bytes = Vec::new();
    let mut rtp = crate::rtp::Sender::new(5, 65_530, 0);
    for payload_type in [0, 0, 0, 0, 101, 101, 13, 0, 0, 0] {
        rtp.write(payload_type, &[0x55; 160], &mut bytes);
        rtp.advance(160);
        call.bob.handle_packet(call.now, address(1000), &bytes);
        call.bob.play_frame(call.now, &mut [0.0; FRAME]);
        call.now += Duration::from_millis(20);
    }
    for _ in 0..4 {
        call.bob.play_frame(call.now, &mut [0.0; FRAME]);
        call.now += Duration::from_millis(20);
    }
    let counters = call.bob.counters();
    assert_eq!((counters.unknown_payload, counters.comfort_noise), (2, 1));
    assert_eq!((counters.lost, counters.played), (0, 7));
}

#[test]
fn a_pause_sounds_as_the_other_side_said_until_it_speaks_again() {
    let mut call = Call::new(Codec::Pcmu);
    let mut rtp = crate::rtp::Sender::new(5, 1, 0);
    let mut levels = Vec::new();
    for frame in 0..150 {
        let mut bytes = Vec::new();
        // A tone of full scale, one word about the pause, and the tone again.
        let sent = match frame {
            0..50 | 100.. => rtp.write(0, &[[0x80; 4], [0x00; 4]].concat().repeat(20), &mut bytes),
            50 => rtp.write(13, &[50], &mut bytes),
            _ => false,
        };
        rtp.advance(160);
        if sent {
            call.bob.handle_packet(call.now, address(1000), &bytes);
        }
        let mut heard = [0.0; FRAME];
        call.bob.play_frame(call.now, &mut heard);
        levels.push(measure::level_dbfs(&heard).unwrap_or(-120.0));
        call.now += Duration::from_millis(20);
    }
    let pause = &levels[58..98];
    assert!(
        pause.iter().all(|level| (level + 50.0).abs() < 3.0),
        "{pause:?}"
    );
    assert!(levels[110..].iter().all(|level| *level > -20.0));
    let counters = call.bob.counters();
    assert_eq!((counters.lost, counters.starved), (0, 0), "{counters:?}");
}

#[test]
fn what_was_said_of_a_pause_is_forgotten_when_the_numbers_begin_anew() {
    let mut call = Call::new(Codec::Pcmu);
    let (mut rtp, mut bytes) = (crate::rtp::Sender::new(5, 40_000, 0), Vec::new());
    let starved = |call: &Call| call.bob.counters().starved;
    for (payload_type, payload) in [(0, &[0x55; 160][..]), (13, &[50])] {
        rtp.write(payload_type, payload, &mut bytes);
        rtp.advance(160);
        call.bob.handle_packet(call.now, address(1000), &bytes);
        call.bob.play_frame(call.now, &mut [0.0; FRAME]);
        call.now += Duration::from_millis(20);
    }
    let mut anew = crate::rtp::Sender::new(5, 100, 0);
    for n in 0..60 {
        if n < 20 {
            anew.write(0, &[0x55; 160], &mut bytes);
            anew.advance(160);
            call.bob.handle_packet(call.now, address(1000), &bytes);
        }
        call.bob.play_frame(call.now, &mut [0.0; FRAME]);
        call.now += Duration::from_millis(20);
    }
    assert_eq!(call.bob.counters().restarts, 1);
    assert!(starved(&call) > 0, "the network fell silent, nobody paused");
}

#[test]
fn a_pull_of_any_length_is_filled() {
    let mut call = Call::new(Codec::Pcmu);
    let mut random = StdRng::seed_from_u64(4);
    let mut played = 0;
    for _ in 0..200 {
        let packet = call.speak().unwrap();
        call.bob.handle_packet(call.now, address(1000), &packet);
        let length = random.random_range(0..2 * FRAME);
        let mut heard = vec![f32::NAN; length];
        call.bob.play_frame(call.now, &mut heard);
        assert!(heard.iter().all(|sample| sample.is_finite()));
        played += length;
        call.now += Duration::from_millis(20);
    }
    assert!(played > 150 * FRAME);
}

#[test]
fn hold_the_old_way_sends_nowhere() {
    let mut call = Call::new(Codec::Pcmu);
    let mut agreed = negotiated(Codec::Pcmu, 0);
    agreed.remote = SocketAddr::from(([0, 0, 0, 0], 4000));
    call.ann.update(agreed).unwrap();
    assert!(call.speak().is_none());
}

#[test]
fn a_frame_of_another_length_is_not_sent() {
    let mut call = Call::new(Codec::Pcmu);
    assert!(call.ann.send_frame(&[0.0; 100]).is_none());
    assert_eq!(call.ann.counters().sent, 0);
}

/// Both sides speak, and report over the shared port.
fn converse(call: &mut Call, frames: u32, lost: impl Fn(u32) -> bool) {
    for n in 0..frames {
        call.tick(!lost(n));
        let answer = call
            .bob
            .send_frame(&[0.1; FRAME])
            .map(|sent| sent.bytes.to_vec());
        if let Some(packet) = answer {
            call.ann.handle_packet(call.now, address(2000), &packet);
        }
        call.ann.play_frame(call.now, &mut [0.0; FRAME]);
        if let Some(report) = call.ann.poll_control(call.now) {
            let report = report.bytes.to_vec();
            call.bob.handle_packet(call.now, address(1000), &report);
        }
        if let Some(report) = call.bob.poll_control(call.now) {
            let report = report.bytes.to_vec();
            call.ann.handle_packet(call.now, address(2000), &report);
        }
    }
}

#[test]
fn what_one_side_loses_the_other_is_told_and_the_score_shows_it() {
    let mut call = Call::new(Codec::Pcmu);
    converse(&mut call, 1_500, |_| false);
    let clean = call.bob.quality(call.now);
    assert_eq!(clean.received.loss, Some(0.0));
    assert!(clean.mos.unwrap().last > 4.2, "{:?}", clean.mos);
    converse(&mut call, 1_500, |n| n % 10 == 3);
    let (ann, bob) = (call.ann.quality(call.now), call.bob.quality(call.now));
    assert!((bob.received.loss.unwrap() - 0.05).abs() < 0.01, "{bob:?}");
    assert!((ann.sent.loss.unwrap() - 0.05).abs() < 0.015, "{ann:?}");
    assert!(bob.mos.unwrap().least < 3.6 && ann.mos.unwrap().least > 4.2);
    assert!(bob.scores.len() > 8 && bob.duration >= Duration::from_secs(59));
    let trip = ann.round_trip.unwrap().most;
    assert!(trip < Duration::from_millis(1), "the wire has no delay");
    assert!(call.ann.counters().reports > 8);
    assert_eq!(call.ann.counters().malformed, 0);
}

#[test]
fn what_the_other_side_told_after_our_last_report_is_in_the_record() {
    let mut call = Call::new(Codec::Pcmu);
    let unheard = |call: &Call| call.ann.quality(call.now).round_trip.is_none();
    // Bob reports for the first time after ann did; ann has no second report to make before it ends.
    while unheard(&call) {
        converse(&mut call, 1, |_| false);
        assert!(call.ann.quality(call.now).duration < Duration::from_secs(10));
    }
    assert_eq!(call.ann.quality(call.now).mos, None);
    call.ann.goodbye(call.now).unwrap();
    let mos = call.ann.quality(call.now).mos;
    assert!(mos.is_some_and(|score| score.last > 4.2), "{mos:?}");
}

#[test]
fn reports_go_above_the_rtp_port_unless_it_is_shared_or_another_was_named() {
    let mut call = Call::new(Codec::Pcmu);
    let after = call.now + Duration::from_secs(30);
    let mut to = |change: fn(&mut Negotiated)| {
        let mut agreed = negotiated(Codec::Pcmu, 2000);
        change(&mut agreed);
        call.ann.update(agreed).unwrap();
        call.ann.goodbye(after).map(|sent| sent.destination)
    };
    assert_eq!(to(|_| {}), Some(address(2001)));
    assert_eq!(to(|agreed| agreed.rtcp.mux = true), Some(address(2000)));
    assert_eq!(
        to(|agreed| agreed.rtcp.remote = Some(address(7))),
        Some(address(7))
    );
    let nowhere = |agreed: &mut Negotiated| agreed.remote = SocketAddr::from(([0, 0, 0, 0], 9));
    assert_eq!(to(nowhere), None);
}

#[test]
fn reports_from_elsewhere_change_nothing() {
    let mut call = Call::new(Codec::Pcmu);
    converse(&mut call, 400, |_| false);
    let before = call.ann.quality(call.now);
    let lie = call.bob.goodbye(call.now).unwrap().bytes.to_vec();
    let stranger = SocketAddr::from(([198, 51, 100, 1], 2001));
    call.ann.handle_control(call.now, stranger, &lie);
    assert_eq!(call.ann.counters().foreign, 1);
    assert_eq!(call.ann.quality(call.now).sent, before.sent);
}

/// A call whose sides agreed on keys.
fn secured(suite: Suite) -> Call {
    let mut random = StdRng::seed_from_u64(3711);
    let mut key = || MasterKey::random(suite, &mut random);
    let (anns, bobs) = (key(), key());
    let agreed = |remote, send: &MasterKey, receive: &MasterKey| Negotiated {
        srtp: Some(Keys {
            send: send.clone(),
            receive: receive.clone(),
        }),
        ..negotiated(Codec::Pcmu, remote)
    };
    Call {
        ann: session_of(agreed(2000, &anns, &bobs), 1),
        bob: session_of(agreed(1000, &bobs, &anns), 2),
        ..Call::new(Codec::Pcmu)
    }
}

#[test]
fn a_call_that_was_in_the_open_for_a_while_was_not_encrypted() {
    let call = secured(Suite::AeadAes128Gcm);
    let with_keys = call.ann.negotiated().clone();
    let without = Negotiated {
        srtp: None,
        ..with_keys.clone()
    };
    let was_encrypted = |agreements: [&Negotiated; 3]| {
        let mut session = session_of(agreements[0].clone(), 1);
        for agreed in &agreements[1..] {
            session.update((*agreed).clone()).unwrap();
        }
        session.quality(call.now).encrypted
    };
    assert!(was_encrypted([&with_keys, &with_keys, &with_keys]));
    assert!(!was_encrypted([&without, &without, &with_keys]));
    assert!(!was_encrypted([&with_keys, &without, &with_keys]));
    assert!(!was_encrypted([&with_keys, &with_keys, &without]));
}

#[test]
fn encrypted_sound_and_reports_arrive_in_every_suite() {
    for suite in Suite::ALL {
        let mut call = secured(suite);
        converse(&mut call, 700, |_| false);
        let heard = call.run(50, |_| true);
        assert!(tone_level(&heard) > -14.0, "{suite:?}");
        let counters = call.bob.counters();
        assert_eq!(
            (counters.unauthentic, counters.replayed, counters.malformed),
            (0, 0, 0)
        );
        assert!(counters.reports > 1, "{suite:?}");
        assert!(call.bob.quality(call.now).encrypted);
    }
}

#[test]
fn replayed_forged_and_plain_packets_never_reach_the_speaker_and_move_nothing() {
    let mut call = secured(Suite::AesCm128HmacSha1_80);
    let mut recorded = Vec::new();
    for _ in 0..50 {
        let packet = call.speak().unwrap();
        call.bob.handle_packet(call.now, address(1000), &packet);
        call.bob.play_frame(call.now, &mut [0.0; FRAME]);
        call.now += Duration::from_millis(20);
        recorded.push(packet);
    }
    // The line falls silent, and somebody on it speaks instead.
    let mut played = Vec::new();
    let mut in_the_open = session(Codec::Pcmu, 2000, 9);
    let mut stranger = secured(Suite::AesCm128HmacSha1_32).ann;
    for packet in &recorded {
        let open = in_the_open
            .send_frame(&[0.9; FRAME])
            .unwrap()
            .bytes
            .to_vec();
        let forged = stranger.send_frame(&[0.9; FRAME]).unwrap().bytes.to_vec();
        for (from, bytes) in [
            (1000, packet),
            (6666, packet),
            (1000, &open),
            (6666, &forged),
        ] {
            call.bob.handle_packet(call.now, address(from), bytes);
        }
        let mut heard = vec![0.0; FRAME];
        call.bob.play_frame(call.now, &mut heard);
        played.extend(heard);
        call.now += Duration::from_millis(20);
    }
    let counters = call.bob.counters();
    // The forged have the numbers of what was here: they are refused before their tag is looked at.
    assert_eq!((counters.replayed, counters.unauthentic), (150, 50));
    assert_eq!((counters.received, counters.source_changes), (50, 0));
    assert_eq!(call.bob.destination(), address(1000));
    // What was under way and its fading concealment, then nothing.
    assert_eq!(measure::level_dbfs(&played[25 * FRAME..]), None);
}

#[test]
fn an_off_path_stranger_takes_no_lock_before_the_first_packet() {
    let mut call = secured(Suite::AeadAes128Gcm);
    let mut stranger = session(Codec::Pcmu, 2000, 9);
    for _ in 0..10 {
        let packet = stranger.send_frame(&[0.9; FRAME]).unwrap().bytes.to_vec();
        call.bob.handle_packet(call.now, address(6666), &packet);
    }
    assert_eq!(call.bob.destination(), address(1000));
    let heard = call.run(20, |_| true);
    assert!(tone_level(&heard[5 * FRAME..]) > -14.0);
}

#[test]
fn counters_go_on_over_a_change_of_the_session_that_keeps_the_keys() {
    let mut call = secured(Suite::AesCm128HmacSha1_80);
    // Past the rollover, where a counter that began anew would open nothing.
    for _ in 0..70_000 {
        let packet = call.speak().unwrap();
        call.bob.handle_packet(call.now, address(1000), &packet);
    }
    for (side, direction) in [
        (&mut call.ann, Direction::SendOnly),
        (&mut call.bob, Direction::RecvOnly),
    ] {
        let held = Negotiated {
            direction,
            ..side.negotiated().clone()
        };
        side.update(held).unwrap();
    }
    call.bob.play_frame(call.now, &mut [0.0; FRAME]);
    let heard = call.run(50, |_| true);
    assert!(tone_level(&heard[20 * FRAME..]) > -14.0);
    assert_eq!(call.bob.counters().unauthentic, 0);
}

#[test]
fn keys_that_come_back_after_a_time_in_the_open_go_on_where_they_stood() {
    // SRTCP under GCM ends with its index (RFC 7714 section 9.2).
    let index = |report: &[u8]| {
        let end = report.last_chunk().expect("a report");
        u32::from_be_bytes(*end) & 0x7fff_ffff
    };
    let mut call = secured(Suite::AeadAes128Gcm);
    let mut recorded = Vec::new();
    for _ in 0..20 {
        let packet = call.speak().unwrap();
        call.bob.handle_packet(call.now, address(1000), &packet);
        recorded.push(packet);
    }
    let before = index(call.ann.goodbye(call.now).unwrap().bytes);
    for side in [&mut call.ann, &mut call.bob] {
        let agreed = side.negotiated().clone();
        let in_the_open = Negotiated {
            srtp: None,
            ..agreed.clone()
        };
        side.update(in_the_open).unwrap();
        side.update(agreed).unwrap();
    }
    let after = index(call.ann.goodbye(call.now).unwrap().bytes);
    assert!(after > before, "{after} after {before} under the same key");
    for packet in &recorded {
        call.bob.handle_packet(call.now, address(1000), packet);
    }
    assert_eq!(call.bob.counters().replayed, 20);
}

#[test]
fn a_good_bye_on_the_wire_ends_no_call() {
    let mut call = Call::new(Codec::Pcmu);
    converse(&mut call, 50, |_| false);
    let bye = call.ann.goodbye(call.now).unwrap().bytes.to_vec();
    call.bob.handle_packet(call.now, address(1000), &bye);
    let heard = call.run(20, |_| true);
    assert!(tone_level(&heard[5 * FRAME..]) > -14.0);
}

proptest! {
    #![proptest_config(crate::repeatable(60))]

    #[test]
    fn any_datagrams_leave_the_call_going_on(
        datagrams in proptest::collection::vec(
            (0x80u8..0xa0, prop_oneof![Just(0u8), Just(111u8), any::<u8>()],
             proptest::collection::vec(any::<u8>(), 0..60)), 1..40),
        opus: bool,
    ) {
        let mut call = Call::new(if opus { Codec::Opus } else { Codec::Pcmu });
        call.run(5, |_| true);
        for (first, second, rest) in datagrams {
            let bytes = [vec![first, second], rest].concat();
            call.bob.handle_packet(call.now, address(1000), &bytes);
            call.run(1, |_| true);
        }
        // The garbage may have come from the right address as another stream; ours goes on.
        let heard = call.run(60, |_| true);
        prop_assert!(tone_level(&heard[40 * FRAME..]) > -20.0);
    }

    #[test]
    fn every_packet_received_is_accounted_for(
        script in proptest::collection::vec((0u64..120, any::<bool>(), 0u8..10), 50..120)
    ) {
        let mut call = Call::new(Codec::Pcmu);
        let mut wire: Vec<(u64, Vec<u8>)> = Vec::new();
        for (n, (jitter, double, lost)) in script.iter().enumerate() {
            let Some(packet) = call.speak() else { continue };
            let at = 20 * n as u64 + jitter;
            let copies = usize::from(*lost > 0) * (1 + usize::from(*double));
            wire.extend((0..copies).map(|i| (at + i as u64, packet.clone())));
        }
        wire.sort();
        let start = call.now;
        let mut wire = wire.into_iter().peekable();
        for at in (0..4_000).step_by(20) {
            while let Some((when, packet)) = wire.next_if(|(when, _)| *when <= at) {
                call.bob.handle_packet(start + Duration::from_millis(when), address(1000), &packet);
            }
            call.bob.play_frame(start + Duration::from_millis(at), &mut [0.0; FRAME]);
        }
        let c = call.bob.counters();
        prop_assert_eq!(c.received, c.played + c.late + c.duplicate + c.discarded);
    }
}
