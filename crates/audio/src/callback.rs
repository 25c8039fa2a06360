//! What runs on the device's thread: samples are copied between a ring and the device's buffer.
//!
//! No lock, no allocation, no conversion, no log. A ring that is empty means silence and a count, a
//! ring that is full means dropped samples and a count. Whole frames (one sample for each channel)
//! move or stay, so that channels never change places.

use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering::Relaxed};
use std::time::Duration;

use rtrb::{Consumer, Producer, RingBuffer};

/// What the device's thread counts, read by the caller's.
#[derive(Debug, Default)]
pub(crate) struct Tally {
    /// Frames that the device gave or took.
    pub(crate) frames: AtomicU64,
    /// Frames of silence played, or captured frames dropped.
    pub(crate) missed: AtomicU64,
    /// Microseconds that lie between the callback and the loudspeaker, or the microphone and the callback.
    pub(crate) latency: AtomicU64,
}

impl Tally {
    /// The device tells how long a sample is under way inside it.
    pub(crate) fn note_latency(&self, latency: Duration) {
        self.latency.store(latency.as_micros() as u64, Relaxed);
    }
}

/// The microphone's callback.
pub(crate) struct CaptureCallback<T> {
    ring: Producer<T>,
    channels: usize,
    tally: Arc<Tally>,
}

impl<T: Copy> CaptureCallback<T> {
    /// A callback and the ring it fills, for `capacity` frames.
    pub(crate) fn new(channels: usize, capacity: usize) -> (Self, Consumer<T>, Arc<Tally>) {
        let (ring, consumer) = RingBuffer::new(channels * capacity);
        let tally = Arc::new(Tally::default());
        let callback = CaptureCallback {
            ring,
            channels,
            tally: Arc::clone(&tally),
        };
        (callback, consumer, tally)
    }

    /// The device captured `data`.
    pub(crate) fn run(&mut self, data: &[T]) {
        let frames = data.len() / self.channels;
        let fitting = frames.min(self.ring.slots() / self.channels);
        let (fits, _) = data.split_at(fitting * self.channels);
        let _ = self.ring.push_partial_slice(fits);
        self.tally.frames.fetch_add(frames as u64, Relaxed);
        self.tally
            .missed
            .fetch_add((frames - fitting) as u64, Relaxed);
    }
}

/// The loudspeaker's callback.
pub(crate) struct PlaybackCallback<T> {
    ring: Consumer<T>,
    channels: usize,
    silence: T,
    tally: Arc<Tally>,
}

impl<T: Copy> PlaybackCallback<T> {
    /// A callback and the ring it empties, for `capacity` frames.
    pub(crate) fn new(
        channels: usize,
        capacity: usize,
        silence: T,
    ) -> (Self, Producer<T>, Arc<Tally>) {
        let (producer, ring) = RingBuffer::new(channels * capacity);
        let tally = Arc::new(Tally::default());
        let callback = PlaybackCallback {
            ring,
            channels,
            silence,
            tally: Arc::clone(&tally),
        };
        (callback, producer, tally)
    }

    /// The device wants `data` filled.
    pub(crate) fn run(&mut self, data: &mut [T]) {
        let frames = data.len() / self.channels;
        let ready = frames.min(self.ring.slots() / self.channels);
        let (sound, rest) = data.split_at_mut(ready * self.channels);
        let _ = self.ring.pop_partial_slice(sound);
        rest.fill(self.silence);
        self.tally.frames.fetch_add(frames as u64, Relaxed);
        self.tally
            .missed
            .fetch_add((frames - ready) as u64, Relaxed);
    }
}

#[cfg(test)]
mod tests {
    use assert_no_alloc::{AllocDisabler, assert_no_alloc, violation_count};

    use super::*;

    #[global_allocator]
    static WATCHED: AllocDisabler = AllocDisabler;

    /// Allocations and releases of this thread during `work`.
    fn allocations(work: impl FnOnce()) -> u32 {
        assert_no_alloc::reset_violation_count();
        assert_no_alloc(work);
        let count = violation_count();
        assert_no_alloc::reset_violation_count();
        count
    }

    #[test]
    fn no_callback_allocates_whether_its_ring_flows_runs_full_or_runs_dry() {
        let (mut capture, mut captured, _) = CaptureCallback::<i16>::new(2, 1_000);
        let (mut playback, mut played, _) = PlaybackCallback::<f32>::new(2, 1_000, 0.0);
        let mut buffer = [0.0; 960];
        let count = allocations(|| {
            for _ in 0..10 {
                capture.run(&[1; 960]);
                playback.run(&mut buffer);
            }
        });
        assert_eq!(count, 0);
        captured.pop_entire_slice(&mut [0; 1_920]).unwrap();
        played.push_entire_slice(&[0.5; 1_920]).unwrap();
        let count = allocations(|| {
            capture.run(&[1; 960]);
            playback.run(&mut buffer);
        });
        assert_eq!((count, buffer), (0, [0.5; 960]));
    }

    #[test]
    fn the_watch_on_allocations_sees_them() {
        assert_ne!(allocations(|| drop(vec![std::hint::black_box(0u8); 64])), 0);
    }

    #[test]
    fn captured_samples_arrive_in_order_and_a_full_ring_drops_whole_frames() {
        let (mut callback, mut ring, tally) = CaptureCallback::new(2, 3);
        callback.run(&[1, 2, 3, 4]);
        callback.run(&[5, 6, 7, 8]);
        let mut heard = [0; 6];
        ring.pop_entire_slice(&mut heard).unwrap();
        assert_eq!(heard, [1, 2, 3, 4, 5, 6]);
        assert_eq!(tally.frames.load(Relaxed), 4);
        assert_eq!(tally.missed.load(Relaxed), 1);
    }

    #[test]
    fn an_empty_ring_plays_silence_and_counts_it() {
        let (mut callback, mut ring, tally) = PlaybackCallback::new(2, 8, -1);
        ring.push_entire_slice(&[1, 2, 3, 4, 5]).unwrap();
        let mut played = [0; 8];
        callback.run(&mut played);
        assert_eq!(played, [1, 2, 3, 4, -1, -1, -1, -1]);
        assert_eq!(tally.missed.load(Relaxed), 2);
    }
}
