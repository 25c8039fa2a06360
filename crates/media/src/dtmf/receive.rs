//! The way in: which packets tell of a key that was not known yet.
//!
//! An event is known by the timestamp of its beginning (RFC 4733 section 2.2.2): all its packets, repeated, reordered or
//! doubled by the network, carry the same. The first that arrives tells the digit; a beginning that is not younger than
//! the last one's is old news.

use std::time::{Duration, Instant};

use super::{Digit, Report};

/// The longest that one segment of a long event can tell (RFC 4733 section 2.5.1.3).
const SEGMENT: u32 = 0xffff;

/// After so long no packet of the last press is under way any more: whatever its timestamp says, what comes is new.
const STALE: Duration = Duration::from_secs(60);

/// Hears keys.
#[derive(Debug, Default)]
pub(crate) struct EventReceiver {
    last: Option<Heard>,
}

#[derive(Debug, Clone, Copy)]
struct Heard {
    at: Instant,
    ssrc: u32,
    event: u8,
    /// When the key went down, in the stream's ticks.
    began: u32,
    ended: bool,
}

/// A packet of an agreed payload type that is no event.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) struct Malformed;

impl EventReceiver {
    /// A packet under an agreed payload type. The digit, when it is a new one.
    pub(crate) fn take(
        &mut self,
        now: Instant,
        ssrc: u32,
        timestamp: u32,
        payload: &[u8],
    ) -> Result<Option<Digit>, Malformed> {
        let report = Report::read(payload).ok_or(Malformed)?;
        // Flash, modem and trunk events are heard of and are nobody's business here.
        let Some(digit) = Digit::from_event(report.event) else {
            return Ok(None);
        };
        let heard = Heard {
            at: now,
            ssrc,
            event: report.event,
            began: timestamp,
            ended: report.end,
        };
        let told = self.last.map_or(Told::New, |last| last.says_of(&heard));
        match (told, &mut self.last) {
            (Told::Again, Some(last)) => {
                last.at = now;
                last.ended |= report.end;
            }
            (Told::Old, _) => {}
            (_, last) => *last = Some(heard),
        }
        Ok((told == Told::New).then_some(digit))
    }
}

/// What a packet tells about the press before it.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Told {
    /// Another press.
    New,
    /// The same press.
    Again,
    /// The same press, which has outgrown its segment.
    Longer,
    /// A press from before the last one.
    Old,
}

impl Heard {
    fn says_of(&self, next: &Heard) -> Told {
        let is_stale = next.at.saturating_duration_since(self.at) > STALE;
        if is_stale || self.ssrc != next.ssrc {
            return Told::New;
        }
        match next.began.wrapping_sub(self.began) {
            0 => Told::Again,
            SEGMENT if !self.ended && self.event == next.event => Told::Longer,
            step if (step as i32) < 0 => Told::Old,
            _ => Told::New,
        }
    }
}
