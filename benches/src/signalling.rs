//! Signalling alone: calls and REGISTERs a second of one engine, with SIPp as the far end, and what each takes of a core.
//!
//! Every caller and registrar of this module waits for its answers, so nothing is dropped and nothing is repeated; what a
//! second holds is bounded by SIPp as well, and what a core does by the phone alone.

use std::fs;
use std::io::{BufRead as _, BufReader, Write as _};
use std::path::{Path, PathBuf};
use std::process::{Child, Command, Stdio};
use std::time::{Duration, Instant};

use rollcall_e2e::FarEnd;
use rollcall_e2e::far_end::Registered;
use rollcall_e2e::ports::Port;
use rollcall_e2e::sound::write_tone;
use rollcall_e2e::surroundings::repository;
use tempfile::TempDir;

use crate::Result;
use crate::load::running_time;
use crate::phones::{Phone, Work};

/// Where Debian's package `sip-tester` installs it.
const SIPP: &str = "/usr/bin/sipp";
/// Calls that are up at once.
const AT_ONCE: usize = 8;
/// Calls of three runs. The first warms what is cold, disks and caches; the difference of the others is what counts, so that
/// SIPp's own start does not. Together they stay below what a phone keeps of ended transactions for 32 s (RFC 6026).
const CALLS: [u32; 3] = [20, 30, 400];
/// REGISTERs before the first that counts, and those that count.
const REGISTERS: [u32; 2] = [50, 2_000];

/// What one engine did, and what each took of a core.
#[derive(Clone, Copy)]
pub(crate) struct Rate {
    pub(crate) a_second: f64,
    pub(crate) microseconds: f64,
}

impl Rate {
    fn of(count: u32, passed: Duration, ran: Duration) -> Rate {
        Rate {
            a_second: f64::from(count) / passed.as_secs_f64(),
            microseconds: ran.as_secs_f64() * 1e6 / f64::from(count),
        }
    }
}

/// Calls that SIPp makes, [`AT_ONCE`] at a time: INVITE, 200, ACK, BYE, 200.
pub(crate) fn calls(phone: &Phone) -> Result<Rate> {
    let folder = folder()?;
    let voice = folder.path().join("voice.wav");
    write_tone(&voice, 8_000, 440.0, 0.3, 30.0);
    let registrar = FarEnd::listen();
    let work = Work::Speak {
        voice: &voice,
        codec: "pcmu",
        calls: 2 * AT_ONCE,
    };
    let address = registrar.address();
    let running = phone.prepare(&address.to_string(), work)?.start()?;
    let us = registrar.registered();
    // Nothing is registered in the time that the calls take, so the registrar's address is free for SIPp.
    drop(registrar);
    let caller = Caller::new(&folder, address.port(), &us);
    let once = |calls| -> Result<(Duration, Duration)> {
        let (began, ran) = (Instant::now(), running_time(running.pid())?);
        caller.call(calls)?;
        let passed = began.elapsed();
        Ok((passed, running_time(running.pid())?.saturating_sub(ran)))
    };
    let [warming, few, many] = CALLS;
    once(warming)?;
    let (first, second) = (once(few)?, once(many)?);
    let passed = second.0.checked_sub(first.0);
    let passed = passed.filter(|passed| !passed.is_zero());
    let passed = passed.ok_or_else(|| format!("{many} calls took no longer than {few}"))?;
    Ok(Rate::of(
        many - few,
        passed,
        second.1.saturating_sub(first.1),
    ))
}

/// REGISTERs with SIPp as registrar, each told to the program and answered before the next; none for a phone that cannot
/// be asked to register again.
pub(crate) fn registers(phone: &Phone) -> Result<Option<Rate>> {
    let Phone::Rollcall { .. } = phone else {
        return Ok(None);
    };
    let folder = folder()?;
    let (sip, media) = (Port::reserve(), Port::reserve_three());
    let mut registrar = Killed(sipp(
        &folder,
        "registrar.xml",
        "",
        sip.number(),
        &media,
        &[],
    )?);
    let registrar_address = format!("127.0.0.1:{}", sip.number());
    let mut running = phone
        .prepare(&registrar_address, Work::Register)?
        .start_commanded()?;
    let (mut commands, events) = running.commands().ok_or("the phone takes no commands")?;
    let mut events = BufReader::new(events).lines();
    let mut register = |count| -> Result<()> {
        for _ in 0..count {
            let told = events.by_ref().find_map(|line| {
                let line = line.ok()?;
                line.contains(r#""event":"registered""#).then_some(())
            });
            told.ok_or("the phone has ended")?;
            writeln!(commands, "refresh").map_err(|error| error.to_string())?;
        }
        Ok(())
    };
    let [warming, counted] = REGISTERS;
    register(warming)?;
    let (began, ran) = (Instant::now(), running_time(running.pid())?);
    register(counted)?;
    let (passed, ran) = (
        began.elapsed(),
        running_time(running.pid())?.saturating_sub(ran),
    );
    if let Some(status) = registrar.0.try_wait().map_err(|error| error.to_string())? {
        return Err(format!("SIPp ended with {status}"));
    }
    Ok(Some(Rate::of(counted, passed, ran)))
}

/// SIPp, at the address where the phone's registrar was.
struct Caller<'a> {
    folder: &'a TempDir,
    port: u16,
    phone: &'a Registered,
    media: [Port; 3],
}

impl<'a> Caller<'a> {
    fn new(folder: &'a TempDir, port: u16, phone: &'a Registered) -> Self {
        Self {
            folder,
            port,
            phone,
            media: Port::reserve_three(),
        }
    }

    fn call(&self, calls: u32) -> Result<()> {
        let (calls, at_once) = (calls.to_string(), AT_ONCE.to_string());
        let phone = self.phone.address.to_string();
        let more = [
            "-m",
            &calls,
            "-l",
            &at_once,
            "-r",
            "5000",
            "-recv_timeout",
            "10000",
            &phone,
        ];
        let contact = &self.phone.contact;
        let mut program = sipp(
            self.folder,
            "call.xml",
            contact,
            self.port,
            &self.media,
            &more,
        )?;
        let status = program.wait().map_err(|error| error.to_string())?;
        match status.success() {
            true => Ok(()),
            false => Err(format!("of SIPp's {calls} calls some failed: {status}")),
        }
    }
}

/// A process that does not outlive its measurement.
struct Killed(Child);

impl Drop for Killed {
    fn drop(&mut self) {
        let _ = self.0.kill();
        let _ = self.0.wait();
    }
}

/// Starts SIPp with a scenario of `benches/sipp`.
fn sipp(
    folder: &TempDir,
    scenario: &str,
    contact: &str,
    port: u16,
    media: &[Port; 3],
    more: &[&str],
) -> Result<Child> {
    let words = |error: std::io::Error| format!("{scenario}: {error}");
    let text = fs::read_to_string(repository().join("benches/sipp").join(scenario));
    let file: PathBuf = folder.path().join(scenario);
    fs::write(&file, text.map_err(words)?.replace("CONTACT", contact)).map_err(words)?;
    let mut command = Command::new(Path::new(SIPP));
    command
        .arg("-sf")
        .arg(&file)
        .args(["-i", "127.0.0.1", "-mi", "127.0.0.1", "-nostdin"])
        .args(["-p", &port.to_string()])
        .args(["-mp", &media[0].number().to_string()])
        .args(more)
        .current_dir(folder.path())
        .stdin(Stdio::null())
        .stdout(Stdio::null())
        .stderr(Stdio::null());
    command
        .spawn()
        .map_err(|error| format!("{SIPP}: {error}; `cargo xtask setup` installs it"))
}

fn folder() -> Result<TempDir> {
    tempfile::tempdir().map_err(|error| format!("no folder: {error}"))
}
