//! Client transactions (RFC 3261 section 17.1, RFC 6026 section 7.2).

use std::time::{Duration, Instant};

use bytes::Bytes;

use super::{Timers, Transmit};
use crate::message::{Headers, HeadersView, Method, Request, Response, write};

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum State {
    /// Sent, nothing heard: Calling for INVITE, Trying for others.
    Trying,
    /// A provisional answer came.
    Proceeding,
    /// A final answer came; late copies of it are absorbed (INVITE: acknowledged).
    Completed,
    /// INVITE only: a 2xx came; further ones, of other branches of a fork, are passed on (RFC 6026).
    Accepted,
    /// Nothing more can happen.
    Terminated,
}

/// One request of ours on its way.
#[derive(Debug)]
pub(super) struct Client {
    pub(super) request: Request,
    pub(super) wire: Transmit,
    state: State,
    /// When the request is sent again (Timers A and E), and the interval after that.
    resend: Option<(Instant, Duration)>,
    /// When the transaction ends (Timers B, D, F, K, M).
    end: Option<Instant>,
    ack: Option<Bytes>,
}

/// What a due timer did.
#[derive(Debug, PartialEq, Eq)]
pub(super) enum Tick {
    /// Send the request again, or nothing.
    Quiet,
    /// No answer came in time: tell the user.
    TimedOut,
    /// The transaction is over.
    Over,
}

impl Client {
    pub(super) fn new(now: Instant, timers: &Timers, request: Request, wire: Transmit) -> Self {
        let reliable = wire.transport.is_reliable();
        Self {
            request,
            wire,
            state: State::Trying,
            resend: (!reliable).then(|| (now + timers.t1, timers.t1 * 2)),
            end: Some(now + timers.patience()),
            ack: None,
        }
    }

    /// Begins anew over another transport. Nothing was heard over the first, so the branch may stay.
    pub(super) fn restart(
        &mut self,
        now: Instant,
        timers: &Timers,
        request: Request,
        wire: Transmit,
    ) {
        *self = Self::new(now, timers, request, wire);
    }

    pub(super) fn due(&self) -> Option<Instant> {
        [self.resend.map(|(at, _)| at), self.end]
            .into_iter()
            .flatten()
            .min()
    }

    /// True when nothing but a provisional answer has come.
    pub(super) fn is_pending(&self) -> bool {
        matches!(self.state, State::Trying | State::Proceeding)
    }

    /// Another end than Timer B or F gives, such as 64 T1 after CANCEL (RFC 3261 section 9.1).
    pub(super) fn end_by(&mut self, at: Instant) {
        self.end = Some(at);
    }

    /// Takes an answer; true when the user is to see it.
    pub(super) fn handle_response(
        &mut self,
        now: Instant,
        timers: &Timers,
        response: &Response,
        out: &mut impl FnMut(Transmit),
    ) -> bool {
        let code = response.status_code.code();
        match (self.state, code) {
            (State::Trying | State::Proceeding, ..200) => {
                self.handle_provisional(now, timers);
                true
            }
            (State::Trying | State::Proceeding, 200..300) if self.is_invite() => {
                self.enter(State::Accepted, now + timers.patience());
                true
            }
            (State::Trying | State::Proceeding, _) => {
                let linger = match (self.wire.transport.is_reliable(), self.is_invite()) {
                    (true, _) => Duration::ZERO,
                    (false, true) => timers.patience(), // Timer D, at least 32 s with the default T1
                    (false, false) => timers.t4,        // Timer K
                };
                self.enter(State::Completed, now + linger);
                self.acknowledge(response, out);
                true
            }
            (State::Accepted, 200..300) => true,
            (State::Completed, 300..) => {
                self.acknowledge(response, out);
                false
            }
            _ => false,
        }
    }

    pub(super) fn handle_timeout(
        &mut self,
        now: Instant,
        timers: &Timers,
        out: &mut impl FnMut(Transmit),
    ) -> Tick {
        if self.end.is_some_and(|end| end <= now) {
            let waited = self.is_pending();
            self.state = State::Terminated;
            return if waited { Tick::TimedOut } else { Tick::Over };
        }
        if let Some((at, interval)) = self.resend.filter(|(at, _)| *at <= now) {
            out(self.wire.clone());
            let longest = if self.is_invite() {
                Duration::MAX
            } else {
                timers.t2
            };
            let interval = if self.state == State::Proceeding {
                timers.t2
            } else {
                interval.min(longest)
            };
            // From the due time, not from now: a late wake-up does not stretch the schedule, nor burst it.
            self.resend = Some(((at + interval).max(now), interval.saturating_mul(2)));
        }
        Tick::Quiet
    }

    fn handle_provisional(&mut self, now: Instant, timers: &Timers) {
        if self.state == State::Trying {
            self.state = State::Proceeding;
            if self.is_invite() {
                self.resend = None;
                self.end = None;
            } else if let Some((at, _)) = self.resend {
                self.resend = Some((at.min(now + timers.t2), timers.t2));
            }
        }
    }

    fn enter(&mut self, state: State, end: Instant) {
        self.state = state;
        self.resend = None;
        self.end = Some(end);
    }

    /// ACK to a refusal of INVITE is the transaction's own (RFC 3261 section 17.1.1.3).
    fn acknowledge(&mut self, response: &Response, out: &mut impl FnMut(Transmit)) {
        if !self.is_invite() {
            return;
        }
        let bytes = self
            .ack
            .get_or_insert_with(|| write::request(&ack_for(&self.request, response)))
            .clone();
        out(Transmit {
            bytes,
            ..self.wire.clone()
        });
    }

    fn is_invite(&self) -> bool {
        self.request.method == Method::Invite
    }
}

fn ack_for(invite: &Request, response: &Response) -> Request {
    let mut headers = Headers::default();
    let own = &invite.headers;
    headers.add("Via", own.text("Via").unwrap_or_default());
    headers.add("Max-Forwards", "70");
    headers.add("From", own.text("From").unwrap_or_default());
    headers.add("To", response.headers.text("To").unwrap_or_default());
    headers.add("Call-ID", own.text("Call-ID").unwrap_or_default());
    let number = own.cseq_view().map_or(0, |cseq| cseq.number);
    headers.add("CSeq", format!("{number} ACK"));
    for route in own.texts("Route") {
        headers.add("Route", route);
    }
    Request {
        method: Method::Ack,
        headers,
        body: Vec::new(),
        ..invite.clone()
    }
}
