//! Every endpoint of the server's OpenAPI document: asked rightly in each role, and with other languages' syntax in every
//! place where a client may write.

use std::collections::{BTreeMap, BTreeSet};
use std::fmt::Write as _;

use rollcall_e2e::injection::{Asked, STRINGS, injected, plain};
use serde_json::Value;

use super::attacks::{Row, address, agent};
use super::load::{Answer, Line};
use super::programs::Target;
use crate::Result;

/// Asked as the agent whose extension it names.
const ONLINE: &str = "/api/users/agent-online";
/// Ends the session that asks.
const LOGOUT: &str = "/api/users/agent-logout";

const HEAD: &str = "
## Each endpoint, asked rightly in each role

What only asks, and what would change something asked of nobody who is there. The agent's extension is 1001, and 1002 is
another's. 401 and 403: the door is shut. 400, 404, 409 and 503 are answers behind it: a person or a device that is not there, an
agent who is not signed in, no Asterisk that could prove it. `login`, `refresh` and `password` are asked with a password or a
token that is nobody's, which is a 401 to everybody.

| endpoint | nobody | agent | supervisor | administrator |
|---|---|---|---|---|
";

/// Every endpoint in each role, as a chapter of its own.
pub(super) fn in_each_role(target: &Target) -> Result<String> {
    let mut doors = plain(&document(target)?);
    doors.sort_by_key(|door| (door.path == LOGOUT, door.place.clone()));
    let mut line = Line::open(target.address)?;
    let mut rows: Vec<String> = doors.iter().map(|door| door.place.clone()).collect();
    for who in [
        None,
        Some(agent(0).as_str()),
        Some("supervisor"),
        Some("admin"),
    ] {
        let token = who.map(|who| target.token(&mut line, who)).transpose()?;
        for (door, row) in doors.iter().zip(&mut rows) {
            let answer = ask(&mut line, door, token.as_deref(), "")?;
            let _ = write!(row, " | {}", answer.status);
        }
    }
    let rows = rows.iter().map(|row| format!("| {row} |\n"));
    Ok(HEAD.to_owned() + &rows.collect::<String>())
}

/// As an administrator, whom every door is open to.
pub(super) fn inject(target: &Target, rows: &mut Vec<Row>) -> Result<()> {
    let mut line = Line::open(target.address)?;
    let own = target.token(&mut line, &agent(0))?;
    let admin = target.token(&mut line, "admin")?;
    let all = injected(&document(target)?);
    let before = kept(&mut line, &admin)?;
    let mut statuses: BTreeMap<u16, usize> = BTreeMap::new();
    let mut places = BTreeSet::new();
    for (number, asked) in all.iter().enumerate() {
        let token = if asked.path == ONLINE { &own } else { &admin };
        let from = match stands_in(asked, "x-forwarded-for") {
            true => String::new(),
            // Or who guesses passwords so would soon be told to wait, and nothing be looked at.
            false => format!("x-forwarded-for: {}\r\n", address(100_000 + number)),
        };
        let answer = ask(&mut line, asked, Some(token), &from)?;
        *statuses.entry(answer.status).or_default() += 1;
        places.insert(&asked.place);
    }
    let changed = match kept(&mut line, &admin)? == before {
        true => "as they were",
        false => "CHANGED",
    };
    let statuses: Vec<String> = statuses
        .iter()
        .map(|(status, count)| format!("{status} ({count})"))
        .collect();
    rows.push((
        "other languages' syntax stands in every field, parameter and header",
        format!(
            "{} strings in {} places of {} endpoints: {} requests, answered {}; people and audit log are {changed}",
            STRINGS.len(),
            places.len(),
            plain(&document(target)?).len(),
            all.len(),
            statuses.join(", ")
        ),
    ));
    Ok(())
}

/// What no such request may change: everybody, and every privileged act.
fn kept(line: &mut Line, admin: &str) -> Result<[Vec<u8>; 2]> {
    let authorization = format!("authorization: Bearer {admin}\r\n");
    let mut read = |path: &str| -> Result<Vec<u8>> {
        let answer = line.send("GET", path, &authorization, None)?;
        match answer.status {
            200 => Ok(answer.body),
            status => Err(format!("{path} is answered {status}")),
        }
    };
    Ok([read("/api/people")?, read("/api/audit")?])
}

fn document(target: &Target) -> Result<Value> {
    let answer = Line::open(target.address)?.send("GET", "/api/openapi.json", "", None)?;
    serde_json::from_slice(&answer.body).map_err(|error| format!("the OpenAPI document: {error}"))
}

fn stands_in(asked: &Asked, header: &str) -> bool {
    asked.headers.iter().any(|(name, _)| name == header)
}

/// With this token, where the request has none of its own, and these header lines.
fn ask(line: &mut Line, asked: &Asked, token: Option<&str>, more: &str) -> Result<Answer> {
    let mut headers = more.to_owned();
    if let Some(token) = token
        && !stands_in(asked, "authorization")
    {
        let _ = write!(headers, "authorization: Bearer {token}\r\n");
    }
    for (name, value) in &asked.headers {
        let _ = write!(headers, "{name}: {value}\r\n");
    }
    let body = asked.body.as_ref().map(Value::to_string);
    line.send(&asked.method, &asked.path, &headers, body.as_deref())
}
