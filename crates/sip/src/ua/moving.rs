//! Our address is another one: who has to learn of it, and how, call by call.
//!
//! A call that is up is carried over by re-INVITE, which needs a description and so its owner. This module sees to those
//! that nobody has answered: one that rings here says by UPDATE where it rings now (RFC 3311 section 5.1), one that we make
//! is made anew, because its answer follows the Via of an INVITE that was sent from where we are no longer (RFC 3261
//! section 18.2.2).

use std::net::SocketAddr;
use std::time::{Duration, Instant};

use bytes::Bytes;

use super::call::{Call, Change, State};
use super::compose::attach_sdp;
use super::{CallId, EndReason, Pending, Purpose, Reply, UserAgent};
use crate::dialog::DialogKey;
use crate::message::{HeadersView, Method, Request, name_and_value};
use crate::transaction::Transport;

/// How often a call that rings here is asked for after a move: CANCEL goes where the INVITE went (RFC 3261 section 9.1),
/// and nobody hears it there.
const ASK_EVERY: Duration = Duration::from_secs(10);
/// What an INVITE gets anew when it is sent from another place.
const OF_THE_PLACE: [&str; 9] = [
    "Via",
    "Contact",
    "Allow",
    "Supported",
    "Authorization",
    "Proxy-Authorization",
    "Content-Type",
    "Call-ID",
    "CSeq",
];

impl UserAgent {
    pub(super) fn move_to(
        &mut self,
        now: Instant,
        transport: Transport,
        local: SocketAddr,
        registrar: SocketAddr,
    ) {
        let before = self.contact_uri();
        (self.config.transport, self.config.local) = (transport, local);
        let before = Some(before).filter(|before| *before != self.contact_uri());
        let registrar_before = self.registration.as_ref().map(|r| r.account.destination);
        self.relocate_registration(now, registrar, before);
        self.relocate_subscriptions(now, registrar_before, registrar);
        // Another registrar knows nothing of the calls of the one before.
        if registrar_before.is_none_or(|before| before == registrar) {
            let ids: Vec<CallId> = self.calls.iter().map(|(id, _)| id).collect();
            for id in ids {
                self.tell_where_it_rings(now, id);
            }
        }
    }

    /// It is time to ask again after the caller of a call that rings here.
    pub(super) fn run_moved_ringing(&mut self, now: Instant, id: CallId) {
        let asks_at = self.calls.get(id).and_then(|call| call.asks_at);
        if asks_at.is_some_and(|at| at <= now) {
            self.tell_where_it_rings(now, id);
        }
    }

    /// The caller of a call that rings here knows of no such call any more: it gave up, and we did not hear it.
    pub(super) fn lose_caller(&mut self, now: Instant, id: CallId) {
        self.reply_to_invite(now, id, Reply::new(487));
        self.finish(now, id, EndReason::Cancelled);
    }

    /// Sends UPDATE without a description, where the other side takes it and knows our tag.
    fn tell_where_it_rings(&mut self, now: Instant, id: CallId) {
        let rings = |call: &&mut Call| {
            matches!(call.state, State::Incoming { .. }) && call.rang && call.takes_update
        };
        let Some(call) = self.calls.get_mut(id).filter(rings) else {
            return;
        };
        call.asks_at = Some(now + ASK_EVERY);
        let is_free = call.change.is_none() && call.offered.is_none();
        let Some(dialog) = call.dialog.as_mut().filter(|_| is_free) else {
            return;
        };
        let (update, peer) = (dialog.request(Method::Update), dialog.peer());
        let client = self.send(now, update, peer, Pending::new(Purpose::Change(id)));
        if let Some(call) = self.calls.get_mut(id) {
            let is_refresh = true;
            call.change = Some(Change::UnderWay { client, is_refresh });
        }
    }

    pub(super) fn make_anew(&mut self, now: Instant, id: CallId, offer: Bytes) -> bool {
        let waits = self.calls.get(id).and_then(|call| match call.state {
            State::Calling {
                client,
                heard,
                cancelled: false,
            } => Some((client, heard)),
            _ => None,
        });
        let Some((client, heard)) = waits else {
            return false;
        };
        let Some((_, destination)) = self.layer.sent(client) else {
            return false;
        };
        let Some(mut old) = self.calls.remove(id) else {
            return false;
        };
        let key = DialogKey {
            call_id: self.random.token(),
            local_tag: self.random.token(),
        };
        let request = from_here(&old.invite, &key, &offer);
        let pending = Pending::new(Purpose::Invite(id));
        let sent = self.send(now, request.clone(), destination, pending);
        let state = State::Calling {
            client: sent,
            heard: false,
            cancelled: false,
        };
        let mut call = Call::new(state, request, key);
        call.credentials = old.credentials.clone();
        call.redirects = std::mem::take(&mut old.redirects);
        call.referrals = old.referrals;
        call.described = offer;
        self.calls.insert(id, call);
        // What is left of the old one goes on under a name that nobody was told, as a call that we gave up.
        let left = CallId(self.fresh_id());
        old.state = State::Calling {
            client,
            heard,
            cancelled: true,
        };
        self.calls.insert(left, old);
        if let Some(pending) = self.pending.get_mut(&client) {
            pending.purpose = Purpose::Invite(left);
        }
        if heard {
            self.send_cancel(now, client);
        }
        true
    }
}

/// The same INVITE as the first one of another call.
fn from_here(invite: &Request, key: &DialogKey, offer: &[u8]) -> Request {
    let mut request = invite.clone();
    let kept = std::mem::take(&mut request.headers).into_iter();
    let is_kept = |name: &str| {
        let mut place = OF_THE_PLACE.iter();
        !place.any(|own| own.eq_ignore_ascii_case(name))
    };
    for field in kept.filter(|field| is_kept(name_and_value(field).0)) {
        request.headers.push(field);
    }
    if let Ok(from) = request.headers.from_view() {
        let from = from.with_tag(&key.local_tag);
        request.headers.set("From", from.to_string());
    }
    request.headers.add("Call-ID", key.call_id.clone());
    request.headers.add("CSeq", "1 INVITE");
    request.body.clear();
    attach_sdp(&mut request, offer);
    request
}
