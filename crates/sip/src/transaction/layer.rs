//! All transactions of a user agent: matching, timers, and what goes up to the user.

use std::collections::{BTreeSet, HashMap, VecDeque};
use std::net::{IpAddr, SocketAddr};
use std::time::Instant;

use super::client::{Client, Tick};
use super::server::Server;
use super::{Timers, Transmit, Transport};
use crate::message::uri::host_text;
use crate::message::{HeadersView, Host, Method, Request, Response, Via, write};

/// Branches of RFC 3261 begin with this; others need the older, costlier matching (section 17.2.3).
pub(crate) const MAGIC_COOKIE: &str = "z9hG4bK";

/// Transactions beyond the most for what comes inside calls that are up.
const RESERVE: usize = 64;

/// A client transaction.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub(crate) struct ClientId(u64);

/// A server transaction.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub(crate) struct ServerId(u64);

/// What becomes of a request that came in.
#[derive(Debug, PartialEq, Eq)]
pub(crate) enum RequestFate {
    /// It began a transaction: answer it.
    New(ServerId),
    /// It was a copy, or the ACK to a refusal.
    Absorbed,
    /// An ACK that belongs to a dialog.
    Ack,
    /// There is no room for another transaction.
    Overload,
}

/// What becomes of a response that came in.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum ResponseFate {
    /// The transaction's user is to see it.
    ForUser(ClientId),
    /// It was a copy of one that was seen.
    Absorbed,
    /// It answers nothing of ours.
    Stray,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
enum Slot {
    Client(ClientId),
    Server(ServerId),
}

/// Matches a request to its copies, ACK and CANCEL.
#[derive(Debug, Clone, PartialEq, Eq, Hash)]
struct ServerKey {
    branch: String,
    sent_by: String,
    method: String,
}

#[derive(Debug, Default)]
pub(crate) struct TransactionLayer {
    timers: Timers,
    max_servers: usize,
    next_id: u64,
    clients: HashMap<ClientId, Client>,
    branches: HashMap<String, ClientId>,
    servers: HashMap<ServerId, (ServerKey, Server)>,
    keys: HashMap<ServerKey, ServerId>,
    due: BTreeSet<(Instant, Slot)>,
    transmits: VecDeque<Transmit>,
    ended: (Vec<ClientId>, Vec<ServerId>),
}

impl TransactionLayer {
    pub(crate) fn new(timers: Timers, max_servers: usize) -> Self {
        Self {
            timers,
            max_servers,
            ..Self::default()
        }
    }

    pub(crate) fn poll_transmit(&mut self) -> Option<Transmit> {
        self.transmits.pop_front()
    }

    pub(crate) fn poll_timeout(&self) -> Option<Instant> {
        self.due.first().map(|(at, _)| *at)
    }

    /// Puts a message on the wire outside any transaction (ACK to 2xx, its 200 again, stateless answers).
    pub(crate) fn transmit(&mut self, transmit: Transmit) {
        self.transmits.push_back(transmit);
    }

    /// Sends a request whose top Via carries a branch of its own.
    pub(crate) fn start(
        &mut self,
        now: Instant,
        request: Request,
        transport: Transport,
        destination: SocketAddr,
    ) -> ClientId {
        let id = ClientId(self.fresh_id());
        let wire = Transmit {
            transport,
            destination,
            bytes: write::request(&request),
        };
        self.branches.insert(
            client_key(request.headers.via_view().ok(), request.method),
            id,
        );
        self.transmits.push_back(wire.clone());
        let client = Client::new(now, &self.timers, request, wire);
        self.due
            .extend(client.due().map(|at| (at, Slot::Client(id))));
        self.clients.insert(id, client);
        id
    }

    /// The request of a transaction that is not over, and where it went.
    pub(crate) fn sent(&self, id: ClientId) -> Option<(&Request, SocketAddr)> {
        self.clients
            .get(&id)
            .map(|client| (&client.request, client.wire.destination))
    }

    /// The transport of a transaction that is not over.
    pub(crate) fn transport_of(&self, id: ClientId) -> Option<Transport> {
        self.clients.get(&id).map(|client| client.wire.transport)
    }

    /// Requests without a final answer that went to `destination` over `transport`.
    pub(crate) fn pending_over(
        &self,
        transport: Transport,
        destination: SocketAddr,
    ) -> Vec<ClientId> {
        let mut pending: Vec<ClientId> = self
            .clients
            .iter()
            .filter(|(_, client)| client.is_pending())
            .filter(|(_, client)| client.wire.transport == transport)
            .filter(|(_, client)| client.wire.destination == destination)
            .map(|(id, _)| *id)
            .collect();
        pending.sort();
        pending
    }

    /// Sends a request again over another transport, in the same transaction.
    pub(crate) fn send_over(&mut self, now: Instant, id: ClientId, transport: Transport) {
        let Some(client) = self.clients.get_mut(&id) else {
            return;
        };
        let before = client.due();
        let mut request = client.request.clone();
        if let Ok(via) = request.headers.via_view() {
            let via = Via {
                transport: transport.via_token().to_owned(),
                ..via
            };
            request.headers.set("Via", via.to_string());
        }
        let wire = Transmit {
            transport,
            destination: client.wire.destination,
            bytes: write::request(&request),
        };
        client.restart(now, &self.timers, request, wire.clone());
        let after = client.due();
        self.reschedule(Slot::Client(id), before, after);
        self.transmits.push_back(wire);
    }

    /// Gives a cancelled INVITE 64 T1 to end.
    pub(crate) fn end_soon(&mut self, now: Instant, id: ClientId) {
        self.end_by(now + self.timers.patience(), id);
    }

    /// Stops waiting for an answer at `end`.
    pub(crate) fn end_by(&mut self, end: Instant, id: ClientId) {
        if let Some(client) = self
            .clients
            .get_mut(&id)
            .filter(|client| client.is_pending())
        {
            let before = client.due();
            client.end_by(end);
            let after = client.due();
            self.reschedule(Slot::Client(id), before, after);
        }
    }

    /// Gives an answer to the transaction that it belongs to.
    pub(crate) fn handle_response(&mut self, now: Instant, response: &Response) -> ResponseFate {
        let Some(id) = self.answered(response) else {
            return ResponseFate::Stray;
        };
        let Some(client) = self.clients.get_mut(&id) else {
            return ResponseFate::Stray;
        };
        let before = client.due();
        let transmits = &mut self.transmits;
        let for_user = client.handle_response(now, &self.timers, response, &mut |transmit| {
            transmits.push_back(transmit)
        });
        let after = client.due();
        self.reschedule(Slot::Client(id), before, after);
        match for_user {
            true => ResponseFate::ForUser(id),
            false => ResponseFate::Absorbed,
        }
    }

    /// Matches a request to its transaction, or begins one. What comes inside a call of ours, `is_inside`, has room of its
    /// own: a flood of other requests may not keep a call from being ended.
    pub(crate) fn handle_request(
        &mut self,
        now: Instant,
        request: &Request,
        via: &Via,
        (transport, source): (Transport, SocketAddr),
        is_inside: bool,
    ) -> RequestFate {
        let method = if request.method == Method::Ack {
            Method::Invite
        } else {
            request.method
        };
        let key = server_key(request, via, method);
        if let Some(&id) = self.keys.get(&key) {
            return self.handle_repeated(now, request, id);
        }
        if request.method == Method::Ack {
            return RequestFate::Ack;
        }
        let reserve = if is_inside { RESERVE } else { 0 };
        if self.servers.len() >= self.max_servers.saturating_add(reserve) {
            return RequestFate::Overload;
        }
        let id = ServerId(self.fresh_id());
        let invite = request.method == Method::Invite;
        let server = Server::new(
            now,
            &self.timers,
            invite,
            transport,
            reply_address(via, source),
        );
        self.due
            .extend(server.due().map(|at| (at, Slot::Server(id))));
        self.keys.insert(key.clone(), id);
        self.servers.insert(id, (key, server));
        RequestFate::New(id)
    }

    /// The pending INVITE that a CANCEL means (RFC 3261 section 9.2).
    pub(crate) fn cancelled(&self, cancel: &Request, via: &Via) -> Option<ServerId> {
        self.keys
            .get(&server_key(cancel, via, Method::Invite))
            .copied()
    }

    /// True while a server transaction waits for its final answer.
    pub(crate) fn is_pending(&self, id: ServerId) -> bool {
        self.servers
            .get(&id)
            .is_some_and(|(_, server)| server.is_pending())
    }

    /// Sends an answer.
    pub(crate) fn respond(
        &mut self,
        now: Instant,
        id: ServerId,
        response: &Response,
    ) -> Option<Transmit> {
        let (_, server) = self.servers.get_mut(&id)?;
        let before = server.due();
        let transmit = server.respond(
            now,
            &self.timers,
            response.status_code.code(),
            write::response(response),
        )?;
        let after = server.due();
        self.reschedule(Slot::Server(id), before, after);
        self.transmits.push_back(transmit.clone());
        Some(transmit)
    }

    /// Runs what is due and names the requests of ours that nobody answered.
    pub(crate) fn handle_timeout(&mut self, now: Instant) -> Vec<ClientId> {
        let mut timed_out = Vec::new();
        while let Some(&(at, slot)) = self.due.first().filter(|(at, _)| *at <= now) {
            self.due.remove(&(at, slot));
            match slot {
                Slot::Client(id) => self.run_client(now, id, &mut timed_out),
                Slot::Server(id) => self.run_server(now, id),
            }
        }
        timed_out
    }

    /// Forgets a transaction after its time-out was dealt with.
    pub(crate) fn forget(&mut self, id: ClientId) {
        if let Some(client) = self.clients.remove(&id) {
            self.ended.0.push(id);
            if let Some(at) = client.due() {
                self.due.remove(&(at, Slot::Client(id)));
            }
            self.branches.remove(&client_key(
                client.request.headers.via_view().ok(),
                client.request.method,
            ));
        }
    }

    /// Transactions that have ended since it was asked last.
    pub(crate) fn take_ended(&mut self) -> (Vec<ClientId>, Vec<ServerId>) {
        std::mem::take(&mut self.ended)
    }

    /// Whether a request of ours waits for its final answer.
    pub(crate) fn has_pending_clients(&self) -> bool {
        self.clients.values().any(Client::is_pending)
    }

    /// How many transactions are alive, of both kinds.
    pub(crate) fn len(&self) -> usize {
        self.clients.len() + self.servers.len()
    }

    /// The request of ours that a response answers.
    fn answered(&self, response: &Response) -> Option<ClientId> {
        let via = response.headers.via_view().ok();
        let method = response.headers.cseq_view().ok()?.method;
        self.branches.get(&client_key(via, method)).copied()
    }

    fn handle_repeated(&mut self, now: Instant, request: &Request, id: ServerId) -> RequestFate {
        let Some((_, server)) = self.servers.get_mut(&id) else {
            return RequestFate::Absorbed;
        };
        if request.method != Method::Ack {
            self.transmits.extend(server.handle_retransmission());
            return RequestFate::Absorbed;
        }
        let before = server.due();
        let swallowed = server.handle_ack(now, &self.timers);
        let after = server.due();
        self.reschedule(Slot::Server(id), before, after);
        if swallowed {
            RequestFate::Absorbed
        } else {
            RequestFate::Ack
        }
    }

    fn run_client(&mut self, now: Instant, id: ClientId, timed_out: &mut Vec<ClientId>) {
        let Some(client) = self.clients.get_mut(&id) else {
            return;
        };
        let transmits = &mut self.transmits;
        match client.handle_timeout(now, &self.timers, &mut |transmit| {
            transmits.push_back(transmit)
        }) {
            Tick::Quiet => self
                .due
                .extend(client.due().map(|at| (at, Slot::Client(id)))),
            Tick::TimedOut => timed_out.push(id),
            Tick::Over => self.forget(id),
        }
    }

    fn run_server(&mut self, now: Instant, id: ServerId) {
        let Some((_, server)) = self.servers.get_mut(&id) else {
            return;
        };
        let transmits = &mut self.transmits;
        if server.handle_timeout(now, &self.timers, &mut |transmit| {
            transmits.push_back(transmit)
        }) {
            if let Some((key, _)) = self.servers.remove(&id) {
                self.keys.remove(&key);
                self.ended.1.push(id);
            }
        } else {
            self.due
                .extend(server.due().map(|at| (at, Slot::Server(id))));
        }
    }

    fn reschedule(&mut self, slot: Slot, before: Option<Instant>, after: Option<Instant>) {
        if before != after {
            if let Some(at) = before {
                self.due.remove(&(at, slot));
            }
            self.due.extend(after.map(|at| (at, slot)));
        }
    }

    fn fresh_id(&mut self) -> u64 {
        self.next_id += 1;
        self.next_id
    }
}

/// Where an answer goes: the source's address, its port if rport was asked for, else the port of Via (RFC 3581,
/// RFC 3261 section 18.2.2).
pub(crate) fn reply_address(via: &Via, source: SocketAddr) -> SocketAddr {
    if via.params.get("rport").is_some() || !via.transport.eq_ignore_ascii_case("UDP") {
        return source;
    }
    let port = via.sent_by.port.map_or(5060, u16::from);
    SocketAddr::new(source.ip(), port)
}

/// The Via as an answer carries it: where the request really came from.
pub(crate) fn received_via(via: &Via, source: SocketAddr) -> Via {
    let mut via = via.clone();
    let same_host = match &via.sent_by.host {
        Host::IpAddr(ip) => *ip == source.ip(),
        Host::Domain(_) => false,
    };
    if via.params.get("rport").is_some() {
        via.params.set("rport", Some(source.port().to_string()));
    }
    if !same_host || via.params.get("rport").is_some() {
        via.params.set("received", Some(bare(source.ip())));
    }
    via
}

fn bare(ip: IpAddr) -> String {
    ip.to_string()
}

fn client_key(via: Option<Via>, method: Method) -> String {
    let branch = via.and_then(|via| via.branch()).unwrap_or_default();
    format!("{branch} {method}")
}

fn server_key(request: &Request, via: &Via, method: Method) -> ServerKey {
    let sent_by = host_text(&via.sent_by).to_ascii_lowercase();
    let branch = match via.branch() {
        Some(branch) if branch.starts_with(MAGIC_COOKIE) && branch != MAGIC_COOKIE => branch,
        // RFC 2543 senders, and a cookie with nothing behind it (RFC 4475 section 3.2.1): everything that names
        // the transaction stands in for the branch.
        branch => format!(
            "{}|{}|{}|{}",
            branch.unwrap_or_default(),
            request.headers.text("Call-ID").unwrap_or_default(),
            request
                .headers
                .from_view()
                .ok()
                .and_then(|from| from.tag())
                .unwrap_or_default(),
            request.headers.cseq_view().map_or(0, |cseq| cseq.number),
        ),
    };
    ServerKey {
        branch,
        sent_by,
        method: method.to_string(),
    }
}
