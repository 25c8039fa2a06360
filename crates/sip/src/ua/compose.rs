//! Requests and answers as they leave: the headers every one of them carries.

use std::net::SocketAddr;
use std::time::Instant;

use super::{Pending, Purpose, Reply, UserAgent};
use crate::digest::{ClientDigest, Credentials};
use crate::message::{
    Headers, HeadersView, HostWithPort, Method, Param, Request, Response, StatusCode, Uri, Version,
    Via,
};
use crate::message::{Params, Scheme, header, parse::status};
use crate::registration::{Failure, Registration};
use crate::transaction::{ClientId, ServerId, Transmit, Transport};

/// Methods a user agent acts upon.
pub(super) const ALLOW: &str =
    "INVITE, ACK, CANCEL, BYE, OPTIONS, UPDATE, PRACK, REFER, INFO, NOTIFY, MESSAGE";
/// Challenges answered in one chain: the server's, two proxies', and one more of each for a nonce that was old.
const MAX_CHALLENGES: u8 = 6;

impl UserAgent {
    /// Our Contact address.
    pub(super) fn contact(&self) -> Uri {
        let transport = self.config.transport.uri_token();
        let transport = transport.map(|token| Param::Other("transport".into(), Some(token.into())));
        Uri {
            scheme: Some(Scheme::Sip),
            auth: Some((self.config.contact_user.as_str(), None::<String>).into()),
            host_with_port: self.config.local.into(),
            params: transport.into_iter().collect(),
            headers: Vec::new(),
        }
    }

    /// Sends a request in a transaction of its own; adds Via, Max-Forwards, User-Agent and, where it belongs, Contact.
    pub(super) fn send(
        &mut self,
        now: Instant,
        mut request: Request,
        destination: SocketAddr,
        pending: Pending,
    ) -> ClientId {
        let transport = self.complete(&mut request);
        let client = self.layer.start(now, request, transport, destination);
        self.pending.insert(client, pending);
        client
    }

    /// Sends a request that has no transaction: the ACK to a 2xx.
    pub(super) fn send_stateless(
        &mut self,
        mut request: Request,
        destination: SocketAddr,
    ) -> Transmit {
        let transport = self.complete(&mut request);
        let bytes = crate::message::write::request(&request);
        let transmit = Transmit {
            transport,
            destination,
            bytes,
        };
        self.layer.transmit(transmit.clone());
        transmit
    }

    /// CANCEL has the INVITE's own Via (RFC 3261 section 9.1).
    pub(super) fn send_cancel(&mut self, now: Instant, invite: ClientId) {
        let Some((request, destination)) = self.layer.sent(invite) else {
            return;
        };
        let number = request.headers.cseq_view().map_or(0, |cseq| cseq.number);
        let mut headers = Headers::default();
        for name in ["Via", "From", "To", "Call-ID"] {
            headers.add(name, request.headers.text(name).unwrap_or_default());
        }
        headers.add("CSeq", format!("{number} CANCEL"));
        for route in request.headers.texts("Route") {
            headers.add("Route", route);
        }
        headers.add("Max-Forwards", "70");
        let cancel = Request {
            method: Method::Cancel,
            headers,
            body: Vec::new(),
            ..request.clone()
        };
        let transport = self.layer.transport_of(invite);
        let transport = transport.unwrap_or(self.config.transport);
        let client = self.layer.start(now, cancel, transport, destination);
        self.pending.insert(client, Pending::new(Purpose::Cancel));
        self.layer.end_soon(now, invite);
    }

    /// The same request with an answer to the challenge in `response`, and the next number.
    pub(super) fn authorised(
        &mut self,
        client: ClientId,
        response: &Response,
        credentials: Option<&Credentials>,
        digest: &mut Option<ClientDigest>,
        challenges: u8,
    ) -> Result<(Request, SocketAddr), Failure> {
        let cnonce = self.random.token();
        let credentials = credentials.ok_or(Failure::WrongCredentials)?;
        let (request, destination) = self.layer.sent(client).ok_or(Failure::TimedOut)?;
        // An answer from before this chain may have been one to a nonce that is gone.
        let refused = challenges > 0 && ClientDigest::is_refused(request, &response.headers);
        if challenges >= MAX_CHALLENGES || refused {
            return Err(Failure::WrongCredentials);
        }
        let mut request = request.clone();
        let number = request
            .headers
            .cseq_view()
            .map_or(1, |cseq| cseq.number + 1);
        request
            .headers
            .set("CSeq", format!("{number} {}", request.method));
        let digest = digest.get_or_insert_default();
        digest
            .challenged(&response.headers, &cnonce)
            .map_err(|unusable| Failure::UnusableChallenge(unusable.0))?;
        digest.authorise(&mut request, credentials);
        Ok((request, destination))
    }

    /// An answer to a request whose Via already says where it came from.
    pub(super) fn response(
        &self,
        request: &Request,
        reply: Reply,
        to_tag: Option<&str>,
    ) -> Response {
        let status_code = match &reply.reason {
            Some(reason) => status(reply.code, reason),
            None => StatusCode::from(reply.code),
        };
        if reply.code >= 400 {
            let call_id = request.headers.text("Call-ID").unwrap_or_default();
            let unsupported = reply.headers.iter().map(crate::message::name_and_value);
            let mut unsupported = unsupported.filter(|(name, _)| *name == "Unsupported");
            tracing::debug!(
                method = %request.method,
                call_id,
                status = %status_code,
                unsupported = unsupported.next().map(|(_, options)| options),
                "a request is refused",
            );
        }
        let mut headers = Headers::default();
        for via in request.headers.texts("Via") {
            headers.add("Via", via);
        }
        if reply.code < 300 {
            for route in request.headers.texts("Record-Route") {
                headers.add("Record-Route", route);
            }
        }
        for name in ["From", "To", "Call-ID", "CSeq"] {
            headers.add(name, request.headers.text(name).unwrap_or_default());
        }
        if let (Some(tag), Ok(to)) = (to_tag, request.headers.to_view())
            && to.tag().is_none()
        {
            headers.set("To", to.with_tag(tag).to_string());
        }
        headers.add("Server", self.config.user_agent.clone());
        headers.extend(reply.headers);
        Response {
            status_code,
            version: Version::V2,
            headers,
            body: reply.body.to_vec(),
        }
    }

    /// Answers within a server transaction.
    pub(super) fn respond_in(
        &mut self,
        now: Instant,
        server: ServerId,
        request: &Request,
        reply: Reply,
        to_tag: Option<&str>,
    ) -> Option<Transmit> {
        let response = self.response(request, reply, to_tag);
        self.layer.respond(now, server, &response)
    }

    /// A 2xx or 1xx that makes or keeps a dialog: with Contact, Allow and, if any, SDP.
    pub(super) fn dialog_reply(&self, code: u16, sdp: bytes::Bytes) -> Reply {
        let mut reply = Reply::new(code)
            .with("Contact", format!("<{}>", self.contact_uri()))
            .with("Allow", ALLOW)
            .with("Supported", self.supported());
        if !sdp.is_empty() {
            reply = reply.with("Content-Type", "application/sdp");
            reply.body = sdp;
        }
        reply
    }

    /// The extensions we speak, for Supported and Require.
    pub(super) fn supported(&self) -> &'static str {
        match (self.config.session_expires, self.config.takes_replaces) {
            (Some(_), true) => "100rel, timer, replaces",
            (Some(_), false) => "100rel, timer",
            (None, true) => "100rel, replaces",
            (None, false) => "100rel",
        }
    }

    pub(super) fn supports(&self, option: &str) -> bool {
        let mut own = self.supported().split(", ");
        own.any(|own| own.eq_ignore_ascii_case(option))
    }

    /// Adds what every request carries, and says over which transport it goes.
    fn complete(&mut self, request: &mut Request) -> Transport {
        let mut params = Params::default();
        params.set("rport", None);
        params.set("branch", Some(self.random.branch()));
        let sent_by = HostWithPort::from(self.config.local);
        let mut via = Via::new(self.config.transport.via_token(), sent_by, params);
        self.preload_route(request);
        let mut headers = Headers::default();
        headers.add("Via", via.to_string());
        headers.add("Max-Forwards", "70");
        let old = std::mem::take(&mut request.headers);
        let replaced = |name: &str| matches!(name, "Via" | "Max-Forwards" | "User-Agent");
        headers.extend(
            old.into_iter()
                .filter(|field| !replaced(crate::message::name_and_value(field).0))
                .collect(),
        );
        let refreshes_target = matches!(
            request.method,
            Method::Invite | Method::Update | Method::Subscribe | Method::Refer | Method::Notify
        );
        if refreshes_target && headers.text("Contact").is_none() {
            headers.add("Contact", format!("<{}>", self.contact_uri()));
            headers.add("Allow", ALLOW);
            headers.add("Supported", self.supported());
        }
        headers.add("User-Agent", self.config.user_agent.clone());
        request.headers = headers;
        let transport = self.transport_for(request);
        if transport != self.config.transport {
            transport.via_token().clone_into(&mut via.transport);
            request.headers.set("Via", via.to_string());
        }
        transport
    }

    /// A long request takes a stream, since a datagram of its length may be lost in pieces.
    fn transport_for(&self, request: &Request) -> Transport {
        let own = self.config.transport;
        let limit = self.config.stream_above.filter(|_| own == Transport::Udp);
        match limit.is_some_and(|limit| crate::message::write::request(request).len() > limit) {
            true => Transport::Tcp,
            false => own,
        }
    }

    /// The registrar's Service-Route on what begins a dialog or stands alone (RFC 3608 section 5).
    fn preload_route(&self, request: &mut Request) {
        let in_dialog = request.headers.to_view().is_ok_and(|to| to.tag().is_some());
        let has_route = request.headers.text("Route").is_some();
        if in_dialog || has_route || request.method == Method::Register {
            return;
        }
        let routes = self.registration.as_ref().map(Registration::service_route);
        for route in routes.into_iter().flatten() {
            request.headers.add("Route", route);
        }
    }
}

/// A body with its type.
pub(super) fn attach_sdp(request: &mut Request, sdp: &[u8]) {
    if !sdp.is_empty() {
        request
            .headers
            .push(header("Content-Type", "application/sdp"));
        request.body = sdp.to_vec();
    }
}
