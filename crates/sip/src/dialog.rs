//! Dialogs (RFC 3261 section 12): what two user agents remember of each other during a call.

use std::net::SocketAddr;

use crate::message::{
    Headers, HeadersView, Method, NameAddr, Refusal, Request, Response, Uri, Version,
};

/// One dialog, early or confirmed.
#[derive(Debug, Clone)]
pub struct Dialog {
    call_id: String,
    local: NameAddr,
    remote: NameAddr,
    local_number: u32,
    remote_number: Option<u32>,
    remote_target: Uri,
    route: Vec<String>,
    peer: SocketAddr,
}

/// What names a dialog among ours: Call-ID and our own tag. A fork's branches share it and differ in the remote tag.
#[derive(Debug, Clone, PartialEq, Eq, Hash)]
pub(crate) struct DialogKey {
    pub(crate) call_id: String,
    pub(crate) local_tag: String,
}

impl DialogKey {
    /// The dialog a request from the other side means, if it names one.
    pub(crate) fn of_request(request: &Request) -> Option<Self> {
        let local_tag = request.headers.to_view().ok()?.tag()?;
        Some(Self {
            call_id: request.headers.text("Call-ID")?.to_owned(),
            local_tag,
        })
    }
}

impl Dialog {
    /// The caller's dialog, from an answer with a To tag (RFC 3261 section 12.1.2). `peer` is where it came from.
    pub(crate) fn of_caller(
        invite: &Request,
        response: &Response,
        peer: SocketAddr,
    ) -> Result<Self, Refusal> {
        let remote = response.headers.to_view()?;
        let contact = response.headers.contacts().into_iter().next();
        let mut route: Vec<String> = response
            .headers
            .texts("Record-Route")
            .map(str::to_owned)
            .collect();
        route.reverse();
        Ok(Self {
            call_id: invite
                .headers
                .text("Call-ID")
                .unwrap_or_default()
                .to_owned(),
            local: invite.headers.from_view()?,
            // Without a Contact the request's own target is the best that is known.
            remote_target: contact.map_or_else(|| invite.uri.clone(), |contact| contact.uri),
            remote,
            local_number: invite.headers.cseq_view()?.number,
            remote_number: None,
            route,
            peer,
        })
    }

    /// The callee's dialog (RFC 3261 section 12.1.1).
    pub(crate) fn of_callee(
        invite: &Request,
        local_tag: &str,
        peer: SocketAddr,
    ) -> Result<Self, Refusal> {
        let contact = match invite.headers.contacts().into_iter().next() {
            Some(contact) => contact,
            // RFC 2543 asked for none; From is then where later requests go (RFC 4475 section 3.4.1).
            None if invite.headers.text("Contact").is_none() => invite.headers.from_view()?,
            None => return Err(Refusal::bad_request("INVITE without a usable Contact")),
        };
        Ok(Self {
            call_id: invite
                .headers
                .text("Call-ID")
                .unwrap_or_default()
                .to_owned(),
            local: invite.headers.to_view()?.with_tag(local_tag),
            remote: invite.headers.from_view()?,
            local_number: 0,
            remote_number: Some(invite.headers.cseq_view()?.number),
            remote_target: contact.uri,
            route: invite
                .headers
                .texts("Record-Route")
                .map(str::to_owned)
                .collect(),
            peer,
        })
    }

    /// The other side's tag.
    pub fn remote_tag(&self) -> String {
        self.remote.tag().unwrap_or_default()
    }

    /// Our own address in this dialog, with our tag.
    pub(crate) fn local(&self) -> &NameAddr {
        &self.local
    }

    /// The other side's Contact.
    pub(crate) fn remote_target(&self) -> &Uri {
        &self.remote_target
    }

    /// Where the other side's messages come from and ours go.
    pub fn peer(&self) -> SocketAddr {
        self.peer
    }

    /// The other side is there from now on.
    pub(crate) fn set_peer(&mut self, peer: SocketAddr) {
        self.peer = peer;
    }

    /// Whether a request from `source` belongs here: right tag, right address.
    pub(crate) fn is_from_peer(&self, request: &Request, source: SocketAddr) -> bool {
        self.is_of_peer(request) && source == self.peer
    }

    /// Whether a request belongs here by its tag, wherever it comes from.
    pub(crate) fn is_of_peer(&self, request: &Request) -> bool {
        let tag = request
            .headers
            .from_view()
            .ok()
            .and_then(|from| from.tag())
            .unwrap_or_default();
        tag == self.remote_tag()
    }

    /// Checks and remembers the number of a request from the other side (RFC 3261 section 12.2.2).
    pub(crate) fn accept_number(&mut self, number: u32) -> bool {
        let in_order = self.remote_number.is_none_or(|last| number > last);
        if in_order {
            self.remote_number = Some(number);
        }
        in_order
    }

    /// Takes over the Contact of a target refresh (re-INVITE, UPDATE and their 200).
    pub(crate) fn refresh_target(&mut self, headers: &Headers) {
        if let Some(contact) = headers.contacts().into_iter().next() {
            self.remote_target = contact.uri;
        }
    }

    /// A request inside the dialog with the next number.
    pub(crate) fn request(&mut self, method: Method) -> Request {
        self.local_number += 1;
        self.numbered(method, self.local_number)
    }

    /// The ACK to a 2xx: the INVITE's number, its own transaction (RFC 3261 section 13.2.2.4).
    pub(crate) fn ack(&self, number: u32) -> Request {
        self.numbered(Method::Ack, number)
    }

    /// Goes on with the numbers of the same dialog as it was before its answer.
    pub(crate) fn continue_numbers(&mut self, early: &Self) {
        self.local_number = self.local_number.max(early.local_number);
        self.remote_number = early.remote_number;
    }

    /// The dialog was made by a request whose number is still to be taken.
    pub(crate) fn forget_remote_number(&mut self) {
        self.remote_number = None;
    }

    /// Makes the next request's number higher than `number`, after a retry outside [`Self::request`].
    pub(crate) fn number_at_least(&mut self, number: u32) {
        self.local_number = self.local_number.max(number);
    }

    fn numbered(&self, method: Method, number: u32) -> Request {
        let mut headers = Headers::default();
        headers.add("From", self.local.to_string());
        headers.add("To", self.remote.to_string());
        headers.add("Call-ID", self.call_id.clone());
        headers.add("CSeq", format!("{number} {method}"));
        for route in &self.route {
            headers.add("Route", route.clone());
        }
        Request {
            method,
            uri: self.remote_target.clone(),
            version: Version::V2,
            headers,
            body: Vec::new(),
        }
    }
}
