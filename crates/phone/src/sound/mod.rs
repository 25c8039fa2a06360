//! The media thread: every call's RTP and the sound devices, on one 20 ms tick.
//!
//! ```text
//! RTP socket ─► session ─┐                       ┌─► session ─► RTP socket
//!                        ├─► mix + tone ─► play  │
//! RTP socket ─► session ─┘        capture ───────┴─► session ─► RTP socket
//! ```
//!
//! It owns the devices and the sessions; it knows nothing of SIP. A device that is slow to open does not stop the
//! tick, for it opens on a thread of its own.

mod clock;
mod devices;
mod line;
mod meter;
mod mix;
mod thread;

use std::sync::atomic::{AtomicBool, AtomicU64, AtomicUsize, Ordering};
use std::sync::{Arc, Mutex, PoisonError};
use std::time::{Duration, Instant};

use rollcall_audio::{AudioChoice, AudioError};
use rollcall_media::dtmf::Digit;
use rollcall_media::quality::Quality;
use rollcall_media::sdp::Negotiated;
use rollcall_sip::CallId;
use tokio::sync::mpsc;

use crate::ports::MediaSockets;
use crate::{CallRef, RtpRefusals};
pub(crate) use devices::InUse;
use meter::Levels;

/// What the media thread is asked.
#[derive(Debug)]
pub(crate) enum SoundCommand {
    /// Go on with other sockets: our address is another one.
    Rebind {
        call: CallId,
        sockets: MediaSockets,
    },
    /// Let a call's sound flow.
    Start {
        call: CallId,
        sockets: MediaSockets,
        negotiated: Negotiated,
    },
    /// Offer and answer agreed on something else.
    Update {
        call: CallId,
        negotiated: Negotiated,
    },
    /// The call is over; its record is told under the name that outlives it.
    Stop {
        id: CallId,
        call: CallRef,
    },
    /// Press keys in a call.
    Press {
        call: CallId,
        digits: Vec<Digit>,
    },
    /// Play a tone of our own, or none.
    Tone(Option<Cue>),
    Mute(bool),
    /// Let the calls hear each other, or no longer.
    Join(bool),
    Choose(AudioChoice),
    /// Ends the thread.
    Quit,
}

/// The tones an engine plays by itself.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Cue {
    /// Somebody calls us.
    Ringing,
    /// Somebody calls us while we talk.
    Waiting,
    /// The phone we called rings.
    RingBack,
    /// The other side is busy, or will not. For a few seconds.
    Busy,
    /// The call could not be put through. For a few seconds.
    Congestion,
}

/// The devices that a call was heard and spoken through, in the order of their use; each as a person calls it.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub struct CallDevices {
    /// Microphones. None of a call that spoke from a file.
    pub microphones: Vec<String>,
    /// Loudspeakers.
    pub speakers: Vec<String>,
}

impl CallDevices {
    fn note(&mut self, in_use: &InUse) {
        let both = [
            (&mut self.microphones, &in_use.microphone),
            (&mut self.speakers, &in_use.speaker),
        ];
        for (used, name) in both {
            if let Some(name) = name.as_ref().filter(|name| used.last() != Some(name)) {
                used.push(name.clone());
            }
        }
    }
}

/// What the media thread tells.
#[derive(Debug)]
pub(crate) enum SoundReport {
    /// What works of the devices has changed, or what is wrong with the rest.
    Devices {
        microphone: bool,
        speaker: bool,
        problem: Option<AudioError>,
    },
    /// A call's sound cannot be coded.
    CallFailed { call: CallId, message: String },
    /// Somebody speaks into the muted microphone while a call is up.
    SpeakingMuted,
    /// How loud a call is, ten times a second.
    Levels(Levels),
    /// Other devices than before are in use.
    InUse(InUse),
    /// A call's sound has ended.
    Over {
        call: CallRef,
        quality: Box<Quality>,
        devices: CallDevices,
    },
    /// The other side of a call pressed a key.
    Digit { call: CallId, digit: Digit },
}

/// Signs of life of the media thread.
#[derive(Debug)]
pub(crate) struct Pulse {
    began: Instant,
    tick: AtomicU64,
    /// When the last turn was, ms after `began`.
    turned_ms: AtomicU64,
    microphone_ok: AtomicBool,
    speaker_ok: AtomicBool,
    tasks: AtomicUsize,
    rtp_refusals: Mutex<RtpRefusals>,
}

/// One task of the media thread, for as long as it lives.
#[derive(Debug)]
struct Alive(Arc<Pulse>);

impl Drop for Alive {
    fn drop(&mut self) {
        self.0.tasks.fetch_sub(1, Ordering::Relaxed);
    }
}

impl Pulse {
    fn new(began: Instant) -> Self {
        Self {
            began,
            tick: AtomicU64::new(0),
            turned_ms: AtomicU64::new(0),
            microphone_ok: AtomicBool::new(false),
            speaker_ok: AtomicBool::new(false),
            tasks: AtomicUsize::new(0),
            rtp_refusals: Mutex::new(RtpRefusals::default()),
        }
    }

    /// The media loop turns.
    fn turn(&self, now: Instant) {
        let after = now.saturating_duration_since(self.began).as_millis();
        let after = u64::try_from(after).unwrap_or(u64::MAX);
        self.turned_ms.store(after, Ordering::Relaxed);
        self.tick.fetch_add(1, Ordering::Relaxed);
    }

    /// A task begins to live.
    fn enter(self: &Arc<Self>) -> Alive {
        self.tasks.fetch_add(1, Ordering::Relaxed);
        Alive(Arc::clone(self))
    }

    /// The media thread's tasks that live, itself not among them.
    pub(crate) fn tasks(&self) -> usize {
        self.tasks.load(Ordering::Relaxed)
    }

    /// Age of the last turn; before the first, how long it has been awaited.
    pub(crate) fn age(&self, now: Instant) -> Duration {
        let turned = Duration::from_millis(self.turned_ms.load(Ordering::Relaxed));
        now.saturating_duration_since(self.began)
            .saturating_sub(turned)
    }

    pub(crate) fn tick(&self) -> u64 {
        self.tick.load(Ordering::Relaxed)
    }

    pub(crate) fn microphone_ok(&self) -> bool {
        self.microphone_ok.load(Ordering::Relaxed)
    }

    /// What came over RTP and was not played, in all calls so far.
    pub(crate) fn rtp_refusals(&self) -> RtpRefusals {
        *self
            .rtp_refusals
            .lock()
            .unwrap_or_else(PoisonError::into_inner)
    }

    fn set_rtp_refusals(&self, refusals: RtpRefusals) {
        *self
            .rtp_refusals
            .lock()
            .unwrap_or_else(PoisonError::into_inner) = refusals;
    }

    pub(crate) fn speaker_ok(&self) -> bool {
        self.speaker_ok.load(Ordering::Relaxed)
    }
}

/// The media thread as the SIP thread sees it.
#[derive(Debug)]
pub(crate) struct Sound {
    commands: mpsc::UnboundedSender<SoundCommand>,
    pulse: Arc<Pulse>,
    cue: Option<Cue>,
}

impl Sound {
    pub(crate) fn start(
        choice: AudioChoice,
        levels: bool,
    ) -> std::io::Result<(Self, mpsc::UnboundedReceiver<SoundReport>)> {
        let (commands, asked) = mpsc::unbounded_channel();
        let (reports, told) = mpsc::unbounded_channel();
        let pulse = Arc::new(Pulse::new(Instant::now()));
        let shared = pulse.clone();
        let runtime = tokio::runtime::Builder::new_current_thread()
            .enable_all()
            .build()?;
        std::thread::Builder::new()
            .name("rollcall-media".into())
            .spawn(move || {
                let thread = thread::Thread::new(choice, shared, reports, levels);
                tokio::task::LocalSet::new().block_on(&runtime, thread.run(asked));
            })?;
        Ok((
            Self {
                commands,
                pulse,
                cue: None,
            },
            told,
        ))
    }

    /// Asks; a media thread that is gone shows in the pulse.
    pub(crate) fn ask(&self, command: SoundCommand) {
        let _ = self.commands.send(command);
    }

    /// Plays this tone from now on; the one that plays already goes on.
    pub(crate) fn set_cue(&mut self, cue: Option<Cue>) {
        if self.cue != cue {
            self.cue = cue;
            self.ask(SoundCommand::Tone(cue));
        }
    }

    /// Plays a tone that ends by itself, unless another one has to play.
    pub(crate) fn play_once(&self, cue: Cue) {
        if self.cue.is_none() {
            self.ask(SoundCommand::Tone(Some(cue)));
        }
    }

    pub(crate) fn pulse(&self) -> &Pulse {
        &self.pulse
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_call_remembers_each_device_it_went_through_and_no_absence() {
        let in_use = |microphone: Option<&str>| InUse {
            microphone: microphone.map(str::to_owned),
            speaker: Some("desk".to_owned()),
            stands_in: false,
        };
        let mut devices = CallDevices::default();
        for microphone in [Some("headset"), None, Some("headset"), Some("webcam")] {
            devices.note(&in_use(microphone));
        }
        assert_eq!(devices.microphones, ["headset", "webcam"]);
        assert_eq!(devices.speakers, ["desk"]);
    }

    #[test]
    fn a_media_loop_that_stands_still_grows_old() {
        let began = Instant::now();
        let after = |ms| began + Duration::from_millis(ms);
        let pulse = Pulse::new(began);
        assert_eq!(pulse.age(after(30)), Duration::from_millis(30), "no turn");
        pulse.turn(after(40));
        assert_eq!(pulse.age(after(55)), Duration::from_millis(15));
        pulse.turn(after(60));
        assert_eq!(pulse.age(after(7_060)), Duration::from_secs(7), "it stands");
        assert_eq!(pulse.tick(), 2);
    }
}
