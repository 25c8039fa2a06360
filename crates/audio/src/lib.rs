//! Sound: devices, WAV files and a loopback behind one trait.
//!
//! This crate owns everything between the media tick and the loudspeaker: opening, conversion of
//! sample formats, channels and rates, the rings that part the caller from the device's thread.
//! It knows nothing of calls, codecs or RTP.
//!
//! ```text
//!            media tick, 20 ms              │ rings │        device thread
//! play ────► 48 kHz ─► device rate ─► format ──────► callback copies ─► loudspeaker
//! capture ◄─ 48 kHz ◄─ device rate ◄─ format ◄────── callback copies ◄─ microphone
//! ```
//!
//! What was captured can be cleaned of echo, noise and rumble ([`Processing`]); [`AudioStream::delay`] tells how much later
//! the one comes back in the other.
//!
//! Samples are mono `f32` in `-1.0..=1.0` at [`SAMPLE_RATE`].

use std::time::Duration;

mod callback;
mod choice;
mod convert;
mod device;
mod drift;
mod duplex;
mod error;
mod loopback;
mod processing;
mod rate;
mod wav;

pub use choice::{AudioChoice, DeviceChoice, UnknownAudio};
pub use error::{AudioError, Side};
pub use processing::{Processing, Processor, UnknownProcessing};

/// Samples a second at this crate's interface, in hertz.
pub const SAMPLE_RATE: u32 = 48_000;

/// What a stream counted so far.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub struct Counters {
    /// Samples of silence captured because the device had none ready.
    pub capture_underrun: u64,
    /// Captured samples dropped because nobody fetched them.
    pub capture_overrun: u64,
    /// Samples of silence played because none were ready.
    pub playback_underrun: u64,
    /// Samples to play that were dropped because the device did not take them.
    pub playback_overrun: u64,
}

/// A full-duplex stream of mono samples at [`SAMPLE_RATE`], driven by the caller's media tick.
///
/// Once a tick: [`AudioStream::play`] one frame, then [`AudioStream::capture`] one frame of the
/// same length. Neither blocks.
pub trait AudioStream: std::fmt::Debug + Send {
    /// Hand over samples to play.
    fn play(&mut self, samples: &[f32]);

    /// Fill `samples` with what was captured; silence where there is nothing.
    fn capture(&mut self, samples: &mut [f32]);

    /// What is wrong since the last call, once each. A stream with a problem goes on as well as it
    /// can: without a microphone it captures silence and still plays.
    fn poll_problem(&mut self) -> Option<AudioError>;

    /// True while real sound is captured.
    fn microphone_ok(&self) -> bool;

    /// True while somebody can hear what is played.
    fn speaker_ok(&self) -> bool;

    /// What was counted so far.
    fn counters(&self) -> Counters;

    /// How long after a sample was handed over to be played it could be captured again, were the microphone beside the
    /// loudspeaker: what waits on both ways, as far as the devices tell. Nought where nothing waits.
    fn delay(&self) -> Duration {
        Duration::ZERO
    }

    /// What a person calls the device that serves this side; `None` where it is no device.
    fn device(&self, side: Side) -> Option<&str> {
        let _ = side;
        None
    }
}

/// Open what was chosen. May block for as long as the sound system takes (bounded, seconds): not
/// for a thread that keeps time.
///
/// A missing microphone *or* loudspeaker is not an error here: the stream opens and reports it
/// through [`AudioStream::poll_problem`]. Missing both is.
pub fn open(choice: &AudioChoice) -> Result<Box<dyn AudioStream>, AudioError> {
    Ok(match choice {
        AudioChoice::Devices(chosen) => Box::new(device::open(
            chosen.microphone.clone(),
            chosen.speaker.clone(),
        )?),
        AudioChoice::Loopback => Box::new(loopback::Loopback::default()),
        AudioChoice::None => Box::new(loopback::Silence),
        AudioChoice::File { input, output } => {
            Box::new(wav::WavStream::open(input.as_deref(), output.as_deref())?)
        }
    })
}

/// Open one side of the computer's devices, by the id or name that [`devices`] lists, or the system's
/// default: for a caller that mends one side while the other goes on. May block like [`open`].
///
/// The other side of the stream plays nothing, or captures silence.
pub fn open_side(side: Side, name: Option<&str>) -> Result<Box<dyn AudioStream>, AudioError> {
    Ok(Box::new(device::open_side(side, name.map(str::to_owned))?))
}

/// A device of this computer.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct DeviceName {
    /// What [`AudioChoice::Devices`] takes: unique, and the same after a restart where the system
    /// allows it.
    pub id: String,
    /// What a person calls it; several devices may share it.
    pub name: String,
    /// Which side it serves.
    pub side: Side,
    /// True when it is the system's default.
    pub default: bool,
}

/// The devices of this computer; none of them is opened. May block like [`open`].
pub fn devices() -> Result<Vec<DeviceName>, AudioError> {
    device::list()
}
