//! The way in: RTP packets to 48 kHz samples.
//!
//! ```text
//! take: number ─► jitter buffer          play: jitter buffer ─► decode | conceal ─► playout ─► samples
//! ```

use std::time::{Duration, Instant};

use super::Counters;
use crate::SAMPLE_RATE;
use crate::codec::{Codec, CodecError, Concealed, Decoder};
use crate::comfort::ComfortNoise;
use crate::jitter::{Inserted, JitterBuffer, Losses, Next, Packet};
use crate::playout::{Playout, Stretched};
use crate::rtp::{Numbered, Received, SequenceExtender, TimestampExtender};
use crate::sdp::Negotiated;

/// Comfort noise at an 8 kHz clock (RFC 3551 table 4).
const COMFORT_NOISE: u8 = 13;

#[derive(Debug)]
pub(super) struct Receiving {
    codec: Codec,
    decoder: Box<dyn Decoder>,
    jitter: Box<dyn JitterBuffer>,
    playout: Playout,
    ssrc: Option<u32>,
    sequences: SequenceExtender,
    timestamps: TimestampExtender,
    arrivals: Arrivals,
    /// What the present pause sounds like, and the number of the packet that said so.
    comfort: Option<(u64, ComfortNoise)>,
    decoded: Vec<f32>,
}

impl Receiving {
    pub(super) fn new(
        codec: Codec,
        jitter: Box<dyn JitterBuffer>,
    ) -> Result<Receiving, CodecError> {
        Ok(Receiving {
            codec,
            decoder: codec.decoder()?,
            jitter,
            playout: Playout::new(codec.sample_rate(), codec.clock_rate()),
            ssrc: None,
            sequences: SequenceExtender::default(),
            timestamps: TimestampExtender::default(),
            arrivals: Arrivals::default(),
            comfort: None,
            decoded: Vec::new(),
        })
    }

    /// Number a packet of the call and give it to the jitter buffer.
    pub(super) fn take(
        &mut self,
        now: Instant,
        packet: Received<'_>,
        negotiated: &Negotiated,
        counters: &mut Counters,
    ) {
        let Some(duration) = self.duration(&packet, negotiated, counters) else {
            return;
        };
        if duration == 0 && self.ssrc != Some(packet.ssrc) {
            // What carries no sound of ours begins no stream, and ends none.
            return;
        }
        if self.ssrc.is_some_and(|ssrc| ssrc != packet.ssrc) {
            self.restart();
            counters.restarts += 1;
        }
        self.ssrc = Some(packet.ssrc);
        let sequence = match self.sequences.extend(packet.sequence) {
            Numbered::Expected(sequence) => sequence,
            Numbered::Restarted(sequence) => {
                self.jitter.reset();
                self.arrivals = Arrivals::default();
                // It speaks of a pause by a number that means nothing any more.
                self.comfort = None;
                counters.restarts += 1;
                sequence
            }
            Numbered::Suspect => {
                counters.suspect += 1;
                return;
            }
        };
        let timestamp = self.timestamps.extend(packet.timestamp);
        if duration > 0 {
            self.arrivals.note(now, timestamp, self.codec.clock_rate());
        } else if packet.payload_type == COMFORT_NOISE {
            self.take_comfort(sequence, packet.payload);
        }
        let inserted = self.jitter.insert(Packet {
            sequence,
            timestamp,
            duration,
            redundancy: self.decoder.redundancy(packet.payload),
            arrived: now,
            payload: packet.payload.to_vec(),
        });
        match inserted {
            Inserted::Kept => {}
            Inserted::Reordered => counters.reordered += u64::from(duration > 0),
            Inserted::Late => counters.late += u64::from(duration > 0),
            Inserted::Duplicate => counters.duplicate += u64::from(duration > 0),
        }
    }

    /// The other side pauses, and tells how that sounds.
    fn take_comfort(&mut self, sequence: u64, payload: &[u8]) {
        match &mut self.comfort {
            Some((before, _)) if sequence <= *before => {}
            Some((before, noise)) => {
                *before = sequence;
                noise.update(payload);
            }
            None => self.comfort = Some((sequence, ComfortNoise::new(payload))),
        }
    }

    /// Fill `samples` with what is due.
    pub(super) fn play(&mut self, now: Instant, samples: &mut [f32], counters: &mut Counters) {
        while self.playout.waiting() < samples.len() {
            let missing = samples.len() - self.playout.waiting();
            self.decode_next(now, missing, counters);
        }
        self.playout.take(samples);
    }

    /// What comes next has nothing to do with what was.
    pub(super) fn restart(&mut self) {
        self.jitter.reset();
        self.ssrc = None;
        self.sequences = SequenceExtender::default();
        self.timestamps = TimestampExtender::default();
        self.arrivals = Arrivals::default();
        self.comfort = None;
        self.playout.clear();
    }

    pub(super) fn losses(&self) -> Losses {
        self.jitter.losses()
    }

    /// How long packets should wait to be in time, by what is known of the path.
    pub(super) fn target_delay(&self) -> Option<Duration> {
        self.jitter.target_delay()
    }

    pub(super) fn stretched(&self) -> Stretched {
        self.playout.stretched()
    }

    pub(super) fn interarrival_jitter(&self) -> Option<Duration> {
        self.arrivals.jitter
    }

    /// Ticks of sound in a packet; 0 for one that carries none. `None`: unusable.
    fn duration(
        &self,
        packet: &Received<'_>,
        negotiated: &Negotiated,
        counters: &mut Counters,
    ) -> Option<u32> {
        // Ours by RFC 3264 section 5.1, theirs from those who use one number both ways.
        let ours = [
            negotiated.receive_payload_type,
            negotiated.send_payload_type,
        ];
        if !ours.contains(&packet.payload_type) {
            match packet.payload_type {
                number if negotiated.is_telephone_event(number) => counters.telephone_events += 1,
                COMFORT_NOISE => counters.comfort_noise += 1,
                _ => counters.unknown_payload += 1,
            }
            return Some(0);
        }
        let duration = self.decoder.duration(packet.payload).ok();
        if duration.is_none() {
            counters.malformed_payload += 1;
        }
        duration
    }

    /// Give the next stretch of sound to the playout; for silence, as much as is missing at 48 kHz.
    fn decode_next(&mut self, now: Instant, missing: usize, counters: &mut Counters) {
        let ahead = self.ticks_ahead();
        match self.jitter.next(now, ahead) {
            Next::Frame {
                packet,
                pace,
                joins,
            } => {
                // Sound from before the pause may still have to be played.
                self.comfort.take_if(|(said, _)| *said < packet.sequence);
                let decoded = self.decoder.decode(&packet.payload, &mut self.decoded);
                if decoded.is_ok() && !self.decoded.is_empty() {
                    counters.played += 1;
                } else {
                    counters.malformed_payload += 1;
                    self.decoder
                        .conceal(None, packet.duration, &mut self.decoded);
                }
                self.playout.push(&mut self.decoded, pace, joins);
            }
            Next::Lost {
                duration,
                following,
            } => {
                let made = self.decoder.conceal(following, duration, &mut self.decoded);
                let packets = u64::from(duration.div_ceil(self.codec.clock_rate() / 50));
                if made == Concealed::Recovered {
                    counters.recovered += packets;
                }
                self.playout.append(&self.decoded);
            }
            Next::Starved { duration } if self.comfort.is_none() => {
                counters.starved += 1;
                self.decoder.conceal(None, duration, &mut self.decoded);
                self.playout.append(&self.decoded);
            }
            Next::Starved { .. } | Next::Silence => self.pause(missing),
        }
        if self.decoded.is_empty() {
            let factor = (SAMPLE_RATE / self.codec.sample_rate()) as usize;
            self.decoded.resize(missing.div_ceil(factor), 0.0);
            self.playout.append(&self.decoded);
        }
    }

    /// The other side says nothing: what its room sounds like, as far as it told, for `missing` samples at 48 kHz.
    fn pause(&mut self, missing: usize) {
        self.decoded.clear();
        let factor = (SAMPLE_RATE / self.codec.sample_rate()) as usize;
        let samples = missing.div_ceil(factor);
        if let Some((_, noise)) = &mut self.comfort {
            self.decoded.resize(samples, 0.0);
            noise.fill(&mut self.decoded);
        } else {
            self.decoder.comfort(samples, &mut self.decoded);
        }
        self.playout.append(&self.decoded);
    }

    /// Sound that waits to be played, in ticks of the RTP clock.
    fn ticks_ahead(&self) -> u32 {
        let ticks = self.playout.waiting() as u64 * u64::from(self.codec.clock_rate());
        (ticks / u64::from(SAMPLE_RATE)) as u32
    }
}

/// Inter-arrival jitter (RFC 3550 section 6.4.1).
#[derive(Debug, Default)]
struct Arrivals {
    last: Option<(Instant, u64)>,
    jitter: Option<Duration>,
}

impl Arrivals {
    fn note(&mut self, now: Instant, timestamp: u64, clock_rate: u32) {
        if let Some((then, before)) = self.last {
            let sent = timestamp.abs_diff(before) as f64 / f64::from(clock_rate);
            let sent = if timestamp < before { -sent } else { sent };
            let came = now.saturating_duration_since(then).as_secs_f64();
            // An hour is no jitter but a jump of the sender's clock.
            let difference = (came - sent).abs();
            if difference < 3_600.0 {
                let jitter = self.jitter.unwrap_or_default().as_secs_f64();
                let smoothed = jitter + (difference - jitter) / 16.0;
                self.jitter = Some(Duration::from_secs_f64(smoothed));
            }
        }
        self.last = Some((now, timestamp));
    }
}
