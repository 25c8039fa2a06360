//! From where a request comes.

use std::net::{IpAddr, SocketAddr};

use axum::http::HeaderMap;

/// The client's address: the connection's, or what a trusted proxy says it is.
///
/// X-Forwarded-For is read from its end, where the nearest proxy writes; the first address that is
/// no trusted proxy's is the client's. What stands before it is the client's own word.
pub(super) fn address(peer: SocketAddr, headers: &HeaderMap, trusted: &[IpAddr]) -> IpAddr {
    let mut address = peer.ip().to_canonical();
    let said = headers
        .get_all("x-forwarded-for")
        .iter()
        .filter_map(|value| value.to_str().ok())
        .flat_map(|value| value.split(','))
        .collect::<Vec<_>>();
    for hop in said.into_iter().rev() {
        if !trusted.contains(&address) {
            break;
        }
        match hop.trim().parse::<IpAddr>() {
            Ok(hop) => address = hop.to_canonical(),
            Err(_) => break,
        }
    }
    address
}

#[cfg(test)]
mod tests {
    use super::*;

    fn through(peer: &str, forwarded: &str, trusted: &[&str]) -> String {
        let mut headers = HeaderMap::new();
        headers.insert("x-forwarded-for", forwarded.parse().unwrap());
        let trusted: Vec<IpAddr> = trusted.iter().map(|ip| ip.parse().unwrap()).collect();
        let peer = SocketAddr::new(peer.parse().unwrap(), 1);
        address(peer, &headers, &trusted).to_string()
    }

    #[test]
    fn only_a_trusted_proxy_may_say_who_the_client_is() {
        assert_eq!(
            through("192.0.2.1", "203.0.113.9", &[]),
            "192.0.2.1",
            "nobody is trusted"
        );
        assert_eq!(
            through("192.0.2.1", "203.0.113.9", &["192.0.2.1"]),
            "203.0.113.9"
        );
        assert_eq!(
            through("192.0.2.1", "10.0.0.1, 203.0.113.9", &["192.0.2.1"]),
            "203.0.113.9",
            "what stands before is the client's own word"
        );
        assert_eq!(
            through("192.0.2.1", "nonsense", &["192.0.2.1"]),
            "192.0.2.1"
        );
    }
}
