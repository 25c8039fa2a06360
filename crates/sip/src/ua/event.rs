//! What a user agent tells, and the values it is asked with.

use std::net::SocketAddr;
use std::time::Duration;

use bytes::Bytes;

use crate::digest::Credentials;
use crate::message::{Header, Method, NameAddr, Request, Response, Uri};
use crate::registration::RegistrationEvent;
use crate::transaction::ServerId;

/// One call (an INVITE and the dialog it makes) of this user agent.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub struct CallId(pub u64);

/// An out-of-dialog request that waits for [`super::UserAgent::respond`].
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub struct RequestId(pub(super) ServerId);

/// An out-of-dialog request of ours.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub struct OutgoingId(pub u64);

/// A subscription of ours.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub struct SubscriptionId(pub u64);

/// Something the user of the stack should know.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Event {
    /// News of the registration.
    Registration(RegistrationEvent),
    /// Somebody calls; 100 is sent. Continue with `ring`, `answer` or `reject`.
    Incoming {
        /// The new call.
        call: CallId,
        /// The INVITE; its body is the SDP offer, empty when we are to offer.
        request: Box<Request>,
        /// Where it came from.
        source: SocketAddr,
        /// The call whose place it takes when it is answered (RFC 3891); nobody needs to be rung for that.
        replaces: Option<CallId>,
    },
    /// A provisional answer above 100 to our INVITE. `sdp` is early media, empty when there is none.
    Progress {
        /// The call.
        call: CallId,
        /// 180, 183, ...
        code: u16,
        /// The body.
        sdp: Bytes,
    },
    /// Our INVITE was redirected (3xx) and is on its way to another address.
    Redirected {
        /// The call.
        call: CallId,
        /// The address that is called now.
        target: Uri,
    },
    /// The other side answered our INVITE.
    Answered {
        /// The call.
        call: CallId,
        /// The SDP answer; ACK is sent. When our INVITE had no offer it is theirs: continue with `answer_offer`, whose
        /// SDP goes into the ACK.
        sdp: Bytes,
    },
    /// The ACK to our 200 came, or the PRACK to our offer. `sdp` holds the answer when ours was the offer, else it is
    /// empty.
    Confirmed {
        /// The call.
        call: CallId,
        /// The body.
        sdp: Bytes,
    },
    /// The other side wants to change the session (re-INVITE, UPDATE, PRACK, or in reply to a re-INVITE of ours without
    /// an offer). Continue with `answer_offer` or `refuse_offer`. An empty `sdp` asks us to offer.
    Offer {
        /// The call.
        call: CallId,
        /// The SDP offer.
        sdp: Bytes,
    },
    /// The other side took the change that [`super::UserAgent::reoffer`] asked for.
    OfferAnswered {
        /// The call.
        call: CallId,
        /// The SDP answer.
        sdp: Bytes,
    },
    /// The other side refused the change; the session stays as it was.
    OfferRefused {
        /// The call.
        call: CallId,
        /// SIP response code.
        code: u16,
    },
    /// A change that could not be asked for before may be asked for now, with a fresh description: what stood in the way
    /// is over, or both had asked at once and the time to wait is over (RFC 3261 section 14.1).
    OfferDue {
        /// The call.
        call: CallId,
    },
    /// A request inside a dialog that the stack has answered itself: INFO, NOTIFY, MESSAGE.
    InDialog {
        /// The call.
        call: CallId,
        /// Its method.
        method: Method,
        /// Its Content-Type, empty when missing.
        content_type: String,
        /// Its body.
        body: Bytes,
    },
    /// The other side did not take an INFO of ours; what was to follow it is dropped.
    InfoRefused {
        /// The call.
        call: CallId,
        /// Its answer; 408 when there was none.
        code: u16,
    },
    /// How a transfer of ours goes ([`super::UserAgent::transfer`]).
    Transfer {
        /// The call whose other side is handed on.
        call: CallId,
        /// The answer to REFER (202 when it is taken), then what whom we handed on has met: 180, 200, 486 ...
        code: u16,
        /// Nothing follows. Below 300 it is done, and the call can be hung up; else it failed, and the call goes on.
        is_final: bool,
    },
    /// The other side asks us to call somebody else. Continue with `accept_referral` or `refuse_referral`.
    Referred {
        /// The call.
        call: CallId,
        /// Whom to call.
        target: Uri,
        /// The dialog to take over there: the Replaces header of the new call.
        replaces: Option<String>,
        /// Who says so, as it came.
        referred_by: Option<String>,
    },
    /// News in a subscription of ours, or unasked (some PBXs tell of voicemail that way).
    Notified {
        /// The subscription; none when there is none.
        subscription: Option<SubscriptionId>,
        /// The event package, e.g. `message-summary`.
        package: String,
        /// The body's type, empty when missing.
        content_type: String,
        /// The body.
        body: Bytes,
    },
    /// A subscription is over and is not asked for again.
    Unsubscribed {
        /// The subscription; its id means nothing any more.
        subscription: SubscriptionId,
        /// Why, as a SIP code; none when we ended it.
        code: Option<u16>,
    },
    /// The call is over; its id means nothing any more.
    Ended {
        /// The call.
        call: CallId,
        /// Why.
        reason: EndReason,
    },
    /// An out-of-dialog request of a handed-up method. Answer it with `respond`.
    Request {
        /// The id to answer with.
        id: RequestId,
        /// The request.
        request: Box<Request>,
        /// Where it came from.
        source: SocketAddr,
    },
    /// What became of a request that `request` sent.
    Outgoing {
        /// The request.
        id: OutgoingId,
        /// Its end.
        outcome: OutgoingOutcome,
    },
}

/// What became of an out-of-dialog request.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum OutgoingOutcome {
    /// The final answer.
    Response(Box<Response>),
    /// No answer within 64 T1, or no way there.
    TimedOut,
}

/// Why a call ended.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum EndReason {
    /// We hung up or rejected.
    Local,
    /// The other side sent BYE.
    Remote,
    /// The caller gave up before an answer (CANCEL).
    Cancelled,
    /// Our INVITE was refused.
    Refused {
        /// SIP response code.
        code: u16,
        /// Its reason phrase.
        reason: String,
        /// The challenge headers and the rest, for whoever relays it.
        response: Box<Response>,
    },
    /// Our INVITE got no answer within 64 T1 (Timer B).
    TimedOut,
    /// Our INVITE could not be delivered: nobody listens there, or the connection broke (RFC 3261 section 17.1.4).
    Unreachable,
    /// Another call took its place.
    Replaced,
    /// Our 200 was never acknowledged within 64 T1, or an in-dialog request of ours got none.
    Lost,
}

/// An INVITE to send.
#[derive(Debug, Clone)]
pub struct InviteRequest {
    /// The Request-URI and To.
    pub target: Uri,
    /// Where to send it (registrar, proxy or the endpoint's address), already resolved.
    pub destination: SocketAddr,
    /// Our identity for this call.
    pub from: NameAddr,
    /// The SDP offer.
    pub offer: Bytes,
    /// For challenges; without them a 401 or 407 ends the call.
    pub credentials: Option<Credentials>,
    /// Further headers.
    pub headers: Vec<Header>,
}

/// A subscription to ask for (RFC 6665).
#[derive(Debug, Clone)]
pub struct SubscribeRequest {
    /// Whose state, as Request-URI and To.
    pub target: Uri,
    /// Where to send it, already resolved.
    pub destination: SocketAddr,
    /// Our identity.
    pub from: NameAddr,
    /// The event package: `message-summary`, `dialog`.
    pub package: String,
    /// The types of body we read.
    pub accept: String,
    /// How long it is to last before it is refreshed.
    pub expires: Duration,
    /// For challenges.
    pub credentials: Option<Credentials>,
}

/// An out-of-dialog request to send (OPTIONS, MESSAGE, ...).
#[derive(Debug, Clone)]
pub struct OutgoingRequest {
    /// Its method; not INVITE, ACK, CANCEL or REGISTER.
    pub method: Method,
    /// The Request-URI and To.
    pub target: Uri,
    /// Where to send it, already resolved.
    pub destination: SocketAddr,
    /// Our identity.
    pub from: NameAddr,
    /// Further headers.
    pub headers: Vec<Header>,
    /// The body; name its type in `headers`.
    pub body: Bytes,
}

/// A final answer to a request.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Reply {
    /// 200..=699.
    pub code: u16,
    /// Reason phrase; the standard one when none.
    pub reason: Option<String>,
    /// Further headers (Contact, Expires, WWW-Authenticate, Content-Type ...).
    pub headers: Vec<Header>,
    /// The body.
    pub body: Bytes,
}

/// Characters of a reason phrase of ours, at most.
const LONGEST_REASON: usize = 200;

impl Reply {
    /// A bare answer with the standard reason phrase.
    pub fn new(code: u16) -> Self {
        Self {
            code,
            reason: None,
            headers: Vec::new(),
            body: Bytes::new(),
        }
    }

    /// An answer that says in its reason phrase what was wrong. What no phrase can hold (RFC 3261 section 25.1: a line's
    /// end, and other control characters) is left out, and so is what makes it longer than 200 characters: it may
    /// quote what came from the other side.
    pub fn because(code: u16, reason: impl AsRef<str>) -> Self {
        let printable = reason.as_ref().chars().filter(|one| !one.is_control());
        Self {
            reason: Some(printable.take(LONGEST_REASON).collect()),
            ..Self::new(code)
        }
    }

    /// The same with another header, given by name.
    pub fn with(mut self, name: &str, value: impl Into<String>) -> Self {
        self.headers.push(crate::message::header(name, value));
        self
    }
}

impl From<u16> for Reply {
    fn from(code: u16) -> Self {
        Self::new(code)
    }
}
