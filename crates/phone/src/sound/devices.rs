//! The sound devices of an engine: opened beside the tick, looked for again when they fail.

use std::time::{Duration, Instant};

use rollcall_audio::{AudioChoice, AudioError, AudioStream};
use tokio::sync::oneshot;

use super::SoundReport;

/// How long after a first failure devices are looked for again, doubled up to the longest wait.
const LOOK_AGAIN: Duration = Duration::from_secs(2);
const LONGEST_WAIT: Duration = Duration::from_secs(30);

/// The open stream, or what stands in for it.
pub(super) struct Devices {
    choice: AudioChoice,
    state: State,
    /// The last problem told, so that a missing device is told once and not at every look.
    told: Option<AudioError>,
    failures: u32,
}

enum State {
    Opening(oneshot::Receiver<Result<Box<dyn AudioStream>, AudioError>>),
    Open(Box<dyn AudioStream>),
    Failed { look_again_at: Instant },
}

impl Devices {
    pub(super) fn new(choice: AudioChoice) -> Self {
        let state = State::Opening(open(&choice));
        Self {
            choice,
            state,
            told: None,
            failures: 0,
        }
    }

    pub(super) fn choose(&mut self, choice: AudioChoice) {
        *self = Self::new(choice);
    }

    /// Whether the choice means real devices, which must be kept drained and may play tones.
    pub(super) fn are_real(&self) -> bool {
        matches!(self.choice, AudioChoice::Devices { .. })
    }

    pub(super) fn microphone_ok(&self) -> bool {
        self.stream_is(|stream| stream.microphone_ok())
    }

    pub(super) fn speaker_ok(&self) -> bool {
        self.stream_is(|stream| stream.speaker_ok())
    }

    pub(super) fn play(&mut self, samples: &[f32]) {
        if let State::Open(stream) = &mut self.state {
            stream.play(samples);
        }
    }

    /// Fills `samples` with what was captured, silence while there is nothing to capture from.
    pub(super) fn capture(&mut self, samples: &mut [f32]) {
        match &mut self.state {
            State::Open(stream) => stream.capture(samples),
            State::Opening(_) | State::Failed { .. } => samples.fill(0.0),
        }
    }

    /// Takes in what opened or failed meanwhile.
    pub(super) fn poll(&mut self, now: Instant, tell: &mut impl FnMut(SoundReport)) {
        match &mut self.state {
            State::Opening(opening) => match opening.try_recv() {
                Ok(Ok(stream)) => {
                    let (microphone, speaker) = match self.choice {
                        AudioChoice::Devices { .. } => {
                            (stream.microphone_ok(), stream.speaker_ok())
                        }
                        _ => (true, true),
                    };
                    tell(SoundReport::Ready {
                        microphone,
                        speaker,
                    });
                    self.state = State::Open(stream);
                    self.failures = 0;
                }
                Ok(Err(error)) => self.fail(now, error, tell),
                Err(oneshot::error::TryRecvError::Closed) => {
                    let reason = "opening it failed".to_owned();
                    let side = rollcall_audio::Side::Speaker;
                    self.fail(now, AudioError::Device { side, reason }, tell);
                }
                Err(oneshot::error::TryRecvError::Empty) => {}
            },
            State::Open(stream) => {
                while let Some(error) = stream.poll_problem() {
                    let is_gone = matches!(error, AudioError::Vanished(_));
                    if is_gone {
                        return self.fail(now, error, tell);
                    }
                    report(&mut self.told, error, tell);
                }
            }
            State::Failed { look_again_at } if *look_again_at <= now => {
                self.state = State::Opening(open(&self.choice));
            }
            State::Failed { .. } => {}
        }
    }

    fn fail(&mut self, now: Instant, error: AudioError, tell: &mut impl FnMut(SoundReport)) {
        let wait = (LOOK_AGAIN * 2u32.saturating_pow(self.failures.min(8))).min(LONGEST_WAIT);
        self.failures += 1;
        self.state = State::Failed {
            look_again_at: now + wait,
        };
        report(&mut self.told, error, tell);
    }

    fn stream_is(&self, ok: impl Fn(&dyn AudioStream) -> bool) -> bool {
        match &self.state {
            State::Open(stream) => !self.are_real() || ok(stream.as_ref()),
            State::Opening(_) | State::Failed { .. } => false,
        }
    }
}

fn report(told: &mut Option<AudioError>, error: AudioError, tell: &mut impl FnMut(SoundReport)) {
    if told.as_ref() != Some(&error) {
        tell(SoundReport::Problem {
            code: error.code(),
            message: error.to_string(),
        });
        *told = Some(error);
    }
}

/// Opens on a thread of its own, since sound systems take their time.
fn open(choice: &AudioChoice) -> oneshot::Receiver<Result<Box<dyn AudioStream>, AudioError>> {
    let (done, opened) = oneshot::channel();
    let choice = choice.clone();
    let opening = std::thread::Builder::new().name("rollcall-audio".into());
    // Without a thread the sender is dropped, which the receiver reads as a failure.
    let _ = opening.spawn(move || done.send(rollcall_audio::open(&choice)).is_ok());
    opened
}
