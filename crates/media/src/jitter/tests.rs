use std::time::{Duration, Instant};

use proptest::prelude::*;
use rand::rngs::StdRng;
use rand::{Rng, SeedableRng};

use super::*;

const TICKS: u32 = 160;
const DELAY: Duration = Duration::from_millis(40);

fn ms(ms: u64) -> Duration {
    Duration::from_millis(ms)
}

/// A buffer on virtual time at 8 kHz, fed with 20 ms packets.
struct Bench {
    buffer: FixedJitterBuffer,
    start: Instant,
}

impl Bench {
    fn new() -> Bench {
        Bench {
            buffer: FixedJitterBuffer::new(8_000, DELAY),
            start: rollcall_testkit::Clock::new().now(),
        }
    }

    fn packet(&self, number: u64, at_ms: u64) -> Packet {
        Packet {
            sequence: 70_000 + number,
            timestamp: (1 << 32) + number * u64::from(TICKS),
            duration: TICKS,
            arrived: self.start + ms(at_ms),
            payload: vec![number as u8],
        }
    }

    fn arrive(&mut self, number: u64, at_ms: u64) -> Inserted {
        self.buffer.insert(self.packet(number, at_ms))
    }

    /// One letter for what a pull gave: a digit for a frame, `x` lost, `r` lost with redundancy
    /// behind it, `s` starved, `-` silence.
    fn pull(&mut self, at_ms: u64) -> char {
        match self.buffer.next(self.start + ms(at_ms)) {
            Next::Frame(packet) => char::from_digit(u32::from(packet.payload[0]) % 36, 36).unwrap(),
            Next::Lost {
                following: None, ..
            } => 'x',
            Next::Lost { .. } => 'r',
            Next::Starved { .. } => 's',
            Next::Silence => '-',
        }
    }

    /// Pulls from 40 ms on, each after the packets that have come by then.
    fn listen(&mut self, packets: Vec<Packet>, pulls: u64) -> String {
        let mut packets = packets.into_iter().peekable();
        let mut heard = String::new();
        for at in (40..).step_by(20).take(pulls as usize) {
            let now = self.start + ms(at);
            while let Some(packet) = packets.next_if(|packet| packet.arrived <= now) {
                self.buffer.insert(packet);
            }
            heard.push(self.pull(at));
        }
        heard
    }

    fn pulls(&mut self, from_ms: u64, count: u64) -> String {
        (0..count).map(|i| self.pull(from_ms + 20 * i)).collect()
    }
}

#[test]
fn sound_begins_when_the_first_packet_has_waited_for_the_delay() {
    let mut bench = Bench::new();
    for n in 0..3 {
        bench.arrive(n, 20 * n);
    }
    assert_eq!(bench.pulls(0, 5), "--012");
}

#[test]
fn packets_out_of_order_are_played_in_order() {
    let mut bench = Bench::new();
    assert_eq!(bench.arrive(0, 0), Inserted::Kept);
    assert_eq!(bench.arrive(2, 20), Inserted::Kept);
    assert_eq!(bench.arrive(1, 30), Inserted::Reordered);
    assert_eq!(bench.pulls(40, 3), "012");
    assert_eq!(bench.buffer.losses(), Losses::default());
}

#[test]
fn a_packet_is_played_once_however_often_it_comes() {
    let mut bench = Bench::new();
    bench.arrive(0, 0);
    assert_eq!(bench.arrive(0, 1), Inserted::Duplicate);
    bench.arrive(1, 20);
    assert_eq!(bench.pulls(40, 2), "01");
    assert_eq!(bench.arrive(1, 70), Inserted::Duplicate);
}

#[test]
fn a_hole_is_lost_with_the_packet_behind_it_at_hand() {
    let mut bench = Bench::new();
    let packets = [0, 1, 3, 6].map(|n| bench.packet(n, 20 * n)).to_vec();
    assert_eq!(bench.listen(packets, 7), "01r3xr6");
    assert_eq!(bench.buffer.losses().lost, 3);
}

#[test]
fn a_packet_after_its_turn_is_late() {
    let mut bench = Bench::new();
    for n in [0, 2, 3] {
        bench.arrive(n, 0);
    }
    assert_eq!(bench.pulls(40, 3), "0r2");
    assert_eq!(bench.arrive(1, 90), Inserted::Late);
    assert_eq!(bench.pull(100), '3');
}

#[test]
fn a_packet_whose_place_was_concealed_while_nothing_was_here_is_late() {
    let mut bench = Bench::new();
    bench.arrive(0, 0);
    assert_eq!(bench.pulls(40, 2), "0s");
    assert_eq!(bench.arrive(1, 70), Inserted::Late);
    bench.arrive(2, 75);
    assert_eq!(bench.pull(80), '2');
    assert_eq!(bench.buffer.losses().lost, 1);
}

#[test]
fn a_longer_path_is_learned_after_three_late_packets() {
    let mut bench = Bench::new();
    for n in 0..3 {
        bench.arrive(n, 20 * n);
    }
    assert_eq!(bench.pulls(40, 3), "012");
    // From here every packet takes 70 ms more.
    let mut heard = String::new();
    for n in 3..16 {
        let at = 20 * n + 70;
        heard.push(bench.pull(at - 10));
        bench.arrive(n, at);
    }
    assert_eq!(heard, "sss--56789abc");
    assert_eq!(bench.buffer.losses().lost, 2);
}

#[test]
fn a_pause_of_the_sender_is_silence_and_no_loss() {
    let mut bench = Bench::new();
    bench.arrive(0, 0);
    assert_eq!(bench.pulls(40, 10), "0sssss----");
    // Numbered on, but half a second later by its clock.
    let mut next = bench.packet(1, 500);
    next.timestamp += 25 * u64::from(TICKS) - u64::from(TICKS);
    assert_eq!(bench.buffer.insert(next), Inserted::Kept);
    assert_eq!(bench.pulls(500, 3), "--1");
    assert_eq!(bench.buffer.losses().lost, 0);
}

#[test]
fn packets_without_sound_fill_their_number_and_no_time() {
    let mut bench = Bench::new();
    bench.arrive(0, 0);
    let mut event = bench.packet(1, 20);
    event.duration = 0;
    event.payload.clear();
    bench.buffer.insert(event);
    let mut next = bench.packet(2, 40);
    next.timestamp -= u64::from(TICKS);
    bench.buffer.insert(next);
    assert_eq!(bench.pulls(40, 2), "02");
    assert_eq!(bench.buffer.losses().lost, 0);
}

#[test]
fn a_clock_that_jumps_goes_on_without_a_gap() {
    for jump in [-1_000_000i64, 1_000_000] {
        let mut bench = Bench::new();
        let packets = (0..6).map(|n| {
            let mut packet = bench.packet(n, 20 * n);
            if n >= 3 {
                packet.timestamp = packet.timestamp.saturating_add_signed(jump);
            }
            packet
        });
        let packets = packets.collect();
        assert_eq!(bench.listen(packets, 6), "012345", "{jump}");
    }
}

#[test]
fn a_burst_after_a_stall_does_not_stay_as_delay() {
    let mut bench = Bench::new();
    bench.arrive(0, 0);
    bench.pulls(40, 1);
    for n in 1..30 {
        bench.arrive(n, 600);
    }
    // The last is number 29 ('t'): at most the delay and the headroom, 140 ms, wait before it.
    let heard = bench.pulls(640, 7);
    assert!(heard.contains('t'), "{heard}");
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
    while !matches!(bench.buffer.next(bench.start + ms(60)), Next::Silence) {
        played += 1;
        assert!(played < 200);
    }
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

struct Played {
    numbers: Vec<u64>,
    longest_wait: Duration,
    late: u64,
    duplicate: u64,
    pulls: u64,
    frames_or_concealed: u64,
}

/// Pull every 20 ms, with the arrivals in between.
fn run(bench: &mut Bench, script: &[(u64, u64)], until_ms: u64) -> Played {
    let mut played = Played {
        numbers: Vec::new(),
        longest_wait: Duration::ZERO,
        late: 0,
        duplicate: 0,
        pulls: 0,
        frames_or_concealed: 0,
    };
    let mut script = script.iter().peekable();
    for at in (0..until_ms).step_by(20) {
        while let Some((when, number)) = script.next_if(|(when, _)| *when <= at) {
            let packet = bench.packet(*number, *when);
            match bench.buffer.insert(packet) {
                Inserted::Late => played.late += 1,
                Inserted::Duplicate => played.duplicate += 1,
                Inserted::Kept | Inserted::Reordered => {}
            }
        }
        played.pulls += 1;
        let now = bench.start + ms(at);
        match bench.buffer.next(now) {
            Next::Frame(packet) => {
                played.longest_wait = played.longest_wait.max(now - packet.arrived);
                played.numbers.push(packet.sequence - 70_000);
                played.frames_or_concealed += 1;
            }
            Next::Lost { duration, .. } | Next::Starved { duration } => {
                assert_eq!(duration, TICKS);
                played.frames_or_concealed += 1;
            }
            Next::Silence => {}
        }
    }
    played
}

proptest! {
    #![proptest_config(crate::repeatable(300))]

    #[test]
    fn jitter_within_the_delay_loses_nothing(seed: u64) {
        let mut bench = Bench::new();
        let script = arrivals(seed, 200, 40, 0.0, 0.1);
        let played = run(&mut bench, &script, 4_300);
        prop_assert_eq!(played.numbers, (0..200).collect::<Vec<_>>());
        prop_assert_eq!(bench.buffer.losses(), Losses::default());
        prop_assert_eq!(played.late, 0);
    }

    #[test]
    fn whatever_comes_is_played_in_order_once_and_soon(
        seed: u64, jitter in 0u64..400, loss in 0.0f64..0.9, double in 0.0f64..0.5
    ) {
        let mut bench = Bench::new();
        let script = arrivals(seed, 200, jitter, loss, double);
        let played = run(&mut bench, &script, 5_000);
        prop_assert!(played.numbers.is_sorted_by(|a, b| a < b));
        prop_assert!(played.longest_wait <= DELAY + ms(100 + 20), "{:?}", played.longest_wait);
        let discarded = bench.buffer.losses().discarded;
        let kept = script.len() as u64 - played.late - played.duplicate;
        prop_assert_eq!(kept, played.numbers.len() as u64 + discarded);
    }

    #[test]
    fn every_number_between_first_and_last_played_is_played_lost_or_discarded(
        seed: u64, jitter in 0u64..200, loss in 0.0f64..0.5
    ) {
        let mut bench = Bench::new();
        let played = run(&mut bench, &arrivals(seed, 200, jitter, loss, 0.0), 5_000);
        let losses = bench.buffer.losses();
        if let (Some(first), Some(last)) = (played.numbers.first(), played.numbers.last()) {
            let span = last - first + 1;
            let accounted = played.numbers.len() as u64 + losses.lost + losses.discarded;
            prop_assert!(accounted >= span && accounted <= 200, "{accounted} of {span}");
        }
    }

    #[test]
    fn steady_loss_leaves_no_pull_without_sound(seed: u64) {
        let mut bench = Bench::new();
        let script = arrivals(seed, 200, 20, 0.05, 0.0);
        let last = script.last().unwrap().0;
        let played = run(&mut bench, &script, last);
        // The first pulls fill the buffer; from then on there is always something to play.
        prop_assert!(played.pulls - played.frames_or_concealed <= 4 + script[0].0 / 20);
    }

    #[test]
    fn numbers_from_anywhere_neither_panic_nor_hang(
        packets in proptest::collection::vec((any::<u64>(), any::<u64>(), 0u32..6_000, 0u64..500), 0..60)
    ) {
        let mut bench = Bench::new();
        for (sequence, timestamp, duration, at) in packets {
            bench.buffer.insert(Packet {
                sequence, timestamp, duration,
                arrived: bench.start + ms(at),
                payload: vec![0],
            });
            bench.pull(at);
        }
        bench.pulls(500, 100);
    }
}
