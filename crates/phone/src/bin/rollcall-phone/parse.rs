//! `rollcall-phone parse FILE...`: a line a file.

use std::path::PathBuf;
use std::process::ExitCode;
use std::time::Instant;

use anyhow::Context as _;
use clap::Args;
use rollcall_sip::message::write;
use rollcall_sip::{Message, parse as parse_message};

/// Read SIP messages from files and say of each whether it is accepted.
#[derive(Debug, Args)]
pub(crate) struct ParseArguments {
    /// Read and write each message so many times, and say what one time took.
    #[arg(long, value_name = "N")]
    times: Option<u32>,
    /// One message a file, as it came from the wire.
    #[arg(required = true)]
    files: Vec<PathBuf>,
}

/// Prints `ok METHOD`, `ok CODE` or `refused CODE reason`, a line a file in their order. A refused message is a
/// result, not a failure.
pub(crate) fn parse(arguments: &ParseArguments) -> anyhow::Result<ExitCode> {
    for file in &arguments.files {
        let bytes = std::fs::read(file).with_context(|| {
            format!(
                "cannot read {}; name a file that holds one SIP message as it came from the wire",
                file.display()
            )
        })?;
        let verdict = match parse_message(&bytes) {
            Ok(Message::Request(request)) => format!("ok {}", request.method),
            Ok(Message::Response(response)) => format!("ok {}", response.status_code.code()),
            Err(refusal) => format!("refused {} {}", refusal.code, refusal.reason),
        };
        match arguments.times {
            None => println!("{verdict}"),
            Some(times) => println!("{verdict}, {:.0} ns", nanoseconds(&bytes, times.max(1))),
        }
    }
    Ok(ExitCode::SUCCESS)
}

/// What it takes to read a message and to write it again, over so many times.
fn nanoseconds(bytes: &[u8], times: u32) -> f64 {
    let started = Instant::now();
    for _ in 0..times {
        let written = parse_message(std::hint::black_box(bytes)).map(|message| match &message {
            Message::Request(request) => write::request(request),
            Message::Response(response) => write::response(response),
        });
        std::hint::black_box(&written).as_ref().ok();
    }
    started.elapsed().as_secs_f64() * 1e9 / f64::from(times)
}
