//! What an engine tells.

use std::time::Duration;

use rollcall_media::codec::Codec;
use rollcall_media::dtmf::Digit;
use rollcall_media::quality::Quality;
use rollcall_media::session::Counters;
use rollcall_sip::Refusals;
use rollcall_sip::package::Activity;

use crate::{CallDevices, CallRef, FailureCode, Subject};

/// Something that happened in the engine.
#[derive(Debug, Clone, PartialEq)]
pub enum PhoneEvent {
    /// A REGISTER is on its way; refreshes are silent.
    Registering,
    /// The registrar holds our own Contact. Told again with every refresh.
    Registered {
        /// Our Contact URI as sent; its user part is unique to device and run.
        contact: String,
        /// How long the registrar keeps it.
        expires: Duration,
        /// The registrar's address, `ip:port`.
        registrar: String,
    },
    /// We are not registered, and why. The engine goes on trying unless `retry_in` is none.
    RegistrationFailed {
        /// For programs.
        code: FailureCode,
        /// For a person: what is wrong.
        message: String,
        /// For a person: what to do.
        next: String,
        /// When the next attempt is made.
        retry_in: Option<Duration>,
    },
    /// Our contact is gone from the registrar, because we asked for it.
    Unregistered,
    /// Somebody calls; the phone rings.
    Incoming {
        /// The new call.
        call: CallRef,
        /// The caller's display name, empty when none.
        from_display: String,
        /// The caller's address, e.g. `sip:1002@pbx.example`.
        from_uri: String,
    },
    /// Our INVITE is on its way.
    Dialing {
        /// The call.
        call: CallRef,
    },
    /// The other phone rings.
    Ringing {
        /// The call.
        call: CallRef,
    },
    /// Sound comes before the answer (announcements, the network's own ring-back).
    EarlyMedia {
        /// The call.
        call: CallRef,
    },
    /// Both sides can speak.
    Answered {
        /// The call.
        call: CallRef,
        /// What the sound is coded with.
        codec: Codec,
    },
    /// Our INVITE was redirected to another address.
    Redirected {
        /// The call.
        call: CallRef,
        /// The address that is called now.
        target: String,
    },
    /// We put the call on hold, or took it off, and the other side agreed.
    Held {
        /// The call.
        call: CallRef,
        /// Whether it is held now.
        held: bool,
    },
    /// What was asked of a call cannot be done, or the other side refused it; the call goes on as it was.
    Refused {
        /// The call.
        call: CallRef,
        /// For a person.
        message: String,
    },
    /// How a transfer of ours goes.
    Transfer {
        /// The call whose other side is handed on.
        call: CallRef,
        /// 202 when it is asked to go, then the SIP code it has met: 180, 200, 486 ...
        code: u16,
        /// Nothing follows. Below 300 it is done and the call ends; else it failed and the call goes on.
        is_final: bool,
    },
    /// The other side handed us on: we call somebody else, and it hangs up when that is answered.
    Referred {
        /// The call of before.
        call: CallRef,
        /// The call that is made now.
        new: CallRef,
        /// Whom it goes to.
        target: String,
    },
    /// The other side put the call on hold, or took it off.
    HeldByOther {
        /// The call.
        call: CallRef,
        /// Whether it is held now.
        held: bool,
    },
    /// From now on the call's sound is encrypted though it was not, or travels in the open though it was encrypted. Told
    /// only of a change; a policy that requires encryption lets none happen.
    Encryption {
        /// The call.
        call: CallRef,
        /// Whether it is encrypted now.
        encrypted: bool,
    },
    /// The other side pressed a key: told once for each press.
    DtmfReceived {
        /// The call.
        call: CallRef,
        /// The key.
        digit: Digit,
    },
    /// What the mailbox holds. Some telephone servers tell it unasked.
    Voicemail {
        /// Whether the lamp is to be lit.
        waiting: bool,
        /// Messages that nobody heard yet; none where they are not counted.
        new: Option<u32>,
        /// Messages that were heard and kept.
        old: Option<u32>,
    },
    /// What a line that is watched does now.
    Presence {
        /// The line, as the command named it.
        target: String,
        /// Idle, ringing or busy.
        activity: Activity,
    },
    /// Something is watched no longer: because that was asked for, or because it cannot be.
    SubscriptionEnded {
        /// What it was.
        subject: Subject,
        /// The code of the refusal; none when it was asked for.
        sip_code: Option<u16>,
        /// For a person.
        message: String,
    },
    /// The call is over; its reference means nothing any more, but for its record.
    Ended {
        /// The call.
        call: CallRef,
        /// Why.
        end: CallEnd,
    },
    /// Somebody speaks into the microphone of a call while it is muted. Told at most every ten seconds.
    SpeakingMuted,
    /// How loud a call is, ten times a second while one is up, where [`crate::EngineConfig::levels`] asks for it. Each is
    /// the loudest 20 ms since the last, RMS in dB below full scale; none of digital silence.
    Levels {
        /// What the microphone gives, after echo and noise were taken out and before a mute.
        microphone: Option<f64>,
        /// What is heard.
        speaker: Option<f64>,
    },
    /// The record of a call whose sound has ended: once, after [`PhoneEvent::Ended`]. A call without sound has none.
    Quality {
        /// The call that was.
        call: CallRef,
        /// What was measured.
        quality: Box<Quality>,
        /// The sound devices that it went through.
        devices: CallDevices,
    },
    /// Which devices calls are heard and spoken through: told when they are open, and whenever others take their place.
    AudioDevices {
        /// The microphone as a person calls it; `None` while none is open, or where sound is no device's.
        microphone: Option<String>,
        /// The loudspeaker, likewise.
        speaker: Option<String>,
        /// One of them is the system's default in the place of the chosen one, which is away. It is looked for.
        stands_in: bool,
    },
    /// What works of the sound devices. Told when they are open, and again whenever it changes; not when neither
    /// side works, of which [`PhoneEvent::AudioProblem`] tells alone.
    AudioReady {
        /// Whether a microphone works. Without one calls are receive-only.
        microphone: bool,
        /// Whether a loudspeaker works.
        speaker: bool,
    },
    /// Something is wrong with the sound devices. Calls go on, devices are looked for again, and
    /// [`PhoneEvent::AudioReady`] tells when they work.
    AudioProblem {
        /// Stable code such as `no_audio_device`.
        code: &'static str,
        /// For a person.
        message: String,
    },
    /// The loops' signs of life.
    Vitals(Vitals),
    /// The engine has stopped; nothing follows.
    Stopped,
}

/// Why a call ended.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct CallEnd {
    /// For programs.
    pub kind: EndKind,
    /// The SIP response code, where one ended it.
    pub sip_code: Option<u16>,
    /// For a person.
    pub message: String,
}

/// Why a call ended, for programs.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub enum EndKind {
    /// We hung up, cancelled or declined.
    Local,
    /// The other side hung up.
    Remote,
    /// The caller gave up before we answered.
    Missed,
    /// The other side is busy (486, 600).
    Busy,
    /// The other side declined (603).
    Declined,
    /// Nobody has this number (404, 484, 604).
    NotFound,
    /// Nobody answered, or nobody is there (408, 480).
    Unavailable,
    /// The PBX or the other phone refused for another reason.
    Refused,
    /// There is no codec both sides can use (488, 606).
    NoCommonCodec,
    /// Nothing came back.
    TimedOut,
    /// It could not even be tried: not registered, a target that is no number, no socket.
    Failed,
}

impl EndKind {
    /// Stable code.
    pub fn as_str(self) -> &'static str {
        match self {
            Self::Local => "local",
            Self::Remote => "remote",
            Self::Missed => "missed",
            Self::Busy => "busy",
            Self::Declined => "declined",
            Self::NotFound => "not_found",
            Self::Unavailable => "unavailable",
            Self::Refused => "refused",
            Self::NoCommonCodec => "no_common_codec",
            Self::TimedOut => "timed_out",
            Self::Failed => "failed",
        }
    }
}

/// Signs of life, made by the loops themselves: a frozen SIP loop sends none, and sees a frozen audio loop.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub struct Vitals {
    /// Turns of the 20 ms media tick so far.
    pub tick: u64,
    /// How late the SIP loop turned when a timer of its own was due, at worst since the last vitals. It sends them
    /// itself, so that the age of its last turn would always be nought.
    pub sip_loop_late: Duration,
    /// Age of the media tick's last turn; below 20 ms while it keeps time.
    pub audio_loop_age: Duration,
    /// Real sound is captured (or the choice needs none).
    pub microphone_ok: bool,
    /// Somebody can hear what is played (or the choice needs none).
    pub speaker_ok: bool,
    /// Our Contact is at the registrar.
    pub registered: bool,
    /// Calls that are going on.
    pub calls: usize,
    /// Tasks that live in the engine: as many at rest after a thousand calls as after one.
    pub tasks: usize,
    /// What was refused since the engine's start.
    pub refused: Refused,
}

/// What an engine refused since its start, by kind.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub struct Refused {
    /// SIP messages, and what was asked by them.
    pub sip: Refusals,
    /// RTP datagrams.
    pub rtp: RtpRefusals,
}

/// RTP datagrams that were not played, by the reason. Packets that merely came too late are not among them.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub struct RtpRefusals {
    /// No RTP, or a payload that its codec cannot read.
    pub malformed: u64,
    /// From an address that is not the call's source.
    pub foreign: u64,
    /// Encrypted, as agreed, but not by the other side: forged, damaged, or not encrypted at all.
    pub unauthentic: u64,
    /// Encrypted and here before.
    pub replayed: u64,
    /// Of a payload type that nobody agreed on.
    pub unknown_payload: u64,
    /// Numbered so far off that they were not believed.
    pub suspect: u64,
    /// More than the jitter buffer holds.
    pub discarded: u64,
}

impl RtpRefusals {
    /// Every kind with its count, nought included.
    pub fn iter(&self) -> impl Iterator<Item = (&'static str, u64)> {
        [
            ("malformed", self.malformed),
            ("foreign", self.foreign),
            ("unauthentic", self.unauthentic),
            ("replayed", self.replayed),
            ("unknown_payload", self.unknown_payload),
            ("suspect", self.suspect),
            ("discarded", self.discarded),
        ]
        .into_iter()
    }
}

impl From<&Counters> for RtpRefusals {
    fn from(counters: &Counters) -> Self {
        Self {
            malformed: counters.malformed + counters.malformed_payload + counters.malformed_events,
            foreign: counters.foreign,
            unauthentic: counters.unauthentic,
            replayed: counters.replayed,
            unknown_payload: counters.unknown_payload,
            suspect: counters.suspect,
            discarded: counters.discarded,
        }
    }
}

impl std::ops::AddAssign for RtpRefusals {
    fn add_assign(&mut self, other: Self) {
        self.malformed += other.malformed;
        self.foreign += other.foreign;
        self.unauthentic += other.unauthentic;
        self.replayed += other.replayed;
        self.unknown_payload += other.unknown_payload;
        self.suspect += other.suspect;
        self.discarded += other.discarded;
    }
}
