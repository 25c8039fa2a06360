//! Ports for programs that must be told a number in their configuration.
//!
//! "Bind port 0, close, use the number" loses a race now and then when tests run side by side. A [`Port`] is held by a
//! locked file for as long as it lives, in a range the kernel gives to nobody, so no two tests ever share one.

use std::fs::{File, OpenOptions};
use std::net::{Ipv4Addr, TcpListener, UdpSocket};

use nix::fcntl::{Flock, FlockArg};

/// Below the kernel's ephemeral range (from 32768), above what services use.
const RANGE: std::ops::Range<u16> = 20_000..30_000;

/// A port on 127.0.0.1 that is free for UDP and TCP and reserved among these tests.
#[derive(Debug)]
pub struct Port {
    number: u16,
    _claim: Flock<File>,
}

impl Port {
    /// Reserves a free one.
    ///
    /// # Panics
    ///
    /// If there is none, or the claims' folder cannot be written.
    pub fn reserve() -> Port {
        let folder = std::env::temp_dir().join("rollcall-ports");
        std::fs::create_dir_all(&folder)
            .unwrap_or_else(|error| panic!("{}: {error}", folder.display()));
        // Processes begin at different places, so that they seldom try the same files.
        let begin = (std::process::id() % u32::from(RANGE.end - RANGE.start)) as u16;
        let (low, high) = (
            RANGE.start + begin..RANGE.end,
            RANGE.start..RANGE.start + begin,
        );
        low.chain(high)
            .find_map(|number| {
                let path = folder.join(number.to_string());
                let file = OpenOptions::new()
                    .create(true)
                    .truncate(false)
                    .write(true)
                    .open(path)
                    .ok()?;
                let claim = Flock::lock(file, FlockArg::LockExclusiveNonblock).ok()?;
                is_free(number).then_some(Port {
                    number,
                    _claim: claim,
                })
            })
            .unwrap_or_else(|| panic!("no free port in {RANGE:?}"))
    }

    /// The number.
    pub fn number(&self) -> u16 {
        self.number
    }
}

fn is_free(number: u16) -> bool {
    let address = (Ipv4Addr::LOCALHOST, number);
    UdpSocket::bind(address).is_ok() && TcpListener::bind(address).is_ok()
}
