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

/// The version of this vocabulary; app and server name it at login.
pub const WIRE_VERSION: u32 = 1;

/// The request header that carries [`WIRE_VERSION`].
pub const WIRE_VERSION_HEADER: &str = "rollcall-wire";

/// The request header that carries an idempotency key (a UUID in text form).
pub const IDEMPOTENCY_KEY_HEADER: &str = "idempotency-key";
