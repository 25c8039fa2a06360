//! Changes of a session that we ask for: re-INVITE (RFC 3261 section 14.1).

use std::time::Instant;

use bytes::Bytes;

use super::call::State;
use super::compose::attach_sdp;
use super::{CallId, EndReason, Event, Pending, Purpose, UserAgent};
use crate::message::{HeadersView, Method, Response};
use crate::transaction::ClientId;

impl UserAgent {
    pub(super) fn begin_reoffer(&mut self, now: Instant, id: CallId, sdp: &Bytes) -> bool {
        let Some(call) = self.calls.get_mut(&id) else {
            return false;
        };
        let is_free = call.state == State::Established
            && call.reoffer.is_none()
            && call.offered.is_none()
            && call.unacked.is_none();
        let Some(dialog) = call.dialog.as_mut().filter(|_| is_free) else {
            return false;
        };
        let (mut request, peer) = (dialog.request(Method::Invite), dialog.peer());
        attach_sdp(&mut request, sdp);
        let client = self.send(now, request, peer, Pending::new(Purpose::Reoffer(id)));
        if let Some(call) = self.calls.get_mut(&id) {
            call.reoffer = Some(client);
        }
        true
    }

    pub(super) fn handle_reoffer_response(
        &mut self,
        now: Instant,
        id: CallId,
        client: ClientId,
        pending: Pending,
        response: &Response,
    ) {
        match response.status_code.code() {
            ..200 => {}
            200..300 => self.handle_reoffer_answer(id, client, response),
            401 | 407 => self.answer_reoffer_challenge(now, id, client, pending, response),
            // The other side knows of no such call any more (RFC 3261 section 14.1).
            408 | 481 => self.lose_call(now, id),
            code => self.refuse_reoffer(id, code),
        }
    }

    /// The other side no longer answers inside the dialog.
    pub(super) fn lose_call(&mut self, now: Instant, id: CallId) {
        let Some(call) = self.calls.get_mut(&id).filter(|call| !call.is_over()) else {
            return;
        };
        call.reoffer = None;
        self.events.push_back(Event::Ended {
            call: id,
            reason: EndReason::Lost,
        });
        self.say_bye(now, id);
    }

    /// Acknowledges every copy of the 2xx, and tells the first.
    fn handle_reoffer_answer(&mut self, id: CallId, client: ClientId, response: &Response) {
        let number = response.headers.cseq_view().map_or(0, |cseq| cseq.number);
        let Some(call) = self.calls.get_mut(&id) else {
            return;
        };
        if let Some((_, ack)) = call.last_ack.as_ref().filter(|(last, _)| *last == number) {
            self.layer.transmit(ack.clone());
            return;
        }
        let is_news = call.reoffer.take_if(|own| *own == client).is_some();
        let over = call.is_over();
        let Some(dialog) = &mut call.dialog else {
            return;
        };
        dialog.refresh_target(&response.headers);
        let (ack, peer) = (dialog.ack(number), dialog.peer());
        let ack = self.send_stateless(ack, peer);
        if let Some(call) = self.calls.get_mut(&id) {
            call.last_ack = Some((number, ack));
        }
        if is_news && !over {
            self.events.push_back(Event::OfferAnswered {
                call: id,
                sdp: response.body.clone().into(),
            });
        }
    }

    fn answer_reoffer_challenge(
        &mut self,
        now: Instant,
        id: CallId,
        client: ClientId,
        pending: Pending,
        response: &Response,
    ) {
        let credentials = self
            .calls
            .get(&id)
            .and_then(|call| call.credentials.clone());
        let mut digest = None;
        let authorised = self.authorised(
            client,
            response,
            credentials.as_ref(),
            &mut digest,
            pending.challenges,
        );
        let Ok((request, peer)) = authorised else {
            return self.refuse_reoffer(id, response.status_code.code());
        };
        let number = request.headers.cseq_view().map_or(0, |cseq| cseq.number);
        let client = self.send(now, request, peer, pending.challenged());
        if let Some(call) = self.calls.get_mut(&id) {
            call.reoffer = Some(client);
            if let Some(dialog) = &mut call.dialog {
                dialog.number_at_least(number);
            }
        }
    }

    fn refuse_reoffer(&mut self, id: CallId, code: u16) {
        let Some(call) = self.calls.get_mut(&id) else {
            return;
        };
        call.reoffer = None;
        if !call.is_over() {
            self.events
                .push_back(Event::OfferRefused { call: id, code });
        }
    }
}
