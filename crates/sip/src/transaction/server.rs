//! Server transactions (RFC 3261 section 17.2, RFC 6026 section 7.1).

use std::net::SocketAddr;
use std::time::{Duration, Instant};

use bytes::Bytes;

use super::{Timers, Transmit, Transport};

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum State {
    /// No final answer yet: Trying and Proceeding.
    Proceeding,
    /// A final answer was sent; for INVITE a refusal that waits for ACK.
    Completed,
    /// INVITE only: the ACK to a refusal came.
    Confirmed,
    /// INVITE only: a 2xx was sent; its retransmission belongs to the dialog (RFC 6026).
    Accepted,
}

/// One request of somebody else's.
#[derive(Debug)]
pub(super) struct Server {
    invite: bool,
    transport: Transport,
    destination: SocketAddr,
    state: State,
    last: Option<Bytes>,
    resend: Option<(Instant, Duration)>,
    end: Option<Instant>,
}

impl Server {
    pub(super) fn new(
        now: Instant,
        timers: &Timers,
        invite: bool,
        transport: Transport,
        destination: SocketAddr,
    ) -> Self {
        Self {
            invite,
            transport,
            destination,
            state: State::Proceeding,
            last: None,
            resend: None,
            // A non-INVITE that nobody answers in 64 T1 has timed out at its sender (Timer F).
            end: (!invite).then(|| now + timers.patience()),
        }
    }

    pub(super) fn due(&self) -> Option<Instant> {
        [self.resend.map(|(at, _)| at), self.end]
            .into_iter()
            .flatten()
            .min()
    }

    /// True until a final answer was sent.
    pub(super) fn is_pending(&self) -> bool {
        self.state == State::Proceeding
    }

    /// The same request came again.
    pub(super) fn handle_retransmission(&self) -> Option<Transmit> {
        match self.state {
            State::Proceeding | State::Completed => self.transmit(),
            State::Confirmed | State::Accepted => None,
        }
    }

    /// An ACK with the INVITE's branch came; true when the transaction swallows it.
    pub(super) fn handle_ack(&mut self, now: Instant, timers: &Timers) -> bool {
        match self.state {
            State::Completed => {
                self.state = State::Confirmed;
                self.resend = None;
                let linger = if self.transport.is_reliable() {
                    Duration::ZERO
                } else {
                    timers.t4
                };
                self.end = Some(now + linger); // Timer I
                true
            }
            State::Confirmed => true,
            State::Proceeding | State::Accepted => false,
        }
    }

    /// Our answer. Answers after a final one are dropped.
    pub(super) fn respond(
        &mut self,
        now: Instant,
        timers: &Timers,
        code: u16,
        bytes: Bytes,
    ) -> Option<Transmit> {
        if self.state != State::Proceeding {
            return None;
        }
        self.last = Some(bytes);
        if code >= 200 {
            self.end = Some(now + timers.patience()); // Timers H, J, L
            self.state = if self.invite && code < 300 {
                State::Accepted
            } else {
                State::Completed
            };
            if self.state == State::Completed && self.invite && !self.transport.is_reliable() {
                self.resend = Some((now + timers.t1, timers.t1 * 2)); // Timer G
            }
        }
        self.transmit()
    }

    /// Does what is due; true when the transaction is over.
    pub(super) fn handle_timeout(
        &mut self,
        now: Instant,
        timers: &Timers,
        out: &mut impl FnMut(Transmit),
    ) -> bool {
        if self.end.is_some_and(|end| end <= now) {
            return true;
        }
        if let Some((at, interval)) = self.resend.filter(|(at, _)| *at <= now) {
            if let Some(transmit) = self.transmit() {
                out(transmit);
            }
            let interval = interval.min(timers.t2);
            self.resend = Some(((at + interval).max(now), interval * 2));
        }
        false
    }

    fn transmit(&self) -> Option<Transmit> {
        let bytes = self.last.clone()?;
        Some(Transmit {
            transport: self.transport,
            destination: self.destination,
            bytes,
        })
    }
}
