//! Where in a recording a speech begins: phones start to record when they will.

use crate::quality::speech::RATE;

/// Samples of a step of the envelope: 10 ms.
const STEP: usize = RATE / 100;
/// Where it may begin, in steps: a second before the recording to six after.
const FROM: isize = -100;
const TO: isize = 600;

/// The recording, shifted so that what was said at any sample stands there, or up to a step later. Both at 16 kHz; as long as what was said, at
/// least.
pub(super) fn shifted(said: &[f32], heard: &[f32]) -> Vec<f32> {
    let (spoken, recorded) = (envelope(said), envelope(heard));
    let likeness = |shift: isize| -> f64 {
        spoken
            .iter()
            .enumerate()
            .filter_map(|(n, level)| {
                let at = n.checked_add_signed(shift)?;
                Some(level * recorded.get(at)?)
            })
            .sum()
    };
    let best = (FROM..TO).max_by(|one, other| likeness(*one).total_cmp(&likeness(*other)));
    // A step early, so that nothing of the beginning is cut off.
    let begin = (best.unwrap_or_default() - 1) * STEP as isize;
    let before = vec![0.0; usize::try_from(-begin).unwrap_or(0)];
    let kept = heard.get(usize::try_from(begin).unwrap_or(0)..);
    let mut there = [before.as_slice(), kept.unwrap_or_default()].concat();
    // Who lost the end, or squeezed what was lost, is silent then.
    there.resize(there.len().max(said.len()), 0.0);
    there
}

/// The level of each step, without its mean.
fn envelope(samples: &[f32]) -> Vec<f64> {
    let levels: Vec<f64> = samples
        .chunks(STEP)
        .map(|step| {
            let power: f64 = step.iter().map(|sample| f64::from(*sample).powi(2)).sum();
            power.sqrt()
        })
        .collect();
    let mean = levels.iter().sum::<f64>() / levels.len().max(1) as f64;
    levels.into_iter().map(|level| level - mean).collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_begins_later_or_was_cut_off_is_put_where_it_was_said() {
        let said: Vec<f32> = (0..4 * RATE)
            .map(|n| {
                // Syllables of uneven length.
                let loud = (n / 1_600) * (n / 1_600) % 7 < 3;
                if loud { (n as f32 * 0.3).sin() } else { 0.0 }
            })
            .collect();
        let late = [vec![0.0; RATE / 2], said.clone()].concat();
        let cut = said[RATE / 4..].to_vec();
        for heard in [late, cut] {
            let there = shifted(&said, &heard);
            let off = said.iter().zip(&there[STEP..]).skip(RATE).take(RATE);
            assert!(
                off.into_iter()
                    .all(|(said, heard)| (said - heard).abs() < 1e-6)
            );
        }
    }
}
