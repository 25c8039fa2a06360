//! When Asterisk's full lists are asked for. Events are hints; the lists are the periodic truth
//! (R4).

use std::time::Instant;

use crate::config::Config;
use crate::output::ResyncReason;

/// One part of the full state.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Part {
    Contacts,
    Devices,
    Channels,
    Queues,
}

/// The schedule of full lists over one AMI link.
#[derive(Debug, Default)]
pub(crate) struct Resync {
    link_up: bool,
    /// When it was asked, and in which step of the core.
    outstanding: Option<(Instant, u64)>,
    got: [bool; 4],
    not_before: Option<Instant>,
    wanted: Option<ResyncReason>,
    periodic: Option<Instant>,
}

impl Resync {
    pub(crate) fn link_up(&mut self, now: Instant) {
        *self = Resync {
            link_up: true,
            wanted: Some(ResyncReason::LinkUp),
            not_before: Some(now),
            ..Resync::default()
        };
    }

    pub(crate) fn link_lost(&mut self) {
        *self = Resync::default();
    }

    /// Something contradicts what is known, or a contact is new.
    pub(crate) fn want(&mut self, reason: ResyncReason) {
        if self.link_up {
            self.wanted.get_or_insert(reason);
        }
    }

    /// Somebody is there to be asked.
    pub(crate) fn is_linked(&self) -> bool {
        self.link_up
    }

    /// The step in which the list was asked for that is answered by one of `asked_at`. A list
    /// nobody waits for any more is of the past, and counts for nothing.
    pub(crate) fn asked_in(&self, asked_at: Instant) -> Option<u64> {
        self.outstanding
            .filter(|(at, _)| *at == asked_at)
            .map(|(_, step)| step)
    }

    /// The step in which the lists were asked for that are waited for.
    pub(crate) fn asked(&self) -> Option<u64> {
        self.outstanding.map(|(_, step)| step)
    }

    /// A list came that is waited for; true when with it the full state is there.
    pub(crate) fn received(&mut self, part: Part, now: Instant, config: &Config) -> bool {
        self.got[part as usize] = true;
        if self.got != [true; 4] {
            return false;
        }
        self.outstanding = None;
        self.periodic = Some(now + config.resync);
        true
    }

    /// What to ask for now, if anything.
    pub(crate) fn due(&mut self, now: Instant, step: u64, config: &Config) -> Option<ResyncReason> {
        if self.next(config)? > now {
            return None;
        }
        let reason = if self.outstanding.is_some() {
            ResyncReason::Unanswered
        } else {
            self.wanted.take().unwrap_or(ResyncReason::Periodic)
        };
        self.wanted = None;
        self.outstanding = Some((now, step));
        self.not_before = Some(now + config.resync_spacing);
        self.got = [false; 4];
        Some(reason)
    }

    /// When [`Resync::due`] has something next.
    pub(crate) fn next(&self, config: &Config) -> Option<Instant> {
        if !self.link_up {
            return None;
        }
        if let Some((asked, _)) = self.outstanding {
            return Some(asked + config.resync_timeout);
        }
        if self.wanted.is_some() {
            self.not_before
        } else {
            self.periodic
        }
    }
}
