//! The way out: 48 kHz frames to RTP packets.

use super::Config;
use crate::codec::{Codec, CodecError, Encoder};
use crate::rate::Downsampler;
use crate::rtp::Sender;
use crate::sdp::OpusParameters;
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
            narrow: Vec::new(),
            payload: Vec::new(),
            packet: Vec::new(),
        })
    }

    /// Code a frame and put it into a packet; its payload's length. `None`: nothing to send.
    pub(super) fn code(&mut self, samples: &[f32], payload_type: u8) -> Option<usize> {
        if samples.len() != FRAME {
            return None;
        }
        let coded = self.encode(if self.muted { &SILENCE } else { samples });
        if let Err(error) = coded {
            tracing::debug!(%error, "a frame could not be coded");
            self.payload.clear();
        }
        let sent = !self.payload.is_empty()
            && self
                .rtp
                .write(payload_type, &self.payload, &mut self.packet);
        if !sent {
            self.rtp.pause();
        }
        self.rtp.advance(self.frame_ticks());
        sent.then_some(self.payload.len())
    }

    /// The media clock goes on while nothing is sent.
    pub(super) fn skip(&mut self) {
        self.rtp.pause();
        self.rtp.advance(self.frame_ticks());
    }

    /// The packet of the last [`Sending::code`].
    pub(super) fn packet(&self) -> &[u8] {
        &self.packet
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

static SILENCE: [f32; FRAME] = [0.0; FRAME];
