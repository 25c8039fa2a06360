//! The table at the end: medians side by side, with their spread and their ratio.

use std::fs;

use crate::phones::Phone;
use crate::rounds::{Figures, milliseconds};

/// A row: what it is called, and where its figure is found.
type Row = (&'static str, fn(&Figures) -> f64);

const ROWS: [Row; 4] = [
    ("start to REGISTER on the wire", |figures| {
        milliseconds(figures.start_to_register)
    }),
    ("200 OK to first RTP", |figures| figures.answer_to_rtp),
    ("loop delay, PCMU, no jitter", |figures| {
        milliseconds(figures.loop_delay)
    }),
    ("the same, 0-40 ms of jitter", |figures| {
        milliseconds(figures.jittered_delay)
    }),
];

pub(crate) fn print(phones: &[Phone; 2], figures: &[Vec<Figures>; 2]) {
    println!(
        "\n{:<30} {:>26} {:>26} {:>8}",
        "milliseconds: median (range)",
        phones[0].name(),
        phones[1].name(),
        "ratio"
    );
    for (name, figure) in ROWS {
        let [ours, peer] = figures.each_ref().map(|rounds| Spread::of(rounds, figure));
        println!(
            "{name:<30} {:>26} {:>26} {:>8.2}",
            ours.to_string(),
            peer.to_string(),
            ours.median / peer.median
        );
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
        "ratio: the first median by the second. Times are read at the far end's one socket; a click's, to the sample.\n\
         machine: {} processors, load {} at the end of the run",
        std::thread::available_parallelism().map_or(0, usize::from),
        fs::read_to_string("/proc/loadavg")
            .unwrap_or_default()
            .split(' ')
            .next()
            .unwrap_or_default()
    );
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
