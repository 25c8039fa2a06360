//! The fuzz targets on stable Rust, without a fuzzer: their corpus, and a fixed number of inputs made from it by a seed.
//!
//! `cargo fuzz run -s none sip` in `fuzz/` searches on from there, guided by coverage.

#[path = "../../../fuzz/src/lib.rs"]
#[allow(unreachable_pub, reason = "elsewhere it is a crate of its own")]
mod targets;

use std::fs;
use std::path::PathBuf;
use std::time::Instant;

use rand::rngs::StdRng;
use rand::{Rng as _, SeedableRng as _};

/// Inputs made from the corpus, for each target.
const RUNS: usize = 20_000;
/// Longest input that is made.
const LONGEST: usize = 4_096;

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

fn corpus(target: &str) -> Vec<Vec<u8>> {
    let folder = PathBuf::from(env!("CARGO_MANIFEST_DIR"))
        .join("../../fuzz/corpus")
        .join(target);
    let mut files: Vec<PathBuf> = fs::read_dir(&folder)
        .expect("a corpus")
        .map(|entry| entry.expect("a file").path())
        .collect();
    files.sort();
    let read = |file: &PathBuf| fs::read(file).expect("readable");
    let inputs: Vec<Vec<u8>> = files.iter().map(read).collect();
    assert!(!inputs.is_empty(), "{}", folder.display());
    inputs
}

fn run(target: &str, check: fn(Instant, &[u8])) {
    let now = rollcall_testkit::Clock::new().now();
    let corpus = corpus(target);
    for input in &corpus {
        check(now, input);
    }
    let mut random = StdRng::seed_from_u64(1);
    for _ in 0..RUNS {
        let mut input = corpus[random.random_range(0..corpus.len())].clone();
        for _ in 0..random.random_range(1..8) {
            change(&mut input, &corpus, &mut random);
        }
        input.truncate(LONGEST);
        check(now, &input);
    }
}

fn change(input: &mut Vec<u8>, corpus: &[Vec<u8>], random: &mut StdRng) {
    let at = random.random_range(0..=input.len());
    let end = random.random_range(at..=input.len().min(at + 40));
    match random.random_range(0..6) {
        0 => input.insert(at, random.random()),
        1 => drop(input.drain(at..end)),
        2 => {
            let again = input[at..end].to_vec();
            input.splice(at..at, again);
        }
        3 => {
            let word = WORDS[random.random_range(0..WORDS.len())];
            input.splice(at..end, word.bytes());
        }
        4 => {
            let other = &corpus[random.random_range(0..corpus.len())];
            let from = random.random_range(0..=other.len());
            input.splice(at.., other[from..].iter().copied());
        }
        _ => {
            if let Some(byte) = input.get_mut(at) {
                *byte ^= 1 << random.random_range(0..8);
            }
        }
    }
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
