//! Remembers the last 128 sequence numbers, to tell a duplicate from a late packet.

#[derive(Debug, Default)]
pub(super) struct Seen {
    highest: u64,
    /// Bit n: `highest - n` was here. 0 before the first.
    window: u128,
}

impl Seen {
    /// Note a number. True when it was here before; older than the window counts as not.
    pub(super) fn note(&mut self, sequence: u64) -> bool {
        if self.window == 0 || sequence > self.highest {
            let step = sequence.saturating_sub(self.highest);
            let moved = u32::try_from(step)
                .ok()
                .and_then(|n| self.window.checked_shl(n));
            self.window = moved.unwrap_or(0) | 1;
            self.highest = sequence;
            return false;
        }
        let Some(bit) = u32::try_from(self.highest - sequence)
            .ok()
            .and_then(|age| 1u128.checked_shl(age))
        else {
            return false;
        };
        let before = self.window & bit != 0;
        self.window |= bit;
        before
    }

    /// True when a higher number was noted.
    pub(super) fn is_behind(&self, sequence: u64) -> bool {
        self.window != 0 && sequence < self.highest
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_number_is_known_the_second_time_in_any_order() {
        let mut seen = Seen::default();
        for number in [1000, 1002, 1001, 1127, 1130] {
            assert!(!seen.note(number), "{number}");
        }
        for number in [1130, 1127] {
            assert!(seen.note(number), "{number}");
        }
        assert!(!seen.note(1000), "older than the window");
        assert!(seen.is_behind(1129) && !seen.is_behind(1131));
    }

    #[test]
    fn a_far_jump_forgets_what_was_before() {
        let mut seen = Seen::default();
        seen.note(10);
        assert!(!seen.note(u64::MAX));
        assert!(!seen.note(10));
    }
}
