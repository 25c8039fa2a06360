//! Sans-IO media: what one call's audio is on the wire, and how it becomes sound again.
//!
//! This crate owns SDP offer and answer, RTP, the jitter buffer, the codecs, DTMF and the tones a phone
//! makes by itself. It opens no socket and no device and reads no clock: packets and time come in,
//! packets and samples go out.
//!
//! **Samples** everywhere in the public interface are mono `f32` in `-1.0..=1.0` at
//! [`SAMPLE_RATE`]; a **frame** is [`FRAME`] samples, 20 ms. Codecs that run at another rate are
//! converted inside [`session`].
//!
//! ```text
//! bytes, now ─► rtp ─► source lock ─► jitter ─► codec (decode | recover | conceal) ─► playout (merge, stretch, 48 kHz) ─► samples
//! samples ─► 8 or 48 kHz ─► codec (encode) ─► rtp ─► bytes, destination
//! ```

pub mod codec;
mod comfort;
pub mod dtmf;
pub mod jitter;
pub mod measure;
pub mod muted;
mod playout;
pub mod quality;
mod rate;
mod rtcp;
mod rtp;
pub mod sdp;
pub mod session;
mod source;
#[cfg(test)]
mod speech;
pub mod srtp;
pub mod tone;

/// Samples a second at this crate's interface, in hertz.
pub const SAMPLE_RATE: u32 = 48_000;

/// Samples in one 20 ms frame at [`SAMPLE_RATE`].
pub const FRAME: usize = 960;

/// Property tests that draw the same cases in every run.
#[cfg(test)]
fn repeatable(cases: u32) -> proptest::test_runner::Config {
    proptest::test_runner::Config {
        cases,
        rng_seed: proptest::test_runner::RngSeed::Fixed(5004),
        failure_persistence: None,
        ..Default::default()
    }
}
