//! R9: we suspect ourselves first. Apps that fall silent together, or while a source of ours is away,
//! are not called lost before it is shown that the fault is not ours.

use std::collections::BTreeSet;
use std::time::Instant;

use super::Core;
use crate::config::{Config, Registrar};
use crate::ledger::LedgerKind;
use crate::names::Extension;
use crate::time::Now;

/// Which leases that ran out are not believed to have.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub(crate) struct Doubt {
    /// None is.
    pub(crate) all: bool,
    /// Those are not that ended at this moment or later.
    pub(crate) ended_from: Option<Instant>,
}

impl Doubt {
    pub(crate) fn covers(self, ended: Instant) -> bool {
        self.all || self.ended_from.is_some_and(|from| ended >= from)
    }
}

/// Those who fell silent together.
#[derive(Debug)]
struct Crowd {
    since: Instant,
    /// Who of them is silent still, and how many were at most.
    silent: BTreeSet<Extension>,
    most: usize,
}

/// A source of ours was away: from when on, and until when the leases that ended meanwhile may come
/// back; none while it is away.
#[derive(Debug)]
struct Outage {
    from: Instant,
    until: Option<Instant>,
}

/// Whether, and for how long, the fault may be ours.
#[derive(Debug, Default)]
pub(super) struct Suspicion {
    crowd: Option<Crowd>,
    /// A time by the clock: after we slept, and once most of a crowd are back.
    until: Option<Instant>,
    outage: Option<Outage>,
}

impl Suspicion {
    /// Nobody is to be paused or evicted.
    pub(super) fn holds(&self) -> bool {
        self.crowd.is_some() || self.until.is_some()
    }

    pub(super) fn doubt(&self) -> Doubt {
        Doubt {
            all: self.holds(),
            ended_from: self.outage.as_ref().map(|outage| outage.from),
        }
    }

    /// When its end is to be looked at.
    pub(super) fn next(&self, config: &Config) -> Option<Instant> {
        let crowd = self.crowd.as_ref();
        [
            crowd.map(|crowd| crowd.since + config.longest_suspicion),
            self.until,
            self.outage.as_ref().and_then(|outage| outage.until),
        ]
        .into_iter()
        .flatten()
        .min()
    }

    /// A source went out of sight; what ended shortly before may have ended by the same fault.
    pub(super) fn source_lost(&mut self, now: Instant, config: &Config) {
        let from = now.checked_sub(config.lease).unwrap_or(now);
        let from = self.outage.as_ref().map_or(from, |before| before.from);
        self.outage = Some(Outage { from, until: None });
    }

    /// Every source is back: the apps are given their time, too.
    fn sources_found(&mut self, now: Instant, config: &Config) {
        if let Some(outage) = &mut self.outage {
            outage.until.get_or_insert(now + config.grace);
        }
    }
}

impl Core {
    /// A source is back. While another is still away nothing is known.
    pub(super) fn source_found(&mut self, now: Now) {
        let asterisk_is_away = self.config.registrar == Registrar::Linked && !self.ami.is_up();
        if self.database.is_up() && !asterisk_is_away {
            self.suspicion.sources_found(now.monotonic, &self.config);
        }
    }

    /// What of the suspicion is over by the clock.
    pub(super) fn age_suspicion(&mut self, now: Now) {
        let suspicion = &mut self.suspicion;
        let over = |until: Option<Instant>| until.is_some_and(|until| until <= now.monotonic);
        let mut changed = false;
        if over(suspicion.outage.as_ref().and_then(|outage| outage.until)) {
            (suspicion.outage, changed) = (None, true);
        }
        if over(suspicion.until) {
            (suspicion.until, changed) = (None, true);
        }
        let longest = self.config.longest_suspicion;
        let crowd = suspicion.crowd.as_ref();
        if over(crowd.map(|crowd| crowd.since + longest)) {
            suspicion.crowd = None;
            self.note_suspicion(now, "suspicion_over", "they stay away");
            changed = true;
        }
        if changed {
            self.all_dirty();
        }
    }

    /// Many leases that end together are our own fault until the contrary is shown: most of them are
    /// heard again, or stay away for longer than an outage of ours may last.
    pub(super) fn count_losses(&mut self, now: Now, extension: &Extension) {
        let window = self.config.heartbeat;
        let Some(slot) = self.slots.get(extension) else {
            return;
        };
        let mut sessions = slot.agent.sessions.iter();
        let is_silent = sessions.any(|record| {
            record.fell_silent(now, window) || record.is_on_board() && record.lease_ran_out(now)
        });
        let mut sessions = slot.agent.sessions.iter();
        let newly_lost = sessions.any(|record| record.is_newly_lost(now));
        if newly_lost && self.suspicion.crowd.is_none() {
            self.look_for_crowd(now);
        }
        self.follow_crowd(now, extension, newly_lost, is_silent);
        if newly_lost && let Some(slot) = self.slots.get_mut(extension) {
            for record in &mut slot.agent.sessions {
                record.loss_counted |= record.is_newly_lost(now);
            }
        }
    }

    /// Those who are about to be lost count, lest the first ones be drained before the many are seen.
    fn look_for_crowd(&mut self, now: Now) {
        let window = self.config.heartbeat;
        let (mut leases, mut losses) = (0, 0);
        let mut silent = BTreeSet::new();
        for (extension, slot) in &self.slots {
            for record in slot.agent.sessions.iter().filter(|one| one.is_on_board()) {
                leases += 1;
                if record.fell_silent(now, window) {
                    losses += 1;
                    silent.insert(extension.clone());
                }
            }
        }
        if losses < self.config.mass_loss || losses * 5 < leases {
            return;
        }
        self.suspicion.crowd = Some(Crowd {
            since: now.monotonic,
            most: silent.len(),
            silent,
        });
        self.note_suspicion(now, "leases_ended_together", "");
        self.all_dirty();
    }

    /// Once most of the crowd are heard again, the others have a grace more.
    fn follow_crowd(&mut self, now: Now, extension: &Extension, newly_lost: bool, is_silent: bool) {
        let Some(crowd) = &mut self.suspicion.crowd else {
            return;
        };
        if newly_lost {
            crowd.silent.insert(extension.clone());
            crowd.most = crowd.most.max(crowd.silent.len());
        } else if !is_silent {
            crowd.silent.remove(extension);
        }
        if crowd.silent.len() * 2 > crowd.most {
            return;
        }
        self.suspicion.crowd = None;
        self.suspicion.until = Some(now.monotonic + self.config.grace);
        self.note_suspicion(now, "suspicion_over", "most of them are back");
        self.all_dirty();
    }

    /// We slept: what ended meanwhile ended for us, not for the apps.
    pub(super) fn suspect_sleep(&mut self, now: Now) {
        self.suspicion.until = Some(now.monotonic + self.config.grace);
        self.note_suspicion(now, "we_slept", "");
        self.all_dirty();
    }

    fn note_suspicion(&mut self, now: Now, what: &'static str, detail: &str) {
        self.note_house(now, LedgerKind::Decision, "server", what, detail.to_owned());
    }
}
