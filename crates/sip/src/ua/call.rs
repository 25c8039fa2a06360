//! One call's state, on either side.

use std::time::{Duration, Instant};

use crate::dialog::{Dialog, DialogKey};
use crate::digest::{ClientDigest, Credentials};
use crate::message::Request;
use crate::transaction::{ClientId, ServerId, Transmit};

#[derive(Debug)]
pub(super) struct Call {
    pub(super) state: State,
    /// The INVITE as last sent, or as received.
    pub(super) invite: Request,
    pub(super) key: DialogKey,
    pub(super) dialog: Option<Dialog>,
    pub(super) credentials: Option<Credentials>,
    pub(super) digest: Option<ClientDigest>,
    /// A 200 of ours to INVITE or re-INVITE that waits for ACK.
    pub(super) unacked: Option<Unacked>,
    /// When an incoming call that nobody answers is refused.
    pub(super) ring_until: Option<Instant>,
    /// A re-INVITE or UPDATE that waits for our answer.
    pub(super) offered: Option<Offered>,
    /// A re-INVITE of ours that waits for its answer.
    pub(super) reoffer: Option<ClientId>,
    /// Our ACK to the last 2xx, by its number, for when the 2xx comes again.
    pub(super) last_ack: Option<(u32, Transmit)>,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum State {
    /// Our INVITE waits for its final answer.
    Calling {
        client: ClientId,
        /// A provisional answer came, so CANCEL may be sent.
        heard: bool,
        /// We gave up: CANCEL is sent or will be; an answer is ended at once.
        cancelled: bool,
    },
    /// Their INVITE waits for our final answer.
    Incoming { server: ServerId },
    /// Answered.
    Established,
    /// Over for the user; BYE is on its way or waits for the ACK to our 200.
    Ending,
}

/// A 2xx to INVITE is sent again until its ACK comes (RFC 3261 section 13.3.1.4).
#[derive(Debug)]
pub(super) struct Unacked {
    pub(super) number: u32,
    pub(super) transmit: Transmit,
    pub(super) resend_at: Instant,
    pub(super) interval: Duration,
    pub(super) give_up_at: Instant,
    /// Whether it answers the INVITE that made the call.
    pub(super) initial: bool,
}

#[derive(Debug)]
pub(super) struct Offered {
    pub(super) server: ServerId,
    pub(super) request: Request,
}

impl Call {
    pub(super) fn is_over(&self) -> bool {
        matches!(
            self.state,
            State::Ending
                | State::Calling {
                    cancelled: true,
                    ..
                }
        )
    }

    pub(super) fn due(&self) -> Option<Instant> {
        let ring_until = self
            .ring_until
            .filter(|_| matches!(self.state, State::Incoming { .. }));
        let unacked = self.unacked.as_ref();
        unacked
            .map(|unacked| unacked.resend_at.min(unacked.give_up_at))
            .or(ring_until)
    }
}
