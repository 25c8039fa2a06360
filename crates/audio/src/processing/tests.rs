//! A synthetic room: what is played comes back later, fainter and with reverberation, beside a voice at the microphone.

use std::f32::consts::TAU;

use super::*;
use crate::SAMPLE_RATE;

const RATE: usize = SAMPLE_RATE as usize;
const FRAME: usize = RATE / 50;

/// Numbers between -1 and 1 that look random and are always the same.
struct Noise(u32);

impl Noise {
    fn next(&mut self) -> f32 {
        self.0 = self.0.wrapping_mul(1_664_525).wrapping_add(1_013_904_223);
        (self.0 >> 8) as f32 / (1 << 23) as f32 - 1.0
    }
}

/// Like a voice: pulses of a pitch that moves, through the resonances of a mouth that moves, in syllables with pauses.
fn voice(seed: u32, seconds: usize) -> Vec<f32> {
    let mut noise = Noise(seed);
    let (mut phase, mut samples) = (0.0f32, Vec::with_capacity(seconds * RATE));
    let mut mouth = [[0.0f32; 2]; 3];
    let (mut vowel, mut pitch, mut loud) = ([0.0f32; 3], 0.0f32, 0.0f32);
    for n in 0..seconds * RATE {
        if n % (RATE / 5) == 0 {
            let mut between =
                |least: f32, most: f32| least + (most - least) * (noise.next() + 1.0) / 2.0;
            vowel = [
                between(300.0, 800.0),
                between(900.0, 2_200.0),
                between(2_400.0, 3_200.0),
            ];
            pitch = between(100.0, 180.0);
            loud = between(-0.3, 1.0).max(0.0);
        }
        phase += pitch / RATE as f32;
        let pulse = if phase >= 1.0 { 1.0 } else { 0.0 };
        phase -= phase.floor();
        let breath = 0.02 * noise.next();
        let syllable = (TAU / 2.0 * (n % (RATE / 5)) as f32 / (RATE / 5) as f32).sin();
        let mut sample = 0.0;
        for (hertz, [one, two]) in vowel.iter().zip(&mut mouth) {
            let (radius, angle) = (0.994f32, TAU * hertz / RATE as f32);
            let next =
                (pulse + breath) + 2.0 * radius * angle.cos() * *one - radius * radius * *two;
            (*two, *one) = (*one, next);
            sample += next * angle.sin();
        }
        samples.push(sample * loud * syllable);
    }
    let level = power(&samples).sqrt();
    samples
        .iter_mut()
        .for_each(|sample| *sample *= 0.08 / level);
    samples
}

/// What a microphone hears of `played` in a room, `delay` later: some 8 dB fainter, with 80 ms of reverberation.
fn room(played: &[f32], delay: Duration) -> Vec<f32> {
    let mut noise = Noise(7);
    let mut walls = vec![(0, 0.35f32)];
    walls.extend((0..60).map(|_| {
        let at = 0.001 + 0.04 * (noise.next() + 1.0);
        (
            (at * RATE as f32) as usize,
            0.08 * (-at * 40.0).exp() * noise.next().signum(),
        )
    }));
    let delay = (delay.as_secs_f64() * RATE as f64) as usize;
    let mut heard = vec![0.0; played.len()];
    for (at, gain) in walls {
        let from = at + delay;
        for (heard, played) in heard.iter_mut().skip(from).zip(played) {
            *heard += gain * played;
        }
    }
    heard
}

fn power(samples: &[f32]) -> f32 {
    samples.iter().map(|sample| sample * sample).sum::<f32>() / samples.len().max(1) as f32
}

fn decibels(ratio: f32) -> f32 {
    10.0 * ratio.max(1e-12).log10()
}

/// What is sent of `captured` while `played` is played.
fn send(chosen: Processing, played: &[f32], captured: &[f32], delay: Duration) -> Vec<f32> {
    let mut processor = chosen.processor().expect("something is to be done");
    let mut sent = captured.to_vec();
    for (played, sent) in played.chunks_exact(FRAME).zip(sent.chunks_exact_mut(FRAME)) {
        processor.played(played);
        processor.process(sent, delay);
    }
    sent
}

/// How much `one` is like the `other`, 0 to 1, at the shift (of up to 20 ms) that fits best.
fn likeness(one: &[f32], other: &[f32]) -> f32 {
    let product = |shift: usize| {
        let pairs = one.iter().skip(shift).zip(other);
        pairs.map(|(one, other)| one * other).sum::<f32>()
    };
    let most = (0..RATE / 50).map(product).fold(0.0, f32::max);
    most / (power(one) * power(other)).sqrt() / one.len() as f32
}

const ECHO_ONLY: Processing = Processing {
    echo: true,
    ..Processing::OFF
};

/// Delays of a headset's cable, of a laptop and of a wireless loudspeaker.
const DELAYS: [Duration; 3] = [
    Duration::from_millis(25),
    Duration::from_millis(90),
    Duration::from_millis(220),
];

#[test]
fn after_two_seconds_the_echo_is_30_db_fainter_at_each_delay() {
    let played = voice(1, 8);
    for delay in DELAYS {
        let captured = room(&played, delay);
        for chosen in [
            ECHO_ONLY,
            Processing {
                gain: false,
                ..Processing::ALL
            },
        ] {
            let sent = send(chosen, &played, &captured, delay);
            let loss = decibels(power(&captured[2 * RATE..]) / power(&sent[2 * RATE..]));
            assert!(loss >= 30.0, "{delay:?}, {chosen}: {loss:.1} dB");
        }
    }
}

#[test]
fn a_delay_that_the_devices_do_not_know_is_found_out() {
    let played = voice(2, 8);
    let captured = room(&played, DELAYS[1]);
    let sent = send(ECHO_ONLY, &played, &captured, Duration::ZERO);
    let loss = decibels(power(&captured[3 * RATE..]) / power(&sent[3 * RATE..]));
    assert!(loss >= 30.0, "{loss:.1} dB");
}

/// How much of the near voice's power is found again in what is sent, 0 to 1: syllable by syllable, in the mean.
fn kept(sent: &[f32], near: &[f32]) -> f32 {
    let syllable = RATE / 5;
    let pairs = near.chunks_exact(syllable).zip(sent.chunks(syllable));
    let spoken = pairs.filter(|(near, _)| power(near) > 1e-4);
    let parts: Vec<f32> = spoken
        .map(|(near, sent)| (likeness(sent, near).powi(2) * power(sent) / power(near)).min(1.0))
        .collect();
    parts.iter().sum::<f32>() / parts.len().max(1) as f32
}

#[test]
fn who_speaks_at_the_same_time_is_still_heard() {
    // WebRTC's own settings of the canceller keep less than that, at each of the delays.
    for (loudness, least) in [(1.0, 0.5), (0.4, 0.58)] {
        for delay in DELAYS {
            let (played, near) = (voice(3, 8), voice(4, 8));
            let echo = room(&played, delay);
            // Four seconds of the other side alone, then both.
            let captured: Vec<f32> = (0..echo.len())
                .map(|n| loudness * echo[n] + if n >= 4 * RATE { near[n] } else { 0.0 })
                .collect();
            let sent = send(ECHO_ONLY, &played, &captured, delay);
            let (sent, near) = (&sent[4 * RATE..], &near[4 * RATE..]);
            let level = decibels(power(sent) / power(near));
            assert!(
                (-3.0..1.0).contains(&level),
                "{loudness}, {delay:?}: {level:.1} dB"
            );
            let kept = kept(sent, near);
            assert!(kept >= least, "{loudness}, {delay:?}: {kept:.2}");
        }
    }
}

#[test]
fn what_is_no_whole_piece_stays_as_it_is() {
    for chosen in [ECHO_ONLY, Processing::ALL] {
        let mut processor = chosen.processor().expect("something is to be done");
        for length in [0, 1, 479, 481, 959, 1_000, 1_441] {
            let played = vec![0.25; length];
            let mut sound = vec![0.5; length];
            processor.played(&played);
            processor.process(&mut sound, Duration::from_secs(100_000_000));
            let whole = length / (RATE / 100) * (RATE / 100);
            assert!(sound[whole..].iter().all(|sample| *sample == 0.5));
            assert!(sound.iter().all(|sample| sample.abs() <= 1.0));
        }
    }
}

#[test]
fn steady_noise_goes_and_the_voice_stays() {
    let mut noise = Noise(5);
    let hiss: Vec<f32> = (0..8 * RATE).map(|_| 0.01 * noise.next()).collect();
    let near = voice(6, 8);
    let captured: Vec<f32> = (0..hiss.len())
        .map(|n| hiss[n] + if n >= 4 * RATE { near[n] } else { 0.0 })
        .collect();
    let chosen = Processing {
        noise: true,
        ..Processing::OFF
    };
    let sent = send(chosen, &hiss, &captured, Duration::ZERO);
    let alone = 2 * RATE..4 * RATE;
    let quieter = decibels(power(&captured[alone.clone()]) / power(&sent[alone]));
    assert!(quieter >= 9.0, "{quieter:.1} dB");
    let kept = decibels(power(&sent[5 * RATE..]) / power(&near[5 * RATE..]));
    assert!(kept.abs() < 2.0, "{kept:.1} dB");
}

#[test]
fn a_faint_voice_grows_louder_and_a_loud_one_does_not_clip() {
    let chosen = Processing {
        gain: true,
        ..Processing::OFF
    };
    let silence = vec![0.0; 10 * RATE];
    let level = |scale: f32| {
        let near: Vec<f32> = voice(8, 10).iter().map(|it| it * scale).collect();
        let sent = send(chosen, &silence, &near, Duration::ZERO);
        assert!(sent.iter().all(|sample| sample.abs() <= 1.0));
        decibels(power(&sent[6 * RATE..]))
    };
    let (faint, usual, loud) = (level(0.1), level(1.0), level(4.0));
    assert!(
        usual - faint < 10.0,
        "of 20 dB {:.1} are left",
        usual - faint
    );
    let as_it_was = decibels(power(&voice(8, 10)[6 * RATE..])) + 12.0;
    assert!(loud <= as_it_was + 0.5, "{loud:.1} dB of {as_it_was:.1} dB");
}

#[test]
fn rumble_is_taken_out_and_a_tone_of_a_voice_is_not() {
    let chosen = Processing {
        high_pass: true,
        ..Processing::OFF
    };
    let loss = |hertz: f32| {
        let tone: Vec<f32> = (0..RATE)
            .map(|n| 0.3 * (TAU * hertz * n as f32 / RATE as f32).sin())
            .collect();
        let sent = send(chosen, &tone, &tone, Duration::ZERO);
        decibels(power(&tone[RATE / 2..]) / power(&sent[RATE / 2..]))
    };
    assert!(loss(25.0) > 12.0, "{:.1} dB", loss(25.0));
    assert!(loss(400.0).abs() < 1.0, "{:.1} dB", loss(400.0));
}

#[test]
fn what_is_chosen_is_read_and_said_in_words() {
    for words in ["all", "off", "echo", "echo,noise", "gain,high-pass"] {
        assert_eq!(words.parse::<Processing>().unwrap().to_string(), words);
    }
    assert_eq!("high-pass,echo,gain,noise".parse(), Ok(Processing::ALL));
    for words in ["", "loud", "echo,", "ECHO", "echo noise"] {
        let error = words.parse::<Processing>().unwrap_err();
        assert!(error.to_string().contains("echo,noise,gain,high-pass"));
    }
    assert!(Processing::OFF.processor().is_none());
}
