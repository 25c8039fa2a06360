//! PESQ, by the Python package of that name in its own environment.

use std::fs;
use std::io::Write;
use std::path::Path;
use std::process::{Command, Stdio};

use rollcall_media::codec::Codec;

use super::speech::{Speech, resample};
use crate::Result;

/// The Python that has the package; `cargo xtask bench` sees to it.
const PYTHON: &str = "ROLLCALL_PESQ_PYTHON";
const SCRIPT: &str = include_str!("../../pesq.py");

/// Of several prompts.
pub(crate) struct Score {
    pub(crate) mean: f64,
    pub(crate) worst: f64,
}

/// Compares the prompts with what was heard of them (at 16 kHz, pauses included).
pub(crate) fn score(codec: Codec, speech: &Speech, heard: &[f32]) -> Result<Score> {
    let python = std::env::var_os(PYTHON).ok_or_else(|| {
        format!("{PYTHON} does not name a Python: run `cargo xtask bench quality`")
    })?;
    let folder = tempfile::tempdir().map_err(|error| error.to_string())?;
    // Telephone sound has no more than 4 kHz to be judged by.
    let (mode, divisor) = match codec {
        Codec::Opus | Codec::G722 => ("wb", 1),
        Codec::Pcmu | Codec::Pcma => ("nb", 2),
    };
    let mut lines = String::new();
    let pairs = speech.prompts().into_iter().zip(speech.heard(heard));
    for (n, (said, heard)) in pairs.enumerate() {
        let write = |what: &str, samples: &[f32]| {
            let path = folder.path().join(format!("{n}.{what}.raw"));
            write_raw(&path, &resample(samples, 1, divisor)).map(|()| path.display().to_string())
        };
        lines += &format!(
            "{mode}\t{}\t{}\n",
            write("said", said)?,
            write("heard", heard)?
        );
    }
    let scores = run(Path::new(&python), &lines)?;
    let count = scores.len() as f64;
    Ok(Score {
        mean: scores.iter().sum::<f64>() / count,
        worst: scores.iter().copied().fold(f64::INFINITY, f64::min),
    })
}

fn run(python: &Path, lines: &str) -> Result<Vec<f64>> {
    let words = |error: std::io::Error| format!("{}: {error}", python.display());
    let mut child = Command::new(python)
        .args(["-c", SCRIPT])
        .stdin(Stdio::piped())
        .stdout(Stdio::piped())
        .spawn()
        .map_err(words)?;
    if let Some(mut input) = child.stdin.take() {
        input.write_all(lines.as_bytes()).map_err(words)?;
    }
    let output = child.wait_with_output().map_err(words)?;
    let said = String::from_utf8_lossy(&output.stdout);
    let scores: Vec<f64> = said.lines().filter_map(|line| line.parse().ok()).collect();
    match output.status.success() && scores.len() == lines.lines().count() {
        true => Ok(scores),
        false => Err(format!(
            "PESQ gave {} scores: {}",
            scores.len(),
            output.status
        )),
    }
}

fn write_raw(path: &Path, samples: &[f32]) -> Result<()> {
    let bytes = samples
        .iter()
        .flat_map(|sample| ((sample * 32_768.0) as i16).to_le_bytes());
    let bytes: Vec<u8> = bytes.collect();
    fs::write(path, bytes).map_err(|error| format!("{}: {error}", path.display()))
}
