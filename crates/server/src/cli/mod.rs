//! The command line: `serve`, `check`, `doctor`, `migrate`, `backup`, `restore`, `provision`, `user`. Secrets
//! come from variables or standard input, never as arguments, which every user of the machine can
//! read.

mod user;

use std::{
    fs::{File, OpenOptions},
    io::{BufReader, BufWriter, IsTerminal as _},
    path::{Path, PathBuf},
};

use anyhow::{Context as _, bail};
use clap::{Args, Parser, Subcommand};
use rollcall_server::{
    Actor, Config, Office,
    config::{LogConfig, LogFormat},
    doctor::{self, Finding, Level},
    provision,
};
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
    /// Say whether the configuration is one, its secrets can be had and its files be used.
    Check {
        #[command(flatten)]
        config: ConfigFile,
    },
    /// Write all that the database holds into a file, beside a server that runs.
    Backup {
        #[command(flatten)]
        config: ConfigFile,
        /// The file to make.
        file: PathBuf,
    },
    /// Bring a backup back into an empty database, of whichever kind.
    Restore {
        #[command(flatten)]
        config: ConfigFile,
        /// The backup.
        file: PathBuf,
    },
    /// Tell Asterisk of the agents' phones: rows in its tables, or a file to include in pjsip.conf.
    Provision {
        #[command(flatten)]
        config: ConfigFile,
        /// Mirror mode: the file to write, to be named by an #include in pjsip.conf.
        #[arg(long, value_name = "FILE")]
        out: Option<PathBuf>,
        /// Make Asterisk read it, over its manager interface.
        #[arg(long, requires = "out")]
        reload: bool,
    },
    /// Look at Asterisk's set-up, and say what keeps the board from being proved, with the fix.
    Doctor {
        #[command(flatten)]
        config: ConfigFile,
        /// Print JSON.
        #[arg(long)]
        json: bool,
    },
    /// People: list, add, import, disable, enable, role, password, remove.
    #[command(subcommand)]
    User(user::UserCommand),
}

#[derive(Args)]
struct ConfigFile {
    /// The configuration.
    #[arg(long = "config", value_name = "FILE", default_value = Config::DEFAULT_PATH)]
    path: PathBuf,
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
            Command::Check { config } => check(&config),
            Command::Backup { config, file } => backup(&config, &file).await,
            Command::Restore { config, file } => restore(&config, &file).await,
            Command::Provision {
                config,
                out,
                reload,
            } => provision(&config, out.as_deref(), reload).await,
            Command::Doctor { config, json } => doctor(&config.load()?, json).await,
            Command::User(command) => user::run(command).await,
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
    let succeeded = tokio::select! {
        () = stop => false,
        () = running.succeeded() => true,
    };
    tracing::info!("ending");
    running.shutdown().await;
    if succeeded {
        bail!("another server has taken this one's place");
    }
    Ok(())
}

/// Touches nothing and reaches for nobody: it can be asked beside a server that runs.
fn check(config: &ConfigFile) -> anyhow::Result<()> {
    let loaded = config.load()?;
    filter(&loaded.log)?;
    for line in loaded.examine()? {
        println!("{line}");
    }
    println!("{} is a configuration.", config.path.display());
    Ok(())
}

/// Whole, or not there: what is written under the file's name with `.part` gets its name at the end.
async fn backup(config: &ConfigFile, path: &Path) -> anyhow::Result<()> {
    let config = config.load()?;
    let cannot = || format!("{} cannot be written", path.display());
    if path.exists() {
        bail!(
            "{} is there already, and was not touched: name another file",
            path.display()
        );
    }
    let mut part = path.as_os_str().to_owned();
    part.push(".part");
    let part = PathBuf::from(part);
    let mut options = OpenOptions::new();
    options.write(true).create_new(true);
    #[cfg(unix)]
    std::os::unix::fs::OpenOptionsExt::mode(&mut options, 0o600);
    let file = options.open(&part).with_context(|| {
        let part = part.display();
        format!("{part} cannot be made; if another backup was cut there, remove it")
    })?;
    let rows = match write_backup(&config, file).await {
        Ok(rows) => rows,
        Err(error) => {
            let _ = std::fs::remove_file(&part);
            return Err(error.context(cannot()));
        }
    };
    std::fs::rename(&part, path).with_context(cannot)?;
    println!("{rows} rows are in {}.", path.display());
    note(&config, "backup_made", path).await;
    Ok(())
}

/// What was done is done, whether it can be noted or not: a database that takes no writes is to be saved all the same.
async fn note(config: &Config, action: &'static str, file: &Path) {
    let (by, file) = (Actor::command_line(), file.display().to_string());
    if let Err(error) = rollcall_server::note(config, action, file, &by).await {
        eprintln!("warning: it is not in the audit log: {error}");
    }
}

/// On disk when it answers how many rows.
async fn write_backup(config: &Config, file: File) -> anyhow::Result<usize> {
    let mut file = BufWriter::new(file);
    let rows = rollcall_server::backup(config, &mut file).await?;
    file.get_ref().sync_all()?;
    Ok(rows)
}

async fn restore(config: &ConfigFile, path: &Path) -> anyhow::Result<()> {
    let config = config.load()?;
    let file = File::open(path).with_context(|| format!("{} cannot be read", path.display()))?;
    let rows = rollcall_server::restore(&config, BufReader::new(file)).await?;
    println!("{rows} rows were brought back.");
    note(&config, "backup_restored", path).await;
    Ok(())
}

async fn provision(config: &ConfigFile, out: Option<&Path>, reload: bool) -> anyhow::Result<()> {
    let config = config.load()?;
    let by = Actor::command_line();
    if out.is_none() && !config.provision.realtime {
        bail!("name the file with --out, or set provision.realtime (shared mode)");
    }
    let office = Office::open(&config).await?;
    if let Some(path) = out {
        let count = provision::file(&office, &config, path, &by).await?;
        println!("{count} endpoints are in {}.", path.display());
    }
    if config.provision.realtime {
        let count = provision::realtime(&office, &config, &by).await?;
        println!("{count} endpoints are in ps_endpoints.");
    }
    office.close().await;
    if reload {
        provision::reload_pjsip(&config).await?;
        println!("Asterisk read them.");
    }
    Ok(())
}

/// Ends with an error where there is a problem, so that a deployment can ask.
async fn doctor(config: &Config, json: bool) -> anyhow::Result<()> {
    let findings = doctor::examine(config).await;
    if json {
        println!("{}", serde_json::to_string_pretty(&findings)?);
    } else {
        for finding in &findings {
            println!("{finding}");
        }
    }
    let problem = |finding: &&Finding| finding.level == Level::Problem;
    match findings.iter().filter(problem).count() {
        0 => Ok(()),
        problems => anyhow::bail!("{problems} of {} findings are problems", findings.len()),
    }
}

fn log_to_stderr(config: &LogConfig) -> anyhow::Result<()> {
    let filter = filter(config)?;
    let logs = tracing_subscriber::fmt()
        .with_env_filter(filter)
        .with_writer(std::io::stderr);
    match config.format {
        LogFormat::Plain => logs.with_ansi(std::io::stderr().is_terminal()).init(),
        LogFormat::Json => logs.json().init(),
    }
    Ok(())
}

/// What is logged. Whatever is asked for, nothing of those who tell every message whole: tokens are in them.
fn filter(config: &LogConfig) -> anyhow::Result<EnvFilter> {
    let mut filter = EnvFilter::try_new(&config.filter).context("log.filter")?;
    for target in ["engineioxide", "socketioxide", "tungstenite"] {
        filter = filter.add_directive(format!("{target}=off").parse()?);
    }
    Ok(filter)
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
