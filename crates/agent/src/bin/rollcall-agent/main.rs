//! `rollcall-agent`: one person's day on a machine without a window.

mod events;

use std::{
    path::PathBuf,
    process::ExitCode,
    time::{Duration, SystemTime, UNIX_EPOCH},
};

use anyhow::{Context, bail};
use clap::Parser;
use rollcall_agent::{
    Agent, AgentConfig, AgentHandle, AgentState, AudioChoice, Codec, Interruption, SignedOut,
    Stage, When, device_id,
};
use rollcall_wire::{
    http::ErrorBody,
    ui::{CallState, PhoneState},
};
use tokio::sync::watch;
use tracing_subscriber::EnvFilter;
use uuid::Uuid;

use crate::events::{Event, Printer};

/// One agent's day without a window: signs in, keeps the phone registered and the server told, takes and makes calls,
/// and signs out at the end. TERM and Ctrl-C sign out first; a second one ends at once.
#[derive(Parser)]
#[command(
    version,
    after_help = "Exit codes: 0 signed out at registrar and server; 1 could not sign in, or an unexpected failure; \
                  2 wrong arguments; 3 the session was ended by the server; 4 registrar or server did not confirm the sign-out; \
                  5 the call of --dial could not be made; 130 ended by a second signal."
)]
struct Arguments {
    /// The server's address, e.g. http://127.0.0.1:8080.
    #[arg(long)]
    server: String,
    /// The user's name.
    #[arg(long)]
    username: String,
    /// The environment variable that holds the password.
    #[arg(long, value_name = "VAR")]
    password_env: String,
    /// Keeps this device's id; made if it does not exist. Without it every run is a new device.
    #[arg(long, value_name = "FILE")]
    device_id_file: Option<PathBuf>,
    /// devices, loopback, none or file:IN.wav,OUT.wav; devices:microphone=NAME;speaker=NAME;ringer=NAME;processing=off names
    /// some, and what is done to the microphone's sound (all, off, or some of echo,noise,gain,high-pass)
    #[arg(long, default_value = "devices")]
    audio: AudioChoice,
    /// Codecs to offer, best first.
    #[arg(long, value_delimiter = ',', default_value = "opus,g722,pcmu,pcma")]
    codecs: Vec<Codec>,
    /// Answer incoming calls at once.
    #[arg(long)]
    auto_answer: bool,
    /// Trust certificates of this authority (a PEM file) where the telephone server speaks TLS or WSS, instead of the
    /// system's.
    #[arg(long, value_name = "FILE")]
    sip_ca: Option<PathBuf>,
    /// Call this number as soon as the phone is registered.
    #[arg(long, value_name = "NUMBER")]
    dial: Option<String>,
    /// Hand the first call on to this agent as soon as it is answered, if the server says that they are available.
    #[arg(long, value_name = "EXTENSION")]
    transfer: Option<String>,
    /// Sign out by itself after so many seconds.
    #[arg(long = "for", value_name = "SECONDS")]
    seconds: Option<u64>,
    /// Go online here instead, where the extension is in use on another device.
    #[arg(long)]
    take_over: bool,
    /// How often the server hears that the phone lives; the server's lease has to be longer.
    #[arg(long, value_name = "SECONDS", default_value = "2", value_parser = clap::value_parser!(u64).range(1..=60))]
    heartbeat: u64,
    /// Print the board as it changes.
    #[arg(long)]
    board: bool,
    /// One JSON object a line instead of words.
    #[arg(long)]
    json: bool,
}

/// How the program ends; `after_help` says what the numbers mean.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum End {
    Clean = 0,
    Failed = 1,
    SessionEnded = 3,
    Unconfirmed = 4,
    NotDialled = 5,
    Killed = 130,
}

fn main() -> ExitCode {
    let arguments = Arguments::parse();
    tracing_subscriber::fmt()
        .with_env_filter(
            EnvFilter::try_from_default_env().unwrap_or_else(|_| EnvFilter::new("warn")),
        )
        .with_writer(std::io::stderr)
        .init();
    match run(arguments) {
        Ok(end) => ExitCode::from(end as u8),
        Err(error) => {
            eprintln!("rollcall-agent: {error:#}");
            ExitCode::FAILURE
        }
    }
}

fn run(arguments: Arguments) -> anyhow::Result<End> {
    let password = std::env::var(&arguments.password_env).with_context(|| {
        format!(
            "--password-env names {}, which holds no password",
            arguments.password_env
        )
    })?;
    let device = match &arguments.device_id_file {
        Some(path) => device_id(path)?,
        None => Uuid::new_v4().to_string(),
    };
    let mut config = AgentConfig::new(device);
    config.audio = arguments.audio.clone();
    config.codecs.clone_from(&arguments.codecs);
    config.auto_answer = arguments.auto_answer;
    config.sip_ca.clone_from(&arguments.sip_ca);
    config.vitals_every = Duration::from_secs(arguments.heartbeat);
    let runtime = tokio::runtime::Builder::new_multi_thread()
        .worker_threads(2)
        .enable_all()
        .build()?;
    let end = runtime.block_on(day(arguments, config, password));
    // The engine's own threads may still be closing devices; nothing of ours waits for them.
    runtime.shutdown_timeout(Duration::from_secs(1));
    end
}

async fn day(arguments: Arguments, config: AgentConfig, password: String) -> anyhow::Result<End> {
    let mut printer = Printer::new(arguments.json, arguments.board);
    let mut stop = Stop::listen(arguments.seconds)?;
    let agent = Agent::start(config)?;
    let mut state = agent.state();
    let mut shown = state.borrow_and_update().clone();

    let signing_in = agent.sign_in(
        arguments.server.clone(),
        arguments.username.clone(),
        password,
    );
    tokio::pin!(signing_in);
    let mut signed_in = false;
    let mut dial = arguments.dial.clone();
    let mut transfer = arguments.transfer.clone();
    let mut dialling_failed = false;
    loop {
        tokio::select! {
            result = &mut signing_in, if !signed_in => match result {
                Ok(()) => signed_in = true,
                Err(error) => {
                    show(&mut printer, &mut state, &mut shown);
                    printer.print(&Event::Error(error));
                    return Ok(End::Failed);
                }
            },
            changed = state.changed() => {
                changed.context("the agent has stopped")?;
                show(&mut printer, &mut state, &mut shown);
                if let Stage::SignedOut { error: Some(error) } = &shown.stage && signed_in {
                    printer.print(&Event::Error(error.clone()));
                    return Ok(End::SessionEnded);
                }
                if arguments.take_over && shown.claim.in_use().is_some() {
                    // Somebody else may have given way meanwhile; the state then says so.
                    let _ = agent.take_over().await;
                }
                if shown.stage == Stage::SignedIn && shown.phone == PhoneState::Registered
                    && let Some(number) = dial.take()
                    && let Err(error) = agent.dial(number).await
                {
                    printer.print(&Event::Error(error));
                    dialling_failed = true;
                }
                let mut calls = shown.calls.iter();
                if let Some(call) = calls.find(|call| call.state == CallState::Active)
                    && let Some(to) = transfer.take()
                    && let Err(error) = hand_on(&agent, &mut printer, call.id, to).await
                {
                    printer.print(&Event::Error(error));
                }
            }
            () = stop.wanted() => break,
        }
        if dialling_failed {
            break;
        }
    }
    let end = sign_out(&agent, &mut state, &mut shown, &mut printer, &mut stop).await?;
    Ok(if dialling_failed {
        End::NotDialled
    } else {
        end
    })
}

/// Asks whether they are available, and hands the call on if so.
async fn hand_on(
    agent: &AgentHandle,
    printer: &mut Printer,
    call: u32,
    to: String,
) -> Result<(), ErrorBody> {
    let proof = agent.prove(to.clone()).await?;
    let available = proof.available;
    printer.print(&Event::Proof(proof));
    if available {
        agent.transfer(call, to).await?;
    }
    Ok(())
}

async fn sign_out(
    agent: &AgentHandle,
    state: &mut watch::Receiver<AgentState>,
    shown: &mut AgentState,
    printer: &mut Printer,
    stop: &mut Stop,
) -> anyhow::Result<End> {
    let leaving = agent.sign_out(When::Now);
    tokio::pin!(leaving);
    loop {
        tokio::select! {
            result = &mut leaving => {
                show(printer, state, shown);
                return Ok(report(printer, result));
            }
            changed = state.changed() => {
                changed.context("the agent has stopped")?;
                show(printer, state, shown);
            }
            () = stop.wanted_again() => return Ok(End::Killed),
        }
    }
}

fn report(printer: &mut Printer, result: Result<SignedOut, ErrorBody>) -> End {
    match result {
        Ok(out) => {
            // What the server still waits for (a call that is just ending) comes by itself.
            let end = if out.problems.is_empty() {
                End::Clean
            } else {
                End::Unconfirmed
            };
            printer.print(&Event::SignedOut(out));
            end
        }
        Err(error) => {
            printer.print(&Event::Error(error));
            End::Failed
        }
    }
}

fn show(printer: &mut Printer, state: &mut watch::Receiver<AgentState>, shown: &mut AgentState) {
    let next = state.borrow_and_update().clone();
    for event in events::between(shown, &next) {
        printer.print(&event);
    }
    *shown = next;
}

/// What ends the day: TERM, Ctrl-C, or the time given.
struct Stop {
    interruption: Interruption,
    at: Option<tokio::time::Instant>,
}

impl Stop {
    fn listen(seconds: Option<u64>) -> anyhow::Result<Self> {
        if seconds == Some(0) {
            bail!("--for needs at least one second");
        }
        let at = seconds.map(|s| tokio::time::Instant::now() + Duration::from_secs(s));
        Ok(Self {
            interruption: Interruption::listen()?,
            at,
        })
    }

    async fn wanted(&mut self) {
        let at = self.at;
        tokio::select! {
            () = self.wanted_again() => {}
            () = async { tokio::time::sleep_until(at.unwrap_or_else(tokio::time::Instant::now)).await }, if at.is_some() => {}
        }
    }

    async fn wanted_again(&mut self) {
        self.interruption.next().await;
    }
}

/// Ms since the Unix epoch.
fn epoch_ms() -> u64 {
    let since = SystemTime::now().duration_since(UNIX_EPOCH);
    since.map_or(0, |d| u64::try_from(d.as_millis()).unwrap_or(u64::MAX))
}
