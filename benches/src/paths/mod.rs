//! How speech sounds through a real Asterisk, over a line that loses packets: our phone and baresip at the same time, with
//! Opus all the way, and ours where Asterisk puts an Opus call through to a PCMU leg.
//!
//! ```text
//! caller ─► line (loses) ─► Asterisk ─► callee        scored: what the callee heard ("to")
//! caller ◄─ line (loses) ◄─ Asterisk ◄─ callee        scored: what the caller heard ("from")
//! ```
//!
//! In real time: a call takes as long as the prompts.

mod align;
mod line;

use std::path::{Path, PathBuf};
use std::time::Duration;

use rollcall_e2e::Asterisk;
use rollcall_e2e::asterisk::{Person, Settings};
use rollcall_e2e::baresip::{self, Baresip};
use rollcall_e2e::phone::{self, Phone};
use rollcall_e2e::sound::{RATE, Recording, write_wav};
use rollcall_media::codec::Codec;
use tempfile::TempDir;

use crate::Result;
use crate::quality::relay::Weather;
use crate::quality::score::{Score, score};
use crate::quality::speech::{self, Speech, resample};
use line::{Count, Line};

const WEATHERS: [Weather; 8] = [
    Weather::random(0.0),
    Weather::random(0.02),
    Weather::random(0.05),
    Weather::random(0.10),
    Weather::random(0.20),
    Weather::random(0.30),
    Weather::bursts(0.10),
    Weather::bursts(0.20),
];

/// What is still under way when the last word has been said.
const TAIL: Duration = Duration::from_secs(1);

/// One call of a round.
#[derive(Clone, Copy)]
struct Call {
    who: Who,
    /// Of the callee; the caller's is Opus.
    codec: Codec,
    caller: &'static str,
    callee: &'static str,
}

#[derive(Clone, Copy, PartialEq)]
enum Who {
    Rollcall,
    Baresip,
}

const CALLS: [Call; 3] = [
    Call {
        who: Who::Rollcall,
        codec: Codec::Opus,
        caller: "1001",
        callee: "1002",
    },
    Call {
        who: Who::Baresip,
        codec: Codec::Opus,
        caller: "1003",
        callee: "1004",
    },
    Call {
        who: Who::Rollcall,
        codec: Codec::Pcmu,
        caller: "1005",
        callee: "1006",
    },
];

/// What was heard at the end of one way.
struct Heard {
    count: Count,
    score: Score,
}

/// Prints the table, or only its rows of `loss` percent.
pub(crate) fn measure(seed: u64, loss: Option<u64>) -> Result<()> {
    let weathers = wanted(loss)?;
    let speech = Speech::read()?;
    println!(
        "PESQ of {} prompts through Asterisk 22, {:.0} s a call, seed {seed}; wide band, narrow band where the callee has PCMU\n",
        speech.prompts().len(),
        speech.seconds()
    );
    println!(
        "{:<14} {:<15} {:<12} {:>8} {:>6} {:>8} {:>8} {:>6} {:>8}",
        "loss", "phones", "codecs", "lost to", "PESQ", "(worst)", "from", "PESQ", "(worst)"
    );
    let runtime = tokio::runtime::Builder::new_multi_thread()
        .enable_all()
        .build()
        .map_err(|error| error.to_string())?;
    let people = CALLS.iter().flat_map(|call| [call.caller, call.callee]);
    let settings = Settings {
        people: people.map(person).collect(),
        ..Settings::default()
    };
    let asterisk = runtime.block_on(Asterisk::start(settings));
    for weather in weathers {
        let place = Place::new(&asterisk, &speech, weather, seed)?;
        let calls = CALLS.map(|call| place.call(call));
        let [one, two, three] = calls;
        let heard = runtime.block_on(async { tokio::join!(one, two, three) });
        for (call, heard) in CALLS.iter().zip([heard.0?, heard.1?, heard.2?]) {
            row(weather, call, &heard);
        }
    }
    println!(
        "\nto: what the callee heard, over the line towards Asterisk. from: what the caller heard, over the line from it. Both\n\
         lines lose the same packets for everybody. Opus to Opus is passed on by Asterisk as it is, its reports are not: the\n\
         callee does not learn of losses behind Asterisk. baresip with in-band FEC; the first prompt is not scored."
    );
    Ok(())
}

/// All of them, or those of `loss` percent.
fn wanted(loss: Option<u64>) -> Result<Vec<Weather>> {
    let is_wanted = |weather: &Weather| loss.is_none_or(|percent| weather.is_of(percent));
    let wanted: Vec<Weather> = WEATHERS.into_iter().filter(is_wanted).collect();
    match loss {
        Some(percent) if wanted.is_empty() => {
            let there: Vec<String> = WEATHERS.iter().map(Weather::to_string).collect();
            Err(format!(
                "no row loses {percent} %; there are: {}",
                there.join(", ")
            ))
        }
        _ => Ok(wanted),
    }
}

fn row(weather: Weather, call: &Call, [to, from]: &[Heard; 2]) {
    let who = match call.who {
        Who::Rollcall => "rollcall-phone",
        Who::Baresip => "baresip",
    };
    let way = |heard: &Heard| {
        format!(
            "{:>7.1}% {:>6.2} {:>8}",
            100.0 * heard.count.share(),
            heard.score.mean,
            format!("({:.2})", heard.score.worst)
        )
    };
    println!(
        "{:<14} {who:<15} {:<12} {} {}",
        weather.to_string(),
        format!("{}-{}", Codec::Opus, call.codec),
        way(to),
        way(from)
    );
}

fn person(extension: &str) -> Person {
    Person {
        extension: extension.to_owned(),
        password: format!("secret-of-{extension}"),
    }
}

/// All that the calls of a round share.
struct Place<'a> {
    asterisk: &'a Asterisk,
    speech: &'a Speech,
    spoken: PathBuf,
    folder: TempDir,
    weather: Weather,
    seed: u64,
}

impl<'a> Place<'a> {
    fn new(
        asterisk: &'a Asterisk,
        speech: &'a Speech,
        weather: Weather,
        seed: u64,
    ) -> Result<Place<'a>> {
        let folder = tempfile::tempdir().map_err(|error| error.to_string())?;
        let spoken = folder.path().join("spoken.wav");
        write_wav(&spoken, RATE, speech.full().iter().map(|it| f64::from(*it)));
        Ok(Place {
            asterisk,
            speech,
            spoken,
            folder,
            weather,
            seed,
        })
    }

    /// One call, and what both heard.
    async fn call(&self, call: Call) -> Result<[Heard; 2]> {
        let line = Line::to(&self.asterisk.sip(), self.weather, self.seed)?;
        let (theirs, ours) = match call.who {
            Who::Rollcall => self.between_rollcalls(call, &line).await,
            Who::Baresip => self.between_baresips(call, &line).await,
        };
        let [to, from] = line.counts();
        Ok([
            self.heard(call, to, &theirs)?,
            self.heard(call, from, &ours)?,
        ])
    }

    /// The recordings of callee and caller.
    async fn between_rollcalls(&self, call: Call, line: &Line) -> (PathBuf, PathBuf) {
        let file = |name: &str| self.folder.path().join(format!("{name}.wav"));
        let (theirs, ours) = (file(call.callee), file(call.caller));
        let mut callee: phone::Running = Phone::of(call.callee, self.asterisk)
            .codecs(&call.codec.to_string())
            .speaking(&self.spoken, &theirs)
            .answering()
            .start();
        callee.registered().await;
        let password = self.asterisk.password_of(call.caller);
        let mut caller = Phone::at(call.caller, &line.address(), password)
            .codecs(&Codec::Opus.to_string())
            .speaking(&self.spoken, &ours)
            .dialling(call.callee)
            .start();
        caller.event("answered").await;
        self.all_is_said().await;
        caller.program.terminate().await;
        callee.program.terminate().await;
        (theirs, ours)
    }

    async fn between_baresips(&self, call: Call, line: &Line) -> (PathBuf, PathBuf) {
        let baresip = |extension: &str| {
            Baresip::of(extension, self.asterisk, baresip::Codec::Opus, &self.spoken)
                .correcting_errors()
        };
        let mut callee = baresip(call.callee).answering().start().await;
        let caller = baresip(call.caller).through(&line.address());
        let mut caller = caller.start().await;
        caller.command("dial", call.callee).await;
        caller.event("CALL_ESTABLISHED").await;
        self.all_is_said().await;
        caller.command("hangup", "").await;
        let keep = |from: PathBuf, name: &str| {
            let to = self.folder.path().join(format!("{name}.wav"));
            std::fs::copy(&from, &to).map(|_| to).unwrap_or(from)
        };
        let recordings = (
            keep(callee.heard().await, call.callee),
            keep(caller.heard().await, call.caller),
        );
        callee.program.kill();
        recordings
    }

    async fn all_is_said(&self) {
        tokio::time::sleep(Duration::from_secs_f64(self.speech.seconds()) + TAIL).await;
    }

    fn heard(&self, call: Call, count: Count, recording: &Path) -> Result<Heard> {
        let recording = Recording::read(recording);
        let samples: Vec<f32> = recording.samples().map(|sample| sample as f32).collect();
        let down = recording.rate() as usize / speech::RATE;
        let heard = align::shifted(self.speech.all(), &resample(&samples, 1, down.max(1)));
        Ok(Heard {
            count,
            score: score(call.codec, self.speech, &heard)?,
        })
    }
}
