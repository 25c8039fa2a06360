//! A stream that changes while it goes on: its codec, its numbers, its pauses.

use super::*;
use crate::speech::{room, sentence};

/// A call whose answer listed further formats: bob knows them, and ann may use any.
fn with_alternatives(codec: Codec, alternatives: &[(u8, Codec)]) -> Call {
    let mut call = Call::new(codec);
    let agreed = Negotiated {
        alternatives: alternatives.to_vec(),
        ..negotiated(codec, 1000)
    };
    call.bob.update(agreed).unwrap();
    call
}

#[test]
fn a_codec_of_the_same_clock_may_come_without_a_word_and_leaves_no_gap() {
    let mut call = with_alternatives(Codec::Pcmu, &[(8, Codec::Pcma), (9, Codec::G722)]);
    call.run(20, |_| true);
    for codec in [Codec::Pcma, Codec::G722, Codec::Pcmu] {
        call.ann.update(negotiated(codec, 2000)).unwrap();
        let heard = call.run(50, |_| true);
        for (n, frame) in heard.chunks(FRAME).enumerate() {
            let level = measure::level_dbfs(frame).unwrap_or(-120.0);
            assert!(
                (level + 12.0).abs() < 6.0,
                "{codec}: {level} dB in frame {n}"
            );
        }
    }
    let counters = call.bob.counters();
    assert_eq!((counters.unknown_payload, counters.restarts), (0, 0));
    assert_eq!((counters.lost, counters.starved), (0, 0));
    assert_eq!(counters.played, 170);
    assert_eq!(
        call.bob.quality(call.now).codecs,
        [Codec::Pcmu, Codec::Pcma, Codec::G722, Codec::Pcmu]
    );
}

#[test]
fn a_codec_of_another_clock_may_come_without_a_word() {
    let mut call = with_alternatives(Codec::Opus, &[(0, Codec::Pcmu)]);
    call.run(50, |_| true);
    for codec in [Codec::Pcmu, Codec::Opus] {
        let straggler = call.speak().unwrap();
        call.ann.update(negotiated(codec, 2000)).unwrap();
        let heard = call.run(50, |_| true);
        assert!(
            (tone_level(&heard[10 * FRAME..]) + 12.0).abs() < 1.0,
            "{codec}"
        );
        assert_eq!(call.bob.quality(call.now).codecs.last(), Some(&codec));
        // It comes now, behind the change, and undoes nothing.
        call.bob.handle_packet(call.now, address(1000), &straggler);
        let heard = call.run(20, |_| true);
        assert!((tone_level(&heard) + 12.0).abs() < 1.0, "{codec}");
    }
    let counters = call.bob.counters();
    assert_eq!((counters.unknown_payload, counters.restarts), (0, 0));
    assert_eq!(counters.late, 2);
    assert_eq!(
        call.bob.quality(call.now).codecs,
        [Codec::Opus, Codec::Pcmu, Codec::Opus]
    );
}

#[test]
fn what_nobody_agreed_on_is_not_decoded() {
    let mut call = with_alternatives(Codec::Pcmu, &[(9, Codec::G722)]);
    call.ann.update(negotiated(Codec::Pcma, 2000)).unwrap();
    let heard = call.run(20, |_| true);
    assert_eq!(measure::level_dbfs(&heard), None);
    assert_eq!(call.bob.counters().unknown_payload, 20);
}

#[test]
fn a_reinvite_may_give_the_same_codec_another_number() {
    let mut call = Call::new(Codec::Opus);
    call.run(50, |_| true);
    let renumbered = |remote| Negotiated::plain(Codec::Opus, 96, address(remote));
    call.bob.update(renumbered(1000)).unwrap();
    call.ann.update(renumbered(2000)).unwrap();
    let heard = call.run(50, |_| true);
    for (n, frame) in heard.chunks(FRAME).enumerate() {
        assert!((tone_level(frame) + 12.0).abs() < 2.0, "frame {n}");
    }
    let counters = call.bob.counters();
    assert_eq!((counters.unknown_payload, counters.lost), (0, 0));
    assert_eq!((counters.starved, counters.played), (0, 100));
    assert_eq!(call.bob.quality(call.now).codecs, [Codec::Opus]);
}

/// What bob hears of each frame that ann says, in dB. Packets for which `wire` is false are lost.
fn levels(
    call: &mut Call,
    frames: std::ops::Range<usize>,
    said: fn(usize) -> Vec<f32>,
    wire: bool,
) -> Vec<f64> {
    let mut levels = Vec::new();
    for frame in frames {
        let packet = call.ann.send_frame(&said(frame));
        if let Some(packet) = packet.filter(|_| wire) {
            let bytes = packet.bytes.to_vec();
            call.bob.handle_packet(call.now, address(1000), &bytes);
        }
        let mut heard = [0.0; FRAME];
        call.bob.play_frame(call.now, &mut heard);
        levels.push(measure::level_dbfs(&heard).unwrap_or(-120.0));
        call.now += Duration::from_millis(20);
    }
    levels
}

#[test]
fn a_pause_of_opus_is_the_room_and_neither_lost_nor_starved() {
    let mut call = Call::new(Codec::Opus);
    let mut agreed = negotiated(Codec::Opus, 2000);
    agreed.opus.dtx = true;
    call.ann.update(agreed).unwrap();
    levels(&mut call, 0..50, sentence, true);
    let before = call.ann.counters().sent;
    let pause = levels(&mut call, 50..250, room, true);
    let sent = call.ann.counters().sent - before;
    assert!(sent < 60, "{sent} packets: there was no pause");
    levels(&mut call, 250..300, sentence, true);
    let counters = call.bob.counters();
    assert_eq!((counters.lost, counters.starved), (0, 0), "{counters:?}");
    let said = measure::level_dbfs(&room(1)).unwrap();
    for (n, level) in pause.iter().enumerate().skip(70) {
        let range = said - 15.0..said + 6.0;
        assert!(range.contains(level), "{level} of {said} dB in frame {n}");
    }
}

#[test]
fn a_voice_of_opus_that_breaks_off_is_starved() {
    let mut call = Call::new(Codec::Opus);
    // In the middle of a syllable.
    levels(&mut call, 0..48, sentence, true);
    levels(&mut call, 48..68, sentence, false);
    let starved = call.bob.counters().starved;
    assert!(starved >= 4, "{starved}");
}
