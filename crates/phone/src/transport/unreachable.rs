//! Datagrams that did not arrive, as ICMP tells it and the system passes it on (RFC 3261 section 18.4).
//!
//! Linux names the destination of each. What this module does not learn, the transactions' timers find out.

use tokio::io::Interest;

#[cfg(target_os = "linux")]
pub(super) use linux::{ask_for, next};

/// What a socket is waited for: datagrams, and news of those that did not arrive where they can be read. What cannot be read
/// would wake its waiter for ever.
pub(super) const INTEREST: Interest = match cfg!(target_os = "linux") {
    true => Interest::READABLE.add(Interest::ERROR),
    false => Interest::READABLE,
};

#[cfg(target_os = "linux")]
mod linux {
    use std::io::IoSliceMut;
    use std::net::SocketAddr;
    use std::os::fd::AsRawFd as _;

    use nix::sys::socket::{
        ControlMessageOwned, MsgFlags, SockaddrStorage, recvmsg, setsockopt, sockopt,
    };
    use tokio::io::Interest;
    use tokio::net::UdpSocket;

    /// Room for what comes beside a datagram: `sock_extended_err` with an IPv6 address, and more.
    const BESIDE: usize = 128;
    /// `ee_origin`: who told it (linux/errqueue.h).
    const ICMP: u8 = 2;
    const ICMP6: u8 = 3;

    /// Asks the system to keep what ICMP says about this socket's datagrams. Without it timers do.
    pub(in crate::transport) fn ask_for(socket: &UdpSocket) {
        let asked = match socket.local_addr() {
            Ok(SocketAddr::V6(_)) => setsockopt(socket, sockopt::Ipv6RecvErr, &true),
            _ => setsockopt(socket, sockopt::Ipv4RecvErr, &true),
        };
        if let Err(error) = asked {
            tracing::debug!(%error, "ICMP is not passed on");
        }
    }

    /// The destination of a datagram that could not be delivered; none when nothing more is known. Call it until then.
    pub(in crate::transport) fn next(socket: &UdpSocket) -> Option<SocketAddr> {
        loop {
            let told = socket.try_io(Interest::ERROR, || Ok(read(socket.as_raw_fd())?));
            if let Some(destination) = told.ok()? {
                return Some(destination);
            }
        }
    }

    /// One entry of the socket's error queue: where it was to go, where that is a failure to send.
    fn read(socket: std::os::fd::RawFd) -> nix::Result<Option<SocketAddr>> {
        let mut datagram = [0; 64];
        let mut slices = [IoSliceMut::new(&mut datagram)];
        let mut beside = vec![0; BESIDE];
        let flags = MsgFlags::MSG_ERRQUEUE | MsgFlags::MSG_DONTWAIT;
        let told = recvmsg::<SockaddrStorage>(socket, &mut slices, Some(&mut beside), flags)?;
        let is_failure = told.cmsgs()?.any(|message| match message {
            ControlMessageOwned::Ipv4RecvErr(error, _)
            | ControlMessageOwned::Ipv6RecvErr(error, _) => {
                is_failure(error.ee_origin, error.ee_type, error.ee_code)
            }
            _ => false,
        });
        let destination = told.address.filter(|_| is_failure);
        Ok(destination.and_then(|to| address(&to)))
    }

    /// Unreachable, or not understood; not that time or size was exceeded (RFC 3261 section 18.4).
    fn is_failure(origin: u8, kind: u8, code: u8) -> bool {
        const FRAGMENTATION_NEEDED: u8 = 4;
        match (origin, kind) {
            (ICMP, 3) => code != FRAGMENTATION_NEEDED,
            (ICMP, 12) | (ICMP6, 1 | 4) => true,
            _ => false,
        }
    }

    fn address(storage: &SockaddrStorage) -> Option<SocketAddr> {
        let v4 = storage.as_sockaddr_in();
        let v6 = storage.as_sockaddr_in6();
        v4.map(|v4| std::net::SocketAddrV4::from(*v4).into())
            .or_else(|| v6.map(|v6| std::net::SocketAddrV6::from(*v6).into()))
    }

    #[cfg(test)]
    mod tests {
        use super::*;

        #[tokio::test]
        async fn each_datagram_to_a_closed_port_is_told_with_its_destination() {
            let socket = UdpSocket::bind("127.0.0.1:0").await.expect("a socket");
            ask_for(&socket);
            let closed = ["127.0.0.1", "127.0.0.2"].map(|host| {
                let free = std::net::UdpSocket::bind((host, 0)).expect("a free port");
                free.local_addr().expect("an address")
            });
            for to in closed {
                // The second takes what is told of the first for an answer of its own.
                while socket.send_to(b"?", to).await.is_err() {}
            }
            let mut told = Vec::new();
            while told.len() < closed.len() {
                socket.ready(Interest::ERROR).await.expect("a socket");
                told.extend(next(&socket));
            }
            assert_eq!(told, closed);
            assert_eq!(next(&socket), None);
        }

        #[test]
        fn what_is_too_long_or_under_way_too_long_has_not_failed() {
            let failures = [(ICMP, 3, 3), (ICMP, 3, 1), (ICMP6, 1, 4)];
            let others = [(ICMP, 3, 4), (ICMP, 11, 0), (ICMP6, 2, 0), (1, 0, 0)];
            assert!(failures.iter().all(|(o, k, c)| is_failure(*o, *k, *c)));
            assert!(!others.iter().any(|(o, k, c)| is_failure(*o, *k, *c)));
        }
    }
}

#[cfg(not(target_os = "linux"))]
pub(super) fn ask_for(_: &tokio::net::UdpSocket) {}

#[cfg(not(target_os = "linux"))]
pub(super) fn next(_: &tokio::net::UdpSocket) -> Option<std::net::SocketAddr> {
    None
}
