//! The number of a packet among all under a key, and whether it was here before.

/// Packets further behind than this are too old to tell (RFC 3711 section 3.3.2 wants 64 at least).
const WINDOW: u64 = 128;

/// Remembers the last [`WINDOW`] numbers.
#[derive(Debug, Clone, Copy)]
pub(super) struct ReplayWindow {
    highest: u64,
    /// The highest in bit 0.
    here: u128,
}

impl ReplayWindow {
    /// The first authentic packet has come.
    pub(super) fn starting_with(index: u64) -> ReplayWindow {
        ReplayWindow {
            highest: index,
            here: 1,
        }
    }

    pub(super) fn highest(&self) -> u64 {
        self.highest
    }

    pub(super) fn is_new(&self, index: u64) -> bool {
        match self.highest.checked_sub(index) {
            None => true,
            Some(behind) => behind < WINDOW && self.here >> behind & 1 == 0,
        }
    }

    /// Only for authentic packets.
    pub(super) fn note(&mut self, index: u64) {
        if index > self.highest {
            let step = u32::try_from(index - self.highest).unwrap_or(u32::MAX);
            self.here = self.here.checked_shl(step).unwrap_or(0) | 1;
            self.highest = index;
        } else if let Some(bit) = 1u128.checked_shl((self.highest - index) as u32) {
            self.here |= bit;
        }
    }
}

/// The index that is nearest to the highest one and ends in `sequence` (RFC 3711 appendix A).
pub(super) fn estimate(highest: u64, sequence: u16) -> u64 {
    let step = sequence.wrapping_sub(highest as u16) as i16;
    let near = highest.checked_add_signed(i64::from(step));
    // Before the first rollover there is no earlier one.
    near.unwrap_or(u64::from(sequence))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn each_number_is_new_once_and_old_ones_never() {
        let mut window = ReplayWindow::starting_with(1_000);
        assert!(!window.is_new(1_000));
        for index in [
            999,
            1_001,
            1_000 - WINDOW + 2,
            1_100,
            5_000,
            4_999,
            5_000 - WINDOW + 1,
        ] {
            assert!(window.is_new(index), "{index}");
            window.note(index);
            assert!(!window.is_new(index), "{index}");
        }
        assert_eq!(window.highest(), 5_000);
        for index in [5_000 - WINDOW, 1_000, 0] {
            assert!(!window.is_new(index), "{index}");
        }
        assert!(window.is_new(4_950));
    }

    #[test]
    fn the_rollover_counts_on_both_sides_of_the_wrap() {
        assert_eq!(estimate(65_530, 65_535), 65_535);
        assert_eq!(estimate(65_530, 3), 65_539);
        assert_eq!(estimate(65_539, 65_534), 65_534);
        assert_eq!(estimate(3 << 16, 65_535), (3 << 16) - 1);
        // Nothing stands before the first packet of all.
        assert_eq!(estimate(3, 65_534), 65_534);
    }
}
