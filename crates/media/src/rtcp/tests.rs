use proptest::prelude::*;

use super::packet::{self, Packet, Writer};
use super::*;

fn now() -> Instant {
    rollcall_testkit::Clock::new().now()
}

fn ms(milliseconds: u64) -> Duration {
    Duration::from_millis(milliseconds)
}

const QUIET: Arrived = Arrived {
    jitter: 0,
    metrics: None,
};

fn sent(packets: u32) -> SenderInfo {
    SenderInfo {
        packets,
        octets: 160 * packets,
        ..SenderInfo::default()
    }
}

/// Two sides, a wire of `delay` each way.
struct Pair {
    now: Instant,
    delay: Duration,
    ann: (Control, Reception),
    bob: (Control, Reception),
}

impl Pair {
    fn new(delay: Duration) -> Pair {
        let side = |ssrc| (Control::new(ssrc, u64::from(ssrc)), Reception::default());
        Pair {
            now: now(),
            delay,
            ann: side(1),
            bob: side(2),
        }
    }

    /// Each hears 100 packets of the other, but for those that `lost` names.
    fn talk(&mut self, from: u16, lost: impl Fn(u16) -> bool) {
        for number in (from..from + 100).filter(|number| !lost(*number)) {
            self.ann.1.note(2, number);
            self.bob.1.note(1, number);
        }
        self.now += ms(2_000);
    }

    fn report(&mut self, packets: u32) {
        let mut bytes = Vec::new();
        let (control, reception) = &mut self.ann;
        control.report(self.now, sent(packets), reception, QUIET, &mut bytes);
        self.now += self.delay;
        self.bob.0.handle(self.now, &bytes).unwrap();
        // The other side takes its time.
        self.now += ms(700);
        let (control, reception) = &mut self.bob;
        control.report(self.now, sent(packets), reception, QUIET, &mut bytes);
        self.now += self.delay;
        assert_eq!(self.ann.0.handle(self.now, &bytes), Ok(true));
    }
}

#[test]
fn the_round_trip_leaves_out_the_time_that_the_other_side_took() {
    let mut pair = Pair::new(ms(45));
    pair.talk(0, |_| false);
    pair.report(100);
    let trip = pair.ann.0.remote().round_trip.unwrap();
    assert!(trip.abs_diff(ms(90)) < ms(1), "{trip:?}");
    assert_eq!(pair.ann.0.remote().loss, Some(0.0));
}

#[test]
fn each_report_tells_the_loss_since_the_one_before() {
    let mut pair = Pair::new(ms(10));
    pair.talk(0, |number| number % 4 == 1);
    pair.report(100);
    assert_eq!(pair.ann.0.remote().loss, Some(64.0 / 256.0));
    pair.talk(100, |_| false);
    pair.report(200);
    assert_eq!(pair.ann.0.remote().loss, Some(0.0));
    assert_eq!(pair.ann.0.remote().lost, 25);
}

#[test]
fn reports_come_at_random_within_their_bounds() {
    let mut control = Control::new(1, 9);
    let mut reception = Reception::default();
    let (start, mut bytes) = (now(), Vec::new());
    let mut last = start;
    let mut gaps = Vec::new();
    for step in 0..200_000u64 {
        let at = start + ms(20 * step);
        if control.is_due(at) {
            control.report(at, sent(step as u32), &mut reception, QUIET, &mut bytes);
            gaps.push((at - last).as_secs_f64());
            last = at;
        }
    }
    assert!((1.0..3.2).contains(&gaps[0]), "{}", gaps[0]);
    assert!(gaps[1..].iter().all(|gap| (2.0..6.3).contains(gap)));
    let mean = gaps.iter().sum::<f64>() / gaps.len() as f64;
    assert!((mean - 5.0 / COMPENSATION).abs() < 0.2, "{mean}");
    assert!(gaps.windows(2).any(|two| (two[0] - two[1]).abs() > 1.0));
}

#[test]
fn a_side_that_sends_nothing_writes_receiver_reports() {
    let mut control = Control::new(1, 9);
    let mut reception = Reception::default();
    reception.note(7, 1);
    let mut bytes = Vec::new();
    for (packets, is_sender) in [(0, false), (5, true), (5, false)] {
        control.report(now(), sent(packets), &mut reception, QUIET, &mut bytes);
        let first = packet::read(&bytes).unwrap().next().unwrap();
        assert_eq!(matches!(first, Packet::Sender(..)), is_sender, "{packets}");
    }
}

#[test]
fn what_is_written_is_read_again() {
    let info = SenderInfo {
        ntp: 0x0102_0304_0506_0708,
        rtp_timestamp: 9,
        packets: 10,
        octets: 11,
    };
    let block = ReportBlock {
        ssrc: 2,
        fraction_lost: 64,
        cumulative_lost: -5,
        highest_sequence: 0x0001_ffff,
        jitter: 12,
        last_report: 13,
        delay: 14,
    };
    let metrics = VoipMetrics {
        ssrc: 2,
        loss_rate: 1,
        discard_rate: 2,
        burst_density: 3,
        gap_density: 4,
        burst_duration: 500,
        gap_duration: 600,
        round_trip: 700,
        end_system_delay: 80,
        r_factor: 90,
        mos_lq: 41,
        mos_cq: 42,
        playout_delay: 60,
    };
    let mut bytes = Vec::new();
    let mut writer = Writer::new(&mut bytes);
    writer
        .report(1, Some(info), Some(block))
        .description(1, "name")
        .voip_metrics(1, &metrics)
        .bye(1);
    assert!(is_rtcp(&bytes));
    let packets: Vec<Packet<'_>> = packet::read(&bytes).unwrap().collect();
    assert_eq!(packets.len(), 4);
    let Packet::Sender(1, read, blocks) = packets[0] else {
        panic!("{packets:?}");
    };
    assert_eq!((read, blocks.collect::<Vec<_>>()), (info, vec![block]));
    assert_eq!(packets[1], Packet::Other);
    assert_eq!(packets[2], Packet::VoipMetrics(1, metrics));
    assert_eq!(packets[3], Packet::Bye(1));
}

#[test]
fn what_is_no_compound_is_refused_whole() {
    let mut good = Vec::new();
    Writer::new(&mut good).report(1, None, None).bye(1);
    assert!(packet::read(&good).is_ok());
    let with = |at: usize, byte: u8| {
        let mut bad = good.clone();
        bad[at] = byte;
        bad
    };
    for (what, bad) in [
        ("nothing", Vec::new()),
        ("a header alone", good[..3].to_vec()),
        ("broken off", good[..good.len() - 1].to_vec()),
        ("a BYE first", good[8..].to_vec()),
        ("another version", with(0, 0x40)),
        ("another version behind", with(8, 0x41)),
        ("a length beyond the end", with(11, 9)),
        ("padding before the end", with(0, 0xa0)),
        ("padding beyond the packet", with(8, 0xa1)),
    ] {
        // The last byte of the BYE counts as its padding: 1 is not within reach of it.
        let mut bad = bad;
        if what == "padding beyond the packet" {
            let last = bad.len() - 1;
            bad[last] = 200;
        }
        assert!(packet::read(&bad).is_err(), "{what}");
    }
}

#[test]
fn reports_of_other_streams_and_of_our_own_mirror_are_not_believed() {
    let mut control = Control::new(1, 9);
    let mut bytes = Vec::new();
    let about = |ssrc| ReportBlock {
        ssrc,
        fraction_lost: 255,
        ..ReportBlock::default()
    };
    Writer::new(&mut bytes).report(2, None, Some(about(77)));
    assert_eq!(control.handle(now(), &bytes), Ok(false));
    Writer::new(&mut bytes).report(1, None, Some(about(1)));
    assert_eq!(control.handle(now(), &bytes), Ok(false));
    assert_eq!(*control.remote(), Remote::default());
    Writer::new(&mut bytes).report(2, None, Some(about(1)));
    assert_eq!(control.handle(now(), &bytes), Ok(true));
    assert!(control.remote().loss.unwrap() > 0.99);
}

#[test]
fn a_report_that_lies_about_time_gives_no_round_trip() {
    let mut control = Control::new(1, 9);
    let mut bytes = Vec::new();
    let lie = ReportBlock {
        ssrc: 1,
        last_report: 0x7fff_0000,
        delay: 3,
        ..ReportBlock::default()
    };
    Writer::new(&mut bytes).report(2, None, Some(lie));
    control.handle(now(), &bytes).unwrap();
    assert_eq!(control.remote().round_trip, None);
}

/// The round trip over a path of `way` each way, of a report that waited there and says so as `told`.
fn trip(way: Duration, waited: Duration, told: u32) -> Option<Duration> {
    let (start, mut bytes) = (now(), Vec::new());
    let mut control = Control::new(1, 9);
    control.report(start, sent(5), &mut Reception::default(), QUIET, &mut bytes);
    let Some(Packet::Sender(_, info, _)) = packet::read(&bytes).unwrap().next() else {
        panic!("a sender reports as one");
    };
    let about_us = ReportBlock {
        ssrc: 1,
        last_report: (info.ntp >> 16) as u32,
        delay: told,
        ..ReportBlock::default()
    };
    Writer::new(&mut bytes).report(2, None, Some(about_us));
    control.handle(start + 2 * way + waited, &bytes).unwrap();
    control.remote().round_trip
}

#[test]
fn a_wait_that_was_counted_by_a_clock_that_ran_ahead_makes_the_trip_a_short_one() {
    let told = |time| ticks(time) as u32;
    let (way, waited) = (Duration::from_micros(100), ms(4_000));
    // In whole milliseconds, and by a clock that is slewed by up to five in a thousand.
    for ahead in [0, 1, 2, 10, 19] {
        let trip = trip(way, waited, told(waited + ms(ahead)));
        assert!(trip.is_some_and(|trip| trip < ms(1)), "{ahead}: {trip:?}");
    }
}

#[test]
fn a_wait_over_which_the_other_clock_was_set_gives_no_round_trip() {
    let told = |time| ticks(time) as u32;
    let (way, waited) = (ms(20), ms(4_000));
    let forward = trip(way, waited, told(waited + ms(500)));
    assert_eq!(forward, None);
    let back = 0u32.wrapping_sub(told(ms(3_000)));
    assert_eq!(
        trip(way, waited, back),
        None,
        "it seems to end before it began"
    );
}

fn arrive(numbers: impl IntoIterator<Item = u16>) -> Reception {
    let mut reception = Reception::default();
    for number in numbers {
        reception.note(7, number);
    }
    reception
}

#[test]
fn losses_are_counted_across_the_wrap_reordering_and_doubles() {
    let wrap = (65_500..=65_535).chain(0..100);
    assert_eq!(arrive(wrap).totals().lost(), 0);
    let swapped = (0..100).map(|n: u16| n ^ 1);
    let totals = arrive(swapped).totals();
    assert_eq!((totals.expected, totals.lost()), (100, 0));
    let holes = (0..1_000).filter(|n| n % 10 != 5);
    assert_eq!(arrive(holes).totals().lost(), 100);
    let doubles = (0..100).flat_map(|n| [n, n]);
    assert_eq!(arrive(doubles).totals().lost(), 0);
}

#[test]
fn another_stream_goes_on_counting_in_the_same_place() {
    let mut reception = arrive((0..100).filter(|n| n % 10 != 5));
    for number in 40_000..40_100 {
        reception.note(8, number);
    }
    let totals = reception.totals();
    assert_eq!((totals.expected, totals.lost()), (200, 10));
    assert_eq!(reception.ssrc(), Some(8));
}

#[test]
fn losses_in_a_row_are_bursts_and_single_ones_are_not() {
    let single = arrive((0..10_000).filter(|n| n % 50 != 25));
    assert!((single.bursts().ratio() - 1.0).abs() < 0.05);
    assert_eq!(single.bursts().densities().0, 0.0);
    assert!((single.bursts().densities().1 - 0.02).abs() < 0.005);

    let rows = arrive((0..10_000).filter(|n| n % 200 >= 10));
    assert!(rows.bursts().ratio() > 5.0, "{}", rows.bursts().ratio());
    let (burst, gap) = (rows.bursts().burst_length(), rows.bursts().gap_length());
    assert!(
        burst.is_some_and(|burst| (9.0..12.0).contains(&burst)),
        "{burst:?}"
    );
    assert!((180.0..200.0).contains(&gap), "{gap}");
    assert!(rows.bursts().densities().0 > 0.9);
}

#[test]
fn a_late_packet_is_no_loss_while_it_may_still_come() {
    let order = (0..50).chain(51..90).chain([50]).chain(90..300);
    let reception = arrive(order);
    assert_eq!(reception.totals().lost(), 0);
    assert_eq!(reception.bursts().ratio(), 1.0);
}

proptest! {
    #![proptest_config(crate::repeatable(2_000))]

    #[test]
    fn any_bytes_are_taken_without_a_panic(
        kinds in proptest::collection::vec((0x80u8..0xc0, 199u8..209, 0u8..12, proptest::collection::vec(any::<u8>(), 0..50)), 0..6)
    ) {
        let mut bytes = Vec::new();
        for (first, kind, words, body) in kinds {
            bytes.extend([first, kind, 0, words]);
            bytes.extend(body);
        }
        let mut control = Control::new(1, 1);
        let _ = control.handle(now(), &bytes);
    }

    #[test]
    fn whatever_a_report_says_what_we_tell_stays_within_bounds(words in any::<[u32; 6]>(), lead in 0u64..100_000) {
        let [sender, highest, jitter, last_report, delay, lost] = words;
        let block = ReportBlock {
            ssrc: 1, fraction_lost: lost as u8, cumulative_lost: lost as i32, highest_sequence: highest, jitter,
            last_report, delay,
        };
        let (mut control, mut bytes) = (Control::new(1, 1), Vec::new());
        let start = now();
        control.is_due(start);
        Writer::new(&mut bytes).report(sender, None, Some(block));
        control.handle(start + ms(lead), &bytes).unwrap();
        let remote = control.remote();
        prop_assert!(remote.loss.is_none_or(|loss| (0.0..1.0).contains(&loss)));
        prop_assert!(remote.round_trip.is_none_or(|trip| trip <= MAX_ROUND_TRIP));
    }

    #[test]
    fn any_numbers_are_counted_without_a_panic(numbers in proptest::collection::vec((0u32..3, any::<u16>()), 0..300)) {
        let mut reception = Reception::default();
        for (ssrc, number) in numbers {
            reception.note(ssrc, number);
        }
        let (burst, gap) = reception.bursts().densities();
        prop_assert!((0.0..=1.0).contains(&burst) && (0.0..=1.0).contains(&gap));
        prop_assert!(reception.bursts().ratio() >= 1.0);
    }
}
