//! What attackers get of the server as it comes, each with its figure: guessing, unknown names, other languages' syntax,
//! sizes, floods, connections that say nothing or little, tokens that are not theirs or no longer good, others' endpoints.
//!
//! One attacker has many addresses here: the server is told to trust this machine's word for them.

use std::fmt::Write as _;
use std::fs;
use std::thread;
use std::time::{Duration, Instant};

use nix::sys::resource::{Resource, getrlimit, setrlimit};
use rollcall_e2e::surroundings::repository;
use serde_json::{Value, json};

use super::boards::Session;
use super::load::{Answer, Line};
use super::programs::{self, PASSWORD, Target, extension};
use super::{boards, doors, floods, idlers};
use crate::Result;
use crate::table::median;

/// Accounts that are there.
const PEOPLE: usize = 100;
/// Addresses, or names, that are tried until the budget of all of them is used up.
const MANY: usize = 400;
/// Times that are compared, of each kind.
const TIMES: usize = 200;
/// Open files of a process.
const FILES: u64 = 8_192;
/// The server believes this machine who asks; everything else is as it comes.
const TRUSTED: &str = "trusted = [\"127.0.0.1\"]\n";

const HEAD: &str = "\
# Attacks, and what they get

Written by `cargo xtask bench attacks`; not to be changed by hand. The server is a release build with its own defaults, on
SQLite, without Asterisk, with 100 accounts; attackers have as many addresses as they like.

";

/// A request of a size, and the status of its answer.
type Growing = fn(&Target, usize) -> Result<u16>;
/// What was tried, and what came of it.
pub(super) type Row = (&'static str, String);

/// Attacks, prints what came of it and writes it to `docs/attacks.md`.
pub(crate) fn measure() -> Result<()> {
    println!("attacks on rollcall-server, about four minutes");
    // The server inherits it: each connection of the attackers' takes a file of both.
    let (soft, hard) = getrlimit(Resource::RLIMIT_NOFILE).map_err(|error| error.to_string())?;
    setrlimit(Resource::RLIMIT_NOFILE, hard.min(soft.max(FILES)), hard)
        .map_err(|error| error.to_string())?;
    let target = programs::ours(PEOPLE, TRUSTED)?;
    let mut rows: Vec<Row> = Vec::new();
    // First, while nobody is signed in whom an act could meet.
    let doors = doors::in_each_role(&target)?;
    doors::inject(&target, &mut rows)?;
    for attack in [
        guess_one,
        guess_from_everywhere,
        guess_everybody,
        tell_apart,
        oversize,
        replay,
        boards::attack,
        floods::attack,
        idlers::attack,
    ] {
        attack(&target, &mut rows)?;
    }
    let mut text = format!("{HEAD}| what is tried | what comes of it |\n|---|---|\n");
    for (tried, came) in rows {
        let _ = writeln!(text, "| {tried} | {came} |");
    }
    text += &doors;
    let place = repository().join("docs/attacks.md");
    fs::write(&place, &text).map_err(|error| format!("{}: {error}", place.display()))?;
    println!("\n{text}\nwritten to {}", place.display());
    Ok(())
}

/// A sign-in from an address, as a proxy hands it on.
pub(crate) fn sign_in(
    line: &mut Line,
    from: &str,
    username: &str,
    password: &str,
) -> Result<Answer> {
    let body = json!({ "username": username, "password": password });
    line.ask(
        "/api/users/login",
        &format!("x-forwarded-for: {from}\r\n"),
        &body.to_string(),
    )
}

pub(crate) fn agent(place: usize) -> String {
    format!("agent{}", extension(place))
}

pub(super) fn address(number: usize) -> String {
    format!(
        "10.{}.{}.{}",
        number >> 16,
        number >> 8 & 0xff,
        number & 0xff
    )
}

/// Wrong passwords until it is refused to judge one: how many were judged, and how long to wait.
fn guess_until_refused(line: &mut Line, from: &str, username: &str) -> Result<(usize, u64)> {
    for guessed in 0..10_000 {
        let answer = sign_in(line, from, username, "wrong")?;
        match answer.status {
            401 => {}
            429 => return Ok((guessed, answer.retry_after.unwrap_or_default())),
            status => return Err(format!("a wrong password is answered {status}")),
        }
    }
    Err("guessing is never refused".to_owned())
}

fn guess_one(target: &Target, rows: &mut Vec<Row>) -> Result<()> {
    let mut line = Line::open(target.address)?;
    let (from, begun) = (address(1), Instant::now());
    let (first, wait) = guess_until_refused(&mut line, &from, &agent(1))?;
    let colleague = sign_in(&mut line, &from, &agent(2), PASSWORD)?.status;
    let elsewhere = sign_in(&mut line, &address(2), &agent(1), PASSWORD)?.status;
    thread::sleep(Duration::from_secs(wait));
    let passed = begun.elapsed();
    let (second, _) = guess_until_refused(&mut Line::open(target.address)?, &from, &agent(1))?;
    let a_day = per_day(second, passed);
    rows.push((
        "one password is guessed from one address",
        format!(
            "{first} guesses, then 429 for {wait} s, then {second} more: {a_day} a day; meanwhile a colleague at that \
             address is answered {colleague}, the account's owner elsewhere {elsewhere}"
        ),
    ));
    Ok(())
}

fn guess_from_everywhere(target: &Target, rows: &mut Vec<Row>) -> Result<()> {
    let mut line = Line::open(target.address)?;
    let (home, owner) = (address(3), agent(3));
    sign_in(&mut line, &home, &owner, PASSWORD)?;
    let begun = Instant::now();
    let (mut judged, mut wait) = (0, 0);
    for number in 0..MANY {
        let answer = sign_in(&mut line, &address(1_000 + number), &owner, "wrong")?;
        judged += usize::from(answer.status == 401);
        wait = answer.retry_after.unwrap_or(wait);
    }
    let took = begun.elapsed().as_secs_f64();
    let own = sign_in(&mut line, &home, &owner, PASSWORD)?.status;
    rows.push((
        "one password is guessed from 400 addresses at once",
        format!(
            "{judged} guesses are judged in {took:.1} s, the others answered 429 (the last: wait {wait} s); its owner, \
             where they signed in before, is answered {own}"
        ),
    ));
    Ok(())
}

fn guess_everybody(target: &Target, rows: &mut Vec<Row>) -> Result<()> {
    let mut line = Line::open(target.address)?;
    let from = address(4);
    sign_in(&mut line, &from, &agent(4), PASSWORD)?;
    let begun = Instant::now();
    let (mut judged, mut wait) = (0, 0);
    for number in 0..MANY {
        let answer = sign_in(&mut line, &from, &format!("somebody{number}"), "wrong")?;
        judged += usize::from(answer.status == 401);
        wait = answer.retry_after.unwrap_or(wait);
    }
    let took = begun.elapsed().as_secs_f64();
    let own = sign_in(&mut line, &from, &agent(4), PASSWORD)?.status;
    rows.push((
        "one password is tried on 400 names from one address",
        format!(
            "{judged} guesses are judged in {took:.1} s, the others answered 429 (the last: wait {wait} s); who signed \
             in from there before is answered {own}"
        ),
    ));
    Ok(())
}

/// Times of an unknown name and of a known one with a wrong password, by turns, each from an address of its own.
fn tell_apart(target: &Target, rows: &mut Vec<Row>) -> Result<()> {
    let mut line = Line::open(target.address)?;
    let mut times = [const { Vec::new() }; 2];
    let mut answers = Vec::new();
    for number in 0..TIMES {
        // Nobody so often that guessing is slowed.
        let names = [agent(10 + number % 90), format!("nobody{number}")];
        // Each as often before the other as after it.
        for turn in 0..2 {
            let kind = (number + turn) % 2;
            let name = &names[kind];
            let from = address(10_000 + 2 * number + kind);
            let asked = Instant::now();
            let answer = sign_in(&mut line, &from, name, "wrong")?;
            times[kind].push(asked.elapsed().as_secs_f64() * 1e3);
            answers.push((answer.status, answer.body));
        }
    }
    answers.dedup();
    let [known, unknown] = times.map(quartiles);
    rows.push((
        "names are told from answers and times",
        format!(
            "{} different answer(s) to {TIMES} wrong passwords and {TIMES} unknown names; median {:.1} ms (half of them \
             {:.1} to {:.1}) and {:.1} ms ({:.1} to {:.1}): {:.1} ms apart",
            answers.len(),
            known[1],
            known[0],
            known[2],
            unknown[1],
            unknown[0],
            unknown[2],
            (known[1] - unknown[1]).abs()
        ),
    ));
    Ok(())
}

/// The largest of each kind that is taken, found by halving.
fn oversize(target: &Target, rows: &mut Vec<Row>) -> Result<()> {
    let limits: [(&str, &str, Growing); 4] = [
        ("a body", "bytes", with_body),
        ("one header", "bytes", with_header),
        ("a request", "headers", with_headers),
        ("a message of Socket.IO", "bytes", with_message),
    ];
    let mut said = Vec::new();
    for (what, unit, ask) in limits {
        let (mut taken, mut refused) = (1, 1 << 20);
        while refused - taken > 1 {
            let middle = taken + (refused - taken) / 2;
            match ask(target, middle)? {
                413 | 431 | 0 => refused = middle,
                _ => taken = middle,
            }
        }
        let status = match ask(target, refused)? {
            0 => "the connection's end".to_owned(),
            status => status.to_string(),
        };
        said.push(format!(
            "{what} of up to {taken} {unit} is read, more is answered {status}"
        ));
    }
    rows.push(("requests grow until they are refused", said.join("; ")));
    Ok(())
}

fn with_body(target: &Target, bytes: usize) -> Result<u16> {
    let body = format!("{{\"{}\":1}}", "x".repeat(bytes.saturating_sub(6)));
    asked(target, "", &body)
}

fn with_header(target: &Target, bytes: usize) -> Result<u16> {
    asked(target, &format!("x-long: {}\r\n", "x".repeat(bytes)), "{}")
}

fn with_headers(target: &Target, count: usize) -> Result<u16> {
    // Host, content type and length are among them.
    let more = "x: 1\r\n".repeat(count.saturating_sub(3));
    asked(target, &more, "{}")
}

fn with_message(target: &Target, bytes: usize) -> Result<u16> {
    let packet = format!("4{}", "x".repeat(bytes.saturating_sub(1)));
    Session::begin(target)?.say(&packet)
}

/// The status, or 0 where the connection ended without one.
fn asked(target: &Target, headers: &str, body: &str) -> Result<u16> {
    let answer = Line::open(target.address)?.ask("/api/users/login", headers, body);
    Ok(answer.map_or(0, |answer| answer.status))
}

/// Tokens after a logout, on another device, and used twice.
fn replay(target: &Target, rows: &mut Vec<Row>) -> Result<()> {
    let mut line = Line::open(target.address)?;
    let username = agent(5);
    let body =
        json!({ "username": username, "password": PASSWORD, "deviceId": "device-of-its-own" });
    let device = "rollcall-device: device-of-its-own\r\n";
    let login = line.ask("/api/users/login", device, &body.to_string())?;
    let login: Value = serde_json::from_slice(&login.body).map_err(|error| error.to_string())?;
    let tokens = &login["tokens"];
    let access = tokens["sip"].as_str().unwrap_or_default().to_owned();
    let online = super::load::claim(&extension(5), "replayed");
    let mut go_online = |device: &str| -> Result<u16> {
        let headers = format!("authorization: Bearer {access}\r\n{device}");
        let answer = line.ask("/api/users/agent-online", &headers, &online)?;
        Ok(answer.status)
    };
    let own = go_online(device)?;
    let other = go_online("rollcall-device: device-of-a-thief\r\n")?;
    let mut line = Line::open(target.address)?;
    let refresh = json!({ "refresh": tokens["refresh"] }).to_string();
    let mut renew = || line.ask("/api/users/refresh", device, &refresh);
    let (once, twice) = (renew()?.status, renew()?.status);
    let after = go_online(device)?;
    rows.push((
        "a token is copied to another device; a refresh token is used twice",
        format!(
            "on its own device {own}, on another {other}; the first exchange {once}, the second {twice}, and the \
             session's token then {after}"
        ),
    ));
    let mut line = Line::open(target.address)?;
    let token = target.token(&mut line, &agent(6))?;
    let headers = format!(
        "authorization: Bearer {token}\r\nrollcall-device: device-{}\r\n",
        agent(6)
    );
    let out = line.ask("/api/users/agent-logout", &headers, "{}")?.status;
    let online = super::load::claim(&extension(6), "replayed");
    let again = line.ask("/api/users/agent-online", &headers, &online)?;
    rows.push((
        "a token is used after its logout",
        format!("the logout {out}, the token then {}", again.status),
    ));
    Ok(())
}

// Counts and seconds of a benchmark: far from what f64 cannot hold.
#[allow(clippy::cast_precision_loss)]
fn per_day(guesses: usize, of: Duration) -> String {
    let day = Duration::from_secs(24 * 60 * 60).as_secs_f64();
    format!("{:.0}", guesses as f64 * day / of.as_secs_f64())
}

/// A quarter of them are below the first, half below the second, three quarters below the third.
fn quartiles(mut values: Vec<f64>) -> [f64; 3] {
    values.sort_by(f64::total_cmp);
    let at = |quarter: usize| {
        values
            .get(values.len() * quarter / 4)
            .copied()
            .unwrap_or(f64::NAN)
    };
    let (first, third) = (at(1), at(3));
    [first, median(values), third]
}
