//! What becomes of an echo, and of who speaks at the same time: a synthetic room at three delays.

use std::time::{Duration, Instant};

use rand::rngs::StdRng;
use rand::{Rng, SeedableRng};
use rollcall_audio::Processing;
use rollcall_media::codec::Codec;
use rollcall_media::{FRAME, SAMPLE_RATE};

use super::score;
use super::speech::{Speech, resample};
use crate::Result;

const RATE: usize = SAMPLE_RATE as usize;
/// A headset's cable, a laptop, a wireless loudspeaker.
const DELAYS: [u64; 3] = [25, 90, 220];
/// What may be learned first.
const LEARNING: usize = 2 * RATE;
/// The direct sound at the microphone, of what was played.
const DIRECT: f32 = 0.35;
/// Reflections, and the seconds after which they are 60 dB fainter.
const REFLECTIONS: usize = 200;
const REVERBERATION: f64 = 0.3;

/// Prints the table.
pub(crate) fn measure(seed: u64) -> Result<()> {
    let speech = Speech::read()?;
    let near = speech.full();
    // The other side says the same, but begins in the middle.
    let far: Vec<f32> = near
        .iter()
        .cycle()
        .skip(near.len() / 2)
        .take(near.len())
        .copied()
        .collect();
    println!(
        "Echo in a synthetic room, {:.0} s of speech, seed {seed}; wide-band PESQ of the near voice while both speak\n",
        speech.seconds()
    );
    println!(
        "{:<22} {:>8} {:>10} {:>12} {:>12} {:>12}",
        "processing", "delay ms", "echo dB", "PESQ before", "PESQ after", "us a frame"
    );
    for delay in DELAYS {
        let echo = room(&far, Duration::from_millis(delay), seed);
        let both: Vec<f32> = near
            .iter()
            .zip(&echo)
            .map(|(near, echo)| near + echo)
            .collect();
        let before = judged(&speech, &both)?;
        for chosen in ["echo", "echo,high-pass,noise", "all"] {
            let processing: Processing = chosen.parse().map_err(|error| format!("{error}"))?;
            let alone = send(processing, &far, &echo, delay);
            let loss = power(&echo[LEARNING..]) / power(&alone.sound[LEARNING..]).max(1e-12);
            let kept = send(processing, &far, &both, delay);
            println!(
                "{chosen:<22} {delay:>8} {:>10.1} {before:>12.2} {:>12.2} {:>12.0}",
                10.0 * loss.log10(),
                judged(&speech, &kept.sound)?,
                kept.frame.as_secs_f64() * 1e6,
            );
        }
    }
    println!(
        "\necho: how much fainter it is sent than it was captured, after two seconds. before: as it was captured. us a frame:\n\
         of 20 ms, on this machine."
    );
    Ok(())
}

/// What was sent, and how long a frame took.
struct Sent {
    sound: Vec<f32>,
    frame: Duration,
}

fn send(chosen: Processing, played: &[f32], captured: &[f32], delay: u64) -> Sent {
    let mut sound = captured.to_vec();
    let Some(mut processor) = chosen.processor() else {
        return Sent {
            sound,
            frame: Duration::ZERO,
        };
    };
    let begin = Instant::now();
    let pairs = played
        .chunks_exact(FRAME)
        .zip(sound.chunks_exact_mut(FRAME));
    for (played, sent) in pairs {
        processor.played(played);
        processor.process(sent, Duration::from_millis(delay));
    }
    let frames = captured.len() / FRAME;
    Sent {
        frame: begin.elapsed() / u32::try_from(frames).unwrap_or(1),
        sound,
    }
}

fn judged(speech: &Speech, full: &[f32]) -> Result<f64> {
    Ok(score::score(Codec::Opus, speech, &resample(full, 1, 3))?.mean)
}

/// What a microphone hears of what is played.
fn room(played: &[f32], delay: Duration, seed: u64) -> Vec<f32> {
    let mut random = StdRng::seed_from_u64(seed);
    let mut paths = vec![(0, DIRECT)];
    paths.extend((0..REFLECTIONS).map(|_| {
        let after: f64 = random.random_range(0.002..REVERBERATION / 2.0);
        let fainter = 10f64.powf(-3.0 * after / REVERBERATION);
        let sign = if random.random_bool(0.5) { 0.05 } else { -0.05 };
        ((after * RATE as f64) as usize, sign * fainter as f32)
    }));
    let delay = (delay.as_secs_f64() * RATE as f64) as usize;
    let mut heard = vec![0.0; played.len()];
    for (after, gain) in paths {
        for (heard, played) in heard.iter_mut().skip(after + delay).zip(played) {
            *heard += gain * played;
        }
    }
    heard
}

fn power(samples: &[f32]) -> f64 {
    let sum: f64 = samples
        .iter()
        .map(|sample| f64::from(*sample).powi(2))
        .sum();
    sum / samples.len().max(1) as f64
}
