//! The fuzz targets of sound on stable Rust, without a fuzzer: their corpora, and a fixed number of inputs made from them.
//!
//! `cargo fuzz run -s none rtp` in `fuzz/` searches on from there, guided by coverage.

#[path = "../../../fuzz/src/media.rs"]
#[allow(unreachable_pub, reason = "elsewhere it is part of another crate")]
mod targets;

use std::path::Path;
use std::time::Instant;

/// What a byte of chance would take long to find.
const WORDS: [&str; 20] = [
    "\r\n",
    "m=audio ",
    "c=IN IP4 0.0.0.0",
    "c=IN IP6 ::1",
    "RTP/SAVP",
    "RTP/SAVPF",
    "a=rtpmap:",
    "a=fmtp:",
    "a=crypto:1 ",
    "AES_CM_128_HMAC_SHA1_80",
    "inline:",
    "|2^20|1:4",
    "a=rtcp-mux",
    "a=sendonly",
    "opus/48000/2",
    "PCMU/8000",
    "telephone-event/8000",
    "65536",
    "-1",
    "\0",
];

fn run(target: &str, runs: usize, check: fn(Instant, &[u8])) {
    let now = rollcall_testkit::Clock::new().now();
    let folder = Path::new(env!("CARGO_MANIFEST_DIR")).join("../../fuzz/corpus");
    rollcall_testkit::play_corpus(&folder.join(target), &WORDS, runs, |input| {
        check(now, input)
    });
}

#[test]
fn datagrams_at_the_port_of_rtp_from_the_corpus_and_around_it() {
    run("rtp", 2_000, targets::rtp);
}

#[test]
fn datagrams_at_the_port_of_rtcp_from_the_corpus_and_around_it() {
    run("rtcp", 5_000, targets::rtcp);
}

#[test]
fn packets_of_encrypted_calls_that_were_changed_under_way() {
    run("srtp", 5_000, targets::srtp);
}

#[test]
fn session_descriptions_from_the_corpus_and_around_it() {
    run("sdp", 20_000, targets::sdp);
}

#[test]
fn arrivals_from_the_corpus_and_around_it() {
    run("jitter", 5_000, targets::jitter);
}
