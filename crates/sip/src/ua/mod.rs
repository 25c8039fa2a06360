//! The user agent: registration, calls and single requests over the transaction layer.
//!
//! Owns what happens between transactions: who may reach us, which dialog a request means, when a 200 is sent
//! again, which challenge is answered. Refuses requests from strangers before they cost any memory.

mod call;
mod callee;
mod caller;
mod calls;
mod compose;
mod config;
mod event;
mod in_dialog;
mod inbound;
mod info;
mod moving;
mod redirect;
mod refusals;
mod registering;
mod reliable;
mod reoffer;
mod session_timer;
mod subscription;
mod transfer;

use std::collections::{HashMap, VecDeque};
use std::net::SocketAddr;
use std::time::Instant;

use bytes::Bytes;

pub use config::{Config, Trust};
pub use event::{
    CallId, EndReason, Event, InviteRequest, OutgoingId, OutgoingOutcome, OutgoingRequest, Reply,
    RequestId, SubscribeRequest, SubscriptionId,
};

pub use refusals::{RefusalKind, Refusals};

use crate::message::{
    Headers, HeadersView, Message, NameAddr, Request, Response, Version, parse, uri_text,
};
use crate::random::Random;
use crate::registration::{Account, Failure, Registration};
use crate::transaction::{ClientId, ResponseFate, ServerId, TransactionLayer, Transmit, Transport};
use calls::Calls;
use subscription::Subscriptions;
use transfer::Referrer;

/// A SIP user agent (RFC 3261 sections 8 to 15) without I/O.
///
/// After every `handle_*` and every command: drain [`Self::poll_transmit`] and [`Self::poll_event`], then wait
/// until [`Self::poll_timeout`] or the next datagram.
#[derive(Debug)]
pub struct UserAgent {
    config: Config,
    random: Random,
    layer: TransactionLayer,
    registration: Option<Registration>,
    available: bool,
    calls: Calls,
    /// Whose INVITE or re-INVITE a server transaction carries.
    invites: HashMap<ServerId, CallId>,
    pending: HashMap<ClientId, Pending>,
    /// By the calls that we were asked to make.
    referrers: HashMap<CallId, Referrer>,
    /// Handed-up requests that wait for their answer.
    requests: HashMap<ServerId, Request>,
    subscriptions: Subscriptions,
    events: VecDeque<Event>,
    refusals: Refusals,
    next_id: u64,
}

/// What a client transaction is for.
#[derive(Debug, Clone, Copy)]
struct Pending {
    purpose: Purpose,
    /// Challenges answered on the way here.
    challenges: u8,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Purpose {
    Register,
    Invite(CallId),
    Bye(CallId),
    /// A re-INVITE or UPDATE.
    Change(CallId),
    Prack(CallId),
    Refer(CallId),
    Info(CallId),
    Subscribe(SubscriptionId),
    Cancel,
    Single(OutgoingId),
    /// Ends a branch of a fork that we do not want; nobody waits for it.
    Orphan,
}

impl Pending {
    fn new(purpose: Purpose) -> Self {
        Self {
            purpose,
            challenges: 0,
        }
    }

    fn challenged(self) -> Self {
        Self {
            challenges: self.challenges + 1,
            ..self
        }
    }
}

impl UserAgent {
    /// A user agent with nothing registered and no calls.
    pub fn new(config: Config, _now: Instant) -> Self {
        Self {
            random: Random::new(config.seed),
            layer: TransactionLayer::new(config.timers, config.max_transactions),
            config,
            registration: None,
            available: true,
            calls: Calls::default(),
            invites: HashMap::new(),
            pending: HashMap::new(),
            referrers: HashMap::new(),
            requests: HashMap::new(),
            subscriptions: Subscriptions::new(),
            events: VecDeque::new(),
            refusals: Refusals::default(),
            next_id: 0,
        }
    }

    /// Takes one datagram, or one message of a stream, over the transport of [`Config`].
    pub fn handle_datagram(&mut self, now: Instant, from: SocketAddr, bytes: &[u8]) {
        self.handle_message(now, self.config.transport, from, bytes);
    }

    /// Takes one message; `from` is the sender, or the other end of its connection.
    pub fn handle_message(
        &mut self,
        now: Instant,
        transport: Transport,
        from: SocketAddr,
        bytes: &[u8],
    ) {
        // Keep-alives (RFC 5626 section 3.5.1, and the four zero bytes of some PBXs).
        if bytes.iter().all(|b| matches!(b, b'\r' | b'\n' | 0)) {
            return;
        }
        match parse(bytes) {
            Ok(Message::Request(request)) => self.handle_request(now, request, transport, from),
            Ok(Message::Response(response)) => self.handle_response(now, &response, from),
            Err(refusal) => self.handle_unreadable(transport, from, bytes, &refusal),
        }
    }

    /// A connection to `destination` could not be made, or broke, or ICMP says that nobody listens there: what waits for
    /// an answer from there has failed at once (RFC 3261 sections 17.1.4 and 18.4), as if by 503 (section 8.1.3.1). What
    /// took a stream for its length alone goes by UDP after all.
    pub fn handle_transport_error(
        &mut self,
        now: Instant,
        transport: Transport,
        destination: SocketAddr,
    ) {
        for client in self.layer.pending_over(transport, destination) {
            if transport != self.config.transport && self.config.transport == Transport::Udp {
                self.layer.send_over(now, client, Transport::Udp);
                continue;
            }
            self.handle_undelivered(now, client);
            self.layer.forget(client);
        }
        self.forget_ended_transactions();
    }

    /// Our address is another one, or the registrar's is: a connection was made again, the network changed, another
    /// server of the same name takes over. Registers at once, with the new Contact in place of the old, and subscribes
    /// anew. Whoever calls us is told where it rings now. Calls that are up are yours to carry over with
    /// [`Self::reoffer`], those that we make and nobody has answered with [`Self::call_again`].
    pub fn relocate(
        &mut self,
        now: Instant,
        transport: Transport,
        local: SocketAddr,
        registrar: SocketAddr,
    ) {
        self.move_to(now, transport, local, registrar);
    }

    /// Does what is due. Call it at [`Self::poll_timeout`]; calling early does nothing.
    pub fn handle_timeout(&mut self, now: Instant) {
        for client in self.layer.handle_timeout(now) {
            self.handle_timed_out(now, client);
            self.layer.forget(client);
        }
        self.refresh_registration(now);
        self.tell_due_offers();
        self.run_calls(now);
        self.run_subscriptions(now);
        self.forget_ended_transactions();
    }

    /// When [`Self::handle_timeout`] is next needed.
    pub fn poll_timeout(&self) -> Option<Instant> {
        let registration = self.registration.as_ref().and_then(Registration::due);
        [
            self.layer.poll_timeout(),
            registration,
            self.calls.due(),
            self.subscriptions_due(),
        ]
        .into_iter()
        .flatten()
        .min()
    }

    /// The next message to put on the wire.
    pub fn poll_transmit(&mut self) -> Option<Transmit> {
        self.layer.poll_transmit()
    }

    /// The next thing to know.
    pub fn poll_event(&mut self) -> Option<Event> {
        self.tell_due_offers();
        self.events.pop_front()
    }

    /// Registers and keeps registered until [`Self::unregister`]: refreshes, answers challenges, retries with back-off.
    pub fn register(&mut self, now: Instant, account: Account) {
        self.begin_registration(now, account);
    }

    /// Sends the next REGISTER at once, with the same Contact, whatever time is left; calls are not touched. False if
    /// nothing is to be registered: never asked for, or taken away since.
    pub fn refresh(&mut self, now: Instant) -> bool {
        self.hasten_registration(now)
    }

    /// Removes our contact at the registrar. [`crate::RegistrationEvent::Unregistered`] follows, or a failure
    /// without a retry.
    pub fn unregister(&mut self, now: Instant) {
        self.end_registration(now);
    }

    /// Removes every contact of our address of record, those of other phones too (RFC 3261 section 10.2.2), as
    /// [`Self::unregister`] does with ours.
    pub fn unregister_all(&mut self, now: Instant) {
        self.end_every_registration(now);
    }

    /// Every contact that the registrar named in its last 200: ours and other phones'.
    pub fn bindings(&self) -> &[NameAddr] {
        self.registration
            .as_ref()
            .map_or(&[], Registration::bindings)
    }

    /// Whether the registrar keeps our flows alive with us (RFC 5626): over UDP it answers STUN at its SIP port.
    pub fn is_outbound(&self) -> bool {
        self.registration
            .as_ref()
            .is_some_and(Registration::is_outbound)
    }

    /// False: OPTIONS is answered 480, because nobody could hear or speak. Calls still come through.
    pub fn set_available(&mut self, available: bool) {
        self.available = available;
    }

    /// Calls somebody.
    pub fn invite(&mut self, now: Instant, invite: InviteRequest) -> CallId {
        self.begin_call(now, invite)
    }

    /// Makes a call of ours that nobody has answered once more, from where we are now and with this offer, and gives up
    /// the INVITE before: its answer would go where we are no longer. The call keeps its name. False when it is answered or
    /// over.
    pub fn call_again(&mut self, now: Instant, call: CallId, offer: Bytes) -> bool {
        self.make_anew(now, call, offer)
    }

    /// Ends a call in any state: CANCEL, BYE, or 603 to one that was not answered.
    pub fn hangup(&mut self, now: Instant, call: CallId) {
        self.end_call(now, call);
    }

    /// 180 Ringing to an incoming call; with `sdp`, 183 Session Progress and early media.
    pub fn ring(&mut self, now: Instant, call: CallId, sdp: Option<Bytes>) {
        self.ring_call(now, call, sdp);
    }

    /// 200 OK with our SDP to an incoming call.
    pub fn answer(&mut self, now: Instant, call: CallId, sdp: Bytes) {
        self.answer_call(now, call, sdp);
    }

    /// A final refusal (300..=699) to an incoming call; a challenge is one too.
    pub fn reject(&mut self, now: Instant, call: CallId, reply: impl Into<Reply>) {
        self.reject_call(now, call, reply.into());
    }

    /// Asks the other side to change the session (hold, another address) with our SDP offer, or with none to let it
    /// offer: by re-INVITE, before the answer by UPDATE where that is allowed. [`Event::OfferAnswered`] or
    /// [`Event::OfferRefused`] follows, or [`Event::OfferDue`] when both asked at once and it is time to ask again.
    ///
    /// False when the call is not up, or when a change is under way already; then [`Event::OfferDue`] tells when it is
    /// over.
    pub fn reoffer(&mut self, now: Instant, call: CallId, sdp: Bytes) -> bool {
        self.begin_reoffer(now, call, &sdp)
    }

    /// Our SDP in reply to [`Event::Offer`], or to an [`Event::Answered`] that offers.
    pub fn answer_offer(&mut self, now: Instant, call: CallId, sdp: Bytes) {
        self.answer_their_offer(now, call, sdp);
    }

    /// Refuses [`Event::Offer`] (488 as a rule); the session stays as it was. An offer that came in an answer of theirs
    /// can only be refused by ending the call.
    pub fn refuse_offer(&mut self, now: Instant, call: CallId, reply: impl Into<Reply>) {
        self.refuse_their_offer(now, call, reply.into());
    }

    /// Says something inside a call by INFO, behind what was said before and is not answered yet. False when the call is not
    /// up, or too much waits. [`Event::InfoRefused`] tells when the other side does not take it.
    pub fn info(&mut self, now: Instant, call: CallId, content_type: &str, body: Bytes) -> bool {
        self.say(now, call, content_type, body)
    }

    /// Hands the other side of a call on to another address (blind transfer, RFC 5589 section 6): REFER.
    /// [`Event::Transfer`] tells how that goes; the call goes on until somebody hangs up. False when the call is not
    /// up, or a transfer is under way.
    pub fn transfer(&mut self, now: Instant, call: CallId, target: &NameAddr) -> bool {
        self.begin_transfer(now, call, &target.to_string())
    }

    /// Hands the other side of a call on to the other side of a second one (attended transfer, RFC 5589 section 7).
    /// The same as [`Self::transfer`] otherwise; when it is done the second call ends, replaced.
    pub fn transfer_to_call(&mut self, now: Instant, call: CallId, other: CallId) -> bool {
        let place = self.place_in(other).filter(|_| call != other);
        place.is_some_and(|place| self.begin_transfer(now, call, &place))
    }

    /// Follows [`Event::Referred`]: makes the call that it asks for, and tells whoever asked how that call goes. Give
    /// `replaces` as the event has it. None when there is nothing to follow any more.
    pub fn accept_referral(
        &mut self,
        now: Instant,
        call: CallId,
        replaces: Option<String>,
        invite: InviteRequest,
    ) -> Option<CallId> {
        self.follow_referral(now, call, replaces, invite)
    }

    /// Refuses [`Event::Referred`] (603 as a rule); the call goes on.
    pub fn refuse_referral(&mut self, now: Instant, call: CallId, code: u16) {
        self.refuse_referral_in(now, call, code);
    }

    /// Subscribes to somebody's state and keeps the subscription alive until [`Self::unsubscribe`] or
    /// [`Event::Unsubscribed`]. [`Event::Notified`] tells the news.
    pub fn subscribe(&mut self, now: Instant, request: SubscribeRequest) -> SubscriptionId {
        self.begin_subscription(now, request)
    }

    /// Ends a subscription; [`Event::Unsubscribed`] follows.
    pub fn unsubscribe(&mut self, now: Instant, subscription: SubscriptionId) {
        self.end_subscription(now, subscription);
    }

    /// Asks for the whole state again, because some of the news was missed.
    pub fn refresh_subscription(&mut self, now: Instant, subscription: SubscriptionId) {
        self.hasten_subscription(now, subscription);
    }

    /// Sends a single out-of-dialog request.
    pub fn request(&mut self, now: Instant, request: OutgoingRequest) -> OutgoingId {
        let id = OutgoingId(self.fresh_id());
        let mut headers = Headers::default();
        headers.add(
            "From",
            request
                .from
                .clone()
                .with_tag(&self.random.token())
                .to_string(),
        );
        headers.add("To", NameAddr::new(request.target.clone()).to_string());
        headers.add("Call-ID", self.random.token());
        headers.add("CSeq", format!("1 {}", request.method));
        headers.extend(request.headers);
        let built = Request {
            method: request.method,
            uri: request.target,
            version: Version::V2,
            headers,
            body: request.body.to_vec(),
        };
        self.send(
            now,
            built,
            request.destination,
            Pending::new(Purpose::Single(id)),
        );
        id
    }

    /// Answers [`Event::Request`].
    pub fn respond(&mut self, now: Instant, id: RequestId, reply: impl Into<Reply>) {
        if let Some(request) = self.requests.remove(&id.0) {
            let tag = self.random.token();
            self.respond_in(now, id.0, &request, reply.into(), Some(&tag));
        }
    }

    /// Our Contact URI, as it stands in our requests.
    pub fn contact_uri(&self) -> String {
        uri_text(&self.contact())
    }

    /// What was refused so far, by kind.
    pub fn refusals(&self) -> Refusals {
        self.refusals
    }

    /// Calls that are not over.
    pub fn call_count(&self) -> usize {
        self.calls
            .iter()
            .filter(|(_, call)| !call.is_over())
            .count()
    }

    /// True when nothing of ours waits for the other side: no request for its answer, no 200 for its ACK.
    pub fn is_settled(&self) -> bool {
        !self.layer.has_pending_clients()
            && self.calls.iter().all(|(_, call)| call.unacked.is_none())
    }

    /// True when no transaction lives, no call and no registration work is left: nothing will be sent any more.
    pub fn is_quiet(&self) -> bool {
        self.layer.len() == 0 && self.calls.is_empty() && self.subscriptions.is_empty()
    }

    fn handle_response(&mut self, now: Instant, response: &Response, source: SocketAddr) {
        let client = match self.layer.handle_response(now, response) {
            ResponseFate::ForUser(client) => client,
            ResponseFate::Absorbed => return,
            ResponseFate::Stray => return self.refusals.count(RefusalKind::StrayResponse),
        };
        let Some(pending) = self.pending.get(&client).copied() else {
            return;
        };
        let is_final = response.status_code.code() >= 200;
        match pending.purpose {
            Purpose::Register if is_final => {
                self.handle_register_response(now, client, pending, response, source)
            }
            Purpose::Invite(call) => {
                self.handle_invite_response(now, call, client, pending, response, source)
            }
            Purpose::Bye(call) if is_final => {
                self.handle_bye_response(now, call, client, pending, response)
            }
            Purpose::Change(call) => {
                self.handle_change_response(now, call, client, pending, response, source)
            }
            Purpose::Refer(call) if is_final => {
                self.handle_refer_response(now, call, client, pending, response)
            }
            Purpose::Info(call) if is_final => {
                self.handle_info_response(now, call, client, pending, response)
            }
            Purpose::Subscribe(id) if is_final => {
                self.handle_subscribe_response(now, id, client, pending, response, source)
            }
            Purpose::Prack(call) if is_final => {
                // Unauthorised, the provisional answer stays unacknowledged; its sender gives the call up.
                self.answers_challenge(now, call, client, pending, response);
            }
            Purpose::Single(id) if is_final => {
                let outcome = OutgoingOutcome::Response(Box::new(response.clone()));
                self.events.push_back(Event::Outgoing { id, outcome });
            }
            _ => {}
        }
    }

    /// A request that the transport could not deliver: a call that is up outlives it, as it would a 503.
    fn handle_undelivered(&mut self, now: Instant, client: ClientId) {
        match self.pending.get(&client).map(|pending| pending.purpose) {
            Some(Purpose::Register) => self.lose_register(now, client, Failure::Unreachable),
            Some(Purpose::Invite(call)) => self.finish(now, call, EndReason::Unreachable),
            Some(Purpose::Change(call)) => self.fail_change(now, call, client),
            _ => return self.handle_timed_out(now, client),
        }
        self.pending.remove(&client);
    }

    fn handle_timed_out(&mut self, now: Instant, client: ClientId) {
        match self.pending.remove(&client).map(|pending| pending.purpose) {
            Some(Purpose::Register) => self.lose_register(now, client, Failure::TimedOut),
            Some(Purpose::Invite(call)) => self.finish(now, call, EndReason::TimedOut),
            Some(Purpose::Bye(call)) => self.forget_call(call),
            Some(Purpose::Change(call)) => self.lose_call(now, call),
            Some(Purpose::Subscribe(id)) => self.handle_subscribe_timeout(now, id),
            Some(Purpose::Refer(call)) => self.handle_refer_timeout(call),
            Some(Purpose::Info(call)) => self.fall_silent(call, 408),
            Some(Purpose::Single(id)) => {
                self.events.push_back(Event::Outgoing {
                    id,
                    outcome: OutgoingOutcome::TimedOut,
                });
            }
            Some(Purpose::Cancel | Purpose::Prack(_) | Purpose::Orphan) | None => {}
        }
    }

    /// Tells the end unless it was told, and forgets the call.
    fn finish(&mut self, now: Instant, id: CallId, reason: EndReason) {
        self.tell_end_unless_over(now, id, reason);
        self.forget_call(id);
    }

    fn tell_end_unless_over(&mut self, now: Instant, id: CallId, reason: EndReason) {
        if self.calls.get(id).is_some_and(|call| !call.is_over()) {
            self.tell_end(now, id, reason);
        }
    }

    fn tell_end(&mut self, now: Instant, call: CallId, reason: EndReason) {
        self.tell_referrer_of_end(now, call, &reason);
        self.events.push_back(Event::Ended { call, reason });
    }

    fn forget_call(&mut self, id: CallId) {
        if let Some(call) = self.calls.remove(id) {
            self.keep_dialog_for_news(id, call.dialog.as_ref());
        }
    }

    fn forget_ended_transactions(&mut self) {
        let (clients, servers) = self.layer.take_ended();
        for client in clients {
            self.pending.remove(&client);
        }
        for server in servers {
            self.requests.remove(&server);
            self.invites.remove(&server);
        }
    }

    fn fresh_id(&mut self) -> u64 {
        self.next_id += 1;
        self.next_id
    }
}
