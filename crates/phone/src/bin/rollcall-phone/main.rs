//! `rollcall-phone`: a pure SIP phone without a window, and a judge of SIP messages in files.

mod control;
mod json;
mod parse;
mod run;

use std::process::ExitCode;

use clap::{Parser, Subcommand};

/// A SIP phone without a window.
#[derive(Debug, Parser)]
#[command(name = "rollcall-phone", version, about)]
struct Arguments {
    #[command(subcommand)]
    command: Command,
}

#[derive(Debug, Subcommand)]
enum Command {
    /// Register an account, call or be called, until interrupted.
    Run(Box<run::RunArguments>),
    /// Read SIP messages from files and say of each whether it is accepted.
    Parse(parse::ParseArguments),
}

fn main() -> ExitCode {
    let arguments = Arguments::parse();
    tracing_subscriber::fmt()
        .with_env_filter(tracing_subscriber::EnvFilter::from_default_env())
        .with_writer(std::io::stderr)
        .init();
    let done = match arguments.command {
        Command::Run(arguments) => run::run(*arguments),
        Command::Parse(arguments) => parse::parse(&arguments),
    };
    done.unwrap_or_else(|error| {
        eprintln!("rollcall-phone: {error:#}");
        ExitCode::FAILURE
    })
}
