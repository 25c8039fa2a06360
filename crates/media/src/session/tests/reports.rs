//! What the reports between two sessions carry and change.

use super::*;
use crate::rtcp::{Control, VoipMetrics};

/// A call whose sides ask for each other's VoIP metrics.
fn with_metrics() -> Call {
    let mut call = Call::new(Codec::Pcmu);
    for side in [&mut call.ann, &mut call.bob] {
        let mut agreed = side.negotiated().clone();
        agreed.rtcp.voip_metrics = true;
        side.update(agreed).unwrap();
    }
    call
}

/// What bob's next report tells ann of her stream, read from the wire.
fn told_to_ann(call: &mut Call) -> VoipMetrics {
    let packet = call.speak().unwrap();
    let ann = crate::rtp::read(&packet).unwrap().ssrc;
    let mut reader = Control::new(ann, 1);
    let later = call.now + Duration::from_secs(10);
    let report = call.bob.poll_control(later).unwrap().bytes;
    let mut metrics = None;
    // The report says whose stream it is about: bob's view of ann's.
    if reader.handle(later, report) == Ok(true) {
        metrics = reader.remote().metrics;
    }
    metrics.expect("VoIP metrics about ann's stream")
}

#[test]
fn an_extended_report_tells_of_the_bursts_and_the_score_there() {
    let mut call = with_metrics();
    converse(&mut call, 3_000, |n| n % 200 < 10);
    let told = told_to_ann(&mut call);
    // Shares in 256ths, mean lengths in milliseconds (RFC 3611 section 4.7.2): ten packets in two hundred.
    assert!(told.burst_density > 230, "{told:?}");
    assert!(told.gap_density < 3, "{told:?}");
    assert!((180..=240).contains(&told.burst_duration), "{told:?}");
    assert!((3_600..=4_000).contains(&told.gap_duration), "{told:?}");
    assert!((11..=14).contains(&told.loss_rate), "{told:?}");
    let (ann, bob) = (call.ann.quality(call.now), call.bob.quality(call.now));
    let (said, own) = (ann.sent.mos.unwrap(), bob.mos.unwrap());
    assert!((own.least - 0.1..4.5).contains(&said), "{said} of {own:?}");
    assert_eq!(told.mos_cq, (10.0 * own.last).round() as u8);
    assert!(bob.received.burst_density > 0.9);
}

#[test]
fn an_extended_report_of_a_clean_call_has_one_gap_and_no_burst() {
    let mut call = with_metrics();
    converse(&mut call, 1_500, |_| false);
    let told = told_to_ann(&mut call);
    assert_eq!((told.burst_density, told.burst_duration), (0, 0));
    // All but the last second, where a packet may still be on its way.
    assert!((28_000..=30_000).contains(&told.gap_duration), "{told:?}");
    assert_eq!((told.gap_density, told.loss_rate), (0, 0));
    let mos = call.ann.quality(call.now).sent.mos;
    assert!(mos.is_some_and(|mos| mos > 4.1), "{mos:?}");
}

/// Ann says a second of something like a voice, every packet of it judged by `lost`; bob only reports. Payload bytes sent,
/// and packets that carry redundancy.
fn second_of_speech(call: &mut Call, frame: &mut usize, lost: fn(usize) -> bool) -> (u64, usize) {
    let opus = Codec::Opus.decoder().unwrap();
    let before = call.ann.counters().sent_octets;
    let mut redundant = 0;
    for _ in 0..50 {
        let sent = call.ann.send_frame(&vowel(*frame));
        let packet = sent.unwrap().bytes.to_vec();
        let payload = crate::rtp::read(&packet).unwrap().payload;
        redundant += usize::from(opus.redundancy(payload) > 0);
        if !lost(*frame) {
            call.bob.handle_packet(call.now, address(1000), &packet);
        }
        call.bob.play_frame(call.now, &mut [0.0; FRAME]);
        let report = call.bob.poll_control(call.now);
        if let Some(report) = report.map(|sent| sent.bytes.to_vec()) {
            call.ann.handle_packet(call.now, address(2000), &report);
        }
        *frame += 1;
        call.now += Duration::from_millis(20);
    }
    (call.ann.counters().sent_octets - before, redundant)
}

#[test]
fn opus_spends_redundancy_as_long_as_the_other_side_reports_loss() {
    let mut call = Call::new(Codec::Opus);
    let mut frame = 0;
    let heard = |call: &Call| call.ann.counters().reports;
    let a_fifth = |frame: usize| frame % 5 == 2;
    // Nobody has told of a loss yet: nothing is spent, though packets are lost.
    while heard(&call) == 0 {
        let (_, redundant) = second_of_speech(&mut call, &mut frame, a_fifth);
        assert!(redundant == 0 || heard(&call) > 0);
        assert!(frame < 600, "no report came");
    }
    assert!(
        call.bob.counters().recovered <= 2,
        "of the end of that second"
    );
    let mut octets = 0;
    for _ in 0..6 {
        let (sent, redundant) = second_of_speech(&mut call, &mut frame, a_fifth);
        octets += sent;
        assert!(redundant > 25, "{redundant} packets of 50");
    }
    let bitrate = octets * 8 / 6;
    assert!(bitrate <= 40_000, "{bitrate} bit/s");
    let counters = call.bob.counters();
    assert!(counters.recovered > 30, "{counters:?}");
    // It is believed for some reports more, and then no longer.
    let until = heard(&call) + 8;
    while heard(&call) < until {
        second_of_speech(&mut call, &mut frame, |_| false);
    }
    let (octets, redundant) = second_of_speech(&mut call, &mut frame, |_| false);
    assert_eq!(redundant, 0);
    assert!(octets * 8 <= 34_000, "{} bit/s", octets * 8);
}

#[test]
fn the_jitter_of_the_record_is_that_of_the_wire_at_both_ends() {
    let mut call = Call::new(Codec::Pcmu);
    let mut random = StdRng::seed_from_u64(3550);
    let start = call.now;
    let mut wire: Vec<(Duration, Duration, Vec<u8>)> = Vec::new();
    for n in 0..2_000 {
        let sent = Duration::from_millis(20 * n);
        let under_way = Duration::from_micros(random.random_range(20_000..40_000));
        wire.push((sent + under_way, sent, call.speak().unwrap()));
    }
    wire.sort();
    // RFC 3550 appendix A.8, in seconds.
    let (mut expected, mut before) = (0.0f64, None);
    for (came, sent, packet) in &wire {
        let transit = came.as_secs_f64() - sent.as_secs_f64();
        if let Some(before) = before.replace(transit) {
            let difference: f64 = transit - before;
            expected += (difference.abs() - expected) / 16.0;
        }
        call.bob.handle_packet(start + *came, address(1000), packet);
        call.bob.play_frame(start + *came, &mut [0.0; FRAME]);
    }
    assert!((0.003..0.011).contains(&expected), "{expected}");
    let end = start + Duration::from_secs(41);
    let report = call.bob.goodbye(end).unwrap().bytes.to_vec();
    call.ann.handle_packet(end, address(2000), &report);
    let heard = call.bob.quality(end).received.jitter.unwrap().last;
    assert!((heard.as_secs_f64() - expected).abs() < 1e-5, "{heard:?}");
    // On the wire it is a number of ticks, of 125 microseconds each.
    let told = call.ann.quality(end).sent.jitter.unwrap();
    assert!(
        heard.abs_diff(told) <= Duration::from_micros(125),
        "{told:?}"
    );
}

#[test]
fn the_record_names_the_codecs_of_a_call_that_changed_its_own() {
    let mut call = Call::new(Codec::Pcmu);
    converse(&mut call, 20, |_| false);
    call.ann.update(negotiated(Codec::Opus, 2000)).unwrap();
    call.bob.update(negotiated(Codec::Opus, 1000)).unwrap();
    converse(&mut call, 20, |_| false);
    for side in [&call.ann, &call.bob] {
        let codecs = side.quality(call.now).codecs;
        assert_eq!(codecs, [Codec::Pcmu, Codec::Opus]);
    }
}

#[test]
fn the_record_counts_the_other_sides_change_of_network() {
    let mut call = Call::new(Codec::Pcmu);
    call.run(50, |_| true);
    let from = |call: &mut Call, port: u16, frames: u32| {
        for _ in 0..frames {
            let packet = call.speak().unwrap();
            call.bob.handle_packet(call.now, address(port), &packet);
            call.now += Duration::from_millis(20);
        }
        call.bob.quality(call.now).source_changes
    };
    // While the first address was heard of late, another is a stranger's.
    assert_eq!(from(&mut call, 1001, 50), 0);
    call.run(10, |_| true);
    call.run(100, |_| false);
    assert_eq!(from(&mut call, 1001, 50), 1);
    assert_eq!(call.bob.destination(), address(1001));
    assert_eq!(call.bob.quality(call.now).restarts, 0);
}
