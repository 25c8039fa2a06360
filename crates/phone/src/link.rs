//! The SIP socket of one account and the user agent behind it.

use std::net::{IpAddr, SocketAddr};
use std::time::{Duration, Instant};

use rollcall_sip::message::parse_uri;
use rollcall_sip::{Config, NameAddr, Timers, UserAgent};
use tokio::net::UdpSocket;

use crate::{Account, EngineConfig, resolve};

/// One account's way to its registrar.
#[derive(Debug)]
pub(crate) struct Link {
    pub(crate) socket: UdpSocket,
    pub(crate) ua: UserAgent,
    pub(crate) registrar: SocketAddr,
    /// The registrar's host as the account names it, for URIs.
    pub(crate) host: String,
    /// Our address for SIP and RTP.
    pub(crate) local: IpAddr,
    pub(crate) account: Account,
}

impl Link {
    /// Binds a socket towards the registrar and begins to register.
    pub(crate) fn open(
        account: Account,
        registrar: SocketAddr,
        config: &EngineConfig,
    ) -> Result<Self, String> {
        let words = |error: std::io::Error| error.to_string();
        let local = match config.bind {
            Some(bind) => bind,
            None => resolve::local_address(registrar).map_err(words)?,
        };
        let socket = std::net::UdpSocket::bind((local, 0)).map_err(words)?;
        socket.set_nonblocking(true).map_err(words)?;
        let address = socket.local_addr().map_err(words)?;
        let socket = UdpSocket::from_std(socket).map_err(words)?;
        let t1 = config.sip_t1;
        let settings = Config {
            timers: Timers {
                t1,
                t2: t1 * 8,
                t4: t1 * 10,
            },
            max_calls: config.max_calls,
            ..Config::phone(
                address,
                contact_user(&account),
                user_agent(&account, config),
                rand::random(),
            )
        };
        let host = resolve::host(&account.registrar).unwrap_or_default();
        let mut link = Self {
            socket,
            ua: UserAgent::new(settings, Instant::now()),
            registrar,
            host,
            local,
            account,
        };
        link.register()?;
        Ok(link)
    }

    fn register(&mut self) -> Result<(), String> {
        let host = bracketed(&self.host);
        let registrar = match self.registrar.port() {
            5060 => parse_uri(&format!("sip:{host}")),
            port => parse_uri(&format!("sip:{host}:{port}")),
        };
        let account = rollcall_sip::Account {
            aor: self.identity()?,
            registrar: registrar.map_err(|refusal| refusal.reason)?,
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

    /// The same as [`Self::flush`] for a link that is about to go: what the socket cannot take at once is lost.
    pub(crate) fn flush_now(&mut self) {
        while let Some(transmit) = self.ua.poll_transmit() {
            let _ = self
                .socket
                .try_send_to(&transmit.bytes, transmit.destination);
        }
    }

    /// Puts everything on the wire that the user agent has ready.
    pub(crate) async fn flush(&mut self) {
        while let Some(transmit) = self.ua.poll_transmit() {
            // A lost datagram is the transactions' business; so is a socket that fails.
            if let Err(error) = self
                .socket
                .send_to(&transmit.bytes, transmit.destination)
                .await
            {
                tracing::debug!(%error, destination = %transmit.destination, "SIP socket");
            }
        }
    }
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

    use super::{contact_user, user_agent};
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
}
