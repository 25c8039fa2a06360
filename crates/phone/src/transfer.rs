//! Calls handed on: ours to somebody else, and those that we are handed.

use std::time::Instant;

use rollcall_media::sdp::{self, Direction};
use rollcall_sip::message::{NameAddr, Uri, uri_text};
use rollcall_sip::{CallId, InviteRequest};

use crate::calls::bind_rtp;
use crate::driver::Driver;
use crate::{CallRef, PhoneEvent, Target};

impl Driver {
    /// Hands a call on to a number or an address (blind transfer).
    pub(crate) fn transfer(&mut self, call: CallRef, target: &str) {
        let Some((id, link)) = self.lines.answered(call).zip(self.link.as_mut()) else {
            return self.refuse(call, "The call is not answered.");
        };
        let target = Target::parse(target).and_then(|target| target.uri(&link.host));
        match target {
            Ok(target) => {
                let begun = link.ua.transfer(Instant::now(), id, &NameAddr::new(target));
                self.begin_transfer(call, begun);
            }
            Err(error) => self.refuse(call, &format!("{error}.")),
        }
    }

    /// Hands a call on to this Refer-To value as it is, with its parameters and headers.
    pub(crate) fn refer(&mut self, call: CallRef, refer_to: &str) {
        let Some((id, link)) = self.lines.answered(call).zip(self.link.as_mut()) else {
            return self.refuse(call, "The call is not answered.");
        };
        match NameAddr::parse(refer_to) {
            Ok(target) => {
                let begun = link.ua.transfer(Instant::now(), id, &target);
                self.begin_transfer(call, begun);
            }
            Err(refusal) => self.refuse(call, &format!("No address: {}.", refusal.reason)),
        }
    }

    /// Connects the other sides of two calls (attended transfer).
    pub(crate) fn connect(&mut self, call: CallRef, other: CallRef) {
        let ids = self.lines.answered(call).zip(self.lines.answered(other));
        let Some(((id, other), link)) = ids.zip(self.link.as_mut()) else {
            return self.refuse(call, "Both calls must be answered.");
        };
        let begun = link.ua.transfer_to_call(Instant::now(), id, other);
        self.begin_transfer(call, begun);
    }

    /// How a transfer goes. When it is done our part of the call is over.
    pub(crate) fn handle_transfer(&mut self, id: CallId, code: u16, is_final: bool) {
        let Some(call) = self.lines.get_mut(id).map(|line| line.call) else {
            return;
        };
        self.tell(PhoneEvent::Transfer {
            call,
            code,
            is_final,
        });
        if is_final && code < 300 {
            self.hang_up(call);
        }
    }

    /// The other side asks us to call somebody else; the registrar's own, as every request here. We do, as a desk
    /// phone does, and the call of before goes on until its other side ends it.
    pub(crate) fn handle_referral(&mut self, id: CallId, target: Uri, replaces: Option<String>) {
        let codecs = self.config.codecs.clone();
        // One more than anybody else may have, as the call of before goes on meanwhile.
        let busy = self.lines.len() > self.config.max_calls;
        let Some((line, link)) = self.lines.get_mut(id).zip(self.link.as_mut()) else {
            return;
        };
        let call = line.call;
        if busy {
            return link.ua.refuse_referral(Instant::now(), id, 486);
        }
        let bound = bind_rtp(link.local, self.config.srtp);
        let Ok((from, (rtp, local))) = link.identity().and_then(|from| Ok((from, bound?))) else {
            return link.ua.refuse_referral(Instant::now(), id, 503);
        };
        let shown = uri_text(&target);
        let invite = InviteRequest {
            target,
            destination: link.registrar,
            from,
            offer: sdp::offer(&local, &codecs, Direction::SendRecv).into(),
            credentials: Some(link.account.credentials.clone()),
            headers: Vec::new(),
        };
        let made = link
            .ua
            .accept_referral(Instant::now(), id, replaces, invite);
        if let Some(made) = made {
            let new = CallRef::fresh();
            self.lines.insert_dialing(made, new, rtp, local);
            self.tell(PhoneEvent::Referred {
                call,
                new,
                target: shown,
            });
            self.tell(PhoneEvent::Dialing { call: new });
        }
    }

    fn begin_transfer(&mut self, call: CallRef, begun: bool) {
        if !begun {
            self.refuse(call, "The call is not up, or is being transferred already.");
        }
    }
}
