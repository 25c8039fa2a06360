use std::time::{Duration, Instant};

use rand::rngs::StdRng;
use rand::{Rng, SeedableRng};

use super::*;
use crate::codec::Codec;
use crate::measure;
use crate::sdp::{Direction, Negotiated};
use crate::session::{Config, Session, SessionEvent};
use crate::{FRAME, SAMPLE_RATE};

const ANN: u16 = 1000;
const BOB: u16 = 2000;

fn address(port: u16) -> std::net::SocketAddr {
    ([192, 0, 2, 1], port).into()
}

fn session(codec: Codec, remote: u16, events: Option<u32>, seed: u64) -> Session {
    let negotiated = Negotiated {
        telephone_events: events.map(|clock_rate| TelephoneEvents {
            send_payload_type: 101,
            clock_rate,
            receive_payload_types: vec![101],
        }),
        ..Negotiated::plain(codec, 0, address(remote))
    };
    let mut random = StdRng::seed_from_u64(seed);
    Session::new(Config::new(negotiated, &mut random)).unwrap()
}

/// `ann` presses, `bob` hears; a seeded network between them loses, delays and doubles.
struct Wire {
    now: Instant,
    random: StdRng,
    ann: Session,
    bob: Session,
    loss: f64,
    jitter_ms: u64,
    under_way: Vec<(Instant, Vec<u8>)>,
    heard: Vec<Digit>,
}

impl Wire {
    fn new(codec: Codec, events: Option<u32>, loss: f64) -> Wire {
        Wire {
            now: rollcall_testkit::Clock::new().now(),
            random: StdRng::seed_from_u64(4733),
            ann: session(codec, BOB, events, 1),
            bob: session(codec, ANN, events, 2),
            loss,
            jitter_ms: 0,
            under_way: Vec::new(),
            heard: Vec::new(),
        }
    }

    fn tick(&mut self, sound: &[f32]) -> Vec<f32> {
        if let Some(sent) = self.ann.send_frame(sound) {
            let copies = 1 + usize::from(self.random.random_bool(0.05));
            for _ in 0..copies {
                if !self.random.random_bool(self.loss) {
                    let late = Duration::from_millis(self.random.random_range(0..=self.jitter_ms));
                    self.under_way.push((self.now + late, sent.bytes.to_vec()));
                }
            }
        }
        self.under_way.sort_by_key(|(at, _)| *at);
        let due = self.under_way.partition_point(|(at, _)| *at <= self.now);
        for (at, packet) in self.under_way.drain(..due) {
            self.bob.handle_packet(at, address(ANN), &packet);
        }
        let mut played = vec![0.0; FRAME];
        self.bob.play_frame(self.now, &mut played);
        while let Some(SessionEvent::Digit(digit)) = self.bob.poll_event() {
            self.heard.push(digit);
        }
        self.now += Duration::from_millis(20);
        played
    }

    /// Presses all of `text` and gives it the time it takes.
    fn dial(&mut self, text: &[Digit]) {
        for some in text.chunks(40) {
            self.ann.press(some);
            for _ in 0..some.len() * 13 + 10 {
                self.tick(&[0.0; FRAME]);
            }
        }
    }
}

fn random_digits(count: usize) -> Vec<Digit> {
    let mut random = StdRng::seed_from_u64(10);
    let digit = |_| Digit::from_event(random.random_range(0..16)).unwrap();
    (0..count).map(digit).collect()
}

#[test]
fn of_ten_thousand_digits_none_is_missed_and_none_doubled_while_a_fifth_is_lost() {
    let pressed = random_digits(10_000);
    let mut wire = Wire::new(Codec::Pcmu, Some(8_000), 0.2);
    // Packets overtake each other, also those of one digit those of the next.
    wire.jitter_ms = 120;
    wire.dial(&pressed);
    assert_eq!(wire.heard.len(), pressed.len());
    assert!(wire.heard == pressed, "another order or other digits");
    let counters = wire.bob.counters();
    assert_eq!(
        (counters.malformed_events, counters.unknown_payload),
        (0, 0)
    );
}

#[test]
fn an_hour_of_speech_presses_no_key() {
    let mut bob = session(Codec::Pcmu, ANN, Some(8_000), 2);
    let mut random = StdRng::seed_from_u64(3600);
    let mut rtp = crate::rtp::Sender::new(1, 2, 3);
    let noise: Vec<u8> = (0..1 << 16).map(|_| random.random()).collect();
    let mut packet = Vec::new();
    let mut now = rollcall_testkit::Clock::new().now();
    for _ in 0..3_600 * 50 {
        // What a voice can be, byte by byte, is any bytes at all.
        let from = random.random_range(0..noise.len() - 160);
        rtp.write(0, &noise[from..][..160], &mut packet);
        rtp.advance(160);
        if random.random_bool(0.95) {
            bob.handle_packet(now, address(ANN), &packet);
        }
        assert_eq!(bob.poll_event(), None);
        now += Duration::from_millis(20);
    }
    assert!(bob.counters().received > 150_000);
}

#[test]
fn events_follow_the_clock_that_was_agreed_on_under_every_codec() {
    for (codec, clock, held) in [
        (Codec::Opus, 48_000, 5_760),
        (Codec::Opus, 8_000, 960),
        (Codec::G722, 8_000, 960),
    ] {
        let mut ann = session(codec, BOB, Some(clock), 1);
        ann.press(&digits("5").unwrap());
        let mut told = Vec::new();
        for _ in 0..20 {
            let Some(sent) = ann.send_frame(&[0.0; FRAME]) else {
                continue;
            };
            let packet = crate::rtp::read(sent.bytes).unwrap();
            if packet.payload_type == 101 {
                let report = Report::read(packet.payload).unwrap();
                told.push((packet.timestamp, packet.marker, report));
            }
        }
        assert_eq!(told.len(), 9, "{codec}");
        let (began, _, _) = told[0];
        assert!(told.iter().all(|(timestamp, ..)| *timestamp == began));
        let markers: Vec<bool> = told.iter().map(|(_, marker, _)| *marker).collect();
        assert_eq!(markers.iter().position(|marker| *marker), Some(0));
        assert_eq!(markers.iter().filter(|marker| **marker).count(), 1);
        for (_, _, end) in &told[6..] {
            assert!(
                end.end && end.duration == held && end.event == 5,
                "{codec} {end:?}"
            );
        }
        assert!(told[..6].iter().all(|(_, _, report)| !report.end));
    }
}

#[test]
fn sound_goes_on_with_a_marker_and_the_clock_kept_after_a_key() {
    let mut ann = session(Codec::Pcmu, BOB, Some(8_000), 1);
    let head = |bytes: &[u8]| {
        let packet = crate::rtp::read(bytes).unwrap();
        (
            packet.payload_type,
            packet.sequence,
            packet.timestamp,
            packet.marker,
        )
    };
    let (_, first, begun, _) = head(ann.send_frame(&[0.0; FRAME]).unwrap().bytes);
    ann.press(&digits("#").unwrap());
    let mut sent = Vec::new();
    for _ in 0..14 {
        sent.extend(
            ann.send_frame(&[0.0; FRAME])
                .map(|packet| head(packet.bytes)),
        );
    }
    // Nine reports, four ticks of pause, and sound again.
    assert_eq!(sent.len(), 10);
    let last = (
        0,
        first.wrapping_add(10),
        begun.wrapping_add(14 * 160),
        true,
    );
    assert_eq!(sent[9], last);
}

#[test]
fn keys_sound_as_tones_where_the_other_side_knows_no_events() {
    let mut wire = Wire::new(Codec::Pcmu, None, 0.0);
    wire.ann.press(&digits("5").unwrap());
    let sound: Vec<f32> = (0..20).flat_map(|_| wire.tick(&[0.0; FRAME])).collect();
    let loudest = sound
        .chunks(2 * FRAME)
        .max_by(|a, b| {
            measure::level_dbfs(a)
                .partial_cmp(&measure::level_dbfs(b))
                .unwrap()
        })
        .unwrap();
    for hertz in [770.0, 1336.0] {
        let level = measure::tone_dbfs(loudest, SAMPLE_RATE, hertz).unwrap();
        assert!((level - -13.0).abs() < 2.0, "{hertz}: {level}");
    }
    assert_eq!(wire.heard, []);
}

#[test]
fn keys_pressed_on_hold_are_not_pressed_later() {
    let mut ann = session(Codec::Pcmu, BOB, Some(8_000), 1);
    let talking = ann.negotiated().clone();
    let held = Negotiated {
        direction: Direction::RecvOnly,
        ..talking.clone()
    };
    ann.update(held).unwrap();
    ann.press(&digits("123").unwrap());
    assert!(ann.send_frame(&[0.0; FRAME]).is_none());
    ann.update(talking).unwrap();
    for _ in 0..50 {
        let sent = ann.send_frame(&[0.0; FRAME]).unwrap();
        assert_eq!(crate::rtp::read(sent.bytes).unwrap().payload_type, 0);
    }
}

/// `(timestamp, event, end)` under one SSRC, a packet every 20 ms.
fn heard(packets: &[(u32, u8, bool)]) -> String {
    let mut receiver = EventReceiver::default();
    let mut now = rollcall_testkit::Clock::new().now();
    let mut told = String::new();
    for (timestamp, event, end) in packets {
        let report = Report {
            event: *event,
            end: *end,
            volume: 10,
            duration: 160,
        };
        let digit = receiver.take(now, 7, *timestamp, &report.write()).unwrap();
        told.extend(digit.map(|digit| digit.to_string()));
        now += Duration::from_millis(20);
    }
    told
}

#[test]
fn a_press_is_known_by_its_beginning() {
    // Only the end came; the same key twice; what was overtaken; another press of the same key.
    assert_eq!(heard(&[(800, 1, true)]), "1");
    assert_eq!(
        heard(&[(800, 1, false), (800, 1, true), (800, 1, true)]),
        "1"
    );
    assert_eq!(
        heard(&[
            (800, 1, true),
            (2400, 2, false),
            (800, 1, true),
            (2400, 2, true)
        ]),
        "12"
    );
    assert_eq!(heard(&[(800, 1, true), (2400, 1, true)]), "11");
    // Across the wrap of the timestamp.
    assert_eq!(heard(&[(u32::MAX - 10, 3, true), (2000, 3, true)]), "33");
}

#[test]
fn a_key_held_for_longer_than_a_segment_is_one_press() {
    assert_eq!(
        heard(&[(0, 9, false), (0xffff, 9, false), (0x1_fffe, 9, true)]),
        "9"
    );
    assert_eq!(heard(&[(0, 9, true), (0xffff, 9, true)]), "99");
}

#[test]
fn events_that_are_no_keys_are_heard_of_and_not_told() {
    // Flash, and the highest there is.
    assert_eq!(
        heard(&[(0, 16, true), (160, 255, true), (320, 4, true)]),
        "4"
    );
}

#[test]
fn a_new_stream_and_a_long_silence_begin_anew() {
    let mut receiver = EventReceiver::default();
    let now = rollcall_testkit::Clock::new().now();
    let press = [1, 0x8a, 0, 160];
    let at = |seconds| now + Duration::from_secs(seconds);
    for (when, ssrc, timestamp, is_new) in [
        (0, 7, 5_000_000, true),
        (1, 7, 4_000_000, false),
        (2, 8, 4_000_000, true),
        (3, 8, 3_000_000, false),
        (64, 8, 3_000_000, true),
    ] {
        let told = receiver.take(at(when), ssrc, timestamp, &press).unwrap();
        assert_eq!(told.is_some(), is_new, "{when} s");
    }
}

#[test]
fn only_keys_are_taken() {
    assert_eq!(digits("19*#aD").unwrap().len(), 6);
    assert_eq!(digits("1 2"), Err(NotADigit(' ')));
    let all: String = (0..16)
        .filter_map(Digit::from_event)
        .map(|d| d.to_string())
        .collect();
    assert_eq!(all, "0123456789*#ABCD");
    assert_eq!(Digit::from_event(16), None);
}

#[test]
fn any_payload_is_taken_without_a_panic() {
    let mut random = StdRng::seed_from_u64(1);
    let mut receiver = EventReceiver::default();
    let now = rollcall_testkit::Clock::new().now();
    for _ in 0..100_000 {
        let payload: Vec<u8> = (0..random.random_range(0..9))
            .map(|_| random.random())
            .collect();
        let told = receiver.take(now, random.random_range(0..3), random.random(), &payload);
        assert_eq!(told.is_err(), payload.len() < Report::BYTES);
    }
}
