//! A small Asterisk for first runs and tests: `rollcall-pocket-pbx --config FILE`.
//!
//! Prints one JSON line with its addresses on standard output and runs until it is interrupted or terminated.

use std::io::Write as _;
use std::path::PathBuf;

use anyhow::Context as _;
use clap::Parser;
use rollcall_pocket_pbx::{Config, PocketPbx};
use tracing_subscriber::EnvFilter;

/// A small Asterisk for first runs and tests; never for production.
#[derive(Parser)]
#[command(version)]
struct Arguments {
    /// TOML file that only its owner may read.
    #[arg(long)]
    config: PathBuf,
}

#[tokio::main(flavor = "current_thread")]
async fn main() -> anyhow::Result<()> {
    let arguments = Arguments::parse();
    let filter = EnvFilter::try_from_default_env().unwrap_or_else(|_| EnvFilter::new("info"));
    tracing_subscriber::fmt()
        .with_env_filter(filter)
        .with_writer(std::io::stderr)
        .init();

    let config = Config::from_file(&arguments.config)?;
    // Before anything is told: whoever reads the line may end us at once.
    let end = Interruption::listen().context("cannot listen for signals")?;
    let running = PocketPbx::start(config).await?;
    let ready = serde_json::json!({
        "event": "ready",
        "sip": running.sip_addr().to_string(),
        "ami": running.ami_addr().to_string(),
    });
    let mut out = std::io::stdout();
    writeln!(out, "{ready}")
        .and_then(|()| out.flush())
        .context("cannot write to standard output")?;

    end.wait().await;
    running.shutdown().await;
    Ok(())
}

/// An interrupt (Ctrl-C) or a request to terminate.
#[cfg(unix)]
struct Interruption {
    interrupt: tokio::signal::unix::Signal,
    terminate: tokio::signal::unix::Signal,
}

#[cfg(unix)]
impl Interruption {
    fn listen() -> std::io::Result<Self> {
        use tokio::signal::unix::{SignalKind, signal};
        Ok(Self {
            interrupt: signal(SignalKind::interrupt())?,
            terminate: signal(SignalKind::terminate())?,
        })
    }

    async fn wait(mut self) {
        tokio::select! {
            _ = self.interrupt.recv() => {}
            _ = self.terminate.recv() => {}
        }
    }
}

#[cfg(not(unix))]
struct Interruption;

#[cfg(not(unix))]
impl Interruption {
    fn listen() -> std::io::Result<Self> {
        Ok(Self)
    }

    async fn wait(self) {
        // Without a handler Ctrl-C ends the process by itself.
        let _ = tokio::signal::ctrl_c().await;
    }
}
