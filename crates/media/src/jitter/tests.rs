use std::time::{Duration, Instant};

use proptest::prelude::*;
use rand::rngs::StdRng;
use rand::{Rng, SeedableRng};

use super::*;

const TICKS: u32 = 160;
/// What the bench takes away or puts in when it is asked to: 5 ms.
const STRETCH: u32 = 40;

fn ms(ms: u64) -> Duration {
    Duration::from_millis(ms)
}

/// A buffer on virtual time at 8 kHz, fed with 20 ms packets and emptied every 20 ms.
struct Bench {
    buffer: AdaptiveJitterBuffer,
    start: Instant,
    /// Decoded ticks that wait to be played.
    ahead: u32,
    /// Redundancy of the packets it makes.
    redundancy: u32,
    /// Packets that came before number 0, and how many of them were lost.
    before: u64,
    lost_before: u64,
    /// By how many millionths the sender's clock is slow.
    slow: i64,
    /// Of each packet played: its number, and how many ms after it was sent its sound began.
    played: Vec<(u64, u64)>,
}

impl Bench {
    fn new() -> Bench {
        Bench {
            buffer: AdaptiveJitterBuffer::new(8_000),
            start: rollcall_testkit::Clock::new().now(),
            ahead: 0,
            redundancy: 0,
            before: 0,
            lost_before: 0,
            slow: 0,
            played: Vec::new(),
        }
    }

    /// One that has learned to play a packet 65 ms after it was sent, and does so at 5, 25, ... ms.
    fn behind_jitter() -> Bench {
        let mut bench = Bench::new();
        let late = |n: u64| 20 * n + 30 * (n % 3);
        let mut script: Vec<u64> = (0..100).collect();
        script.sort_by_key(|n| late(*n));
        let packets = script.into_iter().map(|n| bench.packet(n, late(n)));
        let packets = packets.collect();
        bench.listen(packets, 5, 103);
        assert_eq!(bench.ahead, 0);
        assert_eq!(bench.played.last(), Some(&(99, 65)));
        bench.before = 100;
        bench.lost_before = bench.buffer.losses().lost;
        bench.start += ms(2_000);
        bench.played.clear();
        bench
    }

    /// Lost since number 0.
    fn lost(&self) -> u64 {
        self.buffer.losses().lost - self.lost_before
    }

    /// When a packet was sent, in whole milliseconds.
    fn sent(&self, number: u64) -> u64 {
        let nominal = 20 * number;
        nominal.saturating_add_signed(nominal as i64 * self.slow / 1_000_000)
    }

    fn packet(&self, number: u64, at_ms: u64) -> Packet {
        Packet {
            sequence: 70_000 + self.before + number,
            timestamp: (1 << 32) + (self.before + number) * u64::from(TICKS),
            duration: TICKS,
            redundancy: self.redundancy,
            codec: Codec::Pcmu,
            arrived: self.start + ms(at_ms),
            payload: vec![number as u8],
        }
    }

    fn arrive(&mut self, number: u64, at_ms: u64) -> Inserted {
        let packet = self.packet(number, at_ms);
        self.buffer.insert(packet)
    }

    /// Plays 20 ms. A letter for each thing that takes: a digit for a frame (upper case: made
    /// longer, after a quote: shorter), `!` lost, `+` lost with redundancy behind it, `.`
    /// starved, `-` silence.
    fn pull(&mut self, at_ms: u64) -> String {
        let mut heard = String::new();
        while self.ahead < TICKS {
            let waits = u64::from(self.ahead) / 8;
            let (letter, ticks) = match self.buffer.next(self.start + ms(at_ms), self.ahead) {
                Next::Frame { packet, pace, .. } => {
                    let number = packet.sequence - 70_000 - self.before;
                    let sent = self.sent(number);
                    self.played
                        .push((number, (at_ms + waits).saturating_sub(sent)));
                    let digit = char::from_digit((number % 36) as u32, 36).unwrap_or('?');
                    match pace {
                        Pace::Even => (digit.to_string(), TICKS),
                        Pace::Shorter { most, .. } => {
                            (format!("'{digit}"), TICKS - STRETCH.min(most))
                        }
                        Pace::Longer { .. } => (digit.to_uppercase().to_string(), TICKS + STRETCH),
                    }
                }
                Next::Lost {
                    duration,
                    following,
                } => {
                    let letter = if following.is_some() { "+" } else { "!" };
                    (letter.to_owned(), duration)
                }
                Next::Starved { duration } => (".".to_owned(), duration),
                Next::Silence => ("-".to_owned(), TICKS),
            };
            heard.push_str(&letter);
            self.ahead += ticks;
        }
        self.ahead -= TICKS;
        heard
    }

    fn pulls(&mut self, from_ms: u64, count: u64) -> String {
        (0..count).map(|i| self.pull(from_ms + 20 * i)).collect()
    }

    /// Pulls every 20 ms from `from_ms` on, each after the packets that have come by then.
    fn listen(&mut self, packets: Vec<Packet>, from_ms: u64, pulls: usize) -> String {
        let mut packets = packets.into_iter().peekable();
        let mut heard = String::new();
        for at in (from_ms..).step_by(20).take(pulls) {
            let now = self.start + ms(at);
            while let Some(packet) = packets.next_if(|packet| packet.arrived <= now) {
                self.buffer.insert(packet);
            }
            heard.push_str(&self.pull(at));
        }
        heard
    }
}

#[test]
fn sound_is_played_at_the_first_chance_while_nothing_is_known_against_it() {
    let mut bench = Bench::new();
    let packets = (0..6).map(|n| bench.packet(n, 20 * n)).collect();
    assert_eq!(bench.listen(packets, 5, 6), "012345");
}

#[test]
fn packets_out_of_order_are_played_in_order() {
    let mut bench = Bench::behind_jitter();
    assert_eq!(bench.arrive(0, 0), Inserted::Kept);
    assert_eq!(bench.arrive(2, 40), Inserted::Kept);
    assert_eq!(bench.arrive(1, 41), Inserted::Reordered);
    assert_eq!(bench.pulls(65, 3), "012");
    assert_eq!(bench.lost(), 0);
}

#[test]
fn a_packet_is_played_once_however_often_it_comes() {
    let mut bench = Bench::behind_jitter();
    bench.arrive(0, 0);
    assert_eq!(bench.arrive(0, 1), Inserted::Duplicate);
    bench.arrive(1, 20);
    assert_eq!(bench.pulls(65, 2), "01");
    assert_eq!(bench.arrive(1, 90), Inserted::Duplicate);
}

#[test]
fn a_hole_is_lost_and_restored_where_the_packet_behind_it_can() {
    let mut bench = Bench::behind_jitter();
    bench.redundancy = TICKS;
    let packets = [0, 1, 3, 6, 7].map(|n| bench.packet(n, 20 * n)).to_vec();
    // One more than there are packets: redundancy has to be waited for from now on.
    assert_eq!(bench.listen(packets, 65, 9), "01+3!+67");
    assert_eq!(bench.lost(), 3);
}

#[test]
fn a_hole_within_the_reach_of_the_packet_behind_it_is_restored_in_one_piece() {
    let mut bench = Bench::behind_jitter();
    bench.redundancy = 3 * TICKS;
    let packets = [0, 3, 8].map(|n| bench.packet(n, 20 * n)).to_vec();
    // When number 4 is due, number 8 is not here yet, and 4 is beyond its reach.
    assert_eq!(bench.listen(packets, 65, 11), "0+3.!+8.");
    assert_eq!(bench.lost(), 6);
}

#[test]
fn a_packet_after_its_turn_is_late() {
    let mut bench = Bench::behind_jitter();
    let packets = [0, 2, 3].map(|n| bench.packet(n, 20 * n)).to_vec();
    assert_eq!(bench.listen(packets, 65, 2), "0!");
    assert_eq!(bench.arrive(1, 90), Inserted::Late);
    assert_eq!(bench.pulls(105, 2), "23");
    assert_eq!(bench.lost(), 1);
}

#[test]
fn a_packet_that_was_awaited_with_nothing_behind_it_is_played_after_all() {
    let mut bench = Bench::new();
    bench.arrive(0, 0);
    assert_eq!(bench.pulls(5, 2), "0.");
    assert_eq!(bench.arrive(1, 30), Inserted::Kept);
    bench.arrive(2, 40);
    let heard = bench.pulls(45, 2).to_lowercase().replace('\'', "");
    assert!(heard.starts_with("12"), "{heard}");
    assert_eq!(bench.buffer.losses(), Losses::default());
}

#[test]
fn concealment_stands_for_the_packet_that_another_came_in_stead_of() {
    let mut bench = Bench::new();
    let packets = [0, 1, 3, 4].map(|n| bench.packet(n, 20 * n)).to_vec();
    assert_eq!(bench.listen(packets, 5, 5), "01.34");
    assert_eq!(bench.buffer.losses().lost, 1);
}

#[test]
fn a_pause_of_the_sender_is_silence_and_no_loss() {
    let mut bench = Bench::new();
    bench.arrive(0, 0);
    assert_eq!(bench.pulls(0, 10), "0.....----");
    // Numbered on, but half a second later by its clock.
    let mut next = bench.packet(1, 500);
    next.timestamp += 24 * u64::from(TICKS);
    assert_eq!(bench.buffer.insert(next), Inserted::Kept);
    assert_eq!(bench.pulls(500, 2), "1.");
    assert_eq!(bench.buffer.losses().lost, 0);
}

#[test]
fn packets_without_sound_fill_their_number_and_no_time() {
    let mut bench = Bench::new();
    bench.arrive(0, 0);
    let mut event = bench.packet(1, 10);
    event.duration = 0;
    event.payload.clear();
    let mut next = bench.packet(2, 20);
    next.timestamp -= u64::from(TICKS);
    assert_eq!(bench.listen(vec![event, next], 5, 2), "02");
    assert_eq!(bench.buffer.losses().lost, 0);
}

#[test]
fn a_packet_without_sound_behind_a_lost_one_is_not_played() {
    let mut bench = Bench::behind_jitter();
    let mut event = bench.packet(2, 40);
    event.duration = 0;
    let packets = vec![bench.packet(0, 0), event, bench.packet(3, 60)];
    let heard = bench.listen(packets, 65, 4).to_lowercase();
    assert!(heard.starts_with("0!"), "{heard}");
    assert!(!heard.contains('2') && heard.contains('3'), "{heard}");
    assert_eq!(bench.lost(), 1);
}

#[test]
fn a_clock_that_jumps_goes_on_without_a_gap() {
    for jump in [-1_000_000i64, 1_000_000, i64::from(TICKS) * 60] {
        let mut bench = Bench::new();
        let packets = (0..10).map(|n| {
            let mut packet = bench.packet(n, 20 * n);
            if n >= 5 {
                packet.timestamp = packet.timestamp.saturating_add_signed(jump);
            }
            packet
        });
        let packets = packets.collect();
        let heard = bench.listen(packets, 5, 10).to_lowercase();
        let numbers: String = heard.chars().filter(char::is_ascii_digit).collect();
        assert_eq!(numbers, "0123456789", "{jump}: {heard}");
    }
}

#[test]
fn a_burst_after_a_stall_does_not_stay_as_delay() {
    let mut bench = Bench::new();
    for n in 0..20 {
        bench.arrive(n, 20 * n);
        bench.pull(20 * n + 5);
    }
    bench.pulls(405, 30);
    for n in 20..50 {
        bench.arrive(n, 1_000);
    }
    let heard = bench.pulls(1_005, 1);
    assert!(
        heard.ends_with("d"),
        "the newest, number 49, is played: {heard}"
    );
    assert_eq!(bench.buffer.losses().discarded, 29);
}

#[test]
fn a_short_stall_loses_nothing_and_its_delay_is_worked_off() {
    let mut bench = Bench::new();
    let at = |n: u64| {
        if (100..104).contains(&n) {
            2_080
        } else {
            20 * n
        }
    };
    let packets = (0..300).map(|n| bench.packet(n, at(n))).collect();
    bench.listen(packets, 5, 300);
    assert_eq!(bench.buffer.losses(), Losses::default());
    let delay = |number: u64| bench.played.iter().find(|(n, _)| *n == number).unwrap().1;
    assert!(delay(105) > 45, "{}", delay(105));
    assert!(delay(200) <= 25, "{}", delay(200));
}

#[test]
fn a_flood_without_sound_does_not_grow_the_buffer() {
    let mut bench = Bench::new();
    bench.arrive(0, 0);
    for n in 2..5_000 {
        let mut packet = bench.packet(n, 1);
        packet.duration = 0;
        bench.buffer.insert(packet);
    }
    let mut played = 0;
    while !matches!(bench.buffer.next(bench.start + ms(60), 0), Next::Silence) {
        played += 1;
        assert!(played < 200);
    }
}

#[test]
fn redundancy_is_waited_for_only_while_packets_are_lost() {
    let script = |from: u64, to: u64, lost: u64| (from..to).filter(move |n| n % 7 >= lost);
    let mut bench = Bench::new();
    bench.redundancy = TICKS;
    let numbers = script(0, 500, 1).chain(500..2_500);
    let packets = numbers.map(|n| bench.packet(n, 20 * n)).collect();
    let heard = bench.listen(packets, 5, 2_500);
    let delay = |from: u64, to: u64| {
        let within = bench.played.iter().filter(|(n, _)| (from..to).contains(n));
        let delays: Vec<u64> = within.map(|(_, delay)| *delay).collect();
        delays.iter().sum::<u64>() / delays.len() as u64
    };
    assert!((24..=45).contains(&delay(300, 500)), "{}", delay(300, 500));
    assert!(delay(2_300, 2_500) <= 12, "{}", delay(2_300, 2_500));
    let restored = heard[..500].matches('+').count();
    assert!(restored > 50, "{restored}: {}", &heard[..500]);
}

/// What a network does to a stream of 20 ms packets, in order of arrival.
fn arrivals(seed: u64, packets: u64, jitter_ms: u64, loss: f64, double: f64) -> Vec<(u64, u64)> {
    let mut random = StdRng::seed_from_u64(seed);
    let mut script = Vec::new();
    for number in 0..packets {
        if random.random_bool(loss) {
            continue;
        }
        for _ in 0..1 + usize::from(random.random_bool(double)) {
            script.push((20 * number + random.random_range(0..=jitter_ms), number));
        }
    }
    script.sort();
    script
}

#[derive(Default)]
struct Outcome {
    late: u64,
    duplicate: u64,
    /// Letters of [`Bench::pull`], those of a pull together.
    heard: Vec<String>,
}

/// Pulls every 20 ms from `phase_ms` on, with the arrivals in between.
fn run(bench: &mut Bench, script: &[(u64, u64)], phase_ms: u64, until_ms: u64) -> Outcome {
    let mut outcome = Outcome::default();
    let mut script = script.iter().peekable();
    for at in (phase_ms..until_ms).step_by(20) {
        while let Some((when, number)) = script.next_if(|(when, _)| *when <= at) {
            match bench.arrive(*number, *when) {
                Inserted::Late => outcome.late += 1,
                Inserted::Duplicate => outcome.duplicate += 1,
                Inserted::Kept | Inserted::Reordered => {}
            }
        }
        outcome.heard.push(bench.pull(at));
    }
    outcome
}

fn mean_delay(played: &[(u64, u64)]) -> f64 {
    played.iter().map(|(_, delay)| *delay as f64).sum::<f64>() / played.len() as f64
}

#[test]
fn an_hour_of_a_sender_whose_clock_is_off_grows_no_delay_and_runs_dry_hardly_ever() {
    for slow in [-200, 200] {
        let mut bench = Bench::new();
        bench.slow = slow;
        let mut random = StdRng::seed_from_u64(200);
        let packets = 3_600 * 50;
        let came = |bench: &Bench, n: u64, jitter: u64| (bench.sent(n) + jitter, n);
        let mut script: Vec<(u64, u64)> = (0..packets)
            .map(|n| came(&bench, n, random.random_range(0..=5)))
            .collect();
        script.sort();
        let last = script.last().unwrap().0;
        // The first ten seconds are for getting to know it.
        let (first, rest) = script.split_at(script.partition_point(|(at, _)| *at <= 10_000));
        run(&mut bench, first, 0, 10_001);
        let (known, before) = (bench.played.len(), bench.buffer.losses());
        let outcome = run(&mut bench, rest, 10_020, last);
        assert_eq!(outcome.late, 0, "{slow}");
        assert_eq!(bench.buffer.losses(), before, "{slow}");
        let longest = bench.played[known..].iter().map(|(_, delay)| *delay).max();
        assert!(
            longest.is_some_and(|delay| delay <= 45),
            "{slow}: {longest:?}"
        );
        // A slow clock falls behind by a packet in a hundred seconds, and one is awaited then.
        let without = |heard: &&String| heard.contains(['.', '-', '!']);
        let starved = outcome.heard.iter().filter(without).count();
        assert!(
            starved <= if slow > 0 { 40 } else { 0 },
            "{slow}: {starved}"
        );
    }
}

proptest! {
    #![proptest_config(crate::repeatable(40))]

    #[test]
    fn jitter_costs_its_own_delay_and_hardly_a_packet(seed: u64, phase in 0u64..20) {
        let mut bench = Bench::new();
        let script = arrivals(seed, 3_000, 40, 0.0, 0.0);
        let outcome = run(&mut bench, &script, phase, 60_000);
        // Once it knows the path: ten seconds in.
        let settled = &bench.played[bench.played.len() / 6..];
        let delay = mean_delay(settled);
        prop_assert!((40.0..=62.0).contains(&delay), "{delay}");
        let gaps = outcome.heard.iter().skip(500).filter(|heard| heard.contains(['!', '.', '-']));
        let gaps: Vec<_> = gaps.collect();
        prop_assert!(gaps.len() <= 2_500 / 200, "{} {:?}", gaps.len(), outcome.heard);
        prop_assert!(outcome.late <= 15, "{}", outcome.late);
    }

    #[test]
    fn a_quiet_network_costs_no_more_than_the_wait_for_the_sound_card(seed: u64, phase in 0u64..20) {
        let mut bench = Bench::new();
        let script = arrivals(seed, 3_000, 1, 0.0, 0.0);
        let outcome = run(&mut bench, &script, phase, 60_000);
        let settled = &bench.played[100..];
        prop_assert!(settled.iter().all(|(_, delay)| *delay <= 24), "{:?}", settled.iter().max());
        prop_assert_eq!(outcome.late, 0);
    }
}

proptest! {
    #![proptest_config(crate::repeatable(300))]

    #[test]
    fn whatever_comes_is_played_in_order_once_and_soon(
        seed: u64, jitter in 0u64..400, loss in 0.0f64..0.9, double in 0.0f64..0.5
    ) {
        let mut bench = Bench::new();
        let script = arrivals(seed, 200, jitter, loss, double);
        let outcome = run(&mut bench, &script, 0, 5_000);
        prop_assert!(bench.played.is_sorted_by(|a, b| a.0 < b.0));
        // What it waits for, 100 ms of headroom, a pull, and what lies decoded before it.
        let longest = bench.played.iter().map(|(_, delay)| *delay).max().unwrap_or_default();
        prop_assert!(longest <= jitter + 180, "{longest}");
        let discarded = bench.buffer.losses().discarded;
        let kept = script.len() as u64 - outcome.late - outcome.duplicate;
        prop_assert_eq!(kept, bench.played.len() as u64 + discarded);
    }

    #[test]
    fn every_number_between_first_and_last_played_is_played_lost_or_discarded(
        seed: u64, jitter in 0u64..200, loss in 0.0f64..0.5
    ) {
        let mut bench = Bench::new();
        run(&mut bench, &arrivals(seed, 200, jitter, loss, 0.0), 0, 5_000);
        let losses = bench.buffer.losses();
        if let (Some(first), Some(last)) = (bench.played.first(), bench.played.last()) {
            let span = last.0 - first.0 + 1;
            let accounted = bench.played.len() as u64 + losses.lost + losses.discarded;
            prop_assert!(accounted >= span && accounted <= 200, "{accounted} of {span}");
        }
    }

    #[test]
    fn steady_loss_leaves_no_pull_without_sound(seed: u64) {
        let mut bench = Bench::new();
        let script = arrivals(seed, 200, 20, 0.05, 0.0);
        let last = script.last().unwrap().0;
        let outcome = run(&mut bench, &script, 0, last);
        let silent = outcome.heard.iter().filter(|heard| heard.contains('-')).count() as u64;
        prop_assert!(silent <= 3 + script[0].0 / 20, "{silent}");
    }

    #[test]
    fn numbers_from_anywhere_neither_panic_nor_hang(
        packets in proptest::collection::vec(
            (any::<u64>(), any::<u64>(), 0u32..6_000, 0u32..6_000, 0u64..500), 0..60)
    ) {
        let mut bench = Bench::new();
        for (sequence, timestamp, duration, redundancy, at) in packets {
            bench.buffer.insert(Packet {
                sequence, timestamp, duration, redundancy,
                codec: Codec::Pcmu,
                arrived: bench.start + ms(at),
                payload: vec![0],
            });
            let _ = bench.buffer.next(bench.start + ms(at), 0);
        }
        for n in 0..200 {
            let _ = bench.buffer.next(bench.start + ms(500 + 20 * n), 0);
        }
    }
}
