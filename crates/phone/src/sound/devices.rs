//! The sound devices of an engine: opened beside the tick, looked for again when they fail.
//!
//! Microphone and loudspeaker stand apart: one that fails is mended while the other goes on.

use std::time::{Duration, Instant};

use rollcall_audio::{AudioChoice, AudioError, AudioStream, Side};
use tokio::sync::oneshot;

use super::SoundReport;

/// How long after a first failure a device is looked for again, doubled up to the longest wait: a person who plugs
/// in a headset watches what happens.
const LOOK_AGAIN: Duration = Duration::from_millis(500);
const LONGEST_WAIT: Duration = Duration::from_secs(8);
/// A device that worked for so long has failed for a new reason, and is looked for quickly again.
const SETTLED: Duration = Duration::from_secs(10);

/// What an opening brings.
type Opened = Result<Box<dyn AudioStream>, AudioError>;
/// Begins to open, and returns at once.
type Opener = Box<dyn FnMut(&Wanted) -> oneshot::Receiver<Opened>>;

/// What one part is to open.
#[derive(Debug, Clone)]
enum Wanted {
    /// WAV files, loopback or nothing: both sides in one.
    Whole(AudioChoice),
    /// One device, by name or the system's default.
    Device(Side, Option<String>),
}

/// All that was chosen.
pub(super) struct Devices {
    parts: Vec<Part>,
    opener: Opener,
    real: bool,
    told: Option<Judgement>,
}

/// What works, and what is to be said of the rest.
#[derive(Debug, Clone, PartialEq)]
struct Judgement {
    microphone: bool,
    speaker: bool,
    problem: Option<AudioError>,
}

impl Devices {
    pub(super) fn new(choice: AudioChoice) -> Self {
        Self::opened_by(Box::new(open), choice)
    }

    fn opened_by(mut opener: Opener, choice: AudioChoice) -> Self {
        Self {
            real: matches!(choice, AudioChoice::Devices { .. }),
            parts: parts(choice, &mut opener),
            opener,
            told: None,
        }
    }

    pub(super) fn choose(&mut self, choice: AudioChoice) {
        self.real = matches!(choice, AudioChoice::Devices { .. });
        // What was open goes first: a device may let itself be opened only once.
        self.parts.clear();
        self.parts = parts(choice, &mut self.opener);
        self.told = None;
    }

    /// Whether the choice means real devices, which must be kept drained and may play tones.
    pub(super) fn are_real(&self) -> bool {
        self.real
    }

    pub(super) fn microphone_ok(&self) -> bool {
        self.serving(Side::Microphone)
            .any(|part| part.is_ok(Side::Microphone))
    }

    pub(super) fn speaker_ok(&self) -> bool {
        self.serving(Side::Speaker)
            .any(|part| part.is_ok(Side::Speaker))
    }

    pub(super) fn play(&mut self, samples: &[f32]) {
        for part in &mut self.parts {
            if let State::Open { stream, .. } = &mut part.state
                && part.wanted.serves(Side::Speaker)
            {
                stream.play(samples);
            }
        }
    }

    /// Fills `samples` with what was captured, silence while there is nothing to capture from.
    pub(super) fn capture(&mut self, samples: &mut [f32]) {
        samples.fill(0.0);
        for part in &mut self.parts {
            if let State::Open { stream, .. } = &mut part.state
                && part.wanted.serves(Side::Microphone)
            {
                stream.capture(samples);
            }
        }
    }

    /// Takes in what opened or failed meanwhile, and tells what changed by it.
    pub(super) fn poll(&mut self, now: Instant, tell: &mut impl FnMut(SoundReport)) {
        for part in &mut self.parts {
            part.poll(now, &mut self.opener);
        }
        let Some(judgement) = self.judge() else {
            return;
        };
        if self.told.as_ref() != Some(&judgement) {
            tell(SoundReport::Devices {
                microphone: judgement.microphone,
                speaker: judgement.speaker,
                problem: judgement.problem.clone(),
            });
            self.told = Some(judgement);
        }
    }

    /// None while something is not known yet.
    fn judge(&self) -> Option<Judgement> {
        if self.parts.iter().any(|part| part.health == Health::Unknown) {
            return None;
        }
        let problems = self.parts.iter().filter_map(|part| match &part.health {
            Health::Fails(error) => Some(error.clone()),
            Health::Unknown | Health::Works => None,
        });
        Some(Judgement {
            microphone: self
                .serving(Side::Microphone)
                .any(|it| it.works(Side::Microphone)),
            speaker: self
                .serving(Side::Speaker)
                .any(|it| it.works(Side::Speaker)),
            problem: problems.reduce(AudioError::of_both),
        })
    }

    fn serving(&self, side: Side) -> impl Iterator<Item = &Part> {
        self.parts
            .iter()
            .filter(move |part| part.wanted.serves(side))
    }
}

fn parts(choice: AudioChoice, opener: &mut Opener) -> Vec<Part> {
    let wanted = match choice {
        AudioChoice::Devices { input, output } => vec![
            Wanted::Device(Side::Microphone, input),
            Wanted::Device(Side::Speaker, output),
        ],
        other => vec![Wanted::Whole(other)],
    };
    let part = |wanted| Part::new(wanted, opener);
    wanted.into_iter().map(part).collect()
}

impl Wanted {
    fn serves(&self, side: Side) -> bool {
        match self {
            Wanted::Whole(_) => true,
            Wanted::Device(own, _) => *own == side,
        }
    }
}

/// One stream, or what stands in for it.
struct Part {
    wanted: Wanted,
    state: State,
    health: Health,
    /// Failures since it last worked for a while.
    failures: u32,
}

enum State {
    Opening(oneshot::Receiver<Opened>),
    Open {
        stream: Box<dyn AudioStream>,
        working_since: Option<Instant>,
    },
    Failed {
        look_again_at: Instant,
    },
}

/// What is known of a part. It is not forgotten while the part is opened again.
#[derive(Debug, PartialEq)]
enum Health {
    Unknown,
    Works,
    Fails(AudioError),
}

impl Part {
    fn new(wanted: Wanted, opener: &mut Opener) -> Self {
        Self {
            state: State::Opening(opener(&wanted)),
            wanted,
            health: Health::Unknown,
            failures: 0,
        }
    }

    fn works(&self, side: Side) -> bool {
        match self.wanted {
            Wanted::Device(..) => self.health == Health::Works,
            // A file that cannot be recorded into may still be played.
            Wanted::Whole(_) => self.is_ok(side),
        }
    }

    fn is_ok(&self, side: Side) -> bool {
        match (&self.state, side) {
            (State::Open { stream, .. }, Side::Microphone) => stream.microphone_ok(),
            (State::Open { stream, .. }, Side::Speaker) => stream.speaker_ok(),
            _ => false,
        }
    }

    fn poll(&mut self, now: Instant, opener: &mut Opener) {
        match &mut self.state {
            State::Opening(opening) => match opening.try_recv() {
                Ok(Ok(stream)) => {
                    self.state = State::Open {
                        stream,
                        working_since: None,
                    };
                }
                Ok(Err(error)) => self.fail(now, error),
                Err(oneshot::error::TryRecvError::Closed) => self.fail(now, self.unopened()),
                Err(oneshot::error::TryRecvError::Empty) => {}
            },
            State::Open { .. } => self.watch(now),
            State::Failed { look_again_at } if *look_again_at <= now => {
                self.state = State::Opening(opener(&self.wanted));
            }
            State::Failed { .. } => {}
        }
    }

    /// An open stream works once its device gives or takes samples.
    fn watch(&mut self, now: Instant) {
        let State::Open {
            stream,
            working_since,
        } = &mut self.state
        else {
            return;
        };
        let Wanted::Device(side, _) = self.wanted else {
            // Nobody can mend a file; the rest of it goes on.
            if let Some(error) = stream.poll_problem() {
                self.health = Health::Fails(error);
            } else if self.health == Health::Unknown {
                self.health = Health::Works;
            }
            return;
        };
        if let Some(error) = stream.poll_problem() {
            tracing::debug!(%error, "a sound device is opened again");
            return self.fail(now, error);
        }
        let works = match side {
            Side::Microphone => stream.microphone_ok(),
            Side::Speaker => stream.speaker_ok(),
        };
        if works {
            let since = *working_since.get_or_insert(now);
            if now.saturating_duration_since(since) >= SETTLED {
                self.failures = 0;
            }
            self.health = Health::Works;
        }
    }

    fn fail(&mut self, now: Instant, error: AudioError) {
        let wait = (LOOK_AGAIN * 2u32.saturating_pow(self.failures.min(8))).min(LONGEST_WAIT);
        self.failures += 1;
        self.health = Health::Fails(error);
        self.replace_state(State::Failed {
            look_again_at: now + wait,
        });
    }

    /// A sound system may take its time to close, or never end it: not on the thread that keeps time.
    fn replace_state(&mut self, state: State) {
        let before = std::mem::replace(&mut self.state, state);
        let closing = std::thread::Builder::new().name("rollcall-audio".into());
        let _ = closing.spawn(move || drop(before));
    }

    fn unopened(&self) -> AudioError {
        AudioError::Device {
            side: match self.wanted {
                Wanted::Device(side, _) => side,
                Wanted::Whole(_) => Side::Speaker,
            },
            reason: "opening it failed".to_owned(),
        }
    }
}

impl Drop for Part {
    fn drop(&mut self) {
        if matches!(self.wanted, Wanted::Device(..)) {
            let look_again_at = Instant::now();
            self.replace_state(State::Failed { look_again_at });
        }
    }
}

/// Opens on a thread of its own, since sound systems take their time.
fn open(wanted: &Wanted) -> oneshot::Receiver<Opened> {
    let (done, opened) = oneshot::channel();
    let wanted = wanted.clone();
    let opening = std::thread::Builder::new().name("rollcall-audio".into());
    // Without a thread the sender is dropped, which the receiver reads as a failure.
    let _ = opening.spawn(move || {
        let stream = match &wanted {
            Wanted::Whole(choice) => rollcall_audio::open(choice),
            Wanted::Device(side, name) => rollcall_audio::open_side(*side, name.as_deref()),
        };
        done.send(stream).is_ok()
    });
    opened
}

#[cfg(test)]
mod tests;
