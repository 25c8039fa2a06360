//! What must hold of any RTP, RTCP, SRTP and SDP, and of any arrival of packets, for the fuzzer and for the tests of
//! `rollcall-media`, which include this file.

use std::net::SocketAddr;
use std::time::{Duration, Instant};

use rand::SeedableRng;
use rand::rngs::StdRng;
use rollcall_media::FRAME;
use rollcall_media::codec::Codec;
use rollcall_media::jitter::{AdaptiveJitterBuffer, Inserted, JitterBuffer, Next, Pace, Packet};
use rollcall_media::sdp::{self, Direction, Local, Negotiated, Security};
use rollcall_media::session::{Config, Session};
use rollcall_media::srtp::{Keys, MasterKey, Policy, Suite};

const TICK: Duration = Duration::from_millis(20);
const CODECS: [Codec; 4] = [Codec::Opus, Codec::G722, Codec::Pcmu, Codec::Pcma];

fn address(port: u16) -> SocketAddr {
    SocketAddr::from(([127, 0, 0, 1], port))
}

fn session(negotiated: Negotiated) -> Session {
    let mut random = StdRng::seed_from_u64(1);
    Session::new(Config::new(negotiated, &mut random)).expect("a codec of ours")
}

/// A session in the codec that a byte chooses.
fn listening(choice: u8) -> Session {
    let codec = CODECS[usize::from(choice) % CODECS.len()];
    let number = match codec {
        Codec::Opus => 111,
        Codec::G722 => 9,
        Codec::Pcmu => 0,
        Codec::Pcma => 8,
    };
    session(Negotiated::plain(codec, number, address(6000)))
}

/// Each byte counts the ones of a datagram that follow it.
fn datagrams(mut data: &[u8]) -> impl Iterator<Item = &[u8]> {
    std::iter::from_fn(move || {
        let (length, rest) = data.split_first()?;
        let (datagram, rest) = rest.split_at(usize::from(*length).min(rest.len()));
        data = rest;
        Some(datagram)
    })
}

/// Datagrams at a call's RTP port, one a tick: each is counted once, and what is played is sound.
pub fn rtp(now: Instant, data: &[u8]) {
    let Some((choice, data)) = data.split_first() else {
        return;
    };
    let mut session = listening(*choice);
    let (mut now, mut came) = (now, 0);
    let mut heard = [0.0; FRAME];
    for datagram in datagrams(data).take(100) {
        came += 1;
        session.handle_packet(now, address(6000), datagram);
        session.play_frame(now, &mut heard);
        assert!(heard.iter().all(|sample| sample.abs() <= 1.0), "no sound");
        now += TICK;
    }
    let counted = session.counters();
    let judged = counted.received + counted.malformed + counted.foreign + counted.reports;
    assert_eq!(judged, came, "{counted:?}");
    let done = counted.played + counted.late + counted.duplicate + counted.malformed_payload;
    assert!(done <= counted.received, "{counted:?}");
}

/// Datagrams at a call's RTCP port: the record stays within its bounds, and what we say of it can be read.
pub fn rtcp(now: Instant, data: &[u8]) {
    let (mut ours, mut theirs) = (listening(2), listening(2));
    let mut now = now;
    for datagram in datagrams(data).take(50) {
        if let Some(packet) = ours.send_frame(&[0.1; FRAME]) {
            theirs.handle_packet(now, address(6000), packet.bytes);
        }
        ours.handle_control(now, address(6001), datagram);
        now += Duration::from_secs(3);
        if let Some(report) = ours.poll_control(now) {
            theirs.handle_control(now, address(6001), report.bytes);
        }
    }
    assert_eq!(theirs.counters().malformed, 0, "our own report");
    let record = ours.quality(now);
    let shares = [
        record.received.loss,
        record.received.unplayed,
        record.sent.loss,
    ];
    assert!(
        shares
            .iter()
            .flatten()
            .all(|share| (0.0..=1.0).contains(share))
    );
    let scores = record.scores.iter().map(|(_, score)| score);
    let scores = scores.chain(record.mos.as_ref().map(|mos| &mos.last));
    assert!(scores.into_iter().all(|score| (1.0..=4.5).contains(score)));
}

/// Packets of an encrypted call, changed by what comes in (each bit that is set is turned over, what is longer is put
/// behind): only one that is as it was is heard, and the next good one is.
pub fn srtp(now: Instant, data: &[u8]) {
    let Some((choice, data)) = data.split_first() else {
        return;
    };
    let suites = [
        Suite::AesCm128HmacSha1_80,
        Suite::AesCm128HmacSha1_32,
        Suite::AeadAes128Gcm,
        Suite::AeadAes256Gcm,
    ];
    let suite = suites[usize::from(*choice) % suites.len()];
    let mut random = StdRng::seed_from_u64(2);
    let mut key = || MasterKey::random(suite, &mut random);
    let (one, other) = (key(), key());
    let agreed = |port, send: &MasterKey, receive: &MasterKey| Negotiated {
        srtp: Some(Keys {
            send: send.clone(),
            receive: receive.clone(),
        }),
        ..Negotiated::plain(Codec::Pcmu, 0, address(port))
    };
    let mut says = session(agreed(6002, &one, &other));
    let mut hears = session(agreed(6000, &other, &one));
    let mut good = 0;
    for mask in datagrams(data).take(20).chain([[].as_slice()]) {
        let Some(sent) = says.send_frame(&[0.1; FRAME]) else {
            return;
        };
        let mut changed = sent.bytes.to_vec();
        for (n, bits) in mask.iter().enumerate() {
            match changed.get_mut(n) {
                Some(byte) => *byte ^= bits,
                None => changed.push(*bits),
            }
        }
        good += u64::from(changed == sent.bytes);
        hears.handle_packet(now, address(6000), &changed);
        assert_eq!(hears.counters().received, good);
    }
}

/// A session description. As an offer it is refused with a code of SIP's, or answered by a description that can itself be
/// read (only its way of encryption may not suit), and with keys where they are required. As an answer it is taken, or
/// refused with a code of SIP's.
pub fn sdp(_now: Instant, data: &[u8]) {
    for policy in [Policy::Off, Policy::Optional, Policy::Required] {
        let mut random = StdRng::seed_from_u64(3);
        let mut local =
            |port| Local::new(address(port), 1).secured(Security::new(policy, &mut random));
        let (ours, theirs) = (local(6000), local(6002));
        match sdp::answer(data, &ours, &CODECS, Direction::SendRecv) {
            Err(refusal) => assert!([400, 488].contains(&refusal.status())),
            Ok((answer, agreed)) => {
                assert!(policy != Policy::Required || agreed.srtp.is_some());
                let read = sdp::answer(&answer, &theirs, &CODECS, Direction::SendRecv);
                // Of what was agreed on, all but the way of encryption is any reader's own choice.
                if let Err(refusal) = read {
                    let words = refusal.to_string();
                    assert!(words.contains("encrypt"), "{words}");
                }
            }
        }
        if let Err(refusal) = sdp::accept(data, &ours, &CODECS, Direction::SendRecv) {
            assert!([400, 488].contains(&refusal.status()));
        }
    }
}

/// How long a packet may wait, in milliseconds: as long as one may be under way, and what the buffer grants beyond.
const LONGEST_WAIT: u64 = 255 + 200;
/// Where the sender's clock jumps, up to a second of it may be taken for a delay.
const LONGEST_WAIT_AFTER_JUMPS: u64 = 1_000 + 300;

/// Arrivals of a stream, two bytes a packet: what happens to it, and how long it takes. What is played goes on, in order,
/// and never waits for long; what was kept is played or dropped to catch up, and there is silence only while nothing of it is
/// due.
pub fn jitter(start: Instant, data: &[u8]) {
    let mut buffer = AdaptiveJitterBuffer::new(8_000);
    let mut wire: Vec<(Instant, Packet)> = Vec::new();
    let mut shift = 1u64 << 32;
    let mut longest = LONGEST_WAIT;
    let script = data.chunks_exact(2).take(500);
    for (number, step) in script.enumerate() {
        let at = start + TICK * number as u32 + Duration::from_millis(u64::from(step[1]));
        let packet = Packet {
            sequence: 70_000 + number as u64,
            timestamp: shift + 160 * number as u64,
            // Some tell of keys and carry no sound.
            duration: if step[0] % 16 == 5 { 0 } else { 160 },
            redundancy: u32::from(step[0] % 3) * 160,
            codec: Codec::Pcmu,
            arrived: at,
            payload: vec![step[0]],
        };
        match step[0] % 16 {
            0..4 => {}
            4 => {
                wire.push((at, packet.clone()));
                wire.push((at, packet));
            }
            // The sender's clock jumps, or it was silent for a while.
            jump @ (6 | 7) => {
                let ticks = u64::from(step[1]) * 1_000;
                shift = if jump == 6 {
                    shift + ticks
                } else {
                    shift - ticks
                };
                longest = LONGEST_WAIT_AFTER_JUMPS;
            }
            _ => wire.push((at, packet)),
        }
    }
    wire.sort_by_key(|(at, packet)| (*at, packet.sequence));
    let mut wire = wire.into_iter().peekable();
    let (mut now, mut ahead, mut last) = (start, 0u32, 0);
    let mut kept = Kept::default();
    while wire.peek().is_some() || now < start + TICK * 600 {
        while let Some((_, packet)) = wire.next_if(|(at, _)| *at <= now) {
            let arrival = Arrival::of(&packet);
            match buffer.insert(packet) {
                Inserted::Kept | Inserted::Reordered => kept.note(arrival),
                Inserted::Late | Inserted::Duplicate => {}
            }
        }
        for turn in 0.. {
            assert!(turn < 300, "it does not go on");
            if ahead >= 160 {
                break;
            }
            ahead += match buffer.next(now, ahead) {
                Next::Frame { packet, pace, .. } => {
                    assert!(packet.sequence > last, "{} after {last}", packet.sequence);
                    last = packet.sequence;
                    kept.played += 1;
                    let waited = now.saturating_duration_since(packet.arrived);
                    assert!(waited <= Duration::from_millis(longest), "{waited:?}");
                    packet.duration
                        - match pace {
                            Pace::Shorter { most, .. } => most.min(40),
                            _ => 0,
                        }
                }
                Next::Lost { duration, .. } | Next::Starved { duration } => {
                    assert!(duration > 0);
                    duration
                }
                Next::Silence => {
                    let waits = kept.newest.filter(|it| it.has_sound && it.sequence > last);
                    let waited = waits.map(|it| now.saturating_duration_since(it.at));
                    assert!(
                        waited.is_none_or(|time| time <= Duration::from_millis(longest)),
                        "silence, though sound has waited for {waited:?}"
                    );
                    160
                }
            };
        }
        ahead -= 160;
        now += TICK;
    }
    let gone = kept.played + buffer.losses().discarded;
    // Those without sound are played by being passed over, or are among the dropped.
    assert!(
        (kept.with_sound..=kept.all).contains(&gone),
        "{gone} were played or dropped of {} to {} that were kept",
        kept.with_sound,
        kept.all
    );
}

/// What a jitter buffer took in, and what came out.
#[derive(Default)]
struct Kept {
    all: u64,
    with_sound: u64,
    played: u64,
    /// The highest number: whatever is dropped to catch up, it is not this one.
    newest: Option<Arrival>,
}

#[derive(Clone, Copy)]
struct Arrival {
    sequence: u64,
    at: Instant,
    has_sound: bool,
}

impl Arrival {
    fn of(packet: &Packet) -> Arrival {
        Arrival {
            sequence: packet.sequence,
            at: packet.arrived,
            has_sound: packet.duration > 0,
        }
    }
}

impl Kept {
    fn note(&mut self, arrival: Arrival) {
        self.all += 1;
        self.with_sound += u64::from(arrival.has_sound);
        let newest = self.newest.filter(|it| it.sequence > arrival.sequence);
        self.newest = newest.or(Some(arrival));
    }
}
