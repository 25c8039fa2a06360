//! `rollcall-phone run`: one account, until interrupted or a time is over.

use std::io::{BufRead as _, Write as _};
use std::path::PathBuf;
use std::process::ExitCode;
use std::time::Duration;

use anyhow::{Context as _, bail};
use clap::Args;
use rollcall_phone::{
    Account, AudioChoice, CallRef, Codec, Credentials, Digit, DtmfMode, Engine, EngineConfig,
    EngineHandle, Interruption, NotADigit, PhoneCommand, PhoneEvent, SrtpPolicy, Transport, digits,
};
use tokio::sync::mpsc::{self, Receiver};

use crate::control::{Calls, command};
use crate::json;

/// Register an account, call or be called, until interrupted.
#[derive(Debug, Args)]
pub(crate) struct RunArguments {
    /// The account, `sip:USER@REGISTRAR[:PORT][;transport=udp|tcp|tls|ws|wss]`.
    #[arg(long)]
    account: String,
    /// How to speak with the registrar; what its name service prefers, else UDP, where none is said.
    #[arg(long, value_parser = transport)]
    transport: Option<Transport>,
    /// Trust certificates of this authority (a PEM file) instead of the system's.
    #[arg(long, value_name = "FILE")]
    tls_ca: Option<PathBuf>,
    /// The path of the registrar's WebSocket.
    #[arg(long, value_name = "PATH", default_value = "/ws")]
    ws_path: String,
    /// SIP's round-trip estimate T1 in milliseconds: the first retransmission; all other timers are multiples of it.
    #[arg(long, value_name = "MILLISECONDS", default_value = "500", value_parser = clap::value_parser!(u64).range(1..=60_000))]
    sip_t1: u64,
    /// The environment variable that holds the SIP password.
    #[arg(long, value_name = "VARIABLE")]
    password_env: String,
    /// Where sound comes from and goes to: devices, loopback, none or file:IN.wav,OUT.wav. Devices can be named, and what is
    /// done to the microphone's sound be chosen: devices:microphone=NAME;speaker=NAME;ringer=NAME;processing=all.
    #[arg(long, default_value = "devices")]
    audio: AudioChoice,
    /// Codecs to offer, best first.
    #[arg(long, value_delimiter = ',', default_value = "opus,g722,pcmu,pcma")]
    codecs: Vec<Codec>,
    /// Whether sound is encrypted: off, optional or required.
    #[arg(long, default_value = "off")]
    srtp: SrtpPolicy,
    /// Answer every call at once.
    #[arg(long)]
    auto_answer: bool,
    /// Calls at once; further ones that come in are answered busy.
    #[arg(long, value_name = "CALLS", default_value = "2")]
    max_calls: usize,
    /// Call this number as soon as the phone is registered.
    #[arg(long, value_name = "NUMBER")]
    dial: Option<String>,
    /// Press these keys as soon as a call is answered: 0 to 9, *, # and A to D.
    #[arg(long, value_name = "DIGITS", value_parser = keys)]
    dtmf: Option<Keys>,
    /// How keys are sent: within the sound (rtp) or by SIP's INFO (info), as the telephone server expects them.
    #[arg(long, value_name = "MODE", default_value = "rtp")]
    dtmf_mode: DtmfMode,
    /// End after so many seconds.
    #[arg(long = "for", value_name = "SECONDS")]
    for_seconds: Option<f64>,
    /// Take commands from standard input, one a line; a wrong one is answered by the event command_refused. The end of
    /// the input ends nothing.
    #[arg(long)]
    control: bool,
    /// Print one JSON event a line.
    #[arg(long)]
    json: bool,
}

fn transport(name: &str) -> Result<Transport, String> {
    Transport::named(name).ok_or_else(|| "the transport is udp, tcp, tls, ws or wss".to_owned())
}

/// What `--dtmf` names.
#[derive(Debug, Clone)]
struct Keys(Vec<Digit>);

fn keys(text: &str) -> Result<Keys, NotADigit> {
    digits(text).map(Keys)
}

/// Runs the phone. Succeeds when it ended as asked, fails when it never registered.
pub(crate) fn run(arguments: RunArguments) -> anyhow::Result<ExitCode> {
    let account = account(&arguments)?;
    let lasting = arguments
        .for_seconds
        .map(Duration::try_from_secs_f64)
        .transpose()
        .context("--for")?;
    let runtime = tokio::runtime::Builder::new_current_thread()
        .enable_all()
        .build()?;
    let config = EngineConfig {
        audio: arguments.audio.clone(),
        codecs: arguments.codecs.clone(),
        srtp: arguments.srtp,
        dtmf: arguments.dtmf_mode,
        auto_answer: arguments.auto_answer,
        sip_t1: Duration::from_millis(arguments.sip_t1),
        max_calls: arguments.max_calls,
        trusted_ca: arguments.tls_ca.clone(),
        websocket_path: arguments.ws_path.clone(),
        ..EngineConfig::default()
    };
    // Over UDP nobody would read it, and nobody would learn that it is not there.
    if let Some(file) = &arguments.tls_ca {
        std::fs::File::open(file).with_context(|| {
            format!(
                "--tls-ca {}: name a PEM file that can be read",
                file.display()
            )
        })?;
    }
    let (engine, events) = Engine::start(config)?;
    engine.send(PhoneCommand::Register(account));
    runtime.block_on(watch(&arguments, engine, events, lasting))
}

async fn watch(
    arguments: &RunArguments,
    engine: EngineHandle,
    mut events: Receiver<PhoneEvent>,
    lasting: Option<Duration>,
) -> anyhow::Result<ExitCode> {
    let mut interruption = Interruption::listen()?;
    let time_is_over = tokio::time::sleep(lasting.unwrap_or(Duration::MAX / 4));
    tokio::pin!(time_is_over);
    let mut asked_to_stop = false;
    let mut was_registered = false;
    let mut to_dial = arguments.dial.clone();
    let mut lines = lines(arguments.control);
    let mut calls = Calls::default();
    loop {
        let stop = tokio::select! {
            event = events.recv() => {
                let Some(event) = event else { break };
                print(arguments.json, &event)?;
                calls.note(&event);
                if matches!(event, PhoneEvent::Registered { .. }) {
                    was_registered = true;
                    if let Some(target) = to_dial.take() {
                        engine.send(PhoneCommand::Dial { call: CallRef::fresh(), target });
                    }
                }
                if let (PhoneEvent::Answered { call, .. }, Some(keys)) = (&event, &arguments.dtmf) {
                    engine.send(PhoneCommand::Dtmf { call: *call, digits: keys.0.clone() });
                }
                if event == PhoneEvent::Stopped {
                    break;
                }
                false
            }
            Some(line) = lines.recv() => match command(&line, &calls) {
                Ok(Some(PhoneCommand::Shutdown)) => true,
                Ok(command) => {
                    command.is_some_and(|command| !engine.send(command))
                }
                Err(message) => {
                    refuse(arguments.json, &line, &message)?;
                    false
                }
            },
            () = interruption.next() => true,
            () = &mut time_is_over, if !asked_to_stop => true,
        };
        if stop && !asked_to_stop {
            asked_to_stop = true;
            engine.send(PhoneCommand::Shutdown);
        }
    }
    Ok(if was_registered {
        ExitCode::SUCCESS
    } else {
        ExitCode::FAILURE
    })
}

/// Standard input's lines, from a thread of its own: nothing else can wait for them without keeping the program from
/// ending.
fn lines(wanted: bool) -> mpsc::UnboundedReceiver<String> {
    let (read, lines) = mpsc::unbounded_channel();
    if wanted {
        std::thread::spawn(move || {
            let input = std::io::stdin().lock();
            for line in input.lines().map_while(Result::ok) {
                if read.send(line).is_err() {
                    return;
                }
            }
        });
    }
    lines
}

fn refuse(json: bool, line: &str, message: &str) -> anyhow::Result<()> {
    let mut out = std::io::stdout().lock();
    match json {
        true => writeln!(out, "{}", json::refused_command(line, message))?,
        false => writeln!(out, "{message}")?,
    }
    Ok(out.flush()?)
}

/// The account of the command line. The device is this process: a phone without a window has no lasting identity.
fn account(arguments: &RunArguments) -> anyhow::Result<Account> {
    let address = arguments
        .account
        .strip_prefix("sip:")
        .unwrap_or(&arguments.account);
    let Some((user, registrar)) = address.split_once('@') else {
        bail!(
            "--account is not sip:USER@REGISTRAR[:PORT]; write the extension and the telephone server, such as \
             --account sip:1001@pbx.example"
        );
    };
    let (registrar, named) = match registrar.split_once(";transport=") {
        Some((registrar, name)) => (
            registrar,
            Some(transport(name).map_err(anyhow::Error::msg)?),
        ),
        None => (registrar, None),
    };
    let is_plain = |c: char| c.is_ascii_alphanumeric() || "-_.+".contains(c);
    if user.is_empty() || !user.chars().all(is_plain) {
        bail!(
            "--account has no usable user: letters, digits, - _ . + only; write the extension alone in front of the @, \
             without its password"
        );
    }
    let password = std::env::var(&arguments.password_env).with_context(|| {
        format!(
            "the environment variable {0} holds no password; set it where no other program sees it, such as by \
             `read -rs {0} && export {0}`, and start again",
            arguments.password_env
        )
    })?;
    let device = format!("rollcall-phone-{:08x}", rand::random::<u32>());
    let account = Account::new(user, registrar, Credentials::new(user, password), device);
    Ok(Account {
        transport: arguments.transport.or(named),
        ..account
    })
}

fn print(json: bool, event: &PhoneEvent) -> anyhow::Result<()> {
    let mut out = std::io::stdout().lock();
    if json {
        writeln!(out, "{}", json::object(event))?;
    } else if let Some(words) = json::words(event) {
        writeln!(out, "{words}")?;
    }
    // A reader behind a pipe wants each line when it happens.
    Ok(out.flush()?)
}
