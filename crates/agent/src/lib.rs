//! One person's day without a window: sign-in, lease, phone, board.
//!
//! ```text
//!   AgentHandle ──commands──> shell ──inputs──> Day (decides) ──effects──> shell ──> phone engine
//!        ^                                                                   └────> server, realtime link
//!        └──────────────── watch of AgentState ────────────────────────────────────────┘
//! ```
//!
//! This crate owns the order of a sign-in and a sign-out, what is tried again and when, the forwarding
//! of the engine's vitals as heartbeats, and the copy of the board. It refuses to know a window, and to
//! decide who is available: that is the server's. No token and no password leaves it.

mod agent;
mod backoff;
pub mod board;
pub mod day;
mod device;
pub mod ports;
pub mod problem;
mod real_server;
mod safe;
mod shell;
#[cfg(test)]
mod shell_tests;
mod state;

pub use agent::{Agent, AgentConfig, AgentHandle, StartError};
pub use day::{Patience, When};
pub use device::{DeviceIdError, device_id};
pub use ports::{Keeper, KeptSession, MemoryOnly, Pause, Question, Secret};
pub use rollcall_phone::{AudioChoice, Codec, Interruption};
pub use state::{AgentState, Claim, SignedOut, Stage};
