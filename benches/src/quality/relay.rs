//! Which packets a network loses, drawn from a seed: the same for everybody.

use std::fmt;

use rand::rngs::StdRng;
use rand::{Rng, SeedableRng};

/// How packets are lost.
#[derive(Clone, Copy, Debug, PartialEq)]
pub(crate) struct Weather {
    loss: f64,
    bursts: bool,
}

/// Packets a burst lasts in the mean.
const BURST: f64 = 3.0;

impl Weather {
    /// Each packet for itself.
    pub(crate) const fn random(loss: f64) -> Weather {
        Weather {
            loss,
            bursts: false,
        }
    }

    /// After Gilbert: in bursts of three packets in the mean.
    pub(crate) const fn bursts(loss: f64) -> Weather {
        Weather { loss, bursts: true }
    }

    /// Whether so many packets in a hundred are lost.
    pub(crate) fn is_of(self, percent: u64) -> bool {
        (100.0 * self.loss).round() as u64 == percent
    }

    /// For each packet, whether it is lost; the same for the same seed.
    pub(crate) fn lost(self, seed: u64) -> impl Iterator<Item = bool> {
        let mut random = StdRng::seed_from_u64(seed);
        let mut bad = false;
        let ends = 1.0 / BURST;
        let begins = self.loss / (1.0 - self.loss) * ends;
        std::iter::repeat_with(move || {
            if !self.bursts {
                return random.random_bool(self.loss);
            }
            bad = random.random_bool(if bad { 1.0 - ends } else { begins });
            bad
        })
    }
}

impl fmt::Display for Weather {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let how = if self.bursts {
            "in bursts"
        } else {
            "at random"
        };
        write!(f, "{:.0} % {how}", 100.0 * self.loss)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn as_much_is_lost_as_is_said_and_always_the_same() {
        for weather in [Weather::random(0.2), Weather::bursts(0.2)] {
            let script: Vec<bool> = weather.lost(1).take(100_000).collect();
            let lost = script.iter().filter(|lost| **lost).count();
            assert!((19_000..21_000).contains(&lost), "{weather}: {lost}");
            assert!(weather.lost(1).take(100_000).eq(script));
        }
    }

    #[test]
    fn bursts_last_for_three_packets_in_the_mean() {
        let script: Vec<bool> = Weather::bursts(0.1).lost(7).take(100_000).collect();
        let lost = script.iter().filter(|lost| **lost).count();
        let begun = script
            .windows(2)
            .filter(|pair| pair == &[false, true])
            .count();
        let mean = lost as f64 / begun as f64;
        assert!((2.7..3.3).contains(&mean), "{mean}");
    }
}
