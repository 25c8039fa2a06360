//! REGISTER, OPTIONS both ways, and what managers hear of contacts.

use std::net::SocketAddr;
use std::time::{Duration, Instant};

use rollcall_ami::{ContactId, ContactStatus};
use rollcall_sip::message::{Method, Request, Uri, parse_uri};
use rollcall_sip::{NameAddr, OutgoingId, OutgoingOutcome, OutgoingRequest, Reply, RequestId};

use super::Pbx;
use super::device::is_available;
use super::manager::Class;
use super::registrar::{Change, RefusedWith, StoredContact};

/// An OPTIONS under way.
#[derive(Debug)]
pub(super) struct Probe {
    contact: ContactId,
    sent_at: Instant,
    deadline: Instant,
}

impl Pbx {
    pub(super) fn handle_request(
        &mut self,
        now: Instant,
        id: RequestId,
        request: &Request,
        source: SocketAddr,
    ) {
        let reply = match request.method {
            Method::Register => match self.authenticate(now, request) {
                Ok(endpoint) => self.register(now, &endpoint, request, source),
                Err(challenge) => challenge,
            },
            Method::Options => Reply::new(200).with("Accept", "application/sdp"),
            // No messages, and no events to subscribe to.
            Method::Subscribe => Reply::new(489),
            _ => Reply::new(405).with("Allow", "INVITE, ACK, CANCEL, BYE, OPTIONS, REGISTER"),
        };
        self.ua.respond(now, id, reply);
    }

    fn register(
        &mut self,
        now: Instant,
        endpoint: &str,
        request: &Request,
        source: SocketAddr,
    ) -> Reply {
        let changes = match self.registrar.register(now, endpoint, request, source) {
            Ok(changes) => changes,
            Err(RefusedWith(code)) => return Reply::new(code),
        };
        for change in changes {
            match change {
                Change::Removed(contact) => self.tell_removed(now, endpoint, &contact),
                Change::Added(contact) => self.tell_added(now, endpoint, &contact),
            }
        }
        let contacts = self.registrar.contact_headers(now, endpoint);
        contacts
            .into_iter()
            .fold(Reply::new(200), |reply, contact| {
                reply.with("Contact", contact)
            })
    }

    pub(super) fn sweep_contacts(&mut self, now: Instant) {
        if now < self.sweep_at {
            return;
        }
        self.sweep_at = now + self.config.contact_expiration_check_interval;
        for (aor, contact) in self.registrar.sweep(now) {
            if contact.in_memory {
                self.tell_removed(now, &aor, &contact);
            }
        }
    }

    pub(super) fn next_qualify(&self) -> Option<Instant> {
        let due = self
            .registrar
            .all()
            .filter(|(_, contact)| contact.in_memory)
            .filter_map(|(_, contact)| contact.qualify_at);
        due.chain(self.probes.values().map(|probe| probe.deadline))
            .min()
    }

    /// Sends the OPTIONS that are due and gives up those that were not answered in time.
    pub(super) fn qualify_contacts(&mut self, now: Instant) {
        let due = |contact: &StoredContact| {
            contact.in_memory && contact.qualify_at.is_some_and(|at| at <= now)
        };
        let due: Vec<ContactId> = self
            .registrar
            .all()
            .filter(|(_, contact)| due(contact))
            .map(|(_, contact)| contact.id.clone())
            .collect();
        for id in due {
            self.qualify(now, &id);
        }
        let late: Vec<OutgoingId> = self
            .probes
            .iter()
            .filter(|(_, probe)| probe.deadline <= now)
            .map(|(id, _)| *id)
            .collect();
        for id in late {
            self.handle_probe_outcome(now, id, OutgoingOutcome::TimedOut);
        }
    }

    /// Sends OPTIONS to a contact now, and sets when the next goes out.
    pub(super) fn qualify(&mut self, now: Instant, id: &ContactId) {
        let frequency = Duration::from_secs(self.config.aor.qualify_frequency.into());
        let Some(contact) = self.registrar.find_mut(id) else {
            return;
        };
        contact.qualify_at = (!frequency.is_zero()).then(|| now + frequency);
        let (target, destination) = (contact.uri.clone(), contact.source);
        let Some(from) = self.own_address() else {
            return;
        };
        let probe = self.ua.request(
            now,
            OutgoingRequest {
                method: Method::Options,
                target,
                destination,
                from: NameAddr::new(from),
                headers: Vec::new(),
                body: Default::default(),
            },
        );
        let deadline = now + Duration::from_secs_f64(self.config.aor.qualify_timeout);
        self.probes.insert(
            probe,
            Probe {
                contact: id.clone(),
                sent_at: now,
                deadline,
            },
        );
    }

    pub(super) fn handle_probe_outcome(
        &mut self,
        now: Instant,
        id: OutgoingId,
        outcome: OutgoingOutcome,
    ) {
        // An answer after the deadline finds no probe: the contact has been called unreachable for it.
        let Some(probe) = self.probes.remove(&id) else {
            return;
        };
        let answered = match outcome {
            OutgoingOutcome::Response(response) => {
                let code = response.status_code.code();
                !self.config.aor.qualify_2xx_only || (200..300).contains(&code)
            }
            OutgoingOutcome::TimedOut => false,
        };
        let round_trip = answered.then(|| now.saturating_duration_since(probe.sent_at));
        self.set_reachability(now, &probe.contact, round_trip);
    }

    fn set_reachability(&mut self, now: Instant, id: &ContactId, round_trip: Option<Duration>) {
        let status = if round_trip.is_some() {
            ContactStatus::Reachable
        } else {
            ContactStatus::Unreachable
        };
        let aor = id.aor().to_owned();
        let was_available = is_available(self.registrar.contacts(&aor));
        let Some(contact) = self.registrar.find_mut(id) else {
            return;
        };
        contact.round_trip = round_trip;
        if contact.status == status {
            return;
        }
        contact.status = status.clone();
        let uri = contact.uri_text.clone();
        let available = is_available(self.registrar.contacts(&aor));
        if available != was_available {
            self.tell_peer(now, &aor, available);
        }
        self.tell_contact(now, &aor, &uri, &status, round_trip);
        self.tell_device_state(now, &aor);
    }

    fn tell_added(&mut self, now: Instant, aor: &str, id: &ContactId) {
        let others = self
            .registrar
            .contacts(aor)
            .iter()
            .filter(|contact| contact.id != *id)
            .cloned();
        let was_available = is_available(&others.collect::<Vec<_>>());
        let Some(contact) = self.registrar.find_mut(id) else {
            return;
        };
        let uri = contact.uri_text.clone();
        self.tell_contact(now, aor, &uri, &ContactStatus::NonQualified, None);
        if !was_available {
            self.tell_peer(now, aor, true);
        }
        self.tell_device_state(now, aor);
    }

    pub(super) fn tell_removed(&mut self, now: Instant, aor: &str, contact: &StoredContact) {
        self.probes.retain(|_, probe| probe.contact != contact.id);
        let counted = contact.status != ContactStatus::Unreachable;
        if counted && !is_available(self.registrar.contacts(aor)) {
            self.tell_peer(now, aor, false);
        }
        self.tell_contact(now, aor, &contact.uri_text, &ContactStatus::Removed, None);
        self.tell_device_state(now, aor);
    }

    fn tell_contact(
        &mut self,
        now: Instant,
        aor: &str,
        uri: &str,
        status: &ContactStatus,
        round_trip: Option<Duration>,
    ) {
        tracing::debug!(aor, status = status.as_word(), "contact status");
        let event = self
            .event(now, Class::System, "ContactStatus")
            .with("URI", uri)
            .with("ContactStatus", status.as_word())
            .with("AOR", aor)
            .with("EndpointName", aor)
            .with(
                "RoundtripUsec",
                &round_trip.map_or(0, |time| time.as_micros()).to_string(),
            );
        self.tell(Class::System, event);
    }

    fn tell_peer(&mut self, now: Instant, endpoint: &str, reachable: bool) {
        let event = self
            .event(now, Class::System, "PeerStatus")
            .with("ChannelType", "PJSIP")
            .with("Peer", &format!("PJSIP/{endpoint}"))
            .with(
                "PeerStatus",
                if reachable {
                    "Reachable"
                } else {
                    "Unreachable"
                },
            );
        self.tell(Class::System, event);
    }

    /// What OPTIONS come from.
    fn own_address(&self) -> Option<Uri> {
        parse_uri(&format!("sip:asterisk@{}", self.sip_addr)).ok()
    }
}
