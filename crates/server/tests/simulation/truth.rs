//! What is really so, beside what the board says: nobody is green for long whom Asterisk would not call.

use std::collections::BTreeMap;
use std::time::{Duration, Instant};

use rollcall_alignment::*;
use rollcall_ami::ContactStatus as AmiStatus;

use crate::world::{EXTENSIONS, World};

const GREEN: &str = "green";
/// What the line to Asterisk and the disk take, and some to spare.
const SEEN_WITHIN: Duration = Duration::from_secs(2);
/// No event tells of it, or it was lost: the next list shows it, or the one after that.
const LISTED_WITHIN: Duration = Duration::from_secs(75);

/// Since when somebody is green, cannot be called, or is on a call.
#[derive(Debug, Default)]
pub(crate) struct Truth {
    since: BTreeMap<(&'static str, &'static str), Instant>,
    /// When something last happened that Asterisk says nothing of.
    pub(crate) untold: Option<Instant>,
}

impl Truth {
    /// Looks at Asterisk itself, and at the board.
    pub(crate) fn look(world: &mut World) {
        let now = world.now.monotonic;
        if world.hints_lost > 0.0 {
            world.truth.untold = Some(now);
        }
        for name in EXTENSIONS {
            let on_call = world.pbx.as_ref().is_some_and(|pbx| pbx.is_on_call(name));
            let callable = world.pbx.as_ref().is_some_and(|pbx| {
                pbx.contacts().any(|contact| {
                    contact.endpoint == name
                        && contact.expires_at > now
                        && contact.status != AmiStatus::Unreachable
                })
            });
            let extension = Extension::new(name).unwrap();
            let shown = world.board.get(&extension).map(|view| view.status);
            let green = shown == Some(BoardStatus::Available);
            for (what, holds) in [
                (GREEN, green),
                ("on a call", on_call),
                ("not callable", !callable),
            ] {
                if holds {
                    world.truth.since.entry((name, what)).or_insert(now);
                } else {
                    world.truth.since.remove(&(name, what));
                }
            }
        }
        world.truth.is_not_denied(world);
    }

    fn is_not_denied(&self, world: &World) {
        if world.core.is_none() {
            return;
        }
        let now = world.now.monotonic;
        let hazy = self.untold.is_some_and(|at| now < at + LISTED_WITHIN);
        let within = if hazy { LISTED_WITHIN } else { SEEN_WITHIN };
        for ((name, what), since) in self.since.iter().filter(|((_, what), _)| *what != GREEN) {
            // Of two events of one moment the first may say what the second takes back.
            let both = self
                .since
                .get(&(*name, GREEN))
                .map(|green| green.max(since));
            assert!(
                both.is_none_or(|both| now < *both + within),
                "{name} is green, and {what} for {within:?}"
            );
        }
    }
}
