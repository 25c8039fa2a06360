//! Level and frequency of a stretch of sound: how a test or a person proves that a tone came back.

/// Root-mean-square level in dB below full scale, where a full-scale sine has -3.01. `None` for no
/// samples and for digital silence.
pub fn level_dbfs(samples: &[f32]) -> Option<f64> {
    let _ = samples;
    None
}

/// Level of one frequency in dB below a full-scale sine of that frequency (Goertzel).
pub fn tone_dbfs(samples: &[f32], sample_rate: u32, hertz: f64) -> Option<f64> {
    let _ = (samples, sample_rate, hertz);
    None
}

/// The strongest frequency between `from` and `to` hertz. `None` where there is no sound.
pub fn strongest_hertz(samples: &[f32], sample_rate: u32, from: f64, to: f64) -> Option<f64> {
    let _ = (samples, sample_rate, from, to);
    None
}
