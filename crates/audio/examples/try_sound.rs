//! Lists the devices, then plays a tone for some seconds and says what it hears:
//! `cargo run -p rollcall-audio --example try_sound -- [devices|loopback|none|file:IN.wav,OUT.wav] [SECONDS]`

use std::f32::consts::TAU;
use std::time::{Duration, Instant};

use rollcall_audio::{AudioChoice, AudioStream, SAMPLE_RATE};

const FRAME: usize = 960;

fn main() -> Result<(), Box<dyn std::error::Error>> {
    let mut arguments = std::env::args().skip(1);
    let choice: AudioChoice = arguments.next().as_deref().unwrap_or("devices").parse()?;
    let seconds: u32 = arguments.next().as_deref().unwrap_or("3").parse()?;
    match rollcall_audio::devices() {
        Ok(devices) => devices.iter().for_each(|device| println!("{device:?}")),
        Err(error) => println!("{}: {error}", error.code()),
    }
    let begin = Instant::now();
    let opened = rollcall_audio::open(&choice);
    println!("opening took {:?}", begin.elapsed());
    match opened {
        Ok(mut stream) => run(stream.as_mut(), seconds * 50),
        Err(error) => println!("{}: {error}", error.code()),
    }
    Ok(())
}

fn run(stream: &mut dyn AudioStream, ticks: u32) {
    let begin = Instant::now();
    let mut frame = [0.0; FRAME];
    let mut first = None;
    for tick in 0..ticks {
        for (i, sample) in frame.iter_mut().enumerate() {
            let t = (tick as usize * FRAME + i) as f32 / SAMPLE_RATE as f32;
            *sample = 0.25 * (TAU * 440.0 * t).sin();
        }
        stream.play(&frame);
        stream.capture(&mut frame);
        while let Some(problem) = stream.poll_problem() {
            println!("{}: {problem}", problem.code());
        }
        let peak = frame.iter().fold(0.0f32, |peak, s| peak.max(s.abs()));
        if peak > 0.05 {
            first.get_or_insert(begin.elapsed());
        }
        if tick % 50 == 49 {
            let (microphone, speaker) = (stream.microphone_ok(), stream.speaker_ok());
            println!(
                "microphone {microphone}, loudspeaker {speaker}, peak {peak:.3}, {:?}",
                stream.counters()
            );
        }
        let next = begin + Duration::from_millis(20) * (tick + 1);
        std::thread::sleep(next.saturating_duration_since(Instant::now()));
    }
    println!("first sound after {first:?}");
}
