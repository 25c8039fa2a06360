//! `rollcall-server`: what admins deploy.

mod cli;

use std::process::ExitCode;

use clap::Parser as _;

fn main() -> ExitCode {
    match cli::run(cli::Cli::parse()) {
        Ok(()) => ExitCode::SUCCESS,
        Err(error) => {
            eprintln!("rollcall-server: {error:#}");
            ExitCode::FAILURE
        }
    }
}
