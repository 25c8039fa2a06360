//! The table at the end: medians side by side, with their spread and their ratio.

use std::fs;

use crate::callgrind;
use crate::messages::Cost;
use crate::phones::Phone;
use crate::rounds::{Figures, milliseconds};

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
        name: "  processor time of each",
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
        name: "  processor time of each",
        unit: "us",
        goal: "-",
        figure: |it| Some(it.registers?.microseconds),
    },
];

/// Prints everything: rows of both phones, then what only ours can be asked for.
pub(crate) fn print(phones: &[Phone; 2], figures: &[Vec<Figures>; 2], messages: &[Cost]) {
    let [ours, peer] = phones;
    line(
        "median (range)",
        "",
        [ours.name(), peer.name()],
        "ratio",
        "goal",
    );
    for measure in &MEASURES {
        let spreads = figures.each_ref().map(|rounds| {
            let values: Option<Vec<f64>> = rounds.iter().map(measure.figure).collect();
            values.map(|values| Spread::of(&values, |value| *value))
        });
        let words = spreads.each_ref().map(|spread| shown(spread.as_ref()));
        let ratio = match &spreads {
            [Some(ours), Some(peer)] => format!("{:.2}", ours.median / peer.median),
            _ => "-".to_owned(),
        };
        let words = words.each_ref().map(String::as_str);
        line(measure.name, measure.unit, words, &ratio, measure.goal);
    }
    for cost in messages {
        let time = Spread::of(&cost.nanoseconds, |time| *time).to_string();
        let name = format!("read and write {}", cost.message);
        line(&name, "ns", [&time, "-"], "-", "-");
        let counted = callgrind::words(cost.instructions);
        line("  instructions", "", [&counted, "-"], "-", "-");
    }
    println!();
    for phone in phones {
        println!(
            "{}: {}; {}",
            phone.name(),
            phone.version(),
            phone.description()
        );
    }
    println!(
        "ratio: the first median by the second; goal: at most this, as ratio or as figure. Times are read at the far end's one\n\
         socket; a click's, to the sample. Calls and REGISTERs a second are what phone and SIPp do together, the processor\n\
         time is the phone's alone; baresip cannot be asked to register again.\n\
         machine: {} processors, load {} at the end of the run",
        std::thread::available_parallelism().map_or(0, usize::from),
        fs::read_to_string("/proc/loadavg")
            .unwrap_or_default()
            .split(' ')
            .next()
            .unwrap_or_default()
    );
}

fn line(name: &str, unit: &str, [ours, peer]: [&str; 2], ratio: &str, goal: &str) {
    println!("{name:<34} {unit:<9} {ours:>24} {peer:>24} {ratio:>6} {goal:>6}");
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
