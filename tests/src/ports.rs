//! Ports for programs that must be told a number in their configuration.
//!
//! "Bind port 0, close, use the number" loses a race now and then when tests run side by side. A [`Port`] is held by a
//! locked file for as long as it lives, in a range the kernel gives to nobody, so no two tests ever share one.

use std::fs::{File, OpenOptions};
use std::net::{Ipv4Addr, TcpListener, UdpSocket};
use std::path::PathBuf;

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
        find(Port::claim)
    }

    /// Reserves two in a row, for a program that takes the next one without being asked.
    ///
    /// # Panics
    ///
    /// If there are none, or the claims' folder cannot be written.
    pub fn reserve_two() -> [Port; 2] {
        find(|number| Some([Port::claim(number)?, Port::claim(number + 1)?]))
    }

    /// Reserves three in a row.
    ///
    /// # Panics
    ///
    /// If there are none, or the claims' folder cannot be written.
    pub fn reserve_three() -> [Port; 3] {
        let claim = |number: u16| Port::claim(number);
        find(|number| Some([claim(number)?, claim(number + 1)?, claim(number + 2)?]))
    }

    /// The port of this number, if nobody has it.
    fn claim(number: u16) -> Option<Port> {
        let file = OpenOptions::new()
            .create(true)
            .truncate(false)
            .write(true)
            .open(folder().join(number.to_string()))
            .ok()?;
        let claim = Flock::lock(file, FlockArg::LockExclusiveNonblock).ok()?;
        is_free(number).then_some(Port {
            number,
            _claim: claim,
        })
    }

    /// The number.
    pub fn number(&self) -> u16 {
        self.number
    }
}

/// Looks through the range for what `claim` takes. Processes begin at different places, so that they seldom try the
/// same files.
fn find<T>(claim: impl Fn(u16) -> Option<T>) -> T {
    let folder = folder();
    std::fs::create_dir_all(&folder)
        .unwrap_or_else(|error| panic!("{}: {error}", folder.display()));
    let begin = (std::process::id() % u32::from(RANGE.end - RANGE.start)) as u16;
    (RANGE.start + begin..RANGE.end)
        .chain(RANGE.start..RANGE.start + begin)
        .find_map(claim)
        .unwrap_or_else(|| panic!("no free port in {RANGE:?}"))
}

fn folder() -> PathBuf {
    std::env::temp_dir().join("rollcall-ports")
}

fn is_free(number: u16) -> bool {
    let address = (Ipv4Addr::LOCALHOST, number);
    UdpSocket::bind(address).is_ok() && TcpListener::bind(address).is_ok()
}
