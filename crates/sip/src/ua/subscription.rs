//! Subscriptions of ours (RFC 6665): kept alive until they are ended, whatever the notifier does meanwhile.

use std::collections::BTreeMap;
use std::net::SocketAddr;
use std::time::{Duration, Instant};

use super::in_dialog::is_about;
use super::{
    Event, Pending, Purpose, RefusalKind, Reply, SubscribeRequest, SubscriptionId, UserAgent,
};
use crate::dialog::{Dialog, DialogKey};
use crate::message::{Headers, HeadersView, Method, NameAddr, Request, Response, Version};
use crate::transaction::{ClientId, ServerId};

/// A notifier is taken to grant no less and no more than this; a subscription is renewed within its last fifth.
const SHORTEST: Duration = Duration::from_secs(30);
const LONGEST: Duration = Duration::from_secs(86_400);
/// First wait before a subscription that failed is asked for again; doubled up to the longest.
const RETRY: (Duration, Duration) = (Duration::from_secs(2), Duration::from_secs(300));
/// Subscriptions at once; further ones are refused by telling their end.
const MAX_SUBSCRIPTIONS: usize = 256;

/// All subscriptions of a user agent: few, a lamp and a page of speed dials.
pub(super) type Subscriptions = BTreeMap<SubscriptionId, Subscription>;

#[derive(Debug)]
pub(super) struct Subscription {
    asked: SubscribeRequest,
    key: DialogKey,
    dialog: Option<Dialog>,
    number: u32,
    expires: Duration,
    failures: u32,
    /// What comes next, and when.
    next: Option<(Instant, Next)>,
    /// We have ended it, and wait for the notifier's last word.
    leaving: bool,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Next {
    /// SUBSCRIBE again in the dialog.
    Refresh,
    /// Begin anew, in a dialog of its own.
    Anew,
    /// The notifier's last word did not come.
    Forget,
}

impl Subscription {
    pub(super) fn due(&self) -> Option<Instant> {
        self.next.map(|(at, _)| at)
    }

    fn again_after_failure(&mut self, now: Instant, wait: Option<Duration>) {
        let backoff = RETRY.0 * 2u32.saturating_pow(self.failures.min(10));
        let wait = wait.unwrap_or(backoff).min(RETRY.1);
        self.failures += 1;
        self.next = Some((now + wait, Next::Anew));
    }
}

impl UserAgent {
    pub(super) fn begin_subscription(
        &mut self,
        now: Instant,
        asked: SubscribeRequest,
    ) -> SubscriptionId {
        let id = SubscriptionId(self.fresh_id());
        if self.subscriptions.len() >= MAX_SUBSCRIPTIONS {
            self.tell_unsubscribed(id, 503);
            return id;
        }
        let subscription = Subscription {
            key: self.fresh_key(),
            expires: asked.expires,
            asked,
            dialog: None,
            number: 0,
            failures: 0,
            next: None,
            leaving: false,
        };
        self.subscriptions.insert(id, subscription);
        self.send_subscribe(now, id);
        id
    }

    pub(super) fn end_subscription(&mut self, now: Instant, id: SubscriptionId) {
        let patience = self.config.timers.patience();
        let Some(subscription) = self.subscriptions.get_mut(&id) else {
            return;
        };
        subscription.leaving = true;
        subscription.next = Some((now + patience, Next::Forget));
        if subscription.dialog.is_some() {
            self.send_subscribe(now, id);
        } else {
            self.subscriptions.remove(&id);
            self.tell_unsubscribed(id, 0);
        }
    }

    pub(super) fn hasten_subscription(&mut self, now: Instant, id: SubscriptionId) {
        // One that is about to begin anew brings the whole state with it.
        let standing = self.subscriptions.get(&id);
        if standing.is_some_and(|own| matches!(own.next, Some((_, Next::Refresh))) && !own.leaving)
        {
            self.send_subscribe(now, id);
        }
    }

    /// Our address or the registrar's is another one: a notifier that was asked over the old way cannot reach us.
    pub(super) fn relocate_subscriptions(
        &mut self,
        now: Instant,
        before: Option<SocketAddr>,
        registrar: SocketAddr,
    ) {
        for own in self.subscriptions.values_mut().filter(|own| !own.leaving) {
            if Some(own.asked.destination) == before {
                own.asked.destination = registrar;
            }
            own.next = Some((now, Next::Anew));
        }
    }

    /// When a subscription wants to be woken next.
    pub(super) fn subscriptions_due(&self) -> Option<Instant> {
        self.subscriptions
            .values()
            .filter_map(Subscription::due)
            .min()
    }

    pub(super) fn run_subscriptions(&mut self, now: Instant) {
        let is_due = |own: &Subscription| own.due().is_some_and(|at| at <= now);
        let due: Vec<SubscriptionId> = self
            .subscriptions
            .iter()
            .filter(|(_, own)| is_due(own))
            .map(|(id, _)| *id)
            .collect();
        for id in due {
            let next = self
                .subscriptions
                .get_mut(&id)
                .and_then(|own| own.next.take());
            match next {
                Some((_, Next::Refresh)) => self.send_subscribe(now, id),
                Some((_, Next::Anew)) => self.subscribe_anew(now, id),
                Some((_, Next::Forget)) => {
                    self.subscriptions.remove(&id);
                    self.tell_unsubscribed(id, 0);
                }
                None => {}
            }
        }
    }

    pub(super) fn handle_subscribe_response(
        &mut self,
        now: Instant,
        id: SubscriptionId,
        client: ClientId,
        pending: Pending,
        response: &Response,
        source: SocketAddr,
    ) {
        if matches!(response.status_code.code(), 401 | 407)
            && self.authorise_subscribe(now, id, client, pending, response)
        {
            return;
        }
        let sent = self.layer.sent(client).map(|(request, _)| request.clone());
        let (Some(subscription), Some(sent)) = (self.subscriptions.get_mut(&id), sent) else {
            return;
        };
        match response.status_code.code() {
            200..300 if subscription.leaving => {}
            200..300 => {
                if subscription.dialog.is_none() {
                    subscription.dialog = Dialog::of_caller(&sent, response, source).ok();
                }
                subscription.failures = 0;
                let granted = response
                    .headers
                    .seconds("Expires")
                    .unwrap_or(subscription.expires)
                    .clamp(SHORTEST, LONGEST);
                let early = self.random.jittered(granted / 5);
                subscription.next = Some((now + granted - early, Next::Refresh));
            }
            _ if subscription.leaving => {
                self.subscriptions.remove(&id);
                self.tell_unsubscribed(id, 0);
            }
            423 => {
                let least = response.headers.seconds("Min-Expires").unwrap_or_default();
                subscription.expires = subscription
                    .expires
                    .max(least.min(Duration::from_secs(86_400)));
                let wait = subscription.failures > 0;
                match wait {
                    true => subscription.again_after_failure(now, None),
                    false => {
                        subscription.failures += 1;
                        subscription.next = Some((now, Next::Anew));
                    }
                }
            }
            // The notifier has forgotten us (RFC 6665 section 4.1.2.2), or cannot just now.
            408 | 481 | 480 | 500..600 => {
                let wait = response.headers.seconds("Retry-After");
                subscription.again_after_failure(now, wait);
            }
            code => {
                self.subscriptions.remove(&id);
                self.tell_unsubscribed(id, code);
            }
        }
    }

    pub(super) fn handle_subscribe_timeout(&mut self, now: Instant, id: SubscriptionId) {
        match self.subscriptions.get_mut(&id) {
            Some(subscription) if subscription.leaving => {
                self.subscriptions.remove(&id);
                self.tell_unsubscribed(id, 0);
            }
            Some(subscription) => subscription.again_after_failure(now, None),
            None => {}
        }
    }

    /// The subscription that a NOTIFY names.
    pub(super) fn subscription_of(&self, request: &Request) -> Option<SubscriptionId> {
        let key = DialogKey::of_request(request)?;
        let mut all = self.subscriptions.iter();
        all.find(|(_, own)| own.key == key).map(|(id, _)| *id)
    }

    /// News in a subscription; the first may come before the answer to our SUBSCRIBE (RFC 6665 section 4.1.4).
    pub(super) fn handle_notify(
        &mut self,
        now: Instant,
        server: ServerId,
        id: SubscriptionId,
        request: Request,
        source: SocketAddr,
    ) {
        let code = self.take_notify(now, id, &request, source);
        if code >= 300 {
            self.refusals.count(RefusalKind::UnknownDialog);
        }
        self.respond_in(now, server, &request, Reply::new(code), None);
        if code < 300 {
            self.tell_notified(Some(id), &request);
            self.follow_state(now, id, &request);
        }
    }

    /// News that nobody subscribed to: some PBXs tell of voicemail that way (RFC 3842 section 4.1). Only whom we trust.
    pub(super) fn handle_unsolicited(&mut self, now: Instant, server: ServerId, request: &Request) {
        let tag = self.random.token();
        self.respond_in(now, server, request, Reply::new(200), Some(&tag));
        self.tell_notified(None, request);
    }

    fn take_notify(
        &mut self,
        now: Instant,
        id: SubscriptionId,
        request: &Request,
        source: SocketAddr,
    ) -> u16 {
        let number = request.headers.cseq_view().map_or(0, |cseq| cseq.number);
        let Some(own) = self.subscriptions.get_mut(&id) else {
            return 481;
        };
        if !is_about(request, &own.asked.package) {
            return 489;
        }
        if own.dialog.is_none() {
            own.dialog = Dialog::of_callee(request, &own.key.local_tag, source).ok();
            if let Some(dialog) = &mut own.dialog {
                dialog.number_at_least(own.number);
                dialog.forget_remote_number();
            }
            let granted = expires_of(request)
                .unwrap_or(own.expires)
                .clamp(SHORTEST, LONGEST);
            own.next.get_or_insert((now + granted, Next::Refresh));
        }
        match &mut own.dialog {
            // Another branch of a fork: one is enough.
            Some(dialog) if !dialog.is_from_peer(request, source) => 481,
            Some(dialog) => match dialog.accept_number(number) {
                true => 200,
                false => 500,
            },
            None => 400,
        }
    }

    /// Subscription-State (RFC 6665 section 4.1.3).
    fn follow_state(&mut self, now: Instant, id: SubscriptionId, request: &Request) {
        let state = request
            .headers
            .text("Subscription-State")
            .unwrap_or_default();
        let mut params = state.split(';').map(str::trim);
        let name = params.next().unwrap_or_default().to_ascii_lowercase();
        let reason = params.find_map(|param| param.strip_prefix("reason="));
        let retry_after = state.split(';').find_map(|param| {
            let seconds = param.trim().strip_prefix("retry-after=")?;
            seconds.parse().ok().map(Duration::from_secs)
        });
        let Some(own) = self.subscriptions.get_mut(&id) else {
            return;
        };
        match (name.as_str(), reason) {
            ("terminated", _) if own.leaving => {
                self.subscriptions.remove(&id);
                self.tell_unsubscribed(id, 0);
            }
            ("terminated", Some("rejected")) => {
                self.subscriptions.remove(&id);
                self.tell_unsubscribed(id, 403);
            }
            ("terminated", Some("noresource")) => {
                self.subscriptions.remove(&id);
                self.tell_unsubscribed(id, 404);
            }
            ("terminated", _) => own.again_after_failure(now, retry_after),
            _ => {
                if let Some(left) = expires_of(request)
                    && let Some((at, Next::Refresh)) = own.next
                {
                    own.next = Some((
                        at.min(now + left.clamp(SHORTEST, LONGEST) * 4 / 5),
                        Next::Refresh,
                    ));
                }
            }
        }
    }

    fn subscribe_anew(&mut self, now: Instant, id: SubscriptionId) {
        let key = self.fresh_key();
        if let Some(own) = self.subscriptions.get_mut(&id) {
            own.key = key;
            own.dialog = None;
            own.number = 0;
        }
        self.send_subscribe(now, id);
    }

    fn send_subscribe(&mut self, now: Instant, id: SubscriptionId) {
        let Some(own) = self.subscriptions.get_mut(&id) else {
            return;
        };
        let (mut request, peer) = match &mut own.dialog {
            Some(dialog) => (dialog.request(Method::Subscribe), dialog.peer()),
            None => (first_subscribe(own), own.asked.destination),
        };
        let expires = if own.leaving {
            Duration::ZERO
        } else {
            own.expires
        };
        request.headers.add("Event", own.asked.package.clone());
        request.headers.add("Accept", own.asked.accept.clone());
        request
            .headers
            .add("Expires", expires.as_secs().to_string());
        self.send(now, request, peer, Pending::new(Purpose::Subscribe(id)));
    }

    fn authorise_subscribe(
        &mut self,
        now: Instant,
        id: SubscriptionId,
        client: ClientId,
        pending: Pending,
        response: &Response,
    ) -> bool {
        let own = self.subscriptions.get(&id);
        let Some(credentials) = own.map(|own| own.asked.credentials.clone()) else {
            return false;
        };
        let mut digest = None;
        let authorised = self.authorised(
            client,
            response,
            credentials.as_ref(),
            &mut digest,
            pending.challenges,
        );
        let Ok((request, peer)) = authorised else {
            return false;
        };
        let number = request.headers.cseq_view().map_or(0, |cseq| cseq.number);
        if let Some(own) = self.subscriptions.get_mut(&id) {
            own.number = number;
            if let Some(dialog) = &mut own.dialog {
                dialog.number_at_least(number);
            }
        }
        self.send(now, request, peer, pending.challenged());
        true
    }

    fn tell_notified(&mut self, subscription: Option<SubscriptionId>, request: &Request) {
        let text = |name| request.headers.text(name).unwrap_or_default().to_owned();
        let event = text("Event");
        self.events.push_back(Event::Notified {
            subscription,
            package: event
                .split(';')
                .next()
                .unwrap_or_default()
                .trim()
                .to_owned(),
            content_type: text("Content-Type"),
            body: request.body.clone().into(),
        });
    }

    fn tell_unsubscribed(&mut self, subscription: SubscriptionId, code: u16) {
        let code = Some(code).filter(|code| *code != 0);
        self.events
            .push_back(Event::Unsubscribed { subscription, code });
    }

    fn fresh_key(&mut self) -> DialogKey {
        DialogKey {
            call_id: self.random.token(),
            local_tag: self.random.token(),
        }
    }
}

/// SUBSCRIBE outside a dialog; it makes one.
fn first_subscribe(own: &mut Subscription) -> Request {
    own.number += 1;
    let mut headers = Headers::default();
    let from = own.asked.from.clone().with_tag(&own.key.local_tag);
    headers.add("From", from.to_string());
    headers.add("To", NameAddr::new(own.asked.target.clone()).to_string());
    headers.add("Call-ID", own.key.call_id.clone());
    headers.add("CSeq", format!("{} SUBSCRIBE", own.number));
    Request {
        method: Method::Subscribe,
        uri: own.asked.target.clone(),
        version: Version::V2,
        headers,
        body: Vec::new(),
    }
}

/// The time that is left, as Subscription-State says it.
fn expires_of(request: &Request) -> Option<Duration> {
    let state = request.headers.text("Subscription-State")?;
    let seconds = state
        .split(';')
        .find_map(|param| param.trim().strip_prefix("expires="))?;
    seconds
        .parse::<u32>()
        .ok()
        .map(|seconds| Duration::from_secs(seconds.into()))
}
