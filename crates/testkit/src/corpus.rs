//! Inputs of a fuzz target without a fuzzer: those of its corpus, and a fixed number made from them by a seed.

use std::fs;
use std::path::{Path, PathBuf};

use rand::rngs::StdRng;
use rand::{Rng as _, SeedableRng as _};

/// Longest input that is made.
const LONGEST: usize = 4_096;

/// Gives `check` every file of `folder`, and `runs` inputs that are made from them: bytes are put in, taken out, repeated,
/// turned over, taken from another file, or replaced by one of `words`, which chance would take long to find. Always the same.
///
/// # Panics
///
/// If there is no corpus.
pub fn play_corpus(folder: &Path, words: &[&str], runs: usize, mut check: impl FnMut(&[u8])) {
    let corpus = read(folder);
    for input in &corpus {
        check(input);
    }
    let mut random = StdRng::seed_from_u64(1);
    for _ in 0..runs {
        let mut input = corpus[random.random_range(0..corpus.len())].clone();
        for _ in 0..random.random_range(1..8) {
            change(&mut input, &corpus, words, &mut random);
        }
        input.truncate(LONGEST);
        check(&input);
    }
}

fn read(folder: &Path) -> Vec<Vec<u8>> {
    let listed =
        fs::read_dir(folder).unwrap_or_else(|error| panic!("{}: {error}", folder.display()));
    let mut files: Vec<PathBuf> = listed.flatten().map(|entry| entry.path()).collect();
    files.sort();
    let inputs: Vec<Vec<u8>> = files.iter().flat_map(fs::read).collect();
    assert!(!inputs.is_empty(), "nothing in {}", folder.display());
    inputs
}

fn change(input: &mut Vec<u8>, corpus: &[Vec<u8>], words: &[&str], random: &mut StdRng) {
    let at = random.random_range(0..=input.len());
    let end = random.random_range(at..=input.len().min(at + 40));
    match random.random_range(0..6) {
        0 => input.insert(at, random.random()),
        1 => drop(input.drain(at..end)),
        2 => {
            let again = input[at..end].to_vec();
            input.splice(at..at, again);
        }
        3 if !words.is_empty() => {
            let word = words[random.random_range(0..words.len())];
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
