//! WebRTC's audio processing in its Rust port: the one door to the `sonora` crate.

use std::fmt;
use std::time::Duration;

use sonora::config::{
    AdaptiveDigital, EchoCanceller, GainController2, HighPassFilter, MaxProcessingRate,
    NoiseSuppression, Pipeline,
};
use sonora::{AudioProcessing, Config, StreamConfig};

use super::{Processing, Processor};
use crate::SAMPLE_RATE;

/// Samples it takes at once: 10 ms.
const PIECE: usize = SAMPLE_RATE as usize / 100;

/// Of a faint voice, at most so many dB are added: more would bring up the room.
const MAX_GAIN_DB: f32 = 24.0;

/// What a voice is given before anything is known of it, in dB.
const FIRST_GAIN_DB: f32 = 3.0;

/// Echo, noise, level and rumble in one.
pub(super) struct WebRtc {
    processing: AudioProcessing,
    /// Whether what is played matters to it.
    listens: bool,
    /// Where a piece is written to.
    made: Vec<f32>,
}

impl WebRtc {
    pub(super) fn new(chosen: Processing) -> WebRtc {
        let stream = StreamConfig::new(SAMPLE_RATE, 1);
        let processing = AudioProcessing::builder()
            .config(config(chosen))
            .capture_config(stream)
            .render_config(stream)
            .build();
        WebRtc {
            processing,
            listens: chosen.echo,
            made: vec![0.0; PIECE],
        }
    }
}

fn config(chosen: Processing) -> Config {
    let gain = || GainController2 {
        adaptive_digital: Some(AdaptiveDigital {
            max_gain_db: MAX_GAIN_DB,
            initial_gain_db: FIRST_GAIN_DB,
            ..AdaptiveDigital::default()
        }),
        ..GainController2::default()
    };
    Config {
        pipeline: Pipeline {
            maximum_internal_processing_rate: MaxProcessingRate::Rate48kHz,
            multi_channel_render: false,
            multi_channel_capture: false,
            ..Pipeline::default()
        },
        high_pass_filter: chosen.high_pass.then(HighPassFilter::default),
        echo_canceller: chosen.echo.then(EchoCanceller::default),
        noise_suppression: chosen.noise.then(NoiseSuppression::default),
        gain_controller2: chosen.gain.then(gain),
        ..Config::default()
    }
}

impl Processor for WebRtc {
    fn played(&mut self, samples: &[f32]) {
        if !self.listens {
            return;
        }
        for piece in samples.chunks_exact(PIECE) {
            // A piece of the right length is never refused; without it the echo stays, and sound goes on.
            let _ = self
                .processing
                .process_render_f32(&[piece], &mut [&mut self.made]);
        }
    }

    fn process(&mut self, samples: &mut [f32], delay: Duration) {
        let delay = i32::try_from(delay.as_millis()).unwrap_or(i32::MAX);
        for piece in samples.chunks_exact_mut(PIECE) {
            // More than it can use is as much as it can use.
            let _ = self.processing.set_stream_delay_ms(delay);
            let done = self
                .processing
                .process_capture_f32(&[piece], &mut [&mut self.made]);
            if done.is_ok() {
                piece.copy_from_slice(&self.made);
            }
        }
    }
}

impl fmt::Debug for WebRtc {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("WebRtc")
            .field("listens", &self.listens)
            .finish_non_exhaustive()
    }
}
