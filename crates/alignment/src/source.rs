//! The sources the board depends on, and whether each can be seen.

use crate::time::Now;

/// Where knowledge comes from.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub enum Source {
    /// Asterisk, over AMI.
    Ami,
    /// Our own database.
    Database,
    /// The agent's app, over its Socket.IO connection.
    App,
}

impl Source {
    /// The stable word.
    #[must_use]
    pub fn as_str(self) -> &'static str {
        match self {
            Source::Ami => "ami",
            Source::Database => "database",
            Source::App => "app",
        }
    }
}

/// Whether a source can be seen, and since when that is so.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum SourceHealth {
    /// Never seen since our start.
    Never {
        /// Our start.
        since: Now,
    },
    /// There, and everything it knows was read.
    Up {
        /// When it became so.
        since: Now,
    },
    /// There, but its full state is not read yet.
    Syncing {
        /// When sight of it was lost; the age to show.
        since: Now,
    },
    /// Gone.
    Lost {
        /// When it went.
        since: Now,
    },
}

impl SourceHealth {
    /// Whether what it last said may be believed.
    #[must_use]
    pub fn is_up(&self) -> bool {
        matches!(self, SourceHealth::Up { .. })
    }

    /// Since when it is in this health; for one out of sight, since when nothing is known.
    #[must_use]
    pub fn since(&self) -> Now {
        match self {
            SourceHealth::Never { since }
            | SourceHealth::Up { since }
            | SourceHealth::Syncing { since }
            | SourceHealth::Lost { since } => *since,
        }
    }

    /// The stable word.
    #[must_use]
    pub fn as_str(&self) -> &'static str {
        match self {
            SourceHealth::Never { .. } => "never",
            SourceHealth::Up { .. } => "up",
            SourceHealth::Syncing { .. } => "syncing",
            SourceHealth::Lost { .. } => "lost",
        }
    }
}
