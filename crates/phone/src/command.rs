//! What an engine is asked.

use std::net::IpAddr;
use std::sync::atomic::{AtomicU64, Ordering};
use std::time::Duration;

use rollcall_audio::AudioChoice;
use rollcall_media::dtmf::Digit;
use rollcall_sip::{Credentials, Transport};

use crate::Subject;

/// One call of an engine. Whoever dials makes one with [`CallRef::fresh`]; the engine makes those of incoming calls.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub struct CallRef(pub u64);

impl CallRef {
    /// A reference that this process has not used yet.
    pub fn fresh() -> Self {
        static NEXT: AtomicU64 = AtomicU64::new(1);
        Self(NEXT.fetch_add(1, Ordering::Relaxed))
    }
}

/// Whom to be on the telephone network.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Account {
    /// User part of the address of record: the extension.
    pub user: String,
    /// The registrar as `host` or `host:port`. Without a port the name is asked for its servers (RFC 3263), or the
    /// transport's own port is taken.
    pub registrar: String,
    /// How to speak with it; where none is said, what its name service prefers, else UDP.
    pub transport: Option<Transport>,
    /// Over TLS and secure WebSocket: trust certificates of these authorities, in PEM, and of no others. What
    /// [`crate::EngineConfig::trusted_ca`] names comes before them; without either the system's count.
    pub authorities: Option<String>,
    /// User name and password for its challenges. The password never shows in Debug output.
    pub credentials: Credentials,
    /// This device's lasting id; the Contact's user part and the User-Agent carry it.
    pub device_id: String,
    /// Shown to those who are called; none when empty.
    pub display_name: String,
    /// The registration's lifetime to ask for.
    pub expires: Duration,
}

impl Account {
    /// An account with a lifetime of five minutes and no display name.
    pub fn new(
        user: impl Into<String>,
        registrar: impl Into<String>,
        credentials: Credentials,
        device_id: impl Into<String>,
    ) -> Self {
        Self {
            user: user.into(),
            registrar: registrar.into(),
            transport: None,
            authorities: None,
            credentials,
            device_id: device_id.into(),
            display_name: String::new(),
            expires: Duration::from_secs(300),
        }
    }
}

/// What an engine can be asked. What comes of it is told by [`crate::PhoneEvent`]s.
#[derive(Debug, Clone)]
pub enum PhoneCommand {
    /// Register this account and keep it registered. Replaces another one, whose calls end; for the account that is
    /// registered already it is [`PhoneCommand::Refresh`].
    Register(Account),
    /// REGISTER again at once, with the same Contact. Calls go on.
    Refresh,
    /// Be at this address of the computer's from now on, whatever [`crate::EngineConfig::route`] says: a person knows of a way
    /// that the routing table does not prefer. Registration and calls follow within two seconds, as when the network
    /// changes. [`crate::EngineConfig::bind`] comes before it.
    MoveTo(IpAddr),
    /// Take our contact away from the registrar and stop retrying.
    Unregister,
    /// Call a number, or a `sip:` address, through the account's registrar.
    Dial {
        /// Made with [`CallRef::fresh`].
        call: CallRef,
        /// Digits, an extension or a `sip:` URI.
        target: String,
    },
    /// Take an incoming call.
    Answer(CallRef),
    /// Refuse an incoming call (486 Busy Here).
    Decline(CallRef),
    /// Refuse an incoming call because nobody is to be called here now (480 Temporarily Unavailable).
    TurnAway(CallRef),
    /// End a call in any state.
    Hangup(CallRef),
    /// Press keys in a call, one after the other, as [`crate::EngineConfig::dtmf`] says. On a call that has no sound yet they
    /// are lost, and within the sound also on one that is held.
    Dtmf {
        /// The call.
        call: CallRef,
        /// What to press; [`crate::digits`] reads them from a text.
        digits: Vec<Digit>,
    },
    /// Put a call on hold: the other side hears nothing of us, and we nothing of it. [`crate::PhoneEvent::Held`] follows.
    Hold(CallRef),
    /// Take a call off hold.
    Resume(CallRef),
    /// Hand a call on to a number or address (blind transfer). [`crate::PhoneEvent::Transfer`] tells how it goes; when
    /// it is done the call ends.
    Transfer {
        /// The call.
        call: CallRef,
        /// As in [`PhoneCommand::Dial`].
        target: String,
    },
    /// The same with a Refer-To value as it is, `<sip:...?Replaces=...>`.
    Refer {
        /// The call.
        call: CallRef,
        /// The value of Refer-To.
        refer_to: String,
    },
    /// Connect the other sides of two answered calls with each other and leave both (attended transfer).
    Connect {
        /// The call whose other side is handed on.
        call: CallRef,
        /// The call whose other side it is handed on to.
        other: CallRef,
    },
    /// Watch somebody's line, or our voicemail, from the registration on: [`crate::PhoneEvent::Presence`] and
    /// [`crate::PhoneEvent::Voicemail`] tell the news.
    Subscribe(Subject),
    /// Watch it no longer. [`crate::PhoneEvent::SubscriptionEnded`] follows.
    Unsubscribe(Subject),
    /// Send silence on every call.
    SetMuted(bool),
    /// Let the other sides of all calls that are not on hold hear each other, mixed here, or no longer.
    SetJoined(bool),
    /// Use other sound devices, also during calls.
    SetAudio(AudioChoice),
    /// End calls, unregister, and stop: [`crate::PhoneEvent::Stopped`] is the last event.
    Shutdown,
}
