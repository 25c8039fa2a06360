//! From a registrar's name to the places to try, best first (RFC 3263).

use std::net::{IpAddr, SocketAddr};
use std::time::Duration;

use hickory_resolver::TokioResolver;
use hickory_resolver::config::{ConnectionConfig, NameServerConfig, ResolverConfig};
use hickory_resolver::net::runtime::TokioRuntimeProvider;
use hickory_resolver::proto::rr::{RData, RecordType};
use rand::Rng as _;
use rollcall_sip::Transport;

/// How long one question to the name service may take.
const PATIENCE: Duration = Duration::from_secs(3);
/// Places that are tried for one name.
const MAX_PLACES: usize = 16;

/// Where to reach the registrar, and how.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) struct Place {
    pub(crate) transport: Transport,
    pub(crate) address: SocketAddr,
}

/// Everywhere the registrar may be reached, best first, at least one. `host`, `host:port`, `[v6]` and `[v6]:port` are
/// understood. Without a port the domain is asked for its servers (SRV), without a transport also for those (NAPTR).
/// `dns` is asked in place of the system's name server.
pub(crate) async fn places(
    registrar: &str,
    transport: Option<Transport>,
    dns: Option<SocketAddr>,
) -> Result<Vec<Place>, String> {
    let (host, port) = split(registrar)?;
    if let (Ok(ip), port) = (host.parse::<IpAddr>(), port) {
        let transport = transport.unwrap_or(Transport::Udp);
        let address = SocketAddr::new(ip, port.unwrap_or(transport.default_port()));
        return Ok(vec![Place { transport, address }]);
    }
    let mut places = Vec::new();
    // A name without a dot is one of this network's hosts and no domain.
    if port.is_none() && host.contains('.') {
        for (transport, target, port) in servers(&host, transport, dns).await {
            if places.len() >= MAX_PLACES {
                break;
            }
            places.extend(
                addresses(&target, port, transport)
                    .await
                    .unwrap_or_default(),
            );
        }
    }
    if places.is_empty() {
        let transport = transport.unwrap_or(Transport::Udp);
        let port = port.unwrap_or(transport.default_port());
        places = addresses(&host, port, transport).await?;
    }
    places.truncate(MAX_PLACES);
    Ok(places)
}

/// The host part of `host[:port]`, as it belongs into URIs.
pub(crate) fn host(registrar: &str) -> Option<String> {
    split(registrar).ok().map(|(host, _)| host)
}

async fn addresses(host: &str, port: u16, transport: Transport) -> Result<Vec<Place>, String> {
    let lookup = tokio::net::lookup_host((host, port));
    let mut found: Vec<SocketAddr> = match tokio::time::timeout(PATIENCE, lookup).await {
        Err(_) => return Err("the name service did not answer".to_owned()),
        Ok(Err(error)) => return Err(error.to_string()),
        Ok(Ok(found)) => found.collect(),
    };
    // IPv4 first: telephone servers that speak both rarely route both.
    found.sort_by_key(SocketAddr::is_ipv6);
    match found.is_empty() {
        true => Err("the name has no address".to_owned()),
        false => Ok(found
            .into_iter()
            .map(|address| Place { transport, address })
            .collect()),
    }
}

/// The servers of a domain with transport, name and port, in the order to try them; none where it names none.
async fn servers(
    domain: &str,
    transport: Option<Transport>,
    dns: Option<SocketAddr>,
) -> Vec<(Transport, String, u16)> {
    let Some(resolver) = resolver(dns) else {
        return Vec::new();
    };
    let services = match transport {
        Some(transport) => match service(transport) {
            Some(service) => vec![(transport, format!("{service}.{domain}."))],
            None => Vec::new(),
        },
        None => services(&resolver, domain).await,
    };
    let mut servers = Vec::new();
    for (transport, name) in services {
        for (target, port) in srv(&resolver, &name).await {
            servers.push((transport, target, port));
        }
    }
    // A broken or a forged answer may name hundreds, and each is asked for in turn.
    servers.truncate(MAX_PLACES);
    servers
}

/// What a domain offers: by NAPTR in its own order, else whatever has an SRV record (RFC 3263 section 4.1).
async fn services(resolver: &TokioResolver, domain: &str) -> Vec<(Transport, String)> {
    let mut offered = Vec::new();
    for data in ask(resolver, &format!("{domain}."), RecordType::NAPTR).await {
        let RData::NAPTR(naptr) = data else { continue };
        let transport = match naptr.services.to_ascii_uppercase().as_slice() {
            b"SIP+D2U" => Transport::Udp,
            b"SIP+D2T" => Transport::Tcp,
            b"SIPS+D2T" => Transport::Tls,
            _ => continue,
        };
        if naptr.flags.eq_ignore_ascii_case(b"s") {
            let order = (naptr.order, naptr.preference);
            offered.push((order, transport, naptr.replacement.to_utf8()));
        }
    }
    offered.sort_by_key(|(order, _, _)| *order);
    if !offered.is_empty() {
        let in_order = offered.into_iter();
        return in_order
            .map(|(_, transport, name)| (transport, name))
            .collect();
    }
    [Transport::Udp, Transport::Tcp, Transport::Tls]
        .into_iter()
        .filter_map(|transport| Some((transport, format!("{}.{domain}.", service(transport)?))))
        .collect()
}

fn service(transport: Transport) -> Option<&'static str> {
    match transport {
        Transport::Udp => Some("_sip._udp"),
        Transport::Tcp => Some("_sip._tcp"),
        Transport::Tls => Some("_sips._tcp"),
        // RFC 7118 knows no SRV for WebSockets: their URI is configured.
        Transport::Ws | Transport::Wss => None,
    }
}

/// Names and ports by priority, and within one by weighted lot (RFC 2782).
async fn srv(resolver: &TokioResolver, name: &str) -> Vec<(String, u16)> {
    let mut targets = Vec::new();
    for data in ask(resolver, name, RecordType::SRV).await {
        let RData::SRV(srv) = data else { continue };
        let target = srv.target.to_utf8();
        let target = target.trim_end_matches('.').to_owned();
        if !target.is_empty() {
            // The exponential race: heavier ones tend to come first, the weightless last.
            let chance: f64 = rand::rng().random_range(f64::EPSILON..1.0);
            let lot = -chance.ln() / f64::from(srv.weight).max(0.001);
            targets.push((srv.priority, lot, target, srv.port));
        }
    }
    targets.sort_by(|a, b| a.0.cmp(&b.0).then(a.1.total_cmp(&b.1)));
    let in_order = targets.into_iter();
    in_order
        .map(|(_, _, target, port)| (target, port))
        .collect()
}

async fn ask(resolver: &TokioResolver, name: &str, kind: RecordType) -> Vec<RData> {
    let answer = tokio::time::timeout(PATIENCE, resolver.lookup(name, kind)).await;
    match answer {
        Ok(Ok(found)) => {
            let records = found.answers().iter();
            records.map(|record| record.data.clone()).collect()
        }
        Ok(Err(error)) => {
            tracing::debug!(%error, name, %kind, "name service");
            Vec::new()
        }
        Err(_) => {
            tracing::debug!(name, %kind, "the name service did not answer");
            Vec::new()
        }
    }
}

fn resolver(dns: Option<SocketAddr>) -> Option<TokioResolver> {
    let builder = match dns {
        Some(server) => {
            let mut udp = ConnectionConfig::udp();
            udp.port = server.port();
            let server = NameServerConfig::new(server.ip(), true, vec![udp]);
            let config = ResolverConfig::from_parts(None, Vec::new(), vec![server]);
            TokioResolver::builder_with_config(config, TokioRuntimeProvider::default())
        }
        None => TokioResolver::builder_tokio()
            .inspect_err(|error| tracing::debug!(%error, "no name server is configured"))
            .ok()?,
    };
    builder
        .build()
        .inspect_err(|error| tracing::debug!(%error, "no resolver"))
        .ok()
}

fn split(registrar: &str) -> Result<(String, Option<u16>), String> {
    let malformed = || "the registrar is not host or host:port".to_owned();
    let registrar = registrar.trim();
    let (host, port) = match registrar.strip_prefix('[') {
        Some(rest) => {
            let (host, after) = rest.split_once(']').ok_or_else(malformed)?;
            (host, after.strip_prefix(':'))
        }
        None => match registrar.split_once(':') {
            Some((host, port)) => (host, Some(port)),
            None => (registrar, None),
        },
    };
    let port = port.map(str::parse).transpose().map_err(|_| malformed())?;
    if host.is_empty() || host.contains(|c: char| c.is_whitespace() || c.is_control()) {
        return Err(malformed());
    }
    Ok((host.to_owned(), port))
}

#[cfg(test)]
mod tests;
