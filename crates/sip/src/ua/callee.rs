//! Calls that come to us (RFC 3261 sections 13.3, 9.2).

use std::net::SocketAddr;
use std::time::{Duration, Instant};

use bytes::Bytes;

use super::call::{Call, State, Unacked};
use super::{CallId, EndReason, Event, RefusalKind, Reply, UserAgent};
use crate::dialog::{Dialog, DialogKey};
use crate::message::{HeadersView, Request};
use crate::transaction::{ServerId, Transmit};

/// An unanswered call is refused after this, in case its caller is gone without a CANCEL.
const LONGEST_RING: Duration = Duration::from_secs(180);

impl UserAgent {
    /// A new INVITE: refuse what cannot become a call, else say 100 and tell.
    pub(super) fn handle_invite(
        &mut self,
        now: Instant,
        server: ServerId,
        request: Request,
        source: SocketAddr,
    ) {
        let tag = self.random.token();
        let (dialog, replaces) = match self.admit(&request, &tag, source) {
            Ok(admitted) => admitted,
            Err((reply, kind)) => {
                self.refusals.count(kind);
                self.respond_in(now, server, &request, reply, Some(&tag));
                return;
            }
        };
        self.respond_in(now, server, &request, Reply::new(100), None);
        let id = CallId(self.fresh_id());
        let call_id = request
            .headers
            .text("Call-ID")
            .unwrap_or_default()
            .to_owned();
        let key = DialogKey {
            call_id,
            local_tag: tag,
        };
        let mut call = Call::new(State::Incoming { server }, request.clone(), key);
        call.dialog = Some(dialog);
        call.takes_update = request.headers.lists("Allow", "UPDATE");
        call.ring_until = Some(now + LONGEST_RING);
        call.replaces = replaces;
        self.calls.insert(id, call);
        self.invites.insert(server, id);
        self.events.push_back(Event::Incoming {
            call: id,
            request: Box::new(request),
            source,
            replaces,
        });
    }

    pub(super) fn ring_call(&mut self, now: Instant, id: CallId, sdp: Option<Bytes>) {
        let code = if sdp.is_some() { 183 } else { 180 };
        let sdp = sdp.unwrap_or_default();
        if let Some(call) = self.calls.get_mut(id) {
            call.rang = true;
            if !sdp.is_empty() {
                call.described = sdp.clone();
            }
        }
        let reply = self.dialog_reply(code, sdp);
        self.send_provisional(now, id, reply);
    }

    pub(super) fn answer_call(&mut self, now: Instant, id: CallId, sdp: Bytes) {
        let Some(call) = self.calls.get_mut(id) else {
            return;
        };
        let State::Incoming { .. } = call.state else {
            return;
        };
        if call.reliable.waiting.as_ref().is_some_and(|w| w.has_sdp) {
            // RFC 3262 section 3: not before the PRACK to a description.
            call.reliable.answer = Some(sdp);
            return;
        }
        call.reliable.waiting = None;
        call.reliable.queue.clear();
        let invite = call.invite.clone();
        let reply = self.dialog_reply(200, sdp.clone());
        let reply = self.grant_session_timer(now, id, &invite, reply);
        let Some(transmit) = self.reply_to_invite(now, id, reply) else {
            return;
        };
        let number = invite.headers.cseq_view().map_or(0, |cseq| cseq.number);
        let unacked = self.config.unacked(now, number, transmit, true);
        if let Some(call) = self.calls.get_mut(id) {
            call.state = State::Established;
            call.unacked = Some(unacked);
            if !sdp.is_empty() {
                call.described = sdp;
            }
            if let Some(old) = call.replaces {
                self.give_way(now, old);
            }
        }
    }

    pub(super) fn reject_call(&mut self, now: Instant, id: CallId, reply: Reply) {
        if self.reply_to_invite(now, id, reply).is_some() {
            self.finish(now, id, EndReason::Local);
        }
    }

    /// CANCEL: 200 to it; 487 to an INVITE that still waits.
    pub(super) fn handle_cancel(
        &mut self,
        now: Instant,
        server: ServerId,
        request: &Request,
        invite: Option<ServerId>,
    ) {
        let Some(invite) = invite else {
            self.refusals.count(RefusalKind::UnknownDialog);
            self.respond_in(now, server, request, Reply::new(481), None);
            return;
        };
        self.respond_in(now, server, request, Reply::new(200), None);
        // After the final answer a CANCEL changes nothing (RFC 3261 section 9.2).
        if !self.layer.is_pending(invite) {
            return;
        }
        let Some(&id) = self.invites.get(&invite) else {
            return;
        };
        let state = self.calls.get(id).map(|call| call.state);
        if state == Some(State::Incoming { server: invite }) {
            self.reply_to_invite(now, id, Reply::new(487));
            self.finish(now, id, EndReason::Cancelled);
        } else {
            self.refuse_their_offer(now, id, Reply::new(487));
        }
    }

    /// The ACK to a 200 of ours.
    pub(super) fn handle_ack(&mut self, now: Instant, request: &Request, source: SocketAddr) {
        let Some(id) = DialogKey::of_request(request).and_then(|key| self.calls.named(&key)) else {
            return;
        };
        let Some(call) = self.calls.get_mut(id) else {
            return;
        };
        let number = request.headers.cseq_view().map_or(0, |cseq| cseq.number);
        let from_peer = call
            .dialog
            .as_ref()
            .is_some_and(|dialog| self.config.is_from_peer(dialog, request, source));
        let Some(unacked) = call
            .unacked
            .take_if(|unacked| from_peer && unacked.number == number)
        else {
            return;
        };
        if call.state == State::Ending {
            self.say_bye(now, id);
        } else if unacked.initial || !request.body.is_empty() {
            self.events.push_back(Event::Confirmed {
                call: id,
                sdp: request.body.clone().into(),
            });
        }
    }

    /// Does what is due in the calls: answers sent again, calls given up, changes and refreshes asked for.
    pub(super) fn run_calls(&mut self, now: Instant) {
        for id in self.calls.expired(now) {
            self.run_unacked(now, id);
            self.run_unpracked(now, id);
            self.run_ringing(now, id);
            self.run_moved_ringing(now, id);
            self.run_paused_change(now, id);
            self.run_session_timer(now, id);
        }
    }

    /// Sends a 200 again whose ACK has not come, and gives up after 64 T1.
    fn run_unacked(&mut self, now: Instant, id: CallId) {
        let longest = self.config.timers.t2;
        let Some(call) = self.calls.get_mut(id) else {
            return;
        };
        match call.unacked.as_mut() {
            Some(unacked) if unacked.give_up_at <= now => self.give_up_on_ack(now, id),
            Some(unacked) if unacked.resend_at <= now => {
                unacked.resend_at = now + unacked.interval;
                unacked.interval = (unacked.interval * 2).min(longest);
                self.layer.transmit(unacked.transmit.clone());
            }
            _ => {}
        }
    }

    /// Refuses what rang too long.
    fn run_ringing(&mut self, now: Instant, id: CallId) {
        let rang_out = self.calls.get(id).is_some_and(|call| {
            matches!(call.state, State::Incoming { .. })
                && call.ring_until.is_some_and(|until| until <= now)
        });
        if rang_out {
            self.reply_to_invite(now, id, Reply::new(480));
            self.finish(now, id, EndReason::Cancelled);
        }
    }

    /// RFC 3261 section 13.3.1.4: the dialog stands, but the session ends.
    fn give_up_on_ack(&mut self, now: Instant, id: CallId) {
        if let Some(call) = self.calls.get_mut(id) {
            call.unacked = None;
        }
        self.tell_end_unless_over(now, id, EndReason::Lost);
        self.say_bye(now, id);
    }

    pub(super) fn reply_to_invite(
        &mut self,
        now: Instant,
        id: CallId,
        reply: Reply,
    ) -> Option<Transmit> {
        let call = self.calls.get(id)?;
        let State::Incoming { server } = call.state else {
            return None;
        };
        let response = self.response(&call.invite, reply, Some(&call.key.local_tag));
        self.layer.respond(now, server, &response)
    }

    /// The dialog of an INVITE and the call that it replaces, or why it cannot become a call here.
    fn admit(
        &mut self,
        request: &Request,
        tag: &str,
        source: SocketAddr,
    ) -> Result<(Dialog, Option<CallId>), (Reply, RefusalKind)> {
        let dialog = Dialog::of_callee(request, tag, source).map_err(|unusable| {
            let reply = Reply::because(unusable.code, unusable.reason);
            (reply, RefusalKind::UnusableInvite)
        })?;
        let replaces = self
            .replaced_by(request)
            .map_err(|reply| (reply, RefusalKind::UnknownDialog))?;
        match self.refusal_of(request, replaces.is_some()) {
            Some(refusal) => Err(refusal),
            None => Ok((dialog, replaces)),
        }
    }

    fn refusal_of(&self, request: &Request, replaces: bool) -> Option<(Reply, RefusalKind)> {
        if self.is_merged(request) {
            return Some((Reply::new(482), RefusalKind::UnusableInvite));
        }
        if let Some(reply) = self.refusal_of_interval(request) {
            return Some((reply, RefusalKind::UnusableInvite));
        }
        let most = self.config.max_calls;
        // One that takes another's place needs no room of its own.
        let most = most.saturating_add(replaces.into());
        let is_full = self.calls.len() >= most && self.call_count() >= most;
        is_full.then(|| (Reply::new(486), RefusalKind::Busy))
    }

    /// The same INVITE over another path (RFC 3261 section 8.2.2.2).
    fn is_merged(&self, request: &Request) -> bool {
        let same =
            |name: &str, other: &Request| other.headers.text(name) == request.headers.text(name);
        let call_id = request.headers.text("Call-ID").unwrap_or_default();
        self.calls.sharing(call_id).any(|call| {
            matches!(call.state, State::Incoming { .. })
                && ["From", "CSeq"].iter().all(|name| same(name, &call.invite))
        })
    }
}

impl super::Config {
    pub(super) fn unacked(
        &self,
        now: Instant,
        number: u32,
        transmit: Transmit,
        initial: bool,
    ) -> Unacked {
        Unacked {
            number,
            transmit,
            resend_at: now + self.timers.t1,
            interval: self.timers.t1 * 2,
            give_up_at: now + self.timers.patience(),
            initial,
        }
    }
}
