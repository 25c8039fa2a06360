//! The two devices that need no hardware and no file.

use std::collections::VecDeque;

use crate::{AudioError, AudioStream, Counters, SAMPLE_RATE};

/// What is played comes back at the microphone, without delay.
#[derive(Debug, Default)]
pub(crate) struct Loopback {
    between: VecDeque<f32>,
    counters: Counters,
}

/// More than this is not kept when nobody captures: one second.
const LIMIT: usize = SAMPLE_RATE as usize;

impl AudioStream for Loopback {
    fn play(&mut self, samples: &[f32]) {
        self.between.extend(samples);
        let surplus = self.between.len().saturating_sub(LIMIT);
        self.between.drain(..surplus);
        self.counters.capture_overrun += surplus as u64;
    }

    fn capture(&mut self, samples: &mut [f32]) {
        let ready = self.between.len().min(samples.len());
        for (sample, played) in samples.iter_mut().zip(self.between.drain(..ready)) {
            *sample = played;
        }
        if let Some(rest) = samples.get_mut(ready..) {
            rest.fill(0.0);
            self.counters.capture_underrun += rest.len() as u64;
        }
    }

    fn poll_problem(&mut self) -> Option<AudioError> {
        None
    }

    fn microphone_ok(&self) -> bool {
        true
    }

    fn speaker_ok(&self) -> bool {
        true
    }

    fn counters(&self) -> Counters {
        self.counters
    }
}

/// Silence in, nothing out, and content with it.
#[derive(Debug)]
pub(crate) struct Silence;

impl AudioStream for Silence {
    fn play(&mut self, _: &[f32]) {}

    fn capture(&mut self, samples: &mut [f32]) {
        samples.fill(0.0);
    }

    fn poll_problem(&mut self) -> Option<AudioError> {
        None
    }

    fn microphone_ok(&self) -> bool {
        true
    }

    fn speaker_ok(&self) -> bool {
        true
    }

    fn counters(&self) -> Counters {
        Counters::default()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_is_played_is_captured_in_the_same_tick() {
        let mut loopback = Loopback::default();
        for tick in 1..4 {
            let played = [tick as f32 / 10.0; 960];
            let mut captured = [0.0; 960];
            loopback.play(&played);
            loopback.capture(&mut captured);
            assert_eq!(captured, played);
        }
        assert_eq!(loopback.counters(), Counters::default());
    }

    #[test]
    fn capturing_without_playing_gives_silence_and_is_counted() {
        let mut loopback = Loopback::default();
        let mut captured = [1.0; 960];
        loopback.capture(&mut captured);
        assert_eq!(captured, [0.0; 960]);
        assert_eq!(loopback.counters().capture_underrun, 960);
    }

    #[test]
    fn playing_without_capturing_does_not_grow() {
        let mut loopback = Loopback::default();
        for _ in 0..100 {
            loopback.play(&[0.5; 960]);
        }
        assert_eq!(loopback.between.len(), LIMIT);
    }
}
