//! What tests say into a codec, in frames at 48 kHz.

use std::f32::consts::TAU;

use crate::{FRAME, SAMPLE_RATE};

/// Syllables of a pitch that moves: what stands still is music to the encoder, and so is the quiet behind it.
pub(crate) fn sentence(frame: usize) -> Vec<f32> {
    let at = |i: usize| {
        let t = i as f32 / SAMPLE_RATE as f32;
        let turns = 140.0 * t - 6.0 * (TAU * 0.7 * t).cos();
        let syllable = (TAU * 3.5 * t).sin().max(0.0);
        let harmonics = (1..20).map(|k| (TAU * turns * k as f32).sin());
        0.05 * syllable * harmonics.sum::<f32>()
    };
    (frame * FRAME..(frame + 1) * FRAME).map(at).collect()
}

/// A quiet room.
pub(crate) fn room(frame: usize) -> Vec<f32> {
    let mut chance = frame as u32 + 1;
    let noise = || {
        chance = chance.wrapping_mul(1_664_525).wrapping_add(1_013_904_223);
        0.004 * ((chance >> 8) as f32 / (1 << 23) as f32 - 1.0)
    };
    std::iter::repeat_with(noise).take(FRAME).collect()
}
