//! Calls we make (RFC 3261 sections 13.2, 9.1, 15.1.1).

use std::net::SocketAddr;
use std::time::Instant;

use super::call::{Call, State};
use super::compose::attach_sdp;
use super::{CallId, EndReason, Event, InviteRequest, Pending, Purpose, UserAgent};
use crate::dialog::{Dialog, DialogKey};
use crate::message::write::reason;
use crate::message::{Headers, HeadersView, Method, NameAddr, Request, Response, Version};
use crate::transaction::ClientId;

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
        self.dialogs.insert(key.clone(), id);
        let call = Call {
            state: State::Calling {
                client,
                heard: false,
                cancelled: false,
            },
            invite: request,
            key,
            dialog: None,
            credentials: invite.credentials,
            digest: None,
            unacked: None,
            ring_until: None,
            offered: None,
            reoffer: None,
            last_ack: None,
        };
        self.calls.insert(id, call);
        id
    }

    /// Ends a call in any state.
    pub(super) fn end_call(&mut self, now: Instant, id: CallId) {
        let Some(call) = self.calls.get_mut(&id).filter(|call| !call.is_over()) else {
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
                self.events.push_back(Event::Ended {
                    call: id,
                    reason: EndReason::Local,
                });
            }
            State::Incoming { .. } => self.reject_call(now, id, 603.into()),
            State::Established => {
                self.say_bye(now, id);
                self.events.push_back(Event::Ended {
                    call: id,
                    reason: EndReason::Local,
                });
            }
            State::Ending => {}
        }
    }

    /// Sends BYE, or leaves it to the ACK that our 200 still waits for (RFC 3261 section 15).
    pub(super) fn say_bye(&mut self, now: Instant, id: CallId) {
        let Some(call) = self.calls.get_mut(&id) else {
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
            ..200 => self.handle_progress(now, id, client, response),
            200..300 => self.handle_answer(now, id, client, response, source),
            401 | 407 => self.answer_invite_challenge(now, id, client, pending, response),
            code => {
                let reason = reason(&response.status_code).to_owned();
                let response = Box::new(response.clone());
                self.finish(
                    id,
                    EndReason::Refused {
                        code,
                        reason,
                        response,
                    },
                );
            }
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
        if let (401 | 407, Some(call)) = (response.status_code.code(), self.calls.get_mut(&id)) {
            let (credentials, mut digest) = (call.credentials.clone(), None);
            if let Ok((bye, peer)) = self.authorised(
                client,
                response,
                credentials.as_ref(),
                &mut digest,
                pending.challenges,
            ) {
                let number = bye.headers.cseq_view().map_or(0, |cseq| cseq.number);
                if let Some(dialog) = self
                    .calls
                    .get_mut(&id)
                    .and_then(|call| call.dialog.as_mut())
                {
                    dialog.number_at_least(number);
                }
                self.send(now, bye, peer, pending.challenged());
                return;
            }
        }
        self.forget_call(id);
    }

    fn handle_progress(&mut self, now: Instant, id: CallId, client: ClientId, response: &Response) {
        let Some(call) = self.calls.get_mut(&id) else {
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
        if cancelled && !heard {
            self.send_cancel(now, client);
        } else if !cancelled && code > 100 {
            self.events.push_back(Event::Progress {
                call: id,
                code,
                sdp: response.body.clone().into(),
            });
        }
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
        let Ok(mut dialog) = Dialog::of_caller(invite, response, source) else {
            return;
        };
        let ack = dialog.ack(number);
        let known = self
            .calls
            .get(&id)
            .and_then(|call| call.dialog.as_ref())
            .map(Dialog::remote_tag);
        let state = self.calls.get(&id).map(|call| call.state);
        match (state, known) {
            (_, Some(tag)) if tag == dialog.remote_tag() => self.repeat_ack(id, number),
            (
                Some(State::Calling {
                    cancelled: false, ..
                }),
                _,
            ) => {
                let ack = self.send_stateless(ack, source);
                if let Some(call) = self.calls.get_mut(&id) {
                    call.state = State::Established;
                    call.dialog = Some(dialog);
                    call.last_ack = Some((number, ack));
                }
                self.events.push_back(Event::Answered {
                    call: id,
                    sdp: response.body.clone().into(),
                });
            }
            (
                Some(State::Calling {
                    cancelled: true, ..
                }),
                _,
            ) => {
                let ack = self.send_stateless(ack, source);
                if let Some(call) = self.calls.get_mut(&id) {
                    call.dialog = Some(dialog);
                    call.last_ack = Some((number, ack));
                }
                self.say_bye(now, id);
            }
            _ => {
                self.send_stateless(ack, source);
                let bye = dialog.request(Method::Bye);
                self.send(now, bye, source, Pending::new(Purpose::Orphan));
            }
        }
    }

    fn repeat_ack(&mut self, id: CallId, number: u32) {
        let last = self.calls.get(&id).and_then(|call| call.last_ack.as_ref());
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
        let Some(call) = self.calls.get(&id).filter(|call| !call.is_over()) else {
            self.forget_call(id);
            return;
        };
        let (credentials, mut digest) = (call.credentials.clone(), None);
        match self.authorised(
            client,
            response,
            credentials.as_ref(),
            &mut digest,
            pending.challenges,
        ) {
            Ok((request, destination)) => {
                let client = self.send(now, request.clone(), destination, pending.challenged());
                if let Some(call) = self.calls.get_mut(&id) {
                    call.state = State::Calling {
                        client,
                        heard: false,
                        cancelled: false,
                    };
                    call.invite = request;
                    call.digest = digest;
                }
            }
            Err(_) => {
                let code = response.status_code.code();
                let reason = reason(&response.status_code).to_owned();
                self.finish(
                    id,
                    EndReason::Refused {
                        code,
                        reason,
                        response: Box::new(response.clone()),
                    },
                );
            }
        }
    }
}
