//! What failing tests and compilers said, gathered from a step's log, so that the last lines of a run say why and not
//! only which: whoever reads a shortened log of another machine has nothing else.

/// Words of one panic that are kept; a condition's last sight of a whole table can be long.
const WORDS: usize = 900;
/// Panics that are kept: one cause often fails many tests.
const PANICS: usize = 12;
/// Lines of one panic's message that are kept.
const LINES: usize = 8;
/// Lines of one compiler's error that are kept.
const ERROR_LINES: usize = 20;

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

/// Each error of a compiler, a linter or a linker in `log` once, up to the empty line after it.
pub(crate) fn errors(log: &str) -> Vec<String> {
    let mut found: Vec<String> = Vec::new();
    let mut lines = log.lines();
    while let Some(line) = lines.next() {
        if !is_an_error(line) {
            continue;
        }
        let block: Vec<&str> = std::iter::once(line)
            .chain(lines.by_ref().take_while(|line| !line.trim().is_empty()))
            .take(ERROR_LINES)
            .collect();
        let kept: String = block.join("\n").chars().take(WORDS).collect();
        if !found.contains(&kept) && found.len() < PANICS {
            found.push(kept);
        }
    }
    found
}

/// rustc's and cargo's `error: ..` and `error[E0000]: ..`, and a disk that is full, whoever says it.
fn is_an_error(line: &str) -> bool {
    line.starts_with("error:")
        || line.starts_with("error[")
        || line.contains("No space left on device")
}

/// Whether the line says only that cargo goes on: hundreds of them stand around one error.
pub(crate) fn is_progress(line: &str) -> bool {
    [
        "   Compiling ",
        "    Checking ",
        "  Downloaded ",
        " Downloading ",
    ]
    .iter()
    .any(|start| line.starts_with(start))
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
    use super::{WORDS, errors, is_progress, panics};

    #[test]
    fn each_error_of_a_compiler_is_told_once_and_progress_is_left_out() {
        let log = "    Checking a v1\nerror: unused import: `b`\n --> a.rs:1:5\n  |\n\n    Checking c v1\n\
            error: unused import: `b`\n --> a.rs:1:5\n  |\n\nwarning: build failed\n\
            LLVM ERROR: IO failure on output stream: No space left on device\n";
        assert_eq!(
            errors(log),
            [
                "error: unused import: `b`\n --> a.rs:1:5\n  |",
                "LLVM ERROR: IO failure on output stream: No space left on device"
            ]
        );
        assert!(is_progress("    Checking a v1"));
        assert!(!is_progress("error: unused import: `b`"));
    }

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
