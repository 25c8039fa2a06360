//! Hold and resume from our side (RFC 3264 section 8.4): what the person wants, and asking until it is agreed.

use std::time::Instant;

use rollcall_media::sdp::{self, Direction};
use rollcall_sip::CallId;

use crate::driver::Driver;
use crate::{CallRef, PhoneEvent};

/// One call's hold.
#[derive(Debug, Clone, Copy, Default)]
pub(crate) struct Hold {
    /// What the person wants.
    wanted: bool,
    /// What was offered and waits for an answer.
    offered: Option<bool>,
    /// What was agreed on.
    agreed: bool,
}

impl Hold {
    /// The most we do on this call, as we say in our descriptions.
    pub(crate) fn direction(self) -> Direction {
        match self.offered.unwrap_or(self.agreed) {
            true => Direction::SendOnly,
            false => Direction::SendRecv,
        }
    }

    /// Whether the sound rests. We may send by what was agreed on, and do not: whoever is put on hold must not go on
    /// hearing the room.
    pub(crate) fn rests(self) -> bool {
        self.wanted || self.agreed
    }
}

impl Driver {
    /// Puts a call on hold, or takes it off.
    pub(crate) fn hold(&mut self, call: CallRef, wanted: bool) {
        let Some(id) = self.lines.answered(call) else {
            return self.refuse(call, "The call is not answered.");
        };
        if let Some(line) = self.lines.get_mut(id) {
            line.hold.wanted = wanted;
        }
        // The microphone is off from the word on, whatever the other side says to it.
        self.open_sound(id);
        self.offer_hold(id);
    }

    /// Offers what is wanted, from where we are, unless that is agreed on or an offer is under way.
    pub(crate) fn offer_hold(&mut self, id: CallId) {
        let codecs = self.config.codecs.clone();
        let (Some(line), Some(link)) = (self.lines.get_mut(id), &mut self.link) else {
            return;
        };
        let hold = &mut line.hold;
        let is_known = hold.wanted == hold.agreed && !line.untold;
        if is_known || hold.offered.is_some() {
            return;
        }
        let mut local = line.local.clone();
        local.session_version += 1;
        hold.offered = Some(hold.wanted);
        let offer = sdp::offer(&local, &codecs, hold.direction());
        match link.ua.reoffer(Instant::now(), id, offer.into()) {
            true => {
                line.local = local;
                line.untold = false;
            }
            // The user agent says when it may be asked for.
            false => hold.offered = None,
        }
    }

    /// It is time to ask: nothing stands in the way any more. What was offered before met an offer of theirs and is void
    /// (RFC 3261 section 14.1).
    pub(crate) fn handle_offer_due(&mut self, id: CallId) {
        if let Some(line) = self.lines.get_mut(id)
            && line.hold.offered.take().is_some()
        {
            line.untold = true;
        }
        self.offer_hold(id);
    }

    /// The other side took what we offered.
    pub(crate) fn handle_offer_answered(&mut self, id: CallId, answer: &[u8]) {
        let codecs = self.config.codecs.clone();
        let Some(line) = self.lines.get_mut(id) else {
            return;
        };
        let direction = line.hold.direction();
        let offered = line.hold.offered.take();
        match sdp::accept(answer, &line.local, &codecs, direction) {
            Ok(negotiated) => {
                let was_held = line.is_held_by_other();
                line.negotiated = Some(negotiated);
                let (call, held) = (line.call, line.is_held_by_other());
                let before = line.hold.agreed;
                line.hold.agreed = offered.unwrap_or(before);
                let agreed = line.hold.agreed;
                self.open_sound(id);
                if agreed != before {
                    self.tell(PhoneEvent::Held { call, held: agreed });
                }
                if held != was_held {
                    self.tell(PhoneEvent::HeldByOther { call, held });
                }
                // The person may have thought better of it meanwhile.
                self.offer_hold(id);
            }
            Err(error) => self.end_for_sdp(id, &error),
        }
    }

    /// The other side will not have it: things stay as they were.
    pub(crate) fn handle_offer_refused(&mut self, id: CallId, code: u16) {
        let Some(line) = self.lines.get_mut(id) else {
            return;
        };
        line.hold.offered = None;
        line.hold.wanted = line.hold.agreed;
        let call = line.call;
        self.open_sound(id);
        let message = format!("The other side refused to change the call ({code}).");
        self.refuse(call, &message);
    }

    /// Tells that what was asked of a call cannot be done; the call goes on.
    pub(crate) fn refuse(&mut self, call: CallRef, message: &str) {
        self.tell(PhoneEvent::Refused {
            call,
            message: message.to_owned(),
        });
    }
}
