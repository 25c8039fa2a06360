//! The E-model (ITU-T G.107): what a call is worth to those who speak, from loss and delay.
//!
//! Only what a phone can measure: loss, bursts and delay. Noise, echo and level stand at G.107's defaults, so that a
//! perfect call has R = 93.2. The ratings are narrow-band's; for Opus and G.722, which G.113 rates on other scales, no
//! bonus is given for their wider band.

use std::time::Duration;

use crate::codec::Codec;

/// Of a call without any impairment, with all defaults (G.107 clause 7).
const BEST: f64 = 93.2;

/// What the network does to the sound on its way to one ear.
#[derive(Debug, Clone, Copy, PartialEq)]
pub(crate) struct Path {
    /// Share of the packets that were not played, 0 to 1.
    pub(crate) loss: f64,
    /// G.107's BurstR: 1 for random loss.
    pub(crate) burst_ratio: f64,
    /// Mouth to ear.
    pub(crate) delay: Duration,
}

/// The transmission rating R, 0 to 100.
pub(crate) fn rating(codec: Codec, path: Path) -> f64 {
    let (impairment, robustness) = of_codec(codec);
    let percent = 100.0 * path.loss.clamp(0.0, 1.0);
    let burst_ratio = path.burst_ratio.max(1.0);
    let equipment =
        impairment + (95.0 - impairment) * percent / (percent / burst_ratio + robustness);
    (BEST - delay_impairment(path.delay) - equipment).clamp(0.0, 100.0)
}

/// Mean opinion score of a rating, 1 to 4.5 (G.107 annex B).
pub(crate) fn mos(rating: f64) -> f64 {
    match rating {
        r if r <= 0.0 => 1.0,
        r if r >= 100.0 => 4.5,
        // The cubic dips below 1 near nought.
        r => (1.0 + 0.035 * r + r * (r - 60.0) * (100.0 - r) * 7e-6).max(1.0),
    }
}

/// The usual simplification of G.107's Idd: nothing is felt until the two interrupt each other.
fn delay_impairment(delay: Duration) -> f64 {
    let ms = 1_000.0 * delay.as_secs_f64();
    0.024 * ms + 0.11 * (ms - 177.3).max(0.0)
}

/// Ie and Bpl (G.113 appendix I): what the codec costs by itself, and how well it bears random loss.
fn of_codec(codec: Codec) -> (f64, f64) {
    match codec {
        // With concealment.
        Codec::Pcmu | Codec::Pcma => (0.0, 25.1),
        // G.113 rates neither on this scale. G.722 conceals as G.711 does; Opus' redundancy bears twice the loss.
        Codec::G722 => (0.0, 25.1),
        Codec::Opus => (0.0, 50.0),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn path(loss: f64, burst_ratio: f64, ms: u64) -> Path {
        Path {
            loss,
            burst_ratio,
            delay: Duration::from_millis(ms),
        }
    }

    #[test]
    fn ratings_of_g711_are_those_of_the_recommendation() {
        // R of 93.2, and the MOS of G.107 table B.1 for ratings of 90, 80, 70, 60, 50.
        assert!((rating(Codec::Pcmu, path(0.0, 1.0, 0)) - 93.2).abs() < 0.01);
        for (r, expected) in [
            (93.2, 4.41),
            (90.0, 4.34),
            (80.0, 4.03),
            (70.0, 3.60),
            (60.0, 3.10),
            (50.0, 2.58),
        ] {
            assert!((mos(r) - expected).abs() < 0.01, "{r}: {}", mos(r));
        }
    }

    #[test]
    fn loss_bursts_and_delay_each_make_it_worse() {
        let clean = rating(Codec::Pcmu, path(0.0, 1.0, 50));
        let lossy = rating(Codec::Pcmu, path(0.05, 1.0, 50));
        let bursty = rating(Codec::Pcmu, path(0.05, 2.0, 50));
        let late = rating(Codec::Pcmu, path(0.0, 1.0, 400));
        assert!(clean > lossy && lossy > bursty && clean > late);
        assert!(rating(Codec::Opus, path(0.05, 1.0, 50)) > lossy);
        // Five percent at random cost PCMU with concealment 95 * 5 / (5 + 25.1) points.
        assert!((clean - lossy - 15.78).abs() < 0.01, "{}", clean - lossy);
    }

    #[test]
    fn nothing_leaves_the_scale() {
        for percent in 0..=100 {
            for ms in [0, 177, 178, 10_000] {
                let r = rating(Codec::Pcmu, path(f64::from(percent) / 100.0, 3.0, ms));
                let score = mos(r);
                assert!((0.0..=100.0).contains(&r) && (1.0..=4.5).contains(&score));
            }
        }
    }
}
