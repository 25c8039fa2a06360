//! The tones a phone makes by itself: ringing, ring-back, busy.

use crate::SAMPLE_RATE;

/// Whose ring-back and busy tones to play.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub enum Region {
    /// 425 Hz (ETSI TR 101 041).
    #[default]
    Europe,
    /// 440 + 480 Hz and friends (precise tone plan).
    UnitedStates,
}

/// One tone: frequencies sounding together, and when they are on.
#[derive(Debug, Clone, Copy, PartialEq)]
pub struct Tone {
    /// Up to two frequencies in hertz; 0 for none.
    pub frequencies: [f32; 2],
    /// Level of each frequency, in dB below full scale (a negative number).
    pub level_dbfs: f32,
    /// On and off times in milliseconds, repeated; empty: always on.
    pub cadence_ms: &'static [(u32, u32)],
}

impl Tone {
    /// What the caller hears while the other phone rings.
    pub fn ring_back(region: Region) -> Tone {
        match region {
            Region::Europe => Tone::of([425.0, 0.0], -16.0, &[(1000, 4000)]),
            Region::UnitedStates => Tone::of([440.0, 480.0], -19.0, &[(2000, 4000)]),
        }
    }

    /// What the caller hears when the other side is busy or refuses.
    pub fn busy(region: Region) -> Tone {
        match region {
            Region::Europe => Tone::of([425.0, 0.0], -16.0, &[(500, 500)]),
            Region::UnitedStates => Tone::of([480.0, 620.0], -24.0, &[(500, 500)]),
        }
    }

    /// What the called person hears: a warble of two tones, twice in a row.
    pub fn ringing() -> Tone {
        Tone::of([440.0, 554.37], -18.0, &[(400, 200), (400, 2000)])
    }

    /// A steady single tone, for tests and line checks.
    pub fn steady(hertz: f32, level_dbfs: f32) -> Tone {
        Tone::of([hertz, 0.0], level_dbfs, &[])
    }

    const fn of(frequencies: [f32; 2], level_dbfs: f32, cadence_ms: &'static [(u32, u32)]) -> Tone {
        Tone {
            frequencies,
            level_dbfs,
            cadence_ms,
        }
    }
}

/// Plays a [`Tone`], frame after frame, without a click at the joins.
#[derive(Debug, Clone)]
pub struct ToneGenerator {
    tone: Tone,
    position: u64,
}

impl ToneGenerator {
    /// Start at the beginning of the cadence.
    pub fn new(tone: Tone) -> ToneGenerator {
        ToneGenerator { tone, position: 0 }
    }

    /// Fill `samples` (48 kHz) with what comes next.
    pub fn fill(&mut self, samples: &mut [f32]) {
        let amplitude = 10f32.powf(self.tone.level_dbfs / 20.0);
        for sample in samples {
            let t = self.position as f64 / f64::from(SAMPLE_RATE);
            let w = std::f64::consts::TAU * f64::from(self.tone.frequencies[0]) * t;
            *sample = amplitude * w.sin() as f32;
            self.position += 1;
        }
    }
}
