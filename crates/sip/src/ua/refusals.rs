//! What was refused, counted by kind: the figures that an operator watches when a network turns hostile.

/// Why something that came from the network was refused.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub enum RefusalKind {
    /// Bytes that are no message.
    Unreadable,
    /// A request from an address that is not trusted (404, or 481 when it names a dialog).
    Stranger,
    /// A request of a dialog that is not ours, is over, or is not the sender's (481).
    UnknownDialog,
    /// A request inside a dialog that an older number overtook (500).
    OutOfOrder,
    /// A request that requires an extension unknown here (420).
    UnsupportedExtension,
    /// A body of a type or an encoding unknown here (415).
    UnsupportedBody,
    /// A method that nobody here acts upon (405).
    UnsupportedMethod,
    /// An INVITE over a second path (482), or one without what a dialog needs (400).
    UnusableInvite,
    /// An INVITE beyond the calls that are allowed at once (486).
    Busy,
    /// More than is kept in memory at once (503).
    Overload,
    /// A response to nothing of ours.
    StrayResponse,
}

impl RefusalKind {
    /// Every kind, in the order of [`Refusals::iter`].
    pub const ALL: [Self; 11] = [
        Self::Unreadable,
        Self::Stranger,
        Self::UnknownDialog,
        Self::OutOfOrder,
        Self::UnsupportedExtension,
        Self::UnsupportedBody,
        Self::UnsupportedMethod,
        Self::UnusableInvite,
        Self::Busy,
        Self::Overload,
        Self::StrayResponse,
    ];

    /// A stable name for metrics.
    pub fn as_str(self) -> &'static str {
        match self {
            Self::Unreadable => "unreadable",
            Self::Stranger => "stranger",
            Self::UnknownDialog => "unknown_dialog",
            Self::OutOfOrder => "out_of_order",
            Self::UnsupportedExtension => "unsupported_extension",
            Self::UnsupportedBody => "unsupported_body",
            Self::UnsupportedMethod => "unsupported_method",
            Self::UnusableInvite => "unusable_invite",
            Self::Busy => "busy",
            Self::Overload => "overload",
            Self::StrayResponse => "stray_response",
        }
    }
}

/// How often each kind of refusal happened.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub struct Refusals {
    counts: [u64; RefusalKind::ALL.len()],
}

impl Refusals {
    /// How often this kind happened.
    pub fn get(&self, kind: RefusalKind) -> u64 {
        self.counts.get(kind as usize).copied().unwrap_or_default()
    }

    /// Every kind with its count, nought included.
    pub fn iter(&self) -> impl Iterator<Item = (RefusalKind, u64)> {
        RefusalKind::ALL.into_iter().zip(self.counts)
    }

    /// All kinds together.
    pub fn total(&self) -> u64 {
        self.counts.iter().sum()
    }

    pub(super) fn count(&mut self, kind: RefusalKind) {
        if let Some(count) = self.counts.get_mut(kind as usize) {
            *count += 1;
        }
    }
}

impl std::ops::AddAssign for Refusals {
    fn add_assign(&mut self, other: Self) {
        for (own, others) in self.counts.iter_mut().zip(other.counts) {
            *own += others;
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_kind_has_a_place_and_a_name_of_its_own() {
        let mut refusals = Refusals::default();
        for (index, kind) in RefusalKind::ALL.into_iter().enumerate() {
            assert_eq!(kind as usize, index);
            refusals.count(kind);
        }
        assert!(refusals.iter().all(|(_, count)| count == 1));
        let names: std::collections::BTreeSet<_> =
            RefusalKind::ALL.iter().map(|kind| kind.as_str()).collect();
        assert_eq!(names.len(), RefusalKind::ALL.len());
    }
}
