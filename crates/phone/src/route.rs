//! From which of this computer's addresses a registrar is reached.

use std::fmt;
use std::io;
use std::net::{IpAddr, SocketAddr, UdpSocket};
use std::sync::Arc;

/// Tells the local address that leads to a registrar. The engine asks about once a second; when it hears another answer
/// twice it moves there, with its registration and its calls.
#[derive(Clone, Default)]
pub struct Route(Option<Arc<Chosen>>);

type Chosen = dyn Fn(SocketAddr) -> io::Result<IpAddr> + Send + Sync;

impl Route {
    /// By the system's routing table.
    pub fn of_system() -> Self {
        Self(None)
    }

    /// By whoever knows better than the routing table. `choose` is given the registrar's address, and is called on the SIP
    /// thread: it must not wait. An error means that no way leads there for now.
    pub fn chosen(
        choose: impl Fn(SocketAddr) -> io::Result<IpAddr> + Send + Sync + 'static,
    ) -> Self {
        Self(Some(Arc::new(choose)))
    }

    /// Always through this address.
    pub fn through(address: IpAddr) -> Self {
        Self::chosen(move |_| Ok(address))
    }

    /// The local address towards the registrar.
    pub(crate) fn towards(&self, registrar: SocketAddr) -> io::Result<IpAddr> {
        match &self.0 {
            Some(choose) => choose(registrar),
            None => by_table(registrar),
        }
    }

    /// What a connection to there has to be bound to: nothing where the system chooses by itself.
    pub(crate) fn binding(&self, registrar: SocketAddr) -> io::Result<Option<IpAddr>> {
        self.0.as_ref().map(|choose| choose(registrar)).transpose()
    }
}

impl fmt::Debug for Route {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self.0 {
            Some(_) => "Route(chosen)",
            None => "Route(of the system)",
        })
    }
}

/// Connecting a UDP socket sends nothing.
fn by_table(registrar: SocketAddr) -> io::Result<IpAddr> {
    let any: IpAddr = match registrar.ip() {
        IpAddr::V4(_) => [0, 0, 0, 0].into(),
        IpAddr::V6(_) => [0u16; 8].into(),
    };
    let probe = UdpSocket::bind((any, 0))?;
    probe.connect(registrar)?;
    Ok(probe.local_addr()?.ip())
}
