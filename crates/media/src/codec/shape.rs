//! Where the noise of coarse steps goes: under the voice, where the ear does not find it.
//!
//! Each sample of G.711 is off by up to half a step. Left alone these errors are white, and heard where the voice has
//! little: between its formants and above them. After the idea of ITU-T G.711.1 and G.711's appendix III, the errors made
//! so far are fed back into what is coded next, so that their spectrum follows the voice's, if less steeply. The decoder
//! knows nothing of it.
//!
//! ```text
//! sample ─►(+)─► wanted ─► step ─► got        error of the whole: got - sample, coloured like the voice
//!           ▲                 │               error of the step:  got - wanted, white
//!           └─ zeros, poles ◄─┘
//! ```

use std::collections::VecDeque;
use std::f64::consts::PI;

/// Resonances that are followed: two samples a formant.
const ORDER: usize = 8;

/// How near the noise comes to the voice's own spectrum, and how much of that is taken back: the most by PESQ, of what was
/// tried.
const POLES: f64 = 0.92;
const ZEROS: f64 = 0.5;

/// Samples before a frame that count for its spectrum: 10 ms.
const BEFORE: usize = 80;

/// No step is as wide; whoever is further off has clipped, and what clips hides nothing.
const OVERLOAD: f64 = 1_100.0;

/// Power of a voice, a sample, below which there is none to hide under.
const SILENT: f64 = 16.0;

/// Colours the errors of one stream. Samples are on the scale of 16 bits.
#[derive(Debug)]
pub(super) struct NoiseShaper {
    before: Vec<f64>,
    poles: [f64; ORDER],
    zeros: [f64; ORDER],
    /// Of the whole and of the step, newest first.
    errors: VecDeque<(f64, f64)>,
}

impl NoiseShaper {
    pub(super) fn new() -> NoiseShaper {
        NoiseShaper {
            before: vec![0.0; BEFORE],
            poles: [0.0; ORDER],
            zeros: [0.0; ORDER],
            errors: VecDeque::from([(0.0, 0.0); ORDER]),
        }
    }

    /// This frame comes next, sample by sample, to [`NoiseShaper::coded`].
    pub(super) fn hear(&mut self, frame: &[f64]) {
        self.before.extend_from_slice(frame);
        let prediction = prediction(&self.before);
        let surplus = self.before.len().saturating_sub(BEFORE);
        self.before.drain(..surplus);
        let (mut pole, mut zero) = (1.0, 1.0);
        let slots = self.poles.iter_mut().zip(&mut self.zeros);
        for ((poles, zeros), coefficient) in slots.zip(prediction) {
            pole *= POLES;
            zero *= ZEROS;
            (*poles, *zeros) = (coefficient * pole, coefficient * zero);
        }
    }

    /// What `code` makes of the sample with the errors so far, and what it says that stands for.
    pub(super) fn coded(&mut self, sample: f64, code: impl FnOnce(i16) -> (u8, i16)) -> u8 {
        let filters = self.poles.iter().zip(&self.zeros);
        let fed_back: f64 = filters
            .zip(&self.errors)
            .map(|((pole, zero), (whole, step))| zero * step - pole * whole)
            .sum();
        let wanted = sample + fed_back;
        // The cast saturates.
        let (byte, got) = code(wanted.round() as i16);
        let got = f64::from(got);
        let error = (got - sample, got - wanted);
        self.errors.pop_back();
        self.errors.push_front(error);
        if error.1.abs() > OVERLOAD {
            self.errors.iter_mut().for_each(|error| *error = (0.0, 0.0));
        }
        byte
    }
}

/// The predictor of a stretch of sound (Levinson and Durbin): what is added to a sample, by how many samples it lies back, so
/// that nothing predictable is left.
fn prediction(samples: &[f64]) -> [f64; ORDER] {
    let count = samples.len();
    let windowed: Vec<f64> = (0..)
        .zip(samples)
        .map(|(n, sample)| {
            let turn = 2.0 * PI * (f64::from(n) + 0.5) / count as f64;
            sample * (0.5 - 0.5 * turn.cos())
        })
        .collect();
    let alike = |lag: usize| {
        let later = windowed.get(lag..).unwrap_or_default();
        let sum: f64 = later.iter().zip(&windowed).map(|(a, b)| a * b).sum();
        // A spectrum is never sharper than 60 Hz.
        let blur = 2.0 * PI * 60.0 * lag as f64 / 8_000.0;
        sum * (-0.5 * blur * blur).exp()
    };
    let mut coefficients = [0.0; ORDER];
    let mut left = alike(0) * 1.0001;
    if left <= SILENT * count as f64 {
        return coefficients;
    }
    let alike: [f64; ORDER] = std::array::from_fn(|n| alike(n + 1));
    for order in 0..ORDER {
        let known = &coefficients[..order];
        let predicted: f64 = known
            .iter()
            .zip(alike[..order].iter().rev())
            .map(|(coefficient, alike)| coefficient * alike)
            .sum();
        let reflection = -(alike[order] + predicted) / left;
        let mirrored: Vec<f64> = known.iter().rev().copied().collect();
        for (coefficient, mirrored) in coefficients.iter_mut().zip(mirrored) {
            *coefficient += reflection * mirrored;
        }
        coefficients[order] = reflection;
        left *= 1.0 - reflection * reflection;
    }
    coefficients
}
