//! From a registrar's name to the addresses of both ends.

use std::net::{IpAddr, SocketAddr, UdpSocket};
use std::time::Duration;

/// SIP's port where none is given (RFC 3261 section 19.1.2).
const SIP_PORT: u16 = 5060;
/// How long the name service may take.
const PATIENCE: Duration = Duration::from_secs(5);

/// The registrar's first address. `host`, `host:port`, `[v6]` and `[v6]:port` are understood.
pub(crate) async fn resolve(registrar: &str) -> Result<SocketAddr, String> {
    let (host, port) = split(registrar)?;
    let lookup = tokio::net::lookup_host((host.as_str(), port));
    match tokio::time::timeout(PATIENCE, lookup).await {
        Err(_) => Err("the name service did not answer".to_owned()),
        Ok(Err(error)) => Err(error.to_string()),
        // IPv4 first: telephone servers that speak both rarely route both.
        Ok(Ok(found)) => found
            .min_by_key(SocketAddr::is_ipv6)
            .ok_or_else(|| "the name has no address".to_owned()),
    }
}

/// The host part of `host[:port]`, as it belongs into URIs.
pub(crate) fn host(registrar: &str) -> Option<String> {
    split(registrar).ok().map(|(host, _)| host)
}

/// The local address that routes to the registrar; connecting a UDP socket sends nothing.
pub(crate) fn local_address(registrar: SocketAddr) -> std::io::Result<IpAddr> {
    let any: IpAddr = match registrar.ip() {
        IpAddr::V4(_) => [0, 0, 0, 0].into(),
        IpAddr::V6(_) => [0u16; 8].into(),
    };
    let probe = UdpSocket::bind((any, 0))?;
    probe.connect(registrar)?;
    Ok(probe.local_addr()?.ip())
}

fn split(registrar: &str) -> Result<(String, u16), String> {
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
    let port = port.map_or(Ok(SIP_PORT), |port| port.parse().map_err(|_| malformed()))?;
    if host.is_empty() || host.contains(|c: char| c.is_whitespace() || c.is_control()) {
        return Err(malformed());
    }
    Ok((host.to_owned(), port))
}

#[cfg(test)]
mod tests {
    use super::split;

    #[test]
    fn registrars_are_read_with_and_without_port_and_as_ipv6() {
        assert_eq!(split("pbx.example"), Ok(("pbx.example".into(), 5060)));
        assert_eq!(split("127.0.0.1:5160"), Ok(("127.0.0.1".into(), 5160)));
        assert_eq!(split("[::1]:5070"), Ok(("::1".into(), 5070)));
        assert_eq!(split("[::1]"), Ok(("::1".into(), 5060)));
    }

    #[test]
    fn what_is_no_registrar_is_refused() {
        for wrong in [
            "",
            ":5060",
            "host:port",
            "a b",
            "host:99999",
            "[::1",
            "a\r\nb",
        ] {
            assert!(split(wrong).is_err(), "{wrong:?}");
        }
    }
}
