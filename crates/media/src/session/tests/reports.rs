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
