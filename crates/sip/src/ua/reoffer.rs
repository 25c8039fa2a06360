//! Changes of a session that we ask for: re-INVITE (RFC 3261 section 14.1) and UPDATE (RFC 3311).

use std::net::SocketAddr;
use std::time::{Duration, Instant};

use bytes::Bytes;

use super::call::{Call, Change, Offered, State};
use super::compose::attach_sdp;
use super::{CallId, EndReason, Event, Pending, Purpose, UserAgent};
use crate::dialog::Dialog;
use crate::message::{Headers, HeadersView, Method, Response, StatusCode, Version};
use crate::transaction::ClientId;

/// How often in a row a change may be put off by the other side.
const MAX_PAUSES: u8 = 5;
/// Longest Retry-After that a change waits for.
const LONGEST_PAUSE: Duration = Duration::from_secs(10);
/// How long a change waits that could not be delivered.
const UNDELIVERED_PAUSE: Duration = Duration::from_secs(2);

impl UserAgent {
    pub(super) fn begin_reoffer(&mut self, now: Instant, id: CallId, sdp: &Bytes) -> bool {
        let is_up = self
            .calls
            .get(id)
            .is_some_and(|call| call.state == State::Established);
        let method = if is_up {
            Method::Invite
        } else {
            Method::Update
        };
        let begun = self.begin_change(now, id, method, sdp, false);
        if let Some(call) = self.calls.get_mut(id) {
            call.asks_again = !begun && is_up;
            if begun {
                call.described = sdp.clone();
            }
        }
        begun
    }

    pub(super) fn begin_change(
        &mut self,
        now: Instant,
        id: CallId,
        method: Method,
        sdp: &[u8],
        is_refresh: bool,
    ) -> bool {
        let Some(dialog) = self.calls.get_mut(id).and_then(changeable) else {
            return false;
        };
        let (mut request, peer) = (dialog.request(method), dialog.peer());
        attach_sdp(&mut request, sdp);
        self.repeat_session_timer(id, &mut request);
        let client = self.send(now, request, peer, Pending::new(Purpose::Change(id)));
        if let Some(call) = self.calls.get_mut(id) {
            call.change = Some(Change::UnderWay { client, is_refresh });
        }
        true
    }

    pub(super) fn handle_change_response(
        &mut self,
        now: Instant,
        id: CallId,
        client: ClientId,
        pending: Pending,
        response: &Response,
        source: SocketAddr,
    ) {
        let code = response.status_code.code();
        if code < 200 {
            // Nobody has to be fetched to answer this one: it may not be left open for ever.
            self.layer.end_soon(now, client);
            return;
        }
        if let Some(client) = self.answers_challenge(now, id, client, pending, response) {
            if let Some(Call {
                change: Some(Change::UnderWay { client: own, .. }),
                ..
            }) = self.calls.get_mut(id)
            {
                *own = client;
            }
            return;
        }
        let rings_here = self
            .calls
            .get(id)
            .is_some_and(|call| matches!(call.state, State::Incoming { .. }));
        match code {
            481 if rings_here => self.lose_caller(now, id),
            200..300 => self.handle_change_taken(now, id, client, response, source),
            // The other side knows of no such call any more (RFC 3261 section 14.1).
            408 | 481 => self.lose_call(now, id),
            _ => self.handle_change_refused(now, id, client, response),
        }
    }

    /// A change that the transport could not deliver counts as refused by 503, and the call goes on (RFC 3261 sections
    /// 8.1.3.1 and 14.1); networks come back, so it is asked for again soon.
    pub(super) fn fail_change(&mut self, now: Instant, id: CallId, client: ClientId) {
        let mut headers = Headers::default();
        headers.add("Retry-After", UNDELIVERED_PAUSE.as_secs().to_string());
        let response = Response {
            version: Version::V2,
            status_code: StatusCode::ServiceUnavailable,
            headers,
            body: Vec::new(),
        };
        self.handle_change_refused(now, id, client, &response);
    }

    /// The other side no longer answers inside the dialog.
    pub(super) fn lose_call(&mut self, now: Instant, id: CallId) {
        let Some(call) = self.calls.get_mut(id).filter(|call| !call.is_over()) else {
            return;
        };
        call.change = None;
        // Before the answer the INVITE's own timers see to the rest.
        if call.state == State::Established {
            self.say_bye(now, id);
            self.tell_end(now, id, EndReason::Lost);
        }
    }

    /// The time to wait after both asked at once is over.
    pub(super) fn run_paused_change(&mut self, now: Instant, id: CallId) {
        let call = self.calls.get_mut(id);
        if let Some(call) = call
            .filter(|call| matches!(call.change, Some(Change::Paused { until }) if until <= now))
        {
            call.change = None;
            call.asks_again = true;
        }
    }

    /// Tells that a change may be asked for that could not be before.
    pub(super) fn tell_due_offers(&mut self) {
        for id in self.calls.settle() {
            let is_due = |call: &&mut Call| call.asks_again && call.is_free();
            if let Some(call) = self.calls.peek_mut(id).filter(is_due) {
                call.asks_again = false;
                self.events.push_back(Event::OfferDue { call: id });
            }
        }
    }

    /// Acknowledges every copy of the 2xx to a re-INVITE, and tells the first.
    fn handle_change_taken(
        &mut self,
        now: Instant,
        id: CallId,
        client: ClientId,
        response: &Response,
        source: SocketAddr,
    ) {
        let Some((request, _)) = self.layer.sent(client) else {
            return;
        };
        let is_invite = request.method == Method::Invite;
        let has_offered = !request.body.is_empty();
        let number = response.headers.cseq_view().map_or(0, |cseq| cseq.number);
        let Some(call) = self.calls.get_mut(id) else {
            // The call ended meanwhile; its other side still waits for ACK.
            if let Ok(dialog) = Dialog::of_caller(request, response, source)
                && is_invite
            {
                self.send_stateless(dialog.ack(number), dialog.peer());
            }
            return;
        };
        if let Some((_, ack)) = call.last_ack.as_ref().filter(|(last, _)| *last == number) {
            self.layer.transmit(ack.clone());
            return;
        }
        let news = call.change.take_if(
            |change| matches!(change, Change::UnderWay { client: own, .. } if *own == client),
        );
        let over = call.is_over();
        if let Some(dialog) = &mut call.dialog {
            dialog.refresh_target(&response.headers);
        }
        call.pauses = 0;
        let offers = is_invite && !has_offered && !over;
        if offers && news.is_some() {
            call.offered = Some(Offered::Final { number });
            let sdp = response.body.clone().into();
            self.events.push_back(Event::Offer { call: id, sdp });
        } else if is_invite && !matches!(call.offered, Some(Offered::Final { .. })) {
            self.acknowledge(id, number, &[]);
        }
        let Some(Change::UnderWay { is_refresh, .. }) = news.filter(|_| !over) else {
            return;
        };
        self.agree_on_session_timer(now, id, &response.headers);
        let is_silent = is_refresh && response.body.is_empty();
        if !offers && !is_silent {
            self.events.push_back(Event::OfferAnswered {
                call: id,
                sdp: response.body.clone().into(),
            });
        }
    }

    fn handle_change_refused(
        &mut self,
        now: Instant,
        id: CallId,
        client: ClientId,
        response: &Response,
    ) {
        let Some(call) = self.calls.get_mut(id) else {
            return;
        };
        let change = call.change.take_if(
            |change| matches!(change, Change::UnderWay { client: own, .. } if *own == client),
        );
        let Some(Change::UnderWay { is_refresh, .. }) = change.filter(|_| !call.is_over()) else {
            return;
        };
        let code = response.status_code.code();
        let (is_ours, pauses) = (call.is_ours, call.pauses);
        let wait = match (code, response.headers.seconds("Retry-After")) {
            _ if pauses >= MAX_PAUSES => None,
            (491, _) => Some(self.random.glare_pause(is_ours)),
            (500 | 503, Some(after)) if after <= LONGEST_PAUSE => Some(after),
            _ => None,
        };
        let Some(call) = self.calls.get_mut(id) else {
            return;
        };
        call.pauses += u8::from(wait.is_some());
        match wait {
            _ if is_refresh => self.postpone_refresh(now, id, response, wait),
            Some(wait) => call.change = Some(Change::Paused { until: now + wait }),
            None => self
                .events
                .push_back(Event::OfferRefused { call: id, code }),
        }
    }
}

/// The dialog in which a change may be asked for now: an answered call's, or an early one whose first offer was
/// answered reliably (RFC 3311 section 5.1).
fn changeable(call: &mut Call) -> Option<&mut Dialog> {
    if call.is_free() {
        return call.dialog.as_mut();
    }
    let is_free = call.takes_update && call.change.is_none() && call.offered.is_none();
    match call.state {
        _ if !is_free => None,
        State::Calling {
            cancelled: false, ..
        } => {
            let mut legs = call.legs.iter_mut();
            legs.find(|leg| leg.agreed).map(|leg| &mut leg.dialog)
        }
        State::Incoming { .. } if call.agreed => call.dialog.as_mut(),
        _ => None,
    }
}
