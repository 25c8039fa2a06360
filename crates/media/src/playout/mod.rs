//! What is done to decoded sound before it is played: stretched, merged, brought to 48 kHz.
//!
//! ```text
//! decoded ─► merge after expansion ─► shorter | longer ─► 48 kHz ─► ready ─► played
//! ```
//!
//! Owns the samples between decoder and loudspeaker. When sound should be shorter or longer is the
//! jitter buffer's business; here is only how, and whether this very sound lets itself be.

mod likeness;
mod merge;
mod stretch;

use crate::SAMPLE_RATE;
use crate::jitter::Pace;
use crate::rate::Upsampler;
use merge::Merger;
use stretch::Stretcher;

/// Decoded sound on its way to the loudspeaker.
#[derive(Debug)]
pub(crate) struct Playout {
    rate: u32,
    /// What the jitter buffer's ticks are counted at.
    clock_rate: u32,
    merger: Merger,
    stretcher: Stretcher,
    upsampler: Upsampler,
    /// Sound at 48 kHz that waits to be played.
    ready: Vec<f32>,
    stretched: Stretched,
}

/// Samples at 48 kHz that stretching took away and put in.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub(crate) struct Stretched {
    pub(crate) removed: u64,
    pub(crate) added: u64,
}

impl Playout {
    /// For sound decoded at `rate` hertz, which divides 48 kHz, of a codec whose RTP clock runs at `clock_rate`.
    pub(crate) fn new(rate: u32, clock_rate: u32) -> Playout {
        Playout {
            rate,
            clock_rate,
            merger: Merger::new(rate),
            stretcher: Stretcher::new(rate),
            upsampler: Upsampler::from(rate),
            ready: Vec::new(),
            stretched: Stretched::default(),
        }
    }

    /// What comes next is decoded at another rate, or its codec's clock runs at another. What waits is played.
    pub(crate) fn change(&mut self, rate: u32, clock_rate: u32) {
        self.clock_rate = clock_rate;
        if self.rate != rate {
            self.rate = rate;
            self.merger = Merger::new(rate);
            self.stretcher = Stretcher::new(rate);
            self.upsampler = Upsampler::from(rate);
        }
    }

    /// Decoded sound comes next; `samples` is changed. `joins`: what stands before it was made up
    /// and does not lead up to it.
    pub(crate) fn push(&mut self, samples: &mut Vec<f32>, pace: Pace, joins: bool) {
        if joins {
            self.merger.merge(samples);
        }
        self.stretcher.hear(samples);
        let factor = u64::from(SAMPLE_RATE / self.rate);
        match pace {
            Pace::Even => {}
            Pace::Shorter { most, anywhere } => {
                let most =
                    u64::from(most) * u64::from(self.rate) / u64::from(self.clock_rate.max(1));
                let removed = self.stretcher.shorten(samples, most as usize, anywhere);
                self.stretched.removed += removed as u64 * factor;
            }
            Pace::Longer { anywhere } => {
                let added = self.stretcher.lengthen(samples, anywhere);
                self.stretched.added += added as u64 * factor;
            }
        }
        self.append(samples);
    }

    /// Sound that was made up comes next.
    pub(crate) fn append(&mut self, samples: &[f32]) {
        self.merger.played(samples);
        if self.rate == SAMPLE_RATE {
            self.ready.extend_from_slice(samples);
        } else {
            self.upsampler.process(samples, &mut self.ready);
        }
    }

    /// Samples at 48 kHz that wait.
    pub(crate) fn waiting(&self) -> usize {
        self.ready.len()
    }

    /// Play the oldest: fills `samples`, the end of it with silence if so much is not there.
    pub(crate) fn take(&mut self, samples: &mut [f32]) {
        let count = self.ready.len().min(samples.len());
        samples.fill(0.0);
        for (sample, ready) in samples.iter_mut().zip(self.ready.drain(..count)) {
            // Codecs overshoot full scale a little, and merged pieces may.
            *sample = ready.clamp(-1.0, 1.0);
        }
    }

    /// What waits belongs to a stream that has ended.
    pub(crate) fn clear(&mut self) {
        self.ready.clear();
    }

    pub(crate) fn stretched(&self) -> Stretched {
        self.stretched
    }
}
