//! What is sent while nobody speaks: the share of the packets that a side which asked for it (DTX) is still sent.
//!
//! Prompts in a room whose noise never stops, each followed by a pause as long as itself.

use std::time::Duration;

use rand::rngs::StdRng;
use rand::{Rng, SeedableRng};
use rollcall_audio::Processing;
use rollcall_media::FRAME;
use rollcall_media::codec::Codec;
use rollcall_media::measure::level_dbfs;
use rollcall_media::sdp::OpusParameters;

use super::speech::{Speech, resample};
use crate::Result;

/// Of the noise, in dB below full scale.
const LEVELS: [f32; 3] = [-70.0, -60.0, -50.0];
/// Frames after a voice before a pause counts: the encoder waits for ten.
const LEARNING: usize = 25;
/// What the other side reports once it loses, in percent.
const LOSS: u8 = 5;

/// Prints the table.
pub(crate) fn measure(seed: u64) -> Result<()> {
    let speech = Speech::read()?;
    println!(
        "Packets of pauses that a side which asked for DTX is sent all the same, seed {seed}\n"
    );
    println!(
        "{:<6} {:>6} {:<12} {:>8} {:>12} {:>12}",
        "room",
        "dBFS",
        "processing",
        "level",
        "sent, 0 %",
        format!("sent, {LOSS} %")
    );
    let prompts: Vec<Vec<f32>> = speech.prompts()[..8]
        .iter()
        .map(|prompt| resample(prompt, 3, 1))
        .collect();
    for noise in [Noise::White, Noise::Pink, Noise::Brown] {
        for level in LEVELS {
            for processing in [Processing::OFF, Processing::ALL] {
                let (mut sound, pauses) = conversation(&prompts, noise, level, seed);
                process(processing, &mut sound);
                let room: Vec<f32> = frames_of(&pauses, &sound).flatten().copied().collect();
                println!(
                    "{:<6} {level:>6.0} {:<12} {:>8.1} {:>11.0}% {:>11.0}%",
                    noise.word(),
                    if processing == Processing::OFF {
                        "off"
                    } else {
                        "all"
                    },
                    level_dbfs(&room).unwrap_or(f64::NEG_INFINITY),
                    100.0 * sent(&sound, &pauses, 0)?,
                    100.0 * sent(&sound, &pauses, LOSS)?,
                );
            }
        }
    }
    println!(
        "\nsent: while that much loss is reported. level: of the pauses behind the processing."
    );
    Ok(())
}

/// What a room sounds like when nobody speaks.
#[derive(Debug, Clone, Copy)]
enum Noise {
    White,
    Pink,
    Brown,
}

impl Noise {
    fn word(self) -> &'static str {
        match self {
            Noise::White => "white",
            Noise::Pink => "pink",
            Noise::Brown => "brown",
        }
    }

    /// At this level below full scale.
    fn samples(self, count: usize, level: f32, seed: u64) -> Vec<f32> {
        let mut random = StdRng::seed_from_u64(seed);
        let mut white = move || random.random_range(-1.0..1.0f32);
        let mut slow = [0.0f32; 3];
        let mut next = || match self {
            Noise::White => white(),
            // Three poles that make 3 dB an octave (Kellet's economy filter).
            Noise::Pink => {
                let white = white();
                let poles = [
                    (0.99765, 0.099_046),
                    (0.963, 0.296_516_4),
                    (0.57, 1.052_691_3),
                ];
                for (slow, (keeps, takes)) in slow.iter_mut().zip(poles) {
                    *slow = keeps * *slow + takes * white;
                }
                slow.iter().sum::<f32>() + 0.1848 * white
            }
            Noise::Brown => {
                slow[0] = 0.995 * slow[0] + white();
                slow[0]
            }
        };
        let mut samples: Vec<f32> = std::iter::repeat_with(&mut next).take(count).collect();
        let is = level_dbfs(&samples).unwrap_or_default() as f32;
        let gain = 10f32.powf((level - is) / 20.0);
        samples.iter_mut().for_each(|sample| *sample *= gain);
        samples
    }
}

/// Prompts and pauses, and which frames are pauses.
fn conversation(
    prompts: &[Vec<f32>],
    noise: Noise,
    level: f32,
    seed: u64,
) -> (Vec<f32>, Vec<bool>) {
    let (mut sound, mut pauses) = (Vec::new(), Vec::new());
    for prompt in prompts {
        let frames = prompt.len() / FRAME;
        sound.extend_from_slice(&prompt[..frames * FRAME]);
        sound.resize(sound.len() + frames * FRAME, 0.0);
        pauses.resize(pauses.len() + frames + LEARNING.min(frames), false);
        pauses.resize(pauses.len() + frames.saturating_sub(LEARNING), true);
    }
    let room = noise.samples(sound.len(), level, seed);
    for (sample, room) in sound.iter_mut().zip(room) {
        *sample += room;
    }
    (sound, pauses)
}

fn frames_of<'a>(pauses: &'a [bool], sound: &'a [f32]) -> impl Iterator<Item = &'a [f32]> {
    let frames = sound.chunks_exact(FRAME).zip(pauses);
    frames.filter(|(_, pause)| **pause).map(|(frame, _)| frame)
}

fn process(processing: Processing, sound: &mut [f32]) {
    let Some(mut processor) = processing.processor() else {
        return;
    };
    for frame in sound.chunks_exact_mut(FRAME) {
        processor.played(&[0.0; FRAME]);
        processor.process(frame, Duration::from_millis(25));
    }
}

/// Share of the pauses' packets that go out.
fn sent(sound: &[f32], pauses: &[bool], loss: u8) -> Result<f64> {
    let wanted = OpusParameters {
        dtx: true,
        ..OpusParameters::default()
    };
    let words = |error: &dyn std::fmt::Display| error.to_string();
    let mut encoder = Codec::Opus
        .encoder(&wanted)
        .map_err(|error| words(&error))?;
    let told = encoder.set_expected_loss(loss);
    told.map_err(|error| words(&error))?;
    let (mut payload, mut sent, mut all) = (Vec::new(), 0usize, 0usize);
    for (frame, pause) in sound.chunks_exact(FRAME).zip(pauses) {
        let encoded = encoder.encode(frame, &mut payload);
        encoded.map_err(|error| words(&error))?;
        if *pause {
            all += 1;
            sent += usize::from(!payload.is_empty());
        }
    }
    Ok(sent as f64 / all.max(1) as f64)
}
