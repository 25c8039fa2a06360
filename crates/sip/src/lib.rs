//! A SIP user agent without I/O: RFC 3261 messages, transactions, digest, registration, dialogs.
//!
//! Bytes and the present time go in, bytes and events come out; nothing here opens a socket, starts a task or
//! reads a clock, so that a day of retransmissions runs in a test within milliseconds. The layers, bottom up:
//!
//! ```text
//! datagram -> message::parse -> transaction -> ua (registration, calls on dialogs) -> Event
//! command  -> ua -> transaction -> message::write -> Transmit
//! ```
//!
//! [`UserAgent`] is the whole crate's face. The same one serves a phone (it trusts its registrar only) and a
//! small PBX (it is handed REGISTER and OPTIONS, and challenges): [`Config`] tells which.

pub mod dialog;
pub mod digest;
pub mod message;
pub mod package;
pub mod registration;
pub mod transaction;
pub mod ua;

mod random;

pub use digest::Credentials;
pub use message::{Message, NameAddr, Refusal, parse};
pub use registration::{Account, Failure, RegistrationEvent};
pub use transaction::{Timers, Transmit, Transport};
pub use ua::{
    CallId, Config, EndReason, Event, InviteRequest, OutgoingId, OutgoingOutcome, OutgoingRequest,
    RefusalKind, Refusals, Reply, RequestId, SubscribeRequest, SubscriptionId, Trust, UserAgent,
};
