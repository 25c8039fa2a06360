//! The demo's day without a window: sign in, be on the board, call 600 and 1002, sign out.
//!
//! The board is what the supervisor's realtime link delivers, printed as it comes. Each step has a deadline; the verdict
//! is the first one missed, or none.

use std::collections::BTreeMap;
use std::time::{Duration, Instant};

use super::demo::Demo;
use super::{BOARD, CALLER, json};
use crate::Result;
use crate::process::{Household, News};

/// How long a step of the day may take on a slow machine.
const STEP: Duration = Duration::from_secs(20);
/// How long each conversation lasts.
const TALK: Duration = Duration::from_secs(4);

/// Plays it, and says how it went.
pub(crate) fn play(household: &mut Household, demo: &Demo, url: &str) -> Result<()> {
    let mut board = demo.agent(BOARD, "super", url)?;
    household.start(BOARD, board.arg("--board"), &demo.log(BOARD))?;
    let mut day = Day {
        household,
        began: Instant::now(),
        states: BTreeMap::new(),
        call: None,
        signed_out: false,
    };
    day.until("the board is there", |day| day.states.len() >= 2)?;

    println!("  1002 signs in and answers whoever calls");
    demo.launch_callee(day.household, url)?;
    day.until("1002 is Available", |day| day.is("1002", "Available"))?;
    day.show_up(demo, url)?;
    for (number, what) in [("600", "the echo"), ("1002", "the other agent")] {
        day.call(demo, url, number, what)?;
    }
    println!(
        "\n==> verdict: all went well. 1001 and 1002 were Available, 1001 talked to the echo and to 1002 and was Offline after each sign-out; the board showed every step."
    );
    Ok(())
}

struct Day<'a> {
    household: &'a mut Household,
    began: Instant,
    /// The board: state by extension.
    states: BTreeMap<String, String>,
    /// The caller's call, by its state.
    call: Option<String>,
    signed_out: bool,
}

impl Day<'_> {
    /// 1001 signs in, is seen, and signs out.
    fn show_up(&mut self, demo: &Demo, url: &str) -> Result<()> {
        println!("  1001 signs in");
        let mut caller = demo.agent(CALLER, "1001", url)?;
        caller.args(["--audio", "loopback"]);
        self.household.start(CALLER, &caller, &demo.log(CALLER))?;
        self.until("1001 is Available", |day| day.is("1001", "Available"))?;
        self.leave("1001 signs out")
    }

    /// 1001 signs in, calls `number`, talks, hangs up and signs out.
    fn call(&mut self, demo: &Demo, url: &str, number: &str, what: &str) -> Result<()> {
        println!("  1001 signs in and calls {number}, {what}");
        self.call = None;
        let mut caller = demo.agent(CALLER, "1001", url)?;
        caller.args(["--audio", "loopback", "--dial", number]);
        self.household.start(CALLER, &caller, &demo.log(CALLER))?;
        self.until("1001 is OnCall", |day| day.is("1001", "OnCall"))?;
        self.until("the call is answered", |day| {
            day.call.as_deref() == Some("active")
        })?;
        self.listen(TALK)?;
        self.leave("1001 hangs up and signs out")
    }

    /// The program of 1001 is asked to end, and signs out first.
    fn leave(&mut self, words: &str) -> Result<()> {
        println!("  {words}");
        self.signed_out = false;
        self.household.end_one(CALLER);
        self.until("1001 has signed out", |day| day.signed_out)?;
        self.until("1001 is Offline", |day| day.is("1001", "Offline"))
    }

    fn is(&self, extension: &str, status: &str) -> bool {
        self.states
            .get(extension)
            .is_some_and(|state| state == status)
    }

    /// Takes news until `done`, or fails with `what` was missed.
    fn until(&mut self, what: &str, done: impl Fn(&Self) -> bool) -> Result<()> {
        let deadline = Instant::now() + STEP;
        while !done(self) {
            let left = deadline.saturating_duration_since(Instant::now());
            if left.is_zero() {
                return Err(format!(
                    "verdict: the day went wrong; not within {} s: {what}",
                    STEP.as_secs()
                ));
            }
            self.take(left)?;
        }
        Ok(())
    }

    /// Takes news for a while.
    fn listen(&mut self, time: Duration) -> Result<()> {
        let end = Instant::now() + time;
        while Instant::now() < end {
            self.take(end.saturating_duration_since(Instant::now()))?;
        }
        Ok(())
    }

    fn take(&mut self, within: Duration) -> Result<()> {
        match self.household.next(within) {
            Some(News::Interrupted) => Err("interrupted".to_owned()),
            Some(News::Line { child: BOARD, text }) => {
                self.take_board(&text);
                Ok(())
            }
            Some(News::Line {
                child: CALLER,
                text,
            }) => self.take_caller(&text),
            Some(News::Silent { child }) if child != CALLER => {
                Err(format!("{child} ended by itself"))
            }
            Some(News::Line { .. } | News::Silent { .. }) | None => Ok(()),
        }
    }

    fn take_board(&mut self, line: &str) {
        if json::text(line, "event") != Some("board") {
            return;
        }
        if let (Some(extension), Some(status)) =
            (json::text(line, "extension"), json::text(line, "status"))
        {
            let why = json::text(line, "code")
                .filter(|_| status != "Available")
                .map(|code| format!(" ({code})"))
                .unwrap_or_default();
            println!(
                "    {:>5.1} s  board: {extension}  {status}{why}",
                self.began.elapsed().as_secs_f64()
            );
            self.states.insert(extension.to_owned(), status.to_owned());
        }
    }

    fn take_caller(&mut self, line: &str) -> Result<()> {
        match json::text(line, "event") {
            Some("call") => self.call = json::text(line, "state").map(str::to_owned),
            Some("signed_out") => self.signed_out = true,
            Some("error") => return Err(format!("verdict: the day went wrong; 1001 says: {line}")),
            _ => {}
        }
        Ok(())
    }
}
