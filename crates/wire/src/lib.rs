//! Rollcall's vocabulary on the wire, declared once.
//!
//! Three audiences read it: the server and its clients ([`http`], [`people`], [`realtime`]), and the app's
//! windows ([`ui`]). TypeScript is generated from the types the windows read; a test fails when
//! `ui/src/generated` has drifted.
//!
//! This crate owns names, shapes and the rules a value must meet to be one ([`check`]). It refuses
//! behaviour: no IO, no clock, no decision about anybody's state.
//!
//! Times on the wire are milliseconds since the Unix epoch (`*_at`, `since`), durations
//! milliseconds (`*_ms`), both as JSON numbers below 2^53.

pub mod board;
pub mod check;
pub mod explain;
pub mod http;
pub mod people;
pub mod realtime;
pub mod ui;

/// The version of this vocabulary; app and server name it to each other.
///
/// | version | what is new |
/// |---|---|
/// | 1 | |
/// | 2 | sessions bound to their device ([`DEVICE_HEADER`]); the server names its version |
pub const WIRE_VERSION: u32 = 2;

/// The oldest version that app and server still speak with each other: the one before. A client
/// that names an older one is answered 426.
pub const OLDEST_WIRE_VERSION: u32 = WIRE_VERSION - 1;

/// The header of requests and answers that carries [`WIRE_VERSION`]. Who names none is taken for a
/// client that was written to version 1 and by nobody of ours.
pub const WIRE_VERSION_HEADER: &str = "rollcall-wire";

/// The request header that names the device. A session that was opened with it is that device's:
/// its tokens are good with this header only.
pub const DEVICE_HEADER: &str = "rollcall-device";

/// The request header that carries an idempotency key (a UUID in text form).
pub const IDEMPOTENCY_KEY_HEADER: &str = "idempotency-key";
