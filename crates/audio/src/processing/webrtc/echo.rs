//! WebRTC's echo canceller (AEC3), driven block by block with settings of ours.
//!
//! Owns the split into bands, the blocks and the settings. `sonora`'s own pipeline has no way to set the canceller, and by
//! the settings that it chooses, who speaks while the other side speaks is taken out with the echo.

use std::array;
use std::collections::VecDeque;
use std::time::Duration;

use sonora::high_pass_filter::HighPassFilter;
use sonora::three_band_filter_bank::{
    FULL_BAND_SIZE, NUM_BANDS, SPLIT_BAND_SIZE, ThreeBandFilterBank,
};
use sonora_aec3::block::Block;
use sonora_aec3::block_processor::BlockProcessor;
use sonora_aec3::common::BLOCK_SIZE;
use sonora_aec3::config::EchoCanceller3Config;

use crate::SAMPLE_RATE;

/// Full scale of what it works on: that of 16-bit samples.
const FULL_SCALE: f32 = 32_768.0;

/// What a microphone that is overdriven gives at least, at [`FULL_SCALE`].
const OVERDRIVEN: f32 = 32_700.0;

/// Samples of a band that wait for the rest of their block at most: pieces of 160 leave none or half a block of 64 over.
const LAG: usize = BLOCK_SIZE / 2;

/// The delay of the devices that it can use, in milliseconds.
const MOST_DELAY: i32 = 500;

/// Takes out what the loudspeaker plays and the microphone hears again, 10 ms at a time; the blocks delay it a little.
pub(super) struct EchoCanceller {
    processor: BlockProcessor,
    played: Bands,
    captured: Bands,
    /// What has passed, on its way back into pieces.
    passed: [VecDeque<f32>; NUM_BANDS],
    block: Block,
    rumble: HighPassFilter,
    /// A piece of one channel, as the high-pass filter takes it.
    piece: [Vec<f32>; 1],
}

impl EchoCanceller {
    pub(super) fn new() -> EchoCanceller {
        EchoCanceller {
            processor: BlockProcessor::new(&settings(), SAMPLE_RATE as usize, 1, 1),
            played: Bands::default(),
            captured: Bands::default(),
            passed: array::from_fn(|_| VecDeque::from([0.0; LAG])),
            block: Block::new(NUM_BANDS, 1),
            rumble: HighPassFilter::new(SAMPLE_RATE as i32, 1),
            piece: [vec![0.0; FULL_BAND_SIZE]],
        }
    }

    /// What was just handed to the loudspeaker: 10 ms. Anything else is not heard of.
    pub(super) fn played(&mut self, piece: &[f32]) {
        if let Ok(piece) = <&[f32; FULL_BAND_SIZE]>::try_from(piece) {
            self.played.split(&piece.map(|sample| sample * FULL_SCALE));
            while self.played.take(&mut self.block) {
                self.processor.buffer_render(&self.block);
            }
        }
    }

    /// Takes the echo out of 10 ms. Anything else stays as it is.
    pub(super) fn process(&mut self, piece: &mut [f32], delay: Duration) {
        let Ok(piece) = <&mut [f32; FULL_BAND_SIZE]>::try_from(piece) else {
            return;
        };
        let delay = i32::try_from(delay.as_millis()).unwrap_or(MOST_DELAY);
        self.processor.set_audio_buffer_delay(delay.min(MOST_DELAY));
        let mut wide = piece.map(|sample| sample * FULL_SCALE);
        let overdriven = wide.iter().any(|sample| sample.abs() >= OVERDRIVEN);
        self.without_rumble(&mut wide);
        self.captured.split(&wide);
        while self.captured.take(&mut self.block) {
            self.processor
                .process_capture(false, overdriven, None, &mut self.block);
            for (band, passed) in self.passed.iter_mut().enumerate() {
                passed.extend(self.block.view(band, 0));
            }
        }
        let mut bands = [[0.0; SPLIT_BAND_SIZE]; NUM_BANDS];
        for (band, passed) in bands.iter_mut().zip(&mut self.passed) {
            band.iter_mut()
                .zip(passed.drain(..SPLIT_BAND_SIZE.min(passed.len())))
                .for_each(|(sample, passed)| *sample = passed);
        }
        self.captured.bank.synthesis(&bands, &mut wide);
        *piece = wide.map(|sample| (sample / FULL_SCALE).clamp(-1.0, 1.0));
    }

    /// Rumble is no echo that could be learned, and would hide the one that is.
    fn without_rumble(&mut self, wide: &mut [f32; FULL_BAND_SIZE]) {
        let [piece] = &mut self.piece;
        piece.copy_from_slice(wide);
        self.rumble.process_channels(&mut self.piece);
        wide.copy_from_slice(&self.piece[0]);
    }
}

/// A stream in three bands of 8 kHz each, whose blocks are shorter than its pieces.
struct Bands {
    bank: ThreeBandFilterBank,
    waiting: [VecDeque<f32>; NUM_BANDS],
}

impl Default for Bands {
    fn default() -> Self {
        Bands {
            bank: ThreeBandFilterBank::new(),
            waiting: array::from_fn(|_| VecDeque::with_capacity(SPLIT_BAND_SIZE + BLOCK_SIZE)),
        }
    }
}

impl Bands {
    fn split(&mut self, piece: &[f32; FULL_BAND_SIZE]) {
        let mut bands = [[0.0; SPLIT_BAND_SIZE]; NUM_BANDS];
        self.bank.analysis(piece, &mut bands);
        for (band, waiting) in bands.iter().zip(&mut self.waiting) {
            waiting.extend(band);
        }
    }

    /// The next block, if there is a whole one.
    fn take(&mut self, block: &mut Block) -> bool {
        if self.waiting[0].len() < BLOCK_SIZE {
            return false;
        }
        for (band, waiting) in self.waiting.iter_mut().enumerate() {
            let view = block.view_mut(band, 0).iter_mut();
            view.zip(waiting.drain(..BLOCK_SIZE))
                .for_each(|(sample, waiting)| *sample = waiting);
        }
        true
    }
}

/// Where they differ from WebRTC's, who speaks while the other side speaks is kept better. Each was chosen by measurement.
fn settings() -> EchoCanceller3Config {
    let mut it = EchoCanceller3Config::default();

    // The fast filter follows the near voice and takes it out: its output is not used, and the slow one hardly learns while
    // both speak. It is longer in return, 80 ms of a room.
    it.filter.enable_coarse_filter_output_usage = false;
    it.filter.refined.error_ceil = 0.01;
    it.filter.refined.length_blocks = 20;
    it.filter.coarse.length_blocks = 20;
    // At first it has to learn quickly: what the echo's way is, nobody knows.
    it.filter.refined_initial.error_ceil = 0.3;
    it.filter.refined_initial.leakage_diverged = 2.0;

    // What is believed to be left behind the filter, as powers: up to 12 and 9 dB less than what it took out, and
    // hardly any reverberation while the near voice is the louder one.
    it.erle.max_l = 16.0;
    it.erle.max_h = 8.0;
    it.ep_strength.nearend_len = 0.1;

    // Then next to nothing is suppressed; that it is the louder one has to be plain, and else a little more is.
    let near = &mut it.suppressor.nearend_tuning;
    (near.mask_lf.enr_transparent, near.mask_lf.enr_suppress) = (10.0, 20.0);
    (near.mask_hf.enr_transparent, near.mask_hf.enr_suppress) = (5.0, 10.0);
    it.suppressor.dominant_nearend_detection.enr_threshold = 0.15;
    let echo = &mut it.suppressor.normal_tuning;
    (echo.mask_lf.enr_transparent, echo.mask_lf.enr_suppress) = (0.2, 0.3);
    (echo.mask_hf.enr_transparent, echo.mask_hf.enr_suppress) = (0.05, 0.08);
    it
}
