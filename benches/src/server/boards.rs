//! Socket.IO by whom it is not for: without a token, with one that is over, with another's. By polling, which is HTTP.

use std::collections::BTreeMap;
use std::thread;
use std::time::{Duration, Instant};

use serde_json::{Value, json};

use super::attacks::{Row, agent};
use super::load::Line;
use super::programs::{self, Target};
use crate::Result;

const POLLING: &str = "/socket.io/?EIO=4&transport=polling";
/// Access tokens of the second server live so long.
const BRIEF: Duration = Duration::from_secs(2);
/// Who is not cut off by then is not cut off.
const LONGEST: Duration = Duration::from_secs(60);
/// Connections of each kind.
const EACH: usize = 50;

/// Opens a session of Engine.IO as if from this address, which anybody may: its own address, or the status of the refusal.
pub(super) fn open(line: &mut Line, from: &str) -> Result<std::result::Result<String, u16>> {
    let from = format!("x-forwarded-for: {from}\r\n");
    let answer = line.send("GET", POLLING, &from, None)?;
    if answer.status != 200 {
        return Ok(Err(answer.status));
    }
    let opened: Value = serde_json::from_slice(answer.body.get(1..).unwrap_or_default())
        .map_err(|error| format!("a session's first packet: {error}"))?;
    let sid = opened["sid"].as_str().unwrap_or_default();
    Ok(Ok(format!("{POLLING}&sid={sid}")))
}

/// A session that was opened.
pub(super) struct Session {
    line: Line,
    path: String,
}

impl Session {
    pub(super) fn begin(target: &Target) -> Result<Session> {
        let mut line = Line::open(target.address)?;
        match open(&mut line, "10.203.0.1")? {
            Ok(path) => Ok(Session { line, path }),
            Err(status) => Err(format!("a session of Socket.IO is answered {status}")),
        }
    }

    /// Says a packet; the status of the answer.
    pub(super) fn say(&mut self, packet: &str) -> Result<u16> {
        let answer = self.line.send("POST", &self.path, "", Some(packet))?;
        Ok(answer.status)
    }

    /// The next packets but pings, which are answered; none once it is over.
    fn hear(&mut self) -> Result<Option<Vec<String>>> {
        let answer = self.line.send("GET", &self.path, "", None)?;
        if answer.status != 200 {
            return Ok(None);
        }
        let text = String::from_utf8_lossy(&answer.body).into_owned();
        let (pings, packets): (Vec<_>, Vec<_>) =
            text.split('\u{1e}').partition(|packet| *packet == "2");
        if !pings.is_empty() && self.say("3")? != 200 {
            return Ok(None);
        }
        Ok(Some(packets.into_iter().map(str::to_owned).collect()))
    }

    /// What it is told when it wants the board: to come in, or the code of the refusal.
    fn wants_the_board(&mut self, auth: &Value) -> Result<String> {
        self.say(&format!("40{auth}"))?;
        while let Some(packets) = self.hear()? {
            for packet in packets {
                if packet.starts_with("40") {
                    return Ok("let in".to_owned());
                }
                if let Some(error) = packet.strip_prefix("44") {
                    let error: Value =
                        serde_json::from_str(error).map_err(|error| error.to_string())?;
                    let words = error["message"].as_str().unwrap_or_default();
                    let (code, _) = words.split_once(':').unwrap_or((words, ""));
                    return Ok(code.to_owned());
                }
            }
        }
        Ok("cut off".to_owned())
    }
}

pub(super) fn attack(target: &Target, rows: &mut Vec<Row>) -> Result<()> {
    let brief = format!("[auth]\naccess_ttl_ms = {}\n", BRIEF.as_millis());
    let brief = programs::ours(1, &brief)?;
    let mut line = Line::open(brief.address)?;
    let over = signed_in(&brief, &mut line, &agent(0), None)?.0;
    thread::sleep(2 * BRIEF);
    let mut line = Line::open(target.address)?;
    let name = agent(8);
    let (out, _) = signed_in(target, &mut line, &name, None)?;
    let authorization = format!("authorization: Bearer {out}\r\n");
    line.ask("/api/users/agent-logout", &authorization, "{}")?;
    let device = "device-of-its-own";
    let (bound, refresh) = signed_in(target, &mut line, &name, Some(device))?;
    let thief = "device-of-a-thief";
    let mut told = Vec::new();
    for (target, what, auth) in [
        (target, "without a token", json!({})),
        (
            target,
            "with one that never was",
            json!({ "token": "x".repeat(43) }),
        ),
        (target, "with a refresh token", json!({ "token": refresh })),
        (&brief, "with one that is over", json!({ "token": over })),
        (
            target,
            "with one that was logged out",
            json!({ "token": out }),
        ),
        (
            target,
            "with another device's",
            json!({ "token": bound, "device": thief }),
        ),
        (
            target,
            "with its own",
            json!({ "token": bound, "device": device }),
        ),
    ] {
        told.push(format!("{what} {}", answers(target, &auth)?));
    }
    rows.push((
        "Socket.IO is asked for the board",
        format!(
            "of {EACH} each: {}; who names no token and goes on answering is cut off after {:.0} s",
            told.join(", "),
            silence(target)?.as_secs_f64()
        ),
    ));
    Ok(())
}

/// The access and the refresh token of somebody who signs in, at this device.
fn signed_in(
    target: &Target,
    line: &mut Line,
    username: &str,
    device: Option<&str>,
) -> Result<(String, String)> {
    let login = json!({ "username": username, "password": programs::PASSWORD, "deviceId": device });
    let header = device.map_or_else(String::new, |id| format!("rollcall-device: {id}\r\n"));
    let answer = line.ask("/api/users/login", &header, &login.to_string())?;
    let login: Value = serde_json::from_slice(&answer.body).map_err(|error| error.to_string())?;
    let token = |kind: &str| login["tokens"][kind].as_str().map(str::to_owned);
    match (token("sip"), token("refresh")) {
        (Some(access), Some(refresh)) => Ok((access, refresh)),
        _ => Err(format!(
            "{}: a sign-in is answered {}",
            target.name, answer.status
        )),
    }
}

/// What each of some connections is told, with how many are.
fn answers(target: &Target, auth: &Value) -> Result<String> {
    let mut told: BTreeMap<String, usize> = BTreeMap::new();
    for _ in 0..EACH {
        let answer = Session::begin(target)?.wants_the_board(auth)?;
        *told.entry(answer).or_default() += 1;
    }
    let told = told
        .iter()
        .map(|(answer, count)| format!("{count} {answer}"));
    Ok(told.collect::<Vec<_>>().join(" and "))
}

/// How long a session lives that answers pings and says nothing else.
fn silence(target: &Target) -> Result<Duration> {
    let begun = Instant::now();
    let mut session = Session::begin(target)?;
    while let Some(packets) = session.hear()? {
        if packets.iter().any(|packet| packet == "1" || packet == "41") {
            break;
        }
        if begun.elapsed() > LONGEST {
            return Err("who says nothing is not cut off".to_owned());
        }
    }
    Ok(begun.elapsed())
}
