//! Requests inside a dialog (RFC 3261 sections 12.2.2, 14.2, 15.1.2; RFC 3311).

use std::net::SocketAddr;
use std::time::Instant;

use bytes::Bytes;

use super::call::{Call, Change, Offered, State};
use super::compose::ALLOW;
use super::{CallId, EndReason, Event, RefusalKind, Reply, UserAgent};
use crate::message::{HeadersView, Method, Request};
use crate::transaction::ServerId;

impl UserAgent {
    pub(super) fn handle_in_dialog(
        &mut self,
        now: Instant,
        server: ServerId,
        id: CallId,
        request: Request,
        source: SocketAddr,
    ) {
        if let Some((reply, kind)) = self.refusal_in_dialog(id, &request, source) {
            self.refusals.count(kind);
            self.respond_in(now, server, &request, reply, None);
            return;
        }
        let reply = match request.method {
            Method::Bye => return self.handle_bye(now, server, id, &request),
            Method::Invite | Method::Update => {
                return self.handle_offer(now, server, id, request);
            }
            Method::PRack => return self.handle_prack(now, server, id, request),
            Method::Refer => return self.handle_refer(now, server, id, request),
            Method::Notify if is_about(&request, "refer") => {
                self.handle_transfer_news(id, &request)
            }
            Method::Info | Method::Notify | Method::Message => {
                self.tell_in_dialog(id, &request);
                Reply::new(200)
            }
            Method::Options => Reply::new(200)
                .with("Allow", ALLOW)
                .with("Accept", "application/sdp"),
            _ => {
                self.refusals.count(RefusalKind::UnsupportedMethod);
                Reply::new(405).with("Allow", ALLOW)
            }
        };
        self.respond_in(now, server, &request, reply, None);
    }

    /// Our answer to an offer of theirs, wherever it stood.
    pub(super) fn answer_their_offer(&mut self, now: Instant, id: CallId, sdp: Bytes) {
        let Some(call) = self.calls.get_mut(id) else {
            return;
        };
        let Some(offered) = call.offered.take() else {
            return;
        };
        if !sdp.is_empty() {
            call.described = sdp.clone();
        }
        match offered {
            Offered::Request { server, request } => {
                let reply = self.dialog_reply(200, sdp);
                let reply = self.grant_session_timer(now, id, &request, reply);
                self.reply_to_offer(now, id, server, &request, reply);
            }
            Offered::Final { number } => self.acknowledge(id, number, &sdp),
            Offered::Provisional { tag, rack } => self.send_prack(now, id, &tag, &rack, &sdp),
        }
    }

    /// Refuses an offer of theirs. One that came in an answer of theirs cannot be refused but by ending the call (RFC
    /// 3261 section 14.1).
    pub(super) fn refuse_their_offer(&mut self, now: Instant, id: CallId, reply: Reply) {
        let offered = self.calls.get_mut(id).and_then(|call| call.offered.take());
        match offered {
            Some(Offered::Request { server, request }) => {
                self.reply_to_offer(now, id, server, &request, reply);
            }
            Some(Offered::Final { number }) => {
                self.acknowledge(id, number, &[]);
                self.end_call(now, id);
            }
            Some(Offered::Provisional { tag, rack }) => {
                self.send_prack(now, id, &tag, &rack, &[]);
                self.end_call(now, id);
            }
            None => {}
        }
    }

    /// A call that ends leaves no offer of theirs unanswered.
    pub(super) fn withdraw_from_offer(&mut self, now: Instant, id: CallId) {
        let offered = self.calls.get_mut(id).and_then(|call| call.offered.take());
        match offered {
            Some(Offered::Request { server, request }) => {
                self.reply_to_offer(now, id, server, &request, Reply::new(487));
            }
            Some(Offered::Final { number }) => self.acknowledge(id, number, &[]),
            Some(Offered::Provisional { .. }) | None => {}
        }
    }

    fn reply_to_offer(
        &mut self,
        now: Instant,
        id: CallId,
        server: ServerId,
        request: &Request,
        reply: Reply,
    ) {
        let code = reply.code;
        let Some(transmit) = self.respond_in(now, server, request, reply, None) else {
            return;
        };
        let waits_for_ack = request.method == Method::Invite && (200..300).contains(&code);
        if let Some(call) = self.calls.get_mut(id).filter(|_| waits_for_ack) {
            let number = request.headers.cseq_view().map_or(0, |cseq| cseq.number);
            call.unacked = Some(self.config.unacked(now, number, transmit, false));
        }
    }

    /// Whether the sender is the dialog's peer, its number is in order, and the call goes on.
    fn refusal_in_dialog(
        &mut self,
        id: CallId,
        request: &Request,
        source: SocketAddr,
    ) -> Option<(Reply, RefusalKind)> {
        let unknown = Some((Reply::new(481), RefusalKind::UnknownDialog));
        let from = request.headers.from_view().ok();
        let tag = from.and_then(|from| from.tag()).unwrap_or_default();
        let number = request.headers.cseq_view().map_or(0, |cseq| cseq.number);
        let Some(call) = self.calls.get_mut(id) else {
            return unknown;
        };
        let over = call.is_over();
        let dialog = call.dialog_with(&tag);
        let dialog = dialog.filter(|dialog| self.config.is_from_peer(dialog, request, source));
        let accepted = dialog.map(|dialog| {
            let in_order = dialog.accept_number(number);
            if in_order {
                dialog.set_peer(source);
            }
            in_order
        });
        match accepted {
            None => unknown,
            Some(false) => {
                let reply = Reply::because(500, "CSeq lower than one before");
                Some((reply, RefusalKind::OutOfOrder))
            }
            Some(true) if over && request.method != Method::Bye => unknown,
            Some(true) => None,
        }
    }

    fn handle_bye(&mut self, now: Instant, server: ServerId, id: CallId, request: &Request) {
        self.respond_in(now, server, request, Reply::new(200), None);
        self.withdraw_from_offer(now, id);
        match self.calls.get(id).map(|call| call.state) {
            Some(State::Incoming { .. }) => {
                self.reply_to_invite(now, id, Reply::new(487));
                self.finish(now, id, EndReason::Cancelled);
            }
            // A callee ends an early dialog by its final answer, not by BYE (section 15).
            Some(State::Calling { .. }) => {}
            _ => self.finish(now, id, EndReason::Remote),
        }
    }

    fn handle_offer(&mut self, now: Instant, server: ServerId, id: CallId, request: Request) {
        let reply = self.refusal_of_offer(id, &request);
        if let Some(reply) = reply {
            self.respond_in(now, server, &request, reply, None);
            return;
        }
        let from = request.headers.from_view().ok();
        let tag = from.and_then(|from| from.tag()).unwrap_or_default();
        let Some(call) = self.calls.get_mut(id) else {
            return;
        };
        if let Some(dialog) = call.dialog_with(&tag) {
            dialog.refresh_target(&request.headers);
        }
        if request.method == Method::Update && request.body.is_empty() {
            let reply = self.dialog_reply(200, Bytes::new());
            let reply = self.grant_session_timer(now, id, &request, reply);
            self.respond_in(now, server, &request, reply, None);
            return;
        }
        let sdp = request.body.clone().into();
        if request.method == Method::Invite {
            self.invites.insert(server, id);
            let response = self.response(&request, Reply::new(100), None);
            self.layer.respond(now, server, &response);
        }
        if let Some(call) = self.calls.get_mut(id) {
            call.offered = Some(Offered::Request {
                server,
                request: Box::new(request),
            });
        }
        self.events.push_back(Event::Offer { call: id, sdp });
    }

    /// One change at a time (RFC 3261 section 14.2, RFC 3311 section 5.2).
    fn refusal_of_offer(&mut self, id: CallId, request: &Request) -> Option<Reply> {
        let is_update = request.method == Method::Update;
        let offers = !is_update || !request.body.is_empty();
        let wait = self.random.seconds(1..=10);
        let call = self.calls.get(id)?;
        if super::inbound::has_foreign_body(request) {
            self.refusals.count(RefusalKind::UnsupportedBody);
            return Some(Reply::new(415).with("Accept", "application/sdp"));
        }
        if let Some(reply) = self.refusal_of_interval(request) {
            return Some(reply);
        }
        match standing(call) {
            _ if !offers => None,
            Standing::WeAsked => Some(Reply::new(491)),
            Standing::TheyAsked => Some(Reply::new(500).with("Retry-After", wait.to_string())),
            Standing::Early if !is_update => Some(Reply::new(491)),
            Standing::Early | Standing::Free => None,
        }
    }

    fn tell_in_dialog(&mut self, call: CallId, request: &Request) {
        self.events.push_back(Event::InDialog {
            call,
            method: request.method,
            content_type: request
                .headers
                .text("Content-Type")
                .unwrap_or_default()
                .to_owned(),
            body: request.body.clone().into(),
        });
    }
}

/// Whether a NOTIFY or SUBSCRIBE is of this event package.
pub(super) fn is_about(request: &Request, package: &str) -> bool {
    let event = request.headers.text("Event").unwrap_or_default();
    let own = event.split(';').next().unwrap_or_default().trim();
    own.eq_ignore_ascii_case(package)
}

/// Whose offer waits for an answer.
enum Standing {
    WeAsked,
    TheyAsked,
    /// Nobody's, before the final answer.
    Early,
    Free,
}

fn standing(call: &Call) -> Standing {
    let answered = matches!(call.state, State::Established | State::Ending);
    let agreed = call.agreed || call.legs.iter().any(|leg| leg.agreed);
    match (&call.change, &call.state) {
        (Some(Change::UnderWay { .. }), _) => Standing::WeAsked,
        _ if call.offered.is_some() || call.unacked.is_some() => Standing::TheyAsked,
        (_, State::Calling { .. }) if !agreed => Standing::WeAsked,
        (_, State::Incoming { .. }) if !agreed => Standing::TheyAsked,
        _ if !answered => Standing::Early,
        _ => Standing::Free,
    }
}
