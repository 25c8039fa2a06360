//! INFO inside a call as RFC 2976 had it (the legacy use of RFC 6086): keys for a PBX that wants them beside the sound. One at a
//! time, so that none overtakes another.

use std::collections::VecDeque;
use std::time::Instant;

use bytes::Bytes;

use super::call::State;
use super::{CallId, Event, Pending, Purpose, UserAgent};
use crate::message::{HeadersView, Method, Response};
use crate::transaction::ClientId;

/// More than anybody presses before the first is answered.
const MOST: usize = 128;

/// What one call has to say.
#[derive(Debug, Default)]
pub(super) struct Infos {
    under_way: Option<ClientId>,
    /// Content-Type and body.
    waiting: VecDeque<(String, Bytes)>,
}

impl UserAgent {
    /// Sends it once what was said before is answered.
    pub(super) fn say(
        &mut self,
        now: Instant,
        id: CallId,
        content_type: &str,
        body: Bytes,
    ) -> bool {
        let call = self.calls.get_mut(id);
        let takes =
            call.filter(|call| call.state == State::Established && call.infos.waiting.len() < MOST);
        let Some(call) = takes else {
            return false;
        };
        call.infos
            .waiting
            .push_back((content_type.to_owned(), body));
        self.say_next(now, id);
        true
    }

    pub(super) fn handle_info_response(
        &mut self,
        now: Instant,
        id: CallId,
        client: ClientId,
        pending: Pending,
        response: &Response,
    ) {
        let again = self.answers_challenge(now, id, client, pending, response);
        let Some(call) = self.calls.get_mut(id) else {
            return;
        };
        if call.infos.under_way != Some(client) {
            return;
        }
        call.infos.under_way = again;
        match response.status_code.code() {
            _ if again.is_some() => {}
            200..300 => self.say_next(now, id),
            code => self.fall_silent(id, code),
        }
    }

    /// What was said is not taken: neither would the rest be.
    pub(super) fn fall_silent(&mut self, id: CallId, code: u16) {
        if let Some(call) = self.calls.get_mut(id) {
            call.infos = Infos::default();
            self.events.push_back(Event::InfoRefused { call: id, code });
        }
    }

    fn say_next(&mut self, now: Instant, id: CallId) {
        let Some(call) = self.calls.get_mut(id) else {
            return;
        };
        let is_free = call.infos.under_way.is_none() && call.state == State::Established;
        let Some(dialog) = call.dialog.as_mut().filter(|_| is_free) else {
            return;
        };
        let Some((content_type, body)) = call.infos.waiting.pop_front() else {
            return;
        };
        let (mut info, peer) = (dialog.request(Method::Info), dialog.peer());
        info.headers.add("Content-Type", content_type);
        info.body = body.to_vec();
        let client = self.send(now, info, peer, Pending::new(Purpose::Info(id)));
        if let Some(call) = self.calls.get_mut(id) {
            call.infos.under_way = Some(client);
        }
    }
}
