//! The state of our registration: what was asked, what the registrar holds, what is due next.

use std::net::SocketAddr;
use std::time::{Duration, Instant};

use super::{Account, Failure, RegistrationEvent};
use crate::digest::ClientDigest;
use crate::message::{
    Headers, HeadersView, Method, NameAddr, Request, Response, Version, uri_text, write,
};
use crate::random::Random;
use crate::transaction::ClientId;

/// First wait after a failure; doubled with each further one.
const FIRST_RETRY: Duration = Duration::from_secs(1);
/// Longest wait after a failure that may pass by itself.
const LONGEST_RETRY: Duration = Duration::from_secs(32);
/// Longest wait where the network itself said that nobody listens: as often as a REGISTER that nobody answers would be
/// sent again (Timer E's T2), so that a registrar that restarts finds its phones as soon as if they had kept asking.
const UNREACHABLE_RETRY: Duration = Duration::from_secs(4);
/// Wait after a refusal that a person must mend, so that no intrusion guard locks us out.
const REFUSED_RETRY: Duration = Duration::from_secs(60);
/// Longest Retry-After that is believed.
const LONGEST_RETRY_AFTER: Duration = Duration::from_secs(600);
/// Longest registration that a registrar can make us ask for by 423, or that is believed of a 200.
const LONGEST_EXPIRES: Duration = Duration::from_secs(86_400);

/// One account's registration.
#[derive(Debug)]
pub(crate) struct Registration {
    pub(crate) account: Account,
    pub(crate) digest: Option<ClientDigest>,
    state: State,
    call_id: String,
    tag: String,
    number: u32,
    expires: Duration,
    failures: u32,
    leaving: bool,
    /// A 200 said that the registrar holds our contact, and none said since that it is gone.
    held: bool,
    /// The registrar may hold our contact: it is held, or a REGISTER of ours may have arrived.
    may_be_held: bool,
    /// Older Contact URIs of ours that the registrar may hold.
    outdated: Vec<String>,
    /// Everybody's contact is to go.
    leaving_for_all: bool,
    service_route: Vec<String>,
    bindings: Vec<NameAddr>,
    /// The registrar takes part in RFC 5626, and so answers our signs of life.
    outbound: bool,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum State {
    /// A REGISTER is in flight.
    Sent(ClientId),
    /// The registrar holds our contact until we refresh it.
    Held { refresh_at: Instant },
    /// Try again at this time.
    Waiting { retry_at: Instant },
    /// Nothing is wanted.
    Idle,
}

/// What follows from a final answer.
#[derive(Debug)]
pub(crate) enum Fate {
    /// Tell this and wait.
    Tell(RegistrationEvent),
    /// Send REGISTER again at once: a longer lifetime is wanted (423), or our contact went with an older one.
    Again,
}

impl Registration {
    pub(crate) fn new(account: Account, random: &mut Random) -> Self {
        Self {
            expires: account.expires,
            account,
            digest: None,
            state: State::Idle,
            call_id: random.token(),
            tag: random.token(),
            number: 0,
            failures: 0,
            leaving: false,
            held: false,
            may_be_held: false,
            outdated: Vec::new(),
            leaving_for_all: false,
            service_route: Vec::new(),
            bindings: Vec::new(),
            outbound: false,
        }
    }

    /// The route that the registrar wants our requests to take (RFC 3608).
    pub(crate) fn service_route(&self) -> &[String] {
        &self.service_route
    }

    /// Whether the registrar takes part in RFC 5626 (its section 6: it says so in its 200).
    pub(crate) fn is_outbound(&self) -> bool {
        self.outbound
    }

    /// The contacts that the registrar named last.
    pub(crate) fn bindings(&self) -> &[NameAddr] {
        &self.bindings
    }

    /// The registrar is at another address from now on, or we are: `outdated` is the Contact that stood for us. Where the
    /// registrar wrote another one, because of a NAT between us, it is that which it has to forget.
    pub(crate) fn relocate(&mut self, registrar: SocketAddr, user: &str, outdated: Option<String>) {
        self.account.destination = registrar;
        if let Some(sent) = outdated.filter(|_| self.may_be_held && self.outdated.is_empty()) {
            let held = self.bindings.iter().filter(|held| held.user() == user);
            self.outdated = held.map(|held| uri_text(&held.uri)).collect();
            if self.outdated.is_empty() {
                self.outdated.push(sent);
            }
        }
    }

    /// The Contacts of the next REGISTER: ours, older ones of ours to be forgotten, or `*`. Ours comes first: Asterisk's
    /// `rewrite_contact` writes the address that a REGISTER came from into its first Contact, and an older one that was so
    /// rewritten would not be found.
    pub(crate) fn contacts(
        &self,
        own: &str,
        instance: Option<&str>,
        expires: Duration,
    ) -> Vec<String> {
        if self.leaving_for_all {
            return vec!["*".to_owned()];
        }
        let instance = instance.map_or_else(String::new, |urn| {
            format!(";+sip.instance=\"<{urn}>\";reg-id=1")
        });
        let own = format!("<{own}>{instance};expires={}", expires.as_secs());
        let outdated = self.outdated.iter();
        let outdated = outdated.map(|uri| format!("<{uri}>;expires=0"));
        [own].into_iter().chain(outdated).collect()
    }

    /// Whether OPTIONS should be answered with 200: held, or about to be (the registrar may ask before it answers).
    pub(crate) fn is_present(&self) -> bool {
        !self.leaving && matches!(self.state, State::Sent(_) | State::Held { .. })
    }

    pub(crate) fn is_in_flight(&self, client: ClientId) -> bool {
        self.state == State::Sent(client)
    }

    /// When [`Self::is_due`] becomes true.
    pub(crate) fn due(&self) -> Option<Instant> {
        match self.state {
            State::Held { refresh_at } => Some(refresh_at),
            State::Waiting { retry_at } => Some(retry_at),
            State::Sent(_) | State::Idle => None,
        }
    }

    pub(crate) fn is_due(&self, now: Instant) -> bool {
        self.due().is_some_and(|due| due <= now)
    }

    /// Whether it is to be registered, now or as soon as that works.
    pub(crate) fn is_wanted(&self) -> bool {
        !self.leaving && self.state != State::Idle
    }

    /// Whether the next REGISTER is news, or a silent refresh.
    pub(crate) fn is_refresh(&self) -> bool {
        matches!(self.state, State::Held { .. })
    }

    /// Begins to leave; false when the registrar cannot hold anything of ours.
    pub(crate) fn leave(&mut self) -> bool {
        self.leaving = true;
        if !self.may_be_held {
            self.state = State::Idle;
        }
        self.may_be_held
    }

    /// Begins to leave with every contact of the address of record.
    pub(crate) fn leave_for_all(&mut self) {
        self.leaving = true;
        self.leaving_for_all = true;
    }

    /// The next REGISTER, without Via, Contact and Authorization.
    pub(crate) fn request(&mut self) -> (Request, Duration) {
        self.number += 1;
        let expires = if self.leaving {
            Duration::ZERO
        } else {
            self.expires
        };
        let mut headers = Headers::default();
        headers.add(
            "From",
            self.account.aor.clone().with_tag(&self.tag).to_string(),
        );
        headers.add(
            "To",
            NameAddr::new(self.account.aor.uri.clone()).to_string(),
        );
        headers.add("Call-ID", self.call_id.clone());
        headers.add("CSeq", format!("{} REGISTER", self.number));
        headers.add("Expires", expires.as_secs().to_string());
        let uri = self.account.registrar.clone();
        (
            Request {
                method: Method::Register,
                uri,
                version: Version::V2,
                headers,
                body: Vec::new(),
            },
            expires,
        )
    }

    /// The REGISTER left in this transaction; `number` is its CSeq.
    pub(crate) fn sent(&mut self, client: ClientId, number: u32) {
        self.number = self.number.max(number);
        self.state = State::Sent(client);
        self.may_be_held |= !self.leaving;
    }

    /// Takes the final answer (not a challenge) to the REGISTER in flight.
    pub(crate) fn handle_response(
        &mut self,
        now: Instant,
        response: &Response,
        source: SocketAddr,
        contact_user: &str,
        contact_uri: &str,
        random: &mut Random,
    ) -> Fate {
        let code = response.status_code.code();
        if code == 423 && !self.leaving && self.lengthen(&response.headers) {
            return Fate::Again;
        }
        if !(200..300).contains(&code) {
            let reason = write::reason(&response.status_code).to_owned();
            let retry_after = response
                .headers
                .seconds("Retry-After")
                .map(|wait| wait.min(LONGEST_RETRY_AFTER));
            return Fate::Tell(self.fail_after(
                now,
                Failure::Refused { code, reason },
                retry_after,
                random,
            ));
        }
        let outdated = std::mem::take(&mut self.outdated);
        self.bindings = response.headers.contacts();
        if self.leaving {
            self.held = false;
            self.may_be_held = false;
            self.service_route.clear();
            self.state = State::Idle;
            return Fate::Tell(RegistrationEvent::Unregistered);
        }
        let own = self.bindings.iter();
        let own = own.clone().find(|contact| contact.user() == contact_user);
        let Some(own) = own.cloned() else {
            self.held = false;
            // A registrar that rewrites every Contact took ours for the older one.
            return match outdated.is_empty() {
                true => Fate::Tell(self.fail_after(now, Failure::ContactMissing, None, random)),
                false => Fate::Again,
            };
        };
        let expires = granted(&own, &response.headers).unwrap_or(self.expires);
        let routes = response.headers.texts("Service-Route");
        self.service_route = routes.map(str::to_owned).collect();
        self.outbound = response.headers.lists("Require", "outbound")
            || response.headers.text("Flow-Timer").is_some();
        self.failures = 0;
        self.held = true;
        self.state = State::Held {
            refresh_at: now + refresh_after(expires, random),
        };
        Fate::Tell(RegistrationEvent::Registered {
            contact: contact_uri.to_owned(),
            expires,
            registrar: source,
        })
    }

    /// Takes note of a failure and plans the next attempt.
    pub(crate) fn fail(
        &mut self,
        now: Instant,
        failure: Failure,
        random: &mut Random,
    ) -> RegistrationEvent {
        self.fail_after(now, failure, None, random)
    }

    fn fail_after(
        &mut self,
        now: Instant,
        failure: Failure,
        retry_after: Option<Duration>,
        random: &mut Random,
    ) -> RegistrationEvent {
        if !matches!(failure, Failure::TimedOut | Failure::Unreachable) {
            // A refused refresh leaves what was held before.
            self.may_be_held = self.held;
        }
        if self.leaving {
            self.state = State::Idle;
            return RegistrationEvent::Failed {
                failure,
                retry_in: None,
            };
        }
        // A stale session with the registrar is no help: begin with a fresh challenge.
        self.digest = None;
        let wait = retry_after.unwrap_or_else(|| random.jittered(self.longest_wait(&failure)));
        self.failures = self.failures.saturating_add(1);
        self.state = State::Waiting {
            retry_at: now + wait,
        };
        RegistrationEvent::Failed {
            failure,
            retry_in: Some(wait),
        }
    }

    fn longest_wait(&self, failure: &Failure) -> Duration {
        match failure {
            Failure::WrongCredentials | Failure::UnusableChallenge(_) => REFUSED_RETRY,
            Failure::Refused {
                code: 403 | 404, ..
            } => REFUSED_RETRY,
            Failure::Unreachable => self.backed_off(UNREACHABLE_RETRY),
            _ => self.backed_off(LONGEST_RETRY),
        }
    }

    fn backed_off(&self, longest: Duration) -> Duration {
        (FIRST_RETRY * 2u32.saturating_pow(self.failures.min(10))).min(longest)
    }

    /// 423 Interval Too Brief: asks for what the registrar wants at least (RFC 3261 section 10.2.8).
    fn lengthen(&mut self, headers: &Headers) -> bool {
        let least = headers.seconds("Min-Expires").unwrap_or_default();
        let longer = least > self.expires && least <= LONGEST_EXPIRES;
        if longer {
            self.expires = least;
        }
        longer
    }
}

/// What the registrar granted: the contact's own parameter before the header (RFC 3261 section 10.2.4).
fn granted(contact: &NameAddr, headers: &Headers) -> Option<Duration> {
    let own = contact
        .params
        .get("expires")
        .and_then(|seconds| seconds.parse::<u32>().ok());
    own.map(|seconds| Duration::from_secs(seconds.into()))
        .or_else(|| headers.seconds("Expires"))
        .filter(|expires| !expires.is_zero())
        // Centuries would overflow the clock; a day is refreshed soon enough.
        .map(|expires| expires.min(LONGEST_EXPIRES))
}

/// Early enough to survive a lost REGISTER (32 s), at three quarters of a short lifetime.
fn refresh_after(expires: Duration, random: &mut Random) -> Duration {
    let margin = (expires / 4).min(Duration::from_secs(60));
    // Spread, so that phones that registered together do not refresh together.
    expires - margin.min(expires) - random.jittered(margin / 4)
}
