//! What failing tests said, gathered from a test runner's log, so that the last lines of a run say why and not only
//! which: whoever reads a shortened log of another machine has nothing else.

/// Words of one panic that are kept; a condition's last sight of a whole table can be long.
const WORDS: usize = 900;
/// Panics that are kept: one cause often fails many tests.
const PANICS: usize = 12;
/// Lines of one panic's message that are kept.
const LINES: usize = 8;

/// Each panic in `log` once, with the test's thread and place, in the order they came.
pub(crate) fn panics(log: &str) -> Vec<String> {
    let mut found: Vec<String> = Vec::new();
    let mut lines = log.lines().map(str::trim).peekable();
    while let Some(line) = lines.next() {
        if !(line.starts_with("thread '") && line.contains("panicked at")) {
            continue;
        }
        let mut words = without_thread_id(line);
        for _ in 0..LINES {
            match lines.next_if(|line| !ends_a_message(line)) {
                Some(line) => {
                    words.push_str("\n  ");
                    words.push_str(line);
                }
                None => break,
            }
        }
        let kept: String = words.chars().take(WORDS).collect();
        // A runner that says a failure at once and again at the end says it twice.
        if !found.contains(&kept) && found.len() < PANICS {
            found.push(kept);
        }
    }
    found
}

/// `thread 'name' (1234) panicked at ...` without the number.
fn without_thread_id(line: &str) -> String {
    match (line.find("' ("), line.find(") panicked at")) {
        (Some(from), Some(to)) if from < to => format!("{}{}", &line[..=from], &line[to + 1..]),
        _ => line.to_owned(),
    }
}

fn ends_a_message(line: &str) -> bool {
    line.is_empty()
        || line.starts_with("note: ")
        || line.starts_with("stack backtrace:")
        || line.starts_with("---")
        || line.starts_with("thread '")
}

#[cfg(test)]
mod tests {
    use super::{WORDS, panics};

    #[test]
    fn each_panic_is_told_once_with_its_place_and_its_message() {
        let log = "        FAIL [  3.1s] a::b one\n    \
            thread 'one' (42) panicked at tests/a.rs:5:9:\n    not within 10s: the board\n    seen last: Offline\n    \
            note: run with `RUST_BACKTRACE=1`\n    --- server: words of its own\n\
            thread 'one' panicked at tests/a.rs:5:9:\nnot within 10s: the board\nseen last: Offline\n\n";
        assert_eq!(
            panics(log),
            [
                "thread 'one' panicked at tests/a.rs:5:9:\n  not within 10s: the board\n  seen last: Offline"
            ]
        );
    }

    #[test]
    fn an_endless_message_is_cut_and_a_log_without_panics_gives_none() {
        let log = format!("thread 'one' panicked at a.rs:1:1:\n{}\n", "é".repeat(5000));
        assert_eq!(panics(&log)[0].chars().count(), WORDS);
        assert_eq!(
            panics("PASS a\nSummary [ 1s] 1 test run: 1 passed\n"),
            [""; 0]
        );
    }
}
