//! A day of calls, one after another: what grows?
//!
//! Their sound is on virtual time ([`call`]): three minutes each, and between the hours nothing may stay of them. What a
//! session would keep for ever shows in one call that lasts as long as a shift. Their signalling, their sockets and their
//! tasks are real: each hour, as many calls are made to a running `rollcall-phone`, which holds them for a moment each.
//!
//! It fails where the phone has other files, threads or tasks than after the second hour, or memory of either process has
//! grown by more than [`GROWTH`] since; and where a key was missed or doubled, or a packet refused.

mod call;

use std::thread;
use std::time::{Duration, Instant};

use rand::SeedableRng;
use rand::rngs::StdRng;
use rollcall_e2e::FarEnd;
use rollcall_e2e::far_end::Registered;
use rollcall_e2e::phone::{Phone, Running};
use rollcall_e2e::program::Resources;
use rollcall_media::codec::Codec;

use crate::Result;
use call::{Account, Call};

/// Ticks of a call: three minutes.
const CALL: u32 = 9_000;
/// Ticks of a long call: eight hours.
const SHIFT: u32 = 8 * 60 * 60 * 50;
const CALLS_AN_HOUR: u32 = 20;
/// The hour whose end the others are compared with: by then every path has been walked once.
const WARM: usize = 2;
/// What an allocator may keep in pieces, in kilobytes; ten bytes kept of each packet of a day are more.
const GROWTH: u64 = 8 * 1024;
/// A few packets of a call.
const SOON: Duration = Duration::from_millis(100);
/// Vitals come once a second.
const AT_REST: Duration = Duration::from_secs(20);

/// Prints a line an hour.
pub(crate) fn measure(seed: u64, hours: usize) -> Result<()> {
    println!("{hours} hours of calls of three minutes, seed {seed}");
    println!(
        "{:>5} {:>9} {:>9} {:>7} {:>7} {:>9} {:>8} {:>9} {:>8} {:>5} {:>11} | {:>10} {:>5} {:>7} {:>5}",
        "hour",
        "packets",
        "played",
        "late",
        "lost",
        "discarded",
        "reports",
        "encrypted",
        "unsent",
        "keys",
        "resident KB",
        "phone's KB",
        "files",
        "threads",
        "tasks"
    );
    let engine = Engine::start();
    let mut random = StdRng::seed_from_u64(seed);
    let mut now = Instant::now();
    let mut warm = None;
    for hour in 1..=hours {
        let account = hour_of_calls(CALLS_AN_HOUR, CALL, &mut random, &mut now)?;
        let held = engine.hour()?;
        print_row(hour, &account, &held);
        match &warm {
            Some(warm) => held.against(warm)?,
            None if hour == WARM => warm = Some(held),
            None => {}
        }
    }
    println!(
        "\nA call of eight hours: {} KB kept",
        kept_by_a_long_call(SHIFT, &mut random, &mut now)?
    );
    println!(
        "\nresident: of this process, where the sessions are. On the right: what the phone holds when the calls of the hour are over,\n\
         its tasks as its vitals tell them. reports: RTCP that came. encrypted: of both, those under SRTP. unsent: frames of silence\n\
         that Opus kept to itself. keys: told at the other end, none missed, none doubled."
    );
    Ok(())
}

fn print_row(hour: usize, sum: &Account, held: &Held) {
    println!(
        "{hour:>5} {:>9} {:>9} {:>7} {:>7} {:>9} {:>8} {:>9} {:>8} {:>5} {:>11} | {:>10} {:>5} {:>7} {:>5}",
        sum.received,
        sum.played,
        sum.late,
        sum.lost,
        sum.discarded,
        sum.reports,
        sum.encrypted,
        sum.unsent,
        sum.keys,
        held.resident,
        held.phone.memory / 1024,
        held.phone.files,
        held.phone.threads,
        held.tasks,
    );
}

/// An hour's calls on virtual time, each of so many ticks.
fn hour_of_calls(
    calls: u32,
    ticks: u32,
    random: &mut StdRng,
    now: &mut Instant,
) -> Result<Account> {
    let mut sum = Account::default();
    for _ in 0..calls {
        sum += Call::new(random)?.run(ticks, random, now)?;
    }
    let Account {
        pressed,
        keys,
        reports,
        refused,
        ..
    } = sum;
    match (pressed == keys, reports > 0, refused) {
        (true, true, 0) => Ok(sum),
        _ => Err(format!(
            "{keys} of {pressed} keys were told, {reports} reports came, {refused} packets were refused"
        )),
    }
}

/// Kilobytes that this process has grown by after `ticks` of one encrypted call, the first tenth of them not counted.
fn kept_by_a_long_call(ticks: u32, random: &mut StdRng, now: &mut Instant) -> Result<u64> {
    let mut call = Call::between(Codec::Pcmu, true, random)?;
    call.run(ticks / 10, random, now)?;
    let before = resident()?;
    call.run(ticks - ticks / 10, random, now)?;
    let kept = resident()?.saturating_sub(before);
    match kept {
        0..=GROWTH => Ok(kept),
        _ => Err(format!("a call of {ticks} ticks keeps {kept} KB")),
    }
}

/// What is there when the calls of an hour are over.
struct Held {
    /// Of this process, in kilobytes.
    resident: u64,
    phone: Resources,
    /// As the phone's vitals tell them.
    tasks: u64,
}

impl Held {
    /// Compares with an earlier hour.
    fn against(&self, before: &Held) -> Result<()> {
        let counts = |held: &Held| [held.phone.files, held.phone.threads, held.tasks as usize];
        if counts(self) != counts(before) {
            return Err(format!(
                "the phone has {:?} files, threads and tasks; after hour {WARM} it had {:?}",
                counts(self),
                counts(before)
            ));
        }
        let kilobytes = |held: &Held| [held.resident, held.phone.memory as u64 / 1024];
        let grown = kilobytes(self)
            .into_iter()
            .zip(kilobytes(before))
            .map(|(now, then)| now.saturating_sub(then));
        match grown.clone().all(|grown| grown <= GROWTH) {
            true => Ok(()),
            false => Err(format!(
                "grown by {:?} KB since hour {WARM} (sessions, phone); {GROWTH} may be",
                grown.collect::<Vec<_>>()
            )),
        }
    }
}

/// A phone that answers every call.
struct Engine {
    far_end: FarEnd,
    registered: Registered,
    phone: Running,
}

impl Engine {
    fn start() -> Engine {
        let far_end = FarEnd::listen();
        let phone = Phone::at("1001", &far_end.address().to_string(), "not asked for")
            .codecs("pcmu")
            .answering()
            .start();
        Engine {
            registered: far_end.registered(),
            far_end,
            phone,
        }
    }

    /// Makes an hour's calls, one after another; what is there afterwards.
    fn hour(&self) -> Result<Held> {
        for _ in 0..CALLS_AN_HOUR {
            let call = self.far_end.call(&self.registered);
            self.far_end.rtp(SOON);
            self.far_end.hang_up(&call);
        }
        let told = self.vitals().len();
        let deadline = Instant::now() + AT_REST;
        while Instant::now() < deadline {
            // One that was made before the last call had ended may be on its way.
            if let Some(tasks) = self.vitals().into_iter().nth(told + 1) {
                return Ok(Held {
                    resident: resident()?,
                    phone: self.phone.program.resources(),
                    tasks,
                });
            }
            thread::sleep(SOON);
        }
        Err("the phone tells no vitals".to_owned())
    }

    /// The tasks of all vitals so far.
    fn vitals(&self) -> Vec<u64> {
        let events = self.phone.program.events();
        let vitals = events.iter().filter(|event| event["event"] == "vitals");
        vitals.filter_map(|event| event["tasks"].as_u64()).collect()
    }
}

/// Resident memory of this process in kilobytes.
fn resident() -> Result<u64> {
    let status = std::fs::read_to_string("/proc/self/status").map_err(|error| error.to_string())?;
    let line = status.lines().find_map(|line| line.strip_prefix("VmRSS:"));
    let kilobytes = line.and_then(|line| line.trim().split(' ').next()?.parse().ok());
    kilobytes.ok_or_else(|| "no VmRSS".to_owned())
}

#[cfg(test)]
mod tests {
    use super::*;

    /// Calls of half a minute, and one of a quarter of an hour: what `cargo xtask bench soak` plays for a day.
    #[test]
    fn soak_of_calls_with_everything_in_them_misses_no_key_and_a_long_one_keeps_nothing() {
        let mut random = StdRng::seed_from_u64(7);
        let mut now = Instant::now();
        for codec in [Codec::Pcmu, Codec::Opus] {
            for encrypted in [false, true] {
                let mut call = Call::between(codec, encrypted, &mut random).unwrap();
                let account = call.run(1_600, &mut random, &mut now).unwrap();
                assert_eq!((account.pressed, account.keys), (32, 32), "{codec}");
                assert_eq!(account.refused, 0, "{codec}");
                assert!(account.reports > 2, "{codec}");
                assert_eq!(account.encrypted > 0, encrypted);
                assert_eq!(account.unsent > 600, codec == Codec::Opus, "{codec}");
            }
        }
        kept_by_a_long_call(45_000, &mut random, &mut now).unwrap();
    }
}
