//! One stream of an engine: opened beside the tick, changed for another while it plays on, looked for again when it fails.

use std::time::{Duration, Instant};

use rollcall_audio::{AudioChoice, AudioError, AudioStream, Side};
use tokio::sync::oneshot;

/// How long after a first failure a device is looked for again, doubled up to the longest wait: a person who plugs
/// in a headset watches what happens.
const LOOK_AGAIN: Duration = Duration::from_millis(500);
const LONGEST_WAIT: Duration = Duration::from_secs(8);
/// A device that worked for so long has failed for a new reason, and is looked for quickly again.
pub(super) const SETTLED: Duration = Duration::from_secs(10);

/// What an opening brings.
pub(super) type Opened = Result<Box<dyn AudioStream>, AudioError>;
/// Begins to open, and returns at once.
pub(super) type Opener = Box<dyn FnMut(&Wanted) -> oneshot::Receiver<Opened>>;

/// What one part is to open.
#[derive(Debug, Clone)]
pub(super) enum Wanted {
    /// WAV files, loopback or nothing: both sides in one.
    Whole(AudioChoice),
    /// One device, by name or the system's default.
    Device(Side, Option<String>),
    /// The device that rings, by name.
    Ringer(String),
}

impl Wanted {
    /// Whether calls are heard or spoken through it.
    pub(super) fn serves(&self, side: Side) -> bool {
        match self {
            Wanted::Whole(_) => true,
            Wanted::Device(own, _) => *own == side,
            Wanted::Ringer(_) => false,
        }
    }

    pub(super) fn is_ringer(&self) -> bool {
        matches!(self, Wanted::Ringer(_))
    }

    /// The side of the one device that is wanted.
    fn side(&self) -> Option<Side> {
        match self {
            Wanted::Whole(_) => None,
            Wanted::Device(side, _) => Some(*side),
            Wanted::Ringer(_) => Some(Side::Speaker),
        }
    }

    /// What does instead of a named device while that is away.
    fn stand_in(&self) -> Option<Wanted> {
        match self {
            Wanted::Device(side, Some(_)) => Some(Wanted::Device(*side, None)),
            _ => None,
        }
    }

    fn unopened(&self) -> AudioError {
        AudioError::Device {
            side: self.side().unwrap_or(Side::Speaker),
            reason: "opening it failed".to_owned(),
        }
    }
}

/// One stream, and what will replace it.
pub(super) struct Part {
    pub(super) wanted: Wanted,
    pub(super) health: Health,
    open: Option<Open>,
    next: Next,
    /// Failures since it last worked for a while.
    failures: u32,
}

/// A stream in use.
struct Open {
    stream: Box<dyn AudioStream>,
    working_since: Option<Instant>,
    /// It is the system's default in the place of the device that was chosen.
    stands_in: bool,
}

/// What comes next for a part.
enum Next {
    /// Nothing, while what is open works.
    Nothing,
    /// It is being opened; the present stream goes on meanwhile.
    Opening {
        opening: oneshot::Receiver<Opened>,
        stands_in: bool,
    },
    LookAgain(Instant),
}

/// What is known of a part. It is not forgotten while the part is opened again.
#[derive(Debug, PartialEq)]
pub(super) enum Health {
    Unknown,
    Works,
    /// What was chosen does not work; another device may stand in for it.
    Fails(AudioError),
}

impl Part {
    pub(super) fn new(wanted: Wanted, opener: &mut Opener) -> Self {
        Self {
            next: Next::Opening {
                opening: opener(&wanted),
                stands_in: false,
            },
            wanted,
            health: Health::Unknown,
            open: None,
            failures: 0,
        }
    }

    pub(super) fn stream(&mut self) -> Option<&mut Box<dyn AudioStream>> {
        self.open.as_mut().map(|open| &mut open.stream)
    }

    /// What a person calls the device in use.
    pub(super) fn device(&self, side: Side) -> Option<&str> {
        self.open.as_ref()?.stream.device(side)
    }

    /// How long sound is under way in it.
    pub(super) fn delay(&self) -> Duration {
        self.open
            .as_ref()
            .map_or(Duration::ZERO, |open| open.stream.delay())
    }

    /// Whether another device than the chosen one is in use.
    pub(super) fn is_stood_in(&self) -> bool {
        self.open.as_ref().is_some_and(|open| open.stands_in)
    }

    /// What is wrong, unless another device stands in and works.
    pub(super) fn problem(&self) -> Option<&AudioError> {
        let mended = self
            .wanted
            .side()
            .is_some_and(|side| self.is_stood_in() && self.is_ok(side));
        match &self.health {
            Health::Fails(error) if !mended => Some(error),
            _ => None,
        }
    }

    /// Whether sound flows, or did when it was last looked at.
    pub(super) fn works(&self, side: Side) -> bool {
        match (&self.wanted, &self.health) {
            (Wanted::Whole(_), _) => self.is_ok(side),
            (_, Health::Works) => true,
            _ => self.is_ok(side),
        }
    }

    pub(super) fn is_ok(&self, side: Side) -> bool {
        match (&self.open, side) {
            (Some(open), Side::Microphone) => open.stream.microphone_ok(),
            (Some(open), Side::Speaker) => open.stream.speaker_ok(),
            (None, _) => false,
        }
    }

    /// Takes in what opened or failed meanwhile.
    pub(super) fn poll(&mut self, now: Instant, opener: &mut Opener) {
        match &mut self.next {
            Next::Opening { opening, stands_in } => {
                let stands_in = *stands_in;
                match opening.try_recv() {
                    Ok(Ok(stream)) => self.take_up(now, stream, stands_in),
                    Ok(Err(error)) => self.fail_to_open(now, error, stands_in, opener),
                    Err(oneshot::error::TryRecvError::Closed) => {
                        self.fail_to_open(now, self.wanted.unopened(), stands_in, opener);
                    }
                    Err(oneshot::error::TryRecvError::Empty) => {}
                }
            }
            Next::LookAgain(at) if *at <= now => {
                self.next = Next::Opening {
                    opening: opener(&self.wanted),
                    stands_in: false,
                };
            }
            Next::LookAgain(_) | Next::Nothing => {}
        }
        self.watch(now, opener);
    }

    /// The opened stream takes the place of the one before.
    fn take_up(&mut self, now: Instant, stream: Box<dyn AudioStream>, stands_in: bool) {
        self.replace(Some(Open {
            stream,
            working_since: None,
            stands_in,
        }));
        self.next = match stands_in {
            true => Next::LookAgain(now + LONGEST_WAIT),
            false => Next::Nothing,
        };
    }

    fn fail_to_open(
        &mut self,
        now: Instant,
        error: AudioError,
        stands_in: bool,
        opener: &mut Opener,
    ) {
        // Whatever happens to its stand-in, what is wrong is that the chosen device is away.
        if !stands_in {
            self.health = Health::Fails(error);
        }
        match self.wanted.stand_in().filter(|_| !stands_in) {
            Some(_) if self.open.is_some() => self.next = Next::LookAgain(now + LONGEST_WAIT),
            Some(other) => {
                self.failures += 1;
                self.next = Next::Opening {
                    opening: opener(&other),
                    stands_in: true,
                };
            }
            None => self.look_again(now),
        }
    }

    fn look_again(&mut self, now: Instant) {
        let wait = (LOOK_AGAIN * 2u32.saturating_pow(self.failures.min(8))).min(LONGEST_WAIT);
        self.failures += 1;
        self.next = Next::LookAgain(now + wait);
    }

    /// An open stream works once its device gives or takes samples.
    fn watch(&mut self, now: Instant, opener: &mut Opener) {
        let Some(open) = &mut self.open else {
            return;
        };
        let problem = open.stream.poll_problem();
        let Some(side) = self.wanted.side() else {
            // Nobody can mend a file; the rest of it goes on.
            if let Some(error) = problem {
                self.health = Health::Fails(error);
            } else if self.health == Health::Unknown {
                self.health = Health::Works;
            }
            return;
        };
        if let Some(error) = problem {
            return self.mend(now, error, opener);
        }
        let works = match side {
            Side::Microphone => open.stream.microphone_ok(),
            Side::Speaker => open.stream.speaker_ok(),
        };
        if works {
            let since = *open.working_since.get_or_insert(now);
            if now.saturating_duration_since(since) >= SETTLED {
                self.failures = 0;
            }
            if !open.stands_in {
                self.health = Health::Works;
            }
        }
    }

    /// The open device has a problem.
    fn mend(&mut self, now: Instant, error: AudioError, opener: &mut Opener) {
        tracing::debug!(%error, "a sound device is opened again");
        if matches!(error, AudioError::Replaced(_)) {
            // The old one plays on until the new one is open.
            let stands_in = self.is_stood_in();
            let next = self.wanted.stand_in().filter(|_| stands_in);
            self.next = Next::Opening {
                opening: opener(&next.unwrap_or_else(|| self.wanted.clone())),
                stands_in,
            };
            return;
        }
        let stood_in = self.is_stood_in();
        self.replace(None);
        match self.wanted.stand_in().filter(|_| !stood_in) {
            Some(other) => {
                self.health = Health::Fails(error);
                self.failures += 1;
                self.next = Next::Opening {
                    opening: opener(&other),
                    stands_in: true,
                };
            }
            None => {
                if !stood_in {
                    self.health = Health::Fails(error);
                }
                self.look_again(now);
            }
        }
    }

    /// A sound system may take its time to close, or never end it: not on the thread that keeps time.
    fn replace(&mut self, open: Option<Open>) {
        let before = std::mem::replace(&mut self.open, open);
        if before.is_some() {
            let closing = std::thread::Builder::new().name("rollcall-audio".into());
            let _ = closing.spawn(move || drop(before));
        }
    }
}

impl Drop for Part {
    fn drop(&mut self) {
        if self.wanted.side().is_some() {
            self.replace(None);
        }
    }
}

/// Opens on a thread of its own, since sound systems take their time.
pub(super) fn open(wanted: &Wanted) -> oneshot::Receiver<Opened> {
    let (done, opened) = oneshot::channel();
    let wanted = wanted.clone();
    let opening = std::thread::Builder::new().name("rollcall-audio".into());
    // Without a thread the sender is dropped, which the receiver reads as a failure.
    let _ = opening.spawn(move || {
        let stream = match &wanted {
            Wanted::Whole(choice) => rollcall_audio::open(choice),
            Wanted::Device(side, name) => rollcall_audio::open_side(*side, name.as_deref()),
            Wanted::Ringer(name) => rollcall_audio::open_side(Side::Speaker, Some(name)),
        };
        done.send(stream).is_ok()
    });
    opened
}
