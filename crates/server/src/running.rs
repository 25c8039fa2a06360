//! Starting a server, and ending it.

use std::{net::SocketAddr, sync::Arc};

use axum::{Router, middleware::from_fn_with_state};
use socketioxide::SocketIo;
use thiserror::Error;
use tokio::{net::TcpListener, sync::broadcast, task::JoinHandle};
use tokio_util::sync::CancellationToken;

use crate::{
    Config,
    auth::{guesses::Guesses, passwords::Passwords},
    budget::Rates,
    core_link::{self, CoreHandle},
    db::{Database, DbError},
    driver, events, expiry,
    instance::{Folder, InstanceError, Place},
    listen,
    metrics::Metrics,
    people::{Actor, NewPerson, Office, PersonError},
    provision::{self, ProvisionError},
    realtime,
    routes::{
        self, Edge, Replays,
        room::{self, Room},
    },
    tls::{Tls, TlsError},
};

/// Why a server did not start.
#[derive(Debug, Error)]
pub enum StartError {
    /// The address cannot be listened on.
    #[error("{address} cannot be listened on: {error}")]
    Listen {
        /// The address.
        address: SocketAddr,
        /// Why.
        error: std::io::Error,
    },
    /// The database cannot be used.
    #[error(transparent)]
    Database(#[from] DbError),
    /// It cannot be told from other servers.
    #[error(transparent)]
    Instance(#[from] InstanceError),
    /// SIP passwords cannot be opened, or the key they are to be sealed with not be made.
    #[error(transparent)]
    Seal(#[from] crate::PersonError),
    /// The configuration asks for what is not there.
    #[error(transparent)]
    Config(#[from] crate::config::ConfigError),
    /// TLS is asked for and cannot be spoken.
    #[error("TLS: {0}")]
    Tls(#[from] TlsError),
    /// The phones' rows cannot be put in order.
    #[error(transparent)]
    Provision(#[from] ProvisionError),
    /// Passwords cannot be checked.
    #[error("passwords cannot be hashed on this machine: {0}")]
    Passwords(String),
}

/// A server that serves. Dropping it ends it without waiting; [`Running::shutdown`] waits.
#[derive(Debug)]
pub struct Running {
    address: SocketAddr,
    metrics_address: Option<SocketAddr>,
    metrics: Metrics,
    database: Database,
    office: Office,
    core: CoreHandle,
    place: Place,
    stop: CancellationToken,
    tasks: Vec<JoinHandle<()>>,
    // Given back last: by then nobody writes.
    _folder: Folder,
}

/// Starts a server. It serves when this returns: where another one serves this database and this
/// Asterisk, once that one ends or falls silent.
pub async fn start(config: Config) -> Result<Running, StartError> {
    let config = Arc::new(config);
    let metrics = Metrics::default();
    let database = Database::open_counted(&config, metrics.commits()).await?;
    let seal = crate::people::seal(&config, &database).await?;
    let tls = config.tls.as_ref().map(Tls::open).transpose()?;
    let (folder, place) = Place::of(&config, &database)?;
    place.take().await;
    let (listener, address) = bind(config.listen).await?;
    let figures = match config.metrics.listen {
        Some(address) => Some(bind(address).await?),
        None => None,
    };
    let metrics_address = figures.as_ref().map(|(_, address)| *address);
    let (core, inbox) = core_link::channel();
    let passwords = Passwords::new(config.auth.hashers(), config.auth.hash_queue)
        .await
        .map_err(|error| StartError::Passwords(error.to_string()))?;
    let office = Office::new(database.clone(), seal.clone(), passwords.clone());
    if provision::is_realtime(&config) {
        provision::realtime(&office, &config, &Actor::server()).await?;
    }
    let edge = Arc::new(Edge {
        database: database.clone(),
        core: core.clone(),
        passwords,
        office: office.clone(),
        guesses: Guesses::new(&config.auth),
        requests: Rates::a_second(config.limits.requests_per_account),
        seal,
        replays: Replays::default(),
        metrics: metrics.clone(),
        config: Arc::clone(&config),
    });
    let stop = CancellationToken::new();
    let stop_core = CancellationToken::new();
    let (sockets, layer, polls, board) = realtime::edge(Arc::clone(&edge), stop_core.clone());
    let crowd = Arc::new(Room::new(&edge.config, polls.clone(), metrics.clone()));
    let app = routes::router(Arc::clone(&edge))
        .layer(layer)
        .layer(from_fn_with_state(polls, realtime::note))
        .layer(from_fn_with_state(crowd, room::make));
    let app = routes::for_origins(app, &edge.config.origins);
    let limits = listen::Limits::from(&*edge.config);
    let acceptor = tls.as_ref().map(Tls::acceptor);
    let core_task = driver::run(
        config,
        database.clone(),
        inbox,
        metrics.ami(),
        stop_core.clone(),
    );
    let edge_task = serve(
        listener,
        app,
        (limits.clone().over(acceptor), metrics.clone()),
        sockets,
        stop.clone(),
        stop_core,
    );
    let mut tasks = vec![
        tokio::spawn(edge_task),
        tokio::spawn(board),
        tokio::spawn(expiry::run(edge, stop.clone())),
        tokio::spawn(place.clone().keep(stop.clone())),
        tokio::spawn(core_task),
    ];
    if let Some(tls) = tls {
        tasks.push(tokio::spawn(tls.watch(stop.clone())));
    }
    if let Some((listener, _)) = figures {
        let routes = routes::figures(metrics.clone());
        // Counted apart: scrapes are no clients.
        let uncounted = Metrics::default();
        let figures = listen::serve(listener, routes, limits, uncounted, stop.clone());
        tasks.push(tokio::spawn(figures));
    }
    Ok(Running {
        address,
        metrics_address,
        metrics,
        database,
        office,
        core,
        place,
        stop,
        tasks,
        _folder: folder,
    })
}

async fn bind(address: SocketAddr) -> Result<(TcpListener, SocketAddr), StartError> {
    let failed = |error| StartError::Listen { address, error };
    let listener = TcpListener::bind(address).await.map_err(failed)?;
    let address = listener.local_addr().map_err(failed)?;
    Ok((listener, address))
}

/// Serves until stopped; then lets requests under way finish while the core still answers them,
/// and only then stops the core and ends the Socket.IO connections.
async fn serve(
    listener: TcpListener,
    app: Router,
    (limits, metrics): (listen::Limits, Metrics),
    sockets: SocketIo,
    stop: CancellationToken,
    stop_core: CancellationToken,
) {
    let _core_stops_with_us = stop_core.clone().drop_guard();
    listen::serve(listener, app, limits, metrics, stop).await;
    stop_core.cancel();
    sockets.close().await;
}

impl Running {
    /// Where it listens, with the port it got.
    #[must_use]
    pub fn http_addr(&self) -> SocketAddr {
        self.address
    }

    /// Where `/metrics` is served, if it is.
    #[must_use]
    pub fn metrics_addr(&self) -> Option<SocketAddr> {
        self.metrics_address
    }

    /// What it counts.
    #[must_use]
    pub fn metrics(&self) -> &Metrics {
        &self.metrics
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

    /// What happens to extensions from now on: [`events::CONTACT_STATUS`] and
    /// [`events::AVAILABILITY_CHANGED`], each once its change is committed.
    #[must_use]
    pub fn events(&self) -> broadcast::Receiver<events::Event> {
        self.core.events()
    }

    /// Adds a person while it serves.
    pub async fn add_person(&self, person: NewPerson) -> Result<(), PersonError> {
        self.office.add(person, &Actor::command_line()).await?;
        self.core.tell_people(&self.database).await?;
        Ok(())
    }

    /// Ready when it has stopped serving by itself: another server has taken its place.
    pub fn succeeded(&self) -> impl Future<Output = ()> + Send + use<> {
        self.stop.clone().cancelled_owned()
    }

    /// Ends it: takes no more requests, finishes those under way, writes what waits, closes.
    pub async fn shutdown(mut self) {
        self.stop.cancel();
        for task in self.tasks.drain(..) {
            let _ = task.await;
        }
        self.place.leave().await;
        self.database.close().await;
    }
}

impl Drop for Running {
    fn drop(&mut self) {
        self.stop.cancel();
    }
}
