//! The door for requests: who may knock, and which part of the user agent opens (RFC 3261 section 8.2).

use std::net::SocketAddr;
use std::time::Instant;

use super::compose::ALLOW;
use super::{CallId, Event, RefusalKind, Reply, RequestId, Trust, UserAgent};
use crate::dialog::DialogKey;
use crate::message::{
    Headers, HeadersView, Method, Refusal, Request, Uri, Version, Via, header, name_and_value,
    write,
};
use crate::transaction::{RequestFate, ServerId, Transmit, Transport, received_via, reply_address};

/// Handed-up requests that may wait for an answer at once; more are answered 503.
const MAX_WAITING: usize = 4096;

impl UserAgent {
    pub(super) fn handle_request(
        &mut self,
        now: Instant,
        mut request: Request,
        transport: Transport,
        source: SocketAddr,
    ) {
        let Ok(via) = request.headers.via_view() else {
            return;
        };
        mark_source(&mut request.headers, &via, source);
        let call = DialogKey::of_request(&request).and_then(|key| self.calls.named(&key));
        let is_inside = call.is_some_and(|call| self.is_peer(call, source));
        if !self.hears(source) && !is_inside {
            self.refuse_stranger(&request, &via, transport, source);
            return;
        }
        let fate = self
            .layer
            .handle_request(now, &request, &via, (transport, source), is_inside);
        match fate {
            RequestFate::Absorbed => {}
            RequestFate::Overload => {
                self.refuse_for_want_of_room(&request, &via, transport, source)
            }
            RequestFate::Ack => self.handle_ack(now, &request, source),
            RequestFate::New(server) => self.handle_new(now, server, call, request, &via, source),
        }
    }

    /// Answers a request that could not be read, as far as it can be answered.
    pub(super) fn handle_unreadable(
        &mut self,
        transport: Transport,
        source: SocketAddr,
        bytes: &[u8],
        refusal: &Refusal,
    ) {
        self.refusals.count(RefusalKind::Unreadable);
        tracing::debug!(%source, %refusal, "unreadable message");
        let Some(headers) = crate::message::parse::answerable(bytes).filter(|_| self.hears(source))
        else {
            return;
        };
        let Ok(via) = headers.via_view() else {
            return;
        };
        let uri = Uri::default();
        let mut request = Request {
            method: Method::Options,
            uri,
            version: Version::V2,
            headers,
            body: Vec::new(),
        };
        mark_source(&mut request.headers, &via, source);
        let mut reply = Reply::because(refusal.code, refusal.reason.clone());
        if matches!(refusal.code, 405 | 501) {
            reply = reply.with("Allow", ALLOW);
        }
        self.respond_stateless(&request, &via, transport, source, reply);
    }

    fn handle_new(
        &mut self,
        now: Instant,
        server: ServerId,
        call: Option<CallId>,
        request: Request,
        via: &Via,
        source: SocketAddr,
    ) {
        if request.method == Method::Cancel {
            let invite = self.layer.cancelled(&request, via);
            return self.handle_cancel(now, server, &request, invite);
        }
        if let Some((reply, kind)) = self.unacceptable(&request) {
            self.refusals.count(kind);
            let tag = self.random.token();
            self.respond_in(now, server, &request, reply, Some(&tag));
            return;
        }
        if let Some(id) = self.subscription_of(&request)
            && request.method == Method::Notify
        {
            return self.handle_notify(now, server, id, request, source);
        }
        let names_dialog = request.headers.to_view().is_ok_and(|to| to.tag().is_some());
        match (names_dialog, call) {
            (true, Some(call)) => self.handle_in_dialog(now, server, call, request, source),
            (true, None) if !self.config.handed_up.contains(&request.method) => {
                self.refusals.count(RefusalKind::UnknownDialog);
                self.respond_in(now, server, &request, Reply::new(481), None);
            }
            _ if self.is_for_another(&request) => {
                self.refusals.count(RefusalKind::Stranger);
                tracing::debug!(%source, method = %request.method, "request for another contact");
                let tag = self.random.token();
                self.respond_in(now, server, &request, Reply::new(404), Some(&tag));
            }
            _ => self.handle_out_of_dialog(now, server, request, source),
        }
    }

    /// Whether a request outside a dialog names a Contact that was never ours: a number that someone tries out, or the
    /// phone that had our address before us.
    fn is_for_another(&self, request: &Request) -> bool {
        self.config.only_for_contact
            && request.uri.user() != Some(self.config.contact_user.as_str())
    }

    fn handle_out_of_dialog(
        &mut self,
        now: Instant,
        server: ServerId,
        request: Request,
        source: SocketAddr,
    ) {
        if request.method == Method::Invite {
            return self.handle_invite(now, server, request, source);
        }
        let handed_up = self.config.handed_up.contains(&request.method);
        let reply = match request.method {
            _ if handed_up && self.requests.len() < MAX_WAITING => {
                self.requests.insert(server, request.clone());
                self.events.push_back(Event::Request {
                    id: RequestId(server),
                    request: Box::new(request),
                    source,
                });
                return;
            }
            _ if handed_up => {
                self.refusals.count(RefusalKind::Overload);
                Reply::new(503).with("Retry-After", "5")
            }
            Method::Notify if self.is_unasked_news(&request) => {
                return self.handle_unsolicited(now, server, &request);
            }
            Method::Options => self.options_reply(),
            Method::Bye | Method::Info | Method::Notify | Method::Update | Method::PRack => {
                self.refusals.count(RefusalKind::UnknownDialog);
                Reply::new(481)
            }
            // RFC 3261 section 21.5.2: a method that is not even recognised.
            Method::Other(_) => {
                self.refusals.count(RefusalKind::UnsupportedMethod);
                Reply::new(501).with("Allow", ALLOW)
            }
            _ => {
                self.refusals.count(RefusalKind::UnsupportedMethod);
                Reply::new(405).with("Allow", ALLOW)
            }
        };
        let tag = self.random.token();
        self.respond_in(now, server, &request, reply, Some(&tag));
    }

    /// News of voicemail that comes without a subscription, from those we trust.
    fn is_unasked_news(&self, request: &Request) -> bool {
        let is_trusted = self.config.trust != Trust::Anyone;
        is_trusted && super::in_dialog::is_about(request, "message-summary")
    }

    /// RFC 3261 section 11.2: as an INVITE would be answered now.
    fn options_reply(&self) -> Reply {
        let present = self
            .registration
            .as_ref()
            .is_none_or(|registration| registration.is_present());
        let code = if self.available && present { 200 } else { 480 };
        Reply::new(code)
            .with("Allow", ALLOW)
            .with("Accept", "application/sdp")
    }

    fn hears(&self, source: SocketAddr) -> bool {
        let registrar = self
            .registration
            .as_ref()
            .map(|registration| registration.account.destination);
        match &self.config.trust {
            Trust::Anyone => true,
            Trust::Listed(addresses) => addresses.contains(&source) || registrar == Some(source),
        }
    }

    fn is_peer(&self, call: CallId, source: SocketAddr) -> bool {
        self.calls
            .get(call)
            .is_some_and(|call| call.is_peer(source))
    }

    /// No transaction, no event, nothing rings.
    fn refuse_stranger(
        &mut self,
        request: &Request,
        via: &Via,
        transport: Transport,
        source: SocketAddr,
    ) {
        tracing::debug!(%source, method = %request.method, "request from an address that is not the registrar's");
        self.refusals.count(RefusalKind::Stranger);
        let code = match request.method {
            Method::Ack => return,
            Method::Cancel => 481,
            _ if request.headers.to_view().is_ok_and(|to| to.tag().is_some()) => 481,
            _ => 404,
        };
        self.respond_stateless(request, via, transport, source, Reply::new(code));
    }

    /// 503 without a transaction: its sender comes back later, and a retransmission costs no more than this.
    fn refuse_for_want_of_room(
        &mut self,
        request: &Request,
        via: &Via,
        transport: Transport,
        source: SocketAddr,
    ) {
        self.refusals.count(RefusalKind::Overload);
        tracing::debug!(%source, method = %request.method, "more transactions than are kept");
        let reply = Reply::new(503).with("Retry-After", "5");
        self.respond_stateless(request, via, transport, source, reply);
    }

    /// Extensions we are required to know, and bodies we cannot read (RFC 3261 sections 8.2.2.3 and 8.2.3).
    fn unacceptable(&self, request: &Request) -> Option<(Reply, RefusalKind)> {
        let required = request.headers.texts("Require");
        let unknown: Vec<&str> = required
            .flat_map(|value| value.split(','))
            .map(str::trim)
            .filter(|option| !option.is_empty() && !self.supports(option))
            .collect();
        if !unknown.is_empty() {
            let reply = Reply::new(420).with("Unsupported", unknown.join(", "));
            return Some((reply, RefusalKind::UnsupportedExtension));
        }
        if request.method != Method::Invite {
            return None;
        }
        if has_foreign_body(request) {
            let reply = Reply::new(415).with("Accept", "application/sdp");
            return Some((reply, RefusalKind::UnsupportedBody));
        }
        // The answer would be SDP (RFC 3261 section 21.4.7).
        let refused = (Reply::new(406), RefusalKind::UnsupportedBody);
        (!accepts_sdp(&request.headers)).then_some(refused)
    }

    fn respond_stateless(
        &mut self,
        request: &Request,
        via: &Via,
        transport: Transport,
        source: SocketAddr,
        reply: Reply,
    ) {
        // The same tag for every copy of the request (RFC 3261 section 8.2.7).
        let tag: String = via
            .branch()
            .unwrap_or_default()
            .chars()
            .filter(char::is_ascii_alphanumeric)
            .collect();
        let response = self.response(request, reply, Some(&format!("s{tag}")));
        self.layer.transmit(Transmit {
            transport,
            destination: reply_address(via, source),
            bytes: write::response(&response),
        });
    }
}

/// Whether a body is there that is no SDP.
pub(super) fn has_foreign_body(request: &Request) -> bool {
    let content_type = request.headers.text("Content-Type").unwrap_or_default();
    let media_type = content_type.split(';').next().unwrap_or_default().trim();
    let encoding = request
        .headers
        .text("Content-Encoding")
        .map_or("identity", str::trim);
    !request.body.is_empty()
        && (!media_type.eq_ignore_ascii_case("application/sdp")
            || !encoding.eq_ignore_ascii_case("identity"))
}

/// Without Accept, SDP is understood (RFC 3261 section 20.1).
fn accepts_sdp(headers: &Headers) -> bool {
    let mut ranges = headers
        .texts("Accept")
        .flat_map(|value| value.split(','))
        .map(|range| range.split(';').next().unwrap_or_default().trim())
        .filter(|range| !range.is_empty())
        .peekable();
    let known = ["application/sdp", "application/*", "*/*"];
    ranges.peek().is_none()
        || ranges.any(|range| known.iter().any(|known| known.eq_ignore_ascii_case(range)))
}

/// Writes into the top Via where the request really came from.
fn mark_source(headers: &mut Headers, via: &Via, source: SocketAddr) {
    let mut marked = Some(header("Via", received_via(via, source).to_string()));
    let fields = std::mem::take(headers).into_iter();
    let fields: Vec<_> = fields
        .map(|field| match name_and_value(&field).0 {
            "Via" => marked.take().unwrap_or(field),
            _ => field,
        })
        .collect();
    *headers = fields.into();
}
