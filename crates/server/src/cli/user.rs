//! `rollcall-server user ...`: people, from a shell beside the database.
//!
//! A server may run meanwhile: it ends the sessions of who was disabled or got a new password
//! within seconds.

use std::{
    io::{BufRead as _, IsTerminal as _, Read as _},
    path::PathBuf,
};

use anyhow::{Context as _, bail};
use clap::{Args, Subcommand, ValueEnum};
use rollcall_server::{Actor, NewPasswords, NewPerson, Office, config::Secret, provision};
use rollcall_wire::http::Role;

use super::ConfigFile;

#[derive(Subcommand)]
pub(super) enum UserCommand {
    /// Show everybody.
    List {
        #[command(flatten)]
        config: ConfigFile,
    },
    /// Add a person.
    Add(Box<AddUser>),
    /// Add everybody in a CSV file, or nobody if a line is wrong.
    Import {
        #[command(flatten)]
        config: ConfigFile,
        /// The file; its first line names the columns: username, password, and as wanted extension,
        /// role, sip_password. `-` reads standard input.
        file: PathBuf,
        /// Say what would come of it, and change nothing.
        #[arg(long)]
        dry_run: bool,
    },
    /// Let somebody sign in no more, and end their sessions.
    Disable(Named),
    /// Let somebody sign in again.
    Enable(Named),
    /// Give somebody another role.
    Role {
        #[command(flatten)]
        who: Named,
        /// What they may do.
        #[arg(value_enum)]
        role: RoleName,
    },
    /// Give somebody a new password.
    Password {
        #[command(flatten)]
        who: Named,
        /// Change the password their phones register with, not the one they sign in with.
        #[arg(long)]
        sip: bool,
        /// The variable that holds it; without it the first line of standard input is it.
        #[arg(long, value_name = "VAR")]
        password_env: Option<String>,
    },
    /// Remove somebody who is disabled.
    Remove(Named),
    /// Show the latest privileged acts.
    Audit {
        #[command(flatten)]
        config: ConfigFile,
        /// How many.
        #[arg(long, default_value_t = 100)]
        most: u32,
    },
}

#[derive(Args)]
pub(super) struct Named {
    #[command(flatten)]
    config: ConfigFile,
    /// The name they sign in with.
    #[arg(long)]
    username: String,
}

#[derive(Args)]
pub(super) struct AddUser {
    #[command(flatten)]
    config: ConfigFile,
    /// The name to sign in with.
    #[arg(long)]
    username: String,
    /// The extension; leave it out for people without a phone.
    #[arg(long)]
    extension: Option<String>,
    /// What they may do.
    #[arg(long, value_enum, default_value_t = RoleName::Agent)]
    role: RoleName,
    /// The variable that holds the password; without it the first line of standard input is it.
    #[arg(long, value_name = "VAR")]
    password_env: Option<String>,
    /// The variable that holds the SIP password; without it (and with an extension) the next line
    /// of standard input is it.
    #[arg(long, value_name = "VAR")]
    sip_password_env: Option<String>,
}

#[derive(Clone, Copy, ValueEnum)]
pub(super) enum RoleName {
    Agent,
    Supervisor,
    Admin,
}

impl From<RoleName> for Role {
    fn from(name: RoleName) -> Self {
        match name {
            RoleName::Agent => Self::Agent,
            RoleName::Supervisor => Self::Supervisor,
            RoleName::Admin => Self::Admin,
        }
    }
}

pub(super) async fn run(command: UserCommand) -> anyhow::Result<()> {
    match command {
        UserCommand::List { config } => list(&config).await,
        UserCommand::Add(user) => add(*user).await,
        UserCommand::Import {
            config,
            file,
            dry_run,
        } => import(&config, &file, dry_run).await,
        UserCommand::Audit { config, most } => audit(&config, most).await,
        UserCommand::Disable(who) => {
            let office = who.office().await?;
            office
                .disable(&who.username, &Actor::command_line())
                .await?;
            who.phones_follow(&office).await?;
            who.done(office, "is disabled").await
        }
        UserCommand::Enable(who) => {
            let office = who.office().await?;
            office.enable(&who.username, &Actor::command_line()).await?;
            who.phones_follow(&office).await?;
            who.done(office, "is enabled").await
        }
        UserCommand::Role { who, role } => {
            let office = who.office().await?;
            let by = Actor::command_line();
            office.set_role(&who.username, role.into(), &by).await?;
            who.done(office, "has that role").await
        }
        UserCommand::Password {
            who,
            sip,
            password_env,
        } => password(who, sip, password_env.as_deref()).await,
        UserCommand::Remove(who) => {
            let office = who.office().await?;
            let (config, by) = (who.config.load()?, Actor::command_line());
            provision::remove(&office, &config, &who.username, &by).await?;
            who.done(office, "is removed").await
        }
    }
}

impl Named {
    async fn office(&self) -> anyhow::Result<Office> {
        Ok(Office::open(&self.config.load()?).await?)
    }

    /// Asterisk's rows, where the server keeps them.
    async fn phones_follow(&self, office: &Office) -> anyhow::Result<()> {
        let config = self.config.load()?;
        Ok(provision::follow(office, &config, &Actor::command_line()).await?)
    }

    async fn done(self, office: Office, what: &str) -> anyhow::Result<()> {
        office.close().await;
        println!("{} {what}.", self.username);
        Ok(())
    }
}

async fn list(config: &ConfigFile) -> anyhow::Result<()> {
    let office = Office::open(&config.load()?).await?;
    for person in office.list().await? {
        let role = format!("{:?}", person.role).to_lowercase();
        let extension = person.extension.as_deref().unwrap_or("-");
        let disabled = if person.disabled { "disabled" } else { "" };
        let line = format!(
            "{:<24} {extension:<12} {role:<12} {disabled}",
            person.username
        );
        println!("{}", line.trim_end());
    }
    office.close().await;
    Ok(())
}

async fn audit(config: &ConfigFile, most: u32) -> anyhow::Result<()> {
    let office = Office::open(&config.load()?).await?;
    for act in office.acts(most).await? {
        println!("{}", serde_json::to_string(&act)?);
    }
    office.close().await;
    Ok(())
}

async fn add(user: AddUser) -> anyhow::Result<()> {
    let config = user.config.load()?;
    let password = secret(user.password_env.as_deref(), "password")?;
    let sip_password = match (&user.extension, &user.sip_password_env) {
        (None, None) => None,
        (_, variable) => Some(secret(variable.as_deref(), "SIP password")?),
    };
    let username = user.username.clone();
    rollcall_server::add_person(
        &config,
        NewPerson {
            username: user.username,
            extension: user.extension,
            role: user.role.into(),
            password,
            sip_password,
        },
    )
    .await
    .with_context(|| format!("{username} was not added"))?;
    println!("{username} was added.");
    Ok(())
}

async fn import(config: &ConfigFile, file: &std::path::Path, dry_run: bool) -> anyhow::Result<()> {
    let config = config.load()?;
    let text = if file.as_os_str() == "-" {
        let mut text = String::new();
        std::io::stdin().read_to_string(&mut text).map(|_| text)
    } else {
        std::fs::read_to_string(file)
    };
    let text = text.with_context(|| format!("{} cannot be read", file.display()))?;
    let office = Office::open(&config).await?;
    let imported = office
        .import(&text, dry_run, &Actor::command_line())
        .await?;
    office.close().await;
    for error in &imported.errors {
        let field = error.field.as_ref().map(|field| format!(", {field}"));
        eprintln!(
            "line {}{}: {}",
            error.line,
            field.unwrap_or_default(),
            error.message
        );
    }
    if !imported.errors.is_empty() {
        bail!("nobody was added; {} lines are good", imported.good);
    }
    if dry_run {
        println!("{} people would be added.", imported.good);
    } else {
        println!("{} people were added.", imported.added);
    }
    Ok(())
}

async fn password(who: Named, sip: bool, variable: Option<&str>) -> anyhow::Result<()> {
    let office = who.office().await?;
    let by = Actor::command_line();
    let what = if sip { "SIP password" } else { "password" };
    let secret = Some(secret(variable, what)?);
    let passwords = match sip {
        true => NewPasswords {
            sip: secret,
            ..NewPasswords::default()
        },
        false => NewPasswords {
            password: secret,
            ..NewPasswords::default()
        },
    };
    office.reset(&who.username, passwords, &by).await?;
    if sip {
        who.phones_follow(&office).await?;
    }
    who.done(office, &format!("has a new {what}")).await
}

fn secret(variable: Option<&str>, what: &str) -> anyhow::Result<Secret> {
    if let Some(name) = variable {
        return std::env::var(name)
            .map(Secret::new)
            .with_context(|| format!("the {what}: the variable {name} cannot be read"));
    }
    if std::io::stdin().is_terminal() {
        bail!("the {what}: name a variable, or pipe it in; typed, it would be shown");
    }
    let mut line = String::new();
    let read = std::io::stdin()
        .lock()
        .read_line(&mut line)
        .with_context(|| format!("the {what} cannot be read from standard input"))?;
    if read == 0 {
        bail!("the {what}: standard input holds none");
    }
    Ok(Secret::new(line.trim_end_matches(['\r', '\n'])))
}
