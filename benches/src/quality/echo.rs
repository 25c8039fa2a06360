//! What becomes of an echo, and of who speaks at the same time: synthetic rooms, at three delays and three levels.

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
/// What may be learned first.
const LEARNING: usize = 2 * RATE;
/// The direct sound at the microphone, of what was played, before the room is scaled.
const DIRECT: f32 = 0.35;
/// Reflections, and the seconds after which they are 60 dB fainter.
const REFLECTIONS: usize = 200;
const REVERBERATION: f64 = 0.3;
/// Level of a voice, RMS with its pauses, in dB below full scale.
const VOICE: f64 = -26.0;

/// A place to speak at: after how many milliseconds the loudspeaker is heard by the microphone, and how many dB fainter than
/// the voice.
struct Room {
    name: &'static str,
    delay: u64,
    fainter: f64,
}

const ROOMS: [Room; 5] = [
    room("laptop", 25, 15.0),
    room("laptop, slow sound", 90, 15.0),
    room("wireless speaker", 220, 15.0),
    room("headset", 90, 30.0),
    room("loudspeaker turned up", 90, 6.0),
];

const fn room(name: &'static str, delay: u64, fainter: f64) -> Room {
    Room {
        name,
        delay,
        fainter,
    }
}

/// Prints the table.
pub(crate) fn measure(seed: u64) -> Result<()> {
    let speech = Speech::read()?;
    let begin = speech.begin_of_scored();
    // The other side says the same, but begins in the middle, and for a while it speaks alone.
    let all = speech.full();
    let far = at_level(all.iter().cycle().skip(all.len() / 2).take(all.len()));
    let mut near = at_level(all.iter());
    near[..begin].fill(0.0);
    println!(
        "Echo in synthetic rooms, {:.0} s of speech, seed {seed}. Both speak without a break once the other side has spoken alone \
         for {:.0} s; wide-band PESQ of the near voice\n",
        speech.seconds(),
        begin as f64 / RATE as f64
    );
    println!(
        "{:<22} {:>5} {:>7} {:<21} {:>8} {:>6} {:>8} {:>6} {:>8} {:>9}",
        "room",
        "ms",
        "echo",
        "processing",
        "removed",
        "alone",
        "captured",
        "sent",
        "level",
        "us/frame"
    );
    for room in ROOMS {
        let echo = room.echo(&far, &near[begin..], seed);
        let sum = |(near, echo): (&f32, &f32)| near + echo;
        let both: Vec<f32> = near.iter().zip(&echo).map(sum).collect();
        let captured = judged(&speech, &both)?;
        for chosen in ["echo", "echo,high-pass,noise", "all"] {
            let processing: Processing = chosen.parse().map_err(|error| format!("{error}"))?;
            let silent = vec![0.0; far.len()];
            let alone = send(processing, &silent, &near, room.delay);
            let only_echo = send(processing, &far, &echo, room.delay);
            let loss = power(&echo[LEARNING..]) / power(&only_echo.sound[LEARNING..]).max(1e-12);
            let kept = send(processing, &far, &both, room.delay);
            println!(
                "{:<22} {:>5} {:>4.0} dB {chosen:<21} {:>5.1} dB {:>6.2} {captured:>8.2} {:>6.2} {:>5.1} dB {:>9.0}",
                room.name,
                room.delay,
                -room.fainter,
                decibels(loss),
                judged(&speech, &alone.sound)?,
                judged(&speech, &kept.sound)?,
                decibels(power(&kept.sound[begin..]) / power(&alone.sound[begin..])),
                kept.frame.as_secs_f64() * 1e6,
            );
        }
    }
    println!(
        "\necho: of the near voice. removed: how much fainter the echo alone is sent than it was captured, after two seconds.\n\
         alone: the near voice while the other side is silent. captured, sent: while both speak, before and after. level: of what is\n\
         sent while both speak, against the near voice alone. us/frame: of 20 ms, on this machine."
    );
    Ok(())
}

/// Brought to the level of a voice.
fn at_level<'a>(samples: impl Iterator<Item = &'a f32>) -> Vec<f32> {
    let mut samples: Vec<f32> = samples.copied().collect();
    let gain = 10f64.powf((VOICE - decibels(power(&samples))) / 20.0) as f32;
    samples.iter_mut().for_each(|sample| *sample *= gain);
    samples
}

fn decibels(power: f64) -> f64 {
    10.0 * power.log10()
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

impl Room {
    /// What the microphone hears of what is played, beside somebody who speaks.
    fn echo(&self, played: &[f32], voice: &[f32], seed: u64) -> Vec<f32> {
        let mut random = StdRng::seed_from_u64(seed);
        let mut paths = vec![(0, DIRECT)];
        paths.extend((0..REFLECTIONS).map(|_| {
            let after: f64 = random.random_range(0.002..REVERBERATION / 2.0);
            let fainter = 10f64.powf(-3.0 * after / REVERBERATION);
            let sign = if random.random_bool(0.5) { 0.05 } else { -0.05 };
            ((after * RATE as f64) as usize, sign * fainter as f32)
        }));
        let delay = self.delay as usize * RATE / 1_000;
        let mut heard = vec![0.0; played.len()];
        for (after, gain) in paths {
            for (heard, played) in heard.iter_mut().skip(after + delay).zip(played) {
                *heard += gain * played;
            }
        }
        let wanted = power(voice) * 10f64.powf(-self.fainter / 10.0);
        let gain = (wanted / power(&heard)).sqrt() as f32;
        heard.iter_mut().for_each(|sample| *sample *= gain);
        heard
    }
}

fn power(samples: &[f32]) -> f64 {
    let sum: f64 = samples
        .iter()
        .map(|sample| f64::from(*sample).powi(2))
        .sum();
    sum / samples.len().max(1) as f64
}
