//! One account's way to its registrar: what carries it, and the user agent behind it.

use std::net::{IpAddr, SocketAddr};
use std::sync::Arc;
use std::time::{Duration, Instant};

use rollcall_sip::message::parse_uri;
use rollcall_sip::{Config, NameAddr, Timers, Transport, UserAgent};
use tokio::net::UdpSocket;
use uuid::Uuid;

use crate::resolve::{self, Place};
use crate::transport::{Established, Terms, Transports, Trusted, dial, trust};
use crate::{Account, EngineConfig};

/// One account's way to its registrar.
#[derive(Debug)]
pub(crate) struct Link {
    pub(crate) transports: Transports,
    pub(crate) ua: UserAgent,
    pub(crate) place: Place,
    /// The registrar's address, of `place`.
    pub(crate) registrar: SocketAddr,
    /// The registrar's host as the account names it, for URIs.
    pub(crate) host: String,
    /// Our address for SIP and RTP.
    pub(crate) local: IpAddr,
    pub(crate) account: Account,
    /// Places that the account's name stands for.
    pub(crate) places: usize,
    /// Places given up since the last registration.
    pub(crate) failovers: usize,
}

/// A registrar that was found, and reached where that can be told.
#[derive(Debug)]
pub(crate) struct Reached {
    way: Way,
    terms: Terms,
    places: usize,
}

impl Reached {
    pub(crate) fn place(&self) -> Place {
        match &self.way {
            Way::Datagrams(place) => *place,
            Way::Connected(established) => established.place,
        }
    }
}

#[derive(Debug)]
enum Way {
    /// Datagrams may go there; nobody knows yet whether they arrive.
    Datagrams(Place),
    Connected(Box<Established>),
}

/// Why there is no way to a registrar, in words.
#[derive(Debug)]
pub(crate) enum Unreached {
    NotFound(String),
    NoConnection(String),
}

/// Looks the registrar up and connects to the first place that lets us, beginning behind `after`.
pub(crate) async fn reach(
    account: &Account,
    config: &EngineConfig,
    after: Option<Place>,
) -> Result<Reached, Unreached> {
    let found = resolve::places(&account.registrar, account.transport, config.dns).await;
    let mut found = found.map_err(Unreached::NotFound)?;
    if let Some(at) = found.iter().position(|place| Some(*place) == after) {
        let next = (at + 1) % found.len();
        found.rotate_left(next);
    }
    let terms = terms(account, config, &found).await;
    let terms = terms.map_err(Unreached::NoConnection)?;
    let mut words = "there is nowhere to connect to".to_owned();
    for place in &found {
        let way = match place.transport {
            Transport::Udp => Ok(Way::Datagrams(*place)),
            _ => dial(*place, &terms)
                .await
                .map(|established| Way::Connected(Box::new(established))),
        };
        match way {
            Ok(way) => {
                let places = found.len();
                return Ok(Reached { way, terms, places });
            }
            Err(why) => words = why,
        }
    }
    Err(Unreached::NoConnection(words))
}

async fn terms(
    account: &Account,
    config: &EngineConfig,
    places: &[Place],
) -> Result<Terms, String> {
    let is_secure = |place: &Place| matches!(place.transport, Transport::Tls | Transport::Wss);
    let trust = match places.iter().any(is_secure) {
        false => None,
        true => {
            let trusted = match (&config.trusted_ca, &account.authorities) {
                (Some(file), _) => Trusted::File(file.clone()),
                (None, Some(pem)) => Trusted::Pem(pem.clone()),
                (None, None) => Trusted::System,
            };
            // Certificates are read from files.
            let read = tokio::task::spawn_blocking(move || trust(&trusted)).await;
            Some(Arc::new(read.map_err(|error| error.to_string())??))
        }
    };
    Ok(Terms {
        name: resolve::host(&account.registrar).unwrap_or_default(),
        bind: config.bind,
        route: config.route.clone(),
        path: config.websocket_path.clone(),
        trust,
    })
}

impl Link {
    /// Takes the way to the registrar and begins to register.
    pub(crate) fn open(
        account: Account,
        reached: Reached,
        config: &EngineConfig,
    ) -> Result<Self, String> {
        let (places, place) = (reached.places, reached.place());
        let (transports, address) = take(reached, config)?;
        let t1 = config.sip_t1;
        let settings = Config {
            transport: place.transport,
            timers: Timers {
                t1,
                t2: t1 * 8,
                t4: t1 * 10,
            },
            max_calls: config.max_calls,
            instance: Some(instance(&account.device_id)),
            ..Config::phone(
                address,
                contact_user(&account),
                user_agent(&account, config),
                rand::random(),
            )
        };
        let host = resolve::host(&account.registrar).unwrap_or_default();
        let mut link = Self {
            transports,
            ua: UserAgent::new(settings, Instant::now()),
            place,
            registrar: place.address,
            host,
            local: address.ip(),
            account,
            places,
            failovers: 0,
        };
        link.register()?;
        Ok(link)
    }

    /// Takes another way, with the same user agent: registers again, calls stay.
    pub(crate) fn take_over(
        &mut self,
        reached: Reached,
        config: &EngineConfig,
    ) -> Result<(), String> {
        let (places, place) = (reached.places, reached.place());
        let (transports, address) = take(reached, config)?;
        (self.transports, self.place, self.places) = (transports, place, places);
        (self.registrar, self.local) = (place.address, address.ip());
        self.ua
            .relocate(Instant::now(), place.transport, address, place.address);
        Ok(())
    }

    fn register(&mut self) -> Result<(), String> {
        let uri = parse_uri(&format!("sip:{}", self.account.registrar.trim()));
        let mut registrar = uri.map_err(|refusal| refusal.reason)?;
        let port = &mut registrar.host_with_port.port;
        if port.as_ref().is_some_and(|port| u16::from(*port) == 5060) {
            *port = None;
        }
        let account = rollcall_sip::Account {
            aor: self.identity()?,
            registrar,
            destination: self.registrar,
            credentials: self.account.credentials.clone(),
            expires: self.account.expires.max(Duration::from_secs(1)),
        };
        self.ua.register(Instant::now(), account);
        Ok(())
    }

    /// Our own address for From.
    pub(crate) fn identity(&self) -> Result<NameAddr, String> {
        let uri = format!("sip:{}@{}", self.account.user, bracketed(&self.host));
        let uri = parse_uri(&uri).map_err(|refusal| refusal.reason)?;
        let display = Some(self.account.display_name.clone()).filter(|name| !name.is_empty());
        Ok(NameAddr {
            display,
            ..NameAddr::new(uri)
        })
    }

    /// The same as [`Self::flush`] for a link that is about to go: what cannot be taken at once is lost.
    pub(crate) fn flush_now(&mut self) {
        while let Some(transmit) = self.ua.poll_transmit() {
            self.transports.send_now(&transmit);
        }
    }

    /// Puts everything on the wire that the user agent has ready, and tells it what could not be sent.
    pub(crate) async fn flush(&mut self) {
        while let Some(transmit) = self.ua.poll_transmit() {
            let (transport, destination) = (transmit.transport, transmit.destination);
            if !self.transports.send(transmit).await {
                let now = Instant::now();
                self.ua.handle_transport_error(now, transport, destination);
            }
        }
    }
}

/// The sockets of a way, and our own address on it.
fn take(reached: Reached, config: &EngineConfig) -> Result<(Transports, SocketAddr), String> {
    let words = |error: std::io::Error| error.to_string();
    let Reached { way, terms, .. } = reached;
    match way {
        Way::Connected(established) => {
            let local = established.local;
            let transports = Transports::stream(*established, terms, config.keep_alive);
            Ok((transports, local))
        }
        Way::Datagrams(place) => {
            let local = match config.bind {
                Some(bind) => bind,
                None => config.route.towards(place.address).map_err(words)?,
            };
            let socket = std::net::UdpSocket::bind((local, 0)).map_err(words)?;
            socket.set_nonblocking(true).map_err(words)?;
            let address = socket.local_addr().map_err(words)?;
            let socket = UdpSocket::from_std(socket).map_err(words)?;
            let transports = Transports::udp(socket, place.address, terms, config.keep_alive);
            Ok((transports, address))
        }
    }
}

/// The device as a URN (RFC 5626 section 4.1): its id where that is a UUID, else one made of it.
fn instance(device_id: &str) -> String {
    let uuid = Uuid::parse_str(device_id)
        .unwrap_or_else(|_| Uuid::new_v5(&Uuid::NAMESPACE_OID, device_id.as_bytes()));
    uuid.urn().to_string()
}

/// Unique to device and run, so that registrar and server know this very phone whatever NAT makes of host and port.
fn contact_user(account: &Account) -> String {
    let start = account.device_id.split('-').next().unwrap_or_default();
    // A UUID's own beginning, where there is one, is what a person can find again in the PBX's list.
    let device = match start.len() == 8 && start.chars().all(|c| c.is_ascii_hexdigit()) {
        true => start.to_ascii_lowercase(),
        false => format!("{:08x}", fingerprint(&account.device_id)),
    };
    format!("{}-{device}-{:08x}", account.user, rand::random::<u32>())
}

/// FNV-1a: short, stable over runs, and needs no secrecy.
fn fingerprint(text: &str) -> u32 {
    text.bytes().fold(0x811c_9dc5, |hash, byte| {
        (hash ^ u32::from(byte)).wrapping_mul(0x0100_0193)
    })
}

/// The device id in brackets: the server recognises the device by it (in `ps_contacts.user_agent`).
fn user_agent(account: &Account, config: &EngineConfig) -> String {
    let device: String = account
        .device_id
        .chars()
        .filter(|c| c.is_ascii_alphanumeric() || "-_.:".contains(*c))
        .collect();
    format!("{} (device {device})", config.product)
}

fn bracketed(host: &str) -> String {
    if host.contains(':') {
        format!("[{host}]")
    } else {
        host.to_owned()
    }
}

#[cfg(test)]
mod tests {
    use rollcall_sip::Credentials;

    use super::{contact_user, instance, user_agent};
    use crate::{Account, EngineConfig};

    fn account(device: &str) -> Account {
        Account::new(
            "1001",
            "pbx.example",
            Credentials::new("1001", "pw"),
            device,
        )
    }

    #[test]
    fn the_contact_names_extension_device_and_run() {
        let device = "3F2504E0-4f89-41d3-9a0c-0305e82c3301";
        let (one, two) = (
            contact_user(&account(device)),
            contact_user(&account(device)),
        );
        assert!(one.starts_with("1001-3f2504e0-"), "{one}");
        assert_ne!(one, two, "each run its own");
        let other = contact_user(&account("any text; at all"));
        assert!(
            other.chars().all(|c| c.is_ascii_hexdigit() || c == '-'),
            "{other}"
        );
        assert_eq!(other.len(), one.len());
    }

    #[test]
    fn the_user_agent_carries_the_device_and_nothing_that_could_break_a_header() {
        let shown = user_agent(&account("d-1\r\nEvil: x"), &EngineConfig::default());
        assert_eq!(
            shown,
            format!("Rollcall/{} (device d-1Evil:x)", env!("CARGO_PKG_VERSION"))
        );
    }

    #[test]
    fn the_instance_is_the_devices_uuid_or_lasts_as_long_as_its_id() {
        let uuid = "3f2504e0-4f89-41d3-9a0c-0305e82c3301";
        assert_eq!(instance(uuid), format!("urn:uuid:{uuid}"));
        assert_eq!(instance("desk 7"), instance("desk 7"));
        assert_ne!(instance("desk 7"), instance("desk 8"));
        assert!(instance("desk 7").starts_with("urn:uuid:"));
    }
}
