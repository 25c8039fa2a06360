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
use crate::jitter::{AdaptiveJitterBuffer, Inserted, JitterBuffer, Losses, Next, Packet};
use crate::playout::{Playout, Stretched};
use crate::rtp::{Numbered, Received, SequenceExtender, TimestampExtender};
use crate::sdp::Negotiated;

/// Comfort noise at an 8 kHz clock (RFC 3551 table 4).
const COMFORT_NOISE: u8 = 13;

#[derive(Debug)]
pub(super) struct Receiving {
    /// Of what is played.
    codec: Codec,
    decoder: Box<dyn Decoder>,
    jitter: Box<dyn JitterBuffer>,
    playout: Playout,
    ssrc: Option<u32>,
    sequences: SequenceExtender,
    timestamps: TimestampExtender,
    /// The highest number of a packet with sound.
    newest: u64,
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
            newest: 0,
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
        let Some(carried) = self.carried(&packet, negotiated, counters) else {
            return;
        };
        let duration = carried.duration;
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
                self.newest = 0;
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
        if let Some(decoder) = carried.other_clock {
            if sequence < self.newest {
                // From before a change that has taken place.
                counters.late += 1;
                return;
            }
            self.change_clock(carried.codec, decoder, counters);
        }
        let timestamp = self.timestamps.extend(packet.timestamp);
        if duration > 0 {
            self.newest = self.newest.max(sequence);
            self.arrivals.note(now, timestamp, self.codec.clock_rate());
        } else if packet.payload_type == COMFORT_NOISE {
            self.take_comfort(sequence, packet.payload);
        }
        let inserted = self.jitter.insert(Packet {
            sequence,
            timestamp,
            duration,
            redundancy: self.decoder.redundancy(packet.payload),
            codec: carried.codec,
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
        self.newest = 0;
        self.sequences = SequenceExtender::default();
        self.timestamps = TimestampExtender::default();
        self.arrivals = Arrivals::default();
        self.comfort = None;
        self.playout.clear();
    }

    /// What is played now.
    pub(super) fn codec(&self) -> Codec {
        self.codec
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

    /// What a packet carries. `None`: nothing that can be used.
    fn carried(
        &self,
        packet: &Received<'_>,
        negotiated: &Negotiated,
        counters: &mut Counters,
    ) -> Option<Carried> {
        let Some(codec) = negotiated.codec_of(packet.payload_type) else {
            match packet.payload_type {
                number if negotiated.is_telephone_event(number) => counters.telephone_events += 1,
                COMFORT_NOISE => counters.comfort_noise += 1,
                _ => counters.unknown_payload += 1,
            }
            return Some(Carried {
                codec: self.codec,
                duration: 0,
                other_clock: None,
            });
        };
        // Codecs that share the clock of 8 kHz have a byte for each of its ticks, whichever it is.
        let other_clock = match codec.clock_rate() == self.codec.clock_rate() {
            true => None,
            false => Some(codec.decoder().ok()?),
        };
        let decoder = other_clock.as_ref().unwrap_or(&self.decoder);
        let duration = decoder.duration(packet.payload).ok();
        if duration.is_none() {
            counters.malformed_payload += 1;
        }
        Some(Carried {
            codec,
            duration: duration?,
            other_clock,
        })
    }

    /// The other side has changed to a codec whose ticks are others: what is known of the old ones means nothing any more
    /// (RFC 7160 section 4.1), and what waits undecoded is given up.
    fn change_clock(&mut self, codec: Codec, decoder: Box<dyn Decoder>, counters: &mut Counters) {
        *counters = counters.with(self.jitter.losses(), None);
        self.jitter = adaptive_buffer(codec);
        self.timestamps = TimestampExtender::default();
        self.arrivals = Arrivals::default();
        self.comfort = None;
        self.use_decoder(codec, decoder);
    }

    fn use_decoder(&mut self, codec: Codec, decoder: Box<dyn Decoder>) {
        self.codec = codec;
        self.decoder = decoder;
        self.playout.change(codec.sample_rate(), codec.clock_rate());
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
                if packet.codec != self.codec
                    && let Ok(decoder) = packet.codec.decoder()
                {
                    self.use_decoder(packet.codec, decoder);
                }
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
            Next::Starved { duration }
                if self.comfort.is_none() && !self.decoder.foretells_pause() =>
            {
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

/// What a packet carries.
struct Carried {
    codec: Codec,
    /// Ticks of sound; 0: it carries none.
    duration: u32,
    /// For a codec of another clock than the one that is played.
    other_clock: Option<Box<dyn Decoder>>,
}

/// A buffer for the ticks of this codec.
pub(super) fn adaptive_buffer(codec: Codec) -> Box<dyn JitterBuffer> {
    Box::new(AdaptiveJitterBuffer::new(codec.clock_rate()))
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
