//! The way out: 48 kHz frames to RTP packets.

use super::Config;
use crate::codec::{Codec, CodecError, Encoder};
use crate::dtmf::{Began, Dialler, Digit, Report, Step, TelephoneEvents};
use crate::rate::Downsampler;
use crate::rtp::Sender;
use crate::sdp::{Negotiated, OpusParameters};
use crate::tone::ToneGenerator;
use crate::{FRAME, SAMPLE_RATE};

#[derive(Debug)]
pub(super) struct Sending {
    pub(super) muted: bool,
    codec: Codec,
    encoder: Box<dyn Encoder>,
    /// For codecs below 48 kHz.
    downsampler: Downsampler,
    rtp: Sender,
    expected_loss: u8,
    keys: Keys,
    // Kept between frames for their capacity.
    narrow: Vec<f32>,
    payload: Vec<u8>,
    packet: Vec<u8>,
}

impl Sending {
    pub(super) fn new(config: &Config) -> Result<Sending, CodecError> {
        let codec = config.negotiated.codec;
        Ok(Sending {
            muted: false,
            codec,
            encoder: codec.encoder(&config.negotiated.opus)?,
            downsampler: Downsampler::to(codec.sample_rate()),
            rtp: Sender::new(config.ssrc, config.first_sequence, config.first_timestamp),
            expected_loss: 0,
            keys: Keys::default(),
            narrow: Vec::new(),
            payload: Vec::new(),
            packet: Vec::new(),
        })
    }

    /// Make the next 20 ms a packet: `samples`, or the key that is pressed. Its payload's length; `None`: nothing to
    /// send.
    pub(super) fn code(&mut self, samples: &[f32], negotiated: &Negotiated) -> Option<usize> {
        if samples.len() != FRAME {
            return None;
        }
        let events = negotiated.telephone_events.as_ref();
        let clock = events.map_or(SAMPLE_RATE, |events| events.clock_rate);
        let step = self.keys.dialler.step((clock / 50) as u16);
        let sent = match (step, events) {
            (None, _) => self.sound(if self.muted { &SILENCE } else { samples }, negotiated),
            (Some(step), Some(events)) => self.tell(step, events),
            (Some(step), None) => {
                let frame = self.keys.sound(step);
                self.sound(&frame, negotiated)
            }
        };
        if sent.is_none() {
            self.rtp.pause();
        }
        self.rtp.advance(self.frame_ticks());
        sent
    }

    /// Press keys, one after the other, instead of the microphone.
    pub(super) fn press(&mut self, digits: &[Digit]) {
        self.keys.dialler.press(digits);
    }

    fn sound(&mut self, samples: &[f32], negotiated: &Negotiated) -> Option<usize> {
        if let Err(error) = self.encode(samples) {
            tracing::debug!(%error, "a frame could not be coded");
            self.payload.clear();
        }
        let sent = !self.payload.is_empty()
            && self.rtp.write(
                negotiated.send_payload_type,
                &self.payload,
                &mut self.packet,
            );
        sent.then_some(self.payload.len())
    }

    /// All packets of an event carry the timestamp of its beginning; the sound is left out meanwhile.
    fn tell(&mut self, step: Step, events: &TelephoneEvents) -> Option<usize> {
        let (report, marker) = match step {
            Step::Down(_, report, Began::Now) => {
                self.keys.began = self.rtp.timestamp();
                (report, true)
            }
            Step::Down(_, report, Began::Before) | Step::Up(report) => (report, false),
            Step::Pause => return None,
        };
        self.rtp.pause();
        let sent = self.rtp.write_at(
            self.keys.began,
            marker,
            events.send_payload_type,
            &report.write(),
            &mut self.packet,
        );
        sent.then_some(Report::BYTES)
    }

    /// The media clock goes on while nothing is sent.
    pub(super) fn skip(&mut self) {
        // A key that was pressed while nobody could hear it is not pressed later.
        self.keys.dialler.clear();
        self.rtp.pause();
        self.rtp.advance(self.frame_ticks());
    }

    /// Where the media clock stands.
    pub(super) fn timestamp(&self) -> u32 {
        self.rtp.timestamp()
    }

    /// The packet of the last [`Sending::code`].
    pub(super) fn packet(&self) -> &[u8] {
        &self.packet
    }

    /// The same, to be sealed.
    pub(super) fn packet_mut(&mut self) -> &mut Vec<u8> {
        &mut self.packet
    }

    pub(super) fn set_expected_loss(&mut self, percent: u8) -> Result<(), CodecError> {
        self.expected_loss = percent;
        self.encoder.set_expected_loss(percent)
    }

    pub(super) fn change_codec(
        &mut self,
        codec: Codec,
        wanted: &OpusParameters,
    ) -> Result<(), CodecError> {
        self.encoder = codec.encoder(wanted)?;
        self.encoder.set_expected_loss(self.expected_loss)?;
        if self.codec.sample_rate() != codec.sample_rate() {
            self.downsampler = Downsampler::to(codec.sample_rate());
        }
        self.codec = codec;
        self.rtp.pause();
        Ok(())
    }

    fn encode(&mut self, samples: &[f32]) -> Result<(), CodecError> {
        if self.codec.sample_rate() == SAMPLE_RATE {
            return self.encoder.encode(samples, &mut self.payload);
        }
        self.narrow.clear();
        self.downsampler.process(samples, &mut self.narrow);
        self.encoder.encode(&self.narrow, &mut self.payload)
    }

    /// Ticks of the RTP clock in 20 ms.
    fn frame_ticks(&self) -> u32 {
        self.codec.clock_rate() / 50
    }
}

/// The keys that are pressed, and how they sound to those who know no events.
#[derive(Debug, Default)]
struct Keys {
    dialler: Dialler,
    /// When the key went down, by the media clock.
    began: u32,
    tone: Option<ToneGenerator>,
}

impl Keys {
    fn sound(&mut self, step: Step) -> [f32; FRAME] {
        let mut frame = SILENCE;
        match step {
            Step::Down(digit, _, began) => {
                if began == Began::Now {
                    self.tone = Some(ToneGenerator::new(digit.tone()));
                }
                if let Some(tone) = &mut self.tone {
                    tone.fill(&mut frame);
                }
            }
            Step::Up(_) | Step::Pause => self.tone = None,
        }
        frame
    }
}

const SILENCE: [f32; FRAME] = [0.0; FRAME];
