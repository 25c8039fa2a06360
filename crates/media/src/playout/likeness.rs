//! Where one piece of sound looks most like another: the pitch of a voice, as far as anyone needs.

use std::ops::RangeInclusive;

/// Looks first at a coarse copy, then closely around what it found there.
#[derive(Debug)]
pub(super) struct Likeness {
    /// Samples that become one in the coarse copy, at about 8 kHz.
    factor: usize,
    coarse_pattern: Vec<f32>,
    coarse_within: Vec<f32>,
}

/// A place, and how alike it is: 1 is the same but for its loudness, 0 has nothing in common.
#[derive(Debug, Clone, Copy, PartialEq)]
pub(super) struct Match {
    pub(super) place: usize,
    pub(super) likeness: f32,
}

impl Likeness {
    pub(super) fn new(rate: u32) -> Likeness {
        Likeness {
            factor: (rate / 8_000).max(1) as usize,
            coarse_pattern: Vec::new(),
            coarse_within: Vec::new(),
        }
    }

    /// The place in `within`, one of `places`, from which it looks most like `pattern`. `None` when
    /// the pattern fits nowhere, or is silence.
    pub(super) fn find(
        &mut self,
        pattern: &[f32],
        within: &[f32],
        places: RangeInclusive<usize>,
    ) -> Option<Match> {
        let last = within.len().checked_sub(pattern.len())?;
        let (from, to) = (*places.start(), last.min(*places.end()));
        if self.factor == 1 {
            return best(pattern, within, from..=to);
        }
        coarsen(pattern, self.factor, &mut self.coarse_pattern);
        coarsen(within, self.factor, &mut self.coarse_within);
        let coarse = best(
            &self.coarse_pattern,
            &self.coarse_within,
            from / self.factor..=to / self.factor,
        )?;
        let around = coarse.place * self.factor;
        let low = around.saturating_sub(self.factor).max(from);
        best(pattern, within, low..=(around + self.factor).min(to))
    }
}

/// The mean of every `factor` samples.
fn coarsen(samples: &[f32], factor: usize, coarse: &mut Vec<f32>) {
    coarse.clear();
    let mean = |chunk: &[f32]| chunk.iter().sum::<f32>() / factor as f32;
    coarse.extend(samples.chunks_exact(factor).map(mean));
}

fn best(pattern: &[f32], within: &[f32], places: RangeInclusive<usize>) -> Option<Match> {
    let own = energy(pattern);
    places
        .filter_map(|place| {
            let piece = within.get(place..place + pattern.len())?;
            let scale = (own * energy(piece)).sqrt();
            let likeness = dot(pattern, piece) / scale;
            (scale > 0.0).then_some(Match { place, likeness })
        })
        .max_by(|a, b| a.likeness.total_cmp(&b.likeness))
}

pub(super) fn energy(samples: &[f32]) -> f32 {
    dot(samples, samples)
}

/// Eight running sums, so that the compiler may use wide registers.
fn dot(a: &[f32], b: &[f32]) -> f32 {
    let mut sums = [0.0f32; 8];
    let (mut a, mut b) = (a.chunks_exact(8), b.chunks_exact(8));
    for (a, b) in a.by_ref().zip(b.by_ref()) {
        for (sum, (a, b)) in sums.iter_mut().zip(a.iter().zip(b)) {
            *sum += a * b;
        }
    }
    let rest = a.remainder().iter().zip(b.remainder());
    sums.iter().sum::<f32>() + rest.map(|(a, b)| a * b).sum::<f32>()
}

/// Go over from `from` to `to` in a straight line; what both have in common stays as loud.
pub(super) fn cross_fade<'a>(
    from: &'a [f32],
    to: &'a [f32],
) -> impl Iterator<Item = f32> + use<'a> {
    let steps = from.len().min(to.len()) as f32 + 1.0;
    from.iter().zip(to).enumerate().map(move |(i, (from, to))| {
        let weight = (i + 1) as f32 / steps;
        from * (1.0 - weight) + to * weight
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    fn tone(hertz: f32, rate: u32, count: usize) -> Vec<f32> {
        (0..count)
            .map(|i| (std::f32::consts::TAU * hertz * i as f32 / rate as f32).sin())
            .collect()
    }

    #[test]
    fn a_period_is_found_to_the_sample_at_every_rate() {
        for rate in [8_000, 16_000, 48_000] {
            let ms = rate as usize / 1000;
            let samples = tone(125.0, rate, 30 * ms);
            let mut likeness = Likeness::new(rate);
            let found = likeness.find(&samples[..6 * ms], &samples, 3 * ms..=14 * ms);
            let found = found.unwrap();
            assert_eq!(found.place, 8 * ms, "{rate}");
            assert!(found.likeness > 0.99, "{rate}: {}", found.likeness);
        }
    }

    #[test]
    fn silence_looks_like_nothing_and_what_does_not_fit_is_not_found() {
        let mut likeness = Likeness::new(48_000);
        assert_eq!(likeness.find(&[0.0; 60], &[0.0; 600], 0..=500), None);
        assert_eq!(likeness.find(&[1.0; 60], &[1.0; 59], 0..=500), None);
        assert_eq!(likeness.find(&[1.0; 60], &[1.0; 600], 700..=800), None);
    }

    #[test]
    fn a_cross_fade_leaves_alone_what_is_the_same() {
        let faded: Vec<f32> = cross_fade(&[0.5; 7], &[0.5; 7]).collect();
        assert_eq!(faded, [0.5; 7]);
    }
}
