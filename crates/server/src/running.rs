//! Starting a server, and ending it.

use std::{net::SocketAddr, sync::Arc};

use thiserror::Error;
use tokio::{net::TcpListener, task::JoinHandle};
use tokio_util::sync::CancellationToken;

use crate::{
    Config,
    auth::{SealError, seal::Seal},
    core_link::{self, CoreHandle},
    db::{Database, DbError},
    driver,
    people::{self, NewPerson, PersonError},
};

/// Why a server did not start.
#[derive(Debug, Error)]
pub enum StartError {
    /// The address cannot be listened on.
    #[error("{address} cannot be listened on: {source}")]
    Listen {
        /// The address.
        address: SocketAddr,
        /// Why.
        source: std::io::Error,
    },
    /// The database cannot be used.
    #[error(transparent)]
    Database(#[from] DbError),
    /// The key file cannot be used.
    #[error(transparent)]
    Seal(#[from] SealError),
    /// The configuration asks for what is not there.
    #[error(transparent)]
    Config(#[from] crate::config::ConfigError),
    /// Passwords cannot be checked.
    #[error("passwords cannot be hashed on this machine: {0}")]
    Passwords(String),
}

/// A server that serves. Dropping it ends it without waiting; [`Running::shutdown`] waits.
#[derive(Debug)]
pub struct Running {
    address: SocketAddr,
    database: Database,
    seal: Seal,
    core: CoreHandle,
    stop: CancellationToken,
    tasks: Vec<JoinHandle<()>>,
}

/// Starts a server. It serves when this returns.
pub async fn start(config: Config) -> Result<Running, StartError> {
    let config = Arc::new(config);
    let database = Database::open(&config).await?;
    let seal = Seal::open(&config.data_dir)?;
    let listen = |source| StartError::Listen {
        address: config.listen,
        source,
    };
    let listener = TcpListener::bind(config.listen).await.map_err(listen)?;
    let address = listener.local_addr().map_err(listen)?;
    let stop = CancellationToken::new();
    let (core, inbox) = core_link::channel();
    let driver = tokio::spawn(driver::run(
        Arc::clone(&config),
        database.clone(),
        inbox,
        stop.child_token(),
    ));
    Ok(Running {
        address,
        database,
        seal,
        core,
        stop,
        tasks: vec![driver],
    })
}

impl Running {
    /// Where it listens, with the port it got.
    #[must_use]
    pub fn http_addr(&self) -> SocketAddr {
        self.address
    }

    /// The board and the commands behind the edge.
    #[must_use]
    pub fn core(&self) -> &CoreHandle {
        &self.core
    }

    /// The database.
    #[must_use]
    pub fn database(&self) -> &Database {
        &self.database
    }

    /// Adds a person while it serves.
    pub async fn add_person(&self, person: NewPerson) -> Result<(), PersonError> {
        people::add(&self.database, &self.seal, person).await
    }

    /// Ends it: takes no more requests, finishes those under way, writes what waits, closes.
    pub async fn shutdown(mut self) {
        self.stop.cancel();
        for task in self.tasks.drain(..) {
            let _ = task.await;
        }
        self.database.close().await;
    }
}

impl Drop for Running {
    fn drop(&mut self) {
        self.stop.cancel();
    }
}
