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

    interrupted().await.context("cannot listen for signals")?;
    running.shutdown().await;
    Ok(())
}

#[cfg(unix)]
async fn interrupted() -> std::io::Result<()> {
    use tokio::signal::unix::{SignalKind, signal};
    let mut terminate = signal(SignalKind::terminate())?;
    tokio::select! {
        result = tokio::signal::ctrl_c() => result,
        _ = terminate.recv() => Ok(()),
    }
}

#[cfg(not(unix))]
async fn interrupted() -> std::io::Result<()> {
    tokio::signal::ctrl_c().await
}
