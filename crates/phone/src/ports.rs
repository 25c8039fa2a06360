//! A call's UDP ports: RTP at an even one, RTCP at the one above (RFC 3550 section 11).

use std::io;
use std::net::{IpAddr, SocketAddr, UdpSocket};

/// A call's sockets, bound before anything is offered.
#[derive(Debug)]
pub(crate) struct MediaSockets {
    pub(crate) rtp: UdpSocket,
    /// None when somebody else holds that port: reports then travel with RTP or not at all.
    pub(crate) rtcp: Option<UdpSocket>,
}

/// Pairs of ports to try; the last takes what there is.
const ATTEMPTS: usize = 32;

impl MediaSockets {
    /// Two ports in a row on `local`, and the address of the first.
    pub(crate) fn bind(local: IpAddr) -> Result<(MediaSockets, SocketAddr), String> {
        let mut held = Vec::new();
        for attempt in 0..ATTEMPTS {
            let (rtp, address) = bind(local, 0)
                .map_err(|error| format!("There is no port for the call's sound: {error}."))?;
            if address.port() % 2 == 1 {
                held.push(rtp); // so that the system gives another one
                continue;
            }
            let rtcp = bind(local, address.port() + 1)
                .ok()
                .map(|(socket, _)| socket);
            if rtcp.is_some() || attempt > ATTEMPTS / 2 {
                return Ok((MediaSockets { rtp, rtcp }, address));
            }
            held.push(rtp);
        }
        Err("There is no even port for the call's sound.".to_owned())
    }
}

fn bind(local: IpAddr, port: u16) -> io::Result<(UdpSocket, SocketAddr)> {
    let socket = UdpSocket::bind((local, port))?;
    socket.set_nonblocking(true)?;
    let address = socket.local_addr()?;
    Ok((socket, address))
}

#[cfg(test)]
mod tests {
    use std::net::Ipv4Addr;

    use super::*;

    #[test]
    fn rtcp_has_the_port_above_an_even_one_of_rtp() {
        let mut held = Vec::new();
        for _ in 0..50 {
            let (sockets, address) = MediaSockets::bind(Ipv4Addr::LOCALHOST.into()).expect("ports");
            assert_eq!(address.port() % 2, 0);
            if let Some(rtcp) = &sockets.rtcp {
                let above = rtcp.local_addr().expect("bound").port();
                assert_eq!(above, address.port() + 1);
            }
            held.push(sockets);
        }
        assert!(held.iter().filter(|sockets| sockets.rtcp.is_some()).count() > 40);
    }
}
