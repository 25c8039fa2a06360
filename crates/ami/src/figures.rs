//! What a link has been through, for whoever counts: read at any time, from any task.

use std::collections::BTreeMap;
use std::sync::{Mutex, MutexGuard, PoisonError};
use std::time::{Duration, Instant};

use crate::client::LostReason;
use crate::frame::FrameError;
use crate::session::CloseReason;

/// The figures of one link. The client writes them; they outlive it.
#[derive(Debug, Default)]
pub struct Figures(Mutex<Counted>);

#[derive(Debug, Default)]
struct Counted {
    up: bool,
    heard_at: Option<Instant>,
    losses: BTreeMap<&'static str, u64>,
}

impl Figures {
    /// Whether the link is logged in and booted.
    pub fn is_up(&self) -> bool {
        self.counted().up
    }

    /// How long ago Asterisk last said anything over a link that was up; none if it never did.
    pub fn silent_for(&self, now: Instant) -> Option<Duration> {
        let heard_at = self.counted().heard_at?;
        Some(now.saturating_duration_since(heard_at))
    }

    /// How many connections, or attempts at one, came to an end, by [`LostReason::code`].
    pub fn losses(&self) -> BTreeMap<&'static str, u64> {
        self.counted().losses.clone()
    }

    pub(crate) fn heard(&self, at: Instant) {
        let mut counted = self.counted();
        counted.up = true;
        counted.heard_at = Some(at);
    }

    pub(crate) fn lost(&self, reason: &LostReason) {
        let mut counted = self.counted();
        counted.up = false;
        *counted.losses.entry(reason.code()).or_default() += 1;
    }

    fn counted(&self) -> MutexGuard<'_, Counted> {
        self.0.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl LostReason {
    /// A stable word, such as a metric's label.
    pub fn code(&self) -> &'static str {
        let closed = match self {
            Self::Unreachable(_) => return "unreachable",
            Self::Overrun => return "events_not_read",
            Self::Closed(reason) => reason,
        };
        match closed {
            CloseReason::ByPeer => "closed_by_peer",
            CloseReason::LoggedOff => "logged_off",
            CloseReason::LoginRefused { .. } => "login_refused",
            CloseReason::LoginTimedOut => "login_timed_out",
            CloseReason::NotBooted => "not_booted",
            CloseReason::Silent(_) => "silent",
            CloseReason::Frame(FrameError::LineTooLong(_)) => "line_too_long",
            CloseReason::Frame(FrameError::TooManyHeaders(_)) => "too_many_headers",
            CloseReason::Frame(FrameError::PacketTooLarge(_)) => "packet_too_large",
            CloseReason::Frame(FrameError::NoGreeting) => "no_greeting",
            CloseReason::Credentials(_) => "bad_credentials",
        }
    }
}
