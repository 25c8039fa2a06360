//! One call's state, on either side.

use std::collections::VecDeque;
use std::net::SocketAddr;
use std::time::{Duration, Instant};

use bytes::Bytes;

use super::info::Infos;
use super::redirect::Redirects;
use super::session_timer::SessionTimer;
use super::transfer::{Asked, Transfer};
use super::{CallId, Reply};
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
    /// Whether we made the call, and so own its Call-ID.
    pub(super) is_ours: bool,
    /// The dialog: the callee's from the start, the caller's once it is answered.
    pub(super) dialog: Option<Dialog>,
    /// The caller's early dialogs, one a branch of a fork.
    pub(super) legs: Vec<Leg>,
    /// Branches that answered after another one, by their tags: our ACK, for when their 2xx comes again.
    pub(super) orphans: Vec<(String, Transmit)>,
    pub(super) credentials: Option<Credentials>,
    pub(super) digest: Option<ClientDigest>,
    /// Offer and answer of the INVITE were exchanged before its final answer, reliably.
    pub(super) agreed: bool,
    /// A 200 of ours to INVITE or re-INVITE that waits for ACK.
    pub(super) unacked: Option<Unacked>,
    /// Provisional answers of ours that wait for PRACK (RFC 3262).
    pub(super) reliable: Reliable,
    /// When an incoming call that nobody answers is refused.
    pub(super) ring_until: Option<Instant>,
    /// The caller was told that it rings, and so knows our tag.
    pub(super) rang: bool,
    /// When the caller of a call that rings here is asked for, because we moved and may miss its CANCEL.
    pub(super) asks_at: Option<Instant>,
    /// An offer of theirs that waits for our answer.
    pub(super) offered: Option<Offered>,
    /// A change of the session that we ask for.
    pub(super) change: Option<Change>,
    /// How often in a row the other side put our change off.
    pub(super) pauses: u8,
    /// A change was refused for the moment; tell when it may be asked for again.
    pub(super) asks_again: bool,
    /// Our last description of the session, for a refresh that changes nothing.
    pub(super) described: Bytes,
    /// The other side's Allow names UPDATE.
    pub(super) takes_update: bool,
    /// Our ACK to the last 2xx, by its number, for when the 2xx comes again.
    pub(super) last_ack: Option<(u32, Transmit)>,
    pub(super) session: Option<SessionTimer>,
    pub(super) redirects: Redirects,
    /// A transfer that we asked for.
    pub(super) transfer: Option<Transfer>,
    /// A transfer that the other side asks for, until it is decided.
    pub(super) asked: Option<Asked>,
    /// What is said by INFO.
    pub(super) infos: Infos,
    /// Transfers followed so far.
    pub(super) referrals: u32,
    /// The call whose place this one takes when it is answered.
    pub(super) replaces: Option<CallId>,
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

/// An early dialog of our INVITE.
#[derive(Debug)]
pub(super) struct Leg {
    pub(super) dialog: Dialog,
    /// Its last reliable provisional answer; they are taken in order (RFC 3262 section 4).
    pub(super) rseq: u32,
    /// It answered our offer reliably.
    pub(super) agreed: bool,
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

/// Our reliable provisional answers: one at a time waits for its PRACK, the rest behind it.
#[derive(Debug, Default)]
pub(super) struct Reliable {
    /// The number of the last one.
    pub(super) rseq: u32,
    pub(super) waiting: Option<Unpracked>,
    pub(super) queue: VecDeque<Reply>,
    /// The 2xx that may not overtake a description in `waiting` (RFC 3262 section 3).
    pub(super) answer: Option<Bytes>,
}

#[derive(Debug)]
pub(super) struct Unpracked {
    pub(super) transmit: Transmit,
    pub(super) resend_at: Instant,
    pub(super) interval: Duration,
    pub(super) give_up_at: Instant,
    pub(super) has_sdp: bool,
}

/// Where an offer of theirs stands, and so where our answer goes.
#[derive(Debug)]
pub(super) enum Offered {
    /// In a re-INVITE, UPDATE or PRACK: our answer is its 200.
    Request {
        server: ServerId,
        request: Box<Request>,
    },
    /// In the 2xx to an INVITE of ours without an offer: our answer is the ACK.
    Final { number: u32 },
    /// In a reliable provisional answer to such an INVITE: our answer is the PRACK.
    Provisional { tag: String, rack: String },
}

/// A change of the session that we ask for.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Change {
    /// Our re-INVITE or UPDATE waits for its answer.
    UnderWay {
        client: ClientId,
        /// It refreshes the session and changes nothing: nobody is told.
        is_refresh: bool,
    },
    /// Both asked at once (491); asked again then (RFC 3261 section 14.1).
    Paused { until: Instant },
}

impl Call {
    pub(super) fn new(state: State, invite: Request, key: DialogKey) -> Self {
        Self {
            state,
            described: Bytes::new(),
            is_ours: matches!(state, State::Calling { .. }),
            invite,
            key,
            dialog: None,
            legs: Vec::new(),
            orphans: Vec::new(),
            credentials: None,
            digest: None,
            agreed: false,
            unacked: None,
            reliable: Reliable::default(),
            ring_until: None,
            rang: false,
            asks_at: None,
            offered: None,
            change: None,
            pauses: 0,
            asks_again: false,
            takes_update: false,
            last_ack: None,
            session: None,
            redirects: Redirects::default(),
            transfer: None,
            asked: None,
            infos: Infos::default(),
            referrals: 0,
            replaces: None,
        }
    }

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

    /// Whether nothing stands in the way of a change that we ask for (RFC 3261 section 14.1, RFC 3311 section 5.1).
    pub(super) fn is_free(&self) -> bool {
        self.state == State::Established
            && self.change.is_none()
            && self.offered.is_none()
            && self.unacked.is_none()
    }

    /// Whether messages of this call come from there.
    pub(super) fn is_peer(&self, source: SocketAddr) -> bool {
        let early = self.legs.iter().map(|leg| &leg.dialog);
        let mut dialogs = self.dialog.iter().chain(early);
        dialogs.any(|dialog| dialog.peer() == source)
    }

    /// The dialog with the branch of this tag, early or confirmed.
    pub(super) fn dialog_with(&mut self, tag: &str) -> Option<&mut Dialog> {
        let confirmed = self.dialog.as_mut();
        let early = self.legs.iter_mut().map(|leg| &mut leg.dialog);
        confirmed
            .into_iter()
            .chain(early)
            .find(|dialog| dialog.remote_tag() == tag)
    }

    pub(super) fn leg_mut(&mut self, tag: &str) -> Option<&mut Leg> {
        self.legs
            .iter_mut()
            .find(|leg| leg.dialog.remote_tag() == tag)
    }

    /// When it wants to be woken next.
    pub(super) fn due(&self) -> Option<Instant> {
        let ringing = matches!(self.state, State::Incoming { .. });
        let unacked = self.unacked.as_ref();
        let unpracked = self.reliable.waiting.as_ref().filter(|_| ringing);
        let paused = match self.change {
            Some(Change::Paused { until }) => Some(until),
            _ => None,
        };
        let session = self.session.as_ref().filter(|_| !self.is_over());
        [
            unacked.map(|unacked| unacked.resend_at.min(unacked.give_up_at)),
            unpracked.map(|unpracked| unpracked.resend_at.min(unpracked.give_up_at)),
            self.ring_until.filter(|_| ringing),
            self.asks_at.filter(|_| ringing),
            paused,
            session.map(SessionTimer::due),
        ]
        .into_iter()
        .flatten()
        .min()
    }
}
