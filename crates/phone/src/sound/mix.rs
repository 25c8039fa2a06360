//! Who hears whom when calls are joined: everybody but himself.

/// What one of several joined calls hears: us, and all calls but its own. `all` is the sum of what came from every call,
/// `own` what came from this one. All have the same length.
pub(super) fn without_own(spoken: &[f32], all: &[f32], own: &[f32], mixed: &mut Vec<f32>) {
    mixed.clear();
    let others = all.iter().zip(own).map(|(all, own)| all - own);
    let heard = spoken.iter().zip(others);
    mixed.extend(heard.map(|(spoken, others)| (spoken + others).clamp(-1.0, 1.0)));
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn each_hears_the_others_and_us_but_not_itself() {
        let (spoken, ann, bob) = ([0.1, 0.1], [0.25, 0.0], [0.0, 0.5]);
        let all = [0.25, 0.5];
        let mut mixed = Vec::new();
        without_own(&spoken, &all, &ann, &mut mixed);
        assert_eq!(mixed, [0.1, 0.6]);
        without_own(&spoken, &all, &bob, &mut mixed);
        assert_eq!(mixed, [0.35, 0.1]);
    }

    #[test]
    fn voices_that_are_too_loud_together_are_clipped_not_wrapped() {
        let mut mixed = Vec::new();
        without_own(&[0.9, -0.9], &[0.9, -0.9], &[0.0, 0.0], &mut mixed);
        assert_eq!(mixed, [1.0, -1.0]);
    }
}
