//! The table at the end: medians side by side, with their spread, their ratio and the goal. Printed, and kept in `docs`.

use std::fmt::Write as _;
use std::fs;

use rollcall_e2e::surroundings::repository;

use crate::messages::Cost;
use crate::phones::Phone;
use crate::rounds::{Figures, milliseconds};
use crate::{Result, callgrind};

const HEAD: &str = "\
# The softphone beside baresip

Written by `cargo xtask bench`; not to be changed by hand. Both phones meet the same far end in turns, in one run; ours is a
release build. Times are read at the far end's one socket; a click's, to the sample. A round's start is the median of five.
Calls and REGISTERs a second are what phone and SIPp do together, the processor time is the phone's alone; baresip cannot be
asked to register again, and has no command that reads a message. *Ratio*: the first median by the second. A goal with an x
is a ratio; where there is none, the figure stands to be compared with that of another version.

";

/// What a phone is measured by, and the goal that stands in the project's own performance targets.
struct Measure {
    name: &'static str,
    unit: &'static str,
    goal: &'static str,
    figure: fn(&Figures) -> Option<f64>,
}

const MEASURES: [Measure; 8] = [
    Measure {
        name: "start to REGISTER on the wire",
        unit: "ms",
        goal: "0.5x",
        figure: |it| Some(milliseconds(it.start_to_register)),
    },
    Measure {
        name: "200 OK to first RTP",
        unit: "ms",
        goal: "0.35x",
        figure: |it| Some(it.answer_to_rtp),
    },
    Measure {
        name: "loop delay, PCMU, no jitter",
        unit: "ms",
        goal: "30 ms",
        figure: |it| Some(milliseconds(it.loop_delay)),
    },
    Measure {
        name: "the same, 0-40 ms of jitter",
        unit: "ms",
        goal: "65 ms",
        figure: |it| Some(milliseconds(it.jittered_delay)),
    },
    Measure {
        name: "calls from SIPp, 8 at once",
        unit: "a second",
        goal: "-",
        figure: |it| Some(it.calls.a_second),
    },
    Measure {
        name: "processor time of each call",
        unit: "us",
        goal: "-",
        figure: |it| Some(it.calls.microseconds),
    },
    Measure {
        name: "REGISTERs to SIPp, with digest",
        unit: "a second",
        goal: "-",
        figure: |it| Some(it.registers?.a_second),
    },
    Measure {
        name: "processor time of each REGISTER",
        unit: "us",
        goal: "-",
        figure: |it| Some(it.registers?.microseconds),
    },
];

/// Prints everything, and writes it to `docs/softphone.md`.
pub(crate) fn publish(
    phones: &[Phone; 2],
    figures: &[Vec<Figures>; 2],
    messages: &[Cost],
    seed: u64,
) -> Result<()> {
    let text = document(phones, figures, messages, seed);
    let place = repository().join("docs/softphone.md");
    fs::write(&place, &text).map_err(|error| format!("{}: {error}", place.display()))?;
    println!("\n{text}\nwritten to {}", place.display());
    Ok(())
}

/// Rows of both phones, then what only ours can be asked for, then how it was measured.
fn document(
    phones: &[Phone; 2],
    figures: &[Vec<Figures>; 2],
    messages: &[Cost],
    seed: u64,
) -> String {
    let [ours, peer] = phones;
    let mut text = HEAD.to_owned();
    let head = ["median (range)", "", ours.name(), peer.name(), "ratio"];
    row(&mut text, head, "goal, at most");
    text += "|---|---|--:|--:|--:|---|\n";
    for measure in &MEASURES {
        let spreads = figures.each_ref().map(|rounds| {
            let values: Option<Vec<f64>> = rounds.iter().map(measure.figure).collect();
            values.map(|values| Spread::of(&values, |value| *value))
        });
        let [our_words, their_words] = spreads.each_ref().map(|spread| shown(spread.as_ref()));
        let ratio = match &spreads {
            [Some(ours), Some(peer)] => format!("{:.2}", ours.median / peer.median),
            _ => "-".to_owned(),
        };
        let cells = [measure.name, measure.unit, &our_words, &their_words, &ratio];
        row(&mut text, cells, measure.goal);
    }
    for cost in messages {
        let time = Spread::of(&cost.nanoseconds, |time| *time).to_string();
        let name = format!("read and write {}", cost.message);
        row(&mut text, [&name, "ns", &time, "-", "-"], "-");
        let counted = callgrind::words(cost.instructions);
        let name = "its instructions, by callgrind";
        row(&mut text, [name, "", &counted, "-", "-"], "-");
    }
    text.push('\n');
    for phone in phones {
        let (name, version) = (phone.name(), phone.version());
        let _ = writeln!(text, "- {name}: {version}; {}", phone.description());
    }
    let load = fs::read_to_string("/proc/loadavg").unwrap_or_default();
    let _ = writeln!(
        text,
        "- {} rounds in turns, seed {seed}; {} processors, load {} at the end",
        figures[0].len(),
        std::thread::available_parallelism().map_or(0, usize::from),
        load.split(' ').next().unwrap_or_default()
    );
    text
}

/// In columns, so that it can be read at a terminal too.
fn row(text: &mut String, [name, unit, ours, peer, ratio]: [&str; 5], goal: &str) {
    let _ = writeln!(
        text,
        "| {name:<34} | {unit:<8} | {ours:>24} | {peer:>24} | {ratio:>5} | {goal:<13} |"
    );
}

fn shown(spread: Option<&Spread>) -> String {
    spread.map_or_else(|| "-".to_owned(), Spread::to_string)
}

/// What several rounds say.
pub(crate) struct Spread {
    pub(crate) median: f64,
    least: f64,
    most: f64,
}

impl Spread {
    pub(crate) fn of<F>(rounds: &[F], figure: fn(&F) -> f64) -> Spread {
        let values: Vec<f64> = rounds.iter().map(figure).collect();
        Spread {
            least: values.iter().copied().fold(f64::NAN, f64::min),
            most: values.iter().copied().fold(f64::NAN, f64::max),
            median: median(values),
        }
    }
}

/// The middle one, or what lies between the two in the middle; not a number when there is none.
pub(crate) fn median(mut values: Vec<f64>) -> f64 {
    values.sort_by(f64::total_cmp);
    let at = |place: usize| values.get(place).copied().unwrap_or(f64::NAN);
    (at(values.len().saturating_sub(1) / 2) + at(values.len() / 2)) / 2.0
}

impl std::fmt::Display for Spread {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        write!(f, "{:.1} ({:.1}-{:.1})", self.median, self.least, self.most)
    }
}

#[cfg(test)]
mod tests {
    use std::time::Duration;

    use super::*;
    use crate::signalling::Rate;

    fn figures(milliseconds: u64, registers: Option<Rate>) -> Figures {
        let rate = Rate {
            a_second: 100.0,
            microseconds: 50.0,
        };
        Figures {
            start_to_register: Duration::from_millis(milliseconds),
            answer_to_rtp: 2.0,
            loop_delay: Duration::from_millis(30),
            jittered_delay: Duration::from_millis(60),
            calls: rate,
            registers: registers.map(|_| rate),
            clicks: 16,
        }
    }

    #[test]
    fn the_document_has_a_row_of_each_measure_with_ratio_and_goal() {
        let version = || "1.0".to_owned();
        let phones = [
            Phone::Rollcall {
                program: "rollcall-phone".into(),
                version: version(),
            },
            Phone::Baresip { version: version() },
        ];
        let rate = Rate {
            a_second: 1.0,
            microseconds: 1.0,
        };
        let rounds = [
            [4, 5, 6].map(|start| figures(start, Some(rate))).into(),
            [18, 20, 22].map(|start| figures(start, None)).into(),
        ];
        let cost = Cost {
            message: "INVITE, 1000 bytes".to_owned(),
            nanoseconds: vec![1.0, 2.0, 3.0],
            instructions: Some(12_345),
        };
        let text = document(&phones, &rounds, &[cost], 7);
        let row = |name: &str| -> Vec<&str> {
            let row = text.lines().find(|line| line.contains(name));
            let row = row.unwrap_or_else(|| panic!("no {name}: {text}"));
            row.trim_matches('|').split('|').map(str::trim).collect()
        };
        let start = row("start to REGISTER");
        assert_eq!(
            start[2..],
            ["5.0 (4.0-6.0)", "20.0 (18.0-22.0)", "0.25", "0.5x"]
        );
        assert_eq!(row("REGISTERs to SIPp")[3..5], ["-", "-"]);
        assert_eq!(row("instructions, by callgrind")[2], "12345");
        for measure in &MEASURES {
            assert_eq!(row(measure.name).len(), 6, "{}", measure.name);
        }
        assert!(text.contains("3 rounds in turns, seed 7"), "{text}");
    }
}
