//! The user agent's side of its registration.

use std::net::SocketAddr;
use std::time::Instant;

use super::{Event, Pending, Purpose, UserAgent};
use crate::message::{HeadersView, Request, Response};
use crate::registration::{Account, Failure, Fate, Registration, RegistrationEvent};
use crate::transaction::ClientId;

/// How many T1 a REGISTER waits: 10 s, five attempts. A person learns of a silent registrar by then, and the next
/// attempt follows so soon that nothing is lost against Timer F's 32 s.
const PATIENCE_T1: u32 = 20;

impl UserAgent {
    pub(super) fn begin_registration(&mut self, now: Instant, account: Account) {
        self.registration = Some(Registration::new(account, &mut self.random));
        self.tell(RegistrationEvent::Registering);
        self.send_register(now);
    }

    pub(super) fn end_registration(&mut self, now: Instant) {
        match self.registration.as_mut().is_some_and(Registration::leave) {
            true => self.send_register(now),
            false => self.tell(RegistrationEvent::Unregistered),
        }
    }

    pub(super) fn end_every_registration(&mut self, now: Instant) {
        if let Some(registration) = &mut self.registration {
            registration.leave_for_all();
            self.send_register(now);
        } else {
            self.tell(RegistrationEvent::Unregistered);
        }
    }

    pub(super) fn relocate_registration(
        &mut self,
        now: Instant,
        registrar: SocketAddr,
        outdated: Option<String>,
    ) {
        let Some(registration) = &mut self.registration else {
            return;
        };
        registration.relocate(registrar, &self.config.contact_user, outdated);
        if registration.is_wanted() {
            self.send_next_register(now);
        }
    }

    pub(super) fn refresh_registration(&mut self, now: Instant) {
        if self.registration.as_ref().is_some_and(|r| r.is_due(now)) {
            self.send_next_register(now);
        }
    }

    pub(super) fn hasten_registration(&mut self, now: Instant) -> bool {
        let Some(registration) = self.registration.as_ref().filter(|r| r.is_wanted()) else {
            return false;
        };
        // A REGISTER that is in flight is the one that is wanted.
        if registration.due().is_some() {
            self.send_next_register(now);
        }
        true
    }

    fn send_next_register(&mut self, now: Instant) {
        if self.registration.as_ref().is_some_and(|r| !r.is_refresh()) {
            self.tell(RegistrationEvent::Registering);
        }
        self.send_register(now);
    }

    pub(super) fn handle_register_response(
        &mut self,
        now: Instant,
        client: ClientId,
        pending: Pending,
        response: &Response,
        source: SocketAddr,
    ) {
        let Some(mut registration) = self
            .registration
            .take_if(|registration| registration.is_in_flight(client))
        else {
            return;
        };
        let fate = match response.status_code.code() {
            401 | 407 => {
                self.answer_register_challenge(now, client, pending, response, &mut registration)
            }
            _ => {
                if let Some(digest) = &mut registration.digest {
                    digest.accepted(&response.headers);
                }
                let contact = self.contact_uri();
                let user = self.config.contact_user.clone();
                Some(registration.handle_response(
                    now,
                    response,
                    source,
                    &user,
                    &contact,
                    &mut self.random,
                ))
            }
        };
        self.registration = Some(registration);
        match fate {
            Some(Fate::Tell(event)) => self.tell(event),
            Some(Fate::Again) => self.send_register(now),
            None => {}
        }
    }

    /// The REGISTER in flight came to nothing: nobody answered it, or it could not be sent.
    pub(super) fn lose_register(&mut self, now: Instant, client: ClientId, failure: Failure) {
        if let Some(registration) = self
            .registration
            .as_mut()
            .filter(|registration| registration.is_in_flight(client))
        {
            let event = registration.fail(now, failure, &mut self.random);
            self.tell(event);
        }
    }

    /// Sends the answer, or says why there is none.
    fn answer_register_challenge(
        &mut self,
        now: Instant,
        client: ClientId,
        pending: Pending,
        response: &Response,
        registration: &mut Registration,
    ) -> Option<Fate> {
        let credentials = registration.account.credentials.clone();
        let digest = &mut registration.digest;
        match self.authorised(
            client,
            response,
            Some(&credentials),
            digest,
            pending.challenges,
        ) {
            Ok((request, destination)) => {
                let number = number_of(&request);
                let client = self.send_impatiently(now, request, destination, pending.challenged());
                registration.sent(client, number);
                None
            }
            Err(failure) => Some(Fate::Tell(registration.fail(
                now,
                failure,
                &mut self.random,
            ))),
        }
    }

    fn send_register(&mut self, now: Instant) {
        let Some(mut registration) = self.registration.take() else {
            return;
        };
        let (mut request, expires) = registration.request();
        let instance = self.config.instance.as_deref();
        for contact in registration.contacts(&self.contact_uri(), instance, expires) {
            request.headers.add("Contact", contact);
        }
        let supported = match instance {
            Some(_) => "path, outbound",
            None => "path",
        };
        request.headers.add("Supported", supported);
        // The known nonce saves a round trip; when it has aged, the answer is one more challenge.
        if let Some(digest) = &mut registration.digest {
            digest.authorise(&mut request, &registration.account.credentials);
        }
        let number = number_of(&request);
        let destination = registration.account.destination;
        let client =
            self.send_impatiently(now, request, destination, Pending::new(Purpose::Register));
        registration.sent(client, number);
        self.registration = Some(registration);
    }

    fn send_impatiently(
        &mut self,
        now: Instant,
        request: Request,
        destination: SocketAddr,
        pending: Pending,
    ) -> ClientId {
        let client = self.send(now, request, destination, pending);
        self.layer
            .end_by(now + self.config.timers.t1 * PATIENCE_T1, client);
        client
    }

    fn tell(&mut self, event: RegistrationEvent) {
        self.events.push_back(Event::Registration(event));
    }
}

fn number_of(request: &Request) -> u32 {
    request.headers.cseq_view().map_or(0, |cseq| cseq.number)
}
