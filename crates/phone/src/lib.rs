//! The phone engine: SIP, media and sound with the threads, sockets and timers they need.
//!
//! [`Engine::start`] gives a handle that takes [`PhoneCommand`]s and a stream of [`PhoneEvent`]s. Two threads
//! stand behind it: one for SIP (sockets, timers, registration, calls), one for media (the 20 ms tick, RTP,
//! sound). The engine knows calls and accounts; it knows nothing of a server, a person or a window.

mod calls;
mod command;
mod config;
mod driver;
mod engine;
mod event;
mod failure;
mod hold;
mod info;
mod interruption;
mod link;
mod moving;
mod ports;
mod resolve;
mod route;
mod sound;
mod target;
mod transfer;
mod transport;
mod watch;

pub use command::{Account, CallRef, PhoneCommand};
pub use config::{DtmfMode, EngineConfig};
pub use engine::{Engine, EngineHandle, StartError};
pub use event::{CallEnd, EndKind, PhoneEvent, Refused, RtpRefusals, Vitals};
pub use failure::FailureCode;
pub use interruption::Interruption;
pub use rollcall_audio::{AudioChoice, DeviceChoice, Processing};
pub use rollcall_media::codec::Codec;
pub use rollcall_media::dtmf::{Digit, NotADigit, digits};
pub use rollcall_media::quality::Quality;
pub use rollcall_media::srtp::Policy as SrtpPolicy;
pub use rollcall_sip::package::Activity;
pub use rollcall_sip::{Credentials, RefusalKind, Refusals, Transport};
pub use route::Route;
pub use sound::CallDevices;
pub use target::{BadTarget, Target};
pub use watch::Subject;
