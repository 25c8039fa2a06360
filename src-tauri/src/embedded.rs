//! "Try it on this computer": the server on SQLite and the pocket PBX inside the app.
//!
//! Everything listens on 127.0.0.1, on free ports, and is new at every start: people, passwords and
//! database are those of the demo, and gone afterwards.

use std::{
    fs,
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

/// A server and a PBX that run in this process.
#[derive(Debug)]
pub struct Here {
    server: rollcall_server::Running,
    pbx: rollcall_pocket_pbx::Running,
    demo: Demo,
    folder: PathBuf,
}

/// Starts both; the database lives in a new folder under `data`.
pub async fn start(data: &Path) -> anyhow::Result<Here> {
    let folder = data.join(format!("try-here-{}", std::process::id()));
    if folder.exists() {
        fs::remove_dir_all(&folder).context("the database of the last time is in the way")?;
    }
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
        data_dir: folder.clone(),
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
        if let Err(error) = fs::remove_dir_all(&self.folder) {
            tracing::warn!(%error, "the demo's database stays behind");
        }
    }
}

fn fresh_secret() -> String {
    Uuid::new_v4().simple().to_string()
}

/// Short enough to be typed; it opens a server that only this computer reaches and that ends with the app.
fn short_password() -> String {
    fresh_secret().chars().take(8).collect()
}
