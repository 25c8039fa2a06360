//! "Try it on this computer": the server on SQLite and the pocket PBX inside the app.
//!
//! Everything listens on 127.0.0.1, on free ports, and is new at every start: people, passwords and
//! database are those of the demo, and gone afterwards.

use std::{
    fs::{self, File, TryLockError},
    io,
    path::{Path, PathBuf},
};

use anyhow::Context;
use rollcall_pocket_pbx::{Manager, Person, PocketPbx};
use rollcall_server::{
    Config, NewPerson,
    config::{AmiConfig, Secret},
};
use rollcall_wire::{
    http::Role,
    ui::{Demo, DemoPerson},
};
use uuid::Uuid;

const MANAGER: &str = "rollcall";
const AGENTS: [&str; 2] = ["1001", "1002"];
const SUPERVISOR: &str = "super";
/// How the folders of runs begin, under the app's own.
const FOLDERS: &str = "try-here-";
const LOCK: &str = "lock";

/// A server and a PBX that run in this process.
#[derive(Debug)]
pub struct Here {
    server: rollcall_server::Running,
    pbx: rollcall_pocket_pbx::Running,
    demo: Demo,
    folder: Folder,
}

/// The folder of one run, removed when dropped. The lock tells the folder of a run that lives from what a crash left.
#[derive(Debug)]
struct Folder {
    path: PathBuf,
    lock: Option<File>,
}

impl Folder {
    fn create(data: &Path) -> io::Result<Self> {
        let path = data.join(format!("{FOLDERS}{}", Uuid::new_v4().simple()));
        fs::create_dir_all(&path)?;
        let lock = File::create_new(path.join(LOCK))?;
        lock.lock()?;
        let lock = Some(lock);
        Ok(Self { path, lock })
    }

    /// Removes what runs left that did not get to.
    fn remove_dead(data: &Path) {
        let Ok(entries) = fs::read_dir(data) else {
            return;
        };
        let ours = |entry: &fs::DirEntry| {
            let name = entry.file_name();
            name.to_str().is_some_and(|name| name.starts_with(FOLDERS))
        };
        for entry in entries.flatten().filter(ours) {
            let path = entry.path();
            let lives = File::open(path.join(LOCK))
                .is_ok_and(|lock| matches!(lock.try_lock(), Err(TryLockError::WouldBlock)));
            if !lives {
                remove(&path);
            }
        }
    }
}

impl Drop for Folder {
    fn drop(&mut self) {
        // Some systems remove no file that is open.
        self.lock = None;
        remove(&self.path);
    }
}

fn remove(path: &Path) {
    if let Err(error) = fs::remove_dir_all(path) {
        tracing::warn!(%error, path = %path.display(), "a demo's database stays behind");
    }
}

/// Starts both; the database lives in a new folder under `data`, which goes with the run, also with one that fails.
pub async fn start(data: &Path) -> anyhow::Result<Here> {
    Folder::remove_dead(data);
    let folder = Folder::create(data).context("there is no place for the database")?;
    let ami_secret = fresh_secret();
    let sip_passwords = AGENTS.map(|extension| (extension, fresh_secret()));
    let people = sip_passwords
        .iter()
        .map(|(extension, password)| Person::new(extension, password))
        .collect();
    let manager = Manager {
        username: MANAGER.to_owned(),
        secret: ami_secret.as_str().into(),
    };
    let pbx = PocketPbx::start(rollcall_pocket_pbx::Config::new(manager, people))
        .await
        .context("the pocket PBX does not start")?;

    let mut config = Config {
        listen: ([127, 0, 0, 1], 0).into(),
        data_dir: folder.path.clone(),
        ami: Some(AmiConfig::new(
            pbx.ami_addr(),
            MANAGER,
            Secret::new(ami_secret),
        )),
        ..Config::default()
    };
    config.sip.server = pbx.sip_addr().to_string();
    let server = rollcall_server::start(config)
        .await
        .context("the server does not start")?;
    let demo = add_people(&server, &sip_passwords).await?;
    Ok(Here {
        server,
        pbx,
        demo,
        folder,
    })
}

async fn add_people(
    server: &rollcall_server::Running,
    sip_passwords: &[(&str, String)],
) -> anyhow::Result<Demo> {
    let mut people = Vec::new();
    for (extension, sip_password) in sip_passwords {
        let password = short_password();
        server
            .add_person(NewPerson {
                username: (*extension).to_owned(),
                extension: Some((*extension).to_owned()),
                role: Role::Agent,
                password: Secret::new(password.clone()),
                sip_password: Some(Secret::new(sip_password.clone())),
            })
            .await?;
        people.push(DemoPerson {
            label: format!("Agent {extension}"),
            username: (*extension).to_owned(),
            password,
        });
    }
    let password = short_password();
    server
        .add_person(NewPerson {
            username: SUPERVISOR.to_owned(),
            extension: None,
            role: Role::Supervisor,
            password: Secret::new(password.clone()),
            sip_password: None,
        })
        .await?;
    people.push(DemoPerson {
        label: "Supervisor".to_owned(),
        username: SUPERVISOR.to_owned(),
        password,
    });
    Ok(Demo {
        hint: "The server runs on this computer now. Sign in as one of these people; dial 600 to hear yourself."
            .to_owned(),
        people,
    })
}

impl Here {
    /// The server's address, for the login screen.
    pub fn server(&self) -> String {
        format!("http://{}", self.server.http_addr())
    }

    /// Who can sign in.
    pub fn demo(&self) -> &Demo {
        &self.demo
    }

    /// Ends both, and removes what they kept.
    pub async fn shutdown(self) {
        self.server.shutdown().await;
        self.pbx.shutdown().await;
        drop(self.folder);
    }
}

fn fresh_secret() -> String {
    Uuid::new_v4().simple().to_string()
}

/// Short enough to be typed; it opens a server that only this computer reaches and that ends with the app.
fn short_password() -> String {
    fresh_secret().chars().take(8).collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    fn folders(data: &Path) -> Vec<PathBuf> {
        let entries = fs::read_dir(data).unwrap();
        entries.map(|entry| entry.unwrap().path()).collect()
    }

    #[test]
    fn what_a_crash_left_is_removed_and_the_folder_of_a_run_that_lives_is_not() {
        let data = tempfile::tempdir().unwrap();
        fs::create_dir(data.path().join("try-here-4711")).unwrap();
        let crashed = data.path().join("try-here-4712");
        fs::create_dir(&crashed).unwrap();
        fs::write(crashed.join(LOCK), "").unwrap();
        let lives = Folder::create(data.path()).unwrap();
        Folder::remove_dead(data.path());
        assert_eq!(folders(data.path()), std::slice::from_ref(&lives.path));
        drop(lives);
        assert!(folders(data.path()).is_empty());
    }

    #[tokio::test]
    async fn a_start_that_fails_leaves_no_folder() {
        let data = tempfile::tempdir().unwrap();
        let file = data.path().join("no-folder");
        fs::write(&file, "").unwrap();
        assert!(start(&file).await.is_err());
        assert_eq!(folders(data.path()), [file]);
    }
}
