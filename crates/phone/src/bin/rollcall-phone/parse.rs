//! `rollcall-phone parse FILE...`: a line a file.

use std::path::PathBuf;
use std::process::ExitCode;

use anyhow::Context as _;
use clap::Args;
use rollcall_sip::{Message, parse as parse_message};

/// Read SIP messages from files and say of each whether it is accepted.
#[derive(Debug, Args)]
pub(crate) struct ParseArguments {
    /// One message a file, as it came from the wire.
    #[arg(required = true)]
    files: Vec<PathBuf>,
}

/// Prints `ok METHOD`, `ok CODE` or `refused CODE reason`, a line a file in their order. A refused message is a
/// result, not a failure.
pub(crate) fn parse(arguments: &ParseArguments) -> anyhow::Result<ExitCode> {
    for file in &arguments.files {
        let bytes =
            std::fs::read(file).with_context(|| format!("cannot read {}", file.display()))?;
        match parse_message(&bytes) {
            Ok(Message::Request(request)) => println!("ok {}", request.method),
            Ok(Message::Response(response)) => println!("ok {}", response.status_code.code()),
            Err(refusal) => println!("refused {} {}", refusal.code, refusal.reason),
        }
    }
    Ok(ExitCode::SUCCESS)
}
