//! Reliable provisional answers (RFC 3262), both ways.

use std::net::SocketAddr;
use std::time::Instant;

use bytes::Bytes;

use super::call::{Offered, State, Unpracked};
use super::{CallId, Event, Pending, Purpose, RefusalKind, Reply, UserAgent};
use crate::message::{HeadersView, Method, Request, Response};
use crate::transaction::{ClientId, ServerId};

/// Provisional answers that wait behind one that waits for its PRACK.
const MAX_QUEUED: usize = 8;

impl UserAgent {
    /// Takes a provisional answer above 100 to our INVITE, with PRACK where it asks for that. The body to tell, none
    /// when it is no news: a copy, or one that another is missing before.
    pub(super) fn take_provisional(
        &mut self,
        now: Instant,
        id: CallId,
        client: ClientId,
        response: &Response,
        source: SocketAddr,
    ) -> Option<Bytes> {
        let sdp = Bytes::from(response.body.clone());
        let has_offered = self
            .layer
            .sent(client)
            .is_some_and(|(invite, _)| !invite.body.is_empty());
        let number = response.headers.cseq_view().map_or(0, |cseq| cseq.number);
        let reliable = rseq_of(response);
        let Some(leg) = self.early_leg(id, client, response, source) else {
            // Nobody could acknowledge it without a dialog.
            return reliable.is_none().then_some(sdp);
        };
        let Some(rseq) = reliable else {
            return Some(sdp);
        };
        if leg.rseq != 0 && leg.rseq.checked_add(1) != Some(rseq) {
            return None;
        }
        leg.rseq = rseq;
        let rack = format!("{rseq} {number} INVITE");
        if has_offered || leg.agreed || sdp.is_empty() {
            leg.agreed |= !sdp.is_empty();
            let tag = leg.dialog.remote_tag();
            self.send_prack(now, id, &tag, &rack, &[]);
            return Some(sdp);
        }
        // Theirs is the offer; the PRACK carries our answer.
        leg.agreed = true;
        let tag = leg.dialog.remote_tag();
        if let Some(call) = self.calls.get_mut(id) {
            call.offered = Some(Offered::Provisional { tag, rack });
        }
        self.events.push_back(Event::Offer { call: id, sdp });
        Some(Bytes::new())
    }

    pub(super) fn send_prack(
        &mut self,
        now: Instant,
        id: CallId,
        tag: &str,
        rack: &str,
        sdp: &[u8],
    ) {
        let Some(dialog) = self
            .calls
            .get_mut(id)
            .and_then(|call| call.dialog_with(tag))
        else {
            return;
        };
        let (mut prack, peer) = (dialog.request(Method::PRack), dialog.peer());
        prack.headers.add("RAck", rack);
        super::compose::attach_sdp(&mut prack, sdp);
        self.send(now, prack, peer, Pending::new(Purpose::Prack(id)));
    }

    /// Sends a provisional answer of ours, reliably where the caller asks for that.
    pub(super) fn send_provisional(&mut self, now: Instant, id: CallId, reply: Reply) {
        let Some(call) = self.calls.get_mut(id) else {
            return;
        };
        if !wants_reliable(&call.invite, &reply) {
            self.reply_to_invite(now, id, reply);
            return;
        }
        if call.reliable.waiting.is_some() {
            if call.reliable.queue.len() < MAX_QUEUED {
                call.reliable.queue.push_back(reply);
            }
            return;
        }
        let rseq = match call.reliable.rseq {
            0 => self.random.sequence(),
            last => last + 1,
        };
        let has_sdp = !reply.body.is_empty();
        let reply = reply
            .with("Require", "100rel")
            .with("RSeq", rseq.to_string());
        let Some(transmit) = self.reply_to_invite(now, id, reply) else {
            return;
        };
        let timers = self.config.timers;
        if let Some(call) = self.calls.get_mut(id) {
            call.reliable.rseq = rseq;
            call.reliable.waiting = Some(Unpracked {
                transmit,
                resend_at: now + timers.t1,
                interval: timers.t1 * 2,
                give_up_at: now + timers.patience(),
                has_sdp,
            });
        }
    }

    /// Sends a reliable provisional answer again, or refuses the call whose caller never acknowledged it (section 3).
    pub(super) fn run_unpracked(&mut self, now: Instant, id: CallId) {
        let Some(call) = self.calls.get_mut(id) else {
            return;
        };
        let Some(waiting) = call
            .reliable
            .waiting
            .as_mut()
            .filter(|w| w.resend_at.min(w.give_up_at) <= now)
        else {
            return;
        };
        if now < waiting.give_up_at {
            waiting.resend_at = now + waiting.interval;
            waiting.interval *= 2;
            self.layer.transmit(waiting.transmit.clone());
        } else {
            self.reply_to_invite(now, id, Reply::new(504));
            self.finish(now, id, super::EndReason::Lost);
        }
    }

    pub(super) fn handle_prack(
        &mut self,
        now: Instant,
        server: ServerId,
        id: CallId,
        request: Request,
    ) {
        let Some(call) = self.calls.get_mut(id) else {
            return;
        };
        let number = call
            .invite
            .headers
            .cseq_view()
            .map_or(0, |cseq| cseq.number);
        let is_known = rack_of(&request).is_some_and(|(rseq, invite)| {
            invite == number && rseq != 0 && rseq == call.reliable.rseq
        });
        if !is_known {
            self.refusals.count(RefusalKind::UnknownDialog);
            self.respond_in(now, server, &request, Reply::new(481), None);
            return;
        }
        let waiting = call.reliable.waiting.take();
        let had_sdp = waiting.is_some_and(|waiting| waiting.has_sdp);
        let they_offered = !call.invite.body.is_empty();
        let was_agreed = call.agreed;
        call.agreed |= had_sdp;
        let is_offer = !request.body.is_empty() && (they_offered || was_agreed);
        if is_offer && call.offered.is_none() {
            let sdp = request.body.clone().into();
            call.offered = Some(Offered::Request {
                server,
                request: Box::new(request),
            });
            self.events.push_back(Event::Offer { call: id, sdp });
        } else {
            self.respond_in(now, server, &request, Reply::new(200), None);
            if !request.body.is_empty() {
                self.events.push_back(Event::Confirmed {
                    call: id,
                    sdp: request.body.into(),
                });
            }
        }
        self.go_on_after_prack(now, id);
    }

    /// What waited behind a provisional answer: the next one, or the final one.
    fn go_on_after_prack(&mut self, now: Instant, id: CallId) {
        let Some(call) = self.calls.get_mut(id) else {
            return;
        };
        if !matches!(call.state, State::Incoming { .. }) {
            return;
        }
        if let Some(sdp) = call.reliable.answer.take() {
            self.answer_call(now, id, sdp);
        } else if let Some(next) = call.reliable.queue.pop_front() {
            self.send_provisional(now, id, next);
        }
    }
}

/// Whether a caller must, or had better, acknowledge this answer: always when it requires that, and when a description
/// would be lost otherwise.
fn wants_reliable(invite: &Request, reply: &Reply) -> bool {
    let has_sdp = !reply.body.is_empty();
    invite.headers.lists("Require", "100rel")
        || (has_sdp && invite.headers.lists("Supported", "100rel"))
}

fn rseq_of(response: &Response) -> Option<u32> {
    let rseq = response.headers.text("RSeq")?.trim().parse().ok();
    rseq.filter(|rseq| *rseq != 0 && response.headers.lists("Require", "100rel"))
}

/// The numbers in RAck: RSeq and the CSeq of the INVITE (section 7.2).
fn rack_of(request: &Request) -> Option<(u32, u32)> {
    let mut words = request.headers.text("RAck")?.split_ascii_whitespace();
    let rseq = words.next()?.parse().ok()?;
    let number = words.next()?.parse().ok()?;
    let is_invite = words.next() == Some("INVITE") && words.next().is_none();
    is_invite.then_some((rseq, number))
}
