//! Asterisk Manager Interface: sans-IO framing, typed events and actions, an async client.
//!
//! ```text
//! bytes -> frame::Decoder -> Packet -> session::Session -> Event, Response, Listing
//!                                        ^ (login, keep-alive, time-outs, lists by ActionID)
//! Action ---------------------------------'          client::Client runs one over TCP
//! ```
//!
//! The crate owns what goes over one manager connection: packets, their limits, the login, the keep-alive and the
//! lists. It refuses to judge: an event is a hint and a list is what the registrar reported; whoever uses them decides
//! what is true. [`answer`] is the other end of the wire, for a program that plays Asterisk.

pub mod account;
pub mod action;
pub mod answer;
pub mod backoff;
pub mod client;
pub mod contact;
pub mod event;
mod figures;
pub mod frame;
mod packet;
mod secret;
pub mod session;

pub use action::Action;
pub use client::{Client, ClientConfig, ClientEvent, LostReason};
pub use contact::{ContactId, ContactStatus};
pub use event::{Contact, DeviceState, Event, EventKind};
pub use figures::Figures;
pub use packet::{FieldError, MAX_VALUE_BYTES, Packet};
pub use secret::Secret;
pub use session::{ActionError, Listing, Response};
