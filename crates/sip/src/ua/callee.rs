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
        let refusal = self.refusal_of(&request);
        let dialog = Dialog::of_callee(&request, &tag, source);
        let (dialog, refusal) = match (dialog, refusal) {
            (Ok(dialog), None) => (dialog, None),
            (Ok(dialog), refusal) => (dialog, refusal),
            (Err(unusable), _) => {
                self.refusals.count(RefusalKind::UnusableInvite);
                let reply = Reply {
                    reason: Some(unusable.reason),
                    ..Reply::new(unusable.code)
                };
                self.respond_in(now, server, &request, reply, Some(&tag));
                return;
            }
        };
        if let Some((reply, kind)) = refusal {
            self.refusals.count(kind);
            self.respond_in(now, server, &request, reply, Some(&tag));
            return;
        }
        self.respond_in(now, server, &request, Reply::new(100), None);
        let call = CallId(self.fresh_id());
        let call_id = request
            .headers
            .text("Call-ID")
            .unwrap_or_default()
            .to_owned();
        let key = DialogKey {
            call_id,
            local_tag: tag,
        };
        self.dialogs.insert(key.clone(), call);
        let incoming = Call {
            state: State::Incoming { server },
            invite: request.clone(),
            key,
            dialog: Some(dialog),
            credentials: None,
            digest: None,
            unacked: None,
            ring_until: Some(now + LONGEST_RING),
            offered: None,
            reoffer: None,
            last_ack: None,
        };
        self.calls.insert(call, incoming);
        self.events.push_back(Event::Incoming {
            call,
            request: Box::new(request),
            source,
        });
    }

    pub(super) fn ring_call(&mut self, now: Instant, id: CallId, sdp: Option<Bytes>) {
        let code = if sdp.is_some() { 183 } else { 180 };
        let reply = self.dialog_reply(code, sdp.unwrap_or_default());
        self.reply_to_invite(now, id, reply);
    }

    pub(super) fn answer_call(&mut self, now: Instant, id: CallId, sdp: Bytes) {
        let reply = self.dialog_reply(200, sdp);
        let Some(transmit) = self.reply_to_invite(now, id, reply) else {
            return;
        };
        if let Some(call) = self.calls.get_mut(&id) {
            call.state = State::Established;
            let number = call
                .invite
                .headers
                .cseq_view()
                .map_or(0, |cseq| cseq.number);
            call.unacked = Some(self.config.unacked(now, number, transmit, true));
        }
    }

    pub(super) fn reject_call(&mut self, now: Instant, id: CallId, reply: Reply) {
        if self.reply_to_invite(now, id, reply).is_some() {
            self.finish(id, EndReason::Local);
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
            self.respond_in(now, server, request, Reply::new(481), None);
            return;
        };
        self.respond_in(now, server, request, Reply::new(200), None);
        if !self.layer.is_pending(invite) {
            return;
        }
        let initial = self
            .calls
            .iter()
            .find(|(_, call)| call.state == State::Incoming { server: invite });
        let offered = |call: &Call| {
            call.offered
                .as_ref()
                .is_some_and(|offered| offered.server == invite)
        };
        if let Some((&id, _)) = initial {
            self.reply_to_invite(now, id, Reply::new(487));
            self.finish(id, EndReason::Cancelled);
        } else if let Some((&id, _)) = self.calls.iter().find(|(_, call)| offered(call)) {
            self.reply_to_offer(now, id, Reply::new(487));
        }
    }

    /// The ACK to a 200 of ours.
    pub(super) fn handle_ack(&mut self, now: Instant, request: &Request, source: SocketAddr) {
        let Some(id) =
            DialogKey::of_request(request).and_then(|key| self.dialogs.get(&key).copied())
        else {
            return;
        };
        let Some(call) = self.calls.get_mut(&id) else {
            return;
        };
        let number = request.headers.cseq_view().map_or(0, |cseq| cseq.number);
        let from_peer = call
            .dialog
            .as_ref()
            .is_some_and(|dialog| dialog.is_from_peer(request, source));
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

    /// Sends 200s again whose ACK has not come, and gives up after 64 T1; refuses what rang too long.
    pub(super) fn run_calls(&mut self, now: Instant) {
        let due: Vec<CallId> = self
            .calls
            .iter()
            .filter(|(_, call)| call.due().is_some_and(|due| due <= now))
            .map(|(id, _)| *id)
            .collect();
        for id in due {
            let Some(call) = self.calls.get_mut(&id) else {
                continue;
            };
            match call.unacked.as_mut() {
                Some(unacked) if now < unacked.give_up_at => {
                    unacked.resend_at = now + unacked.interval;
                    unacked.interval = (unacked.interval * 2).min(self.config.timers.t2);
                    self.layer.transmit(unacked.transmit.clone());
                }
                Some(_) => self.give_up_on_ack(now, id),
                None => {
                    self.reply_to_invite(now, id, Reply::new(480));
                    self.finish(id, EndReason::Cancelled);
                }
            }
        }
    }

    /// RFC 3261 section 13.3.1.4: the dialog stands, but the session ends.
    fn give_up_on_ack(&mut self, now: Instant, id: CallId) {
        let Some(call) = self.calls.get_mut(&id) else {
            return;
        };
        call.unacked = None;
        if !call.is_over() {
            self.events.push_back(Event::Ended {
                call: id,
                reason: EndReason::Lost,
            });
        }
        self.say_bye(now, id);
    }

    fn reply_to_invite(&mut self, now: Instant, id: CallId, reply: Reply) -> Option<Transmit> {
        let call = self.calls.get(&id)?;
        let State::Incoming { server } = call.state else {
            return None;
        };
        let response = self.response(&call.invite, reply, Some(&call.key.local_tag));
        self.layer.respond(now, server, &response)
    }

    /// Why an INVITE cannot become a call here.
    fn refusal_of(&self, request: &Request) -> Option<(Reply, RefusalKind)> {
        if self.is_merged(request) {
            return Some((Reply::new(482), RefusalKind::UnusableInvite));
        }
        let is_full = self.call_count() >= self.config.max_calls;
        is_full.then(|| (Reply::new(486), RefusalKind::Busy))
    }

    /// The same INVITE over another path (RFC 3261 section 8.2.2.2).
    fn is_merged(&self, request: &Request) -> bool {
        let same =
            |name: &str, other: &Request| other.headers.text(name) == request.headers.text(name);
        self.calls.values().any(|call| {
            matches!(call.state, State::Incoming { .. })
                && ["Call-ID", "From", "CSeq"]
                    .iter()
                    .all(|name| same(name, &call.invite))
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
