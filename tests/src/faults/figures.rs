//! What agreeing took, and the table of it.

use std::collections::BTreeMap;
use std::fmt::Write as _;
use std::time::Duration;

use super::Situation;
use crate::Mode;

/// One situation, lived through once.
#[derive(Clone, Copy, Debug)]
pub struct Figure {
    /// What befell the house.
    pub situation: Situation,
    /// In which mode.
    pub mode: Mode,
    /// From its beginning until the dashboard showed nobody green whom it concerned; none where nobody ought to turn.
    pub seen: Option<Duration>,
    /// From its end until the dashboard was right again.
    pub board: Duration,
    /// From its end until phone, Asterisk, table and dashboards said the same of everybody.
    pub agreed: Duration,
}

/// The table for people, in Markdown: a line for each situation and mode.
#[must_use]
pub fn table(figures: &[Figure]) -> String {
    let mut rows: BTreeMap<(usize, bool), Vec<&Figure>> = BTreeMap::new();
    for figure in figures {
        let place = Situation::ALL
            .iter()
            .position(|situation| *situation == figure.situation);
        let key = (place.unwrap_or_default(), figure.mode == Mode::Shared);
        rows.entry(key).or_default().push(figure);
    }
    let mut text = String::from(
        "| situation | mode | times | not green after, p50 / p99 / max | board right after, p50 / p99 / max | promised | \
         all views agree after, p50 / p99 / max |\n|---|---|--:|--:|--:|--:|--:|\n",
    );
    for of_one in rows.values() {
        let Some(first) = of_one.first() else {
            continue;
        };
        let of = |what: fn(&Figure) -> Option<Duration>| {
            spread(of_one.iter().filter_map(|figure| what(figure)).collect())
        };
        let promised = first.situation.promise().map_or_else(
            || "-".to_owned(),
            |within| format!("{:.0} s", within.as_secs_f64()),
        );
        let _ = writeln!(
            text,
            "| {} | {} | {} | {} | {} | {promised} | {} |",
            first.situation.words(),
            format!("{:?}", first.mode).to_lowercase(),
            of_one.len(),
            of(|figure| figure.seen),
            of(|figure| Some(figure.board)),
            of(|figure| Some(figure.agreed)),
        );
    }
    text
}

/// `p50 / p99 / max`, in seconds.
fn spread(mut times: Vec<Duration>) -> String {
    times.sort_unstable();
    let of = |percent| percentile(&times, percent);
    match (of(50), of(99), times.last()) {
        (Some(half), Some(most), Some(all)) => format!(
            "{:.2} / {:.2} / {:.2} s",
            half.as_secs_f64(),
            most.as_secs_f64(),
            all.as_secs_f64()
        ),
        _ => "-".to_owned(),
    }
}

/// The smallest of these, in their order, that so many percent of them do not exceed (nearest rank).
fn percentile(sorted: &[Duration], percent: usize) -> Option<Duration> {
    let rank = (sorted.len() * percent).div_ceil(100);
    sorted.get(rank.checked_sub(1)?).copied()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_percentile_is_the_nearest_rank() {
        let of = |count: u64, percent| {
            let times: Vec<_> = (1..=count).map(Duration::from_secs).collect();
            percentile(&times, percent).map(|time| time.as_secs())
        };
        assert_eq!((of(2, 50), of(2, 99)), (Some(1), Some(2)));
        assert_eq!((of(10, 50), of(10, 99)), (Some(5), Some(10)));
        assert_eq!((of(100, 50), of(100, 99)), (Some(50), Some(99)));
        assert_eq!(of(0, 50), None);
    }

    #[test]
    fn a_situation_of_a_mode_is_one_line_with_median_and_worst() {
        let figure = |seconds: u64| Figure {
            situation: Situation::AmiCut,
            mode: Mode::Mirror,
            seen: None,
            board: Duration::from_secs(seconds),
            agreed: Duration::from_secs(seconds + 1),
        };
        let text = table(&[figure(3), figure(1), figure(2)]);
        let line = text.lines().last().unwrap_or_default();
        assert!(
            line.contains("| mirror | 3 | - | 2.00 / 3.00 / 3.00 s | 3 s | 3.00 / 4.00 / 4.00 s |"),
            "{line}"
        );
        assert_eq!(text.lines().count(), 3);
    }
}
