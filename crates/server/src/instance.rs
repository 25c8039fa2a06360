//! This server among others on the same database: one of them speaks with an Asterisk, the others
//! stand by.
//!
//! Owns the folder's lock (two servers never share one), the name of this run, and the lease of the
//! manager's place in the database: taken before anything is served, moved on while it serves, given
//! back at the end. Whoever waits counts on its own monotonic clock how long the holder has been
//! silent. Leases of devices are not kept here: they live in the memory of who serves.

use std::{
    fs::{File, OpenOptions, TryLockError},
    io::{self, Read as _, Seek as _, Write as _},
    path::{Path, PathBuf},
    time::{Duration, Instant},
};

use thiserror::Error;
use tokio_util::sync::CancellationToken;
use uuid::Uuid;

use crate::{
    Config,
    auth::files,
    clock,
    db::{Database, Holder, Instance, Presence, Tenure, Write, WriteError},
};

/// The file in the data folder that names the server and is locked while it runs.
const FILE: &str = "instance";

/// Why a server cannot be one.
#[derive(Debug, Error)]
pub enum InstanceError {
    /// Another runs on the same data folder.
    #[error("another server runs on {0}: give each a data_dir of its own")]
    InUse(PathBuf),
    /// The file cannot be used.
    #[error("{path}: {error}")]
    File {
        /// The file.
        path: PathBuf,
        /// Why.
        error: io::Error,
    },
}

/// The hold on the data folder; it ends with the process, whatever ends that.
#[derive(Debug)]
pub(crate) struct Folder {
    _locked: File,
}

/// A server that wants, or has, its place.
#[derive(Clone, Debug)]
pub(crate) struct Place {
    tenure: Tenure,
    database: Database,
    /// How long a holder is silent before its place is taken.
    silence: Duration,
}

impl Place {
    /// Locks the data folder and names this run.
    pub(crate) fn of(
        config: &Config,
        database: &Database,
    ) -> Result<(Folder, Self), InstanceError> {
        let (folder, id) = lock(&config.data_dir)?;
        let manager = match &config.ami {
            Some(ami) => format!("{}:{}", ami.host, ami.port),
            None => "none".to_owned(),
        };
        let instance = Instance {
            id,
            run: Uuid::new_v4().to_string(),
            name: config.listen.to_string(),
        };
        let place = Self {
            tenure: Tenure { manager, instance },
            database: database.clone(),
            silence: Duration::from_millis(config.database.takeover_ms),
        };
        Ok((folder, place))
    }

    /// Waits until the place is free, or its holder silent for long enough, and takes it. What the
    /// database refuses meanwhile is tried again.
    pub(crate) async fn take(&self) {
        let mut watched: Option<(Holder, Instant)> = None;
        let mut said = false;
        loop {
            match self.attempt(&mut watched).await {
                Ok(true) => break,
                Ok(false) if said => {}
                Ok(false) => {
                    said = true;
                    self.say_who_holds_it(&watched).await;
                }
                Err(error) => tracing::error!(%error, "the server's place cannot be taken"),
            }
            tokio::time::sleep(self.period()).await;
        }
        if said {
            tracing::warn!(manager = self.tenure.manager, "taken over");
        }
        self.database.fence(self.tenure.clone());
    }

    /// Says again and again that it is there, until it is stopped or another has its place.
    pub(crate) async fn keep(self, stop: CancellationToken) {
        loop {
            tokio::select! {
                () = stop.cancelled() => return,
                () = tokio::time::sleep(self.period()) => {}
            }
            let hold = Presence::Hold(self.tenure.clone());
            if self.say(hold).await.is_err() && self.is_taken().await {
                tracing::error!(
                    manager = self.tenure.manager,
                    "another server has taken this one's place: ending"
                );
                stop.cancel();
            }
        }
    }

    /// Leaves it to whoever waits, unless the database would have to be waited for.
    pub(crate) async fn leave(&self) {
        if !self.database.healthy() {
            return;
        }
        let leave = Write::Presence(Presence::Leave(self.tenure.clone()));
        if let Err(error) = self.database.commit(vec![leave]).await {
            tracing::warn!(%error, "the server's place could not be given back");
        }
    }

    /// Whether it has the place now. `watched` is who had it at the last attempts, and since when
    /// nothing of them has changed.
    async fn attempt(&self, watched: &mut Option<(Holder, Instant)>) -> Result<bool, WriteError> {
        let holder = self.database.holder(&self.tenure.manager).await;
        let holder = holder.map_err(|error| WriteError::Down(error.to_string()))?;
        let may_take = match &holder {
            None => true,
            // Ours from before a restart: the folder's lock says that nobody lives there.
            Some(holder) if holder.instance == self.tenure.instance.id => true,
            Some(holder) => match watched {
                Some((seen, since)) if seen == holder => since.elapsed() >= self.silence,
                _ => {
                    *watched = Some((holder.clone(), Instant::now()));
                    false
                }
            },
        };
        if !may_take {
            let here = Presence::Here(self.tenure.instance.clone(), clock::now_ms());
            self.database.commit(vec![Write::Presence(here)]).await?;
            return Ok(false);
        }
        match self.say(Presence::Take(self.tenure.clone(), holder)).await {
            Ok(()) => Ok(true),
            // Another was quicker, or the holder spoke.
            Err(WriteError::Conflict(_)) => Ok(false),
            Err(error) => Err(error),
        }
    }

    async fn say(&self, presence: Presence) -> Result<(), WriteError> {
        let here = Presence::Here(self.tenure.instance.clone(), clock::now_ms());
        let writes = [here, presence].map(Write::Presence);
        self.database.commit(writes.into()).await
    }

    async fn is_taken(&self) -> bool {
        let Tenure { manager, instance } = &self.tenure;
        match self.database.holder(manager).await {
            Ok(holder) => holder.is_none_or(|holder| holder.run != instance.run),
            // The database is away: nobody else can take anything either.
            Err(_) => false,
        }
    }

    async fn say_who_holds_it(&self, watched: &Option<(Holder, Instant)>) {
        let holder = watched.as_ref().map(|(holder, _)| holder.instance.as_str());
        let name = self.database.name_of(holder.unwrap_or_default()).await;
        let name = name.ok().flatten().unwrap_or_default();
        tracing::warn!(
            manager = self.tenure.manager,
            holder = name,
            "another server speaks with this Asterisk: standing by, and serving nobody"
        );
    }

    /// Three signs of life in the time after which none means that there is no life.
    fn period(&self) -> Duration {
        self.silence / 3
    }
}

fn lock(folder: &Path) -> Result<(Folder, String), InstanceError> {
    let path = folder.join(FILE);
    let failed = |error| InstanceError::File {
        path: path.clone(),
        error,
    };
    files::private_dir(folder).map_err(failed)?;
    files::private_file(&path).map_err(failed)?;
    let mut options = OpenOptions::new();
    let mut file = options.read(true).write(true).open(&path).map_err(failed)?;
    match file.try_lock() {
        Ok(()) => {}
        Err(TryLockError::WouldBlock) => return Err(InstanceError::InUse(folder.into())),
        Err(TryLockError::Error(error)) => return Err(failed(error)),
    }
    let id = id_in(&mut file).map_err(failed)?;
    Ok((Folder { _locked: file }, id))
}

/// The id that the file holds; a new one where it holds none.
fn id_in(file: &mut File) -> io::Result<String> {
    let mut text = String::new();
    file.read_to_string(&mut text)?;
    if let Ok(id) = Uuid::parse_str(text.trim()) {
        return Ok(id.to_string());
    }
    let id = Uuid::new_v4().to_string();
    file.rewind()?;
    file.set_len(0)?;
    file.write_all(format!("{id}\n").as_bytes())?;
    file.sync_all()?;
    Ok(id)
}
