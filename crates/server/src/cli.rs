//! The command line: `serve`, `migrate`, `user add`. Secrets come from variables or standard input,
//! never as arguments, which every user of the machine can read.

use std::{
    io::{BufRead as _, IsTerminal as _},
    path::PathBuf,
};

use anyhow::{Context as _, bail};
use clap::{Args, Parser, Subcommand, ValueEnum};
use rollcall_server::{
    Config, NewPerson,
    config::{LogConfig, LogFormat, Secret},
};
use rollcall_wire::http::Role;
use tracing_subscriber::EnvFilter;

/// The server that knows which agents are really there.
#[derive(Parser)]
#[command(version, arg_required_else_help = true)]
pub(crate) struct Cli {
    #[command(subcommand)]
    command: Command,
}

#[derive(Subcommand)]
enum Command {
    /// Serve until TERM or INT.
    Serve {
        #[command(flatten)]
        config: ConfigFile,
        /// Print one JSON line with the address once it serves.
        #[arg(long)]
        ready_json: bool,
    },
    /// Bring the database up to date and end.
    Migrate {
        #[command(flatten)]
        config: ConfigFile,
    },
    /// People.
    #[command(subcommand)]
    User(UserCommand),
}

#[derive(Subcommand)]
enum UserCommand {
    /// Add a person.
    Add(AddUser),
}

#[derive(Args)]
struct ConfigFile {
    /// The configuration.
    #[arg(long = "config", value_name = "FILE", default_value = Config::DEFAULT_PATH)]
    path: PathBuf,
}

#[derive(Args)]
struct AddUser {
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
enum RoleName {
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

pub(crate) fn run(cli: Cli) -> anyhow::Result<()> {
    let runtime = tokio::runtime::Builder::new_multi_thread()
        .enable_all()
        .build()
        .context("the runtime cannot be started")?;
    runtime.block_on(async {
        match cli.command {
            Command::Serve { config, ready_json } => serve(&config, ready_json).await,
            Command::Migrate { config } => {
                rollcall_server::prepare(&config.load()?).await?;
                println!("The database is up to date.");
                Ok(())
            }
            Command::User(UserCommand::Add(user)) => add_user(user).await,
        }
    })
}

impl ConfigFile {
    fn load(&self) -> anyhow::Result<Config> {
        Ok(Config::load(&self.path)?)
    }
}

async fn serve(config: &ConfigFile, ready_json: bool) -> anyhow::Result<()> {
    let config = config.load()?;
    log_to_stderr(&config.log)?;
    let stop = signals()?;
    let running = rollcall_server::start(config).await?;
    let address = running.http_addr();
    tracing::info!(%address, "serving");
    if ready_json {
        let mut ready = serde_json::json!({ "ready": true, "http": format!("http://{address}") });
        if let Some(address) = running.metrics_addr() {
            ready["metrics"] = format!("http://{address}/metrics").into();
        }
        println!("{ready}");
    }
    stop.await;
    tracing::info!("ending");
    running.shutdown().await;
    Ok(())
}

async fn add_user(user: AddUser) -> anyhow::Result<()> {
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

fn log_to_stderr(config: &LogConfig) -> anyhow::Result<()> {
    let filter = EnvFilter::try_new(&config.filter).context("log.filter")?;
    let logs = tracing_subscriber::fmt()
        .with_env_filter(filter)
        .with_writer(std::io::stderr);
    match config.format {
        LogFormat::Plain => logs.with_ansi(std::io::stderr().is_terminal()).init(),
        LogFormat::Json => logs.json().init(),
    }
    Ok(())
}

/// Ends at the first TERM or INT; watched from before the start, so that none is missed.
#[cfg(unix)]
fn signals() -> anyhow::Result<impl Future<Output = ()>> {
    use tokio::signal::unix::{SignalKind, signal};
    let mut term = signal(SignalKind::terminate()).context("TERM cannot be watched")?;
    let mut int = signal(SignalKind::interrupt()).context("INT cannot be watched")?;
    Ok(async move {
        tokio::select! {
            _ = term.recv() => {}
            _ = int.recv() => {}
        }
    })
}

#[cfg(not(unix))]
fn signals() -> anyhow::Result<impl Future<Output = ()>> {
    Ok(async {
        let _ = tokio::signal::ctrl_c().await;
    })
}
