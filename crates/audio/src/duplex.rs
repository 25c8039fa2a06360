//! Two open devices as one stream: pacing, conversion, health. Knows rings, not cpal.

use std::ops::RangeInclusive;
use std::sync::Arc;
use std::sync::atomic::Ordering::Relaxed;
use std::sync::mpsc::Receiver;
use std::time::Duration;

use rtrb::{Consumer, Producer};

use crate::callback::Tally;
use crate::convert::{self, DeviceSample};
use crate::drift::Drift;
use crate::rate::RateConverter;
use crate::{AudioError, AudioStream, Counters, SAMPLE_RATE, Side};

/// Captured sound that may wait, beyond the frame that is asked for: 40 ms. More is dropped, or it
/// would stay as delay.
const CAPTURE_SLACK: usize = SAMPLE_RATE as usize / 25;

/// Captured sound that needs to wait so that a callback may be late: 12 to 18 ms.
pub(crate) const CAPTURE_NEEDED: RangeInclusive<usize> =
    SAMPLE_RATE as usize * 12 / 1000..=SAMPLE_RATE as usize * 18 / 1000;

/// Played sound that needs to wait so that a tick may be late: 10 to 40 ms.
pub(crate) const PLAYBACK_NEEDED: RangeInclusive<usize> =
    SAMPLE_RATE as usize / 100..=SAMPLE_RATE as usize / 25;

/// Played sound that may wait for the device: 80 ms.
const PLAYBACK_SLACK_MS: usize = 80;

/// Silence put before sound that came too late for the device, so that the next tick may be late: 10 ms.
const CUSHION: usize = SAMPLE_RATE as usize / 100;

/// A device that gives or takes nothing for so long has gone: 3 s.
const STALLED: usize = 3 * SAMPLE_RATE as usize;

/// What a device says beyond this is no latency but a mistake.
const LONGEST_LATENCY: Duration = Duration::from_millis(500);

/// Microphone and loudspeaker, each of which may be missing.
#[derive(Debug)]
pub(crate) struct DuplexStream {
    pub(crate) microphone: Option<Microphone>,
    pub(crate) speaker: Option<Speaker>,
    pub(crate) problems: Receiver<AudioError>,
    pub(crate) found: Vec<AudioError>,
}

impl DuplexStream {
    fn pulse(&mut self, side: Side) -> Option<&mut Pulse> {
        match side {
            Side::Microphone => self.microphone.as_mut().map(|m| &mut m.pulse),
            Side::Speaker => self.speaker.as_mut().map(|s| &mut s.pulse),
        }
    }

    /// A tick of `samples` has passed on one side.
    fn watch(&mut self, side: Side, samples: usize) {
        if let Some(pulse) = self.pulse(side)
            && pulse.has_gone(samples)
        {
            let ever_worked = pulse.last > 0;
            if pulse.report() {
                self.found.push(match ever_worked {
                    true => AudioError::Vanished(side),
                    false => AudioError::Device {
                        side,
                        reason: "it opens, but no sound passes".to_owned(),
                    },
                });
            }
        }
    }

    /// A device may be heard of several times, by its own word and by its silence.
    fn is_news(&mut self, problem: &AudioError) -> bool {
        match problem {
            AudioError::Vanished(side) => self.pulse(*side).is_none_or(Pulse::report),
            _ => true,
        }
    }
}

impl AudioStream for DuplexStream {
    fn play(&mut self, samples: &[f32]) {
        if let Some(speaker) = &mut self.speaker {
            speaker.play(samples);
        }
        self.watch(Side::Speaker, samples.len());
    }

    fn capture(&mut self, samples: &mut [f32]) {
        match &mut self.microphone {
            Some(microphone) => microphone.capture(samples),
            None => samples.fill(0.0),
        }
        self.watch(Side::Microphone, samples.len());
    }

    fn poll_problem(&mut self) -> Option<AudioError> {
        if let Some(problem) = self.found.pop() {
            return Some(problem);
        }
        while let Ok(problem) = self.problems.try_recv() {
            if self.is_news(&problem) {
                return Some(problem);
            }
        }
        None
    }

    fn microphone_ok(&self) -> bool {
        self.microphone.as_ref().is_some_and(|m| m.pulse.beats)
    }

    fn speaker_ok(&self) -> bool {
        self.speaker.as_ref().is_some_and(|s| s.pulse.beats)
    }

    fn counters(&self) -> Counters {
        let mut counters = Counters::default();
        if let Some(microphone) = &self.microphone {
            counters.capture_underrun = microphone.underrun;
            counters.capture_overrun =
                microphone.overrun + microphone.pulse.tally.missed.load(Relaxed);
        }
        if let Some(speaker) = &self.speaker {
            counters.playback_underrun = speaker.pulse.tally.missed.load(Relaxed);
            counters.playback_overrun = speaker.overrun;
        }
        counters
    }

    fn delay(&self) -> Duration {
        let played = self.speaker.as_ref().map_or(Duration::ZERO, Speaker::delay);
        let captured = self
            .microphone
            .as_ref()
            .map_or(Duration::ZERO, Microphone::delay);
        played + captured
    }

    fn device(&self, side: Side) -> Option<&str> {
        match side {
            Side::Microphone => self.microphone.as_ref().map(|m| m.name.as_str()),
            Side::Speaker => self.speaker.as_ref().map(|s| s.name.as_str()),
        }
    }
}

/// Whether a device's callback still comes, judged once a tick.
#[derive(Debug)]
pub(crate) struct Pulse {
    tally: Arc<Tally>,
    last: u64,
    /// Samples of our side since the callback last came.
    still: usize,
    beats: bool,
    reported: bool,
}

impl Pulse {
    pub(crate) fn new(tally: Arc<Tally>) -> Pulse {
        Pulse {
            tally,
            last: 0,
            still: 0,
            beats: false,
            reported: false,
        }
    }

    /// A tick of `samples` has passed. True when the device has given nothing for too long.
    fn has_gone(&mut self, samples: usize) -> bool {
        let frames = self.tally.frames.load(Relaxed);
        if frames != self.last {
            self.last = frames;
            self.still = 0;
            self.beats = true;
            self.reported = false;
        } else {
            self.still = self.still.saturating_add(samples);
        }
        self.still >= STALLED
    }

    /// How long a sample is under way inside the device, as far as it tells.
    fn latency(&self) -> Duration {
        Duration::from_micros(self.tally.latency.load(Relaxed)).min(LONGEST_LATENCY)
    }

    /// The device is known to be gone. True when that is news.
    fn report(&mut self) -> bool {
        self.beats = false;
        !std::mem::replace(&mut self.reported, true)
    }
}

/// Captured samples in the device's own format.
pub(crate) trait Source: std::fmt::Debug + Send {
    /// Append all that is there, as mono.
    fn read(&mut self, mono: &mut Vec<f32>);
}

/// Samples to play in the device's own format.
pub(crate) trait Sink: std::fmt::Debug + Send {
    /// Frames that wait to be played.
    fn waiting(&self) -> usize;

    /// Hand over mono samples; what does not fit is dropped. How many were.
    fn write(&mut self, mono: &[f32]) -> usize;
}

/// The capturing half. Keeps its device open.
pub(crate) struct Microphone {
    pub(crate) _device: Box<dyn std::any::Any + Send>,
    pub(crate) name: String,
    pub(crate) source: Box<dyn Source>,
    pub(crate) converter: RateConverter,
    pub(crate) drift: Drift,
    pub(crate) pulse: Pulse,
    pub(crate) raw: Vec<f32>,
    pub(crate) ready: Vec<f32>,
    pub(crate) underrun: u64,
    pub(crate) overrun: u64,
}

impl Microphone {
    fn capture(&mut self, samples: &mut [f32]) {
        self.raw.clear();
        self.source.read(&mut self.raw);
        self.converter.process(&self.raw, &mut self.ready);
        let surplus = self
            .ready
            .len()
            .saturating_sub(samples.len() + CAPTURE_SLACK);
        self.ready.drain(..surplus);
        self.overrun += surplus as u64;
        // A whole frame or none: half a frame of silence would tear the sound twice.
        if self.ready.len() >= samples.len() {
            let taken = self.ready.drain(..samples.len());
            for (sample, ready) in samples.iter_mut().zip(taken) {
                *sample = ready;
            }
        } else {
            samples.fill(0.0);
            self.underrun += samples.len() as u64;
        }
        if self.pulse.beats
            && let Some(pace) = self.drift.note(self.ready.len())
        {
            self.converter.set_pace(pace);
        }
    }

    fn delay(&self) -> Duration {
        self.pulse.latency() + time_of(self.ready.len(), SAMPLE_RATE)
    }
}

impl std::fmt::Debug for Microphone {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("Microphone")
            .field("source", &self.source)
            .field("ready", &self.ready.len())
            .finish_non_exhaustive()
    }
}

/// The playing half. Keeps its device open.
pub(crate) struct Speaker {
    pub(crate) _device: Box<dyn std::any::Any + Send>,
    pub(crate) name: String,
    pub(crate) sink: Box<dyn Sink>,
    pub(crate) converter: RateConverter,
    pub(crate) rate: u32,
    pub(crate) drift: Drift,
    pub(crate) pulse: Pulse,
    pub(crate) raw: Vec<f32>,
    pub(crate) overrun: u64,
    /// What the callback had missed when it was last looked at.
    pub(crate) missed: u64,
}

impl Speaker {
    fn play(&mut self, samples: &[f32]) {
        self.raw.clear();
        let missed = self.pulse.tally.missed.load(Relaxed);
        // An empty ring alone is no trouble: the device has its own buffer to play from.
        if missed != std::mem::replace(&mut self.missed, missed) {
            self.converter.process(&[0.0; CUSHION], &mut self.raw);
        }
        self.converter.process(samples, &mut self.raw);
        let limit = self.rate as usize * PLAYBACK_SLACK_MS / 1000;
        if self.sink.waiting() > limit {
            self.overrun += self.raw.len() as u64;
        } else {
            self.overrun += self.sink.write(&self.raw) as u64;
        }
        let waiting = self.sink.waiting() * SAMPLE_RATE as usize / self.rate.max(1) as usize;
        if self.pulse.beats
            && let Some(pace) = self.drift.note(waiting)
        {
            self.converter.set_pace(pace);
        }
    }

    fn delay(&self) -> Duration {
        self.pulse.latency() + time_of(self.sink.waiting(), self.rate)
    }
}

fn time_of(frames: usize, rate: u32) -> Duration {
    Duration::from_secs_f64(frames as f64 / f64::from(rate.max(1)))
}

impl std::fmt::Debug for Speaker {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("Speaker")
            .field("sink", &self.sink)
            .field("rate", &self.rate)
            .finish_non_exhaustive()
    }
}

/// The caller's end of a [`CaptureCallback`](crate::callback::CaptureCallback)'s ring.
#[derive(Debug)]
pub(crate) struct RingSource<T> {
    pub(crate) ring: Consumer<T>,
    pub(crate) channels: usize,
}

impl<T: DeviceSample> Source for RingSource<T> {
    fn read(&mut self, mono: &mut Vec<f32>) {
        let samples = self.ring.slots() / self.channels * self.channels;
        if let Ok(chunk) = self.ring.read_chunk(samples) {
            convert::to_mono(chunk.into_iter(), self.channels, mono);
        }
    }
}

/// The caller's end of a [`PlaybackCallback`](crate::callback::PlaybackCallback)'s ring.
#[derive(Debug)]
pub(crate) struct RingSink<T> {
    pub(crate) ring: Producer<T>,
    pub(crate) channels: usize,
    pub(crate) capacity: usize,
    pub(crate) converted: Vec<T>,
}

impl<T: DeviceSample> Sink for RingSink<T> {
    fn waiting(&self) -> usize {
        self.capacity - self.ring.slots() / self.channels
    }

    fn write(&mut self, mono: &[f32]) -> usize {
        let fits = mono.len().min(self.ring.slots() / self.channels);
        let (mono, dropped) = mono.split_at(fits);
        self.converted.clear();
        convert::from_mono(mono, self.channels, &mut self.converted);
        let _ = self.ring.push_partial_slice(&self.converted);
        dropped.len()
    }
}

#[cfg(test)]
mod tests {
    use std::sync::mpsc::channel;

    use super::*;
    use crate::callback::{CaptureCallback, PlaybackCallback};

    const FRAME: usize = 960;

    fn microphone(rate: u32) -> (CaptureCallback<i16>, Microphone) {
        let (callback, ring, tally) = CaptureCallback::new(2, rate as usize / 5);
        let microphone = Microphone {
            _device: Box::new(()),
            name: "test".to_owned(),
            source: Box::new(RingSource { ring, channels: 2 }),
            converter: RateConverter::new(rate, SAMPLE_RATE).unwrap(),
            drift: Drift::new(CAPTURE_NEEDED),
            pulse: Pulse::new(tally),
            raw: Vec::new(),
            ready: Vec::new(),
            underrun: 0,
            overrun: 0,
        };
        (callback, microphone)
    }

    fn speaker(rate: u32) -> (PlaybackCallback<f32>, Speaker) {
        let capacity = rate as usize / 5;
        let (callback, ring, tally) = PlaybackCallback::new(1, capacity, 0.0);
        let speaker = Speaker {
            _device: Box::new(()),
            name: "test".to_owned(),
            sink: Box::new(RingSink {
                ring,
                channels: 1,
                capacity,
                converted: Vec::new(),
            }),
            converter: RateConverter::new(SAMPLE_RATE, rate).unwrap(),
            rate,
            drift: Drift::new(PLAYBACK_NEEDED),
            pulse: Pulse::new(tally),
            raw: Vec::new(),
            overrun: 0,
            missed: 0,
        };
        (callback, speaker)
    }

    #[test]
    fn what_the_device_says_of_its_end_is_told_once_and_at_once() {
        let (mut callback, microphone) = microphone(48_000);
        let (said, problems) = channel();
        let mut stream = stream(Some(microphone), None);
        stream.problems = problems;
        callback.run(&[0; 2 * FRAME]);
        stream.capture(&mut [0.0; FRAME]);
        for _ in 0..2 {
            said.send(AudioError::Vanished(Side::Microphone)).unwrap();
        }
        let vanished = AudioError::Vanished(Side::Microphone);
        assert_eq!(stream.poll_problem(), Some(vanished));
        assert!(!stream.microphone_ok());
        for _ in 0..400 {
            stream.capture(&mut [0.0; FRAME]);
            assert_eq!(stream.poll_problem(), None);
        }
    }

    fn stream(microphone: Option<Microphone>, speaker: Option<Speaker>) -> DuplexStream {
        DuplexStream {
            microphone,
            speaker,
            problems: channel().1,
            found: Vec::new(),
        }
    }

    #[test]
    fn sound_flows_through_rings_of_another_rate_and_format() {
        let (mut captured, microphone) = microphone(44_100);
        let (mut played, speaker) = speaker(16_000);
        let mut stream = stream(Some(microphone), Some(speaker));
        let mut frame = [0.0; FRAME];
        let mut heard = Vec::new();
        for tick in 0..50 {
            captured.run(&[8_192; 2 * 882]);
            stream.capture(&mut frame);
            stream.play(&frame);
            let mut out = [9.0; 320];
            played.run(&mut out);
            if tick > 10 {
                heard.extend(out);
            }
        }
        assert!(heard.iter().all(|sample| (sample - 0.25).abs() < 0.01));
        assert!(stream.microphone_ok() && stream.speaker_ok());
        assert_eq!(stream.poll_problem(), None);
    }

    #[test]
    fn nothing_captured_is_a_whole_frame_of_silence() {
        let (mut callback, microphone) = microphone(48_000);
        let mut stream = stream(Some(microphone), None);
        callback.run(&[16_384; 2 * 500]);
        let mut frame = [1.0; FRAME];
        stream.capture(&mut frame);
        assert_eq!(frame, [0.0; FRAME]);
        callback.run(&[16_384; 2 * 500]);
        stream.capture(&mut frame);
        assert_eq!(frame, [0.5; FRAME]);
        assert_eq!(stream.counters().capture_underrun, FRAME as u64);
    }

    #[test]
    fn a_fast_microphone_does_not_build_up_delay() {
        let (mut callback, microphone) = microphone(48_000);
        let mut stream = stream(Some(microphone), None);
        let mut frame = [0.0; FRAME];
        for _ in 0..200 {
            callback.run(&[0; 2 * 1_000]);
            stream.capture(&mut frame);
        }
        let waiting = stream.microphone.as_ref().unwrap().ready.len();
        assert!(waiting <= CAPTURE_SLACK, "{waiting}");
        assert!(stream.counters().capture_overrun > 0);
    }

    #[test]
    fn a_slow_loudspeaker_does_not_build_up_delay() {
        let (mut callback, speaker) = speaker(48_000);
        let mut stream = stream(None, Some(speaker));
        for _ in 0..200 {
            stream.play(&[0.5; FRAME]);
            callback.run(&mut [0.0; 900]);
        }
        let waiting = stream.speaker.as_ref().unwrap().sink.waiting();
        assert!(waiting <= 48 * PLAYBACK_SLACK_MS + FRAME, "{waiting}");
        assert!(stream.counters().playback_overrun > 0);
    }

    #[test]
    fn a_device_whose_callback_stops_has_vanished_and_may_come_back() {
        let (mut callback, microphone) = microphone(48_000);
        let mut stream = stream(Some(microphone), None);
        let mut frame = [0.0; FRAME];
        callback.run(&[0; 2 * FRAME]);
        stream.capture(&mut frame);
        assert!(stream.microphone_ok());
        for _ in 0..400 {
            stream.capture(&mut frame);
        }
        let vanished = AudioError::Vanished(Side::Microphone);
        assert_eq!(stream.poll_problem(), Some(vanished));
        assert_eq!(stream.poll_problem(), None, "it is said once");
        assert!(!stream.microphone_ok());
        callback.run(&[0; 2 * FRAME]);
        stream.capture(&mut frame);
        assert!(stream.microphone_ok());
    }

    #[test]
    fn a_device_whose_callback_never_came_has_not_vanished_but_fails() {
        let (_callback, microphone) = microphone(48_000);
        let mut stream = stream(Some(microphone), None);
        for _ in 0..400 {
            stream.capture(&mut [0.0; FRAME]);
        }
        let problem = stream.poll_problem().unwrap();
        assert_eq!(problem.code(), "device_failed");
        assert_eq!(stream.poll_problem(), None, "it is said once");
    }

    #[test]
    fn the_delay_is_what_waits_on_both_ways_and_what_the_devices_say_of_themselves() {
        let (mut captured, microphone) = microphone(48_000);
        let (_played, speaker) = speaker(16_000);
        microphone
            .pulse
            .tally
            .note_latency(Duration::from_millis(7));
        speaker.pulse.tally.note_latency(Duration::from_millis(30));
        let mut stream = stream(Some(microphone), Some(speaker));
        assert_eq!(stream.delay(), Duration::from_millis(37));
        stream.play(&[0.5; 2 * FRAME]);
        captured.run(&[0; 2 * (FRAME + 480)]);
        stream.capture(&mut [0.0; FRAME]);
        // 40 ms to play, a little less for the converter keeps some, and 10 ms captured.
        let delay = stream.delay().as_millis();
        assert!((82..=88).contains(&delay), "{delay} ms");
    }

    #[test]
    fn a_microphone_whose_clock_is_off_neither_runs_dry_nor_piles_up() {
        for off in [-500i64, 500] {
            let (mut callback, microphone) = microphone(48_000);
            let mut stream = stream(Some(microphone), None);
            let (mut frame, mut given, mut levels) = ([0.0; FRAME], 0i64, Vec::new());
            for tick in 1..=6_000i64 {
                // In tens of milliseconds, as its clock has them.
                let due = tick * 960 * (1_000_000 + off) / 1_000_000 + 700;
                while due - given >= 480 {
                    callback.run(&[8_192; 2 * 480]);
                    given += 480;
                }
                stream.capture(&mut frame);
                levels.push(
                    frame
                        .iter()
                        .fold(1.0f32, |least, sample| least.min(*sample)),
                );
            }
            // Once it knows the clock, half a minute in; left alone, there would be one every forty seconds.
            let gaps = levels[1_500..].iter().filter(|least| **least < 0.2).count();
            assert_eq!(gaps, 0, "{off}");
            assert_eq!(stream.counters().capture_overrun, 0, "{off}");
        }
    }

    #[test]
    fn a_loudspeaker_whose_clock_is_off_neither_runs_dry_nor_piles_up() {
        for off in [-500i64, 500] {
            let (mut callback, speaker) = speaker(48_000);
            let mut stream = stream(None, Some(speaker));
            let (mut taken, mut gaps) = (0i64, 0);
            for tick in 1..=6_000i64 {
                stream.play(&[0.5; FRAME]);
                // In tens of milliseconds, as its clock has them, and 20 ms behind at the beginning.
                let due = tick * 960 * (1_000_000 + off) / 1_000_000 - 960;
                while due - taken >= 480 {
                    let mut out = [0.0; 480];
                    callback.run(&mut out);
                    taken += 480;
                    // Once it knows the clock, half a minute in; left alone, there would be one every forty seconds.
                    gaps += usize::from(tick > 1_500 && out.iter().any(|sample| *sample < 0.4));
                }
            }
            assert_eq!(gaps, 0, "{off}");
            assert_eq!(stream.counters().playback_overrun, 0, "{off}");
        }
    }

    #[test]
    fn without_a_microphone_there_is_silence_and_playing_goes_on() {
        let (mut callback, speaker) = speaker(48_000);
        let mut stream = stream(None, Some(speaker));
        let mut frame = [1.0; FRAME];
        stream.capture(&mut frame);
        assert_eq!(frame, [0.0; FRAME]);
        stream.play(&[0.5; FRAME]);
        let mut out = [0.0; FRAME];
        callback.run(&mut out);
        assert_eq!(out, [0.5; FRAME]);
        assert!(!stream.microphone_ok());
    }

    #[test]
    fn sound_that_came_too_late_once_gets_a_cushion_and_none_while_it_comes_in_time() {
        let (mut callback, speaker) = speaker(48_000);
        let mut stream = stream(None, Some(speaker));
        let mut out = [9.0; FRAME];
        for _ in 0..3 {
            stream.play(&[0.5; FRAME]);
            callback.run(&mut out);
            assert_eq!(out, [0.5; FRAME]);
        }
        callback.run(&mut out[..CUSHION]);
        stream.play(&[0.5; FRAME]);
        callback.run(&mut out);
        assert_eq!(out[..CUSHION], [0.0; CUSHION]);
        assert_eq!(out[CUSHION..], [0.5; FRAME][CUSHION..]);
        stream.play(&[0.5; FRAME]);
        callback.run(&mut out);
        assert_eq!(out, [0.5; FRAME]);
    }
}
