//! Between the device's samples and ours: format and channels.

/// A sample as a device has it.
pub(crate) trait DeviceSample: std::fmt::Debug + Copy + Send + 'static {
    /// The device's zero.
    const SILENCE: Self;

    /// To -1.0..=1.0.
    fn to_f32(self) -> f32;

    /// From -1.0..=1.0; what is outside is clipped, and NaN is silence.
    fn from_f32(sample: f32) -> Self;
}

impl DeviceSample for f32 {
    const SILENCE: f32 = 0.0;

    fn to_f32(self) -> f32 {
        self
    }

    fn from_f32(sample: f32) -> f32 {
        if sample.is_nan() {
            return Self::SILENCE;
        }
        sample.clamp(-1.0, 1.0)
    }
}

impl DeviceSample for i16 {
    const SILENCE: i16 = 0;

    fn to_f32(self) -> f32 {
        f32::from(self) / 32_768.0
    }

    fn from_f32(sample: f32) -> i16 {
        // The cast saturates.
        (sample * 32_768.0).round() as i16
    }
}

impl DeviceSample for i32 {
    const SILENCE: i32 = 0;

    fn to_f32(self) -> f32 {
        (f64::from(self) / 2_147_483_648.0) as f32
    }

    fn from_f32(sample: f32) -> i32 {
        (f64::from(sample) * 2_147_483_648.0) as i32
    }
}

/// Append the mean of each frame's channels to `mono`.
pub(crate) fn to_mono<T: DeviceSample>(
    samples: impl ExactSizeIterator<Item = T>,
    channels: usize,
    mono: &mut Vec<f32>,
) {
    let scale = 1.0 / channels as f32;
    let frames = samples.len() / channels;
    let mut samples = samples;
    for _ in 0..frames {
        let sum: f32 = samples.by_ref().take(channels).map(T::to_f32).sum();
        mono.push(sum * scale);
    }
}

/// Append each sample of `mono` once for every channel.
pub(crate) fn from_mono<T: DeviceSample>(mono: &[f32], channels: usize, samples: &mut Vec<T>) {
    for sample in mono {
        samples.extend(std::iter::repeat_n(T::from_f32(*sample), channels));
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn survives<T: DeviceSample>(tolerance: f32) {
        for sample in [-1.0, -0.5, 0.0, 0.25, 0.999] {
            let again = T::from_f32(sample).to_f32();
            assert!((again - sample).abs() <= tolerance, "{sample}: {again}");
        }
        for loud in [7.0, f32::INFINITY] {
            assert!(T::from_f32(loud).to_f32() > 0.99);
            assert!(T::from_f32(-loud).to_f32() < -0.99);
        }
        assert!(T::from_f32(f32::NAN).to_f32().abs() <= 1.0);
        assert_eq!(T::SILENCE.to_f32(), 0.0);
    }

    #[test]
    fn every_format_keeps_the_sound_and_clips_what_is_too_loud() {
        survives::<f32>(0.0);
        survives::<i16>(1.0 / 32_768.0);
        survives::<i32>(1e-6);
        survives::<crate::device::I24>(1.0 / 8_388_608.0);
    }

    #[test]
    fn stereo_becomes_its_mean_and_mono_sounds_on_every_channel() {
        let mut mono = Vec::new();
        to_mono([0.2f32, 0.4, -1.0, 1.0].into_iter(), 2, &mut mono);
        assert!((mono[0] - 0.3).abs() < 1e-6 && mono[1] == 0.0);
        let mut stereo: Vec<i16> = Vec::new();
        from_mono(&[0.5, -0.5], 2, &mut stereo);
        assert_eq!(stereo, [16_384, 16_384, -16_384, -16_384]);
    }
}
