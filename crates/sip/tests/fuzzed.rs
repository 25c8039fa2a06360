//! The fuzz targets on stable Rust, without a fuzzer: their corpus, and a fixed number of inputs made from it by a seed.
//!
//! `cargo fuzz run -s none sip` in `fuzz/` searches on from there, guided by coverage.

#[path = "../../../fuzz/src/sip.rs"]
#[allow(unreachable_pub, reason = "elsewhere it is part of another crate")]
mod targets;

use std::path::Path;
use std::time::Instant;

/// Inputs made from the corpus, for each target.
const RUNS: usize = 20_000;

/// What a byte of chance would take long to find.
const WORDS: [&str; 24] = [
    "\r\n",
    "\r\n\r\n",
    "\n",
    "\r\n ",
    "SIP/2.0",
    "INVITE ",
    "sip:",
    "tel:",
    "[::1]",
    "<",
    ">",
    "\"",
    "\\",
    ";",
    ",",
    "=",
    ";tag=",
    "z9hG4bK",
    "Content-Length: ",
    "l: 0",
    "Digest ",
    "nonce=\"",
    "-1",
    "4294967296",
];

fn run(target: &str, check: fn(Instant, &[u8])) {
    let now = rollcall_testkit::Clock::new().now();
    let folder = Path::new(env!("CARGO_MANIFEST_DIR")).join("../../fuzz/corpus");
    rollcall_testkit::play_corpus(&folder.join(target), &WORDS, RUNS, |input| {
        check(now, input)
    });
}

#[test]
fn messages_from_the_corpus_and_around_it() {
    run("sip", targets::sip);
}

#[test]
fn challenges_and_answers_from_the_corpus_and_around_it() {
    run("digest", targets::digest);
}

#[test]
fn streams_from_the_corpus_and_around_it() {
    run("framing", targets::framing);
}
