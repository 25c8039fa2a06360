//! Requests inside a dialog (RFC 3261 sections 12.2.2, 14.2, 15.1.2; RFC 3311).

use std::net::SocketAddr;
use std::time::Instant;

use super::call::{Offered, State};
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
        let Some(call) = self.calls.get_mut(&id) else {
            return;
        };
        let number = request.headers.cseq_view().map_or(0, |cseq| cseq.number);
        let over = call.is_over();
        let dialog = call
            .dialog
            .as_mut()
            .filter(|dialog| dialog.is_from_peer(&request, source));
        let refused = match dialog.map(|dialog| dialog.accept_number(number)) {
            None => Some((481, RefusalKind::UnknownDialog)),
            Some(false) => Some((500, RefusalKind::OutOfOrder)),
            Some(true) => {
                (over && request.method != Method::Bye).then_some((481, RefusalKind::UnknownDialog))
            }
        };
        let reply = refused.map(|(code, kind)| {
            self.refusals.count(kind);
            Reply::new(code)
        });
        let reply = match (reply, request.method) {
            (Some(reply), _) => reply,
            (None, Method::Bye) => return self.handle_bye(now, server, id, &request),
            (None, Method::Invite | Method::Update) => {
                return self.handle_offer(now, server, id, request);
            }
            (None, Method::Info | Method::Notify | Method::Message) => {
                self.tell_in_dialog(id, &request);
                Reply::new(200)
            }
            (None, Method::Options) => Reply::new(200)
                .with("Allow", ALLOW)
                .with("Accept", "application/sdp"),
            (None, _) => {
                self.refusals.count(RefusalKind::UnsupportedMethod);
                Reply::new(405).with("Allow", ALLOW)
            }
        };
        self.respond_in(now, server, &request, reply, None);
    }

    /// Answers a re-INVITE or UPDATE that was handed up.
    pub(super) fn reply_to_offer(&mut self, now: Instant, id: CallId, reply: Reply) {
        let Some(offered) = self.calls.get_mut(&id).and_then(|call| call.offered.take()) else {
            return;
        };
        let code = reply.code;
        let Some(transmit) = self.respond_in(now, offered.server, &offered.request, reply, None)
        else {
            return;
        };
        let waits_for_ack = offered.request.method == Method::Invite && (200..300).contains(&code);
        if let Some(call) = self.calls.get_mut(&id).filter(|_| waits_for_ack) {
            let number = offered
                .request
                .headers
                .cseq_view()
                .map_or(0, |cseq| cseq.number);
            call.unacked = Some(self.config.unacked(now, number, transmit, false));
        }
    }

    fn handle_bye(&mut self, now: Instant, server: ServerId, id: CallId, request: &Request) {
        self.respond_in(now, server, request, Reply::new(200), None);
        self.reply_to_offer(now, id, Reply::new(487));
        let unanswered = self
            .calls
            .get(&id)
            .is_some_and(|call| matches!(call.state, State::Incoming { .. }));
        if unanswered {
            self.reject_call(now, id, Reply::new(487));
        } else {
            self.finish(id, EndReason::Remote);
        }
    }

    fn handle_offer(&mut self, now: Instant, server: ServerId, id: CallId, request: Request) {
        let Some(call) = self.calls.get_mut(&id) else {
            return;
        };
        let waits =
            call.offered.is_some() || call.unacked.is_some() || call.state != State::Established;
        let is_update_without_offer = request.method == Method::Update && request.body.is_empty();
        let reply = if call.reoffer.is_some() && !is_update_without_offer {
            // Both asked at once (RFC 3261 section 14.2).
            Some(Reply::new(491))
        } else if waits && !is_update_without_offer {
            // RFC 3261 section 14.2, RFC 3311 section 5.2: one change at a time.
            Some(Reply::new(500).with("Retry-After", "1"))
        } else if super::inbound::has_foreign_body(&request) {
            Some(Reply::new(415).with("Accept", "application/sdp"))
        } else {
            None
        };
        if let Some(reply) = reply {
            self.respond_in(now, server, &request, reply, None);
            return;
        }
        if let Some(dialog) = &mut call.dialog {
            dialog.refresh_target(&request.headers);
        }
        if is_update_without_offer {
            let reply = self.dialog_reply(200, bytes::Bytes::new());
            self.respond_in(now, server, &request, reply, None);
            return;
        }
        let sdp = request.body.clone().into();
        if request.method == Method::Invite {
            let response = self.response(&request, Reply::new(100), None);
            self.layer.respond(now, server, &response);
        }
        if let Some(call) = self.calls.get_mut(&id) {
            call.offered = Some(Offered { server, request });
        }
        self.events.push_back(Event::Offer { call: id, sdp });
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
