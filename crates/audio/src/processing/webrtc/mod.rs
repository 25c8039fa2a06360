//! WebRTC's audio processing in its Rust port: the one door to the `sonora` crates.
//!
//! The echo canceller comes first and is driven by us; noise, level and rumble are left to `sonora`'s own pipeline.

mod echo;

use std::fmt;
use std::time::Duration;

use sonora::config::{
    AdaptiveDigital, GainController2, HighPassFilter, MaxProcessingRate, NoiseSuppression, Pipeline,
};
use sonora::{AudioProcessing, Config, StreamConfig};

use echo::EchoCanceller;

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
    echo: Option<EchoCanceller>,
    rest: Option<Rest>,
}

/// What is done to the sound without its echo.
struct Rest {
    processing: AudioProcessing,
    /// Where a piece is written to.
    made: Vec<f32>,
}

impl WebRtc {
    pub(super) fn new(chosen: Processing) -> WebRtc {
        // Before echo is taken out, rumble is.
        let left = Processing {
            echo: false,
            high_pass: chosen.high_pass && !chosen.echo,
            ..chosen
        };
        WebRtc {
            echo: chosen.echo.then(EchoCanceller::new),
            rest: (left != Processing::OFF).then(|| Rest::new(left)),
        }
    }
}

impl Processor for WebRtc {
    fn played(&mut self, samples: &[f32]) {
        if let Some(echo) = &mut self.echo {
            samples
                .chunks_exact(PIECE)
                .for_each(|piece| echo.played(piece));
        }
    }

    fn process(&mut self, samples: &mut [f32], delay: Duration) {
        for piece in samples.chunks_exact_mut(PIECE) {
            if let Some(echo) = &mut self.echo {
                echo.process(piece, delay);
            }
            if let Some(rest) = &mut self.rest {
                rest.process(piece);
            }
        }
    }
}

impl fmt::Debug for WebRtc {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("WebRtc")
            .field("echo", &self.echo.is_some())
            .field("rest", &self.rest.is_some())
            .finish()
    }
}

impl Rest {
    fn new(chosen: Processing) -> Rest {
        let stream = StreamConfig::new(SAMPLE_RATE, 1);
        let processing = AudioProcessing::builder()
            .config(config(chosen))
            .capture_config(stream)
            .render_config(stream)
            .build();
        Rest {
            processing,
            made: vec![0.0; PIECE],
        }
    }

    fn process(&mut self, piece: &mut [f32]) {
        let done = self
            .processing
            .process_capture_f32(&[piece], &mut [&mut self.made]);
        // A piece of the right length is never refused; should it be, sound goes on as it was.
        if done.is_ok() {
            piece.copy_from_slice(&self.made);
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
        noise_suppression: chosen.noise.then(NoiseSuppression::default),
        gain_controller2: chosen.gain.then(gain),
        ..Config::default()
    }
}
