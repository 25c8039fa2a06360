//! Calls we make (RFC 3261 sections 13.2, 9.1, 15.1.1).

use std::net::SocketAddr;
use std::time::Instant;

use super::call::{Call, Leg, Offered, State};
use super::compose::attach_sdp;
use super::{CallId, EndReason, Event, InviteRequest, Pending, Purpose, UserAgent};
use crate::dialog::{Dialog, DialogKey};
use crate::message::write::reason;
use crate::message::{Headers, HeadersView, Method, NameAddr, Request, Response, Version};
use crate::transaction::ClientId;

/// Branches of a fork that are kept apart; what further ones say before they answer is not heard.
const MAX_LEGS: usize = 16;

impl UserAgent {
    pub(super) fn begin_call(&mut self, now: Instant, invite: InviteRequest) -> CallId {
        let id = CallId(self.fresh_id());
        let key = DialogKey {
            call_id: self.random.token(),
            local_tag: self.random.token(),
        };
        let mut headers = Headers::default();
        headers.add("From", invite.from.with_tag(&key.local_tag).to_string());
        headers.add("To", NameAddr::new(invite.target.clone()).to_string());
        headers.add("Call-ID", key.call_id.clone());
        headers.add("CSeq", "1 INVITE");
        headers.extend(invite.headers);
        self.ask_for_session_timer(&mut headers);
        let mut request = Request {
            method: Method::Invite,
            uri: invite.target,
            version: Version::V2,
            headers,
            body: Vec::new(),
        };
        attach_sdp(&mut request, &invite.offer);
        let client = self.send(
            now,
            request.clone(),
            invite.destination,
            Pending::new(Purpose::Invite(id)),
        );
        let state = State::Calling {
            client,
            heard: false,
            cancelled: false,
        };
        let mut call = Call::new(state, request, key);
        call.credentials = invite.credentials;
        call.described = invite.offer;
        self.calls.insert(id, call);
        id
    }

    /// Ends a call in any state.
    pub(super) fn end_call(&mut self, now: Instant, id: CallId) {
        let Some(call) = self.calls.get_mut(id).filter(|call| !call.is_over()) else {
            return;
        };
        match call.state {
            State::Calling { client, heard, .. } => {
                call.state = State::Calling {
                    client,
                    heard,
                    cancelled: true,
                };
                // CANCEL before any answer could overtake the INVITE (RFC 3261 section 9.1).
                if heard {
                    self.send_cancel(now, client);
                }
                self.tell_end(now, id, EndReason::Local);
            }
            State::Incoming { .. } => self.reject_call(now, id, 603.into()),
            State::Established => {
                self.say_bye(now, id);
                self.tell_end(now, id, EndReason::Local);
            }
            State::Ending => {}
        }
    }

    /// Sends BYE, or leaves it to the ACK that our 200 still waits for (RFC 3261 section 15).
    pub(super) fn say_bye(&mut self, now: Instant, id: CallId) {
        self.withdraw_from_offer(now, id);
        let Some(call) = self.calls.get_mut(id) else {
            return;
        };
        call.state = State::Ending;
        if call.unacked.as_ref().is_some_and(|unacked| unacked.initial) {
            return;
        }
        if let Some(dialog) = &mut call.dialog {
            let (bye, peer) = (dialog.request(Method::Bye), dialog.peer());
            self.send(now, bye, peer, Pending::new(Purpose::Bye(id)));
        } else {
            self.forget_call(id);
        }
    }

    pub(super) fn handle_invite_response(
        &mut self,
        now: Instant,
        id: CallId,
        client: ClientId,
        pending: Pending,
        response: &Response,
        source: SocketAddr,
    ) {
        match response.status_code.code() {
            ..200 => self.handle_progress(now, id, client, response, source),
            200..300 => self.handle_answer(now, id, client, response, source),
            401 | 407 => self.answer_invite_challenge(now, id, client, pending, response),
            code if self.tries_again(now, id, client, code, response) => {}
            _ => self.handle_refusal(now, id, client, response),
        }
    }

    pub(super) fn handle_bye_response(
        &mut self,
        now: Instant,
        id: CallId,
        client: ClientId,
        pending: Pending,
        response: &Response,
    ) {
        if self
            .answers_challenge(now, id, client, pending, response)
            .is_none()
        {
            self.forget_call(id);
        }
    }

    /// Sends a request of ours inside a dialog again with an answer to the challenge; none when `response` is no
    /// challenge, or one that cannot be answered.
    pub(super) fn answers_challenge(
        &mut self,
        now: Instant,
        id: CallId,
        client: ClientId,
        pending: Pending,
        response: &Response,
    ) -> Option<ClientId> {
        if !matches!(response.status_code.code(), 401 | 407) {
            return None;
        }
        let call = self.calls.get(id)?;
        let (credentials, mut digest) = (call.credentials.clone(), call.digest.clone());
        let (request, peer) = self
            .authorised(
                client,
                response,
                credentials.as_ref(),
                &mut digest,
                pending.challenges,
            )
            .ok()?;
        let number = request.headers.cseq_view().map_or(0, |cseq| cseq.number);
        let tag = request.headers.to_view().ok().and_then(|to| to.tag());
        let call = self.calls.get_mut(id)?;
        if let Some(dialog) = call.dialog_with(&tag.unwrap_or_default()) {
            dialog.number_at_least(number);
        }
        Some(self.send(now, request, peer, pending.challenged()))
    }

    fn handle_refusal(&mut self, now: Instant, id: CallId, client: ClientId, response: &Response) {
        let is_current = self.calls.get(id).is_some_and(
            |call| matches!(call.state, State::Calling { client: own, .. } if own == client),
        );
        if is_current {
            let reason = EndReason::refused(response);
            self.finish(now, id, reason);
        }
    }

    fn handle_progress(
        &mut self,
        now: Instant,
        id: CallId,
        client: ClientId,
        response: &Response,
        source: SocketAddr,
    ) {
        let Some(call) = self.calls.get_mut(id) else {
            return;
        };
        let State::Calling {
            client: current,
            heard,
            cancelled,
        } = call.state
        else {
            return;
        };
        if current != client {
            return;
        }
        call.state = State::Calling {
            client,
            heard: true,
            cancelled,
        };
        let code = response.status_code.code();
        if cancelled {
            if !heard {
                self.send_cancel(now, client);
            }
            return;
        }
        if code == 100 {
            return;
        }
        if let Some(sdp) = self.take_provisional(now, id, client, response, source) {
            self.events.push_back(Event::Progress {
                call: id,
                code,
                sdp,
            });
            self.tell_referrer(now, id, code);
        }
    }

    /// Makes or finds the early dialog of a provisional answer. None without a To tag, or beyond so many branches.
    pub(super) fn early_leg(
        &mut self,
        id: CallId,
        client: ClientId,
        response: &Response,
        source: SocketAddr,
    ) -> Option<&mut Leg> {
        let tag = response.headers.to_view().ok()?.tag()?;
        let (invite, _) = self.layer.sent(client)?;
        let fresh = Dialog::of_caller(invite, response, source).ok()?;
        let call = self.calls.get_mut(id)?;
        call.takes_update |= response.headers.lists("Allow", "UPDATE");
        if call.leg_mut(&tag).is_none() {
            if call.legs.len() >= MAX_LEGS {
                return None;
            }
            call.legs.push(Leg {
                dialog: fresh,
                rseq: 0,
                agreed: false,
            });
        }
        call.leg_mut(&tag)
    }

    /// A 2xx: acknowledge it always; end it when we no longer want it, or when another branch answered first.
    fn handle_answer(
        &mut self,
        now: Instant,
        id: CallId,
        client: ClientId,
        response: &Response,
        source: SocketAddr,
    ) {
        let Some((invite, _)) = self.layer.sent(client) else {
            return;
        };
        let number = invite.headers.cseq_view().map_or(1, |cseq| cseq.number);
        let has_offered = !invite.body.is_empty();
        let Ok(mut dialog) = Dialog::of_caller(invite, response, source) else {
            return;
        };
        let tag = dialog.remote_tag();
        let Some(call) = self.calls.get_mut(id) else {
            return self.end_branch(now, id, number, dialog);
        };
        if let Some(leg) = call.leg_mut(&tag) {
            dialog.continue_numbers(&leg.dialog);
            call.agreed = leg.agreed;
        }
        let known = call.dialog.as_ref().map(Dialog::remote_tag);
        match call.state {
            _ if known.as_ref() == Some(&tag) => self.repeat_ack(id, number),
            State::Calling {
                cancelled: false, ..
            } => {
                call.state = State::Established;
                call.dialog = Some(dialog);
                call.takes_update |= response.headers.lists("Allow", "UPDATE");
                if !has_offered && !call.agreed {
                    // Theirs is the offer; the ACK carries our answer.
                    call.offered = Some(Offered::Final { number });
                } else {
                    self.acknowledge(id, number, &[]);
                }
                self.agree_on_session_timer(now, id, &response.headers);
                self.leave_other_legs(id, &tag);
                self.events.push_back(Event::Answered {
                    call: id,
                    sdp: response.body.clone().into(),
                });
                self.tell_referrer(now, id, 200);
            }
            State::Calling {
                cancelled: true, ..
            } => {
                call.dialog = Some(dialog);
                self.acknowledge(id, number, &[]);
                self.say_bye(now, id);
            }
            _ => self.end_branch(now, id, number, dialog),
        }
    }

    /// Sends the ACK to a 2xx inside the call's dialog and keeps it for copies of the 2xx.
    pub(super) fn acknowledge(&mut self, id: CallId, number: u32, sdp: &[u8]) {
        let Some(dialog) = self.calls.get(id).and_then(|call| call.dialog.as_ref()) else {
            return;
        };
        let (mut ack, peer) = (dialog.ack(number), dialog.peer());
        attach_sdp(&mut ack, sdp);
        let ack = self.send_stateless(ack, peer);
        if let Some(call) = self.calls.get_mut(id) {
            call.last_ack = Some((number, ack));
        }
    }

    /// Another branch of a fork answered, too, or too late: its dialog is acknowledged and ended (RFC 3261 section
    /// 13.2.2.4). Copies of its 2xx are acknowledged, and not ended again.
    fn end_branch(&mut self, now: Instant, id: CallId, number: u32, mut dialog: Dialog) {
        let tag = dialog.remote_tag();
        let known = self.calls.get(id).and_then(|call| {
            let mut orphans = call.orphans.iter();
            orphans.find(|(own, _)| *own == tag)
        });
        if let Some((_, ack)) = known {
            let ack = ack.clone();
            return self.layer.transmit(ack);
        }
        let (ack, bye) = (dialog.ack(number), dialog.request(Method::Bye));
        let ack = self.send_stateless(ack, dialog.peer());
        if let Some(call) = self
            .calls
            .get_mut(id)
            .filter(|call| call.orphans.len() < MAX_LEGS)
        {
            call.orphans.push((tag, ack));
        }
        self.send(now, bye, dialog.peer(), Pending::new(Purpose::Orphan));
    }

    fn leave_other_legs(&mut self, id: CallId, tag: &str) {
        if let Some(call) = self.calls.get_mut(id) {
            // An offer on a branch that lost is nobody's any more.
            call.offered.take_if(
                |offered| matches!(offered, Offered::Provisional { tag: own, .. } if own != tag),
            );
            call.legs.clear();
        }
    }

    fn repeat_ack(&mut self, id: CallId, number: u32) {
        let last = self.calls.get(id).and_then(|call| call.last_ack.as_ref());
        if let Some((_, ack)) = last.filter(|(last, _)| *last == number) {
            self.layer.transmit(ack.clone());
        }
    }

    fn answer_invite_challenge(
        &mut self,
        now: Instant,
        id: CallId,
        client: ClientId,
        pending: Pending,
        response: &Response,
    ) {
        let Some(call) = self.calls.get(id).filter(|call| !call.is_over()) else {
            self.forget_call(id);
            return;
        };
        let (credentials, mut digest) = (call.credentials.clone(), call.digest.clone());
        let authorised = self.authorised(
            client,
            response,
            credentials.as_ref(),
            &mut digest,
            pending.challenges,
        );
        let Ok((request, destination)) = authorised else {
            return self.finish(now, id, EndReason::refused(response));
        };
        self.send_invite_again(now, id, request, destination, pending.challenged());
        if let Some(call) = self.calls.get_mut(id) {
            call.digest = digest;
        }
    }

    /// Sends the call's INVITE in another form, and begins to wait anew.
    pub(super) fn send_invite_again(
        &mut self,
        now: Instant,
        id: CallId,
        request: Request,
        destination: SocketAddr,
        pending: Pending,
    ) {
        let client = self.send(now, request.clone(), destination, pending);
        if let Some(call) = self.calls.get_mut(id) {
            call.state = State::Calling {
                client,
                heard: false,
                cancelled: false,
            };
            call.legs.clear();
            call.invite = request;
        }
    }
}

impl EndReason {
    pub(super) fn refused(response: &Response) -> Self {
        Self::Refused {
            code: response.status_code.code(),
            reason: reason(&response.status_code).to_owned(),
            response: Box::new(response.clone()),
        }
    }
}
